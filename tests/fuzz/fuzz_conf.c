/* A configuration file. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "reeld/conf.h"

void
fuzz_one(struct fuzz_in *in)
{
	size_t len;
	char *data = fuzz_rest(in, &len), path[40];
	struct conf *conf = NULL;
	struct err err = {0};
	struct buf out;
	int fd;

	/* Including opens whatever the file names; it is the owner's file. */
	if (len > 0 && memmem(data, len, "include", 7) != NULL) {
		free(data);
		return;
	}
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (conf_load(path, NULL, 0, &conf, &err)) {
		FUZZ_CHECK(conf->http.max_connections >= 16);
		buf_init(&out, 1 << 20);
		conf_print(conf, &out);
		FUZZ_CHECK(buf_ok(&out));
		buf_fini(&out);
	} else {
		FUZZ_CHECK(err.code != ERR_OK);
	}
	conf_unref(conf);
	close(fd);
	free(data);
}
