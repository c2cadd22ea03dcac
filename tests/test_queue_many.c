/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_many.c - mpx_queue_put_many and mpx_queue_get_many:
 *
 *   order and sizes, also of nothing; each message where it belongs in the buffer; in
 *   part: by maxsize, by bytes, by timeout, by close, by the end of memory; across the
 *   ring's end and into the next ring; a message larger than the room, first and in the
 *   middle; messages of more than 4096 bytes; arguments that are wrong or overflow; who
 *   waits is woken; and 8 producers and 8 consumers, who put and get in every way there
 *   is, with a million messages accounted for (40 000 under sanitizers).
 *
 * Seen to fail with these broken: in src/ipc/queue_put.c, the count of a batch is one
 * too small, the bytes in a fresh ring are those of one message; in src/ipc/queue_get.c,
 * the buffer's stride is the message's size, a message in a block does not end the run,
 * nor does one that is larger than the room.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

static mpx_queue *queue_new(size_t maxsize, size_t bytes)
{
	mpx_queue *q = mpx_queue_new(.maxsize = maxsize, .bytes = bytes);
	assert_non_null(q);
	return q;
}

static void count_up(unsigned *x, unsigned n, unsigned from)
{
	for (unsigned i = 0; i < n; i++)
		x[i] = from + i;
}

static void assert_counts_up(const unsigned *x, unsigned n, unsigned from)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(x[i], from + i);
}

static void test_order(void **state)
{
	(void)state;
	enum { N = 3000 };
	static unsigned in[N], out[N];
	static size_t sizes[N];
	mpx_queue *q = queue_new(0, 0);
	count_up(in, N, 0);
	assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, N, 0), N);
	memset(in, 0, sizeof in); /* they were copied */
	assert_int_equal(mpx_queue_qsize(q), N);
	unsigned got = 0;
	for (unsigned run = 1; got < N; run++) {
		ssize_t n = mpx_queue_get_many(q, out, sizeof *out, run, sizes, 0);
		assert_true(n >= 1 && n <= (ssize_t)run);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(sizes[i], sizeof *out);
		assert_counts_up(out, (unsigned)n, got);
		got += (unsigned)n;
		assert_int_equal(mpx_queue_qsize(q), N - got);
	}
	assert_fails(mpx_queue_get_many(q, out, sizeof *out, N, sizes, 0), ETIMEDOUT);
	mpx_queue_free(q);
}

/* The i-th stands at buf + i * cap, and nothing else is written. */
static void test_places(void **state)
{
	(void)state;
	enum { CAP = 24 };
	unsigned char in[16], out[6 * CAP];
	size_t sizes[6];
	mpx_queue *q = queue_new(0, 0);
	for (size_t n = 0; n <= 4; n++) {
		fill(in, n * 4, n);
		assert_ok(mpx_queue_put(q, in, n * 4, 0));
	}
	for (size_t n = 5, taken = 0; taken < 5; n--) {
		memset(out, 0x5a, sizeof out);
		memset(sizes, 0xff, sizeof sizes);
		ssize_t got = mpx_queue_get_many(q, out, CAP, n, sizes, 0);
		assert_true(got >= 1 && got <= (ssize_t)n);
		for (size_t i = 0; i < 6; i++) {
			size_t size = i < (size_t)got ? (taken + i) * 4 : 0;
			assert_true(sizes[i] == size || (i >= (size_t)got && sizes[i] == SIZE_MAX));
			assert_true(filled(out + i * CAP, size, taken + i));
			for (size_t k = size; k < CAP; k++)
				assert_int_equal(out[i * CAP + k], 0x5a);
		}
		taken += (size_t)got;
	}
	mpx_queue_free(q);
}

static void test_nothing(void **state)
{
	(void)state;
	size_t sizes[10] = {9, 9, 9};
	char c = 'c';
	mpx_queue *q = queue_new(0, 10);
	assert_int_equal(mpx_queue_put_many(q, &c, 1, 0, MPX_FOREVER), 0);
	assert_int_equal(mpx_queue_put_many(q, NULL, 1, 0, MPX_FOREVER), 0);
	assert_int_equal(mpx_queue_get_many(q, &c, 1, 0, NULL, MPX_FOREVER), 0);
	assert_int_equal(mpx_queue_qsize(q), 0);
	/* Messages of no bytes. */
	assert_int_equal(mpx_queue_put_many(q, NULL, 0, 3, 0), 3);
	assert_int_equal(mpx_queue_put_many(q, &c, 0, 4, 0), 4);
	assert_int_equal(mpx_queue_qsize(q), 7);
	assert_int_equal(mpx_queue_get_many(q, NULL, 0, 2, NULL, 0), 2);
	assert_int_equal(mpx_queue_get_many(q, &c, 1, 1, sizes, 0), 1);
	assert_int_equal(sizes[0], 0);
	assert_int_equal(sizes[1], 9);
	for (int left = 4; left > 0;) {
		ssize_t n = mpx_queue_get_many(q, NULL, 0, 10, sizes, 0);
		assert_true(n >= 1 && n <= left);
		left -= (int)n;
	}
	assert_int_equal(c, 'c');
	mpx_queue_free(q);
}

static void test_arguments(void **state)
{
	(void)state;
	struct bad_pointers bad;
	char c[16] = "";
	mpx_queue *q = queue_new(0, 0);
	assert_fails(mpx_queue_put_many(q, NULL, 1, 1, 0), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, 1, 1, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, 1, 0, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, 2, SIZE_MAX / 2 + 1, 0), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, 16, SIZE_MAX / 16 + 2, 0), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, SIZE_MAX, SIZE_MAX, 0), EINVAL);
	assert_fails(mpx_queue_put_many(q, c, SIZE_MAX / 2, 3, 0), EINVAL);
	assert_true(mpx_queue_empty(q));
	assert_int_equal(mpx_queue_put_many(q, c, 1, 4, 0), 4);
	assert_fails(mpx_queue_get_many(q, NULL, 1, 1, NULL, 0), EINVAL);
	assert_fails(mpx_queue_get_many(q, c, 1, 1, NULL, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_queue_get_many(q, c, 2, SIZE_MAX / 2 + 1, NULL, 0), EINVAL);
	assert_fails(mpx_queue_get_many(q, c, SIZE_MAX / 2, 3, NULL, 0), EINVAL);
	assert_int_equal(mpx_queue_qsize(q), 4);
	bad_pointers_make(&bad, q);
	for (size_t i = 0; i < bad.n; i++) {
		assert_fails(mpx_queue_put_many(bad.p[i], c, 1, 4, MPX_FOREVER), EINVAL);
		assert_fails(mpx_queue_get_many(bad.p[i], c, 1, 4, NULL, MPX_FOREVER), EINVAL);
	}
	bad_pointers_done(&bad);
	mpx_queue_free(q);
}

/* ---- in part ------------------------------------------------------------- */

static void test_maxsize(void **state)
{
	(void)state;
	unsigned in[30], out[30];
	mpx_queue *q = queue_new(10, 0);
	count_up(in, 30, 0);
	assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, 4, 0), 4);
	assert_int_equal(mpx_queue_put_many(q, in + 4, sizeof *in, 26, 0), 6);
	assert_true(mpx_queue_full(q));
	assert_times_out(mpx_queue_put_many(q, in + 10, sizeof *in, 20, 0), 0);
	assert_times_out(mpx_queue_put_many(q, in + 10, sizeof *in, 20, 0.1), 0.1);
	assert_int_equal(mpx_queue_get_many(q, out, sizeof *out, 3, NULL, 0), 3);
	assert_int_equal(mpx_queue_qsize(q), 7);
	double begin = now();
	assert_int_equal(mpx_queue_put_many(q, in + 10, sizeof *in, 20, 0.2), 3);
	assert_true(now() - begin >= 0.2 - 1e-6); /* it has waited for the others' room */
	for (unsigned got = 3; got < 13;) {
		ssize_t n = mpx_queue_get_many(q, out, sizeof *out, 30, NULL, 0);
		assert_true(n >= 1);
		assert_counts_up(out, (unsigned)n, got);
		got += (unsigned)n;
	}
	assert_true(mpx_queue_empty(q));
	assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, 10, 0), 10);
	mpx_queue_free(q);
}

static void test_bytes(void **state)
{
	(void)state;
	static char m[300000];
	mpx_queue *q = queue_new(0, 1000);
	assert_fails(mpx_queue_put_many(q, m, 1001, 2, 0), EMSGSIZE);
	assert_fails(mpx_queue_put_many(q, m, 1001, 2, MPX_FOREVER), EMSGSIZE);
	assert_int_equal(mpx_queue_put_many(q, m, 300, 7, 0), 3);
	assert_int_equal(mpx_queue_put_many(q, m, 100, 7, 0), 1);
	assert_fails(mpx_queue_put_many(q, m, 1, 7, 0), ETIMEDOUT);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 300);
	assert_int_equal(mpx_queue_put_many(q, m, 7, 100, 0), 42);
	assert_int_equal(mpx_queue_put_many(q, m, 3, 100, 0), 2);
	assert_true(mpx_queue_full(q));
	while (!mpx_queue_empty(q))
		assert_true(mpx_queue_get_many(q, m, 300, 60, NULL, 0) >= 1);
	assert_int_equal(mpx_queue_put_many(q, m, 1000, 2, 0), 1);
	mpx_queue_free(q);
	q = queue_new(0, 200000); /* more than the first ring holds */
	for (int round = 0; round < 3; round++) {
		assert_int_equal(mpx_queue_put_many(q, m, 100, 3000, 0), 2000);
		assert_true(mpx_queue_full(q));
		for (ssize_t got = 0; got < 2000;)
			got += mpx_queue_get_many(q, m, 100, 200, NULL, 0);
		assert_true(mpx_queue_empty(q));
	}
	mpx_queue_free(q);
	q = queue_new(3, 20000);
	assert_int_equal(mpx_queue_put_many(q, m, 5000, 4, 0), 3); /* whichever comes first */
	mpx_queue_free(q);
	q = queue_new(4, 10000);
	assert_int_equal(mpx_queue_put_many(q, m, 5000, 4, 0), 2);
	mpx_queue_free(q);
}

static int close_when_full(void *arg)
{
	child_soon(mpx_queue_full(arg));
	child_check(mpx_queue_close(arg) == 0);
	return 0;
}

static void test_close(void **state)
{
	(void)state;
	unsigned in[20], out[20];
	mpx_queue *q = queue_new(10, 0);
	count_up(in, 20, 0);
	mpx_process *p = start(close_when_full, q);
	assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, 20, SOON), 10);
	ends_well(p);
	assert_fails(mpx_queue_put_many(q, in, sizeof *in, 20, MPX_FOREVER), EPIPE);
	for (int left = 10; left > 0;) {
		ssize_t n = mpx_queue_get_many(q, out, sizeof *out, 20, NULL, MPX_FOREVER);
		assert_true(n >= 1 && n <= left);
		left -= (int)n;
	}
	assert_fails(mpx_queue_get_many(q, out, sizeof *out, 20, NULL, MPX_FOREVER), EPIPE);
	assert_fails(mpx_queue_get_many(q, out, sizeof *out, 20, NULL, 0), EPIPE);
	mpx_queue_free(q);
}

static void test_too_large_in_the_middle(void **state)
{
	(void)state;
	static const size_t sizes[] = {10, 20, 100, 5000, 30, 9000};
	static unsigned char buf[6 * 9000];
	size_t got[6];
	mpx_queue *q = queue_new(0, 0);
	for (size_t i = 0; i < 6; i++) {
		fill(buf, sizes[i], i);
		assert_ok(mpx_queue_put(q, buf, sizes[i], 0));
	}
	for (size_t i = 0, cap = 50; i < 6;) {
		memset(buf, 0, sizeof buf);
		ssize_t n = mpx_queue_get_many(q, buf, cap, 6, got, 0);
		if (n < 0) {
			assert_int_equal(errno, EMSGSIZE);
			assert_true(sizes[i] > cap);
			assert_int_equal(mpx_queue_next_size(q, 0), sizes[i]);
			assert_int_equal(mpx_queue_qsize(q), 6 - i);
			cap = sizes[i];
			continue;
		}
		for (ssize_t k = 0; k < n; k++, i++) {
			assert_true(i < 6 && sizes[i] <= cap);
			assert_int_equal(got[k], sizes[i]);
			assert_true(filled(buf + (size_t)k * cap, sizes[i], i));
		}
	}
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
}

/* ---- large, and many -------------------------------------------------------- */

static void test_large(void **state)
{
	(void)state;
	static const size_t sizes[] = {4095, 4096, 4097, 70000, 1 << 20};
	enum { N = 6 };
	unsigned char *in = malloc((size_t)N << 20), *out = malloc((size_t)N << 20);
	size_t got[N];
	mpx_queue *q = queue_new(0, 0);
	assert_non_null(in);
	assert_non_null(out);
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		for (size_t i = 0; i < N; i++)
			fill(in + i * sizes[s], sizes[s], i);
		assert_int_equal(mpx_queue_put_many(q, in, sizes[s], N, 0), N);
		assert_int_equal(mpx_queue_qsize(q), N);
		for (size_t i = 0; i < N;) {
			ssize_t n = mpx_queue_get_many(q, out, sizes[s], N, got, 0);
			assert_true(n >= 1 && (size_t)n <= N - i);
			for (ssize_t k = 0; k < n; k++, i++) {
				assert_int_equal(got[k], sizes[s]);
				assert_true(filled(out + (size_t)k * sizes[s], sizes[s], i));
			}
		}
	}
	mpx_queue_free(q);
	free(in);
	free(out);
}

/* Batches of all sizes, of messages of all sizes, that wander through the rings and from
 * one to the next; puts and gets of one between them. */
static void wander(size_t largest, unsigned backlog, int rounds)
{
	enum { MOST = 200 };
	unsigned char *buf = malloc(MOST * (largest + 1));
	size_t got[MOST], *sizes = calloc(backlog + MOST, sizeof *sizes);
	uint64_t seed = largest;
	unsigned in = 0, out = 0, ring = backlog + MOST;
	mpx_queue *q = queue_new(0, 0);
	assert_non_null(buf);
	assert_non_null(sizes);
	for (int round = 0; round < rounds; round++) {
		size_t n = (size_t)(next_random(&seed) % MOST) + 1;
		if (in - out < backlog && next_random(&seed) % 2) {
			size_t size = (size_t)(next_random(&seed) % (largest + 1));
			for (size_t i = 0; i < n; i++) {
				fill(buf + i * size, size, in);
				sizes[in++ % ring] = size;
			}
			assert_int_equal(mpx_queue_put_many(q, buf, size, n, 0), n);
		} else if (in != out) {
			ssize_t r = mpx_queue_get_many(q, buf, largest, n, got, 0);
			assert_true(r >= 1 && (size_t)r <= n && (unsigned)r <= in - out);
			for (ssize_t i = 0; i < r; i++, out++) {
				assert_int_equal(got[i], sizes[out % ring]);
				assert_true(filled(buf + (size_t)i * largest, got[i], out));
			}
		}
		assert_int_equal(mpx_queue_qsize(q), in - out);
	}
	mpx_queue_free(q); /* with what is still in it */
	free(sizes);
	free(buf);
}

static void test_wandering(void **state)
{
	(void)state;
	wander(16, 2000, 5000);
	wander(300, 300, 5000);
	wander(300, 20000, 3000);
	wander(4096, 50, 1000);
	wander(6000, 1000, 500);
}

/* As many as go into the first ring, and some more: they go to the next. */
static void test_next_ring(void **state)
{
	(void)state;
	enum { N = 20000 };
	static unsigned in[N], out[N];
	mpx_queue *q = queue_new(0, 0);
	count_up(in, N, 0);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, N, 0), N);
		for (unsigned got = 0; got < N;) {
			ssize_t n = mpx_queue_get_many(q, out, sizeof *out, N, NULL, 0);
			assert_true(n >= 1 && (unsigned)n <= N - got);
			assert_counts_up(out, (unsigned)n, got);
			got += (unsigned)n;
		}
		assert_true(mpx_queue_empty(q));
	}
	mpx_queue_free(q);
}

/* In a program of its own, with a heap of 8 MiB: what went in before it was full. */
static int fill_small_heap(void)
{
	enum { SIZE = 4000, N = 4000 };
	static unsigned char in[(size_t)SIZE * N], out[SIZE];
	mpx_queue *q = mpx_queue_new();
	child_check(q != NULL);
	for (size_t i = 0; i < N; i++)
		fill(in + i * SIZE, SIZE, i);
	ssize_t n = mpx_queue_put_many(q, in, SIZE, N, SOON);
	child_check(n > 0 && n < N);
	child_check(mpx_queue_qsize(q) == n);
	child_fails(mpx_queue_put_many(q, in, SIZE, N, SOON), ENOMEM);
	for (ssize_t i = 0; i < n; i++) {
		child_check(mpx_queue_get(q, out, SIZE, 0) == SIZE);
		child_check(filled(out, SIZE, (size_t)i));
	}
	child_check(mpx_queue_put_many(q, in, SIZE, 100, 0) == 100);
	mpx_queue_free(q);
	return 0;
}

static const char *program;

static void test_memory_ends(void **state)
{
	(void)state;
	assert_int_equal(run_anew(program, "fill", "8M", 0), 0);
}

/* ---- several processes --------------------------------------------------------- */

static int get_all_in_turn(void *arg)
{
	unsigned out[7], next = 0;
	ssize_t n;
	while ((n = mpx_queue_get_many(arg, out, sizeof *out, 7, NULL, SOON)) > 0)
		for (ssize_t i = 0; i < n; i++)
			child_check(out[i] == next++);
	child_check(errno == EPIPE);
	child_check(next == 5000);
	return 0;
}

/* More than there is room for, to one who takes some at a time. */
static void test_through_a_narrow_queue(void **state)
{
	(void)state;
	static unsigned in[5000];
	count_up(in, 5000, 0);
	for (size_t max = 1; max <= 9; max += 4) {
		mpx_queue *q = queue_new(max, max == 9 ? 20 : 0);
		mpx_process *p = start(get_all_in_turn, q);
		assert_int_equal(mpx_queue_put_many(q, in, sizeof *in, 5000, 2 * SOON), 5000);
		assert_ok(mpx_queue_close(q));
		ends_well(p);
		mpx_queue_free(q);
	}
}

static int get_one(void *arg)
{
	unsigned x;
	child_check(mpx_queue_get(arg, &x, sizeof x, MPX_FOREVER) == sizeof x);
	return 0;
}

static int put_one(void *arg)
{
	unsigned x = 0;
	child_check(mpx_queue_put(arg, &x, sizeof x, MPX_FOREVER) == 0);
	return 0;
}

static void start_asleep(mpx_process **p, int n, mpx_target *target, mpx_queue *q)
{
	for (int i = 0; i < n; i++)
		p[i] = start(target, q);
	for (int i = 0; i < n; i++)
		assert_soon(asleep(mpx_process_pid(p[i])));
}

/* A batch is for all who wait; so is the room that it leaves. */
static void test_all_are_woken(void **state)
{
	(void)state;
	mpx_process *p[5];
	unsigned x[5] = {0};
	mpx_queue *q = queue_new(5, 0);
	for (int round = 0; round < 5; round++) {
		start_asleep(p, 5, get_one, q);
		assert_int_equal(mpx_queue_put_many(q, x, sizeof *x, 5, 0), 5);
		for (int i = 0; i < 5; i++)
			ends_well(p[i]);
		assert_int_equal(mpx_queue_put_many(q, x, sizeof *x, 5, 0), 5);
		start_asleep(p, 5, put_one, q);
		assert_int_equal(mpx_queue_get_many(q, x, sizeof *x, 5, NULL, 0), 5);
		for (int i = 0; i < 5; i++)
			ends_well(p[i]);
		for (int i = 0; i < 5; i++)
			assert_int_equal(mpx_queue_get(q, x, sizeof *x, 0), sizeof *x);
	}
	mpx_queue_free(q);
}

/* ---- 8 producers, 8 consumers ----------------------------------------------------- */

enum { SIDES = 8, BATCH = 32 };

struct note {
	unsigned producer, seq;
};

struct crowd {
	mpx_queue *q;
	unsigned each;
	atomic_uint members;
	atomic_size_t taken, wrong_size; /* qsize, when it cannot be so */
	_Atomic unsigned char *got;	 /* [SIDES * each] */
};

static void put_some(struct crowd *c, const struct note *notes, size_t n, uint64_t how)
{
	struct note *m;
	if (how % 4 == 0) {
		child_check((m = mpx_queue_reserve(c->q, sizeof *m * n, 2 * SOON)) != NULL);
		memcpy(m, notes, sizeof *m * n);
		child_check(mpx_queue_commit(c->q, m) == 0);
	} else if (how % 4 == 1) {
		for (size_t i = 0; i < n; i++)
			child_check(mpx_queue_put(c->q, &notes[i], sizeof *m, 2 * SOON) == 0);
	} else {
		ssize_t r = mpx_queue_put_many(c->q, notes, sizeof *m, n, 2 * SOON);
		child_check(r == (ssize_t)n);
	}
}

static int produce(void *arg)
{
	struct crowd *c = arg;
	struct note notes[BATCH];
	unsigned me = atomic_fetch_add(&c->members, 1), seq = 0;
	uint64_t seed = me + 1;
	while (seq < c->each) {
		size_t n = (size_t)(next_random(&seed) % BATCH) + 1;
		n = n < c->each - seq ? n : c->each - seq;
		for (size_t i = 0; i < n; i++)
			notes[i] = (struct note){me, seq++};
		put_some(c, notes, n, next_random(&seed));
		if (mpx_queue_qsize(c->q) > (ssize_t)c->each * SIDES)
			atomic_fetch_add(&c->wrong_size, 1);
	}
	return 0;
}

static void account(struct crowd *c, unsigned *next, const struct note *m, size_t size)
{
	child_check(size && size % sizeof *m == 0);
	for (size_t i = 0; i < size / sizeof *m; i++, m++) {
		child_check(m->producer < SIDES && m->seq < c->each);
		child_check(m->seq >= next[m->producer]); /* in order */
		next[m->producer] = m->seq + 1;
		size_t at = (size_t)m->producer * c->each + m->seq;
		child_check(atomic_fetch_add(&c->got[at], 1) == 0);
		atomic_fetch_add_explicit(&c->taken, 1, memory_order_relaxed);
	}
}

/* False: the queue is closed and empty. */
static bool get_some(struct crowd *c, unsigned *next, uint64_t how)
{
	struct note notes[BATCH][BATCH];
	size_t sizes[BATCH];
	const struct note *m;
	ssize_t n = -1;
	if (how % 4 == 0) {
		if ((m = mpx_queue_take(c->q, sizes, 2 * SOON)) != NULL) {
			account(c, next, m, sizes[0]);
			child_check(mpx_queue_release(c->q, m) == 0);
			n = 0;
		}
	} else if (how % 4 == 1) {
		n = mpx_queue_get(c->q, notes, sizeof notes, 2 * SOON);
		if (n >= 0)
			account(c, next, *notes, (size_t)n);
	} else {
		n = mpx_queue_get_many(c->q, notes, sizeof *notes, BATCH, sizes, 2 * SOON);
		for (ssize_t i = 0; i < n; i++)
			account(c, next, notes[i], sizes[i]);
	}
	child_check(n >= 0 || errno == EPIPE);
	return n >= 0;
}

static int consume(void *arg)
{
	struct crowd *c = arg;
	unsigned next[SIDES] = {0};
	uint64_t seed = (uint64_t)getpid();
	while (get_some(c, next, next_random(&seed)))
		continue;
	return 0;
}

static void crowd(mpx_queue *q, size_t messages)
{
	mpx_process *producers[SIDES], *consumers[SIDES];
	struct crowd *c = mpx_calloc(1, sizeof *c);
	assert_non_null(c);
	assert_non_null(q);
	c->q = q;
	c->each = (unsigned)(messages / SIDES);
	assert_non_null(c->got = mpx_calloc(messages, 1));
	for (int i = 0; i < SIDES; i++)
		producers[i] = start(produce, c);
	for (int i = 0; i < SIDES; i++)
		consumers[i] = start(consume, c);
	for (int i = 0; i < SIDES; i++)
		ends_well(producers[i]);
	assert_ok(mpx_queue_close(q));
	for (int i = 0; i < SIDES; i++)
		ends_well(consumers[i]);
	assert_int_equal(atomic_load(&c->taken), messages);
	assert_int_equal(atomic_load(&c->wrong_size), 0);
	for (size_t i = 0; i < messages; i++)
		assert_int_equal(c->got[i], 1);
	assert_int_equal(mpx_queue_qsize(q), 0);
	mpx_queue_free(q);
	mpx_free((void *)c->got);
	mpx_free(c);
}

enum { MESSAGES = SANITIZED ? 40000 : 1000000 };

static void test_million(void **state)
{
	(void)state;
	crowd(mpx_queue_new(), MESSAGES);
}

static void test_million_narrow(void **state)
{
	(void)state;
	crowd(mpx_queue_new(.maxsize = 100), MESSAGES / 4);
	crowd(mpx_queue_new(.bytes = 1000), MESSAGES / 8);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_order),
		mpx_test(test_places),
		mpx_test(test_nothing),
		mpx_test(test_arguments),
		mpx_test(test_maxsize),
		mpx_test(test_bytes),
		mpx_test(test_close),
		mpx_test(test_too_large_in_the_middle),
		mpx_test(test_large),
		mpx_test(test_wandering),
		mpx_test(test_next_ring),
		mpx_test(test_memory_ends),
		mpx_test(test_through_a_narrow_queue),
		mpx_test(test_all_are_woken),
		mpx_test(test_million),
		mpx_test(test_million_narrow),
	};
	program = argv[0];
	if (argc > 1)
		return fill_small_heap();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
