/* test_token.c - API keys and tokens: form, checksum, hashes. */
#include "unit.h"

#include "reeld/id.h"
#include "reeld/mem.h"
#include "reeld/token.h"

TEST(api_keys_round_trip)
{
	struct api_key key, back;

	for (int i = 0; i < 100; i++) {
		api_key_new(&key);
		CHECK_INT(strlen(key.text), ==, API_KEY_LEN);
		CHECK(str_starts(key.text, key.prefix));
		CHECK(api_key_parse(key.text, &back));
		CHECK_STR(back.prefix, key.prefix);
		CHECK(memcmp(back.hash, key.hash, 32) == 0);
	}
}

TEST(any_changed_character_is_noticed)
{
	struct api_key key, back;

	api_key_new(&key);
	for (size_t i = 0; i < API_KEY_LEN; i++) {
		char wrong[API_KEY_LEN + 1];

		memcpy(wrong, key.text, sizeof wrong);
		wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
		CHECK(!api_key_parse(wrong, &back));
		wrong[i] = '-';
		CHECK(!api_key_parse(wrong, &back));
	}
	CHECK(!api_key_parse("", &back));
	CHECK(!api_key_parse("rld_live_", &back));
}

TEST(tokens_are_hashed_and_checked)
{
	char text[TOKEN_LEN + 1], bytea[67];
	uint8_t hash[32], again[32];

	token_new(text, hash);
	CHECK_INT(strlen(text), ==, TOKEN_LEN);
	CHECK(token_hash(text, again));
	CHECK(memcmp(hash, again, 32) == 0);
	hash_to_bytea(hash, bytea);
	CHECK_INT(strlen(bytea), ==, 66);
	CHECK(str_starts(bytea, "\\x"));
	text[10] = '!';
	CHECK(!token_hash(text, again));
	text[10] = '\0';
	CHECK(!token_hash(text, again));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(api_keys_round_trip),
	    cmocka_unit_test(any_changed_character_is_noticed),
	    cmocka_unit_test(tokens_are_hashed_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
