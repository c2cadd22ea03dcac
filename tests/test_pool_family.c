/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_family.c - mpx/pool.h, used by many:
 *
 *   several threads and child processes at once, also one that is older than the
 *   pool, and one that is killed in its map; what only the maker may do; tasks that
 *   use another pool, queues and locks; two and twenty pools; descriptors; the
 *   initializer (once per worker, its argument, late success, failure, death, hang:
 *   the number of forks is bounded); what tasks write to stdio.
 *
 * A child_check() in a thread ends the whole program, which is a failure too.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- threads and processes --------------------------------------------- */

static int fail_as_told(const void *in, void *out)
{
	(void)out;
	return mpx_fail(*(const int *)in, "error %d", *(const int *)in);
}

/* Maps and fails, with its own numbers, without asserts: for threads and children. */
static void use_pool(mpx_pool *pool, unsigned id, int rounds)
{
	static const int errors[] = {EDOM, EIO, ENOENT, ERANGE, EPIPE, EAGAIN, EACCES, ENOSPC};
	unsigned in[300], out[300];
	mpx_failure f;
	child_fails(mpx_pool_last_failure(pool, &f), ENOENT);
	for (int round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < 300; i++)
			in[i] = id * 1000 + i + (unsigned)round;
		child_check(mpx_pool_map(pool, square, in, out, 300) == 0);
		for (unsigned i = 0; i < 300; i++)
			child_check(out[i] == in[i] * in[i]);
		char none;
		child_fails(mpx_pool_apply(pool, fail_as_told, &errors[id % 8], &none),
			    errors[id % 8]);
		child_check(mpx_pool_last_failure(pool, &f) == 0);
		child_check(f.error == errors[id % 8] && f.index == 0);
	}
}

struct user {
	mpx_pool *pool;
	unsigned id;
};

static void *use_in_thread(void *arg)
{
	const struct user *u = arg;
	use_pool(u->pool, u->id, 40);
	return NULL;
}

static int use_in_child(void *arg)
{
	const struct user *u = arg;
	use_pool(u->pool, u->id, 40);
	return 0;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t t[8];
	struct user u[8];
	mpx_failure f;
	mpx_pool *pool = pool_of(3);
	for (unsigned i = 0; i < 8; i++) {
		u[i] = (struct user){pool, i};
		assert_int_equal(pthread_create(&t[i], NULL, use_in_thread, &u[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT); /* not of this thread */
	mpx_pool_free(pool);
}

static void test_children(void **state)
{
	(void)state;
	mpx_process *p[6];
	struct user u[6];
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < 6; i++) {
		u[i] = (struct user){pool, i};
		p[i] = start(use_in_child, &u[i]);
	}
	for (unsigned i = 0; i < 6; i++)
		ends_well(p[i]);
	struct user plain = {pool, 6};
	assert_int_equal(run_child(use_in_child, &plain), 0); /* of a plain fork */
	use_pool(pool, 7, 1);
	mpx_pool_free(pool);
}

static int use_when_told(void *arg)
{
	mpx_pool *pool;
	child_check(mpx_queue_get(arg, &pool, sizeof pool, SOON) == sizeof pool);
	use_pool(pool, 3, 10);
	return 0;
}

static void test_older_process(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	mpx_process *p = start(use_when_told, q);
	mpx_pool *pool = pool_of(2);
	assert_ok(mpx_queue_put(q, &pool, sizeof pool, 0));
	ends_well(p);
	mpx_pool_free(pool);
	mpx_queue_free(q);
}

static int not_the_maker(void *arg)
{
	unsigned x = 4, y = 0;
	mpx_pool *pool = arg;
	child_fails(mpx_pool_join(pool, 0), EPERM);
	child_fails(mpx_pool_join(pool, MPX_FOREVER), EPERM);
	errno = 0;
	mpx_pool_free(pool);
	child_check(errno == EPERM);
	child_check(mpx_pool_apply(pool, square, &x, &y) == 0 && y == 16);
	child_check(mpx_pool_processes(pool) == 2);
	child_check(mpx_pool_close(pool) == 0);
	child_fails(mpx_pool_join(pool, MPX_FOREVER), EPERM);
	mpx_pool_free(pool);
	return 0;
}

static void test_only_the_maker(void **state)
{
	(void)state;
	unsigned x = 4, y;
	mpx_pool *pool = pool_of(2);
	ends_well(start(not_the_maker, pool));
	assert_fails(mpx_pool_apply(pool, square, &x, &y), EBUSY); /* the child closed it */
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
}

static int own_pool(void *arg)
{
	(void)arg;
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	use_pool(pool, 5, 3);
	mpx_pool_free(pool);
	return 0;
}

/* A freed pool is no pool for anybody else either. */
static int own_pool_told(void *arg)
{
	mpx_pool **made = arg;
	*made = mpx_pool_new(.processes = 2);
	child_check(*made != NULL);
	use_pool(*made, 5, 3);
	mpx_pool_free(*made);
	return 0;
}

static void test_pool_of_a_child(void **state)
{
	(void)state;
	mpx_process *p[3];
	mpx_pool **made = mpx_calloc(1, sizeof *made);
	assert_non_null(made);
	for (int i = 0; i < 3; i++)
		p[i] = start(own_pool, NULL);
	for (int i = 0; i < 3; i++)
		ends_well(p[i]);
	ends_well(start(own_pool_told, made));
	assert_fails(mpx_pool_processes(*made), EINVAL);
	mpx_free(made);
}

struct gate_user {
	mpx_pool *pool;
	struct gate *gate;
};

static int map_through_gate(void *arg)
{
	const struct gate_user *u = arg;
	struct gate *in[50];
	for (int i = 0; i < 50; i++)
		in[i] = u->gate;
	mpx_pool_map_sized(u->pool, pass_gate, in, sizeof *in, NULL, 0, 50, NULL);
	return 0;
}

/* A child that is killed in its map: the pool goes on for the others. */
static void test_user_of_many_killed(void **state)
{
	(void)state;
	enum { ROUNDS = 5 };
	struct gate *gates[ROUNDS];
	mpx_pool *pool = pool_of(2);
	for (int round = 0; round < ROUNDS; round++) {
		struct gate *g = gates[round] = gate_new();
		struct gate_user u = {pool, g};
		mpx_process *p = start(map_through_gate, &u);
		assert_soon(atomic_load(&g->entered) == 2);
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
		atomic_store(&g->open, true);
		unsigned x = 5, y = 0;
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(y, 25);
	}
	mpx_pool_free(pool);
	for (int round = 0; round < ROUNDS; round++)
		mpx_free(gates[round]);
}

/* ---- tasks that use the family's objects ------------------------------- */

struct tools {
	mpx_pool *pool;
	mpx_queue *q;
	mpx_lock *l;
	mpx_value *v;
	long plain;
};

static int use_tools(const void *in, void *out)
{
	struct tools *t = *(struct tools *const *)in;
	unsigned x = 6, y = 0;
	if (mpx_pool_apply(t->pool, square, &x, &y) != 0 || y != 36)
		return errno;
	(void)mpx_value_add(t->v, 1);
	if (mpx_lock_acquire(t->l, SOON) != 0)
		return errno;
	t->plain++;
	if (mpx_lock_release(t->l) != 0)
		return errno;
	if (mpx_queue_put(t->q, &y, sizeof y, SOON) != 0)
		return errno;
	*(unsigned *)out = y;
	return 0;
}

static void test_tasks_use_the_family(void **state)
{
	(void)state;
	enum { N = 200 };
	struct tools *in[N], *t = mpx_calloc(1, sizeof *t);
	unsigned out[N];
	mpx_pool *pool = pool_of(2); /* older than what its tasks use */
	assert_non_null(t);
	assert_non_null(t->q = mpx_queue_new());
	assert_non_null(t->l = mpx_lock_new());
	assert_non_null(t->v = mpx_value_new('i', 0));
	t->pool = pool_of(1);
	for (int i = 0; i < N; i++)
		in[i] = t;
	assert_ok(mpx_pool_map(pool, use_tools, in, out, N));
	int v = -1;
	assert_ok(mpx_value_get(t->v, &v));
	assert_int_equal(v, N);
	assert_int_equal(t->plain, N);
	assert_int_equal(mpx_queue_qsize(t->q), N);
	mpx_pool_free(pool);
	mpx_pool_free(t->pool);
	mpx_value_free(t->v);
	mpx_lock_free(t->l);
	mpx_queue_free(t->q);
	mpx_free(t);
}

/* ---- many pools -------------------------------------------------------- */

static void many_pools(int n)
{
	mpx_pool *pools[20];
	mpx_result *results[20];
	static unsigned in[1000], out[20][1000];
	size_t fds = open_fds();
	for (unsigned i = 0; i < 1000; i++)
		in[i] = i;
	for (int i = 0; i < n; i++)
		pools[i] = pool_of(2);
	assert_true(open_fds() <= fds + 3 * (size_t)n);
	for (int i = 0; i < n; i++)
		assert_non_null(results[i] = mpx_pool_map_async(pools[i], square, in, sizeof *in,
								1000, sizeof **out, NULL));
	for (int i = 0; i < n; i++) {
		assert_ok(mpx_result_get(results[i], out[i], SOON));
		for (unsigned k = 0; k < 1000; k++)
			assert_int_equal(out[i][k], k * k);
		mpx_result_free(results[i]);
	}
	/* Freed in another order than made. */
	for (int i = 0; i < n; i += 2)
		mpx_pool_free(pools[i]);
	for (int i = 1; i < n; i += 2) {
		assert_ok(mpx_pool_map(pools[i], square, in, out[i], 1000));
		mpx_pool_free(pools[i]);
	}
	assert_int_equal(open_fds(), fds);
}

static void test_two_and_twenty_pools(void **state)
{
	(void)state;
	many_pools(1);
	many_pools(2);
	many_pools(20);
}

static void test_hundred_pools_in_turn(void **state)
{
	(void)state;
	size_t fds = open_fds(), blocks = heap_blocks();
	for (unsigned i = 0; i < 100; i++) {
		unsigned y = 0;
		mpx_pool *pool = pool_of(2);
		assert_true(open_fds() <= fds + 3);
		if (i % 3)
			assert_ok(mpx_pool_apply(pool, square, &i, &y));
		if (i % 3 == 2) {
			assert_ok(mpx_pool_close(pool));
			assert_ok(mpx_pool_join(pool, SOON));
		}
		mpx_pool_free(pool);
		assert_int_equal(open_fds(), fds);
	}
	assert_soon(heap_blocks() == blocks);
}

/* ---- stdio ------------------------------------------------------------- */

static int print_item(const void *in, void *out)
{
	(void)out;
	printf("<%u>", *(const unsigned *)in); /* no end of line that might flush it */
	return 0;
}

/* How often each item is in the file, and that there is nothing else but `head`. */
static bool printed(const char *path, const char *head, unsigned n, unsigned char *times)
{
	char text[64] = "";
	unsigned item;
	FILE *f = fopen(path, "r");
	bool good = f != NULL;
	memset(times, 0, 400);
	for (int c; good && (c = fgetc(f)) != EOF;) {
		ungetc(c, f);
		if (c == '<')
			good = fscanf(f, "<%u>", &item) == 1 && item < n && times[item]++ == 0;
		else
			good = text[0] == '\0' && fscanf(f, "%63[^<]", text) == 1;
	}
	if (f)
		fclose(f);
	for (unsigned i = 0; good && i < n; i++)
		good = times[i] == 1;
	return good && strcmp(text, head) == 0;
}

static int print_through_pool(void *path)
{
	unsigned char times[400];
	unsigned in[400];
	for (unsigned i = 0; i < 400; i++)
		in[i] = i;
	child_check(freopen(path, "w", stdout) != NULL);
	printf("by the parent"); /* in the buffer when the workers are forked */
	mpx_pool *pool = mpx_pool_new(.processes = 3);
	child_check(pool != NULL);
	child_check(mpx_pool_map_sized(pool, print_item, in, 4, NULL, 0, 300, NULL) == 0);
	fflush(stdout);
	child_check(printed(path, "by the parent", 300, times));
	child_check(mpx_pool_map_sized(pool, print_item, in + 300, 4, NULL, 0, 100,
				       MPX_TASK(.chunksize = 1)) == 0);
	child_check(printed(path, "by the parent", 400, times));
	mpx_pool_free(pool);
	return 0;
}

static void test_stdio(void **state)
{
	(void)state;
	unsigned char times[400];
	char path[] = "/tmp/mpx-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	mpx_process *p = start(print_through_pool, path);
	int code = ends(p);
	bool good = printed(path, "by the parent", 400, times);
	unlink(path);
	assert_int_equal(code, 0);
	assert_true(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_threads),
		mpx_test(test_children),
		mpx_test(test_older_process),
		mpx_test(test_only_the_maker),
		mpx_test(test_pool_of_a_child),
		mpx_test(test_user_of_many_killed),
		mpx_test(test_tasks_use_the_family),
		mpx_test(test_two_and_twenty_pools),
		mpx_test(test_hundred_pools_in_turn),
		mpx_test(test_stdio),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
