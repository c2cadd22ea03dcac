/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_value.c - mpx/value.h, what values and arrays share and what is of values (the
 * rest of arrays: test_array.c):
 *
 *   - all 256 typecodes; each type's size, limits, alignment, and whose pointer
 *     mpx_value_ptr and mpx_array_ptr hand out
 *   - conversion at creation: integers wrap, reals are truncated or ERANGE
 *   - get, set; add, exchange, compare_exchange, min, max: for every typecode, with
 *     arguments of every kind, old values, errno; exact between processes
 *   - loads and stores are never torn and take no lock
 *   - the lock of a value and of an array
 *   - sharing with processes made before and after; freeing, also elsewhere, also
 *     twice; pointers that are no such object
 */
#define _POSIX_C_SOURCE 200809L

#include "typecodes.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#define WORKERS 4
#define ROUNDS 20000

/* ---- typecodes --------------------------------------------------------- */

static void test_all_characters_as_typecode(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char code = (char)c;
		bool known = c != 0 && strchr(typecodes, c);
		mpx_value *v;
		mpx_array *a;
		errno = 0;
		v = mpx_value_new(code, 0);
		assert_int_equal(errno, known ? 0 : EINVAL);
		assert_int_equal(v != NULL, known);
		errno = 0;
		a = mpx_array_new(code, 3, NULL);
		assert_int_equal(errno, known ? 0 : EINVAL);
		assert_int_equal(a != NULL, known);
		if (!known) {
			assert_nothing(mpx_array_create(code, 0, NULL, '*'), EINVAL);
			continue;
		}
		assert_int_equal(mpx_array_typecode(a), code);
		assert_int_equal(mpx_array_len(a), 3);
		for (int k = 0; k < 256; k++) {
			char other = (char)k;
			if (other == code) {
				assert_non_null(mpx_value_pointer(v, other));
				assert_non_null(mpx_array_pointer(a, other));
			} else if (!same_type(code, other)) {
				assert_nothing(mpx_value_pointer(v, other), EINVAL);
				assert_nothing(mpx_array_pointer(a, other), EINVAL);
			}
		}
		mpx_value_free(v);
		mpx_array_free(a);
	}
}

/* mpx_value_ptr and mpx_array_ptr take a type: the right one, or NULL and EINVAL. */
static void test_pointer_types(void **state)
{
	(void)state;
	for (const char *code = typecodes; *code; code++) {
		mpx_value *v = mpx_value_new(*code, 0);
		mpx_array *a = mpx_array_new(*code, 2, NULL);
		assert_non_null(v);
		assert_non_null(a);
#define POINTERS(other, type, min, max)                                                            \
	if (same_type(*code, CODE(other))) {                                                       \
		type *p = mpx_value_ptr(v, type);                                                  \
		type *first = mpx_array_ptr(a, type);                                              \
		assert_non_null(p);                                                                \
		assert_non_null(first);                                                            \
		assert_int_equal((uintptr_t)p % sizeof(type), 0);                                  \
		assert_int_equal((uintptr_t)first % 64, 0);                                        \
		*p = (type)1;                                                                      \
		first[1] = (type)1;                                                                \
	} else {                                                                                   \
		assert_nothing(mpx_value_ptr(v, type), EINVAL);                                    \
		assert_nothing(mpx_array_ptr(a, type), EINVAL);                                    \
	}
		ALL(POINTERS)
#undef POINTERS
		assert_nothing(mpx_value_ptr(v, bool), EINVAL);
		assert_nothing(mpx_value_ptr(v, mpx_number), EINVAL);
		assert_nothing(mpx_value_ptr(v, char *), EINVAL);
		assert_nothing(mpx_array_ptr(a, bool), EINVAL);
		assert_nothing(mpx_array_ptr(a, mpx_number), EINVAL);
		mpx_value_free(v);
		mpx_array_free(a);
	}
}

/* ---- making a value ---------------------------------------------------- */

/* A value of this type made from this number holds exactly this. */
#define holds(code, type, init, expected)                                                          \
	do {                                                                                       \
		errno = 0;                                                                         \
		mpx_value *v_ = mpx_value_new(CODE(code), init);                                   \
		if (!v_)                                                                           \
			fail_msg("%s from %s: %s", #code, #init, strerror(errno));                 \
		type got_;                                                                         \
		assert_ok(mpx_value_get(v_, &got_));                                               \
		if (got_ != (type)(expected))                                                      \
			fail_msg("%s from %s is not %s", #code, #init, #expected);                 \
		if (*mpx_value_ptr(v_, type) != got_)                                              \
			fail_msg("%s from %s: pointer and get differ", #code, #init);              \
		mpx_value_free(v_);                                                                \
	} while (0)

#define does_not_fit(code, init) assert_nothing(mpx_value_new(CODE(code), init), ERANGE)

static void test_conversion_of_integers(void **state)
{
	(void)state;
#define INTEGER(code, type, min, max)                                                              \
	holds(code, type, 0, 0);                                                                   \
	holds(code, type, 1, 1);                                                                   \
	holds(code, type, -1, (type)-1);                                                           \
	holds(code, type, min, min);                                                               \
	holds(code, type, max, max);                                                               \
	holds(code, type, (char)65, 65);                                                           \
	holds(code, type, (signed char)-5, (type)-5);                                              \
	holds(code, type, (unsigned char)100, 100);                                                \
	holds(code, type, (short)-77, (type)-77);                                                  \
	holds(code, type, (unsigned short)99, 99);                                                 \
	holds(code, type, 42u, 42);                                                                \
	holds(code, type, 43L, 43);                                                                \
	holds(code, type, 44UL, 44);                                                               \
	holds(code, type, 45LL, 45);                                                               \
	holds(code, type, 46ULL, 46);                                                              \
	holds(code, type, true, 1);                                                                \
	holds(code, type, ULLONG_MAX, (type)-1);                                                   \
	holds(code, type, LLONG_MIN, (type)LLONG_MIN);                                             \
	holds(code, type, 0x123456789abcdef0LL, (type)0x123456789abcdef0LL);
	INTEGERS(INTEGER)
#undef INTEGER
	holds(b, signed char, 300, 44);
	holds(B, unsigned char, 300, 44);
	holds(B, unsigned char, -1, 255);
	holds(H, unsigned short, 65536 + 5, 5);
	holds(h, short, 40000, 40000 - 65536);
	holds(i, int, 1LL << 40, 0);
	holds(i, int, UINT_MAX, -1);
	holds(I, unsigned, -1, UINT_MAX);
	holds(q, long long, ULLONG_MAX, -1);
	holds(Q, unsigned long long, -1, ULLONG_MAX);
	/* integers for reals */
	holds(d, double, 1, 1.0);
	holds(d, double, -7, -7.0);
	holds(d, double, ULLONG_MAX, 18446744073709551616.0);
	holds(d, double, UINT_MAX, 4294967295.0);
	holds(d, double, LLONG_MIN, -9223372036854775808.0);
	holds(f, float, 3, 3.0f);
	holds(f, float, 16777216, 16777216.0f);
	holds(f, float, ULLONG_MAX, 18446744073709551616.0f);
}

static void test_conversion_of_reals(void **state)
{
	(void)state;
	holds(d, double, 0.1, 0.1);
	holds(d, double, 0.5f, 0.5);
	holds(d, double, 1.5L, 1.5);
	holds(d, double, DBL_MAX, DBL_MAX);
	holds(d, double, -DBL_MIN, -DBL_MIN);
	holds(d, double, INFINITY, (double)INFINITY);
	holds(f, float, 0.1, 0.1f);
	holds(f, float, 0.25f, 0.25f);
	holds(f, float, -0.25L, -0.25f);
	holds(f, float, -INFINITY, -INFINITY);
	mpx_value *v = mpx_value_new('d', NAN);
	double d = 0;
	assert_non_null(v);
	assert_ok(mpx_value_get(v, &d));
	assert_true(isnan(d));
	mpx_value_free(v);

	/* truncated, as in C, when that fits */
	holds(i, int, 2.9, 2);
	holds(i, int, -2.9, -2);
	holds(i, int, 2.9f, 2);
	holds(i, int, -2.9L, -2);
	holds(i, int, 2147483647.0, INT_MAX);
	holds(i, int, 2147483647.5, INT_MAX);
	holds(i, int, -2147483648.0, INT_MIN);
	holds(i, int, -2147483648.9, INT_MIN);
	holds(I, unsigned, 4294967295.9, UINT_MAX);
	holds(I, unsigned, -0.9, 0);
	holds(b, signed char, 127.9, 127);
	holds(b, signed char, -128.9, -128);
	holds(B, unsigned char, 255.9, 255);
	holds(B, unsigned char, -0.5, 0);
	holds(c, char, (double)CHAR_MAX, CHAR_MAX);
	holds(c, char, (double)CHAR_MIN, CHAR_MIN);
	holds(u, wchar_t, (double)WCHAR_MAX, WCHAR_MAX);
	holds(h, short, 32767.5, 32767);
	holds(H, unsigned short, 65535.5, 65535);
	holds(q, long long, -9223372036854775808.0, LLONG_MIN);
	holds(q, long long, 9223372036854774784.0, 9223372036854774784LL);
	holds(Q, unsigned long long, 9223372036854775808.0, 9223372036854775808ULL);
	holds(Q, unsigned long long, 18446744073709549568.0, 18446744073709549568ULL);

#define TOO_LARGE(code, type, min, max)                                                            \
	does_not_fit(code, NAN);                                                                   \
	does_not_fit(code, (double)NAN);                                                           \
	does_not_fit(code, INFINITY);                                                              \
	does_not_fit(code, -INFINITY);                                                             \
	does_not_fit(code, 1e300);                                                                 \
	does_not_fit(code, -1e300);                                                                \
	does_not_fit(code, 2.0 * (double)(max) + 2);                                               \
	does_not_fit(code, 2.0 * (double)(min)-1);
	INTEGERS(TOO_LARGE)
#undef TOO_LARGE
	does_not_fit(b, 128.0);
	does_not_fit(b, -129.0);
	does_not_fit(B, 256.0);
	does_not_fit(B, -1.0);
	does_not_fit(c, (double)CHAR_MAX + 1);
	does_not_fit(c, (double)CHAR_MIN - 1);
	does_not_fit(u, (double)WCHAR_MAX + 1);
	does_not_fit(h, 32768.0);
	does_not_fit(h, -32769.0);
	does_not_fit(H, 65536.0);
	does_not_fit(H, -1.0);
	does_not_fit(i, 2147483648.0);
	does_not_fit(i, -2147483649.0);
	does_not_fit(i, 1e10);
	does_not_fit(i, 3e9f);
	does_not_fit(i, 3e9L);
	does_not_fit(I, 4294967296.0);
	does_not_fit(I, -1.0);
	does_not_fit(q, 9223372036854775808.0);
	does_not_fit(q, -9223372036854777856.0);
	does_not_fit(Q, 18446744073709551616.0);
	does_not_fit(Q, -1.0);
	does_not_fit(Q, -1e-300 - 1);
	/* an unknown typecode is EINVAL, whatever the number */
	assert_nothing(mpx_value_new('z', 1e300), EINVAL);
	assert_nothing(mpx_value_new('\0', NAN), EINVAL);
}

static void test_unknown_kind_of_number(void **state)
{
	(void)state;
	mpx_number n = mpx_number_i(1);
	mpx_value *v = mpx_value_new('i', 5);
	n.kind = 'x';
	assert_nothing(mpx_value_create('i', n), EINVAL);
	errno = 0;
	mpx_value_update(v, MPX_VALUE_ADD, n, mpx_number_i(0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	mpx_value_update(v, (mpx_value_op)99, mpx_number_i(1), mpx_number_i(0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	mpx_value_update(v, (mpx_value_op)-1, mpx_number_i(1), mpx_number_i(0));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(*mpx_value_ptr(v, int), 5);
	mpx_value_free(v);
}

/* ---- get and set ------------------------------------------------------- */

static void test_get_and_set(void **state)
{
	(void)state;
#define GET_SET(code, type, min, max)                                                              \
	{                                                                                          \
		struct {                                                                           \
			unsigned char before[16];                                                  \
			type x;                                                                    \
			unsigned char after[16];                                                   \
		} out;                                                                             \
		unsigned char guard[16];                                                           \
		type in[] = {(type)(min), (type)(max), (type)0, (type)1, (type)-1};                \
		mpx_value *v = mpx_value_new(CODE(code), 77);                                      \
		assert_non_null(v);                                                                \
		memset(guard, 0xa5, sizeof guard);                                                 \
		for (size_t k = 0; k < sizeof in / sizeof *in; k++) {                              \
			memset(&out, 0xa5, sizeof out);                                            \
			assert_ok(mpx_value_set(v, &in[k]));                                       \
			assert_ok(mpx_value_get(v, &out.x));                                       \
			assert_true(out.x == in[k]);                                               \
			assert_true(*mpx_value_ptr(v, type) == in[k]);                             \
			assert_memory_equal(out.before, guard, sizeof guard);                      \
			assert_memory_equal(out.after, guard, sizeof guard);                       \
		}                                                                                  \
		*mpx_value_ptr(v, type) = (type)3;                                                 \
		assert_ok(mpx_value_get(v, &out.x));                                               \
		assert_true(out.x == (type)3);                                                     \
		assert_fails(mpx_value_get(v, NULL), EINVAL);                                      \
		assert_fails(mpx_value_set(v, NULL), EINVAL);                                      \
		assert_true(*mpx_value_ptr(v, type) == (type)3);                                   \
		mpx_value_free(v);                                                                 \
	}
	ALL(GET_SET)
#undef GET_SET
}

/* ---- atomic steps ------------------------------------------------------ */

/* The step succeeds, leaves errno alone, returns old, and leaves new. */
#define step(call, type, old, new)                                                                 \
	do {                                                                                       \
		errno = 4711;                                                                      \
		if ((type)(call) != (type)(old))                                                   \
			fail_msg("%s: the old value is wrong", #call);                             \
		assert_int_equal(errno, 4711);                                                     \
		if (*mpx_value_ptr(v, type) != (type)(new))                                        \
			fail_msg("%s: the new value is wrong", #call);                             \
	} while (0)

static void test_steps_of_integers(void **state)
{
	(void)state;
#define STEPS(code, type, min, max)                                                                \
	{                                                                                          \
		mpx_value *v = mpx_value_new(CODE(code), 10);                                      \
		assert_non_null(v);                                                                \
		step(mpx_value_add(v, 5), type, 10, 15);                                           \
		step(mpx_value_add(v, -3), type, 15, 12);                                          \
		step(mpx_value_add(v, 0), type, 12, 12);                                           \
		step(mpx_value_add(v, 2u), type, 12, 14);                                          \
		step(mpx_value_add(v, 2UL), type, 14, 16);                                         \
		step(mpx_value_add(v, 2LL), type, 16, 18);                                         \
		step(mpx_value_add(v, 2ULL), type, 18, 20);                                        \
		step(mpx_value_add(v, 2.9), type, 20, 22);                                         \
		step(mpx_value_add(v, 2.9f), type, 22, 24);                                        \
		step(mpx_value_exchange(v, 7), type, 24, 7);                                       \
		step(mpx_value_exchange(v, -1), type, 7, (type)-1);                                \
		step(mpx_value_exchange(v, max), type, (type)-1, max);                             \
		step(mpx_value_add(v, 1), type, max, min);                                         \
		step(mpx_value_add(v, -1), type, min, max);                                        \
		step(mpx_value_exchange(v, min), type, max, min);                                  \
		step(mpx_value_compare_exchange(v, 5, 6), type, min, min);                         \
		step(mpx_value_compare_exchange(v, min, 6), type, min, 6);                         \
		step(mpx_value_compare_exchange(v, 6, max), type, 6, max);                         \
		step(mpx_value_compare_exchange(v, max, 20), type, max, 20);                       \
		step(mpx_value_compare_exchange(v, 20.5, 21.5), type, 20, 21);                     \
		step(mpx_value_min(v, 30), type, 21, 21);                                          \
		step(mpx_value_min(v, 21), type, 21, 21);                                          \
		step(mpx_value_min(v, 4), type, 21, 4);                                            \
		step(mpx_value_min(v, min), type, 4, min);                                         \
		step(mpx_value_max(v, min), type, min, min);                                       \
		step(mpx_value_max(v, 4), type, min, 4);                                           \
		step(mpx_value_max(v, 3), type, 4, 4);                                             \
		step(mpx_value_max(v, max), type, 4, max);                                         \
		step(mpx_value_min(v, max), type, max, max);                                       \
		/* what does not fit leaves all as it is */                                        \
		assert_nothing(mpx_value_add(v, 1e300), ERANGE);                                   \
		assert_nothing(mpx_value_add(v, NAN), ERANGE);                                     \
		assert_nothing(mpx_value_exchange(v, INFINITY), ERANGE);                           \
		assert_nothing(mpx_value_compare_exchange(v, max, 1e300), ERANGE);                 \
		assert_nothing(mpx_value_compare_exchange(v, 1e300, 1), ERANGE);                   \
		assert_nothing(mpx_value_min(v, -1e300), ERANGE);                                  \
		assert_nothing(mpx_value_max(v, 1e300), ERANGE);                                   \
		assert_true(*mpx_value_ptr(v, type) == (type)(max));                               \
		mpx_value_free(v);                                                                 \
	}
	INTEGERS(STEPS)
#undef STEPS
	/* min and max compare as the typecode's type, the argument wrapped first */
	mpx_value *v = mpx_value_new('i', 5);
	step(mpx_value_min(v, -7), int, 5, -7);
	step(mpx_value_max(v, -8), int, -7, -7);
	step(mpx_value_max(v, 4294967290u), int, -7, -6);
	mpx_value_free(v);
	v = mpx_value_new('I', 5);
	step(mpx_value_min(v, -1), unsigned, 5, 5);
	step(mpx_value_max(v, -1), unsigned, 5, UINT_MAX);
	mpx_value_free(v);
	v = mpx_value_new('Q', 5);
	step(mpx_value_max(v, ULLONG_MAX), unsigned long long, 5, ULLONG_MAX);
	step(mpx_value_min(v, LLONG_MAX), unsigned long long, ULLONG_MAX, LLONG_MAX);
	mpx_value_free(v);
	v = mpx_value_new('b', -3);
	step(mpx_value_max(v, 256 + 2), signed char, -3, 2);
	mpx_value_free(v);
}

static void test_steps_of_reals(void **state)
{
	(void)state;
#define STEPS(code, type, min, max_)                                                               \
	{                                                                                          \
		mpx_value *v = mpx_value_new(CODE(code), 1.5);                                     \
		assert_non_null(v);                                                                \
		step(mpx_value_add(v, 0.25), type, 1.5, 1.75);                                     \
		step(mpx_value_add(v, 0.125f), type, 1.75, 1.875);                                 \
		step(mpx_value_add(v, 0.125L), type, 1.875, 2.0);                                  \
		step(mpx_value_add(v, 1), type, 2, 3.0);                                           \
		step(mpx_value_add(v, -1LL), type, 3, 2.0);                                        \
		step(mpx_value_add(v, 6ULL), type, 2, 8.0);                                        \
		step(mpx_value_add(v, -8.5), type, 8, -0.5);                                       \
		step(mpx_value_exchange(v, 7.25), type, -0.5, 7.25);                               \
		step(mpx_value_exchange(v, 1e10), type, 7.25, 1e10);                               \
		step(mpx_value_exchange(v, 8.0), type, 1e10, 8);                                   \
		step(mpx_value_compare_exchange(v, 8.5, 1.0), type, 8, 8);                         \
		step(mpx_value_compare_exchange(v, 8.0, 1.5), type, 8, 1.5);                       \
		step(mpx_value_compare_exchange(v, 1.5f, 2.5), type, 1.5, 2.5);                    \
		step(mpx_value_min(v, 2.75), type, 2.5, 2.5);                                      \
		step(mpx_value_min(v, -2.75), type, 2.5, -2.75);                                   \
		step(mpx_value_max(v, -3.0), type, -2.75, -2.75);                                  \
		step(mpx_value_max(v, 0.125), type, -2.75, 0.125);                                 \
		step(mpx_value_max(v, max_), type, 0.125, max_);                                   \
		step(mpx_value_min(v, -(max_)), type, max_, -(max_));                              \
		step(mpx_value_exchange(v, INFINITY), type, -(max_), INFINITY);                    \
		step(mpx_value_min(v, 1.0), type, INFINITY, 1);                                    \
		step(mpx_value_max(v, INFINITY), type, 1, INFINITY);                               \
		/* equal as reals, not bit by bit */                                               \
		step(mpx_value_exchange(v, -0.0), type, INFINITY, 0);                              \
		step(mpx_value_compare_exchange(v, 0.0, 1.0), type, 0, 1);                         \
		step(mpx_value_exchange(v, 0), type, 1, 0);                                        \
		step(mpx_value_compare_exchange(v, -0.0, 2.0), type, 0, 2);                        \
		step(mpx_value_compare_exchange(v, NAN, 3.0), type, 2, 2);                         \
		assert_true(mpx_value_exchange(v, NAN) == 2);                                      \
		assert_true(isnan(mpx_value_compare_exchange(v, (double)NAN, 7.0)));               \
		assert_true(isnan(*mpx_value_ptr(v, type)));                                       \
		mpx_value_free(v);                                                                 \
	}
	REALS(STEPS)
#undef STEPS
}

/* The type of what comes back is that of x. */
static void test_type_of_old_values(void **state)
{
	(void)state;
	mpx_value *v = mpx_value_new('q', -1);
	assert_int_equal(sizeof mpx_value_add(v, 0), sizeof(long long));
	assert_true(mpx_value_add(v, 0) < 0);
	assert_true(mpx_value_add(v, 0ULL) == ULLONG_MAX);
	assert_true(mpx_value_add(v, 0UL) == ULLONG_MAX);
	assert_true(mpx_value_add(v, 0.0) == -1.0);
	assert_true(mpx_value_exchange(v, 3.0) / 2 == -0.5);
	assert_true(mpx_value_max(v, 1.0) / 2 == 1.5);
	assert_true(mpx_value_min(v, 3.5L) / 2 == 1.5);
	mpx_value_free(v);
	v = mpx_value_new('Q', ULLONG_MAX);
	assert_true(mpx_value_add(v, 0) == -1);
	assert_true(mpx_value_add(v, 0ULL) == ULLONG_MAX);
	assert_true(mpx_value_add(v, 0.0) == 18446744073709551616.0);
	mpx_value_free(v);
	v = mpx_value_new('B', 200);
	assert_true(mpx_value_add(v, 0) == 200);
	assert_true(mpx_value_add(v, 0.0) == 200.0);
	mpx_value_free(v);
	v = mpx_value_new('b', -100);
	assert_true(mpx_value_add(v, 0) == -100);
	assert_true(mpx_value_add(v, 0.0) == -100.0);
	mpx_value_free(v);
	v = mpx_value_new('d', 4);
	assert_true(mpx_value_add(v, 1) == 4);
	assert_true(mpx_value_add(v, 1ULL) == 5);
	assert_true(*mpx_value_ptr(v, double) == 6.0);
	mpx_value_free(v);
	v = mpx_value_new('f', 0.5);
	assert_true(mpx_value_add(v, 0.5f) == 0.5);
	assert_true(mpx_value_add(v, 0.5) == 1.0);
	mpx_value_free(v);
}

/* ---- between processes ------------------------------------------------- */

struct shared {
	mpx_value *v[sizeof typecodes];
	mpx_value *counter;
	mpx_array *a;
	mpx_queue *queue;
	_Atomic int ready, go;
	_Atomic unsigned long long sum;
	_Atomic(void *) mailbox;
};

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static int adder(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		for (size_t k = 0; typecodes[k]; k++) {
			if (k % 2)
				mpx_value_add(s->v[k], 1);
			else
				mpx_value_add(s->v[k], 1.0);
		}
	}
	return 0;
}

static void test_adds_of_processes_are_exact(void **state)
{
	(void)state;
	struct shared *s = share();
	size_t k;
	for (k = 0; typecodes[k]; k++)
		assert_non_null(s->v[k] = mpx_value_new(typecodes[k], 0));
	in_processes(WORKERS, adder, s);
	k = 0;
#define TOTAL(code, type, min, max)                                                                \
	assert_true(*mpx_value_ptr(s->v[k], type) == (type)(WORKERS * ROUNDS));                    \
	mpx_value_free(s->v[k++]);
	ALL(TOTAL)
#undef TOTAL
	mpx_free(s);
}

/* compare_exchange as everybody uses it; min and max; exchange of tokens. */
static int stepper(void *arg)
{
	struct shared *s = arg;
	int me = s->ready++;
	uint64_t seed = (uint64_t)me;
	for (int i = 0; i < ROUNDS / 2; i++) {
		for (int k = 0; k < 2; k++) {
			mpx_value *v = s->v[k];
			if (k == 0) {
				int old;
				do
					child_check(mpx_value_get(v, &old) == 0);
				while (mpx_value_compare_exchange(v, old, old + 1) != old);
			} else {
				double old;
				do
					child_check(mpx_value_get(v, &old) == 0);
				while (mpx_value_compare_exchange(v, old, old + 0.5) != old);
			}
		}
		int x = (int)(next_random(&seed) % 1000000);
		mpx_value_min(s->v[2], x);
		mpx_value_max(s->v[3], x);
		mpx_value_min(s->v[4], (double)x);
		mpx_value_max(s->v[5], (double)x);
		unsigned long long token = (unsigned long long)(me * ROUNDS + i);
		s->sum += token - mpx_value_exchange(s->v[6], token);
	}
	return 0;
}

static void test_steps_of_processes_are_exact(void **state)
{
	(void)state;
	struct shared *s = share();
	static const char codes[] = "idiIfdQ";
	for (size_t k = 0; codes[k]; k++)
		assert_non_null(s->v[k] = mpx_value_new(codes[k], 0));
	mpx_value_exchange(s->v[2], INT_MAX);
	mpx_value_exchange(s->v[4], 1e9);
	in_processes(WORKERS, stepper, s);
	assert_int_equal(*mpx_value_ptr(s->v[0], int), WORKERS * ROUNDS / 2);
	assert_true(*mpx_value_ptr(s->v[1], double) == WORKERS * ROUNDS / 4);
	int low = INT_MAX, high = 0;
	for (int me = 0; me < WORKERS; me++) {
		uint64_t seed = (uint64_t)me;
		for (int i = 0; i < ROUNDS / 2; i++) {
			int x = (int)(next_random(&seed) % 1000000);
			low = x < low ? x : low;
			high = x > high ? x : high;
		}
	}
	assert_int_equal(*mpx_value_ptr(s->v[2], int), low);
	assert_int_equal(*mpx_value_ptr(s->v[3], unsigned), high);
	assert_true(*mpx_value_ptr(s->v[4], float) == (float)low);
	assert_true(*mpx_value_ptr(s->v[5], double) == high);
	/* tokens in minus tokens out is the token that is left */
	assert_true(s->sum == *mpx_value_ptr(s->v[6], unsigned long long));
	for (size_t k = 0; codes[k]; k++)
		mpx_value_free(s->v[k]);
	mpx_free(s);
}

/* Stores by one, loads by the other: all zeros or all ones, never between. */
static int flipper(void *arg)
{
	struct shared *s = arg;
	while (!s->go) {
		static const unsigned long long q[] = {0, ULLONG_MAX};
		static const double d[] = {0.0, -1.0 / 3};
		for (size_t k = 0; k < 2; k++) {
			child_check(mpx_value_set(s->v[0], &q[k]) == 0);
			child_check(mpx_value_set(s->v[1], &d[k]) == 0);
			child_check(mpx_array_set(s->a, 1, &q[k]) == 0);
		}
		s->ready = 1;
	}
	return 0;
}

static void test_loads_are_not_torn(void **state)
{
	(void)state;
	struct shared *s = share();
	s->v[0] = mpx_value_new('Q', 0);
	s->v[1] = mpx_value_new('d', 0);
	s->a = mpx_array_new('Q', 3, NULL);
	pid_t pid = fork_child(flipper, s);
	assert_soon(s->ready);
	for (int i = 0; i < 200000; i++) {
		unsigned long long q = 1;
		double d = 1;
		assert_int_equal(mpx_value_get(s->v[0], &q), 0);
		assert_int_equal(mpx_value_get(s->v[1], &d), 0);
		if ((q != 0 && q != ULLONG_MAX) || (d != 0.0 && d != -1.0 / 3))
			fail_msg("torn: %llx %g", q, d);
		assert_int_equal(mpx_array_get(s->a, 1, &q), 0);
		if (q != 0 && q != ULLONG_MAX)
			fail_msg("torn: %llx", q);
	}
	s->go = 1;
	assert_int_equal(wait_child(pid), 0);
	mpx_value_free(s->v[0]);
	mpx_value_free(s->v[1]);
	mpx_array_free(s->a);
	mpx_free(s);
}

/* ---- locks ------------------------------------------------------------- */

static int add_under_lock(void *arg)
{
	struct shared *s = arg;
	mpx_rlock *lv = mpx_value_lock(s->counter), *la = mpx_array_lock(s->a);
	child_check(lv && la && lv != la);
	for (int i = 0; i < ROUNDS / 2; i++) {
		child_check(mpx_rlock_acquire(lv, MPX_FOREVER) == 0);
		child_check(mpx_rlock_acquire(lv, 0) == 0); /* recursive */
		*mpx_value_ptr(s->counter, int) += 1;
		child_check(mpx_rlock_release(lv) == 0);
		child_check(mpx_rlock_release(lv) == 0);
		child_check(mpx_rlock_acquire(la, MPX_FOREVER) == 0);
		mpx_array_ptr(s->a, double)[2] += 1;
		child_check(mpx_rlock_release(la) == 0);
	}
	return 0;
}

static int hold_and_die(void *arg)
{
	struct shared *s = arg;
	child_check(mpx_rlock_acquire(mpx_value_lock(s->counter), 0) == 0);
	child_check(mpx_rlock_acquire(mpx_array_lock(s->a), 0) == 0);
	s->ready = 1;
	for (;;)
		nap();
}

static void test_locks(void **state)
{
	(void)state;
	struct shared *s = share();
	s->counter = mpx_value_new('i', 0);
	s->a = mpx_array_new('d', 5, NULL);
	mpx_rlock *locks[] = {mpx_value_lock(s->counter), mpx_array_lock(s->a)};
	assert_non_null(locks[0]);
	assert_non_null(locks[1]);
	assert_ptr_equal(mpx_value_lock(s->counter), locks[0]);
	assert_ptr_equal(mpx_array_lock(s->a), locks[1]);
	in_processes(WORKERS, add_under_lock, s);
	assert_int_equal(*mpx_value_ptr(s->counter, int), WORKERS * ROUNDS / 2);
	assert_true(mpx_array_ptr(s->a, double)[2] == WORKERS * ROUNDS / 2);

	/* They belong to value and array: not ours to free. */
	for (int i = 0; i < 2; i++) {
		mpx_rlock_free(locks[i]);
		assert_false(mpx_rlock_locked(locks[i]));
		assert_ok(mpx_rlock_acquire(locks[i], 0));
		assert_ok(mpx_rlock_release(locks[i]));
		assert_fails(mpx_rlock_release(locks[i]), EOVERFLOW);
	}

	/* The functions take no lock, whoever holds it, dead or alive. */
	pid_t pid = fork_child(hold_and_die, s);
	assert_soon(s->ready);
	for (int dead = 0; dead < 2; dead++) {
		int x = -1;
		double d = 1.25, ds[5];
		assert_ok(mpx_value_get(s->counter, &x));
		assert_ok(mpx_value_set(s->counter, &x));
		assert_int_equal(mpx_value_add(s->counter, 1), x);
		assert_ok(mpx_array_set(s->a, 1, &d));
		assert_ok(mpx_array_get(s->a, 1, &d));
		assert_ok(mpx_array_slice(s->a, 0, 5, ds));
		assert_ok(mpx_array_assign(s->a, 0, 5, ds));
		for (int i = 0; i < 2; i++) {
			assert_true(mpx_rlock_locked(locks[i]));
			if (!dead)
				assert_fails(mpx_rlock_acquire(locks[i], 0), ETIMEDOUT);
		}
		if (!dead) {
			kill(pid, SIGKILL);
			assert_int_equal(wait_child(pid), -SIGKILL);
		}
	}
	for (int i = 0; i < 2; i++) {
		assert_fails(mpx_rlock_acquire(locks[i], 30), EOWNERDEAD);
		assert_ok(mpx_rlock_consistent(locks[i]));
		assert_ok(mpx_rlock_release(locks[i]));
		assert_ok(mpx_rlock_acquire(locks[i], 0));
		assert_ok(mpx_rlock_release(locks[i]));
	}

	/* freed with their owners */
	mpx_value_free(s->counter);
	mpx_array_free(s->a);
	for (int i = 0; i < 2; i++) {
		assert_fails(mpx_rlock_acquire(locks[i], 0), EINVAL);
		assert_fails(mpx_rlock_release(locks[i]), EINVAL);
	}
	mpx_free(s);
}

/* ---- sharing ----------------------------------------------------------- */

static int use_what_comes(void *arg)
{
	struct shared *s = arg;
	struct {
		mpx_value *v;
		mpx_array *a;
	} m;
	s->ready = 1;
	child_check(mpx_queue_get(s->queue, &m, sizeof m, 60) == sizeof m);
	child_check(mpx_value_add(m.v, 0.5) == 1.5);
	child_check(mpx_array_len(m.a) == 1000 && mpx_array_typecode(m.a) == 'h');
	child_check(mpx_array_ptr(m.a, short)[999] == 7);
	short x = 8;
	child_check(mpx_array_set(m.a, 998, &x) == 0);
	/* and one of its own, for the parent to free */
	mpx_array *mine = mpx_array_new('d', 3, ((const double[]){1, 2, 3}));
	child_check(mine);
	s->mailbox = mine;
	return 0;
}

/* A process that is older than the objects, and objects that outlive their maker. */
static void test_sharing(void **state)
{
	(void)state;
	struct shared *s = share();
	s->queue = mpx_queue_new();
	mpx_process *p = mpx_process_new(.target = use_what_comes, .args = s);
	assert_ok(mpx_process_start(p));
	assert_soon(s->ready);
	struct {
		mpx_value *v;
		mpx_array *a;
	} m = {mpx_value_new('d', 1.5), mpx_array_new('h', 1000, NULL)};
	mpx_array_ptr(m.a, short)[999] = 7;
	assert_ok(mpx_queue_put(s->queue, &m, sizeof m, MPX_FOREVER));
	assert_int_equal(exit_code_of(p), 0);
	assert_true(*mpx_value_ptr(m.v, double) == 2.0);
	assert_int_equal(mpx_array_ptr(m.a, short)[998], 8);
	mpx_array *theirs = s->mailbox;
	assert_int_equal(mpx_array_len(theirs), 3);
	assert_true(mpx_array_ptr(theirs, double)[2] == 3);
	mpx_array_free(theirs);
	mpx_value_free(m.v);
	mpx_array_free(m.a);
	mpx_queue_free(s->queue);
	mpx_free(s);
	assert_ok(mpx_process_free(p));
}

/* ---- no such object ---------------------------------------------------- */

static void check_is_no_value(void *p)
{
	mpx_value *v = p;
	char buf[8] = "1234567";
	assert_nothing(mpx_value_pointer(v, 'i'), EINVAL);
	assert_nothing(mpx_value_ptr(v, char), EINVAL);
	assert_fails(mpx_value_get(v, buf), EINVAL);
	assert_fails(mpx_value_set(v, buf), EINVAL);
	assert_nothing(mpx_value_add(v, 1), EINVAL);
	assert_nothing(mpx_value_exchange(v, 1.0), EINVAL);
	assert_nothing(mpx_value_compare_exchange(v, 0, 1), EINVAL);
	assert_nothing(mpx_value_min(v, 1), EINVAL);
	assert_nothing(mpx_value_max(v, 1ULL), EINVAL);
	assert_nothing(mpx_value_lock(v), EINVAL);
	assert_string_equal(buf, "1234567");
}

static void check_is_no_array(void *p)
{
	mpx_array *a = p;
	char buf[8] = "1234567";
	assert_nothing(mpx_array_pointer(a, 'i'), EINVAL);
	assert_nothing(mpx_array_ptr(a, char), EINVAL);
	assert_nothing(mpx_array_len(a), EINVAL);
	assert_nothing(mpx_array_typecode(a), EINVAL);
	assert_fails(mpx_array_get(a, 0, buf), EINVAL);
	assert_fails(mpx_array_set(a, 0, buf), EINVAL);
	assert_fails(mpx_array_slice(a, 0, 1, buf), EINVAL);
	assert_fails(mpx_array_assign(a, 0, 1, buf), EINVAL);
	assert_fails(mpx_array_slice(a, 0, 0, buf), EINVAL);
	assert_nothing(mpx_array_lock(a), EINVAL);
	assert_string_equal(buf, "1234567");
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_value *v = mpx_value_new('i', 5);
	mpx_array *a = mpx_array_new('i', 5, NULL);
	mpx_lock *l = mpx_lock_new();
	mpx_rlock *r = mpx_rlock_new();
	mpx_queue *q = mpx_queue_new();
	struct bad_pointers bad_value, bad_array;
	bad_pointers_make(&bad_value, v);
	bad_pointers_make(&bad_array, a);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < bad_value.n; i++) {
		check_is_no_value(bad_value.p[i]);
		check_is_no_array(bad_array.p[i]);
		mpx_value_free(bad_value.p[i]);
		mpx_array_free(bad_array.p[i]);
	}
	void *others[] = {l, r, q, mpx_value_lock(v), mpx_array_lock(a), mpx_array_ptr(a, int)};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		check_is_no_value(others[i]);
		check_is_no_array(others[i]);
		mpx_value_free(others[i]);
		mpx_array_free(others[i]);
	}
	check_is_no_value(a);
	check_is_no_array(v);
	mpx_value_free((mpx_value *)(void *)a);
	mpx_array_free((mpx_array *)(void *)v);
	assert_int_equal(heap_blocks(), blocks);
	/* All live on. */
	assert_int_equal(mpx_value_add(v, 1), 5);
	assert_int_equal(mpx_array_len(a), 5);
	assert_ok(mpx_lock_acquire(l, 0));
	assert_ok(mpx_rlock_acquire(r, 0));
	assert_ok(mpx_queue_qsize(q));
	mpx_lock_free(l);
	mpx_rlock_free(r);
	mpx_queue_free(q);
	bad_pointers_done(&bad_value);
	bad_pointers_done(&bad_array);
	mpx_value_free(v);
	mpx_array_free(a);
	check_is_no_value(v);
	check_is_no_array(a);
}

static int free_both(void *arg)
{
	struct shared *s = arg;
	mpx_value_free(s->counter);
	mpx_array_free(s->a);
	return 0;
}

static void test_freeing(void **state)
{
	(void)state;
	mpx_value_free(NULL);
	mpx_array_free(NULL);
	size_t blocks = heap_blocks();
	for (size_t n = 0; n < 1000; n += 333) {
		mpx_value *v = mpx_value_new('d', 1);
		mpx_array *a = mpx_array_new('d', n, NULL);
		assert_true(heap_blocks() > blocks);
		/* freed twice: the second time is ignored */
		for (int i = 0; i < 2; i++) {
			mpx_value_free(v);
			mpx_array_free(a);
			assert_int_equal(heap_blocks(), blocks);
			check_is_no_value(v);
			check_is_no_array(a);
		}
	}
	/* by another process */
	struct shared *s = share();
	s->counter = mpx_value_new('i', 1);
	s->a = mpx_array_new('i', 100, NULL);
	assert_int_equal(run_child(free_both, s), 0);
	check_is_no_value(s->counter);
	check_is_no_array(s->a);
	mpx_value_free(s->counter);
	mpx_array_free(s->a);
	mpx_free(s);
	assert_int_equal(heap_blocks(), blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_all_characters_as_typecode),
		mpx_test(test_pointer_types),
		mpx_test(test_conversion_of_integers),
		mpx_test(test_conversion_of_reals),
		mpx_test(test_unknown_kind_of_number),
		mpx_test(test_get_and_set),
		mpx_test(test_steps_of_integers),
		mpx_test(test_steps_of_reals),
		mpx_test(test_type_of_old_values),
		mpx_test(test_adds_of_processes_are_exact),
		mpx_test(test_steps_of_processes_are_exact),
		mpx_test(test_loads_are_not_torn),
		mpx_test(test_locks),
		mpx_test(test_sharing),
		mpx_test(test_bad_pointers),
		mpx_test(test_freeing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
