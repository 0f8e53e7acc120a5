/*
 * load.c - rows into a snapshot.  Decides here, once, which routes can be
 * used and which models are available, and why not.
 */
#define LOG_MODULE "catalogue"
#include <stdlib.h>
#include <string.h>

#include "catalogue/internal.h"
#include "reeld/capability.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "reeld/price.h"

static unsigned
name_row(const char *text)
{
	unsigned h = 5381;

	for (; *text != '\0'; text++)
		h = h * 33 + (unsigned char)*text;
	return h % NAME_ROWS;
}

static void
name_add(struct catalogue_snapshot *snapshot, const char *text, size_t model)
{
	struct name **row = &snapshot->names[name_row(text)];
	struct name *name = xcalloc(1, sizeof *name);

	name->text = xstrdup(text);
	name->model = model;
	name->next = *row;
	*row = name;
}

const struct catalogue_model *
snapshot_find(const struct catalogue_snapshot *snapshot, const char *name)
{
	const struct name *at = snapshot->names[name_row(name)];

	while (at != NULL && strcmp(at->text, name) != 0)
		at = at->next;
	return at != NULL ? &snapshot->models[at->model] : NULL;
}

/* Keeps a message in the document that the route borrows from. */
static void
route_refuse(struct catalogue_route *route, struct json_object *doc,
    const char *reason, const char *detail)
{
	json_set_text(doc, "reason", reason);
	json_set_text(doc, "detail", detail);
	route->reason = json_text_at(doc, "reason");
	route->detail = json_text_at(doc, "detail");
	route->usable = false;
}

static bool
is_past(const struct json_object *doc, const char *name)
{
	int64_t ms;

	return json_int_at(doc, name, &ms) && ms <= clock_wall_ms();
}

static void
read_route(const struct catalogue *cat, struct json_object *doc,
    struct catalogue_route *out)
{
	const char *state = json_text_at(doc, "provider_state");
	const char *why = json_text_at(doc, "paused_reason");
	const char *detail;
	bool has_key, able;
	int64_t n;
	struct err err;

	if (!id_parse(json_text_at(doc, "id"), &out->id))
		log_warn("msg=\"route without an id\"");
	out->provider = json_text_at(doc, "provider");
	out->provider_title = json_text_at(doc, "provider_name");
	out->endpoint = json_text_at(doc, "endpoint");
	out->priority = json_int_at(doc, "priority", &n) ? (int)n : 100;
	out->weight = json_int_at(doc, "weight", &n) ? (int)n : 1;
	out->usable = true;
	able = account_set_able(cat, out->provider, &has_key, &detail);
	if (!cat->provider_ready(cat->arg, out->provider, has_key, &err))
		route_refuse(out, doc, err_code_name(&err), err.msg);
	else if (is_past(doc, "sunset_ms"))
		route_refuse(out, doc, "sunset", "Its provider ended it.");
	else if (!str_eq(state, "on") && !is_past(doc, "paused_until_ms"))
		route_refuse(out, doc, "paused",
		    why != NULL && why[0] != '\0' ? why
						  : "Its provider is paused.");
	else if (!able)
		route_refuse(out, doc, "paused", detail);
}

static void
read_routes(const struct catalogue *cat, struct catalogue_model *model,
    struct entry *entry)
{
	model->n_routes = json_count(entry->routes_doc);
	entry->routes = xcalloc(model->n_routes + 1, sizeof *entry->routes);
	for (size_t i = 0; i < model->n_routes; i++)
		read_route(
		    cat, json_item(entry->routes_doc, i), &entry->routes[i]);
	model->routes = entry->routes;
}

/* The model's own plan comes before the one for every model. */
static void
read_plan(struct catalogue_model *model, struct entry *entry, const char *slug)
{
	for (size_t i = 0; i < json_count(entry->plans_doc); i++) {
		struct json_object *plan = json_item(entry->plans_doc, i);
		int64_t version;
		struct err err;

		if (!str_eq(json_text_at(plan, "user_group"), "*"))
			continue;
		model->rule = json_obj_at(plan, "rule");
		if (!price_rule_check(model->rule, &err)) {
			log_error(
			    "model=%s pointer=%s msg=\"bad price rule: %s\"",
			    slug, err.pointer, err.msg);
			model->rule = NULL;
			return;
		}
		if (id_parse(json_text_at(plan, "id"), &model->plan) &&
		    json_int_at(plan, "version", &version))
			model->plan_version = (int)version;
		return;
	}
}

/* NULL: nothing is wrong. */
static const char *
why_not(const struct catalogue_model *model, const struct pg_rows *rows,
    int row, const char *slug)
{
	int64_t sunset_ms = pg_i64(rows, row, "sunset_ms");
	struct err err;

	if (!model->active)
		return "It is not offered.";
	if (sunset_ms > 0 && sunset_ms <= clock_wall_ms())
		return "It was retired.";
	if (!capability_document_check(model->capabilities, &err)) {
		log_error("model=%s pointer=%s msg=\"bad capabilities: %s\"",
		    slug, err.pointer, err.msg);
		return "Its description is not valid.";
	}
	if (model->rule == NULL)
		return "It has no price.";
	if (model->n_routes == 0)
		return "No provider offers it.";
	for (size_t i = 0; i < model->n_routes; i++) {
		if (model->routes[i].usable)
			return NULL;
	}
	return model->routes[0].detail;
}

static void
read_model(const struct catalogue *cat, const struct pg_rows *rows, int row,
    struct catalogue_model *model, struct entry *entry)
{
	const char *slug = pg_text(rows, row, "slug");

	if (!id_parse(pg_text(rows, row, "id"), &model->id))
		log_warn("model=%s msg=\"model without an id\"", slug);
	entry->capabilities = pg_json(rows, row, "capabilities");
	entry->routes_doc = pg_json(rows, row, "routes");
	entry->plans_doc = pg_json(rows, row, "plans");
	entry->aliases = pg_json(rows, row, "aliases");
	model->capabilities = entry->capabilities;
	model->deadline_s = (int)pg_i64(rows, row, "deadline_s");
	model->premium = pg_bool(rows, row, "is_premium");
	model->active = pg_bool(rows, row, "is_active");
	model->is_default = pg_bool(rows, row, "is_default");
	model->deprecated = pg_bool(rows, row, "is_deprecated");
	model->experimental = pg_bool(rows, row, "is_experimental");
	read_routes(cat, model, entry);
	read_plan(model, entry, slug);
	model->unavailable_reason = why_not(model, rows, row, slug);
	model->available = model->unavailable_reason == NULL;
	model->from_credits = -1;
	if (model->rule != NULL &&
	    !price_from(model->rule, model->capabilities, &model->from_credits))
		model->from_credits = -1;
	model_show(model, entry, rows, row);
}

struct catalogue_snapshot *
snapshot_new(const struct catalogue *cat, const struct pg_rows *rows)
{
	struct catalogue_snapshot *self = xcalloc(1, sizeof *self);

	self->refs = 1;
	self->n = (size_t)pg_count(rows);
	self->models = xcalloc(self->n + 1, sizeof *self->models);
	self->entries = xcalloc(self->n + 1, sizeof *self->entries);
	for (size_t i = 0; i < self->n; i++) {
		struct entry *entry = &self->entries[i];

		read_model(cat, rows, (int)i, &self->models[i], entry);
		for (size_t a = 0; a < json_count(entry->aliases); a++) {
			const char *alias =
			    json_text(json_item(entry->aliases, a));

			if (alias != NULL)
				name_add(self, alias, i);
		}
	}
	/* Slugs last: they are found before anybody's alias. */
	for (size_t i = 0; i < self->n; i++)
		name_add(self, self->models[i].slug, i);
	return self;
}

void
snapshot_config(struct catalogue_snapshot *snapshot, const struct pg_rows *rows)
{
	snapshot->config = json_new();
	for (int i = 0; i < pg_count(rows); i++) {
		struct json_object *value = pg_json(rows, i, "value");

		json_set_copy(snapshot->config, pg_text(rows, i, "key"), value);
		json_free(&value);
	}
}

void
catalogue_unref(struct catalogue_snapshot **slot)
{
	struct catalogue_snapshot *self = *slot;

	*slot = NULL;
	if (self == NULL || --self->refs > 0)
		return;
	for (size_t i = 0; i < self->n; i++) {
		struct entry *entry = &self->entries[i];

		json_free(&entry->shown);
		json_free(&entry->capabilities);
		json_free(&entry->routes_doc);
		json_free(&entry->plans_doc);
		json_free(&entry->aliases);
		free(entry->routes);
	}
	for (size_t i = 0; i < NAME_ROWS; i++) {
		while (self->names[i] != NULL) {
			struct name *name = self->names[i];

			self->names[i] = name->next;
			free(name->text);
			free(name);
		}
	}
	json_free(&self->config);
	free(self->entries);
	free(self->models);
	free(self);
}
