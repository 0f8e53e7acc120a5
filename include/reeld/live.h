/*
 * live.h - topics, snapshots and the event bus: one stream of truth that
 * feeds WebSockets, event streams (SSE) and long polls.
 *
 * live_publish() hands an event to this instance's subscribers and, through
 * Redis, to the other instances.  Every object carries a version that only
 * grows; an event that is not newer than what was seen here is dropped, so
 * events may come twice, from anywhere, and in any order.  Nothing is
 * replayed: who subscribes gets a snapshot first, then what is newer.
 */
#ifndef REELD_LIVE_H
#define REELD_LIVE_H

#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"
#include "reeld/loop.h"

struct live;
struct http_call;
struct json_object;
struct redis;
struct ws;

/* ---- topics ---- */

enum live_kind {
	LIVE_USER,	 /* user:<id>, or user:me */
	LIVE_GENERATION, /* generation:<id> */
	LIVE_PROJECT,	 /* project:<id> */
	LIVE_COMPARISON, /* comparison:<slug>: public */
	LIVE_ARENA,	 /* arena: public */
	LIVE_ADMIN,	 /* admin:queue, admin:workers, admin:alerts */
	LIVE_KINDS
};

struct live_topic {
	enum live_kind kind;
	char name[96]; /* canonical: "user:me" is resolved, ids lower case */
	char key[80];  /* the part after the colon, "" for arena */
};

enum { LIVE_MAX_TOPICS = 64 /* per session */ };

/* me: the id "user:me" stands for; "" or NULL refuses it. */
bool live_topic_parse(const char *text, const char *me, struct live_topic *out,
    struct err *err) REELD_MUST;

/* ---- events ---- */

/* Size of what travels through Redis. */
enum { LIVE_MAX_PAYLOAD = 4096, LIVE_EVENT_TOPICS = 6 };

struct live_event {
	const char *type; /* "generation.processing" */
	/* Canonical names; subscribers of any of them get it once.  The
	 * first is the one that the event names. */
	const char *topics[LIVE_EVENT_TOPICS];
	size_t n_topics;
	/* Whose state it is, for the version rule and for conflation: a
	 * generation's id, "credits:<user id>", ...  NULL: a message that
	 * every subscriber gets, unversioned. */
	const char *object;
	int64_t version;  /* 0: always newer */
	int64_t ts_ms;	  /* 0: now */
	const char *data; /* a JSON object */
	size_t data_len;
};

/* All is borrowed for the call.  False: not newer, or longer than 256 KiB;
 * nobody was told.  Redis being away is not an error: the outbox sweep
 * publishes again. */
bool live_publish(struct live *live, const struct live_event *event);
/* This instance only: for what live_hooks.refresh read again. */
bool live_deliver(struct live *live, const struct live_event *event);

/* ---- what the api layer supplies ---- */

/* Who listens; copied by value. */
struct live_client {
	char user[ID_LEN + 1];	  /* "": anonymous */
	char session[ID_LEN + 1]; /* login session or API key, for revocation */
	/* Whom an anonymous one counts for: address or network, not the port;
	 * "": for nobody. */
	char address[64];
	int role;	   /* auth's role, for authorize */
	bool no_origin_ok; /* came with an API key */
};

/* Snapshot work in flight: the hook's own struct. */
struct live_snapshot;
/*
 * objects: JSON array, borrowed; items with "id" and "version" let events
 * that came meanwhile be dropped when they are not newer.  err: not found or
 * not allowed; objects is then NULL.
 */
typedef void
live_snapshot_fn(struct json_object *objects, const struct err *err, void *arg);

/* Objects that somebody watches. */
struct live_watch {
	const char *const *generations, *const *users;
	size_t n_generations, n_users;
};

struct live_hooks {
	void *app;
	/* By role and kind alone, without I/O; what needs a look at the row
	 * is refused by the snapshot.  False with err set. */
	bool (*authorize)(void *app, const struct live_client *client,
	    const struct live_topic *topic, struct err *err);
	/* Slot rule: *slot is set at start, NULL just before done; done never
	 * runs from inside.  NULL: snapshots are empty. */
	void (*snapshot_start)(void *app, const struct live_client *client,
	    const struct live_topic *topic, struct live_snapshot **slot,
	    live_snapshot_fn *done, void *arg);
	void (*snapshot_cancel)(struct live_snapshot **slot);
	/* Every 5 s while Redis is away, and once when it is back: read these
	 * again and live_deliver() what they are now.  watch is borrowed.
	 * May be NULL. */
	void (*refresh)(void *app, const struct live_watch *watch);
};

/* redis NULL: a single instance.  ws is borrowed and must be freed after
 * live.  instance: this process's id. */
struct live *live_new(struct loop *loop, struct redis *redis, struct ws *ws,
    const char *instance);
void live_hooks_set(struct live *live, const struct live_hooks *hooks);
void live_free(struct live *live);
/* Listeners, WebSockets and event streams together, that one user may have
 * open, and one address of anonymous ones; one more is refused with 429.  0: no
 * limit.  20 and 50 until this is called; those that are open stay. */
void live_limits_set(struct live *live, int64_t per_user, int64_t per_ip);

/* ---- listeners ---- */

/* A handler's last act: the call is replied to or taken over. */
void live_ws_accept(struct live *live, struct http_call *call,
    const struct live_client *client);
/* topics: comma separated, as in ?topics=.  Opens text/event-stream. */
void live_sse_open(struct live *live, struct http_call *call,
    const struct live_client *client, const char *topics);

struct live_wait;
enum live_wait_result { LIVE_WAIT_NEWER, LIVE_WAIT_TIMEOUT, LIVE_WAIT_DRAIN };
typedef void live_wait_fn(enum live_wait_result result, void *arg);
/*
 * Until something newer than version is known of the object (a generation's
 * id), or timeout_ms.  Read the state after starting, or a change in between
 * is missed.  Slot rule.
 */
void live_wait_start(struct live *live, const char *object, int64_t version,
    int64_t timeout_ms, struct live_wait **slot, live_wait_fn *done, void *arg);
void live_wait_cancel(struct live_wait **slot);

/* Rights that went away: their listeners are closed (1008) here at once and
 * by the other instances when they hear of it. */
void live_revoke_user(struct live *live, const char *user);
void live_revoke_session(struct live *live, const char *session);

/* Ends streams and long polls, and drains the WebSockets. */
void live_drain(struct live *live, int grace_ms, loop_fn *done, void *arg);

/* ---- the status cache ---- */

/*
 * The serialised public status of recent generations, at most
 * LIVE_MAX_OBJECTS, kept right by the events that pass.  Empty while Redis is
 * configured but away.  Reading it is the fast path of the status endpoint.
 */
enum { LIVE_MAX_OBJECTS = 20000 };

struct live_status {
	const char *body; /* borrowed until the next call of this module */
	size_t len;
	int64_t version;
};
/* False: not here, or not this user's ("" asks for any: operators). */
bool live_status_get(struct live *live, const char *id, const char *user,
    struct live_status *out) REELD_MUST;
/* Take the stamp before the row is read, and give it with what was read: it
 * is refused when it may be older than an event that passed meanwhile. */
uint64_t live_status_stamp(const struct live *live);
void live_status_put(struct live *live, const char *id, const char *user,
    int64_t version, const char *body, size_t len, uint64_t stamp);

/* Does anybody here listen to that topic? */
bool live_watched(const struct live *live, const char *topic);

struct live_stats {
	int topics, subscriptions, ws, sse, waits;
	int objects, bodies;
	uint64_t published, delivered, remote, not_newer, bad_remote;
	uint64_t status_hits, status_misses;
	uint64_t refused_user, refused_address; /* one listener too many */
};
void live_stats(const struct live *live, struct live_stats *out);

#endif
