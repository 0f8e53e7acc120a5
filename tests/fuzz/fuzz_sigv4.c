/*
 * What SigV4 signs: a path, then lines of query names and values.  What goes
 * out is plain ASCII that no proxy reads in a second way.
 */
#include "fuzz.h"
#include "storage/sigv4.h"

static void
check_target(const char *text)
{
	FUZZ_CHECK(text[0] == '/');
	for (; *text != '\0'; text++) {
		FUZZ_CHECK(*text > 0x20 && *text < 0x7f);
		FUZZ_CHECK(strchr("\"<>\\^`{|}#", *text) == NULL);
	}
}

void
fuzz_one(struct fuzz_in *in)
{
	static const struct sigv4_keys keys = {
	    "AKIDEXAMPLE", "secret", "auto", "s3"};
	char *path = fuzz_line(in), *lines[12], *absolute;
	int n = 0;
	struct sigv4_request req = {.method = "GET", .payload = SIGV4_EMPTY};
	struct buf out;

	absolute = xasprintf("/%s", path);
	req.path = absolute;
	for (; n + 1 < (int)nitems(lines) && in->left > 0; n += 2) {
		lines[n] = fuzz_line(in);
		lines[n + 1] = fuzz_line(in);
		sigv4_query(&req, lines[n], lines[n + 1]);
	}
	sigv4_header(&req, "host", "bucket.example.org");
	buf_init(&out, 1 << 20);
	sigv4_target(&req, &out);
	check_target(buf_str(&out));
	buf_reset(&out);
	sigv4_presign(&keys, &req, "20130524T000000Z", 900, &out);
	check_target(buf_str(&out));
	buf_reset(&out);
	sigv4_header(&req, "x-amz-date", "20130524T000000Z");
	sigv4_authorization(&keys, &req, "20130524T000000Z", &out);
	FUZZ_CHECK(str_starts(buf_str(&out), "AWS4-HMAC-SHA256 Credential="));
	buf_fini(&out);
	while (n > 0)
		free(lines[--n]);
	free(absolute);
	free(path);
}
