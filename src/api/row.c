/* row.c - columns into members. */
#include "api/internal.h"

void
api_set_text(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column)
{
	json_set_text(obj, name, pg_text(rows, row, column));
}

void
api_set_int(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column)
{
	if (pg_null(rows, row, column))
		json_set_null(obj, name);
	else
		json_set_int(obj, name, pg_i64(rows, row, column));
}

void
api_set_bool(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column)
{
	if (pg_null(rows, row, column))
		json_set_null(obj, name);
	else
		json_set_bool(obj, name, pg_bool(rows, row, column));
}

void
api_set_time(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column)
{
	json_set_time_ms(obj, name, pg_i64(rows, row, column));
}

void
api_set_json(struct json_object *obj, const char *name,
    const struct pg_rows *rows, int row, const char *column)
{
	struct json_object *value = pg_json(rows, row, column);

	json_set_copy(obj, name, value);
	json_free(&value);
}
