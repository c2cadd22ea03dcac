/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Barrier. One word says which phase it is, whether that is broken,
 * and how the phases before it ended; one store of it lets everybody go. An arrival
 * is one store as well, of process and phase, so that those of older phases need not
 * be cleared. Who waits looks from time to time whether the others that have arrived
 * are alive, and breaks the barrier if one is not.
 */
#include "base/deadline.h"
#include "base/options.h"
#include "shm/guard.h"
#include "shm/object.h"
#include "shm/peers.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <mpx/sync.h>

/* The state: phase << 32 | history | BROKEN. Bit n of history, 1 to 31: the phase n ago
 * ended because all had arrived (otherwise, by reset). Who sleeps through more of them
 * is taken to have been let go. */
#define BROKEN UINT64_C(1)
#define HISTORY UINT64_C(0xfffffffe)
enum { PHASES_KNOWN = 31, MOST_PARTIES = MPX__PEER_SLOTS - 1 };

struct mpx_barrier {
	struct mpx__object object;
	uint32_t parties;	    /* constant */
	int (*action)(void *arg);   /* constant */
	void *arg;		    /* constant */
	int64_t timeout;	    /* nanoseconds, 0: none; constant */
	struct mpx__word guard;	    /* of arrived, except to read */
	_Atomic uint32_t change;    /* eventcount: state has changed */
	_Atomic uint64_t state;	    /* truth; by anybody, at any time */
	_Atomic int64_t begun;	    /* when the first of a phase arrived; under the guard */
	_Atomic uint64_t arrived[]; /* truth: [parties], phase << 32 | process's id */
};

static bool is_barrier(const mpx_barrier *b)
{
	return mpx__object_is(b, sizeof *b, MPX__BARRIER);
}

static uint32_t phase_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* The state of the phase that follows. */
static uint64_t next(uint64_t state, bool all_arrived)
{
	uint64_t history = ((state & HISTORY) << 1 & HISTORY) | (all_arrived ? 2 : 0);

	return (uint64_t)(phase_of(state) + 1) << 32 | history;
}

/* Has that phase ended, or broken? *error is then 0 or ECANCELED. */
static bool is_over(mpx_barrier *b, uint32_t phase, int *error)
{
	uint64_t state = atomic_load(&b->state);
	uint32_t ago = phase_of(state) - phase;

	if (ago == 0)
		*error = state & BROKEN ? ECANCELED : 0;
	else
		*error = ago > PHASES_KNOWN || state >> ago & 1 ? 0 : ECANCELED;
	return ago || *error;
}

/* Each change is one store: there is nothing to put right. */
static void recover(void *arg)
{
	(void)arg;
}

static int guard(mpx_barrier *b, int64_t deadline)
{
	return mpx__guard(&b->guard, deadline, recover, b);
}

/* Breaks that phase, if it is not over. */
static void break_phase(mpx_barrier *b, uint32_t phase)
{
	uint64_t state = atomic_load(&b->state);

	while (phase_of(state) == phase &&
	       !atomic_compare_exchange_weak(&b->state, &state, state | BROKEN))
		;
	mpx__event_post(&b->change, true);
}

/* Ends that phase with success, unless it is over: 0 or ECANCELED. */
static int complete(mpx_barrier *b, uint32_t phase)
{
	uint64_t state = atomic_load(&b->state);
	int error;

	if (phase_of(state) == phase && !(state & BROKEN) &&
	    atomic_compare_exchange_strong(&b->state, &state, next(state, true))) {
		mpx__event_post(&b->change, true);
		return 0;
	}
	is_over(b, phase, &error);
	return error;
}

static bool has_arrived(mpx_barrier *b, uint32_t i, uint32_t phase)
{
	uint64_t arrival = atomic_load(&b->arrived[i]);

	return (uint32_t)arrival && phase_of(arrival) == phase;
}

static uint32_t count_arrived(mpx_barrier *b, uint32_t phase)
{
	uint32_t n = 0;

	while (n < b->parties && has_arrived(b, n, phase))
		n++;
	return n;
}

static bool somebody_died(mpx_barrier *b, uint32_t phase)
{
	for (uint32_t i = 0; i < b->parties && has_arrived(b, i, phase); i++)
		if (mpx__peer_dead((uint32_t)atomic_load(&b->arrived[i])))
			return true;
	return false;
}

struct waiter {
	mpx_barrier *barrier;
	uint32_t phase;
	int error;
};

static bool is_free_to_go(void *arg)
{
	struct waiter *w = arg;

	return is_over(w->barrier, w->phase, &w->error);
}

/* Until the phase is over. Who does not want to wait any longer breaks it. */
static int wait_for_all(mpx_barrier *b, uint32_t phase, int64_t deadline)
{
	struct waiter w = {b, phase, 0};
	struct mpx__slice slice = {0};

	while (!is_free_to_go(&w)) {
		bool died = slice.length && somebody_died(b, phase);

		if (!died && mpx__event_wait_until(&b->change, is_free_to_go, &w, &slice, deadline))
			continue;
		break_phase(b, phase);
		is_free_to_go(&w); /* or all have arrived meanwhile */
		return w.error && !died ? ETIMEDOUT : w.error;
	}
	return w.error;
}

/* Nobody may have been there to notice. But to look takes long, and who arrived just
 * now may also have died just now. */
static bool somebody_died_unnoticed(mpx_barrier *b, uint32_t phase)
{
	return mpx__os_now() - atomic_load(&b->begun) > MPX__SLICE_MAX && somebody_died(b, phase);
}

/* The last to arrive runs the action, then lets everybody go. */
static int let_go(mpx_barrier *b, uint32_t phase)
{
	bool died = somebody_died_unnoticed(b, phase);
	int error = !died && b->action ? b->action(b->arg) : 0;

	if (!died && !error)
		return complete(b, phase);
	break_phase(b, phase);
	return error > 0 ? error : ECANCELED;
}

/* Arrives: 0, and which phase that is and how many had arrived; or an errno value. */
static int arrive(mpx_barrier *b, uint32_t *phase, uint32_t *index, int64_t deadline)
{
	int error = guard(b, deadline);
	uint64_t state;

	if (error)
		return error;
	state = atomic_load(&b->state);
	*phase = phase_of(state);
	*index = count_arrived(b, *phase);
	if (*index == 0)
		atomic_store(&b->begun, mpx__os_now());
	if (state & BROKEN)
		error = ECANCELED;
	else if (*index == b->parties)
		error = EBUSY; /* the action runs */
	else
		atomic_store(&b->arrived[*index], (uint64_t)*phase << 32 | mpx__self());
	mpx__guard_release(&b->guard);
	return error;
}

static int wait(mpx_barrier *b, uint32_t *index, int64_t deadline)
{
	struct mpx__slice slice = {0};
	uint32_t phase = 0;
	int error;

	while ((error = arrive(b, &phase, index, deadline)) == EBUSY) {
		struct waiter w = {b, phase, 0};

		if (somebody_died(b, phase))
			break_phase(b, phase);
		else if (!mpx__event_wait_until(&b->change, is_free_to_go, &w, &slice, deadline))
			error = ETIMEDOUT;
		if (error != EBUSY)
			return error;
	}
	if (error)
		return error;
	return *index + 1 == b->parties ? let_go(b, phase) : wait_for_all(b, phase, deadline);
}

int mpx_barrier_wait(mpx_barrier *b, double timeout)
{
	int64_t deadline;
	uint32_t index = 0;
	int error;

	if (!is_barrier(b))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error && deadline == INT64_MAX && b->timeout)
		deadline = mpx__os_now() + b->timeout;
	if (!error)
		error = wait(b, &index, deadline);
	if (!error)
		return (int)index;
	errno = error;
	return -1;
}

int mpx_barrier_abort(mpx_barrier *b)
{
	if (!is_barrier(b))
		return -1;
	atomic_fetch_or(&b->state, BROKEN); /* whichever phase that is */
	mpx__event_post(&b->change, true);
	return 0;
}

int mpx_barrier_reset(mpx_barrier *b)
{
	uint64_t state;

	if (!is_barrier(b))
		return -1;
	state = atomic_load(&b->state);
	while (!atomic_compare_exchange_weak(&b->state, &state, next(state, false)))
		;
	mpx__event_post(&b->change, true);
	return 0;
}

int mpx_barrier_parties(const mpx_barrier *b)
{
	return is_barrier(b) ? (int)b->parties : -1;
}

int mpx_barrier_n_waiting(mpx_barrier *b)
{
	uint64_t state;

	if (!is_barrier(b))
		return -1;
	state = atomic_load(&b->state);
	return state & BROKEN ? 0 : (int)count_arrived(b, phase_of(state));
}

bool mpx_barrier_broken(mpx_barrier *b)
{
	return is_barrier(b) && atomic_load(&b->state) & BROKEN;
}

mpx_barrier *mpx_barrier_create(const mpx_barrier_options *options)
{
	mpx_barrier_options o = {0};
	mpx_barrier *b;

	if (!mpx__options(&o, sizeof o, options) || o.parties < 1 || o.parties > MOST_PARTIES ||
	    o.timeout != o.timeout || o.timeout < 0) {
		errno = EINVAL;
		return NULL;
	}
	b = mpx__object_new(sizeof *b + o.parties * sizeof b->arrived[0], MPX__BARRIER);
	if (!b)
		return NULL;
	b->parties = o.parties;
	b->action = o.action;
	b->arg = o.arg;
	b->timeout = o.timeout > 0 ? mpx__nanoseconds(o.timeout) : 0;
	return b;
}

void mpx_barrier_free(mpx_barrier *b)
{
	if (b && is_barrier(b))
		mpx__object_free(b);
}
