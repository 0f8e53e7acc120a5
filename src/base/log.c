/* log.c - one line to stderr in one write(), so lines never interleave. */
#include "reeld/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reeld/clock.h"

static enum log_level threshold = LOG_INFO;
static const char *const names[] = {"error", "warn", "info", "debug"};

void
log_set_level(enum log_level level)
{
	threshold = level;
}

enum log_level
log_level_get(void)
{
	return threshold;
}

bool
log_level_parse(const char *text, enum log_level *out)
{
	for (int i = 0; i <= LOG_DEBUG; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

void
log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	char line[2048], ts[32];
	va_list ap;
	int n, m;

	if (level > threshold)
		return;
	time_rfc3339(clock_wall_ms(), ts, sizeof ts);
	n = snprintf(line, sizeof line, "ts=%s level=%s module=%s ", ts,
	    names[level], module);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += m < (int)sizeof line - n - 1 ? m : (int)sizeof line - n - 2;
	for (int i = 0; i < n; i++) {
		if ((unsigned char)line[i] < ' ')
			line[i] = ' '; /* one fact, one line */
	}
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to be reported. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

const char *
log_text(const char *text)
{
	static __thread char ring[8][512];
	static __thread unsigned next;
	char *out = ring[next++ % 8], *end = out + 512 - 8, *p = out;

	*p++ = '"';
	for (; text != NULL && *text != '\0' && p < end; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = c;
		} else if (c < ' ' || c == 0x7f) {
			p += snprintf(p, 5, "\\x%02x", c);
		} else {
			*p++ = c;
		}
	}
	*p++ = '"';
	*p = '\0';
	return out;
}
