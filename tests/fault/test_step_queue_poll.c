/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of a queue that is polled: fileno, the put and close that ring, the
 * get that settles; and of mpx_queue_free. Whoever is killed there: where a message is,
 * or the end, those who poll are woken; where none is, they are not for long.
 *
 * Seen to fail with, in src/ipc/queue_poll.c: an entry disarmed before its bell is rung.
 * In src/ipc/queue.c: no settling after a get; rings that mpx_queue_free does not free.
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

#include <poll.h>

struct poll_case {
	int filled;   /* messages of 40 bytes */
	int large;    /* of 5000 bytes */
	int attempts; /* of the victim's, to get */
	bool polls;   /* the victim, too */
	bool rings;   /* more than one */
};

#define CASE ((const struct poll_case *)step_now->with)

struct world {
	mpx_queue *q;
	int fd; /* the driver's */
	int waiting;
};

static bool readable(int fd, double seconds)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, (int)(seconds * 1000)) == 1;
}

static void put_mine(struct world *w, size_t size)
{
	static unsigned char bytes[5000];
	fill(bytes, size, size);
	step_check(mpx_queue_put(w->q, bytes, size, STEP_HANG) == 0);
	w->waiting++;
}

static void make(struct world *w)
{
	w->q = mpx_queue_new(.maxsize = 0);
	step_check(w->q);
	w->fd = mpx_queue_fileno(w->q);
	step_check(w->fd >= 0);
	for (int i = 0; i < CASE->filled; i++)
		put_mine(w, 40);
	for (int i = 0; i < CASE->large; i++)
		put_mine(w, 5000);
	for (int i = 0; CASE->rings && i < 20; i++)
		put_mine(w, 4096);
}

/* --- victims ---------------------------------------------------------------------------------- */

static void ask_fileno(struct world *w)
{
	mpx_queue_fileno(w->q);
}

static void before(struct world *w)
{
	if (CASE->polls)
		ask_fileno(w);
}

static void put_one(struct world *w)
{
	mpx_queue_put(w->q, "12345678", 8, STEP_HANG);
}

static void get_some(struct world *w)
{
	static unsigned char bytes[5000];
	for (int i = 0; i < CASE->attempts; i++)
		mpx_queue_get(w->q, bytes, sizeof bytes, 0);
}

static void close_it(struct world *w)
{
	mpx_queue_close(w->q);
}

static void free_it(struct world *w)
{
	mpx_queue_free(w->q);
}

/* --- survivors ---------------------------------------------------------------------------------
 */

static int drain(struct world *w)
{
	static unsigned char bytes[5000];
	ssize_t n;
	int got = 0;
	while ((n = mpx_queue_get(w->q, bytes, sizeof bytes, 0)) >= 0) {
		step_check(n == 8 || filled(bytes, (size_t)n, (size_t)n));
		got++;
	}
	step_check(errno == ETIMEDOUT || errno == EPIPE);
	return got;
}

/* Another process polls, too; and the victim's entry has not been the last. */
static int poll_and_get(void *arg)
{
	struct world *w = arg;
	int fd = mpx_queue_fileno(w->q);
	step_check(fd >= 0 && readable(fd, STEP_HANG));
	step_check(drain(w) == 1);
	step_check(!readable(fd, 0));
	return 0;
}

/* Readable while there is something, not readable when nothing is there: one that has
 * been woken for nothing looks, and then sleeps. */
static void check_level(struct world *w, int least, int most)
{
	if (mpx_queue_qsize(w->q) > 0)
		step_check(readable(w->fd, STEP_HANG));
	int got = drain(w);
	step_check(got >= least && got <= most);
	step_check(!readable(w->fd, 0));
	put_mine(w, 40);
	step_check(readable(w->fd, STEP_HANG));
	step_check(run_child(poll_and_get, w) == 0);
	drain(w);
	step_check(!readable(w->fd, 0));
	step_check(mpx_queue_qsize(w->q) == 0);
}

static void killed(struct world *w)
{
	put_mine(w, 40); /* nobody has looked since: the bell must still be armed */
	step_check(readable(w->fd, STEP_HANG));
	check_level(w, w->waiting - CASE->attempts, w->waiting + 1);
}

/* Who had been told of the end has been told the truth. */
static void killed_closing(struct world *w)
{
	drain(w);
	bool closed = mpx_queue_put(w->q, "", 0, 0) != 0;
	step_check(!closed || errno == EPIPE);
	step_check(readable(w->fd, closed ? STEP_HANG : 0) || !closed);
	step_check(mpx_queue_close(w->q) == 0);
	step_check(readable(w->fd, STEP_HANG));
}

/* What is not there any more is told from what is; its memory is as good as any. */
static void killed_freeing(struct world *w)
{
	mpx_queue_free(w->q);
	mpx_queue *q = w->q;
	w->q = mpx_queue_new(.maxsize = 0);
	step_check(w->q);
	w->fd = mpx_queue_fileno(w->q);
	w->waiting = 0;
	check_level(w, 0, 0);
	step_check(q == w->q || (mpx_queue_qsize(q) == -1 && errno == EINVAL));
}

static void after(struct world *w)
{
	mpx_queue_free(w->q);
}

#define ON(...)                                                                                    \
	.with = &(const struct poll_case)                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct step steps[] = {
	{"fileno, empty", make, before, ask_fileno, .killed = killed, .after = after, ON(0)},
	{"fileno, a message waits", make, before, ask_fileno, .killed = killed, .after = after,
	 ON(.filled = 1)},
	{"fileno, once more", make, before, ask_fileno, .killed = killed, .after = after,
	 ON(.polls = true)},
	{"put, others poll", make, before, put_one, .killed = killed, .after = after, ON(0)},
	{"put, the victim polls, too", make, before, put_one, .killed = killed, .after = after,
	 ON(.polls = true)},
	{"get the last", make, before, get_some, .killed = killed, .after = after,
	 ON(.filled = 1, .attempts = 1, .polls = true)},
	{"get the last, of 5000 bytes", make, before, get_some, .killed = killed, .after = after,
	 ON(.large = 1, .attempts = 1, .polls = true)},
	{"get in vain", make, before, get_some, .killed = killed, .after = after,
	 ON(.attempts = 1, .polls = true)},
	{"get, in vain at last", make, before, get_some, .killed = killed, .after = after,
	 ON(.filled = 1, .attempts = 2, .polls = true)},
	{"close, others poll", make, before, close_it, .killed = killed_closing, .after = after,
	 ON(.filled = 1, .polls = true)},
	{"free, empty", make, before, free_it, .killed = killed_freeing, .after = after,
	 .may_lose = 2, ON(.polls = true)},
	{"free, with messages", make, before, free_it, .killed = killed_freeing, .after = after,
	 .may_lose = 2, ON(.filled = 2, .large = 2)},
	{"free, with rings", make, before, free_it, .killed = killed_freeing, .after = after,
	 .may_lose = 2, .seconds = 2, ON(.large = 2, .rings = true)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
