/*
 * outcome.c - what a finished handle means: was the request sent, is there a
 * whole answer, and if not, whose fault is it.  Also the answer's header.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fetch/internal.h"
#include "reeld/clock.h"

void
headers_reset(struct fetch_call *call)
{
	for (int i = 0; i < call->n_headers; i++) {
		free(call->headers[i].name);
		free(call->headers[i].value);
	}
	call->n_headers = 0;
	call->reply.n_headers = 0;
}

bool
headers_add(struct fetch_call *call, const char *line, size_t len)
{
	const char *colon;
	struct fetch_header *header;
	size_t name_len;

	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		long status = 0;

		/* A new answer: what came before was a 1xx. */
		headers_reset(call);
		(void)curl_easy_getinfo(
		    call->easy, CURLINFO_RESPONSE_CODE, &status);
		call->reply.status = (int)status;
		return true;
	}
	colon = memchr(line, ':', len);
	if (colon == NULL)
		return true; /* the empty line */
	if (call->n_headers == HEADERS_MAX)
		return false;
	if (call->n_headers == call->headers_room) {
		call->headers_room += HEADERS_STEP;
		call->headers = xrealloc(call->headers,
		    (size_t)call->headers_room * sizeof *call->headers);
	}
	header = &call->headers[call->n_headers++];
	name_len = (size_t)(colon - line);
	header->secret = false;
	header->name = xstrndup(line, name_len);
	len -= name_len + 1;
	for (colon++; len > 0 && (*colon == ' ' || *colon == '\t'); len--)
		colon++;
	header->value = xstrndup(colon, len);
	call->reply.headers = call->headers;
	call->reply.n_headers = call->n_headers;
	return true;
}

const char *
fetch_reply_header(const struct fetch_reply *reply, const char *name)
{
	for (int i = 0; i < reply->n_headers; i++)
		if (strcasecmp(reply->headers[i].name, name) == 0)
			return reply->headers[i].value;
	return NULL;
}

bool
fetch_reply_may_retry(const struct fetch_reply *reply)
{
	switch (reply->status) {
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

static int64_t
info_ms(const struct fetch_call *call, CURLINFO info)
{
	curl_off_t us = 0;

	if (curl_easy_getinfo(call->easy, info, &us) != CURLE_OK)
		return 0;
	return us / 1000;
}

static void
read_sent(struct fetch_call *call)
{
	curl_off_t ready_us = 0;
	long bytes = 0, status = 0;

	(void)curl_easy_getinfo(
	    call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
	(void)curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes);
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	call->reply.status = (int)status;
	if (status >= 200)
		call->reply.sent = FETCH_ANSWERED;
	else if (call->sent_before || ready_us > 0 || bytes > 0)
		call->reply.sent = FETCH_MAYBE_SENT;
	else
		call->reply.sent = FETCH_NOT_SENT;
}

static void
read_info(struct fetch_call *call)
{
	struct fetch_reply *reply = &call->reply;
	const char *text;
	char *ip = NULL;

	read_sent(call);
	reply->connect_ms = info_ms(call, CURLINFO_APPCONNECT_TIME_T);
	if (reply->connect_ms == 0)
		reply->connect_ms = info_ms(call, CURLINFO_CONNECT_TIME_T);
	reply->first_byte_ms = info_ms(call, CURLINFO_STARTTRANSFER_TIME_T);
	reply->total_ms = clock_mono_ms() - call->start_ms;
	if (curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &ip) ==
		CURLE_OK &&
	    ip != NULL &&
	    !str_copy(reply->remote_ip, sizeof reply->remote_ip, ip))
		reply->remote_ip[0] = '\0';
	(void)str_copy(reply->url, sizeof reply->url, call->url);
	text = fetch_reply_header(reply, "Retry-After");
	if (text != NULL &&
	    !time_parse_retry_after(
		text, RETRY_AFTER_MAX_S, &reply->retry_after_s))
		reply->retry_after_s = 0;
	reply->bytes =
	    call->sink_open ? call->spec.sink->bytes : (int64_t)reply->body.len;
}

static bool
fail(struct err *err, enum err_code code, const char *name, const char *why)
{
	return err_set_name(err, code, name, "%s", why);
}

static bool
disk_failed(int error, struct err *err)
{
	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return fail(err, ERR_STORAGE, "disk_full", "the disk is full");
	return err_set_name(err, ERR_INTERNAL, "disk_failed",
	    "a file could not be read or written: %s", strerror(error));
}

/* What the callbacks noted comes before libcurl's word for it. */
static bool
read_notes(const struct fetch_call *call, CURLcode code, struct err *err)
{
	if (call->disk_errno != 0)
		return disk_failed(call->disk_errno, err);
	if (call->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return fail(err, ERR_TOO_LARGE, "reply_too_large",
		    "the answer is larger than allowed");
	if (call->head_full)
		return fail(err, ERR_UPSTREAM, "headers_too_large",
		    "the answer's header is larger than allowed");
	if (call->bad_range)
		return fail(err, ERR_UPSTREAM, "bad_reply",
		    "the answer is not the range that was asked for");
	if (call->encoded)
		return fail(err, ERR_UPSTREAM, "bad_reply",
		    "the answer is compressed, which was not asked for");
	if (call->refused &&
	    (code == CURLE_COULDNT_CONNECT ||
		code == CURLE_ABORTED_BY_CALLBACK))
		return fail(err, ERR_FORBIDDEN, "url_forbidden",
		    "that address is not open to requests from here");
	return true;
}

static bool
read_timeout(const struct fetch_call *call, struct err *err)
{
	if (str_starts(call->errbuf, "Operation too slow"))
		return fail(
		    err, ERR_TIMEOUT, "stalled", "the transfer stalled");
	if (call->reply.sent == FETCH_NOT_SENT)
		return fail(err, ERR_TIMEOUT, "connect_timeout",
		    "no connection in time");
	return fail(err, ERR_TIMEOUT, "timeout", "no whole answer in time");
}

static bool
read_code(const struct fetch_call *call, CURLcode code, struct err *err)
{
	switch (code) {
	case CURLE_OK:
		return true;
	case CURLE_OPERATION_TIMEDOUT:
		return read_timeout(call, err);
	case CURLE_COULDNT_RESOLVE_HOST:
		return fail(err, ERR_UPSTREAM, "dns_failed",
		    "the host's name was not found");
	case CURLE_COULDNT_CONNECT:
		return fail(err, ERR_UPSTREAM, "connect_failed",
		    "the host refused the connection");
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return fail(err, ERR_UPSTREAM, "tls_failed",
		    "no trusted TLS connection");
	case CURLE_PARTIAL_FILE:
		return fail(
		    err, ERR_UPSTREAM, "short_body", "the answer ended early");
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return fail(err, ERR_UPSTREAM, "connection_lost",
		    "the connection broke");
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return fail(err, ERR_FORBIDDEN, "url_forbidden",
		    "that is not a URL to fetch");
	default:
		return err_set_name(err, ERR_UPSTREAM, "bad_reply", "%s",
		    curl_easy_strerror(code));
	}
}

bool
outcome_read(struct fetch_call *call, CURLcode code, struct err *err)
{
	read_info(call);
	if (!read_notes(call, code, err))
		return false;
	/* Cut short by ourselves: the start of an error page is enough. */
	if (call->cut && call->reply.sent == FETCH_ANSWERED)
		return true;
	if (!read_code(call, code, err))
		return false;
	if (call->reply.sent != FETCH_ANSWERED)
		return fail(
		    err, ERR_UPSTREAM, "bad_reply", "the answer has no status");
	return true;
}
