/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments.c - bad input is an errno, never a crash: each header of <mpx.h> has
 * a part of that table (arguments.h), which is a test of its own, and <mpx.h> has all
 * headers.
 */
#define _POSIX_C_SOURCE 200809L

#include "harness.h"

#include <dirent.h>

/* A file beside this one; NULL if it cannot be read. */
static FILE *open_beside(const char *folder, const char *name)
{
	const char *end = strrchr(__FILE__, '/');
	char path[1024];
	snprintf(path, sizeof path, "%.*s/%s%s", end ? (int)(end - __FILE__) : 1,
		 end ? __FILE__ : ".", folder, name);
	return fopen(path, "re");
}

/* What <mpx.h> includes: "queue" for <mpx/queue.h>. 0 if it cannot be read. */
static size_t headers(char name[][32], size_t max)
{
	FILE *f = open_beside("../include/", "mpx.h");
	char line[256];
	size_t n = 0;
	while (f && n < max && fgets(line, sizeof line, f))
		n += sscanf(line, "#include <mpx/%31[a-z0-9_].h>", name[n]) == 1;
	if (f)
		fclose(f);
	return n;
}

static void test_each_header_has_a_part(void **state)
{
	(void)state;
	char name[64][32], file[64], line[256], wanted[64];
	size_t n = headers(name, 64);
	if (n == 0)
		skip();
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		snprintf(file, sizeof file, "test_arguments_%s.c", name[i]);
		snprintf(wanted, sizeof wanted, ".header = \"%s\"", name[i]);
		FILE *f = open_beside("", file);
		if (!f)
			fail_msg("mpx/%s.h has no part: %s", name[i], file);
		while (fgets(line, sizeof line, f))
			found = found || strstr(line, wanted);
		fclose(f);
		if (!found)
			fail_msg("%s is not for mpx/%s.h", file, name[i]);
	}
	assert_true(n >= 10);
}

static void test_each_header_is_included(void **state)
{
	(void)state;
	char name[64][32], path[1024];
	size_t n = headers(name, 64);
	const char *end = strrchr(__FILE__, '/');
	snprintf(path, sizeof path, "%.*s/../include/mpx", end ? (int)(end - __FILE__) : 1,
		 end ? __FILE__ : ".");
	DIR *dir = opendir(path);
	if (!dir)
		skip();
	for (struct dirent *e; (e = readdir(dir));) {
		size_t length = strlen(e->d_name);
		bool found = length < 3 || strcmp(e->d_name + length - 2, ".h") != 0;
		for (size_t i = 0; i < n && !found; i++)
			found = strlen(name[i]) == length - 2 &&
				strncmp(name[i], e->d_name, length - 2) == 0;
		if (!found)
			fail_msg("mpx.h does not include mpx/%s", e->d_name);
	}
	closedir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_each_header_has_a_part),
		mpx_test(test_each_header_is_included),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
