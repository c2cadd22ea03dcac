/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_trace.c - the timeline by MPX_TRACE. (CPython has none.) This program runs itself
 * anew with the variable set, and reads what that leaves, by a strict parser of JSON:
 *
 *   every item of a map, of imap and apply is in one bar; the bars of a row do not overlap;
 *   jobs begin and end; names of functions and of .name, with any characters; workers that
 *   die in a task and idle, with the bar they were in; retries, failures, timeouts, cancels;
 *   a broken pool; several pools, also nested, in a child, in a program that it runs; what
 *   a killed program leaves; the page; files that cannot be written; chdir; a user who
 *   closes all descriptors.
 *
 * Seen to fail with these lines broken: the append of end_file(); end_current() not called;
 * flush() that does not empty its row; is_free() returning true; set_path() without getcwd().
 */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* mkdtemp */

#include "family.h"

#include <signal.h>
#include <sys/stat.h>

static const char *program;

/* ---- events, read strictly ------------------------------------------------ */

struct event {
	char ph, name[64], cat[16], what[64], died[64];
	long long pid, tid, item, items, job, worker, attempt, attempts, error;
	double ts, dur;
	char id[16];
};

struct events {
	size_t n;
	bool closed; /* by a bracket */
	struct event *e;
	char *text;
};

static const char *at; /* where the parser is */

static void space(void)
{
	while (*at == ' ' || *at == '\n')
		at++;
}

static bool eat(char c)
{
	space();
	if (*at != c)
		return false;
	at++;
	return true;
}

static void must(char c)
{
	if (!eat(c))
		fail_msg("'%c' expected: %.60s", c, at);
}

static void string(char *to, size_t size)
{
	size_t n = 0;
	must('"');
	while (*at != '"') {
		unsigned c = (unsigned char)*at++;
		assert_true(c >= 0x20);
		if (c == '\\') {
			char hex[5] = "";
			if (*at != 'u')
				fail_msg("escape: %.20s", at);
			memcpy(hex, at + 1, 4);
			assert_int_equal(strspn(hex, "0123456789abcdef"), 4);
			c = (unsigned)strtoul(hex, NULL, 16);
			at += 5;
		}
		if (n + 1 < size)
			to[n++] = (char)c;
	}
	at++;
	to[n] = '\0';
}

static double number(void)
{
	char *end;
	space();
	double x = strtod(at, &end);
	if (end == at)
		fail_msg("number expected: %.60s", at);
	at = end;
	return x;
}

/* The members of an object into e; args and id2 are objects themselves. */
static void object(struct event *e, bool inner)
{
	must('{');
	if (eat('}'))
		return;
	do {
		char key[32], text[128] = "";
		double x = 0;
		string(key, sizeof key);
		must(':');
		space();
		if (*at == '{') {
			object(e, true);
			continue;
		}
		if (*at == '"')
			string(text, sizeof text);
		else
			x = number();
		char *to = !strcmp(key, "name")	   ? e->name
			   : !strcmp(key, "cat")   ? e->cat
			   : !strcmp(key, "what")  ? e->what
			   : !strcmp(key, "died")  ? e->died
			   : !strcmp(key, "local") ? e->id
						   : NULL;
		size_t room = to == e->cat || to == e->id ? 16 : 64;
		if (to)
			snprintf(to, room, "%.*s", (int)room - 1, text);
		else if (!strcmp(key, "ph"))
			e->ph = text[0];
		else if (!strcmp(key, "pid") && inner)
			e->worker = (long long)x;
		else if (!strcmp(key, "pid"))
			e->pid = (long long)x;
		else if (!strcmp(key, "ts"))
			e->ts = x;
		else if (!strcmp(key, "dur"))
			e->dur = x;
		static const char *const keys[] = {"tid",     "item",	  "items", "job",
						   "attempt", "attempts", "error"};
		long long *const fields[] = {&e->tid,	  &e->item,	&e->items, &e->job,
					     &e->attempt, &e->attempts, &e->error};
		for (int i = 0; i < 7; i++)
			if (!strcmp(key, keys[i]))
				*fields[i] = (long long)x;
	} while (eat(','));
	must('}');
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size_t n = (size_t)ftell(f);
	rewind(f);
	char *text = malloc(n + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, n, f), n);
	fclose(f);
	text[n] = '\0';
	return text;
}

static struct events parse(char *text, const char *from)
{
	struct events all = {.text = text};
	size_t room = 0;
	at = from;
	must('[');
	do {
		if (all.n == room) {
			room = room ? 2 * room : 256;
			all.e = realloc(all.e, room * sizeof *all.e);
			assert_non_null(all.e);
		}
		memset(&all.e[all.n], 0, sizeof *all.e);
		object(&all.e[all.n++], false);
	} while (eat(','));
	all.closed = eat(']');
	space();
	assert_int_equal(*at, '\0');
	return all;
}

static struct events read_events(const char *path)
{
	char *text = read_text(path);
	return parse(text, text);
}

static void forget(struct events *all)
{
	free(all->e);
	free(all->text);
}

static int by_row(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

/* Sorts them. A microsecond has three decimals, so sums may be off by less than one. */
static void rows_do_not_overlap(struct events *all)
{
	const struct event *before = NULL;
	qsort(all->e, all->n, sizeof *all->e, by_row);
	for (size_t i = 0; i < all->n; i++) {
		const struct event *e = &all->e[i];
		if (e->ph != 'X')
			continue;
		assert_true(e->dur >= 0);
		if (before && before->pid == e->pid && before->tid == e->tid &&
		    before->ts + before->dur > e->ts + 0.01)
			fail_msg("%.3f + %.3f overlaps %.3f", before->ts, before->dur, e->ts);
		before = e;
	}
}

static int count(const struct events *all, char ph, const char *cat, const char *part)
{
	int n = 0;
	for (size_t i = 0; i < all->n; i++)
		n += all->e[i].ph == ph && (!cat || !strcmp(all->e[i].cat, cat)) &&
		     (!part || strstr(all->e[i].name, part) || strstr(all->e[i].what, part));
	return n;
}

/* In how many bars of that name the item is. */
static int covers(const struct events *all, const char *name, long long item)
{
	int n = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct event *e = &all->e[i];
		n += e->ph == 'X' && !strcmp(e->name, name) && item >= e->item &&
		     item < e->item + e->items;
	}
	return n;
}

static const struct event *find(const struct events *all, const char *cat, long long item)
{
	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->e[i].cat, cat) && (item < 0 || all->e[i].item == item))
			return &all->e[i];
	fail_msg("no %s", cat);
	return NULL;
}

/* ---- what the program does when it is run anew ------------------------------ */

static int twice(const void *in, void *out)
{
	*(int *)out = 2 * *(const int *)in;
	return 0;
}

enum { ITEMS = 500 };
static int numbers[ITEMS], results[ITEMS];

static mpx_pool *pool_in_child(int processes)
{
	mpx_pool *pool = mpx_pool_new(.processes = processes);
	child_check(pool);
	for (int i = 0; i < ITEMS; i++)
		numbers[i] = i;
	return pool;
}

static int map_named(mpx_pool *pool, mpx_task *fn, int n, size_t chunksize, const char *name)
{
	return mpx_pool_map_sized(pool, fn, numbers, sizeof *numbers, results, sizeof *results,
				  (size_t)n, MPX_TASK(.chunksize = chunksize, .name = name));
}

static void do_work(void)
{
	mpx_pool *pool = pool_in_child(3);
	int got, fetched = 0;
	child_check(map_named(pool, twice, ITEMS, 7, "chunks of 7") == 0);
	child_check(map_named(pool, twice, ITEMS, 1, NULL) == 0);
	child_check(map_named(pool, twice, 1, 1, "\"<\\\xc3\xa9\xff</script>\n") == 0);
	mpx_imap *it = mpx_pool_imap(pool, twice, numbers, sizeof *numbers, ITEMS, sizeof *results,
				     MPX_TASK(.chunksize = 3, .name = "imap"));
	child_check(it);
	while (mpx_imap_next(it, &got, SOON) == 1)
		fetched++;
	child_check(fetched == ITEMS);
	mpx_imap_free(it);
	mpx_pool_free(pool);
}

static int misbehave(const void *in, void *out)
{
	int x = *(const int *)in;
	if (x == 5)
		raise(SIGKILL);
	if (x == 8 && mpx_task_attempt() < 2)
		return mpx_fail(EIO, "try \"again\"");
	if (x == 11)
		return mpx_fail(EDOM, "never");
	return twice(in, out);
}

static int hang(const void *in, void *out)
{
	(void)out;
	atomic_store(*(atomic_int *const *)in, 1);
	while (pause() < 0)
		;
	return 0;
}

static void do_misbehave(void)
{
	mpx_pool *pool = pool_in_child(2);
	atomic_int *begun = mpx_calloc(1, sizeof *begun);
	child_check(begun);
	child_fails(mpx_pool_map_sized(pool, misbehave, numbers, sizeof *numbers, results,
				       sizeof *results, 20, MPX_TASK(.chunksize = 4, .retries = 2)),
		    EOWNERDEAD);
	child_fails(mpx_pool_map_sized(pool, hang, &begun, sizeof begun, NULL, 0, 1,
				       MPX_TASK(.timeout = 0.05)),
		    ETIMEDOUT);
	atomic_store(begun, 0);
	mpx_result *r = mpx_pool_apply_async(pool, hang, &begun, sizeof begun, 0, NULL);
	child_check(r);
	child_soon(atomic_load(begun));
	child_check(mpx_result_cancel(r) == 0);
	mpx_result_free(r);
	child_check(map_named(pool, twice, 2, 1, "after") == 0);
	mpx_pool_free(pool);
	mpx_free(begun);
}

static int inner_pool(const void *in, void *out)
{
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	int error = !pool || map_named(pool, twice, 5, 1, "inner") != 0 ? errno : 0;
	(void)in;
	(void)out;
	mpx_pool_free(pool);
	return error;
}

static int child_pool(void *unused)
{
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	(void)unused;
	child_check(pool && map_named(pool, twice, 5, 1, "child") == 0);
	mpx_pool_free(pool);
	return 0;
}

/* With chdir, and without the descriptors that were open. */
static void do_several(void)
{
	mpx_pool *a = pool_in_child(2), *b = mpx_pool_new(.processes = 1);
	struct stat s;
	child_check(b && chdir("/") == 0);
	for (int fd = 3; fd < 100; fd++)
		if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode))
			close(fd);
	child_check(map_named(a, inner_pool, 1, 1, "outer") == 0);
	child_check(map_named(b, twice, 5, 1, "b") == 0);
	child_check(run_child(child_pool, NULL) == 0);
	mpx_pool_free(a);
	mpx_pool_free(b);
	child_check((a = mpx_pool_new(.processes = 1)) != NULL);
	child_check(map_named(a, twice, 5, 1, "later") == 0);
	mpx_pool_free(a);
}

static void do_other_program(void)
{
	mpx_pool *pool = pool_in_child(1);
	child_check(map_named(pool, twice, 5, 1, "before") == 0);
	child_check(run_anew(program, "simple", NULL, 0) == 0);
	child_check(map_named(pool, twice, 5, 1, "after") == 0);
	mpx_pool_free(pool);
}

static void do_simple(void)
{
	mpx_pool *pool = pool_in_child(2);
	child_check(map_named(pool, twice, 10, 1, "simple") == 0);
	mpx_pool_free(pool);
}

/* Killed while its workers sleep: they have written what they did. */
static void do_killed(void)
{
	mpx_pool *pool = pool_in_child(2);
	struct stat before = {0}, s = {0};
	child_check(stat(getenv("MPX_TRACE"), &before) == 0);
	child_check(map_named(pool, twice, 10, 1, "killed") == 0);
	double end = now() + SOON;
	do {
		nap();
		child_check(stat(getenv("MPX_TRACE"), &s) == 0);
	} while (s.st_size <= before.st_size && now() < end);
	raise(SIGKILL);
}

static int fail_to_begin(void *unused)
{
	(void)unused;
	return EACCES;
}

static void do_broken(void)
{
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = fail_to_begin);
	child_check(pool);
	child_fails(mpx_pool_map(pool, twice, numbers, results, 1), EACCES);
	mpx_pool_free(pool);
}

/* Two of threads, one of them grows. */
static void do_threads(void)
{
	mpx_pool *a = mpx_pool_new(.processes = 2, .backend = MPX_BACKEND_THREADS);
	mpx_pool *b = mpx_pool_new(.processes = 1, .backend = MPX_BACKEND_THREADS);
	child_check(a && b);
	child_check(map_named(a, twice, 50, 3, "a") == 0);
	child_check(map_named(b, twice, 50, 3, "b") == 0);
	mpx_pool_free(a);
	mpx_pool_free(b);
	b = pool_in_child(1);
	child_check(mpx_pool_resize(b, 5) == 0);
	child_check(map_named(b, twice, 50, 3, "resized") == 0);
	mpx_pool_free(b);
}

static const struct {
	const char *name;
	void (*run)(void);
} plays[] = {
	{"work", do_work},	     {"misbehave", do_misbehave}, {"several", do_several},
	{"other", do_other_program}, {"simple", do_simple},	  {"killed", do_killed},
	{"broken", do_broken},	     {"threads", do_threads},
};

static int play(const char *name)
{
	for (size_t i = 0; i < sizeof plays / sizeof *plays; i++) {
		if (!strcmp(plays[i].name, name)) {
			plays[i].run();
			return 0;
		}
	}
	return 98;
}

/* ---- the tests ----------------------------------------------------------------- */

static char folder[] = "/tmp/mpx_trace_XXXXXX";
static char path[sizeof folder + 32];

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

struct run {
	const char *trace, *what;
};

static int run_traced(void *arg)
{
	const struct run *r = arg;
	child_check(chdir(folder) == 0);
	child_check(setenv("MPX_TRACE", r->trace, 1) == 0);
	execl("/proc/self/exe", program, r->what, (char *)NULL);
	execl(program, program, r->what, (char *)NULL);
	return 97;
}

/* Runs it with the trace in that file, in the folder. */
static int traced(const char *what, const char *file)
{
	struct run r = {file, what};
	snprintf(path, sizeof path, "%s/%s", folder, file);
	return run_child(run_traced, &r);
}

static struct events trace_of(const char *what)
{
	assert_int_equal(traced(what, "trace.json"), 0);
	struct events all = read_events(path);
	assert_ok(unlink(path));
	assert_true(all.closed);
	rows_do_not_overlap(&all);
	return all;
}

static void test_work(void **state)
{
	(void)state;
	struct events all = trace_of("work");
	bool names = count(&all, 'X', "task", "twice") > 0;
#ifdef MPX_TEST_PLATFORM_LINUX
	assert_true(names);
#endif
	for (int i = 0; i < ITEMS; i++) {
		assert_int_equal(covers(&all, "chunks of 7", i), 1);
		assert_int_equal(covers(&all, names ? "twice" : "map 2", i), 1);
		assert_int_equal(covers(&all, "imap", i), 1);
	}
	assert_int_equal(count(&all, 'X', "task", "chunks of 7"), (ITEMS + 6) / 7);
	assert_int_equal(count(&all, 'X', "task", "imap"), (ITEMS + 2) / 3);
	assert_int_equal(covers(&all, "\"<\\\xc3\xa9?</script>\n", 0), 1);
	/* parts of an imap are no jobs */
	assert_int_equal(count(&all, 'b', "job", NULL), 3);
	assert_int_equal(count(&all, 'e', "job", NULL), 3);
	assert_int_equal(count(&all, 'M', NULL, "pool 1"), 1);
	assert_int_equal(count(&all, 'M', NULL, "PoolWorker-"), 3);
	assert_int_equal(count(&all, 'i', NULL, NULL), 0);
	for (size_t i = 0; i < all.n; i++) {
		const struct event *e = &all.e[i];
		if (e->ph != 'X')
			continue;
		assert_true(e->tid >= 1 && e->tid <= 3 && e->worker > 0);
		assert_true(e->worker != e->pid && e->error == 0 && !e->died[0]);
	}
	forget(&all);
}

static void test_misbehave(void **state)
{
	(void)state;
	struct events all = trace_of("misbehave");
	/* three times item 5, a timeout, a cancel; no end that was in order */
	assert_int_equal(count(&all, 'i', "death", NULL), 5);
	assert_int_equal(count(&all, 'i', "death", "signal 9"), 3);
	assert_int_equal(count(&all, 'i', "timeout", NULL), 1);
	assert_int_equal(count(&all, 'i', "cancel", NULL), 1);
	assert_int_equal(count(&all, 'i', "retry", "try \"again\""), 2);
	assert_int_equal(count(&all, 'i', "failed", "never"), 1);
	assert_true(count(&all, 'i', "start", NULL) >= 4);
	assert_int_equal(find(&all, "retry", 8)->error, EIO);
	assert_int_equal(find(&all, "failed", 11)->error, EDOM);
	assert_int_equal(find(&all, "failed", 11)->attempt, 3);
	int died = 0;
	for (size_t i = 0; i < all.n; i++) {
		const struct event *e = &all.e[i];
		if (e->ph != 'X' || !e->died[0])
			continue;
		died++;
		if (e->job == 1) /* it ends with the item that it died of */
			assert_int_equal(e->item + e->items, 6);
	}
	assert_int_equal(died, 5);
	for (int item = 0; item < 20; item++) {
		int bars = 0;
		for (size_t i = 0; i < all.n; i++) {
			const struct event *e = &all.e[i];
			bars += e->ph == 'X' && e->job == 1 && item >= e->item &&
				item < e->item + e->items;
		}
		assert_int_equal(bars, item == 5 ? 3 : 1);
	}
	assert_int_equal(covers(&all, "after", 1), 1);
	forget(&all);
}

static void test_several(void **state)
{
	(void)state;
	struct events all = trace_of("several");
	static const char *const names[] = {"outer", "inner", "b", "child", "later"};
	long long pids[5];
	for (int i = 0; i < 5; i++) {
		assert_int_equal(covers(&all, names[i], 0), 1);
		for (size_t k = 0; k < all.n; k++)
			if (all.e[k].ph == 'X' && !strcmp(all.e[k].name, names[i]))
				pids[i] = all.e[k].pid;
		for (int j = 0; j < i; j++)
			assert_true(pids[i] != pids[j]);
	}
	for (int i = 1; i <= 5; i++) {
		char name[16];
		snprintf(name, sizeof name, "pool %d", i);
		assert_int_equal(count(&all, 'M', NULL, name), 1);
	}
	forget(&all);
}

static void test_other_program(void **state)
{
	(void)state;
	struct events all = trace_of("other");
	assert_int_equal(covers(&all, "before", 4), 1);
	assert_int_equal(covers(&all, "simple", 9), 1);
	assert_int_equal(covers(&all, "after", 4), 1);
	forget(&all);
}

static void test_threads(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "b", "resized"};
	struct events all = trace_of("threads");
	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 3; k++)
			assert_int_equal(covers(&all, names[k], i), 1);
	assert_int_equal(count(&all, 'M', NULL, "pool "), 3);
	assert_true(count(&all, 'M', NULL, "PoolWorker-1") >= 3);
	forget(&all);
}

/* It is begun anew by each program. */
static void test_again(void **state)
{
	(void)state;
	assert_int_equal(traced("simple", "trace.json"), 0);
	struct events all = trace_of("simple");
	assert_int_equal(count(&all, 'M', NULL, "pool 1"), 1);
	assert_int_equal(covers(&all, "simple", 9), 1);
	forget(&all);
}

static void test_broken(void **state)
{
	(void)state;
	struct events all = trace_of("broken");
	assert_int_equal(count(&all, 'i', "broken", NULL), 1);
	forget(&all);
}

/* The bracket at the end is missing, nothing else. */
static void test_killed(void **state)
{
	(void)state;
	assert_int_equal(traced("killed", "trace.json"), -SIGKILL);
	struct events all = read_events(path);
	assert_ok(unlink(path));
	assert_false(all.closed);
	assert_true(count(&all, 'X', "task", "killed") > 0);
	forget(&all);
}

static void test_page(void **state)
{
	(void)state;
	assert_int_equal(traced("work", "trace.html"), 0);
	char *text = read_text(path);
	assert_ok(unlink(path));
	assert_int_equal(strncmp(text, "<!DOCTYPE html>", 15), 0);
	assert_null(strstr(text, "http"));
	const char *data = strstr(text, "id='data'>");
	assert_non_null(data);
	data += strlen("id='data'>");
	assert_null(strchr(data, '<')); /* nothing ends the data early */
	struct events all = parse(text, data);
	assert_true(all.closed);
	assert_int_equal(covers(&all, "chunks of 7", 0), 1);
	forget(&all);
}

static void test_no_file(void **state)
{
	(void)state;
	assert_int_equal(traced("simple", "nowhere/trace.json"), 0);
	assert_int_equal(traced("simple", ""), 0);
	assert_int_equal(traced("simple", "."), 0);
	static char longer[2000];
	memset(longer, 'x', sizeof longer - 1);
	struct run r = {longer, "simple"};
	assert_int_equal(run_child(run_traced, &r), 0);
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 2)
		return play(argv[1]);
	const struct CMUnitTest tests[] = {
		mpx_test(test_work),	mpx_test(test_misbehave),     mpx_test(test_several),
		mpx_test(test_again),	mpx_test(test_other_program), mpx_test(test_broken),
		mpx_test(test_threads), mpx_test(test_killed),	      mpx_test(test_page),
		mpx_test(test_no_file),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
