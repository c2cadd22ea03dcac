/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx_malloc and its like: the family's heap for users.
 */
#include "platform/platform.h"
#include "shm/family.h"

#include <errno.h>
#include <mpx/memory.h>
#include <string.h>

void *mpx_malloc(size_t size)
{
	return mpx__heap_alloc(size, MPX__TAG_USER);
}

void *mpx_calloc(size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return mpx__heap_calloc(total, MPX__TAG_USER);
}

void mpx_free(void *block)
{
	int saved = errno;

	errno = !block || mpx__heap_free(block, MPX__TAG_USER) ? saved : EINVAL;
}

int mpx_memory_get_stats(mpx_memory_stats *stats, size_t size)
{
	mpx_memory_stats now;
	uint64_t blocks, used, dirty;

	if (!stats) {
		errno = EINVAL;
		return -1;
	}
	if (!mpx__family())
		return -1;
	mpx__peers_tidy(); /* what the dead held does not count */
	mpx__heap_count(&blocks, &used, &dirty);
	memset(&now, 0, sizeof now);
	now.reserved = mpx__family_base->size;
	now.used = (size_t)used * MPX__PAGE;
	now.kept = (size_t)dirty * MPX__PAGE;
	now.blocks = (size_t)blocks;
	/* A caller that was compiled with a larger struct gets zeros at its end. */
	memset(stats, 0, size);
	memcpy(stats, &now, size < sizeof now ? size : sizeof now);
	return 0;
}
