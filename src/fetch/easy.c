/*
 * easy.c - one hop of a call as a libcurl handle: its options, and what
 * libcurl calls back.  The callbacks only take notes: what they mean is
 * decided in outcome.c once the handle is done.  intake.c takes the body.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "fetch/sink.h"
#include "reeld/clock.h"

static bool
private_ok(const struct fetch_call *call)
{
	return call->spec.allow_private && !spec_strict(call);
}

static curl_socket_t
on_open_socket(
    void *clientp, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch_call *self = clientp;
	int fd;

	if (purpose != CURLSOCKTYPE_IPCXN ||
	    (!private_ok(self) &&
		!guard_sockaddr_ok(&self->fetch->guard, &address->addr))) {
		self->refused = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
	    address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	self->fetch->stats.connections++;
	multi_socket_opened(self->multi, fd);
	return fd;
}

/* Second look, which a reused connection passes too. */
static int
on_prereq(void *clientp, char *primary_ip, char *local_ip, int primary_port,
    int local_port)
{
	struct fetch_call *self = clientp;

	if ((private_ok(self) ||
		guard_text_ok(&self->fetch->guard, primary_ip)) &&
	    primary_port == self->port)
		return CURL_PREREQFUNC_OK;
	self->refused = true;
	return CURL_PREREQFUNC_ABORT;
}

static size_t
on_header(char *data, size_t size, size_t count, void *userdata)
{
	struct fetch_call *self = userdata;
	size_t len = size * count;

	self->head_bytes += (int64_t)len;
	if (self->head_bytes > self->max_head_bytes ||
	    !headers_add(self, data, len)) {
		self->head_full = true;
		return 0;
	}
	return len;
}

static size_t
on_read(char *data, size_t size, size_t count, void *userdata)
{
	struct fetch_call *self = userdata;
	int64_t left = self->spec.body_bytes - self->body_sent;
	size_t len = size * count;
	ssize_t n;

	if ((int64_t)len > left)
		len = (size_t)left;
	if (len == 0)
		return 0;
	do
		n = pread(self->spec.body_fd, data, len,
		    self->spec.body_offset + self->body_sent);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		self->disk_errno = n < 0 ? errno : EIO;
		return CURL_READFUNC_ABORT;
	}
	self->body_sent += n;
	self->fetch->stats.bytes_out += (uint64_t)n;
	return (size_t)n;
}

static int
on_seek(void *userdata, curl_off_t offset, int origin)
{
	struct fetch_call *self = userdata;

	if (origin != SEEK_SET || offset < 0 || offset > self->spec.body_bytes)
		return CURL_SEEKFUNC_FAIL;
	self->body_sent = offset;
	return CURL_SEEKFUNC_OK;
}

/* An option that libcurl refuses would silently weaken the call. */
#define SET(opt, value)                                              \
	do {                                                         \
		if (curl_easy_setopt(easy, opt, value) != CURLE_OK)  \
			return err_set(                              \
			    err, ERR_INTERNAL, "libcurl: %s", #opt); \
	} while (0)

static void
list_add(struct fetch_call *call, const char *text)
{
	struct curl_slist *list = curl_slist_append(call->list, text);

	if (list == NULL)
		abort();
	call->list = list;
}

static bool
set_headers(struct fetch_call *call, struct err *err)
{
	const struct fetch_spec *spec = &call->spec;
	CURL *easy = call->easy;
	bool has_type = false;

	for (int i = 0; i < spec->n_headers; i++) {
		const struct fetch_header *header = &spec->headers[i];
		char *line;

		if (header->secret && !call->own_origin)
			continue;
		if (strcasecmp(header->name, "Content-Type") == 0) {
			has_type = true;
			if (call->no_body)
				continue;
		}
		line = xasprintf("%s: %s", header->name, header->value);
		list_add(call, line);
		if (header->secret)
			explicit_bzero(line, strlen(line));
		free(line);
	}
	/* libcurl would wait a second for a 100, and invent a form's type. */
	list_add(call, "Expect:");
	if (!has_type)
		list_add(call, "Content-Type:");
	if (call->resuming) {
		char *line = xasprintf("If-Range: %s", spec->sink->etag),
		     range[32];

		list_add(call, line);
		free(line);
		snprintf(
		    range, sizeof range, "%lld-", (long long)spec->sink->bytes);
		SET(CURLOPT_RANGE, range);
	}
	SET(CURLOPT_HTTPHEADER, call->list);
	return true;
}

static bool
set_method(struct fetch_call *call, struct err *err)
{
	const struct fetch_spec *spec = &call->spec;
	CURL *easy = call->easy;
	bool body = spec->body != NULL || spec->body_fd >= 0;

	/*
	 * libcurl repeats a request by itself when a kept-alive connection
	 * turns out to be dead, also a POST that may have been acted upon.
	 * Only a fresh connection keeps a paid submit from going out twice.
	 */
	if (str_eq(call->method, "POST") || str_eq(call->method, "PATCH"))
		SET(CURLOPT_FRESH_CONNECT, 1L);
	if (str_eq(call->method, "HEAD")) {
		SET(CURLOPT_NOBODY, 1L);
		return true;
	}
	if (str_eq(call->method, "GET")) {
		SET(CURLOPT_HTTPGET, 1L);
		return true;
	}
	if (spec->body_fd >= 0) {
		SET(CURLOPT_UPLOAD, 1L);
		SET(CURLOPT_READFUNCTION, on_read);
		SET(CURLOPT_READDATA, call);
		SET(CURLOPT_SEEKFUNCTION, on_seek);
		SET(CURLOPT_SEEKDATA, call);
		SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)spec->body_bytes);
		SET(CURLOPT_UPLOAD_BUFFERSIZE, 128L * 1024);
	} else if (body || !str_eq(call->method, "DELETE")) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)spec->body_len);
		SET(CURLOPT_POSTFIELDS, body ? spec->body : "");
	}
	SET(CURLOPT_CUSTOMREQUEST, call->method);
	return true;
}

/* What is the same for every call of that trust. */
static bool
set_once(const struct fetch *fetch, bool untrusted, CURL *easy, struct err *err)
{
	SET(CURLOPT_NOSIGNAL, 1L);
	/* Let go of a name lookup at once instead of joining its thread. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_USERAGENT, fetch->user_agent);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_PIPEWAIT, 0L);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_WRITEFUNCTION, intake_take);
	SET(CURLOPT_PROTOCOLS_STR, "http,https"); /* spec.c is stricter */
	SET(CURLOPT_FOLLOWLOCATION, 0L);	  /* call.c does, with checks */
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_CLOSESOCKETFUNCTION, multi_close_socket);
	SET(CURLOPT_CLOSESOCKETDATA,
	    untrusted ? &fetch->untrusted : &fetch->provider);
	SET(CURLOPT_PREREQFUNCTION, on_prereq);
	/* A proxy from the environment would hide the address. */
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (fetch->ca_file != NULL)
		SET(CURLOPT_CAINFO, fetch->ca_file);
	SET(CURLOPT_MAXLIFETIME_CONN, 300L);
	if (untrusted) {
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	return true;
}

static bool
set_limits(struct fetch_call *call, struct err *err)
{
	const struct fetch_spec *spec = &call->spec;
	CURL *easy = call->easy;
	int64_t left_ms = call->deadline_ms - clock_mono_ms(), room;
	int64_t low_ms = spec->low_speed_ms;

	SET(CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(spec->connect_ms > 0 ? spec->connect_ms : 5000));
	SET(CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
	if (low_ms == 0 && spec->sink != NULL)
		low_ms = 30000;
	SET(CURLOPT_LOW_SPEED_LIMIT, low_ms > 0 ? (long)LOW_SPEED_BYTES : 0L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)((low_ms + 999) / 1000));
	/* Content-Length is a hint that saves us the download; on_body
	 * counts.  An error page may be longer than the file may be. */
	room = call->max_bytes - call->resume_from;
	if (room < ERROR_BODY_MAX)
		room = spec->sink != NULL ? ERROR_BODY_MAX : room;
	if (!str_eq(call->method, "HEAD"))
		SET(CURLOPT_MAXFILESIZE_LARGE,
		    (curl_off_t)(room > 0 ? room : 1));
	SET(CURLOPT_BUFFERSIZE, spec->sink != NULL ? 128L * 1024 : 16L * 1024);
	return true;
}

static bool
set_call(struct fetch_call *call, struct err *err)
{
	CURL *easy = call->easy;

	SET(CURLOPT_PRIVATE, call);
	SET(CURLOPT_ERRORBUFFER, call->errbuf);
	SET(CURLOPT_URL, call->url);
	SET(CURLOPT_HEADERDATA, call);
	SET(CURLOPT_WRITEDATA, call);
	SET(CURLOPT_OPENSOCKETDATA, call);
	SET(CURLOPT_PREREQDATA, call);
	return set_limits(call, err) && set_method(call, err) &&
	    set_headers(call, err);
}

/* A GET into memory sets nothing that the next one does not set again. */
static bool
is_plain(const struct fetch_call *call)
{
	return str_eq(call->method, "GET") && call->spec.sink == NULL;
}

static bool
renew(const struct fetch_call *call, CURL *easy, struct err *err)
{
	curl_easy_reset(easy);
	return set_once(call->fetch, call->untrusted, easy, err);
}

/* Making a handle costs about as much as a small request, so those of
 * providers are used again.  Strangers get one of their own.  What may be
 * paid for starts from nothing, so that no answer of before is read. */
static CURL *
spare_take(const struct fetch_call *call, struct err *err)
{
	struct fetch *fetch = call->fetch;
	CURL *easy;

	if (!call->untrusted && fetch->n_spare > 0) {
		easy = fetch->spare[--fetch->n_spare];
		if (is_plain(call) || renew(call, easy, err))
			return easy;
	} else {
		easy = curl_easy_init();
		if (easy == NULL)
			abort();
		if (set_once(fetch, call->untrusted, easy, err))
			return easy;
	}
	curl_easy_cleanup(easy);
	return NULL;
}

static bool
empty(struct fetch_call *call, struct err *err)
{
	CURL *easy = call->easy;

	if (!is_plain(call))
		return renew(call, easy, err);
	/* What would point to what is gone. */
	SET(CURLOPT_HTTPHEADER, NULL);
	SET(CURLOPT_ERRORBUFFER, NULL);
	SET(CURLOPT_PRIVATE, NULL);
	return true;
}

/* Only one that was never with strangers. */
static void
spare_put(struct fetch_call *call)
{
	struct fetch *fetch = call->fetch;
	struct err err;

	if (call->untrusted || fetch->closing || fetch->n_spare == SPARE_MAX ||
	    !empty(call, &err))
		curl_easy_cleanup(call->easy);
	else
		fetch->spare[fetch->n_spare++] = call->easy;
}

bool
easy_open(struct fetch_call *call, struct err *err)
{
	struct fetch_sink *sink = call->spec.sink;

	call->easy = spare_take(call, err);
	if (call->easy == NULL)
		return false;
	call->resuming =
	    sink != NULL && sink->bytes > 0 && sink->etag[0] != '\0';
	call->resume_from = call->resuming ? sink->bytes : 0;
	call->body_sent = 0;
	call->errbuf[0] = '\0';
	if (set_call(call, err))
		return true;
	easy_close(call);
	return false;
}

void
easy_close(struct fetch_call *call)
{
	if (call->easy != NULL)
		spare_put(call);
	call->easy = NULL;
	curl_slist_free_all(call->list);
	call->list = NULL;
}

void
easy_spare_free(struct fetch *fetch)
{
	while (fetch->n_spare > 0)
		curl_easy_cleanup(fetch->spare[--fetch->n_spare]);
}
