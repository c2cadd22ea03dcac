/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "process/child.h"

#include "base/deadline.h"
#include "base/log.h"
#include "base/private.h"
#include "shm/family.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Nanoseconds, at most: from the end of a process's descriptors to its own; that the exit
 * waits for a FILE that another thread is in. */
enum { MOMENT = 50000000 };
#define FLUSH_TIME INT64_C(5000000000)

/* This process's children, and all that is in them, under mpx__private_lock. */
static struct mpx__child *children;
static void (*at_exit)(void);

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A new process has no children, and must not keep what tells of its parent's. */
static void forget_children(void)
{
	for (; children; children = children->next) {
		int watch = children->watch, link = children->link;

		close_if_open(&watch);
		close_if_open(&link);
	}
}

/* --- the child's side ------------------------------------------------------------- */

static _Noreturn void leave(int code)
{
	mpx__peer_exit(code);
	_exit(code);
}

static _Atomic uint32_t flushed;

static void *leave_in_time(void *code)
{
	int64_t end = mpx__os_now() + FLUSH_TIME;

	while (!atomic_load(&flushed)) {
		if (mpx__passed(end))
			leave((int)(intptr_t)code);
		mpx__os_wait(&flushed, 0, end);
	}
	return NULL;
}

/* While a thread looks at the clock that no handler of the program runs in. Without it, the
 * flush may last. */
static void flush_in_time(int code)
{
	sigset_t all, mask;
	pthread_t thread;
	bool watched;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	watched = pthread_create(&thread, NULL, leave_in_time, (void *)(intptr_t)code) == 0;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	fflush(NULL);
	atomic_store(&flushed, 1);
	mpx__os_wake(&flushed, 1);
	if (watched)
		pthread_join(thread, NULL);
}

static void flush_unless_in_use(FILE *file)
{
	if (ftrylockfile(file) != 0)
		return;
	fflush(file);
	funlockfile(file);
}

/* A FILE that another thread is blocked in cannot be flushed, nor what fflush(NULL) has in
 * store after it: with threads, the standard ones come first, as long as it takes. */
static _Noreturn void flush_and_leave(int code)
{
	if (mpx__os_single_threaded()) {
		fflush(NULL);
	} else {
		flush_unless_in_use(stdout);
		flush_unless_in_use(stderr);
		flush_in_time(code);
	}
	leave(code);
}

_Noreturn void mpx__child_exit(int code)
{
	if (at_exit)
		at_exit();
	mpx_log(MPX_LOG_INFO, "process exiting with exitcode %d", code & 0xff);
	flush_and_leave(code);
}

void mpx__child_at_exit(void (*fn)(void))
{
	at_exit = fn;
}

static void exit_first(int code)
{
	mpx__child_exit(code);
}

struct birth {
	uint32_t id;
	pid_t parent;
	int link[2]; /* parent's end, child's end */
	int spare;   /* keeps a descriptor free for the watch; or -1 */
	bool orphan;
	sigset_t mask; /* of the thread that forks */
};

static _Noreturn void child_main(const struct birth *b, int (*run)(void *arg), void *arg)
{
	if (!mpx__peer_begin(b->id))
		_exit(127); /* nobody waits for us any more */
	if (b->link[0] >= 0)
		close(b->link[0]);
	if (b->spare >= 0)
		close(b->spare);
	if (!b->orphan)
		mpx__os_die_with_parent(b->parent, b->link[1]);
	mpx__os_stdin_null();
	mpx__os_at_exit_first(exit_first);
	pthread_sigmask(SIG_SETMASK, &b->mask, NULL);
	mpx__child_exit(run(arg));
}

/* --- the parent's side -------------------------------------------------------------- */

/* What the parent has written so far is the parent's. A FILE that another thread is
 * blocked in cannot be flushed without waiting for it: with threads, only the
 * standard ones are (as Python does). */
static void flush_stdio(void)
{
	if (mpx__os_single_threaded()) {
		fflush(NULL);
	} else {
		fflush(stdout);
		fflush(stderr);
	}
}

static bool has_watches(void)
{
	static _Atomic int known; /* 1 yes, -1 no */

	if (known == 0) {
		int fd = mpx__os_watch(getpid());

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			return true; /* start fails for that reason */
		known = fd >= 0 ? 1 : -1;
		close_if_open(&fd);
	}
	return known > 0;
}

static void undo(struct birth *b)
{
	close_if_open(&b->link[0]);
	close_if_open(&b->link[1]);
	close_if_open(&b->spare);
	mpx__peer_cancel(b->id);
}

/* The slot, the link and the sleeping signals of a child; 0 or an errno value. */
static int prepare(struct birth *b, bool orphan)
{
	int error = 0;

	b->link[0] = b->link[1] = b->spare = -1;
	b->parent = getpid();
	b->orphan = orphan;
	b->id = mpx__peer_reserve();
	if (!b->id)
		return errno;
	if (has_watches() && (b->spare = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0 &&
	    (errno == EMFILE || errno == ENFILE))
		error = errno;
	if (!error && ((!orphan && mpx__os_needs_link()) || !has_watches()) &&
	    mpx__os_socketpair(b->link) != 0)
		error = errno;
	if (error)
		undo(b);
	return error;
}

/* What tells of the child's end, if the link does not. A child that is gone, and was
 * reaped by somebody else, has none: a link whose other end is closed will do. */
static void open_watch(struct mpx__child *c)
{
	int pair[2];

	c->watch = has_watches() ? mpx__os_watch(c->pid) : -1;
	if (c->watch < 0 && c->link < 0 && errno == ESRCH && mpx__os_socketpair(pair) == 0) {
		c->link = pair[0];
		close(pair[1]);
	}
}

/* --- the first thread --------------------------------------------------------------- */

static bool reap(struct mpx__child *c);

static bool has_bound(void)
{
	struct mpx__child *c = children;

	while (c && (!c->bound || reap(c)))
		c = c->next;
	return c;
}

/* At its pthread_exit: children without a link would die with it (platform.h), while the
 * process lives on in other threads. So it stays for as long as both are there. */
static void stay(void *unused)
{
	struct mpx__slice slice = {0};
	bool bound = true;

	(void)unused;
	while (bound && !mpx__os_single_threaded()) {
		mpx__os_sleep(mpx__slice_end(&slice, INT64_MAX) - mpx__os_now());
		mpx__private_lock();
		bound = has_bound();
		mpx__private_unlock();
	}
}

static pthread_key_t first_thread;

static void make_key(void)
{
	pthread_key_create(&first_thread, stay);
}

static void bind_to_this_thread(struct mpx__child *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	c->bound = true;
	pthread_once(&once, make_key);
	pthread_setspecific(first_thread, &first_thread);
}

/* --- start and end ------------------------------------------------------------------ */

/* Under the lock. */
static int start(struct mpx__child *c, int (*run)(void *arg), void *arg, bool orphan)
{
	struct birth b;
	sigset_t all;
	pid_t pid;
	int error = prepare(&b, orphan);

	if (error)
		return error;
	/* No handler of the program may run in the child before it is itself. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &b.mask);
	pid = fork();
	if (pid == 0)
		child_main(&b, run, arg);
	error = errno;
	pthread_sigmask(SIG_SETMASK, &b.mask, NULL);
	if (pid < 0) {
		undo(&b);
		return error;
	}
	mpx__peer_set_pid(b.id, pid);
	c->id = b.id;
	c->pid = pid;
	close_if_open(&b.spare);
	close_if_open(&b.link[1]);
	c->link = b.link[0];
	open_watch(c);
	c->left = c->ended = c->known = c->bound = false;
	if (!orphan && b.link[0] < 0)
		bind_to_this_thread(c);
	c->next = children;
	children = c;
	return 0;
}

int mpx__child_start(struct mpx__child *c, int (*run)(void *arg), void *arg, bool orphan)
{
	int error;

	if (!mpx__family())
		return errno;
	mpx__private_at_fork(forget_children);
	flush_stdio();
	mpx__private_lock();
	error = start(c, run, arg, orphan);
	mpx__private_unlock();
	return error;
}

/* A process closes its descriptors a moment before it has ended: who has seen the sentinel
 * is not told that it is alive. Once; it may also have closed them and live on. */
static int reap_soon(struct mpx__child *c)
{
	int64_t end;
	int r = 0;

	if (c->watch >= 0 || c->link < 0 || c->left || !mpx__os_poll_readable(c->link, 0))
		return 0;
	end = mpx__os_now() + MOMENT;
	while (r == 0 && !mpx__passed(end)) {
		mpx__os_sleep(MOMENT / 100);
		r = mpx__os_reap(c->pid, c->watch, &c->status);
	}
	c->left = r == 0;
	return r;
}

/* Under the lock. */
static bool reap(struct mpx__child *c)
{
	int r;

	if (c->ended)
		return true;
	r = mpx__os_reap(c->pid, c->watch, &c->status);
	if (r == 0)
		r = reap_soon(c);
	if (r == 0)
		return false;
	/* If somebody else's wait took the status, the child may have left it. */
	c->known = r == 1 || mpx__peer_exited(c->id, &c->status);
	c->ended = true;
	mpx__peer_bury(c->id);
	return true;
}

bool mpx__child_poll(struct mpx__child *c)
{
	bool ended;

	mpx__private_lock();
	ended = reap(c);
	mpx__private_unlock();
	return ended;
}

int mpx__child_wait(struct mpx__child *c, int64_t deadline)
{
	struct mpx__slice slice = {0};
	bool pause = false;

	/* In slices: a grandchild may hold the end of a link, and the program may have closed
	 * what tells us, and have another file there. If that is readable, it is left alone
	 * for a slice. */
	for (;;) {
		int fd = c->watch >= 0 ? c->watch : c->link;

		if (mpx__child_poll(c))
			return 0;
		if (mpx__passed(deadline))
			return ETIMEDOUT;
		pause = mpx__os_poll_readable(pause ? -1 : fd, mpx__slice_end(&slice, deadline));
	}
}

int mpx__child_signal(struct mpx__child *c, int signal)
{
	int error = 0;

	mpx__private_lock();
	if (!reap(c) && mpx__os_signal(c->pid, c->watch, signal) != 0)
		error = errno == ESRCH ? 0 : errno;
	mpx__private_unlock();
	return error;
}

int mpx__child_sentinel(struct mpx__child *c)
{
	mpx__private_lock();
	if (c->watch < 0 && c->link < 0) /* no descriptor was to be had for it so far */
		open_watch(c);
	mpx__private_unlock();
	return c->watch >= 0 ? c->watch : c->link;
}

struct mpx__child *mpx__child_new(void)
{
	struct mpx__child *c = calloc(1, sizeof *c);

	if (c)
		c->watch = c->link = -1;
	return c;
}

void mpx__child_free(struct mpx__child *c)
{
	struct mpx__child **place;

	if (!c)
		return;
	mpx__private_lock();
	for (place = &children; *place && *place != c; place = &(*place)->next)
		;
	if (*place)
		*place = c->next;
	close_if_open(&c->watch);
	close_if_open(&c->link);
	mpx__private_unlock();
	free(c);
}

void mpx__child_each(void (*fn)(struct mpx__child *c, void *arg), void *arg)
{
	struct mpx__child *c, *next;

	mpx__private_lock();
	for (c = children; c; c = next) {
		next = c->next;
		fn(c, arg);
	}
	mpx__private_unlock();
}
