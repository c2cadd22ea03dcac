/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/progress.h - how far a map is, and a bar that shows it:
 *
 *     mpx_pool_map_sized(pool, f, in, sizeof *in, out, sizeof *out, n,
 *                        MPX_TASK(.progress = mpx_progress_bar, .user = "squares"));
 *
 *     squares  42% [########............]  4212/10000  612/s  0:09 left
 *
 * Or with a function of your own in its place. There is no hidden thread: it is called
 * by the thread that waits for the work, in map, get, wait or imap_next, some ten times
 * a second at most, and once more at the end. The workers do nothing for it.
 */
#ifndef MPX_PROGRESS_H
#define MPX_PROGRESS_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How far it is. Of imap, what has been fetched counts. May grow at its end. */
typedef struct mpx_progress {
	size_t done;	/**< items done, failed or given up; never less than before */
	size_t failed;	/**< of these, so many failed */
	size_t total;	/**< all; 0: not known, there is a generator */
	double seconds; /**< since it was submitted */
	double rate;	/**< items per second so far */
	double left;	/**< seconds, if it goes on like this; below 0: not known */
	bool finished;	/**< this is the last call */
} mpx_progress;

/**
 * .progress: called with the task's .user. Only in the process that submitted the work,
 * and not for a result that nobody waits for. It may take its time and call the library:
 * the workers go on meanwhile.
 */
typedef void mpx_progress_callback(void *user, const mpx_progress *p);

/**
 * A bar on stderr: share, count, items per second, time left; to be given as .progress,
 * with .user NULL or the words before it. It writes nothing if stderr is not a terminal, and
 * wipes its line away at the end.
 *
 * Threads: safe, but two bars at a time share the line.
 * Fork: safe.
 * Signals: not async-signal-safe.
 * Blocks: as long as the terminal does.
 */
MPX_API void mpx_progress_bar(void *label_or_null, const mpx_progress *p);

#ifdef __cplusplus
}
#endif

#endif
