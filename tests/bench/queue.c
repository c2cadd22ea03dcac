/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How fast do messages of a size go from one process to another? Nanoseconds per
 * message; x is the size.
 */
#include "bench.h"
#include "channel.h"

#include <stdlib.h>

enum { MAX_CHANNELS = 32, PYTHON_MESSAGES = 4000 };

struct question {
	const struct channel *channel;
	size_t size;
};

static double flow(size_t n, void *arg)
{
	struct question *q = arg;

	return channel_flow(q->channel, 1, 1, n, q->size);
}

static double python_queue(size_t n, void *arg)
{
	struct question *q = arg;

	return bench_python("queue", n, q->size);
}

static double python_simple_queue(size_t n, void *arg)
{
	struct question *q = arg;

	return bench_python("simple_queue", n, q->size);
}

static void measure(size_t size)
{
	struct question asked[MAX_CHANNELS];
	struct contender all[MAX_CHANNELS];
	size_t count = 0;

	for (size_t i = 0; channels[i]; i++) {
		if (channels[i]->largest && size > channels[i]->largest)
			continue;
		asked[count] = (struct question){channels[i], size};
		all[count] = (struct contender){channels[i]->name, flow, &asked[count], 0};
		count++;
	}
	if (size <= 65536 && !bench_hasty()) {
		asked[count] = (struct question){NULL, size};
		all[count] = (struct contender){"Python Queue", python_queue, &asked[count],
						PYTHON_MESSAGES};
		count++;
		asked[count] = asked[count - 1];
		all[count] = (struct contender){"Python SimpleQueue", python_simple_queue,
						&asked[count], PYTHON_MESSAGES};
		count++;
	}
	bench_compare("1x1", (double)size, all, count);
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "queue");
	for (size_t size = 8; size <= 1 << 20; size *= size < 64 ? 8 : 4)
		measure(size);
	return bench_close();
}
