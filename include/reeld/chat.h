/*
 * chat.h - prompt enhancement: what a language model behind an OpenAI-shaped
 * chat completions API is asked, and what is taken from its answer.
 *
 * Pure, like the adapters of provider.h: no I/O, no state.  Its answer is
 * somebody else's text and is only ever used as data: cleaned of control
 * characters, cut to CHAT_MAX_WORDS words and to what the target model takes,
 * and never empty.  Whoever calls it keeps the user's own prompt at hand:
 * an enhancement that fails is no error of a generation.
 */
#ifndef REELD_CHAT_H
#define REELD_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "reeld/err.h"

struct fetch_reply;
struct fetch_spec;

enum { CHAT_MAX_WORDS = 200 };

/* Borrowed texts; NULL or "" where there is none. */
struct chat_settings {
	const char *base_url; /* ends in the version: "https://host/v1" */
	const char *key;      /* secret; local servers need none */
	const char *model;
	const char *system_prompt; /* none: one of our own */
	bool allow_private;	   /* the base may be on a private address */
	int64_t timeout_ms;
	int64_t max_tokens;
};
/* Is there an address and a model?  NULL is fine. */
bool chat_is_set(const struct chat_settings *settings);

struct chat_ask {
	const char *prompt;
	const char *negative_prompt; /* NULL: none */
	bool image;		     /* for a still image, not a video */
};

/* The request.  On failure ("no_enhancer": settings name no server) *out
 * needs no fini. */
bool
chat_build(const struct chat_settings *settings, const struct chat_ask *ask,
    struct fetch_spec *out, struct err *err) REELD_MUST;

/*
 * The enhanced prompt out of whatever came back; failed as in fetch_done_fn.
 * max_chars: of the target model, counted in UTF-16 units as the strictest
 * vendor does (so it is never more characters).  The caller frees it.  NULL:
 * there is none, err says why for operators ("refused", "empty",
 * "unreadable", "http_429", or fetch's name).
 */
char *chat_read(const struct fetch_reply *reply, const struct err *failed,
    int64_t max_chars, struct err *err);

/* One line of plain text: white space runs become a blank, control and
 * direction characters go, then it is cut to so many words and UTF-16 units.
 * text is valid UTF-8.  The caller frees it; "" when nothing is left. */
char *chat_tidy(const char *text, int max_words, int64_t max_chars);

#endif
