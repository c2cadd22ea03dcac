/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Fences for two who must not miss each other, when one of them is always in a hurry and
 * the other is about to sleep anyway:
 *
 *     in a hurry                      about to sleep
 *     changes the condition           says that it is about to sleep
 *     mpx__fence_light()              mpx__fence_heavy()
 *     looks whether anybody sleeps    looks at the condition once more
 *
 * One of the two sees the other. On x86 light costs nothing: a store that has been done is
 * seen by all others as soon as the line is there, within some hundreds of nanoseconds, and
 * heavy waits longer than that (after Morrison and Afek, Temporally Bounding TSO for
 * Fence-Free Asymmetric Synchronization, ASPLOS 2015). No manual of a processor promises
 * that time: so nothing but a wake may hang on it, and who sleeps looks again after a slice
 * (deadline.h). Elsewhere light is a full fence.
 *
 * (A system call that makes all others execute a fence, Linux' membarrier, would do without
 * that time; but between processes it takes 45 to 55 us in a virtual machine.)
 */
#ifndef MPX_BASE_FENCE_H
#define MPX_BASE_FENCE_H

#include <stdatomic.h>

#if defined(__x86_64__) || defined(__i386__)
#define MPX__SEEN_SOON 1
#else
#define MPX__SEEN_SOON 0
#endif

static inline void mpx__fence_light(void)
{
#if MPX__SEEN_SOON
	atomic_signal_fence(memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

void mpx__fence_heavy(void);

#endif
