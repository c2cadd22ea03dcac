/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.connection.wait, by poll(2). Plain descriptors and connections are
 * ready when poll says so. Other objects are asked (wait.h); the descriptor that they
 * give tells when to ask again, and those that have none are asked at the end of
 * each slice of time.
 *
 * First everything is asked; only if nothing is ready are descriptors made, which are
 * gone again at the end.
 */
#include "ipc/wait.h"

#include "base/deadline.h"
#include "ipc/connection.h"
#include "ipc/queue.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 8, ON_STACK = 16 };

/* Between two looks at what has no descriptor. And how often thoroughly. */
#define LOOK_MIN INT64_C(1000000)
#define LOOK_MAX INT64_C(8000000)
#define THOROUGH_EVERY INT64_C(64000000)

struct item {
	void *object;
	const struct mpx__wait_kind *kind; /* NULL: what poll says is all */
	bool sure;			   /* its descriptor misses nothing */
	bool watched;			   /* leave it at the end */
};

struct wait {
	size_t n, polled; /* items; descriptors to be polled at once, at most */
	struct item *item;
	struct pollfd *poll; /* of each; fd -1: none */
	bool *ready;	     /* or NULL */
	bool any_unsure;
	int64_t look, thoroughly_at;
};

/* --- queues -------------------------------------------------------------------------- */

static int check_queue(const void *p)
{
	return mpx__object_is(p, sizeof(mpx_queue), MPX__QUEUE) ? 0 : EINVAL;
}

static bool queue_ready(void *p, bool thorough)
{
	mpx_queue *q = p;

	(void)thorough;
	return atomic_load(&q->closed) || mpx_queue_qsize(q) > 0;
}

static bool watch_queue(void *p, int *fd)
{
	*fd = mpx__queue_watch(p);
	return *fd >= 0;
}

static void settle_queue(void *p)
{
	mpx__queue_settle(p);
}

static void leave_queue(void *p)
{
	mpx__queue_leave(p);
}

static const struct mpx__wait_kind queue_kind = {
	check_queue, queue_ready, watch_queue, settle_queue, leave_queue,
};

/* --- kinds ------------------------------------------------------------------------------ */

static _Atomic(const struct mpx__wait_kind *) kinds[KINDS] = {&queue_kind};

void mpx__wait_know(const struct mpx__wait_kind *kind)
{
	for (int i = 0; i < KINDS; i++) {
		const struct mpx__wait_kind *there = NULL;

		if (atomic_compare_exchange_strong(&kinds[i], &there, kind) || there == kind)
			return;
	}
}

/* The kind of an object; NULL with an errno value if it cannot be waited for. */
static const struct mpx__wait_kind *kind_of(const void *object, int *error)
{
	const struct mpx__wait_kind *kind;

	*error = EINVAL;
	for (int i = 0; i < KINDS && *error == EINVAL && (kind = atomic_load(&kinds[i])); i++) {
		*error = kind->check(object);
		if (*error == 0)
			return kind;
	}
	return NULL;
}

/* --- items ------------------------------------------------------------------------------- */

static int take_item(const mpx_waitable *from, struct item *item, struct pollfd *p)
{
	int error = 0;

	memset(item, 0, sizeof *item);
	item->sure = true;
	*p = (struct pollfd){.fd = from->fd, .events = POLLIN};
	if (!from->object)
		return from->fd < 0 ? EBADF : 0;
	if (mpx__is_connection(from->object)) {
		p->fd = mpx__connection_receiver(from->object);
		return p->fd < 0 ? errno : 0;
	}
	p->fd = -1;
	item->object = (void *)(uintptr_t)from->object;
	item->kind = kind_of(from->object, &error);
	return error;
}

static bool is_ready(struct item *item, bool thorough)
{
	return item->kind->ready(item->object, thorough);
}

static void watch(struct wait *w)
{
	w->any_unsure = false;
	for (size_t i = 0; i < w->n; i++) {
		struct item *item = &w->item[i];

		if (!item->kind)
			continue;
		item->sure = false;
		if (item->kind->watch) {
			item->sure = item->kind->watch(item->object, &w->poll[i].fd);
			item->watched = w->poll[i].fd >= 0;
		}
		w->any_unsure = w->any_unsure || !item->sure;
	}
}

static void leave(struct wait *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->item[i].watched && w->item[i].kind->leave)
			w->item[i].kind->leave(w->item[i].object);
}

/* --- looking ------------------------------------------------------------------------------ */

/* poll refuses more descriptors than the process may have: then by portions. How many
 * are ready, -1. */
static int poll_all(struct wait *w, int64_t deadline)
{
	int total = 0;

	for (size_t i = 0; i < w->n; i += w->polled) {
		size_t some = w->n - i < w->polled ? w->n - i : w->polled;
		int n = mpx__os_poll(w->poll + i, some, some == w->n ? deadline : 0);

		if (n < 0 && errno == EINVAL && some > 1) {
			w->polled = (some + 1) / 2;
			return poll_all(w, deadline);
		}
		if (n < 0)
			return -1;
		total += n;
	}
	return total;
}

/* Until something may be ready, or the deadline, or it is time to look again. */
static int sleep_until(struct wait *w, int64_t deadline)
{
	int64_t end = deadline;
	int n;

	if (w->any_unsure || w->polled < w->n) {
		end = mpx__os_now() + w->look;
		end = end < deadline ? end : deadline;
		if (w->look < LOOK_MAX)
			w->look *= 2;
	}
	n = w->n ? poll_all(w, end) : 0;
	if (n == 0 && (w->polled < w->n || w->n == 0)) {
		mpx__os_sleep(end - mpx__os_now());
		n = poll_all(w, 0);
	}
	return n;
}

/* Asks those of whom poll said something, and those of whom it may not. all: everybody,
 * thoroughly. Sets *unsettled if somebody's descriptor went off too early. */
static int look(struct wait *w, bool all, bool *unsettled)
{
	int64_t now = mpx__os_now();
	bool thorough = all || now >= w->thoroughly_at;
	int n = 0;

	if (thorough)
		w->thoroughly_at = now + THOROUGH_EVERY;
	for (size_t i = 0; i < w->n; i++) {
		struct item *item = &w->item[i];
		bool rang = w->poll[i].revents != 0;
		bool ready = rang;

		if (w->poll[i].revents & POLLNVAL)
			return errno = EBADF, -1;
		if (item->kind)
			ready = (rang || all || !item->sure) && is_ready(item, thorough);
		if (rang && !ready && item->kind->settle)
			item->kind->settle(item->object);
		else if (rang && !ready)
			*unsettled = true;
		if (w->ready)
			w->ready[i] = ready;
		n += ready;
	}
	return n;
}

/* How many; -1 with errno. */
static int wait_for(struct wait *w, int64_t deadline)
{
	bool unsettled = false;
	int n;

	if (poll_all(w, 0) < 0)
		return -1;
	n = look(w, true, &unsettled);
	if (n == 0 && !mpx__passed(deadline))
		watch(w);
	while (n == 0 && !mpx__passed(deadline)) {
		unsettled = false;
		if (sleep_until(w, deadline) < 0)
			return -1;
		n = look(w, mpx__passed(deadline), &unsettled);
		if (n == 0 && unsettled)
			mpx__os_sleep(LOOK_MIN);
	}
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0 ? n : -1;
}

static int wait_in(struct wait *w, const mpx_waitable *set, int64_t deadline)
{
	int n, saved;

	for (size_t i = 0; i < w->n; i++) {
		int error = take_item(&set[i], &w->item[i], &w->poll[i]);

		if (error)
			return errno = error, -1;
	}
	n = wait_for(w, deadline);
	saved = errno;
	leave(w);
	errno = saved;
	return n;
}

int mpx_wait(const mpx_waitable *set, size_t n, bool *ready, double timeout)
{
	struct item items[ON_STACK];
	struct pollfd polls[ON_STACK];
	struct wait w = {.n = n, .polled = n, .item = items, .poll = polls, .ready = ready};
	int64_t deadline;
	int count = -1, error = mpx__deadline(timeout, &deadline);

	if (ready && n)
		memset(ready, 0, n * sizeof *ready);
	if (error || (!set && n) || n > INT_MAX || (n == 0 && deadline == INT64_MAX))
		return errno = EINVAL, -1;
	w.look = LOOK_MIN;
	if (n > ON_STACK) {
		w.item = calloc(n, sizeof *w.item);
		w.poll = calloc(n, sizeof *w.poll);
	}
	if (w.item && w.poll)
		count = wait_in(&w, set, deadline);
	else
		errno = ENOMEM;
	if (n > ON_STACK) {
		error = errno;
		free(w.item);
		free(w.poll);
		errno = error;
	}
	if (count < 0 && ready && n)
		memset(ready, 0, n * sizeof *ready);
	return count;
}
