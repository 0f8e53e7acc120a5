# pg: PostgreSQL.  The statements of sql/stmt become an enum and a table.
libreeld_a_SOURCES += src/pg/pool.c src/pg/conn.c src/pg/query.c \
	src/pg/rows.c src/pg/error.c src/pg/group.c src/pg/flush.c \
	src/pg/pace.c src/pg/internal.h src/pg/rows.h src/pg/stmt.h \
	include/reeld/pg.h include/reeld/pg_group.h
nodist_libreeld_a_SOURCES = src/pg/stmt_table.c src/pg/stmt_table.h
BUILT_SOURCES += src/pg/stmt_table.h src/pg/stmt_table.c
CLEANFILES += src/pg/stmt_table.h src/pg/stmt_table.c
EXTRA_DIST += src/pg/stmt.awk

# ... and so does the number of the newest migration.
newest_migration = $(lastword $(sort $(filter sql/migrations/%,$(nobase_dist_pkgdata_DATA))))
src/pg/stmt_table.h: src/pg/stmt.awk $(STMT_FILES) sql/local.mk
	$(AM_V_GEN)$(MKDIR_P) src/pg && (cd $(srcdir) && $(AWK) -v out=h \
	    -v newest='$(notdir $(newest_migration))' \
	    -f src/pg/stmt.awk $(STMT_FILES)) > $@.tmp && mv $@.tmp $@
src/pg/stmt_table.c: src/pg/stmt.awk $(STMT_FILES)
	$(AM_V_GEN)$(MKDIR_P) src/pg && (cd $(srcdir) && $(AWK) -v out=c \
	    -f src/pg/stmt.awk $(STMT_FILES)) > $@.tmp && mv $@.tmp $@
UNIT_TESTS += tests/unit/test_pg
tests_unit_test_pg_SOURCES = tests/unit/test_pg.c tests/unit/servers.c \
	tests/unit/servers.h
UNIT_TESTS += tests/unit/test_pg_group
tests_unit_test_pg_group_SOURCES = tests/unit/test_pg_group.c \
	tests/unit/group_world.h tests/unit/servers.c tests/unit/servers.h
UNIT_TESTS += tests/unit/test_pg_pace
tests_unit_test_pg_pace_SOURCES = tests/unit/test_pg_pace.c \
	tests/unit/group_world.h tests/unit/servers.c tests/unit/servers.h
