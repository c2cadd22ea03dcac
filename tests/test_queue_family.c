/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_family.c - mpx/queue.h, with many processes and threads:
 *
 *   four producers and four consumers (processes, threads, both), every message
 *   once and in order; a producer joined before anybody reads; queues made after
 *   the fork, or by a child; queues and blocks as messages; grandchildren; exact
 *   counts across processes.
 *
 * A child_check() in a thread ends the whole program, which is a failure too.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- many at once ------------------------------------------------------ */

#define LARGEST 70016

struct head {
	unsigned producer, seq;
};

struct traffic {
	mpx_queue *q;
	unsigned producers, each;
	_Atomic unsigned char *count; /* [producer][seq]: how often it was got */
};

struct role {
	struct traffic *t;
	unsigned id;
};

static size_t size_of(unsigned producer, unsigned seq)
{
	size_t r = (producer * 7919u + seq * 104729u) % 499;
	return sizeof(struct head) + (r == 0 ? 70000 : r);
}

static int produce(void *arg)
{
	const struct role *r = arg;
	unsigned char *m = malloc(LARGEST);
	child_check(m != NULL);
	for (unsigned seq = 0; seq < r->t->each; seq++) {
		struct head h = {r->id, seq};
		size_t n = size_of(r->id, seq);
		memcpy(m, &h, sizeof h);
		fill(m + sizeof h, n - sizeof h, r->id * 31 + seq);
		child_check(mpx_queue_put(r->t->q, m, n, SOON) == 0);
	}
	free(m);
	return 0;
}

static int consume(void *arg)
{
	const struct role *r = arg;
	unsigned next[8] = {0};
	unsigned char *m = malloc(LARGEST);
	child_check(m != NULL);
	for (;;) {
		struct head h;
		ssize_t n = mpx_queue_get(r->t->q, m, LARGEST, SOON);
		if (n < 0)
			break;
		child_check((size_t)n >= sizeof h);
		memcpy(&h, m, sizeof h);
		child_check(h.producer < r->t->producers && h.seq < r->t->each);
		child_check((size_t)n == size_of(h.producer, h.seq));
		child_check(filled(m + sizeof h, (size_t)n - sizeof h, h.producer * 31 + h.seq));
		child_check(h.seq >= next[h.producer]);
		next[h.producer] = h.seq + 1;
		child_check(atomic_fetch_add(&r->t->count[h.producer * r->t->each + h.seq], 1) ==
			    0);
	}
	child_check(errno == EPIPE);
	free(m);
	return 0;
}

static void *produce_in_thread(void *arg)
{
	produce(arg);
	return NULL;
}

static void *consume_in_thread(void *arg)
{
	consume(arg);
	return NULL;
}

/* Four produce, four consume; every message arrives once. */
static void four_by_four(mpx_queue *q, unsigned each, bool processes, bool threads)
{
	struct traffic *t = mpx_calloc(1, sizeof *t);
	static struct role roles[4]; /* threads still look at it when a test has failed */
	mpx_process *p[8];
	pthread_t th[8];
	assert_non_null(t);
	assert_non_null(q);
	*t = (struct traffic){q, 4, each, mpx_calloc(4, each)};
	assert_non_null(t->count);
	for (unsigned i = 0; i < 4; i++)
		roles[i] = (struct role){t, i};
	/* With both, two of each four are processes (made first) and two are threads. */
	unsigned first = processes && threads ? 2 : processes ? 4 : 0;
	for (unsigned i = 0; i < first; i++) {
		p[i] = start(consume, &roles[i]);
		p[4 + i] = start(produce, &roles[i]);
	}
	for (unsigned i = first; i < 4; i++) {
		assert_int_equal(pthread_create(&th[i], NULL, consume_in_thread, &roles[i]), 0);
		assert_int_equal(pthread_create(&th[4 + i], NULL, produce_in_thread, &roles[i]), 0);
	}
	for (unsigned i = 0; i < first; i++)
		ends_well(p[4 + i]);
	for (unsigned i = first; i < 4; i++)
		assert_int_equal(pthread_join(th[4 + i], NULL), 0);
	assert_ok(mpx_queue_close(q));
	for (unsigned i = 0; i < first; i++)
		ends_well(p[i]);
	for (unsigned i = first; i < 4; i++)
		assert_int_equal(pthread_join(th[i], NULL), 0);
	for (unsigned i = 0; i < 4 * each; i++)
		assert_int_equal(atomic_load(&t->count[i]), 1);
	assert_int_equal(mpx_queue_qsize(q), 0);
	mpx_queue_free(q);
	mpx_free((void *)t->count);
	mpx_free(t);
}

static void test_threads(void **state)
{
	(void)state;
	four_by_four(mpx_queue_new(), 8000, false, true);
	four_by_four(mpx_queue_new(.maxsize = 1), 2000, false, true);
	four_by_four(mpx_queue_new(.maxsize = 64), 4000, false, true);
	four_by_four(mpx_queue_new(.bytes = LARGEST), 4000, false, true);
}

static void test_processes(void **state)
{
	(void)state;
	four_by_four(mpx_queue_new(), 8000, true, false);
	four_by_four(mpx_queue_new(.maxsize = 1), 2000, true, false);
	four_by_four(mpx_queue_new(.maxsize = 64), 4000, true, false);
	four_by_four(mpx_queue_new(.bytes = LARGEST), 4000, true, false);
}

static void test_processes_and_threads(void **state)
{
	(void)state;
	if (THREAD_SANITIZED) /* it sees nothing of what is ordered by another process */
		skip();
	four_by_four(mpx_queue_new(), 4000, true, true);
	four_by_four(mpx_queue_new(.maxsize = 8), 2000, true, true);
}

/* ---- processes --------------------------------------------------------- */

static int put_megabytes(void *arg)
{
	const size_t n = 1 << 20;
	unsigned char *m = malloc(n);
	child_check(m != NULL);
	for (size_t i = 0; i < 10; i++) {
		fill(m, n, i);
		child_check(mpx_queue_put(arg, m, n, 0) == 0);
	}
	free(m);
	return 0;
}

/* Python deadlocks here (gh-73983): the producer is joined before anybody reads. */
static void test_join_before_drain(void **state)
{
	(void)state;
	const size_t n = 1 << 20;
	unsigned char *m = malloc(n);
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_non_null(m);
	ends_well(start(put_megabytes, q));
	assert_int_equal(run_child(put_megabytes, q), 0); /* likewise, of a plain fork */
	assert_int_equal(mpx_queue_qsize(q), 20);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(mpx_queue_get(q, m, n, 0), n);
		assert_true(filled(m, n, i % 10));
	}
	assert_true(mpx_queue_empty(q));
	free(m);
	mpx_queue_free(q);
}

/* Gets queues through a queue and answers each in itself, until there are no more. */
struct mail {
	mpx_queue *in, *done;
};

static int answer(void *arg)
{
	const struct mail *mail = arg;
	mpx_queue *q;
	while (mpx_queue_get(mail->in, &q, sizeof q, SOON) == sizeof q) {
		child_check(mpx_queue_put(q, &q, sizeof q, SOON) == 0);
		child_check(mpx_queue_put(mail->done, &q, sizeof q, SOON) == 0);
	}
	child_check(errno == EPIPE);
	return 0;
}

static void test_queue_made_after_fork(void **state)
{
	(void)state;
	struct mail mail = {mpx_queue_new(), mpx_queue_new()};
	mpx_queue *back;
	assert_non_null(mail.in);
	assert_non_null(mail.done);
	mpx_process *p = start(answer, &mail);
	for (int i = 0; i < 100; i++) {
		mpx_queue *q = mpx_queue_new(.maxsize = 1);
		assert_non_null(q);
		assert_ok(mpx_queue_put(mail.in, &q, sizeof q, 0));
		assert_int_equal(mpx_queue_get(q, &back, sizeof back, SOON), sizeof back);
		assert_ptr_equal(back, q);
		/* Nobody else may be inside a call on what is freed. */
		assert_int_equal(mpx_queue_get(mail.done, &back, sizeof back, SOON), sizeof back);
		mpx_queue_free(q);
	}
	assert_ok(mpx_queue_close(mail.in));
	ends_well(p);
	mpx_queue_free(mail.in);
	mpx_queue_free(mail.done);
}

/* The other way round: the child makes it, and the parent frees it. */
static int make_one(void *arg)
{
	_Atomic(mpx_queue *) *mailbox = arg;
	mpx_queue *q = mpx_queue_new();
	child_check(q != NULL);
	child_check(mpx_queue_put(q, "from a child", 12, 0) == 0);
	atomic_store(mailbox, q);
	return 0;
}

static int free_it(void *arg)
{
	mpx_queue_free(arg);
	return 0;
}

static void test_queue_made_by_a_child(void **state)
{
	(void)state;
	char m[12];
	_Atomic(mpx_queue *) *mailbox = mpx_calloc(1, sizeof *mailbox);
	assert_non_null(mailbox);
	mpx_process *p = start(make_one, (void *)mailbox);
	assert_soon(atomic_load(mailbox) != NULL);
	mpx_queue *q = atomic_load(mailbox);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, SOON), 12);
	assert_memory_equal(m, "from a child", 12);
	ends_well(p); /* and still works when its maker has ended */
	assert_ok(mpx_queue_put(q, m, sizeof m, 0));
	ends_well(start(free_it, q));
	assert_fails(mpx_queue_qsize(q), EINVAL);
	mpx_free((void *)mailbox);
}

static int sum_and_free(void *arg)
{
	int *block;
	ssize_t n;
	while ((n = mpx_queue_get(arg, &block, sizeof block, SOON)) == sizeof block) {
		for (int i = 0; i < 100; i++)
			child_check(block[i] == block[0] + i);
		mpx_free(block);
	}
	child_check(n == -1 && errno == EPIPE);
	return 0;
}

static void test_pointers_as_messages(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	mpx_process *p = start(sum_and_free, q);
	for (int i = 0; i < 1000; i++) {
		int *block = mpx_malloc(100 * sizeof *block);
		assert_non_null(block);
		for (int k = 0; k < 100; k++)
			block[k] = i + k;
		assert_ok(mpx_queue_put(q, &block, sizeof block, SOON));
	}
	assert_ok(mpx_queue_close(q));
	ends_well(p);
	mpx_queue_free(q);
}

static int put_grandson(void *arg)
{
	child_check(mpx_queue_put(arg, "grandson", 8, 0) == 0);
	return 0;
}

static int have_a_son(void *arg)
{
	mpx_process *p = mpx_process_new(.target = put_grandson, .args = arg);
	child_check(p != NULL);
	child_check(mpx_process_start(p) == 0);
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_queue_put(arg, "son", 3, 0) == 0);
	return 0;
}

static void test_grandson(void **state)
{
	(void)state;
	char m[8];
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	mpx_process *p = start(have_a_son, q);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, SOON), 8);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, SOON), 3);
	ends_well(p);
	mpx_queue_free(q);
}

/* Python's qsize, empty and full are approximate; these are exact across processes. */
static int put_three(void *arg)
{
	child_check(mpx_queue_empty(arg) && mpx_queue_qsize(arg) == 0);
	for (int i = 0; i < 3; i++)
		child_check(mpx_queue_put(arg, &i, sizeof i, 0) == 0);
	child_check(mpx_queue_full(arg) && mpx_queue_qsize(arg) == 3);
	child_fails(mpx_queue_put(arg, "", 1, 0), ETIMEDOUT);
	return 0;
}

static void test_counts_across_processes(void **state)
{
	(void)state;
	int x;
	mpx_queue *q = mpx_queue_new(.maxsize = 3);
	assert_non_null(q);
	ends_well(start(put_three, q));
	assert_true(mpx_queue_full(q));
	assert_int_equal(mpx_queue_qsize(q), 3);
	for (int i = 0; i < 3; i++) {
		assert_false(mpx_queue_empty(q));
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x); /* at once */
		assert_int_equal(x, i);
	}
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_threads),
		mpx_test(test_processes),
		mpx_test(test_processes_and_threads),
		mpx_test(test_join_before_drain),
		mpx_test(test_queue_made_after_fork),
		mpx_test(test_queue_made_by_a_child),
		mpx_test(test_pointers_as_messages),
		mpx_test(test_grandson),
		mpx_test(test_counts_across_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
