/* internal.h - what the files of src/auth share. */
#ifndef REELD_AUTH_INTERNAL_H
#define REELD_AUTH_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/auth.h"
#include "reeld/token.h"

enum { AUTH_MAX_IDENTITIES = 20000, AUTH_MAX_TICKETS = 10000 };

/* ---- identity.c: an identity and who holds it ---- */

struct shared {
	struct identity who; /* first: its address is the identity's */
	int refs;
};
struct shared *shared_ref(struct shared *shared);
void shared_unref(struct shared **slot); /* NULL is fine */
/* "{read,generate}" as PostgreSQL writes it; unknown words count nothing. */
unsigned scopes_of_array(const char *text);

/* ---- limit.c: GCRA in a fixed table ---- */

struct limit_rate {
	const char *name;    /* in the headers */
	int64_t interval_ns; /* one request per this, in the long run */
	int64_t burst;	     /* this many at once */
	char policy[80];     /* RateLimit-Policy */
};
struct limit_rate
limit_rate_of(const char *name, int64_t count, int64_t per_s, int64_t burst);

struct limit_result {
	bool allowed;
	int64_t remaining;
	int64_t reset_s; /* until all of burst is there again */
	int64_t retry_s; /* when refused: until one is let in, >= 1 */
};
struct limit_table;
struct limit_table *limit_table_new(void);
void limit_table_free(struct limit_table *table);
/* Counts one more for key; cost 0 only looks. */
struct limit_result limit_take(struct limit_table *table, const char *key,
    const struct limit_rate *rate, int cost, int64_t now_ns);
/* Whom an address stands for: IPv4 as it is, IPv6 as its /64. */
void limit_ip_key(const char *ip, char *out, size_t size);

/* ---- forgery.c: cross-site request forgery ---- */

struct forgery_in {
	const char *fetch_site; /* Sec-Fetch-Site, or NULL */
	const char *origin;	/* Origin, or NULL */
	const char *host;	/* Host, or NULL */
	const char *public_url; /* or "" */
	bool cookie; /* a cookie says who it is: silence is refused too */
};
/* The request can't have been made by another site's page. */
bool forgery_ok(const struct forgery_in *in) REELD_MUST;

/* ---- cache.c: who a token's hash stands for ---- */

enum cache_answer { CACHE_MISS, CACHE_NOBODY, CACHE_FOUND };
struct cache;
struct cache *cache_new(void);
void cache_free(struct cache *cache);
/* *out is borrowed. */
enum cache_answer cache_get(struct cache *cache, const uint8_t hash[32],
    int64_t now_ms, struct shared **out);
/* Takes a reference of its own; who NULL: nobody has this token. */
void cache_put(struct cache *cache, const uint8_t hash[32], struct shared *who,
    int64_t now_ms, int64_t ttl_ms);
void cache_drop(struct cache *cache, const char *user, const char *session);
int cache_count(const struct cache *cache);

/* ---- lookup.c: one statement for all who ask at once ---- */

struct credential {
	uint8_t hash[32];
	char prefix[9 + API_KEY_ID_LEN + 1]; /* API key; "": session */
};
struct lookup;
/* Later: who (borrowed), or NULL with err.  Slot rule. */
typedef void lookup_fn(struct shared *who, const struct err *err, void *arg);
struct lookup_wait;
void lookup_start(struct auth *auth, const struct credential *what,
    struct lookup_wait **slot, lookup_fn *done, void *arg);
void lookup_cancel(struct lookup_wait **slot);
/* Results on their way may be old: don't keep them. */
void lookups_stale(struct auth *auth);
void lookups_free(struct auth *auth);

/* ---- ticket.c ---- */

struct ticket;
/* A new reference, or NULL. */
struct shared *ticket_take(struct auth *auth, const char *text);
void tickets_drop(struct auth *auth, const char *user, const char *session);
void tickets_free(struct auth *auth);

enum limit_class {
	LIMIT_READ,
	LIMIT_SUBMIT,
	LIMIT_UPLOAD,
	LIMIT_LOGIN,
	LIMIT_HOOK,
	LIMIT_WRONG, /* credentials that nobody has */
	LIMIT_CLASSES
};

struct auth {
	struct loop *loop;
	struct pg_pool *pg;
	struct redis *redis;
	struct live *live;
	char *instance, *public_url, *admin_emails;
	uint8_t ip_key[32];
	int64_t session_s, session_idle_s;
	struct limit_rate rates[LIMIT_CLASSES];
	struct limit_table *limits;
	struct cache *cache;
	struct lookup *lookups; /* in flight, by hash */
	struct ticket *tickets; /* by hash */
	struct auth_stats stats;
};

#endif
