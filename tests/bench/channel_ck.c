/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channels of Concurrency Kit (https://github.com/concurrencykit/ck): its ring, for one
 * and one and for many and many. It never sleeps, and a process that dies inside leaves it
 * stuck. An element has a fixed size: 8 or 64 bytes here.
 */
#include "bench.h"
#include "channel.h"

#include <ck_ring.h>

struct ck_small {
	char bytes[8];
};

struct ck_large {
	char bytes[64];
};

CK_RING_PROTOTYPE(small, ck_small)
CK_RING_PROTOTYPE(large, ck_large)

struct ck_channel {
	ck_ring_t ring;
	size_t size;
	_Alignas(128) char elements[CHANNEL_BYTES];
};

static void *ck_open(size_t size)
{
	struct ck_channel *r;

	if (size != 8 && size != 64)
		return NULL;
	r = bench_share(sizeof *r);
	ck_ring_init(&r->ring, (unsigned)(CHANNEL_BYTES / size));
	r->size = size;
	return r;
}

static void ck_close(void *c)
{
	bench_unshare(c, sizeof(struct ck_channel));
}

/* The function for elements of that size, until it succeeds. */
#define CK_SPIN(call, c, msg, size)                                                                \
	do {                                                                                       \
		struct ck_channel *r_ = (c);                                                       \
		for (unsigned i_ = 0;                                                              \
		     !((size) == 8                                                                 \
			       ? ck_ring_##call##_small(&r_->ring, (void *)r_->elements, msg)      \
			       : ck_ring_##call##_large(&r_->ring, (void *)r_->elements, msg));    \
		     i_++)                                                                         \
			bench_relax(i_);                                                           \
	} while (0)

static inline void ck_put(void *c, const void *msg, size_t size)
{
	CK_SPIN(enqueue_spsc, c, (void *)(uintptr_t)msg, size);
}

static inline void ck_get(void *c, void *msg, size_t size)
{
	CK_SPIN(dequeue_spsc, c, msg, size);
}

CHANNEL_LOOPS(ck);

const struct channel channel_ck = {
	.name = "ck ring spsc",
	.largest = 64,
	.open = ck_open,
	.put = ck_put,
	.get = ck_get,
	.produce = ck_produce,
	.consume = ck_consume,
	.close = ck_close,
};

static inline void ck_many_put(void *c, const void *msg, size_t size)
{
	CK_SPIN(enqueue_mpmc, c, (void *)(uintptr_t)msg, size);
}

static inline void ck_many_get(void *c, void *msg, size_t size)
{
	CK_SPIN(dequeue_mpmc, c, msg, size);
}

CHANNEL_LOOPS(ck_many);

const struct channel channel_ck_many = {
	.name = "ck ring mpmc",
	.largest = 64,
	.many = true,
	.open = ck_open,
	.put = ck_many_put,
	.get = ck_many_get,
	.produce = ck_many_produce,
	.consume = ck_many_consume,
	.close = ck_close,
};
