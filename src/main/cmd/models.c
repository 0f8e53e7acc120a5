/*
 * models.c - reeld models init: the catalogue that ships, sql/seed.  Loading
 * again updates what ships and keeps what an operator changed live.
 */
#define LOG_MODULE "admin"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/cmd/admin.h"
#include "main/options.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/mem.h"

#define MAX_CATALOGUE_BYTES (8 * 1024 * 1024)

static bool
read_catalogue(
    const struct conf *conf, struct json_object **out, struct err *err)
{
	const char *dir =
	    conf->sql.dir[0] != '\0' ? conf->sql.dir : PKGDATADIR "/sql";
	char *path = xasprintf("%s/seed/catalogue.json", dir), data[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf text;
	ssize_t n = -1;
	bool ok;

	buf_init(&text, MAX_CATALOGUE_BYTES);
	while (fd >= 0 && (n = read(fd, data, sizeof data)) > 0)
		buf_add(&text, data, (size_t)n);
	ok = fd >= 0 && n == 0;
	if (!ok)
		err_set(err, ERR_STORAGE, "%s: %s", path, strerror(errno));
	else if (!json_parse(
		     text.data, text.len, MAX_CATALOGUE_BYTES, out, err))
		ok = err_wrap(err, "%s", path);
	if (fd >= 0)
		close(fd);
	buf_fini(&text);
	free(path);
	return ok;
}

static bool
put_provider(PGconn *conn, const struct json_object *doc, struct err *err)
{
	const char *values[] = {json_text_at(doc, "name"),
	    json_text_at(doc, "title"), json_text_at(doc, "kind"), NULL, NULL,
	    NULL};
	PGresult *result;

	if (!admin_call(conn, STMT_PROVIDER_PUT, 6, values, &result, err))
		return false;
	PQclear(result);
	return true;
}

/* Which model is the default depends on whether the demo models are there. */
static bool
put_model(
    PGconn *conn, const struct json_object *shipped, bool demo, struct err *err)
{
	struct json_object *doc = json_copy(shipped);
	const char *values[1];
	bool is_default = false, ok;
	PGresult *result;
	char *text;

	if (!json_bool_at(doc, demo ? "default_demo" : "default", &is_default))
		is_default = false;
	json_set_bool(doc, "default", is_default);
	text = json_dump_text(doc);
	values[0] = text;
	ok = admin_call(conn, STMT_MODEL_PUT, 1, values, &result, err);
	if (ok)
		PQclear(result);
	free(text);
	json_free(&doc);
	return ok;
}

bool
admin_models_init(const struct conf *conf, bool demo, struct err *err)
{
	struct json_object *catalogue, *list;
	PGconn *conn = NULL;
	int loaded = 0;
	bool ok = read_catalogue(conf, &catalogue, err);

	if (!ok)
		return false;
	ok = admin_open(conf, &conn, err);
	if (ok) {
		PQclear(PQexec(conn, "begin"));
		list = json_arr_at(catalogue, "providers");
		for (size_t i = 0; ok && i < json_count(list); i++)
			ok = put_provider(conn, json_item(list, i), err);
		list = json_arr_at(catalogue, "models");
		for (size_t i = 0; ok && i < json_count(list); i++) {
			bool is_demo = false;

			if (json_bool_at(
				json_item(list, i), "demo", &is_demo) &&
			    is_demo && !demo)
				continue;
			ok = put_model(conn, json_item(list, i), demo, err);
			loaded++;
		}
		PQclear(PQexec(conn, ok ? "commit" : "rollback"));
		PQfinish(conn);
	}
	json_free(&catalogue);
	if (ok)
		log_info("models=%d msg=\"catalogue loaded\"", loaded);
	return ok;
}

int
cmd_models(struct options *options)
{
	struct conf *conf;
	struct err err;
	int code;

	if (options->n_words != 1 || strcmp(options->words[0], "init") != 0) {
		fprintf(stderr, "usage: reeld models init [--demo]\n");
		return EXIT_USAGE;
	}
	code = options_conf(options, &conf);
	if (code != EXIT_OK)
		return code;
	if (!admin_models_init(conf, options->demo, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	conf_unref(conf);
	return code;
}
