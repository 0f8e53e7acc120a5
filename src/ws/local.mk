# ws: WebSocket sessions; lws.c is the only file that knows libwebsockets.
libreeld_a_SOURCES += src/ws/context.c src/ws/session.c src/ws/lws.c \
	src/ws/outbox.c src/ws/frame.c src/ws/handshake.c src/ws/internal.h \
	include/reeld/ws.h
UNIT_TESTS += tests/unit/test_ws
