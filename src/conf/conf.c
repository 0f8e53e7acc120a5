/* conf.c - builds snapshots from their four sources, and prints them. */
#include "reeld/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/table.h"

static void
full_free(struct conf_full *full)
{
	for (size_t i = 0; i < full->n_owned; i++) {
		explicit_bzero(full->owned[i], strlen(full->owned[i]));
		free(full->owned[i]);
	}
	free(full->owned);
	free(full->origins);
	free(full);
}

/* The table's own defaults are always valid. */
static void
set_default(struct conf_full *full, const struct setting *setting, void *base,
    size_t row)
{
	struct err err;

	if (!conf_assign(
		full, setting, base, row, setting->value, "default", &err))
		abort();
}

static struct conf_full *
full_new(void)
{
	struct conf_full *full = xcalloc(1, sizeof *full);
	size_t rows =
	    conf_n_settings + conf_n_provider_names * conf_n_provider_settings;

	full->refs = 1;
	full->origins = xcalloc(rows, sizeof *full->origins);
	full->conf.n_providers = (int)conf_n_provider_names;
	for (size_t i = 0; i < conf_n_settings; i++)
		set_default(full, &conf_settings[i], &full->conf, i);
	for (size_t p = 0; p < conf_n_provider_names; p++) {
		full->conf.providers[p].name = conf_provider_names[p].name;
		for (size_t i = 0; i < conf_n_provider_settings; i++)
			set_default(full, &conf_provider_settings[i],
			    &full->conf.providers[p],
			    conf_n_settings + p * conf_n_provider_settings + i);
	}
	return full;
}

/* What no single value can tell. */
static bool
check_whole(const struct conf *conf, struct err *err)
{
	if (strcmp(conf->storage.backend, "s3") == 0 &&
	    (conf->s3.bucket[0] == '\0' || conf->s3.access_key[0] == '\0' ||
		conf->s3.secret_key[0] == '\0' ||
		(conf->s3.endpoint[0] == '\0' &&
		    conf->s3.account_id[0] == '\0')))
		return err_set(err, ERR_BAD_INPUT,
		    "storage.backend = s3 needs s3.bucket, s3.access_key, "
		    "s3.secret_key and s3.endpoint (or s3.account_id)");
	if (conf->http.public_url[0] != '\0' &&
	    !str_starts(conf->http.public_url, "http://") &&
	    !str_starts(conf->http.public_url, "https://"))
		return err_set(err, ERR_BAD_INPUT,
		    "http.public_url must begin with http:// or https://");
	if (str_ends(conf->http.public_url, "/"))
		return err_set(
		    err, ERR_BAD_INPUT, "http.public_url must not end with /");
	return true;
}

bool
conf_load(const char *path, const struct conf_flag *flags, int n_flags,
    struct conf **out, struct err *err)
{
	struct conf_full *full = full_new();
	const struct setting *setting;
	void *base;
	size_t row;

	if (path != NULL && !conf_read_file(full, path, 0, err))
		goto fail;
	if (!conf_read_env(full, err))
		goto fail;
	for (int i = 0; i < n_flags; i++) {
		setting = conf_find(full, flags[i].key, &base, &row);
		if (setting == NULL) {
			err_set(err, ERR_BAD_INPUT, "unknown setting --%.60s",
			    flags[i].key);
			goto fail;
		}
		if (!conf_assign(
			full, setting, base, row, flags[i].value, "flag", err))
			goto fail;
	}
	if (!check_whole(&full->conf, err))
		goto fail;
	*out = &full->conf;
	return true;
fail:
	full_free(full);
	return false;
}

const char *
conf_origin(const struct conf *conf, const char *key)
{
	struct conf_full *full = (struct conf_full *)conf;
	void *base;
	size_t row;

	return conf_find(full, key, &base, &row) != NULL
	    ? full->origins[row].text
	    : NULL;
}

struct conf *
conf_ref(struct conf *conf)
{
	((struct conf_full *)conf)->refs++;
	return conf;
}

void
conf_unref(struct conf *conf)
{
	if (conf != NULL && --((struct conf_full *)conf)->refs == 0)
		full_free((struct conf_full *)conf);
}

const struct conf_provider *
conf_provider(const struct conf *conf, const char *name)
{
	for (int i = 0; i < conf->n_providers; i++) {
		if (strcmp(conf->providers[i].name, name) == 0)
			return &conf->providers[i];
	}
	return NULL;
}

static void
print_value(const struct setting *setting, const void *base, struct buf *out)
{
	const char *at = (const char *)base + setting->offset;
	const char *text;

	switch (setting->type) {
	case SET_SECRET:
		text = *(const char *const *)(const void *)at;
		buf_puts(out, text[0] != '\0' ? "***" : "\"\"");
		break;
	case SET_TEXT:
	case SET_CHOICE:
		text = *(const char *const *)(const void *)at;
		buf_printf(out, text[0] != '\0' ? "%s" : "\"%s\"", text);
		break;
	case SET_INT:
		buf_printf(
		    out, "%lld", (long long)*(const int64_t *)(const void *)at);
		break;
	case SET_DURATION:
		buf_printf(out, "%lldms",
		    (long long)*(const int64_t *)(const void *)at);
		break;
	case SET_BOOL:
		buf_puts(out, *(const bool *)(const void *)at ? "yes" : "no");
		break;
	}
}

void
conf_print(const struct conf *conf, struct buf *out)
{
	const struct conf_full *full = (const struct conf_full *)conf;

	for (size_t i = 0; i < conf_n_settings; i++) {
		buf_printf(out, "%s = ", conf_settings[i].key);
		print_value(&conf_settings[i], conf, out);
		buf_printf(out, "  # %s\n", full->origins[i].text);
	}
	for (int p = 0; p < conf->n_providers; p++) {
		for (size_t i = 0; i < conf_n_provider_settings; i++) {
			size_t row = conf_n_settings +
			    (size_t)p * conf_n_provider_settings + i;

			buf_printf(out,
			    "provider.%s.%s = ", conf->providers[p].name,
			    conf_provider_settings[i].key);
			print_value(&conf_provider_settings[i],
			    &conf->providers[p], out);
			buf_printf(out, "  # %s\n", full->origins[row].text);
		}
	}
}

void
conf_print_sample(struct buf *out)
{
	buf_puts(out,
	    "# reeld.conf - every setting with its default.  The environment\n"
	    "# (REELD_HTTP_LISTEN for http.listen) and flags win over this\n"
	    "# file.  Secrets may also come from a file: REELD_..._FILE.\n");
	for (size_t i = 0; i < conf_n_settings; i++)
		buf_printf(out, "\n# %s\n#%s = %s\n", conf_settings[i].help,
		    conf_settings[i].key,
		    conf_settings[i].value[0] != '\0' ? conf_settings[i].value
						      : "\"\"");
	buf_puts(out, "\n# For each provider (");
	for (size_t p = 0; p < conf_n_provider_names; p++)
		buf_printf(out, "%s%s", p > 0 ? ", " : "",
		    conf_provider_names[p].name);
	buf_puts(out, "):\n");
	for (size_t i = 0; i < conf_n_provider_settings; i++)
		buf_printf(out, "# %s\n#provider.fal.%s = %s\n",
		    conf_provider_settings[i].help,
		    conf_provider_settings[i].key,
		    conf_provider_settings[i].value[0] != '\0'
			? conf_provider_settings[i].value
			: "\"\"");
}

static bool
holds_secret(const struct conf_full *full, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < conf_n_settings; i++) {
		if (conf_settings[i].type == SET_SECRET &&
		    strncmp(full->origins[i].text, path, len) == 0)
			return true;
	}
	return false;
}

void
conf_warnings(const struct conf *conf, const char *path, struct buf *out)
{
	struct stat st;

	if (path != NULL && stat(path, &st) == 0 && (st.st_mode & 044) != 0 &&
	    holds_secret((const struct conf_full *)conf, path))
		buf_printf(out,
		    "%s holds secrets and can be read by others: chmod 600\n",
		    path);
	if (conf->http.public_url[0] == '\0' &&
	    !str_starts(conf->http.listen, "127.") &&
	    !str_starts(conf->http.listen, "localhost") &&
	    !str_starts(conf->http.listen, "[::1]"))
		buf_puts(out,
		    "http.public_url is not set: sign-in links, cookies and "
		    "webhooks assume http://localhost\n");
}
