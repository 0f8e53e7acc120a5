/*
 * cache.c - hashes of tokens and who they stand for, for a minute.  Entries
 * are kept in the order they came, so the first is also the next to go.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "auth/internal.h"
#include "reeld/mem.h"

struct entry {
	uint8_t hash[32];
	struct shared *who; /* NULL: nobody */
	int64_t until_ms;
	UT_hash_handle hh;
};

struct cache {
	struct entry *entries;
};

struct cache *
cache_new(void)
{
	return xcalloc(1, sizeof(struct cache));
}

static void
entry_free(struct cache *cache, struct entry *entry)
{
	HASH_DEL(cache->entries, entry);
	shared_unref(&entry->who);
	free(entry);
}

void
cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->entries != NULL)
		entry_free(cache, cache->entries);
	free(cache);
}

enum cache_answer
cache_get(struct cache *cache, const uint8_t hash[32], int64_t now_ms,
    struct shared **out)
{
	struct entry *entry;

	*out = NULL;
	HASH_FIND(hh, cache->entries, hash, 32, entry);
	if (entry == NULL)
		return CACHE_MISS;
	if (entry->until_ms <= now_ms) {
		entry_free(cache, entry);
		return CACHE_MISS;
	}
	*out = entry->who;
	return entry->who != NULL ? CACHE_FOUND : CACHE_NOBODY;
}

void
cache_put(struct cache *cache, const uint8_t hash[32], struct shared *who,
    int64_t now_ms, int64_t ttl_ms)
{
	struct entry *entry;

	HASH_FIND(hh, cache->entries, hash, 32, entry);
	if (entry != NULL)
		entry_free(cache, entry);
	if (HASH_COUNT(cache->entries) >= AUTH_MAX_IDENTITIES)
		entry_free(cache, cache->entries);
	entry = xcalloc(1, sizeof *entry);
	memcpy(entry->hash, hash, 32);
	entry->who = who != NULL ? shared_ref(who) : NULL;
	entry->until_ms = now_ms + ttl_ms;
	HASH_ADD(hh, cache->entries, hash, 32, entry);
}

void
cache_drop(struct cache *cache, const char *user, const char *session)
{
	struct entry *entry, *next;

	HASH_ITER (hh, cache->entries, entry, next) {
		const struct identity *who =
		    entry->who != NULL ? &entry->who->who : NULL;

		/* A user who is let in again has credentials that were
		 * nobody's: whose they are is not known here. */
		if (who == NULL
			? user != NULL
			: (user != NULL && strcmp(who->user, user) == 0) ||
			    (session != NULL &&
				strcmp(who->session, session) == 0))
			entry_free(cache, entry);
	}
}

int
cache_count(const struct cache *cache)
{
	return (int)HASH_COUNT(cache->entries);
}
