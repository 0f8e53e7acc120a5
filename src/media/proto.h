/*
 * proto.h - what travels between a media thread and its helper, one struct
 * per SOCK_SEQPACKET message, descriptors beside it.
 *
 * Both ends are of one build, so the structs travel as they are; but neither
 * end trusts the other: sizes, enums, ranges and terminators are checked
 * before a field is used.  After its start the helper sends HELLO; then each
 * request gets any number of PROGRESS and one DONE with the request's seq.
 */
#ifndef MEDIA_PROTO_H
#define MEDIA_PROTO_H

#include <stdint.h>

#include "reeld/fit.h"
#include "reeld/media.h"

enum {
	PROTO_MAGIC = 0x6c656572,
	PROTO_FD = 3, /* the helper's end of the socket */
	PROTO_MSG_MAX = 160
};

enum proto_op { OP_PROBE, OP_POSTER, OP_RENDITION, OP_IMAGE, OP_FIT, OP_COUNT };
enum proto_kind { KIND_HELLO, KIND_PROGRESS, KIND_DONE, KIND_COUNT };

/* What the sandbox could get, in HELLO's flags. */
enum { SANDBOX_NAMESPACES = 1, SANDBOX_LANDLOCK = 2, SANDBOX_USER = 4 };

/* in_fd travels beside it, and out_fd unless it is a probe. */
struct proto_request {
	uint32_t magic;
	uint32_t seq;
	int32_t op;
	int32_t max_side;
	int32_t format;
	int32_t deadline_ms; /* for the job, and per silence of a rendition */
	int64_t in_size;
	struct fit fit; /* OP_FIT */
};

struct proto_reply {
	uint32_t magic;
	uint32_t seq;
	int32_t kind;
	int32_t flags; /* SANDBOX_ in HELLO; percent in PROGRESS */
	int32_t code;  /* enum err_code in DONE; ERR_OK: result counts */
	int32_t _reserved;
	char msg[PROTO_MSG_MAX];
	struct media_result result;
};

#endif
