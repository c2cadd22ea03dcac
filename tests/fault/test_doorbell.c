/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Doorbells of queues (src/ipc/queue_poll.c) that are closed at a bad moment: while another
 * thread is about to ring its own, whose descriptor may be the program's by then; and while a
 * producer rings at an address that was good a moment ago.
 *
 * Seen to fail with, in src/ipc/queue_poll.c: look_again() that rings through the descriptor
 * that arm() saw, or does not look at the number; ring_watcher() that frees the entry of whoever
 * refuses, or of nobody.
 */
#define _GNU_SOURCE
#include "family.h"

#include "ipc/queue.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
	mpx_queue *q;
	atomic_bool inside, go;
	atomic_int fd;
};

static struct mpx__watcher *watcher_of(mpx_queue *q)
{
	return &q->watcher[0];
}

/* A producer that takes its time. */
static int stay_inside(void *arg)
{
	struct scene *s = arg;
	child_check(mpx__queue_guard_producers(s->q, 0) == 0);
	atomic_store(&s->inside, true);
	child_soon(atomic_load(&s->go));
	mpx__guard_release(&s->q->p.guard);
	return 0;
}

static int put_one(void *arg)
{
	struct scene *s = arg;
	return mpx_queue_put(s->q, "x", 1, SOON) != 0;
}

static struct scene *scene_new(void)
{
	struct scene *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	assert_non_null(s->q = mpx_queue_new());
	return s;
}

static void scene_free(struct scene *s)
{
	mpx_queue_free(s->q);
	mpx_free(s);
}

/* --- a descriptor that is another one by now ------------------------------------------------ */

static void *wait_for_it(void *arg)
{
	struct scene *s = arg;
	mpx_waitable w = mpx_waitable_of(s->q);
	child_fails(mpx_wait(&w, 1, NULL, 0.6), ETIMEDOUT);
	return NULL;
}

/* Arms, and finds the producer inside for as long as it is prepared to wait: a second. */
static void *get_it(void *arg)
{
	struct scene *s = arg;
	char byte;
	child_fails(mpx_queue_get(s->q, &byte, 1, 2), ETIMEDOUT);
	return NULL;
}

static void test_closed_by_another_thread(void **state)
{
	(void)state;
	struct scene *s = scene_new();
	int bell = dup(2), pair[2];
	pthread_t waits, gets;
	char byte;
	assert_true(bell >= 0);
	close(bell);
	assert_int_equal(pthread_create(&waits, NULL, wait_for_it, s), 0);
	assert_soon(atomic_load(&watcher_of(s->q)->armed) && !mpx__word_owner(&s->q->p.guard));
	pid_t pid = fork_child(stay_inside, s);
	assert_soon(atomic_load(&s->inside));
	assert_int_equal(pthread_create(&gets, NULL, get_it, s), 0);
	assert_int_equal(pthread_join(waits, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pair[0], bell);
	assert_int_equal(pthread_join(gets, NULL), 0);
	assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(pair[0]);
	close(pair[1]);
	atomic_store(&s->go, true);
	assert_int_equal(wait_child(pid), 0);
	scene_free(s);
}

/* --- an entry that is another one by now ---------------------------------------------------- */

static void test_refused_by_the_living(void **state)
{
	(void)state;
	struct scene *s = scene_new();
	struct mpx__watcher *w = watcher_of(s->q);
	int fd = mpx_queue_fileno(s->q);
	assert_true(fd >= 0);
	uint32_t me = atomic_load(&w->peer);
	uint64_t address = atomic_load(&w->address);
	/* What a producer may have seen of the entry before. */
	uint64_t before;
	int closed = mpx__os_bell_open(&before);
	assert_true(closed >= 0);
	close(closed);
	atomic_store(&w->address, before);
	assert_int_equal(run_child(put_one, s), 0);
	assert_int_equal(atomic_load(&w->peer), me);
	/* The next arming is good again. */
	atomic_store(&w->address, address);
	char byte;
	assert_int_equal(mpx_queue_get(s->q, &byte, 1, 0), 1);
	assert_fails(mpx_queue_get(s->q, &byte, 1, 0), ETIMEDOUT);
	assert_int_equal(mpx__os_poll_readable(fd, 0), 0);
	assert_int_equal(run_child(put_one, s), 0);
	assert_int_equal(mpx__os_poll_readable(fd, mpx__os_now() + INT64_C(30000000000)), 1);
	scene_free(s);
}

static int ask_and_die(void *arg)
{
	struct scene *s = arg;
	child_check(mpx_queue_fileno(s->q) >= 0);
	raise(SIGKILL);
	return 0;
}

static void test_refused_by_the_dead(void **state)
{
	(void)state;
	struct scene *s = scene_new();
	assert_int_equal(run_child(ask_and_die, s), -SIGKILL);
	assert_int_not_equal(atomic_load(&watcher_of(s->q)->peer), 0);
	assert_int_equal(run_child(put_one, s), 0);
#ifdef MPX_TEST_PLATFORM_LINUX /* elsewhere nobody refuses at once */
	assert_int_equal(atomic_load(&watcher_of(s->q)->peer), 0);
#endif
	scene_free(s);
}

static void *ask(void *arg)
{
	struct scene *s = arg;
	atomic_store(&s->fd, mpx_queue_fileno(s->q));
	return NULL;
}

/* By a producer that saw a number of the entry's last owner, which is the same by chance, and
 * has rung that one's bell. */
static void test_disarmed_by_chance(void **state)
{
	(void)state;
	struct scene *s = scene_new();
	pthread_t asks;
	pid_t pid = fork_child(stay_inside, s);
	assert_soon(atomic_load(&s->inside));
	assert_int_equal(pthread_create(&asks, NULL, ask, s), 0);
	assert_soon(atomic_load(&watcher_of(s->q)->armed));
	atomic_store(&watcher_of(s->q)->armed, 0);
	atomic_store(&s->go, true);
	assert_int_equal(pthread_join(asks, NULL), 0);
	assert_int_equal(mpx__os_poll_readable(atomic_load(&s->fd), 0), 1);
	assert_int_equal(wait_child(pid), 0);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_closed_by_another_thread),
		mpx_test(test_refused_by_the_living),
		mpx_test(test_refused_by_the_dead),
		mpx_test(test_disarmed_by_chance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
