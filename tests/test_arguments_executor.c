/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_executor.c - bad arguments for mpx/executor.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void no_callback(mpx_future *f, void *user)
{
	(void)f;
	(void)user;
}

static void rows_of_executor(void *x)
{
	char text[8] = "";

	NO_POINTER(mpx_executor_submit, (x, no_task, text, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_map, (x, no_task, text, 1, 1, 1, NULL), EINVAL);
	FAILS(mpx_executor_shutdown, (x, false, 0));
	FAILS(mpx_executor_shutdown, (x, true, MPX_FOREVER));
	ROW_VOID(mpx_executor_free, (x), x ? EINVAL : 0);
}

static void rows_of_future(void *x)
{
	char text[8] = "";
	mpx_future *const two[] = {x, x};
	bool done[2];

	FAILS(mpx_future_result, (x, text, 0));
	FAILS(mpx_future_result, (x, text, MPX_FOREVER));
	FAILS(mpx_future_exception, (x, 0));
	FAILS(mpx_future_exception, (x, MPX_FOREVER));
	FAILS(mpx_future_cancel, (x, false));
	FAILS(mpx_future_cancel, (x, true));
	NOTHING(mpx_future_cancelled, (x));
	NOTHING(mpx_future_running, (x));
	NOTHING(mpx_future_done, (x));
	FAILS(mpx_future_add_done_callback, (x, no_callback, NULL));
	FAILS(mpx_futures_wait, (two, 1, MPX_ALL_COMPLETED, done, MPX_FOREVER));
	FAILS(mpx_futures_wait, (two, 2, MPX_FIRST_COMPLETED, NULL, 0));
	NO_POINTER(mpx_as_completed_new, (two, 2), EINVAL);
	ROW_VOID(mpx_future_free, (x), x ? EINVAL : 0);
}

static void rows_of_as_completed(void *x)
{
	size_t which = 77;

	FAILS(mpx_as_completed_next, (x, &which, 0));
	FAILS(mpx_as_completed_next, (x, NULL, MPX_FOREVER));
	ROW_VOID(mpx_as_completed_free, (x), x ? EINVAL : 0);
	child_check(which == 77);
}

/* An executor is a pool, a future is the result of one. */
static const struct arguments_kind kinds[] = {
	{"mpx_executor mpx_pool", rows_of_executor},
	{"mpx_future mpx_result", rows_of_future},
	{"mpx_as_completed", rows_of_as_completed},
	{0},
};

#define OPTIONS(...)                                                                               \
	(&(const mpx_executor_options){.size = sizeof(mpx_executor_options), __VA_ARGS__})

static void without_objects(void)
{
	const mpx_pool_options no_size = {.processes = 1};
	const mpx_pool_options nan = {.size = sizeof nan, .task_timeout = NOT_A_NUMBER};

	NO_POINTER(mpx_executor_create, (NULL), EINVAL);
	NO_POINTER(mpx_executor_create, (&(const mpx_executor_options){.max_workers = 1}), EINVAL);
	NO_POINTER(mpx_executor_create, (OPTIONS(.max_workers = -1)), EINVAL);
	NO_POINTER(mpx_executor_create, (OPTIONS(.max_workers = 1025)), EINVAL);
	NO_POINTER(mpx_executor_create, (OPTIONS(.pool = &no_size)), EINVAL);
	NO_POINTER(mpx_executor_create, (OPTIONS(.pool = &nan)), EINVAL);
	FAILS(mpx_futures_wait, (NULL, 1, MPX_ALL_COMPLETED, NULL, 0));
	FAILS(mpx_futures_wait, (NULL, SIZE_MAX, MPX_ALL_COMPLETED, NULL, 0));
	FAILS(mpx_futures_wait, (NULL, 0, MPX_ALL_COMPLETED, NULL, NOT_A_NUMBER));
	ROW(mpx_futures_wait, (NULL, 0, MPX_ALL_COMPLETED, NULL, MPX_FOREVER), 0, 0);
	NO_POINTER(mpx_as_completed_new, (NULL, 1), EINVAL);
	NO_POINTER(mpx_as_completed_new, (NULL, SIZE_MAX), EINVAL);
	MAKES(mpx_as_completed_new, (NULL, 0), mpx_as_completed_free);
}

static void rows_of_a_future(mpx_future *f)
{
	FAILS(mpx_future_result, (f, NULL, NOT_A_NUMBER));
	FAILS(mpx_future_exception, (f, NOT_A_NUMBER));
	FAILS(mpx_future_add_done_callback, (f, NULL, NULL));
	FAILS(mpx_futures_wait, (&f, 1, (mpx_wait_when)99, NULL, 0));
	FAILS(mpx_futures_wait, (&f, SIZE_MAX, MPX_ALL_COMPLETED, NULL, 0));
	ROW(mpx_future_cancel, (f, true), -1, EBUSY);
	ROW(mpx_future_cancelled, (f), 0, 0);
	ROW(mpx_future_exception, (f, 0), 0, 0);
	mpx_as_completed *it = mpx_as_completed_new(&f, 1);
	child_check(it != NULL);
	FAILS(mpx_as_completed_next, (it, NULL, NOT_A_NUMBER));
	ROW(mpx_as_completed_next, (it, NULL, 0), 1, 0);
	ROW(mpx_as_completed_next, (it, NULL, 0), 0, 0);
	mpx_as_completed_free(it);
}

static void with_objects(void)
{
	char x[8] = "";
	mpx_executor *e = mpx_executor_new(.max_workers = 1);
	mpx_future *f = mpx_executor_submit(e, no_task, NULL, 0, 0, NULL);
	child_check(e && f && mpx_future_result(f, NULL, SOON) == 0);

	NO_POINTER(mpx_executor_submit, (e, NULL, x, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_submit, (e, no_task, NULL, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_submit, (e, no_task, x, 1, SIZE_MAX / 9, NULL), ENOMEM);
	NO_POINTER(mpx_executor_submit, (e, no_task, x, 1, 1, MPX_TASK(.timeout = -1)), EINVAL);
	NO_POINTER(mpx_executor_map, (e, NULL, x, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_map, (e, no_task, NULL, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_map, (e, no_task, x, 2, SIZE_MAX, 1, NULL), EINVAL);
	NO_POINTER(mpx_executor_map, (e, no_task, x, 1, 1, 1, MPX_TASK(.timeout = -1)), EINVAL);
	FAILS(mpx_executor_shutdown, (e, true, NOT_A_NUMBER));
	rows_of_a_future(f);
	ROW(mpx_executor_shutdown, (e, false, SOON), 0, 0);
	ROW(mpx_executor_shutdown, (e, true, SOON), 0, 0);
	NO_POINTER(mpx_executor_submit, (e, no_task, NULL, 0, 0, NULL), EBUSY);
	NO_POINTER(mpx_executor_map, (e, no_task, NULL, 0, 1, 0, NULL), EBUSY);
	mpx_future_free(f);
	mpx_executor_free(e);
}

/* ---- timeouts ------------------------------------------------------------------ */

/* The first of each pair cannot end while the gate is closed. */
static struct gate *gate;
static mpx_executor *executor[2];
static mpx_future *future[2];
static mpx_as_completed *as_completed[2];

static int executor_shutdown(bool ready, double timeout)
{
	return mpx_executor_shutdown(executor[ready], false, timeout);
}

static int future_result(bool ready, double timeout)
{
	return mpx_future_result(future[ready], NULL, timeout);
}

static int future_exception(bool ready, double timeout)
{
	return mpx_future_exception(future[ready], timeout);
}

static int futures_wait(bool ready, double timeout)
{
	int n = mpx_futures_wait(&future[ready], 1, MPX_ALL_COMPLETED, NULL, timeout);
	return n == 1 ? 0 : n;
}

static int as_completed_next(bool ready, double timeout)
{
	return mpx_as_completed_next(as_completed[ready], NULL, timeout);
}

static const struct arguments_timed timed[] = {
	{"mpx_executor_shutdown", executor_shutdown, false},
	{"mpx_future_result", future_result, false},
	{"mpx_future_exception", future_exception, false},
	{"mpx_futures_wait", futures_wait, false},
	{"mpx_as_completed_next", as_completed_next, false},
	{0},
};

static void timed_begin(void)
{
	gate = gate_new();
	for (int i = 0; i < 2; i++) {
		mpx_task *task = i ? no_task : pass_gate;
		assert_non_null(executor[i] = mpx_executor_new(.max_workers = 1));
		future[i] = mpx_executor_submit(executor[i], task, &gate, sizeof gate, 0, NULL);
		assert_non_null(future[i]);
		as_completed[i] = mpx_as_completed_new(&future[i], 1 - (size_t)i);
		assert_non_null(as_completed[i]);
	}
	assert_ok(mpx_future_result(future[1], NULL, SOON));
	assert_ok(mpx_executor_shutdown(executor[1], false, SOON));
}

static void timed_end(void)
{
	atomic_store(&gate->open, true);
	assert_int_equal(mpx_as_completed_next(as_completed[0], NULL, SOON), 1);
	for (int i = 0; i < 2; i++) {
		assert_ok(mpx_executor_shutdown(executor[i], false, SOON));
		mpx_as_completed_free(as_completed[i]);
		mpx_future_free(future[i]);
		mpx_executor_free(executor[i]);
	}
	mpx_free(gate);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "executor",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
