/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channels: a queue as it comes, one that holds no more than the peers do, and a Pipe.
 */
#include "bench.h"
#include "channel.h"

#include <mpx.h>
#include <stdlib.h>

/* --- Queue ------------------------------------------------------------------------- */

static void *queue_open(size_t size)
{
	(void)size;
	return mpx_queue_new();
}

static void *bounded_open(size_t size)
{
	return mpx_queue_new(.bytes = channel_capacity(size) * size);
}

static void queue_put(void *c, const void *msg, size_t size)
{
	bench_check(mpx_queue_put(c, msg, size, MPX_FOREVER) == 0);
}

static void queue_get(void *c, void *msg, size_t size)
{
	bench_check(mpx_queue_get(c, msg, size, MPX_FOREVER) == (ssize_t)size);
}

static void queue_close(void *c)
{
	mpx_queue_free(c);
}

CHANNEL_LOOPS(queue);

const struct channel channel_mpx = {
	.name = "libmpx",
	.many = true,
	.open = queue_open,
	.put = queue_put,
	.get = queue_get,
	.produce = queue_produce,
	.consume = queue_consume,
	.close = queue_close,
};

const struct channel channel_mpx_bounded = {
	.name = "libmpx, bounded",
	.many = true,
	.open = bounded_open,
	.put = queue_put,
	.get = queue_get,
	.produce = queue_produce,
	.consume = queue_consume,
	.close = queue_close,
};

/* --- Pipe -------------------------------------------------------------------------- */

static void *ends_open(size_t size)
{
	mpx_connection **end = malloc(2 * sizeof *end);

	(void)size;
	bench_check(end);
	if (mpx_pipe(end, false) == 0)
		return end;
	free(end);
	return NULL;
}

static void ends_put(void *c, const void *msg, size_t size)
{
	mpx_connection **end = c;

	bench_check(mpx_connection_send(end[1], msg, size, MPX_FOREVER) == 0);
}

static void ends_get(void *c, void *msg, size_t size)
{
	mpx_connection **end = c;

	bench_check(mpx_connection_recv(end[0], msg, size, MPX_FOREVER) == (ssize_t)size);
}

static void ends_close(void *c)
{
	mpx_connection **end = c;

	mpx_connection_close(end[0]);
	mpx_connection_close(end[1]);
	free(end);
}

CHANNEL_LOOPS(ends);

const struct channel channel_mpx_pipe = {
	.name = "libmpx Pipe",
	.open = ends_open,
	.put = ends_put,
	.get = ends_get,
	.produce = ends_produce,
	.consume = ends_consume,
	.close = ends_close,
};
