/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * harness.h - what every test program stands on: cmocka, and a fixture that
 * fails a test which leaves anything behind.
 *
 *     #define _POSIX_C_SOURCE 200809L
 *     #include "harness.h"
 *
 *     static void test_it(void **state)
 *     {
 *             (void)state;
 *             ...
 *     }
 *
 *     int main(void)
 *     {
 *             const struct CMUnitTest tests[] = {
 *                     mpx_test(test_it),
 *             };
 *             return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 *
 * Around each mpx_test() the harness compares: open descriptors, child processes
 * (zombies too), our names in /dev/shm, blocks in the family's heap. More than
 * before fails the test, and so does less. What another process releases a moment
 * later is waited for, five seconds at most. A test that takes longer than 90
 * seconds (or MPX_TEST_SECONDS in the environment) is aborted with its name.
 *
 * Children must not use cmocka's assertions: use child_check() and the exit code.
 * In all children of a test program SIGSEGV and the like have their default
 * action (cmocka's handlers would carry on with the tests in the child).
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include <mpx.h>

#define mpx_test(fn)                                                                               \
	cmocka_unit_test_prestate_setup_teardown(fn, harness_setup, harness_teardown, (void *)#fn)

int harness_setup(void **state);
int harness_teardown(void **state);

/* Takes the snapshot anew, inside a test that means to keep something. */
void harness_rebase(void);

/* Seconds on the monotonic clock. */
double now(void);

/* Sleeps one millisecond: for the loops that wait for a condition. */
void nap(void);

/* A raw fork(): the child leaves by _exit(fn(arg)). Never fails (it fails the test). */
pid_t fork_child(int (*fn)(void *), void *arg);

/* Waits for a child of fork(): its exit code, or -N if signal N ended it. */
int wait_child(pid_t pid);

/* Both: runs fn(arg) in a process of its own. */
int run_child(int (*fn)(void *), void *arg);

/* Is there such a process? Zombies of ours count until they are reaped. */
bool pid_exists(pid_t pid);

/* Likewise, but a zombie does not count (where /proc can tell). */
bool pid_running(pid_t pid);

/* How many descriptors this process has open. */
size_t open_fds(void);

/* Blocks in use in the family's heap. */
size_t heap_blocks(void);

/* A seeded generator, the same on every machine. */
uint64_t next_random(uint64_t *seed);

/* One byte through a pipe, for "go" and "I am there". False at end of file. */
bool send_byte(int fd);
bool recv_byte(int fd);

/*
 * Pointers that are no object of any type: NULL, misaligned, inside of good, the
 * stack, static memory, malloc, plain memory of the family's heap.
 */
struct bad_pointers {
	void *p[16];
	size_t n;
	void *block;
	void *malloced;
	char stack[512];
};
void bad_pointers_make(struct bad_pointers *bad, void *good);
void bad_pointers_done(struct bad_pointers *bad);

/* The call returns 0 (or more). */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long ok_ = (long long)(call);                                                 \
		if (ok_ < 0)                                                                       \
			fail_msg("%s: %lld, %s", #call, ok_, strerror(errno));                     \
	} while (0)

/* The call returns -1 with this errno. */
#define assert_fails(call, err)                                                                    \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long got_ = (long long)(call);                                                \
		int errno_ = errno;                                                                \
		if (got_ != -1 || errno_ != (err))                                                 \
			fail_msg("%s: %lld, errno %s; expected -1, %s", #call, got_,               \
				 strerror(errno_), #err);                                          \
	} while (0)

/* The call returns false, NULL or 0 with this errno. */
#define assert_nothing(call, err)                                                                  \
	do {                                                                                       \
		errno = 0;                                                                         \
		bool got_ = (call) != 0;                                                           \
		int errno_ = errno;                                                                \
		if (got_ || errno_ != (err))                                                       \
			fail_msg("%s: %s, errno %s; expected nothing, %s", #call,                  \
				 got_ ? "something" : "nothing", strerror(errno_), #err);          \
	} while (0)

/* Becomes true within 30 seconds. */
#define assert_soon(condition)                                                                     \
	do {                                                                                       \
		double end_ = now() + 30;                                                          \
		bool met_;                                                                         \
		while (!(met_ = (condition)) && now() < end_)                                      \
			nap();                                                                     \
		if (!met_)                                                                         \
			fail_msg("not within 30 seconds: %s", #condition);                         \
	} while (0)

/* For children: leaves with exit code 99, and says where, unless it is true. */
#define child_check(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			int errno_ = errno;                                                        \
			dprintf(2, "%s:%d: child: not so: %s (errno %d)\n", __FILE__, __LINE__,    \
				#condition, errno_);                                               \
			_exit(99);                                                                 \
		}                                                                                  \
	} while (0)

/* For children: true within 30 seconds. */
#define child_soon(condition)                                                                      \
	do {                                                                                       \
		double end_ = now() + 30;                                                          \
		while (!(condition) && now() < end_)                                               \
			nap();                                                                     \
		child_check(now() < end_);                                                         \
	} while (0)

/* For children: the call returns -1 with this errno. */
#define child_fails(call, err) child_check((errno = 0, (call) == -1 && errno == (err)))

#endif
