# lib.sh - what contrib/run and contrib/check share: packages, node, builds.
# Sourced by bash scripts that have set -eu and $root (the project's folder).

# What reeld is built from and runs on (Debian 12 names).
build_packages="gcc make autoconf automake pkg-config gawk libc6-dev
	libevent-dev libmicrohttpd-dev libwebsockets-dev libpq-dev
	libhiredis-dev libcurl4-openssl-dev libjson-c-dev libssl-dev
	libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
	libswresample-dev libavfilter-dev libseccomp-dev libcap-dev uthash-dev"
run_packages="postgresql-15 redis-server ffmpeg fonts-dejavu-core
	ca-certificates"

say() { printf '%s\n' "$*"; }
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# Runs a step quietly; its output appears only when it fails.
step() {
	local what=$1 log
	shift
	say "$what"
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		rm -f "$log"
		fail "failed: $what"
	fi
	rm -f "$log"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "needs root (or sudo) to install packages: $*"
	fi
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@"
}

# Installs the Debian packages that are missing, if any.
need_packages() {
	local missing=() p
	command -v apt-get >/dev/null || return 0
	for p in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing packages: ${missing[*]}"
	apt_get update >/dev/null
	# Debian starts servers at installation: ours run by themselves.
	step "  (this may take some minutes)" \
		apt_get install -y --no-install-recommends "${missing[@]}"
}

node_is_new() {
	command -v "$1" >/dev/null 2>&1 || return 1
	"$1" -e 'const [a, b] = process.versions.node.split(".").map(Number);
		process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

# Puts a node >= 20.19 first in PATH.  Debian 12's own is 18: then npm brings
# a newer one as a package, into the build folder.
need_node() {
	local own="$root/build/node" arch
	node_is_new node && command -v npm >/dev/null && return 0
	if ! node_is_new "$own/node_modules/.bin/node"; then
		need_packages nodejs npm
		if ! node_is_new node; then
			case $(uname -m) in
			x86_64) arch=x64 ;;
			aarch64) arch=arm64 ;;
			*) fail "no node >= 20.19 for $(uname -m): install one" ;;
			esac
			mkdir -p "$own"
			[ -f "$own/package.json" ] || echo '{"private":true}' >"$own/package.json"
			step "fetching node 20 through npm" npm install --prefix "$own" \
				--no-audit --no-fund --ignore-scripts "node-linux-$arch@20.20.2"
			mkdir -p "$own/node_modules/.bin"
			ln -sf "../node-linux-$arch/bin/node" "$own/node_modules/.bin/node"
		fi
	fi
	if [ -x "$own/node_modules/.bin/node" ]; then
		PATH="$own/node_modules/.bin:$PATH"
		export PATH
	fi
	node_is_new node || fail "no node >= 20.19 could be had"
}

# configure and make in $root/$1 with the configure flags that follow.
build_in() {
	local dir="$root/$1"
	shift
	[ -x "$root/configure" ] && [ "$root/configure" -nt "$root/configure.ac" ] ||
		step "preparing the build (autoreconf)" sh -c "cd '$root' && autoreconf -fi"
	mkdir -p "$dir"
	[ -f "$dir/Makefile" ] ||
		step "configuring ${dir#"$root"/}" sh -c "cd '$dir' && '$root/configure' $*"
	if ! make -q -C "$dir" all >/dev/null 2>&1; then
		step "building ${dir#"$root"/}" make -j"$(nproc)" -C "$dir" all
	fi
}

# The pages: npm ci and vite, when their sources changed.
build_www() {
	local www="$root/www"
	[ -f "$www/package.json" ] || return 0
	if [ -f "$www/dist/index.html" ] &&
		[ -z "$(find "$www" -path "$www/node_modules" -prune -o -path "$www/dist" -prune \
			-o -type f -newer "$www/dist/index.html" -print -quit)" ]; then
		return 0
	fi
	need_node
	if [ ! -d "$www/node_modules" ] || [ "$www/package-lock.json" -nt "$www/node_modules" ]; then
		step "installing the pages' tools (npm ci)" sh -c "cd '$www' && npm ci --no-audit --no-fund && touch node_modules"
	fi
	step "building the pages" sh -c "cd '$www' && npm run build"
}
