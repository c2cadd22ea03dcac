/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How fast do messages of 64 bytes go from several producers to several consumers?
 * Nanoseconds per message; x is the number of producers.
 */
#include "bench.h"
#include "channel.h"

#include <stdio.h>

enum { MAX_CHANNELS = 32, SIZE = 64 };

struct question {
	const struct channel *channel;
	int producers, consumers;
};

static double flow(size_t n, void *arg)
{
	struct question *q = arg;

	return channel_flow(q->channel, q->producers, q->consumers, n, SIZE);
}

static void measure(int producers, int consumers)
{
	struct question asked[MAX_CHANNELS];
	struct contender all[MAX_CHANNELS];
	char series[32];
	size_t count = 0;

	for (size_t i = 0; channels[i]; i++) {
		if (!channels[i]->many || (channels[i]->largest && channels[i]->largest < SIZE))
			continue;
		asked[count] = (struct question){channels[i], producers, consumers};
		all[count] = (struct contender){channels[i]->name, flow, &asked[count], 0};
		count++;
	}
	snprintf(series, sizeof series, "x%d", consumers);
	bench_compare(series, producers, all, count);
}

int main(int argc, char **argv)
{
	int most;

	bench_open(argc, argv, "queue_grid");
	most = bench_hasty() ? 2 : 8;
	for (int consumers = 1; consumers <= most; consumers *= 2)
		for (int producers = 1; producers <= most; producers *= 2)
			measure(producers, consumers);
	return bench_close();
}
