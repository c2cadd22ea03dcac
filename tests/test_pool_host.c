/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_host.c - mpx/pool.h and the program around a pool:
 *
 *   its user killed, at any moment, or ended without free: no worker and no
 *   supervisor is left, busy or idle; SIGINT to the whole process group; SIGCHLD
 *   ignored, or handled by a thief of children; signals blocked; a pool made by a
 *   thread that has ended; no process, no descriptor, no memory to be had.
 *
 * CPython's TestPoolNotLeakOnFailure.test_release_unused_processes, _TestPool.
 * test_resource_warning, _TestPoolWorkerLifetime.
 * test_worker_finalization_via_atexit_handler_of_multiprocessing (a program that ends with
 * its pool).
 *
 * "victim" and "small-heap" are this executable started anew: families of their own.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static const char *self;

/* What a child shares with its test. */
struct shared {
	struct meeting meeting;
	struct gate gate;
};

/* ---- the user's process ends ------------------------------------------- */

enum { WORKERS = 4, BUSY = 2, REPORT_FD = 9 };

static int busy(const void *in, void *out)
{
	struct gate *g = *(struct gate *const *)in;
	signal(SIGTERM, SIG_IGN); /* asking is not enough */
	return pass_gate(&g, out);
}

/* Reports the pids of its workers, keeps two of them busy, and then ends as told. */
static int program_victim(const char *how)
{
	pid_t pids[WORKERS];
	struct shared *m = mpx_calloc(1, sizeof *m);
	child_check(m != NULL);
	struct gate *in[BUSY] = {&m->gate, &m->gate};
	mpx_pool *pool = mpx_pool_new(.processes = WORKERS);
	child_check(pool != NULL);
	child_check(workers_of(pool, &m->meeting, WORKERS, pids));
	child_check(
		mpx_pool_map_async(pool, busy, in, sizeof *in, BUSY, 0, MPX_TASK(.chunksize = 1)));
	child_soon(atomic_load(&m->gate.entered) == BUSY);
	child_check(write(REPORT_FD, pids, sizeof pids) == sizeof pids);
	if (strcmp(how, "victim-exit") == 0)
		return 0;
	if (strcmp(how, "victim-exit-now") == 0)
		_exit(0);
	for (;;)
		pause();
}

struct victim {
	const char *how;
	int fd;
};

static int exec_with_report(void *arg)
{
	const struct victim *v = arg;
	struct anew a = {self, v->how, NULL, 0};
	child_check(dup2(v->fd, REPORT_FD) == REPORT_FD);
	signal(SIGINT, SIG_DFL); /* a shell may have had it ignored */
	return exec_anew(&a);
}

/* Orphans become children of this process where that can be had. */
static bool adopt_orphans(bool on)
{
#ifdef PR_SET_CHILD_SUBREAPER
	return prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) == 0;
#else
	(void)on;
	return false;
#endif
}

/* Reaps whatever ends until there is no child any more, for so many seconds. */
static bool all_gone(double seconds)
{
	double end = now() + seconds;
	while (now() < end) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid == 0)
			nap();
	}
	return false;
}

static void victim_ends(const char *how, int sig)
{
	int fds[2];
	pid_t pids[WORKERS];
	bool adopting = adopt_orphans(true);
	assert_int_equal(pipe(fds), 0);
	struct victim v = {how, fds[1]};
	pid_t victim = fork_child(exec_with_report, &v);
	close(fds[1]);
	for (size_t got = 0; got < sizeof pids;) {
		ssize_t n = read(fds[0], (char *)pids + got, sizeof pids - got);
		assert_true(n > 0 || (n < 0 && errno == EINTR));
		got += n > 0 ? (size_t)n : 0;
	}
	for (int i = 0; i < WORKERS && sig; i++)
		assert_true(pid_running(pids[i]));
	if (sig)
		assert_int_equal(kill(victim, sig), 0);
	assert_int_equal(wait_child(victim), -sig);
	double begin = now();
	bool gone = !adopting || all_gone(20);
	for (int i = 0; i < WORKERS; i++) {
		while (pid_running(pids[i]) && now() < begin + 20)
			nap();
		if (pid_running(pids[i])) {
			kill(pids[i], SIGKILL);
			gone = false;
		}
	}
	double took = now() - begin;
	adopt_orphans(false);
	close(fds[0]);
	if (!gone || took > 5)
		fail_msg("%s, signal %d: %s after %g seconds", how, sig,
			 gone ? "gone" : "still there", took);
}

static void test_user_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		victim_ends("victim", SIGKILL);
	victim_ends("victim", SIGTERM);
	victim_ends("victim", SIGINT);
}

static void test_user_ends_without_free(void **state)
{
	(void)state;
	victim_ends("victim-exit", 0);
	victim_ends("victim-exit-now", 0);
}

/* Also while the pool is being made, or the workers are just starting. */
static void test_user_killed_at_random(void **state)
{
	(void)state;
	uint64_t seed = 5;
	if (!adopt_orphans(true))
		skip();
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(null >= 0);
	struct victim v = {"victim", null};
	double end = now() + 30;
	for (int i = 0; i < 60 && now() < end; i++) {
		struct timespec t = {0, (long)(next_random(&seed) % 25000000)};
		pid_t victim = fork_child(exec_with_report, &v);
		nanosleep(&t, NULL); /* the random moment */
		kill(victim, SIGKILL);
		assert_int_equal(wait_child(victim), -SIGKILL);
		if (!all_gone(10))
			fail_msg("killed after %ld us: somebody is left", t.tv_nsec / 1000);
	}
	close(null);
	adopt_orphans(false);
}

/* ---- signals ----------------------------------------------------------- */

static volatile sig_atomic_t interrupts;

static void count_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

static int interrupt_group(void *arg)
{
	struct shared *m = arg;
	struct gate *g = &m->gate, *in[2] = {g, g};
	pid_t before[3], after[3];
	struct sigaction sa = {.sa_handler = count_interrupt};
	sigemptyset(&sa.sa_mask);
	child_check(setpgid(0, 0) == 0);
	child_check(sigaction(SIGINT, &sa, NULL) == 0);
	mpx_pool *pool = mpx_pool_new(.processes = 3);
	child_check(pool != NULL);
	child_check(workers_of(pool, &m->meeting, 3, before));
	mpx_result *r =
		mpx_pool_map_async(pool, pass_gate, in, sizeof *in, 2, 0, MPX_TASK(.chunksize = 1));
	child_soon(atomic_load(&g->entered) == 2);
	for (int i = 1; i <= 5; i++) {
		child_check(kill(0, SIGINT) == 0);
		child_soon(interrupts >= i);
	}
	atomic_store(&g->open, true);
	child_check(mpx_result_get(r, NULL, SOON) == 0);
	mpx_result_free(r);
	child_check(workers_of(pool, &m->meeting, 3, after));
	for (int i = 0; i < 3; i++) {
		bool known = false;
		for (int k = 0; k < 3; k++)
			known = known || after[i] == before[k];
		child_check(known);
	}
	mpx_pool_free(pool);
	child_check(interrupts == 5); /* the library does not touch the handler */
	return 0;
}

static void test_interrupt(void **state)
{
	(void)state;
	struct shared *m = mpx_calloc(1, sizeof *m);
	assert_non_null(m);
	assert_int_equal(run_child(interrupt_group, m), 0);
	mpx_free(m);
}

static int die(const void *in, void *out)
{
	int how = *(const int *)in;
	(void)out;
	if (how > 0) {
		sigset_t all;
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(how, SIG_DFL);
		raise(how);
		for (;;)
			nap();
	}
	_exit(-how);
}

/* A pool works, tells how workers die, and leaves no child. */
static void exercise(mpx_pool *pool)
{
	static const int ways[] = {SIGKILL, -3, SIGABRT};
	unsigned in[500], out[500];
	char none;
	mpx_failure f;
	child_check(pool != NULL);
	for (unsigned i = 0; i < 500; i++)
		in[i] = i;
	for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
		child_check(mpx_pool_map(pool, square, in, out, 500) == 0);
		for (unsigned i = 0; i < 500; i++)
			child_check(out[i] == i * i);
		child_fails(mpx_pool_apply(pool, die, &ways[k], &none), EOWNERDEAD);
		child_check(mpx_pool_last_failure(pool, &f) == 0);
		child_check(f.signal == (ways[k] > 0 ? ways[k] : 0));
		child_check(f.exit_status == (ways[k] > 0 ? -1 : -ways[k]));
	}
	child_check(mpx_pool_close(pool) == 0);
	child_check(mpx_pool_join(pool, SOON) == 0);
	mpx_pool_free(pool);
	child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static int with_children_ignored(void *arg)
{
	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	exercise(mpx_pool_new(.processes = 2));
	struct sigaction sa;
	child_check(sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
	return 0;
}

static void steal_children(int sig)
{
	int saved = errno;
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	errno = saved;
}

static int with_a_thief(void *arg)
{
	struct sigaction sa = {.sa_handler = steal_children};
	(void)arg;
	sigemptyset(&sa.sa_mask);
	child_check(sigaction(SIGCHLD, &sa, NULL) == 0);
	for (int i = 0; i < 5; i++)
		exercise(mpx_pool_new(.processes = 2));
	return 0;
}

static int with_signals_blocked(void *arg)
{
	sigset_t all, old, still;
	(void)arg;
	sigfillset(&all);
	child_check(sigprocmask(SIG_SETMASK, &all, &old) == 0);
	exercise(mpx_pool_new(.processes = 2));
	child_check(sigprocmask(SIG_SETMASK, &old, &still) == 0);
	child_check(sigismember(&still, SIGUSR1) == 1);
	return 0;
}

static void test_children_ignored(void **state)
{
	(void)state;
	assert_int_equal(run_child(with_children_ignored, NULL), 0);
}

static void test_thief_of_children(void **state)
{
	(void)state;
	assert_int_equal(run_child(with_a_thief, NULL), 0);
}

static void test_signals_blocked(void **state)
{
	(void)state;
	assert_int_equal(run_child(with_signals_blocked, NULL), 0);
}

/* The parent-death signal is tied to the thread that forked. */
static void *make_pool(void *pool)
{
	*(mpx_pool **)pool = mpx_pool_new(.processes = 2);
	return NULL;
}

static int pool_of_a_thread(void *arg)
{
	mpx_pool *pool = NULL;
	pthread_t t;
	pid_t before[2], after[2];
	child_check(pthread_create(&t, NULL, make_pool, &pool) == 0);
	child_check(pthread_join(t, NULL) == 0);
	child_check(pool != NULL);
	for (int i = 0; i < 20; i++) {
		child_check(workers_of(pool, arg, 2, i ? after : before));
		for (int k = 0; i && k < 2; k++)
			child_check(after[k] == before[0] || after[k] == before[1]);
	}
	exercise(pool);
	return 0;
}

static void test_pool_of_a_thread(void **state)
{
	(void)state;
	if (THREAD_SANITIZED) /* takes a mutex that a child has made anew for a locked one */
		skip();
	struct shared *m = mpx_calloc(1, sizeof *m);
	assert_non_null(m);
	assert_int_equal(run_child(pool_of_a_thread, m), 0);
	mpx_free(m);
}

/* ---- nothing to be had ------------------------------------------------- */

#ifdef RLIMIT_NPROC
static int without_processes(void *arg)
{
	struct rlimit limit;
	bool root = geteuid() == 0;
	(void)arg;
	if (root)
		child_check(setgid(65534) == 0 && setuid(65534) == 0);
	child_check(getrlimit(RLIMIT_NPROC, &limit) == 0);
	size_t blocks = heap_blocks(), fds = open_fds();
	/* As nobody, this is the only process; the pool would be of nine. */
	for (rlim_t n = 0; n <= (root ? 8 : 0); n++) {
		limit.rlim_cur = n;
		child_check(setrlimit(RLIMIT_NPROC, &limit) == 0);
		errno = 0;
		mpx_pool *pool = mpx_pool_new(.processes = 8);
		child_check(pool == NULL);
		child_check(errno == EAGAIN);
		child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
		child_check(heap_blocks() == blocks);
		child_check(open_fds() == fds);
	}
	limit.rlim_cur = limit.rlim_max;
	child_check(setrlimit(RLIMIT_NPROC, &limit) == 0);
	exercise(mpx_pool_new(.processes = 8));
	return 0;
}

static void test_no_processes(void **state)
{
	(void)state;
	assert_int_equal(run_child(without_processes, NULL), 0);
}
#endif

static int without_descriptors(void *arg)
{
	struct rlimit old, few;
	(void)arg;
	child_check(getrlimit(RLIMIT_NOFILE, &old) == 0);
	int spare = dup(2);
	child_check(spare >= 0);
	close(spare);
	few = old;
	size_t blocks = heap_blocks(), fds = open_fds();
	for (rlim_t n = 0; n <= 4; n++) {
		few.rlim_cur = (rlim_t)spare + n;
		child_check(setrlimit(RLIMIT_NOFILE, &few) == 0);
		errno = 0;
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		child_check(pool != NULL || errno == EMFILE);
		unsigned x = 3, y = 0;
		if (pool)
			child_check(mpx_pool_apply(pool, square, &x, &y) == 0 && y == 9);
		mpx_pool_free(pool);
		child_check(setrlimit(RLIMIT_NOFILE, &old) == 0);
		child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
		child_check(heap_blocks() == blocks);
		child_check(open_fds() == fds);
	}
	exercise(mpx_pool_new(.processes = 2));
	return 0;
}

static void test_no_descriptors(void **state)
{
	(void)state;
	assert_int_equal(run_child(without_descriptors, NULL), 0);
}

static int program_small_heap(void)
{
	static unsigned in[8 << 20], out[8 << 20]; /* 32 MiB each; the heap has 16 */
	void **chain = NULL, **block;
	mpx_pool_statistics s;
	unsigned y = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	size_t blocks = heap_blocks();
	child_fails(mpx_pool_map(pool, square, in, out, 8 << 20), ENOMEM);
	errno = 0;
	child_check(!mpx_pool_map_async(pool, square, in, 4, 8 << 20, 4, NULL) && errno == ENOMEM);
	child_check(heap_blocks() <= blocks + 2);
	for (unsigned i = 0; i < 100000; i++)
		in[i] = i;
	child_check(mpx_pool_map(pool, square, in, out, 100000) == 0);
	for (unsigned i = 0; i < 100000; i++)
		child_check(out[i] == i * i);
	/* Filled to the brim: results are refused, then not any more. (A worker may for a
	 * moment hold what the map has freed.) */
	child_soon(mpx_pool_stats(pool, &s) == 0 && s.busy == 0);
	for (size_t size = 1 << 20; size >= sizeof *chain; size -= (size + 7) / 8)
		while ((block = mpx_malloc(size))) {
			*block = chain;
			chain = block;
		}
	errno = 0;
	child_check(mpx_pool_new(.processes = 2) == NULL && errno == ENOMEM);
	errno = 0;
	child_check(!mpx_pool_map_async(pool, square, in, 4, 10000, 4, NULL) && errno == ENOMEM);
	while (chain) {
		block = chain;
		chain = *block;
		mpx_free(block);
	}
	child_check(mpx_pool_apply(pool, square, &(unsigned){7}, &y) == 0 && y == 49);
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	mpx_pool_free(pool);
	return 0;
}

static void test_no_memory(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "small-heap", "16M", 0), 0);
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	self = argv[0];
	if (argc > 1)
		return strcmp(argv[1], "small-heap") == 0 ? program_small_heap()
							  : program_victim(argv[1]);
	const struct CMUnitTest tests[] = {
		mpx_test(test_user_killed),	      mpx_test(test_user_ends_without_free),
		mpx_test(test_user_killed_at_random), mpx_test(test_interrupt),
		mpx_test(test_children_ignored),      mpx_test(test_thief_of_children),
		mpx_test(test_signals_blocked),	      mpx_test(test_pool_of_a_thread),
#ifdef RLIMIT_NPROC
		mpx_test(test_no_processes),
#endif
		mpx_test(test_no_descriptors),	      mpx_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
