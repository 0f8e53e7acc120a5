/*
 * download.c - fetching the finished video: its link is recorded, then the
 * bytes go to a staging file, resumed after a break, with limits of size and
 * time, and a look at the first bytes: a web page is not a video.
 */
#define LOG_MODULE "jobs"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/log.h"

void
download_finalize(struct job *job)
{
	const char *expires =
	    job->result_expires_ms > 0 ? pg_num(job->result_expires_ms) : NULL;

	crash_point("finalize.before_commit");
	/* A fresh link of what is being downloaded already. */
	if (job->state.relinks > 0 || job->state.from == FROM_DOWNLOAD) {
		pg_query_start(job->engine->d.pg, STMT_GENERATION_RESULT_URL,
		    PG_ARGS(job->id.text, job->engine->instance.text,
			job->result_url, expires),
		    &job->query, job_on_sql, job);
		return;
	}
	pg_query_start(job->engine->d.pg, STMT_GENERATION_FINALIZING,
	    PG_ARGS(job->id.text, job->engine->instance.text, job->result_url,
		expires, NULL,
		job->cost_micro_usd >= 0 ? pg_num(job->cost_micro_usd) : NULL),
	    &job->query, job_on_sql, job);
}

/* What the first bytes are, without opening it. */
static bool
is_text(int fd)
{
	char head[64] = "";
	ssize_t n = pread(fd, head, sizeof head - 1, 0);
	size_t i = 0;

	if (n <= 0)
		return true; /* an empty file is no video either */
	while (i < (size_t)n &&
	    strchr(" \t\r\n\xef\xbb\xbf", head[i]) != NULL && head[i] != '\0')
		i++;
	return head[i] == '<' || head[i] == '{' || head[i] == '[' ||
	    strncmp(head + i, "#EXTM3U", 7) == 0;
}

void
download_forget(struct job *job)
{
	if (job->has_sink)
		fetch_sink_fini(&job->sink);
	job->has_sink = false;
	job_file_drop(job, &job->video);
}

static void
not_a_video(struct job *job)
{
	download_forget(job);
	if (!job->state.fresh_link && job->state.relinks < STEP_RELINKS_MAX) {
		job_on_simple(job, ON_LINK_DEAD);
		return;
	}
	job_why(job, "provider", "result_not_video",
	    "The provider's result is not a video.", NULL, true);
	job_on_why(job, ON_DOWNLOAD_BAD, job->why_code);
}

static void
whole(struct job *job, const struct fetch_reply *reply)
{
	job->video.size_bytes = reply->bytes;
	if (reply->has_sha256)
		hex_encode(job->video.sha256, reply->sha256, 32);
	job->engine->stats.downloads++;
	job->engine->stats.download_bytes += (uint64_t)reply->bytes;
	crash_point("download.complete");
	if (is_text(job->video.fd)) {
		log_warn("job=%s msg=\"the result is text, not a video\"",
		    job->id.text);
		not_a_video(job);
		return;
	}
	job_on_simple(job, ON_DOWNLOADED);
}

/* The link is no good.  Some stores say 400 for an expired one, and a
 * redirect that was not followed leads nowhere next time either; 401, 402 and
 * those that ask to wait are about the account, not about the file. */
static bool
is_dead(int status)
{
	switch (status) {
	case 401:
	case 402:
	case 407:
	case 408:
	case 409:
	case 416:
	case 425:
	case 429:
		return false;
	default:
		return status >= 300 && status < 500;
	}
}

static void
on_reply(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct step_event event = {.on = ON_DOWNLOAD_AWAY,
	    .retry_after_ms = reply->retry_after_s * 1000LL};

	if (err == NULL && (reply->status == 200 || reply->status == 206)) {
		whole(job, reply);
		return;
	}
	job->engine->stats.download_failures++;
	log_warn("job=%s status=%d bytes=%" PRId64 " msg=%s", job->id.text,
	    reply->status, job->sink.bytes,
	    log_text(err != NULL ? err->msg : "not served"));
	if (err != NULL) {
		if (str_eq(err->name, "url_forbidden") ||
		    str_eq(err->name, "reply_too_large") ||
		    str_eq(err->name, "too_many_redirects")) {
			download_forget(job);
			job_why(job, "provider", err->name,
			    "The provider's result can't be fetched.", err->msg,
			    false);
			event.on = ON_DOWNLOAD_BAD;
			event.why = job->why_code;
		}
	} else if (is_dead(reply->status)) {
		event.on = ON_LINK_DEAD;
	} else if (reply->status == 416) {
		download_forget(job); /* what we have is not its beginning */
	}
	job_on(job, &event);
}

static void
on_progress(int64_t bytes, int64_t total, void *arg)
{
	(void)bytes;
	(void)total;
	(void)arg;
	crash_point("download.partial");
}

/* A staging file, kept from one try to the next. */
static bool
open_file(struct job *job, struct err *err)
{
	struct job_file *file = &job->video;

	if (file->fd >= 0)
		return true;
	if (storage_is_low(job->engine->d.storage))
		return err_set(err, ERR_STORAGE, "the disk is nearly full");
	snprintf(file->temp, sizeof file->temp, "%s.%08x.part", job->id.text,
	    random_below(UINT32_MAX));
	if (!storage_temp_open(
		job->engine->d.storage, file->temp, &file->fd, err)) {
		file->temp[0] = '\0';
		file->fd = -1;
		return false;
	}
	fetch_sink_init(&job->sink, file->fd);
	job->has_sink = true;
	return true;
}

static void
fetch_it(struct job *job, const char *url, bool ours)
{
	struct provider_job pj;
	struct fetch_spec spec;
	struct err err = {0};

	if (!open_file(job, &err)) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		job_later(job, ON_DOWNLOAD_AWAY, NULL);
		return;
	}
	job_provider(job, &pj);
	if (ours) {
		fetch_spec_init(&spec, "GET", url);
		fetch_spec_provider(&spec, url, true);
	} else if (!provider_download(job->lane->provider, &pj, url,
		       job->result_needs_key, &spec, &err)) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
		job_why(job, "provider", err_code_name(&err),
		    "The provider's result can't be fetched.", err.msg, false);
		job_later(job, ON_DOWNLOAD_BAD, job->why_code);
		return;
	}
	/* A provider in our own network serves its files there too, but does
	 * not lead us to its neighbours. */
	if (pj.allow_private && !job->result_needs_key) {
		spec.allow_private = true;
		spec.allow_http = true;
		spec.own_private = true;
	}
	spec.max_redirects = spec.max_redirects > 3 ? 3 : spec.max_redirects;
	spec.sink = &job->sink;
	spec.low_speed_ms = job->engine->d.stall_ms;
	if (spec.max_bytes == 0)
		spec.max_bytes = job->engine->d.download_max_bytes;
	fetch_start(job->engine->d.fetch, &spec, &job->call, on_reply, job);
	fetch_on_progress(job->call, on_progress, job);
}

/* A worker's upload is in our store already. */
static void
on_open(const struct storage_object *object, const struct err *err, void *arg)
{
	struct job *job = arg;

	if (err != NULL) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
		if (err->code == ERR_NOT_FOUND) {
			job_why(job, "worker", "result_unavailable",
			    "The finished video is not in the store.", err->msg,
			    true);
			job_on_why(job, ON_DOWNLOAD_BAD, job->why_code);
		} else {
			job_on_simple(job, ON_DOWNLOAD_AWAY);
		}
		return;
	}
	str_copy(job->video.key, sizeof job->video.key, job->result_url + 6);
	if (object->url != NULL) {
		char *url = xstrdup(object->url);

		fetch_it(job, url, true);
		free(url);
		return;
	}
	job->video.fd = object->fd;
	job->video.size_bytes = object->size;
	job_on_simple(job, ON_DOWNLOADED);
}

void
download_start(struct job *job)
{
	if (job->result_url == NULL) {
		job_later(job, ON_LINK_DEAD, NULL);
		return;
	}
	if (str_starts(job->result_url, "store:")) {
		job_file_drop(job, &job->video);
		storage_open_start(job->engine->d.storage, job->result_url + 6,
		    &job->storage, on_open, job);
		return;
	}
	fetch_it(job, job->result_url, false);
}
