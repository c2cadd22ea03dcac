/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Elements in shared memory, moved to and from variables. One of 1, 2, 4 or 8 bytes
 * is never torn: no reader sees half of it, and no death leaves half of it behind.
 */
#ifndef MPX_IPC_ELEMENT_H
#define MPX_IPC_ELEMENT_H

#include <stddef.h>

/* An atomic load and store of size 1, 2, 4 or 8, between at and a variable. */
void mpx__element_load(const void *at, size_t size, void *out);
void mpx__element_store(void *at, size_t size, const void *in);

/* n elements of any size, each as whole as its size allows; in what order they go
 * is not said. */
void mpx__elements_load(const void *at, size_t size, size_t n, void *out);
void mpx__elements_store(void *at, size_t size, size_t n, const void *in);

#endif
