/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/private.h"

#include <pthread.h>

enum { HOOKS = 8 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void (*hook[HOOKS])(void);

/* How often this thread has locked it. (A recursive mutex would remember the
 * thread's number, which is another one after fork.) */
static _Thread_local unsigned depth;

static void in_child(void)
{
	depth = 0;
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < HOOKS && hook[i]; i++)
		hook[i]();
}

static void init(void)
{
	pthread_atfork(mpx__private_lock, mpx__private_unlock, in_child);
}

/* Before main: what was registered first is locked last, and so the program's handlers take
 * its locks before ours, as its threads do that call us while they hold them. */
__attribute__((constructor)) static void init_before_main(void)
{
	pthread_once(&once, init);
}

void mpx__private_lock(void)
{
	pthread_once(&once, init);
	if (depth++ == 0)
		pthread_mutex_lock(&mutex);
}

void mpx__private_unlock(void)
{
	if (--depth == 0)
		pthread_mutex_unlock(&mutex);
}

void mpx__private_at_fork(void (*fn)(void))
{
	mpx__private_lock();
	for (int i = 0; i < HOOKS && hook[i] != fn; i++) {
		if (!hook[i]) {
			hook[i] = fn;
			break;
		}
	}
	mpx__private_unlock();
}
