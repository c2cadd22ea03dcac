/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The pool's layout in shared memory, and what its parts ask of each other.
 *
 *   map.c         submits jobs, and waits for those of map and apply
 *   job.c         a job's life: lists, completion, failure, what a death means
 *   guests.c      jobs whose process has died
 *   worker.c      the process that runs tasks
 *   life.c        a worker's beginning and end, and when it is replaced
 *   supervisor.c  the process that forks the workers and looks after them
 *   pool.c        making and ending a pool
 *   result.c      AsyncResult
 *   callback.c    the thread that runs callbacks
 *   imap.c        results one by one, with a window
 *   task.c        what a task can ask about itself
 *   bytes.c       results of any size
 *   executor.c    ProcessPoolExecutor, which is a pool
 *   future.c      Future, which is a result
 *   futures.c     waiting for any of several
 *   stats.c       what can be read about a pool while it runs
 *   backend.c     which back end a pool has; the serial one
 *   crew.c        workers that are threads
 *   trace.c       the timeline
 *   progress.c    progress, for who waits
 *
 * A job (mpx_result) is one map or apply, cut into chunks of items. Each chunk has
 * a word: who is running it, and from which item on; a worker claims a chunk by
 * one compare-exchange, which at once records the claim. The worker's own line says
 * which item it is at. So when a worker has died, these two tell the one item that
 * was running; the rest of the chunk is given to others.
 *
 * A job is ready when all its chunk words say DONE. Nobody counts: who leaves a job
 * looks, under the pool's lock, from where the last one stopped looking.
 */
#ifndef MPX_POOL_POOL_H
#define MPX_POOL_POOL_H

#include "pool/progress.h"
#include "pool/trace.h"
#include "process/child.h"
#include "shm/object.h"

#include <mpx/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A chunk word: owner << 32 | attempts << 24 | from. from: the first item of the
 * chunk that is not done or failed; attempts: how often that one has failed. */
#define MPX__CHUNKSIZE_MAX ((size_t)0xffffff)
#define MPX__RETRIES_MAX 255
#define MPX__CHUNK_PENDING UINT32_C(0)
#define MPX__CHUNK_DONE UINT32_C(0xffffffff)

static inline uint32_t mpx__chunk_owner(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline uint32_t mpx__chunk_attempts(uint64_t word)
{
	return (uint32_t)(word >> 24) & 0xff;
}

static inline uint32_t mpx__chunk_from(uint64_t word)
{
	return (uint32_t)word & 0xffffff;
}

static inline uint64_t mpx__chunk_word(uint32_t owner, uint32_t attempts, uint32_t from)
{
	return (uint64_t)owner << 32 | attempts << 24 | from;
}

/* Of an item: what its task has given. */
struct mpx__slot {
	_Atomic(struct mpx__bytes *) bytes;
};

struct mpx_result {
	struct mpx__object object;
	mpx_pool *pool; /* from here to chunks: constant; its block is there as long as this one */
	mpx_task *fn;
	const char *in;
	size_t in_size;
	char *out;
	size_t out_size;
	size_t n;
	size_t chunksize;
	size_t chunks;
	int64_t timeout;  /* nanoseconds for each item; 0: none */
	uint32_t retries; /* of each item */
	int priority;
	int64_t backoff;     /* nanoseconds before the first retry */
	size_t failures_max; /* when so many items have failed it is stopped; 0: never */
	int64_t grace;	     /* nanoseconds from soft_signal to SIGTERM; 0: for ever */
	int soft_signal;     /* sent first when timeout has passed; 0: none */
	const void *context;
	size_t base; /* index of the first item */
	uint64_t seed;
	struct mpx__trace_job trace; /* if the pool has one */
	int *errors;		     /* [n], in this block: of each item, under the lock; or NULL */
	mpx_callback *callback;	     /* by the process that submitted */
	mpx_error_callback *error_callback;
	void *user;
	struct mpx__meter meter;
	_Atomic(struct mpx__slot *) slots; /* [n]; NULL: nobody has given anything */
	uint32_t waiter; /* peer id of the process inside map or imap; 0: apply_async and such */
	_Alignas(64) _Atomic uint64_t cursor; /* a chunk to try next; a hint */
	/* What those who wait look at all the time: a line that is written once. */
	_Alignas(64) _Atomic uint32_t ready;
	_Atomic uint32_t event;	       /* eventcount: ready */
	_Alignas(64) int64_t ready_at; /* when it got ready, before it says so */
	/* Under the pool's lock: */
	size_t scanned;		     /* chunks before are DONE */
	_Atomic size_t failures;     /* items that failed */
	int aborted;		     /* not 0: cancelled, or the pool was; all of it, with that */
	_Atomic uint32_t stopped;    /* no more of it is begun */
	bool detached;		     /* the user has freed it */
	_Atomic uint32_t caller;     /* peer id of a process that has callbacks to come; 0: none */
	bool listed;		     /* index: it is among the pending */
	_Atomic uint32_t failed;     /* 0, or 1 + which failure */
	mpx_failure failure[2];	     /* the other one is being written */
	struct mpx_result *next;     /* truth: among the pending */
	struct mpx_result *prev;     /* index */
	struct mpx_result *all_next; /* truth: among all of the pool */
	struct mpx_result *all_prev; /* index */
	_Alignas(64) _Atomic uint64_t chunk[];
};

struct mpx__worker {
	/* By the worker: */
	_Alignas(64) _Atomic(struct mpx_result *) job; /* changes under the pool's lock */
	_Atomic uint64_t chunk;			       /* that it claims or runs */
	_Atomic uint64_t item;			       /* that it is at */
	_Atomic uint32_t attempts;		       /* how often that one has failed */
	/* When the item must be done, 0: any time. If it is late the supervisor adds
	 * MPX__EXPIRED by compare-exchange, and a worker that finds that when it is done
	 * waits: to die, or for MPX__WARNED, which says that it has got the soft signal, and
	 * how long it may go on now. */
	_Atomic uint64_t expires;
	/* Of all that had this number, and so are these: */
	_Atomic uint64_t done; /* well */
	_Atomic uint64_t bad;  /* failed */
	_Atomic uint64_t retried;
	_Atomic uint64_t before;      /* done or bad when this one began */
	_Atomic int64_t began;	      /* the item that it is at, or one shortly before */
	_Atomic uint64_t claimed;     /* behind the chunk: those before are its own, a hint */
	_Atomic uint32_t initialized; /* 1: the initializer went well */
	_Atomic uint32_t init_error;  /* what it returned otherwise */
	int64_t born;		      /* when */
	_Atomic int64_t memory;	      /* private, at its beginning; -1: not known */
	_Atomic(void *) giving;	      /* a block on its way, see bytes.c; or NULL */
	uint64_t giving_serial;
	/* Under the lock: 1 + the item that it has reported last of this job, see job.c; and
	 * how many had failed then. */
	_Atomic uint64_t told;
	size_t told_failures;
	/* Under the lock: it has been idle for too long, and comes back when it is needed. */
	_Atomic uint32_t retired;
	/* By the supervisor: */
	_Alignas(64) _Atomic uint32_t id; /* peer id; 0: none at the moment */
	/* Under the lock: not 0: it shall die, for that reason (errno value), and take
	 * no more work. */
	_Atomic uint32_t condemned;
};

/* Run so far. */
static inline uint64_t mpx__worker_tasks(struct mpx__worker *w)
{
	return atomic_load_explicit(&w->done, memory_order_relaxed) +
	       atomic_load_explicit(&w->bad, memory_order_relaxed) -
	       atomic_load_explicit(&w->before, memory_order_relaxed);
}

#define MPX__EXPIRED (UINT64_C(1) << 63)
#define MPX__WARNED UINT64_C(1)

enum mpx__pool_state { MPX__POOL_OPEN, MPX__POOL_CLOSED, MPX__POOL_TERMINATED };

struct mpx_pool {
	struct mpx__object object;
	uint32_t creator; /* peer id; from here to lock: constant */
	int (*initializer)(void *args);
	void *initargs;
	int (*exit_hook)(void *args);
	void *exit_args;
	bool pin;
	int nice;
	int64_t memory_limit;
	int64_t max_growth;
	int64_t max_age;      /* nanoseconds, and so is this: */
	int64_t idle_timeout; /* 0: none */
	int room;	      /* for so many workers at most */
	size_t max_tasks;
	double timeout; /* seconds */
	int retries;
	int budget;
	bool break_on_death;
	mpx_backend backend;
	struct mpx__trace *trace;	    /* behind the workers; NULL: nobody asked for it */
	_Alignas(64) struct mpx__word lock; /* guards the lists, and all that says so */
	_Atomic uint32_t state;		    /* under the lock; only grows */
	_Atomic int workers;		    /* under the lock; so many are wanted */
	_Atomic int used;		    /* no worker from here on was ever begun; only grows */
	_Atomic uint32_t missing;	    /* under the lock; some have retired */
	uint64_t submitted, failed;	    /* under the lock, all of these: items, */
	uint64_t retried, died;		    /* and after deaths; workers */
	uint32_t broken;		    /* under the lock; errno value that tasks fail with */
	_Atomic uint32_t guests;       /* under the lock; who waits for some is not the creator */
	_Atomic int64_t least_timeout; /* under the lock; of all jobs so far; 0: none */
	_Atomic(struct mpx_result *) pending; /* truth: jobs with chunks to claim */
	struct mpx_result *pending_last;      /* index */
	struct mpx_result *all;		      /* truth: jobs that are not freed */
	_Atomic(struct mpx_result *) noted;   /* being added to or removed from all */
	uint64_t noted_serial;
	_Alignas(64) _Atomic uint32_t work; /* eventcount: pending grew, or state did */
	/* What idle workers look at all the time: */
	_Alignas(64) _Atomic uint32_t additions;   /* to pending, which have been made: a hint */
	_Alignas(64) _Atomic uint32_t start_event; /* eventcount: started */
	_Atomic uint32_t started;		   /* by the supervisor: 1, or 2 + errno value */
	_Atomic uint32_t supervisor_id;		   /* peer id */
	struct mpx__child *supervisor;		   /* the creator's, in its private memory */
	struct mpx__crew *crew;			   /* likewise; or this */
	_Atomic(void *) kept;			   /* likewise; mpx_worker_state, if serial */
	_Atomic bool ended;			   /* likewise; its worker has, if serial */
	struct mpx__worker worker[];
};

/* --- job.c; all but the first three under the pool's lock ------------------------------- */

bool mpx__is_pool(const mpx_pool *pool);
/* 0, or EAGAIN: no peer id. */
int mpx__pool_lock(mpx_pool *pool);
void mpx__pool_unlock(mpx_pool *pool);

/* A job becomes the pool's. */
void mpx__job_add(mpx_pool *pool, struct mpx_result *job);
/* The first job with chunks to claim. */
struct mpx_result *mpx__job_first(mpx_pool *pool);
/* The worker's item failed. The one with the lowest index counts; enough of them stop the
 * job. */
void mpx__job_fail(struct mpx_result *job, struct mpx__worker *w, const mpx_failure *failure);
/* The worker is at this job now. */
void mpx__job_join(struct mpx__worker *w, struct mpx_result *job);
/* A worker has no more to do with its job; or it has died, see below. */
void mpx__job_leave(mpx_pool *pool, struct mpx__worker *w);
/* A worker leaves chunks that it had claimed and not begun: they are anybody's. */
void mpx__job_give_back(mpx_pool *pool, struct mpx_result *job);
/* What the death of a worker means for its job. how: index and error are filled in.
 * True: the item that was running is tried again. */
bool mpx__job_worker_died(mpx_pool *pool, struct mpx__worker *w, uint32_t id, mpx_failure *how);
/* No more of it is begun. */
void mpx__job_stop(mpx_pool *pool, struct mpx_result *job);
/* How many chunks nobody has begun, at most so many. */
size_t mpx__job_waiting(mpx_pool *pool, size_t most);
/* How many items are in such. */
uint64_t mpx__job_queued(mpx_pool *pool);
/* The user does not want it any more; false if it is ready. */
bool mpx__job_cancel(mpx_pool *pool, struct mpx_result *job);
/* Has a worker got it, or had it? Whoever holds the lock knows that it stays so. */
bool mpx__job_has_begun(mpx_pool *pool, struct mpx_result *job);
/* All that have not begun. */
void mpx__job_cancel_waiting(mpx_pool *pool);
/* The user frees it. */
void mpx__job_detach(mpx_pool *pool, struct mpx_result *job);
/* The calling process has callbacks to come, and keeps the job until it has none; false:
 * another one does so. */
bool mpx__job_keep(mpx_pool *pool, struct mpx_result *job);
void mpx__job_let_go(mpx_pool *pool, struct mpx_result *job);
/* Every job that is not ready fails, at once. */
void mpx__job_fail_all(mpx_pool *pool, int error, const char *message);
/* The pool is freed, nobody works any more: it is none now. Its block stays for the jobs that
 * have not been freed, and goes when the last of them has, as the lock is released. */
void mpx__job_orphan_all(mpx_pool *pool);

/* --- guests.c ------------------------------------------------------------------------------ */

/* By the supervisor, at any time: a look now and then. */
void mpx__guests_look(mpx_pool *pool, int64_t *look_at);

/* --- task.c -------------------------------------------------------------------------------- */

/* What the calling thread is running now. */
struct mpx__task {
	struct mpx_result *job; /* NULL: nothing */
	unsigned attempt;
	int worker; /* -1: it is none */
	struct mpx__worker *w;
	uint32_t process; /* peer id */
};
extern _Thread_local struct mpx__task mpx__task;

/* --- bytes.c ----------------------------------------------------------------------------- */

/* The worker's item has none, once more. */
void mpx__bytes_drop(struct mpx_result *job, struct mpx__worker *w, size_t item);
/* The worker has died: a block that it was about to give, or to free. */
void mpx__bytes_settle(struct mpx_result *job, struct mpx__worker *w);
/* Nobody works on the job any more, it is about to be freed. */
void mpx__bytes_free_all(struct mpx_result *job);
/* Of a job that is ready; NULL: the item gave none. size: or NULL. */
const void *mpx__bytes_of(struct mpx_result *job, size_t item, size_t *size);

/* --- life.c -------------------------------------------------------------------------------- */

/* 0, or what the initializer failed with. */
int mpx__worker_begin(mpx_pool *pool, struct mpx__worker *w, int number);
/* In the ordinary way. */
void mpx__worker_end(mpx_pool *pool);
/* Is it to be replaced, or one too many? */
bool mpx__worker_is_due(mpx_pool *pool, struct mpx__worker *w, int number);
/* It has had nothing to do for so long: it ends, unless there is work after all. */
bool mpx__worker_retire(mpx_pool *pool, struct mpx__worker *w);
/* Has the worker with this pid more memory than it may? */
bool mpx__worker_is_too_big(mpx_pool *pool, struct mpx__worker *w, pid_t pid);
/* Options, as far as they are about this; 0 or an errno value. */
int mpx__life_options(mpx_pool *pool, const mpx_pool_options *o);

extern _Thread_local void *mpx__worker_state;

/* --- the others -------------------------------------------------------------------------- */

/* In the supervisor's, in a worker's process. */
int mpx__supervisor_main(void *pool);
int mpx__worker_main(mpx_pool *pool, int number);
/* A worker's life between its first and its last job. 0, or how its initializer failed. me:
 * what it puts into chunk words; supervisor: 0 in a thread. */
int mpx__worker_live(mpx_pool *pool, int number, uint32_t me, pid_t supervisor);
/* The calling thread runs all of the job, now. */
void mpx__worker_run(mpx_pool *pool, struct mpx_result *job);

/* In place of a supervisor. start: 0 or an errno value. join: 0 when all have ended, or
 * ETIMEDOUT. free: nobody waits any longer; who is last frees the pool. */
int mpx__crew_start(mpx_pool *pool);
int mpx__crew_join(mpx_pool *pool, int64_t deadline);
void mpx__crew_free(mpx_pool *pool);
/* As many as are wanted now; 0 or an errno value. */
int mpx__crew_fill(mpx_pool *pool);

/* The one that was asked for, or the environment's; -1: there is no such. */
int mpx__backend_choose(mpx_backend asked);
/* No workers, but an initializer; 0 or an errno value. */
int mpx__serial_start(mpx_pool *pool);
void mpx__serial_end(mpx_pool *pool);
/* Does it take work from the calling process? */
bool mpx__backend_here(const mpx_pool *pool);

/* The pool, nobody works any more. */
void mpx__pool_destroy(mpx_pool *pool);

/* No more work; error: what outstanding tasks fail with. */
int mpx__pool_terminate(mpx_pool *pool, int error, const char *message);

/* Tells the supervisor that there is something to see. */
void mpx__pool_wake(mpx_pool *pool);

/* Is the supervisor dead? Then the pool is broken, and nobody waits for it. */
bool mpx__pool_supervisor_died(mpx_pool *pool);

/* A job with a callback: before it is submitted, 0 or an errno value; and afterwards one
 * of the two. */
int mpx__callback_prepare(struct mpx_result *job);
void mpx__callback_expect(struct mpx_result *job);
void mpx__callback_forget(struct mpx_result *job);
/* fn is called when it is ready: by the thread, or at once. 0 or an errno value. */
int mpx__callback_add(struct mpx_result *job, void (*fn)(struct mpx_result *job, void *user),
		      void *user);
/* The user frees it, while another process keeps it for its callbacks: true if this one's
 * thread will, when it is done with its own. */
bool mpx__callback_keeps(struct mpx_result *job);

/* What has not been begun of it is not. */
void mpx__result_drop(struct mpx_result *job);
/* What the user's free does, with or without callback. */
void mpx__result_free(struct mpx_result *job);
/* Ready; or its pool's supervisor is dead, then it is now. */
bool mpx__result_ready_or_lost(struct mpx_result *job);

/* What map and apply ask for. */
struct mpx__request {
	mpx_task *fn;
	const void *in;
	size_t in_size;
	void *out; /* where results belong if that is in the heap; may be NULL */
	size_t out_size;
	size_t n;
	const mpx_task_options *options;
	uint32_t waiter; /* peer id of who waits for it and frees it; 0: a result */
	size_t base;	 /* index of the first item, for the task */
	bool one_by_one; /* remember which items failed, and how; it is one chunk */
};
/* The options with the pool's own in place of those left out; 0 or EINVAL. */
int mpx__check_options(mpx_pool *pool, const mpx_task_options *given, mpx_task_options *o);
/* NULL with errno. */
struct mpx_result *mpx__pool_submit(mpx_pool *pool, const struct mpx__request *r);

/* 0 when ready, ETIMEDOUT. */
int mpx__result_wait(struct mpx_result *job, int64_t deadline);
/* 0, or the errno value that it failed with. */
int mpx__result_error(struct mpx_result *job);
/* The failure, or NULL. */
const mpx_failure *mpx__result_failure(struct mpx_result *job);

#endif
