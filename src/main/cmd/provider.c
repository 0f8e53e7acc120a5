/*
 * provider.c - reeld provider: list, test, add-account, pause, resume.  `test`
 * runs the same question as the server's, on a loop of its own.
 */
#define LOG_MODULE "admin"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main/cmd/admin.h"
#include "main/options.h"
#include "reeld/api.h"
#include "reeld/clock.h"
#include "reeld/fetch.h"
#include "reeld/jobs.h"
#include "reeld/log.h"
#include "reeld/mem.h"
#include "reeld/provider.h"
#include "reeld/seal.h"

enum { WAIT_MS = 20000, TICK_MS = 5, MAX_KEY = 2000 };

static int
list(const struct conf *conf)
{
	const struct provider *provider;

	printf("%-12s %-5s %s\n", "provider", "key", "address");
	for (size_t i = 0; (provider = provider_at(i)) != NULL; i++) {
		const struct conf_provider *settings =
		    conf_provider(conf, provider->name);

		printf("%-12s %-5s %s\n", provider->name,
		    provider->transport != PROVIDER_HTTP	       ? "-"
			: settings != NULL && settings->key[0] != '\0' ? "yes"
								       : "no",
		    settings != NULL && settings->base_url[0] != '\0'
			? settings->base_url
			: provider->base_url != NULL ? provider->base_url
						     : "");
	}
	return EXIT_OK;
}

static bool
load_ring(const struct conf *conf, struct seal_ring **out, struct err *err)
{
	*out = NULL;
	return conf->secrets.master_key_file[0] == '\0' ||
	    seal_ring_load(conf->secrets.master_key_file, out, err);
}

/* --- test ----------------------------------------------------------------- */

struct trial {
	struct app app;
	const char *provider, *label;
	struct loop_timer timer;
	struct account_check *check;
	int64_t until_ms;
	int code;
};

static void
give_up(struct trial *self, const char *why)
{
	fprintf(stderr, "reeld: %s\n", why);
	self->code = EXIT_FAILED;
	loop_stop(self->app.loop);
}

static void
on_checked(const struct provider_health *health, int64_t latency_ms, void *arg)
{
	struct trial *self = arg;

	printf("ok=%s reachable=%s key=%s latency_ms=%lld", pg_yes(health->ok),
	    pg_yes(health->reachable), provider_key_name(health->key),
	    (long long)latency_ms);
	if (health->has_balance)
		printf(" balance=\"%g %s\"", health->balance, health->unit);
	printf("\n%s\n", health->message);
	self->code = health->ok ? EXIT_OK : EXIT_FAILED;
	loop_stop(self->app.loop);
}

static void
try_it(void *arg)
{
	struct trial *self = arg;
	const struct catalogue_account *all;
	size_t n;

	if (!catalogue_ready(self->app.catalogue)) {
		if (clock_mono_ms() > self->until_ms)
			give_up(self, "the database does not answer");
		else
			timer_set_ms(&self->timer, TICK_MS);
		return;
	}
	all = catalogue_accounts(self->app.catalogue, self->provider, &n);
	for (size_t i = 0; i < n; i++) {
		if (self->label != NULL ? strcmp(all[i].label, self->label) != 0
					: all[i].key == NULL && i + 1 < n)
			continue;
		account_check_start(self->app.loop, self->app.fetch,
		    self->provider, &all[i], &self->check, on_checked, self);
		return;
	}
	give_up(self, "there is no such account");
}

static int
test(const struct conf *conf, const char *provider, const char *label)
{
	struct pg_opts pg = {.name = "provider",
	    .conninfo = conf->db.url,
	    .size = 1,
	    .max_waiting = 10,
	    .timeout_ms = conf->db.timeout_ms};
	struct fetch_opts fetch = {0};
	struct trial self = {.provider = provider,
	    .label = label,
	    .until_ms = clock_mono_ms() + WAIT_MS,
	    .code = EXIT_FAILED};
	struct catalogue_opts catalogue = {.provider_ready = api_provider_ready,
	    .known = api_provider_known,
	    .settings = api_provider_settings,
	    .arg = &self.app,
	    .key_dir = conf->secrets.key_dir};
	struct seal_ring *ring;
	struct err err;

	if (!load_ring(conf, &ring, &err) ||
	    !pg_conninfo_ok(conf->db.url, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		return EXIT_FAILED;
	}
	log_set_level(LOG_ERROR);
	self.app.conf = conf;
	self.app.loop = loop_new();
	self.app.pg_engine = catalogue.pg = pg_pool_new(self.app.loop, &pg);
	self.app.fetch = fetch_new(self.app.loop, &fetch);
	catalogue.ring = ring;
	self.app.catalogue = catalogue_new(self.app.loop, &catalogue);
	timer_init(&self.timer, self.app.loop, "test", try_it, &self);
	timer_set_ms(&self.timer, 0);
	loop_run(self.app.loop);
	account_check_cancel(&self.check);
	timer_fini(&self.timer);
	catalogue_free(self.app.catalogue);
	fetch_free(self.app.fetch);
	pg_pool_free(self.app.pg_engine);
	loop_free(self.app.loop);
	seal_ring_free(ring);
	return self.code;
}

/* --- changes -------------------------------------------------------------- */

/* One line of standard input. */
static bool
read_key(char key[MAX_KEY], struct err *err)
{
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "key: ");
	if (fgets(key, MAX_KEY, stdin) == NULL)
		return err_set(
		    err, ERR_BAD_INPUT, "give the key on standard input");
	key[strcspn(key, "\r\n")] = '\0';
	for (const char *c = key; *c != '\0'; c++)
		if (*c < 0x21 || *c > 0x7e)
			return err_set(err, ERR_BAD_INPUT,
			    "a key is printable ASCII without spaces");
	return key[0] != '\0' || err_set(err, ERR_BAD_INPUT, "no key");
}

static bool
add_account(PGconn *conn, const struct conf *conf, const char *provider,
    const char *label, struct err *err)
{
	struct id id = id_new();
	char key[MAX_KEY], hint[8], *sealed, *ref;
	struct seal_ring *ring;
	const char *values[10] = {id.text, NULL, provider, label};
	PGresult *result;
	bool ok;

	if (!load_ring(conf, &ring, err))
		return false;
	if (ring == NULL)
		return err_set(err, ERR_CONFLICT,
		    "keys can only be stored encrypted: set "
		    "secrets.master_key_file");
	if (!read_key(key, err)) {
		seal_ring_free(ring);
		return false;
	}
	account_hint(key, hint);
	sealed = seal(ring, key, id.text);
	explicit_bzero(key, sizeof key);
	ref = xasprintf("sealed:%s", sealed);
	values[4] = ref;
	values[5] = hint;
	ok = admin_call(conn, STMT_ACCOUNT_CREATE, 10, values, &result, err);
	if (ok) {
		const char *outcome = admin_text(result, "outcome");

		ok = strcmp(outcome, "created") == 0 ||
		    err_set(err, ERR_CONFLICT,
			strcmp(outcome, "taken") == 0
			    ? "there is an account of that label"
			    : "there is no such provider");
		if (ok)
			printf("%s\n", id.text);
		PQclear(result);
	}
	free(ref);
	free(sealed);
	seal_ring_free(ring);
	return ok;
}

static bool
account_id(PGconn *conn, const char *provider, const char *label, char out[64],
    struct err *err)
{
	const char *values[] = {provider, NULL};
	PGresult *result;
	bool found = false;

	if (!admin_call(conn, STMT_ADMIN_ACCOUNTS, 2, values, &result, err))
		return false;
	for (int i = 0; i < PQntuples(result) && !found; i++) {
		found =
		    strcmp(PQgetvalue(result, i, PQfnumber(result, "label")),
			label) == 0;
		if (found)
			str_copy(out, 64,
			    PQgetvalue(result, i, PQfnumber(result, "id")));
	}
	PQclear(result);
	return found || err_set(err, ERR_NOT_FOUND, "there is no such account");
}

static bool
switch_it(PGconn *conn, bool pause, const char *provider, const char *label,
    const char *reason, struct err *err)
{
	char id[64];
	const char *pause_provider[] = {provider, NULL, reason, NULL};
	const char *resume_provider[] = {provider, NULL};
	const char *pause_account[] = {id, "paused", NULL, reason, NULL};
	const char *resume_account[] = {id, NULL};
	PGresult *result;
	bool ok;

	if (label == NULL)
		ok = admin_call(conn,
		    pause ? STMT_PROVIDER_PAUSE : STMT_PROVIDER_RESUME,
		    pause ? 4 : 2, pause ? pause_provider : resume_provider,
		    &result, err);
	else
		ok = account_id(conn, provider, label, id, err) &&
		    admin_call(conn,
			pause ? STMT_ACCOUNT_PAUSE : STMT_ACCOUNT_RESUME,
			pause ? 5 : 2, pause ? pause_account : resume_account,
			&result, err);
	if (!ok)
		return false;
	ok = strcmp(admin_text(result, "outcome"), "ok") == 0 ||
	    err_set(err, ERR_NOT_FOUND, "there is no such provider");
	PQclear(result);
	return ok;
}

static int
change(const struct conf *conf, const struct options *options)
{
	const char *what = options->words[0], *provider = options->words[1];
	PGconn *conn = NULL;
	struct err err;
	bool ok;

	ok = admin_open(conf, &conn, &err);
	if (ok)
		ok = strcmp(what, "add-account") == 0
		    ? add_account(conn, conf, provider, options->account, &err)
		    : switch_it(conn, strcmp(what, "pause") == 0, provider,
			  options->account, options->reason, &err);
	if (conn != NULL)
		PQfinish(conn);
	if (!ok)
		fprintf(stderr, "reeld: %s\n", err.msg);
	return ok ? EXIT_OK : EXIT_FAILED;
}

int
cmd_provider(struct options *options)
{
	const char *what = options->n_words > 0 ? options->words[0] : "";
	bool lists = strcmp(what, "list") == 0;
	bool adds = strcmp(what, "add-account") == 0;
	bool tests = strcmp(what, "test") == 0;
	bool known = lists || adds || tests || strcmp(what, "pause") == 0 ||
	    strcmp(what, "resume") == 0;
	struct conf *conf;
	int code;

	if (!known || options->n_words != (lists ? 1 : 2) ||
	    (adds && options->account == NULL)) {
		fprintf(stderr,
		    "usage: reeld provider list\n"
		    "       reeld provider test NAME [--account LABEL]\n"
		    "       reeld provider add-account NAME --account LABEL "
		    "< key\n"
		    "       reeld provider pause|resume NAME "
		    "[--account LABEL] [--reason TEXT]\n");
		return EXIT_USAGE;
	}
	code = options_conf(options, &conf);
	if (code != EXIT_OK)
		return code;
	code = lists ? list(conf)
	    : tests  ? test(conf, options->words[1], options->account)
		     : change(conf, options);
	conf_unref(conf);
	return code;
}
