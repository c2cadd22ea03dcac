/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step_messages.h - a queue and what is expected to come out of it.
 */
#ifndef STEP_MESSAGES_H
#define STEP_MESSAGES_H

#include "step.h"

#include <sched.h>

struct queue_case {
	size_t size; /* of what the victim puts */
	size_t n;    /* so many at once */
	int takes;   /* so many messages of the driver's, if the victim takes any */
	size_t cap;  /* of the victim's buffer; 0: large enough */
	size_t maxsize, bytes;
	size_t turned;	  /* so many messages of 4096 bytes have gone through */
	size_t filled;	  /* so many messages wait */
	size_t fill_size; /* of them; 0: 100 */
	size_t padding;	  /* and one more of so many bytes, 0: none */
	size_t large;	  /* and so many of 5000 bytes */
	size_t drained;	  /* so many of them have been taken */
	long dead_until;  /* the first victim of two dies at an instruction before */
};

#define CASE ((const struct queue_case *)step_now->with)

enum { NOTHING = 0x7fffffff, VICTIMS = 100000, SECOND = 100001, WAITERS = 200000 };

/* MAYBE: at most once. MUST_ANYWHERE: once, in whatever order. */
enum how { MUST, MAYBE, MUST_ANYWHERE };

enum { EXPECTED = 64 };

struct expected {
	uint32_t id;
	size_t size;
	enum how how;
	bool got;
};

struct world {
	mpx_queue *q;
	ssize_t r; /* what the victim's call said */
	struct expected expected[EXPECTED];
	int expected_n;
	int first; /* not taken by the driver */
	uint32_t next_id;
	uint32_t got[STEP_WAITERS]; /* by waiters */
	int got_errno[STEP_WAITERS];
	bool closed;
	int takers;	 /* victims that may have taken a message of the driver's each */
	int begun, done; /* task_done by victims */
	int early;	 /* messages taken while the victim was alive */
	atomic_int held; /* messages taken by a waiter */
};

static unsigned char buffer[((size_t)1 << 20) + 64];

static void compose(unsigned char *p, size_t n, uint32_t id)
{
	fill(p, n, id * 7 + 1);
	if (n >= sizeof id)
		memcpy(p, &id, sizeof id);
}

/* The id of a message, NOTHING if it is torn. Those that are too small have none: 0. */
static uint32_t identify(unsigned char *p, size_t n)
{
	uint32_t id;
	if (n < sizeof id)
		return 0;
	memcpy(&id, p, sizeof id);
	static unsigned char same[sizeof buffer];
	compose(same, n, id);
	return memcmp(p, same, n) == 0 ? id : NOTHING;
}

static void expect(struct world *w, uint32_t id, size_t size, enum how how)
{
	step_check(w->expected_n < EXPECTED);
	w->expected[w->expected_n++] = (struct expected){id, size, how, false};
}

/* A message of the driver's. */
static void put_mine(struct world *w, size_t size)
{
	compose(buffer, size, w->next_id);
	step_check(mpx_queue_put(w->q, buffer, size, STEP_HANG) == 0);
	expect(w, w->next_id++, size, MUST);
}

static bool fits(const struct expected *e, uint32_t id, size_t size)
{
	return !e->got && e->size == size && (size < sizeof id || e->id == id);
}

/* A message has come: is it one that may come now? */
static void arrived(struct world *w, ssize_t n)
{
	uint32_t id = identify(buffer, (size_t)n);
	step_check(n < 4 || id != NOTHING); /* torn */
	for (int i = 0; i < w->expected_n; i++) {
		struct expected *e = &w->expected[i];
		if (fits(e, id, (size_t)n)) {
			e->got = true;
			return;
		}
		if (!e->got && e->how == MUST)
			break;
	}
	step_check(!"a message out of order, or twice");
}

static void take_any(struct world *w)
{
	ssize_t n = mpx_queue_get(w->q, buffer, sizeof buffer, STEP_HANG);
	step_check(n >= 0);
	if (n >= 0)
		arrived(w, n);
}

/* The first that the driver put, which the victim cannot have taken. */
static void take_first(struct world *w)
{
	w->first++;
	take_any(w);
}

/* What waiters have got counts as got. */
static void add_waiters(struct world *w)
{
	for (int i = 0; i < step_waiters_started(); i++) {
		if (!step_now->waiter || w->got[i] == 0 || w->got_errno[i])
			continue;
		bool found = false;
		for (int k = 0; k < w->expected_n && !found; k++)
			if (w->expected[k].id == w->got[i] && !w->expected[k].got)
				found = w->expected[k].got = true;
		step_check(found);
	}
}

static void drain(struct world *w)
{
	/* Whoever died between taking and counting is noticed by the next get. */
	mpx_queue_next_size(w->q, 0);
	ssize_t n, waiting = mpx_queue_qsize(w->q), came = 0;
	while ((n = mpx_queue_get(w->q, buffer, sizeof buffer, 0)) >= 0) {
		arrived(w, n);
		came++;
	}
	step_check(errno == ETIMEDOUT || errno == EPIPE);
	step_check(came == waiting);
	int taken = 0;
	for (int i = 0; i < w->expected_n; i++) {
		if (w->expected[i].got)
			continue;
		if (w->expected[i].id < VICTIMS)
			taken++;
		errno = (int)w->expected[i].id;
		if (w->expected[i].how != MAYBE || taken > w->takers)
			step_check(!"a message is missing");
	}
}

/* As much goes into it as ever. */
static void measure(struct world *w)
{
	size_t size = CASE->bytes ? CASE->bytes / 10 : 8, n = 0;
	size_t room = CASE->maxsize ? CASE->maxsize : 10;
	while (n <= room && mpx_queue_put(w->q, buffer, size, 0) == 0)
		n++;
	step_check(errno == ETIMEDOUT);
	step_check(n == room);
	step_check(mpx_queue_full(w->q));
	while (mpx_queue_get(w->q, buffer, sizeof buffer, 0) >= 0)
		n--;
	step_check(n == 0);
}

/* Until the waiters have ended; or, if not all is said, the queue is as it was. */
static void await(struct world *w, bool strictly)
{
	double end = now() + STEP_HANG;
	ssize_t was = CASE->maxsize ? (ssize_t)CASE->maxsize : 0;
	while (step_waiters_running() && now() < end && (strictly || mpx_queue_qsize(w->q) != was))
		sched_yield();
	step_check(now() < end);
}

/* The victim may have died between taking and counting: waiters find that out. */
static inline void patience(struct world *w)
{
	(void)w;
	for (double end = now() + 0.25; step_waiters_running() && now() < end;)
		nap();
}

static inline long count(struct world *w)
{
	return mpx_queue_qsize(w->q);
}

static void make(struct world *w)
{
	size_t fill_size = CASE->fill_size ? CASE->fill_size : 100;
	w->q = mpx_queue_new(.maxsize = CASE->maxsize, .bytes = CASE->bytes);
	step_check(w->q);
	w->next_id = 1;
	for (size_t i = 0; i < CASE->turned; i++) {
		step_check(mpx_queue_put(w->q, buffer, 4096, 0) == 0);
		step_check(mpx_queue_get(w->q, buffer, sizeof buffer, 0) == 4096);
	}
	for (size_t i = 0; i < CASE->filled; i++)
		put_mine(w, fill_size);
	if (CASE->padding)
		put_mine(w, CASE->padding);
	for (size_t i = 0; i < CASE->large; i++)
		put_mine(w, 5000);
	for (size_t i = 0; i < CASE->drained; i++)
		take_first(w);
}

static inline void after(struct world *w)
{
	add_waiters(w);
	drain(w);
	step_check(mpx_queue_qsize(w->q) == 0);
	step_check(mpx_queue_empty(w->q));
	step_check(!mpx_queue_full(w->q));
	if (!w->closed && (CASE->maxsize || CASE->bytes))
		measure(w);
	mpx_queue_free(w->q);
}

#endif
