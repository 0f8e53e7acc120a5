/*
 * admin_accounts.c - what admins change: accounts at providers, pauses, the
 * order of routes.  A key that is given is sealed before it is stored; the
 * SQL functions write the audit log, which never has a key either.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin_providers.h"
#include "api/handlers.h"
#include "reeld/conf.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/seal.h"

enum { MAX_KEY = 2000, MAX_LIMIT = 1000000 };

/* ---- reading ---- */

struct input {
	char *label, *key, *key_env, *key_file, *base_url;
	struct json_object *limits; /* borrowed */
	struct json_int weight;
	/* made of it */
	struct id id;
	char *provider, *ref, *limits_text;
	char hint[8];
};
static const struct json_field fields[] = {
    JTEXT(struct input, label, 1, 40),
    JTEXT(struct input, key, 1, MAX_KEY),
    JTEXT(struct input, key_env, 1, 100),
    JTEXT(struct input, key_file, 1, 100),
    JTEXT(struct input, base_url, 0, 400),
    JINT(struct input, weight, 0, 1000),
    JOBJ(struct input, limits),
};

struct limits {
	struct json_int concurrency, rpm;
};
static const struct json_field limit_fields[] = {
    JINT(struct limits, concurrency, 0, MAX_LIMIT),
    JINT(struct limits, rpm, 0, MAX_LIMIT),
};

static void
input_free(void *arg)
{
	struct input *self = arg;

	if (self->key != NULL)
		explicit_bzero(self->key, strlen(self->key));
	json_read_free(fields, nitems(fields), self);
	free(self->provider);
	free(self->ref);
	free(self->limits_text);
	free(self);
}

static bool
read_limits(struct input *self, struct err *err)
{
	struct json_object *doc;
	struct limits limits;

	if (self->limits == NULL)
		return true;
	if (!json_read(self->limits, limit_fields, nitems(limit_fields),
		&limits, err)) {
		char was[sizeof err->pointer];

		str_copy(was, sizeof was, err->pointer);
		snprintf(err->pointer, sizeof err->pointer, "#/limits%.60s",
		    was[0] == '#' ? was + 1 : "");
		return false;
	}
	doc = json_new();
	if (limits.concurrency.set && limits.concurrency.v > 0)
		json_set_int(doc, "concurrency", limits.concurrency.v);
	if (limits.rpm.set && limits.rpm.v > 0)
		json_set_int(doc, "rpm", limits.rpm.v);
	self->limits_text = json_dump_text(doc);
	json_free(&doc);
	self->limits = NULL; /* it is the document's */
	return true;
}

static bool
printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x21 || *text > 0x7e)
			return false;
	return true;
}

/* Where the key is, in the words of the database.  Whoever may call this must
 * not be able to send our other secrets to an address of his choice: so the
 * environment's names have a prefix, and files a folder. */
static bool
read_key(const struct app *app, struct input *self, struct err *err)
{
	const char *file = self->key_file, *env = self->key_env;
	char *sealed;

	if ((self->key != NULL) + (env != NULL) + (file != NULL) > 1)
		return err_set_field(err, ERR_INVALID, "two_keys", "#/key",
		    "Give one of key, key_env and key_file.");
	if (env != NULL) {
		if (!str_starts(env, "PROVIDER_KEY_") ||
		    strspn(env, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
			strlen(env))
			return err_set_field(err, ERR_INVALID, "bad_key_env",
			    "#/key_env",
			    "The variable's name is PROVIDER_KEY_ and capital "
			    "letters, digits and _.");
		self->ref = xasprintf("env:%s", env);
	} else if (file != NULL) {
		if (app->conf->secrets.key_dir[0] == '\0')
			return err_set_field(err, ERR_CONFLICT, "no_key_dir",
			    "#/key_file",
			    "Key files need the setting secrets.key_dir.");
		if (file[0] == '.' || strchr(file, '/') != NULL ||
		    !printable(file))
			return err_set_field(err, ERR_INVALID, "bad_key_file",
			    "#/key_file",
			    "This is a file's name in secrets.key_dir.");
		self->ref = xasprintf("file:%s", file);
	} else if (self->key != NULL) {
		if (!printable(self->key))
			return err_set_field(err, ERR_INVALID, "bad_key",
			    "#/key", "A key is printable ASCII.");
		if (app->ring == NULL)
			return err_set_field(err, ERR_CONFLICT, "no_master_key",
			    "#/key",
			    "Keys can only be stored encrypted: that needs the "
			    "setting secrets.master_key_file. Use key_env or "
			    "key_file instead.");
		account_hint(self->key, self->hint);
		sealed = seal(app->ring, self->key, self->id.text);
		self->ref = xasprintf("sealed:%s", sealed);
		free(sealed);
		explicit_bzero(self->key, strlen(self->key));
	}
	return true;
}

static bool
read_base_url(const struct input *self, struct err *err)
{
	const char *url = self->base_url;
	char origin[300];

	if (url == NULL || url[0] == '\0')
		return true;
	if (!str_starts(url, "https://") || strpbrk(url, "?#@ \\") != NULL ||
	    !printable(url) || str_ends(url, "/") ||
	    !fetch_url_origin(url, origin, sizeof origin))
		return err_set_field(err, ERR_INVALID, "bad_base_url",
		    "#/base_url",
		    "An address is https://, without a slash at the end, a "
		    "query or a password.");
	return true;
}

/* NULL: replied. */
static struct input *
read_input(struct http_call *call, const struct id *id)
{
	struct input *self = xcalloc(1, sizeof *self);
	struct err err;

	if (!json_read(http_json(call), fields, nitems(fields), self, &err)) {
		http_reply_err(call, &err);
		free(self);
		return NULL;
	}
	self->id = *id;
	if (!read_limits(self, &err) || !read_base_url(self, &err) ||
	    !read_key(api_app(call), self, &err)) {
		http_reply_err(call, &err);
		input_free(self);
		return NULL;
	}
	return self;
}

/* Everybody looks again, and jobs that wait may go on. */
static void
changed(struct app *app)
{
	catalogue_reload(app->catalogue);
	engine_wake(app->engine);
}

/* ---- POST /admin/providers/{provider}/accounts ---- */

static void
on_made(struct api_once *once, const struct pg_rows *rows)
{
	struct json_object *obj;
	struct err err;

	if (pg_count(rows) == 0) {
		err_set_name(&err, ERR_CONFLICT, "gone", "It was deleted.");
		api_once_err(once, &err);
		return;
	}
	changed(once->app);
	obj = admin_account_view(once->app, rows, 0);
	api_once_reply(once, 201, &obj);
}

static void
on_created(struct api_once *once, const struct pg_rows *rows)
{
	const char *outcome = pg_text(rows, 0, "outcome");
	struct err err;

	if (str_eq(outcome, "created") || str_eq(outcome, "replayed")) {
		api_once_query(once, once->app->pg_engine, STMT_ADMIN_ACCOUNTS,
		    PG_ARGS(NULL, pg_text(rows, 0, "id")), on_made);
		return;
	}
	if (str_eq(outcome, "taken"))
		err_set_field(&err, ERR_CONFLICT, "taken", "#/label",
		    "This provider has an account of that label already.");
	else
		err_set_name(
		    &err, ERR_NOT_FOUND, "", "There is no such provider.");
	api_once_err(once, &err);
}

static void
create(struct api_once *once)
{
	struct input *in = once->arg;
	char *idem = once->key != NULL
	    ? xasprintf("%s:%s", once->user, once->key)
	    : NULL;

	api_once_query(once, once->app->pg_engine, STMT_ACCOUNT_CREATE,
	    PG_ARGS(in->id.text, idem, in->provider, in->label, in->ref,
		in->hint,
		in->base_url != NULL && in->base_url[0] != '\0' ? in->base_url
								: NULL,
		in->weight.set ? pg_num(in->weight.v) : NULL, in->limits_text,
		once->user),
	    on_created);
	free(idem);
}

void
api_admin_accounts_create(struct http_call *call)
{
	struct id id = id_new();
	struct input *in = read_input(call, &id);
	struct err err;

	if (in == NULL)
		return;
	if (in->label == NULL || in->ref == NULL) {
		err_set_field(&err, ERR_BAD_INPUT, "missing_field",
		    in->label == NULL ? "#/label" : "#/key",
		    "An account has a label, and one of key, key_env and "
		    "key_file.");
		http_reply_err(call, &err);
		input_free(in);
		return;
	}
	in->provider = xstrdup(http_arg(call, "provider"));
	api_once_start(call, "admin.accounts", false, create, in, input_free);
}

/* ---- PATCH, DELETE, pause, resume: one outcome each ---- */

static const struct {
	const char *outcome;
	enum err_code code;
	const char *name, *text;
} refusals[] = {
    {"not_found", ERR_NOT_FOUND, "", "There is no such thing here."},
    {"taken", ERR_CONFLICT, "taken",
	"This provider has an account of that label already."},
    {"from_conf", ERR_CONFLICT, "from_configuration",
	"The account \"default\" is the configuration's: its key, label and "
	"address are changed there."},
    {"in_use", ERR_CONFLICT, "account_in_use",
	"Jobs that it submitted are still under way. Pause it, and delete it "
	"when they are done."},
};

static bool
refused(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	const char *outcome;

	if (err != NULL) {
		act_err(act, err);
		return true;
	}
	outcome = pg_text(rows, 0, "outcome");
	for (size_t i = 0; i < nitems(refusals); i++)
		if (str_eq(outcome, refusals[i].outcome)) {
			act_refuse(act, refusals[i].code, refusals[i].name,
			    "%s", refusals[i].text);
			return true;
		}
	return false;
}

static void
on_account_row(
    struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (pg_count(rows) == 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such account.");
	} else {
		obj = admin_account_view(act->app, rows, 0);
		act_reply(act, 200, &obj);
	}
}

static void
on_account_changed(
    struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct input *in = act->arg;

	if (refused(act, rows, err))
		return;
	changed(act->app);
	act_query(act, STMT_ADMIN_ACCOUNTS, PG_ARGS(NULL, in->id.text),
	    on_account_row);
}

static void
on_deleted(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	if (refused(act, rows, err))
		return;
	changed(act->app);
	act_no_content(act);
}

void
api_admin_accounts_patch(struct http_call *call)
{
	struct input *in;
	struct id id;

	if (!api_id(call, "id", &id) || (in = read_input(call, &id)) == NULL)
		return;
	act_query(act_new(call, in, input_free), STMT_ACCOUNT_UPDATE,
	    PG_ARGS(id.text, in->label, in->ref, in->hint, in->base_url,
		in->weight.set ? pg_num(in->weight.v) : NULL, in->limits_text,
		api_me(call)->user),
	    on_account_changed);
}

void
api_admin_accounts_delete(struct http_call *call)
{
	struct act *act;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	act = act_new(call, NULL, NULL);
	act_query(
	    act, STMT_ACCOUNT_DELETE, PG_ARGS(id.text, act->user), on_deleted);
}

static struct input *
only_id(const struct id *id)
{
	struct input *self = xcalloc(1, sizeof *self);

	self->id = *id;
	return self;
}

void
api_admin_accounts_pause(struct http_call *call)
{
	struct admin_pause pause;
	struct act *act;
	struct id id;

	if (!api_id(call, "id", &id) || !admin_pause_read(call, &pause))
		return;
	act = act_new(call, only_id(&id), input_free);
	act_query(act, STMT_ACCOUNT_PAUSE,
	    PG_ARGS(id.text, "paused",
		pause.until_ms > 0 ? pg_num(pause.until_ms) : NULL,
		pause.reason, act->user),
	    on_account_changed);
	free(pause.reason);
}

void
api_admin_accounts_resume(struct http_call *call)
{
	struct act *act;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	act = act_new(call, only_id(&id), input_free);
	act_query(act, STMT_ACCOUNT_RESUME, PG_ARGS(id.text, act->user),
	    on_account_changed);
}

/* ---- PATCH /admin/routes/{id} ---- */

struct route {
	struct json_int priority, weight;
	struct json_bool active;
};
static const struct json_field route_fields[] = {
    JINT(struct route, priority, 0, 100000),
    JINT(struct route, weight, 0, 1000),
    JBOOL(struct route, active),
};

static void
on_route_row(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (pg_count(rows) == 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such route.");
	} else {
		obj = admin_route_view(rows, 0);
		act_reply(act, 200, &obj);
	}
}

static void
on_route(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct input *in = act->arg;

	if (refused(act, rows, err))
		return;
	changed(act->app);
	act_query(
	    act, STMT_ADMIN_ROUTES, PG_ARGS(NULL, in->id.text), on_route_row);
}

void
api_admin_routes_patch(struct http_call *call)
{
	struct route in;
	struct act *act;
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (!json_read(http_json(call), route_fields, nitems(route_fields), &in,
		&err)) {
		http_reply_err(call, &err);
		return;
	}
	act = act_new(call, only_id(&id), input_free);
	act_query(act, STMT_ROUTE_UPDATE,
	    PG_ARGS(id.text, in.priority.set ? pg_num(in.priority.v) : NULL,
		in.weight.set ? pg_num(in.weight.v) : NULL,
		in.active.set ? pg_yes(in.active.v) : NULL, act->user),
	    on_route);
}
