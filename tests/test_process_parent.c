/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_parent.c - the end of the parent: killed, aborted, _exit, exit;
 * daemons, orphans, children of children, of a thread that has ended, stopped ones.
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

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

static struct shared *volatile held_shared;

static void hold_child(void)
{
	struct shared *s = held_shared;
	s->pids[ORPHAN] = getpid();
	child_soon(s->go);
}

static int return_six(void *args)
{
	struct shared *s = args;
	s->result = 6;
	return 6;
}

static int leave_an_orphan(void *args)
{
	held_shared = args;
	child_check(pthread_atfork(NULL, NULL, hold_child) == 0);
	mpx_process *p = mpx_process_new(.target = return_six, .args = args, .orphan = true);
	child_check(p && mpx_process_start(p) == 0);
	return 0;
}

/* An orphan that has been started begins, if only when its parent is dead and forgotten. */
static void test_parent_ends_before_the_orphan_begins(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_memory_stats stats;
	adopt_orphans(true);
	assert_int_equal(run_child(leave_an_orphan, s), 0);
	assert_ok(mpx_memory_stats_now(&stats)); /* whatever the dead held comes back */
	s->go = 1;
	assert_soon(s->result == 6);
	assert_soon(s->pids[ORPHAN] && gone(s->pids[ORPHAN]));
	adopt_orphans(false);
	mpx_free(s);
}

static struct shared *volatile handler_shared;

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

int main(void)
{
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	const struct CMUnitTest tests[] = {
		mpx_test(test_parent_dies),
		mpx_test(test_parent_dies_at_once),
		mpx_test(test_parent_ends_before_the_orphan_begins),
		mpx_test(test_parent_exits),
		mpx_test(test_exit_of_a_plain_child),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
