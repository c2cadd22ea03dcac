/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Condition. Each waiter has a place, with a word of its own to sleep
 * on, that says whether it has been notified. So notify marks the oldest waiters and
 * waits for nobody, and a notice that was given to a process which then dies is not
 * lost: another waiter, which looks from time to time, hands it on to whoever had been
 * waiting when it was given.
 */
#include "base/deadline.h"
#include "shm/guard.h"
#include "shm/heap.h"
#include "shm/note.h"
#include "shm/object.h"
#include "shm/peers.h"
#include "sync/rlock.h"

#include <errno.h>
#include <limits.h>
#include <mpx/sync.h>

/* A place: FREE -enter-> WAITING -notify-> NOTIFIED -leave-> LEFT, or WAITING -leave->
 * FREE. LEFT is free too; it tells who puts things right that the notice arrived. */
enum { FREE, WAITING, NOTIFIED, LEFT };

struct place {
	_Atomic uint32_t state; /* by the waiter; to WAITING and NOTIFIED under the guard */
	_Atomic uint32_t peer;	/* who waits */
	uint64_t ticket;	/* when it came */
	uint64_t notified;	/* the last ticket when it was notified */
};

enum { PLACES = 32 };

struct places {
	_Atomic(struct places *) next;
	struct place place[PLACES];
};

struct mpx_condition {
	struct mpx__object object;
	struct mpx__word guard; /* of the places */
	mpx_rlock *lock;	/* constant; &own, or the user's */
	uint64_t ticket;	/* of the last that came */
	struct mpx__note fresh; /* notes: places to be linked */
	struct place *from;	/* notes: a notice that is handed on from here */
	struct place *to;	/* notes: to there; NULL: none is */
	struct places places;
	_Alignas(16) struct mpx_rlock own;
};

static bool is_condition(const mpx_condition *c)
{
	return mpx__object_is(c, sizeof *c, MPX__CONDITION);
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static uint64_t tag_of(mpx_condition *c)
{
	return (uint64_t)(uintptr_t)c;
}

/* The place after this one, from NULL on; NULL at the end. */
static struct place *next_place(mpx_condition *c, struct places **in, struct place *p)
{
	if (!p) {
		*in = &c->places;
		return (*in)->place;
	}
	if (p + 1 < (*in)->place + PLACES)
		return p + 1;
	*in = atomic_load(&(*in)->next);
	return *in ? (*in)->place : NULL;
}

static bool is_free(const struct place *p)
{
	uint32_t state = atomic_load(&p->state);

	return state == FREE || state == LEFT;
}

/* --- notices --------------------------------------------------------------------- */

/* Under the guard. False if nobody waits there (any more). */
static bool give_notice(struct place *p, uint64_t notified)
{
	uint32_t state = WAITING;

	if (atomic_load(&p->state) != WAITING)
		return false;
	p->notified = notified;
	if (!atomic_compare_exchange_strong(&p->state, &state, NOTIFIED))
		return false;
	mpx__os_wake(&p->state, 1);
	return true;
}

/* Under the guard: who has waited longest, of those that had come by then. */
static struct place *oldest(mpx_condition *c, uint64_t by_then)
{
	struct place *found = NULL;
	struct places *in;

	for (struct place *p = next_place(c, &in, NULL); p; p = next_place(c, &in, p))
		if (atomic_load(&p->state) == WAITING && p->ticket <= by_then &&
		    (!found || p->ticket < found->ticket))
			found = p;
	return found;
}

/* Under the guard: the notice in from, whose process died, goes to another waiter. */
static void hand_on(mpx_condition *c, struct place *from)
{
	struct place *to = oldest(c, from->notified);

	if (to) {
		c->from = from;
		MPX__THEN;
		c->to = to;
		MPX__THEN;
		if (!give_notice(to, from->notified)) {
			c->to = NULL;
			return; /* the next time */
		}
	}
	atomic_store(&from->state, FREE);
	MPX__THEN;
	c->to = NULL;
}

/* --- recovery -------------------------------------------------------------------- */

static bool is_linked(mpx_condition *c, const struct places *fresh)
{
	for (struct places *in = &c->places; in; in = atomic_load(&in->next))
		if (in == fresh)
			return true;
	return false;
}

static void recover(void *arg)
{
	mpx_condition *c = arg;

	if (is_linked(c, atomic_load(&c->fresh.block)))
		mpx__forget(&c->fresh);
	else
		mpx__free_noted(&c->fresh, tag_of(c));
	/* If the notice has arrived, it must not be handed on a second time. */
	if (c->to && (atomic_load(&c->to->state) == NOTIFIED || atomic_load(&c->to->state) == LEFT))
		atomic_store(&c->from->state, FREE);
	c->to = NULL;
}

static int guard(mpx_condition *c, int64_t deadline)
{
	return mpx__guard(&c->guard, deadline, recover, c);
}

/* Under the guard: is a process that left p in this state dead? Not one that went on from
 * there, by itself, and then ended: so look at the state once more. */
static bool died_in(const struct place *p, uint32_t state)
{
	return atomic_load(&p->state) == state && mpx__peer_dead(atomic_load(&p->peer)) &&
	       atomic_load(&p->state) == state;
}

/* Frees the places of the dead; their notices go to the living. */
static void look_who_died(mpx_condition *c, bool waiting_too)
{
	struct places *in;

	if (guard(c, 0) != 0)
		return; /* somebody else is at it */
	for (struct place *p = next_place(c, &in, NULL); p; p = next_place(c, &in, p)) {
		if (died_in(p, NOTIFIED))
			hand_on(c, p);
		else if (waiting_too && died_in(p, WAITING))
			atomic_store(&p->state, FREE);
	}
	mpx__guard_release(&c->guard);
}

/* --- wait ------------------------------------------------------------------------ */

/* Under the guard. */
static struct place *take_place(mpx_condition *c)
{
	struct places *in;

	for (struct place *p = next_place(c, &in, NULL); p; p = next_place(c, &in, p)) {
		if (!is_free(p))
			continue;
		p->ticket = ++c->ticket;
		atomic_store(&p->peer, mpx__self());
		atomic_store(&p->state, WAITING);
		return p;
	}
	return NULL;
}

static int link_places(mpx_condition *c, struct places *fresh)
{
	struct places *last = &c->places;
	int error = guard(c, MPX__SOON);

	if (error)
		return error;
	mpx__note(&c->fresh, fresh);
	mpx__heap_retag(fresh, mpx__self(), tag_of(c));
	while (atomic_load(&last->next))
		last = atomic_load(&last->next);
	atomic_store(&last->next, fresh);
	mpx__forget(&c->fresh);
	mpx__guard_release(&c->guard);
	return 0;
}

static int add_places(mpx_condition *c)
{
	struct places *fresh = mpx__heap_calloc(sizeof *fresh, mpx__self());
	int error;

	if (!fresh)
		return errno;
	error = link_places(c, fresh);
	if (error)
		mpx__heap_free(fresh, mpx__self());
	return error;
}

static int enter(mpx_condition *c, struct place **place)
{
	for (int tried = 0;; tried++) {
		int error = guard(c, MPX__SOON);

		if (error)
			return error;
		*place = take_place(c);
		mpx__guard_release(&c->guard);
		if (*place)
			return 0;
		if (tried == 0)
			look_who_died(c, true);
		else if ((error = add_places(c)) != 0)
			return error;
	}
}

/* Was it notified? */
static bool leave(struct place *p)
{
	uint32_t state = WAITING;

	if (atomic_compare_exchange_strong(&p->state, &state, FREE))
		return false;
	atomic_store(&p->state, LEFT);
	return true;
}

static void sleep_until_notified(mpx_condition *c, struct place *p, int64_t deadline)
{
	struct mpx__slice slice = {0};
	int64_t end = 0; /* of the slice */

	while (atomic_load(&p->state) == WAITING && !mpx__passed(deadline)) {
		if (mpx__passed(end)) {
			if (end)
				look_who_died(c, false);
			end = mpx__slice_end(&slice, deadline);
		}
		mpx__os_wait(&p->state, WAITING, end);
	}
}

/* The caller holds the lock, and does so again afterwards. */
static int wait(mpx_condition *c, int64_t deadline)
{
	struct place *p;
	int error = enter(c, &p);
	uint32_t depth;

	if (error)
		return error;
	depth = mpx__rlock_release_all(c->lock);
	sleep_until_notified(c, p, deadline);
	error = mpx__rlock_acquire_again(c->lock, depth);
	if (!leave(p) && !error)
		error = ETIMEDOUT;
	return error;
}

int mpx_condition_wait(mpx_condition *c, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_condition(c) || mpx__rlock_must_be_mine(c->lock) != 0)
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error)
		error = wait(c, deadline);
	return error ? fail(error) : 0;
}

int mpx_condition_wait_for(mpx_condition *c, bool (*predicate)(void *arg), void *arg,
			   double timeout)
{
	int64_t deadline;
	int error;

	if (!is_condition(c) || mpx__rlock_must_be_mine(c->lock) != 0)
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (error || !predicate)
		return fail(EINVAL);
	while (!predicate(arg)) {
		if (error)
			return fail(error);
		if (mpx__passed(deadline))
			return fail(ETIMEDOUT);
		error = wait(c, deadline);
		if (error == EOWNERDEAD)
			return fail(error);
	}
	return 0;
}

/* --- notify ---------------------------------------------------------------------- */

int mpx_condition_notify(mpx_condition *c, unsigned n)
{
	struct place *p;
	int error;

	if (!is_condition(c) || mpx__rlock_must_be_mine(c->lock) != 0)
		return -1;
	error = guard(c, MPX__SOON);
	if (error)
		return fail(error);
	while (n && (p = oldest(c, c->ticket)) != NULL)
		n -= give_notice(p, c->ticket);
	mpx__guard_release(&c->guard);
	return 0;
}

int mpx_condition_notify_all(mpx_condition *c)
{
	struct places *in;
	int error;

	if (!is_condition(c) || mpx__rlock_must_be_mine(c->lock) != 0)
		return -1;
	error = guard(c, MPX__SOON);
	if (error)
		return fail(error);
	for (struct place *p = next_place(c, &in, NULL); p; p = next_place(c, &in, p))
		give_notice(p, c->ticket);
	mpx__guard_release(&c->guard);
	return 0;
}

/* --- the rest -------------------------------------------------------------------- */

int mpx_condition_acquire(mpx_condition *c, double timeout)
{
	return is_condition(c) ? mpx_rlock_acquire(c->lock, timeout) : -1;
}

int mpx_condition_release(mpx_condition *c)
{
	return is_condition(c) ? mpx_rlock_release(c->lock) : -1;
}

int mpx_condition_consistent(mpx_condition *c)
{
	return is_condition(c) ? mpx_rlock_consistent(c->lock) : -1;
}

mpx_condition *mpx_condition_new(mpx_rlock *lock)
{
	mpx_condition *c;

	if (lock && !mpx__is_rlock(lock))
		return NULL;
	c = mpx__object_new(sizeof *c, MPX__CONDITION);
	if (!c)
		return NULL;
	mpx__rlock_init_inside(&c->own);
	c->lock = lock ? lock : &c->own;
	return c;
}

void mpx_condition_free(mpx_condition *c)
{
	struct places *more, *next;

	if (!c || !is_condition(c))
		return;
	if (guard(c, MPX__SOON) != 0)
		return;
	for (more = atomic_load(&c->places.next); more; more = next) {
		next = atomic_load(&more->next);
		mpx__heap_free(more, tag_of(c));
	}
	mpx__object_free(c);
}
