/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of put, get, next_size and close. Whoever is killed there: each
 * message whose put has returned is delivered once, whole and in order, the one in
 * the victim's hands at most once; counts and limits are what they were; no block of
 * the heap is lost.
 *
 * Seen to fail with, among others, in src/ipc/queue_recover.c: p->message,
 * p->fresh_ring or c->message forgotten, not freed; p->bytes_before or c->bytes_after
 * not restored; left_ring only forgotten; fresh ring not taken over ("p->ring =
 * fresh"); no mpx__queue_catch_up() in queue.c. In src/ipc/ring.c: tail stored before
 * the record is written. In src/shm/peers.c: no mpx__heap_sweep(id).
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include "step_messages.h"

/* --- victims ------------------------------------------------------------------------ */

static void compose_one(struct world *w)
{
	(void)w;
	compose(buffer, CASE->size, VICTIMS);
}

static void put_one(struct world *w)
{
	w->r = mpx_queue_put(w->q, buffer, CASE->size, STEP_HANG);
}

static void get_one(struct world *w)
{
	w->r = mpx_queue_get(w->q, buffer, CASE->cap ? CASE->cap : sizeof buffer, STEP_HANG);
}

static void get_in_vain(struct world *w)
{
	w->r = mpx_queue_get(w->q, buffer, sizeof buffer, 0.003);
}

static void peek(struct world *w)
{
	w->r = mpx_queue_next_size(w->q, STEP_HANG);
}

static void close_it(struct world *w)
{
	w->r = mpx_queue_close(w->q);
}

/* --- waiters --------------------------------------------------------------------------- */

static void wait_to_get(struct world *w, int i)
{
	ssize_t n = mpx_queue_get(w->q, buffer, sizeof buffer, STEP_HANG);
	w->got_errno[i] = n < 0 ? errno : 0;
	w->got[i] = n < 0 ? NOTHING : identify(buffer, (size_t)n);
	step_check(n >= 0 || errno == EPIPE);
}

static void wait_to_put(struct world *w, int i)
{
	compose(buffer, 100, WAITERS + (uint32_t)i);
	step_check(mpx_queue_put(w->q, buffer, 100, STEP_HANG) == 0);
}

/* --- nudges ---------------------------------------------------------------------------- */

static void nudge_get(struct world *w, int times)
{
	if (times == 0)
		take_first(w);
}

static void nudge_put(struct world *w, int times)
{
	if (times == 0)
		put_mine(w, 60);
}

static void nudge_put_to_two(struct world *w, int times)
{
	if (times == 0)
		step_start_waiters();
	if (times < 2)
		put_mine(w, 60);
}

static void nudge_get_for_two(struct world *w, int times)
{
	if (times == 0)
		step_start_waiters();
	if (times < 2)
		take_first(w);
}

static void nudge_close(struct world *w, int times)
{
	(void)times;
	step_check(mpx_queue_close(w->q) == 0);
}

/* --- survivors --------------------------------------------------------------------------- */

static void killed_putting(struct world *w)
{
	expect(w, VICTIMS, CASE->size, MAYBE);
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

/* A waiter gets what the victim has put, or else what I put. */
/* All is taken, also what the victim may have put, before anybody looks who died; what is put
 * then must come behind it. */
static void killed_putting_and_got(struct world *w)
{
	ssize_t n;
	expect(w, VICTIMS, CASE->size, MAYBE);
	while ((n = mpx_queue_get(w->q, buffer, sizeof buffer, 0)) >= 0)
		arrived(w, n);
	step_check(errno == ETIMEDOUT);
	put_mine(w, 8);
}
static void killed_putting_to_waiter(struct world *w)
{
	expect(w, VICTIMS, CASE->size, MAYBE);
	await(w, false);
	put_mine(w, 8);
}

static void killed_putting_with_putter(struct world *w)
{
	expect(w, VICTIMS, CASE->size, MAYBE);
	expect(w, WAITERS, 100, step_waiters_started() ? MUST_ANYWHERE : MAYBE);
	if (w->first == 0)
		take_first(w);
	await(w, false);
	if (step_waiters_running())
		take_any(w);
	await(w, true);
}

static void killed_getting(struct world *w)
{
	if (w->expected_n > 0 && !CASE->cap)
		w->expected[w->first].how = MAYBE;
	w->takers = 1;
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

static void killed_peeking(struct world *w)
{
	put_mine(w, 8);
}

/* The queue was full, a waiter wants to put. It must if the victim has made room. */
static void killed_getting_with_putter(struct world *w)
{
	w->expected[w->first].how = MAYBE;
	w->takers = 1;
	await(w, false);
	if (step_near_change) /* taken, but not counted? The waiter must find that out. */
		patience(w);
	if (step_waiters_running()) {
		take_any(w);
		step_check(w->expected[0].got || !step_near_change);
	}
	await(w, true);
	expect(w, WAITERS, 100, MUST);
}

/* The queue was empty: who gets what I put? */
static void killed_getting_asleep(struct world *w)
{
	if (w->expected_n == 0)
		put_mine(w, 60);
	for (int i = 0; i < w->expected_n; i++)
		w->expected[i].how = MAYBE;
	w->takers = 1;
	await(w, false);
	put_mine(w, 8);
	if (step_waiters_running()) {
		await(w, false);
		put_mine(w, 8);
	}
}

static void killed_closing(struct world *w)
{
	w->closed = true;
	step_check(mpx_queue_close(w->q) == 0);
	step_check(mpx_queue_put(w->q, "", 1, STEP_HANG) == -1 && errno == EPIPE);
}

/* --- double faults -------------------------------------------------------------------------
 * The first victim dies at an instruction of its own that the seed chooses, where it
 * may hold a guard; this one takes over, and is killed in the middle of recovery. */

static void make_dead_putter(struct world *w)
{
	make(w);
	step_die_at(compose_one, put_one, w, (long)(step_random() % (uint64_t)CASE->dead_until));
	expect(w, VICTIMS, CASE->size, MAYBE);
}

static void make_dead_getter(struct world *w)
{
	make(w);
	step_die_at(NULL, get_one, w, (long)(step_random() % (uint64_t)CASE->dead_until));
	w->expected[0].how = MAYBE;
}

static void compose_second(struct world *w)
{
	(void)w;
	compose(buffer, CASE->size, SECOND);
}

static void put_after_death(struct world *w)
{
	w->r = mpx_queue_put(w->q, buffer, CASE->size, STEP_HANG);
}

static void killed_putting_twice(struct world *w)
{
	expect(w, SECOND, CASE->size, MAYBE);
	put_mine(w, 8);
}

static void killed_getting_twice(struct world *w)
{
	w->expected[0].how = w->expected[1].how = MAYBE;
	w->takers = 2;
	if (CASE->maxsize)
		take_any(w);
	put_mine(w, 8);
}

static void put_and_get_after_death(struct world *w)
{
	put_after_death(w);
	get_one(w);
}

static void killed_both(struct world *w)
{
	w->expected[0].how = MAYBE;
	w->takers = 1;
	killed_putting_twice(w);
}

/* --- scenarios ------------------------------------------------------------------------------- */

#define ON(...)                                                                                    \
	.with = &(const struct queue_case)                                                         \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define PUT(...)                                                                                   \
	make, compose_one, put_one, .killed = killed_putting, .after = after, ON(__VA_ARGS__)
#define GET(...) make, NULL, get_one, .killed = killed_getting, .after = after, ON(__VA_ARGS__)
#define MIB ((size_t)1 << 20)

static const struct step steps[] = {
	{"put 0 bytes, empty", PUT(.size = 0)},
	{"put 8 bytes, half full", PUT(.size = 8, .filled = 4)},
	{"put 100 bytes, maxsize, one place left", PUT(.size = 100, .filled = 3, .maxsize = 4)},
	{"put 100 bytes, limit of bytes", PUT(.size = 100, .filled = 3, .bytes = 1000)},
	{"put 4096 bytes, empty", PUT(.size = 4096)},
	{"put 100 bytes, then all is taken", make, compose_one, put_one,
	 .killed = killed_putting_and_got, .after = after, ON(.size = 100, .filled = 2)},
	{"put 5000 bytes, half full", PUT(.size = 5000, .filled = 3)},
	{"put 5000 bytes, limit of bytes", PUT(.size = 5000, .filled = 2, .bytes = 20000)},
	{"put 1 MiB", PUT(.size = MIB, .filled = 2)},
	{"put 4000 bytes where the ring wraps", PUT(.size = 4000, .turned = 15, .filled = 1)},
	{"put 4096 bytes, another ring", PUT(.size = 4096, .filled = 15, .fill_size = 4096)},
	{"put 5000 bytes, another ring",
	 PUT(.size = 5000, .filled = 15, .fill_size = 4096, .padding = 3968)},
	{"put, full, woken by a get", make, compose_one, put_one, nudge_get,
	 .killed = killed_putting, .after = after, ON(.size = 100, .filled = 2, .maxsize = 2)},
	{"put 5000 bytes, full, woken before another putter", make, compose_one, put_one,
	 nudge_get_for_two, wait_to_put, killed_putting_with_putter, after, .waiters = 1,
	 .late = true, ON(.size = 5000, .filled = 2, .maxsize = 2)},
	{"put, a getter waits", make, compose_one, put_one, .waiter = wait_to_get, .waiters = 1,
	 .killed = killed_putting_to_waiter, .after = after, ON(.size = 100)},
	{"put, full, closed meanwhile", make, compose_one, put_one, nudge_close,
	 .killed = killed_closing, .after = after, ON(.size = 100, .filled = 2, .maxsize = 2)},

	{"get 1 byte", GET(.filled = 1, .fill_size = 1)},
	{"get 8 bytes", GET(.filled = 3, .fill_size = 8)},
	{"get 100 bytes, maxsize", GET(.filled = 4, .maxsize = 4)},
	{"get 100 bytes, limit of bytes", GET(.filled = 9, .bytes = 1000)},
	{"get 4096 bytes", GET(.filled = 2, .fill_size = 4096)},
	{"get 5000 bytes", GET(.filled = 3, .fill_size = 5000)},
	{"get 5000 bytes, limit of bytes", GET(.filled = 3, .fill_size = 5000, .bytes = 20000)},
	{"get 1 MiB", GET(.filled = 2, .fill_size = MIB)},
	{"get where the ring wraps", GET(.turned = 15, .filled = 3, .fill_size = 4000)},
	{"get from the next ring", GET(.filled = 18, .fill_size = 4096, .drained = 15)},
	{"get 5000 bytes from the next ring",
	 GET(.filled = 15, .fill_size = 4096, .padding = 3968, .large = 2, .drained = 16)},
	{"get, buffer too small", GET(.filled = 3, .cap = 10)},
	{"get, empty, in vain", make, NULL, get_in_vain, .killed = killed_peeking, .after = after,
	 ON(.size = 0)},
	{"get, empty, woken", make, NULL, get_one, nudge_put, .killed = killed_getting_asleep,
	 .after = after, ON(.size = 0)},
	{"get, empty, woken before another getter", make, NULL, get_one, nudge_put_to_two,
	 wait_to_get, killed_getting_asleep, after, .waiters = 1, .late = true, ON(.size = 0)},
	{"get, empty, closed meanwhile", make, NULL, get_one, nudge_close, .killed = killed_closing,
	 .after = after, ON(.size = 0)},
	{"get, full, a putter waits", make, NULL, get_one, .waiter = wait_to_put, .waiters = 1,
	 .killed = killed_getting_with_putter, .after = after, .state = count,
	 ON(.filled = 3, .maxsize = 3)},
	{"next_size", make, NULL, peek, .killed = killed_peeking, .after = after,
	 ON(.filled = 18, .fill_size = 4096, .drained = 15)},
	{"close, a getter waits", make, NULL, close_it, .waiter = wait_to_get, .waiters = 1,
	 .killed = killed_closing, .after = after, ON(.size = 0)},

	{"double fault: put after put of 100 bytes", make_dead_putter, compose_second,
	 put_after_death, .killed = killed_putting_twice, .after = after, .varies = true,
	 .seconds = 1.5, ON(.size = 100, .filled = 2, .maxsize = 10, .dead_until = 300)},
	{"double fault: put after put of 5000 bytes", make_dead_putter, compose_second,
	 put_after_death, .killed = killed_putting_twice, .after = after, .varies = true,
	 .seconds = 1.5, ON(.size = 5000, .filled = 2, .dead_until = 1000)},
	{"double fault: put after put, another ring", make_dead_putter, compose_second,
	 put_after_death, .killed = killed_putting_twice, .after = after, .varies = true,
	 .seconds = 1.5,
	 ON(.size = 5000, .filled = 15, .fill_size = 4096, .padding = 3968, .dead_until = 1600)},
	{"double fault: get after get of 100 bytes", make_dead_getter, NULL, get_one,
	 .killed = killed_getting_twice, .after = after, .varies = true, .seconds = 1.5,
	 ON(.filled = 4, .maxsize = 4, .dead_until = 400)},
	{"double fault: get after get of 5000 bytes", make_dead_getter, NULL, get_one,
	 .killed = killed_getting_twice, .after = after, .varies = true, .seconds = 1.5,
	 ON(.filled = 3, .fill_size = 5000, .dead_until = 700)},
	{"double fault: put and get after put of 5000 bytes", make_dead_putter, compose_second,
	 put_and_get_after_death, .killed = killed_both, .after = after, .varies = true,
	 .seconds = 1.5, ON(.size = 5000, .filled = 2, .dead_until = 1000)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
