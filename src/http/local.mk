# http: the HTTP/1.1 server on libmicrohttpd.
libreeld_a_SOURCES += include/reeld/http.h
