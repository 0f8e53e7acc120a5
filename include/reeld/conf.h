/*
 * conf.h - the settings: one table, read from defaults, a file, the
 * environment and flags (later ones win), as an immutable snapshot.
 *
 * conf_load() builds a whole new snapshot or refuses as a whole, so a reload
 * never leaves half of it changed.  Snapshots are reference-counted; modules
 * copy what they need from one and keep no pointer across a reload.
 */
#ifndef REELD_CONF_H
#define REELD_CONF_H

#include <stdint.h>

#include "reeld/err.h"
#include "reeld/mem.h"

/* Providers that have settings of their own: provider.<name>.<key>. */
enum { CONF_MAX_PROVIDERS = 16 };

struct conf_provider {
	const char *name;
	const char *base_url; /* "" = the adapter's own */
	const char *key;      /* "" = none: its models are not available */
	bool allow_private;   /* the base may be on a private address */
	const char *webhook_secret; /* of its webhooks, "" = none */
	int64_t concurrency; /* generations in flight, 0 = the adapter's own */
	int64_t rpm;	     /* requests per minute, 0 = no limit */
};

struct conf {
	struct {
		const char *listen;	     /* ADDR:PORT, port 0 allowed */
		const char *public_url;	     /* as browsers see it, or "" */
		const char *trusted_proxies; /* CIDR list, commas */
		const char *cors_origins;    /* for public reads, commas */
		int64_t max_connections;
		int64_t max_per_ip; /* connections of one address, 0 = any */
		bool tls_in_front;  /* a proxy speaks TLS for us: HSTS */
	} http;
	struct {
		const char *url;
		int64_t pool_size;
		int64_t max_waiting;
		int64_t timeout_ms;
	} db;
	struct {
		const char *url; /* "" = run without Redis */
	} redis;
	struct {
		const char *backend; /* disk or s3 */
		const char *dir;     /* files (disk) and staging (both) */
	} storage;
	struct {
		const char *endpoint, *bucket, *region;
		const char *access_key, *secret_key;
		const char *public_url;
		const char *account_id; /* Cloudflare R2: gives the endpoint */
		bool path_style, allow_private;
	} s3;
	struct {
		int64_t threads;
		const char *helper; /* path of reel-media */
	} media;
	struct {
		const char *dir;
	} www;
	struct {
		const char *dir;
	} sql;
	struct {
		const char *level;
	} log;
	struct {
		int64_t slots;	    /* local work at once: downloads, media */
		int64_t max_active; /* generations one process carries */
		int64_t sweep_ms;
		int64_t drain_timeout_ms;
		int64_t
		    deadline_ms; /* of a generation, unless the model says */
		int64_t adopt_after_ms; /* silence after which jobs move */
	} jobs;
	struct {
		int64_t session_days, session_idle_days;
		int64_t login_link_ms;
		const char *secret;
	} auth;
	struct {
		const char *master_key_file; /* "" = keys can't be stored */
		const char *key_dir; /* key files that accounts may name */
	} secrets;
	struct {
		const char *emails; /* become admin at sign-in, commas */
	} admin;
	struct {
		const char *github_id, *github_secret;
		const char *google_client_id, *google_client_secret;
	} oauth;
	struct {
		int64_t submit_per_minute, submit_burst;
		int64_t read_per_second, read_burst;
		int64_t upload_per_hour;
		int64_t hooks_per_minute, hooks_burst;
	} limits;
	struct {
		int64_t max_per_user, max_per_ip; /* 0 = no limit */
	} live;
	struct {
		const char *base_url, *model; /* "" = no prompt enhancement */
		const char *key;	      /* "" = the server needs none */
		const char *system_prompt;    /* "" = our own */
		bool allow_private;
		int64_t timeout_ms, max_tokens;
		int64_t per_day; /* of one user, 0 = no limit */
	} enhance;
	struct {
		const char *dir, *user; /* where standalone keeps everything */
		bool demo;
	} standalone;
	struct conf_provider providers[CONF_MAX_PROVIDERS];
	int n_providers;
};

/* A flag given on the command line: --http.listen VALUE. */
struct conf_flag {
	const char *key, *value;
};

/*
 * Reads everything.  path: the file, or NULL for none.  Unknown keys and bad
 * values are errors with "file:line: ..." and the nearest known name.  The
 * result is released with conf_unref().
 */
bool conf_load(const char *path, const struct conf_flag *flags, int n_flags,
    struct conf **out, struct err *err) REELD_MUST;
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf); /* NULL is fine */

/* NULL when no such provider is known. */
const struct conf_provider *
conf_provider(const struct conf *conf, const char *name);

/* Where a setting's value came from: "default", "env NAME", "flag", or a file
 * and line; NULL for an unknown key. */
const char *conf_origin(const struct conf *conf, const char *key);

/* Every setting, one "key = value  # origin" line each; secrets as ***. */
void conf_print(const struct conf *conf, struct buf *out);
/* The sample file: every setting with its help and default, commented out. */
void conf_print_sample(struct buf *out);
/* Things to say once at start (a secret's file readable by all, ...). */
void conf_warnings(const struct conf *conf, const char *path, struct buf *out);

#endif
