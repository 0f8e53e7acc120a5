/*
 * admin.h - what the sub-commands do to the database, blocking, each on a
 * connection of its own.  `standalone` uses the same before its loop runs.
 */
#ifndef MAIN_CMD_ADMIN_H
#define MAIN_CMD_ADMIN_H

#include <libpq-fe.h>

#include "reeld/conf.h"
#include "reeld/pg.h"

/* Connects as the engine does: as the owner of the tables. */
bool
admin_open(const struct conf *conf, PGconn **out, struct err *err) REELD_MUST;
/* Runs one named statement with text parameters; PQclear the result. */
bool admin_call(PGconn *conn, enum pg_stmt stmt, int n,
    const char *const values[], PGresult **out, struct err *err) REELD_MUST;
/* The text of a column in row 0, or "" (borrowed from the result). */
const char *admin_text(const PGresult *result, const char *column);

/* Migrations and functions; true when the schema is current. */
bool admin_migrate(const struct conf *conf, struct err *err) REELD_MUST;
/* Loads the catalogue that ships; demo: with the demo models on. */
bool admin_models_init(
    const struct conf *conf, bool demo, struct err *err) REELD_MUST;
/* Makes the user when missing (as admin) and a one-time sign-in link. */
bool admin_link_make(const struct conf *conf, const char *base_url,
    const char *email, char *out, size_t size, struct err *err) REELD_MUST;
/* Sees to it that <dir>/run/worker.key holds a working worker key. */
bool admin_worker_key(
    const struct conf *conf, const char *dir, struct err *err) REELD_MUST;
/* A new key for a user; out gets the text that is shown once. */
bool admin_api_key_make(PGconn *conn, const char *email, const char *name,
    const char *scopes, char *out, size_t size, struct err *err) REELD_MUST;

#endif
