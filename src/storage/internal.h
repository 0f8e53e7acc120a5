/*
 * internal.h - what the files of storage share.
 *
 * storage.c has the public face and owns the works; disk.c does the blocking
 * file work on pool threads; s3.c sends one signed request, with retries;
 * s3_ops.c and s3_multi.c know what to ask a bucket.
 */
#ifndef STORAGE_INTERNAL_H
#define STORAGE_INTERNAL_H

#include "reeld/fetch.h"
#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"
#include "reeld/storage.h"
#include "storage/sigv4.h"

enum {
	KEY_MAX = 240,
	S3_TRIES = 5,
	S3_PARTS_MAX = 10000,
	S3_XML_MAX = 1 << 20,
	STALE_TEMP_S = 3600,
	STALE_UPLOAD_MS = 24 * 3600 * 1000,
	OPEN_TTL_S = 3600
};

struct s3 {
	char *base;	  /* scheme://host[:port] that is asked */
	char *host;	  /* as in the Host header */
	char *key_prefix; /* "/bucket/" or "/" */
	char *access, *secret, *region;
	bool allow_private;
	int64_t part_bytes, multipart_over_bytes;
};

struct storage {
	struct loop *loop;
	struct media_pool *pool;
	struct fetch *fetch;
	char *dir, *public_url;
	struct s3 *s3; /* NULL: disk */
	struct storage_work *works;
	int64_t low_checked_ms;
	bool low;
	struct storage_stats stats;
};

struct disk_job;
struct storage_work;
/* The answer of one S3 request; err as storage.h names it. */
typedef void s3_done_fn(struct storage_work *work,
    const struct fetch_reply *reply, const struct err *err);

struct storage_work {
	struct storage *st;
	struct storage_work *next, **prev;
	struct storage_work **slot; /* NULL: nobody waits (sweeps, aborts) */
	storage_done_fn *done;
	void *arg;
	char key[KEY_MAX + 1];
	struct loop_defer *early;
	struct err early_err;

	/* Disk. */
	struct work *file;
	struct disk_job *job; /* released by the pool */

	/* S3: the request under way, as s3_send() needs it again. */
	struct fetch_call *call;
	struct loop_timer retry;
	s3_done_fn *s3_done;
	const char *method;
	bool of_bucket;	       /* not of key */
	bool uploads;	       /* ?uploads */
	const char *of_upload; /* ?uploadId= */
	int part;	       /* &partNumber=, 0: none */
	bool with_type;	       /* Content-Type and Cache-Control */
	char *body;	       /* or body_bytes of fd */
	bool from_fd;
	int64_t body_offset, body_bytes;
	char payload[65];
	int tries;

	/* S3 put. */
	int fd;
	int64_t size;
	char *temp, *type, sha256[65];
	enum storage_visibility visibility;
	char *upload_id;
	char **etags;
	int n_parts, next_part;
};

/* storage.c */
struct storage_work *task_new(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg);
/* The only ways a work ends. */
void task_done(struct storage_work *work, const struct storage_object *object,
    const struct err *err);

/* disk.c */
bool disk_prepare(const char *dir, struct err *err) REELD_MUST;
void disk_put(struct storage_work *work, const struct storage_put *put);
void disk_delete(struct storage_work *work);
void disk_open(struct storage_work *work, bool want_fd);
void disk_drop(struct storage *st, const char *name);
void disk_sweep(struct storage *st);

/* s3.c */
struct s3 *s3_new(const struct storage_opts *opts, struct err *err) REELD_MUST;
void s3_free(struct s3 *s3);
/* Sends what work describes, again when that may help, then calls done. */
void s3_send(struct storage_work *work, s3_done_fn *done);
/* Text of the first <name> in xml, entities decoded; the caller frees. */
char *xml_text(const char *xml, const char *name);
char *s3_presign(const struct s3 *s3, const char *method, const char *key,
    int64_t ttl_s, const char *disposition);
void s3_work_free(struct storage_work *work);

/* Forgets the last request's shape, keeps what the work is about. */
void s3_request(struct storage_work *work, const char *method);

/* s3_ops.c, s3_multi.c */
void s3_put(struct storage_work *work, const struct storage_put *put);
void s3_delete(struct storage_work *work);
void s3_open(struct storage_work *work, bool want_url);
void s3_put_parts(struct storage_work *work);
void s3_put_over(struct storage_work *work, const struct err *err);
void s3_sweep(struct storage *st);
/* Tells the bucket to forget an upload; nobody waits for it. */
void s3_abort(struct storage *st, const char *key, const char *upload_id);

#endif
