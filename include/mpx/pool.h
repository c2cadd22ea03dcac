/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/pool.h - multiprocessing.Pool: run a function on many inputs, on all cores.
 *
 *     static int square(const void *in, void *out)
 *     {
 *             int x = *(const int *)in;
 *             *(int *)out = x * x;
 *             return 0;
 *     }
 *
 *     int xs[10] = {...}, squares[10];
 *     mpx_pool *pool = mpx_pool_new();
 *     mpx_pool_map(pool, square, xs, squares, 10);
 *     mpx_pool_free(pool);
 *
 * A pool is a set of worker processes, forked when it is made, and a small
 * supervisor process that looks after them: the calling program gets no threads
 * and no signals of ours. Make it before you start threads if you can.
 *
 * A task gets a pointer to one input and a pointer to where its result belongs.
 * It returns 0, or a positive errno value: that is then what map, apply or get
 * fails with (it travels as an exception does in Python). mpx_fail adds words.
 *
 * Functions are called by address: they must have been in the program (or a
 * library loaded) when the pool was made. A worker sees the memory of the
 * program as it was then, plus the family's heap as it is.
 *
 * Inputs and outputs that are already in the family's heap (mpx_malloc, an
 * Array) are used in place. All others are copied once. A result whose size only the
 * task knows goes beside its output: mpx_task_give.
 *
 * A worker that dies costs the one task that it was running, which fails with
 * EOWNERDEAD; all others still run, and the worker is replaced. In Python such a
 * pool hangs (bpo-22393).
 *
 * A task that runs longer than its .timeout fails with ETIMEDOUT: its worker gets
 * SIGTERM, a second later SIGKILL, and is replaced. A .soft_signal comes before
 * that: a task that then cleans up and returns keeps its worker. With .retries, a task that
 * failed, for whatever reason, is run again up to so many times; one that kills
 * every worker it gets fails in the end like any other.
 *
 * Workers ignore SIGINT: at Ctrl-C the program decides, and if it ends, so do they.
 * What a task writes to stdout is flushed when its worker has no more of that map.
 *
 * With MPX_TRACE=file.json in the environment when the first pool is made, any program
 * writes a timeline of its pools: a row for each worker, a bar for each chunk of items,
 * and marks where workers died, tasks failed, were tried again, timed out or were
 * cancelled. It is in Chrome's trace event format, for https://ui.perfetto.dev and
 * chrome://tracing; a name that ends in .html makes a web page that shows the same and
 * needs nothing else. Processes and programs that the program starts add to its file.
 * It is complete when the program exits; what a killed one leaves can be read as well.
 *
 * https://docs.python.org/3/library/multiprocessing.html#module-multiprocessing.pool
 */
#ifndef MPX_POOL_H
#define MPX_POOL_H

#include <mpx/progress.h>
#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_pool mpx_pool;
typedef struct mpx_result mpx_result;

/**
 * multiprocessing.dummy, ThreadPool: what a pool's workers are. The calls are the same.
 *
 * THREADS: threads of the process that made the pool. They are cheap to start and see all
 * of its memory; a task that crashes takes the program with it. Nothing can end a thread:
 * a task's .timeout is not kept, a task that is running when its result is cancelled or the
 * pool terminated fails at once, but its thread goes on to the end of that task.
 *
 * SERIAL: none. A task runs inside the call that submits it, in the calling thread, so
 * that a debugger sees one process and one stack; .timeout is not kept.
 *
 * A pool of both kinds takes work only from the process that made it (elsewhere EPERM:
 * a child has none of its threads); results can be read by the whole family.
 */
typedef enum mpx_backend {
	MPX_BACKEND_DEFAULT, /**< what MPX_BACKEND in the environment says: processes, threads,
				serial; if it says nothing, processes */
	MPX_BACKEND_PROCESSES,
	MPX_BACKEND_THREADS,
	MPX_BACKEND_SERIAL
} mpx_backend;

/** Reads *in, writes *out, returns 0 or a positive errno value (a negative one is EINVAL). */
typedef int mpx_task(const void *in, void *out);

typedef struct mpx_pool_options {
	size_t size;			/**< sizeof of this struct; filled in by mpx_pool_new */
	int processes;			/**< how many workers; 0: mpx_cpu_count() */
	int (*initializer)(void *args); /**< run first in each worker; not 0: it failed */
	void *initargs;			/**< handed to it; the memory of when the pool was made */
	size_t max_tasks_per_child;	/**< a worker is replaced after so many tasks; 0: never */
	double task_timeout;		/**< default of mpx_task_options.timeout */
	int retries;			/**< default of mpx_task_options.retries */
	int restart_budget; /**< so many failed initializers in a row break the pool; 0: processes +
			       3 */
	bool break_on_death; /**< as concurrent.futures does: a worker that dies breaks the pool */
	mpx_backend backend; /**< what its workers are */
	/** Of the following, those with P hold for processes only: other back ends do without. */
	int (*exit_hook)(void *args); /**< run last in each worker that ends in the ordinary way
					 (after close, or to be replaced; not after terminate); not
					 0 is logged */
	void *exit_args;	      /**< handed to it, as initargs is */
	bool pin;		      /**< each worker on one processor of those that it may use */
	int nice;		      /**< P: added to the niceness of each worker */
	size_t memory_limit; /**< P: bytes of memory of its own that a worker may take, beyond what
				it was forked with. One that has more is ended, its task fails with
				ENOMEM; looked at some 50 times a second; 0: any amount */
	double max_age;	     /**< seconds: a worker that is older is replaced: idle, or between its
				chunks of work; 0: never */
	size_t max_growth;   /**< P: bytes: one that has taken more is replaced, likewise */
	double idle_timeout; /**< P: seconds: a worker that has been idle for so long ends, and
				comes back when there is work for it; 0: never */
	int processes_max;   /**< the most that mpx_pool_resize may ask for, at most 1024; 0: 64,
				or processes */
} mpx_pool_options;

struct mpx_failure;

/**
 * callback= and error_callback=. They run in the process that submitted, in a thread of
 * their own, which the first one brings into being: one after another, in the order in
 * which the work was done. A result does not wait for its callback, so that a slow one
 * delays only other callbacks. out: the n results, valid during the call.
 */
typedef void mpx_callback(void *user, const void *out, size_t n);
typedef void mpx_error_callback(void *user, const struct mpx_failure *failure);

/** Options of one map or apply: MPX_TASK(.timeout = 2.5, .retries = 1), or NULL. */
typedef struct mpx_task_options {
	size_t size;	  /**< sizeof of this struct; filled in by MPX_TASK */
	size_t chunksize; /**< items that a worker takes at a time; 0: chosen for you */
	double timeout; /**< seconds that one task may run; 0: the pool's; MPX_FOREVER: for ever */
	int retries;	/**< how often a task that failed is run again; 0: the pool's; -1: never; at
			   most 255 */
	double backoff; /**< seconds that its worker waits before the first retry of a task that
			   returned an error; twice as long before each further one, at most 60 */
	int priority;	/**< of waiting work, the highest is run first; 0 is usual */
	double stop_at; /**< share of the items, above 0 to 1: when so many have failed, those not
			   begun are not run, and no other is tried again; 0: all are run, as in
			   Python; MPX_FIRST_ERROR */
	const void *context;	 /**< what mpx_task_context returns; as it is, so in the heap */
	unsigned long long seed; /**< what mpx_task_seed is made from, with the index */
	mpx_callback *callback;	 /**< called when all went well: see mpx_callback */
	mpx_error_callback *error_callback; /**< called when something failed */
	void *user;			    /**< given to both */
	size_t window; /**< of imap: how many items are taken ahead; 0: 4 chunks for each worker */
	const char *name; /**< in the timeline (MPX_TRACE); NULL: the function's, if it is known */
	mpx_progress_callback *progress; /**< called with .user while one waits: mpx/progress.h */
	/** A signal that a task which runs longer than .timeout gets first (SIGUSR1, SIGINT; the
	 * task or the initializer has a handler for it), .grace before SIGTERM; 0: none. A task
	 * that returns within that time has failed with ETIMEDOUT whatever it returns, and with
	 * what it said by mpx_fail; its worker goes on. If the signal ends the worker, as without
	 * a handler, it is replaced, as after SIGTERM. No other task gets it, but the handler may
	 * run when the task has just returned: so it must not jump into it. */
	int soft_signal;
	double grace; /**< seconds from .soft_signal to SIGTERM; 0: one; MPX_FOREVER: no SIGTERM */
} mpx_task_options;
#define MPX_FIRST_ERROR 1e-300
#ifndef __cplusplus
#define MPX_TASK(...) (&(mpx_task_options){.size = sizeof(mpx_task_options), __VA_ARGS__})
#endif

/** What went wrong with a task: of a map, the failed one with the lowest index. */
typedef struct mpx_failure {
	size_t index;	   /**< of the item; 0 for apply */
	pid_t pid;	   /**< of the worker; 0 if no worker had it */
	int error;	   /**< errno value: the task's, EOWNERDEAD, ECANCELED */
	int exit_status;   /**< how its worker ended, if it did; -1 if not by exit */
	int signal;	   /**< the signal that ended its worker; 0 if none did */
	char message[128]; /**< what the task said with mpx_fail, or one of ours */
} mpx_failure;

/**
 * Pool(processes, initializer, initargs). Free with mpx_pool_free. When it
 * returns, the workers have been forked; initializers may still be running. An
 * initializer that fails or dies is tried again in a new worker, restart_budget times
 * in a row, then the pool is broken: every task fails with what the initializer
 * returned (EOWNERDEAD if it died). A pool is broken as well if its supervisor is killed
 * (EOWNERDEAD). Fails with EINVAL (processes below 0 or above 1024, a NaN or negative
 * timeout or age, retries above 255, nice beyond 20, processes_max below processes, no such
 * back end, also in MPX_BACKEND), ENOTSUP (memory_limit or max_growth where the system does
 * not tell how much memory a process has), EAGAIN, ENOMEM, EMFILE.
 * With threads, the initializer runs in each; with MPX_BACKEND_SERIAL in this call.
 *
 * Threads: safe.
 * Fork: every process of the family may submit work to it (see mpx_backend); only the
 *       one that made it may join and free it.
 * Signals: not async-signal-safe.
 * Blocks: until the workers are forked.
 */
MPX_API mpx_pool *mpx_pool_create(const mpx_pool_options *options);
#ifndef __cplusplus
#define mpx_pool_new(...)                                                                          \
	mpx_pool_create(&(mpx_pool_options){.size = sizeof(mpx_pool_options), __VA_ARGS__})
#endif

/**
 * Pool.map(): mpx_pool_map(pool, fn, in, out, n) runs fn on in[0] ... in[n - 1]
 * and stores the results in out[0] ... out[n - 1]; the macro takes the sizes of
 * the elements from the types of in and out. mpx_pool_map_sized says them: in
 * may be NULL with in_size 0, likewise out.
 *
 * As in Python, all items are run even if some fail. Then it fails with the
 * error of the failed item with the lowest index (see mpx_pool_last_failure);
 * the results of the others are in out, those of failed items unspecified. Other
 * failures: EBUSY (closed), ECANCELED (terminated meanwhile), EINVAL (also:
 * sizes that overflow), ENOMEM. n may be 0. If the process is killed meanwhile
 * the others of the family see all items run nevertheless.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: until all is done (mpx_pool_map_async and mpx_result_get: with a deadline).
 */
MPX_API int mpx_pool_map_sized(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
			       void *out, size_t out_size, size_t n,
			       const mpx_task_options *options_or_null);
#define mpx_pool_map(pool, fn, in, out, n)                                                         \
	mpx_pool_map_sized((pool), (fn), (in), sizeof *(in), (out), sizeof *(out), (n), NULL)

/**
 * Pool.apply(): mpx_pool_apply(pool, fn, in, out) runs fn once, in a worker.
 * Fails as map does.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: until it is done.
 */
#define mpx_pool_apply(pool, fn, in, out)                                                          \
	mpx_pool_map_sized((pool), (fn), (in), sizeof *(in), (out), sizeof *(out), 1, NULL)

/**
 * Pool.apply_async(): the input is copied (unless it is in the family's heap:
 * then keep it until the result is ready), and the call returns at once. Free the
 * result with mpx_result_free. Fails with EBUSY (closed), EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family; so is the result.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_result *mpx_pool_apply_async(mpx_pool *pool, mpx_task *fn, const void *in,
					 size_t in_size, size_t out_size,
					 const mpx_task_options *options_or_null);

/** Pool.map_async(): likewise for n items; the result is all of them in a row.
 *
 * Threads: safe.
 * Fork: usable in every process of the family; so is the result.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_result *mpx_pool_map_async(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
				       size_t n, size_t out_size,
				       const mpx_task_options *options_or_null);

/**
 * AsyncResult.get(timeout): waits, then copies the n * out_size bytes of results
 * to out (which may be NULL). Fails with ETIMEDOUT (it goes on running), or as
 * mpx_pool_map does (then too the results of the other items are in out). May be
 * called again.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_result_get(mpx_result *r, void *out, double timeout);

/** AsyncResult.wait(timeout): 0 once it is ready, well or not; ETIMEDOUT.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_result_wait(mpx_result *r, double timeout);

/** AsyncResult.ready().
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_result_ready(mpx_result *r);

/** AsyncResult.successful(): ready and nothing failed. False with EAGAIN while
 * it is not ready (Python: ValueError).
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_result_successful(mpx_result *r);

/**
 * What went wrong. mpx_result_failure(r, &f) returns 0 and fills f; -1 with EAGAIN
 * (not ready), ENOENT (nothing failed), EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_result_get_failure(mpx_result *r, mpx_failure *failure, size_t size);
#define mpx_result_failure(r, failure) mpx_result_get_failure((r), (failure), sizeof *(failure))

/**
 * What the task of one item gave (mpx_task_give); index as in the map, 0 of apply_async and
 * of a future. *size becomes how much (size may be NULL); it is aligned for any type, and
 * stays until the result is freed. NULL with ENOENT (it gave nothing, or failed, or the
 * result was cancelled), EAGAIN (not ready), EINVAL (also: no such item).
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API const void *mpx_result_bytes(mpx_result *r, size_t index, size_t *size);

/**
 * Future.cancel(), and more: what has not been run will not be, what is running is
 * ended by ending its worker, which is replaced; the result fails with ECANCELED at
 * once. Fails with EBUSY if it was ready already. A task that works in place, on
 * memory of the family's heap, may still write there for a moment.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_result_cancel(mpx_result *r);

/**
 * Frees the result; NULL is fine. What is still running goes on and is thrown
 * away when done, as in Python. A result may outlive its pool.
 *
 * Threads: nobody else may be using r.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API void mpx_result_free(mpx_result *r);

/**
 * What went wrong in this thread's last map or apply on this pool that failed;
 * mpx_pool_last_failure(pool, &f). ENOENT if none did.
 *
 * Threads: each thread sees its own.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_pool_get_last_failure(mpx_pool *pool, mpx_failure *failure, size_t size);
#define mpx_pool_last_failure(pool, failure)                                                       \
	mpx_pool_get_last_failure((pool), (failure), sizeof *(failure))

/**
 * For a task: `return mpx_fail(EIO, "cannot read %s", path);` sends words along
 * with the error, at most 127 bytes. Returns error.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
MPX_API int
mpx_fail(int error, const char *format, ...);

/**
 * For a task: the .context of its map; NULL if there is none, or outside a task.
 *
 * Threads: each thread sees its own task.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API const void *mpx_task_context(void);

/** For a task: the index of its item in the map; 0 outside a task.
 *
 * Threads: each thread sees its own task.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_task_index(void);

/**
 * For a task: size bytes, as many as there are, become part of its item's result, beside
 * *out. They are copied. A second call replaces what the first gave; a task that fails, or
 * whose worker dies, has given nothing. mpx_result_bytes and mpx_imap_bytes show them;
 * mpx_pool_map and mpx_pool_apply, which keep no result, throw them away. The first call in
 * a map takes 8 bytes of the heap for each of its items. Fails with EINVAL (outside a task,
 * also in a process or thread that the task has started), ENOMEM (what was given before
 * stays).
 *
 * Threads: the thread that runs the task.
 * Fork: only in the process that runs the task.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's lock.
 */
MPX_API int mpx_task_give(const void *bytes, size_t size);

/** For a task: how often this item has failed before; 0 the first time.
 *
 * Threads: each thread sees its own task.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API unsigned mpx_task_attempt(void);

/**
 * For a task: a number that depends on .seed and the item's index alone: seed a random
 * generator with it, and a map gives the same results whichever worker runs what.
 *
 * Threads: each thread sees its own task.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API unsigned long long mpx_task_seed(void);

/** Which worker of its pool this is, from 0; -1 outside a worker. One that has replaced
 * another has the same number.
 *
 * Threads: each thread sees its own worker.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_worker_number(void);

/**
 * For an initializer, exit_hook or task: a pointer that the worker keeps for its life (a
 * connection, a table, a model).
 *
 * Threads: each thread sees its own worker's.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void mpx_worker_set_state(void *worker_state);

/** That pointer; NULL at the worker's beginning, and outside a worker.
 *
 * Threads: each thread sees its own worker's.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void *mpx_worker_state(void);

/* --- imap ---------------------------------------------------------------------- */

typedef struct mpx_imap mpx_imap;

/** The next item into *in: 1; 0 at the end; -1 with errno: something went wrong. */
typedef int mpx_generator(void *user, void *in);

/**
 * Pool.imap(): results one by one, in the order of the items. in: n items in a row,
 * which must stay until the end. At most .window items are given to the pool ahead of
 * what has been fetched (Python takes all of them at once). .chunksize is 1 if you do
 * not say (Python's default); .callback and .stop_at are ignored. Free with mpx_imap_free; if
 * the process ends or is killed before, the pool does so about a second later. Fails with
 * EBUSY (closed), EINVAL, ENOMEM.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_imap *mpx_pool_imap(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
				size_t n, size_t out_size, const mpx_task_options *options_or_null);

/** Pool.imap_unordered(): the same, in the order in which chunks are done.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API mpx_imap *mpx_pool_imap_unordered(mpx_pool *pool, mpx_task *fn, const void *in,
					  size_t in_size, size_t n, size_t out_size,
					  const mpx_task_options *options_or_null);

/**
 * Pool.imap() over a generator: next(user, in) is called, by the thread that calls
 * mpx_imap_next, whenever there is room in the window; it may go on for ever. An error
 * of the generator ends it: it is reported after the results of what came before.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: as long as next does.
 */
MPX_API mpx_imap *mpx_pool_imap_from(mpx_pool *pool, mpx_task *fn, mpx_generator *next, void *user,
				     size_t in_size, size_t out_size,
				     const mpx_task_options *options_or_null);

/** The same, in the order in which chunks are done.
 *
 * Threads: safe.
 * Fork: only for the process that called it.
 * Signals: not async-signal-safe.
 * Blocks: as long as next does.
 */
MPX_API mpx_imap *mpx_pool_imap_unordered_from(mpx_pool *pool, mpx_task *fn, mpx_generator *next,
					       void *user, size_t in_size, size_t out_size,
					       const mpx_task_options *options_or_null);

/**
 * IMapIterator.next(timeout): 1 and the next result in out (which may be NULL); 0 at the
 * end. -1 with the error of an item that failed: the next call goes on after it, and
 * mpx_imap_failure tells more. -1 with ETIMEDOUT: not yet; call again. (A task that
 * itself fails with ETIMEDOUT is told apart by mpx_imap_failure.)
 *
 * Threads: one thread at a time.
 * Fork: only in the process that began it.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, and as long as the generator does.
 */
MPX_API int mpx_imap_next(mpx_imap *it, void *out, double timeout);

/** The index of the item that mpx_imap_next returned last, well or not.
 *
 * Threads: one thread at a time.
 * Fork: only in the process that began it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_imap_index(const mpx_imap *it);

/** What the task of the item that mpx_imap_next returned last gave (mpx_task_give), and in
 * *size how much (size may be NULL). It stays until the next call of mpx_imap_next. NULL
 * with ENOENT: it gave nothing, or failed.
 *
 * Threads: one thread at a time.
 * Fork: only in the process that began it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API const void *mpx_imap_bytes(const mpx_imap *it, size_t *size);

/** What went wrong with the item for which mpx_imap_next has just returned -1:
 * mpx_imap_failure(it, &f). ENOENT if it was no item's error (ETIMEDOUT, say).
 *
 * Threads: one thread at a time.
 * Fork: only in the process that began it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_imap_get_failure(const mpx_imap *it, mpx_failure *failure, size_t size);
#define mpx_imap_failure(it, failure) mpx_imap_get_failure((it), (failure), sizeof *(failure))

/** Ends it early or late; NULL is fine. What has not been run will not be; what is running
 * goes on and is thrown away.
 *
 * Threads: one thread at a time.
 * Fork: only in the process that began it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API void mpx_imap_free(mpx_imap *it);

/** What a pool has done and has to do. Items are those of all maps, applies and imaps; what
 * was cancelled, stopped or lost when the pool ended is neither done nor failed. Exact once
 * nothing runs, but for an item that a worker was at when it was killed. */
typedef struct mpx_pool_statistics {
	unsigned long long submitted; /**< items */
	unsigned long long done;      /**< items that ended well */
	unsigned long long failed;    /**< items that failed in the end */
	unsigned long long retried;   /**< attempts after the first of an item */
	unsigned long long died;      /**< workers that ended in no ordinary way */
	unsigned long long queued;    /**< about so many items are in chunks that wait */
	int workers;		      /**< what mpx_pool_processes says */
	int alive;		      /**< of them */
	int busy;		      /**< of those */
} mpx_pool_statistics;

typedef enum mpx_worker_activity {
	MPX_WORKER_NONE,     /**< there is none with this number at the moment */
	MPX_WORKER_STARTING, /**< its initializer runs */
	MPX_WORKER_IDLE,
	MPX_WORKER_BUSY
} mpx_worker_activity;

/** What one worker does. */
typedef struct mpx_worker_statistics {
	mpx_worker_activity activity;
	pid_t pid;		  /**< of its process; 0 if there is none */
	size_t index;		  /**< if it is busy: of the item, as in mpx_task_index, */
	double age;		  /**< and seconds since it began; of items shorter than a
				     microsecond, that of one of the last 64 */
	unsigned long long tasks; /**< items that it has run, well or not */
	double cpu;		  /**< seconds of processor time; -1: not known, or a thread */
	long long memory;	  /**< bytes of its own; -1: not known, or a thread */
} mpx_worker_statistics;

/**
 * How the pool is getting on: mpx_pool_stats(pool, &statistics). It may be asked as often
 * as you like: a task costs no lock and no system call for it. Fails with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_pool_get_stats(mpx_pool *pool, mpx_pool_statistics *statistics, size_t size);
#define mpx_pool_stats(pool, statistics)                                                           \
	mpx_pool_get_stats((pool), (statistics), sizeof *(statistics))

/**
 * How one worker is getting on: mpx_pool_worker_stats(pool, number, &statistics), number as
 * in mpx_worker_number. With MPX_BACKEND_SERIAL number 0 is the process that made the pool,
 * and is never busy. Fails with EINVAL (also: a number from .processes_max on).
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_pool_get_worker_stats(mpx_pool *pool, int number, mpx_worker_statistics *statistics,
				      size_t size);
#define mpx_pool_worker_stats(pool, number, statistics)                                            \
	mpx_pool_get_worker_stats((pool), (number), (statistics), sizeof *(statistics))

/**
 * From now on the pool has so many workers. More are started at once; those that are too
 * many end when they have done their chunk of work. With MPX_BACKEND_SERIAL nothing
 * happens. Fails with EINVAL (below 1 or above .processes_max), EBUSY (closed), EPERM
 * (threads, and another process made the pool), EAGAIN (no more threads; those that could be
 * made stay).
 *
 * Threads: safe.
 * Fork: usable in every process of the family; with threads, in the one that made it.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_pool_resize(mpx_pool *pool, int processes);

/** How many workers the pool shall have; 1 with MPX_BACKEND_SERIAL. -1 with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_pool_processes(mpx_pool *pool);

/**
 * Pool.close(): no more work is taken (EBUSY); what was submitted still runs,
 * then the workers end. Closing twice is fine.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_pool_close(mpx_pool *pool);

/**
 * Pool.terminate(): everything outstanding fails with ECANCELED at once (in
 * Python it never completes), idle workers end, busy ones get SIGTERM shortly and
 * SIGKILL a second later.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the pool's own lock.
 */
MPX_API int mpx_pool_terminate(mpx_pool *pool);

/**
 * Pool.join(timeout): after close or terminate (EBUSY otherwise), waits until
 * all workers have ended. Fails with ETIMEDOUT, EPERM (another process made the
 * pool). May be repeated.
 *
 * Threads: safe.
 * Fork: only in the process that made the pool.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_pool_join(mpx_pool *pool, double timeout);

/**
 * Terminates and joins, as leaving Python's `with Pool()` does, and frees it; NULL
 * is fine. Results stay valid until they are freed. Does nothing (EPERM) in a
 * process that did not make the pool.
 *
 * Threads: nobody else may be using the pool.
 * Fork: only in the process that made the pool.
 * Signals: not async-signal-safe.
 * Blocks: about two seconds at most, if a task ignores SIGTERM. With threads, three: one
 *         that is still in a task then goes on by itself, and the last frees the pool.
 */
MPX_API void mpx_pool_free(mpx_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
