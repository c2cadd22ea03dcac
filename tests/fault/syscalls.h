/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * syscalls.h - makes the library's calls of the C library fail: which one, from its
 * how many-th call on, with what, and in whose process. The linker's --wrap leads
 * them here (CMakeLists.txt), so the C library's own calls are left in peace.
 */
#ifndef SYSCALLS_H
#define SYSCALLS_H

#include <stdbool.h>

/* Some have several faces: syscall and waitid by their first argument. */
#define SYSCALLS(X)                                                                                \
	X(fork)                                                                                    \
	X(socketpair)                                                                              \
	X(socket)                                                                                  \
	X(bind)                                                                                    \
	X(getsockname)                                                                             \
	X(sendto)                                                                                  \
	X(recv)                                                                                    \
	X(sendmsg)                                                                                 \
	X(recvmsg)                                                                                 \
	X(poll)                                                                                    \
	X(open)                                                                                    \
	X(open_proc)                                                                               \
	X(read)                                                                                    \
	X(dup2)                                                                                    \
	X(prctl)                                                                                   \
	X(mmap)                                                                                    \
	X(madvise)                                                                                 \
	X(malloc)                                                                                  \
	X(calloc)                                                                                  \
	X(strdup)                                                                                  \
	X(waitid_pidfd)                                                                            \
	X(pidfd_open)                                                                              \
	X(pidfd_send_signal)                                                                       \
	X(futex_wait)                                                                              \
	X(futex_wake)                                                                              \
	X(sched_getaffinity)                                                                       \
	X(shm_open)                                                                                \
	X(ftruncate)                                                                               \
	X(posix_fallocate)                                                                         \
	X(linkat)

enum syscall_name {
#define NAME(name) CALL_##name,
	SYSCALLS(NAME)
#undef NAME
		CALLS
};

extern const char *const syscall_names[CALLS];

enum { IN_PARENT = 1, IN_CHILDREN = 2 };

/* Not an errno: the call returns 0 and has done nothing. */
enum { SPURIOUS = -1 };

/* From now on, in the calling process (the parent) and those that it forks. */
void syscalls_fail(enum syscall_name name, int error, unsigned from, bool persistent, int where);
/* Several at once, always: for systems that lack them. */
void syscalls_lack(enum syscall_name name, int error);
void syscalls_work(void);

/* How often the call that is to fail has been made since. */
unsigned syscalls_counted(void);

#endif
