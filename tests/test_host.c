/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_host.c - everything the library does, in a program that is odd:
 *
 *   descriptors 0, 1, 2 closed; all signals blocked, or ignored; SIGPIPE; a storm of
 *   signals; a multithreaded host.
 */
#define _POSIX_C_SOURCE 200809L

#include "everything.h"

#include <pthread.h>
#include <signal.h>

static int without_standard_descriptors(void *arg)
{
	int which = *(int *)arg;
	for (int fd = 0; fd < 3; fd++)
		if (which & 1 << fd)
			close(fd);
	child_works();
	for (int fd = 0; fd < 3; fd++)
		if (which & 1 << fd)
			child_check(fcntl(fd, F_GETFD) == -1);
	return 0;
}

static void test_standard_descriptors_closed(void **state)
{
	(void)state;
	for (int which = 1; which < 8; which++)
		if (run_child(without_standard_descriptors, &which) != 0)
			fail_msg("closed: %d", which);
}

static int with_signals_blocked(void *arg)
{
	sigset_t all, after;
	(void)arg;
	sigfillset(&all);
	child_check(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	child_works();
	child_check(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
	for (int sig = 1; sig < 32; sig++)
		child_check(sig == SIGKILL || sig == SIGSTOP || sigismember(&after, sig) == 1);
	return 0;
}

static int with_default_signals(void *arg)
{
	(void)arg;
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGALRM) /* the watchdog */
			signal(sig, SIG_DFL);
	child_works();
	return 0;
}

static int with_signals_ignored(void *arg)
{
	(void)arg;
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGALRM)
			signal(sig, SIG_IGN);
	for (int sig = 1; sig < 32; sig++) {
		struct sigaction sa;
		child_check(sig == SIGKILL || sig == SIGSTOP || sig == SIGALRM ||
			    (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN));
	}
	child_works();
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(run_child(with_signals_blocked, NULL), 0);
	assert_int_equal(run_child(with_default_signals, NULL), 0);
	assert_int_equal(run_child(with_signals_ignored, NULL), 0);
}

static atomic_int storms;

static void count_storm(int sig)
{
	(void)sig;
	atomic_fetch_add(&storms, 1);
}

/* A storm by ITIMER_REAL would take the watchdog's timer: another process sends it. */
static int storm(void *arg)
{
	pid_t victim = getppid();
	(void)arg;
	alarm(0);
	while (getppid() == victim && kill(victim, SIGUSR1) == 0)
		nap();
	return 0;
}

static int in_a_storm(void *arg)
{
	struct sigaction sa = {.sa_handler = count_storm}; /* no SA_RESTART */
	static unsigned in[2000], out[2000];
	char x;
	(void)arg;
	sigemptyset(&sa.sa_mask);
	child_check(sigaction(SIGUSR1, &sa, NULL) == 0);
	mpx_free(mpx_malloc(1));
	pid_t stormer = fork();
	if (stormer == 0)
		_exit(storm(NULL));
	struct belongings before = belongings_now();
	mpx_lock *l = mpx_lock_new();
	mpx_queue *q = mpx_queue_new(.maxsize = 2), *echo = mpx_queue_new();
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(l && q && echo && pool);
	for (int i = 0; i < 20; i++) {
		child_check(mpx_pool_map(pool, square, in, out, 2000) == 0);
		try_process();
		try_running_process();
		try_queue();
	}
	for (int i = 0; i < 3; i++)
		try_pool(2);
	try_deaths();
	/* A signal neither stretches a wait nor ends it early. */
	child_check(mpx_lock_acquire(l, 0) == 0);
	for (int i = 0; i < 4; i++) {
		double begin = now();
		errno = 0;
		if (i == 0)
			child_check(mpx_lock_acquire(l, 0.2) == -1);
		else if (i == 1)
			child_check(mpx_queue_get(echo, &x, 1, 0.2) == -1);
		else if (i == 2)
			child_check(mpx_queue_put(q, &x, 1, 0) == 0 &&
				    mpx_queue_put(q, &x, 1, 0) == 0 &&
				    mpx_queue_put(q, &x, 1, 0.2) == -1);
		else
			child_check(mpx_queue_next_size(echo, 0.2) == -1);
		child_check(errno == ETIMEDOUT);
		child_check(now() - begin >= 0.2 && now() - begin < 15);
	}
	child_check(mpx_pool_close(pool) == 0 && mpx_pool_join(pool, SOON) == 0);
	mpx_pool_free(pool);
	mpx_queue_free(q);
	mpx_queue_free(echo);
	mpx_lock_free(l);
	kill(stormer, SIGKILL);
	while (waitpid(stormer, NULL, 0) < 0 && errno == EINTR)
		continue;
	child_check(atomic_load(&storms) > 100);
	child_left_nothing(before);
	return 0;
}

static void test_storm_of_signals(void **state)
{
	(void)state;
	assert_int_equal(run_child(in_a_storm, NULL), 0);
}

static atomic_bool enough;

static void *busy_thread(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		char *p = malloc(3000);
		printf("%p\n", (void *)p);
		free(p);
	}
	return NULL;
}

static int allocate_and_print(void *args)
{
	char *p = malloc(5000);
	(void)args;
	if (!p)
		return 1;
	printf("%p\n", (void *)p);
	free(p);
	return 0;
}

static int print_task(const void *in, void *out)
{
	(void)in;
	(void)out;
	return allocate_and_print(NULL);
}

static int multithreaded(void *arg)
{
	enum { THREADS = 4, AT_ONCE = 10 };
	pthread_t t[THREADS];
	(void)arg;
	child_check(freopen("/dev/null", "w", stdout) != NULL);
	mpx_free(mpx_malloc(1));
	struct belongings before = belongings_now();
	for (int i = 0; i < THREADS; i++)
		child_check(pthread_create(&t[i], NULL, busy_thread, NULL) == 0);
	for (int i = 0; i < 200 / AT_ONCE; i++) {
		mpx_process *p[AT_ONCE];
		for (int k = 0; k < AT_ONCE; k++) {
			p[k] = mpx_process_new(.target = allocate_and_print);
			child_check(p[k] && mpx_process_start(p[k]) == 0);
		}
		for (int k = 0; k < AT_ONCE; k++) {
			int code = -1;
			child_check(mpx_process_join(p[k], SOON) == 0);
			child_check(mpx_process_exitcode(p[k], &code) == 0 && code == 0);
			child_check(mpx_process_free(p[k]) == 0);
		}
	}
	for (int i = 0; i < 20; i++) {
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		child_check(pool != NULL);
		mpx_result *r = mpx_pool_map_async(pool, print_task, NULL, 0, 20, 0, NULL);
		child_check(r && mpx_result_get(r, NULL, SOON) == 0);
		mpx_result_free(r);
		child_check(mpx_pool_close(pool) == 0 && mpx_pool_join(pool, SOON) == 0);
		mpx_pool_free(pool);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	child_left_nothing(before);
	return 0;
}

static void test_multithreaded_host(void **state)
{
	(void)state;
	if (THREAD_SANITIZED)
		skip();
	assert_int_equal(run_child(multithreaded, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_standard_descriptors_closed),
		mpx_test(test_signals),
		mpx_test(test_storm_of_signals),
		mpx_test(test_multithreaded_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
