/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_cpu_count.c - cpu_count: the processors this process may use, or MPX_CPU_COUNT.
 * And the version.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity */
#endif

#include "children.h"

#include <sched.h>
#include <stdlib.h>

static char *program;

/* In programs of their own, for the environment may be read once. */
struct cpus {
	const char *text; /* of MPX_CPU_COUNT; NULL for none */
	bool one_cpu;	  /* bound to one processor */
};

static int exec_cpu_count(void *args)
{
	const struct cpus *c = args;
	char verb[] = "cpu_count";
	char *argv[] = {program, verb, NULL};
	if (c->text)
		setenv("MPX_CPU_COUNT", c->text, 1);
	else
		unsetenv("MPX_CPU_COUNT");
#ifdef __linux__
	if (c->one_cpu) {
		cpu_set_t set, one;
		child_check(sched_getaffinity(0, sizeof set, &set) == 0);
		CPU_ZERO(&one);
		for (size_t i = 0; i < CPU_SETSIZE; i++) {
			if (CPU_ISSET(i, &set)) {
				CPU_SET(i, &one);
				break;
			}
		}
		child_check(sched_setaffinity(0, sizeof one, &one) == 0);
	}
#endif
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 98;
}

static int cpus(const char *text, bool one_cpu)
{
	struct cpus c = {text, one_cpu};
	int n = run_child(exec_cpu_count, &c);
	assert_int_not_equal(n, 98);
	return n;
}

static void test_cpu_count(void **state)
{
	(void)state;
	assert_true(mpx_cpu_count() >= 1);
	int n = cpus(NULL, false);
	assert_true(n >= 1);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	assert_true(online < 1 || online > 90 || n <= online);
	assert_int_equal(cpus("1", false), 1);
	assert_int_equal(cpus("3", false), 3);
	assert_int_equal(cpus("77", false), 77); /* more than there are: as you say */
	static const char *const ignored[] = {"", "banana", "0", "-1", "-3", " ", "x3"};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		if (cpus(ignored[i], false) != n)
			fail_msg("MPX_CPU_COUNT=\"%s\"", ignored[i]);
	static const char *const odd[] = {"3x", "99999999999999999999", "1e3", "4294967297"};
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (cpus(odd[i], false) == 0)
			fail_msg("MPX_CPU_COUNT=\"%s\"", odd[i]);
#ifdef __linux__
	mpx_process *p = started(nothing, NULL);
	if (exact(p)) /* built for Linux; plain POSIX knows no affinity */
		assert_int_equal(cpus(NULL, true), 1);
	assert_int_equal(ended(p), 0);
	assert_int_equal(cpus("5", true), 5);
#endif
}

/* What the sub-program tells by its exit code: 0 if it is no count at all. */
static int tell_cpu_count(void)
{
	int n = mpx_cpu_count();
	return n < 1 ? 0 : n > 90 ? 90 : n;
}

static void test_version(void **state)
{
	(void)state;
	char text[64];
	snprintf(text, sizeof text, "%d.%d.%d", MPX_VERSION_MAJOR, MPX_VERSION_MINOR,
		 MPX_VERSION_PATCH);
	assert_string_equal(mpx_version_string(), text);
	assert_int_equal(mpx_version(), MPX_VERSION_NUM);
	assert_true(MPX_VERSION_AT_LEAST(0, 1, 0));
	assert_false(MPX_VERSION_AT_LEAST(1000, 0, 0));
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 2 && strcmp(argv[1], "cpu_count") == 0)
		return tell_cpu_count();
	const struct CMUnitTest tests[] = {
		mpx_test(test_cpu_count),
		mpx_test(test_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
