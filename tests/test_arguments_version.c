/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_version.c - bad arguments for mpx/version.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void without_objects(void)
{
	ROW(mpx_version, () != MPX_VERSION_NUM, 0, 0);
	ROW(mpx_version_string, ()[0] == '\0', 0, 0);
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "version",
		.without_objects = without_objects,
	};
	return arguments_main(&part, argc, argv);
}
