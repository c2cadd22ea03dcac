/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How much faster do several workers compute? Nanoseconds per call of work for the
 * processor only. "calls": 20 calls by two workers; "workers": 64 calls by x of them.
 */
#include "bench.h"
#include "peer.h"

#include <mpx.h>

enum { WORKERS = 2, CALLS = 20, MANY_CALLS = 64, PRIME = 1000000007, NUMBER = 1500000 };

static unsigned number[MANY_CALLS];
static uint64_t expected[MANY_CALLS], sums[MANY_CALLS];
static mpx_pool *pool;

static int compute(const void *in, void *out)
{
	const unsigned n = *(const unsigned *)in;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++)
		sum = (sum + i * i) % PRIME;
	*(uint64_t *)out = sum;
	return 0;
}

#define CPU(name, call)                                                                            \
	static double name(size_t n, void *arg)                                                    \
	{                                                                                          \
		double seconds = -bench_now();                                                     \
                                                                                                   \
		(void)arg;                                                                         \
		call;                                                                              \
		seconds += bench_now();                                                            \
		for (size_t i = 0; i < n; i++) {                                                   \
			bench_check(sums[i] == expected[i]);                                       \
			sums[i] = 0;                                                               \
		}                                                                                  \
		return seconds;                                                                    \
	}                                                                                          \
	struct contender /* the semicolon's */

#define EACH                                                                                       \
	for (size_t i = 0; i < n; i++)                                                             \
	compute(&number[i], &sums[i])

CPU(loop, EACH);
CPU(ours, bench_check(mpx_pool_map(pool, compute, number, sums, n) == 0));
#ifdef _OPENMP
CPU(openmp, _Pragma("omp parallel for num_threads(WORKERS) schedule(dynamic)") EACH);
#else
#define openmp BENCH_NO_RUN
#endif
#ifdef BENCH_TBB
CPU(tbb, peer_tbb_map(compute, number, sizeof *number, sums, sizeof *sums, n, 1));
#else
#define tbb BENCH_NO_RUN
#endif

int main(int argc, char **argv)
{
	const struct contender two[] = {
		{"libmpx", ours, NULL, CALLS},
		{"limit: loop", loop, NULL, CALLS},
		{"OpenMP dynamic", openmp, NULL, CALLS},
		{"TBB", tbb, NULL, CALLS},
	};
	const struct contender more[] = {
		{"libmpx", ours, NULL, MANY_CALLS},
		{"limit: loop", loop, NULL, MANY_CALLS},
	};

	bench_open(argc, argv, "cpu");
	for (unsigned i = 0; i < MANY_CALLS; i++) {
		number[i] = (bench_hasty() ? NUMBER / 100 : NUMBER) + i;
		compute(&number[i], &expected[i]);
	}
	for (int workers = 1; workers <= 16; workers *= 2) {
		pool = mpx_pool_new(.processes = workers); /* before there are threads */
		bench_check(pool);
		bench_compare("workers", workers, more, sizeof more / sizeof *more);
		mpx_pool_free(pool);
	}
	pool = mpx_pool_new(.processes = WORKERS);
	bench_check(pool);
	bench_compare("calls", CALLS, two, sizeof two / sizeof *two);
	mpx_pool_free(pool);
	return bench_close();
}
