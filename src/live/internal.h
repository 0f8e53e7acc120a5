/* internal.h - what the files of live share. */
#ifndef LIVE_INTERNAL_H
#define LIVE_INTERNAL_H

#include <sys/queue.h>
#include <uthash.h>

#include "reeld/live.h"
#include "reeld/mem.h"
#include "reeld/ws.h"

#define LIVE_CHANNEL "reeld:events"
#define LIVE_REFRESH_MS 5000
#define LIVE_STATUS_MAX_AGE_MS 10000
#define LIVE_OBJECT_MAX_IDLE_MS (5 * 60 * 1000)
#define LIVE_STATUS_MAX_BYTES 2048
#define LIVE_OBJECT_MAX 80
#define LIVE_MAX_EVENT (256 * 1024)
#define LIVE_MAX_BATCH (64 * 1024)
#define LIVE_MAX_PER_USER 20
#define LIVE_MAX_PER_IP 50

struct crowd;
struct listener;

struct topic {
	struct live_topic info;
	LIST_HEAD(, sub) subs;
	UT_hash_handle hh;
};

/* One listener's interest in one topic. */
struct sub {
	struct listener *owner;
	struct topic *topic;
	LIST_ENTRY(sub) of_owner, of_topic;
	struct live_snapshot *snapshot; /* slot */
	struct loop_defer *defer;	/* an empty snapshot, later */
	struct ws_outbox held;		/* events that came meanwhile */
	char *asked;			/* the topic as the client named it */
	char *id;			/* JSON of the client's id, or NULL */
	bool holding, again;
};

/* A WebSocket session or an event stream. */
struct listener {
	struct live *live;
	struct live_client client;
	struct crowd *crowd; /* NULL: not counted */
	TAILQ_ENTRY(listener) all;
	LIST_HEAD(, sub) subs;
	int n_subs;
	uint64_t last_event;	    /* the one it got last, by any topic */
	struct ws_session *session; /* NULL: an event stream */
	struct http_call *call;
	struct ws_outbox outbox; /* stream: what its buffer did not take */
	int64_t beat_ms, behind_ms;
	bool behind, revoked;
};

struct live_wait {
	struct live *live;
	struct live_wait **slot;
	live_wait_fn *done;
	void *arg;
	int64_t version;
	enum live_wait_result result;
	struct loop_timer timer;
	struct loop_defer *defer;
	struct waited *waited;
	LIST_ENTRY(live_wait) link;
};

struct waited {
	char object[LIVE_OBJECT_MAX];
	LIST_HEAD(, live_wait) waits;
	UT_hash_handle hh;
};

/* The public status of one, as it is sent. */
struct body {
	TAILQ_ENTRY(body) age;
	struct object *object;
	char user[ID_LEN + 1];
	int64_t put_ms;
	size_t len;
	char text[];
};

/* What is known of one object. */
struct object {
	uint64_t key;	      /* live_key(), 0: not asked for yet */
	int64_t version;      /* newest event that passed */
	int64_t body_version; /* a row may be read before its event comes */
	int64_t touched_ms;
	struct body *body;
	TAILQ_ENTRY(object) lru;
	UT_hash_handle hh;
	char id[]; /* of the length it has: there are many of these */
};

struct objects {
	struct object *by_id;
	TAILQ_HEAD(, object) lru;  /* oldest first */
	TAILQ_HEAD(, body) by_age; /* oldest first */
	int count, bodies, max;
	int64_t max_age_ms, max_idle_ms; /* of a body, of an object */
	uint64_t stamp;
};

struct live {
	struct loop *loop;
	struct redis *redis;
	struct ws *ws;
	char instance[64];
	struct live_hooks hooks;
	struct topic *topics;
	TAILQ_HEAD(, listener) listeners;
	struct crowd *crowds;
	int max_per_user, max_per_ip; /* 0: no limit */
	struct waited *waited;
	struct objects objects;
	struct buf batch; /* for the bus, at the end of the turn */
	int batched;
	struct loop_defer *flush;
	uint64_t last_event;
	uint8_t hash_key[16];
	struct loop_timer refresh, beat, ending;
	bool down, bus_was_up, draining;
	struct live_stats stats;
};

/* hub.c */
uint64_t live_key(const struct live *live, const char *object);
bool hub_publish(struct live *live, const struct live_event *event);
bool event_ok(const struct live_event *event);

/* objects.c: the key is live_key(), made once for as long as it is known;
 * pass is false when version is not newer than what is known. */
uint64_t objects_key(struct live *live, const char *id);
bool objects_pass(struct objects *self, const char *id, int64_t version);
int64_t objects_version(struct objects *self, const char *id);
void objects_event(struct live *live, const struct live_event *event);
void objects_flush(struct live *live);
void objects_init(struct objects *self, int max);
void objects_fini(struct objects *self);
bool status_render(const char *data, size_t len, struct buf *out);

/* subs.c */
bool sub_start(struct listener *owner, const struct live_topic *topic,
    const char *asked, const char *id, struct err *err) REELD_MUST;
bool sub_end(struct listener *owner, const char *name);
void subs_again(struct listener *owner);
void subs_fini(struct listener *owner);
void sub_event(struct sub *self, struct ws_frame *frame, uint64_t number);

/* protocol.c */
extern const struct ws_hooks live_ws_hooks;

/* listener.c */
struct listener *
listener_new(struct live *live, const struct live_client *client);
void listener_free(struct listener *self);
void listener_send(struct listener *self, struct ws_frame *frame);
void listener_send_text(struct listener *self, const char *text, size_t len);
void listener_error(struct listener *self, const struct err *err,
    const char *topic, const char *id);
void listener_end(struct listener *self, int code, const char *reason);

/* crowd.c: listener_new() joins, listener_free() leaves. */
bool crowd_has_room(struct live *live, const struct live_client *client,
    struct err *err) REELD_MUST;
void crowd_join(struct listener *self);
void crowd_leave(struct listener *self);

/* sse.c */
void sse_send(struct listener *self, struct ws_frame *frame);
void sse_end(struct listener *self, const char *reason);
void sse_beat(struct listener *self, int64_t now_ms);

/* wait.c */
void waits_event(struct live *live, const char *object, int64_t version);
void waits_end(struct live *live, enum live_wait_result result);

/* link.c: the only calls to Redis. */
void link_open(struct live *live);
void link_close(struct live *live);
bool link_publish(struct live *live, const void *data, size_t len);

/* bus.c */
void bus_send(struct live *live, const struct live_event *event);
void bus_flush(struct live *live);
void bus_revoke(struct live *live, const char *what, const char *id);
void bus_receive(struct live *live, const char *data, size_t len);
bool bus_up(const struct live *live);

/* live.c */
void live_refresh(struct live *live);
void live_bus_changed(struct live *live, bool up);
void revoke_local(struct live *live, const char *what, const char *id);

#endif
