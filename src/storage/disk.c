/*
 * disk.c - objects in a directory: everything here that may block runs on
 * the pool's file threads.
 *
 * A put makes the file's bytes durable before it gives them their name, and
 * the name durable before it says so: fsync(file), rename, fsync(directory).
 * So an object is whole or absent, whenever the process dies.
 */
#define LOG_MODULE "storage"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "reeld/crash.h"
#include "reeld/id.h"
#include "reeld/log.h"
#include "storage/internal.h"

/* What a pool thread works with: copies, since the owner may go away. */
struct disk_job {
	char *dir, *key, *temp;
	int fd; /* put: a duplicate; open: the result */
	int64_t size;
	bool want_fd;
};

static bool
disk_err(struct err *err, const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set_name(
		    err, ERR_STORAGE, "disk_full", "the disk is full");
	if (errno == ENOENT)
		return err_set_name(
		    err, ERR_NOT_FOUND, "not_found", "no such object");
	return err_set_name(
	    err, ERR_INTERNAL, "disk_failed", "%s: %s", what, strerror(errno));
}

static void
on_release(void *arg)
{
	struct disk_job *job = arg;

	if (job->fd >= 0)
		close(job->fd);
	free(job->dir);
	free(job->key);
	free(job->temp);
	free(job);
}

static struct disk_job *
job_new(const struct storage *st, const char *key)
{
	struct disk_job *job = xcalloc(1, sizeof *job);

	job->dir = xstrdup(st->dir);
	job->key = xstrdup(key);
	job->fd = -1;
	return job;
}

static bool
sync_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return disk_err(err, "directory");
	ok = fsync(fd) == 0 || disk_err(err, "directory fsync");
	close(fd);
	return ok;
}

/* Makes the directories of path below dir; each new name is made durable. */
static bool
make_dirs(const char *dir, char *path, struct err *err)
{
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		int made;

		*p = '\0';
		made = mkdir(path, 0750);
		if (made != 0 && errno != EEXIST) {
			*p = '/';
			return disk_err(err, "mkdir");
		}
		if (made == 0) {
			char *up = strrchr(path, '/');
			bool ok;

			*up = '\0';
			ok = sync_dir(path, err);
			*up = '/';
			if (!ok) {
				*p = '/';
				return false;
			}
		}
		*p = '/';
	}
	return true;
}

bool
disk_prepare(const char *dir, struct err *err)
{
	char *tmp = xasprintf("%s/tmp", dir);
	bool ok = true;

	if (mkdir(dir, 0750) != 0 && errno != EEXIST)
		ok = err_set(err, ERR_INTERNAL, "storage.dir %s: %s", dir,
		    strerror(errno));
	else if (mkdir(tmp, 0750) != 0 && errno != EEXIST)
		ok = err_set(err, ERR_INTERNAL, "storage.dir %s: %s", tmp,
		    strerror(errno));
	else if (access(tmp, R_OK | W_OK | X_OK) != 0)
		ok = err_set(err, ERR_INTERNAL, "storage.dir %s: %s", tmp,
		    strerror(errno));
	free(tmp);
	return ok;
}

/* A file elsewhere, or without a name and on another disk. */
static bool
copy_to(const struct disk_job *job, const char *path, struct err *err)
{
	int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	off_t from = 0;
	bool ok = out >= 0;

	while (ok && from < job->size) {
		char part[65536];
		ssize_t n = pread(job->fd, part, sizeof part, from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		ok = n > 0;
		for (ssize_t put = 0, m; ok && put < n; put += m) {
			m = write(out, part + put, (size_t)(n - put));
			if (m < 0 && errno == EINTR)
				m = 0;
			ok = m >= 0;
		}
		from += ok ? n : 0;
	}
	ok = ok && fsync(out) == 0;
	if (!ok)
		disk_err(err, "copy");
	if (out >= 0)
		close(out);
	return ok;
}

/* Gives the open file a name in tmp, ready to be renamed. */
static char *
stage(const struct disk_job *job, struct err *err)
{
	char token[32], proc[40], *path;

	random_token(token, sizeof token, 12);
	path = xasprintf("%s/tmp/put-%s", job->dir, token);
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", job->fd);
	if (linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ||
	    copy_to(job, path, err))
		return path;
	(void)unlink(path);
	free(path);
	return NULL;
}

static bool
move(const struct disk_job *job, const char *from, char *to, struct err *err)
{
	/* A delete may take away the directory that was just found empty. */
	for (int i = 0; i < 3; i++) {
		if (!make_dirs(job->dir, to, err))
			return false;
		crash_point("put_synced");
		if (rename(from, to) == 0)
			return true;
		if (errno != ENOENT || access(from, F_OK) != 0)
			break;
	}
	return disk_err(err, "rename");
}

static bool
place(const struct disk_job *job, const char *from, struct err *err)
{
	char *to = xasprintf("%s/%s", job->dir, job->key), *slash;
	bool ok = move(job, from, to, err);

	if (ok) {
		crash_point("put_renamed");
		slash = strrchr(to, '/');
		*slash = '\0';
		ok = sync_dir(to, err);
	}
	free(to);
	return ok;
}

static bool
run_put(void *arg, struct err *err)
{
	struct disk_job *job = arg;
	struct stat sb;
	char *from;
	bool ok;

	if (fstat(job->fd, &sb) != 0)
		return disk_err(err, "stat");
	if (sb.st_size != job->size)
		return err_set_name(err, ERR_INTERNAL, "disk_failed",
		    "the file has %lld bytes, not %lld", (long long)sb.st_size,
		    (long long)job->size);
	from = job->temp != NULL ? xasprintf("%s/tmp/%s", job->dir, job->temp)
				 : NULL;
	crash_point("put_start");
	if (fsync(job->fd) != 0) {
		err_set_name(err, ERR_STORAGE, "disk_lost",
		    "the disk did not keep the file: %s", strerror(errno));
		/* The kernel forgets what it failed to write: a second fsync
		 * would lie, so these bytes must not be used again. */
		if (from != NULL)
			(void)unlink(from);
		free(from);
		return false;
	}
	if (from == NULL)
		from = stage(job, err);
	if (from == NULL)
		return false;
	ok = place(job, from, err);
	if (!ok && job->temp == NULL)
		(void)unlink(from);
	free(from);
	return ok;
}

static void
on_put(const struct err *err, void *arg)
{
	struct storage_work *self = arg;
	struct storage_object object = {.fd = -1, .size = self->job->size};

	task_done(self, &object, err);
}

void
disk_put(struct storage_work *work, const struct storage_put *put)
{
	struct disk_job *job = job_new(work->st, put->key);

	job->temp = xstrdup(put->temp);
	job->size = put->size;
	/* The owner may close his after a cancel, while a thread syncs. */
	job->fd = fcntl(put->fd, F_DUPFD_CLOEXEC, 0);
	work->job = job;
	work_start(work->st->pool, run_put, on_release, job, &work->file,
	    on_put, work);
}

static bool
run_delete(void *arg, struct err *err)
{
	struct disk_job *job = arg;
	char *path = xasprintf("%s/%s", job->dir, job->key), *slash;
	bool ok = unlink(path) == 0, absent = !ok && errno == ENOENT;

	if (!ok && !absent)
		disk_err(err, "unlink");
	slash = strrchr(path, '/');
	*slash = '\0';
	if (ok)
		ok = sync_dir(path, err);
	/* Each generation has a directory of its own; not empty is fine. */
	if (ok && strchr(job->key, '/') != NULL)
		(void)rmdir(path);
	free(path);
	return ok || absent;
}

static void
on_deleted(const struct err *err, void *arg)
{
	struct storage_object object = {.fd = -1, .size = -1};

	task_done(arg, &object, err);
}

void
disk_delete(struct storage_work *work)
{
	work->job = job_new(work->st, work->key);
	work_start(work->st->pool, run_delete, on_release, work->job,
	    &work->file, on_deleted, work);
}

static bool
run_open(void *arg, struct err *err)
{
	struct disk_job *job = arg;
	char *path = xasprintf("%s/%s", job->dir, job->key);
	struct stat sb;

	job->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	free(path);
	if (job->fd < 0 || fstat(job->fd, &sb) != 0)
		return disk_err(err, "open");
	if (!S_ISREG(sb.st_mode))
		return err_set_name(
		    err, ERR_NOT_FOUND, "not_found", "no such object");
	job->size = sb.st_size;
	return true;
}

static void
on_opened(const struct err *err, void *arg)
{
	struct storage_work *self = arg;
	struct storage_object object = {.fd = -1};

	if (err == NULL) {
		object.size = self->job->size;
		if (self->job->want_fd) {
			object.fd = self->job->fd;
			self->job->fd = -1;
		}
	}
	task_done(self, &object, err);
}

void
disk_open(struct storage_work *work, bool want_fd)
{
	work->job = job_new(work->st, work->key);
	work->job->want_fd = want_fd;
	work_start(work->st->pool, run_open, on_release, work->job, &work->file,
	    on_opened, work);
}

static bool
run_drop(void *arg, struct err *err)
{
	struct disk_job *job = arg;
	char *path = xasprintf("%s/tmp/%s", job->dir, job->temp);
	bool ok = unlink(path) == 0 || errno == ENOENT;

	if (!ok) {
		disk_err(err, "unlink");
		log_warn("file=%s msg=%s", log_text(path),
		    log_text(strerror(errno)));
	}
	free(path);
	return ok;
}

void
disk_drop(struct storage *st, const char *name)
{
	struct disk_job *job = job_new(st, "");

	job->temp = xstrdup(name);
	work_start(st->pool, run_drop, on_release, job, NULL, NULL, NULL);
}

static bool
run_sweep(void *arg, struct err *err)
{
	struct disk_job *job = arg;
	char *path = xasprintf("%s/tmp", job->dir);
	DIR *dir = opendir(path);
	time_t now = time(NULL);
	struct dirent *entry;
	struct stat sb;

	free(path);
	if (dir == NULL)
		return disk_err(err, "sweep");
	while ((entry = readdir(dir)) != NULL) {
		if (fstatat(dirfd(dir), entry->d_name, &sb,
			AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(sb.st_mode) || now - sb.st_mtime < STALE_TEMP_S)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			log_info("file=%s msg=\"swept a staging file\"",
			    log_text(entry->d_name));
	}
	closedir(dir);
	return true;
}

void
disk_sweep(struct storage *st)
{
	work_start(
	    st->pool, run_sweep, on_release, job_new(st, ""), NULL, NULL, NULL);
}
