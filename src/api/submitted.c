/* submitted.c - outcomes of generation_submit() as replies. */
#include <stdio.h>
#include <string.h>

#include "api/submitted.h"
#include "api/view.h"
#include "reeld/crash.h"
#include "reeld/jobs.h"

static const struct {
	const char *outcome;
	enum err_code code;
	int retry_after_s;
	const char *name, *pointer, *text;
} refusals[] = {
    {"mismatch", ERR_INVALID, 0, "idempotency_mismatch", "",
	"This Idempotency-Key was used with another body."},
    {"running", ERR_CONFLICT, 1, "idempotency_running", "",
	"A request with this Idempotency-Key is still running."},
    {"busy", ERR_UNAVAILABLE, 1, "account_busy", "",
	"Your account is busy with other requests. Nothing was charged."},
    {"limit", ERR_LIMIT, 30, "too_many_waiting", "",
	"Too many of your generations are waiting already."},
    {"disabled", ERR_UNAVAILABLE, 0, "generation_disabled", "",
	"New generations are switched off for the moment."},
    {"suspended", ERR_FORBIDDEN, 0, "suspended", "",
	"This account is suspended."},
    {"model_gone", ERR_UNAVAILABLE, 0, "model_unavailable", "#/model",
	"This model can't be used any more."},
    {"asset_gone", ERR_INVALID, 0, "unknown_image", "#/start_image",
	"An image of this request is not there, or not yours."},
    {"project_gone", ERR_INVALID, 0, "unknown_project", "#/project_id",
	"There is no such project of yours."},
    {"not_found", ERR_NOT_FOUND, 0, "", "", "There is no such thing here."},
    {"not_failed", ERR_CONFLICT, 0, "not_failed", "",
	"Only a failed or cancelled generation can be tried again."},
};

void
submitted_reply(
    struct act *act, const struct pg_rows *rows, int row, bool replayed)
{
	struct json_object *obj = view_generation(rows, row);
	char location[80];

	if (act->call != NULL) {
		snprintf(location, sizeof location, "/api/v1/generations/%s",
		    pg_text(rows, row, "id"));
		http_reply_header(act->call, "Location", location);
		if (replayed)
			http_reply_header(
			    act->call, "Idempotent-Replayed", "true");
	}
	act_reply(act, replayed ? 200 : 201, &obj);
}

static void
no_credit(struct act *act, const struct pg_rows *rows, int row, int64_t credits)
{
	long long balance = pg_i64(rows, row, "balance");

	if (credits >= 0)
		act_refuse(act, ERR_NO_CREDIT, "no_credit",
		    "This costs %lld credits and you have %lld.",
		    (long long)credits, balance);
	else
		act_refuse(act, ERR_NO_CREDIT, "no_credit",
		    "You have %lld credits, which is not enough.", balance);
}

void
submitted(struct act *act, const struct pg_rows *rows, int row, int64_t credits)
{
	const char *outcome = pg_text(rows, row, "outcome");
	struct err err;

	if (strcmp(outcome, "created") == 0) {
		crash_point("api.after_submit");
		submitted_reply(act, rows, row, false);
		return;
	}
	if (strcmp(outcome, "replayed") == 0) {
		submitted_reply(act, rows, row, true);
		return;
	}
	if (strcmp(outcome, "insufficient") == 0) {
		no_credit(act, rows, row, credits);
		return;
	}
	for (size_t i = 0; i < nitems(refusals); i++)
		if (strcmp(refusals[i].outcome, outcome) == 0) {
			err_set_field(&err, refusals[i].code, refusals[i].name,
			    refusals[i].pointer, "%s", refusals[i].text);
			err.retry_after_s = refusals[i].retry_after_s;
			act_err(act, &err);
			return;
		}
	act_refuse(act, ERR_INTERNAL, "", "Unexpected outcome.");
}
