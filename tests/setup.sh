# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# For examples/run, tests/run and .ci/run, which source it with $root set:
#
#   setup cc make cmake cmocka   sees to it that these work here
#   build DIR ARGUMENT...        configures and builds in $root/DIR
#
# A machine that has everything is not touched: it is tried whether each thing
# works, not which package is installed.

# ---- What works already?

try_dir=$(mktemp -d "${TMPDIR:-/tmp}/mpx-setup.XXXXXX") || exit 1
trap 'rm -rf "$try_dir"' EXIT
trap 'exit 1' HUP INT TERM

# try_cc FLAG...: does $try_dir/try.c compile and link? $CC may hold flags, too.
try_cc() {
	if [ -n "${CC:-}" ]; then
		$CC -o "$try_dir/try" "$try_dir/try.c" "$@" >/dev/null 2>&1
		return
	fi
	for try in cc gcc clang; do # as CMake looks for it
		$try -o "$try_dir/try" "$try_dir/try.c" "$@" >/dev/null 2>&1 && return 0
	done
	return 1
}

have_cc() {
	echo '#include <pthread.h>
	int main(void) { return 0; }' >"$try_dir/try.c"
	try_cc
}

have_make() {
	command -v make >/dev/null 2>&1 && return 0
	# CMake would look for make unless told.
	command -v ninja >/dev/null 2>&1 && export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}"
}

have_cmake() {
	echo 'cmake_minimum_required(VERSION 3.16)' >"$try_dir/try.cmake"
	cmake -P "$try_dir/try.cmake" >/dev/null 2>&1
}

have_cmocka() {
	echo '#include <stdarg.h>
	#include <stddef.h>
	#include <stdint.h>
	#include <setjmp.h>
	#include <cmocka.h>
	static void nothing(void **state) { (void)state; }
	int main(void)
	{
		const struct CMUnitTest tests[] = {cmocka_unit_test(nothing)};
		return cmocka_run_group_tests(tests, NULL, NULL);
	}' >"$try_dir/try.c"
	for prefix in '' /usr/local /opt/homebrew; do
		try_cc ${prefix:+-I$prefix/include -L$prefix/lib} -lcmocka && return 0
	done
	return 1
}

have_clang() { command -v clang >/dev/null 2>&1; }
have_cxx() { command -v c++ >/dev/null 2>&1; }
have_pkgconfig() { command -v pkg-config >/dev/null 2>&1; }
have_valgrind() { command -v valgrind >/dev/null 2>&1; }
have_strace() { command -v strace >/dev/null 2>&1; }
have_spin() { command -v spin >/dev/null 2>&1; }
have_tsan() {
	echo 'int main(void) { return 0; }' >"$try_dir/try.c"
	clang -fsanitize=thread -o "$try_dir/try" "$try_dir/try.c" >/dev/null 2>&1
}

# ---- Installing what is missing

# The packages that hold $1, for package manager $2.
package_of() {
	case $1:$2:${CC:-} in
	cc:apt-get:*clang*) echo clang libc6-dev ;;
	cc:apk:*clang*) echo clang musl-dev ;;
	cc:*:*clang*) echo clang ;;
	cc:apt-get:*) echo gcc libc6-dev ;;
	cc:apk:*) echo gcc musl-dev ;;
	cc:*) echo gcc ;;
	cmocka:apt-get:*) echo libcmocka-dev ;;
	cmocka:dnf:* | cmocka:yum:* | cmocka:zypper:*) echo libcmocka-devel ;;
	cmocka:apk:*) echo cmocka-dev ;;
	cxx:apt-get:* | cxx:apk:*) echo g++ ;;
	cxx:dnf:* | cxx:yum:* | cxx:zypper:*) echo gcc-c++ ;;
	cxx:*) echo gcc ;;
	tsan:apt-get:*) echo 'clang libclang-rt-dev' ;;
	tsan:*) echo compiler-rt ;;
	pkgconfig:pkg:* | pkgconfig:brew:* | pkgconfig:pacman:*) echo pkgconf ;;
	pkgconfig:*) echo pkg-config ;;
	*) echo "$1" ;;
	esac
}

# How package manager $1 installs packages $2.
install_command() {
	case $1 in
	apt-get)
		echo "apt-get update; DEBIAN_FRONTEND=noninteractive" \
			"apt-get install -y --no-install-recommends $2"
		;;
	dnf | yum) echo "$1 install -y $2" ;;
	apk) echo "apk add $2" ;;
	pacman) echo "pacman -Sy --needed --noconfirm $2" ;;
	zypper) echo "zypper --non-interactive install $2" ;;
	pkg) echo "pkg install -y $2" ;;
	brew) echo "brew install $2" ;;
	esac
}

missing_of() {
	for thing; do
		"have_$thing" || echo "$thing"
	done
}

setup() {
	missing=$(missing_of "$@" | tr '\n' ' ')
	if [ -z "$missing" ]; then
		have_make # may have to choose the generator in this very shell
		return 0
	fi

	manager=
	for try in apt-get dnf yum apk pacman zypper pkg brew; do
		command -v $try >/dev/null 2>&1 && manager=$try && break
	done
	if [ -z "$manager" ]; then
		echo "Missing: $missing- and no package manager that I know. Please install it." >&2
		exit 1
	fi
	packages=$(for thing in $missing; do package_of "$thing" $manager; done | tr '\n' ' ')
	line=$(install_command $manager "${packages% }")

	if [ "$(id -u)" = 0 ] || [ $manager = brew ]; then
		as=
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		as='sudo '
	else
		echo "Missing: $missing" >&2
		echo "Please run this as root, then try again:" >&2
		echo "    $line" >&2
		exit 1
	fi
	echo "Missing: $missing"
	echo "Installing it with: ${as}sh -c '$line'"
	${as}sh -c "$line" </dev/null >"$try_dir/log" 2>&1 || {
		cat "$try_dir/log"
		echo "That failed." >&2
		exit 1
	}

	missing=$(missing_of "$@" | tr '\n' ' ')
	if [ -n "$missing" ]; then
		cat "$try_dir/log"
		echo "Installed, but these still do not work here (too old?): $missing" >&2
		exit 1
	fi
	have_make
}

# ---- Building

jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null || echo 2)

# build DIR CMAKE_ARGUMENT...: quiet, unless it fails. CC, MPX_PLATFORM and
# MPX_SANITIZE choose what is built; every choice has a folder of its own, whose
# name is left in $built.
build() {
	built=$root/$1$(printf '%s' "${CC:+-$CC}${MPX_PLATFORM:+-$MPX_PLATFORM}${MPX_SANITIZE:+-$MPX_SANITIZE}" |
		tr -cs 'A-Za-z0-9.+-' '_')
	shift
	mkdir -p "$built" || exit 1
	echo "Building in $built"
	{
		cmake -S "$root" -B "$built" -DMPX_SANITIZE="${MPX_SANITIZE:-}" \
			${MPX_PLATFORM:+-DMPX_PLATFORM="$MPX_PLATFORM"} "$@" &&
			cmake --build "$built" --parallel "$jobs"
	} >"$built/build.log" 2>&1 || {
		cat "$built/build.log" >&2
		echo "The build failed; the above is $built/build.log" >&2
		exit 1
	}
}
