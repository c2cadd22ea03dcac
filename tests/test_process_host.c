/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_host.c - programs with ideas of their own:
 *
 *   - beside SIGCHLD ignored, beside a thief of statuses, beside children of the
 *     program's own; storms of signals
 *   - limits: no processes, no descriptors
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* setgroups */
#endif

#include "children.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifdef __linux__
#include <grp.h>
#endif

/* ---- beside other code that forks and waits ---------------------------- */

static int program_that_ignores(void *args)
{
	int flag = (int)(intptr_t)args;
	struct sigaction sa = {.sa_handler = flag ? SIG_DFL : SIG_IGN, .sa_flags = flag};
	sigemptyset(&sa.sa_mask);
	child_check(sigaction(SIGCHLD, &sa, NULL) == 0);
	for (intptr_t i = 0; i < 30; i++)
		child_check(child_run(return_args, (void *)i) == i);
	mpx_process *p[20];
	for (intptr_t i = 0; i < 20; i++) {
		p[i] = mpx_process_new(.target = return_args, .args = (void *)i);
		child_check(p[i] && mpx_process_start(p[i]) == 0);
	}
	for (int i = 0; i < 20; i++) {
		int code = -1;
		child_check(readable(mpx_process_sentinel(p[i]), 60000));
		child_check(mpx_process_join(p[i], 60) == 0);
		child_check(!mpx_process_is_alive(p[i]));
		child_check(mpx_process_exitcode(p[i], &code) == 0 && code == i);
		child_check(mpx_process_free(p[i]) == 0);
	}
	/* died of a signal: exact, or known to be unknown, but dead */
	for (int i = 0; i < 10; i++) {
		int code = -1000;
		mpx_process *q = mpx_process_new(.target = sleep_for_ever);
		child_check(q && mpx_process_start(q) == 0);
		child_fails(mpx_process_join(q, 0.01), ETIMEDOUT);
		child_check(mpx_process_is_alive(q));
		child_check(mpx_process_kill(q) == 0);
		child_check(mpx_process_join(q, 60) == 0);
		child_check(!mpx_process_is_alive(q));
		if (mpx_process_exitcode(q, &code) == 0)
			child_check(code == -SIGKILL);
		else
			child_check(errno == ECHILD);
		child_check(mpx_process_terminate(q) == 0);
		child_check(mpx_process_free(q) == 0);
	}
	child_check(mpx_active_children(NULL, 0) == 0);
	return 0;
}

static void test_sigchld_ignored(void **state)
{
	(void)state;
	assert_int_equal(run_child(program_that_ignores, (void *)(intptr_t)0), 0);
	assert_int_equal(run_child(program_that_ignores, (void *)(intptr_t)SA_NOCLDWAIT), 0);
}

static _Atomic int thief_stops;

static void *thief(void *arg)
{
	(void)arg;
	while (!thief_stops)
		if (waitpid(-1, NULL, WNOHANG) <= 0)
			sched_yield();
	return NULL;
}

static int program_with_a_thief(void *args)
{
	pthread_t t;
	(void)args;
	child_check(pthread_create(&t, NULL, thief, NULL) == 0);
	for (intptr_t i = 0; i < 60; i++)
		child_check(child_run(return_args, (void *)i) == i);
	for (int i = 0; i < 20; i++) {
		int code = -1000;
		mpx_process *p = mpx_process_new(.target = sleep_for_ever);
		child_check(p && mpx_process_start(p) == 0);
		child_fails(mpx_process_join(p, 0.005), ETIMEDOUT);
		child_check(mpx_process_terminate(p) == 0);
		if (i % 2)
			child_check(mpx_process_join(p, 60) == 0);
		else
			child_soon(!mpx_process_is_alive(p));
		child_check(!mpx_process_is_alive(p));
		child_check(mpx_process_join(p, 0) == 0);
		if (mpx_process_exitcode(p, &code) == 0)
			child_check(code == -SIGTERM);
		else
			child_check(errno == ECHILD);
		child_check(mpx_process_kill(p) == 0); /* nobody there: fine */
		child_check(mpx_process_free(p) == 0);
	}
	thief_stops = 1;
	child_check(pthread_join(t, NULL) == 0);
	return 0;
}

static void test_stolen_statuses(void **state)
{
	(void)state;
	assert_int_equal(run_child(program_with_a_thief, NULL), 0);
}

/* The library leaves children alone that are not its own. */
static void test_children_of_the_host(void **state)
{
	(void)state;
	enum { N = 10 };
	pid_t pids[N];
	for (intptr_t i = 0; i < N; i++)
		pids[i] = fork_child(return_args, (void *)(i + 40));
	for (int i = 0; i < 20; i++) {
		mpx_process *p = started(nothing, NULL);
		mpx_active_children(NULL, 0);
		mpx_process_is_alive(p);
		assert_ok(mpx_process_join(p, 60));
		assert_int_equal(ended(p), 0);
	}
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(wait_child(pids[i]), i + 40);
}

static int use_inherited(void *args)
{
	struct shared *s = args;
	for (int i = 0; i < 5000; i++) {
		child_check(mpx_lock_acquire(s->lock, MPX_FOREVER) == 0);
		*mpx_value_ptr(s->value, int) += 1;
		child_check(mpx_lock_release(s->lock) == 0);
	}
	/* it may start processes of its own, too */
	child_check(child_run(return_args, (void *)(intptr_t)9) == 9);
	child_check(mpx_process_pid(mpx_current_process()) == getpid());
	return 0;
}

/* A plain fork() makes a member of the family as well. */
static void test_plain_fork(void **state)
{
	(void)state;
	struct shared *s = share();
	s->lock = mpx_lock_new();
	s->value = mpx_value_new('i', 0);
	pid_t pids[4];
	for (int i = 0; i < 4; i++)
		pids[i] = fork_child(use_inherited, s);
	for (int i = 0; i < 4; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	assert_int_equal(*mpx_value_ptr(s->value, int), 20000);
	mpx_value_free(s->value);
	mpx_lock_free(s->lock);
	mpx_free(s);
}

static _Atomic int storm_signals;

static void on_storm(int sig)
{
	(void)sig;
	storm_signals++;
}

/* Signals every two milliseconds, from a timer, without SA_RESTART. */
static int program_in_a_storm(void *args)
{
	struct shared *s = args;
	struct sigaction sa = {.sa_handler = on_storm};
	struct itimerval every = {{0, 2000}, {0, 2000}};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	mpx_process *p = mpx_process_new(.target = until_go, .args = s);
	child_check(p && mpx_process_start(p) == 0);
	double start = now();
	child_fails(mpx_process_join(p, 0.4), ETIMEDOUT);
	double took = now() - start;
	child_check(took >= 0.4 - 1e-6 && took < 20);
	child_check(storm_signals >= 2);
	s->go = 1;
	child_check(mpx_process_join(p, MPX_FOREVER) == 0);
	int code = -1;
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
	child_check(mpx_process_free(p) == 0);
	for (intptr_t i = 0; i < 20; i++)
		child_check(child_run(return_args, (void *)i) == i);
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	return 0;
}

static void test_signal_storm(void **state)
{
	(void)state;
	struct shared *s = share();
	assert_int_equal(run_child(program_in_a_storm, s), 0);
	mpx_free(s);
}

/* ---- limits ------------------------------------------------------------ */

#define SKIPPED 77

static int program_without_processes(void *args)
{
	struct rlimit limit, none;
	(void)args;
	if (geteuid() == 0) { /* no limit for root */
#ifdef __linux__
		if (setgroups(0, NULL) != 0)
			return SKIPPED;
#endif
		if (setgid(65534) != 0 || setuid(65534) != 0)
			return SKIPPED;
	}
	child_check(getrlimit(RLIMIT_NPROC, &limit) == 0);
	none = limit;
	none.rlim_cur = 0;
	child_check(setrlimit(RLIMIT_NPROC, &none) == 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	if (pid > 0) { /* does not bite here */
		waitpid(pid, NULL, 0);
		return SKIPPED;
	}
	size_t fds = open_fds(), blocks = heap_blocks();
	mpx_process *p = mpx_process_new(.target = return_args, .args = (void *)(intptr_t)12);
	int code;
	child_check(p != NULL);
	for (int i = 0; i < 20; i++) {
		child_fails(mpx_process_start(p), EAGAIN);
		child_check(!mpx_process_is_alive(p));
		child_fails(mpx_process_pid(p), ECHILD);
		child_fails(mpx_process_join(p, 0), ECHILD);
		child_fails(mpx_process_exitcode(p, &code), ECHILD);
		child_check(mpx_active_children(NULL, 0) == 0);
	}
	child_check(open_fds() == fds);
	child_check(heap_blocks() == blocks + 0 || heap_blocks() <= blocks + 1);
	/* tried again */
	child_check(setrlimit(RLIMIT_NPROC, &limit) == 0);
	child_check(mpx_process_start(p) == 0);
	child_check(mpx_process_join(p, 60) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 12);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_no_processes(void **state)
{
	(void)state;
	int code = run_child(program_without_processes, NULL);
	if (code == SKIPPED)
		skip();
	assert_int_equal(code, 0);
}

static int program_without_descriptors(void *args)
{
	int leave = (int)(intptr_t)args, last = -1, fds[8], n = 0, code;
	struct rlimit limit;
	child_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 64;
	child_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	mpx_process *p = mpx_process_new(.target = return_args, .args = (void *)(intptr_t)13);
	child_check(p != NULL);
	for (int fd; (fd = dup(2)) >= 0; last = fd)
		fds[n++ % 8] = fd;
	child_check(errno == EMFILE && last > 2 && n >= 8);
	for (int i = 0; i < leave; i++)
		close(fds[(n - 1 - i) % 8]);
	bool done = false;
	for (int i = 0; i < 3 && !done; i++) {
		if (mpx_process_start(p) == 0) {
			done = true;
			child_check(mpx_process_sentinel(p) >= 0 || errno == EMFILE);
		} else {
			child_check(errno == EMFILE);
			child_check(!mpx_process_is_alive(p));
			child_fails(mpx_process_join(p, 0), ECHILD);
		}
	}
	for (int i = leave; i < 8; i++)
		close(fds[(n - 1 - i) % 8]);
	if (!done)
		child_check(mpx_process_start(p) == 0);
	child_check(readable(mpx_process_sentinel(p), 60000));
	child_check(mpx_process_join(p, 60) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 13);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_no_descriptors(void **state)
{
	(void)state;
	for (intptr_t leave = 0; leave < 8; leave++)
		if (run_child(program_without_descriptors, (void *)leave) != 0)
			fail_msg("with %d free descriptors", (int)leave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_sigchld_ignored),	     mpx_test(test_stolen_statuses),
		mpx_test(test_children_of_the_host), mpx_test(test_plain_fork),
		mpx_test(test_signal_storm),	     mpx_test(test_no_processes),
		mpx_test(test_no_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
