/*
 * accounts.c - the accounts at providers, in memory: rows with their keys
 * fetched from the configuration, the environment, a file, or opened from
 * what is stored.  Keys are wiped when the set is replaced.
 */
#define LOG_MODULE "catalogue"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalogue/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/seal.h"

enum { MAX_KEY = 4096, HINT = 4, HINT_MIN = 12 };

const char *
account_state_name(enum account_state state)
{
	static const char *const names[] = {"on", "paused", "broken"};

	return names[state];
}

const char *
circuit_state_name(enum circuit_state state)
{
	static const char *const names[] = {"closed", "open", "half_open"};

	return names[state];
}

bool
account_is_on(const struct catalogue_account *account)
{
	return account->state == ACCOUNT_ON ||
	    (account->state == ACCOUNT_PAUSED && account->paused_until_ms > 0 &&
		account->paused_until_ms <= clock_wall_ms());
}

void
account_hint(const char *key, char out[8])
{
	size_t len = strlen(key);

	out[0] = '\0';
	if (len < HINT_MIN)
		return;
	for (size_t i = len - HINT; i < len; i++)
		if (!isgraph((unsigned char)key[i]))
			return;
	memcpy(out, key + len - HINT, HINT + 1);
}

static const char *
keep(struct account_owned *owned, const char *text)
{
	if (text == NULL)
		return NULL;
	owned->text[owned->n_text] = xstrdup(text);
	return owned->text[owned->n_text++];
}

/* The file holds one line. */
static char *
read_key(const char *dir, const char *name, struct err *err)
{
	char text[MAX_KEY], *path, *key = NULL;
	ssize_t n = -1;
	int fd;

	if (dir == NULL || name[0] == '.' || strchr(name, '/') != NULL) {
		err_set(err, ERR_INVALID,
		    "key files are only read from secrets.key_dir");
		return NULL;
	}
	path = xasprintf("%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		n = read(fd, text, sizeof text - 1);
	if (n < 0) {
		err_set(err, ERR_STORAGE, "%s: %s", name, strerror(errno));
	} else {
		text[n] = '\0';
		text[strcspn(text, "\r\n")] = '\0';
		if (text[0] != '\0')
			key = xstrdup(text);
		else
			err_set(err, ERR_STORAGE, "%s is empty", name);
		explicit_bzero(text, sizeof text);
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return key;
}

static char *
find_key(const struct catalogue *cat, const char *ref, const char *id,
    const struct catalogue_settings *settings, struct err *err)
{
	const char *value;
	char *key = NULL;

	if (str_eq(ref, "conf"))
		return xstrdup(settings->key);
	if (str_starts(ref, "env:")) {
		value = getenv(ref + 4);
		if (value != NULL && value[0] != '\0')
			return xstrdup(value);
		err_set(err, ERR_UNAVAILABLE, "%s is not set", ref + 4);
	} else if (str_starts(ref, "file:")) {
		return read_key(cat->key_dir, ref + 5, err);
	} else if (str_starts(ref, "sealed:")) {
		if (cat->ring == NULL)
			err_set(err, ERR_UNAVAILABLE,
			    "it is stored, and there is no "
			    "secrets.master_key_file to open it");
		else if (unseal(cat->ring, ref + 7, id, &key, err))
			return key;
	}
	return NULL;
}

static const char *
source_of(const char *ref, const struct catalogue_settings *settings)
{
	return ref == NULL		 ? "none"
	    : str_eq(ref, "conf")	 ? settings->source
	    : str_starts(ref, "env:")	 ? "env"
	    : str_starts(ref, "file:")	 ? "file"
	    : str_starts(ref, "sealed:") ? "stored"
					 : "none";
}

static int
named(const char *word, const char *(*name)(int), int n)
{
	for (int i = 0; i < n; i++)
		if (str_eq(word, name(i)))
			return i;
	return 0;
}

static const char *
state_word(int i)
{
	return account_state_name((enum account_state)i);
}

static const char *
circuit_word(int i)
{
	return circuit_state_name((enum circuit_state)i);
}

static void
read_account(const struct catalogue *cat, const struct pg_rows *rows, int row,
    struct catalogue_account *out, struct account_owned *owned)
{
	const char *ref = pg_text(rows, row, "key_ref");
	const char *base = pg_text(rows, row, "base_url");
	struct catalogue_settings settings = {0};
	bool is_default, is_configured;
	char hint[8] = "";
	struct err err;

	if (!id_parse(pg_text(rows, row, "id"), &out->id))
		log_warn("msg=\"account without an id\"");
	out->provider = keep(owned, pg_text(rows, row, "provider"));
	out->label = keep(owned, pg_text(rows, row, "label"));
	out->title = keep(owned, pg_text(rows, row, "display_name"));
	out->provider_paused =
	    keep(owned, pg_text(rows, row, "provider_paused"));
	is_default = str_eq(out->label, "default");
	is_configured = cat->settings != NULL &&
	    cat->settings(cat->arg, out->provider, &settings);
	if (!is_configured || settings.key == NULL) {
		/* Another instance may have it. */
		if (str_eq(ref, "conf"))
			ref = NULL;
	} else if (is_default) {
		ref = "conf";
	}
	out->source = source_of(ref, &settings);
	if (ref != NULL) {
		owned->key = find_key(cat, ref, out->id.text, &settings, &err);
		if (owned->key == NULL) {
			out->problem = keep(owned, err.msg);
			log_warn("provider=%s account=%s msg=%s", out->provider,
			    log_text(out->label), log_text(err.msg));
		}
	}
	out->key = owned->key;
	if (out->key != NULL)
		account_hint(out->key, hint);
	out->hint = keep(owned, hint);
	/* Only the configured address may be a private one. */
	out->allow_private = base == NULL && settings.allow_private;
	out->base_url = keep(owned, base != NULL ? base : settings.base_url);
	out->hook_secret = keep(owned, settings.hook_secret);
	out->poll_ms = settings.poll_ms;
	out->concurrency = !pg_null(rows, row, "concurrency")
	    ? (int)pg_i64(rows, row, "concurrency")
	    : is_default ? settings.concurrency
			 : 0;
	out->rpm = !pg_null(rows, row, "rpm") ? (int)pg_i64(rows, row, "rpm")
	    : is_default		      ? settings.rpm
					      : 0;
	out->weight = (int)pg_i64(rows, row, "weight");
	out->state = (enum account_state)named(
	    pg_text(rows, row, "state"), state_word, ACCOUNT_BROKEN + 1);
	out->paused_until_ms = pg_i64(rows, row, "paused_until_ms");
	out->reason = keep(owned, pg_text(rows, row, "paused_reason"));
	out->circuit = (enum circuit_state)named(
	    pg_text(rows, row, "circuit"), circuit_word, CIRCUIT_HALF_OPEN + 1);
	out->failures = (int)pg_i64(rows, row, "failures");
}

struct account_set *
account_set_new(const struct catalogue *cat, const struct pg_rows *rows)
{
	struct account_set *self = xcalloc(1, sizeof *self);

	self->n = (size_t)pg_count(rows);
	self->accounts = xcalloc(self->n + 1, sizeof *self->accounts);
	self->owned = xcalloc(self->n + 1, sizeof *self->owned);
	for (size_t i = 0; i < self->n; i++)
		read_account(
		    cat, rows, (int)i, &self->accounts[i], &self->owned[i]);
	return self;
}

void
account_set_free(struct account_set *self)
{
	if (self == NULL)
		return;
	for (size_t i = 0; i < self->n; i++) {
		struct account_owned *owned = &self->owned[i];

		secret_free(owned->key);
		for (int t = 0; t < owned->n_text; t++)
			secret_free(owned->text[t]);
	}
	free(self->accounts);
	free(self->owned);
	free(self);
}

const struct catalogue_account *
catalogue_accounts(const struct catalogue *cat, const char *provider, size_t *n)
{
	const struct account_set *set = cat->accounts;
	size_t first = 0, end;

	*n = 0;
	if (set == NULL)
		return NULL;
	if (provider == NULL) {
		*n = set->n;
		return set->accounts;
	}
	while (first < set->n &&
	    strcmp(set->accounts[first].provider, provider) != 0)
		first++;
	for (end = first; end < set->n &&
	     strcmp(set->accounts[end].provider, provider) == 0;)
		end++;
	*n = end - first;
	return set->accounts + first;
}

const struct catalogue_account *
catalogue_account(const struct catalogue *cat, const char *id)
{
	size_t n;
	const struct catalogue_account *all = catalogue_accounts(cat, NULL, &n);

	for (size_t i = 0; i < n; i++)
		if (str_eq(all[i].id.text, id))
			return &all[i];
	return NULL;
}

bool
account_set_able(const struct catalogue *cat, const char *provider,
    bool *has_key, const char **detail)
{
	size_t n;
	const struct catalogue_account *a =
	    catalogue_accounts(cat, provider, &n);
	bool able = false;

	*has_key = false;
	*detail = "All its accounts are paused.";
	for (size_t i = 0; i < n; i++) {
		*has_key |= a[i].key != NULL;
		able |= account_is_on(&a[i]);
	}
	return able;
}

const char *
catalogue_waiting(const struct catalogue *cat, const char *provider,
    bool for_operator, char *out, size_t size)
{
	size_t n;
	const struct catalogue_account *a =
	    catalogue_accounts(cat, provider, &n);
	const char *why = NULL;
	bool open = false;

	if (n == 0)
		return NULL;
	for (size_t i = 0; i < n && a->provider_paused == NULL; i++) {
		if (account_is_on(&a[i]) && a[i].circuit != CIRCUIT_OPEN)
			return NULL;
		open |= account_is_on(&a[i]);
		if (why == NULL && !account_is_on(&a[i]))
			why = a[i].reason;
	}
	if (a->provider_paused != NULL)
		why = a->provider_paused;
	if (!for_operator)
		str_copy(out, size,
		    "The provider can't take new videos at the moment; yours "
		    "starts as soon as it can.");
	else if (open)
		snprintf(out, size,
		    "%s fails: its circuit is open, and it is tried again "
		    "soon.",
		    a->title);
	else
		snprintf(out, size, "%s%s %s paused%s%s",
		    a->provider_paused != NULL ? "" : "All accounts of ",
		    a->title, a->provider_paused != NULL ? "is" : "are",
		    why != NULL && why[0] != '\0' ? ": " : "",
		    why != NULL ? why : "");
	return out;
}
