/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_death.c - mpx/pool.h, workers that die. In Python such a map hangs.
 *
 *   By signal, abort, exit, _exit, exec, with chunks of one and of many items:
 *   exactly that item fails with EOWNERDEAD, its index, pid, signal or status; all
 *   others run exactly once. Several deaths, or all items, in one map; fifty in a
 *   row; workers killed while idle; random kills with every task accounted for.
 *
 * MPX_TEST_SEED in the environment replays a run of the random kills.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { MOST = 3000 };

/* What tasks tell; in the family's heap, made before the pools. */
static struct log {
	atomic_uchar count[MOST]; /* how often each item was begun */
	pid_t pid[MOST];	  /* by whom */
	atomic_int latest;	  /* the pid of a worker that has just been busy */
	struct meeting meeting;
} * told;

enum way { LIVE, KILL, SEGV, TERM, USR1, ABORT, EXIT_3, EXIT_NOW_0, EXIT_NOW_3, EXEC };

struct item {
	size_t i;
	enum way way;
};

static void die_by_signal(int sig)
{
	sigset_t all;
	signal(sig, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	kill(getpid(), sig);
	for (;;)
		nap();
}

static void die(enum way way)
{
	switch (way) {
	case LIVE:
		return;
	case KILL:
		die_by_signal(SIGKILL);
		return;
	case SEGV:
		die_by_signal(SIGSEGV);
		return;
	case TERM:
		die_by_signal(SIGTERM);
		return;
	case USR1:
		die_by_signal(SIGUSR1);
		return;
	case ABORT:
		abort();
	case EXIT_3:
		exit(3);
	case EXIT_NOW_0:
		_exit(0);
	case EXIT_NOW_3:
		_exit(3);
	case EXEC:
		execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
		_exit(3);
	}
}

static int work(const void *in, void *out)
{
	const struct item *item = in;
	atomic_fetch_add(&told->count[item->i], 1);
	told->pid[item->i] = getpid();
	atomic_store(&told->latest, (int)getpid());
	die(item->way);
	*(size_t *)out = item->i * 3 + 1;
	return 0;
}

static void assert_died(const mpx_failure *f, enum way way)
{
	static const int signals[] = {[KILL] = SIGKILL, [SEGV] = SIGSEGV,  [TERM] = SIGTERM,
				      [USR1] = SIGUSR1, [ABORT] = SIGABRT, [EXEC] = 0};
	int status = way == EXIT_NOW_0 ? 0 : signals[way] ? -1 : 3;
	assert_int_equal(f->error, EOWNERDEAD);
	assert_int_equal(f->signal, signals[way]);
	assert_int_equal(f->exit_status, status);
	assert_non_null(memchr(f->message, '\0', sizeof f->message));
}

static int setup(void **state)
{
	if (harness_setup(state) != 0)
		return -1;
	assert_non_null(told = mpx_calloc(1, sizeof *told));
	harness_rebase();
	return 0;
}

static int teardown(void **state)
{
	int left = harness_teardown(state);
	mpx_free(told);
	return left;
}

/* ---- one death --------------------------------------------------------- */

static void one_dies(mpx_pool *pool, size_t n, size_t victim, size_t chunksize, enum way way)
{
	static struct item in[MOST];
	static size_t out[MOST];
	mpx_failure f = {0};
	for (size_t i = 0; i < n; i++)
		in[i] = (struct item){i, i == victim ? way : LIVE};
	memset(told, 0, sizeof *told);
	memset(out, 0, sizeof out);
	assert_fails(mpx_pool_map_sized(pool, work, in, sizeof *in, out, sizeof *out, n,
					MPX_TASK(.chunksize = chunksize)),
		     EOWNERDEAD);
	for (size_t i = 0; i < n; i++) {
		if (atomic_load(&told->count[i]) != 1)
			fail_msg("item %zu ran %d times", i, (int)told->count[i]);
		if (i != victim)
			assert_int_equal(out[i], i * 3 + 1);
	}
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.index, victim);
	assert_int_equal(f.pid, told->pid[victim]);
	assert_died(&f, way);
}

static void test_one_dies(void **state)
{
	(void)state;
	static const size_t chunks[] = {1, 50, 0, 100, 1000};
	static const size_t victims[] = {0, 37, 50, 99};
	mpx_pool *pool = pool_of(2);
	for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
		for (size_t v = 0; v < sizeof victims / sizeof *victims; v++)
			one_dies(pool, 100, victims[v], chunks[c], KILL);
	mpx_pool_free(pool);
}

static void test_ways_to_die(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (enum way way = KILL; way <= EXEC; way++) {
		one_dies(pool, 1, 0, 0, way);
		one_dies(pool, 100, 37, 1, way);
		one_dies(pool, 100, 37, 50, way);
	}
	mpx_pool_free(pool);
}

static void test_only_worker_dies(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	for (int i = 0; i < 5; i++) {
		one_dies(pool, 100, 0, 0, KILL);
		one_dies(pool, 100, 99, 100, EXIT_NOW_3);
		one_dies(pool, 1, 0, 1, SEGV);
	}
	mpx_pool_free(pool);
}

static void test_async_dies(void **state)
{
	(void)state;
	mpx_failure f;
	size_t y[3] = {0};
	struct item in[3] = {{0, LIVE}, {1, EXIT_NOW_3}, {2, LIVE}};
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_map_async(pool, work, in, sizeof *in, 3, sizeof *y, NULL);
	assert_non_null(r);
	assert_fails(mpx_result_get(r, y, SOON), EOWNERDEAD);
	assert_int_equal(y[0], 1);
	assert_int_equal(y[2], 7);
	assert_ok(mpx_result_failure(r, &f));
	assert_int_equal(f.index, 1);
	assert_died(&f, EXIT_NOW_3);
	assert_false(mpx_result_successful(r));
	mpx_result_free(r);
	/* Nobody is interested in this death. */
	in[0].way = KILL;
	r = mpx_pool_apply_async(pool, work, in, sizeof *in, sizeof *y, NULL);
	mpx_result_free(r);
	in[0].way = LIVE;
	assert_ok(mpx_pool_apply(pool, work, in, y));
	mpx_pool_free(pool);
}

/* ---- many deaths ------------------------------------------------------- */

/* An error of a task before a death, or after it: the lowest index counts. */
static int fail_or_die(const void *in, void *out)
{
	const struct item *item = in;
	if (item->i == 10)
		return mpx_fail(EDOM, "ten");
	return work(in, out);
}

static void test_death_and_error(void **state)
{
	(void)state;
	enum { N = 100 };
	static struct item in[N];
	size_t out[N];
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	for (size_t victim = 5; victim < N; victim += 20) {
		for (size_t i = 0; i < N; i++)
			in[i] = (struct item){i, i == victim ? KILL : LIVE};
		assert_fails(mpx_pool_map(pool, fail_or_die, in, out, N),
			     victim < 10 ? EOWNERDEAD : EDOM);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, victim < 10 ? victim : 10);
		if (victim < 10)
			assert_died(&f, KILL);
		else
			assert_string_equal(f.message, "ten");
	}
	mpx_pool_free(pool);
}

static void test_several_die(void **state)
{
	(void)state;
	enum { N = 200 };
	static const size_t chunks[] = {0, 1, 20, N};
	static struct item in[N];
	size_t out[N];
	mpx_failure f;
	mpx_pool *pool = pool_of(3);
	for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
		memset(told, 0, sizeof *told);
		for (size_t i = 0; i < N; i++)
			in[i] = (struct item){i, i % 10 == 3 ? KILL : LIVE};
		assert_fails(mpx_pool_map_sized(pool, work, in, sizeof *in, out, sizeof *out, N,
						MPX_TASK(.chunksize = chunks[c])),
			     EOWNERDEAD);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(atomic_load(&told->count[i]), 1);
			if (i % 10 != 3)
				assert_int_equal(out[i], i * 3 + 1);
		}
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, 3);
		assert_int_equal(f.pid, told->pid[3]);
		assert_died(&f, KILL);
	}
	mpx_pool_free(pool);
}

static void test_all_die(void **state)
{
	(void)state;
	enum { N = 40 };
	struct item in[N];
	size_t out[N];
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	for (size_t i = 0; i < N; i++)
		in[i] = (struct item){i, EXIT_NOW_3};
	assert_fails(mpx_pool_map(pool, work, in, out, N), EOWNERDEAD);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(atomic_load(&told->count[i]), 1);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.index, 0);
	assert_died(&f, EXIT_NOW_3);
	mpx_pool_free(pool);
}

static void test_fifty_deaths(void **state)
{
	(void)state;
	mpx_failure f;
	size_t fds = open_fds();
	struct item in = {0, KILL};
	static struct item many[1000];
	static size_t out[1000];
	mpx_pool *pool = pool_of(2);
	size_t blocks = heap_blocks();
	for (int i = 0; i < 50; i++) {
		in.way = i % 2 ? KILL : EXIT_NOW_0;
		assert_fails(mpx_pool_apply(pool, work, &in, out), EOWNERDEAD);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.pid, told->pid[0]);
		assert_died(&f, in.way);
	}
	for (size_t i = 0; i < 1000; i++)
		many[i] = (struct item){i, LIVE};
	assert_ok(mpx_pool_map(pool, work, many, out, 1000));
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(out[i], i * 3 + 1);
	assert_true(open_fds() <= fds + 3);
	assert_soon(heap_blocks() <= blocks + 4);
	mpx_pool_free(pool);
}

/* ---- idle workers ------------------------------------------------------ */

static void test_killed_while_idle(void **state)
{
	(void)state;
	enum { N = 3 };
	pid_t pids[N], others[N];
	static struct item in[1000];
	static size_t out[1000];
	mpx_failure f;
	mpx_pool *pool = pool_of(N);
	for (size_t i = 0; i < 1000; i++)
		in[i] = (struct item){i, LIVE};
	for (int round = 0; round < 20; round++) {
		assert_true(workers_of(pool, &told->meeting, N, pids));
		for (int k = 0; k < N; k++)
			if (round % 2 || k > 0) /* all of them, or all but one */
				assert_int_equal(kill(pids[k], SIGKILL), 0);
		memset(told, 0, sizeof *told);
		/* Whether the deaths have been noticed yet or not. */
		if (round % 4 > 1)
			for (int k = 1; k < N; k++)
				assert_soon(!pid_running(pids[k]));
		assert_ok(mpx_pool_map(pool, work, in, out, 1000));
		for (size_t i = 0; i < 1000; i++) {
			assert_int_equal(atomic_load(&told->count[i]), 1);
			assert_int_equal(out[i], i * 3 + 1);
		}
	}
	assert_true(workers_of(pool, &told->meeting, N, others)); /* N there are again */
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT);	  /* unnoticed */
	mpx_pool_free(pool);
}

/* ---- at random --------------------------------------------------------- */

static int work_a_little(const void *in, void *out)
{
	const struct item *item = in;
	double end = now() + (double)(item->i % 20) / 40000;
	int failed = work(in, out);
	while (now() < end)
		continue;
	return failed;
}

/* Kills a worker that was busy a moment ago. True if there was one. */
static bool kill_a_worker(uint64_t *seed)
{
	struct timespec t = {0, (long)(next_random(seed) % 3000000)};
	nanosleep(&t, NULL); /* the random moment */
	pid_t pid = atomic_exchange(&told->latest, 0);
	return pid > 0 && kill(pid, SIGKILL) == 0;
}

static uint64_t seed_of_run(uint64_t other)
{
	const char *given = getenv("MPX_TEST_SEED");
	return given ? strtoull(given, NULL, 0) : other;
}

static void test_random_kills_of_applies(void **state)
{
	(void)state;
	static mpx_result *r[MOST];
	uint64_t seed = seed_of_run(1);
	int kills = 0, failed = 0;
	mpx_pool *pool = pool_of(3);
	double end = now() + 40;
	for (size_t i = 0; i < MOST; i++) {
		struct item item = {i, LIVE};
		r[i] = mpx_pool_apply_async(pool, work_a_little, &item, sizeof item, sizeof(size_t),
					    NULL);
		assert_non_null(r[i]);
	}
	while (kills < 100 && !mpx_result_ready(r[MOST - 1]) && now() < end)
		kills += kill_a_worker(&seed);
	for (size_t i = 0; i < MOST; i++) {
		size_t y = 0;
		mpx_failure f;
		if (mpx_result_get(r[i], &y, SOON) == 0) {
			assert_int_equal(y, i * 3 + 1);
			assert_int_equal(atomic_load(&told->count[i]), 1);
		} else {
			assert_int_equal(errno, EOWNERDEAD);
			assert_true(atomic_load(&told->count[i]) <= 1);
			assert_ok(mpx_result_failure(r[i], &f));
			assert_died(&f, KILL);
			failed++;
		}
		mpx_result_free(r[i]);
	}
	assert_true(failed <= kills);
	mpx_pool_free(pool);
}

static void random_kills_of_map(size_t chunksize, uint64_t seed)
{
	static struct item in[MOST];
	static size_t out[MOST];
	int kills = 0, wrong = 0;
	mpx_pool *pool = pool_of(3);
	for (size_t i = 0; i < MOST; i++)
		in[i] = (struct item){i, LIVE};
	memset(told, 0, sizeof *told);
	memset(out, 0, sizeof out);
	mpx_result *r = mpx_pool_map_async(pool, work_a_little, in, sizeof *in, MOST, sizeof *out,
					   MPX_TASK(.chunksize = chunksize));
	assert_non_null(r);
	double end = now() + 25;
	while (kills < 100 && !mpx_result_ready(r) && now() < end)
		kills += kill_a_worker(&seed);
	int got = mpx_result_get(r, out, SOON);
	int error = errno;
	for (size_t i = 0; i < MOST; i++) {
		assert_true(atomic_load(&told->count[i]) <= 1);
		wrong += out[i] != i * 3 + 1;
		if (out[i] == i * 3 + 1)
			assert_int_equal(atomic_load(&told->count[i]), 1);
	}
	assert_true(wrong <= kills);
	if (got != 0)
		assert_int_equal(error, EOWNERDEAD);
	else
		assert_int_equal(wrong, 0);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

static void test_random_kills_of_maps(void **state)
{
	(void)state;
	random_kills_of_map(1, seed_of_run(2));
	random_kills_of_map(0, seed_of_run(3));
	random_kills_of_map(MOST / 3, seed_of_run(4));
}

/* Killed between workers' start and their first task, and during terminate. */
static void test_kills_while_it_ends(void **state)
{
	(void)state;
	enum { N = 3 };
	pid_t pids[N];
	uint64_t seed = 77;
	for (int round = 0; round < 20; round++) {
		mpx_pool *pool = pool_of(N);
		assert_true(workers_of(pool, &told->meeting, N, pids));
		kill(pids[next_random(&seed) % N], SIGKILL);
		if (round % 2)
			assert_ok(mpx_pool_close(pool));
		else
			assert_ok(mpx_pool_terminate(pool));
		kill(pids[next_random(&seed) % N], SIGKILL);
		if (round % 3)
			assert_ok(mpx_pool_join(pool, SOON));
		mpx_pool_free(pool);
	}
}

#define death_test(fn) cmocka_unit_test_prestate_setup_teardown(fn, setup, teardown, (void *)#fn)

int main(void)
{
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	const struct CMUnitTest tests[] = {
		death_test(test_one_dies),
		death_test(test_ways_to_die),
		death_test(test_only_worker_dies),
		death_test(test_async_dies),
		death_test(test_death_and_error),
		death_test(test_several_die),
		death_test(test_all_die),
		death_test(test_fifty_deaths),
		death_test(test_killed_while_idle),
		death_test(test_random_kills_of_applies),
		death_test(test_random_kills_of_maps),
		death_test(test_kills_while_it_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
