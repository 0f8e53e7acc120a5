/*
 * images.c - the input images of a submit: read from the store, or linked to,
 * and made to fit what the provider demands.  Nothing was paid for yet: an
 * image that is gone, or can't be made to fit, ends the job with a refund.
 * What was made to fit is not kept; it is made again should the job begin
 * anew, which is cheaper than a file that somebody has to clean up.
 */
#define LOG_MODULE "jobs"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jobs/internal.h"
#include "reeld/log.h"

enum { IMAGE_MAX = 20 * 1024 * 1024 };

/* A file being read on a pool thread; lives until the thread is done. */
struct read_image {
	int fd;
	char *data;
	size_t len;
};

static bool
read_all(void *arg, struct err *err)
{
	struct read_image *self = arg;

	self->data = xmalloc(IMAGE_MAX + 1);
	while (self->len <= IMAGE_MAX) {
		ssize_t n = pread(self->fd, self->data + self->len,
		    IMAGE_MAX + 1 - self->len, (off_t)self->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(
			    err, ERR_INTERNAL, "input: %s", strerror(errno));
		if (n == 0)
			return true;
		self->len += (size_t)n;
	}
	return err_set(err, ERR_TOO_LARGE, "input image too large");
}

static void
read_release(void *arg)
{
	struct read_image *self = arg;

	close(self->fd);
	free(self->data);
	free(self);
}

void
images_free(struct job *job)
{
	for (int i = 0; i < 2; i++) {
		struct job_image *image = &job->images[i];

		free(image->data);
		free(image->url);
		image->data = image->url = NULL;
		image->len = 0;
		image->type[0] = '\0';
	}
	if (job->fit_fd >= 0)
		close(job->fit_fd);
	job->fit_fd = -1;
	job->images_done = 0;
}

static struct job_image *
current(struct job *job)
{
	return &job->images[job->images_done];
}

static void
next(struct job *job)
{
	job->images_done++;
	images_load(job);
}

static void
failed(struct job *job, const struct err *err)
{
	log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
	if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT) {
		job_on_why(job, ON_NOT_SENT, NULL);
		return;
	}
	job_why(job, "bad_input", "image_unavailable",
	    "An input image is not available any more.", err->msg, false);
	job_on_why(job, ON_REFUSED, "image_unavailable");
}

/* --- Reading --------------------------------------------------------------
 */

static void
on_read(const struct err *err, void *arg)
{
	struct job *job = arg;
	struct job_image *image = current(job);

	if (err != NULL) {
		job->image = NULL;
		failed(job, err);
		return;
	}
	image->data = job->image->data;
	image->len = job->image->len;
	job->image->data = NULL;
	job->image = NULL;
	next(job);
}

/* Takes fd. */
static void
read_start(struct job *job, int fd)
{
	job->image = xcalloc(1, sizeof *job->image);
	job->image->fd = fd;
	work_start(job->engine->d.media, read_all, read_release, job->image,
	    &job->work, on_read, job);
}

/* --- Making it fit --------------------------------------------------------
 */

static void
on_fit(const struct media_result *result, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct job_image *image = current(job);
	int fd = job->fit_fd;

	if (err != NULL && err->code != ERR_UNAVAILABLE &&
	    err->code != ERR_STORAGE) {
		log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
		job_why(job, "bad_input", "image_unusable",
		    "An input image can't be made to fit what this model "
		    "takes.",
		    err->msg, false);
		job_on_why(job, ON_REFUSED, "image_unusable");
		return;
	}
	if (err != NULL) { /* our own trouble: later again */
		log_warn("job=%s msg=%s", job->id.text, log_text(err->msg));
		job_on_why(job, ON_NOT_SENT, NULL);
		return;
	}
	str_copy(image->type, sizeof image->type, result->type);
	job->engine->stats.images_fitted++;
	job->fit_fd = -1;
	read_start(job, fd);
}

/* From fd, which stays the caller's, into a file without a name. */
static void
fit_start(struct job *job, int fd)
{
	struct provider_job pj;
	struct err err = {0};
	struct fit fit;

	job_provider(job, &pj);
	job->fit_fd = memfd_create("fit", MFD_CLOEXEC);
	if (job->fit_fd < 0) {
		log_warn(
		    "job=%s msg=%s", job->id.text, log_text(strerror(errno)));
		job_later(job, ON_NOT_SENT, NULL);
		return;
	}
	/* What was made travels as bytes. */
	if (!provider_image_fit(job->lane->provider, &pj, true, &fit, &err)) {
		log_error("job=%s msg=%s", job->id.text, log_text(err.msg));
		job_why(job, "internal", "bad_params",
		    "This model can't be used now.", err.msg, false);
		job_later(job, ON_REFUSED, job->why_code);
		return;
	}
	media_fit_start(job->engine->d.media, fd, job->fit_fd, &fit, &job->work,
	    on_fit, job);
}

/* The same from bytes. */
static void
fit_bytes(struct job *job, const char *data, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd < 0 || done < len) {
		log_warn(
		    "job=%s msg=%s", job->id.text, log_text(strerror(errno)));
		job_later(job, ON_NOT_SENT, NULL);
	} else {
		fit_start(job, fd);
	}
	if (fd >= 0)
		close(fd);
}

/* --- From the store -------------------------------------------------------
 */

static void
on_fetched(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	struct job *job = arg;
	struct job_image *image = current(job);
	struct err why = {0};

	if (err == NULL && reply->status == 200) {
		if (image->unfit) {
			fit_bytes(job, reply->body.data, reply->body.len);
			return;
		}
		image->data = xmemdup(reply->body.data, reply->body.len);
		image->len = reply->body.len;
		next(job);
		return;
	}
	if (err != NULL && err->code == ERR_TOO_LARGE)
		why = *err;
	else if (err == NULL && reply->status == 404)
		(void)err_set(&why, ERR_NOT_FOUND, "the input is gone");
	else /* our own store stutters: nothing was paid for yet */
		(void)err_set(&why, ERR_UNAVAILABLE, "input: %s, status %d",
		    err != NULL ? err->msg : "not served", reply->status);
	failed(job, &why);
}

/* From our own store, for providers that want the bytes. */
static void
fetch_bytes(struct job *job, const char *url)
{
	struct fetch_spec spec;

	fetch_spec_init(&spec, "GET", url);
	fetch_spec_provider(&spec, url, true);
	spec.max_bytes = IMAGE_MAX;
	spec.tag = "storage";
	fetch_start(job->engine->d.fetch, &spec, &job->call, on_fetched, job);
}

static bool
travels_as_data(const struct job *job)
{
	const struct engine_deps *d = &job->engine->d;

	return !d->s3 || d->store_private || job->lane->provider->image_data;
}

/* A bucket: a link that outlives the wait in their queue, or the bytes where
 * they want those or can't reach the bucket. */
static void
link_or_fetch(struct job *job, const char *url)
{
	struct job_image *image = current(job);
	int64_t ttl_s = job->deadline_s + 3600;

	if (image->unfit || travels_as_data(job)) {
		fetch_bytes(job, url);
		return;
	}
	image->url = storage_presign(job->engine->d.storage, "GET", image->key,
	    ttl_s < 7 * 86400 ? ttl_s : 7 * 86400, NULL);
	next(job);
}

static void
on_open(const struct storage_object *object, const struct err *err, void *arg)
{
	struct job *job = arg;

	if (err != NULL) {
		failed(job, err);
	} else if (object->url != NULL) {
		link_or_fetch(job, object->url);
	} else if (current(job)->unfit) {
		fit_start(job, object->fd);
		close(object->fd);
	} else {
		read_start(job, object->fd);
	}
}

/* Does it have to be made to fit?  A wrong document of the route shows when
 * it is. */
static bool
is_unfit(struct job *job, const struct job_image *image)
{
	struct provider_job pj;
	struct fit fit;
	struct fit_image facts = {.bytes = image->bytes,
	    .width = image->width,
	    .height = image->height,
	    .mime = image->mime};

	job_provider(job, &pj);
	return !provider_image_fit(job->lane->provider, &pj,
		   travels_as_data(job), &fit, NULL) ||
	    !fit_accepts(&fit, &facts);
}

void
images_load(struct job *job)
{
	while (job->images_done < 2) {
		struct job_image *image = current(job);

		if (image->key[0] != '\0') {
			image->unfit = is_unfit(job, image);
			str_copy(image->type, sizeof image->type, image->mime);
			storage_open_start(job->engine->d.storage, image->key,
			    &job->storage, on_open, job);
			return;
		}
		job->images_done++;
	}
	submit_loaded(job);
}
