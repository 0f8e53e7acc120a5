/*
 * s3_ops.c - what a bucket is asked for in one request: put, delete, head.
 */
#define LOG_MODULE "storage"
#include <stdlib.h>
#include <string.h>

#include "reeld/log.h"
#include "storage/internal.h"

void
s3_put_over(struct storage_work *work, const struct err *err)
{
	struct storage_object object = {.fd = -1, .size = work->size};

	/* On disk the staging file has moved away; here nobody needs it. */
	if (err == NULL && work->temp != NULL)
		disk_drop(work->st, work->temp);
	task_done(work, &object, err);
}

static void
on_put(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	s3_put_over(self, err);
}

void
s3_put(struct storage_work *work, const struct storage_put *put)
{
	work->fd = put->fd;
	work->size = put->size;
	work->temp = xstrdup(put->temp);
	work->type = xstrdup(put->type);
	work->visibility = put->visibility;
	if (put->sha256 != NULL)
		hex_encode(work->sha256, put->sha256, 32);
	if (put->size > work->st->s3->multipart_over_bytes) {
		s3_put_parts(work);
		return;
	}
	s3_request(work, "PUT");
	work->with_type = true;
	work->from_fd = true;
	work->body_bytes = put->size;
	(void)str_copy(work->payload, sizeof work->payload,
	    put->sha256 != NULL ? work->sha256 : SIGV4_UNSIGNED);
	s3_send(work, on_put);
}

static void
on_deleted(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	struct storage_object object = {.fd = -1, .size = -1};

	if (err != NULL && err->code == ERR_NOT_FOUND)
		err = NULL;
	task_done(self, &object, err);
}

void
s3_delete(struct storage_work *work)
{
	s3_request(work, "DELETE");
	s3_send(work, on_deleted);
}

static void
head_object(const struct fetch_reply *reply, struct storage_object *object)
{
	const char *length = fetch_reply_header(reply, "Content-Length");

	object->fd = -1;
	object->etag = fetch_reply_header(reply, "ETag");
	if (length == NULL || !str_to_i64(length, 0, INT64_MAX, &object->size))
		object->size = -1;
}

static void
on_head(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	struct storage_object object = {0};

	head_object(reply, &object);
	task_done(self, &object, err);
}

static void
on_open(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	struct storage_object object = {0};
	char *url = NULL;

	head_object(reply, &object);
	if (err == NULL)
		url = s3_presign(
		    self->st->s3, "GET", self->key, OPEN_TTL_S, NULL);
	object.url = url;
	task_done(self, &object, err);
	free(url);
}

void
s3_open(struct storage_work *work, bool want_url)
{
	s3_request(work, "HEAD");
	s3_send(work, want_url ? on_open : on_head);
}
