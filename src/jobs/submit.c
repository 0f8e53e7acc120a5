/*
 * submit.c - the one request that costs money.
 *
 * The attempt row is committed before a byte leaves.  Then the inputs are
 * read, an adapter may prepare (upload an image), and the paid request goes
 * out exactly once.  Its answer is one of: accepted, refused, busy, surely
 * not sent, or unknown; step() decides what follows.
 */
#define LOG_MODULE "jobs"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/price.h"

enum { IMAGE_MAX = 20 * 1024 * 1024 };

void
submit_attempt(struct job *job)
{
	struct json_object *request = json_new();
	struct price_input in = price_input_of(&job->spec);
	char *text, *token, hash[67] = "\\x";
	int64_t cost;
	bool known;

	job->attempt = id_new();
	job->nonce = id_new();
	token = job_token(job);
	json_set_text(request, "endpoint", job->endpoint);
	json_set_copy(request, "params", job->params);
	text = json_dump_text(request);
	json_free(&request);
	sha256_hex(token, strlen(token), hash + 2);
	known = job->has_spec && price_cost(job->cost_rule, &in, &cost);
	crash_point("submit.before_attempt_commit");
	pg_query_start(job->engine->d.pg, STMT_ATTEMPT_START,
	    PG_ARGS(job->id.text, job->engine->instance.text, job->attempt.text,
		job->nonce.text, hash, NULL, text, known ? pg_num(cost) : NULL),
	    &job->query, job_on_sql, job);
	free(text);
	free(token);
}

/* --- Input images --------------------------------------------------------- */

/* A file being read on a pool thread; lives until the thread is done. */
struct read_image {
	int fd;
	char *data;
	size_t len;
};

static bool
read_all(void *arg, struct err *err)
{
	struct read_image *self = arg;

	self->data = xmalloc(IMAGE_MAX + 1);
	while (self->len <= IMAGE_MAX) {
		ssize_t n = pread(self->fd, self->data + self->len,
		    IMAGE_MAX + 1 - self->len, (off_t)self->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(
			    err, ERR_INTERNAL, "input: %s", strerror(errno));
		if (n == 0)
			return true;
		self->len += (size_t)n;
	}
	return err_set(err, ERR_TOO_LARGE, "input image too large");
}

static void
read_release(void *arg)
{
	struct read_image *self = arg;

	close(self->fd);
	free(self->data);
	free(self);
}

void
submit_images_free(struct job *job)
{
	for (int i = 0; i < 2; i++) {
		free(job->image_data[i]);
		free(job->image_url[i]);
		job->image_data[i] = NULL;
		job->image_url[i] = NULL;
		job->image_len[i] = 0;
	}
	job->images_done = 0;
}

static void load_images(struct job *job);

static void
image_failed(struct job *job, const struct err *err)
{
	log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
	if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT) {
		job_on_why(job, ON_NOT_SENT, NULL);
		return;
	}
	job_why(job, "bad_input", "image_unavailable",
	    "An input image is not available any more.", err->msg, false);
	job_on_why(job, ON_REFUSED, "image_unavailable");
}

static void
on_image_read(const struct err *err, void *arg)
{
	struct job *job = arg;
	int i = job->images_done;

	if (err != NULL) {
		job->image = NULL;
		image_failed(job, err);
		return;
	}
	job->image_data[i] = job->image->data;
	job->image_len[i] = job->image->len;
	job->image->data = NULL;
	job->image = NULL;
	job->images_done++;
	load_images(job);
}

static void
on_image_fetched(
    const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	int i = job->images_done;
	struct err why = {0};

	if (err == NULL && reply->status == 200) {
		job->image_data[i] = xmemdup(reply->body.data, reply->body.len);
		job->image_len[i] = reply->body.len;
		job->images_done++;
		load_images(job);
		return;
	}
	if (err != NULL && err->code == ERR_TOO_LARGE)
		why = *err;
	else if (err == NULL && reply->status == 404)
		(void)err_set(&why, ERR_NOT_FOUND, "the input is gone");
	else /* our own store stutters: nothing was paid for yet */
		(void)err_set(&why, ERR_UNAVAILABLE, "input: %s, status %d",
		    err != NULL ? err->msg : "not served", reply->status);
	image_failed(job, &why);
}

/* From our own store, for providers that want the bytes. */
static void
fetch_image(struct job *job, const char *url)
{
	struct fetch_spec spec;

	fetch_spec_init(&spec, "GET", url);
	fetch_spec_provider(&spec, url, true);
	spec.max_bytes = IMAGE_MAX;
	spec.tag = "storage";
	fetch_start(
	    job->engine->d.fetch, &spec, &job->call, on_image_fetched, job);
}

/* A bucket: a link that outlives the wait in their queue, or the bytes where
 * they want those or can't reach the bucket. */
static void
image_link(struct job *job, const char *url)
{
	const struct engine_deps *d = &job->engine->d;
	int64_t ttl_s = job->deadline_s + 3600;
	int i = job->images_done;

	if (d->store_private || job->lane->provider->image_data) {
		fetch_image(job, url);
		return;
	}
	job->image_url[i] = storage_presign(d->storage, "GET",
	    i == 0 ? job->start_key : job->end_key,
	    ttl_s < 7 * 86400 ? ttl_s : 7 * 86400, NULL);
	job->images_done++;
	load_images(job);
}

static void
on_image_open(
    const struct storage_object *object, const struct err *err, void *arg)
{
	struct job *job = arg;

	if (err != NULL) {
		image_failed(job, err);
		return;
	}
	if (object->url != NULL) {
		image_link(job, object->url);
		return;
	}
	job->image = xcalloc(1, sizeof *job->image);
	job->image->fd = object->fd;
	work_start(job->engine->d.media, read_all, read_release, job->image,
	    &job->work, on_image_read, job);
}

/* --- The requests --------------------------------------------------------- */

static void ask(struct job *job, enum provider_step what);

static void
fill(struct job *job, struct provider_job *out, char **callback)
{
	job_provider(job, out);
	*callback = NULL;
	if (job->engine->public_url != NULL) {
		char *token = job_token(job);

		*callback =
		    xasprintf("%s/hooks/%s/%s/%s", job->engine->public_url,
			job->lane->provider->name, job->attempt.text, token);
		out->callback_url = *callback;
		free(token);
	}
	out->start.url = job->image_url[0];
	out->start.data = job->image_data[0];
	out->start.len = job->image_len[0];
	out->start.mime = job->start_mime;
	out->end.url = job->image_url[1];
	out->end.data = job->image_data[1];
	out->end.len = job->image_len[1];
	out->end.mime = job->end_mime;
}

static void
refused(struct job *job, struct provider_verdict *verdict)
{
	job->engine->stats.submit_refused++;
	job_why_verdict(job, verdict);
	log_info("job=%s attempt=%s code=%s msg=\"submit refused\"",
	    job->id.text, job->attempt.text, log_text(job->why_code));
}

static void
prepared(struct job *job, struct provider_verdict *verdict, int status)
{
	switch (verdict->state) {
	case PROVIDER_FAILED:
	case PROVIDER_REFUSED: {
		struct step_event event = {.on = ON_REFUSED};

		refused(job, verdict);
		/* Nothing was paid for: another account or route may do. */
		if (account_refused(job, verdict, status))
			event.on = ON_BUSY;
		provider_verdict_fini(verdict);
		event.why = job->why_code;
		job_on(job, &event);
		return;
	}
	case PROVIDER_UNKNOWN:
	case PROVIDER_BUSY: {
		/* Nothing was paid for yet. */
		struct step_event event = {.on = ON_NOT_SENT,
		    .retry_after_ms = verdict->retry_after_s * 1000LL};

		job->engine->stats.submit_not_sent++;
		provider_verdict_fini(verdict);
		job_on(job, &event);
		return;
	}
	default: {
		enum provider_step next = verdict->next;

		provider_verdict_fini(verdict);
		ask(job,
		    next == PROVIDER_STEP_PREPARE ? PROVIDER_STEP_PREPARE
						  : PROVIDER_STEP_SUBMIT);
	}
	}
}

static void
submitted(struct job *job, struct provider_verdict *verdict,
    const struct fetch_reply *reply)
{
	struct step_event event = {.on = ON_UNCERTAIN,
	    .retry_after_ms = verdict->retry_after_s * 1000LL};
	struct engine_stats *stats = &job->engine->stats;
	enum submit_outcome outcome = SUBMIT_UNCERTAIN;

	account_verdict_clear(job);
	switch (verdict->state) {
	case PROVIDER_FAILED:
	case PROVIDER_REFUSED:
	case PROVIDER_CANCELLED:
		refused(job, verdict);
		event.on = ON_REFUSED;
		event.why = job->why_code;
		outcome = SUBMIT_REFUSED;
		/* Not about the video: another account or route may do. */
		if (account_refused(job, verdict, reply->status))
			event.on = ON_BUSY;
		break;
	case PROVIDER_BUSY:
		event.on =
		    reply->sent == FETCH_NOT_SENT ? ON_NOT_SENT : ON_BUSY;
		outcome = event.on == ON_BUSY ? SUBMIT_BUSY : SUBMIT_NOT_SENT;
		if (event.on == ON_BUSY)
			account_hold(job);
		stats->submit_busy += event.on == ON_BUSY;
		stats->submit_not_sent += event.on == ON_NOT_SENT;
		break;
	case PROVIDER_QUEUED:
	case PROVIDER_RUNNING:
	case PROVIDER_DONE:
		if (job->provider_id == NULL)
			break;
		/* Before its commit: an operator can adopt it from the log. */
		log_info("job=%s attempt=%s nonce=%s provider=%s "
			 "provider_id=%s msg=\"accepted\"",
		    job->id.text, job->attempt.text, job->nonce.text,
		    job->lane->provider->name, log_text(job->provider_id));
		event.on = ON_ACCEPTED;
		outcome = SUBMIT_ACCEPTED;
		job->position = verdict->queue_position;
		break;
	default:
		break;
	}
	if (event.on == ON_UNCERTAIN) {
		stats->submit_uncertain++;
		job_why(job, "uncertain", "provider_unknown",
		    "The provider gave no clear answer; your credits were "
		    "returned.",
		    verdict->provider_message, true);
		event.why = job->why_code;
		log_warn("job=%s attempt=%s nonce=%s provider=%s code=%s "
			 "status=%d ms=%lld msg=\"orphan_submit: answer "
			 "lost\"",
		    job->id.text, job->attempt.text, job->nonce.text,
		    job->lane->provider->name, log_text(verdict->code),
		    reply->status, (long long)reply->total_ms);
		stats->orphan_submits += job->state.class == STEP_CLASS_D;
	}
	account_note(job, outcome);
	provider_verdict_fini(verdict);
	job_on(job, &event);
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct provider_verdict verdict;
	struct provider_job pj;
	char *callback;

	if (job->asking == PROVIDER_STEP_SUBMIT)
		crash_point("submit.answered");
	fill(job, &pj, &callback);
	provider_read(
	    job->lane->provider, job->asking, &pj, reply, err, &verdict);
	free(callback);
	job_learn(job, &verdict);
	if (job->asking == PROVIDER_STEP_PREPARE)
		prepared(job, &verdict, reply->status);
	else
		submitted(job, &verdict, reply);
}

static void
ask(struct job *job, enum provider_step what)
{
	struct provider_job pj;
	struct fetch_spec spec;
	struct err err = {0};
	char *callback;
	bool ok;

	fill(job, &pj, &callback);
	ok = provider_build(job->lane->provider, what, &pj, &spec, &err);
	free(callback);
	if (!ok) {
		job_why(job, "bad_input", err_code_name(&err),
		    "This request can't be made with this model.", err.msg,
		    false);
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		/* Nothing was sent, and another route may know how. */
		job->leave = true;
		job_later(job, ON_BUSY, job->why_code);
		return;
	}
	job->asking = what;
	if (what == PROVIDER_STEP_SUBMIT) {
		job->engine->stats.submits++;
		crash_point("submit.sending");
	}
	fetch_start(job->engine->d.fetch, &spec, &job->call, on_reply, job);
	if (what == PROVIDER_STEP_SUBMIT)
		crash_point("submit.sent");
}

/* Reads the inputs one after the other, then asks. */
static void
load_images(struct job *job)
{
	struct provider_job pj;
	char *callback;

	while (job->images_done < 2) {
		const char *key =
		    job->images_done == 0 ? job->start_key : job->end_key;

		if (key[0] != '\0') {
			storage_open_start(job->engine->d.storage, key,
			    &job->storage, on_image_open, job);
			return;
		}
		job->images_done++;
	}
	fill(job, &pj, &callback);
	free(callback);
	pj.callback_url = NULL;
	ask(job,
	    provider_wants_prepare(job->lane->provider, &pj)
		? PROVIDER_STEP_PREPARE
		: PROVIDER_STEP_SUBMIT);
}

void
submit_send(struct job *job)
{
	if (job->lane->provider->transport == PROVIDER_WORKER) {
		/* The offer is the committed attempt itself. */
		free(job->provider_id);
		job->provider_id = xstrdup(job->attempt.text);
		job_later(job, ON_ACCEPTED, NULL);
		return;
	}
	if (!job->has_spec) {
		job_why(job, "internal", "bad_spec",
		    "The stored request can't be read.", NULL, false);
		job_later(job, ON_REFUSED, job->why_code);
		return;
	}
	submit_images_free(job);
	load_images(job);
}

void
submit_record(struct job *job)
{
	char *refs = job->refs != NULL ? json_dump_text(job->refs) : NULL;

	submit_images_free(job);
	crash_point("submit.before_record");
	pg_query_start(job->engine->d.pg, STMT_ATTEMPT_SUBMITTED,
	    PG_ARGS(job->attempt.text, job->engine->instance.text,
		job->provider_id, refs,
		job->position >= 0 ? pg_num(job->position) : NULL, NULL),
	    &job->query, job_on_sql, job);
	free(refs);
}
