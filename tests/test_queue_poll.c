/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_poll.c - mpx_queue_fileno with poll(2):
 *
 *   readable while there is a message or the queue is closed, and not otherwise;
 *   one descriptor per process; puts of this process, of a child, of a process
 *   that is older than the queue; beside a pipe; several queues; several processes
 *   at once; no push is lost in long traffic; pollers and producers that are
 *   killed; EMFILE; ENOSPC at the 65th process, and room again when one has ended.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* Is it readable within ms milliseconds? */
static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	double end = now() + ms / 1000.0;
	int n;
	while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR && now() < end)
		continue;
	return n == 1 && (p.revents & POLLIN);
}

static const int soon_ms = (int)(SOON * 1000);

/* ---- one process ------------------------------------------------------- */

static void test_level(void **state)
{
	(void)state;
	int x = 0;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	assert_true(fd >= 0);
	for (int round = 0; round < 100; round++) {
		assert_false(readable(fd, 0));
		assert_ok(mpx_queue_put(q, &x, sizeof x, 0));
		assert_true(readable(fd, 0));
		assert_true(readable(fd, 0)); /* looking does not change it */
		assert_ok(mpx_queue_put(q, &x, sizeof x, 0));
		assert_true(readable(fd, 0));
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
		assert_true(readable(fd, 0)); /* one is left */
		assert_int_equal(mpx_queue_next_size(q, 0), sizeof x);
		assert_fails(mpx_queue_get(q, &x, 1, 0), EMSGSIZE);
		assert_true(readable(fd, 0));
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
		assert_false(readable(fd, 0));
		assert_fails(mpx_queue_get(q, &x, sizeof x, 0), ETIMEDOUT);
		assert_false(readable(fd, 0));
	}
	assert_false(readable(fd, 100));
	mpx_queue_free(q);
}

static void test_same_descriptor(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new(), *other = mpx_queue_new();
	assert_non_null(q);
	assert_non_null(other);
	int fd = mpx_queue_fileno(q);
	assert_true(fd > 2);
	size_t fds = open_fds();
	for (int i = 0; i < 100; i++)
		assert_int_equal(mpx_queue_fileno(q), fd);
	assert_int_equal(open_fds(), fds);
	assert_int_not_equal(mpx_queue_fileno(other), fd);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	mpx_queue_free(other);
	assert_int_equal(mpx_queue_fileno(q), fd);
	mpx_queue_free(q); /* closes it: the fixture looks */
}

static void test_asked_late(void **state)
{
	(void)state;
	char c;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	int fd = mpx_queue_fileno(q); /* there was a message before */
	assert_true(readable(fd, 0));
	assert_int_equal(mpx_queue_get(q, &c, 1, 0), 1);
	assert_false(readable(fd, 0));
	mpx_queue_free(q);

	q = mpx_queue_new();
	assert_non_null(q);
	assert_ok(mpx_queue_close(q));
	assert_true(readable(mpx_queue_fileno(q), 0)); /* it was closed before */
	mpx_queue_free(q);
}

static void test_close_is_readable(void **state)
{
	(void)state;
	char c;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	assert_int_equal(mpx_queue_get(q, &c, 1, 0), 1);
	assert_false(readable(fd, 0));
	assert_ok(mpx_queue_close(q));
	assert_true(readable(fd, 0));
	assert_fails(mpx_queue_get(q, &c, 1, 0), EPIPE);
	assert_true(readable(fd, 0)); /* for ever */
	assert_int_equal(mpx_queue_fileno(q), fd);
	mpx_queue_free(q);

	q = mpx_queue_new();
	assert_non_null(q);
	fd = mpx_queue_fileno(q);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	assert_ok(mpx_queue_close(q));
	assert_true(readable(fd, 0));
	assert_int_equal(mpx_queue_get(q, &c, 1, 0), 1);
	assert_true(readable(fd, 0));
	mpx_queue_free(q);
}

/* Queues made and freed by the hundred, all polled: the descriptors come back. */
static void test_many_polled_queues(void **state)
{
	(void)state;
	enum { N = 50 };
	mpx_queue *q[N];
	struct pollfd p[N];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			assert_non_null(q[i] = mpx_queue_new());
			p[i] = (struct pollfd){.fd = mpx_queue_fileno(q[i]), .events = POLLIN};
			assert_true(p[i].fd >= 0);
		}
		assert_int_equal(poll(p, N, 0), 0);
		assert_ok(mpx_queue_put(q[round], "x", 1, 0));
		assert_ok(mpx_queue_put(q[N - 1], "x", 1, 0));
		assert_int_equal(poll(p, N, soon_ms), 2);
		assert_true(p[round].revents & POLLIN);
		assert_true(p[N - 1].revents & POLLIN);
		for (int i = 0; i < N; i++)
			mpx_queue_free(q[i]);
	}
}

/* ---- several processes ------------------------------------------------- */

static int put_once(void *arg)
{
	child_check(mpx_queue_put(arg, "x", 1, SOON) == 0);
	return 0;
}

static int close_once(void *arg)
{
	child_check(mpx_queue_close(arg) == 0);
	return 0;
}

static void test_put_by_a_child(void **state)
{
	(void)state;
	char c;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	for (int i = 0; i < 20; i++) {
		assert_false(readable(fd, 0));
		mpx_process *p = start(put_once, q);
		assert_true(readable(fd, soon_ms));
		assert_int_equal(mpx_queue_get(q, &c, 1, 0), 1);
		assert_false(readable(fd, 0));
		ends_well(p);
	}
	mpx_process *p = start(close_once, q);
	assert_true(readable(fd, soon_ms));
	assert_fails(mpx_queue_get(q, &c, 1, 0), EPIPE);
	ends_well(p);
	mpx_queue_free(q);
}

/* Puts into each queue whose address it gets, and says when it is out of it again. */
struct mail {
	mpx_queue *in, *done;
};

static int put_where_told(void *arg)
{
	const struct mail *mail = arg;
	mpx_queue *q;
	while (mpx_queue_get(mail->in, &q, sizeof q, SOON) == sizeof q) {
		child_check(mpx_queue_put(q, "told", 4, SOON) == 0);
		child_check(mpx_queue_put(mail->done, &q, sizeof q, SOON) == 0);
	}
	child_check(errno == EPIPE);
	return 0;
}

static void test_put_by_an_older_process(void **state)
{
	(void)state;
	char m[sizeof(void *)];
	struct mail mail = {mpx_queue_new(), mpx_queue_new()};
	assert_non_null(mail.in);
	assert_non_null(mail.done);
	mpx_process *p = start(put_where_told, &mail);
	for (int i = 0; i < 50; i++) {
		mpx_queue *q = mpx_queue_new();
		assert_non_null(q);
		int fd = mpx_queue_fileno(q);
		assert_false(readable(fd, 0));
		assert_ok(mpx_queue_put(mail.in, &q, sizeof q, 0));
		assert_true(readable(fd, soon_ms));
		assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 4);
		assert_false(readable(fd, 0));
		assert_int_equal(mpx_queue_get(mail.done, m, sizeof m, SOON), sizeof q);
		assert_false(readable(fd, 0));
		mpx_queue_free(q);
	}
	assert_ok(mpx_queue_close(mail.in));
	ends_well(p);
	mpx_queue_free(mail.in);
	mpx_queue_free(mail.done);
}

struct both {
	mpx_queue *q;
	int fd;
};

static int write_then_put(void *arg)
{
	const struct both *b = arg;
	child_check(send_byte(b->fd));
	child_check(mpx_queue_put(b->q, "x", 1, SOON) == 0);
	return 0;
}

static void test_beside_a_pipe(void **state)
{
	(void)state;
	int pipe_fd[2];
	char c;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_int_equal(pipe(pipe_fd), 0);
	struct pollfd p[2] = {{.fd = pipe_fd[0], .events = POLLIN},
			      {.fd = mpx_queue_fileno(q), .events = POLLIN}};
	assert_int_equal(poll(p, 2, 0), 0);
	struct both b = {q, pipe_fd[1]};
	mpx_process *child = start(write_then_put, &b);
	bool byte = false, message = false;
	double end = now() + SOON;
	while (!(byte && message) && now() < end) {
		assert_true(poll(p, 2, soon_ms) > 0);
		if (p[0].revents & POLLIN)
			byte = recv_byte(p[0].fd);
		if (p[1].revents & POLLIN)
			message = mpx_queue_get(q, &c, 1, 0) == 1;
	}
	assert_true(byte && message);
	assert_int_equal(poll(p, 2, 0), 0);
	ends_well(child);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	mpx_queue_free(q);
}

struct crowd {
	mpx_queue *q;
	atomic_int ready, taken;
	atomic_bool go;
};

/* Gets what it can, waiting in poll only, until the queue is closed. */
static int poll_and_get(void *arg)
{
	struct crowd *w = arg;
	int fd = mpx_queue_fileno(w->q);
	child_check(fd >= 0);
	child_check(mpx_queue_fileno(w->q) == fd);
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		unsigned x;
		child_check(readable(fd, soon_ms));
		ssize_t n = mpx_queue_get(w->q, &x, sizeof x, 0);
		if (n == -1 && errno == EPIPE)
			return 0;
		if (n == sizeof x)
			atomic_fetch_add(&w->taken, 1);
		else
			child_check(n == -1 && errno == ETIMEDOUT); /* another was quicker */
	}
}

static void test_several_pollers(void **state)
{
	(void)state;
	mpx_process *p[4];
	struct crowd *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	int fd = mpx_queue_fileno(w->q); /* of this process; the children have their own */
	for (int i = 0; i < 4; i++)
		p[i] = start(poll_and_get, w);
	assert_soon(atomic_load(&w->ready) == 4);
	for (unsigned i = 0; i < 3000; i++) {
		assert_ok(mpx_queue_put(w->q, &i, sizeof i, SOON));
		if (i % 100 == 0)
			assert_soon(atomic_load(&w->taken) == (int)i + 1);
	}
	assert_soon(atomic_load(&w->taken) == 3000);
	/* Ours may have stayed readable; a get that finds nothing puts that right. */
	unsigned x;
	assert_fails(mpx_queue_get(w->q, &x, sizeof x, 0), ETIMEDOUT);
	assert_false(readable(fd, 0));
	assert_ok(mpx_queue_close(w->q));
	assert_true(readable(fd, soon_ms));
	for (int i = 0; i < 4; i++)
		ends_well(p[i]);
	mpx_queue_free(w->q);
	mpx_free(w);
}

static int put_by_fits(void *arg)
{
	uint64_t seed = (uint64_t)getpid();
	for (unsigned i = 0; i < 20000; i++) {
		child_check(mpx_queue_put(arg, &i, sizeof i, SOON) == 0);
		if (next_random(&seed) % 512 == 0)
			nap();
	}
	return 0;
}

/* Whatever the interleaving, poll does not sleep on a queue with a message in it. */
static void test_no_push_lost(void **state)
{
	(void)state;
	unsigned x;
	mpx_queue *q = mpx_queue_new(.maxsize = 50);
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	mpx_process *p[2] = {start(put_by_fits, q), start(put_by_fits, q)};
	for (int got = 0; got < 40000;) {
		if (!readable(fd, 10000))
			fail_msg("not readable with %zd messages", mpx_queue_qsize(q));
		while (mpx_queue_get(q, &x, sizeof x, 0) == sizeof x)
			got++;
		assert_int_equal(errno, ETIMEDOUT);
	}
	assert_false(readable(fd, 0));
	ends_well(p[0]);
	ends_well(p[1]);
	mpx_queue_free(q);
}

static void *put_by_fits_in_thread(void *arg)
{
	put_by_fits(arg);
	return NULL;
}

static void test_no_push_lost_threads(void **state)
{
	(void)state;
	pthread_t t;
	unsigned x;
	mpx_queue *q = mpx_queue_new(.maxsize = 3);
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	assert_int_equal(pthread_create(&t, NULL, put_by_fits_in_thread, q), 0);
	for (unsigned got = 0; got < 20000; got++) {
		if (!readable(fd, 10000))
			fail_msg("not readable with %zd messages", mpx_queue_qsize(q));
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
		assert_int_equal(x, got);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_false(readable(fd, 0));
	mpx_queue_free(q);
}

/* ---- processes that are killed ----------------------------------------- */

/* A producer killed between message and push must not leave the poller asleep. */
static int put_for_ever(void *arg)
{
	for (unsigned i = 0;; i++)
		if (mpx_queue_put(arg, &i, sizeof i, SOON) != 0)
			return 1;
}

static void test_producers_killed(void **state)
{
	(void)state;
	unsigned x;
	uint64_t seed = 11;
	mpx_queue *q = mpx_queue_new(.maxsize = 1);
	assert_non_null(q);
	int fd = mpx_queue_fileno(q);
	double end = now() + 25;
	for (int round = 0; round < 300 && now() < end; round++) {
		mpx_process *p = start(put_for_ever, q);
		for (uint64_t i = next_random(&seed) % 60; i; i--) {
			if (!readable(fd, 10000))
				fail_msg("not readable, %zd messages", mpx_queue_qsize(q));
			ssize_t n = mpx_queue_get(q, &x, sizeof x, 0);
			assert_true(n == sizeof x || errno == ETIMEDOUT);
		}
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
		if (!mpx_queue_empty(q) && !readable(fd, 5000))
			fail_msg("round %d: asleep on a message of the dead", round);
		while (mpx_queue_get(q, &x, sizeof x, 0) == sizeof x)
			continue;
		assert_int_equal(errno, ETIMEDOUT);
		assert_false(readable(fd, 0));
	}
	mpx_queue_free(q);
}

/* Many more processes than may poll at once, each killed while it polls. */
static void test_pollers_killed(void **state)
{
	(void)state;
	struct crowd *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < 150; i++) {
		mpx_process *p = start(poll_and_get, w);
		assert_soon(atomic_load(&w->ready) == i + 1);
		if (i % 2) {
			unsigned x = 0;
			assert_ok(mpx_queue_put(w->q, &x, sizeof x, SOON));
		}
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
	}
	mpx_process *p = start(poll_and_get, w);
	assert_ok(mpx_queue_close(w->q));
	ends_well(p);
	mpx_queue_free(w->q);
	mpx_free(w);
}

/* ---- limits ------------------------------------------------------------ */

static int few_descriptors(void *arg)
{
	struct rlimit old, none;
	child_check(getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = old;
	int spare = dup(2);
	child_check(spare >= 0);
	close(spare);
	none.rlim_cur = (rlim_t)spare; /* the next free one is too large */
	child_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
	child_fails(mpx_queue_fileno(arg), EMFILE);
	child_check(mpx_queue_put(arg, "x", 1, 0) == 0); /* the rest works */
	child_check(setrlimit(RLIMIT_NOFILE, &old) == 0);
	int fd = mpx_queue_fileno(arg);
	child_check(fd >= 0);
	child_check(readable(fd, 0));
	return 0;
}

static void test_no_descriptor(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	ends_well(start(few_descriptors, q));
	mpx_queue_free(q);
}

static int poll_until_go(void *arg)
{
	struct crowd *w = arg;
	int fd = mpx_queue_fileno(w->q);
	child_check(fd >= 0);
	atomic_fetch_add(&w->ready, 1);
	child_check(readable(fd, 2 * soon_ms)); /* the queue is closed */
	return 0;
}

static void test_sixty_four_processes(void **state)
{
	(void)state;
	mpx_process *p[64];
	struct crowd *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < 64; i++)
		p[i] = start(poll_until_go, w);
	assert_soon(atomic_load(&w->ready) == 64);
	assert_fails(mpx_queue_fileno(w->q), ENOSPC);
	assert_ok(mpx_queue_put(w->q, "x", 1, 0)); /* which ends them all */
	for (int i = 0; i < 64; i++)
		ends_well(p[i]);
	assert_soon(mpx_queue_fileno(w->q) >= 0);
	assert_true(readable(mpx_queue_fileno(w->q), 0));
	mpx_queue_free(w->q);
	mpx_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_level),
		mpx_test(test_same_descriptor),
		mpx_test(test_asked_late),
		mpx_test(test_close_is_readable),
		mpx_test(test_many_polled_queues),
		mpx_test(test_put_by_a_child),
		mpx_test(test_put_by_an_older_process),
		mpx_test(test_beside_a_pipe),
		mpx_test(test_several_pollers),
		mpx_test(test_no_push_lost),
		mpx_test(test_no_push_lost_threads),
		mpx_test(test_producers_killed),
		mpx_test(test_pollers_killed),
		mpx_test(test_no_descriptor),
		mpx_test(test_sixty_four_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
