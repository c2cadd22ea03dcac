/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_array.c - mpx/value.h, arrays:
 *
 *   - zeros, copies, wrong init, n = 0, overflow; get, set, slice, assign and
 *     their bounds
 *   - slices under the lock are of one moment
 */
#define _POSIX_C_SOURCE 200809L

#include "typecodes.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WORKERS 4

/* ---- arrays ------------------------------------------------------------ */

static void test_array_zeros(void **state)
{
	(void)state;
	size_t lengths[] = {1, 2, 7, 8, 63, 64, 65, 511, 512, 1000, 4096, 5000, 100000, 1000003};
	for (const char *code = typecodes; *code; code++) {
		size_t size = size_of(*code);
		for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
			size_t n = lengths[k];
			/* the second one may get the memory of the first */
			for (int round = 0; round < 2; round++) {
				mpx_array *a = mpx_array_new(*code, n, NULL);
				assert_non_null(a);
				assert_int_equal(mpx_array_len(a), n);
				assert_int_equal(mpx_array_typecode(a), *code);
				char *bytes = mpx_array_pointer(a, *code);
				assert_non_null(bytes);
				assert_int_equal((uintptr_t)bytes % 64, 0);
				assert_int_equal(bytes[0], 0);
				assert_int_equal(memcmp(bytes, bytes + 1, n * size - 1), 0);
				memset(bytes, 0xff, n * size);
				mpx_array_free(a);
			}
		}
	}
}

static void test_array_copies(void **state)
{
	(void)state;
#define COPY(code, type, min, max)                                                                 \
	{                                                                                          \
		type in[100];                                                                      \
		for (int k = 0; k < 100; k++)                                                      \
			in[k] = k == 1 ? (type)(min) : k == 2 ? (type)(max) : (type)k;             \
		const type *read_only = in;                                                        \
		mpx_array *a[] = {                                                                 \
			mpx_array_new(CODE(code), 100, in),                                        \
			mpx_array_new(CODE(code), 100, read_only),                                 \
			mpx_array_new(CODE(code), 100, &in[0]),                                    \
			mpx_array_new(CODE(code), 100, (void *)in),                                \
			mpx_array_new(CODE(code), 100, (const void *)in),                          \
		};                                                                                 \
		for (size_t k = 0; k < sizeof a / sizeof *a; k++) {                                \
			assert_non_null(a[k]);                                                     \
			assert_int_equal(mpx_array_len(a[k]), 100);                                \
			assert_memory_equal(mpx_array_ptr(a[k], type), in, sizeof in);             \
			mpx_array_ptr(a[k], type)[5] = (type)99; /* a copy: in stays */            \
			assert_true(in[5] == (type)5);                                             \
			mpx_array_free(a[k]);                                                      \
		}                                                                                  \
		mpx_array *zeros = mpx_array_new(CODE(code), 3, (type *)NULL);                     \
		assert_non_null(zeros);                                                            \
		assert_true(mpx_array_ptr(zeros, type)[2] == (type)0);                             \
		mpx_array_free(zeros);                                                             \
	}
	ALL(COPY)
#undef COPY
}

static void test_array_wrong_init(void **state)
{
	(void)state;
	static const double d[6] = {1, 2, 3, 4, 5, 6};
	static const int two[2][3] = {{1, 2, 3}, {4, 5, 6}};
	static const int *const pointers[6];
	static const mpx_number numbers[6];
	static const bool bools[6];
	assert_nothing(mpx_array_new('i', 6, d), EINVAL);
	assert_nothing(mpx_array_new('f', 6, d), EINVAL);
	assert_nothing(mpx_array_new('q', 6, d), EINVAL);
	assert_nothing(mpx_array_new('i', 6, two), EINVAL);
	assert_nothing(mpx_array_new('i', 2, two), EINVAL);
	assert_nothing(mpx_array_new('d', 6, two), EINVAL);
	assert_nothing(mpx_array_new('i', 6, pointers), EINVAL);
	assert_nothing(mpx_array_new('L', 6, pointers), EINVAL);
	assert_nothing(mpx_array_new('q', 6, numbers), EINVAL);
	assert_nothing(mpx_array_new('B', 6, bools), EINVAL);
	assert_nothing(mpx_array_new('b', 6, "hello"), EINVAL);
	assert_nothing(mpx_array_create('i', 6, d, 'd'), EINVAL);
	assert_nothing(mpx_array_create('i', 6, d, '\0'), EINVAL);
	assert_nothing(mpx_array_create('i', 6, d, '?'), EINVAL);
	/* every pair of types */
#define INIT(other, type, min, max)                                                                \
	{                                                                                          \
		type in[2] = {(type)1, (type)2};                                                   \
		mpx_array *a;                                                                      \
		if (same_type(*code, CODE(other))) {                                               \
			assert_non_null(a = mpx_array_new(*code, 2, in));                          \
			mpx_array_free(a);                                                         \
		} else {                                                                           \
			assert_nothing(mpx_array_new(*code, 2, in), EINVAL);                       \
		}                                                                                  \
	}
	for (const char *code = typecodes; *code; code++) {
		ALL(INIT)
	}
#undef INIT
	mpx_array *a = mpx_array_new('c', 6, "hello");
	assert_non_null(a);
	assert_string_equal(mpx_array_ptr(a, char), "hello");
	mpx_array_free(a);
	a = mpx_array_new('i', 6, two[0]);
	assert_non_null(a);
	assert_int_equal(mpx_array_ptr(a, int)[5], 6);
	mpx_array_free(a);
	a = mpx_array_new('u', 3, L"ab");
	assert_non_null(a);
	assert_true(mpx_array_ptr(a, wchar_t)[1] == L'b');
	mpx_array_free(a);
}

static void test_array_of_nothing(void **state)
{
	(void)state;
	for (const char *code = typecodes; *code; code++) {
		double x = 1;
		mpx_array *a = mpx_array_new(*code, 0, NULL);
		mpx_array *b = mpx_array_new(*code, 0, (void *)&x);
		assert_non_null(a);
		assert_non_null(b);
		assert_ptr_not_equal(a, b);
		errno = 0;
		assert_int_equal(mpx_array_len(a), 0);
		assert_int_equal(errno, 0);
		assert_int_equal(mpx_array_typecode(a), *code);
		assert_non_null(mpx_array_pointer(a, *code));
		assert_int_equal((uintptr_t)mpx_array_pointer(a, *code) % 64, 0);
		assert_fails(mpx_array_get(a, 0, &x), ERANGE);
		assert_fails(mpx_array_set(a, 0, &x), ERANGE);
		assert_ok(mpx_array_slice(a, 0, 0, &x));
		assert_ok(mpx_array_assign(a, 0, 0, &x));
		assert_fails(mpx_array_slice(a, 0, 1, &x), ERANGE);
		assert_fails(mpx_array_assign(a, 0, 1, &x), ERANGE);
		assert_fails(mpx_array_slice(a, 1, SIZE_MAX, &x), ERANGE);
		assert_ok(mpx_rlock_acquire(mpx_array_lock(a), 0));
		assert_ok(mpx_rlock_release(mpx_array_lock(a)));
		mpx_array_free(a);
		mpx_array_free(b);
	}
}

static void test_array_too_large(void **state)
{
	(void)state;
	static const double d[1];
	size_t blocks = heap_blocks();
	for (const char *code = typecodes; *code; code++) {
		size_t size = size_of(*code);
		size_t sizes[] = {SIZE_MAX,	    SIZE_MAX - 1,    SIZE_MAX - 63,    SIZE_MAX / 2,
				  SIZE_MAX / 2 + 1, SIZE_MAX / 4,    SIZE_MAX / 4 + 1, SIZE_MAX / 8,
				  SIZE_MAX / 8 + 1, SIZE_MAX / 8 - 7};
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			bool overflow = sizes[k] > SIZE_MAX / size;
			errno = 0;
			assert_null(mpx_array_new(*code, sizes[k], NULL));
			assert_true(errno == EINVAL || (errno == ENOMEM && !overflow));
			errno = 0;
			assert_null(mpx_array_new(*code, sizes[k], (const void *)d));
			assert_true(errno == EINVAL || (errno == ENOMEM && !overflow));
		}
		errno = 0;
		assert_null(mpx_array_new(*code, (size_t)1 << 57, NULL));
		assert_int_equal(errno, ENOMEM);
	}
	assert_int_equal(heap_blocks(), blocks);
}

static void test_array_get_and_set(void **state)
{
	(void)state;
#define GET_SET(code, type, min, max)                                                              \
	{                                                                                          \
		enum { N = 70 };                                                                   \
		type in[N], out[N + 2], x = (type)9;                                               \
		mpx_array *a = mpx_array_new(CODE(code), N, NULL);                                 \
		assert_non_null(a);                                                                \
		for (size_t k = 0; k < N; k++) {                                                   \
			in[k] = k % 3 == 0 ? (type)(min) : k % 3 == 1 ? (type)(max) : (type)k;     \
			assert_ok(mpx_array_set(a, k, &in[k]));                                    \
			assert_true(mpx_array_ptr(a, type)[k] == in[k]);                           \
			if (k + 1 < N)                                                             \
				assert_true(mpx_array_ptr(a, type)[k + 1] == (type)0);             \
		}                                                                                  \
		for (size_t k = 0; k < N; k++) {                                                   \
			out[0] = out[1] = out[2] = (type)9;                                        \
			assert_ok(mpx_array_get(a, k, &out[1]));                                   \
			assert_true(out[1] == in[k] && out[0] == (type)9 && out[2] == (type)9);    \
		}                                                                                  \
		size_t outside[] = {N,                                                             \
				    N + 1,                                                         \
				    SIZE_MAX,                                                      \
				    SIZE_MAX / 2 + 1,                                              \
				    SIZE_MAX / 4 + 1,                                              \
				    SIZE_MAX / 8 + 1,                                              \
				    SIZE_MAX / 8 + 2};                                             \
		for (size_t k = 0; k < sizeof outside / sizeof *outside; k++) {                    \
			assert_fails(mpx_array_get(a, outside[k], &x), ERANGE);                    \
			assert_fails(mpx_array_set(a, outside[k], &x), ERANGE);                    \
			assert_true(x == (type)9);                                                 \
		}                                                                                  \
		assert_memory_equal(mpx_array_ptr(a, type), in, sizeof in);                        \
		assert_fails(mpx_array_get(a, 0, NULL), EINVAL);                                   \
		assert_fails(mpx_array_set(a, 0, NULL), EINVAL);                                   \
		assert_fails(mpx_array_slice(a, 0, 1, NULL), EINVAL);                              \
		assert_fails(mpx_array_assign(a, 0, 1, NULL), EINVAL);                             \
                                                                                                   \
		/* every slice there is, and the memory around its copy */                         \
		for (size_t first = 0; first <= N; first++) {                                      \
			for (size_t n = 0; first + n <= N; n++) {                                  \
				for (size_t k = 0; k < N + 2; k++)                                 \
					out[k] = (type)9;                                          \
				assert_int_equal(mpx_array_slice(a, first, n, out + 1), 0);        \
				assert_int_equal(memcmp(out + 1, in + first, n * sizeof(type)),    \
						 0);                                               \
				assert_true(out[0] == (type)9 && out[n + 1] == (type)9);           \
			}                                                                          \
		}                                                                                  \
		for (size_t k = 0; k < N + 2; k++)                                                 \
			out[k] = (type)9;                                                          \
		static const size_t bad[][2] = {{0, N + 1},                                        \
						{1, N},                                            \
						{N, 1},                                            \
						{N - 1, 2},                                        \
						{N + 1, 1},                                        \
						{0, SIZE_MAX},                                     \
						{1, SIZE_MAX},                                     \
						{SIZE_MAX, 1},                                     \
						{2, SIZE_MAX - 1},                                 \
						{5, SIZE_MAX - 4},                                 \
						{SIZE_MAX, SIZE_MAX},                              \
						{SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1},              \
						{SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 5},              \
						{SIZE_MAX - 5, 7},                                 \
						{0, SIZE_MAX / 2 + 1},                             \
						{0, SIZE_MAX / 4 + 1},                             \
						{0, SIZE_MAX / 8 + 1},                             \
						{1, SIZE_MAX / 8 + 1}};                            \
		for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {                            \
			assert_fails(mpx_array_slice(a, bad[k][0], bad[k][1], out), ERANGE);       \
			assert_fails(mpx_array_assign(a, bad[k][0], bad[k][1], out), ERANGE);      \
		}                                                                                  \
		for (size_t k = 0; k < N + 2; k++)                                                 \
			assert_true(out[k] == (type)9);                                            \
		assert_memory_equal(mpx_array_ptr(a, type), in, sizeof in);                        \
                                                                                                   \
		assert_ok(mpx_array_assign(a, 3, 4, out));                                         \
		for (size_t k = 3; k < 7; k++)                                                     \
			in[k] = (type)9;                                                           \
		assert_memory_equal(mpx_array_ptr(a, type), in, sizeof in);                        \
		assert_ok(mpx_array_assign(a, 0, N, out));                                         \
		assert_memory_equal(mpx_array_ptr(a, type), out, sizeof in);                       \
		mpx_array_free(a);                                                                 \
	}
	ALL(GET_SET)
#undef GET_SET
}

/* ---- between processes ------------------------------------------------- */

struct shared {
	mpx_array *a;
	_Atomic int ready;
};

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

/* Under the lock a slice is of one moment. */
static int painter(void *arg)
{
	struct shared *s = arg;
	int me = ++s->ready, all[500];
	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 500; k++)
			all[k] = me * 1000 + i;
		child_check(mpx_rlock_acquire(mpx_array_lock(s->a), MPX_FOREVER) == 0);
		child_check(mpx_array_assign(s->a, 0, 500, all) == 0);
		child_check(mpx_rlock_release(mpx_array_lock(s->a)) == 0);
		child_check(mpx_rlock_acquire(mpx_array_lock(s->a), MPX_FOREVER) == 0);
		child_check(mpx_array_slice(s->a, 0, 500, all) == 0);
		child_check(mpx_rlock_release(mpx_array_lock(s->a)) == 0);
		for (int k = 1; k < 500; k++)
			child_check(all[k] == all[0]);
	}
	return 0;
}

static void test_slices_under_the_lock(void **state)
{
	(void)state;
	struct shared *s = share();
	s->a = mpx_array_new('i', 500, NULL);
	assert_non_null(s->a);
	in_processes(WORKERS, painter, s);
	mpx_array_free(s->a);
	mpx_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_array_zeros),	      mpx_test(test_array_copies),
		mpx_test(test_array_wrong_init),      mpx_test(test_array_of_nothing),
		mpx_test(test_array_too_large),	      mpx_test(test_array_get_and_set),
		mpx_test(test_slices_under_the_lock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
