/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/executor.h - concurrent.futures: ProcessPoolExecutor, Future, wait, as_completed.
 *
 *     mpx_executor *e = mpx_executor_new(.max_workers = 4);
 *     mpx_future *f = mpx_executor_submit(e, square, &x, sizeof x, sizeof y, NULL);
 *     if (mpx_future_result(f, &y, MPX_FOREVER) != 0)
 *             perror("square");
 *     mpx_future_free(f);
 *     mpx_executor_free(e);
 *
 * An executor is a pool, and a future is a result, under their other names: so all
 * of mpx/pool.h works on them as well, and mpx_wait waits for futures beside queues
 * and sockets. What is said there of tasks, memory and options holds here.
 *
 * A worker that dies costs the one task that it was running (EOWNERDEAD), and is
 * replaced. With .break_on_death it is as in Python: all that is outstanding fails,
 * and nothing more is taken.
 *
 * https://docs.python.org/3/library/concurrent.futures.html
 */
#ifndef MPX_EXECUTOR_H
#define MPX_EXECUTOR_H

#include <mpx/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef mpx_pool mpx_executor;
typedef mpx_result mpx_future;

typedef struct mpx_executor_options {
	size_t size;			/**< sizeof of this struct; filled in by mpx_executor_new */
	int max_workers;		/**< 0: mpx_cpu_count() */
	int (*initializer)(void *args); /**< run first in each worker; not 0: it failed */
	void *initargs;			/**< handed to it */
	size_t max_tasks_per_child;	/**< a worker is replaced after so many tasks; 0: never */
	bool break_on_death;		/**< as in Python: a lost worker breaks the executor */
	const mpx_pool_options *pool;	/**< further options, or NULL; those above go before */
} mpx_executor_options;

/**
 * ProcessPoolExecutor(max_workers, initializer, initargs). Free with mpx_executor_free.
 * With .break_on_death the first initializer that fails breaks it, as in Python;
 * otherwise it is a pool in that as well. Fails as mpx_pool_create does.
 *
 * Threads: safe.
 * Fork: every process of the family may submit work to it; only the one that
 *       made it may shut it down and free it.
 * Signals: not async-signal-safe.
 * Blocks: until the workers are forked.
 */
MPX_API mpx_executor *mpx_executor_create(const mpx_executor_options *options);
#ifndef __cplusplus
#define mpx_executor_new(...)                                                                      \
	mpx_executor_create(                                                                       \
		&(mpx_executor_options){.size = sizeof(mpx_executor_options), __VA_ARGS__})
#endif

/**
 * Executor.submit(): runs fn once, in a worker, with a copy of the input (unless that
 * is in the family's heap: then keep it until the future is done). Free the future with
 * mpx_future_free. Fails with EBUSY (shut down), EOWNERDEAD or what the initializer
 * returned (broken), EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family; so is the future.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_future *mpx_executor_submit(mpx_executor *e, mpx_task *fn, const void *in,
					size_t in_size, size_t out_size,
					const mpx_task_options *options_or_null);

/**
 * Executor.map(): results one by one, in order, by mpx_imap_next; end with mpx_imap_free,
 * which drops what has not begun. As in Python all items are submitted before it returns,
 * so that it outlives a shutdown, and .chunksize is 1; .window is Python's buffersize: no
 * more than that are then taken ahead, which spares memory (each chunk needs a KiB). Not
 * as in Python, the timeout is that of each mpx_imap_next, and an item that failed does not
 * end it. Fails as mpx_executor_submit does.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_imap *mpx_executor_map(mpx_executor *e, mpx_task *fn, const void *in, size_t in_size,
				   size_t n, size_t out_size,
				   const mpx_task_options *options_or_null);

/**
 * Executor.shutdown(wait, cancel_futures): no more work is taken; with cancel_futures, what
 * has not begun is cancelled. Then waits until all else is done and the workers have
 * ended. wait=False is timeout 0: ETIMEDOUT then says only that some work still goes on.
 * May be called again, also to wait longer. Other failures: EPERM (another process made it;
 * nothing happens), EINVAL.
 *
 * Threads: safe.
 * Fork: only in the process that made it.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_executor_shutdown(mpx_executor *e, bool cancel_futures, double timeout);

/**
 * Frees it; NULL is fine. What is not done by now is cancelled, also what is running, as
 * mpx_pool_free does: the end of Python's `with` is mpx_executor_shutdown before. Futures stay
 * valid until they are freed.
 *
 * Threads: nobody else may be using it.
 * Fork: only in the process that made it.
 * Signals: not async-signal-safe.
 * Blocks: about two seconds at most, if a task ignores SIGTERM.
 */
MPX_API void mpx_executor_free(mpx_executor *e);

/* --- Future -------------------------------------------------------------------- */

/**
 * Future.result(timeout): 0, with the result in out (which may be NULL); -1 with what
 * the task failed with, ECANCELED, or ETIMEDOUT. May be called again. What the task gave
 * by mpx_task_give: mpx_result_bytes(f, 0, &size).
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_future_result(mpx_future *f, void *out, double timeout);

/**
 * Future.exception(timeout): 0 if all went well, otherwise what it failed with: a positive
 * errno value. -1 with ETIMEDOUT, EINVAL. mpx_future_failure(f, &failure) tells more.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_future_exception(mpx_future *f, double timeout);
#define mpx_future_failure(f, failure) mpx_result_failure((f), (failure))

/**
 * Future.cancel(): 0 if it is cancelled, now or before; the result is ECANCELED then. -1 with
 * EBUSY if it is done, or is running: unless running_too, then its worker is ended and
 * replaced. What waits in the pool is not running, however little is before it (Python
 * counts as running what it has prepared).
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_future_cancel(mpx_future *f, bool running_too);

/** Future.cancelled(): by cancel, by shutdown, or because its executor was freed.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_future_cancelled(mpx_future *f);

/** Future.running(): a worker has it, and it is not done.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_future_running(mpx_future *f);

/** Future.done(): there is a result, well or not; or it is cancelled.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_future_done(mpx_future *f);

/** Of mpx_future_add_done_callback. f is done, and valid during the call. */
typedef void mpx_future_callback(mpx_future *f, void *user);

/**
 * Future.add_done_callback(): fn(f, user) is called once, when f is done or cancelled, in
 * this process; any number, in the order in which they were added. They run in the thread
 * that runs .callback (see mpx_callback); if f is done and no earlier one is outstanding:
 * right now, in the calling thread. A callback may add another one, and free f. Fails with
 * EINVAL, ENOMEM, EAGAIN (no thread).
 *
 * Threads: safe.
 * Fork: usable in every process of the family, which then must be the one to free f, unless
 *       the callback has been called; a child does not inherit it.
 * Signals: not async-signal-safe.
 * Blocks: as long as fn does if f is done; otherwise never.
 */
MPX_API int mpx_future_add_done_callback(mpx_future *f, mpx_future_callback *fn, void *user);

/**
 * Frees it; NULL is fine. The task goes on and its result is thrown away; callbacks still run.
 *
 * Threads: nobody else may be using f.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API void mpx_future_free(mpx_future *f);

/* --- several futures -------------------------------------------------------------- */

typedef enum mpx_wait_when {
	MPX_ALL_COMPLETED,
	MPX_FIRST_COMPLETED, /**< any is done or cancelled */
	MPX_FIRST_EXCEPTION  /**< any has failed (cancelled is not failed), or all are done */
} mpx_wait_when;

/**
 * futures.wait(fs, timeout, return_when): waits for some or all of n futures, of one or
 * several executors. done[i] then says which are done (done may be NULL); returns how
 * many. One may be there more than once, and counts each time. With n 0 it returns at
 * once. Fails with ETIMEDOUT (done says what is: unlike Python's it fails), EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_futures_wait(mpx_future *const *fs, size_t n, mpx_wait_when when, bool *done,
			     double timeout);

typedef struct mpx_as_completed mpx_as_completed;

/**
 * futures.as_completed(fs): mpx_as_completed_next tells of each future once, also if it is
 * there more than once, in the order in which they got done. The array is copied; the futures
 * must stay until told. Free with mpx_as_completed_free. Fails with EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_as_completed *mpx_as_completed_new(mpx_future *const *fs, size_t n);

/**
 * 1: fs[*which] is done, the first of equal ones (which may be NULL); 0: all have been told.
 * -1 with ETIMEDOUT: none is, so far; call again. (Python's timeout is that of the
 * whole iteration.)
 *
 * Threads: one thread at a time.
 * Fork: only in the process that made it.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_as_completed_next(mpx_as_completed *it, size_t *which, double timeout);

/** The futures are not touched; NULL is fine.
 *
 * Threads: one thread at a time.
 * Fork: only in the process that made it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API void mpx_as_completed_free(mpx_as_completed *it);

#ifdef __cplusplus
}
#endif

#endif
