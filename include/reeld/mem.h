/*
 * mem.h - memory that never fails (out of memory ends the process), growing
 * buffers with a hard maximum, and small string helpers.
 */
#ifndef REELD_MEM_H
#define REELD_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "reeld/err.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text); /* NULL gives NULL */
char *xstrndup(const char *text, size_t max);
char *xasprintf(const char *fmt, ...) REELD_PRINTF(1, 2);
void *xmemdup(const void *ptr, size_t size);

/*
 * struct buf - bytes that grow up to max.  Going past max sets `full` and
 * drops the bytes: check buf_ok() once at the end.  data is always
 * NUL-terminated once anything was added; buf_str() never returns NULL.
 */
struct buf {
	char *data;
	size_t len, cap, max;
	bool full;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf); /* safe twice; buf is empty again */
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) REELD_PRINTF(2, 3);
void buf_reset(struct buf *buf);	      /* keeps the memory */
void buf_drop(struct buf *buf, size_t n);     /* removes the first n bytes */
char *buf_take(struct buf *buf, size_t *len); /* caller frees; buf is empty */
const char *buf_str(const struct buf *buf);
bool buf_ok(const struct buf *buf);

/* Copies with truncation, always terminated; false when it did not fit. */
bool str_copy(char *dst, size_t size, const char *src);
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
/* NULL-safe equality. */
bool str_eq(const char *a, const char *b);
/* Whole text is a decimal in [min, max], no sign tricks, no spaces. */
bool
str_to_i64(const char *text, int64_t min, int64_t max, int64_t *out) REELD_MUST;
/* Writes a number and a NUL (at most 21 bytes; base 10 or 16) and returns the
 * place of the NUL: for what every request formats. */
char *str_put_u64(char *at, uint64_t value, unsigned base);
bool utf8_valid(const char *text, size_t len);
/* Number of code points; len in bytes. */
size_t utf8_count(const char *text, size_t len);

/* Hex and base64url (no padding).  dst is terminated. */
void hex_encode(char *dst, const void *src, size_t len); /* 2*len+1 bytes */
bool hex_decode(void *dst, size_t size, const char *src) REELD_MUST;
size_t
b64url_encode(char *dst, const void *src, size_t len); /* 4*(len+2)/3+1 */
/* Returns decoded length or -1. */
ssize_t b64url_decode(void *dst, size_t size, const char *src);

#endif
