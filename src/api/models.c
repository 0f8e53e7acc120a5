/* models.c - GET /models, /models/default, /models/{slug}: from memory. */
#include <string.h>

#include "api/handlers.h"
#include "api/internal.h"

static bool
is_loaded(struct http_call *call)
{
	struct err err;

	if (catalogue_ready(api_app(call)->catalogue))
		return true;
	err_set_name(&err, ERR_UNAVAILABLE, "catalogue_loading",
	    "The models are not loaded yet.");
	err.retry_after_s = 1;
	http_reply_err(call, &err);
	return false;
}

static struct json_object *
show(const struct catalogue *cat, const struct catalogue_model *model)
{
	struct json_object *item = json_copy(model->shown);
	struct json_object *stats = catalogue_stats(cat, model->slug);

	json_set_obj(item, "stats", &stats);
	return item;
}

static bool
has_word(const struct json_object *words, const char *word)
{
	for (size_t i = 0; i < json_count(words); i++) {
		if (str_eq(json_text(json_item(words, i)), word))
			return true;
	}
	return false;
}

/* An unset filter fits everything; "true" and "false" are the only truths. */
static bool
bool_fits(const char *filter, bool value)
{
	return filter == NULL || strcmp(filter, value ? "true" : "false") == 0;
}

static bool
text_fits(const char *filter, const char *value)
{
	return filter == NULL || str_eq(filter, value);
}

static bool
fits(struct http_call *call, const struct catalogue_model *model)
{
	const struct json_object *shown = model->shown;
	const char *mode = http_query(call, "mode");
	const char *tag = http_query(call, "tag");

	return model->active &&
	    (mode == NULL || has_word(json_arr_at(shown, "modes"), mode)) &&
	    (tag == NULL || has_word(json_arr_at(shown, "tags"), tag)) &&
	    text_fits(http_query(call, "provider"),
		json_text_at(shown, "provider")) &&
	    text_fits(http_query(call, "category"), model->category) &&
	    bool_fits(http_query(call, "premium"), model->premium) &&
	    bool_fits(http_query(call, "available"), model->available);
}

void
api_models_list(struct http_call *call)
{
	struct catalogue *cat = api_app(call)->catalogue;
	const struct catalogue_model *models;
	struct json_object *reply, *data;
	const char *name, *value, *etag, *body;
	size_t n, len;

	if (!is_loaded(call))
		return;
	http_cache(call, "public, max-age=0, must-revalidate");
	if (!http_query_at(call, 0, &name, &value)) {
		body = catalogue_list_body(cat, &len, &etag);
		http_etag(call, etag);
		http_reply_bytes(call, 200, "application/json", body, len);
		return;
	}
	reply = json_new();
	data = json_new_arr();
	models = catalogue_list(cat, &n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item;

		if (!fits(call, &models[i]))
			continue;
		item = show(cat, &models[i]);
		json_add_obj(data, &item);
	}
	json_set_arr(reply, "data", &data);
	json_set_null(reply, "next_cursor");
	json_set_bool(reply, "has_more", false);
	http_reply_json(call, 200, &reply);
}

static void
reply_model(struct http_call *call, const struct catalogue_model *model)
{
	struct json_object *reply;

	if (model == NULL || !model->active) {
		api_refuse(call, ERR_NOT_FOUND, "unknown_model",
		    "There is no such model.");
		return;
	}
	reply = show(api_app(call)->catalogue, model);
	http_reply_json(call, 200, &reply);
}

void
api_models_default(struct http_call *call)
{
	if (is_loaded(call))
		reply_model(call, catalogue_default(api_app(call)->catalogue));
}

void
api_models_get(struct http_call *call)
{
	if (is_loaded(call))
		reply_model(call,
		    catalogue_model(
			api_app(call)->catalogue, http_arg(call, "slug")));
}
