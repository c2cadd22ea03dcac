/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * value_array.c - numbers in shared memory. In Python:
 *
 *     def f(n, a):
 *         n.value = 3.1415927
 *         for i in range(len(a)):
 *             a[i] = -a[i]
 *
 *     n = Value('d', 0.0)
 *     a = Array('i', range(10))
 *     p = Process(target=f, args=(n, a))
 *     p.start()
 *     p.join()
 *     print(n.value)
 *     print(a[:])
 *
 *     def count(c):
 *         for _ in range(10000):
 *             with c.get_lock():       # here: one atomic addition, no lock
 *                 c.value += 1
 *
 * Run it without arguments: ./value_array. It prints:
 *
 *     3.1415927
 *     [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]
 *     4 processes counted to 40000
 */
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROCESSES = 4, TIMES = 10000 };

struct args {
	mpx_value *n;
	mpx_array *a;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int f(void *p)
{
	struct args *args = p;
	double *n = mpx_value_ptr(args->n, double);
	int *a = mpx_array_ptr(args->a, int);

	if (n == NULL || a == NULL)
		return 1;
	*n = 3.1415927;
	for (size_t i = 0; i < mpx_array_len(args->a); i++)
		a[i] = -a[i];
	return 0;
}

static int count(void *counter)
{
	for (int i = 0; i < TIMES; i++)
		mpx_value_add(counter, 1);
	return 0;
}

static mpx_process *start(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);

	if (p == NULL || mpx_process_start(p) != 0)
		die("start");
	return p;
}

static void join(mpx_process *p)
{
	int exitcode;

	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_exitcode(p, &exitcode) != 0 ||
	    mpx_process_free(p) != 0)
		die("join");
	if (exitcode != 0) {
		fprintf(stderr, "a child failed: %d\n", exitcode);
		exit(1);
	}
}

int main(void)
{
	const int range[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	mpx_process *counters[PROCESSES];
	int wrong = 0, total, x;
	double n;

	/* A child changes a value and an array, and we see it. */
	struct args args = {.n = mpx_value_new('d', 0.0), .a = mpx_array_new('i', 10, range)};
	if (args.n == NULL || args.a == NULL)
		die("mpx_value_new, mpx_array_new");
	join(start(f, &args));

	if (mpx_value_get(args.n, &n) != 0)
		die("mpx_value_get");
	printf("the child made 0.0 into %.7f\nand the array into ", n);
	for (size_t i = 0; i < 10; i++) {
		if (mpx_array_get(args.a, i, &x) != 0)
			die("mpx_array_get");
		printf("%s%d", i == 0 ? "[" : ", ", x);
		wrong |= x != -range[i];
	}
	printf("]\n");

	/* Several processes add to one value, and no count is lost. */
	mpx_value *counter = mpx_value_new('i', 0);
	if (counter == NULL)
		die("mpx_value_new");
	for (int i = 0; i < PROCESSES; i++)
		counters[i] = start(count, counter);
	for (int i = 0; i < PROCESSES; i++)
		join(counters[i]);
	if (mpx_value_get(counter, &total) != 0)
		die("mpx_value_get");
	printf("%d processes counted to %d\n", PROCESSES, total);

	mpx_value_free(counter);
	mpx_array_free(args.a);
	mpx_value_free(args.n);
	return wrong || n < 3.14 || n > 3.15 || total != PROCESSES * TIMES;
}
