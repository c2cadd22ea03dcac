/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Random operations on objects of all kinds, beside a model in plain memory that says
 * what each must return.
 *
 *   alone     one process: every result and every errno is the model's
 *   together  six processes, one of which is killed now and then and replaced. After each
 *             kill: what locks guard is whole or its holder's death is told, values and
 *             arrays add up, the dead one's blocks are what they were. At the end: each
 *             message came once, in order per producer, those whose put was done have
 *             come, but for one in the hands of each of the dead.
 *
 *     MPX_FAULT_LONG=1 ./test_fuzz_api        100 times as much
 *     MPX_SEED=1234 ./test_fuzz_api           the same operations once more
 *
 * Seen to fail with, in src/ipc/queue.c: bytes taken not counted. In src/ipc/ring.c: a
 * block's record as long as its message. In src/sync/rlock.c: depth++ instead of depth = 1.
 * In src/shm/heap.c: a block chosen by how many are free.
 */
#define _GNU_SOURCE
#include "family.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

static uint64_t first_seed;
static unsigned factor = 1;

static unsigned below(uint64_t *seed, unsigned n)
{
	return (unsigned)(next_random(seed) >> 33) % n;
}

/* --- alone -------------------------------------------------------------------------------- */

enum { WAITING = 64, ITEMS = 40, BLOCKS = 32 };

struct message {
	size_t size, id;
};

static struct model {
	int held, depth; /* of the lock, of the rlock */
	long long value;
	int items[ITEMS];
	size_t maxsize, limit; /* of the queue */
	struct message waiting[WAITING];
	size_t n, bytes, next_id;
	bool closed;
	unsigned char *block[BLOCKS];
	size_t size[BLOCKS];
} m;

static mpx_lock *lock;
static mpx_rlock *rlock;
static mpx_value *value;
static mpx_array *array;
static mpx_queue *queue;
static unsigned char bytes[9000];

/* r is what the call has returned, with this errno if it is -1. */
#define expect(call, expected, error)                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long r_ = (long long)(call);                                                  \
		int errno_ = errno;                                                                \
		long long e_ = (long long)(expected);                                              \
		if (r_ != e_ || (e_ == -1 && errno_ != (error)))                                   \
			fail_msg("%s: %lld, errno %d; the model says %lld, %d", #call, r_, errno_, \
				 e_, (int)(error));                                                \
	} while (0)

static void try_lock(uint64_t *seed)
{
	switch (below(seed, 4)) {
	case 0:
		expect(mpx_lock_acquire(lock, 0), m.held ? -1 : 0, ETIMEDOUT);
		m.held = 1;
		break;
	case 1:
		expect(mpx_lock_release(lock), m.held ? 0 : -1, EOVERFLOW);
		m.held = 0;
		break;
	case 2:
		expect(mpx_lock_consistent(lock), m.held ? 0 : -1, EPERM);
		break;
	default:
		expect(mpx_lock_locked(lock), m.held, 0);
	}
}

static void try_rlock(uint64_t *seed)
{
	switch (below(seed, 4)) {
	case 0:
		expect(mpx_rlock_acquire(rlock, 0), 0, 0);
		m.depth++;
		break;
	case 1:
	case 2:
		expect(mpx_rlock_release(rlock), m.depth ? 0 : -1, EOVERFLOW);
		m.depth -= m.depth > 0;
		break;
	default:
		expect(mpx_rlock_locked(rlock), m.depth > 0, 0);
	}
}

static void try_value(uint64_t *seed)
{
	long long x = (long long)(next_random(seed) >> 20) - (1LL << 42), old = m.value, got;
	switch (below(seed, 6)) {
	case 0:
		m.value += x;
		expect(mpx_value_add(value, x), old, 0);
		break;
	case 1:
		m.value = x;
		expect(mpx_value_exchange(value, x), old, 0);
		break;
	case 2:
		m.value = x < old ? x : old;
		expect(mpx_value_min(value, x), old, 0);
		break;
	case 3:
		m.value = x > old ? x : old;
		expect(mpx_value_max(value, x), old, 0);
		break;
	case 4:
		m.value = x % 2 ? x : old;
		expect(mpx_value_compare_exchange(value, x % 2 ? old : old + 1, x), old, 0);
		break;
	default:
		expect(mpx_value_get(value, &got), 0, 0);
		assert_true(got == m.value);
	}
}

static void try_array(uint64_t *seed)
{
	size_t first = below(seed, ITEMS + 4), n = below(seed, ITEMS);
	int in[ITEMS + 4], x = (int)below(seed, 1000);
	bool one = first < ITEMS, all = first <= ITEMS && n <= ITEMS - first;
	for (int i = 0; i < ITEMS + 4; i++)
		in[i] = x + i;
	switch (below(seed, 4)) {
	case 0:
		expect(mpx_array_set(array, first, &x), one ? 0 : -1, ERANGE);
		if (one)
			m.items[first] = x;
		break;
	case 1:
		expect(mpx_array_get(array, first, &x), one ? 0 : -1, ERANGE);
		assert_true(!one || x == m.items[first]);
		break;
	case 2:
		expect(mpx_array_assign(array, first, n, in), all ? 0 : -1, ERANGE);
		if (all)
			memcpy(&m.items[first], in, n * sizeof *in);
		break;
	default:
		expect(mpx_array_slice(array, first, n, in), all ? 0 : -1, ERANGE);
		assert_true(!all || memcmp(&m.items[first], in, n * sizeof *in) == 0);
	}
}

static void try_put(uint64_t *seed)
{
	static const size_t sizes[] = {0, 1, 8, 100, 1000, 4096, 4097, 9000};
	size_t size = sizes[below(seed, 8)];
	bool too_large = m.limit && size > m.limit;
	bool full = (m.maxsize && m.n >= m.maxsize) || (m.limit && m.bytes + size > m.limit);
	if (m.n == WAITING)
		return;
	fill(bytes, size, m.next_id);
	expect(mpx_queue_put(queue, bytes, size, 0), too_large || m.closed || full ? -1 : 0,
	       too_large  ? EMSGSIZE
	       : m.closed ? EPIPE
			  : ETIMEDOUT);
	if (too_large || m.closed || full)
		return;
	m.waiting[m.n++] = (struct message){size, m.next_id++};
	m.bytes += size;
}

static void try_get(uint64_t *seed)
{
	size_t cap = below(seed, 4) ? sizeof bytes : below(seed, 200);
	struct message first = m.waiting[0];
	if (m.n == 0) {
		expect(mpx_queue_get(queue, bytes, cap, 0), -1, m.closed ? EPIPE : ETIMEDOUT);
		return;
	}
	expect(mpx_queue_next_size(queue, 0), first.size, 0);
	expect(mpx_queue_get(queue, bytes, cap, 0), first.size > cap ? -1 : (long long)first.size,
	       EMSGSIZE);
	if (first.size > cap)
		return;
	assert_true(filled(bytes, first.size, first.id));
	memmove(m.waiting, m.waiting + 1, --m.n * sizeof *m.waiting);
	m.bytes -= first.size;
}

static void new_queue(uint64_t *seed)
{
	mpx_queue_free(queue);
	m.maxsize = below(seed, 3) ? 0 : 1 + below(seed, 20);
	m.limit = below(seed, 3) ? 0 : 5000 + below(seed, 20000);
	m.n = m.bytes = 0;
	m.closed = false;
	queue = mpx_queue_new(.maxsize = m.maxsize, .bytes = m.limit);
	assert_non_null(queue);
}

static void try_queue(uint64_t *seed)
{
	unsigned what = below(seed, 100);
	if (what < 45)
		try_put(seed);
	else if (what < 90)
		try_get(seed);
	else if (what < 97)
		expect(mpx_queue_qsize(queue), m.n, 0);
	else if (what < 98)
		expect(mpx_queue_empty(queue), m.n == 0, 0);
	else if (what < 99)
		expect(mpx_queue_close(queue), (m.closed = true, 0), 0);
	else
		new_queue(seed);
}

static void try_heap(uint64_t *seed)
{
	unsigned i = below(seed, BLOCKS);
	if (m.block[i]) {
		assert_true(filled(m.block[i], m.size[i], i));
		mpx_free(m.block[i]);
		m.block[i] = NULL;
		return;
	}
	m.size[i] = below(seed, 2) ? below(seed, 300) : below(seed, 40000);
	assert_non_null(m.block[i] = mpx_malloc(m.size[i]));
	fill(m.block[i], m.size[i], i);
}

static void test_alone(void **state)
{
	(void)state;
	static void (*const tries[])(uint64_t * seed) = {try_lock,  try_rlock, try_value, try_array,
							 try_queue, try_queue, try_heap};
	uint64_t seed = first_seed;
	memset(&m, 0, sizeof m);
	assert_non_null(lock = mpx_lock_new());
	assert_non_null(rlock = mpx_rlock_new());
	assert_non_null(value = mpx_value_new('q', 0));
	assert_non_null(array = mpx_array_new('i', ITEMS, NULL));
	queue = NULL;
	new_queue(&seed);
	for (unsigned i = 0; i < 200000 * factor; i++) {
		if (i % 100000 == 0)
			alarm(90);
		tries[below(&seed, 7)](&seed);
	}
	for (int i = 0; i < BLOCKS; i++)
		mpx_free(m.block[i]);
	mpx_queue_free(queue);
	mpx_array_free(array);
	mpx_value_free(value);
	mpx_rlock_free(rlock);
	mpx_lock_free(lock);
}

/* --- together ------------------------------------------------------------------------------ */

enum { MEMBERS = 6, QUEUES = 3, LOCKS = 4, LIVES = 400, SEQUENCE = 4096, HELD = 8 };

/* What one process has done so far, by itself. */
struct life {
	atomic_uint put_begun[QUEUES], put_done[QUEUES];
	atomic_uint adds_begun, adds_done;
	atomic_uint seen[QUEUES][SEQUENCE / 32]; /* which of its messages have come */
	_Atomic(unsigned char *) block[HELD];	 /* its blocks, once they are filled */
	size_t size[HELD];
	bool killed;
};

/* Guarded by a lock each. */
struct pair {
	mpx_lock *lock;
	mpx_rlock *rlock;
	atomic_int inside;
	unsigned a, b;
};

static struct family {
	atomic_bool stop;
	mpx_queue *q[QUEUES];
	mpx_value *adds;
	mpx_array *same; /* all items are equal, under its lock */
	struct pair pair[LOCKS];
	struct life life[LIVES];
} * f;

struct header {
	unsigned life, number;
};

static int acquire(struct pair *p)
{
	int r = p->lock ? mpx_lock_acquire(p->lock, SOON) : mpx_rlock_acquire(p->rlock, SOON);
	return r == 0 ? 0 : errno;
}

static void release(struct pair *p)
{
	child_check((p->lock ? mpx_lock_release(p->lock) : mpx_rlock_release(p->rlock)) == 0);
}

static void use_pair(struct pair *p, unsigned who)
{
	int error = acquire(p);
	child_check(error == 0 || error == EOWNERDEAD);
	if (error) { /* what was found half done is put right */
		atomic_store(&p->inside, 0);
		p->b = p->a;
		child_check((p->lock ? mpx_lock_consistent(p->lock)
				     : mpx_rlock_consistent(p->rlock)) == 0);
	}
	child_check(atomic_exchange(&p->inside, (int)who + 1) == 0);
	child_check(p->a == p->b);
	p->a++;
	sched_yield();
	p->b++;
	child_check(atomic_exchange(&p->inside, 0) == (int)who + 1);
	release(p);
}

static void use_array(uint64_t *seed)
{
	int items[ITEMS], x = (int)below(seed, 1000);
	mpx_rlock *l = mpx_array_lock(f->same);
	int r = mpx_rlock_acquire(l, SOON);
	child_check(r == 0 || errno == EOWNERDEAD);
	if (r == 0) {
		child_check(mpx_array_slice(f->same, 0, ITEMS, items) == 0);
		for (int i = 1; i < ITEMS; i++)
			child_check(items[i] == items[0]);
	}
	for (int i = 0; i < ITEMS; i++)
		items[i] = x;
	child_check(mpx_array_assign(f->same, 0, ITEMS, items) == 0);
	if (r != 0)
		child_check(mpx_rlock_consistent(l) == 0);
	child_check(mpx_rlock_release(l) == 0);
}

static void use_heap(struct life *me, uint64_t *seed)
{
	unsigned i = below(seed, HELD);
	unsigned char *p = atomic_load(&me->block[i]);
	if (p) {
		child_check(filled(p, me->size[i], i));
		atomic_store(&me->block[i], NULL);
		mpx_free(p);
		return;
	}
	me->size[i] = below(seed, 6000);
	child_check((p = mpx_malloc(me->size[i])) != NULL);
	fill(p, me->size[i], i);
	atomic_store(&me->block[i], p);
}

static void put(unsigned who, unsigned k, uint64_t *seed)
{
	struct life *me = &f->life[who];
	static unsigned char msg[7000];
	struct header h = {who, atomic_load(&me->put_begun[k])};
	size_t size = sizeof h + (below(seed, 4) ? below(seed, 200) : below(seed, 6000));
	if (h.number == SEQUENCE)
		return;
	memcpy(msg, &h, sizeof h);
	fill(msg + sizeof h, size - sizeof h, h.number);
	atomic_store(&me->put_begun[k], h.number + 1);
	while (mpx_queue_put(f->q[k], msg, size, 0.02) != 0) {
		child_check(errno == ETIMEDOUT);
		if (atomic_load(&f->stop))
			return;
	}
	atomic_store(&me->put_done[k], h.number + 1);
}

/* A message that has come: whole, for the first time, not before an older one that came
 * here. */
static bool arrived(unsigned k, const unsigned char *msg, size_t size, unsigned *last)
{
	struct header h;
	memcpy(&h, msg, sizeof h);
	if (size < sizeof h || h.life >= LIVES || h.number >= SEQUENCE ||
	    !filled(msg + sizeof h, size - sizeof h, h.number))
		return false;
	if (h.number >= atomic_load(&f->life[h.life].put_begun[k]) || h.number < last[h.life])
		return false;
	last[h.life] = h.number + 1;
	unsigned bit = 1u << h.number % 32;
	return !(atomic_fetch_or(&f->life[h.life].seen[k][h.number / 32], bit) & bit);
}

static unsigned last_seen[QUEUES][LIVES]; /* private */

static void get(unsigned k)
{
	static unsigned char msg[7000];
	ssize_t n = mpx_queue_get(f->q[k], msg, sizeof msg, 0.005);
	child_check(n >= 0 || errno == ETIMEDOUT);
	if (n >= 0)
		child_check(arrived(k, msg, (size_t)n, last_seen[k]));
}

static int live(void *arg)
{
	unsigned who = *(unsigned *)arg;
	struct life *me = &f->life[who];
	uint64_t seed = first_seed * 1000 + who;
	memset(last_seen, 0, sizeof last_seen);
	while (!atomic_load(&f->stop)) {
		switch (below(&seed, 8)) {
		case 0:
		case 1:
			put(who, below(&seed, QUEUES), &seed);
			break;
		case 2:
		case 3:
			get(below(&seed, QUEUES));
			break;
		case 4:
			use_pair(&f->pair[below(&seed, LOCKS)], who);
			break;
		case 5:
			use_array(&seed);
			break;
		case 6:
			atomic_fetch_add(&me->adds_begun, 1);
			mpx_value_add(f->adds, 1);
			atomic_fetch_add(&me->adds_done, 1);
			break;
		default:
			use_heap(me, &seed);
		}
	}
	return 0;
}

/* The blocks that a life has left are whole, and are the program's to free. */
static void inherit(struct life *dead)
{
	for (unsigned i = 0; i < HELD; i++) {
		unsigned char *p = atomic_load(&dead->block[i]);
		if (!p)
			continue;
		assert_true(filled(p, dead->size[i], i));
		mpx_free(p);
	}
}

static void check_invariants(unsigned lives)
{
	unsigned least = 0, most = 0;
	long long sum;
	for (unsigned i = 0; i < lives; i++)
		least += atomic_load(&f->life[i].adds_done);
	assert_ok(mpx_value_get(f->adds, &sum));
	for (unsigned i = 0; i < lives; i++)
		most += atomic_load(&f->life[i].adds_begun);
	assert_true(sum >= least && sum <= most);
	for (unsigned i = 0; i < LOCKS; i++)
		use_pair(&f->pair[i], LIVES);
	for (unsigned k = 0; k < QUEUES; k++)
		assert_true(mpx_queue_qsize(f->q[k]) >= 0);
	assert_true(mpx_queue_qsize(f->q[1]) <= 5);
}

/* Of what was put, all has come but for one for each of the dead, and what nobody
 * waited for. */
static void settle(unsigned lives, unsigned killed)
{
	static unsigned char msg[7000];
	unsigned missing = 0;
	ssize_t n;
	for (unsigned k = 0; k < QUEUES; k++) {
		memset(last_seen, 0, sizeof last_seen);
		while ((n = mpx_queue_get(f->q[k], msg, sizeof msg, 0)) >= 0)
			assert_true(arrived(k, msg, (size_t)n, last_seen[k]));
		assert_int_equal(mpx_queue_qsize(f->q[k]), 0);
		for (unsigned i = 0; i < lives; i++)
			for (unsigned s = 0; s < atomic_load(&f->life[i].put_done[k]); s++)
				missing +=
					!(atomic_load(&f->life[i].seen[k][s / 32]) & 1u << s % 32);
	}
	assert_true(missing <= killed);
}

static void make_family(void)
{
	memset(f, 0, sizeof *f);
	assert_non_null(f->q[0] = mpx_queue_new(.maxsize = 0));
	assert_non_null(f->q[1] = mpx_queue_new(.maxsize = 5));
	assert_non_null(f->q[2] = mpx_queue_new(.bytes = 20000));
	assert_non_null(f->adds = mpx_value_new('q', 0));
	assert_non_null(f->same = mpx_array_new('i', ITEMS, NULL));
	for (unsigned i = 0; i < LOCKS; i++) {
		if (i % 2)
			assert_non_null(f->pair[i].lock = mpx_lock_new());
		else
			assert_non_null(f->pair[i].rlock = mpx_rlock_new());
	}
}

static void free_family(void)
{
	for (unsigned k = 0; k < QUEUES; k++)
		mpx_queue_free(f->q[k]);
	for (unsigned i = 0; i < LOCKS; i++) {
		mpx_lock_free(f->pair[i].lock);
		mpx_rlock_free(f->pair[i].rlock);
	}
	mpx_array_free(f->same);
	mpx_value_free(f->adds);
}

static void one_family(uint64_t *seed)
{
	mpx_process *p[MEMBERS];
	unsigned who[MEMBERS], lives = 0, killed = 0;
	size_t before = heap_blocks();
	make_family();
	for (unsigned i = 0; i < MEMBERS; i++) {
		who[i] = lives++;
		p[i] = start(live, &who[i]);
	}
	for (double end = now() + 3; now() < end && lives < LIVES;) {
		unsigned i = below(seed, MEMBERS);
		struct timespec t = {0, (long)below(seed, 8000000)};
		nanosleep(&t, NULL);
		assert_ok(mpx_process_kill(p[i]));
		assert_int_equal(ends(p[i]), -SIGKILL);
		killed++;
		inherit(&f->life[who[i]]);
		check_invariants(lives);
		who[i] = lives++;
		p[i] = start(live, &who[i]);
	}
	atomic_store(&f->stop, true);
	for (unsigned i = 0; i < MEMBERS; i++) {
		ends_well(p[i]);
		inherit(&f->life[who[i]]);
	}
	check_invariants(lives);
	settle(lives, killed);
	free_family();
	/* A block was in the hands of each of the dead, at most. */
	size_t after = heap_blocks();
	assert_true(after >= before && after <= before + killed);
	fprintf(stderr, "  %u kills, %zu blocks lost with them\n", killed, after - before);
	harness_rebase();
}

static void test_together(void **state)
{
	(void)state;
	uint64_t seed = first_seed;
	for (unsigned i = 0; i < factor; i++) {
		alarm(90);
		one_family(&seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_alone),
		mpx_test(test_together),
	};
	const char *text = getenv("MPX_SEED");
	first_seed = text ? strtoull(text, NULL, 10) : (uint64_t)getpid();
	text = getenv("MPX_FAULT_LONG");
	factor = text && strcmp(text, "1") == 0 ? 100 : 1;
	fprintf(stderr, "MPX_SEED=%llu\n", (unsigned long long)first_seed);
	f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return f == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
