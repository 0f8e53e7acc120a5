/* size.c - pixels from the words people use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeld/capability.h"
#include "reeld/mem.h"

#define MAX_SIDE 8192

/* "1280x720" with any one separator; the whole text must fit. */
static bool
pair(const char *text, char separator, int *a, int *b)
{
	char left[16], *mark;
	int64_t x, y;

	if (!str_copy(left, sizeof left, text))
		return false;
	mark = strchr(left, separator);
	if (mark == NULL)
		return false;
	*mark = '\0';
	if (!str_to_i64(left, 1, MAX_SIDE, &x) ||
	    !str_to_i64(mark + 1, 1, MAX_SIDE, &y))
		return false;
	*a = (int)x;
	*b = (int)y;
	return true;
}

static bool
short_side(const char *resolution, int *side)
{
	static const struct {
		const char *word;
		int side;
	} words[] = {{"2k", 1440}, {"4k", 2160}, {"8k", 4320}};
	char digits[8];
	size_t len = strlen(resolution);
	int64_t value;

	for (size_t i = 0; i < nitems(words); i++) {
		if (strcasecmp(words[i].word, resolution) == 0) {
			*side = words[i].side;
			return true;
		}
	}
	if (len < 4 || len >= sizeof digits ||
	    (resolution[len - 1] != 'p' && resolution[len - 1] != 'P'))
		return false;
	memcpy(digits, resolution, len - 1);
	digits[len - 1] = '\0';
	if (!str_to_i64(digits, 100, 4320, &value))
		return false;
	*side = (int)value;
	return true;
}

/* n rounded to the nearest even number. */
static int
even(double n)
{
	return (int)(n / 2 + 0.5) * 2;
}

bool
size_derive(
    const char *resolution, const char *aspect_ratio, int *width, int *height)
{
	int side, a, b;
	double wide;

	if (resolution == NULL || aspect_ratio == NULL)
		return false;
	if (pair(resolution, 'x', width, height)) {
		*width = even(*width);
		*height = even(*height);
		return true;
	}
	if (!short_side(resolution, &side) || !pair(aspect_ratio, ':', &a, &b))
		return false;
	wide = (double)side * (a > b ? a : b) / (a > b ? b : a);
	if (wide > MAX_SIDE)
		return false;
	*width = even(a > b ? wide : side);
	*height = even(a > b ? side : wide);
	return true;
}
