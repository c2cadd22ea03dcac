/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A joinable queue: one thread of a process is about to take a message while another calls
 * task_done for what a third process has taken; then it is killed, and nothing was taken.
 * Everything that has been done counts all the same.
 *
 * Seen to fail with, in src/ipc/queue_join.c: mpx__queue_untake() that restores taken alone.
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include "ipc/queue.h"

#include <signal.h>

static int take_and_finish(void *arg)
{
	mpx_queue *q = arg;
	struct mpx__ring *ring = atomic_load(&q->c.ring);
	child_check(mpx__queue_guard_consumers(q, 0) == 0);
	q->c.head_before = mpx__ring_head(ring);
	mpx__queue_count_taken(q, 1);
	child_check(mpx_queue_task_done(q) == 0);
	raise(SIGKILL);
	return 0;
}

static void test_done_for_another(void **state)
{
	(void)state;
	mpx_queue *q = mpx_joinable_queue_new();
	char byte;
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "a", 1, SOON));
	assert_int_equal(mpx_queue_get(q, &byte, 1, SOON), 1);
	assert_ok(mpx_queue_put(q, "b", 1, SOON));
	assert_int_equal(run_child(take_and_finish, q), -SIGKILL); /* "a", since "b" is there: */
	assert_int_equal(mpx_queue_get(q, &byte, 1, SOON), 1);
	assert_int_equal(byte, 'b');
	assert_times_out(mpx_queue_join(q, 0.1), 0.1);
	assert_ok(mpx_queue_task_done(q));
	assert_ok(mpx_queue_join(q, SOON));
	assert_fails(mpx_queue_task_done(q), EOVERFLOW);
	mpx_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_done_for_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
