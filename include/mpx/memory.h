/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/memory.h - memory that all processes of the family share.
 *
 *     double *table = mpx_malloc(n * sizeof *table);
 *     ... every process of the family reads and writes it, at this address ...
 *     mpx_free(table);
 *
 * It comes from one anonymous mapping, the family's heap, which is reserved when
 * the library is first used and takes memory only as it is touched. It has no
 * name in the file system, so nothing is left behind, however a program ends.
 *
 * Memory with a name, for programs that are no relatives: mpx/shared_memory.h.
 *
 * A kill inside malloc or free loses at most the block in hand and harms nobody.
 */
#ifndef MPX_MEMORY_H
#define MPX_MEMORY_H

#include <mpx/shared_memory.h>
#include <mpx/version.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * malloc in the family's heap: aligned for any type, and to 64 bytes from 64
 * bytes on. malloc(0) is a pointer of its own that can be freed. Fails with ENOMEM:
 * the heap is full, or a block of 16 MiB or more is larger than what the machine
 * has left. Stands for multiprocessing.RawArray.
 *
 * Threads: safe.
 * Fork: any process of the family may use and free the block. Memory first
 *       asked for after a raw fork() by a program that had not used the library
 *       yet belongs to two families.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void *mpx_malloc(size_t size);

/**
 * calloc likewise: n elements of size bytes, zeroed. ENOMEM also if n * size
 * overflows.
 *
 * Threads: safe.
 * Fork: as for mpx_malloc.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void *mpx_calloc(size_t n, size_t size);

/**
 * Frees a block of mpx_malloc or mpx_calloc, made in any process of the family;
 * NULL is fine. What is no such block (freed before, inside of a block, another
 * heap's) is left alone, with errno EINVAL. errno is untouched otherwise.
 *
 * Threads: safe.
 * Fork: as for mpx_malloc.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_free(void *block);

typedef struct mpx_memory_stats {
	size_t reserved; /**< bytes of address space set aside */
	size_t used;     /**< bytes in pages that hold blocks */
	size_t kept;     /**< bytes in free pages not yet given back to the system */
	size_t blocks;   /**< blocks in use: yours and the library's own objects */
} mpx_memory_stats;

/**
 * Counts what the heap holds now, for tests and monitoring; costs a walk over it.
 *
 * Threads: safe.
 * Fork: any process of the family; all see the same figures.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API int mpx_memory_get_stats(mpx_memory_stats *stats, size_t size);
#define mpx_memory_stats_now(stats) mpx_memory_get_stats((stats), sizeof *(stats))

#ifdef __cplusplus
}
#endif

#endif
