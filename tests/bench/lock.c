/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What does a lock between processes cost? Nanoseconds for acquire and release, alone, and
 * with two processes that do nothing else.
 */
#include "bench.h"

#include <mpx.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { PYTHON_TIMES = 100000 };

/* In memory that is shared. */
static struct place {
	mpx_lock *lock;
	mpx_rlock *rlock;
	pthread_mutex_t plain, robust;
	sem_t semaphore;
	_Alignas(128) _Atomic uint32_t flag;
	_Alignas(128) uint64_t count; /* under the lock */
} * place;

#define LOCK(name, acquire, release)                                                               \
	static void name##_loop(size_t n)                                                          \
	{                                                                                          \
		for (size_t i = 0; i < n; i++) {                                                   \
			acquire;                                                                   \
			*(volatile uint64_t *)&place->count += 1;                                  \
			release;                                                                   \
		}                                                                                  \
	}                                                                                          \
	struct contender /* the semicolon's */

static void spin_flag(void)
{
	for (unsigned i = 0; atomic_exchange_explicit(&place->flag, 1, memory_order_acquire); i++)
		bench_relax(i);
}

LOCK(flag, spin_flag(), atomic_store_explicit(&place->flag, 0, memory_order_release));
LOCK(lock, bench_check(mpx_lock_acquire(place->lock, MPX_FOREVER) == 0),
     bench_check(mpx_lock_release(place->lock) == 0));
LOCK(rlock, bench_check(mpx_rlock_acquire(place->rlock, MPX_FOREVER) == 0),
     bench_check(mpx_rlock_release(place->rlock) == 0));
LOCK(plain, bench_check(pthread_mutex_lock(&place->plain) == 0),
     bench_check(pthread_mutex_unlock(&place->plain) == 0));
LOCK(robust, bench_check(pthread_mutex_lock(&place->robust) == 0),
     bench_check(pthread_mutex_unlock(&place->robust) == 0));
LOCK(semaphore, bench_check(sem_wait(&place->semaphore) == 0),
     bench_check(sem_post(&place->semaphore) == 0));

static const struct kind {
	const char *name;
	void (*loop)(size_t n);
} kinds[] = {
	{"libmpx", lock_loop},		{"libmpx RLock", rlock_loop},
	{"limit: exchange", flag_loop}, {"pthread mutex", plain_loop},
	{"robust mutex", robust_loop},	{"semaphore", semaphore_loop},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static double alone(size_t n, void *arg)
{
	const struct kind *kind = arg;
	double begin;

	place->count = 0;
	begin = bench_now();
	kind->loop(n);
	bench_check(place->count == n);
	return bench_now() - begin;
}

struct contest {
	const struct kind *kind;
	size_t n;
};

static void contend(int who, void *arg)
{
	const struct contest *c = arg;

	(void)who;
	c->kind->loop(c->n);
}

static double contended(size_t n, void *arg)
{
	struct contest c = {arg, (n + 1) / 2};
	double seconds;

	place->count = 0;
	seconds = bench_race(2, contend, &c);
	bench_check(isinf(seconds) || place->count == 2 * c.n);
	return seconds;
}

static double python(size_t n, void *arg)
{
	(void)arg;
	return bench_python("lock", n, 0);
}

static void make_locks(void)
{
	pthread_mutexattr_t attr;

	place = bench_share(sizeof *place);
	place->lock = mpx_lock_new();
	place->rlock = mpx_rlock_new();
	bench_check(place->lock && place->rlock);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&place->plain, &attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&place->robust, &attr);
	pthread_mutexattr_destroy(&attr);
	sem_init(&place->semaphore, 1, 1);
}

static void measure(const char *series, int processes, double (*run)(size_t n, void *arg))
{
	struct contender all[KINDS + 1] = {{0}};

	for (size_t i = 0; i < KINDS; i++)
		all[i] = (struct contender){kinds[i].name, run, (void *)(uintptr_t)&kinds[i], 0};
	if (processes == 1 && !bench_hasty())
		all[KINDS] = (struct contender){"Python Lock", python, NULL, PYTHON_TIMES};
	bench_compare(series, processes, all, KINDS + 1);
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "lock");
	make_locks();
	measure("uncontended", 1, alone);
	measure("contended", 2, contended);
	return bench_close();
}
