/*
 * generations_act.c - what a person does to his generations: cancel, retry,
 * change, delete.
 */
#include <stdlib.h>
#include <string.h>

#include "api/act.h"
#include "api/handlers.h"
#include "api/submitted.h"
#include "api/view.h"
#include "reeld/jobs.h"
#include "reeld/token.h"

static void
reply_row(struct act *act, const struct pg_rows *rows, int status)
{
	struct json_object *obj = view_generation(rows, 0);

	act_reply(act, status, &obj);
}

static void
not_there(struct act *act)
{
	act_refuse(act, ERR_NOT_FOUND, "", "There is no such thing here.");
}

/* ---- cancel ---- */

static void
on_cancelled(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "not_found") == 0) {
		not_there(act);
	} else if (strcmp(outcome, "too_late") == 0) {
		act_refuse(act, ERR_CONFLICT, "too_late",
		    "It can't be cancelled any more: it is %s.",
		    pg_text(rows, 0, "status"));
	} else {
		if (strcmp(outcome, "cancelling") == 0)
			engine_cancel_hint(
			    act->app->engine, pg_text(rows, 0, "id"));
		/* Done, or on its way to be. */
		reply_row(act, rows,
		    strcmp(pg_text(rows, 0, "status"), "cancelling") == 0
			? 202
			: 200);
	}
}

void
api_generations_cancel(struct http_call *call)
{
	struct act *act;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_GENERATION_CANCEL,
	    PG_ARGS(id.text, act->user, act->user), on_cancelled);
}

/* ---- retry ---- */

static void
on_retried(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (err != NULL && strcmp(err->name, "db_unknown") == 0) {
		act_refuse(act, ERR_UNAVAILABLE, "submit_unknown",
		    "The database was lost while this was accepted: it may "
		    "have been. Look at the list before you try again.");
		return;
	}
	if (err != NULL) {
		act_err(act, err);
		return;
	}
	if (str_eq(pg_text(rows, 0, "outcome"), "created"))
		engine_wake(act->app->engine);
	submitted(act, rows, 0, -1);
}

void
api_generations_retry(struct http_call *call)
{
	char hash[67], *key;
	uint8_t sum[32];
	struct act *act;
	struct id id, fresh = id_new();
	bool bad;

	if (!api_id(call, "id", &id))
		return;
	key = api_idempotency_key(call, &bad);
	if (bad) {
		api_refuse(call, ERR_BAD_INPUT, "bad_idempotency_key",
		    "The Idempotency-Key is 1 to 255 printable ASCII "
		    "characters.");
		return;
	}
	sha256(http_path(call), strlen(http_path(call)), sum);
	hash_to_bytea(sum, hash);
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_GENERATION_RETRY,
	    PG_ARGS(id.text, act->user, fresh.text, key,
		key != NULL ? hash : NULL, NULL, NULL, NULL, NULL),
	    on_retried);
	free(key);
}

/* ---- title and star ---- */

struct patch {
	char *title;
	struct json_bool favourite;
};
static const struct json_field patch_fields[] = {
    JTEXT(struct patch, title, 0, 200),
    JBOOL(struct patch, favourite),
};

static void
on_patched(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (err != NULL)
		act_err(act, err);
	else if (strcmp(pg_text(rows, 0, "outcome"), "not_found") == 0)
		not_there(act);
	else
		reply_row(act, rows, 200);
}

void
api_generations_patch(struct http_call *call)
{
	struct patch patch;
	struct act *act;
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (!json_read(http_json(call), patch_fields, nitems(patch_fields),
		&patch, &err)) {
		http_reply_err(call, &err);
		return;
	}
	if (patch.title == NULL && !patch.favourite.set &&
	    !json_has(http_json(call), "title")) {
		api_refuse(call, ERR_INVALID, "nothing_to_change",
		    "Give title or favourite.");
		return;
	}
	/* An explicit null clears the title. */
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_GENERATION_PATCH,
	    PG_ARGS(id.text, act->user,
		patch.title != NULL			 ? patch.title
		    : json_has(http_json(call), "title") ? ""
							 : NULL,
		patch.favourite.set ? pg_yes(patch.favourite.v) : NULL),
	    on_patched);
	json_read_free(patch_fields, nitems(patch_fields), &patch);
}

/* ---- delete ---- */

static void
on_deleted(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	outcome = pg_text(rows, 0, "outcome");
	if (strcmp(outcome, "deleted") == 0)
		act_no_content(act);
	else if (strcmp(outcome, "active") == 0)
		act_refuse(act, ERR_CONFLICT, "still_running",
		    "It is still running: cancel it first.");
	else
		not_there(act);
}

void
api_generations_delete(struct http_call *call)
{
	struct act *act;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	act = act_new(call, NULL, NULL);
	act_query(act, STMT_GENERATION_DELETE, PG_ARGS(id.text, act->user),
	    on_deleted);
}
