/* A stored or requested specification: read, written, the same again. */
#include "fuzz.h"
#include "reeld/json.h"
#include "reeld/spec.h"

void
fuzz_one(struct fuzz_in *in)
{
	size_t len;
	void *data = fuzz_rest(in, &len);
	struct json_object *doc = NULL, *first, *second, *shown;
	struct gen_spec spec, copy, again;
	struct err err = {0};

	if (!json_parse(data, len, 1 << 20, &doc, &err))
		goto out;
	if (!spec_from_json(doc, &spec, &err)) {
		FUZZ_CHECK(err.code != ERR_OK);
		goto out;
	}
	spec_copy(&copy, &spec);
	first = spec_to_json(&spec);
	FUZZ_CHECK(spec_from_json(first, &again, &err));
	second = spec_to_json(&copy);
	FUZZ_CHECK(json_eq(first, second));
	json_free(&second);
	second = spec_to_json(&again);
	FUZZ_CHECK(json_eq(first, second));
	shown = spec_public(&spec);
	json_free(&first);
	json_free(&second);
	json_free(&shown);
	spec_fini(&again);
	spec_fini(&copy);
	spec_fini(&spec);
out:
	json_free(&doc);
	free(data);
}
