/* view.h - rows as the API shows them; the columns are those of
 * sql/functions/01_public.sql and sql/stmt/generation.sql. */
#ifndef REELD_API_VIEW_H
#define REELD_API_VIEW_H

#include "api/internal.h"

/* A row of generation_public; queue_position, where there is one, too. */
struct json_object *view_generation(const struct pg_rows *rows, int row);
/* {"id","status","progress","version","stage","video_url"[,"error"]}, as
 * live makes it from an event. */
struct json_object *view_status(const struct pg_rows *rows, int row);
/* api_row_fn: a row of events.  arg: unused. */
struct json_object *view_event(const struct pg_rows *rows, int row, void *arg);
/* A row of attempts.  all: also what only operators may see. */
struct json_object *view_attempt(const struct pg_rows *rows, int row, bool all);
/* Adds waiting_reason: what is known to hold a queued one's provider, else
 * null.  true: there is something. */
bool view_waiting(struct json_object *obj, const struct catalogue *cat,
    const struct pg_rows *rows, int row, bool for_operator);
/* {"data":[...]} of every row. */
struct json_object *
view_list(const struct pg_rows *rows, api_row_fn *row_fn, void *arg);
/* Nothing happens to it any more (column status). */
bool view_is_over(const struct pg_rows *rows, int row);

#endif
