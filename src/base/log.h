/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Logging, for the library itself: mpx_log of the public header, with one rule: never
 * while a lock of ours is held, since the user's sink may call the library. What happens
 * under a lock is noted, and told when it has been released:
 *
 *     mpx__log_note(MPX__LOG_OBJECT, q)      under the lock
 *     mpx__log_tell()                       where this thread holds none
 */
#ifndef MPX_BASE_LOG_H
#define MPX_BASE_LOG_H

#include <mpx/log.h>

/* What has been put in order, or found, after a holder of its lock died. */
enum mpx__log_subject { MPX__LOG_LOCK, MPX__LOG_HEAP, MPX__LOG_OBJECT, MPX__LOG_POOL };
enum { MPX__LOG_SUBJECTS = 4 };

void mpx__log_note_slowly(enum mpx__log_subject subject, const void *object);
void mpx__log_tell_slowly(void);

static inline void mpx__log_note(enum mpx__log_subject subject, const void *object)
{
	if (mpx_log_enabled(MPX_LOG_INFO))
		mpx__log_note_slowly(subject, object);
}

static inline void mpx__log_tell(void)
{
	if (mpx_log_enabled(MPX_LOG_INFO))
		mpx__log_tell_slowly();
}

/* The first use of the library: what the environment says, unless the user has said
 * something already. */
void mpx__log_begin(void);

/* In a new process: its name, which stays where it is. */
void mpx__log_process(const char *name);

#endif
