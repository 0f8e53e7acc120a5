/*
 * enhance.c - POST /prompts/enhance: a rough idea as a prompt for a video or
 * image model, before anything is ordered.  Free, so each user has so many a
 * day.  Whatever the language model's server does, the answer is 200 with a
 * prompt that can be used: its own words, or the user's.
 */
#define LOG_MODULE "api"
#include <stdlib.h>
#include <string.h>

#include "api/enhance.h"
#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/capability.h"
#include "reeld/conf.h"
#include "reeld/fetch.h"
#include "reeld/log.h"

enum { MAX_PROMPT = 20000, NO_MODEL_MAX_CHARS = 2000 };

struct improve {
	struct http_call *call;
	struct fetch_call *fetch;
	char *prompt, *negative_prompt, *model;
	int content_type;
	int64_t max_chars;
};

static const char *const content_types[] = {"video", "image", NULL};
static const struct json_field fields[] = {
    JTEXT(struct improve, prompt, 1, MAX_PROMPT, JREQ),
    JTEXT(struct improve, negative_prompt, 0, MAX_PROMPT),
    JTEXT(struct improve, model, 1, 100),
    JENUM(struct improve, content_type, content_types),
};

struct chat_settings
api_chat_settings(const struct conf *conf)
{
	return (struct chat_settings){.base_url = conf->enhance.base_url,
	    .key = conf->enhance.key,
	    .model = conf->enhance.model,
	    .system_prompt = conf->enhance.system_prompt,
	    .allow_private = conf->enhance.allow_private,
	    .timeout_ms = conf->enhance.timeout_ms,
	    .max_tokens = conf->enhance.max_tokens};
}

bool
api_can_enhance(const struct app *app)
{
	struct chat_settings settings = api_chat_settings(app->conf);

	return chat_is_set(&settings);
}

static void
improve_free(void *arg)
{
	struct improve *self = arg;

	fetch_cancel(&self->fetch);
	json_read_free(fields, nitems(fields), self);
	free(self);
}

/* text NULL: the user's own. */
static void
reply(struct improve *self, const char *text)
{
	struct http_call *call = self->call;
	struct json_object *obj = json_new();
	const char *by = api_app(call)->conf->enhance.model;

	json_set_text(obj, "prompt", self->prompt);
	json_set_text(
	    obj, "enhanced_prompt", text != NULL ? text : self->prompt);
	json_set_bool(
	    obj, "changed", text != NULL && strcmp(text, self->prompt) != 0);
	json_set_bool(obj, "fallback", text == NULL);
	json_set_text(obj, "model", self->model);
	json_set_text(obj, "enhanced_by", text != NULL ? by : NULL);
	http_on_gone(call, NULL, NULL);
	improve_free(self);
	http_cache(call, "private, no-store");
	http_reply_json(call, 200, &obj);
}

static void
fall_back(struct improve *self, const struct err *why)
{
	log_warn("error=%s msg=%s", log_text(err_code_name(why)),
	    log_text(why->msg));
	reply(self, NULL);
}

static void
on_answer(const struct fetch_reply *answer, const struct err *err, void *arg)
{
	struct improve *self = arg;
	struct err why = {0};
	char *text = chat_read(answer, err, self->max_chars, &why);

	if (text == NULL) {
		fall_back(self, &why);
		return;
	}
	reply(self, text);
	free(text);
}

static void
on_taken(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct improve *self = arg;
	struct app *app = api_app(call);
	struct chat_settings settings = api_chat_settings(app->conf);
	struct chat_ask ask = {.prompt = self->prompt,
	    .negative_prompt = self->negative_prompt,
	    .image = self->content_type == 1};
	struct fetch_spec spec;
	struct err err;

	if (!str_eq(pg_text(rows, 0, "outcome"), "taken")) {
		err_set_name(&err, ERR_LIMIT, "enhance_limit",
		    "You have improved %lld prompts today; go on tomorrow.",
		    (long long)app->conf->enhance.per_day);
		err.retry_after_s = (int)pg_i64(rows, 0, "retry_after_s");
		improve_free(self);
		http_reply_err(call, &err);
		return;
	}
	if (!chat_build(&settings, &ask, &spec, &err)) {
		fall_back(self, &err); /* switched off a moment ago */
		return;
	}
	http_on_gone(call, improve_free, self);
	fetch_start(app->fetch, &spec, &self->fetch, on_answer, self);
}

/* What the target model takes; false: it is not known. */
static bool
find_limit(
    struct catalogue *cat, const char *slug, int64_t *max, struct err *err)
{
	const struct catalogue_model *model;
	struct json_object *caps;

	*max = NO_MODEL_MAX_CHARS;
	if (slug == NULL)
		return true;
	model = catalogue_model(cat, slug);
	if (model == NULL)
		return err_set_field(err, ERR_INVALID, "unknown_model",
		    "#/model", "There is no model \"%.100s\".", slug);
	caps = capability_public(model->capabilities);
	if (!json_int_at(caps, "max_prompt", max))
		*max = NO_MODEL_MAX_CHARS;
	json_free(&caps);
	return true;
}

static bool
check(struct app *app, struct improve *self, struct err *err)
{
	if (!api_can_enhance(app))
		return err_set_name(err, ERR_UNAVAILABLE, "enhance_off",
		    "Prompt enhancement is not set up on this server.");
	if (self->prompt[strspn(self->prompt, " \t\r\n")] == '\0')
		return err_set_field(err, ERR_INVALID, "prompt_missing",
		    "#/prompt", "Write a few words first.");
	return find_limit(app->catalogue, self->model, &self->max_chars, err);
}

void
api_prompts_enhance(struct http_call *call)
{
	struct app *app = api_app(call);
	struct improve *self = xcalloc(1, sizeof *self);
	struct err err;

	if (!json_read(http_json(call), fields, nitems(fields), self, &err)) {
		free(self);
		http_reply_err(call, &err);
		return;
	}
	self->call = call;
	if (!check(app, self, &err)) {
		improve_free(self);
		http_reply_err(call, &err);
		return;
	}
	api_query(call, app->pg_engine, STMT_ENHANCE_TAKE,
	    PG_ARGS(api_me(call)->user, pg_num(app->conf->enhance.per_day)),
	    on_taken, self, improve_free);
}
