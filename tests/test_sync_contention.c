/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sync_contention.c - many at one lock:
 *
 *   - contention of processes, of threads, of both; with timeouts, enormous ones too
 *   - stopped holders, storms of signals
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700

#include "locks.h"

#include <float.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ROUNDS 20000

/* ---- contention -------------------------------------------------------- */

static void count(struct shared *s, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		child_check(acquire(s, MPX_FOREVER) == 0);
		int nested = s->kind == &rlock_kind && i % 4 == 0;
		if (nested)
			child_check(acquire(s, 0) == 0);
		s->counter++;
		if (nested)
			child_check(release(s) == 0);
		child_check(release(s) == 0);
	}
}

static int counter(void *arg)
{
	count(arg, ROUNDS);
	return 0;
}

static void *counter_thread(void *arg)
{
	count(arg, ROUNDS);
	return NULL;
}

static int counter_threads(void *arg)
{
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		child_check(pthread_create(&t[i], NULL, counter_thread, arg) == 0);
	for (int i = 0; i < 2; i++)
		child_check(pthread_join(t[i], NULL) == 0);
	return 0;
}

static void check_processes(const struct kind *kind, int (*fn)(void *), int workers, long total)
{
	struct shared *s = share(kind);
	mpx_process *p[WORKERS];
	for (int i = 0; i < workers; i++) {
		assert_non_null(p[i] = mpx_process_new(.target = fn, .args = s));
		assert_ok(mpx_process_start(p[i]));
	}
	for (int i = 0; i < workers; i++) {
		int code = -1;
		assert_ok(mpx_process_join(p[i], MPX_FOREVER));
		assert_ok(mpx_process_exitcode(p[i], &code));
		assert_int_equal(code, 0);
		assert_ok(mpx_process_free(p[i]));
	}
	assert_int_equal(s->counter, total);
	assert_false(kind->locked(s->lock));
	done_with(s);
}

static void test_contention_of_processes(void **state)
{
	(void)state;
	check_processes(&lock_kind, counter, WORKERS, (long)WORKERS * ROUNDS);
	check_processes(&rlock_kind, counter, WORKERS, (long)WORKERS * ROUNDS);
}

static void test_contention_of_threads(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pthread_t t[WORKERS];
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, counter_thread, s), 0);
		for (int i = 0; i < WORKERS; i++)
			pthread_join(t[i], NULL);
		assert_int_equal(s->counter, (long)WORKERS * ROUNDS);
		done_with(s);
	}
}

static void test_contention_of_both(void **state)
{
	(void)state;
	check_processes(&lock_kind, counter_threads, 2, 4L * ROUNDS);
	check_processes(&rlock_kind, counter_threads, 2, 4L * ROUNDS);
}

/* Most acquires time out here; none may be both. */
static int impatient(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < 2000; i++) {
		double timeouts[] = {0, 1e-6, 1e-4, 1e-3};
		errno = 0;
		if (acquire(s, timeouts[i % 4]) == 0) {
			s->counter++;
			child_check(atomic_exchange(&s->inside, (int)getpid()) == 0);
			if (i % 64 == 0)
				nap();
			child_check(atomic_exchange(&s->inside, 0) == getpid());
			s->served++;
			child_check(release(s) == 0);
		} else {
			child_check(errno == ETIMEDOUT);
		}
	}
	return 0;
}

static void test_contention_with_timeouts(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pid_t pids[WORKERS];
		for (int i = 0; i < WORKERS; i++)
			pids[i] = fork_child(impatient, s);
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(wait_child(pids[i]), 0);
		assert_int_equal(s->counter, s->served);
		assert_ok(acquire(s, 0));
		assert_ok(release(s));
		done_with(s);
	}
}

/* Enormous timeouts must not wrap into small ones. */
static int hold_a_moment(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, 0) == 0);
	s->ready = 1;
	linger();
	child_check(release(s) == 0);
	return 0;
}

static void test_enormous_timeouts(void **state)
{
	(void)state;
	double timeouts[] = {1e9, 4.3e9, 1e10, 9.3e18, 1e19, 1e300, DBL_MAX, MPX_FOREVER};
	for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
		struct shared *s = share(i % 2 ? &lock_kind : &rlock_kind);
		pid_t pid = fork_child(hold_a_moment, s);
		assert_soon(s->ready);
		assert_ok(acquire(s, timeouts[i]));
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		done_with(s);
	}
}

/* ---- stopped holders, storms of signals -------------------------------- */

static int hold_until_told(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, 0) == 0);
	s->ready = 1;
	child_soon(s->go);
	child_check(release(s) == 0);
	return 0;
}

static void test_stopped_holder(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pid_t pid = fork_child(hold_until_told, s);
		int status;
		assert_soon(s->ready);
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		double start = now();
		assert_fails(acquire(s, 0.7), ETIMEDOUT);
		assert_true(now() - start >= 0.7 - 1e-6);
		assert_fails(acquire(s, 0), ETIMEDOUT);
		s->go = 1;
		kill(pid, SIGCONT);
		assert_ok(acquire(s, MPX_FOREVER)); /* alive all the time */
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		done_with(s);
	}
}

static struct shared *volatile storm_shared;

static void on_storm(int sig)
{
	(void)sig;
	storm_shared->signals++;
}

/* Signals every two milliseconds, from a timer, without SA_RESTART. */
static int wait_in_storm(void *arg)
{
	struct shared *s = arg;
	struct sigaction sa = {.sa_handler = on_storm};
	struct itimerval every = {{0, 2000}, {0, 2000}};
	storm_shared = s;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	double start = now();
	child_fails(acquire(s, 0.4), ETIMEDOUT);
	double took = now() - start;
	child_check(took >= 0.4 - 1e-6 && took < 20);
	child_check(s->signals >= 2);
	s->ready = 1;
	child_check(acquire(s, MPX_FOREVER) == 0);
	s->served = 1;
	child_check(release(s) == 0);
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	return 0;
}

static void test_signal_storm(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		assert_ok(acquire(s, 0));
		pid_t pid = fork_child(wait_in_storm, s);
		assert_soon(s->ready || !pid_running(pid));
		linger();
		linger();
		assert_int_equal(s->served, 0);
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		assert_int_equal(s->served, 1);
		done_with(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_contention_of_processes),
		mpx_test(test_contention_of_threads),
		mpx_test(test_contention_of_both),
		mpx_test(test_contention_with_timeouts),
		mpx_test(test_enormous_timeouts),
		mpx_test(test_stopped_holder),
		mpx_test(test_signal_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
