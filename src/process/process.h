/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What the pool needs to know of Process.
 */
#ifndef MPX_PROCESS_PROCESS_H
#define MPX_PROCESS_PROCESS_H

#include <stdint.h>

/* In a child that is no mpx_process: who it is, "NAME-NUMBER". Its parent_process()
 * is what was the current process before, with that peer id; or if that is 0, what
 * was its parent_process(). */
void mpx__process_become(const char *name, int number, uint32_t parent_id);

#endif
