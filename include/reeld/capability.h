/*
 * capability.h - what a model can do, and whether a request fits.
 *
 * A capability document is a JSON object; * marks what must be there:
 *
 *	modes*		["t2v", "i2v"]
 *	durations*	{"list": [4, 6, 8]}, {"min": 3, "max": 8, "step": 1} or
 *			{"fixed": 8}; seconds, at most three decimals
 *	resolutions	["720p", "1080p"]; absent or []: no choice
 *	aspect_ratios	["16:9", "9:16"]; absent or []: no choice
 *	fps		[16, 24]; absent or []: no choice
 *	audio		"none" (default), "optional", "always"
 *	seed		true: a seed may be given (default false)
 *	negative_prompt	true: may be given (default false)
 *	max_prompt	characters, CAPABILITY_MAX_PROMPT when absent
 *	max_negative_prompt	characters, max_prompt when absent
 *	start_image	"none", "optional", "required"; by the modes if absent
 *	end_image	"none" (default), "optional", "required"
 *	sizes		{"720p": {"16:9": [1280, 720]}}: where the size is not
 *			what size_derive() gives
 *	defaults	{"duration", "resolution", "aspect_ratio", "fps",
 *			"audio"}; the first value where absent
 *	cancel, webhook, bills_on_failure, bills_on_cancel	flags
 *	result_lifetime_s	how long a result can be fetched
 */
#ifndef REELD_CAPABILITY_H
#define REELD_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeld/err.h"

struct gen_spec;
struct json_object;

enum { CAPABILITY_MAX_PROMPT = 4000 };

/* Is this such a document?  ERR_INVALID "bad_capabilities" with pointer. */
bool capability_document_check(
    const struct json_object *caps, struct err *err) REELD_MUST;

/*
 * Checks what the spec asks for and fills in what it left open: mode (i2v
 * exactly when there is a start image), duration, resolution, aspect ratio,
 * fps, audio, width and height.  A refusal is ERR_INVALID (422) with the
 * request field's pointer ("#/duration"), the value and the nearest valid
 * ones, named unsupported_<field>, prompt_too_long, prompt_missing,
 * start_image_required or end_image_required.  On failure the spec may be
 * partly filled.
 */
bool capability_check(const struct json_object *caps, struct gen_spec *spec,
    struct err *err) REELD_MUST;

/* What the API shows as "capabilities": durations as a plain list of seconds,
 * everything else with its default filled in.  The caller owns it. */
struct json_object *capability_public(const struct json_object *caps);
/* All allowed durations, ascending; returns how many (at most max). */
size_t
capability_durations(const struct json_object *caps, int64_t *ms, size_t max);
#define CAPABILITY_MAX_DURATIONS 240

/*
 * Even width and height for "720p", "4k", "1280x720" or "1080x1920" and an
 * aspect ratio "16:9": the short side is the number before the p.  false for
 * words that name no size ("auto", "").
 */
bool size_derive(const char *resolution, const char *aspect_ratio, int *width,
    int *height) REELD_MUST;

#endif
