/*
 * fuzz_main.c - runs a target: under libFuzzer (--enable-fuzzing), or, in
 * every other build, over files: its corpus and every shorter beginning of
 * each of them, as a test of `make check`.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "reeld/log.h"

/* Beginnings that are tried of one file; a longer file is cut in fewer. */
enum { MAX_CUTS = 2000 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

uint8_t
fuzz_byte(struct fuzz_in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static char *
text_of(const void *data, size_t len)
{
	size_t n = strnlen(data, len);
	char *text = xmalloc(n + 1);

	memcpy(text, data, n);
	text[n] = '\0';
	return text;
}

char *
fuzz_line(struct fuzz_in *in)
{
	const uint8_t *end =
	    in->left > 0 ? memchr(in->at, '\n', in->left) : NULL;
	size_t len = end != NULL ? (size_t)(end - in->at) : in->left;
	char *text = text_of(len > 0 ? (const void *)in->at : "", len);

	in->at += len + (end != NULL);
	in->left -= len + (end != NULL);
	return text;
}

char *
fuzz_text(struct fuzz_in *in)
{
	char *text =
	    text_of(in->left > 0 ? (const void *)in->at : "", in->left);

	in->at += in->left;
	in->left = 0;
	return text;
}

void *
fuzz_rest(struct fuzz_in *in, size_t *len)
{
	/* not xmalloc(0): that may be a byte larger than asked for */
	void *copy = malloc(in->left);

	FUZZ_CHECK(copy != NULL || in->left == 0);
	if (in->left > 0)
		memcpy(copy, in->at, in->left);
	*len = in->left;
	in->at += in->left;
	in->left = 0;
	return copy;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_set_level(LOG_ERROR);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = {data, len};

	fuzz_one(&in);
	return 0;
}

#ifndef REELD_LIBFUZZER
static size_t
run_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct buf bytes;
	char chunk[4096];
	size_t n, step;

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	buf_init(&bytes, 1 << 24);
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(&bytes, chunk, n);
	fclose(file);
	step = 1 + bytes.len / MAX_CUTS;
	for (n = 0; n < bytes.len; n += step)
		LLVMFuzzerTestOneInput((uint8_t *)bytes.data, n);
	LLVMFuzzerTestOneInput((uint8_t *)bytes.data, bytes.len);
	buf_fini(&bytes);
	return 1;
}

static size_t
run_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t files = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *name = xasprintf("%s/%s", path, entry->d_name);
		struct stat st;

		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			files += run_file(name);
		free(name);
	}
	if (dir != NULL)
		closedir(dir);
	return files;
}

/* Without arguments: the corpus of the target, found by the program's name,
 * and the stored samples of tests/data that bear the same name. */
int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *name = strrchr(argv[0], '/');
	size_t files = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		files += run_file(argv[i]);
	if (argc == 1) {
		static const char *const places[] = {
		    "tests/fuzz/corpus", "tests/data"};

		name = name != NULL ? name + 1 : argv[0];
		if (str_starts(name, "fuzz_"))
			name += strlen("fuzz_");
		for (size_t i = 0; i < nitems(places); i++) {
			char *path = xasprintf("%s/%s/%s",
			    srcdir != NULL ? srcdir : ".", places[i], name);

			files += run_dir(path);
			free(path);
		}
	}
	if (files == 0) {
		fprintf(stderr, "%s: no input files\n", argv[0]);
		return 1;
	}
	printf("%zu files\n", files);
	return 0;
}
#endif
