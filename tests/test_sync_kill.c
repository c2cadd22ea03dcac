/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sync_kill.c - waiters that die, processes that die anywhere in a loop of
 * acquire and release.
 */
#define _POSIX_C_SOURCE 200809L

#include "locks.h"

#include <signal.h>
#include <stdatomic.h>

static int wait_for_lock(void *arg)
{
	struct shared *s = arg;
	s->ready++;
	if (acquire(s, MPX_FOREVER) != 0)
		child_check(errno == EOWNERDEAD && s->kind->consistent(s->lock) == 0);
	s->served++;
	child_check(release(s) == 0);
	return 0;
}

static void check_dead_waiters(const struct kind *kind, bool while_held)
{
	struct shared *s = share(kind);
	uint64_t seed = 42;
	for (int round = 0; round < 15; round++) {
		pid_t pids[WORKERS];
		s->ready = s->served = 0;
		assert_ok(acquire(s, MPX_FOREVER));
		for (int i = 0; i < WORKERS; i++)
			pids[i] = fork_child(wait_for_lock, s);
		assert_soon(s->ready == WORKERS);
		for (uint64_t n = next_random(&seed) % 8; n; n--)
			nap();
		if (!while_held)
			assert_ok(release(s));
		for (int i = 0; i + 1 < WORKERS; i++)
			kill(pids[i], SIGKILL);
		for (int i = 0; i + 1 < WORKERS; i++) {
			int code = wait_child(pids[i]);
			assert_true(code == -SIGKILL || (!while_held && code == 0));
		}
		if (while_held)
			assert_ok(release(s));
		/* The one that lives gets it. */
		assert_int_equal(wait_child(pids[WORKERS - 1]), 0);
		assert_true(s->served >= 1);
		errno = 0;
		if (acquire(s, MPX_FOREVER) != 0) {
			assert_int_equal(errno, EOWNERDEAD);
			assert_false(while_held); /* then no killed one can have held it */
			assert_ok(kind->consistent(s->lock));
		}
		assert_ok(release(s));
	}
	done_with(s);
}

static void test_dead_waiters(void **state)
{
	(void)state;
	check_dead_waiters(&lock_kind, true);
	check_dead_waiters(&lock_kind, false);
	check_dead_waiters(&rlock_kind, true);
	check_dead_waiters(&rlock_kind, false);
}

/* Kill whom you like, where you like: one inside at a time, and no standstill. */
static int run_about(void *arg)
{
	struct shared *s = arg;
	while (!s->go) {
		int depth = s->kind == &rlock_kind ? 2 : 1;
		if (acquire(s, MPX_FOREVER) != 0) {
			child_check(errno == EOWNERDEAD);
			s->second = s->first;
			s->inside = 0;
			s->dead++;
			child_check(s->kind->consistent(s->lock) == 0);
		}
		if (depth == 2)
			child_check(acquire(s, 0) == 0);
		child_check(atomic_exchange(&s->inside, (int)getpid()) == 0);
		child_check(s->first == s->second);
		s->first++;
		s->second++;
		child_check(atomic_exchange(&s->inside, 0) == getpid());
		for (int i = 0; i < depth; i++)
			child_check(release(s) == 0);
		s->served++;
	}
	return 0;
}

static void check_kill_storm(const struct kind *kind, uint64_t seed)
{
	enum { KILLS = 60 };
	struct shared *s = share(kind);
	pid_t pids[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		pids[i] = fork_child(run_about, s);
	for (int k = 0; k < KILLS; k++) {
		int seen = s->served;
		assert_soon(s->served - seen > 20); /* it goes on */
		size_t victim = next_random(&seed) % WORKERS;
		for (uint64_t spin = next_random(&seed) % 4; spin; spin--)
			nap();
		kill_child(pids[victim]);
		pids[victim] = fork_child(run_about, s);
	}
	int seen = s->served;
	assert_soon(s->served - seen > 20);
	s->go = 1;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	if (acquire(s, MPX_FOREVER) == 0)
		assert_int_equal(s->first, s->second);
	else
		assert_int_equal(errno, EOWNERDEAD);
	assert_ok(release(s));
	done_with(s);
}

static void test_kill_storm(void **state)
{
	(void)state;
	check_kill_storm(&lock_kind, 1);
	check_kill_storm(&rlock_kind, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_dead_waiters),
		mpx_test(test_kill_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
