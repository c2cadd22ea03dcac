# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# awk -v question=Q -v series=S -v rate=0|1 -f plot.awk results.json: gnuplot's commands for
# one panel, a line for each contender. rate: millions a second in place of nanoseconds.

function field(name,   text) {
	if (!match($0, "\"" name "\":(\"[^\"]*\"|\\[[^]]*\\]|[^,}]*)"))
		return ""
	text = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
	gsub(/["\[\]]/, "", text)
	return text
}

function y(name) {
	return rate ? 1000 / field(name) : field(name)
}

field("question") == question && field("series") == series && field("median") > 0 {
	who = field("who")
	if (!(who in number)) {
		name[++count] = who
		number[who] = count
	}
	# Chunk size 0 (chosen by the library) has no place on a logarithmic axis.
	x = field("x") == 0 ? 0.25 : field("x")
	data[number[who]] = data[number[who]] x " " y("median") " " y("low") " " y("high") "\n"
}

END {
	for (i = 1; i <= count; i++)
		printf "$d%d << EOD\n%sEOD\n", i, data[i]
	if (!count)
		exit
	printf "plot "
	for (i = 1; i <= count; i++) {
		title = name[i]
		ours = name[i] ~ /^libmpx/
		limit = name[i] ~ /^limit/
		printf "%s$d%d using 1:2:3:4 with yerrorlines title \"%s\" lw %s dt %s pt %d ps 0.6", \
			(i > 1 ? ", " : ""), i, title, (ours ? 3 : 1.5), (limit ? "\"-\"" : 1), i
	}
	printf "\n"
}
