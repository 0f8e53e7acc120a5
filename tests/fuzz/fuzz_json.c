/*
 * JSON documents under every set of flags: what was taken can be written and
 * read again, and is the same; then a field table over the document.
 */
#include "fuzz.h"
#include "reeld/id.h"
#include "reeld/json.h"

struct message {
	char *prompt;
	struct json_int seconds;
	struct json_num rate;
	struct json_bool audio;
	int mode;
	struct id image;
	struct json_object *extra, *list;
	struct json_texts tags;
};

static const char *const modes[] = {"t2v", "i2v", NULL};
static const struct json_field fields[] = {
    JTEXT(struct message, prompt, 1, 20, JREQ),
    JINT(struct message, seconds, 1, 60),
    JNUM(struct message, rate, 0.5, 2),
    JBOOL(struct message, audio),
    JENUM(struct message, mode, modes),
    JID(struct message, image, JAS("start_image")),
    JOBJ(struct message, extra),
    JARR(struct message, list, 4),
    JTEXTS(struct message, tags, 10, 3),
};

static void
read_fields(struct json_object *doc)
{
	struct message message;
	struct err err = {0};

	if (!json_read(doc, fields, nitems(fields), &message, &err)) {
		FUZZ_CHECK(err.code != ERR_OK);
		return;
	}
	FUZZ_CHECK(message.prompt != NULL &&
	    utf8_count(message.prompt, strlen(message.prompt)) <= 20);
	FUZZ_CHECK(!message.seconds.set ||
	    (message.seconds.v >= 1 && message.seconds.v <= 60));
	FUZZ_CHECK(!message.rate.set ||
	    (message.rate.v >= 0.5 && message.rate.v <= 2));
	FUZZ_CHECK(message.mode >= -1 && message.mode <= 1);
	FUZZ_CHECK(message.tags.n <= 3);
	json_read_free(fields, nitems(fields), &message);
}

static void
look_inside(const struct json_object *doc)
{
	int64_t number;
	double real;
	bool yes;

	if (json_int_at(doc, "seed", &number) &&
	    json_num_at(doc, "seed", &real))
		FUZZ_CHECK(real == (double)number);
	if (json_bool_at(doc, "images.0.nsfw", &yes))
		FUZZ_CHECK(json_text_at(doc, "images.0.nsfw") == NULL);
	(void)json_obj_at(doc, "a.0.b");
	(void)json_arr_at(doc, "images");
}

void
fuzz_one(struct fuzz_in *in)
{
	size_t len;
	void *data = fuzz_rest(in, &len);

	for (int flags = 0; flags <= (JSON_ANY_ROOT | JSON_FOREIGN); flags++) {
		struct json_object *doc = NULL, *again = NULL;
		struct err err = {0};
		char *text;

		if (!json_parse_flags(data, len, 1 << 20, flags, &doc, &err)) {
			FUZZ_CHECK(doc == NULL && err.code != ERR_OK);
			continue;
		}
		text = json_dump_text(doc);
		FUZZ_CHECK(utf8_valid(text, strlen(text)));
		FUZZ_CHECK(json_parse_flags(
		    text, strlen(text), 1 << 24, flags, &again, &err));
		FUZZ_CHECK(json_eq(doc, again));
		if (json_is_obj(doc))
			read_fields(doc);
		look_inside(doc);
		free(text);
		json_free(&again);
		json_free(&doc);
	}
	free(data);
}
