/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How long does one task take, from submitting it to its result? Nanoseconds. "awake": one
 * after the other, with nothing between; "asleep": the workers have gone to sleep.
 */
#include "bench.h"
#include "peer.h"

#include <mpx.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, SPINS = 2000, NAPS = 40, FORKS = 40, PYTHON_TIMES = 200 };

static const double nap = 0.001;

static int add(const void *in, void *out)
{
	*(unsigned *)out = *(const unsigned *)in + 1;
	return 0;
}

/* --- the limit: a process that is handed one number at a time ---------------------- */

static struct hand {
	_Alignas(128) _Atomic uint32_t asked;
	unsigned in;
	_Alignas(128) _Atomic uint32_t answered;
	unsigned out;
} * hand;

static void wait_until(_Atomic uint32_t *word, uint32_t value)
{
	for (unsigned i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(word, memory_order_acquire) == value)
			return;
		bench_relax(0);
	}
	for (;;) {
		uint32_t now = atomic_load_explicit(word, memory_order_acquire);

		if (now == value)
			return;
		bench_futex_wait(word, now);
	}
}

static void post(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
	bench_futex_wake(word, 1);
}

static _Noreturn void serve(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(1);
	for (uint32_t i = 1;; i++) {
		wait_until(&hand->asked, i);
		add(&hand->in, &hand->out);
		post(&hand->answered, i);
	}
}

/* --- contenders -------------------------------------------------------------------- */

static mpx_pool *pool;

static void by_hand(unsigned *in, unsigned *out)
{
	uint32_t i = hand->asked + 1;

	hand->in = *in;
	post(&hand->asked, i);
	wait_until(&hand->answered, i);
	*out = hand->out;
}

static void by_mpx(unsigned *in, unsigned *out)
{
	bench_check(mpx_pool_apply(pool, add, in, out) == 0);
}

static void by_fork(unsigned *in, unsigned *out)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		add(in, &hand->out);
		_exit(0);
	}
	bench_check(waitpid(pid, &status, 0) == pid && status == 0);
	*out = hand->out;
}

#ifdef _OPENMP
/* Taken by the other thread: this one waits without taking tasks itself. */
static void by_openmp(unsigned *in, unsigned *out)
{
	static _Atomic uint32_t done;

	atomic_store(&done, 0);
#pragma omp task firstprivate(in, out)
	{
		add(in, out);
		atomic_store_explicit(&done, 1, memory_order_release);
	}
	while (!atomic_load_explicit(&done, memory_order_acquire))
		bench_relax(0);
}
#endif

#ifdef BENCH_GLIB
static void by_glib(unsigned *in, unsigned *out)
{
	peer_glib_apply(add, in, out);
}
#endif

#ifdef BENCH_TBB
static void by_tbb(unsigned *in, unsigned *out)
{
	peer_tbb_apply(add, in, out);
}
#endif

struct way {
	void (*apply)(unsigned *in, unsigned *out);
	bool sleepy;
};

static double times(size_t n, void *arg)
{
	const struct way *way = arg;
	double seconds = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned in = i, out = 0;

		if (way->sleepy)
			bench_nap(nap);
		if (way->sleepy || i == 0)
			seconds -= bench_now();
		way->apply(&in, &out);
		if (way->sleepy || i + 1 == n)
			seconds += bench_now();
		bench_check(out == i + 1);
	}
	return seconds;
}

#ifdef _OPENMP
static double in_region(size_t n, void *arg)
{
	double seconds = 0;

#pragma omp parallel num_threads(2)
#pragma omp single
	seconds = times(n, arg);
	return seconds;
}
#endif

static double python(size_t n, void *arg)
{
	(void)arg;
	return bench_python("apply", n, 0);
}

static double python_executor(size_t n, void *arg)
{
	(void)arg;
	return bench_python("executor", n, 0);
}

static void measure(const char *series, bool sleepy)
{
	const size_t n = sleepy ? NAPS : 0;
	struct way mpx = {by_mpx, sleepy}, hands = {by_hand, sleepy}, forks = {by_fork, sleepy};
	bool small = sleepy || bench_hasty();
#ifdef _OPENMP
	struct way openmp = {by_openmp, false};
#endif
#ifdef BENCH_GLIB
	struct way glib = {by_glib, sleepy};
#endif
#ifdef BENCH_TBB
	struct way tbb = {by_tbb, sleepy};
#endif
	const struct contender all[] = {
		{"libmpx", times, &mpx, n},
		{"limit: futex", times, &hands, n},
		{"fork", times, &forks, FORKS},
#ifdef _OPENMP
		{"OpenMP task", sleepy ? NULL : in_region, &openmp, n},
#endif
#ifdef BENCH_GLIB
		{"GLib pool", times, &glib, n},
#endif
#ifdef BENCH_TBB
		{"TBB enqueue", times, &tbb, n},
#endif
		{"Python apply", small ? NULL : python, NULL, PYTHON_TIMES},
		{"Python executor", small ? NULL : python_executor, NULL, PYTHON_TIMES},
	};

	bench_compare(series, 1, all, sizeof all / sizeof *all);
}

int main(int argc, char **argv)
{
	pid_t server;

	bench_open(argc, argv, "apply");
	hand = bench_share(sizeof *hand);
	server = fork();
	if (server == 0)
		serve();
	bench_check(server > 0);
	pool = mpx_pool_new(.processes = WORKERS); /* before there are threads */
	bench_check(pool);
	measure("awake", false);
	measure("asleep", true);
	mpx_pool_free(pool);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return bench_close();
}
