/*
 * admin_providers.c - the providers as operators see them: figures, accounts
 * and routes; three statements and the snapshot in memory make one answer.
 * Keys are never shown: only where they come from, and their last characters.
 */
#include <stdlib.h>
#include <string.h>

#include "api/admin_providers.h"
#include "api/handlers.h"
#include "reeld/provider.h"

/* ---- one account, one route ---- */

static void
set_limits(struct json_object *obj, int64_t concurrency, int64_t rpm)
{
	struct json_object *limits = json_new();

	if (concurrency > 0)
		json_set_int(limits, "concurrency", concurrency);
	else
		json_set_null(limits, "concurrency");
	if (rpm > 0)
		json_set_int(limits, "rpm", rpm);
	else
		json_set_null(limits, "rpm");
	json_set_obj(obj, "limits", &limits);
}

static void
set_key(struct json_object *obj, const struct catalogue_account *known,
    const struct pg_rows *rows, int row)
{
	const char *ref = pg_text(rows, row, "key_ref");
	struct json_object *key = json_new();

	/* Not in memory yet, for a moment after it was made. */
	json_set_text(key, "source",
	    known != NULL		     ? known->source
		: str_starts(ref, "env:")    ? "env"
		: str_starts(ref, "file:")   ? "file"
		: str_starts(ref, "sealed:") ? "stored"
					     : "none");
	json_set_text(key, "hint",
	    known != NULL ? known->hint : pg_text(rows, row, "key_hint"));
	json_set_text(key, "problem", known != NULL ? known->problem : NULL);
	json_set_obj(obj, "key", &key);
}

static bool
is_over(const struct pg_rows *rows, int row)
{
	int64_t until = pg_i64(rows, row, "paused_until_ms");

	return str_eq(pg_text(rows, row, "state"), "paused") && until > 0 &&
	    until <= clock_wall_ms();
}

/* A pause that is over is none. */
static void
set_state(struct json_object *obj, const struct pg_rows *rows, int row)
{
	bool over = is_over(rows, row);

	json_set_text(obj, "state", over ? "on" : pg_text(rows, row, "state"));
	if (over) {
		json_set_null(obj, "paused_until");
		json_set_null(obj, "paused_reason");
		return;
	}
	api_set_time(obj, "paused_until", rows, row, "paused_until_ms");
	api_set_text(obj, "paused_reason", rows, row, "paused_reason");
}

struct json_object *
admin_account_view(const struct app *app, const struct pg_rows *rows, int row)
{
	const struct provider *adapter =
	    provider_by_name(pg_text(rows, row, "provider"));
	const struct catalogue_account *known =
	    catalogue_account(app->catalogue, pg_text(rows, row, "id"));
	struct json_object *obj = json_new(), *circuit = json_new();
	int64_t concurrency = pg_i64(rows, row, "concurrency");
	int64_t rpm = pg_i64(rows, row, "rpm");

	api_set_text(obj, "id", rows, row, "id");
	api_set_text(obj, "provider", rows, row, "provider");
	api_set_text(obj, "label", rows, row, "label");
	set_state(obj, rows, row);
	set_key(obj, known, rows, row);
	if (known != NULL)
		json_set_text(obj, "base_url", known->base_url);
	else
		api_set_text(obj, "base_url", rows, row, "base_url");
	api_set_int(obj, "weight", rows, row, "weight");
	if (known != NULL && concurrency == 0)
		concurrency = known->concurrency;
	if (known != NULL && rpm == 0)
		rpm = known->rpm;
	if (adapter != NULL && concurrency == 0)
		concurrency = adapter->concurrency;
	if (adapter != NULL && rpm == 0)
		rpm = adapter->requests_per_min;
	set_limits(obj, concurrency, rpm);
	api_set_text(circuit, "state", rows, row, "circuit");
	api_set_int(circuit, "failures", rows, row, "failures");
	api_set_time(circuit, "opened_until", rows, row, "opened_until_ms");
	json_set_obj(obj, "circuit", &circuit);
	api_set_time(obj, "held_until", rows, row, "hold_until_ms");
	api_set_int(obj, "in_flight", rows, row, "in_flight");
	api_set_int(obj, "spend_today_micro_usd", rows, row, "spend_today");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	return obj;
}

struct json_object *
admin_route_view(const struct pg_rows *rows, int row)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "id", rows, row, "id");
	api_set_text(obj, "model", rows, row, "model");
	api_set_text(obj, "provider", rows, row, "provider");
	api_set_text(obj, "endpoint", rows, row, "endpoint");
	api_set_int(obj, "priority", rows, row, "priority");
	api_set_int(obj, "weight", rows, row, "weight");
	api_set_bool(obj, "active", rows, row, "is_active");
	return obj;
}

/* ---- a provider ---- */

static const char *
recovery_word(const struct provider *adapter)
{
	static const char *const words[] = {
	    [PROVIDER_RECOVER_RESUBMIT] = "resubmit",
	    [PROVIDER_RECOVER_FIND] = "find",
	    [PROVIDER_RECOVER_CALLBACK] = "callback",
	    [PROVIDER_RECOVER_NEVER] = "never",
	};

	return words[adapter->recovery];
}

static void
set_figures(struct json_object *obj, const struct pg_rows *rows, int row)
{
	struct json_object *requests = json_new();
	int64_t n = pg_i64(rows, row, "submitted_1h");
	int64_t failed = pg_i64(rows, row, "failed_1h");

	json_set_int(requests, "submitted_1h", n);
	json_set_int(requests, "failed_1h", failed);
	json_set_num(
	    requests, "error_rate_1h", n > 0 ? (double)failed / (double)n : 0);
	json_set_obj(obj, "requests", &requests);
	api_set_int(obj, "in_flight", rows, row, "in_flight");
	api_set_int(obj, "queued", rows, row, "queued");
	api_set_int(obj, "spend_today_micro_usd", rows, row, "spend_today");
	if (pg_null(rows, row, "median_s"))
		json_set_null(obj, "median_s");
	else
		json_set_num(obj, "median_s", pg_num_f(rows, row, "median_s"));
}

static struct json_object *
provider_view(const struct app *app, const struct pg_rows *rows, int row)
{
	const char *name = pg_text(rows, row, "name");
	const struct provider *adapter = provider_by_name(name);
	struct json_object *obj = json_new();
	char waiting[300];
	struct err err;
	size_t n;
	const struct catalogue_account *accounts =
	    catalogue_accounts(app->catalogue, name, &n);
	bool has_key = false;

	for (size_t i = 0; i < n; i++)
		has_key |= accounts[i].key != NULL;
	json_set_text(obj, "name", name);
	json_set_text(obj, "title",
	    adapter != NULL ? adapter->title
			    : pg_text(rows, row, "display_name"));
	api_set_text(obj, "kind", rows, row, "kind");
	set_state(obj, rows, row);
	api_set_time(obj, "sunset_at", rows, row, "sunset_ms");
	json_set_bool(obj, "configured",
	    api_provider_ready((void *)app, name, has_key, &err));
	json_set_bool(obj, "needs_key", adapter != NULL && adapter->needs_key);
	set_figures(obj, rows, row);
	json_set_text(obj, "waiting_reason",
	    catalogue_waiting(
		app->catalogue, name, true, waiting, sizeof waiting));
	if (adapter == NULL) {
		json_set_null(obj, "recovery");
		json_set_bool(obj, "webhooks", false);
		json_set_null(obj, "result_lifetime_s");
		set_limits(obj, 0, 0);
		return obj;
	}
	json_set_text(obj, "recovery", recovery_word(adapter));
	json_set_bool(obj, "webhooks", adapter->hook != NULL);
	if (adapter->result_lifetime_s > 0)
		json_set_int(
		    obj, "result_lifetime_s", adapter->result_lifetime_s);
	else
		json_set_null(obj, "result_lifetime_s");
	set_limits(obj, adapter->concurrency, adapter->requests_per_min);
	return obj;
}

/* ---- the answer, statement by statement ---- */

struct shown {
	struct json_object *list; /* of providers */
	char *name;		  /* NULL: all of them */
};

static void
shown_free(void *arg)
{
	struct shown *self = arg;

	json_free(&self->list);
	free(self->name);
	free(self);
}

/* The rows of one provider, which come together, as a member. */
static void
set_rows_of(struct json_object *provider, const char *member,
    const struct app *app, const struct pg_rows *rows)
{
	const char *name = json_text_at(provider, "name");
	struct json_object *list = json_new_arr(), *item;

	for (int i = 0; i < pg_count(rows); i++) {
		if (!str_eq(pg_text(rows, i, "provider"), name))
			continue;
		item = strcmp(member, "accounts") == 0
		    ? admin_account_view(app, rows, i)
		    : admin_route_view(rows, i);
		json_add_obj(list, &item);
	}
	json_set_arr(provider, member, &list);
}

static void
on_routes(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct shown *self = arg;
	struct json_object *obj;

	for (size_t i = 0; i < json_count(self->list); i++)
		set_rows_of(
		    json_item(self->list, i), "routes", api_app(call), rows);
	if (self->name != NULL) {
		obj = json_copy(json_item(self->list, 0));
	} else {
		obj = json_new();
		json_set_arr(obj, "data", &self->list);
	}
	http_reply_json(call, 200, &obj);
	shown_free(self);
}

static void
on_accounts(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct shown *self = arg;

	for (size_t i = 0; i < json_count(self->list); i++)
		set_rows_of(
		    json_item(self->list, i), "accounts", api_app(call), rows);
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_ROUTES,
	    PG_ARGS(self->name, NULL), on_routes, self, shown_free);
}

static void
on_providers(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct shown *self = arg;
	struct json_object *item;

	if (self->name != NULL && pg_count(rows) == 0) {
		shown_free(self);
		api_not_found(call);
		return;
	}
	self->list = json_new_arr();
	for (int i = 0; i < pg_count(rows); i++) {
		item = provider_view(api_app(call), rows, i);
		json_add_obj(self->list, &item);
	}
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_ACCOUNTS,
	    PG_ARGS(self->name, NULL), on_accounts, self, shown_free);
}

void
api_admin_providers(struct http_call *call)
{
	struct shown *self = xcalloc(1, sizeof *self);

	self->name = xstrdup(http_arg(call, "provider"));
	api_query(call, api_app(call)->pg_engine, STMT_ADMIN_PROVIDERS,
	    PG_ARGS(self->name), on_providers, self, shown_free);
}
