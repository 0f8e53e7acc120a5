/* test_seal.c - secrets at rest: round trip, rotation, what must not open. */
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

#include "reeld/id.h"
#include "reeld/mem.h"
#include "reeld/seal.h"

static struct seal_ring *
ring_of(size_t n, const uint8_t *first)
{
	uint8_t keys[SEAL_MAX_KEYS * SEAL_KEY_LEN];

	for (size_t i = 0; i < n; i++)
		memset(keys + i * SEAL_KEY_LEN, first[i], SEAL_KEY_LEN);
	return seal_ring_new(keys, n);
}

TEST(seals_and_opens_for_its_owner_only)
{
	struct seal_ring *ring = ring_of(1, (const uint8_t[]){7});
	char *a = seal(ring, "id:secret", "account-1");
	char *b = seal(ring, "id:secret", "account-1"), *text;
	struct err err;

	CHECK(strcmp(a, b) != 0); /* a fresh nonce each time */
	CHECK(strstr(a, "secret") == NULL);
	CHECK(unseal(ring, a, "account-1", &text, &err));
	CHECK_STR(text, "id:secret");
	secret_free(text);
	CHECK(!unseal(ring, a, "account-2", &text, &err));
	CHECK(text == NULL);
	CHECK_STR(err.name, "bad_seal");
	free(a);
	free(b);
	a = seal(ring, "", "x");
	CHECK(unseal(ring, a, "x", &text, &err));
	CHECK_STR(text, "");
	secret_free(text);
	free(a);
	seal_ring_free(ring);
}

TEST(any_changed_byte_is_noticed)
{
	struct seal_ring *ring = ring_of(1, (const uint8_t[]){7});
	char *a = seal(ring, "a key of some length", "o"), *text;
	struct err err;

	for (size_t i = 0; a[i] != '\0'; i++) {
		char was = a[i];

		a[i] = was == 'A' ? 'Q' : 'A';
		CHECK(!unseal(ring, a, "o", &text, &err));
		a[i] = '\0';
		CHECK(!unseal(ring, a, "o", &text, &err));
		a[i] = was;
	}
	CHECK(unseal(ring, a, "o", &text, &err));
	secret_free(text);
	free(a);
	seal_ring_free(ring);
}

TEST(a_new_key_opens_what_the_old_one_sealed)
{
	struct seal_ring *old = ring_of(1, (const uint8_t[]){1});
	struct seal_ring *both = ring_of(2, (const uint8_t[]){2, 1});
	struct seal_ring *fresh = ring_of(1, (const uint8_t[]){2});
	char *a = seal(old, "k", "o"), *b = seal(both, "k", "o"), *text;
	struct err err;

	CHECK(unseal(both, a, "o", &text, &err));
	secret_free(text);
	CHECK(unseal(fresh, b, "o", &text, &err));
	secret_free(text);
	CHECK(!unseal(fresh, a, "o", &text, &err));
	CHECK(!unseal(old, b, "o", &text, &err));
	free(a);
	free(b);
	seal_ring_free(old);
	seal_ring_free(both);
	seal_ring_free(fresh);
}

TEST(the_file_is_checked)
{
	static const uint8_t keys[2 * SEAL_KEY_LEN] = {1, 2, 3};
	char path[] = "/tmp/reeld-seal-XXXXXX";
	struct seal_ring *ring;
	struct err err;
	char *sealed, *text;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK(!seal_ring_load("/nonexistent/key", &ring, &err));
	CHECK(!seal_ring_load(path, &ring, &err)); /* empty */
	CHECK(ring == NULL);
	CHECK_INT(write(fd, keys, sizeof keys), ==, sizeof keys);
	CHECK(seal_ring_load(path, &ring, &err));
	sealed = seal(ring, "k", "o");
	seal_ring_free(ring);
	CHECK(seal_ring_load(path, &ring, &err));
	CHECK(unseal(ring, sealed, "o", &text, &err));
	secret_free(text);
	seal_ring_free(ring);
	for (size_t len = 1; len < sizeof keys; len++) {
		CHECK_INT(ftruncate(fd, (off_t)len), ==, 0);
		CHECK(
		    seal_ring_load(path, &ring, &err) == (len == SEAL_KEY_LEN));
		seal_ring_free(ring);
	}
	free(sealed);
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seals_and_opens_for_its_owner_only),
	    cmocka_unit_test(any_changed_byte_is_noticed),
	    cmocka_unit_test(a_new_key_opens_what_the_old_one_sealed),
	    cmocka_unit_test(the_file_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
