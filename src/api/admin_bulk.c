/*
 * admin_bulk.c - POST /admin/jobs/bulk: one action on all that a filter hits.
 * The filter is evaluated here and now, also for the run after a dry run; the
 * reply says per generation what became of it, and the audit log keeps it.
 * A run goes on when its client hangs up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin.h"
#include "api/handlers.h"
#include "reeld/flow.h"
#include "reeld/jobs.h"

enum { MAX_BULK = 1000, SAMPLE = 20 };

enum bulk_action { BULK_CANCEL, BULK_RETRY };
static const char *const action_names[] = {"cancel", "retry", NULL};

struct bulk_body {
	int action;
	struct json_object *filter;
	struct json_bool dry_run;
	char *reason;
	struct json_texts exclude;
};
static const struct json_field body_fields[] = {
    JENUM(struct bulk_body, action, action_names, JREQ),
    JOBJ(struct bulk_body, filter, JREQ),
    JBOOL(struct bulk_body, dry_run),
    JTEXT(struct bulk_body, reason, 0, 500),
    JTEXTS(struct bulk_body, exclude, MAX_BULK, 40, JAS("exclude_ids")),
};

struct filter {
	char *state, *provider, *model, *q;
};
static const struct json_field filter_fields[] = {
    JTEXT(struct filter, state, 1, 200),
    JTEXT(struct filter, provider, 1, 100),
    JTEXT(struct filter, model, 1, 100),
    JTEXT(struct filter, q, 1, 200),
};

struct bulk {
	enum bulk_action action;
	struct filter filter;
	struct json_texts exclude;
	char *reason;
	bool dry_run, more;
	struct id *ids;
	size_t n, at;
	int64_t credits;
	struct json_object *results, *summary;
};

static void
bulk_free(void *arg)
{
	struct bulk *self = arg;

	json_read_free(filter_fields, nitems(filter_fields), &self->filter);
	for (size_t i = 0; i < self->exclude.n; i++)
		free(self->exclude.v[i]);
	free(self->exclude.v);
	free(self->reason);
	free(self->ids);
	json_free(&self->results);
	json_free(&self->summary);
	free(self);
}

/* Every word is a status that the action can be done to. */
static bool
states_ok(const struct bulk *self, struct err *err)
{
	char *copy = xstrdup(self->filter.state), *at = copy, *word;
	enum gen_status status;
	bool ok = true;

	while (ok && (word = strsep(&at, ",")) != NULL) {
		ok = gen_status_parse(word, &status) &&
		    (self->action == BULK_CANCEL ? gen_may_cancel(status)
						 : gen_may_retry(status));
		if (!ok)
			err_set_field(err, ERR_INVALID, "bad_status",
			    "#/filter/state", "\"%.40s\" can't be %s.", word,
			    self->action == BULK_CANCEL ? "cancelled"
							: "tried again");
	}
	free(copy);
	return ok;
}

/* The filter, as a sentence for the dialog and the log. */
static char *
words(const struct bulk *self)
{
	struct buf out;
	char *text;

	buf_init(&out, 2000);
	buf_printf(&out, "%s %zu%s generation%s with state %s",
	    self->action == BULK_CANCEL ? "Cancel" : "Retry", self->n,
	    self->more ? " (of more)" : "", self->n == 1 ? "" : "s",
	    self->filter.state);
	if (self->filter.provider != NULL)
		buf_printf(&out, ", provider %s", self->filter.provider);
	if (self->filter.model != NULL)
		buf_printf(&out, ", model %s", self->filter.model);
	if (self->filter.q != NULL)
		buf_printf(&out, ", prompt contains \"%s\"", self->filter.q);
	text = xstrdup(buf_str(&out));
	buf_fini(&out);
	return text;
}

static struct json_object *
head(const struct bulk *self)
{
	struct json_object *obj = json_new();
	char *text = words(self);

	json_set_text(obj, "action", action_names[self->action]);
	json_set_bool(obj, "dry_run", self->dry_run);
	json_set_int(obj, "count", (int64_t)self->n);
	json_set_bool(obj, "more", self->more);
	json_set_int(obj, "credits", self->credits);
	json_set_text(obj, "words", text);
	free(text);
	return obj;
}

static void
reply_dry(struct act *act)
{
	struct bulk *self = act->arg;
	struct json_object *obj = head(self), *sample = json_new_arr();

	for (size_t i = 0; i < self->n && i < SAMPLE; i++)
		json_add_text(sample, self->ids[i].text);
	json_set_arr(obj, "sample", &sample);
	act_reply(act, 200, &obj);
}

static void
reply_done(struct act *act)
{
	struct bulk *self = act->arg;
	struct json_object *obj = head(self), *note = head(self);
	char *after, action[40];

	json_set_text(note, "reason", self->reason);
	json_set_copy(note, "summary", self->summary);
	after = json_dump_text(note);
	json_free(&note);
	json_set_arr(obj, "results", &self->results);
	json_set_obj(obj, "summary", &self->summary);
	snprintf(action, sizeof action, "bulk.%s", action_names[self->action]);
	admin_audit_reply(act, action, "generations", NULL, after, &obj);
	free(after);
}

static void next(struct act *act);

static void
note(struct bulk *self, const char *outcome)
{
	struct json_object *result = json_new();
	int64_t n;

	json_set_text(result, "id", self->ids[self->at].text);
	json_set_text(result, "outcome", outcome);
	json_add_obj(self->results, &result);
	if (!json_int_at(self->summary, outcome, &n))
		n = 0;
	json_set_int(self->summary, outcome, n + 1);
	self->at++;
}

static void
on_one(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct bulk *self = act->arg;
	const char *outcome =
	    err != NULL ? err_code_name(err) : pg_text(rows, 0, "outcome");

	if (strcmp(outcome, "cancelling") == 0)
		engine_cancel_hint(act->app->engine, self->ids[self->at].text);
	else if (strcmp(outcome, "created") == 0)
		engine_wake(act->app->engine);
	note(self, outcome);
	next(act);
}

/* One after the other: an operator's broom must not crowd out the users. */
static void
next(struct act *act)
{
	struct bulk *self = act->arg;
	const char *id;
	struct id fresh;

	if (self->at == self->n) {
		reply_done(act);
		return;
	}
	id = self->ids[self->at].text;
	fresh = id_new();
	if (self->action == BULK_CANCEL)
		act_query(act, STMT_GENERATION_CANCEL,
		    PG_ARGS(id, NULL, act->user), on_one);
	else
		act_query(act, STMT_GENERATION_RETRY,
		    PG_ARGS(id, NULL, fresh.text, NULL, NULL, NULL, NULL, NULL,
			NULL),
		    on_one);
}

static bool
is_excluded(const struct bulk *self, const char *id)
{
	for (size_t i = 0; i < self->exclude.n; i++)
		if (strcasecmp(self->exclude.v[i], id) == 0)
			return true;
	return false;
}

static void
on_ids(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct bulk *self = act->arg;
	int n;

	if (err != NULL) {
		act_err(act, err);
		return;
	}
	n = pg_count(rows);
	self->ids = xcalloc((size_t)n + 1, sizeof *self->ids);
	for (int i = 0; i < n; i++) {
		const char *id = pg_text(rows, i, "id");

		if (is_excluded(self, id))
			continue;
		if (self->n == MAX_BULK) {
			self->more = true;
			break;
		}
		str_copy(self->ids[self->n++].text, sizeof self->ids->text, id);
		self->credits += pg_i64(rows, i, "credits");
	}
	if (self->dry_run) {
		reply_dry(act);
		return;
	}
	self->results = json_new_arr();
	self->summary = json_new();
	next(act);
}

/* Takes what it keeps out of the body. */
static struct bulk *
bulk_read(struct http_call *call, struct err *err)
{
	struct bulk *self;
	struct bulk_body in;
	bool ok;

	if (!json_read(
		http_json(call), body_fields, nitems(body_fields), &in, err))
		return NULL;
	self = xcalloc(1, sizeof *self);
	self->action = (enum bulk_action)in.action;
	self->dry_run = in.dry_run.set && in.dry_run.v;
	self->reason = in.reason;
	self->exclude = in.exclude;
	in.reason = NULL;
	in.exclude = (struct json_texts){0};
	ok = json_read(in.filter, filter_fields, nitems(filter_fields),
	    &self->filter, err);
	if (ok && self->filter.state == NULL)
		self->filter.state = xstrdup(self->action == BULK_CANCEL
			? "pending,queued,processing,awaiting_approval"
			: "failed");
	ok = ok && states_ok(self, err);
	json_read_free(body_fields, nitems(body_fields), &in);
	if (ok)
		return self;
	bulk_free(self);
	return NULL;
}

void
api_admin_jobs_bulk(struct http_call *call)
{
	struct bulk *self;
	struct act *act;
	struct err err;
	char *states; /* as an array of PostgreSQL */

	self = bulk_read(call, &err);
	if (self == NULL) {
		http_reply_err(call, &err);
		return;
	}
	act = act_new(call, self, bulk_free);
	states = xasprintf("{%s}", self->filter.state);
	act_query(act, STMT_ADMIN_BULK_IDS,
	    PG_ARGS(states, self->filter.provider, self->filter.model,
		self->filter.q,
		pg_num(MAX_BULK + 1 + (int64_t)self->exclude.n)),
	    on_ids);
	free(states);
}
