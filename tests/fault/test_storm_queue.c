/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Four producers and four consumers of one queue, messages of 8 bytes to 70 KiB, put
 * and got alone, many at once, or without copying, and task_done for each; random
 * kills; each member writes down in shared memory what it is about to do and
 * what it has done. Then: a message whose put was reported is delivered exactly once,
 * except those of one call at most per consumer that was killed inside get; a message
 * whose put was not reported is delivered at most once, and only those of the last call
 * of a killed producer; no message is torn; each consumer gets the messages of each
 * producer in order; no stall; no block is left; and unfinished is what consumers that
 * were killed had in their hands, nothing else. The same with SIGSTOP and SIGCONT in
 * place of kills: nothing at all is lost.
 *
 * Seen to fail with these broken in src/ipc/queue_recover.c: head compared with
 * head_before in recover_consumers (members wait for ever); mpx__free_noted
 * there (long form: a block is left). Kills and the long form: storm.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <sched.h>
#include <signal.h>

enum { PRODUCERS = 4, CONSUMERS = 4, MEMBERS = PRODUCERS + CONSUMERS };
enum { KILLS = 200, LIVES = PRODUCERS + KILLS, EACH = 1 << 18, LARGEST = 70 * 1024 };
enum { BACKLOG = 1000, BATCH = 8, MOST = 4 }; /* put at once, and got at once */

struct head {
	uint32_t life, seq;
};

/* A producer process, from its start to its end. */
struct life {
	atomic_uint begun, done; /* puts */
	bool killed;
	_Atomic uint64_t got[EACH / 64];
};

struct account {
	mpx_queue *q;
	atomic_bool stop;
	struct storm_ticks gets;
	atomic_bool inside[CONSUMERS];	    /* get, or just behind it */
	atomic_uint next[CONSUMERS][LIVES]; /* the least seq that may come */
	struct life life[LIVES];
};

struct member {
	struct account *a;
	unsigned life;	   /* of a producer */
	unsigned consumer; /* its number */
	pid_t *pid;
	mpx_process *process;
};

/* Every fourth eight are put at once, and have one size. */
static bool is_batch(unsigned life, unsigned seq)
{
	uint64_t seed = (uint64_t)life << 32 | seq / BATCH;
	return next_random(&seed) % 4 == 0;
}

static size_t size_of(unsigned life, unsigned seq)
{
	uint64_t seed = (uint64_t)life << 32 | (is_batch(life, seq) ? seq / BATCH * BATCH : seq);
	uint64_t r = next_random(&seed);
	size_t n = (r >> 32) % 32;

	if (r % 8 == 0)
		n = (r >> 32) % 6000;
	else if (r % 32 == 1)
		n = (r >> 32) % (LARGEST - 7);
	return sizeof(struct head) + n;
}

/* What follows the head of a message: quick to write and to compare, since the
 * members shall spend their time in the queue. */
static unsigned char pattern[LARGEST + 256];

static const unsigned char *pattern_of(struct head head)
{
	return pattern + (head.life * 31 + head.seq * 7) % 256;
}

static size_t compose(unsigned char *msg, unsigned life, unsigned seq)
{
	struct head head = {life, seq};
	size_t n = size_of(life, seq);

	memcpy(msg, &head, sizeof head);
	memcpy(msg + sizeof head, pattern_of(head), n - sizeof head);
	return n;
}

static void put_without_copying(mpx_queue *q, unsigned life, unsigned seq)
{
	unsigned char *msg = mpx_queue_reserve(q, size_of(life, seq), SOON);

	child_check(msg != NULL);
	if (seq % 4 == 0) { /* changes its mind */
		child_check(mpx_queue_cancel(q, msg) == 0);
		child_check((msg = mpx_queue_reserve(q, size_of(life, seq), SOON)) != NULL);
	}
	compose(msg, life, seq);
	child_check(mpx_queue_commit(q, msg) == 0);
}

/* One message, or eight. */
static void put_next(struct account *a, unsigned number, unsigned seq)
{
	struct life *life = &a->life[number];
	static unsigned char msg[BATCH * LARGEST];
	unsigned n = seq % BATCH == 0 && is_batch(number, seq) ? BATCH : 1;
	size_t size = size_of(number, seq);

	atomic_store(&life->begun, seq + n);
	for (unsigned i = 0; i < n; i++)
		compose(msg + i * size, number, seq + i);
	if (n > 1)
		child_check(mpx_queue_put_many(a->q, msg, size, n, SOON) == (ssize_t)n);
	else if (seq % 3 == 0)
		put_without_copying(a->q, number, seq);
	else
		child_check(mpx_queue_put(a->q, msg, size, SOON) == 0);
	atomic_store(&life->done, seq + n);
}

static int produce(void *arg)
{
	const struct member *m = arg;
	struct account *a = m->a;
	atomic_uint *next = &a->life[m->life].done;

	while (atomic_load(next) < EACH && !atomic_load(&a->stop)) {
		while (mpx_queue_qsize(a->q) > BACKLOG && !atomic_load(&a->stop))
			sched_yield();
		put_next(a, m->life, atomic_load(next));
	}
	return 0;
}

static void check_message(struct account *a, unsigned consumer, const unsigned char *msg, size_t n)
{
	struct head head;
	uint64_t bit;

	child_check(n >= sizeof head);
	memcpy(&head, msg, sizeof head);
	child_check(head.life < LIVES && head.seq < EACH);
	child_check(n == size_of(head.life, head.seq));
	child_check(memcmp(msg + sizeof head, pattern_of(head), n - sizeof head) == 0);
	child_check(head.seq >= atomic_load(&a->next[consumer][head.life]));
	atomic_store(&a->next[consumer][head.life], head.seq + 1);
	bit = UINT64_C(1) << head.seq % 64;
	child_check(!(atomic_fetch_or(&a->life[head.life].got[head.seq / 64], bit) & bit));
}

/* How many it got; -1 at the end. */
static ssize_t get_and_check(struct account *a, unsigned consumer, unsigned how)
{
	static unsigned char msg[MOST * LARGEST];
	size_t sizes[MOST];
	const void *taken;
	ssize_t n;

	if (how % 3 == 0) {
		n = mpx_queue_get_many(a->q, msg, LARGEST, MOST, sizes, SOON);
		for (ssize_t i = 0; i < n; i++)
			check_message(a, consumer, msg + (size_t)i * LARGEST, sizes[i]);
	} else if (how % 3 == 1) {
		n = mpx_queue_get(a->q, msg, sizeof msg, SOON);
		if (n < 0)
			return n;
		check_message(a, consumer, msg, (size_t)n);
		n = 1;
	} else {
		taken = mpx_queue_take(a->q, sizes, SOON);
		if (!taken)
			return -1;
		check_message(a, consumer, taken, sizes[0]);
		child_check(mpx_queue_release(a->q, taken) == 0);
		n = 1;
	}
	return n;
}

static int consume(void *arg)
{
	const struct member *m = arg;
	struct account *a = m->a;

	for (unsigned how = 0;; how++) {
		ssize_t n;

		atomic_store(&a->inside[m->consumer], true);
		n = get_and_check(a, m->consumer, how);
		if (n == -1 && errno == EPIPE)
			return 0;
		child_check(n >= 1);
		if (!atomic_load(&a->stop))
			storm_tick(&a->gets);
		for (; n > 0; n--)
			child_check(mpx_queue_task_done(a->q) == 0);
		atomic_store(&a->inside[m->consumer], false);
	}
}

static void begin(struct member *m, bool producer, unsigned *lives)
{
	if (producer) {
		assert_true(*lives < LIVES);
		m->life = (*lives)++;
	}
	m->process = start(producer ? produce : consume, m);
	*m->pid = mpx_process_pid(m->process);
}

/* How many messages of this life have been lost. */
static unsigned check_life(struct life *life, size_t *delivered)
{
	unsigned begun = atomic_load(&life->begun), done = atomic_load(&life->done), lost = 0;

	assert_true(begun == done || (begun <= done + BATCH && life->killed));
	for (unsigned seq = 0; seq < EACH; seq++) {
		bool got = atomic_load(&life->got[seq / 64]) >> seq % 64 & 1;

		*delivered += got;
		lost += seq < done && !got;
		assert_true(!got || seq < begun);
	}
	return lost;
}

static void settle(struct account *a, unsigned lives, unsigned killed_inside)
{
	unsigned lost = 0;
	size_t delivered = 0;

	for (unsigned i = 0; i < lives; i++)
		lost += check_life(&a->life[i], &delivered);
	if (lost > killed_inside * MOST)
		fail_msg("%u messages lost, %u consumers killed in get", lost, killed_inside);
	assert_true(delivered > 0);
}

/* All who took are gone: what they did not finish, the dead had in their hands. */
static void finish(mpx_queue *q, unsigned killed_inside, bool by_hand)
{
	unsigned n = 0;
	int error;

	while (by_hand && n <= killed_inside * MOST && mpx_queue_task_done(q) == 0)
		n++;
	if (n > killed_inside * MOST)
		fail_msg("more are unfinished than %u consumers left", killed_inside);
	error = mpx_queue_join(q, SOON) == 0 ? 0 : errno;
	assert_true(error == 0 || (error == EOWNERDEAD && killed_inside && !by_hand));
	assert_ok(mpx_queue_join(q, 0));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
}

static void kill_one(struct member *m, bool producer, unsigned *lives, unsigned *killed_inside)
{
	struct account *a = m->a;
	int code = storm_kill(m->process);

	assert_true(code == -SIGKILL || (code == 0 && producer));
	if (producer)
		a->life[m->life].killed = code != 0;
	else if (atomic_load(&a->inside[m->consumer]))
		++*killed_inside;
	begin(m, producer, lives);
}

static void stop_one(const struct member *m, uint64_t *seed)
{
	pid_t pid = mpx_process_pid(m->process);

	assert_ok(kill(pid, SIGSTOP));
	storm_pause(seed);
	assert_ok(kill(pid, SIGCONT));
}

static void end_all(struct account *a, struct member *m)
{
	atomic_store(&a->stop, true);
	for (int i = 0; i < PRODUCERS; i++)
		ends_well(m[i].process);
	assert_ok(mpx_queue_close(a->q));
	for (int i = PRODUCERS; i < MEMBERS; i++)
		ends_well(m[i].process);
	assert_int_equal(mpx_queue_qsize(a->q), 0);
	storm_ticks_end(&a->gets);
}

static void storm(uint64_t *seed, size_t before, mpx_queue *q, bool deadly)
{
	struct account *a = mpx_calloc(1, sizeof *a);
	struct member m[MEMBERS];
	pid_t pids[MEMBERS];
	unsigned lives = 0, killed_inside = 0;

	assert_non_null(a);
	assert_non_null(q);
	a->q = q;
	fill(pattern, sizeof pattern, 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		m[i] = (struct member){.a = a, .consumer = i - PRODUCERS, .pid = &pids[i]};
		begin(&m[i], i < PRODUCERS, &lives);
	}
	for (int i = 0; i < KILLS && !storm_late(); i++) {
		unsigned who;

		storm_pause(seed);
		who = storm_victim(seed, pids, MEMBERS);
		if (deadly)
			kill_one(&m[who], who < PRODUCERS, &lives, &killed_inside);
		else
			stop_one(&m[who], seed);
	}
	end_all(a, m);
	settle(a, lives, killed_inside);
	finish(q, killed_inside, next_random(seed) % 2);
	mpx_queue_free(q);
	mpx_free(a);
	storm_heap_has(before);
}

static void round_unbounded(uint64_t *seed)
{
	size_t before = heap_blocks();
	storm(seed, before, mpx_queue_new(), true);
}

static void round_maxsize(uint64_t *seed)
{
	size_t before = heap_blocks();
	storm(seed, before, mpx_queue_new(.maxsize = 16), true);
}

static void round_bytes(uint64_t *seed)
{
	size_t before = heap_blocks();
	storm(seed, before, mpx_queue_new(.bytes = 2 * LARGEST), true);
}

static void round_stopped(uint64_t *seed)
{
	size_t before = heap_blocks();
	storm(seed, before, mpx_queue_new(.maxsize = 16), false);
}

static void test_unbounded(void **state)
{
	(void)state;
	storm_run("queue", round_unbounded);
}

static void test_maxsize(void **state)
{
	(void)state;
	storm_run("queue, 16 messages", round_maxsize);
}

static void test_bytes(void **state)
{
	(void)state;
	storm_run("queue, 140 KiB", round_bytes);
}

static void test_stopped(void **state)
{
	(void)state;
	storm_run("queue, SIGSTOP", round_stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_unbounded),
		mpx_test(test_maxsize),
		mpx_test(test_bytes),
		mpx_test(test_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
