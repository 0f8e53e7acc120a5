/* manual.c - models whose videos a person uploads: there is no API to ask. */
#include "providers/internal.h"

static bool
manual_submit(
    const struct provider_job *job, struct fetch_spec *out, struct err *err)
{
	return err_set_name(err, ERR_CONFLICT, "manual_model",
	    "Videos of this model are uploaded by hand; it can't generate");
}

static void
manual_submitted(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out)
{
	verdict_fail(out, PROVIDER_FAILED, PROVIDER_CLASS_UNSUPPORTED,
	    "manual_model", NULL);
}

const struct provider provider_manual = {
    .name = "manual",
    .title = "Manual upload",
    .transport = PROVIDER_NONE,
    .recovery = PROVIDER_RECOVER_NEVER,
    .submit = manual_submit,
    .submitted = manual_submitted,
};
