/*
 * fetch_cli.c - performs requests with reeld's fetch, for black-box tests.
 *
 * Standard input is one JSON object: the options of fetch and "calls", an
 * array of specs done one after the other ("parallel": all at once).  Each
 * call's reply is printed as one line of JSON when it is done.  A call with
 * "sink" downloads to that file; "again" repeats it with the same sink.  One
 * with "ends_all" cancels what is still under way when it is done.
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

struct cli;

struct one {
	struct cli *cli;
	struct json_object *spec;
	struct fetch_call *call;
	struct fetch_sink sink;
	bool has_sink;
	int again, progress, body_fd;
	int64_t cancel_at;
};

struct cli {
	struct loop *loop;
	struct fetch *fetch;
	struct one *ones;
	int n, next, left;
	bool parallel;
	struct loop_timer turn;
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

static bool
bool_of(struct json_object *obj, const char *name)
{
	return json_object_get_boolean(json_object_object_get(obj, name));
}

static void one_start(struct one *one);

static void
one_over(struct cli *cli)
{
	fflush(stdout);
	if (--cli->left == 0)
		loop_stop(cli->loop);
	else if (!cli->parallel)
		one_start(&cli->ones[cli->next++]);
}

static void
cancel_all(struct cli *cli)
{
	for (int i = 0; i < cli->n; i++) {
		if (cli->ones[i].call == NULL)
			continue;
		fetch_cancel(&cli->ones[i].call);
		cli->left--;
	}
}

static void
add(struct json_object *out, const char *name, struct json_object *value)
{
	json_object_object_add(out, name, value);
}

static void
on_done(const struct fetch_reply *reply, const struct err *err, void *arg)
{
	static const char *const sent[] = {"not_sent", "maybe", "answered"};
	struct one *self = arg;
	struct json_object *out = json_object_new_object();
	struct json_object *headers = json_object_new_object();
	char hex[65];

	if (self->call != NULL)
		abort();
	add(out, "status", json_object_new_int(reply->status));
	add(out, "sent", json_object_new_string(sent[reply->sent]));
	add(out, "bytes", json_object_new_int64(reply->bytes));
	add(out, "body",
	    json_object_new_string_len(
		buf_str(&reply->body), (int)reply->body.len));
	add(out, "redirects", json_object_new_int(reply->redirects));
	add(out, "url", json_object_new_string(reply->url));
	add(out, "remote_ip", json_object_new_string(reply->remote_ip));
	add(out, "retry_after_s", json_object_new_int(reply->retry_after_s));
	add(out, "progress", json_object_new_int(self->progress));
	for (int i = 0; i < reply->n_headers; i++)
		add(headers, reply->headers[i].name,
		    json_object_new_string(reply->headers[i].value));
	add(out, "headers", headers);
	if (reply->has_sha256) {
		hex_encode(hex, reply->sha256, 32);
		add(out, "sha256", json_object_new_string(hex));
	}
	if (err != NULL) {
		add(out, "error", json_object_new_string(err_code_name(err)));
		add(out, "message", json_object_new_string(err->msg));
	}
	puts(json_object_to_json_string(out));
	json_object_put(out);
	if (bool_of(self->spec, "ends_all"))
		cancel_all(self->cli);
	if (self->again-- > 0) {
		fflush(stdout);
		one_start(self);
	} else
		one_over(self->cli);
}

static void
on_progress(int64_t bytes, int64_t total, void *arg)
{
	struct one *self = arg;

	self->progress++;
	if (self->cancel_at == 0 || bytes < self->cancel_at)
		return;
	fetch_cancel(&self->call);
	fetch_cancel(&self->call);
	printf("{\"cancelled\":true,\"total\":%lld}\n", (long long)total);
	if (self->again-- > 0) {
		json_object_object_del(self->spec, "cancel_at");
		one_start(self);
	} else
		one_over(self->cli);
}

static void
one_headers(struct fetch_spec *spec, struct json_object *headers, bool secret)
{
	if (headers == NULL)
		return;
	json_object_object_foreach(headers, name, value)
	{
		const char *text = json_object_get_string(value);

		if (secret)
			fetch_spec_secret(spec, name, text);
		else
			fetch_spec_header(spec, name, text);
	}
}

static int
must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static void
one_start(struct one *one)
{
	struct json_object *in = one->spec;
	struct fetch_spec spec;
	const char *method = text_of(in, "method"), *text;

	fetch_spec_init(
	    &spec, method != NULL ? method : "GET", text_of(in, "url"));
	one_headers(&spec, json_object_object_get(in, "headers"), false);
	one_headers(&spec, json_object_object_get(in, "secrets"), true);
	if ((text = text_of(in, "bearer")) != NULL)
		fetch_spec_bearer(&spec, text);
	if ((text = text_of(in, "body")) != NULL)
		fetch_spec_body(&spec, "application/json", text, strlen(text));
	if ((text = text_of(in, "body_file")) != NULL) {
		one->body_fd = must_open(text, O_RDONLY);
		spec.body_fd = one->body_fd;
		spec.body_bytes = lseek(spec.body_fd, 0, SEEK_END);
	}
	spec.allow_private = bool_of(in, "allow_private");
	spec.allow_http = bool_of(in, "allow_http");
	spec.own_private = bool_of(in, "own_private");
	if ((text = text_of(in, "base")) != NULL)
		fetch_spec_provider(&spec, text, spec.allow_private);
	spec.max_redirects = (int)int_of(in, "max_redirects");
	spec.connect_ms = int_of(in, "connect_ms");
	spec.timeout_ms = int_of(in, "timeout_ms");
	spec.low_speed_ms = int_of(in, "low_speed_ms");
	spec.max_bytes = int_of(in, "max_bytes");
	spec.max_head_bytes = int_of(in, "max_head_bytes");
	if ((text = text_of(in, "sink")) != NULL) {
		if (!one->has_sink)
			fetch_sink_init(
			    &one->sink, must_open(text, O_RDWR | O_CREAT));
		one->has_sink = true;
		spec.sink = &one->sink;
	}
	one->cancel_at = int_of(in, "cancel_at");
	fetch_start(one->cli->fetch, &spec, &one->call, on_done, one);
	if (one->call == NULL || spec.url != NULL)
		abort(); /* done inside start, or the spec was not taken */
	if (one->has_sink)
		fetch_on_progress(one->call, on_progress, one);
}

static void
cli_run(struct cli *cli, struct json_object *in)
{
	struct json_object *calls = json_object_object_get(in, "calls");

	cli->n = cli->left = (int)json_object_array_length(calls);
	cli->parallel = bool_of(in, "parallel");
	cli->ones = xcalloc((size_t)cli->n, sizeof *cli->ones);
	for (int i = 0; i < cli->n; i++) {
		struct one *one = &cli->ones[i];

		one->cli = cli;
		one->body_fd = -1;
		one->spec = json_object_array_get_idx(calls, (size_t)i);
		one->again = (int)int_of(one->spec, "again");
	}
	do
		one_start(&cli->ones[cli->next++]);
	while (cli->parallel && cli->next < cli->n);
	loop_run(cli->loop);
	for (int i = 0; i < cli->n; i++) {
		if (cli->ones[i].has_sink) {
			close(cli->ones[i].sink.fd);
			fetch_sink_fini(&cli->ones[i].sink);
		}
		if (cli->ones[i].body_fd >= 0)
			close(cli->ones[i].body_fd);
	}
	free(cli->ones);
}

int
main(void)
{
	struct cli cli = {.loop = loop_new()};
	struct json_object *in = json_object_from_fd(STDIN_FILENO);
	struct fetch_opts opts = {0};
	struct rusage use;

	if (in == NULL)
		return 2;
	opts.deny = text_of(in, "deny");
	opts.ca_file = text_of(in, "ca_file");
	opts.max_host_connections = (int)int_of(in, "max_host_connections");
	opts.max_calls = (int)int_of(in, "max_calls");
	cli.fetch = fetch_new(cli.loop, &opts);
	cli_run(&cli, in);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"rss_kib\":%ld,\"connections\":%llu,\"slow_turns\":%llu,"
	       "\"worst_ms\":%lld,\"turns\":%llu,\"sockets\":%d}\n",
	    use.ru_maxrss,
	    (unsigned long long)fetch_stats(cli.fetch)->connections,
	    (unsigned long long)loop_stats(cli.loop)->slow_turns,
	    (long long)(loop_stats(cli.loop)->worst_ns / 1000000),
	    (unsigned long long)loop_stats(cli.loop)->turns,
	    fetch_stats(cli.fetch)->sockets);
	fetch_free(cli.fetch);
	loop_free(cli.loop);
	json_object_put(in);
	return 0;
}
