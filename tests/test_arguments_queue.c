/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_queue.c - bad arguments for mpx/queue.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void rows_of_queue(void *x)
{
	char text[64] = "";
	size_t n = 77;

	FAILS(mpx_queue_put, (x, text, 1, 0));
	FAILS(mpx_queue_put, (x, text, 1, MPX_FOREVER));
	FAILS(mpx_queue_get, (x, text, 1, 0));
	FAILS(mpx_queue_get, (x, text, 1, MPX_FOREVER));
	FAILS(mpx_queue_next_size, (x, 0));
	FAILS(mpx_queue_put_many, (x, text, 1, 2, 0));
	FAILS(mpx_queue_put_many, (x, text, 1, 0, MPX_FOREVER));
	FAILS(mpx_queue_get_many, (x, text, 1, 2, NULL, 0));
	FAILS(mpx_queue_get_many, (x, text, 1, 2, &n, MPX_FOREVER));
	NO_POINTER(mpx_queue_reserve, (x, 1, 0), EINVAL);
	NO_POINTER(mpx_queue_reserve, (x, 1, MPX_FOREVER), EINVAL);
	FAILS(mpx_queue_commit, (x, text));
	FAILS(mpx_queue_commit, (x, NULL));
	FAILS(mpx_queue_cancel, (x, text));
	FAILS(mpx_queue_cancel, (x, NULL));
	NO_POINTER(mpx_queue_take, (x, &n, 0), EINVAL);
	NO_POINTER(mpx_queue_take, (x, &n, MPX_FOREVER), EINVAL);
	FAILS(mpx_queue_release, (x, text));
	FAILS(mpx_queue_release, (x, NULL));
	FAILS(mpx_queue_task_done, (x));
	FAILS(mpx_queue_join, (x, 0));
	FAILS(mpx_queue_join, (x, MPX_FOREVER));
	FAILS(mpx_queue_qsize, (x));
	NOTHING(mpx_queue_empty, (x));
	NOTHING(mpx_queue_full, (x));
	FAILS(mpx_queue_close, (x));
	FAILS(mpx_queue_fileno, (x));
	ROW_VOID(mpx_queue_free, (x), x ? EINVAL : 0);
	child_check(n == 77);
}

/* A good queue, and x that is no message of it. */
static void rows_of_message(void *x)
{
	mpx_queue *q = mpx_queue_new();
	child_check(q != NULL);
	FAILS(mpx_queue_commit, (q, x));
	FAILS(mpx_queue_cancel, (q, x));
	FAILS(mpx_queue_release, (q, x));
	ROW(mpx_queue_qsize, (q), 0, 0);
	mpx_queue_free(q);
}

static const struct arguments_kind kinds[] = {
	{"mpx_queue", rows_of_queue},
	{"a message", rows_of_message},
	{0},
};

static void without_objects(void)
{
	const mpx_queue_options many = {.size = sizeof many, .maxsize = (size_t)1 << 31};
	const mpx_queue_options most = {.size = sizeof most, .maxsize = SIZE_MAX};
	const mpx_queue_options no_size = {.maxsize = 1};
	const mpx_queue_options good = {.size = sizeof good, .bytes = SIZE_MAX};

	NO_POINTER(mpx_queue_create, (NULL), EINVAL);
	NO_POINTER(mpx_queue_create, (&many), EINVAL);
	NO_POINTER(mpx_queue_create, (&most), EINVAL);
	NO_POINTER(mpx_queue_create, (&no_size), EINVAL);
	MAKES(mpx_queue_create, (&good), mpx_queue_free);
}

static void rows_of_sizes(mpx_queue *q, mpx_queue *small)
{
	size_t huge = SIZE_MAX;
	char x[64] = "";

	FAILS(mpx_queue_put, (q, NULL, 1, 0));
	FAILS(mpx_queue_put, (q, NULL, huge, MPX_FOREVER));
	ROW(mpx_queue_put, (q, x, huge, 0), -1, ENOMEM);
	ROW(mpx_queue_put, (q, x, huge - 7, 0), -1, ENOMEM);
	ROW(mpx_queue_put, (q, x, huge / 4, MPX_FOREVER), -1, ENOMEM);
	FAILS(mpx_queue_put_many, (q, NULL, 1, 2, 0));
	FAILS(mpx_queue_put_many, (q, NULL, huge, 2, 0));
	FAILS(mpx_queue_put_many, (q, x, huge, 2, MPX_FOREVER));
	FAILS(mpx_queue_put_many, (q, x, huge / 2 + 1, 2, MPX_FOREVER));
	FAILS(mpx_queue_put_many, (q, x, 2, huge / 2 + 1, MPX_FOREVER));
	ROW(mpx_queue_put_many, (q, NULL, 1, 0, 0), 0, 0);
	NO_POINTER(mpx_queue_reserve, (q, huge, 0), ENOMEM);
	NO_POINTER(mpx_queue_reserve, (q, huge / 2, MPX_FOREVER), ENOMEM);
	ROW(mpx_queue_qsize, (q), 0, 0);
	ROW(mpx_queue_put, (small, x, huge, 0), -1, EMSGSIZE);
	ROW(mpx_queue_put, (small, x, 11, 0), -1, EMSGSIZE);
	ROW(mpx_queue_put_many, (small, x, 11, 2, 0), -1, EMSGSIZE);
	NO_POINTER(mpx_queue_reserve, (small, 11, 0), EMSGSIZE);
	ROW(mpx_queue_put, (small, x, 10, 0), 0, 0);
	ROW(mpx_queue_put, (small, x, 1, 0), -1, ETIMEDOUT);
	ROW(mpx_queue_put_many, (small, x, 1, 2, 0), -1, ETIMEDOUT);
	NO_POINTER(mpx_queue_reserve, (small, 1, 0), ETIMEDOUT);
	ROW(mpx_queue_qsize, (small), 1, 0);
}

static void rows_of_room(mpx_queue *q, mpx_queue *small)
{
	size_t huge = SIZE_MAX, n = 77;
	char x[64] = "";

	ROW(mpx_queue_put, (q, NULL, 0, 0), 0, 0);
	ROW(mpx_queue_get, (q, NULL, 0, 0), 0, 0);
	ROW(mpx_queue_task_done, (q), 0, 0);
	ROW(mpx_queue_task_done, (q), -1, EOVERFLOW);
	FAILS(mpx_queue_get, (q, NULL, 1, 0));
	FAILS(mpx_queue_get_many, (q, NULL, 1, 2, NULL, 0));
	ROW(mpx_queue_get_many, (q, x, 1, 0, NULL, 0), 0, 0);
	FAILS(mpx_queue_get_many, (q, x, 2, huge, NULL, 0));
	ROW(mpx_queue_get, (small, NULL, 0, 0), -1, EMSGSIZE);
	ROW(mpx_queue_get, (small, x, 9, 0), -1, EMSGSIZE);
	ROW(mpx_queue_get_many, (small, x, 9, 2, &n, 0), -1, EMSGSIZE);
	child_check(n == 77);
	ROW(mpx_queue_next_size, (small, 0), 10, 0);
	ROW(mpx_queue_get, (small, x, huge / 2, 0), 10, 0);
	NO_POINTER(mpx_queue_take, (small, &n, 0), ETIMEDOUT);
}

/* A loan is one of its own queue, once, and one that was taken is not put again. */
static void rows_of_loans(mpx_queue *q, mpx_queue *small)
{
	size_t n;
	char *mine = mpx_queue_reserve(q, 8, 0);
	child_check(mine != NULL);

	FAILS(mpx_queue_commit, (small, mine));
	FAILS(mpx_queue_cancel, (small, mine));
	FAILS(mpx_queue_commit, (q, mine + 1));
	FAILS(mpx_queue_cancel, (q, mine + 64));
	ROW_VOID(mpx_free, (mine), EINVAL);
	ROW(mpx_queue_commit, (q, mine), 0, 0);
	FAILS(mpx_queue_commit, (q, mine));
	FAILS(mpx_queue_cancel, (q, mine));
	const char *taken = mpx_queue_take(q, &n, 0);
	child_check(taken && n == 8);
	FAILS(mpx_queue_release, (small, taken));
	FAILS(mpx_queue_release, (q, taken + 1));
	FAILS(mpx_queue_commit, (q, (void *)(uintptr_t)taken));
	ROW(mpx_queue_release, (q, taken), 0, 0);
	FAILS(mpx_queue_release, (q, taken));
}

static void rows_of_closed(mpx_queue *q)
{
	size_t n;
	char x[8] = "";

	ROW(mpx_queue_close, (q), 0, 0);
	ROW(mpx_queue_close, (q), 0, 0);
	ROW(mpx_queue_put, (q, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_queue_put, (q, x, SIZE_MAX, 0), -1, ENOMEM);
	ROW(mpx_queue_put_many, (q, x, 1, 2, MPX_FOREVER), -1, EPIPE);
	NO_POINTER(mpx_queue_reserve, (q, 1, MPX_FOREVER), EPIPE);
	ROW(mpx_queue_get, (q, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_queue_get_many, (q, x, 1, 2, NULL, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_queue_next_size, (q, MPX_FOREVER), -1, EPIPE);
	NO_POINTER(mpx_queue_take, (q, &n, MPX_FOREVER), EPIPE);
	FAILS(mpx_queue_put, (q, NULL, 1, 0));
	FAILS(mpx_queue_get, (q, x, 1, NOT_A_NUMBER));
}

static void with_objects(void)
{
	mpx_queue *q = mpx_queue_new(), *small = mpx_queue_new(.bytes = 10, .maxsize = 1);
	child_check(q && small);
	rows_of_sizes(q, small);
	rows_of_room(q, small);
	rows_of_loans(q, small);
	rows_of_closed(q);
	mpx_queue_free(q);
	mpx_queue_free(small);
}

/* ---- timeouts ------------------------------------------------------------------ */

/* full and filled_one hold one message, which is all they may. */
static mpx_queue *full, *empty, *roomy, *filled_one;

static int put(bool ready, double timeout)
{
	char c;
	int rc = mpx_queue_put(ready ? roomy : full, "x", 1, timeout);
	return rc == 0 && mpx_queue_get(roomy, &c, 1, 0) != 1 ? 1 : rc;
}

static int put_many(bool ready, double timeout)
{
	char c[2];
	ssize_t n = mpx_queue_put_many(ready ? roomy : full, "xx", 1, 2, timeout);
	if (n != 2)
		return (int)n;
	return mpx_queue_get_many(roomy, c, 1, 2, NULL, 0) != 2;
}

static int reserve(bool ready, double timeout)
{
	void *msg = mpx_queue_reserve(ready ? roomy : full, 1, timeout);
	return msg ? mpx_queue_cancel(roomy, msg) : -1;
}

/* Puts the message back that was taken. */
static int again(ssize_t n)
{
	return n == 1 ? mpx_queue_put(filled_one, "x", 1, 0) : (int)n;
}

static int get(bool ready, double timeout)
{
	char c;
	return again(mpx_queue_get(ready ? filled_one : empty, &c, 1, timeout));
}

static int get_many(bool ready, double timeout)
{
	char c[2];
	return again(mpx_queue_get_many(ready ? filled_one : empty, c, 1, 2, NULL, timeout));
}

static int next_size(bool ready, double timeout)
{
	ssize_t n = mpx_queue_next_size(ready ? filled_one : empty, timeout);
	return n == 1 ? 0 : (int)n;
}

static int take(bool ready, double timeout)
{
	size_t n;
	const void *msg = mpx_queue_take(ready ? filled_one : empty, &n, timeout);
	return msg ? again(mpx_queue_release(filled_one, msg) == 0 ? (ssize_t)n : 2) : -1;
}

static int join(bool ready, double timeout)
{
	return mpx_queue_join(ready ? empty : full, timeout);
}

static const struct arguments_timed timed[] = {
	{"mpx_queue_put", put, false},
	{"mpx_queue_put_many", put_many, false},
	{"mpx_queue_reserve", reserve, false},
	{"mpx_queue_get", get, false},
	{"mpx_queue_get_many", get_many, false},
	{"mpx_queue_next_size", next_size, false},
	{"mpx_queue_take", take, false},
	{"mpx_queue_join", join, false},
	{0},
};

static void timed_begin(void)
{
	assert_non_null(full = mpx_queue_new(.maxsize = 1));
	assert_non_null(empty = mpx_queue_new());
	assert_non_null(roomy = mpx_queue_new(.maxsize = 2));
	assert_non_null(filled_one = mpx_queue_new(.maxsize = 1));
	assert_ok(mpx_queue_put(full, "x", 1, 0));
	assert_ok(mpx_queue_put(filled_one, "x", 1, 0));
}

static void timed_end(void)
{
	assert_int_equal(mpx_queue_qsize(full), 1);
	assert_int_equal(mpx_queue_qsize(filled_one), 1);
	assert_true(mpx_queue_empty(empty) && mpx_queue_empty(roomy));
	mpx_queue_free(full);
	mpx_queue_free(empty);
	mpx_queue_free(roomy);
	mpx_queue_free(filled_one);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "queue",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
