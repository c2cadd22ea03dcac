/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/value.h - multiprocessing.Value, Array, RawValue and RawArray: numbers, and
 * arrays of anything, in shared memory.
 *
 *     mpx_value *v = mpx_value_new('i', 0);
 *     mpx_array *a = mpx_array_new('d', 10, NULL);
 *
 *     mpx_value_add(v, 1);                         atomic, from any process
 *     *mpx_value_ptr(v, int) += 1;                 not atomic: hold the lock
 *     mpx_array_ptr(a, double)[3] = 0.5;
 *
 *     mpx_array *points = mpx_array_of(struct point, 10, NULL);
 *     mpx_array_ptr(points, struct point)[3].x = 0.5;
 *
 * Typecodes are those of Python's array module and the C types behind them:
 *
 *     c char         b signed char   B unsigned char    u wchar_t
 *     h short        H unsigned short
 *     i int          I unsigned int  l long             L unsigned long
 *     q long long    Q unsigned long long
 *     f float        d double
 *
 * A value, or an array's element of 1, 2, 4 or 8 bytes, is never torn, whoever is
 * killed while he stores it: it has its old contents or its new ones. Read-modify-write
 * is atomic only through the functions below, or under the lock that each value and
 * array has, as in Python (where `v.value += 1` without the lock loses counts). What
 * takes several stores (a slice, a string, a larger element) belongs under that lock: if
 * somebody dies half way, the next one to acquire it is told, by EOWNERDEAD.
 *
 * Python's `.value` and `[i]` take the lock for each access: that is _read and _write
 * here. _get, _set, _slice and _assign leave it alone.
 *
 * Where there is to be no lock: mpx_raw_value_new and mpx_raw_array_new. Where several
 * are to share one (Python's lock=): make them raw, then mpx_value_synchronized.
 *
 * https://docs.python.org/3/library/multiprocessing.html#shared-ctypes-objects
 */
#ifndef MPX_VALUE_H
#define MPX_VALUE_H

#include <mpx/sync.h>
#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_value mpx_value;
typedef struct mpx_array mpx_array;

/** A number of any arithmetic type, as the functions below take it. */
typedef struct mpx_number {
	char kind; /**< 'i': integer in i, 'u': integer in u, 'd': real in d */
	union {
		long long i;
		unsigned long long u;
		double d;
	};
} mpx_number;

/* The three ways to make one; MPX_NUMBER(x) picks by the type of x. */
static inline mpx_number mpx_number_i(long long x)
{
	mpx_number n;
	n.kind = 'i';
	n.i = x;
	return n;
}

static inline mpx_number mpx_number_u(unsigned long long x)
{
	mpx_number n;
	n.kind = 'u';
	n.u = x;
	return n;
}

static inline mpx_number mpx_number_d(double x)
{
	mpx_number n;
	n.kind = 'd';
	n.d = x;
	return n;
}

/* And what is in one. */
static inline long long mpx_number_as_i(mpx_number n)
{
	return n.i;
}

static inline unsigned long long mpx_number_as_u(mpx_number n)
{
	return n.u;
}

static inline double mpx_number_as_d(mpx_number n)
{
	return n.d;
}

#ifndef __cplusplus
/* clang-format off */
#define MPX_NUMBER(x)                                                         \
	_Generic((x), float: mpx_number_d, double: mpx_number_d,              \
		long double: mpx_number_d,                                    \
		unsigned long: mpx_number_u, unsigned long long: mpx_number_u, \
		default: mpx_number_i)(x)
/* The member of a mpx_number that corresponds to the type of x. */
#define MPX_NUMBER_LIKE(x, number)                                            \
	_Generic((x), float: mpx_number_as_d, double: mpx_number_as_d,        \
		long double: mpx_number_as_d,                                 \
		unsigned long: mpx_number_as_u, unsigned long long: mpx_number_as_u, \
		default: mpx_number_as_i)(number)
/* The typecode of a type; '\0' for any other type. */
#define MPX_TYPECODE(T)                                                       \
	_Generic((T){0}, char: 'c', signed char: 'b', unsigned char: 'B',     \
		short: 'h', unsigned short: 'H', int: 'i', unsigned: 'I',     \
		long: 'l', unsigned long: 'L', long long: 'q',                \
		unsigned long long: 'Q', float: 'f', double: 'd', default: '\0')
/* The typecode that a pointer points to: '*' for void *, '\0' for any other. */
#define MPX_POINTEE(p)                                                        \
	_Generic((p), int: '*', long: '*', void *: '*', const void *: '*',    \
		char *: 'c', const char *: 'c',                               \
		signed char *: 'b', const signed char *: 'b',                 \
		unsigned char *: 'B', const unsigned char *: 'B',             \
		short *: 'h', const short *: 'h',                             \
		unsigned short *: 'H', const unsigned short *: 'H',           \
		int *: 'i', const int *: 'i', unsigned *: 'I', const unsigned *: 'I', \
		long *: 'l', const long *: 'l',                               \
		unsigned long *: 'L', const unsigned long *: 'L',             \
		long long *: 'q', const long long *: 'q',                     \
		unsigned long long *: 'Q', const unsigned long long *: 'Q',   \
		float *: 'f', const float *: 'f', double *: 'd', const double *: 'd', \
		default: '\0')
/* clang-format on */
#endif

/**
 * Value(typecode, init): init may be of any arithmetic type and is converted:
 * ('d', 1) is 1.0. Integers wrap, as in Python. A real given for an integer
 * typecode is truncated as in C, ERANGE if it does not fit; a long double is rounded to
 * a double first. Free with mpx_value_free. Fails with EINVAL (unknown typecode),
 * ERANGE, ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_value *mpx_value_create(char typecode, mpx_number init);
#ifndef __cplusplus
#define mpx_value_new(typecode, init) mpx_value_create((typecode), MPX_NUMBER(init))
#endif

/**
 * RawValue(typecode, init): the same without a lock.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_value *mpx_raw_value_create(char typecode, mpx_number init);
#ifndef __cplusplus
#define mpx_raw_value_new(typecode, init) mpx_raw_value_create((typecode), MPX_NUMBER(init))
#endif

/**
 * sharedctypes.copy(v): a new value with the same typecode and contents. It has a
 * lock of its own if v has one, and none if v is raw. Takes no lock. NULL with
 * EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_value *mpx_value_copy(mpx_value *v);

/**
 * mpx_value_ptr(v, int) is an int * to the value; NULL with EINVAL if that is
 * not the typecode's type (int64_t is long on most 64-bit systems: 'l', not 'q'). In
 * C++: (int *)mpx_value_pointer(v, 'i').
 *
 * Threads: safe; what you do through the pointer is yours to synchronise.
 * Fork: the pointer is good in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void *mpx_value_pointer(mpx_value *v, char typecode);
#ifndef __cplusplus
#define mpx_value_ptr(v, T) ((T *)mpx_value_pointer((v), MPX_TYPECODE(T)))
#endif

/** The typecode; '\0' with EINVAL for what is no value.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API char mpx_value_typecode(const mpx_value *v);

/**
 * Value.value: an atomic load into, or store from, a variable of the typecode's
 * type. Takes no lock. Fails with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_value_get(mpx_value *v, void *out);
/** The store of the pair above.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_value_set(mpx_value *v, const void *in);

/**
 * Value.value as Python has it: the load, under the value's lock. So it does not see
 * what somebody who holds the lock is in the middle of. Fails with ETIMEDOUT; with
 * EOWNERDEAD if a holder of the lock has died inside and nobody has said since that
 * all is well: it has been loaded, but may be wrong; with EINVAL (also: v is raw).
 *
 * Threads: safe; who holds the lock already, may.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_value_read(mpx_value *v, void *out, double timeout);
/** The store, likewise. EOWNERDEAD: it has been stored.
 *
 * Threads: safe; who holds the lock already, may.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_value_write(mpx_value *v, const void *in, double timeout);

typedef enum mpx_value_op {
	MPX_VALUE_ADD,
	MPX_VALUE_EXCHANGE,
	MPX_VALUE_COMPARE_EXCHANGE,
	MPX_VALUE_MIN,
	MPX_VALUE_MAX
} mpx_value_op;

/**
 * One atomic step on the value; all are sequentially consistent. Use the macros:
 *
 *     old = mpx_value_add(v, x)
 *     old = mpx_value_exchange(v, x)
 *     old = mpx_value_compare_exchange(v, expected, x)   stored if old == expected
 *     old = mpx_value_min(v, x)                          the smaller one stays
 *     old = mpx_value_max(v, x)
 *
 * Each returns the value before, as long long, unsigned long long or double
 * after the type of x (so say 1.0 to add to a 'd'). x is converted as by
 * mpx_value_new; integers wrap. On an error the value stays, errno is set and 0 is
 * returned: EINVAL, ERANGE. errno is untouched otherwise.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_number mpx_value_update(mpx_value *v, mpx_value_op op, mpx_number x,
				    mpx_number expected);
#ifndef __cplusplus
#define mpx_value_update_like(v, op, x, expected)                                                  \
	MPX_NUMBER_LIKE(x, mpx_value_update((v), (op), MPX_NUMBER(x), MPX_NUMBER(expected)))
#define mpx_value_add(v, x) mpx_value_update_like(v, MPX_VALUE_ADD, x, 0)
#define mpx_value_exchange(v, x) mpx_value_update_like(v, MPX_VALUE_EXCHANGE, x, 0)
#define mpx_value_compare_exchange(v, expected, x)                                                 \
	mpx_value_update_like(v, MPX_VALUE_COMPARE_EXCHANGE, x, expected)
#define mpx_value_min(v, x) mpx_value_update_like(v, MPX_VALUE_MIN, x, 0)
#define mpx_value_max(v, x) mpx_value_update_like(v, MPX_VALUE_MAX, x, 0)
#endif

/**
 * Value.get_lock(): belongs to the value, unless mpx_value_synchronized gave it. NULL
 * with EINVAL, also if v is raw.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_rlock *mpx_value_lock(mpx_value *v);

/**
 * sharedctypes.synchronized(v, lock), for all processes, once: a raw value gets an
 * existing lock, which several values and arrays may share; mpx_value_lock, _read and
 * _write use it from now on. It stays yours: free it when the value has been freed.
 * Fails with EBUSY (v has a lock), EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_value_synchronized(mpx_value *v, mpx_rlock *lock);

/**
 * Frees it, and its own lock; NULL is fine, and what is no value is left alone.
 *
 * Threads: nobody else may be using v.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_value_free(mpx_value *v);

/**
 * Array(typecode, n) if init is NULL: n zeros; Array(typecode, init) otherwise:
 * a copy of the n elements at init, which must be of the typecode's type (the
 * macro sees to it: EINVAL for any other pointer than void *; a two-dimensional
 * array is such another). n may be 0. Free with mpx_array_free. Fails with EINVAL
 * (unknown typecode, size overflow, wrong init), ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_array *mpx_array_create(char typecode, size_t n, const void *init, char init_typecode);
#ifndef __cplusplus
#define mpx_array_new(typecode, n, ...)                                                            \
	mpx_array_create((typecode), (n), (const void *)(__VA_ARGS__), MPX_POINTEE(__VA_ARGS__))
#endif

/**
 * RawArray(typecode, n or init): the same without a lock.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_array *mpx_raw_array_create(char typecode, size_t n, const void *init,
					char init_typecode);
#ifndef __cplusplus
#define mpx_raw_array_new(typecode, n, ...)                                                        \
	mpx_raw_array_create((typecode), (n), (const void *)(__VA_ARGS__), MPX_POINTEE(__VA_ARGS__))
#endif

/**
 * Array(T, n or init) for any type T, such as a struct (Python: a ctypes.Structure):
 *
 *     mpx_array *a = mpx_array_of(struct point, 3, NULL);
 *
 * The compiler complains about an init that does not point to T. For a type that has a
 * typecode it is mpx_array_new. An array of 1 is Python's Value(T). T holds no pointers
 * but to what all processes share. In C++: mpx_array_create_of('\0', sizeof(point), ...).
 * Fails with EINVAL (size 0, size overflow, a typecode of another size), ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_array *mpx_array_create_of(char typecode, size_t size, size_t n, const void *init);
/** RawArray(T, n or init): the same without a lock.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_array *mpx_raw_array_create_of(char typecode, size_t size, size_t n, const void *init);
#ifndef __cplusplus
#define MPX_ARRAY_INIT(T, ...) (1 ? (__VA_ARGS__) : (const T *)0)
#define mpx_array_of(T, n, ...)                                                                    \
	mpx_array_create_of(MPX_TYPECODE(T), sizeof(T), (n), MPX_ARRAY_INIT(T, __VA_ARGS__))
#define mpx_raw_array_of(T, n, ...)                                                                \
	mpx_raw_array_create_of(MPX_TYPECODE(T), sizeof(T), (n), MPX_ARRAY_INIT(T, __VA_ARGS__))
#endif

/**
 * sharedctypes.copy(a): a new array with the same elements. It has a lock of its own if
 * a has one, and none if a is raw. Takes no lock: hold mpx_array_lock to have it of one
 * moment. NULL with EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_array *mpx_array_copy(mpx_array *a);

/**
 * mpx_array_ptr(a, int) is an int * to the first element (aligned to 64 bytes);
 * NULL with EINVAL if that is not the typecode's type. mpx_array_ptr(a, struct point),
 * where the array is one of structs: NULL with EINVAL if their sizes differ.
 * mpx_array_pointer(a, code) is for arrays that have a typecode.
 *
 * Threads: safe; what you do through the pointer is yours to synchronise.
 * Fork: the pointer is good in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void *mpx_array_pointer_of(mpx_array *a, char typecode, size_t size);
/** The same without a size.
 *
 * Threads: safe; what you do through the pointer is yours to synchronise.
 * Fork: the pointer is good in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void *mpx_array_pointer(mpx_array *a, char typecode);
#ifndef __cplusplus
#define mpx_array_ptr(a, T) ((T *)mpx_array_pointer_of((a), MPX_TYPECODE(T), sizeof(T)))
#endif

/** len(a), in elements. 0 with EINVAL for what is no array.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_array_len(const mpx_array *a);

/** Bytes of one element. 0 with EINVAL for what is no array.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_array_itemsize(const mpx_array *a);

/** The typecode; '\0' if the elements have none, and with EINVAL for what is no array.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API char mpx_array_typecode(const mpx_array *a);

/**
 * a[i]: a load into, or store from, a variable of the element's type; atomic if that
 * has 1, 2, 4 or 8 bytes. Takes no lock. Fails with ERANGE (i is not below the length),
 * EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_get(mpx_array *a, size_t i, void *out);
/** The store of the pair above.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_set(mpx_array *a, size_t i, const void *in);

/**
 * a[first:first+n]: copies n elements out. Takes no lock: hold mpx_array_lock to
 * have it of one moment. Fails with ERANGE (not wholly inside; nothing copied),
 * EINVAL.
 *
 * Threads: safe, under the array's lock.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_slice(mpx_array *a, size_t first, size_t n, void *out);

/** a[first:first+n] = in: the other direction, likewise.
 *
 * Threads: safe, under the array's lock.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_assign(mpx_array *a, size_t first, size_t n, const void *in);

/**
 * a[first:first+n] as Python has it: copied out under the array's lock. Fails as
 * mpx_array_slice does, and with ETIMEDOUT; with EOWNERDEAD if a holder of the lock has
 * died inside and nobody has said since that all is well: it has been copied, but may be
 * half of what it should be; with EINVAL also if a is raw.
 *
 * Threads: safe; who holds the lock already, may.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_array_read(mpx_array *a, size_t first, size_t n, void *out, double timeout);

/** a[first:first+n] = in: the other direction, likewise. Who is killed inside leaves
 * EOWNERDEAD to the next one. EOWNERDEAD from here: it has been copied.
 *
 * Threads: safe; who holds the lock already, may.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_array_write(mpx_array *a, size_t first, size_t n, const void *in, double timeout);

/**
 * Array('c', n).value: copies the text up to the first NUL, or all n characters where
 * there is none, to buf and ends it there with a NUL; returns its length. (Python's .raw
 * is mpx_array_slice, mpx_array_assign or mpx_array_ptr(a, char).) Takes no lock. Fails
 * with EMSGSIZE (no room in cap for text and NUL), EINVAL (also: not typecode 'c').
 *
 * Threads: safe, under the array's lock.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_array_str(mpx_array *a, char *buf, size_t cap);

/** Array.value = text: the other direction. The NUL is stored if there is room for it,
 * and what is behind it stays. EMSGSIZE: text is longer than the array; nothing is
 * stored.
 *
 * Threads: safe, under the array's lock.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_set_str(mpx_array *a, const char *text);

/**
 * Array.get_lock(): belongs to the array, unless mpx_array_synchronized gave it. NULL
 * with EINVAL, also if a is raw.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_rlock *mpx_array_lock(mpx_array *a);

/** As mpx_value_synchronized.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_array_synchronized(mpx_array *a, mpx_rlock *lock);

/**
 * Frees it, and its own lock; NULL is fine, and what is no array is left alone.
 *
 * Threads: nobody else may be using a.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_array_free(mpx_array *a);

#ifdef __cplusplus
}
#endif

#endif
