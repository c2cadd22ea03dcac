/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_many.c - many processes at once, and in a row; trees; several threads
 * that start and join; threads that have ended.
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_many_at_once),
		mpx_test(test_many_in_a_row),
		mpx_test(test_tree),
		mpx_test(test_several_threads_join_one),
		mpx_test(test_threads_with_processes),
		mpx_test(test_threads_with_processes_and_forks),
		mpx_test(test_started_by_a_thread_that_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
