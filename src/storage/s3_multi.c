/*
 * s3_multi.c - large files in parts, one after the other straight from the
 * file, and the end of uploads that nobody finished.
 *
 *	begin -> part 1 .. n -> complete
 *	any failure -> abort (in the background) -> done with the error
 */
#define LOG_MODULE "storage"
#include <stdlib.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/crash.h"
#include "reeld/id.h"
#include "reeld/log.h"
#include "storage/internal.h"

/* Larger parts when there would be too many. */
static int64_t
part_bytes(const struct storage_work *work)
{
	int64_t usual = work->st->s3->part_bytes;
	int64_t least = work->size / S3_PARTS_MAX + 1;

	return usual > least ? usual : least;
}

static void
give_up(struct storage_work *work, const struct err *err)
{
	struct err copy = *err;

	if (work->upload_id != NULL)
		s3_abort(work->st, work->key, work->upload_id);
	s3_put_over(work, &copy);
}

static void
on_checked(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	const char *length = fetch_reply_header(reply, "Content-Length");
	struct err lost;
	int64_t size;

	if (err == NULL && length != NULL &&
	    str_to_i64(length, 0, INT64_MAX, &size) && size == self->size) {
		s3_put_over(self, NULL);
		return;
	}
	err_set_name(&lost, ERR_UNAVAILABLE, "storage_unavailable",
	    "object store: the upload was lost");
	give_up(self, &lost);
}

static void
on_completed(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	if (err == NULL) {
		s3_put_over(self, NULL);
		return;
	}
	if (err->code == ERR_NOT_FOUND && self->tries > 1) {
		/* The first answer was lost: is the object there? */
		s3_request(self, "HEAD");
		s3_send(self, on_checked);
		return;
	}
	give_up(self, err);
}

static void
send_complete(struct storage_work *work)
{
	struct buf xml;

	s3_request(work, "POST");
	work->of_upload = work->upload_id;
	buf_init(&xml, 4 << 20);
	buf_puts(&xml, "<CompleteMultipartUpload>");
	for (int i = 0; i < work->n_parts; i++)
		buf_printf(&xml,
		    "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
		    i + 1, work->etags[i]);
	buf_puts(&xml, "</CompleteMultipartUpload>");
	sha256_hex(xml.data, xml.len, work->payload);
	work->body = buf_take(&xml, NULL);
	crash_point("s3_complete");
	s3_send(work, on_completed);
}

static void send_part(struct storage_work *work);

static void
on_part(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	const char *etag = fetch_reply_header(reply, "ETag");
	struct err odd;

	if (err != NULL) {
		give_up(self, err);
		return;
	}
	/* It goes back to them inside XML. */
	if (etag == NULL || strlen(etag) > 200 || strpbrk(etag, "<>&")) {
		err_set_name(&odd, ERR_UPSTREAM, "storage_refused",
		    "object store: a part has no ETag");
		give_up(self, &odd);
		return;
	}
	self->etags[self->next_part++] = xstrdup(etag);
	if (self->next_part < self->n_parts)
		send_part(self);
	else
		send_complete(self);
}

static void
send_part(struct storage_work *work)
{
	int64_t part = part_bytes(work);
	int64_t offset = work->next_part * part, left = work->size - offset;

	s3_request(work, "PUT");
	work->of_upload = work->upload_id;
	work->part = work->next_part + 1;
	work->from_fd = true;
	work->body_offset = offset;
	work->body_bytes = left < part ? left : part;
	(void)str_copy(work->payload, sizeof work->payload, SIGV4_UNSIGNED);
	s3_send(work, on_part);
}

static void
on_begun(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	struct err odd;

	if (err != NULL) {
		give_up(self, err);
		return;
	}
	self->upload_id = xml_text(buf_str(&reply->body), "UploadId");
	if (self->upload_id == NULL || self->upload_id[0] == '\0') {
		err_set_name(&odd, ERR_UPSTREAM, "storage_refused",
		    "object store: an upload has no id");
		free(self->upload_id);
		self->upload_id = NULL;
		give_up(self, &odd);
		return;
	}
	send_part(self);
}

void
s3_put_parts(struct storage_work *work)
{
	int64_t part = part_bytes(work), n = (work->size + part - 1) / part;

	work->n_parts = (int)n;
	work->etags = xcalloc((size_t)n, sizeof *work->etags);
	s3_request(work, "POST");
	work->uploads = true;
	work->with_type = true;
	s3_send(work, on_begun);
}

static void
on_aborted(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	if (err != NULL && err->code != ERR_NOT_FOUND)
		log_warn("key=%s msg=%s", self->key, log_text(err->msg));
	task_done(self, NULL, NULL);
}

void
s3_abort(struct storage *st, const char *key, const char *upload_id)
{
	struct storage_work *work = task_new(st, key, NULL, NULL, NULL);

	work->upload_id = xstrdup(upload_id);
	s3_request(work, "DELETE");
	work->of_upload = work->upload_id;
	s3_send(work, on_aborted);
}

/* One <Upload> of the list: abort it when it is a day old. */
static void
abort_stale(struct storage *st, const char *upload)
{
	char *key = xml_text(upload, "Key");
	char *id = xml_text(upload, "UploadId");
	char *begun = xml_text(upload, "Initiated");
	int64_t at_ms;

	/* Keys that are not ours are none of our business. */
	if (key != NULL && id != NULL && begun != NULL && storage_key_ok(key) &&
	    time_parse_rfc3339(begun, &at_ms) &&
	    clock_wall_ms() - at_ms > STALE_UPLOAD_MS) {
		log_info("key=%s msg=\"aborting a stale upload\"", key);
		s3_abort(st, key, id);
	}
	free(key);
	free(id);
	free(begun);
}

static void
on_listed(struct storage_work *self, const struct fetch_reply *reply,
    const struct err *err)
{
	const char *p = buf_str(&reply->body), *end;

	if (err != NULL)
		log_warn("msg=%s", log_text(err->msg));
	/* At most 1000 a time: the next sweep sees the rest. */
	while (err == NULL && (p = strstr(p, "<Upload>")) != NULL &&
	    (end = strstr(p, "</Upload>")) != NULL) {
		char *one = xstrndup(p, (size_t)(end - p));

		abort_stale(self->st, one);
		free(one);
		p = end;
	}
	task_done(self, NULL, NULL);
}

void
s3_sweep(struct storage *st)
{
	struct storage_work *work = task_new(st, "", NULL, NULL, NULL);

	s3_request(work, "GET");
	work->of_bucket = true;
	work->uploads = true;
	s3_send(work, on_listed);
}
