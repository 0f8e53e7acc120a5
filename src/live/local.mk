# live: topics, snapshots, the bus; feeds WebSockets, event streams, polls.
libreeld_a_SOURCES += src/live/live.c src/live/topic.c src/live/hub.c \
	src/live/subs.c src/live/listener.c src/live/crowd.c src/live/protocol.c \
	src/live/sse.c src/live/wait.c src/live/objects.c src/live/bus.c src/live/link.c \
	src/live/internal.h include/reeld/live.h
# The server that tests/it/live.test.mjs drives.
check_PROGRAMS += tests/unit/ws_server_demo
EXTRA_DIST += tests/it/live.test.mjs tests/package.json tests/.npmrc
UNIT_TESTS += tests/unit/test_live
