/*
 * page.c - lists by key set: opaque cursors, ?limit= and ?cursor=, the
 * envelope and its Link header.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"

void
api_cursor_encode(const struct api_cursor *cursor, char out[API_CURSOR_LEN])
{
	char plain[24 + ID_LEN + 1];
	int n = snprintf(plain, sizeof plain, "%" PRId64 ":%s", cursor->sort,
	    cursor->id.text);

	b64url_encode(out, plain, (size_t)n);
}

bool
api_cursor_decode(const char *text, struct api_cursor *out, struct err *err)
{
	char plain[API_CURSOR_LEN], *colon;
	ssize_t n = -1;

	memset(out, 0, sizeof *out);
	if (strlen(text) < API_CURSOR_LEN)
		n = b64url_decode(plain, sizeof plain - 1, text);
	if (n > 0) {
		plain[n] = '\0';
		colon = memchr(plain, ':', (size_t)n);
		if (colon != NULL && strlen(plain) == (size_t)n) {
			*colon = '\0';
			if (str_to_i64(plain, 0, INT64_MAX, &out->sort) &&
			    (colon[1] == '\0' || id_parse(colon + 1, &out->id)))
				return true;
		}
	}
	memset(out, 0, sizeof *out);
	return err_set_field(err, ERR_BAD_INPUT, "bad_cursor", "?cursor",
	    "The cursor is not one of ours; start again without it.");
}

bool
api_page_read(
    struct http_call *call, int64_t fallback, int64_t max, struct api_page *out)
{
	const char *cursor = http_query(call, "cursor");
	struct err err;

	memset(out, 0, sizeof *out);
	if (!http_query_int(
		call, "limit", 1, max, fallback, &out->limit, &err) ||
	    (cursor != NULL &&
		!api_cursor_decode(cursor, &out->cursor, &err))) {
		http_reply_err(call, &err);
		return false;
	}
	snprintf(out->limit_plus_1, sizeof out->limit_plus_1, "%" PRId64,
	    out->limit + 1);
	if (cursor != NULL) {
		snprintf(out->sort_text, sizeof out->sort_text, "%" PRId64,
		    out->cursor.sort);
		out->sort = out->sort_text;
		if (id_is_set(&out->cursor.id))
			out->id = out->cursor.id.text;
	}
	return true;
}

static void
add_escaped(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			buf_putc(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

/* The same list, from the cursor on. */
static void
add_link(struct http_call *call, const char *cursor)
{
	const char *name, *value;
	struct buf link;

	buf_init(&link, 2000);
	buf_putc(&link, '<');
	add_escaped(&link, http_path(call));
	buf_puts(&link, "?cursor=");
	buf_puts(&link, cursor);
	for (size_t i = 0; http_query_at(call, i, &name, &value); i++) {
		if (strcmp(name, "cursor") == 0)
			continue;
		buf_putc(&link, '&');
		add_escaped(&link, name);
		buf_putc(&link, '=');
		add_escaped(&link, value);
	}
	buf_puts(&link, ">; rel=\"next\"");
	if (buf_ok(&link))
		http_reply_header(call, "Link", buf_str(&link));
	buf_fini(&link);
}

void
api_page_reply(struct http_call *call, const struct api_page *page,
    const struct pg_rows *rows, const char *sort, const char *id,
    api_row_fn *row_fn, void *arg)
{
	struct json_object *reply = json_new(), *data = json_new_arr(), *item;
	int n = pg_count(rows);
	bool more = n > page->limit;

	if (more)
		n = (int)page->limit;
	for (int i = 0; i < n; i++) {
		item = row_fn(rows, i, arg);
		json_add_obj(data, &item);
	}
	json_set_arr(reply, "data", &data);
	json_set_null(reply, "next_cursor");
	if (more) {
		struct api_cursor cursor = {.sort = pg_i64(rows, n - 1, sort)};
		char text[API_CURSOR_LEN];

		if (id != NULL)
			str_copy(cursor.id.text, sizeof cursor.id.text,
			    pg_text(rows, n - 1, id));
		api_cursor_encode(&cursor, text);
		json_set_text(reply, "next_cursor", text);
		add_link(call, text);
	}
	json_set_bool(reply, "has_more", more);
	http_reply_json(call, 200, &reply);
}
