/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#define _GNU_SOURCE
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

const char *const syscall_names[CALLS] = {
#define NAME(name) #name,
	SYSCALLS(NAME)
#undef NAME
};

/* What is to fail: set before the fork, so that children know it too. */
static struct {
	int name; /* -1: nothing */
	int error, where;
	unsigned from;
	bool persistent;
	pid_t parent;
} plan = {.name = -1};

static int lacking[CALLS]; /* errno value; 0: it is there */

/* Shared by the processes of one run. */
static _Atomic unsigned *counted;

/* What --wrap leaves as the real ones. */
#define WRAP(type, name, parameters)                                                               \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters

/* True: the call is to fail; errno is set. */
static bool fails(enum syscall_name name)
{
	unsigned n;
	if (lacking[name]) {
		errno = lacking[name];
		return true;
	}
	if (plan.name != (int)name ||
	    !(plan.where & (getpid() == plan.parent ? IN_PARENT : IN_CHILDREN)))
		return false;
	n = atomic_fetch_add(counted, 1) + 1;
	if (n < plan.from || (n > plan.from && !plan.persistent))
		return false;
	if (plan.error != SPURIOUS)
		errno = plan.error;
	return true;
}

static int result(void)
{
	return plan.error == SPURIOUS ? 0 : -1;
}

WRAP(pid_t, fork, (void))
{
	return fails(CALL_fork) ? -1 : __real_fork();
}

/* From the first moment: another thread may be about to start a program. */
static void is_closed_on_exec(int type)
{
	if (type & SOCK_CLOEXEC)
		return;
	fprintf(stderr, "a socket that programs inherit\n");
	abort();
}

WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]))
{
	if (fails(CALL_socketpair))
		return -1;
	is_closed_on_exec(type);
	return __real_socketpair(domain, type, protocol, fds);
}

WRAP(int, socket, (int domain, int type, int protocol))
{
	if (fails(CALL_socket))
		return -1;
	is_closed_on_exec(type);
	return __real_socket(domain, type, protocol);
}

WRAP(int, bind, (int fd, const struct sockaddr *name, socklen_t size))
{
	return fails(CALL_bind) ? -1 : __real_bind(fd, name, size);
}

WRAP(int, getsockname, (int fd, struct sockaddr *name, socklen_t *size))
{
	return fails(CALL_getsockname) ? -1 : __real_getsockname(fd, name, size);
}

WRAP(ssize_t, sendto,
     (int fd, const void *data, size_t size, int flags, const struct sockaddr *name, socklen_t len))
{
	return fails(CALL_sendto) ? -1 : __real_sendto(fd, data, size, flags, name, len);
}

WRAP(ssize_t, recv, (int fd, void *data, size_t size, int flags))
{
	return fails(CALL_recv) ? -1 : __real_recv(fd, data, size, flags);
}

WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags))
{
	return fails(CALL_sendmsg) ? -1 : __real_sendmsg(fd, msg, flags);
}

WRAP(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags))
{
	return fails(CALL_recvmsg) ? -1 : __real_recvmsg(fd, msg, flags);
}

WRAP(int, poll, (struct pollfd * fds, nfds_t n, int milliseconds))
{
	return fails(CALL_poll) ? result() : __real_poll(fds, n, milliseconds);
}

WRAP(int, open, (const char *path, int flags, ...))
{
	va_list args;
	int mode;
	va_start(args, flags);
	mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, int) : 0;
	va_end(args);
	if (strncmp(path, "/proc/", 6) == 0 ? fails(CALL_open_proc) || fails(CALL_open)
					    : fails(CALL_open))
		return -1;
	return __real_open(path, flags, mode);
}

WRAP(ssize_t, read, (int fd, void *data, size_t size))
{
	return fails(CALL_read) ? result() : __real_read(fd, data, size);
}

WRAP(int, dup2, (int from, int to))
{
	return fails(CALL_dup2) ? -1 : __real_dup2(from, to);
}

WRAP(int, prctl, (int option, ...))
{
	va_list args;
	unsigned long a[4];
	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	return fails(CALL_prctl) ? -1 : __real_prctl(option, a[0], a[1], a[2], a[3]);
}

WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset))
{
	if (fails(CALL_mmap))
		return MAP_FAILED;
	return __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(int, madvise, (void *at, size_t size, int advice))
{
	return fails(CALL_madvise) ? -1 : __real_madvise(at, size, advice);
}

WRAP(void *, malloc, (size_t size))
{
	return fails(CALL_malloc) ? NULL : __real_malloc(size);
}

WRAP(void *, calloc, (size_t n, size_t size))
{
	return fails(CALL_calloc) ? NULL : __real_calloc(n, size);
}

WRAP(char *, strdup, (const char *text))
{
	return fails(CALL_strdup) ? NULL : __real_strdup(text);
}

WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options))
{
	if ((int)type == P_PIDFD && fails(CALL_waitid_pidfd))
		return -1;
	return __real_waitid(type, id, info, options);
}

WRAP(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set))
{
	return fails(CALL_sched_getaffinity) ? -1 : __real_sched_getaffinity(pid, size, set);
}

WRAP(int, shm_open, (const char *name, int flags, mode_t mode))
{
	return fails(CALL_shm_open) ? -1 : __real_shm_open(name, flags, mode);
}

WRAP(int, ftruncate, (int fd, off_t size))
{
	return fails(CALL_ftruncate) ? -1 : __real_ftruncate(fd, size);
}

/* It returns what others leave in errno. */
WRAP(int, posix_fallocate, (int fd, off_t at, off_t size))
{
	return fails(CALL_posix_fallocate) ? errno : __real_posix_fallocate(fd, at, size);
}

WRAP(int, linkat, (int from_dir, const char *from, int to_dir, const char *to, int flags))
{
	return fails(CALL_linkat) ? -1 : __real_linkat(from_dir, from, to_dir, to, flags);
}

static int face_of(long number, long operation)
{
	if (number == SYS_pidfd_open)
		return CALL_pidfd_open;
	if (number == SYS_pidfd_send_signal)
		return CALL_pidfd_send_signal;
#ifdef SYS_futex_time64
	if (number == SYS_futex_time64)
		return operation == FUTEX_WAKE ? CALL_futex_wake : CALL_futex_wait;
#endif
#ifdef SYS_futex
	if (number == SYS_futex)
		return operation == FUTEX_WAKE ? CALL_futex_wake : CALL_futex_wait;
#endif
	return -1;
}

WRAP(long, syscall, (long number, ...))
{
	va_list args;
	long a[6];
	int face;
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	face = face_of(number, a[1]);
	if (face >= 0 && fails((enum syscall_name)face))
		return plan.name == face ? result() : -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void syscalls_fail(enum syscall_name name, int error, unsigned from, bool persistent, int where)
{
	if (!counted) {
		void *p = __real_mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			abort();
		counted = p;
	}
	atomic_store(counted, 0);
	plan.error = error;
	plan.from = from;
	plan.persistent = persistent;
	plan.where = where;
	plan.parent = getpid();
	plan.name = (int)name;
}

void syscalls_lack(enum syscall_name name, int error)
{
	lacking[name] = error;
}

void syscalls_work(void)
{
	plan.name = -1;
	memset(lacking, 0, sizeof lacking);
}

unsigned syscalls_counted(void)
{
	return counted ? atomic_load(counted) : 0;
}
