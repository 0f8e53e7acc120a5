/*
 * admin_users.c - people and their credits, for admins.  Credits enter here
 * and only with an Idempotency-Key, so that a repeated request gives once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/act.h"
#include "api/handlers.h"
#include "reeld/clock.h"
#include "reeld/jobs.h"
#include "reeld/price.h"

static const char *const roles[] = {
    "user", "creator", "operator", "admin", NULL};
static const char *const statuses[] = {"active", "suspended", NULL};

/* ---- the list ---- */

static struct json_object *
user_view(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *obj = json_new();

	api_set_text(obj, "id", rows, row, "id");
	api_set_text(obj, "email", rows, row, "email");
	api_set_text(obj, "name", rows, row, "name");
	api_set_text(obj, "role", rows, row, "role");
	api_set_text(obj, "status", rows, row, "status");
	api_set_int(obj, "concurrent_limit", rows, row, "concurrent_limit");
	api_set_int(obj, "balance", rows, row, "balance");
	api_set_int(obj, "active", rows, row, "active");
	api_set_int(obj, "waiting", rows, row, "waiting");
	api_set_time(obj, "created_at", rows, row, "created_ms");
	api_set_time(obj, "last_login_at", rows, row, "last_login_ms");
	return obj;
}

static void
on_users(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	api_page_reply(call, arg, rows, "created_us", "id", user_view, NULL);
	free(arg);
}

void
api_admin_users(struct http_call *call)
{
	struct api_page *page = xcalloc(1, sizeof *page);

	if (!api_page_read(call, 50, 200, page))
		free(page);
	else
		api_query(call, api_app(call)->pg_engine, STMT_ADMIN_USERS,
		    PG_ARGS(http_query(call, "q"), page->sort, page->id,
			page->limit_plus_1),
		    on_users, page, free);
}

/* ---- a new one ---- */

struct user_new {
	char *email, *name;
	int role;
	struct json_int credits;
};
static const struct json_field user_new_fields[] = {
    JTEXT(struct user_new, email, 3, 254, JREQ),
    JTEXT(struct user_new, name, 0, 100),
    JENUM(struct user_new, role, roles),
    JINT(struct user_new, credits, 0, PRICE_MAX_CREDITS),
};

static bool
email_ok(const char *email)
{
	const char *at = strchr(email, '@');

	return at != NULL && at != email && at[1] != '\0' &&
	    strchr(at + 1, '@') == NULL &&
	    strpbrk(email, " \t\r\n<>\"") == NULL;
}

static void
on_created(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "created") != 0) {
		act_refuse(act, ERR_CONFLICT, "user_exists",
		    "There is a user with this address already.");
	} else {
		obj = json_new();
		api_set_text(obj, "id", rows, 0, "id");
		json_set_text(obj, "email", act->arg);
		act_reply(act, 201, &obj);
	}
}

void
api_admin_users_create(struct http_call *call)
{
	struct user_new in;
	struct id id = id_new();
	struct act *act;
	struct err err;

	if (!json_read(http_json(call), user_new_fields,
		nitems(user_new_fields), &in, &err)) {
		http_reply_err(call, &err);
		return;
	}
	if (!email_ok(in.email)) {
		err_set_field(&err, ERR_INVALID, "bad_email", "#/email",
		    "This is not an e-mail address.");
		http_reply_err(call, &err);
	} else {
		act = act_new(call, xstrdup(in.email), free);
		act_query(act, STMT_USER_CREATE,
		    PG_ARGS(id.text, in.email, in.name,
			in.role >= 0 ? roles[in.role] : "user",
			pg_num(in.credits.set ? in.credits.v : 0), act->user),
		    on_created);
	}
	json_read_free(user_new_fields, nitems(user_new_fields), &in);
}

/* ---- role, status, limit ---- */

struct user_patch {
	char *name;
	int role, status;
	struct json_int limit;
};
static const struct json_field user_patch_fields[] = {
    JTEXT(struct user_patch, name, 0, 100),
    JENUM(struct user_patch, role, roles),
    JENUM(struct user_patch, status, statuses),
    JINT(struct user_patch, limit, 0, 100000, JAS("concurrent_limit")),
};

static void
on_patched(struct act *act, const struct pg_rows *rows, const struct err *err)
{
	struct json_object *obj;

	if (err != NULL) {
		act_err(act, err);
	} else if (strcmp(pg_text(rows, 0, "outcome"), "updated") != 0) {
		act_refuse(act, ERR_NOT_FOUND, "", "There is no such user.");
	} else {
		auth_changed_user(act->app->auth, act->arg);
		obj = json_new();
		json_set_text(obj, "id", act->arg);
		act_reply(act, 200, &obj);
	}
}

void
api_admin_users_patch(struct http_call *call)
{
	struct user_patch in;
	struct act *act;
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (!json_read(http_json(call), user_patch_fields,
		nitems(user_patch_fields), &in, &err)) {
		http_reply_err(call, &err);
		return;
	}
	act = act_new(call, xstrdup(id.text), free);
	if (str_eq(id.text, act->user) && (in.role >= 0 || in.status >= 0))
		act_refuse(act, ERR_CONFLICT, "yourself",
		    "Nobody changes his own role or status.");
	else
		act_query(act, STMT_USER_UPDATE,
		    PG_ARGS(id.text, in.name,
			in.role >= 0 ? roles[in.role] : NULL,
			in.status >= 0 ? statuses[in.status] : NULL,
			in.limit.set ? pg_num(in.limit.v) : NULL, act->user),
		    on_patched);
	json_read_free(user_patch_fields, nitems(user_patch_fields), &in);
}

/* ---- credits ---- */

struct give {
	struct id user;
	struct json_int amount;
	char *note, *expires_at;
	int64_t expires_ms;
};
static const struct json_field give_fields[] = {
    JINT(struct give, amount, -PRICE_MAX_CREDITS, PRICE_MAX_CREDITS, JREQ),
    JTEXT(struct give, note, 1, 500, JREQ),
    JTEXT(struct give, expires_at, 1, 40),
};

static void
give_free(void *arg)
{
	struct give *self = arg;

	json_read_free(give_fields, nitems(give_fields), self);
	free(self);
}

static void
give_refuse(struct api_once *once, enum err_code code, const char *name,
    const char *text)
{
	struct err err;

	err_set_name(&err, code, name, "%s", text);
	api_once_err(once, &err);
}

static void
on_given(struct api_once *once, const struct pg_rows *rows)
{
	const char *outcome = pg_text(rows, 0, "outcome");
	struct json_object *obj;

	if (strcmp(outcome, "adjusted") == 0 ||
	    strcmp(outcome, "replayed") == 0) {
		engine_publish(once->app->engine, rows, 0);
		obj = json_new();
		api_set_int(obj, "entry_id", rows, 0, "entry_id");
		api_set_int(obj, "balance", rows, 0, "balance");
		api_once_reply(once, 200, &obj);
	} else if (strcmp(outcome, "not_found") == 0) {
		give_refuse(once, ERR_NOT_FOUND, "", "There is no such user.");
	} else if (strcmp(outcome, "insufficient") == 0) {
		give_refuse(once, ERR_CONFLICT, "insufficient",
		    "The user has fewer free credits than that.");
	} else if (strcmp(outcome, "mismatch") == 0) {
		give_refuse(once, ERR_INVALID, "idempotency_mismatch",
		    "This Idempotency-Key was used with another body.");
	} else {
		give_refuse(once, ERR_INVALID, "bad_amount",
		    "The amount must not be 0.");
	}
}

static void
give(struct api_once *once)
{
	struct give *self = once->arg;
	char key[ID_LEN + 300], expires[40];

	/* The ledger knows the key too, in one space for all. */
	snprintf(key, sizeof key, "admin:%s:%s", once->user, once->key);
	time_rfc3339(self->expires_ms, expires, sizeof expires);
	api_once_query(once, once->app->pg_engine, STMT_CREDIT_ADJUST,
	    PG_ARGS(self->user.text, pg_num(self->amount.v), "adjustment", key,
		once->user, self->note, self->expires_ms > 0 ? expires : NULL),
	    on_given);
}

void
api_admin_users_credits(struct http_call *call)
{
	struct give *self = xcalloc(1, sizeof *self);
	struct err err;
	struct id id;

	if (!api_id(call, "id", &id)) {
		free(self);
		return;
	}
	if (!json_read(http_json(call), give_fields, nitems(give_fields), self,
		&err)) {
		http_reply_err(call, &err);
		free(self);
		return;
	}
	self->user = id;
	if (self->expires_at != NULL &&
	    (!time_parse_rfc3339(self->expires_at, &self->expires_ms) ||
		self->expires_ms <= clock_wall_ms())) {
		err_set_field(&err, ERR_INVALID, "bad_time", "#/expires_at",
		    "expires_at is a time to come.");
		http_reply_err(call, &err);
		give_free(self);
		return;
	}
	api_once_start(call, "admin.credits", true, give, self, give_free);
}
