/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_descriptors.c - processes and descriptors:
 *
 *   - sentinels in poll(2), one and many; the end of a child that has forked; no child is
 *     alive whose sentinel has told its end; one that closes all descriptors
 *   - a child that execs; what is not inherited, by exec or by siblings
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

static char *program;

/* ---- sentinels --------------------------------------------------------- */

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

/* Who has seen the sentinel is not told that it lives. */
static void test_sentinel_then_is_alive(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		mpx_process *p = started(nothing, NULL);
		assert_true(readable(mpx_process_sentinel(p), 60000));
		assert_false(mpx_process_is_alive(p));
		assert_int_equal(ended(p), 0);
	}
}

static int close_all_until_go(void *arg)
{
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	return until_go(arg);
}

/* Its parent's end of a link says nothing then. */
static void test_child_closes_everything(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p = started(close_all_until_go, s);
	assert_soon(s->ready);
	for (int i = 0; i < 100; i++)
		assert_true(mpx_process_is_alive(p));
	struct timespec from, to;
	assert_ok(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from));
	assert_fails(mpx_process_join(p, 1), ETIMEDOUT);
	assert_ok(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to));
	double used = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
	assert_true(used < 0.5); /* it slept */
	s->go = 1;
	assert_ok(mpx_process_join(p, 60));
	assert_int_equal(ended(p), 7);
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

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 4 && strcmp(argv[1], "wait_for_byte") == 0)
		return wait_for_byte(atoi(argv[2]), atoi(argv[3]));
	if (argc == 2 && strcmp(argv[1], "open_fds") == 0)
		return (int)open_fds();
	fds_at_start = open_fds();
	const struct CMUnitTest tests[] = {
		mpx_test(test_sentinel),
		mpx_test(test_sentinel_then_is_alive),
		mpx_test(test_child_closes_everything),
		mpx_test(test_many_sentinels),
		mpx_test(test_end_with_a_grandchild),
		mpx_test(test_exec_in_the_target),
		mpx_test(test_descriptors_are_not_inherited_by_exec),
		mpx_test(test_descriptors_of_siblings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
