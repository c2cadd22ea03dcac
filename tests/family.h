/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * family.h - on top of harness.h, for the tests of queues and pools: children by
 * mpx_process, messages with a pattern in them, and the test program run anew,
 * where the environment or a limit must be set before the library is first used.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "harness.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

/* What should happen at once and has not after so many seconds, hangs. */
#define SOON 30.0
#define NOT_A_NUMBER __builtin_nan("")

static inline mpx_process *start(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	assert_non_null(p);
	assert_ok(mpx_process_start(p));
	return p;
}

/* Joins and frees it: what it returned, or -N. */
static inline int ends(mpx_process *p)
{
	int code = -1000;
	assert_ok(mpx_process_join(p, 2 * SOON));
	assert_ok(mpx_process_exitcode(p, &code));
	assert_ok(mpx_process_free(p));
	return code;
}

static inline void ends_well(mpx_process *p)
{
	assert_int_equal(ends(p), 0);
}

/* Messages that can be told from each other, and from torn ones. */
static inline void fill(unsigned char *p, size_t n, size_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(seed + i * 167 + (i >> 8) * 13);
}

static inline bool filled(const unsigned char *p, size_t n, size_t seed)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (unsigned char)(seed + i * 167 + (i >> 8) * 13))
			return false;
	return true;
}

/* Does this process sleep? (True where /proc cannot tell.) */
static inline bool asleep(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return true;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *tail = strrchr(text, ')');
	return !tail || tail[1] == '\0' || tail[2] == 'S';
}

/* The call fails with ETIMEDOUT, not before its time. */
#define assert_times_out(call, seconds)                                                            \
	do {                                                                                       \
		double begin_ = now();                                                             \
		assert_fails(call, ETIMEDOUT);                                                     \
		double took_ = now() - begin_;                                                     \
		if (took_ < (seconds)-1e-6 || took_ > (seconds) + 15)                              \
			fail_msg("%s took %g seconds", #call, took_);                              \
	} while (0)

static inline mpx_pool *pool_of(int processes)
{
	mpx_pool *pool = mpx_pool_new(.processes = processes);
	assert_non_null(pool);
	assert_int_equal(mpx_pool_processes(pool), processes);
	return pool;
}

/* The task of the manual. */
static inline int square(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	*(unsigned *)out = x * x;
	return 0;
}

/* A gate that holds tasks up, in the family's heap. Their input is its address. */
struct gate {
	atomic_bool open;
	atomic_int entered, left;
};

static inline struct gate *gate_new(void)
{
	struct gate *g = mpx_calloc(1, sizeof *g);
	assert_non_null(g);
	return g;
}

static inline int pass_gate(const void *in, void *out)
{
	struct gate *g = *(struct gate *const *)in;
	double end = now() + 2 * SOON;
	(void)out;
	atomic_fetch_add(&g->entered, 1);
	while (!atomic_load(&g->open) && now() < end)
		nap();
	atomic_fetch_add(&g->left, 1);
	return 0;
}

/* Tasks that end only when `wanted` of them are under way. In the family's heap. */
struct meeting {
	atomic_int met;
};

struct guest {
	struct meeting *m;
	int wanted;
};

static inline int meet(const void *in, void *out)
{
	const struct guest *g = in;
	double end = now() + SOON;
	atomic_fetch_add(&g->m->met, 1);
	while (atomic_load(&g->m->met) < g->wanted && now() < end)
		nap();
	*(pid_t *)out = getpid();
	return atomic_load(&g->m->met) < g->wanted ? ETIMEDOUT : 0;
}

/* Blocks in the heap when the workers have let go of what is done: one may for a moment
 * hold a job that is freed already. */
static inline size_t idle_blocks(mpx_pool *pool)
{
	mpx_pool_statistics s;
	assert_soon(mpx_pool_stats(pool, &s) == 0 && s.busy == 0 && s.queued == 0);
	return heap_blocks();
}

/* The pids of all n workers, who are idle afterwards. No assertions: also for children. */
static inline bool workers_of(mpx_pool *pool, struct meeting *m, int n, pid_t *pids)
{
	struct guest in[16];
	if (n > 16)
		return false;
	for (int i = 0; i < n; i++)
		in[i] = (struct guest){m, n};
	atomic_store(&m->met, 0);
	return mpx_pool_map_sized(pool, meet, in, sizeof *in, pids, sizeof *pids, (size_t)n,
				  MPX_TASK(.chunksize = 1)) == 0;
}

/* Runs this program (its argv[0]) with one argument, a heap and an address space. */
struct anew {
	const char *program, *what;
	const char *heap;     /* MPX_HEAP_SIZE, or NULL */
	rlim_t address_space; /* RLIMIT_AS, or 0 */
};

static inline int exec_anew(void *arg)
{
	const struct anew *a = arg;
	struct rlimit limit = {a->address_space, a->address_space};
	if (a->heap)
		child_check(setenv("MPX_HEAP_SIZE", a->heap, 1) == 0);
	if (a->address_space)
		child_check(setrlimit(RLIMIT_AS, &limit) == 0);
	if (strchr(a->program, '/'))
		execl(a->program, a->program, a->what, (char *)NULL);
	execl("/proc/self/exe", a->program, a->what, (char *)NULL);
	child_check(errno == 0); /* not reached */
	return 99;
}

static inline int run_anew(const char *program, const char *what, const char *heap,
			   rlim_t address_space)
{
	struct anew a = {program, what, heap, address_space};
	return run_child(exec_anew, &a);
}

#ifdef __has_feature
#define FAMILY_HAS_FEATURE(x) __has_feature(x)
#else
#define FAMILY_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || FAMILY_HAS_FEATURE(thread_sanitizer)
#define THREAD_SANITIZED 1
#else
#define THREAD_SANITIZED 0
#endif
/* Sanitizers need more address space than any limit worth testing leaves them. */
#if defined(__SANITIZE_ADDRESS__) || FAMILY_HAS_FEATURE(address_sanitizer) || THREAD_SANITIZED
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* So many of something; with a sanitizer fewer, unless MPX_FAULT_LONG=1. */
static inline unsigned full_or(unsigned full, unsigned fewer)
{
	const char *form = getenv("MPX_FAULT_LONG");
	return SANITIZED && !(form && strcmp(form, "1") == 0) ? fewer : full;
}

/* With a sanitizer thousands of processes take minutes, and tell it nothing new. */
static inline void skip_thousands_of_processes(void)
{
	if (full_or(0, 1))
		skip();
}

#endif
