/*
 * table.c - the registry itself, and nothing else: a program that links a
 * provider_registry of its own gets that one instead, as tests/it/toy.c does.
 */
#include "providers/internal.h"

#define ROW(name, key_env) &provider_##name,
const struct provider *const provider_registry[] = {PROVIDER_NAMES(ROW) NULL};
