/* internal.h - between the files of src/domain. */
#ifndef REELD_DOMAIN_INTERNAL_H
#define REELD_DOMAIN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

enum need { NEED_NONE, NEED_OPTIONAL, NEED_REQUIRED };

/* start_image or end_image; a start image follows the modes when absent. */
enum need caps_need(const struct json_object *caps, const char *name);
bool caps_mode(const struct json_object *caps, const char *mode);
int64_t
caps_int(const struct json_object *caps, const char *name, int64_t otherwise);
/* Seconds as milliseconds; -1 when it is no such number. */
int64_t caps_ms(const struct json_object *seconds);

#endif
