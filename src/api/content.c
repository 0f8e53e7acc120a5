/*
 * content.c - the files of a generation: to play (Range) and to keep.
 * Operators may look at anybody's; others only at their own.
 */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "api/view.h"

enum { MAX_NAME = 60 };

/* A name for the saved file: what the person called it, else the model. */
static void
file_name(const struct pg_rows *rows, char *out, size_t size)
{
	const char *title = pg_text(rows, 0, "title");
	const char *mime = pg_text(rows, 0, "mime");
	const char *dot = str_eq(mime, "image/jpeg") ? "jpg"
	    : str_eq(mime, "image/png")		     ? "png"
	    : str_eq(mime, "video/webm")	     ? "webm"
	    : str_eq(mime, "video/quicktime")	     ? "mov"
						     : "mp4";
	char name[MAX_NAME + 1];

	str_copy(name, sizeof name,
	    title != NULL && title[0] != '\0' ? title
					      : pg_text(rows, 0, "model"));
	/* Cut between characters. */
	for (size_t len = strlen(name); len > 0 && !utf8_valid(name, len);)
		name[--len] = '\0';
	snprintf(out, size, "%s.%s", name, dot);
}

static void
refuse(struct http_call *call, const struct pg_rows *rows)
{
	const char *media = pg_text(rows, 0, "media_state");

	if (str_eq(media, "purged") || str_eq(media, "expired"))
		api_refuse(call, ERR_GONE, "media_gone",
		    "The file was here and has been removed.");
	else
		api_refuse(call, ERR_NOT_FOUND, "no_media",
		    "This generation has no such file; it is %s.",
		    pg_text(rows, 0, "status"));
}

static void
send_file(struct http_call *call, const struct pg_rows *rows, bool attachment)
{
	char name[MAX_NAME + 8];

	if (pg_null(rows, 0, "key") ||
	    !str_eq(pg_text(rows, 0, "media_state"), "stored")) {
		refuse(call, rows);
		return;
	}
	file_name(rows, name, sizeof name);
	api_reply_stored(call,
	    &(struct api_file){.key = pg_text(rows, 0, "key"),
		.type = pg_text(rows, 0, "mime"),
		.etag = pg_text(
		    rows, 0, pg_null(rows, 0, "sha256") ? "id" : "sha256"),
		.filename = name,
		.attachment = attachment,
		.cache = "private, max-age=3600"});
}

static void
on_content(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (pg_count(rows) == 0)
		api_not_found(call);
	else
		send_file(call, rows, false);
}

static void
on_download(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	if (pg_count(rows) == 0)
		api_not_found(call);
	else
		send_file(call, rows, true);
}

static void
find(struct http_call *call, const char *roles, api_rows_fn *fn)
{
	const struct identity *me = api_me(call);
	struct app *app = api_app(call);
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	if (me->role >= ROLE_OPERATOR)
		api_query(call, app->pg_engine, STMT_GENERATION_MEDIA,
		    PG_ARGS(id.text, NULL, roles), fn, NULL, NULL);
	else
		api_query(call, app->pg, STMT_GENERATION_MEDIA,
		    PG_AS(me->user, id.text, me->user, roles), fn, NULL, NULL);
}

void
api_generations_content(struct http_call *call)
{
	/* What a browser plays, where the original is not that. */
	static const struct {
		const char *variant, *roles;
	} variants[] = {{"video", "rendition,video"}, {"original", "video"},
	    {"thumbnail", "thumbnail"}, {"spritesheet", "spritesheet"},
	    {"preview", "preview"}};
	const char *variant = http_query(call, "variant");
	struct err err;

	if (variant == NULL)
		variant = "video";
	for (size_t i = 0; i < nitems(variants); i++)
		if (strcmp(variant, variants[i].variant) == 0) {
			find(call, variants[i].roles, on_content);
			return;
		}
	err_set_field(&err, ERR_INVALID, "bad_variant", "?variant",
	    "variant is video, original or thumbnail.");
	http_reply_err(call, &err);
}

void
api_generations_download(struct http_call *call)
{
	find(call, "video", on_download);
}
