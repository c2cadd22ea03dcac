/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/private.h"

#include <pthread.h>

enum { HOOKS = 4 };

static pthread_mutex_t mutex;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void (*hook[HOOKS])(void);

static void init_mutex(void)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

/* The thread that holds the mutex has another number here: made anew. */
static void in_child(void)
{
	init_mutex();
	for (int i = 0; i < HOOKS && hook[i]; i++)
		hook[i]();
}

static void init(void)
{
	init_mutex();
	pthread_atfork(before_fork, after_fork, in_child);
}

void mpx__private_lock(void)
{
	pthread_once(&once, init);
	pthread_mutex_lock(&mutex);
}

void mpx__private_unlock(void)
{
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
