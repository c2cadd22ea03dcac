/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_progress.c - bad arguments for mpx/progress.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

/* On a terminal a line is drawn and wiped away again. */
static void without_objects(void)
{
	const mpx_progress none = {0}, last = {.finished = true};
	const mpx_progress beyond = {.done = SIZE_MAX, .failed = SIZE_MAX, .total = 1};
	const mpx_progress odd = {.done = 1, .total = 2, .seconds = NOT_A_NUMBER, .rate = INFINITY};

	ROW_VOID(mpx_progress_bar, (NULL, NULL), 0);
	ROW_VOID(mpx_progress_bar, (NULL, &none), 0);
	ROW_VOID(mpx_progress_bar, (NULL, &beyond), 0);
	ROW_VOID(mpx_progress_bar, (NULL, &odd), 0);
	ROW_VOID(mpx_progress_bar, (NULL, &last), 0);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "progress",
		.without_objects = without_objects,
	};
	return arguments_main(&part, argc, argv);
}
