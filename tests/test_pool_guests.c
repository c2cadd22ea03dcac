/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_guests.c - mpx/pool.h, a pool that lives long and has short-lived users. (CPython
 * has none: there only the process that made a pool can use it.)
 *
 *   200 users of all kinds of imap killed, with work waiting, running, ready, and while they
 *   fetch: the heap is what it was, while the pool lives; what had not begun is not run;
 *   users that end without a word; maps of the killed run to their end, then go; a user that
 *   lives keeps all of its own meanwhile, and is not forgotten when it is killed later; a look
 *   costs as much as there are users, not jobs; the supervisor killed while it clears up;
 *   callbacks to come of what the killed had freed, and of what the living has.
 *
 * Seen to fail with these lines broken: the call of mpx__guests_look(); the one of
 * mpx__job_stop() in drop_abandoned(); guests never set; guests set to false always; the
 * look at who is dead left out; the one in mpx__job_orphan_all(), too;
 * what is_dead() found forgotten; mpx__job_let_go() gone from drop_abandoned().
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>

static size_t bytes_in_use(void)
{
	mpx_memory_stats stats;
	assert_ok(mpx_memory_stats_now(&stats));
	return stats.used;
}

static bool works(mpx_pool *pool)
{
	unsigned x = 12, y = 0;
	return mpx_pool_apply(pool, square, &x, &y) == 0 && y == 144;
}

/* What a user and who kills it share; in the family's heap. */
struct visit {
	mpx_pool *pool;
	struct gate *gate;
	int kind;
	bool held;     /* its tasks wait at the gate */
	size_t window; /* 0: 8 */
	atomic_int fetched;
	atomic_bool go_on, there;
};

static int next_number(void *user, void *in)
{
	*(unsigned *)in = (*(unsigned *)user)++;
	return 1;
}

static int next_gate(void *user, void *in)
{
	*(struct gate **)in = user;
	return 1;
}

enum { ITEMS = 20 };

static mpx_imap *gated_imap(const struct visit *v, const mpx_task_options *o)
{
	struct gate **in = malloc(ITEMS * sizeof *in); /* (goes with the process) */
	size_t s = sizeof *in;
	for (int i = 0; i < ITEMS; i++)
		in[i] = v->gate;
	switch (v->kind) {
	case 0:
		return mpx_pool_imap(v->pool, pass_gate, in, s, ITEMS, 0, o);
	case 1:
		return mpx_pool_imap_unordered(v->pool, pass_gate, in, s, ITEMS, 0, o);
	case 2:
		return mpx_pool_imap_from(v->pool, pass_gate, next_gate, v->gate, s, 0, o);
	default:
		return mpx_pool_imap_unordered_from(v->pool, pass_gate, next_gate, v->gate, s, 0,
						    o);
	}
}

static mpx_imap *endless_imap(const struct visit *v, unsigned *next, const mpx_task_options *o)
{
	size_t s = sizeof *next;
	return v->kind % 2
		       ? mpx_pool_imap_unordered_from(v->pool, square, next_number, next, s, s, o)
		       : mpx_pool_imap_from(v->pool, square, next_number, next, s, s, o);
}

/* Its window is full of work that waits at the gate, or it fetches for ever. */
static int visit(void *arg)
{
	struct visit *v = arg;
	const mpx_task_options *o =
		MPX_TASK(.window = v->window ? v->window : 8, .chunksize = v->kind < 2 ? 2 : 1);
	unsigned next = 0, y;
	mpx_imap *it = v->held ? gated_imap(v, o) : endless_imap(v, &next, o);
	child_check(it);
	atomic_store(&v->there, true);
	while (v->held)
		pause();
	for (;;) {
		child_check(mpx_imap_next(it, &y, SOON) == 1);
		child_check(y == mpx_imap_index(it) * mpx_imap_index(it));
		atomic_fetch_add(&v->fetched, 1);
	}
}

static void kill_it(mpx_process *p)
{
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ends(p), -SIGKILL);
}

static void test_two_hundred_killed(void **state)
{
	(void)state;
	enum { USERS = 200 };
	uint64_t seed = 5;
	struct visit *v = mpx_calloc(1, sizeof *v);
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(2);
	assert_non_null(v);
	assert_true(works(pool));
	size_t blocks = idle_blocks(pool), bytes = bytes_in_use();
	for (int i = 0; i < USERS; i++) {
		*v = (struct visit){.pool = pool, .gate = g, .kind = i % 4, .held = i % 3 == 0};
		int before = atomic_load(&g->entered);
		int most = (int)(next_random(&seed) % 30);
		atomic_store(&g->open, !v->held);
		mpx_process *p = start(visit, v);
		assert_soon(atomic_load(&v->there));
		if (v->held)
			assert_soon(atomic_load(&g->entered) > before);
		else
			assert_soon(atomic_load(&v->fetched) >= most);
		kill_it(p);
		atomic_store(&g->open, true);
	}
	assert_soon(heap_blocks() == blocks);
	assert_int_equal(bytes_in_use(), bytes);
	assert_true(works(pool));
	mpx_pool_free(pool);
	mpx_free(v);
	mpx_free(g);
}

/* While it is still running; and what has begun is let run. */
static void test_what_waits_is_not_run(void **state)
{
	(void)state;
	struct visit *v = mpx_calloc(1, sizeof *v);
	mpx_pool *pool = pool_of(2);
	assert_non_null(v);
	for (int kind = 0; kind < 4; kind += 3) {
		struct gate *g = gate_new();
		size_t blocks = idle_blocks(pool);
		*v = (struct visit){.pool = pool, .gate = g, .kind = kind, .held = true};
		mpx_process *p = start(visit, v);
		assert_soon(atomic_load(&v->there) && atomic_load(&g->entered) == 2);
		assert_true(heap_blocks() > blocks + 2);
		kill_it(p);
		assert_soon(heap_blocks() == blocks + 2);
		atomic_store(&g->open, true);
		assert_soon(heap_blocks() == blocks);
		assert_true(works(pool));
		/* of a chunk of two, the second is no more begun */
		assert_int_equal(atomic_load(&g->entered), 2);
		assert_int_equal(atomic_load(&g->left), 2);
		mpx_free(g);
	}
	mpx_pool_free(pool);
	mpx_free(v);
}

static int leave_without_a_word(void *arg)
{
	struct visit *v = arg;
	unsigned next = 0, y = 1;
	mpx_imap *it = endless_imap(v, &next, NULL);
	child_check(it && mpx_imap_next(it, &y, SOON) == 1);
	return 0;
}

static void test_ended_without_free(void **state)
{
	(void)state;
	struct visit *v = mpx_calloc(1, sizeof *v);
	mpx_pool *pool = pool_of(2);
	assert_non_null(v);
	size_t blocks = idle_blocks(pool);
	for (int i = 0; i < 20; i++) {
		*v = (struct visit){.pool = pool, .kind = i % 2};
		if (i < 10)
			ends_well(start(leave_without_a_word, v));
		else
			assert_int_equal(run_child(leave_without_a_word, v), 0);
	}
	assert_soon(heap_blocks() == blocks);
	mpx_pool_free(pool);
	mpx_free(v);
}

static int map_gates(void *arg)
{
	struct visit *v = arg;
	struct gate *in[ITEMS];
	for (int i = 0; i < ITEMS; i++)
		in[i] = v->gate;
	mpx_pool_map_sized(v->pool, pass_gate, in, sizeof *in, NULL, 0, ITEMS, NULL);
	return 0;
}

static void test_maps_run_to_their_end(void **state)
{
	(void)state;
	struct visit *v = mpx_calloc(1, sizeof *v);
	mpx_pool *pool = pool_of(2);
	assert_non_null(v);
	for (int i = 0; i < 2; i++) {
		struct gate *g = gate_new();
		size_t blocks = idle_blocks(pool);
		*v = (struct visit){.pool = pool, .gate = g};
		mpx_process *p = start(map_gates, v);
		assert_soon(atomic_load(&g->entered) == 2);
		kill_it(p);
		assert_int_equal(heap_blocks(), blocks + 1);
		atomic_store(&g->open, true);
		assert_soon(heap_blocks() == blocks);
		assert_int_equal(atomic_load(&g->left), ITEMS);
		mpx_free(g);
	}
	mpx_pool_free(pool);
	mpx_free(v);
}

/* Has results that are ready and others that wait, while the other's are dropped. */
static int stay(void *arg)
{
	enum { N = 30 };
	struct visit *v = arg;
	unsigned in[N], y = 0;
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	mpx_imap *it = mpx_pool_imap(v->pool, square, in, sizeof *in, N, sizeof *in,
				     MPX_TASK(.window = 10));
	child_check(it && mpx_imap_next(it, &y, SOON) == 1 && y == 0);
	atomic_store(&v->there, true);
	child_soon(atomic_load(&v->go_on));
	for (unsigned i = 1; i < N; i++)
		child_check(mpx_imap_next(it, &y, SOON) == 1 && y == i * i);
	child_check(mpx_imap_next(it, &y, SOON) == 0);
	mpx_imap_free(it);
	return 0;
}

static void call_back(void *user, const void *out, size_t n)
{
	struct visit *v = user;
	(void)out;
	(void)n;
	atomic_fetch_add(&v->fetched, 1);
}

static void call_back_future(mpx_future *f, void *user)
{
	(void)f;
	call_back(user, NULL, 0);
}

/* Callbacks are to come of what it has freed, whichever way it asked for them. */
static int expect_callbacks(void *arg)
{
	struct visit *v = arg;
	for (int i = 0; i < 3; i++) {
		mpx_result *r = mpx_pool_apply_async(
			v->pool, pass_gate, &v->gate, sizeof v->gate, 0,
			i == 1 ? NULL : MPX_TASK(.callback = call_back, .user = v));
		child_check(r);
		if (i > 0)
			child_check(mpx_future_add_done_callback(r, call_back_future, v) == 0);
		mpx_result_free(r);
	}
	atomic_store(&v->there, true);
	child_soon(atomic_load(&v->go_on));
	child_soon(atomic_load(&v->fetched) == 4);
	return 0;
}

/* It is killed before, or afterwards. */
static void test_callbacks_of_the_killed(void **state)
{
	(void)state;
	struct visit *v = mpx_calloc(2, sizeof *v);
	mpx_pool *pool = pool_of(3);
	assert_non_null(v);
	for (int round = 0; round < 2; round++) {
		struct gate *g = gate_new();
		size_t blocks = idle_blocks(pool);
		v[0] = v[1] = (struct visit){.pool = pool, .gate = g};
		mpx_process *killed = start(expect_callbacks, &v[0]);
		mpx_process *living = start(expect_callbacks, &v[1]);
		assert_soon(atomic_load(&v[0].there) && atomic_load(&v[1].there));
		atomic_store(&g->open, round == 1);
		if (round == 1)
			assert_soon(atomic_load(&v[0].fetched) == 4);
		kill_it(killed);
		atomic_store(&g->open, true);
		atomic_store(&v[1].go_on, true);
		ends_well(living);
		assert_soon(heap_blocks() == blocks);
		mpx_free(g);
	}
	assert_true(works(pool));
	mpx_pool_free(pool);
	mpx_free(v);
}

static void test_the_living_keep_theirs(void **state)
{
	(void)state;
	struct visit *v = mpx_calloc(2, sizeof *v);
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(2);
	assert_non_null(v);
	size_t before = idle_blocks(pool);
	for (int killed = 0; killed < 2; killed++) {
		v[0] = (struct visit){.pool = pool};
		mpx_process *living = start(stay, &v[0]);
		assert_soon(atomic_load(&v[0].there));
		size_t blocks = idle_blocks(pool);
		v[1] = (struct visit){.pool = pool, .gate = g, .kind = killed, .held = true};
		mpx_process *p = start(visit, &v[1]);
		assert_soon(atomic_load(&v[1].there));
		kill_it(p);
		atomic_store(&g->open, true);
		assert_soon(heap_blocks() == blocks);
		/* It was looked at, and is not forgotten by that. */
		if (killed) {
			kill_it(living);
		} else {
			atomic_store(&v[0].go_on, true);
			ends_well(living);
		}
		assert_soon(heap_blocks() == before);
	}
	mpx_pool_free(pool);
	mpx_free(g);
	mpx_free(v);
}

static int parent_of(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

static pid_t supervisor_of(mpx_pool *pool)
{
	pid_t pid = 0;
	assert_ok(mpx_pool_map_sized(pool, parent_of, NULL, 0, &pid, sizeof pid, 1, NULL));
	return pid;
}

/* Reads and writes that a process has done, as system calls; -1: the system does not tell. */
static long calls_of(pid_t pid)
{
	char name[64];
	long reads = -1, writes = -1;
	snprintf(name, sizeof name, "/proc/%ld/io", (long)pid);
	FILE *f = fopen(name, "r");
	if (!f)
		return -1;
	if (fscanf(f, "rchar: %*s wchar: %*s syscr: %ld syscw: %ld", &reads, &writes) != 2)
		reads = -1;
	fclose(f);
	return reads < 0 ? -1 : reads + writes;
}

/* With the pool's lock held it looks at each user once, not at each of thousands of jobs. */
static void test_a_look_is_short(void **state)
{
	(void)state;
	enum { WINDOW = 4000 };
	struct visit *v = mpx_calloc(2, sizeof *v);
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(1);
	assert_non_null(v);
	pid_t supervisor = supervisor_of(pool);
	if (calls_of(supervisor) < 0)
		print_message("system calls cannot be counted here: only that it ends\n");
	size_t before = idle_blocks(pool);
	/* Those who came first are looked at last. */
	v[0] = (struct visit){.pool = pool, .gate = g, .kind = 2, .held = true};
	mpx_process *few = start(visit, &v[0]);
	assert_soon(atomic_load(&v[0].there));
	assert_true(heap_blocks() >= before + 8);
	v[1] = (struct visit){.pool = pool, .gate = g, .kind = 2, .held = true, .window = WINDOW};
	mpx_process *many = start(visit, &v[1]);
	assert_soon(atomic_load(&v[1].there));
	size_t both = heap_blocks();
	assert_true(both > WINDOW);
	long calls = calls_of(supervisor);
	kill_it(few);
	assert_soon(heap_blocks() <= both - 7);
	assert_true(calls_of(supervisor) - calls < WINDOW / 4);
	kill_it(many);
	atomic_store(&g->open, true);
	assert_soon(heap_blocks() == before);
	mpx_pool_free(pool);
	mpx_free(g);
	mpx_free(v);
}

/* The supervisor itself is killed, in the middle of so many: the pool is broken, and nothing
 * of it is left when it is freed. */
static void test_supervisor_killed_at_it(void **state)
{
	(void)state;
	enum { WINDOW = 4000 };
	struct visit *v = mpx_calloc(1, sizeof *v);
	assert_non_null(v);
	for (size_t round = 0; round < 3; round++) {
		struct gate *g = gate_new();
		unsigned x = 3, y;
		mpx_pool *pool = pool_of(1);
		pid_t supervisor = supervisor_of(pool);
		*v = (struct visit){
			.pool = pool, .gate = g, .kind = 2, .held = true, .window = WINDOW};
		mpx_process *p = start(visit, v);
		assert_soon(atomic_load(&v->there));
		size_t blocks = heap_blocks();
		assert_true(blocks > WINDOW);
		kill_it(p);
		double end = now() + SOON;
		while (heap_blocks() > blocks - 10 - 1000 * round && now() < end)
			;
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		assert_true(now() < end);
		assert_fails(mpx_pool_apply(pool, square, &x, &y), EOWNERDEAD);
		mpx_pool_free(pool);
		mpx_free(g);
	}
	mpx_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_two_hundred_killed),	mpx_test(test_what_waits_is_not_run),
		mpx_test(test_ended_without_free),	mpx_test(test_maps_run_to_their_end),
		mpx_test(test_the_living_keep_theirs),	mpx_test(test_a_look_is_short),
		mpx_test(test_callbacks_of_the_killed), mpx_test(test_supervisor_killed_at_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
