/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_memory.c - bad arguments for mpx/memory.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void without_objects(void)
{
	size_t huge = SIZE_MAX;
	mpx_memory_stats stats;

	NO_POINTER(mpx_malloc, (huge), ENOMEM);
	NO_POINTER(mpx_malloc, (huge - 8), ENOMEM);
	NO_POINTER(mpx_malloc, (huge - 64), ENOMEM);
	NO_POINTER(mpx_malloc, (huge - 4096), ENOMEM);
	NO_POINTER(mpx_malloc, (huge / 2), ENOMEM);
	NO_POINTER(mpx_calloc, (huge, 2), ENOMEM);
	NO_POINTER(mpx_calloc, (2, huge), ENOMEM);
	NO_POINTER(mpx_calloc, (huge, huge), ENOMEM);
	NO_POINTER(mpx_calloc, (huge, 1), ENOMEM);
	NO_POINTER(mpx_calloc, (huge / 2 + 1, 2), ENOMEM);
	ROW_VOID(mpx_free, (NULL), 0);
	ROW_VOID(mpx_free, (&huge), EINVAL);
	ROW_VOID(mpx_free, ((void *)8), EINVAL);
	FAILS(mpx_memory_get_stats, (NULL, 0));
	FAILS(mpx_memory_get_stats, (NULL, sizeof stats));
	MAKES(mpx_malloc, (0), mpx_free);
	MAKES(mpx_calloc, (0, huge), mpx_free);
}

static void with_objects(void)
{
	char *block = mpx_malloc(100);
	child_check(block != NULL);

	ROW_VOID(mpx_free, (block + 1), EINVAL);
	ROW_VOID(mpx_free, (block + 64), EINVAL);
	memset(block, 'x', 100);
	ROW_VOID(mpx_free, (block), 0);
	ROW_VOID(mpx_free, (block), EINVAL);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "memory",
		.without_objects = without_objects,
		.with_objects = with_objects,
	};
	return arguments_main(&part, argc, argv);
}
