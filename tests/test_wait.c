/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_wait.c - mpx_wait. Of CPython's TestWait:
 *
 *   wait (several senders, at random), wait_slow, wait_socket, wait_timeout,
 *   wait_integer (a timeout, a sentinel and a connection), neg_timeout; and that a wait
 *   outlasts signals, and sleeps.
 *
 * And beyond: each kind of object alone and all of them together, also when nothing
 * has a descriptor left for them; what is ready stays ready; a queue that others
 * empty; a 65th process that waits for a queue; a thousand objects; fewer
 * descriptors allowed than objects; killed senders; two threads at one queue; the parent;
 * results of a pool whose supervisor is killed; bad arguments.
 *
 * Seen to fail, each with a line taken away: in wait.c the portions of poll_all, the leave
 * and the settle of queues, item->sure = false, w.look = LOOK_MIN; in queue_poll.c the
 * count of waiters and given; is_lost in result.c; ECHILD in process.c.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

enum { MOST = 2000 };

static bool ready[MOST];

/* Exactly one is ready: which. */
static size_t only_one(const mpx_waitable *set, size_t n, double timeout)
{
	memset(ready, 1, sizeof ready);
	assert_int_equal(mpx_wait(set, n, ready, timeout), 1);
	for (size_t i = 0; i < n; i++)
		if (ready[i])
			return i;
	fail_msg("which one?");
	return n;
}

static void assert_none(const mpx_waitable *set, size_t n)
{
	memset(ready, 1, sizeof ready);
	assert_times_out(mpx_wait(set, n, ready, 0), 0);
	for (size_t i = 0; i < n; i++)
		assert_false(ready[i]);
}

/* ---- each kind ------------------------------------------------------------ */

static void test_connection(void **state)
{
	(void)state;
	char c;
	mpx_connection *a[2], *b[2];
	assert_ok(mpx_pipe(a, true));
	assert_ok(mpx_pipe(b, false));
	mpx_waitable set[] = {mpx_waitable_of(a[0]), mpx_waitable_of(b[0]), mpx_waitable_of(a[1])};
	assert_none(set, 3);
	assert_times_out(mpx_wait(set, 3, NULL, 0.05), 0.05);
	assert_ok(mpx_connection_send(b[1], "", 0, 0)); /* empty messages count */
	for (int i = 0; i < 3; i++)
		assert_int_equal(only_one(set, 3, SOON), 1);
	assert_int_equal(mpx_connection_recv(b[0], &c, 1, 0), 0);
	assert_none(set, 3);
	assert_ok(mpx_connection_send(a[0], "x", 1, 0));
	assert_ok(mpx_connection_send(a[1], "x", 1, 0));
	assert_int_equal(mpx_wait(set, 3, ready, MPX_FOREVER), 2);
	assert_true(ready[0] && !ready[1] && ready[2]);
	assert_ok(mpx_connection_close(b[1]));
	assert_int_equal(mpx_wait(set, 3, NULL, MPX_FOREVER), 3); /* the end counts, too */
	set[1] = mpx_waitable_of(b[1]);
	assert_fails(mpx_wait(set, 3, ready, 0), EINVAL); /* closed */
	assert_ok(mpx_connection_close(a[0]));
	assert_ok(mpx_connection_close(a[1]));
	assert_ok(mpx_connection_close(b[0]));
}

static int nap_then_exit(void *args)
{
	for (int i = 0; i < 50; i++)
		nap();
	return *(int *)args;
}

static int sleep_long(void *args)
{
	(void)args;
	for (double end = now() + 3 * SOON; now() < end;)
		nap();
	return 0;
}

static void test_process(void **state)
{
	(void)state;
	int seven = 7;
	mpx_process *p[3];
	mpx_waitable set[3];
	for (int i = 0; i < 3; i++) {
		p[i] = i == 1 ? mpx_process_new(.target = nap_then_exit, .args = &seven)
			      : mpx_process_new(.target = sleep_long);
		assert_non_null(p[i]);
		set[i] = mpx_waitable_of(p[i]);
	}
	assert_fails(mpx_wait(set, 3, ready, 0), ECHILD);
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_process_start(p[i]));
	assert_int_equal(only_one(set, 3, SOON), 1);
	assert_int_equal(only_one(set, 3, 0), 1);
	assert_ok(mpx_process_join(p[1], 0)); /* it does not block */
	assert_int_equal(only_one(set, 3, 0), 1);
	assert_int_equal(ends(p[1]), 7);
	set[1] = set[2];
	assert_times_out(mpx_wait(set, 3, ready, 0.05), 0.05);
	assert_ok(mpx_process_kill(p[2]));
	assert_int_equal(mpx_wait(set, 3, ready, SOON), 2); /* the same one, twice */
	assert_true(!ready[0] && ready[1] && ready[2]);
	assert_int_equal(ends(p[2]), -SIGKILL);
	assert_ok(mpx_process_kill(p[0]));
	assert_int_equal(ends(p[0]), -SIGKILL);
	set[0] = mpx_waitable_of(mpx_current_process());
	assert_fails(mpx_wait(set, 1, ready, 0), EINVAL);
}

static int put_later(void *arg)
{
	for (int i = 0; i < 50; i++)
		nap();
	child_check(mpx_queue_put(arg, "x", 1, SOON) == 0);
	return 0;
}

static void test_queue(void **state)
{
	(void)state;
	char c;
	mpx_queue *q[2] = {mpx_queue_new(), mpx_queue_new()};
	mpx_waitable set[] = {mpx_waitable_of(q[0]), mpx_waitable_of(q[1])};
	size_t fds = open_fds();
	assert_none(set, 2);
	for (int i = 0; i < 10; i++) {
		mpx_process *p = start(put_later, q[i % 2]);
		assert_int_equal(only_one(set, 2, SOON), i % 2);
		assert_int_equal(only_one(set, 2, SOON), i % 2);
		assert_int_equal(mpx_queue_get(q[i % 2], &c, 1, 0), 1);
		ends_well(p);
		assert_times_out(mpx_wait(set, 2, ready, 0.01), 0.01);
		assert_int_equal(open_fds(), fds); /* nothing is left behind */
	}
	int fd = mpx_queue_fileno(q[0]); /* the program's own stays */
	assert_times_out(mpx_wait(set, 2, ready, 0.01), 0.01);
	assert_int_equal(open_fds(), fds + 1);
	assert_int_equal(mpx_queue_fileno(q[0]), fd);
	assert_ok(mpx_queue_put(q[0], "x", 1, 0));
	struct mpx_waitable both[] = {mpx_waitable_of(q[0]), mpx_waitable_fd(fd)};
	assert_int_equal(mpx_wait(both, 2, ready, SOON), 2);
	assert_int_equal(mpx_queue_get(q[0], &c, 1, 0), 1);
	assert_none(both, 2);
	assert_ok(mpx_queue_close(q[1]));
	assert_int_equal(only_one(set, 2, SOON), 1);
	mpx_queue_free(q[0]);
	mpx_queue_free(q[1]);
}

static void test_result(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(2);
	mpx_result *r[2];
	r[0] = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	r[1] = mpx_pool_apply_async(pool, square, &(unsigned){3}, 4, 4, NULL);
	assert_non_null(r[0]);
	assert_non_null(r[1]);
	mpx_waitable set[] = {mpx_waitable_of(r[0]), mpx_waitable_of(r[1])};
	assert_int_equal(only_one(set, 2, SOON), 1);
	assert_times_out(mpx_wait(set, 1, ready, 0.05), 0.05);
	atomic_store(&g->open, true);
	assert_int_equal(only_one(set, 1, SOON), 0);
	assert_int_equal(mpx_wait(set, 2, ready, 0), 2);
	mpx_result_free(r[0]);
	mpx_result_free(r[1]);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int tell_parent(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getppid();
	return 0;
}

/* One that will never be ready by itself: workers are the supervisor's children. */
static void test_result_of_the_dead(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	pid_t supervisor;
	mpx_pool *pool = pool_of(1);
	assert_ok(mpx_pool_apply(pool, tell_parent, &(int){0}, &supervisor));
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	mpx_waitable set[] = {mpx_waitable_of(r)};
	assert_non_null(r);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_none(set, 1);
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_int_equal(only_one(set, 1, MPX_FOREVER), 0);
	assert_fails(mpx_result_get(r, NULL, 0), EOWNERDEAD);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int get_one(void *arg)
{
	char c;
	child_check(mpx_queue_get(arg, &c, 1, SOON) == 1);
	return 0;
}

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waiting is sleeping: also for a queue whose descriptor says readable because another
 * process took the message, and for a result, which has none. */
static void test_sleeps(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(1);
	mpx_queue *q = mpx_queue_new();
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(r);
	assert_true(mpx_queue_fileno(q) >= 0);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	ends_well(start(get_one, q));
	mpx_waitable set[] = {mpx_waitable_of(q), mpx_waitable_of(r)};
	for (size_t n = 1; n <= 2; n++) {
		double begin = cpu_seconds();
		assert_times_out(mpx_wait(set, n, ready, 1), 1);
		assert_true(cpu_seconds() - begin < 0.3);
	}
	atomic_store(&g->open, true);
	assert_ok(mpx_result_wait(r, SOON));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_queue_free(q);
	mpx_free(g);
}

static void test_socket(void **state)
{
	(void)state;
	int fd[2], pipe_fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(pipe(pipe_fd), 0);
	mpx_waitable set[] = {mpx_waitable_fd(fd[0]), mpx_waitable_fd(pipe_fd[0])};
	assert_none(set, 2);
	assert_true(send_byte(fd[1]));
	assert_int_equal(only_one(set, 2, SOON), 0);
	assert_true(recv_byte(fd[0]));
	assert_none(set, 2);
	close(pipe_fd[1]);
	assert_int_equal(only_one(set, 2, MPX_FOREVER), 1); /* end of file */
	close(fd[1]);
	assert_int_equal(mpx_wait(set, 2, ready, MPX_FOREVER), 2);
	close(fd[0]);
	close(pipe_fd[0]);
	assert_fails(mpx_wait(set, 2, ready, MPX_FOREVER), EBADF);
	assert_false(ready[0] || ready[1]);
}

static void test_bad_arguments(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_connection *c[2];
	assert_ok(mpx_pipe(c, false));
	mpx_lock *l = mpx_lock_new();
	mpx_waitable set[] = {mpx_waitable_of(c[0]), mpx_waitable_of(l)};
	bad_pointers_make(&bad, c[0]);
	assert_fails(mpx_wait(set, 2, ready, 0), EINVAL); /* a lock: no */
	for (size_t i = 0; i < bad.n; i++) {
		set[1] = mpx_waitable_of(bad.p[i]);
		assert_fails(mpx_wait(set, 2, ready, MPX_FOREVER), bad.p[i] ? EINVAL : EBADF);
	}
	set[1] = mpx_waitable_fd(-1);
	assert_fails(mpx_wait(set, 2, ready, MPX_FOREVER), EBADF);
	set[1] = mpx_waitable_of(c[1]);
	assert_fails(mpx_wait(set, 2, ready, MPX_FOREVER), EBADF); /* it only sends */
	assert_fails(mpx_wait(set, 1, ready, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_wait(NULL, 1, ready, 0), EINVAL);
	assert_fails(mpx_wait(set, SIZE_MAX / 2, NULL, 0), EINVAL);
	assert_times_out(mpx_wait(set, 0, NULL, 0.05), 0.05);
	assert_times_out(mpx_wait(NULL, 0, NULL, -1), 0);
	assert_fails(mpx_wait(set, 0, NULL, MPX_FOREVER), EINVAL);
	bad_pointers_done(&bad);
	mpx_lock_free(l);
	assert_ok(mpx_connection_close(c[0]));
	assert_ok(mpx_connection_close(c[1]));
}

/* ---- several processes ------------------------------------------------------ */

struct sender {
	mpx_connection *c;
	int number, naps;
};

static int send_some(void *arg)
{
	struct sender *s = arg;
	for (int i = 0; i < 10; i++) {
		int m[2] = {s->number, i};
		for (int k = 0; k < s->naps; k++)
			nap();
		child_check(mpx_connection_send(s->c, m, sizeof m, SOON) == 0);
	}
	return 0;
}

/* Four senders, each at its own pace; each end leaves the set when it is through. */
static void senders(int naps)
{
	enum { N = 4 };
	mpx_connection *end[N][2];
	mpx_process *p[N];
	mpx_waitable set[N];
	int number[N], left = N, got[N] = {0};
	for (int i = 0; i < N; i++) {
		assert_ok(mpx_pipe(end[i], false));
		struct sender s = {end[i][1], i, i * naps};
		p[i] = start(send_some, &s);
		assert_ok(mpx_connection_close(end[i][1]));
		set[i] = mpx_waitable_of(end[i][0]);
		number[i] = i;
	}
	while (left > 0) {
		assert_true(mpx_wait(set, (size_t)left, ready, SOON) > 0);
		for (int i = left - 1; i >= 0; i--) {
			int m[2], n = number[i];
			if (!ready[i])
				continue;
			if (mpx_connection_recv(end[n][0], m, sizeof m, 0) == sizeof m) {
				assert_int_equal(m[0], n);
				assert_int_equal(m[1], got[n]++);
				continue;
			}
			assert_int_equal(errno, EPIPE);
			left--;
			set[i] = set[left];
			number[i] = number[left];
		}
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(got[i], 10);
		ends_well(p[i]);
		assert_ok(mpx_connection_close(end[i][0]));
	}
}

static void test_senders(void **state)
{
	(void)state;
	senders(0);
	senders(3);
}

static int killed_inside(void *arg)
{
	static char m[1 << 20];
	mpx_connection_send(arg, m, sizeof m, SOON);
	return 0;
}

static void test_killed_sender(void **state)
{
	(void)state;
	static char m[1 << 20];
	mpx_connection *c[2];
	assert_ok(mpx_pipe(c, false));
	mpx_process *p = start(killed_inside, c[1]);
	assert_ok(mpx_connection_close(c[1]));
	mpx_waitable set[] = {mpx_waitable_of(c[0]), mpx_waitable_of(p)};
	assert_int_equal(only_one(set, 2, SOON), 0);
	assert_fails(mpx_connection_recv(c[0], m, 5, 0), EMSGSIZE);
	assert_soon(asleep(mpx_process_pid(p)));
	assert_ok(mpx_process_kill(p));
	assert_soon(mpx_wait(set, 2, ready, SOON) == 2);
	assert_fails(mpx_connection_recv(c[0], m, sizeof m, 0), ECONNRESET);
	assert_int_equal(mpx_wait(set, 2, ready, 0), 2);
	assert_int_equal(ends(p), -SIGKILL);
	assert_ok(mpx_connection_close(c[0]));
}

/* The timeout, a sentinel and a message, in this order. */
static int answer_late(void *arg)
{
	mpx_connection *c = arg;
	char x;
	child_check(mpx_connection_recv(c, &x, 1, SOON) == 1);
	return 0;
}

static void test_timeout_sentinel_message(void **state)
{
	(void)state;
	mpx_connection *c[2];
	assert_ok(mpx_pipe(c, true));
	mpx_process *p = start(answer_late, c[1]);
	mpx_waitable set[] = {mpx_waitable_of(c[0]), mpx_waitable_fd(mpx_process_sentinel(p)),
			      mpx_waitable_of(p)};
	assert_times_out(mpx_wait(set, 3, ready, 0.1), 0.1);
	assert_times_out(mpx_wait(set, 3, ready, -1), 0);
	assert_ok(mpx_connection_send(c[0], "x", 1, 0));
	assert_true(mpx_wait(set, 3, ready, SOON) >= 1);
	assert_false(ready[0]);
	assert_soon(mpx_wait(set, 3, ready, SOON) == 2);
	assert_true(!ready[0] && ready[1] && ready[2]);
	assert_ok(mpx_connection_send(c[1], "x", 1, 0));
	assert_int_equal(mpx_wait(set, 3, ready, SOON), 3);
	ends_well(p);
	assert_ok(mpx_connection_close(c[0]));
	assert_ok(mpx_connection_close(c[1]));
}

struct crowd {
	mpx_queue *q;
	atomic_int taken, waiting;
};

/* Waits by mpx_wait alone; others are often quicker. */
static int wait_and_get(void *arg)
{
	struct crowd *w = arg;
	mpx_waitable set[] = {mpx_waitable_of(w->q)};
	for (;;) {
		unsigned x;
		atomic_fetch_add(&w->waiting, 1);
		child_check(mpx_wait(set, 1, NULL, 2 * SOON) == 1);
		atomic_fetch_sub(&w->waiting, 1);
		ssize_t n = mpx_queue_get(w->q, &x, sizeof x, 0);
		if (n == sizeof x)
			atomic_fetch_add(&w->taken, 1);
		else if (errno == EPIPE)
			return 0;
		else
			child_check(errno == ETIMEDOUT);
	}
}

static void test_queue_of_many(void **state)
{
	(void)state;
	enum { N = 68 }; /* more than may have a descriptor for it */
	mpx_process *p[N];
	struct crowd *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < N; i++)
		p[i] = start(wait_and_get, w);
	assert_soon(atomic_load(&w->waiting) == N);
	for (unsigned i = 0; i < 300; i++) {
		assert_ok(mpx_queue_put(w->q, &i, sizeof i, SOON));
		if (i % 50 == 0)
			assert_soon(atomic_load(&w->taken) == (int)i + 1);
	}
	assert_soon(atomic_load(&w->taken) == 300);
	assert_ok(mpx_queue_close(w->q));
	for (int i = 0; i < N; i++)
		ends_well(p[i]);
	mpx_queue_free(w->q);
	mpx_free(w);
}

static int wait_for_parent(void *arg)
{
	mpx_waitable set[] = {mpx_waitable_of(mpx_parent_process())};
	atomic_int *stage = arg;
	child_check(mpx_wait(set, 1, NULL, 0.01) == -1 && errno == ETIMEDOUT);
	atomic_store(stage, 1);
	child_check(mpx_wait(set, 1, NULL, SOON) == 1);
	atomic_store(stage, 2);
	return 0;
}

static int have_orphan(void *arg)
{
	mpx_process *p = mpx_process_new(.target = wait_for_parent, .args = arg, .orphan = true);
	child_check(p != NULL && mpx_process_start(p) == 0);
	child_soon(atomic_load((atomic_int *)arg) == 1);
	raise(SIGKILL);
	return 0;
}

static void test_parent(void **state)
{
	(void)state;
	atomic_int *stage = mpx_calloc(1, sizeof *stage);
	assert_non_null(stage);
	assert_int_equal(ends(start(have_orphan, stage)), -SIGKILL);
	assert_soon(atomic_load(stage) == 2);
	mpx_free(stage);
}

static int wait_for_foreign(void *arg)
{
	mpx_waitable set[] = {mpx_waitable_of(arg)};
	child_fails(mpx_wait(set, 1, NULL, 0), EPERM);
	return 0;
}

static void test_foreign_process(void **state)
{
	(void)state;
	mpx_process *p = start(sleep_long, NULL);
	ends_well(start(wait_for_foreign, p));
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ends(p), -SIGKILL);
}

/* A process that is older than the pool, and hears of its result by a queue. */
static int wait_for_sent_result(void *arg)
{
	mpx_result *r;
	unsigned nine = 0;
	child_check(mpx_queue_get(arg, &r, sizeof r, SOON) == sizeof r);
	mpx_waitable set[] = {mpx_waitable_of(r)};
	child_check(mpx_wait(set, 1, NULL, SOON) == 1);
	child_check(mpx_result_get(r, &nine, 0) == 0 && nine == 9);
	return 0;
}

static void test_result_of_another(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	mpx_process *p = start(wait_for_sent_result, q);
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_apply_async(pool, square, &(unsigned){3}, 4, 4, NULL);
	assert_non_null(r);
	assert_ok(mpx_queue_put(q, &r, sizeof r, 0));
	ends_well(p);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_queue_free(q);
}

/* ---- many, and few descriptors -------------------------------------------------- */

static int a_thousand(void *arg)
{
	enum { EACH = 250 };
	static mpx_waitable set[4 * EACH];
	static mpx_connection *c[EACH][2];
	static mpx_queue *q[EACH];
	static mpx_result *r[EACH];
	struct rlimit old, low;
	const int limit = *(int *)arg;
	struct gate *g = mpx_calloc(1, sizeof *g);
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	mpx_process *p = mpx_process_new(.target = sleep_long);
	child_check(g && pool && p && mpx_process_start(p) == 0);
	child_check(getrlimit(RLIMIT_NOFILE, &old) == 0);
	low = old;
	low.rlim_cur = low.rlim_max < 4096 ? low.rlim_max : 4096;
	child_check(setrlimit(RLIMIT_NOFILE, &low) == 0);
	size_t fds = open_fds();
	for (int i = 0; i < EACH; i++) {
		child_check(mpx_pipe(c[i], i % 2) == 0 && (q[i] = mpx_queue_new()));
		child_check(r[i] = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL));
		set[4 * i] = mpx_waitable_of(c[i][0]);
		set[4 * i + 1] = mpx_waitable_of(q[i]);
		set[4 * i + 2] = mpx_waitable_of(r[i]);
		set[4 * i + 3] = mpx_waitable_of(p);
	}
	if (limit) {
		low.rlim_cur = (rlim_t)limit;
		child_check(setrlimit(RLIMIT_NOFILE, &low) == 0);
	}
	child_check(mpx_wait(set, 4 * EACH, ready, 0) == -1 && errno == ETIMEDOUT);
	child_check(mpx_wait(set, 4 * EACH, ready, 0.02) == -1 && errno == ETIMEDOUT);
	for (int i = 0; i < EACH; i += 83) {
		char x;
		mpx_process *late = mpx_process_new(.target = put_later, .args = q[i]);
		child_check(mpx_connection_send(c[i][1], "x", 1, 0) == 0);
		child_check(mpx_wait(set, 4 * EACH, ready, SOON) == 1 && ready[4 * i]);
		child_check(mpx_connection_recv(c[i][0], &x, 1, 0) == 1);
		child_check(limit || mpx_process_start(late) == 0);
		child_check(!limit || mpx_queue_put(q[i], "x", 1, 0) == 0);
		child_check(mpx_wait(set, 4 * EACH, ready, SOON) == 1 && ready[4 * i + 1]);
		child_check(mpx_queue_get(q[i], &x, 1, 0) == 1);
		child_check(limit || mpx_process_join(late, SOON) == 0);
		child_check(mpx_process_free(late) == 0);
	}
	atomic_store(&g->open, true);
	child_check(mpx_wait(set, 4 * EACH, ready, SOON) >= 1);
	child_soon(mpx_wait(set, 4 * EACH, ready, SOON) == EACH);
	child_check(mpx_process_kill(p) == 0);
	child_soon(mpx_wait(set, 4 * EACH, ready, SOON) == 2 * EACH);
	child_check(setrlimit(RLIMIT_NOFILE, &old) == 0);
	for (int i = 0; i < EACH; i++) {
		mpx_connection_close(c[i][0]);
		mpx_connection_close(c[i][1]);
		mpx_queue_free(q[i]);
		mpx_result_free(r[i]);
	}
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(open_fds() == fds);
	child_check(mpx_process_free(p) == 0);
	mpx_pool_free(pool);
	mpx_free(g);
	return 0;
}

static void test_a_thousand(void **state)
{
	(void)state;
	ends_well(start(a_thousand, &(int){0}));
}

/* Fewer descriptors may be had than are in the set; poll(2) refuses so many. */
static void test_a_thousand_and_few_descriptors(void **state)
{
	(void)state;
	ends_well(start(a_thousand, &(int){100}));
	ends_well(start(a_thousand, &(int){530}));
}

/* ---- threads and signals --------------------------------------------------------- */

struct waiter {
	mpx_queue *q;
	atomic_int stage;
	atomic_bool good;
};

static void *wait_in_thread(void *arg)
{
	struct waiter *w = arg;
	mpx_waitable set[] = {mpx_waitable_of(w->q)};
	atomic_fetch_add(&w->stage, 1);
	if (mpx_wait(set, 1, NULL, SOON) == 1)
		atomic_store(&w->good, true);
	return NULL;
}

/* One of two threads gives up first: the other's descriptor must not go with it. */
static void test_two_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pthread_t t;
		struct waiter w = {mpx_queue_new(), 0, false};
		mpx_waitable set[] = {mpx_waitable_of(w.q)};
		assert_int_equal(pthread_create(&t, NULL, wait_in_thread, &w), 0);
		assert_soon(atomic_load(&w.stage) == 1);
		assert_times_out(mpx_wait(set, 1, NULL, 0.005 * (i % 3)), 0.005 * (i % 3));
		assert_false(atomic_load(&w.good));
		assert_ok(mpx_queue_put(w.q, "x", 1, 0));
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_true(atomic_load(&w.good));
		mpx_queue_free(w.q);
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

static int send_signals(void *arg)
{
	for (int i = 0; i < 200; i++) {
		kill(*(pid_t *)arg, SIGUSR1);
		nap();
	}
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = on_signal}, old;
	mpx_connection *c[2];
	pid_t me = getpid();
	assert_ok(mpx_pipe(c, true));
	sigemptyset(&sa.sa_mask);
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	mpx_process *p = start(send_signals, &me);
	mpx_waitable set[] = {mpx_waitable_of(c[0]), mpx_waitable_of(p)};
	assert_times_out(mpx_wait(set, 1, NULL, 0.2), 0.2);
	assert_times_out(mpx_wait(set, 0, NULL, 0.05), 0.05);
	assert_int_equal(only_one(set, 2, SOON), 1);
	ends_well(p);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	assert_ok(mpx_connection_close(c[0]));
	assert_ok(mpx_connection_close(c[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_connection),
		mpx_test(test_process),
		mpx_test(test_queue),
		mpx_test(test_result),
		mpx_test(test_result_of_the_dead),
		mpx_test(test_sleeps),
		mpx_test(test_socket),
		mpx_test(test_bad_arguments),
		mpx_test(test_senders),
		mpx_test(test_killed_sender),
		mpx_test(test_timeout_sentinel_message),
		mpx_test(test_queue_of_many),
		mpx_test(test_parent),
		mpx_test(test_foreign_process),
		mpx_test(test_result_of_another),
		mpx_test(test_a_thousand),
		mpx_test(test_a_thousand_and_few_descriptors),
		mpx_test(test_two_threads),
		mpx_test(test_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
