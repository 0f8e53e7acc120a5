/*
 * generations_read.c - what a person sees of his generations: one, the list,
 * its history, attempts and receipt.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/view.h"
#include "reeld/clock.h"
#include "reeld/flow.h"

enum { PAGE = 24, MAX_PAGE = 200 };

/* ---- one ---- */

static void
on_get(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = view_generation(rows, 0);
	bool waits =
	    view_waiting(obj, api_app(call)->catalogue, rows, 0, false);
	char tag[64];

	snprintf(tag, sizeof tag, "v%" PRId64 "-%" PRId64 "%s",
	    pg_i64(rows, 0, "version"), pg_i64(rows, 0, "queue_position"),
	    waits ? "-w" : "");
	http_etag(call, tag);
	http_cache(call, "private, no-cache");
	if (!view_is_over(rows, 0))
		http_reply_header(call, "Retry-After", "2");
	http_reply_json(call, 200, &obj);
}

void
api_generations_get(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query_mine(call, STMT_GENERATION_GET,
		    PG_AS(me, id.text, me), on_get, NULL, NULL);
}

/* ---- the list ---- */

/* "failed,cancelled" or "active", as an array of PostgreSQL; false with err
 * set. */
static bool
statuses_read(const char *text, struct buf *out, struct err *err)
{
	enum gen_status status;
	char *copy = xstrdup(text), *at = copy, *word;
	bool ok = true;

	buf_putc(out, '{');
	while (ok && (word = strsep(&at, ",")) != NULL) {
		if (strcmp(word, "active") == 0) {
			for (int s = GEN_PENDING; s < GEN_STATUSES; s++)
				if (!gen_is_terminal(s))
					buf_printf(out, "%s%s",
					    out->len > 1 ? "," : "",
					    gen_status_name(s));
		} else if (gen_status_parse(word, &status)) {
			buf_printf(out, "%s%s", out->len > 1 ? "," : "", word);
		} else {
			ok = err_set_field(err, ERR_INVALID, "bad_status",
			    "?status", "\"%.40s\" is no status.", word);
		}
	}
	buf_putc(out, '}');
	free(copy);
	return ok &&
	    (buf_ok(out) ||
		err_set_field(err, ERR_INVALID, "bad_status", "?status",
		    "Too many words."));
}

static bool
time_read(struct http_call *call, const char *name, char out[24],
    const char **value, struct err *err)
{
	const char *text = http_query(call, name);
	char pointer[24];
	int64_t ms;

	*value = NULL;
	if (text == NULL)
		return true;
	if (!time_parse_rfc3339(text, &ms) &&
	    !str_to_i64(text, 0, INT64_C(99999999999999), &ms)) {
		snprintf(pointer, sizeof pointer, "?%s", name);
		return err_set_field(err, ERR_BAD_INPUT, "bad_time", pointer,
		    "A time is written 2026-11-21T10:00:00Z.");
	}
	snprintf(out, 24, "%" PRId64, ms);
	*value = out;
	return true;
}

struct filter {
	struct buf statuses;
	const char *favourite, *from, *to;
	char from_text[24], to_text[24];
};

static bool
filter_read(struct http_call *call, struct filter *out, struct err *err)
{
	const char *status = http_query(call, "status");
	const char *favourite = http_query(call, "favourite");

	buf_init(&out->statuses, 400);
	out->favourite = favourite;
	if (favourite != NULL && strcmp(favourite, "true") != 0 &&
	    strcmp(favourite, "false") != 0)
		return err_set_field(err, ERR_BAD_INPUT, "bad_favourite",
		    "?favourite", "favourite is true or false.");
	return (status == NULL || statuses_read(status, &out->statuses, err)) &&
	    time_read(call, "from", out->from_text, &out->from, err) &&
	    time_read(call, "to", out->to_text, &out->to, err);
}

static struct json_object *
list_row(const struct pg_rows *rows, int row, void *arg)
{
	return view_generation(rows, row);
}

static void
on_list(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	api_page_reply(call, arg, rows, "created_us", "id", list_row, NULL);
	free(arg);
}

void
api_generations_list(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct filter filter;
	struct api_page *page;
	struct err err;

	if (!filter_read(call, &filter, &err)) {
		buf_fini(&filter.statuses);
		http_reply_err(call, &err);
		return;
	}
	page = xcalloc(1, sizeof *page);
	if (!api_page_read(call, PAGE, MAX_PAGE, page)) {
		free(page);
	} else {
		api_query(call, api_app(call)->pg, STMT_GENERATION_LIST,
		    PG_AS(me, me,
			filter.statuses.len > 0 ? buf_str(&filter.statuses)
						: NULL,
			http_query(call, "model"), http_query(call, "search"),
			filter.favourite, filter.from, filter.to, page->sort,
			page->id, page->limit_plus_1),
		    on_list, page, free);
	}
	buf_fini(&filter.statuses);
}

/* ---- history, attempts, receipt ---- */

static void
on_exists(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *reply = json_new(), *none = json_new_arr();

	json_set_arr(reply, "data", &none);
	json_set_null(reply, "next_cursor");
	json_set_bool(reply, "has_more", false);
	http_reply_json(call, 200, &reply);
}

/* An empty list, or 404 when it is a list of nothing. */
static void
reply_none(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query_mine(call, STMT_GENERATION_GET,
		    PG_AS(me, id.text, me), on_exists, NULL, NULL);
}

static void
on_events(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (pg_count(rows) == 0)
		reply_none(call);
	else
		api_page_reply(call, arg, rows, "seq", NULL, view_event, NULL);
	free(arg);
}

void
api_generations_events(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct api_page *page;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	page = xcalloc(1, sizeof *page);
	if (!api_page_read(call, 100, 500, page)) {
		free(page);
		return;
	}
	api_query(call, api_app(call)->pg, STMT_GENERATION_EVENTS,
	    PG_AS(me, id.text, me, page->sort, page->limit_plus_1), on_events,
	    page, free);
}

static struct json_object *
attempt_row(const struct pg_rows *rows, int row, void *arg)
{
	return view_attempt(rows, row, false);
}

static void
on_attempts(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *reply;

	if (pg_count(rows) == 0) {
		reply_none(call);
		return;
	}
	reply = view_list(rows, attempt_row, NULL);
	json_set_null(reply, "next_cursor");
	json_set_bool(reply, "has_more", false);
	http_reply_json(call, 200, &reply);
}

void
api_generations_attempts(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query(call, api_app(call)->pg, STMT_GENERATION_ATTEMPTS,
		    PG_AS(me, id.text, me), on_attempts, NULL, NULL);
}

static void
on_receipt(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *obj = json_new(), *entries, *shown;
	int64_t ms;

	api_set_text(obj, "id", rows, 0, "id");
	api_set_text(obj, "status", rows, 0, "status");
	api_set_text(obj, "model", rows, 0, "model");
	api_set_text(obj, "model_name", rows, 0, "model_name");
	api_set_int(obj, "credits", rows, 0, "quote");
	api_set_json(obj, "breakdown", rows, 0, "breakdown");
	api_set_int(obj, "plan_version", rows, 0, "plan_version");
	api_set_text(obj, "state", rows, 0, "state");
	api_set_int(obj, "refunded", rows, 0, "refunded");
	api_set_int(obj, "fee", rows, 0, "fee");
	api_set_int(obj, "settled", rows, 0, "settled");
	api_set_text(obj, "reason", rows, 0, "reason");
	api_set_time(obj, "charged_at", rows, 0, "charged_ms");
	api_set_time(obj, "settled_at", rows, 0, "settled_ms");
	entries = pg_json(rows, 0, "entries");
	shown = json_new_arr();
	for (size_t i = 0; i < json_count(entries); i++) {
		struct json_object *entry = json_copy(json_item(entries, i));

		if (!json_int_at(entry, "created_ms", &ms))
			ms = 0;
		json_set_time_ms(entry, "created_at", ms);
		json_unset(entry, "created_ms");
		json_add_obj(shown, &entry);
	}
	json_free(&entries);
	json_set_arr(obj, "entries", &shown);
	http_reply_json(call, 200, &obj);
}

void
api_generations_receipt(struct http_call *call)
{
	const char *me = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query_mine(call, STMT_GENERATION_RECEIPT,
		    PG_AS(me, id.text, me), on_receipt, NULL, NULL);
}
