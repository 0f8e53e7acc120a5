/* admin.h - what the operators' endpoints share. */
#ifndef REELD_API_ADMIN_H
#define REELD_API_ADMIN_H

#include "api/act.h"

/*
 * Writes what was done into the audit log, then replies.  For changes whose
 * SQL function does not do that itself.  after: JSON of the change or NULL;
 * takes *reply.
 */
void
admin_audit_reply(struct act *act, const char *action, const char *target_type,
    const char *target_id, const char *after, struct json_object **reply);
/* A row of admin_jobs and the like. */
struct json_object *
admin_job_view(const struct pg_rows *rows, int row, void *arg);
/* {"until" or "seconds", "reason"} of a pause; reason is the caller's to free;
 * until_ms 0: until it is resumed.  false: replied. */
struct admin_pause {
	int64_t until_ms;
	char *reason;
};
bool
admin_pause_read(struct http_call *call, struct admin_pause *out) REELD_MUST;
/* "why" of an operator: {"reason"?}; false: replied. */
bool admin_reason(struct http_call *call, char **out) REELD_MUST;

#endif
