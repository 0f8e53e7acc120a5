/* internal.h - between the files of src/json. */
#ifndef REELD_JSON_INTERNAL_H
#define REELD_JSON_INTERNAL_H

#include <stddef.h>

#include "reeld/err.h"

/*
 * Walks the text of a document that json-c has already accepted and refuses
 * what json-c lets through; err gets the pointer of the value at fault.
 * foreign: only what no reader could understand (NaN, control characters).
 */
bool json_scan(
    const char *text, size_t len, bool foreign, struct err *err) REELD_MUST;

#endif
