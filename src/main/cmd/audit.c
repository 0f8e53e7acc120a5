/* audit.c - reeld audit: re-adds the ledger; 0 when every line is 0. */
#include <stdio.h>
#include <string.h>

#include "main/cmd/admin.h"
#include "main/options.h"

int
cmd_audit(struct options *options)
{
	struct conf *conf;
	struct err err;
	PGresult *result;
	PGconn *conn;
	int code = options_conf(options, &conf);

	if (code != EXIT_OK)
		return code;
	if (!admin_open(conf, &conn, &err) ||
	    !admin_call(conn, STMT_LEDGER_AUDIT, 0, NULL, &result, &err)) {
		fprintf(stderr, "reeld: %s\n", err.msg);
		conf_unref(conf);
		return EXIT_FAILED;
	}
	for (int i = 0; i < PQntuples(result); i++) {
		const char *count =
		    PQgetvalue(result, i, PQfnumber(result, "count"));

		printf("%-32s %s\n",
		    PQgetvalue(result, i, PQfnumber(result, "name")), count);
		if (strcmp(count, "0") != 0)
			code = EXIT_FAILED;
	}
	printf(code == EXIT_OK ? "clean\n" : "NOT CLEAN\n");
	PQclear(result);
	PQfinish(conn);
	conf_unref(conf);
	return code;
}
