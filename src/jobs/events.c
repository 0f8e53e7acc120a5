/*
 * events.c - what a business function returned goes to the listeners: the
 * event, the new balance, and the generations it let into the queue.  What is
 * published is marked, many at a time; what is not is sent by the sweep.
 */
#define LOG_MODULE "jobs"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/live.h"
#include "reeld/log.h"

/* What is published; generation NULL: it is about the user's credits. */
struct news {
	const char *type, *user, *generation, *data;
	int64_t version, ts_ms;
};

static void
publish(struct engine *self, const struct news *news)
{
	struct live_event event = {.type = news->type,
	    .version = news->version,
	    .ts_ms = news->ts_ms,
	    .data = news->data,
	    .data_len = strlen(news->data)};
	char topic[2][64], object[64];

	if (self->d.live == NULL)
		return;
	snprintf(topic[1], sizeof topic[1], "user:%s", news->user);
	if (news->generation != NULL) {
		snprintf(topic[0], sizeof topic[0], "generation:%s",
		    news->generation);
		event.topics[event.n_topics++] = topic[0];
		event.topics[event.n_topics++] = topic[1];
		event.topics[event.n_topics++] = "admin:queue";
		event.object = news->generation;
	} else {
		event.topics[event.n_topics++] = topic[1];
		snprintf(object, sizeof object, "credits:%s", news->user);
		event.object = object;
	}
	live_publish(self->d.live, &event);
	self->stats.events_published++;
}

bool
events_publish_json(struct engine *self, struct json_object *doc)
{
	struct news news = {.type = json_text_at(doc, "type"),
	    .generation = json_text_at(doc, "generation_id"),
	    .user = json_text_at(doc, "user_id")};
	char *data;

	if (news.type == NULL || news.user == NULL || self->d.live == NULL)
		return false;
	if (!json_int_at(doc, "version", &news.version))
		news.version = 0;
	if (!json_int_at(doc, "ts", &news.ts_ms))
		news.ts_ms = 0;
	news.data = data = json_dump_text(json_obj_at(doc, "data"));
	publish(self, &news);
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

/* As functions for several generations return it. */
static void
publish_parts(struct engine *self, const struct pg_rows *rows, int row)
{
	char balance[64];
	struct news news = {.user = pg_text(rows, row, "user_id"),
	    .generation = pg_text(rows, row, "generation_id"),
	    .type = pg_text(rows, row, "event_type"),
	    .version = pg_i64(rows, row, "event_version"),
	    .ts_ms = pg_i64(rows, row, "event_ms"),
	    .data = pg_text(rows, row, "event_data")};

	if (news.type == NULL)
		return;
	publish(self, &news);
	if (!pg_has(rows, "balance_version") ||
	    pg_null(rows, row, "balance_version"))
		return;
	snprintf(balance, sizeof balance, "{\"balance\":%" PRId64 "}",
	    pg_i64(rows, row, "balance"));
	news.type = "credits.balance";
	news.generation = NULL;
	news.version = pg_i64(rows, row, "balance_version");
	news.data = balance;
	publish(self, &news);
}

void
engine_publish(struct engine *self, const struct pg_rows *rows, int row)
{
	struct json_object *doc;

	if (pg_has(rows, "event_type"))
		publish_parts(self, rows, row);
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
