/*
 * provider.h - the contract between the engine and the vendors' adapters.
 *
 * An adapter is one file in src/providers that builds requests and reads
 * replies.  It never does I/O, keeps no state and never waits: everything it
 * knows about a submission it gets in a struct provider_job, and everything
 * it learned it returns in a struct provider_verdict, whose `refs` the engine
 * stores with the attempt and gives back next time.  src/providers/README.md
 * tells how to add one.
 *
 * The engine calls provider_build() and provider_read(), which hold the rules
 * that are the same for all (what a lost answer means, HTTP errors that no
 * adapter explains), and those call the adapter.
 */
#ifndef REELD_PROVIDER_H
#define REELD_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

struct fetch_reply;
struct fetch_spec;
struct fit;
struct gen_spec;
struct json_object;

/* --- What the adapter is told --------------------------------------------- */

/* An input image: data for a provider that says image_data; else a url when
 * the store has public ones, and data when it is on disk. */
struct provider_image {
	const char *url;
	const void *data;
	size_t len;
	const char *mime;
};

/* Everything is borrowed; any pointer may be NULL where it does not apply. */
struct provider_job {
	const char *generation_id, *attempt_id, *user_id;
	const char *nonce; /* ours, written before the request leaves */
	const struct gen_spec *spec;
	const char *endpoint;		  /* the route's: "fal-ai/veo3.1" */
	const struct json_object *params; /* the route's, see README */
	struct provider_image start, end;
	/* The provider's configuration. */
	const char *base_url; /* NULL: the adapter's default */
	const char *key;      /* secret; NULL when there is none */
	bool allow_private;
	/* Where it can reach us; NULL when reeld has no public URL. */
	const char *callback_url; /* holds the attempt's own token */
	const char *upload_url;	  /* workers: signed */
	const char *job_token;	  /* workers */
	int64_t now_ms;		  /* wall clock, for signatures */
	/* What earlier verdicts said. */
	const char *provider_id;
	const struct json_object *refs; /* object, or NULL */
	int polls;			/* so far */
};

/* --- What the adapter says ------------------------------------------------ */

enum provider_state {
	/* Nothing is known.  Submit: it may have been accepted (never repeat
	 * it blindly).  Poll, result, cancel: no news, ask again. */
	PROVIDER_UNKNOWN,
	/* Submit: surely not accepted, submit again after retry_after_s.
	 * Others: ask again after retry_after_s. */
	PROVIDER_BUSY,
	PROVIDER_QUEUED,
	PROVIDER_RUNNING,
	PROVIDER_DONE,	  /* result_url is set (workers may have uploaded) */
	PROVIDER_FAILED,  /* final */
	PROVIDER_REFUSED, /* final: content policy */
	PROVIDER_CANCELLED,
	PROVIDER_STATES
};

/* Why it failed; the words are what attempts and generations store. */
enum provider_class {
	PROVIDER_CLASS_NONE,
	PROVIDER_CLASS_REFUSED,	    /* "refused": content policy */
	PROVIDER_CLASS_BAD_INPUT,   /* "bad_input": they did not take it */
	PROVIDER_CLASS_PROVIDER,    /* "provider": their side broke */
	PROVIDER_CLASS_TIMEOUT,	    /* "timeout": their time limit */
	PROVIDER_CLASS_ACCOUNT,	    /* "account": our key or permission */
	PROVIDER_CLASS_FUNDS,	    /* "funds": our balance there */
	PROVIDER_CLASS_RATE_LIMIT,  /* "rate_limit" */
	PROVIDER_CLASS_NOT_FOUND,   /* "not_found": they don't know it */
	PROVIDER_CLASS_CANCELLED,   /* "cancelled" */
	PROVIDER_CLASS_NETWORK,	    /* "network": no whole answer */
	PROVIDER_CLASS_UNREADABLE,  /* "unreadable": an answer, not theirs */
	PROVIDER_CLASS_UNSUPPORTED, /* "unsupported": cannot do this at all */
	PROVIDER_CLASSES
};

/* The request to make at once, without waiting for the poll interval. */
enum provider_step {
	PROVIDER_STEP_NONE,
	PROVIDER_STEP_PREPARE, /* before submit: upload an image, ... */
	PROVIDER_STEP_SUBMIT,  /* the one that costs money */
	PROVIDER_STEP_POLL,
	PROVIDER_STEP_RESULT, /* after poll: fetch the result document */
	PROVIDER_STEP_CANCEL,
	PROVIDER_STEP_FIND, /* did that uncertain submit arrive? */
	PROVIDER_STEPS
};

struct provider_verdict {
	enum provider_state state;
	enum provider_step next;  /* usually NONE */
	char *provider_id;	  /* owned; NULL: nothing new */
	struct json_object *refs; /* owned; NULL: nothing new, else it
				     replaces the stored ones */
	int progress;		  /* 0..100, -1: they don't say */
	int queue_position;	  /* -1: they don't say */
	char status[40];	  /* their word, "" when none */

	char *result_url;	    /* owned */
	bool result_needs_key;	    /* fetch it by provider_download() */
	int64_t result_expires_ms;  /* wall clock, 0: unknown */
	struct json_object *result; /* owned: seed, prompt, ...; may be NULL */

	enum provider_class class;
	char code[64];		    /* "content_policy_violation" */
	char user_message[240];	    /* plain words, safe to show */
	char provider_message[512]; /* theirs, for operators */
	bool may_retry;		    /* a new attempt might well succeed */
	int retry_after_s;	    /* 0: they don't say */
	int64_t cost_micro_usd;	    /* -1: they don't say */
	double billable_units;	    /* -1: they don't say */
};
void provider_verdict_init(struct provider_verdict *verdict);
void provider_verdict_fini(struct provider_verdict *verdict); /* safe twice */

const char *provider_state_name(enum provider_state state);
const char *provider_class_name(enum provider_class class);

/* --- The adapter ---------------------------------------------------------- */

enum provider_transport {
	PROVIDER_HTTP,
	PROVIDER_WORKER, /* a list in Redis and our worker endpoints */
	PROVIDER_NONE	 /* a person does it */
};

/* How an uncertain submit is cleared up (reliability classes A to D). */
enum provider_recovery {
	PROVIDER_RECOVER_RESUBMIT, /* same nonce again is safe */
	PROVIDER_RECOVER_FIND,	   /* .find asks by our nonce */
	PROVIDER_RECOVER_CALLBACK, /* wait for the callback with our nonce */
	PROVIDER_RECOVER_NEVER	   /* nothing: refund, keep a note */
};

/* Fills *out, which is initialised by the builder itself (fetch_spec_init);
 * false: this job can't be asked for, err says why. */
typedef bool provider_build_fn(
    const struct provider_job *job, struct fetch_spec *out, struct err *err);
/* Reads a whole answer of any HTTP status into *out (initialised). */
typedef void provider_read_fn(const struct provider_job *job,
    const struct fetch_reply *reply, struct provider_verdict *out);

/* A webhook as it came in; header() gives NULL for absent ones. */
struct provider_hook {
	const void *body;
	size_t len;
	const char *(*header)(const char *name, void *arg);
	void *arg;
	int64_t now_ms;
};

/* How to see whether a key works, without spending: a GET of path, or (NULL)
 * the poll of a job that can't exist. */
struct provider_check {
	const char *path;     /* on the base URL; 200 proves the key */
	const char *endpoint; /* for the poll */
	const char *id;	      /* in their form; NULL: a made up UUID */
	const char *balance;  /* a number in path's reply, or NULL */
	const char *unit;     /* of it: "credits" */
	bool absent_is_empty; /* an unknown job is an empty 200 */
};

struct provider {
	const char *name;     /* "fal"; in routes, URLs and settings */
	const char *title;    /* "fal.ai" */
	const char *base_url; /* default, no slash at the end */
	enum provider_transport transport;
	enum provider_recovery recovery;
	/* Of one endpoint, where they differ; NULL: recovery. */
	enum provider_recovery (*recovery_of)(const char *endpoint);
	int poll_ms;	       /* the usual interval */
	int first_poll_ms;     /* after submit; 0: poll_ms */
	int concurrency;       /* default limit of running jobs; 0: none */
	int requests_per_min;  /* default limit; 0: none */
	int result_lifetime_s; /* how long results stay; 0: unknown */
	bool needs_key;
	bool image_data; /* wants the bytes of images, never a url */

	/* Is a prepare needed for this job?  NULL: always, where there is
	 * one.  Its verdict may ask for another one by next = PREPARE. */
	bool (*wants_prepare)(const struct provider_job *job);
	/* A NULL pair is a step the provider does not have. */
	provider_build_fn *prepare;
	provider_read_fn *prepared;
	provider_build_fn *submit;
	provider_read_fn *submitted;
	provider_build_fn *poll;
	provider_read_fn *polled;
	provider_build_fn *result;
	provider_read_fn *resulted;
	provider_build_fn *cancel;
	provider_read_fn *cancelled;
	provider_build_fn *find;
	provider_read_fn *found;
	/* The file itself, when verdict.result_needs_key, and for every link
	 * on the base URL's own origin: it decides what gets the key. */
	bool (*download)(const struct provider_job *job, const char *url,
	    struct fetch_spec *out, struct err *err);

	/* Webhooks and callbacks.  keys: what keys_url served, or the
	 * configured secret as {"secret": "whsec_..."}; NULL when unknown.
	 * verify NULL: there is no signature, the token in the URL and the
	 * poll that follows are the proof.  Its err name "bad_signature"
	 * means that other keys may fit; anything else is final. */
	const char *keys_url; /* on base_url's host when that is set */
	bool (*verify)(const struct provider_hook *hook,
	    const struct json_object *keys, struct err *err);
	/* What it says; UNKNOWN with next POLL when it only hurries a poll.
	 * result is set when it tells of a success: kept with an attempt
	 * that has ended otherwise.  false: not a message of theirs, or
	 * (ERR_CONFLICT) one about another request. */
	bool (*hook)(const struct provider_job *job, struct json_object *body,
	    struct provider_verdict *out, struct err *err);

	const struct provider_check *check; /* NULL: nothing to ask */

	/* PROVIDER_WORKER: what goes on the list; the caller owns it. */
	bool (*payload)(const struct provider_job *job,
	    struct json_object **out, struct err *err);
};

/* --- What the engine calls ------------------------------------------------ */

/* NULL when there is no such adapter. */
const struct provider *provider_by_name(const char *name);
/* In the order of the registry; NULL past the end. */
const struct provider *provider_at(size_t i);
bool
provider_has_step(const struct provider *provider, enum provider_step step);
const char *provider_step_name(enum provider_step step);

/*
 * The request of a step.  On failure *out needs no fini and err says why:
 * "unsupported" (no such step), "no_key", "no_endpoint", or the adapter's
 * reason.  Limits of time and size are set; the caller may lower them.
 */
bool provider_build(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, struct fetch_spec *out,
    struct err *err) REELD_MUST;
/*
 * The meaning of what came back; err as in fetch_done_fn (NULL: a whole
 * answer).  *out is initialised here and finished by the caller.  Never
 * fails: what can't be understood is UNKNOWN or BUSY.
 */
void provider_read(const struct provider *provider, enum provider_step step,
    const struct provider_job *job, const struct fetch_reply *reply,
    const struct err *err, struct provider_verdict *out);
/*
 * Does the key work?  job has the configuration (base_url, key,
 * allow_private, now_ms) and is filled up here; it must live until the reply
 * is read.  On failure of build: as provider_build().
 */
enum provider_key {
	PROVIDER_KEY_UNKNOWN,
	PROVIDER_KEY_VALID,
	PROVIDER_KEY_INVALID
};
struct provider_health {
	bool ok, reachable, no_funds, has_balance;
	enum provider_key key;
	double balance;
	const char *unit; /* static */
	char message[240];
};
bool
provider_check_build(const struct provider *provider, struct provider_job *job,
    struct fetch_spec *out, struct err *err) REELD_MUST;
void provider_check_read(const struct provider *provider,
    const struct provider_job *job, const struct fetch_reply *reply,
    const struct err *err, struct provider_health *out);
const char *provider_key_name(enum provider_key key);
/*
 * What the vendor and this route demand of an input image; as_data: it
 * travels as text in the request, not as a link or a file.  False: the
 * route's params.options.image is wrong.
 */
bool provider_image_fit(const struct provider *provider,
    const struct provider_job *job, bool as_data, struct fit *out,
    struct err *err) REELD_MUST;
/* Does this job need a prepare request before its submit? */
bool provider_wants_prepare(
    const struct provider *provider, const struct provider_job *job);
/* A request for the result file.  Without needs_key, and on another origin
 * than the base URL's, it is an untrusted URL and gets no credentials. */
bool provider_download(const struct provider *provider,
    const struct provider_job *job, const char *url, bool needs_key,
    struct fetch_spec *out, struct err *err) REELD_MUST;

#endif
