/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_backends.c - mpx/pool.h, .backend and MPX_BACKEND: the same behaviour of
 * processes, threads and serial (CPython: _TestPool, run as ThreadsTestPool too):
 *
 *   test_apply, test_map, test_map_chunksize, test_async, test_async_timeout,
 *   test_empty_iterable, test_make_pool, test_imap, test_imap_handle_iterable_exception,
 *   test_imap_unordered, test_imap_unordered_handle_iterable_exception,
 *   test_map_no_failfast, test_traceback (mpx_fail), test_wrapped_exception, test_terminate,
 *   callbacks (_TestPoolWorkerErrors), test_pool_worker_lifetime; processes forked beside
 *   busy threads (ThreadPoolExecutorTest.test_hang_global_shutdown_lock); initializers, retries,
 * stop_at, contexts; submitting from several threads and from inside of a task.
 *
 * And where they differ: which process and thread runs a task; cancel, terminate and
 * free while a thread is in a task, or in the destructors of what a task has left in it;
 * a child that inherits such a pool.
 *
 * Seen to fail with, in src/pool/crew.c: threads joined under the lock; one that has ended
 * before its destructors have run, or after the first round of them; none in the place of
 * one that has left and not ended; a last one that does not free the pool.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

static const mpx_backend all[] = {MPX_BACKEND_PROCESSES, MPX_BACKEND_THREADS, MPX_BACKEND_SERIAL};

#define EACH(b) for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_SERIAL; b++)

static mpx_pool *pool_on(mpx_backend b, int processes)
{
	mpx_pool *pool = mpx_pool_new(.processes = processes, .backend = b);
	assert_non_null(pool);
	return pool;
}

/* ---- the same on all ------------------------------------------------------ */

static void test_map(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 2, 7, 100, 20000};
	static unsigned in[20000], out[20000];
	EACH(b)
	{
		mpx_pool *pool = pool_on(b, 3);
		assert_int_equal(mpx_pool_processes(pool), b == MPX_BACKEND_SERIAL ? 1 : 3);
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			for (size_t i = 0; i < sizes[k]; i++)
				in[i] = (unsigned)(i + k);
			memset(out, 0xff, sizeof out);
			assert_ok(mpx_pool_map(pool, square, in, out, sizes[k]));
			for (size_t i = 0; i < sizes[k]; i++)
				assert_int_equal(out[i], in[i] * in[i]);
		}
		assert_ok(mpx_pool_map_sized(pool, square, in, 4, out, 4, 1000,
					     MPX_TASK(.chunksize = 7)));
		mpx_pool_free(pool);
	}
}

static void test_apply_and_results(void **state)
{
	(void)state;
	EACH(b)
	{
		unsigned x = 7, y = 0, many[50], squares[50];
		mpx_pool *pool = pool_on(b, 2);
		for (unsigned i = 0; i < 50; i++)
			many[i] = i;
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(y, 49);
		mpx_result *r = mpx_pool_apply_async(pool, square, &x, 4, 4, NULL);
		mpx_result *rs = mpx_pool_map_async(pool, square, many, 4, 50, 4, NULL);
		assert_non_null(r);
		assert_non_null(rs);
		assert_ok(mpx_result_get(r, &y, SOON));
		assert_ok(mpx_result_wait(rs, SOON));
		assert_true(mpx_result_ready(rs));
		assert_true(mpx_result_successful(rs));
		assert_ok(mpx_result_get(rs, squares, 0));
		for (unsigned i = 0; i < 50; i++)
			assert_int_equal(squares[i], i * i);
		assert_fails(mpx_result_cancel(r), EBUSY);
		mpx_result_free(r);
		mpx_pool_free(pool);
		assert_true(mpx_result_ready(rs)); /* outlives the pool */
		mpx_result_free(rs);
	}
}

static atomic_int *counter; /* in the family's heap */

static int odd_fails(const void *in, void *out)
{
	int x = *(const int *)in;
	atomic_fetch_add(counter, 1);
	*(int *)out = -x;
	return x % 2 ? mpx_fail(ERANGE, "%d is odd", x) : 0;
}

/* test_map_no_failfast */
static void test_errors(void **state)
{
	(void)state;
	int in[40], out[40];
	for (int i = 0; i < 40; i++)
		in[i] = i + 100;
	assert_non_null(counter = mpx_calloc(1, sizeof *counter));
	EACH(b)
	{
		mpx_failure f;
		mpx_pool *pool = pool_on(b, 2);
		atomic_store(counter, 0);
		assert_fails(mpx_pool_map(pool, odd_fails, in, out, 40), ERANGE);
		assert_int_equal(atomic_load(counter), 40);
		for (int i = 0; i < 40; i += 2)
			assert_int_equal(out[i], -in[i]);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, 1);
		assert_string_equal(f.message, "101 is odd");
		assert_int_equal(f.pid == getpid(), b != MPX_BACKEND_PROCESSES);
		atomic_store(counter, 0);
		assert_fails(
			mpx_pool_map_sized(pool, odd_fails, in + 1, 4, out, 4, 39,
					   MPX_TASK(.stop_at = MPX_FIRST_ERROR, .chunksize = 39)),
			ERANGE);
		assert_int_equal(atomic_load(counter), 1);
		mpx_pool_free(pool);
	}
	mpx_free(counter);
}

static int third_time(const void *in, void *out)
{
	(void)in;
	*(unsigned *)out = mpx_task_attempt();
	return mpx_task_attempt() < 2 ? EAGAIN : 0;
}

static void test_retries(void **state)
{
	(void)state;
	EACH(b)
	{
		unsigned out[10];
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b, .retries = 2);
		assert_non_null(pool);
		assert_ok(mpx_pool_map_sized(pool, third_time, NULL, 0, out, 4, 10,
					     MPX_TASK(.backoff = 0.001)));
		for (int i = 0; i < 10; i++)
			assert_int_equal(out[i], 2);
		assert_fails(mpx_pool_map_sized(pool, third_time, NULL, 0, out, 4, 10,
						MPX_TASK(.retries = 1)),
			     EAGAIN);
		mpx_pool_free(pool);
	}
}

struct self {
	const void *context;
	size_t index;
	unsigned long long seed;
	int worker;
};

static int ask_self(const void *in, void *out)
{
	(void)in;
	*(struct self *)out = (struct self){mpx_task_context(), mpx_task_index(), mpx_task_seed(),
					    mpx_worker_number()};
	return 0;
}

static void test_what_a_task_can_ask(void **state)
{
	(void)state;
	static struct self seen[3][30];
	char *context = mpx_malloc(5);
	EACH(b)
	{
		struct self *s = seen[b - MPX_BACKEND_PROCESSES];
		mpx_pool *pool = pool_on(b, 2);
		assert_ok(mpx_pool_map_sized(pool, ask_self, NULL, 0, s, sizeof *s, 30,
					     MPX_TASK(.context = context, .seed = 9)));
		for (size_t i = 0; i < 30; i++) {
			assert_ptr_equal(s[i].context, context);
			assert_int_equal(s[i].index, i);
			assert_true(s[i].seed == seen[0][i].seed);
			assert_in_range(s[i].worker, 0, mpx_pool_processes(pool) - 1);
		}
		assert_null(mpx_task_context());
		assert_int_equal(mpx_worker_number(), -1);
		mpx_pool_free(pool);
	}
	mpx_free(context);
}

static int fail_at_seven(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	*(unsigned *)out = x * x;
	return x == 7 ? EDOM : 0;
}

struct source {
	unsigned next, end, pulled;
};

static int generate(void *user, void *in)
{
	struct source *s = user;
	if (s->next == s->end) {
		errno = EIO;
		return -1;
	}
	s->pulled++;
	*(unsigned *)in = s->next++;
	return 1;
}

static void test_imap(void **state)
{
	(void)state;
	EACH(b)
	{
		unsigned in[20], y;
		bool seen[20] = {false};
		mpx_pool *pool = pool_on(b, 2);
		for (unsigned i = 0; i < 20; i++)
			in[i] = i;
		mpx_imap *it = mpx_pool_imap(pool, fail_at_seven, in, 4, 20, 4, NULL);
		for (unsigned i = 0; i < 20; i++) {
			if (i == 7) {
				mpx_failure f;
				assert_fails(mpx_imap_next(it, &y, SOON), EDOM);
				assert_ok(mpx_imap_failure(it, &f));
				assert_int_equal(f.index, 7);
				continue;
			}
			assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
			assert_int_equal(y, i * i);
		}
		assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
		mpx_imap_free(it);
		it = mpx_pool_imap_unordered(pool, square, in, 4, 20, 4, MPX_TASK(.chunksize = 3));
		while (mpx_imap_next(it, &y, SOON) == 1) {
			assert_false(seen[mpx_imap_index(it)]);
			seen[mpx_imap_index(it)] = true;
			assert_int_equal(y, mpx_imap_index(it) * mpx_imap_index(it));
		}
		for (int i = 0; i < 20; i++)
			assert_true(seen[i]);
		mpx_imap_free(it);
		/* A window, and a generator that fails: test_imap_handle_iterable_exception. */
		struct source s = {0, 30, 0};
		it = mpx_pool_imap_from(pool, square, generate, &s, 4, 4, MPX_TASK(.window = 5));
		for (unsigned i = 0; i < 30; i++) {
			assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
			assert_int_equal(y, i * i);
			assert_in_range(s.pulled, i + 1, i + 6);
		}
		assert_fails(mpx_imap_next(it, &y, SOON), EIO);
		assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
		mpx_imap_free(it);
		mpx_pool_free(pool);
	}
}

/* test_empty_iterable, test_make_pool, test_imap_unordered_handle_iterable_exception */
static void test_small_things(void **state)
{
	(void)state;
	EACH(b)
	{
		unsigned y, got = 0;
		assert_nothing(mpx_pool_new(.processes = -1, .backend = b), EINVAL);
		mpx_pool *pool = pool_on(b, 2);
		assert_ok(mpx_pool_map(pool, square, &y, &y, 0));
		mpx_result *r =
			mpx_pool_map_async(pool, square, NULL, 4, 0, 4, MPX_TASK(.chunksize = 1));
		assert_non_null(r);
		assert_ok(mpx_result_get(r, NULL, SOON));
		assert_true(mpx_result_successful(r));
		mpx_result_free(r);
		for (int unordered = 0; unordered < 2; unordered++) {
			mpx_imap *it = unordered ? mpx_pool_imap_unordered(pool, square, NULL, 4, 0,
									   4, NULL)
						 : mpx_pool_imap(pool, square, NULL, 4, 0, 4, NULL);
			assert_non_null(it);
			assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
			mpx_imap_free(it);
		}
		struct source s = {0, 20, 0};
		mpx_imap *it = mpx_pool_imap_unordered_from(pool, square, generate, &s, 4, 4,
							    MPX_TASK(.chunksize = 3));
		for (; got < 20; got++)
			assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
		assert_fails(mpx_imap_next(it, &y, SOON), EIO);
		assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
		mpx_imap_free(it);
		mpx_pool_free(pool);
	}
}

struct called {
	atomic_int well, badly;
	atomic_uint sum;
	pid_t pid;
};

static void on_well(void *user, const void *out, size_t n)
{
	struct called *c = user;
	for (size_t i = 0; i < n; i++)
		atomic_fetch_add(&c->sum, ((const unsigned *)out)[i]);
	c->pid = getpid();
	atomic_fetch_add(&c->well, 1);
}

static void on_failure(void *user, const mpx_failure *f)
{
	struct called *c = user;
	atomic_fetch_add(&c->badly, f->error == EDOM);
}

static void test_callbacks(void **state)
{
	(void)state;
	EACH(b)
	{
		static struct called c;
		unsigned in[8] = {0, 1, 2, 3, 4, 5, 6, 7};
		mpx_pool *pool = pool_on(b, 2);
		memset(&c, 0, sizeof c);
		mpx_task_options o = {.size = sizeof o,
				      .callback = on_well,
				      .error_callback = on_failure,
				      .user = &c};
		mpx_result_free(mpx_pool_map_async(pool, fail_at_seven, in, 4, 7, 4, &o));
		mpx_result_free(mpx_pool_map_async(pool, fail_at_seven, in, 4, 8, 4, &o));
		assert_soon(atomic_load(&c.well) == 1 && atomic_load(&c.badly) == 1);
		assert_int_equal(atomic_load(&c.sum), 0 + 1 + 4 + 9 + 16 + 25 + 36);
		assert_int_equal(c.pid, getpid());
		mpx_pool_free(pool);
	}
}

struct starts {
	atomic_int begun, bad; /* the first so many fail */
};

static int begin(void *args)
{
	struct starts *s = args;
	return atomic_fetch_add(&s->begun, 1) < atomic_load(&s->bad) ? ENODEV : 0;
}

static void test_initializer(void **state)
{
	(void)state;
	struct starts *s = mpx_calloc(1, sizeof *s);
	unsigned x = 3, y;
	EACH(b)
	{
		static const int bad[] = {0, 3, 1000000};
		for (int k = 0; k < 3; k++) {
			atomic_store(&s->begun, 0);
			atomic_store(&s->bad, bad[k]);
			mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = b,
						      .initializer = begin, .initargs = s);
			assert_non_null(pool);
			if (k < 2) {
				assert_ok(mpx_pool_apply(pool, square, &x, &y));
				assert_int_equal(y, 9);
				assert_true(atomic_load(&s->begun) > bad[k]);
			} else {
				assert_fails(mpx_pool_apply(pool, square, &x, &y), ENODEV);
				assert_in_range(atomic_load(&s->begun), 5, 50);
			}
			mpx_pool_free(pool);
		}
	}
	mpx_free(s);
}

/* test_worker_lifetime: a worker that has run so many tasks begins anew. */
static void test_recycling(void **state)
{
	(void)state;
	static unsigned in[60], out[60];
	struct starts *s = mpx_calloc(1, sizeof *s);
	for (int k = 0; k < 2; k++) {
		atomic_store(&s->begun, 0);
		mpx_pool *pool =
			mpx_pool_new(.processes = 2, .backend = all[k], .max_tasks_per_child = 5,
				     .initializer = begin, .initargs = s);
		assert_ok(mpx_pool_map(pool, square, in, out, 60));
		assert_in_range(atomic_load(&s->begun), 10, 16);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		mpx_pool_free(pool);
	}
	mpx_free(s);
}

static mpx_pool *own; /* of the tasks; set before or, for threads, at any time */

static int submit_more(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in, y = 0;
	mpx_pool **where = *(mpx_pool * *const *)mpx_task_context();
	if (mpx_fail(0, "not lost") != 0)
		return EIO;
	mpx_result *r = mpx_pool_apply_async(*where, square, &x, sizeof x, sizeof y, NULL);
	if (!r)
		return errno;
	*(mpx_result **)out = r;
	return mpx_task_index() == x ? 0 : EILSEQ;
}

static void test_submit_from_inside(void **state)
{
	(void)state;
	mpx_pool **where = mpx_malloc(sizeof(mpx_pool *));
	mpx_pool ***context = mpx_malloc(sizeof *context);
	*context = where;
	EACH(b)
	{
		unsigned in[20], y;
		mpx_result *r[20];
		mpx_pool *pool = pool_on(b, 2);
		*where = pool;
		for (unsigned i = 0; i < 20; i++)
			in[i] = i;
		assert_ok(mpx_pool_map_sized(pool, submit_more, in, 4, r, sizeof *r, 20,
					     MPX_TASK(.context = context)));
		for (unsigned i = 0; i < 20; i++) {
			assert_ok(mpx_result_get(r[i], &y, SOON));
			assert_int_equal(y, i * i);
			mpx_result_free(r[i]);
		}
		mpx_pool_free(pool);
	}
	mpx_free(context);
	mpx_free(where);
}

static void *map_some(void *arg)
{
	unsigned in[50], out[50];
	for (unsigned i = 0; i < 50; i++)
		in[i] = i + 5;
	for (int round = 0; round < 20; round++) {
		memset(out, 0, sizeof out);
		child_check(mpx_pool_map(arg, square, in, out, 50) == 0);
		for (unsigned i = 0; i < 50; i++)
			child_check(out[i] == in[i] * in[i]);
	}
	return NULL;
}

static void test_several_threads(void **state)
{
	(void)state;
	EACH(b)
	{
		pthread_t t[4];
		mpx_pool *pool = pool_on(b, 2);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&t[i], NULL, map_some, pool), 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_join(t[i], NULL), 0);
		mpx_pool_free(pool);
	}
}

static void test_close(void **state)
{
	(void)state;
	EACH(b)
	{
		static unsigned in[500], out[500];
		unsigned x = 1, y;
		mpx_pool *pool = pool_on(b, 2);
		mpx_result *r = mpx_pool_map_async(pool, square, in, 4, 500, 4, NULL);
		assert_fails(mpx_pool_join(pool, 0), EBUSY);
		assert_ok(mpx_pool_close(pool));
		assert_fails(mpx_pool_apply(pool, square, &x, &y), EBUSY);
		assert_ok(mpx_pool_join(pool, SOON));
		assert_ok(mpx_result_get(r, out, 0));
		assert_ok(mpx_pool_join(pool, 0));
		mpx_result_free(r);
		mpx_pool_free(pool);
		pool = pool_on(b, 2);
		assert_ok(mpx_pool_terminate(pool));
		assert_fails(mpx_pool_apply(pool, square, &x, &y), EBUSY);
		assert_ok(mpx_pool_join(pool, SOON));
		mpx_pool_free(pool);
	}
}

/* ---- where they differ ------------------------------------------------------- */

struct place {
	pid_t pid;
	pthread_t thread;
};

static int where_am_i(const void *in, void *out)
{
	(void)in;
	*(struct place *)out = (struct place){getpid(), pthread_self()};
	return 0;
}

static void test_where_tasks_run(void **state)
{
	(void)state;
	EACH(b)
	{
		struct place p;
		mpx_pool *pool = pool_on(b, 1);
		assert_ok(mpx_pool_map_sized(pool, where_am_i, NULL, 0, &p, sizeof p, 1, NULL));
		assert_int_equal(p.pid == getpid(), b != MPX_BACKEND_PROCESSES);
		if (b != MPX_BACKEND_PROCESSES)
			assert_int_equal(pthread_equal(p.thread, pthread_self()) != 0,
					 b == MPX_BACKEND_SERIAL);
		mpx_pool_free(pool);
	}
}

static int use_inherited(void *arg)
{
	unsigned x = 2, y;
	mpx_result **r = arg;
	child_fails(mpx_pool_apply(own, square, &x, &y), EPERM);
	child_check(mpx_pool_apply_async(own, square, &x, 4, 4, NULL) == NULL && errno == EPERM);
	child_check(mpx_pool_imap(own, square, &x, 4, 1, 4, NULL) == NULL && errno == EPERM);
	child_fails(mpx_pool_join(own, 0), EPERM);
	mpx_pool_free(own);
	child_check(mpx_result_get(*r, &y, SOON) == 0 && y == 36); /* is readable */
	mpx_pool *mine = mpx_pool_new(.processes = 2, .backend = MPX_BACKEND_THREADS);
	child_check(mine && mpx_pool_apply(mine, square, &x, &y) == 0 && y == 4);
	mpx_pool_free(mine);
	return 0;
}

static void test_a_child_inherits(void **state)
{
	(void)state;
	for (int k = 1; k < 3; k++) {
		unsigned x = 6, y = 0;
		own = pool_on(all[k], 2);
		mpx_result *r = mpx_pool_apply_async(own, square, &x, 4, 4, NULL);
		assert_non_null(r);
		assert_int_equal(run_child(use_inherited, &r), 0);
		mpx_process *p = start(use_inherited, &r);
		ends_well(p);
		mpx_result_free(r);
		assert_ok(mpx_pool_apply(own, square, &x, &y));
		assert_int_equal(y, 36);
		mpx_pool_free(own);
	}
}

static void test_threads_cancel(void **state)
{
	(void)state;
	struct gate *g = gate_new(), *in[10] = {g, g, g, g, g, g, g, g, g, g};
	unsigned x = 5, y;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .backend = MPX_BACKEND_THREADS,
				      .task_timeout = 1e-9); /* which is not kept */
	mpx_result *r = mpx_pool_map_async(pool, pass_gate, in, sizeof *in, 10, 0,
					   MPX_TASK(.chunksize = 5));
	mpx_result *queued = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_result_cancel(queued));
	assert_ok(mpx_result_cancel(r));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r); /* while a thread is in it */
	mpx_result_free(queued);
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_int_equal(y, 25);
	assert_int_equal(atomic_load(&g->left), 1); /* no other was begun */
	assert_int_equal(atomic_load(&g->entered), 1);
	mpx_pool_free(pool);
	mpx_free(g);
}

/* test_async_timeout, of threads too */
static void test_timeouts(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		struct gate *g = gate_new();
		mpx_pool *pool = pool_on(all[k], 1);
		mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
		mpx_imap *it = mpx_pool_imap(pool, pass_gate, &g, sizeof g, 1, 0, NULL);
		assert_times_out(mpx_result_get(r, NULL, 0), 0);
		assert_times_out(mpx_result_get(r, NULL, 0.05), 0.05);
		assert_times_out(mpx_result_wait(r, 0.05), 0.05);
		assert_times_out(mpx_imap_next(it, NULL, 0.05), 0.05);
		assert_false(mpx_result_ready(r));
		assert_nothing(mpx_result_successful(r), EAGAIN);
		atomic_store(&g->open, true);
		assert_ok(mpx_result_get(r, NULL, SOON));
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
		mpx_result_free(r);
		mpx_imap_free(it);
		mpx_pool_free(pool);
		mpx_free(g);
	}
}

/* test_hang_global_shutdown_lock: processes are forked while a thread is always submitting
 * the next task to its own pool. */
static atomic_bool enough;
static atomic_int errors;

static int again(const void *in, void *out)
{
	(void)in;
	(void)out;
	if (atomic_load(&enough))
		return 0;
	mpx_result *r = mpx_pool_apply_async(own, again, NULL, 0, 0, NULL);
	if (!r && !atomic_load(&enough)) /* it may be closed by now */
		atomic_fetch_add(&errors, 1);
	mpx_result_free(r);
	return 0;
}

static void test_forks_beside_busy_threads(void **state)
{
	(void)state;
	unsigned x = 9, y = 0;
	own = pool_on(MPX_BACKEND_THREADS, 1);
	atomic_store(&enough, false);
	atomic_store(&errors, 0);
	mpx_result_free(mpx_pool_apply_async(own, again, NULL, 0, 0, NULL));
	for (int i = 0; i < 50; i++) {
		mpx_pool *pool = pool_on(MPX_BACKEND_PROCESSES, 1);
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(y, 81);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		mpx_pool_free(pool);
	}
	mpx_pool_statistics s;
	assert_ok(mpx_pool_stats(own, &s));
	assert_true(s.done > 50); /* it went on all the time */
	atomic_store(&enough, true);
	assert_ok(mpx_pool_close(own));
	assert_ok(mpx_pool_join(own, SOON));
	assert_int_equal(atomic_load(&errors), 0);
	mpx_pool_free(own);
}

static void test_threads_terminate(void **state)
{
	(void)state;
	struct gate *g = gate_new(), *in[4] = {g, g, g, g};
	mpx_pool *pool = pool_on(MPX_BACKEND_THREADS, 2);
	mpx_result *r =
		mpx_pool_map_async(pool, pass_gate, in, sizeof *in, 4, 0, MPX_TASK(.chunksize = 1));
	assert_soon(atomic_load(&g->entered) == 2);
	assert_ok(mpx_pool_terminate(pool));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	assert_times_out(mpx_pool_join(pool, 0.1), 0.1);
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_join(pool, SOON));
	assert_int_equal(atomic_load(&g->left), 2);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

/* The threads are let go; the last of them frees the pool. */
static void test_threads_free_while_busy(void **state)
{
	(void)state;
	struct gate *g = gate_new(), *in[2] = {g, g};
	mpx_pool *pool = pool_on(MPX_BACKEND_THREADS, 3);
	mpx_result *r =
		mpx_pool_map_async(pool, pass_gate, in, sizeof *in, 2, 0, MPX_TASK(.chunksize = 1));
	assert_soon(atomic_load(&g->entered) == 2);
	size_t blocks = heap_blocks();
	mpx_pool_free(pool);
	assert_int_equal(heap_blocks(), blocks); /* they still need it */
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r);
	atomic_store(&g->open, true);
	assert_soon(heap_blocks() <= blocks - 2);
	assert_int_equal(atomic_load(&g->left), 2);
	mpx_free(g);
}

/* What a task leaves in its thread: its destructor puts it back once, then is held up, then
 * calls the library. */
static pthread_key_t kept;

static struct keeper {
	struct gate *gate;
	bool put_back;
} keepers[2];

static void destroy(void *arg)
{
	struct keeper *k = arg;
	if (!k->put_back) {
		k->put_back = true;
		child_check(pthread_setspecific(kept, k) == 0);
		return;
	}
	pass_gate(&k->gate, NULL);
	mpx_queue *q = mpx_queue_new();
	child_check(q && mpx_queue_fileno(q) >= 0);
	mpx_queue_free(q);
	atomic_fetch_add(&k->gate->left, 1);
}

static int keep_and_meet(const void *in, void *out)
{
	if (pthread_setspecific(kept, &keepers[mpx_task_index()]) != 0)
		return ENOMEM;
	return meet(in, out);
}

/* Each of its two threads keeps one. */
static mpx_pool *pool_that_keeps(struct gate *g, struct meeting *m)
{
	struct guest in[2] = {{m, 2}, {m, 2}};
	pid_t out[2];
	mpx_pool *pool = pool_on(MPX_BACKEND_THREADS, 2);
	atomic_store(&m->met, 0);
	for (int i = 0; i < 2; i++)
		keepers[i] = (struct keeper){.gate = g};
	assert_ok(mpx_pool_map_sized(pool, keep_and_meet, in, sizeof *in, out, sizeof *out, 2,
				     MPX_TASK(.chunksize = 1)));
	return pool;
}

static void test_threads_with_destructors(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	struct meeting *m = mpx_calloc(1, sizeof *m);
	pid_t pids[2];
	assert_int_equal(pthread_key_create(&kept, destroy), 0);
	mpx_pool *pool = pool_that_keeps(g, m);
	/* One leaves, and before it has ended another takes its place. */
	assert_ok(mpx_pool_resize(pool, 1));
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_pool_resize(pool, 2));
	assert_true(workers_of(pool, m, 2, pids));
	assert_int_equal(atomic_load(&g->left), 0);
	assert_ok(mpx_pool_close(pool));
	assert_soon(atomic_load(&g->entered) == 2);
	assert_times_out(mpx_pool_join(pool, 0.05), 0.05);
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_join(pool, SOON));
	assert_int_equal(atomic_load(&g->left), 4); /* twice each: it waits for them */
	mpx_pool_free(pool);
	mpx_free(g);
	/* They are let go, and the last one frees the pool. */
	g = gate_new();
	pool = pool_that_keeps(g, m);
	size_t blocks = heap_blocks();
	mpx_pool_free(pool);
	assert_int_equal(atomic_load(&g->entered), 2);
	assert_true(heap_blocks() >= blocks);
	atomic_store(&g->open, true);
	assert_soon(heap_blocks() < blocks);
	assert_int_equal(atomic_load(&g->left), 4);
	mpx_free(g);
	mpx_free(m);
	assert_int_equal(pthread_key_delete(kept), 0);
}

/* Results of a pool whose process has died. */
static mpx_result **left_behind;

static int leave_results(void *arg)
{
	own = mpx_pool_new(.processes = 1, .backend = MPX_BACKEND_THREADS);
	*left_behind = mpx_pool_apply_async(own, pass_gate, &arg, sizeof arg, 0, NULL);
	child_soon(atomic_load(&((struct gate *)arg)->entered) == 1);
	raise(SIGKILL);
	return 0;
}

static void test_threads_die_with_their_process(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	assert_non_null(left_behind = mpx_calloc(1, sizeof(mpx_result *)));
	assert_int_equal(run_child(leave_results, g), -SIGKILL);
	assert_fails(mpx_result_get(*left_behind, NULL, SOON), EOWNERDEAD);
	mpx_result_free(*left_behind);
	mpx_free(left_behind);
	mpx_free(g);
	harness_rebase(); /* nobody frees the pool */
}

/* ---- which one --------------------------------------------------------------- */

static mpx_backend backend_of(const mpx_pool_options *o)
{
	struct place p;
	mpx_pool *pool = mpx_pool_create(o);
	child_check(pool);
	child_check(mpx_pool_map_sized(pool, where_am_i, NULL, 0, &p, sizeof p, 1, NULL) == 0);
	mpx_pool_free(pool);
	return p.pid != getpid()			 ? MPX_BACKEND_PROCESSES
	       : pthread_equal(p.thread, pthread_self()) ? MPX_BACKEND_SERIAL
							 : MPX_BACKEND_THREADS;
}

static int choose(void *arg)
{
	static const char *const names[] = {"processes", "threads", "serial"};
	mpx_pool_options o = {.size = sizeof o, .processes = 1};
	(void)arg;
	unsetenv("MPX_BACKEND");
	child_check(backend_of(&o) == MPX_BACKEND_PROCESSES);
	setenv("MPX_BACKEND", "", 1);
	child_check(backend_of(&o) == MPX_BACKEND_PROCESSES);
	for (int i = 0; i < 3; i++) {
		setenv("MPX_BACKEND", names[i], 1);
		o.backend = MPX_BACKEND_DEFAULT;
		child_check(backend_of(&o) == all[i]);
		o.backend = all[(i + 1) % 3]; /* the option wins */
		child_check(backend_of(&o) == o.backend);
	}
	setenv("MPX_BACKEND", "threats", 1);
	child_check(mpx_pool_new(.processes = 1) == NULL && errno == EINVAL);
	child_check(mpx_pool_new(.backend = (mpx_backend)4) == NULL && errno == EINVAL);
	return 0;
}

static void test_choice(void **state)
{
	(void)state;
	assert_int_equal(run_child(choose, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_map),
		mpx_test(test_apply_and_results),
		mpx_test(test_errors),
		mpx_test(test_retries),
		mpx_test(test_what_a_task_can_ask),
		mpx_test(test_imap),
		mpx_test(test_small_things),
		mpx_test(test_timeouts),
		mpx_test(test_forks_beside_busy_threads),
		mpx_test(test_callbacks),
		mpx_test(test_initializer),
		mpx_test(test_recycling),
		mpx_test(test_submit_from_inside),
		mpx_test(test_several_threads),
		mpx_test(test_close),
		mpx_test(test_where_tasks_run),
		mpx_test(test_a_child_inherits),
		mpx_test(test_threads_cancel),
		mpx_test(test_threads_terminate),
		mpx_test(test_threads_free_while_busy),
		mpx_test(test_threads_with_destructors),
		mpx_test(test_threads_die_with_their_process),
		mpx_test(test_choice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
