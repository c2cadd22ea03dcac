#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# Each public header compiles alone (and twice), without a warning, in every
# language its users have.

flags='-fsyntax-only -Wall -Wextra -Wpedantic -Werror -Iinclude'
failed=0

# try LANGUAGE STANDARD COMPILER
try() {
	if ! echo 'int mpx_nothing;' | $3 -std="$2" -fsyntax-only -x "$1" - 2>/dev/null; then
		echo "$3 does not know $2: not tried"
		return
	fi
	for header in include/mpx.h include/mpx/*.h; do
		line="#include <${header#include/}>"
		if ! printf '%s\n%s\nint main(void) { return 0; }\n' "$line" "$line" |
			$3 -std="$2" $flags -x "$1" -; then
			echo "$header fails as $2 with $3"
			failed=1
		fi
	done
	echo "$2: done"
}

for std in c11 c17 c2x gnu11; do
	try c $std "${CC:-cc}"
done
case ${CXX:-c++} in
*NOTFOUND) echo 'no C++ compiler: C++ not tried' ;;
*) for std in c++11 c++17 c++20; do try c++ $std "${CXX:-c++}"; done ;;
esac
exit $failed
