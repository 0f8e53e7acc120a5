/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is one file, fuzz_<name>.c, that defines fuzz_one().  Texts are
 * handed out in memory of exactly their size, so that AddressSanitizer sees
 * every byte read too far.  What must hold for any input is said with
 * FUZZ_CHECK(); a failure is a finding like a crash.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/mem.h"

struct fuzz_in {
	const uint8_t *at;
	size_t left;
};

/* One run of the target; keeps nothing for the next one. */
void fuzz_one(struct fuzz_in *in);

/* The next byte, 0 at the end. */
uint8_t fuzz_byte(struct fuzz_in *in);
/* The next line without its end, up to its first NUL; the caller frees it. */
char *fuzz_line(struct fuzz_in *in);
/* The rest, up to its first NUL; the caller frees it. */
char *fuzz_text(struct fuzz_in *in);
/* The rest, byte for byte and without a NUL behind; the caller frees it. */
void *fuzz_rest(struct fuzz_in *in, size_t *len);

#define FUZZ_CHECK(what)                                              \
	do {                                                          \
		if (!(what)) {                                        \
			fprintf(stderr, "%s:%d: does not hold: %s\n", \
			    __FILE__, __LINE__, #what);               \
			abort();                                      \
		}                                                     \
	} while (0)

#endif
