/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channels of the system: pipe(2), socketpair(2) with message boundaries, POSIX mq.
 */
#include "bench.h"
#include "channel.h"

#include <errno.h>
#include <limits.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- pipe --------------------------------------------------------------------------- */

static void *open_fds(bool made, const int fds[2])
{
	int *c = malloc(2 * sizeof *c);

	bench_check(c);
	c[0] = fds[0];
	c[1] = fds[1];
	if (made)
		return c;
	free(c);
	return NULL;
}

static void close_fds(void *c)
{
	int *fds = c;

	close(fds[0]);
	close(fds[1]);
	free(c);
}

static void *pipe_open(size_t size)
{
	int fds[2];

	(void)size;
	return open_fds(pipe(fds) == 0, fds);
}

static void pipe_put(void *c, const void *msg, size_t size)
{
	const int *fds = c;
	const char *at = msg;

	while (size > 0) {
		ssize_t n = write(fds[1], at, size);

		bench_check(n > 0);
		at += n;
		size -= (size_t)n;
	}
}

static void pipe_get(void *c, void *msg, size_t size)
{
	const int *fds = c;
	char *at = msg;

	while (size > 0) {
		ssize_t n = read(fds[0], at, size);

		bench_check(n > 0);
		at += n;
		size -= (size_t)n;
	}
}

CHANNEL_LOOPS(pipe);

const struct channel channel_pipe = {
	.name = "pipe(2)",
	.open = pipe_open,
	.put = pipe_put,
	.get = pipe_get,
	.produce = pipe_produce,
	.consume = pipe_consume,
	.close = close_fds,
};

/* --- socketpair --------------------------------------------------------------------- */

static void *socket_open(size_t size)
{
	int fds[2];

	(void)size;
	return open_fds(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0, fds);
}

static void socket_put(void *c, const void *msg, size_t size)
{
	const int *fds = c;

	bench_check(send(fds[1], msg, size, MSG_NOSIGNAL) == (ssize_t)size);
}

static void socket_get(void *c, void *msg, size_t size)
{
	const int *fds = c;

	bench_check(recv(fds[0], msg, size, 0) == (ssize_t)size);
}

CHANNEL_LOOPS(socket);

const struct channel channel_socketpair = {
	.name = "socketpair(2)",
	.largest = 65536,
	.many = true,
	.open = socket_open,
	.put = socket_put,
	.get = socket_get,
	.produce = socket_produce,
	.consume = socket_consume,
	.close = close_fds,
};

/* --- message queue ------------------------------------------------------------------ */

static void *mq_channel_open(size_t size)
{
	char name[64];
	struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = (long)size};
	mqd_t *mq = malloc(sizeof *mq);

	bench_check(mq);
	snprintf(name, sizeof name, "/mpx-bench-%d", (int)getpid());
	*mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (*mq != (mqd_t)-1) {
		mq_unlink(name);
		return mq;
	}
	free(mq);
	return NULL;
}

static void mq_put(void *c, const void *msg, size_t size)
{
	const mqd_t *mq = c;

	bench_check(mq_send(*mq, msg, size, 0) == 0);
}

static void mq_get(void *c, void *msg, size_t size)
{
	const mqd_t *mq = c;

	bench_check(mq_receive(*mq, msg, size, NULL) == (ssize_t)size);
}

static void mq_channel_close(void *c)
{
	const mqd_t *mq = c;

	mq_close(*mq);
	free(c);
}

CHANNEL_LOOPS(mq);

const struct channel channel_mq = {
	.name = "POSIX mq",
	.largest = 8192,
	.many = true,
	.open = mq_channel_open,
	.put = mq_put,
	.get = mq_get,
	.produce = mq_produce,
	.consume = mq_consume,
	.close = mq_channel_close,
};
