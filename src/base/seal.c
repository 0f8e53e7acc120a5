/* seal.c - secrets at rest; see seal.h. */
#include "reeld/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reeld/id.h"
#include "reeld/mem.h"

enum {
	VERSION = 1,
	NONCE = 12,
	TAG = 16,
	HEAD = 2 + NONCE,
	MAX_SEALED = HEAD + SEAL_MAX_TEXT + TAG
};

struct seal_ring {
	size_t n;
	uint8_t keys[SEAL_MAX_KEYS][SEAL_KEY_LEN];
	uint8_t ids[SEAL_MAX_KEYS];
};

/* One byte that tells keys apart without telling them. */
static uint8_t
key_id(const uint8_t key[SEAL_KEY_LEN])
{
	static const char label[] = "reeld master key";
	uint8_t sum[32];

	hmac_sha256(key, SEAL_KEY_LEN, label, sizeof label - 1, sum);
	return sum[0];
}

struct seal_ring *
seal_ring_new(const uint8_t *keys, size_t n_keys)
{
	struct seal_ring *self = xcalloc(1, sizeof *self);

	self->n = n_keys < SEAL_MAX_KEYS ? n_keys : SEAL_MAX_KEYS;
	memcpy(self->keys, keys, self->n * SEAL_KEY_LEN);
	for (size_t i = 0; i < self->n; i++)
		self->ids[i] = key_id(self->keys[i]);
	return self;
}

void
seal_ring_free(struct seal_ring *ring)
{
	if (ring == NULL)
		return;
	explicit_bzero(ring, sizeof *ring);
	free(ring);
}

bool
seal_ring_load(const char *path, struct seal_ring **out, struct err *err)
{
	uint8_t data[SEAL_MAX_KEYS * SEAL_KEY_LEN + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, data, sizeof data) : -1;
	int why = errno;

	*out = NULL;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return err_set(err, ERR_STORAGE, "%s: %s", path, strerror(why));
	if (n == 0 || n % SEAL_KEY_LEN != 0) {
		explicit_bzero(data, sizeof data);
		return err_set(err, ERR_STORAGE,
		    "%s: a master key is 32 bytes (the current one, then up "
		    "to %d older ones)",
		    path, SEAL_MAX_KEYS - 1);
	}
	*out = seal_ring_new(data, (size_t)n / SEAL_KEY_LEN);
	explicit_bzero(data, sizeof data);
	return true;
}

char *
seal(const struct seal_ring *ring, const char *text, const char *whose)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t out[MAX_SEALED];
	size_t len = strlen(text);
	char *sealed;
	int n;

	if (ctx == NULL || len > SEAL_MAX_TEXT)
		abort(); /* callers have a smaller limit */
	out[0] = VERSION;
	out[1] = ring->ids[0];
	random_bytes(out + 2, NONCE);
	if (EVP_EncryptInit_ex(
		ctx, EVP_aes_256_gcm(), NULL, ring->keys[0], out + 2) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, out, 2) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)whose,
		(int)strlen(whose)) != 1 ||
	    EVP_EncryptUpdate(
		ctx, out + HEAD, &n, (const uint8_t *)text, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, out + HEAD + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_GCM_GET_TAG, TAG, out + HEAD + len) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
	sealed = xmalloc(4 * (HEAD + len + TAG + 2) / 3 + 1);
	b64url_encode(sealed, out, HEAD + len + TAG);
	return sealed;
}

static bool
open_with(const uint8_t *key, uint8_t *data, size_t len, const char *whose,
    uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t body = len - HEAD - TAG;
	int n = 0, rest = 0;
	bool ok = ctx != NULL &&
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, data + 2) ==
		1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, data, 2) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)whose,
		(int)strlen(whose)) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, data + HEAD, (int)body) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_GCM_SET_TAG, TAG, data + HEAD + body) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + n, &rest) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

bool
unseal(const struct seal_ring *ring, const char *sealed, const char *whose,
    char **out, struct err *err)
{
	uint8_t data[MAX_SEALED];
	uint8_t text[SEAL_MAX_TEXT + TAG];
	ssize_t len = b64url_decode(data, sizeof data, sealed);
	bool ok = false;

	*out = NULL;
	if (len < HEAD + TAG || data[0] != VERSION)
		return err_set_name(
		    err, ERR_INVALID, "bad_seal", "the stored key is damaged");
	for (size_t i = 0; i < ring->n && !ok; i++)
		ok = ring->ids[i] == data[1] &&
		    open_with(ring->keys[i], data, (size_t)len, whose, text);
	if (ok)
		*out = xstrndup((const char *)text, (size_t)len - HEAD - TAG);
	explicit_bzero(text, sizeof text);
	return ok ||
	    err_set_name(err, ERR_INVALID, "bad_seal",
		"the master key file does not open the stored key");
}

void
secret_free(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}
