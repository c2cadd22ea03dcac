/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Random kills among six processes that use Semaphore, Condition, Event and Barrier.
 *
 *   - semaphore: every acquire gets a unit; at the end there are exactly the initial ones
 *   - condition: members take turns; or one notice goes round, which is given anew when
 *     time passes; nobody waits for ever
 *   - event: set and cleared by some, waited for by others; every wait ends
 *   - barrier: phases go on; who is told that it is broken mends it
 *
 * Kills and the long form: storm.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <signal.h>

enum { MEMBERS = 6, KILLS = 100, UNITS = 2, PARTIES = 3 };

struct world {
	atomic_bool stop;
	mpx_semaphore *s;
	mpx_condition *c;
	mpx_event *e;
	mpx_barrier *b;
	unsigned turn; /* guarded by the condition's lock */
	atomic_uint done;
	struct storm_ticks ticks;
};

struct member {
	struct world *w;
	int number;
	mpx_process *process;
};

static void did_it(struct world *w)
{
	atomic_fetch_add(&w->done, 1);
	storm_tick(&w->ticks);
}

/* --- what they do, each for itself ------------------------------------------------------ */

static int use_semaphore(void *arg)
{
	struct world *w = ((const struct member *)arg)->w;

	while (!atomic_load(&w->stop)) {
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
		did_it(w);
		child_check(mpx_semaphore_value(w->s) < UNITS);
		child_check(mpx_semaphore_release(w->s) == 0);
	}
	return 0;
}

/* True: the lock's holder was killed. */
static bool is_mended(struct world *w, int r)
{
	child_check(r == 0 || errno == EOWNERDEAD);
	if (r != 0)
		child_check(mpx_condition_consistent(w->c) == 0);
	return r != 0;
}

/* In turn; who is next may have been killed: its successor waits for its number. And whose
 * turn it was may have been killed before it had told the others. */
static int take_turns(void *arg)
{
	const struct member *m = arg;
	struct world *w = m->w;

	if (is_mended(w, mpx_condition_acquire(w->c, SOON)))
		child_check(mpx_condition_notify_all(w->c) == 0);
	while (!atomic_load(&w->stop)) {
		if (w->turn % MEMBERS == (unsigned)m->number) {
			w->turn++;
			did_it(w);
			child_check(mpx_condition_notify_all(w->c) == 0);
		} else if (is_mended(w, mpx_condition_wait(w->c, SOON))) {
			child_check(mpx_condition_notify_all(w->c) == 0);
		}
	}
	child_check(mpx_condition_notify_all(w->c) == 0);
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

/* One notice goes round: who gets it gives the next. Lost with its holder, which each
 * waiter finds out by the time that passes. */
static int pass_notice(void *arg)
{
	struct world *w = ((const struct member *)arg)->w;

	is_mended(w, mpx_condition_acquire(w->c, SOON));
	while (!atomic_load(&w->stop)) {
		int r = mpx_condition_wait(w->c, 0.2), error = errno;

		child_check(r == 0 || error == EOWNERDEAD || error == ETIMEDOUT);
		if (r != 0 && error == EOWNERDEAD)
			child_check(mpx_condition_consistent(w->c) == 0);
		did_it(w);
		child_check(mpx_condition_notify(w->c, 1) == 0);
	}
	child_check(mpx_condition_notify_all(w->c) == 0);
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

static int use_event(void *arg)
{
	const struct member *m = arg;
	struct world *w = m->w;

	while (!atomic_load(&w->stop)) {
		if (m->number < 2) {
			child_check(mpx_event_set(w->e) == 0);
			child_check(mpx_event_clear(w->e) == 0);
		} else {
			child_check(mpx_event_wait(w->e, SOON) == 0);
			did_it(w);
		}
	}
	child_check(mpx_event_set(w->e) == 0);
	return 0;
}

/* Three of the six, whichever come; a broken one is mended by all who are told. */
static int pass_barrier(void *arg)
{
	struct world *w = ((const struct member *)arg)->w;

	while (!atomic_load(&w->stop)) {
		int index = mpx_barrier_wait(w->b, SOON);

		child_check(index >= 0 || errno == ECANCELED);
		child_check(index < PARTIES);
		if (index >= 0)
			did_it(w);
		else if (mpx_barrier_broken(w->b))
			child_check(mpx_barrier_reset(w->b) == 0);
	}
	child_check(mpx_barrier_abort(w->b) == 0);
	return 0;
}

/* --- the storm ------------------------------------------------------------------------- */

static struct world *make_world(void)
{
	struct world *w = mpx_calloc(1, sizeof *w);

	assert_non_null(w);
	assert_non_null(w->s = mpx_bounded_semaphore_new(UNITS));
	assert_non_null(w->c = mpx_condition_new(NULL));
	assert_non_null(w->e = mpx_event_new());
	assert_non_null(w->b = mpx_barrier_new(.parties = PARTIES));
	return w;
}

/* All is as it should be, and is used once more. */
static void settle(struct world *w)
{
	int r;

	for (int i = 0; i < UNITS; i++)
		assert_ok(mpx_semaphore_acquire(w->s, 1));
	assert_fails(mpx_semaphore_acquire(w->s, 0.2), ETIMEDOUT);
	for (int i = 0; i < UNITS; i++)
		assert_ok(mpx_semaphore_release(w->s));
	assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
	r = mpx_condition_acquire(w->c, 1);
	assert_true(r == 0 || errno == EOWNERDEAD);
	assert_ok(mpx_condition_consistent(w->c));
	assert_ok(mpx_condition_notify_all(w->c));
	assert_fails(mpx_condition_wait(w->c, 0.01), ETIMEDOUT);
	assert_ok(mpx_condition_release(w->c));
	assert_ok(mpx_event_set(w->e));
	assert_ok(mpx_event_wait(w->e, 0));
	assert_ok(mpx_barrier_reset(w->b));
	assert_int_equal(mpx_barrier_n_waiting(w->b), 0);
	assert_fails(mpx_barrier_wait(w->b, 0.01), ETIMEDOUT);
	assert_true(atomic_load(&w->done) > 0);
}

static void free_world(struct world *w)
{
	mpx_semaphore_free(w->s);
	mpx_condition_free(w->c);
	mpx_event_free(w->e);
	mpx_barrier_free(w->b);
	mpx_free(w);
}

static mpx_target *target;

static void round_kills(uint64_t *seed)
{
	size_t before = heap_blocks();
	struct world *w = make_world();
	struct member m[MEMBERS];
	pid_t pids[MEMBERS];

	for (int i = 0; i < MEMBERS; i++) {
		m[i] = (struct member){w, i, NULL};
		m[i].process = start(target, &m[i]);
		pids[i] = mpx_process_pid(m[i].process);
	}
	for (int kills = 0; kills < KILLS && !storm_late(); kills++) {
		unsigned i;

		storm_pause(seed);
		i = storm_victim(seed, pids, MEMBERS);
		assert_int_equal(storm_kill(m[i].process), -SIGKILL);
		m[i].process = start(target, &m[i]);
		pids[i] = mpx_process_pid(m[i].process);
	}
	atomic_store(&w->stop, true);
	if (target == use_event) /* the setters may have left before a waiter came */
		assert_ok(mpx_event_set(w->e));
	if (target == pass_barrier)
		assert_ok(mpx_barrier_abort(w->b));
	for (int i = 0; i < MEMBERS; i++)
		ends_well(m[i].process);
	storm_ticks_end(&w->ticks);
	settle(w);
	free_world(w);
	storm_heap_has(before);
}

static void run(const char *what, mpx_target *fn)
{
	target = fn;
	storm_run(what, round_kills);
}

static void test_semaphore(void **state)
{
	(void)state;
	run("semaphore", use_semaphore);
}

static void test_turns(void **state)
{
	(void)state;
	run("condition, in turn", take_turns);
}

static void test_notice(void **state)
{
	(void)state;
	run("condition, one notice", pass_notice);
}

static void test_event(void **state)
{
	(void)state;
	run("event", use_event);
}

static void test_barrier(void **state)
{
	(void)state;
	run("barrier", pass_barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_semaphore), mpx_test(test_turns),	  mpx_test(test_notice),
		mpx_test(test_event),	  mpx_test(test_barrier),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
