/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The first call of all, by several threads at once: one of them makes the shared memory, and
 * the others see it whole. (On x86 only ThreadSanitizer can tell.)
 *
 * Seen to fail, with ThreadSanitizer, with mpx__family_base no atomic (src/shm/family.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>

enum { THREADS = 4, TIMES = 25 };

static pthread_barrier_t all_here;

static void *call(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&all_here);
	mpx_lock *l = mpx_lock_new();
	child_check(l && mpx_lock_acquire(l, SOON) == 0 && mpx_lock_release(l) == 0);
	mpx_lock_free(l);
	return NULL;
}

static int call_first(void *unused)
{
	pthread_t t[THREADS];
	(void)unused;
	child_check(pthread_barrier_init(&all_here, NULL, THREADS) == 0);
	for (int i = 0; i < THREADS; i++)
		child_check(pthread_create(&t[i], NULL, call, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		child_check(pthread_join(t[i], NULL) == 0);
	return 0;
}

/* This process itself calls nothing: each child is the first of a family of its own. */
static void test_first_call(void **state)
{
	(void)state;
	for (int i = 0; i < TIMES; i++)
		assert_int_equal(run_child(call_first, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
