#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# exports.sh DIR: DIR/shared exports exactly what the public headers declare with
# MPX_API, and all global names in DIR/static are ours.

set -e
dir=${1:?}
# nm's "address type name@version"; A is the version's own name.
names() { awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u; }

for header in include/mpx/*.h; do
	echo "#include <${header#include/}>"
done | ${CC:-cc} -E -P -Iinclude -x c - | tr '\n;' ' \n' |
	sed -n -e 's/.*visibility("default")[^(]*[ *)]\(mpx_[a-z0-9_]*\) *(.*/\1/p' \
		-e 's/.*extern .*visibility("default")[^(]*[ *)]\(mpx_[a-z0-9_]*\) *$/\1/p' |
	sort -u >"$dir/declared"
library=$(find "$dir/shared" -name 'libmpx.so' | head -n 1)
nm -D --defined-only "$library" | names >"$dir/exported"

[ -s "$dir/declared" ] || { echo 'no declarations found'; exit 1; }
if ! diff "$dir/declared" "$dir/exported"; then
	echo 'above: < declared but not exported, > exported but not declared'
	exit 1
fi

archive=$(find "$dir/static" -name 'libmpx.a' | head -n 1)
nm -g --defined-only "$archive" | names >"$dir/global"
[ -s "$dir/global" ] || { echo 'no global names found'; exit 1; }
if grep -v '^mpx_' "$dir/global"; then
	echo 'above: global names that do not start with mpx_'
	exit 1
fi
echo "$(wc -l <"$dir/exported") names exported, all of them declared"
