/*
 * lookup.c - asks the database who a credential stands for: one statement
 * for all the requests that wait for the same answer, which goes to the cache
 * for the next ones.
 */
#define LOG_MODULE "auth"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "auth/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "reeld/pg.h"

/* How long it is remembered that a credential is nobody's: long enough that a
 * forgotten client with a dead key costs next to nothing. */
enum { NOBODY_MS = AUTH_CACHE_MS };

struct lookup_wait {
	struct lookup *lookup;
	struct lookup_wait **slot;
	lookup_fn *done;
	void *arg;
	struct lookup_wait *next, **prev;
};

struct lookup {
	struct credential what; /* what.hash is the key of the table */
	struct auth *auth;
	struct pg_query *query;
	struct lookup_wait *waits;
	bool stale;
	UT_hash_handle hh;
};

static void
wait_unlink(struct lookup_wait *wait)
{
	*wait->prev = wait->next;
	if (wait->next != NULL)
		wait->next->prev = wait->prev;
	*wait->slot = NULL;
}

static void
lookup_free(struct lookup *lookup)
{
	pg_query_cancel(&lookup->query);
	HASH_DEL(lookup->auth->lookups, lookup);
	lookup->auth->stats.lookups_running--;
	while (lookup->waits != NULL) {
		struct lookup_wait *wait = lookup->waits;

		wait_unlink(wait);
		free(wait);
	}
	free(lookup);
}

/* The row of session_find or api_key_find; NULL: not a valid one. */
static struct shared *
read_row(const struct lookup *lookup, const struct pg_rows *rows)
{
	bool key = lookup->what.prefix[0] != '\0';
	struct shared *shared;
	struct identity *who;
	uint8_t hash[32];

	if (pg_count(rows) == 0)
		return NULL;
	if (key &&
	    (!hex_decode(hash, sizeof hash, pg_text(rows, 0, "hash")) ||
		!secret_eq(hash, sizeof hash, lookup->what.hash,
		    sizeof lookup->what.hash)))
		return NULL;
	shared = xcalloc(1, sizeof *shared);
	shared->refs = 1;
	who = &shared->who;
	str_copy(who->user, sizeof who->user, pg_text(rows, 0, "user_id"));
	str_copy(who->email, sizeof who->email, pg_text(rows, 0, "email"));
	str_copy(who->session, sizeof who->session,
	    pg_text(rows, 0, key ? "key_id" : "session_id"));
	if (!role_parse(pg_text(rows, 0, "role"), &who->user_role))
		who->user_role = ROLE_USER;
	who->role = who->user_role;
	if (key) {
		who->kind = IDENTITY_KEY;
		who->scopes = scopes_of_array(pg_text(rows, 0, "scopes"));
		who->rate_per_minute = (int)pg_i64(rows, 0, "rate_per_minute");
		if (!(who->scopes & SCOPE_ADMIN) && who->role > ROLE_CREATOR)
			who->role = ROLE_CREATOR;
	} else {
		who->kind = IDENTITY_SESSION;
		who->scopes = ~0u;
	}
	return shared;
}

static void
remember(struct lookup *lookup, const struct pg_rows *rows, struct shared *who)
{
	int64_t ttl_ms = who != NULL ? AUTH_CACHE_MS : NOBODY_MS;

	if (lookup->stale)
		return;
	if (who != NULL && who->who.kind == IDENTITY_SESSION) {
		int64_t left_ms =
		    pg_i64(rows, 0, "expires_ms") - clock_wall_ms();

		if (left_ms < ttl_ms)
			ttl_ms = left_ms;
	}
	cache_put(lookup->auth->cache, lookup->what.hash, who, clock_mono_ms(),
	    ttl_ms);
}

static void
on_row(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct lookup *self = arg;
	struct shared *who = NULL;
	struct err nobody;

	if (err == NULL) {
		who = read_row(self, rows);
		remember(self, rows, who);
		if (who == NULL) {
			err_set_name(&nobody, ERR_UNAUTHORIZED, "invalid_token",
			    "The credential is not valid.");
			err = &nobody;
		}
	}
	/* A waiter may cancel others, but not free this. */
	while (self->waits != NULL) {
		struct lookup_wait *wait = self->waits;
		lookup_fn *done = wait->done;
		void *done_arg = wait->arg;

		wait_unlink(wait);
		free(wait);
		done(who, who == NULL ? err : NULL, done_arg);
	}
	shared_unref(&who);
	lookup_free(self);
}

static struct lookup *
lookup_new(struct auth *auth, const struct credential *what)
{
	struct lookup *self = xcalloc(1, sizeof *self);
	char hash[67];

	self->auth = auth;
	self->what = *what;
	HASH_ADD(hh, auth->lookups, what.hash, 32, self);
	auth->stats.lookups_running++;
	auth->stats.lookups++;
	if (what->prefix[0] != '\0') {
		pg_query_start(auth->pg, STMT_API_KEY_FIND,
		    PG_ARGS(what->prefix), &self->query, on_row, self);
	} else {
		hash_to_bytea(what->hash, hash);
		pg_query_start(auth->pg, STMT_SESSION_FIND,
		    PG_ARGS(hash, pg_num(auth->session_idle_s)), &self->query,
		    on_row, self);
	}
	return self;
}

void
lookup_start(struct auth *auth, const struct credential *what,
    struct lookup_wait **slot, lookup_fn *done, void *arg)
{
	struct lookup_wait *wait = xcalloc(1, sizeof *wait);
	struct lookup *lookup;

	HASH_FIND(hh, auth->lookups, what->hash, 32, lookup);
	if (lookup == NULL)
		lookup = lookup_new(auth, what);
	wait->lookup = lookup;
	wait->slot = slot;
	wait->done = done;
	wait->arg = arg;
	wait->prev = &lookup->waits;
	wait->next = lookup->waits;
	if (wait->next != NULL)
		wait->next->prev = &wait->next;
	lookup->waits = wait;
	*slot = wait;
}

/* The statement goes on: its answer is for the cache. */
void
lookup_cancel(struct lookup_wait **slot)
{
	struct lookup_wait *wait = *slot;

	if (wait == NULL)
		return;
	wait_unlink(wait);
	free(wait);
}

void
lookups_stale(struct auth *auth)
{
	struct lookup *lookup, *next;

	HASH_ITER (hh, auth->lookups, lookup, next) {
		lookup->stale = true;
	}
}

void
lookups_free(struct auth *auth)
{
	while (auth->lookups != NULL)
		lookup_free(auth->lookups);
}
