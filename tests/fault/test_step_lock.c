/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of Lock, RLock and a Value with its lock: whoever is killed
 * there, the others get the lock, one at a time, and are told if it was held.
 *
 * Seen to fail with, in src/shm/word.c: MPX__DIED not set in take_dead; "look" always
 * false in acquire_slowly. In src/sync/rlock.c: depth++ instead of depth = 1.
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include <sched.h>

struct world {
	mpx_lock *l;
	mpx_rlock *r;
	mpx_value *v;
	bool mine; /* the driver holds it */
	atomic_int inside, passed;
};

static int acquire(struct world *w, double timeout)
{
	return w->l ? mpx_lock_acquire(w->l, timeout) : mpx_rlock_acquire(w->r, timeout);
}

static int release(struct world *w)
{
	return w->l ? mpx_lock_release(w->l) : mpx_rlock_release(w->r);
}

static int consistent(struct world *w)
{
	return w->l ? mpx_lock_consistent(w->l) : mpx_rlock_consistent(w->r);
}

static bool locked(struct world *w)
{
	return w->l ? mpx_lock_locked(w->l) : mpx_rlock_locked(w->r);
}

/* --- making and freeing ----------------------------------------------------------- */

static void make_lock(struct world *w)
{
	w->l = mpx_lock_new();
	step_check(w->l);
}

static void make_rlock(struct world *w)
{
	w->r = mpx_rlock_new();
	step_check(w->r);
}

static void make_value(struct world *w)
{
	w->v = mpx_value_new('i', 1);
	step_check(w->v);
	w->r = mpx_value_lock(w->v);
}

static void hold(struct world *w)
{
	step_check(acquire(w, 0) == 0);
	w->mine = true;
}

static void let_go(struct world *w)
{
	if (w->mine)
		step_check(release(w) == 0);
	w->mine = false;
}

static void make_held_lock(struct world *w)
{
	make_lock(w);
	hold(w);
}

static void make_held_rlock(struct world *w)
{
	make_rlock(w);
	hold(w);
}

static void free_all(struct world *w)
{
	mpx_lock_free(w->l);
	if (w->v)
		mpx_value_free(w->v);
	else
		mpx_rlock_free(w->r);
}

/* --- survivors ----------------------------------------------------------------------- */

/* One at a time. */
static void be_inside(struct world *w)
{
	step_check(atomic_exchange(&w->inside, 1) == 0);
	sched_yield();
	atomic_fetch_add(&w->passed, 1);
	step_check(atomic_exchange(&w->inside, 0) == 1);
}

static void pass(struct world *w, int i)
{
	(void)i;
	int r = acquire(w, STEP_HANG);
	step_check(r == 0 || errno == EOWNERDEAD);
	if (r != 0 && errno != EOWNERDEAD)
		return;
	be_inside(w);
	if (r != 0)
		step_check(consistent(w) == 0);
	step_check(release(w) == 0);
}

/* Nobody else is there: EOWNERDEAD says whether the victim held it, and stays. */
static void killed_alone(struct world *w)
{
	bool held = locked(w);
	int r = acquire(w, STEP_HANG);
	bool told = r != 0 && errno == EOWNERDEAD;
	step_check(r == 0 || told);
	step_check(told == held);
	step_check(release(w) == 0);
	step_check(acquire(w, 0) == (told ? -1 : 0) && (!told || errno == EOWNERDEAD));
	step_check(consistent(w) == 0);
	step_check(release(w) == 0);
	pass(w, 0);
}

static void killed(struct world *w)
{
	let_go(w);
	pass(w, 0);
}

static void after(struct world *w)
{
	step_check(atomic_load(&w->passed) == 1 + step_waiters_started());
	step_check(!locked(w));
	step_check(acquire(w, 0) == 0);
	step_check(release(w) == 0);
	free_all(w);
}

static void after_value(struct world *w)
{
	int x = -1;
	step_check(mpx_value_get(w->v, &x) == 0);
	step_check(x == 1 || x == 7 || x == 1007);
	after(w);
}

/* --- victims ---------------------------------------------------------------------------- */

static void take(struct world *w)
{
	acquire(w, STEP_HANG);
}

static void take_three_times(struct world *w)
{
	for (int i = 0; i < 3; i++)
		acquire(w, STEP_HANG);
}

static void leave(struct world *w)
{
	release(w);
}

static void leave_three_times(struct world *w)
{
	for (int i = 0; i < 3; i++)
		release(w);
}

static void take_and_leave(struct world *w)
{
	take(w);
	leave(w);
}

static void leave_and_take(struct world *w)
{
	leave(w);
	take(w);
}

static void take_and_leave_three_times(struct world *w)
{
	take_three_times(w);
	leave_three_times(w);
}

static void try_and_fail(struct world *w)
{
	acquire(w, 0);
	acquire(w, 0.003);
}

static void change_value(struct world *w)
{
	int seven = 7;
	mpx_rlock_acquire(w->r, STEP_HANG);
	mpx_value_set(w->v, &seven);
	mpx_value_update(w->v, MPX_VALUE_ADD, mpx_number_i(1000), mpx_number_i(0));
	mpx_rlock_release(w->r);
}

/* Recovers from the death of another one. */
static void take_over(struct world *w)
{
	if (acquire(w, STEP_HANG) != 0)
		consistent(w);
	release(w);
}

static void make_dead_lock(struct world *w)
{
	make_lock(w);
	step_die(take, w);
}

static void make_dead_rlock(struct world *w)
{
	make_rlock(w);
	step_die(take_three_times, w);
}

/* --- what happens to a sleeping victim ------------------------------------------------- */

static void nudge_release(struct world *w, int times)
{
	(void)times;
	let_go(w);
}

/* The waiter sleeps behind the victim, who is woken. */
static void nudge_release_to_two(struct world *w, int times)
{
	(void)times;
	step_start_waiters();
	let_go(w);
}

/* And before it runs, another one has the lock. */
static void nudge_release_and_barge(struct world *w, int times)
{
	if (times == 0) {
		step_start_waiters();
		let_go(w);
		int r = acquire(w, 0);
		w->mine = r == 0;
	} else {
		let_go(w);
	}
}

#define ALONE .killed = killed_alone, .after = after
#define SHARED(n) .killed = killed, .after = after, .waiter = pass, .waiters = n

static const struct step steps[] = {
	{"lock: acquire, release", make_lock, NULL, take_and_leave, ALONE},
	{"lock: release, 1 waiter", make_lock, take, leave, SHARED(1)},
	{"lock: release, 3 waiters", make_lock, take, leave, SHARED(3)},
	{"lock: release, acquire, 2 waiters", make_lock, take, leave_and_take, SHARED(2)},
	{"lock: acquire asleep, then woken", make_held_lock, NULL, take_and_leave, nudge_release,
	 .killed = killed, .after = after},
	{"lock: acquire asleep behind a waiter", make_held_lock, NULL, take_and_leave,
	 nudge_release, SHARED(1)},
	{"lock: woken before a waiter", make_held_lock, NULL, take_and_leave, nudge_release_to_two,
	 .killed = killed, .after = after, .waiter = pass, .waiters = 1, .late = true},
	{"lock: woken before a waiter, somebody barges in", make_held_lock, NULL, take_and_leave,
	 nudge_release_and_barge, .killed = killed, .after = after, .waiter = pass, .waiters = 2,
	 .late = true},
	{"lock: acquire in vain, 1 waiter", make_held_lock, NULL, try_and_fail, SHARED(1)},
	{"lock: take over from the dead", make_dead_lock, NULL, take_over, ALONE},
	{"lock: take over from the dead, 2 waiters", make_dead_lock, NULL, take_over, SHARED(2)},
	{"rlock: acquire, release", make_rlock, NULL, take_and_leave, ALONE},
	{"rlock: depth 1 to 3 and back", make_rlock, NULL, take_and_leave_three_times, ALONE},
	{"rlock: release from depth 3, 1 waiter", make_rlock, take_three_times, leave_three_times,
	 SHARED(1)},
	{"rlock: acquire asleep behind a waiter", make_held_rlock, NULL, take_and_leave,
	 nudge_release, SHARED(1)},
	{"rlock: take over from the dead", make_dead_rlock, NULL, take_over, ALONE},
	{"value: lock, set, update, unlock", make_value, NULL, change_value, .killed = killed_alone,
	 .after = after_value},
	{"value: lock, set, update, unlock, 1 waiter", make_value, take, change_value,
	 .killed = killed, .after = after_value, .waiter = pass, .waiters = 1},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
