/*
 * gate.c - runs before each handler: which credential, whose, may he, is it
 * really him, and not too often.  The usual case (a credential in the cache)
 * takes no statement and does not wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

struct gate {
	struct auth *auth;
	struct http_call *call;
	struct lookup_wait *wait;
	bool cookie; /* a browser's: an old one is the same as none */
};

static enum http_gate
refuse(struct auth *auth, struct http_call *call, const struct err *err)
{
	auth->stats.refused++;
	http_reply_err(call, err);
	return GATE_DONE;
}

static bool
is_write(const struct http_call *call)
{
	switch (http_method(call)) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_OPTIONS:
		return false;
	default:
		return true;
	}
}

static enum limit_class
class_of(unsigned flags)
{
	if (flags & AUTH_LIMIT_SUBMIT)
		return LIMIT_SUBMIT;
	if (flags & AUTH_LIMIT_UPLOAD)
		return LIMIT_UPLOAD;
	if (flags & AUTH_LIMIT_LOGIN)
		return LIMIT_LOGIN;
	if (flags & AUTH_LIMIT_HOOK)
		return LIMIT_HOOK;
	return LIMIT_READ;
}

static void
limit_headers(struct http_call *call, const struct limit_rate *rate,
    const struct limit_result *result)
{
	char text[96], *at = text;

	http_reply_header(call, "RateLimit-Policy", rate->policy);
	*at++ = '"';
	at = stpcpy(at, rate->name);
	at = stpcpy(at, "\";r=");
	at = str_put_u64(at, (uint64_t)result->remaining, 10);
	at = stpcpy(at, ";t=");
	str_put_u64(at, (uint64_t)result->reset_s, 10);
	http_reply_header(call, "RateLimit", text);
}

static bool
limit_ok(struct auth *auth, struct http_call *call,
    const struct limit_rate *rate, const char *key, int cost, struct err *err)
{
	struct limit_result result =
	    limit_take(auth->limits, key, rate, cost, clock_mono_ns());

	limit_headers(call, rate, &result);
	if (result.allowed)
		return true;
	auth->stats.limited++;
	err_set_name(err, ERR_LIMIT, "rate_limited",
	    "Too many requests; try again in %lld s.",
	    (long long)result.retry_s);
	err->retry_after_s = (int)result.retry_s;
	return false;
}

static bool
often_ok(struct auth *auth, struct http_call *call, const struct identity *who,
    struct err *err)
{
	unsigned flags = http_route(call)->flags;
	enum limit_class class = class_of(flags);
	char ip[64];

	if ((flags & AUTH_LIMIT_NONE) || (who != NULL && class == LIMIT_HOOK))
		return true;
	if (who != NULL && class != LIMIT_LOGIN) {
		if (who->rate_per_minute > 0) {
			struct limit_rate own = limit_rate_of("key",
			    who->rate_per_minute, 60, who->rate_per_minute);

			return limit_ok(auth, call, &own, who->session, 1, err);
		}
		return limit_ok(
		    auth, call, &auth->rates[class], who->user, 1, err);
	}
	limit_ip_key(http_client_ip(call), ip, sizeof ip);
	return limit_ok(auth, call, &auth->rates[class], ip, 1, err);
}

static bool
same_site_ok(struct auth *auth, struct http_call *call,
    const struct identity *who, struct err *err)
{
	struct forgery_in in = {
	    .fetch_site = http_header(call, "Sec-Fetch-Site"),
	    .origin = http_header(call, "Origin"),
	    .host = http_header(call, "Host"),
	    .public_url = auth->public_url,
	    .cookie = who != NULL && who->kind == IDENTITY_SESSION};

	if (!is_write(call) || (who != NULL && who->kind == IDENTITY_KEY) ||
	    forgery_ok(&in))
		return true;
	auth->stats.forged++;
	return err_set_name(err, ERR_FORBIDDEN, "cross_site",
	    "A page of another site can't do this.");
}

static bool
rights_ok(
    const struct http_route *route, const struct identity *who, struct err *err)
{
	if (who == NULL) {
		return route->role <= ROLE_VISITOR ||
		    err_set(
			err, ERR_UNAUTHORIZED, "Sign in, or send an API key.");
	}
	if (route->scope != NULL && route->scope[0] != '\0' &&
	    !(who->scopes & scope_parse(route->scope)))
		return err_set_name(err, ERR_FORBIDDEN, "scope_missing",
		    "This API key was not made for \"%s\".", route->scope);
	/* Here, since a worker's body may be large: it is not taken first. */
	if ((route->flags & AUTH_JOB_TOKEN) && who->user_role < ROLE_OPERATOR)
		return err_set_name(err, ERR_FORBIDDEN, "not_a_worker",
		    "This needs an operator's API key with the scope worker.");
	if ((int)who->role < route->role)
		return err_set_name(err, ERR_FORBIDDEN, "role_missing",
		    "This needs the role %s.",
		    role_name((enum role)route->role));
	return true;
}

/* shared NULL: a visitor. */
static enum http_gate
admit(struct auth *auth, struct http_call *call, struct shared *shared)
{
	const struct identity *who = shared != NULL ? &shared->who : NULL;
	struct err err;

	if (!rights_ok(http_route(call), who, &err) ||
	    !same_site_ok(auth, call, who, &err) ||
	    !often_ok(auth, call, who, &err))
		return refuse(auth, call, &err);
	if (shared != NULL)
		http_identity_set(call, shared_ref(shared));
	return GATE_PASS;
}

static void
on_gone(void *arg)
{
	struct gate *self = arg;

	lookup_cancel(&self->wait);
	free(self);
}

/* Guessing credentials is slowed down by address.  The same wrong one again
 * is no guess and costs no statement, so it does not count. */
static void
count_wrong(struct auth *auth, const struct http_call *call)
{
	char ip[64];

	limit_ip_key(http_client_ip(call), ip, sizeof ip);
	limit_take(
	    auth->limits, ip, &auth->rates[LIMIT_WRONG], 1, clock_mono_ns());
}

static enum http_gate
nobody(struct auth *auth, struct http_call *call, bool cookie)
{
	struct err err;

	if (cookie)
		return admit(auth, call, NULL);
	err_set_name(&err, ERR_UNAUTHORIZED, "invalid_token",
	    "The API key is unknown, expired or revoked.");
	return refuse(auth, call, &err);
}

static void
on_known(struct shared *who, const struct err *err, void *arg)
{
	struct gate *self = arg;
	struct auth *auth = self->auth;
	struct http_call *call = self->call;
	bool cookie = self->cookie;
	enum http_gate answer;

	free(self);
	http_on_gone(call, NULL, NULL);
	if (who != NULL) {
		answer = admit(auth, call, who);
	} else if (err->code == ERR_UNAUTHORIZED) {
		count_wrong(auth, call);
		answer = nobody(auth, call, cookie);
	} else {
		answer = refuse(auth, call, err);
	}
	if (answer == GATE_PASS)
		http_gate_pass(call);
}

static enum http_gate
ask(struct auth *auth, struct http_call *call, const struct credential *what,
    bool cookie)
{
	struct limit_result wrong;
	struct gate *self;
	struct err err;
	char ip[64];

	limit_ip_key(http_client_ip(call), ip, sizeof ip);
	wrong = limit_take(
	    auth->limits, ip, &auth->rates[LIMIT_WRONG], 0, clock_mono_ns());
	if (!wrong.allowed) {
		auth->stats.limited++;
		err_set_name(&err, ERR_LIMIT, "rate_limited",
		    "Too many wrong credentials from this address.");
		err.retry_after_s = (int)wrong.retry_s;
		return refuse(auth, call, &err);
	}
	self = xcalloc(1, sizeof *self);
	self->auth = auth;
	self->call = call;
	self->cookie = cookie;
	http_on_gone(call, on_gone, self);
	lookup_start(auth, what, &self->wait, on_known, self);
	return GATE_WAIT;
}

static enum http_gate
known_or_ask(struct auth *auth, struct http_call *call,
    const struct credential *what, bool cookie)
{
	struct shared *who;

	switch (cache_get(auth->cache, what->hash, clock_mono_ms(), &who)) {
	case CACHE_FOUND:
		auth->stats.hits++;
		return admit(auth, call, who);
	case CACHE_NOBODY:
		auth->stats.hits++;
		return nobody(auth, call, cookie);
	case CACHE_MISS:
		break;
	}
	auth->stats.misses++;
	return ask(auth, call, what, cookie);
}

static enum http_gate
by_ticket(struct auth *auth, struct http_call *call, const char *text)
{
	struct shared *who = ticket_take(auth, text);
	enum http_gate answer;
	struct err err;

	if (who == NULL) {
		err_set_name(&err, ERR_UNAUTHORIZED, "invalid_ticket",
		    "The ticket is unknown, used or too old.");
		return refuse(auth, call, &err);
	}
	answer = admit(auth, call, who);
	shared_unref(&who);
	return answer;
}

static enum http_gate
by_bearer(struct auth *auth, struct http_call *call, const char *header)
{
	struct credential what = {.prefix = ""};
	struct api_key key;

	if (strncasecmp(header, "Bearer ", 7) != 0 ||
	    !api_key_parse(header + 7, &key))
		return nobody(auth, call, false);
	memcpy(what.hash, key.hash, sizeof what.hash);
	str_copy(what.prefix, sizeof what.prefix, key.prefix);
	explicit_bzero(&key, sizeof key);
	return known_or_ask(auth, call, &what, false);
}

/* The handler judges the token; how often one may try is judged here. */
static enum http_gate
by_job_token(struct auth *auth, struct http_call *call)
{
	struct err err;

	return often_ok(auth, call, NULL, &err) ? GATE_PASS
						: refuse(auth, call, &err);
}

enum http_gate
auth_gate(struct auth *auth, struct http_call *call)
{
	const struct http_route *route = http_route(call);
	struct credential what = {.prefix = ""};
	const char *text;

	if (route->role <= ROLE_VISITOR && !(route->flags & AUTH_OPTIONAL))
		return admit(auth, call, NULL);
	text = http_header(call, "Authorization");
	if (text != NULL)
		return by_bearer(auth, call, text);
	if ((route->flags & AUTH_JOB_TOKEN) &&
	    http_header(call, "X-Job-Token") != NULL)
		return by_job_token(auth, call);
	text = (route->flags & AUTH_TICKET) ? http_query(call, "ticket") : NULL;
	if (text != NULL)
		return by_ticket(auth, call, text);
	text = auth_cookie_token(auth, call);
	if (text != NULL && token_hash(text, what.hash))
		return known_or_ask(auth, call, &what, true);
	return admit(auth, call, NULL);
}
