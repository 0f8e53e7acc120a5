/*
 * auth.c - makes and ends the module, spreads the news that rights changed,
 * cookies.
 */
#define LOG_MODULE "auth"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/internal.h"
#include "reeld/json.h"
#include "reeld/live.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "reeld/redis.h"

/* {"from","user"} or {"from","session"}: forget them. */
#define CHANNEL "reeld:auth"

/* Sign-ins and wrong credentials of one address per minute. */
enum { LOGINS = 10, WRONG = 60 };

static void
forget(struct auth *auth, const char *user, const char *session)
{
	lookups_stale(auth);
	cache_drop(auth->cache, user, session);
	tickets_drop(auth, user, session);
}

static void
on_changed(const char *channel, const char *data, size_t len, void *arg)
{
	struct auth *self = arg;
	struct json_object *doc;

	if (!json_parse(data, len, 1024, &doc, NULL))
		return;
	if (!str_eq(json_text_at(doc, "from"), self->instance))
		forget(self, json_text_at(doc, "user"),
		    json_text_at(doc, "session"));
	json_free(&doc);
}

/* Other instances that don't hear it forget by age. */
static void
tell(struct auth *auth, const char *name, const char *id)
{
	struct json_object *doc;
	char *text;

	if (auth->redis == NULL)
		return;
	doc = json_new();
	json_set_text(doc, "type", "auth.changed");
	json_set_text(doc, "from", auth->instance);
	json_set_text(doc, name, id);
	text = json_dump_text(doc);
	if (!redis_publish(auth->redis, CHANNEL, text, strlen(text)))
		log_warn("msg=\"other instances not told\" %s=%s", name, id);
	free(text);
	json_free(&doc);
}

void
auth_changed_user(struct auth *auth, const char *user)
{
	forget(auth, user, NULL);
	tell(auth, "user", user);
	if (auth->live != NULL)
		live_revoke_user(auth->live, user);
}

void
auth_changed_session(struct auth *auth, const char *session)
{
	forget(auth, NULL, session);
	tell(auth, "session", session);
	if (auth->live != NULL)
		live_revoke_session(auth->live, session);
}

void
auth_settings(struct auth *self, const struct auth_opts *opts)
{
	free(self->admin_emails);
	self->admin_emails =
	    xstrdup(opts->admin_emails != NULL ? opts->admin_emails : "");
	self->session_s = opts->session_days * 86400;
	self->session_idle_s = opts->session_idle_days * 86400;
	self->rates[LIMIT_READ] =
	    limit_rate_of("read", opts->read_per_second, 1, opts->read_burst);
	self->rates[LIMIT_SUBMIT] = limit_rate_of(
	    "submit", opts->submit_per_minute, 60, opts->submit_burst);
	self->rates[LIMIT_UPLOAD] = limit_rate_of("upload",
	    opts->upload_per_hour, 3600, (opts->upload_per_hour + 3) / 4);
	self->rates[LIMIT_HOOK] = limit_rate_of(
	    "hooks", opts->hooks_per_minute, 60, opts->hooks_burst);
	self->rates[LIMIT_LOGIN] = limit_rate_of("login", LOGINS, 60, LOGINS);
	self->rates[LIMIT_WRONG] = limit_rate_of("wrong", WRONG, 60, WRONG);
}

struct auth *
auth_new(struct loop *loop, const struct auth_opts *opts)
{
	static const char purpose[] = "reeld address";
	struct auth *self = xcalloc(1, sizeof *self);

	self->loop = loop;
	self->pg = opts->pg;
	self->redis = opts->redis;
	self->live = opts->live;
	self->instance = xstrdup(opts->instance != NULL ? opts->instance : "");
	self->public_url =
	    xstrdup(opts->public_url != NULL ? opts->public_url : "");
	hmac_sha256(opts->secret, opts->secret_len, purpose, sizeof purpose - 1,
	    self->ip_key);
	auth_settings(self, opts);
	self->limits = limit_table_new();
	self->cache = cache_new();
	if (self->redis != NULL)
		redis_subscribe(self->redis, CHANNEL, on_changed, self);
	return self;
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	if (auth->redis != NULL)
		redis_subscribe(auth->redis, CHANNEL, NULL, NULL);
	lookups_free(auth);
	tickets_free(auth);
	cache_free(auth->cache);
	limit_table_free(auth->limits);
	free(auth->instance);
	free(auth->public_url);
	free(auth->admin_emails);
	explicit_bzero(auth->ip_key, sizeof auth->ip_key);
	free(auth);
}

void
auth_stats(const struct auth *auth, struct auth_stats *out)
{
	*out = auth->stats;
	out->identities = cache_count(auth->cache);
}

/* The __Host- form needs TLS; a name of its own keeps the two apart. */
static const char *
cookie_name(const struct auth *auth, const struct http_call *call)
{
	bool https = str_starts(auth->public_url, "https://") ||
	    (auth->public_url[0] == '\0' && http_is_https(call));

	return https ? "__Host-reeld" : "reeld";
}

const char *
auth_cookie_token(const struct auth *auth, const struct http_call *call)
{
	return http_cookie(call, cookie_name(auth, call));
}

void
auth_cookie(const struct auth *auth, const struct http_call *call,
    const char *token, char *out, size_t size)
{
	const char *name = cookie_name(auth, call);
	bool secure = name[0] == '_';

	snprintf(out, size,
	    "%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%lld%s", name,
	    token != NULL ? token : "",
	    (long long)(token != NULL ? auth->session_s : 0),
	    secure ? "; Secure" : "");
}

int64_t
auth_session_ttl_s(const struct auth *auth)
{
	return auth->session_s;
}

bool
auth_is_admin_email(const struct auth *auth, const char *email)
{
	const char *p = auth->admin_emails;

	while (*p != '\0') {
		size_t len;

		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		if (len > 0 && len == strlen(email) &&
		    strncasecmp(p, email, len) == 0)
			return true;
		p += len;
	}
	return false;
}

void
auth_ip_hash(
    const struct auth *auth, const struct http_call *call, char out[67])
{
	const char *ip = http_client_ip(call);
	uint8_t sum[32];

	hmac_sha256(auth->ip_key, sizeof auth->ip_key, ip, strlen(ip), sum);
	hash_to_bytea(sum, out);
}

void
auth_ip_key(const struct http_call *call, char *out, size_t size)
{
	limit_ip_key(http_client_ip(call), out, size);
}
