/* reeld.c - the program: one table of commands. */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "main/options.h"

static const struct command {
	const char *name;
	int (*run)(struct options *options);
	const char *usage, *help;
} commands[] = {
    {"serve", cmd_serve, "[--listen ADDR:PORT] [--port-file F]",
	"run the server on DATABASE_URL and REDIS_URL"},
    {"standalone", cmd_standalone, "[--demo] [--dir D] [--listen ADDR:PORT]",
	"run the server with its own database and cache under D"},
    {"migrate", cmd_migrate, "", "bring the database to this version"},
    {"audit", cmd_audit, "", "re-add the ledger; 0 when every line is 0"},
    {"admin-link", cmd_admin_link, "[--email EMAIL]",
	"print a one-time sign-in link for an admin"},
    {"user", cmd_user, "add EMAIL [--role R] [--credits N]",
	"add a user, or change role and credits"},
    {"api-key", cmd_api_key, "create --user EMAIL --name N [--scopes S]",
	"make an API key and print it"},
    {"models", cmd_models, "init", "load the catalogue that ships"},
    {"provider", cmd_provider,
	"list | test NAME | add-account NAME | pause NAME | resume NAME",
	"the providers, and whether their accounts work"},
    {"check-config", cmd_check_config, "", "read the settings and say if ok"},
    {"print-config", cmd_print_config, "[sample]",
	"every setting with its origin, secrets masked"},
};

static void
print_help(FILE *out)
{
	fprintf(
	    out, "usage: reeld COMMAND [-c FILE] [-v] [--KEY VALUE ...]\n\n");
	for (size_t i = 0; i < nitems(commands); i++)
		fprintf(out, "  %-13s %s\n  %-13s   %s\n", commands[i].name,
		    commands[i].usage, "", commands[i].help);
	fprintf(out,
	    "\nAny setting of `reeld print-config` is also a flag, such "
	    "as --http.listen.\n");
}

int
main(int argc, char **argv)
{
	struct options options = {.program = argv[0]};
	struct err err;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("reeld %s\n", PACKAGE_VERSION);
		return EXIT_OK;
	}
	for (size_t i = 0; i < nitems(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (!options_parse(argc - 2, argv + 2, &options, &err)) {
			fprintf(stderr, "reeld %s: %s\nusage: reeld %s %s\n",
			    argv[1], err.msg, argv[1], commands[i].usage);
			return EXIT_USAGE;
		}
		return commands[i].run(&options);
	}
	fprintf(stderr, "reeld: unknown command \"%.60s\"\n\n", argv[1]);
	print_help(stderr);
	return EXIT_USAGE;
}
