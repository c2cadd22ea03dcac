/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * An eventcount: sleep until something may have changed, at no system call to
 * those who change it while nobody sleeps. The word counts posts in steps of 2; bit
 * 0 says that somebody may be asleep.
 *
 *     for (;;) {
 *             if (condition) break;
 *             ticket = prepare(e);       E1: sets bit 0
 *             if (condition) break;      E2: looks again
 *             wait(e, ticket, end);      until a post after prepare, or end
 *     }
 *
 *     change the condition;              E3
 *     post(e);                           E4: looks at bit 0
 *
 * Either E2 sees E3, or E4 sees E1: E1 ends with a heavy fence, E4 begins with a light
 * one (base/fence.h). A
 * sleeper that dies leaves bit 0 set, which costs the next post one system call
 * that finds nobody. A post whose one woken sleeper dies is lost for the others:
 * so every wait ends with a slice (base/deadline.h).
 */
#ifndef MPX_SYNC_EVENTCOUNT_H
#define MPX_SYNC_EVENTCOUNT_H

#include "base/deadline.h"
#include "base/fence.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint32_t mpx__event_prepare(_Atomic uint32_t *e)
{
	uint32_t ticket = atomic_fetch_or(e, 1) | 1;

	mpx__fence_heavy();
	return ticket;
}

static inline void mpx__event_wait(_Atomic uint32_t *e, uint32_t ticket, int64_t end)
{
	mpx__os_wait(e, ticket, end);
}

/* Looks, spins, and sleeps until ready(arg) or the end of a slice, when it is time to
 * look who died. False: the deadline has passed. The first pause between two looks is as
 * long as said, in units of mpx__relax; they grow. If it is longer than 1, the first look
 * comes after it. */
bool mpx__event_wait_patiently(_Atomic uint32_t *e, bool (*ready)(void *arg), void *arg,
			       struct mpx__slice *slice, int64_t deadline, int pause);

static inline bool mpx__event_wait_until(_Atomic uint32_t *e, bool (*ready)(void *arg), void *arg,
					 struct mpx__slice *slice, int64_t deadline)
{
	return mpx__event_wait_patiently(e, ready, arg, slice, deadline, 1);
}

/* Who looks all the time takes the cache line from who is about to change it. So where
 * a stream passes by it pays to let some gather, and where every message is waited for
 * it does not: the pause follows how many were there when the waiting was over, so that
 * it becomes as long as MPX__GATHER of them take, or wanted, if fewer fit. */
enum { MPX__PAUSE_MAX = 256, MPX__GATHER = 64 };

static inline int mpx__pause(_Atomic uint32_t *hint)
{
	uint32_t pause = atomic_load_explicit(hint, memory_order_relaxed);

	return pause < 1 ? 1 : (int)pause;
}

static inline void mpx__pause_adapt(_Atomic uint32_t *hint, size_t gathered, size_t wanted)
{
	int pause = mpx__pause(hint);

	if (gathered > 1 && gathered <= wanted / 2 && pause < MPX__PAUSE_MAX)
		atomic_store_explicit(hint, (uint32_t)pause * 2, memory_order_relaxed);
	else if ((gathered <= 1 || gathered > wanted) && pause > 1)
		atomic_store_explicit(hint, (uint32_t)pause / 2, memory_order_relaxed);
}

void mpx__event_post_slowly(_Atomic uint32_t *e, bool all);

/* Wakes one sleeper, or all. */
static inline void mpx__event_post(_Atomic uint32_t *e, bool all)
{
	mpx__fence_light();
	if (atomic_load_explicit(e, memory_order_relaxed) & 1)
		mpx__event_post_slowly(e, all);
}

#endif
