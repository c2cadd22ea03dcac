/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Runs of bits in arrays of 64-bit words.
 */
#ifndef MPX_SHM_BITMAP_H
#define MPX_SHM_BITMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool bit_test(const uint64_t *map, uint32_t bit)
{
	return map[bit / 64] >> bit % 64 & 1;
}

/* The first bit in [from, end) that is value; end if there is none. */
static inline uint32_t bit_find(const uint64_t *map, uint32_t from, uint32_t end, bool value)
{
	while (from < end) {
		uint64_t word = (value ? map[from / 64] : ~map[from / 64]) >> from % 64;

		if (word) {
			from += (uint32_t)__builtin_ctzll(word);
			return from < end ? from : end;
		}
		from = (from / 64 + 1) * 64;
	}
	return end;
}

/* Makes the bits of [from, from + n) value. */
static inline void bit_fill(uint64_t *map, uint32_t from, uint32_t n, bool value)
{
	while (n > 0) {
		if (from % 64 == 0 && n >= 64) {
			memset(&map[from / 64], value ? 0xff : 0, n / 64 * sizeof *map);
			from += n / 64 * 64;
			n %= 64;
			continue;
		}
		uint32_t in_word = 64 - from % 64 < n ? 64 - from % 64 : n;
		uint64_t mask = (in_word == 64 ? ~UINT64_C(0) : (UINT64_C(1) << in_word) - 1)
				<< from % 64;

		if (value)
			map[from / 64] |= mask;
		else
			map[from / 64] &= ~mask;
		from += in_word;
		n -= in_word;
	}
}

/* How many bits of [from, from + n) are set. */
static inline uint32_t bit_count(const uint64_t *map, uint32_t from, uint32_t n)
{
	uint32_t count = 0, end = from + n;

	while ((from = bit_find(map, from, end, true)) < end) {
		uint32_t clear = bit_find(map, from, end, false);

		count += clear - from;
		from = clear;
	}
	return count;
}

#endif
