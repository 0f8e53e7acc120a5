/*
 * finish.c - from a staged file to a playable video: probe, store the
 * original, a copy for browsers when they can't play it, a poster, and the
 * one transaction that settles the charge.  Keys are deterministic, so doing
 * any of it again after a crash changes nothing.  A poster or a copy that
 * can't be made never fails the job.
 */
#define LOG_MODULE "jobs"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs/internal.h"
#include "reeld/json.h"
#include "reeld/log.h"

static void
on_probed(const struct media_result *result, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct step_event event = {.on = ON_PROBED};

	if (err == NULL) {
		job->video.info = result->info;
		job->video.width = result->info.width;
		job->video.height = result->info.height;
		job->video.probed = true;
		event.unplayable = !result->info.browser_playable;
		job_on(job, &event);
		return;
	}
	log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
	if (err->code == ERR_INVALID || err->code == ERR_MEDIA_TYPE ||
	    err->code == ERR_TOO_LARGE) {
		job_why(job, "provider", "media_invalid",
		    "The provider's result is not a video we can read.",
		    err->msg, true);
		job_on_why(job, ON_MEDIA_BAD, job->why_code);
		return;
	}
	job_on_simple(job, ON_MEDIA_AWAY);
}

void
finish_probe(struct job *job)
{
	media_probe_start(
	    job->engine->d.media, job->video.fd, &job->work, on_probed, job);
}

/* --- Storing ---------------------------------------------------------------
 */

static const char *
type_of(const struct job_file *file)
{
	if (str_eq(file->info.format, "webm"))
		return "video/webm";
	if (str_eq(file->info.format, "matroska"))
		return "video/x-matroska";
	if (str_eq(file->info.format, "mov"))
		return "video/quicktime";
	return "video/mp4";
}

static const char *
suffix_of(const char *type)
{
	return str_eq(type, "video/webm")      ? "webm"
	    : str_eq(type, "video/x-matroska") ? "mkv"
	    : str_eq(type, "video/quicktime")  ? "mov"
					       : "mp4";
}

static void
put(struct job *job, struct job_file *file, storage_done_fn *done)
{
	uint8_t sum[32];
	struct storage_put put = {
	    .key = file->key,
	    .fd = file->fd,
	    .size = file->size_bytes,
	    .temp = file->temp[0] != '\0' ? file->temp : NULL,
	    .sha256 = file->sha256[0] != '\0' &&
		    hex_decode(sum, sizeof sum, file->sha256)
		? sum
		: NULL,
	    .type = file->type,
	    .visibility = STORAGE_PRIVATE,
	};

	storage_put_start(
	    job->engine->d.storage, &put, &job->storage, done, job);
}

static void
on_stored(const struct storage_object *object, const struct err *err, void *arg)
{
	struct job *job = arg;

	(void)object;
	if (err != NULL) {
		struct step_event event = {.on = ON_STORE_AWAY,
		    .lost = !job->engine->d.s3 &&
			(err->code == ERR_NOT_FOUND ||
			    str_eq(err->name, "disk_lost"))};

		log_warn("job=%s lost=%d msg=%s", job->id.text, event.lost,
		    log_text(err->msg));
		/* The disk dropped it; the provider still has it. */
		if (event.lost)
			download_forget(job);
		job_on(job, &event);
		return;
	}
	job->video.temp[0] = '\0'; /* moved */
	crash_point("store.stored");
	job_on_simple(job, ON_STORED);
}

void
finish_store(struct job *job)
{
	struct job_file *file = &job->video;

	str_copy(file->type, sizeof file->type, type_of(file));
	if (job->result_url != NULL && str_starts(job->result_url, "store:")) {
		/* A worker's upload is there already. */
		job_later(job, ON_STORED, NULL);
		return;
	}
	snprintf(file->key, sizeof file->key, "videos/%s/%s.%s",
	    job->generation.text,
	    file->sha256[0] != '\0' ? file->sha256 : "original",
	    suffix_of(file->type));
	crash_point("store.before_put");
	put(job, file, on_stored);
}

/* --- The side files: a copy for browsers, the poster ------------------------
 */

static void
side_failed(struct job *job, struct job_file *file, const char *what,
    const struct err *err)
{
	log_warn(
	    "job=%s what=%s msg=%s", job->id.text, what, log_text(err->msg));
	if (file == &job->poster)
		job->engine->stats.poster_failures++;
	job_file_drop(job, file);
	job_on_simple(job, ON_SIDE_DONE);
}

static struct job_file *
side_of(struct job *job)
{
	return job->state.phase == STEP_RENDERING ? &job->playable
						  : &job->poster;
}

static void
on_side_stored(
    const struct storage_object *object, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct job_file *file = side_of(job);

	(void)object;
	if (err != NULL) {
		side_failed(job, file, file->key, err);
		return;
	}
	if (file == &job->poster) {
		job->engine->stats.posters++;
		crash_point("poster.stored");
	} else {
		job->engine->stats.renditions++;
		crash_point("rendition.stored");
	}
	job_on_simple(job, ON_SIDE_DONE);
}

static void
on_side_made(
    const struct media_result *result, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct job_file *file = side_of(job);

	if (err != NULL) {
		side_failed(job, file, "side", err);
		return;
	}
	file->width = result->width;
	file->height = result->height;
	file->size_bytes = result->size_bytes;
	str_copy(file->type, sizeof file->type, result->type);
	if (file == &job->poster) {
		crash_point("poster.done");
		snprintf(file->key, sizeof file->key, "thumbnails/%s.jpg",
		    job->generation.text);
	} else {
		snprintf(file->key, sizeof file->key, "videos/%s/playable.mp4",
		    job->generation.text);
	}
	put(job, file, on_side_stored);
}

static bool
open_side(struct job *job, struct job_file *file)
{
	struct err err = {0};

	job_file_drop(job, file);
	if (storage_temp_anon(job->engine->d.storage, &file->fd, &err))
		return true;
	file->fd = -1;
	log_warn("job=%s msg=%s", job->id.text, log_text(err.msg));
	job_later(job, ON_SIDE_DONE, NULL);
	return false;
}

void
finish_render(struct job *job)
{
	if (open_side(job, &job->playable))
		media_rendition_start(job->engine->d.media, job->video.fd,
		    job->playable.fd, &job->work, on_side_made, job);
}

void
finish_poster(struct job *job)
{
	crash_point("poster.before");
	if (open_side(job, &job->poster))
		media_poster_start(job->engine->d.media, job->video.fd,
		    job->poster.fd, &job->work, on_side_made, job);
}

/* --- The end ----------------------------------------------------------------
 */

static void
add_asset(struct job *job, struct json_object *assets,
    const struct job_file *file, const char *role, const char *kind)
{
	struct json_object *a = json_new();
	const struct media_info *info = &job->video.info;
	bool moving = file != &job->poster && job->video.probed;
	struct id id = id_new();

	json_set_text(a, "id", id.text);
	json_set_text(a, "role", role);
	json_set_text(a, "kind", kind);
	json_set_text(a, "backend", job->engine->d.s3 ? "s3" : "local");
	json_set_text(a, "bucket", job->engine->bucket);
	json_set_text(a, "key", file->key);
	json_set_text(a, "mime", file->type);
	json_set_int(a, "size_bytes", file->size_bytes);
	if (file->sha256[0] != '\0')
		json_set_text(a, "sha256", file->sha256);
	if (file->width > 0 && file->height > 0) {
		json_set_int(a, "width", file->width);
		json_set_int(a, "height", file->height);
	}
	if (moving) {
		json_set_int(a, "duration_ms", info->duration_ms);
		if (info->fps_den > 0 && info->fps_num > 0)
			json_set_num(
			    a, "fps", (double)info->fps_num / info->fps_den);
		json_set_bool(a, "has_audio", info->has_audio);
		json_set_text(a, "codec",
		    file == &job->playable ? "h264" : info->video_codec);
	}
	json_add_obj(assets, &a);
}

static struct json_object *
describe(const struct job *job)
{
	struct json_object *v = json_new();
	const struct media_info *info = &job->video.info;

	json_set_int(v, "size_bytes", job->video.size_bytes);
	if (!job->video.probed)
		return v;
	json_set_int(v, "width", info->width);
	json_set_int(v, "height", info->height);
	json_set_num(v, "duration_s", (double)info->duration_ms / 1000);
	if (info->fps_den > 0 && info->fps_num > 0)
		json_set_num(v, "fps", (double)info->fps_num / info->fps_den);
	json_set_bool(v, "has_audio", info->has_audio);
	json_set_text(v, "codec", info->video_codec);
	return v;
}

void
finish_commit(struct job *job)
{
	if (settle_is_due(job))
		settle_start(job);
	else
		finish_commit_settled(job);
}

void
finish_commit_settled(struct job *job)
{
	struct json_object *assets = json_new_arr(), *video = describe(job);
	char *assets_text, *video_text;

	add_asset(job, assets, &job->video, "video", "video");
	if (job->poster.key[0] != '\0')
		add_asset(job, assets, &job->poster, "thumbnail", "thumbnail");
	if (job->playable.key[0] != '\0')
		add_asset(
		    job, assets, &job->playable, "rendition", "rendition");
	assets_text = json_dump_text(assets);
	video_text = json_dump_text(video);
	json_free(&assets);
	json_free(&video);
	crash_point("finish.before_commit");
	pg_query_start(job->engine->d.pg, STMT_GENERATION_FINISH,
	    PG_ARGS(job->id.text, job->engine->instance.text, assets_text,
		video_text, job->settle >= 0 ? pg_num(job->settle) : NULL,
		job->cost_micro_usd >= 0 ? pg_num(job->cost_micro_usd) : NULL),
	    &job->query, job_on_sql, job);
	free(assets_text);
	free(video_text);
}
