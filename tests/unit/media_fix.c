/* media_fix.c - see media_fix.h. */
#include "media_fix.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reeld/mem.h"

struct fix fix;

int
fix_open(int job_ms)
{
	const char *helper = getenv("REEL_MEDIA");
	struct media_opts opts = {.threads = 1,
	    .job_ms = job_ms,
	    .helper = helper != NULL ? helper : "./reel-media"};

	fix = (struct fix){.dir = "/tmp/reeld-media-XXXXXX"};
	if (mkdtemp(fix.dir) == NULL)
		return -1;
	fix.loop = loop_new();
	fix.pool = media_pool_new(fix.loop, &opts);
	return 0;
}

void
fix_close(void)
{
	DIR *dir = opendir(fix.dir);
	struct dirent *entry;

	media_pool_free(fix.pool);
	loop_free(fix.loop);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			unlink(fix_path(entry->d_name));
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(fix.dir);
}

const char *
fix_path(const char *name)
{
	static char ring[4][400];
	static unsigned next;
	char *out = ring[next++ % 4];

	snprintf(out, sizeof ring[0], "%s/%s", fix.dir, name);
	return out;
}

void
draw(const char *name, const char *fmt, ...)
{
	char args[2000], command[3000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(args, sizeof args, fmt, ap);
	va_end(ap);
	snprintf(command, sizeof command,
	    "cd %s && ffmpeg -nostdin -hide_banner -loglevel error -y %s %s",
	    fix.dir, args, name);
	if (system(command) != 0)
		fail_msg("cannot draw: %s", command);
}

void
write_file(const char *name, const void *data, size_t len)
{
	FILE *file = fopen(fix_path(name), "w");

	CHECK(file != NULL);
	CHECK_INT(fwrite(data, 1, len, file), ==, len);
	CHECK_INT(fclose(file), ==, 0);
}

size_t
read_whole(const char *name, uint8_t *data, size_t size)
{
	FILE *file = fopen(fix_path(name), "r");
	size_t n;

	CHECK(file != NULL);
	n = fread(data, 1, size, file);
	fclose(file);
	return n;
}

static void
on_job(const struct media_result *result, const struct err *err, void *arg)
{
	struct outcome *outcome = arg;

	CHECK((result == NULL) == (err != NULL));
	outcome->ok = err == NULL;
	if (err != NULL)
		outcome->err = *err;
	else
		outcome->result = *result;
	if (--fix.pending == 0)
		loop_stop(fix.loop);
}

void
job_begin(enum fix_op op, const char *in, const char *out,
    const struct media_image_opts *opts, struct outcome *outcome)
{
	static const struct media_image_opts plain;
	int in_fd = open(fix_path(in), O_RDONLY | O_CLOEXEC);
	int out_fd = -1;

	CHECK(in_fd >= 0);
	if (out != NULL) {
		out_fd = open(fix_path(out),
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(out_fd >= 0);
	}
	fix.pending++;
	if (op == FIX_PROBE)
		media_probe_start(fix.pool, in_fd, NULL, on_job, outcome);
	else if (op == FIX_POSTER)
		media_poster_start(
		    fix.pool, in_fd, out_fd, NULL, on_job, outcome);
	else if (op == FIX_RENDITION)
		media_rendition_start(
		    fix.pool, in_fd, out_fd, NULL, on_job, outcome);
	else
		media_image_start(fix.pool, in_fd, out_fd,
		    opts != NULL ? opts : &plain, NULL, on_job, outcome);
	close(in_fd);
	if (out_fd >= 0)
		close(out_fd);
}

struct outcome
job(enum fix_op op, const char *in, const char *out)
{
	struct outcome outcome = {0};

	job_begin(op, in, out, NULL, &outcome);
	loop_run(fix.loop);
	return outcome;
}

const char *
ffprobe(const char *name, const char *entries)
{
	static char line[400];
	char command[1000];
	FILE *pipe;

	snprintf(command, sizeof command,
	    "ffprobe -v error -show_entries %s -of csv=p=0 %s | tr '\\n' ' '",
	    entries, fix_path(name));
	pipe = popen(command, "r");
	CHECK(pipe != NULL);
	if (fgets(line, sizeof line, pipe) == NULL)
		line[0] = '\0';
	pclose(pipe);
	return line;
}

int
grey(const char *name, int x, int y, int w, int h)
{
	char command[1000];
	unsigned long sum = 0, n = 0;
	FILE *pipe;
	int c;

	snprintf(command, sizeof command,
	    "ffmpeg -nostdin -loglevel error -i %s -frames:v 1 -vf "
	    "'crop=iw*%d/100:ih*%d/100:iw*%d/100:ih*%d/100' "
	    "-f rawvideo -pix_fmt gray -",
	    fix_path(name), w, h, x, y);
	pipe = popen(command, "r");
	CHECK(pipe != NULL);
	while ((c = getc(pipe)) != EOF) {
		sum += c;
		n++;
	}
	CHECK_INT(pclose(pipe), ==, 0);
	CHECK_INT(n, >, 0);
	return (int)(sum / n);
}

int
helper_pid(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		char path[300], name[32], state;
		int pid, parent;
		FILE *file;

		snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    (file = fopen(path, "r")) == NULL)
			continue;
		if (fscanf(file, "%d (%31[^)]) %c %d", &pid, name, &state,
			&parent) == 4 &&
		    parent == getpid() && strcmp(name, "reel-media") == 0)
			found = pid;
		fclose(file);
	}
	closedir(dir);
	return found;
}
