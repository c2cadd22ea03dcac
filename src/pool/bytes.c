/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Results of any size: what a task gives beside its output. Each is a block, tagged with
 * the job's address; one more, which the first who gives makes, has a pointer to it for each
 * item. So a job in which nobody gives costs one word.
 *
 * On its way between the worker's hands and its place, and back, a block is tagged as the
 * job's and stands nowhere. The worker's line notes it meanwhile: from there who buries
 * the worker frees it.
 */
#include "pool/pool.h"
#include "shm/family.h"

#include <errno.h>
#include <string.h>

#define THEN atomic_signal_fence(memory_order_seq_cst)

struct mpx__bytes {
	size_t size;
	_Alignas(16) unsigned char byte[];
};

static uint64_t tag_of(struct mpx_result *job)
{
	return (uintptr_t)job;
}

/* --- the note ------------------------------------------------------------------------ */

static void note(struct mpx__worker *w, void *block)
{
	w->giving_serial = mpx__heap_serial(block);
	THEN;
	atomic_store(&w->giving, block);
	THEN;
}

static void forget(struct mpx__worker *w)
{
	THEN;
	atomic_store(&w->giving, NULL);
}

void mpx__bytes_settle(struct mpx_result *job, struct mpx__worker *w)
{
	struct mpx__slot *slots = atomic_load(&job->slots);
	void *block = atomic_load(&w->giving);

	if (!block)
		return;
	if (block != slots && (!slots || block != atomic_load(&slots[w->item].bytes)))
		mpx__heap_free_noted(block, tag_of(job), w->giving_serial);
	forget(w);
}

/* --- giving -------------------------------------------------------------------------- */

static void hand_over(struct mpx__worker *w, void *block, struct mpx_result *job)
{
	note(w, block);
	mpx__heap_retag(block, mpx__self(), tag_of(job));
}

/* The job's, or NULL with errno. Several may make them at once; the first one counts. */
static struct mpx__slot *slots_of(struct mpx__worker *w, struct mpx_result *job)
{
	struct mpx__slot *slots = atomic_load_explicit(&job->slots, memory_order_acquire);
	struct mpx__slot *others = NULL;
	size_t size;

	if (slots)
		return slots;
	if (__builtin_mul_overflow(job->n, sizeof *slots, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	slots = mpx__heap_calloc(size, mpx__self());
	if (!slots)
		return NULL;
	hand_over(w, slots, job);
	if (!atomic_compare_exchange_strong(&job->slots, &others, slots)) {
		mpx__heap_free(slots, tag_of(job));
		slots = others;
	}
	forget(w);
	return slots;
}

static struct mpx__bytes *copy(const void *bytes, size_t size)
{
	struct mpx__bytes *b = NULL;

	if (size <= SIZE_MAX - sizeof *b)
		b = mpx__heap_alloc(sizeof *b + size, mpx__self());
	else
		errno = ENOMEM;
	if (!b)
		return NULL;
	b->size = size;
	if (size)
		memcpy(b->byte, bytes, size);
	return b;
}

int mpx_task_give(const void *bytes, size_t size)
{
	struct mpx__task *task = &mpx__task;
	struct mpx__slot *slots;
	struct mpx__bytes *b;
	size_t item;

	/* A child of the task has a copy of this. */
	if (!task->job || task->process != mpx__self() || (!bytes && size)) {
		errno = EINVAL;
		return -1;
	}
	item = (size_t)atomic_load_explicit(&task->w->item, memory_order_relaxed);
	slots = slots_of(task->w, task->job);
	b = slots ? copy(bytes, size) : NULL;
	if (!b)
		return -1;
	mpx__bytes_drop(task->job, task->w, item);
	hand_over(task->w, b, task->job);
	atomic_store_explicit(&slots[item].bytes, b, memory_order_release);
	forget(task->w);
	return 0;
}

/* --- what becomes of them ---------------------------------------------------------------- */

void mpx__bytes_drop(struct mpx_result *job, struct mpx__worker *w, size_t item)
{
	struct mpx__slot *slots = atomic_load(&job->slots);
	struct mpx__bytes *b = slots ? atomic_load(&slots[item].bytes) : NULL;

	if (!b)
		return;
	note(w, b);
	atomic_store(&slots[item].bytes, NULL);
	THEN;
	mpx__heap_free(b, tag_of(job));
	forget(w);
}

/* If who does it dies on the way, it is done once more. No block of others has the job's tag,
 * so it does no harm that some, and the slots themselves, may be others' by then. */
void mpx__bytes_free_all(struct mpx_result *job)
{
	struct mpx__slot *slots = atomic_load(&job->slots);

	if (!slots)
		return;
	for (size_t i = 0; i < job->n; i++) {
		struct mpx__bytes *b = atomic_load(&slots[i].bytes);

		if (b)
			mpx__heap_free(b, tag_of(job));
	}
	mpx__heap_free(slots, tag_of(job));
}

const void *mpx__bytes_of(struct mpx_result *job, size_t item, size_t *size)
{
	struct mpx__slot *slots = job->aborted ? NULL : atomic_load(&job->slots);
	struct mpx__bytes *b = NULL;

	if (slots)
		b = atomic_load_explicit(&slots[item].bytes, memory_order_acquire);
	if (b && size)
		*size = b->size;
	return b ? b->byte : NULL;
}

const void *mpx_result_bytes(mpx_result *r, size_t index, size_t *size)
{
	const void *bytes;

	if (!mpx__object_is(r, sizeof *r, MPX__RESULT))
		return NULL;
	if (index >= r->n || !atomic_load_explicit(&r->ready, memory_order_acquire)) {
		errno = index >= r->n ? EINVAL : EAGAIN;
		return NULL;
	}
	bytes = mpx__bytes_of(r, index, size);
	if (!bytes)
		errno = ENOENT;
	return bytes;
}
