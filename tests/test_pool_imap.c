/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_imap.c - mpx/pool.h, imap and imap_unordered. What CPython's _TestPool checks of
 * them (test_imap, test_imap_unordered, test_imap_handle_iterable_exception,
 * test_imap_unordered_handle_iterable_exception, test_empty_iterable: order, sets, chunks,
 * errors of a task and of the iterable at their place), and:
 *
 *   over arrays and generators, also without end, never more than the window taken ahead;
 *   next goes on after a time-out and after an error; index and failure; freed
 *   early, with work waiting and running; the pool closed, terminated, broken, freed
 *   meanwhile; workers killed; short of memory; a million items in flat memory.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>

/* 0, 1, 2 ... n - 1; or for ever. */
struct counter {
	unsigned next, n;
	int error; /* at the end, instead of the end */
};

static int count(void *user, void *in)
{
	struct counter *c = user;
	if (c->n && c->next == c->n) {
		errno = c->error;
		return c->error ? -1 : 0;
	}
	*(unsigned *)in = c->next++;
	return 1;
}

/* All four kinds: over an array or a generator, in order or not. */
static mpx_imap *imap_of(int kind, mpx_pool *pool, mpx_task *fn, const unsigned *in,
			 struct counter *c, const mpx_task_options *o)
{
	size_t s = sizeof *in;
	mpx_imap *it = kind == 0   ? mpx_pool_imap(pool, fn, in, s, c->n, s, o)
		       : kind == 1 ? mpx_pool_imap_unordered(pool, fn, in, s, c->n, s, o)
		       : kind == 2 ? mpx_pool_imap_from(pool, fn, count, c, s, s, o)
				   : mpx_pool_imap_unordered_from(pool, fn, count, c, s, s, o);
	assert_non_null(it);
	return it;
}

static void test_all_kinds(void **state)
{
	(void)state;
	enum { MOST = 300 };
	static unsigned in[MOST];
	static const unsigned sizes[] = {1, 2, 17, MOST};
	static const size_t chunks[] = {0, 1, 5, 1000}, windows[] = {0, 1, 7, 5000};
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < MOST; i++)
		in[i] = i;
	for (int k = 0; k < 4 * 4 * 4 * 4; k++) {
		int kind = k % 4;
		struct counter c = {.n = sizes[k / 4 % 4]};
		bool seen[MOST] = {false};
		unsigned y;
		mpx_imap *it = imap_of(
			kind, pool, square, in, &c,
			MPX_TASK(.chunksize = chunks[k / 16 % 4], .window = windows[k / 64 % 4]));
		for (unsigned i = 0; i < c.n; i++) {
			assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
			size_t index = mpx_imap_index(it);
			assert_true(kind % 2 || index == i);
			assert_true(index < c.n && !seen[index]);
			seen[index] = true;
			assert_int_equal(y, index * index);
		}
		assert_int_equal(mpx_imap_next(it, &y, MPX_FOREVER), 0);
		assert_int_equal(mpx_imap_next(it, &y, 0), 0);
		mpx_imap_free(it);
	}
	mpx_pool_free(pool);
}

static void test_empty_and_wrong(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	unsigned in[1] = {0}, y;
	mpx_failure why;
	for (int kind = 0; kind < 4; kind++) {
		struct counter none = {.next = 1, .n = 1};
		mpx_imap *it = kind == 0 ? mpx_pool_imap(pool, square, NULL, 4, 0, 4, NULL)
			       : kind == 1
				       ? mpx_pool_imap_unordered(pool, square, NULL, 4, 0, 4, NULL)
				       : imap_of(kind, pool, square, in, &none, NULL);
		assert_non_null(it);
		assert_int_equal(mpx_imap_next(it, &y, MPX_FOREVER), 0);
		mpx_imap_free(it);
	}
	assert_nothing(mpx_pool_imap(NULL, square, in, 4, 1, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_imap(pool, NULL, in, 4, 1, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_imap(pool, square, NULL, 4, 1, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_imap(pool, square, in, SIZE_MAX, 2, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_imap(pool, square, in, 4, 1, 4, MPX_TASK(.timeout = -1)), EINVAL);
	assert_nothing(mpx_pool_imap_from(pool, square, NULL, NULL, 4, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_imap_from(NULL, square, count, NULL, 4, 4, NULL), EINVAL);
	assert_fails(mpx_imap_next(NULL, &y, 0), EINVAL);
	mpx_imap *it = mpx_pool_imap(pool, square, in, 4, 1, 4, NULL);
	assert_fails(mpx_imap_next(it, &y, NOT_A_NUMBER), EINVAL);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1); /* nobody wants to know */
	assert_fails(mpx_imap_failure(it, &why), ENOENT);
	assert_fails(mpx_imap_get_failure(it, NULL, 0), EINVAL);
	assert_fails(mpx_imap_failure(NULL, &why), EINVAL);
	mpx_imap_free(it);
	mpx_imap_free(NULL);
	mpx_pool_free(pool);
}

/* --- errors ------------------------------------------------------------------------------ */

static int fail_on_thirds(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	return x % 3 == 2 ? mpx_fail(EDOM, "no %u", x) : square(in, out);
}

static void test_errors_in_place(void **state)
{
	(void)state;
	enum { N = 100 };
	unsigned in[N];
	static const size_t chunks[] = {1, 4, 1000};
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	for (int k = 0; k < 12; k++) {
		struct counter c = {.n = N};
		/* (.stop_at is not for imap) */
		mpx_imap *it =
			imap_of(k % 4, pool, fail_on_thirds, in, &c,
				MPX_TASK(.chunksize = chunks[k / 4], .stop_at = MPX_FIRST_ERROR));
		size_t sum = 0;
		for (unsigned i = 0; i < N; i++) {
			unsigned y = 0;
			mpx_failure why;
			int rc = mpx_imap_next(it, &y, SOON), error = errno;
			size_t index = mpx_imap_index(it);
			char text[32];
			sum += index;
			assert_true(k % 2 || index == i);
			if (index % 3 != 2) {
				assert_int_equal(rc, 1);
				assert_int_equal(y, index * index);
				assert_fails(mpx_imap_failure(it, &why), ENOENT);
				continue;
			}
			assert_int_equal(rc, -1);
			assert_int_equal(error, EDOM);
			/* A call that is refused forgets nothing. */
			assert_fails(mpx_imap_next(it, &y, NOT_A_NUMBER), EINVAL);
			assert_int_equal(mpx_imap_index(it), index);
			assert_ok(mpx_imap_failure(it, &why));
			assert_int_equal(why.index, index);
			assert_int_equal(why.error, EDOM);
			snprintf(text, sizeof text, "no %zu", index);
			if (k / 4 == 0) /* of a chunk, words come with its first failure */
				assert_string_equal(why.message, text);
		}
		assert_int_equal(sum, N * (N - 1) / 2);
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
		mpx_imap_free(it);
	}
	mpx_pool_free(pool);
}

/* The generator's error comes after the results of what was before, once. */
static void test_generator_fails(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (unsigned n = 0; n < 30; n += 7) {
		for (size_t chunk = 1; chunk < 20; chunk += 6) {
			struct counter c = {.n = n, .error = ENOSPC};
			mpx_failure why;
			if (n == 0) { /* at once: n = 0 would be "for ever" */
				c = (struct counter){.next = 1, .n = 1, .error = ENOSPC};
				assert_nothing(mpx_pool_imap_from(pool, square, count, &c, 4, 4,
								  MPX_TASK(.chunksize = chunk)),
					       ENOSPC);
				continue;
			}
			mpx_imap *it =
				imap_of(2, pool, square, NULL, &c, MPX_TASK(.chunksize = chunk));
			for (unsigned i = 0; i < n; i++) {
				unsigned y = 0;
				assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
				assert_int_equal(y, i * i);
			}
			assert_fails(mpx_imap_next(it, NULL, SOON), ENOSPC);
			assert_fails(mpx_imap_failure(it, &why), ENOENT);
			assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
			mpx_imap_free(it);
		}
	}
	mpx_pool_free(pool);
}

/* In any order, but the error comes last here too. */
static void test_generator_fails_unordered(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(3);
	for (unsigned n = 7; n < 30; n += 7) {
		for (size_t chunk = 1; chunk < 20; chunk += 6) {
			struct counter c = {.n = n, .error = ENOSPC};
			bool seen[30] = {false};
			mpx_imap *it =
				imap_of(3, pool, square, NULL, &c, MPX_TASK(.chunksize = chunk));
			for (unsigned i = 0; i < n; i++) {
				unsigned y = 0;
				assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
				size_t index = mpx_imap_index(it);
				assert_true(index < n && !seen[index] && y == index * index);
				seen[index] = true;
			}
			assert_fails(mpx_imap_next(it, NULL, SOON), ENOSPC);
			assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
			mpx_imap_free(it);
		}
	}
	struct counter c = {.next = 1, .n = 1, .error = ENOSPC};
	for (int again = 0; again < 2; again++)
		assert_nothing(mpx_pool_imap_unordered_from(pool, square, count, &c, 4, 4, NULL),
			       ENOSPC);
	mpx_pool_free(pool);
}

/* --- window, timeouts --------------------------------------------------------------------- */

static void test_window(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (int kind = 2; kind < 4; kind++) {
		for (size_t window = 1; window < 40; window += 6) {
			size_t chunk = window > 20 ? 5 : 1, most = window / chunk * chunk;
			struct counter c = {.n = 0}; /* for ever */
			mpx_imap *it = imap_of(kind, pool, square, NULL, &c,
					       MPX_TASK(.window = window, .chunksize = chunk));
			assert_int_equal(c.next, most);
			for (unsigned i = 0; i < 200; i++) {
				assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
				/* The chunk that is being fetched is not ahead. */
				assert_true(c.next <= most + (i / chunk + 1) * chunk);
			}
			mpx_imap_free(it);
		}
	}
	/* Nobody fetches: nobody takes. */
	struct counter c = {.n = 0};
	mpx_imap *it = imap_of(2, pool, square, NULL, &c, NULL);
	assert_int_equal(c.next, 8); /* four for each worker */
	for (int i = 0; i < 20; i++)
		nap();
	assert_int_equal(c.next, 8);
	mpx_imap_free(it);
	mpx_pool_free(pool);
}

static void test_timeout_and_on(void **state)
{
	(void)state;
	enum { N = 5 };
	mpx_pool *pool = pool_of(N);
	for (int unordered = 0; unordered < 2; unordered++) {
		struct gate *g[N];
		mpx_failure why;
		for (int i = 0; i < N; i++)
			g[i] = gate_new();
		mpx_imap *it = unordered ? mpx_pool_imap_unordered(pool, pass_gate, g, sizeof *g, N,
								   0, NULL)
					 : mpx_pool_imap(pool, pass_gate, g, sizeof *g, N, 0, NULL);
		assert_non_null(it);
		for (int i = N - 1; i >= 0; i--) { /* backwards */
			assert_times_out(mpx_imap_next(it, NULL, 0), 0);
			assert_times_out(mpx_imap_next(it, NULL, 0.05), 0.05);
			assert_fails(mpx_imap_failure(it, &why), ENOENT);
			atomic_store(&g[i]->open, true);
			if (unordered) {
				assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
				assert_int_equal(mpx_imap_index(it), i);
			} else {
				assert_soon(atomic_load(&g[i]->left) == 1);
			}
		}
		for (size_t i = 0; i < N && !unordered; i++) {
			assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
			assert_int_equal(mpx_imap_index(it), i);
		}
		assert_int_equal(mpx_imap_next(it, NULL, 0), 0);
		mpx_imap_free(it);
		for (int i = 0; i < N; i++)
			mpx_free(g[i]);
	}
	mpx_pool_free(pool);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void test_freed_early(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (int i = 0; i < 40; i++) {
		struct counter c = {.n = 0};
		mpx_imap *it = imap_of(2 + i % 2, pool, square, NULL, &c,
				       MPX_TASK(.chunksize = (size_t)i % 5, .window = 50));
		for (int k = 0; k < i; k++)
			assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
		mpx_imap_free(it);
	}
	/* What was waiting is never run; what was running goes on. */
	struct gate *g = gate_new(), *gates[20];
	unsigned x = 3, y = 0;
	for (int i = 0; i < 20; i++)
		gates[i] = g;
	mpx_imap *it =
		mpx_pool_imap(pool, pass_gate, gates, sizeof *gates, 20, 0, MPX_TASK(.window = 20));
	assert_soon(atomic_load(&g->entered) == 2);
	mpx_imap_free(it);
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_soon(atomic_load(&g->left) == 2);
	assert_int_equal(atomic_load(&g->entered), 2);
	mpx_pool_free(pool);
	mpx_free(g);
}

static void test_pool_ends(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		enum { N = 100 };
		unsigned in[N] = {0}, y;
		struct counter c = {.n = N};
		mpx_pool *pool = pool_of(2);
		mpx_imap *it = imap_of(kind, pool, square, in, &c, MPX_TASK(.window = 10)), *it2;
		assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
		assert_ok(mpx_pool_close(pool));
		assert_nothing(mpx_pool_imap(pool, square, in, 4, N, 4, NULL), EBUSY);
		/* What was given to it is still done, then it takes no more. */
		int got = 1;
		while (mpx_imap_next(it, &y, SOON) == 1)
			got++;
		assert_int_equal(errno, EBUSY);
		assert_int_equal(got, 11);
		assert_int_equal(mpx_imap_next(it, &y, SOON), 0);
		mpx_imap_free(it);
		mpx_pool_free(pool);

		struct gate *g = gate_new(), *gates[4] = {g, g, g, g};
		pool = pool_of(1);
		it = mpx_pool_imap(pool, pass_gate, gates, sizeof g, 4, 0, NULL);
		it2 = mpx_pool_imap_unordered(pool, pass_gate, gates, sizeof g, 4, 0, NULL);
		assert_soon(atomic_load(&g->entered) == 1);
		if (kind % 2)
			assert_ok(mpx_pool_terminate(pool));
		else
			mpx_pool_free(pool);
		for (int i = 0; i < 4; i++) {
			mpx_failure why;
			assert_fails(mpx_imap_next(it, NULL, SOON), ECANCELED);
			assert_ok(mpx_imap_failure(it, &why));
			assert_int_equal(why.index, i);
			assert_fails(mpx_imap_next(it2, NULL, SOON), ECANCELED);
		}
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
		assert_int_equal(mpx_imap_next(it2, NULL, SOON), 0);
		mpx_imap_free(it);
		mpx_imap_free(it2);
		if (kind % 2)
			mpx_pool_free(pool);
		mpx_free(g);
	}
}

static int parents_pid(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

static void test_pool_breaks(void **state)
{
	(void)state;
	for (int unordered = 0; unordered < 2; unordered++) {
		struct gate *g = gate_new(), *gates[3] = {g, g, g};
		mpx_pool *pool = pool_of(1);
		pid_t supervisor = 0;
		assert_ok(mpx_pool_map_sized(pool, parents_pid, NULL, 0, &supervisor,
					     sizeof supervisor, 1, NULL));
		mpx_imap *it =
			unordered ? mpx_pool_imap_unordered(pool, pass_gate, gates, sizeof g, 3, 0,
							    NULL)
				  : mpx_pool_imap(pool, pass_gate, gates, sizeof g, 3, 0, NULL);
		assert_soon(atomic_load(&g->entered) == 1);
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		for (int i = 0; i < 3; i++)
			assert_fails(mpx_imap_next(it, NULL, SOON), EOWNERDEAD);
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
		mpx_imap_free(it);
		mpx_pool_free(pool);
		mpx_free(g);
	}
}

static int die_on_sevenths(const void *in, void *out)
{
	if (*(const unsigned *)in % 7 == 5)
		raise(SIGKILL);
	return square(in, out);
}

static void test_workers_die(void **state)
{
	(void)state;
	enum { N = 60 };
	unsigned in[N];
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	for (int k = 0; k < 8; k++) {
		struct counter c = {.n = N};
		bool seen[N] = {false};
		mpx_imap *it = imap_of(k % 4, pool, die_on_sevenths, in, &c,
				       MPX_TASK(.chunksize = k / 4 ? 6 : 1));
		for (unsigned i = 0; i < N; i++) {
			unsigned y = 0;
			int rc = mpx_imap_next(it, &y, SOON), error = errno;
			size_t index = mpx_imap_index(it);
			mpx_failure why;
			assert_true(index < N && !seen[index]);
			seen[index] = true;
			if (index % 7 != 5) {
				assert_int_equal(rc, 1);
				assert_int_equal(y, index * index);
				continue;
			}
			assert_int_equal(rc, -1);
			assert_int_equal(error, EOWNERDEAD);
			assert_ok(mpx_imap_failure(it, &why));
			if (k / 4 == 0)
				assert_int_equal(why.signal, SIGKILL);
		}
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
		mpx_imap_free(it);
	}
	mpx_pool_free(pool);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The most that this process ever had, in a unit of the system's. */
static long own_memory(void)
{
	struct rusage usage;
	assert_ok(getrusage(RUSAGE_SELF, &usage));
	return usage.ru_maxrss;
}

static void test_a_million(void **state)
{
	(void)state;
	unsigned n = full_or(1000000, 100000);
	struct counter c = {.n = 0};
	mpx_pool *pool = pool_of(2);
	mpx_imap *it = imap_of(2, pool, square, NULL, &c, MPX_TASK(.chunksize = 50, .window = 800));
	size_t first = 0;
	long own = 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned y = 0;
		assert_int_equal(mpx_imap_next(it, &y, SOON), 1);
		if (y != i * i || mpx_imap_index(it) != i || c.next > i + 1 + 800 + 50)
			fail_msg("result %u: %u, taken %u", i, y, c.next);
		if (i == 999)
			first = heap_blocks();
		if (i == n / 10)
			own = own_memory();
		if (i % 1000 == 999) /* always as many, but for those that workers still hold */
			assert_in_range(heap_blocks(), first - 2, first + 2);
	}
	assert_true(own_memory() <= own + own / 8 || SANITIZED);
	mpx_imap_free(it);
	mpx_pool_free(pool);
}

/* Each result is a quarter of the heap: as many are under way as there is room for. */
static int fill_it(const void *in, void *out)
{
	fill(out, 16 << 20, *(const unsigned *)in);
	return 0;
}

static int short_of_memory(void)
{
	static unsigned char out[16 << 20];
	struct counter c = {.n = 20};
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool);
	mpx_imap *it =
		mpx_pool_imap_from(pool, fill_it, count, &c, 4, sizeof out, MPX_TASK(.window = 20));
	child_check(it);
	child_check(c.next < 20);
	for (unsigned i = 0; i < 20; i++) {
		child_check(mpx_imap_next(it, out, SOON) == 1);
		child_check(mpx_imap_index(it) == i && filled(out, sizeof out, i));
	}
	child_check(mpx_imap_next(it, out, SOON) == 0);
	mpx_imap_free(it);
	mpx_pool_free(pool);
	return 0;
}

static const char *program;

static void test_short_of_memory(void **state)
{
	(void)state;
	assert_int_equal(run_anew(program, "short-of-memory", "80M", 0), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_all_kinds),
		mpx_test(test_empty_and_wrong),
		mpx_test(test_errors_in_place),
		mpx_test(test_generator_fails),
		mpx_test(test_generator_fails_unordered),
		mpx_test(test_window),
		mpx_test(test_timeout_and_on),
		mpx_test(test_freed_early),
		mpx_test(test_pool_ends),
		mpx_test(test_pool_breaks),
		mpx_test(test_workers_die),
		mpx_test(test_a_million),
		mpx_test(test_short_of_memory),
	};
	program = argv[0];
	if (argc == 2)
		return short_of_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
