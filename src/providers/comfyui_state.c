/*
 * comfyui_state.c - what became of a prompt at ComfyUI: its history, its
 * queue, and how a submit whose answer was lost is found again.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "providers/comfyui.h"
#include "reeld/mem.h"

/* --- the queue --------------------------------------------------------------
 */

/* An item: [number, prompt_id, graph, extra_data, outputs]. */
static bool
is_item(const struct json_object *item, const char *id, const char *client)
{
	if (id != NULL)
		return str_eq(json_text_at(item, "1"), id);
	return client != NULL &&
	    str_eq(json_text_at(item, "3.client_id"), client);
}

static const struct json_object *
find_item(const struct json_object *list, const char *id, const char *client)
{
	for (size_t i = 0; i < json_count(list); i++) {
		if (is_item(json_item(list, i), id, client))
			return json_item(list, i);
	}
	return NULL;
}

static int
place_of(const struct json_object *pending, const struct json_object *item)
{
	double ours, other;
	int before = 0;

	if (!json_num_at(item, "0", &ours))
		return -1;
	for (size_t i = 0; i < json_count(pending) && before < 100000; i++)
		before += json_num_at(json_item(pending, i), "0", &other) &&
		    other < ours;
	return before;
}

/* true when it is there: queued or running. */
static bool
read_queue(const struct json_object *body, const char *id, const char *client,
    struct provider_verdict *out)
{
	struct json_object *running = json_arr_at(body, "queue_running");
	struct json_object *pending = json_arr_at(body, "queue_pending");
	const struct json_object *item = find_item(running, id, client);

	out->refs = json_new();
	if (item != NULL) {
		out->state = PROVIDER_RUNNING;
		json_set_bool(out->refs, "running", true);
	} else if ((item = find_item(pending, id, client)) != NULL) {
		out->state = PROVIDER_QUEUED;
		out->queue_position = place_of(pending, item);
	} else
		return false;
	if (id == NULL)
		verdict_set_text(&out->provider_id, json_text_at(item, "1"));
	return true;
}

static bool
is_queue(const struct json_object *body)
{
	return json_arr_at(body, "queue_running") != NULL &&
	    json_arr_at(body, "queue_pending") != NULL;
}

/* --- poll -------------------------------------------------------------------
 */

static bool
has_id(const struct provider_job *job, struct err *err)
{
	return job->provider_id != NULL ||
	    err_set_name(err, ERR_INTERNAL, "no_reference",
		"There is no prompt at ComfyUI to ask for");
}

bool
comfyui_poll(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (!has_id(job, err))
		return false;
	comfyui_start(job, out, "GET", "/history/", job->provider_id);
	return true;
}

static bool
is_video(const struct json_object *item)
{
	static const char *const ends[] = {".mp4", ".webm", ".mov", ".mkv"};
	const char *name = json_text_at(item, "filename");
	const char *dot = name != NULL ? strrchr(name, '.') : NULL;

	if (dot == NULL || !str_eq(json_text_at(item, "type"), "output"))
		return false;
	for (size_t i = 0; i < nitems(ends); i++) {
		if (strcasecmp(dot, ends[i]) == 0)
			return true;
	}
	return false;
}

/* Nodes call their lists gifs, videos or images: all are looked through. */
static const struct json_object *
first_video(const struct json_object *outputs)
{
	struct json_iter node = json_iter(outputs);

	while (json_next(&node)) {
		struct json_iter list = json_iter(node.value);

		while (json_next(&list)) {
			for (size_t i = 0; json_is_arr(list.value) &&
			     i < json_count(list.value);
			     i++) {
				if (is_video(json_item(list.value, i)))
					return json_item(list.value, i);
			}
		}
	}
	return NULL;
}

static char *
view_url(const struct provider_job *job, const struct json_object *item)
{
	const char *folder = json_text_at(item, "subfolder");
	char *name = url_encode(json_text_at(item, "filename"));
	char *sub = url_encode(folder != NULL ? folder : "");
	char *tail = xasprintf("%s&subfolder=%s&type=output", name, sub);
	char *url =
	    job_url(&provider_comfyui, job, "/view?filename=", NULL, tail);

	free(name);
	free(sub);
	free(tail);
	return url;
}

/* status.messages: [["execution_error", {...}], ...] */
static void
read_failure(const struct json_object *entry, struct provider_verdict *out)
{
	struct json_object *list = json_arr_at(entry, "status.messages");
	const char *text = NULL, *node = NULL;

	for (size_t i = 0; i < json_count(list); i++) {
		struct json_object *item = json_item(list, i);
		const char *name = json_text_at(item, "0");

		if (str_eq(name, "execution_interrupted")) {
			verdict_cancelled(out);
			return;
		}
		if (str_eq(name, "execution_error")) {
			text = json_text_at(item, "1.exception_message");
			node = json_text_at(item, "1.node_type");
		}
	}
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
	    "execution_error", NULL);
	verdict_their_code(out, node, text);
	out->may_retry = text != NULL && strcasestr(text, "memory") != NULL;
}

static void
read_entry(const struct provider_job *job, const struct json_object *entry,
    struct provider_verdict *out)
{
	const struct json_object *item =
	    first_video(json_obj_at(entry, "outputs"));
	const char *word = json_text_at(entry, "status.status_str");

	verdict_status(out, word, NULL, 0);
	if (str_eq(word, "error"))
		read_failure(entry, out);
	else if (item == NULL)
		verdict_no_media(out, NULL);
	else {
		out->state = PROVIDER_DONE;
		out->progress = 100;
		out->result_url = view_url(job, item);
		out->result_needs_key = true;
	}
}

void
comfyui_polled(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const struct json_object *entry =
	    comfyui_member(body, job->provider_id);

	if (reply->status != 200 || body == NULL) {
		/* 404 is not its word for an unknown prompt: a proxy's. */
		verdict_http(out, PROVIDER_STEP_POLL, reply);
		if (out->state == PROVIDER_FAILED)
			out->state = PROVIDER_UNKNOWN;
	} else if (json_is_obj(entry))
		read_entry(job, entry, out);
	else {
		out->state = PROVIDER_RUNNING;
		out->next = PROVIDER_STEP_RESULT; /* where is it, then? */
	}
	json_free(&body);
}

bool
comfyui_queue(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (!has_id(job, err))
		return false;
	comfyui_start(job, out, "GET", "/queue", NULL);
	return true;
}

/* It may have ended between the two questions: only twice nowhere is lost. */
static void
read_missing(const struct provider_job *job, struct provider_verdict *out)
{
	bool missed = false, deleted = false;

	if (!json_bool_at(job->refs, "missed", &missed))
		missed = false;
	if (!json_bool_at(job->refs, "deleted", &deleted))
		deleted = false;
	if (!missed) {
		out->state = PROVIDER_RUNNING;
		json_set_bool(out->refs, "missed", true);
		if (deleted)
			json_set_bool(out->refs, "deleted", true);
	} else if (deleted)
		verdict_cancelled(out);
	else {
		/* It was restarted. */
		verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_PROVIDER,
		    "prompt_lost", NULL);
		out->may_retry = true;
	}
}

void
comfyui_queued(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);

	/* A queue that can't be read says nothing, not even with 404. */
	if (reply->status != 200 || !is_queue(body)) {
		verdict_http(out, PROVIDER_STEP_RESULT, reply);
		out->state = PROVIDER_UNKNOWN;
	} else if (!read_queue(body, job->provider_id, NULL, out))
		read_missing(job, out);
	json_free(&body);
}

/* --- find: first in the queue, then among what has ended --------------------
 */

static bool
asks_history(const struct provider_job *job)
{
	bool yes;

	return json_bool_at(job->refs, "not_queued", &yes) && yes;
}

bool
comfyui_find(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	if (job->nonce == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no nonce to look for");
	comfyui_start(job, out, "GET",
	    asks_history(job) ? "/history?max_items=200" : "/queue", NULL);
	return true;
}

void
comfyui_found(const struct provider_job *job, const struct fetch_reply *reply,
    struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	struct json_iter it = json_iter(body);

	if (reply->status != 200 || body == NULL ||
	    (!asks_history(job) && !is_queue(body)))
		verdict_http(out, PROVIDER_STEP_FIND, reply);
	else if (!asks_history(job)) {
		if (!read_queue(body, NULL, job->nonce, out)) {
			/* Perhaps it has ended: that is asked next. */
			json_set_bool(out->refs, "not_queued", true);
			out->state = PROVIDER_UNKNOWN;
		}
	} else {
		out->refs = json_new();
		while (out->provider_id == NULL && json_next(&it)) {
			if (is_item(json_arr_at(it.value, "prompt"), NULL,
				job->nonce))
				verdict_set_text(&out->provider_id, it.name);
		}
		/* What came of it, the poll tells. */
		out->state = PROVIDER_RUNNING;
		if (out->provider_id == NULL)
			verdict_fail(out, PROVIDER_FAILED,
			    PROVIDER_CLASS_NOT_FOUND, NULL, NULL);
	}
	json_free(&body);
}
