/*
 * crowd.c - how many listeners, of both kinds together, one user has open, or
 * one address that nobody signed in from.
 */
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"

struct crowd {
	char key[64]; /* a user's id or an address: never the same text */
	int count;
	UT_hash_handle hh;
};

static const char *
key_of(const struct live_client *client)
{
	return client->user[0] != '\0' ? client->user : client->address;
}

bool
crowd_has_room(
    struct live *live, const struct live_client *client, struct err *err)
{
	bool user = client->user[0] != '\0';
	int max = user ? live->max_per_user : live->max_per_ip;
	struct crowd *crowd;

	HASH_FIND_STR(live->crowds, key_of(client), crowd);
	if (max == 0 || crowd == NULL || crowd->count < max)
		return true;
	if (user)
		live->stats.refused_user++;
	else
		live->stats.refused_address++;
	err_set_name(err, ERR_LIMIT, "too_many_live",
	    "At most %d live connections per %s.", max,
	    user ? "user" : "address");
	err->retry_after_s = 30;
	return false;
}

void
crowd_join(struct listener *self)
{
	struct live *live = self->live;
	const char *key = key_of(&self->client);

	if (key[0] == '\0')
		return;
	HASH_FIND_STR(live->crowds, key, self->crowd);
	if (self->crowd == NULL) {
		self->crowd = xcalloc(1, sizeof *self->crowd);
		str_copy(self->crowd->key, sizeof self->crowd->key, key);
		HASH_ADD_STR(live->crowds, key, self->crowd);
	}
	self->crowd->count++;
}

void
crowd_leave(struct listener *self)
{
	struct crowd *crowd = self->crowd;

	self->crowd = NULL;
	if (crowd == NULL || --crowd->count > 0)
		return;
	HASH_DEL(self->live->crowds, crowd);
	free(crowd);
}
