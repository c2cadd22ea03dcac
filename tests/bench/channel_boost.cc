/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channel of Boost.Interprocess: message_queue. A process that dies inside leaves its
 * mutex locked.
 */
#include "bench.h"
#include "channel.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <unistd.h>

using boost::interprocess::create_only;
using boost::interprocess::message_queue;

static void *boost_open(size_t size)
{
	char name[64];

	std::snprintf(name, sizeof name, "mpx-bench-%d", (int)getpid());
	try {
		message_queue::remove(name);
		auto *queue = new message_queue(create_only, name, channel_capacity(size), size);
		message_queue::remove(name);
		return queue;
	} catch (...) {
		return nullptr;
	}
}

static inline void boost_put(void *c, const void *msg, size_t size)
{
	static_cast<message_queue *>(c)->send(msg, size, 0);
}

static inline void boost_get(void *c, void *msg, size_t size)
{
	message_queue::size_type got;
	unsigned priority;

	static_cast<message_queue *>(c)->receive(msg, size, got, priority);
	bench_check(got == size);
}

static void boost_close(void *c)
{
	delete static_cast<message_queue *>(c);
}

CHANNEL_LOOPS(boost);

extern "C" const struct channel channel_boost = {
	"Boost message_queue", 0,	    true, boost_open, boost_put, boost_get, boost_produce,
	boost_consume,	       boost_close,
};
