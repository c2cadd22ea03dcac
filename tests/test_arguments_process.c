/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_process.c - bad arguments for mpx/process.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void rows_of_process(void *x)
{
	int code = 77;

	FAILS(mpx_process_start, (x));
	FAILS(mpx_process_join, (x, 0));
	FAILS(mpx_process_join, (x, MPX_FOREVER));
	NOTHING(mpx_process_is_alive, (x));
	FAILS(mpx_process_exitcode, (x, &code));
	FAILS(mpx_process_exitcode, (x, NULL));
	FAILS(mpx_process_pid, (x));
	NO_POINTER(mpx_process_name, (x), EINVAL);
	NOTHING(mpx_process_daemon, (x));
	FAILS(mpx_process_sentinel, (x));
	FAILS(mpx_process_terminate, (x));
	FAILS(mpx_process_kill, (x));
	FAILS(mpx_process_interrupt, (x));
	ROW(mpx_process_free, (x), x ? -1 : 0, x ? EINVAL : 0);
	child_check(code == 77);
}

static const struct arguments_kind kinds[] = {
	{"mpx_process", rows_of_process},
	{0},
};

static void without_objects(void)
{
	const mpx_process_options nothing_to_run = {.size = sizeof nothing_to_run};
	const mpx_process_options no_size = {.target = no_target};

	NO_POINTER(mpx_process_create, (NULL), EINVAL);
	NO_POINTER(mpx_process_create, (&nothing_to_run), EINVAL);
	NO_POINTER(mpx_process_create, (&no_size), EINVAL);
	ROW(mpx_active_children, (NULL, 0), 0, 0);
	ROW(mpx_active_children, (NULL, SIZE_MAX), 0, 0);
	NO_POINTER(mpx_parent_process, (), 0);
	/* Ourselves: not to be started, joined, freed. */
	ROW(!mpx_current_process, (), 0, 0);
	FAILS(mpx_process_free, (mpx_current_process()));
	ROW(mpx_process_start, (mpx_current_process()), -1, EPERM);
	ROW(mpx_process_sentinel, (mpx_current_process()), -1, ENOTSUP);
	ROW(mpx_cpu_count, () < 1, 0, 0);
}

static void with_objects(void)
{
	int code = 77;
	mpx_process *p = mpx_process_new(.target = no_target);
	child_check(p != NULL);

	FAILS(mpx_process_exitcode, (p, NULL));
	ROW(mpx_process_exitcode, (p, &code), -1, ECHILD);
	ROW(mpx_process_join, (p, 0), -1, ECHILD);
	ROW(mpx_process_join, (p, MPX_FOREVER), -1, ECHILD);
	FAILS(mpx_process_join, (p, NOT_A_NUMBER));
	ROW(mpx_process_pid, (p), -1, ECHILD);
	ROW(mpx_process_sentinel, (p), -1, ECHILD);
	ROW(mpx_process_terminate, (p), -1, ECHILD);
	ROW(mpx_process_kill, (p), -1, ECHILD);
	ROW(mpx_process_interrupt, (p), -1, ECHILD);
	/* It can still be started, once. */
	ROW(mpx_process_start, (p), 0, 0);
	ROW(mpx_process_start, (p), -1, EBUSY);
	ROW(mpx_process_join, (p, SOON), 0, 0);
	FAILS(mpx_process_exitcode, (p, NULL));
	child_check(code == 77);
	ROW(mpx_process_exitcode, (p, &code), 0, 0);
	ROW(mpx_process_start, (p), -1, EBUSY);
	ROW(mpx_process_free, (p), 0, 0);
}

/* ---- timeouts ------------------------------------------------------------------ */

static mpx_process *process[2];

static int sleep_on(void *args)
{
	(void)args;
	for (double end = now() + 4 * SOON; now() < end;)
		nap();
	return 0;
}

static int process_join(bool ready, double timeout)
{
	return mpx_process_join(process[ready], timeout);
}

static const struct arguments_timed timed[] = {
	{"mpx_process_join", process_join, false},
	{0},
};

static void timed_begin(void)
{
	process[0] = start(sleep_on, NULL);
	process[1] = start(no_target, NULL);
	assert_ok(mpx_process_join(process[1], SOON));
}

static void timed_end(void)
{
	assert_ok(mpx_process_kill(process[0]));
	assert_ok(mpx_process_join(process[0], SOON));
	assert_ok(mpx_process_free(process[0]));
	assert_ok(mpx_process_free(process[1]));
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "process",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
