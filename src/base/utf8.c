/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/utf8.h"

#include <stdint.h>

/* How many bytes follow the first one; -1: it is no first byte. */
static int following(unsigned char first)
{
	if (first < 0x80)
		return 0;
	if (first < 0xc0)
		return -1;
	if (first < 0xe0)
		return 1;
	if (first < 0xf0)
		return 2;
	return first < 0xf8 ? 3 : -1;
}

bool mpx__utf8(const void *text, size_t size)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *p = text, *end = p + size;

	while (p < end) {
		int n = following(*p);
		uint32_t c = n > 0 ? *p & (0x3fu >> n) : *p;

		p++;
		if (n < 0 || end - p < n)
			return false;
		for (int i = 0; i < n; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}
