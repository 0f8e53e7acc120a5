/*
 * storage.c - the public face: which backend, who owns which work, staging
 * files, room on the disk, public links.
 */
#define LOG_MODULE "storage"
#include "reeld/storage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/log.h"
#include "storage/internal.h"

bool
storage_new(struct loop *loop, struct media_pool *pool, struct fetch *fetch,
    const struct storage_opts *opts, struct storage **out, struct err *err)
{
	struct storage *st;
	struct s3 *s3 = NULL;

	if (!disk_prepare(opts->dir, err))
		return false;
	if (opts->s3) {
		s3 = s3_new(opts, err);
		if (s3 == NULL)
			return false;
	}
	st = xcalloc(1, sizeof *st);
	st->loop = loop;
	st->pool = pool;
	st->fetch = fetch;
	st->dir = xstrdup(opts->dir);
	st->s3 = s3;
	if (opts->public_url != NULL && opts->public_url[0] != '\0') {
		size_t len = strlen(opts->public_url);

		while (len > 0 && opts->public_url[len - 1] == '/')
			len--;
		st->public_url = xstrndup(opts->public_url, len);
	}
	st->low_checked_ms = INT64_MIN;
	*out = st;
	return true;
}

static void
task_free(struct storage_work *work)
{
	*work->prev = work->next;
	if (work->next != NULL)
		work->next->prev = work->prev;
	if (work->slot != NULL)
		*work->slot = NULL;
	work_cancel(&work->file);
	fetch_cancel(&work->call);
	loop_defer_cancel(&work->early);
	timer_fini(&work->retry);
	s3_work_free(work);
	free(work);
}

void
storage_free(struct storage *st)
{
	if (st == NULL)
		return;
	while (st->works != NULL)
		task_free(st->works);
	s3_free(st->s3);
	free(st->dir);
	free(st->public_url);
	free(st);
}

struct storage_work *
task_new(struct storage *st, const char *key, struct storage_work **slot,
    storage_done_fn *done, void *arg)
{
	struct storage_work *work = xcalloc(1, sizeof *work);

	work->st = st;
	work->slot = slot;
	work->done = done;
	work->arg = arg;
	work->fd = -1;
	/* A key too long to copy is refused by storage_key_ok(). */
	(void)str_copy(work->key, sizeof work->key, key);
	work->next = st->works;
	work->prev = &st->works;
	if (work->next != NULL)
		work->next->prev = &work->next;
	st->works = work;
	if (slot != NULL)
		*slot = work;
	return work;
}

void
task_done(struct storage_work *work, const struct storage_object *object,
    const struct err *err)
{
	if (err != NULL) {
		work->st->stats.failed++;
		object = NULL;
	}
	if (work->slot != NULL)
		*work->slot = NULL;
	work->slot = NULL;
	if (work->done != NULL)
		work->done(object, err, work->arg);
	task_free(work);
}

static void
on_early(void *arg)
{
	struct storage_work *self = arg;

	task_done(self, NULL, &self->early_err);
}

static bool
key_fits(struct storage_work *work, const char *key)
{
	if (storage_key_ok(key))
		return true;
	err_set_name(&work->early_err, ERR_BAD_INPUT, "bad_key",
	    "that is not a storage key");
	loop_defer(
	    work->st->loop, "storage early", on_early, work, &work->early);
	return false;
}

bool
storage_key_ok(const char *key)
{
	static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789._-/";
	size_t len = strlen(key);

	if (len == 0 || len > KEY_MAX || strspn(key, fine) != len)
		return false;
	if (key[0] == '/' || key[len - 1] == '/' || str_starts(key, "tmp/"))
		return false;
	return key[0] != '.' && strstr(key, "//") == NULL &&
	    strstr(key, "/.") == NULL && !str_eq(key, "tmp");
}

void
storage_put_start(struct storage *st, const struct storage_put *put,
    struct storage_work **slot, storage_done_fn *done, void *arg)
{
	struct storage_work *work = task_new(st, put->key, slot, done, arg);

	assert(put->fd >= 0);
	st->stats.puts++;
	st->stats.put_bytes += (uint64_t)put->size;
	if (!key_fits(work, put->key))
		return;
	if (st->s3 != NULL)
		s3_put(work, put);
	else
		disk_put(work, put);
}

void
storage_delete_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg)
{
	struct storage_work *work = task_new(st, key, slot, done, arg);

	st->stats.deletes++;
	if (!key_fits(work, key))
		return;
	if (st->s3 != NULL)
		s3_delete(work);
	else
		disk_delete(work);
}

static void
look(struct storage *st, const char *key, struct storage_work **slot,
    storage_done_fn *done, void *arg, bool open)
{
	struct storage_work *work = task_new(st, key, slot, done, arg);

	st->stats.opens += open ? 1 : 0;
	if (!key_fits(work, key))
		return;
	if (st->s3 != NULL)
		s3_open(work, open);
	else
		disk_open(work, open);
}

void
storage_open_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg)
{
	look(st, key, slot, done, arg, true);
}

void
storage_head_start(struct storage *st, const char *key,
    struct storage_work **slot, storage_done_fn *done, void *arg)
{
	look(st, key, slot, done, arg, false);
}

void
storage_cancel(struct storage_work **slot)
{
	struct storage_work *work = *slot;

	if (work == NULL)
		return;
	if (work->upload_id != NULL)
		s3_abort(work->st, work->key, work->upload_id);
	task_free(work);
}

static bool
temp_failed(struct err *err)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set_name(
		    err, ERR_STORAGE, "disk_full", "the disk is full");
	return err_set_name(err, ERR_INTERNAL, "disk_failed",
	    "no staging file: %s", strerror(errno));
}

bool
storage_temp_open(
    struct storage *st, const char *name, int *fd, struct err *err)
{
	char *path;

	if (!storage_key_ok(name) || strchr(name, '/') != NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_key",
		    "that is not a staging name");
	path = xasprintf("%s/tmp/%s", st->dir, name);
	*fd = open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	free(path);
	return *fd >= 0 || temp_failed(err);
}

bool
storage_temp_anon(struct storage *st, int *fd, struct err *err)
{
	char *path = xasprintf("%s/tmp", st->dir);

	*fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0640);
	free(path);
	return *fd >= 0 || temp_failed(err);
}

void
storage_temp_drop(struct storage *st, const char *name)
{
	if (storage_key_ok(name) && strchr(name, '/') == NULL)
		disk_drop(st, name);
}

void
storage_sweep(struct storage *st)
{
	disk_sweep(st);
	if (st->s3 != NULL)
		s3_sweep(st);
}

bool
storage_is_low(struct storage *st)
{
	int64_t now = clock_mono_ms();
	struct statvfs fs;

	if (st->low_checked_ms != INT64_MIN && now - st->low_checked_ms < 1000)
		return st->low;
	st->low_checked_ms = now;
	if (statvfs(st->dir, &fs) != 0)
		st->low = true; /* a disk we cannot see has no room */
	else
		st->low = (uint64_t)fs.f_bavail * 20 < (uint64_t)fs.f_blocks;
	return st->low;
}

char *
storage_public_url(const struct storage *st, const char *key)
{
	if (st->public_url == NULL || !storage_key_ok(key))
		return NULL;
	return xasprintf("%s/%s", st->public_url, key);
}

char *
storage_presign(const struct storage *st, const char *method, const char *key,
    int64_t ttl_s, const char *disposition)
{
	if (st->s3 == NULL || !storage_key_ok(key))
		return NULL;
	assert(ttl_s >= 1 && ttl_s <= 7 * 24 * 3600);
	return s3_presign(st->s3, method, key, ttl_s, disposition);
}

const struct storage_stats *
storage_stats(const struct storage *st)
{
	return &st->stats;
}
