/*
 * multipart.c - a strict streaming parser of multipart/form-data (RFC 7578).
 *
 * libmicrohttpd's post processor can't tell a missing closing boundary, a
 * bare LF or bytes after the end, so this one does: whatever is not exactly
 * the grammar is refused.  Pure: bytes in, hooks out.  Called by upload.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/internal.h"

enum { MAX_BOUNDARY = 70, MAX_PART_HEAD = 8192, MAX_PART_LINES = 8 };

enum state { OPENING, AFTER_DELIMITER, PART_HEAD, PART_BODY, CLOSING, ENDED };

struct multipart {
	enum state state;
	char delimiter[MAX_BOUNDARY + 8]; /* CRLF -- boundary */
	size_t delimiter_len;
	size_t matched; /* bytes of the delimiter seen */
	char tail[2];	/* after a delimiter */
	size_t n_tail;
	char head[MAX_PART_HEAD + 1];
	size_t head_len;
	int parts;
	const struct multipart_hooks *hooks;
	void *arg;
};

static bool
bad(struct err *err, const char *why)
{
	return err_set_name(
	    err, ERR_BAD_INPUT, "bad_multipart", "Multipart body: %s.", why);
}

static bool
boundary_ok(const char *text, size_t len)
{
	if (len < 1 || len > MAX_BOUNDARY || text[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			(c != '\0' && strchr("'()+_,-./:=? ", c) != NULL)))
			return false;
	}
	return true;
}

/* The value of a parameter such as ; name="x"; false when absent or broken,
 * *broken says which.  Quoted pairs are only \" and \\. */
static bool
parameter(
    const char *text, const char *name, char *out, size_t size, bool *broken)
{
	bool found = false;

	*broken = false;
	while (*text != '\0') {
		size_t name_len, n = 0;
		bool match;

		text += strspn(text, " \t");
		if (*text++ != ';') {
			*broken = true;
			return false;
		}
		text += strspn(text, " \t");
		name_len = strcspn(text, "= \t;\"");
		if (name_len == 0 || text[name_len] != '=') {
			*broken = true;
			return false;
		}
		match = name_len == strlen(name) &&
		    strncasecmp(text, name, name_len) == 0;
		if (match && found) { /* said twice */
			*broken = true;
			return false;
		}
		text += name_len + 1;
		if (*text == '"') {
			for (text++; *text != '"'; text++) {
				if (*text == '\\' &&
				    (text[1] == '"' || text[1] == '\\'))
					text++;
				if (*text == '\0' || n + 1 >= size) {
					*broken = true;
					return false;
				}
				if (match)
					out[n++] = *text;
			}
			text++;
		} else {
			size_t len = strcspn(text, "; \t\"");

			if (len == 0 || len >= size) {
				*broken = true;
				return false;
			}
			if (match)
				memcpy(out, text, n = len);
			text += len;
		}
		if (match) {
			out[n] = '\0';
			found = true;
		}
	}
	return found;
}

struct multipart *
multipart_new(const char *content_type, const struct multipart_hooks *hooks,
    void *arg, struct err *err)
{
	struct multipart *self;
	char boundary[MAX_BOUNDARY + 2];
	bool broken;

	if (strncasecmp(content_type, "multipart/form-data", 19) != 0 ||
	    strchr("; \t", content_type[19]) == NULL) {
		err_set(err, ERR_MEDIA_TYPE,
		    "This route takes multipart/form-data.");
		return NULL;
	}
	if (!parameter(content_type + 19, "boundary", boundary, sizeof boundary,
		&broken) ||
	    !boundary_ok(boundary, strlen(boundary))) {
		bad(err, "no valid boundary");
		return NULL;
	}
	self = xcalloc(1, sizeof *self);
	self->delimiter_len = snprintf(
	    self->delimiter, sizeof self->delimiter, "\r\n--%s", boundary);
	self->matched = 2; /* the first one has no CRLF before it */
	self->hooks = hooks;
	self->arg = arg;
	return self;
}

void
multipart_free(struct multipart *parser)
{
	free(parser);
}

static bool
name_ok(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= 64 &&
	    strspn(name,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_-.") == len;
}

struct part_head {
	char name[80], filename[512], type[128];
	bool has_name, has_filename;
};

static bool
part_line(char *line, struct part_head *part, struct err *err)
{
	char *colon = strchr(line, ':'), *value;
	bool broken;

	if (colon == NULL || colon == line)
		return bad(err, "a part header has no name");
	*colon = '\0';
	if (line[strcspn(line, " \t\"(),/;<=>?@[\\]{}")] != '\0')
		return bad(err, "a part header's name is not valid");
	value = colon + 1 + strspn(colon + 1, " \t");
	for (const char *p = value; *p != '\0'; p++) {
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return bad(err, "a part header is not valid");
	}
	if (strcasecmp(line, "Content-Disposition") == 0) {
		if (part->has_name || strncasecmp(value, "form-data", 9) != 0)
			return bad(err, "bad Content-Disposition");
		part->has_name = parameter(
		    value + 9, "name", part->name, sizeof part->name, &broken);
		if (!part->has_name || !name_ok(part->name))
			return bad(err, "a field's name is not valid");
		part->has_filename = parameter(value + 9, "filename",
		    part->filename, sizeof part->filename, &broken);
		if (broken ||
		    (part->has_filename &&
			!utf8_valid(part->filename, strlen(part->filename))))
			return bad(err, "a file's name is not valid");
	} else if (strcasecmp(line, "Content-Type") == 0) {
		if (part->type[0] != '\0' ||
		    !str_copy(part->type, sizeof part->type, value))
			return bad(err, "bad Content-Type");
		if (strncasecmp(value, "multipart/", 10) == 0)
			return bad(err, "parts inside parts are refused");
	} else if (strcasecmp(line, "Content-Transfer-Encoding") == 0) {
		if (strcasecmp(value, "binary") != 0 &&
		    strcasecmp(value, "8bit") != 0 &&
		    strcasecmp(value, "7bit") != 0)
			return bad(err, "transfer encodings are refused");
	}
	return true;
}

/* head holds whole lines, each with its CRLF, and the empty one. */
static bool
part_begin(struct multipart *self, struct err *err)
{
	struct part_head part;
	char *at = self->head;
	int lines = 0;

	memset(&part, 0, sizeof part);
	if (memchr(self->head, '\0', self->head_len) != NULL)
		return bad(err, "a NUL in a part header");
	if (++self->parts > MAX_PARTS)
		return err_set(err, ERR_TOO_LARGE,
		    "A multipart body may have %d parts.", MAX_PARTS);
	for (;;) {
		char *end = strstr(at, "\r\n");

		if (end == at)
			break;
		if (++lines > MAX_PART_LINES)
			return bad(err, "too many part headers");
		*end = '\0';
		if (!part_line(at, &part, err))
			return false;
		at = end + 2;
	}
	if (!part.has_name)
		return bad(err, "a part has no Content-Disposition");
	self->head_len = 0;
	return self->hooks->on_part(self->arg, part.name,
	    part.has_filename ? part.filename : NULL, part.type, err);
}

static bool
add_head(struct multipart *self, char c, struct err *err)
{
	if (self->head_len == MAX_PART_HEAD)
		return bad(err, "a part's headers are too long");
	if (c == '\n' &&
	    (self->head_len == 0 || self->head[self->head_len - 1] != '\r'))
		return bad(err, "a bare LF");
	self->head[self->head_len++] = c;
	self->head[self->head_len] = '\0';
	if (c != '\n')
		return true;
	if (self->head_len != 2 &&
	    memcmp(self->head + self->head_len - 4, "\r\n\r\n", 4) != 0)
		return true;
	self->state = PART_BODY;
	self->matched = 0;
	return part_begin(self, err);
}

static bool
after_delimiter(struct multipart *self, char c, struct err *err)
{
	self->tail[self->n_tail++] = c;
	if (self->n_tail < 2)
		return true;
	self->n_tail = 0;
	if (memcmp(self->tail, "--", 2) == 0) {
		if (self->parts == 0)
			return bad(err, "no parts");
		self->state = CLOSING;
		return true;
	}
	if (memcmp(self->tail, "\r\n", 2) != 0)
		return bad(err, "bytes after a boundary");
	self->state = PART_HEAD;
	self->head_len = 0;
	return true;
}

/* Eats body bytes up to and with the delimiter; returns how many.  A CR can
 * only begin the delimiter, so a mismatch never hides another start. */
static size_t
eat_body(struct multipart *self, const char *data, size_t len, bool *ok,
    struct err *err)
{
	const struct multipart_hooks *hooks = self->hooks;
	size_t i = 0;

	*ok = true;
	while (i < len && *ok) {
		size_t from = i;

		if (self->matched == 0) {
			const char *cr = memchr(data + i, '\r', len - i);

			i = cr != NULL ? (size_t)(cr - data) : len;
			if (i > from)
				*ok = hooks->on_data(
				    self->arg, data + from, i - from, err);
			if (cr != NULL)
				self->matched = 1, i++;
			continue;
		}
		if (data[i] == self->delimiter[self->matched]) {
			i++;
			if (++self->matched < self->delimiter_len)
				continue;
			self->state = AFTER_DELIMITER;
			*ok = hooks->on_part_end(self->arg, err);
			return i;
		}
		*ok = hooks->on_data(
		    self->arg, self->delimiter, self->matched, err);
		self->matched = 0;
	}
	return i;
}

bool
multipart_feed(
    struct multipart *self, const char *data, size_t len, struct err *err)
{
	bool ok = true;

	for (size_t i = 0; i < len && ok;) {
		switch (self->state) {
		case OPENING:
			if (data[i++] != self->delimiter[self->matched++])
				return bad(err,
				    "it does not begin with the "
				    "boundary");
			if (self->matched == self->delimiter_len)
				self->state = AFTER_DELIMITER;
			break;
		case AFTER_DELIMITER:
			ok = after_delimiter(self, data[i++], err);
			break;
		case PART_HEAD:
			ok = add_head(self, data[i++], err);
			break;
		case PART_BODY:
			i += eat_body(self, data + i, len - i, &ok, err);
			break;
		case CLOSING: /* one CRLF may follow */
			if (data[i++] != "\r\n"[self->n_tail++])
				return bad(err, "bytes after the end");
			if (self->n_tail == 2)
				self->state = ENDED;
			break;
		case ENDED:
			return bad(err, "bytes after the end");
		}
	}
	return ok;
}

bool
multipart_end(struct multipart *self, struct err *err)
{
	if (self->state == ENDED ||
	    (self->state == CLOSING && self->n_tail == 0))
		return true;
	return bad(err, "it ends before the closing boundary");
}
