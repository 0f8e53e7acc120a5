/* turns.c - who takes what was ordered; see turns.h. */
#include "jobs/turns.h"

#include <string.h>

/* Where it is, or would be. */
static int
place(const struct turns *self, const struct id *id)
{
	int i = 0;

	while (i < self->n && strcmp(self->peers[i].id.text, id->text) < 0)
		i++;
	return i;
}

static bool
is_at(const struct turns *self, int i, const struct id *id)
{
	return i < self->n && id_eq(&self->peers[i].id, id);
}

static void
drop(struct turns *self, int i)
{
	self->n--;
	memmove(&self->peers[i], &self->peers[i + 1],
	    (size_t)(self->n - i) * sizeof self->peers[0]);
}

bool
turns_heard(struct turns *self, const struct id *peer, int64_t mono_ms)
{
	int i = place(self, peer);
	bool is_new = !is_at(self, i, peer);

	if (is_new) {
		if (self->n == TURNS_PEERS)
			return false;
		memmove(&self->peers[i + 1], &self->peers[i],
		    (size_t)(self->n - i) * sizeof self->peers[0]);
		self->n++;
		self->peers[i].id = *peer;
	}
	self->peers[i].heard_ms = mono_ms;
	return is_new;
}

void
turns_gone(struct turns *self, const struct id *peer)
{
	int i = place(self, peer);

	if (is_at(self, i, peer))
		drop(self, i);
}

/* The turn before counts, too: the first that is told in a turn is not alone.
 */
static int64_t
turn_at(struct turns *self, int64_t wall_ms)
{
	int64_t turn = wall_ms / TURN_MS;

	if (turn != self->turn) {
		self->told_before = turn == self->turn + 1 ? self->told : 0;
		self->told = 0;
		self->turn = turn;
	}
	return turn;
}

void
turns_told(struct turns *self, int64_t wall_ms)
{
	turn_at(self, wall_ms);
	self->told++;
}

const struct id *
turns_whose(struct turns *self, const struct id *own, int64_t wall_ms,
    int64_t mono_ms, int64_t silence_ms)
{
	int64_t turn = turn_at(self, wall_ms);
	int mine, at;

	for (int i = self->n - 1; i >= 0; i--)
		if (mono_ms - self->peers[i].heard_ms > silence_ms)
			drop(self, i);
	if (self->n == 0 ||
	    (self->told < TURNS_BUSY && self->told_before < TURNS_BUSY))
		return own;
	mine = place(self, own);
	at = (int)(turn % (self->n + 1));
	if (at == mine)
		return own;
	return &self->peers[at < mine ? at : at - 1].id;
}
