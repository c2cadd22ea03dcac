# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# awk -f table.awk results.json targets.txt: each target with the figures, the ratio (the
# median of the ratios within each round) and the verdict. Who took too long has no figures,
# but a note; ours is better then.

function field(name,   text) {
	if (!match($0, "\"" name "\":(\"[^\"]*\"|\\[[^]]*\\]|[^,}]*)"))
		return ""
	text = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
	gsub(/["\[\]]/, "", text)
	return text
}

function trim(text) {
	gsub(/^ +| +$/, "", text)
	return text
}

# The median of a[i] / b[i]; of a[i] alone if there is no other.
function ratio(ours, other,   a, b, n, i, k, t, r) {
	n = split(values[ours], a, ",")
	if (other != "" && split(values[other], b, ",") < n)
		n = split(values[other], b, ",")
	for (i = 1; i <= n; i++)
		r[i] = other != "" ? a[i] / b[i] : a[i]
	for (i = 2; i <= n; i++) {
		t = r[i]
		for (k = i - 1; k >= 1 && r[k] > t; k--)
			r[k + 1] = r[k]
		r[k + 1] = t
	}
	return n % 2 ? r[(n + 1) / 2] : (r[n / 2] + r[n / 2 + 1]) / 2
}

FNR == NR {
	key = field("question") "/" field("series") "/" field("x") "/" field("who")
	if (field("note") != "") {
		note[key] = field("note")
		next
	}
	median[key] = field("median")
	values[key] = field("values")
	next
}

/^#/ || NF == 0 {
	next
}

FNR == 1 || !headed {
	printf "%-34s %12s %12s %10s %9s  %s\n", "target", "ours", "other", "ratio", "wanted", ""
	headed = 1
}

{
	split($0, part, "|")
	label = trim(part[1]); ours = trim(part[2]); op = trim(part[3]); other = trim(part[5])
	factor = trim(part[4]) + 0
	if (ours in median && other in note) {
		total++
		good++
		printf "%-34s %12.5g %12s %10s %9s  %s\n", label, median[ours], "-", "-", \
			op " " factor, "met: the other " note[other]
		next
	}
	if (!(ours in median) || (other != "" && !(other in median))) {
		printf "%-34s %12s %12s %10s %9s  %s\n", label, (ours in median) ? median[ours] : "-", \
			"-", "-", op " " factor, "not measured"
		next
	}
	r = ratio(ours, other)
	if (op == ">=")
		r = 1 / r
	met = op == "<=" ? r <= factor : r >= factor
	total++
	good += met
	printf "%-34s %12.5g %12s %10.3g %9s  %s\n", label, median[ours], \
		other != "" ? sprintf("%.5g", median[other]) : "", r, op " " factor, met ? "met" : "NOT MET"
}

END {
	printf "\n%d of %d met\n", good, total
}
