/* test_conf.c - sources and their order, complaints, printing. */
#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reeld/conf.h"

static char path[64];

static void
write_file(const char *text)
{
	int fd;

	strcpy(path, "/tmp/reeld-conf-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

TEST(defaults_file_env_and_flags_in_that_order)
{
	struct conf_flag flags[] = {{"media.threads", "4"}};
	struct conf *conf;
	struct err err;

	CHECK(conf_load(NULL, NULL, 0, &conf, &err));
	CHECK_STR(conf->http.listen, "127.0.0.1:8080");
	CHECK_INT(conf->media.threads, ==, 2);
	CHECK_INT(conf->jobs.drain_timeout_ms, ==, 15000);
	conf_unref(conf);

	write_file("# sample\nhttp.listen = \"[::1]:1\"\nmedia.threads=3\n"
		   "provider.fal.concurrency = 7\n\n"
		   "jobs.drain_timeout = 2m\n");
	setenv("REELD_HTTP_LISTEN", "0.0.0.0:0", 1);
	setenv("FAL_KEY", "k1", 1);
	CHECK(conf_load(path, flags, 1, &conf, &err));
	CHECK_STR(conf->http.listen, "0.0.0.0:0");
	CHECK_INT(conf->media.threads, ==, 4);
	CHECK_INT(conf->jobs.drain_timeout_ms, ==, 120000);
	CHECK_INT(conf_provider(conf, "fal")->concurrency, ==, 7);
	CHECK_STR(conf_provider(conf, "fal")->key, "k1");
	CHECK(conf_provider(conf, "nobody") == NULL);
	conf_unref(conf);

	setenv("REELD_PROVIDER_FAL_KEY", "k2", 1);
	CHECK(conf_load(NULL, NULL, 0, &conf, &err));
	CHECK_STR(conf_provider(conf, "fal")->key, "k2");
	conf_unref(conf);
	unsetenv("REELD_PROVIDER_FAL_KEY");
	unsetenv("REELD_HTTP_LISTEN");
	unsetenv("FAL_KEY");
	unlink(path);
}

TEST(secrets_come_from_files_and_are_never_printed)
{
	struct conf *conf;
	struct err err;
	struct buf out;

	write_file("postgresql://u:canary@h/d\n");
	setenv("DATABASE_URL_FILE", path, 1);
	CHECK(conf_load(NULL, NULL, 0, &conf, &err));
	CHECK_STR(conf->db.url, "postgresql://u:canary@h/d");
	buf_init(&out, 100000);
	conf_print(conf, &out);
	CHECK(strstr(buf_str(&out), "canary") == NULL);
	CHECK(strstr(buf_str(&out), "db.url = ***") != NULL);
	CHECK(strstr(buf_str(&out), "http.listen = 127.0.0.1:8080  # default"));
	buf_fini(&out);
	conf_unref(conf);
	unsetenv("DATABASE_URL_FILE");
	unlink(path);
}

TEST(mistakes_are_named_with_file_and_line)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
	    {"htp.listen = x", "did you mean http.listen"},
	    {"\n\nnonsense", ":3: expected key = value"},
	    {"media.threads = 99", "from 1 to 16"},
	    {"media.threads = 1 2", "from 1 to 16"},
	    {"jobs.drain_timeout = 30", "is not a time"},
	    {"jobs.drain_timeout = 30x", "is not a time"},
	    {"log.level = loud", "is none of"},
	    {"log.level = err", "is none of"},
	    {"http.tls_in_front = maybe", "neither yes nor no"},
	    {"storage.backend = s3", "needs s3.bucket"},
	    {"http.public_url = example.org", "must begin with"},
	    {"provider.nobody.key = 1", "unknown setting"},
	    {"include = /nonexistent", "No such file"},
	};
	struct conf *conf;
	struct err err;

	for (size_t i = 0; i < nitems(rows); i++) {
		write_file(rows[i].text);
		if (conf_load(path, NULL, 0, &conf, &err))
			fail_msg("accepted: %s", rows[i].text);
		if (strstr(err.msg, rows[i].message) == NULL)
			fail_msg("%s: %s", rows[i].text, err.msg);
		unlink(path);
	}
}

TEST(the_sample_is_itself_valid)
{
	struct conf *conf;
	struct err err;
	struct buf out;
	char *text, *p;

	buf_init(&out, 100000);
	conf_print_sample(&out);
	CHECK(buf_ok(&out));
	text = xstrdup(buf_str(&out));
	/* Uncomment the settings: "#key = value", not "# prose". */
	for (p = text; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (p[0] == '#' && p[1] != ' ')
			p[0] = ' ';
	}
	write_file(text);
	CHECK(conf_load(path, NULL, 0, &conf, &err));
	CHECK_INT(conf->media.threads, ==, 2);
	conf_unref(conf);
	free(text);
	buf_fini(&out);
	unlink(path);
}

TEST(a_readable_file_with_secrets_is_warned_of)
{
	struct conf *conf;
	struct err err;
	struct buf out;

	write_file("db.url = secret\n");
	assert_int_equal(chmod(path, 0644), 0);
	buf_init(&out, 1000);
	CHECK(conf_load(path, NULL, 0, &conf, &err));
	conf_warnings(conf, path, &out);
	CHECK(strstr(buf_str(&out), "chmod 600") != NULL);
	buf_reset(&out);
	assert_int_equal(chmod(path, 0600), 0);
	conf_warnings(conf, path, &out);
	CHECK_STR(buf_str(&out), "");
	conf_unref(conf);
	buf_fini(&out);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_file_env_and_flags_in_that_order),
	    cmocka_unit_test(secrets_come_from_files_and_are_never_printed),
	    cmocka_unit_test(mistakes_are_named_with_file_and_line),
	    cmocka_unit_test(the_sample_is_itself_valid),
	    cmocka_unit_test(a_readable_file_with_secrets_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
