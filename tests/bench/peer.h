/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * peer.h - other libraries' thread pools, for map.c, apply.c and cpu.c. Each is there only
 * where CMake found it (BENCH_GLIB, BENCH_TBB). With two workers, made at the first call.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int peer_task(const void *in, void *out);

/* One task after the other, each waited for. */
void peer_glib_apply(peer_task *task, const void *in, void *out);
void peer_tbb_apply(peer_task *task, const void *in, void *out);

/* n items; so many at a time, or as it likes (0). */
void peer_tbb_map(peer_task *task, const void *in, size_t in_size, void *out, size_t out_size,
		  size_t n, size_t chunk);

#ifdef __cplusplus
}
#endif

#endif
