/* server.c - the worker's calls to reeld. */
#define LOG_MODULE "worker"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "reeld/clock.h"
#include "reeld/log.h"
#include "worker/worker.h"

#define MAX_REPLY (1024 * 1024)
#define MAX_IMAGE_BYTES (64 * 1024 * 1024)

void
server_reply_fini(struct server_reply *reply)
{
	json_object_put(reply->json);
	reply->json = NULL;
}

static size_t
on_reply(char *data, size_t size, size_t n, void *arg)
{
	struct buf *buf = arg;

	buf_add(buf, data, size * n);
	return buf_ok(buf) ? size * n : 0;
}

static struct curl_slist *
headers_for(const struct worker *worker, const char *token, const char *type)
{
	struct curl_slist *list = NULL;
	char *line = xasprintf("Authorization: Bearer %s", worker->key);

	list = curl_slist_append(list, line);
	free(line);
	if (token != NULL) {
		line = xasprintf("X-Job-Token: %s", token);
		list = curl_slist_append(list, line);
		free(line);
	}
	if (type != NULL) {
		line = xasprintf("Content-Type: %s", type);
		list = curl_slist_append(list, line);
		free(line);
	}
	return curl_slist_append(list, "Expect:");
}

static CURL *
handle_new(const char *url, struct curl_slist *headers, struct buf *body)
{
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		abort();
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(
	    curl, CURLOPT_USERAGENT, "reel-worker/" PACKAGE_VERSION);
	if (body != NULL) {
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_reply);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	}
	return curl;
}

static void
finish(CURL *curl, CURLcode result, const char *path, struct buf *body,
    struct server_reply *reply)
{
	long status = 0;

	memset(reply, 0, sizeof *reply);
	if (result != CURLE_OK) {
		log_warn("path=%s msg=%s", path,
		    log_text(curl_easy_strerror(result)));
	} else {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		reply->status = (int)status;
		if (body->len > 0)
			reply->json = json_tokener_parse(buf_str(body));
	}
	buf_fini(body);
	curl_easy_cleanup(curl);
}

void
server_post(struct worker *worker, const char *path, const char *token,
    struct json_object **body, int timeout_s, struct server_reply *reply)
{
	char *url = xasprintf("%s/api/v1/worker%s", worker->url, path);
	struct curl_slist *headers =
	    headers_for(worker, token, "application/json");
	struct buf answer;
	CURL *curl;

	buf_init(&answer, MAX_REPLY);
	curl = handle_new(url, headers, &answer);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS,
	    body != NULL && *body != NULL
		? json_object_to_json_string_ext(*body, JSON_C_TO_STRING_PLAIN)
		: "{}");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout_s);
	finish(curl, curl_easy_perform(curl), path, &answer, reply);
	if (body != NULL) {
		json_object_put(*body);
		*body = NULL;
	}
	curl_slist_free_all(headers);
	free(url);
}

/* A long transfer beats too: a silent worker's job is given to another. */
struct transfer {
	struct worker *worker;
	const char *job;
};

static int
on_transfer(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct transfer *self = arg;

	/* To be stopped or not: what is made is sent. */
	(void)server_beat(self->worker, self->job);
	return 0;
}

static void
beat_during(CURL *curl, struct transfer *transfer)
{
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_transfer);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
}

void
server_upload(struct worker *worker, const char *job, const char *token,
    const char *file, struct server_reply *reply)
{
	struct transfer transfer = {worker, job};
	char *path = xasprintf("/jobs/%s/upload", job);
	char *url = xasprintf("%s/api/v1/worker%s", worker->url, path);
	struct curl_slist *headers = headers_for(worker, token, "video/mp4");
	FILE *in = fopen(file, "rbe");
	struct buf answer;
	struct stat st;
	CURL *curl;

	memset(reply, 0, sizeof *reply);
	if (in == NULL || fstat(fileno(in), &st) != 0) {
		log_error("file=%s msg=%s", log_text(file),
		    log_text(strerror(errno)));
	} else {
		buf_init(&answer, MAX_REPLY);
		curl = handle_new(url, headers, &answer);
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READDATA, in);
		curl_easy_setopt(
		    curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
		beat_during(curl, &transfer);
		finish(curl, curl_easy_perform(curl), path, &answer, reply);
	}
	if (in != NULL)
		fclose(in);
	curl_slist_free_all(headers);
	free(url);
	free(path);
}

/* One GET into the file.  next: where a redirect points, or NULL. */
static CURLcode
get_file(const char *url, struct curl_slist *headers, const char *file,
    struct transfer *transfer, long *status, char **next)
{
	FILE *out = fopen(file, "wbe");
	CURLcode result = CURLE_WRITE_ERROR;
	const char *redirect = NULL;
	CURL *curl;

	*next = NULL;
	*status = 0;
	if (out == NULL)
		return result;
	curl = handle_new(url, headers, NULL);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(
	    curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)MAX_IMAGE_BYTES);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 120L);
	beat_during(curl, transfer);
	result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
	*next = xstrdup(redirect);
	curl_easy_cleanup(curl);
	if (fclose(out) != 0)
		result = CURLE_WRITE_ERROR;
	return result;
}

bool
server_download(struct worker *worker, const char *job, const char *url,
    const char *token, const char *file, struct err *err)
{
	struct transfer transfer = {worker, job};
	bool ours =
	    str_starts(url, worker->url) && url[strlen(worker->url)] == '/';
	/* Our key and the job's token go to our own server only; a redirect
	 * leads into the bucket, with a signed link that needs neither. */
	struct curl_slist *headers = ours ? headers_for(worker, token, NULL)
					  : curl_slist_append(NULL, "Expect:");
	struct curl_slist *plain = curl_slist_append(NULL, "Expect:");
	char *next = NULL, *more = NULL;
	long status;
	CURLcode result =
	    get_file(url, headers, file, &transfer, &status, &next);

	if (result == CURLE_OK && next != NULL)
		result = get_file(next, plain, file, &transfer, &status, &more);
	free(more);
	free(next);
	curl_slist_free_all(plain);
	curl_slist_free_all(headers);
	if (result != CURLE_OK)
		return err_set(err, ERR_UPSTREAM, "input image: %s",
		    curl_easy_strerror(result));
	if (status != 200)
		return err_set(
		    err, ERR_UPSTREAM, "input image: HTTP %ld", status);
	return true;
}

bool
server_register(struct worker *worker, struct err *err)
{
	struct json_object *body = json_object_new_object(), *types, *value;
	struct server_reply reply;
	bool ok;

	types = json_object_new_array();
	for (int i = 0; i < worker->n_on; i++)
		json_object_array_add(
		    types, json_object_new_string(worker->on[i].type));
	json_object_object_add(
	    body, "name", json_object_new_string(worker->name));
	json_object_object_add(
	    body, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(body, "capabilities", types);
	server_post(worker, "/register", NULL, &body, 10, &reply);
	ok = reply.status == 200 &&
	    json_object_object_get_ex(reply.json, "worker_id", &value) &&
	    str_copy(
		worker->id, sizeof worker->id, json_object_get_string(value));
	if (ok && json_object_object_get_ex(reply.json, "heartbeat_s", &value))
		worker->heartbeat_ms = json_object_get_int(value) * 1000LL;
	if (worker->heartbeat_ms < 1000)
		worker->heartbeat_ms = 10000;
	worker->next_beat_ms = clock_mono_ms() + worker->heartbeat_ms;
	if (!ok)
		err_set(err,
		    reply.status == 401 || reply.status == 403
			? ERR_FORBIDDEN
			: ERR_UNAVAILABLE,
		    "register: HTTP %d", reply.status);
	server_reply_fini(&reply);
	return ok;
}

bool
server_beat(struct worker *worker, const char *job)
{
	struct json_object *body, *value;
	struct server_reply reply;
	bool cancel = false;

	if (clock_mono_ms() < worker->next_beat_ms)
		return false;
	worker->next_beat_ms = clock_mono_ms() + worker->heartbeat_ms;
	body = json_object_new_object();
	json_object_object_add(
	    body, "worker_id", json_object_new_string(worker->id));
	json_object_object_add(
	    body, "job", job != NULL ? json_object_new_string(job) : NULL);
	server_post(worker, "/heartbeat", NULL, &body, 5, &reply);
	if (reply.status == 200) {
		cancel =
		    json_object_object_get_ex(reply.json, "cancel", &value) &&
		    json_object_get_boolean(value);
		worker->drain =
		    json_object_object_get_ex(reply.json, "drain", &value) &&
		    json_object_get_boolean(value);
	} else if (reply.status == 404) {
		/* The server forgot us (a new database): introduce ourselves
		 * again, at the next chance. */
		worker->id[0] = '\0';
	}
	server_reply_fini(&reply);
	return cancel;
}
