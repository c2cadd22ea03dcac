#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The libmpx authors
#
# build.sh DIR PLATFORM: makes a shared and a static library as a packager would,
# and installs them into DIR/shared and DIR/static, for the other checks.

set -e
dir=${1:?}
for kind in shared static; do
	# One with a deep library folder: mpx.pc and mpxConfig.cmake must find their way up.
	case $kind in
	shared) options='-DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_LIBDIR=lib/deep' ;;
	static) options='-DBUILD_SHARED_LIBS=OFF -DCMAKE_INSTALL_LIBDIR=lib' ;;
	esac
	rm -rf "$dir/$kind"
	cmake -S . -B "$dir/build-$kind" $options -DMPX_PLATFORM="$2" \
		-DCMAKE_BUILD_TYPE=Release -DMPX_BUILD_TESTS=OFF -DMPX_BUILD_EXAMPLES=OFF \
		-DCMAKE_INSTALL_PREFIX="$dir/elsewhere"
	cmake --build "$dir/build-$kind" --config Release --parallel 2
	# Not where the prefix said: an installed tree may be moved.
	cmake --install "$dir/build-$kind" --config Release --prefix "$dir/$kind"
done
