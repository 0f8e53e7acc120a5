/* Range: whatever is asked for lies inside the file. */
#include "fuzz.h"
#include "http/internal.h"

void
fuzz_one(struct fuzz_in *in)
{
	static const int64_t sizes[] = {0, 1, 2, 1000, 5368709120LL, INT64_MAX};
	char *text = fuzz_text(in);

	for (size_t i = 0; i < nitems(sizes); i++) {
		int64_t from = -1, length = -1;

		if (range_parse(text, sizes[i], &from, &length) != RANGE_OK)
			continue;
		FUZZ_CHECK(from >= 0 && from < sizes[i]);
		FUZZ_CHECK(length > 0 && length <= sizes[i] - from);
	}
	free(text);
}
