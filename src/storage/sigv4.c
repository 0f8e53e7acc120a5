/*
 * sigv4.c - AWS Signature Version 4.
 *
 * canonical request -> string to sign -> a key derived from the secret, the
 * day, the region and the service -> HMAC.  s3.c builds the requests.
 */
#include "storage/sigv4.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reeld/id.h"

enum { TEXT_MAX = 32 * 1024 };

static void
add_pair(struct sigv4_pair *pairs, int *n, const char *name, const char *value)
{
	assert(*n < SIGV4_PAIRS_MAX);
	pairs[*n].name = name;
	pairs[(*n)++].value = value;
}

void
sigv4_query(struct sigv4_request *req, const char *name, const char *value)
{
	add_pair(req->query, &req->n_query, name, value);
}

void
sigv4_header(struct sigv4_request *req, const char *name, const char *value)
{
	add_pair(req->headers, &req->n_headers, name, value);
}

void
sigv4_date(int64_t wall_ms, char out[SIGV4_DATE_SIZE])
{
	time_t seconds = wall_ms / 1000;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) == 0)
		abort();
}

/* RFC 3986 with upper-case hex; keep: one more character left alone. */
static void
encode(struct buf *out, const char *text, char keep)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++)
		if (strchr(plain, *text) != NULL || *text == keep)
			buf_putc(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* name=value pairs, encoded, sorted, joined by &. */
static void
canonical_query(const struct sigv4_request *req, struct buf *out)
{
	char *parts[SIGV4_PAIRS_MAX];

	for (int i = 0; i < req->n_query; i++) {
		struct buf one;

		buf_init(&one, TEXT_MAX);
		encode(&one, req->query[i].name, '\0');
		buf_putc(&one, '=');
		encode(&one, req->query[i].value, '\0');
		parts[i] = buf_take(&one, NULL);
	}
	qsort(parts, (size_t)req->n_query, sizeof parts[0], by_text);
	for (int i = 0; i < req->n_query; i++) {
		buf_printf(out, "%s%s", i > 0 ? "&" : "", parts[i]);
		free(parts[i]);
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct sigv4_pair *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Outer spaces go, inner runs become one. */
static void
add_trimmed(struct buf *out, const char *text)
{
	bool gap = false, any = false;

	for (; *text != '\0'; text++) {
		if (*text == ' ' || *text == '\t') {
			gap = true;
			continue;
		}
		if (gap && any)
			buf_putc(out, ' ');
		gap = false;
		any = true;
		buf_putc(out, *text);
	}
}

static void
canonical_request(
    const struct sigv4_request *req, struct buf *signed_names, char hash[65])
{
	struct sigv4_pair headers[SIGV4_PAIRS_MAX];
	struct buf text;

	memcpy(headers, req->headers, sizeof headers);
	qsort(headers, (size_t)req->n_headers, sizeof headers[0], by_name);
	buf_init(&text, TEXT_MAX);
	buf_printf(&text, "%s\n", req->method);
	encode(&text, req->path, '/');
	buf_putc(&text, '\n');
	canonical_query(req, &text);
	buf_putc(&text, '\n');
	for (int i = 0; i < req->n_headers; i++) {
		buf_printf(&text, "%s:", headers[i].name);
		add_trimmed(&text, headers[i].value);
		buf_putc(&text, '\n');
		buf_printf(
		    signed_names, "%s%s", i > 0 ? ";" : "", headers[i].name);
	}
	buf_printf(&text, "\n%s\n%s", buf_str(signed_names), req->payload);
	assert(buf_ok(&text));
	sha256_hex(text.data, text.len, hash);
	buf_fini(&text);
}

static void
hmac_text(const void *key, size_t key_len, const char *text, uint8_t out[32])
{
	hmac_sha256(key, key_len, text, strlen(text), out);
}

static void
scope_text(const struct sigv4_keys *keys, const char *date, struct buf *out)
{
	buf_printf(
	    out, "%.8s/%s/%s/aws4_request", date, keys->region, keys->service);
}

static void
sign(const struct sigv4_keys *keys, const char *date, const char hash[65],
    char signature[65])
{
	char *first = xasprintf("AWS4%s", keys->secret), day[9];
	uint8_t key[32], next[32];
	struct buf text;

	memcpy(day, date, 8);
	day[8] = '\0';
	hmac_text(first, strlen(first), day, key);
	explicit_bzero(first, strlen(first));
	free(first);
	hmac_text(key, 32, keys->region, next);
	hmac_text(next, 32, keys->service, key);
	hmac_text(key, 32, "aws4_request", next);
	buf_init(&text, TEXT_MAX);
	buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n", date);
	scope_text(keys, date, &text);
	buf_printf(&text, "\n%s", hash);
	hmac_sha256(next, 32, text.data, text.len, key);
	hex_encode(signature, key, 32);
	buf_fini(&text);
	explicit_bzero(next, sizeof next);
}

void
sigv4_authorization(const struct sigv4_keys *keys,
    const struct sigv4_request *req, const char *date, struct buf *out)
{
	struct buf names;
	char hash[65], signature[65];

	buf_init(&names, TEXT_MAX);
	canonical_request(req, &names, hash);
	sign(keys, date, hash, signature);
	buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/", keys->access);
	scope_text(keys, date, out);
	buf_printf(
	    out, ",SignedHeaders=%s,Signature=%s", buf_str(&names), signature);
	buf_fini(&names);
}

void
sigv4_presign(const struct sigv4_keys *keys, const struct sigv4_request *req,
    const char *date, int64_t ttl_s, struct buf *out)
{
	struct sigv4_request full = *req;
	struct buf credential, names;
	char hash[65], signature[65], expires[24];

	buf_init(&credential, TEXT_MAX);
	buf_printf(&credential, "%s/", keys->access);
	scope_text(keys, date, &credential);
	snprintf(expires, sizeof expires, "%lld", (long long)ttl_s);
	full.payload = SIGV4_UNSIGNED;
	sigv4_query(&full, "X-Amz-Algorithm", "AWS4-HMAC-SHA256");
	sigv4_query(&full, "X-Amz-Credential", buf_str(&credential));
	sigv4_query(&full, "X-Amz-Date", date);
	sigv4_query(&full, "X-Amz-Expires", expires);
	sigv4_query(&full, "X-Amz-SignedHeaders", "host");
	buf_init(&names, TEXT_MAX);
	canonical_request(&full, &names, hash);
	sign(keys, date, hash, signature);
	sigv4_target(&full, out);
	buf_printf(out, "&X-Amz-Signature=%s", signature);
	buf_fini(&credential);
	buf_fini(&names);
}

void
sigv4_target(const struct sigv4_request *req, struct buf *out)
{
	encode(out, req->path, '/');
	if (req->n_query > 0)
		buf_putc(out, '?');
	canonical_query(req, out);
}
