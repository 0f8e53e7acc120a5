/* clock.c - reading clocks, and the three time formats that protocols use. */
#include "reeld/clock.h"

#include <stdio.h>
#include <string.h>

#include "reeld/mem.h"

int64_t
clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
time_rfc3339(int64_t wall_ms, char *out, size_t size)
{
	time_t t = (time_t)(wall_ms / 1000);
	char day[24];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, size, "%s.%03dZ", day, (int)(wall_ms % 1000));
}

bool
time_parse_rfc3339(const char *text, int64_t *wall_ms)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0, scale = 100, offset = 0;
	int hours, minutes, used = 0;

	if (p == NULL)
		return false;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if ((*p == '+' || *p == '-') &&
	    sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 &&
	    used == 5) {
		offset = (hours * 60 + minutes) * (*p == '-' ? -60 : 60);
		p += 6;
	} else {
		return false;
	}
	if (*p != '\0')
		return false;
	*wall_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
	return true;
}

void
time_http(int64_t wall_ms, char *out, size_t size)
{
	static const char days[7][4] = {
	    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May",
	    "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(out, size, "%s, %02d %s %04d %02d:%02d:%02d GMT",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
}

bool
time_parse_http(const char *text, int64_t *wall_ms)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (p == NULL || *p != '\0')
		return false;
	*wall_ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

bool
time_parse_retry_after(const char *text, int cap_s, int *seconds)
{
	int64_t value, when;

	if (str_to_i64(text, 0, INT64_MAX, &value)) {
		*seconds = value < cap_s ? (int)value : cap_s;
		return true;
	}
	if (!time_parse_http(text, &when))
		return false;
	value = (when - clock_wall_ms() + 999) / 1000;
	*seconds = value < 0 ? 0 : value < cap_s ? (int)value : cap_s;
	return true;
}
