/* options.c - reads the command line; settings are flags too. */
#include "main/options.h"

#include <stdio.h>
#include <string.h>

#include "reeld/log.h"

/* Short names for the settings that people type. */
static const struct {
	const char *flag, *key;
} shorthands[] = {
    {"listen", "http.listen"},
    {"public-url", "http.public_url"},
    {"dir", "standalone.dir"},
    {"log-level", "log.level"},
    {"sql-dir", "sql.dir"},
    {"www-dir", "www.dir"},
    {"media-helper", "media.helper"},
    {"database-url", "db.url"},
    {"redis-url", "redis.url"},
};

static bool
take_flag(
    struct options *out, const char *name, const char *value, struct err *err)
{
	const struct {
		const char *name, **at;
	} plain[] = {
	    {"port-file", &out->port_file},
	    {"user", &out->user},
	    {"name", &out->name},
	    {"scopes", &out->scopes},
	    {"role", &out->role},
	    {"email", &out->email},
	    {"credits", &out->credits},
	    {"output", &out->output},
	    {"account", &out->account},
	    {"reason", &out->reason},
	    {"config", &out->conf_path},
	};

	for (size_t i = 0; i < nitems(plain); i++) {
		if (strcmp(name, plain[i].name) == 0) {
			*plain[i].at = value;
			return true;
		}
	}
	for (size_t i = 0; i < nitems(shorthands); i++) {
		if (strcmp(name, shorthands[i].flag) == 0)
			name = shorthands[i].key;
	}
	if (strchr(name, '.') == NULL)
		return err_set(
		    err, ERR_BAD_INPUT, "unknown flag --%.60s", name);
	if (out->n_flags == MAX_FLAGS)
		return err_set(err, ERR_BAD_INPUT, "too many flags");
	options_set(out, name, value);
	return true;
}

void
options_set(struct options *options, const char *key, const char *value)
{
	if (options->n_flags == MAX_FLAGS)
		return;
	options->flags[options->n_flags].key = key;
	options->flags[options->n_flags++].value = value;
}

bool
options_parse(int argc, char **argv, struct options *out, struct err *err)
{
	for (int i = 0; i < argc; i++) {
		char *arg = argv[i], *equals;

		if (strcmp(arg, "-c") == 0)
			arg = (char *)"--config";
		if (strcmp(arg, "-v") == 0) {
			options_set(out, "log.level", "debug");
			continue;
		}
		if (strcmp(arg, "--demo") == 0) {
			out->demo = true;
			continue;
		}
		if (strcmp(arg, "--once") == 0) {
			out->once = true;
			continue;
		}
		if (strncmp(arg, "--", 2) != 0) {
			if (arg[0] == '-')
				return err_set(err, ERR_BAD_INPUT,
				    "unknown flag %.60s", arg);
			if (out->n_words == MAX_WORDS)
				return err_set(err, ERR_BAD_INPUT,
				    "too many words at \"%.60s\"", arg);
			out->words[out->n_words++] = arg;
			continue;
		}
		equals = strchr(arg, '=');
		if (equals != NULL) {
			*equals = '\0';
			if (!take_flag(out, arg + 2, equals + 1, err))
				return false;
		} else if (i + 1 == argc) {
			return err_set(
			    err, ERR_BAD_INPUT, "%.60s needs a value", arg);
		} else if (!take_flag(out, arg + 2, argv[++i], err)) {
			return false;
		}
	}
	return true;
}

int
options_conf(const struct options *options, struct conf **out)
{
	struct buf warnings;
	enum log_level level;
	struct err err;

	if (!conf_load(options->conf_path, options->flags, options->n_flags,
		out, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		return EXIT_CONFIG;
	}
	if (log_level_parse((*out)->log.level, &level))
		log_set_level(level);
	buf_init(&warnings, 4096);
	conf_warnings(*out, options->conf_path, &warnings);
	if (warnings.len > 0)
		fprintf(stderr, "reeld: %s", buf_str(&warnings));
	buf_fini(&warnings);
	return EXIT_OK;
}
