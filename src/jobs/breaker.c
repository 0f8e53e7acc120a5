/* breaker.c - see breaker.h. */
#include "jobs/breaker.h"

static enum breaker_do
open_it(struct breaker *self, int64_t now_ms)
{
	self->failures = BREAKER_FAILURES;
	self->open_until_ms = now_ms + BREAKER_OPEN_MS;
	return BREAKER_OPEN;
}

enum breaker_do
breaker_on(struct breaker *self, bool failed, bool probe, int64_t now_ms)
{
	bool open = self->open_until_ms > now_ms;

	if (!failed) {
		bool close = probe || self->open_until_ms != 0;

		self->failures = 0;
		self->open_until_ms = 0;
		return close ? BREAKER_CLOSE : BREAKER_NOTHING;
	}
	if (probe)
		return open_it(self, now_ms);
	if (open) /* one that was on its way when it opened */
		return BREAKER_NOTHING;
	if (self->open_until_ms != 0 || self->failures == 0 ||
	    now_ms - self->since_ms > BREAKER_WINDOW_MS) {
		self->open_until_ms = 0;
		self->failures = 0;
		self->since_ms = now_ms;
	}
	if (++self->failures < BREAKER_FAILURES)
		return BREAKER_NOTHING;
	return open_it(self, now_ms);
}
