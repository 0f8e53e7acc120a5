/* Standard Webhooks: the published example, both kinds of secret, refusals. */
#include "reeld/mem.h"
#include "reeld/webhook.h"
#include "unit.h"

/* The example of the Standard Webhooks libraries. */
static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char id[] = "msg_p5jXN8AQM9LWM0D4loKWxJek";
static const char body[] = "{\"test\": 2432232314}";
static const char signature[] =
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
#define AT INT64_C(1614265330)

static bool
verify(const char *key, const char *sig, int64_t now_s, const char *text)
{
	return webhook_verify(
	    key, id, "1614265330", sig, text, strlen(text), now_s * 1000, NULL);
}

TEST(known_vector)
{
	char out[64];

	CHECK(
	    webhook_sign(secret, id, AT, body, strlen(body), out, sizeof out));
	CHECK_STR(out, signature);
	CHECK(verify(secret, signature, AT, body));
}

TEST(several_signatures)
{
	char header[256];

	snprintf(header, sizeof header, "v2,abc v1,AAAA %s v1a,x", signature);
	CHECK(verify(secret, header, AT, body));
	CHECK(!verify(secret, "v1,AAAA v2,g0hM9SsE", AT, body));
	/* The same bytes under another version do not count. */
	snprintf(header, sizeof header, "v2,%s", signature + 3);
	CHECK(!verify(secret, header, AT, body));
	CHECK(!verify(secret, "", AT, body));
	CHECK(!verify(secret, "v1,", AT, body));
}

TEST(changed_parts)
{
	CHECK(!verify(secret, signature, AT, "{\"test\": 2432232315}"));
	CHECK(!verify(secret, signature, AT, ""));
	CHECK(!verify(
	    "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signature, AT, body));
	CHECK(!webhook_verify(secret, "msg_other", "1614265330", signature,
	    body, strlen(body), AT * 1000, NULL));
	CHECK(!webhook_verify(secret, id, "1614265331", signature, body,
	    strlen(body), AT * 1000, NULL));
	CHECK(!webhook_verify(NULL, id, "1614265330", signature, body,
	    strlen(body), AT * 1000, NULL));
	CHECK(!webhook_verify(
	    secret, id, NULL, signature, body, strlen(body), AT * 1000, NULL));
}

TEST(time_window)
{
	struct err err = {0};

	CHECK(verify(secret, signature, AT + 300, body));
	CHECK(verify(secret, signature, AT - 300, body));
	CHECK(!verify(secret, signature, AT + 301, body));
	CHECK(!verify(secret, signature, AT - 301, body));
	CHECK(!webhook_verify(
	    secret, id, "x", signature, body, strlen(body), AT * 1000, &err));
	CHECK_STR(err.name, "stale_signature");
	CHECK(!webhook_verify(
	    secret, id, "-1", signature, body, strlen(body), AT * 1000, &err));
}

TEST(secrets)
{
	static const char *const bad[] = {
	    "", "whsec_", "whsec_abc", "whsec_$$$$"};
	char out[64];

	CHECK(webhook_sign(
	    "plain text", id, AT, body, strlen(body), out, sizeof out));
	CHECK(verify("plain text", out, AT, body));
	CHECK(!verify(secret, out, AT, body));
	for (size_t i = 0; i < nitems(bad); i++)
		CHECK(!webhook_sign(
		    bad[i], id, AT, body, strlen(body), out, sizeof out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_vector),
	    cmocka_unit_test(several_signatures),
	    cmocka_unit_test(changed_parts),
	    cmocka_unit_test(time_window),
	    cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
