/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Pipe and Connection: a handle, in private memory, on one end of a
 * pair of stream sockets. What goes over it is in frame.c.
 *
 * Each direction has a turn: threads that send, or receive, do so one after the
 * other. A child has its own copy of the handle; a direction that another thread was
 * in at the moment of the fork is half-changed there, and refused (EBUSY).
 */
#include "ipc/connection.h"

#include "base/deadline.h"
#include "base/handle.h"
#include "base/turn.h"
#include "ipc/frame.h"

#include <errno.h>
#include <unistd.h>

#define LARGEST_BY_DEFAULT ((size_t)1 << 30)

struct mpx_connection {
	struct mpx__handle handle;
	int fd;
	bool readable, writable; /* constant */
	_Atomic size_t max_size;
	struct mpx__turn sending; /* out is under it */
	struct mpx__outgoing out;
	struct mpx__turn receiving; /* in is under it */
	struct mpx__incoming in;
};

static struct mpx__handles connections = {.size = sizeof(struct mpx_connection)};

static int fail(int error)
{
	errno = error;
	return -1;
}

static bool is_connection(const mpx_connection *c)
{
	return mpx__handle_is(&connections, c);
}

bool mpx__is_connection(const void *p)
{
	return is_connection(p);
}

int mpx__connection_receiver(const mpx_connection *c)
{
	return c->readable ? c->fd : fail(EBADF);
}

/* --- making and closing ------------------------------------------------------------ */

/* Takes fd, whatever comes of it. */
static mpx_connection *new_end(int fd, bool readable, bool writable)
{
	mpx_connection *c = NULL;
	int saved;

	fd = mpx__os_above_stdio(fd);
	if (fd < 0)
		return NULL;
	c = mpx__handle_new(&connections);
	if (!c) {
		saved = errno;
		close(fd);
		errno = saved;
		return NULL;
	}
	c->fd = fd;
	c->readable = readable;
	c->writable = writable;
	c->in.passed = -1;
	atomic_store(&c->max_size, LARGEST_BY_DEFAULT);
	return c;
}

int mpx_pipe(mpx_connection *end[2], bool duplex)
{
	mpx_connection *pair[2];
	int fd[2], saved;

	if (!end)
		return fail(EINVAL);
	mpx__turn_init();
	if (mpx__os_socketpair(fd) != 0)
		return -1;
	pair[0] = new_end(fd[0], true, duplex);
	saved = errno;
	pair[1] = new_end(fd[1], duplex, true);
	if (pair[0] && pair[1]) {
		end[0] = pair[0];
		end[1] = pair[1];
		return 0;
	}
	saved = pair[0] ? errno : saved;
	for (int i = 0; i < 2; i++)
		if (pair[i])
			mpx_connection_close(pair[i]);
	return fail(saved);
}

int mpx_connection_close(mpx_connection *c)
{
	if (!c)
		return 0;
	if (!is_connection(c))
		return -1;
	mpx__frame_drop(&c->in);
	close(c->fd);
	mpx__handle_free(c);
	return 0;
}

/* --- sending -------------------------------------------------------------------------- */

static int send_frame(mpx_connection *c, int kind, const void *data, size_t size, int pass,
		      double timeout)
{
	int64_t deadline;
	int error;

	if (!c->writable)
		return EBADF;
	error = mpx__deadline(timeout, &deadline);
	if (!error)
		error = mpx__turn_take(&c->sending, deadline);
	if (error)
		return error;
	error = mpx__frame_send(&c->out, c->fd, kind, data, size, pass, deadline);
	mpx__turn_give(&c->sending);
	return error;
}

int mpx_connection_send(mpx_connection *c, const void *msg, size_t size, double timeout)
{
	int error;

	if (!is_connection(c))
		return -1;
	if (!msg && size)
		return fail(EINVAL);
	if (c->writable && size > atomic_load(&c->max_size))
		return fail(EMSGSIZE);
	error = send_frame(c, MPX__MESSAGE, msg, size, -1, timeout);
	return error ? fail(error) : 0;
}

int mpx_connection_send_fd(mpx_connection *c, int fd, double timeout)
{
	int error;

	if (!is_connection(c))
		return -1;
	if (fd < 0)
		return fail(EBADF);
	error = send_frame(c, MPX__PASSED, NULL, 0, fd, timeout);
	return error ? fail(error) : 0;
}

/* --- receiving ------------------------------------------------------------------------ */

/* Until a message of that kind has begun; 0 or an errno value. In turn. */
static int await(mpx_connection *c, int kind, int64_t deadline)
{
	int error = mpx__frame_head(&c->in, c->fd, deadline);

	if (error)
		return error;
	if (c->in.frame.size > atomic_load(&c->max_size))
		return mpx__frame_refuse(&c->in, c->fd, EBADMSG);
	return c->in.frame.head[0] == kind ? 0 : ENOMSG;
}

/* The whole message; buf NULL and cap 0: its size only, it stays. In turn. */
static int receive(mpx_connection *c, int kind, void *buf, size_t cap, bool peek, size_t *size,
		   int64_t deadline)
{
	int error;

	do {
		error = await(c, kind, deadline);
		if (error)
			return error;
		*size = (size_t)c->in.frame.size;
		if (peek)
			return 0;
		if (*size > cap)
			return EMSGSIZE;
		error = mpx__frame_body(&c->in, c->fd, buf, deadline);
	} while (error == ECANCELED);
	return error;
}

/* Begins a turn of receiving; 0 or an errno value. */
static int begin(mpx_connection *c, double timeout, int64_t *deadline)
{
	int error;

	if (!c->readable)
		return EBADF;
	error = mpx__deadline(timeout, deadline);
	return error ? error : mpx__turn_take(&c->receiving, *deadline);
}

ssize_t mpx_connection_recv(mpx_connection *c, void *buf, size_t cap, double timeout)
{
	char none;
	int64_t deadline;
	size_t size = 0;
	int error;

	if (!is_connection(c))
		return -1;
	if (!buf && cap)
		return fail(EINVAL);
	error = begin(c, timeout, &deadline);
	if (error)
		return fail(error);
	error = receive(c, MPX__MESSAGE, buf ? buf : &none, cap, false, &size, deadline);
	mpx__turn_give(&c->receiving);
	return error ? fail(error) : (ssize_t)size;
}

ssize_t mpx_connection_next_size(mpx_connection *c, double timeout)
{
	int64_t deadline;
	size_t size = 0;
	int error;

	if (!is_connection(c))
		return -1;
	error = begin(c, timeout, &deadline);
	if (error)
		return fail(error);
	error = receive(c, MPX__MESSAGE, NULL, 0, true, &size, deadline);
	mpx__turn_give(&c->receiving);
	return error ? fail(error) : (ssize_t)size;
}

int mpx_connection_recv_fd(mpx_connection *c, double timeout)
{
	char none;
	int64_t deadline;
	size_t size;
	int error, fd = -1;

	if (!is_connection(c))
		return -1;
	error = begin(c, timeout, &deadline);
	if (error)
		return fail(error);
	error = receive(c, MPX__PASSED, &none, 0, false, &size, deadline);
	if (!error) {
		fd = c->in.passed;
		c->in.passed = -1;
	}
	mpx__turn_give(&c->receiving);
	return error ? fail(error) : fd;
}

int mpx_connection_poll(mpx_connection *c, double timeout)
{
	int64_t deadline;
	int error, n;

	if (!is_connection(c))
		return -1;
	error = c->readable ? mpx__deadline(timeout, &deadline) : EBADF;
	if (error)
		return fail(error);
	n = mpx__os_poll_readable(c->fd, deadline);
	if (n == 0)
		errno = ETIMEDOUT;
	return n;
}

/* --- the rest --------------------------------------------------------------------------- */

int mpx_connection_fileno(const mpx_connection *c)
{
	return is_connection(c) ? c->fd : -1;
}

bool mpx_connection_readable(const mpx_connection *c)
{
	return is_connection(c) && c->readable;
}

bool mpx_connection_writable(const mpx_connection *c)
{
	return is_connection(c) && c->writable;
}

int mpx_connection_set_max_size(mpx_connection *c, size_t size)
{
	if (!is_connection(c))
		return -1;
	if (size > PTRDIFF_MAX)
		return fail(EINVAL);
	atomic_store(&c->max_size, size);
	return 0;
}
