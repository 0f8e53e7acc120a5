/* slug.h - names for URLs: lower-case letters, digits, '.', '_' and '-'. */
#ifndef REELD_SLUG_H
#define REELD_SLUG_H

#include <stdbool.h>
#include <stddef.h>

#include "reeld/err.h"

#define SLUG_MAX 100

/* Starts with a letter or digit, 1 to SLUG_MAX characters. */
bool slug_valid(const char *text) REELD_MUST;
/*
 * Makes one from any text: "Kling 2.5 Turbo (Pro)!" -> "kling-2.5-turbo-pro".
 * Other characters become single dashes; a text without any usable character
 * gives fallback.  size >= 2; the result is cut to fit.
 */
void slug_make(const char *text, const char *fallback, char *out, size_t size);

#endif
