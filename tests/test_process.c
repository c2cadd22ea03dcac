/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process.c - mpx/process.h:
 *
 *   - arguments, return codes, signals as exit codes, the memory of start()
 *   - names, the daemon flag, current_process and parent_process on both sides
 *   - join, is_alive, exitcode, pid, sentinel: before, during and after; timeouts
 *   - start twice, free while running, handles of another process, no handles
 *   - terminate, kill, interrupt; stopped children; a child that execs
 *   - sentinels in poll(2); active_children and what it reaps
 *   - many at once, many in a row; trees; several threads; threads that have ended
 *   - stdio exactly once, atexit handlers, standard input
 *   - beside SIGCHLD ignored, beside a thief of statuses, beside children of the
 *     program's own; storms of signals
 *   - limits: no processes, no descriptors, descriptors 0 to 2 closed
 *   - the end of the parent: killed, aborted, _exit, exit; daemons, orphans,
 *     children of children, of a thread that has ended, stopped ones
 *   - cpu_count, version
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity, setgroups */
#endif

#include "harness.h"

#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifdef __linux__
#include <grp.h>
#include <sys/prctl.h>
#endif

static char *program;

/* What a test shares with its processes; in the family's heap. */
struct shared {
	_Atomic int ready, go, count, result;
	_Atomic int pids[16];
	mpx_value *value;
	mpx_lock *lock;
	char text[256];
};

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static mpx_process *started(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	assert_non_null(p);
	assert_ok(mpx_process_start(p));
	return p;
}

/* Joins, frees, and says how it ended. */
static int ended(mpx_process *p)
{
	int code = -1000;
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_false(mpx_process_is_alive(p));
	assert_ok(mpx_process_exitcode(p, &code));
	assert_ok(mpx_process_free(p));
	return code;
}

/* The same for programs in children, which must not use assertions. */
static int child_run(mpx_target *target, void *args)
{
	int code = -1000;
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	child_check(p != NULL);
	child_check(mpx_process_start(p) == 0);
	child_check(mpx_process_join(p, 60) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0);
	child_check(mpx_process_free(p) == 0);
	return code;
}

static int return_args(void *args)
{
	return (int)(intptr_t)args;
}

static int nothing(void *args)
{
	(void)args;
	return 0;
}

static int sleep_for_ever(void *args)
{
	struct shared *s = args;
	if (s)
		s->ready++;
	while (pause() < 0)
		continue;
	return 1;
}

static int until_go(void *args)
{
	struct shared *s = args;
	s->ready++;
	child_soon(s->go);
	return 7;
}

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

/* ---- names, daemon flag, current and parent ---------------------------- */

/* "Process-1:2" is 2 for the prefix "Process-1:"; -1 if it begins otherwise. */
static long number_after(const char *name, const char *prefix)
{
	char *end;
	size_t n = strlen(prefix);
	if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
		return -1;
	long number = strtol(name + n, &end, 10);
	return *end ? -1 : number;
}

/* A child counts from 1, whatever its own name is. */
static int names_in_child(void *args)
{
	struct shared *s = args;
	char prefix[300], text[300];
	snprintf(prefix, sizeof prefix, "%s:", s->text);
	for (int i = 1; i <= 3; i++) {
		mpx_process *p = mpx_process_new(.target = nothing);
		child_check(p && number_after(mpx_process_name(p), prefix) == i);
		if (i == 2) {
			child_check(mpx_process_start(p) == 0 && mpx_process_join(p, 60) == 0);
			child_check(number_after(mpx_process_name(p), prefix) == 2);
		}
		child_check(mpx_process_free(p) == 0);
	}
	/* and one deeper */
	if (s->count++ == 0) {
		snprintf(text, sizeof text, "%s:%d", s->text, 4);
		memcpy(s->text, text, sizeof s->text - 1);
		child_check(child_run(names_in_child, s) == 0);
	}
	return 0;
}

static void test_names(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p[4];
	long first = 0;
	for (int i = 0; i < 4; i++) {
		/* a name of its own counts as well, as in Python */
		p[i] = i == 2 ? mpx_process_new(.target = nothing, .name = "bob")
			      : mpx_process_new(.target = nothing);
		assert_non_null(p[i]);
		if (i == 0)
			first = number_after(mpx_process_name(p[0]), "Process-");
		else if (i == 2)
			assert_string_equal(mpx_process_name(p[i]), "bob");
		else
			assert_int_equal(number_after(mpx_process_name(p[i]), "Process-"),
					 first + i);
	}
	assert_true(first >= 1);
	for (int i = 0; i < 4; i++)
		assert_ok(mpx_process_free(p[i]));

	/* the name is copied, and may be long */
	char name[301];
	memset(name, 'n', 300);
	name[300] = '\0';
	mpx_process *q = mpx_process_new(.target = nothing, .name = name);
	memset(name, 'x', 300);
	const char *copy = mpx_process_name(q);
	assert_int_equal(strlen(copy), 300);
	assert_int_equal(copy[0], 'n');
	assert_int_equal(copy[299], 'n');
	assert_ok(mpx_process_free(q));

	snprintf(s->text, sizeof s->text, "Process-%ld", first + 5);
	q = mpx_process_new(.target = names_in_child, .args = s);
	assert_string_equal(mpx_process_name(q), s->text);
	assert_ok(mpx_process_start(q));
	assert_int_equal(ended(q), 0);

	snprintf(s->text, sizeof s->text, "Process-%ld", first + 6);
	s->count = 1;
	q = mpx_process_new(.target = names_in_child, .args = s, .name = "other");
	assert_ok(mpx_process_start(q));
	assert_int_equal(ended(q), 0);
	assert_nothing(mpx_process_name(NULL), EINVAL);
	mpx_free(s);
}

static int has_flag(void *args)
{
	return mpx_process_daemon(mpx_current_process()) == (args != NULL) ? 0 : 1;
}

static void test_daemon_flag(void **state)
{
	(void)state;
	mpx_process *p = mpx_process_new(.target = has_flag, .args = &state, .daemon = true);
	mpx_process *q = mpx_process_new(.target = has_flag);
	assert_true(mpx_process_daemon(p));
	assert_false(mpx_process_daemon(q));
	assert_false(mpx_process_daemon(mpx_current_process()));
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_start(q));
	assert_true(mpx_process_daemon(p));
	assert_int_equal(ended(p), 0);
	assert_int_equal(ended(q), 0);
}

static void test_current_process(void **state)
{
	(void)state;
	mpx_process *me = mpx_current_process();
	assert_non_null(me);
	assert_ptr_equal(mpx_current_process(), me);
	assert_string_equal(mpx_process_name(me), "MainProcess");
	assert_int_equal(mpx_process_pid(me), getpid());
	assert_true(mpx_process_is_alive(me));
	assert_false(mpx_process_daemon(me));
	assert_fails(mpx_process_sentinel(me), ENOTSUP);
	assert_fails(mpx_process_free(me), EINVAL);
	int code;
	assert_int_equal(mpx_process_join(me, 0), -1);
	assert_int_equal(mpx_process_exitcode(me, &code), -1);
	assert_int_equal(mpx_process_start(me), -1);
	errno = 4711;
	assert_null(mpx_parent_process());
	assert_int_equal(errno, 4711);
	assert_ptr_equal(mpx_current_process(), me);
	assert_true(mpx_process_is_alive(me));
}

static int see_itself(void *args)
{
	struct shared *s = args;
	int code;
	mpx_process *me = mpx_current_process(), *parent = mpx_parent_process();
	child_check(me && mpx_process_pid(me) == getpid());
	child_check(mpx_current_process() == me);
	child_check(strcmp(mpx_process_name(me), "the child") == 0);
	child_check(mpx_process_daemon(me));
	child_check(mpx_process_is_alive(me));
	child_fails(mpx_process_sentinel(me), ENOTSUP);
	child_fails(mpx_process_free(me), EINVAL);
	child_check(mpx_process_join(me, 0) == -1);
	s->pids[1] = getpid();

	child_check(parent && parent != me && mpx_parent_process() == parent);
	child_check(mpx_process_pid(parent) == s->pids[0]);
	child_check(strcmp(mpx_process_name(parent), "MainProcess") == 0);
	child_check(mpx_process_is_alive(parent));
	child_fails(mpx_process_join(parent, 0), ETIMEDOUT);
	child_fails(mpx_process_join(parent, -1), ETIMEDOUT);
	child_fails(mpx_process_join(parent, NAN), EINVAL);
	double start = now();
	child_fails(mpx_process_join(parent, 0.1), ETIMEDOUT);
	child_check(now() - start >= 0.1 - 1e-6);
	child_fails(mpx_process_exitcode(parent, &code), EPERM);
	child_fails(mpx_process_sentinel(parent), EPERM);
	child_fails(mpx_process_start(parent), EPERM);
	child_fails(mpx_process_terminate(parent), EPERM);
	child_fails(mpx_process_kill(parent), EPERM);
	child_fails(mpx_process_interrupt(parent), EPERM);
	child_fails(mpx_process_free(parent), EINVAL);
	child_check(mpx_active_children(NULL, 0) == 0);
	return 0;
}

static void test_current_and_parent_in_a_child(void **state)
{
	(void)state;
	struct shared *s = share();
	s->pids[0] = getpid();
	mpx_process *p = mpx_process_new(.target = see_itself, .args = s, .name = "the child",
					 .daemon = true);
	assert_ok(mpx_process_start(p));
	pid_t pid = mpx_process_pid(p);
	assert_true(pid > 0);
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_int_equal(mpx_process_pid(p), pid);
	assert_int_equal(s->pids[1], pid);
	assert_int_equal(ended(p), 0);
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

/* ---- sentinels --------------------------------------------------------- */

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int rc;
	while ((rc = poll(&p, 1, ms)) < 0 && errno == EINTR)
		continue;
	return rc == 1 && (p.revents & POLLIN);
}

static void test_sentinel(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(until_go, s);
	int fd = mpx_process_sentinel(p);
	assert_true(fd >= 0);
	assert_int_equal(mpx_process_sentinel(p), fd);
	assert_false(readable(fd, 0));
	assert_soon(s->ready);
	assert_false(readable(fd, 50));
	s->go = 1;
	assert_true(readable(fd, 60000));
	assert_true(readable(fd, 0)); /* and stays so */
	assert_false(mpx_process_is_alive(p));
	assert_true(readable(fd, 0));
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_int_equal(mpx_process_sentinel(p), fd);
	assert_true(readable(fd, 0));
	assert_int_equal(ended(p), 7);

	/* asked for after the end, with and without join */
	for (int join = 0; join < 2; join++) {
		p = started(nothing, NULL);
		if (join)
			assert_ok(mpx_process_join(p, MPX_FOREVER));
		else
			assert_soon(!mpx_process_is_alive(p));
		assert_true(readable(mpx_process_sentinel(p), 60000));
		assert_int_equal(ended(p), 0);
	}
	mpx_free(s);
}

/* As multiprocessing.connection.wait does with them: who ends is found. */
static void test_many_sentinels(void **state)
{
	(void)state;
	enum { N = 12 };
	mpx_process *p[N];
	struct pollfd fds[N];
	for (int i = 0; i < N; i++) {
		p[i] = started(sleep_for_ever, NULL);
		fds[i] = (struct pollfd){.fd = mpx_process_sentinel(p[i]), .events = POLLIN};
		assert_true(fds[i].fd >= 0);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(fds[i].fd, fds[k].fd);
	}
	assert_int_equal(poll(fds, N, 0), 0);
	for (int i = 0; i < N; i++) {
		int victim = (i * 5) % N;
		assert_ok(mpx_process_kill(p[victim]));
		assert_true(poll(fds, N, 60000) == 1);
		for (int k = 0; k < N; k++)
			assert_int_equal((fds[k].revents & POLLIN) != 0, k == victim);
		fds[victim].fd = -1;
		fds[victim].revents = 0;
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(ended(p[i]), -SIGKILL);
}

/*
 * Where the system cannot watch a process, a sentinel is the end of a connection
 * to it: which lasts as long as any fork of the child, and ends at exec.
 */
static bool exact(mpx_process *p)
{
	struct stat st;
	return fstat(mpx_process_sentinel(p), &st) == 0 && !S_ISSOCK(st.st_mode) &&
	       !S_ISFIFO(st.st_mode);
}

struct forker {
	int stay[2];
	struct shared *s;
};

/* Leaves a child behind that has inherited every descriptor. */
static int fork_and_return(void *args)
{
	struct forker *f = args;
	pid_t pid = fork();
	if (pid == 0) {
		close(f->stay[1]);
		recv_byte(f->stay[0]);
		_exit(0);
	}
	f->s->pids[0] = pid;
	return 8;
}

static void test_end_with_a_grandchild(void **state)
{
	(void)state;
	struct forker f = {.s = share()};
	assert_int_equal(pipe(f.stay), 0);
	mpx_process *p = started(fork_and_return, &f);
	if (exact(p))
		assert_true(readable(mpx_process_sentinel(p), 60000));
	assert_ok(mpx_process_join(p, 60));
	assert_false(mpx_process_is_alive(p));
	assert_true(pid_running(f.s->pids[0]));
	assert_int_equal(ended(p), 8);
	close(f.stay[0]);
	close(f.stay[1]);
	assert_soon(!pid_running(f.s->pids[0]));
	mpx_free(f.s);
}

/* ---- exec in the target ------------------------------------------------ */

struct execer {
	int to[2], from[2];
};

/* The program that it becomes: says that it is there, waits, ends with 6. */
static int wait_for_byte(int in, int out)
{
	if (!send_byte(out) || !recv_byte(in))
		return 1;
	return 6;
}

static int exec_itself(void *args)
{
	struct execer *e = args;
	char in[16], out[16];
	char verb[] = "wait_for_byte";
	char *argv[] = {program, verb, in, out, NULL};
	close(e->to[1]);
	close(e->from[0]);
	snprintf(in, sizeof in, "%d", e->to[0]);
	snprintf(out, sizeof out, "%d", e->from[1]);
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 1;
}

static void test_exec_in_the_target(void **state)
{
	(void)state;
	struct execer e;
	assert_int_equal(pipe(e.to), 0);
	assert_int_equal(pipe(e.from), 0);
	mpx_process *p = started(exec_itself, &e);
	close(e.to[0]);
	close(e.from[1]);
	assert_true(recv_byte(e.from[0]));
	assert_true(mpx_process_is_alive(p)); /* the same process */
	if (exact(p))
		assert_false(readable(mpx_process_sentinel(p), 0));
	assert_fails(mpx_process_join(p, 0.3), ETIMEDOUT);
	assert_true(mpx_process_is_alive(p));
	assert_true(send_byte(e.to[1]));
	assert_int_equal(ended(p), 6);
	close(e.to[1]);
	close(e.from[0]);
}

/* The library's descriptors are not for programs that are exec'ed. */
static int count_descriptors_after_exec(void *args)
{
	char verb[] = "open_fds";
	char *argv[] = {program, verb, NULL};
	(void)args;
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 200;
}

static size_t fds_at_start;

static void test_descriptors_are_not_inherited_by_exec(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_queue *q = mpx_queue_new();
	assert_true(mpx_queue_fileno(q) >= 0);
	mpx_process *p = started(until_go, s);
	assert_true(mpx_process_sentinel(p) >= 0);
	assert_true(fds_at_start < 200);
	assert_int_equal(run_child(count_descriptors_after_exec, NULL), fds_at_start);
	assert_int_equal(ended(started(count_descriptors_after_exec, NULL)), fds_at_start);
	s->go = 1;
	assert_int_equal(ended(p), 7);
	mpx_queue_free(q);
	mpx_free(s);
}

/* ---- active children --------------------------------------------------- */

static int has_no_children(void *args)
{
	(void)args;
	mpx_process *list[4];
	child_check(mpx_active_children(list, 4) == 0);
	mpx_process *p = mpx_process_new(.target = sleep_for_ever);
	child_check(p && mpx_process_start(p) == 0);
	child_check(mpx_active_children(list, 4) == 1 && list[0] == p);
	child_check(mpx_process_kill(p) == 0 && mpx_process_join(p, 60) == 0);
	child_check(mpx_active_children(list, 4) == 0);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_active_children(void **state)
{
	(void)state;
	enum { N = 6 };
	mpx_process *p[N], *list[N + 2];
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	assert_int_equal(mpx_active_children(list, N), 0);
	mpx_process *unstarted = mpx_process_new(.target = nothing);
	for (int i = 0; i < N; i++) {
		p[i] = started(sleep_for_ever, NULL);
		assert_int_equal(mpx_active_children(NULL, 0), i + 1);
	}
	memset(list, 0, sizeof list);
	assert_int_equal(mpx_active_children(list, N + 2), N);
	assert_null(list[N]);
	for (int i = 0; i < N; i++) {
		int seen = 0;
		for (int k = 0; k < N; k++)
			seen += list[k] == p[i];
		assert_int_equal(seen, 1);
	}
	memset(list, 0, sizeof list);
	assert_int_equal(mpx_active_children(list, 2), N);
	assert_non_null(list[1]);
	assert_null(list[2]);
	assert_int_equal(ended(started(has_no_children, NULL)), 0);
	assert_int_equal(mpx_active_children(NULL, 0), N);

	/* those that ended are reaped on the way */
	pid_t pids[N];
	for (int i = 0; i < N; i++)
		pids[i] = mpx_process_pid(p[i]);
	for (int i = 0; i < N / 2; i++)
		kill(pids[i], SIGKILL);
	assert_soon(mpx_active_children(list, N) == N / 2);
	for (int i = 0; i < N / 2; i++) {
		assert_false(pid_exists(pids[i]));
		for (int k = 0; k < N / 2; k++)
			assert_ptr_not_equal(list[k], p[i]);
		int code;
		assert_ok(mpx_process_exitcode(p[i], &code));
		assert_int_equal(code, -SIGKILL);
	}
	for (int i = 0; i < N; i++) {
		assert_ok(mpx_process_kill(p[i]));
		assert_int_equal(ended(p[i]), -SIGKILL);
	}
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	assert_ok(mpx_process_free(unstarted));
}

/* ---- many -------------------------------------------------------------- */

static void test_many_at_once(void **state)
{
	(void)state;
	enum { N = 50 };
	struct shared *s = share();
	mpx_process *p[N];
	for (int i = 0; i < N; i++)
		p[i] = started(sleep_for_ever, s);
	assert_soon(s->ready == N);
	assert_int_equal(mpx_active_children(NULL, 0), N);
	for (int i = 0; i < N; i++)
		assert_ok(i % 2 ? mpx_process_kill(p[i]) : mpx_process_terminate(p[i]));
	for (int i = 0; i < N; i++)
		assert_int_equal(ended(p[i]), i % 2 ? -SIGKILL : -SIGTERM);
	/* and with exit codes, joined in another order */
	for (int i = 0; i < N; i++)
		p[i] = started(return_args, (void *)(intptr_t)i);
	for (int i = N - 1; i >= 0; i--)
		assert_int_equal(ended(p[i]), i);
	mpx_free(s);
}

static void test_many_in_a_row(void **state)
{
	(void)state;
	assert_int_equal(ended(started(nothing, NULL)), 0);
	size_t fds = open_fds(), blocks = heap_blocks();
	for (int i = 0; i < 500; i++) {
		assert_int_equal(ended(started(return_args, (void *)(intptr_t)(i % 200))), i % 200);
		if (i % 50 == 0) {
			assert_int_equal(open_fds(), fds);
			assert_int_equal(heap_blocks(), blocks);
		}
	}
	assert_int_equal(open_fds(), fds);
	assert_int_equal(heap_blocks(), blocks);
}

/* Each process makes two, three levels deep. */
struct branch {
	struct shared *s;
	int depth;
};

static int grow(void *args)
{
	struct branch *b = args;
	struct branch below = {b->s, b->depth - 1};
	mpx_process *p[2];
	b->s->count++;
	if (b->depth == 0)
		return 0;
	for (int i = 0; i < 2; i++) {
		child_check((p[i] = mpx_process_new(.target = grow, .args = &below)) != NULL);
		child_check(mpx_process_start(p[i]) == 0);
	}
	for (int i = 0; i < 2; i++) {
		int code = -1;
		child_check(mpx_process_join(p[i], 60) == 0);
		child_check(mpx_process_exitcode(p[i], &code) == 0 && code == 0);
		child_check(mpx_process_free(p[i]) == 0);
	}
	child_check(mpx_active_children(NULL, 0) == 0);
	return 0;
}

static void test_tree(void **state)
{
	(void)state;
	struct branch root = {share(), 3};
	assert_int_equal(ended(started(grow, &root)), 0);
	assert_int_equal(root.s->count, 15);
	mpx_free(root.s);
}

/* ---- threads ----------------------------------------------------------- */

struct joiner {
	mpx_process *p;
	double timeout;
	int rc, error, code;
};

static void *join_it(void *arg)
{
	struct joiner *j = arg;
	errno = 0;
	j->rc = mpx_process_join(j->p, j->timeout);
	j->error = errno;
	j->code = -1000;
	if (j->rc == 0)
		mpx_process_exitcode(j->p, &j->code);
	return NULL;
}

static void test_several_threads_join_one(void **state)
{
	(void)state;
	enum { N = 8 };
	struct shared *s = share();
	for (int round = 0; round < 5; round++) {
		pthread_t t[N];
		struct joiner j[N];
		s->go = 0;
		mpx_process *p = started(until_go, s);
		for (int i = 0; i < N; i++) {
			j[i] = (struct joiner){.p = p, .timeout = i % 4 == 3 ? 0.02 : 80};
			assert_int_equal(pthread_create(&t[i], NULL, join_it, &j[i]), 0);
		}
		for (int i = 3; i < N; i += 4) {
			pthread_join(t[i], NULL);
			assert_int_equal(j[i].rc, -1);
			assert_int_equal(j[i].error, ETIMEDOUT);
		}
		s->go = 1;
		for (int i = 0; i < N; i++) {
			if (i % 4 == 3)
				continue;
			pthread_join(t[i], NULL);
			assert_int_equal(j[i].rc, 0);
			assert_int_equal(j[i].code, 7);
		}
		assert_int_equal(ended(p), 7);
	}
	mpx_free(s);
}

/* Each thread its own processes, all at the same time. */
static void *start_and_join(void *arg)
{
	struct shared *s = arg;
	for (intptr_t i = 0; i < 40; i++) {
		int code = -1000;
		mpx_process *p = mpx_process_new(.target = return_args, .args = (void *)i);
		if (p && mpx_process_start(p) == 0 && mpx_process_join(p, 60) == 0 &&
		    mpx_process_exitcode(p, &code) == 0 && code == i && mpx_process_free(p) == 0)
			s->count++;
		mpx_active_children(NULL, 0);
	}
	return NULL;
}

static void test_threads_with_processes(void **state)
{
	(void)state;
	enum { N = 4 };
	struct shared *s = share();
	pthread_t t[N];
	for (int i = 0; i < N; i++)
		assert_int_equal(pthread_create(&t[i], NULL, start_and_join, s), 0);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(s->count, N * 40);
	mpx_free(s);
}

/* Plain forks among them, of which the library hears as well. */
static void *fork_and_wait(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < 150; i++) {
		int status = -1;
		pid_t pid = fork();
		if (pid == 0)
			_exit(i % 100);
		if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		    WEXITSTATUS(status) == i % 100)
			s->result++;
	}
	return NULL;
}

static void test_threads_with_processes_and_forks(void **state)
{
	(void)state;
	enum { N = 4 };
	struct shared *s = share();
	mpx_queue *q = mpx_queue_new();
	pthread_t t[N];
	assert_true(mpx_queue_fileno(q) >= 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, i % 2 ? fork_and_wait : start_and_join, s), 0);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(s->count, N / 2 * 40);
	assert_int_equal(s->result, N / 2 * 150);
	mpx_queue_free(q);
	mpx_free(s);
}

static void *start_it(void *arg)
{
	struct joiner *j = arg;
	j->rc = mpx_process_start(j->p);
	return NULL;
}

/* The thread that started it ends: the child goes on. */
static void test_started_by_a_thread_that_ends(void **state)
{
	(void)state;
	struct shared *s = share();
	struct joiner j = {.p = mpx_process_new(.target = until_go, .args = s)};
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, start_it, &j), 0);
	pthread_join(t, NULL);
	assert_int_equal(j.rc, 0);
	assert_soon(s->ready);
	assert_fails(mpx_process_join(j.p, 0.5), ETIMEDOUT);
	assert_true(mpx_process_is_alive(j.p));
	s->go = 1;
	assert_int_equal(ended(j.p), 7);
	mpx_free(s);
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

/* ---- stdio, atexit, standard input ------------------------------------- */

static void temporary(char *path, size_t size)
{
	const char *dir = getenv("TMPDIR");
	snprintf(path, size, "%s/mpx-test-XXXXXX", dir ? dir : "/tmp");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static void assert_file_is(const char *path, const char *expected)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_string_equal(text, expected);
}

struct files {
	char out[256], log[256], in[256];
	FILE *file;
	struct shared *s;
	bool threads;
};

static int print(void *args)
{
	struct files *f = args;
	int i = ++f->s->count;
	printf("child %d\n", i);
	fprintf(f->file, "child's log %d\n", i);
	if (i == 2)
		fflush(NULL);
	if (i == 3) /* killed: what it has not flushed is lost, and nothing else */
		kill(getpid(), SIGKILL);
	return 0;
}

static void *idle(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static int program_that_prints(void *args)
{
	struct files *f = args;
	pthread_t t;
	if (f->threads)
		child_check(pthread_create(&t, NULL, idle, NULL) == 0);
	int fd = open(f->out, O_WRONLY | O_TRUNC | O_APPEND);
	child_check(fd >= 0 && dup2(fd, 1) == 1);
	close(fd);
	f->file = fopen(f->log, "a");
	child_check(f->file != NULL);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	printf("parent, not flushed;");
	fprintf(f->file, "parent's log, not flushed;");
	for (int i = 0; i < 5; i++) {
		printf("before %d\n", i);
		fprintf(f->file, "log before %d\n", i);
		if (f->threads) /* then only stdout and stderr are flushed for us */
			fflush(f->file);
		child_run(print, f);
	}
	printf("end\n");
	fprintf(f->file, "log end\n");
	exit(0);
}

static void check_stdio(bool threads)
{
	struct files f = {.s = share(), .threads = threads};
	temporary(f.out, sizeof f.out);
	temporary(f.log, sizeof f.log);
	assert_int_equal(run_child(program_that_prints, &f), 0);
	assert_file_is(f.out, "parent, not flushed;before 0\nchild 1\nbefore 1\nchild 2\n"
			      "before 2\nbefore 3\nchild 4\nbefore 4\nchild 5\nend\n");
	assert_file_is(f.log, "parent's log, not flushed;log before 0\nchild's log 1\n"
			      "log before 1\nchild's log 2\nlog before 2\nlog before 3\n"
			      "child's log 4\nlog before 4\nchild's log 5\nlog end\n");
	unlink(f.out);
	unlink(f.log);
	mpx_free(f.s);
}

static void test_stdio_exactly_once(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__)
	skip(); /* it has a thread of its own */
#endif
#ifdef MPX_TEST_PLATFORM_POSIX
	check_stdio(true); /* nobody can tell there whether it has threads */
#else
	check_stdio(false);
#endif
}

static void test_stdio_exactly_once_beside_threads(void **state)
{
	(void)state;
	check_stdio(true);
}

static void *read_a_line(void *arg)
{
	char line[16];
	return fgets(line, sizeof line, arg);
}

/* A thread that sits in a read, with the lock of that FILE, is in nobody's way. */
static int program_with_a_reader(void *args)
{
	int fds[2];
	pthread_t t;
	void *got;
	(void)args;
	child_check(pipe(fds) == 0);
	FILE *in = fdopen(fds[0], "r");
	child_check(in && pthread_create(&t, NULL, read_a_line, in) == 0);
	for (int i = 0; i < 50; i++)
		nap();
	for (intptr_t i = 0; i < 5; i++)
		child_check(child_run(return_args, (void *)i) == i);
	child_check(write(fds[1], "x\n", 2) == 2);
	child_check(pthread_join(t, &got) == 0 && got != NULL);
	return 0;
}

static void test_start_beside_a_blocked_reader(void **state)
{
	(void)state;
	assert_int_equal(run_child(program_with_a_reader, NULL), 0);
}

static struct shared *volatile atexit_shared;

static void at_exit(void)
{
	if (atexit_shared)
		atexit_shared->count++;
}

static int program_with_atexit(void *args)
{
	atexit_shared = args;
	child_check(atexit(at_exit) == 0);
	for (int i = 0; i < 3; i++)
		child_check(child_run(return_args, (void *)(intptr_t)i) == i);
	child_check(atexit_shared->count == 0);
	exit(5);
}

static void test_atexit_only_in_the_parent(void **state)
{
	(void)state;
	struct shared *s = share();
	assert_int_equal(run_child(program_with_atexit, s), 5);
	assert_int_equal(s->count, 1);
	mpx_free(s);
}

static int read_stdin(void *args)
{
	struct shared *s = args;
	struct stat in, null;
	char c;
	child_check(fstat(0, &in) == 0 && stat("/dev/null", &null) == 0);
	child_check(S_ISCHR(in.st_mode) && in.st_rdev == null.st_rdev);
	child_check(read(0, &c, 1) == 0);
	int got = getchar();
	s->result = got;
	child_check(got == EOF);
	return 0;
}

/* The parent is in the middle of its input, and goes on as if nothing was. */
static int program_that_reads(void *args)
{
	struct files *f = args;
	char line[64], expected[64];
	int fd = open(f->in, O_RDONLY);
	child_check(fd >= 0 && dup2(fd, 0) == 0);
	close(fd);
	f->file = fopen(f->in, "r");
	child_check(f->file != NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(expected, sizeof expected, "line %d\n", i);
		child_check(fgets(line, sizeof line, stdin) && strcmp(line, expected) == 0);
		child_check(fgets(line, sizeof line, f->file) && strcmp(line, expected) == 0);
		if (i % 5 == 1)
			child_check(child_run(read_stdin, f->s) == 0);
	}
	child_check(!fgets(line, sizeof line, stdin));
	child_check(!fgets(line, sizeof line, f->file));
	exit(0);
}

static void test_standard_input(void **state)
{
	(void)state;
	struct files f = {.s = share()};
	temporary(f.in, sizeof f.in);
	FILE *in = fopen(f.in, "w");
	for (int i = 0; i < 20; i++)
		fprintf(in, "line %d\n", i);
	fclose(in);
	assert_int_equal(run_child(program_that_reads, &f), 0);
	unlink(f.in);
	mpx_free(f.s);
}

/* ---- what a child does not inherit -------------------------------------- */

static int count_descriptors(void *args)
{
	int *count = args;
	*count = 0;
	for (int fd = 0; fd < 256; fd++)
		*count += fcntl(fd, F_GETFD) >= 0;
	return 0;
}

/* Descriptors that tell of a sibling's end, or of its parent's, are not for others. */
static void test_descriptors_of_siblings(void **state)
{
	(void)state;
	enum { N = 3 };
	struct shared *s = share();
	int *counts = mpx_calloc(2, sizeof *counts);
	mpx_process *p[N];
	assert_non_null(counts);
	assert_int_equal(child_run(count_descriptors, &counts[0]), 0);
	for (int i = 0; i < N; i++)
		p[i] = started(until_go, s);
	assert_int_equal(child_run(count_descriptors, &counts[1]), 0);
	s->go = 1;
	for (int i = 0; i < N; i++)
		assert_int_equal(ended(p[i]), 7);
	assert_int_equal(counts[1], counts[0]);
	mpx_free(counts);
	mpx_free(s);
}

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

/* ---- when the parent ends ---------------------------------------------- */

enum { DULL, DAEMON, BY_THREAD, STOPPED, BRANCH, LEAF, ORPHAN, MEMBERS };
enum { KILLED, LEFT, ABORTED, TERMINATED, WAYS };

struct family {
	struct shared *s;
	int me; /* which member */
	int way;
};

static pid_t pid_of(struct family *f, int member)
{
	return f->s->pids[member];
}

/* Nothing but SIGKILL ends it. */
static int be_dull(void *args)
{
	struct family *f = args;
	static const int ignored[] = {SIGTERM, SIGHUP, SIGINT, SIGPIPE, SIGUSR1};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	alarm(80); /* no test lasts longer */
	f->s->pids[f->me] = getpid();
	f->s->ready++;
	while (pause() < 0)
		continue;
	return 1;
}

static int be_a_branch(void *args)
{
	struct family *f = args, leaf = {f->s, LEAF, 0};
	mpx_process *p = mpx_process_new(.target = be_dull, .args = &leaf);
	child_check(p && mpx_process_start(p) == 0);
	return be_dull(f);
}

/* Lives on; tells what it sees of its parent; ends when told to. */
static int be_an_orphan(void *args)
{
	struct family *f = args;
	mpx_process *parent = mpx_parent_process();
	child_check(parent && mpx_process_is_alive(parent));
	pid_t pid = mpx_process_pid(parent);
	f->s->pids[ORPHAN] = getpid();
	f->s->ready++;
	child_check(mpx_process_join(parent, 60) == 0);
	child_check(!mpx_process_is_alive(parent));
	child_check(mpx_process_join(parent, 0) == 0);
	child_check(mpx_process_pid(parent) == pid && mpx_parent_process() == parent);
	f->s->result = 1;
	child_soon(f->s->go);
	f->s->result = 2;
	return 0;
}

static int have_a_family(void *args)
{
	struct family *f = args, member[MEMBERS];
	mpx_process *p;
	pthread_t t;
	for (int i = 0; i < MEMBERS; i++)
		member[i] = (struct family){f->s, i, 0};
	p = mpx_process_new(.target = be_dull, .args = &member[DULL]);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_dull, .args = &member[DAEMON], .daemon = true);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_a_branch, .args = &member[BRANCH]);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_an_orphan, .args = &member[ORPHAN], .orphan = true);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_dull, .args = &member[STOPPED]);
	child_check(p && mpx_process_start(p) == 0);
	struct joiner j = {.p = mpx_process_new(.target = be_dull, .args = &member[BY_THREAD])};
	child_check(pthread_create(&t, NULL, start_it, &j) == 0);
	child_check(pthread_join(t, NULL) == 0 && j.rc == 0);
	child_soon(f->s->ready == MEMBERS);
	/* On plain POSIX a stopped child ends when it goes on, which nobody tells it. */
#ifndef MPX_TEST_PLATFORM_POSIX
	kill(f->s->pids[STOPPED], SIGSTOP);
#endif
	f->s->count = 1;
	if (f->way == LEFT) {
		child_soon(f->s->count == 2);
		_exit(3);
	}
	if (f->way == ABORTED) {
		child_soon(f->s->count == 2);
		abort();
	}
	while (pause() < 0)
		continue;
	return 1;
}

/* Children of children come to us when those die, so that we can reap them. */
static bool adopting;

static void adopt_orphans(bool yes)
{
#ifdef __linux__
	adopting = prctl(PR_SET_CHILD_SUBREAPER, yes ? 1L : 0L, 0L, 0L, 0L) == 0 && yes;
#else
	(void)yes;
#endif
}

static bool gone(pid_t pid)
{
	pid_t got = waitpid(pid, NULL, WNOHANG);
	if (got >= 0)
		return got == pid;
	return adopting ? !pid_exists(pid) : !pid_running(pid);
}

static void kill_family(struct family *f)
{
	for (int i = 0; i < MEMBERS; i++) {
		if (pid_of(f, i) <= 1 || gone(pid_of(f, i)))
			continue;
		kill(pid_of(f, i), SIGKILL);
	}
}

static void check_family_after(struct family *f)
{
	double end = now() + 10;
	for (int i = 0; i < ORPHAN; i++) {
		while (!gone(pid_of(f, i)) && now() < end)
			nap();
		if (!gone(pid_of(f, i))) {
			kill_family(f);
			fail_msg("way %d: member %d outlived its parent", f->way, i);
		}
	}
	assert_soon(f->s->result == 1);
	for (int i = 0; i < 300; i++) {
		assert_true(pid_running(pid_of(f, ORPHAN)));
		nap();
	}
	f->s->go = 1;
	assert_soon(f->s->result == 2);
	assert_soon(gone(pid_of(f, ORPHAN)));
}

static void check_family(int way, bool plain)
{
	struct family f = {share(), 0, way};
	static const int codes[WAYS] = {-SIGKILL, 3, -SIGABRT, -SIGTERM};
	mpx_process *p = NULL;
	pid_t pid;
	adopt_orphans(true);
	if (plain) {
		pid = fork_child(have_a_family, &f);
	} else {
		p = started(have_a_family, &f);
		pid = mpx_process_pid(p);
	}
	double end = now() + 30;
	while (!f.s->count && now() < end && pid_running(pid))
		nap();
	bool ready = f.s->count == 1;
	f.s->count = 2;
	if (!ready || way == KILLED)
		kill(pid, SIGKILL);
	else if (way == TERMINATED)
		kill(pid, SIGTERM);
	int code = plain ? wait_child(pid) : ended(p);
	if (!ready) {
		kill_family(&f);
		fail_msg("the family was not ready");
	}
	assert_int_equal(code, codes[way]);
	check_family_after(&f);
	adopt_orphans(false);
	mpx_free(f.s);
}

static void test_parent_dies(void **state)
{
	(void)state;
	for (int way = 0; way < WAYS; way++)
		check_family(way, true);
	check_family(KILLED, false);
	check_family(TERMINATED, false);
}

static int start_and_die(void *args)
{
	struct family *f = args, dull = {f->s, DULL, 0};
	mpx_process *p = mpx_process_new(.target = be_dull, .args = &dull);
	child_check(p && mpx_process_start(p) == 0);
	f->s->pids[BRANCH] = mpx_process_pid(p);
	kill(getpid(), SIGKILL);
	return 1;
}

/* The parent dies when the child has hardly begun. */
static void test_parent_dies_at_once(void **state)
{
	(void)state;
	struct family f = {share(), 0, 0};
	adopt_orphans(true);
	for (int i = 0; i < 40; i++) {
		f.s->pids[BRANCH] = 0;
		assert_int_equal(run_child(start_and_die, &f), -SIGKILL);
		pid_t pid = pid_of(&f, BRANCH);
		assert_true(pid > 0);
		double end = now() + 10;
		while (!gone(pid) && now() < end)
			nap();
		if (!gone(pid)) {
			kill(pid, SIGKILL);
			assert_soon(gone(pid));
			fail_msg("round %d: the child outlived its parent", i);
		}
	}
	adopt_orphans(false);
	mpx_free(f.s);
}

/* A daemon that notes its SIGTERM. */
static void on_daemon_term(int sig)
{
	struct shared *s = handler_shared;
	(void)sig;
	s->count++;
	_exit(0);
}

static int be_a_daemon(void *args)
{
	struct family *f = args;
	alarm(80);
	handler_shared = f->s;
	if (f->me == DAEMON)
		signal(SIGTERM, on_daemon_term);
	f->s->pids[f->me] = getpid();
	f->s->ready++;
	while (pause() < 0)
		continue;
	return 1;
}

/* Ends by itself, in a while. */
static int work_a_while(void *args)
{
	struct family *f = args;
	f->s->pids[f->me] = getpid();
	f->s->ready++;
	for (int i = 0; i < 300; i++)
		nap();
	f->s->pids[MEMBERS] = 1; /* it got here */
	return 0;
}

static int leave_normally(void *args)
{
	struct family *f = args, member[MEMBERS];
	mpx_process *p;
	for (int i = 0; i < MEMBERS; i++)
		member[i] = (struct family){f->s, i, 0};
	p = mpx_process_new(.target = be_a_daemon, .args = &member[DAEMON], .daemon = true);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_a_daemon, .args = &member[DULL], .daemon = true);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = work_a_while, .args = &member[LEAF]);
	child_check(p && mpx_process_start(p) == 0);
	p = mpx_process_new(.target = be_an_orphan, .args = &member[ORPHAN], .orphan = true);
	child_check(p && mpx_process_start(p) == 0);
	child_check(mpx_process_new(.target = be_dull) != NULL); /* never started */
	child_soon(f->s->ready == 4);
	/* what has ended already, joined or not, freed or not */
	child_check(child_run(nothing, NULL) == 0);
	p = mpx_process_new(.target = nothing);
	child_check(p && mpx_process_start(p) == 0 && mpx_process_join(p, 60) == 0);
	p = mpx_process_new(.target = nothing, .daemon = true);
	child_check(p && mpx_process_start(p) == 0);
	if (f->way == 0)
		exit(4);
	return 4;
}

/* Daemons are terminated, the others joined, the orphan neither. */
static void test_parent_exits(void **state)
{
	(void)state;
	adopt_orphans(true);
	for (int way = 0; way < 2; way++) {
		struct family f = {share(), 0, way};
		int code = way == 0 ? run_child(leave_normally, &f)
				    : ended(started(leave_normally, &f));
		static const int members[] = {DAEMON, DULL, LEAF};
		assert_int_equal(code, 4);
		assert_int_equal(f.s->pids[MEMBERS], 1);
		assert_int_equal(f.s->count, 1);
		for (size_t i = 0; i < 3; i++)
			assert_false(pid_exists(pid_of(&f, members[i])));
		assert_soon(f.s->result == 1);
		assert_true(pid_running(pid_of(&f, ORPHAN)));
		f.s->go = 1;
		assert_soon(f.s->result == 2);
		assert_soon(gone(pid_of(&f, ORPHAN)));
		mpx_free(f.s);
	}
	adopt_orphans(false);
}

static int just_exit(void *args)
{
	(void)args;
	exit(2);
}

/* A plain child that exits does not touch its parent's children. */
static void test_exit_of_a_plain_child(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(until_go, s);
	mpx_process *q = mpx_process_new(.target = sleep_for_ever, .daemon = true);
	assert_ok(mpx_process_start(q));
	assert_soon(s->ready);
	assert_int_equal(run_child(just_exit, NULL), 2);
	assert_fails(mpx_process_join(q, 0.2), ETIMEDOUT);
	assert_true(mpx_process_is_alive(p));
	assert_ok(mpx_process_kill(q));
	assert_int_equal(ended(q), -SIGKILL);
	s->go = 1;
	assert_int_equal(ended(p), 7);
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

static int write_everywhere(void *args)
{
	static const char text[] = "this must not reach anything of the library's\n";
	for (int fd = 0; fd < 3; fd++)
		if (write(fd, text, sizeof text) < 0)
			continue;
	puts(text);
	fputs(text, stderr);
	fflush(NULL);
	return (int)(intptr_t)args;
}

static int program_with_closed_stdio(void *args)
{
	int mask = (int)(intptr_t)args;
	int err = fcntl(2, F_DUPFD_CLOEXEC, 10); /* to see failures */
	for (int fd = 0; fd < 3; fd++)
		if (mask & (1 << fd))
			close(fd);
	for (intptr_t i = 0; i < 5; i++) {
		int code = -1000;
		mpx_process *p = mpx_process_new(.target = write_everywhere, .args = (void *)i);
		if (!p || mpx_process_start(p) != 0 || mpx_process_join(p, 60) != 0 ||
		    mpx_process_exitcode(p, &code) != 0 || code != i || mpx_process_free(p) != 0) {
			dprintf(err, "closed %d, round %d: %d, %s\n", mask, (int)i, code,
				strerror(errno));
			return 1;
		}
		if (i == 2) { /* and with a sentinel there */
			p = mpx_process_new(.target = sleep_for_ever);
			if (!p || mpx_process_start(p) != 0 || mpx_process_sentinel(p) < 0 ||
			    readable(mpx_process_sentinel(p), 0) || mpx_process_kill(p) != 0 ||
			    !readable(mpx_process_sentinel(p), 60000) ||
			    mpx_process_join(p, 60) != 0 || mpx_process_free(p) != 0)
				return 2;
		}
	}
	return 0;
}

static void test_closed_stdio(void **state)
{
	(void)state;
	for (intptr_t mask = 1; mask < 8; mask++) {
		/* what the children write is not for the test's own output */
		fflush(NULL);
		int out = dup(1), null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		int code = run_child(program_with_closed_stdio, (void *)mask);
		dup2(out, 1);
		close(out);
		close(null);
		assert_int_equal(code, 0);
	}
}

/* ---- cpu_count, version ------------------------------------------------ */

/* In programs of their own, for the environment may be read once. */
struct cpus {
	const char *text; /* of MPX_CPU_COUNT; NULL for none */
	bool one_cpu;	  /* bound to one processor */
};

static int exec_cpu_count(void *args)
{
	const struct cpus *c = args;
	char verb[] = "cpu_count";
	char *argv[] = {program, verb, NULL};
	if (c->text)
		setenv("MPX_CPU_COUNT", c->text, 1);
	else
		unsetenv("MPX_CPU_COUNT");
#ifdef __linux__
	if (c->one_cpu) {
		cpu_set_t set, one;
		child_check(sched_getaffinity(0, sizeof set, &set) == 0);
		CPU_ZERO(&one);
		for (size_t i = 0; i < CPU_SETSIZE; i++) {
			if (CPU_ISSET(i, &set)) {
				CPU_SET(i, &one);
				break;
			}
		}
		child_check(sched_setaffinity(0, sizeof one, &one) == 0);
	}
#endif
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 98;
}

static int cpus(const char *text, bool one_cpu)
{
	struct cpus c = {text, one_cpu};
	int n = run_child(exec_cpu_count, &c);
	assert_int_not_equal(n, 98);
	return n;
}

static void test_cpu_count(void **state)
{
	(void)state;
	assert_true(mpx_cpu_count() >= 1);
	int n = cpus(NULL, false);
	assert_true(n >= 1);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	assert_true(online < 1 || online > 90 || n <= online);
	assert_int_equal(cpus("1", false), 1);
	assert_int_equal(cpus("3", false), 3);
	assert_int_equal(cpus("77", false), 77); /* more than there are: as you say */
	static const char *const ignored[] = {"", "banana", "0", "-1", "-3", " ", "x3"};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		if (cpus(ignored[i], false) != n)
			fail_msg("MPX_CPU_COUNT=\"%s\"", ignored[i]);
	static const char *const odd[] = {"3x", "99999999999999999999", "1e3", "4294967297"};
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (cpus(odd[i], false) == 0)
			fail_msg("MPX_CPU_COUNT=\"%s\"", odd[i]);
#ifdef __linux__
	mpx_process *p = started(nothing, NULL);
	if (exact(p)) /* built for Linux; plain POSIX knows no affinity */
		assert_int_equal(cpus(NULL, true), 1);
	assert_int_equal(ended(p), 0);
	assert_int_equal(cpus("5", true), 5);
#endif
}

/* What the sub-program tells by its exit code: 0 if it is no count at all. */
static int tell_cpu_count(void)
{
	int n = mpx_cpu_count();
	return n < 1 ? 0 : n > 90 ? 90 : n;
}

static void test_version(void **state)
{
	(void)state;
	char text[64];
	snprintf(text, sizeof text, "%d.%d.%d", MPX_VERSION_MAJOR, MPX_VERSION_MINOR,
		 MPX_VERSION_PATCH);
	assert_string_equal(mpx_version_string(), text);
	assert_int_equal(mpx_version(), MPX_VERSION_NUM);
	assert_true(MPX_VERSION_AT_LEAST(0, 1, 0));
	assert_false(MPX_VERSION_AT_LEAST(1000, 0, 0));
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = {0, 0};
	program = argv[0];
	if (argc == 4 && strcmp(argv[1], "wait_for_byte") == 0)
		return wait_for_byte(atoi(argv[2]), atoi(argv[3]));
	if (argc == 2 && strcmp(argv[1], "cpu_count") == 0)
		return tell_cpu_count();
	if (argc == 2 && strcmp(argv[1], "open_fds") == 0)
		return (int)open_fds();
	fds_at_start = open_fds();
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
		mpx_test(test_names),
		mpx_test(test_daemon_flag),
		mpx_test(test_current_process),
		mpx_test(test_current_and_parent_in_a_child),
		mpx_test(test_join_and_timeouts),
		mpx_test(test_end_without_join),
		mpx_test(test_terminate_kill_interrupt),
		mpx_test(test_child_with_a_handler),
		mpx_test(test_stopped_child_is_alive),
		mpx_test(test_signal_mask),
		mpx_test(test_sentinel),
		mpx_test(test_many_sentinels),
		mpx_test(test_end_with_a_grandchild),
		mpx_test(test_exec_in_the_target),
		mpx_test(test_descriptors_are_not_inherited_by_exec),
		mpx_test(test_active_children),
		mpx_test(test_many_at_once),
		mpx_test(test_many_in_a_row),
		mpx_test(test_tree),
		mpx_test(test_several_threads_join_one),
		mpx_test(test_threads_with_processes),
		mpx_test(test_threads_with_processes_and_forks),
		mpx_test(test_started_by_a_thread_that_ends),
		mpx_test(test_handles_of_another_process),
		mpx_test(test_null),
		mpx_test(test_bad_pointers),
		mpx_test(test_stdio_exactly_once),
		mpx_test(test_stdio_exactly_once_beside_threads),
		mpx_test(test_start_beside_a_blocked_reader),
		mpx_test(test_atexit_only_in_the_parent),
		mpx_test(test_standard_input),
		mpx_test(test_descriptors_of_siblings),
		mpx_test(test_sigchld_ignored),
		mpx_test(test_stolen_statuses),
		mpx_test(test_children_of_the_host),
		mpx_test(test_plain_fork),
		mpx_test(test_signal_storm),
		mpx_test(test_parent_dies),
		mpx_test(test_parent_dies_at_once),
		mpx_test(test_parent_exits),
		mpx_test(test_exit_of_a_plain_child),
		mpx_test(test_no_processes),
		mpx_test(test_no_descriptors),
		mpx_test(test_closed_stdio),
		mpx_test(test_cpu_count),
		mpx_test(test_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
