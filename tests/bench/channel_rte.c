/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channels of DPDK (https://www.dpdk.org): its rte_ring, without the rest of it. One is for
 * one and one, one for many and many, and one for many that may lose their processor in
 * the midst ("rts"). It never sleeps, and a process that dies inside leaves it stuck. An
 * element has a fixed size, that of the messages here.
 */
#include "bench.h"
#include "channel.h"

#include <rte_ring.h>

enum { LARGEST = 1024 };

struct rte_channel {
	size_t all; /* bytes of the mapping */
	_Alignas(128) struct rte_ring ring;
	/* Its elements. */
};

static void *open_ring(size_t size, unsigned flags)
{
	unsigned count = (unsigned)channel_capacity(size); /* a power of 2, since size is */
	ssize_t bytes = rte_ring_get_memsize_elem((unsigned)size, count);
	size_t all = offsetof(struct rte_channel, ring) + (size_t)bytes;
	struct rte_channel *r;

	bench_check(bytes > 0);
	r = bench_share(all);
	r->all = all;
	bench_check(rte_ring_init(&r->ring, "bench", count, flags) == 0);
	return r;
}

static void close_ring(void *c)
{
	struct rte_channel *r = c;

	bench_unshare(r, r->all);
}

/* By the functions of that kind, again and again until they succeed. */
#define RTE_CHANNEL(name, in, out, flags)                                                          \
	static void *name##_open(size_t size)                                                      \
	{                                                                                          \
		return open_ring(size, flags);                                                     \
	}                                                                                          \
                                                                                                   \
	static inline void name##_put(void *c, const void *msg, size_t size)                       \
	{                                                                                          \
		struct rte_channel *r = c;                                                         \
                                                                                                   \
		for (unsigned i = 0; rte_ring_##in##_enqueue_bulk_elem(                            \
					     &r->ring, msg, (unsigned)size, 1, NULL) == 0;         \
		     i++)                                                                          \
			bench_relax(i);                                                            \
	}                                                                                          \
                                                                                                   \
	static inline void name##_get(void *c, void *msg, size_t size)                             \
	{                                                                                          \
		struct rte_channel *r = c;                                                         \
                                                                                                   \
		for (unsigned i = 0; rte_ring_##out##_dequeue_bulk_elem(                           \
					     &r->ring, msg, (unsigned)size, 1, NULL) == 0;         \
		     i++)                                                                          \
			bench_relax(i);                                                            \
	}                                                                                          \
                                                                                                   \
	CHANNEL_LOOPS(name)

RTE_CHANNEL(rte, sp, sc, RING_F_SP_ENQ | RING_F_SC_DEQ);
RTE_CHANNEL(rte_many, mp, mc, 0);
RTE_CHANNEL(rte_rts, mp_rts, mc_rts, RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ);

const struct channel channel_rte = {
	.name = "rte ring sp/sc",
	.largest = LARGEST,
	.open = rte_open,
	.put = rte_put,
	.get = rte_get,
	.produce = rte_produce,
	.consume = rte_consume,
	.close = close_ring,
};

const struct channel channel_rte_many = {
	.name = "rte ring mp/mc",
	.largest = LARGEST,
	.many = true,
	.open = rte_many_open,
	.put = rte_many_put,
	.get = rte_many_get,
	.produce = rte_many_produce,
	.consume = rte_many_consume,
	.close = close_ring,
};

const struct channel channel_rte_rts = {
	.name = "rte ring rts",
	.largest = LARGEST,
	.many = true,
	.open = rte_rts_open,
	.put = rte_rts_put,
	.get = rte_rts_get,
	.produce = rte_rts_produce,
	.consume = rte_rts_consume,
	.close = close_ring,
};
