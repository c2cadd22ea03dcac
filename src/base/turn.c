/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/turn.h"

#include "base/deadline.h"
#include "base/private.h"

#include <errno.h>
#include <limits.h>

/* A word: the holder's generation, and */
enum { TAKEN = 1, SLEEPS = 2, ONE_GENERATION = 4 };

/* How many forks lie between this process and the first one. */
static _Atomic uint32_t generation;

static void next_generation(void)
{
	atomic_fetch_add(&generation, ONE_GENERATION);
}

void mpx__turn_init(void)
{
	mpx__private_at_fork(next_generation);
}

/* 0 or EBUSY: may it be slept on? Somebody holds it, as word says. */
static int sleep_on(struct mpx__turn *turn, uint32_t word, int64_t deadline)
{
	if ((word & ~(uint32_t)(TAKEN | SLEEPS)) != atomic_load(&generation))
		return EBUSY;
	if (mpx__passed(deadline))
		return ETIMEDOUT;
	if (word & SLEEPS || atomic_compare_exchange_strong(&turn->word, &word, word | SLEEPS))
		mpx__os_wait(&turn->word, word | SLEEPS, deadline);
	return 0;
}

int mpx__turn_take(struct mpx__turn *turn, int64_t deadline)
{
	for (;;) {
		uint32_t word = 0;
		int error;

		if (atomic_compare_exchange_strong(&turn->word, &word,
						   atomic_load(&generation) | TAKEN))
			return 0;
		error = sleep_on(turn, word, deadline);
		if (error)
			return error;
	}
}

/* All who sleep are woken, so none of them can be left over by one that gives up. */
void mpx__turn_give(struct mpx__turn *turn)
{
	if (atomic_exchange(&turn->word, 0) & SLEEPS)
		mpx__os_wake(&turn->word, INT_MAX);
}
