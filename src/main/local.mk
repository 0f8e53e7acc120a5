# main: the program, its commands, and the wiring of all modules.
bin_PROGRAMS += reeld
reeld_SOURCES = src/main/reeld.c src/main/options.c src/main/options.h \
	src/main/serve.h src/main/serve.c src/main/wire.h src/main/wire.c src/main/cmd/standalone.c \
	src/main/process.c src/main/process.h src/main/cmd/child.c src/main/cmd/child.h src/main/cmd/cluster.c src/main/cmd/cluster.h \
	src/main/cmd/admin.c src/main/cmd/admin.h src/main/cmd/migrate.c \
	src/main/cmd/people.c src/main/cmd/audit.c src/main/cmd/config.c \
	src/main/cmd/models.c src/main/cmd/provider.c
reeld_LDADD = libreeld.a $(REELD_LIBS)
