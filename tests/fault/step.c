/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step.c - the driver: see step.h. Kill points and scenarios are here.
 */
#define _GNU_SOURCE

#include "step_trace.h"

const struct step *step_now;
bool step_near_change;

#if STEP_POSSIBLE

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { MAX_FAILURES = 10 };

/* What all processes of a scenario see. */
struct shared {
	atomic_bool wrong;
	char text[400];
	atomic_bool begun[STEP_WAITERS];
	_Alignas(64) unsigned char world[];
};

static struct shared *shared;
static size_t world_size;
struct world *step_world;
static const struct step *all_steps;
static size_t n_steps;

static pid_t waiters[STEP_WAITERS];
static int started;

static struct step_victim *victim; /* the last that was killed */

static uint64_t longest[STEP_MAX_PATH];

static uint64_t seed, point_seed;
static bool long_form;
static double budget = 0.5;
static long only_point = -1;
static long point;
static long total_points, total_failures;
static long elsewhere; /* points whose victim was not where the first one was */

/* --- telling ---------------------------------------------------------------- */

void step_wrong(const char *file, int line, const char *what, int error)
{
	if (atomic_exchange(&shared->wrong, true))
		return;
	const char *name = strrchr(file, '/');
	snprintf(shared->text, sizeof shared->text, "%s:%d: not so: %s (errno %d, %s)",
		 name ? name + 1 : file, line, what, error, strerror(error));
}

uint64_t step_random(void)
{
	return next_random(&point_seed);
}

/* The harness's alarm knows the test; this one knows the kill point as well. */
static void on_alarm(int signal)
{
	static char text[200];
	(void)signal;
	int n = snprintf(text, sizeof text, "\n%s: kill point %ld: the driver itself hangs\n",
			 step_now->name, point);
	if (write(2, text, (size_t)n) < 0)
		_exit(98);
	abort();
}

/* --- waiters -------------------------------------------------------------------- */

static int run_waiter(void *arg)
{
	int i = *(int *)arg;
	step_become_child();
	atomic_store(&shared->begun[i], true);
	step_now->waiter(step_world, i);
	return 0;
}

void step_start_waiters(void)
{
	for (; started < step_now->waiters; started++) {
		waiters[started] = fork_child(run_waiter, &started);
		double end = now() + 1;
		while (now() < end && pid_running(waiters[started]) &&
		       !(atomic_load(&shared->begun[started]) && asleep(waiters[started])))
			sched_yield();
	}
	double end = now() + 1;
	while (step_now->in_place && !step_now->in_place(step_world) && now() < end)
		sched_yield();
}

int step_waiters_started(void)
{
	return started;
}

int step_waiters_running(void)
{
	int n = 0;
	for (int i = 0; i < started; i++)
		n += waiters[i] && pid_running(waiters[i]);
	return n;
}

static void end_waiters(void)
{
	double end = now() + 3 * STEP_HANG;
	for (int i = 0; i < started; i++) {
		int status = 0;
		pid_t r;
		while ((r = waitpid(waiters[i], &status, WNOHANG)) == 0 && now() < end)
			nap();
		if (r == 0) {
			errno = 0;
			step_check(!"a waiter hangs");
			kill(waiters[i], SIGKILL);
			waitpid(waiters[i], NULL, 0);
		} else if (status != 0) {
			errno = 0;
			step_check(!"a waiter died");
		}
		waiters[i] = 0;
	}
}

/* --- deaths on order -------------------------------------------------------------- */

static int perform_and_die(void *arg)
{
	struct step_order *o = arg;
	step_become_child();
	o->victim(o->w);
	kill(getpid(), SIGKILL);
	return 1;
}

void step_die(void (*fn)(struct world *w), struct world *w)
{
	struct step_order o = {NULL, fn, w};
	step_check(wait_child(fork_child(perform_and_die, &o)) == -SIGKILL);
}

long step_die_at(void (*before)(struct world *w), void (*fn)(struct world *w), struct world *w,
		 long n)
{
	struct step_order o = {before, fn, w};
	struct step_victim v;
	long done;
	step_start_victim(&v, &o);
	done = step_many(&v, n);
	step_kill_victim(&v);
	return done;
}

pid_t step_let_child_go(void)
{
	return step_release_child(victim);
}

/* --- a kill point ------------------------------------------------------------------- */

/* Makes everything, gets the victim to instruction n (-1: to the end, taking the
 * path), kills it, and looks. */
static void try_point(long n, struct step_victim *v)
{
	struct step_order o = {step_now->before, step_now->victim, step_world};
	size_t blocks = heap_blocks();
	alarm(60);
	started = 0;
	step_long_copy = step_now->varies ? 64 : 8192;
	point = n;
	point_seed = seed + (uint64_t)n * 1000003;
	step_near_change = n >= 0 && n <= step_first_change && n + 20 > step_first_change;
	atomic_store(&shared->wrong, false);
	memset(shared->begun, 0, sizeof shared->begun);
	memset(shared->world, 0, world_size);
	step_now->make(step_world);
	if (step_now->whom)
		step_seize(v, step_now->whom(step_world));
	else
		step_start_victim(v, &o);
	if (!step_now->late)
		step_start_waiters();
	if (n < 0)
		step_take_path(v, step_now->whom || step_now->until_asleep);
	else if (step_now->whom || step_now->varies)
		step_many(v, n);
	else
		step_to(v, n);
	if (step_now->whom && v->pid <= 0)
		return;
	elsewhere +=
		n >= 0 && !step_now->varies && n < step_path_length && v->regs.rip != step_path[n];
	step_kill_victim(v);
	victim = v;
	errno = 0;
	step_now->killed(step_world);
	end_waiters();
	step_kill_child(v);
	step_now->after(step_world);
	if (step_now->open)
		return; /* what is kept may hold a block now and then */
	size_t left = heap_blocks();
	for (double end = now() + 1;
	     left > blocks + step_now->may_lose && step_now->whom && now() < end; nap())
		left = heap_blocks();
	if (left < blocks || left > blocks + step_now->may_lose) {
		char text[100];
		snprintf(text, sizeof text, "blocks in the heap: %zu before, %zu after", blocks,
			 left);
		step_wrong(__FILE__, __LINE__, text, 0);
	}
}

static int failures;

static void account(const struct step_victim *v)
{
	if (!atomic_load(&shared->wrong))
		return;
	failures++;
	printf("    FAILED %s, kill point %ld of %ld (seed %llu):\n      %s\n", step_now->name,
	       point, step_path_length, (unsigned long long)seed, shared->text);
	step_print_where(v);
	fflush(stdout);
}

/* --- a scenario ----------------------------------------------------------------------- */

static long candidate[STEP_MAX_PATH];
static long candidates;

/* The short form has few of the points inside an instruction that repeats. */
static void choose_candidates(void)
{
	candidates = 0;
	for (long i = 0; i < step_path_length; i++)
		if (long_form || i == 0 || step_path[i] != step_path[i - 1] ||
		    (uint64_t)i % 97 == seed % 97)
			candidate[candidates++] = i;
}

static double scenario_seconds(void)
{
	return budget * (step_now->seconds > 0 ? step_now->seconds : 1);
}

static long choose_stride(void)
{
	static struct step_victim v;
	if (long_form)
		return 1;
	/* What do points cost? Two of them tell. */
	double begin = now();
	try_point(step_path_length / 2, &v);
	account(&v);
	try_point(step_path_length - 1, &v);
	account(&v);
	double points = 2 * scenario_seconds() / (now() - begin);
	if (points < 10)
		points = 10;
	return (long)((double)candidates / points) + 1;
}

static void find_path(struct step_victim *v)
{
	long length = 0;
	for (int i = 0; i < (step_now->varies ? 12 : 1); i++) {
		try_point(-1 - i, v);
		account(v);
		if (step_path_length > length) {
			memcpy(longest, step_path, (size_t)step_path_length * sizeof *step_path);
			length = step_path_length;
		}
	}
	memcpy(step_path, longest, (size_t)length * sizeof *step_path);
	step_path_length = length;
}

static void run(void **state)
{
	static struct step_victim v;
	struct sigaction mine = {.sa_handler = on_alarm}, harness;
	long points = 0, stride = 1;
	double begin = now();
	for (size_t i = 0; i < n_steps; i++)
		if (all_steps[i].name == *state)
			step_now = &all_steps[i];
	sigemptyset(&mine.sa_mask);
	sigaction(SIGALRM, &mine, &harness);
	memset(shared->world, 0, world_size);
	failures = 0;
	elsewhere = 0;
	step_first_change = 0;
	if (step_now->open)
		step_now->open(step_world);
	find_path(&v);
	if (only_point >= 0) {
		try_point(only_point, &v);
		account(&v);
		points = 1;
	} else {
		choose_candidates();
		stride = choose_stride();
		points = long_form ? 0 : 2;
		/* In no order, so that whoever runs out of time has been everywhere. */
		long first = (long)(seed % (uint64_t)stride), prime = 7919;
		long wanted = (candidates - first + stride - 1) / stride;
		double end = long_form ? 1e300 : now() + 2 * scenario_seconds();
		for (long i = 0; i < wanted && failures < MAX_FAILURES; i++) {
			long k = wanted % prime ? i * prime % wanted : i;
			if (i >= 20 && now() > end)
				break;
			try_point(candidate[first + k * stride], &v);
			account(&v);
			points++;
		}
	}
	if (step_now->close) {
		atomic_store(&shared->wrong, false);
		step_now->close(step_world);
		account(&v);
	}
	alarm(0);
	sigaction(SIGALRM, &harness, NULL);
	printf("  %-52s %5ld instructions, %5ld kill points, %d failures", step_now->name,
	       step_path_length, points, failures);
	if (elsewhere)
		printf(" (%ld took another path)", elsewhere);
	printf(", %.1f s\n", now() - begin);
	fflush(stdout);
	total_points += points;
	total_failures += failures;
	if (step_now->may_lose || failures)
		harness_rebase();
	if (failures)
		fail_msg("%d of %ld kill points", failures, points);
}

/* --- all ------------------------------------------------------------------------------- */

/* On one processor the library does not spin before it sleeps: hundreds of
 * instructions that all are the same one. */
static void begin_family_without_spinning(void)
{
	cpu_set_t all, one;
	CPU_ZERO(&one);
	CPU_ZERO(&all);
	bool known = sched_getaffinity(0, sizeof all, &all) == 0;
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (known && CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	if (known)
		sched_setaffinity(0, sizeof one, &one);
	step_throw_away = mpx_lock_new();
	if (known)
		sched_setaffinity(0, sizeof all, &all);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int step_main(const struct step *list, size_t n, size_t size)
{
	struct CMUnitTest tests[64];
	if (n > 64 || !step_may_trace()) {
		printf("skipped: no ptrace\n");
		return 77;
	}
	long_form = number("MPX_FAULT_LONG", 0) != 0;
	seed = number("MPX_FAULT_SEED", (uint64_t)getpid());
	budget = getenv("MPX_FAULT_SECONDS") ? atof(getenv("MPX_FAULT_SECONDS")) : budget;
	only_point = (long)number("MPX_FAULT_POINT", (uint64_t)-1);
	all_steps = list;
	n_steps = n;
	world_size = size;
	shared = mmap(NULL, sizeof *shared + size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	step_world = (struct world *)(void *)shared->world;
	begin_family_without_spinning();
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){list[i].name, run, harness_setup, harness_teardown,
					       (void *)(uintptr_t)list[i].name};
	printf("seed %llu\n", (unsigned long long)seed);
	int failed = _cmocka_run_group_tests("step", tests, n, NULL, NULL);
	mpx_lock_free(step_throw_away);
	printf("total: %zu scenarios, %ld kill points, %ld failures (seed %llu)\n", n, total_points,
	       total_failures, (unsigned long long)seed);
	return failed;
}

#else

int step_main(const struct step *list, size_t n, size_t size)
{
	(void)list;
	(void)n;
	(void)size;
	printf("skipped: instructions are counted on Linux x86_64 only\n");
	return 77;
}

void step_start_waiters(void)
{
}

int step_waiters_started(void)
{
	return 0;
}

int step_waiters_running(void)
{
	return 0;
}

void step_die(void (*fn)(struct world *w), struct world *w)
{
	(void)fn;
	(void)w;
}

long step_die_at(void (*before)(struct world *w), void (*fn)(struct world *w), struct world *w,
		 long n)
{
	(void)before;
	(void)fn;
	(void)w;
	return n;
}

uint64_t step_random(void)
{
	return 0;
}

void step_end_here(void)
{
}

pid_t step_let_child_go(void)
{
	return 0;
}

void step_wrong(const char *file, int line, const char *what, int error)
{
	(void)file;
	(void)line;
	(void)what;
	(void)error;
}

#endif
