/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What a task can ask about itself.
 */
#include "pool/pool.h"

_Thread_local struct mpx__task mpx__task = {.worker = -1};

const void *mpx_task_context(void)
{
	return mpx__task.job ? mpx__task.job->context : NULL;
}

size_t mpx_task_index(void)
{
	struct mpx__task *task = &mpx__task;

	if (!task->job)
		return 0;
	return task->job->base + (size_t)atomic_load_explicit(&task->w->item, memory_order_relaxed);
}

unsigned mpx_task_attempt(void)
{
	return mpx__task.attempt;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014), over seed and index. */
unsigned long long mpx_task_seed(void)
{
	uint64_t z = (mpx__task.job ? mpx__task.job->seed : 0) +
		     (mpx_task_index() + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int mpx_worker_number(void)
{
	return mpx__task.worker;
}
