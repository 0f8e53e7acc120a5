/*
 * One word of somebody else's: Redis URLs, API keys, tokens, ids, slugs,
 * addresses for the host guard.
 */
#include <strings.h>

#include "fetch/guard.h"
#include "fuzz.h"
#include "redis/internal.h"
#include "reeld/id.h"
#include "reeld/slug.h"
#include "reeld/token.h"

static void
redis_url(const char *text)
{
	struct redis_url url;
	struct err err = {0};

	if (redis_url_parse(text, &url, &err)) {
		FUZZ_CHECK((url.path != NULL) != (url.host != NULL));
		FUZZ_CHECK(
		    url.host == NULL || (url.port > 0 && url.port <= 65535));
		FUZZ_CHECK(url.db >= 0);
		redis_url_fini(&url);
	} else {
		FUZZ_CHECK(err.code != ERR_OK);
	}
}

static void
secrets(const char *text)
{
	struct api_key key;
	struct id id;
	uint8_t hash[32];

	if (api_key_parse(text, &key)) {
		FUZZ_CHECK(strcmp(key.text, text) == 0);
		FUZZ_CHECK(str_starts(text, key.prefix));
	}
	if (token_hash(text, hash))
		FUZZ_CHECK(strlen(text) == TOKEN_LEN);
	if (id_parse(text, &id))
		FUZZ_CHECK(strcasecmp(id.text, text) == 0);
}

static void
guards(const char *text)
{
	struct guard guard;
	struct err err = {0};

	(void)guard_text_ok(NULL, text);
	if (guard_init(&guard, text, &err)) {
		/* a list only ever takes away */
		FUZZ_CHECK(!guard_text_ok(&guard, "127.0.0.1"));
		FUZZ_CHECK(!guard_text_ok(&guard, "::ffff:10.1.2.3"));
		guard_fini(&guard);
	} else {
		FUZZ_CHECK(err.code != ERR_OK);
	}
}

static void
slugs(const char *text)
{
	char slug[SLUG_MAX + 1], cut[8];

	slug_make(text, "untitled", slug, sizeof slug);
	FUZZ_CHECK(slug_valid(slug));
	slug_make(text, "x", cut, sizeof cut);
	FUZZ_CHECK(slug_valid(cut));
}

void
fuzz_one(struct fuzz_in *in)
{
	char *text = fuzz_text(in);

	redis_url(text);
	secrets(text);
	guards(text);
	slugs(text);
	free(text);
}
