/* admin.c - the blocking connection that sub-commands share. */
#define LOG_MODULE "admin"
#include "main/cmd/admin.h"

#include <stdlib.h>
#include <string.h>

#include "reeld/log.h"

static void
drop_notice(void *arg, const char *message)
{
	log_debug("msg=%s", log_text(message));
}

bool
admin_open(const struct conf *conf, PGconn **out, struct err *err)
{
	if (conf->db.url[0] == '\0')
		return err_set(
		    err, ERR_BAD_INPUT, "db.url (or DATABASE_URL) is not set");
	if (!pg_conninfo_ok(conf->db.url, err))
		return false;
	*out = PQconnectdb(conf->db.url);
	if (PQstatus(*out) != CONNECTION_OK) {
		err_set(err, ERR_UNAVAILABLE, "%s", PQerrorMessage(*out));
		PQfinish(*out);
		*out = NULL;
		return false;
	}
	PQsetNoticeProcessor(*out, drop_notice, NULL);
	return true;
}

bool
admin_call(PGconn *conn, enum pg_stmt stmt, int n, const char *const values[],
    PGresult **out, struct err *err)
{
	*out = PQexecParams(
	    conn, pg_stmt_sql(stmt), n, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(*out) == PGRES_TUPLES_OK ||
	    PQresultStatus(*out) == PGRES_COMMAND_OK)
		return true;
	err_set(err, ERR_INTERNAL, "%s: %s", pg_stmt_name(stmt),
	    PQresultErrorMessage(*out));
	PQclear(*out);
	*out = NULL;
	return false;
}

const char *
admin_text(const PGresult *result, const char *column)
{
	int i = PQfnumber(result, column);

	return i < 0 || PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, i);
}
