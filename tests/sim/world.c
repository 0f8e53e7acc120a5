/*
 * world.c - one seed from its first event to its last: chance, the virtual
 * clock, the queue of events, the trace.
 */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "reeld/mem.h"

static const char *const fault_names[SIM_FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_NO_FENCE] = "no-fence",
    [FAULT_REFUND_TWICE] = "refund-twice",
    [FAULT_KEEP_MONEY] = "keep-money",
    [FAULT_CANCEL_ANYTHING] = "cancel-anything",
    [FAULT_NO_PROMOTION] = "no-promotion",
    [FAULT_NO_DEADLINE] = "no-deadline",
    [FAULT_KEY_IGNORED] = "key-ignored",
    [FAULT_TOPUP_TWICE] = "topup-twice",
    [FAULT_OUTBOX_FORGETS] = "outbox-forgets",
    [FAULT_LOST_UPDATE] = "lost-update",
    [FAULT_LATE_REQUEUE] = "late-requeue",
    [FAULT_LATE_START] = "late-start",
    [FAULT_BLAME_ALL] = "blame-all",
    [FAULT_BLAME_PAGE] = "blame-page",
    [FAULT_BLAME_PARKED] = "blame-parked",
    [FAULT_BLAME_COMPANY] = "blame-company",
    [FAULT_TAKE_ALL] = "take-all",
    [FAULT_NO_DOUBT] = "no-doubt",
    [FAULT_SEND_AGAIN] = "send-again",
    [FAULT_REQUEUE_UNKNOWN] = "requeue-unknown",
    [FAULT_SEND_BEFORE_COMMIT] = "send-before-commit",
    [FAULT_TRUST_REFUSAL] = "trust-refusal",
    [FAULT_NO_GRACE] = "no-grace",
};

const char *
sim_fault_name(enum sim_fault fault)
{
	return fault_names[fault];
}

/* splitmix64: every seed, 0 included, gives a good sequence. */
static uint64_t
next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t
sim_random(struct sim_world *w, uint32_t below)
{
	return (uint32_t)((next(&w->rng) >> 32) * below >> 32);
}

int64_t
sim_between(struct sim_world *w, int64_t low, int64_t high)
{
	return low + sim_random(w, (uint32_t)(high - low + 1));
}

bool
sim_quiet(const struct sim_world *w)
{
	return w->db.now >= w->quiet_ms;
}

/* The tables are bounded: the quiet comes before they are full. */
static bool
nearly_full(const struct sim_world *w)
{
	return w->db.n_instances > MAX_INSTANCES - 2 * MAX_PLACES ||
	    w->next_attempt > MAX_ATTEMPTS - 4 * MAX_GENS ||
	    w->n_tasks > MAX_TASKS - 2 * MAX_GENS ||
	    w->db.n_events > MAX_EVENTS - 20 * MAX_GENS;
}

bool
sim_fault(struct sim_world *w, int odds)
{
	if (!sim_quiet(w) && nearly_full(w)) {
		sim_say(w, "the quiet begins early");
		w->quiet_ms = w->db.now;
	}
	return odds > 0 && !sim_quiet(w) && (int)sim_random(w, 1000) < odds;
}

void
sim_say(const struct sim_world *w, const char *format, ...)
{
	va_list args;

	if (w->trace == NULL)
		return;
	fprintf(w->trace, "%10.3f ", (double)w->db.now / 1000);
	va_start(args, format);
	vfprintf(w->trace, format, args);
	va_end(args);
	fputc('\n', w->trace);
}

void
sim_found(struct sim_world *w, const char *format, ...)
{
	va_list args;

	if (w->finding[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(w->finding, sizeof w->finding, format, args);
	va_end(args);
	sim_say(w, "FOUND: %s", w->finding);
}

enum db_outcome
sim_sql(struct sim_world *w, const struct db_call *call)
{
	enum db_outcome outcome = db_run(&w->db, call);

	if (w->calls != NULL || w->trace != NULL) {
		static char line[16384]; /* one thread */

		db_json(&w->db, call, outcome, line, sizeof line);
		if (w->calls != NULL)
			fprintf(w->calls, "%s\n", line);
		sim_say(w, "  sql %s", line);
	}
	if (outcome == DB_RAISED)
		sim_found(
		    w, "%s raised %s", db_fn_name(call->fn), w->db.raised);
	return outcome;
}

/* --- The queue: a heap of places in the pool ------------------------------ */

static bool
sooner(const struct sim_world *w, int a, int b)
{
	const struct sim_event *x = &w->pool[a], *y = &w->pool[b];

	if (x->at != y->at)
		return x->at < y->at;
	return x->tie != y->tie ? x->tie < y->tie : x->number < y->number;
}

static void
swap(struct sim_world *w, int i, int j)
{
	int t = w->heap[i];

	w->heap[i] = w->heap[j];
	w->heap[j] = t;
}

static void
sink(struct sim_world *w, int i)
{
	for (;;) {
		int k = 2 * i + 1;

		if (k >= w->n_heap)
			return;
		if (k + 1 < w->n_heap && sooner(w, w->heap[k + 1], w->heap[k]))
			k++;
		if (!sooner(w, w->heap[k], w->heap[i]))
			return;
		swap(w, i, k);
		i = k;
	}
}

static void
rise(struct sim_world *w, int i)
{
	while (i > 0 && sooner(w, w->heap[i], w->heap[(i - 1) / 2])) {
		swap(w, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

/* The caller fills in the rest at once: only at, tie and number are looked at
 * here. */
struct sim_event *
sim_post(struct sim_world *w, enum sim_kind kind, int64_t delay_ms)
{
	static struct sim_event nowhere;
	struct sim_event *e;
	int slot;

	if (w->n_spare == 0) {
		sim_found(w, "too many pending events");
		return &nowhere;
	}
	slot = w->spare[--w->n_spare];
	e = &w->pool[slot];
	memset(e, 0, offsetof(struct sim_event, rows));
	e->n_rows = 0;
	e->kind = kind;
	e->at = w->db.now + (delay_ms > 0 ? delay_ms : 0);
	e->tie = sim_random(w, 1 << 16);
	e->number = w->numbers++;
	w->heap[w->n_heap++] = slot;
	rise(w, w->n_heap - 1);
	return e;
}

static struct sim_event *
take(struct sim_world *w)
{
	int slot = w->heap[0];

	w->heap[0] = w->heap[--w->n_heap];
	sink(w, 0);
	return &w->pool[slot];
}

/* --- A seed --------------------------------------------------------------- */

/* Never, seldom, or often. */
static int
odds(struct sim_world *w, int seldom, int often)
{
	uint32_t r = sim_random(w, 4);

	return r < 2 ? 0 : r == 2 ? seldom : often;
}

static void
choose(struct sim_world *w)
{
	struct sim_odds *o = &w->odds;
	struct db_rules rules = {
	    .queue_ms = sim_between(w, 300, 3600) * 1000,
	    .review_ms =
		sim_random(w, 8) == 0 ? 0 : sim_between(w, 300, 2400) * 1000,
	    .waiting_limit = (int)sim_between(w, 1, 6),
	};

	db_init(&w->db, &rules);
	w->quiet_ms = sim_between(w, 60, 1800) * 1000;
	w->end_ms = w->quiet_ms + rules.queue_ms + rules.review_ms +
	    MAX_GENS * 2 * 3600 * 1000;
	w->n_places = (int)sim_between(w, 1, MAX_PLACES);
	w->dead_ms = sim_between(w, 10, 40) * 1000;
	w->tick_ms = sim_between(w, 2, 15) * 1000;
	w->poll_ms = sim_between(w, 2, 10) * 1000;
	*o = (struct sim_odds){
	    .sql_lost = odds(w, 10, 100),
	    .sql_unsaid = odds(w, 10, 150),
	    .sql_late = odds(w, 10, 150),
	    .sql_refused = odds(w, 5, 50),
	    .send_lost = odds(w, 50, 300),
	    .send_unsaid = odds(w, 50, 400),
	    .busy = odds(w, 50, 400),
	    .refused = odds(w, 20, 150),
	    .not_sent = odds(w, 50, 300),
	    .poll_fails = odds(w, 50, 400),
	    .forgets = odds(w, 2, 20),
	    .hook_lost = odds(w, 100, 700),
	    .hint_lost = odds(w, 100, 700),
	    .dies = odds(w, 4, 20),
	    .link_dead = odds(w, 30, 200),
	    .download_away = odds(w, 50, 400),
	    .download_bad = odds(w, 10, 50),
	    .media_away = odds(w, 50, 400),
	    .media_bad = odds(w, 10, 50),
	    .store_away = odds(w, 50, 400),
	    .cancel_ignored = odds(w, 100, 600),
	};
	for (int i = 1; i <= MAX_GENS; i++)
		w->class_of[i] = (enum step_class)sim_random(w, 4);
}

static void
plant(struct sim_world *w)
{
	struct db_faults *f = &w->db.faults;

	f->no_fence = w->fault == FAULT_NO_FENCE;
	f->refund_twice = w->fault == FAULT_REFUND_TWICE;
	f->keep_money = w->fault == FAULT_KEEP_MONEY;
	f->cancel_anything = w->fault == FAULT_CANCEL_ANYTHING;
	f->no_promotion = w->fault == FAULT_NO_PROMOTION;
	f->no_deadline = w->fault == FAULT_NO_DEADLINE;
	f->key_ignored = w->fault == FAULT_KEY_IGNORED;
	f->topup_twice = w->fault == FAULT_TOPUP_TWICE;
	f->outbox_forgets = w->fault == FAULT_OUTBOX_FORGETS;
	f->lost_update = w->fault == FAULT_LOST_UPDATE;
	f->late_requeue = w->fault == FAULT_LATE_REQUEUE;
	f->late_start = w->fault == FAULT_LATE_START;
	f->blame_all = w->fault == FAULT_BLAME_ALL;
	f->blame_page = w->fault == FAULT_BLAME_PAGE;
	f->blame_parked = w->fault == FAULT_BLAME_PARKED;
	f->blame_company = w->fault == FAULT_BLAME_COMPANY;
	f->take_all = w->fault == FAULT_TAKE_ALL;
	/* The doubt about what changed hands hides most of a missing fence. */
	f->no_doubt = w->fault == FAULT_NO_DOUBT || w->fault == FAULT_NO_FENCE;
	if (w->fault == FAULT_TRUST_REFUSAL) {
		w->odds.refused = 200;
		w->odds.send_unsaid = 400;
	}
	/* Crash after crash. */
	if (f->blame_all || f->blame_page || f->blame_parked ||
	    f->blame_company || f->take_all)
		w->odds.dies = 80;
	/* It takes one that was given up and lives. */
	if (f->no_fence) {
		w->odds.dies = 40;
		w->n_places = MAX_PLACES;
	}
	/* Two stand still, one behind the other, and it is busy between
	 * (engine_event() lets nobody die of it). */
	if (w->fault == FAULT_NO_DOUBT) {
		w->quiet_ms = 1800 * 1000;
		w->odds.dies = 50;
		w->odds.busy = 400;
		w->odds.send_lost = 400;
		w->n_places = MAX_PLACES;
	}
	/* These need three late statements in a row: worse weather. */
	if (f->late_start || f->late_requeue) {
		w->odds.sql_late = 300;
		w->n_places = 1;
	}
}

static void
happen(struct sim_world *w, struct sim_event *e)
{
	switch (e->kind) {
	case EV_REQUEST:
		provider_event(w, e);
		break;
	case EV_HOOK:
	case EV_ORDER:
	case EV_CANCEL:
	case EV_TOPUP:
	case EV_RESOLVE:
		people_event(w, e);
		break;
	default:
		engine_event(w, e);
		break;
	}
}

void
sim_run(struct sim_world *w, uint64_t seed, enum sim_fault fault, FILE *trace,
    FILE *calls)
{
	memset(w, 0, offsetof(struct sim_world, pool));
	w->rng = seed * 0x2545f4914f6cdd1du;
	w->seed = seed;
	w->fault = fault;
	w->trace = trace;
	w->calls = calls;
	w->n_heap = 0;
	w->n_spare = MAX_PENDING;
	w->numbers = w->serials = 0;
	for (int i = 0; i < MAX_PENDING; i++)
		w->spare[i] = i;
	memset(&w->key_gen, 0, sizeof *w - offsetof(struct sim_world, key_gen));
	choose(w);
	plant(w);
	for (int i = 0; i < w->n_places; i++)
		engine_boot(w, i);
	people_begin(w);
	while (w->n_heap > 0 && w->finding[0] == '\0') {
		struct sim_event *e = take(w);

		w->db.now = e->at;
		if (w->db.now > w->end_ms || check_over(w))
			break;
		w->steps++;
		happen(w, e);
		w->spare[w->n_spare++] = (int)(e - w->pool);
		check_world(w);
	}
	if (w->finding[0] == '\0')
		check_end(w);
}
