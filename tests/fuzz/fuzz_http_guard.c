/* A request's head, cut in place as libmicrohttpd does it. */
#include "fuzz.h"
#include "http/internal.h"

enum { MAX_FIELDS = MAX_HEADERS + 1 };

/* "name:  value" to a field whose strings stay where they are. */
static void
cut_field(char *line, size_t len, struct guard_field *out)
{
	char *colon = memchr(line, ':', len), *value;

	if (colon == NULL)
		colon = line + len;
	out->name = line;
	out->name_len = colon - line;
	value = colon;
	if (value < line + len)
		*value++ = '\0';
	while (value < line + len && (*value == ' ' || *value == '\t'))
		value++;
	out->value = value;
	out->value_len = line + len - value;
}

void
fuzz_one(struct fuzz_in *in)
{
	struct guard_field fields[MAX_FIELDS];
	struct guard_head head = {.fields = fields};
	struct guard_result result;
	struct err err = {0};
	size_t len, at = 0, end;
	char *bytes = fuzz_rest(in, &len), *memory = xmalloc(len + 5);
	char *method = memory, *target, *version;
	bool ok;

	/* The head ends where its memory ends: four NULs for two CRLFs. */
	memcpy(memory, bytes, len);
	memset(memory + len, 0, 5);
	free(bytes);
	for (end = 0; end < len && memory[end] != '\n'; end++)
		;
	memory[end] = '\0';
	if (end > 0 && memory[end - 1] == '\r')
		memory[end - 1] = '\0';
	target = strchr(method, ' ');
	if (target == NULL)
		goto out;
	*target++ = '\0';
	version = strrchr(target, ' ');
	if (version == NULL)
		goto out;
	*version++ = '\0';
	head.method = method;
	head.target = target;
	head.target_len = strlen(target);
	head.version = version;
	for (at = end + 1; at < len && head.n_fields < MAX_FIELDS;
	     at = end + 1) {
		for (end = at; end < len && memory[end] != '\n'; end++)
			;
		if (end > at && memory[end - 1] == '\r') {
			memory[end - 1] = memory[end] = '\0';
			cut_field(memory + at, end - 1 - at,
			    &fields[head.n_fields++]);
		} else if (end > at) {
			memory[end] = '\0';
			cut_field(
			    memory + at, end - at, &fields[head.n_fields++]);
		}
	}
	ok = guard_check(&head, &result, &err);
	FUZZ_CHECK(ok || err.code != ERR_OK);
	if (ok) {
		FUZZ_CHECK(head.target[0] == '/');
		FUZZ_CHECK(head.n_fields <= MAX_HEADERS);
		FUZZ_CHECK(result.chunked == (result.length == -1));
		FUZZ_CHECK(
		    result.has_body == (result.chunked || result.length > 0));
	}
	(void)guard_tiled(method, target, head.target_len, version, fields,
	    head.n_fields, len + 4);
out:
	free(memory);
}
