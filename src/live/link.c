/*
 * link.c - the bus's wire: the only calls to Redis in this module.
 *
 * Redis being away is normal: it is only noted, and live.c reads what is
 * watched until it is back.
 */
#include "live/internal.h"
#include "reeld/redis.h"

static void
on_message(const char *channel, const char *data, size_t len, void *arg)
{
	bus_receive(arg, data, len);
}

static void
on_change(bool up, void *arg)
{
	live_bus_changed(arg, up);
}

void
link_open(struct live *live)
{
	if (live->redis == NULL)
		return;
	live_bus_changed(live, redis_up(live->redis));
	redis_on_change(live->redis, on_change, live);
	redis_subscribe(live->redis, LIVE_CHANNEL, on_message, live);
}

void
link_close(struct live *live)
{
	if (live->redis == NULL)
		return;
	redis_on_change(live->redis, NULL, NULL);
	redis_subscribe(live->redis, LIVE_CHANNEL, NULL, NULL);
}

bool
link_publish(struct live *live, const void *data, size_t len)
{
	return redis_publish(live->redis, LIVE_CHANNEL, data, len);
}
