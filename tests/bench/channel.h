/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * channel.h - something that carries messages from process to process, seen alike
 * whether it is libmpx, the limit or a peer:
 *
 *     c = channel->open(size);          before the processes are forked
 *     channel->put(c, msg, size);       one process
 *     channel->get(c, msg, size);       another
 *     channel->close(c);                when they have ended
 *
 * produce and consume are the same in a loop, so that no call through a pointer is
 * measured. Messages are stamped by their number at both ends; consume returns the sum
 * of the stamps, which tells whether everything arrived.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct channel {
	const char *name;
	size_t largest;		    /* message; 0: any */
	bool many;		    /* may have more than one producer and one consumer */
	void *(*open)(size_t size); /* NULL: cannot */
	void (*put)(void *c, const void *msg, size_t size);
	void (*get)(void *c, void *msg, size_t size);
	void (*produce)(void *c, size_t n, void *msg, size_t size);
	uint64_t (*consume)(void *c, size_t n, void *msg, size_t size);
	void (*close)(void *c);
};

extern const struct channel channel_mpx, channel_mpx_bounded, channel_mpx_pipe;
extern const struct channel channel_ring, channel_ring_many;
extern const struct channel channel_pipe, channel_socketpair, channel_mq;
extern const struct channel channel_ck, channel_ck_many;
extern const struct channel channel_rte, channel_rte_many, channel_rte_rts;
extern const struct channel channel_boost, channel_zmq;

/* All that were built, libmpx's first, then the limit; ends with NULL. */
extern const struct channel *const channels[];

/* The memory that a ring of ours or a peer may use for messages. */
enum { CHANNEL_BYTES = 4 << 20 };

/* How many messages of a size that are, at least 4. */
static inline size_t channel_capacity(size_t size)
{
	size_t n = CHANNEL_BYTES / (size < 8 ? 8 : size);

	return n < 4 ? 4 : n;
}

static inline void channel_stamp(void *msg, size_t size, uint64_t i)
{
	memcpy(msg, &i, sizeof i);
	memcpy((char *)msg + size - sizeof i, &i, sizeof i);
}

static inline uint64_t channel_stamp_of(const void *msg, size_t size)
{
	uint64_t first, last;

	memcpy(&first, msg, sizeof first);
	memcpy(&last, (const char *)msg + size - sizeof last, sizeof last);
	return first + last;
}

/* What the stamps of n messages sum up to. */
static inline uint64_t channel_sum(uint64_t n)
{
	return n * (n - 1);
}

/* The loops over NAME_put and NAME_get. */
#define CHANNEL_LOOPS(name)                                                                        \
	static void name##_produce(void *c, size_t n, void *msg, size_t size)                      \
	{                                                                                          \
		for (size_t i = 0; i < n; i++) {                                                   \
			channel_stamp(msg, size, i);                                               \
			name##_put(c, msg, size);                                                  \
		}                                                                                  \
	}                                                                                          \
                                                                                                   \
	static uint64_t name##_consume(void *c, size_t n, void *msg, size_t size)                  \
	{                                                                                          \
		uint64_t sum = 0;                                                                  \
                                                                                                   \
		for (size_t i = 0; i < n; i++) {                                                   \
			name##_get(c, msg, size);                                                  \
			sum += channel_stamp_of(msg, size);                                        \
		}                                                                                  \
		return sum;                                                                        \
	}                                                                                          \
	struct channel /* the semicolon's */

/* Carries n messages of a size; the seconds it took, NAN if the channel cannot,
 * INFINITY if it took too long. */
double channel_flow(const struct channel *channel, int producers, int consumers, size_t n,
		    size_t size);

#ifdef __cplusplus
}
#endif

#endif
