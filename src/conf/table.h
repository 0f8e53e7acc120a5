/* table.h - the rows of the one table of settings, private to src/conf. */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include <stddef.h>

#include "reeld/conf.h"

enum setting_type {
	SET_TEXT,
	SET_SECRET,
	SET_CHOICE,   /* one of the words in `choices`, separated by | */
	SET_INT,      /* in [min, max] */
	SET_BOOL,     /* yes/no, true/false, on/off, 1/0 */
	SET_DURATION, /* "30s": milliseconds in [min, max] */
};

struct setting {
	const char *key;
	enum setting_type type;
	size_t offset; /* in struct conf, or in struct conf_provider */
	const char *value;
	int64_t min, max;
	const char *choices;
	const char *aliases; /* other environment names, separated by | */
	const char *help;
};

extern const struct setting conf_settings[];
extern const size_t conf_n_settings;
/* The same for each provider: keys are "base_url", "key", ... */
extern const struct setting conf_provider_settings[];
extern const size_t conf_n_provider_settings;
/* The providers that settings may name; key_env: the documents' own name. */
extern const struct conf_provider_name {
	const char *name, *key_env;
} conf_provider_names[];
extern const size_t conf_n_provider_names;

/* Where each value came from, for conf_print(). */
struct origin {
	char text[120];
};

struct conf_full {
	struct conf conf; /* first: a struct conf * is a struct conf_full * */
	int refs;
	struct origin *origins; /* settings, then providers row by row */
	char **owned;		/* the strings that conf points to */
	size_t n_owned;
};

/* Puts one value in place: parses it, checks its range, keeps a copy. */
bool conf_assign(struct conf_full *full, const struct setting *setting,
    void *base, size_t row, const char *value, const char *origin,
    struct err *err) REELD_MUST;
/* Finds "provider.fal.key" and the plain ones; NULL when unknown. */
const struct setting *
conf_find(struct conf_full *full, const char *key, void **base, size_t *row);
/* Reads key = value lines. */
bool conf_read_file(struct conf_full *full, const char *path, int depth,
    struct err *err) REELD_MUST;
bool conf_read_env(struct conf_full *full, struct err *err) REELD_MUST;

#endif
