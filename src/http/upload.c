/*
 * upload.c - bodies that go to files: unlinked temporary ones, readable by
 * nobody else, hashed on the way.  Called by body.c; owned by the call.
 */
#define LOG_MODULE "http"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/internal.h"
#include "reeld/log.h"

struct part {
	struct http_upload file; /* fd -1: a text field */
	struct buf text;
};

struct uploads {
	struct http_call *call;
	struct multipart *parser; /* NULL: one raw body */
	struct part parts[MAX_PARTS];
	int n_parts;
	EVP_MD_CTX *hash;
};

static int
temp_open(const char *dir)
{
	char path[300];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 ||
	    (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
		errno != EINVAL))
		return fd;
	/* A file system without O_TMPFILE. */
	if (snprintf(path, sizeof path, "%s/upload-XXXXXX", dir) >=
	    (int)sizeof path)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static bool
file_begin(struct uploads *self, struct part *part, struct err *err)
{
	part->file.fd = temp_open(self->call->server->upload_dir);
	if (part->file.fd < 0) {
		log_error("dir=%s msg=\"no temporary file: %s\"",
		    log_text(self->call->server->upload_dir), strerror(errno));
		return err_set(err, ERR_STORAGE, "No room for the upload.");
	}
	if (EVP_DigestInit_ex(self->hash, EVP_sha256(), NULL) != 1)
		abort();
	return true;
}

static bool
file_add(struct uploads *self, struct part *part, const char *data, size_t len,
    struct err *err)
{
	if (EVP_DigestUpdate(self->hash, data, len) != 1)
		abort();
	while (len > 0) {
		ssize_t n = write(part->file.fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(
			    err, ERR_STORAGE, "No room for the upload.");
		data += n;
		len -= n;
		part->file.size_bytes += n;
	}
	return true;
}

static bool
file_end(struct uploads *self, struct part *part, struct err *err)
{
	if (EVP_DigestFinal_ex(self->hash, part->file.sha256, NULL) != 1)
		abort();
	if (lseek(part->file.fd, 0, SEEK_SET) != 0)
		return err_set(err, ERR_INTERNAL, "The upload got lost.");
	return true;
}

static struct part *
part_find(const struct uploads *self, const char *name)
{
	for (int i = 0; self != NULL && i < self->n_parts; i++) {
		const struct part *part = &self->parts[i];

		if (name == NULL ? part->file.name == NULL
				 : str_eq(part->file.name, name))
			return (struct part *)part;
	}
	return NULL;
}

static bool
on_part(void *arg, const char *name, const char *filename, const char *type,
    struct err *err)
{
	struct uploads *self = arg;
	struct part *part;
	char clean[160];

	if (part_find(self, name) != NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_multipart",
		    "Multipart body: the field %s is there twice.", name);
	part = &self->parts[self->n_parts++]; /* the parser counts */
	part->file.name = xstrdup(name);
	part->file.type = xstrdup(type);
	part->file.fd = -1;
	buf_init(&part->text, MAX_FIELD);
	if (filename == NULL) {
		part->file.display = xstrdup("");
		return true;
	}
	display_name(filename, clean, sizeof clean);
	part->file.display = xstrdup(clean);
	return file_begin(self, part, err);
}

static bool
on_data(void *arg, const char *data, size_t len, struct err *err)
{
	struct uploads *self = arg;
	struct part *part = &self->parts[self->n_parts - 1];

	if (part->file.fd >= 0)
		return file_add(self, part, data, len, err);
	if (memchr(data, '\0', len) != NULL)
		return err_set_name(err, ERR_BAD_INPUT, "bad_multipart",
		    "Multipart body: a NUL in a text field.");
	buf_add(&part->text, data, len);
	if (!buf_ok(&part->text))
		return err_set(err, ERR_TOO_LARGE, "A form field is too long.");
	return true;
}

static bool
on_part_end(void *arg, struct err *err)
{
	struct uploads *self = arg;
	struct part *part = &self->parts[self->n_parts - 1];

	if (part->file.fd >= 0)
		return file_end(self, part, err);
	if (!utf8_valid(buf_str(&part->text), part->text.len))
		return err_set_name(err, ERR_BAD_INPUT, "bad_multipart",
		    "Multipart body: a field is not UTF-8.");
	return true;
}

bool
uploads_open(struct http_call *call, bool multipart, struct err *err)
{
	static const struct multipart_hooks hooks = {
	    on_part, on_data, on_part_end};
	struct uploads *self = xcalloc(1, sizeof *self);

	self->call = call;
	self->hash = EVP_MD_CTX_new();
	if (self->hash == NULL)
		abort();
	call->uploads = self; /* freed with the call */
	if (multipart) {
		self->parser =
		    multipart_new(http_content_type(call), &hooks, self, err);
		return self->parser != NULL;
	}
	self->n_parts = 1;
	self->parts[0].file.type = xstrdup(http_content_type(call));
	self->parts[0].file.display = xstrdup("");
	self->parts[0].file.fd = -1;
	return file_begin(self, &self->parts[0], err);
}

bool
uploads_add(struct uploads *self, const char *data, size_t len, struct err *err)
{
	if (self->parser != NULL)
		return multipart_feed(self->parser, data, len, err);
	return file_add(self, &self->parts[0], data, len, err);
}

bool
uploads_finish(struct uploads *self, struct err *err)
{
	if (self->parser != NULL)
		return multipart_end(self->parser, err);
	return file_end(self, &self->parts[0], err);
}

void
uploads_free(struct uploads **slot)
{
	struct uploads *self = *slot;

	if (self == NULL)
		return;
	*slot = NULL;
	for (int i = 0; i < self->n_parts; i++) {
		struct part *part = &self->parts[i];

		if (part->file.fd >= 0)
			close(part->file.fd);
		free((char *)part->file.name);
		free((char *)part->file.type);
		free((char *)part->file.display);
		buf_fini(&part->text);
	}
	multipart_free(self->parser);
	EVP_MD_CTX_free(self->hash);
	free(self);
}

const struct http_upload *
http_upload(const struct http_call *call, const char *name)
{
	const struct part *part = part_find(call->uploads, name);

	return part != NULL && part->file.fd >= 0 ? &part->file : NULL;
}

int
http_upload_take(struct http_call *call, const char *name)
{
	struct part *part = part_find(call->uploads, name);
	int fd;

	if (part == NULL)
		return -1;
	fd = part->file.fd;
	part->file.fd = -1;
	return fd;
}

const char *
http_form(const struct http_call *call, const char *name)
{
	const struct part *part = part_find(call->uploads, name);

	if (part == NULL || part->file.name == NULL || part->text.max == 0 ||
	    part->file.fd >= 0)
		return NULL;
	return buf_str(&part->text);
}
