#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# package.sh DIR: an outside program finds the library in every way there is:
# pkg-config and find_package with what check_build installed in DIR/shared and
# DIR/static, add_subdirectory with the sources.

set -e
dir=${1:?}
top=$PWD
cc=${CC:-cc}
outside=$dir/outside
rm -rf "$outside"
mkdir -p "$outside"
cp tests/check/outside.c "$outside"

# run HOW LIBRARY_FOLDER PROGRAM
run() {
	printf '%s: ' "$1"
	LD_LIBRARY_PATH=$2 DYLD_LIBRARY_PATH=$2 "$3"
}

# by_pkg_config KIND FLAG...
by_pkg_config() {
	kind=$1
	shift
	pc=$(dirname "$(find "$dir/$kind" -name mpx.pc)")
	flags=$(PKG_CONFIG_PATH=$pc pkg-config "$@" --cflags --libs mpx)
	case $flags in
	*"$dir/$kind/"*) ;;
	*) echo "mpx.pc does not follow its folder: $flags"; exit 1 ;;
	esac
	$cc -o "$outside/pc-$kind" "$outside/outside.c" $flags
	run "pkg-config${1:+ $1} ($kind)" "$(dirname "$pc")" "$outside/pc-$kind"
}

# by_cmake NAME HOW_TO_GET_MPX ARGUMENT...
by_cmake() {
	name=$1
	mkdir "$outside/$name"
	cat >"$outside/$name/CMakeLists.txt" <<-END
		cmake_minimum_required(VERSION 3.16)
		project(outside C)
		$2
		if(BUILD_TESTING OR MPX_BUILD_TESTS OR MPX_BUILD_EXAMPLES OR MPX_INSTALL)
		  message(FATAL_ERROR "mpx left something in the outer project")
		endif()
		add_executable(outside ../outside.c)
		target_link_libraries(outside PRIVATE mpx::mpx)
	END
	shift 2
	if ! { cmake -S "$outside/$name" -B "$outside/$name/build" "$@" &&
		cmake --build "$outside/$name/build" --parallel 2; } >"$outside/$name/log" 2>&1; then
		cat "$outside/$name/log"
		exit 1
	fi
	run "$name" '' "$outside/$name/build/outside"
}

if command -v pkg-config >/dev/null; then
	by_pkg_config shared
	by_pkg_config static --static
else
	echo 'pkg-config is not installed: this way was NOT tried'
fi
version=$(sed -n 's/.*"\([0-9.]*\)".*/\1/p' "$(find "$dir/shared" -name mpxConfigVersion.cmake)" |
	head -n 1)
for kind in shared static; do
	by_cmake find_package-$kind "find_package(mpx $version REQUIRED)" \
		-Dmpx_DIR="$(dirname "$(find "$dir/$kind" -name mpxConfig.cmake)")"
done
by_cmake add_subdirectory "add_subdirectory($top mpx)"
