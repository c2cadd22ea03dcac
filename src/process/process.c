/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Process: the handle. It stands in the family's heap so that a
 * wrong pointer is told from a right one; only its parent uses it.
 */
#include "process/process.h"

#include "base/deadline.h"
#include "base/log.h"
#include "base/options.h"
#include "base/private.h"
#include "ipc/wait.h"
#include "process/child.h"
#include "shm/family.h"
#include "shm/object.h"

#include <errno.h>
#include <mpx/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 128 };

struct mpx_process {
	struct mpx__object object;
	uint32_t parent; /* peer id of the process that made it */
	unsigned users;	 /* the program, and end_children; under mpx__private_lock */
	mpx_target *target;
	void *args;
	bool daemon, orphan;
	_Atomic bool starting; /* once for all, unless the fork failed */
	_Atomic bool started;
	_Atomic bool told;	  /* the log, of its end */
	struct mpx__child *child; /* in private memory, the parent's */
	uint32_t id;		  /* peer id; of current and parent only */
	pid_t pid;
	char identity[NAME_MAX_BYTES]; /* "1", "1:1"; Python's _identity */
	char *name;		       /* private: the child has its copy of it */
};

/* The calling process, and the one that started it. Of these, only pid, name and
 * daemon are used, and of the parent its peer id. */
static char main_name[NAME_MAX_BYTES] = "MainProcess";
static mpx_process current = {.name = main_name};
static mpx_process parent;
static _Atomic unsigned counter; /* of processes made here */

static int fail(int error)
{
	errno = error;
	return -1;
}

static bool is_process(const mpx_process *p)
{
	return p == &current || (p == &parent && parent.id) ||
	       mpx__object_is(p, sizeof *p, MPX__PROCESS);
}

/* The handle's own parent, after start; otherwise -1 with errno. */
static int must_be_started_child(mpx_process *p)
{
	if (!is_process(p))
		return -1;
	if (p == &current || p == &parent || p->parent != mpx__self())
		return fail(EPERM);
	return p->started ? 0 : fail(ECHILD);
}

/* --- mpx_wait ------------------------------------------------------------------------- */

static int check_waitable(const void *object)
{
	const mpx_process *p = object;

	if (p == &current || !is_process(p))
		return EINVAL;
	if (p == &parent)
		return 0;
	if (p->parent != mpx__self())
		return EPERM;
	return p->started ? 0 : ECHILD;
}

static bool has_ended(void *object, bool thorough)
{
	mpx_process *p = object;

	(void)thorough;
	return p == &parent ? mpx__peer_dead(parent.id) : mpx__child_poll(p->child);
}

/* A link misses the end of a child whose own children hold it. */
static bool watch_child(void *object, int *fd)
{
	mpx_process *p = object;

	*fd = p == &parent ? -1 : mpx__child_sentinel(p->child);
	return *fd >= 0 && p->child->watch >= 0;
}

static const struct mpx__wait_kind wait_kind = {
	.check = check_waitable,
	.ready = has_ended,
	.watch = watch_child,
};

__attribute__((constructor)) static void make_known(void)
{
	mpx__wait_know(&wait_kind);
}

/* --- its end -------------------------------------------------------------------------- */

/* Has our child ended? The log is told once. Under no lock. */
static bool poll_and_tell(mpx_process *p)
{
	struct mpx__child *c = p->child;

	if (!mpx__child_poll(c))
		return false;
	if (!mpx_log_enabled(MPX_LOG_DEBUG) || atomic_exchange(&p->told, true))
		return true;
	if (c->known)
		mpx_log(MPX_LOG_DEBUG, "process %s (pid %d) has ended, exitcode %d", p->name,
			(int)c->pid, c->status);
	else
		mpx_log(MPX_LOG_DEBUG, "process %s (pid %d) has ended", p->name, (int)c->pid);
	return true;
}

/* --- making and starting -------------------------------------------------------------- */

static int choose_names(mpx_process *p, const char *name)
{
	unsigned n = atomic_fetch_add(&counter, 1) + 1;
	char automatic[NAME_MAX_BYTES];

	snprintf(p->identity, sizeof p->identity, "%.100s%s%u", current.identity,
		 current.identity[0] ? ":" : "", n);
	snprintf(automatic, sizeof automatic, "Process-%.110s", p->identity);
	p->name = strdup(name ? name : automatic);
	return p->name ? 0 : -1;
}

mpx_process *mpx_process_create(const mpx_process_options *options)
{
	mpx_process_options o = {0};
	mpx_process *p;

	if (!mpx__options(&o, sizeof o, options) || !o.target) {
		errno = EINVAL;
		return NULL;
	}
	p = mpx__object_new_own(sizeof *p, MPX__PROCESS);
	if (!p)
		return NULL;
	p->parent = mpx__self();
	p->users = 1;
	p->target = o.target;
	p->args = o.args;
	p->daemon = o.daemon;
	p->orphan = o.orphan;
	p->child = mpx__child_new();
	if (!p->child || choose_names(p, o.name) != 0) {
		mpx__child_free(p->child);
		mpx__object_free_own(p);
		errno = ENOMEM;
		return NULL;
	}
	p->child->owner = p;
	return p;
}

/* Who was current in the process that forked is the parent. */
static void adopt_parent(uint32_t id)
{
	parent = current;
	parent.id = id;
	parent.pid = getppid();
}

static void end_children(void);

static int run(void *arg)
{
	mpx_process *p = arg;
	mpx_target *target = p->target;
	void *args = p->args;

	adopt_parent(p->parent);
	current = *p;
	current.pid = getpid();
	atomic_store(&counter, 0);
	mpx__child_at_exit(end_children);
	mpx__log_process(current.name);
	mpx_log(MPX_LOG_INFO, "child process began");
	return target(args);
}

int mpx_process_start(mpx_process *p)
{
	static _Atomic int registered; /* children are ended by mpx__child_exit instead */
	mpx_process copy;
	int error;

	if (!is_process(p))
		return -1;
	if (p == &current || p == &parent || p->parent != mpx__self())
		return fail(EPERM);
	if (atomic_exchange(&p->starting, true))
		return fail(EBUSY);
	if (!atomic_exchange(&registered, 1) && !parent.id)
		atexit(end_children);
	mpx_active_children(NULL, 0); /* reaps, as Python's start does */
	copy = *p; /* an orphan may come to itself when we are dead and p is freed */
	error = mpx__child_start(p->child, run, &copy, p->orphan);
	if (error) {
		atomic_store(&p->starting, false);
		return fail(error);
	}
	p->pid = p->child->pid;
	atomic_store(&p->started, true);
	mpx_log(MPX_LOG_DEBUG, "process %s started, pid %d", p->name, (int)p->pid);
	return 0;
}

/* --- waiting, asking, signalling ---------------------------------------------------------- */

static int join_parent(int64_t deadline)
{
	struct mpx__slice slice = {0};
	int watch = mpx__os_watch(parent.pid);
	int error = 0;

	while (!mpx__peer_dead(parent.id)) {
		int64_t end = mpx__slice_end(&slice, deadline);

		if (mpx__passed(deadline)) {
			error = ETIMEDOUT;
			break;
		}
		if (watch >= 0)
			mpx__os_poll_readable(watch, end);
		else
			mpx__os_sleep(end - mpx__os_now());
	}
	if (watch >= 0)
		close(watch);
	return error ? fail(error) : 0;
}

int mpx_process_join(mpx_process *p, double timeout)
{
	int64_t deadline;
	int error = mpx__deadline(timeout, &deadline);

	if (is_process(p) && error)
		return fail(error);
	if (p == &parent && parent.id)
		return join_parent(deadline);
	if (must_be_started_child(p) != 0)
		return -1;
	error = mpx__child_wait(p->child, deadline);
	if (error)
		return fail(error);
	poll_and_tell(p);
	return 0;
}

bool mpx_process_is_alive(mpx_process *p)
{
	if (!is_process(p))
		return false;
	if (p == &current)
		return true;
	if (p == &parent)
		return !mpx__peer_dead(parent.id);
	if (p->parent != mpx__self()) {
		errno = EPERM;
		return false;
	}
	return p->started && !poll_and_tell(p);
}

int mpx_process_exitcode(mpx_process *p, int *code)
{
	if (!code)
		return fail(EINVAL);
	if (must_be_started_child(p) != 0)
		return -1;
	if (!poll_and_tell(p))
		return fail(EAGAIN);
	if (!p->child->known)
		return fail(ECHILD);
	*code = p->child->status;
	return 0;
}

pid_t mpx_process_pid(const mpx_process *p)
{
	if (!is_process(p))
		return -1;
	if (p == &current)
		return getpid();
	return p == &parent || p->started ? p->pid : fail(ECHILD);
}

const char *mpx_process_name(const mpx_process *p)
{
	return is_process(p) ? p->name : NULL;
}

bool mpx_process_daemon(const mpx_process *p)
{
	return is_process(p) && p->daemon;
}

int mpx_process_sentinel(mpx_process *p)
{
	if (p == &current)
		return fail(ENOTSUP);
	if (must_be_started_child(p) != 0)
		return -1;
	return mpx__child_sentinel(p->child);
}

static int send_signal(mpx_process *p, int signal)
{
	int error;

	if (must_be_started_child(p) != 0)
		return -1;
	error = mpx__child_signal(p->child, signal);
	return error ? fail(error) : 0;
}

int mpx_process_terminate(mpx_process *p)
{
	return send_signal(p, SIGTERM);
}

int mpx_process_kill(mpx_process *p)
{
	return send_signal(p, SIGKILL);
}

int mpx_process_interrupt(mpx_process *p)
{
	return send_signal(p, SIGINT);
}

/* The last user frees it. */
static void let_go(mpx_process *p)
{
	bool last;

	mpx__private_lock();
	last = --p->users == 0;
	if (last)
		mpx__child_free(p->child); /* nobody can find it any more */
	mpx__private_unlock();
	if (!last)
		return;
	free(p->name);
	mpx__object_free_own(p);
}

int mpx_process_free(mpx_process *p)
{
	if (!p)
		return 0;
	if (!is_process(p))
		return -1;
	if (p == &current || p == &parent)
		return fail(EINVAL);
	if (p->parent != mpx__self())
		return fail(EPERM);
	if (p->started && !poll_and_tell(p))
		return fail(EBUSY);
	let_go(p);
	return 0;
}

/* --- this process and its children ----------------------------------------------------------- */

mpx_process *mpx_current_process(void)
{
	mpx__family();
	return &current;
}

mpx_process *mpx_parent_process(void)
{
	return parent.id ? &parent : NULL;
}

struct living {
	mpx_process **list;
	size_t max, n;
};

static void count_living(struct mpx__child *c, void *arg)
{
	struct living *l = arg;

	if (!c->owner || mpx__child_poll(c))
		return;
	if (l->n < l->max)
		l->list[l->n] = c->owner;
	l->n++;
}

size_t mpx_active_children(mpx_process **list, size_t max)
{
	struct living l = {list, list ? max : 0, 0};

	mpx__child_each(count_living, &l);
	return l.n;
}

int mpx_cpu_count(void)
{
	const char *wish = mpx__os_getenv("MPX_CPU_COUNT");
	char *end;
	long n;

	if (wish) {
		n = strtol(wish, &end, 10);
		if (end != wish && *end == '\0' && n >= 1 && n <= 65536)
			return (int)n;
	}
	return mpx__os_cpu_count();
}

void mpx__process_become(const char *name, int number, uint32_t parent_id)
{
	static char own_name[NAME_MAX_BYTES];

	if (parent_id)
		adopt_parent(parent_id);
	snprintf(own_name, sizeof own_name, "%s-%d", name, number);
	current.name = own_name;
	snprintf(current.identity, sizeof current.identity, "%d", number);
	current.daemon = true;
	atomic_store(&counter, 0);
	mpx__child_at_exit(end_children);
	mpx__log_process(current.name);
	mpx_log(MPX_LOG_INFO, "child process began");
}

/* --- the end ------------------------------------------------------------------------------- */

static void terminate_daemon(struct mpx__child *c, void *unused)
{
	mpx_process *p = c->owner;

	(void)unused;
	if (p && p->daemon)
		mpx__child_signal(c, SIGTERM);
}

/* A child that has to be waited for: *arg, of which the caller is a user then. */
static void find_unfinished(struct mpx__child *c, void *arg)
{
	mpx_process **found = arg, *p = c->owner;

	if (*found || !p || p->orphan || mpx__child_poll(c))
		return;
	p->users++;
	*found = p;
}

/* What Python does when a process ends normally: daemons get SIGTERM, everybody
 * else is joined. (A daemon that will not go gets SIGKILL after a second.) Meanwhile
 * another thread may free what has ended. */
static void end_children(void)
{
	mpx_process *p;

	mpx__child_each(terminate_daemon, NULL);
	for (;;) {
		p = NULL;
		mpx__child_each(find_unfinished, &p);
		if (!p)
			return;
		if (p->daemon && mpx__child_wait(p->child, mpx__os_now() + 1000000000) != 0)
			mpx__child_signal(p->child, SIGKILL);
		mpx__child_wait(p->child, INT64_MAX);
		poll_and_tell(p);
		let_go(p);
	}
}
