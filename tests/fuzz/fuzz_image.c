/* The head of an uploaded image, before any decoder sees it. */
#include "fuzz.h"
#include "media/helper/helper.h"

void
fuzz_one(struct fuzz_in *in)
{
	size_t len;
	uint8_t *data = fuzz_rest(in, &len);
	struct image_head head;
	struct err err = {0};

	if (image_head_read(data, len, &head, &err)) {
		FUZZ_CHECK(head.width >= 1 && head.width <= 8192);
		FUZZ_CHECK(head.height >= 1 && head.height <= 8192);
		FUZZ_CHECK((int64_t)head.width * head.height <= 40000000);
	} else {
		FUZZ_CHECK(err.code != ERR_OK && err.msg[0] != '\0');
	}
	free(data);
}
