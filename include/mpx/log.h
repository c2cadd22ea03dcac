/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/log.h - multiprocessing.get_logger and log_to_stderr: what the library is doing.
 *
 *     mpx_log_to_stderr(MPX_LOG_INFO);
 *     mpx_log(MPX_LOG_INFO, "%d files to read", n);
 *
 * prints, as Python does, from whatever process it happens in:
 *
 *     [INFO/MainProcess] 12 files to read
 *     [INFO/PoolWorker-1] child process began
 *     [INFO/PoolSupervisor-1] PoolWorker-1 (pid 4711) was killed by signal 9
 *     [INFO/MainProcess] process exiting with exitcode 0
 *
 * What is logged: INFO, processes that begin and exit, workers that die, time out or
 * are killed, and what was put in order after a death; WARNING, a pool that breaks;
 * DEBUG, processes and workers as they are made and end, tasks tried again, pools being
 * closed and joined. The words may change.
 *
 * The settings belong to the process; a child begins with those of its parent. Without
 * any call, the environment's MPX_LOG=DEBUG (or INFO, 10, ...) logs to stderr from the
 * first use of the library on (ignored in set-user-ID programs).
 *
 * Logging that is off costs a load and a branch.
 *
 * https://docs.python.org/3/library/multiprocessing.html#logging
 */
#ifndef MPX_LOG_H
#define MPX_LOG_H

#include <mpx/version.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The levels: Python's numbers. Any other above 0 will do as well. */
enum {
	MPX_LOG_SUBDEBUG = 5,
	MPX_LOG_DEBUG = 10,
	MPX_LOG_INFO = 20,
	MPX_LOG_SUBWARNING = 25,
	MPX_LOG_WARNING = 30,
	MPX_LOG_ERROR = 40,
	MPX_LOG_CRITICAL = 50
};

/**
 * Where messages go: one line without its newline, the name of the process that it
 * comes from, and what mpx_log_set was given. Called in that process and thread, which
 * may be any of the family's, the pool's supervisor too; several threads may be inside
 * at a time. The library holds none of its locks meanwhile, so a sink may call it (what
 * would be logged of these calls is not); a lock that you hold as you call the library
 * is yours to think of. It must return.
 */
typedef void mpx_log_sink(int level, const char *process, const char *message, void *user);

/**
 * log_to_stderr(level): from now on, messages of this level and above go to file
 * descriptor 2, each as one line by one write, so that those of several processes do not
 * mix. Fails with EINVAL (level is below 1).
 *
 * Threads: safe.
 * Fork: safe; for this process and the children that it makes from now on.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_log_to_stderr(int level);

/**
 * get_logger().addHandler: they go to this sink instead. NULL switches logging off, with any
 * level. Fails with EINVAL (a sink, and its level is below 1); then all stays as it was.
 *
 * Threads: safe; another thread may be inside the old sink still.
 * Fork: safe; for this process and the children that it makes from now on.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_log_set(mpx_log_sink *sink, void *user, int level);

/**
 * get_logger().getEffectiveLevel(); 0 if logging is off.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_log_level(void);

/**
 * The function behind mpx_log. errno stays as it is. A message that is longer than 1000
 * bytes is cut, and says so.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: as long as stderr or the sink does.
 */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
MPX_API void
mpx_log_write(int level, const char *format, ...);

/* What mpx_log looks at; only for it. */
extern MPX_API int mpx_log_threshold;

/** Would a message of this level be logged? For what is dear to find out. (Before the
 * first use of the library the answer is yes: nobody has looked at MPX_LOG so far.) */
static inline bool mpx_log_enabled(int level)
{
	return level >= __atomic_load_n(&mpx_log_threshold, __ATOMIC_RELAXED);
}

/** get_logger().log(level, ...): mpx_log(level, format, ...), as for printf. The
 * arguments are evaluated only if mpx_log_enabled(level); the level may be twice. */
#define mpx_log(level, ...) (mpx_log_enabled(level) ? mpx_log_write((level), __VA_ARGS__) : (void)0)

#ifdef __cplusplus
}
#endif

#endif
