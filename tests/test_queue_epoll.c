/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_epoll.c - mpx_queue_fileno with epoll(7), where there is one:
 *
 *   a queue and a socket in one epoll, level and edge triggered; several processes that
 *   wait in epoll for the same queue; put, put_many and commit ring, cancel does not;
 *   batches, polled for by several, arrive exactly once; producers killed anywhere leave
 *   nobody asleep. test_queue_poll.c: poll(2), and the descriptor itself.
 *
 * Seen to fail with this broken in src/ipc/queue_put.c: append rings only if the batch has
 * one message (test_what_rings).
 */
#define _GNU_SOURCE

#include "family.h"

#if defined(__linux__)

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const int soon_ms = (int)(SOON * 1000);

static int epoll_of(int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};
	int ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0)
		return -1;
	return ep;
}

/* How many are ready within ms milliseconds; the descriptor of the first. */
static int ready(int ep, int ms, int *fd)
{
	struct epoll_event e[4];
	int n;
	while ((n = epoll_wait(ep, e, 4, ms)) < 0 && errno == EINTR)
		continue;
	if (n > 0 && fd)
		*fd = e[0].data.fd;
	return n;
}

/* ---- one process ------------------------------------------------------- */

static void put_or_commit(mpx_queue *q, int how)
{
	static const int x[3] = {0};
	if (how == 0) {
		assert_ok(mpx_queue_put(q, x, sizeof *x, 0));
	} else if (how == 1) {
		assert_int_equal(mpx_queue_put_many(q, x, sizeof *x, 3, 0), 3);
	} else {
		void *m = mpx_queue_reserve(q, sizeof *x, 0);
		assert_non_null(m);
		memcpy(m, x, sizeof *x);
		assert_ok(mpx_queue_commit(q, m));
	}
}

static void empty_it(mpx_queue *q, int how)
{
	int x[3];
	size_t size;
	while (!mpx_queue_empty(q)) {
		if (how % 3 == 0) {
			assert_int_equal(mpx_queue_get(q, x, sizeof *x, 0), sizeof *x);
		} else if (how % 3 == 1) {
			assert_true(mpx_queue_get_many(q, x, sizeof *x, 3, NULL, 0) >= 1);
		} else {
			const void *m = mpx_queue_take(q, &size, 0);
			assert_non_null(m);
			assert_ok(mpx_queue_release(q, m));
		}
	}
}

/* Whatever puts makes it readable, whatever takes the last one makes it unreadable. */
static void test_what_rings(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	int ep = epoll_of(mpx_queue_fileno(q), EPOLLIN);
	assert_true(ep >= 0);
	for (int i = 0; i < 90; i++) {
		assert_int_equal(ready(ep, 0, NULL), 0);
		void *m = mpx_queue_reserve(q, 10, 0);
		assert_non_null(m);
		assert_int_equal(ready(ep, 0, NULL), 0);
		assert_ok(mpx_queue_cancel(q, m));
		assert_int_equal(ready(ep, 0, NULL), 0);
		put_or_commit(q, i % 3);
		assert_int_equal(ready(ep, 0, NULL), 1);
		assert_int_equal(ready(ep, 0, NULL), 1); /* level */
		empty_it(q, i / 3);
		assert_int_equal(ready(ep, 0, NULL), 0);
	}
	assert_ok(mpx_queue_close(q));
	assert_int_equal(ready(ep, 0, NULL), 1);
	close(ep);
	mpx_queue_free(q);
}

/* Edge triggered: one event after the queue was found empty, none lost. */
static void test_edge(void **state)
{
	(void)state;
	int x;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	int ep = epoll_of(mpx_queue_fileno(q), EPOLLIN | EPOLLET);
	assert_true(ep >= 0);
	ready(ep, 0, NULL); /* there may be one for the beginning */
	for (int i = 0; i < 100; i++) {
		put_or_commit(q, i % 3);
		assert_int_equal(ready(ep, soon_ms, NULL), 1);
		while (mpx_queue_get(q, &x, sizeof x, 0) == sizeof x)
			continue;
		assert_int_equal(errno, ETIMEDOUT);
	}
	close(ep);
	mpx_queue_free(q);
}

/* ---- beside a socket ----------------------------------------------------- */

enum { EACH = 2000 };

struct both {
	mpx_queue *q;
	int fd;
};

static int put_and_send(void *arg)
{
	const struct both *b = arg;
	int x[2] = {0};
	for (int i = 0; i < EACH / 2; i++) {
		child_check(mpx_queue_put_many(b->q, x, sizeof *x, 2, SOON) == 2);
		child_check(send(b->fd, x, 2, MSG_NOSIGNAL) == 2);
	}
	return 0;
}

static void test_beside_a_socket(void **state)
{
	(void)state;
	int s[2], fd = -1, messages = 0, bytes = 0, x;
	char c[64];
	mpx_queue *q = mpx_queue_new(.maxsize = 100);
	assert_non_null(q);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	int queue_fd = mpx_queue_fileno(q), ep = epoll_of(queue_fd, EPOLLIN);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = s[0]};
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e), 0);
	assert_int_equal(ready(ep, 0, NULL), 0);
	struct both b = {q, s[1]};
	mpx_process *p = start(put_and_send, &b);
	while (messages < EACH || bytes < EACH) {
		if (ready(ep, soon_ms, &fd) < 1)
			fail_msg("asleep after %d messages, %d bytes", messages, bytes);
		if (fd == queue_fd)
			messages += mpx_queue_get(q, &x, sizeof x, 0) == sizeof x;
		ssize_t n = fd == s[0] ? recv(fd, c, sizeof c, MSG_DONTWAIT) : 0;
		assert_true(n >= 0);
		bytes += (int)n;
	}
	assert_int_equal(messages, EACH);
	assert_int_equal(bytes, EACH);
	assert_fails(mpx_queue_get(q, &x, sizeof x, 0), ETIMEDOUT);
	assert_int_equal(ready(ep, 0, NULL), 0);
	ends_well(p);
	close(ep);
	close(s[0]);
	close(s[1]);
	mpx_queue_free(q);
}

/* ---- several processes ------------------------------------------------------ */

enum { POLLERS = 4, MESSAGES = 6000 };

struct crowd {
	mpx_queue *q;
	atomic_int polling, taken;
	_Atomic unsigned char got[MESSAGES];
};

static int poll_and_get(void *arg)
{
	struct crowd *w = arg;
	unsigned x[3];
	int ep = epoll_of(mpx_queue_fileno(w->q), EPOLLIN);
	child_check(ep >= 0);
	atomic_fetch_add(&w->polling, 1);
	for (unsigned round = 0;; round++) {
		child_check(ready(ep, soon_ms, NULL) == 1);
		ssize_t n = mpx_queue_get_many(w->q, x, sizeof *x, round % 3 + 1, NULL, 0);
		if (n == -1 && errno == EPIPE)
			return 0;
		child_check(n >= 1 || errno == ETIMEDOUT); /* another was quicker */
		for (ssize_t i = 0; i < n; i++)
			child_check(atomic_fetch_add(&w->got[x[i]], 1) == 0);
		if (n > 0)
			atomic_fetch_add(&w->taken, (int)n);
	}
}

static struct crowd *crowd_new(mpx_process **p)
{
	struct crowd *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < POLLERS; i++)
		p[i] = start(poll_and_get, w);
	assert_soon(atomic_load(&w->polling) == POLLERS);
	return w;
}

static void crowd_ends(struct crowd *w, mpx_process **p)
{
	assert_ok(mpx_queue_close(w->q));
	for (int i = 0; i < POLLERS; i++)
		ends_well(p[i]);
	mpx_queue_free(w->q);
	mpx_free(w);
}

static void test_several_processes(void **state)
{
	(void)state;
	mpx_process *p[POLLERS];
	struct crowd *w = crowd_new(p);
	unsigned x[6];
	for (unsigned next = 0; next < MESSAGES;) {
		unsigned n = next % 5 == 0 ? 6 : next % 6 ? 1 : 3;
		for (unsigned i = 0; i < n; i++)
			x[i] = next + i;
		n = n < MESSAGES - next ? n : MESSAGES - next;
		if (n == 1) {
			void *m = mpx_queue_reserve(w->q, sizeof *x, 0);
			assert_non_null(m);
			memcpy(m, x, sizeof *x);
			assert_ok(mpx_queue_commit(w->q, m));
		} else {
			assert_int_equal(mpx_queue_put_many(w->q, x, sizeof *x, n, 0), n);
		}
		next += n;
		if (next % 10 == 0) /* all asleep, and woken again */
			assert_soon(atomic_load(&w->taken) == (int)next);
	}
	assert_soon(atomic_load(&w->taken) == MESSAGES);
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(w->got[i], 1);
	crowd_ends(w, p);
}

static int put_for_ever(void *arg)
{
	mpx_queue *q = arg;
	unsigned x[3] = {0};
	for (unsigned i = 0;; i++) {
		void *m;
		child_check(mpx_queue_put_many(q, x, sizeof *x, 3, SOON) == 3);
		child_check((m = mpx_queue_reserve(q, sizeof *x, SOON)) != NULL);
		child_check(mpx_queue_commit(q, m) == 0);
	}
}

static void test_producers_killed(void **state)
{
	(void)state;
	unsigned x[4];
	uint64_t seed = 12;
	mpx_queue *q = mpx_queue_new(.maxsize = 4);
	assert_non_null(q);
	int ep = epoll_of(mpx_queue_fileno(q), EPOLLIN);
	assert_true(ep >= 0);
	double end = now() + 25;
	for (int round = 0; round < 150 && now() < end; round++) {
		mpx_process *p = start(put_for_ever, q);
		for (uint64_t i = next_random(&seed) % 40; i; i--) {
			if (ready(ep, 10000, NULL) != 1)
				fail_msg("asleep, %zd messages", mpx_queue_qsize(q));
			assert_true(mpx_queue_get_many(q, x, sizeof *x, 4, NULL, 0) >= 1 ||
				    errno == ETIMEDOUT);
		}
		assert_ok(mpx_process_kill(p));
		assert_int_equal(ends(p), -SIGKILL);
		if (!mpx_queue_empty(q) && ready(ep, 5000, NULL) != 1)
			fail_msg("round %d: asleep on a message of the dead", round);
		while (mpx_queue_get_many(q, x, sizeof *x, 4, NULL, 0) >= 1)
			continue;
		assert_int_equal(errno, ETIMEDOUT);
		assert_int_equal(ready(ep, 0, NULL), 0);
	}
	close(ep);
	mpx_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_what_rings),	 mpx_test(test_edge),
		mpx_test(test_beside_a_socket),	 mpx_test(test_several_processes),
		mpx_test(test_producers_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	return 77;
}

#endif
