/*
 * log.h - one line per fact, on stderr: ts level module key=value ... msg="..."
 *
 * Call it as log_info("job=%s from=%s msg=\"moved\"", ...): the format is
 * logfmt after the three fixed fields.  Text that came from outside goes
 * through log_text(), which quotes and escapes it.  Prompts and secrets are
 * never logged at info.
 */
#ifndef REELD_LOG_H
#define REELD_LOG_H

#include "reeld/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Each .c file that logs defines LOG_MODULE before it includes this. */
#ifndef LOG_MODULE
#define LOG_MODULE "reeld"
#endif

void log_set_level(enum log_level level);
enum log_level log_level_get(void);
bool log_level_parse(const char *text, enum log_level *out) REELD_MUST;
void log_write(enum log_level level, const char *module, const char *fmt, ...)
    REELD_PRINTF(3, 4);
/* Quotes and escapes text for one log value.  The result lives in a ring of
 * eight static buffers of 512 bytes: use it in the same statement. */
const char *log_text(const char *text);

#define log_error(...) log_write(LOG_ERROR, LOG_MODULE, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, LOG_MODULE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...)                                                 \
	do {                                                           \
		if (log_level_get() >= LOG_DEBUG)                      \
			log_write(LOG_DEBUG, LOG_MODULE, __VA_ARGS__); \
	} while (0)

#endif
