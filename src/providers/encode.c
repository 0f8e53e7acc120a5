/*
 * encode.c - the forms in which vendors want things: base64 and data URIs,
 * multipart bodies, signed tokens, durations as text.  Used by the adapters;
 * no I/O and no randomness, so that a request is the same every time.
 */
#include <ctype.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/internal.h"
#include "reeld/id.h"
#include "reeld/mem.h"

char *
base64_text(const void *data, size_t len)
{
	char *text = xmalloc(4 * ((len + 2) / 3) + 1);

	/* The length is an int there; inputs end at some 20 MB. */
	if (len > INT32_MAX / 2)
		abort();
	EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	return text;
}

bool
image_given(const struct provider_image *image)
{
	return image->url != NULL || image->len > 0;
}

const char *
image_mime(const struct provider_image *image)
{
	return image->mime != NULL && image->mime[0] != '\0' ? image->mime
							     : "image/png";
}

char *
image_base64(const struct provider_image *image)
{
	return image->len > 0 ? base64_text(image->data, image->len) : NULL;
}

char *
image_data_uri(const struct provider_image *image)
{
	char *base64 = image_base64(image), *text;

	if (base64 == NULL)
		return NULL;
	text = xasprintf("data:%s;base64,%s", image_mime(image), base64);
	free(base64);
	return text;
}

char *
image_ref(const struct provider_image *image)
{
	return image->url != NULL ? xstrdup(image->url) : image_data_uri(image);
}

const char *
image_file_name(const struct provider_image *image)
{
	const char *mime = image_mime(image);

	return strcmp(mime, "image/jpeg") == 0 ? "image.jpg"
	    : strcmp(mime, "image/webp") == 0  ? "image.webp"
					       : "image.png";
}

/* --- multipart/form-data --------------------------------------------------
 */

void
multipart_init(struct multipart *self, const struct provider_job *job)
{
	buf_init(&self->body, 64 << 20);
	/* Whoever wrote the prompt does not know the nonce. */
	snprintf(self->boundary, sizeof self->boundary, "reeld-%.60s",
	    job->nonce != NULL ? job->nonce : "0");
}

/* A name goes between quotes: what would end it is left out. */
static void
put_quoted(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (; *text != '\0'; text++) {
		if (*text != '"' && *text != '\\' &&
		    (unsigned char)*text >= ' ')
			buf_putc(out, *text);
	}
	buf_putc(out, '"');
}

static void
part_start(struct multipart *self, const char *name)
{
	buf_printf(&self->body,
	    "--%s\r\nContent-Disposition: form-data; name=", self->boundary);
	put_quoted(&self->body, name);
}

void
multipart_field(struct multipart *self, const char *name, const char *value)
{
	part_start(self, name);
	buf_puts(&self->body, "\r\n\r\n");
	buf_puts(&self->body, value);
	buf_puts(&self->body, "\r\n");
}

void
multipart_file(struct multipart *self, const char *name, const char *filename,
    const char *mime, const void *data, size_t len)
{
	part_start(self, name);
	buf_puts(&self->body, "; filename=");
	put_quoted(&self->body, filename);
	buf_printf(&self->body, "\r\nContent-Type: %s\r\n\r\n", mime);
	buf_add(&self->body, data, len);
	buf_puts(&self->body, "\r\n");
}

void
multipart_finish(struct multipart *self, struct fetch_spec *out)
{
	char type[120];

	buf_printf(&self->body, "--%s--\r\n", self->boundary);
	snprintf(type, sizeof type, "multipart/form-data; boundary=%s",
	    self->boundary);
	fetch_spec_body(out, type, self->body.data, self->body.len);
	buf_fini(&self->body);
}

/* --- tokens and times -----------------------------------------------------
 */

char *
jwt_hs256(const char *issuer, const char *secret, int64_t exp_s, int64_t nbf_s)
{
	static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	struct json_object *claims = json_new();
	char head64[sizeof head * 2], sum64[48], *text, *claims64, *out;
	uint8_t sum[32];

	json_set_text(claims, "iss", issuer);
	json_set_int(claims, "exp", exp_s);
	json_set_int(claims, "nbf", nbf_s);
	text = json_dump_text(claims);
	json_free(&claims);
	claims64 = xmalloc(4 * ((strlen(text) + 2) / 3) + 1);
	b64url_encode(head64, head, strlen(head));
	b64url_encode(claims64, text, strlen(text));
	free(text);
	text = xasprintf("%s.%s", head64, claims64);
	free(claims64);
	hmac_sha256(secret, strlen(secret), text, strlen(text), sum);
	b64url_encode(sum64, sum, sizeof sum);
	out = xasprintf("%s.%s", text, sum64);
	free(text);
	return out;
}

int
duration_text_s(const char *text)
{
	double value;
	char *end;

	if (text == NULL || !isdigit((unsigned char)text[0]))
		return 0;
	value = strtod(text, &end);
	if (strcmp(end, "s") != 0 || !(value > 0))
		return 0;
	return value > 600 ? 600 : (int)ceil(value);
}
