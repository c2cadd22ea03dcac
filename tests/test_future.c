/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_future.c - mpx/executor.h, futures, and wait and as_completed over them. What
 * CPython's FutureTests, WaitTests and AsCompletedTests check:
 *
 *   states (pending, running, done, cancelled) and what each call says in each;
 *   result and exception, with timeouts; cancel of what waits, runs, is done, is
 *   cancelled; callbacks: with a result, with an error, when cancelled, at once
 *   if done, in order, several, from several threads, of a future that is freed, added
 *   by a callback; wait: first completed (also if some were before), first exception (one
 *   that was before, none, a cancelled one is none), all completed, timeouts, many,
 *   duplicates; as_completed: no timeout, timeout zero, duplicates, order, of several
 *   executors, with those that failed and were cancelled; and each of them when the
 *   supervisor is killed.
 *
 * FutureTests: test_done_callback_with_result, _with_exception, _with_cancel,
 * _already_successful, _already_failed, _already_cancelled; test_cancel, test_cancelled,
 * test_done, test_running, test_result_with_timeout, _with_success, _with_cancel,
 * test_exception_with_timeout, _with_success. WaitTests: test_20369, test_first_completed,
 * test_first_completed_some_already_completed, test_first_exception,
 * test_first_exception_some_already_complete, test_first_exception_one_already_failed,
 * test_all_completed, test_timeout, test_pending_calls_race. AsCompletedTests:
 * test_no_timeout, test_future_times_out, test_duplicate_futures,
 * test_free_reference_yielded_future.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>

static mpx_executor *executor_of(int workers)
{
	mpx_executor *e = mpx_executor_new(.max_workers = workers);
	assert_non_null(e);
	return e;
}

static mpx_future *submitted(mpx_executor *e, mpx_task *fn, const void *in, size_t in_size,
			     size_t out_size)
{
	mpx_future *f = mpx_executor_submit(e, fn, in, in_size, out_size, NULL);
	assert_non_null(f);
	return f;
}

static mpx_future *gated(mpx_executor *e, struct gate *g)
{
	return submitted(e, pass_gate, &g, sizeof g, 0);
}

static mpx_future *squaring(mpx_executor *e, unsigned x)
{
	return submitted(e, square, &x, sizeof x, sizeof x);
}

static int fail_with(const void *in, void *out)
{
	(void)out;
	return mpx_fail(*(const int *)in, "as asked");
}

static mpx_future *failing(mpx_executor *e, int error)
{
	return submitted(e, fail_with, &error, sizeof error, 0);
}

/* --- states -------------------------------------------------------------------------------- */

static void test_states(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	mpx_failure why;
	unsigned y = 0;
	mpx_future *running = gated(e, g), *waiting = squaring(e, 7), *never = squaring(e, 8),
		   *bad = failing(e, EDOM);
	assert_soon(atomic_load(&g->entered) == 1);

	assert_true(mpx_future_running(running));
	assert_false(mpx_future_done(running));
	assert_fails(mpx_future_cancel(running, false), EBUSY);
	assert_false(mpx_future_cancelled(running));
	assert_times_out(mpx_future_result(running, NULL, 0), 0);
	assert_times_out(mpx_future_result(running, NULL, 0.1), 0.1);
	assert_times_out(mpx_future_exception(running, 0), 0);
	assert_fails(mpx_future_failure(running, &why), EAGAIN);

	assert_false(mpx_future_running(waiting));
	assert_false(mpx_future_done(waiting));
	assert_false(mpx_future_cancelled(waiting));

	assert_ok(mpx_future_cancel(never, false));
	assert_true(mpx_future_cancelled(never));
	assert_true(mpx_future_done(never));
	assert_false(mpx_future_running(never));
	assert_ok(mpx_future_cancel(never, false)); /* as in Python */
	assert_ok(mpx_future_cancel(never, true));
	assert_fails(mpx_future_result(never, &y, 0), ECANCELED);
	assert_int_equal(mpx_future_exception(never, 0), ECANCELED);

	atomic_store(&g->open, true);
	assert_ok(mpx_future_result(running, NULL, SOON));
	assert_ok(mpx_future_result(waiting, &y, SOON));
	assert_int_equal(y, 49);
	assert_int_equal(mpx_future_exception(waiting, 0), 0);
	assert_true(mpx_future_done(waiting));
	assert_false(mpx_future_running(waiting));
	assert_false(mpx_future_cancelled(waiting));
	assert_fails(mpx_future_cancel(waiting, false), EBUSY);
	assert_fails(mpx_future_cancel(waiting, true), EBUSY);
	assert_fails(mpx_future_failure(waiting, &why), ENOENT);

	assert_int_equal(mpx_future_exception(bad, SOON), EDOM);
	assert_fails(mpx_future_result(bad, NULL, 0), EDOM);
	assert_ok(mpx_future_failure(bad, &why));
	assert_string_equal(why.message, "as asked");
	assert_false(mpx_future_cancelled(bad));
	assert_fails(mpx_future_cancel(bad, false), EBUSY);

	/* Futures outlive their executor. */
	mpx_executor_free(e);
	assert_true(mpx_future_done(waiting));
	assert_fails(mpx_future_cancel(waiting, false), EBUSY);
	assert_ok(mpx_future_cancel(never, false));
	mpx_future_free(running);
	mpx_future_free(waiting);
	mpx_future_free(never);
	mpx_future_free(bad);
	mpx_free(g);
}

/* What is cancelled before it runs, never runs; with many before and behind it. */
static int count_in(const void *in, void *out)
{
	atomic_int *n = *(atomic_int *const *)in;
	(void)out;
	atomic_fetch_add(n, 1);
	return 0;
}

static void test_cancel_waiting(void **state)
{
	(void)state;
	enum { MANY = 40 };
	struct gate *g = gate_new();
	atomic_int *ran = mpx_calloc(1, sizeof *ran);
	mpx_executor *e = executor_of(2);
	mpx_future *held[2] = {gated(e, g), gated(e, g)}, *fs[MANY];
	assert_soon(atomic_load(&g->entered) == 2);
	for (int i = 0; i < MANY; i++)
		fs[i] = submitted(e, count_in, &ran, sizeof ran, 0);
	for (int i = 0; i < MANY; i += 2)
		assert_ok(mpx_future_cancel(fs[i], false));
	atomic_store(&g->open, true);
	assert_int_equal(mpx_futures_wait(fs, MANY, MPX_ALL_COMPLETED, NULL, SOON), MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(mpx_future_cancelled(fs[i]), i % 2 == 0);
		mpx_future_free(fs[i]);
	}
	assert_int_equal(atomic_load(ran), MANY / 2);
	mpx_future_free(held[0]);
	mpx_future_free(held[1]);
	mpx_executor_free(e);
	mpx_free(ran);
	mpx_free(g);
}

static void test_cancel_running(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	mpx_future *f = gated(e, g), *next = squaring(e, 5);
	unsigned y = 0;
	assert_soon(atomic_load(&g->entered) == 1);
	assert_fails(mpx_future_cancel(f, false), EBUSY);
	assert_ok(mpx_future_cancel(f, true));
	assert_true(mpx_future_cancelled(f));
	assert_fails(mpx_future_result(f, NULL, 0), ECANCELED);
	assert_ok(mpx_future_result(next, &y, SOON)); /* by the worker's successor */
	assert_int_equal(y, 25);
	assert_int_equal(atomic_load(&g->left), 0);
	mpx_future_free(f);
	mpx_future_free(next);
	mpx_executor_free(e);
	mpx_free(g);
}

/* Who waits for a result learns at once that it will not come. */
struct waiter {
	mpx_future *f;
	atomic_int there;
	int result, exception;
	pthread_t thread;
};

static void *wait_for_result(void *arg)
{
	struct waiter *w = arg;
	atomic_store(&w->there, 1);
	w->result = mpx_future_result(w->f, NULL, SOON) == 0 ? 0 : errno;
	w->exception = mpx_future_exception(w->f, 0);
	return NULL;
}

static void test_cancel_wakes(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct gate *g = gate_new();
		mpx_executor *e = executor_of(1);
		mpx_future *held = gated(e, g);
		struct waiter w = {.f = i == 2 ? failing(e, EDOM) : gated(e, g)};
		assert_soon(atomic_load(&g->entered) == 1);
		assert_int_equal(pthread_create(&w.thread, NULL, wait_for_result, &w), 0);
		assert_soon(atomic_load(&w.there));
		for (int k = 0; k < 10; k++)
			nap();
		double begin = now();
		if (i == 2)
			atomic_store(&g->open, true); /* or, that it failed */
		else if (i == 1)
			assert_times_out(mpx_executor_shutdown(e, true, 0), 0);
		else
			assert_ok(mpx_future_cancel(w.f, false));
		assert_int_equal(pthread_join(w.thread, NULL), 0);
		assert_true(now() - begin < SOON / 2);
		assert_int_equal(w.result, i == 2 ? EDOM : ECANCELED);
		assert_int_equal(w.exception, i == 2 ? EDOM : ECANCELED);
		atomic_store(&g->open, true);
		mpx_future_free(held);
		mpx_future_free(w.f);
		mpx_executor_free(e);
		mpx_free(g);
	}
}

/* --- callbacks ----------------------------------------------------------------------------- */

static struct {
	atomic_int n;
	void *user[64];
	int error[64];
	bool cancelled[64];
	pthread_t thread[64];
} called;

static void note_call(mpx_future *f, void *user)
{
	int i = atomic_load(&called.n);
	if (i < 64) {
		called.user[i] = user;
		called.error[i] = mpx_future_exception(f, 0);
		called.cancelled[i] = mpx_future_cancelled(f);
		called.thread[i] = pthread_self();
	}
	atomic_store(&called.n, i + 1);
}

static void forget_calls(void)
{
	memset(&called, 0, sizeof called);
}

static void test_callbacks(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	char place[10];
	mpx_future *f = gated(e, g), *bad = failing(e, EIO), *never = squaring(e, 3);
	forget_calls();
	for (int i = 0; i < 5; i++)
		assert_ok(mpx_future_add_done_callback(f, note_call, &place[i]));
	assert_ok(mpx_future_add_done_callback(bad, note_call, &place[5]));
	assert_ok(mpx_future_add_done_callback(never, note_call, &place[6]));
	assert_fails(mpx_future_add_done_callback(f, NULL, NULL), EINVAL);
	assert_fails(mpx_future_add_done_callback(NULL, note_call, NULL), EINVAL);
	assert_ok(mpx_future_cancel(never, false));
	assert_soon(atomic_load(&called.n) == 1);
	assert_ptr_equal(called.user[0], &place[6]);
	assert_true(called.cancelled[0]);
	assert_int_equal(called.error[0], ECANCELED);
	atomic_store(&g->open, true);
	assert_soon(atomic_load(&called.n) == 7);
	for (int i = 0; i < 6; i++) {
		assert_ptr_equal(called.user[1 + i], &place[i]);
		assert_int_equal(called.error[1 + i], i == 5 ? EIO : 0);
		assert_false(called.cancelled[1 + i]);
		assert_false(pthread_equal(called.thread[1 + i], pthread_self()));
	}
	/* Done, and none is outstanding (the last is taken off a moment after its call). */
	for (int i = 7; i < 10; i++) {
		assert_ok(mpx_future_add_done_callback(f, note_call, &place[i]));
		assert_int_equal(atomic_load(&called.n), i + 1);
		assert_ptr_equal(called.user[i], &place[i]);
		assert_true(pthread_equal(called.thread[i], pthread_self()));
	}
	/* Likewise of one that has failed, and of one that was cancelled. */
	forget_calls();
	assert_ok(mpx_future_add_done_callback(bad, note_call, &place[0]));
	assert_soon(atomic_load(&called.n) == 1); /* (its last may have been a moment ago) */
	assert_ok(mpx_future_add_done_callback(never, note_call, &place[1]));
	assert_int_equal(atomic_load(&called.n), 2);
	assert_int_equal(called.error[0], EIO);
	assert_false(called.cancelled[0]);
	assert_int_equal(called.error[1], ECANCELED);
	assert_true(called.cancelled[1]);
	assert_true(pthread_equal(called.thread[1], pthread_self()));
	mpx_future_free(f);
	mpx_future_free(bad);
	mpx_future_free(never);
	mpx_executor_free(e);
	mpx_free(g);
}

/* One adds another, which comes after those added before; the last frees the future. */
static void free_it(mpx_future *f, void *user)
{
	note_call(f, user);
	mpx_future_free(f);
	note_call(f, user); /* still there */
}

static void add_another(mpx_future *f, void *user)
{
	note_call(f, user);
	if (mpx_future_add_done_callback(f, free_it, (char *)user + 2) != 0)
		atomic_store(&called.n, -1000);
}

static void test_callbacks_add_and_free(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	char place[3];
	mpx_future *f = gated(e, g);
	forget_calls();
	assert_ok(mpx_future_add_done_callback(f, add_another, &place[0]));
	assert_ok(mpx_future_add_done_callback(f, note_call, &place[1]));
	atomic_store(&g->open, true);
	assert_soon(atomic_load(&called.n) == 4);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(called.user[i], &place[i]);
	assert_ptr_equal(called.user[3], &place[2]);
	/* Freed before: the callbacks still come, then it goes. */
	f = squaring(e, 1);
	assert_ok(mpx_future_add_done_callback(f, note_call, NULL));
	mpx_future_free(f);
	assert_soon(atomic_load(&called.n) == 5);
	mpx_executor_free(e);
	mpx_free(g);
}

/* The executor is freed meanwhile: cancelled, and told so. */
static void test_callbacks_of_the_freed(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	mpx_future *f = gated(e, g), *g2 = gated(e, g);
	forget_calls();
	assert_ok(mpx_future_add_done_callback(f, note_call, NULL));
	assert_ok(mpx_future_add_done_callback(g2, note_call, NULL));
	mpx_future_free(g2);
	mpx_executor_free(e);
	assert_soon(atomic_load(&called.n) == 2);
	assert_true(called.cancelled[0] && called.cancelled[1]);
	mpx_future_free(f);
	mpx_free(g);
}

static atomic_int counted;

static void count_call(mpx_future *f, void *user)
{
	(void)f;
	(void)user;
	atomic_fetch_add(&counted, 1);
}

static void *submit_many(void *arg)
{
	for (unsigned i = 0; i < 100; i++) {
		mpx_future *f = mpx_executor_submit(arg, square, &i, sizeof i, sizeof i, NULL);
		if (!f)
			return arg;
		for (int k = 0; k < 3; k++)
			if (mpx_future_add_done_callback(f, count_call, NULL) != 0)
				return arg;
		mpx_future_free(f);
	}
	return NULL;
}

static void test_callbacks_from_threads(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	mpx_executor *e = executor_of(2);
	pthread_t threads[THREADS];
	void *failed;
	atomic_store(&counted, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, submit_many, e), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_soon(atomic_load(&counted) == THREADS * 300);
	mpx_executor_free(e);
}

/* --- wait ---------------------------------------------------------------------------------- */

static void *open_later(void *arg)
{
	for (int i = 0; i < 20; i++)
		nap();
	atomic_store(&((struct gate *)arg)->open, true);
	return NULL;
}

static void test_wait_first_completed(void **state)
{
	(void)state;
	struct gate *g = gate_new(), *quick = gate_new();
	mpx_executor *e = executor_of(2);
	mpx_future *fs[3] = {gated(e, g), gated(e, quick), NULL};
	bool done[3] = {true, true, true};
	pthread_t thread;
	fs[2] = fs[0];
	assert_times_out(mpx_futures_wait(fs, 3, MPX_FIRST_COMPLETED, done, 0), 0);
	assert_false(done[0] || done[1] || done[2]);
	assert_times_out(mpx_futures_wait(fs, 3, MPX_FIRST_COMPLETED, done, 0.1), 0.1);
	assert_int_equal(pthread_create(&thread, NULL, open_later, quick), 0);
	assert_int_equal(mpx_futures_wait(fs, 3, MPX_FIRST_COMPLETED, done, SOON), 1);
	assert_true(done[1] && !done[0] && !done[2]);
	pthread_join(thread, NULL);
	/* Some were before. */
	assert_int_equal(mpx_futures_wait(fs, 3, MPX_FIRST_COMPLETED, done, 0), 1);
	/* Those done of all, when time is up. */
	memset(done, 0, sizeof done);
	assert_times_out(mpx_futures_wait(fs, 3, MPX_ALL_COMPLETED, done, 0.1), 0.1);
	assert_true(done[1] && !done[0] && !done[2]);
	atomic_store(&g->open, true);
	assert_int_equal(mpx_futures_wait(fs, 3, MPX_ALL_COMPLETED, done, SOON), 3);
	assert_true(done[0] && done[1] && done[2]);
	mpx_future_free(fs[0]);
	mpx_future_free(fs[1]);
	mpx_executor_free(e);
	mpx_free(g);
	mpx_free(quick);
}

static void test_wait_first_exception(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(2);
	mpx_future *fs[4] = {gated(e, g), squaring(e, 2), squaring(e, 3), failing(e, ERANGE)};
	bool done[4];
	assert_true(mpx_futures_wait(fs, 4, MPX_FIRST_EXCEPTION, done, SOON) > 0);
	assert_true(done[3] && !done[0]);
	/* One that was before. */
	assert_true(mpx_futures_wait(fs, 4, MPX_FIRST_EXCEPTION, done, 0) > 0);
	/* Without it: none fails, so all are waited for; a cancelled one has not failed. */
	mpx_future_free(fs[3]);
	fs[3] = gated(e, g);
	mpx_future *never = gated(e, g);
	assert_soon(mpx_future_running(fs[3]));
	assert_ok(mpx_future_cancel(never, false));
	mpx_future *with[3] = {fs[0], never, fs[1]};
	assert_int_equal(mpx_futures_wait(fs + 1, 2, MPX_FIRST_EXCEPTION, done, SOON), 2);
	assert_times_out(mpx_futures_wait(with, 3, MPX_FIRST_EXCEPTION, done, 0.1), 0.1);
	assert_true(!done[0] && done[1] && done[2]);
	atomic_store(&g->open, true);
	assert_int_equal(mpx_futures_wait(with, 3, MPX_FIRST_EXCEPTION, done, SOON), 3);
	for (int i = 0; i < 4; i++)
		mpx_future_free(fs[i]);
	mpx_future_free(never);
	mpx_executor_free(e);
	mpx_free(g);
}

static void test_wait_arguments(void **state)
{
	(void)state;
	mpx_executor *e = executor_of(1);
	mpx_future *f = squaring(e, 2), *fs[2] = {f, NULL};
	struct bad_pointers bad;
	assert_int_equal(mpx_futures_wait(NULL, 0, MPX_ALL_COMPLETED, NULL, 0), 0);
	assert_int_equal(mpx_futures_wait(NULL, 0, MPX_FIRST_COMPLETED, NULL, MPX_FOREVER), 0);
	assert_fails(mpx_futures_wait(NULL, 1, MPX_ALL_COMPLETED, NULL, 0), EINVAL);
	assert_fails(mpx_futures_wait(fs, 2, MPX_ALL_COMPLETED, NULL, 0), EINVAL);
	assert_fails(mpx_futures_wait(fs, 1, (mpx_wait_when)3, NULL, 0), EINVAL);
	assert_fails(mpx_futures_wait(fs, 1, MPX_ALL_COMPLETED, NULL, NOT_A_NUMBER), EINVAL);
	assert_nothing(mpx_as_completed_new(fs, 2), EINVAL);
	assert_nothing(mpx_as_completed_new(NULL, 1), EINVAL);
	assert_fails(mpx_as_completed_next(NULL, NULL, 0), EINVAL);
	mpx_as_completed_free(NULL);
	mpx_future_free(NULL);
	bad_pointers_make(&bad, f);
	for (size_t i = 0; i < bad.n; i++) {
		mpx_future *no = bad.p[i];
		assert_fails(mpx_future_result(no, NULL, 0), EINVAL);
		assert_fails(mpx_future_exception(no, 0), EINVAL);
		assert_fails(mpx_future_cancel(no, false), EINVAL);
		assert_fails(mpx_future_cancel(no, true), EINVAL);
		assert_nothing(mpx_future_cancelled(no), EINVAL);
		assert_nothing(mpx_future_running(no), EINVAL);
		assert_nothing(mpx_future_done(no), EINVAL);
	}
	bad_pointers_done(&bad);
	assert_ok(mpx_future_result(f, NULL, SOON));
	mpx_future_free(f);
	mpx_executor_free(e);
}

static void test_wait_many(void **state)
{
	(void)state;
	enum { MANY = 1000 };
	mpx_executor *e = executor_of(2);
	static mpx_future *fs[MANY];
	for (unsigned i = 0; i < MANY; i++)
		fs[i] = squaring(e, i);
	assert_int_equal(mpx_futures_wait(fs, MANY, MPX_ALL_COMPLETED, NULL, SOON), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		unsigned y = 0;
		assert_ok(mpx_future_result(fs[i], &y, 0));
		assert_int_equal(y, i * i);
		mpx_future_free(fs[i]);
	}
	mpx_executor_free(e);
}

/* --- as_completed --------------------------------------------------------------------------- */

static void test_as_completed_order(void **state)
{
	(void)state;
	enum { N = 6 };
	static const size_t order[N] = {4, 1, 5, 0, 3, 2};
	mpx_executor *e = executor_of(3), *e2 = executor_of(3);
	struct gate *g[N];
	mpx_future *fs[2 * N];
	size_t which = 99;
	for (size_t i = 0; i < N; i++) {
		g[i] = gate_new();
		fs[i] = fs[N + i] = gated(i % 2 ? e : e2, g[i]); /* each twice */
	}
	mpx_as_completed *it = mpx_as_completed_new(fs, 2 * N);
	assert_non_null(it);
	assert_times_out(mpx_as_completed_next(it, &which, 0), 0);
	assert_times_out(mpx_as_completed_next(it, &which, 0.1), 0.1);
	assert_fails(mpx_as_completed_next(it, &which, NOT_A_NUMBER), EINVAL);
	/* Three one by one; the others are done in this order before they are asked for. */
	for (size_t i = 0; i < 3; i++) {
		atomic_store(&g[order[i]]->open, true);
		assert_int_equal(mpx_as_completed_next(it, &which, SOON), 1);
		assert_int_equal(which, order[i]);
	}
	for (size_t i = 3; i < N; i++) {
		atomic_store(&g[order[i]]->open, true);
		assert_ok(mpx_future_result(fs[order[i]], NULL, SOON));
	}
	for (size_t i = 3; i < N; i++) {
		assert_int_equal(mpx_as_completed_next(it, &which, 0), 1);
		assert_int_equal(which, order[i]);
	}
	assert_int_equal(mpx_as_completed_next(it, &which, MPX_FOREVER), 0);
	assert_int_equal(mpx_as_completed_next(it, NULL, 0), 0);
	mpx_as_completed_free(it);
	/* Early. */
	it = mpx_as_completed_new(fs, N);
	assert_int_equal(mpx_as_completed_next(it, NULL, 0), 1);
	mpx_as_completed_free(it);
	it = mpx_as_completed_new(NULL, 0);
	assert_non_null(it);
	assert_int_equal(mpx_as_completed_next(it, NULL, MPX_FOREVER), 0);
	mpx_as_completed_free(it);
	for (size_t i = 0; i < N; i++) {
		mpx_future_free(fs[i]);
		mpx_free(g[i]);
	}
	mpx_executor_free(e);
	mpx_executor_free(e2);
}

/* Those done before, however they ended, come at once; each may be freed when it has been
 * told. Likewise wait. */
static void test_all_states_at_once(void **state)
{
	(void)state;
	enum { GOOD, BAD, NEVER, LATE, N };
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	bool done[N] = {false}, told[N] = {false};
	size_t which = N;
	mpx_future *fs[N];
	fs[GOOD] = squaring(e, 3);
	fs[BAD] = failing(e, EDOM);
	assert_int_equal(mpx_future_exception(fs[BAD], SOON), EDOM);
	fs[LATE] = gated(e, g);
	fs[NEVER] = squaring(e, 4);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_future_cancel(fs[NEVER], false));
	assert_int_equal(mpx_futures_wait(fs, N, MPX_FIRST_COMPLETED, done, SOON), 3);
	assert_true(done[GOOD] && done[BAD] && done[NEVER] && !done[LATE]);
	memset(done, 0, sizeof done);
	assert_int_equal(mpx_futures_wait(fs, N, MPX_FIRST_EXCEPTION, done, SOON), 3);
	assert_true(done[GOOD] && done[BAD] && done[NEVER] && !done[LATE]);
	memset(done, 0, sizeof done);
	assert_times_out(mpx_futures_wait(fs, N, MPX_ALL_COMPLETED, done, 0.05), 0.05);
	assert_true(done[GOOD] && done[BAD] && done[NEVER] && !done[LATE]);
	mpx_as_completed *it = mpx_as_completed_new(fs, N);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpx_as_completed_next(it, &which, 0), 1);
		assert_true(which < N && !told[which]);
		told[which] = true;
		mpx_future_free(fs[which]);
	}
	assert_false(told[LATE]);
	assert_times_out(mpx_as_completed_next(it, &which, 0), 0);
	assert_times_out(mpx_as_completed_next(it, &which, 0.05), 0.05);
	atomic_store(&g->open, true);
	assert_int_equal(mpx_as_completed_next(it, &which, SOON), 1);
	assert_int_equal(which, LATE);
	mpx_future_free(fs[LATE]);
	assert_int_equal(mpx_as_completed_next(it, &which, SOON), 0);
	mpx_as_completed_free(it);
	mpx_executor_free(e);
	mpx_free(g);
}

/* --- the supervisor is killed ------------------------------------------------------------------
 */

static int parent_of(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

static void test_supervisor_killed(void **state)
{
	(void)state;
	static const mpx_wait_when when[] = {MPX_ALL_COMPLETED, MPX_FIRST_COMPLETED,
					     MPX_FIRST_EXCEPTION};
	for (int i = 0; i < 5; i++) {
		struct gate *g = gate_new();
		pid_t supervisor = 0;
		mpx_executor *e = executor_of(1);
		mpx_future *f = submitted(e, parent_of, NULL, 0, sizeof supervisor);
		assert_ok(mpx_future_result(f, &supervisor, SOON));
		mpx_future_free(f);
		forget_calls();
		f = gated(e, g);
		if (i == 4) /* (its thread notices as well) */
			assert_ok(mpx_future_add_done_callback(f, note_call, NULL));
		assert_soon(atomic_load(&g->entered) == 1);
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		if (i < 3) {
			assert_int_equal(mpx_futures_wait(&f, 1, when[i], NULL, SOON), 1);
		} else if (i == 3) {
			mpx_as_completed *it = mpx_as_completed_new(&f, 1);
			assert_int_equal(mpx_as_completed_next(it, NULL, SOON), 1);
			mpx_as_completed_free(it);
		}
		if (i == 4) {
			assert_soon(atomic_load(&called.n) == 1);
			assert_int_equal(called.error[0], EOWNERDEAD);
		}
		assert_int_equal(mpx_future_exception(f, 0), EOWNERDEAD);
		assert_nothing(mpx_executor_submit(e, pass_gate, &g, sizeof g, 0, NULL),
			       EOWNERDEAD);
		mpx_future_free(f);
		mpx_executor_free(e);
		mpx_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_states),
		mpx_test(test_cancel_waiting),
		mpx_test(test_cancel_running),
		mpx_test(test_cancel_wakes),
		mpx_test(test_callbacks),
		mpx_test(test_callbacks_add_and_free),
		mpx_test(test_callbacks_of_the_freed),
		mpx_test(test_callbacks_from_threads),
		mpx_test(test_wait_first_completed),
		mpx_test(test_wait_first_exception),
		mpx_test(test_wait_arguments),
		mpx_test(test_wait_many),
		mpx_test(test_as_completed_order),
		mpx_test(test_all_states_at_once),
		mpx_test(test_supervisor_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
