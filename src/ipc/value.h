/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A value in shared memory: typecode, 8 bytes, and in another cache line its lock.
 */
#ifndef MPX_IPC_VALUE_H
#define MPX_IPC_VALUE_H

#include "sync/rlock.h"

#include <mpx/value.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mpx_value {
	struct mpx__object object;
	char typecode;			     /* constant */
	bool raw;			     /* constant: made without a lock */
	_Atomic(struct mpx_rlock *) lock;    /* own, lent, or NULL; set once */
	_Alignas(16) uint64_t bytes;	     /* by anybody, atomically or under the lock */
	_Alignas(64) struct mpx_rlock own[]; /* one; none if raw */
};

bool mpx__is_value(const mpx_value *v);

#endif
