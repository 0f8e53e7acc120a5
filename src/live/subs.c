/*
 * subs.c - subscribing: the snapshot first, then what is newer.
 *
 * The subscription joins its topic before the snapshot is read, and holds
 * what comes meanwhile; after the snapshot it sends the held events that the
 * snapshot does not already contain.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "live/internal.h"
#include "reeld/json.h"

static struct topic *
topic_get(struct live *live, const struct live_topic *info)
{
	struct topic *topic;

	HASH_FIND_STR(live->topics, info->name, topic);
	if (topic != NULL)
		return topic;
	topic = xcalloc(1, sizeof *topic);
	topic->info = *info;
	HASH_ADD_KEYPTR(hh, live->topics, topic->info.name,
	    strlen(topic->info.name), topic);
	live->stats.topics++;
	return topic;
}

static void
snapshot_cancel(struct sub *self)
{
	struct live *live = self->owner->live;

	loop_defer_cancel(&self->defer);
	if (self->snapshot != NULL)
		live->hooks.snapshot_cancel(&self->snapshot);
	assert(self->snapshot == NULL);
}

static void
sub_free(struct sub *self)
{
	struct live *live = self->owner->live;
	struct topic *topic = self->topic;

	snapshot_cancel(self);
	LIST_REMOVE(self, of_owner);
	LIST_REMOVE(self, of_topic);
	self->owner->n_subs--;
	live->stats.subscriptions--;
	if (LIST_EMPTY(&topic->subs)) {
		HASH_DEL(live->topics, topic);
		live->stats.topics--;
		free(topic);
	}
	ws_outbox_fini(&self->held);
	free(self->asked);
	free(self->id);
	free(self);
}

static void
add_json(struct buf *out, const char *name, const char *text)
{
	struct json_object *quoted = json_new_arr();
	char *dump;

	json_add_text(quoted, text);
	dump = json_dump_text(quoted);
	/* ["text"] without its brackets */
	buf_printf(out, ",\"%s\":%.*s", name, (int)strlen(dump) - 2, dump + 1);
	free(dump);
	json_free(&quoted);
}

static void
send_subscribed(struct sub *self, struct json_object *objects)
{
	struct buf out;

	buf_init(&out, 4 * 1024 * 1024);
	buf_puts(&out, "{\"type\":\"subscribed\"");
	add_json(&out, "topic", self->asked);
	add_json(&out, "channel", self->topic->info.name);
	if (self->id != NULL)
		buf_printf(&out, ",\"id\":%s", self->id);
	buf_puts(&out, ",\"snapshot\":");
	if (objects != NULL)
		json_dump(objects, &out);
	else
		buf_puts(&out, "[]");
	buf_putc(&out, '}');
	if (buf_ok(&out))
		listener_send_text(self->owner, out.data, out.len);
	else
		listener_end(
		    self->owner, WS_CLOSE_INTERNAL, "snapshot too large");
	buf_fini(&out);
}

/* The snapshot already has this state, or a newer one. */
static bool
in_snapshot(const struct live *live, struct json_object *objects,
    const struct ws_frame *frame)
{
	uint64_t key = ws_frame_key(frame);

	for (size_t i = 0; key != 0 && i < json_count(objects); i++) {
		struct json_object *item = json_item(objects, i);
		const char *id = json_text_at(item, "id");
		int64_t version;

		if (id == NULL || live_key(live, id) != key)
			continue;
		return json_int_at(item, "version", &version) &&
		    version >= ws_frame_version(frame);
	}
	return false;
}

static void snapshot_start(struct sub *self);

static void
on_snapshot(struct json_object *objects, const struct err *err, void *arg)
{
	struct sub *self = arg;
	struct listener *owner = self->owner;

	if (err != NULL) {
		listener_error(owner, err, self->asked, self->id);
		sub_free(self);
		return;
	}
	self->holding = false;
	send_subscribed(self, objects);
	for (size_t i = 0; i < self->held.count; i++)
		if (!in_snapshot(owner->live, objects, self->held.frames[i]))
			listener_send(owner, self->held.frames[i]);
	ws_outbox_fini(&self->held);
	free(self->id);
	self->id = NULL;
	if (self->again)
		snapshot_start(self);
}

static void
on_empty(void *arg)
{
	on_snapshot(NULL, NULL, arg);
}

static void
snapshot_start(struct sub *self)
{
	struct listener *owner = self->owner;
	struct live *live = owner->live;

	self->holding = true;
	self->again = false;
	if (live->hooks.snapshot_start == NULL)
		loop_defer(
		    live->loop, "live snapshot", on_empty, self, &self->defer);
	else
		live->hooks.snapshot_start(live->hooks.app, &owner->client,
		    &self->topic->info, &self->snapshot, on_snapshot, self);
}

static struct sub *
sub_find(struct listener *owner, const char *name)
{
	struct sub *sub;

	LIST_FOREACH (sub, &owner->subs, of_owner)
		if (str_eq(sub->topic->info.name, name))
			return sub;
	return NULL;
}

static bool
allowed(struct listener *owner, const struct live_topic *topic, struct err *err)
{
	const struct live_hooks *hooks = &owner->live->hooks;

	if (hooks->authorize != NULL)
		return hooks->authorize(hooks->app, &owner->client, topic, err);
	if (topic->kind == LIVE_COMPARISON || topic->kind == LIVE_ARENA)
		return true;
	return err_set(err, ERR_FORBIDDEN, "This topic is not for you.");
}

/* id: JSON of the client's own id, or NULL. */
bool
sub_start(struct listener *owner, const struct live_topic *topic,
    const char *asked, const char *id, struct err *err)
{
	struct sub *self = sub_find(owner, topic->name);
	struct live *live = owner->live;

	if (!allowed(owner, topic, err))
		return false;
	if (self != NULL) { /* again: a new snapshot */
		free(self->id);
		self->id = xstrdup(id);
		if (self->holding)
			self->again = true;
		else
			snapshot_start(self);
		return true;
	}
	if (owner->n_subs >= LIVE_MAX_TOPICS)
		return err_set_name(err, ERR_LIMIT, "too_many_topics",
		    "At most %d topics per connection.", LIVE_MAX_TOPICS);
	self = xcalloc(1, sizeof *self);
	self->owner = owner;
	self->topic = topic_get(live, topic);
	self->asked = xstrdup(asked);
	self->id = xstrdup(id);
	LIST_INSERT_HEAD(&owner->subs, self, of_owner);
	LIST_INSERT_HEAD(&self->topic->subs, self, of_topic);
	owner->n_subs++;
	live->stats.subscriptions++;
	snapshot_start(self);
	return true;
}

bool
sub_end(struct listener *owner, const char *name)
{
	struct sub *self = sub_find(owner, name);

	if (self != NULL)
		sub_free(self);
	return self != NULL;
}

/* The listener lost events: every topic from a new snapshot on. */
void
subs_again(struct listener *owner)
{
	struct sub *sub;

	LIST_FOREACH (sub, &owner->subs, of_owner)
		if (sub->holding)
			sub->again = true;
		else
			snapshot_start(sub);
}

void
subs_fini(struct listener *owner)
{
	struct sub *sub;

	while ((sub = LIST_FIRST(&owner->subs)) != NULL)
		sub_free(sub);
}

void
sub_event(struct sub *self, struct ws_frame *frame, uint64_t number)
{
	struct listener *owner = self->owner;

	if (owner->last_event == number)
		return; /* it came by another topic */
	if (self->holding) {
		if (!ws_outbox_put(&self->held, frame)) {
			ws_outbox_fini(&self->held);
			self->again = true;
		}
		return;
	}
	owner->last_event = number;
	listener_send(owner, frame);
}
