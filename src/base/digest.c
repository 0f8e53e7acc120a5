/* digest.c - the few hashes everybody needs, from libcrypto. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#include "reeld/id.h"
#include "reeld/mem.h"

/* Fetched once: EVP_sha256() and HMAC() look their implementations up at every
 * use, which costs more than hashing a key.  Kept until the process ends. */
static EVP_MD *md_sha256;
static EVP_MAC_CTX *mac_sha256; /* without a key: to be copied */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
fetch(void)
{
	char name[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
	    OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	md_sha256 = EVP_MD_fetch(NULL, name, NULL);
	mac_sha256 = EVP_MAC_CTX_new(mac);
	if (md_sha256 == NULL || mac_sha256 == NULL ||
	    EVP_MAC_CTX_set_params(mac_sha256, params) != 1)
		abort();
	EVP_MAC_free(mac);
}

void
sha256(const void *data, size_t len, uint8_t sum[32])
{
	if (pthread_once(&once, fetch) != 0 ||
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
	EVP_MAC_CTX *ctx;
	size_t n;

	if (pthread_once(&once, fetch) != 0 ||
	    (ctx = EVP_MAC_CTX_dup(mac_sha256)) == NULL ||
	    EVP_MAC_init(ctx, key != NULL ? key : "", key_len, NULL) != 1 ||
	    EVP_MAC_update(ctx, data, len) != 1 ||
	    EVP_MAC_final(ctx, out, &n, 32) != 1 || n != 32)
		abort();
	EVP_MAC_CTX_free(ctx);
}

bool
secret_eq(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}
