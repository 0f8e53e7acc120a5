/*
 * sigv4.h - AWS Signature Version 4, as S3 and everything like it want it:
 * in the Authorization header, or in the query of a link.
 */
#ifndef STORAGE_SIGV4_H
#define STORAGE_SIGV4_H

#include <stdint.h>

#include "reeld/mem.h"

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
/* SHA-256 of no bytes. */
#define SIGV4_EMPTY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum { SIGV4_PAIRS_MAX = 16, SIGV4_DATE_SIZE = 17 };

struct sigv4_keys {
	const char *access, *secret, *region, *service;
};

struct sigv4_pair {
	const char *name, *value;
};

/* Everything is borrowed.  path and the query are plain: encoding is done
 * here.  Headers have lower-case names; all of them are signed. */
struct sigv4_request {
	const char *method, *path;
	struct sigv4_pair query[SIGV4_PAIRS_MAX];
	int n_query;
	struct sigv4_pair headers[SIGV4_PAIRS_MAX];
	int n_headers;
	const char *payload; /* hex SHA-256, or SIGV4_UNSIGNED */
};

void
sigv4_query(struct sigv4_request *req, const char *name, const char *value);
void
sigv4_header(struct sigv4_request *req, const char *name, const char *value);

/* "20130524T000000Z", for the x-amz-date header. */
void sigv4_date(int64_t wall_ms, char out[SIGV4_DATE_SIZE]);
/* The Authorization header's value; date is the signed x-amz-date. */
void sigv4_authorization(const struct sigv4_keys *keys,
    const struct sigv4_request *req, const char *date, struct buf *out);
/* Path and query of a link good for ttl_s from date.  Its header is host. */
void
sigv4_presign(const struct sigv4_keys *keys, const struct sigv4_request *req,
    const char *date, int64_t ttl_s, struct buf *out);
/* Encoded path and sorted query, as it must go out. */
void sigv4_target(const struct sigv4_request *req, struct buf *out);

#endif
