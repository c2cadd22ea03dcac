/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_connection.c - Pipe and Connection. Of CPython's own tests:
 *
 *   _TestConnection: connection (echo by a child: small, empty, 64 MiB; poll and its
 *   timeouts; end of file), recv_bytes_into (too small: here the message stays), duplex_false,
 *   spawn_close (a child that has closed its copy of our end), sendbytes (sizes at the
 *   edges; what is too large), fd_transfer, large_fd_transfer (numbers above 256, more
 *   than 256 in a row), missing_fd_transfer (ENOMSG).
 *   _TestPoll: empty_string, strings, boundaries, dont_merge.
 *   TestInterrupted / EINTR: signals neither end nor stretch recv, poll, send.
 *
 * And of what CPython does not promise: a message of which any piece is missing is
 * never delivered (cut at each byte; its sender killed inside of it, at random);
 * who is killed is noticed; a send or recv whose time is up inside of a message; threads;
 * fork while another thread receives; bad pointers; few descriptors.
 *
 * Seen to fail, each with a line taken away: what the functions' comments name; in
 * frame.c the shutdown, in common.c MSG_NOSIGNAL, in linux.c the look before the
 * descriptor is taken, in connection.c mpx__os_above_stdio, in turn.c EBUSY.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { MIB = 1 << 20 };

struct two {
	mpx_connection *end[2];
};

static struct two pipe_of(bool duplex)
{
	struct two p = {{NULL, NULL}};
	assert_ok(mpx_pipe(p.end, duplex));
	assert_non_null(p.end[0]);
	assert_non_null(p.end[1]);
	return p;
}

static void close_both(struct two p)
{
	assert_ok(mpx_connection_close(p.end[0]));
	assert_ok(mpx_connection_close(p.end[1]));
}

static unsigned char *memory(size_t n)
{
	unsigned char *p = malloc(n ? n : 1);
	assert_non_null(p);
	return p;
}

static void assert_text(mpx_connection *c, const char *text)
{
	char got[100];
	assert_int_equal(mpx_connection_recv(c, got, sizeof got, SOON), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void send_text(mpx_connection *c, const char *text)
{
	assert_ok(mpx_connection_send(c, text, strlen(text), SOON));
}

static void assert_usable(struct two p)
{
	send_text(p.end[1], "still");
	send_text(p.end[1], "works");
	assert_text(p.end[0], "still");
	assert_text(p.end[0], "works");
	assert_int_equal(mpx_connection_poll(p.end[0], 0), 0);
}

/* ---- one process -------------------------------------------------------- */

static void test_duplex(void **state)
{
	(void)state;
	struct two p = pipe_of(true);
	for (int i = 0; i < 2; i++) {
		assert_true(mpx_connection_readable(p.end[i]));
		assert_true(mpx_connection_writable(p.end[i]));
		int fd = mpx_connection_fileno(p.end[i]);
		assert_true(fd > 2);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	assert_int_not_equal(mpx_connection_fileno(p.end[0]), mpx_connection_fileno(p.end[1]));
	for (int i = 0; i < 100; i++) {
		send_text(p.end[i % 2], "ping");
		send_text(p.end[1 - i % 2], "pong");
		assert_text(p.end[i % 2], "pong");
		assert_text(p.end[1 - i % 2], "ping");
	}
	close_both(p);
}

static void test_one_way(void **state)
{
	(void)state;
	char c;
	struct two p = pipe_of(false);
	assert_true(mpx_connection_readable(p.end[0]));
	assert_false(mpx_connection_writable(p.end[0]));
	assert_false(mpx_connection_readable(p.end[1]));
	assert_true(mpx_connection_writable(p.end[1]));
	assert_usable(p);
	assert_fails(mpx_connection_send(p.end[0], "x", 1, 0), EBADF);
	assert_fails(mpx_connection_send_fd(p.end[0], 0, 0), EBADF);
	assert_fails(mpx_connection_recv(p.end[1], &c, 1, 0), EBADF);
	assert_fails(mpx_connection_next_size(p.end[1], 0), EBADF);
	assert_fails(mpx_connection_recv_fd(p.end[1], 0), EBADF);
	assert_fails(mpx_connection_poll(p.end[1], 0), EBADF);
	close_both(p);
}

static void test_sizes(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 4095, 4096, 65535, 65536, 65537};
	unsigned char *in = memory(70000), *out = memory(70000);
	struct two p = pipe_of(true);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		fill(in, sizes[i], i);
		assert_ok(mpx_connection_send(p.end[0], in, sizes[i], 0));
		assert_int_equal(mpx_connection_next_size(p.end[1], 0), sizes[i]);
		assert_int_equal(mpx_connection_poll(p.end[1], 0), 1);
		assert_int_equal(mpx_connection_recv(p.end[1], out, 70000, 0), sizes[i]);
		assert_true(filled(out, sizes[i], i));
		assert_int_equal(mpx_connection_poll(p.end[1], 0), 0);
		assert_int_equal(errno, ETIMEDOUT);
	}
	/* No buffer is needed for nothing. */
	assert_ok(mpx_connection_send(p.end[0], NULL, 0, 0));
	assert_int_equal(mpx_connection_recv(p.end[1], NULL, 0, 0), 0);
	close_both(p);
	free(in);
	free(out);
}

static void test_empty_messages_and_boundaries(void **state)
{
	(void)state;
	char c[9];
	struct two p = pipe_of(true);
	for (int i = 0; i < 3; i++)
		send_text(p.end[0], "");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpx_connection_poll(p.end[1], 0), 1);
		assert_int_equal(mpx_connection_poll(p.end[1], 0), 1); /* looking takes nothing */
		assert_text(p.end[1], "");
	}
	assert_int_equal(mpx_connection_poll(p.end[1], 0), 0);
	static const char *const words[] = {"", "hello", "", "a", "bb", "", "ccc"};
	for (int i = 0; i < 7; i++)
		send_text(p.end[0], words[i]);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(mpx_connection_next_size(p.end[1], 0), strlen(words[i]));
		assert_text(p.end[1], words[i]);
	}
	assert_fails(mpx_connection_recv(p.end[1], c, sizeof c, 0), ETIMEDOUT);
	close_both(p);
}

static void test_too_small_a_buffer(void **state)
{
	(void)state;
	unsigned char *in = memory(100000), *out = memory(100000);
	struct two p = pipe_of(true);
	fill(in, 100000, 3);
	assert_ok(mpx_connection_send(p.end[0], in, 100, 0));
	assert_ok(mpx_connection_send(p.end[0], in, 100000, 0));
	for (int i = 0; i < 3; i++) {
		assert_fails(mpx_connection_recv(p.end[1], out, 99, 0), EMSGSIZE);
		assert_fails(mpx_connection_recv(p.end[1], NULL, 0, 0), EMSGSIZE);
		assert_int_equal(mpx_connection_poll(p.end[1], 0), 1);
	}
	assert_int_equal(mpx_connection_recv(p.end[1], out, 100, 0), 100);
	assert_fails(mpx_connection_recv(p.end[1], out, 99999, 0), EMSGSIZE);
	assert_int_equal(mpx_connection_next_size(p.end[1], 0), 100000);
	assert_int_equal(mpx_connection_recv(p.end[1], out, 100000, 0), 100000);
	assert_true(filled(out, 100000, 3));
	close_both(p);
	free(in);
	free(out);
}

static void test_end_of_file(void **state)
{
	(void)state;
	char c[10];
	for (int left = 0; left < 2; left++) {
		struct two p = pipe_of(true);
		send_text(p.end[0], "last");
		send_text(p.end[0], "words");
		if (left) /* is never received: Linux tells of that once */
			send_text(p.end[1], "unread");
		assert_ok(mpx_connection_close(p.end[0]));
		assert_fails(mpx_connection_send(p.end[1], "x", 1, SOON), EPIPE);
		assert_text(p.end[1], "last");
		assert_text(p.end[1], "words");
		for (int i = 0; i < 3; i++) {
			assert_int_equal(mpx_connection_poll(p.end[1], 0), 1);
			assert_fails(mpx_connection_recv(p.end[1], c, 1, MPX_FOREVER), EPIPE);
			assert_fails(mpx_connection_next_size(p.end[1], MPX_FOREVER), EPIPE);
			assert_fails(mpx_connection_recv_fd(p.end[1], MPX_FOREVER), EPIPE);
			assert_fails(mpx_connection_send(p.end[1], "x", 1, 0), EPIPE);
			assert_fails(mpx_connection_send_fd(p.end[1], 2, 0), EPIPE);
		}
		assert_ok(mpx_connection_close(p.end[1]));
	}
}

static int send_to_nobody(void *arg)
{
	signal(SIGPIPE, SIG_DFL);
	child_fails(mpx_connection_send(arg, "x", 1, 0), EPIPE);
	return 0;
}

static void test_no_sigpipe(void **state)
{
	(void)state;
	struct two p = pipe_of(false);
	assert_ok(mpx_connection_close(p.end[0]));
	assert_int_equal(run_child(send_to_nobody, p.end[1]), 0);
	assert_ok(mpx_connection_close(p.end[1]));
}

static void test_timeouts(void **state)
{
	(void)state;
	char c[4096] = "";
	int sent = 0;
	struct two p = pipe_of(true);
	assert_times_out(mpx_connection_recv(p.end[0], c, 1, 0), 0);
	assert_times_out(mpx_connection_recv(p.end[0], c, 1, -5), 0);
	assert_times_out(mpx_connection_recv(p.end[0], c, 1, 0.05), 0.05);
	assert_times_out(mpx_connection_next_size(p.end[0], 0.05), 0.05);
	assert_times_out(mpx_connection_recv_fd(p.end[0], 0.05), 0.05);
	double begin = now();
	assert_int_equal(mpx_connection_poll(p.end[0], 0.05), 0);
	assert_true(now() - begin >= 0.05 - 1e-6);
	assert_int_equal(mpx_connection_poll(p.end[0], -1), 0);
	while (mpx_connection_send(p.end[1], c, sizeof c, 0) == 0 && sent < 100000)
		sent++;
	assert_int_equal(errno, ETIMEDOUT);
	assert_times_out(mpx_connection_send(p.end[1], c, sizeof c, 0.05), 0.05);
	for (int i = 0; i < sent; i++)
		assert_int_equal(mpx_connection_recv(p.end[0], c, sizeof c, 0), sizeof c);
	assert_fails(mpx_connection_recv(p.end[0], c, sizeof c, 0), ETIMEDOUT);
	assert_usable(p);
	assert_fails(mpx_connection_recv(p.end[0], c, 1, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_connection_send(p.end[0], c, 1, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_connection_poll(p.end[0], NOT_A_NUMBER), EINVAL);
	assert_usable(p);
	close_both(p);
}

static void test_largest_size(void **state)
{
	(void)state;
	char c[1001] = "";
	struct two p = pipe_of(true);
	assert_ok(mpx_connection_set_max_size(p.end[0], 1000));
	assert_fails(mpx_connection_send(p.end[0], c, 1001, 0), EMSGSIZE);
	assert_ok(mpx_connection_send(p.end[0], c, 1000, 0));
	assert_int_equal(mpx_connection_recv(p.end[1], c, 1001, 0), 1000);
	assert_ok(mpx_connection_send(p.end[1], c, 1000, 0));
	assert_ok(mpx_connection_send(p.end[1], c, 1001, 0));
	assert_ok(mpx_connection_send(p.end[1], c, 1, 0));
	assert_int_equal(mpx_connection_recv(p.end[0], c, 1001, 0), 1000);
	for (int i = 0; i < 3; i++) {
		assert_fails(mpx_connection_recv(p.end[0], c, 1001, SOON), EBADMSG);
		assert_fails(mpx_connection_next_size(p.end[0], SOON), EBADMSG);
		assert_int_equal(mpx_connection_poll(p.end[0], SOON), 1);
	}
	assert_fails(mpx_connection_send(p.end[1], c, 1, SOON), EPIPE);
	/* The other direction goes on. */
	assert_ok(mpx_connection_send(p.end[0], c, 5, 0));
	assert_int_equal(mpx_connection_recv(p.end[1], c, 1001, 0), 5);
	close_both(p);

	p = pipe_of(true);
	assert_ok(mpx_connection_set_max_size(p.end[0], 0));
	assert_ok(mpx_connection_send(p.end[0], c, 0, 0));
	assert_fails(mpx_connection_send(p.end[0], c, 1, 0), EMSGSIZE);
	assert_ok(mpx_connection_set_max_size(p.end[0], PTRDIFF_MAX));
	assert_fails(mpx_connection_set_max_size(p.end[0], (size_t)PTRDIFF_MAX + 1), EINVAL);
	assert_fails(mpx_connection_set_max_size(NULL, 1), EINVAL);
	close_both(p);
	p = pipe_of(true); /* 1 GiB at first */
	assert_fails(mpx_connection_send(p.end[0], c, ((size_t)1 << 30) + 1, 0), EMSGSIZE);
	close_both(p);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	char c;
	struct bad_pointers bad;
	struct two p = pipe_of(true), other = pipe_of(true);
	bad_pointers_make(&bad, p.end[0]);
	for (size_t i = 0; i < bad.n; i++) {
		mpx_connection *b = bad.p[i];
		assert_fails(mpx_connection_send(b, "x", 1, 0), EINVAL);
		assert_fails(mpx_connection_recv(b, &c, 1, 0), EINVAL);
		assert_fails(mpx_connection_next_size(b, 0), EINVAL);
		assert_fails(mpx_connection_poll(b, 0), EINVAL);
		assert_fails(mpx_connection_send_fd(b, 0, 0), EINVAL);
		assert_fails(mpx_connection_recv_fd(b, 0), EINVAL);
		assert_fails(mpx_connection_fileno(b), EINVAL);
		assert_nothing(mpx_connection_readable(b), EINVAL);
		assert_nothing(mpx_connection_writable(b), EINVAL);
		if (b)
			assert_fails(mpx_connection_close(b), EINVAL);
	}
	assert_ok(mpx_connection_close(NULL));
	assert_fails(mpx_pipe(NULL, true), EINVAL);
	assert_fails(mpx_connection_send(p.end[0], NULL, 1, 0), EINVAL);
	assert_fails(mpx_connection_recv(p.end[0], NULL, 1, 0), EINVAL);
	close_both(other);
	for (int i = 0; i < 2; i++) { /* Python: "handle is closed" */
		assert_fails(mpx_connection_send(other.end[i], "x", 1, 0), EINVAL);
		assert_fails(mpx_connection_poll(other.end[i], 0), EINVAL);
		assert_fails(mpx_connection_close(other.end[i]), EINVAL);
	}
	assert_usable(p);
	close_both(p);
	bad_pointers_done(&bad);
}

static void test_many_pipes(void **state)
{
	(void)state;
	enum { N = 150 };
	static struct two p[N];
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < N; i++)
			p[i] = pipe_of(i % 2);
		for (int i = 0; i < N; i++)
			assert_ok(mpx_connection_send(p[i].end[1], &i, sizeof i, 0));
		for (int i = N - 1, k; i >= 0; i--) {
			assert_int_equal(mpx_connection_recv(p[i].end[0], &k, sizeof k, 0),
					 sizeof k);
			assert_int_equal(k, i);
		}
		for (int i = 0; i < N; i++)
			close_both(p[(i + round) % N]);
	}
}

/* ---- what comes in pieces ----------------------------------------------- */

/* The bytes that a message is on the wire. */
static size_t wire_of(const void *message, size_t size, unsigned char *wire, size_t cap)
{
	struct two p = pipe_of(true);
	size_t got = 0;
	assert_ok(mpx_connection_send(p.end[0], message, size, 0));
	while (mpx_connection_poll(p.end[1], 0) == 1) {
		ssize_t n = read(mpx_connection_fileno(p.end[1]), wire + got, cap - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
	close_both(p);
	return got;
}

static void write_raw(mpx_connection *c, const void *bytes, size_t n)
{
	assert_int_equal(write(mpx_connection_fileno(c), bytes, n), n);
}

/* Broken to see it fail: the_end (frame.c) always EPIPE; END not checked. */
static void test_cut_at_each_byte(void **state)
{
	(void)state;
	unsigned char wire[200], out[100];
	for (size_t size = 0; size < 30; size += 29) {
		fill(out, size, 9);
		size_t length = wire_of(out, size, wire, sizeof wire);
		for (size_t cut = 0; cut <= length; cut++) {
			struct two p = pipe_of(true);
			send_text(p.end[1], "before");
			write_raw(p.end[1], wire, cut);
			assert_ok(mpx_connection_close(p.end[1]));
			assert_text(p.end[0], "before");
			if (cut == length)
				assert_int_equal(mpx_connection_recv(p.end[0], out, 100, SOON),
						 size);
			for (int i = 0; i < 3; i++)
				assert_fails(mpx_connection_recv(p.end[0], out, 100, SOON),
					     cut == 0 || cut == length ? EPIPE : ECONNRESET);
			assert_int_equal(mpx_connection_poll(p.end[0], 0), 1);
			assert_ok(mpx_connection_close(p.end[0]));
		}
	}
}

/* Broken to see it fail: the stash is not filled, or not copied back. */
static void test_byte_by_byte(void **state)
{
	(void)state;
	enum { SIZE = 50 };
	unsigned char in[SIZE], out[SIZE], wire[200];
	struct two p = pipe_of(true);
	for (unsigned seed = 0; seed < 3; seed++) {
		fill(in, SIZE, seed);
		size_t length = wire_of(in, SIZE, wire, sizeof wire);
		for (size_t i = 0; i < length; i++) {
			memset(out, 0, SIZE);
			assert_fails(mpx_connection_recv(p.end[0], out, SIZE, 0), ETIMEDOUT);
			if (i >= 8)
				assert_fails(mpx_connection_recv(p.end[0], out, SIZE - 1, 0),
					     EMSGSIZE);
			write_raw(p.end[1], wire + i, 1);
		}
		assert_int_equal(mpx_connection_recv(p.end[0], out, SIZE, 0), SIZE);
		assert_true(filled(out, SIZE, seed));
		assert_usable(p);
	}
	close_both(p);
}

static void test_garbage(void **state)
{
	(void)state;
	char c[100];
	unsigned char wire[200];
	struct two p = pipe_of(true);
	send_text(p.end[1], "good");
	write_raw(p.end[1], "this is no message at all", 25);
	assert_text(p.end[0], "good");
	assert_fails(mpx_connection_recv(p.end[0], c, sizeof c, SOON), EBADMSG);
	assert_fails(mpx_connection_recv(p.end[0], c, sizeof c, SOON), EBADMSG);
	assert_fails(mpx_connection_recv_fd(p.end[0], SOON), EBADMSG);
	assert_fails(mpx_connection_send(p.end[1], c, 1, SOON), EPIPE);
	close_both(p);
	/* One wrong byte at the end. */
	p = pipe_of(true);
	size_t length = wire_of("text", 4, wire, sizeof wire);
	wire[length - 1] = '?';
	write_raw(p.end[1], wire, length);
	assert_fails(mpx_connection_recv(p.end[0], c, sizeof c, SOON), EBADMSG);
	close_both(p);
}

/* ---- a child ------------------------------------------------------------ */

/* Sends everything back until it gets "stop". */
static int echo(void *arg)
{
	struct two *p = arg;
	size_t cap = 1, size;
	unsigned char *m = malloc(cap);
	child_check(mpx_connection_close(p->end[0]) == 0);
	for (;;) {
		ssize_t n = mpx_connection_recv(p->end[1], m, cap, SOON);
		if (n < 0 && errno == EMSGSIZE) {
			child_check((n = mpx_connection_next_size(p->end[1], 0)) > (ssize_t)cap);
			cap = (size_t)n;
			free(m);
			m = malloc(cap);
			child_check(m != NULL);
			continue;
		}
		child_check(n >= 0);
		size = (size_t)n;
		if (size == 4 && memcmp(m, "stop", 4) == 0)
			break;
		child_check(mpx_connection_send(p->end[1], m, size, SOON) == 0);
	}
	free(m);
	child_check(mpx_connection_close(p->end[1]) == 0);
	return 0;
}

static void test_echo(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 10, 65536, 65537, MIB, 64 * MIB, 3, 16 * MIB + 1};
	unsigned char *m = memory(64 * MIB);
	char c;
	struct two p = pipe_of(true);
	mpx_process *child = start(echo, &p);
	assert_ok(mpx_connection_close(p.end[1]));
	assert_int_equal(mpx_connection_poll(p.end[0], 0), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		fill(m, sizes[i], i);
		assert_ok(mpx_connection_send(p.end[0], m, sizes[i], 2 * SOON));
		memset(m, 0, sizes[i]);
		assert_int_equal(mpx_connection_poll(p.end[0], SOON), 1);
		assert_int_equal(mpx_connection_recv(p.end[0], m, 64 * MIB, 2 * SOON), sizes[i]);
		assert_true(filled(m, sizes[i], i));
	}
	send_text(p.end[0], "stop");
	assert_fails(mpx_connection_recv(p.end[0], &c, 1, SOON), EPIPE);
	assert_fails(mpx_connection_send(p.end[0], &c, 1, SOON), EPIPE);
	ends_well(child);
	assert_ok(mpx_connection_close(p.end[0]));
	free(m);
}

/* A raw fork; each side uses both directions. */
static int count_down(void *arg)
{
	mpx_connection *c = arg;
	int x;
	while (mpx_connection_recv(c, &x, sizeof x, SOON) == sizeof x && x > 0) {
		x--;
		child_check(mpx_connection_send(c, &x, sizeof x, SOON) == 0);
	}
	child_check(x == 0);
	return 0;
}

static void test_ping_pong_with_fork(void **state)
{
	(void)state;
	struct two p = pipe_of(true);
	int x = 2000;
	pid_t pid = fork_child(count_down, p.end[1]);
	while (x > 0) {
		assert_ok(mpx_connection_send(p.end[0], &x, sizeof x, SOON));
		assert_int_equal(mpx_connection_recv(p.end[0], &x, sizeof x, SOON), sizeof x);
		x--;
	}
	if (x == 0)
		assert_ok(mpx_connection_send(p.end[0], &x, sizeof x, SOON));
	assert_int_equal(wait_child(pid), 0);
	close_both(p);
}

/* ---- time is up inside of a message ---------------------------------------- */

struct job {
	mpx_connection *c;
	size_t size, seed;
	atomic_int stage;
};

static void *receive_one(void *arg)
{
	struct job *j = arg;
	unsigned char *m = malloc(8 * MIB); /* room for what is given up as well */
	ssize_t n = mpx_connection_recv(j->c, m, 8 * MIB, 2 * SOON);
	bool good = n == (ssize_t)j->size && filled(m, j->size, j->seed);
	free(m);
	return good ? j : NULL;
}

/* What was not sent in time is never seen, and costs nothing else. Broken to see it
 * fail: out->debt never set; VOID taken for END. */
static void test_send_gives_up(void **state)
{
	(void)state;
	static const size_t large[] = {8 * MIB, 1000000, 400001, 300000};
	unsigned char *m = memory(8 * MIB);
	struct two p = pipe_of(true);
	for (int i = 0; i < 20; i++) {
		pthread_t t;
		void *good;
		struct job j = {p.end[1], (size_t)i * 7777, (size_t)i, 0};
		fill(m, 8 * MIB, 99);
		assert_times_out(mpx_connection_send(p.end[0], m, large[i % 4], 0.01), 0.01);
		for (int k = 0; k < i % 3; k++) /* again before anybody receives */
			assert_fails(mpx_connection_send(p.end[0], m, 10, 0), ETIMEDOUT);
		if (i % 5 == 4)
			assert_fails(mpx_connection_recv(p.end[1], m, 8 * MIB, 0), ETIMEDOUT);
		assert_int_equal(pthread_create(&t, NULL, receive_one, &j), 0);
		fill(m, j.size, j.seed);
		assert_ok(mpx_connection_send(p.end[0], m, j.size, SOON));
		assert_int_equal(pthread_join(t, &good), 0);
		assert_ptr_equal(good, &j);
		assert_usable((struct two){{p.end[1], p.end[0]}});
	}
	close_both(p);
	free(m);
}

static int send_one(void *arg)
{
	struct job *j = arg;
	unsigned char *m = malloc(j->size);
	fill(m, j->size, j->seed);
	atomic_store(&j->stage, 1);
	child_check(mpx_connection_send(j->c, m, j->size, 2 * SOON) == 0);
	atomic_store(&j->stage, 2);
	free(m);
	return 0;
}

/* A child that is inside of a send, and can get no further. */
static mpx_process *sender_inside(struct job **shared, mpx_connection *c, size_t size)
{
	struct job *j = mpx_calloc(1, sizeof *j);
	assert_non_null(j);
	j->c = c;
	j->size = size;
	j->seed = 5;
	mpx_process *child = start(send_one, j);
	assert_soon(atomic_load(&j->stage) == 1);
	*shared = j;
	return child;
}

/* When the time is up, what can be had at once still is, but a partner that keeps up is
 * not followed for ever: 16 MiB a call. A large buffer is a partner that keeps up; it
 * takes a right (CAP_NET_ADMIN) that tests seldom have. */
static void test_late_but_busy(void **state)
{
	(void)state;
	enum { SIZE = 40 * MIB, BUFFER = 64 * MIB };
	struct two p = pipe_of(true);
	bool large = false;
#ifdef SO_SNDBUFFORCE
	large = setsockopt(mpx_connection_fileno(p.end[1]), SOL_SOCKET, SO_SNDBUFFORCE,
			   &(int){BUFFER}, sizeof(int)) == 0;
#endif
	if (!large) {
		close_both(p);
		skip();
	}
	unsigned char *m = memory(SIZE), *out = memory(SIZE);
	fill(m, SIZE, 5);
	assert_ok(mpx_connection_send(p.end[1], m, 8 * MIB, 0));
	assert_int_equal(mpx_connection_recv(p.end[0], out, SIZE, 0), 8 * MIB);
	assert_ok(mpx_connection_send(p.end[1], m, SIZE, SOON));
	assert_fails(mpx_connection_recv(p.end[0], out, SIZE, 0), ETIMEDOUT);
	assert_fails(mpx_connection_recv(p.end[0], out, SIZE, 0), ETIMEDOUT);
	assert_int_equal(mpx_connection_recv(p.end[0], out, SIZE, 0), SIZE);
	assert_true(filled(out, SIZE, 5));
	assert_fails(mpx_connection_send(p.end[1], m, SIZE, 0), ETIMEDOUT);
	assert_ok(mpx_connection_send(p.end[1], m, 10, 0));
	assert_int_equal(mpx_connection_recv(p.end[0], out, SIZE, SOON), 10);
	close_both(p);
	free(m);
	free(out);
}

/* Closed in debt: that is an end inside of a message. */
static void test_close_after_giving_up(void **state)
{
	(void)state;
	unsigned char *m = memory(MIB);
	struct two p = pipe_of(true);
	memset(m, 0, MIB);
	assert_fails(mpx_connection_send(p.end[0], m, MIB, 0), ETIMEDOUT);
	assert_ok(mpx_connection_close(p.end[0]));
	assert_fails(mpx_connection_recv(p.end[1], m, MIB, SOON), ECONNRESET);
	assert_ok(mpx_connection_close(p.end[1]));
	free(m);
}

static void test_recv_gives_up(void **state)
{
	(void)state;
	enum { SIZE = 8 * MIB };
	unsigned char *m = memory(SIZE);
	struct job *j;
	struct two p = pipe_of(true);
	mpx_process *child = sender_inside(&j, p.end[1], SIZE);
	pid_t pid = mpx_process_pid(child);
	for (int i = 0; i < 20; i++) {
		assert_soon(asleep(pid));
		assert_int_equal(kill(pid, SIGSTOP), 0);
		memset(m, 0, 1000);
		/* It takes what there is; the sender may have come a part further. */
		assert_fails(mpx_connection_recv(p.end[0], m, SIZE, i % 2 ? 0.01 : 0), ETIMEDOUT);
		assert_fails(mpx_connection_recv(p.end[0], m, SIZE - 1, 0), EMSGSIZE);
		assert_int_equal(mpx_connection_next_size(p.end[0], 0), SIZE);
		assert_int_equal(kill(pid, SIGCONT), 0);
	}
	assert_int_equal(mpx_connection_recv(p.end[0], m, SIZE, SOON), SIZE);
	assert_true(filled(m, SIZE, 5));
	ends_well(child);
	mpx_free(j);
	close_both(p);
	free(m);
}

/* ---- killed ------------------------------------------------------------------ */

static void test_sender_killed_inside(void **state)
{
	(void)state;
	enum { SIZE = 8 * MIB };
	unsigned char *m = memory(SIZE);
	for (int i = 0; i < 6; i++) {
		struct job *j;
		struct two p = pipe_of(true);
		mpx_process *child = sender_inside(&j, p.end[1], SIZE);
		assert_ok(mpx_connection_close(p.end[1]));
		assert_soon(asleep(mpx_process_pid(child)));
		if (i % 3 == 1) { /* some of it has been received already */
			assert_int_equal(kill(mpx_process_pid(child), SIGSTOP), 0);
			assert_fails(mpx_connection_recv(p.end[0], m, SIZE, 0), ETIMEDOUT);
		}
		if (i % 3 == 2)
			assert_fails(mpx_connection_recv(p.end[0], m, 10, SOON), EMSGSIZE);
		assert_ok(mpx_process_kill(child));
		if (i < 3)
			assert_int_equal(ends(child), -SIGKILL);
		assert_fails(mpx_connection_recv(p.end[0], m, SIZE, MPX_FOREVER), ECONNRESET);
		assert_fails(mpx_connection_recv(p.end[0], m, SIZE, MPX_FOREVER), ECONNRESET);
		assert_fails(mpx_connection_next_size(p.end[0], MPX_FOREVER), ECONNRESET);
		assert_int_equal(mpx_connection_poll(p.end[0], 0), 1);
		assert_fails(mpx_connection_send(p.end[0], m, 1, MPX_FOREVER), EPIPE);
		if (i >= 3)
			assert_int_equal(ends(child), -SIGKILL);
		assert_ok(mpx_connection_close(p.end[0]));
		mpx_free(j);
	}
	free(m);
}

struct fatal {
	struct two p;
	pid_t parent;
};

/* Dies when its parent sleeps inside of a send. */
static int die_of_boredom(void *arg)
{
	struct fatal *f = arg;
	char c;
	child_check(mpx_connection_close(f->p.end[0]) == 0);
	child_check(mpx_connection_poll(f->p.end[1], SOON) == 1);
	child_fails(mpx_connection_recv(f->p.end[1], &c, 1, 0), EMSGSIZE);
	child_soon(asleep(f->parent));
	raise(SIGKILL);
	return 0;
}

static void test_receiver_killed(void **state)
{
	(void)state;
	enum { SIZE = 8 * MIB };
	unsigned char *m = memory(SIZE);
	memset(m, 1, SIZE);
	struct fatal f = {pipe_of(true), getpid()};
	mpx_process *child = start(die_of_boredom, &f);
	assert_ok(mpx_connection_close(f.p.end[1]));
	assert_fails(mpx_connection_send(f.p.end[0], m, SIZE, MPX_FOREVER), EPIPE);
	assert_fails(mpx_connection_send(f.p.end[0], m, 1, MPX_FOREVER), EPIPE);
	assert_fails(mpx_connection_recv(f.p.end[0], m, 1, MPX_FOREVER), EPIPE);
	assert_int_equal(ends(child), -SIGKILL);
	assert_ok(mpx_connection_close(f.p.end[0]));
	free(m);
}

static int send_for_ever(void *arg)
{
	enum { MOST = 300000 };
	mpx_connection *c = arg;
	uint64_t seed = 8;
	unsigned char *m = malloc(MOST);
	child_check(m != NULL);
	for (unsigned i = 0;; i++) {
		size_t size = next_random(&seed) % (i % 4 ? 500 : MOST);
		fill(m, size, i);
		child_check(mpx_connection_send(c, m, size, SOON) == 0);
	}
}

/* Whatever arrives is whole and in order, and then comes the end. */
static void test_kill_storm(void **state)
{
	(void)state;
	enum { MOST = 300000 };
	unsigned char *m = memory(MOST);
	uint64_t dice = 4;
	unsigned inside = 0, between = 0;
	double end = now() + 20;
	for (int round = 0; round < 200 && now() < end; round++) {
		uint64_t seed = 8, fatal = next_random(&dice) % 40;
		struct two p = pipe_of(false);
		mpx_process *child = start(send_for_ever, p.end[1]);
		assert_ok(mpx_connection_close(p.end[1]));
		for (unsigned i = 0;; i++) {
			size_t size = next_random(&seed) % (i % 4 ? 500 : MOST);
			if (i == fatal)
				assert_ok(mpx_process_kill(child));
			ssize_t n = mpx_connection_recv(p.end[0], m, MOST, SOON);
			if (n < 0)
				break;
			assert_int_equal(n, size);
			assert_true(filled(m, size, i));
		}
		assert_true(errno == EPIPE || errno == ECONNRESET);
		inside += errno == ECONNRESET;
		between += errno == EPIPE;
		assert_int_equal(ends(child), -SIGKILL);
		assert_ok(mpx_connection_close(p.end[0]));
	}
	print_message("killed inside of a message %u times, between two %u times\n", inside,
		      between);
	free(m);
}

/* ---- descriptors --------------------------------------------------------------- */

static void test_descriptor(void **state)
{
	(void)state;
	char c;
	int fd[2];
	struct two p = pipe_of(true);
	assert_int_equal(pipe(fd), 0);
	send_text(p.end[0], "before");
	assert_ok(mpx_connection_send_fd(p.end[0], fd[1], 0));
	send_text(p.end[0], "after");
	close(fd[1]);
	assert_fails(mpx_connection_recv_fd(p.end[1], 0), ENOMSG);
	assert_text(p.end[1], "before");
	assert_fails(mpx_connection_recv(p.end[1], &c, 1, 0), ENOMSG);
	assert_fails(mpx_connection_next_size(p.end[1], 0), ENOMSG);
	assert_int_equal(mpx_connection_poll(p.end[1], 0), 1);
	int got = mpx_connection_recv_fd(p.end[1], 0);
	assert_true(got >= 0);
	assert_int_equal(fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_text(p.end[1], "after");
	assert_true(send_byte(got));
	assert_true(recv_byte(fd[0]));
	close(got);
	assert_false(recv_byte(fd[0])); /* no other copy is left anywhere */
	assert_fails(mpx_connection_send_fd(p.end[0], -1, 0), EBADF);
	assert_fails(mpx_connection_send_fd(p.end[0], fd[1], 0), EBADF);
	assert_usable(p);
	/* On its way, and never received: goes with the connection. */
	assert_ok(mpx_connection_send_fd(p.end[0], fd[0], 0));
	close_both(p);
	close(fd[0]);
}

/* Each descriptor is one of its own, of a file with its number in it. */
static int receive_descriptors(void *arg)
{
	mpx_connection *c = arg;
	int fd, n;
	for (n = 0; (fd = mpx_connection_recv_fd(c, SOON)) >= 0; n++) {
		int x = -1;
		child_check(pread(fd, &x, sizeof x, 0) == sizeof x && x == n);
		close(fd);
	}
	child_check(errno == ENOMSG);
	child_check(mpx_connection_recv(c, &fd, sizeof fd, 0) == sizeof fd);
	return n == fd ? 0 : 1;
}

static void test_many_descriptors(void **state)
{
	(void)state;
	enum { N = 700, HIGH = 300 };
	struct two p = pipe_of(true);
	mpx_process *child = start(receive_descriptors, p.end[1]);
	for (int i = 0; i < N; i++) {
		char name[] = "/tmp/mpx-test-XXXXXX";
		int fd = mkstemp(name), sent = fd;
		assert_true(fd >= 0);
		unlink(name);
		assert_int_equal(write(fd, &i, sizeof i), sizeof i);
		if (i % 2) {
			assert_int_equal(sent = dup2(fd, HIGH), HIGH);
			close(fd);
		}
		assert_ok(mpx_connection_send_fd(p.end[0], sent, SOON));
		close(sent);
	}
	int n = N;
	assert_ok(mpx_connection_send(p.end[0], &n, sizeof n, SOON));
	ends_well(child);
	close_both(p);
}

/* Without a receiver there is an end to it, and what was sent arrives. */
static void test_descriptors_pile_up(void **state)
{
	(void)state;
	struct two p = pipe_of(true);
	int sent = 0, fd;
	while (sent < 2000 && mpx_connection_send_fd(p.end[0], 2, 0) == 0)
		sent++;
	if (sent < 2000)
		assert_true(errno == ETIMEDOUT || errno == ETOOMANYREFS);
	assert_true(sent > 100);
	for (int i = 0; i < sent; i++) {
		fd = mpx_connection_recv_fd(p.end[1], 0);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_fails(mpx_connection_recv_fd(p.end[1], 0), ETIMEDOUT);
	close_both(p);
}

static int no_room(void *arg)
{
	struct two *p = arg;
	struct rlimit old, none;
	mpx_connection *end[2] = {NULL, NULL};
	child_check(getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = old;
	int spare = dup(2);
	child_check(spare >= 0 && close(spare) == 0);
	none.rlim_cur = (rlim_t)spare;
	child_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
	for (int i = 0; i < 3; i++)
		child_fails(mpx_connection_recv_fd(p->end[1], 0), EMFILE);
	child_fails(mpx_pipe(end, true), EMFILE);
	child_check(end[0] == NULL && end[1] == NULL);
	none.rlim_cur = (rlim_t)spare + 1;
	child_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
	child_fails(mpx_pipe(end, true), EMFILE); /* one is not enough */
	int fd = mpx_connection_recv_fd(p->end[1], 0);
	child_check(fd == spare);
	close(fd);
	child_check(setrlimit(RLIMIT_NOFILE, &old) == 0);
	return 0;
}

static void test_no_room_for_a_descriptor(void **state)
{
	(void)state;
	struct two p = pipe_of(true);
	assert_ok(mpx_connection_send_fd(p.end[0], 2, 0));
	assert_int_equal(run_child(no_room, &p), 0);
	close_both(p);
}

static int pipe_without_stdio(void *arg)
{
	mpx_connection *end[2];
	char c;
	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (mpx_pipe(end, true) != 0)
		return 1;
	if (mpx_connection_fileno(end[0]) < 3 || mpx_connection_fileno(end[1]) < 3)
		return 2;
	if (mpx_connection_send(end[0], "x", 1, 0) != 0 ||
	    mpx_connection_recv(end[1], &c, 1, 0) != 1)
		return 3;
	return fcntl(0, F_GETFD) >= 0 ||
	       fcntl(mpx_connection_fileno(end[0]), F_GETFD) != FD_CLOEXEC;
}

static void test_standard_descriptors_closed(void **state)
{
	(void)state;
	assert_int_equal(run_child(pipe_without_stdio, NULL), 0);
}

/* ---- threads, forks, signals ---------------------------------------------------- */

enum { THREADS = 4, EACH = 1500 };

struct crowd {
	mpx_connection *c;
	int number;
	unsigned long sum;
	bool good;
};

/* Messages of many sizes with the same byte all over: no two may be mixed. */
static void *send_many(void *arg)
{
	struct crowd *w = arg;
	static unsigned char m[THREADS][5000];
	uint64_t seed = (uint64_t)w->number;
	w->good = true;
	memset(m[w->number], w->number + 1, 5000);
	for (int i = 0; i < EACH; i++) {
		size_t size = 1 + next_random(&seed) % 5000;
		w->sum += size;
		w->good = w->good && mpx_connection_send(w->c, m[w->number], size, SOON) == 0;
	}
	return NULL;
}

static void *recv_many(void *arg)
{
	struct crowd *w = arg;
	unsigned char m[5000];
	w->good = true;
	for (int i = 0; i < EACH; i++) {
		ssize_t n = mpx_connection_recv(w->c, m, sizeof m, SOON);
		w->good = w->good && n > 0;
		w->sum += n > 0 ? (size_t)n : 0;
		for (ssize_t k = 1; k < n; k++)
			w->good = w->good && m[k] == m[0];
	}
	return NULL;
}

/* Broken to see it fail: no turn in send_frame, or in begin. */
static void test_threads(void **state)
{
	(void)state;
	pthread_t t[2 * THREADS];
	struct crowd w[2 * THREADS];
	struct two p = pipe_of(true);
	for (int i = 0; i < 2 * THREADS; i++) {
		w[i] = (struct crowd){p.end[i < THREADS], i % THREADS, 0, false};
		assert_int_equal(
			pthread_create(&t[i], NULL, i < THREADS ? send_many : recv_many, &w[i]), 0);
	}
	unsigned long sent = 0, received = 0;
	for (int i = 0; i < 2 * THREADS; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_true(w[i].good);
		*(i < THREADS ? &sent : &received) += w[i].sum;
	}
	assert_int_equal(sent, received);
	assert_int_equal(mpx_connection_poll(p.end[0], 0), 0);
	close_both(p);
}

struct blocked {
	mpx_connection *c;
	atomic_int stage;
	char got;
	ssize_t n;
};

static void *recv_one(void *arg)
{
	struct blocked *b = arg;
	atomic_store(&b->stage, 1);
	b->n = mpx_connection_recv(b->c, &b->got, 1, MPX_FOREVER);
	atomic_store(&b->stage, 2);
	return NULL;
}

static int use_forked(void *arg)
{
	mpx_connection *c = arg;
	char x;
	child_fails(mpx_connection_recv(c, &x, 1, SOON), EBUSY);
	child_fails(mpx_connection_next_size(c, SOON), EBUSY);
	child_check(mpx_connection_poll(c, 0) == 0);
	child_check(mpx_connection_send(c, "c", 1, SOON) == 0);
	return 0;
}

/* A thread is inside of recv: others wait their turn with a deadline of their own,
 * the other direction is free, and a child is told. */
static void test_one_thread_receives(void **state)
{
	(void)state;
	pthread_t t;
	char c;
	struct two p = pipe_of(true);
	struct blocked b = {p.end[0], 0, 0, 0};
	assert_int_equal(pthread_create(&t, NULL, recv_one, &b), 0);
	assert_soon(atomic_load(&b.stage) == 1);
	/* Which one of the two has the turn is not known before this. */
	int code;
	double end = now() + 20;
	while ((code = run_child(use_forked, p.end[0])) != 0 && now() < end)
		nap();
	assert_int_equal(code, 0);
	assert_text(p.end[1], "c");
	assert_times_out(mpx_connection_recv(p.end[0], &c, 1, 0), 0);
	assert_times_out(mpx_connection_recv(p.end[0], &c, 1, 0.05), 0.05);
	send_text(p.end[0], "x");
	assert_text(p.end[1], "x");
	send_text(p.end[1], "y");
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.got, 'y');
	assert_usable((struct two){{p.end[1], p.end[0]}});
	assert_usable(p);
	close_both(p);
}

static void on_signal(int sig)
{
	(void)sig;
}

struct shower {
	pthread_t target;
	atomic_bool stop;
	int sent;
};

static void *rain(void *arg)
{
	struct shower *s = arg;
	while (!atomic_load(&s->stop)) {
		pthread_kill(s->target, SIGUSR1);
		s->sent++;
		nap();
	}
	return NULL;
}

static void test_signals(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = on_signal}, old; /* no SA_RESTART */
	struct shower s = {pthread_self(), false, 0};
	struct blocked b;
	pthread_t t;
	char c[4096] = "";
	struct two p = pipe_of(true);
	sigemptyset(&sa.sa_mask);
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	assert_int_equal(pthread_create(&t, NULL, rain, &s), 0);
	assert_times_out(mpx_connection_recv(p.end[0], c, 1, 0.2), 0.2);
	double begin = now();
	assert_int_equal(mpx_connection_poll(p.end[0], 0.2), 0);
	assert_true(now() - begin >= 0.2 - 1e-6);
	assert_int_equal(mpx_connection_poll(p.end[0], 0.2), 0);
	while (mpx_connection_send(p.end[1], c, sizeof c, 0) == 0)
		continue;
	assert_times_out(mpx_connection_send(p.end[1], c, sizeof c, 0.2), 0.2);
	while (mpx_connection_recv(p.end[0], c, sizeof c, 0) == sizeof c)
		continue;
	/* And while another thread has the turn. */
	b = (struct blocked){p.end[0], 0, 0, 0};
	pthread_t other;
	assert_int_equal(pthread_create(&other, NULL, recv_one, &b), 0);
	assert_soon(atomic_load(&b.stage) == 1);
	assert_times_out(mpx_connection_recv(p.end[0], c, 1, 0.2), 0.2);
	send_text(p.end[1], "x");
	assert_int_equal(pthread_join(other, NULL), 0);
	atomic_store(&s.stop, true);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(s.sent > 10);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	close_both(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_duplex),
		mpx_test(test_one_way),
		mpx_test(test_sizes),
		mpx_test(test_empty_messages_and_boundaries),
		mpx_test(test_too_small_a_buffer),
		mpx_test(test_end_of_file),
		mpx_test(test_no_sigpipe),
		mpx_test(test_timeouts),
		mpx_test(test_largest_size),
		mpx_test(test_bad_pointers),
		mpx_test(test_many_pipes),
		mpx_test(test_cut_at_each_byte),
		mpx_test(test_byte_by_byte),
		mpx_test(test_garbage),
		mpx_test(test_echo),
		mpx_test(test_ping_pong_with_fork),
		mpx_test(test_send_gives_up),
		mpx_test(test_late_but_busy),
		mpx_test(test_close_after_giving_up),
		mpx_test(test_recv_gives_up),
		mpx_test(test_sender_killed_inside),
		mpx_test(test_receiver_killed),
		mpx_test(test_kill_storm),
		mpx_test(test_descriptor),
		mpx_test(test_many_descriptors),
		mpx_test(test_descriptors_pile_up),
		mpx_test(test_no_room_for_a_descriptor),
		mpx_test(test_standard_descriptors_closed),
		mpx_test(test_threads),
		mpx_test(test_one_thread_receives),
		mpx_test(test_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
