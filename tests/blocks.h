/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * blocks.h - on top of harness.h, for the tests of the heap: a block says in each
 * word whose it is; what the statistics say; what free refuses.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "harness.h"

static inline uint64_t pattern(uint64_t id, size_t i)
{
	return (id + 1) * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0x0101010101010107);
}

static inline void fill(void *block, size_t size, uint64_t id)
{
	char *p = block;
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = pattern(id, i);
		memcpy(p + i, &word, size - i < sizeof word ? size - i : sizeof word);
	}
}

static inline bool intact(const void *block, size_t size, uint64_t id)
{
	const char *p = block;
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = pattern(id, i);
		if (memcmp(p + i, &word, size - i < sizeof word ? size - i : sizeof word) != 0)
			return false;
	}
	return true;
}

static inline bool zero(const void *block, size_t size)
{
	const unsigned char *p = block;
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

static inline bool aligned(const void *block, size_t size)
{
	size_t to = size >= 64 ? 64 : _Alignof(max_align_t);
	return (uintptr_t)block % to == 0;
}

/* Most are small, some are pages, a few are large. */
static inline size_t random_size(uint64_t *seed)
{
	uint64_t r = next_random(seed);
	switch (r % 16) {
	case 0:
		return (size_t)(r >> 8) % 300000;
	case 1:
	case 2:
		return (size_t)(r >> 8) % 20000;
	case 3:
		return (size_t)(r >> 8) % 3 + ((size_t)1 << ((r >> 40) % 15)) - 1;
	default:
		return (size_t)(r >> 8) % 600;
	}
}

static inline mpx_memory_stats stats_now(void)
{
	mpx_memory_stats stats;
	memset(&stats, 0xff, sizeof stats);
	assert_ok(mpx_memory_stats_now(&stats));
	return stats;
}

static inline void refuses(void *p)
{
	errno = 0;
	mpx_free(p);
	if (errno != EINVAL)
		fail_msg("free(%p): %s", p, strerror(errno));
}

#endif
