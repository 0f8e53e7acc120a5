/*
 * hooks.c - POST /hooks/{provider}/{attempt}/{token}: providers call back.
 * The engine checks the token and the vendor's signature, and never believes
 * more than "look again".
 */
#include <stdlib.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/jobs.h"

struct hook {
	struct http_call *call;
	struct engine_hook *hook;
};

static void
on_gone(void *arg)
{
	struct hook *self = arg;

	engine_hook_cancel(&self->hook);
	free(self);
}

static void
on_hook(int status, void *arg)
{
	struct hook *self = arg;
	struct http_call *call = self->call;
	struct json_object *obj;

	free(self);
	switch (status) {
	case 200:
		obj = json_new();
		json_set_bool(obj, "ok", true);
		http_reply_json(call, 200, &obj);
		break;
	case 400:
		api_refuse(call, ERR_BAD_INPUT, "bad_hook",
		    "This is not a webhook we can read.");
		break;
	case 401:
		api_refuse(call, ERR_UNAUTHORIZED, "bad_token",
		    "Neither the token nor the signature is good.");
		break;
	case 404:
		api_not_found(call);
		break;
	case 413:
		api_refuse(call, ERR_TOO_LARGE, "", "At most 1 MiB.");
		break;
	default:
		api_refuse(call, ERR_UNAVAILABLE, "", "Send it again later.");
	}
}

static const char *
header(const char *name, void *call)
{
	return http_header(call, name);
}

void
api_hooks(struct http_call *call)
{
	struct hook *self = xcalloc(1, sizeof *self);
	struct engine_hook_in in = {.provider = http_arg(call, "provider"),
	    .attempt = http_arg(call, "attempt"),
	    .token = http_arg(call, "token"),
	    .header = header,
	    .header_arg = call};

	in.body = http_body(call, &in.len);
	self->call = call;
	http_on_gone(call, on_gone, self);
	engine_hook_start(
	    api_app(call)->engine, &in, &self->hook, on_hook, self);
}
