/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sharedctypes.c - mpx/value.h: raw values and arrays, lent locks, accesses under
 * the lock, arrays of structs, strings, copies. CPython's behaviours:
 *
 *   - _TestValue: test_value and test_rawvalue (what a child stores, the parent sees),
 *     test_getobj_getlock (a lock of its own; an existing one; none, and then there is
 *     no get_lock; what is no lock is refused)
 *   - _TestArray: test_array and test_rawarray (running sums by a child; items, slices),
 *     test_array_from_size (zeros, also where there was something before),
 *     test_array_accepts_long (see test_array_too_large), test_getobj_getlock_obj
 *   - _TestSharedCTypes: test_sharedctypes and test_synchronize (numbers, a struct, an
 *     array and a string doubled by a child), test_copy
 *
 * And: a death inside is told; single elements are whole, whoever is killed.
 */
#define _POSIX_C_SOURCE 200809L

#include "typecodes.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SOON 30.0

struct point {
	double x;
	int y;
	char name[11];
};

struct shared {
	mpx_value *v[sizeof typecodes];
	mpx_array *a, *points, *text;
	mpx_rlock *lock;
	_Atomic int ready, go;
};

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static void in_child(mpx_target *target, struct shared *s)
{
	in_processes(1, target, s);
}

/* ---- values ------------------------------------------------------------ */

static int store_seven(void *arg)
{
	struct shared *s = arg;
	for (size_t k = 0; typecodes[k]; k++) {
		child_check(mpx_value_typecode(s->v[k]) == typecodes[k]);
		child_check(mpx_value_exchange(s->v[k], 7) == 65);
	}
	return 0;
}

static void test_value_and_rawvalue(void **state)
{
	(void)state;
	struct shared *s = share();
	for (int raw = 0; raw < 2; raw++) {
		size_t k = 0;
		for (; typecodes[k]; k++) {
			s->v[k] = raw ? mpx_raw_value_new(typecodes[k], 65)
				      : mpx_value_new(typecodes[k], 65);
			assert_non_null(s->v[k]);
		}
		in_child(store_seven, s);
		k = 0;
#define CHECK(code, type, min, max)                                                                \
	{                                                                                          \
		type x = 0;                                                                        \
		assert_ok(mpx_value_get(s->v[k], &x));                                             \
		assert_true(x == (type)7 && *mpx_value_ptr(s->v[k], type) == (type)7);             \
		mpx_value_free(s->v[k++]);                                                         \
	}
		ALL(CHECK)
#undef CHECK
	}
	mpx_free(s);
	assert_nothing(mpx_raw_value_new('?', 1), EINVAL);
	assert_nothing(mpx_raw_value_new('b', 1e9), ERANGE);
	assert_nothing(mpx_value_typecode(NULL), EINVAL);
}

static void test_locks_of_values(void **state)
{
	(void)state;
	size_t blocks = heap_blocks();
	mpx_rlock *lock = mpx_rlock_new();
	mpx_lock *no_rlock = mpx_lock_new();
	mpx_value *own = mpx_value_new('i', 5), *raw = mpx_raw_value_new('i', 5);
	mpx_value *third = mpx_raw_value_new('d', 5);
	int x = 6;

	assert_non_null(mpx_value_lock(own));
	assert_nothing(mpx_value_lock(raw), EINVAL);
	assert_fails(mpx_value_read(raw, &x, 0), EINVAL);
	assert_fails(mpx_value_write(raw, &x, 0), EINVAL);
	assert_int_equal(x, 6);
	assert_int_equal(*mpx_value_ptr(raw, int), 5);

	assert_fails(mpx_value_synchronized(own, lock), EBUSY);
	assert_fails(mpx_value_synchronized(raw, NULL), EINVAL);
	assert_fails(mpx_value_synchronized(raw, (void *)no_rlock), EINVAL);
	assert_fails(mpx_value_synchronized(NULL, lock), EINVAL);
	assert_nothing(mpx_value_lock(raw), EINVAL);
	assert_ok(mpx_value_synchronized(raw, lock));
	assert_ok(mpx_value_synchronized(third, lock));
	assert_fails(mpx_value_synchronized(raw, lock), EBUSY);
	assert_ptr_equal(mpx_value_lock(raw), lock);
	assert_ptr_equal(mpx_value_lock(third), lock);

	/* The lender frees it, nobody else. */
	mpx_value_free(raw);
	assert_ok(mpx_rlock_acquire(lock, 0));
	assert_ok(mpx_rlock_release(lock));
	assert_ok(mpx_value_read(third, (double[1]){0}, 0));
	mpx_rlock_free(lock);
	assert_fails(mpx_value_read(third, (double[1]){0}, 0), EINVAL);
	mpx_value_free(third);
	mpx_value_free(own);
	mpx_lock_free(no_rlock);
	assert_int_equal(heap_blocks(), blocks);
}

static int hold_lock(void *arg)
{
	struct shared *s = arg;
	child_check(mpx_rlock_acquire(s->lock, SOON) == 0);
	s->ready = 1;
	while (!s->go)
		nap();
	return mpx_rlock_release(s->lock);
}

/* read and write wait for the lock, get and set do not. */
static void test_access_under_the_lock(void **state)
{
	(void)state;
	struct shared *s = share();
	s->lock = mpx_rlock_new();
	mpx_value *v = s->v[0] = mpx_raw_value_new('i', 5);
	mpx_array *a = s->a = mpx_raw_array_new('h', 4, ((short[]){1, 2, 3, 4}));
	assert_ok(mpx_value_synchronized(v, s->lock));
	assert_ok(mpx_array_synchronized(a, s->lock));
	int x = 0, y = 9;
	short h[4] = {0}, g[2] = {7, 8};

	for (int held = 0; held < 2; held++) { /* by ourselves, too */
		assert_ok(mpx_value_read(v, &x, 0));
		assert_int_equal(x, 5 + 4 * held);
		assert_ok(mpx_value_write(v, &y, 0));
		assert_ok(mpx_array_read(a, 1, 3, h, 0));
		assert_int_equal(h[0], held ? 7 : 2);
		assert_ok(mpx_array_write(a, 1, 2, g, 0));
		assert_int_equal(mpx_rlock_locked(s->lock), held);
		assert_ok(held ? mpx_rlock_release(s->lock) : mpx_rlock_acquire(s->lock, 0));
	}
	assert_false(mpx_rlock_locked(s->lock));
	assert_ok(mpx_array_read(a, 0, 4, h, 0));
	assert_memory_equal(h, ((short[]){1, 7, 8, 4}), sizeof h);

	assert_fails(mpx_value_read(v, NULL, 0), EINVAL);
	assert_fails(mpx_value_write(v, NULL, 0), EINVAL);
	assert_fails(mpx_value_read(v, &x, (double)NAN), EINVAL);
	assert_fails(mpx_value_read(NULL, &x, 0), EINVAL);
	assert_fails(mpx_value_write(NULL, &x, 0), EINVAL);
	assert_fails(mpx_array_read(a, 0, 5, h, 0), ERANGE);
	assert_fails(mpx_array_write(a, 4, 1, h, 0), ERANGE);
	assert_fails(mpx_array_read(a, 0, 1, NULL, 0), EINVAL);
	assert_fails(mpx_array_write(a, 0, 1, NULL, 0), EINVAL);
	assert_fails(mpx_array_write(a, 0, 1, h, (double)NAN), EINVAL);
	assert_fails(mpx_array_read(NULL, 0, 1, h, 0), EINVAL);

	pid_t pid = fork_child(hold_lock, s);
	assert_soon(s->ready);
	assert_fails(mpx_value_read(v, &x, 0), ETIMEDOUT);
	assert_fails(mpx_value_write(v, &x, 0.01), ETIMEDOUT);
	assert_fails(mpx_array_read(a, 0, 1, h, 0.01), ETIMEDOUT);
	assert_fails(mpx_array_write(a, 0, 1, h, 0), ETIMEDOUT);
	assert_ok(mpx_value_get(v, &x));
	assert_ok(mpx_array_get(a, 0, h));
	s->go = 1;
	assert_ok(mpx_value_read(v, &x, SOON));
	assert_int_equal(wait_child(pid), 0);

	/* Killed inside: told, again and again, until somebody says that all is well. */
	s->ready = s->go = 0;
	pid = fork_child(hold_lock, s);
	assert_soon(s->ready);
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
	x = 0;
	assert_fails(mpx_value_read(v, &x, SOON), EOWNERDEAD);
	assert_int_equal(x, 9); /* all the same */
	assert_fails(mpx_array_write(a, 0, 2, g, 0), EOWNERDEAD);
	h[0] = 0;
	assert_fails(mpx_array_read(a, 0, 1, h, 0), EOWNERDEAD);
	assert_int_equal(h[0], 7);
	x = 3;
	assert_fails(mpx_value_write(v, &x, 0), EOWNERDEAD);
	assert_int_equal(*mpx_value_ptr(v, int), 3);
	assert_false(mpx_rlock_locked(s->lock));
	assert_fails(mpx_rlock_acquire(s->lock, 0), EOWNERDEAD);
	assert_ok(mpx_rlock_consistent(s->lock));
	assert_ok(mpx_rlock_release(s->lock));
	assert_ok(mpx_value_read(v, &x, 0));
	mpx_value_free(v);
	mpx_array_free(a);
	mpx_rlock_free(s->lock);
	mpx_free(s);
}

/* ---- arrays ------------------------------------------------------------ */

static const int sequence[] = {680, 626, 934, 821, 150, 233, 548, 982, 714, 831};
#define N_SEQUENCE (sizeof sequence / sizeof *sequence)

static int running_sums(void *arg)
{
	struct shared *s = arg;
	int *a = mpx_array_ptr(s->a, int);
	child_check(a && mpx_array_len(s->a) == N_SEQUENCE);
	for (size_t i = 1; i < N_SEQUENCE; i++)
		a[i] += a[i - 1];
	return 0;
}

static void test_array_and_rawarray(void **state)
{
	(void)state;
	struct shared *s = share();
	for (int raw = 0; raw < 2; raw++) {
		int sums[N_SEQUENCE], x = 0, four[4] = {1, 2, 3, 4};
		s->a = raw ? mpx_raw_array_new('i', N_SEQUENCE, sequence)
			   : mpx_array_new('i', N_SEQUENCE, sequence);
		assert_non_null(s->a);
		assert_int_equal(mpx_array_itemsize(s->a), sizeof(int));
		assert_memory_equal(mpx_array_ptr(s->a, int), sequence, sizeof sequence);
		assert_ok(mpx_array_assign(s->a, 4, 4, four));
		assert_ok(mpx_array_slice(s->a, 3, 6, sums));
		assert_memory_equal(sums, ((int[]){821, 1, 2, 3, 4, 714}), 6 * sizeof(int));
		assert_ok(mpx_array_assign(s->a, 0, N_SEQUENCE, sequence));
		in_child(running_sums, s);
		for (size_t i = 0, sum = 0; i < N_SEQUENCE; i++) {
			sum += (size_t)sequence[i];
			assert_ok(mpx_array_get(s->a, i, &x));
			assert_int_equal(x, sum);
		}
		if (raw) {
			assert_nothing(mpx_array_lock(s->a), EINVAL);
			assert_fails(mpx_array_read(s->a, 0, 1, sums, 0), EINVAL);
			assert_fails(mpx_array_write(s->a, 0, 1, sums, 0), EINVAL);
		} else {
			assert_ok(mpx_array_read(s->a, 0, 1, sums, 0));
		}
		mpx_array_free(s->a);
	}
	mpx_free(s);
	assert_nothing(mpx_raw_array_new('?', 1, NULL), EINVAL);
	assert_nothing(mpx_raw_array_new('d', 10, sequence), EINVAL);
	assert_nothing(mpx_raw_array_new('d', SIZE_MAX, NULL), EINVAL);
	assert_nothing(mpx_array_itemsize(NULL), EINVAL);
}

static void test_raw_array_from_size(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		mpx_array *a = mpx_raw_array_new('i', 10, NULL);
		for (int i = 0; i < 10; i++)
			assert_int_equal(mpx_array_ptr(a, int)[i], 0);
		assert_ok(mpx_array_assign(a, 0, 10, sequence));
		mpx_array_free(a);
	}
}

static void test_locks_of_arrays(void **state)
{
	(void)state;
	size_t blocks = heap_blocks();
	mpx_rlock *lock = mpx_rlock_new();
	mpx_array *own = mpx_array_new('i', 3, NULL), *raw = mpx_raw_array_new('i', 0, NULL);
	mpx_array *points = mpx_raw_array_of(struct point, 3, NULL);

	assert_fails(mpx_array_synchronized(own, lock), EBUSY);
	assert_fails(mpx_array_synchronized(raw, (void *)own), EINVAL);
	assert_fails(mpx_array_synchronized(NULL, lock), EINVAL);
	assert_ok(mpx_array_synchronized(raw, lock));
	assert_fails(mpx_array_synchronized(raw, lock), EBUSY);
	/* another one's own lock is a lock, too */
	assert_ok(mpx_array_synchronized(points, mpx_array_lock(own)));
	assert_ptr_equal(mpx_array_lock(points), mpx_array_lock(own));
	assert_ptr_equal(mpx_array_lock(raw), lock);
	mpx_array_free(points);
	mpx_array_free(raw);
	assert_ok(mpx_rlock_acquire(mpx_array_lock(own), 0));
	assert_ok(mpx_rlock_release(mpx_array_lock(own)));
	assert_ok(mpx_rlock_acquire(lock, 0));
	assert_ok(mpx_rlock_release(lock));
	mpx_array_free(own);
	mpx_rlock_free(lock);
	assert_int_equal(heap_blocks(), blocks);
}

/* ---- structs ----------------------------------------------------------- */

static void test_arrays_of_structs(void **state)
{
	(void)state;
	static const struct point init[3] = {{1.5, 2, "one"}, {2.5, 3, "two"}, {3.5, 4, "three"}};
	typedef int pair[2];
	struct point p = {0};
	mpx_array *a = mpx_array_of(struct point, 3, init);
	mpx_array *zeros = mpx_array_of(struct point, 2, NULL);
	mpx_array *raw = mpx_raw_array_of(struct point, 3, (const void *)init);

	assert_int_equal(mpx_array_len(a), 3);
	assert_int_equal(mpx_array_itemsize(a), sizeof(struct point));
	errno = 0;
	assert_int_equal(mpx_array_typecode(a), '\0');
	assert_int_equal(errno, 0);
	assert_non_null(mpx_array_lock(a));
	assert_nothing(mpx_array_lock(raw), EINVAL);
	assert_string_equal(mpx_array_ptr(a, struct point)[2].name, "three");
	assert_true(mpx_array_ptr(zeros, struct point)[1].x == 0);
	assert_memory_equal(mpx_array_ptr(raw, struct point), init, sizeof init);

	assert_ok(mpx_array_get(a, 1, &p));
	assert_memory_equal(&p, &init[1], sizeof p);
	p.y = 30;
	assert_ok(mpx_array_set(a, 1, &p));
	assert_int_equal(mpx_array_ptr(a, struct point)[1].y, 30);
	assert_fails(mpx_array_get(a, 3, &p), ERANGE);
	assert_fails(mpx_array_set(a, 3, &p), ERANGE);
	struct point two[2];
	assert_ok(mpx_array_slice(a, 1, 2, two));
	assert_int_equal(two[0].y, 30);
	assert_int_equal(two[1].y, 4);
	assert_fails(mpx_array_slice(a, 2, 2, two), ERANGE);
	assert_ok(mpx_array_assign(zeros, 0, 2, two));
	assert_ok(mpx_array_read(zeros, 0, 1, &p, 0));
	assert_int_equal(p.y, 30);

	/* whose pointer it is: by size, and no number's */
	struct other {
		char c[sizeof(struct point) + 1];
	};
	assert_nothing(mpx_array_ptr(a, struct other), EINVAL);
	assert_nothing(mpx_array_ptr(a, int), EINVAL);
	assert_nothing(mpx_array_pointer(a, 'i'), EINVAL);
	assert_nothing(mpx_array_pointer(a, '\0'), EINVAL);
	mpx_array *pairs = mpx_array_of(pair, 2, NULL);
	assert_int_equal(mpx_array_itemsize(pairs), sizeof(pair));
	assert_non_null(mpx_array_ptr(pairs, pair));
	assert_nothing(mpx_array_ptr(pairs, long long), EINVAL);
	mpx_array_free(pairs);

	/* a type that has a typecode gets it */
	mpx_array *ints = mpx_array_of(int, 10, sequence);
	assert_int_equal(mpx_array_typecode(ints), 'i');
	assert_int_equal(mpx_array_ptr(ints, int)[9], 831);
	assert_nothing(mpx_array_ptr(ints, struct point), EINVAL);
	mpx_array_free(ints);

	assert_nothing(mpx_array_create_of('\0', 0, 3, NULL), EINVAL);
	assert_nothing(mpx_array_create_of('i', 8, 3, NULL), EINVAL);
	assert_nothing(mpx_array_create_of('?', 4, 3, NULL), EINVAL);
	assert_nothing(mpx_raw_array_create_of('?', 4, 3, NULL), EINVAL);
	assert_nothing(mpx_array_create_of('\0', SIZE_MAX / 2, 3, NULL), EINVAL);
	assert_nothing(mpx_array_create_of('\0', SIZE_MAX, 1, NULL), EINVAL);
	assert_nothing(mpx_raw_array_create_of('\0', (size_t)1 << 50, 64, NULL), ENOMEM);
	mpx_array_free(a);
	mpx_array_free(zeros);
	mpx_array_free(raw);
}

/* Every size, with every slice, between guards. */
static void test_elements_of_every_size(void **state)
{
	(void)state;
	enum { N = 9 };
	for (size_t size = 1; size <= 20; size++) {
		unsigned char in[N * 20], out[N * 20 + 2], whole[N * 20];
		mpx_array *a = mpx_array_create_of('\0', size, N, NULL);
		for (size_t i = 0; i < sizeof in; i++)
			in[i] = (unsigned char)(i * 7 + size);
		assert_ok(mpx_array_assign(a, 0, N, in));
		for (size_t first = 0; first <= N; first++) {
			for (size_t n = 0; first + n <= N; n++) {
				memset(out, 0xa5, sizeof out);
				/* + 1: variables need not be aligned */
				assert_ok(mpx_array_slice(a, first, n, out + 1));
				assert_memory_equal(out + 1, in + first * size, n * size);
				assert_int_equal(out[0], 0xa5);
				assert_int_equal(out[1 + n * size], 0xa5);
				memset(whole, 0, sizeof whole);
				assert_ok(mpx_array_assign(a, 0, N, whole));
				assert_ok(mpx_array_assign(a, first, n, out + 1));
				memcpy(whole + first * size, in + first * size, n * size);
				assert_memory_equal(mpx_array_pointer_of(a, '\0', size), whole,
						    N * size);
				assert_ok(mpx_array_assign(a, 0, N, in));
			}
		}
		mpx_array_free(a);
	}
}

/* ---- strings ----------------------------------------------------------- */

static void test_strings(void **state)
{
	(void)state;
	char buf[12];
	mpx_array *a = mpx_array_new('c', 10, NULL);

	memset(buf, 'x', sizeof buf);
	assert_int_equal(mpx_array_str(a, buf, 1), 0);
	assert_string_equal(buf, "");
	assert_fails(mpx_array_str(a, buf, 0), EMSGSIZE);
	assert_ok(mpx_array_set_str(a, "hello"));
	assert_int_equal(mpx_array_str(a, buf, sizeof buf), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(mpx_array_str(a, buf, 6), 5);
	memset(buf, 'x', sizeof buf);
	assert_fails(mpx_array_str(a, buf, 5), EMSGSIZE);
	assert_int_equal(buf[0], 'x');

	/* all of it: no NUL inside */
	assert_ok(mpx_array_set_str(a, "0123456789"));
	assert_int_equal(mpx_array_str(a, buf, 11), 10);
	assert_string_equal(buf, "0123456789");
	assert_fails(mpx_array_str(a, buf, 10), EMSGSIZE);
	assert_fails(mpx_array_set_str(a, "01234567890"), EMSGSIZE);
	assert_memory_equal(mpx_array_ptr(a, char), "0123456789", 10);

	/* what is behind the NUL stays, and is in raw only */
	assert_ok(mpx_array_set_str(a, "abc"));
	assert_int_equal(mpx_array_str(a, buf, sizeof buf), 3);
	assert_ok(mpx_array_slice(a, 0, 10, buf));
	assert_memory_equal(buf,
			    "abc\0"
			    "456789",
			    10);
	assert_ok(mpx_array_assign(a, 0, 2, "AB"));
	assert_int_equal(mpx_array_str(a, buf, sizeof buf), 3);
	assert_string_equal(buf, "ABc");
	assert_ok(mpx_array_set_str(a, ""));
	assert_int_equal(mpx_array_str(a, buf, sizeof buf), 0);

	assert_fails(mpx_array_str(a, NULL, 5), EINVAL);
	assert_fails(mpx_array_set_str(a, NULL), EINVAL);
	assert_fails(mpx_array_str(NULL, buf, 5), EINVAL);
	assert_fails(mpx_array_set_str(NULL, "a"), EINVAL);
	mpx_array_free(a);
	for (const char *code = typecodes + 1; *code; code++) {
		a = mpx_array_new(*code, 10, NULL);
		assert_fails(mpx_array_str(a, buf, sizeof buf), EINVAL);
		assert_fails(mpx_array_set_str(a, "a"), EINVAL);
		mpx_array_free(a);
	}
	a = mpx_raw_array_new('c', 0, NULL);
	assert_ok(mpx_array_set_str(a, ""));
	assert_int_equal(mpx_array_str(a, buf, 1), 0);
	assert_fails(mpx_array_set_str(a, "a"), EMSGSIZE);
	mpx_array_free(a);
}

/* ---- all together ------------------------------------------------------ */

static int double_everything(void *arg)
{
	struct shared *s = arg;
	char text[21], twice[41];
	*mpx_value_ptr(s->v[0], int) *= 2;
	*mpx_value_ptr(s->v[1], double) *= 2;
	*mpx_value_ptr(s->v[2], long long) *= 2;
	struct point *p = mpx_array_ptr(s->points, struct point);
	p->x *= 2;
	p->y *= 2;
	for (size_t i = 0; i < mpx_array_len(s->a); i++)
		mpx_array_ptr(s->a, double)[i] *= 2;
	child_check(mpx_array_str(s->text, text, sizeof text) == 5);
	snprintf(twice, sizeof twice, "%s%s", text, text);
	child_check(mpx_array_set_str(s->text, twice) == 0);
	return 0;
}

static void test_everything_doubled(void **state)
{
	(void)state;
	struct shared *s = share();
	for (int raw = 0; raw < 2; raw++) {
		char text[21];
		s->v[0] = raw ? mpx_raw_value_new('i', 7) : mpx_value_new('i', 7);
		s->v[1] = raw ? mpx_raw_value_new('d', 1.0 / 3) : mpx_value_new('d', 1.0 / 3);
		s->v[2] = raw ? mpx_raw_value_new('q', 1LL << 33) : mpx_value_new('q', 1LL << 33);
		s->points = mpx_array_of(struct point, 1, ((struct point[]){{3, 2, ""}}));
		s->a = mpx_array_new('d', 10, NULL);
		for (int i = 0; i < 10; i++)
			mpx_array_ptr(s->a, double)[i] = i;
		s->text = mpx_array_new('c', 20, NULL);
		assert_ok(mpx_array_set_str(s->text, "hello"));
		in_child(double_everything, s);
		assert_int_equal(*mpx_value_ptr(s->v[0], int), 14);
		assert_true(*mpx_value_ptr(s->v[1], double) == 2.0 / 3);
		assert_true(*mpx_value_ptr(s->v[2], long long) == 1LL << 34);
		assert_true(mpx_array_ptr(s->points, struct point)->x == 6);
		assert_int_equal(mpx_array_ptr(s->points, struct point)->y, 4);
		for (int i = 0; i < 10; i++)
			assert_true(mpx_array_ptr(s->a, double)[i] == 2 * i);
		assert_int_equal(mpx_array_str(s->text, text, sizeof text), 10);
		assert_string_equal(text, "hellohello");
		for (int i = 0; i < 3; i++)
			mpx_value_free(s->v[i]);
		mpx_array_free(s->points);
		mpx_array_free(s->a);
		mpx_array_free(s->text);
	}
	mpx_free(s);
}

static void test_copies(void **state)
{
	(void)state;
#define COPY(code, type, min, max)                                                                 \
	for (int raw = 0; raw < 2; raw++) {                                                        \
		type in[7] = {(type)(min), (type)(max), 1, 2, 3, 4, 5};                            \
		mpx_value *v =                                                                     \
			raw ? mpx_raw_value_new(CODE(code), 65) : mpx_value_new(CODE(code), 65);   \
		mpx_array *a = raw ? mpx_raw_array_new(CODE(code), 7, in)                          \
				   : mpx_array_new(CODE(code), 7, in);                             \
		mpx_value *v2 = mpx_value_copy(v);                                                 \
		mpx_array *a2 = mpx_array_copy(a);                                                 \
		*mpx_value_ptr(v, type) = (type)0;                                                 \
		memset(mpx_array_ptr(a, type), 0, sizeof in);                                      \
		assert_true(*mpx_value_ptr(v2, type) == (type)65);                                 \
		assert_int_equal(mpx_value_typecode(v2), CODE(code));                              \
		assert_int_equal(mpx_array_typecode(a2), CODE(code));                              \
		assert_int_equal(mpx_array_len(a2), 7);                                            \
		assert_memory_equal(mpx_array_ptr(a2, type), in, sizeof in);                       \
		assert_int_equal(!mpx_value_lock(v2), raw);                                        \
		assert_int_equal(!mpx_array_lock(a2), raw);                                        \
		assert_true(raw || mpx_value_lock(v) != mpx_value_lock(v2));                       \
		assert_true(raw || mpx_array_lock(a) != mpx_array_lock(a2));                       \
		mpx_value_free(v);                                                                 \
		mpx_array_free(a);                                                                 \
		assert_ok(raw ? 0 : mpx_value_read(v2, in, 0));                                    \
		mpx_value_free(v2);                                                                \
		mpx_array_free(a2);                                                                \
	}
	ALL(COPY)
#undef COPY
	mpx_array *points = mpx_array_of(struct point, 1, ((struct point[]){{2, 5, "p"}}));
	mpx_rlock *lock = mpx_rlock_new();
	mpx_value *v = mpx_raw_value_new('i', 3), *v2;
	mpx_array *copy = mpx_array_copy(points);
	mpx_array_ptr(points, struct point)->x = 0;
	assert_true(mpx_array_ptr(copy, struct point)->x == 2);
	/* a lent lock is not lent on */
	assert_ok(mpx_value_synchronized(v, lock));
	v2 = mpx_value_copy(v);
	assert_non_null(mpx_value_lock(v2));
	assert_ptr_not_equal(mpx_value_lock(v2), lock);
	mpx_value_free(v);
	mpx_value_free(v2);
	mpx_rlock_free(lock);
	mpx_array_free(points);
	mpx_array_free(copy);
	copy = mpx_array_copy(points = mpx_array_of(struct point, 0, NULL));
	assert_int_equal(mpx_array_len(copy), 0);
	assert_int_equal(mpx_array_itemsize(copy), sizeof(struct point));
	mpx_array_free(points);
	mpx_array_free(copy);
	assert_nothing(mpx_value_copy(NULL), EINVAL);
	assert_nothing(mpx_array_copy(NULL), EINVAL);
}

/* ---- kills ------------------------------------------------------------- */

enum { LONG = 1000 };

/* Whole slices of two patterns, for ever. */
static int repaint(void *arg)
{
	struct shared *s = arg;
	unsigned long long q[2][LONG];
	memset(q[0], 0, sizeof q[0]);
	memset(q[1], 0xff, sizeof q[1]);
	for (unsigned i = 0;; i++) {
		child_check(mpx_array_write(s->a, 0, LONG, q[i % 2], SOON) == 0);
		s->ready = 1;
	}
}

/* Killed at any moment: every element is whole, and where the death was inside, the
 * next one to take the lock is told. Otherwise the slice is whole, too. */
static void test_killed_painters(void **state)
{
	(void)state;
	struct shared *s = share();
	unsigned long long q[LONG];
	uint64_t seed = 1;
	s->a = mpx_array_new('Q', LONG, NULL);
	for (int i = 0; i < 40; i++) {
		s->ready = 0;
		pid_t pid = fork_child(repaint, s);
		assert_soon(s->ready);
		for (volatile uint64_t spin = next_random(&seed) % 100000; spin > 0; spin--)
			;
		kill(pid, SIGKILL);
		assert_int_equal(wait_child(pid), -SIGKILL);
		bool told = mpx_array_read(s->a, 0, LONG, q, SOON) != 0;
		assert_true(!told || errno == EOWNERDEAD);
		for (int k = 0; k < LONG; k++) {
			assert_true(q[k] == 0 || q[k] == ULLONG_MAX);
			assert_true(told || q[k] == q[0]);
		}
		if (told) {
			assert_fails(mpx_rlock_acquire(mpx_array_lock(s->a), 0), EOWNERDEAD);
			assert_ok(mpx_rlock_consistent(mpx_array_lock(s->a)));
			assert_ok(mpx_rlock_release(mpx_array_lock(s->a)));
		}
	}
	mpx_array_free(s->a);
	mpx_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_value_and_rawvalue),
		mpx_test(test_locks_of_values),
		mpx_test(test_access_under_the_lock),
		mpx_test(test_array_and_rawarray),
		mpx_test(test_raw_array_from_size),
		mpx_test(test_locks_of_arrays),
		mpx_test(test_arrays_of_structs),
		mpx_test(test_elements_of_every_size),
		mpx_test(test_strings),
		mpx_test(test_everything_doubled),
		mpx_test(test_copies),
		mpx_test(test_killed_painters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
