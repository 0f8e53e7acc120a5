/* shown.c - a model as the API shows it. */
#include "catalogue/internal.h"
#include "reeld/capability.h"

static void
set_text(struct json_object *obj, const char *name, const struct pg_rows *rows,
    int row)
{
	json_set_text(obj, name, pg_text(rows, row, name));
}

/* The route that would be taken now, or would be if it could. */
static const struct catalogue_route *
first_route(const struct catalogue_model *model)
{
	for (size_t i = 0; i < model->n_routes; i++) {
		if (model->routes[i].usable)
			return &model->routes[i];
	}
	return model->n_routes > 0 ? &model->routes[0] : NULL;
}

void
model_show(struct catalogue_model *model, struct entry *entry,
    const struct pg_rows *rows, int row)
{
	const struct catalogue_route *route = first_route(model);
	struct json_object *shown = json_new(), *caps, *tags;
	const struct json_object *modes;

	entry->shown = shown;
	set_text(shown, "slug", rows, row);
	set_text(shown, "name", rows, row);
	set_text(shown, "description", rows, row);
	set_text(shown, "version", rows, row);
	set_text(shown, "family", rows, row);
	json_set_text(
	    shown, "provider", route != NULL ? route->provider : NULL);
	json_set_text(shown, "provider_name",
	    route != NULL ? route->provider_title : NULL);
	set_text(shown, "category", rows, row);
	tags = pg_json(rows, row, "tags");
	json_set_arr(shown, "tags", &tags);
	modes = json_arr_at(model->capabilities, "modes");
	json_set_copy(shown, "modes", modes);
	caps = capability_public(model->capabilities);
	json_set_obj(shown, "capabilities", &caps);
	json_set_bool(shown, "premium", model->premium);
	json_set_bool(shown, "default", model->is_default);
	json_set_bool(shown, "deprecated", model->deprecated);
	json_set_bool(shown, "experimental", model->experimental);
	set_text(shown, "replacement", rows, row);
	json_set_time_ms(shown, "sunset_at", pg_i64(rows, row, "sunset_ms"));
	json_set_bool(shown, "available", model->available);
	json_set_text(shown, "unavailable_reason", model->unavailable_reason);
	if (model->from_credits >= 0)
		json_set_int(shown, "from_credits", model->from_credits);
	else
		json_set_null(shown, "from_credits");
	model->shown = shown;
	model->slug = json_text_at(shown, "slug");
	model->name = json_text_at(shown, "name");
	model->description = json_text_at(shown, "description");
	model->category = json_text_at(shown, "category");
	model->replacement = json_text_at(shown, "replacement");
}
