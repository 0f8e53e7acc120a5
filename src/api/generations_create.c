/*
 * generations_create.c - POST /generations: read, price, and ONE call of
 * generation_submit() that charges and creates, all or nothing.
 *
 * When the answer of that call is lost (the database died during COMMIT) it
 * is not known whether it was done: with an Idempotency-Key the same call is
 * made again, which either finds the first one or does it; without a key the
 * id we chose is looked for before, since it can't be made twice either.  When
 * the database does not come back in time the client is told the truth.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <string.h>

#include "api/act.h"
#include "api/handlers.h"
#include "api/state.h"
#include "api/submits.h"
#include "api/submitted.h"
#include "api/view.h"
#include "reeld/crash.h"
#include "reeld/jobs.h"
#include "reeld/log.h"
#include "reeld/price.h"
#include "reeld/spec.h"
#include "reeld/token.h"

enum { LOST_TRIES = 5, LOST_PAUSE_MS = 250 };

struct create {
	struct id id;
	char *key;
	struct json_object *order; /* as submits_add() takes it */
	struct submit *submit;
	int64_t credits;
	int lost; /* answers */
};

static void
create_free(void *arg)
{
	struct create *self = arg;

	submits_cancel(&self->submit);
	free(self->key);
	json_free(&self->order);
	free(self);
}

static const char *
id_or_null(const struct id *id)
{
	return id_is_set(id) ? id->text : NULL;
}

static void submit(struct act *act);
static void recover(struct act *act);

/* What became of it is not known yet; err is the last thing heard. */
static void
ask_again(struct act *act, const struct err *err)
{
	struct create *self = act->arg;
	struct err unknown;

	self->lost++;
	log_warn("generation=%s tries=%d error=%s msg=\"the answer to a submit "
		 "was lost\"",
	    self->id.text, self->lost, err_code_name(err));
	if (self->lost <= LOST_TRIES) {
		act_later(act, LOST_PAUSE_MS << (self->lost - 1), recover);
		return;
	}
	err_set_name(&unknown, ERR_UNAVAILABLE, "submit_unknown",
	    self->key != NULL
		? "The database was lost while this was accepted. Send it "
		  "again with the same Idempotency-Key."
		: "The database was lost while this was accepted: it may have "
		  "been. Look for generation %s before you send it again.",
	    self->id.text);
	unknown.retry_after_s = 2;
	act_err(act, &unknown);
}

/* What a statement of ours failed with: refused, or was its answer lost? */
static void
failed(struct act *act, const struct err *err)
{
	const struct create *self = act->arg;

	if (self->lost > 0 || strcmp(err->name, "db_unknown") == 0)
		ask_again(act, err);
	else
		act_err(act, err);
}

static void
on_looked(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (err != NULL) {
		ask_again(act, err);
	} else if (pg_count(rows) > 0) {
		engine_wake(act->app->engine);
		submitted_reply(act, rows, 0, false);
	} else {
		/* Its id is the same: it can't be made twice. */
		submit(act);
	}
}

static void
on_flushed(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct create *self = act->arg;

	if (err != NULL)
		ask_again(act, err);
	else if (self->key != NULL)
		submit(act);
	else
		act_query(act, STMT_GENERATION_GET,
		    PG_ARGS(self->id.text, act->user), on_looked);
}

/* It may have been committed and not be on disk: what is seen from now on is.
 */
static void
recover(struct act *act)
{
	act_query(act, STMT_FLUSH, NULL, on_flushed);
}

static void
on_replay(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (err != NULL)
		failed(act, err);
	else
		submitted_reply(act, rows, 0, true);
}

/* A row of generation_public: the order, and what the database told of it.
 * The columns that are not named are null. */
static void
reply_created(struct act *act, const struct pg_rows *rows, int row)
{
	static const char *const nulls[] = {"stage", "enhanced_prompt",
	    "charge_settled", "provider_position", "eta_low_s", "eta_high_s",
	    "error_code", "thumbnail_asset_id", "video", "parent_id",
	    "relation", "started_ms", "completed_ms"};
	const struct create *self = act->arg;
	const struct json_object *order = self->order;
	char *resolved = json_dump_text(json_obj_at(order, "resolved"));
	const char *prompt = json_text_at(order, "spec.prompt");
	struct pg_cell cells[64] = {
	    {"id", json_text_at(order, "id")},
	    {"status", pg_text(rows, row, "status")},
	    {"progress", "0"},
	    {"progress_basis", "none"},
	    {"version", pg_text(rows, row, "event_version")},
	    {"model", pg_text(rows, row, "model")},
	    {"model_name", pg_text(rows, row, "model_name")},
	    {"provider", pg_text(rows, row, "provider")},
	    {"mode", json_text_at(order, "mode")},
	    {"prompt", prompt != NULL ? prompt : ""},
	    {"negative_prompt", json_text_at(order, "spec.negative_prompt")},
	    {"resolved", resolved},
	    {"start_asset_id", json_text_at(order, "start_asset")},
	    {"end_asset_id", json_text_at(order, "end_asset")},
	    {"credits", pg_num(self->credits)},
	    {"charge_state", "charged"},
	    {"charge_refunded", "0"},
	    {"media_state", "none"},
	    {"title", json_text_at(order, "title")},
	    {"favourite", "f"},
	    {"project_id", json_text_at(order, "project")},
	    {"created_ms", pg_text(rows, row, "event_ms")},
	};
	struct pg_rows *made;
	size_t n = 0;

	while (cells[n].column != NULL)
		n++;
	for (size_t i = 0; i < nitems(nulls); i++)
		cells[n++].column = nulls[i];
	made = pg_rows_new(cells, n);
	submitted_reply(act, made, 0, false);
	pg_rows_free(made);
	free(resolved);
}

static void
on_outcome(struct act *act, const struct pg_rows *rows, int row)
{
	struct create *self = act->arg;
	const char *outcome = pg_text(rows, row, "outcome");

	if (strcmp(outcome, "created") == 0) {
		crash_point("api.after_submit");
		reply_created(act, rows, row);
	} else if (strcmp(outcome, "replayed") == 0) {
		act_query(act, STMT_GENERATION_REPLAY,
		    PG_ARGS(pg_text(rows, row, "generation_id")), on_replay);
	} else {
		submitted(act, rows, row, self->credits);
	}
}

static void
on_submitted(
    const struct pg_rows *rows, int row, const struct err *err, void *arg)
{
	struct act *act = arg;
	struct create *self = act->arg;
	struct err unclear;

	if (err != NULL) {
		failed(act, err);
	} else if (self->lost > 0 && self->key == NULL &&
	    strcmp(pg_text(rows, row, "outcome"), "created") != 0) {
		/* It may be refused because the first one was not. */
		err_set_name(&unclear, ERR_UNAVAILABLE, "unclear", "unclear");
		ask_again(act, &unclear);
	} else {
		on_outcome(act, rows, row);
	}
}

static void
submit(struct act *act)
{
	struct create *self = act->arg;

	crash_point("api.before_submit");
	submits_add(act->app->api->submits, self->order, &self->submit,
	    on_submitted, act);
}

static struct create *
create_new(struct http_call *call, const struct api_order *order,
    const struct catalogue_route *route, char *key)
{
	struct create *self = xcalloc(1, sizeof *self);
	const struct identity *me = api_me(call);
	struct json_object *doc = json_new(), *part;
	const char *body;
	char hash[65];
	uint8_t sum[32];
	size_t len;

	self->id = id_new();
	self->key = key;
	self->credits = order->quote->credits;
	json_set_text(doc, "user_id", me->user);
	json_set_text(doc, "id", self->id.text);
	if (key != NULL) {
		body = http_body(call, &len);
		sha256(body, len, sum);
		hex_encode(hash, sum, sizeof sum);
		json_set_text(doc, "key", key);
		json_set_text(doc, "hash", hash);
	}
	if (me->kind == IDENTITY_KEY)
		json_set_text(doc, "api_key", me->session);
	json_set_text(doc, "route", route->id.text);
	json_set_text(doc, "mode", gen_mode_name(order->spec->mode));
	part = spec_to_json(order->spec);
	json_set_copy(doc, "resolved", part);
	json_set_obj(doc, "spec", &part);
	json_set_int(doc, "credits", order->quote->credits);
	part = price_breakdown(order->quote);
	json_set_obj(doc, "breakdown", &part);
	json_set_text(doc, "plan", id_or_null(&order->model->plan));
	json_set_text(
	    doc, "start_asset", id_or_null(&order->spec->start_asset));
	json_set_text(doc, "end_asset", id_or_null(&order->spec->end_asset));
	json_set_text(doc, "project", id_or_null(&order->project));
	json_set_text(doc, "title", order->title);
	self->order = doc;
	return self;
}

/* The order may be had for its price, over a route that works now. */
static bool
may_submit(const struct api_order *order, const struct catalogue_route **route,
    struct err *err)
{
	*route = catalogue_pick_route(order->model);
	if (*route == NULL)
		return err_set_field(err, ERR_UNAVAILABLE, "model_unavailable",
		    "#/model", "%s can't be used now.", order->model->name);
	if (order->max_credits >= 0 &&
	    order->quote->credits > order->max_credits)
		return err_set_field(err, ERR_INVALID, "over_max_credits",
		    "#/max_credits", "This costs %lld credits, more than %lld.",
		    (long long)order->quote->credits,
		    (long long)order->max_credits);
	return true;
}

void
api_generations_create(struct http_call *call)
{
	const struct catalogue_route *route;
	struct api_order order;
	struct act *act;
	struct err err;
	bool bad;
	char *key = api_idempotency_key(call, &bad);

	if (bad) {
		api_refuse(call, ERR_BAD_INPUT, "bad_idempotency_key",
		    "The Idempotency-Key is 1 to 255 printable ASCII "
		    "characters.");
		return;
	}
	if (!api_order_read(call, false, &order, &err)) {
		free(key);
		http_reply_err(call, &err);
		return;
	}
	if (!may_submit(&order, &route, &err)) {
		free(key);
		api_order_fini(&order);
		http_reply_err(call, &err);
		return;
	}
	crash_point("api.request_read");
	act = act_new(call, create_new(call, &order, route, key), create_free);
	api_order_fini(&order);
	submit(act);
}
