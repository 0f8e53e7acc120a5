/*
 * objects.c - the newest version seen of each object, and, for generations
 * that somebody asked about, their public status as it is sent.
 *
 * Bounded, least recently used first out.  Losing an entry only costs a read
 * of the row: the stamp changes with every loss, so that what was read before
 * cannot be put after.  What nobody spoke or asked of for five minutes goes
 * without that: no read takes so long, and events that are so late (the
 * outbox's) come in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"

void
objects_init(struct objects *self, int max)
{
	memset(self, 0, sizeof *self);
	TAILQ_INIT(&self->lru);
	TAILQ_INIT(&self->by_age);
	self->max = max;
	self->max_age_ms = LIVE_STATUS_MAX_AGE_MS;
	self->max_idle_ms = LIVE_OBJECT_MAX_IDLE_MS;
	self->stamp = 1;
}

static void
body_drop(struct objects *self, struct object *object)
{
	if (object->body == NULL)
		return;
	TAILQ_REMOVE(&self->by_age, object->body, age);
	free(object->body);
	object->body = NULL;
	self->bodies--;
}

static void
object_free(struct objects *self, struct object *object)
{
	body_drop(self, object);
	HASH_DEL(self->by_id, object);
	TAILQ_REMOVE(&self->lru, object, lru);
	self->count--;
	free(object);
}

void
objects_fini(struct objects *self)
{
	struct object *object;

	while ((object = TAILQ_FIRST(&self->lru)) != NULL)
		object_free(self, object);
}

static struct object *
find(struct objects *self, const char *id)
{
	struct object *object;

	HASH_FIND_STR(self->by_id, id, object);
	if (object != NULL) {
		TAILQ_REMOVE(&self->lru, object, lru);
		TAILQ_INSERT_TAIL(&self->lru, object, lru);
		object->touched_ms = clock_mono_ms();
	}
	return object;
}

static void
forget_idle(struct objects *self, int64_t now_ms)
{
	struct object *oldest;

	while ((oldest = TAILQ_FIRST(&self->lru)) != NULL &&
	    now_ms - oldest->touched_ms > self->max_idle_ms)
		object_free(self, oldest);
}

static struct object *
find_or_new(struct objects *self, const char *id)
{
	struct object *object = find(self, id);
	size_t len = strlen(id);
	int64_t now_ms = clock_mono_ms();

	if (object != NULL)
		return object;
	forget_idle(self, now_ms);
	if (self->count >= self->max) {
		object_free(self, TAILQ_FIRST(&self->lru));
		self->stamp++;
	}
	object = xcalloc(1, sizeof *object + len + 1);
	memcpy(object->id, id, len + 1);
	object->touched_ms = now_ms;
	HASH_ADD_KEYPTR(hh, self->by_id, object->id, len, object);
	TAILQ_INSERT_TAIL(&self->lru, object, lru);
	self->count++;
	return object;
}

uint64_t
objects_key(struct live *live, const char *id)
{
	struct object *object = find(&live->objects, id);

	if (object == NULL)
		return live_key(live, id);
	if (object->key == 0)
		object->key = live_key(live, id);
	return object->key;
}

bool
objects_pass(struct objects *self, const char *id, int64_t version)
{
	struct object *object = find_or_new(self, id);

	if (version <= object->version)
		return false;
	object->version = version;
	return true;
}

int64_t
objects_version(struct objects *self, const char *id)
{
	struct object *object = find(self, id);

	if (object == NULL)
		return 0;
	return object->version > object->body_version ? object->version
						      : object->body_version;
}

/* The status body out of an event's data; false when it does not hold all. */
bool
status_render(const char *data, size_t len, struct buf *out)
{
	static const char *const names[] = {
	    "id", "status", "progress", "version", "stage", "video_url"};
	struct json_object *in, *body;
	bool whole = true;

	if (!json_parse(data, len, 64 * 1024, &in, NULL))
		return false;
	body = json_new();
	for (size_t i = 0; i < nitems(names); i++) {
		struct json_object *value = json_at(in, names[i]);

		whole = whole && json_has(in, names[i]);
		if (value != NULL)
			json_set_copy(body, names[i], value);
		else
			json_set_null(body, names[i]);
	}
	if (json_at(in, "error") != NULL)
		json_set_copy(body, "error", json_at(in, "error"));
	if (whole)
		json_dump(body, out);
	json_free(&body);
	json_free(&in);
	return whole && buf_ok(out);
}

static bool
is_old(const struct objects *self, const struct body *body)
{
	return clock_mono_ms() - body->put_ms > self->max_age_ms;
}

/* user is the old one's when that is replaced.  Those that are too old to be
 * sent go: nobody asks for them any more. */
static void
body_set(struct objects *self, struct object *object, int64_t version,
    const char *user, const char *text, size_t len)
{
	struct body *body = xcalloc(1, sizeof *body + len), *oldest;

	body->object = object;
	str_copy(body->user, sizeof body->user, user);
	body->put_ms = clock_mono_ms();
	body->len = len;
	memcpy(body->text, text, len);
	body_drop(self, object);
	object->body_version = version;
	object->body = body;
	TAILQ_INSERT_TAIL(&self->by_age, body, age);
	self->bodies++;
	while ((oldest = TAILQ_FIRST(&self->by_age)) != body &&
	    is_old(self, oldest))
		body_drop(self, oldest->object);
}

/* The event has passed; what is stored of its object follows. */
void
objects_event(struct live *live, const struct live_event *event)
{
	struct objects *self = &live->objects;
	struct object *object = find(self, event->object);
	struct buf body;

	if (object == NULL || object->body == NULL ||
	    event->version <= object->body_version)
		return;
	buf_init(&body, LIVE_STATUS_MAX_BYTES);
	if (status_render(event->data, event->data_len, &body))
		body_set(self, object, event->version, object->body->user,
		    body.data, body.len);
	else
		body_drop(self, object);
	buf_fini(&body);
}

/* Events may have been missed: nothing stored is sure. */
void
objects_flush(struct live *live)
{
	struct body *body;

	while ((body = TAILQ_FIRST(&live->objects.by_age)) != NULL)
		body_drop(&live->objects, body->object);
	live->objects.stamp++;
}

bool
live_status_get(struct live *live, const char *id, const char *user,
    struct live_status *out)
{
	struct object *object = bus_up(live) ? find(&live->objects, id) : NULL;
	struct body *body;

	if (object == NULL || (body = object->body) == NULL ||
	    is_old(&live->objects, body) ||
	    (user[0] != '\0' && !str_eq(user, body->user))) {
		live->stats.status_misses++;
		return false;
	}
	live->stats.status_hits++;
	out->body = body->text;
	out->len = body->len;
	out->version = object->body_version;
	return true;
}

uint64_t
live_status_stamp(const struct live *live)
{
	return live->objects.stamp;
}

void
live_status_put(struct live *live, const char *id, const char *user,
    int64_t version, const char *body, size_t len, uint64_t stamp)
{
	struct objects *self = &live->objects;
	struct object *object;

	if (!bus_up(live) || stamp != self->stamp ||
	    len > LIVE_STATUS_MAX_BYTES || strlen(id) >= LIVE_OBJECT_MAX)
		return;
	object = find_or_new(self, id);
	if (version < object->version || version < object->body_version)
		return; /* an event went by after it was read */
	body_set(self, object, version, user, body, len);
}
