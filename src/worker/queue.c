/*
 * queue.c - where jobs come from.  The Redis list wakes us at once and is
 * what other workers of this protocol read; without Redis, or while it is
 * away, we ask the server.  Either way the server's `start` decides who has
 * the job, so a payload seen twice does no harm.
 */
#define LOG_MODULE "worker"
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "worker/worker.h"

#define QUEUE "job-queue"
#define WAIT_S 3

void
queue_close(struct worker *worker)
{
	if (worker->redis != NULL)
		redisFree(worker->redis);
	worker->redis = NULL;
}

/* unix:///path, redis://host:port or a bare path. */
static redisContext *
open_redis(const char *url)
{
	struct timeval limit = {2, 0};
	char host[256];
	const char *colon;
	int64_t port = 6379;

	if (str_starts(url, "unix://"))
		return redisConnectUnixWithTimeout(url + 7, limit);
	if (url[0] == '/')
		return redisConnectUnixWithTimeout(url, limit);
	if (!str_starts(url, "redis://"))
		return NULL;
	str_copy(host, sizeof host, url + 8);
	host[strcspn(host, "/")] = '\0';
	colon = strrchr(host, ':');
	if (colon != NULL) {
		if (!str_to_i64(colon + 1, 1, 65535, &port))
			return NULL;
		host[colon - host] = '\0';
	}
	return redisConnectWithTimeout(host, (int)port, limit);
}

static bool
connected(struct worker *worker)
{
	struct timeval limit = {WAIT_S + 5, 0};

	if (worker->redis != NULL)
		return true;
	if (worker->redis_url == NULL ||
	    clock_mono_ms() < worker->redis_retry_ms)
		return false;
	worker->redis = open_redis(worker->redis_url);
	if (worker->redis != NULL && worker->redis->err == 0 &&
	    redisSetTimeout(worker->redis, limit) == REDIS_OK)
		return true;
	log_warn("msg=\"Redis is away, asking the server for jobs\"");
	queue_close(worker);
	worker->redis_retry_ms = clock_mono_ms() + 5000;
	return false;
}

static struct json_object *
take_redis(struct worker *worker)
{
	struct json_object *payload = NULL;
	redisReply *reply =
	    redisCommand(worker->redis, "BRPOP %s %d", QUEUE, WAIT_S);

	if (reply == NULL) {
		queue_close(worker);
		return NULL;
	}
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
		payload = json_tokener_parse(reply->element[1]->str);
		if (payload == NULL)
			log_warn(
			    "msg=\"dropped a list entry that is no JSON\"");
	} else if (reply->type == REDIS_REPLY_ERROR) {
		log_warn("msg=%s", log_text(reply->str));
		queue_close(worker);
		worker->redis_retry_ms = clock_mono_ms() + 5000;
	}
	freeReplyObject(reply);
	return payload;
}

static struct json_object *
take_server(struct worker *worker, int wait_s)
{
	struct json_object *body = json_object_new_object(), *payload = NULL;
	struct server_reply reply;

	json_object_object_add(
	    body, "worker_id", json_object_new_string(worker->id));
	json_object_object_add(body, "wait_s", json_object_new_int(wait_s));
	server_post(worker, "/claim", NULL, &body, wait_s + 10, &reply);
	if (reply.status == 200) {
		payload = reply.json;
		reply.json = NULL;
	}
	server_reply_fini(&reply);
	return payload;
}

struct json_object *
queue_take(struct worker *worker)
{
	struct json_object *payload;

	if (!connected(worker))
		return take_server(worker, WAIT_S);
	payload = take_redis(worker);
	/* An empty list may also be a list that was lost: look behind it. */
	return payload != NULL ? payload : take_server(worker, 0);
}
