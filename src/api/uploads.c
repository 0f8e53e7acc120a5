/*
 * uploads.c - POST /uploads: an image from outside.  Nothing of what was sent
 * is kept: the sandbox decodes it and writes a new image, which is what gets
 * stored, under a name of ours.
 *
 * Steps: quota -> re-encode -> hash -> store -> row, which is where the quota
 * holds: the first look only saves the work of what can't fit.  Until the
 * store starts a hang-up ends it; after that it goes on, so that no file is
 * left without its row.
 */
#define LOG_MODULE "api"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/asset.h"
#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/conf.h"
#include "reeld/log.h"
#include "reeld/media.h"
#include "reeld/storage.h"
#include "reeld/token.h"

enum { MAX_BYTES = 10 << 20, MAX_SIDE = 4096, MAX_NAME = 200 };

int64_t
asset_quota(const struct catalogue *cat)
{
	return catalogue_config_int(
	    cat, "storage_quota_bytes", INT64_C(20) << 30);
}

struct hashing;

struct upload {
	struct api_work running;
	struct app *app;
	struct http_call *call; /* NULL: the client is gone */
	bool storing;		/* too late to turn back */
	struct pg_query *query;
	struct work *work;
	struct storage_work *put;
	struct hashing *hashing; /* while the work runs */
	int in_fd, out_fd;
	struct id id;
	char user[ID_LEN + 1];
	char temp[64], key[160];
	const char *kind;
	char *name;
	char type[32];
	int width, height;
	int64_t size_bytes, sent_bytes;
	uint8_t sha256[32];
};

static void
upload_free(struct upload *self)
{
	api_work_end(&self->running);
	pg_query_cancel(&self->query);
	work_cancel(&self->work);
	storage_cancel(&self->put);
	if (self->in_fd >= 0)
		close(self->in_fd);
	if (self->out_fd >= 0) {
		close(self->out_fd);
		if (!self->storing)
			storage_temp_drop(self->app->storage, self->temp);
	}
	free(self->name);
	free(self);
}

static void
on_end(struct api_work *work)
{
	upload_free((struct upload *)work);
}

static void
on_gone(void *arg)
{
	struct upload *self = arg;

	self->call = NULL;
	if (!self->storing)
		upload_free(self);
}

static void
fail(struct upload *self, const struct err *err)
{
	if (self->call != NULL)
		http_reply_err(self->call, err);
	upload_free(self);
}

static void
quota_err(struct err *err)
{
	err_set_name(err, ERR_INVALID, "storage_quota",
	    "Your storage is full; delete some files first.");
}

static void
on_created(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct upload *self = arg;
	struct json_object *reply;
	struct err full;

	if (err == NULL && str_eq(pg_text(rows, 0, "outcome"), "full")) {
		quota_err(&full);
		err = &full;
	}
	if (err != NULL) {
		/* A lost answer may hide a row: then the file must stay. */
		if (strcmp(err->name, "db_unknown") != 0)
			storage_delete_start(
			    self->app->storage, self->key, NULL, NULL, NULL);
		fail(self, err);
		return;
	}
	if (self->call != NULL) {
		reply = json_new();
		json_set_text(reply, "id", self->id.text);
		asset_url_set(reply, self->id.text);
		json_set_text(reply, "kind", self->kind);
		json_set_text(reply, "name", self->name);
		json_set_text(reply, "mime", self->type);
		json_set_int(reply, "width", self->width);
		json_set_int(reply, "height", self->height);
		json_set_int(reply, "size_bytes", self->size_bytes);
		http_reply_header(
		    self->call, "Location", json_text_at(reply, "url"));
		http_reply_json(self->call, 201, &reply);
	}
	upload_free(self);
}

static void
on_stored(const struct storage_object *object, const struct err *err, void *arg)
{
	struct upload *self = arg;
	const struct conf *conf = self->app->conf;
	bool s3 = strcmp(conf->storage.backend, "s3") == 0;
	char hash[67];

	if (err != NULL) {
		fail(self, err);
		return;
	}
	hash_to_bytea(self->sha256, hash);
	pg_query_start(self->app->pg_engine, STMT_ASSET_CREATE,
	    PG_ARGS(self->id.text, self->user, self->kind, s3 ? "s3" : "local",
		s3 ? conf->s3.bucket : NULL, self->key, self->name, self->type,
		pg_num(self->size_bytes), hash, pg_num(self->width),
		pg_num(self->height), NULL),
	    &self->query, on_created, self);
}

static void
store(struct upload *self)
{
	char hex[65];

	hex_encode(hex, self->sha256, sizeof self->sha256);
	snprintf(self->key, sizeof self->key, "images/%s/%s.%s", self->id.text,
	    hex, strcmp(self->type, "image/png") == 0 ? "png" : "jpg");
	self->storing = true;
	storage_put_start(self->app->storage,
	    &(struct storage_put){.key = self->key,
		.fd = self->out_fd,
		.size = self->size_bytes,
		.temp = self->temp,
		.sha256 = self->sha256,
		.type = self->type,
		.visibility = STORAGE_PRIVATE},
	    &self->put, on_stored, self);
}

/* On a file thread, with a descriptor of its own. */
struct hashing {
	int fd;
	size_t size;
	uint8_t sha256[32];
	bool done;
};

static bool
hash_run(void *arg, struct err *err)
{
	struct hashing *self = arg;
	void *map = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);

	if (map == MAP_FAILED)
		return err_set(err, ERR_INTERNAL, "The image can't be read: %s",
		    strerror(errno));
	sha256(map, self->size, self->sha256);
	munmap(map, self->size);
	return true;
}

static void
hash_free(void *arg)
{
	struct hashing *self = arg;

	close(self->fd);
	free(self);
}

static void
on_hashed(const struct err *err, void *arg)
{
	struct upload *self = arg;

	if (err != NULL) {
		fail(self, err);
		return;
	}
	memcpy(self->sha256, self->hashing->sha256, sizeof self->sha256);
	self->hashing = NULL;
	store(self);
}

static void
on_image(const struct media_result *result, const struct err *err, void *arg)
{
	struct upload *self = arg;
	struct err full;

	if (err != NULL) {
		fail(self, err);
		return;
	}
	self->width = result->width;
	self->height = result->height;
	self->size_bytes = result->size_bytes;
	str_copy(self->type, sizeof self->type, result->type);
	self->hashing = xcalloc(1, sizeof *self->hashing);
	self->hashing->size = (size_t)result->size_bytes;
	self->hashing->fd = fcntl(self->out_fd, F_DUPFD_CLOEXEC, 3);
	if (self->hashing->fd < 0) {
		free(self->hashing);
		err_set(&full, ERR_UNAVAILABLE, "Too many open files.");
		fail(self, &full);
		return;
	}
	work_start(self->app->media, hash_run, hash_free, self->hashing,
	    &self->work, on_hashed, self);
}

static void
on_usage(const struct pg_rows *rows, const struct err *err, void *arg)
{
	struct upload *self = arg;
	struct err full;

	if (err != NULL) {
		fail(self, err);
		return;
	}
	if (pg_i64(rows, 0, "bytes") + self->sent_bytes >
	    asset_quota(self->app->catalogue)) {
		quota_err(&full);
		fail(self, &full);
		return;
	}
	media_image_start(self->app->media, self->in_fd, self->out_fd,
	    &(struct media_image_opts){.max_side = MAX_SIDE}, &self->work,
	    on_image, self);
}

/* At most MAX_NAME bytes, cut between characters. */
static char *
short_name(const char *display)
{
	size_t len = strlen(display);

	if (len > MAX_NAME)
		len = MAX_NAME;
	while (!utf8_valid(display, len))
		len--;
	return xstrndup(display, len);
}

/* The word of the form and the kind of asset that it makes. */
static const char *
kind_of(const char *purpose)
{
	static const char *const kinds[] = {"start", "end", "reference"};

	if (purpose == NULL || purpose[0] == '\0')
		return "start";
	for (size_t i = 0; i < nitems(kinds); i++) {
		if (strcmp(kinds[i], purpose) == 0)
			return kinds[i];
	}
	return NULL;
}

static bool
check(struct http_call *call, const struct http_upload *file, const char **kind,
    struct err *err)
{
	*kind = kind_of(http_form(call, "purpose"));
	if (*kind == NULL)
		return err_set_field(err, ERR_INVALID, "bad_purpose",
		    "#/purpose", "purpose is start, end or reference.");
	if (file == NULL || file->size_bytes == 0)
		return err_set_field(err, ERR_BAD_INPUT, "file_missing",
		    "#/file", "Send the image as the form's part \"file\".");
	if (file->size_bytes > MAX_BYTES)
		return err_set_field(err, ERR_TOO_LARGE, "image_too_large",
		    "#/file", "An image has at most 10 MiB.");
	if (storage_is_low(api_app(call)->storage))
		return err_set_name(err, ERR_STORAGE, "disk_full",
		    "The server's storage is nearly full.");
	return true;
}

void
api_uploads_create(struct http_call *call)
{
	const struct http_upload *file = http_upload(call, "file");
	struct app *app = api_app(call);
	struct upload *self;
	const char *kind;
	struct err err;

	if (!check(call, file, &kind, &err)) {
		http_reply_err(call, &err);
		return;
	}
	self = xcalloc(1, sizeof *self);
	self->app = app;
	self->call = call;
	self->kind = kind;
	self->in_fd = self->out_fd = -1;
	self->id = id_new();
	self->sent_bytes = file->size_bytes;
	self->name = short_name(file->display);
	str_copy(self->user, sizeof self->user, api_me(call)->user);
	snprintf(
	    self->temp, sizeof self->temp, "upload-%s.part", self->id.text);
	api_work_begin(app, &self->running, on_end);
	http_on_gone(call, on_gone, self);
	if (!storage_temp_open(app->storage, self->temp, &self->out_fd, &err)) {
		fail(self, &err);
		return;
	}
	self->in_fd = http_upload_take(call, "file");
	pg_query_start(app->pg, STMT_STORAGE_USAGE,
	    PG_AS(self->user, self->user), &self->query, on_usage, self);
}
