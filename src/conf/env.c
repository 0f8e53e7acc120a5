/*
 * env.c - settings from the environment: REELD_HTTP_LISTEN for http.listen,
 * REELD_PROVIDER_FAL_KEY for provider.fal.key, ..._FILE for any secret, and
 * the names that the tools around us already use (DATABASE_URL, FAL_KEY).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/table.h"

static void
env_name(const char *key, const char *prefix, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "REELD_%s", prefix);

	for (; *key != '\0' && n + 1 < size; key++)
		out[n++] =
		    *key == '.' ? '_' : (char)toupper((unsigned char)*key);
	out[n] = '\0';
}

/* A secret's file: one line, at most 4 KiB. */
static bool
read_secret(const char *path, char *out, size_t size, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_set(
		    err, ERR_BAD_INPUT, "%s: %s", path, strerror(errno));
	n = read(fd, out, size - 1);
	close(fd);
	if (n < 0)
		return err_set(err, ERR_BAD_INPUT, "%s: cannot be read", path);
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return true;
}

static bool
try_name(struct conf_full *full, const struct setting *setting, void *base,
    size_t row, const char *name, bool *found, struct err *err)
{
	char file_name[160], secret[4096], origin[120];
	const char *value = getenv(name), *path;

	snprintf(origin, sizeof origin, "env %.100s", name);
	if (value != NULL && *value != '\0') {
		*found = true;
		if (!conf_assign(full, setting, base, row, value, origin, err))
			return err_wrap(err, "%s", name);
		return true;
	}
	if (setting->type != SET_SECRET)
		return true;
	snprintf(file_name, sizeof file_name, "%s_FILE", name);
	path = getenv(file_name);
	if (path == NULL || *path == '\0')
		return true;
	*found = true;
	if (!read_secret(path, secret, sizeof secret, err) ||
	    !conf_assign(full, setting, base, row, secret, path, err))
		return err_wrap(err, "%s", file_name);
	explicit_bzero(secret, sizeof secret);
	return true;
}

/* Our own name wins over the aliases. */
static bool
try_setting(struct conf_full *full, const struct setting *setting, void *base,
    size_t row, const char *prefix, const char *aliases, struct err *err)
{
	char name[128];
	bool found = false;

	env_name(setting->key, prefix, name, sizeof name);
	if (!try_name(full, setting, base, row, name, &found, err))
		return false;
	while (!found && aliases != NULL && *aliases != '\0') {
		size_t len = strcspn(aliases, "|");

		snprintf(name, sizeof name, "%.*s", (int)len, aliases);
		if (!try_name(full, setting, base, row, name, &found, err))
			return false;
		aliases += len + (aliases[len] == '|');
	}
	return true;
}

bool
conf_read_env(struct conf_full *full, struct err *err)
{
	for (size_t i = 0; i < conf_n_settings; i++) {
		if (!try_setting(full, &conf_settings[i], &full->conf, i, "",
			conf_settings[i].aliases, err))
			return false;
	}
	for (int p = 0; p < full->conf.n_providers; p++) {
		struct conf_provider *provider = &full->conf.providers[p];
		char prefix[64];

		snprintf(prefix, sizeof prefix, "PROVIDER_%s_", provider->name);
		for (char *c = prefix; *c != '\0'; c++)
			*c = (char)toupper((unsigned char)*c);
		for (size_t i = 0; i < conf_n_provider_settings; i++) {
			const struct setting *setting =
			    &conf_provider_settings[i];
			size_t row = conf_n_settings +
			    (size_t)p * conf_n_provider_settings + i;

			if (!try_setting(full, setting, provider, row, prefix,
				strcmp(setting->key, "key") == 0
				    ? conf_provider_names[p].key_env
				    : NULL,
				err))
				return false;
		}
	}
	return true;
}
