/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/connection.h - multiprocessing.Pipe, Connection, and connection.wait.
 *
 *     mpx_connection *end[2];
 *     mpx_pipe(end, true);
 *     ... start a process, which inherits both ends ...
 *     mpx_connection_close(end[1]);                              (here)
 *     mpx_connection_close(end[0]);                              (there)
 *
 *     mpx_connection_send(end[0], &x, sizeof x, MPX_FOREVER);    (here)
 *     mpx_connection_recv(end[1], &x, sizeof x, MPX_FOREVER);    (there)
 *
 * A message is a run of bytes of any length, 0 included; it arrives as it was sent,
 * whole, in order, once. Between two processes this is what is nearest to the
 * system; for more of them take a Queue.
 *
 * A connection is a handle of the calling process, with a descriptor (close-on-exec).
 * Processes that are made later inherit it, as a handle of their own: close in each
 * process the ends that it does not use. The end of a connection is seen only
 * when *all* copies of the other end are closed, also those of processes that
 * happened to be made while it was open. An end that several processes have is to
 * be used by one of them at a time, and not given away in the middle of a message.
 *
 * Death and time. A message is there when its last byte is: if its sender is killed
 * inside of a send, the receiver gets none of it, but ECONNRESET (Python: "got end
 * of file during message"). If the other end is gone, send fails with EPIPE, never
 * with SIGPIPE; recv does so when what was sent before has been received. A send
 * whose time is up in the middle of a message is as if it had never been: the
 * receiver drops what it had of it, the connection goes on working, and it may be
 * tried again. A recv whose time is up in the middle keeps what it has and goes on
 * there.
 *
 * https://docs.python.org/3/library/multiprocessing.html#connection-objects
 */
#ifndef MPX_CONNECTION_H
#define MPX_CONNECTION_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_connection mpx_connection;

/**
 * Pipe(duplex): a pair of connected ends. Duplex: both send and receive. Otherwise
 * end[0] only receives and end[1] only sends. Close both with mpx_connection_close.
 * Fails with EMFILE, ENFILE, ENOMEM, EINVAL; then end is untouched.
 *
 * Threads: safe.
 * Fork: a child made later inherits both ends, with descriptors of its own.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_pipe(mpx_connection *end[2], bool duplex);

/**
 * Connection.send_bytes(): sends size bytes from msg (NULL only if size is 0). A
 * message that is larger than what the system buffers (some 100 KiB) needs a
 * receiver meanwhile. Fails with ETIMEDOUT, EPIPE (the other end is gone, or receives no
 * more), EMSGSIZE (larger than mpx_connection_set_max_size allows), EBADF (this end
 * only receives), EBUSY (the process was forked while another thread was sending on this
 * end), EINVAL, ENOBUFS, ENOMEM. Whenever it fails the message is not delivered.
 *
 * Threads: safe; one message after the other.
 * Fork: a child may use what it inherited, if no other process uses that end.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the system's buffer is full.
 */
MPX_API int mpx_connection_send(mpx_connection *c, const void *msg, size_t size, double timeout);

/**
 * Connection.recv_bytes_into(): takes the next message into buf, which has room for
 * cap bytes, and returns its size (which may be 0). Fails with ETIMEDOUT; EPIPE (the
 * other end is gone and nothing is left; Python: EOFError); ECONNRESET (the other
 * end is gone in the middle of a message); EMSGSIZE (the message is larger than cap:
 * it stays the next; mpx_connection_next_size tells its size); EBADMSG (larger
 * than mpx_connection_set_max_size allows, or no message at all: nothing is received
 * any more, and the other end's sends fail with EPIPE); ENOMSG (a descriptor comes
 * next, see mpx_connection_recv_fd); EBADF (this end only sends); EBUSY (as send);
 * EINVAL; ENOMEM (the message stays). When it fails, what is in buf means nothing.
 *
 * Threads: safe; one message each.
 * Fork: a child may use what it inherited, if no other process uses that end.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API ssize_t mpx_connection_recv(mpx_connection *c, void *buf, size_t cap, double timeout);

/**
 * The size of the next message, which stays, as soon as it begins to arrive. Fails as
 * mpx_connection_recv does. (If its sender gives up, another takes its place.)
 *
 * Threads: safe; another thread may be quicker to take it.
 * Fork: a child may use what it inherited, if no other process uses that end.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API ssize_t mpx_connection_next_size(mpx_connection *c, double timeout);

/**
 * Connection.poll(timeout): is there something to receive? 1: yes, or the end has come,
 * so that recv would say so. 0: not in time (errno is ETIMEDOUT). A message counts when
 * it begins to arrive, so a recv with timeout 0 may still fail with ETIMEDOUT. Fails
 * with EBADF (this end only sends), EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: a child may use what it inherited.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_connection_poll(mpx_connection *c, double timeout);

/**
 * send_handle(): gives the other end a copy of the open descriptor fd, which remains
 * yours. It counts as a message, in order with the others, and is to be received by
 * mpx_connection_recv_fd. Fails as mpx_connection_send does, and with EBADF (fd is
 * not open), ETOOMANYREFS (too many are on their way).
 *
 * Threads: safe.
 * Fork: a child may use what it inherited, if no other process uses that end.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the system's buffer is full.
 */
MPX_API int mpx_connection_send_fd(mpx_connection *c, int fd, double timeout);

/**
 * recv_handle(): the descriptor that comes next, close-on-exec; close it. Fails as
 * mpx_connection_recv does, with ENOMSG if a message comes next, which stays, and
 * with EMFILE (no room for a descriptor: it stays; on other systems than Linux it
 * may be lost).
 *
 * Threads: safe.
 * Fork: a child may use what it inherited, if no other process uses that end.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_connection_recv_fd(mpx_connection *c, double timeout);

/**
 * Connection.fileno(): the descriptor, for poll(2) and the like: readable when
 * something can be received, as for mpx_connection_poll. It belongs to the connection:
 * do not read, write or close it.
 *
 * Threads: safe.
 * Fork: the same number in a child.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_connection_fileno(const mpx_connection *c);

/** Connection.readable: may this end receive? False also for what is no connection.
 *
 * Threads: safe.
 * Fork: a child may use what it inherited.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_connection_readable(const mpx_connection *c);

/** Connection.writable: may this end send? False also for what is no connection.
 *
 * Threads: safe.
 * Fork: a child may use what it inherited.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_connection_writable(const mpx_connection *c);

/**
 * The largest message that this end sends or receives; at first 1 GiB. To send a larger
 * one fails with EMSGSIZE. One that comes is not received, and nothing after it:
 * EBADMSG (Python: "bad message length"). Fails with EINVAL (above PTRDIFF_MAX).
 *
 * Threads: safe.
 * Fork: for the calling process, and for children made later.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_connection_set_max_size(mpx_connection *c, size_t size);

/**
 * Connection.close(): closes the calling process's descriptor and frees the handle;
 * NULL is fine. What was sent can still be received. Fails with EINVAL, if c is no
 * connection or has been closed.
 *
 * Threads: nobody else may be using c.
 * Fork: each process closes its own.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_connection_close(mpx_connection *c);

/** What mpx_wait can wait for: an object of this library, or a descriptor. */
typedef struct mpx_waitable {
	const void *object; /**< NULL: fd */
	int fd;
} mpx_waitable;

/**
 * A connection (something can be received), a process (it has ended), a queue (it has a
 * message or is closed) or the result of a pool (it is ready).
 */
static inline mpx_waitable mpx_waitable_of(const void *object)
{
	mpx_waitable w;

	w.object = object;
	w.fd = -1;
	return w;
}

/** A descriptor, as poll(2) has it: readable, at its end, or broken. */
static inline mpx_waitable mpx_waitable_fd(int fd)
{
	mpx_waitable w;

	w.object = NULL;
	w.fd = fd;
	return w;
}

/**
 * connection.wait(set, timeout): waits until any of n objects is ready. ready[i] then
 * says which are (ready may be NULL); returns how many, at least 1.
 *
 *     mpx_waitable set[] = {mpx_waitable_of(connection), mpx_waitable_of(process),
 *                           mpx_waitable_of(queue), mpx_waitable_fd(socket)};
 *     bool ready[4];
 *     int n = mpx_wait(set, 4, ready, 1.5);
 *
 * Nothing is taken: what is ready stays so until it is received, joined, got. Another
 * thread or process may be quicker, so then use timeout 0. An object may stand in
 * the set more than once. It leaves no descriptors behind. Results have none, nor
 * have queues if the process can have no more: those are looked at every few
 * milliseconds.
 *
 * Fails with ETIMEDOUT; EINVAL (what is none of these, NaN, an empty set with
 * MPX_FOREVER); ECHILD (a process that has not been started); EPERM (another process's
 * process); EBADF (a descriptor that is not open, a connection that only sends);
 * ENOMEM. Whenever it fails, ready is all false.
 *
 * Threads: safe.
 * Fork: as for the objects.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_wait(const mpx_waitable *set, size_t n, bool *ready, double timeout);

#ifdef __cplusplus
}
#endif

#endif
