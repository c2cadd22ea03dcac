/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A worker: joins a job, claims chunks of it until none is left, leaves it. It is a
 * process, or a thread; or, for one job, the thread that submits it.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "base/processor.h"
#include "pool/pool.h"
#include "process/process.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The longest wait before a retry, in nanoseconds. */
#define BACKOFF_MAX INT64_C(60000000000)

#define THEN atomic_signal_fence(memory_order_seq_cst)

/* What the task that this thread is running has said with mpx_fail. */
static _Thread_local char message[sizeof((mpx_failure *)0)->message];

int mpx_fail(int error, const char *format, ...)
{
	int saved = errno;
	va_list args;

	if (format) {
		va_start(args, format);
		vsnprintf(message, sizeof message, format, args);
		va_end(args);
	}
	errno = saved;
	return error;
}

static void report(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t item,
		   int error)
{
	mpx_failure failure = {.index = item, .pid = getpid(), .exit_status = -1};

	failure.error = error > 0 ? error : EINVAL;
	snprintf(failure.message, sizeof failure.message, "%s", message);
	if (error < 0 && !message[0])
		snprintf(failure.message, sizeof failure.message, "the task returned %d", error);
	if (mpx__pool_lock(pool) == 0) {
		if (!atomic_load(&job->ready))
			mpx__job_fail(job, w, &failure);
		mpx__pool_unlock(pool);
	}
}

static bool is_over(mpx_pool *pool)
{
	return atomic_load_explicit(&pool->state, memory_order_relaxed) == MPX__POOL_TERMINATED;
}

static bool is_stopped(struct mpx_result *job)
{
	return atomic_load_explicit(&job->stopped, memory_order_relaxed);
}

static _Noreturn void wait_to_die(void)
{
	for (;;)
		pause();
}

/* The item is done. If it was late, the supervisor has this process in its hands: nothing
 * begins before it has sent the soft signal; or it ends us. */
static bool was_late(struct mpx__worker *w)
{
	uint64_t expires = atomic_load(&w->expires);
	struct mpx__slice slice = {0};

	for (;;) {
		if ((expires & (MPX__EXPIRED | MPX__WARNED)) == MPX__EXPIRED) {
			mpx__os_sleep(mpx__slice_end(&slice, INT64_MAX) - mpx__os_now());
			expires = atomic_load(&w->expires);
		} else if (atomic_compare_exchange_strong(&w->expires, &expires, 0)) {
			break;
		}
	}
	if (!(expires & MPX__EXPIRED))
		return false;
	getppid(); /* a system call: a signal that has been sent is handled before it returns */
	return true;
}

/* The worker's own: nobody else writes. */
static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* What a row of items needs is kept at hand: each costs a few stores. (said is a parameter
 * since compilers look up anew, for each item, what belongs to a thread.) */
__attribute__((noinline)) static size_t run_without_timeout(struct mpx__worker *w,
							    struct mpx_result *job, size_t item,
							    size_t end, char *said, int *failed)
{
	mpx_task *fn = job->fn;
	uintptr_t in = (uintptr_t)job->in + item * job->in_size;
	uintptr_t out = (uintptr_t)job->out + item * job->out_size;
	uint64_t done = atomic_load_explicit(&w->done, memory_order_relaxed) - item;
	int error;

	for (;;) {
		atomic_store_explicit(&w->done, done + item, memory_order_relaxed);
		atomic_store_explicit(&w->item, item, memory_order_relaxed);
		said[0] = '\0';
		THEN;
		error = fn((const void *)in, (void *)out);
		THEN;
		if (error)
			break;
		if (++item >= end || is_stopped(job))
			break;
		in += job->in_size;
		out += job->out_size;
	}
	atomic_store_explicit(&w->done, done + item, memory_order_relaxed);
	*failed = error;
	return item;
}

/* The same of one item, which has so much time. */
static size_t run_in_time(struct mpx__worker *w, struct mpx_result *job, size_t item, int *failed)
{
	/* Numbers, for nothing may be added to NULL, not even nothing. */
	uintptr_t in = (uintptr_t)job->in + item * job->in_size;
	uintptr_t out = (uintptr_t)job->out + item * job->out_size;
	int64_t end = mpx__os_now() + job->timeout;
	bool late;

	atomic_store_explicit(&w->item, item, memory_order_relaxed);
	message[0] = '\0';
	atomic_store(&w->expires, (uint64_t)end & ~MPX__WARNED);
	*failed = job->fn((const void *)in, (void *)out);
	late = was_late(w);
	if (late && !message[0])
		mpx_fail(ETIMEDOUT, "ran longer than its timeout");
	if (late)
		*failed = ETIMEDOUT;
	if (*failed)
		return item;
	count(&w->done, 1);
	return item + 1;
}

/* Runs items one after another, the first in any case, until one fails or end is reached;
 * returns where that is. */
static size_t run_row(struct mpx__worker *w, struct mpx_result *job, size_t item, size_t end,
		      int *failed)
{
	if (!job->timeout)
		return run_without_timeout(w, job, item, end, message, failed);
	do
		item = run_in_time(w, job, item, failed);
	while (!*failed && item < end && !is_stopped(job));
	return item;
}

/* Nobody wants what is left of it. */
static bool is_futile(mpx_pool *pool, struct mpx_result *job)
{
	return is_over(pool) || is_stopped(job) || atomic_load(&job->ready);
}

/* Before the attempts-th retry: twice as long each time. */
static void back_off(mpx_pool *pool, struct mpx_result *job, uint32_t attempts)
{
	int64_t end = mpx__os_now(), wait = job->backoff;

	for (; attempts > 1 && wait < BACKOFF_MAX; attempts--)
		wait *= 2;
	end += wait < BACKOFF_MAX ? wait : BACKOFF_MAX;
	while (!mpx__passed(end) && !is_futile(pool, job))
		mpx__os_sleep(end - mpx__os_now() < MPX__SLICE_MAX ? end - mpx__os_now()
								   : MPX__SLICE_MAX);
}

/* When items begin is noted of each; but while they take less time than it is worth to
 * look at the clock, of one in many. (Not of one in thousands: the slow may be among them.) */
struct stamps {
	size_t left; /* items until the next */
	size_t gap;
	int64_t last;
};

static void stamp(struct stamps *s, struct mpx__worker *w)
{
	enum { GAP_MAX = 256, NANOSECONDS = 1000 };
	int64_t now = mpx__os_now();

	if (now - s->last >= (int64_t)s->gap * NANOSECONDS)
		s->gap = 1;
	else if (s->gap < GAP_MAX)
		s->gap *= 2;
	s->last = now;
	s->left = s->gap;
	atomic_store_explicit(&w->began, now, memory_order_relaxed);
}

/* The item has failed with error: tries it again for as long as that helps; or reports it. */
static void fail_item(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t item,
		      uint32_t attempts, int error)
{
	mpx__bytes_drop(job, w, item);
	while (error && attempts < job->retries) {
		atomic_store(&w->attempts, ++attempts);
		mpx__task.attempt = attempts;
		mpx_log(MPX_LOG_DEBUG, "item %zu failed with error %d: once more", item, error);
		if (pool->trace)
			mpx__trace_error(pool, w, MPX__TRACE_RETRY, item, error, message);
		if (job->backoff)
			back_off(pool, job, attempts);
		if (is_futile(pool, job))
			break;
		count(&w->retried, 1);
		run_row(w, job, item, item + 1, &error);
		if (error)
			mpx__bytes_drop(job, w, item);
	}
	if (error && pool->trace)
		mpx__trace_error(pool, w, MPX__TRACE_FAILED, item, error, message);
	if (error) {
		report(pool, w, job, item, error);
		count(&w->bad, 1);
	}
}

/* attempts: how often the first of them has failed. */
static void run_items(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t item,
		      size_t end, uint32_t attempts, struct stamps *stamps)
{
	struct mpx__task *task = &mpx__task;

	task->job = job;
	task->w = w;
	task->process = mpx__self();
	task->attempt = attempts;
	while (item < end && !is_over(pool) && !is_stopped(job)) {
		size_t first = item, most;
		int error;

		if (!stamps->left)
			stamp(stamps, w);
		most = attempts ? 1 : stamps->left;
		item = run_row(w, job, item, end - item < most ? end : item + most, &error);
		if (error)
			fail_item(pool, w, job, item++, attempts, error);
		stamps->left -= item - first;
		attempts = 0;
		task->attempt = 0;
		atomic_store_explicit(&w->attempts, 0, memory_order_relaxed);
		THEN;
	}
	task->job = NULL;
}

/* Claims chunk c, if nobody has it, and runs it. */
static void try_chunk(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t c,
		      uint32_t me, struct stamps *stamps)
{
	uint64_t word = atomic_load_explicit(&job->chunk[c], memory_order_relaxed);
	size_t first = c * job->chunksize, end;

	if (mpx__chunk_owner(word) != MPX__CHUNK_PENDING)
		return;
	/* What must be known of the claim is written before it. */
	atomic_store_explicit(&w->chunk, c, memory_order_relaxed);
	atomic_store_explicit(&w->item, first + mpx__chunk_from(word), memory_order_relaxed);
	atomic_store_explicit(&w->attempts, mpx__chunk_attempts(word), memory_order_relaxed);
	THEN;
	if (!atomic_compare_exchange_strong_explicit(&job->chunk[c], &word,
						     (uint64_t)me << 32 | (uint32_t)word,
						     memory_order_acquire, memory_order_relaxed))
		return;
	end = job->n - first < job->chunksize ? job->n : first + job->chunksize;
	first += mpx__chunk_from(word);
	if (pool->trace)
		mpx__trace_enter(pool, w, job, first, end, mpx__chunk_attempts(word));
	run_items(pool, w, job, first, end, mpx__chunk_attempts(word), stamps);
	if (pool->trace)
		mpx__trace_leave(pool, w);
	THEN;
	atomic_store_explicit(&job->chunk[c], mpx__chunk_word(MPX__CHUNK_DONE, 0, 0),
			      memory_order_release);
}

/* Chunks of which a worker has the first claim; anybody may run those that it has not begun. */
struct claim {
	size_t next, end;
	size_t most; /* of them at once */
	int64_t at;
};

enum { CLAIM_MOST = 64, CLAIM_SHARES = 4, CLAIM_NANOSECONDS = 10000 };

/* So many more, while that is a small part of what is left: twice as many as the last time
 * if those took next to no time. */
static size_t how_many(const mpx_pool *pool, size_t left, struct claim *claim)
{
	size_t part = left / CLAIM_SHARES /
		      (size_t)atomic_load_explicit(&pool->used, memory_order_relaxed);
	int64_t now;

	if (part <= 1)
		return 1;
	now = mpx__os_now();
	if (now - claim->at >= CLAIM_NANOSECONDS)
		claim->most = 1;
	else if (claim->most < CLAIM_MOST)
		claim->most *= 2;
	claim->at = now;
	return part < claim->most ? part : claim->most;
}

/* What all workers write, they write less often that way. */
static bool claim_more(const mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job,
		       struct claim *claim)
{
	uint64_t cursor = atomic_load_explicit(&job->cursor, memory_order_relaxed);
	size_t n;

	if (cursor >= job->chunks)
		return false;
	n = how_many(pool, job->chunks - (size_t)cursor, claim);
	while (!atomic_compare_exchange_weak(&job->cursor, &cursor, cursor + n)) {
		if (cursor >= job->chunks)
			return false;
		if (job->chunks - cursor < n)
			n = 1;
	}
	claim->next = (size_t)cursor;
	claim->end = (size_t)cursor + n;
	atomic_store_explicit(&w->claimed, claim->end, memory_order_relaxed);
	return true;
}

static bool may_go_on(mpx_pool *pool, struct mpx__worker *w)
{
	return !is_over(pool) && !mpx__worker_is_due(pool, w, mpx__task.worker);
}

/* Nothing is left to claim: runs what others have claimed and not begun, since they may be
 * at an item that takes long. */
static void help(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, uint32_t me,
		 struct stamps *stamps)
{
	int used = atomic_load(&pool->used);

	if (job->chunks < (size_t)used * CLAIM_SHARES)
		return;
	for (int i = 0; i < used; i++) {
		struct mpx__worker *other = &pool->worker[i];
		uint64_t end = atomic_load(&other->claimed), c = atomic_load(&other->chunk) + 1;

		if (other == w || atomic_load(&other->job) != job)
			continue;
		for (int n = 0; n < CLAIM_MOST && c < end && c < job->chunks; n++, c++)
			if (may_go_on(pool, w))
				try_chunk(pool, w, job, (size_t)c, me, stamps);
	}
}

static void work_on(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, uint32_t me)
{
	struct stamps stamps = {.gap = 1};
	struct claim claim = {0};
	bool more = true;

	while (more && may_go_on(pool, w)) {
		more = claim.next < claim.end || claim_more(pool, w, job, &claim);
		if (more)
			try_chunk(pool, w, job, claim.next++, me, &stamps);
	}
	atomic_store_explicit(&w->claimed, 0, memory_order_relaxed);
	if (!more)
		help(pool, w, job, me, &stamps);
	else if (claim.next < claim.end && mpx__pool_lock(pool) == 0) {
		mpx__job_give_back(pool, job);
		mpx__pool_unlock(pool);
	}
}

/* Leaves the job of before; joins another, or NULL. additions: of the pool, so far. */
static struct mpx_result *next_job(mpx_pool *pool, struct mpx__worker *w, uint32_t *additions)
{
	struct mpx_result *job = NULL;

	if (mpx__pool_lock(pool) != 0)
		return NULL;
	*additions = atomic_load_explicit(&pool->additions, memory_order_relaxed);
	mpx__job_leave(pool, w);
	if (atomic_load(&w->condemned)) {
		mpx__pool_unlock(pool);
		wait_to_die();
	}
	if (!is_over(pool) && !mpx__worker_is_due(pool, w, mpx__task.worker)) {
		job = mpx__job_first(pool);
		mpx__job_join(w, job);
	}
	mpx__pool_unlock(pool);
	return job;
}

static bool has_work(void *arg)
{
	mpx_pool *pool = arg;

	return atomic_load(&pool->pending) || atomic_load(&pool->state) != MPX__POOL_OPEN;
}

/* When a worker that is idle from now on has been so for too long. */
static int64_t idle_until(mpx_pool *pool)
{
	return pool->idle_timeout && pool->backend == MPX_BACKEND_PROCESSES
		       ? mpx__os_now() + pool->idle_timeout
		       : INT64_MAX;
}

/* Who asks for one thing after another asks again at once. So this looks before it does
 * anything else, and at a line that is not written until something has been added. */
static bool comes_at_once(mpx_pool *pool, uint32_t additions)
{
	for (int i = 0; i < mpx__spins; i++) {
		if (atomic_load_explicit(&pool->additions, memory_order_relaxed) != additions)
			return true;
		mpx__relax();
	}
	return false;
}

/* False: there may be some, but not for this worker. */
static bool wait_for_work(mpx_pool *pool, struct mpx__worker *w, int number, pid_t supervisor,
			  uint32_t additions)
{
	struct mpx__slice slice = {0};
	int64_t end;

	if (comes_at_once(pool, additions))
		return true;
	if (supervisor)
		fflush(NULL);
	end = idle_until(pool);
	if (pool->trace)
		mpx__trace_flush(pool, w);
	while (!has_work(pool)) {
		if (supervisor && getppid() != supervisor)
			_exit(1); /* nobody looks after us any more */
		if (mpx__worker_is_due(pool, w, number) ||
		    (mpx__passed(end) && mpx__worker_retire(pool, w)))
			return false;
		mpx__event_wait_until(&pool->work, has_work, pool, &slice, end);
	}
	return true;
}

static void set_up_signals(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_IGN;
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_DFL;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
}

int mpx__worker_live(mpx_pool *pool, int number, uint32_t me, pid_t supervisor)
{
	struct mpx__worker *w = &pool->worker[number];
	struct mpx_result *job;
	uint32_t additions = 0;
	bool open;
	int error;

	mpx__task.worker = number;
	error = mpx__worker_begin(pool, w, number);
	if (error)
		return error;
	do {
		open = atomic_load(&pool->state) == MPX__POOL_OPEN; /* or nothing comes after */
		while ((job = next_job(pool, w, &additions))) {
			work_on(pool, w, job, me);
			if (supervisor)
				fflush(stdout);
		}
	} while (open && !mpx__worker_is_due(pool, w, number) &&
		 wait_for_work(pool, w, number, supervisor, additions));
	mpx__worker_end(pool);
	return 0;
}

int mpx__worker_main(mpx_pool *pool, int number)
{
	set_up_signals();
	mpx__process_become("PoolWorker", number + 1, 0);
	return mpx__worker_live(pool, number, mpx__self(), getppid()) != 0;
}

void mpx__worker_run(mpx_pool *pool, struct mpx_result *job)
{
	struct mpx__worker w = {.job = job};
	struct mpx__task around = mpx__task;
	void *state = mpx__worker_state;
	char said[sizeof message];

	memcpy(said, message, sizeof said);
	mpx__task.worker = 0;
	mpx__worker_state = pool->kept;
	if (!atomic_load(&job->ready))
		work_on(pool, &w, job, mpx__self());
	pool->kept = mpx__worker_state;
	mpx__worker_state = state;
	if (mpx__pool_lock(pool) == 0) {
		mpx__job_leave(pool, &w);
		count(&pool->worker[0].done, w.done);
		count(&pool->worker[0].bad, w.bad);
		count(&pool->worker[0].retried, w.retried);
		mpx__pool_unlock(pool);
	}
	mpx__task = around;
	memcpy(message, said, sizeof said);
}
