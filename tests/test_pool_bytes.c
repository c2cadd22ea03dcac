/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_bytes.c - mpx/pool.h, results of any size: mpx_task_give, mpx_result_bytes,
 * mpx_imap_bytes. As Python's test_pool does with large results (a task returns what it
 * likes), and further:
 *
 *   sizes from 0 to 64 MiB, alone, in a map, in imap; 100 000 items of random sizes by
 *   content, some without; a second call replaces the first; who fails has given nothing,
 *   nor have earlier attempts; workers killed after giving, and at random while they give;
 *   cancel, free, terminate and pool_free while somebody gives; the supervisor killed then; results
 * that outlive their pool, or that another process reads and frees; all back ends, futures; no
 * memory; who is no task. The harness counts the heap's blocks after each test.
 *
 * Seen to fail with these lines changed: mpx__bytes_drop() gone from run_item(), from
 * mpx__job_worker_died(), or from mpx_task_give(); mpx__bytes_settle() gone from
 * mpx__job_worker_died() or mpx__job_orphan_all() (now and then);
 * mpx__bytes_free_all() gone from remove_and_free() or mpx__result_free(); fetch() in imap.c
 * freeing its last job at once; mpx__bytes_of() without the look at aborted.
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

/* What a task shall give. */
struct wish {
	size_t size;
	size_t seed;
	enum {
		ONCE,
		NOTHING,
		THRICE,
		THEN_FAILS,
		FAILS_ONCE,
		FAILS_THEN_NOTHING,
		DIES,
		DIES_ONCE
	} how;
};

static int give(size_t size, size_t seed)
{
	unsigned char small[512], *p = size <= sizeof small ? small : malloc(size);
	int got, error;
	if (!p)
		return ENOMEM;
	fill(p, size, seed);
	got = mpx_task_give(size ? p : NULL, size);
	error = errno;
	memset(p, 0xee, size); /* it was copied */
	if (p != small)
		free(p);
	return got == 0 ? 0 : error;
}

static int grant(const void *in, void *out)
{
	const struct wish *w = in;
	unsigned attempt = mpx_task_attempt();
	int error = 0;
	*(size_t *)out = w->seed;
	if (w->how == NOTHING || (w->how == FAILS_THEN_NOTHING && attempt > 0))
		return 0;
	if (w->how == THRICE)
		error = give(w->size * 2 + 3, 99) || give(0, 0);
	if ((w->how == FAILS_ONCE || w->how == DIES_ONCE) && attempt == 0)
		error = give(w->size + 100, 77);
	else
		error = error ? error : give(w->size, w->seed);
	if (w->how == DIES || (w->how == DIES_ONCE && attempt == 0))
		raise(SIGKILL);
	if (w->how == THEN_FAILS ||
	    (attempt == 0 && (w->how == FAILS_ONCE || w->how == FAILS_THEN_NOTHING)))
		error = EDOM;
	return error;
}

static bool is_granted(const void *bytes, size_t size, const struct wish *w)
{
	return bytes && (uintptr_t)bytes % 16 == 0 && size == w->size &&
	       filled(bytes, size, w->seed);
}

static void check_result(mpx_result *r, size_t i, const struct wish *w)
{
	size_t size = 12345;
	const void *bytes = mpx_result_bytes(r, i, &size);
	if (!is_granted(bytes, size, w))
		fail_msg("item %zu: %p, %zu bytes of %zu", i, bytes, size, w->size);
	assert_ptr_equal(mpx_result_bytes(r, i, NULL), bytes);
}

static mpx_result *granted(mpx_pool *pool, const struct wish *w, size_t n,
			   const mpx_task_options *options)
{
	mpx_result *r = mpx_pool_map_async(pool, grant, w, sizeof *w, n, sizeof(size_t), options);
	assert_non_null(r);
	return r;
}

/* --- sizes ----------------------------------------------------------------------------- */

static const struct wish sizes[] = {
	{0, 1, ONCE},	 {1, 2, ONCE},	 {15, 3, ONCE},	  {16, 4, ONCE},    {17, 5, ONCE},
	{4096, 6, ONCE}, {MIB, 7, ONCE}, {3, 8, NOTHING}, {16353, 9, ONCE}, {64 * MIB, 10, ONCE}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void test_sizes(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (int k = 0; k < SIZES; k++) {
		size_t seed = 0;
		mpx_result *r = mpx_pool_apply_async(pool, grant, &sizes[k], sizeof *sizes,
						     sizeof(size_t), NULL);
		assert_non_null(r);
		assert_ok(mpx_result_get(r, &seed, SOON));
		assert_int_equal(seed, sizes[k].seed);
		if (sizes[k].how == NOTHING)
			assert_nothing(mpx_result_bytes(r, 0, NULL), ENOENT);
		else
			check_result(r, 0, &sizes[k]);
		assert_nothing(mpx_result_bytes(r, 1, NULL), EINVAL);
		mpx_result_free(r);
	}
	mpx_result *r = granted(pool, sizes, SIZES, NULL);
	assert_ok(mpx_result_wait(r, SOON));
	for (size_t k = 0; k < SIZES; k++)
		if (sizes[k].how == NOTHING)
			assert_nothing(mpx_result_bytes(r, k, NULL), ENOENT);
		else
			check_result(r, k, &sizes[k]);
	mpx_result_free(r);
	/* Who keeps no result throws them away. */
	size_t out[SIZES];
	assert_ok(mpx_pool_map(pool, grant, sizes, out, SIZES));
	mpx_pool_free(pool);
}

static int next_wish(void *user, void *in)
{
	size_t *n = user;
	if (*n == SIZES)
		return 0;
	memcpy(in, &sizes[(*n)++], sizeof *sizes);
	return 1;
}

static void check_imap(mpx_imap *it)
{
	size_t seen = 0, size, seed;
	assert_non_null(it);
	assert_nothing(mpx_imap_bytes(it, &size), ENOENT);
	while (mpx_imap_next(it, &seed, SOON) == 1) {
		const struct wish *w = &sizes[mpx_imap_index(it)];
		const void *bytes = mpx_imap_bytes(it, &size);
		assert_int_equal(seed, w->seed);
		if (w->how == NOTHING)
			assert_nothing(mpx_imap_bytes(it, &size), ENOENT);
		else
			assert_true(is_granted(bytes, size, w));
		seen++;
	}
	assert_int_equal(seen, SIZES);
	assert_nothing(mpx_imap_bytes(it, &size), ENOENT);
	mpx_imap_free(it);
}

static void test_imap(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (size_t chunk = 1; chunk < 2 * SIZES; chunk += 3) {
		size_t taken = 0, size = sizeof(size_t);
		const mpx_task_options *o = MPX_TASK(.chunksize = chunk);
		check_imap(mpx_pool_imap(pool, grant, sizes, sizeof *sizes, SIZES, size, o));
		check_imap(
			mpx_pool_imap_unordered(pool, grant, sizes, sizeof *sizes, SIZES, size, o));
		check_imap(
			mpx_pool_imap_from(pool, grant, next_wish, &taken, sizeof *sizes, size, o));
	}
	/* Ended early, with the pointer in hand. */
	mpx_imap *it =
		mpx_pool_imap(pool, grant, sizes, sizeof *sizes, SIZES, sizeof(size_t), NULL);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	assert_non_null(mpx_imap_bytes(it, NULL));
	mpx_imap_free(it);
	mpx_pool_free(pool);
}

static void test_many(void **state)
{
	(void)state;
	enum { N = 100000 };
	static const size_t chunks[] = {0, 1, 997};
	struct wish *w = malloc(N * sizeof *w);
	uint64_t seed = 3;
	assert_non_null(w);
	mpx_pool *pool = pool_of(3);
	size_t before = heap_blocks();
	for (int k = 0; k < 3; k++) {
		size_t n = k ? N / 10 : N, given = 0;
		for (size_t i = 0; i < n; i++) {
			uint64_t x = next_random(&seed);
			w[i] = (struct wish){x % 100 ? x / 100 % 300 : x / 100 % 20000, i,
					     x % 7 ? ONCE : NOTHING};
			given += w[i].how == ONCE;
		}
		mpx_result *r = granted(pool, w, n, MPX_TASK(.chunksize = chunks[k]));
		assert_ok(mpx_result_wait(r, 2 * SOON));
		assert_ok(mpx_result_get(r, NULL, 0));
		for (size_t i = 0; i < n; i++)
			if (w[i].how == ONCE)
				check_result(r, i, &w[i]);
			else
				assert_null(mpx_result_bytes(r, i, NULL));
		/* The job, its slots, and one block each. */
		assert_int_equal(heap_blocks(), before + 2 + given);
		mpx_result_free(r);
		assert_soon(heap_blocks() == before);
	}
	mpx_pool_free(pool);
	free(w);
}

/* --- failures ------------------------------------------------------------------------------ */

static void test_replaced_failed_retried(void **state)
{
	(void)state;
	enum { N = 60 };
	static const int ways[] = {ONCE,      THRICE, THEN_FAILS, FAILS_ONCE, FAILS_THEN_NOTHING,
				   DIES_ONCE, NOTHING};
	struct wish w[N];
	mpx_pool *pool = pool_of(2);
	for (int retries = 0; retries < 2; retries++) {
		size_t kept = 0, before;
		for (size_t i = 0; i < N; i++)
			w[i] = (struct wish){i * 31, i, ways[i % 7]};
		before = heap_blocks();
		mpx_result *r = granted(pool, w, N, MPX_TASK(.retries = retries, .chunksize = 5));
		assert_fails(mpx_result_get(r, NULL, SOON), EDOM);
		for (size_t i = 0; i < N; i++) {
			int how = w[i].how;
			if (how == ONCE || how == THRICE ||
			    (retries && (how == FAILS_ONCE || how == DIES_ONCE))) {
				check_result(r, i, &w[i]);
				kept++;
			} else {
				assert_nothing(mpx_result_bytes(r, i, NULL), ENOENT);
			}
		}
		assert_soon(heap_blocks() == before + 2 + kept);
		mpx_result_free(r);
		/* One by one. */
		mpx_imap *it = mpx_pool_imap(pool, grant, w, sizeof *w, N, sizeof(size_t),
					     MPX_TASK(.retries = retries, .chunksize = 4));
		for (size_t i = 0; i < N; i++) {
			size_t size = 0, was_kept = kept;
			int got = mpx_imap_next(it, NULL, SOON);
			const void *bytes = mpx_imap_bytes(it, &size);
			kept -= bytes != NULL;
			assert_true(got == 1 || errno == ENOENT);
			if (was_kept != kept)
				assert_true(got == 1 && is_granted(bytes, size, &w[i]));
		}
		assert_int_equal(kept, 0);
		mpx_imap_free(it);
	}
	mpx_pool_free(pool);
}

static void test_deaths(void **state)
{
	(void)state;
	enum { N = 40 };
	struct wish w[N];
	mpx_pool *pool = pool_of(2);
	for (size_t i = 0; i < N; i++)
		w[i] = (struct wish){5000, i, i % 4 == 1 ? DIES : ONCE};
	for (int retries = 0; retries < 2; retries++) {
		mpx_result *r = granted(pool, w, N, MPX_TASK(.retries = retries, .chunksize = 8));
		assert_fails(mpx_result_get(r, NULL, SOON), EOWNERDEAD);
		for (size_t i = 0; i < N; i++)
			if (w[i].how == ONCE)
				check_result(r, i, &w[i]);
			else
				assert_nothing(mpx_result_bytes(r, i, NULL), ENOENT);
		mpx_result_free(r);
	}
	mpx_pool_free(pool);
}

static atomic_int *busy; /* the pid of a worker that gives; in the family's heap */

/* Many times, so that who is killed is killed giving. */
static int give_often(const void *in, void *out)
{
	const struct wish *w = in;
	int error = 0;
	(void)out;
	atomic_store(busy, (int)getpid());
	for (size_t k = 0; k < 30 && !error; k++)
		error = give(w->size + k % 5 * 200, k);
	return error ? error : give(w->size, w->seed);
}

static void test_random_kills(void **state)
{
	(void)state;
	enum { N = 2000 };
	static struct wish w[N];
	uint64_t seed = 11;
	int kills = 0;
	assert_non_null(busy = mpx_calloc(1, sizeof *busy));
	mpx_pool *pool = pool_of(3);
	for (size_t i = 0; i < N; i++)
		w[i] = (struct wish){next_random(&seed) % 1000, i, ONCE};
	mpx_result *r = mpx_pool_map_async(pool, give_often, w, sizeof *w, N, 0,
					   MPX_TASK(.retries = 200, .chunksize = 10));
	assert_non_null(r);
	double end = now() + SOON;
	while (!mpx_result_ready(r) && kills < 100 && now() < end) {
		struct timespec t = {0, (long)(next_random(&seed) % 2000000)};
		nanosleep(&t, NULL); /* the random moment */
		pid_t pid = atomic_exchange(busy, 0);
		kills += pid > 0 && kill(pid, SIGKILL) == 0;
	}
	assert_ok(mpx_result_get(r, NULL, 2 * SOON));
	for (size_t i = 0; i < N; i++)
		check_result(r, i, &w[i]);
	assert_true(kills > 0);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(busy);
}

/* --- ends ---------------------------------------------------------------------------------- */

static int give_for_ever(const void *in, void *out)
{
	struct gate *g = *(struct gate *const *)in;
	double end = now() + 2 * SOON;
	(void)out;
	for (size_t k = 0; !atomic_load(&g->open) && now() < end; k++) {
		if (give(k % 3000, k) != 0)
			return EIO;
		atomic_fetch_add(&g->entered, 1);
	}
	return 0;
}

static void test_ends_while_giving(void **state)
{
	(void)state;
	static const mpx_backend backends[] = {MPX_BACKEND_PROCESSES, MPX_BACKEND_THREADS};
	for (int k = 0; k < 12; k++) {
		struct gate *g = gate_new();
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = backends[k % 2]);
		assert_non_null(pool);
		mpx_result *r = mpx_pool_apply_async(pool, give_for_ever, &g, sizeof g, 0, NULL);
		assert_non_null(r);
		assert_soon(atomic_load(&g->entered) > 50);
		assert_nothing(mpx_result_bytes(r, 0, NULL), EAGAIN);
		switch (k / 2 % 3) {
		case 0: /* cancel */
			assert_ok(mpx_result_cancel(r));
			assert_nothing(mpx_result_bytes(r, 0, NULL), ENOENT);
			break;
		case 1:
			assert_ok(mpx_pool_terminate(pool));
			assert_nothing(mpx_result_bytes(r, 0, NULL), ENOENT);
			break;
		case 2:
			mpx_result_free(r);
			r = NULL;
			break;
		}
		if (k < 6)
			mpx_result_free(r);
		atomic_store(&g->open, k % 2 || k / 2 % 3 == 2); /* threads cannot be ended */
		mpx_pool_free(pool);
		if (k >= 6)
			mpx_result_free(r);
		mpx_free(g);
	}
}

static int parent_of(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

/* Its workers die with it, wherever they are, and nobody buries them before the end. */
static void test_supervisor_killed(void **state)
{
	(void)state;
	uint64_t seed = 21;
	for (int k = 0; k < 25; k++) {
		struct gate *g = gate_new();
		mpx_pool *pool = pool_of(2);
		pid_t supervisor = 0;
		mpx_result *r[2];
		assert_ok(mpx_pool_map_sized(pool, parent_of, NULL, 0, &supervisor,
					     sizeof supervisor, 1, NULL));
		for (int i = 0; i < 2; i++)
			r[i] = mpx_pool_apply_async(pool, give_for_ever, &g, sizeof g, 0, NULL);
		assert_soon(atomic_load(&g->entered) > 50);
		struct timespec t = {0, (long)(next_random(&seed) % 1000000)};
		nanosleep(&t, NULL); /* the random moment */
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		for (int i = 0; i < 2; i++) {
			assert_fails(mpx_result_get(r[i], NULL, SOON), EOWNERDEAD);
			assert_nothing(mpx_result_bytes(r[i], 0, NULL), ENOENT);
		}
		mpx_result_free(r[0]);
		mpx_pool_free(pool);
		mpx_result_free(r[1]);
		mpx_free(g);
	}
}

static int read_and_free(void *arg)
{
	mpx_result *r = arg;
	size_t size;
	const void *bytes = mpx_result_bytes(r, 6, &size);
	child_check(is_granted(bytes, size, &sizes[6]));
	mpx_result_free(r);
	return 0;
}

static void test_outlives_its_pool(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	mpx_result *r = granted(pool, sizes, SIZES - 1, NULL);
	mpx_result *other = granted(pool, sizes, SIZES - 1, NULL);
	assert_ok(mpx_result_wait(r, SOON));
	assert_ok(mpx_result_wait(other, SOON));
	ends_well(start(read_and_free, other));
	mpx_pool_free(pool);
	check_result(r, 6, &sizes[6]);
	ends_well(start(read_and_free, r));
	assert_nothing(mpx_result_bytes(r, 0, NULL), EINVAL);
}

/* --- back ends ------------------------------------------------------------------------------ */

static void test_back_ends(void **state)
{
	(void)state;
	static const mpx_backend backends[] = {MPX_BACKEND_THREADS, MPX_BACKEND_SERIAL};
	static const int ways[] = {ONCE, THRICE, FAILS_ONCE, NOTHING};
	enum { N = 500 };
	struct wish w[N];
	for (size_t i = 0; i < N; i++)
		w[i] = (struct wish){i * 7, i, ways[i % 4]};
	for (int k = 0; k < 2; k++) {
		mpx_pool *pool = mpx_pool_new(.processes = 3, .backend = backends[k]);
		assert_non_null(pool);
		mpx_result *r = granted(pool, w, N, MPX_TASK(.retries = 1));
		assert_ok(mpx_result_get(r, NULL, SOON));
		for (size_t i = 0; i < N; i++)
			if (w[i].how == NOTHING)
				assert_nothing(mpx_result_bytes(r, i, NULL), ENOENT);
			else
				check_result(r, i, &w[i]);
		mpx_result_free(r);
		check_imap(mpx_pool_imap(pool, grant, sizes, sizeof *sizes, SIZES, sizeof(size_t),
					 NULL));
		mpx_pool_free(pool);
	}
}

static void test_futures(void **state)
{
	(void)state;
	size_t seed;
	mpx_executor *e = mpx_executor_new(.max_workers = 2);
	assert_non_null(e);
	mpx_future *f = mpx_executor_submit(e, grant, &sizes[6], sizeof *sizes, sizeof seed, NULL);
	assert_ok(mpx_future_result(f, &seed, SOON));
	check_result(f, 0, &sizes[6]);
	mpx_future_free(f);
	check_imap(mpx_executor_map(e, grant, sizes, sizeof *sizes, SIZES, sizeof seed, NULL));
	mpx_executor_free(e);
}

/* A pool inside a task: each gives to its own item. */
static int give_in_and_out(const void *in, void *out)
{
	const struct wish *w = in;
	struct wish inner = {w->size + 1, w->seed + 1, ONCE};
	int error = give(w->size, w->seed);
	(void)out;
	mpx_pool *pool = mpx_pool_new(.backend = MPX_BACKEND_SERIAL);
	mpx_result *r =
		mpx_pool_map_async(pool, grant, &inner, sizeof inner, 1, sizeof(size_t), NULL);
	size_t size = 0;
	const void *bytes = mpx_result_bytes(r, 0, &size);
	if (!is_granted(bytes, size, &inner))
		error = EBADMSG;
	mpx_result_free(r);
	mpx_pool_free(pool);
	return error ? error : w->how == THRICE ? give(w->size, w->seed) : 0;
}

static void test_nested(void **state)
{
	(void)state;
	struct wish w[2] = {{300, 4, ONCE}, {3000, 5, THRICE}};
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_map_async(pool, give_in_and_out, w, sizeof *w, 2, 0, NULL);
	assert_ok(mpx_result_get(r, NULL, SOON));
	check_result(r, 0, &w[0]);
	check_result(r, 1, &w[1]);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

/* --- what cannot be --------------------------------------------------------------------------- */

static int fails_to_give(void *args)
{
	errno = 0;
	return mpx_task_give(args ? args : "x", 1) == -1 && errno == EINVAL ? 0 : EBADMSG;
}

static void *fails_in_thread(void *arg)
{
	*(int *)arg = fails_to_give(NULL);
	return NULL;
}

static bool fails_with(const void *bytes, size_t size, int error)
{
	errno = 0;
	return mpx_task_give(bytes, size) == -1 && errno == error;
}

static int give_wrongly(const void *in, void *out)
{
	pthread_t thread;
	int in_thread = EIO, code = -1;
	(void)in;
	(void)out;
	if (mpx_task_give("kept", 4) != 0)
		return EIO;
	if (!fails_with(NULL, 1, EINVAL))
		return mpx_fail(EBADMSG, "no bytes");
	if (!fails_with("", SIZE_MAX, ENOMEM) || !fails_with("", SIZE_MAX - 16, ENOMEM) ||
	    !fails_with("", SIZE_MAX / 2, ENOMEM))
		return mpx_fail(EBADMSG, "too many");
	if (pthread_create(&thread, NULL, fails_in_thread, &in_thread) != 0 ||
	    pthread_join(thread, NULL) != 0 || in_thread)
		return mpx_fail(EBADMSG, "thread");
	mpx_process *p = mpx_process_new(.target = fails_to_give);
	if (mpx_process_start(p) != 0 || mpx_process_join(p, SOON) != 0 ||
	    mpx_process_exitcode(p, &code) != 0 || code != 0 || mpx_process_free(p) != 0)
		return mpx_fail(EBADMSG, "process");
	return 0;
}

static void test_who_is_no_task(void **state)
{
	(void)state;
	size_t size;
	mpx_failure f;
	assert_int_equal(fails_to_give(NULL), 0);
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = fails_to_give);
	assert_non_null(pool);
	mpx_result *r = mpx_pool_apply_async(pool, give_wrongly, NULL, 0, 0, NULL);
	assert_non_null(r);
	if (mpx_result_get(r, NULL, SOON) != 0) {
		assert_ok(mpx_result_failure(r, &f));
		fail_msg("%s", f.message);
	}
	assert_memory_equal(mpx_result_bytes(r, 0, &size), "kept", 4);
	assert_int_equal(size, 4);
	mpx_result_free(r);
	/* None at all. */
	r = granted(pool, sizes, 0, NULL);
	assert_nothing(mpx_result_bytes(r, 0, NULL), EINVAL);
	mpx_result_free(r);
	mpx_pool_free(pool);
	assert_int_equal(fails_to_give(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_sizes),
		mpx_test(test_imap),
		mpx_test(test_many),
		mpx_test(test_replaced_failed_retried),
		mpx_test(test_deaths),
		mpx_test(test_random_kills),
		mpx_test(test_ends_while_giving),
		mpx_test(test_supervisor_killed),
		mpx_test(test_outlives_its_pool),
		mpx_test(test_back_ends),
		mpx_test(test_futures),
		mpx_test(test_nested),
		mpx_test(test_who_is_no_task),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
