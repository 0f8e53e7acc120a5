/* people.c - reeld user, api-key and admin-link. */
#define LOG_MODULE "admin"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/cmd/admin.h"
#include "main/options.h"
#include "reeld/id.h"
#include "reeld/mem.h"
#include "reeld/token.h"

static const char *const roles[] = {"user", "creator", "operator", "admin"};
static const char *const scopes_known[] = {
    "generate", "read", "admin", "worker", "webhook"};

static bool
is_one_of(const char *text, size_t len, const char *const list[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(list[i]) == len && strncmp(list[i], text, len) == 0)
			return true;
	}
	return false;
}

/* Enough to catch slips; the mail's own server knows better. */
static bool
is_email(const char *text)
{
	const char *at = strchr(text, '@');

	return at != NULL && at != text && at[1] != '\0' &&
	    strchr(at + 1, '@') == NULL && strlen(text) <= 254 &&
	    strpbrk(text, " \t\r\n<>\"") == NULL;
}

/* Finds or makes the user; id gets the uuid. */
static bool
user_make(PGconn *conn, const char *email, const char *role,
    const char *credits, struct id *id, bool *made, struct err *err)
{
	struct id fresh = id_new();
	const char *values[] = {fresh.text, email, "", role, credits, NULL};
	PGresult *result;
	bool ok;

	if (!is_email(email))
		return err_set(
		    err, ERR_BAD_INPUT, "no e-mail address: %.80s", email);
	if (!admin_call(conn, STMT_USER_CREATE, 6, values, &result, err))
		return false;
	*made = strcmp(admin_text(result, "outcome"), "created") == 0;
	ok = id_parse(admin_text(result, "id"), id) ||
	    err_set(err, ERR_INTERNAL, "the user was not made");
	PQclear(result);
	return ok;
}

static bool
user_change(PGconn *conn, const struct id *id, const char *role,
    const char *credits, struct err *err)
{
	const char *values[] = {id->text, NULL, role, NULL, NULL, NULL};
	char key[64];
	const char *money[] = {
	    id->text, credits, "adjustment", key, NULL, "command line", NULL};
	PGresult *result;
	struct id once = id_new();
	bool ok = true;

	if (role != NULL) {
		if (!admin_call(
			conn, STMT_USER_UPDATE, 6, values, &result, err))
			return false;
		PQclear(result);
	}
	if (strcmp(credits, "0") != 0) {
		snprintf(key, sizeof key, "cli:%s", once.text);
		if (!admin_call(
			conn, STMT_CREDIT_ADJUST, 7, money, &result, err))
			return false;
		ok = strcmp(admin_text(result, "outcome"), "adjusted") == 0 ||
		    err_set(err, ERR_INVALID, "credits: %s",
			admin_text(result, "outcome"));
		PQclear(result);
	}
	return ok;
}

static bool
user_add(
    const struct conf *conf, const struct options *options, struct err *err)
{
	const char *email = options->words[1];
	const char *credits = options->credits != NULL ? options->credits : "0";
	struct id id;
	int64_t n;
	PGconn *conn;
	bool made = false, ok;

	if (options->role != NULL &&
	    !is_one_of(
		options->role, strlen(options->role), roles, nitems(roles)))
		return err_set(err, ERR_BAD_INPUT,
		    "--role is one of user, creator, operator, admin");
	if (!str_to_i64(credits, -1000000000000, 1000000000000, &n))
		return err_set(
		    err, ERR_BAD_INPUT, "--credits: no number: %s", credits);
	if (!admin_open(conf, &conn, err))
		return false;
	ok = user_make(conn, email,
	    options->role != NULL ? options->role : "user",
	    n > 0 ? credits : "0", &id, &made, err);
	if (ok && !made)
		ok = user_change(conn, &id, options->role, credits, err);
	PQfinish(conn);
	if (ok)
		printf("%s\n", id.text);
	return ok;
}

int
cmd_user(struct options *options)
{
	struct conf *conf;
	struct err err;
	int code;

	if (options->n_words != 2 || strcmp(options->words[0], "add") != 0) {
		fprintf(stderr,
		    "usage: reeld user add EMAIL [--role R] [--credits N]\n");
		return EXIT_USAGE;
	}
	code = options_conf(options, &conf);
	if (code != EXIT_OK)
		return code;
	if (!user_add(conf, options, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	conf_unref(conf);
	return code;
}

/* "read,generate" to "{read,generate}". */
static bool
scope_array(const char *scopes, char *out, size_t size, struct err *err)
{
	for (const char *p = scopes; *p != '\0';) {
		size_t len = strcspn(p, ",");

		if (!is_one_of(p, len, scopes_known, nitems(scopes_known)))
			return err_set(err, ERR_BAD_INPUT,
			    "--scopes: \"%.*s\" is none of generate, read, "
			    "admin, worker, webhook",
			    (int)len, p);
		p += len + (p[len] == ',');
	}
	snprintf(out, size, "{%s}", scopes);
	return true;
}

bool
admin_api_key_make(PGconn *conn, const char *email, const char *name,
    const char *scopes, char *out, size_t size, struct err *err)
{
	const char *who[] = {email};
	char array[128], bytea[67];
	struct api_key key;
	struct id id = id_new();
	PGresult *result;
	char user[ID_LEN + 1];
	bool ok;

	if (!scope_array(scopes, array, sizeof array, err) ||
	    !admin_call(conn, STMT_USER_BY_EMAIL, 1, who, &result, err))
		return false;
	str_copy(user, sizeof user, admin_text(result, "id"));
	PQclear(result);
	if (user[0] == '\0')
		return err_set(err, ERR_NOT_FOUND,
		    "no user %.100s (reeld user add makes one)", email);
	api_key_new(&key);
	hash_to_bytea(key.hash, bytea);
	{
		const char *values[] = {
		    id.text, user, name, key.prefix, bytea, array, NULL};

		if (!admin_call(
			conn, STMT_API_KEY_CREATE, 7, values, &result, err))
			return false;
	}
	ok = strcmp(admin_text(result, "outcome"), "created") == 0 ||
	    err_set(err, ERR_LIMIT, "the key was not made: %s",
		admin_text(result, "outcome"));
	PQclear(result);
	str_copy(out, size, key.text);
	explicit_bzero(&key, sizeof key);
	return ok;
}

int
cmd_api_key(struct options *options)
{
	char key[API_KEY_LEN + 1];
	struct conf *conf;
	struct err err;
	PGconn *conn;
	bool ok;
	int code;

	if (options->n_words != 1 || strcmp(options->words[0], "create") != 0 ||
	    options->user == NULL || options->name == NULL) {
		fprintf(stderr,
		    "usage: reeld api-key create --user EMAIL --name N "
		    "[--scopes generate,read,admin,worker]\n");
		return EXIT_USAGE;
	}
	code = options_conf(options, &conf);
	if (code != EXIT_OK)
		return code;
	ok = admin_open(conf, &conn, &err);
	if (ok) {
		ok = admin_api_key_make(conn, options->user, options->name,
		    options->scopes != NULL ? options->scopes : "generate,read",
		    key, sizeof key, &err);
		PQfinish(conn);
	}
	if (ok) {
		printf("%s\n", key);
	} else {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	explicit_bzero(key, sizeof key);
	conf_unref(conf);
	return code;
}

bool
admin_link_make(const struct conf *conf, const char *base_url,
    const char *email, char *out, size_t size, struct err *err)
{
	char token[TOKEN_LEN + 1], bytea[67], ttl[24];
	uint8_t hash[32];
	struct id id;
	PGresult *result;
	PGconn *conn;
	bool made, ok;

	if (!admin_open(conf, &conn, err))
		return false;
	token_new(token, hash);
	hash_to_bytea(hash, bytea);
	snprintf(ttl, sizeof ttl, "%lld",
	    (long long)(conf->auth.login_link_ms / 1000));
	ok = user_make(conn, email, "admin", "100000", &id, &made, err);
	if (ok && !made)
		ok = user_change(conn, &id, "admin", "0", err);
	if (ok) {
		const char *values[] = {bytea, id.text, ttl};

		ok = admin_call(
		    conn, STMT_LOGIN_LINK_CREATE, 3, values, &result, err);
		if (ok)
			PQclear(result);
	}
	PQfinish(conn);
	snprintf(out, size, "%s/login/link?token=%s", base_url, token);
	return ok;
}

/* Where a browser on this machine finds the server. */
static void
guess_url(const struct conf *conf, char *out, size_t size)
{
	const char *port = strrchr(conf->http.listen, ':');

	if (conf->http.public_url[0] != '\0')
		str_copy(out, size, conf->http.public_url);
	else
		snprintf(out, size, "http://localhost%s",
		    port != NULL ? port : ":8080");
}

int
cmd_admin_link(struct options *options)
{
	const char *email =
	    options->email != NULL ? options->email : "admin@localhost";
	char url[300], link[400];
	struct conf *conf;
	struct err err;
	int code = options_conf(options, &conf);

	if (code != EXIT_OK)
		return code;
	guess_url(conf, url, sizeof url);
	if (admin_link_make(conf, url, email, link, sizeof link, &err)) {
		printf("%s\n", link);
	} else {
		fprintf(stderr, "reeld: %s\n", err.msg);
		code = EXIT_FAILED;
	}
	conf_unref(conf);
	return code;
}

/* Does the file hold a key that the database still accepts? */
static bool
key_works(PGconn *conn, const char *path)
{
	char text[128] = "", hex[65];
	struct api_key key;
	struct err err;
	PGresult *result;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read(fd, text, sizeof text - 1) > 0;

	if (fd >= 0)
		close(fd);
	text[strcspn(text, "\r\n")] = '\0';
	if (!ok || !api_key_parse(text, &key))
		return false;
	{
		const char *values[] = {key.prefix};

		if (!admin_call(
			conn, STMT_API_KEY_FIND, 1, values, &result, &err))
			return false;
	}
	hex_encode(hex, key.hash, sizeof key.hash);
	ok = PQntuples(result) == 1 &&
	    strcmp(admin_text(result, "hash"), hex) == 0;
	PQclear(result);
	return ok;
}

bool
admin_worker_key(const struct conf *conf, const char *dir, struct err *err)
{
	char *path = xasprintf("%s/run/worker.key", dir);
	char key[API_KEY_LEN + 2];
	PGconn *conn = NULL;
	struct id id;
	bool made, ok = admin_open(conf, &conn, err);
	int fd;

	if (ok && !key_works(conn, path)) {
		ok = user_make(conn, "worker@localhost", "operator", "0", &id,
			 &made, err) &&
		    admin_api_key_make(conn, "worker@localhost", "demo worker",
			"worker", key, sizeof key, err);
		fd = ok
		    ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
		    : -1;
		if (ok &&
		    (fd < 0 ||
			write(fd, key, strlen(key)) != (ssize_t)strlen(key)))
			ok = err_set(
			    err, ERR_STORAGE, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		explicit_bzero(key, sizeof key);
	}
	PQfinish(conn);
	free(path);
	return ok;
}
