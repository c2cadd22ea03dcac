/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_callback.c - mpx/pool.h, callbacks of map_async and apply_async. What CPython's
 * _TestPool.test_map_async_callbacks and _TestPoolWorkerErrors.test_async_error_callback
 * check, and:
 *
 *   the results, the failure and user as given; in the order in which the work was done,
 *   whatever it was submitted in; one without the other; a thread of
 *   its own, with all signals blocked; a slow one delays no result; a result freed before
 *   its callback, in it, after it; many, from several threads; refused submissions
 *   call nothing; cancelled, terminated, the pool freed, its supervisor killed: the error's,
 *   and the log hears of the last while nothing is locked;
 *   freed by another process while its callbacks are outstanding;
 *   a child forked later has its own, none of the parent's; a process that ends while they
 *   run.
 *
 * Seen to fail with, in src/pool/callback.c: find_lost() with the lock held; find_due()
 * that leaves them in the order of submission. In src/pool/map.c: no ready_at of an empty map. In
 * src/pool/job.c: free_if_forgotten() without the look at caller.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>

struct told {
	atomic_int begun, good, bad;
	size_t n;
	unsigned out[100];
	mpx_failure failure;
	pthread_t thread;
	atomic_bool hold; /* the callback waits while this is so */
	mpx_result *free_me;
	bool blocked;
};

static void hold(const struct told *t)
{
	double end = now() + SOON;
	while (atomic_load(&t->hold) && now() < end)
		nap();
}

static void on_good(void *user, const void *out, size_t n)
{
	struct told *t = user;
	sigset_t mask;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	t->blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM);
	t->n = n;
	if (out && n <= 100)
		memcpy(t->out, out, n * sizeof t->out[0]);
	t->thread = pthread_self();
	atomic_fetch_add(&t->begun, 1);
	hold(t);
	if (t->free_me)
		mpx_result_free(t->free_me);
	atomic_fetch_add(&t->good, 1);
}

static void on_bad(void *user, const mpx_failure *failure)
{
	struct told *t = user;
	t->failure = *failure;
	hold(t);
	atomic_fetch_add(&t->bad, 1);
}

#define BOTH(t) MPX_TASK(.callback = on_good, .error_callback = on_bad, .user = (t))

static int fail_on_7(const void *in, void *out)
{
	return *(const unsigned *)in == 7 ? mpx_fail(EDOM, "seven") : square(in, out);
}

static mpx_result *map_of(mpx_pool *pool, unsigned n, const mpx_task_options *o)
{
	unsigned in[100];
	for (unsigned i = 0; i < n; i++)
		in[i] = i;
	mpx_result *r = mpx_pool_map_async(pool, fail_on_7, in, sizeof *in, n, sizeof *in, o);
	assert_non_null(r);
	return r;
}

static void test_good_and_bad(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	struct told t = {0}, t2 = {0}, t3 = {0};
	mpx_result *r = map_of(pool, 5, BOTH(&t)), *r2 = map_of(pool, 50, BOTH(&t2)),
		   *r3 = map_of(pool, 0, BOTH(&t3));
	assert_soon(atomic_load(&t.good) && atomic_load(&t2.bad) && atomic_load(&t3.good));
	assert_int_equal(t.n, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(t.out[i], i * i);
	assert_false(pthread_equal(t.thread, pthread_self()));
	assert_true(t.blocked);
	assert_int_equal(t2.failure.error, EDOM);
	assert_int_equal(t2.failure.index, 7);
	assert_string_equal(t2.failure.message, "seven");
	assert_int_equal(t3.n, 0);
	mpx_result_free(r);
	mpx_result_free(r2);
	mpx_result_free(r3);
	/* One of the two is enough: the other case is silent. */
	struct told only = {0};
	r = map_of(pool, 50, MPX_TASK(.callback = on_good, .user = &only));
	r2 = map_of(pool, 5, MPX_TASK(.error_callback = on_bad, .user = &only));
	r3 = map_of(pool, 1, BOTH(&only)); /* behind them */
	assert_soon(atomic_load(&only.good) == 1);
	assert_int_equal(only.n, 1);
	assert_int_equal(atomic_load(&only.bad), 0);
	mpx_result_free(r);
	mpx_result_free(r2);
	mpx_result_free(r3);
	assert_int_equal(atomic_load(&t.good) + atomic_load(&t.bad), 1);
	assert_int_equal(atomic_load(&t2.good) + atomic_load(&t2.bad), 1);
	mpx_pool_free(pool);
}

/* Neither results nor other pools wait for it; other callbacks do. */
static void test_slow_callback(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1), *other = pool_of(1);
	struct told slow = {.hold = true}, quick = {0};
	mpx_result *r = map_of(pool, 2, BOTH(&slow)), *r2 = map_of(pool, 2, BOTH(&quick));
	unsigned x = 9, y = 0;
	assert_ok(mpx_result_get(r, NULL, SOON));
	assert_ok(mpx_result_get(r2, NULL, SOON));
	for (int i = 0; i < 50; i++) {
		assert_ok(mpx_pool_apply(i % 2 ? pool : other, square, &x, &y));
		assert_int_equal(y, 81);
	}
	assert_int_equal(atomic_load(&quick.good), 0);
	mpx_result_free(r); /* in its callback */
	mpx_result_free(r2);
	mpx_pool_free(pool); /* also the pool may go */
	atomic_store(&slow.hold, false);
	assert_soon(atomic_load(&quick.good) == 1);
	assert_int_equal(atomic_load(&slow.good), 1);
	mpx_pool_free(other);
}

/* --- their order ----------------------------------------------------------------------------- */

enum { LETTERS = 6 };

struct letters {
	char text[2 * LETTERS + 1]; /* as they came */
	atomic_int n;
};

struct letter {
	struct letters *all;
	char c;
};

static void write_letter(void *user, const void *out, size_t n)
{
	const struct letter *l = user;
	(void)out;
	(void)n;
	l->all->text[atomic_load(&l->all->n)] = l->c; /* (one after another) */
	atomic_fetch_add(&l->all->n, 1);
}

static void write_letter_again(mpx_future *f, void *user)
{
	(void)f;
	write_letter(user, NULL, 0);
}

/* They get ready in another order than they were submitted in, while none can be called. */
static void test_order(void **state)
{
	(void)state;
	static const int ready[LETTERS] = {3, 0, 5, 4, 1, 2};
	struct told slow = {.hold = true};
	struct letters all = {.n = 0};
	struct letter letter[LETTERS], more[2] = {{&all, 'A'}, {&all, '-'}};
	struct gate *g[LETTERS];
	mpx_result *r[LETTERS], *empty = NULL;
	mpx_pool *pool = pool_of(LETTERS);
	mpx_result *first = map_of(pool, 2, BOTH(&slow));
	assert_soon(atomic_load(&slow.begun) == 1);
	for (int i = 0; i < LETTERS; i++) {
		letter[i] = (struct letter){&all, (char)('a' + i)};
		g[i] = gate_new();
		r[i] = mpx_pool_apply_async(pool, pass_gate, &g[i], sizeof g[i], 0,
					    MPX_TASK(.callback = write_letter, .user = &letter[i]));
		assert_non_null(r[i]);
	}
	assert_ok(mpx_future_add_done_callback(r[0], write_letter_again, &more[0]));
	for (int i = 0; i < LETTERS; i++) {
		if (i == LETTERS / 2) /* it is ready at once */
			empty = map_of(pool, 0,
				       MPX_TASK(.callback = write_letter, .user = &more[1]));
		atomic_store(&g[ready[i]]->open, true);
		assert_ok(mpx_result_wait(r[ready[i]], SOON));
	}
	assert_int_equal(atomic_load(&all.n), 0);
	atomic_store(&slow.hold, false);
	assert_soon(atomic_load(&all.n) == LETTERS + 2);
	assert_string_equal(all.text, "daAf-ebc");
	for (int i = 0; i < LETTERS; i++) {
		mpx_result_free(r[i]);
		mpx_free(g[i]);
	}
	mpx_result_free(first);
	mpx_result_free(empty);
	mpx_pool_free(pool);
}

static void test_freed_whenever(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(1);
	struct told before = {0}, in = {.hold = true}, after = {0};
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, BOTH(&before));
	mpx_result_free(r); /* while it runs */
	in.free_me = map_of(pool, 2, BOTH(&in));
	atomic_store(&in.hold, false);
	r = map_of(pool, 2, BOTH(&after));
	assert_int_equal(atomic_load(&before.good), 0);
	atomic_store(&g->open, true);
	assert_soon(atomic_load(&after.good) == 1);
	mpx_result_free(r);
	assert_int_equal(atomic_load(&before.good), 1);
	assert_int_equal(atomic_load(&in.good), 1);
	mpx_pool_free(pool);
	mpx_free(g);
}

static void test_ended(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct gate *g = gate_new();
		mpx_pool *pool = pool_of(1);
		struct told t = {0}, refused = {0};
		mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, BOTH(&t));
		assert_soon(atomic_load(&g->entered) == 1);
		if (i == 0)
			assert_ok(mpx_result_cancel(r));
		else if (i == 1)
			assert_ok(mpx_pool_terminate(pool));
		else
			mpx_pool_free(pool);
		if (i == 3)
			mpx_result_free(r);
		assert_soon(atomic_load(&t.bad) == 1);
		assert_int_equal(t.failure.error, ECANCELED);
		if (i == 1)
			assert_nothing(mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0,
							    BOTH(&refused)),
				       EBUSY);
		if (i < 2)
			mpx_pool_free(pool);
		if (i < 3)
			mpx_result_free(r);
		assert_int_equal(atomic_load(&refused.good) + atomic_load(&refused.bad), 0);
		assert_int_equal(atomic_load(&t.good), 0);
		mpx_free(g);
	}
}

static int parents_pid(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

/* The log hears of it, while another thread needs the library. */
static struct listener {
	pthread_t other;
	atomic_bool heard, went_on, in_time;
} listener;

static void on_log(int level, const char *process, const char *message, void *user);

static void *change_log(void *arg)
{
	struct listener *l = arg;
	mpx_log_set(on_log, l, MPX_LOG_WARNING);
	atomic_store(&l->went_on, true);
	return NULL;
}

static void on_log(int level, const char *process, const char *message, void *user)
{
	struct listener *l = user;
	(void)level;
	(void)process;
	if (!strstr(message, "supervisor was killed") || atomic_load(&l->heard) ||
	    pthread_create(&l->other, NULL, change_log, l) != 0)
		return;
	double end = now() + 5;
	while (!atomic_load(&l->went_on) && now() < end)
		nap();
	atomic_store(&l->in_time, atomic_load(&l->went_on));
	atomic_store(&l->heard, true);
}

/* Nobody but the callback's thread is there to notice. */
static void test_supervisor_killed(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	struct told t = {0};
	pid_t supervisor = 0;
	mpx_pool *pool = pool_of(1);
	assert_ok(mpx_pool_map_sized(pool, parents_pid, NULL, 0, &supervisor, sizeof supervisor, 1,
				     NULL));
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, BOTH(&t));
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_log_set(on_log, &listener, MPX_LOG_WARNING));
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_soon(atomic_load(&t.bad) == 1);
	assert_true(atomic_load(&listener.heard));
	assert_int_equal(pthread_join(listener.other, NULL), 0);
	assert_ok(mpx_log_set(NULL, NULL, 0));
	assert_true(atomic_load(&listener.in_time)); /* no lock was held */
	assert_int_equal(t.failure.error, EOWNERDEAD);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

/* --- many ------------------------------------------------------------------------------------ */

struct many {
	mpx_pool *pool;
	struct told told;
	pthread_t thread;
	bool failed;
};

enum { EACH = 500, THREADS = 4 };

static void *submit_many(void *arg)
{
	struct many *m = arg;
	for (unsigned i = 0; i < EACH; i++) {
		mpx_result *r = mpx_pool_apply_async(m->pool, fail_on_7, &(unsigned){i % 10},
						     sizeof i, sizeof i, BOTH(&m->told));
		m->failed |= !r;
		mpx_result_free(r);
	}
	return NULL;
}

static void test_many(void **state)
{
	(void)state;
	struct many m[THREADS];
	mpx_pool *pools[2] = {pool_of(2), pool_of(1)};
	memset(m, 0, sizeof m);
	for (int i = 0; i < THREADS; i++) {
		m[i].pool = pools[i % 2];
		assert_int_equal(pthread_create(&m[i].thread, NULL, submit_many, &m[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(m[i].thread, NULL), 0);
		assert_false(m[i].failed);
		assert_soon(atomic_load(&m[i].told.good) == EACH - EACH / 10);
		assert_soon(atomic_load(&m[i].told.bad) == EACH / 10);
	}
	mpx_pool_free(pools[0]);
	mpx_pool_free(pools[1]);
}

/* --- processes ---------------------------------------------------------------------------------
 */

static int free_it(void *arg)
{
	mpx_result_free(arg);
	return 0;
}

static void note_future(mpx_future *f, void *user)
{
	unsigned y[2] = {0, 0};
	if (mpx_future_result(f, y, 0) == 0)
		atomic_fetch_add((atomic_int *)user, (int)y[1]);
}

/* Its callbacks are outstanding: so long it stays, and comes to them as it was. */
static void test_freed_by_another(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		mpx_pool *pool = pool_of(1);
		struct told slow = {.hold = true}, quick = {0};
		atomic_int noted = 0;
		mpx_result *first = map_of(pool, 2, BOTH(&slow));
		assert_soon(atomic_load(&slow.begun) == 1);
		struct gate *g = gate_new(); /* until all callbacks have been asked for */
		mpx_result *before = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
		mpx_result *r = map_of(pool, 2, round == 1 ? NULL : BOTH(&quick));
		if (round > 0)
			assert_ok(mpx_future_add_done_callback(r, note_future, &noted));
		atomic_store(&g->open, true);
		assert_ok(mpx_result_wait(r, SOON));
		size_t blocks = idle_blocks(pool);
		ends_well(start(free_it, r));
		size_t left = heap_blocks();
		atomic_store(&slow.hold, false);
		assert_int_equal(left, blocks);
		assert_soon(heap_blocks() == blocks - 1);
		assert_int_equal(atomic_load(&quick.good), round != 1);
		assert_int_equal(quick.out[1], round != 1);
		assert_int_equal(atomic_load(&noted), round > 0);
		mpx_result_free(first);
		mpx_result_free(before);
		mpx_free(g);
		mpx_pool_free(pool);
	}
}

static struct told parents;

/* The parent's thread is in the middle of a callback. */
static int in_child(void *arg)
{
	mpx_pool *pool = arg;
	struct told t = {0};
	unsigned x = 7;
	mpx_result *r = mpx_pool_apply_async(pool, fail_on_7, &x, sizeof x, sizeof x, BOTH(&t));
	child_check(r);
	mpx_result_free(r);
	child_soon(atomic_load(&t.bad) == 1);
	mpx_pool *own = mpx_pool_new(.processes = 1);
	child_check(own);
	x = 3;
	r = mpx_pool_apply_async(own, fail_on_7, &x, sizeof x, sizeof x, BOTH(&t));
	child_check(r);
	child_soon(atomic_load(&t.good) == 1);
	mpx_result_free(r);
	mpx_pool_free(own);
	/* The parent's are its own. */
	child_check(atomic_load(&parents.good) == 0);
	return 0;
}

/* Ends while callbacks run and wait. */
static int leaves(void *arg)
{
	static struct told t;
	(void)arg;
	atomic_store(&t.hold, true);
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	child_check(pool);
	for (unsigned i = 0; i < 3; i++) {
		mpx_result *r =
			mpx_pool_apply_async(pool, square, &i, sizeof i, sizeof i, BOTH(&t));
		child_check(r && mpx_result_wait(r, SOON) == 0);
		mpx_result_free(r);
	}
	child_soon(atomic_load(&t.begun) == 1);
	mpx_pool_free(pool);
	return 0;
}

static void test_fork(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	memset(&parents, 0, sizeof parents);
	atomic_store(&parents.hold, true);
	mpx_result *r = map_of(pool, 2, BOTH(&parents)), *r2 = map_of(pool, 2, BOTH(&parents));
	assert_ok(mpx_result_wait(r2, SOON));
	assert_int_equal(run_child(in_child, pool), 0);
	ends_well(start(in_child, pool));
	atomic_store(&parents.hold, false);
	assert_soon(atomic_load(&parents.good) == 2);
	mpx_result_free(r);
	mpx_result_free(r2);
	mpx_pool_free(pool);
}

static void test_process_ends(void **state)
{
	(void)state;
	assert_int_equal(run_child(leaves, NULL), 0);
	harness_rebase(); /* (results whose callbacks never came are its own loss) */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_good_and_bad),   mpx_test(test_slow_callback),
		mpx_test(test_order),	       mpx_test(test_freed_by_another),
		mpx_test(test_freed_whenever), mpx_test(test_ended),
		mpx_test(test_many),	       mpx_test(test_fork),
		mpx_test(test_process_ends),   mpx_test(test_supervisor_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
