/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * While a wait for a child is asleep: another thread joins the child and frees the handle
 * that the exit of the program waits for; the descriptor that the wait looks at becomes
 * another one. The moment is found by a poll() of this program's own.
 *
 * Seen to fail with, in src/process/process.c: no user counted in find_unfinished. In
 * src/process/child.c: no slices where there is a watch; no pause after a descriptor that
 * is readable though the child lives (both in mpx__child_wait).
 */
#define _GNU_SOURCE
#include "children.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static void (*_Atomic in_poll)(void); /* once, in the next call that sleeps */

int poll(struct pollfd *set, nfds_t n, int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
	void (*fn)(void) = ms ? atomic_exchange(&in_poll, NULL) : NULL;
	if (fn)
		fn();
	return ppoll(set, n, ms < 0 ? NULL : &t, NULL);
}

/* --- a handle that is freed meanwhile ------------------------------------------------------- */

enum { BLOCKS = 64 };

static struct shared *s;
static mpx_process *p;
static char *block[2][BLOCKS]; /* of the family's heap; of malloc */

static size_t size_of(int i)
{
	return (size_t)(i + 1) * 8;
}

/* Whoever uses what was freed finds zeros there, and writes to them. */
static void *join_and_free(void *arg)
{
	child_check(mpx_process_join(p, 60) == 0);
	child_check(mpx_process_free(p) == 0);
	for (int i = 0; i < BLOCKS; i++) {
		block[0][i] = mpx_calloc(1, size_of(i));
		block[1][i] = malloc(size_of(i));
		child_check(block[0][i] && block[1][i]);
		memset(block[1][i], 0, size_of(i));
	}
	return arg;
}

static void free_meanwhile(void)
{
	pthread_t t;
	s->go = 1;
	child_check(pthread_create(&t, NULL, join_and_free, NULL) == 0);
	child_check(pthread_join(t, NULL) == 0);
}

static void before_the_wait(void)
{
	in_poll = free_meanwhile;
}

static void after_the_wait(void)
{
	child_check(block[0][0]);
	for (int i = 0; i < BLOCKS; i++) {
		for (size_t k = 0; k < size_of(i); k++)
			child_check(block[0][i][k] == 0 && block[1][i][k] == 0);
		mpx_free(block[0][i]);
		free(block[1][i]);
	}
}

/* A program of its own: in the test's, the library's exit handler would be the first. */
static int program_that_exits(void)
{
	alarm(20);
	s = mpx_calloc(1, sizeof *s);
	child_check(s);
	child_check(atexit(after_the_wait) == 0);
	p = mpx_process_new(.target = until_go, .args = s);
	child_check(p && mpx_process_start(p) == 0);
	child_check(atexit(before_the_wait) == 0);
	exit(5);
}

static char *program;

static int exec_itself(void *args)
{
	char verb[] = "exit";
	char *argv[] = {program, verb, NULL};
	(void)args;
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 1;
}

static void test_freed_while_the_exit_waits(void **state)
{
	(void)state;
	assert_int_equal(run_child(exec_itself, NULL), 5);
}

/* --- a descriptor that is another one's meanwhile -------------------------------------------- */

static void let_child_go(void)
{
	s->go = 1;
}

static double processor_time(void)
{
	struct timespec t;
	child_check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Its number is that of a pipe from now on, readable or not. */
static void lose_sentinel(int fd, bool readable)
{
	int fds[2];
	child_check(pipe(fds) == 0);
	child_check(dup2(fds[0], fd) == fd);
	child_check(!readable || send_byte(fds[1]));
}

static int program_that_loses_a_sentinel(void *args)
{
	int code = 0;
	alarm(20);
	p = mpx_process_new(.target = until_go, .args = s);
	child_check(p && mpx_process_start(p) == 0);
	child_check(mpx_process_sentinel(p) >= 0);
	lose_sentinel(mpx_process_sentinel(p), args != NULL);
	double before = processor_time();
	child_fails(mpx_process_join(p, 1), ETIMEDOUT);
	child_check(processor_time() - before < 0.5); /* it slept */
	in_poll = let_child_go;
	child_check(mpx_process_join(p, MPX_FOREVER) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_sentinel_lost(void **state)
{
	(void)state;
	s = share();
	assert_int_equal(run_child(program_that_loses_a_sentinel, NULL), 0);
	s->go = 0;
	assert_int_equal(run_child(program_that_loses_a_sentinel, s), 0);
	mpx_free(s);
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 2 && strcmp(argv[1], "exit") == 0)
		return program_that_exits();
	const struct CMUnitTest tests[] = {
		mpx_test(test_freed_while_the_exit_waits),
		mpx_test(test_sentinel_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
