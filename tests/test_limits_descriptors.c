/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_limits_descriptors.c - no descriptor to be had: an errno, and what needs none
 * goes on. Everything in a family whose limit is reached; terminate, poll and dead
 * holders of locks then; processes started with few descriptors left.
 */
#define _POSIX_C_SOURCE 200809L

#include "everything.h"

#include <signal.h>
#include <sys/stat.h>

static int nothing(void *args)
{
	(void)args;
	return 0;
}

/* From now on: none. The limit before. */
static rlim_t no_more_descriptors(void)
{
	int next = dup(2);
	child_check(next >= 0);
	close(next);
	return set_limit(RLIMIT_NOFILE, (rlim_t)next);
}

static int without_descriptors(void *arg)
{
	mpx_lock *l = mpx_lock_new();
	mpx_queue *q = mpx_queue_new();
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	unsigned x = 5, y = 0;
	(void)arg;
	child_check(l && q && pool);
	struct belongings before = belongings_now();
	rlim_t old = no_more_descriptors();
	tolerated = errors_of_limits;
	try_memory();
	try_locks();
	try_values();
	try_queue();
	try_process();
	try_pool(1);
	child_fails(mpx_queue_fileno(q), EMFILE);
	/* Neither takes one. */
	child_check(mpx_pool_apply(pool, square, &x, &y) == 0 && y == 25);
	child_check(mpx_queue_put(q, &x, sizeof x, 0) == 0);
	child_check(mpx_queue_get(q, &y, sizeof y, 0) == sizeof y && y == 5);
	mpx_process *p = mpx_process_new(.target = nothing);
	child_check(p != NULL);
	bool started = went_well(mpx_process_start(p));
	set_limit(RLIMIT_NOFILE, old);
	child_check(started || mpx_process_start(p) == 0); /* may be tried again */
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_free(p) == 0);
	child_check(open_fds() == before.fds && heap_blocks() == before.blocks);
	mpx_pool_free(pool);
	mpx_queue_free(q);
	mpx_lock_free(l);
	child_works();
	return 0;
}

static int terminate_without_descriptors(void *arg)
{
	struct gate *g = gate_new();
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	(void)arg;
	child_check(pool != NULL);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	child_check(r != NULL);
	child_soon(atomic_load(&g->entered) == 1);
	rlim_t old = no_more_descriptors();
	child_check(mpx_pool_terminate(pool) == 0);
	child_fails(mpx_result_get(r, NULL, SOON), ECANCELED);
	/* The one worker is busy: SIGTERM shortly, it is said. */
	child_check(mpx_pool_join(pool, 10) == 0);
	set_limit(RLIMIT_NOFILE, old);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
	return 0;
}

static int put_without_descriptors(void *args)
{
	struct {
		mpx_queue *q, *go;
	} *two = args;
	char x;
	child_check(mpx_queue_get(two->go, &x, 1, SOON) == 1);
	no_more_descriptors();
	return mpx_queue_put(two->q, "x", 1, SOON) == 0 ? 0 : errno;
}

/* Whoever polls the queue is woken, or put has failed for want of a descriptor. */
static int poll_what_a_poor_one_puts(void *arg)
{
	struct {
		mpx_queue *q, *go;
	} two = {mpx_queue_new(), mpx_queue_new()};
	(void)arg;
	child_check(two.q && two.go);
	mpx_process *p = mpx_process_new(.target = put_without_descriptors, .args = &two);
	child_check(p && mpx_process_start(p) == 0);
	struct pollfd pfd = {.fd = mpx_queue_fileno(two.q), .events = POLLIN};
	child_check(pfd.fd >= 0 && poll(&pfd, 1, 0) == 0);
	child_check(mpx_queue_put(two.go, "x", 1, SOON) == 0);
	int code = -1;
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && (code == 0 || code == EMFILE));
	child_check(mpx_queue_qsize(two.q) == (code == 0));
	child_check(poll(&pfd, 1, 1000) == (code == 0));
	child_check(mpx_process_free(p) == 0);
	mpx_queue_free(two.q);
	mpx_queue_free(two.go);
	return 0;
}

/* The dead one is not reaped yet; it is this process's own child. */
static int dead_holder_without_descriptors(void *arg)
{
	mpx_lock *l = mpx_lock_new();
	siginfo_t info;
	(void)arg;
	child_check(l != NULL);
	mpx_process *p = mpx_process_new(.target = die_with_lock, .args = l);
	child_check(p && mpx_process_start(p) == 0);
	child_check(waitid(P_PID, (id_t)mpx_process_pid(p), &info, WEXITED | WNOWAIT) == 0);
	rlim_t old = no_more_descriptors();
	child_fails(mpx_lock_acquire(l, 5), EOWNERDEAD);
	set_limit(RLIMIT_NOFILE, old);
	child_check(mpx_lock_release(l) == 0);
	child_check(mpx_process_join(p, SOON) == 0 && mpx_process_free(p) == 0);
	mpx_lock_free(l);
	return 0;
}

static int compare_stdin(void *args)
{
	struct stat in, null;
	(void)args;
	return !(fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev);
}

/* One or two descriptors are left: whatever start says must be true. */
static int start_with_few_descriptors(void *arg)
{
	(void)arg;
	int fds[2];
	child_check(pipe(fds) == 0 && dup2(fds[0], 0) == 0); /* what no child may read */
	close(fds[0]);
	struct belongings before = belongings_now();
	int next = dup(2);
	close(next);
	for (int n = 0; n < 6; n++) {
		int code = -1;
		mpx_process *p = mpx_process_new(.target = compare_stdin);
		rlim_t old = set_limit(RLIMIT_NOFILE, (rlim_t)(next + n));
		if (mpx_process_start(p) == 0) {
			errno = 0;
			child_check(mpx_process_sentinel(p) >= 0 || errno == EMFILE);
			child_check(mpx_process_join(p, SOON) == 0);
			child_check(mpx_process_exitcode(p, &code) == 0);
			child_check(code == 0); /* stdin is /dev/null */
		} else {
			child_check(errno == EMFILE);
		}
		set_limit(RLIMIT_NOFILE, old);
		child_check(mpx_process_free(p) == 0);
		child_left_nothing(before);
	}
	return 0;
}

static void test_no_descriptors(void **state)
{
	(void)state;
	assert_int_equal(run_child(without_descriptors, NULL), 0);
}

static void test_no_descriptors_terminate(void **state)
{
	(void)state;
	assert_int_equal(run_child(terminate_without_descriptors, NULL), 0);
}

static void test_no_descriptors_poll(void **state)
{
	(void)state;
	assert_int_equal(run_child(poll_what_a_poor_one_puts, NULL), 0);
}

static void test_no_descriptors_dead_holder(void **state)
{
	(void)state;
	assert_int_equal(run_child(dead_holder_without_descriptors, NULL), 0);
}

static void test_few_descriptors_start(void **state)
{
	(void)state;
	assert_int_equal(run_child(start_with_few_descriptors, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_no_descriptors),	      mpx_test(test_no_descriptors_terminate),
		mpx_test(test_no_descriptors_poll),   mpx_test(test_no_descriptors_dead_holder),
		mpx_test(test_few_descriptors_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
