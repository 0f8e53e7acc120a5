/*
 * objects.c - the newest version seen of each object, and, for generations
 * that somebody asked about, their public status as it is sent.
 *
 * Bounded, least recently used first out.  Losing an entry only costs a read
 * of the row: the stamp changes with every loss, so that what was read before
 * cannot be put after.
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
	self->max = max;
	self->stamp = 1;
}

static void
body_drop(struct objects *self, struct object *object)
{
	if (object->body == NULL)
		return;
	free(object->body);
	object->body = NULL;
	object->len = 0;
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
	}
	return object;
}

static struct object *
find_or_new(struct objects *self, const char *id)
{
	struct object *object = find(self, id);

	if (object != NULL)
		return object;
	if (self->count >= self->max) {
		object_free(self, TAILQ_FIRST(&self->lru));
		self->stamp++;
	}
	object = xcalloc(1, sizeof *object);
	str_copy(object->id, sizeof object->id, id);
	HASH_ADD_STR(self->by_id, id, object);
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

static void
body_set(struct objects *self, struct object *object, int64_t version,
    const char *body, size_t len)
{
	object->body_version = version;
	body_drop(self, object);
	object->body = xmemdup(body, len);
	object->len = len;
	object->put_ms = clock_mono_ms();
	self->bodies++;
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
		body_set(self, object, event->version, body.data, body.len);
	else
		body_drop(self, object);
	buf_fini(&body);
}

/* Events may have been missed: nothing stored is sure. */
void
objects_flush(struct live *live)
{
	struct object *object;

	TAILQ_FOREACH (object, &live->objects.lru, lru)
		body_drop(&live->objects, object);
	live->objects.stamp++;
}

bool
live_status_get(struct live *live, const char *id, const char *user,
    struct live_status *out)
{
	struct object *object = bus_up(live) ? find(&live->objects, id) : NULL;

	if (object == NULL || object->body == NULL ||
	    clock_mono_ms() - object->put_ms > LIVE_STATUS_MAX_AGE_MS ||
	    (user[0] != '\0' && !str_eq(user, object->user))) {
		live->stats.status_misses++;
		return false;
	}
	live->stats.status_hits++;
	out->body = object->body;
	out->len = object->len;
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
	str_copy(object->user, sizeof object->user, user);
	body_set(self, object, version, body, len);
}
