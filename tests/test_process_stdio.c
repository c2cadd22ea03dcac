/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_stdio.c - stdio exactly once, also beside threads, and beside one that keeps
 * a FILE for itself; a parent that reads; atexit handlers; standard input; descriptors 0
 * to 2 closed.
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

static void temporary(char *path, size_t size)
{
	const char *dir = getenv("TMPDIR");
	snprintf(path, size, "%s/mpx-test-XXXXXX", dir ? dir : "/tmp");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static void assert_file_is(const char *path, const char *expected)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_string_equal(text, expected);
}

struct files {
	char out[256], log[256], in[256];
	FILE *file;
	struct shared *s;
	bool threads;
};

static int print(void *args)
{
	struct files *f = args;
	int i = ++f->s->count;
	printf("child %d\n", i);
	fprintf(f->file, "child's log %d\n", i);
	if (i == 2)
		fflush(NULL);
	if (i == 3) /* killed: what it has not flushed is lost, and nothing else */
		kill(getpid(), SIGKILL);
	return 0;
}

static void *idle(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static int program_that_prints(void *args)
{
	struct files *f = args;
	pthread_t t;
	if (f->threads)
		child_check(pthread_create(&t, NULL, idle, NULL) == 0);
	int fd = open(f->out, O_WRONLY | O_TRUNC | O_APPEND);
	child_check(fd >= 0 && dup2(fd, 1) == 1);
	close(fd);
	f->file = fopen(f->log, "a");
	child_check(f->file != NULL);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	printf("parent, not flushed;");
	fprintf(f->file, "parent's log, not flushed;");
	for (int i = 0; i < 5; i++) {
		printf("before %d\n", i);
		fprintf(f->file, "log before %d\n", i);
		if (f->threads) /* then only stdout and stderr are flushed for us */
			fflush(f->file);
		child_run(print, f);
	}
	printf("end\n");
	fprintf(f->file, "log end\n");
	exit(0);
}

static void check_stdio(bool threads)
{
	struct files f = {.s = share(), .threads = threads};
	temporary(f.out, sizeof f.out);
	temporary(f.log, sizeof f.log);
	assert_int_equal(run_child(program_that_prints, &f), 0);
	assert_file_is(f.out, "parent, not flushed;before 0\nchild 1\nbefore 1\nchild 2\n"
			      "before 2\nbefore 3\nchild 4\nbefore 4\nchild 5\nend\n");
	assert_file_is(f.log, "parent's log, not flushed;log before 0\nchild's log 1\n"
			      "log before 1\nchild's log 2\nlog before 2\nlog before 3\n"
			      "child's log 4\nlog before 4\nchild's log 5\nlog end\n");
	unlink(f.out);
	unlink(f.log);
	mpx_free(f.s);
}

static void test_stdio_exactly_once(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__)
	skip(); /* it has a thread of its own */
#endif
#ifdef MPX_TEST_PLATFORM_POSIX
	check_stdio(true); /* nobody can tell there whether it has threads */
#else
	check_stdio(false);
#endif
}

static void test_stdio_exactly_once_beside_threads(void **state)
{
	(void)state;
	check_stdio(true);
}

static void *read_a_line(void *arg)
{
	char line[16];
	return fgets(line, sizeof line, arg);
}

/* A thread that sits in a read, with the lock of that FILE, is in nobody's way. */
static int program_with_a_reader(void *args)
{
	int fds[2];
	pthread_t t;
	void *got;
	(void)args;
	child_check(pipe(fds) == 0);
	FILE *in = fdopen(fds[0], "r");
	child_check(in && pthread_create(&t, NULL, read_a_line, in) == 0);
	for (int i = 0; i < 50; i++)
		nap();
	for (intptr_t i = 0; i < 5; i++)
		child_check(child_run(return_args, (void *)i) == i);
	child_check(write(fds[1], "x\n", 2) == 2);
	child_check(pthread_join(t, &got) == 0 && got != NULL);
	return 0;
}

static void test_start_beside_a_blocked_reader(void **state)
{
	(void)state;
	assert_int_equal(run_child(program_with_a_reader, NULL), 0);
}

struct holder {
	struct files *files;
	FILE *file;
	_Atomic bool holds;
};

static void *hold(void *arg)
{
	struct holder *h = arg;
	flockfile(h->file);
	h->holds = true;
	return idle(NULL);
}

/* A thread that never lets go of a FILE, as one does that sits in a read. */
static int leave_beside_a_holder(void *args)
{
	struct files *f = args;
	struct holder *h = calloc(1, sizeof *h); /* outlives the stack */
	pthread_t t;
	child_check(h && freopen(f->out, "w", stdout));
	h->file = f->file;
	child_check(pthread_create(&t, NULL, hold, h) == 0);
	child_soon(h->holds);
	FILE *own = fopen(f->log, "a"); /* this thread may be in one itself */
	child_check(own);
	flockfile(own);
	fprintf(own, "child's log");
	printf("child");
	if (f->threads)
		exit(7);
	return 7;
}

static int program_beside_a_holder(void *args)
{
	struct files *f = args;
	f->file = fopen(f->in, "r");
	child_check(f->file);
	mpx_process *p = mpx_process_new(.target = leave_beside_a_holder, .args = f);
	int code = 0;
	child_check(p && mpx_process_start(p) == 0);
	child_check(mpx_process_join(p, 30) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_exit_beside_a_blocked_thread(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		struct files f = {.threads = way};
		temporary(f.out, sizeof f.out);
		temporary(f.log, sizeof f.log);
		temporary(f.in, sizeof f.in);
		assert_int_equal(run_child(program_beside_a_holder, &f), 0);
		assert_file_is(f.out, "child");
#ifdef __GLIBC__
		assert_file_is(f.log, "child's log"); /* flushes the youngest FILE first */
#endif
		unlink(f.out);
		unlink(f.log);
		unlink(f.in);
	}
}

static struct shared *volatile atexit_shared;

static void at_exit(void)
{
	if (atexit_shared)
		atexit_shared->count++;
}

static int program_with_atexit(void *args)
{
	atexit_shared = args;
	child_check(atexit(at_exit) == 0);
	for (int i = 0; i < 3; i++)
		child_check(child_run(return_args, (void *)(intptr_t)i) == i);
	child_check(atexit_shared->count == 0);
	exit(5);
}

static void test_atexit_only_in_the_parent(void **state)
{
	(void)state;
	struct shared *s = share();
	assert_int_equal(run_child(program_with_atexit, s), 5);
	assert_int_equal(s->count, 1);
	mpx_free(s);
}

static int read_stdin(void *args)
{
	struct shared *s = args;
	struct stat in, null;
	char c;
	child_check(fstat(0, &in) == 0 && stat("/dev/null", &null) == 0);
	child_check(S_ISCHR(in.st_mode) && in.st_rdev == null.st_rdev);
	child_check(read(0, &c, 1) == 0);
	int got = getchar();
	s->result = got;
	child_check(got == EOF);
	return 0;
}

/* The parent is in the middle of its input, and goes on as if nothing was. */
static int program_that_reads(void *args)
{
	struct files *f = args;
	char line[64], expected[64];
	int fd = open(f->in, O_RDONLY);
	child_check(fd >= 0 && dup2(fd, 0) == 0);
	close(fd);
	f->file = fopen(f->in, "r");
	child_check(f->file != NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(expected, sizeof expected, "line %d\n", i);
		child_check(fgets(line, sizeof line, stdin) && strcmp(line, expected) == 0);
		child_check(fgets(line, sizeof line, f->file) && strcmp(line, expected) == 0);
		if (i % 5 == 1)
			child_check(child_run(read_stdin, f->s) == 0);
	}
	child_check(!fgets(line, sizeof line, stdin));
	child_check(!fgets(line, sizeof line, f->file));
	exit(0);
}

static void test_standard_input(void **state)
{
	(void)state;
	struct files f = {.s = share()};
	temporary(f.in, sizeof f.in);
	FILE *in = fopen(f.in, "w");
	for (int i = 0; i < 20; i++)
		fprintf(in, "line %d\n", i);
	fclose(in);
	assert_int_equal(run_child(program_that_reads, &f), 0);
	unlink(f.in);
	mpx_free(f.s);
}

static int write_everywhere(void *args)
{
	static const char text[] = "this must not reach anything of the library's\n";
	for (int fd = 0; fd < 3; fd++)
		if (write(fd, text, sizeof text) < 0)
			continue;
	puts(text);
	fputs(text, stderr);
	fflush(NULL);
	return (int)(intptr_t)args;
}

static int program_with_closed_stdio(void *args)
{
	int mask = (int)(intptr_t)args;
	int err = fcntl(2, F_DUPFD_CLOEXEC, 10); /* to see failures */
	for (int fd = 0; fd < 3; fd++)
		if (mask & (1 << fd))
			close(fd);
	for (intptr_t i = 0; i < 5; i++) {
		int code = -1000;
		mpx_process *p = mpx_process_new(.target = write_everywhere, .args = (void *)i);
		if (!p || mpx_process_start(p) != 0 || mpx_process_join(p, 60) != 0 ||
		    mpx_process_exitcode(p, &code) != 0 || code != i || mpx_process_free(p) != 0) {
			dprintf(err, "closed %d, round %d: %d, %s\n", mask, (int)i, code,
				strerror(errno));
			return 1;
		}
		if (i == 2) { /* and with a sentinel there */
			p = mpx_process_new(.target = sleep_for_ever);
			if (!p || mpx_process_start(p) != 0 || mpx_process_sentinel(p) < 0 ||
			    readable(mpx_process_sentinel(p), 0) || mpx_process_kill(p) != 0 ||
			    !readable(mpx_process_sentinel(p), 60000) ||
			    mpx_process_join(p, 60) != 0 || mpx_process_free(p) != 0)
				return 2;
		}
	}
	return 0;
}

static void test_closed_stdio(void **state)
{
	(void)state;
	for (intptr_t mask = 1; mask < 8; mask++) {
		/* what the children write is not for the test's own output */
		fflush(NULL);
		int out = dup(1), null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		int code = run_child(program_with_closed_stdio, (void *)mask);
		dup2(out, 1);
		close(out);
		close(null);
		assert_int_equal(code, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_stdio_exactly_once),
		mpx_test(test_stdio_exactly_once_beside_threads),
		mpx_test(test_start_beside_a_blocked_reader),
		mpx_test(test_exit_beside_a_blocked_thread),
		mpx_test(test_atexit_only_in_the_parent),
		mpx_test(test_standard_input),
		mpx_test(test_closed_stdio),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
