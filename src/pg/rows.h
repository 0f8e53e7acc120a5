/* rows.h - a result, as callbacks see it. */
#ifndef PG_ROWS_H
#define PG_ROWS_H

#include <libpq-fe.h>

struct pg_rows {
	PGresult *result;
	struct pg_query *query; /* whose they are, while its callback runs */
};

#endif
