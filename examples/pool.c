/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * pool.c - a function on many inputs, by four worker processes. In Python:
 *
 *     def f(x):
 *         return x * x
 *
 *     with Pool(processes=4) as pool:
 *         print(pool.map(f, range(10)))
 *         print(pool.apply(f, (12,)))
 *         print(pool.apply_async(f, (20,)).get(timeout=10))
 *         several = [pool.apply_async(os.getpid) for _ in range(4)]
 *         print([r.get(timeout=10) for r in several])
 *         pool.apply_async(time.sleep, (10,)).get(timeout=0.2)   # TimeoutError
 *         pool.map(root, [4, 9, -16, 25])                        # ValueError
 *         pool.map(die_of_3, range(6))                           # hangs for ever
 *         print(pool.map(f, range(10)))
 *
 * Run it without arguments: ./pool. It prints (with other pids):
 *
 *     [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
 *     apply: 144
 *     apply_async: 400
 *     workers: 4712 4713 4714 4712
 *     slow task: not ready within 0.2 s
 *     failing task: item 2: no real root of -16 (Numerical argument out of domain)
 *     the others: 2 3 5
 *     dying task: item 3: its worker was ended by signal 9
 *     the others: 0 1 4 16 25
 *     [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void check(bool right, const char *what)
{
	if (!right) {
		fprintf(stderr, "wrong: %s\n", what);
		exit(1);
	}
}

/* The tasks: each reads one input, writes one output and returns 0 or an errno value. */

static int f(const void *in, void *out)
{
	int x = *(const int *)in;

	*(int *)out = x * x;
	return 0;
}

static int worker_pid(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

/* The sleep stands for work that takes long. */
static int sleep_seconds(const void *in, void *out)
{
	(void)out;
	return nanosleep(&(struct timespec){.tv_sec = *(const int *)in}, NULL) == 0 ? 0 : errno;
}

static int root(const void *in, void *out)
{
	int x = *(const int *)in, y = 0;

	if (x < 0)
		return mpx_fail(EDOM, "no real root of %d", x);
	while ((y + 1) * (y + 1) <= x)
		y++;
	*(int *)out = y;
	return 0;
}

static int die_of_3(const void *in, void *out)
{
	if (*(const int *)in == 3)
		raise(SIGKILL);
	return f(in, out);
}

/* What we do with them. */

static void map(mpx_pool *pool)
{
	int xs[10], squares[10];

	for (int i = 0; i < 10; i++)
		xs[i] = i;
	if (mpx_pool_map(pool, f, xs, squares, 10) != 0)
		die("mpx_pool_map");
	for (int i = 0; i < 10; i++) {
		printf("%s%d", i == 0 ? "[" : ", ", squares[i]);
		check(squares[i] == i * i, "map");
	}
	printf("]\n");
}

static void apply(mpx_pool *pool)
{
	int x = 12, y;

	if (mpx_pool_apply(pool, f, &x, &y) != 0)
		die("mpx_pool_apply");
	printf("apply: %d\n", y);
	check(y == 144, "apply");
}

static void apply_async(mpx_pool *pool)
{
	int x = 20, y;

	mpx_result *r = mpx_pool_apply_async(pool, f, &x, sizeof x, sizeof y, NULL);
	if (r == NULL)
		die("mpx_pool_apply_async");
	if (mpx_result_get(r, &y, 10) != 0)
		die("mpx_result_get");
	mpx_result_free(r);
	printf("apply_async: %d\n", y);
	check(y == 400, "apply_async");
}

/* Four results at once; which worker does which task is up to the pool. */
static void several(mpx_pool *pool)
{
	mpx_result *r[4];
	pid_t pid;

	for (int i = 0; i < 4; i++) {
		r[i] = mpx_pool_apply_async(pool, worker_pid, NULL, 0, sizeof pid, NULL);
		if (r[i] == NULL)
			die("mpx_pool_apply_async");
	}
	printf("workers:");
	for (int i = 0; i < 4; i++) {
		if (mpx_result_get(r[i], &pid, 10) != 0)
			die("mpx_result_get");
		mpx_result_free(r[i]);
		printf(" %ld", (long)pid);
		check(pid != getpid(), "a task ran in the parent");
	}
	printf("\n");
}

static void slow(mpx_pool *pool)
{
	int seconds = 10;

	mpx_result *r =
		mpx_pool_apply_async(pool, sleep_seconds, &seconds, sizeof seconds, 0, NULL);
	if (r == NULL)
		die("mpx_pool_apply_async");
	check(mpx_result_get(r, NULL, 0.2) != 0, "10 seconds have passed already");
	if (errno != ETIMEDOUT)
		die("mpx_result_get");
	mpx_result_free(r); /* it goes on, in one of the workers; nobody will ask for it */
	printf("slow task: not ready within 0.2 s\n");
}

static void failing(mpx_pool *pool)
{
	const int xs[4] = {4, 9, -16, 25};
	int roots[4];
	mpx_failure why;

	check(mpx_pool_map(pool, root, xs, roots, 4) != 0, "-16 has a root");
	if (errno != EDOM || mpx_pool_last_failure(pool, &why) != 0)
		die("mpx_pool_map");
	printf("failing task: item %zu: %s (%s)\n", why.index, why.message, strerror(why.error));
	printf("the others: %d %d %d\n", roots[0], roots[1], roots[3]);
	check(why.index == 2, "the failed item");
	check(roots[0] == 2 && roots[1] == 3 && roots[3] == 5, "roots");
}

static void dying(mpx_pool *pool)
{
	const int xs[6] = {0, 1, 2, 3, 4, 5};
	int squares[6];
	mpx_failure why;

	check(mpx_pool_map(pool, die_of_3, xs, squares, 6) != 0, "nobody died");
	if (errno != EOWNERDEAD || mpx_pool_last_failure(pool, &why) != 0)
		die("mpx_pool_map");
	printf("dying task: item %zu: its worker was ended by signal %d\n", why.index, why.signal);
	printf("the others:");
	for (int i = 0; i < 6; i++) {
		if (i == 3)
			continue;
		printf(" %d", squares[i]);
		check(squares[i] == i * i, "squares of the others");
	}
	printf("\n");
	check(why.index == 3 && why.signal == SIGKILL, "the item that died");
}

int main(void)
{
	mpx_pool *pool = mpx_pool_new(.processes = 4);

	if (pool == NULL)
		die("mpx_pool_new");
	map(pool);
	apply(pool);
	apply_async(pool);
	several(pool);
	slow(pool);
	failing(pool);
	dying(pool);
	map(pool);
	mpx_pool_free(pool);
	return 0;
}
