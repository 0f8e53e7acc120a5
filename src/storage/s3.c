/*
 * s3.c - one signed request to the bucket, sent again while that may help.
 *
 * Everything asked of a bucket may be repeated: puts and deletes say the
 * same thing twice, an upload begun twice is swept later.
 */
#define LOG_MODULE "storage"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "storage/internal.h"

static bool
is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* "https://host:443" reads "host" in a Host header. */
static char *
host_header(const char *origin)
{
	const char *host = strstr(origin, "://") + 3;
	size_t len = strlen(host);

	if (str_starts(origin, "https://") && str_ends(host, ":443"))
		len -= 4;
	if (str_starts(origin, "http://") && str_ends(host, ":80"))
		len -= 3;
	return xstrndup(host, len);
}

static bool
bucket_ok(const char *bucket)
{
	return strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") ==
	    strlen(bucket);
}

struct s3 *
s3_new(const struct storage_opts *opts, struct err *err)
{
	struct s3 *s3;
	bool r2 = !is_set(opts->endpoint) && is_set(opts->account_id);
	char origin[300], *endpoint;
	bool path_style = opts->path_style || r2;

	if (!is_set(opts->bucket) || !bucket_ok(opts->bucket) ||
	    !is_set(opts->access_key) || !is_set(opts->secret_key) ||
	    (!r2 && !is_set(opts->endpoint))) {
		err_set(err, ERR_INVALID,
		    "S3 needs s3.endpoint (or an R2 account), s3.bucket, "
		    "s3.access_key and s3.secret_key");
		return NULL;
	}
	endpoint = r2
	    ? xasprintf("https://%s.r2.cloudflarestorage.com", opts->account_id)
	    : xstrdup(opts->endpoint);
	if (!fetch_url_origin(endpoint, origin, sizeof origin) ||
	    (!str_starts(origin, "https://") &&
		!str_starts(origin, "http://"))) {
		free(endpoint);
		err_set(err, ERR_INVALID, "s3.endpoint is not a URL");
		return NULL;
	}
	free(endpoint);
	s3 = xcalloc(1, sizeof *s3);
	if (path_style) {
		s3->base = xstrdup(origin);
		s3->key_prefix = xasprintf("/%s/", opts->bucket);
	} else {
		const char *host = strstr(origin, "://") + 3;

		s3->base = xasprintf("%.*s%s.%s", (int)(host - origin), origin,
		    opts->bucket, host);
		s3->key_prefix = xstrdup("/");
	}
	s3->host = host_header(s3->base);
	s3->access = xstrdup(opts->access_key);
	s3->secret = xstrdup(opts->secret_key);
	s3->region = xstrdup(is_set(opts->region) ? opts->region
		: r2				  ? "auto"
						  : "us-east-1");
	s3->allow_private = opts->allow_private;
	s3->part_bytes = opts->part_bytes > 0 ? opts->part_bytes : 16 << 20;
	s3->multipart_over_bytes = opts->multipart_over_bytes > 0
	    ? opts->multipart_over_bytes
	    : 64 << 20;
	return s3;
}

void
s3_free(struct s3 *s3)
{
	if (s3 == NULL)
		return;
	explicit_bzero(s3->secret, strlen(s3->secret));
	free(s3->base);
	free(s3->host);
	free(s3->key_prefix);
	free(s3->access);
	free(s3->secret);
	free(s3->region);
	free(s3);
}

void
s3_work_free(struct storage_work *work)
{
	for (int i = 0; work->etags != NULL && i < work->n_parts; i++)
		free(work->etags[i]);
	free(work->etags);
	free(work->upload_id);
	free(work->body);
	free(work->temp);
	free(work->type);
}

void
s3_request(struct storage_work *work, const char *method)
{
	work->method = method;
	work->of_bucket = work->uploads = work->with_type = false;
	work->of_upload = NULL;
	work->part = 0;
	work->from_fd = false;
	free(work->body);
	work->body = NULL;
	work->body_offset = work->body_bytes = 0;
	(void)str_copy(work->payload, sizeof work->payload, SIGV4_EMPTY);
	work->tries = 0;
}

static struct sigv4_keys
keys_of(const struct s3 *s3)
{
	return (struct sigv4_keys){s3->access, s3->secret, s3->region, "s3"};
}

static const char *
cache_control(const struct storage_work *work)
{
	return work->visibility == STORAGE_PUBLIC
	    ? "public, max-age=31536000, immutable"
	    : "private, max-age=86400";
}

/* Signs what is signed, and puts the same into spec. */
static void
sign_spec(struct storage_work *work, struct sigv4_request *req,
    struct fetch_spec *spec)
{
	const struct s3 *s3 = work->st->s3;
	struct sigv4_keys keys = keys_of(s3);
	char date[SIGV4_DATE_SIZE];
	struct buf authorization;

	sigv4_date(clock_wall_ms(), date);
	req->payload = work->payload;
	sigv4_header(req, "x-amz-content-sha256", work->payload);
	sigv4_header(req, "x-amz-date", date);
	if (work->with_type) {
		sigv4_header(req, "content-type", work->type);
		sigv4_header(req, "cache-control", cache_control(work));
	}
	for (int i = 0; i < req->n_headers; i++)
		fetch_spec_header(
		    spec, req->headers[i].name, req->headers[i].value);
	sigv4_header(req, "host", s3->host);
	buf_init(&authorization, 4096);
	sigv4_authorization(&keys, req, date, &authorization);
	fetch_spec_secret(spec, "Authorization", buf_str(&authorization));
	buf_fini(&authorization);
}

static void
fill_spec(struct storage_work *work, struct fetch_spec *spec)
{
	const struct s3 *s3 = work->st->s3;
	struct sigv4_request req = {.method = work->method};
	struct buf url;
	char part[16], *path;

	path =
	    xasprintf("%s%s", s3->key_prefix, work->of_bucket ? "" : work->key);
	req.path = path;
	snprintf(part, sizeof part, "%d", work->part);
	if (work->uploads)
		sigv4_query(&req, "uploads", "");
	if (work->of_upload != NULL)
		sigv4_query(&req, "uploadId", work->of_upload);
	if (work->part > 0)
		sigv4_query(&req, "partNumber", part);
	buf_init(&url, 8192);
	buf_puts(&url, s3->base);
	sigv4_target(&req, &url);
	fetch_spec_init(spec, work->method, buf_str(&url));
	fetch_spec_provider(spec, s3->base, s3->allow_private);
	sign_spec(work, &req, spec);
	if (work->from_fd) {
		spec->body_fd = work->fd;
		spec->body_offset = work->body_offset;
		spec->body_bytes = work->body_bytes;
		spec->low_speed_ms = 30000;
		spec->timeout_ms = 60000 + work->body_bytes / 20;
	} else if (work->body != NULL)
		fetch_spec_body(spec,
		    work->with_type ? NULL : "application/xml", work->body,
		    strlen(work->body));
	spec->max_bytes = S3_XML_MAX;
	spec->tag = "s3";
	buf_fini(&url);
	free(path);
}

char *
xml_text(const char *xml, const char *name)
{
	static const struct {
		const char *entity;
		char c;
	} entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'},
	    {"&quot;", '"'}, {"&apos;", '\''}, {"&#34;", '"'}};
	char *open = xasprintf("<%s>", name), *close = xasprintf("</%s>", name);
	const char *start = strstr(xml, open), *end;
	struct buf out;

	start = start != NULL ? start + strlen(open) : NULL;
	end = start != NULL ? strstr(start, close) : NULL;
	free(open);
	free(close);
	if (end == NULL)
		return NULL;
	buf_init(&out, S3_XML_MAX);
	while (start < end) {
		size_t i = 0;

		while (i < nitems(entities) &&
		    !str_starts(start, entities[i].entity))
			i++;
		if (i < nitems(entities)) {
			buf_putc(&out, entities[i].c);
			start += strlen(entities[i].entity);
		} else
			buf_putc(&out, *start++);
	}
	if (out.len == 0) {
		buf_fini(&out);
		return xstrdup("");
	}
	return buf_take(&out, NULL);
}

/* What to tell the caller; false: that is final. */
static bool
read_answer(const struct fetch_reply *reply, const struct err *fetch_err,
    struct err *err, bool *again)
{
	char *code;

	*again = false;
	if (fetch_err != NULL) {
		if (fetch_err->code == ERR_STORAGE ||
		    fetch_err->code == ERR_INTERNAL) {
			*err = *fetch_err; /* our own disk */
			return false;
		}
		*again = fetch_err->code != ERR_FORBIDDEN &&
		    fetch_err->code != ERR_BAD_INPUT;
		return err_set_name(err,
		    *again ? ERR_UNAVAILABLE : ERR_UPSTREAM,
		    *again ? "storage_unavailable" : "storage_refused",
		    "object store: %s", fetch_err->msg);
	}
	code = xml_text(buf_str(&reply->body), "Code");
	/* A finished multipart upload may report its failure with a 200. */
	if (reply->status < 300 && code == NULL)
		return true;
	*again = fetch_reply_may_retry(reply) || reply->status < 300 ||
	    str_eq(code, "RequestTimeout") || str_eq(code, "OperationAborted");
	if (*again)
		err_set_name(err, ERR_UNAVAILABLE, "storage_unavailable",
		    "object store: status %d", reply->status);
	else if (reply->status == 404 && !str_eq(code, "NoSuchBucket"))
		err_set_name(err, ERR_NOT_FOUND, "not_found", "no such object");
	else
		err_set_name(err, ERR_UPSTREAM, "storage_refused",
		    "object store: status %d %.60s", reply->status,
		    code != NULL ? code : "");
	free(code);
	return false;
}

static void
on_reply(
    const struct fetch_reply *reply, const struct err *fetch_err, void *arg)
{
	struct storage_work *self = arg;
	struct err err = {0};
	int64_t delay_ms;
	bool again;

	if (read_answer(reply, fetch_err, &err, &again)) {
		self->s3_done(self, reply, NULL);
		return;
	}
	if (!again || self->tries >= S3_TRIES) {
		self->s3_done(self, reply, &err);
		return;
	}
	self->st->stats.retries++;
	delay_ms = 250LL << self->tries;
	if (reply->retry_after_s > 0)
		delay_ms = 1000LL *
		    (reply->retry_after_s < 60 ? reply->retry_after_s : 60);
	log_warn("key=%s try=%d status=%d msg=%s", self->key, self->tries,
	    reply->status, log_text(err.msg));
	timer_set_jitter_ms(&self->retry, delay_ms, 50);
}

static void
on_send(void *arg)
{
	struct storage_work *self = arg;
	struct fetch_spec spec;

	self->tries++;
	fill_spec(self, &spec);
	fetch_start(self->st->fetch, &spec, &self->call, on_reply, self);
}

void
s3_send(struct storage_work *work, s3_done_fn *done)
{
	work->s3_done = done;
	if (work->retry.event == NULL)
		timer_init(
		    &work->retry, work->st->loop, "s3 retry", on_send, work);
	on_send(work);
}

char *
s3_presign(const struct s3 *s3, const char *method, const char *key,
    int64_t ttl_s, const char *disposition)
{
	struct sigv4_request req = {.method = method};
	struct sigv4_keys keys = keys_of(s3);
	char *path = xasprintf("%s%s", s3->key_prefix, key);
	char date[SIGV4_DATE_SIZE];
	struct buf url;

	req.path = path;
	sigv4_date(clock_wall_ms(), date);
	sigv4_header(&req, "host", s3->host);
	if (disposition != NULL)
		sigv4_query(&req, "response-content-disposition", disposition);
	buf_init(&url, 8192);
	buf_puts(&url, s3->base);
	sigv4_presign(&keys, &req, date, ttl_s, &url);
	free(path);
	return buf_take(&url, NULL);
}
