/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_executor.c - mpx/executor.h, the executor:
 *
 *   submit; map: order, errors (the iteration goes on), timeouts, window, chunks, more
 *   than anybody fetches, after shutdown; max_workers, max_tasks_per_child; submit after
 *   shutdown; shutdown: waits, does not wait, in time, cancels what waits, again and
 *   again, with nothing ever submitted, by another process; an executor freed with work
 *   outstanding, or terminated; initializers, also that fail; a lost worker costs one task, or
 *   with break_on_death breaks the executor; and the matrix of deadlocks: a task that fails,
 *   exits, crashes, while it runs, with big data, during shutdown, in the initializer; a
 *   supervisor that hears nothing; nothing is kept; executors of threads, and of none.
 *
 * CPython's test_concurrent_futures:
 *   ExecutorTest: test_submit, test_map, test_map_exception, test_map_timeout, test_map_buffersize,
 *   test_shutdown_race_issue12456, test_no_stale_references, test_free_reference,
 *   test_max_workers_negative. ProcessPoolExecutorTest: test_killed_child, test_map_chunksize,
 *   test_traceback, test_ressources_gced_in_workers, test_saturation, test_max_tasks_per_child,
 *   test_max_tasks_early_shutdown, test_force_shutdown_workers.
 *   ThreadPoolExecutorTest: test_map_submits_without_iteration, test_default_workers.
 *   ExecutorShutdownTest and those of processes and threads: test_run_after_shutdown,
 *   test_hang_issue12364, test_cancel_futures, test_hang_gh94440, test_processes_terminate,
 *   test_threads_terminate, test_shutdown_no_wait, test_cancel_futures_wait_false.
 *   InitializerMixin, FailingInitializerMixin: test_initializer.
 *   ExecutorDeadlockTest: test_crash_, test_exit_, test_error_during_func_exec_on_worker,
 *   likewise at_task_unpickle and during_result_pickle (with big data before and behind),
 *   test_shutdown_deadlock, test_crash_big_data,
 *   test_gh105829_should_not_deadlock_if_wakeup_pipe_full.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>
#include <stdatomic.h>

static mpx_executor *executor_of(int workers)
{
	mpx_executor *e = mpx_executor_new(.max_workers = workers);
	assert_non_null(e);
	return e;
}

static mpx_future *submitted(mpx_executor *e, mpx_task *fn, const void *in, size_t in_size,
			     size_t out_size)
{
	mpx_future *f = mpx_executor_submit(e, fn, in, in_size, out_size, NULL);
	assert_non_null(f);
	return f;
}

static mpx_future *gated(mpx_executor *e, struct gate *g)
{
	return submitted(e, pass_gate, &g, sizeof g, 0);
}

/* The executor still works. */
static void works(mpx_executor *e)
{
	unsigned x = 11, y = 0;
	mpx_future *f = submitted(e, square, &x, sizeof x, sizeof y);
	assert_ok(mpx_future_result(f, &y, SOON));
	assert_int_equal(y, 121);
	mpx_future_free(f);
}

static void test_submit(void **state)
{
	(void)state;
	unsigned x = 3, y = 0;
	mpx_executor *e = executor_of(2);
	assert_int_equal(mpx_pool_processes(e), 2);
	mpx_future *f = submitted(e, square, &x, sizeof x, sizeof y);
	x = 1000; /* it was copied */
	assert_ok(mpx_future_result(f, &y, SOON));
	assert_int_equal(y, 9);
	mpx_future_free(f);
	assert_nothing(mpx_executor_submit(e, NULL, &x, sizeof x, 0, NULL), EINVAL);
	assert_nothing(mpx_executor_submit(e, square, NULL, sizeof x, 0, NULL), EINVAL);
	assert_nothing(mpx_executor_submit(NULL, square, &x, sizeof x, 0, NULL), EINVAL);
	assert_nothing(mpx_executor_map(NULL, square, &x, sizeof x, 1, 4, NULL), EINVAL);
	assert_fails(mpx_executor_shutdown(NULL, false, 0), EINVAL);
	assert_fails(mpx_executor_shutdown(e, false, NOT_A_NUMBER), EINVAL);
	works(e);
	mpx_executor_free(e);
	mpx_executor_free(NULL);
	assert_nothing(mpx_executor_create(NULL), EINVAL);
	assert_nothing(mpx_executor_new(.max_workers = -1), EINVAL);
	assert_nothing(mpx_executor_new(.pool = &(mpx_pool_options){.processes = 1}), EINVAL);
}

static int pid_here(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

static void test_options(void **state)
{
	(void)state;
	mpx_pool_options more = {.size = sizeof more, .processes = 7, .retries = 1};
	mpx_executor *e =
		mpx_executor_new(.max_tasks_per_child = 1, .max_workers = 1, .pool = &more);
	pid_t pid[3] = {0, 0, 0};
	assert_non_null(e);
	assert_int_equal(mpx_pool_processes(e), 1); /* ours goes before */
	for (int i = 0; i < 3; i++) {
		mpx_future *f = submitted(e, pid_here, NULL, 0, sizeof pid[i]);
		assert_ok(mpx_future_result(f, &pid[i], SOON));
		mpx_future_free(f);
	}
	assert_int_not_equal(pid[0], pid[1]);
	assert_int_not_equal(pid[1], pid[2]);
	mpx_executor_free(e);
	e = mpx_executor_new(.pool = &more);
	assert_int_equal(mpx_pool_processes(e), 7);
	mpx_executor_free(e);
}

static int status = -1; /* of a worker */

static int set_status(void *args)
{
	status = *(const int *)args;
	return 0;
}

static int tell_status(const void *in, void *out)
{
	(void)in;
	*(int *)out = status;
	return 0;
}

static void test_initializer(void **state)
{
	(void)state;
	mpx_executor *e = mpx_executor_new(.max_workers = 2, .initializer = set_status,
					   .initargs = &(int){7}, .max_tasks_per_child = 2);
	assert_non_null(e);
	for (int i = 0; i < 10; i++) {
		int seen = 0;
		mpx_future *f = submitted(e, tell_status, NULL, 0, sizeof seen);
		assert_ok(mpx_future_result(f, &seen, SOON));
		assert_int_equal(seen, 7);
		mpx_future_free(f);
	}
	assert_int_equal(status, -1); /* not in this process */
	mpx_executor_free(e);
}

/* The same worker, until it has run its three. */
static void test_max_tasks_per_child(void **state)
{
	(void)state;
	pid_t pid[7];
	mpx_executor *e = mpx_executor_new(.max_workers = 1, .max_tasks_per_child = 3);
	assert_non_null(e);
	for (int i = 0; i < 7; i++) {
		mpx_future *f = submitted(e, pid_here, NULL, 0, sizeof *pid);
		assert_ok(mpx_future_result(f, &pid[i], SOON));
		mpx_future_free(f);
	}
	for (int i = 1; i < 7; i++)
		assert_int_equal(pid[i] == pid[i - 1], i % 3 != 0);
	mpx_executor_free(e);
	/* With much more waiting than workers live to do (gh-115634). */
	enum { MANY = 40 };
	mpx_future *fs[MANY];
	e = mpx_executor_new(.max_workers = 2, .max_tasks_per_child = 1);
	for (int i = 0; i < MANY; i++)
		fs[i] = submitted(e, pid_here, NULL, 0, sizeof *pid);
	assert_int_equal(mpx_futures_wait(fs, MANY, MPX_ALL_COMPLETED, NULL, SOON), MANY);
	for (int i = 0; i < MANY; i++) {
		assert_ok(mpx_future_result(fs[i], pid, 0));
		mpx_future_free(fs[i]);
	}
	works(e);
	mpx_executor_free(e);
}

/* Of tasks and results that are done and freed, while the executor lives. */
static void test_nothing_is_kept(void **state)
{
	(void)state;
	unsigned in[50] = {0}, y;
	mpx_executor *e = executor_of(2);
	works(e);
	size_t blocks = idle_blocks(e);
	for (int i = 0; i < 50; i++) {
		mpx_future_free(submitted(e, square, in, 4, 100000)); /* nobody looks */
		works(e);
		mpx_imap *it = mpx_executor_map(e, square, in, sizeof *in, 50, sizeof y, NULL);
		for (int k = 0; k < i; k++)
			assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
		mpx_imap_free(it);
	}
	assert_soon(heap_blocks() == blocks);
	mpx_executor_free(e);
}

/* --- map ------------------------------------------------------------------------------------- */

static int fail_on_3(const void *in, void *out)
{
	return *(const unsigned *)in == 3 ? mpx_fail(EDOM, "three") : square(in, out);
}

static void test_map(void **state)
{
	(void)state;
	enum { N = 500 };
	unsigned in[N], y = 0;
	mpx_failure why;
	mpx_executor *e = executor_of(2);
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	static const size_t windows[] = {0, 1, 10}, chunks[] = {0, 7, 1000};
	for (int k = 0; k < 9; k++) {
		mpx_imap *it = mpx_executor_map(
			e, fail_on_3, in, sizeof *in, N, sizeof y,
			MPX_TASK(.window = windows[k / 3], .chunksize = chunks[k % 3]));
		assert_non_null(it);
		for (unsigned i = 0; i < N; i++) {
			if (i == 3) {
				assert_fails(mpx_imap_next(it, &y, SOON), EDOM);
				assert_ok(mpx_imap_failure(it, &why));
				assert_string_equal(why.message, "three");
			} else {
				assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
				assert_int_equal(y, i * i);
			}
			assert_int_equal(mpx_imap_index(it), i);
		}
		assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
		mpx_imap_free(it);
	}
	mpx_executor_free(e);
}

static void test_map_timeout(void **state)
{
	(void)state;
	struct gate *gates[3] = {gate_new(), gate_new(), gate_new()};
	mpx_executor *e = executor_of(2);
	atomic_store(&gates[0]->open, true);
	mpx_imap *it = mpx_executor_map(e, pass_gate, gates, sizeof *gates, 3, 0, NULL);
	assert_non_null(it);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	assert_times_out(mpx_imap_next(it, NULL, 0), 0);
	assert_times_out(mpx_imap_next(it, NULL, 0.1), 0.1);
	/* All were submitted: the last one is done before the second. */
	atomic_store(&gates[2]->open, true);
	assert_soon(atomic_load(&gates[2]->left) == 1);
	atomic_store(&gates[1]->open, true);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	assert_int_equal(mpx_imap_index(it), 1);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
	mpx_imap_free(it);
	mpx_executor_free(e);
	for (int i = 0; i < 3; i++)
		mpx_free(gates[i]);
}

static int count_in(const void *in, void *out)
{
	(void)out;
	atomic_fetch_add(*(atomic_int *const *)in, 1);
	return 0;
}

/* Python's buffersize: so many are taken ahead, and no more. */
static void test_map_window(void **state)
{
	(void)state;
	enum { N = 20, WINDOW = 3 };
	atomic_int *in[N], *ran = mpx_calloc(1, sizeof *ran);
	mpx_executor *e = executor_of(2);
	for (int i = 0; i < N; i++)
		in[i] = ran;
	mpx_imap *it =
		mpx_executor_map(e, count_in, in, sizeof *in, N, 0, MPX_TASK(.window = WINDOW));
	assert_non_null(it);
	for (int i = 0; i < N; i++) {
		int most = i + WINDOW < N ? i + WINDOW : N;
		assert_soon(atomic_load(ran) == most);
		nap();
		assert_int_equal(atomic_load(ran), most);
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	}
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
	mpx_imap_free(it);
	mpx_executor_free(e);
	mpx_free(ran);
}

/* All is submitted by map, so that it outlives the shutdown. */
static void test_map_and_shutdown(void **state)
{
	(void)state;
	enum { N = 101 };
	unsigned in[N], y = 0;
	mpx_executor *e = executor_of(2);
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	mpx_imap *it =
		mpx_executor_map(e, square, in, sizeof *in, N, sizeof y, MPX_TASK(.chunksize = 4));
	mpx_imap *never = mpx_executor_map(e, square, in, sizeof *in, N, sizeof y, NULL);
	assert_non_null(it);
	assert_int_equal(mpx_imap_next(never, &y, SOON), 1);
	mpx_imap_free(never); /* early */
	assert_ok(mpx_executor_shutdown(e, false, SOON));
	assert_nothing(mpx_executor_map(e, square, in, sizeof *in, N, sizeof y, NULL), EBUSY);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(mpx_imap_next(it, &y, 0), 1);
		assert_int_equal(y, i * i);
	}
	mpx_imap_free(it);
	mpx_executor_free(e);
}

/* --- shutdown --------------------------------------------------------------------------------- */

static void test_shutdown(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	unsigned x = 5, y = 0;
	mpx_executor *e = executor_of(1);
	mpx_future *f = gated(e, g), *next = submitted(e, square, &x, sizeof x, sizeof y);
	assert_times_out(mpx_executor_shutdown(e, false, 0), 0);
	assert_times_out(mpx_executor_shutdown(e, false, 0.1), 0.1);
	assert_nothing(mpx_executor_submit(e, square, &x, sizeof x, sizeof y, NULL), EBUSY);
	assert_false(mpx_future_done(next));
	atomic_store(&g->open, true);
	assert_ok(mpx_executor_shutdown(e, false, SOON));
	assert_true(mpx_future_done(f) && mpx_future_done(next));
	assert_ok(mpx_future_result(next, &y, 0));
	assert_int_equal(y, 25);
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_executor_shutdown(e, i % 2, i ? MPX_FOREVER : 0));
	assert_nothing(mpx_executor_submit(e, square, &x, sizeof x, sizeof y, NULL), EBUSY);
	mpx_future_free(f);
	mpx_future_free(next);
	mpx_executor_free(e);
	mpx_free(g);
	e = executor_of(3); /* nothing was ever submitted */
	assert_ok(mpx_executor_shutdown(e, true, SOON));
	mpx_executor_free(e);
}

/* With work for many more workers than there are, each of which wears out at once. */
static void test_shutdown_early(void **state)
{
	(void)state;
	enum { MANY = 50, WORKERS = 3 };
	for (size_t most = 0; most < 2; most++) {
		struct meeting *m = mpx_calloc(1, sizeof *m);
		pid_t pids[WORKERS];
		mpx_future *fs[MANY];
		mpx_executor *e =
			mpx_executor_new(.max_workers = WORKERS, .max_tasks_per_child = most);
		assert_non_null(e);
		if (!most)
			assert_true(workers_of(e, m, WORKERS, pids));
		for (unsigned i = 0; i < MANY; i++)
			fs[i] = submitted(e, square, &i, sizeof i, sizeof i);
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		for (unsigned i = 0; i < MANY; i++) {
			unsigned y = 0;
			assert_ok(mpx_future_result(fs[i], &y, 0));
			assert_int_equal(y, i * i);
			mpx_future_free(fs[i]);
		}
		for (int i = 0; i < WORKERS && !most; i++)
			assert_false(pid_running(pids[i]));
		mpx_executor_free(e);
		mpx_free(m);
	}
}

/* Nobody waits for it: all is done, and the workers end, without another call. */
static void test_shutdown_no_wait(void **state)
{
	(void)state;
	enum { N = 20, WORKERS = 3 };
	struct meeting *m = mpx_calloc(1, sizeof *m);
	struct gate *g = gate_new();
	pid_t pids[WORKERS];
	mpx_future *fs[N];
	mpx_executor *e = executor_of(WORKERS);
	assert_true(workers_of(e, m, WORKERS, pids));
	for (int i = 0; i < N; i++)
		fs[i] = gated(e, g);
	assert_times_out(mpx_executor_shutdown(e, false, 0), 0);
	atomic_store(&g->open, true);
	for (int i = 0; i < WORKERS; i++)
		assert_soon(!pid_running(pids[i]));
	assert_int_equal(atomic_load(&g->left), N);
	for (int i = 0; i < N; i++) {
		assert_ok(mpx_future_result(fs[i], NULL, 0));
		mpx_future_free(fs[i]);
	}
	mpx_executor_free(e);
	mpx_free(g);
	mpx_free(m);
}

/* Submitted, and cancelled at once, right before. */
static void test_cancel_and_shutdown(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		unsigned x = 2;
		mpx_executor *e = executor_of(1);
		if (i % 2)
			works(e);
		mpx_future *f = submitted(e, square, &x, sizeof x, sizeof x);
		bool cancelled = mpx_future_cancel(f, i % 3 == 0) == 0;
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		assert_int_equal(mpx_future_exception(f, 0), cancelled ? ECANCELED : 0);
		mpx_future_free(f);
		mpx_executor_free(e);
	}
}

static void test_shutdown_cancels(void **state)
{
	(void)state;
	enum { MANY = 50 };
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(2);
	mpx_future *fs[MANY];
	for (int i = 0; i < MANY; i++)
		fs[i] = gated(e, g);
	size_t blocks = heap_blocks();
	mpx_future_free(gated(e, g)); /* freed, and has not begun */
	assert_int_equal(heap_blocks(), blocks + 1);
	assert_soon(atomic_load(&g->entered) == 2);
	assert_times_out(mpx_executor_shutdown(e, true, 0), 0);
	assert_int_equal(heap_blocks(), blocks);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(mpx_future_cancelled(fs[i]), i >= 2);
	assert_true(mpx_future_running(fs[0]) && mpx_future_running(fs[1]));
	atomic_store(&g->open, true);
	assert_ok(mpx_executor_shutdown(e, true, SOON));
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(mpx_future_exception(fs[i], 0), i < 2 ? 0 : ECANCELED);
		mpx_future_free(fs[i]);
	}
	assert_int_equal(atomic_load(&g->entered), 2);
	mpx_executor_free(e);
	mpx_free(g);
}

static int use_of_another(void *arg)
{
	mpx_executor *e = arg;
	unsigned x = 6, y = 0;
	child_fails(mpx_executor_shutdown(e, true, 0), EPERM);
	mpx_future *f = mpx_executor_submit(e, square, &x, sizeof x, sizeof y, NULL);
	child_check(f);
	child_check(mpx_future_result(f, &y, SOON) == 0 && y == 36);
	mpx_future_free(f);
	mpx_executor_free(e); /* nothing */
	return 0;
}

static void test_another_process(void **state)
{
	(void)state;
	mpx_executor *e = executor_of(1);
	ends_well(start(use_of_another, e));
	works(e);
	mpx_executor_free(e);
}

static void test_freed_at_work(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_executor *e = executor_of(1);
	mpx_future *f = gated(e, g), *waiting = gated(e, g);
	assert_soon(atomic_load(&g->entered) == 1);
	mpx_executor_free(e);
	assert_true(mpx_future_cancelled(f) && mpx_future_cancelled(waiting));
	mpx_future_free(f);
	mpx_future_free(waiting);
	mpx_free(g);
}

/* terminate_workers, kill_workers: at work, before any, with a dead worker, and too late. */
static void test_terminate(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct gate *g = gate_new();
		struct meeting *m = mpx_calloc(1, sizeof *m);
		pid_t pids[2] = {0, 0};
		mpx_future *f = NULL;
		mpx_executor *e = executor_of(2);
		if (i != 1)
			assert_true(workers_of(e, m, 2, pids));
		if (i == 0) {
			f = gated(e, g);
			assert_soon(atomic_load(&g->entered) == 1);
		}
		if (i == 2)
			assert_int_equal(kill(pids[0], SIGKILL), 0);
		if (i == 3)
			assert_ok(mpx_executor_shutdown(e, false, SOON));
		assert_ok(mpx_pool_terminate(e));
		assert_nothing(mpx_executor_submit(e, pass_gate, &g, sizeof g, 0, NULL), EBUSY);
		if (f) {
			assert_fails(mpx_future_result(f, NULL, SOON), ECANCELED);
			assert_true(mpx_future_cancelled(f));
			mpx_future_free(f);
		}
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		assert_true(i == 1 || !(pid_running(pids[0]) || pid_running(pids[1])));
		mpx_executor_free(e);
		mpx_free(m);
		mpx_free(g);
	}
}

/* --- deadlocks ----------------------------------------------------------------------------------
 */

enum how { FAIL, EXIT_0, EXIT_3, CRASH, HOWS };
static const int error_of[HOWS] = {EIO, EOWNERDEAD, EOWNERDEAD, EOWNERDEAD};

struct order {
	struct gate *g; /* entered; waited for, if it is there */
	enum how how;
	char big[1 << 20];
};

static int obey_now(enum how how)
{
	switch (how) {
	case EXIT_0:
		exit(0);
	case EXIT_3:
		_exit(3);
	case CRASH:
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	default:
		break;
	}
	return EIO;
}

static int obey(const void *in, void *out)
{
	const struct order *o = in;
	if (out)
		memset(out, 7, sizeof o->big);
	if (o->g)
		pass_gate(&o->g, NULL);
	return obey_now(o->how);
}

/* Running, with and without big data: that task fails; the executor goes on. */
static void test_deadlock_running(void **state)
{
	(void)state;
	static struct order o;
	static char big[sizeof o.big];
	mpx_executor *e = executor_of(2);
	for (int i = 0; i < 2 * HOWS; i++) {
		enum how how = (enum how)(i / 2);
		mpx_failure why;
		o.how = how;
		mpx_future *f = submitted(e, obey, &o, sizeof o, i % 2 ? sizeof o.big : 0);
		assert_fails(mpx_future_result(f, big, SOON), error_of[how]);
		assert_ok(mpx_future_failure(f, &why));
		assert_int_equal(why.exit_status, how == EXIT_0 ? 0 : how == EXIT_3 ? 3 : -1);
		/* (A sanitizer may make an exit of it.) */
		if (!SANITIZED)
			assert_int_equal(why.signal, how == CRASH ? SIGSEGV : 0);
		assert_false(mpx_future_cancelled(f));
		mpx_future_free(f);
		works(e);
	}
	mpx_executor_free(e);
}

/* Big items, each of which ends its worker. */
static void test_deadlock_big_map(void **state)
{
	(void)state;
	enum { N = 10 };
	struct order *in = calloc(N, sizeof *in);
	assert_non_null(in);
	for (int how = FAIL; how < HOWS; how++) {
		mpx_executor *e = executor_of(2);
		for (int i = 0; i < N; i++)
			in[i].how = (enum how)how;
		mpx_imap *it = mpx_executor_map(e, obey, in, sizeof *in, N, sizeof in->big, NULL);
		assert_non_null(it);
		for (int i = 0; i < N; i++)
			assert_fails(mpx_imap_next(it, in->big, SOON), error_of[how]);
		assert_int_equal(mpx_imap_next(it, in->big, SOON), 0);
		mpx_imap_free(it);
		works(e);
		mpx_executor_free(e);
		if (how == FAIL)
			continue;
		e = mpx_executor_new(.max_workers = 2, .break_on_death = true);
		assert_non_null(e);
		it = mpx_executor_map(e, obey, in, sizeof *in, N, sizeof in->big,
				      MPX_TASK(.window = 3));
		if (it) /* otherwise it is broken already */
			while (mpx_imap_next(it, in->big, SOON) != 0)
				assert_int_equal(errno, EOWNERDEAD);
		mpx_imap_free(it);
		assert_nothing(mpx_executor_submit(e, pid_here, NULL, 0, 4, NULL), EOWNERDEAD);
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		mpx_executor_free(e);
	}
	free(in);
}

static int parent_of(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

/* Each of these tasks tells the supervisor of itself, which hears nothing (gh-105829). */
static void test_deadlock_deaf_supervisor(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	static mpx_future *fs[MANY];
	pid_t supervisor = 0;
	mpx_executor *e = executor_of(2);
	mpx_future *f = submitted(e, parent_of, NULL, 0, sizeof supervisor);
	assert_ok(mpx_future_result(f, &supervisor, SOON));
	mpx_future_free(f);
	assert_int_equal(kill(supervisor, SIGSTOP), 0);
	for (unsigned i = 0; i < MANY; i++)
		assert_non_null(fs[i] = mpx_executor_submit(e, square, &i, sizeof i, sizeof i,
							    MPX_TASK(.timeout = SOON)));
	for (unsigned i = 0; i < MANY; i++) {
		unsigned y = 0;
		assert_ok(mpx_future_result(fs[i], &y, SOON));
		assert_int_equal(y, i * i);
		mpx_future_free(fs[i]);
	}
	assert_int_equal(kill(supervisor, SIGCONT), 0);
	assert_ok(mpx_executor_shutdown(e, false, SOON));
	mpx_executor_free(e);
}

static void test_deadlock_shutdown(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * HOWS; i++) {
		enum how how = (enum how)(i / 2);
		struct gate *g = gate_new();
		static struct order o;
		unsigned x = 4, y = 0;
		mpx_executor *e = executor_of(1);
		o.g = g;
		o.how = how;
		mpx_future *f = submitted(e, obey, &o, sizeof o, 0),
			   *next = submitted(e, square, &x, sizeof x, sizeof y);
		assert_soon(atomic_load(&g->entered) == 1);
		assert_times_out(mpx_executor_shutdown(e, i % 2, 0), 0);
		atomic_store(&g->open, true);
		assert_ok(mpx_executor_shutdown(e, i % 2, SOON));
		assert_int_equal(mpx_future_exception(f, 0), error_of[how]);
		assert_int_equal(mpx_future_exception(next, 0), i % 2 ? ECANCELED : 0);
		mpx_future_free(f);
		mpx_future_free(next);
		mpx_executor_free(e);
		mpx_free(g);
	}
}

static int initialize(void *args)
{
	return obey_now(*(const enum how *)args);
}

static void test_deadlock_initializer(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * HOWS; i++) {
		enum how how = (enum how)(i / 2);
		unsigned x = 4;
		double end = now() + SOON;
		int wrong = 0;
		mpx_executor *e = mpx_executor_new(.max_workers = 2, .initializer = initialize,
						   .initargs = &how, .break_on_death = i % 2);
		assert_non_null(e);
		/* What is submitted before it is known, fails; then submit does. */
		for (;;) {
			mpx_future *f =
				mpx_executor_submit(e, square, &x, sizeof x, sizeof x, NULL);
			if (!f)
				break;
			wrong += mpx_future_exception(f, SOON) != error_of[how] || now() > end;
			mpx_future_free(f);
			assert_int_equal(wrong, 0);
		}
		assert_int_equal(errno, error_of[how]);
		assert_nothing(mpx_executor_map(e, square, &x, sizeof x, 1, 4, NULL),
			       error_of[how]);
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		mpx_executor_free(e);
	}
}

/* As in Python: all that is outstanding fails, and nothing more is taken. */
static void test_break_on_death(void **state)
{
	(void)state;
	for (int i = EXIT_0; i < HOWS; i++) {
		struct gate *g = gate_new(), *own = gate_new();
		static struct order o;
		mpx_failure why;
		mpx_executor *e = mpx_executor_new(.max_workers = 2, .break_on_death = true);
		assert_non_null(e);
		o.g = NULL;
		o.how = FAIL; /* which is none */
		mpx_future *f = submitted(e, obey, &o, sizeof o, 0);
		assert_int_equal(mpx_future_exception(f, SOON), EIO);
		mpx_future_free(f);
		works(e);
		o.how = (enum how)i;
		o.g = own;
		mpx_future *fs[3] = {gated(e, g), submitted(e, obey, &o, sizeof o, 0), gated(e, g)};
		atomic_store(&own->open, true);
		assert_int_equal(mpx_futures_wait(fs, 3, MPX_ALL_COMPLETED, NULL, SOON), 3);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(mpx_future_exception(fs[k], 0), EOWNERDEAD);
			assert_ok(mpx_future_failure(fs[k], &why));
			assert_int_equal(why.pid > 0, k == 1);
			mpx_future_free(fs[k]);
		}
		assert_nothing(mpx_executor_submit(e, obey, &o, sizeof o, 0, NULL), EOWNERDEAD);
		assert_ok(mpx_executor_shutdown(e, false, SOON));
		mpx_executor_free(e);
		mpx_free(g);
		mpx_free(own);
	}
}

/* An idle one counts as well; one that is ended on purpose does not. */
static void test_break_on_death_idle(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	pid_t pid = 0;
	mpx_executor *e = mpx_executor_new(.max_workers = 1, .break_on_death = true,
					   .max_tasks_per_child = 3);
	assert_non_null(e);
	for (int i = 0; i < 10; i++)
		works(e); /* worn out three times */
	mpx_future *f = gated(e, g);
	assert_soon(mpx_future_running(f));
	assert_ok(mpx_future_cancel(f, true));
	mpx_future_free(f);
	works(e);
	f = mpx_executor_submit(e, pass_gate, &g, sizeof g, 0, MPX_TASK(.timeout = 0.05));
	assert_int_equal(mpx_future_exception(f, SOON), ETIMEDOUT);
	mpx_future_free(f);
	works(e);
	f = submitted(e, pid_here, NULL, 0, sizeof pid);
	assert_ok(mpx_future_result(f, &pid, SOON));
	mpx_future_free(f);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_soon(!(f = mpx_executor_submit(e, pid_here, NULL, 0, sizeof pid, NULL)) ||
		    (mpx_future_free(f), false));
	assert_int_equal(errno, EOWNERDEAD);
	mpx_executor_free(e);
	mpx_free(g);
}

/* --- the other back ends ------------------------------------------------------------------ */

/* ThreadPoolExecutor, and one without any. */
static void test_backends(void **state)
{
	(void)state;
	enum { N = 40 };
	for (mpx_backend b = MPX_BACKEND_THREADS; b <= MPX_BACKEND_SERIAL; b++) {
		mpx_pool_options more = {.size = sizeof more, .backend = b};
		mpx_executor *e = mpx_executor_new(.max_workers = 2, .pool = &more);
		unsigned in[N], y = 0;
		mpx_future *fs[N];
		assert_non_null(e);
		works(e);
		for (unsigned i = 0; i < N; i++) {
			in[i] = i;
			fs[i] = submitted(e, fail_on_3, &i, sizeof i, sizeof i);
		}
		assert_true(mpx_futures_wait(fs, N, MPX_FIRST_EXCEPTION, NULL, SOON) > 0);
		assert_int_equal(mpx_futures_wait(fs, N, MPX_ALL_COMPLETED, NULL, SOON), N);
		mpx_as_completed *each = mpx_as_completed_new(fs, N);
		for (unsigned i = 0; i < N; i++) {
			size_t which = N;
			assert_int_equal(mpx_as_completed_next(each, &which, 0), 1);
			assert_int_equal(mpx_future_exception(fs[which], 0), which == 3 ? EDOM : 0);
			assert_fails(mpx_future_cancel(fs[which], true), EBUSY);
		}
		assert_int_equal(mpx_as_completed_next(each, NULL, 0), 0);
		mpx_as_completed_free(each);
		mpx_imap *it = mpx_executor_map(e, square, in, sizeof *in, N, sizeof y, NULL);
		assert_ok(mpx_executor_shutdown(e, b == MPX_BACKEND_SERIAL, SOON));
		assert_nothing(mpx_executor_submit(e, square, in, 4, 4, NULL), EBUSY);
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(mpx_imap_next(it, &y, 0), 1);
			assert_int_equal(y, i * i);
			mpx_future_free(fs[i]);
		}
		mpx_imap_free(it);
		mpx_executor_free(e);
	}
}

/* A thread in a task; others wait: they are cancelled by themselves, or by shutdown. */
static void test_threads_shut_down(void **state)
{
	(void)state;
	mpx_pool_options more = {.size = sizeof more, .backend = MPX_BACKEND_THREADS};
	struct gate *g = gate_new();
	mpx_executor *e = mpx_executor_new(.max_workers = 1, .pool = &more);
	assert_non_null(e);
	mpx_future *running = gated(e, g), *first = gated(e, g), *second = gated(e, g);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_true(mpx_future_running(running) && !mpx_future_running(first));
	assert_fails(mpx_future_cancel(running, false), EBUSY);
	assert_ok(mpx_future_cancel(first, false));
	assert_false(mpx_future_done(second));
	assert_times_out(mpx_executor_shutdown(e, true, 0), 0);
	assert_true(mpx_future_cancelled(first) && mpx_future_cancelled(second));
	atomic_store(&g->open, true);
	assert_ok(mpx_executor_shutdown(e, false, SOON));
	assert_int_equal(mpx_future_exception(running, 0), 0);
	assert_int_equal(atomic_load(&g->entered), 1);
	mpx_future_free(running);
	mpx_future_free(first);
	mpx_future_free(second);
	mpx_executor_free(e);
	mpx_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_submit),
		mpx_test(test_options),
		mpx_test(test_initializer),
		mpx_test(test_max_tasks_per_child),
		mpx_test(test_nothing_is_kept),
		mpx_test(test_map),
		mpx_test(test_map_window),
		mpx_test(test_map_timeout),
		mpx_test(test_map_and_shutdown),
		mpx_test(test_shutdown),
		mpx_test(test_shutdown_early),
		mpx_test(test_shutdown_no_wait),
		mpx_test(test_cancel_and_shutdown),
		mpx_test(test_shutdown_cancels),
		mpx_test(test_another_process),
		mpx_test(test_freed_at_work),
		mpx_test(test_terminate),
		mpx_test(test_deadlock_running),
		mpx_test(test_deadlock_big_map),
		mpx_test(test_deadlock_deaf_supervisor),
		mpx_test(test_deadlock_shutdown),
		mpx_test(test_deadlock_initializer),
		mpx_test(test_break_on_death),
		mpx_test(test_break_on_death_idle),
		mpx_test(test_backends),
		mpx_test(test_threads_shut_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
