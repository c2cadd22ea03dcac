/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_log.c - bad arguments for mpx/log.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

#include <limits.h>

static void count(int level, const char *process, const char *message, void *user)
{
	(void)level;
	(void)process;
	(void)message;
	++*(int *)user;
}

/* Without a format there would be nothing to say; the compiler keeps NULL away. */
static void without_objects(void)
{
	int n = 0;

	FAILS(mpx_log_to_stderr, (0));
	FAILS(mpx_log_to_stderr, (-1));
	FAILS(mpx_log_to_stderr, (INT_MIN));
	FAILS(mpx_log_set, (count, &n, 0));
	FAILS(mpx_log_set, (count, &n, INT_MIN));
	ROW(mpx_log_level, (), 0, 0);
	ROW(mpx_log_set, (NULL, NULL, 1), 0, 0);
	ROW(mpx_log_set, (NULL, NULL, 0), 0, 0); /* off has no level */
	ROW(mpx_log_set, (NULL, &n, INT_MIN), 0, 0);
	ROW_VOID(mpx_log_write, (MPX_LOG_ERROR, "nobody listens"), 0);
	ROW(mpx_log_level, (), 0, 0);
}

static void with_objects(void)
{
	int n = 0;

	/* What fails leaves the sink and its level as they were. */
	ROW(mpx_log_set, (count, &n, MPX_LOG_ERROR), 0, 0);
	FAILS(mpx_log_set, (count, NULL, 0));
	FAILS(mpx_log_to_stderr, (0));
	ROW(mpx_log_level, (), MPX_LOG_ERROR, 0);
	ROW_VOID(mpx_log_write, (INT_MIN, "too low"), 0);
	ROW_VOID(mpx_log_write, (INT_MAX, "%s", ""), 0);
	child_check(n == 1);
	ROW(mpx_log_set, (NULL, NULL, 0), 0, 0);
	ROW(mpx_log_level, (), 0, 0);
	ROW_VOID(mpx_log_write, (INT_MAX, "to nobody"), 0);
	child_check(n == 1);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "log",
		.without_objects = without_objects,
		.with_objects = with_objects,
	};
	return arguments_main(&part, argc, argv);
}
