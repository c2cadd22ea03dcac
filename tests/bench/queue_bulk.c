/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What do many at once, and messages that are not copied, spare? Nanoseconds per message
 * from one process to another. "batch": x messages of 64 bytes at a time. "loan": x bytes,
 * of which only the ends are written and read.
 */
#include "bench.h"
#include "channel.h"

#include <mpx.h>
#include <stdlib.h>

enum { SIZE = 64, MOST = 256, LOANS = 4, FEW = 16 << 10 };

static void *open_queue(size_t size)
{
	(void)size;
	return mpx_queue_new(.bytes = CHANNEL_BYTES);
}

static void *open_loans(size_t size)
{
	(void)size;
	return mpx_queue_new(.maxsize = LOANS); /* the same for all sizes */
}

static void close_queue(void *c)
{
	mpx_queue_free(c);
}

/* --- many at once ------------------------------------------------------------------ */

static size_t batch;

static void put_many(void *c, size_t n, void *msg, size_t size)
{
	char *msgs = calloc(batch, size);

	(void)msg;
	bench_check(msgs);
	for (size_t i = 0; i < n;) {
		size_t now = n - i < batch ? n - i : batch;

		for (size_t k = 0; k < now; k++)
			channel_stamp(msgs + k * size, size, i + k);
		bench_check(mpx_queue_put_many(c, msgs, size, now, MPX_FOREVER) == (ssize_t)now);
		i += now;
	}
	free(msgs);
}

static uint64_t get_many(void *c, size_t n, void *msg, size_t size)
{
	char *msgs = calloc(batch, size);
	uint64_t sum = 0;

	(void)msg;
	bench_check(msgs);
	for (size_t i = 0; i < n;) {
		ssize_t got = mpx_queue_get_many(c, msgs, size, batch, NULL, MPX_FOREVER);

		bench_check(got > 0);
		for (size_t k = 0; k < (size_t)got; k++)
			sum += channel_stamp_of(msgs + k * size, size);
		i += (size_t)got;
	}
	free(msgs);
	return sum;
}

static const struct channel many = {
	.open = open_queue, .produce = put_many, .consume = get_many, .close = close_queue};

/* --- without copying --------------------------------------------------------------- */

static void lend(void *c, size_t n, void *msg, size_t size)
{
	(void)msg;
	for (size_t i = 0; i < n; i++) {
		void *loan = mpx_queue_reserve(c, size, MPX_FOREVER);

		bench_check(loan);
		channel_stamp(loan, size, i);
		bench_check(mpx_queue_commit(c, loan) == 0);
	}
}

static uint64_t take(void *c, size_t n, void *msg, size_t size)
{
	uint64_t sum = 0;

	(void)msg;
	for (size_t i = 0; i < n; i++) {
		size_t got;
		const void *loan = mpx_queue_take(c, &got, MPX_FOREVER);

		bench_check(loan && got == size);
		sum += channel_stamp_of(loan, size);
		bench_check(mpx_queue_release(c, loan) == 0);
	}
	return sum;
}

static const struct channel loans = {
	.open = open_loans, .produce = lend, .consume = take, .close = close_queue};

/* ----------------------------------------------------------------------------------- */

struct question {
	const struct channel *channel;
	size_t size;
};

static double flow(size_t n, void *arg)
{
	struct question *q = arg;

	return channel_flow(q->channel, 1, 1, n, q->size);
}

static void measure(const char *series, size_t x, const struct channel *ours, size_t size)
{
	struct question asked[] = {{ours, size},
				   {&channel_mpx_bounded, size},
				   {&channel_ring, size},
				   {&channel_pipe, size},
				   {ours, FEW}};
	const struct contender all[] = {
		{"libmpx", flow, &asked[0], 0},
		{"libmpx, copied singly", flow, &asked[1], 0},
		{"limit: ring", flow, &asked[2], 0},
		{"pipe(2)", flow, &asked[3], 0},
		/* For the same rounds. */
		{"libmpx, 16 KiB", ours == &loans ? flow : NULL, &asked[4], 0},
	};

	bench_compare(series, (double)x, all, sizeof all / sizeof *all);
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "queue_bulk");
	for (batch = 1; batch <= MOST; batch *= 4)
		measure("batch", batch, &many, SIZE);
	for (size_t size = 64; size <= 16 << 20; size *= 16)
		measure("loan", size, &loans, size);
	measure("loan", 1 << 20, &loans, 1 << 20);
	return bench_close();
}
