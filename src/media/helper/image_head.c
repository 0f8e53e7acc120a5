/*
 * image_head.c - what a still image says it is, read without any library:
 * kind and size, before a decoder sees a byte.  Pure.
 */
#include <ctype.h>
#include <string.h>

#include "media/helper/helper.h"
#include "reeld/mem.h"

enum { MAX_SIDE = 8192, MAX_PIXELS = 40 * 1000 * 1000 };

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint32_t
le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | p[2] << 16 | p[1] << 8 | p[0];
}

static bool
broken(struct err *err)
{
	return invalid(err, "The image is broken or cut short.");
}

static bool
trailing(struct err *err)
{
	return invalid(err, "The image has foreign data after its end.");
}

/* Chunks from IHDR to IEND, and nothing behind. */
static bool
png_read(
    const uint8_t *data, size_t len, struct image_head *out, struct err *err)
{
	size_t at = 8;

	if (len < 33 || memcmp(data + 12, "IHDR", 4) != 0)
		return broken(err);
	out->kind = IMAGE_PNG;
	out->width = be32(data + 16) > MAX_SIDE ? -1 : (int)be32(data + 16);
	out->height = be32(data + 20) > MAX_SIDE ? -1 : (int)be32(data + 20);
	while (len - at >= 12) {
		uint32_t size = be32(data + at);

		if (size > len - at - 12)
			return broken(err);
		if (memcmp(data + at + 4, "IEND", 4) == 0)
			return at + 12 + size == len || trailing(err);
		at += 12 + size;
	}
	return broken(err);
}

static bool
is_sof(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
	    marker != 0xc8 && marker != 0xcc;
}

static bool
jpeg_read(
    const uint8_t *data, size_t len, struct image_head *out, struct err *err)
{
	size_t at = 2;

	out->kind = IMAGE_JPEG;
	while (len - at >= 4) {
		uint8_t marker = data[at + 1];
		size_t size;

		if (data[at] != 0xff)
			return broken(err);
		if (marker == 0xff) { /* fill byte */
			at++;
			continue;
		}
		size = (size_t)data[at + 2] << 8 | data[at + 3];
		if (size < 2 || size > len - at - 2 || marker == 0xda)
			return broken(err); /* scan before frame header */
		if (is_sof(marker)) {
			if (size < 8)
				return broken(err);
			out->height = data[at + 5] << 8 | data[at + 6];
			out->width = data[at + 7] << 8 | data[at + 8];
			return true;
		}
		at += 2 + size;
	}
	return broken(err);
}

static bool
webp_read(
    const uint8_t *data, size_t len, struct image_head *out, struct err *err)
{
	const uint8_t *p = data + 20; /* payload of the first chunk */
	uint32_t riff = le32(data + 4);

	out->kind = IMAGE_WEBP;
	if (len < 30 || riff > len - 8)
		return broken(err);
	if (len - 8 - riff > 1)
		return trailing(err);
	if (memcmp(data + 12, "VP8 ", 4) == 0) {
		if (memcmp(p + 3, "\x9d\x01\x2a", 3) != 0)
			return broken(err);
		out->width = (p[6] | p[7] << 8) & 0x3fff;
		out->height = (p[8] | p[9] << 8) & 0x3fff;
		return true;
	}
	if (memcmp(data + 12, "VP8L", 4) == 0) {
		uint32_t bits = le32(p + 1);

		if (p[0] != 0x2f)
			return broken(err);
		out->width = (bits & 0x3fff) + 1;
		out->height = (bits >> 14 & 0x3fff) + 1;
		return true;
	}
	if (memcmp(data + 12, "VP8X", 4) == 0) {
		if (p[0] & 2)
			return invalid(
			    err, "Animated images are not accepted.");
		out->width = (p[4] | p[5] << 8 | p[6] << 16) + 1;
		out->height = (p[7] | p[8] << 8 | p[9] << 16) + 1;
		return true;
	}
	return broken(err);
}

/* Markup of a web page, anywhere: no honest image has it. */
static bool
has_markup(const uint8_t *data, size_t len)
{
	static const char *const words[] = {
	    "<script", "<html>", "<html ", "<!doctype", "<iframe", "<?php "};

	for (size_t at = 0; at + 9 <= len; at++) {
		const uint8_t *p = memchr(data + at, '<', len - at);

		if (p == NULL)
			return false;
		at = p - data;
		for (size_t i = 0; i < nitems(words); i++) {
			size_t n = strlen(words[i]), k = 1;

			while (k < n && at + k < len &&
			    tolower(p[k]) == words[i][k])
				k++;
			if (k == n)
				return true;
		}
	}
	return false;
}

bool
image_head_read(
    const uint8_t *data, size_t len, struct image_head *out, struct err *err)
{
	bool ok;

	*out = (struct image_head){0};
	if (len < 16)
		return err_set(err, ERR_MEDIA_TYPE, "Not an image.");
	if (memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
		ok = png_read(data, len, out, err);
	else if (memcmp(data, "\xff\xd8\xff", 3) == 0)
		ok = jpeg_read(data, len, out, err);
	else if (memcmp(data, "RIFF", 4) == 0 &&
	    memcmp(data + 8, "WEBP", 4) == 0)
		ok = webp_read(data, len, out, err);
	else
		return err_set(err, ERR_MEDIA_TYPE,
		    "Only PNG, JPEG and WebP images are accepted.");
	if (!ok)
		return false;
	if (out->width < 1 || out->height < 1 || out->width > MAX_SIDE ||
	    out->height > MAX_SIDE ||
	    (int64_t)out->width * out->height > MAX_PIXELS)
		return invalid(
		    err, "The image is larger than 8192 px or 40 megapixels.");
	if (has_markup(data, len))
		return invalid(err, "The image hides a web page.");
	return true;
}
