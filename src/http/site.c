/*
 * site.c - the built web pages, held in memory: the files are few and small,
 * and what was not loaded at start can't be asked for, so no path escapes.
 * Called by call.c when no route matches; owned by the server.
 */
#define LOG_MODULE "http"
#include "http/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reeld/id.h"
#include "reeld/log.h"

enum { MAX_FILES = 4096, MAX_TOTAL = 128 * 1024 * 1024 };

struct file {
	char *path; /* "/assets/app-1a2b3c4d.js" */
	char *data;
	size_t len;
	char tag[33];
};

struct site {
	struct file *files;
	size_t count, total;
};

static const struct {
	const char *ending, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".svg", "image/svg+xml; charset=utf-8"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".xml", "application/xml; charset=utf-8"},
    {".mp4", "video/mp4"},
    {".wasm", "application/wasm"},
};

static const char *
type_of(const char *path)
{
	for (size_t i = 0; i < nitems(types); i++) {
		if (str_ends(path, types[i].ending))
			return types[i].type;
	}
	return "application/octet-stream";
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(
	    ((const struct file *)a)->path, ((const struct file *)b)->path);
}

static const struct file *
find(const struct site *site, const char *path)
{
	struct file key = {.path = (char *)path};

	return bsearch(
	    &key, site->files, site->count, sizeof *site->files, by_path);
}

static bool
load_file(struct site *site, int dir, const char *name, const char *prefix,
    size_t size, struct err *err)
{
	struct file *file;
	uint8_t sum[32];
	int fd;

	if (site->count == MAX_FILES || site->total + size > MAX_TOTAL)
		return err_set(err, ERR_TOO_LARGE, "www: too many pages");
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(
		    err, ERR_INTERNAL, "www: %s: %s", name, strerror(errno));
	site->files =
	    xrealloc(site->files, (site->count + 1) * sizeof *site->files);
	file = &site->files[site->count++];
	file->path = xasprintf("%s/%s", prefix, name);
	file->data = xmalloc(size + 1);
	file->len = 0;
	while (file->len < size) {
		ssize_t n = read(fd, file->data + file->len, size - file->len);

		if (n <= 0)
			break;
		file->len += n;
	}
	close(fd);
	site->total += file->len;
	sha256(file->data, file->len, sum);
	hex_encode(file->tag, sum, 16);
	if (file->len != size)
		return err_set(
		    err, ERR_INTERNAL, "www: %s changed while read", name);
	return true;
}

static bool
load_dir(
    struct site *site, int fd, const char *prefix, int depth, struct err *err)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	bool ok = dir != NULL;

	if (!ok) {
		close(fd);
		return err_set(err, ERR_INTERNAL, "www: can't be read");
	}
	while (ok && (entry = readdir(dir)) != NULL) {
		struct stat st;
		char *path;
		int sub;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(dir), entry->d_name, &st,
			AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode)) {
			ok = load_file(site, dirfd(dir), entry->d_name, prefix,
			    st.st_size, err);
			continue;
		}
		if (!S_ISDIR(st.st_mode) || depth == 0)
			continue;
		sub = openat(dirfd(dir), entry->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			continue;
		path = xasprintf("%s/%s", prefix, entry->d_name);
		ok = load_dir(site, sub, path, depth - 1, err);
		free(path);
	}
	closedir(dir);
	return ok;
}

bool
site_open(const char *dir, struct site **out, struct err *err)
{
	struct site *site = xcalloc(1, sizeof *site);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*out = site; /* freed by the server, also on failure */
	if (fd < 0) {
		log_warn("dir=%s msg=\"no web pages: %s\"", log_text(dir),
		    strerror(errno));
		return true;
	}
	if (!load_dir(site, fd, "", 8, err))
		return false;
	qsort(site->files, site->count, sizeof *site->files, by_path);
	return true;
}

void
site_free(struct site *site)
{
	if (site == NULL)
		return;
	for (size_t i = 0; i < site->count; i++) {
		free(site->files[i].path);
		free(site->files[i].data);
	}
	free(site->files);
	free(site);
}

/* "app-1a2b3c4d.js" under /assets/: its content never changes. */
static bool
is_hashed(const char *path)
{
	const char *dash = strrchr(path, '-');
	const char *dot = strrchr(path, '.');

	return strstr(path, "/assets/") != NULL && dash != NULL &&
	    dot != NULL && dash < dot && dot - dash >= 9;
}

/* Accept-Encoding names it, and not with q=0. */
static bool
accepts(struct http_call *call, const char *coding)
{
	const char *at = http_header(call, "Accept-Encoding");
	size_t len = strlen(coding);

	while (at != NULL && *at != '\0') {
		size_t n;

		at += strspn(at, ", \t");
		n = strcspn(at, ",; \t");
		if (n == len && strncasecmp(at, coding, n) == 0) {
			at += n;
			at += strspn(at, "; \t");
			return strncmp(at, "q=0", 3) != 0 ||
			    strspn(at + 2, "0.") != strcspn(at + 2, ", \t");
		}
		at += strcspn(at, ",");
	}
	return false;
}

/* An address of the single-page app: somebody's browser navigates to it. */
static bool
is_page(struct http_call *call)
{
	const char *accept = http_header(call, "Accept");
	const char *at = call->server->opts.page_prefixes;

	if (accept == NULL || strstr(accept, "text/html") == NULL)
		return false;
	while (*at != '\0') {
		size_t len = strcspn(at, ", ");

		if (len > 0 && strncmp(call->url.path, at, len) == 0)
			return false;
		at += len + strspn(at + len, ", ");
	}
	return true;
}

static const struct file *
packed(struct http_call *call, const struct file *file, const char **coding)
{
	static const char *const kinds[][2] = {
	    {"br", ".br"},
	    {"gzip", ".gz"},
	};

	for (size_t i = 0; i < nitems(kinds); i++) {
		const struct file *found;
		char *path;

		if (!accepts(call, kinds[i][0]))
			continue;
		path = xasprintf("%s%s", file->path, kinds[i][1]);
		found = find(call->server->site, path);
		free(path);
		if (found != NULL) {
			*coding = kinds[i][0];
			return found;
		}
	}
	return file;
}

bool
site_serve(struct http_call *call)
{
	struct site *site = call->server->site;
	const struct file *file, *body;
	const char *path = call->url.path, *type, *coding = NULL;
	enum reply_look look;

	if (site == NULL ||
	    (call->head.method != HTTP_GET && call->head.method != HTTP_HEAD))
		return false;
	file = find(site, strcmp(path, "/") == 0 ? "/index.html" : path);
	if (file == NULL && is_page(call))
		file = find(site, "/index.html");
	if (file == NULL)
		return false;
	type = type_of(file->path);
	look = str_starts(type, "text/html") ? LOOK_PAGE : LOOK_FILE;
	body = packed(call, file, &coding);
	http_etag(call, body->tag);
	http_cache(call,
	    is_hashed(file->path) ? "public, max-age=31536000, immutable"
				  : "no-cache");
	http_reply_header(call, "Vary", "Accept-Encoding");
	if (etag_matches(http_header(call, "If-None-Match"), body->tag)) {
		reply_take(call, 304,
		    MHD_create_response_from_buffer(
			0, (void *)"", MHD_RESPMEM_PERSISTENT),
		    NULL, look);
		return true;
	}
	if (coding != NULL)
		http_reply_header(call, "Content-Encoding", coding);
	reply_take(call, 200,
	    MHD_create_response_from_buffer(
		body->len, body->data, MHD_RESPMEM_PERSISTENT),
	    type, look);
	return true;
}
