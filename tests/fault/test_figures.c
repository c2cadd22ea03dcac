/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Figures, printed and not judged (a busy machine has others): how long after its
 * holder's death a lock is taken over by one who sleeps on it, and what processes cost
 * that sleep on a lock.
 *
 *     MPX_FAULT_LONG=1 ./test_figures        1000 deaths, 1000 sleepers
 */
#define _GNU_SOURCE
#include "family.h"

#include <signal.h>
#include <time.h>

static bool long_form;

struct shared {
	mpx_lock *l;
	_Atomic double noticed;
	atomic_bool held, enough;
};

static int hold(void *arg)
{
	struct shared *s = arg;
	child_check(mpx_lock_acquire(s->l, SOON) == 0);
	atomic_store(&s->held, true);
	child_soon(atomic_load(&s->enough));
	child_check(mpx_lock_release(s->l) == 0);
	return 0;
}

static int wait_for_death(void *arg)
{
	struct shared *s = arg;
	child_check(mpx_lock_acquire(s->l, SOON) == -1 && errno == EOWNERDEAD);
	atomic_store(&s->noticed, now());
	child_check(mpx_lock_consistent(s->l) == 0 && mpx_lock_release(s->l) == 0);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	assert_non_null(s->l = mpx_lock_new());
	return s;
}

static double latency(struct shared *s, uint64_t *seed)
{
	mpx_process *holder, *waiter;
	atomic_store(&s->held, false);
	holder = start(hold, s);
	assert_soon(atomic_load(&s->held));
	waiter = start(wait_for_death, s);
	assert_soon(asleep(mpx_process_pid(waiter)));
	struct timespec t = {0, (long)(next_random(seed) % 100000000)};
	nanosleep(&t, NULL); /* somewhere in its slices */
	double killed = now();
	assert_ok(mpx_process_kill(holder));
	assert_int_equal(ends(holder), -SIGKILL);
	ends_well(waiter);
	return atomic_load(&s->noticed) - killed;
}

static void test_latency_of_a_death(void **state)
{
	(void)state;
	static double took[1000];
	struct shared *s = share();
	uint64_t seed = (uint64_t)getpid();
	int n = long_form ? 1000 : 20;
	for (int i = 0; i < n; i++) {
		alarm(90);
		took[i] = latency(s, &seed);
		assert_true(took[i] >= 0);
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	fprintf(stderr,
		"  a holder's death is noticed after: median %.1f ms, 99%% %.1f ms, "
		"longest %.1f ms (%d deaths)\n",
		took[n / 2] * 1e3, took[n * 99 / 100] * 1e3, took[n - 1] * 1e3, n);
	mpx_lock_free(s->l);
	mpx_free(s);
}

static int sleep_on(void *arg)
{
	struct shared *s = arg;
	child_check(mpx_lock_acquire(s->l, 3 * SOON) == 0);
	child_check(mpx_lock_release(s->l) == 0);
	return 0;
}

static double processor_time(pid_t pid)
{
	clockid_t clock;
	struct timespec t = {0, 0};
	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure_sleepers(int n, double seconds)
{
	static mpx_process *p[1000];
	struct shared *s = share();
	double used = 0, begin;
	alarm(90);
	mpx_process *holder = start(hold, s);
	assert_soon(atomic_load(&s->held));
	for (int i = 0; i < n; i++)
		p[i] = start(sleep_on, s);
	for (int i = 0; i < n; i++)
		assert_soon(asleep(mpx_process_pid(p[i])));
	for (begin = now(); now() < begin + 0.5;) /* slices have grown */
		nap();
	for (int i = 0; i < n; i++)
		used -= processor_time(mpx_process_pid(p[i]));
	for (begin = now(); now() < begin + seconds;)
		nap();
	for (int i = 0; i < n; i++)
		used += processor_time(mpx_process_pid(p[i]));
	fprintf(stderr, "  %d processes asleep on a lock: %.2f%% of a processor\n", n,
		100 * used / (now() - begin));
	atomic_store(&s->enough, true);
	ends_well(holder);
	for (int i = 0; i < n; i++)
		ends_well(p[i]);
	mpx_lock_free(s->l);
	mpx_free(s);
}

static void test_cost_of_sleepers(void **state)
{
	(void)state;
	measure_sleepers(100, long_form ? 10 : 1);
	if (long_form)
		measure_sleepers(1000, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_latency_of_a_death),
		mpx_test(test_cost_of_sleepers),
	};
	const char *form = getenv("MPX_FAULT_LONG");
	long_form = form && strcmp(form, "1") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
