/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_connection.c - bad arguments for mpx/connection.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

#include <stdlib.h>

static void rows_of_connection(void *x)
{
	char text[64] = "";

	FAILS(mpx_connection_send, (x, text, 1, 0));
	FAILS(mpx_connection_send, (x, text, 1, MPX_FOREVER));
	FAILS(mpx_connection_recv, (x, text, 1, 0));
	FAILS(mpx_connection_recv, (x, text, 1, MPX_FOREVER));
	FAILS(mpx_connection_next_size, (x, 0));
	FAILS(mpx_connection_poll, (x, 0));
	FAILS(mpx_connection_poll, (x, MPX_FOREVER));
	FAILS(mpx_connection_send_fd, (x, 0, 0));
	FAILS(mpx_connection_recv_fd, (x, MPX_FOREVER));
	FAILS(mpx_connection_fileno, (x));
	ROW(mpx_connection_readable, (x), false, 0);
	ROW(mpx_connection_writable, (x), false, 0);
	FAILS(mpx_connection_set_max_size, (x, 100));
	ROW(mpx_connection_close, (x), x ? -1 : 0, x ? EINVAL : 0);
}

static void rows_of_waitable(void *x)
{
	const mpx_waitable two[] = {mpx_waitable_of(x), mpx_waitable_of(x)};
	bool ready[2] = {true, true};

	if (!x) /* stands for a descriptor, -1 */
		return;
	FAILS(mpx_wait, (two, 1, ready, 0));
	FAILS(mpx_wait, (two, 2, ready, MPX_FOREVER));
	FAILS(mpx_wait, (two, 2, NULL, 0.01));
}

static const struct arguments_kind kinds[] = {
	{"mpx_connection", rows_of_connection},
	{"mpx_connection mpx_process mpx_queue mpx_result", rows_of_waitable},
	{0},
};

static void without_objects(void)
{
	const mpx_waitable none = mpx_waitable_fd(-1), closed = mpx_waitable_fd(1 << 20);
	bool ready;

	FAILS(mpx_pipe, (NULL, true));
	FAILS(mpx_pipe, (NULL, false));
	FAILS(mpx_wait, (NULL, 1, &ready, 0));
	FAILS(mpx_wait, (NULL, SIZE_MAX, NULL, MPX_FOREVER));
	FAILS(mpx_wait, (&none, SIZE_MAX, NULL, 0));
	FAILS(mpx_wait, (NULL, 0, NULL, MPX_FOREVER));
	FAILS(mpx_wait, (NULL, 0, NULL, NOT_A_NUMBER));
	ROW(mpx_wait, (NULL, 0, NULL, 0), -1, ETIMEDOUT);
	ROW(mpx_wait, (&none, 1, &ready, MPX_FOREVER), -1, EBADF);
	ROW(mpx_wait, (&closed, 1, &ready, MPX_FOREVER), -1, EBADF);
}

static void rows_of_one_way(void)
{
	mpx_connection *end[2];
	char x[8] = "";
	child_check(mpx_pipe(end, false) == 0);

	ROW(mpx_connection_send, (end[0], x, 1, MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_send_fd, (end[0], 0, MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_recv, (end[1], x, 1, MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_next_size, (end[1], MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_recv_fd, (end[1], MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_poll, (end[1], MPX_FOREVER), -1, EBADF);
	const mpx_waitable writer = mpx_waitable_of(end[1]);
	ROW(mpx_wait, (&writer, 1, NULL, MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_close, (end[0]), 0, 0);
	ROW(mpx_connection_close, (end[1]), 0, 0);
}

static void rows_of_both_ways(mpx_connection *a, mpx_connection *b)
{
	size_t huge = SIZE_MAX;
	char x[64] = "";

	FAILS(mpx_connection_send, (a, NULL, 1, 0));
	FAILS(mpx_connection_send, (a, NULL, huge, MPX_FOREVER));
	ROW(mpx_connection_send, (a, x, huge, 0), -1, EMSGSIZE);
	ROW(mpx_connection_send, (a, x, huge / 2, MPX_FOREVER), -1, EMSGSIZE);
	FAILS(mpx_connection_set_max_size, (a, huge));
	FAILS(mpx_connection_set_max_size, (a, huge / 2 + 1));
	ROW(mpx_connection_set_max_size, (a, 10), 0, 0);
	ROW(mpx_connection_send, (a, x, 11, 0), -1, EMSGSIZE);
	ROW(mpx_connection_send_fd, (a, -1, 0), -1, EBADF);
	ROW(mpx_connection_send_fd, (a, 1 << 20, MPX_FOREVER), -1, EBADF);
	ROW(mpx_connection_poll, (b, 0), 0, ETIMEDOUT);
	ROW(mpx_connection_send, (a, NULL, 0, 0), 0, 0);
	FAILS(mpx_connection_recv, (b, NULL, 1, 0));
	ROW(mpx_connection_recv_fd, (b, MPX_FOREVER), -1, ENOMSG);
	ROW(mpx_connection_recv, (b, NULL, 0, SOON), 0, 0);
	ROW(mpx_connection_send, (a, x, 10, 0), 0, 0);
	ROW(mpx_connection_recv, (b, x, 9, SOON), -1, EMSGSIZE);
	ROW(mpx_connection_recv, (b, NULL, 0, SOON), -1, EMSGSIZE);
	ROW(mpx_connection_next_size, (b, SOON), 10, 0);
	ROW(mpx_connection_recv, (b, x, huge / 2, SOON), 10, 0);
	ROW(mpx_connection_send_fd, (a, 0, 0), 0, 0);
	ROW(mpx_connection_recv, (b, x, 10, SOON), -1, ENOMSG);
	ROW(mpx_connection_next_size, (b, SOON), -1, ENOMSG);
	int fd = mpx_connection_recv_fd(b, SOON);
	child_check(fd >= 0 && close(fd) == 0);
}

static void rows_of_sets(mpx_connection *c)
{
	const mpx_waitable set[] = {mpx_waitable_of(c), mpx_waitable_fd(-1)};
	mpx_process *p = mpx_process_new(.target = no_target);
	const mpx_waitable unstarted = mpx_waitable_of(p);
	bool ready[2] = {true, true};
	child_check(p != NULL);

	ROW(mpx_wait, (set, 2, ready, MPX_FOREVER), -1, EBADF);
	child_check(!ready[0] && !ready[1]);
	FAILS(mpx_wait, (set, 1, ready, NOT_A_NUMBER));
	ROW(mpx_wait, (set, 1, NULL, 0), -1, ETIMEDOUT);
	ROW(mpx_wait, (&unstarted, 1, ready, MPX_FOREVER), -1, ECHILD);
	child_check(mpx_process_free(p) == 0);
}

/* The other end has gone. */
static void rows_of_the_end(mpx_connection *a)
{
	char x[8] = "";

	ROW(mpx_connection_send, (a, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_connection_send_fd, (a, 0, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_connection_recv, (a, x, 1, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_connection_recv_fd, (a, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_connection_next_size, (a, MPX_FOREVER), -1, EPIPE);
	ROW(mpx_connection_poll, (a, MPX_FOREVER), 1, 0);
	FAILS(mpx_connection_recv, (a, x, 1, NOT_A_NUMBER));
}

static void with_objects(void)
{
	mpx_connection *end[2];
	child_check(mpx_pipe(end, true) == 0);
	rows_of_one_way();
	rows_of_both_ways(end[0], end[1]);
	rows_of_sets(end[1]);
	ROW(mpx_connection_close, (end[1]), 0, 0);
	FAILS(mpx_connection_close, (end[1]));
	rows_of_the_end(end[0]);
	ROW(mpx_connection_close, (end[0]), 0, 0);
}

/* ---- timeouts ------------------------------------------------------------------ */

/* One direction each: what is sent here arrives there. */
static mpx_connection *quiet[2], *busy[2], *stuffed[2], *handles[2];

static int send_one(bool ready, double timeout)
{
	char c;
	int rc = mpx_connection_send(ready ? quiet[1] : stuffed[1], "x", 1, timeout);
	return rc == 0 && mpx_connection_recv(quiet[0], &c, 1, SOON) != 1 ? 1 : rc;
}

static int send_fd(bool ready, double timeout)
{
	int rc = mpx_connection_send_fd(ready ? quiet[1] : stuffed[1], 1, timeout);
	return rc == 0 ? close(mpx_connection_recv_fd(quiet[0], SOON)) : rc;
}

static int recv_one(bool ready, double timeout)
{
	char c;
	ssize_t n = mpx_connection_recv(ready ? busy[0] : quiet[0], &c, 1, timeout);
	return n == 1 ? mpx_connection_send(busy[1], "x", 1, SOON) : (int)n;
}

static int recv_fd(bool ready, double timeout)
{
	int fd = mpx_connection_recv_fd(ready ? handles[0] : quiet[0], timeout);
	return fd >= 0 ? close(fd) + mpx_connection_send_fd(handles[1], 1, SOON) : fd;
}

static int next_size(bool ready, double timeout)
{
	ssize_t n = mpx_connection_next_size(ready ? busy[0] : quiet[0], timeout);
	return n == 1 ? 0 : (int)n;
}

static int poll_one(bool ready, double timeout)
{
	int n = mpx_connection_poll(ready ? busy[0] : quiet[0], timeout);
	return n == 1 ? 0 : -1;
}

static int wait_one(bool ready, double timeout)
{
	const mpx_waitable one = mpx_waitable_of(ready ? busy[0] : quiet[0]);
	bool is = true;
	int n = mpx_wait(&one, 1, &is, timeout);
	if (is != (n == 1))
		return 2;
	return n == 1 ? 0 : n;
}

static const struct arguments_timed timed[] = {
	{"mpx_connection_send", send_one, false},
	{"mpx_connection_send_fd", send_fd, false},
	{"mpx_connection_recv", recv_one, false},
	{"mpx_connection_recv_fd", recv_fd, false},
	{"mpx_connection_next_size", next_size, false},
	{"mpx_connection_poll", poll_one, false},
	{"mpx_wait", wait_one, false},
	{0},
};

static void timed_begin(void)
{
	assert_ok(mpx_pipe(quiet, false));
	assert_ok(mpx_pipe(busy, false));
	assert_ok(mpx_pipe(handles, false));
	assert_ok(mpx_pipe(stuffed, false));
	assert_ok(mpx_connection_send(busy[1], "x", 1, SOON));
	assert_ok(mpx_connection_send_fd(handles[1], 1, SOON));
	char *much = calloc(1, 1 << 16);
	assert_non_null(much);
	while (mpx_connection_send(stuffed[1], much, 1 << 16, 0) == 0)
		continue;
	assert_int_equal(errno, ETIMEDOUT);
	while (mpx_connection_send(stuffed[1], "x", 1, 0) == 0)
		continue;
	assert_int_equal(errno, ETIMEDOUT);
	free(much);
}

static void timed_end(void)
{
	assert_int_equal(mpx_connection_poll(quiet[0], 0), 0);
	for (int i = 0; i < 2; i++) {
		assert_ok(mpx_connection_close(quiet[i]));
		assert_ok(mpx_connection_close(busy[i]));
		assert_ok(mpx_connection_close(handles[i]));
		assert_ok(mpx_connection_close(stuffed[i]));
	}
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "connection",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
