/* step_name.c - the words of the state machine, and kinds of phases. */
#include "jobs/step.h"

static const char *const phase_names[STEP_PHASES] = {
    [STEP_NEW] = "new",
    [STEP_ENHANCING] = "enhancing",
    [STEP_STARTING] = "starting",
    [STEP_SENDING] = "sending",
    [STEP_RECORDING] = "recording",
    [STEP_PARKED] = "parked",
    [STEP_RESEND] = "resend",
    [STEP_WAITING] = "waiting",
    [STEP_POLLING] = "polling",
    [STEP_REVOKING] = "revoking",
    [STEP_FINALIZING] = "finalizing",
    [STEP_DOWNLOADING] = "downloading",
    [STEP_DOWNLOAD_WAIT] = "download-wait",
    [STEP_PROBING] = "probing",
    [STEP_PROBE_WAIT] = "probe-wait",
    [STEP_STORING] = "storing",
    [STEP_STORE_WAIT] = "store-wait",
    [STEP_RENDERING] = "rendering",
    [STEP_POSTING] = "posting",
    [STEP_ENDING] = "ending",
    [STEP_DB_WAIT] = "db-wait",
    [STEP_OVER] = "over",
};

static const char *const do_names[STEP_DOS] = {
    [DO_NOTHING] = "nothing",
    [DO_ENHANCE] = "enhance",
    [DO_START] = "start",
    [DO_SEND] = "send",
    [DO_RECORD] = "record",
    [DO_PARK] = "park",
    [DO_WAIT] = "wait",
    [DO_POLL] = "poll",
    [DO_REVOKE] = "revoke",
    [DO_FINALIZE] = "finalize",
    [DO_DOWNLOAD] = "download",
    [DO_PROBE] = "probe",
    [DO_STORE] = "store",
    [DO_RENDER] = "render",
    [DO_POST] = "post",
    [DO_FINISH] = "finish",
    [DO_FAIL] = "fail",
    [DO_CANCELLED] = "cancelled",
    [DO_REVIEW] = "review",
    [DO_REQUEUE] = "requeue",
    [DO_RELEASE] = "release",
    [DO_DROP] = "drop",
};

static const char *const on_names[STEP_ONS] = {
    [ON_CLAIM] = "claim",
    [ON_COMMITTED] = "committed",
    [ON_DB_AWAY] = "db-away",
    [ON_DB_REFUSED] = "db-refused",
    [ON_LOST] = "lost",
    [ON_EXHAUSTED] = "exhausted",
    [ON_ENHANCED] = "enhanced",
    [ON_NOT_SENT] = "not-sent",
    [ON_BUSY] = "busy",
    [ON_REFUSED] = "refused",
    [ON_UNCERTAIN] = "uncertain",
    [ON_ACCEPTED] = "accepted",
    [ON_ALIVE] = "alive",
    [ON_POLL_FAILED] = "poll-failed",
    [ON_ABSENT] = "absent",
    [ON_DONE] = "done",
    [ON_FAILED] = "failed",
    [ON_GONE] = "gone",
    [ON_REVOKED] = "revoked",
    [ON_DOWNLOADED] = "downloaded",
    [ON_LINK_DEAD] = "link-dead",
    [ON_DOWNLOAD_AWAY] = "download-away",
    [ON_DOWNLOAD_BAD] = "download-bad",
    [ON_PROBED] = "probed",
    [ON_MEDIA_AWAY] = "media-away",
    [ON_MEDIA_BAD] = "media-bad",
    [ON_STORED] = "stored",
    [ON_STORE_AWAY] = "store-away",
    [ON_SIDE_DONE] = "side-done",
    [ON_TIMER] = "timer",
    [ON_HURRY] = "hurry",
    [ON_CANCEL] = "cancel",
    [ON_DRAIN] = "drain",
};

const char *
step_phase_name(enum step_phase phase)
{
	return phase_names[phase];
}

const char *
step_do_name(enum step_do what)
{
	return do_names[what];
}

const char *
step_on_name(enum step_on on)
{
	return on_names[on];
}

bool
step_wants_id(const struct step *state)
{
	return !state->have_id && state->sends > 0 &&
	    (state->phase == STEP_PARKED || state->phase == STEP_WAITING ||
		state->phase == STEP_POLLING || state->phase == STEP_RESEND);
}

bool
step_is_critical(enum step_phase phase)
{
	return phase == STEP_STARTING || phase == STEP_SENDING ||
	    phase == STEP_RECORDING || phase == STEP_FINALIZING ||
	    phase == STEP_ENDING;
}

bool
step_is_timed(enum step_phase phase)
{
	return phase == STEP_RESEND || phase == STEP_WAITING ||
	    phase == STEP_DOWNLOAD_WAIT || phase == STEP_PROBE_WAIT ||
	    phase == STEP_STORE_WAIT || phase == STEP_DB_WAIT;
}

bool
step_has_result(const struct step *state)
{
	switch (state->phase) {
	case STEP_FINALIZING:
	case STEP_DOWNLOADING:
	case STEP_DOWNLOAD_WAIT:
	case STEP_PROBING:
	case STEP_PROBE_WAIT:
	case STEP_STORING:
	case STEP_STORE_WAIT:
		return true;
	default:
		return state->phase == STEP_DB_WAIT &&
		    state->redo == DO_FINALIZE;
	}
}

bool
step_result_is_near(int64_t now_ms, int64_t seen_ms, int64_t expires_ms)
{
	const int64_t quarter = INT64_C(15) * 60 * 1000;
	int64_t life = expires_ms - seen_ms, left = expires_ms - now_ms;

	return left * 5 < life || (left < quarter && life > quarter);
}

bool
step_hears(enum step_phase phase, enum step_on on)
{
	switch (on) {
	case ON_CLAIM:
		return phase == STEP_NEW;
	case ON_ENHANCED:
		return phase == STEP_ENHANCING;
	case ON_DB_AWAY:
	case ON_DB_REFUSED:
		return phase == STEP_ENHANCING || phase == STEP_STARTING ||
		    phase == STEP_RECORDING || phase == STEP_FINALIZING ||
		    phase == STEP_ENDING;
	case ON_COMMITTED:
		return phase == STEP_STARTING || phase == STEP_RECORDING ||
		    phase == STEP_FINALIZING || phase == STEP_ENDING;
	case ON_NOT_SENT:
	case ON_BUSY:
	case ON_REFUSED:
	case ON_UNCERTAIN:
		return phase == STEP_SENDING;
	case ON_ACCEPTED: /* by the answer, or by a callback */
		return phase == STEP_SENDING || phase == STEP_PARKED ||
		    phase == STEP_WAITING || phase == STEP_POLLING ||
		    phase == STEP_RESEND;
	case ON_EXHAUSTED:
		return phase == STEP_ENDING;
	case ON_ALIVE:
	case ON_POLL_FAILED:
	case ON_ABSENT:
	case ON_DONE:
	case ON_FAILED:
	case ON_GONE:
		return phase == STEP_POLLING;
	case ON_REVOKED:
		return phase == STEP_REVOKING;
	case ON_DOWNLOADED:
	case ON_LINK_DEAD:
	case ON_DOWNLOAD_AWAY:
	case ON_DOWNLOAD_BAD:
		return phase == STEP_DOWNLOADING;
	case ON_PROBED:
	case ON_MEDIA_AWAY:
	case ON_MEDIA_BAD:
		return phase == STEP_PROBING;
	case ON_STORED:
	case ON_STORE_AWAY:
		return phase == STEP_STORING;
	case ON_SIDE_DONE:
		return phase == STEP_RENDERING || phase == STEP_POSTING;
	case ON_TIMER:
		return step_is_timed(phase);
	default:
		return true;
	}
}
