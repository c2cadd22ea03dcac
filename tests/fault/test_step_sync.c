/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of Semaphore, Condition, Event and Barrier: whoever is killed
 * there,
 *
 *   - a semaphore's units are all there, not one more, and its waiters get them
 *   - a condition's lock can be had; a waiter that was there gets the notice that the
 *     dead one had been given, or was giving
 *   - an event that is set lets everybody go
 *   - a barrier lets its parties go, or breaks; after a reset it is as good as new
 *
 * and no block is missing. Where the survivors can tell from outside that help must
 * have come (a unit is free, a call has returned), nobody else helps them.
 *
 * Seen to fail with, in src/sync: every holder taken for dead in collect, count_free
 * without effect (semaphore.c); the notices of the dead left where they are in
 * look_who_died (condition.c); `died` always false in wait_for_all (barrier.c).
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include <pthread.h>
#include <signal.h>

struct sync_case {
	unsigned value;	  /* of the semaphore */
	unsigned parties; /* of the barrier */
	bool action;	  /* has it one? */
	bool crowd;	  /* all the condition's first places are taken */
	long dead_until;  /* the first victim of two dies at an instruction before */
};

#define CASE ((const struct sync_case *)step_now->with)

struct world {
	mpx_semaphore *s;
	mpx_condition *c;
	mpx_rlock *lock; /* of c */
	mpx_event *e;
	mpx_barrier *b;
	pid_t crowd;
	int mine;	     /* units that the driver holds */
	atomic_int released; /* units beyond the first, of a semaphore made with 0 */
	atomic_int sleeping, woken, told, actions;
	atomic_bool returned; /* the victim's call */
	atomic_bool notified; /* the driver has notified the victim */
};

/* Becomes true in bounded time, without help. */
#define step_soon(condition)                                                                       \
	do {                                                                                       \
		double end_ = now() + STEP_HANG;                                                   \
		while (!(condition) && now() < end_)                                               \
			nap();                                                                     \
		step_check(condition);                                                             \
	} while (0)

/* --- semaphore ------------------------------------------------------------------------ */

static void make_semaphore(struct world *w)
{
	w->s = mpx_bounded_semaphore_new(CASE->value);
	step_check(w->s);
}

static void take(struct world *w)
{
	mpx_semaphore_acquire(w->s, STEP_HANG);
}

static void take_all(struct world *w)
{
	for (unsigned i = 0; i < CASE->value; i++)
		take(w);
}

static void give(struct world *w)
{
	mpx_semaphore_release(w->s);
	atomic_store(&w->returned, true);
}

static void take_and_give(struct world *w)
{
	take(w);
	give(w);
}

static void take_and_give_all(struct world *w)
{
	take_all(w);
	for (unsigned i = 0; i < CASE->value; i++)
		give(w);
}

static void take_in_vain(struct world *w)
{
	mpx_semaphore_acquire(w->s, 0);
	mpx_semaphore_acquire(w->s, 0.003);
}

static void make_held(struct world *w)
{
	make_semaphore(w);
	for (; w->mine < (int)CASE->value; w->mine++)
		step_check(mpx_semaphore_acquire(w->s, 0) == 0);
}

static void make_dead_holder(struct world *w)
{
	make_semaphore(w);
	step_die(take_all, w);
}

static void make_dead_inside(struct world *w)
{
	make_semaphore(w);
	step_die_at(NULL, take_and_give_all, w, (long)(step_random() % (uint64_t)CASE->dead_until));
}

static void give_mine(struct world *w)
{
	for (; w->mine; w->mine--)
		step_check(mpx_semaphore_release(w->s) == 0);
}

/* The victim may wake up by itself and then stand at a breakpoint, inside, until this
 * returns: so what times out here is done the next time, or when it is dead. */
static void nudge_give(struct world *w, int times)
{
	(void)times;
	for (; w->mine; w->mine--)
		if (mpx_semaphore_release(w->s) != 0)
			return;
}

static void nudge_give_to_two(struct world *w, int times)
{
	if (times == 0)
		step_start_waiters();
	nudge_give(w, times);
}

static void pass(struct world *w, int i)
{
	(void)i;
	step_check(mpx_semaphore_acquire(w->s, STEP_HANG) == 0);
	step_check(mpx_semaphore_release(w->s) == 0);
	atomic_fetch_add(&w->woken, 1);
}

static void killed_semaphore(struct world *w)
{
	give_mine(w);
	pass(w, 0);
}

static void after_semaphore(struct world *w)
{
	for (unsigned i = 0; i < CASE->value; i++)
		step_check(mpx_semaphore_acquire(w->s, STEP_HANG) == 0);
	step_check(mpx_semaphore_acquire(w->s, 0) == -1 && errno == ETIMEDOUT);
	step_check(mpx_semaphore_value(w->s) == 0);
	for (unsigned i = 0; i < CASE->value; i++)
		step_check(mpx_semaphore_release(w->s) == 0);
	step_check(mpx_semaphore_release(w->s) == -1 && errno == EOVERFLOW);
	step_check(mpx_semaphore_value(w->s) == (int)CASE->value);
	mpx_semaphore_free(w->s);
}

static void killed_empty(struct world *w)
{
	(void)w;
}

/* Made with 0: a unit for the waiter, from the victim or else from here. */
static void make_zero(struct world *w)
{
	w->s = mpx_semaphore_new(0);
	step_check(w->s);
}

static void take_one(struct world *w, int i)
{
	(void)i;
	step_check(mpx_semaphore_acquire(w->s, STEP_HANG) == 0);
	atomic_fetch_add(&w->woken, 1);
}

static void killed_giver(struct world *w)
{
	if (atomic_load(&w->returned))
		return;
	step_check(mpx_semaphore_release(w->s) == 0);
	atomic_fetch_add(&w->released, 1);
}

static void after_zero(struct world *w)
{
	int value = mpx_semaphore_value(w->s);

	step_check(value >= 0 && value <= 1);
	step_check(value == 0 || atomic_load(&w->released) == 1);
	step_check(atomic_load(&w->woken) == step_waiters_started());
	mpx_semaphore_free(w->s);
}

/* --- condition -------------------------------------------------------------------------- */

static int lock(struct world *w)
{
	int r = mpx_condition_acquire(w->c, STEP_HANG);

	step_check(r == 0 || errno == EOWNERDEAD);
	if (r != 0)
		step_check(mpx_condition_consistent(w->c) == 0);
	return r;
}

static void unlock(struct world *w)
{
	step_check(mpx_condition_release(w->c) == 0);
}

/* Whoever gets the lock and sees it counted knows that it waits. */
static void wait_inside(struct world *w, double timeout)
{
	double end = now() + timeout;
	int r;

	lock(w);
	atomic_fetch_add(&w->sleeping, 1);
	do /* "nothing has happened": the victim is stopped inside */
		r = mpx_condition_wait(w->c, timeout);
	while (r != 0 && errno == ETIMEDOUT && now() < end);
	step_check(r == 0 || errno == EOWNERDEAD);
	if (r != 0)
		step_check(mpx_condition_consistent(w->c) == 0);
	atomic_fetch_add(&w->woken, 1);
	unlock(w);
}

static void *wait_in_crowd(void *arg)
{
	wait_inside(arg, MPX_FOREVER);
	return NULL;
}

static int be_crowd(void *arg)
{
	pthread_t t;

	for (int i = 0; i < 32; i++)
		child_check(pthread_create(&t, NULL, wait_in_crowd, arg) == 0);
	for (;;)
		pause();
}

static void make_condition(struct world *w)
{
	step_check(w->lock = mpx_rlock_new());
	step_check(w->c = mpx_condition_new(w->lock));
	if (!CASE || !CASE->crowd)
		return;
	w->crowd = fork_child(be_crowd, w);
	step_soon(atomic_load(&w->sleeping) == 32);
}

static void wait_as_victim(struct world *w)
{
	mpx_condition_acquire(w->c, STEP_HANG);
	mpx_condition_wait(w->c, 2 * STEP_HANG);
	atomic_store(&w->returned, true);
	mpx_condition_release(w->c);
}

static void wait_in_vain(struct world *w)
{
	mpx_condition_acquire(w->c, STEP_HANG);
	mpx_condition_wait(w->c, 0);
	mpx_condition_wait(w->c, 0.003);
	mpx_condition_release(w->c);
}

/* The waiters wait already: so it is the victim that locks, and not before. */
static void notify_one(struct world *w)
{
	mpx_condition_acquire(w->c, STEP_HANG);
	mpx_condition_notify(w->c, 1);
	atomic_store(&w->returned, true);
	mpx_condition_release(w->c);
}

static void notify_everybody(struct world *w)
{
	mpx_condition_acquire(w->c, STEP_HANG);
	mpx_condition_notify_all(w->c);
	atomic_store(&w->returned, true);
	mpx_condition_release(w->c);
}

static void notify(struct world *w, unsigned n)
{
	lock(w);
	step_check(mpx_condition_notify(w->c, n) == 0);
	unlock(w);
}

/* As nudge_give. */
static void nudge_notify(struct world *w, int times)
{
	(void)times;
	if (atomic_load(&w->notified))
		return;
	if (mpx_condition_acquire(w->c, 0.02) != 0) {
		if (errno != EOWNERDEAD)
			return;
		step_check(mpx_condition_consistent(w->c) == 0);
	}
	atomic_store(&w->notified, mpx_condition_notify(w->c, 1) == 0);
	unlock(w);
}

static void nudge_notify_to_two(struct world *w, int times)
{
	if (times == 0)
		step_start_waiters();
	if (atomic_load(&w->sleeping) == step_waiters_started())
		nudge_notify(w, times);
}

static void waiter_of_condition(struct world *w, int i)
{
	(void)i;
	wait_inside(w, 4 * STEP_HANG);
}

static void killed_condition(struct world *w)
{
	notify(w, 1);
}

/* The victim had been given a notice. If it had not yet got the lock, it had not taken
 * it: another one, who was waiting, has it now. */
static void killed_notified(struct world *w)
{
	bool inside = mpx_rlock_locked(w->lock) || atomic_load(&w->returned);

	if (atomic_load(&w->notified) && !inside)
		step_soon(atomic_load(&w->woken) == 1);
	else
		notify(w, 1000);
}

/* Who comes while the lock's holder is dead sleeps before it has a place. */
static bool have_places(struct world *w)
{
	return atomic_load(&w->sleeping) == step_waiters_started() && !mpx_rlock_locked(w->lock);
}

static void killed_notifying(struct world *w)
{
	lock(w);
	unlock(w);
	if (atomic_load(&w->returned))
		step_soon(atomic_load(&w->woken) >= 1);
	notify(w, 1000);
}

static void killed_notifying_all(struct world *w)
{
	lock(w);
	unlock(w);
	if (!atomic_load(&w->returned))
		notify(w, 1000);
}

static void after_condition(struct world *w)
{
	if (w->crowd) {
		kill(w->crowd, SIGKILL);
		step_check(wait_child(w->crowd) == -SIGKILL);
	}
	step_check(w->crowd || atomic_load(&w->woken) == step_waiters_started());
	lock(w);
	step_check(mpx_condition_wait(w->c, 0.001) == -1 && errno == ETIMEDOUT);
	unlock(w);
	mpx_condition_free(w->c);
	mpx_rlock_free(w->lock);
}

/* A notice that one dead victim had is handed on by the next, who is killed as well. */
static void make_notice_of_dead(struct world *w)
{
	make_condition(w);
	step_die_at(NULL, notify_one, w, (long)(step_random() % (uint64_t)CASE->dead_until));
	atomic_store(&w->returned, false);
}

static void take_over_and_notify(struct world *w)
{
	if (mpx_condition_acquire(w->c, STEP_HANG) != 0)
		mpx_condition_consistent(w->c);
	mpx_condition_notify(w->c, 1);
	atomic_store(&w->returned, true);
	mpx_condition_release(w->c);
}

/* --- event -------------------------------------------------------------------------------- */

static void make_event(struct world *w)
{
	w->e = mpx_event_new();
	step_check(w->e);
}

static void set(struct world *w)
{
	mpx_event_set(w->e);
	atomic_store(&w->returned, true);
}

static void set_and_clear(struct world *w)
{
	set(w);
	mpx_event_clear(w->e);
}

static void wait_for_event(struct world *w)
{
	mpx_event_wait(w->e, STEP_HANG);
}

static void nudge_set(struct world *w, int times)
{
	(void)times;
	step_check(mpx_event_set(w->e) == 0);
}

static void waiter_of_event(struct world *w, int i)
{
	(void)i;
	step_check(mpx_event_wait(w->e, STEP_HANG) == 0);
	atomic_fetch_add(&w->woken, 1);
}

static void killed_setter(struct world *w)
{
	if (!atomic_load(&w->returned) && !mpx_event_is_set(w->e))
		step_check(mpx_event_set(w->e) == 0);
}

static void after_event(struct world *w)
{
	step_check(atomic_load(&w->woken) == step_waiters_started());
	step_check(mpx_event_clear(w->e) == 0);
	step_check(mpx_event_wait(w->e, 0) == -1 && errno == ETIMEDOUT);
	step_check(mpx_event_set(w->e) == 0);
	step_check(mpx_event_wait(w->e, 0) == 0);
	mpx_event_free(w->e);
}

/* --- barrier -------------------------------------------------------------------------------- */

static int action(void *arg)
{
	struct world *w = arg;

	atomic_fetch_add(&w->actions, 1);
	return 0;
}

static void make_barrier(struct world *w)
{
	if (CASE->action)
		w->b = mpx_barrier_new(.parties = CASE->parties, .action = action, .arg = w);
	else
		w->b = mpx_barrier_new(.parties = CASE->parties);
	step_check(w->b);
}

static void wait_at_barrier(struct world *w)
{
	mpx_barrier_wait(w->b, 2 * STEP_HANG);
	atomic_store(&w->returned, true);
}

static void wait_at_barrier_twice(struct world *w)
{
	mpx_barrier_wait(w->b, 2 * STEP_HANG);
	mpx_barrier_wait(w->b, 2 * STEP_HANG);
}

static void time_out_at_barrier(struct world *w)
{
	mpx_barrier_wait(w->b, 0.003);
	atomic_store(&w->returned, true);
}

static void abort_barrier(struct world *w)
{
	mpx_barrier_abort(w->b);
	atomic_store(&w->returned, true);
}

static void reset_barrier(struct world *w)
{
	mpx_barrier_reset(w->b);
	atomic_store(&w->returned, true);
}

static void nudge_arrive(struct world *w, int times)
{
	if (times < 2)
		step_check(mpx_barrier_wait(w->b, 0) == (int)CASE->parties - 1);
}

static void waiter_at_barrier(struct world *w, int i)
{
	int index = mpx_barrier_wait(w->b, 4 * STEP_HANG);

	(void)i;
	step_check(index >= 0 || errno == ECANCELED);
	atomic_fetch_add(index >= 0 ? &w->woken : &w->told, 1);
}

/* Nobody is there but the dead: I am told, or break it, or we had all arrived just now. */
static void killed_at_barrier(struct world *w)
{
	int r = mpx_barrier_wait(w->b, 0.001);

	step_check(r >= 0 || errno == ETIMEDOUT || errno == ECANCELED);
}

/* If the victim had arrived, the waiters come out by themselves. */
static void killed_among_parties(struct world *w)
{
	int waiting = mpx_barrier_n_waiting(w->b);

	if (waiting == step_waiters_started())
		step_check(mpx_barrier_abort(w->b) == 0);
}

static void killed_breaking(struct world *w)
{
	if (mpx_barrier_n_waiting(w->b) && !atomic_load(&w->returned))
		step_check(mpx_barrier_abort(w->b) == 0);
}

static int be_party(void *arg)
{
	struct world *w = arg;

	return mpx_barrier_wait(w->b, STEP_HANG);
}

static void after_barrier(struct world *w)
{
	pid_t others[2];

	step_check(atomic_load(&w->woken) + atomic_load(&w->told) == step_waiters_started());
	step_check(atomic_load(&w->woken) == 0 || atomic_load(&w->told) == 0);
	step_check(!CASE->action || atomic_load(&w->woken) == 0 || atomic_load(&w->actions) == 1);
	step_check(mpx_barrier_reset(w->b) == 0);
	step_check(!mpx_barrier_broken(w->b) && mpx_barrier_n_waiting(w->b) == 0);
	for (int i = 0; i + 1 < (int)CASE->parties; i++) {
		others[i] = fork_child(be_party, w);
		step_soon(mpx_barrier_n_waiting(w->b) == i + 1);
	}
	step_check(mpx_barrier_wait(w->b, STEP_HANG) == (int)CASE->parties - 1);
	for (int i = 0; i + 1 < (int)CASE->parties; i++)
		step_check(wait_child(others[i]) == i);
	mpx_barrier_free(w->b);
}

static void make_dead_party(struct world *w)
{
	make_barrier(w);
	step_die_at(NULL, time_out_at_barrier, w,
		    (long)(step_random() % (uint64_t)CASE->dead_until));
	atomic_store(&w->returned, false);
}

#define SEMAPHORE(n)                                                                               \
	.with = &(const struct sync_case)                                                          \
	{                                                                                          \
		.value = n, .dead_until = 700                                                      \
	}
#define BARRIER(n)                                                                                 \
	.with = &(const struct sync_case)                                                          \
	{                                                                                          \
		.parties = n, .dead_until = 400                                                    \
	}
#define WITH_ACTION(n)                                                                             \
	.with = &(const struct sync_case)                                                          \
	{                                                                                          \
		.parties = n, .action = true                                                       \
	}
#define CONDITION                                                                                  \
	.with = &(const struct sync_case)                                                          \
	{                                                                                          \
		.dead_until = 400                                                                  \
	}

static const struct step steps[] = {
	{"semaphore: acquire, release, value 1", make_semaphore, NULL, take_and_give,
	 .killed = killed_semaphore, .after = after_semaphore, SEMAPHORE(1)},
	{"semaphore: acquire, release, value 3", make_semaphore, NULL, take_and_give_all,
	 .killed = killed_semaphore, .after = after_semaphore, SEMAPHORE(3)},
	{"semaphore: acquire in vain, value 0", make_semaphore, NULL, take_in_vain,
	 .killed = killed_empty, .after = after_semaphore, SEMAPHORE(0)},
	{"semaphore: acquire in vain, 1 waiter", make_held, NULL, take_in_vain,
	 .killed = killed_semaphore, .after = after_semaphore, .waiter = pass, .waiters = 1,
	 SEMAPHORE(1)},
	{"semaphore: release, 1 waiter", make_semaphore, take_all, give, .killed = killed_semaphore,
	 .after = after_semaphore, .waiter = pass, .waiters = 1, SEMAPHORE(1)},
	{"semaphore: release, 3 waiters, value 2", make_semaphore, take_all, give,
	 .killed = killed_semaphore, .after = after_semaphore, .waiter = pass, .waiters = 3,
	 SEMAPHORE(2)},
	{"semaphore: release, nobody's, 1 waiter", make_zero, NULL, give, .killed = killed_giver,
	 .after = after_zero, .waiter = take_one, .waiters = 1},
	{"semaphore: acquire asleep, then woken", make_held, NULL, take_and_give, nudge_give,
	 .killed = killed_semaphore, .after = after_semaphore, SEMAPHORE(1)},
	{"semaphore: woken before a waiter", make_held, NULL, take_and_give, nudge_give_to_two,
	 .killed = killed_semaphore, .after = after_semaphore, .waiter = pass, .waiters = 1,
	 .late = true, SEMAPHORE(1)},
	{"semaphore: take from the dead", make_dead_holder, NULL, take_and_give,
	 .killed = killed_semaphore, .after = after_semaphore, SEMAPHORE(2)},
	{"semaphore: take from the dead, 2 waiters", make_dead_holder, NULL, take_and_give,
	 .killed = killed_semaphore, .after = after_semaphore, .waiter = pass, .waiters = 2,
	 SEMAPHORE(1)},
	{"semaphore: two deaths", make_dead_inside, NULL, take_and_give, .killed = killed_semaphore,
	 .after = after_semaphore, .varies = true, SEMAPHORE(2)},

	{"condition: wait, then notified", make_condition, NULL, wait_as_victim, nudge_notify,
	 .killed = killed_condition, .after = after_condition, CONDITION},
	{"condition: wait in vain", make_condition, NULL, wait_in_vain, .killed = killed_condition,
	 .after = after_condition, CONDITION},
	{"condition: wait in vain, 1 waiter", make_condition, NULL, wait_in_vain,
	 .killed = killed_condition, .after = after_condition, .waiter = waiter_of_condition,
	 .waiters = 1, CONDITION},
	{"condition: notified before a waiter", make_condition, NULL, wait_as_victim,
	 nudge_notify_to_two, .killed = killed_notified, .after = after_condition,
	 .waiter = waiter_of_condition, .waiters = 1, .late = true, CONDITION},
	{"condition: wait, no place is free", make_condition, NULL, wait_in_vain,
	 .killed = killed_condition, .after = after_condition, .varies = true, .seconds = 2,
	 .with = &(const struct sync_case){.crowd = true}},
	{"condition: notify, 2 waiters", make_condition, NULL, notify_one,
	 .killed = killed_notifying, .after = after_condition, .waiter = waiter_of_condition,
	 .waiters = 2, CONDITION},
	{"condition: notify_all, 3 waiters", make_condition, NULL, notify_everybody,
	 .killed = killed_notifying_all, .after = after_condition, .waiter = waiter_of_condition,
	 .waiters = 3, CONDITION},
	{"condition: two deaths in notify, 2 waiters", make_notice_of_dead, NULL,
	 take_over_and_notify, .killed = killed_notifying, .after = after_condition,
	 .waiter = waiter_of_condition, .in_place = have_places, .waiters = 2, .varies = true,
	 CONDITION},

	{"event: set, 2 waiters", make_event, NULL, set, .killed = killed_setter,
	 .after = after_event, .waiter = waiter_of_event, .waiters = 2},
	{"event: set and clear, 2 waiters", make_event, NULL, set_and_clear,
	 .killed = killed_setter, .after = after_event, .waiter = waiter_of_event, .waiters = 2},
	{"event: wait, then set, 1 waiter", make_event, NULL, wait_for_event, nudge_set,
	 .killed = killed_setter, .after = after_event, .waiter = waiter_of_event, .waiters = 1},

	{"barrier: first of 2", make_barrier, NULL, wait_at_barrier, nudge_arrive,
	 .killed = killed_at_barrier, .after = after_barrier, BARRIER(2)},
	{"barrier: first of 2, twice", make_barrier, NULL, wait_at_barrier_twice, nudge_arrive,
	 .killed = killed_at_barrier, .after = after_barrier, BARRIER(2)},
	{"barrier: out of time", make_barrier, NULL, time_out_at_barrier,
	 .killed = killed_at_barrier, .after = after_barrier, BARRIER(2)},
	{"barrier: out of time, 1 waiter", make_barrier, NULL, time_out_at_barrier,
	 .killed = killed_among_parties, .after = after_barrier, .waiter = waiter_at_barrier,
	 .waiters = 1, BARRIER(3)},
	{"barrier: second of 3", make_barrier, NULL, wait_at_barrier, nudge_arrive,
	 .killed = killed_among_parties, .after = after_barrier, .waiter = waiter_at_barrier,
	 .waiters = 1, BARRIER(3)},
	{"barrier: last of 2", make_barrier, NULL, wait_at_barrier, .killed = killed_among_parties,
	 .after = after_barrier, .waiter = waiter_at_barrier, .waiters = 1, BARRIER(2)},
	{"barrier: last of 3, with an action", make_barrier, NULL, wait_at_barrier,
	 .killed = killed_among_parties, .after = after_barrier, .waiter = waiter_at_barrier,
	 .waiters = 2, WITH_ACTION(3)},
	{"barrier: abort, 2 waiters", make_barrier, NULL, abort_barrier, .killed = killed_breaking,
	 .after = after_barrier, .waiter = waiter_at_barrier, .waiters = 2, BARRIER(3)},
	{"barrier: reset, 2 waiters", make_barrier, NULL, reset_barrier, .killed = killed_breaking,
	 .after = after_barrier, .waiter = waiter_at_barrier, .waiters = 2, BARRIER(3)},
	{"barrier: two deaths", make_dead_party, NULL, time_out_at_barrier,
	 .killed = killed_at_barrier, .after = after_barrier, .varies = true, BARRIER(3)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
