/* stmt.h - the table that stmt.awk makes, private to src/pg. */
#ifndef PG_STMT_H
#define PG_STMT_H

#include "pg/stmt_table.h"

struct stmt_row {
	const char *name;
	int n_params;
	int plan; /* 1: `-- plan: custom`, 2: `-- plan: custom, sorted` */
	const char *sql;
};
extern const struct stmt_row pg_stmt_table[PG_STMT_COUNT];

#endif
