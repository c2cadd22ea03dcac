/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "bench.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Before each measurement: threads of the one before go on spinning for a while. */
#define SETTLE 0.002

/* What one measurement takes at most, in seconds, if -t says nothing else. */
#define LONGEST 0.5

enum { MAX_ROUNDS = 1000, MAX_CONTENDERS = 64, MAX_RACERS = 256, TOO_LONG = 10 };

static struct {
	const char *question;
	const char *who;  /* is being measured */
	const char *only; /* what is asked for; NULL: all */
	int rounds;
	double seconds; /* that one measurement should take */
	FILE *json;
	bool failed; /* we hung */
	cpu_set_t processors;
} bench;

/* --- the machine ------------------------------------------------------------------- */

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_nap(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

int bench_processors(void)
{
	return CPU_COUNT(&bench.processors);
}

void bench_pin(int which)
{
	cpu_set_t one;
	int left = which % bench_processors();

	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &bench.processors) || left-- > 0)
			continue;
		CPU_SET(cpu, &one);
		break;
	}
	sched_setaffinity(0, sizeof one, &one);
}

void bench_unpin(void)
{
	sched_setaffinity(0, sizeof bench.processors, &bench.processors);
}

void bench_relax(unsigned i)
{
	if (i % 1024 == 1023)
		sched_yield();
#if defined(__x86_64__) || defined(__i386__)
	else
		__builtin_ia32_pause();
#endif
}

void bench_futex_wait(void *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void bench_futex_wake(void *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

void bench_wrong(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s: not so: %s (errno: %s)\n", file, line,
		bench.who ? bench.who : bench.question, what, strerror(errno));
	fflush(NULL);
	_exit(1);
}

void *bench_share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	bench_check(p != MAP_FAILED);
	return p;
}

void bench_unshare(void *p, size_t size)
{
	munmap(p, size);
}

/* --- races ------------------------------------------------------------------------- */

struct racer {
	_Alignas(64) double begin;
	double end; /* 0: not yet */
};

struct race {
	_Atomic int here;
	struct racer racer[MAX_RACERS];
};

static struct racer *me;

void bench_race_begins(void)
{
	me->begin = bench_now();
}

void bench_race_ends(void)
{
	me->end = bench_now();
}

static _Noreturn void run_racer(struct race *race, int n, int who, void (*body)(int who, void *arg),
				void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(TOO_LONG);
	atomic_fetch_add(&race->here, 1);
	for (unsigned i = 0; atomic_load(&race->here) < n; i++)
		bench_relax(i);
	me = &race->racer[who];
	bench_race_begins();
	body(who, arg);
	if (me->end == 0)
		bench_race_ends();
	_exit(0);
}

static double run_race(int n, bool apart, void (*body)(int who, void *arg), void *arg)
{
	struct race *race = bench_share(sizeof *race);
	double begin = INFINITY, end = 0;
	pid_t pids[MAX_RACERS];

	bench_check(n <= MAX_RACERS);
	fflush(NULL);
	for (int who = 0; who < n; who++) {
		pids[who] = fork();
		bench_check(pids[who] >= 0);
		if (pids[who] == 0) {
			bench_pin(apart ? who : 0);
			run_racer(race, n, who, body, arg);
		}
	}
	for (int who = 0; who < n; who++) {
		int status;

		bench_check(waitpid(pids[who], &status, 0) == pids[who]);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			end = INFINITY;
		else
			bench_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		begin = fmin(begin, race->racer[who].begin);
		end = fmax(end, race->racer[who].end);
	}
	bench_unshare(race, sizeof *race);
	return end - begin;
}

double bench_race(int n, void (*body)(int who, void *arg), void *arg)
{
	return run_race(n, true, body, arg);
}

double bench_race_on_one(int n, void (*body)(int who, void *arg), void *arg)
{
	return run_race(n, false, body, arg);
}

/* --- Python ------------------------------------------------------------------------ */

double bench_python(const char *question, size_t n, size_t argument)
{
	char command[1024];
	double seconds = NAN;
	FILE *out;

	snprintf(command, sizeof command, "python3 '%s/peer.py' %s %zu %zu 2>/dev/null",
		 BENCH_SOURCE_DIR, question, n, argument);
	out = popen(command, "r");
	if (!out)
		return NAN;
	if (fscanf(out, "%lf", &seconds) != 1)
		seconds = NAN;
	return pclose(out) == 0 ? seconds : NAN;
}

/* --- results ----------------------------------------------------------------------- */

void bench_open(int argc, char **argv, const char *question)
{
	int option;

	bench.question = question;
	bench.rounds = 7;
	bench.seconds = 0.03;
	sched_getaffinity(0, sizeof bench.processors, &bench.processors);
	while ((option = getopt(argc, argv, "r:t:x:o:")) != -1) {
		if (option == 'r')
			bench.rounds = atoi(optarg);
		else if (option == 't')
			bench.seconds = atof(optarg) / 1000;
		else if (option == 'x')
			bench.only = optarg;
		else if (option == 'o')
			bench.json = fopen(optarg, "ae");
		if (option == '?' || bench.rounds < 1 || bench.rounds > MAX_ROUNDS ||
		    !(bench.seconds > 0) || (option == 'o' && !bench.json)) {
			fprintf(stderr,
				"usage: %s [-r ROUNDS] [-t MILLISECONDS] [-x PATTERN] [-o FILE]\n",
				argv[0]);
			exit(2);
		}
	}
}

static bool asked_for(const char *series, double x)
{
	char text[128];

	snprintf(text, sizeof text, "%s %.12g", series, x);
	return !bench.only || fnmatch(bench.only, text, 0) == 0;
}

int bench_rounds(void)
{
	return bench.rounds;
}

bool bench_hasty(void)
{
	return bench.seconds < 0.005;
}

int bench_close(void)
{
	bool good = !bench.json || fclose(bench.json) == 0;

	return fflush(stdout) == 0 && good && !bench.failed ? 0 : 1;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double q)
{
	double at = q * (double)(count - 1);
	size_t i = (size_t)at;
	double part = at - (double)i;

	return part > 0 ? sorted[i] * (1 - part) + sorted[i + 1] * part : sorted[i];
}

void bench_result(const char *series, double x, const char *who, const char *unit, double *values,
		  size_t count)
{
	double sorted[MAX_ROUNDS], median, low, high;

	if (count == 0 || isnan(values[0]) || !asked_for(series, x))
		return;
	memcpy(sorted, values, count * sizeof *values);
	qsort(sorted, count, sizeof *sorted, compare);
	median = quantile(sorted, count, 0.5);
	low = quantile(sorted, count, 0.25);
	high = quantile(sorted, count, 0.75);
	printf("%-10s %-16s %10.10g  %-22s %12.5g %-3s  (%.4g to %.4g)\n", bench.question, series,
	       x, who, median, unit, low, high);
	fflush(stdout);
	if (!bench.json)
		return;
	fprintf(bench.json,
		"{\"question\":\"%s\",\"series\":\"%s\",\"x\":%.12g,\"who\":\"%s\",\"unit\":\"%s\","
		"\"median\":%.6g,\"low\":%.6g,\"high\":%.6g,\"values\":[",
		bench.question, series, x, who, unit, median, low, high);
	for (size_t i = 0; i < count; i++)
		fprintf(bench.json, "%s%.6g", i ? "," : "", values[i]);
	fprintf(bench.json, "]}\n");
	fflush(bench.json);
}

void bench_note(const char *series, double x, const char *who, const char *note)
{
	if (!bench.json || !asked_for(series, x))
		return;
	fprintf(bench.json,
		"{\"question\":\"%s\",\"series\":\"%s\",\"x\":%.12g,\"who\":\"%s\",\"values\":[],"
		"\"note\":\"%s\"}\n",
		bench.question, series, x, who, note);
	fflush(bench.json);
}

/* Others may be slow, or spin for ever where there are fewer processors than processes;
 * that is not for us. */
static void give_up(const char *series, double x, const struct contender *c, double seconds)
{
	char note[64] = "cannot";

	if (!isnan(seconds)) {
		snprintf(note, sizeof note, "took longer than %d s", TOO_LONG);
		bench_note(series, x, c->name, note);
	}
	fprintf(stderr, "%s %s %.12g: %s is left out: it %s\n", bench.question, series, x, c->name,
		note);
	if (strncmp(c->name, "libmpx", 6) == 0)
		bench.failed = true;
}

/* How long one measurement of it should take, in seconds: so long that what it takes to begin
 * (processes are made, and come to a processor) is a small part of it. */
static double enough(const struct contender *c)
{
	double begin;

	if (bench_hasty())
		return bench.seconds;
	begin = c->run(1, c->arg);
	return isfinite(begin) ? fmax(bench.seconds, fmin(10 * begin, LONGEST)) : begin;
}

/* How many operations take that long. On a busy machine one run tells little: what it says is
 * tried. */
static size_t calibrate(const char *series, double x, const struct contender *c)
{
	double best = INFINITY; /* seconds per operation */
	double goal;
	size_t n = 16;

	if (c->fixed)
		return c->fixed;
	bench.who = c->name;
	goal = enough(c);
	for (int tries = 0, agreed = 0; agreed < 2 && tries < 30; tries++) {
		double wanted, seconds = isfinite(goal) ? c->run(n, c->arg) : goal;

		if (!isfinite(seconds)) {
			give_up(series, x, c, seconds);
			return 0;
		}
		best = fmin(best, seconds / (double)n);
		wanted = ceil(goal / best);
		agreed = (double)n >= wanted / 2 ? agreed + 1 : 0;
		n = (size_t)fmin(wanted, (double)n * 8);
	}
	return n;
}

void bench_compare(const char *series, double x, const struct contender *c, size_t count)
{
	static double values[MAX_CONTENDERS][MAX_ROUNDS];
	size_t n[MAX_CONTENDERS];

	bench_check(count <= MAX_CONTENDERS);
	if (!asked_for(series, x))
		return;
	for (size_t i = 0; i < count; i++)
		n[i] = c[i].run ? calibrate(series, x, &c[i]) : 0;
	for (int round = 0; round < bench.rounds; round++) {
		for (size_t k = 0; k < count; k++) {
			size_t i = (k + (size_t)round) % count;

			if (!n[i])
				continue;
			bench.who = c[i].name;
			bench_nap(SETTLE);
			values[i][round] = 1e9 * c[i].run(n[i], c[i].arg) / (double)n[i];
			if (!isfinite(values[i][round])) {
				give_up(series, x, &c[i], values[i][round]);
				n[i] = 0;
			}
		}
	}
	for (size_t i = 0; i < count; i++)
		if (n[i])
			bench_result(series, x, c[i].name, "ns", values[i], (size_t)bench.rounds);
}
