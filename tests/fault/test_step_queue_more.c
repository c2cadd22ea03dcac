/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of put_many and get_many, of reserve, commit, cancel, take and
 * release, of task_done and join. Whoever is killed there: a batch is delivered whole or
 * not at all, or, if it goes into two rings, a beginning of it; what was reported is
 * delivered once; reserved and taken memory comes back; and the count of what is
 * unfinished is exact: task_done succeeds once for each message that anybody took and
 * has not finished, or join tells that the dead have left some, once. In one scenario
 * another process looks at the queue, and takes from it, after each instruction.
 *
 * Seen to fail with these broken: in src/ipc/queue_join.c, forget_the_dead does nothing;
 * the second look at the counts in is_finished. In src/ipc/queue_recover.c, the entry's
 * taken not restored. In src/ipc/queue_put.c, a batch committed one by one; in
 * src/ipc/queue_get.c, head stored before what was taken is noted. In src/ipc/queue.h,
 * no clamp of the count (get spins while a producer is stopped).
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include "step_messages.h"

enum { BATCH = VICTIMS + 10000, MOST = 8 };

/* --- victims ------------------------------------------------------------------------ */

static void compose_batch(struct world *w)
{
	(void)w;
	for (size_t i = 0; i < CASE->n; i++)
		compose(buffer + i * CASE->size, CASE->size, BATCH + (uint32_t)i);
}

static void put_many(struct world *w)
{
	w->r = mpx_queue_put_many(w->q, buffer, CASE->size, CASE->n, 0);
}

static void get_many(struct world *w)
{
	static size_t sizes[MOST];
	size_t cap = CASE->cap ? CASE->cap : 5000;
	w->r = mpx_queue_get_many(w->q, buffer, cap, CASE->n, sizes, STEP_HANG);
}

static void reserve_and_commit(struct world *w)
{
	void *m = mpx_queue_reserve(w->q, CASE->size, 0);
	if (!m)
		return;
	memcpy(m, buffer, CASE->size);
	w->r = mpx_queue_commit(w->q, m) == 0 ? 1 : -1;
}

static void reserve_and_cancel(struct world *w)
{
	void *m = mpx_queue_reserve(w->q, CASE->size, 0);
	w->r = m ? mpx_queue_cancel(w->q, m) : -1;
}

static void take_and_release(struct world *w)
{
	size_t size;
	const void *m = mpx_queue_take(w->q, &size, STEP_HANG);
	w->r = m ? mpx_queue_release(w->q, m) : -1;
}

static void take_two(struct world *w)
{
	for (int i = 0; i < 2; i++)
		step_check(mpx_queue_get(w->q, buffer, sizeof buffer, 0) >= 0);
}

static void finish(struct world *w)
{
	for (size_t i = 0; i < CASE->n; i++) {
		w->begun++;
		if (mpx_queue_task_done(w->q) == 0)
			w->done++;
		else
			w->begun--;
	}
}

static void join(struct world *w)
{
	w->r = mpx_queue_join(w->q, STEP_HANG) == 0 ? 0 : errno;
}

static void compose_loan(struct world *w)
{
	(void)w;
	compose(buffer, CASE->size, VICTIMS);
}

/* One of two messages is taken by a process that dies; the other one is mine. */
static void get_one(struct world *w)
{
	step_check(mpx_queue_get(w->q, buffer, sizeof buffer, 0) >= 0);
}

static void make_with_dead(struct world *w)
{
	make(w);
	step_die(get_one, w);
}

/* --- others ---------------------------------------------------------------------------- */

static void wait_to_get(struct world *w, int i)
{
	ssize_t n = mpx_queue_get(w->q, buffer, sizeof buffer, STEP_HANG);
	w->got_errno[i] = n < 0 ? errno : 0;
	w->got[i] = n < 0 ? NOTHING : identify(buffer, (size_t)n);
	step_check(n >= 0);
}

static void wait_to_join(struct world *w, int i)
{
	w->got_errno[i] = mpx_queue_join(w->q, STEP_HANG) == 0 ? 0 : errno;
	step_check(w->got_errno[i] == 0 || w->got_errno[i] == EOWNERDEAD);
}

static void nudge_finish(struct world *w, int times)
{
	if (times == 0) {
		step_check(mpx_queue_task_done(w->q) == 0);
		w->begun++;
		w->done++;
	}
}

/* Takes what the victim has put, as soon as it can be taken. */
static long take_early(struct world *w)
{
	static unsigned char early[8192];
	ssize_t waiting;
	w->early += mpx_queue_get(w->q, early, sizeof early, 0) >= 0;
	waiting = mpx_queue_qsize(w->q);
	step_check(waiting >= 0 && waiting <= MOST);
	return waiting;
}

/* Work that changes hands between me and a waiter while the victim looks: one of us
 * always has some, so that join must never find it all done. */
static void make_one(struct world *w)
{
	make(w);
	step_check(mpx_queue_put(w->q, buffer, 8, 0) == 0);
}

static void hold_all(struct world *w, int i)
{
	(void)i;
	while (mpx_queue_get(w->q, buffer, sizeof buffer, STEP_HANG) >= 0)
		atomic_fetch_add(&w->held, 1);
	step_check(errno == EPIPE);
}

static void join_often(struct world *w)
{
	for (int i = 0; i < 10; i++)
		w->r += mpx_queue_join(w->q, 0) == 0;
}

/* I finish what the waiter held, and hold another one; or the other way round. */
static long change_hands(struct world *w)
{
	static unsigned char mine[8];
	int held = atomic_load(&w->held);
	if (step_random() % 16)
		return 0;
	step_check(mpx_queue_put(w->q, mine, sizeof mine, 0) == 0);
	if (w->early++ % 2 == 0) {
		step_check(mpx_queue_task_done(w->q) == 0); /* the waiter's: I have none */
		if (mpx_queue_get(w->q, mine, sizeof mine, 0) < 0)
			w->early--; /* the waiter was quicker */
		return 0;
	}
	for (double end = now() + STEP_HANG; atomic_load(&w->held) == held && now() < end;)
		sched_yield();
	step_check(mpx_queue_task_done(w->q) == 0);
	return 0;
}

/* --- survivors --------------------------------------------------------------------------- */

static size_t got_of_batch(struct world *w)
{
	size_t n = 0;
	for (int i = 0; i < w->expected_n; i++)
		if (w->expected[i].id >= BATCH && w->expected[i].id < WAITERS)
			n += w->expected[i].got;
	return n;
}

static void expect_batch(struct world *w)
{
	for (size_t i = 0; i < CASE->n; i++)
		expect(w, BATCH + (uint32_t)i, CASE->size, MAYBE);
}

static void killed_putting(struct world *w)
{
	expect_batch(w);
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

/* No message is for the dead: all who wait get one, of the batch or of mine. */
static void killed_putting_to_waiters(struct world *w)
{
	expect_batch(w);
	await(w, false);
	for (int i = 0; i < step_now->waiters; i++)
		put_mine(w, 8);
}

static void killed_committing(struct world *w)
{
	expect(w, VICTIMS, CASE->size, MAYBE);
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

static void killed_cancelling(struct world *w)
{
	put_mine(w, 8);
}

static void killed_getting(struct world *w)
{
	for (size_t i = 0; i < CASE->n; i++)
		if (w->first + (int)i < w->expected_n)
			w->expected[w->first + (int)i].how = MAYBE;
	w->takers = (int)CASE->n;
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

static void killed_finishing(struct world *w)
{
	w->expected[w->first].how = w->expected[w->first + 1].how = MAYBE; /* by take_two */
	w->takers = 2;
	put_mine(w, 8);
}

/* Who joins ends now: all is done, or the dead have left some, and that was said. */
static void killed_with_joiners(struct world *w)
{
	await(w, true);
	w->begun = w->done = 2;
	killed_finishing(w);
}

static void killed_finishing_mine(struct world *w)
{
	put_mine(w, 8);
}

static void killed_forgetting(struct world *w)
{
	w->expected[0].how = MAYBE;
	w->takers = 1;
	int error = mpx_queue_join(w->q, STEP_HANG) == 0 ? 0 : errno;
	step_check(error == 0 || error == EOWNERDEAD);
	step_check(error == 0 || w->r != EOWNERDEAD); /* said once */
	step_check(mpx_queue_join(w->q, 0) == 0);
	w->begun = w->done = 1; /* the dead one's counts as done */
	put_mine(w, 8);
}

static void killed_looking(struct world *w)
{
	step_check(w->r == 0);
	step_check(mpx_queue_close(w->q) == 0);
}

/* --- accounts ------------------------------------------------------------------------------ */

/* Those that somebody took: all but a batch's that never was put. */
static int count_taken(struct world *w, int *by_dead)
{
	int taken = (int)CASE->turned;
	*by_dead = 0;
	for (int i = 0; i < w->expected_n; i++) {
		if (w->expected[i].got)
			taken++;
		else if (w->expected[i].id < VICTIMS)
			++*by_dead;
	}
	return taken;
}

/* task_done as often as it goes. */
static void finish_all(struct world *w, int unfinished)
{
	int n = 0;
	while (n < 1000 && mpx_queue_task_done(w->q) == 0)
		n++;
	step_check(errno == EOVERFLOW);
	errno = n;
	step_check(n <= unfinished - w->done);
	step_check(n >= unfinished - w->begun);
}

/* task_done for mine only. */
static void finish_mine(struct world *w, int mine, int by_dead)
{
	for (int i = 0; i < mine; i++)
		step_check(mpx_queue_task_done(w->q) == 0);
	int error = mpx_queue_join(w->q, STEP_HANG) == 0 ? 0 : errno;
	errno = error;
	step_check(error == (by_dead ? EOWNERDEAD : 0));
}

static void settle(struct world *w)
{
	int by_dead, mine;
	drain(w);
	mine = count_taken(w, &by_dead);
	if (w->begun == 0 && step_random() % 2)
		finish_mine(w, mine, by_dead);
	else
		finish_all(w, mine + by_dead);
	step_check(mpx_queue_join(w->q, 0) == 0);
	step_check(mpx_queue_task_done(w->q) == -1 && errno == EOVERFLOW);
	if (CASE->maxsize || CASE->bytes)
		measure(w);
	mpx_queue_free(w->q);
}

static void after_all(struct world *w)
{
	settle(w);
}

static void after_looking(struct world *w)
{
	step_check(mpx_queue_task_done(w->q) == 0);
	step_check(mpx_queue_join(w->q, 0) == 0);
	step_check(mpx_queue_task_done(w->q) == -1 && errno == EOVERFLOW);
	mpx_queue_free(w->q);
}

/* A beginning of the batch, all of it if that was reported. */
static void after_batch(struct world *w)
{
	size_t n, i = 0;
	settle(w);
	n = got_of_batch(w);
	for (int k = 0; k < w->expected_n; k++)
		if (w->expected[k].id >= BATCH)
			step_check(w->expected[k].got == (i++ < n));
	if (w->r > 0)
		step_check(n == (size_t)w->r);
}

/* The batch, or nothing of it. */
static void after_whole_batch(struct world *w)
{
	after_batch(w);
	step_check(got_of_batch(w) == 0 || got_of_batch(w) == CASE->n);
}

static void after_watched(struct world *w)
{
	if (!w->early) {
		after_whole_batch(w);
		return;
	}
	drain(w);
	step_check(w->early == (int)CASE->n && got_of_batch(w) == 0);
	mpx_queue_free(w->q);
}

static void after_part_of_batch(struct world *w)
{
	after_batch(w);
	step_check(got_of_batch(w) == 0 || got_of_batch(w) == CASE->maxsize - CASE->filled);
}

/* What the waiters took is not in my hands. */
static void after_waiters(struct world *w)
{
	add_waiters(w);
	drain(w);
	step_check(got_of_batch(w) == 0 || got_of_batch(w) == CASE->n);
	mpx_queue_free(w->q);
}

static void after_commit(struct world *w)
{
	settle(w);
	for (int k = 0; k < w->expected_n; k++)
		if (w->expected[k].id == VICTIMS && w->r > 0)
			step_check(w->expected[k].got);
}

static void after_get_many(struct world *w)
{
	int by_dead;
	settle(w);
	count_taken(w, &by_dead);
	step_check(by_dead == 0 || by_dead == CASE->takes);
	if (w->r > 0)
		step_check(by_dead == w->r);
}

/* --- scenarios ------------------------------------------------------------------------------- */

#define ON(...)                                                                                    \
	.with = &(const struct queue_case)                                                         \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define PUT(AFTER, ...)                                                                            \
	make, compose_batch, put_many, .killed = killed_putting, .after = AFTER, ON(__VA_ARGS__)
#define GET(...)                                                                                   \
	make, NULL, get_many, .killed = killed_getting, .after = after_get_many, ON(__VA_ARGS__)
#define COMMIT(...)                                                                                \
	make, compose_loan, reserve_and_commit, .killed = killed_committing,                       \
						.after = after_commit, ON(__VA_ARGS__)
#define TAKE(...)                                                                                  \
	make, NULL, take_and_release, .killed = killed_getting, .after = after_get_many,           \
				      ON(.n = 1, .takes = 1, __VA_ARGS__)

/* First those that look at all places in the table of peers that were ever taken: each
 * victim takes one more, which makes their paths longer. */
static const struct step steps[] = {
	{"join, while work changes hands", make_one, NULL, join_often, .state = change_hands,
	 .waiter = hold_all, .waiters = 1, .killed = killed_looking, .after = after_looking,
	 .seconds = 0.1, ON(.filled = 0)},
	{"join, one had died", make_with_dead, NULL, join, .killed = killed_forgetting,
	 .after = after_all, ON(.filled = 1)},
	{"join, woken", make, NULL, join, nudge_finish, .killed = killed_finishing_mine,
	 .after = after_all, ON(.filled = 1, .drained = 1)},
	{"join at once", make, NULL, join, .killed = killed_finishing_mine, .after = after_all,
	 ON(.filled = 0)},
	{"task_done, too often", make, NULL, finish, .killed = killed_finishing_mine,
	 .after = after_all, ON(.n = 1, .filled = 4)},
	{"task_done of its own, twice", make, take_two, finish, .killed = killed_finishing,
	 .after = after_all, ON(.n = 2, .filled = 4)},
	{"task_done of its own, then another's", make, take_two, finish, .killed = killed_finishing,
	 .after = after_all, ON(.n = 3, .filled = 4, .drained = 1)},
	{"task_done of another's", make, NULL, finish, .killed = killed_finishing_mine,
	 .after = after_all, ON(.n = 1, .filled = 4, .drained = 2)},
	{"task_done, two join", make, take_two, finish, .waiter = wait_to_join, .waiters = 2,
	 .killed = killed_with_joiners, .after = after_all, ON(.n = 2, .filled = 2)},

	{"put_many 5 of 8 bytes, empty", PUT(after_whole_batch, .size = 8, .n = 5)},
	{"put_many 4 of 0 bytes", PUT(after_all, .size = 0, .n = 4)},
	{"put_many 5 of 100 bytes, maxsize",
	 PUT(after_whole_batch, .size = 100, .n = 5, .filled = 3, .maxsize = 8)},
	{"put_many 5 of 100 bytes, room for 3",
	 PUT(after_part_of_batch, .size = 100, .n = 5, .filled = 3, .maxsize = 6)},
	{"put_many 3 of 100 bytes, limit of bytes",
	 PUT(after_whole_batch, .size = 100, .n = 3, .filled = 3, .bytes = 1000)},
	{"put_many 4 of 1000 bytes, where the ring wraps",
	 PUT(after_whole_batch, .size = 1000, .n = 4, .turned = 15, .filled = 1)},
	{"put_many 6 of 1000 bytes, half in another ring",
	 PUT(after_batch, .size = 1000, .n = 6, .filled = 15, .fill_size = 4096)},
	{"put_many 3 of 4096 bytes, all in another ring",
	 PUT(after_whole_batch, .size = 4096, .n = 3, .filled = 15, .fill_size = 4096)},
	{"put_many 3 of 5000 bytes", PUT(after_batch, .size = 5000, .n = 3, .filled = 2)},
	{"put_many 3 of 100 bytes, two wait", make, compose_batch, put_many, .waiter = wait_to_get,
	 .waiters = 2, .killed = killed_putting_to_waiters, .after = after_waiters,
	 ON(.size = 100, .n = 3)},
	{"put_many 3 of 8 bytes, watched", make, compose_batch, put_many, .state = take_early,
	 .killed = killed_putting, .after = after_watched, ON(.size = 8, .n = 3)},

	{"get_many 3 of 8 bytes", GET(.n = 3, .takes = 3, .filled = 5, .fill_size = 8)},
	{"get_many 3 of 100 bytes, maxsize", GET(.n = 3, .takes = 3, .filled = 5, .maxsize = 5)},
	{"get_many 4 of 100 bytes, limit of bytes",
	 GET(.n = 4, .takes = 4, .filled = 9, .bytes = 1000)},
	{"get_many, all there are", GET(.n = 6, .takes = 4, .filled = 4)},
	{"get_many where the ring wraps",
	 GET(.n = 3, .takes = 3, .turned = 15, .filled = 3, .fill_size = 4000)},
	{"get_many from the next ring",
	 GET(.n = 3, .takes = 3, .filled = 18, .fill_size = 4096, .drained = 15)},
	{"get_many up to a large one", GET(.n = 5, .takes = 2, .filled = 2, .large = 2)},
	{"get_many, a large one", GET(.n = 5, .takes = 1, .filled = 2, .large = 3, .drained = 2)},
	{"get_many up to one larger than the room",
	 GET(.n = 5, .takes = 2, .cap = 100, .filled = 2, .padding = 300)},

	{"reserve and commit 8 bytes", COMMIT(.size = 8, .filled = 2)},
	{"reserve and commit 5000 bytes, limit of bytes",
	 COMMIT(.size = 5000, .filled = 2, .bytes = 20000)},
	{"reserve and commit 1 MiB, maxsize",
	 COMMIT(.size = (size_t)1 << 20, .filled = 2, .maxsize = 3)},
	{"reserve and commit, another ring",
	 COMMIT(.size = 100, .filled = 15, .fill_size = 4096, .padding = 3968)},
	{"reserve and cancel 100 bytes", make, NULL, reserve_and_cancel,
	 .killed = killed_cancelling, .after = after_all, ON(.size = 100, .filled = 2)},
	{"reserve and cancel 1 MiB", make, NULL, reserve_and_cancel, .killed = killed_cancelling,
	 .after = after_all, ON(.size = (size_t)1 << 20, .filled = 2)},

	{"take and release 8 bytes", TAKE(.filled = 3, .fill_size = 8)},
	{"take and release 4096 bytes, maxsize",
	 TAKE(.filled = 3, .fill_size = 4096, .maxsize = 3)},
	{"take and release 5000 bytes", TAKE(.filled = 3, .fill_size = 5000, .bytes = 20000)},
	{"take and release from the next ring",
	 TAKE(.filled = 18, .fill_size = 4096, .drained = 15)},
	{"take and release 5000 bytes from the next ring",
	 TAKE(.filled = 15, .fill_size = 4096, .padding = 3968, .large = 2, .drained = 16)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
