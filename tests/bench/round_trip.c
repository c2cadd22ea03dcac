/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How long does a word take to the other process and back? Nanoseconds per round trip.
 * "active": both have nothing else to do; "asleep": the other one has gone to sleep
 * meanwhile; "asleep, shared": and both have but one processor. "... spread": x in a
 * hundred trips took no longer.
 */
#include "bench.h"
#include "channel.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 8, MAX_CHANNELS = 32, NAPS = 40, PYTHON_TRIPS = 200, SAMPLES = 20000 };

static const double nap = 0.001;

/* --- the limit --------------------------------------------------------------------- */

struct line {
	_Alignas(128) _Atomic uint32_t word;
};

static void *line_open(size_t size)
{
	(void)size;
	return bench_share(sizeof(struct line));
}

static void line_close(void *c)
{
	bench_unshare(c, sizeof(struct line));
}

static void spin_put(void *c, const void *msg, size_t size)
{
	struct line *l = c;

	(void)msg, (void)size;
	atomic_store_explicit(&l->word, 1, memory_order_release);
}

static void spin_get(void *c, void *msg, size_t size)
{
	struct line *l = c;

	(void)msg, (void)size;
	for (unsigned i = 0; !atomic_load_explicit(&l->word, memory_order_acquire); i++)
		bench_relax(i);
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
}

static const struct channel spin = {.name = "limit: spin",
				    .open = line_open,
				    .put = spin_put,
				    .get = spin_get,
				    .close = line_close};

static void futex_put(void *c, const void *msg, size_t size)
{
	struct line *l = c;

	spin_put(c, msg, size);
	bench_futex_wake(&l->word, 1);
}

static void futex_get(void *c, void *msg, size_t size)
{
	struct line *l = c;

	(void)msg, (void)size;
	while (!atomic_exchange(&l->word, 0))
		bench_futex_wait(&l->word, 0);
}

static const struct channel futex = {.name = "limit: futex",
				     .open = line_open,
				     .put = futex_put,
				     .get = futex_get,
				     .close = line_close};

/* --- trips ------------------------------------------------------------------------- */

struct trips {
	const struct channel *channel;
	bool sleepy, shared;
	void *to, *back;
	size_t n;
	double seconds;
	size_t samples;
	double sample[SAMPLES]; /* ns */
};

static void travel(struct trips *t)
{
	uint64_t msg, begun = 0;
	double total = 0;

	if (!t->sleepy && !t->samples)
		total -= bench_now();
	for (uint64_t i = 0; i < t->n; i++) {
		double begin = 0;

		if (t->sleepy)
			bench_nap(nap);
		if (t->sleepy || t->samples)
			begin = bench_now();
		msg = i;
		t->channel->put(t->to, &msg, SIZE);
		t->channel->get(t->back, &msg, SIZE);
		if (t->sleepy || t->samples) {
			double took = bench_now() - begin;

			total += took;
			if (t->samples)
				t->sample[i] = took * 1e9;
		}
		begun += msg;
	}
	if (!t->sleepy && !t->samples)
		total += bench_now();
	t->seconds = total;
	bench_check(begun == t->n * (t->n - 1) / 2);
}

static void take_part(int who, void *arg)
{
	struct trips *t = arg;
	uint64_t msg = 0;

	if (who == 0) {
		travel(t);
		return;
	}
	for (size_t i = 0; i < t->n; i++) {
		t->channel->get(t->to, &msg, SIZE);
		t->channel->put(t->back, &msg, SIZE);
	}
}

static double go(struct trips *t, size_t n)
{
	double seconds;

	t->n = n;
	t->to = t->channel->open(SIZE);
	t->back = t->channel->open(SIZE);
	bench_check(t->to && t->back);
	seconds = (t->shared ? bench_race_on_one : bench_race)(2, take_part, t);
	if (isinf(seconds))
		t->seconds = seconds;
	t->channel->close(t->to);
	t->channel->close(t->back);
	return t->seconds;
}

static double run(size_t n, void *arg)
{
	return go(arg, n);
}

static double python(size_t n, void *arg)
{
	const struct trips *t = arg;

	return bench_python("round_trip", n, t->sleepy);
}

/* --- how they are spread ----------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void show_spread(const char *series, struct trips *t)
{
	static const double parts[] = {1, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9};
	char name[64];

	t->samples = t->sleepy ? (bench_hasty() ? 10 : 500) : (bench_hasty() ? 100 : SAMPLES);
	go(t, t->samples);
	qsort(t->sample, t->samples, sizeof *t->sample, compare);
	snprintf(name, sizeof name, "%s, spread", series);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t at = (size_t)((double)(t->samples - 1) * parts[i] / 100);

		bench_result(name, parts[i], t->channel->name, "ns", &t->sample[at], 1);
	}
	t->samples = 0;
}

/* ----------------------------------------------------------------------------------- */

static void measure(const char *series, bool sleepy, bool shared)
{
	const struct channel *asked[MAX_CHANNELS] = {
		&channel_mpx,  &channel_mpx_pipe,   &spin,	&futex,
		&channel_pipe, &channel_socketpair, &channel_mq};
	struct contender all[MAX_CHANNELS];
	struct trips *trips[MAX_CHANNELS];
	size_t count = 0;

	for (; asked[count]; count++) {
		trips[count] = bench_share(sizeof **trips);
		trips[count]->channel = asked[count];
		trips[count]->sleepy = sleepy;
		trips[count]->shared = shared;
		all[count] = (struct contender){asked[count]->name, run, trips[count],
						sleepy ? NAPS : 0};
	}
	if (!bench_hasty() && !shared) {
		trips[count] = bench_share(sizeof **trips);
		trips[count]->sleepy = sleepy;
		all[count] = (struct contender){"Python Queue", python, trips[count],
						sleepy ? NAPS : PYTHON_TRIPS};
		count++;
	}
	bench_compare(series, 1, all, count);
	for (size_t i = 0; i < count; i++) {
		if (trips[i]->channel && !shared)
			show_spread(series, trips[i]);
		bench_unshare(trips[i], sizeof **trips);
	}
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "round_trip");
	measure("active", false, false);
	measure("asleep", true, false);
	measure("asleep, shared", true, true);
	return bench_close();
}
