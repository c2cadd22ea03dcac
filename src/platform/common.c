/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The part of the platform that plain POSIX (and MAP_ANONYMOUS, which all have)
 * answers well enough for everybody.
 */
#include "platform/platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MSG_NOSIGNAL /* macOS: a property of the socket instead */
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

enum { second = 1000000000 };

int64_t mpx__os_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * second + t.tv_nsec;
}

void mpx__os_sleep(int64_t nanoseconds)
{
	struct timespec t = {(time_t)(nanoseconds / second), (long)(nanoseconds % second)};

	if (nanoseconds > 0)
		nanosleep(&t, NULL);
}

void mpx__os_yield(void)
{
	sched_yield();
}

void *mpx__os_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
#ifdef MADV_DONTDUMP
	/* A crashing worker must not spend seconds on writing 64 GiB of holes. */
	madvise(p, size, MADV_DONTDUMP);
#endif
	return p;
}

void mpx__os_unmap(void *addr, size_t size)
{
	munmap(addr, size);
}

/* At once where that is possible: another thread may be about to start a program. */
#ifdef SOCK_CLOEXEC
#define STREAM (SOCK_STREAM | SOCK_CLOEXEC)
#else
#define STREAM SOCK_STREAM
#endif

int mpx__os_socketpair(int fd[2])
{
	if (socketpair(AF_UNIX, STREAM, 0, fd) != 0)
		return -1;
#ifndef SOCK_CLOEXEC
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	fcntl(fd[1], F_SETFD, FD_CLOEXEC);
#endif
#ifdef SO_NOSIGPIPE
	setsockopt(fd[0], SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
	setsockopt(fd[1], SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
	return 0;
}

static int poll_milliseconds(int64_t deadline)
{
	int64_t left = deadline - mpx__os_now();

	if (deadline == INT64_MAX)
		return -1;
	if (left <= 0)
		return 0;
	left = (left + 999999) / 1000000;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int mpx__os_poll(struct pollfd *set, size_t n, int64_t deadline)
{
	for (;;) {
		int ready = poll(set, (nfds_t)n, poll_milliseconds(deadline));

		if (ready > 0)
			return ready;
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready == 0 && mpx__os_now() >= deadline)
			return 0;
	}
}

int mpx__os_poll_readable(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return mpx__os_poll(&p, 1, deadline);
}

/* --- stream sockets ------------------------------------------------------- */

/* Room for one descriptor, aligned as the system wants it. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t mpx__os_send(int fd, const struct iovec *iov, int n, int pass)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov};
	union control control;
	ssize_t sent;

	msg.msg_iovlen = (unsigned char)n; /* int or size_t, by system */
	if (pass >= 0) {
		memset(&control, 0, sizeof control);
		msg.msg_control = &control;
		msg.msg_controllen = sizeof control.bytes;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof pass);
		memcpy(CMSG_DATA(&control.header), &pass, sizeof pass);
	}
	do
		sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static ssize_t receive(int fd, struct msghdr *msg, int flags)
{
	ssize_t n;

	do
		n = recvmsg(fd, msg, MSG_DONTWAIT | flags);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t mpx__os_recv(int fd, const struct iovec *iov, int n, bool peek)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov};

	msg.msg_iovlen = (unsigned char)n;
	return receive(fd, &msg, peek ? MSG_PEEK : 0);
}

ssize_t mpx__os_recv_control(int fd, const struct iovec *iov, int n, bool peek, int *passed)
{
	union control control;
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
			     .msg_control = &control,
			     .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c;
	ssize_t got;

	msg.msg_iovlen = (unsigned char)n;
	got = receive(fd, &msg, MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0));
	*passed = -1;
	c = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len >= CMSG_LEN(sizeof *passed)) {
		memcpy(passed, CMSG_DATA(c), sizeof *passed);
		fcntl(*passed, F_SETFD, FD_CLOEXEC);
	}
	return got;
}

int mpx__os_above_stdio(int fd)
{
	int high, saved;

	if (fd < 0 || fd > 2)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	saved = errno;
	close(fd);
	errno = saved;
	return high;
}

void mpx__os_bell_drain(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		;
}

void mpx__os_stdin_null(void)
{
	int fd;

	close(0); /* so that there is a descriptor to be had, and it is 0 */
	fd = open("/dev/null", O_RDONLY);
	if (fd > 0) {
		dup2(fd, 0);
		close(fd);
	}
	fflush(stdin); /* forgets what had been read ahead */
}

/* --- named shared memory -------------------------------------------------- */

/* What will not fit is refused before anything is taken. Beyond RLIMIT_FSIZE the
 * calls below would kill by SIGXFSZ; and a segment larger than all that is left
 * would fill the machine before it fails. */
static int will_not_fit(int fd, size_t size)
{
	struct rlimit limit;
	struct statvfs fs;

	if (size > (UINT64_MAX >> 1) >> (sizeof(off_t) < 8 ? 32 : 0))
		return EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    size > limit.rlim_cur)
		return EFBIG;
	if (size > mpx__os_memory_available())
		return ENOSPC;
	/* No blocks at all: a file system without a limit. */
	if (fstatvfs(fd, &fs) == 0 && fs.f_blocks && fs.f_frsize &&
	    size / fs.f_frsize > fs.f_bavail)
		return ENOSPC;
	return 0;
}

static int write_zeros(int fd, off_t at, off_t size)
{
	static const char zeros[4096];

	while (size > 0) {
		size_t n = size < (off_t)sizeof zeros ? (size_t)size : sizeof zeros;
		ssize_t done = pwrite(fd, zeros, n, at);

		if (done < 0 && errno != EINTR)
			return errno;
		if (done > 0) {
			at += done;
			size -= done;
		}
	}
	return 0;
}

#if defined _POSIX_ADVISORY_INFO && _POSIX_ADVISORY_INFO > 0
static int allocate(int fd, off_t at, off_t size)
{
	int error = posix_fallocate(fd, at, size);

	/* musl says so, and others of file systems that cannot do it. */
	if (error == EOPNOTSUPP || error == EINVAL || error == ENOSYS || error == ENODEV)
		return write_zeros(fd, at, size);
	return error;
}
#else
static int allocate(int fd, off_t at, off_t size)
{
	return write_zeros(fd, at, size);
}
#endif

int mpx__os_shm_fill(int fd, size_t size)
{
	/* In steps: one that a signal interrupts is undone, and does less next time,
	 * so that signals in a row cannot hold it up for ever. */
	off_t step = (off_t)64 << 20, end = (off_t)size;
	int error = will_not_fit(fd, size);

	if (error) {
		errno = error;
		return -1;
	}
	while (ftruncate(fd, end) != 0)
		if (errno != EINTR)
			return -1;
	for (off_t at = 0; at < end;) {
		off_t n = end - at < step ? end - at : step;

		error = allocate(fd, at, n);
		if (error == EINTR) {
			step = step > 4096 ? step / 2 : step;
		} else if (error) {
			errno = error;
			return -1;
		} else {
			at += n;
		}
	}
	return 0;
}

int mpx__os_shm_list(void (*fn)(const char *name, void *arg), void *arg)
{
	/* Those systems that show the names as files do it here. */
	DIR *dir = opendir("/dev/shm");
	struct dirent *entry;

	if (!dir) {
		if (errno == ENOENT || errno == ENOTDIR)
			errno = ENOTSUP;
		return -1;
	}
	while ((entry = readdir(dir)))
		fn(entry->d_name, arg);
	closedir(dir);
	return 0;
}

/* valgrind's leak check reads all memory of every process: with gigabytes of holes
 * that takes minutes. It tells of itself by what it preloads. */
size_t mpx__os_default_reserve(void)
{
	const char *preload = getenv("LD_PRELOAD");

	if (preload && strstr(preload, "/vgpreload_"))
		return (size_t)64 << 20;
	return sizeof(void *) > 4 ? (size_t)64 << 30 : (size_t)512 << 20;
}

const char *mpx__os_getenv(const char *name)
{
	return getuid() == geteuid() && getgid() == getegid() ? getenv(name) : NULL;
}
