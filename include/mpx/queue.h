/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/queue.h - multiprocessing.Queue, JoinableQueue and SimpleQueue, which are one
 * here: messages between processes.
 *
 *     mpx_queue *q = mpx_queue_new();
 *
 *     mpx_queue_put(q, &x, sizeof x, MPX_FOREVER);            (one process)
 *     mpx_queue_get(q, &x, sizeof x, MPX_FOREVER);            (another)
 *     mpx_queue_free(q);
 *
 * Any number of processes and threads may put and get. A message is a run of
 * bytes of any length, 0 included. Messages of one producer arrive in the order
 * in which it put them. Pointers to shared objects may be sent as they are.
 *
 * There is no feeder thread: when put returns 0 the message is in shared memory,
 * and its producer may end, or be killed, or be joined before anybody reads.
 * Whoever is killed, at any instruction: every message whose put has returned is
 * delivered once, except those that a killed consumer had already taken; a put
 * that did not return happened whole or not at all.
 *
 * Free a queue when nobody else is inside a call on it.
 *
 * https://docs.python.org/3/library/multiprocessing.html#pipes-and-queues
 */
#ifndef MPX_QUEUE_H
#define MPX_QUEUE_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_queue mpx_queue;

typedef struct mpx_queue_options {
	size_t size;    /**< sizeof of this struct; filled in by mpx_queue_new */
	size_t maxsize; /**< how many messages may wait; 0: as many as memory holds */
	size_t bytes;   /**< how many bytes of messages may wait; 0: as many as memory holds */
} mpx_queue_options;

/**
 * Queue(maxsize). Free with mpx_queue_free. Fails with EINVAL (maxsize of 2^31
 * or more), ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_queue *mpx_queue_create(const mpx_queue_options *options);
#ifndef __cplusplus
#define mpx_queue_new(...) \
	mpx_queue_create(&(mpx_queue_options){.size = sizeof(mpx_queue_options), __VA_ARGS__})
/** JoinableQueue(maxsize): every queue can be joined here. */
#define mpx_joinable_queue_new(...) mpx_queue_new(__VA_ARGS__)
/** SimpleQueue(): there is no feeder thread that it could do without. */
#define mpx_simple_queue_new() mpx_queue_new()
#endif

/**
 * Queue.put(): copies size bytes from msg (NULL only if size is 0). Fails with
 * ETIMEDOUT (full), EPIPE (closed), EMSGSIZE (larger than .bytes), ENOMEM (the
 * heap is full), EMFILE and the like (somebody polls the queue and could not be
 * told), EINVAL. Whenever it fails, nothing was put.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is full.
 */
MPX_API int mpx_queue_put(mpx_queue *q, const void *msg, size_t size, double timeout);

/**
 * Queue.get(): takes the oldest message into buf, which has room for cap bytes,
 * and returns its size (which may be 0). Fails with ETIMEDOUT (empty), EPIPE
 * (closed and empty), EMSGSIZE (the message is larger than cap: it stays the
 * oldest; mpx_queue_next_size tells its size), EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is empty.
 */
MPX_API ssize_t mpx_queue_get(mpx_queue *q, void *buf, size_t cap, double timeout);

/**
 * The size of the oldest message, which stays where it is. Another consumer may
 * be quicker to take it. Fails as mpx_queue_get does.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is empty.
 */
MPX_API ssize_t mpx_queue_next_size(mpx_queue *q, double timeout);

/**
 * Puts n messages of size bytes each, which stand one behind the other, in that order;
 * as many at a time as there is room for, each time all or nothing. Returns how many
 * were put before the timeout: n, unless something went wrong after the first. If not
 * even one was, fails as mpx_queue_put does.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is full.
 */
MPX_API ssize_t mpx_queue_put_many(mpx_queue *q, const void *msgs, size_t size, size_t n,
				   double timeout);

/**
 * Waits for a message, and takes with it as many of those behind it as are there, at
 * most n: the i-th to buf + i * cap, its size to sizes[i] unless sizes is NULL. May
 * return fewer than there are; at least 1. Fails as mpx_queue_get does; a message
 * larger than cap ends the run, and is EMSGSIZE when it is the first.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is empty.
 */
MPX_API ssize_t mpx_queue_get_many(mpx_queue *q, void *buf, size_t cap, size_t n, size_t *sizes,
				   double timeout);

/**
 * A put without copying: memory in the family's heap for a message of size bytes, to
 * be filled and given to mpx_queue_commit, or to mpx_queue_cancel. It is not zeroed; it
 * is aligned as malloc's. What it costs does not depend on size. If the process dies
 * the memory comes back. Fails as mpx_queue_put does.
 *
 * Threads: safe.
 * Fork: usable in every process of the family; only the one that reserved may commit.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is full.
 */
MPX_API void *mpx_queue_reserve(mpx_queue *q, size_t size, double timeout);

/**
 * Puts a reserved message, which is no longer yours. It waits for nothing: if others
 * have filled the queue meanwhile, it holds one more than maxsize. Fails with EPIPE
 * (closed), EINVAL (not reserved from q by this process), ENOMEM, ETIMEDOUT (somebody was
 * stopped inside put for a second): then it still is yours.
 *
 * Threads: safe.
 * Fork: only in the process that reserved.
 * Signals: not async-signal-safe.
 * Blocks: for a moment.
 */
MPX_API int mpx_queue_commit(mpx_queue *q, void *msg);

/** Gives reserved memory back, unused. Fails with EINVAL.
 *
 * Threads: safe.
 * Fork: only in the process that reserved.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API int mpx_queue_cancel(mpx_queue *q, void *msg);

/**
 * A get without copying: the oldest message where it stands, and its size. It is yours
 * until mpx_queue_release, and goes when the process dies. (A message of up to 4096
 * bytes that was not reserved is copied once.) Fails as mpx_queue_get does; and with
 * ENOMEM, when the message stays in the queue.
 *
 * Threads: safe.
 * Fork: usable in every process of the family; only the one that took may release.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, while the queue is empty.
 */
MPX_API const void *mpx_queue_take(mpx_queue *q, size_t *size, double timeout);

/** Gives the memory of a taken message back. Fails with EINVAL.
 *
 * Threads: safe.
 * Fork: only in the process that took it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API int mpx_queue_release(mpx_queue *q, const void *msg);

/**
 * JoinableQueue.task_done(): one message that was taken has been dealt with. Counts for
 * the caller's own first, then for anybody's. Fails with EOVERFLOW if all that were taken
 * are done (Python: ValueError), EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment.
 */
MPX_API int mpx_queue_task_done(mpx_queue *q);

/**
 * JoinableQueue.join(timeout): waits until the queue is empty and everything that was
 * taken is done. Fails with ETIMEDOUT; with EOWNERDEAD, once, if it is all but for
 * messages that a process had taken which then died or ended (Python waits for ever);
 * EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_queue_join(mpx_queue *q, double timeout);

/**
 * Queue.qsize(): how many messages wait, at this moment. -1 with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_queue_qsize(mpx_queue *q);

/** Queue.empty(): qsize is 0. Exact, unlike Python's, when nobody else is at it.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_queue_empty(mpx_queue *q);

/** Queue.full(): as many messages wait as maxsize or bytes allow.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_queue_full(mpx_queue *q);

/**
 * Queue.close(), for everybody: no process puts any more (EPIPE); what is there
 * can still be got, then get fails with EPIPE too, at once, also for those that
 * are waiting. Closing twice is fine. Fails with ETIMEDOUT (a process has been stopped
 * inside put), EMFILE and the like (as put). (Python's closes one process's end only,
 * which leaves its readers waiting.)
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: while another process is inside put, a second at most.
 */
MPX_API int mpx_queue_close(mpx_queue *q);

/**
 * A file descriptor of the calling process that polls readable (poll(2),
 * POLLIN) while the queue has a message or is closed, to wait for a queue beside
 * sockets. The first call in a process makes it; it belongs to the queue. Do not
 * read or close it. Where several processes get from the queue it may stay readable
 * after another one took the message, so get with timeout 0. Fails with
 * EMFILE, ENOSPC (64 processes poll this queue already).
 *
 * Threads: safe.
 * Fork: each process asks for its own.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_queue_fileno(mpx_queue *q);

/**
 * Frees the queue and what is still in it; NULL is fine, and what is no queue is
 * left alone.
 *
 * Threads: nobody else may be using q.
 * Fork: any process of the family may free it, once. Descriptors from
 *       mpx_queue_fileno in other processes stay open until those end.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_queue_free(mpx_queue *q);

#ifdef __cplusplus
}
#endif

#endif
