/*
 * storage.h - where videos, images and thumbnails live: a directory, or a
 * bucket of any S3-compatible store.
 *
 * Objects have keys such as "videos/<generation>/<sha256>.mp4".  A key is
 * safe by construction (storage_key_ok) and deterministic, so doing a put
 * again after a crash changes nothing.  An object is either whole or absent.
 *
 * Async work follows the slot rule: *slot is valid while non-NULL, done()
 * runs once, from the loop, never from inside the start function, and never
 * after storage_cancel().  A cancelled put may still finish behind the
 * scenes; it never leaves part of an object.
 */
#ifndef REELD_STORAGE_H
#define REELD_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/err.h"

struct fetch;
struct loop;
struct storage;
struct storage_work;
struct media_pool;

enum storage_visibility { STORAGE_PRIVATE, STORAGE_PUBLIC };

struct storage_opts {
	bool s3;	 /* objects in a bucket instead of in dir */
	const char *dir; /* objects (disk) and staging (both) */
	/* S3.  endpoint "" with an account_id means Cloudflare R2. */
	const char *endpoint, *bucket, *region;
	const char *access_key, *secret_key;
	const char *account_id;
	const char *public_url; /* prefix of public links, or "" */
	bool path_style;	/* bucket in the path, not in the host */
	bool allow_private;	/* the endpoint may be on a private address */
	int64_t part_bytes;	/* 0: 16 MiB parts, for files over 64 MiB */
	int64_t multipart_over_bytes;
};

/*
 * Makes dir and dir/tmp.  pool and fetch are borrowed and outlive it (fetch
 * may be NULL for disk).  false when dir cannot be used or S3 settings are
 * missing.
 */
bool storage_new(struct loop *loop, struct media_pool *pool,
    struct fetch *fetch, const struct storage_opts *opts, struct storage **out,
    struct err *err) REELD_MUST;
void storage_free(struct storage *st); /* cancels its work; NULL is fine */

/* 1 to 240 characters of [A-Za-z0-9._-] in parts joined by single slashes;
 * no part starts with a dot; not under "tmp/". */
bool storage_key_ok(const char *key);

/*
 * Staging.  Opens <dir>/tmp/<name> for reading and writing, which must not
 * exist.  Use names like "<job>.<n>.part".  storage_temp_drop() unlinks it
 * on a pool thread; the descriptor is the caller's to close.  Files older
 * than one hour are swept by storage_sweep().
 */
bool storage_temp_open(
    struct storage *st, const char *name, int *fd, struct err *err) REELD_MUST;
/* The same without a name: gone when the descriptor is closed. */
bool storage_temp_anon(struct storage *st, int *fd, struct err *err) REELD_MUST;
void storage_temp_drop(struct storage *st, const char *name);
/* Unlinks old staging files, and aborts old multipart uploads of S3. */
void storage_sweep(struct storage *st);

/* Free space of the staging disk is under 5 %: take no more downloads. */
bool storage_is_low(struct storage *st);

struct storage_put {
	const char *key;
	int fd;		       /* open for reading, kept open until done */
	int64_t size;	       /* all of the file */
	const char *temp;      /* its staging name: moved (disk) or dropped (S3)
				  after success; NULL: the file is linked or
				  copied */
	const uint8_t *sha256; /* 32 bytes of the content, or NULL */
	const char *type;      /* "video/mp4" */
	enum storage_visibility visibility;
};

struct storage_object {
	int64_t size;	  /* -1 unknown */
	int fd;		  /* disk, after open: the callee's to close; -1 */
	const char *url;  /* S3, after open: presigned; else NULL */
	const char *etag; /* S3, or NULL */
};

/*
 * object is NULL when err is set.  err names: not_found (ERR_NOT_FOUND),
 * disk_full (ERR_STORAGE), disk_failed (ERR_INTERNAL), storage_unavailable
 * (ERR_UNAVAILABLE: later may work), storage_refused (ERR_UPSTREAM: wrong
 * keys or bucket).  After a disk_failed of a put its staging file is gone:
 * the kernel may have dropped what it could not write, so fetch it again.
 */
typedef void storage_done_fn(
    const struct storage_object *object, const struct err *err, void *arg);

/* Copies what put points to (not the file).  The object is durable when
 * done() runs without an error. */
void storage_put_start(struct storage *st, const struct storage_put *put,
    struct storage_work **slot, storage_done_fn *done, void *arg);
/* Deleting what is not there succeeds. */
void storage_delete_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg);
/* Disk: opens it, the callback owns object->fd.  S3: presigns for an hour
 * after checking that it is there. */
void storage_open_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg);
/* Is it there, how long is it? */
void storage_head_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg);
/* *slot may be NULL. */
void storage_cancel(struct storage_work **slot);

/* Link for everybody: public_url + key; NULL when there is none (disk
 * without public_url).  The caller frees. */
char *storage_public_url(const struct storage *st, const char *key);
/*
 * S3: a link that works for ttl_s (1 s to 7 days) without further rights;
 * disposition: response Content-Disposition, or NULL.  NULL on disk.  The
 * caller frees.
 */
char *storage_presign(const struct storage *st, const char *method,
    const char *key, int64_t ttl_s, const char *disposition);

struct storage_stats {
	uint64_t puts, put_bytes, deletes, opens, failed, retries;
};
const struct storage_stats *storage_stats(const struct storage *st);

#endif
