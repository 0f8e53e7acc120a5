/*
 * storage_cli.c - works reeld's storage from the command line, for black-box
 * tests.
 *
 * Standard input is one JSON object: the storage's options and "ops", done
 * one after the other: {"op":"put","key":..,"bytes":n | "file":path,
 * "temp":name}, delete, head, open, presign, cancel_put, low, sweep.  Each
 * prints one line of JSON.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "reeld/fetch.h"
#include "reeld/id.h"
#include "reeld/loop.h"
#include "reeld/media.h"
#include "reeld/mem.h"
#include "reeld/storage.h"

struct cli {
	struct loop *loop;
	struct media_pool *pool;
	struct fetch *fetch;
	struct storage *st;
	struct storage_work *work;
	struct json_object *ops;
	size_t next;
	int fd;
	struct loop_defer *step;
	struct loop_timer timer;
};

static const char *
text_of(struct json_object *obj, const char *name)
{
	return json_object_get_string(json_object_object_get(obj, name));
}

static int64_t
int_of(struct json_object *obj, const char *name)
{
	return json_object_get_int64(json_object_object_get(obj, name));
}

static void on_step(void *arg);

static void
say(struct cli *cli, struct json_object *out)
{
	puts(json_object_to_json_string(out));
	fflush(stdout);
	json_object_put(out);
	if (cli->fd >= 0)
		close(cli->fd);
	cli->fd = -1;
	loop_defer(cli->loop, "step", on_step, cli, &cli->step);
}

static void
set_text(struct json_object *out, const char *name, const char *text)
{
	json_object_object_add(out, name, json_object_new_string(text));
}

static void
on_done(const struct storage_object *object, const struct err *err, void *arg)
{
	struct cli *self = arg;
	struct json_object *out = json_object_new_object();
	char first[65];
	ssize_t n;

	if (self->work != NULL || (object == NULL) != (err != NULL))
		abort();
	if (err != NULL) {
		set_text(out, "error", err_code_name(err));
		set_text(out, "message", err->msg);
		say(self, out);
		return;
	}
	json_object_object_add(
	    out, "size", json_object_new_int64(object->size));
	if (object->url != NULL)
		set_text(out, "url", object->url);
	if (object->fd >= 0) {
		n = read(object->fd, first, 64);
		first[n > 0 ? n : 0] = '\0';
		set_text(out, "first", first);
		close(object->fd);
	}
	say(self, out);
}

static void
on_cancel(void *arg)
{
	struct cli *self = arg;
	struct json_object *out = json_object_new_object();

	storage_cancel(&self->work);
	storage_cancel(&self->work);
	set_text(out, "cancelled", "yes");
	say(self, out);
}

/* n bytes "0123456789abcdef" over and over, in an open staging file. */
static bool
fill(int fd, int64_t n, struct err *err)
{
	char part[65536];

	for (size_t i = 0; i < sizeof part; i++)
		part[i] = "0123456789abcdef"[i % 16];
	while (n > 0) {
		ssize_t m = write(fd, part,
		    n < (int64_t)sizeof part ? (size_t)n : sizeof part);

		if (m < 0)
			return err_set_name(
			    err, ERR_STORAGE, "disk_full", "write");
		n -= m;
	}
	return true;
}

static bool
put(struct cli *cli, struct json_object *op, struct err *err)
{
	struct storage_put what = {.key = text_of(op, "key"),
	    .type = "video/mp4",
	    .temp = text_of(op, "temp"),
	    .size = int_of(op, "bytes")};
	const char *file = text_of(op, "file");
	uint8_t sum[32];

	if (file != NULL) {
		cli->fd = open(file, O_RDONLY | O_CLOEXEC);
		what.size = lseek(cli->fd, 0, SEEK_END);
	} else if (what.temp != NULL) {
		if (!storage_temp_open(cli->st, what.temp, &cli->fd, err) ||
		    !fill(cli->fd, what.size, err))
			return false;
	} else if (!storage_temp_anon(cli->st, &cli->fd, err) ||
	    !fill(cli->fd, what.size, err))
		return false;
	if (text_of(op, "sha256") != NULL) {
		if (!hex_decode(sum, sizeof sum, text_of(op, "sha256")))
			return err_set(err, ERR_BAD_INPUT, "sha256");
		what.sha256 = sum;
	}
	if (text_of(op, "claim") != NULL)
		what.size = int_of(op, "claim");
	what.fd = cli->fd;
	storage_put_start(cli->st, &what, &cli->work, on_done, cli);
	if (cli->work == NULL)
		abort();
	if (text_of(op, "cancel_ms") != NULL)
		timer_set_ms(&cli->timer, int_of(op, "cancel_ms"));
	return true;
}

static void
plain(struct cli *cli, const char *name, struct json_object *op)
{
	struct json_object *out = json_object_new_object();
	char *url;

	if (str_eq(name, "presign")) {
		const char *method = text_of(op, "method");

		url = storage_presign(cli->st, method != NULL ? method : "GET",
		    text_of(op, "key"), int_of(op, "ttl"),
		    text_of(op, "disposition"));
		set_text(out, "url", url != NULL ? url : "");
		free(url);
	} else if (str_eq(name, "public")) {
		url = storage_public_url(cli->st, text_of(op, "key"));
		set_text(out, "url", url != NULL ? url : "");
		free(url);
	} else if (str_eq(name, "low"))
		json_object_object_add(out, "low",
		    json_object_new_boolean(storage_is_low(cli->st)));
	else if (str_eq(name, "sweep"))
		storage_sweep(cli->st);
	else
		abort();
	say(cli, out);
}

static void
on_step(void *arg)
{
	struct cli *self = arg;
	struct json_object *op, *out;
	const char *name, *key;
	struct err err;

	if (self->next == json_object_array_length(self->ops)) {
		loop_stop(self->loop);
		return;
	}
	op = json_object_array_get_idx(self->ops, self->next++);
	name = text_of(op, "op");
	key = text_of(op, "key");
	if (str_eq(name, "put")) {
		if (put(self, op, &err))
			return;
		out = json_object_new_object();
		set_text(out, "error", err_code_name(&err));
		set_text(out, "message", err.msg);
		say(self, out);
	} else if (str_eq(name, "delete"))
		storage_delete_start(self->st, key, &self->work, on_done, self);
	else if (str_eq(name, "head"))
		storage_head_start(self->st, key, &self->work, on_done, self);
	else if (str_eq(name, "open"))
		storage_open_start(self->st, key, &self->work, on_done, self);
	else if (str_eq(name, "wait"))
		timer_set_ms(&self->timer, int_of(op, "ms"));
	else
		plain(self, name, op);
}

int
main(void)
{
	struct cli cli = {.loop = loop_new(), .fd = -1};
	struct json_object *in = json_object_from_fd(STDIN_FILENO);
	struct fetch_opts fetch_opts = {0};
	struct media_opts media_opts = {0};
	struct storage_opts opts = {0};
	struct rusage use;
	struct err err;

	if (in == NULL)
		return 2;
	opts.dir = text_of(in, "dir");
	opts.endpoint = text_of(in, "endpoint");
	opts.s3 = text_of(in, "bucket") != NULL;
	opts.bucket = text_of(in, "bucket");
	opts.region = text_of(in, "region");
	opts.access_key = text_of(in, "access_key");
	opts.secret_key = text_of(in, "secret_key");
	opts.account_id = text_of(in, "account_id");
	opts.public_url = text_of(in, "public_url");
	opts.path_style = text_of(in, "host_style") == NULL;
	opts.allow_private = true;
	opts.part_bytes = int_of(in, "part_bytes");
	opts.multipart_over_bytes = int_of(in, "multipart_over_bytes");
	cli.ops = json_object_object_get(in, "ops");
	cli.pool = media_pool_new(cli.loop, &media_opts);
	cli.fetch = fetch_new(cli.loop, &fetch_opts);
	timer_init(&cli.timer, cli.loop, "cancel", on_cancel, &cli);
	if (!storage_new(cli.loop, cli.pool, cli.fetch, &opts, &cli.st, &err)) {
		printf("{\"error\":\"%s\"}\n", err.msg);
		return 1;
	}
	loop_defer(cli.loop, "step", on_step, &cli, &cli.step);
	loop_run(cli.loop);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"rss_kib\":%ld,\"retries\":%llu}\n", use.ru_maxrss,
	    (unsigned long long)storage_stats(cli.st)->retries);
	timer_fini(&cli.timer);
	storage_free(cli.st);
	fetch_free(cli.fetch);
	media_pool_free(cli.pool);
	loop_free(cli.loop);
	json_object_put(in);
	return 0;
}
