/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What does a map cost per item, when the task does next to nothing? Two workers.
 * Nanoseconds per item; x is the chunk size, 0 if it is chosen by the library. "in place":
 * the items are in shared memory; "copied": they are not.
 */
#include "bench.h"
#include "peer.h"

#include <mpx.h>
#include <stdlib.h>

enum { WORKERS = 2, ITEMS = 1000000, HASTY_ITEMS = 10000, PYTHON_ITEMS = 200000 };

static int add(const void *in, void *out)
{
	*(unsigned *)out = *(const unsigned *)in + 1;
	return 0;
}

/* Not known to the compiler, as it is not to a library. */
static peer_task *volatile task = add;

static mpx_pool *pool;
static struct items {
	unsigned *in, *out;
} shared, private;
static size_t items;

static void make(struct items *a, void *(*alloc)(size_t))
{
	a->in = alloc(items * sizeof *a->in);
	a->out = alloc(items * sizeof *a->out);
	bench_check(a->in && a->out);
	for (size_t i = 0; i < items; i++)
		a->in[i] = (unsigned)i;
}

/* Pages come to each process when it first looks at them: that is another question. */
static int touch(void *unused)
{
	volatile unsigned *all[] = {shared.in, shared.out};

	(void)unused;
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < items; i += 1024)
			all[k][i] = all[k][i];
	return 0;
}

/* Everything is there; and will not be, the next time, unless it is done again. */
static void check(struct items *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bench_check(a->out[i] == (unsigned)i + 1);
		a->out[i] = 0;
	}
}

struct how {
	struct items *items;
	size_t chunk;
};

#define MAP(name, call)                                                                            \
	static double name(size_t n, void *arg)                                                    \
	{                                                                                          \
		const struct how *how = arg;                                                       \
		const unsigned *in = how->items->in;                                               \
		unsigned *out = how->items->out;                                                   \
		double seconds = -bench_now();                                                     \
                                                                                                   \
		call;                                                                              \
		seconds += bench_now();                                                            \
		check(how->items, n);                                                              \
		return seconds;                                                                    \
	}                                                                                          \
	struct contender /* the semicolon's */

#define EACH                                                                                       \
	for (size_t i = 0; i < n; i++)                                                             \
	call(&in[i], &out[i])

MAP(ours, bench_check(mpx_pool_map_sized(pool, task, in, sizeof *in, out, sizeof *out, n,
					 MPX_TASK(.chunksize = how->chunk)) == 0));
MAP(loop, peer_task *call = task; EACH);

#ifdef _OPENMP
MAP(omp_dynamic, peer_task *call = task;
    _Pragma("omp parallel for num_threads(WORKERS) schedule(dynamic, how->chunk)") EACH);
MAP(omp_guided, peer_task *call = task;
    _Pragma("omp parallel for num_threads(WORKERS) schedule(guided)") EACH);
MAP(omp_static, peer_task *call = task;
    _Pragma("omp parallel for num_threads(WORKERS) schedule(static)") EACH);
#else
#define omp_dynamic BENCH_NO_RUN
#define omp_guided BENCH_NO_RUN
#define omp_static BENCH_NO_RUN
#endif

#ifdef BENCH_TBB
MAP(tbb, peer_tbb_map(task, in, sizeof *in, out, sizeof *out, n, how->chunk));
#else
#define tbb BENCH_NO_RUN
#endif

static double python(size_t n, void *arg)
{
	const struct how *how = arg;

	return bench_python("map", n, how->chunk);
}

static void measure(size_t chunk)
{
	struct how in_place = {&shared, chunk}, copied = {&private, chunk};
	const struct contender all[] = {
		{"libmpx, in place", ours, &in_place, items},
		{"libmpx, copied", ours, &copied, items},
		{"limit: loop", loop, &in_place, items},
		{"OpenMP dynamic", chunk ? omp_dynamic : NULL, &in_place, items},
		{"OpenMP guided", chunk ? NULL : omp_guided, &in_place, items},
		{"OpenMP static", chunk ? NULL : omp_static, &in_place, items},
		{"TBB", tbb, &in_place, items},
		{"Python map", chunk || bench_hasty() ? NULL : python, &in_place, PYTHON_ITEMS},
	};

	bench_compare("chunk", (double)chunk, all, sizeof all / sizeof *all);
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "map");
	items = bench_hasty() ? HASTY_ITEMS : ITEMS;
	make(&shared, mpx_malloc);
	make(&private, malloc);
	/* Before there are threads. */
	pool = mpx_pool_new(.processes = WORKERS, .initializer = touch);
	bench_check(pool);
	measure(0);
	for (size_t chunk = 1; chunk <= 16384; chunk *= chunk == 1 ? 16 : 4)
		measure(chunk);
	mpx_pool_free(pool);
	return bench_close();
}
