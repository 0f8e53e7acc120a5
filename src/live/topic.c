/* topic.c - the grammar of topic names. */
#include <stdio.h>
#include <string.h>

#include "live/internal.h"

static const struct {
	const char *prefix;
	enum live_kind kind;
} kinds[] = {
    {"user:", LIVE_USER},
    {"generation:", LIVE_GENERATION},
    {"project:", LIVE_PROJECT},
    {"comparison:", LIVE_COMPARISON},
    {"admin:", LIVE_ADMIN},
};

static bool
admin_ok(const char *key)
{
	return str_eq(key, "queue") || str_eq(key, "workers") ||
	    str_eq(key, "alerts");
}

static bool
slug_ok(const char *key)
{
	size_t len = strlen(key);

	return len > 0 && len < sizeof((struct live_topic *)0)->key &&
	    strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
	    key[0] != '-';
}

static bool
key_read(const char *key, const char *me, struct live_topic *out)
{
	struct id id;

	switch (out->kind) {
	case LIVE_USER:
		if (str_eq(key, "me"))
			key = me != NULL ? me : "";
		/* FALLTHROUGH */
	case LIVE_GENERATION:
	case LIVE_PROJECT:
		return id_parse(key, &id) &&
		    str_copy(out->key, sizeof out->key, id.text);
	case LIVE_COMPARISON:
		return slug_ok(key) && str_copy(out->key, sizeof out->key, key);
	case LIVE_ADMIN:
		return admin_ok(key) &&
		    str_copy(out->key, sizeof out->key, key);
	default:
		return false;
	}
}

bool
live_topic_parse(
    const char *text, const char *me, struct live_topic *out, struct err *err)
{
	memset(out, 0, sizeof *out);
	if (str_eq(text, "arena")) {
		out->kind = LIVE_ARENA;
		return str_copy(out->name, sizeof out->name, text);
	}
	for (size_t i = 0; text != NULL && i < nitems(kinds); i++) {
		if (!str_starts(text, kinds[i].prefix))
			continue;
		out->kind = kinds[i].kind;
		if (!key_read(text + strlen(kinds[i].prefix), me, out))
			break;
		snprintf(out->name, sizeof out->name, "%s%s", kinds[i].prefix,
		    out->key);
		return true;
	}
	return err_set_field(err, ERR_BAD_INPUT, "bad_topic", "#/topic",
	    "There is no such topic.");
}
