/* assign.c - one value: parsed, checked, copied into the snapshot. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/table.h"

static bool
parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < nitems(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0)
			return *out = true, true;
		if (strcasecmp(text, no[i]) == 0)
			return *out = false, true;
	}
	return false;
}

/* "250ms", "30s", "15m", "2h", "7d"; a bare number is refused: of what? */
static bool
parse_duration(const char *text, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000},
	    {"d", 86400000}};
	size_t digits = strspn(text, "0123456789");
	char number[24];
	int64_t n;

	if (digits == 0 || digits >= sizeof number)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!str_to_i64(number, 0, INT64_MAX, &n))
		return false;
	for (size_t i = 0; i < nitems(units); i++) {
		if (strcmp(text + digits, units[i].unit) == 0)
			return !__builtin_mul_overflow(n, units[i].ms, ms);
	}
	return false;
}

static bool
is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);

	for (const char *p = choices; p != NULL; p = strchr(p, '|')) {
		if (*p == '|')
			p++;
		if (strncmp(p, value, len) == 0 && len > 0 &&
		    (p[len] == '|' || p[len] == '\0'))
			return true;
	}
	return false;
}

static const char *
keep(struct conf_full *full, const char *value)
{
	full->owned =
	    xrealloc(full->owned, (full->n_owned + 1) * sizeof *full->owned);
	return full->owned[full->n_owned++] = xstrdup(value);
}

bool
conf_assign(struct conf_full *full, const struct setting *setting, void *base,
    size_t row, const char *value, const char *origin, struct err *err)
{
	char *at = (char *)base + setting->offset;
	int64_t n;
	bool yes;

	switch (setting->type) {
	case SET_TEXT:
	case SET_SECRET:
		if (!utf8_valid(value, strlen(value)) || strlen(value) > 4096)
			return err_set(err, ERR_BAD_INPUT,
			    "%s: not text, or over 4096 bytes", setting->key);
		*(const char **)(void *)at = keep(full, value);
		break;
	case SET_CHOICE:
		if (!is_choice(setting->choices, value))
			return err_set(err, ERR_BAD_INPUT,
			    "%s: \"%.40s\" is none of %s", setting->key, value,
			    setting->choices);
		*(const char **)(void *)at = keep(full, value);
		break;
	case SET_INT:
		if (!str_to_i64(value, setting->min, setting->max, &n))
			return err_set(err, ERR_BAD_INPUT,
			    "%s: \"%.40s\" is not a number from %lld to %lld",
			    setting->key, value, (long long)setting->min,
			    (long long)setting->max);
		*(int64_t *)(void *)at = n;
		break;
	case SET_DURATION:
		if (!parse_duration(value, &n) || n < setting->min ||
		    n > setting->max)
			return err_set(err, ERR_BAD_INPUT,
			    "%s: \"%.40s\" is not a time such as 30s or 5m "
			    "from %lldms to %lldms",
			    setting->key, value, (long long)setting->min,
			    (long long)setting->max);
		*(int64_t *)(void *)at = n;
		break;
	case SET_BOOL:
		if (!parse_bool(value, &yes))
			return err_set(err, ERR_BAD_INPUT,
			    "%s: \"%.40s\" is neither yes nor no", setting->key,
			    value);
		*(bool *)(void *)at = yes;
		break;
	}
	str_copy(
	    full->origins[row].text, sizeof full->origins[row].text, origin);
	return true;
}

const struct setting *
conf_find(struct conf_full *full, const char *key, void **base, size_t *row)
{
	for (size_t i = 0; i < conf_n_settings; i++) {
		if (strcmp(key, conf_settings[i].key) == 0) {
			*base = &full->conf;
			*row = i;
			return &conf_settings[i];
		}
	}
	if (!str_starts(key, "provider."))
		return NULL;
	key += strlen("provider.");
	for (int p = 0; p < full->conf.n_providers; p++) {
		struct conf_provider *provider = &full->conf.providers[p];
		size_t len = strlen(provider->name);

		if (strncmp(key, provider->name, len) != 0 || key[len] != '.')
			continue;
		for (size_t i = 0; i < conf_n_provider_settings; i++) {
			if (strcmp(key + len + 1,
				conf_provider_settings[i].key) != 0)
				continue;
			*base = provider;
			*row = conf_n_settings +
			    (size_t)p * conf_n_provider_settings + i;
			return &conf_provider_settings[i];
		}
	}
	return NULL;
}
