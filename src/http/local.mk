# http: the HTTP/1.1 server on libmicrohttpd.
libreeld_a_SOURCES += src/http/server.c src/http/call.c src/http/hold.c src/http/guard.c \
	src/http/url.c src/http/router.c src/http/request.c src/http/cidr.c \
	src/http/body.c src/http/upload.c src/http/multipart.c \
	src/http/reply.c src/http/mould.c src/http/file.c src/http/range.c src/http/stream.c \
	src/http/site.c src/http/stats.c src/http/internal.h \
	include/reeld/http.h
check_PROGRAMS += tests/unit/http_server_demo
UNIT_TESTS += tests/unit/test_http_pure
