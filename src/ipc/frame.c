/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "ipc/frame.h"

#include "base/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MORE = '+', END = '.', VOID = 'x' }; /* marks */

/* --- both directions -------------------------------------------------------------- */

static size_t part_size(const struct mpx__frame *f)
{
	return f->size - f->base < MPX__PART ? (size_t)(f->size - f->base) : MPX__PART;
}

static bool in_last_part(const struct mpx__frame *f)
{
	return f->size - f->base <= MPX__PART;
}

static void begin(struct mpx__frame *f, int kind, uint64_t size)
{
	memset(f, 0, sizeof *f);
	f->size = size;
	f->head[0] = (unsigned char)kind;
	for (int i = 1; i < MPX__HEAD; i++)
		f->head[i] = (unsigned char)(size >> 8 * (MPX__HEAD - 1 - i));
}

/* What is left of the head, of the part, whose next byte stands at `at`, and of
 * the mark. */
static int pieces(struct mpx__frame *f, char *at, char *mark, struct iovec *iov)
{
	int n = 0;

	if (f->head_done < MPX__HEAD)
		iov[n++] = (struct iovec){f->head + f->head_done, MPX__HEAD - f->head_done};
	if (f->in_part < part_size(f))
		iov[n++] = (struct iovec){at, part_size(f) - f->in_part};
	iov[n++] = (struct iovec){mark, 1};
	return n;
}

/* n more bytes are done, of those that pieces named. True: the mark is among them. */
static bool advance(struct mpx__frame *f, size_t n)
{
	size_t head = MPX__HEAD - f->head_done;

	if (head > n)
		head = n;
	f->head_done += head;
	f->in_part += n - head;
	return f->in_part > part_size(f);
}

static void next_part(struct mpx__frame *f)
{
	f->base += part_size(f);
	f->in_part = 0;
}

static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = mpx__os_poll(&p, 1, deadline);

	return n > 0 ? 0 : n < 0 ? errno : ETIMEDOUT;
}

/* A piece has gone through: is there time for one more? When the time is up, what can
 * be had at once still is, but a partner that keeps up is not followed for ever. */
static bool may_go_on(int64_t deadline, unsigned *late)
{
	enum { MOST_LATE = 256 };

	return !mpx__passed(deadline) || ++*late < MOST_LATE;
}

static bool would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

/* --- sending ------------------------------------------------------------------------ */

/* Once, as much as there is room for. data NULL: to be void. */
static ssize_t send_some(struct mpx__frame *f, int fd, const char *data, int pass)
{
	static char anything[MPX__PART]; /* never written */
	char mark = !data ? VOID : in_last_part(f) ? END : MORE;
	const char *at = data ? data + f->base + f->in_part : anything;
	struct iovec iov[3];
	int n = pieces(f, (char *)(uintptr_t)at, &mark, iov);

	return mpx__os_send(fd, iov, n, f->head_done == 0 ? pass : -1);
}

/* The rest of the message, or what makes it void. */
static int send_rest(struct mpx__frame *f, int fd, const char *data, int pass, int64_t deadline)
{
	unsigned late = 0;

	for (;;) {
		ssize_t n = send_some(f, fd, data, pass);
		int error = n < 0 ? errno : 0;

		if (would_block(error))
			error = wait_for(fd, POLLOUT, deadline);
		else if (!error && advance(f, (size_t)n)) {
			if (!data || in_last_part(f))
				return 0;
			next_part(f);
		}
		if (!error && !may_go_on(deadline, &late))
			error = ETIMEDOUT;
		/* Linux says so once if what we sent was not read before the end. */
		if (error)
			return error == ECONNRESET || error == ENOTCONN ? EPIPE : error;
	}
}

int mpx__frame_send(struct mpx__outgoing *out, int fd, int kind, const void *data, size_t size,
		    int pass, int64_t deadline)
{
	int error = 0;

	if (out->debt)
		error = send_rest(&out->frame, fd, NULL, -1, deadline);
	if (error)
		return error;
	begin(&out->frame, kind, size);
	error = send_rest(&out->frame, fd, size ? data : "", pass, deadline);
	out->debt = error && out->frame.head_done > 0;
	return error;
}

/* --- receiving ------------------------------------------------------------------------ */

static void drop_stash(struct mpx__incoming *in)
{
	free(in->stash);
	in->stash = NULL;
}

void mpx__frame_drop(struct mpx__incoming *in)
{
	drop_stash(in);
	if (in->passed >= 0)
		close(in->passed);
	in->passed = -1;
	in->begun = false;
	in->frame.head_done = 0;
}

int mpx__frame_refuse(struct mpx__incoming *in, int fd, int error)
{
	mpx__frame_drop(in);
	in->error = error;
	shutdown(fd, SHUT_RD);
	return error;
}

static int the_end(struct mpx__incoming *in)
{
	if (in->frame.head_done == 0)
		return EPIPE;
	mpx__frame_drop(in);
	return in->error = ECONNRESET;
}

/* Takes bytes from the socket, and the descriptor that comes with a first one. How
 * many, 0 at the end, -1. */
static ssize_t take_some(struct mpx__incoming *in, int fd, const struct iovec *iov, int n)
{
	if (in->frame.head_done == 0 && in->frame.head[0] == MPX__PASSED)
		return mpx__os_recv_passed(fd, iov, n, &in->passed);
	return mpx__os_recv(fd, iov, n, false);
}

/* A head that is there as a whole stays in the socket, which so goes on polling
 * readable. (Pieces of one cannot stay: poll would not wait for the others.) */
static ssize_t read_head(struct mpx__incoming *in, int fd)
{
	struct mpx__frame *f = &in->frame;
	struct iovec iov = {f->head + f->head_done, MPX__HEAD - f->head_done};
	ssize_t n = mpx__os_recv(fd, &iov, 1, f->head_done == 0);

	if (n <= 0 || (f->head_done == 0 && n == MPX__HEAD))
		return n;
	if (f->head_done == 0) {
		iov.iov_len = (size_t)n;
		n = take_some(in, fd, &iov, 1);
	}
	if (n > 0)
		f->head_done += (size_t)n;
	return n;
}

/* The head is there, in in->frame.head. */
static int parse_head(struct mpx__incoming *in, int fd)
{
	struct mpx__frame *f = &in->frame;
	uint64_t size = 0;

	for (int i = 1; i < MPX__HEAD; i++)
		size = size << 8 | f->head[i];
	f->size = size;
	f->base = 0;
	f->in_part = 0;
	if (f->head[0] == MPX__MESSAGE || (f->head[0] == MPX__PASSED && size == 0))
		return 0;
	return mpx__frame_refuse(in, fd, EBADMSG);
}

int mpx__frame_head(struct mpx__incoming *in, int fd, int64_t deadline)
{
	struct mpx__frame *f = &in->frame;

	if (in->error || in->begun)
		return in->error;
	while (f->head_done < MPX__HEAD) {
		bool peek = f->head_done == 0;
		ssize_t n = read_head(in, fd);
		int error = n < 0 ? errno : 0;

		if (n == 0 || error == ECONNRESET)
			return the_end(in);
		if (would_block(error))
			error = wait_for(fd, POLLIN, deadline);
		if (error)
			return error;
		if (peek && n == MPX__HEAD)
			break;
	}
	return parse_head(in, fd);
}

/* How much of the message has come. */
static size_t received(const struct mpx__frame *f)
{
	size_t part = part_size(f);

	return (size_t)f->base + (f->in_part < part ? f->in_part : part);
}

/* The mark at the end of a part. ECANCELED, EBADMSG, or 0 to go on. */
static int check_mark(struct mpx__incoming *in, int fd, char mark)
{
	if (mark == (in_last_part(&in->frame) ? END : MORE))
		return 0;
	if (mark != VOID)
		return mpx__frame_refuse(in, fd, EBADMSG);
	mpx__frame_drop(in);
	return ECANCELED;
}

/* Once, as much as there is. *complete: that was all. 0 also if nothing was there and
 * now something is. */
static int receive_some(struct mpx__incoming *in, int fd, char *data, bool *complete,
			int64_t deadline)
{
	struct mpx__frame *f = &in->frame;
	struct iovec iov[3];
	char mark;
	int pieces_left = pieces(f, data + f->base + f->in_part, &mark, iov), error = 0;
	ssize_t n = take_some(in, fd, iov, pieces_left);

	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return the_end(in);
	if (n < 0)
		return would_block(errno) ? wait_for(fd, POLLIN, deadline) : errno;
	in->begun = true;
	if (!advance(f, (size_t)n))
		return 0;
	error = check_mark(in, fd, mark);
	if (error)
		return error;
	*complete = in_last_part(f);
	if (!*complete)
		next_part(f);
	return 0;
}

/* Now there is no way but memory for what may have to be kept. */
static int prepare_stash(struct mpx__incoming *in)
{
	if (in->begun && in->stash)
		return 0;
	drop_stash(in);
	if (in->frame.size)
		in->stash = malloc((size_t)in->frame.size);
	return in->frame.size && !in->stash ? ENOMEM : 0;
}

int mpx__frame_body(struct mpx__incoming *in, int fd, char *data, int64_t deadline)
{
	bool complete = false;
	unsigned late = 0;
	size_t kept;
	int error = prepare_stash(in);

	if (error)
		return error;
	kept = received(&in->frame);
	if (kept)
		memcpy(data, in->stash, kept);
	while (!error && !complete) {
		error = receive_some(in, fd, data, &complete, deadline);
		if (!error && !complete && !may_go_on(deadline, &late))
			error = ETIMEDOUT;
	}
	if (complete) {
		drop_stash(in);
		in->begun = false;
		in->frame.head_done = 0;
	} else if (in->begun && received(&in->frame) > kept) {
		memcpy(in->stash + kept, data + kept, received(&in->frame) - kept);
	} else if (!in->begun) {
		drop_stash(in);
	}
	return error;
}
