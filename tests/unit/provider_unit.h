/*
 * provider_unit.h - what the tests of the adapters share: stored replies in
 * tests/data/<provider>, a table of verdicts, and whole requests as text.
 */
#ifndef TESTS_PROVIDER_UNIT_H
#define TESTS_PROVIDER_UNIT_H

#include <stdlib.h>

#include "providers/internal.h"
#include "reeld/mem.h"
#include "reeld/spec.h"
#include "unit.h"

#define PREPARE PROVIDER_STEP_PREPARE
#define SUBMIT PROVIDER_STEP_SUBMIT
#define POLL PROVIDER_STEP_POLL
#define RESULT PROVIDER_STEP_RESULT
#define CANCEL PROVIDER_STEP_CANCEL
#define FIND PROVIDER_STEP_FIND
#define C(x) PROVIDER_CLASS_##x
#define S(x) PROVIDER_##x

struct want {
	enum provider_step step;
	int status;
	const char *fixture;
	enum provider_state state;
	enum provider_class class;
	const char *code;
	bool may_retry;
	enum provider_step next;
};

static inline void
fixture_read(const char *provider, const char *name, struct buf *out)
{
	const char *srcdir = getenv("srcdir");
	char *path = xasprintf("%s/tests/data/%s/%s",
	    srcdir != NULL ? srcdir : "..", provider, name);
	FILE *file = fopen(path, "r");
	char chunk[4096];
	size_t n;

	if (file == NULL)
		fail_msg("no %s", path);
	buf_init(out, 1 << 20);
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(out, chunk, n);
	fclose(file);
	free(path);
}

/* The verdict of one stored reply; the caller ends it. */
static inline struct provider_verdict
verdict_of(const struct provider *provider, const struct provider_job *job,
    enum provider_step step, int status, const char *fixture)
{
	struct fetch_reply reply = {.status = status, .sent = FETCH_ANSWERED};
	struct provider_verdict verdict;

	fixture_read(provider->name, fixture, &reply.body);
	provider_read(provider, step, job, &reply, NULL, &verdict);
	buf_fini(&reply.body);
	return verdict;
}

static inline struct provider_verdict
verdict_of_text(const struct provider *provider, const struct provider_job *job,
    enum provider_step step, int status, const char *text)
{
	struct fetch_reply reply = {.status = status, .sent = FETCH_ANSWERED};
	struct provider_verdict verdict;

	buf_init(&reply.body, 1 << 20);
	buf_puts(&reply.body, text);
	provider_read(provider, step, job, &reply, NULL, &verdict);
	buf_fini(&reply.body);
	return verdict;
}

static inline void
check_wants(const struct provider *provider, const struct provider_job *job,
    const struct want *wants, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct want *want = &wants[i];
		struct provider_verdict v = verdict_of(
		    provider, job, want->step, want->status, want->fixture);

		if (v.state != want->state || v.class != want->class ||
		    strcmp(v.code, want->code) != 0 ||
		    v.may_retry != want->may_retry || v.next != want->next)
			fail_msg("%s %d %s: %s %s %s retry %d next %d",
			    provider_step_name(want->step), want->status,
			    want->fixture, provider_state_name(v.state),
			    provider_class_name(v.class), v.code, v.may_retry,
			    (int)v.next);
		/* Users get our words, and nothing of the vendor's. */
		if (v.class != PROVIDER_CLASS_NONE)
			CHECK_STR(v.user_message,
			    want->step == SUBMIT && v.class == C(NOT_FOUND)
				? MODEL_GONE_MESSAGE
				: class_message(v.class));
		provider_verdict_fini(&v);
		provider_verdict_fini(&v);
	}
}

/* Every beginning of a reply: no crash, and no end of a paid job. */
static inline void
check_cut_off(const struct provider *provider, const struct provider_job *job,
    enum provider_step step, const char *fixture)
{
	struct buf whole;

	fixture_read(provider->name, fixture, &whole);
	while (whole.len > 0 && whole.data[whole.len - 1] == '\n')
		whole.data[--whole.len] = '\0';
	for (size_t len = 0; len < whole.len; len++) {
		struct fetch_reply reply = {
		    .status = 200, .sent = FETCH_ANSWERED};
		struct provider_verdict v;

		buf_init(&reply.body, 1 << 20);
		buf_add(&reply.body, whole.data, len);
		provider_read(provider, step, job, &reply, NULL, &v);
		if (v.state != PROVIDER_UNKNOWN)
			fail_msg("%s cut at %d: %s", fixture, (int)len,
			    provider_state_name(v.state));
		provider_verdict_fini(&v);
		buf_fini(&reply.body);
	}
	buf_fini(&whole);
}

/* "POST https://...\nName: value\n\nbody"; secret values begin with "!". */
static inline char *
request_text(const struct provider *provider, enum provider_step step,
    const struct provider_job *job)
{
	struct fetch_spec out;
	struct err err = {0};
	struct buf text;

	buf_init(&text, 1 << 20);
	if (!provider_build(provider, step, job, &out, &err)) {
		buf_printf(&text, "error %s", err_code_name(&err));
		return buf_take(&text, NULL);
	}
	buf_printf(&text, "%s %s\n", out.method, out.url);
	CHECK(out.trust == FETCH_PROVIDER);
	for (int i = 0; i < out.n_headers; i++)
		buf_printf(&text, "%s: %s%s\n", out.headers[i].name,
		    out.headers[i].secret ? "!" : "", out.headers[i].value);
	if (out.body != NULL) {
		buf_putc(&text, '\n');
		buf_add(&text, out.body, out.body_len);
	}
	fetch_spec_fini(&out);
	return buf_take(&text, NULL);
}

static inline void
check_request(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, const char *want)
{
	char *text = request_text(provider, step, job);

	CHECK_STR(text, want);
	free(text);
}

static inline struct json_object *
parse(const char *text)
{
	struct json_object *obj;
	struct err err = {0};

	if (!json_parse(text, strlen(text), 1 << 20, &obj, &err))
		fail_msg("%s in %s", err.msg, text);
	return obj;
}

#endif
