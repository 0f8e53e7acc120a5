/* ticket.c - single-use tickets for clients that can't send headers with a
 * WebSocket handshake. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "auth/internal.h"
#include "reeld/clock.h"
#include "reeld/mem.h"

struct ticket {
	uint8_t hash[32];
	struct shared *who;
	int64_t until_ms;
	UT_hash_handle hh;
};

static void
ticket_free(struct auth *auth, struct ticket *ticket)
{
	HASH_DEL(auth->tickets, ticket);
	shared_unref(&ticket->who);
	free(ticket);
	auth->stats.tickets--;
}

void
tickets_free(struct auth *auth)
{
	while (auth->tickets != NULL)
		ticket_free(auth, auth->tickets);
}

bool
auth_ticket_new(struct auth *auth, const struct identity *identity, char *out,
    size_t size, struct err *err)
{
	int64_t now_ms = clock_mono_ms();
	char text[TOKEN_LEN + 1];
	struct ticket *ticket;

	assert(identity->kind != IDENTITY_VISITOR);
	/* They come in order of age. */
	while (auth->tickets != NULL && auth->tickets->until_ms <= now_ms)
		ticket_free(auth, auth->tickets);
	if (HASH_COUNT(auth->tickets) >= AUTH_MAX_TICKETS) {
		err_set_name(err, ERR_UNAVAILABLE, "too_many_tickets",
		    "Too many tickets wait to be used.");
		if (err != NULL)
			err->retry_after_s = AUTH_TICKET_MS / 1000;
		return false;
	}
	ticket = xcalloc(1, sizeof *ticket);
	token_new(text, ticket->hash);
	str_copy(out, size, text);
	/* An identity that callers see is always a shared one's first member.
	 */
	ticket->who =
	    shared_ref((struct shared *)(uintptr_t)(const void *)identity);
	ticket->until_ms = now_ms + AUTH_TICKET_MS;
	HASH_ADD(hh, auth->tickets, hash, 32, ticket);
	auth->stats.tickets++;
	return true;
}

struct shared *
ticket_take(struct auth *auth, const char *text)
{
	struct ticket *ticket;
	struct shared *who;
	uint8_t hash[32];

	if (!token_hash(text, hash))
		return NULL;
	HASH_FIND(hh, auth->tickets, hash, 32, ticket);
	if (ticket == NULL)
		return NULL;
	who =
	    ticket->until_ms > clock_mono_ms() ? shared_ref(ticket->who) : NULL;
	ticket_free(auth, ticket);
	return who;
}

void
tickets_drop(struct auth *auth, const char *user, const char *session)
{
	struct ticket *ticket, *next;

	HASH_ITER (hh, auth->tickets, ticket, next) {
		if ((user != NULL &&
			strcmp(ticket->who->who.user, user) == 0) ||
		    (session != NULL &&
			strcmp(ticket->who->who.session, session) == 0))
			ticket_free(auth, ticket);
	}
}
