/*
 * worker.c - our GPU workers introduce themselves, beat, and ask for jobs.
 * What they say about a job is in worker_job.c.
 */
#define LOG_MODULE "api"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/worker.h"
#include "reeld/clock.h"
#include "reeld/jobs.h"
#include "reeld/live.h"
#include "reeld/log.h"
#include "reeld/token.h"

enum { HEARTBEAT_S = 10, MAX_WAIT_S = 25, LOOK_MS = 500 };

bool
worker_may(struct http_call *call)
{
	const struct identity *me = api_me(call);

	if (me->kind == IDENTITY_KEY ? (me->scopes & SCOPE_WORKER) != 0 &&
		    me->user_role >= ROLE_OPERATOR
				     : me->role >= ROLE_OPERATOR)
		return true;
	return api_refuse(call, ERR_FORBIDDEN, "not_a_worker",
	    "This needs an operator's API key with the scope worker.");
}

bool
worker_token_is(const struct http_call *call, const struct id *attempt)
{
	const struct app *app = api_app(call);
	const char *token = http_header(call, "X-Job-Token");
	uint8_t mac[32];
	char text[48];
	size_t len;

	if (token == NULL)
		return true;
	hmac_sha256(app->secret, app->secret_len, attempt->text, ID_LEN, mac);
	len = b64url_encode(text, mac, sizeof mac);
	return secret_eq(text, len, token, strlen(token));
}

bool
worker_token_ok(const struct http_call *call)
{
	const char *token = http_header(call, "X-Job-Token");
	const char *attempt = http_arg(call, "attempt");
	uint8_t hash[32];
	struct id id;

	if (token == NULL)
		return true;
	if (attempt == NULL) /* named in the body */
		return token_hash(token, hash);
	return id_parse(attempt, &id) && worker_token_is(call, &id);
}

bool
worker_token_read(struct http_call *call, char out[67])
{
	const char *token = http_header(call, "X-Job-Token");
	uint8_t hash[32];

	out[0] = '\0';
	if (token == NULL)
		return worker_may(call);
	sha256(token, strlen(token), hash);
	hash_to_bytea(hash, out);
	return true;
}

bool
worker_call_read(struct http_call *call, struct worker_call *out)
{
	return worker_token_read(call, out->token) &&
	    api_id(call, "attempt", &out->attempt);
}

void
worker_refuse(struct act *act, const char *outcome)
{
	if (strcmp(outcome, "not_found") == 0)
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such job.");
	else if (strcmp(outcome, "bad_token") == 0)
		act_refuse(act, ERR_UNAUTHORIZED, "bad_token",
		    "This is not the token of the job.");
	else if (strcmp(outcome, "taken") == 0)
		act_refuse(
		    act, ERR_CONFLICT, "taken", "Another worker has this job.");
	else if (strcmp(outcome, "no_upload") == 0)
		act_refuse(act, ERR_INVALID, "no_upload",
		    "Send the video first, by PUT to the job's uploadUrl.");
	else
		act_refuse(act, ERR_GONE, outcome,
		    "This job is over, cancelled, or another worker's.");
}

static void
tell(struct app *app, const char *type, const char *worker,
    struct json_object **data)
{
	char *text = json_dump_text(*data);
	struct live_event event = {.type = type,
	    .topics = {"admin:workers"},
	    .n_topics = 1,
	    .data = text,
	    .data_len = strlen(text)};
	char object[64];

	if (worker != NULL) {
		snprintf(object, sizeof object, "worker:%s", worker);
		event.object = object;
	}
	live_publish(app->live, &event);
	free(text);
	json_free(data);
}

void
worker_news(struct act *act, const struct pg_rows *rows, const char *type,
    const char *worker)
{
	struct json_object *data = json_new();

	engine_hurry(act->app->engine, pg_text(rows, 0, "generation_id"));
	json_set_text(data, "id", worker);
	api_set_text(data, "attempt_id", rows, 0, "attempt_id");
	api_set_text(data, "generation_id", rows, 0, "generation_id");
	tell(act->app, type, worker, &data);
}

/* ---- register ---- */

struct registration {
	char *name, *version, *gpu;
	struct json_texts capabilities;
	struct json_int vram_mb;
	struct id id;
};
static const struct json_field registration_fields[] = {
    JTEXT(struct registration, name, 1, 100, JREQ),
    JTEXT(struct registration, version, 0, 40),
    JTEXTS(struct registration, capabilities, 16, 40),
    JTEXT(struct registration, gpu, 0, 100, JAS("gpu_name")),
    JINT(struct registration, vram_mb, 0, 1 << 24),
    JID(struct registration, id, JAS("worker_id")),
};

static void
on_registered(
    struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj, *data;
	const char *id;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	id = pg_text(rows, 0, "id");
	data = json_new();
	json_set_text(data, "id", id);
	json_set_text(data, "name", act->arg);
	tell(act->app, "worker.online", id, &data);
	obj = json_new();
	json_set_text(obj, "worker_id", id);
	json_set_int(obj, "heartbeat_s", HEARTBEAT_S);
	act_reply(act, 200, &obj);
}

void
api_worker_register(struct http_call *call)
{
	struct registration in;
	struct json_object *list;
	struct act *act;
	struct err err;
	char *caps;

	if (!worker_may(call))
		return;
	if (!json_read(http_json(call), registration_fields,
		nitems(registration_fields), &in, &err)) {
		http_reply_err(call, &err);
		return;
	}
	list = json_new_arr();
	for (size_t i = 0; i < in.capabilities.n; i++)
		json_add_text(list, in.capabilities.v[i]);
	caps = json_dump_text(list);
	json_free(&list);
	act = act_new(call, xstrdup(in.name), free);
	act_query(act, STMT_WORKER_REGISTER,
	    PG_ARGS(id_is_set(&in.id) ? in.id.text : NULL, in.name, NULL,
		in.version, caps, in.gpu,
		in.vram_mb.set ? pg_num(in.vram_mb.v) : NULL),
	    on_registered);
	free(caps);
	json_read_free(registration_fields, nitems(registration_fields), &in);
}

/* ---- heartbeat ---- */

struct beat {
	struct id worker, job;
	struct json_num load;
	char *model;
};
static const struct json_field beat_fields[] = {
    JID(struct beat, worker, JAS("worker_id"), JREQ),
    JID(struct beat, job),
    JNUM(struct beat, load, 0, 1000),
    JTEXT(struct beat, model, 0, 200, JAS("loaded_model")),
};

static void
on_beat(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "unknown") == 0) {
		act_refuse(act, ERR_NOT_FOUND, "unknown_worker",
		    "No such worker is known: register again.");
	} else {
		obj = json_new();
		json_set_bool(obj, "cancel",
		    pg_bool(rows, 0, "cancel") || pg_bool(rows, 0, "lost"));
		json_set_bool(obj, "drain", pg_bool(rows, 0, "drain"));
		act_reply(act, 200, &obj);
	}
}

void
api_worker_heartbeat(struct http_call *call)
{
	struct beat in;
	struct act *act;
	struct err err;
	char load[32];

	if (!worker_may(call))
		return;
	if (!json_read(
		http_json(call), beat_fields, nitems(beat_fields), &in, &err)) {
		http_reply_err(call, &err);
		return;
	}
	snprintf(load, sizeof load, "%.3f", in.load.v);
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_WORKER_HEARTBEAT,
	    PG_ARGS(in.worker.text, in.load.set ? load : NULL, in.model,
		id_is_set(&in.job) ? in.job.text : NULL),
	    on_beat);
	json_read_free(beat_fields, nitems(beat_fields), &in);
}

/* ---- claim ---- */

struct claim {
	struct id worker;
	int64_t until_ms;
};
struct claim_body {
	struct id worker;
	struct json_int wait_s;
};
static const struct json_field claim_fields[] = {
    JID(struct claim_body, worker, JAS("worker_id"), JREQ),
    JINT(struct claim_body, wait_s, 0, MAX_WAIT_S),
};

static void claim(struct act *act);

static void
on_given_back(
    struct act *act, const struct pg_rows *rows, const struct err *err)
{
	/* Not given back: its silence is noticed later. */
	if (err != NULL)
		log_warn(
		    "msg=\"job not given back\" error=%s", err_code_name(err));
	act_end(act);
}

/* It was claimed and its worker is not there any more, or can't have it. */
static void
give_back(struct act *act, const struct pg_rows *rows, const char *why)
{
	struct claim *self = act->arg;

	act_query(act, STMT_WORKER_JOB_FAIL,
	    PG_ARGS(pg_text(rows, 0, "attempt_id"), self->worker.text, NULL,
		"internal", "worker_internal", why, "true"),
	    on_given_back);
}

static void
hand_out(struct act *act, const struct pg_rows *rows)
{
	struct claim *self = act->arg;
	struct json_object *work, *payload;
	struct http_call *call = act->call;
	struct err err;

	if (call == NULL) {
		give_back(act, rows, "The worker left while it was claiming.");
		return;
	}
	work = pg_json(rows, 0, "work");
	if (engine_worker_payload(act->app->engine, work, &payload, &err)) {
		worker_news(act, rows, "worker.busy", self->worker.text);
		act_reply(act, 200, &payload);
	} else {
		log_error("attempt=%s msg=%s", pg_text(rows, 0, "attempt_id"),
		    log_text(err.msg));
		act->call = NULL;
		http_reply_err(call, &err);
		give_back(act, rows, err.msg);
	}
	json_free(&work);
}

static void
on_claim(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct claim *self = act->arg;

	if (err != NULL)
		act_err(act, err);
	else if (strcmp(pg_text(rows, 0, "outcome"), "started") == 0)
		hand_out(act, rows);
	else if (act->call == NULL)
		act_end(act);
	else if (clock_mono_ms() + LOOK_MS > self->until_ms ||
	    http_server_draining(act->app->http))
		act_no_content(act);
	else
		act_later(act, LOOK_MS, claim);
}

static void
claim(struct act *act)
{
	struct claim *self = act->arg;

	if (act->call == NULL)
		act_end(act);
	else
		act_query(act, STMT_WORKER_CLAIM,
		    PG_ARGS(self->worker.text, NULL), on_claim);
}

void
api_worker_claim(struct http_call *call)
{
	struct claim_body in;
	struct claim *self;
	struct err err;

	if (!worker_may(call))
		return;
	if (!json_read(http_json(call), claim_fields, nitems(claim_fields), &in,
		&err)) {
		http_reply_err(call, &err);
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->worker = in.worker;
	self->until_ms =
	    clock_mono_ms() + (in.wait_s.set ? in.wait_s.v * 1000 : 0);
	claim(act_new(call, self, free));
}
