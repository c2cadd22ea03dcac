/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * An array in shared memory: what its elements are, its lock, and the elements
 * behind them in the same block.
 */
#ifndef MPX_IPC_ARRAY_H
#define MPX_IPC_ARRAY_H

#include "sync/rlock.h"

#include <mpx/value.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mpx_array {
	struct mpx__object object;
	char typecode;			   /* constant; '\0': the user's own type */
	bool raw;			   /* constant: made without a lock */
	size_t size;			   /* constant; of an element */
	size_t length;			   /* constant; in elements */
	_Atomic(struct mpx_rlock *) lock;  /* own, lent, or NULL; set once */
	_Alignas(16) struct mpx_rlock own; /* not in use if raw */
	_Alignas(64) char bytes[];	   /* by anybody, atomically or under the lock */
};

bool mpx__is_array(const mpx_array *a);

#endif
