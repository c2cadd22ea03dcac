#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# test_model.sh: the models in model/ have no errors, and what their head comments say
# must fail does fail. Needs spin (apt-get install spin) and a C compiler; 77, which
# is "skipped", without them.

here=$(cd "$(dirname "$0")" && pwd) || exit 1
cc=${CC:-cc}
command -v spin >/dev/null 2>&1 || exit 77
$cc --version >/dev/null 2>&1 || exit 77
dir=$(mktemp -d "${TMPDIR:-/tmp}/mpx-model.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir" || exit 1

# errors OPTIMIZE MODEL OPTION...: how many errors spin finds, or why it cannot tell.
errors() {
	optimize=$1
	model=$2
	shift 2
	rm -f pan pan.c
	spin -a "$@" "$here/model/$model.pml" >log 2>&1 &&
		$cc -w "$optimize" -DSAFETY -DCOLLAPSE -DMEMLIM=1900 -o pan pan.c >>log 2>&1 &&
		./pan -m100000 >>log 2>&1
	if grep -q 'Search not completed\|max search depth too small\|MEMLIM' log &&
		grep -q 'errors: 0' log; then
		echo incomplete
	else
		sed -n 's/.*errors: //p' log
	fi
}

failed=0
holds() {
	found=$(errors -O2 "$@")
	echo "$*: errors: $found"
	[ "$found" = 0 ] && return
	cat log
	failed=1
}
fails() {
	found=$(errors -O0 "$@") # found soon: it takes longer to optimize than to run
	echo "$*: errors: $found"
	[ "${found:-0}" -gt 0 ] 2>/dev/null && return
	echo "but it should have some"
	cat log
	failed=1
}

holds lock
holds lock -DKILLS=0
holds lock -DANYTIME
holds lock -DGIVES_UP
holds lock -DGIVES_UP -DKILLS=0
fails lock -DROBUST
fails lock -DNO_W1
fails lock -DNO_W2
fails lock -DNO_W3
fails lock -DGIVES_UP -DKILLS=0 -DNO_W4
fails lock -DKILLS=0 -DNO_W5
fails lock -DKILLS=0 -DNO_LOOK_AGAIN
fails lock -DKILLS=0 -DNO_KEEP
fails lock -DNO_MARK
fails lock -DNO_LOOK
fails lock -DNO_EVIDENCE -DANYTIME
fails lock -DNO_SLICE

holds ring
holds ring -DPUTS=2 -DKILLS=1
[ "$MPX_FAULT_LONG" = 1 ] && holds ring -DCONSUMERS=2 -DKILLS=1
fails ring -DPUTS=2 -DNO_NOTE
fails ring -DPUTS=2 -DNO_SERIAL
fails ring -DPUTS=2 -DLATE_TAG
fails ring -DPUTS=2 -DNO_UNDO
fails ring -DPUTS=2 -DNO_TAIL
fails ring -DPUTS=2 -DNO_END
fails ring -DPUTS=2 -DNO_RECOVERY
exit $failed
