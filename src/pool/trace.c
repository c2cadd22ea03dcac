/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The timeline: what is remembered of workers and jobs, and its text. The format is
 * described in Google's document "Trace Event Format"; a pool is a process there, and
 * a worker a thread, whose number stays when it is replaced.
 */
#include "pool/trace.h"

#include "base/utf8.h"
#include "platform/platform.h"
#include "pool/pool.h"
#include "shm/family.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Events wait so many nanoseconds at most while the worker is busy with others. */
#define STALE INT64_C(250000000)

enum { BATCH = 8192, LINE = 1024 };

static struct mpx__trace_row *row_of(mpx_pool *pool, struct mpx__worker *w)
{
	return &pool->trace->row[w - pool->worker];
}

static struct mpx__trace_row *pool_row(mpx_pool *pool)
{
	return &pool->trace->row[pool->room];
}

/* --- text --------------------------------------------------------------------------------- */

struct batch {
	size_t n;
	char text[BATCH];
};

static void write_batch(struct batch *b)
{
	mpx__trace_file_append(b->text, b->n);
	b->n = 0;
}

__attribute__((format(printf, 2, 3))) static void add(struct batch *b, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(b->text + b->n, sizeof b->text - b->n, format, args);
	va_end(args);
	if (n > 0)
		b->n += (size_t)n < sizeof b->text - b->n ? (size_t)n : sizeof b->text - b->n - 1;
}

/* How many bytes the character has; 0: it is no UTF-8. */
static size_t character(const char *text)
{
	for (size_t n = 1; n <= 4 && text[n - 1]; n++)
		if (mpx__utf8(text, n))
			return n;
	return 0;
}

/* A name or message as a string of JSON, also inside of a page. */
static const char *quote(char *to, size_t size, const char *from)
{
	size_t n = 0;

	while (*from && n + 7 < size) {
		unsigned char c = (unsigned char)*from;
		size_t length = character(from);

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '<') {
			n += (size_t)snprintf(to + n, size - n, "\\u%04x", c);
		} else if (length) {
			memcpy(to + n, from, length);
			n += length;
		} else {
			to[n++] = '?';
		}
		from += length ? length : 1;
	}
	to[n] = '\0';
	return to;
}

/* Begins an event; room for a whole one. */
static void open_event(struct batch *b, mpx_pool *pool, const char *phase, int row, int64_t time)
{
	if (b->n > BATCH - LINE)
		write_batch(b);
	add(b, ",\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":%lld.%03d", phase,
	    (int)pool->trace->pid, row, (long long)(time / 1000), (int)(time % 1000));
}

static void add_bar(struct batch *b, mpx_pool *pool, const struct mpx__trace_event *e)
{
	int64_t length = e->end - e->begin;
	char text[6 * MPX__TRACE_NAME + 8];

	open_event(b, pool, "X", e->worker + 1, e->begin);
	add(b, ",\"dur\":%lld.%03d,\"cat\":\"task\",\"name\":\"%s\"", (long long)(length / 1000),
	    (int)(length % 1000), quote(text, sizeof text, e->name));
	if (e->text[0] || e->error)
		add(b, ",\"cname\":\"%s\"", e->text[0] ? "terrible" : "bad");
	add(b, ",\"args\":{\"job\":%u,\"item\":%llu,\"items\":%llu,\"pid\":%d", (unsigned)e->job,
	    (unsigned long long)e->item, (unsigned long long)e->items, (int)e->pid);
	if (e->attempts)
		add(b, ",\"attempts\":%d", e->attempts + 1);
	if (e->error)
		add(b, ",\"error\":%d", (int)e->error);
	if (e->text[0])
		add(b, ",\"died\":\"%s\"", quote(text, sizeof text, e->text));
	add(b, "}}");
}

static void add_job(struct batch *b, mpx_pool *pool, const struct mpx__trace_event *e)
{
	char text[6 * MPX__TRACE_NAME + 8];

	quote(text, sizeof text, e->name);
	open_event(b, pool, "b", 0, e->begin);
	add(b,
	    ",\"cat\":\"job\",\"id2\":{\"local\":\"%u\"},\"name\":\"%s\","
	    "\"args\":{\"job\":%u,\"items\":%llu,\"error\":%d}}",
	    (unsigned)e->job, text, (unsigned)e->job, (unsigned long long)e->items, (int)e->error);
	open_event(b, pool, "e", 0, e->end);
	add(b, ",\"cat\":\"job\",\"id2\":{\"local\":\"%u\"},\"name\":\"%s\"}", (unsigned)e->job,
	    text);
}

static const char *const moments[] = {
	[MPX__TRACE_START] = "start",	[MPX__TRACE_DEATH] = "death",
	[MPX__TRACE_RETRY] = "retry",	[MPX__TRACE_FAILED] = "failed",
	[MPX__TRACE_LATE] = "timeout",	[MPX__TRACE_CANCELLED] = "cancel",
	[MPX__TRACE_BROKEN] = "broken",
};

static void add_moment(struct batch *b, mpx_pool *pool, const struct mpx__trace_event *e)
{
	char text[6 * MPX__TRACE_NAME + 8];

	open_event(b, pool, "i", e->worker + 1, e->begin);
	add(b, ",\"s\":\"%s\",\"cat\":\"%s\",\"name\":\"%s\",\"args\":{\"what\":\"%s\"",
	    e->worker < 0 ? "p" : "t", moments[e->kind], moments[e->kind],
	    quote(text, sizeof text, e->text));
	if (e->pid)
		add(b, ",\"pid\":%d", (int)e->pid);
	if (e->items)
		add(b, ",\"job\":%u,\"item\":%llu,\"attempt\":%d", (unsigned)e->job,
		    (unsigned long long)e->item, e->attempts + 1);
	if (e->error)
		add(b, ",\"error\":%d", (int)e->error);
	add(b, "}}");
}

static void add_event(struct batch *b, mpx_pool *pool, const struct mpx__trace_event *e)
{
	if (e->kind == MPX__TRACE_BAR)
		add_bar(b, pool, e);
	else if (e->kind == MPX__TRACE_JOB)
		add_job(b, pool, e);
	else
		add_moment(b, pool, e);
}

/* --- rows ------------------------------------------------------------------------------------ */

/* Emptied first: who is killed in here loses events rather than leave them twice. */
static void flush(mpx_pool *pool, struct mpx__trace_row *row)
{
	uint32_t word = atomic_load(&row->n), n = word & ~MPX__TRACE_BUSY;
	struct batch b;

	b.n = 0;
	atomic_store(&row->n, word & MPX__TRACE_BUSY);
	for (uint32_t i = 0; i < n; i++)
		add_event(&b, pool, &row->event[i]);
	write_batch(&b);
}

static void remember(mpx_pool *pool, struct mpx__trace_row *row, const struct mpx__trace_event *e,
		     bool leaves)
{
	uint32_t word = atomic_load_explicit(&row->n, memory_order_relaxed);
	uint32_t n = word & ~MPX__TRACE_BUSY;

	if (n == MPX__TRACE_ROW || (n > 0 && e->end - row->event[0].end > STALE)) {
		flush(pool, row);
		n = 0;
	}
	row->event[n] = *e;
	atomic_store_explicit(&row->n, leaves ? n + 1 : (word & MPX__TRACE_BUSY) | (n + 1),
			      memory_order_release);
}

static void copy(char to[MPX__TRACE_NAME], const char *from)
{
	size_t n = strnlen(from, MPX__TRACE_NAME - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

/* --- making and ending ----------------------------------------------------------------------- */

size_t mpx__trace_size(int workers)
{
	if (!mpx__trace_file_begin())
		return 0;
	return sizeof(struct mpx__trace) + ((size_t)workers + 1) * sizeof(struct mpx__trace_row);
}

void mpx__trace_begin(mpx_pool *pool, void *room)
{
	pool->trace = room;
	pool->trace->number = atomic_fetch_add(&mpx__family_base->trace_pools, 1) + 1;
}

static void name_row(struct batch *b, mpx_pool *pool, int worker)
{
	open_event(b, pool, "M", worker + 1, 0);
	add(b, ",\"name\":\"thread_name\",\"args\":{\"name\":\"PoolWorker-%d\"}}", worker + 1);
	open_event(b, pool, "M", worker + 1, 0);
	add(b, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}", worker + 1);
}

/* A number for the pool, as no process has it: several pools of threads may be in one. */
static int32_t number_of_threads(const struct mpx__trace *trace)
{
	return (int32_t)getpid() | (int32_t)(trace->number % 511 + 1) << 22;
}

void mpx__trace_rows(mpx_pool *pool)
{
	struct batch b;

	b.n = 0;
	pool->trace->pid = pool->backend == MPX_BACKEND_PROCESSES ? (int32_t)getpid()
								  : number_of_threads(pool->trace);
	open_event(&b, pool, "M", 0, 0);
	add(&b, ",\"name\":\"process_name\",\"args\":{\"name\":\"pool %u\"}}",
	    (unsigned)pool->trace->number);
	open_event(&b, pool, "M", 0, 0);
	add(&b, ",\"name\":\"thread_name\",\"args\":{\"name\":\"jobs\"}}");
	for (int i = 0; i < atomic_load(&pool->workers); i++)
		name_row(&b, pool, i);
	write_batch(&b);
}

void mpx__trace_end(mpx_pool *pool)
{
	for (int i = 0; i <= pool->room; i++)
		flush(pool, &pool->trace->row[i]);
}

void mpx__trace_tick(mpx_pool *pool)
{
	struct mpx__trace_row *row = pool_row(pool);

	if (atomic_load(&row->n) && mpx__pool_lock(pool) == 0) {
		flush(pool, row);
		mpx__pool_unlock(pool);
	}
}

/* --- jobs --------------------------------------------------------------------------------------
 */

/* Most programs submit the same few functions again and again. */
static bool know_function(mpx_task *fn, char name[MPX__TRACE_NAME])
{
	static _Thread_local mpx_task *known;
	static _Thread_local char known_name[MPX__TRACE_NAME];

	if (known != fn) {
		known_name[0] = '\0';
		mpx__os_function_name((void (*)(void))fn, known_name, sizeof known_name);
		known = fn;
	}
	copy(name, known_name);
	return name[0] != '\0';
}

void mpx__trace_submit(mpx_pool *pool, struct mpx_result *job, const char *name)
{
	struct mpx__trace_job *t = &job->trace;

	t->submitted = mpx__os_now();
	t->number = atomic_fetch_add(&pool->trace->jobs, 1) + 1;
	if (name)
		copy(t->name, name);
	else if (!know_function(job->fn, t->name))
		snprintf(t->name, sizeof t->name, "%s %u", job->n == 1 ? "apply" : "map",
			 (unsigned)t->number);
}

void mpx__trace_ready(mpx_pool *pool, struct mpx_result *job)
{
	struct mpx__trace_event e = {
		.begin = job->trace.submitted,
		.end = mpx__os_now(),
		.item = job->base,
		.items = job->n,
		.job = job->trace.number,
		.worker = -1,
		.kind = MPX__TRACE_JOB,
	};

	if (job->errors)
		return; /* a part of an imap */
	e.error = mpx__result_error(job);
	copy(e.name, job->trace.name);
	remember(pool, pool_row(pool), &e, false);
}

void mpx__trace_broken(mpx_pool *pool, const char *why)
{
	struct mpx__trace_event e = {.worker = -1, .kind = MPX__TRACE_BROKEN};

	e.begin = e.end = mpx__os_now();
	copy(e.text, why);
	remember(pool, pool_row(pool), &e, false);
}

/* --- workers ------------------------------------------------------------------------------------
 */

void mpx__trace_enter(mpx_pool *pool, struct mpx__worker *w, struct mpx_result *job, size_t first,
		      size_t end, uint32_t attempts)
{
	struct mpx__trace_row *row = row_of(pool, w);
	struct mpx__trace_event *e = &row->current;

	memset(e, 0, sizeof *e);
	row->first = first;
	e->item = job->base + first;
	e->items = end - first;
	e->job = job->trace.number;
	e->pid = getpid();
	e->worker = (int16_t)(w - pool->worker);
	e->attempts = (uint8_t)attempts;
	e->kind = MPX__TRACE_BAR;
	copy(e->name, job->trace.name);
	e->begin = mpx__os_now();
	atomic_fetch_or(&row->n, MPX__TRACE_BUSY);
}

void mpx__trace_leave(mpx_pool *pool, struct mpx__worker *w)
{
	struct mpx__trace_row *row = row_of(pool, w);

	row->current.end = mpx__os_now();
	remember(pool, row, &row->current, true);
}

void mpx__trace_error(mpx_pool *pool, struct mpx__worker *w, enum mpx__trace_kind kind, size_t item,
		      int error, const char *text)
{
	struct mpx__trace_row *row = row_of(pool, w);
	struct mpx__trace_event e = row->current;

	e.item += item - row->first;
	e.items = 1;
	e.error = error;
	e.kind = (uint8_t)kind;
	e.attempts = (uint8_t)atomic_load(&w->attempts);
	e.begin = e.end = mpx__os_now();
	copy(e.text, text);
	remember(pool, row, &e, false);
	if (kind == MPX__TRACE_FAILED)
		row->current.error = error;
	if (row->current.items == 1)
		row->current.attempts = e.attempts;
}

void mpx__trace_flush(mpx_pool *pool, struct mpx__worker *w)
{
	if (atomic_load(&row_of(pool, w)->n))
		flush(pool, row_of(pool, w));
}

/* --- deaths
 * ---------------------------------------------------------------------------------------- */

void mpx__trace_moment(mpx_pool *pool, enum mpx__trace_kind kind, struct mpx__worker *w, pid_t pid,
		       const char *text)
{
	struct mpx__trace_event e = {.pid = (int32_t)pid, .kind = (uint8_t)kind};

	e.worker = (int16_t)(w - pool->worker);
	e.begin = e.end = mpx__os_now();
	copy(e.text, text);
	if (kind == MPX__TRACE_START) { /* it may be a new row */
		struct batch b;

		b.n = 0;
		name_row(&b, pool, e.worker);
		write_batch(&b);
	}
	if (mpx__pool_lock(pool) == 0) {
		remember(pool, pool_row(pool), &e, false);
		mpx__pool_unlock(pool);
	}
}

/* Its bar ends here, with the item at which it died. */
static void end_current(mpx_pool *pool, struct mpx__worker *w, const struct mpx__trace_event *death)
{
	struct mpx__trace_row *row = row_of(pool, w);
	struct mpx__trace_event *e = &row->current;
	size_t item = (size_t)atomic_load(&w->item);

	if (item >= row->first && item - row->first < e->items)
		e->items = item - row->first + 1;
	e->end = death->end;
	copy(e->text, death->text);
	remember(pool, row, e, true);
}

void mpx__trace_death(mpx_pool *pool, struct mpx__worker *w, const mpx_failure *how)
{
	struct mpx__trace_row *row = row_of(pool, w);
	struct mpx__trace_event e = {.pid = (int32_t)how->pid, .kind = MPX__TRACE_DEATH};
	bool busy = atomic_load(&row->n) & MPX__TRACE_BUSY;

	e.worker = (int16_t)(w - pool->worker);
	e.begin = e.end = mpx__os_now();
	copy(e.text, how->message);
	if (busy)
		end_current(pool, w, &e);
	flush(pool, row);
	/* Who has nothing to do when the pool ends is sent away, if need be by a signal. */
	if (busy || (how->exit_status != 0 && atomic_load(&pool->state) != MPX__POOL_TERMINATED))
		remember(pool, pool_row(pool), &e, false);
}
