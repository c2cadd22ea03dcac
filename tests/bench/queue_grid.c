/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How fast do messages of 64 bytes go from several producers to several consumers?
 * Nanoseconds per message; x is the number of producers.
 */
#include "bench.h"
#include "channel.h"

#include <stdio.h>

enum { MAX_CHANNELS = 32, SIZE = 64, MOST = 8 };

/* By consumers and producers: took too long with so many, or with fewer. */
static bool slow[MAX_CHANNELS][MOST + 1][MOST + 1];

struct question {
	const struct channel *channel;
	int producers, consumers;
	bool *slow;
};

static double flow(size_t n, void *arg)
{
	struct question *q = arg;
	double seconds = channel_flow(q->channel, q->producers, q->consumers, n, SIZE);

	if (isinf(seconds)) {
		*q->slow = true;
		fprintf(stderr, "queue_grid: %s is not tried with more than %d to %d\n",
			q->channel->name, q->producers, q->consumers);
	}
	return seconds;
}

static void measure(int producers, int consumers)
{
	struct question asked[MAX_CHANNELS];
	struct contender all[MAX_CHANNELS];
	char series[32];
	size_t count = 0;

	snprintf(series, sizeof series, "x%d", consumers);
	for (size_t i = 0; channels[i]; i++) {
		if (!channels[i]->many || (channels[i]->largest && channels[i]->largest < SIZE))
			continue;
		if (slow[i][consumers / 2][producers] || slow[i][consumers][producers / 2]) {
			slow[i][consumers][producers] = true;
			bench_note(series, producers, channels[i]->name,
				   "took too long with fewer");
			continue;
		}
		asked[count] = (struct question){channels[i], producers, consumers,
						 &slow[i][consumers][producers]};
		all[count] = (struct contender){channels[i]->name, flow, &asked[count], 0};
		count++;
	}
	bench_compare(series, producers, all, count);
}

int main(int argc, char **argv)
{
	int most;

	bench_open(argc, argv, "queue_grid");
	most = bench_hasty() ? 2 : MOST;
	for (int consumers = 1; consumers <= most; consumers *= 2)
		for (int producers = 1; producers <= most; producers *= 2)
			measure(producers, consumers);
	return bench_close();
}
