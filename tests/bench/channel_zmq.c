/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Channel of ZeroMQ (https://zeromq.org): PUSH to PULL over ipc. Its contexts have
 * threads, so each process makes its own, where it begins to put or get. That, connecting
 * and one message more do not count. The producer stays until everything has been got:
 * what is on its way when it leaves may be lost.
 */
#include "bench.h"
#include "channel.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

struct zmq_channel {
	char address[64];
	_Atomic enum { BOUND = 1, CONNECTED, BEGUN, DONE } stage;
};

static void wait_for(struct zmq_channel *z, int stage)
{
	while ((int)atomic_load(&z->stage) < stage)
		bench_nap(1e-5);
}

static void *zmq_channel_open(size_t size)
{
	static unsigned number;
	struct zmq_channel *z = bench_share(sizeof *z);

	(void)size;
	snprintf(z->address, sizeof z->address, "ipc://@mpx-bench-%d-%u", (int)getpid(), number++);
	return z;
}

static void zmq_channel_produce(void *c, size_t n, void *msg, size_t size)
{
	struct zmq_channel *z = c;
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUSH);

	wait_for(z, BOUND);
	bench_check(zmq_connect(socket, z->address) == 0);
	bench_check(zmq_send(socket, msg, size, 0) == (int)size);
	wait_for(z, CONNECTED);
	atomic_store(&z->stage, BEGUN);
	bench_race_begins();
	for (size_t i = 0; i < n; i++) {
		channel_stamp(msg, size, i);
		bench_check(zmq_send(socket, msg, size, 0) == (int)size);
	}
	bench_race_ends();
	wait_for(z, DONE);
	zmq_close(socket);
	zmq_ctx_term(context);
}

static uint64_t zmq_channel_consume(void *c, size_t n, void *msg, size_t size)
{
	struct zmq_channel *z = c;
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PULL);
	uint64_t sum = 0;

	bench_check(zmq_bind(socket, z->address) == 0);
	atomic_store(&z->stage, BOUND);
	bench_check(zmq_recv(socket, msg, size, 0) == (int)size);
	atomic_store(&z->stage, CONNECTED);
	wait_for(z, BEGUN);
	bench_race_begins();
	for (size_t i = 0; i < n; i++) {
		bench_check(zmq_recv(socket, msg, size, 0) == (int)size);
		sum += channel_stamp_of(msg, size);
	}
	bench_race_ends();
	atomic_store(&z->stage, DONE);
	zmq_close(socket);
	zmq_ctx_term(context);
	return sum;
}

static void zmq_channel_close(void *c)
{
	bench_unshare(c, sizeof(struct zmq_channel));
}

const struct channel channel_zmq = {
	.name = "ZeroMQ",
	.open = zmq_channel_open,
	.produce = zmq_channel_produce,
	.consume = zmq_channel_consume,
	.close = zmq_channel_close,
};
