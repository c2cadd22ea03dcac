/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * typecodes.h - on top of harness.h, for the tests of values and arrays: every
 * typecode with its C type, and a target run in several processes.
 */
#ifndef TYPECODES_H
#define TYPECODES_H

#include "harness.h"

#include <float.h>
#include <limits.h>
#include <wchar.h>

/* typecode, type, smallest, largest */
#define INTEGERS(X)                                                                                \
	X(c, char, CHAR_MIN, CHAR_MAX)                                                             \
	X(b, signed char, SCHAR_MIN, SCHAR_MAX)                                                    \
	X(B, unsigned char, 0, UCHAR_MAX)                                                          \
	X(u, wchar_t, WCHAR_MIN, WCHAR_MAX)                                                        \
	X(h, short, SHRT_MIN, SHRT_MAX)                                                            \
	X(H, unsigned short, 0, USHRT_MAX)                                                         \
	X(i, int, INT_MIN, INT_MAX)                                                                \
	X(I, unsigned, 0, UINT_MAX)                                                                \
	X(l, long, LONG_MIN, LONG_MAX)                                                             \
	X(L, unsigned long, 0, ULONG_MAX)                                                          \
	X(q, long long, LLONG_MIN, LLONG_MAX)                                                      \
	X(Q, unsigned long long, 0, ULLONG_MAX)
#define REALS(X)                                                                                   \
	X(f, float, -FLT_MAX, FLT_MAX)                                                             \
	X(d, double, -DBL_MAX, DBL_MAX)
#define ALL(X) INTEGERS(X) REALS(X)

#define CODE(code) ((#code)[0])

static const char typecodes[] = "cbBuhHiIlLqQfd";

static inline size_t size_of(char typecode)
{
#define SIZE(code, type, min, max)                                                                 \
	if (typecode == CODE(code))                                                                \
		return sizeof(type);
	ALL(SIZE)
#undef SIZE
	return 0;
}

/* Are these two typecodes names of one C type? (u is wchar_t, which is another's.) */
static inline bool same_type(char a, char b)
{
	if (a == 'u')
		a = MPX_TYPECODE(wchar_t);
	if (b == 'u')
		b = MPX_TYPECODE(wchar_t);
	return a == b;
}

static inline int exit_code_of(mpx_process *p)
{
	int code = -1000;
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_ok(mpx_process_exitcode(p, &code));
	return code;
}

/* The same target in so many processes; all must succeed. */
static inline void in_processes(int workers, mpx_target *target, void *args)
{
	mpx_process *p[16];
	for (int i = 0; i < workers; i++) {
		assert_non_null(p[i] = mpx_process_new(.target = target, .args = args));
		assert_ok(mpx_process_start(p[i]));
	}
	for (int i = 0; i < workers; i++)
		assert_int_equal(exit_code_of(p[i]), 0);
	for (int i = 0; i < workers; i++)
		assert_ok(mpx_process_free(p[i]));
}

#endif
