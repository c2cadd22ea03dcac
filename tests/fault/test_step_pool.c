/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of who submits to a pool, resizes, closes or terminates it; of a worker
 * from when it wakes up until it is idle again; some of the supervisor while it
 * replaces a worker. The others get their results, or an error; nobody hangs.
 *
 * Seen to fail with, in src/pool/job.c: no rewind_cursor() in mpx__job_worker_died; no
 * recover() in mpx__pool_lock; no finish_aborting() in recover(). In src/pool/result.c: nobody
 * asks mpx__pool_supervisor_died. In src/pool/imap.c: jobs without a waiter. In
 * src/pool/bytes.c: mpx__bytes_settle() that does nothing; note() behind its retag;
 * mpx__bytes_drop() without a note. In src/pool/job.c: mpx__bytes_free_all() behind the job's
 * removal from the list; word_after_death() without the look at told; no finish_failing();
 * remove_last() without its retags.
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include <signal.h>

enum { ITEMS = 6 };

struct pool_case {
	int workers;
	size_t n;	/* items of the victim's job */
	bool slow;	/* the items of the survivors' */
	bool give;	/* the victim's items give bytes */
	bool stops;	/* at the first error */
	size_t outlive; /* so many results the pool */
};

#define CASE ((const struct pool_case *)step_now->with)

struct world {
	mpx_pool *pool;
	pid_t worker, supervisor;
	mpx_result *result, *first;
	mpx_result *around[4]; /* the result, in the list of what waits: two before, two behind */
	struct gate *gate;
	bool closed, terminated, made_here;
	atomic_bool went_on;
	size_t blocks;
};

/* For all kill points of a scenario. A worker that dies while it lets go of its job,
 * which the user has freed already, leaves it to mpx_pool_free: blocks are counted
 * at the very end only. */
static mpx_pool *kept;
static size_t blocks_without;
static struct world *shared_world; /* for its workers */

struct pids {
	pid_t pid, parent;
};

static int who(const void *in, void *out)
{
	(void)in;
	*(struct pids *)out = (struct pids){getpid(), getppid()};
	return 0;
}

static void open_pool(struct world *w)
{
	shared_world = w;
	blocks_without = heap_blocks();
	kept = mpx_pool_new(.processes = CASE->workers);
	step_check(kept);
}

static void close_pool(struct world *w)
{
	(void)w;
	mpx_pool_free(kept);
	kept = NULL;
	errno = 0;
	step_check(heap_blocks() == blocks_without);
}

static void make(struct world *w)
{
	w->made_here = !kept;
	w->pool = kept ? kept : mpx_pool_new(.processes = CASE->workers);
	step_check(w->pool);
}

static void ask_who(struct world *w)
{
	struct pids p = {0, 0};
	int x = 0;
	make(w);
	/* The worker of before may not have been replaced yet: that is waited for. */
	step_check(mpx_pool_apply(w->pool, who, &x, &p) == 0);
	w->worker = p.pid;
	w->supervisor = p.parent;
	double end = now() + STEP_HANG;
	while (!(asleep(w->worker) && asleep(w->supervisor)) && now() < end)
		nap();
}

/* --- jobs of survivors --------------------------------------------------------------------- */

/* All right but for those that the death of a worker may have cost. */
static void check_results(const unsigned *out, int r, const mpx_failure *f, size_t may_fail)
{
	size_t wrong = 0, first = ITEMS;
	for (size_t i = 0; i < ITEMS; i++)
		if (out[i] != i * i) {
			wrong++;
			if (first == ITEMS)
				first = i;
		}
	step_check(r == 0 || may_fail);
	step_check(wrong <= (r == 0 ? 0 : may_fail));
	if (r != 0) {
		step_check(f->error == EOWNERDEAD);
		step_check(wrong == 0 || f->index == first);
	}
}

static void survive(struct world *w, size_t may_fail)
{
	unsigned in[ITEMS], out[ITEMS];
	mpx_failure f;
	memset(&f, 0, sizeof f);
	for (unsigned i = 0; i < ITEMS; i++) {
		in[i] = i;
		out[i] = 1000;
	}
	mpx_result *r = mpx_pool_map_async(w->pool, square, in, sizeof *in, ITEMS, sizeof *out,
					   MPX_TASK(.chunksize = 2));
	step_check(r);
	if (!r)
		return;
	int got = mpx_result_get(r, out, STEP_HANG);
	int error = got == 0 ? 0 : errno;
	step_check(got == 0 || error == EOWNERDEAD);
	if (got != 0 && error == EOWNERDEAD)
		step_check(mpx_result_failure(r, &f) == 0);
	check_results(out, got, &f, may_fail);
	mpx_result_free(r);
}

static int square_slowly(const void *in, void *out)
{
	nap();
	return square(in, out);
}

/* --- results of any size --------------------------------------------------------------------- */

enum { GIVING = 2 };

/* Twice, and the second item fails the first time. */
static int give(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	if (mpx_task_give("replaced", 8) != 0 || mpx_task_give(in, sizeof x) != 0)
		return errno;
	(void)out;
	return x == 1 && mpx_task_attempt() == 0 ? EDOM : 0;
}

static void check_bytes(mpx_result *r)
{
	for (unsigned i = 0; i < GIVING; i++) {
		size_t size = 0;
		const void *bytes = mpx_result_bytes(r, i, &size);
		step_check(bytes && size == sizeof i && memcmp(bytes, &i, size) == 0);
	}
}

static mpx_result *begin_giving(struct world *w)
{
	static const unsigned in[GIVING] = {0, 1};
	return mpx_pool_map_async(w->pool, give, in, sizeof *in, GIVING, 0,
				  MPX_TASK(.chunksize = GIVING, .retries = 3));
}

/* All of it, whoever dies. */
static void get_bytes(struct world *w, int i)
{
	mpx_result *r = begin_giving(w);
	(void)i;
	step_check(r);
	step_check(mpx_result_get(r, NULL, STEP_HANG) == 0);
	check_bytes(r);
	mpx_result_free(r);
}

/* The worker frees it all when it is done. */
static void forget_bytes(struct world *w, int i)
{
	mpx_result *r = begin_giving(w);
	(void)i;
	step_check(r);
	mpx_result_free(r);
}

/* Without a deadline: who hangs here is found by the driver. */
static void map(struct world *w, int i)
{
	unsigned in[ITEMS], out[ITEMS];
	mpx_failure f;
	(void)i;
	memset(&f, 0, sizeof f);
	for (unsigned k = 0; k < ITEMS; k++) {
		in[k] = k;
		out[k] = 1000;
	}
	int r = mpx_pool_map_sized(w->pool, CASE->slow ? square_slowly : square, in, sizeof *in,
				   out, sizeof *out, ITEMS,
				   MPX_TASK(.chunksize = CASE->slow ? 1 : 2));
	step_check(r == 0 || errno == EOWNERDEAD);
	if (r != 0)
		step_check(mpx_pool_last_failure(w->pool, &f) == 0);
	check_results(out, r, &f, 1);
}

static void kill_worker_and_map(struct world *w, int i)
{
	unsigned in[2] = {3, 4}, out[2] = {0, 0};
	(void)i;
	kill(w->worker, SIGKILL);
	int r = mpx_pool_map(w->pool, square, in, out, 2);
	step_check(r == 0 || errno == EOWNERDEAD);
	step_check(r != 0 || (out[0] == 9 && out[1] == 16));
}

/* --- victims ---------------------------------------------------------------------------------- */

static void submit_map(struct world *w)
{
	unsigned in[ITEMS] = {0}, out[ITEMS];
	mpx_pool_map(w->pool, square, in, out, CASE->n);
}

static void submit_async(struct world *w)
{
	unsigned in[ITEMS] = {0};
	w->result = mpx_pool_map_async(w->pool, CASE->give ? give : square, in, sizeof *in, CASE->n,
				       sizeof *in, NULL);
}

static void get_result(struct world *w)
{
	unsigned out[ITEMS];
	mpx_result_get(w->result, out, STEP_HANG);
}

static void free_result(struct world *w)
{
	mpx_result_free(w->result);
}

static void close_it(struct world *w)
{
	mpx_pool_close(w->pool);
}

static void terminate(struct world *w)
{
	mpx_pool_terminate(w->pool);
}

static void make_result(struct world *w)
{
	make(w);
	submit_async(w);
	step_check(w->result);
}

static void make_result_given(struct world *w)
{
	w->blocks = heap_blocks();
	make_result(w);
	step_check(mpx_result_wait(w->result, STEP_HANG) == 0);
}

/* Results that outlive their pool; the victim frees one of them. */
static void make_outlived(struct world *w)
{
	w->blocks = heap_blocks();
	make(w);
	for (size_t i = 0; i < CASE->outlive; i++) {
		w->first = w->result;
		submit_async(w);
		step_check(w->result && mpx_result_wait(w->result, STEP_HANG) == 0);
	}
	mpx_pool_free(w->pool);
}

/* A worker is held up, so that what comes next waits. */
static void make_gated(struct world *w)
{
	make(w);
	w->gate = mpx_calloc(1, sizeof *w->gate);
	step_check(w->gate);
	w->first = mpx_pool_apply_async(w->pool, pass_gate, &w->gate, sizeof w->gate, 0, NULL);
	step_check(w->first);
	double end = now() + STEP_HANG;
	while (atomic_load(&w->gate->entered) == 0 && now() < end)
		nap();
}

static void make_gated_result(struct world *w)
{
	make_gated(w);
	submit_async(w);
	step_check(w->result);
}

static mpx_result *one_more(struct world *w)
{
	unsigned x = 2;
	mpx_result *r = mpx_pool_apply_async(w->pool, square, &x, sizeof x, sizeof x, NULL);
	step_check(r);
	return r;
}

static void make_crowd(struct world *w)
{
	make_gated(w);
	w->around[0] = one_more(w);
	w->around[1] = one_more(w);
	submit_async(w);
	step_check(w->result);
	w->around[2] = one_more(w);
	w->around[3] = one_more(w);
}

static void cancel_waiting(struct world *w)
{
	mpx_future_cancel(w->result, false);
}

static void cancel_running(struct world *w)
{
	mpx_result_cancel(w->first);
}

static mpx_imap *victims; /* imap, of the victim alone */

static void begin_imap(struct world *w)
{
	static unsigned in[ITEMS];
	victims = mpx_pool_imap(w->pool, square, in, sizeof *in, ITEMS, sizeof *in,
				MPX_TASK(.chunksize = 2, .window = 4));
}

static void next_imap(struct world *w)
{
	unsigned out;
	(void)w;
	for (int i = 0; i < 3; i++)
		mpx_imap_next(victims, &out, STEP_HANG);
}

static void free_imap(struct world *w)
{
	(void)w;
	mpx_imap_free(victims);
}

/* --- survivors -------------------------------------------------------------------------------- */

static void killed(struct world *w)
{
	survive(w, 0);
	survive(w, 0);
}

static void killed_freeing(struct world *w)
{
	survive(w, 0);
	/* Its job is freed with the pool, or was freed by it, or is the user's. */
	if (mpx_result_wait(w->result, STEP_HANG) == 0)
		mpx_result_free(w->result);
}

/* It has been freed with all that belongs to it, or not at all. */
static void after_given(struct world *w)
{
	mpx_pool_free(w->pool);
	size_t left = heap_blocks() - w->blocks;
	step_check(left == 0 || left == CASE->n + 3); /* and the pool */
	if (left > 0)
		mpx_result_free(w->result);
}

static void resize(struct world *w)
{
	step_check(mpx_pool_resize(w->pool, 3) == 0);
	step_check(mpx_pool_resize(w->pool, 1) == 0);
}

static void killed_resizing(struct world *w)
{
	int n = mpx_pool_processes(w->pool);
	step_check(n == 1 || n == 3);
	survive(w, 0);
	step_check(mpx_pool_resize(w->pool, 2) == 0);
	survive(w, 0);
	step_check(mpx_pool_close(w->pool) == 0);
	step_check(mpx_pool_join(w->pool, STEP_HANG) == 0);
}

static void killed_ending(struct world *w)
{
	unsigned in = 3, out = 0;
	step_check(mpx_pool_close(w->pool) == 0);
	mpx_pool_map(w->pool, square, &in, &out, 1);
	step_check(errno == EBUSY);
	step_check(mpx_pool_join(w->pool, STEP_HANG) == 0);
	if (w->result)
		step_check(mpx_result_wait(w->result, 0) == 0);
	mpx_result_free(w->result);
}

/* Whether it got so far or not: what was waiting is cancelled or done, and so is the rest. */
static void killed_cancelling(struct world *w)
{
	atomic_store(&w->gate->open, true);
	for (int i = 0; i < 2; i++) {
		mpx_result *r = i ? w->first : w->result;
		if (r)
			step_check(mpx_result_get(r, NULL, STEP_HANG) == 0 || errno == ECANCELED);
	}
	survive(w, 0);
	mpx_result_free(w->result);
	mpx_result_free(w->first);
	survive(w, 0);
}

/* Who comes next takes out its neighbours, and finds the others where they belong. */
static void killed_in_a_crowd(struct world *w)
{
	unsigned y = 0;
	step_check(mpx_future_cancel(w->around[2], false) == 0);
	step_check(mpx_future_cancel(w->around[1], false) == 0);
	mpx_result_free(w->around[2]);
	mpx_result_free(w->around[1]);
	atomic_store(&w->gate->open, true);
	for (int i = 0; i < 4; i += 3) {
		step_check(mpx_result_get(w->around[i], &y, STEP_HANG) == 0 && y == 4);
		mpx_result_free(w->around[i]);
	}
	killed_cancelling(w);
}

static int odd_fails(const void *in, void *out)
{
	return *(const unsigned *)in % 2 ? EDOM : square(in, out);
}

static void map_stopping(struct world *w, int i)
{
	unsigned in[ITEMS], out[ITEMS];
	(void)i;
	for (unsigned k = 0; k < ITEMS; k++)
		in[k] = k;
	int r = mpx_pool_map_sized(w->pool, odd_fails, in, sizeof *in, out, sizeof *out, ITEMS,
				   MPX_TASK(.chunksize = 1, .stop_at = MPX_FIRST_ERROR));
	step_check(r == -1 && (errno == EDOM || errno == EOWNERDEAD));
}

/* Two items fail, twice each. Whoever dies, these are two failures: not three, which would
 * stop it; and the first is one where that is enough. */
static int two_fail(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	if (x > 1)
		atomic_store(&shared_world->went_on, true);
	return x == 1 || x == 2 ? EDOM : square(in, out);
}

static void map_failing(struct world *w, int i)
{
	unsigned in[ITEMS], out[ITEMS];
	mpx_failure f;
	(void)i;
	memset(&f, 0, sizeof f);
	for (unsigned k = 0; k < ITEMS; k++) {
		in[k] = k;
		out[k] = 1000;
	}
	int r = mpx_pool_map_sized(
		w->pool, two_fail, in, sizeof *in, out, sizeof *out, ITEMS,
		MPX_TASK(.chunksize = 3, .retries = 1,
			 .stop_at = CASE->stops ? MPX_FIRST_ERROR : 3.0 / ITEMS));
	step_check(r == -1 && (errno == EDOM || errno == EOWNERDEAD));
	step_check(mpx_pool_last_failure(w->pool, &f) == 0 && f.index == 1);
	step_check(atomic_load(&w->went_on) == !CASE->stops);
	for (unsigned k = 0; k < ITEMS && !CASE->stops; k++)
		step_check(k == 1 || k == 2 || out[k] == k * k);
}

/* Nobody joins before. */
static void killed_terminating(struct world *w)
{
	atomic_store(&w->gate->open, true);
	for (int i = 0; i < 2; i++) {
		mpx_result *r = i ? w->first : w->result;
		step_check(mpx_result_get(r, NULL, STEP_HANG) == 0 || errno == ECANCELED);
		mpx_result_free(r);
	}
	w->result = NULL;
	killed_ending(w);
}

static void nothing(struct world *w)
{
	(void)w;
}

static void after(struct world *w)
{
	if (w->made_here)
		mpx_pool_free(w->pool);
}

/* Of the scenario: how often it was tried, and some were lost. */
static unsigned tried, lost;

/* It was freed, or is so now; with the last one goes what was kept of the pool. */
static void after_outlived(struct world *w)
{
	mpx_result_free(w->result);
	mpx_result_free(w->first);
	errno = 0;
	tried++;
	lost += heap_blocks() > w->blocks;
}

/* There are few instructions at which they are nobody's. */
static void close_outlived(struct world *w)
{
	(void)w;
	step_check(lost * 4 <= tried);
	tried = lost = 0;
}

static void after_gated(struct world *w)
{
	mpx_pool_free(w->pool);
	mpx_free(w->gate);
}

static void after_worker(struct world *w)
{
	survive(w, 0);
}

static pid_t the_worker(struct world *w)
{
	return w->worker;
}

static pid_t the_supervisor(struct world *w)
{
	return w->supervisor;
}

#define ON(...)                                                                                    \
	.with = &(const struct pool_case)                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct step steps[] = {
	{"worker: wakes up, runs a map alone", ask_who, .killed = nothing, .after = after_worker,
	 .whom = the_worker, .open = open_pool, .close = close_pool, .waiter = map, .waiters = 1,
	 .seconds = 4, ON(.workers = 1, .n = 0)},
	{"worker: one of two", ask_who, .killed = nothing, .after = after_worker,
	 .whom = the_worker, .open = open_pool, .close = close_pool, .waiter = map, .waiters = 1,
	 .seconds = 3, ON(.workers = 2, .slow = true)},
	{"supervisor: replaces a worker", ask_who, .killed = nothing, .after = after,
	 .whom = the_supervisor, .waiter = kill_worker_and_map, .waiters = 1, .seconds = 8,
	 ON(.workers = 1, .n = 0)},
	{"map", make, NULL, submit_map, .killed = killed, .after = after, .seconds = 4,
	 ON(.workers = 1, .n = 3)},
	{"map, while others wait for theirs", make, NULL, submit_map, .killed = killed,
	 .after = after, .waiter = map, .waiters = 2, .seconds = 4, ON(.workers = 2, .n = 3)},
	{"map_async", make, NULL, submit_async, .killed = killed, .after = after, .may_lose = 2,
	 .seconds = 3, ON(.workers = 1, .n = 3)},
	{"result_get", make_result, NULL, get_result, .killed = killed_freeing, .after = after,
	 .seconds = 3, ON(.workers = 1, .n = 3)},
	{"result_free", make_result, NULL, free_result, .killed = killed_freeing, .after = after,
	 .seconds = 3, ON(.workers = 1, .n = 3)},
	{"close", make, NULL, close_it, .killed = killed_ending, .after = after, .seconds = 3,
	 ON(.workers = 1, .n = 0)},
	{"resize", make, NULL, resize, .killed = killed_resizing, .after = after, .waiter = map,
	 .waiters = 1, .seconds = 3, ON(.workers = 1, .slow = true)},
	{"terminate", make_result, NULL, terminate, .killed = killed_ending, .after = after,
	 .seconds = 3, ON(.workers = 1, .n = 3)},
	{"terminate, while somebody waits", make_gated_result, NULL, terminate,
	 .killed = killed_terminating, .after = after_gated, .seconds = 2,
	 ON(.workers = 1, .n = 3)},
	{"cancel what waits", make_gated_result, NULL, cancel_waiting, .killed = killed_cancelling,
	 .after = after_gated, .seconds = 2, ON(.workers = 1, .n = 3)},
	{"cancel what waits in a crowd", make_crowd, NULL, cancel_waiting,
	 .killed = killed_in_a_crowd, .after = after_gated, .seconds = 2, ON(.workers = 1, .n = 3)},
	{"cancel what runs", make_gated_result, NULL, cancel_running, .killed = killed_cancelling,
	 .after = after_gated, .seconds = 2, ON(.workers = 1, .n = 3)},
	{"imap_next", make, begin_imap, next_imap, .killed = killed, .after = after, .seconds = 3,
	 ON(.workers = 1, .n = 0)},
	{"imap_free, with work waiting", make_gated, begin_imap, free_imap,
	 .killed = killed_cancelling, .after = after_gated, .seconds = 3, ON(.workers = 1, .n = 0)},
	{"worker: gives bytes", ask_who, .killed = nothing, .after = after_worker,
	 .whom = the_worker, .open = open_pool, .close = close_pool, .waiter = get_bytes,
	 .waiters = 1, .seconds = 3, ON(.workers = 1, .n = 0)},
	{"worker: gives bytes that nobody wants", ask_who, .killed = nothing, .after = after_worker,
	 .whom = the_worker, .open = open_pool, .close = close_pool, .waiter = forget_bytes,
	 .waiters = 1, .seconds = 4, ON(.workers = 1, .n = 0)},
	{"result_free, with bytes", make_result_given, NULL, free_result, .killed = killed,
	 .after = after_given, .seconds = 4, ON(.workers = 1, .n = 4, .give = true)},
	{"result_free, of one of two that have outlived the pool", make_outlived, NULL, free_result,
	 .killed = nothing, .after = after_outlived, .close = close_outlived, .seconds = 3,
	 ON(.workers = 1, .n = 3, .outlive = 2)},
	{"result_free, of the last that has outlived the pool", make_outlived, NULL, free_result,
	 .killed = nothing, .after = after_outlived, .close = close_outlived, .may_lose = 2,
	 .seconds = 3, ON(.workers = 1, .n = 3, .outlive = 1)},
	{"worker: stops a map at its first error", ask_who, .killed = nothing,
	 .after = after_worker, .whom = the_worker, .open = open_pool, .close = close_pool,
	 .waiter = map_stopping, .waiters = 1, .seconds = 3, ON(.workers = 1, .n = 0)},
	{"worker: two items fail, and are counted once", ask_who, .killed = nothing,
	 .after = after_worker, .whom = the_worker, .open = open_pool, .close = close_pool,
	 .waiter = map_failing, .waiters = 1, .seconds = 3, ON(.workers = 1, .n = 0)},
	{"worker: an item fails, and that stops it", ask_who, .killed = nothing,
	 .after = after_worker, .whom = the_worker, .open = open_pool, .close = close_pool,
	 .waiter = map_failing, .waiters = 1, .seconds = 3, ON(.workers = 1, .stops = true)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
