# stmt.awk - turns sql/stmt/*.sql into an enum and a table.
#
#   awk -v out=h|c -v newest=0005_x.sql -f stmt.awk sql/stmt/*.sql
#
# newest is the last migration: its number is PG_SCHEMA_VERSION.
# A block begins with `-- name: generation_get (uuid, text)` and ends at the
# next one; comments are dropped, the final semicolon too.  The comment
# `-- plan: custom` makes it one that is planned for its values each time, and
# that does not sort; `-- plan: custom, sorted` one that may.

function flush_block() {
	if (name == "")
		return
	sub(/[ \t\n;]+$/, "", sql)
	if (sql == "") {
		print FILENAME ": " name ": empty statement" > "/dev/stderr"
		failed = 1
	}
	names[++n] = name
	texts[n] = sql
	counts[n] = params
	customs[n] = custom
	name = ""
}

/^-- name:/ {
	flush_block()
	line = $0
	sub(/^-- name:[ \t]*/, "", line)
	name = line
	sub(/[ \t(].*$/, "", name)
	if (name !~ /^[a-z][a-z0-9_]*$/ || name in seen) {
		print FILENAME ": bad or repeated name: " name > "/dev/stderr"
		failed = 1
	}
	seen[name] = 1
	params = 0
	custom = 0
	if (match(line, /\(.*\)/)) {
		list = substr(line, RSTART + 1, RLENGTH - 2)
		gsub(/[ \t]/, "", list)
		if (list != "")
			params = split(list, ignored, ",")
	}
	sql = ""
	next
}
/^-- plan: custom$/ { custom = 1 }
/^-- plan: custom, sorted$/ { custom = 2 }
/^[ \t]*--/ { next }
name != "" { sql = sql $0 "\n" }

END {
	flush_block()
	if (failed)
		exit 1
	if (out == "h") {
		print "/* Made by src/pg/stmt.awk from sql/stmt. */"
		print "#ifndef PG_STMT_TABLE_H"
		print "#define PG_STMT_TABLE_H"
		print "enum pg_stmt {"
		for (i = 1; i <= n; i++)
			print "\tSTMT_" toupper(names[i]) ","
		print "\tPG_STMT_COUNT\n};"
		print "/* The schema that these statements were written for. */"
		print "enum { PG_SCHEMA_VERSION = " newest + 0 " };"
		print "#endif"
		exit 0
	}
	print "/* Made by src/pg/stmt.awk from sql/stmt. */"
	print "#include \"pg/stmt.h\"\n"
	print "const struct stmt_row pg_stmt_table[PG_STMT_COUNT] = {"
	for (i = 1; i <= n; i++) {
		text = texts[i]
		gsub(/\\/, "\\\\", text)
		gsub(/"/, "\\\"", text)
		gsub(/\n/, "\\n\"\n\t    \"", text)
		printf "\t{\"%s\", %d, %d,\n\t    \"%s\"},\n", names[i],
		    counts[i], customs[i], text
	}
	print "};"
}
