/* group_world.h - a database, a group of its test statement, and items that
 * note what they are told. */
#ifndef TEST_GROUP_WORLD_H
#define TEST_GROUP_WORLD_H

#include "unit.h"

#include <stdlib.h>

#include "pg/internal.h"
#include "reeld/json.h"
#include "reeld/loop.h"
#include "reeld/mem.h"
#include "reeld/pg_group.h"
#include "servers.h"

static struct servers servers;
static bool at_once; /* of the next group */

enum { MANY = 200 };

struct world;
struct one {
	struct world *world;
	struct pg_item *item;
	int told;
	int64_t v, company; /* of its row; -1: an error */
	bool async;
	char error[40];
};
struct world {
	struct loop *loop;
	struct pg_pool *pool;
	struct pg_group *group;
	struct one all[MANY];
	int told, wanted, rows;
	struct one *spares; /* the first one told cancels this one */
	double slow_s;	    /* what is added now takes so long */
};

static void
on_each(const struct pg_rows *rows, int row, void *arg)
{
	struct world *world = arg;

	CHECK_INT(pg_i64(rows, row, "one"), ==, 1);
	world->rows++;
}

static void
world_open_as(struct world *world, int again, bool async, int connections)
{
	struct pg_opts opts = {.name = "test",
	    .conninfo = servers.pg_url,
	    .size = connections,
	    .max_waiting = 1000,
	    .timeout_ms = 20000,
	    .session_sql = "set lock_timeout = '100ms'"};
	struct pg_group_opts group = {.stmt = STMT_TEST_GROUP,
	    .again = again,
	    .async = async,
	    .whose = "whose",
	    .at_once = at_once,
	    .each = on_each,
	    .arg = world};

	memset(world, 0, sizeof *world);
	world->loop = group.loop = loop_new();
	world->pool = group.pool = pg_pool_new(world->loop, &opts);
	world->group = pg_group_new(&group);
	for (int i = 0; i < MANY; i++)
		world->all[i].world = world;
}

static void
world_open_again(struct world *world, int again)
{
	world_open_as(world, again, false, 2);
}

static void
world_open(struct world *world)
{
	world_open_again(world, 0);
}

static void
world_close(struct world *world)
{
	pg_group_free(world->group);
	pg_pool_free(world->pool);
	loop_free(world->loop);
}

static void
on_item(const struct pg_rows *rows, int row, const struct err *err, void *arg)
{
	struct one *one = arg;
	struct world *world = one->world;

	CHECK(one->item == NULL);
	one->told++;
	one->v = one->company = -1;
	if (err != NULL) {
		str_copy(one->error, sizeof one->error, err->name);
	} else if (pg_count(rows) > row) {
		one->v = pg_i64(rows, row, "v");
		one->company = pg_i64(rows, row, "company");
		one->async = pg_bool(rows, row, "async");
	}
	if (world->spares != NULL)
		pg_item_cancel(&world->spares->item);
	if (++world->told == world->wanted)
		loop_stop(world->loop);
}

/* {"v": i}, and what else makes it special. */
static void
add(struct world *world, int i, int divisor, bool skip)
{
	struct json_object *o = json_new();

	json_set_int(o, "v", i);
	json_set_int(o, "d", divisor);
	if (skip)
		json_set_bool(o, "skip", true);
	if (world->slow_s > 0)
		json_set_num(o, "s", world->slow_s);
	pg_group_add(
	    world->group, o, &world->all[i].item, on_item, &world->all[i]);
	json_free(&o);
	CHECK(world->all[i].item != NULL);
	CHECK_INT(world->all[i].told, ==, 0);
}

static void
run_until(struct world *world, int told)
{
	world->wanted = told;
	if (world->told < told)
		loop_run(world->loop);
	CHECK_INT(world->told, ==, told);
}

static int
group_start(void **state)
{
	servers_start(&servers, 1, 0);
	return 0;
}

static int
group_stop(void **state)
{
	servers_stop(&servers);
	return 0;
}

#endif
