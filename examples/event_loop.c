/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * event_loop.c - a queue and a socket in one poll. A program that serves sockets
 * hands the work to processes, and hears of their answers, by a queue, in the loop
 * that it has anyway: mpx_queue_fileno is a descriptor like any other, also for
 * select, epoll, libuv and the like. Python has no such thing but connection.wait:
 *
 *     while clients:
 *         for ready in wait([server, answers._reader]):
 *             ...
 *
 * which is mpx_wait here: the second half of the program does the same with it, and
 * waits for the worker's end as well.
 *
 * Run it without arguments: ./event_loop. It prints:
 *
 *     by poll: 6 requests on a socket, 6 answers from a queue: sum of squares 91
 *     by mpx_wait: 6 requests on a socket, 6 answers from a queue: sum of squares 91
 *     the worker has ended
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 6 };

struct service {
	mpx_queue *questions, *answers;
	int requests, replies, sum;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The worker: squares numbers until there are no more. */
static int work(void *args)
{
	struct service *s = args;
	int x;

	while (mpx_queue_get(s->questions, &x, sizeof x, MPX_FOREVER) == sizeof x) {
		x *= x;
		if (mpx_queue_put(s->answers, &x, sizeof x, MPX_FOREVER) != 0)
			return 1;
	}
	return errno != EPIPE; /* EPIPE: the queue was closed */
}

/* The client on the other side of the socket. */
static int ask(void *args)
{
	int fd = *(int *)args;

	for (int x = 1; x <= REQUESTS; x++)
		if (write(fd, &x, sizeof x) != sizeof x)
			return 1;
	return 0;
}

static mpx_process *start(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);

	if (p == NULL || mpx_process_start(p) != 0)
		die("start");
	return p;
}

static void join(mpx_process *p)
{
	int code;

	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_exitcode(p, &code) != 0 ||
	    mpx_process_free(p) != 0)
		die("join");
	if (code != 0) {
		fprintf(stderr, "a process failed: %d\n", code);
		exit(1);
	}
}

/* The socket is readable. */
static void take_request(struct service *s, int fd)
{
	int x;

	if (read(fd, &x, sizeof x) != sizeof x)
		die("read");
	s->requests++;
	if (mpx_queue_put(s->questions, &x, sizeof x, 0) != 0)
		die("mpx_queue_put");
}

/* The queue may have an answer: timeout 0, since the loop is not to wait here. */
static void take_answer(struct service *s)
{
	int x;

	if (mpx_queue_get(s->answers, &x, sizeof x, 0) == sizeof x) {
		s->replies++;
		s->sum += x;
	} else if (errno != ETIMEDOUT) {
		die("mpx_queue_get");
	}
}

static void loop_by_poll(struct service *s, int fd)
{
	struct pollfd set[2] = {{.fd = fd, .events = POLLIN},
				{.fd = mpx_queue_fileno(s->answers), .events = POLLIN}};

	if (set[1].fd < 0)
		die("mpx_queue_fileno");
	while (s->replies < REQUESTS) {
		if (poll(set, 2, 10000) <= 0)
			die("poll");
		if (set[0].revents)
			take_request(s, fd);
		if (set[1].revents)
			take_answer(s);
	}
}

static void loop_by_wait(struct service *s, int fd)
{
	mpx_waitable set[2] = {mpx_waitable_fd(fd), mpx_waitable_of(s->answers)};
	bool ready[2];

	while (s->replies < REQUESTS) {
		if (mpx_wait(set, 2, ready, 10.0) < 0)
			die("mpx_wait");
		if (ready[0])
			take_request(s, fd);
		if (ready[1])
			take_answer(s);
	}
}

static int serve(const char *how, void (*loop)(struct service *, int), struct service *s)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		die("socketpair");
	s->requests = s->replies = s->sum = 0;
	mpx_process *client = start(ask, &fd[1]);
	loop(s, fd[0]);
	join(client);
	close(fd[0]);
	close(fd[1]);
	printf("by %s: %d requests on a socket, %d answers from a queue: sum of squares %d\n", how,
	       s->requests, s->replies, s->sum);
	return s->sum != 91;
}

int main(void)
{
	struct service s = {mpx_queue_new(), mpx_queue_new(), 0, 0, 0};
	int wrong;

	if (s.questions == NULL || s.answers == NULL)
		die("mpx_queue_new");
	mpx_process *worker = start(work, &s);
	wrong = serve("poll", loop_by_poll, &s);
	wrong |= serve("mpx_wait", loop_by_wait, &s);

	/* A process can be waited for in the same way. */
	if (mpx_queue_close(s.questions) != 0)
		die("mpx_queue_close");
	mpx_waitable end = mpx_waitable_of(worker);
	if (mpx_wait(&end, 1, NULL, 10.0) != 1)
		die("mpx_wait");
	printf("the worker has ended\n");
	join(worker);
	mpx_queue_free(s.questions);
	mpx_queue_free(s.answers);
	return wrong;
}
