/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_kill.c - mpx/queue.h, with SIGKILL:
 *
 *   consumers killed asleep in get and next_size, producers killed asleep in a put
 *   on a full queue: those who wait beside them go on; a consumer killed at the
 *   moment it is woken; and 300 random kills of producers and consumers with all
 *   messages accounted for: what was put arrives exactly once, but for one at most
 *   per killed consumer; one at most more than was told per killed producer; all
 *   memory comes back.
 *
 * MPX_TEST_SEED in the environment replays a run of the random kills.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

static void kill_and_free(mpx_process *p)
{
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ends(p), -SIGKILL);
}

/* Until 0.003 seconds: the random moment of a kill, not a wait for anything. */
static void random_pause(uint64_t *seed)
{
	struct timespec t = {0, (long)(next_random(seed) % 3000000)};
	nanosleep(&t, NULL);
}

/* ---- killed asleep ----------------------------------------------------- */

struct waiters {
	mpx_queue *q;
	atomic_int ready;
	atomic_int done;
};

static int get_one(void *arg)
{
	struct waiters *w = arg;
	char m[8];
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_get(w->q, m, sizeof m, SOON) == 3);
	atomic_fetch_add(&w->done, 1);
	return 0;
}

static int see_one(void *arg)
{
	struct waiters *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_next_size(w->q, SOON) == 3);
	atomic_fetch_add(&w->done, 1);
	return 0;
}

static int put_one(void *arg)
{
	struct waiters *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_put(w->q, "abc", 3, SOON) == 0);
	atomic_fetch_add(&w->done, 1);
	return 0;
}

static mpx_process *start_asleep(mpx_target *target, struct waiters *w)
{
	int before = atomic_load(&w->ready);
	mpx_process *p = start(target, w);
	assert_soon(atomic_load(&w->ready) == before + 1);
	assert_soon(asleep(mpx_process_pid(p)));
	return p;
}

/* Of n that sleep, all but the one at `left` are killed; that one is then woken. */
static void survivor_goes_on(mpx_target *target, struct waiters *w, int n, int left)
{
	mpx_process *p[8];
	char m[8];
	for (int i = 0; i < n; i++)
		p[i] = start_asleep(target, w);
	int done = atomic_load(&w->done);
	for (int i = 0; i < n; i++)
		if (i != left)
			kill_and_free(p[i]);
	if (target == put_one) {
		assert_int_equal(mpx_queue_get(w->q, m, sizeof m, 0), 3);
	} else {
		assert_ok(mpx_queue_put(w->q, "abc", 3, SOON));
	}
	assert_soon(atomic_load(&w->done) == done + 1);
	ends_well(p[left]);
	if (target == see_one)
		assert_int_equal(mpx_queue_get(w->q, m, sizeof m, 0), 3);
	assert_int_equal(mpx_queue_qsize(w->q), target == put_one ? 1 : 0);
}

static void all_survivors_go_on(mpx_target *target, size_t maxsize)
{
	struct waiters *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new(.maxsize = maxsize));
	if (maxsize)
		assert_ok(mpx_queue_put(w->q, "abc", 3, 0));
	for (int n = 1; n <= 4; n++)
		for (int left = 0; left < n; left++)
			survivor_goes_on(target, w, n, left);
	mpx_queue_free(w->q);
	mpx_free(w);
}

static void test_getters_killed_asleep(void **state)
{
	(void)state;
	all_survivors_go_on(get_one, 0);
	all_survivors_go_on(see_one, 0);
}

static void test_putters_killed_asleep(void **state)
{
	(void)state;
	all_survivors_go_on(put_one, 1);
}

/* Python: an idle consumer that is killed takes the queue's lock with it. */
static void test_only_getter_killed(void **state)
{
	(void)state;
	char m[8];
	struct waiters *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < 20; i++) {
		kill_and_free(start_asleep(get_one, w));
		assert_times_out(mpx_queue_get(w->q, m, sizeof m, 0), 0);
		assert_ok(mpx_queue_put(w->q, "abc", 3, SOON));
		assert_int_equal(mpx_queue_qsize(w->q), 1);
		assert_int_equal(mpx_queue_get(w->q, m, sizeof m, SOON), 3);
	}
	mpx_queue_free(w->q);
	mpx_free(w);
}

static void test_only_putter_killed(void **state)
{
	(void)state;
	char m[8];
	struct waiters *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new(.bytes = 4));
	assert_ok(mpx_queue_put(w->q, "xyz", 3, 0));
	for (int i = 0; i < 20; i++) {
		kill_and_free(start_asleep(put_one, w));
		assert_int_equal(mpx_queue_qsize(w->q), 1);
		assert_int_equal(mpx_queue_get(w->q, m, sizeof m, SOON), 3);
		assert_memory_equal(m, "xyz", 3);
		assert_times_out(mpx_queue_get(w->q, m, sizeof m, 0), 0);
		assert_ok(mpx_queue_put(w->q, "xyz", 3, SOON));
	}
	mpx_queue_free(w->q);
	mpx_free(w);
}

/* The one that is woken by a message is killed before it can take it: the push
 * must not be lost for the other one. */
static void test_killed_when_woken(void **state)
{
	(void)state;
	uint64_t seed = 3;
	struct waiters *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	double end = now() + 25;
	for (int i = 0; i < 100 && now() < end; i++) {
		atomic_store(&w->done, 0);
		mpx_process *a = start_asleep(get_one, w), *b = start_asleep(get_one, w);
		assert_ok(mpx_queue_put(w->q, "abc", 3, SOON));
		for (uint64_t k = next_random(&seed) % 2000; k; k--)
			atomic_load(&w->ready);
		kill(mpx_process_pid(a), SIGKILL);
		int code = ends(a);
		assert_true(code == 0 || code == -SIGKILL);
		/* If a got it, b needs one more; if not, b has it or gets it now. */
		double soon = now() + 10;
		while (!mpx_queue_empty(w->q) && now() < soon)
			nap();
		assert_true(mpx_queue_empty(w->q));
		if (mpx_process_is_alive(b))
			assert_ok(mpx_queue_put(w->q, "abc", 3, SOON));
		ends_well(b);
		char m[8];
		while (mpx_queue_get(w->q, m, sizeof m, 0) >= 0)
			continue; /* b was just ending */
		assert_int_equal(errno, ETIMEDOUT);
	}
	mpx_queue_free(w->q);
	mpx_free(w);
}

/* ---- killed anywhere --------------------------------------------------- */

enum { LIVES = 400, EACH = 4096, PRODUCERS = 3, CONSUMERS = 3, LARGEST = 200000 };

struct head {
	unsigned life, seq;
};

/* A life is one producer process, from its start to its end. */
struct account {
	mpx_queue *q;
	atomic_bool stop;
	atomic_uint put[LIVES];			/* how many puts have returned */
	_Atomic unsigned char got[LIVES][EACH]; /* how often each was got */
	_Atomic unsigned char killed[LIVES];
};

struct role {
	struct account *a;
	unsigned life;
};

static size_t size_of(unsigned life, unsigned seq)
{
	uint64_t seed = (uint64_t)life * EACH + seq;
	uint64_t r = next_random(&seed);
	size_t n = r % 200 == 0 ? 65536 + (r >> 32) % 130000 : (r >> 32) % (r % 20 ? 200 : 9000);
	return sizeof(struct head) + n;
}

static int produce(void *arg)
{
	const struct role *r = arg;
	static unsigned char m[LARGEST];
	for (unsigned seq = 0; seq < EACH && !atomic_load(&r->a->stop); seq++) {
		struct head h = {r->life, seq};
		size_t n = size_of(r->life, seq);
		memcpy(m, &h, sizeof h);
		fill(m + sizeof h, n - sizeof h, r->life + seq);
		child_check(mpx_queue_put(r->a->q, m, n, SOON) == 0);
		atomic_store(&r->a->put[r->life], seq + 1);
	}
	return 0;
}

static int consume(void *arg)
{
	const struct role *r = arg;
	struct account *a = r->a;
	static unsigned char m[LARGEST];
	static unsigned next[LIVES];
	memset(next, 0, sizeof next);
	for (;;) {
		struct head h;
		ssize_t n = mpx_queue_get(a->q, m, sizeof m, SOON);
		if (n == -1 && errno == EPIPE)
			return 0;
		child_check(n >= (ssize_t)sizeof h);
		memcpy(&h, m, sizeof h);
		child_check(h.life < LIVES && h.seq < EACH);
		child_check(atomic_fetch_add(&a->got[h.life][h.seq], 1) == 0);
		child_check((size_t)n == size_of(h.life, h.seq));
		child_check(filled(m + sizeof h, (size_t)n - sizeof h, h.life + h.seq));
		child_check(h.seq >= next[h.life]);
		next[h.life] = h.seq + 1;
	}
}

static mpx_process *start_producer(struct account *a, struct role *r, unsigned *lives)
{
	assert_true(*lives < LIVES);
	*r = (struct role){a, (*lives)++};
	return start(produce, r);
}

static void check_account(struct account *a, unsigned lives, int consumers_killed)
{
	int lost = 0;
	size_t delivered = 0;
	for (unsigned life = 0; life < lives; life++) {
		unsigned put = atomic_load(&a->put[life]);
		for (unsigned seq = 0; seq < EACH; seq++) {
			unsigned got = atomic_load(&a->got[life][seq]);
			assert_true(got <= 1);
			delivered += got;
			if (seq < put)
				lost += got == 0;
			else if (got) /* the put that was under way when it was killed */
				assert_true(seq == put && atomic_load(&a->killed[life]));
		}
	}
	if (lost > consumers_killed)
		fail_msg("%d messages lost by %d killed consumers", lost, consumers_killed);
	assert_true(delivered > 0);
}

/* Kills one of them at a time, n times, and starts another in its place. */
static void storm(mpx_queue *q, uint64_t seed, int n)
{
	struct account *a = mpx_calloc(1, sizeof *a);
	struct role roles[PRODUCERS], consumer = {a, 0};
	mpx_process *producers[PRODUCERS], *consumers[CONSUMERS];
	unsigned lives = 0;
	int consumers_killed = 0;
	assert_non_null(a);
	assert_non_null(q);
	a->q = q;
	for (int i = 0; i < PRODUCERS; i++)
		producers[i] = start_producer(a, &roles[i], &lives);
	for (int i = 0; i < CONSUMERS; i++)
		consumers[i] = start(consume, &consumer);
	double end = now() + 30;
	for (int kills = 0; kills < n && lives < LIVES && now() < end; kills++) {
		unsigned i = (unsigned)(next_random(&seed) % (PRODUCERS + CONSUMERS));
		random_pause(&seed);
		mpx_process **p = i < PRODUCERS ? &producers[i] : &consumers[i - PRODUCERS];
		assert_ok(mpx_process_kill(*p));
		int code = ends(*p);
		assert_true(code == -SIGKILL || (code == 0 && i < PRODUCERS));
		if (i >= PRODUCERS) {
			consumers_killed++;
			*p = start(consume, &consumer);
			continue;
		}
		atomic_store(&a->killed[roles[i].life], code != 0);
		*p = start_producer(a, &roles[i], &lives);
	}
	atomic_store(&a->stop, true);
	for (int i = 0; i < PRODUCERS; i++)
		ends_well(producers[i]);
	assert_ok(mpx_queue_close(q));
	for (int i = 0; i < CONSUMERS; i++)
		ends_well(consumers[i]);
	char c;
	assert_fails(mpx_queue_get(q, &c, 1, SOON), EPIPE);
	assert_int_equal(mpx_queue_qsize(q), 0);
	check_account(a, lives, consumers_killed);
	mpx_queue_free(q);
	mpx_free(a);
}

static uint64_t seed_of_run(uint64_t other)
{
	const char *given = getenv("MPX_TEST_SEED");
	return given ? strtoull(given, NULL, 0) : other;
}

static void test_storm_unbounded(void **state)
{
	(void)state;
	storm(mpx_queue_new(), seed_of_run(1), 100);
}

static void test_storm_maxsize(void **state)
{
	(void)state;
	storm(mpx_queue_new(.maxsize = 4), seed_of_run(2), 100);
}

static void test_storm_bytes(void **state)
{
	(void)state;
	storm(mpx_queue_new(.bytes = LARGEST), seed_of_run(3), 100);
}

/* All consumers, or all producers, at the same moment. */
static void test_all_killed_at_once(void **state)
{
	(void)state;
	struct account *a = mpx_calloc(1, sizeof *a);
	assert_non_null(a);
	assert_non_null(a->q = mpx_queue_new(.maxsize = 10));
	uint64_t seed = 9;
	unsigned lives = 0;
	int consumers_killed = 0;
	double end = now() + 25;
	for (int round = 0; round < 30 && now() < end; round++) {
		struct role roles[PRODUCERS], consumer = {a, 0};
		mpx_process *p[PRODUCERS + CONSUMERS];
		for (int i = 0; i < PRODUCERS; i++)
			p[i] = start_producer(a, &roles[i], &lives);
		for (int i = 0; i < CONSUMERS; i++)
			p[PRODUCERS + i] = start(consume, &consumer);
		random_pause(&seed);
		random_pause(&seed);
		for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
			assert_ok(mpx_process_kill(p[i]));
		for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
			int code = ends(p[i]);
			assert_true(code == -SIGKILL || code == 0);
			if (i < PRODUCERS)
				atomic_store(&a->killed[roles[i].life], code != 0);
			else
				consumers_killed++;
		}
		/* What is left is whole, and this process can put and get. */
		struct role last = {a, lives++};
		mpx_process *reader = start(consume, &consumer);
		ends_well(start(produce, &last));
		assert_soon(mpx_queue_empty(a->q));
		kill_and_free(reader);
		consumers_killed++;
	}
	assert_ok(mpx_queue_close(a->q));
	check_account(a, lives, consumers_killed);
	mpx_queue_free(a->q);
	mpx_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_getters_killed_asleep), mpx_test(test_putters_killed_asleep),
		mpx_test(test_only_getter_killed),    mpx_test(test_only_putter_killed),
		mpx_test(test_killed_when_woken),     mpx_test(test_storm_unbounded),
		mpx_test(test_storm_maxsize),	      mpx_test(test_storm_bytes),
		mpx_test(test_all_killed_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
