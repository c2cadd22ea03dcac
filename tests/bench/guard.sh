#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# guard.sh PROGRAM KIND...: has the library become more costly, by what does not depend on
# how busy the machine is? Counts, and compares with guard.txt:
#
#   instructions  of one operation, in all processes, by callgrind
#   calls         of the system, for a million operations, by strace
#   bytes         of the family's heap for one object
#
# What N operations cost is taken from 11 N, so that 10 N without beginning and end remain.
# Skipped (77) where the tool of a kind is not installed.

program=$1
shift
limits=$(dirname "$0")/guard.txt
dir=$(mktemp -d "${TMPDIR:-/tmp}/mpx-guard.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# instructions WHAT N: of a whole run, all processes.
instructions() {
	rm -f "$dir"/out.*
	valgrind --tool=callgrind --callgrind-out-file="$dir/out.%p" "$program" "$1" "$2" \
		>"$dir/log" 2>&1 || return 1
	cat "$dir"/out.* | awk '/^totals:/ { sum += $2; n++ } END { print n ? sum : "none" }'
}

# calls WHAT N: likewise.
calls() {
	strace -f -qq -o "$dir/calls" "$program" "$1" "$2" >"$dir/log" 2>&1 || return 1
	grep -c '^[0-9]* *[a-z_0-9]*(' "$dir/calls"
}

# each KIND WHAT: what one operation costs (calls: a million of them).
each() {
	case $1:$2 in
	instructions:map) n=20000 ;;
	instructions:apply) n=200 ;;
	instructions:*) n=1000 ;;
	calls:apply) n=100 ;;
	calls:map) n=100000 ;;
	*) n=10000 ;;
	esac
	few=$($1 "$2" $n) && many=$($1 "$2" $((11 * n))) || return 1
	awk -v few="$few" -v many="$many" -v n=$n -v kind="$1" 'BEGIN {
		if (few == "none" || many == "none") exit 1
		printf "%.1f\n", (many - few) / (10 * n) * (kind == "calls" ? 1e6 : 1) }'
}

# judge KIND WHAT FOUND LIMIT
judge() {
	verdict=$(awk -v found="$3" -v limit="$4" -v kind="$1" 'BEGIN {
		print (found > limit ? "TOO MUCH" : \
			found < 0.7 * limit && kind != "calls" ? "ok, far below" : "ok") }')
	printf '%-13s %-10s %12s of %8s  %s\n' "$1" "$2" "$3" "$4" "$verdict"
	[ "$verdict" != 'TOO MUCH' ] || failed=1
}

# check KIND: all its lines of the table.
check() {
	[ "$1" != bytes ] || "$program" bytes 0 >"$dir/bytes" || return 1
	while read -r kind what limit _; do
		[ "$kind" = "$1" ] || continue
		if [ "$kind" = bytes ]; then
			found=$(awk -v what="$what" '$2 == what { print $3 }' "$dir/bytes")
		else
			found=$(each "$kind" "$what" </dev/null)
		fi
		if [ -z "$found" ]; then
			cat "$dir/log" >&2
			echo "Could not count: $kind $what" >&2
			return 1
		fi
		judge "$kind" "$what" "$found" "$limit"
	done <"$limits"
}

failed=0
checked=0
for kind; do
	case $kind in
	instructions) tool=valgrind ;;
	calls) tool=strace ;;
	*) tool=sh ;;
	esac
	if ! $tool --version >/dev/null 2>&1 && [ $tool != sh ]; then
		echo "SKIPPED: $kind, for $tool is not installed"
		continue
	fi
	if [ $tool = strace ] && ! strace -f -qq -o "$dir/calls" true >/dev/null 2>&1; then
		echo "SKIPPED: $kind, for strace may not trace here"
		continue
	fi
	checked=1
	check "$kind" || exit 1
done
[ $checked = 1 ] || exit 77
exit $failed
