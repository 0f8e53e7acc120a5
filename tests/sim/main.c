/*
 * main.c - `make simulate`: many seeds over all processors, or one with its
 * trace.
 *
 *	SIM_SEEDS=n   how many, 1000000 by itself; from SIM_FROM, 1 by itself
 *	SIM_SEED=n    one, with its trace
 *	SIM_FAULT=x   with a planted fault (sim.h), to see it found
 *	SIM_JOBS=n    processes, one per processor by itself
 *	simulate calls FROM SEEDS CALLS   sequences of calls as lines of JSON
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sim_world world;

static long long
number(const char *text, long long otherwise)
{
	char *end;
	long long n;

	if (text == NULL || *text == '\0')
		return otherwise;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < 0) {
		fprintf(stderr, "simulate: not a number: %s\n", text);
		exit(2);
	}
	return n;
}

static enum sim_fault
fault_named(const char *name)
{
	for (int i = 0; name != NULL && i < SIM_FAULTS; i++)
		if (strcmp(sim_fault_name((enum sim_fault)i), name) == 0)
			return (enum sim_fault)i;
	if (name != NULL) {
		fprintf(stderr, "simulate: no fault %s\n", name);
		exit(2);
	}
	return FAULT_NONE;
}

static int
one(uint64_t seed, enum sim_fault fault)
{
	sim_run(&world, seed, fault, stdout, NULL);
	printf("seed %llu: %s (%d events)\n", (unsigned long long)seed,
	    world.finding[0] != '\0' ? world.finding : "nothing found",
	    world.steps);
	return world.finding[0] != '\0';
}

/* Its share of the seeds; prints what it finds, counts what happened. */
static int
share(uint64_t from, uint64_t n, int job, int jobs, enum sim_fault fault)
{
	unsigned long long events = 0, ended[3] = {0}, review = 0, seeds = 0;

	for (uint64_t seed = from + (uint64_t)job; seed < from + n;
	     seed += (uint64_t)jobs) {
		sim_run(&world, seed, fault, NULL, NULL);
		seeds++;
		events += (unsigned)world.steps;
		for (int i = 1; i <= world.db.n_gens; i++)
			if (gen_ended(world.db.gens[i].status))
				ended[world.db.gens[i].status - G_COMPLETED]++;
			else
				review++;
		if (world.finding[0] == '\0')
			continue;
		printf(
		    "seed %llu: %s\n", (unsigned long long)seed, world.finding);
		printf("its trace, again with SIM_SEED=%llu:\n",
		    (unsigned long long)seed);
		fflush(stdout);
		(void)one(seed, fault);
		return 1;
	}
	printf("%llu seeds, %llu events: %llu completed, %llu failed, "
	       "%llu cancelled, %llu in review for ever\n",
	    seeds, events, ended[0], ended[1], ended[2], review);
	return 0;
}

static int
calls(char **argv)
{
	uint64_t from = (uint64_t)number(argv[2], 1);
	uint64_t seeds = (uint64_t)number(argv[3], 1);

	for (uint64_t seed = from; seed < from + seeds; seed++)
		sim_calls(seed, (int)number(argv[4], 100), stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	enum sim_fault fault = fault_named(getenv("SIM_FAULT"));
	uint64_t n = (uint64_t)number(getenv("SIM_SEEDS"), 1000000);
	uint64_t from = (uint64_t)number(getenv("SIM_FROM"), 1);
	int jobs =
	    (int)number(getenv("SIM_JOBS"), sysconf(_SC_NPROCESSORS_ONLN));
	struct timespec begin, end;
	int failed = 0, status;

	if (argc == 5 && strcmp(argv[1], "calls") == 0)
		return calls(argv);
	if (getenv("SIM_SEED") != NULL)
		return one((uint64_t)number(getenv("SIM_SEED"), 1), fault);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int job = 0; job < jobs; job++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("simulate: fork");
			return 2;
		}
		if (pid == 0)
			exit(share(from, n, job, jobs, fault));
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("simulate: %llu seeds, %s, %ld s\n", (unsigned long long)n,
	    failed ? "FOUND" : "nothing found",
	    (long)(end.tv_sec - begin.tv_sec));
	return failed;
}
