/* metrics_process.c - what the kernel says about this process. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/metrics.h"
#include "reeld/clock.h"

static int
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and this one */
}

static void
memory(long *virtual_pages, long *resident_pages)
{
	FILE *file = fopen("/proc/self/statm", "re");

	*virtual_pages = *resident_pages = 0;
	if (file == NULL)
		return;
	if (fscanf(file, "%ld %ld", virtual_pages, resident_pages) != 2)
		*virtual_pages = *resident_pages = 0;
	fclose(file);
}

/* Seconds since 1970; 0 when unknown. */
static double
start_time(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	unsigned long long ticks = 0;
	char line[1024], *at = NULL;
	struct timespec now;

	if (file != NULL) {
		if (fgets(line, sizeof line, file) != NULL)
			at = strrchr(line, ')');
		fclose(file);
	}
	/* The name may hold anything; 19 fields after it is the start. */
	for (int i = 0; at != NULL && i < 20; i++)
		at = strchr(at + 1, ' ');
	if (at == NULL || sscanf(at, " %llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)clock_wall_ms() / 1000 - (double)now.tv_sec +
	    (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void
metrics_process(struct buf *out)
{
	long page = sysconf(_SC_PAGESIZE), virtual_pages, resident_pages;
	struct rusage usage;
	struct rlimit limit;

	getrusage(RUSAGE_SELF, &usage);
	metric_one(out, "process_cpu_seconds_total", "counter",
	    "User and system time.",
	    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
		    1e6);
	memory(&virtual_pages, &resident_pages);
	metric_one(out, "process_resident_memory_bytes", "gauge",
	    "Resident memory.", (double)resident_pages * (double)page);
	metric_one(out, "process_virtual_memory_bytes", "gauge",
	    "Virtual memory.", (double)virtual_pages * (double)page);
	metric_one(
	    out, "process_open_fds", "gauge", "Open descriptors.", open_fds());
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		metric_one(out, "process_max_fds", "gauge",
		    "Limit of open descriptors.", (double)limit.rlim_cur);
	metric_one(out, "process_start_time_seconds", "gauge",
	    "Start of the process since 1970.", start_time());
}
