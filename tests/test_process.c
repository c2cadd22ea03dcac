/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process.c - mpx/process.h, call by call:
 *
 *   - arguments, return codes, signals as exit codes, the memory of start()
 *   - join, is_alive, exitcode, pid: before, during and after; timeouts
 *   - start twice, free while running, handles of another process, no handles
 *   - terminate, kill, interrupt; stopped children; the signal mask
 *
 * test_process_names.c: names, current and parent, active children.
 * test_process_descriptors.c: sentinels, exec. test_process_many.c: many processes,
 * many threads. test_process_stdio.c: stdio, atexit. test_process_host.c: programs
 * with ideas of their own, limits. test_process_parent.c: the parent's end.
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <float.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

/* ---- targets and exit codes -------------------------------------------- */

static int see_args(void *args)
{
	const char *text = args;
	return strcmp(text, "hello") == 0 ? 3 : 4;
}

static int see_null(void *args)
{
	return args == NULL ? 5 : 6;
}

static void test_args(void **state)
{
	(void)state;
	char text[] = "hello";
	assert_int_equal(ended(started(see_args, text)), 3);
	assert_int_equal(ended(started(see_null, NULL)), 5);
}

static int global = 1;

static int see_memory(void *args)
{
	struct shared *s = args;
	s->result = global; /* shared */
	global = 99;	    /* its own */
	return 0;
}

static void test_memory_is_that_of_start(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = mpx_process_new(.target = see_memory, .args = s);
	assert_non_null(p);
	global = 2;
	assert_ok(mpx_process_start(p));
	assert_int_equal(ended(p), 0);
	assert_int_equal(s->result, 2);
	assert_int_equal(global, 2);
	mpx_free(s);
}

static void test_return_codes(void **state)
{
	(void)state;
	for (intptr_t code = 0; code < 256; code++)
		assert_int_equal(ended(started(return_args, (void *)code)), code);
	assert_int_equal(ended(started(return_args, (void *)(intptr_t)256)), 0);
	assert_int_equal(ended(started(return_args, (void *)(intptr_t)1000)), 1000 & 255);
	assert_int_equal(ended(started(return_args, (void *)(intptr_t)-1)), 255);
}

static int leave_by_exit(void *args)
{
	if (args)
		_exit(9);
	exit(11);
}

static void test_exit_in_the_target(void **state)
{
	(void)state;
	int x;
	assert_int_equal(ended(started(leave_by_exit, &x)), 9);
	assert_int_equal(ended(started(leave_by_exit, NULL)), 11);
}

static int raise_it(void *args)
{
	int sig = (int)(intptr_t)args;
	signal(sig, SIG_DFL);
	raise(sig);
	return 1;
}

static int crash(void *args)
{
	(void)args;
	volatile int *volatile nowhere = (int *)(uintptr_t)16;
	signal(SIGSEGV, SIG_DFL);
	*nowhere = 1;
	return 1;
}

static int abort_it(void *args)
{
	(void)args;
	abort();
}

static void test_signals_as_exit_codes(void **state)
{
	(void)state;
	static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGINT,
				      SIGHUP,  SIGPIPE, SIGALRM, SIGUSR1, SIGFPE};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		intptr_t sig = signals[i];
		assert_int_equal(ended(started(raise_it, (void *)sig)), -sig);
	}
	assert_int_equal(ended(started(abort_it, NULL)), -SIGABRT);
	assert_int_equal(ended(started(crash, NULL)), -SIGSEGV);
}

/* ---- what new refuses, what is not started ----------------------------- */

static void test_no_target(void **state)
{
	(void)state;
	assert_nothing(mpx_process_new(), EINVAL);
	assert_nothing(mpx_process_new(.name = "x", .daemon = true), EINVAL);
	assert_nothing(mpx_process_create(NULL), EINVAL);
}

static void test_before_start(void **state)
{
	(void)state;
	int code = 4711;
	mpx_process *p = mpx_process_new(.target = nothing);
	assert_non_null(p);
	errno = 0;
	assert_false(mpx_process_is_alive(p));
	assert_int_equal(errno, 0);
	assert_fails(mpx_process_pid(p), ECHILD);
	assert_fails(mpx_process_join(p, 0), ECHILD);
	assert_fails(mpx_process_join(p, MPX_FOREVER), ECHILD);
	assert_fails(mpx_process_exitcode(p, &code), ECHILD);
	assert_fails(mpx_process_sentinel(p), ECHILD);
	assert_fails(mpx_process_terminate(p), ECHILD);
	assert_fails(mpx_process_kill(p), ECHILD);
	assert_fails(mpx_process_interrupt(p), ECHILD);
	assert_int_equal(code, 4711);
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	assert_ok(mpx_process_free(p));
	assert_ok(mpx_process_free(NULL));
}

static void test_start_twice(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(until_go, s);
	pid_t pid = mpx_process_pid(p);
	assert_fails(mpx_process_start(p), EBUSY);
	s->go = 1;
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_fails(mpx_process_start(p), EBUSY);
	assert_int_equal(mpx_process_pid(p), pid);
	assert_int_equal(s->ready, 1);
	assert_int_equal(ended(p), 7);
	mpx_free(s);
}

static void test_free_while_running(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(until_go, s);
	assert_fails(mpx_process_free(p), EBUSY);
	assert_soon(s->ready);
	assert_fails(mpx_process_free(p), EBUSY);
	assert_true(mpx_process_is_alive(p));
	s->go = 1;
	assert_int_equal(ended(p), 7);
	/* without join: as soon as it has ended */
	p = started(nothing, NULL);
	int rc;
	assert_soon((rc = mpx_process_free(p)) == 0 || errno != EBUSY);
	assert_int_equal(rc, 0);
	mpx_free(s);
}

/* ---- join, is_alive, exitcode ------------------------------------------ */

static void test_join_and_timeouts(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(until_go, s);
	int code = 4711;
	static const double polls[] = {0, -0.0, -1, -1e300, -INFINITY};
	assert_true(mpx_process_is_alive(p));
	for (size_t i = 0; i < sizeof polls / sizeof *polls; i++)
		assert_fails(mpx_process_join(p, polls[i]), ETIMEDOUT);
	assert_fails(mpx_process_join(p, NAN), EINVAL);
	static const double timeouts[] = {0.0001, 0.0015, 0.02, 0.3};
	for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
		double start = now();
		assert_fails(mpx_process_join(p, timeouts[i]), ETIMEDOUT);
		double took = now() - start;
		assert_true(took >= timeouts[i] - 1e-6);
		assert_true(took < timeouts[i] + 20);
	}
	assert_fails(mpx_process_exitcode(p, &code), EAGAIN);
	assert_int_equal(code, 4711);
	assert_true(mpx_process_is_alive(p));
	assert_true(pid_exists(mpx_process_pid(p)));
	s->go = 1;
	assert_ok(mpx_process_join(p, 1e300));
	static const double all[] = {0, -1, 0.1, 1e10, 1e300, DBL_MAX};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_ok(mpx_process_join(p, all[i]));
	assert_fails(mpx_process_join(p, NAN), EINVAL);
	assert_false(mpx_process_is_alive(p));
	for (int i = 0; i < 3; i++) {
		assert_ok(mpx_process_exitcode(p, &code));
		assert_int_equal(code, 7);
	}
	assert_fails(mpx_process_exitcode(p, NULL), EINVAL);
	assert_false(pid_exists(mpx_process_pid(p))); /* no zombie */
	assert_int_equal(ended(p), 7);

	/* enormous timeouts do not wrap into small ones */
	static const double enormous[] = {4.3e6, 1e10, 9.3e18, 1e300, MPX_FOREVER};
	for (size_t i = 0; i < sizeof enormous / sizeof *enormous; i++) {
		s->ready = s->go = 0;
		p = started(until_go, s);
		pid_t helper = fork();
		if (helper == 0) {
			for (int k = 0; k < 50; k++)
				nap();
			s->go = 1;
			_exit(0);
		}
		assert_ok(mpx_process_join(p, enormous[i]));
		assert_true(s->go);
		assert_int_equal(wait_child(helper), 0);
		assert_int_equal(ended(p), 7);
	}
	mpx_free(s);
}

/* is_alive and exitcode alone learn of the end as well. */
static void test_end_without_join(void **state)
{
	(void)state;
	mpx_process *p = started(return_args, (void *)(intptr_t)21);
	assert_soon(!mpx_process_is_alive(p));
	int code = -1;
	assert_ok(mpx_process_exitcode(p, &code));
	assert_int_equal(code, 21);
	assert_ok(mpx_process_join(p, 0));
	assert_ok(mpx_process_free(p));
	p = started(return_args, (void *)(intptr_t)22);
	assert_soon(mpx_process_exitcode(p, &code) == 0 || errno != EAGAIN);
	assert_int_equal(code, 22);
	assert_false(mpx_process_is_alive(p));
	assert_ok(mpx_process_free(p));
}

/* ---- signals ----------------------------------------------------------- */

static void test_terminate_kill_interrupt(void **state)
{
	(void)state;
	struct {
		int (*send)(mpx_process *);
		int sig;
	} ways[] = {{mpx_process_terminate, SIGTERM},
		    {mpx_process_kill, SIGKILL},
		    {mpx_process_interrupt, SIGINT}};
	struct shared *s = share();
	signal(SIGINT, SIG_DFL);
	for (size_t i = 0; i < 3; i++) {
		/* asleep in the target; and at once, wherever it is then */
		for (int at_once = 0; at_once < 8; at_once++) {
			int ready = s->ready;
			mpx_process *p = started(sleep_for_ever, s);
			if (!at_once)
				assert_soon(s->ready > ready);
			assert_ok(ways[i].send(p));
			assert_ok(mpx_process_join(p, 60));
			for (size_t k = 0; k < 3; k++)
				assert_ok(ways[k].send(p)); /* nobody there: fine */
			assert_int_equal(ended(p), -ways[i].sig);
		}
		/* it has ended, but nobody has waited for it yet */
		mpx_process *p = started(return_args, (void *)(intptr_t)5);
		struct pollfd fd = {.fd = mpx_process_sentinel(p), .events = POLLIN};
		assert_int_equal(poll(&fd, 1, 60000), 1);
		assert_ok(ways[i].send(p));
		assert_int_equal(ended(p), 5);
	}
	mpx_free(s);
}

static void *volatile handler_shared;

static void on_term(int sig)
{
	struct shared *s = handler_shared;
	s->result = sig;
	s->go = 1;
}

static int handle_term(void *args)
{
	handler_shared = args;
	signal(SIGTERM, on_term);
	return until_go(args);
}

static void test_child_with_a_handler(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(handle_term, s);
	assert_soon(s->ready);
	assert_ok(mpx_process_terminate(p));
	assert_int_equal(ended(p), 7);
	assert_int_equal(s->result, SIGTERM);
	mpx_free(s);
}

static void test_stopped_child_is_alive(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(sleep_for_ever, s);
	assert_soon(s->ready);
	kill(mpx_process_pid(p), SIGSTOP);
	for (int i = 0; i < 20; i++) {
		assert_fails(mpx_process_join(p, 0.02), ETIMEDOUT);
		assert_true(mpx_process_is_alive(p));
	}
	kill(mpx_process_pid(p), SIGCONT);
	assert_fails(mpx_process_join(p, 0.1), ETIMEDOUT);
	kill(mpx_process_pid(p), SIGSTOP);
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ended(p), -SIGKILL);
	mpx_free(s);
}

/* The child has the mask and the dispositions of the thread that started it. */
static int see_mask(void *args)
{
	sigset_t set;
	struct sigaction sa;
	(void)args;
	child_check(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
	child_check(sigismember(&set, SIGUSR1) == 1);
	static const int open[] = {SIGUSR2, SIGTERM, SIGINT, SIGCHLD, SIGALRM, SIGHUP, SIGSEGV};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		child_check(sigismember(&set, open[i]) == 0);
	child_check(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
	child_check(sigaction(SIGTERM, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
	return 0;
}

static void test_signal_mask(void **state)
{
	(void)state;
	sigset_t set, old, after;
	struct sigaction sa[3];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_SETMASK, &set, &old), 0);
	signal(SIGUSR2, SIG_IGN);
	assert_int_equal(ended(started(see_mask, NULL)), 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, &after), 0);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&after, sig), sig == SIGUSR1);
	signal(SIGUSR2, SIG_DFL);
	/* the library has installed nothing here */
	sigaction(SIGCHLD, NULL, &sa[0]);
	sigaction(SIGPIPE, NULL, &sa[1]);
	sigaction(SIGTERM, NULL, &sa[2]);
	for (int i = 0; i < 3; i++)
		assert_true(sa[i].sa_handler == SIG_DFL);
}

/* ---- no handle of ours ------------------------------------------------- */

struct handles {
	mpx_process *started, *unstarted;
	pid_t pid;
};

static int use_foreign_handles(void *args)
{
	struct handles *h = args;
	mpx_process *all[] = {h->started, h->unstarted};
	for (size_t i = 0; i < 2; i++) {
		mpx_process *p = all[i];
		int code = 4711;
		child_fails(mpx_process_start(p), EPERM);
		child_fails(mpx_process_join(p, 0), EPERM);
		child_fails(mpx_process_join(p, MPX_FOREVER), EPERM);
		child_check((errno = 0, !mpx_process_is_alive(p)) && errno == EPERM);
		child_fails(mpx_process_exitcode(p, &code), EPERM);
		child_fails(mpx_process_sentinel(p), EPERM);
		child_fails(mpx_process_terminate(p), EPERM);
		child_fails(mpx_process_kill(p), EPERM);
		child_fails(mpx_process_interrupt(p), EPERM);
		child_fails(mpx_process_free(p), EPERM);
		child_check(code == 4711);
		child_check(strncmp(mpx_process_name(p), i ? "second" : "first", 5) == 0);
	}
	child_check(mpx_process_pid(h->started) == h->pid);
	child_fails(mpx_process_pid(h->unstarted), ECHILD);
	child_check(mpx_active_children(NULL, 0) == 0);
	return 0;
}

static void test_handles_of_another_process(void **state)
{
	(void)state;
	struct shared *s = share();
	struct handles h = {
		mpx_process_new(.target = until_go, .args = s, .name = "first"),
		mpx_process_new(.target = nothing, .name = "second"),
		0,
	};
	assert_ok(mpx_process_start(h.started));
	h.pid = mpx_process_pid(h.started);
	assert_soon(s->ready);
	assert_int_equal(run_child(use_foreign_handles, &h), 0);
	assert_int_equal(ended(started(use_foreign_handles, &h)), 0);
	assert_true(mpx_process_is_alive(h.started));
	s->go = 1;
	assert_int_equal(ended(h.started), 7);
	assert_ok(mpx_process_start(h.unstarted));
	assert_int_equal(ended(h.unstarted), 0);
	mpx_free(s);
}

static void check_is_no_process(mpx_process *p)
{
	int code = 4711;
	assert_fails(mpx_process_start(p), EINVAL);
	assert_fails(mpx_process_join(p, 0), EINVAL);
	assert_fails(mpx_process_join(p, MPX_FOREVER), EINVAL);
	assert_nothing(mpx_process_is_alive(p), EINVAL);
	assert_fails(mpx_process_exitcode(p, &code), EINVAL);
	assert_fails(mpx_process_pid(p), EINVAL);
	assert_nothing(mpx_process_name(p), EINVAL);
	assert_nothing(mpx_process_daemon(p), EINVAL);
	assert_fails(mpx_process_sentinel(p), EINVAL);
	assert_fails(mpx_process_terminate(p), EINVAL);
	assert_fails(mpx_process_kill(p), EINVAL);
	assert_fails(mpx_process_interrupt(p), EINVAL);
	assert_int_equal(code, 4711);
}

static void test_null(void **state)
{
	(void)state;
	check_is_no_process(NULL);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_process *p = mpx_process_new(.target = nothing);
	mpx_lock *l = mpx_lock_new();
	mpx_value *v = mpx_value_new('i', 0);
	bad_pointers_make(&bad, p);
	for (size_t i = 1; i < bad.n; i++) { /* the first is NULL, which may be freed */
		check_is_no_process(bad.p[i]);
		assert_fails(mpx_process_free(bad.p[i]), EINVAL);
	}
	void *others[] = {l, v};
	for (size_t i = 0; i < 2; i++) {
		check_is_no_process(others[i]);
		assert_fails(mpx_process_free(others[i]), EINVAL);
	}
	assert_ok(mpx_process_start(p));
	assert_int_equal(ended(p), 0);
	check_is_no_process(p); /* freed */
	assert_fails(mpx_process_free(p), EINVAL);
	mpx_lock_free(l);
	mpx_value_free(v);
	bad_pointers_done(&bad);
}

int main(void)
{
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	const struct CMUnitTest tests[] = {
		mpx_test(test_args),
		mpx_test(test_memory_is_that_of_start),
		mpx_test(test_return_codes),
		mpx_test(test_exit_in_the_target),
		mpx_test(test_signals_as_exit_codes),
		mpx_test(test_no_target),
		mpx_test(test_before_start),
		mpx_test(test_start_twice),
		mpx_test(test_free_while_running),
		mpx_test(test_join_and_timeouts),
		mpx_test(test_end_without_join),
		mpx_test(test_terminate_kill_interrupt),
		mpx_test(test_child_with_a_handler),
		mpx_test(test_stopped_child_is_alive),
		mpx_test(test_signal_mask),
		mpx_test(test_handles_of_another_process),
		mpx_test(test_null),
		mpx_test(test_bad_pointers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
