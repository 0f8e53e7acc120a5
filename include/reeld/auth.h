/*
 * auth.h - who is calling, what he may do, and how often.
 *
 * auth_gate() runs for each request after its route is known and before its
 * body is read.  It finds the credential (API key, session cookie, WebSocket
 * ticket), looks the caller up in a bounded cache (at most
 * AUTH_CACHE_MS old) or with one statement, and checks the route's role and
 * scope, forged cross-site requests, and the rate limits.
 *
 * Rights that change are told with auth_changed_user() and
 * auth_changed_session(): caches forget them here and, through Redis, in the
 * other instances, and their live listeners are closed.
 *
 * Rate limits are counted by each instance alone (GCRA in memory): behind a
 * balancer over N instances a client may get up to N times its limit.  What
 * costs money is limited in PostgreSQL as well (jobs per user, balance).
 */
#ifndef REELD_AUTH_H
#define REELD_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/http.h"
#include "reeld/id.h"

struct auth;
struct live;
struct loop;
struct pg_pool;
struct redis;

enum { AUTH_CACHE_MS = 60000, AUTH_TICKET_MS = 30000 };

/* struct http_route.role: the least that is let in. */
enum role {
	ROLE_VISITOR, /* nobody in particular */
	ROLE_USER,
	ROLE_CREATOR,
	ROLE_OPERATOR, /* jobs, queues, workers */
	ROLE_ADMIN     /* people and money too */
};
const char *role_name(enum role role);
bool role_parse(const char *text, enum role *out) REELD_MUST;

/* What an API key was made for; a browser session has what its role has. */
enum {
	SCOPE_READ = 1 << 0,
	SCOPE_GENERATE = 1 << 1,
	SCOPE_ADMIN = 1 << 2,
	SCOPE_WORKER = 1 << 3,
	SCOPE_WEBHOOK = 1 << 4
};
/* 0: no such scope. */
unsigned scope_parse(const char *text);
/* NULL after the last: for (i = 0; (name = scope_name_at(i, &bit)); i++) */
const char *scope_name_at(size_t i, unsigned *bit);

/* struct http_route.flags, for the gate. */
enum {
	/* Role visitor: look at credentials anyway, if there are any. */
	AUTH_OPTIONAL = HTTP_FLAG_USER << 0,
	/* Also ?ticket= from POST /ws/ticket. */
	AUTH_TICKET = HTTP_FLAG_USER << 1,
	/* A request with X-Job-Token passes as visitor: the handler checks
	 * the token. */
	AUTH_JOB_TOKEN = HTTP_FLAG_USER << 2,
	/* The class of its rate limit; without one: reading. */
	AUTH_LIMIT_NONE = HTTP_FLAG_USER << 3,
	AUTH_LIMIT_SUBMIT = HTTP_FLAG_USER << 4,
	AUTH_LIMIT_UPLOAD = HTTP_FLAG_USER << 5,
	AUTH_LIMIT_LOGIN = HTTP_FLAG_USER << 6,
	/* Callbacks with a token that only the handler can judge: counted by
	 * address; a caller whose credential is known is not counted. */
	AUTH_LIMIT_HOOK = HTTP_FLAG_USER << 7
};

enum identity_kind {
	IDENTITY_VISITOR,
	IDENTITY_SESSION, /* browser */
	IDENTITY_KEY	  /* API key */
};

/* Immutable and shared; borrowed from the call it came with. */
struct identity {
	enum identity_kind kind;
	enum role role;	     /* a key without the admin scope has at most
				ROLE_CREATOR */
	enum role user_role; /* the person's own */
	unsigned scopes;
	char user[ID_LEN + 1]; /* "": visitor */
	/* Session or API key; what auth_changed_session() takes. */
	char session[ID_LEN + 1];
	char email[256];
	int rate_per_minute; /* of the key; 0: only the usual limits */
};

struct auth_opts {
	struct pg_pool *pg;	  /* engine pool: the caller is not known yet */
	struct redis *redis;	  /* may be NULL */
	struct live *live;	  /* may be NULL */
	const char *instance;	  /* this process's id */
	const char *public_url;	  /* as browsers see it, or "" */
	const char *admin_emails; /* commas; become admin at sign-in */
	const void *secret;	  /* addresses are stored as HMAC with it */
	size_t secret_len;
	int64_t session_days, session_idle_days;
	int64_t submit_per_minute, submit_burst;
	int64_t read_per_second, read_burst;
	int64_t upload_per_hour;
	int64_t hooks_per_minute, hooks_burst; /* of one address */
};

/* Copies opts; the modules in it outlive auth. */
struct auth *auth_new(struct loop *loop, const struct auth_opts *opts);
/* After a reload: rates, lengths of sessions and admin_emails of opts. */
void auth_settings(struct auth *auth, const struct auth_opts *opts);
void auth_free(struct auth *auth); /* NULL is fine; after the http server */

/* The http gate's work. */
enum http_gate auth_gate(struct auth *auth, struct http_call *call);
/* For http_opts.on_identity_free. */
void auth_identity_free(void *identity);
/* Never NULL: a visitor when nobody is known. */
const struct identity *auth_identity(const struct http_call *call);

/* Rights of a user, a session or an API key changed or ended. */
void auth_changed_user(struct auth *auth, const char *user);
void auth_changed_session(struct auth *auth, const char *session);

/* A single-use ticket for the WebSocket, good for AUTH_TICKET_MS here. */
bool auth_ticket_new(struct auth *auth, const struct identity *identity,
    char *out, size_t size, struct err *err) REELD_MUST;

/* ---- signing in ---- */

/* "__Host-reeld=...; ..." for Set-Cookie; token NULL: ends the cookie. */
void auth_cookie(const struct auth *auth, const struct http_call *call,
    const char *token, char *out, size_t size);
/* The session token the request carries, or NULL. */
const char *
auth_cookie_token(const struct auth *auth, const struct http_call *call);
int64_t auth_session_ttl_s(const struct auth *auth);
bool auth_is_admin_email(const struct auth *auth, const char *email);
/* The caller's address as it is stored ("\\x<hex>"): a keyed hash. */
void auth_ip_hash(
    const struct auth *auth, const struct http_call *call, char out[67]);

/* Whom the caller's address stands for where addresses are counted: IPv4 as
 * it is, IPv6 as its /64. */
void auth_ip_key(const struct http_call *call, char *out, size_t size);

struct auth_stats {
	int identities, lookups_running, tickets;
	uint64_t hits, misses, lookups, refused, forged, limited;
};
void auth_stats(const struct auth *auth, struct auth_stats *out);

#endif
