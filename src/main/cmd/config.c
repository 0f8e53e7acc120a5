/* config.c - reeld check-config and reeld print-config. */
#include <stdio.h>
#include <string.h>

#include "main/options.h"

int
cmd_check_config(struct options *options)
{
	struct conf *conf;
	int code = options_conf(options, &conf);

	if (code != EXIT_OK)
		return code;
	printf("ok\n");
	conf_unref(conf);
	return EXIT_OK;
}

int
cmd_print_config(struct options *options)
{
	struct conf *conf;
	struct buf out;
	int code;

	buf_init(&out, 256 * 1024);
	if (options->n_words > 0 && strcmp(options->words[0], "sample") == 0) {
		conf_print_sample(&out);
	} else {
		code = options_conf(options, &conf);
		if (code != EXIT_OK)
			return code;
		conf_print(conf, &out);
		conf_unref(conf);
	}
	fputs(buf_str(&out), stdout);
	buf_fini(&out);
	return EXIT_OK;
}
