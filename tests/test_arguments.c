/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments.c - bad input: an errno, never a crash.
 *
 *   NULL, freed, foreign pointers for each pointer of each public function, also as
 *   a program's very first call; zero and huge sizes; NaN and negative timeouts for
 *   each timeout (both lists are compared with the headers).
 *
 * The argument "first-calls" is for this executable started anew: a family of its
 * own.
 */
#define _POSIX_C_SOURCE 200809L

#include "everything.h"

#include <float.h>
#include <math.h>
#include <pthread.h>

static const char *self;

static int nothing(void *args)
{
	(void)args;
	return 0;
}

/* ---- bad pointers ------------------------------------------------------ */

static int no_task(const void *in, void *out)
{
	(void)in;
	(void)out;
	return 0;
}

/* The rows of the table stand in functions: each is run alone, or all of them. */
static int row, only;
static const char *covered[256];
static size_t ncovered;

static bool this_row(const char *name)
{
	if (ncovered < sizeof covered / sizeof *covered)
		covered[ncovered++] = name;
	return row++ == only || only < 0;
}

static void check_row(const char *call, long long result, long long expected, int error, int wanted)
{
	/* What goes well may leave anything in errno. */
	if (result == expected && (error == wanted || !wanted))
		return;
	dprintf(2, "%s: %lld, errno %d (%s); expected %lld, errno %d\n", call, result, error,
		strerror(error), expected, wanted);
	_exit(96);
}

/* function(arguments) returns result, with errno. */
#define ROW(function, arguments, result, wanted)                                                   \
	do {                                                                                       \
		if (this_row(#function)) {                                                         \
			errno = 0;                                                                 \
			long long result_ = (long long)function arguments;                         \
			check_row(#function #arguments, result_, result, errno, wanted);           \
		}                                                                                  \
	} while (0)
#define ROW_VOID(function, arguments, wanted)                                                      \
	do {                                                                                       \
		if (this_row(#function)) {                                                         \
			errno = 0;                                                                 \
			function arguments;                                                        \
			check_row(#function #arguments, 0, 0, errno, wanted);                      \
		}                                                                                  \
	} while (0)
#define FAILS(function, arguments) ROW(function, arguments, -1, EINVAL)
#define NOTHING(function, arguments) ROW(function, arguments, 0, EINVAL)

/* What is no object, x, wherever an object belongs. */
static void rows_of_no_object(void *x)
{
	int y = 0, freed = x ? EINVAL : 0;
	char text[64];
	mpx_failure f;

	FAILS(mpx_lock_acquire, (x, 0));
	FAILS(mpx_lock_release, (x));
	FAILS(mpx_lock_consistent, (x));
	NOTHING(mpx_lock_locked, (x));
	ROW_VOID(mpx_lock_free, (x), freed);
	FAILS(mpx_rlock_acquire, (x, 0));
	FAILS(mpx_rlock_release, (x));
	FAILS(mpx_rlock_consistent, (x));
	NOTHING(mpx_rlock_locked, (x));
	ROW_VOID(mpx_rlock_free, (x), freed);
	NOTHING((intptr_t)mpx_value_pointer, (x, 'i'));
	FAILS(mpx_value_get, (x, text));
	FAILS(mpx_value_set, (x, text));
	NOTHING(mpx_value_add, (x, 1));
	NOTHING(mpx_value_compare_exchange, (x, 1, 1));
	if (this_row("mpx_value_update")) {
		errno = 0;
		mpx_number n = mpx_value_update(x, MPX_VALUE_MAX, mpx_number_i(1), mpx_number_i(1));
		check_row("mpx_value_update", mpx_number_as_i(n), 0, errno, EINVAL);
	}
	NOTHING((intptr_t)mpx_value_lock, (x));
	ROW_VOID(mpx_value_free, (x), freed);
	NOTHING((intptr_t)mpx_array_pointer, (x, 'i'));
	NOTHING(mpx_array_len, (x));
	NOTHING(mpx_array_typecode, (x));
	FAILS(mpx_array_get, (x, 0, text));
	FAILS(mpx_array_set, (x, 0, text));
	FAILS(mpx_array_slice, (x, 0, 1, text));
	FAILS(mpx_array_slice, (x, 0, 0, NULL));
	FAILS(mpx_array_assign, (x, 0, 1, text));
	NOTHING((intptr_t)mpx_array_lock, (x));
	ROW_VOID(mpx_array_free, (x), freed);
	FAILS(mpx_queue_put, (x, text, 1, 0));
	FAILS(mpx_queue_put, (x, text, 1, MPX_FOREVER));
	FAILS(mpx_queue_get, (x, text, 1, 0));
	FAILS(mpx_queue_next_size, (x, 0));
	FAILS(mpx_queue_qsize, (x));
	NOTHING(mpx_queue_empty, (x));
	NOTHING(mpx_queue_full, (x));
	FAILS(mpx_queue_close, (x));
	FAILS(mpx_queue_fileno, (x));
	ROW_VOID(mpx_queue_free, (x), freed);
	FAILS(mpx_process_start, (x));
	FAILS(mpx_process_join, (x, 0));
	FAILS(mpx_process_join, (x, MPX_FOREVER));
	NOTHING(mpx_process_is_alive, (x));
	FAILS(mpx_process_exitcode, (x, &y));
	FAILS(mpx_process_pid, (x));
	NOTHING((intptr_t)mpx_process_name, (x));
	NOTHING(mpx_process_daemon, (x));
	FAILS(mpx_process_sentinel, (x));
	FAILS(mpx_process_terminate, (x));
	FAILS(mpx_process_kill, (x));
	FAILS(mpx_process_interrupt, (x));
	ROW(mpx_process_free, (x), x ? -1 : 0, freed);
	FAILS(mpx_pool_map_sized, (x, no_task, text, 1, text, 1, 1, NULL));
	NOTHING((intptr_t)mpx_pool_map_async, (x, no_task, text, 1, 1, 1, NULL));
	NOTHING((intptr_t)mpx_pool_apply_async, (x, no_task, text, 1, 1, NULL));
	FAILS(mpx_pool_get_last_failure, (x, &f, sizeof f));
	FAILS(mpx_pool_processes, (x));
	FAILS(mpx_pool_close, (x));
	FAILS(mpx_pool_terminate, (x));
	FAILS(mpx_pool_join, (x, 0));
	ROW_VOID(mpx_pool_free, (x), freed);
	FAILS(mpx_result_get, (x, text, 0));
	FAILS(mpx_result_wait, (x, 0));
	NOTHING(mpx_result_ready, (x));
	NOTHING(mpx_result_successful, (x));
	FAILS(mpx_result_get_failure, (x, &f, sizeof f));
	FAILS(mpx_result_cancel, (x));
	ROW_VOID(mpx_result_free, (x), freed);
}

/* NULL, and what is out of range, in functions that take no object. */
static void rows_without_object(void)
{
	size_t huge = SIZE_MAX;
	const mpx_pool_options none = {.size = sizeof none, .processes = -1};
	const mpx_pool_options many = {.size = sizeof many, .processes = 1025};
	const mpx_pool_options worst = {.size = sizeof worst, .processes = -2147483647 - 1};
	const mpx_pool_options no_size = {0};
	const mpx_process_options no_target = {.size = sizeof no_target};
	const mpx_queue_options too_many = {.size = sizeof too_many, .maxsize = (size_t)1 << 31};
	const mpx_queue_options far_too_many = {.size = sizeof too_many, .maxsize = SIZE_MAX};

	ROW((intptr_t)mpx_malloc, (huge), 0, ENOMEM);
	ROW((intptr_t)mpx_malloc, (huge - 8), 0, ENOMEM);
	ROW((intptr_t)mpx_malloc, (huge - 64), 0, ENOMEM);
	ROW((intptr_t)mpx_malloc, (huge - 4096), 0, ENOMEM);
	ROW((intptr_t)mpx_malloc, (huge / 2), 0, ENOMEM);
	ROW((intptr_t)mpx_calloc, (huge, 2), 0, ENOMEM);
	ROW((intptr_t)mpx_calloc, (2, huge), 0, ENOMEM);
	ROW((intptr_t)mpx_calloc, (huge, huge), 0, ENOMEM);
	ROW((intptr_t)mpx_calloc, (huge, 1), 0, ENOMEM);
	ROW((intptr_t)mpx_calloc, (huge / 2 + 1, 2), 0, ENOMEM);
	ROW_VOID(mpx_free, (NULL), 0);
	ROW_VOID(mpx_free, (&huge), EINVAL);
	ROW_VOID(mpx_free, ((void *)8), EINVAL);
	FAILS(mpx_memory_get_stats, (NULL, 0));
	FAILS(mpx_memory_get_stats, (NULL, sizeof(mpx_memory_stats)));
	NOTHING((intptr_t)mpx_value_create, ('x', mpx_number_i(0)));
	NOTHING((intptr_t)mpx_value_create, ('\0', mpx_number_i(0)));
	ROW((intptr_t)mpx_value_create, ('i', mpx_number_d(1e30)), 0, ERANGE);
	ROW((intptr_t)mpx_value_create, ('i', mpx_number_d(NOT_A_NUMBER)), 0, ERANGE);
	NOTHING((intptr_t)mpx_array_create, ('x', 1, NULL, '*'));
	NOTHING((intptr_t)mpx_array_create, ('d', huge, NULL, '*'));
	NOTHING((intptr_t)mpx_array_create, ('d', huge / 8, NULL, '*'));
	NOTHING((intptr_t)mpx_array_create, ('b', huge, NULL, '*'));
	NOTHING((intptr_t)mpx_array_create, ('b', huge, &huge, '*'));
	ROW((intptr_t)mpx_array_create, ('b', huge / 2, &huge, '*'), 0, ENOMEM);
	NOTHING((intptr_t)mpx_array_create, ('i', 1, &huge, 'd'));
	NOTHING((intptr_t)mpx_process_create, (NULL));
	NOTHING((intptr_t)mpx_process_create, (&no_target));
	NOTHING((intptr_t)mpx_queue_create, (NULL));
	NOTHING((intptr_t)mpx_queue_create, (&too_many));
	NOTHING((intptr_t)mpx_queue_create, (&far_too_many));
	NOTHING((intptr_t)mpx_pool_create, (NULL));
	NOTHING((intptr_t)mpx_pool_create, (&none));
	NOTHING((intptr_t)mpx_pool_create, (&many));
	NOTHING((intptr_t)mpx_pool_create, (&worst));
	NOTHING((intptr_t)mpx_pool_create, (&no_size));
	ROW(mpx_active_children, (NULL, 0), 0, 0);
	ROW(mpx_active_children, (NULL, huge), 0, 0);
	ROW((intptr_t)mpx_parent_process, (), 0, 0);
	FAILS(mpx_process_free, (mpx_current_process()));
	ROW(mpx_process_start, (mpx_current_process()), -1, EPERM);
	ROW(mpx_process_sentinel, (mpx_current_process()), -1, ENOTSUP);
	ROW(mpx_fail, (EIO, NULL), EIO, 0);
	ROW(mpx_version, () != MPX_VERSION_NUM, 0, 0);
	ROW(mpx_version_string, ()[0] == '\0', 0, 0);
	/* That these can be called first, and go well, is enough. */
	if (this_row("mpx_cpu_count"))
		child_check(mpx_cpu_count() >= 1);
	if (this_row("mpx_lock_new"))
		mpx_lock_free(mpx_lock_new());
	if (this_row("mpx_rlock_new"))
		mpx_rlock_free(mpx_rlock_new());
	if (this_row("mpx_current_process"))
		child_check(mpx_current_process() != NULL);
}

/* A good object, and nothing good beside it. */
static void rows_of_good_objects(void)
{
	size_t huge = SIZE_MAX;
	mpx_value *v = mpx_value_new('i', 1);
	mpx_array *a = mpx_array_new('i', 10, NULL);
	mpx_queue *q = mpx_queue_new(), *small = mpx_queue_new(.bytes = 10, .maxsize = 1);
	mpx_process *p = mpx_process_new(.target = nothing);
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	char x[64] = "";
	int y = 0;
	mpx_result *r;

	child_check(v && a && q && small && p && pool);
	FAILS(mpx_value_get, (v, NULL));
	FAILS(mpx_value_set, (v, NULL));
	NOTHING((intptr_t)mpx_value_pointer, (v, 'd'));
	if (this_row("mpx_value_update")) {
		errno = 0;
		mpx_value_update(v, (mpx_value_op)99, mpx_number_i(1), mpx_number_i(1));
		check_row("an unknown operation", 0, 0, errno, EINVAL);
	}
	NOTHING((intptr_t)mpx_array_pointer, (a, 'd'));
	FAILS(mpx_array_get, (a, 0, NULL));
	FAILS(mpx_array_set, (a, 0, NULL));
	ROW(mpx_array_get, (a, 10, x), -1, ERANGE);
	ROW(mpx_array_get, (a, huge, x), -1, ERANGE);
	ROW(mpx_array_set, (a, huge, x), -1, ERANGE);
	FAILS(mpx_array_slice, (a, 0, 1, NULL));
	FAILS(mpx_array_assign, (a, 0, 1, NULL));
	ROW(mpx_array_slice, (a, 0, 11, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 1, huge, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, huge, 2, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 5, huge - 4, x), -1, ERANGE);
	ROW(mpx_array_assign, (a, 5, huge / 4 + 1, x), -1, ERANGE);
	ROW(mpx_array_slice, (a, 10, 0, NULL), 0, 0);
	FAILS(mpx_queue_put, (q, NULL, 1, 0));
	FAILS(mpx_queue_put, (q, NULL, huge, MPX_FOREVER));
	ROW(mpx_queue_put, (q, x, huge, 0), -1, ENOMEM);
	ROW(mpx_queue_put, (q, x, huge - 7, 0), -1, ENOMEM);
	ROW(mpx_queue_put, (q, x, huge / 4, MPX_FOREVER), -1, ENOMEM);
	ROW(mpx_queue_put, (small, x, huge, 0), -1, EMSGSIZE);
	ROW(mpx_queue_put, (small, x, 11, 0), -1, EMSGSIZE);
	ROW(mpx_queue_put, (small, x, 10, 0), 0, 0);
	ROW(mpx_queue_put, (small, x, 1, 0), -1, ETIMEDOUT);
	ROW(mpx_queue_put, (q, NULL, 0, 0), 0, 0);
	ROW(mpx_queue_get, (q, NULL, 0, 0), 0, 0);
	FAILS(mpx_queue_get, (q, NULL, 1, 0));
	ROW(mpx_queue_get, (small, NULL, 0, 0), -1, EMSGSIZE);
	ROW(mpx_queue_get, (small, x, huge / 2, 0), 10, 0);
	FAILS(mpx_process_exitcode, (p, NULL));
	ROW(mpx_process_exitcode, (p, &y), -1, ECHILD);
	FAILS(mpx_pool_map_sized, (pool, NULL, x, 1, x, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, NULL, 1, x, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 1, NULL, 1, 1, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 2, x, 1, huge, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, 1, x, 2, huge, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, huge, x, 1, 2, NULL));
	FAILS(mpx_pool_map_sized, (pool, no_task, x, huge, x, huge, huge, NULL));
	ROW(mpx_pool_map_sized, (pool, no_task, x, huge / 9, x, 0, 1, NULL), -1, ENOMEM);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, x, huge / 9, 1, NULL), -1, ENOMEM);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 0, NULL), 0, 0);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 3, MPX_TASK(.chunksize = huge)),
	    0, 0);
	ROW(mpx_pool_map_sized,
	    (pool, no_task, NULL, 0, NULL, 0, huge / 16, MPX_TASK(.chunksize = 1)), -1, EINVAL);
	NOTHING((intptr_t)mpx_pool_map_async, (pool, NULL, x, 1, 1, 1, NULL));
	NOTHING((intptr_t)mpx_pool_map_async, (pool, no_task, NULL, 1, 1, 1, NULL));
	NOTHING((intptr_t)mpx_pool_map_async, (pool, no_task, x, 2, huge, 1, NULL));
	NOTHING((intptr_t)mpx_pool_apply_async, (pool, NULL, x, 1, 1, NULL));
	NOTHING((intptr_t)mpx_pool_apply_async, (pool, no_task, NULL, 1, 1, NULL));
	ROW((intptr_t)mpx_pool_apply_async, (pool, no_task, x, 1, huge / 9, NULL), 0, ENOMEM);
	FAILS(mpx_pool_get_last_failure, (pool, NULL, 0));
	ROW(mpx_pool_join, (pool, 0), -1, EBUSY);
	r = mpx_pool_apply_async(pool, no_task, NULL, 0, 0, NULL);
	child_check(r && mpx_result_wait(r, SOON) == 0);
	FAILS(mpx_result_get_failure, (r, NULL, 0));
	ROW(mpx_result_get, (r, NULL, 0), 0, 0);
	mpx_result_free(r);
	/* Closed. */
	ROW(mpx_queue_close, (q), 0, 0);
	ROW(mpx_queue_close, (q), 0, 0);
	ROW(mpx_queue_put, (q, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_queue_put, (q, x, huge, 0), -1, ENOMEM);
	ROW(mpx_queue_get, (q, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_queue_next_size, (q, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_pool_close, (pool), 0, 0);
	ROW(mpx_pool_close, (pool), 0, 0);
	ROW(mpx_pool_map_sized, (pool, no_task, NULL, 0, NULL, 0, 1, NULL), -1, EBUSY);
	ROW((intptr_t)mpx_pool_map_async, (pool, no_task, NULL, 0, 1, 0, NULL), 0, EBUSY);
	ROW(mpx_pool_join, (pool, SOON), 0, 0);
	ROW(mpx_pool_terminate, (pool), 0, 0);
	mpx_value_free(v);
	mpx_array_free(a);
	mpx_queue_free(q);
	mpx_queue_free(small);
	child_check(mpx_process_free(p) == 0);
	mpx_pool_free(pool);
}

static int all_rows(void *arg)
{
	struct bad_pointers bad;
	void *freed[] = {mpx_lock_new(),
			 mpx_rlock_new(),
			 mpx_value_new('d', 1),
			 mpx_array_new('i', 100000, NULL),
			 mpx_queue_new(),
			 mpx_process_new(.target = nothing),
			 mpx_pool_new(.processes = 1)};
	void *good = mpx_lock_new();
	(void)arg;

	only = -1;
	for (size_t i = 0; i < sizeof freed / sizeof *freed; i++)
		child_check(freed[i] != NULL);
	void *r = mpx_pool_apply_async(freed[6], no_task, NULL, 0, 0, NULL);
	child_check(r != NULL);
	mpx_pool_free(freed[6]);
	mpx_process_free(freed[5]);
	mpx_queue_free(freed[4]);
	mpx_array_free(freed[3]);
	mpx_value_free(freed[2]);
	mpx_rlock_free(freed[1]);
	mpx_lock_free(freed[0]);
	mpx_result_free(r);
	rows_of_no_object(r);
	for (size_t i = 0; i < sizeof freed / sizeof *freed; i++)
		rows_of_no_object(freed[i]);
	bad_pointers_make(&bad, good);
	for (size_t i = 0; i < bad.n; i++)
		rows_of_no_object(bad.p[i]);
	bad_pointers_done(&bad);
	mpx_lock_free(good);
	rows_without_object();
	rows_of_good_objects();
	return 0;
}

static void test_bad_arguments(void **state)
{
	(void)state;
	assert_int_equal(run_child(all_rows, NULL), 0);
}

static int one_row(void *arg)
{
	only = *(int *)arg;
	row = 0;
	rows_of_no_object(NULL);
	rows_of_no_object(&only);
	rows_without_object();
	return row <= only ? 1 : 0; /* it was the last */
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

/* ---- the headers ------------------------------------------------------- */

/* All of include/mpx, which lies beside the tests; NULL if it does not. */
static char *headers_text(void)
{
	static const char *const names[] = {"memory", "pool",  "process", "queue",
					    "sync",   "value", "version"};
	static char text[200000];
	const char *end = strrchr(__FILE__, '/');
	size_t used = 0;
	for (size_t i = 0; end && i < sizeof names / sizeof *names; i++) {
		char path[1024];
		snprintf(path, sizeof path, "%.*s/../include/mpx/%s.h", (int)(end - __FILE__),
			 __FILE__, names[i]);
		FILE *f = fopen(path, "r");
		if (!f)
			return NULL;
		used += fread(text + used, 1, sizeof text - 1 - used, f);
		fclose(f);
	}
	text[used] = '\0';
	return used ? text : NULL;
}

static bool is_covered(const char *name)
{
	for (size_t i = 0; i < ncovered; i++) {
		const char *c = strstr(covered[i], "mpx_");
		if (c && strcmp(c, name) == 0)
			return true;
	}
	return false;
}

static const char *const with_timeout[] = {
	"mpx_lock_acquire", "mpx_rlock_acquire",   "mpx_queue_put",
	"mpx_queue_get",    "mpx_queue_next_size", "mpx_process_join",
	"mpx_pool_join",    "mpx_result_get",	   "mpx_result_wait",
};
enum { WITH_TIMEOUT = sizeof with_timeout / sizeof *with_timeout };

static void test_nothing_missed(void **state)
{
	(void)state;
	char *text = headers_text();
	size_t functions = 0, timeouts = 0;
	if (!text)
		skip();
	/* Names only: no row is run, but rows_of_good_objects makes its objects. */
	only = 100000;
	ncovered = 0;
	rows_of_no_object(NULL);
	rows_without_object();
	rows_of_good_objects();
	for (char *p = text; (p = strstr(p, "\nMPX_API ")); p++) {
		char name[64], *end = strchr(p, '('), *begin = end;
		while (begin > p && (begin[-1] == '_' || (begin[-1] >= 'a' && begin[-1] <= 'z')))
			begin--;
		snprintf(name, sizeof name, "%.*s", (int)(end - begin), begin);
		functions++;
		if (!is_covered(name))
			fail_msg("%s is missing in the table", name);
		char *close = strchr(p, ';'), *timeout = strstr(p, "double timeout");
		bool has = timeout && timeout < close, listed = false;
		for (int i = 0; i < WITH_TIMEOUT; i++)
			listed = listed || strcmp(with_timeout[i], name) == 0;
		if (has != listed)
			fail_msg("%s: its timeout", name);
		timeouts += has;
	}
	assert_true(functions >= 70);
	assert_int_equal(timeouts, WITH_TIMEOUT);
}

/* ---- timeouts ---------------------------------------------------------- */

struct waiting {
	mpx_lock *l;
	mpx_rlock *r;
	mpx_queue *full, *empty;
	mpx_process *p;
	mpx_pool *pool;
	mpx_result *result;
};

static int call_with_timeout(struct waiting *w, int i, double timeout)
{
	char x = 'x';
	switch (i) {
	case 0:
		return mpx_lock_acquire(w->l, timeout);
	case 1:
		return mpx_rlock_acquire(w->r, timeout);
	case 2:
		return mpx_queue_put(w->full, &x, 1, timeout);
	case 3:
		return (int)mpx_queue_get(w->empty, &x, 1, timeout);
	case 4:
		return (int)mpx_queue_next_size(w->empty, timeout);
	case 5:
		return mpx_process_join(w->p, timeout);
	case 6:
		return mpx_pool_join(w->pool, timeout);
	case 7:
		return mpx_result_get(w->result, NULL, timeout);
	default:
		return mpx_result_wait(w->result, timeout);
	}
}

static void *hold(void *arg)
{
	struct waiting *w = arg;
	assert_ok(mpx_rlock_acquire(w->r, 0));
	return NULL;
}

static void test_timeouts(void **state)
{
	(void)state;
	static const double instant[] = {0, -0.0, -1, -1e300, -INFINITY, -DBL_MIN, DBL_MIN, 1e-12};
	struct gate *g = gate_new();
	struct waiting w = {mpx_lock_new(),
			    mpx_rlock_new(),
			    mpx_queue_new(.maxsize = 1),
			    mpx_queue_new(),
			    start(wait_to_be_killed, NULL),
			    pool_of(1),
			    NULL};
	pthread_t t;
	assert_ok(mpx_lock_acquire(w.l, 0));
	assert_int_equal(pthread_create(&t, NULL, hold, &w), 0);
	pthread_join(t, NULL);
	assert_ok(mpx_queue_put(w.full, "x", 1, 0));
	w.result = mpx_pool_apply_async(w.pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(w.result);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_pool_close(w.pool));
	for (int i = 0; i < WITH_TIMEOUT; i++) {
		errno = 0;
		if (call_with_timeout(&w, i, NAN) != -1 || errno != EINVAL)
			fail_msg("%s, NaN: errno %d", with_timeout[i], errno);
		if (call_with_timeout(&w, i, -NAN) != -1 || errno != EINVAL)
			fail_msg("%s, -NaN: errno %d", with_timeout[i], errno);
		for (size_t k = 0; k < sizeof instant / sizeof *instant; k++) {
			double begin = now();
			errno = 0;
			if (call_with_timeout(&w, i, instant[k]) != -1 || errno != ETIMEDOUT)
				fail_msg("%s, %g: errno %d", with_timeout[i], instant[k], errno);
			if (now() - begin > 5)
				fail_msg("%s, %g: %g s", with_timeout[i], instant[k],
					 now() - begin);
		}
		assert_times_out(call_with_timeout(&w, i, 0.02), 0.02);
	}
	/* Now nothing has to be waited for; for ever is not overflow. */
	atomic_store(&g->open, true);
	assert_ok(mpx_process_kill(w.p));
	assert_ok(mpx_process_join(w.p, DBL_MAX));
	assert_ok(mpx_process_join(w.p, 1e18));
	assert_ok(mpx_result_wait(w.result, 9.3e9));
	assert_ok(mpx_result_get(w.result, NULL, DBL_MAX));
	assert_ok(mpx_pool_join(w.pool, 1e300));
	assert_ok(mpx_lock_release(w.l));
	assert_ok(mpx_lock_acquire(w.l, DBL_MAX));
	assert_ok(mpx_queue_put(w.empty, "x", 1, DBL_MAX));
	assert_int_equal(mpx_queue_next_size(w.empty, 1e19), 1);
	mpx_result_free(w.result);
	mpx_pool_free(w.pool);
	assert_ok(mpx_process_free(w.p));
	mpx_lock_free(w.l);
	mpx_rlock_free(w.r);
	mpx_queue_free(w.full);
	mpx_queue_free(w.empty);
	mpx_free(g);
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1 && strcmp(argv[1], "first-calls") == 0)
		return program_first_calls();
	const struct CMUnitTest tests[] = {
		mpx_test(test_bad_arguments),
		mpx_test(test_bad_arguments_at_first),
		mpx_test(test_nothing_missed),
		mpx_test(test_timeouts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
