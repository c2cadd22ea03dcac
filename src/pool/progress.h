/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * When .progress is called: by one thread at a time, some ten times a second, and once
 * at the end.
 *
 *     if (mpx__meter_due(m, finished))
 *             mpx__meter_tell(m, done, failed, total, finished);
 */
#ifndef MPX_POOL_PROGRESS_H
#define MPX_POOL_PROGRESS_H

#include <mpx/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mpx__meter {
	mpx_progress_callback *fn; /* NULL: nobody asked; from here to begun: constant */
	void *user;
	uint32_t process; /* peer id of who submitted */
	int64_t begun;
	_Atomic int64_t next;	/* not before */
	_Atomic uint32_t taken; /* a thread is at it; it guards the rest: */
	bool told;		/* that it is finished */
	size_t done;		/* as told last */
	size_t scanned, seen;	/* of a job: chunks before are done, behind are not begun */
};

void mpx__meter_begin(struct mpx__meter *m, const mpx_task_options *options);
/* True: now tell. */
bool mpx__meter_due_slowly(struct mpx__meter *m, bool finished);
void mpx__meter_tell(struct mpx__meter *m, size_t done, size_t failed, size_t total, bool finished);

static inline bool mpx__meter_due(struct mpx__meter *m, bool finished)
{
	return m->fn && mpx__meter_due_slowly(m, finished);
}

/* Of a job that the caller waits for. */
void mpx__progress(struct mpx_result *job, bool finished);

#endif
