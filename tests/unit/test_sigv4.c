/*
 * test_sigv4.c - Amazon's published examples: the signature test suite's
 * get-vanilla family, and the S3 documentation's requests.
 */
#include "unit.h"

#include <stdlib.h>

#include "reeld/id.h"
#include "storage/sigv4.h"

static const struct sigv4_keys suite_keys = {"AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service"};
static const struct sigv4_keys s3_keys = {"AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3"};

#define SUITE_DATE "20150830T123600Z"
#define S3_DATE "20130524T000000Z"
#define S3_HOST "examplebucket.s3.amazonaws.com"

/* The suite: one request line, the headers it adds, the signature. */
static const struct {
	const char *name, *method, *path;
	struct sigv4_pair query[3], headers[2];
	const char *signature;
} suite[] = {
    {"get-vanilla", "GET", "/", {{0}}, {{0}},
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case", "GET", "/",
	{{"Param2", "value2"}, {"Param1", "value1"}, {0}}, {{0}},
	"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"post-vanilla", "POST", "/", {{0}}, {{0}},
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-header-value-trim", "GET", "/", {{0}},
	{{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}},
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", {{0}}, {{0}},
	"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
};

TEST(test_suite)
{
	for (size_t i = 0; i < nitems(suite); i++) {
		struct sigv4_request req = {.method = suite[i].method,
		    .path = suite[i].path,
		    .payload = SIGV4_EMPTY};
		struct buf out;
		const char *found;

		for (int q = 0; suite[i].query[q].name != NULL; q++)
			sigv4_query(&req, suite[i].query[q].name,
			    suite[i].query[q].value);
		sigv4_header(&req, "x-amz-date", SUITE_DATE);
		sigv4_header(&req, "host", "example.amazonaws.com");
		for (int h = 0; h < 2 && suite[i].headers[h].name; h++)
			sigv4_header(&req, suite[i].headers[h].name,
			    suite[i].headers[h].value);
		buf_init(&out, 4096);
		sigv4_authorization(&suite_keys, &req, SUITE_DATE, &out);
		found = strstr(buf_str(&out), "Signature=");
		CHECK(found != NULL);
		if (strcmp(found + 10, suite[i].signature) != 0)
			fail_msg("%s: %s", suite[i].name, buf_str(&out));
		buf_fini(&out);
	}
}

static void
check_s3(struct sigv4_request *req, const char *names, const char *signature)
{
	struct buf out;
	char *expected = xasprintf("AWS4-HMAC-SHA256 Credential="
				   "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
				   "s3/aws4_request,SignedHeaders=%s,"
				   "Signature=%s",
	    names, signature);

	sigv4_header(req, "host", S3_HOST);
	sigv4_header(req, "x-amz-content-sha256", req->payload);
	sigv4_header(req, "x-amz-date", S3_DATE);
	buf_init(&out, 4096);
	sigv4_authorization(&s3_keys, req, S3_DATE, &out);
	CHECK_STR(buf_str(&out), expected);
	buf_fini(&out);
	free(expected);
}

TEST(s3_get_object)
{
	struct sigv4_request req = {
	    .method = "GET", .path = "/test.txt", .payload = SIGV4_EMPTY};

	sigv4_header(&req, "range", "bytes=0-9");
	check_s3(&req, "host;range;x-amz-content-sha256;x-amz-date",
	    "f0e8bdb87c964420e857bd35b5d6ed31"
	    "0bd44f0170aba48dd91039c6036bdb41");
}

TEST(s3_put_object)
{
	char hash[65];
	struct sigv4_request req = {.method = "PUT",
	    .path = "/test$file.text", /* goes out as test%24file.text */
	    .payload = hash};

	sha256_hex("Welcome to Amazon S3.", 21, hash);
	sigv4_header(&req, "date", "Fri, 24 May 2013 00:00:00 GMT");
	sigv4_header(&req, "x-amz-storage-class", "REDUCED_REDUNDANCY");
	check_s3(&req,
	    "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	    "98ad721746da40c64f1a55b78f14c238"
	    "d841ea1380cd77a1b5971af0ece108bd");
}

TEST(s3_get_lifecycle)
{
	struct sigv4_request req = {
	    .method = "GET", .path = "/", .payload = SIGV4_EMPTY};

	sigv4_query(&req, "lifecycle", "");
	check_s3(&req, "host;x-amz-content-sha256;x-amz-date",
	    "fea454ca298b7da1c68078a5d1bdbfbb"
	    "e0d65c699e0f91ac7a200a0136783543");
}

TEST(s3_list_objects)
{
	struct sigv4_request req = {
	    .method = "GET", .path = "/", .payload = SIGV4_EMPTY};

	sigv4_query(&req, "prefix", "J");
	sigv4_query(&req, "max-keys", "2");
	check_s3(&req, "host;x-amz-content-sha256;x-amz-date",
	    "34b48302e7b5fa45bde8084f4b7868a8"
	    "6f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(s3_presigned_url)
{
	struct sigv4_request req = {.method = "GET", .path = "/test.txt"};
	struct buf out;

	sigv4_header(&req, "host", S3_HOST);
	buf_init(&out, 4096);
	sigv4_presign(&s3_keys, &req, S3_DATE, 86400, &out);
	CHECK_STR(buf_str(&out),
	    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
	    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1"
	    "%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
	    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
	    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c2659"
	    "57d157751f604d404");
	buf_fini(&out);
}

TEST(dates)
{
	char date[SIGV4_DATE_SIZE];

	sigv4_date(1369353600000, date);
	CHECK_STR(date, S3_DATE);
	sigv4_date(1440938160999, date);
	CHECK_STR(date, SUITE_DATE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_suite),
	    cmocka_unit_test(s3_get_object),
	    cmocka_unit_test(s3_put_object),
	    cmocka_unit_test(s3_get_lifecycle),
	    cmocka_unit_test(s3_list_objects),
	    cmocka_unit_test(s3_presigned_url),
	    cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
