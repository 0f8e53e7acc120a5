/*
 * migrate.c - reeld migrate: the files of sql/migrations that the database
 * has not seen, in order, each in a transaction; then all of sql/functions
 * anew, in one.  One migrator at a time, by an advisory lock.
 *
 * A migration that was applied is history: if its file has changed since, we
 * refuse instead of guessing.
 */
#define LOG_MODULE "migrate"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/cmd/admin.h"
#include "main/options.h"
#include "reeld/id.h"
#include "reeld/log.h"
#include "reeld/mem.h"

#define MAX_FILE_BYTES (4 * 1024 * 1024)
#define LOCK "select pg_advisory_lock(7264251)"

static const char make_table[] =
    "create table if not exists schema_migration ("
    " version int primary key, name text not null, sha256 text not null,"
    " applied_at timestamptz not null default now())";

static int
is_sql(const struct dirent *entry)
{
	return str_ends(entry->d_name, ".sql") && entry->d_name[0] != '.';
}

static bool
read_file(
    const char *folder, const char *name, struct buf *out, struct err *err)
{
	char *path = xasprintf("%s/%s", folder, name), data[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, data, sizeof data)) > 0)
		buf_add(out, data, (size_t)n);
	if (fd < 0 || n < 0 || !buf_ok(out))
		err_set(err, ERR_STORAGE, "%s: %s", path,
		    buf_ok(out) ? strerror(errno) : "too large");
	if (fd >= 0)
		close(fd);
	free(path);
	return fd >= 0 && n == 0 && buf_ok(out);
}

static bool
run(PGconn *conn, const char *what, const char *sql, struct err *err)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok) {
		const char *at =
		    PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
		int line = 1;
		int64_t n;

		if (at == NULL || !str_to_i64(at, 0, MAX_FILE_BYTES, &n))
			n = 0;
		for (int64_t i = 0; i < n && sql[i] != '\0'; i++)
			line += sql[i] == '\n';
		err_set(err, ERR_INTERNAL, "%s:%d: %s", what, line,
		    PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) != NULL
			? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
			: PQerrorMessage(conn));
	}
	PQclear(result);
	return ok;
}

/* "" when version was never applied. */
static bool
applied_sum(PGconn *conn, const char *version, char out[65], struct err *err)
{
	const char *values[] = {version};
	PGresult *result = PQexecParams(conn,
	    "select sha256 from schema_migration where version = $1::int", 1,
	    NULL, values, NULL, NULL, 0);
	bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;

	out[0] = '\0';
	if (!ok)
		err_set(err, ERR_INTERNAL, "%s", PQerrorMessage(conn));
	else if (PQntuples(result) > 0)
		str_copy(out, 65, PQgetvalue(result, 0, 0));
	PQclear(result);
	return ok;
}

static bool
record(PGconn *conn, const char *version, const char *name, const char *sum,
    struct err *err)
{
	const char *values[] = {version, name, sum};
	PGresult *result = PQexecParams(conn,
	    "insert into schema_migration (version, name, sha256)"
	    " values ($1::int, $2, $3) on conflict (version) do update"
	    " set name = excluded.name, sha256 = excluded.sha256,"
	    " applied_at = now()",
	    3, NULL, values, NULL, NULL, 0);
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

	if (!ok)
		err_set(err, ERR_INTERNAL, "%s", PQerrorMessage(conn));
	PQclear(result);
	return ok;
}

/* NNNN_name.sql: once, in a transaction with its own record. */
static bool
migrate_file(PGconn *conn, const char *folder, const char *name, int *applied,
    struct err *err)
{
	char version[5], sum[65], was[65];
	struct buf sql;
	bool ok;

	snprintf(version, sizeof version, "%.4s", name);
	if (strspn(version, "0123456789") != 4 || name[4] != '_')
		return err_set(err, ERR_BAD_INPUT,
		    "%s: a migration is named NNNN_name.sql", name);
	buf_init(&sql, MAX_FILE_BYTES);
	ok = read_file(folder, name, &sql, err) &&
	    applied_sum(conn, version, was, err);
	if (ok) {
		sha256_hex(sql.data, sql.len, sum);
		if (was[0] != '\0' && strcmp(was, sum) != 0)
			ok = err_set(err, ERR_CONFLICT,
			    "%s was applied and has changed since: write a new "
			    "migration instead",
			    name);
	}
	if (ok && was[0] == '\0') {
		ok = run(conn, name, "begin", err) &&
		    run(conn, name, buf_str(&sql), err) &&
		    record(conn, version, name, sum, err) &&
		    run(conn, name, "commit", err);
		if (ok) {
			(*applied)++;
			log_info("migration=%s", name);
		}
	}
	buf_fini(&sql);
	return ok;
}

static bool
each_file(PGconn *conn, const char *folder,
    bool (*one)(PGconn *, const char *, const char *, int *, struct err *),
    int *count, struct err *err)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_sql, alphasort);
	bool ok = n > 0 ||
	    err_set(err, ERR_STORAGE, "%s: %s", folder,
		n < 0 ? strerror(errno) : "no .sql files");

	for (int i = 0; i < n; i++) {
		ok = ok && one(conn, folder, list[i]->d_name, count, err);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return ok;
}

/* Version 0 of the table stands for the functions as a whole. */
static bool
apply_functions(PGconn *conn, const char *folder, int *applied, struct err *err)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_sql, alphasort);
	char sum[65], was[65];
	struct buf all;
	bool ok = n > 0 ||
	    err_set(err, ERR_STORAGE, "%s: %s", folder,
		n < 0 ? strerror(errno) : "no .sql files");

	buf_init(&all, MAX_FILE_BYTES);
	for (int i = 0; i < n && ok; i++)
		ok = read_file(folder, list[i]->d_name, &all, err);
	sha256_hex(buf_str(&all), all.len, sum);
	buf_fini(&all);
	ok = ok && applied_sum(conn, "0", was, err);
	if (ok && strcmp(was, sum) != 0) {
		ok = run(conn, "functions", "begin", err);
		for (int i = 0; i < n && ok; i++) {
			struct buf sql;

			buf_init(&sql, MAX_FILE_BYTES);
			ok = read_file(folder, list[i]->d_name, &sql, err) &&
			    run(conn, list[i]->d_name, buf_str(&sql), err);
			buf_fini(&sql);
		}
		ok = ok && record(conn, "0", "functions", sum, err) &&
		    run(conn, "functions", "commit", err);
		*applied += ok;
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return ok;
}

bool
admin_migrate(const struct conf *conf, struct err *err)
{
	const char *dir =
	    conf->sql.dir[0] != '\0' ? conf->sql.dir : PKGDATADIR "/sql";
	char *migrations = xasprintf("%s/migrations", dir);
	char *functions = xasprintf("%s/functions", dir);
	PGconn *conn = NULL;
	int applied = 0;
	bool ok = admin_open(conf, &conn, err) &&
	    run(conn, "lock", LOCK, err) &&
	    run(conn, "schema_migration", make_table, err) &&
	    each_file(conn, migrations, migrate_file, &applied, err) &&
	    apply_functions(conn, functions, &applied, err);

	PQfinish(conn);
	free(functions);
	free(migrations);
	if (ok)
		log_info("applied=%d msg=\"the schema is current\"", applied);
	return ok;
}

int
cmd_migrate(struct options *options)
{
	struct conf *conf;
	struct err err;
	int code = options_conf(options, &conf);

	if (code != EXIT_OK)
		return code;
	if (!admin_migrate(conf, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	conf_unref(conf);
	return code;
}
