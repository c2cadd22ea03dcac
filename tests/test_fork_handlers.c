/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A program with fork handlers (pthread_atfork) and locks of its own, registered before it
 * uses the library: a thread may call the library while it holds such a lock.
 *
 * Seen to fail with, in src/base/private.c: no init_before_main().
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static pthread_mutex_t programs = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool forks; /* a thread has come to the program's handler */

static void lock_programs(void)
{
	atomic_store(&forks, true);
	pthread_mutex_lock(&programs);
}

static void unlock_programs(void)
{
	pthread_mutex_unlock(&programs);
}

static void *fork_once(void *unused)
{
	pid_t pid = fork();
	(void)unused;
	if (pid == 0)
		_exit(0);
	child_check(pid > 0 && waitpid(pid, NULL, 0) == pid);
	return NULL;
}

static int call_with_lock(void *arg)
{
	pthread_t t;
	pthread_mutex_lock(&programs);
	atomic_store(&forks, false);
	child_check(pthread_create(&t, NULL, fork_once, NULL) == 0);
	child_soon(atomic_load(&forks));
	child_check(mpx_queue_fileno(arg) >= 0);
	pthread_mutex_unlock(&programs);
	child_check(pthread_join(t, NULL) == 0);
	mpx_queue_free(arg);
	return 0;
}

static void test_locks_of_the_program(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	pid_t pid = fork_child(call_with_lock, q);
	int status = 0, ended = 0;
	double end = now() + SOON;
	while (!ended && now() < end) {
		ended = waitpid(pid, &status, WNOHANG) == pid;
		nap();
	}
	if (!ended) {
		kill(pid, SIGKILL);
		wait_child(pid);
		mpx_queue_free(q);
	}
	assert_true(ended);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_locks_of_the_program),
	};
	pthread_atfork(lock_programs, unlock_programs, unlock_programs);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
