/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * arguments_objects.h - one object of each type, for arguments.c: good where it
 * belongs, wrong everywhere else, and freed wrong everywhere. For children.
 */
#ifndef ARGUMENTS_OBJECTS_H
#define ARGUMENTS_OBJECTS_H

#include "arguments.h"

static void *a_lock(void)
{
	return mpx_lock_new();
}

static void *an_rlock(void)
{
	return mpx_rlock_new();
}

static void *a_semaphore(void)
{
	return mpx_semaphore_new(1);
}

static void *a_condition(void)
{
	return mpx_condition_new(NULL);
}

static void *an_event(void)
{
	return mpx_event_new();
}

static void *a_barrier(void)
{
	return mpx_barrier_new(.parties = 2);
}

static void *a_value(void)
{
	return mpx_value_new('d', 1);
}

static void *an_array(void)
{
	return mpx_array_new('i', 100000, NULL);
}

static void *a_queue(void)
{
	return mpx_queue_new();
}

static void *a_process(void)
{
	return mpx_process_new(.target = no_target);
}

static void free_process(void *p)
{
	child_check(mpx_process_free(p) == 0);
}

static mpx_pool *pool; /* the one below, which those behind it need */

static void *a_pool(void)
{
	return pool = mpx_pool_new(.processes = 1);
}

static mpx_future *future; /* likewise; a result */

static void *a_result(void)
{
	return future = mpx_pool_apply_async(pool, no_task, NULL, 0, 0, NULL);
}

static void *an_imap(void)
{
	return mpx_pool_imap(pool, no_task, NULL, 0, 1, 0, NULL);
}

static void *an_as_completed(void)
{
	return mpx_as_completed_new(&future, 1);
}

static void *a_connection(void)
{
	mpx_connection *end[2];
	if (mpx_pipe(end, true) != 0)
		return NULL;
	child_check(mpx_connection_close(end[1]) == 0);
	return end[0];
}

static void free_connection(void *c)
{
	child_check(mpx_connection_close(c) == 0);
}

static void *a_segment(void)
{
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, 100);
	child_check(m && mpx_shared_memory_unlink(m) == 0);
	return m;
}

static void *a_list(void)
{
	const mpx_shareable_item one = mpx_shareable_int(1);
	mpx_shareable_list *l = mpx_shareable_list_create(&one, 1, NULL);
	child_check(l && mpx_shareable_list_unlink(l) == 0);
	return l;
}

#define FREE(type)                                                                                 \
	static void free_##type(void *x)                                                           \
	{                                                                                          \
		mpx_##type##_free(x);                                                              \
	}
FREE(lock)
FREE(rlock)
FREE(semaphore)
FREE(condition)
FREE(event)
FREE(barrier)
FREE(value)
FREE(array)
FREE(queue)
FREE(pool)
FREE(result)
FREE(imap)
FREE(as_completed)
FREE(shared_memory)
FREE(shareable_list)

/* Made in this order, freed in the other one. */
static const struct {
	const char *type;
	void *(*make)(void);
	void (*free)(void *);
} objects[] = {
	{"mpx_lock", a_lock, free_lock},
	{"mpx_rlock", an_rlock, free_rlock},
	{"mpx_semaphore", a_semaphore, free_semaphore},
	{"mpx_condition", a_condition, free_condition},
	{"mpx_event", an_event, free_event},
	{"mpx_barrier", a_barrier, free_barrier},
	{"mpx_value", a_value, free_value},
	{"mpx_array", an_array, free_array},
	{"mpx_queue", a_queue, free_queue},
	{"mpx_process", a_process, free_process},
	{"mpx_pool", a_pool, free_pool},
	{"mpx_result", a_result, free_result},
	{"mpx_imap", an_imap, free_imap},
	{"mpx_as_completed", an_as_completed, free_as_completed},
	{"mpx_connection", a_connection, free_connection},
	{"mpx_shared_memory", a_segment, free_shared_memory},
	{"mpx_shareable_list", a_list, free_shareable_list},
};
enum { OBJECTS = sizeof objects / sizeof *objects };

static void make_objects(void **object)
{
	for (int i = 0; i < OBJECTS; i++) {
		object[i] = objects[i].make();
		child_check(object[i] != NULL);
	}
}

static void free_objects(void **object)
{
	for (int i = OBJECTS - 1; i >= 0; i--)
		objects[i].free(object[i]);
}

#endif
