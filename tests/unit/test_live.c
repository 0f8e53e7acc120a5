/* test_live.c - topic grammar, version rule, status cache, the bus. */
#include "unit.h"

#include <stdlib.h>

#include "live/internal.h"
#include "reeld/json.h"

#define ID_A "0190d3a0-0000-7000-8000-00000000000a"
#define ID_B "0190d3a0-0000-7000-8000-00000000000b"

TEST(topics_follow_the_grammar)
{
	static const struct {
		const char *text, *me, *name;
	} rows[] = {
	    {"user:me", ID_A, "user:" ID_A},
	    {"user:me", "", NULL},
	    {"user:me", NULL, NULL},
	    {"user:" ID_B, ID_A, "user:" ID_B},
	    {"generation:" ID_A, NULL, "generation:" ID_A},
	    {"generation:0190D3A0-0000-7000-8000-00000000000A", NULL,
		"generation:" ID_A},
	    {"generation:x", NULL, NULL},
	    {"generation:", NULL, NULL},
	    {"generation:me", ID_A, NULL},
	    {"comparison:a-b-2", NULL, "comparison:a-b-2"},
	    {"comparison:A", NULL, NULL},
	    {"comparison:-a", NULL, NULL},
	    {"arena", NULL, "arena"},
	    {"arena:x", NULL, NULL},
	    {"admin:queue", NULL, "admin:queue"},
	    {"admin:other", NULL, NULL},
	    {"", NULL, NULL},
	    {NULL, NULL, NULL},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct live_topic topic;
		bool ok =
		    live_topic_parse(rows[i].text, rows[i].me, &topic, NULL);

		CHECK_INT(ok, ==, rows[i].name != NULL);
		if (ok)
			CHECK_STR(topic.name, rows[i].name);
	}
}

struct fixture {
	struct loop *loop;
	struct ws *ws;
	struct live *live;
	int waited;
	struct live_wait *wait;
};

static void
open_fixture(struct fixture *fx)
{
	memset(fx, 0, sizeof *fx);
	fx->loop = loop_new();
	fx->ws = ws_new(fx->loop, NULL);
	fx->live = live_new(fx->loop, NULL, fx->ws, "me");
}

static void
close_fixture(struct fixture *fx)
{
	live_free(fx->live);
	ws_free(fx->ws);
	loop_free(fx->loop);
}

static bool
publish(struct fixture *fx, const char *object, int64_t version)
{
	char data[200];
	int n = snprintf(data, sizeof data,
	    "{\"id\":\"%s\",\"status\":\"processing\",\"progress\":%d,"
	    "\"version\":%d,\"stage\":null,\"video_url\":null}",
	    object, (int)version * 10, (int)version);

	return live_publish(fx->live,
	    &(struct live_event){.type = "generation.processing",
		.topics = {"generation:" ID_A},
		.n_topics = 1,
		.object = object,
		.version = version,
		.data = data,
		.data_len = (size_t)n});
}

TEST(only_newer_versions_pass)
{
	struct fixture fx;

	open_fixture(&fx);
	CHECK(publish(&fx, ID_A, 3));
	CHECK(!publish(&fx, ID_A, 3));
	CHECK(!publish(&fx, ID_A, 2));
	CHECK(publish(&fx, ID_B, 2));
	CHECK(publish(&fx, ID_A, 4));
	close_fixture(&fx);
}

TEST(status_follows_events_and_never_goes_back)
{
	struct fixture fx;
	struct live_status status;
	uint64_t stamp;

	open_fixture(&fx);
	stamp = live_status_stamp(fx.live);
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	CHECK(publish(&fx, ID_A, 5));
	/* Read before the event passed: refused. */
	live_status_put(fx.live, ID_A, "u", 4, "old", 3, stamp);
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	/* Read after a change whose event is still under way. */
	live_status_put(fx.live, ID_A, "u", 6, "six", 3, stamp);
	CHECK(live_status_get(fx.live, ID_A, "u", &status));
	CHECK_INT(status.version, ==, 6);
	CHECK(!live_status_get(fx.live, ID_A, "v", &status));
	CHECK(live_status_get(fx.live, ID_A, "", &status));
	/* Its event still passes, once. */
	CHECK(publish(&fx, ID_A, 6));
	CHECK(publish(&fx, ID_A, 7));
	CHECK(live_status_get(fx.live, ID_A, "u", &status));
	CHECK_INT(status.version, ==, 7);
	CHECK(strstr(status.body, "\"progress\":70") != NULL);
	objects_flush(fx.live);
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	live_status_put(fx.live, ID_A, "u", 8, "late", 4, stamp);
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	close_fixture(&fx);
}

TEST(a_status_that_is_too_old_to_be_sent_is_not_kept)
{
	struct fixture fx;
	struct live_status status;
	uint64_t stamp;

	open_fixture(&fx);
	fx.live->objects.max_age_ms = 1;
	stamp = live_status_stamp(fx.live);
	live_status_put(fx.live, ID_A, "u", 4, "four", 4, stamp);
	loop_run_for(fx.loop, 5);
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	CHECK_INT(fx.live->objects.bodies, ==, 1);
	live_status_put(fx.live, ID_B, "u", 4, "four", 4, stamp);
	CHECK_INT(fx.live->objects.bodies, ==, 1);
	fx.live->objects.max_age_ms = 60000;
	CHECK(!live_status_get(fx.live, ID_A, "u", &status));
	CHECK(live_status_get(fx.live, ID_B, "u", &status));
	CHECK_INT(fx.live->objects.count, ==, 2);
	close_fixture(&fx);
}

TEST(objects_are_bounded_and_eviction_changes_the_stamp)
{
	struct objects objects;
	uint64_t stamp;

	objects_init(&objects, 2);
	CHECK(objects_pass(&objects, "a", 1));
	CHECK(objects_pass(&objects, "b", 1));
	stamp = objects.stamp;
	CHECK(!objects_pass(&objects, "a", 1)); /* now b is the oldest */
	CHECK(objects_pass(&objects, "c", 1));
	CHECK_INT(objects.count, ==, 2);
	CHECK_INT(objects.stamp, >, stamp);
	CHECK_INT(objects_version(&objects, "a"), ==, 1);
	CHECK_INT(objects_version(&objects, "b"), ==, 0);
	/* Not spoken of for long: gone without a change of the stamp. */
	stamp = objects.stamp;
	objects.max_idle_ms = -1;
	CHECK(objects_pass(&objects, "d", 1));
	CHECK_INT(objects.count, ==, 1);
	CHECK_INT(objects.stamp, ==, stamp);
	CHECK_INT(objects_version(&objects, "c"), ==, 0);
	CHECK_INT(objects_version(&objects, "d"), ==, 1);
	objects_fini(&objects);
}

/* Two events of others in one message, and what comes behind them. */
static void
take_batch(struct fixture *fx, const char *rest, int bad)
{
	static int version = 100;
	struct live_stats before, after;
	char all[1000] = "", one[300];

	for (int i = 0; i < 2; i++) {
		int n = snprintf(one, sizeof one,
		    "E you %d %s generation:%s generation.queued 1\n{}",
		    ++version, ID_A, ID_A);

		snprintf(all + strlen(all), sizeof all - strlen(all), "%d\n%s",
		    n, one);
	}
	snprintf(all + strlen(all), sizeof all - strlen(all), "%s", rest);
	live_stats(fx->live, &before);
	bus_receive(fx->live, all, strlen(all));
	live_stats(fx->live, &after);
	CHECK_INT(after.remote - before.remote, ==, 2);
	CHECK_INT(after.bad_remote - before.bad_remote, ==, bad);
}

#define TO_A ID_A " generation:" ID_A

TEST(the_bus_takes_events_of_others_only)
{
	static const char body[] = "{\"id\":\"" ID_A "\"}";
	static const struct {
		const char *head;
		const char *text;
		int remote, bad;
	} rows[] = {
	    {"E me 5 " TO_A " generation.queued 1\n", body, 0, 0},
	    {"E you 5 " TO_A " generation.queued 1\n", body, 1, 0},
	    {"E you x " TO_A " generation.queued 1\n", body, 0, 1},
	    {"E you 6 " ID_A " nonsense generation.queued 1\n", body, 0, 1},
	    {"E you 6 " TO_A " generation.queued 1\n", "{", 0, 1},
	    {"E you 6 " TO_A " generation.queued 1\n", "[{}]", 0, 1},
	    {"E you 6 " TO_A " generation.queued 1\n", "{\"a\":\"\xff\"}", 0,
		1},
	    {"E you 6 " TO_A " generation.queued 1\n", "", 0, 1},
	    {"E you 6 " TO_A " generation.queued x\n", body, 0, 1},
	    {"E you 6 " TO_A " generation.queued 253402300800000\n", body, 0,
		1},
	    {"E you 6 " TO_A " generation.queued\n", body, 0, 1},
	    {"E you 6 " TO_A " genera\"tion 1\n", body, 0, 1},
	    {"E you 6 " TO_A "\n", body, 0, 1},
	    {"E you 6 " TO_A "  1\n", body, 0, 1},
	    {"X you 6 " TO_A " generation.queued 1\n", body, 0, 1},
	    {"E you", "", 0, 1},
	    {"", "", 0, 1},
	    {"R you user nobody\n", "", 0, 1},
	    {"R you user " ID_A "\n", "", 0, 0},
	};
	struct fixture fx;

	open_fixture(&fx);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct live_stats before, after;
		char message[1000];

		snprintf(message, sizeof message, "%s%s", rows[i].head,
		    rows[i].text);
		live_stats(fx.live, &before);
		bus_receive(fx.live, message, strlen(message));
		live_stats(fx.live, &after);
		CHECK_INT(after.remote - before.remote, ==, rows[i].remote);
		CHECK_INT(
		    after.bad_remote - before.bad_remote, ==, rows[i].bad);
	}
	CHECK(!publish(&fx, ID_A, 5)); /* it came over the bus */
	take_batch(&fx, "", 0);
	take_batch(&fx, "5", 1);
	take_batch(&fx, "5\nE you", 1);
	take_batch(&fx, "9\nE you", 1);
	take_batch(&fx, "0\n", 1);
	take_batch(&fx, "99999\nE you", 1);
	take_batch(&fx, "123456789\nE you", 1);
	close_fixture(&fx);
}

static void
on_waited(enum live_wait_result result, void *arg)
{
	struct fixture *fx = arg;

	CHECK(fx->wait == NULL);
	fx->waited = 10 + (int)result;
}

TEST(waits_end_once_later_and_cancel_silently)
{
	struct fixture fx;

	open_fixture(&fx);
	live_wait_start(fx.live, ID_A, 1, 1000, &fx.wait, on_waited, &fx);
	CHECK(publish(&fx, ID_A, 2));
	CHECK_INT(fx.waited, ==, 0); /* never from inside */
	CHECK(fx.wait != NULL);
	loop_run_for(fx.loop, 5);
	CHECK_INT(fx.waited, ==, 10 + LIVE_WAIT_NEWER);
	fx.waited = 0;
	live_wait_start(fx.live, ID_A, 1, 1000, &fx.wait, on_waited, &fx);
	live_wait_cancel(&fx.wait);
	live_wait_cancel(&fx.wait);
	live_wait_start(fx.live, ID_A, 2, 1, &fx.wait, on_waited, &fx);
	loop_run_for(fx.loop, 20);
	CHECK_INT(fx.waited, ==, 10 + LIVE_WAIT_TIMEOUT);
	live_wait_start(fx.live, ID_A, 2, 1000, &fx.wait, on_waited, &fx);
	live_wait_start(fx.live, ID_B, 2, 1000, &(struct live_wait *){NULL},
	    on_waited, &fx);
	close_fixture(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(topics_follow_the_grammar),
	    cmocka_unit_test(only_newer_versions_pass),
	    cmocka_unit_test(status_follows_events_and_never_goes_back),
	    cmocka_unit_test(a_status_that_is_too_old_to_be_sent_is_not_kept),
	    cmocka_unit_test(
		objects_are_bounded_and_eviction_changes_the_stamp),
	    cmocka_unit_test(the_bus_takes_events_of_others_only),
	    cmocka_unit_test(waits_end_once_later_and_cancel_silently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
