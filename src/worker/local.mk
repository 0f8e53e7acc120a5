# worker: reel-worker, a blocking program of its own.
bin_PROGRAMS += reel-worker
reel_worker_SOURCES = src/worker/reel-worker.c src/worker/server.c \
	src/worker/queue.c src/worker/run.c src/worker/worker.h
reel_worker_LDADD = libreeld.a $(CURL_LIBS) $(HIREDIS_LIBS) $(JSON_LIBS) \
	$(CRYPTO_LIBS)
