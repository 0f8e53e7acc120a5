/* rows.c - reading results, and numbers as parameters. */
#define LOG_MODULE "pg"
#include "pg/rows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/stmt.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "reeld/pg.h"

static bool
is_at(const struct pg_rows *rows, int i, const char *column)
{
	const char *name = PQfname(rows->result, i);

	return name[0] == column[0] && strcmp(name, column) == 0;
}

/* PQfnumber() copies and folds the name; ours are exact, and no result has one
 * twice.  A name is asked for at the same places of the program again and
 * again, nearly always of results of one shape: where it was for this pointer
 * and so many columns is looked at first, and only then at all. */
static int
find(const struct pg_rows *rows, const char *column)
{
	static unsigned char places[1024];
	int n = PQnfields(rows->result);
	uintptr_t key = (uintptr_t)column;
	unsigned char *place =
	    &places[(key ^ key >> 10 ^ (uintptr_t)n << 4) % nitems(places)];

	if (*place < n && is_at(rows, *place, column))
		return *place;
	for (int i = 0; i < n; i++) {
		if (is_at(rows, i, column)) {
			*place = (unsigned char)i;
			return i;
		}
	}
	return -1;
}

static int
column_of(const struct pg_rows *rows, int row, const char *column)
{
	int i = find(rows, column);

	if (i < 0 || row < 0 || row >= PQntuples(rows->result))
		log_error(
		    "column=%s row=%d msg=\"not in the result\"", column, row);
	assert(i >= 0);
	assert(row >= 0 && row < PQntuples(rows->result));
	return i;
}

int
pg_count(const struct pg_rows *rows)
{
	return PQntuples(rows->result);
}

bool
pg_has(const struct pg_rows *rows, const char *column)
{
	return find(rows, column) >= 0;
}

bool
pg_null(const struct pg_rows *rows, int row, const char *column)
{
	return PQgetisnull(rows->result, row, column_of(rows, row, column));
}

const char *
pg_text(const struct pg_rows *rows, int row, const char *column)
{
	int i = column_of(rows, row, column);

	return PQgetisnull(rows->result, row, i)
	    ? NULL
	    : PQgetvalue(rows->result, row, i);
}

int64_t
pg_i64(const struct pg_rows *rows, int row, const char *column)
{
	const char *text = pg_text(rows, row, column);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

double
pg_num_f(const struct pg_rows *rows, int row, const char *column)
{
	const char *text = pg_text(rows, row, column);

	return text != NULL ? strtod(text, NULL) : 0;
}

bool
pg_bool(const struct pg_rows *rows, int row, const char *column)
{
	const char *text = pg_text(rows, row, column);

	return text != NULL && text[0] == 't';
}

struct json_object *
pg_json(const struct pg_rows *rows, int row, const char *column)
{
	const char *text = pg_text(rows, row, column);
	struct json_object *json = NULL;
	struct err err;

	if (text == NULL)
		return NULL;
	/* Ours, so it is well-formed; its size is bounded by the column. */
	if (!json_parse_flags(text, strlen(text), 64 * 1024 * 1024,
		JSON_ANY_ROOT, &json, &err))
		log_error("column=%s msg=%s", column, log_text(err.msg));
	return json;
}

struct pg_rows *
pg_rows_new(const struct pg_cell *cells, size_t n)
{
	struct pg_rows *rows = xcalloc(1, sizeof *rows);
	PGresAttDesc *columns = xcalloc(n, sizeof *columns);
	bool ok;

	rows->result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	for (size_t i = 0; i < n; i++)
		columns[i].name = (char *)(uintptr_t)cells[i].column;
	ok = rows->result != NULL &&
	    PQsetResultAttrs(rows->result, (int)n, columns) == 1;
	for (size_t i = 0; ok && i < n; i++) {
		const char *value = cells[i].value;

		ok = PQsetvalue(rows->result, 0, (int)i,
			 (char *)(uintptr_t)value,
			 value != NULL ? (int)strlen(value) : -1) == 1;
	}
	if (!ok)
		abort(); /* no memory: as xmalloc() */
	free(columns);
	return rows;
}

void
pg_rows_free(struct pg_rows *rows)
{
	if (rows == NULL)
		return;
	PQclear(rows->result);
	free(rows);
}

const char *
pg_num(int64_t value)
{
	static char ring[64][24];
	static unsigned next;
	char *out = ring[next++ % 64];

	snprintf(out, sizeof ring[0], "%lld", (long long)value);
	return out;
}

const char *
pg_yes(bool value)
{
	return value ? "true" : "false";
}

const char *
pg_stmt_name(enum pg_stmt stmt)
{
	return pg_stmt_table[stmt].name;
}

const char *
pg_stmt_sql(enum pg_stmt stmt)
{
	return pg_stmt_table[stmt].sql;
}

int
pg_stmt_params(enum pg_stmt stmt)
{
	return pg_stmt_table[stmt].n_params;
}
