/*
 * mould.c - replies that look alike are cast from the same mould: a response
 * of the library with its headers and a body of fixed length, used again by
 * one call after another.
 *
 * Making a response costs three allocations per header and as many frees,
 * more than everything else that a small reply needs.  Of its dozen headers
 * two or three change from one reply to the next; those are put in anew.
 * The library copies the headers into its own buffer when it begins to send
 * and reads the body until it has sent it, so a mould belongs to one call
 * from mould_take() until that request is over.  When it is busy, or does not
 * fit, the caller makes a response of its own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

struct mould {
	struct MHD_Response *response;
	bool busy;
	size_t len, n;
	char data[MOULD_BYTES];
	const char *name[MAX_REPLY_HEADERS];
	char value[MAX_REPLY_HEADERS][MOULD_VALUE];
};

static void
mould_free(struct mould **slot)
{
	struct mould *mould = *slot;

	*slot = NULL;
	if (mould == NULL)
		return;
	MHD_destroy_response(mould->response);
	free(mould);
}

static void
header_set(struct mould *mould, size_t i, const struct reply_header *header)
{
	mould->name[i] = header->name;
	str_copy(mould->value[i], MOULD_VALUE, header->value);
	if (MHD_add_response_header(
		mould->response, header->name, header->value) != MHD_YES)
		assert(!"bad reply header");
}

static struct mould *
mould_new(const struct reply_headers *headers, size_t len)
{
	struct mould *mould = xcalloc(1, sizeof *mould);

	mould->len = len;
	mould->response = MHD_create_response_from_buffer(
	    len, mould->data, MHD_RESPMEM_PERSISTENT);
	assert(mould->response != NULL);
	for (mould->n = 0; mould->n < headers->n; mould->n++)
		header_set(mould, mould->n, &headers->list[mould->n]);
	return mould;
}

static bool
fits(const struct mould *mould, const struct reply_headers *headers, size_t len)
{
	if (mould->len != len || mould->n != headers->n)
		return false;
	for (size_t i = 0; i < mould->n; i++) {
		const char *name = headers->list[i].name;

		if (mould->name[i] != name && strcmp(mould->name[i], name) != 0)
			return false;
	}
	return true;
}

static void
change(struct mould *mould, const struct reply_headers *headers)
{
	for (size_t i = 0; i < mould->n; i++) {
		const struct reply_header *header = &headers->list[i];

		if (strcmp(mould->value[i], header->value) == 0)
			continue;
		if (MHD_del_response_header(mould->response, mould->name[i],
			mould->value[i]) != MHD_YES)
			assert(!"lost reply header");
		header_set(mould, i, header);
	}
}

struct mould *
mould_take(struct mould **table, const struct reply_headers *headers,
    const void *data, size_t len)
{
	struct mould **slot = &table[(len + 7 * headers->n) % MOULDS];

	if (len > MOULD_BYTES || (*slot != NULL && (*slot)->busy))
		return NULL;
	for (size_t i = 0; i < headers->n; i++) {
		if (strlen(headers->list[i].value) >= MOULD_VALUE)
			return NULL;
	}
	if (*slot != NULL && fits(*slot, headers, len)) {
		change(*slot, headers);
	} else {
		mould_free(slot);
		*slot = mould_new(headers, len);
	}
	if (len > 0)
		memcpy((*slot)->data, data, len);
	(*slot)->busy = true;
	return *slot;
}

struct MHD_Response *
mould_response(const struct mould *mould)
{
	return mould->response;
}

void
mould_give(struct mould **slot)
{
	if (*slot != NULL)
		(*slot)->busy = false;
	*slot = NULL;
}

void
moulds_free(struct mould **table)
{
	for (size_t i = 0; i < MOULDS; i++) {
		assert(table[i] == NULL || !table[i]->busy);
		mould_free(&table[i]);
	}
}
