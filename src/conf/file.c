/*
 * file.c - reads `key = value` lines: # comments, optional double quotes,
 * `include = path` one level deep.  Every complaint carries file:line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/table.h"

#define MAX_LINE 8192
#define MAX_FILE_LINES 10000

/* Levenshtein distance, for "did you mean". */
static size_t
distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= nitems(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t change = diagonal + (a[i] != b[j]);
			size_t best = row[j] + 1 < row[j + 1] + 1
			    ? row[j] + 1
			    : row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = change < best ? change : best;
		}
	}
	return row[n];
}

static const char *
nearest_key(const char *key)
{
	const char *best = NULL;
	size_t best_distance = 4, len = strlen(key);

	for (size_t i = 0; i < conf_n_settings; i++) {
		size_t other = strlen(conf_settings[i].key), d;

		/* So far apart are they at least. */
		if ((len > other ? len - other : other - len) >= best_distance)
			continue;
		d = distance(key, conf_settings[i].key);

		if (d < best_distance) {
			best_distance = d;
			best = conf_settings[i].key;
		}
	}
	return best;
}

static char *
trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

static bool
read_line(struct conf_full *full, const char *path, int line_no, char *line,
    int depth, struct err *err)
{
	char *key = trim(line), *equals, *value, origin[100];
	const struct setting *setting;
	void *base;
	size_t row, len;

	if (*key == '\0' || *key == '#')
		return true;
	equals = strchr(key, '=');
	if (equals == NULL)
		return err_set(err, ERR_BAD_INPUT,
		    "%s:%d: expected key = value", path, line_no);
	*equals = '\0';
	value = trim(equals + 1);
	key = trim(key);
	len = strlen(value);
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value[len - 1] = '\0';
		value++;
	}
	if (strcmp(key, "include") == 0) {
		if (depth > 0)
			return err_set(err, ERR_BAD_INPUT,
			    "%s:%d: an included file cannot include", path,
			    line_no);
		return conf_read_file(full, value, depth + 1, err);
	}
	setting = conf_find(full, key, &base, &row);
	if (setting == NULL) {
		const char *near = nearest_key(key);

		return err_set(err, ERR_BAD_INPUT,
		    near != NULL ? "%s:%d: unknown setting \"%.60s\", did you "
				   "mean %s?"
				 : "%s:%d: unknown setting \"%.60s\"",
		    path, line_no, key, near);
	}
	snprintf(origin, sizeof origin, "%.80s:%d", path, line_no);
	if (!conf_assign(full, setting, base, row, value, origin, err))
		return err_wrap(err, "%s:%d", path, line_no);
	return true;
}

bool
conf_read_file(
    struct conf_full *full, const char *path, int depth, struct err *err)
{
	FILE *file = fopen(path, "re");
	char *line = xmalloc(MAX_LINE);
	bool ok = true;

	if (file == NULL) {
		free(line);
		return err_set(
		    err, ERR_BAD_INPUT, "%s: %s", path, strerror(errno));
	}
	for (int n = 1; ok && fgets(line, MAX_LINE, file) != NULL; n++) {
		if (n > MAX_FILE_LINES ||
		    (strchr(line, '\n') == NULL && !feof(file)))
			ok = err_set(err, ERR_BAD_INPUT,
			    "%s:%d: line or file too long", path, n);
		else
			ok = read_line(full, path, n, line, depth, err);
	}
	if (ok && ferror(file))
		ok = err_set(err, ERR_BAD_INPUT, "%s: cannot be read", path);
	fclose(file);
	free(line);
	return ok;
}
