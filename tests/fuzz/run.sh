#!/bin/sh
# run.sh - runs fuzz targets for FUZZ_SECONDS each, one per processor at once.
#
#   run.sh SRCDIR TARGET...
#
# Called by `make fuzz`.  What is new is kept in fuzz-out/NAME/new, the input
# of a finding in fuzz-out/NAME/found-*.  Prints one line per target; the exit
# code is 1 when anything was found.
set -eu
srcdir=$1
shift
seconds=${FUZZ_SECONDS:-60}
jobs=${FUZZ_JOBS:-$(nproc)}

one() {
	target=$1
	name=${target##*/fuzz_}
	out=fuzz-out/$name
	mkdir -p "$out/new"
	rm -f "$out"/found-*
	set --
	for dir in "$srcdir/tests/fuzz/corpus/$name" "$srcdir/tests/data/$name"; do
		[ ! -d "$dir" ] || set -- "$@" "$dir"
	done
	status=ok
	"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-max_len=8192 -artifact_prefix="$out/found-" -print_final_stats=1 \
		"$out/new" "$@" >"$out/log" 2>&1 || status=FOUND
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/log")
	edges=$(grep -o 'cov: [0-9]*' "$out/log" | tail -n 1)
	echo "fuzz $name $status runs=${runs:-?} ${edges:-cov: ?}"
	if [ "$status" != ok ]; then
		grep -v '^#' "$out/log" | head -n 60
		ls "$out"/found-* 2>/dev/null || :
		: >"$out/failed"
	else
		rm -f "$out/failed"
	fi
}

if [ "${FUZZ_ONE:-}" = yes ]; then
	one "$1"
else
	mkdir -p fuzz-out
	rm -f fuzz-out/*/failed
	for target; do echo "$target"; done |
		FUZZ_ONE=yes xargs -P "$jobs" -I '{}' sh "$0" "$srcdir" '{}'
	! ls fuzz-out/*/failed >/dev/null 2>&1
fi
