/*
 * handshake.c - is this request a WebSocket handshake we accept?
 *
 * libwebsockets is lenient here, so it never sees what the client sent: what
 * passes these checks is written anew (context.c), without extensions.
 */
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "reeld/http.h"
#include "reeld/mem.h"
#include "ws/internal.h"

/* A comma-separated list holds the token, in any case. */
static bool
list_has(const char *list, const char *token, bool fold)
{
	size_t len = strlen(token);

	while (list != NULL && *list != '\0') {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len &&
		    (fold ? strncasecmp(list, token, n)
			  : strncmp(list, token, n)) == 0)
			return true;
		list += n;
	}
	return false;
}

/* 16 bytes as base64: 22 digits and "==". */
static bool
key_ok(const char *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(key) == WS_KEY_LEN && strspn(key, digits) == 22 &&
	    strcmp(key + 22, "==") == 0;
}

bool
handshake_check(
    const struct ws_handshake *shake, bool *with_protocol, struct err *err)
{
	if (!list_has(shake->upgrade, "websocket", true) ||
	    !list_has(shake->connection, "upgrade", true))
		return err_set_name(err, ERR_BAD_INPUT, "not_websocket",
		    "This address speaks WebSocket only.");
	if (!str_eq(shake->version, "13"))
		return err_set_name(err, ERR_BAD_INPUT, "bad_handshake",
		    "Sec-WebSocket-Version must be 13.");
	if (shake->key == NULL || !key_ok(shake->key))
		return err_set_name(err, ERR_BAD_INPUT, "bad_handshake",
		    "Sec-WebSocket-Key must be 16 bytes in base64.");
	*with_protocol = shake->protocol != NULL;
	if (*with_protocol && !list_has(shake->protocol, WS_PROTOCOL, false))
		return err_set_name(err, ERR_BAD_INPUT, "bad_handshake",
		    "The subprotocol must be " WS_PROTOCOL ".");
	return true;
}

bool
handshake_same_host(const char *origin, const char *host)
{
	if (host == NULL)
		return false;
	if (str_starts(origin, "https://"))
		return strcasecmp(origin + 8, host) == 0;
	if (str_starts(origin, "http://"))
		return strcasecmp(origin + 7, host) == 0;
	return false;
}

static bool
origin_check(const struct ws *ws, const struct http_call *call,
    const struct ws_client *client, struct err *err)
{
	const char *origin = http_header(call, "Origin");
	bool ok;

	if (origin == NULL)
		ok = client->no_origin_ok;
	else if (ws->opts.origin_ok != NULL)
		ok = ws->opts.origin_ok(origin, call, ws->opts.origin_arg);
	else
		ok = handshake_same_host(origin, http_header(call, "Host"));
	if (ok)
		return true;
	return err_set_name(err, ERR_FORBIDDEN, "bad_origin",
	    "This origin may not open a WebSocket here.");
}

bool
ws_accept(struct ws *ws, struct http_call *call, const struct ws_client *client,
    const struct ws_hooks *hooks, void *user)
{
	struct ws_handshake shake = {http_header(call, "Upgrade"),
	    http_header(call, "Connection"),
	    http_header(call, "Sec-WebSocket-Version"),
	    http_header(call, "Sec-WebSocket-Key"),
	    http_header(call, "Sec-WebSocket-Protocol")};
	char key[WS_KEY_LEN + 1];
	struct err err = {0};
	struct buf head;
	bool with_protocol, taken;
	int fd = -1;

	buf_init(&head, 32 * 1024);
	if (!handshake_check(&shake, &with_protocol, &err) ||
	    !origin_check(ws, call, client, &err) || !ws_has_room(ws, &err) ||
	    !str_copy(key, sizeof key, shake.key) ||
	    !http_hijack(call, &fd, &head, &err)) {
		buf_fini(&head);
		ws->stats.refused++;
		if (str_eq(err.name, "bad_handshake"))
			http_reply_header(call, "Sec-WebSocket-Version", "13");
		http_reply_err(call, &err);
		return false;
	}
	buf_fini(&head);
	/* The room was checked above, so this cannot be refused. */
	taken = ws_adopt(ws, fd, key, with_protocol, hooks, user, &err);
	if (!taken)
		close(fd);
	http_hijack_done(call);
	return taken;
}
