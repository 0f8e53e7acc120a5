/* error.c - SQLSTATE to struct err: one table, no SQL text for users. */
#define LOG_MODULE "pg"
#include <string.h>

#include "pg/internal.h"
#include "reeld/log.h"
#include "reeld/mem.h"

static const struct {
	const char *state; /* a class of two characters, or all five */
	enum err_code code;
	const char *name, *msg; /* msg NULL: PostgreSQL's primary message */
} states[] = {
    {"23505", ERR_CONFLICT, "db_conflict", "it exists already"},
    {"23503", ERR_CONFLICT, "db_conflict", "something it refers to is gone"},
    {"23", ERR_INVALID, "db_refused", "a rule of the database refused it"},
    {"P0001", ERR_INVALID, "db_refused", NULL},
    {"P0", ERR_INTERNAL, "db_rule", "a rule of the database was broken"},
    {"22P02", ERR_BAD_INPUT, "db_refused", "a value is malformed"},
    {"22", ERR_BAD_INPUT, "db_refused", "a value is out of range"},
    {"57014", ERR_TIMEOUT, "db_timeout", "the database took too long"},
    {"55P03", ERR_UNAVAILABLE, "db_locked", "the row is busy"},
    {"40P01", ERR_UNAVAILABLE, "db_locked", "the row is busy"},
    {"40001", ERR_UNAVAILABLE, "db_locked", "the row is busy"},
    {"53", ERR_UNAVAILABLE, "db_unavailable", "the database is out of room"},
    {"57", ERR_UNAVAILABLE, "db_unavailable", "the database is going down"},
    {"40", ERR_UNAVAILABLE, "db_unavailable", "too much at once"},
};

static const char *
state_of(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL ? state : "";
}

void
pg_error_from(const PGresult *result, struct err *err)
{
	const char *state = state_of(result);
	const char *message =
	    PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	for (size_t i = 0; i < nitems(states); i++) {
		if (strncmp(state, states[i].state, strlen(states[i].state)) !=
		    0)
			continue;
		err_set_name(err, states[i].code, states[i].name, "%s",
		    states[i].msg != NULL ? states[i].msg
			: message != NULL ? message
					  : "refused");
		/* What our own code should never have tried is told aloud. */
		if (strcmp(states[i].name, "db_rule") == 0 ||
		    strcmp(states[i].state, "23") == 0)
			log_error(
			    "sqlstate=%s msg=%s", state, log_text(message));
		else
			log_debug(
			    "sqlstate=%s msg=%s", state, log_text(message));
		return;
	}
	log_error("sqlstate=%s msg=%s", state,
	    log_text(message != NULL ? message : PQresultErrorMessage(result)));
	err_set_name(err, ERR_INTERNAL, "db_error", "the database failed");
}

bool
pg_refused(const struct err *err)
{
	return strcmp(err->name, "db_refused") == 0 ||
	    strcmp(err->name, "db_conflict") == 0 ||
	    strcmp(err->name, "db_rule") == 0;
}

bool
pg_error_is_retryable(const PGresult *result)
{
	return strcmp(state_of(result), "40001") == 0 ||
	    strcmp(state_of(result), "40P01") == 0;
}

bool
pg_error_is_stale(const PGresult *result)
{
	/* The plan no longer fits; the statement or function is not there. */
	return strcmp(state_of(result), "0A000") == 0 ||
	    strcmp(state_of(result), "26000") == 0;
}
