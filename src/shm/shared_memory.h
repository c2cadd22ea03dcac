/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What ShareableList needs of SharedMemory besides the public functions.
 */
#ifndef MPX_SHM_SHARED_MEMORY_H
#define MPX_SHM_SHARED_MEMORY_H

#include <mpx/shared_memory.h>

/* mpx_shared_memory_create, but fill(buf, arg) writes the contents before the name
 * is there (where the system can do that). It may be called twice. */
mpx_shared_memory *mpx__shared_memory_make(const char *name, size_t size,
					   void (*fill)(void *buf, const void *arg),
					   const void *arg);

#endif
