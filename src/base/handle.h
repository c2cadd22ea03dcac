/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Objects that belong to one process (and to a child as its copy), in private
 * memory. As in the family's heap, any other pointer, also to one that has been
 * freed, is told apart: EINVAL instead of a crash.
 *
 *     struct thing { struct mpx__handle handle; ... };
 *     static struct mpx__handles things = {.size = sizeof(struct thing)};
 *
 * They stand in chunks that are never given back, each twice as large as the one
 * before, so that a few comparisons tell whether a pointer leads to one.
 */
#ifndef MPX_BASE_HANDLE_H
#define MPX_BASE_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MPX__HANDLE_CHUNKS = 24 };

struct mpx__handle {
	_Atomic uint32_t used;
};

struct mpx__handles {
	size_t size; /* of one; constant */
	_Atomic(char *) chunk[MPX__HANDLE_CHUNKS];
};

/* A zeroed one; NULL with ENOMEM. */
void *mpx__handle_new(struct mpx__handles *handles);

/* Is p one of them, in use? Otherwise false, with EINVAL. */
bool mpx__handle_is(struct mpx__handles *handles, const void *p);

void mpx__handle_free(void *p);

#endif
