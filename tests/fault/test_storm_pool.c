/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Kills of random workers, busy and idle, during many tasks of 0 to 2 ms, by
 * apply_async and by map. Each task ends exactly once, with success or EOWNERDEAD;
 * no more fail than workers were killed; without .retries none begins twice, with
 * them no more begin than there are tasks and kills. No block is left.
 *
 * Seen to fail with these broken in src/pool/job.c: rewind_cursor in
 * mpx__job_worker_died (a chunk is never run); item++ in word_after_death (a task
 * begins twice); one retry too many there. Kills and the long form: storm.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <signal.h>
#include <time.h>

enum { WORKERS = 4, KILLS = 80, PER_KILL = 8, TASKS = KILLS * PER_KILL, PIDS = 4096 };

struct world {
	atomic_uint workers;	 /* that have begun */
	_Atomic pid_t pid[PIDS]; /* of them */
	bool killed[PIDS];
	atomic_uint begun[TASKS], ended[TASKS];
	struct storm_ticks done;
};

struct order {
	struct world *w;
	unsigned index, nanoseconds;
};

static int sign_in(void *arg)
{
	struct world *w = arg;
	unsigned i = atomic_fetch_add(&w->workers, 1);

	child_check(i < PIDS);
	atomic_store(&w->pid[i], getpid());
	return 0;
}

static unsigned answer_of(unsigned index)
{
	return index * 2654435761u + 1;
}

static int work(const void *in, void *out)
{
	const struct order *o = in;

	atomic_fetch_add(&o->w->begun[o->index], 1);
	if (o->index % 2) {
		struct timespec t = {0, (long)o->nanoseconds};
		nanosleep(&t, NULL);
	} else {
		double end = now() + o->nanoseconds / 1e9;
		while (now() < end)
			continue;
	}
	*(unsigned *)out = answer_of(o->index);
	storm_tick(&o->w->done);
	atomic_fetch_add(&o->w->ended[o->index], 1);
	return 0;
}

static struct order order_of(struct world *w, unsigned index, uint64_t *seed)
{
	return (struct order){w, index, (unsigned)(next_random(seed) % 2000000)};
}

/* Kills one of those that signed in last; each pid once, and a worker does not end
 * but by that, so it is its pid. False: all of them are dead, their successors on
 * their way. */
static bool kill_worker(struct world *w, uint64_t *seed)
{
	unsigned n = atomic_load(&w->workers), first = n < 3 * WORKERS ? 0 : n - 3 * WORKERS;
	unsigned living[3 * WORKERS], k = 0;

	for (unsigned i = first; i < n && i < PIDS; i++)
		if (!w->killed[i] && atomic_load(&w->pid[i]))
			living[k++] = i;
	if (!k)
		return false;
	k = living[next_random(seed) % k];
	w->killed[k] = true;
	assert_ok(kill(atomic_load(&w->pid[k]), SIGKILL));
	storm_count_kills(1);
	return true;
}

static struct world *make_world(mpx_pool **pool)
{
	struct world *w = mpx_calloc(1, sizeof *w);

	assert_non_null(w);
	*pool = mpx_pool_new(.processes = WORKERS, .initializer = sign_in, .initargs = w,
			     .restart_budget = PIDS);
	assert_non_null(*pool);
	assert_soon(atomic_load(&w->workers) == WORKERS);
	return w;
}

static void free_world(struct world *w, mpx_pool *pool, size_t before)
{
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
	storm_ticks_end(&w->done);
	mpx_free(w);
	storm_heap_has(before);
}

/* How it ended: has it failed? */
static bool failed(struct world *w, mpx_result *r, unsigned i, unsigned retries)
{
	unsigned answer = 0, begun = atomic_load(&w->begun[i]), ended = atomic_load(&w->ended[i]);
	mpx_failure f;
	int got = mpx_result_get(r, &answer, 0);

	assert_true(ended <= begun && begun <= retries + 1);
	if (got == 0) {
		assert_int_equal(answer, answer_of(i));
		assert_true(ended >= 1);
		if (!retries)
			assert_int_equal(ended, 1);
		assert_fails(mpx_result_failure(r, &f), ENOENT);
		return false;
	}
	assert_int_equal(errno, EOWNERDEAD);
	assert_ok(mpx_result_failure(r, &f));
	assert_int_equal(f.signal, SIGKILL);
	assert_int_equal(f.error, EOWNERDEAD);
	return true;
}

static void storm_of_tasks(uint64_t *seed, unsigned retries)
{
	size_t before = heap_blocks();
	mpx_pool *pool;
	struct world *w = make_world(&pool);
	static mpx_result *r[TASKS];
	unsigned n = 0, kills = 0, failures = 0, begun = 0;

	while (n < TASKS && !storm_late()) {
		for (int i = 0; i < PER_KILL; i++, n++) {
			struct order o = order_of(w, n, seed);
			r[n] = mpx_pool_apply_async(pool, work, &o, sizeof o, sizeof(unsigned),
						    MPX_TASK(.retries = (int)retries));
			assert_non_null(r[n]);
		}
		storm_pause(seed);
		kills += kill_worker(w, seed);
	}
	for (unsigned i = 0; i < n; i++) {
		assert_ok(mpx_result_wait(r[i], SOON));
		failures += failed(w, r[i], i, retries);
		begun += atomic_load(&w->begun[i]);
	}
	assert_true(failures * (retries + 1) <= kills);
	assert_true(begun <= n + kills);
	for (unsigned i = 0; i < n; i++)
		mpx_result_free(r[i]);
	free_world(w, pool, before);
}

static void round_tasks(uint64_t *seed)
{
	storm_of_tasks(seed, 0);
}

static void round_retries(uint64_t *seed)
{
	storm_of_tasks(seed, 3);
}

/* One map; what is in the chunk of the dead is run by others. */
static void storm_of_map(uint64_t *seed, size_t chunksize)
{
	size_t before = heap_blocks();
	mpx_pool *pool;
	struct world *w = make_world(&pool);
	static struct order in[TASKS];
	static unsigned out[TASKS];
	unsigned kills = 0, unended = 0, first = TASKS;
	mpx_result *r;
	mpx_failure f;

	for (unsigned i = 0; i < TASKS; i++)
		in[i] = order_of(w, i, seed);
	r = mpx_pool_map_async(pool, work, in, sizeof *in, TASKS, sizeof *out,
			       MPX_TASK(.chunksize = chunksize));
	assert_non_null(r);
	while (!mpx_result_ready(r) && kills < KILLS && !storm_late()) {
		storm_pause(seed);
		kills += kill_worker(w, seed);
	}
	assert_ok(mpx_result_wait(r, SOON));
	if (mpx_result_get(r, out, 0) != 0) {
		assert_int_equal(errno, EOWNERDEAD);
		assert_ok(mpx_result_failure(r, &f));
		assert_int_equal(f.signal, SIGKILL);
		first = (unsigned)f.index;
	}
	for (unsigned i = 0; i < TASKS; i++) {
		unsigned ended = atomic_load(&w->ended[i]), begun = atomic_load(&w->begun[i]);
		assert_true(ended <= begun && begun <= 1);
		unended += !ended;
		if (!ended)
			assert_true(i >= first);
		else
			assert_int_equal(out[i], answer_of(i));
	}
	assert_true(unended <= kills);
	mpx_result_free(r);
	free_world(w, pool, before);
}

static void round_map(uint64_t *seed)
{
	storm_of_map(seed, 1 + next_random(seed) % 20);
}

static void test_tasks(void **state)
{
	(void)state;
	storm_run("pool, apply", round_tasks);
}

static void test_retries(void **state)
{
	(void)state;
	storm_run("pool, retries", round_retries);
}

static void test_map(void **state)
{
	(void)state;
	storm_run("pool, map", round_map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_tasks),
		mpx_test(test_retries),
		mpx_test(test_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
