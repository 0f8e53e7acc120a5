/* identity.c - roles, scopes, and identities shared by cache and calls. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/internal.h"
#include "reeld/mem.h"

static const char *const roles[] = {
    [ROLE_VISITOR] = "visitor",
    [ROLE_USER] = "user",
    [ROLE_CREATOR] = "creator",
    [ROLE_OPERATOR] = "operator",
    [ROLE_ADMIN] = "admin",
};

static const struct {
	const char *name;
	unsigned bit;
} scopes[] = {
    {"read", SCOPE_READ},
    {"generate", SCOPE_GENERATE},
    {"admin", SCOPE_ADMIN},
    {"worker", SCOPE_WORKER},
    {"webhook", SCOPE_WEBHOOK},
};

const char *
role_name(enum role role)
{
	return roles[role];
}

bool
role_parse(const char *text, enum role *out)
{
	for (size_t i = 0; text != NULL && i < nitems(roles); i++) {
		if (strcmp(text, roles[i]) == 0) {
			*out = (enum role)i;
			return true;
		}
	}
	return false;
}

static unsigned
scope_parse_n(const char *text, size_t len)
{
	for (size_t i = 0; i < nitems(scopes); i++) {
		if (strlen(scopes[i].name) == len &&
		    memcmp(scopes[i].name, text, len) == 0)
			return scopes[i].bit;
	}
	return 0;
}

unsigned
scope_parse(const char *text)
{
	return text != NULL ? scope_parse_n(text, strlen(text)) : 0;
}

const char *
scope_name_at(size_t i, unsigned *bit)
{
	if (i >= nitems(scopes))
		return NULL;
	*bit = scopes[i].bit;
	return scopes[i].name;
}

unsigned
scopes_of_array(const char *text)
{
	unsigned bits = 0;

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "{},\"");

		bits |= scope_parse_n(text, len);
		text += len + (text[len] != '\0');
	}
	return bits;
}

struct shared *
shared_ref(struct shared *shared)
{
	shared->refs++;
	return shared;
}

void
shared_unref(struct shared **slot)
{
	struct shared *shared = *slot;

	*slot = NULL;
	if (shared != NULL && --shared->refs == 0)
		free(shared);
}

void
auth_identity_free(void *identity)
{
	struct shared *shared = identity;

	shared_unref(&shared);
}

const struct identity *
auth_identity(const struct http_call *call)
{
	static const struct identity visitor = {.kind = IDENTITY_VISITOR};
	const struct identity *who = http_identity(call);

	return who != NULL ? who : &visitor;
}
