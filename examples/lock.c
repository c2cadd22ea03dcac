/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * lock.c - two processes and one number, without and with a lock. In Python:
 *
 *     def job(v, num, l):
 *         with l:                      # or without it
 *             for _ in range(5):
 *                 time.sleep(0.02)     # stands for some work
 *                 v.value += num
 *                 print('+', num, '=', v.value)
 *
 *     v, l = Value('i', 0), Lock()
 *     p1 = Process(target=job, args=(v, 1, l))
 *     p2 = Process(target=job, args=(v, 3, l))
 *
 * Run it without arguments: ./lock. It prints something like (the columns here
 * are lines there):
 *
 *     without a lock:                 with a lock:
 *     +1 = 1                          +1 = 1
 *         +3 = 4                      +1 = 2
 *     +1 = 5                          +1 = 3
 *         +3 = 8                      +1 = 4
 *     +1 = 9                          +1 = 5
 *         +3 = 12                         +3 = 8
 *     +1 = 13                             +3 = 11
 *         +3 = 16                         +3 = 14
 *         +3 = 19                         +3 = 17
 *     +1 = 20                             +3 = 20
 *     sum: 20, should be 20           sum: 20, should be 20
 *
 * With the lock, one job is done before the other begins (either may be first)
 * and the sum is 20. Without it the two are mixed, and an addition is lost now
 * and then: both read the same number, and both store their own sum. At the end a
 * process is killed while it holds the lock, and the next one is told so.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
	mpx_value *v;
	int num;
	mpx_lock *l; /* NULL: without */
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int add(mpx_value *v, int num)
{
	const struct timespec work = {.tv_nsec = 20 * 1000 * 1000};
	int x;

	for (int i = 0; i < 5; i++) {
		if (nanosleep(&work, NULL) != 0) /* stands for some work */
			return -1;
		if (mpx_value_get(v, &x) != 0)
			return -1;
		x += num;
		if (mpx_value_set(v, &x) != 0)
			return -1;
		printf("%s+%d = %d\n", num == 1 ? "" : "    ", num, x);
	}
	return 0;
}

static int job(void *args)
{
	struct job *j = args;

	if (j->l != NULL && mpx_lock_acquire(j->l, MPX_FOREVER) != 0)
		return 1;
	if (add(j->v, j->num) != 0)
		return 1;
	if (j->l != NULL && mpx_lock_release(j->l) != 0)
		return 1;
	return 0;
}

/* Both jobs at the same time; returns the sum. */
static int run(mpx_lock *l)
{
	mpx_value *v = mpx_value_new('i', 0);
	struct job jobs[2] = {{v, 1, l}, {v, 3, l}};
	mpx_process *p[2];
	int sum, exitcode;

	if (v == NULL)
		die("mpx_value_new");
	for (int i = 0; i < 2; i++) {
		p[i] = mpx_process_new(.target = job, .args = &jobs[i]);
		if (p[i] == NULL || mpx_process_start(p[i]) != 0)
			die("start");
	}
	for (int i = 0; i < 2; i++) {
		if (mpx_process_join(p[i], MPX_FOREVER) != 0 ||
		    mpx_process_exitcode(p[i], &exitcode) != 0 || mpx_process_free(p[i]) != 0)
			die("join");
		if (exitcode != 0) {
			fprintf(stderr, "job %d failed: %d\n", i + 1, exitcode);
			exit(1);
		}
	}
	if (mpx_value_get(v, &sum) != 0)
		die("mpx_value_get");
	mpx_value_free(v);
	return sum;
}

/* Takes the lock, and is killed before it can give it back. */
static int die_inside(void *lock)
{
	if (mpx_lock_acquire(lock, MPX_FOREVER) != 0)
		return 1;
	raise(SIGKILL);
	return 1;
}

/* In Python, whoever wants the lock now waits for ever. */
static void take_over(mpx_lock *l)
{
	mpx_process *p = mpx_process_new(.target = die_inside, .args = l);

	if (p == NULL || mpx_process_start(p) != 0 || mpx_process_join(p, MPX_FOREVER) != 0 ||
	    mpx_process_free(p) != 0)
		die("die_inside");
	if (mpx_lock_acquire(l, MPX_FOREVER) == 0 || errno != EOWNERDEAD)
		die("mpx_lock_acquire");
	printf("acquire: %s. We hold the lock, and can put things right.\n", strerror(errno));
	if (mpx_lock_consistent(l) != 0 || mpx_lock_release(l) != 0)
		die("mpx_lock_release");
}

int main(void)
{
	/* Line by line, also into a file: otherwise each child's lines come at its end. */
	if (setvbuf(stdout, NULL, _IOLBF, 0) != 0)
		die("setvbuf");

	mpx_lock *l = mpx_lock_new();
	if (l == NULL)
		die("mpx_lock_new");

	printf("without a lock:\n");
	printf("sum: %d, should be 20\n\n", run(NULL)); /* less, if an addition was lost */
	printf("with a lock:\n");
	int sum = run(l);
	printf("sum: %d, should be 20\n", sum);

	printf("\nits holder is killed:\n");
	take_over(l);

	mpx_lock_free(l);
	return sum == 5 * 1 + 5 * 3 ? 0 : 1;
}
