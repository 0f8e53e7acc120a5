/*
 * worker.c - our own GPU workers.  PostgreSQL holds the offer (the attempt is
 * `submitted`); the Redis list only tells idle workers where to look, and is
 * filled again when it is found empty.  Entries may come twice: the start is
 * a compare-and-swap.
 */
#define LOG_MODULE "jobs"
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/redis.h"

#define LIST "job-queue"

enum { PUSH_MAX = 64 /* offers on the list by one refill */ };

/* The links of an attempt for its worker. */
struct links {
	char *upload, *callback, *token, *start, *end;
};

static char *
token_of(const struct engine *engine, const char *attempt)
{
	uint8_t mac[32];
	char *text = xmalloc(48);

	hmac_sha256(engine->secret, engine->d.secret_len, attempt,
	    strlen(attempt), mac);
	b64url_encode(text, mac, sizeof mac);
	return text;
}

static void
links_init(struct links *links, const struct engine *engine,
    struct provider_job *pj, bool start, bool end)
{
	const char *base = engine->worker_url != NULL ? engine->worker_url : "";
	const char *id = pj->attempt_id;

	memset(links, 0, sizeof *links);
	links->upload = xasprintf("%s/api/v1/worker/jobs/%s/upload", base, id);
	links->callback = xasprintf("%s/api/v1/worker/jobs/%s", base, id);
	links->token = token_of(engine, id);
	if (start)
		links->start =
		    xasprintf("%s/api/v1/worker/jobs/%s/input/start", base, id);
	if (end)
		links->end =
		    xasprintf("%s/api/v1/worker/jobs/%s/input/end", base, id);
	pj->upload_url = links->upload;
	pj->callback_url = links->callback;
	pj->job_token = links->token;
	pj->base_url = base;
	pj->start.url = links->start;
	pj->end.url = links->end;
	pj->now_ms = clock_wall_ms();
}

static void
links_fini(struct links *links)
{
	free(links->upload);
	free(links->callback);
	free(links->token);
	free(links->start);
	free(links->end);
}

/* The payload: the adapter's, and the names reel-worker reads. */
static bool
build(const struct provider *provider, const struct provider_job *pj,
    struct json_object **out, struct err *err)
{
	struct json_object *options = json_obj_at(pj->params, "options");

	if (!provider->payload(pj, out, err))
		return false;
	json_set_text(*out, "token", pj->job_token);
	json_set_text(*out, "baseUrl", pj->base_url);
	json_set_num(*out, "durationS", (double)pj->spec->duration_ms / 1000);
	if (options != NULL)
		json_set_copy(*out, "params", options);
	return true;
}

bool
engine_worker_payload(struct engine *engine, struct json_object *work,
    struct json_object **out, struct err *err)
{
	const struct provider *provider = provider_by_name("worker");
	struct provider_job pj = {0};
	struct gen_spec spec;
	struct links links;
	bool ok;

	*out = NULL;
	if (provider == NULL || provider->payload == NULL)
		return err_set(err, ERR_INTERNAL, "no worker provider");
	if (!spec_from_json(json_obj_at(work, "spec"), &spec, err))
		return false;
	if (spec.prompt == NULL)
		spec.prompt = xstrdup(json_text_at(work, "prompt"));
	if (spec.negative_prompt == NULL)
		spec.negative_prompt =
		    xstrdup(json_text_at(work, "negative_prompt"));
	pj.generation_id = json_text_at(work, "generation_id");
	pj.attempt_id = json_text_at(work, "attempt_id");
	pj.user_id = json_text_at(work, "user_id");
	pj.nonce = json_text_at(work, "nonce");
	pj.endpoint = json_text_at(work, "endpoint");
	pj.params = json_obj_at(work, "params");
	pj.spec = &spec;
	if (pj.attempt_id == NULL || pj.generation_id == NULL) {
		spec_fini(&spec);
		return err_set(err, ERR_INTERNAL, "not a job");
	}
	links_init(&links, engine, &pj, json_text_at(work, "start_key") != NULL,
	    json_text_at(work, "end_key") != NULL);
	ok = build(provider, &pj, out, err);
	links_fini(&links);
	spec_fini(&spec);
	return ok;
}

static void
on_pushed(const struct redisReply *reply, const struct err *err, void *arg)
{
	(void)reply;
	(void)arg;
	if (err != NULL)
		log_debug("msg=%s", log_text(err->msg));
}

static void
push(struct job *job)
{
	struct engine *engine = job->engine;
	struct json_object *doc = NULL;
	struct provider_job pj;
	struct links links;
	struct err err = {0};
	char *text;

	job_provider(job, &pj);
	links_init(&links, engine, &pj, job->images[0].key[0] != '\0',
	    job->images[1].key[0] != '\0');
	if (!build(job->lane->provider, &pj, &doc, &err)) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		links_fini(&links);
		return;
	}
	links_fini(&links);
	text = json_dump_text(doc);
	json_free(&doc);
	redis_command_start(engine->d.redis, NULL, on_pushed, NULL, 3,
	    (const char *const[]){"LPUSH", LIST, text}, NULL);
	free(text);
}

/* An attempt was offered: tell whoever waits at the list. */
void
worker_offered(struct job *job)
{
	struct engine *engine = job->engine;

	if (engine->d.redis != NULL && redis_up(engine->d.redis) &&
	    job->has_spec && job->lane->provider->payload != NULL)
		push(job);
}

static void
on_length(const struct redisReply *reply, const struct err *err, void *arg)
{
	struct engine *engine = arg;
	struct job *job;
	int n = 0;

	if (err != NULL || reply->type != REDIS_REPLY_INTEGER ||
	    reply->integer > 0)
		return;
	TAILQ_FOREACH (job, &engine->jobs, entry) {
		if (job->lane->provider->transport != PROVIDER_WORKER ||
		    !job->state.have_id || job->taken || job->state.cancel ||
		    job->result_url != NULL)
			continue;
		worker_offered(job);
		if (++n == PUSH_MAX)
			break;
	}
}

/* The list may have been lost with Redis: look every few seconds. */
static void
refill(struct engine *engine)
{
	struct lane *lane = lane_find(engine, "worker");

	if (lane == NULL || lane->running == 0 || engine->d.redis == NULL ||
	    !redis_up(engine->d.redis) || engine->length_call != NULL)
		return;
	redis_command_start(engine->d.redis, &engine->length_call, on_length,
	    engine, 2, (const char *const[]){"LLEN", LIST}, NULL);
}

static void
on_lost(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct engine *engine = arg;

	if (err != NULL)
		return;
	for (int i = 0; i < pg_count(rows); i++) {
		const char *generation = pg_text(rows, i, "generation_id");
		struct job *job = job_find(engine, generation);

		log_warn("attempt=%s outcome=%s msg=\"worker lost\"",
		    pg_text(rows, i, "attempt_id"),
		    pg_text(rows, i, "outcome"));
		if (job != NULL)
			job->taken = false;
		engine_hurry(engine, generation);
	}
}

void
worker_offer(struct engine *engine, int step)
{
	if (step % 3 == 0)
		refill(engine);
	if (step % 5 == 0 && engine->push_query == NULL)
		pg_query_start(engine->d.pg, STMT_WORKER_JOBS_LOST,
		    PG_ARGS("45 seconds", pg_num(100)), &engine->push_query,
		    on_lost, engine);
}

void
worker_push_cancel(struct engine *engine)
{
	redis_call_cancel(&engine->length_call);
}

/* --- What a worker uploads
 * ------------------------------------------------------ */

struct engine_upload {
	struct engine_upload **slot;
	struct storage_work *storage;
	engine_upload_fn *done;
	void *arg;
	char key[160];
};

static void
on_put(const struct storage_object *object, const struct err *err, void *arg)
{
	struct engine_upload *self = arg;

	(void)object;
	*self->slot = NULL;
	self->done(err == NULL ? self->key : NULL, err, self->arg);
	free(self);
}

void
engine_upload_start(struct engine *engine, const char *generation,
    const struct engine_upload_in *in, struct engine_upload **slot,
    engine_upload_fn *done, void *arg)
{
	struct engine_upload *self = xcalloc(1, sizeof *self);
	char hex[65];
	struct storage_put put = {.key = self->key,
	    .fd = in->fd,
	    .size = in->size_bytes,
	    .temp = in->temp,
	    .sha256 = in->sha256,
	    .type = "video/mp4",
	    .visibility = STORAGE_PRIVATE};

	self->slot = slot;
	self->done = done;
	self->arg = arg;
	*slot = self;
	hex_encode(hex, in->sha256, 32);
	snprintf(self->key, sizeof self->key, "videos/%.36s/%s.mp4", generation,
	    hex);
	storage_put_start(
	    engine->d.storage, &put, &self->storage, on_put, self);
}

void
engine_upload_cancel(struct engine_upload **slot)
{
	struct engine_upload *self = *slot;

	*slot = NULL;
	if (self == NULL)
		return;
	storage_cancel(&self->storage);
	free(self);
}
