/* process.c - see process.h. */
#define LOG_MODULE "serve"
#include "main/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reeld/id.h"
#include "reeld/log.h"

void
process_prepare(void)
{
	struct rlimit files, none = {0, 0};

	signal(SIGPIPE, SIG_IGN);
	umask(077);
	/* A core file would hold every secret we have. */
	setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			log_warn("msg=\"cannot raise the limit of open "
				 "files\"");
	}
}

char *
process_folder(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	return xstrdup(path);
}

char *
process_helper_path(const char *configured, const char *name)
{
	char *folder, *path;

	if (configured[0] != '\0')
		return xstrdup(configured);
	folder = process_folder();
	path = xasprintf("%s/%s", folder, name);
	free(folder);
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return xasprintf(PKGLIBEXECDIR "/%s", name);
}

char *
process_www_dir(const char *configured)
{
	const char *dir =
	    configured[0] != '\0' ? configured : PKGDATADIR "/www";
	char *index = xasprintf("%s/index.html", dir);
	bool there = access(index, R_OK) == 0;

	free(index);
	if (there)
		return xstrdup(dir);
	log_warn("dir=%s msg=\"no built pages there: only the API is served "
		 "(make www builds them)\"",
	    log_text(dir));
	return NULL;
}

bool
process_write_port(const char *path, int port, struct err *err)
{
	char *temp = xasprintf("%s.%d", path, (int)getpid()), text[16];
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int n = snprintf(text, sizeof text, "%d\n", port);
	bool ok = fd >= 0 && write(fd, text, (size_t)n) == n &&
	    rename(temp, path) == 0;

	if (!ok)
		err_set(err, ERR_STORAGE, "--port-file %s: %s", path,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	free(temp);
	return ok;
}

/* Made once: whoever links first wins, everybody reads what is there. */
bool
process_make_secret(const char *path, struct err *err)
{
	char *temp = xasprintf("%s.%d", path, (int)getpid());
	uint8_t fresh[32];
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok;

	random_bytes(fresh, sizeof fresh);
	ok = fd >= 0 &&
	    write(fd, fresh, sizeof fresh) == (ssize_t)sizeof fresh &&
	    fsync(fd) == 0 && (link(temp, path) == 0 || errno == EEXIST);
	if (!ok)
		err_set(err, ERR_STORAGE, "%s: %s", path, strerror(errno));
	if (fd >= 0) {
		close(fd);
		unlink(temp);
	}
	free(temp);
	explicit_bzero(fresh, sizeof fresh);
	return ok;
}

bool
process_secret(const struct conf *conf, uint8_t out[32], struct err *err)
{
	char *path;
	bool ok = true;
	int fd;

	if (conf->auth.secret[0] != '\0') {
		sha256(conf->auth.secret, strlen(conf->auth.secret), out);
		return true;
	}
	path = xasprintf("%s/secret", conf->storage.dir);
	if (access(path, F_OK) != 0)
		ok = process_make_secret(path, err);
	fd = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (ok && (fd < 0 || read(fd, out, 32) != 32))
		ok = err_set(err, ERR_STORAGE, "%s: %s", path,
		    fd < 0 ? strerror(errno) : "not 32 bytes");
	if (fd >= 0)
		close(fd);
	free(path);
	return ok;
}
