/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The timeline that MPX_TRACE=file asks for, in Chrome's trace event format.
 *
 *   trace.c        what is remembered of workers and jobs, and its text
 *   trace_file.c   the file, one for the whole family
 *   trace_page.c   what makes a web page of it, if its name ends in .html
 *
 * Each worker has a row of events in the pool's own block; it alone writes there, and
 * appends them to the file when it goes to sleep or the row is full. So a worker may
 * be killed at any time: the supervisor appends what it left, the bar that it was in
 * as well. One more row is for all that happens under the pool's lock.
 *
 * pool->trace is NULL if nobody asked: callers look, once a chunk or more rarely.
 */
#ifndef MPX_POOL_TRACE_H
#define MPX_POOL_TRACE_H

#include <mpx/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mpx__worker;

enum mpx__trace_kind {
	MPX__TRACE_BAR,	   /* a chunk, or what a dead worker did of one */
	MPX__TRACE_JOB,	   /* from its submission until it is ready */
	MPX__TRACE_START,  /* a worker takes the place of another */
	MPX__TRACE_DEATH,  /* and from here on, a moment each */
	MPX__TRACE_RETRY,  /* after an error */
	MPX__TRACE_FAILED, /* an item, for good */
	MPX__TRACE_LATE,   /* a task ran longer than its timeout */
	MPX__TRACE_CANCELLED,
	MPX__TRACE_BROKEN
};

enum { MPX__TRACE_NAME = 40, MPX__TRACE_ROW = 64 };

struct mpx__trace_event {
	int64_t begin, end; /* the same for a moment */
	uint64_t item, items;
	uint32_t job;
	int32_t pid;   /* of the worker; 0: none */
	int32_t error; /* errno value; 0: none */
	int16_t worker;
	uint8_t kind;
	uint8_t attempts;
	char name[MPX__TRACE_NAME]; /* of the task */
	char text[MPX__TRACE_NAME]; /* what happened */
};

struct mpx__trace_row {
	_Alignas(64) _Atomic uint32_t n; /* how many there are; MPX__TRACE_BUSY: and current */
	size_t first;			 /* item of the job at which current begins */
	struct mpx__trace_event current; /* the bar that the worker is in */
	struct mpx__trace_event event[MPX__TRACE_ROW];
};
#define MPX__TRACE_BUSY (UINT32_C(1) << 31)

struct mpx__trace {
	uint32_t number;	     /* of the pool, in its family */
	int32_t pid;		     /* stands for the pool: the supervisor's */
	_Atomic uint32_t jobs;	     /* so far */
	struct mpx__trace_row row[]; /* one for each worker, and the pool's */
};

/* A part of a job. */
struct mpx__trace_job {
	int64_t submitted;
	uint32_t number;
	char name[MPX__TRACE_NAME];
};

/* --- trace.c; all but size only if pool->trace ---------------------------------------------- */

/* How much room it takes, 0 if there shall be no trace; where begin then finds it. */
size_t mpx__trace_size(int workers);
void mpx__trace_begin(mpx_pool *pool, void *room);
/* By the supervisor, or who makes the threads: names for all rows. */
void mpx__trace_rows(mpx_pool *pool);
/* Nobody works any more. */
void mpx__trace_end(mpx_pool *pool);

/* By who submits. name: or NULL. */
void mpx__trace_submit(mpx_pool *pool, struct mpx_result *job, const char *name);
/* Under the pool's lock. */
void mpx__trace_ready(mpx_pool *pool, struct mpx_result *job);
void mpx__trace_broken(mpx_pool *pool, const char *why);

/* By the worker, around a chunk and within; flush: when it is going to sleep. */
void mpx__trace_enter(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t first,
		      size_t end, uint32_t attempts);
void mpx__trace_leave(mpx_pool *pool, struct mpx__worker *w);
void mpx__trace_error(mpx_pool *pool, struct mpx__worker *w, enum mpx__trace_kind kind, size_t item,
		      int error, const char *text);
void mpx__trace_flush(mpx_pool *pool, struct mpx__worker *w);

/* By the supervisor; death under the pool's lock, before the job is left. */
void mpx__trace_death(mpx_pool *pool, struct mpx__worker *w, const mpx_failure *how);
void mpx__trace_moment(mpx_pool *pool, enum mpx__trace_kind kind, struct mpx__worker *w, pid_t pid,
		       const char *text);
/* What the pool's row has had for a while. */
void mpx__trace_tick(mpx_pool *pool);

/* --- trace_file.c -------------------------------------------------------------------------------
 */

/* Is there a trace? The first in the family that finds MPX_TRACE set begins the file. */
bool mpx__trace_file_begin(void);
/* Whole events, each with a comma and a newline before it. */
void mpx__trace_file_append(const char *text, size_t size);

/* --- trace_page.c -------------------------------------------------------------------------------
 */

/* Lines, NULL at the end: the page up to where the events begin. */
extern const char *const mpx__trace_page[];

#endif
