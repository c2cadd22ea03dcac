/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * An owner word: a lock of 32 bits between processes that knows who holds it.
 *
 *   0           free
 *   bits 0-29   the holder's peer id (peers.h)
 *   MPX__DIED   a holder died inside and nobody has put things right since
 *   MPX__SLEEPS somebody may be asleep on the word
 *
 * acquire is one compare-exchange (acquire order), release one exchange (release
 * order); neither makes a system call uncontended. The ends of the protocol:
 *
 *   W1 who wants to sleep sets SLEEPS first, and sleeps only on a word that has it;
 *   W2 who has slept takes the word with SLEEPS set, since others may be asleep;
 *   W3 who releases a word that had SLEEPS wakes one sleeper;
 *   W4 who has slept and gives up says that others may be asleep, and wakes one if
 *      nobody holds the word.
 *
 * That alone strands sleepers when the one that W3 woke is killed (glibc's robust
 * mutex has this hole). Hence: every sleep ends with its slice; who finds the
 * holder dead takes the word over, marks it DIED and wakes *all* sleepers.
 *
 * release is the last touch: the word may be freed as soon as it is free.
 */
#ifndef MPX_SHM_WORD_H
#define MPX_SHM_WORD_H

#include "platform/platform.h"
#include "shm/peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPX__OWNER UINT32_C(0x3fffffff)
#define MPX__DIED UINT32_C(0x40000000)
#define MPX__SLEEPS UINT32_C(0x80000000)

/* 0: held. EOWNERDEAD: held, and MPX__DIED is set. ETIMEDOUT. EAGAIN: the caller
 * has no peer id to put there. */
int mpx__word_acquire(_Atomic uint32_t *word, int64_t deadline);

/* The same without waiting, spinning or looking whether the holder lives: 0, or EBUSY
 * if it is not simply free. */
static inline int mpx__word_try(_Atomic uint32_t *word)
{
	uint32_t me = mpx__self();
	uint32_t free = 0;

	if (!me)
		return EAGAIN;
	if (atomic_compare_exchange_strong_explicit(word, &free, me, memory_order_acquire,
						    memory_order_relaxed))
		return 0;
	return EBUSY;
}

/* The caller holds it. Keeps MPX__DIED. */
static inline void mpx__word_release(_Atomic uint32_t *word)
{
	uint32_t died = atomic_load_explicit(word, memory_order_relaxed) & MPX__DIED;

	if (atomic_exchange_explicit(word, died, memory_order_release) & MPX__SLEEPS)
		mpx__os_wake(word, 1); /* W3 */
}

/* The caller holds it and has put things right. */
void mpx__word_consistent(_Atomic uint32_t *word);

/* Does the calling process hold it? */
static inline bool mpx__word_mine(_Atomic uint32_t *word)
{
	uint32_t owner = atomic_load_explicit(word, memory_order_relaxed) & MPX__OWNER;

	return owner && owner == mpx__self();
}

#endif
