/*
 * signin.c - signing in with a one-time link, and out.  The page
 * /login/link?token= posts the token here, so that looking at a link (mail
 * scanners do) does not use it up.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/log.h"
#include "reeld/token.h"

struct signin {
	char token[TOKEN_LEN + 1]; /* of the new session */
	char user[ID_LEN + 1];
};

static void
signin_free(void *arg)
{
	explicit_bzero(arg, sizeof(struct signin));
	free(arg);
}

static void
welcome(struct http_call *call, const struct pg_rows *rows,
    const struct signin *self, const char *role)
{
	struct json_object *reply = json_new();
	char cookie[256];

	auth_cookie(
	    api_app(call)->auth, call, self->token, cookie, sizeof cookie);
	http_reply_header(call, "Set-Cookie", cookie);
	explicit_bzero(cookie, sizeof cookie);
	api_set_text(reply, "id", rows, 0, "id");
	api_set_text(reply, "email", rows, 0, "email");
	api_set_text(reply, "name", rows, 0, "name");
	json_set_text(reply, "role", role);
	http_reply_json(call, 200, &reply);
}

static void
on_promoted_user(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (pg_count(rows) == 1)
		welcome(call, rows, arg, pg_text(rows, 0, "role"));
	else
		api_not_found(call);
	signin_free(arg);
}

static void
on_promoted(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct signin *self = arg;

	log_info("user=%s msg=\"made admin by admin.emails\"", self->user);
	auth_changed_user(api_app(call)->auth, self->user);
	api_query(call, api_app(call)->pg_engine, STMT_USER_GET,
	    PG_ARGS(self->user), on_promoted_user, self, signin_free);
}

static void
on_user(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct signin *self = arg;
	struct app *app = api_app(call);

	if (pg_count(rows) != 1) {
		api_not_found(call);
		signin_free(self);
		return;
	}
	if (strcmp(pg_text(rows, 0, "role"), "admin") != 0 &&
	    auth_is_admin_email(app->auth, pg_text(rows, 0, "email"))) {
		api_query(call, app->pg_engine, STMT_USER_UPDATE,
		    PG_ARGS(self->user, NULL, "admin", NULL, NULL, NULL),
		    on_promoted, self, signin_free);
		return;
	}
	welcome(call, rows, self, pg_text(rows, 0, "role"));
	signin_free(self);
}

static const struct refusal {
	const char *outcome;
	enum err_code code;
	const char *name, *text;
} refusals[] = {
    {"used", ERR_GONE, "link_used", "This sign-in link was used already."},
    {"expired", ERR_GONE, "link_expired", "This sign-in link is too old."},
    {"suspended", ERR_FORBIDDEN, "suspended", "This account is suspended."},
    {"not_found", ERR_NOT_FOUND, "link_unknown",
	"This is not one of our sign-in links."},
};

static void
refuse(struct http_call *call, const char *outcome)
{
	const struct refusal *refusal = &refusals[nitems(refusals) - 1];

	for (size_t i = 0; i < nitems(refusals); i++) {
		if (strcmp(refusals[i].outcome, outcome) == 0)
			refusal = &refusals[i];
	}
	api_refuse(call, refusal->code, refusal->name, "%s", refusal->text);
}

static void
on_used(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct signin *self = arg;

	if (strcmp(pg_text(rows, 0, "outcome"), "ok") != 0) {
		refuse(call, pg_text(rows, 0, "outcome"));
		signin_free(self);
		return;
	}
	str_copy(self->user, sizeof self->user, pg_text(rows, 0, "user_id"));
	api_query(call, api_app(call)->pg_engine, STMT_USER_GET,
	    PG_ARGS(self->user), on_user, self, signin_free);
}

struct body {
	char *token;
};
static const struct json_field fields[] = {
    JTEXT(struct body, token, 1, 200, JREQ),
};

static const char *
agent_of(const struct http_call *call)
{
	const char *agent = http_header(call, "User-Agent");

	return agent != NULL && utf8_valid(agent, strlen(agent)) ? agent : NULL;
}

void
api_auth_link(struct http_call *call)
{
	struct app *app = api_app(call);
	char link[67], session[67], ip[67];
	uint8_t link_hash[32], hash[32];
	struct signin *self;
	struct body body;
	struct err err;
	bool ok;

	if (!json_read(http_json(call), fields, nitems(fields), &body, &err)) {
		http_reply_err(call, &err);
		return;
	}
	ok = token_hash(body.token, link_hash);
	json_read_free(fields, nitems(fields), &body);
	if (!ok) {
		refuse(call, "not_found");
		return;
	}
	self = xcalloc(1, sizeof *self);
	token_new(self->token, hash);
	hash_to_bytea(link_hash, link);
	hash_to_bytea(hash, session);
	auth_ip_hash(app->auth, call, ip);
	api_query(call, app->pg_engine, STMT_LOGIN_LINK_USE,
	    PG_ARGS(link, session, pg_num(auth_session_ttl_s(app->auth)), ip,
		agent_of(call)),
	    on_used, self, signin_free);
}

static void
bye(struct http_call *call)
{
	char cookie[256];

	auth_cookie(api_app(call)->auth, call, NULL, cookie, sizeof cookie);
	http_reply_header(call, "Set-Cookie", cookie);
	http_reply_no_content(call);
}

static void
on_ended(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	auth_changed_session(api_app(call)->auth, api_me(call)->session);
	bye(call);
}

void
api_auth_logout(struct http_call *call)
{
	struct app *app = api_app(call);
	const char *token = auth_cookie_token(app->auth, call);
	uint8_t hash[32];
	char bytea[67];

	if (api_me(call)->kind != IDENTITY_SESSION || token == NULL ||
	    !token_hash(token, hash)) {
		bye(call);
		return;
	}
	hash_to_bytea(hash, bytea);
	api_query(call, app->pg_engine, STMT_SESSION_END, PG_ARGS(bytea),
	    on_ended, NULL, NULL);
}

void
api_auth_providers(struct http_call *call)
{
	struct json_object *reply = json_new(), *list = json_new_arr();
	struct json_object *link = json_new();

	json_set_text(link, "id", "link");
	json_set_text(link, "name", "One-time link");
	json_add_obj(list, &link);
	json_set_arr(reply, "data", &list);
	http_reply_json(call, 200, &reply);
}
