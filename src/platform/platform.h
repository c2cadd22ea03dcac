/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What libmpx asks of an operating system. Nothing else in the library knows
 * which one it runs on. common.c is POSIX and serves everybody; linux.c and
 * posix.c are two answers to the rest, of which the build takes one.
 *
 * Errors are -1 with errno unless stated. Deadlines are absolute nanoseconds of
 * mpx__os_now(), INT64_MAX for none. A new kernel call that is refused (ENOSYS,
 * EPERM, EINVAL) is not an error but a reason to take the older way.
 */
#ifndef MPX_PLATFORM_H
#define MPX_PLATFORM_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* --- common.c ----------------------------------------------------------- */

/* Monotonic nanoseconds. Async-signal-safe. */
int64_t mpx__os_now(void);

/* Sleeps for that long, or until a signal arrives. */
void mpx__os_sleep(int64_t nanoseconds);

/* Lets others run that want to. */
void mpx__os_yield(void);

/* A zeroed mapping of size bytes, shared with all later children, that takes
 * memory only where it is touched; NULL with errno. */
void *mpx__os_map(size_t size);
void mpx__os_unmap(void *addr, size_t size);

/* A connected pair of stream sockets, close-on-exec. */
int mpx__os_socketpair(int fd[2]);

/* poll(2), deadline; signals do not end it. How many are ready, 0 not in time, -1. */
int mpx__os_poll(struct pollfd *set, size_t n, int64_t deadline);

/* Waits until fd is readable (or hung up), deadline. 1, 0 not in time, -1. */
int mpx__os_poll_readable(int fd, int64_t deadline);

/* What a stream socket takes, or has, at once: it never sleeps, nor is there a
 * SIGPIPE. EAGAIN: nothing at all; 0 bytes received: the end. pass, if it is not -1,
 * is a descriptor to go along with the first byte. peek: the bytes stay. */
ssize_t mpx__os_send(int fd, const struct iovec *iov, int n, int pass);
ssize_t mpx__os_recv(int fd, const struct iovec *iov, int n, bool peek);

/* As mpx__os_recv, and *passed is the descriptor that came along, close-on-exec, or
 * -1; for a caller that asks mpx__os_recv_passed. */
ssize_t mpx__os_recv_control(int fd, const struct iovec *iov, int n, bool peek, int *passed);

/* Moves a new descriptor out of the way of standard input, output and error, should
 * one of these have been closed. */
int mpx__os_above_stdio(int fd);

/* fd 0, and stdin, read nothing from now on. */
void mpx__os_stdin_null(void);

/* Gives a new segment of named memory its size and all of its memory at once, so
 * that no store into it can fail later (SIGBUS): ENOSPC, EFBIG (never SIGXFSZ). */
int mpx__os_shm_fill(int fd, size_t size);

/* Calls fn with each name that shm_open knows, without its slash; -1 with ENOTSUP
 * where they cannot be listed. */
int mpx__os_shm_list(void (*fn)(const char *name, void *arg), void *arg);

/* Bytes of address space to reserve if nobody says how many. */
size_t mpx__os_default_reserve(void);

/* getenv, but NULL in a set-user-ID program. */
const char *mpx__os_getenv(const char *name);

/* --- linux.c or posix.c -------------------------------------------------- */

/* Sleeps while *word == expected, until a wake, the deadline, or for no reason at
 * all. Works between processes on memory from mpx__os_map. */
void mpx__os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

/* Wakes at most n sleepers of that word. How many; 0 also where nobody can tell. */
int mpx__os_wake(_Atomic uint32_t *word, int n);

/* Drops the contents of whole pages of a mapping from mpx__os_map, in all
 * processes. True if they read as zero afterwards, false if nothing happened. */
bool mpx__os_discard(void *addr, size_t size);

/* The pages of a mapping from mpx__os_map that hold these bytes are about to be written: so
 * they had better come together, and not one by one. Nothing happens where that is not known,
 * or not possible. */
void mpx__os_populate(void *addr, size_t size);

/* Bytes of memory that the system could still hand out; SIZE_MAX if unknown. */
size_t mpx__os_memory_available(void);

/* Life of other processes. Once before the first fork: life_init. Then each
 * process of the family: life_begin, with its own slot number. gone: is the
 * process that began with this pid, slot and birth dead (a zombie is)? True only
 * on the kernel's evidence, false in doubt. */
int mpx__os_life_init(void);
uint64_t mpx__os_life_begin(unsigned slot);
bool mpx__os_life_gone(pid_t pid, unsigned slot, uint64_t birth);

/* Of any process, not only of the family. Is there none of this pid, or a zombie
 * only? True only on the kernel's evidence. birth: when it began, the same number
 * for all that ask; 0 if not told. world: within which pids and births mean the
 * same; 0 if not told. */
bool mpx__os_process_gone(pid_t pid);
uint64_t mpx__os_process_birth(pid_t pid);
uint64_t mpx__os_process_world(void);

/* Named memory in two steps: an empty segment that nobody else sees, and the name,
 * given to it when it is complete (EEXIST). -1 where there is no such thing: then it
 * must be shm_open. */
int mpx__os_shm_unnamed(void);
int mpx__os_shm_publish(int fd, const char *name);

/* Does this segment belong to our user, and has nobody opened or mapped it? Where
 * the system cannot tell the latter, the former is all. False in doubt. */
bool mpx__os_shm_unused(const char *name);

/* A new descriptor that polls readable when child (of ours, not reaped) has
 * ended; -1 if the system has none. */
int mpx__os_watch(pid_t pid);

/* Ended? 1 and *status = exit code or -signal; 0 still running; -1 with ECHILD:
 * ended, but nobody can tell how. Reaps. watch is from mpx__os_watch, or -1. */
int mpx__os_reap(pid_t pid, int watch, int *status);

/* A signal to a child; never to a stranger who got its pid where watch is not -1. */
int mpx__os_signal(pid_t pid, int watch, int signal);

/* Must a child that is forked by the calling thread have a link to its parent (a
 * mpx__os_socketpair) to be told of the parent's death? */
bool mpx__os_needs_link(void);

/* In a child: when parent dies, so do I, by SIGKILL. link is the child's end of
 * the pair, or -1 where needs_link said no. May end the process at once. */
void mpx__os_die_with_parent(pid_t parent, int link);

/* In a child, where the C library can: exit(status) calls fn(status) before the
 * exit handlers that came from the parent. */
void mpx__os_at_exit_first(void (*fn)(int status));

/* Is the caller the only thread? False in doubt, and so always by posix.c. */
bool mpx__os_single_threaded(void);

/* A doorbell: a descriptor that any process can make readable that knows its
 * address (8 bytes, kept in shared memory), without having inherited it. */
int mpx__os_bell_open(uint64_t *address);
/* 0, ECONNREFUSED (where it can be told: nobody listens there any more), or another
 * errno value. Through a bell of one's own, or -1: that takes a new descriptor. */
int mpx__os_bell_ring(uint64_t address, int through);
/* Makes it unreadable again. */
void mpx__os_bell_drain(int fd);

/* Receives bytes that a descriptor came along with, as mpx__os_recv does. EMFILE,
 * ENFILE: the process can have no more; then the bytes stay, where that can be done. */
ssize_t mpx__os_recv_passed(int fd, const struct iovec *iov, int n, int *passed);

/* The name of the function at that address, cut to size; false if it is not known. */
bool mpx__os_function_name(void (*function)(void), char *name, size_t size);

/* Processors that this process may use, by affinity and quota; at least 1. */
int mpx__os_cpu_count(void);

/* The calling thread, and what it forks, runs on one of the processors that it may use:
 * which, goes by the number. Where that cannot be done, nothing happens. */
void mpx__os_pin(int number);

/* Of a process of the user's (0: the calling one): bytes of memory that it shares with no
 * file and no mapping of the family; nanoseconds of processor time. -1 where the system
 * does not tell. */
int64_t mpx__os_private_memory(pid_t pid);
int64_t mpx__os_cpu_time(pid_t pid);

#endif
