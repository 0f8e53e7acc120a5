/*
 * options.h - the command line of reeld: a command, its words, flags, and
 * settings given as flags.  Shared by the commands; private to src/main.
 */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include "reeld/conf.h"

enum { MAX_FLAGS = 32, MAX_WORDS = 8 };

/* Exit codes that scripts rely on. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

struct options {
	const char *program; /* argv[0] */
	const char *conf_path;
	struct conf_flag flags[MAX_FLAGS];
	int n_flags;
	const char *words[MAX_WORDS]; /* after the command */
	int n_words;
	/* Flags that are no settings. */
	const char *port_file, *user, *name, *scopes, *role, *email;
	const char *credits, *output, *account, *reason;
	bool demo, once;
};

/* Reads argv after the command; the strings are borrowed from argv. */
bool options_parse(
    int argc, char **argv, struct options *out, struct err *err) REELD_MUST;
/* Loads the settings for these options, or prints why not: EXIT_CONFIG. */
int options_conf(const struct options *options, struct conf **out);
/* A setting given as a flag, added by a command itself (borrowed). */
void options_set(struct options *options, const char *key, const char *value);

/* The commands.  Each returns an exit code. */
int cmd_serve(struct options *options);
int cmd_standalone(struct options *options);
int cmd_migrate(struct options *options);
int cmd_audit(struct options *options);
int cmd_admin_link(struct options *options);
int cmd_check_config(struct options *options);
int cmd_print_config(struct options *options);
int cmd_user(struct options *options);
int cmd_api_key(struct options *options);
int cmd_models(struct options *options);
int cmd_provider(struct options *options);

#endif
