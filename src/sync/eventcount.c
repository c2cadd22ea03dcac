/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "sync/eventcount.h"

#include "base/processor.h"
#include "shm/family.h"

#include <limits.h>

/* A sleep that took no longer than this, in nanoseconds, was not worth it: falling asleep and
 * being woken alone take 20000 to 180000. */
enum { SHORT_SLEEP = 200000 };
/* Looks between which the processor is offered to others, before a sleep. */
enum { MOST_YIELDS = 64 };
/* Pauses between looks do not grow beyond that. */
enum { LONG_PAUSE = 8 };

static _Thread_local int yields;

/* How long this thread's sleeps take tells how long it should stay awake. */
static void learn(int64_t slept)
{
	if (slept >= SHORT_SLEEP)
		yields /= 2;
	else if (yields < MOST_YIELDS)
		yields = yields ? yields * 2 : 1;
}

static bool spin(bool (*ready)(void *arg), void *arg, int pause)
{
	if (pause == 1 && ready(arg))
		return true;
	for (int i = 0; i < mpx__spins; i += pause) {
		for (int j = 0; j < pause; j++)
			mpx__relax();
		if (ready(arg))
			return true;
		pause = pause < LONG_PAUSE ? pause * 2 : pause;
	}
	for (int i = 0; i < yields; i++) {
		if (ready(arg))
			return true;
		mpx__os_yield();
	}
	return false;
}

bool mpx__event_wait_patiently(_Atomic uint32_t *e, bool (*ready)(void *arg), void *arg,
			       struct mpx__slice *slice, int64_t deadline, int pause)
{
	uint32_t ticket;
	int64_t began;

	if (deadline == 0)
		return ready(arg);
	if (mpx__spins && spin(ready, arg, pause))
		return true;
	began = mpx__os_now();
	if (deadline != INT64_MAX && began >= deadline)
		return ready(arg);
	ticket = mpx__event_prepare(e);
	if (!ready(arg)) {
		mpx__event_wait(e, ticket, mpx__slice_end(slice, deadline));
		learn(mpx__os_now() - began);
	}
	return true;
}

void mpx__event_post_slowly(_Atomic uint32_t *e, bool all)
{
	uint32_t now = atomic_fetch_add(e, 2) + 2;

	if (!all && mpx__os_wake(e, 1) > 0)
		return; /* there may be more: bit 0 stays */
	/* Nobody is asleep, or nobody shall be: whoever is about to sleep will find
	 * another number there, and whoever fell asleep on this one is woken. */
	atomic_compare_exchange_strong(e, &now, now & ~UINT32_C(1));
	mpx__os_wake(e, INT_MAX);
}
