/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * bench.h - what every benchmark stands on. A program asks one question, of several
 * contenders: libmpx, the limit (the least that the machine could do), and peers.
 *
 *     static double spin(size_t n, void *arg)
 *     {
 *             double begin = bench_now();
 *             ...n operations...
 *             return bench_now() - begin;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *             const struct contender all[] = {{.name = "spin", .run = spin}, ...};
 *
 *             bench_open(argc, argv, "lock");
 *             bench_compare("uncontended", 1, all, 2);
 *             return bench_close();
 *     }
 *
 * The contenders take turns, round by round, each round beginning with another one, so
 * that what the machine does meanwhile (other work, another clock rate, processors moved
 * by a hypervisor) falls on all of them. A ratio is taken within each round, and the
 * median of those is what counts.
 *
 * Every program takes: -r ROUNDS (7), -t MILLISECONDS that one measurement takes about
 * (30), -x PATTERN (the shell's) that "SERIES X" must match, or it is not measured ('*';
 * such as '1x1 64', 'chunk *'), -o FILE for the results, one JSON object a line:
 *
 *     {"question":"lock","series":"uncontended","x":1,"who":"libmpx","unit":"ns",
 *      "median":6.1,"low":6.0,"high":6.4,"values":[...]}
 *
 * low and high are the quartiles, values has one figure a round. Who took too long has
 * "values":[] and a "note" that says so.
 */
#ifndef BENCH_H
#define BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct contender {
	const char *name;
	/* Seconds for n operations; NAN: cannot; INFINITY: was ended, for it took too long. */
	double (*run)(size_t n, void *arg);
	void *arg;
	size_t fixed; /* n; 0: as many as take the time of -t */
};

/* The run of a contender that is not there. */
#define BENCH_NO_RUN ((double (*)(size_t, void *))0)

/* Reads the options. */
void bench_open(int argc, char **argv, const char *question);

/* Measures nanoseconds per operation. Contenders without a run are left out. */
void bench_compare(const char *series, double x, const struct contender *c, size_t count);

/* A result that the program found by itself. */
void bench_result(const char *series, double x, const char *who, const char *unit, double *values,
		  size_t count);

/* Why there is no result of who: he "took ...". Goes into the file only. */
void bench_note(const char *series, double x, const char *who, const char *note);

/* The exit status. */
int bench_close(void);

/* The options: how many rounds; is this only to see that everything works? */
int bench_rounds(void);
bool bench_hasty(void);

/* Seconds on the monotonic clock. */
double bench_now(void);

/* The calling thread runs on the which-th processor that it may use (modulo them). */
void bench_pin(int which);
/* On any of them again. */
void bench_unpin(void);
/* How many there are. */
int bench_processors(void);

/* What was measured was not the work: ends the program, unless it is true. */
#define bench_check(truth) ((truth) ? (void)0 : bench_wrong(__FILE__, __LINE__, #truth))
void bench_wrong(const char *file, int line, const char *what);

/* Memory that children of fork share, zeroed, touched; never NULL. */
void *bench_share(size_t size);
void bench_unshare(void *p, size_t size);

/*
 * body(0, arg) ... body(n - 1, arg), each in a process of its own on a processor of its
 * own (while there are some), begun together. The seconds from the first beginning to
 * the last end; INFINITY if they took so long that they were ended.
 */
double bench_race(int n, void (*body)(int who, void *arg), void *arg);
/* The same, all on one processor. */
double bench_race_on_one(int n, void (*body)(int who, void *arg), void *arg);

/* In a body: this is where it begins, or where it ends, in place of the whole body. */
void bench_race_begins(void);
void bench_race_ends(void);

/* Sleeps. */
void bench_nap(double seconds);

/* Of a loop that spins: the i-th time. Now and then gives the processor away, so that
 * spinners that share one get on. */
void bench_relax(unsigned i);

/* The system call, and nothing more. */
void bench_futex_wait(void *word, uint32_t value);
void bench_futex_wake(void *word, int n);

/* What Python's multiprocessing takes for n operations; arguments of peer.py. NAN: there is
 * no python3. */
double bench_python(const char *question, size_t n, size_t argument);

#ifdef __cplusplus
}
#endif

#endif
