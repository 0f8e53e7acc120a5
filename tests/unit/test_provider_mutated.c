/*
 * Every stored reply of every provider, with each of its values replaced in
 * turn by something of another kind, read at every step with several HTTP
 * statuses: no crash, and the promises the engine relies on.
 */
#include <dirent.h>

#include "provider_unit.h"

static const char *const variants[] = {"null", "{}", "[]", "[null,1,\"x\"]",
    "true", "-1", "1e300", "99999999999999999999", "\"\"", "\"../../x?a=b#c\"",
    "\"http://169.254.169.254/latest\"",
    "{\"url\":{\"url\":[]},\"code\":\"\"}"};

/* Writes value, its target-th part replaced by text; counts the parts. */
static void
write_changed(const struct json_object *value, int *count, int target,
    const char *text, struct buf *out)
{
	struct json_iter it = json_iter(value);
	bool first = true;

	if ((*count)++ == target) {
		buf_puts(out, text);
		return;
	}
	if (json_is_obj(value)) {
		buf_putc(out, '{');
		while (json_next(&it)) {
			buf_printf(out, "%s\"%s\":", first ? "" : ",", it.name);
			write_changed(it.value, count, target, text, out);
			first = false;
		}
		buf_putc(out, '}');
	} else if (json_is_arr(value)) {
		buf_putc(out, '[');
		for (size_t i = 0; i < json_count(value); i++) {
			if (i > 0)
				buf_putc(out, ',');
			write_changed(
			    json_item(value, i), count, target, text, out);
		}
		buf_putc(out, ']');
	} else if (value == NULL)
		buf_puts(out, "null");
	else
		json_dump(value, out);
}

static void
check_read(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, int status, const struct buf *body)
{
	struct fetch_reply reply = {
	    .status = status, .sent = FETCH_ANSWERED, .body = *body};
	struct provider_verdict v;

	provider_read(provider, step, job, &reply, NULL, &v);
	if (step == SUBMIT && (v.state == S(QUEUED) || v.state == S(RUNNING)) &&
	    (v.provider_id == NULL || v.provider_id[0] == '\0'))
		fail_msg("%s: accepted without an id: %s", provider->name,
		    buf_str(body));
	/* An error of theirs never ends a paid job by being an error. */
	if (step == POLL && status == 500 &&
	    (v.state == S(FAILED) || v.state == S(DONE)))
		fail_msg("%s: a poll's 500 ends the job: %s", provider->name,
		    buf_str(body));
	if (step == SUBMIT && status == 500 && v.state != S(UNKNOWN))
		fail_msg("%s: a submit's 500 is taken for an answer: %s",
		    provider->name, buf_str(body));
	if ((v.state == S(FAILED) || v.state == S(REFUSED)) &&
	    (v.class == C(NONE) || v.code[0] == '\0' ||
		v.user_message[0] == '\0'))
		fail_msg("%s: an end without a reason: %s", provider->name,
		    buf_str(body));
	CHECK_INT(v.progress, >=, -1);
	CHECK_INT(v.progress, <=, 100);
	CHECK_INT(v.queue_position, >=, -1);
	CHECK_INT(v.retry_after_s, >=, 0);
	CHECK_INT(v.retry_after_s, <=, 600);
	CHECK_INT(v.cost_micro_usd, >=, -1);
	CHECK(utf8_valid(v.provider_message, strlen(v.provider_message)));
	provider_verdict_fini(&v);
}

static int
check_document(const struct provider *provider, const struct provider_job *job,
    const struct json_object *doc)
{
	static const int statuses[] = {200, 500};
	int parts = 0, reads = 0;
	struct buf body;

	buf_init(&body, 1 << 20);
	write_changed(doc, &parts, -1, "", &body);
	for (int target = 0; target < parts; target++) {
		for (size_t k = 0; k < nitems(variants); k++) {
			int count = 0;

			buf_reset(&body);
			write_changed(doc, &count, target, variants[k], &body);
			for (int step = PREPARE; step <= FIND; step++) {
				if (!provider_has_step(
					provider, (enum provider_step)step))
					continue;
				for (size_t s = 0; s < nitems(statuses); s++) {
					check_read(provider,
					    (enum provider_step)step, job,
					    statuses[s], &body);
					reads++;
				}
			}
		}
	}
	buf_fini(&body);
	return reads;
}

static int
check_provider(const struct provider *provider, const char *endpoint)
{
	const char *srcdir = getenv("srcdir");
	char *path = xasprintf(
	    "%s/tests/data/%s", srcdir != NULL ? srcdir : "..", provider->name);
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct gen_spec spec;
	struct provider_job job = {.spec = &spec,
	    .endpoint = endpoint,
	    .base_url = provider->base_url != NULL ? NULL : "https://gw.test",
	    .key = "k:s",
	    .nonce = "n1",
	    .provider_id = "p-1",
	    .now_ms = 1700000000000};
	int reads = 0;

	if (dir == NULL)
		fail_msg("no %s", path);
	spec_init(&spec);
	while ((entry = readdir(dir)) != NULL) {
		struct json_object *doc;
		struct buf text;

		if (!str_ends(entry->d_name, ".json"))
			continue;
		fixture_read(provider->name, entry->d_name, &text);
		/* Half documents are whole ones' business elsewhere. */
		if (json_parse_flags(text.data, text.len, text.len,
			JSON_FOREIGN | JSON_ANY_ROOT, &doc, NULL)) {
			reads += check_document(provider, &job, doc);
			json_free(&doc);
		}
		buf_fini(&text);
	}
	closedir(dir);
	free(path);
	return reads;
}

TEST(every_value_of_every_reply)
{
	/* Where the endpoint decides which API is read. */
	static const struct {
		const char *name, *endpoint;
	} more[] = {{"google", "gemini-omni-1.1-flash"},
	    {"edenai", "v2/amazon/amazon.nova-reel-v1:0"},
	    {"modelslab", "v6/text2video_ultra/wan2.2"},
	    {"kling", "kling-3.0"}};

	for (size_t i = 0; provider_at(i) != NULL; i++) {
		const struct provider *provider = provider_at(i);

		if (provider->transport == PROVIDER_HTTP)
			CHECK_INT(
			    check_provider(provider, "kling-v2-6"), >, 1000);
	}
	for (size_t i = 0; i < nitems(more); i++)
		CHECK_INT(check_provider(
			      provider_by_name(more[i].name), more[i].endpoint),
		    >, 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_value_of_every_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
