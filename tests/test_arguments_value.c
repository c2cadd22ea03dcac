/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_value.c - bad arguments for mpx/value.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

#include <pthread.h>

static void rows_of_value(void *x)
{
	char text[64];

	NO_POINTER(mpx_value_copy, (x), EINVAL);
	NO_POINTER(mpx_value_pointer, (x, 'i'), EINVAL);
	NOTHING(mpx_value_typecode, (x));
	FAILS(mpx_value_get, (x, text));
	FAILS(mpx_value_set, (x, text));
	FAILS(mpx_value_read, (x, text, 0));
	FAILS(mpx_value_read, (x, text, MPX_FOREVER));
	FAILS(mpx_value_write, (x, text, 0));
	FAILS(mpx_value_write, (x, text, MPX_FOREVER));
	NOTHING(mpx_value_add, (x, 1));
	NOTHING(mpx_value_compare_exchange, (x, 1, 1));
	if (arguments_row("mpx_value_update")) {
		errno = 0;
		mpx_number n = mpx_value_update(x, MPX_VALUE_MAX, mpx_number_i(1), mpx_number_i(1));
		arguments_check("mpx_value_update", mpx_number_as_i(n), 0, errno, EINVAL);
	}
	NO_POINTER(mpx_value_lock, (x), EINVAL);
	FAILS(mpx_value_synchronized, (x, NULL));
	ROW_VOID(mpx_value_free, (x), x ? EINVAL : 0);
}

static void rows_of_array(void *x)
{
	char text[64];

	NO_POINTER(mpx_array_copy, (x), EINVAL);
	NO_POINTER(mpx_array_pointer, (x, 'i'), EINVAL);
	NO_POINTER(mpx_array_pointer_of, (x, 'i', sizeof(int)), EINVAL);
	NOTHING(mpx_array_len, (x));
	NOTHING(mpx_array_itemsize, (x));
	NOTHING(mpx_array_typecode, (x));
	FAILS(mpx_array_get, (x, 0, text));
	FAILS(mpx_array_set, (x, 0, text));
	FAILS(mpx_array_slice, (x, 0, 1, text));
	FAILS(mpx_array_slice, (x, 0, 0, NULL));
	FAILS(mpx_array_assign, (x, 0, 1, text));
	FAILS(mpx_array_read, (x, 0, 1, text, 0));
	FAILS(mpx_array_read, (x, 0, 0, NULL, MPX_FOREVER));
	FAILS(mpx_array_write, (x, 0, 1, text, 0));
	FAILS(mpx_array_write, (x, 0, 0, NULL, MPX_FOREVER));
	FAILS(mpx_array_str, (x, text, sizeof text));
	FAILS(mpx_array_set_str, (x, ""));
	NO_POINTER(mpx_array_lock, (x), EINVAL);
	FAILS(mpx_array_synchronized, (x, NULL));
	ROW_VOID(mpx_array_free, (x), x ? EINVAL : 0);
}

/* What is no lock is not given to a value, nor to an array. */
static void rows_of_lock(void *x)
{
	mpx_value *v = mpx_raw_value_new('i', 1);
	mpx_array *a = mpx_raw_array_new('i', 1, NULL);
	child_check(v && a);
	FAILS(mpx_value_synchronized, (v, x));
	FAILS(mpx_array_synchronized, (a, x));
	NO_POINTER(mpx_value_lock, (v), EINVAL);
	NO_POINTER(mpx_array_lock, (a), EINVAL);
	mpx_value_free(v);
	mpx_array_free(a);
}

static const struct arguments_kind kinds[] = {
	{"mpx_value", rows_of_value},
	{"mpx_array", rows_of_array},
	{"mpx_rlock", rows_of_lock},
	{0},
};

static void without_objects(void)
{
	size_t huge = SIZE_MAX;
	const int three[3] = {1, 2, 3};

	NO_POINTER(mpx_value_create, ('x', mpx_number_i(0)), EINVAL);
	NO_POINTER(mpx_value_create, ('\0', mpx_number_i(0)), EINVAL);
	NO_POINTER(mpx_value_create, ('i', mpx_number_d(1e30)), ERANGE);
	NO_POINTER(mpx_value_create, ('i', mpx_number_d(NOT_A_NUMBER)), ERANGE);
	NO_POINTER(mpx_raw_value_create, ('x', mpx_number_i(0)), EINVAL);
	NO_POINTER(mpx_raw_value_create, ('i', mpx_number_d(NOT_A_NUMBER)), ERANGE);
	NO_POINTER(mpx_array_create, ('x', 1, NULL, '*'), EINVAL);
	NO_POINTER(mpx_array_create, ('d', huge, NULL, '*'), EINVAL);
	NO_POINTER(mpx_array_create, ('d', huge / 8, NULL, '*'), EINVAL);
	NO_POINTER(mpx_array_create, ('b', huge, NULL, '*'), EINVAL);
	NO_POINTER(mpx_array_create, ('b', huge, &huge, '*'), EINVAL);
	NO_POINTER(mpx_array_create, ('b', huge / 2, &huge, '*'), ENOMEM);
	NO_POINTER(mpx_array_create, ('i', 1, &huge, 'd'), EINVAL);
	NO_POINTER(mpx_raw_array_create, ('x', 1, NULL, '*'), EINVAL);
	NO_POINTER(mpx_raw_array_create, ('d', huge / 8, NULL, '*'), EINVAL);
	NO_POINTER(mpx_raw_array_create, ('i', 1, &huge, 'd'), EINVAL);
	NO_POINTER(mpx_array_create_of, ('\0', 0, 1, NULL), EINVAL);
	NO_POINTER(mpx_array_create_of, ('\0', 24, huge / 8, NULL), EINVAL);
	NO_POINTER(mpx_array_create_of, ('\0', huge, 2, &huge), EINVAL);
	NO_POINTER(mpx_array_create_of, ('i', 8, 1, NULL), EINVAL);
	NO_POINTER(mpx_raw_array_create_of, ('\0', 0, 0, NULL), EINVAL);
	NO_POINTER(mpx_raw_array_create_of, ('x', 1, 1, NULL), EINVAL);
	MAKES(mpx_value_create, ('i', mpx_number_i(1)), mpx_value_free);
	MAKES(mpx_raw_value_create, ('d', mpx_number_i(1)), mpx_value_free);
	MAKES(mpx_array_create, ('i', 3, three, 'i'), mpx_array_free);
	MAKES(mpx_raw_array_create_of, ('\0', 12, 1, three), mpx_array_free);
}

static void rows_of_good_values(mpx_value *v, mpx_value *raw)
{
	mpx_rlock *lock = mpx_rlock_new();
	int x = 7;
	child_check(lock != NULL);

	FAILS(mpx_value_get, (v, NULL));
	FAILS(mpx_value_set, (v, NULL));
	FAILS(mpx_value_read, (v, NULL, 0));
	FAILS(mpx_value_write, (v, NULL, 0));
	FAILS(mpx_value_write, (v, &x, NOT_A_NUMBER));
	NO_POINTER(mpx_value_pointer, (v, 'd'), EINVAL);
	NO_POINTER(mpx_value_pointer, (v, '\0'), EINVAL);
	if (arguments_row("mpx_value_update")) {
		errno = 0;
		mpx_value_update(v, (mpx_value_op)99, mpx_number_i(1), mpx_number_i(1));
		arguments_check("an unknown operation", 0, 0, errno, EINVAL);
	}
	ROW(mpx_value_add, (v, 1e30), 0, ERANGE);
	ROW(mpx_value_synchronized, (v, lock), -1, EBUSY);
	FAILS(mpx_value_read, (raw, &x, 0));
	FAILS(mpx_value_write, (raw, &x, MPX_FOREVER));
	NO_POINTER(mpx_value_lock, (raw), EINVAL);
	ROW(mpx_value_synchronized, (raw, lock), 0, 0);
	ROW(mpx_value_synchronized, (raw, lock), -1, EBUSY);
	child_check(x == 7);
	child_check(mpx_value_get(v, &x) == 0 && x == 1);
	child_check(mpx_value_get(raw, &x) == 0 && x == 2);
	ROW(mpx_rlock_locked, (mpx_value_lock(v)), 0, 0);
	mpx_value_free(raw);
	mpx_rlock_free(lock);
}

static void rows_outside(mpx_array *a)
{
	size_t huge = SIZE_MAX;
	int x[16] = {7};

	ROW(mpx_array_get, (a, 10, x), -1, ERANGE);
	ROW(mpx_array_get, (a, huge, x), -1, ERANGE);
	ROW(mpx_array_set, (a, huge, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 0, 11, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 1, huge, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, huge, 2, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 5, huge - 4, x), -1, ERANGE);
	ROW(mpx_array_assign, (a, 5, huge / 4 + 1, x), -1, ERANGE);
	ROW(mpx_array_read, (a, 0, 11, x, 0), -1, ERANGE);
	ROW(mpx_array_read, (a, huge, 2, x, MPX_FOREVER), -1, ERANGE);
	ROW(mpx_array_write, (a, 5, huge - 4, x, 0), -1, ERANGE);
	ROW(mpx_array_write, (a, 11, 0, x, 0), -1, ERANGE);
	ROW(mpx_array_slice, (a, 10, 0, NULL), 0, 0);
	ROW(mpx_array_read, (a, 10, 0, NULL, 0), 0, 0);
	child_check(x[0] == 7);
}

static void rows_of_good_arrays(mpx_array *a, mpx_array *raw)
{
	int x = 7;

	FAILS(mpx_array_get, (a, 0, NULL));
	FAILS(mpx_array_set, (a, 0, NULL));
	FAILS(mpx_array_slice, (a, 0, 1, NULL));
	FAILS(mpx_array_assign, (a, 0, 1, NULL));
	FAILS(mpx_array_read, (a, 0, 1, NULL, 0));
	FAILS(mpx_array_write, (a, 0, 1, NULL, 0));
	FAILS(mpx_array_write, (a, 0, 1, &x, NOT_A_NUMBER));
	NO_POINTER(mpx_array_pointer, (a, 'd'), EINVAL);
	NO_POINTER(mpx_array_pointer_of, (a, 'd', sizeof(double)), EINVAL);
	NO_POINTER(mpx_array_pointer_of, (a, '\0', 4), EINVAL);
	FAILS(mpx_array_str, (a, (char *)&x, sizeof x));
	FAILS(mpx_array_set_str, (a, "x"));
	FAILS(mpx_array_read, (raw, 0, 1, &x, 0));
	FAILS(mpx_array_write, (raw, 0, 1, &x, MPX_FOREVER));
	NO_POINTER(mpx_array_lock, (raw), EINVAL);
	child_check(x == 7);
	for (size_t i = 0; i < 10; i++)
		child_check(mpx_array_get(a, i, &x) == 0 && x == 0);
}

static void rows_of_text(mpx_array *text)
{
	char buf[8] = "before";

	FAILS(mpx_array_str, (text, NULL, 8));
	ROW(mpx_array_str, (text, buf, 0), -1, EMSGSIZE);
	ROW(mpx_array_str, (text, buf, 3), -1, EMSGSIZE);
	FAILS(mpx_array_set_str, (text, NULL));
	ROW(mpx_array_set_str, (text, "four"), -1, EMSGSIZE);
	child_check(strcmp(buf, "before") == 0);
	ROW(mpx_array_str, (text, buf, 4), 3, 0);
	child_check(strcmp(buf, "abc") == 0);
}

static void with_objects(void)
{
	mpx_value *v = mpx_value_new('i', 1);
	mpx_array *a = mpx_array_new('i', 10, NULL), *raw = mpx_raw_array_new('i', 1, NULL);
	mpx_array *text = mpx_array_new('c', 3, "abc");
	child_check(v && a && raw && text);
	rows_of_good_values(v, mpx_raw_value_new('i', 2));
	rows_outside(a);
	rows_of_good_arrays(a, raw);
	rows_of_text(text);
	mpx_value_free(v);
	mpx_array_free(a);
	mpx_array_free(raw);
	mpx_array_free(text);
}

/* ---- timeouts ------------------------------------------------------------------ */

/* Another thread, which has gone, holds the lock of the first ones. */
static mpx_value *value[2];
static mpx_array *array[2];

static int value_read(bool ready, double timeout)
{
	int x = 7, rc = mpx_value_read(value[ready], &x, timeout);
	return rc == 0 ? x != 1 : x == 7 ? rc : 1;
}

static int value_write(bool ready, double timeout)
{
	const int x = 1;
	return mpx_value_write(value[ready], &x, timeout);
}

static int array_read(bool ready, double timeout)
{
	int x = 7, rc = mpx_array_read(array[ready], 0, 1, &x, timeout);
	return rc == 0 ? x != 0 : x == 7 ? rc : 1;
}

static int array_write(bool ready, double timeout)
{
	const int x = 0;
	return mpx_array_write(array[ready], 0, 1, &x, timeout);
}

static const struct arguments_timed timed[] = {
	{"mpx_value_read", value_read, false},
	{"mpx_value_write", value_write, false},
	{"mpx_array_read", array_read, false},
	{"mpx_array_write", array_write, false},
	{0},
};

static void *hold(void *arg)
{
	(void)arg;
	assert_ok(mpx_rlock_acquire(mpx_value_lock(value[0]), 0));
	assert_ok(mpx_rlock_acquire(mpx_array_lock(array[0]), 0));
	return NULL;
}

static void timed_begin(void)
{
	pthread_t t;
	for (int i = 0; i < 2; i++) {
		assert_non_null(value[i] = mpx_value_new('i', 1));
		assert_non_null(array[i] = mpx_array_new('i', 1, NULL));
	}
	assert_int_equal(pthread_create(&t, NULL, hold, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void timed_end(void)
{
	for (int i = 0; i < 2; i++) {
		mpx_value_free(value[i]);
		mpx_array_free(array[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "value",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
