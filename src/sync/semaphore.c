/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Semaphore and BoundedSemaphore. The truth is how many units each
 * process holds, and how many there are beyond the initial ones; each acquire and
 * each release changes exactly one of these words, and at any time
 *
 *     held by all + free == initial, or  held by all == 0 and free == initial + extra
 *
 * So the number of free units is an index, and there is nothing to undo when somebody
 * dies inside: what the dead held is taken from them when somebody needs a unit.
 */
#include "base/deadline.h"
#include "shm/guard.h"
#include "shm/object.h"
#include "shm/peers.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <limits.h>
#include <mpx/sync.h>

/* More processes than these there are not. */
enum { MOST_HOLDERS = MPX__PEER_SLOTS - 1 };

struct mpx_semaphore {
	struct mpx__object object;
	uint32_t initial;	 /* constant */
	uint32_t bounded;	 /* constant */
	uint32_t holders;	 /* entries of held: initial or less; constant */
	struct mpx__word guard;	 /* of all below, except to read */
	_Atomic uint32_t extra;	 /* truth: free units beyond the initial ones */
	_Atomic uint32_t free;	 /* index */
	_Atomic uint32_t units;	 /* eventcount: one came back */
	_Atomic uint64_t held[]; /* truth: a process's id << 32 | units; 0: no entry */
};

static bool is_semaphore(const mpx_semaphore *s)
{
	return mpx__object_is(s, sizeof *s, MPX__SEMAPHORE);
}

static uint32_t units_of(uint64_t entry)
{
	return (uint32_t)entry;
}

static uint32_t holder_of(uint64_t entry)
{
	return (uint32_t)(entry >> 32);
}

static uint32_t held_by_all(mpx_semaphore *s)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < s->holders; i++)
		sum += units_of(atomic_load(&s->held[i]));
	return sum;
}

/* Under the guard, or after a death: what follows from the truth. */
static void count_free(void *arg)
{
	mpx_semaphore *s = arg;

	atomic_store(&s->free, s->initial - held_by_all(s) + atomic_load(&s->extra));
}

static int guard(mpx_semaphore *s, int64_t deadline)
{
	return mpx__guard(&s->guard, deadline, count_free, s);
}

/* Under the guard: holder's entry; or if it has none, a free one; or NULL. */
static _Atomic uint64_t *entry_of(mpx_semaphore *s, uint32_t holder)
{
	_Atomic uint64_t *empty = NULL;

	for (uint32_t i = 0; i < s->holders; i++) {
		_Atomic uint64_t *e = &s->held[(holder + i) % s->holders];
		uint64_t entry = atomic_load_explicit(e, memory_order_relaxed);

		if (entry && holder_of(entry) == holder)
			return e;
		if (!entry && !empty)
			empty = e;
	}
	return empty;
}

/* Under the guard: units of an entry, one more or less; without any it is empty. */
static void change(_Atomic uint64_t *e, uint32_t holder, uint32_t units)
{
	atomic_store(e, units ? (uint64_t)holder << 32 | units : 0);
}

/* Takes their units from the dead. */
static void collect(mpx_semaphore *s)
{
	bool found = false;

	for (uint32_t i = 0; i < s->holders; i++) {
		uint64_t entry = atomic_load(&s->held[i]);

		if (!entry || !mpx__peer_dead(holder_of(entry)))
			continue;
		if (guard(s, 0) != 0)
			break;
		if (atomic_load(&s->held[i]) == entry) {
			atomic_store(&s->held[i], 0);
			count_free(s);
			found = true;
		}
		mpx__guard_release(&s->guard);
	}
	if (mpx__guard_is_dead(&s->guard) && guard(s, 0) == 0)
		mpx__guard_release(&s->guard);
	if (found)
		mpx__event_post(&s->units, true);
}

/* Under the guard: takes a unit, if there is one. */
static bool take(mpx_semaphore *s)
{
	uint32_t me = mpx__self(), extra = atomic_load_explicit(&s->extra, memory_order_relaxed);
	_Atomic uint64_t *e;

	if (!atomic_load_explicit(&s->free, memory_order_relaxed))
		return false;
	if (extra) {
		atomic_store(&s->extra, extra - 1);
	} else {
		e = entry_of(s, me);
		if (!e)
			return false; /* the dead have them all: until they are collected */
		change(e, me, units_of(atomic_load(e)) + 1);
	}
	atomic_store(&s->free, atomic_load(&s->free) - 1);
	return true;
}

static bool has_units(void *arg)
{
	mpx_semaphore *s = arg;

	return atomic_load(&s->free) != 0;
}

static int acquire(mpx_semaphore *s, int64_t deadline)
{
	struct mpx__slice slice = {0};

	for (;;) {
		int error = guard(s, deadline);
		bool taken;

		if (error)
			return error;
		taken = take(s);
		mpx__guard_release(&s->guard);
		if (taken)
			return 0;
		collect(s);
		if (!mpx__event_wait_until(&s->units, has_units, s, &slice, deadline))
			return ETIMEDOUT;
	}
}

int mpx_semaphore_acquire(mpx_semaphore *s, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_semaphore(s))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error)
		error = acquire(s, deadline);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* Under the guard: an entry that holds a unit, the caller's own if it does. */
static _Atomic uint64_t *lender(mpx_semaphore *s)
{
	_Atomic uint64_t *own = s->holders ? entry_of(s, mpx__self()) : NULL;

	if (own && atomic_load(own))
		return own;
	for (uint32_t i = 0; i < s->holders; i++)
		if (atomic_load(&s->held[i]))
			return &s->held[i];
	return NULL;
}

/* Under the guard. */
static int give(mpx_semaphore *s)
{
	_Atomic uint64_t *e = lender(s);

	if (!e && (s->bounded || atomic_load(&s->free) == INT_MAX))
		return EOVERFLOW;
	if (e)
		change(e, holder_of(atomic_load(e)), units_of(atomic_load(e)) - 1);
	else
		atomic_store(&s->extra, atomic_load(&s->extra) + 1);
	atomic_store(&s->free, atomic_load(&s->free) + 1);
	return 0;
}

int mpx_semaphore_release(mpx_semaphore *s)
{
	int error;

	if (!is_semaphore(s))
		return -1;
	error = guard(s, MPX__SOON);
	if (!error) {
		error = give(s);
		mpx__guard_release(&s->guard);
	}
	if (error) {
		errno = error;
		return -1;
	}
	mpx__event_post(&s->units, false);
	return 0;
}

int mpx_semaphore_value(mpx_semaphore *s)
{
	if (!is_semaphore(s))
		return -1;
	collect(s);
	return (int)atomic_load(&s->free);
}

bool mpx_semaphore_locked(mpx_semaphore *s)
{
	return mpx_semaphore_value(s) == 0;
}

static mpx_semaphore *new_semaphore(unsigned value, bool bounded)
{
	uint32_t holders = value < MOST_HOLDERS ? value : MOST_HOLDERS;
	mpx_semaphore *s;

	if (value > INT_MAX) {
		errno = EINVAL;
		return NULL;
	}
	s = mpx__object_new(sizeof *s + holders * sizeof s->held[0], MPX__SEMAPHORE);
	if (!s)
		return NULL;
	s->bounded = bounded;
	s->holders = holders;
	s->initial = value;
	atomic_store(&s->free, value);
	return s;
}

mpx_semaphore *mpx_semaphore_new(unsigned value)
{
	return new_semaphore(value, false);
}

mpx_semaphore *mpx_bounded_semaphore_new(unsigned value)
{
	return new_semaphore(value, true);
}

void mpx_semaphore_free(mpx_semaphore *s)
{
	if (s && is_semaphore(s))
		mpx__object_free(s);
}
