/* live_hooks.h - what live asks the api layer; set by api_open(). */
#ifndef REELD_API_LIVE_HOOKS_H
#define REELD_API_LIVE_HOOKS_H

#include "api/internal.h"

struct live_state;
struct live_state *live_state_open(struct app *app);
void live_state_close(struct live_state *self); /* NULL is fine */

/* Somebody looks at admin:queue: its numbers come every second while it is
 * so. */
void live_state_watch_queue(struct live_state *self);

/* Work of live_hooks.snapshot_start: live_snapshot.c. */
struct live_client;
struct live_topic;
struct live_snapshot;
void snapshot_start(void *app, const struct live_client *client,
    const struct live_topic *topic, struct live_snapshot **slot,
    void (*done)(struct json_object *objects, const struct err *err, void *arg),
    void *arg);
void snapshot_cancel(struct live_snapshot **slot);

/* Rows of live_queue_stats as queue.stats. */
struct json_object *queue_stats_view(const struct pg_rows *rows);
/* A row of worker_list. */
struct json_object *worker_view(const struct pg_rows *rows, int row, void *arg);

#endif
