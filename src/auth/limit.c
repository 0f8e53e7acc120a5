/*
 * limit.c - how often: the generic cell rate algorithm in a table of fixed
 * size.  A cell is the time when its key's requests so far are paid off; when
 * a row of the table is full, the key that is paid off first makes room, so
 * what is lost under attack is only other people's small debts.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/internal.h"
#include "reeld/id.h"
#include "reeld/mem.h"

enum { ROWS = 16384, WAYS = 4 };

struct cell {
	uint64_t key; /* 0: free */
	int64_t paid_ns;
};

struct limit_table {
	uint64_t seed;
	struct cell cells[ROWS][WAYS];
};

struct limit_table *
limit_table_new(void)
{
	struct limit_table *table = xcalloc(1, sizeof *table);

	random_bytes(&table->seed, sizeof table->seed);
	return table;
}

void
limit_table_free(struct limit_table *table)
{
	free(table);
}

struct limit_rate
limit_rate_of(const char *name, int64_t count, int64_t per_s, int64_t burst)
{
	struct limit_rate rate = {.name = name,
	    .interval_ns = per_s * INT64_C(1000000000) / count,
	    .burst = burst > 0 ? burst : 1};
	int64_t window_s = rate.burst * rate.interval_ns / 1000000000;

	snprintf(rate.policy, sizeof rate.policy, "\"%s\";q=%lld;w=%lld", name,
	    (long long)rate.burst, (long long)(window_s > 0 ? window_s : 1));
	return rate;
}

/* FNV-1a from a secret start, then mixed: nobody outside can aim at a row. */
static uint64_t
hash_key(const struct limit_table *table, const char *class, const char *key)
{
	uint64_t h = table->seed ^ UINT64_C(0xcbf29ce484222325);

	for (const char *p = class; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	h = (h ^ ':') * UINT64_C(0x100000001b3);
	for (const char *p = key; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h != 0 ? h : 1;
}

static struct cell *
find_cell(struct limit_table *table, uint64_t key)
{
	struct cell *row = table->cells[key % ROWS], *oldest = &row[0];

	for (int i = 0; i < WAYS; i++) {
		if (row[i].key == key)
			return &row[i];
		if (row[i].paid_ns < oldest->paid_ns)
			oldest = &row[i];
	}
	*oldest = (struct cell){.key = key};
	return oldest;
}

struct limit_result
limit_take(struct limit_table *table, const char *key,
    const struct limit_rate *rate, int cost, int64_t now_ns)
{
	struct cell *cell = find_cell(table, hash_key(table, rate->name, key));
	int64_t paid = cell->paid_ns > now_ns ? cell->paid_ns : now_ns;
	int64_t room = rate->burst * rate->interval_ns;
	int64_t over = paid + rate->interval_ns - now_ns - room;
	struct limit_result result = {.allowed = over <= 0};

	if (result.allowed)
		paid += cost * rate->interval_ns;
	else
		result.retry_s = (over + 999999999) / 1000000000;
	cell->paid_ns = paid;
	result.remaining = (room - (paid - now_ns)) / rate->interval_ns;
	if (result.remaining < 0)
		result.remaining = 0;
	result.reset_s = (paid - now_ns + 999999999) / 1000000000;
	return result;
}

void
limit_ip_key(const char *ip, char *out, size_t size)
{
	struct in6_addr six;

	if (inet_pton(AF_INET6, ip, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six)) {
		memset(six.s6_addr + 8, 0, 8);
		if (inet_ntop(AF_INET6, &six, out, (socklen_t)size) != NULL)
			return;
	}
	snprintf(out, size, "%s", ip);
}
