/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_limits.c - bad input and exhausted limits: an errno, never a crash, never
 * SIGBUS.
 *
 *   NULL, freed, foreign pointers for each pointer of each public function, also as
 *   a program's very first call; zero and huge sizes; NaN and negative timeouts for
 *   each timeout (both lists are compared with the headers);
 *   RLIMIT_AS from 64 MiB to 1 GiB, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_FSIZE,
 *   RLIMIT_CORE, each set before the library is first used; no descriptor to be had
 *   later; a full /dev/shm and TMPDIR; a full heap;
 *   descriptors 0, 1, 2 closed; all signals blocked; SIGPIPE; a storm of signals;
 *   a multithreaded host; many cycles of everything with flat resources.
 *
 * Seen to fail (each line was taken away in a copy): mpx__object_free(q) where
 * mpx_queue_create gets no ring, mpx__heap_free(block) where mpx_queue_put fails.
 *
 * MPX_LONG=1 in the environment: more and larger cycles, with what they cost.
 *
 * The arguments "first-calls", "everything", "full-heap" ... are for this
 * executable started anew: families of their own.
 */
#ifdef __linux__
#define _GNU_SOURCE /* unshare */
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "everything.h"

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

static const char *self;

static bool is_long(void)
{
	const char *text = getenv("MPX_LONG");
	return text && *text && strcmp(text, "0") != 0;
}

static int run_anew(const char *what, const char *heap)
{
	struct anew a = {self, what, heap, 0};
	return run_child(exec_anew, &a);
}

/* ---- bad pointers ------------------------------------------------------ */

static int nothing(void *args)
{
	(void)args;
	return 0;
}

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
	assert_int_equal(run_anew("first-calls", NULL), 0);
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

/* ---- limits before the first use --------------------------------------- */

static const int errors_of_limits[] = {EAGAIN, ENOMEM, EMFILE, 0};

static rlim_t set_limit(int resource, rlim_t n)
{
	struct rlimit limit;
	child_check(getrlimit(resource, &limit) == 0);
	rlim_t old = limit.rlim_cur;
	limit.rlim_cur = n > limit.rlim_max ? limit.rlim_max : n;
	child_check(setrlimit(resource, &limit) == 0);
	return old;
}

static int program_as(rlim_t size)
{
	set_limit(RLIMIT_AS, size);
	child_works();
	child_works();
	mpx_memory_stats stats;
	child_check(mpx_memory_stats_now(&stats) == 0);
	child_check(stats.reserved >= (1 << 20) && stats.reserved < size);
	child_check(mpx_malloc(size) == NULL && errno == ENOMEM);
	return 0;
}

#ifdef RLIMIT_NPROC
static int program_nproc(rlim_t n)
{
	if (geteuid() == 0)
		child_check(setgid(65534) == 0 && setuid(65534) == 0);
	rlim_t old = set_limit(RLIMIT_NPROC, n);
	tolerated = (const int[]){EAGAIN, 0};
	mpx_free(mpx_malloc(1));
	struct belongings before = belongings_now();
	for (int i = 0; i < 2; i++) {
		try_process();
		try_running_process();
		try_pool(1);
		try_pool(4);
		child_left_nothing(before);
	}
	child_check(refusals > 0 || n > 1);
	set_limit(RLIMIT_NPROC, old);
	child_works();
	return 0;
}
#endif

static int program_nofile(rlim_t n)
{
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
	rlim_t old = set_limit(RLIMIT_NOFILE, n);
	tolerated = errors_of_limits;
	for (int i = 0; i < 2; i++) {
		try_memory();
		try_locks();
		try_values();
		try_queue();
		try_process();
		try_pool(2);
	}
	child_check(refusals > 0 || n > 3);
	set_limit(RLIMIT_NOFILE, old);
	child_check(open_fds() == 3);
	child_works();
	return 0;
}

static int program_fsize(rlim_t n)
{
	signal(SIGXFSZ, SIG_DFL);
	set_limit(RLIMIT_FSIZE, n);
	child_works();
	static unsigned in[1 << 20], out[1 << 20];
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool && mpx_pool_map(pool, square, in, out, 1 << 20) == 0);
	mpx_pool_free(pool);
	return 0;
}

static int program_limited(const char *what)
{
	const char *number = strchr(what, '=');
	rlim_t n = (rlim_t)strtoull(number + 1, NULL, 10);
	if (strncmp(what, "as=", 3) == 0)
		return program_as(n);
	if (strncmp(what, "fsize=", 6) == 0)
		return program_fsize(n);
	if (strncmp(what, "nofile=", 7) == 0)
		return program_nofile(n);
#ifdef RLIMIT_NPROC
	if (strncmp(what, "nproc=", 6) == 0)
		return program_nproc(n);
#endif
	return 95;
}

/* All of them, so that one report tells of all. */
static void run_limits(const char *name, const unsigned long long *n, size_t count)
{
	int failures = 0;
	for (size_t i = 0; i < count; i++) {
		char what[64];
		snprintf(what, sizeof what, "%s=%llu", name, n[i]);
		double begin = now();
		int code = run_anew(what, NULL);
		if (code != 0 || now() - begin > 30)
			print_message("%s: %d, %g s\n", what, code, now() - begin);
		failures += code != 0;
	}
	assert_int_equal(failures, 0);
}
#define RUN_LIMITS(name, n) run_limits(name, n, sizeof(n) / sizeof *(n))

/* There the library keeps a descriptor of a file, made in TMPDIR. */
#ifdef MPX_TEST_PLATFORM_POSIX
#define SKIP_ON_PLAIN_POSIX skip()
#else
#define SKIP_ON_PLAIN_POSIX ((void)0)
#endif

static void test_address_space(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {64ull << 20,  64ull << 20 | 12345, 96ull << 20,
					       128ull << 20, 200ull << 20,	  256ull << 20,
					       512ull << 20, 1ull << 30};
	if (SANITIZED)
		skip();
	RUN_LIMITS("as", n);
}

#ifdef RLIMIT_NPROC
static void test_processes(void **state)
{
	(void)state;
	static const unsigned long long n[] = {0, 1, 2, 3, 4, 5, 6, 8};
	RUN_LIMITS("nproc", n);
}
#endif

static void test_descriptors(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	RUN_LIMITS("nofile", n);
}

static void test_file_size(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {0, 65536};
	RUN_LIMITS("fsize", n);
}

/* A core must not take the time and the space that 64 GiB of holes would. */
static int abort_with_core(void *touched)
{
	memset(touched, 1, 1 << 20);
	set_limit(RLIMIT_CORE, RLIM_INFINITY);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_core(void **state)
{
	(void)state;
	char dir[] = "/tmp/mpx-core-XXXXXX", old[1024];
	assert_non_null(getcwd(old, sizeof old));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	void *block = mpx_malloc(1 << 20);
	assert_non_null(block);
	double begin = now();
	int code = ends(start(abort_with_core, block));
	double took = now() - begin;
	unsigned long long bytes = 0;
	DIR *d = opendir(".");
	assert_non_null(d);
	struct dirent *e;
	while ((e = readdir(d))) {
		struct stat st;
		if (e->d_name[0] != '.' && stat(e->d_name, &st) == 0) {
			bytes += (unsigned long long)st.st_blocks * 512;
			unlink(e->d_name);
		}
	}
	closedir(d);
	assert_int_equal(chdir(old), 0);
	rmdir(dir);
	mpx_free(block);
	assert_int_equal(code, -SIGABRT);
	if (!SANITIZED && (took > 20 || bytes > 256u << 20))
		fail_msg("a core of %llu bytes in %g s", bytes, took);
}

/* ---- no descriptor to be had later -------------------------------------- */

/* From now on: none. The limit before. */
static rlim_t no_more_descriptors(void)
{
	int next = dup(2);
	child_check(next >= 0);
	close(next);
	return set_limit(RLIMIT_NOFILE, (rlim_t)next);
}

static int without_descriptors(void *arg)
{
	mpx_lock *l = mpx_lock_new();
	mpx_queue *q = mpx_queue_new();
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	unsigned x = 5, y = 0;
	(void)arg;
	child_check(l && q && pool);
	struct belongings before = belongings_now();
	rlim_t old = no_more_descriptors();
	tolerated = errors_of_limits;
	try_memory();
	try_locks();
	try_values();
	try_queue();
	try_process();
	try_pool(1);
	child_fails(mpx_queue_fileno(q), EMFILE);
	/* Neither takes one. */
	child_check(mpx_pool_apply(pool, square, &x, &y) == 0 && y == 25);
	child_check(mpx_queue_put(q, &x, sizeof x, 0) == 0);
	child_check(mpx_queue_get(q, &y, sizeof y, 0) == sizeof y && y == 5);
	mpx_process *p = mpx_process_new(.target = nothing);
	child_check(p != NULL);
	bool started = went_well(mpx_process_start(p));
	set_limit(RLIMIT_NOFILE, old);
	child_check(started || mpx_process_start(p) == 0); /* may be tried again */
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_free(p) == 0);
	child_check(open_fds() == before.fds && heap_blocks() == before.blocks);
	mpx_pool_free(pool);
	mpx_queue_free(q);
	mpx_lock_free(l);
	child_works();
	return 0;
}

static int terminate_without_descriptors(void *arg)
{
	struct gate *g = gate_new();
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	(void)arg;
	child_check(pool != NULL);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	child_check(r != NULL);
	child_soon(atomic_load(&g->entered) == 1);
	rlim_t old = no_more_descriptors();
	child_check(mpx_pool_terminate(pool) == 0);
	child_fails(mpx_result_get(r, NULL, SOON), ECANCELED);
	/* The one worker is busy: SIGTERM shortly, it is said. */
	child_check(mpx_pool_join(pool, 10) == 0);
	set_limit(RLIMIT_NOFILE, old);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
	return 0;
}

static int put_without_descriptors(void *args)
{
	struct {
		mpx_queue *q, *go;
	} *two = args;
	char x;
	child_check(mpx_queue_get(two->go, &x, 1, SOON) == 1);
	no_more_descriptors();
	return mpx_queue_put(two->q, "x", 1, SOON) == 0 ? 0 : errno;
}

/* Whoever polls the queue is woken, or put has failed for want of a descriptor. */
static int poll_what_a_poor_one_puts(void *arg)
{
	struct {
		mpx_queue *q, *go;
	} two = {mpx_queue_new(), mpx_queue_new()};
	(void)arg;
	child_check(two.q && two.go);
	mpx_process *p = mpx_process_new(.target = put_without_descriptors, .args = &two);
	child_check(p && mpx_process_start(p) == 0);
	struct pollfd pfd = {.fd = mpx_queue_fileno(two.q), .events = POLLIN};
	child_check(pfd.fd >= 0 && poll(&pfd, 1, 0) == 0);
	child_check(mpx_queue_put(two.go, "x", 1, SOON) == 0);
	int code = -1;
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && (code == 0 || code == EMFILE));
	child_check(mpx_queue_qsize(two.q) == (code == 0));
	child_check(poll(&pfd, 1, 1000) == (code == 0));
	child_check(mpx_process_free(p) == 0);
	mpx_queue_free(two.q);
	mpx_queue_free(two.go);
	return 0;
}

/* The dead one is not reaped yet; it is this process's own child. */
static int dead_holder_without_descriptors(void *arg)
{
	mpx_lock *l = mpx_lock_new();
	siginfo_t info;
	(void)arg;
	child_check(l != NULL);
	mpx_process *p = mpx_process_new(.target = die_with_lock, .args = l);
	child_check(p && mpx_process_start(p) == 0);
	child_check(waitid(P_PID, (id_t)mpx_process_pid(p), &info, WEXITED | WNOWAIT) == 0);
	rlim_t old = no_more_descriptors();
	child_fails(mpx_lock_acquire(l, 5), EOWNERDEAD);
	set_limit(RLIMIT_NOFILE, old);
	child_check(mpx_lock_release(l) == 0);
	child_check(mpx_process_join(p, SOON) == 0 && mpx_process_free(p) == 0);
	mpx_lock_free(l);
	return 0;
}

static int compare_stdin(void *args)
{
	struct stat in, null;
	(void)args;
	return !(fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev);
}

/* One or two descriptors are left: whatever start says must be true. */
static int start_with_few_descriptors(void *arg)
{
	(void)arg;
	int fds[2];
	child_check(pipe(fds) == 0 && dup2(fds[0], 0) == 0); /* what no child may read */
	close(fds[0]);
	struct belongings before = belongings_now();
	int next = dup(2);
	close(next);
	for (int n = 0; n < 6; n++) {
		int code = -1;
		mpx_process *p = mpx_process_new(.target = compare_stdin);
		rlim_t old = set_limit(RLIMIT_NOFILE, (rlim_t)(next + n));
		if (mpx_process_start(p) == 0) {
			errno = 0;
			child_check(mpx_process_sentinel(p) >= 0 || errno == EMFILE);
			child_check(mpx_process_join(p, SOON) == 0);
			child_check(mpx_process_exitcode(p, &code) == 0);
			child_check(code == 0); /* stdin is /dev/null */
		} else {
			child_check(errno == EMFILE);
		}
		set_limit(RLIMIT_NOFILE, old);
		child_check(mpx_process_free(p) == 0);
		child_left_nothing(before);
	}
	return 0;
}

static void test_no_descriptors(void **state)
{
	(void)state;
	assert_int_equal(run_child(without_descriptors, NULL), 0);
}

static void test_no_descriptors_terminate(void **state)
{
	(void)state;
	assert_int_equal(run_child(terminate_without_descriptors, NULL), 0);
}

static void test_no_descriptors_poll(void **state)
{
	(void)state;
	assert_int_equal(run_child(poll_what_a_poor_one_puts, NULL), 0);
}

static void test_no_descriptors_dead_holder(void **state)
{
	(void)state;
	assert_int_equal(run_child(dead_holder_without_descriptors, NULL), 0);
}

static void test_few_descriptors_start(void **state)
{
	(void)state;
	assert_int_equal(run_child(start_with_few_descriptors, NULL), 0);
}

/* ---- full file systems --------------------------------------------------- */

#ifdef __linux__
static int with_full_disks(void *arg)
{
	static const char zeros[4096];
	struct anew a = {self, "everything", NULL, 0};
	(void)arg;
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("full", "/dev/shm", "tmpfs", 0, "size=64k") != 0)
		return 77;
	int fd = open("/dev/shm/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	child_check(fd >= 0);
	for (int i = 0; i < 1000 && write(fd, zeros, sizeof zeros) > 0; i++)
		continue;
	child_check(write(fd, zeros, sizeof zeros) < 0 && errno == ENOSPC);
	close(fd);
	child_check(setenv("TMPDIR", "/dev/shm", 1) == 0);
	return exec_anew(&a);
}

static void test_full_disks(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	int code = run_child(with_full_disks, NULL);
	if (code == 77)
		skip();
	assert_int_equal(code, 0);
}
#endif

/* ---- a full heap ---------------------------------------------------------- */

static void **chain;

static void fill_heap(size_t least)
{
	void **block;
	for (size_t size = 1 << 20; size >= least; size -= size > 65536 ? size / 2 : 16)
		while ((block = mpx_malloc(size))) {
			*block = chain;
			chain = block;
		}
	while (least <= 32 && (block = mpx_malloc(8))) {
		*block = chain;
		chain = block;
	}
	child_check(errno == ENOMEM);
}

static void empty_heap(void)
{
	while (chain) {
		void **block = chain;
		chain = *block;
		mpx_free(block);
	}
}

#define NO_ROOM(call) child_check((errno = 0, (call) == NULL) && errno == ENOMEM)

static int program_full_heap(void)
{
	static unsigned in[1000], out[1000];
	static char large[100000];
	char buf[16];
	int seven = 7, code = 0;
	child_works();
	struct belongings before = belongings_now();
	for (int i = 0; i < 3; i++) {
		mpx_lock *l = mpx_lock_new();
		mpx_queue *q = mpx_queue_new();
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		mpx_process *p = mpx_process_new(.target = return_args, .args = &seven);
		child_check(l && q && pool && p);
		child_check(mpx_queue_put(q, "first", 5, 0) == 0);
		fill_heap(32);
		NO_ROOM(mpx_malloc(1));
		NO_ROOM(mpx_calloc(1, 1));
		NO_ROOM(mpx_lock_new());
		NO_ROOM(mpx_rlock_new());
		NO_ROOM(mpx_value_new('i', 1));
		NO_ROOM(mpx_array_new('i', 1, NULL));
		NO_ROOM(mpx_array_new('i', 0, NULL));
		NO_ROOM(mpx_queue_new());
		NO_ROOM(mpx_process_new(.target = nothing));
		NO_ROOM(mpx_pool_new(.processes = 1));
		NO_ROOM(mpx_pool_apply_async(pool, square, in, 4, 4, NULL));
		NO_ROOM(mpx_pool_map_async(pool, square, in, 4, 1000, 4, NULL));
		child_fails(mpx_pool_map(pool, square, in, out, 1000), ENOMEM);
		child_fails(mpx_queue_put(q, large, sizeof large, 0), ENOMEM);
		/* What has its memory already goes on. */
		child_check(mpx_lock_acquire(l, 0) == 0 && mpx_lock_release(l) == 0);
		child_check(mpx_queue_put(q, "second", 6, 0) == 0);
		child_check(mpx_queue_get(q, buf, 16, 0) == 5 && memcmp(buf, "first", 5) == 0);
		child_check(mpx_queue_get(q, buf, 16, 0) == 6);
		child_check(mpx_process_start(p) == 0 && mpx_process_join(p, SOON) == 0);
		child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
		child_check(mpx_process_free(p) == 0);
		/* A queue that grows until it cannot: all or nothing. */
		ssize_t n = 0, k = 0;
		empty_heap();
		while (n < 1000000 && mpx_queue_put(q, &n, sizeof n, 0) == 0)
			n++;
		child_check(n < 1000000 && errno == ENOMEM && mpx_queue_qsize(q) == n);
		for (ssize_t got_one; k < n; k++)
			child_check(mpx_queue_get(q, &got_one, sizeof got_one, 0) > 0 &&
				    got_one == k);
		child_check(mpx_queue_empty(q));
		child_check(mpx_pool_apply(pool, square, &(unsigned){7}, out) == 0 && out[0] == 49);
		mpx_pool_free(pool);
		mpx_queue_free(q);
		mpx_lock_free(l);
		child_left_nothing(before);
	}
	/* Nearly full: constructors come some way, and must go back. */
	for (size_t least = 131072; least >= 64; least /= 2) {
		mpx_queue *q = mpx_queue_new(.maxsize = 1);
		child_check(q && mpx_queue_put(q, "x", 1, 0) == 0);
		fill_heap(least);
		struct belongings filled_up = belongings_now();
		tolerated = (const int[]){ENOMEM, 0};
		for (int i = 0; i < 3; i++) {
			errno = 0;
			child_check(mpx_queue_put(q, large, 20000, 0) == -1);
			child_check(errno == ETIMEDOUT || errno == ENOMEM);
			try_memory();
			try_locks();
			try_values();
			try_queue();
			try_process();
			try_pool(2);
			child_left_nothing(filled_up);
		}
		tolerated = NULL;
		empty_heap();
		mpx_queue_free(q);
		child_left_nothing(before);
	}
	child_works();
	return 0;
}

static void test_full_heap(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	assert_int_equal(run_anew("full-heap", "2M"), 0);
}

/* ---- the host ------------------------------------------------------------- */

static int without_standard_descriptors(void *arg)
{
	int which = *(int *)arg;
	for (int fd = 0; fd < 3; fd++)
		if (which & 1 << fd)
			close(fd);
	child_works();
	for (int fd = 0; fd < 3; fd++)
		if (which & 1 << fd)
			child_check(fcntl(fd, F_GETFD) == -1);
	return 0;
}

static void test_standard_descriptors_closed(void **state)
{
	(void)state;
	for (int which = 1; which < 8; which++)
		if (run_child(without_standard_descriptors, &which) != 0)
			fail_msg("closed: %d", which);
}

static int with_signals_blocked(void *arg)
{
	sigset_t all, after;
	(void)arg;
	sigfillset(&all);
	child_check(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	child_works();
	child_check(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
	for (int sig = 1; sig < 32; sig++)
		child_check(sig == SIGKILL || sig == SIGSTOP || sigismember(&after, sig) == 1);
	return 0;
}

static int with_default_signals(void *arg)
{
	(void)arg;
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGALRM) /* the watchdog */
			signal(sig, SIG_DFL);
	child_works();
	return 0;
}

static int with_signals_ignored(void *arg)
{
	(void)arg;
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGALRM)
			signal(sig, SIG_IGN);
	for (int sig = 1; sig < 32; sig++) {
		struct sigaction sa;
		child_check(sig == SIGKILL || sig == SIGSTOP || sig == SIGALRM ||
			    (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN));
	}
	child_works();
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(run_child(with_signals_blocked, NULL), 0);
	assert_int_equal(run_child(with_default_signals, NULL), 0);
	assert_int_equal(run_child(with_signals_ignored, NULL), 0);
}

static atomic_int storms;

static void count_storm(int sig)
{
	(void)sig;
	atomic_fetch_add(&storms, 1);
}

/* A storm by ITIMER_REAL would take the watchdog's timer: another process sends it. */
static int storm(void *arg)
{
	pid_t victim = getppid();
	(void)arg;
	alarm(0);
	while (getppid() == victim && kill(victim, SIGUSR1) == 0)
		nap();
	return 0;
}

static int in_a_storm(void *arg)
{
	struct sigaction sa = {.sa_handler = count_storm}; /* no SA_RESTART */
	static unsigned in[2000], out[2000];
	char x;
	(void)arg;
	sigemptyset(&sa.sa_mask);
	child_check(sigaction(SIGUSR1, &sa, NULL) == 0);
	mpx_free(mpx_malloc(1));
	pid_t stormer = fork();
	if (stormer == 0)
		_exit(storm(NULL));
	struct belongings before = belongings_now();
	mpx_lock *l = mpx_lock_new();
	mpx_queue *q = mpx_queue_new(.maxsize = 2), *echo = mpx_queue_new();
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(l && q && echo && pool);
	for (int i = 0; i < 20; i++) {
		child_check(mpx_pool_map(pool, square, in, out, 2000) == 0);
		try_process();
		try_running_process();
		try_queue();
	}
	for (int i = 0; i < 3; i++)
		try_pool(2);
	try_deaths();
	/* A signal neither stretches a wait nor ends it early. */
	child_check(mpx_lock_acquire(l, 0) == 0);
	for (int i = 0; i < 4; i++) {
		double begin = now();
		errno = 0;
		if (i == 0)
			child_check(mpx_lock_acquire(l, 0.2) == -1);
		else if (i == 1)
			child_check(mpx_queue_get(echo, &x, 1, 0.2) == -1);
		else if (i == 2)
			child_check(mpx_queue_put(q, &x, 1, 0) == 0 &&
				    mpx_queue_put(q, &x, 1, 0) == 0 &&
				    mpx_queue_put(q, &x, 1, 0.2) == -1);
		else
			child_check(mpx_queue_next_size(echo, 0.2) == -1);
		child_check(errno == ETIMEDOUT);
		child_check(now() - begin >= 0.2 && now() - begin < 15);
	}
	child_check(mpx_pool_close(pool) == 0 && mpx_pool_join(pool, SOON) == 0);
	mpx_pool_free(pool);
	mpx_queue_free(q);
	mpx_queue_free(echo);
	mpx_lock_free(l);
	kill(stormer, SIGKILL);
	while (waitpid(stormer, NULL, 0) < 0 && errno == EINTR)
		continue;
	child_check(atomic_load(&storms) > 100);
	child_left_nothing(before);
	return 0;
}

static void test_storm_of_signals(void **state)
{
	(void)state;
	assert_int_equal(run_child(in_a_storm, NULL), 0);
}

static atomic_bool enough;

static void *busy_thread(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		char *p = malloc(3000);
		printf("%p\n", (void *)p);
		free(p);
	}
	return NULL;
}

static int allocate_and_print(void *args)
{
	char *p = malloc(5000);
	(void)args;
	if (!p)
		return 1;
	printf("%p\n", (void *)p);
	free(p);
	return 0;
}

static int print_task(const void *in, void *out)
{
	(void)in;
	(void)out;
	return allocate_and_print(NULL);
}

static int multithreaded(void *arg)
{
	enum { THREADS = 4, AT_ONCE = 10 };
	pthread_t t[THREADS];
	(void)arg;
	child_check(freopen("/dev/null", "w", stdout) != NULL);
	mpx_free(mpx_malloc(1));
	struct belongings before = belongings_now();
	for (int i = 0; i < THREADS; i++)
		child_check(pthread_create(&t[i], NULL, busy_thread, NULL) == 0);
	for (int i = 0; i < 200 / AT_ONCE; i++) {
		mpx_process *p[AT_ONCE];
		for (int k = 0; k < AT_ONCE; k++) {
			p[k] = mpx_process_new(.target = allocate_and_print);
			child_check(p[k] && mpx_process_start(p[k]) == 0);
		}
		for (int k = 0; k < AT_ONCE; k++) {
			int code = -1;
			child_check(mpx_process_join(p[k], SOON) == 0);
			child_check(mpx_process_exitcode(p[k], &code) == 0 && code == 0);
			child_check(mpx_process_free(p[k]) == 0);
		}
	}
	for (int i = 0; i < 20; i++) {
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		child_check(pool != NULL);
		mpx_result *r = mpx_pool_map_async(pool, print_task, NULL, 0, 20, 0, NULL);
		child_check(r && mpx_result_get(r, NULL, SOON) == 0);
		mpx_result_free(r);
		child_check(mpx_pool_close(pool) == 0 && mpx_pool_join(pool, SOON) == 0);
		mpx_pool_free(pool);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	child_left_nothing(before);
	return 0;
}

static void test_multithreaded_host(void **state)
{
	(void)state;
	if (THREAD_SANITIZED)
		skip();
	assert_int_equal(run_child(multithreaded, NULL), 0);
}

/* ---- many cycles ----------------------------------------------------------- */

struct cost {
	size_t fds, blocks, rss, heap;
};

static struct cost cost_now(void)
{
	struct cost c = {open_fds(), heap_blocks(), 0, 0};
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f) {
		if (fscanf(f, "%lu %lu", &size, &resident) == 2)
			c.rss = resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
		fclose(f);
	}
	mpx_memory_stats stats;
	if (mpx_memory_stats_now(&stats) == 0)
		c.heap = (stats.used + stats.kept) / 1024;
	return c;
}

/* Descriptors and blocks as before; of memory, slack KiB more. */
static void assert_flat(const char *what, double begin, struct cost a, size_t slack)
{
	struct cost b = cost_now();
	if (is_long())
		print_message("%s: %.1f s; fds %zu, %zu; blocks %zu, %zu; RSS %zu, %zu KiB; "
			      "heap %zu, %zu KiB\n",
			      what, now() - begin, a.fds, b.fds, a.blocks, b.blocks, a.rss, b.rss,
			      a.heap, b.heap);
	assert_int_equal(a.fds, b.fds);
	assert_int_equal(a.blocks, b.blocks);
	assert_true(b.heap <= a.heap + 32768);
	if (!SANITIZED && b.rss > a.rss + slack)
		fail_msg("%s: RSS %zu KiB, was %zu", what, b.rss, a.rss);
}

static int process_cycles(int n)
{
	int seven = 7, bad = 0;
	for (int i = 0; i < n; i++) {
		int code = -1;
		mpx_process *p = mpx_process_new(.target = return_args, .args = &seven);
		bad += !p || mpx_process_start(p) != 0 || mpx_process_join(p, SOON) != 0 ||
		       mpx_process_exitcode(p, &code) != 0 || code != 7 || mpx_process_free(p) != 0;
	}
	return bad;
}

static int pool_cycles(int n)
{
	int bad = 0;
	for (int i = 0; i < n; i++) {
		unsigned in[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		bad += !pool || mpx_pool_map(pool, square, in, out, 8) != 0 || out[7] != 49;
		if (i % 2)
			bad += mpx_pool_close(pool) != 0 || mpx_pool_join(pool, SOON) != 0;
		mpx_pool_free(pool);
	}
	return bad;
}

static void test_process_cycles(void **state)
{
	(void)state;
	alarm(900);
	assert_int_equal(process_cycles(50), 0);
	struct cost before = cost_now();
	double begin = now();
	int n = is_long() ? 10000 : 1000;
	assert_int_equal(process_cycles(n), 0);
	assert_flat("processes", begin, before, 2048);
}

static void test_pool_cycles(void **state)
{
	(void)state;
	alarm(900);
	assert_int_equal(pool_cycles(5), 0);
	struct cost before = cost_now();
	double begin = now();
	assert_int_equal(pool_cycles(is_long() ? 1000 : 50), 0);
	assert_flat("pools", begin, before, 2048);
}

static void test_queue_backlog(void **state)
{
	(void)state;
	size_t n = is_long() ? 200000 : 20000, size = (size_t)(is_long() ? 64 : 4) << 20;
	alarm(900);
	unsigned char *large = malloc(size);
	assert_non_null(large);
	fill(large, size, 3);
	struct cost before = cost_now();
	double begin = now();
	mpx_queue *q = mpx_queue_new();
	for (size_t i = 0; i < n; i++) {
		assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
		if (i == n / 2)
			assert_ok(mpx_queue_put(q, large, size, 0));
	}
	assert_int_equal(mpx_queue_qsize(q), n + 1);
	memset(large, 0, size);
	for (size_t i = 0, got_one; i < n; i++) {
		assert_int_equal(mpx_queue_get(q, &got_one, sizeof got_one, 0), sizeof i);
		assert_int_equal(got_one, i);
		if (i == n / 2) {
			assert_fails(mpx_queue_get(q, &got_one, sizeof got_one, 0), EMSGSIZE);
			assert_int_equal(mpx_queue_get(q, large, size, 0), size);
			assert_true(filled(large, size, 3));
		}
	}
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
	/* Pages of the heap that this process has touched count as its own. */
	assert_flat("backlog", begin, before, 65536);
	free(large);
}

static void test_large_map(void **state)
{
	(void)state;
	size_t n = is_long() ? 10000000 : 500000;
	alarm(900);
	unsigned *in = malloc(n * sizeof *in), *out = calloc(n, sizeof *out);
	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		in[i] = (unsigned)i;
	memset(out, 1, n * sizeof *out);
	struct cost before = cost_now();
	double begin = now();
	mpx_pool *pool = pool_of(2);
	assert_ok(mpx_pool_map(pool, square, in, out, n));
	for (size_t i = 0; i < n; i++)
		if (out[i] != (unsigned)i * (unsigned)i)
			fail_msg("item %zu", i);
	mpx_pool_free(pool);
	assert_flat("map", begin, before, 65536);
	free(in);
	free(out);
}

int main(int argc, char **argv)
{
	struct rlimit core;
	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &core);
	}
	self = argv[0];
	if (argc > 1 && strcmp(argv[1], "first-calls") == 0)
		return program_first_calls();
	if (argc > 1 && strcmp(argv[1], "full-heap") == 0)
		return program_full_heap();
	if (argc > 1 && strcmp(argv[1], "everything") == 0) {
		child_works();
		return 0;
	}
	if (argc > 1)
		return program_limited(argv[1]);
	const struct CMUnitTest tests[] = {
		mpx_test(test_bad_arguments),
		mpx_test(test_bad_arguments_at_first),
		mpx_test(test_nothing_missed),
		mpx_test(test_timeouts),
		mpx_test(test_address_space),
#ifdef RLIMIT_NPROC
		mpx_test(test_processes),
#endif
		mpx_test(test_descriptors),
		mpx_test(test_file_size),
		mpx_test(test_core),
		mpx_test(test_no_descriptors),
		mpx_test(test_no_descriptors_terminate),
		mpx_test(test_no_descriptors_poll),
		mpx_test(test_no_descriptors_dead_holder),
		mpx_test(test_few_descriptors_start),
#ifdef __linux__
		mpx_test(test_full_disks),
#endif
		mpx_test(test_full_heap),
		mpx_test(test_standard_descriptors_closed),
		mpx_test(test_signals),
		mpx_test(test_storm_of_signals),
		mpx_test(test_multithreaded_host),
		mpx_test(test_process_cycles),
		mpx_test(test_pool_cycles),
		mpx_test(test_queue_backlog),
		mpx_test(test_large_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
