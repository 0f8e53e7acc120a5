/*
 * keys.c - the caller's API keys.  A key is shown in the reply of its
 * creation and never again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/clock.h"
#include "reeld/token.h"

static void
show_scopes(struct json_object *item, const char *array)
{
	struct json_object *list = json_new_arr();
	const char *name;
	unsigned bit;

	/* The words hold no character that PostgreSQL would quote. */
	for (size_t i = 0; (name = scope_name_at(i, &bit)) != NULL; i++) {
		const char *at = strstr(array, name);

		if (at != NULL)
			json_add_text(list, name);
	}
	json_set_arr(item, "scopes", &list);
}

static struct json_object *
show(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *item = json_new();

	api_set_text(item, "id", rows, row, "id");
	api_set_text(item, "name", rows, row, "name");
	api_set_text(item, "prefix", rows, row, "prefix");
	show_scopes(item, pg_text(rows, row, "scopes"));
	api_set_time(item, "created_at", rows, row, "created_ms");
	api_set_time(item, "expires_at", rows, row, "expires_ms");
	api_set_time(item, "last_used_at", rows, row, "used_ms");
	return item;
}

static void
on_list(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	static const struct api_page all = {.limit = 1000};

	api_page_reply(call, &all, rows, "created_ms", "id", show, NULL);
}

void
api_keys_list(struct http_call *call)
{
	const char *user = api_me(call)->user;

	api_query(call, api_app(call)->pg, STMT_API_KEY_LIST, PG_AS(user, user),
	    on_list, NULL, NULL);
}

/* ---- making one ---- */

struct body {
	char *name, *expires_at;
	struct json_texts scopes;
};
static const struct json_field fields[] = {
    JTEXT(struct body, name, 1, 100, JREQ),
    JTEXTS(struct body, scopes, 8, 32),
    JTEXT(struct body, expires_at, 20, 40),
};

struct wanted {
	struct id id;
	char *name;
	unsigned scopes;
	int64_t expires_ms; /* 0: never */
	struct api_key key;
};

static void
wanted_free(void *arg)
{
	struct wanted *self = arg;

	free(self->name);
	explicit_bzero(self, sizeof *self);
	free(self);
}

/* Never more than the caller has himself. */
static bool
read_scopes(const struct identity *me, const struct json_texts *words,
    unsigned *out, struct err *err)
{
	*out = words->n == 0 ? SCOPE_READ | SCOPE_GENERATE : 0;
	for (size_t i = 0; i < words->n; i++) {
		unsigned bit = scope_parse(words->v[i]);

		if (bit == 0)
			return err_set_field(err, ERR_INVALID, "unknown_scope",
			    "#/scopes", "There is no scope \"%.32s\".",
			    words->v[i]);
		*out |= bit;
	}
	if (*out & ~me->scopes)
		return err_set_field(err, ERR_FORBIDDEN, "scope_missing",
		    "#/scopes", "A key can't make a key that may do more.");
	if ((*out & SCOPE_WORKER) && me->role < ROLE_OPERATOR)
		return err_set_field(err, ERR_FORBIDDEN, "role_missing",
		    "#/scopes", "Keys of workers are made by operators.");
	return true;
}

static bool
read_body(struct http_call *call, struct wanted *out, struct err *err)
{
	struct body body;
	bool ok;

	if (!json_read(http_json(call), fields, nitems(fields), &body, err))
		return false;
	ok = read_scopes(api_me(call), &body.scopes, &out->scopes, err);
	if (ok && body.expires_at != NULL &&
	    (!time_parse_rfc3339(body.expires_at, &out->expires_ms) ||
		out->expires_ms <= clock_wall_ms()))
		ok = err_set_field(err, ERR_INVALID, "bad_time", "#/expires_at",
		    "A time in the future, as RFC 3339.");
	if (ok)
		out->name = xstrdup(body.name);
	json_read_free(fields, nitems(fields), &body);
	return ok;
}

static void
scopes_array(unsigned scopes, char *out, size_t size)
{
	const char *name;
	unsigned bit;
	size_t n = (size_t)snprintf(out, size, "{");

	for (size_t i = 0; (name = scope_name_at(i, &bit)) != NULL; i++) {
		if (scopes & bit)
			n += (size_t)snprintf(
			    out + n, size - n, "%s%s", n > 1 ? "," : "", name);
	}
	snprintf(out + n, size - n, "}");
}

static void make(struct http_call *call, struct wanted *self);

static void
on_made(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const char *outcome = pg_text(rows, 0, "outcome");
	struct wanted *self = arg;
	struct json_object *reply;
	char array[96];

	if (strcmp(outcome, "exists") == 0) {
		make(call, self); /* one in 2^71: again with another */
		return;
	}
	if (strcmp(outcome, "created") != 0) {
		api_refuse(call, ERR_CONFLICT, "too_many_keys",
		    "You have 100 keys; revoke some first.");
		wanted_free(self);
		return;
	}
	reply = json_new();
	json_set_text(reply, "id", self->id.text);
	json_set_text(reply, "name", self->name);
	json_set_text(reply, "prefix", self->key.prefix);
	json_set_text(reply, "key", self->key.text);
	scopes_array(self->scopes, array, sizeof array);
	show_scopes(reply, array);
	json_set_time_ms(reply, "expires_at", self->expires_ms);
	wanted_free(self);
	http_reply_json(call, 201, &reply);
}

/* Takes self. */
static void
make(struct http_call *call, struct wanted *self)
{
	char array[96], hash[67];

	self->id = id_new();
	api_key_new(&self->key);
	hash_to_bytea(self->key.hash, hash);
	scopes_array(self->scopes, array, sizeof array);
	api_query(call, api_app(call)->pg_engine, STMT_API_KEY_CREATE,
	    PG_ARGS(self->id.text, api_me(call)->user, self->name,
		self->key.prefix, hash, array,
		self->expires_ms > 0 ? pg_num(self->expires_ms) : NULL),
	    on_made, self, wanted_free);
}

void
api_keys_create(struct http_call *call)
{
	struct wanted *self = xcalloc(1, sizeof *self);
	struct err err;

	if (read_body(call, self, &err)) {
		make(call, self);
	} else {
		http_reply_err(call, &err);
		wanted_free(self);
	}
}

static void
on_revoked(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct id id;

	if (strcmp(pg_text(rows, 0, "outcome"), "revoked") != 0 ||
	    !id_parse(http_arg(call, "id"), &id)) {
		api_not_found(call);
		return;
	}
	auth_changed_session(api_app(call)->auth, id.text);
	http_reply_no_content(call);
}

void
api_keys_delete(struct http_call *call)
{
	struct id id;

	if (api_id(call, "id", &id))
		api_query(call, api_app(call)->pg_engine, STMT_API_KEY_REVOKE,
		    PG_ARGS(id.text, api_me(call)->user), on_revoked, NULL,
		    NULL);
}
