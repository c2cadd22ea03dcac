/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/word.h"

#include "base/deadline.h"
#include "base/processor.h"
#include "shm/family.h"
#include "shm/peers.h"

#include <errno.h>
#include <limits.h>

static int held(uint32_t word)
{
	return word & MPX__DIED ? EOWNERDEAD : 0;
}

/* Takes the word if nobody holds it, keeping DIED and adding keep. */
static bool take_free(struct mpx__word *word, uint32_t me, uint32_t keep, int *result)
{
	uint32_t w = atomic_load_explicit(&word->owner, memory_order_relaxed);

	while (!(w & MPX__OWNER)) {
		if (atomic_compare_exchange_weak_explicit(&word->owner, &w, w | me | keep,
							  memory_order_acquire,
							  memory_order_relaxed)) {
			*result = held(w);
			return true;
		}
	}
	return false;
}

/* Takes the word over if its holder is dead. */
static bool take_dead(struct mpx__word *word, uint32_t me)
{
	uint32_t w = atomic_load_explicit(&word->owner, memory_order_relaxed);
	uint32_t owner = w & MPX__OWNER;

	if (!owner || owner == me || !mpx__peer_dead(owner))
		return false;
	while ((w & MPX__OWNER) == owner) {
		if (atomic_compare_exchange_weak_explicit(
			    &word->owner, &w, (w & ~MPX__OWNER) | MPX__DIED | me,
			    memory_order_acquire, memory_order_relaxed)) {
			mpx__os_wake(&word->owner, INT_MAX);
			return true;
		}
	}
	return false;
}

/* Others may be asleep. What the owner was then. */
static uint32_t say_sleeps(struct mpx__word *word)
{
	atomic_store(&word->contended, 1);
	return atomic_fetch_or(&word->owner, MPX__SLEEPS) | MPX__SLEEPS;
}

/* Is it still so? If not, a release may have passed by, which we have not seen. */
static bool is_said(struct mpx__word *word, uint32_t owner)
{
	mpx__fence_heavy();
	return atomic_load(&word->contended) && atomic_load(&word->owner) == owner;
}

/* W4: the wake that was meant for us, if it was, goes to the next. */
static void pass_on(struct mpx__word *word)
{
	uint32_t w = say_sleeps(word);

	if (!(w & MPX__OWNER) || !is_said(word, w)) {
		atomic_store(&word->contended, 1); /* between the two it may have been cleared */
		mpx__os_wake(&word->owner, 1);
	}
}

void mpx__word_release_contended(struct mpx__word *word)
{
	uint32_t w = atomic_load_explicit(&word->owner, memory_order_relaxed);

	if (!(w & MPX__SLEEPS))
		atomic_store_explicit(&word->contended, 0, memory_order_relaxed);
	w = atomic_exchange(&word->owner, w & MPX__DIED);
	if (MPX__SEEN_SOON || w & MPX__SLEEPS)
		mpx__os_wake(&word->owner, 1);
}

enum { PAUSE_FIRST = 4, PAUSE_MOST = 128 };

static int acquire_slowly(struct mpx__word *word, uint32_t me, int64_t deadline)
{
	struct mpx__slice slice = {0};
	int64_t end = 0; /* of the slice; signals do not begin another */
	bool slept = false;
	bool look = mpx__passed(deadline); /* is the holder alive? */
	int result;

	/* Every look takes the line from the holder: so between them the holder gets on, for
	 * longer each time. Two that contend take turns of many instead of single ones. */
	for (int i = 0, pause = PAUSE_FIRST; i < 4 * mpx__spins; i += pause) {
		for (int k = 0; k < pause; k++)
			mpx__relax();
		if (take_free(word, me, 0, &result))
			return result;
		if (pause < PAUSE_MOST)
			pause *= 2;
	}
	for (;;) {
		uint32_t w;

		if (take_free(word, me, slept ? MPX__SLEEPS : 0, &result)) { /* W2 */
			if (slept)
				atomic_store(&word->contended, 1);
			return result;
		}
		if (look && take_dead(word, me))
			return EOWNERDEAD;
		if (mpx__passed(deadline)) {
			if (slept)
				pass_on(word);
			return ETIMEDOUT;
		}
		w = say_sleeps(word); /* W1 */
		slept = true;
		if (!(w & MPX__OWNER) || !is_said(word, w))
			continue;
		if (end == 0 || look)
			end = mpx__slice_end(&slice, deadline);
		mpx__os_wait(&word->owner, w, end);
		look = mpx__os_now() >= end;
	}
}

int mpx__word_acquire(struct mpx__word *word, int64_t deadline)
{
	int error = mpx__word_try(word);

	return error == EBUSY ? acquire_slowly(word, mpx__self(), deadline) : error;
}

void mpx__word_consistent(struct mpx__word *word)
{
	atomic_fetch_and_explicit(&word->owner, ~MPX__DIED, memory_order_relaxed);
}
