/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Counters that wrap: what takes years to come about is set a few steps before it
 * (inside the library's own structures), and then everything is done as ever: a queue's
 * counts, positions and bytes, eventcounts, generations in the table of peers, serial
 * numbers of the heap. And a table of peers with few places left.
 *
 * Seen to fail with, in src/shm/peers.c: no end to generations; a pid without one, or told to
 * another one; nobody buries the abandoned in take_slot; who is nobody does (test_no_place), or
 * leaves a dead one's blocks. In src/ipc/queue_get.c: EAGAIN for NOTHING. In src/ipc/ring.c: ends
 * compared instead of subtracted (has_room). In src/ipc/queue.h: the count as a difference of 64
 * bits (mpx__queue_count).
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include "ipc/queue.h"
#include "shm/family.h"

#include <signal.h>

enum { BEFORE = 50, MESSAGES = 400, GENERATIONS_END = 1 << 18 };

/* --- queues ------------------------------------------------------------------------------- */

/* As if it had been in use for years: it is empty. */
static mpx_queue *old_queue(size_t maxsize, size_t bytes)
{
	mpx_queue *q = mpx_queue_new(.maxsize = maxsize, .bytes = bytes);
	assert_non_null(q);
	uint64_t at = (uint64_t)(UINT32_MAX - BEFORE + 1) << 32 | (UINT32_MAX - 64 * BEFORE + 1);
	struct mpx__ring *ring = q->p.ring;
	ring->seen_head = at;
	atomic_store(&ring->head, at);
	atomic_store(&ring->tail, at);
	atomic_store(mpx__ring_word(ring, (uint32_t)at), MPX__RECORD_NONE);
	mpx__queue_look_here(q);
	q->p.tail_before = q->c.head_before = at;
	atomic_store(&q->p.count, UINT32_MAX - BEFORE + 1);
	atomic_store(&q->c.count, UINT32_MAX - BEFORE + 1);
	atomic_store(&q->p.bytes, UINT64_MAX - 4000);
	atomic_store(&q->c.bytes, UINT64_MAX - 4000);
	atomic_store(&q->items, UINT32_MAX - 2 * BEFORE + 1);
	atomic_store(&q->space, UINT32_MAX - 2 * BEFORE + 1);
	return q;
}

static size_t size_of(unsigned i)
{
	static const size_t sizes[] = {8, 100, 4, 4096, 900, 5000, 40, 9000};
	return sizes[i % 8];
}

static void put_number(mpx_queue *q, unsigned i)
{
	unsigned char bytes[9000];
	fill(bytes, size_of(i), i * 3 + 1);
	assert_ok(mpx_queue_put(q, bytes, size_of(i), SOON));
}

static bool is_number(const unsigned char *bytes, ssize_t n, unsigned i)
{
	return n == (ssize_t)size_of(i) && filled(bytes, (size_t)n, i * 3 + 1);
}

static void get_number(mpx_queue *q, unsigned i)
{
	unsigned char bytes[9000];
	ssize_t n = mpx_queue_get(q, bytes, sizeof bytes, 0);
	assert_true(is_number(bytes, n, i));
}

static void test_queue_counts(void **state)
{
	(void)state;
	mpx_queue *q = old_queue(0, 0);
	unsigned put = 0, got = 0;
	/* It grows and shrinks, and is full of rings at the wrap. */
	for (unsigned step = 0; got < 2 * MESSAGES; step++) {
		for (unsigned i = 0; i < 7 && put < 2 * MESSAGES; i++)
			put_number(q, put++);
		assert_int_equal(mpx_queue_qsize(q), put - got);
		for (unsigned i = 0; i < (step % 9 == 8 ? 50 : 2) && got < put; i++)
			get_number(q, got++);
		assert_int_equal(mpx_queue_qsize(q), put - got);
		assert_int_equal(mpx_queue_empty(q), put == got);
	}
	mpx_queue_free(q);
}

static void test_queue_limits(void **state)
{
	(void)state;
	mpx_queue *q = old_queue(3, 0);
	for (unsigned i = 0; i < 2 * BEFORE; i++) {
		for (unsigned k = 0; k < 3; k++)
			put_number(q, i + k);
		assert_true(mpx_queue_full(q));
		assert_fails(mpx_queue_put(q, "", 1, 0), ETIMEDOUT);
		for (unsigned k = 0; k < 3; k++)
			get_number(q, i + k);
	}
	mpx_queue_free(q);
	q = old_queue(0, 1000);
	for (unsigned i = 0; i < BEFORE; i++) {
		unsigned char bytes[400] = {0};
		assert_ok(mpx_queue_put(q, bytes, 400, 0));
		assert_ok(mpx_queue_put(q, bytes, 400, 0));
		assert_fails(mpx_queue_put(q, bytes, 400, 0), ETIMEDOUT);
		assert_int_equal(mpx_queue_get(q, bytes, 400, 0), 400);
		assert_int_equal(mpx_queue_get(q, bytes, 400, 0), 400);
	}
	mpx_queue_free(q);
}

/* Each waits for the other at every message: two eventcounts go round. */
struct pair {
	mpx_queue *there, *back;
};

static int answer(void *arg)
{
	struct pair *p = arg;
	unsigned char bytes[9000];
	for (unsigned i = 0; i < MESSAGES; i++) {
		ssize_t n = mpx_queue_get(p->there, bytes, sizeof bytes, SOON);
		child_check(is_number(bytes, n, i));
		child_check(mpx_queue_put(p->back, bytes, (size_t)n, SOON) == 0);
	}
	return 0;
}

static void test_eventcounts(void **state)
{
	(void)state;
	struct pair p = {old_queue(1, 0), old_queue(1, 0)};
	unsigned char bytes[9000];
	mpx_process *other = start(answer, &p);
	for (unsigned i = 0; i < MESSAGES; i++) {
		put_number(p.there, i);
		ssize_t n = mpx_queue_get(p.back, bytes, sizeof bytes, SOON);
		assert_true(is_number(bytes, n, i));
	}
	ends_well(other);
	mpx_queue_free(p.there);
	mpx_queue_free(p.back);
}

static int put_many(void *arg)
{
	for (unsigned i = 0;; i++) {
		unsigned char bytes[9000];
		fill(bytes, size_of(i), i * 3 + 1);
		child_check(mpx_queue_put(arg, bytes, size_of(i), SOON) == 0);
	}
	return 0;
}

/* Killed somewhere before or behind the wrap: the next holder puts counts right. */
static void test_killed_at_the_wrap(void **state)
{
	(void)state;
	for (unsigned long round = 0; round < 30; round++) {
		mpx_queue *q = old_queue(0, 0);
		unsigned char bytes[9000];
		unsigned got = 0;
		mpx_process *p = start(put_many, q);
		assert_soon(mpx_queue_qsize(q) >= (ssize_t)(round * 4));
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
		ssize_t n, left = mpx_queue_qsize(q);
		while ((n = mpx_queue_get(q, bytes, sizeof bytes, 0)) >= 0)
			assert_true(is_number(bytes, n, got++));
		assert_int_equal(got, left);
		assert_int_equal(mpx_queue_qsize(q), 0);
		mpx_queue_free(q);
	}
}

/* --- generations ---------------------------------------------------------------------------- */

static uint32_t generation(uint32_t place)
{
	return (uint32_t)atomic_load(&mpx__family_base->peers.slot[place].word) >> 2;
}

static int acquire_and_die(void *arg)
{
	if (mpx_lock_acquire(arg, SOON) == 0)
		raise(SIGKILL);
	return 1;
}

static int acquire_and_return(void *arg)
{
	child_check(mpx_lock_acquire(arg, SOON) == 0);
	child_check(mpx_lock_release(arg) == 0);
	return 7;
}

/* One place in the table, and many who die there one after the other. */
static void test_generations(void **state)
{
	(void)state;
	struct mpx__peers *peers = &mpx__family_base->peers;
	mpx_lock *l = mpx_lock_new();
	uint32_t place = 1000, last = GENERATIONS_END - 6;
	bool wrapped = false;
	assert_non_null(l);
	assert_int_equal(generation(place), 0); /* never taken so far */
	atomic_store(&peers->slot[place].word, (uint64_t)last << 2);
	for (int i = 0; i < 20; i++) {
		atomic_store(&peers->cursor, place);
		mpx_process *p = start(i % 2 ? acquire_and_die : acquire_and_return, l);
		assert_int_equal(ends(p), i % 2 ? -SIGKILL : 7);
		if (i % 2) {
			assert_fails(mpx_lock_acquire(l, SOON), EOWNERDEAD);
			assert_ok(mpx_lock_consistent(l));
			assert_ok(mpx_lock_release(l));
		}
		uint32_t g = generation(place);
		assert_true(g > 0 && g < GENERATIONS_END && g != last);
		wrapped = wrapped || g < last;
		last = g;
	}
	assert_true(wrapped);
	mpx_lock_free(l);
}

static int reserve_and_die(void *arg)
{
	*(uint32_t *)arg = mpx__peer_reserve();
	raise(SIGKILL);
	return 1;
}

/* A pid belongs to one generation: who had the place before, and told it too late, do not
 * count for who has it now. */
static void test_pid_of_a_former_generation(void **state)
{
	(void)state;
	uint32_t place = 1001, before, *id = mpx_calloc(1, sizeof *id);
	assert_non_null(id);
	atomic_store(&mpx__family_base->peers.cursor, place);
	before = mpx__peer_reserve();
	assert_int_equal(before % MPX__PEER_SLOTS, place);
	assert_int_equal(mpx__peer_pid(before), 0);
	mpx__peer_set_pid(before, getpid());
	assert_int_equal(mpx__peer_pid(before), getpid());
	mpx__peer_cancel(before);
	atomic_store(&mpx__family_base->peers.cursor, place - 1); /* itself takes the other */
	assert_int_equal(run_child(reserve_and_die, id), -SIGKILL);
	assert_int_equal(*id % MPX__PEER_SLOTS, place);
	assert_int_equal(mpx__peer_pid(*id), 0);
	assert_true(mpx__peer_dead(*id));
	mpx__peer_bury(*id);
	/* one that is alive keeps its own */
	atomic_store(&mpx__family_base->peers.cursor, place);
	*id = mpx__peer_reserve();
	assert_int_equal(*id % MPX__PEER_SLOTS, place);
	mpx__peer_set_pid(*id, 1);
	mpx__peer_set_pid(before, getpid());
	assert_int_equal(mpx__peer_pid(*id), 1);
	mpx__peer_cancel(*id);
	mpx_free(id);
}

/* --- places ----------------------------------------------------------------------------------- */

/* A table that is nearly full, and many times more processes than it has places left:
 * children, and forks that nobody has reserved for, most of them killed. */
static void test_few_places(void **state)
{
	(void)state;
	static uint32_t taken[MPX__PEER_SLOTS - 60];
	enum { TAKEN = MPX__PEER_SLOTS - 60 };
	mpx_lock *l = mpx_lock_new();
	assert_non_null(l);
	for (int i = 0; i < TAKEN; i++)
		assert_true(taken[i] = mpx__peer_reserve());
	for (int i = 0; i < 400; i++) {
		bool dies = i % 4 != 0;
		if (i % 2)
			assert_int_equal(run_child(acquire_and_die, l), -SIGKILL);
		else
			assert_int_equal(
				ends(start(dies ? acquire_and_die : acquire_and_return, l)),
				dies ? -SIGKILL : 7);
		if (dies) {
			assert_fails(mpx_lock_acquire(l, SOON), EOWNERDEAD);
			assert_ok(mpx_lock_consistent(l));
			assert_ok(mpx_lock_release(l));
		}
	}
	for (int i = 0; i < TAKEN; i++)
		mpx__peer_cancel(taken[i]);
	mpx_lock_free(l);
}

/* --- none at all: who has no place is told so; a dead one's place will do ------------------- */

static int without_a_place(void *arg)
{
	mpx_queue *q = arg;
	char byte;
	double begin = now();
	child_fails(mpx_queue_get(q, &byte, 1, 0), EAGAIN);
	child_fails(mpx_queue_get(q, &byte, 1, 20), EAGAIN);
	child_fails(mpx_queue_put(q, "x", 1, 20), EAGAIN);
	child_check(now() - begin < 15);
	return 0;
}

static uint64_t blocks_now(void)
{
	uint64_t blocks, used, dirty;
	mpx__heap_count(&blocks, &used, &dirty);
	return blocks;
}

static int die_with_a_block(void *unused)
{
	(void)unused;
	child_check(mpx__heap_alloc(100, mpx__self()));
	raise(SIGKILL);
	return 0;
}

static int take_the_place(void *arg)
{
	child_check(mpx__self());
	child_check(blocks_now() == *(const uint64_t *)arg);
	return die_with_a_block(arg);
}

static void test_no_place(void **state)
{
	(void)state;
	enum { MOST = MPX__PEER_SLOTS };
	static uint32_t taken[MOST];
	mpx_queue *q = mpx_queue_new();
	uint64_t blocks;
	int n = 0;
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "x", 1, SOON));
	blocks = blocks_now();
	while (n < MOST && (taken[n] = mpx__peer_reserve()))
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(run_child(without_a_place, q), 0);
	mpx__peer_cancel(taken[--n]);
	assert_int_equal(run_child(die_with_a_block, NULL), -SIGKILL);
	assert_int_equal(blocks_now(), blocks + 1);
	for (int i = 0; i < 30; i++)
		assert_int_equal(run_child(take_the_place, &blocks), -SIGKILL);
	while (n > 0)
		mpx__peer_cancel(taken[--n]);
	mpx_queue_free(q);
}

/* --- serial numbers --------------------------------------------------------------------------- */

static void test_serials(void **state)
{
	(void)state;
	struct mpx__heap *heap = &mpx__family_base->heap;
	heap->serial = UINT64_MAX - BEFORE;
	test_queue_counts(state);
	heap->serial = UINT64_MAX - BEFORE;
	test_killed_at_the_wrap(state);
	assert_true(heap->serial < UINT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_queue_counts), mpx_test(test_queue_limits),
		mpx_test(test_eventcounts),  mpx_test(test_killed_at_the_wrap),
		mpx_test(test_generations),  mpx_test(test_pid_of_a_former_generation),
		mpx_test(test_few_places),   mpx_test(test_no_place),
		mpx_test(test_serials),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
