/*
 * ws_crowd.c - for tests/bench/ws_fanout.mjs: thousands of WebSockets that
 * only count the text frames they get.  A client in C, so that the server is
 * what is measured; both servers get the same one.
 *
 *	ws_crowd PORT FRAMES [HELLO]
 *
 * Each socket sends HELLO when it is open, if there is one, and has come in
 * when FRAMES text frames have arrived.  Commands on standard input, one a
 * line, each answered by one line:
 *
 *	join N   opens N more, a       joined TOTAL
 *	         hundred at a time
 *	storm N  all of them at once   joined TOTAL
 *	arm      forgets what came     armed
 *	         then, when every      done P50 P99 MAX
 *	         socket got one frame
 *	part     lets the server end   parting
 *	         it; when all are      parted TOTAL
 *	         closed
 *
 * P50, P99 and MAX are receipts on CLOCK_MONOTONIC, in nanoseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reeld/clock.h"
#include "reeld/mem.h"

enum {
	BATCH = 100,
	ROOM = 4096,
	OP_TEXT = 1,
	OP_CLOSE = 8,
	OP_PING = 9,
	OP_PONG = 10
};

struct peer {
	int fd;
	unsigned frames;
	unsigned char opcode, head[4];
	size_t head_len, left;	    /* of the frame that is being read */
	unsigned char control[125]; /* of a ping or a close */
	size_t control_len;
	bool open, closing;
	struct buf text; /* the reply to the handshake */
};

static struct {
	int epoll, port;
	unsigned wanted; /* frames that each newcomer gets */
	const char *hello;
	struct peer **peers;
	size_t n, joined, parted, goal, batch;
	bool armed, parting;
	int64_t *receipts;
	size_t n_receipts;
} crowd;

static void
die(const char *what)
{
	fprintf(stderr, "ws_crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
send_all(struct peer *peer, const void *data, size_t len)
{
	/* Small, and the socket's buffer is empty: it always fits. */
	if (send(peer->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

static void
on_text(struct peer *peer)
{
	peer->frames++;
	if (crowd.armed && peer->frames == 1)
		crowd.receipts[crowd.n_receipts++] = clock_mono_ns();
	else if (crowd.armed)
		die("a frame too many");
	else if (peer->frames == crowd.wanted)
		crowd.joined++;
}

/* A masked frame of at most 125 bytes; a mask of zeros is a mask. */
static void
send_frame(struct peer *peer, unsigned opcode, const void *data, size_t len)
{
	unsigned char frame[6 + 125] = {0};

	frame[0] = (unsigned char)(0x80 | opcode);
	frame[1] = (unsigned char)(0x80 | len);
	memcpy(frame + 6, data, len);
	send_all(peer, frame, 6 + len);
}

static void
on_frame(struct peer *peer)
{
	if (peer->opcode == OP_TEXT)
		on_text(peer);
	else if (peer->opcode == OP_PING)
		send_frame(peer, OP_PONG, peer->control, peer->control_len);
	else if (peer->opcode == OP_CLOSE && crowd.parting) {
		send_frame(peer, OP_CLOSE, peer->control, peer->control_len);
		peer->closing = true;
	}
	peer->control_len = 0;
}

/* Frames may be cut anywhere. */
static void
take(struct peer *peer, const unsigned char *data, size_t len)
{
	while (len > 0) {
		size_t need, size;

		if (peer->left > 0) {
			size = len < peer->left ? len : peer->left;
			if (peer->opcode >= OP_CLOSE) {
				memcpy(peer->control + peer->control_len, data,
				    size);
				peer->control_len += size;
			}
			peer->left -= size;
			data += size;
			len -= size;
			if (peer->left == 0)
				on_frame(peer);
			continue;
		}
		peer->head[peer->head_len++] = *data++;
		len--;
		need = peer->head_len < 2	    ? 2
		    : (peer->head[1] & 0x7f) == 126 ? 4
						    : 2;
		if (peer->head_len < need)
			continue;
		peer->opcode = peer->head[0] & 0x0f;
		if (peer->head[1] > 126 ||
		    (peer->opcode >= OP_CLOSE && peer->head[1] == 126)) {
			errno = EPROTO;
			die("a frame that no server may send, or a large one");
		}
		peer->left = need == 4
		    ? (size_t)peer->head[2] << 8 | peer->head[3]
		    : peer->head[1];
		peer->head_len = 0;
		if (peer->left == 0)
			on_frame(peer);
	}
}

static void
on_data(struct peer *peer, const char *data, size_t len)
{
	const char *end;

	if (peer->open) {
		take(peer, (const unsigned char *)data, len);
		return;
	}
	buf_add(&peer->text, data, len);
	end = strstr(buf_str(&peer->text), "\r\n\r\n");
	if (end == NULL)
		return;
	if (!str_starts(peer->text.data, "HTTP/1.1 101 ")) {
		fprintf(stderr, "ws_crowd: %s\n", peer->text.data);
		exit(1);
	}
	peer->open = true;
	if (crowd.hello[0] != '\0')
		send_frame(peer, OP_TEXT, crowd.hello, strlen(crowd.hello));
	if (crowd.wanted == 0)
		crowd.joined++;
	end += 4;
	take(peer, (const unsigned char *)end,
	    (size_t)(peer->text.data + peer->text.len - end));
	buf_fini(&peer->text);
}

static void
join_one(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)crowd.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct peer *peer = xcalloc(1, sizeof *peer);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
	char *head;

	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd < 0 ||
	    connect(peer->fd, (struct sockaddr *)&at, sizeof at) != 0)
		die("connect");
	buf_init(&peer->text, ROOM);
	head = xasprintf("GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
			 "Origin: http://127.0.0.1:%d\r\n"
			 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Protocol: reeld.v1\r\n"
			 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
	    crowd.port, crowd.port);
	send_all(peer, head, strlen(head));
	free(head);
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
		die("epoll_ctl");
	crowd.peers[crowd.n++] = peer;
}

static void
answer(const char *text)
{
	puts(text);
	if (fflush(stdout) != 0)
		exit(1);
}

static int
by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Newcomers come in batches; news is over when all have it. */
static void
check(void)
{
	char text[100];
	size_t n = crowd.n_receipts;

	if (crowd.goal > 0 && crowd.joined == crowd.n) {
		for (size_t i = 0; i < crowd.batch && crowd.n < crowd.goal; i++)
			join_one();
		if (crowd.joined == crowd.goal) {
			crowd.goal = 0;
			snprintf(text, sizeof text, "joined %zu", crowd.n);
			answer(text);
		}
	}
	if (crowd.parting && crowd.parted == crowd.n) {
		crowd.parting = false;
		snprintf(text, sizeof text, "parted %zu", crowd.n);
		answer(text);
	}
	if (!crowd.armed || n < crowd.n)
		return;
	crowd.armed = false;
	qsort(crowd.receipts, n, sizeof *crowd.receipts, by_time);
	snprintf(text, sizeof text, "done %lld %lld %lld",
	    (long long)crowd.receipts[n / 2],
	    (long long)crowd.receipts[n * 99 / 100],
	    (long long)crowd.receipts[n - 1]);
	answer(text);
}

static void
on_command(char *line)
{
	bool storm = str_starts(line, "storm ");
	int64_t more;

	line[strcspn(line, "\n")] = '\0';
	if ((storm || str_starts(line, "join ")) &&
	    str_to_i64(strchr(line, ' ') + 1, 1, 100000, &more)) {
		crowd.goal = crowd.n + (size_t)more;
		crowd.batch = storm ? crowd.goal : BATCH;
		crowd.peers =
		    xrealloc(crowd.peers, crowd.goal * sizeof *crowd.peers);
		crowd.receipts = xrealloc(
		    crowd.receipts, crowd.goal * sizeof *crowd.receipts);
	} else if (strcmp(line, "arm") == 0) {
		for (size_t i = 0; i < crowd.n; i++)
			crowd.peers[i]->frames = 0;
		crowd.n_receipts = 0;
		crowd.armed = true;
		answer("armed");
	} else if (strcmp(line, "part") == 0) {
		crowd.parting = true;
		answer("parting");
	} else {
		errno = EINVAL;
		die(line);
	}
}

static void
on_input(void)
{
	static char text[256];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
	char *end;

	if (n <= 0)
		exit(0);
	len += (size_t)n;
	text[len] = '\0';
	while ((end = strchr(text, '\n')) != NULL) {
		on_command(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
	}
}

static void
on_peer(struct peer *peer)
{
	char data[ROOM];
	ssize_t n = recv(peer->fd, data, sizeof data, MSG_DONTWAIT);

	if (n > 0) {
		on_data(peer, data, (size_t)n);
	} else if (n == 0 && peer->closing) {
		crowd.parted++;
		close(peer->fd);
	} else if (n == 0 || errno != EAGAIN) {
		die("a socket was closed");
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN}, list[256];
	struct rlimit limit;
	int64_t port, frames;

	if (argc < 3 || argc > 4 || !str_to_i64(argv[1], 1, 65535, &port) ||
	    !str_to_i64(argv[2], 0, 100, &frames) ||
	    (argc > 3 && strlen(argv[3]) > 125)) {
		fputs("usage: ws_crowd PORT FRAMES [HELLO]\n", stderr);
		return 2;
	}
	crowd.port = (int)port;
	crowd.wanted = (unsigned)frames;
	crowd.hello = argc > 3 ? argv[3] : "";
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd.epoll < 0 ||
	    epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(crowd.epoll, list, nitems(list), -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (list[i].data.ptr == NULL)
				on_input();
			else
				on_peer(list[i].data.ptr);
		}
		check();
	}
}
