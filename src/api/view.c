/*
 * view.c - the public shapes of generations, events and attempts.  Everybody
 * who shows one of them builds it here, so there is one shape of each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/view.h"
#include "reeld/catalogue.h"
#include "reeld/flow.h"
#include "reeld/spec.h"

static bool
is_stored(const struct pg_rows *rows, int row)
{
	return str_eq(pg_text(rows, row, "media_state"), "stored");
}

static enum gen_status
status_of(const struct pg_rows *rows, int row)
{
	enum gen_status status;

	if (!gen_status_parse(pg_text(rows, row, "status"), &status))
		abort(); /* the enum types are the same: a test compares them */
	return status;
}

bool
view_is_over(const struct pg_rows *rows, int row)
{
	return gen_is_terminal(status_of(rows, row));
}

static void
set_content_url(struct json_object *obj, const char *name, bool there,
    const char *id, const char *variant)
{
	char url[128];

	if (!there) {
		json_set_null(obj, name);
		return;
	}
	snprintf(url, sizeof url, "/api/v1/generations/%s/content?variant=%s",
	    id, variant);
	json_set_text(obj, name, url);
}

static void
set_image(struct json_object *obj, const char *name, const struct pg_rows *rows,
    int row, const char *column)
{
	const char *id = pg_text(rows, row, column);
	struct json_object *image = NULL;
	char url[96];

	if (id != NULL) {
		image = json_new();
		snprintf(url, sizeof url, "/api/v1/assets/%s/content", id);
		json_set_text(image, "id", id);
		json_set_text(image, "url", url);
	}
	json_set_obj(obj, name, &image);
}

static void
set_spec(struct json_object *obj, const struct pg_rows *rows, int row)
{
	struct json_object *doc = pg_json(rows, row, "resolved"), *shown = NULL;
	struct gen_spec spec;
	struct err err;

	if (doc != NULL && spec_from_json(doc, &spec, &err)) {
		shown = spec_public(&spec);
		spec_fini(&spec);
	}
	json_free(&doc);
	json_set_obj(obj, "spec", &shown);
}

static void
set_charge(struct json_object *obj, const struct pg_rows *rows, int row)
{
	struct json_object *charge = NULL;

	if (!pg_null(rows, row, "charge_state")) {
		charge = json_new();
		api_set_text(charge, "state", rows, row, "charge_state");
		api_set_int(charge, "credits", rows, row, "credits");
		api_set_int(charge, "refunded", rows, row, "charge_refunded");
		api_set_int(charge, "settled", rows, row, "charge_settled");
	}
	json_set_obj(obj, "charge", &charge);
}

static void
set_queue(struct json_object *obj, const struct pg_rows *rows, int row,
    enum gen_status status)
{
	struct json_object *queue = NULL;

	if (status == GEN_PENDING || status == GEN_QUEUED ||
	    status == GEN_PROCESSING) {
		queue = json_new();
		if (pg_has(rows, "queue_position"))
			api_set_int(
			    queue, "position", rows, row, "queue_position");
		else
			json_set_null(queue, "position");
		api_set_int(
		    queue, "provider_position", rows, row, "provider_position");
		api_set_int(queue, "eta_low_s", rows, row, "eta_low_s");
		api_set_int(queue, "eta_high_s", rows, row, "eta_high_s");
	}
	json_set_obj(obj, "queue", &queue);
}

/* False: there is none, and nothing was set. */
static bool
set_error(struct json_object *obj, const struct pg_rows *rows, int row)
{
	struct json_object *error;

	if (pg_null(rows, row, "error_code"))
		return false;
	error = json_new();
	api_set_text(error, "class", rows, row, "error_class");
	api_set_text(error, "code", rows, row, "error_code");
	api_set_text(error, "message", rows, row, "error_message");
	api_set_bool(error, "retryable", rows, row, "error_retryable");
	json_set_obj(obj, "error", &error);
	return true;
}

static void
set_can(struct json_object *obj, enum gen_status status, bool stored)
{
	struct json_object *can = json_new();

	json_set_bool(can, "cancel", gen_may_cancel(status));
	json_set_bool(can, "retry", gen_may_retry(status));
	json_set_bool(
	    can, "delete", gen_is_terminal(status) || status == GEN_DRAFT);
	json_set_bool(can, "download", stored);
	json_set_obj(obj, "can", &can);
}

struct json_object *
view_generation(const struct pg_rows *rows, int row)
{
	struct json_object *obj = json_new();
	const char *id = pg_text(rows, row, "id");
	enum gen_status status = status_of(rows, row);
	bool stored = is_stored(rows, row);

	json_set_text(obj, "id", id);
	json_set_text(obj, "status", gen_status_name(status));
	api_set_text(obj, "stage", rows, row, "stage");
	api_set_int(obj, "progress", rows, row, "progress");
	api_set_text(obj, "progress_basis", rows, row, "progress_basis");
	api_set_int(obj, "version", rows, row, "version");
	api_set_text(obj, "model", rows, row, "model");
	api_set_text(obj, "model_name", rows, row, "model_name");
	api_set_text(obj, "provider", rows, row, "provider");
	api_set_text(obj, "mode", rows, row, "mode");
	api_set_text(obj, "prompt", rows, row, "prompt");
	api_set_text(obj, "enhanced_prompt", rows, row, "enhanced_prompt");
	api_set_text(obj, "negative_prompt", rows, row, "negative_prompt");
	set_spec(obj, rows, row);
	set_image(obj, "start_image", rows, row, "start_asset_id");
	set_image(obj, "end_image", rows, row, "end_asset_id");
	api_set_int(obj, "credits", rows, row, "credits");
	set_charge(obj, rows, row);
	set_queue(obj, rows, row, status);
	if (!set_error(obj, rows, row))
		json_set_null(obj, "error");
	set_content_url(obj, "video_url", stored, id, "video");
	set_content_url(obj, "thumbnail_url",
	    stored && !pg_null(rows, row, "thumbnail_asset_id"), id,
	    "thumbnail");
	api_set_text(obj, "media_state", rows, row, "media_state");
	api_set_json(obj, "video", rows, row, "video");
	api_set_text(obj, "parent_id", rows, row, "parent_id");
	api_set_text(obj, "relation", rows, row, "relation");
	api_set_text(obj, "title", rows, row, "title");
	api_set_bool(obj, "favourite", rows, row, "favourite");
	api_set_text(obj, "project_id", rows, row, "project_id");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	api_set_time(obj, "started_at", rows, row, "started_ms");
	api_set_time(obj, "completed_at", rows, row, "completed_ms");
	set_can(obj, status, stored);
	return obj;
}

bool
view_waiting(struct json_object *obj, const struct catalogue *cat,
    const struct pg_rows *rows, int row, bool for_operator)
{
	char text[300];
	const char *why = status_of(rows, row) == GEN_QUEUED
	    ? catalogue_waiting(cat, pg_text(rows, row, "provider"),
		  for_operator, text, sizeof text)
	    : NULL;

	json_set_text(obj, "waiting_reason", why);
	return why != NULL;
}

struct json_object *
view_status(const struct pg_rows *rows, int row)
{
	struct json_object *obj = json_new();
	const char *id = pg_text(rows, row, "id");

	json_set_text(obj, "id", id);
	api_set_text(obj, "status", rows, row, "status");
	api_set_int(obj, "progress", rows, row, "progress");
	api_set_int(obj, "version", rows, row, "version");
	api_set_text(obj, "stage", rows, row, "stage");
	set_content_url(obj, "video_url", is_stored(rows, row), id, "video");
	set_error(obj, rows, row);
	return obj;
}

struct json_object *
view_event(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_int(obj, "seq", rows, row, "seq");
	api_set_text(obj, "type", rows, row, "type");
	api_set_int(obj, "version", rows, row, "version");
	api_set_json(obj, "data", rows, row, "data");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	return obj;
}

struct json_object *
view_attempt(const struct pg_rows *rows, int row, bool all)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "id", rows, row, "id");
	api_set_int(obj, "number", rows, row, "number");
	api_set_text(obj, "status", rows, row, "status");
	api_set_text(obj, "provider", rows, row, "provider");
	api_set_text(obj, "error_class", rows, row, "error_class");
	api_set_text(obj, "error_code", rows, row, "error_code");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	api_set_time(obj, "submitted_at", rows, row, "submitted_ms");
	api_set_time(obj, "started_at", rows, row, "started_ms");
	api_set_time(obj, "finished_at", rows, row, "finished_ms");
	if (!all)
		return obj;
	api_set_text(obj, "provider_job_id", rows, row, "provider_job_id");
	api_set_text(obj, "provider_status", rows, row, "provider_status");
	api_set_text(obj, "error_message", rows, row, "error_message");
	api_set_int(obj, "cost_micro_usd", rows, row, "cost_known_micro_usd");
	api_set_bool(obj, "cost_estimated", rows, row, "cost_estimated");
	api_set_int(
	    obj, "cost_quoted_micro_usd", rows, row, "cost_quoted_micro_usd");
	api_set_text(obj, "worker_id", rows, row, "worker_id");
	api_set_text(obj, "route_id", rows, row, "route_id");
	api_set_text(obj, "account_id", rows, row, "account_id");
	api_set_text(obj, "account", rows, row, "account");
	json_set_bool(obj, "late_result", !pg_null(rows, row, "late_result"));
	return obj;
}

struct json_object *
view_list(const struct pg_rows *rows, api_row_fn *row_fn, void *arg)
{
	struct json_object *reply = json_new(), *data = json_new_arr(), *item;

	for (int i = 0; i < pg_count(rows); i++) {
		item = row_fn(rows, i, arg);
		json_add_obj(data, &item);
	}
	json_set_arr(reply, "data", &data);
	return reply;
}
