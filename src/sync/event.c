/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Event: one word, whether it is set and how often it has been, so
 * that who waits learns of a set that a clear followed at once.
 */
#include "base/deadline.h"
#include "shm/object.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <mpx/sync.h>

enum { SET = 1, ONCE = 2 };

struct mpx_event {
	struct mpx__object object;
	_Atomic uint32_t state;	 /* SET, and times it was set in units of ONCE; by all */
	_Atomic uint32_t change; /* eventcount: it was set */
};

static bool is_event(const mpx_event *e)
{
	return mpx__object_is(e, sizeof *e, MPX__EVENT);
}

mpx_event *mpx_event_new(void)
{
	return mpx__object_new(sizeof(mpx_event), MPX__EVENT);
}

int mpx_event_set(mpx_event *e)
{
	uint32_t state;

	if (!is_event(e))
		return -1;
	state = atomic_load(&e->state);
	while (!(state & SET) &&
	       !atomic_compare_exchange_weak(&e->state, &state, (state + ONCE) | SET))
		;
	/* Even if it was set already: whoever set it may have died before the post. */
	mpx__event_post(&e->change, true);
	return 0;
}

int mpx_event_clear(mpx_event *e)
{
	if (!is_event(e))
		return -1;
	atomic_fetch_and(&e->state, ~(uint32_t)SET);
	return 0;
}

bool mpx_event_is_set(mpx_event *e)
{
	return is_event(e) && atomic_load(&e->state) & SET;
}

struct waiter {
	mpx_event *event;
	uint32_t before; /* its state when the wait began */
};

/* Is it set, or was it since? */
static bool has_been_set(void *arg)
{
	struct waiter *w = arg;
	uint32_t state = atomic_load(&w->event->state);

	return state & SET || (state ^ w->before) & ~(uint32_t)SET;
}

static int wait_until_set(mpx_event *e, int64_t deadline)
{
	struct waiter w = {e, atomic_load(&e->state)};
	struct mpx__slice slice = {0};

	while (!has_been_set(&w))
		if (!mpx__event_wait_until(&e->change, has_been_set, &w, &slice, deadline))
			return ETIMEDOUT;
	return 0;
}

int mpx_event_wait(mpx_event *e, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_event(e))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error)
		error = wait_until_set(e, deadline);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

void mpx_event_free(mpx_event *e)
{
	if (e && is_event(e))
		mpx__object_free(e);
}
