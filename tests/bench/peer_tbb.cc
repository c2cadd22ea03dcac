/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * oneTBB: enqueue into a task arena, parallel_for.
 */
#include "peer.h"

#include <atomic>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

static tbb::task_arena &arena()
{
	static tbb::task_arena it(2, 1);
	return it;
}

extern "C" void peer_tbb_apply(peer_task *task, const void *in, void *out)
{
	std::atomic<bool> done{false};

	arena().enqueue([&] {
		task(in, out);
		done.store(true, std::memory_order_release);
	});
	while (!done.load(std::memory_order_acquire))
		;
}

extern "C" void peer_tbb_map(peer_task *task, const void *in, size_t in_size, void *out,
			     size_t out_size, size_t n, size_t chunk)
{
	auto body = [=](const tbb::blocked_range<size_t> &r) {
		for (size_t i = r.begin(); i < r.end(); i++)
			task((const char *)in + i * in_size, (char *)out + i * out_size);
	};

	arena().execute([&] {
		if (chunk)
			tbb::parallel_for(tbb::blocked_range<size_t>(0, n, chunk), body,
					  tbb::simple_partitioner());
		else
			tbb::parallel_for(tbb::blocked_range<size_t>(0, n), body);
	});
}
