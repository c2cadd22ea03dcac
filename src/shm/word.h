/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * An owner word: a lock between processes that knows who holds it.
 *
 *   owner       0           free
 *               bits 0-29   the holder's peer id (peers.h)
 *               MPX__DIED   a holder died inside and nobody has put things right since
 *               MPX__SLEEPS somebody may be asleep on it
 *   contended   somebody sleeps, or did a moment ago
 *
 * acquire is one compare-exchange (acquire order), release one store (release order) and
 * two looks at contended; neither makes a system call uncontended. The ends of the protocol:
 *
 *   W1 who wants to sleep sets contended, then SLEEPS, and sleeps only on an owner that has
 *      it, if both are still so after a heavy fence (base/fence.h);
 *   W2 who has slept takes the word with both set, since others may be asleep;
 *   W3 who releases a word that is contended wakes one sleeper; if it had no SLEEPS,
 *      contended is cleared before (and one may sleep even so: see W5);
 *   W4 who has slept and gives up says that others may be asleep, and wakes one if
 *      nobody holds the word;
 *   W5 who releases a word that was not contended does so by a store, which may undo SLEEPS;
 *      after a light fence it looks at contended again, and wakes one if it is set now.
 *
 * That alone strands sleepers when the one that W3 or W5 woke is killed (glibc's robust
 * mutex has this hole). Hence: every sleep ends with its slice; who finds the
 * holder dead takes the word over, marks it DIED and wakes *all* sleepers.
 *
 * After release nothing is written: the word may be freed as soon as it is free. (Then
 * W5 looks at memory that is something else's, and may wake a stranger, who looks again.)
 *
 * Where a store may take its time (MPX__SEEN_SOON is 0) every word is contended.
 */
#ifndef MPX_SHM_WORD_H
#define MPX_SHM_WORD_H

#include "base/fence.h"
#include "platform/platform.h"
#include "shm/peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPX__OWNER UINT32_C(0x3fffffff)
#define MPX__DIED UINT32_C(0x40000000)
#define MPX__SLEEPS UINT32_C(0x80000000)

struct mpx__word {
	_Atomic uint32_t owner;
	_Atomic uint32_t contended; /* by who sleeps, and by the holder */
};

/* 0: held. EOWNERDEAD: held, and MPX__DIED is set. ETIMEDOUT. EAGAIN: the caller
 * has no peer id to put there. */
int mpx__word_acquire(struct mpx__word *word, int64_t deadline);

/* The same without waiting, spinning or looking whether the holder lives: 0, or EBUSY
 * if it is not simply free. */
static inline int mpx__word_try(struct mpx__word *word)
{
	uint32_t me = mpx__self();
	uint32_t free = 0;

	if (!me)
		return EAGAIN;
	if (atomic_compare_exchange_strong_explicit(&word->owner, &free, me, memory_order_acquire,
						    memory_order_relaxed))
		return 0;
	return EBUSY;
}

/* W3 */
void mpx__word_release_contended(struct mpx__word *word);

/* W5: it was not contended, a moment ago. */
static inline void mpx__word_release_simply(struct mpx__word *word)
{
	uint32_t died = atomic_load_explicit(&word->owner, memory_order_relaxed) & MPX__DIED;

	atomic_store_explicit(&word->owner, died, memory_order_release);
	mpx__fence_light();
	if (atomic_load_explicit(&word->contended, memory_order_relaxed))
		mpx__os_wake(&word->owner, 1);
}

/* The caller holds it. Keeps MPX__DIED. */
static inline void mpx__word_release(struct mpx__word *word)
{
	if (MPX__SEEN_SOON && !atomic_load_explicit(&word->contended, memory_order_relaxed))
		mpx__word_release_simply(word);
	else
		mpx__word_release_contended(word);
}

/* The caller holds it and has put things right. */
void mpx__word_consistent(struct mpx__word *word);

/* The peer id of who holds it, dead or alive; 0: nobody. */
static inline uint32_t mpx__word_owner(const struct mpx__word *word)
{
	return atomic_load(&word->owner) & MPX__OWNER;
}

/* Does the calling process hold it? (Who has no id yet holds nothing, and takes none for that:
 * signal handlers ask.) */
static inline bool mpx__word_mine(struct mpx__word *word)
{
	uint32_t owner = atomic_load_explicit(&word->owner, memory_order_relaxed) & MPX__OWNER;

	return owner && owner == atomic_load_explicit(&mpx__peer_self, memory_order_relaxed);
}

#endif
