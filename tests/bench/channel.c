/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "channel.h"

#include "bench.h"

#include <stdlib.h>

const struct channel *const channels[] = {
	&channel_mpx,	&channel_mpx_bounded, &channel_mpx_pipe, &channel_ring, &channel_ring_many,
	&channel_pipe,	&channel_socketpair,  &channel_mq,
#ifdef BENCH_CK
	&channel_ck,	&channel_ck_many,
#endif
#ifdef BENCH_RTE
	&channel_rte,	&channel_rte_many,    &channel_rte_rts,
#endif
#ifdef BENCH_BOOST
	&channel_boost,
#endif
#ifdef BENCH_ZMQ
	&channel_zmq,
#endif
	NULL,
};

enum { MAX_SIDE = 64 };

struct flow {
	const struct channel *channel;
	void *c;
	int producers, consumers;
	size_t n, size;
	uint64_t sum[MAX_SIDE];
};

/* Of n, what falls to the i-th of so many. */
static size_t share(size_t n, int i, int of)
{
	return n * (size_t)(i + 1) / (size_t)of - n * (size_t)i / (size_t)of;
}

/* Producers and consumers by turns, so that a pair is on two processors. */
static void take_part(int who, void *arg)
{
	struct flow *f = arg;
	void *msg = calloc(1, f->size);
	int least = f->producers < f->consumers ? f->producers : f->consumers;
	int pairs = 2 * least;
	bool producer = who < pairs ? who % 2 == 0 : f->producers > f->consumers;
	int side = who < pairs ? who / 2 : who - least;

	bench_check(msg);
	if (producer)
		f->channel->produce(f->c, share(f->n, side, f->producers), msg, f->size);
	else
		f->sum[side] =
			f->channel->consume(f->c, share(f->n, side, f->consumers), msg, f->size);
	free(msg);
}

double channel_flow(const struct channel *channel, int producers, int consumers, size_t n,
		    size_t size)
{
	struct flow *f = bench_share(sizeof *f);
	uint64_t sum = 0, expected = 0;
	double seconds = NAN;

	*f = (struct flow){channel, channel->open(size), producers, consumers, n, size, {0}};
	if (f->c) {
		seconds = bench_race(producers + consumers, take_part, f);
		for (int i = 0; i < consumers; i++)
			sum += f->sum[i];
		for (int i = 0; i < producers; i++)
			expected += channel_sum(share(n, i, producers));
		bench_check(isinf(seconds) || sum == expected);
		channel->close(f->c);
	}
	bench_unshare(f, sizeof *f);
	return seconds;
}
