/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_stats.c - mpx/pool.h, mpx_pool_stats and mpx_pool_worker_stats:
 *
 *   counts on all back ends, with failures, retries and deaths; what waits and what is
 *   busy while tasks are held up; index and age of a task; processor time and memory;
 *   from another process and while others work; smaller and larger structs; arguments
 *   that are wrong.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define EACH(b) for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_SERIAL; b++)

static mpx_pool_statistics stats_of(mpx_pool *pool)
{
	mpx_pool_statistics s;
	memset(&s, 0xff, sizeof s);
	assert_ok(mpx_pool_stats(pool, &s));
	return s;
}

static mpx_worker_statistics worker_stats_of(mpx_pool *pool, int number)
{
	mpx_worker_statistics s;
	memset(&s, 0xff, sizeof s);
	assert_ok(mpx_pool_worker_stats(pool, number, &s));
	return s;
}

/* 0 is well, 1 fails, 2 is well the second time, 3 fails every time. */
static int do_as_told(const void *in, void *out)
{
	int what = *(const int *)in;
	(void)out;
	return what == 1 || what == 3 || (what == 2 && !mpx_task_attempt()) ? EIO : 0;
}

static void test_counts(void **state)
{
	(void)state;
	EACH(b)
	{
		int in[30] = {0, 1, 0, 2, 2, 3}, n = b == MPX_BACKEND_SERIAL ? 1 : 2;
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b);
		mpx_pool_statistics s = stats_of(pool);
		assert_int_equal(s.submitted + s.done + s.failed + s.retried + s.died + s.queued,
				 0);
		assert_int_equal(s.workers, n);
		assert_int_equal(s.alive, n);
		assert_int_equal(s.busy, 0);
		assert_fails(mpx_pool_map_sized(pool, do_as_told, in, 4, NULL, 0, 30,
						MPX_TASK(.chunksize = 4)),
			     EIO);
		s = stats_of(pool);
		assert_int_equal(s.submitted, 30);
		assert_int_equal(s.done, 26);
		assert_int_equal(s.failed, 4);
		assert_int_equal(s.retried, 0);
		assert_fails(mpx_pool_map_sized(pool, do_as_told, in, 4, NULL, 0, 30,
						MPX_TASK(.retries = 2)),
			     EIO);
		assert_soon(stats_of(pool).busy == 0); /* they may be about to leave */
		s = stats_of(pool);
		assert_int_equal(s.submitted, 60);
		assert_int_equal(s.done, 26 + 28);
		assert_int_equal(s.failed, 4 + 2);
		assert_int_equal(s.retried, 2 + 2 * 2);
		assert_int_equal(s.died, 0);
		assert_int_equal(s.queued, 0);
		unsigned long long tasks = 0;
		for (int i = 0; i < n; i++) {
			assert_soon(worker_stats_of(pool, i).activity == MPX_WORKER_IDLE);
			mpx_worker_statistics w = worker_stats_of(pool, i);
			assert_int_equal(w.pid == getpid(), b != MPX_BACKEND_PROCESSES);
			assert_int_equal(w.index, 0);
			tasks += w.tasks;
		}
		assert_int_equal(tasks, 60);
		assert_int_equal(worker_stats_of(pool, n).activity, MPX_WORKER_NONE);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		assert_int_equal(stats_of(pool).done, 54);
		if (b != MPX_BACKEND_SERIAL)
			assert_int_equal(stats_of(pool).alive, 0);
		mpx_pool_free(pool);
	}
}

static int die_if_told(const void *in, void *out)
{
	(void)out;
	if (*(const int *)in == 1 || (*(const int *)in == 2 && !mpx_task_attempt()))
		raise(SIGKILL);
	return 0;
}

static void test_deaths(void **state)
{
	(void)state;
	int in[20] = {0, 0, 2, 0, 1, 0, 2};
	mpx_pool *pool = pool_of(2);
	assert_fails(
		mpx_pool_map_sized(pool, die_if_told, in, 4, NULL, 0, 20, MPX_TASK(.retries = 1)),
		EOWNERDEAD);
	mpx_pool_statistics s = stats_of(pool);
	assert_int_equal(s.submitted, 20);
	assert_int_equal(s.done, 19);
	assert_int_equal(s.failed, 1);
	assert_int_equal(s.died, 4);
	assert_int_equal(s.retried, 3);
	assert_soon(stats_of(pool).alive == 2);
	mpx_pool_free(pool);
}

static int hold_up(const void *in, void *out)
{
	static char *mine; /* until the process ends */
	if (!mine) {
		mine = malloc(32 << 20);
		if (mine)
			memset(mine, 1, 32 << 20);
	}
	for (volatile int i = 0; i < 10000000; i++)
		;
	return pass_gate(in, out);
}

/* What waits, what runs, and since when. */
static void test_while_it_runs(void **state)
{
	(void)state;
	enum { N = 10 };
	for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_THREADS; b++) {
		struct gate *g = gate_new(), *in[N];
		bool seen[N] = {false};
		for (int i = 0; i < N; i++)
			in[i] = g;
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b);
		double before = now();
		mpx_result *r =
			mpx_pool_map_async(pool, b == MPX_BACKEND_THREADS ? pass_gate : hold_up, in,
					   sizeof *in, N, 0, MPX_TASK(.chunksize = 1));
		assert_soon(atomic_load(&g->entered) == 2);
		mpx_pool_statistics s = stats_of(pool);
		assert_int_equal(s.submitted, N);
		assert_int_equal(s.queued, N - 2);
		assert_int_equal(s.busy, 2);
		assert_int_equal(s.done, 0);
		for (int i = 0; i < 2; i++) {
			mpx_worker_statistics w = worker_stats_of(pool, i);
			double age = w.age;
			assert_int_equal(w.activity, MPX_WORKER_BUSY);
			assert_in_range(w.index, 0, 1);
			assert_false(seen[w.index]);
			seen[w.index] = true;
			assert_true(age > 0 && age <= now() - before);
			assert_soon(worker_stats_of(pool, i).age > age + 0.01);
#ifdef MPX_TEST_PLATFORM_LINUX
			assert_int_equal(w.cpu > 0, b == MPX_BACKEND_PROCESSES);
			assert_int_equal(w.memory >= 30 << 20, b == MPX_BACKEND_PROCESSES);
#else
			assert_true(w.memory == -1 && w.cpu < 0);
#endif
			assert_int_equal(w.tasks, 0);
		}
		atomic_store(&g->open, true);
		assert_ok(mpx_result_get(r, NULL, SOON));
		assert_int_equal(stats_of(pool).done, N);
		assert_int_equal(stats_of(pool).queued, 0);
		mpx_result_free(r);
		mpx_pool_free(pool);
		mpx_free(g);
	}
}

static int wait_at_gate(void *args)
{
	struct gate *g = args;
	return pass_gate(&g, NULL);
}

static void test_starting(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = wait_at_gate, .initargs = g);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_int_equal(worker_stats_of(pool, 0).activity, MPX_WORKER_STARTING);
	atomic_store(&g->open, true);
	assert_soon(worker_stats_of(pool, 0).activity == MPX_WORKER_IDLE);
	mpx_pool_free(pool);
	mpx_free(g);
}

/* Fast items, slow ones, then one that is held up: its age is right all the same. (The first
 * 256 slow ones may still pass for fast.) */
enum { SLOW = 5000, HELD = 5300, ITEMS = 6000 };

struct course {
	struct gate gate;
	double before; /* when the item before it ended */
};

static int fast_then_slow(const void *in, void *out)
{
	struct course *c = *(struct course *const *)in;
	struct gate *g = &c->gate;
	if (mpx_task_index() == HELD)
		return pass_gate(&g, out);
	if (mpx_task_index() >= SLOW && mpx_task_index() < HELD) {
		nap();
		c->before = now();
	}
	return 0;
}

static void test_age_after_fast_ones(void **state)
{
	(void)state;
	static struct course *in[ITEMS];
	struct course *c = mpx_calloc(1, sizeof *c);
	for (int i = 0; i < ITEMS; i++)
		in[i] = c;
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_map_async(pool, fast_then_slow, in, sizeof *in, ITEMS, 0,
					   MPX_TASK(.chunksize = ITEMS));
	assert_soon(atomic_load(&c->gate.entered) == 1);
	double entered = now();
	assert_soon(now() - entered > 0.05);
	mpx_worker_statistics w = worker_stats_of(pool, 0);
	assert_int_equal(w.index, HELD);
	assert_int_equal(w.tasks, HELD);
	assert_true(w.age >= 0.05);
	assert_true(w.age <= now() - c->before);
	atomic_store(&c->gate.open, true);
	assert_ok(mpx_result_get(r, NULL, SOON));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(c);
}

struct watch {
	mpx_pool *pool;
	atomic_bool stop;
	atomic_int looks;
};

static int watch(void *arg)
{
	struct watch *w = arg;
	unsigned long long done = 0;
	while (!atomic_load(&w->stop)) {
		mpx_pool_statistics s;
		mpx_worker_statistics ws;
		child_check(mpx_pool_stats(w->pool, &s) == 0);
		child_check(s.done >= done && s.done <= s.submitted);
		done = s.done;
		for (int i = 0; i < 3; i++)
			child_check(mpx_pool_worker_stats(w->pool, i, &ws) == 0);
		atomic_fetch_add(&w->looks, 1);
	}
	return 0;
}

static void test_from_other_processes(void **state)
{
	(void)state;
	static unsigned in[2000], out[2000];
	struct watch *w = mpx_calloc(1, sizeof *w);
	w->pool = mpx_pool_new(.processes = 3, .max_tasks_per_child = 500);
	mpx_process *p[2] = {start(watch, w), start(watch, w)};
	for (int i = 0; i < 50 || atomic_load(&w->looks) < 100; i++) {
		assert_ok(mpx_pool_map(w->pool, square, in, out, 2000));
		assert_int_equal(stats_of(w->pool).done, 2000ull * (unsigned)(i + 1));
	}
	atomic_store(&w->stop, true);
	ends_well(p[0]);
	ends_well(p[1]);
	mpx_pool_free(w->pool);
	mpx_free(w);
}

static void test_arguments(void **state)
{
	(void)state;
	struct {
		mpx_pool_statistics s;
		char more[64];
	} large;
	mpx_pool_statistics s;
	mpx_worker_statistics w;
	struct bad_pointers bad;
	mpx_pool *pool = pool_of(2);
	memset(&large, 0xff, sizeof large);
	assert_ok(mpx_pool_get_stats(pool, &large.s, sizeof large)); /* of a later version */
	for (size_t i = 0; i < sizeof large.more; i++)
		assert_int_equal(large.more[i], 0);
	assert_int_equal(large.s.workers, 2);
	memset(&s, 0x5a, sizeof s);
	assert_ok(mpx_pool_get_stats(pool, &s, sizeof s.submitted)); /* of an earlier one */
	assert_int_equal(s.submitted, 0);
	assert_int_equal(s.done, 0x5a5a5a5a5a5a5a5all);
	assert_fails(mpx_pool_get_stats(pool, NULL, sizeof s), EINVAL);
	assert_fails(mpx_pool_get_worker_stats(pool, 0, NULL, sizeof w), EINVAL);
	assert_fails(mpx_pool_worker_stats(pool, -1, &w), EINVAL);
	assert_fails(mpx_pool_worker_stats(pool, 64, &w), EINVAL);
	assert_ok(mpx_pool_worker_stats(pool, 63, &w));
	bad_pointers_make(&bad, pool);
	for (size_t i = 0; i < bad.n; i++) {
		assert_fails(mpx_pool_stats(bad.p[i], &s), EINVAL);
		assert_fails(mpx_pool_worker_stats(bad.p[i], 0, &w), EINVAL);
		assert_fails(mpx_pool_resize(bad.p[i], 1), EINVAL);
	}
	bad_pointers_done(&bad);
	mpx_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_counts),
		mpx_test(test_deaths),
		mpx_test(test_while_it_runs),
		mpx_test(test_starting),
		mpx_test(test_age_after_fast_ones),
		mpx_test(test_from_other_processes),
		mpx_test(test_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
