#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# The comment right before each public function ends with four notes, in order:
# Threads, Fork, Signals, Blocks.

awk '
function wrong(text)
{
	print FILENAME ":" FNR ": " text
	failed = 1
}

FNR == 1 {
	inside = 0
	end = -1
}

/^[ \t]*\/\*/ {
	inside = 1
	note = ""
}

inside {
	note = note "\n" $0
	if (/\*\//) {
		inside = 0
		end = FNR
	}
	next
}

# #ifdef __GNUC__, __attribute__((...)) and #endif may stand in between.
/^(#|__attribute__)/ && end == FNR - 1 {
	end = FNR
}

/^[ \t]*MPX_API/ {
	count++
	if (end != FNR - 1) {
		wrong("no comment right before: " $0)
		next
	}
	last = 0
	n = split("Threads Fork Signals Blocks", names, " ")
	for (i = 1; i <= n; i++) {
		at = index(note, "\n * " names[i] ": ")
		if (at <= last)
			wrong("\"" names[i] ":\" is " (at ? "out of order" : "missing") ": " $0)
		last = at
	}
}

END {
	if (!count)
		wrong("no functions found")
	exit failed
}' include/mpx/*.h
