/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_progress.c - .progress and mpx_progress_bar. (CPython has none.)
 *
 *   of map, map_async with get and wait, imap over an array and over a generator: never
 *   less than before, ends once, with all of it; how often it is called at most; what failed
 *   and died is counted; items of a large chunk are seen; the thread and process it is called
 *   in; a callback that asks for the result; a result that nobody waits for.
 *   The bar: nothing where stderr is no terminal, a line that is wiped away where it is; over
 *   10 million items (with a sanitizer fewer, unless MPX_FAULT_LONG=1 in the environment).
 *
 * Seen to fail with these lines broken: the "finished" of mpx__result_wait(); the interval
 * (0); told never set; isatty() not asked; the last show("").
 */
#define _XOPEN_SOURCE 700 /* POSIX 2008 and posix_openpt */

#include "family.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

enum { N = 300 };

struct seen {
	int calls, ends;
	bool decreased, strange;
	size_t total; /* expected; 0: unknown */
	mpx_progress last;
	pthread_t thread;
	double begun;
	mpx_result *r;
	struct gate *g; /* opened as soon as half is done */
	size_t open_at;
};

static void watch(void *user, const mpx_progress *p)
{
	struct seen *s = user;
	s->calls++;
	s->ends += p->finished;
	s->decreased |= p->done < s->last.done || p->seconds < s->last.seconds ||
			p->failed < s->last.failed;
	s->strange |= p->total != s->total || (p->total && p->done > p->total) ||
		      p->failed > p->done || !pthread_equal(s->thread, pthread_self()) ||
		      p->rate < 0 || (p->total ? p->done && p->left < 0 : p->left >= 0);
	s->last = *p;
	if (s->g && p->done >= s->open_at)
		atomic_store(&s->g->open, true);
	if (s->r)
		s->strange |= mpx_result_get(s->r, NULL, 0) == 0 && !p->finished;
}

static struct seen seen_of(size_t total)
{
	return (struct seen){.total = total, .thread = pthread_self(), .begun = now()};
}

/* Ten a second, two more for the edges. */
static void ended_well(const struct seen *s, size_t failed)
{
	assert_int_equal(s->ends, 1);
	assert_true(s->last.finished);
	assert_false(s->decreased);
	assert_false(s->strange);
	assert_int_equal(s->last.failed, failed);
	assert_true(s->calls <= (now() - s->begun) * 10 + 2);
}

/* Inputs: how many milliseconds; -1 fails, -2 dies. */
static int take(const void *in, void *out)
{
	int ms = *(const int *)in;
	if (ms == -1)
		return EIO;
	if (ms == -2)
		raise(SIGKILL);
	for (int i = 0; i < ms; i++)
		nap();
	if (out)
		*(int *)out = ms;
	return 0;
}

static int in[N], out[N];

static void fill_in(int ms)
{
	for (int i = 0; i < N; i++)
		in[i] = ms;
}

static void test_map(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (size_t chunksize = 0; chunksize < N; chunksize += 50) {
		struct seen s = seen_of(N);
		fill_in(1);
		assert_ok(mpx_pool_map_sized(
			pool, take, in, sizeof *in, out, sizeof *out, N,
			MPX_TASK(.chunksize = chunksize, .progress = watch, .user = &s)));
		ended_well(&s, 0);
		assert_int_equal(s.last.done, N);
	}
	/* too quick for more than the end */
	struct seen s = seen_of(1);
	fill_in(0);
	assert_ok(mpx_pool_map_sized(pool, take, in, sizeof *in, out, sizeof *out, 1,
				     MPX_TASK(.progress = watch, .user = &s)));
	ended_well(&s, 0);
	s = seen_of(0);
	assert_ok(mpx_pool_map_sized(pool, take, in, sizeof *in, out, sizeof *out, 0,
				     MPX_TASK(.progress = watch, .user = &s)));
	ended_well(&s, 0);
	mpx_pool_free(pool);
}

static int wait_at_the_end(const void *item, void *result)
{
	struct gate *g = *(struct gate *const *)item;
	(void)result;
	if (mpx_task_index() < 99)
		return 0;
	return pass_gate(&g, NULL);
}

/* One chunk of 100, of which the last item waits until 99 have been seen. */
static void test_within_a_chunk(void **state)
{
	(void)state;
	struct seen s = seen_of(100);
	struct gate *gates[100];
	s.g = gate_new();
	s.open_at = 99;
	for (int i = 0; i < 100; i++)
		gates[i] = s.g;
	mpx_pool *pool = pool_of(2);
	assert_ok(mpx_pool_map_sized(pool, wait_at_the_end, gates, sizeof *gates, NULL, 0, 100,
				     MPX_TASK(.chunksize = 100, .progress = watch, .user = &s)));
	ended_well(&s, 0);
	assert_true(atomic_load(&s.g->open)); /* nobody else does that */
	assert_true(s.calls >= 2);
	mpx_pool_free(pool);
	mpx_free(s.g);
}

static void test_failures(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	struct seen s = seen_of(N);
	fill_in(1);
	for (int i = 0; i < N; i += 100)
		in[i] = -1;
	in[50] = in[250] = -2;
	assert_fails(mpx_pool_map_sized(pool, take, in, sizeof *in, out, sizeof *out, N,
					MPX_TASK(.chunksize = 20, .progress = watch, .user = &s)),
		     EIO);
	ended_well(&s, 5);
	assert_int_equal(s.last.done, N);
	mpx_pool_free(pool);
}

static int get_elsewhere(void *arg)
{
	mpx_result *r = arg;
	return mpx_result_get(r, NULL, SOON) == 0 ? 0 : 1;
}

static void test_async(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	struct seen s = seen_of(N);
	fill_in(2);
	mpx_result *r = mpx_pool_map_async(pool, take, in, sizeof *in, N, sizeof *out,
					   MPX_TASK(.progress = watch, .user = &s));
	assert_non_null(r);
	s.r = r;
	/* by short waits: still ten times a second at most, and once at the end */
	while (mpx_result_wait(r, 0.001) != 0)
		assert_int_equal(errno, ETIMEDOUT);
	assert_ok(mpx_result_get(r, out, 0));
	assert_ok(mpx_result_wait(r, SOON));
	ended_well(&s, 0);
	assert_int_equal(s.last.done, N);
	mpx_result_free(r);
	/* another process waits, nobody waits: not called */
	s = seen_of(N);
	r = mpx_pool_map_async(pool, take, in, sizeof *in, N, sizeof *out,
			       MPX_TASK(.progress = watch, .user = &s));
	assert_non_null(r);
	ends_well(start(get_elsewhere, r));
	assert_true(mpx_result_ready(r));
	assert_int_equal(s.calls, 0);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

static int count_up(void *user, void *item)
{
	int *next = user;
	*(int *)item = 1;
	return (*next)++ < N;
}

static void test_imap(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	for (int round = 0; round < 4; round++) {
		struct seen s = seen_of(round < 2 ? N : 0);
		int next = 0, got, fetched = 0;
		fill_in(1);
		if (round == 1)
			in[7] = -1;
		const mpx_task_options *o = MPX_TASK(.progress = watch, .user = &s);
		mpx_imap *it =
			round == 0   ? mpx_pool_imap(pool, take, in, sizeof *in, N, sizeof *out, o)
			: round == 1 ? mpx_pool_imap_unordered(pool, take, in, sizeof *in, N,
							       sizeof *out, o)
			: round == 2 ? mpx_pool_imap_from(pool, take, count_up, &next, sizeof *in,
							  sizeof *out, o)
				     : mpx_pool_imap_unordered_from(pool, take, count_up, &next,
								    sizeof *in, sizeof *out, o);
		assert_non_null(it);
		while ((got = mpx_imap_next(it, &out[0], round == 3 ? 0.001 : SOON)) != 0)
			fetched += got == 1 || errno == EIO;
		assert_int_equal(fetched, N);
		assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
		mpx_imap_free(it);
		ended_well(&s, round == 1);
		assert_int_equal(s.last.done, N);
	}
	/* left early: it ends there */
	struct seen s = seen_of(N);
	mpx_imap *it = mpx_pool_imap(pool, take, in, sizeof *in, N, sizeof *out,
				     MPX_TASK(.progress = watch, .user = &s));
	assert_non_null(it);
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 1);
	mpx_imap_free(it);
	ended_well(&s, 0);
	assert_int_equal(s.last.done, 1);
	mpx_pool_free(pool);
}

static void test_large(void **state)
{
	(void)state;
	enum { LARGE = 1000000 };
	unsigned *x = mpx_calloc(LARGE, sizeof *x);
	assert_non_null(x);
	mpx_pool *pool = pool_of(2);
	struct seen s = seen_of(LARGE);
	assert_ok(mpx_pool_map_sized(pool, square, x, sizeof *x, x, sizeof *x, LARGE,
				     MPX_TASK(.chunksize = 1, .progress = watch, .user = &s)));
	ended_well(&s, 0);
	assert_int_equal(s.last.done, LARGE);
	mpx_pool_free(pool);
	mpx_free(x);
}

/* ---- the bar ---------------------------------------------------------------- */

static const mpx_progress half = {
	.done = 500, .failed = 2, .total = 1000, .seconds = 5, .rate = 100, .left = 5};
static const mpx_progress unknown = {.done = 12345, .seconds = 4000, .rate = 30000, .left = -1};
static const mpx_progress finished = {.done = 1000, .total = 1000, .finished = true};

/* What the child writes to a stderr that is a terminal, or a pipe. */
static int draw(void *arg)
{
	int fd = *(int *)arg;
	child_check(dup2(fd, 2) == 2);
	mpx_progress_bar("before", &finished);
	mpx_progress_bar("squares", &half);
	mpx_progress_bar(NULL, &unknown);
	mpx_progress_bar("a label that is much too long for any terminal, by far", &half);
	mpx_progress_bar("squares", NULL);
	mpx_progress_bar("squares", &finished);
	mpx_progress_bar("squares", &finished);
	return 0;
}

static size_t read_all(int fd, char *text, size_t size)
{
	size_t n = 0;
	ssize_t got;
	while (n + 1 < size && (got = read(fd, text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return n;
}

static void test_bar_on_a_terminal(void **state)
{
	(void)state;
	char text[4096];
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0)
		skip();
	assert_ok(grantpt(master));
	assert_ok(unlockpt(master));
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(terminal >= 0);
	assert_int_equal(run_child(draw, &terminal), 0);
	assert_ok(fcntl(master, F_SETFL, O_NONBLOCK));
	size_t n = read_all(master, text, sizeof text);
	close(terminal);
	close(master);
	assert_int_equal(n, 4 * 81); /* three lines, and one of blanks */
	assert_non_null(strstr(text, "\rsquares   50% [##########..........]  500/1000  100/s  "
				     "0:05 left  2 failed"));
	assert_non_null(strstr(text, "\r12345  30.0k/s  1:06:40 "));
	assert_non_null(strstr(text, "\ra label that is much too   50% ["));
	assert_int_equal(text[3 * 81], '\r');
	assert_int_equal(strspn(text + 3 * 81 + 1, " "), 79);
	assert_null(strchr(text, '\n'));
}

/* Ten million items, and a bar on the way, which the last of them waits for. */
static struct gate *bar_gate;
static unsigned bar_items;

static int square_or_wait(const void *item, void *result)
{
	if (mpx_task_index() == bar_items - 1)
		pass_gate(&bar_gate, NULL);
	return square(item, result);
}

static int map_with_bar(void *arg)
{
	unsigned *x = mpx_malloc(bar_items * sizeof *x), *y = mpx_malloc(bar_items * sizeof *y);
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool && x && y);
	child_check(dup2(*(int *)arg, 2) == 2);
	for (unsigned i = 0; i < bar_items; i++)
		x[i] = i;
	child_check(mpx_pool_map_sized(pool, square_or_wait, x, sizeof *x, y, sizeof *y, bar_items,
				       MPX_TASK(.progress = mpx_progress_bar, .user = "squares")) ==
		    0);
	for (unsigned i = 0; i < bar_items; i++)
		child_check(y[i] == i * i);
	mpx_pool_free(pool);
	mpx_free(x);
	mpx_free(y);
	return 0;
}

/* "\rsquares  42% [...]  4200000/10000000  1.2M/s  0:05 left": how many, and not less than
 * before; 0 if there is none. */
static bool counts(const char *text, unsigned total, int *lines)
{
	unsigned long done = 0;
	*lines = 0;
	for (const char *p = text; (p = strstr(p, "\rsquares")); p++) {
		const char *bar = strchr(p, ']');
		char *slash;
		unsigned long before = done;
		if (!bar)
			return false;
		done = strtoul(bar + 1, &slash, 10);
		if (*slash != '/' || strtoul(slash + 1, NULL, 10) != total || done < before ||
		    done > total)
			return false;
		++*lines;
	}
	return true;
}

static void test_ten_million_with_a_bar(void **state)
{
	(void)state;
	static char text[1 << 18];
	size_t n = 0, lines_end;
	int lines = 0, master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0)
		skip();
	assert_ok(grantpt(master));
	assert_ok(unlockpt(master));
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(terminal >= 0);
	assert_ok(fcntl(master, F_SETFL, O_NONBLOCK));
	bar_items = full_or(10000000, 1000000);
	bar_gate = gate_new();
	mpx_process *p = start(map_with_bar, &terminal);
	while (mpx_process_is_alive(p)) {
		n += read_all(master, text + n, sizeof text - n);
		if (strstr(text, "left"))
			atomic_store(&bar_gate->open, true);
		nap();
	}
	ends_well(p);
	n += read_all(master, text + n, sizeof text - n);
	close(terminal);
	close(master);
	assert_true(counts(text, bar_items, &lines));
	assert_true(lines >= 1);
	/* and wiped away */
	lines_end = (size_t)lines * 81;
	assert_int_equal(n, lines_end + 81);
	assert_int_equal(strspn(text + lines_end + 1, " "), 79);
	mpx_free(bar_gate);
}

static void test_bar_elsewhere(void **state)
{
	(void)state;
	char text[256];
	int fd[2];
	assert_ok(pipe(fd));
	assert_int_equal(run_child(draw, &fd[1]), 0);
	close(fd[1]);
	assert_int_equal(read_all(fd[0], text, sizeof text), 0);
	close(fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_map),
		mpx_test(test_within_a_chunk),
		mpx_test(test_failures),
		mpx_test(test_async),
		mpx_test(test_imap),
		mpx_test(test_large),
		mpx_test(test_bar_on_a_terminal),
		mpx_test(test_ten_million_with_a_bar),
		mpx_test(test_bar_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
