/*
 * catalogue.h - models, prices and system settings, in memory.
 *
 * One snapshot, made from two statements and swapped whole: at the start, on
 * catalogue_reload() (also of another instance, through Redis), and every
 * 30 s.  What the getters return is borrowed and stays as it is until the
 * caller returns to the loop; keep a slug, not a pointer, or hold the
 * snapshot with catalogue_ref().
 */
#ifndef REELD_CATALOGUE_H
#define REELD_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"

struct catalogue;
struct catalogue_snapshot;
struct seal_ring;
struct json_object;
struct loop;
struct pg_pool;
struct redis;

struct catalogue_route {
	struct id id;
	const char *provider;	    /* "fal" */
	const char *provider_title; /* "fal.ai" */
	const char *endpoint;
	int priority, weight; /* lowest priority first, then by weight */
	bool usable;	      /* adapter, key, not paused, not past its end */
	const char *reason;   /* why not: "paused", "no_key", "no_adapter",
				 "sunset"; NULL when usable */
	const char *detail;   /* for people, or NULL */
};

struct catalogue_model {
	struct id id;
	const char *slug, *name, *description;
	const char *category, *replacement;	/* NULL: none */
	const struct json_object *capabilities; /* capability.h */
	const struct json_object *rule;		/* price.h; NULL: none */
	struct id plan;				/* price plan, "" = none */
	int plan_version;
	int deadline_s;
	bool premium, active, is_default, deprecated, experimental;
	bool available;
	const char *unavailable_reason; /* for people; NULL when available */
	int64_t from_credits;		/* -1: unknown */
	const struct catalogue_route *routes; /* in order */
	size_t n_routes;
	/* What the API shows (see the list in api/README.md), without
	 * "stats". */
	const struct json_object *shown;
};

/* --- Accounts at providers ------------------------------------------------ */

/* What the configuration says about a provider: the account `default`, and
 * the address that accounts without their own share. */
struct catalogue_settings {
	const char *base_url; /* NULL: the adapter's default */
	const char *key;      /* NULL: none */
	const char *source;   /* of the key: "env" or "file" */
	const char *hook_secret;
	bool allow_private;
	int concurrency, rpm, poll_ms; /* 0: the adapter's default */
};

enum account_state { ACCOUNT_ON, ACCOUNT_PAUSED, ACCOUNT_BROKEN };
enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };

struct catalogue_account {
	struct id id;
	const char *provider, *label;
	const char *title;	     /* the provider's, for people */
	const char *provider_paused; /* why, or ""; NULL: it is not */
	const char *source;	     /* "env", "file", "stored", "none" */
	const char *hint;	     /* the key's last four characters, or "" */
	const char *base_url;	     /* NULL: the adapter's default */
	const char *key;	     /* secret, in memory only; NULL: none */
	const char *problem;	     /* why a key that should be there is not */
	const char *hook_secret;     /* of their webhooks; NULL: none */
	bool allow_private;	     /* of the configured address only */
	int concurrency;	     /* jobs there at once; 0: as the adapter */
	int rpm;		     /* submits per minute; 0: as the adapter */
	int poll_ms;		     /* 0: as the adapter */
	int weight;
	enum account_state state;
	int64_t paused_until_ms; /* wall clock; 0: until resumed */
	const char *reason;	 /* of the pause, or NULL */
	enum circuit_state circuit;
	int failures;
};
const char *account_state_name(enum account_state state);
const char *circuit_state_name(enum circuit_state state);
/* May new work be given to it, as far as this snapshot knows?  A key is not
 * looked for. */
bool account_is_on(const struct catalogue_account *account);
/* The last four characters of a key that is long enough to stay secret. */
void account_hint(const char *key, char out[8]);

struct catalogue_opts {
	struct pg_pool *pg;   /* engine pool (the statistics cross users) */
	struct redis *redis;  /* may be NULL */
	const char *instance; /* this process's id */
	/* Can this provider be used here, when it has a key or not?  False
	 * with err->name "no_adapter" or "no_key" and a message for people. */
	bool (*provider_ready)(
	    void *arg, const char *provider, bool has_key, struct err *why);
	/* The providers that this program knows, one after the other; NULL
	 * past the end. */
	const char *(*known)(void *arg, size_t i, const char **title);
	/* Fills *out; false: nothing is configured. */
	bool (*settings)(
	    void *arg, const char *provider, struct catalogue_settings *out);
	void *arg;
	const struct seal_ring *ring; /* opens stored keys; NULL: none */
	const char *key_dir; /* of accounts' key files; NULL or "": none */
};

/* Starts loading at once; empty until the database answers. */
struct catalogue *
catalogue_new(struct loop *loop, const struct catalogue_opts *opts);
void catalogue_free(struct catalogue *cat); /* NULL is fine */
/* A snapshot was loaded. */
bool catalogue_ready(const struct catalogue *cat);
/* Something changed: load again, and tell the other instances. */
void catalogue_reload(struct catalogue *cat);
/* Only here, as soon as possible (the providers' settings changed). */
void catalogue_refresh(struct catalogue *cat);
/* The configuration was read again: its accounts, too. */
void catalogue_settings_changed(struct catalogue *cat);

/* By slug or alias; NULL: unknown.  May be unavailable. */
const struct catalogue_model *
catalogue_model(const struct catalogue *cat, const char *slug);
/* The default one, else the first that is available; NULL: none. */
const struct catalogue_model *catalogue_default(const struct catalogue *cat);
/* All, the default first, then by name. */
const struct catalogue_model *
catalogue_list(const struct catalogue *cat, size_t *n);
/* A usable route of the best priority, by weight; NULL when there is none. */
const struct catalogue_route *
catalogue_pick_route(const struct catalogue_model *model);
/* Of 7 days: "generations" that ended, "success_rate" (0..1), "average_s" and
 * "median_s" of the completed ones.  NULL when there were none.  The caller
 * owns it. */
struct json_object *
catalogue_stats(const struct catalogue *cat, const char *slug);
/* {"data":[...]} of the active models with "stats", serialised once per
 * snapshot, and its entity tag. */
const char *
catalogue_list_body(struct catalogue *cat, size_t *len, const char **etag);

/* The accounts of a provider (NULL: all), `default` first; those that are
 * paused too. */
const struct catalogue_account *catalogue_accounts(
    const struct catalogue *cat, const char *provider, size_t *n);
/* NULL: unknown or deleted. */
const struct catalogue_account *
catalogue_account(const struct catalogue *cat, const char *id);
/* Why a queued job of this provider waits, or NULL when nothing is known to
 * hold it.  For users in plain words, for operators with names. */
const char *catalogue_waiting(const struct catalogue *cat, const char *provider,
    bool for_operator, char *out, size_t size);

/* system_config; fallback when absent or of another type. */
int64_t catalogue_config_int(
    const struct catalogue *cat, const char *key, int64_t fallback);
double catalogue_config_num(
    const struct catalogue *cat, const char *key, double fallback);
bool catalogue_config_bool(
    const struct catalogue *cat, const char *key, bool fallback);
const char *catalogue_config_text(
    const struct catalogue *cat, const char *key, const char *fallback);

/* Keeps the models got from cat alive past this turn of the loop. */
struct catalogue_snapshot *catalogue_ref(struct catalogue *cat);
void catalogue_unref(struct catalogue_snapshot **slot); /* NULL is fine */

#endif
