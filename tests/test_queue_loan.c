/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_loan.c - mpx/queue.h without copying, and its other names:
 *
 *   reserve, commit, cancel, take, release: sizes from 0 to 64 MiB, alignment, contents,
 *   order of commits, several at once; what is not the caller's to give back (NULL, the
 *   stack, other memory, inside of a message, given back already, another queue's,
 *   another process's); maxsize and bytes, closed queues, timeouts; who waits is woken;
 *   ENOMEM leaves the message in the queue; a process that dies or ends with reserved or
 *   taken memory leaks nothing. mpx_simple_queue_new and mpx_joinable_queue_new: what
 *   CPython's TestSimpleQueue checks (empty, put, get; close).
 *
 * Seen to fail with these broken: in src/ipc/queue_put.c, mpx__queue_block_of looks at
 * no queue, allows the queue's tag; commit looks at no "closed"; the block stays the
 * queue's when append fails; cancel frees nothing. In src/ipc/queue_get.c, a taken
 * message may be committed; borrow takes the message when there is no memory.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>

static const size_t sizes[] = {0,
			       1,
			       7,
			       8,
			       16,
			       63,
			       64,
			       65,
			       100,
			       1000,
			       4095,
			       4096,
			       4097,
			       5000,
			       65536,
			       1 << 20,
			       (1 << 20) + 1,
			       64 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static bool aligned(const void *p)
{
	return (uintptr_t)p % _Alignof(max_align_t) == 0;
}

static mpx_queue *queue_new(size_t maxsize, size_t bytes)
{
	mpx_queue *q = mpx_queue_new(.maxsize = maxsize, .bytes = bytes);
	assert_non_null(q);
	return q;
}

static void commit_filled(mpx_queue *q, size_t size, size_t seed)
{
	unsigned char *m = mpx_queue_reserve(q, size, SOON);
	assert_non_null(m);
	assert_true(aligned(m));
	fill(m, size, seed);
	assert_ok(mpx_queue_commit(q, m));
}

static void take_filled(mpx_queue *q, size_t expected, size_t seed)
{
	size_t size = SIZE_MAX;
	const unsigned char *m = mpx_queue_take(q, &size, SOON);
	assert_non_null(m);
	assert_true(aligned(m));
	assert_int_equal(size, expected);
	assert_true(filled(m, size, seed));
	assert_ok(mpx_queue_release(q, m));
}

/* ---- one process --------------------------------------------------------- */

static void test_sizes(void **state)
{
	(void)state;
	unsigned char *buf = malloc(64 << 20);
	mpx_queue *q = queue_new(0, 0);
	assert_non_null(buf);
	for (size_t i = 0; i < SIZES; i++) {
		commit_filled(q, sizes[i], i);
		assert_int_equal(mpx_queue_qsize(q), 1);
		assert_int_equal(mpx_queue_next_size(q, 0), sizes[i]);
		take_filled(q, sizes[i], i);

		commit_filled(q, sizes[i], i + 1);
		if (sizes[i])
			assert_fails(mpx_queue_get(q, buf, sizes[i] - 1, 0), EMSGSIZE);
		assert_int_equal(mpx_queue_get(q, buf, sizes[i], 0), sizes[i]);
		assert_true(filled(buf, sizes[i], i + 1));

		fill(buf, sizes[i], i + 2);
		assert_ok(mpx_queue_put(q, buf, sizes[i], 0));
		take_filled(q, sizes[i], i + 2);
		assert_true(mpx_queue_empty(q));
	}
	for (size_t i = 0; i < SIZES; i++)
		commit_filled(q, sizes[i], i);
	for (size_t i = 0; i < SIZES; i++)
		take_filled(q, sizes[i], i);
	commit_filled(q, 100, 0);
	commit_filled(q, 100000, 0);
	mpx_queue_free(q); /* with what is still in it */
	free(buf);
}

static void test_several_at_once(void **state)
{
	(void)state;
	enum { N = 100 };
	unsigned char *m[N];
	const unsigned char *t[N];
	size_t size;
	mpx_queue *q = queue_new(0, 0);
	for (size_t i = 0; i < N; i++) {
		assert_non_null(m[i] = mpx_queue_reserve(q, 10 + i * 100, 0));
		fill(m[i], 10 + i * 100, i);
	}
	assert_true(mpx_queue_empty(q)); /* reserved is not put */
	assert_fails(mpx_queue_get(q, &size, sizeof size, 0), ETIMEDOUT);
	for (size_t i = N; i-- > 0;) { /* it is the commits that count */
		if (i % 3 == 0)
			assert_ok(mpx_queue_cancel(q, m[i]));
		else
			assert_ok(mpx_queue_commit(q, m[i]));
	}
	for (size_t i = N; i-- > 0;)
		if (i % 3) {
			assert_non_null(t[i] = mpx_queue_take(q, &size, 0));
			assert_int_equal(size, 10 + i * 100);
		}
	assert_true(mpx_queue_empty(q));
	for (size_t i = 0; i < N; i++)
		if (i % 3) {
			assert_true(filled(t[i], 10 + i * 100, i));
			assert_ok(mpx_queue_release(q, t[i]));
		}
	mpx_queue_free(q);
}

static void test_cancel(void **state)
{
	(void)state;
	mpx_queue *q = queue_new(1, 0);
	size_t blocks = heap_blocks();
	for (int i = 0; i < 1000; i++) {
		void *m = mpx_queue_reserve(q, 100000, 0);
		assert_non_null(m);
		assert_ok(mpx_queue_cancel(q, m));
	}
	assert_int_equal(heap_blocks(), blocks);
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
}

/* ---- what is not the caller's ------------------------------------------------ */

static void not_mine(mpx_queue *q, void *p)
{
	assert_fails(mpx_queue_commit(q, p), EINVAL);
	assert_fails(mpx_queue_cancel(q, p), EINVAL);
	assert_fails(mpx_queue_release(q, p), EINVAL);
}

static void test_foreign_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	size_t size;
	static char zero[64 << 10];
	mpx_queue *q = queue_new(0, 0), *other = queue_new(0, 0);
	char *m = mpx_queue_reserve(q, sizeof zero, 0);
	assert_non_null(m);
	memset(m, 0, sizeof zero);
	bad_pointers_make(&bad, q);
	for (size_t i = 0; i < bad.n; i++) {
		not_mine(q, bad.p[i]);
		not_mine(bad.p[i], m);
		assert_nothing(mpx_queue_reserve(bad.p[i], 1, MPX_FOREVER), EINVAL);
		assert_nothing(mpx_queue_take(bad.p[i], &size, MPX_FOREVER), EINVAL);
	}
	bad_pointers_done(&bad);
	not_mine(q, q);
	not_mine(q, (void *)1);
	not_mine(q, (void *)UINTPTR_MAX);
	not_mine(q, m - 16);
	for (size_t i = 1; i < 100; i++)
		not_mine(q, m + i);
	not_mine(q, m + 4096);
	not_mine(other, m);
	assert_ok(mpx_queue_commit(q, m));
	not_mine(q, m); /* it is the queue's */
	not_mine(other, m);
	const char *t = mpx_queue_take(q, &size, 0);
	assert_non_null(t);
	not_mine(other, (char *)(uintptr_t)t);
	assert_fails(mpx_queue_commit(q, (char *)(uintptr_t)t), EINVAL); /* not reserved */
	assert_ok(mpx_queue_release(q, t));
	not_mine(q, (char *)(uintptr_t)t);
	assert_non_null(m = mpx_queue_reserve(q, 10, 0));
	assert_ok(mpx_queue_cancel(q, m));
	not_mine(q, m);
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(other);
	mpx_queue_free(q);
}

static void test_arguments(void **state)
{
	(void)state;
	size_t size;
	mpx_queue *q = queue_new(0, 1000);
	assert_nothing(mpx_queue_reserve(q, 1, NOT_A_NUMBER), EINVAL);
	assert_nothing(mpx_queue_reserve(q, 1001, MPX_FOREVER), EMSGSIZE);
	assert_nothing(mpx_queue_take(q, &size, NOT_A_NUMBER), EINVAL);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	assert_nothing(mpx_queue_take(q, NULL, 0), EINVAL);
	take_filled(q, 1, 'x');
	mpx_queue_free(q);
	q = queue_new(0, 0);
	static const size_t too_large[] = {SIZE_MAX,	  SIZE_MAX - 15,    SIZE_MAX - 16,
					   SIZE_MAX - 64, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
	for (size_t i = 0; i < sizeof too_large / sizeof *too_large; i++)
		assert_nothing(mpx_queue_reserve(q, too_large[i], 0), ENOMEM);
	mpx_queue_free(q);
}

struct loan {
	mpx_queue *q;
	atomic_int ready;
	void *reserved;
	const void *taken;
};

static int not_the_childs(void *arg)
{
	struct loan *l = arg;
	child_fails(mpx_queue_commit(l->q, l->reserved), EINVAL);
	child_fails(mpx_queue_cancel(l->q, l->reserved), EINVAL);
	child_fails(mpx_queue_release(l->q, l->taken), EINVAL);
	l->reserved = mpx_queue_reserve(l->q, 5000, 0);
	l->taken = mpx_queue_take(l->q, &(size_t){0}, 0);
	child_check(l->reserved && l->taken);
	atomic_store(&l->ready, 1);
	child_soon(atomic_load(&l->ready) == 2);
	child_check(mpx_queue_cancel(l->q, l->reserved) == 0);
	child_check(mpx_queue_release(l->q, l->taken) == 0);
	return 0;
}

static struct loan *loan_new(void)
{
	struct loan *l = mpx_calloc(1, sizeof *l);
	assert_non_null(l);
	l->q = queue_new(0, 0);
	return l;
}

static void test_other_processes(void **state)
{
	(void)state;
	size_t size;
	struct loan *l = loan_new();
	commit_filled(l->q, 100, 1);
	commit_filled(l->q, 100, 2);
	void *reserved = l->reserved = mpx_queue_reserve(l->q, 100, 0);
	const void *taken = l->taken = mpx_queue_take(l->q, &size, 0);
	mpx_process *p = start(not_the_childs, l);
	assert_soon(atomic_load(&l->ready) == 1);
	not_mine(l->q, l->reserved);
	not_mine(l->q, (void *)(uintptr_t)l->taken);
	atomic_store(&l->ready, 2);
	ends_well(p);
	assert_ok(mpx_queue_cancel(l->q, reserved));
	assert_ok(mpx_queue_release(l->q, taken));
	mpx_queue_free(l->q);
	mpx_free(l);
}

/* ---- limits ------------------------------------------------------------------ */

static void test_maxsize(void **state)
{
	(void)state;
	mpx_queue *q = queue_new(2, 0);
	commit_filled(q, 1, 0);
	void *a = mpx_queue_reserve(q, 1, 0), *b = mpx_queue_reserve(q, 1, 0);
	assert_non_null(a);
	assert_non_null(b);
	memset(a, 1, 1);
	memset(b, 2, 1);
	assert_ok(mpx_queue_put(q, "\0", 1, 0));
	assert_true(mpx_queue_full(q));
	assert_nothing(mpx_queue_reserve(q, 1, 0), ETIMEDOUT);
	double begin = now();
	assert_nothing(mpx_queue_reserve(q, 1, 0.1), ETIMEDOUT);
	assert_true(now() - begin >= 0.1 - 1e-6);
	assert_ok(mpx_queue_commit(q, a)); /* "it holds one more than maxsize" */
	assert_ok(mpx_queue_commit(q, b));
	assert_int_equal(mpx_queue_qsize(q), 4);
	assert_true(mpx_queue_full(q));
	for (int i = 0; i < 2; i++) {
		assert_fails(mpx_queue_put(q, "x", 1, 0), ETIMEDOUT);
		take_filled(q, 1, 0);
	}
	assert_fails(mpx_queue_put(q, "x", 1, 0), ETIMEDOUT); /* just full now */
	take_filled(q, 1, 1);
	assert_false(mpx_queue_full(q));
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	mpx_queue_free(q);
}

static void test_bytes(void **state)
{
	(void)state;
	static char m[1000];
	mpx_queue *q = queue_new(0, 1000);
	void *a = mpx_queue_reserve(q, 600, 0), *b = mpx_queue_reserve(q, 600, 0);
	assert_non_null(a);
	assert_non_null(b);
	memset(a, 0, 600);
	memset(b, 0, 600);
	assert_ok(mpx_queue_commit(q, a));
	assert_nothing(mpx_queue_reserve(q, 600, 0), ETIMEDOUT);
	assert_ok(mpx_queue_commit(q, b));
	assert_true(mpx_queue_full(q));
	assert_fails(mpx_queue_put(q, m, 1, 0), ETIMEDOUT);
	assert_fails(mpx_queue_put_many(q, m, 1, 10, 0), ETIMEDOUT);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 600);
	assert_int_equal(mpx_queue_put_many(q, m, 100, 10, 0), 4);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 600);
	assert_int_equal(mpx_queue_put_many(q, m, 100, 10, 0), 6);
	mpx_queue_free(q);
}

static void test_closed(void **state)
{
	(void)state;
	size_t size;
	mpx_queue *q = queue_new(3, 0);
	void *m = mpx_queue_reserve(q, 100, 0);
	assert_non_null(m);
	commit_filled(q, 5, 5);
	assert_ok(mpx_queue_close(q));
	assert_fails(mpx_queue_commit(q, m), EPIPE);
	assert_nothing(mpx_queue_reserve(q, 1, MPX_FOREVER), EPIPE);
	memset(m, 1, 100); /* it still is mine */
	assert_fails(mpx_queue_commit(q, m), EPIPE);
	assert_ok(mpx_queue_cancel(q, m));
	take_filled(q, 5, 5);
	assert_nothing(mpx_queue_take(q, &size, MPX_FOREVER), EPIPE);
	assert_nothing(mpx_queue_take(q, &size, 0), EPIPE);
	mpx_queue_free(q);
}

static void test_take_times_out(void **state)
{
	(void)state;
	size_t size = 77;
	mpx_queue *q = queue_new(0, 0);
	assert_nothing(mpx_queue_take(q, &size, 0), ETIMEDOUT);
	double begin = now();
	assert_nothing(mpx_queue_take(q, &size, 0.1), ETIMEDOUT);
	assert_true(now() - begin >= 0.1 - 1e-6);
	assert_int_equal(size, 77);
	mpx_queue_free(q);
}

/* ---- waiting -------------------------------------------------------------------- */

static int take_three(void *arg)
{
	struct loan *l = arg;
	for (size_t i = 0; i < 3; i++) {
		size_t size;
		const unsigned char *m = mpx_queue_take(l->q, &size, MPX_FOREVER);
		child_check(m && size == i * 5000 && filled(m, size, i));
		child_check(mpx_queue_release(l->q, m) == 0);
		atomic_fetch_add(&l->ready, 1);
	}
	return 0;
}

static int reserve_three(void *arg)
{
	struct loan *l = arg;
	for (size_t i = 0; i < 3; i++) {
		unsigned char *m = mpx_queue_reserve(l->q, i * 5000, MPX_FOREVER);
		child_check(m != NULL);
		fill(m, i * 5000, i);
		child_check(mpx_queue_commit(l->q, m) == 0);
		atomic_fetch_add(&l->ready, 1);
	}
	return 0;
}

static void test_who_waits_is_woken(void **state)
{
	(void)state;
	struct loan *l = loan_new();
	mpx_process *p = start(take_three, l);
	for (size_t i = 0; i < 3; i++) {
		assert_soon(asleep(mpx_process_pid(p)));
		commit_filled(l->q, i * 5000, i);
		assert_soon(atomic_load(&l->ready) == (int)i + 1);
	}
	ends_well(p);
	mpx_queue_free(l->q);
	l->q = queue_new(1, 0);
	atomic_store(&l->ready, 0);
	commit_filled(l->q, 9, 9);
	p = start(reserve_three, l);
	for (size_t i = 0; i < 4; i++) {
		assert_soon(atomic_load(&l->ready) == (int)i);
		assert_soon(i == 3 || asleep(mpx_process_pid(p)));
		take_filled(l->q, i ? (i - 1) * 5000 : 9, i ? i - 1 : 9);
	}
	ends_well(p);
	mpx_queue_free(l->q);
	mpx_free(l);
}

/* ---- memory that ends ----------------------------------------------------------- */

/* In a program of its own, with a heap of 8 MiB. */
static int take_without_memory(void)
{
	static unsigned char m[4096];
	void *blocks[4096];
	size_t n = 0, size = 77;
	mpx_queue *q = mpx_queue_new();
	child_check(q != NULL);
	for (size_t i = 0; i < 3; i++) {
		fill(m, sizeof m, i);
		child_check(mpx_queue_put(q, m, sizeof m, 0) == 0);
	}
	for (size_t k = 1 << 20; k >= 16; k /= 2)
		while (n < 4096 && (blocks[n] = mpx_malloc(k)) != NULL)
			n++;
	child_check(n < 4096);
	child_check((errno = 0, mpx_queue_take(q, &size, 0) == NULL && errno == ENOMEM));
	child_check((errno = 0, mpx_queue_take(q, &size, SOON) == NULL && errno == ENOMEM));
	child_check((errno = 0, mpx_queue_reserve(q, 4096, SOON) == NULL && errno == ENOMEM));
	child_check(size == 77);
	child_check(mpx_queue_qsize(q) == 3);
	child_fails(mpx_queue_task_done(q), EOVERFLOW);
	child_check(mpx_queue_get(q, m, sizeof m, 0) == sizeof m); /* which needs none */
	child_check(filled(m, sizeof m, 0));
	while (n > 0)
		mpx_free(blocks[--n]);
	const unsigned char *t = mpx_queue_take(q, &size, 0);
	child_check(t && size == sizeof m && filled(t, size, 1));
	child_check(mpx_queue_release(q, t) == 0);
	child_check(mpx_queue_qsize(q) == 1);
	mpx_queue_free(q);
	return 0;
}

/* A commit for which there is no other ring fails, and what was reserved stays. */
static int commit_without_memory(void)
{
	static unsigned char m[100];
	size_t n = 0, count = 0, size;
	void *blocks[4096];
	mpx_queue *q = mpx_queue_new();
	child_check(q != NULL);
	unsigned char *r = mpx_queue_reserve(q, 5000, 0);
	child_check(r != NULL);
	fill(r, 5000, 7);
	for (size_t k = 1 << 20; k >= 16; k /= 2)
		while (n < 4096 && (blocks[n] = mpx_malloc(k)) != NULL)
			n++;
	child_check(n < 4096);
	while (mpx_queue_put(q, m, sizeof m, 0) == 0)
		count++;
	child_check(errno == ENOMEM);
	while (mpx_queue_put(q, NULL, 0, 0) == 0)
		count++;
	child_check(errno == ENOMEM && mpx_queue_qsize(q) == (ssize_t)count);
	child_fails(mpx_queue_commit(q, r), ENOMEM);
	child_fails(mpx_queue_commit(q, r), ENOMEM);
	child_check(mpx_queue_qsize(q) == (ssize_t)count);
	child_check(filled(r, 5000, 7));
	while (n > 0)
		mpx_free(blocks[--n]);
	child_check(mpx_queue_commit(q, r) == 0);
	for (; count > 0; count--)
		child_check(mpx_queue_get(q, m, sizeof m, 0) >= 0);
	const unsigned char *t = mpx_queue_take(q, &size, 0);
	child_check(t && size == 5000 && filled(t, size, 7));
	child_check(mpx_queue_release(q, t) == 0);
	mpx_queue_free(q);
	return 0;
}

static const char *program;

static void test_memory_ends(void **state)
{
	(void)state;
	assert_int_equal(run_anew(program, "take", "8M", 0), 0);
	assert_int_equal(run_anew(program, "commit", "8M", 0), 0);
}

/* ---- processes that die ------------------------------------------------------------ */

static int hold_much(void *arg)
{
	struct loan *l = arg;
	for (size_t i = 0; i < 10; i++) {
		size_t size;
		child_check(mpx_queue_reserve(l->q, i * 3000, 0) != NULL);
		child_check(mpx_queue_take(l->q, &size, 0) != NULL);
	}
	atomic_fetch_add(&l->ready, 1);
	child_soon(atomic_load(&l->ready) == 0);
	return 0;
}

static void test_holder_dies(void **state)
{
	(void)state;
	static char m[100];
	struct loan *l = loan_new();
	size_t before = heap_blocks();
	for (int killed = 0; killed < 2; killed++) {
		for (size_t i = 0; i < 11; i++) {
			if (i % 2)
				commit_filled(l->q, i * 3000, i);
			else
				assert_ok(mpx_queue_put(l->q, m, sizeof m, 0));
		}
		mpx_process *p = start(hold_much, l);
		assert_soon(atomic_load(&l->ready) == 1);
		assert_true(heap_blocks() >= before + 20);
		if (killed)
			assert_ok(mpx_process_kill(p));
		atomic_store(&l->ready, 0);
		assert_int_equal(ends(p), killed ? -SIGKILL : 0);
		assert_int_equal(mpx_queue_qsize(l->q), 1); /* what was taken is gone */
		assert_int_equal(mpx_queue_get(l->q, m, sizeof m, 0), sizeof m);
		assert_soon(heap_blocks() == before);
		assert_fails(mpx_queue_join(l->q, 0), ETIMEDOUT); /* one is mine */
		assert_ok(mpx_queue_task_done(l->q));
		assert_fails(mpx_queue_join(l->q, SOON), EOWNERDEAD);
		assert_ok(mpx_queue_join(l->q, 0));
	}
	mpx_queue_free(l->q);
	mpx_free(l);
}

/* ---- the other names ---------------------------------------------------------------- */

static int answer(void *arg)
{
	mpx_queue **q = arg;
	int x;
	child_check(mpx_queue_empty(q[1]));
	child_check(mpx_queue_get(q[0], &x, sizeof x, SOON) == sizeof x);
	child_check(mpx_queue_put(q[1], x == 1 ? "yes" : "no", 4, SOON) == 0);
	child_check(mpx_queue_put(q[1], "None", 5, SOON) == 0);
	return 0;
}

static void test_simple_queue(void **state)
{
	(void)state;
	char m[8];
	int x = 1;
	mpx_queue *q[2] = {mpx_simple_queue_new(), mpx_simple_queue_new()};
	assert_non_null(q[0]);
	assert_non_null(q[1]);
	assert_true(mpx_queue_empty(q[0]));
	mpx_process *p = start(answer, q);
	assert_ok(mpx_queue_put(q[0], &x, sizeof x, 0));
	assert_int_equal(mpx_queue_get(q[1], m, sizeof m, SOON), 4);
	assert_string_equal(m, "yes");
	assert_int_equal(mpx_queue_get(q[1], m, sizeof m, SOON), 5);
	assert_string_equal(m, "None");
	ends_well(p);
	assert_true(mpx_queue_empty(q[0]) && mpx_queue_empty(q[1]));
	assert_ok(mpx_queue_close(q[0]));
	assert_ok(mpx_queue_close(q[0])); /* CPython's test_close: twice is fine */
	assert_fails(mpx_queue_put(q[0], m, 1, 0), EPIPE);
	mpx_queue_free(q[0]);
	mpx_queue_free(q[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_sizes),
		mpx_test(test_several_at_once),
		mpx_test(test_cancel),
		mpx_test(test_foreign_pointers),
		mpx_test(test_arguments),
		mpx_test(test_other_processes),
		mpx_test(test_maxsize),
		mpx_test(test_bytes),
		mpx_test(test_closed),
		mpx_test(test_take_times_out),
		mpx_test(test_who_waits_is_woken),
		mpx_test(test_memory_ends),
		mpx_test(test_holder_dies),
		mpx_test(test_simple_queue),
	};
	program = argv[0];
	if (argc > 1)
		return strcmp(argv[1], "take") == 0 ? take_without_memory()
						    : commit_without_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
