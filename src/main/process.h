/*
 * process.h - what the server needs of the system around it: limits, files
 * beside the program, its secret.  Private to src/main; blocking, before the
 * loop runs.
 */
#ifndef MAIN_PROCESS_H
#define MAIN_PROCESS_H

#include <stdint.h>

#include "reeld/conf.h"

/* Signals, descriptors, core dumps, umask. */
void process_prepare(void);
/* The folder that the program itself is in; the caller frees. */
char *process_folder(void);
/* A sister program: the configured path, beside us, or installed. */
char *process_helper_path(const char *configured, const char *name);
/* The built pages: configured, or installed; NULL when there are none. */
char *process_www_dir(const char *configured);
/* Atomically writes the port and a line end. */
bool process_write_port(const char *path, int port, struct err *err) REELD_MUST;
/* Makes a file of 32 random bytes, 0600, unless it is there. */
bool process_make_secret(const char *path, struct err *err) REELD_MUST;
/* auth.secret hashed, or 32 random bytes that storage.dir keeps. */
bool process_secret(
    const struct conf *conf, uint8_t out[32], struct err *err) REELD_MUST;

#endif
