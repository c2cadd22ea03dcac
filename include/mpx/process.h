/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/process.h - multiprocessing.Process: run a function in a process of its own.
 *
 *     static int f(void *name)
 *     {
 *             printf("hello %s\n", (const char *)name);
 *             return 0;
 *     }
 *
 *     mpx_process *p = mpx_process_new(.target = f, .args = "bob");
 *     mpx_process_start(p);
 *     mpx_process_join(p, MPX_FOREVER);
 *     mpx_process_free(p);
 *
 * Calling sequence: new, start (once), then join, is_alive, exitcode, terminate,
 * kill in any order and as often as you like, and free once it has ended.
 *
 * A mpx_process belongs to the process that made it (its parent): there, all
 * threads may use it together. In any other process every call on it fails with
 * EPERM, except name and pid.
 *
 * What happens in the child: it is a fork of the parent, so it sees the parent's
 * memory as it was at start() (a private copy) and shares everything in the
 * family's heap (mpx/memory.h). Its standard input is /dev/null. It leaves by
 * _exit with what the target returned (its low 8 bits, as for every process);
 * what it wrote to stdio is flushed, what the parent had written before is not
 * written twice, and the parent's atexit handlers do not run in it. (In a program
 * with threads, and on other systems than Linux, start() flushes stdout and stderr
 * only, since a thread may be blocked in any other FILE: flush those yourself, or
 * they are written twice. Where a thread of the child is blocked in a FILE, the child
 * ends five seconds later nevertheless: what it wrote to stdout and stderr is flushed, of
 * other streams perhaps not.)
 *
 * The library waits for its own children only, by pid; it works beside other
 * code that forks and waits, also when the program ignores SIGCHLD.
 *
 * When the parent ends, so do its children: at a normal exit, daemons are
 * terminated and the others are joined, as Python does; when it is killed, they
 * are killed (except those made with .orphan).
 *
 * In a multithreaded program, the child of a fork has only the forking thread.
 * Locks of other libraries may be held for ever in it; libc repairs its own.
 * Start processes early, or keep to async-signal-safe functions in the target.
 *
 * https://docs.python.org/3/library/multiprocessing.html#process-and-exceptions
 */
#ifndef MPX_PROCESS_H
#define MPX_PROCESS_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_process mpx_process;

/** What a process runs; what it returns is the exit code. */
typedef int mpx_target(void *args);

typedef struct mpx_process_options {
	size_t size;	    /**< sizeof of this struct; filled in by mpx_process_new */
	mpx_target *target; /**< required */
	void *args;	    /**< handed to target; yours, must be valid at start() */
	const char *name;   /**< copied; default "Process-1", "Process-1:1" for a child of it */
	bool daemon;	    /**< at the parent's normal exit: terminated instead of joined */
	bool orphan;	    /**< goes on when the parent has ended; not in Python */
} mpx_process_options;

/**
 * Process(target, name, args, daemon): makes the handle, starts nothing.
 * Free with mpx_process_free. Fails with EINVAL (no target), ENOMEM.
 *
 * Threads: safe.
 * Fork: the handle belongs to the process that made it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_process *mpx_process_create(const mpx_process_options *options);
#ifndef __cplusplus
#define mpx_process_new(...)                                                                       \
	mpx_process_create(&(mpx_process_options){.size = sizeof(mpx_process_options), __VA_ARGS__})
#endif

/**
 * Process.start(). Flushes the parent's stdio, then forks. Fails with EBUSY
 * (started before), EPERM (not the parent), EAGAIN (no process to be had: the
 * system's or the user's limit, or 4095 processes in the family), ENOMEM,
 * EMFILE; after a failure start may be tried again.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: for the fork itself, and while another thread holds stdout's lock.
 */
MPX_API int mpx_process_start(mpx_process *p);

/**
 * Process.join(timeout): wait until it has ended. May be repeated. Fails with
 * ETIMEDOUT, ECHILD (never started), EPERM (not the parent; except
 * mpx_parent_process, which may be joined by its children).
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_process_join(mpx_process *p, double timeout);

/**
 * Process.is_alive(): true from start until its end. False, with errno, where
 * it cannot be known: NULL, or not the parent (EPERM).
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_process_is_alive(mpx_process *p);

/**
 * Process.exitcode: *code becomes what the target returned (0 to 255), or -N if
 * signal N ended it. Fails with EAGAIN (still running), ECHILD (never started,
 * or it was killed and somebody else's wait took the reason: then it is dead,
 * but nobody can tell why), EPERM.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_exitcode(mpx_process *p, int *code);

/**
 * Process.pid. -1 with ECHILD before start.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API pid_t mpx_process_pid(const mpx_process *p);

/**
 * Process.name. Lives as long as p. NULL with EINVAL for NULL.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API const char *mpx_process_name(const mpx_process *p);

/**
 * Process.daemon.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_process_daemon(const mpx_process *p);

/**
 * Process.sentinel: a file descriptor that polls readable (poll(2), POLLIN) once
 * the process has ended. It belongs to p; do not read or close it. (Where the system
 * has no pidfd: once those that it made by a plain fork() have ended as well, or at
 * once if it calls exec.) Fails with
 * ECHILD before start, EPERM, EMFILE. -1 with ENOTSUP for mpx_current_process.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_sentinel(mpx_process *p);

/**
 * Process.terminate(): SIGTERM. 0 also if it has ended already. Its own
 * children are not signalled (they end when it does). Fails with ECHILD (never
 * started), EPERM.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_terminate(mpx_process *p);

/** Process.kill(): the same with SIGKILL.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_kill(mpx_process *p);

/** Process.interrupt(): the same with SIGINT.
 *
 * Threads: safe.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_interrupt(mpx_process *p);

/**
 * Process.close(): frees the handle. NULL is fine. Fails with EBUSY while the
 * process is running (and frees nothing), EPERM for a process that only
 * inherited the handle, EINVAL for mpx_current_process and mpx_parent_process,
 * which are not yours to free.
 *
 * Threads: nobody else may be using p.
 * Fork: only in the process that made the handle.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_process_free(mpx_process *p);

/**
 * current_process(): never NULL. Its name is "MainProcess" where no mpx_process
 * was started. Valid as long as the process.
 *
 * Threads: safe.
 * Fork: safe; a child sees itself.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_process *mpx_current_process(void);

/**
 * parent_process(): the process that started this one; NULL (errno untouched) in
 * the main process. name, pid, is_alive and join work on it, the rest is EPERM.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_process *mpx_parent_process(void);

/**
 * active_children(): how many processes that this process started are alive; up
 * to max of them are stored in list (which may be NULL if max is 0). As in
 * Python, those that have ended are reaped on the way.
 *
 * Threads: safe; another thread may free what is in the list.
 * Fork: a child starts with none.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_active_children(mpx_process **list, size_t max);

/**
 * cpu_count(): how many processors this program may keep busy: the least of the
 * machine's, the scheduling affinity and the control groups' quota (rounded up),
 * at least 1. (Affinity and quota: on Linux.) MPX_CPU_COUNT in the environment overrides it.
 * Python's own cpu_count knows nothing of quotas (python/cpython#149452).
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: never (reads small files).
 */
MPX_API int mpx_cpu_count(void);

#ifdef __cplusplus
}
#endif

#endif
