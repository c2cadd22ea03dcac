/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * arguments.c - runs a part of the table of bad arguments (arguments.h):
 *
 *   all rows in one process, which is to keep no blocks and descriptors; each row as
 *   the very first call of a program; each timeout NaN, past, short and huge; and the
 *   comparison of all that with the header.
 *
 * The argument "first-calls" is for the executable started anew: a family of its own.
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"
#include "arguments_objects.h"

#include <float.h>

static const struct arguments *part;
static const char *self;

/* ---- rows -------------------------------------------------------------- */

static int row, only, wrong;
static const char *covered[512];
static size_t ncovered;

bool arguments_row(const char *name)
{
	bool known = false;
	name = strstr(name, "mpx_"); /* behind a cast */
	for (size_t i = 0; i < ncovered && !known; i++)
		known = strcmp(covered[i], name) == 0;
	if (!known && ncovered < sizeof covered / sizeof *covered)
		covered[ncovered++] = name;
	return row++ == only || only < 0;
}

void arguments_check(const char *call, long long result, long long expected, int error, int wanted)
{
	/* What goes well may leave anything in errno. */
	if (result == expected && (error == wanted || !wanted))
		return;
	dprintf(2, "%s: %lld, errno %d (%s); expected %lld, errno %d\n", call, result, error,
		strerror(error), expected, wanted);
	wrong++;
}

/* ---- all rows in one process ----------------------------------------------- */

/* Is this word one of these? */
static bool among(const char *word, const char *words)
{
	size_t n = strlen(word);
	for (const char *p = words; (p = strstr(p, word)); p++)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static void rows_of_kinds(void *x, const char *type)
{
	for (const struct arguments_kind *k = part->kinds; k && k->rows; k++)
		if (!type || !among(type, k->types))
			k->rows(x);
}

static void rows_with_pointers(void)
{
	struct bad_pointers bad;
	void *object[OBJECTS];

	make_objects(object);
	free_objects(object);
	for (int i = 0; i < OBJECTS; i++)
		rows_of_kinds(object[i], NULL);
	make_objects(object);
	for (int i = 0; i < OBJECTS; i++)
		rows_of_kinds(object[i], objects[i].type);
	bad_pointers_make(&bad, object[0]);
	for (size_t i = 0; i < bad.n; i++)
		rows_of_kinds(bad.p[i], NULL);
	bad_pointers_done(&bad);
	free_objects(object);
}

static bool nothing_missed(void);

static int all_rows(void *arg)
{
	size_t fds = open_fds(), blocks = heap_blocks();
	(void)arg;

	only = -1;
	rows_with_pointers();
	if (part->without_objects)
		part->without_objects();
	if (part->with_objects)
		part->with_objects();
	/* The last of a pool goes a moment later. */
	child_soon(heap_blocks() == blocks && open_fds() <= fds + 1); /* one may be ours */
	if (wrong)
		return 96;
	return nothing_missed() ? 0 : 97; /* here, where the rows' names are known */
}

static void test_bad_arguments(void **state)
{
	(void)state;
	assert_int_equal(run_child(all_rows, NULL), 0);
}

/* ---- each row as a program's first call ------------------------------------ */

static int one_row(void *arg)
{
	only = *(int *)arg;
	row = 0;
	rows_of_kinds(NULL, NULL);
	rows_of_kinds(&only, NULL);
	if (part->without_objects)
		part->without_objects();
	return wrong ? 96 : row <= only; /* 1: it was the last */
}

/* A program of its own that forks once for each row, before it uses the library. */
static int program_first_calls(void)
{
	int failures = 0, code = 0;
	for (int i = 0; code != 1 && i < 1000; i++) {
		code = run_child(one_row, &i);
		if (code != 0 && code != 1) {
			dprintf(2, "row %d, as the program's first call: %d\n", i, code);
			failures++;
		}
	}
	return failures || code != 1;
}

static void test_bad_arguments_at_first(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "first-calls", NULL, 0), 0);
}

/* ---- the header ------------------------------------------------------------ */

/* Our header, which lies beside the tests; NULL if it does not. */
static const char *header_text(void)
{
	static char text[200000];
	const char *end = strrchr(__FILE__, '/');
	char path[1024];
	snprintf(path, sizeof path, "%.*s/../include/mpx/%s.h", end ? (int)(end - __FILE__) : 1,
		 end ? __FILE__ : ".", part->header);
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	child_check(n < sizeof text - 1);
	text[n] = '\0';
	return text;
}

/* The declaration at or behind p: its name, and where it ends. */
static const char *next_function(const char *p, char name[64], const char **end)
{
	p = strstr(p, "\nMPX_API ");
	if (!p)
		return NULL;
	const char *open = strchr(p, '('), *begin = open;
	child_check(open != NULL);
	while (begin[-1] == '_' || (begin[-1] >= 'a' && begin[-1] <= 'z') ||
	       (begin[-1] >= '0' && begin[-1] <= '9'))
		begin--;
	snprintf(name, 64, "%.*s", (int)(open - begin), begin);
	*end = strchr(p, ';');
	child_check(*end != NULL);
	return p + 1;
}

static bool is_covered(const char *name)
{
	for (size_t i = 0; i < ncovered; i++)
		if (strcmp(covered[i], name) == 0)
			return true;
	return false;
}

static bool types_missed(const char *p)
{
	char type[64], again[64];
	bool missed = false;
	while ((p = strstr(p, "\ntypedef struct mpx_"))) {
		p++;
		if (sscanf(p, "typedef struct %63[a-z0-9_] %63[a-z0-9_];", type, again) != 2)
			continue;
		bool found = false, made = false;
		for (const struct arguments_kind *k = part->kinds; k && k->rows; k++)
			found = found || among(type, k->types);
		for (int i = 0; i < OBJECTS; i++)
			made = made || strcmp(objects[i].type, type) == 0;
		if (!found)
			dprintf(2, "%s has no line in kinds[]\n", type);
		if (!made)
			dprintf(2, "%s has no line in arguments_objects.h\n", type);
		missed = missed || !found || !made;
	}
	return missed;
}

/* True also where there is no header to be read. */
static bool nothing_missed(void)
{
	const char *text = header_text(), *end;
	char name[64];
	bool missed = text && types_missed(text);
	int functions = 0;
	for (const char *p = text; p && (p = next_function(p, name, &end)); functions++) {
		if (!is_covered(name)) {
			dprintf(2, "%s has no row\n", name);
			missed = true;
		}
	}
	return !text || (!missed && functions > 0);
}

/* ---- timeouts -------------------------------------------------------------- */

static void test_timeouts_listed(void **state)
{
	(void)state;
	const char *text = header_text(), *end;
	char name[64];
	size_t listed = 0, found = 0;
	if (!text)
		skip();
	for (const struct arguments_timed *t = part->timed; t && t->call; t++)
		listed++;
	for (const char *p = text; (p = next_function(p, name, &end));) {
		const char *timeout = strstr(p, "double timeout");
		bool has = timeout && timeout < end, is = false;
		for (const struct arguments_timed *t = part->timed; t && t->call; t++)
			is = is || strcmp(t->function, name) == 0;
		if (has != is)
			fail_msg("%s: its timeout and timed[]", name);
		found += has;
	}
	assert_int_equal(found, listed);
}

static void check_nan(const struct arguments_timed *t, bool ready)
{
	errno = 0;
	if (t->call(ready, NAN) != -1 || errno != EINVAL)
		fail_msg("%s, NaN: errno %d", t->function, errno);
	errno = 0;
	if (t->call(ready, -NAN) != -1 || errno != EINVAL)
		fail_msg("%s, -NaN: errno %d", t->function, errno);
}

/* It has to wait: not at all, or for a moment. */
static void check_waits(const struct arguments_timed *t)
{
	static const double instant[] = {0, -0.0, -1, -1e300, -INFINITY, -DBL_MIN, DBL_MIN, 1e-12};
	check_nan(t, false);
	for (size_t i = 0; i < sizeof instant / sizeof *instant; i++) {
		double begin = now();
		errno = 0;
		if (t->call(false, instant[i]) != -1 || errno != ETIMEDOUT)
			fail_msg("%s, %g: errno %d", t->function, instant[i], errno);
		if (now() - begin > 5)
			fail_msg("%s, %g: %g s", t->function, instant[i], now() - begin);
	}
	assert_times_out(t->call(false, 0.02), 0.02);
}

/* It need not wait: NaN takes nothing away, a long time is no overflow. */
static void check_ready(const struct arguments_timed *t)
{
	static const double good[] = {0, -1, DBL_MIN, 9.3e9, 1e18, 1e300, DBL_MAX, INFINITY};
	check_nan(t, true);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		errno = 0;
		if (t->call(true, good[i]) != 0)
			fail_msg("%s, %g, ready: errno %d", t->function, good[i], errno);
	}
}

static void test_timeouts(void **state)
{
	(void)state;
	if (!part->timed)
		skip();
	part->timed_begin();
	for (const struct arguments_timed *t = part->timed; t->call; t++) {
		check_waits(t);
		if (!t->never_ready)
			check_ready(t);
	}
	part->timed_end();
}

int arguments_main(const struct arguments *this_part, int argc, char **argv)
{
	part = this_part;
	self = argv[0];
	if (argc > 1 && strcmp(argv[1], "first-calls") == 0)
		return program_first_calls();
	const struct CMUnitTest tests[] = {
		mpx_test(test_bad_arguments),
		mpx_test(test_bad_arguments_at_first),
		mpx_test(test_timeouts_listed),
		mpx_test(test_timeouts),
	};
	return cmocka_run_group_tests_name(part->header, tests, NULL, NULL);
}
