/*
 * spec.h - what a generation is asked to be: the request after its fields
 * were read, and, once capability_check() filled the gaps, the exact order
 * that is priced, stored and sent to a provider.
 */
#ifndef REELD_SPEC_H
#define REELD_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/err.h"
#include "reeld/id.h"

struct json_object;

enum gen_mode { GEN_T2V, GEN_I2V };

/* "t2v", "i2v". */
const char *gen_mode_name(enum gen_mode mode);
bool gen_mode_parse(const char *text, enum gen_mode *out) REELD_MUST;

enum gen_audio { GEN_AUDIO_UNSET = -1, GEN_AUDIO_OFF, GEN_AUDIO_ON };

struct gen_spec {
	char *prompt;	       /* owned */
	char *negative_prompt; /* owned, NULL: none */
	enum gen_mode mode;    /* follows start_asset, see capability.h */
	int64_t duration_ms;   /* 0: not chosen */
	char resolution[16];   /* "720p"; "": not chosen, or no choice */
	char aspect_ratio[16]; /* "16:9"; "": not chosen, or no choice */
	int fps;	       /* 0: not chosen, or the model's own */
	bool has_seed;
	int64_t seed;
	enum gen_audio audio;
	bool enhance;
	struct id start_asset, end_asset;
	int width, height;	   /* derived; 0: the provider decides */
	struct json_object *extra; /* owned object, or NULL */
};

void spec_init(struct gen_spec *spec);
void spec_fini(struct gen_spec *spec); /* safe twice */
void spec_copy(struct gen_spec *dst, const struct gen_spec *src); /* deep;
	 dst is uninitialised */

/*
 * The stored form (generation.spec): every member that is set, under its own
 * name ("duration_ms", "start_asset", ...).  spec_from_json() initialises
 * *spec and refuses what spec_to_json() could not have written; on failure
 * there is nothing to free.  The caller owns the document.
 */
struct json_object *spec_to_json(const struct gen_spec *spec);
bool spec_from_json(
    struct json_object *doc, struct gen_spec *spec, struct err *err) REELD_MUST;

/* What the API shows: duration (seconds), resolution, aspect_ratio, audio,
 * seed, fps, width, height; null where unknown.  The caller owns it. */
struct json_object *spec_public(const struct gen_spec *spec);

#endif
