/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Jobs whose process has died. What map and imap submit is freed by the process that
 * waits for it. If that is the pool's creator, the pool ends with it; but a pool may
 * live long and have many short-lived users, and what these leave must not pile up.
 * So the supervisor looks for it, about once a second.
 *
 * A map that has lost its process runs to its end, for its results may be where
 * others see them. Of an imap nobody would see any: it is as if it had been freed.
 *
 * A process that has callbacks to come keeps the job, freed or not. When it is dead, nobody
 * does.
 */
#include "platform/platform.h"
#include "pool/pool.h"
#include "shm/family.h"

/* Nanoseconds between two looks: so many, and so many times as long as the last one took
 * with the pool's lock held. */
#define BETWEEN INT64_C(1000000000)
enum { REST = 50 };

/* The user of an imap remembers errors one by one. */
static bool is_of_imap(const struct mpx_result *job)
{
	return job->errors;
}

/* Is it waited for by somebody other than the creator, as far as is known? */
static bool has_guest(const mpx_pool *pool, const struct mpx_result *job)
{
	return job->waiter && job->waiter != pool->creator && !job->detached;
}

/* Likewise for those who have callbacks of it to come. */
static bool has_caller(const mpx_pool *pool, const struct mpx_result *job)
{
	return job->caller && job->caller != pool->creator;
}

/* To look whether a process lives takes many microseconds, and it may wait for thousands of
 * jobs: so what was found is remembered while a look lasts. */
struct found {
	uint32_t id;
	bool dead;
};

enum { FOUND = 64 };

static bool is_dead(struct found *found, uint32_t id)
{
	found += id % FOUND;
	if (found->id != id)
		*found = (struct found){id, mpx__peer_dead(id)};
	return found->dead;
}

/* True: there are some whose process is alive. */
static bool drop_abandoned(mpx_pool *pool)
{
	struct found found[FOUND] = {{0}};
	struct mpx_result *next;
	bool alive = false;

	for (struct mpx_result *job = pool->all; job; job = next) {
		bool calls = has_caller(pool, job);

		next = job->all_next;
		if (!calls && !has_guest(pool, job))
			continue;
		if (!is_dead(found, calls ? job->caller : job->waiter)) {
			alive = true;
			continue;
		}
		if (is_of_imap(job))
			mpx__job_stop(pool, job);
		if (calls)
			mpx__job_let_go(pool, job);
		else
			mpx__job_detach(pool, job);
	}
	return alive;
}

void mpx__guests_look(mpx_pool *pool, int64_t *look_at)
{
	int64_t begin;

	if (!atomic_load_explicit(&pool->guests, memory_order_relaxed))
		return;
	begin = mpx__os_now();
	if (begin < *look_at || mpx__pool_lock(pool) != 0)
		return;
	begin = mpx__os_now();
	atomic_store(&pool->guests, drop_abandoned(pool));
	mpx__pool_unlock(pool);
	*look_at = mpx__os_now() + BETWEEN + REST * (mpx__os_now() - begin);
}
