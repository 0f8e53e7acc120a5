/* internal.h - what the adapters share. */
#ifndef REELD_PROVIDERS_INTERNAL_H
#define REELD_PROVIDERS_INTERNAL_H

#include "reeld/fetch.h"
#include "reeld/json.h"
#include "reeld/provider.h"
#include "reeld/provider_names.h"

/* --- common.c: verdicts ----------------------------------------------------
 */

struct provider_word {
	const char *word; /* compared without case */
	enum provider_state state;
};
/* The state of a status word; UNKNOWN for new or missing ones, which means
 * "still going" until the deadline.  Also keeps the word in out->status. */
enum provider_state verdict_status(struct provider_verdict *out,
    const char *word, const struct provider_word *words, size_t n);
/* The words most of them use: queued, processing, succeeded, ... */
extern const struct provider_word provider_words[];
extern const size_t provider_words_n;

void verdict_fail(struct provider_verdict *out, enum provider_state state,
    enum provider_class class, const char *code, const char *user_message);
/* Their text, cut to fit at a character's end; NULL is fine. */
void verdict_their_message(struct provider_verdict *out, const char *text);
/* Puts text in place of what is there; NULL changes nothing. */
void verdict_set_text(char **slot, const char *text);
/* A submit that was answered by 404 or 410. */
#define MODEL_GONE_MESSAGE "The provider does not offer this model any more"
/* A plain sentence for the class. */
const char *class_message(enum provider_class class);
/* Does a text name a content refusal?  For vendors without a code. */
bool text_names_refusal(const char *text);

/*
 * The meaning of an HTTP status that the adapter has no better word for, by
 * the step: a submit that may have been accepted is UNKNOWN, a poll that
 * brought no news too.  2xx means the body was not theirs.
 */
void verdict_http(struct provider_verdict *out, enum provider_step step,
    const struct fetch_reply *reply);

/*
 * The same when the vendor gave a code or a text with its error (either may be
 * NULL): a definite refusal of a submit that names content policy is REFUSED,
 * one that names our balance is FUNDS.  Also takes the waiting time from
 * `retry-after-ms`, and from retry_after_s (0: none) of the body.
 */
void verdict_error(struct provider_verdict *out, enum provider_step step,
    const struct fetch_reply *reply, const char *code, const char *text,
    int retry_after_s);
/* Does a text say that our credit there is used up? */
bool text_names_funds(const char *text);
/* "code: text" as the operators' message. */
void verdict_their_code(
    struct provider_verdict *out, const char *code, const char *text);
/* They stopped it, or agreed to. */
void verdict_cancelled(struct provider_verdict *out);
/* Finished without a file. */
void verdict_no_media(struct provider_verdict *out, const char *text);

/* The reply's body as an object (JSON_FOREIGN); NULL when it is none.  The
 * caller frees it. */
struct json_object *reply_json(const struct fetch_reply *reply);

/* --- mapping.c: our spec in their words ------------------------------------
 */

/* Writes the job's spec into body by params.input, then params.fixed.  err:
 * the route's document is wrong, or it can't say what is asked. */
bool provider_map(const struct provider_job *job, struct json_object *body,
    struct err *err) REELD_MUST;
/* Is this a route's params document?  Pointers as "#/input/duration". */
bool provider_params_check(
    const struct json_object *params, struct err *err) REELD_MUST;

/* limits.c: are params.options.image right, where there are any? */
bool provider_image_check(
    const struct json_object *params, struct err *err) REELD_MUST;

/* --- requests ---------------------------------------------------------------
 */

/* base_url of the job or the provider's default. */
const char *
job_base(const struct provider *self, const struct provider_job *job);
/* A request to the provider's own origin with our limits. */
void spec_start(const struct provider *self, const struct provider_job *job,
    struct fetch_spec *out, const char *method, const char *url);
/* Is a URL on the origin of the provider's base URL? */
bool url_is_own(const struct provider *self, const struct provider_job *job,
    const char *url);
/* base URL + path + id (percent-encoded, may be NULL) + tail. */
char *job_url(const struct provider *self, const struct provider_job *job,
    const char *path, const char *id, const char *tail);
/* Letters, digits, "._-" and the characters of more; safe in a path. */
bool endpoint_ok(const char *endpoint, const char *more);
/* Percent-encodes for a query value; the caller frees it. */
char *url_encode(const char *text);

/* --- encode.c: the forms they want ------------------------------------------
 */

/* All text is the caller's to free. */
char *base64_text(const void *data, size_t len); /* with padding */
bool image_given(const struct provider_image *image);
const char *image_mime(const struct provider_image *image);
/* NULL when only a URL is known. */
char *image_base64(const struct provider_image *image);
char *image_data_uri(const struct provider_image *image);
/* The URL, else a data URI, else NULL. */
char *image_ref(const struct provider_image *image);
/* "image.png", by the type. */
const char *image_file_name(const struct provider_image *image);

/* init, the parts in order, finish (which gives the body to the request and
 * frees it).  The boundary is made of the job's nonce. */
struct multipart {
	struct buf body;
	char boundary[80];
};
void multipart_init(struct multipart *self, const struct provider_job *job);
void
multipart_field(struct multipart *self, const char *name, const char *value);
void multipart_file(struct multipart *self, const char *name,
    const char *filename, const char *mime, const void *data, size_t len);
void multipart_finish(struct multipart *self, struct fetch_spec *out);

/* A JSON Web Token with iss, exp and nbf, signed with HMAC-SHA256. */
char *
jwt_hs256(const char *issuer, const char *secret, int64_t exp_s, int64_t nbf_s);
/* Google's "32s" and "1.5s", rounded up, at most 600; 0 for anything else. */
int duration_text_s(const char *text);

/* fal_hook.c */
bool fal_hook_verify(const struct provider_hook *hook,
    const struct json_object *keys, struct err *err);
bool fal_hook_read(const struct provider_job *job, struct json_object *body,
    struct provider_verdict *out, struct err *err);

/* table.c: ends with NULL. */
extern const struct provider *const provider_registry[];
#define PROVIDER_DECLARE(name, key_env) \
	extern const struct provider provider_##name;
PROVIDER_NAMES(PROVIDER_DECLARE)
#undef PROVIDER_DECLARE

#endif
