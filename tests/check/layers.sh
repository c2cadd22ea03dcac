#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# A file in src/<layer> includes its own layer, lower ones and public headers;
# an operating system is named in src/platform only.

find src include -name '*.[ch]' | sort | xargs awk '
BEGIN {
	n = split("platform base shm sync ipc process pool manager", names, " ")
	for (i = 1; i <= n; i++)
		level[names[i]] = i
	systems = "__(gnu_)?linux|__APPLE__|__MACH__|BSD|__DragonFly__|__sun|__unix|" \
		"__GLIBC|__ANDROID__|__BIONIC__|__CYGWIN__|_WIN32|_AIX|__hpux|__HAIKU__"
}

function wrong(text)
{
	print FILENAME ":" FNR ": " text
	failed = 1
}

# Where "path" leads: the first folder in it, or the own one if it has none.
function layer_of(path)
{
	return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : own
}

FNR == 1 {
	files++
	split(FILENAME, folder, "/")
	own = folder[1] == "include" ? "include" : folder[2]
	if (own != "include" && !(own in level))
		wrong("not in the folder of a layer")
	held = ""
}

{
	line = held $0
	held = ""
	if (sub(/\\$/, " ", line)) {
		held = line
		next
	}
}

line !~ /^[ \t]*#/ {
	next
}

line ~ /^[ \t]*#[ \t]*include[ \t]*["<]/ {
	split(line, part, /[<>"]/)
	path = part[2]
	to = layer_of(path)
	if (line ~ /</) {
		if (path ~ /\// && to in level)
			wrong("<" path "> is ours: put it in quotes")
		if (to == "linux" && own != "platform")
			wrong("<" path "> belongs in src/platform")
	} else if (own == "include") {
		wrong("a public header includes public headers in <>")
	} else if (!(to in level)) {
		wrong("\"" path "\" is in no layer (public headers go in <>)")
	} else if (level[to] > level[own]) {
		wrong("src/" own " must not know of src/" to " (" path ")")
	}
}

line ~ /^[ \t]*#[ \t]*(if|elif)/ && own != "platform" && line ~ systems {
	wrong("operating systems are told apart in src/platform only")
}

END {
	if (!files)
		wrong("no sources found")
	exit failed
}'
