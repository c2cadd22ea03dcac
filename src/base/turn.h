/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * One thread of a process at a time: a lock in private memory whose wait has a
 * deadline (a mutex's has none on the monotonic clock), and that knows of fork: a
 * child in which it is held, by a thread that is not there, is told so.
 *
 * Threads do not die by themselves, so this word needs no owner.
 */
#ifndef MPX_BASE_TURN_H
#define MPX_BASE_TURN_H

#include <stdatomic.h>
#include <stdint.h>

struct mpx__turn {
	_Atomic uint32_t word; /* 0: free */
};

/* Before the first turn is taken by this process or one that it comes from. */
void mpx__turn_init(void);

/* 0: it is the caller's. ETIMEDOUT. EBUSY: another thread had it when this process was
 * forked, and what it guards may be half-changed here. */
int mpx__turn_take(struct mpx__turn *turn, int64_t deadline);
void mpx__turn_give(struct mpx__turn *turn);

#endif
