/* assets.c - the caller's files: list, one, its content, delete, usage. */
#include <stdio.h>
#include <string.h>

#include "api/asset.h"
#include "api/handlers.h"
#include "api/internal.h"

void
asset_url_set(struct json_object *obj, const char *id)
{
	char url[80];

	snprintf(url, sizeof url, "/api/v1/assets/%s/content", id);
	json_set_text(obj, "url", url);
}

static struct json_object *
show(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *item = json_new();

	api_set_text(item, "id", rows, row, "id");
	api_set_text(item, "kind", rows, row, "kind");
	asset_url_set(item, pg_text(rows, row, "id"));
	api_set_text(item, "name", rows, row, "name");
	api_set_text(item, "mime", rows, row, "mime");
	api_set_int(item, "size_bytes", rows, row, "size_bytes");
	api_set_int(item, "width", rows, row, "width");
	api_set_int(item, "height", rows, row, "height");
	api_set_int(item, "duration_ms", rows, row, "duration_ms");
	api_set_time(item, "created_at", rows, row, "created_ms");
	return item;
}

static void
on_list(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct api_page *page = arg;

	api_page_reply(call, page, rows, "created_us", "id", show, NULL);
	free(page);
}

void
api_assets_list(struct http_call *call)
{
	const char *user = api_me(call)->user;
	struct api_page page;

	if (!api_page_read(call, 20, 200, &page))
		return;
	api_query(call, api_app(call)->pg, STMT_ASSET_LIST,
	    PG_AS(user, user, http_query(call, "kind"), http_query(call, "q"),
		page.sort, page.id, page.limit_plus_1),
	    on_list, xmemdup(&page, sizeof page), free);
}

static void
on_asset(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *reply = show(rows, 0, NULL);

	http_reply_json(call, 200, &reply);
}

/* One asset of the caller's: his id decides, and row security behind it. */
static void
get(struct http_call *call, api_rows_fn *fn)
{
	const char *user = api_me(call)->user;
	struct id id;

	if (api_id(call, "id", &id))
		api_query_mine(call, STMT_ASSET_GET, PG_AS(user, id.text, user),
		    fn, NULL, NULL);
}

void
api_assets_get(struct http_call *call)
{
	get(call, on_asset);
}

static void
on_content(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const char *name = pg_text(rows, 0, "name");

	if (strcmp(pg_text(rows, 0, "state"), "ready") != 0) {
		api_refuse(call, ERR_GONE, "", "The file is no longer kept.");
		return;
	}
	/* The content of an id never changes. */
	api_reply_stored(call,
	    &(struct api_file){.key = pg_text(rows, 0, "key"),
		.type = pg_text(rows, 0, "mime"),
		.etag = pg_text(rows, 0, "sha256"),
		.filename = name != NULL && name[0] != '\0' ? name : NULL,
		.cache = "private, max-age=31536000, immutable"});
}

void
api_assets_content(struct http_call *call)
{
	get(call, on_content);
}

static void
on_deleted(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	const char *outcome = pg_text(rows, 0, "outcome");

	if (strcmp(outcome, "deleted") == 0)
		http_reply_no_content(call);
	else if (strcmp(outcome, "in_use") == 0)
		api_refuse(call, ERR_CONFLICT, "asset_in_use",
		    "A generation that has not ended needs this image.");
	else
		api_not_found(call);
}

void
api_assets_delete(struct http_call *call)
{
	struct id id;

	if (api_id(call, "id", &id))
		api_query(call, api_app(call)->pg_engine, STMT_ASSET_DELETE,
		    PG_ARGS(id.text, api_me(call)->user), on_deleted, NULL,
		    NULL);
}

static void
on_usage(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *reply = json_new();

	api_set_int(reply, "bytes", rows, 0, "bytes");
	api_set_int(reply, "files", rows, 0, "files");
	json_set_int(
	    reply, "limit_bytes", asset_quota(api_app(call)->catalogue));
	http_reply_json(call, 200, &reply);
}

void
api_storage_usage(struct http_call *call)
{
	const char *user = api_me(call)->user;

	api_query_mine(
	    call, STMT_STORAGE_USAGE, PG_AS(user, user), on_usage, NULL, NULL);
}
