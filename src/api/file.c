/* file.c - stored objects as replies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "reeld/storage.h"

/* How long a link into the bucket works. */
enum { LINK_TTL_S = 3600 };

struct sending {
	struct http_call *call;
	struct storage_work *work;
	char *type, *etag, *filename, *cache;
	bool attachment;
};

static void
sending_free(struct sending *self)
{
	storage_cancel(&self->work);
	free(self->type);
	free(self->etag);
	free(self->filename);
	free(self->cache);
	free(self);
}

static void
on_gone(void *arg)
{
	sending_free(arg);
}

static void
on_open(const struct storage_object *object, const struct err *err, void *arg)
{
	struct sending *self = arg;

	if (err != NULL)
		http_reply_err(self->call, err);
	else if (object->fd < 0)
		http_reply_redirect(self->call, 302, object->url);
	else
		http_reply_file(self->call, object->fd, object->size,
		    &(struct http_file){.type = self->type,
			.etag = self->etag,
			.filename = self->filename,
			.attachment = self->attachment,
			.cache = self->cache,
			.sandbox = true});
	sending_free(self);
}

/* Letters that no quoting rule can get wrong. */
static void
plain_name(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name != '\0' && n + 1 < size; name++) {
		unsigned char c = (unsigned char)*name;
		bool ok = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || c == '.' || c == '-';

		out[n++] = ok ? (char)c : '_';
	}
	out[n] = '\0';
}

/* The bucket answers itself: true when it was sent there. */
static bool
redirect(struct http_call *call, const struct api_file *file)
{
	char disposition[160], name[120];
	const char *method = http_method(call) == HTTP_HEAD ? "HEAD" : "GET";
	char *url;

	plain_name(file->filename != NULL ? file->filename : "file", name,
	    sizeof name);
	snprintf(disposition, sizeof disposition, "%s; filename=\"%s\"",
	    file->attachment ? "attachment" : "inline", name);
	url = storage_presign(
	    api_app(call)->storage, method, file->key, LINK_TTL_S, disposition);
	if (url == NULL)
		return false;
	http_reply_redirect(call, 302, url);
	free(url);
	return true;
}

void
api_reply_stored(struct http_call *call, const struct api_file *file)
{
	struct sending *self;

	if (redirect(call, file))
		return;
	self = xcalloc(1, sizeof *self);
	self->call = call;
	self->type = xstrdup(file->type);
	self->etag = xstrdup(file->etag);
	self->filename = xstrdup(file->filename);
	self->cache = xstrdup(file->cache);
	self->attachment = file->attachment;
	http_on_gone(call, on_gone, self);
	storage_open_start(
	    api_app(call)->storage, file->key, &self->work, on_open, self);
}
