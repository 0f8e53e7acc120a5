/*
 * turns.h - which of several instances takes what was just ordered.
 *
 * Each could take its own; with two that are busy every transaction then
 * carries half as many jobs, and costs nearly as much as before.  So while much
 * is ordered they take turns: for a tenth of a second all of it is one's, then
 * the next one's.  Whose turn it is follows from the clock and from who was
 * heard of lately.  Where two disagree nothing is lost: who is named takes it,
 * and whoever is not looks a moment later all the same.
 */
#ifndef REELD_JOBS_TURNS_H
#define REELD_JOBS_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/id.h"

enum {
	TURN_MS = 100,
	/* Told in one turn, by all; with fewer each takes its own. */
	TURNS_BUSY = 3,
	TURNS_PEERS = 32, /* more are not counted */
};

struct turns {
	struct peer {
		struct id id;
		int64_t heard_ms;
	} peers[TURNS_PEERS]; /* the other instances, in the order of ids */
	int n;
	int64_t turn;	       /* the last that was looked at */
	int told, told_before; /* of work: in it, in the one before */
};

/* Another instance said something; true: it is new.  mono_ms: monotonic. */
bool turns_heard(struct turns *self, const struct id *peer, int64_t mono_ms);
/* It takes nothing any more. */
void turns_gone(struct turns *self, const struct id *peer);
/* Somebody told of work.  wall_ms: the clock that all instances share. */
void turns_told(struct turns *self, int64_t wall_ms);
/* Who takes it: own, or another that was heard of in the last silence_ms
 * (borrowed, until the next call of one of these). */
const struct id *turns_whose(struct turns *self, const struct id *own,
    int64_t wall_ms, int64_t mono_ms, int64_t silence_ms);

#endif
