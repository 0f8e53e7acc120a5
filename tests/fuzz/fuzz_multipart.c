/*
 * Multipart bodies.  The first line is the Content-Type; the parts must be
 * the same whether the body comes at once or byte by byte.
 */
#include "fuzz.h"
#include "http/internal.h"

enum { MAX_SEEN = 1 << 16 };

struct seen {
	struct buf text;
	int depth;
};

static bool
on_part(void *arg, const char *name, const char *filename, const char *type,
    struct err *err)
{
	struct seen *self = arg;

	FUZZ_CHECK(self->depth++ == 0);
	FUZZ_CHECK(name != NULL && type != NULL);
	buf_printf(&self->text, "[%s|%s|%s:", name,
	    filename != NULL ? filename : "-", type);
	return true;
}

static bool
on_data(void *arg, const char *data, size_t len, struct err *err)
{
	struct seen *self = arg;

	FUZZ_CHECK(self->depth == 1);
	buf_add(&self->text, data, len);
	return true;
}

static bool
on_part_end(void *arg, struct err *err)
{
	struct seen *self = arg;

	FUZZ_CHECK(--self->depth == 0);
	buf_putc(&self->text, ']');
	return true;
}

static bool
run(const char *type, const char *data, size_t len, size_t step,
    struct seen *seen)
{
	static const struct multipart_hooks hooks = {
	    on_part, on_data, on_part_end};
	struct err err = {0};
	struct multipart *parser = multipart_new(type, &hooks, seen, &err);
	bool ok = parser != NULL;

	buf_init(&seen->text, MAX_SEEN);
	seen->depth = 0;
	for (size_t at = 0; ok && at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		/* exactly these bytes, and none behind them */
		char *piece = xmemdup(data + at, n);

		ok = multipart_feed(parser, piece, n, &err);
		free(piece);
	}
	ok = ok && multipart_end(parser, &err);
	FUZZ_CHECK(ok || err.code != ERR_OK);
	FUZZ_CHECK(!ok || seen->depth == 0);
	multipart_free(parser);
	return ok;
}

void
fuzz_one(struct fuzz_in *in)
{
	char *type = fuzz_line(in);
	size_t len, steps[] = {0, 1, 7};
	char *data = fuzz_rest(in, &len);
	struct seen seen[nitems(steps)];
	bool ok[nitems(steps)];

	steps[0] = len > 0 ? len : 1;
	for (size_t i = 0; i < nitems(steps); i++) {
		ok[i] = run(type, data, len, steps[i], &seen[i]);
		FUZZ_CHECK(ok[i] == ok[0]);
		FUZZ_CHECK(!ok[0] || !buf_ok(&seen[0].text) ||
		    strcmp(buf_str(&seen[i].text), buf_str(&seen[0].text)) ==
			0);
	}
	for (size_t i = 0; i < nitems(steps); i++)
		buf_fini(&seen[i].text);
	free(data);
	free(type);
}
