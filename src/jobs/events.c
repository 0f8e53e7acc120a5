/*
 * events.c - what a business function returned goes to the listeners: the
 * event, the new balance, and the generations it let into the queue.  What is
 * published is marked, many at a time; what is not is sent by the sweep.
 */
#define LOG_MODULE "jobs"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/live.h"
#include "reeld/log.h"

bool
events_publish_json(struct engine *self, struct json_object *doc)
{
	const char *type = json_text_at(doc, "type");
	const char *generation = json_text_at(doc, "generation_id");
	const char *user = json_text_at(doc, "user_id");
	struct live_event event = {.type = type};
	char topic[2][64], object[64];
	char *data;

	if (type == NULL || user == NULL || self->d.live == NULL)
		return false;
	snprintf(topic[1], sizeof topic[1], "user:%s", user);
	if (generation != NULL) {
		snprintf(
		    topic[0], sizeof topic[0], "generation:%s", generation);
		event.topics[event.n_topics++] = topic[0];
		event.topics[event.n_topics++] = topic[1];
		event.topics[event.n_topics++] = "admin:queue";
		event.object = generation;
	} else {
		event.topics[event.n_topics++] = topic[1];
		snprintf(object, sizeof object, "credits:%s", user);
		event.object = object;
	}
	if (!json_int_at(doc, "version", &event.version))
		event.version = 0;
	if (!json_int_at(doc, "ts", &event.ts_ms))
		event.ts_ms = 0;
	data = json_dump_text(json_obj_at(doc, "data"));
	event.data = data;
	event.data_len = strlen(data);
	live_publish(self->d.live, &event);
	self->stats.events_published++;
	free(data);
	return true;
}

static void
publish_column(
    struct engine *self, const struct pg_rows *rows, int row, const char *name)
{
	struct json_object *doc;

	if (!pg_has(rows, name) || pg_null(rows, row, name))
		return;
	doc = pg_json(rows, row, name);
	events_publish_json(self, doc);
	json_free(&doc);
}

void
engine_publish(struct engine *self, const struct pg_rows *rows, int row)
{
	struct json_object *doc;

	publish_column(self, rows, row, "event");
	publish_column(self, rows, row, "balance_event");
	if (pg_has(rows, "promoted") && !pg_null(rows, row, "promoted")) {
		doc = pg_json(rows, row, "promoted");
		for (size_t i = 0; i < json_count(doc); i++)
			events_publish_json(
			    self, json_obj_at(json_item(doc, i), "event"));
		json_free(&doc);
		engine_wake(self);
	}
	if (pg_has(rows, "seqs") && !pg_null(rows, row, "seqs"))
		events_mark(self, pg_text(rows, row, "seqs"));
}

/* seqs: "{1,2}" as PostgreSQL writes it. */
void
events_mark(struct engine *self, const char *seqs)
{
	size_t len = strlen(seqs);

	if (self->d.live == NULL || len <= 2)
		return;
	if (self->sent.len > 0)
		buf_putc(&self->sent, ',');
	buf_add(&self->sent, seqs + 1, len - 2);
}

static void
on_marked(const struct pg_rows *rows, const struct err *err, void *arg)
{
	(void)rows;
	(void)arg;
	/* Not marked: the sweep publishes them again, which is harmless. */
	if (err != NULL)
		log_debug("msg=%s", log_text(err->msg));
}

void
events_flush(struct engine *self)
{
	char *list;

	if (self->sent.len == 0 || self->sent_query != NULL)
		return;
	list = xasprintf("{%s}", buf_str(&self->sent));
	buf_reset(&self->sent);
	pg_query_start(self->d.pg, STMT_OUTBOX_SENT, PG_ARGS(list),
	    &self->sent_query, on_marked, self);
	free(list);
}
