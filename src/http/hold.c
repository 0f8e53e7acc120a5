/*
 * hold.c - a call while somebody else has to act: suspended, hung up by its
 * client, resumed, or its socket given away for good; also while we look
 * whether it sends a body that was refused.
 *
 * libmicrohttpd does not notice a hang-up on a suspended connection, so our own
 * watcher does.
 */
#include "http/internal.h"

#include <assert.h>
#include <fcntl.h>

void
call_fire_gone(struct http_call *call)
{
	loop_fn *gone = call->gone;

	if (gone == NULL)
		return;
	call->gone = NULL;
	call->server->stats.gone++;
	gone(call->gone_arg);
}

static void
on_hangup(int fd, int events, void *arg)
{
	struct http_call *call = arg;

	if (!call->suspended || call->phase == CALL_HIJACKED)
		return;
	if (call->phase == CALL_LOOK && (events & LOOP_READ)) {
		call->writes_on = true;
		call_resume(call);
		return;
	}
	call_enter(call, CALL_DEAD);
	call_fire_gone(call);
	call_resume(call);
}

void
call_suspend(struct http_call *call)
{
	if (call->suspended)
		return;
	MHD_suspend_connection(call->mhd);
	call->suspended = true;
	if (call->phase == CALL_HIJACKED)
		return;
	if (call->hangup == NULL)
		call->hangup = loop_io_new(call->server->loop, call->fd,
		    "http hang-up", on_hangup, call);
	loop_io_set(call->hangup,
	    LOOP_CLOSED | (call->phase == CALL_LOOK ? LOOP_READ : 0));
}

void
call_resume(struct http_call *call)
{
	if (!call->suspended)
		return;
	call->suspended = false;
	if (call->hangup != NULL)
		loop_io_set(call->hangup, 0);
	server_wake(call);
}

void
call_answered(struct http_call *call)
{
	if (!call->inside)
		call_resume(call);
}

void
http_on_gone(struct http_call *call, loop_fn *fn, void *arg)
{
	call->gone = fn;
	call->gone_arg = arg;
}

bool
http_hijack(struct http_call *call, int *fd, struct buf *head, struct err *err)
{
	struct call_fields fields;

	assert(call->response == NULL && call->phase == CALL_HANDLER);
	*fd = fcntl(call->fd, F_DUPFD_CLOEXEC, 3);
	if (*fd < 0)
		return err_set(
		    err, ERR_UNAVAILABLE, "No room for another socket.");
	call_fields(call, &fields);
	buf_printf(head, "%s %s HTTP/1.1\r\n",
	    http_method_name[call->head.method], call->target);
	for (size_t i = 0; i < fields.n; i++) {
		buf_add(head, fields.list[i].name, fields.list[i].name_len);
		buf_puts(head, ": ");
		buf_add(head, fields.list[i].value, fields.list[i].value_len);
		buf_puts(head, "\r\n");
	}
	buf_puts(head, "\r\n");
	call->gone = NULL;
	call->status = 101;
	call_enter(call, CALL_HIJACKED);
	call->server->stats.hijacked++;
	if (call->suspended && call->hangup != NULL)
		loop_io_set(call->hangup, 0);
	return true;
}

void
http_hijack_done(struct http_call *call)
{
	if (call->phase != CALL_HIJACKED)
		return; /* the server is going down */
	call->server->stats.hijacked--;
	call_enter(call, CALL_DEAD);
	call_resume(call);
}
