/* Prompt enhancement: the request, every kind of answer, what is taken. */
#include "provider_unit.h"

#include "reeld/chat.h"

static const struct chat_settings settings = {
    .base_url = "https://chat.example/v1/",
    .key = "sk-1",
    .model = "small-1",
    .system_prompt = "Say it better.",
    .timeout_ms = 20000,
    .max_tokens = 300,
};

static char *
request(const struct chat_settings *to, const struct chat_ask *ask)
{
	struct fetch_spec out;
	struct err err = {0};
	struct buf text;

	buf_init(&text, 1 << 20);
	if (!chat_build(to, ask, &out, &err)) {
		buf_puts(&text, err_code_name(&err));
		return buf_take(&text, NULL);
	}
	CHECK(out.trust == FETCH_PROVIDER);
	CHECK_INT(out.timeout_ms, ==, to->timeout_ms);
	buf_printf(&text, "%s %s\n", out.method, out.url);
	for (int i = 0; i < out.n_headers; i++)
		buf_printf(&text, "%s: %s%s\n", out.headers[i].name,
		    out.headers[i].secret ? "!" : "", out.headers[i].value);
	buf_putc(&text, '\n');
	buf_add(&text, out.body, out.body_len);
	fetch_spec_fini(&out);
	return buf_take(&text, NULL);
}

TEST(the_request)
{
	struct chat_ask ask = {.prompt = "a \"boat\"\nin rain"};
	struct chat_settings local = settings;
	char *text = request(&settings, &ask);

	CHECK_STR(text,
	    "POST https://chat.example/v1/chat/completions\n"
	    "Accept: application/json\n"
	    "Authorization: !Bearer sk-1\n"
	    "Content-Type: application/json\n\n"
	    "{\"model\":\"small-1\",\"messages\":["
	    "{\"role\":\"system\",\"content\":\"Say it better.\"},"
	    "{\"role\":\"user\",\"content\":"
	    "\"The idea:\\na \\\"boat\\\"\\nin rain\"}],"
	    "\"max_tokens\":300,\"temperature\":0.7,\"stream\":false}");
	free(text);

	/* A server of one's own: no key; our own words for each kind. */
	local.key = local.system_prompt = "";
	ask.negative_prompt = "fog";
	text = request(&local, &ask);
	CHECK(strstr(text, "Authorization") == NULL);
	CHECK(strstr(text, "how the camera moves") != NULL);
	CHECK(strstr(text, "at most 200 words") != NULL);
	CHECK(strstr(text, "Must not be seen:\\nfog") != NULL);
	free(text);
	ask.image = true;
	text = request(&local, &ask);
	CHECK(strstr(text, "AI image generator") != NULL);
	CHECK(strstr(text, "camera moves") == NULL);
	free(text);

	local.model = "";
	CHECK(!chat_is_set(&local));
	CHECK(!chat_is_set(NULL));
	text = request(&local, &ask);
	CHECK_STR(text, "no_enhancer");
	free(text);
}

#define MESSAGE(content) \
	"{\"choices\":[{\"message\":{\"content\":" content "}}]}"

static const struct {
	int status;
	const char *body, *text, *error;
} answers[] = {
    {200, MESSAGE("\"A boat.\""), "A boat.", NULL},
    {200, MESSAGE("\"  A\\n\\n boat.\\u0000\\u0007\\u202e \\t\""), "A boat.",
	NULL},
    {200, MESSAGE("\"\\\"A boat.\\\"\""), "A boat.", NULL},
    {200, MESSAGE("\"\\\"A\\\" and \\\"b\\\"\""), "\"A\" and \"b\"", NULL},
    {200,
	MESSAGE("[{\"type\":\"text\",\"text\":\"A \"},{\"type\":\"image\"},"
		"{\"type\":\"text\",\"text\":\"boat.\"}]"),
	"A boat.", NULL},
    {200, MESSAGE("\"<think>hm <b></think>A boat.\""), "A boat.", NULL},
    {200, MESSAGE("\"hm</think> A boat.\""), "A boat.", NULL},
    {200, MESSAGE("\"A.<think>x</think> B.<think>y</think>\""), "A. B.", NULL},
    {200, MESSAGE("\"<think>for ever and ever\""), NULL, "empty"},
    {200, MESSAGE("\"\""), NULL, "empty"},
    {200, MESSAGE("\" \\\"...\\\" \""), NULL, "empty"},
    {200, MESSAGE("null"), NULL, "empty"},
    {200, MESSAGE("7"), NULL, "empty"},
    {200,
	"{\"choices\":[{\"message\":{\"content\":\"No.\",\"refusal\":"
	"\"I can't\"}}]}",
	NULL, "refused"},
    {200,
	"{\"choices\":[{\"message\":{\"content\":\"A boat.\"},"
	"\"finish_reason\":\"content_filter\"}]}",
	NULL, "refused"},
    {200,
	"{\"choices\":[{\"message\":{\"content\":"
	"\"A boat glides by. It rains. The cam\"},"
	"\"finish_reason\":\"length\"}]}",
	"A boat glides by. It rains.", NULL},
    {200,
	"{\"choices\":[{\"message\":{\"content\":"
	"\"Hi. A boat that glides by in neon rain and\"},"
	"\"finish_reason\":\"length\"}]}",
	"Hi. A boat that glides by in neon rain and", NULL},
    {200, "{\"choices\":[]}", NULL, "unreadable"},
    {200, "{}", NULL, "unreadable"},
    {200, "[1]", NULL, "unreadable"},
    {200, "<html>", NULL, "unreadable"},
    {200, "{\"choices\":[{\"message\":{\"content\":\"A b", NULL, "unreadable"},
    {401, "{\"error\":{\"message\":\"bad key\"}}", NULL, "http_401"},
    {429, "", NULL, "http_429"},
    {500, "<html>", NULL, "http_500"},
    {302, MESSAGE("\"A boat.\""), NULL, "http_302"},
};

static char *
answer(int status, const char *body, int64_t max, struct err *err)
{
	struct fetch_reply reply = {.status = status, .sent = FETCH_ANSWERED};
	char *text;

	buf_init(&reply.body, 1 << 20);
	buf_puts(&reply.body, body);
	text = chat_read(&reply, NULL, max, err);
	buf_fini(&reply.body);
	return text;
}

TEST(every_answer)
{
	struct fetch_reply none = {0};
	struct err err, gone = {0};

	for (size_t i = 0; i < nitems(answers); i++) {
		char *text;

		memset(&err, 0, sizeof err);
		text = answer(answers[i].status, answers[i].body, 4000, &err);
		if (!str_eq(text, answers[i].text))
			fail_msg("%s: %s", answers[i].body,
			    text != NULL ? text : "none");
		if (text == NULL)
			CHECK_STR(err.name, answers[i].error);
		free(text);
	}
	err_set_name(&gone, ERR_TIMEOUT, "timeout", "20 s are over");
	CHECK(chat_read(&none, &gone, 4000, &err) == NULL);
	CHECK_STR(err.name, "timeout");
	CHECK_STR(err.msg, "20 s are over");
}

static void
tidy(const char *text, int words, int64_t chars, const char *want)
{
	char *got = chat_tidy(text, words, chars);

	CHECK_STR(got, want);
	free(got);
}

TEST(what_is_cut)
{
	struct buf many;
	struct err err;
	char *text;
	int blanks = 0;

	tidy("", 9, 9, "");
	tidy("one two three", 2, 99, "one two");
	tidy("one two three", 3, 99, "one two three");
	tidy("one two three", 9, 13, "one two three");
	tidy("one two three", 9, 12, "one two");
	tidy("one two three", 9, 7, "one two");
	tidy("one two", 9, 3, "one");
	tidy("overlong", 9, 4, "over");
	/* UTF-16 units: an astral character counts twice. */
	tidy("\U0001f6a4\U0001f6a4\U0001f6a4", 9, 4, "\U0001f6a4\U0001f6a4");
	tidy("\u8239\u3000\u96e8", 9, 9, "\u8239 \u96e8");
	tidy("a\xc2\x85"
	     "b\u200fc\ufeff\u2066"
	     "d\x7f",
	    9, 9, "a bcd");

	buf_init(&many, 1 << 16);
	buf_puts(&many, "{\"choices\":[{\"message\":{\"content\":\"w");
	for (int i = 0; i < 999; i++)
		buf_puts(&many, " w");
	buf_puts(&many, "\"}}]}");
	text = answer(200, buf_str(&many), 4000, &err);
	for (const char *p = text; *p != '\0'; p++)
		blanks += *p == ' ';
	CHECK_INT(blanks, ==, CHAT_MAX_WORDS - 1);
	free(text);
	text = answer(200, buf_str(&many), 9, &err);
	CHECK_STR(text, "w w w w w");
	free(text);
	buf_fini(&many);
}

/* Every beginning of an answer: text or a reason, never a crash. */
TEST(cut_off)
{
	const char *whole = answers[1].body;

	for (size_t len = 0; len < strlen(whole); len++) {
		char *part = xstrndup(whole, len), *text;
		struct err err = {0};

		text = answer(200, part, 4000, &err);
		CHECK(text == NULL && err.name[0] != '\0');
		free(part);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_request),
	    cmocka_unit_test(every_answer),
	    cmocka_unit_test(what_is_cut),
	    cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
