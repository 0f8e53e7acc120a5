/* internal.h - what the files of src/catalogue share. */
#ifndef REELD_CATALOGUE_INTERNAL_H
#define REELD_CATALOGUE_INTERNAL_H

#include "reeld/catalogue.h"
#include "reeld/json.h"
#include "reeld/loop.h"
#include "reeld/mem.h"
#include "reeld/pg.h"

/* A slug or an alias. */
struct name {
	char *text;
	size_t model; /* index */
	struct name *next;
};
enum { NAME_ROWS = 256 };

/* One model with what it borrows from. */
struct entry {
	struct json_object *capabilities, *routes_doc, *plans_doc, *shown;
	struct json_object *aliases;
	struct catalogue_route *routes;
};

struct catalogue_snapshot {
	int refs;
	size_t n;
	struct catalogue_model *models;
	struct entry *entries; /* same order */
	struct name *names[NAME_ROWS];
	struct json_object *config; /* key: value */
};

/* One account with what it borrows from. */
struct account_owned {
	char *text[12];
	int n_text;
	char *key; /* secret */
};
struct account_set {
	size_t n;
	struct catalogue_account *accounts; /* by provider, then label */
	struct account_owned *owned;
};

struct catalogue {
	struct loop *loop;
	struct pg_pool *pg;
	struct redis *redis;
	char *instance;
	bool (*provider_ready)(
	    void *arg, const char *provider, bool has_key, struct err *why);
	bool (*settings)(
	    void *arg, const char *provider, struct catalogue_settings *out);
	void *arg;
	const struct seal_ring *ring;
	char *key_dir;
	const char *(*known)(void *arg, size_t i, const char **title);
	bool synced; /* the configured accounts are in the database */
	struct account_set *accounts;	 /* NULL until loaded */
	struct catalogue_snapshot *now;	 /* NULL until the first is loaded */
	struct catalogue_snapshot *next; /* being loaded */
	struct json_object *stats;	 /* slug: {...}; NULL: none yet */
	int64_t stats_ms;		 /* when it was loaded */
	struct pg_query *query, *stats_query;
	bool again; /* something changed while loading */
	struct loop_timer timer;
	char *list; /* catalogue_list_body(); NULL: to be made */
	size_t list_len;
	char list_etag[33];
};

/* accounts.c: rows of account_list. */
struct account_set *
account_set_new(const struct catalogue *cat, const struct pg_rows *rows);
void account_set_free(struct account_set *set); /* wipes the keys */
/* Can work be given to this provider?  Else *detail is why, for people. */
bool account_set_able(const struct catalogue *cat, const char *provider,
    bool *has_key, const char **detail);

/* load.c: rows of catalogue_load. */
struct catalogue_snapshot *
snapshot_new(const struct catalogue *cat, const struct pg_rows *rows);
void snapshot_config(
    struct catalogue_snapshot *snapshot, const struct pg_rows *rows);
const struct catalogue_model *
snapshot_find(const struct catalogue_snapshot *snapshot, const char *name);

/* shown.c: fills entry->shown and the model's texts, which it borrows. */
void model_show(struct catalogue_model *model, struct entry *entry,
    const struct pg_rows *rows, int row);

#endif
