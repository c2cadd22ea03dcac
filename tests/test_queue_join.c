/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_join.c - mpx/queue.h, JoinableQueue:
 *
 *   task_done and join as CPython's test_task_done (workers, join, sentinels) and the
 *   join tests of its thread queue have them: join at once if nothing was put, again
 *   and again, only after the last task_done; task_done too often. Every way to take
 *   counts (get, get_many, take), looking does not. task_done for another process, and
 *   for a dead one; those who took and were killed or ended: join says so once, within
 *   bounds, also when their place in the table of peers was given to others; timeouts;
 *   several who join; closed queues; workers that put new messages before task_done:
 *   join does not return early.
 *
 * Seen to fail with these broken in src/ipc/queue_join.c: forget_the_dead does nothing,
 * or nobody looks who died (test_taker_dies); no takeover of an entry's open ones, or
 * they cannot be finished (test_place_given_away); own entry first (test_own_first).
 * (The post in finish_one: whoever joins looks again every 64 ms, which hides that.)
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>

enum { WORKERS = 4 };

/* In the family's heap. */
struct work {
	mpx_queue *q;
	atomic_int ready, done, joined, go;
	int to_take, to_finish; /* by take_some */
};

static struct work *work_new(void)
{
	struct work *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_joinable_queue_new());
	return w;
}

static void work_free(struct work *w)
{
	mpx_queue_free(w->q);
	mpx_free(w);
}

static void put_n(mpx_queue *q, int n)
{
	for (int i = 0; i < n; i++)
		assert_ok(mpx_queue_put(q, &i, sizeof i, SOON));
}

static void get_n(mpx_queue *q, int n)
{
	int x;
	for (int i = 0; i < n; i++)
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, SOON), sizeof x);
}

static void kill_it(mpx_process *p)
{
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ends(p), -SIGKILL);
}

/* ---- one process ------------------------------------------------------- */

static void test_one_process(void **state)
{
	(void)state;
	mpx_queue *q = mpx_joinable_queue_new();
	assert_non_null(q);
	for (int round = 0; round < 3; round++) {
		assert_ok(mpx_queue_join(q, 0));
		assert_ok(mpx_queue_join(q, MPX_FOREVER));
		put_n(q, 3);
		assert_times_out(mpx_queue_join(q, 0), 0);
		for (int i = 0; i < 3; i++) {
			get_n(q, 1);
			assert_times_out(mpx_queue_join(q, 0), 0);
			assert_ok(mpx_queue_task_done(q));
			if (i < 2)
				assert_times_out(mpx_queue_join(q, i * 0.05), i * 0.05);
		}
		assert_ok(mpx_queue_join(q, 0));
		assert_ok(mpx_queue_join(q, -1));
	}
	mpx_queue_free(q);
}

/* Python: "task_done() called too many times". */
static void test_too_often(void **state)
{
	(void)state;
	mpx_queue *q = mpx_joinable_queue_new(.maxsize = 5);
	assert_non_null(q);
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	put_n(q, 2);
	assert_fails(mpx_queue_task_done(q), EOVERFLOW); /* none of them was taken */
	get_n(q, 1);
	assert_ok(mpx_queue_task_done(q));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	assert_fails(mpx_queue_join(q, 0), ETIMEDOUT); /* that did not count */
	get_n(q, 1);
	assert_fails(mpx_queue_join(q, 0), ETIMEDOUT);
	assert_ok(mpx_queue_task_done(q));
	assert_ok(mpx_queue_join(q, 0));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	assert_ok(mpx_queue_join(q, 0));
	mpx_queue_free(q);
}

static void done_times(mpx_queue *q, int n)
{
	for (int i = 0; i < n; i++) {
		assert_fails(mpx_queue_join(q, 0), ETIMEDOUT);
		assert_ok(mpx_queue_task_done(q));
	}
	assert_ok(mpx_queue_join(q, 0));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
}

/* Whatever takes a message counts, and nothing else does. */
static void test_what_counts(void **state)
{
	(void)state;
	int x[8];
	size_t size;
	mpx_queue *q = mpx_joinable_queue_new();
	assert_non_null(q);
	put_n(q, 5);
	assert_int_equal(mpx_queue_next_size(q, 0), sizeof *x);
	assert_fails(mpx_queue_get(q, x, 1, 0), EMSGSIZE);
	assert_fails(mpx_queue_get_many(q, x, 1, 8, NULL, 0), EMSGSIZE);
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	assert_int_equal(mpx_queue_get_many(q, x, sizeof *x, 8, NULL, 0), 5);
	done_times(q, 5);

	assert_int_equal(mpx_queue_put_many(q, x, sizeof *x, 3, 0), 3);
	for (int i = 0; i < 3; i++) {
		const void *m = mpx_queue_take(q, &size, 0);
		assert_non_null(m);
		assert_ok(mpx_queue_release(q, m)); /* which is not yet "done" */
	}
	done_times(q, 3);

	static char large[100000];
	assert_ok(mpx_queue_put(q, large, sizeof large, 0));
	assert_int_equal(mpx_queue_get(q, large, sizeof large, 0), sizeof large);
	done_times(q, 1);

	void *r = mpx_queue_reserve(q, 10, 0);
	assert_non_null(r);
	assert_ok(mpx_queue_join(q, 0)); /* reserved is not put */
	assert_ok(mpx_queue_cancel(q, r));
	assert_ok(mpx_queue_join(q, 0));
	assert_non_null(r = mpx_queue_reserve(q, 10, 0));
	assert_ok(mpx_queue_commit(q, r));
	assert_fails(mpx_queue_join(q, 0), ETIMEDOUT);
	assert_int_equal(mpx_queue_get(q, large, sizeof large, 0), 10);
	done_times(q, 1);
	mpx_queue_free(q);
}

static void test_arguments(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_queue *q = mpx_joinable_queue_new(.maxsize = 3, .bytes = 1000);
	assert_non_null(q);
	put_n(q, 3);
	assert_times_out(mpx_queue_put(q, "", 1, 0), 0);
	assert_fails(mpx_queue_join(q, NOT_A_NUMBER), EINVAL);
	bad_pointers_make(&bad, q);
	for (size_t i = 0; i < bad.n; i++) {
		assert_fails(mpx_queue_join(bad.p[i], MPX_FOREVER), EINVAL);
		assert_fails(mpx_queue_task_done(bad.p[i]), EINVAL);
	}
	bad_pointers_done(&bad);
	mpx_queue_free(q);
}

static void test_closed(void **state)
{
	(void)state;
	mpx_queue *q = mpx_joinable_queue_new();
	assert_non_null(q);
	put_n(q, 2);
	assert_ok(mpx_queue_close(q));
	assert_times_out(mpx_queue_join(q, 0.05), 0.05);
	get_n(q, 2);
	done_times(q, 2);
	mpx_queue_free(q);
}

/* ---- several ------------------------------------------------------------- */

/* Works until there is a sentinel: a message of another size. */
static int work(void *arg)
{
	struct work *w = arg;
	int x;
	while (mpx_queue_get(w->q, &x, sizeof x, SOON) == sizeof x) {
		if (x % 50 == 0)
			nap();
		atomic_fetch_add(&w->done, 1);
		child_check(mpx_queue_task_done(w->q) == 0);
	}
	child_check(mpx_queue_task_done(w->q) == 0);
	return 0;
}

/* CPython's test_task_done. */
static void test_workers(void **state)
{
	(void)state;
	mpx_process *p[WORKERS];
	struct work *w = work_new();
	for (int i = 0; i < WORKERS; i++)
		p[i] = start(work, w);
	for (int round = 1; round <= 20; round++) {
		put_n(w->q, 100);
		assert_ok(mpx_queue_join(w->q, SOON));
		assert_int_equal(atomic_load(&w->done), round * 100);
		assert_true(mpx_queue_empty(w->q));
	}
	for (int i = 0; i < WORKERS; i++)
		assert_ok(mpx_queue_put(w->q, NULL, 0, SOON));
	for (int i = 0; i < WORKERS; i++)
		ends_well(p[i]);
	assert_ok(mpx_queue_join(w->q, 0));
	work_free(w);
}

static int join_it(void *arg)
{
	struct work *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_join(w->q, MPX_FOREVER) == 0);
	child_check(atomic_load(&w->done) == 2);
	atomic_fetch_add(&w->joined, 1);
	return 0;
}

/* All who wait are woken by the last task_done, and by no other. */
static void test_join_is_woken(void **state)
{
	(void)state;
	mpx_process *p[3];
	struct work *w = work_new();
	for (int round = 0; round < 20; round++) {
		put_n(w->q, 2);
		atomic_store(&w->ready, 0);
		atomic_store(&w->joined, 0);
		atomic_store(&w->done, 0);
		for (int i = 0; i < 3; i++)
			p[i] = start(join_it, w);
		assert_soon(atomic_load(&w->ready) == 3);
		for (int i = 0; i < 3; i++)
			assert_soon(asleep(mpx_process_pid(p[i])));
		get_n(w->q, 2);
		assert_ok(mpx_queue_task_done(w->q));
		assert_int_equal(atomic_load(&w->joined), 0);
		atomic_store(&w->done, 2);
		assert_ok(mpx_queue_task_done(w->q));
		assert_soon(atomic_load(&w->joined) == 3);
		for (int i = 0; i < 3; i++)
			ends_well(p[i]);
	}
	work_free(w);
}

/* ---- for others ------------------------------------------------------------ */

static int finish_two(void *arg)
{
	child_check(mpx_queue_task_done(arg) == 0);
	child_check(mpx_queue_task_done(arg) == 0);
	child_fails(mpx_queue_task_done(arg), EOVERFLOW);
	return 0;
}

static void test_for_another(void **state)
{
	(void)state;
	mpx_queue *q = mpx_joinable_queue_new();
	assert_non_null(q);
	put_n(q, 2);
	get_n(q, 2);
	ends_well(start(finish_two, q));
	assert_ok(mpx_queue_join(q, 0));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	put_n(q, 2);
	get_n(q, 2);
	assert_int_equal(run_child((int (*)(void *))finish_two, q), 0); /* a plain fork() */
	assert_ok(mpx_queue_join(q, 0));
	mpx_queue_free(q);
}

/* Takes to_take, finishes to_finish of them, then waits for go (for ever, if it must). */
static int take_some(void *arg)
{
	struct work *w = arg;
	int x;
	for (int i = 0; i < w->to_take; i++)
		child_check(mpx_queue_get(w->q, &x, sizeof x, SOON) == sizeof x);
	for (int i = 0; i < w->to_finish; i++)
		child_check(mpx_queue_task_done(w->q) == 0);
	atomic_fetch_add(&w->ready, 1);
	child_soon(atomic_load(&w->go));
	return 0;
}

static mpx_process *take_and_stay(struct work *w, int to_take, int to_finish)
{
	int ready = atomic_load(&w->ready);
	w->to_take = to_take;
	w->to_finish = to_finish;
	mpx_process *p = start(take_some, w);
	assert_soon(atomic_load(&w->ready) == ready + 1);
	return p;
}

/* It counts for the caller's own first: nothing of the child's is open when it dies. */
static void test_own_first(void **state)
{
	(void)state;
	struct work *w = work_new();
	put_n(w->q, 4);
	get_n(w->q, 2);
	mpx_process *p = take_and_stay(w, 2, 2);
	kill_it(p);
	assert_times_out(mpx_queue_join(w->q, 0.2), 0.2);
	assert_ok(mpx_queue_task_done(w->q));
	assert_ok(mpx_queue_task_done(w->q));
	assert_ok(mpx_queue_join(w->q, 0));
	assert_fails(mpx_queue_task_done(w->q), EOVERFLOW);
	work_free(w);
}

/* ---- those who die ----------------------------------------------------------- */

static void died_once(struct work *w)
{
	assert_fails(mpx_queue_join(w->q, SOON), EOWNERDEAD);
	assert_ok(mpx_queue_join(w->q, 0));
	assert_fails(mpx_queue_task_done(w->q), EOVERFLOW);
	put_n(w->q, 1); /* and it goes on as ever */
	assert_fails(mpx_queue_join(w->q, 0), ETIMEDOUT);
	get_n(w->q, 1);
	assert_fails(mpx_queue_join(w->q, 0), ETIMEDOUT);
	assert_ok(mpx_queue_task_done(w->q));
	assert_ok(mpx_queue_join(w->q, 0));
}

static void test_taker_dies(void **state)
{
	(void)state;
	struct work *w = work_new();
	for (int killed = 0; killed < 2; killed++)
		for (int finish = 0; finish < 3; finish++) {
			put_n(w->q, 3);
			mpx_process *p = take_and_stay(w, 3, finish);
			assert_times_out(mpx_queue_join(w->q, 0.1), 0.1); /* alive */
			if (killed) {
				kill_it(p);
			} else {
				atomic_store(&w->go, 1);
				ends_well(p);
				atomic_store(&w->go, 0);
			}
			died_once(w);
		}
	work_free(w);
}

/* Once all that the living have is done, not before. */
static void test_dead_and_living(void **state)
{
	(void)state;
	struct work *w = work_new();
	put_n(w->q, 4);
	get_n(w->q, 1);
	mpx_process *a = take_and_stay(w, 1, 0), *b = take_and_stay(w, 1, 0);
	kill_it(a);
	kill_it(b);
	assert_times_out(mpx_queue_join(w->q, 0.2), 0.2); /* one waits, one is mine */
	get_n(w->q, 1);
	assert_times_out(mpx_queue_join(w->q, 0.1), 0.1);
	assert_ok(mpx_queue_task_done(w->q));
	assert_times_out(mpx_queue_join(w->q, 0.1), 0.1);
	assert_ok(mpx_queue_task_done(w->q));
	died_once(w);
	work_free(w);
}

static void test_done_for_the_dead(void **state)
{
	(void)state;
	struct work *w = work_new();
	put_n(w->q, 2);
	kill_it(take_and_stay(w, 2, 0));
	assert_ok(mpx_queue_task_done(w->q));
	assert_times_out(mpx_queue_get(w->q, NULL, 0, 0), 0);
	assert_ok(mpx_queue_task_done(w->q));
	assert_ok(mpx_queue_join(w->q, 0)); /* all done: nobody was missed */
	assert_fails(mpx_queue_task_done(w->q), EOVERFLOW);
	work_free(w);
}

static int join_the_dead(void *arg)
{
	struct work *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_fails(mpx_queue_join(w->q, SOON), EOWNERDEAD);
	return 0;
}

static void test_dies_while_joined(void **state)
{
	(void)state;
	struct work *w = work_new();
	for (int round = 0; round < 5; round++) {
		put_n(w->q, 1);
		mpx_process *taker = take_and_stay(w, 1, 0);
		int ready = atomic_load(&w->ready);
		mpx_process *joiner = start(join_the_dead, w);
		assert_soon(atomic_load(&w->ready) == ready + 1);
		assert_soon(asleep(mpx_process_pid(joiner)));
		kill_it(taker);
		ends_well(joiner);
		assert_ok(mpx_queue_join(w->q, 0));
	}
	work_free(w);
}

/* A joiner that is killed costs nobody anything. */
static void test_joiner_killed(void **state)
{
	(void)state;
	mpx_process *p[3];
	struct work *w = work_new();
	put_n(w->q, 1);
	atomic_store(&w->done, 2);
	for (int i = 0; i < 3; i++)
		p[i] = start(join_it, w);
	assert_soon(atomic_load(&w->ready) == 3);
	for (int i = 0; i < 3; i++)
		assert_soon(asleep(mpx_process_pid(p[i])));
	kill_it(p[0]);
	kill_it(p[1]);
	get_n(w->q, 1);
	assert_ok(mpx_queue_task_done(w->q));
	ends_well(p[2]);
	assert_ok(mpx_queue_join(w->q, 0));
	work_free(w);
}

static int take_and_finish(void *arg)
{
	int x;
	child_check(mpx_queue_get(arg, &x, sizeof x, SOON) == sizeof x);
	child_check(mpx_queue_task_done(arg) == 0);
	return 0;
}

/* So many processes that one of them has the dead one's place in the table. */
static void use_all_places(struct work *w)
{
	double end = now() + 40;
	for (int i = 0; i < 4200 && now() < end; i++) {
		put_n(w->q, 1);
		ends_well(start(take_and_finish, w->q));
	}
}

static void test_place_given_away(void **state)
{
	(void)state;
	skip_thousands_of_processes();
	struct work *w = work_new();
	put_n(w->q, 2);
	kill_it(take_and_stay(w, 2, 0));
	use_all_places(w);
	assert_ok(mpx_queue_task_done(w->q)); /* for one of the dead one's */
	died_once(w);
	put_n(w->q, 1);
	kill_it(take_and_stay(w, 1, 0));
	use_all_places(w);
	assert_ok(mpx_queue_task_done(w->q));
	assert_fails(mpx_queue_task_done(w->q), EOVERFLOW);
	assert_ok(mpx_queue_join(w->q, 0));
	work_free(w);
}

/* ---- work that makes work -------------------------------------------------------- */

/* Takes in one of three ways: the depth of a task, or -1 at the end. */
static int take_task(mpx_queue *q, int how)
{
	int depth;
	size_t size;
	const int *p;
	if (how % 3 == 0) {
		if (mpx_queue_get(q, &depth, sizeof depth, SOON) == sizeof depth)
			return depth;
	} else if (how % 3 == 1) {
		if (mpx_queue_get_many(q, &depth, sizeof depth, 1, NULL, SOON) == 1)
			return depth;
	} else if ((p = mpx_queue_take(q, &size, SOON)) != NULL) {
		depth = *p;
		child_check(mpx_queue_release(q, p) == 0);
		return depth;
	}
	child_check(errno == EPIPE);
	return -1;
}

static int work_makes_work(void *arg)
{
	struct work *w = arg;
	int depth;
	for (int i = 0; (depth = take_task(w->q, i)) >= 0; i++) {
		int next[2] = {depth - 1, depth - 1};
		if (depth && i % 2)
			child_check(mpx_queue_put_many(w->q, next, sizeof *next, 2, SOON) == 2);
		for (int k = 0; depth && i % 2 == 0 && k < 2; k++)
			child_check(mpx_queue_put(w->q, &next[k], sizeof *next, SOON) == 0);
		atomic_fetch_add(&w->done, 1);
		child_check(mpx_queue_task_done(w->q) == 0);
	}
	return 0;
}

static void test_work_makes_work(void **state)
{
	(void)state;
	mpx_process *p[WORKERS];
	struct work *w = work_new();
	double end = now() + 20;
	for (int i = 0; i < WORKERS; i++)
		p[i] = start(work_makes_work, w);
	for (int round = 0; round < 2000 && now() < end; round++) {
		int depth = round % 7;
		atomic_store(&w->done, 0);
		assert_ok(mpx_queue_put(w->q, &depth, sizeof depth, SOON));
		assert_ok(mpx_queue_join(w->q, SOON));
		int done = atomic_load(&w->done);
		if (done != (2 << depth) - 1)
			fail_msg("round %d: join after %d of %d", round, done, (2 << depth) - 1);
	}
	assert_ok(mpx_queue_close(w->q));
	for (int i = 0; i < WORKERS; i++)
		ends_well(p[i]);
	work_free(w);
}

static void *work_makes_work_in_thread(void *arg)
{
	work_makes_work(arg);
	return NULL;
}

/* The same by threads, who share one account. */
static void test_threads(void **state)
{
	(void)state;
	pthread_t t[WORKERS];
	struct work *w = work_new();
	double end = now() + 10;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work_makes_work_in_thread, w), 0);
	for (int round = 0; round < 500 && now() < end; round++) {
		int depth = round % 7;
		atomic_store(&w->done, 0);
		assert_ok(mpx_queue_put(w->q, &depth, sizeof depth, SOON));
		assert_ok(mpx_queue_join(w->q, SOON));
		assert_int_equal(atomic_load(&w->done), (2 << depth) - 1);
	}
	assert_ok(mpx_queue_close(w->q));
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_fails(mpx_queue_task_done(w->q), EOVERFLOW);
	work_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_one_process),
		mpx_test(test_too_often),
		mpx_test(test_what_counts),
		mpx_test(test_arguments),
		mpx_test(test_closed),
		mpx_test(test_workers),
		mpx_test(test_join_is_woken),
		mpx_test(test_for_another),
		mpx_test(test_own_first),
		mpx_test(test_taker_dies),
		mpx_test(test_dead_and_living),
		mpx_test(test_done_for_the_dead),
		mpx_test(test_dies_while_joined),
		mpx_test(test_joiner_killed),
		mpx_test(test_place_given_away),
		mpx_test(test_work_makes_work),
		mpx_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
