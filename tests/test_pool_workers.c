/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_workers.c - mpx/pool.h, what can be said about workers:
 *
 *   .exit_hook: after close, max_tasks and resize, once for each worker and after its
 *   last task (test_pool_worker_lifetime, test_worker_finalization_via_atexit_handler
 *   of CPython), also if several threads join, not after terminate; mpx_worker_state;
 *   .pin; .nice; .memory_limit: ENOMEM, told apart, retried; .max_age, .max_growth;
 *   mpx_pool_resize up and down, busy and idle, from another process, killed;
 *   .idle_timeout, also killed; values that are wrong.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>

#define EACH(b) for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_SERIAL; b++)

struct lives {
	atomic_int begun, ended, tasks, late; /* late: tasks in workers that had ended */
	atomic_int errors;
};

struct life { /* of one worker */
	struct lives *all;
	int tasks;
	bool ended;
};

static _Thread_local struct life life;

static int begin(void *args)
{
	if (mpx_worker_state())
		return EEXIST;
	life = (struct life){.all = args};
	atomic_fetch_add(&life.all->begun, 1);
	mpx_worker_set_state(&life);
	return 0;
}

static int end(void *args)
{
	struct life *l = mpx_worker_state();
	struct lives *all = args;
	if (l != &life || l->all != all || mpx_worker_number() < 0)
		atomic_fetch_add(&all->errors, 1);
	l->ended = true;
	atomic_fetch_add(&all->ended, 1);
	return 7; /* is logged */
}

static int live(const void *in, void *out)
{
	struct life *l = mpx_worker_state();
	(void)in;
	(void)out;
	if (!l || l != &life)
		return EFAULT;
	l->tasks++;
	atomic_fetch_add(&l->all->tasks, 1);
	if (l->ended)
		atomic_fetch_add(&l->all->late, 1);
	return 0;
}

static struct lives *lives_new(void)
{
	struct lives *l = mpx_calloc(1, sizeof *l);
	assert_non_null(l);
	return l;
}

static void test_exit_hook(void **state)
{
	(void)state;
	EACH(b)
	{
		struct lives *l = lives_new();
		int n = b == MPX_BACKEND_SERIAL ? 1 : 3;
		mpx_pool *pool = mpx_pool_new(.processes = 3, .backend = b, .initializer = begin,
					      .initargs = l, .exit_hook = end, .exit_args = l);
		assert_non_null(pool);
		assert_ok(mpx_pool_map_sized(pool, live, NULL, 0, NULL, 0, 100, NULL));
		assert_int_equal(atomic_load(&l->ended), 0);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		assert_ok(mpx_pool_join(pool, SOON));
		assert_int_equal(atomic_load(&l->begun), n);
		assert_int_equal(atomic_load(&l->ended), n);
		assert_int_equal(atomic_load(&l->tasks), 100);
		assert_int_equal(atomic_load(&l->late), 0);
		assert_int_equal(atomic_load(&l->errors), 0);
		mpx_pool_free(pool);
		assert_int_equal(atomic_load(&l->ended), n);
		assert_null(mpx_worker_state());
		mpx_free(l);
	}
}

/* The first one stays inside until it may leave. */
static int end_slowly(void *args)
{
	struct gate *g = args;
	double limit = now() + SOON;
	if (atomic_fetch_add(&g->entered, 1) == 0)
		while (!atomic_load(&g->open) && now() < limit)
			nap();
	atomic_fetch_add(&g->left, 1);
	return 0;
}

static void *join_it(void *pool)
{
	child_check(mpx_pool_join(pool, SOON) == 0);
	return NULL;
}

static void test_serial_is_joined_by_two(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = mpx_pool_new(.backend = MPX_BACKEND_SERIAL, .exit_hook = end_slowly,
				      .exit_args = g);
	assert_non_null(pool);
	assert_ok(mpx_pool_close(pool));
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, join_it, pool), 0);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_pool_join(pool, SOON));
	atomic_store(&g->open, true);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(atomic_load(&g->entered), 1);
	assert_int_equal(atomic_load(&g->left), 1);
	mpx_pool_free(pool);
	mpx_free(g);
}

static void test_exit_hook_of_the_replaced(void **state)
{
	(void)state;
	for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_THREADS; b++) {
		struct lives *l = lives_new();
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b, .initializer = begin,
					      .initargs = l, .exit_hook = end, .exit_args = l,
					      .max_tasks_per_child = 10);
		assert_ok(mpx_pool_map_sized(pool, live, NULL, 0, NULL, 0, 100, NULL));
		assert_soon(atomic_load(&l->ended) >= 9);
		assert_ok(mpx_pool_terminate(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		/* Those that live at the end do not run it. */
		assert_true(atomic_load(&l->ended) <= atomic_load(&l->begun));
		assert_int_equal(atomic_load(&l->late) + atomic_load(&l->errors), 0);
		mpx_pool_free(pool);
		mpx_free(l);
	}
}

static void test_no_exit_hook_after_terminate(void **state)
{
	(void)state;
	EACH(b)
	{
		struct lives *l = lives_new();
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b, .initializer = begin,
					      .initargs = l, .exit_hook = end, .exit_args = l);
		assert_ok(mpx_pool_map_sized(pool, live, NULL, 0, NULL, 0, 10, NULL));
		mpx_pool_free(pool);
		assert_int_equal(atomic_load(&l->ended), 0);
		mpx_free(l);
	}
}

/* ---- what the system gives them ------------------------------------------------- */

struct given {
	int cpus, nice;
	pid_t pid;
};

static int see_given(const void *in, void *out)
{
	const struct guest *g = in;
	pid_t pid;
	int error = meet(g, &pid);
	errno = 0;
	*(struct given *)out = (struct given){mpx_cpu_count(), getpriority(PRIO_PROCESS, 0), pid};
	return error;
}

static void test_pin_and_nice(void **state)
{
	(void)state;
	enum { N = 3 };
	struct guest in[N];
	struct given out[N];
	struct meeting *m = mpx_calloc(1, sizeof *m);
	mpx_pool *pool = mpx_pool_new(.processes = N, .pin = true, .nice = 3);
	assert_non_null(pool);
	for (int i = 0; i < N; i++)
		in[i] = (struct guest){m, N};
	errno = 0;
	int before = getpriority(PRIO_PROCESS, 0), cpus = mpx_cpu_count();
	assert_ok(mpx_pool_map_sized(pool, see_given, in, sizeof *in, out, sizeof *out, N,
				     MPX_TASK(.chunksize = 1)));
	for (int i = 0; i < N; i++) {
#ifdef MPX_TEST_PLATFORM_LINUX
		assert_int_equal(out[i].cpus, 1);
#endif
		assert_int_equal(out[i].nice, before + 3 > 19 ? 19 : before + 3);
	}
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
	assert_int_equal(mpx_cpu_count(), cpus);
	mpx_pool_free(pool);
	mpx_free(m);
}

/* ---- memory ------------------------------------------------------------------------ */

enum { MEGABYTE = 1 << 20 };

static char *keep; /* in a worker: what it never frees */

/* Takes so many megabytes; the first that takes any waits for its end. */
static int take(const void *in, void *out)
{
	size_t megabytes = *(const size_t *)in;
	double end = now() + SOON;
	(void)out;
	if (!megabytes || mpx_task_attempt())
		return 0;
	keep = malloc(megabytes * MEGABYTE);
	if (!keep)
		return ENOSPC;
	memset(keep, 1, megabytes * MEGABYTE);
	while (megabytes > 64 && now() < end)
		nap();
	return 0;
}

static void test_memory_limit(void **state)
{
	(void)state;
	size_t in[9] = {0, 1, 0, 256, 0, 2, 0, 0, 0};
	mpx_failure f;
	errno = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 2, .memory_limit = 128 * MEGABYTE);
#ifndef MPX_TEST_PLATFORM_LINUX
	assert_null(pool);
	assert_int_equal(errno, ENOTSUP);
	return;
#endif
	assert_non_null(pool);
	assert_fails(mpx_pool_map_sized(pool, take, in, sizeof *in, NULL, 0, 9, NULL), ENOMEM);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.index, 3);
	assert_int_equal(f.error, ENOMEM);
	assert_int_equal(f.signal, SIGKILL);
	assert_string_equal(f.message, "worker was over its memory limit");
	/* With a retry, all is well; and the pool is whole. */
	assert_ok(
		mpx_pool_map_sized(pool, take, in, sizeof *in, NULL, 0, 9, MPX_TASK(.retries = 1)));
	in[3] = 0;
	for (int i = 0; i < 10; i++)
		assert_ok(mpx_pool_map_sized(pool, take, in, sizeof *in, NULL, 0, 9, NULL));
	mpx_pool_free(pool);
}

static int tell_pid(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

/* The pid of the only worker. */
static pid_t only(mpx_pool *pool)
{
	pid_t pid = 0;
	assert_ok(mpx_pool_map_sized(pool, tell_pid, NULL, 0, &pid, sizeof pid, 1, NULL));
	return pid;
}

static void test_max_growth(void **state)
{
	(void)state;
	size_t some = 1, much = 32;
	errno = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .max_growth = 16 * MEGABYTE);
#ifndef MPX_TEST_PLATFORM_LINUX
	assert_null(pool);
	assert_int_equal(errno, ENOTSUP);
	return;
#endif
	assert_non_null(pool);
	pid_t first = only(pool);
	assert_int_equal(only(pool), first);
	assert_ok(mpx_pool_apply(pool, take, &some, &some));
	assert_int_equal(only(pool), first);
	assert_ok(mpx_pool_map_sized(pool, take, &much, sizeof much, NULL, 0, 1, NULL));
	assert_int_not_equal(only(pool), first); /* and nothing failed */
	mpx_pool_free(pool);
}

static void test_max_age(void **state)
{
	(void)state;
	struct lives *l = lives_new();
	mpx_pool *pool = mpx_pool_new(.processes = 1, .max_age = 0.05, .exit_hook = end,
				      .exit_args = l, .initializer = begin, .initargs = l);
	pid_t first = only(pool);
	assert_soon(only(pool) != first);	 /* while it has work */
	assert_soon(atomic_load(&l->begun) > 3); /* and while it has none */
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_int_equal(atomic_load(&l->begun), atomic_load(&l->ended));
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes = 1, .max_age = 0.05, .backend = MPX_BACKEND_THREADS,
			    .initializer = begin, .initargs = l);
	atomic_store(&l->begun, 0);
	assert_soon(atomic_load(&l->begun) > 3);
	mpx_pool_free(pool);
	mpx_free(l);
}

/* ---- how many -------------------------------------------------------------------------- */

static struct meeting *meeting;

static bool has_workers(mpx_pool *pool, int n)
{
	pid_t pids[16];
	return workers_of(pool, meeting, n, pids);
}

static void resize_on(mpx_backend b)
{
	struct lives *l = lives_new();
	mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b, .initializer = begin,
				      .initargs = l, .exit_hook = end, .exit_args = l);
	static const int sizes[] = {8, 1, 16, 16, 3, 5, 1, 2};
	meeting = mpx_calloc(1, sizeof *meeting);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_ok(mpx_pool_resize(pool, sizes[i]));
		assert_int_equal(mpx_pool_processes(pool), sizes[i]);
		assert_true(has_workers(pool, sizes[i]));
		assert_ok(mpx_pool_map_sized(pool, live, NULL, 0, NULL, 0, 100, NULL));
		assert_soon(atomic_load(&l->begun) - atomic_load(&l->ended) == sizes[i]);
	}
	assert_ok(mpx_pool_close(pool));
	assert_fails(mpx_pool_resize(pool, 2), EBUSY);
	assert_ok(mpx_pool_join(pool, SOON));
	assert_int_equal(atomic_load(&l->begun), atomic_load(&l->ended));
	mpx_pool_free(pool);
	mpx_free(meeting);
	mpx_free(l);
}

static void test_resize(void **state)
{
	(void)state;
	resize_on(MPX_BACKEND_PROCESSES);
}

static void test_resize_threads(void **state)
{
	(void)state;
	resize_on(MPX_BACKEND_THREADS);
}

static void test_resize_limits(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	assert_fails(mpx_pool_resize(pool, 0), EINVAL);
	assert_fails(mpx_pool_resize(pool, -1), EINVAL);
	assert_fails(mpx_pool_resize(pool, 65), EINVAL);
	assert_fails(mpx_pool_resize(NULL, 1), EINVAL);
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes = 1, .processes_max = 1024);
	assert_fails(mpx_pool_resize(pool, 1025), EINVAL);
	assert_ok(mpx_pool_resize(pool, 100));
	assert_ok(mpx_pool_map_sized(pool, take, (size_t[2]){0}, sizeof(size_t), NULL, 0, 2, NULL));
	assert_ok(mpx_pool_resize(pool, 1));
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes_max = 1);
	assert_int_equal(mpx_pool_processes(pool), 1);
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes = 2, .backend = MPX_BACKEND_SERIAL);
	assert_ok(mpx_pool_resize(pool, 2));
	assert_int_equal(mpx_pool_processes(pool), 1);
	mpx_pool_free(pool);
}

/* Down to one while all are busy; what they do is done. */
static void test_resize_busy(void **state)
{
	(void)state;
	enum { N = 20 };
	struct gate *g = gate_new(), *in[N];
	for (int i = 0; i < N; i++)
		in[i] = g;
	mpx_pool *pool = pool_of(4);
	mpx_result *r =
		mpx_pool_map_async(pool, pass_gate, in, sizeof *in, N, 0, MPX_TASK(.chunksize = 1));
	assert_soon(atomic_load(&g->entered) == 4);
	assert_ok(mpx_pool_resize(pool, 1));
	assert_ok(mpx_pool_resize(pool, 6));
	assert_soon(atomic_load(&g->entered) == 6);
	assert_ok(mpx_pool_resize(pool, 1));
	atomic_store(&g->open, true);
	assert_ok(mpx_result_get(r, NULL, SOON));
	assert_int_equal(atomic_load(&g->left), N);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int resize_for_ever(void *arg)
{
	uint64_t seed = (uint64_t)getpid();
	for (;;)
		child_check(mpx_pool_resize(arg, 1 + (int)(next_random(&seed) % 8)) == 0);
	return 0;
}

/* Who resizes is killed, again and again, while others work. */
static void test_resize_killed(void **state)
{
	(void)state;
	static unsigned in[400], out[400];
	meeting = mpx_calloc(1, sizeof *meeting);
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < 400; i++)
		in[i] = i;
	for (int round = 0; round < 15; round++) {
		mpx_process *p = start(resize_for_ever, pool);
		for (int k = 0; k < 5; k++) {
			memset(out, 0xff, sizeof out);
			assert_ok(mpx_pool_map(pool, square, in, out, 400));
			for (unsigned i = 0; i < 400; i++)
				assert_int_equal(out[i], i * i);
		}
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
	}
	assert_ok(mpx_pool_resize(pool, 5));
	assert_true(has_workers(pool, 5));
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
	mpx_free(meeting);
}

/* ---- idle ---------------------------------------------------------------------------------- */

static void test_idle_timeout(void **state)
{
	(void)state;
	struct lives *l = lives_new();
	unsigned x = 5, y;
	meeting = mpx_calloc(1, sizeof *meeting);
	mpx_pool *pool = mpx_pool_new(.processes = 4, .idle_timeout = 0.05, .initializer = begin,
				      .initargs = l, .exit_hook = end, .exit_args = l);
	assert_non_null(pool);
	for (int round = 1; round <= 3; round++) {
		assert_soon(atomic_load(&l->ended) > 0 &&
			    atomic_load(&l->ended) == atomic_load(&l->begun)); /* all */
		int before = atomic_load(&l->begun);
		assert_ok(mpx_pool_apply(pool, square, &x, &y)); /* one comes back */
		assert_int_equal(y, 25);
		assert_int_equal(atomic_load(&l->begun), before + 1);
		assert_true(has_workers(pool, 4)); /* as many as are needed */
	}
	/* Work that comes just when they go. */
	for (int i = 0; i < 60; i++) {
		double end_ = now() + 0.04 + i * 0.0005;
		while (now() < end_)
			nap();
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
	}
	mpx_result *r = mpx_pool_apply_async(pool, square, &x, 4, 4, NULL);
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_ok(mpx_result_get(r, &y, 0));
	assert_int_equal(atomic_load(&l->ended), atomic_load(&l->begun));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(meeting);
	mpx_free(l);
}

/* Ends the worker at some instruction within the next milliseconds. */
static int live_briefly(void *args)
{
	uint64_t seed = (uint64_t)atomic_fetch_add((atomic_int *)args, 1);
	struct itimerval t = {.it_value.tv_usec = 1 + (long)(next_random(&seed) % 8000)};
	return setitimer(ITIMER_REAL, &t, NULL) == 0 ? 0 : errno;
}

/* Workers that come and go, and are killed as they do. */
static void test_idle_killed(void **state)
{
	(void)state;
	atomic_int *n = mpx_calloc(1, sizeof *n);
	mpx_pool *pool =
		mpx_pool_new(.processes = 3, .idle_timeout = 0.002, .retries = 255,
			     .initializer = live_briefly, .initargs = n, .restart_budget = 100000);
	assert_non_null(pool);
	for (unsigned i = 0; i < 200; i++) {
		unsigned in[4] = {i, i + 1, i + 2, i + 3}, out[4];
		double end_ = now() + (i % 16) * 0.0005;
		assert_ok(mpx_pool_map_sized(pool, square, in, 4, out, 4, 4,
					     MPX_TASK(.chunksize = 1 + i % 2)));
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(out[k], in[k] * in[k]);
		if (i % 20 == 0)
			assert_ok(mpx_pool_resize(pool, 1 + (int)(i / 20 % 4)));
		while (now() < end_)
			nap();
	}
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
	mpx_free(n);
}

static void test_wrong_values(void **state)
{
	(void)state;
	assert_nothing(mpx_pool_new(.max_age = -1), EINVAL);
	assert_nothing(mpx_pool_new(.max_age = NOT_A_NUMBER), EINVAL);
	assert_nothing(mpx_pool_new(.idle_timeout = -1), EINVAL);
	assert_nothing(mpx_pool_new(.idle_timeout = NOT_A_NUMBER), EINVAL);
	assert_nothing(mpx_pool_new(.nice = 21), EINVAL);
	assert_nothing(mpx_pool_new(.nice = -21), EINVAL);
	assert_nothing(mpx_pool_new(.processes = 3, .processes_max = 2), EINVAL);
	assert_nothing(mpx_pool_new(.processes = 3, .processes_max = -1), EINVAL);
	assert_nothing(mpx_pool_new(.processes = 3, .processes_max = 1025), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_exit_hook),
		mpx_test(test_serial_is_joined_by_two),
		mpx_test(test_exit_hook_of_the_replaced),
		mpx_test(test_no_exit_hook_after_terminate),
		mpx_test(test_pin_and_nice),
		mpx_test(test_memory_limit),
		mpx_test(test_max_growth),
		mpx_test(test_max_age),
		mpx_test(test_resize),
		mpx_test(test_resize_threads),
		mpx_test(test_resize_limits),
		mpx_test(test_resize_busy),
		mpx_test(test_resize_killed),
		mpx_test(test_idle_timeout),
		mpx_test(test_idle_killed),
		mpx_test(test_wrong_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
