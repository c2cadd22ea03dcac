/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_pool.c - bad arguments for mpx/pool.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static int no_items(void *user, void *in)
{
	(void)user;
	(void)in;
	return 0;
}

static void rows_of_pool(void *x)
{
	char text[64] = "";
	mpx_pool_statistics all;
	mpx_worker_statistics one;
	mpx_failure f;

	FAILS(mpx_pool_map_sized, (x, no_task, text, 1, text, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (x, no_task, NULL, 0, NULL, 0, 0, NULL));
	NO_POINTER(mpx_pool_map_async, (x, no_task, text, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_apply_async, (x, no_task, text, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap, (x, no_task, text, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_unordered, (x, no_task, text, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_from, (x, no_task, no_items, NULL, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_unordered_from, (x, no_task, no_items, NULL, 1, 1, NULL), EINVAL);
	FAILS(mpx_pool_get_last_failure, (x, &f, sizeof f));
	FAILS(mpx_pool_processes, (x));
	FAILS(mpx_pool_get_stats, (x, &all, sizeof all));
	FAILS(mpx_pool_get_worker_stats, (x, 0, &one, sizeof one));
	FAILS(mpx_pool_resize, (x, 1));
	FAILS(mpx_pool_close, (x));
	FAILS(mpx_pool_terminate, (x));
	FAILS(mpx_pool_join, (x, 0));
	FAILS(mpx_pool_join, (x, MPX_FOREVER));
	ROW_VOID(mpx_pool_free, (x), x ? EINVAL : 0);
}

static void rows_of_result(void *x)
{
	char text[64] = "";
	mpx_failure f;

	FAILS(mpx_result_get, (x, text, 0));
	FAILS(mpx_result_get, (x, text, MPX_FOREVER));
	FAILS(mpx_result_wait, (x, 0));
	FAILS(mpx_result_wait, (x, MPX_FOREVER));
	NOTHING(mpx_result_ready, (x));
	NOTHING(mpx_result_successful, (x));
	FAILS(mpx_result_get_failure, (x, &f, sizeof f));
	FAILS(mpx_result_cancel, (x));
	NO_POINTER(mpx_result_bytes, (x, 0, NULL), EINVAL);
	ROW_VOID(mpx_result_free, (x), x ? EINVAL : 0);
}

static void rows_of_imap(void *x)
{
	char text[64] = "";
	mpx_failure f;

	FAILS(mpx_imap_next, (x, text, 0));
	FAILS(mpx_imap_next, (x, text, MPX_FOREVER));
	NOTHING(mpx_imap_index, (x));
	NO_POINTER(mpx_imap_bytes, (x, NULL), EINVAL);
	FAILS(mpx_imap_get_failure, (x, &f, sizeof f));
	ROW_VOID(mpx_imap_free, (x), x ? EINVAL : 0);
}

static const struct arguments_kind kinds[] = {
	{"mpx_pool", rows_of_pool},
	{"mpx_result", rows_of_result},
	{"mpx_imap", rows_of_imap},
	{0},
};

#define OPTIONS(...) (&(const mpx_pool_options){.size = sizeof(mpx_pool_options), __VA_ARGS__})

static void without_objects(void)
{
	NO_POINTER(mpx_pool_create, (NULL), EINVAL);
	NO_POINTER(mpx_pool_create, (&(const mpx_pool_options){.processes = 1}), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.processes = -1)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.processes = 1025)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.processes = -2147483647 - 1)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.task_timeout = NOT_A_NUMBER)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.task_timeout = -1)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.retries = 256)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.backend = (mpx_backend)99)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.max_age = NOT_A_NUMBER)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.max_age = -1)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.idle_timeout = NOT_A_NUMBER)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.nice = 21)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.processes = 2, .processes_max = 1)), EINVAL);
	NO_POINTER(mpx_pool_create, (OPTIONS(.processes = 1, .processes_max = 1025)), EINVAL);
	/* Outside of a task. */
	ROW(mpx_fail, (EIO, NULL), EIO, 0);
	NO_POINTER(mpx_task_context, (), 0);
	ROW(mpx_task_index, (), 0, 0);
	ROW(mpx_task_attempt, (), 0, 0);
	FAILS(mpx_task_give, (NULL, 0));
	FAILS(mpx_task_give, ("x", 1));
	ROW(0 * (long long)mpx_task_seed, (), 0, 0);
	ROW(mpx_worker_number, (), -1, 0);
	ROW_VOID(mpx_worker_set_state, (NULL), 0);
	NO_POINTER(mpx_worker_state, (), 0);
}

/* ---- a good pool ----------------------------------------------------------------- */

static void rows_of_map(mpx_pool *pool)
{
	size_t huge = SIZE_MAX;
	char x[64] = "";

	FAILS(mpx_pool_map_sized, (pool, NULL, x, 1, x, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, NULL, 1, x, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 1, NULL, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 2, x, 1, huge, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 1, x, 2, huge, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, huge, x, 1, 2, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, huge, x, huge, huge, NULL));
	ROW(mpx_pool_map_sized, (pool, no_task, x, huge / 9, x, 0, 1, NULL), -1, ENOMEM);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, x, huge / 9, 1, NULL), -1, ENOMEM);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 0, NULL), 0, 0);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 3, MPX_TASK(.chunksize = huge)),
	    0, 0);
	FAILS(mpx_pool_map_sized,
	      (pool, no_task, NULL, 0, NULL, 0, huge / 16, MPX_TASK(.chunksize = 1)));
	NO_POINTER(mpx_pool_map_async, (pool, NULL, x, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_map_async, (pool, no_task, NULL, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_map_async, (pool, no_task, x, 2, huge, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_apply_async, (pool, NULL, x, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_apply_async, (pool, no_task, NULL, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_apply_async, (pool, no_task, x, 1, huge / 9, NULL), ENOMEM);
	FAILS(mpx_pool_get_last_failure, (pool, NULL, 0));
}

static void rows_of_good_imap(mpx_pool *pool)
{
	size_t huge = SIZE_MAX;
	char x[64] = "";
	mpx_failure f;

	NO_POINTER(mpx_pool_imap, (pool, NULL, x, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap, (pool, no_task, NULL, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap, (pool, no_task, x, 2, huge, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap, (pool, no_task, x, 1, 1, huge / 9, NULL), ENOMEM);
	NO_POINTER(mpx_pool_imap_unordered, (pool, NULL, x, 1, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_unordered, (pool, no_task, x, huge, 2, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_from, (pool, no_task, NULL, NULL, 1, 1, NULL), EINVAL);
	NO_POINTER(mpx_pool_imap_from, (pool, NULL, no_items, NULL, 1, 1, NULL), EINVAL);
	if (!SANITIZED) { /* whose malloc would rather abort */
		NO_POINTER(mpx_pool_imap, (pool, no_task, x, 1, 1, 1, MPX_TASK(.window = huge)),
			   ENOMEM);
		NO_POINTER(mpx_pool_imap_from, (pool, no_task, no_items, NULL, huge, 1, NULL),
			   ENOMEM);
	}
	NO_POINTER(mpx_pool_imap_unordered_from, (pool, no_task, NULL, NULL, 1, 1, NULL), EINVAL);
	mpx_imap *it = mpx_pool_imap(pool, no_task, x, 1, 2, 0, NULL);
	child_check(it != NULL);
	FAILS(mpx_imap_next, (it, NULL, NOT_A_NUMBER));
	FAILS(mpx_imap_get_failure, (it, NULL, sizeof f));
	ROW(mpx_imap_get_failure, (it, &f, sizeof f), -1, ENOENT);
	NO_POINTER(mpx_imap_bytes, (it, NULL), ENOENT);
	ROW(mpx_imap_next, (it, NULL, SOON), 1, 0);
	NO_POINTER(mpx_imap_bytes, (it, NULL), ENOENT);
	ROW(mpx_imap_next, (it, NULL, SOON), 1, 0);
	ROW(mpx_imap_index, (it), 1, 0);
	ROW(mpx_imap_next, (it, NULL, SOON), 0, 0);
	mpx_imap_free(it);
}

/* An option that is out of range, wherever there are options. */
static void rows_of_option(mpx_pool *pool, const mpx_task_options *wrong)
{
	char x[8] = "";

	FAILS(mpx_pool_map_sized, (pool, no_task, x, 1, x, 1, 1, wrong));
	NO_POINTER(mpx_pool_map_async, (pool, no_task, x, 1, 1, 1, wrong), EINVAL);
	NO_POINTER(mpx_pool_apply_async, (pool, no_task, x, 1, 1, wrong), EINVAL);
	NO_POINTER(mpx_pool_imap, (pool, no_task, x, 1, 1, 1, wrong), EINVAL);
	NO_POINTER(mpx_pool_imap_unordered, (pool, no_task, x, 1, 1, 1, wrong), EINVAL);
	NO_POINTER(mpx_pool_imap_from, (pool, no_task, no_items, NULL, 1, 1, wrong), EINVAL);
	NO_POINTER(mpx_pool_imap_unordered_from, (pool, no_task, no_items, NULL, 1, 1, wrong),
		   EINVAL);
}

static void rows_of_options(mpx_pool *pool)
{
	rows_of_option(pool, &(const mpx_task_options){0}); /* of no size */
	rows_of_option(pool, MPX_TASK(.timeout = NOT_A_NUMBER));
	rows_of_option(pool, MPX_TASK(.timeout = -1));
	rows_of_option(pool, MPX_TASK(.retries = 256));
	rows_of_option(pool, MPX_TASK(.backoff = NOT_A_NUMBER));
	rows_of_option(pool, MPX_TASK(.backoff = -1));
	rows_of_option(pool, MPX_TASK(.stop_at = NOT_A_NUMBER));
	rows_of_option(pool, MPX_TASK(.stop_at = -1));
	rows_of_option(pool, MPX_TASK(.stop_at = 1.5));
	rows_of_option(pool, MPX_TASK(.soft_signal = -1));
	rows_of_option(pool, MPX_TASK(.soft_signal = 9999));
	rows_of_option(pool, MPX_TASK(.grace = -1));
	rows_of_option(pool, MPX_TASK(.grace = NOT_A_NUMBER));
}

static void rows_of_good_result(mpx_pool *pool)
{
	mpx_failure f;
	mpx_result *r = mpx_pool_apply_async(pool, no_task, NULL, 0, 0, NULL);
	child_check(r && mpx_result_wait(r, SOON) == 0);

	FAILS(mpx_result_get, (r, NULL, NOT_A_NUMBER));
	FAILS(mpx_result_get_failure, (r, NULL, 0));
	ROW(mpx_result_get_failure, (r, &f, sizeof f), -1, ENOENT);
	ROW(mpx_result_cancel, (r), -1, EBUSY);
	NO_POINTER(mpx_result_bytes, (r, 0, NULL), ENOENT);
	NO_POINTER(mpx_result_bytes, (r, 1, NULL), EINVAL);
	NO_POINTER(mpx_result_bytes, (r, SIZE_MAX, NULL), EINVAL);
	ROW(mpx_result_get, (r, NULL, 0), 0, 0);
	mpx_result_free(r);
}

static void rows_of_workers(mpx_pool *pool)
{
	mpx_worker_statistics one;

	FAILS(mpx_pool_get_stats, (pool, NULL, 0));
	FAILS(mpx_pool_get_stats, (pool, NULL, sizeof(mpx_pool_statistics)));
	FAILS(mpx_pool_get_worker_stats, (pool, 0, NULL, sizeof one));
	FAILS(mpx_pool_get_worker_stats, (pool, -1, &one, sizeof one));
	FAILS(mpx_pool_get_worker_stats, (pool, 2, &one, sizeof one));
	FAILS(mpx_pool_get_worker_stats, (pool, 2147483647, &one, sizeof one));
	FAILS(mpx_pool_resize, (pool, 0));
	FAILS(mpx_pool_resize, (pool, -1));
	FAILS(mpx_pool_resize, (pool, 3));
	FAILS(mpx_pool_resize, (pool, 2147483647));
	ROW(mpx_pool_processes, (pool), 1, 0);
}

static void rows_of_closed_pool(mpx_pool *pool)
{
	ROW(mpx_pool_join, (pool, 0), -1, EBUSY);
	FAILS(mpx_pool_join, (pool, NOT_A_NUMBER));
	ROW(mpx_pool_close, (pool), 0, 0);
	ROW(mpx_pool_close, (pool), 0, 0);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 1, NULL), -1, EBUSY);
	ROW(mpx_pool_resize, (pool, 2), -1, EBUSY);
	NO_POINTER(mpx_pool_map_async, (pool, no_task, NULL, 0, 1, 0, NULL), EBUSY);
	NO_POINTER(mpx_pool_apply_async, (pool, no_task, NULL, 0, 0, NULL), EBUSY);
	NO_POINTER(mpx_pool_imap, (pool, no_task, NULL, 0, 1, 0, NULL), EBUSY);
	ROW(mpx_pool_join, (pool, SOON), 0, 0);
	ROW(mpx_pool_terminate, (pool), 0, 0);
}

static void with_objects(void)
{
	mpx_failure f;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .processes_max = 2);
	child_check(pool != NULL);
	rows_of_map(pool);
	rows_of_good_imap(pool);
	rows_of_options(pool);
	rows_of_good_result(pool);
	rows_of_workers(pool);
	ROW(mpx_pool_get_last_failure, (pool, &f, sizeof f), -1, ENOENT);
	rows_of_closed_pool(pool);
	mpx_pool_free(pool);
}

/* ---- timeouts ------------------------------------------------------------------ */

/* The first of each pair cannot end while the gate is closed. */
static struct gate *gate;
static mpx_pool *pool[2];
static mpx_result *result[2];
static mpx_imap *imap[2];

static int pool_join(bool ready, double timeout)
{
	return mpx_pool_join(pool[ready], timeout);
}

static int result_get(bool ready, double timeout)
{
	return mpx_result_get(result[ready], NULL, timeout);
}

static int result_wait(bool ready, double timeout)
{
	return mpx_result_wait(result[ready], timeout);
}

static int imap_next(bool ready, double timeout)
{
	return mpx_imap_next(imap[ready], NULL, timeout);
}

static const struct arguments_timed timed[] = {
	{"mpx_pool_join", pool_join, false},
	{"mpx_result_get", result_get, false},
	{"mpx_result_wait", result_wait, false},
	{"mpx_imap_next", imap_next, false},
	{0},
};

static void timed_begin(void)
{
	gate = gate_new();
	for (int i = 0; i < 2; i++) {
		mpx_task *task = i ? no_task : pass_gate;
		pool[i] = pool_of(1);
		result[i] = mpx_pool_apply_async(pool[i], task, &gate, sizeof gate, 0, NULL);
		assert_non_null(result[i]);
		imap[i] = mpx_pool_imap(pool[i], task, &gate, sizeof gate, i ? 0 : 1, 0, NULL);
		assert_non_null(imap[i]);
		assert_ok(mpx_pool_close(pool[i]));
	}
	assert_ok(mpx_result_wait(result[1], SOON));
	assert_ok(mpx_pool_join(pool[1], SOON));
}

static void timed_end(void)
{
	atomic_store(&gate->open, true);
	assert_int_equal(mpx_imap_next(imap[0], NULL, SOON), 1);
	assert_ok(mpx_result_get(result[0], NULL, SOON));
	assert_ok(mpx_pool_join(pool[0], SOON));
	for (int i = 0; i < 2; i++) {
		mpx_imap_free(imap[i]);
		mpx_result_free(result[i]);
		mpx_pool_free(pool[i]);
	}
	mpx_free(gate);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "pool",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
