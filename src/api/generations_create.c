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
	struct id id, route, plan, start, end, project;
	char *key, *title, *spec, *breakdown, *api_key;
	char hash[67];
	const char *mode;
	int64_t credits;
	int lost; /* answers */
};

static void
create_free(void *arg)
{
	struct create *self = arg;

	free(self->key);
	free(self->title);
	free(self->spec);
	free(self->breakdown);
	free(self->api_key);
	free(self);
}

static const char *
id_or_null(const struct id *id)
{
	return id_is_set(id) ? id->text : NULL;
}

static void submit(struct act *act);
static void look(struct act *act);

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
		act_later(act, LOST_PAUSE_MS << (self->lost - 1),
		    self->key != NULL ? submit : look);
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

static void
on_looked(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (err != NULL) {
		ask_again(act, err);
	} else if (pg_count(rows) > 0) {
		engine_wake(act->app->engine);
		submitted_reply(act, rows, false);
	} else {
		/* Its id is the same: it can't be made twice. */
		submit(act);
	}
}

static void
look(struct act *act)
{
	struct create *self = act->arg;

	act_query(act, STMT_GENERATION_GET, PG_ARGS(self->id.text, act->user),
	    on_looked);
}

static void
on_submitted(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct create *self = act->arg;
	struct err unclear;

	if (err != NULL &&
	    (self->lost > 0 || strcmp(err->name, "db_unknown") == 0)) {
		ask_again(act, err);
	} else if (err != NULL) {
		act_err(act, err);
	} else if (self->lost > 0 && self->key == NULL &&
	    strcmp(pg_text(rows, 0, "outcome"), "created") != 0) {
		/* It may be refused because the first one was not. */
		err_set_name(&unclear, ERR_UNAVAILABLE, "unclear", "unclear");
		ask_again(act, &unclear);
	} else {
		submitted(act, rows, self->credits);
	}
}

static void
submit(struct act *act)
{
	struct create *self = act->arg;

	crash_point("api.before_submit");
	act_query(act, STMT_GENERATION_SUBMIT,
	    PG_ARGS(act->user, self->id.text, self->key,
		self->key != NULL ? self->hash : NULL, self->api_key,
		self->route.text, self->mode, self->spec, self->spec,
		pg_num(self->credits), self->breakdown, id_or_null(&self->plan),
		id_or_null(&self->start), id_or_null(&self->end),
		id_or_null(&self->project), self->title, NULL, NULL, NULL,
		NULL),
	    on_submitted);
}

static struct create *
create_new(struct http_call *call, const struct api_order *order,
    const struct catalogue_route *route, char *key)
{
	struct create *self = xcalloc(1, sizeof *self);
	const struct identity *me = api_me(call);
	struct json_object *doc;
	const char *body;
	uint8_t sum[32];
	size_t len;

	self->id = id_new();
	self->route = route->id;
	self->plan = order->model->plan;
	self->start = order->spec->start_asset;
	self->end = order->spec->end_asset;
	self->project = order->project;
	self->key = key;
	self->title = xstrdup(order->title);
	self->mode = gen_mode_name(order->spec->mode);
	self->credits = order->quote->credits;
	if (me->kind == IDENTITY_KEY)
		self->api_key = xstrdup(me->session);
	doc = spec_to_json(order->spec);
	self->spec = json_dump_text(doc);
	json_free(&doc);
	doc = price_breakdown(order->quote);
	self->breakdown = json_dump_text(doc);
	json_free(&doc);
	body = http_body(call, &len);
	sha256(body, len, sum);
	hash_to_bytea(sum, self->hash);
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
