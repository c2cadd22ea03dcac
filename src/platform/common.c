/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The part of the platform that plain POSIX (and MAP_ANONYMOUS, which all have)
 * answers well enough for everybody.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
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

int mpx__os_socketpair(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		return -1;
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	fcntl(fd[1], F_SETFD, FD_CLOEXEC);
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

int mpx__os_poll_readable(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		int n = poll(&p, 1, poll_milliseconds(deadline));

		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n == 0 && mpx__os_now() >= deadline)
			return 0;
	}
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
