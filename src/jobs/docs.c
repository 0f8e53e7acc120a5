/*
 * docs.c - documents that many jobs have in common: a route's params and cost
 * rule.  Parsed, they are larger than all else that is known of a job, so
 * jobs with the same text share one.
 */
#include <stdlib.h>
#include <string.h>

#include "jobs/internal.h"
#include "reeld/json.h"

struct doc {
	UT_hash_handle hh; /* by text */
	struct json_object *json;
	int users;
	char text[];
};

struct doc *
doc_take(
    struct engine *engine, const struct pg_rows *rows, int row, const char *col)
{
	const char *text = pg_text(rows, row, col);
	struct doc *doc = NULL;
	size_t len;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	HASH_FIND(hh, engine->docs, text, len, doc);
	if (doc == NULL) {
		doc = xcalloc(1, sizeof *doc + len + 1);
		memcpy(doc->text, text, len + 1);
		doc->json = pg_json(rows, row, col);
		HASH_ADD_KEYPTR(hh, engine->docs, doc->text, len, doc);
	}
	doc->users++;
	return doc;
}

const struct json_object *
doc_json(const struct doc *doc)
{
	return doc != NULL ? doc->json : NULL;
}

void
doc_drop(struct engine *engine, struct doc **slot)
{
	struct doc *doc = *slot;

	*slot = NULL;
	if (doc == NULL || --doc->users > 0)
		return;
	HASH_DELETE(hh, engine->docs, doc);
	json_free(&doc->json);
	free(doc);
}
