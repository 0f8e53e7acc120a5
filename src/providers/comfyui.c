/*
 * comfyui.c - ComfyUI, the operator's own.
 *
 *	base		http://127.0.0.1:8188, no key; one is sent as a Bearer
 *			token for a proxy in front
 *	graph		params.options.graph: the API format of a workflow.
 *			params.input names "<node>.<input>", where the node
 *			is its id or its title (_meta.title)
 *	images		POST /upload/image first; their name goes into the
 *			input (LoadImage's "image")
 *	submit		POST /prompt {prompt: graph, client_id}
 *	poll		GET /history/{id}: {} until it ended; then GET /queue
 *			tells pending, running, or lost by a restart
 *	result		the first video in any node's outputs, by GET /view
 *	lost submit	client_id is our nonce; /queue and /history repeat it
 *	cancel		pending ones leave the queue.  /interrupt stops
 *			whatever runs on older versions, so it is used only
 *			when options.interrupt says so
 *	seed		made from the nonce when none is asked for: the same
 *			graph twice would come from its cache
 */
#include <stdlib.h>
#include <string.h>

#include "providers/comfyui.h"
#include "reeld/id.h"
#include "reeld/mem.h"
#include "reeld/spec.h"

/* Replies repeat whole graphs. */
enum { REPLY_MAX = 16 << 20 };

void
comfyui_start(const struct provider_job *job, struct fetch_spec *out,
    const char *method, const char *path, const char *id)
{
	char *url = job_url(&provider_comfyui, job, path, id, "");

	spec_start(&provider_comfyui, job, out, method, url);
	if (job->key != NULL && job->key[0] != '\0')
		fetch_spec_bearer(out, job->key);
	out->max_bytes = REPLY_MAX;
	free(url);
}

struct json_object *
comfyui_member(const struct json_object *obj, const char *name)
{
	struct json_iter it = json_iter(obj);

	while (name != NULL && json_next(&it)) {
		if (strcmp(it.name, name) == 0)
			return it.value;
	}
	return NULL;
}

/* --- images -----------------------------------------------------------------
 */

static bool
comfyui_wants_prepare(const struct provider_job *job)
{
	return image_given(&job->start) || image_given(&job->end);
}

/* Which one is next: "start_image" or "end_image". */
static const char *
next_image(const struct provider_job *job, const struct json_object *refs)
{
	if (image_given(&job->start) &&
	    json_text_at(refs, "start_image") == NULL)
		return "start_image";
	if (image_given(&job->end) && json_text_at(refs, "end_image") == NULL)
		return "end_image";
	return NULL;
}

static bool
comfyui_prepare(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	const char *which = next_image(job, job->refs);
	const struct provider_image *image =
	    str_eq(which, "end_image") ? &job->end : &job->start;
	struct multipart form;
	char *name;

	if (which == NULL)
		which = "start_image";
	if (image->len == 0)
		return err_set_name(err, ERR_INTERNAL, "image_unavailable",
		    "The image's bytes are needed for ComfyUI");
	comfyui_start(job, out, "POST", "/upload/image", NULL);
	name =
	    xasprintf("reeld-%s-%s-%s", job->nonce != NULL ? job->nonce : "0",
		which, image_file_name(image));
	multipart_init(&form, job);
	multipart_file(
	    &form, "image", name, image_mime(image), image->data, image->len);
	multipart_field(&form, "type", "input");
	multipart_field(&form, "overwrite", "true");
	multipart_finish(&form, out);
	out->timeout_ms = 120000;
	free(name);
	return true;
}

static void
comfyui_prepared(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *which = next_image(job, job->refs);
	const char *name = json_text_at(body, "name");
	const char *folder = json_text_at(body, "subfolder");
	char *full;

	if (reply->status != 200 || name == NULL || name[0] == '\0' ||
	    which == NULL) {
		verdict_http(out, PROVIDER_STEP_PREPARE, reply);
		json_free(&body);
		return;
	}
	full = folder != NULL && folder[0] != '\0'
	    ? xasprintf("%s/%s", folder, name)
	    : xstrdup(name);
	out->refs = job->refs != NULL ? json_copy(job->refs) : json_new();
	json_set_text(out->refs, which, full);
	out->state = PROVIDER_QUEUED;
	out->next = next_image(job, out->refs) != NULL ? PROVIDER_STEP_PREPARE
						       : PROVIDER_STEP_SUBMIT;
	free(full);
	json_free(&body);
}

/* --- submit -----------------------------------------------------------------
 */

/* A node of the graph by its id, else by its title. */
static struct json_object *
node_of(const struct json_object *graph, const char *name)
{
	struct json_object *node = comfyui_member(graph, name);
	struct json_iter it = json_iter(graph);

	if (json_is_obj(node))
		return node;
	while (json_next(&it)) {
		if (str_eq(json_text_at(it.value, "_meta.title"), name))
			return it.value;
	}
	return NULL;
}

/* mapped: {"<node>": {"<input>": value}} */
static bool
fill_graph(struct json_object *graph, const struct json_object *mapped,
    struct err *err)
{
	struct json_iter it = json_iter(mapped);

	while (json_next(&it)) {
		struct json_object *inputs =
		    json_obj_at(node_of(graph, it.name), "inputs");
		struct json_iter values = json_iter(it.value);

		if (inputs == NULL || !json_is_obj(it.value))
			return err_set_name(err, ERR_INTERNAL, "bad_params",
			    "The graph has no node '%.80s' with inputs",
			    it.name);
		while (json_next(&values))
			json_set_copy(inputs, values.name, values.value);
	}
	return true;
}

/* 48 bits: every sampler takes them, and so does a double. */
static int64_t
seed_of(const char *nonce)
{
	uint8_t sum[32];
	int64_t seed = 0;

	sha256(nonce, strlen(nonce), sum);
	for (int i = 0; i < 6; i++)
		seed = seed << 8 | sum[i];
	return seed;
}

static bool
build_graph(
    const struct provider_job *job, struct json_object **out, struct err *err)
{
	struct json_object *graph =
	    json_copy(json_obj_at(job->params, "options.graph"));
	struct json_object *mapped = json_new();
	struct provider_job copy = *job;
	struct gen_spec spec = *job->spec; /* borrowed, not copied */
	bool ok;

	copy.spec = &spec;
	if (!spec.has_seed && job->nonce != NULL) {
		spec.has_seed = true;
		spec.seed = seed_of(job->nonce);
	}
	/* What the uploads are called there. */
	copy.start = (struct provider_image){
	    .url = json_text_at(job->refs, "start_image")};
	copy.end = (struct provider_image){
	    .url = json_text_at(job->refs, "end_image")};
	ok = provider_map(&copy, mapped, err) && fill_graph(graph, mapped, err);
	json_free(&mapped);
	if (!ok)
		json_free(&graph);
	*out = graph;
	return ok;
}

static bool
comfyui_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *graph, *body;

	if (json_count(json_obj_at(job->params, "options.graph")) == 0)
		return err_set_name(err, ERR_INTERNAL, "bad_params",
		    "The route to ComfyUI has no graph");
	if (next_image(job, job->refs) != NULL)
		return err_set_name(err, ERR_INTERNAL, "image_unavailable",
		    "The image was not uploaded to ComfyUI");
	if (!build_graph(job, &graph, err))
		return false;
	body = json_new();
	json_set_obj(body, "prompt", &graph);
	if (job->nonce != NULL)
		json_set_text(body, "client_id", job->nonce);
	comfyui_start(job, out, "POST", "/prompt", NULL);
	fetch_spec_json(out, &body);
	return true;
}

static void
comfyui_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	struct json_object *body = reply_json(reply);
	const char *id = json_text_at(body, "prompt_id");
	const char *text = json_text_at(body, "error.details");

	(void)job;
	if (text == NULL || text[0] == '\0')
		text = json_text_at(body, "error.message");
	if (text == NULL)
		text = json_text_at(body, "error");
	if (reply->status == 200 && id != NULL && id[0] != '\0') {
		verdict_set_text(&out->provider_id, id);
		out->state = PROVIDER_QUEUED;
		out->refs = json_new();
	} else
		verdict_error(out, PROVIDER_STEP_SUBMIT, reply,
		    json_text_at(body, "error.type"), text, 0);
	json_free(&body);
}

/* --- cancel and download ----------------------------------------------------
 */

static bool
comfyui_cancel(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	struct json_object *body, *list;
	bool running, allowed;

	if (job->provider_id == NULL)
		return err_set_name(err, ERR_INTERNAL, "no_reference",
		    "There is no prompt at ComfyUI to stop");
	body = json_new();
	if (json_bool_at(job->refs, "running", &running) && running &&
	    json_bool_at(job->params, "options.interrupt", &allowed) &&
	    allowed) {
		json_set_text(body, "prompt_id", job->provider_id);
		comfyui_start(job, out, "POST", "/interrupt", NULL);
	} else {
		list = json_new_arr();
		json_add_text(list, job->provider_id);
		json_set_arr(body, "delete", &list);
		comfyui_start(job, out, "POST", "/queue", NULL);
	}
	fetch_spec_json(out, &body);
	return true;
}

static void
comfyui_cancelled(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	(void)job;
	if (reply->status == 200) {
		out->refs = json_new();
		json_set_bool(out->refs, "deleted", true);
	} else
		verdict_http(out, PROVIDER_STEP_CANCEL, reply);
	out->state = PROVIDER_UNKNOWN;
	out->next = PROVIDER_STEP_POLL;
}

static bool
comfyui_download(const struct provider_job *job, const char *url,
    struct fetch_spec *out, struct err *err)
{
	if (!url_is_own(&provider_comfyui, job, url))
		return err_set_name(err, ERR_FORBIDDEN, "url_forbidden",
		    "The result is on another host");
	fetch_spec_init(out, "GET", url);
	fetch_spec_provider(
	    out, job_base(&provider_comfyui, job), job->allow_private);
	if (job->key != NULL && job->key[0] != '\0')
		fetch_spec_bearer(out, job->key);
	out->tag = provider_comfyui.name;
	return true;
}

const struct provider provider_comfyui = {
    .name = "comfyui",
    .title = "ComfyUI",
    .base_url = "http://127.0.0.1:8188",
    .transport = PROVIDER_HTTP,
    .recovery = PROVIDER_RECOVER_FIND,
    .poll_ms = 3000,
    .image_data = true,
    .wants_prepare = comfyui_wants_prepare,
    .prepare = comfyui_prepare,
    .prepared = comfyui_prepared,
    .submit = comfyui_submit,
    .submitted = comfyui_submitted,
    .poll = comfyui_poll,
    .polled = comfyui_polled,
    .result = comfyui_queue,
    .resulted = comfyui_queued,
    .cancel = comfyui_cancel,
    .cancelled = comfyui_cancelled,
    .find = comfyui_find,
    .found = comfyui_found,
    .download = comfyui_download,
    .check = &(const struct provider_check){.path = "/system_stats"},
};
