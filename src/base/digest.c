/* digest.c - the few hashes everybody needs, from libcrypto. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

#include "reeld/id.h"
#include "reeld/mem.h"

/* Fetched once: EVP_sha256() looks its implementation up at every use, which
 * costs more than hashing a key.  Kept until the process ends. */
static EVP_MD *md_sha256;

static void
fetch_md(void)
{
	md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (md_sha256 == NULL)
		abort();
}

void
sha256(const void *data, size_t len, uint8_t sum[32])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (pthread_once(&once, fetch_md) != 0 ||
	    EVP_Digest(data, len, sum, NULL, md_sha256, NULL) != 1)
		abort();
}

void
sha256_hex(const void *data, size_t len, char out[65])
{
	uint8_t sum[32];

	sha256(data, len, sum);
	hex_encode(out, sum, sizeof sum);
}

void
hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[32])
{
	if (HMAC(EVP_sha256(), key, (int)key_len, data, len, out, NULL) == NULL)
		abort();
}

bool
secret_eq(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}
