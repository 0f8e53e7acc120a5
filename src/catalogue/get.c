/* get.c - looking into the snapshot. */
#include <stdlib.h>
#include <string.h>

#include "catalogue/internal.h"

const struct catalogue_model *
catalogue_model(const struct catalogue *cat, const char *slug)
{
	return cat->now != NULL ? snapshot_find(cat->now, slug) : NULL;
}

const struct catalogue_model *
catalogue_list(const struct catalogue *cat, size_t *n)
{
	*n = cat->now != NULL ? cat->now->n : 0;
	return cat->now != NULL ? cat->now->models : NULL;
}

const struct catalogue_model *
catalogue_default(const struct catalogue *cat)
{
	const struct catalogue_model *models, *found = NULL;
	size_t n;

	models = catalogue_list(cat, &n);
	for (size_t i = 0; i < n; i++) {
		if (!models[i].available)
			continue;
		if (models[i].is_default)
			return &models[i];
		if (found == NULL)
			found = &models[i];
	}
	return found;
}

const struct catalogue_route *
catalogue_pick_route(const struct catalogue_model *model)
{
	const struct catalogue_route *first = NULL, *route;
	uint32_t total = 0, draw;

	for (size_t i = 0; i < model->n_routes; i++) {
		route = &model->routes[i];
		if (!route->usable ||
		    (first != NULL && route->priority != first->priority))
			continue;
		if (first == NULL)
			first = route;
		total += (uint32_t)route->weight;
	}
	if (first == NULL || total == 0)
		return first;
	draw = random_below(total);
	for (route = first; route < model->routes + model->n_routes; route++) {
		if (!route->usable || route->priority != first->priority)
			continue;
		if (draw < (uint32_t)route->weight)
			return route;
		draw -= (uint32_t)route->weight;
	}
	return first;
}

struct json_object *
catalogue_stats(const struct catalogue *cat, const char *slug)
{
	if (cat->stats == NULL)
		return NULL;
	/* A slug may hold dots, which a path must not: walk. */
	for (struct json_iter it = json_iter(cat->stats); json_next(&it);) {
		if (strcmp(it.name, slug) == 0)
			return json_copy(it.value);
	}
	return NULL;
}

static void
list_make(struct catalogue *cat)
{
	struct json_object *doc = json_new(), *data = json_new_arr();
	const struct catalogue_model *models;
	char hex[65];
	size_t n;

	models = catalogue_list(cat, &n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item, *stats;

		if (!models[i].active)
			continue;
		item = json_copy(models[i].shown);
		stats = catalogue_stats(cat, models[i].slug);
		json_set_obj(item, "stats", &stats);
		json_add_obj(data, &item);
	}
	json_set_arr(doc, "data", &data);
	json_set_null(doc, "next_cursor");
	json_set_bool(doc, "has_more", false);
	cat->list = json_dump_text(doc);
	cat->list_len = strlen(cat->list);
	sha256_hex(cat->list, cat->list_len, hex);
	str_copy(cat->list_etag, sizeof cat->list_etag, hex);
	json_free(&doc);
}

const char *
catalogue_list_body(struct catalogue *cat, size_t *len, const char **etag)
{
	if (cat->list == NULL)
		list_make(cat);
	*len = cat->list_len;
	*etag = cat->list_etag;
	return cat->list;
}

/* Keys have no dots by convention, so a key is a path. */
static struct json_object *
config_at(const struct catalogue *cat, const char *key)
{
	return cat->now != NULL ? json_at(cat->now->config, key) : NULL;
}

int64_t
catalogue_config_int(
    const struct catalogue *cat, const char *key, int64_t fallback)
{
	int64_t v;

	return json_int(config_at(cat, key), &v) ? v : fallback;
}

double
catalogue_config_num(
    const struct catalogue *cat, const char *key, double fallback)
{
	double v;

	return json_num(config_at(cat, key), &v) ? v : fallback;
}

bool
catalogue_config_bool(
    const struct catalogue *cat, const char *key, bool fallback)
{
	bool v;

	return cat->now != NULL && json_bool_at(cat->now->config, key, &v)
	    ? v
	    : fallback;
}

const char *
catalogue_config_text(
    const struct catalogue *cat, const char *key, const char *fallback)
{
	const char *v = json_text(config_at(cat, key));

	return v != NULL ? v : fallback;
}

struct catalogue_snapshot *
catalogue_ref(struct catalogue *cat)
{
	if (cat->now != NULL)
		cat->now->refs++;
	return cat->now;
}
