#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# outside_all.sh DIR: outside_all.c, a program of somebody else, uses every function and
# every macro of these headers, compiles without a warning with what check_build
# installed in DIR/static, as C11 and as C++17, and works.

set -e
dir=${1:?}
program=tests/check/outside_all.c
headers='sync queue connection value memory shared_memory log'
failed=0

# functions FILE...: the names, also where the name stands on the next line.
functions() {
	awk '
	/^(extern )?MPX_API|^static inline/ { look = 1 }
	look && match($0, /mpx_[a-z0-9_]+\(/) { print substr($0, RSTART, RLENGTH - 1) }
	look && /[(;]/ { look = 0 }' "$@"
}

# The macro that other macros are made of is not for programs.
macros() {
	sed -n 's/^#define \(mpx_[a-z0-9_]*\)(.*/\1/p' "$@" | grep -v '^mpx_value_update_like$'
}

# used KIND NAME TEXT...
used() {
	if ! printf '%s\n' "$3" | grep -q "[^a-z0-9_]$2("; then
		echo "$program does not use the $1 $2"
		failed=1
	fi
}

plain=$(sed '/^#ifndef __cplusplus/,$d' "$program")
all=$(cat "$program")
n=0
for header in $headers; do
	names=$(functions include/mpx/$header.h)
	[ -n "$names" ] || { echo "no functions found in $header.h"; failed=1; }
	for name in $names; do
		used function "$name" "$plain"
		n=$((n + 1))
	done
	for name in $(macros include/mpx/$header.h); do
		used macro "$name" "$all"
	done
done
echo "$n functions"

pc=$(find "$dir/static" -name mpx.pc)
libdir=$(dirname "$(dirname "$pc")")
rt=$(grep -o -e '-lrt' "$pc" || true)

# try LANGUAGE STANDARD COMPILER
try() {
	if ! echo 'int mpx_nothing;' | $3 -std="$2" -fsyntax-only -x "$1" - 2>/dev/null; then
		echo "$3 does not know $2: NOT tried"
		return
	fi
	$3 -std="$2" -Wall -Wextra -Wpedantic -Werror -DMPX_STATIC -I"$dir/static/include" \
		-o "$dir/outside_all.$2" -x "$1" "$program" -x none "$libdir/libmpx.a" \
		-pthread $rt
	"$dir/outside_all.$2"
	echo "$2: done"
}

try c c11 "${CC:-cc}"
case ${CXX:-c++} in
*NOTFOUND) echo 'no C++ compiler: C++ NOT tried' ;;
*) try c++ c++17 "${CXX:-c++}" ;;
esac
exit $failed
