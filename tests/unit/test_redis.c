/* test_redis.c - both links against a real redis-server. */
#include "unit.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>

#include "reeld/loop.h"
#include "reeld/mem.h"
#include "reeld/redis.h"
#include "servers.h"

static struct servers servers;

struct fixture {
	struct loop *loop;
	struct redis *redis;
	int done, failed, changes, messages;
	char name[40], text[64], message[64];
};

static void
on_change(bool up, void *arg)
{
	struct fixture *fx = arg;

	fx->changes++;
}

static void
fixture_open(struct fixture *fx)
{
	struct redis_opts opts = {
	    .url = servers.redis_url, .timeout_ms = 300, .ping_ms = 200};
	struct err err;

	memset(fx, 0, sizeof *fx);
	fx->loop = loop_new();
	fx->redis = redis_new(fx->loop, &opts, &err);
	assert_non_null(fx->redis);
	redis_on_change(fx->redis, on_change, fx);
}

static void
fixture_close(struct fixture *fx)
{
	redis_free(fx->redis);
	loop_free(fx->loop);
}

static void
until_up(struct fixture *fx, bool up)
{
	while (redis_up(fx->redis) != up)
		loop_run_for(fx->loop, 10);
}

static void
on_reply(const struct redisReply *reply, const struct err *err, void *arg)
{
	struct fixture *fx = arg;

	if (err != NULL) {
		fx->failed++;
		str_copy(fx->name, sizeof fx->name, err_name(err->code));
		return;
	}
	fx->done++;
	if (reply->type == REDIS_REPLY_STRING)
		str_copy(fx->text, sizeof fx->text, reply->str);
}

static void
command(struct fixture *fx, struct redis_call **slot, const char *a,
    const char *b, const char *c)
{
	const char *argv[] = {a, b, c};

	redis_command_start(fx->redis, slot, on_reply, fx,
	    c != NULL	    ? 3
		: b != NULL ? 2
			    : 1,
	    argv, NULL);
}

static void
wait_ends(struct fixture *fx, int n)
{
	while (fx->done + fx->failed < n)
		loop_run_for(fx->loop, 5);
}

TEST(commands_are_answered_later_and_once)
{
	struct fixture fx;
	struct redis_call *call = NULL, *other = NULL;

	fixture_open(&fx);
	until_up(&fx, true);
	command(&fx, &call, "SET", "k", "v with spaces");
	CHECK(call != NULL);
	CHECK_INT(fx.done, ==, 0);
	wait_ends(&fx, 1);
	CHECK(call == NULL);
	command(&fx, &call, "GET", "k", NULL);
	wait_ends(&fx, 2);
	CHECK_STR(fx.text, "v with spaces");
	command(&fx, &call, "NOSUCH", NULL, NULL);
	wait_ends(&fx, 3);
	CHECK_INT(fx.failed, ==, 1);
	CHECK_STR(fx.name, "upstream");
	command(&fx, &call, "GET", "k", NULL);
	command(&fx, &other, "GET", "k", NULL);
	redis_call_cancel(&call);
	CHECK(call == NULL);
	redis_call_cancel(&call);
	wait_ends(&fx, 4);
	loop_run_for(fx.loop, 30);
	CHECK_INT(fx.done, ==, 3);
	fixture_close(&fx);
}

static void
on_message(const char *channel, const char *data, size_t len, void *arg)
{
	struct fixture *fx = arg;

	fx->messages++;
	snprintf(fx->message, sizeof fx->message, "%.*s", (int)len, data);
}

TEST(subscriptions_outlive_their_connection)
{
	struct fixture fx;

	fixture_open(&fx);
	redis_subscribe(fx.redis, "news", on_message, &fx);
	until_up(&fx, true);
	CHECK(redis_publish(fx.redis, "news", "one", 3));
	while (fx.messages < 1)
		loop_run_for(fx.loop, 5);
	CHECK_STR(fx.message, "one");
	servers_kill_redis(&servers);
	until_up(&fx, false);
	CHECK(!redis_publish(fx.redis, "news", "lost", 4));
	servers_start_redis(&servers);
	until_up(&fx, true);
	CHECK(redis_publish(fx.redis, "news", "two", 3));
	while (fx.messages < 2)
		loop_run_for(fx.loop, 5);
	CHECK_STR(fx.message, "two");
	CHECK_INT(fx.changes, ==, 3);
	redis_subscribe(fx.redis, "news", NULL, NULL);
	CHECK(redis_publish(fx.redis, "news", "three", 5));
	loop_run_for(fx.loop, 50);
	CHECK_INT(fx.messages, ==, 2);
	fixture_close(&fx);
}

TEST(a_stopped_server_is_noticed_and_left)
{
	struct fixture fx;
	struct redis_call *call = NULL;

	fixture_open(&fx);
	until_up(&fx, true);
	kill(servers.redis, SIGSTOP);
	command(&fx, &call, "GET", "k", NULL);
	wait_ends(&fx, 1);
	CHECK_INT(fx.failed, ==, 1);
	CHECK(call == NULL);
	until_up(&fx, false);
	kill(servers.redis, SIGCONT);
	until_up(&fx, true);
	command(&fx, &call, "SET", "k", "again");
	wait_ends(&fx, 2);
	CHECK_INT(fx.done, ==, 1);
	fixture_close(&fx);
}

TEST(too_many_in_flight_are_refused)
{
	enum { N = 1500 };
	static struct redis_call *calls[N];
	struct fixture fx;

	fixture_open(&fx);
	until_up(&fx, true);
	kill(servers.redis, SIGSTOP);
	for (int i = 0; i < N; i++)
		command(&fx, &calls[i], "GET", "k", NULL);
	CHECK_INT(fx.failed, ==, 0);
	loop_run_for(fx.loop, 20);
	CHECK_INT(fx.failed, >=, N - 1001);
	kill(servers.redis, SIGCONT);
	wait_ends(&fx, N);
	for (int i = 0; i < N; i++)
		CHECK(calls[i] == NULL);
	fixture_close(&fx);
}

TEST(freeing_with_calls_in_flight_is_silent)
{
	struct fixture fx;
	struct redis_call *a = NULL, *b = NULL;

	fixture_open(&fx);
	until_up(&fx, true);
	command(&fx, &a, "GET", "k", NULL);
	command(&fx, &b, "GET", "k", NULL);
	fixture_close(&fx);
	CHECK_INT(fx.done + fx.failed, ==, 0);
}

static void
on_reply_free(const struct redisReply *reply, const struct err *err, void *arg)
{
	struct fixture *fx = arg;

	redis_free(fx->redis);
	fx->redis = NULL;
	fx->done++;
}

TEST(the_whole_may_be_freed_in_a_callback)
{
	struct fixture fx;
	struct redis_call *call = NULL, *other = NULL;
	const char *argv[] = {"PING"};

	fixture_open(&fx);
	until_up(&fx, true);
	redis_command_start(fx.redis, &call, on_reply_free, &fx, 1, argv, NULL);
	command(&fx, &other, "GET", "k", NULL);
	wait_ends(&fx, 1);
	loop_run_for(fx.loop, 20);
	CHECK_INT(fx.done, ==, 1);
	loop_free(fx.loop);
}

TEST(malformed_urls_are_refused)
{
	static const char *const bad[] = {"", "http://x", "redis://",
	    "redis://h:99999", "redis://h:x", "redis://h/notanumber"};
	struct loop *loop = loop_new();
	struct err err;

	for (size_t i = 0; i < nitems(bad); i++) {
		struct redis_opts opts = {.url = bad[i]};
		struct redis *redis = redis_new(loop, &opts, &err);

		if (redis != NULL)
			fail_msg("accepted: %s", bad[i]);
	}
	loop_free(loop);
}

static int
group_start(void **state)
{
	servers_start(&servers, 0, 1);
	return 0;
}

static int
group_stop(void **state)
{
	servers_stop(&servers);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_are_answered_later_and_once),
	    cmocka_unit_test(subscriptions_outlive_their_connection),
	    cmocka_unit_test(a_stopped_server_is_noticed_and_left),
	    cmocka_unit_test(too_many_in_flight_are_refused),
	    cmocka_unit_test(freeing_with_calls_in_flight_is_silent),
	    cmocka_unit_test(the_whole_may_be_freed_in_a_callback),
	    cmocka_unit_test(malformed_urls_are_refused),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
