/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_log.c - mpx/log.h. CPython's behaviours (_TestLogging, _TestLoggingProcessName):
 *
 *   - test_enable_logging: off by default; on, and off again
 *   - test_level: children have their parent's level
 *   - test_filename, test_process_name: the message says which process it is from
 *
 * And: the form of a line on stderr; levels and their names; long messages; MPX_LOG;
 * arguments that are not evaluated; errno; threads, and forks among them; a reader that
 * has gone; a sink that calls the library; which events are told, deaths among them.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static const char *program;

/* ---- a sink that remembers, for the whole family ------------------------ */

enum { RECORDS = 2000 };

struct record {
	_Atomic int level; /* written last */
	pid_t pid;
	char process[64];
	char message[200];
};

struct records {
	_Atomic int n;
	mpx_lock *lock;
	mpx_queue *queue;
	mpx_value *value;
	struct record record[RECORDS];
};

static struct records *records;

static void remember(int level, const char *process, const char *message, void *user)
{
	struct records *r = user;
	int i = atomic_fetch_add(&r->n, 1);
	if (i >= RECORDS)
		return;
	r->record[i].pid = getpid();
	snprintf(r->record[i].process, sizeof r->record[i].process, "%s", process);
	snprintf(r->record[i].message, sizeof r->record[i].message, "%s", message);
	atomic_store(&r->record[i].level, level);
	errno = 1234; /* is put right */
}

static void begin(int level)
{
	records = mpx_calloc(1, sizeof *records);
	assert_non_null(records);
	assert_ok(mpx_log_set(remember, records, level));
}

static void end(void)
{
	assert_ok(mpx_log_set(NULL, NULL, 0));
	assert_true(records->n <= RECORDS);
	mpx_free(records);
}

/* How many messages like this there are; process and text: parts of them, or NULL. */
static int told(int level, const char *process, const char *text)
{
	int found = 0;
	for (int i = 0; i < records->n && i < RECORDS; i++) {
		struct record *r = &records->record[i];
		found += r->level == level && (!process || strstr(r->process, process)) &&
			 (!text || strstr(r->message, text));
	}
	return found;
}

static void show_records(void)
{
	for (int i = 0; i < records->n && i < RECORDS; i++)
		print_message("%d %s: %s\n", records->record[i].level, records->record[i].process,
			      records->record[i].message);
}

#define assert_told(times, level, process, text)                                                   \
	do {                                                                                       \
		int told_ = told(level, process, text);                                            \
		if (told_ != (times)) {                                                            \
			show_records();                                                            \
			fail_msg("%s: told %d times, not %d", #text, told_, times);                \
		}                                                                                  \
	} while (0)

/* ---- the settings ------------------------------------------------------ */

static int evaluations;

static int evaluate(void)
{
	return ++evaluations;
}

static void test_off_and_on(void **state)
{
	(void)state;
	assert_int_equal(mpx_log_level(), 0);
	assert_false(mpx_log_enabled(MPX_LOG_CRITICAL));
	mpx_log(MPX_LOG_CRITICAL, "%d", evaluate());
	assert_int_equal(evaluations, 0);
	begin(MPX_LOG_INFO);
	assert_int_equal(mpx_log_level(), MPX_LOG_INFO);
	assert_true(mpx_log_enabled(MPX_LOG_INFO));
	assert_false(mpx_log_enabled(MPX_LOG_INFO - 1));
	errno = 77;
	mpx_log(MPX_LOG_DEBUG, "no %d", evaluate());
	mpx_log(MPX_LOG_INFO, "yes %d", evaluate());
	mpx_log(MPX_LOG_ERROR, "plain");
	mpx_log_write(MPX_LOG_DEBUG, "not by this way either");
	mpx_log_write(33, "%s", "by this way");
	assert_int_equal(errno, 77);
	assert_int_equal(evaluations, 1);
	assert_int_equal(records->n, 3);
	assert_told(1, MPX_LOG_INFO, "MainProcess", "yes 1");
	assert_told(1, MPX_LOG_ERROR, "MainProcess", "plain");
	assert_told(1, 33, "MainProcess", "by this way");
	assert_ok(mpx_log_set(NULL, records, 50));
	assert_int_equal(mpx_log_level(), 0);
	mpx_log(INT_MAX, "nowhere %d", evaluate());
	assert_int_equal(records->n, 3);
	end();
}

static void test_wrong_arguments(void **state)
{
	(void)state;
	begin(MPX_LOG_WARNING);
	assert_fails(mpx_log_to_stderr(0), EINVAL);
	assert_fails(mpx_log_to_stderr(-5), EINVAL);
	assert_fails(mpx_log_set(remember, NULL, 0), EINVAL);
	assert_int_equal(mpx_log_level(), MPX_LOG_WARNING);
	mpx_log(MPX_LOG_WARNING, "still there");
	assert_told(1, MPX_LOG_WARNING, NULL, "still there");
	end();
}

static void test_long_messages(void **state)
{
	(void)state;
	char text[3000];
	begin(1);
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	mpx_log(1, "%s", text);
	assert_int_equal(strspn(records->record[0].message, "x"), 199);
	end();
}

/* ---- on stderr --------------------------------------------------------- */

/* What fn(arg), in a process of its own, writes to fd 2. Its exit code in *code. */
static char *stderr_of(int (*fn)(void *), void *arg, int *code)
{
	static char text[1 << 20];
	size_t n = 0;
	ssize_t got;
	int fd[2];
	assert_ok(pipe(fd));
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		_exit(fn(arg));
	}
	close(fd[1]);
	while ((got = read(fd[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fd[0]);
	*code = wait_child(pid);
	return text;
}

static void writes(int (*fn)(void *), void *arg, const char *expected)
{
	int code;
	const char *text = stderr_of(fn, arg, &code);
	if (strcmp(text, expected) != 0 || code != 0)
		fail_msg("exit code %d, and:\n%s\ninstead of:\n%s", code, text, expected);
}

static int log_all_levels(void *arg)
{
	static const int levels[] = {4, 5, 10, 20, 25, 30, 40, 50, 60};
	(void)arg;
	mpx_log_to_stderr(MPX_LOG_SUBDEBUG);
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		errno = 99;
		mpx_log(levels[i], "%s %d", "level", levels[i]);
		child_check(errno == 99);
	}
	return 0;
}

static void test_lines(void **state)
{
	(void)state;
	writes(log_all_levels, NULL,
	       "[SUBDEBUG/MainProcess] level 5\n[DEBUG/MainProcess] level 10\n"
	       "[INFO/MainProcess] level 20\n[SUBWARNING/MainProcess] level 25\n"
	       "[WARNING/MainProcess] level 30\n[ERROR/MainProcess] level 40\n"
	       "[CRITICAL/MainProcess] level 50\n[Level 60/MainProcess] level 60\n");
}

static int log_a_long_line(void *arg)
{
	char text[5000];
	size_t length = *(size_t *)arg;
	memset(text, 'y', sizeof text);
	text[length] = '\0';
	mpx_log_to_stderr(1);
	mpx_log(MPX_LOG_INFO, "%s", text);
	return 0;
}

static void test_long_lines(void **state)
{
	(void)state;
	for (size_t length = 990; length < 4990; length += length < 1040 ? 1 : 1000) {
		int code;
		char *text = stderr_of(log_a_long_line, &length, &code);
		size_t n = strlen(text), y = strspn(text + 19, "y");
		assert_int_equal(code, 0);
		assert_memory_equal(text, "[INFO/MainProcess] ", 19);
		assert_ptr_equal(strchr(text, '\n'), text + n - 1);
		if (length > 1023)
			assert_string_equal(text + 19 + y, " ... (cut)\n");
		else
			assert_int_equal(y, length);
		assert_true(y >= 1000 || y == length);
	}
}

static int log_name(void *arg)
{
	(void)arg;
	mpx_log(MPX_LOG_WARNING, "I am %s", mpx_process_name(mpx_current_process()));
	return mpx_log_level();
}

static int log_names(void *arg)
{
	char long_name[300];
	(void)arg;
	mpx_log_to_stderr(MPX_LOG_WARNING);
	memset(long_name, 'n', sizeof long_name);
	long_name[299] = '\0';
	const char *names[] = {"first", "a name of its own", "100%s", long_name};
	for (int i = 0; i < 4; i++) {
		int code = -1;
		mpx_process *p = mpx_process_new(.target = log_name, .name = names[i]);
		child_check(p && mpx_process_start(p) == 0);
		child_check(mpx_process_join(p, SOON) == 0);
		child_check(mpx_process_exitcode(p, &code) == 0 && code == MPX_LOG_WARNING);
		child_check(mpx_process_free(p) == 0);
	}
	/* a plain fork is its parent, for all that it knows */
	pid_t pid = fork();
	if (pid == 0) {
		mpx_log(MPX_LOG_ERROR, "forked");
		_exit(0);
	}
	child_check(waitpid(pid, NULL, 0) == pid);
	mpx_log(MPX_LOG_ERROR, "still %s", mpx_process_name(mpx_current_process()));
	return 0;
}

/* _TestLoggingProcessName, and test_level: the child's exit code is its level. */
static void test_names_and_levels_of_children(void **state)
{
	(void)state;
	char expected[1000], n[300];
	memset(n, 'n', sizeof n);
	n[299] = '\0';
	snprintf(expected, sizeof expected,
		 "[WARNING/first] I am first\n"
		 "[WARNING/a name of its own] I am a name of its own\n"
		 "[WARNING/100%%s] I am 100%%s\n"
		 "[WARNING/%.128s] I am %s\n"
		 "[ERROR/MainProcess] forked\n[ERROR/MainProcess] still MainProcess\n",
		 n, n);
	writes(log_names, NULL, expected);
}

static int log_without_stderr(void *arg)
{
	(void)arg;
	mpx_log_to_stderr(1);
	close(2);
	errno = 5;
	mpx_log(MPX_LOG_INFO, "to nobody");
	return errno == 5 ? 0 : 1;
}

/* Nobody reads: SIGPIPE does not kill, and is not left pending; nor is one of somebody
 * else's taken away. */
static int log_to_nobody(void *arg)
{
	int fd[2];
	sigset_t set, pending;
	(void)arg;
	mpx_log_to_stderr(1);
	child_check(pipe(fd) == 0 && dup2(fd[1], 2) == 2);
	close(fd[0]);
	close(fd[1]);
	errno = 5;
	mpx_log(MPX_LOG_INFO, "to nobody");
	if (errno != 5)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	mpx_log(MPX_LOG_INFO, "to nobody");
	sigpending(&pending);
	if (sigismember(&pending, SIGPIPE))
		return 2;
	raise(SIGPIPE);
	mpx_log(MPX_LOG_INFO, "to nobody");
	sigpending(&pending);
	return sigismember(&pending, SIGPIPE) ? 0 : 3;
}

static void test_nobody_reads(void **state)
{
	(void)state;
	assert_int_equal(run_child(log_without_stderr, NULL), 0);
	assert_int_equal(run_child(log_to_nobody, NULL), 0);
}

/* ---- MPX_LOG ----------------------------------------------------------- */

struct setting {
	const char *value, *what;
};

/* This program anew, with that in the environment. */
static int exec_with(void *arg)
{
	const struct setting *s = arg;
	struct anew a = {.program = program, .what = s->what};
	if (s->value)
		child_check(setenv("MPX_LOG", s->value, 1) == 0);
	else
		unsetenv("MPX_LOG");
	return exec_anew(&a);
}

static int anew(const char *what)
{
	if (strcmp(what, "log") == 0) { /* before any other use of the library */
		mpx_log(MPX_LOG_INFO, "info");
		mpx_log(MPX_LOG_ERROR, "error");
	} else if (strcmp(what, "level") == 0) {
		return mpx_log_level();
	} else if (strcmp(what, "use") == 0) {
		mpx_lock_free(mpx_lock_new());
		child_check(mpx_log_enabled(MPX_LOG_INFO));
		mpx_log(MPX_LOG_INFO, "used");
	} else if (strcmp(what, "off") == 0) {
		mpx_lock_free(mpx_lock_new());
		child_check(!mpx_log_enabled(MPX_LOG_CRITICAL));
	} else if (strcmp(what, "set") == 0) { /* the program knows better */
		mpx_log_set(NULL, NULL, 0);
		mpx_lock_free(mpx_lock_new());
		mpx_log(MPX_LOG_CRITICAL, "no");
	}
	return 0;
}

static void test_environment(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		int level;
	} levels[] = {{"DEBUG", 10},	{"debug", 10},
		      {"INFO", 20},	{"20", 20},
		      {"7", 7},		{"SUBWARNING", 25},
		      {"Critical", 50}, {NULL, 0},
		      {"", 0},		{"0", 0},
		      {"-1", 0},	{"nonsense", 0},
		      {"20x", 0},	{"99999999999999999999", 0}};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct setting s = {levels[i].value, "level"};
		int level = run_child(exec_with, &s);
		if (level != levels[i].level)
			fail_msg("MPX_LOG=%s is %d", s.value ? s.value : "(unset)", level);
	}
	writes(exec_with, &(struct setting){NULL, "log"}, "");
	writes(exec_with, &(struct setting){"WARNING", "log"}, "[ERROR/MainProcess] error\n");
	writes(exec_with, &(struct setting){"INFO", "log"},
	       "[INFO/MainProcess] info\n[ERROR/MainProcess] error\n");
	writes(exec_with, &(struct setting){"INFO", "use"}, "[INFO/MainProcess] used\n");
	writes(exec_with, &(struct setting){"INFO", "set"}, "");
	writes(exec_with, &(struct setting){NULL, "off"}, "");
}

/* ---- events ------------------------------------------------------------ */

static int return_7(void *arg)
{
	(void)arg;
	return 7;
}

static int exit_9(void *arg)
{
	(void)arg;
	exit(9);
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static void test_events_of_processes(void **state)
{
	(void)state;
	int code;
	begin(MPX_LOG_DEBUG);
	mpx_process *a = mpx_process_new(.target = return_7, .name = "a");
	mpx_process *b = mpx_process_new(.target = exit_9, .name = "b");
	mpx_process *c = mpx_process_new(.target = sleep_for_ever, .name = "c");
	assert_ok(mpx_process_start(a));
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "process a started, pid ");
	assert_ok(mpx_process_join(a, SOON));
	assert_ok(mpx_process_join(a, SOON));
	assert_false(mpx_process_is_alive(a));
	assert_told(1, MPX_LOG_INFO, "a", "child process began");
	assert_told(1, MPX_LOG_INFO, "a", "process exiting with exitcode 7");
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "process a (pid ");
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "has ended, exitcode 7");
	assert_ok(mpx_process_start(b));
	assert_soon(!mpx_process_is_alive(b));
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "has ended, exitcode 9");
#ifdef MPX_TEST_PLATFORM_LINUX
	assert_told(1, MPX_LOG_INFO, "b", "process exiting with exitcode 9");
#endif
	assert_ok(mpx_process_start(c));
	assert_ok(mpx_process_kill(c));
	assert_soon(mpx_process_exitcode(c, &code) == 0);
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "process c (pid ");
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "has ended, exitcode -9");
	assert_ok(mpx_process_free(a));
	assert_ok(mpx_process_free(b));
	assert_ok(mpx_process_free(c));
	end();
}

/* Each: exit code 0, an error, death, hanging; once or always. */
struct order {
	struct records *r;
	char what;
};

static int obey(const void *in, void *out)
{
	const struct order *o = in;
	static int refused;
	(void)out;
	if (o->what == 'k')
		raise(SIGKILL);
	if (o->what == 'e')
		return refused++ ? 0 : EIO;
	while (o->what == 'h')
		pause();
	return 0;
}

static int run_order(mpx_pool *pool, char what, const mpx_task_options *options)
{
	struct order o = {records, what};
	return mpx_pool_map_sized(pool, obey, &o, sizeof o, NULL, 0, 1, options);
}

static void run_pool_orders(void)
{
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	assert_non_null(pool);
	assert_fails(run_order(pool, 'k', NULL), EOWNERDEAD);
	assert_fails(run_order(pool, 'k', MPX_TASK(.retries = 1)), EOWNERDEAD);
	assert_ok(run_order(pool, 'e', MPX_TASK(.retries = 1)));
	assert_fails(run_order(pool, 'h', MPX_TASK(.timeout = 0.01)), ETIMEDOUT);
	/* Two to begin with, and one for each that died: none after close. */
	assert_soon(told(MPX_LOG_DEBUG, "PoolSupervisor-1", "added worker PoolWorker-") == 6);
	assert_ok(run_order(pool, '-', NULL));
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
}

static void test_events_of_pools(void **state)
{
	(void)state;
	begin(MPX_LOG_DEBUG);
	run_pool_orders();
	assert_told(1, MPX_LOG_INFO, "PoolSupervisor-1", "child process began");
	assert_told(1, MPX_LOG_INFO, "PoolSupervisor-1", "process exiting with exitcode 0");
	assert_true(told(MPX_LOG_INFO, "PoolWorker-1", "child process began") >= 1);
	assert_true(told(MPX_LOG_INFO, "PoolWorker-2", "child process began") >= 1);
	assert_told(2, MPX_LOG_INFO, "PoolWorker-", "process exiting with exitcode 0");
	assert_told(3, MPX_LOG_INFO, "PoolSupervisor-1", "worker was killed by signal 9");
	assert_told(1, MPX_LOG_INFO, "PoolSupervisor-1", "signal 9; its item is tried again");
	assert_told(1, MPX_LOG_DEBUG, "PoolWorker-", "item 0 failed with error 5: once more");
	assert_told(1, MPX_LOG_INFO, "PoolSupervisor-1", "gets SIGTERM: its task ran longer");
	assert_told(1, MPX_LOG_INFO, "PoolSupervisor-1", "): ran longer than its timeout");
	assert_told(2, MPX_LOG_DEBUG, "PoolSupervisor-1", "worker ended with exit status 0");
	assert_told(6, MPX_LOG_DEBUG, "PoolSupervisor-1", "added worker PoolWorker-");
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "closing pool");
	assert_true(told(MPX_LOG_DEBUG, "MainProcess", "joining pool") >= 1);
	assert_told(1, MPX_LOG_DEBUG, "MainProcess", "terminating pool");
	end();
}

static int refuse(void *arg)
{
	(void)arg;
	return EACCES;
}

static void test_a_pool_that_breaks(void **state)
{
	(void)state;
	begin(MPX_LOG_WARNING);
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = refuse);
	assert_non_null(pool);
	assert_fails(run_order(pool, '-', NULL), EACCES);
	mpx_pool_free(pool);
	assert_told(1, MPX_LOG_WARNING, "PoolSupervisor-1", "pool is broken: ");
	assert_int_equal(records->n, 1);
	end();
}

/* A sink that calls the library, also for what the event was about. */
static void call_everything(int level, const char *process, const char *message, void *user)
{
	struct records *r = user;
	int x = 1;
	remember(level, process, message, user);
	mpx_log(MPX_LOG_CRITICAL, "from inside");
	bool held = mpx_lock_acquire(r->lock, SOON) == 0 || errno == EOWNERDEAD;
	void *p = mpx_malloc(100);
	if (!held || mpx_lock_release(r->lock) != 0 || !p ||
	    mpx_queue_put(r->queue, &x, sizeof x, SOON) != 0 ||
	    mpx_queue_get(r->queue, &x, sizeof x, SOON) != sizeof x)
		remember(MPX_LOG_CRITICAL, process, "the sink failed", user);
	mpx_free(p);
	mpx_active_children(NULL, 0);
	mpx_log_level();
}

/* ---- deaths inside ----------------------------------------------------- */

static int put_for_ever(void *arg)
{
	struct records *r = arg;
	for (int i = 0;; i++) {
		mpx_value_add(r->value, 1);
		child_check(mpx_queue_put(r->queue, &i, sizeof i, SOON) == 0);
		mpx_free(mpx_malloc(5000));
	}
	return 0;
}

static void kill_one_who_puts(uint64_t *seed)
{
	int x;
	mpx_value_exchange(records->value, 0);
	pid_t pid = fork_child(put_for_ever, records);
	while (mpx_value_add(records->value, 0) < 5)
		nap();
	for (volatile uint64_t spin = next_random(seed) % 20000; spin > 0; spin--)
		;
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
	assert_ok(mpx_queue_put(records->queue, &x, sizeof x, SOON));
	while (mpx_queue_get(records->queue, &x, sizeof x, 0) >= 0)
		;
	mpx_free(mpx_malloc(5000));
	assert_ok(mpx_lock_acquire(records->lock, SOON));
	assert_ok(mpx_lock_release(records->lock));
}

static int die_with_the_lock(void *arg)
{
	struct records *r = arg;
	mpx_lock_acquire(r->lock, SOON);
	raise(SIGKILL);
	return 0;
}

static void test_deaths_inside(void **state)
{
	(void)state;
	uint64_t seed = 7;
	char address[64];
	begin(MPX_LOG_INFO);
	records->lock = mpx_lock_new();
	records->queue = mpx_queue_new();
	records->value = mpx_value_new('i', 0);
	assert_ok(mpx_log_set(call_everything, records, MPX_LOG_INFO));
	for (int i = 0; i < 2000 && (!told(20, "MainProcess", "object ") ||
				     !told(20, "MainProcess", "shared memory "));
	     i++)
		kill_one_who_puts(&seed);
	assert_true(told(MPX_LOG_INFO, "MainProcess", "object ") > 0);
	assert_true(told(MPX_LOG_INFO, "MainProcess", "shared memory ") > 0);

	/* A lock of the user's: told when he releases it. */
	assert_int_equal(run_child(die_with_the_lock, records), -SIGKILL);
	assert_fails(mpx_lock_acquire(records->lock, SOON), EOWNERDEAD);
	snprintf(address, sizeof address, "lock %p had been left", (void *)records->lock);
	assert_told(0, MPX_LOG_INFO, "MainProcess", address);
	assert_ok(mpx_lock_consistent(records->lock));
	assert_ok(mpx_lock_release(records->lock));
	assert_told(1, MPX_LOG_INFO, "MainProcess", address);
	assert_ok(mpx_lock_acquire(records->lock, SOON));
	assert_ok(mpx_lock_release(records->lock));
	assert_told(1, MPX_LOG_INFO, "MainProcess", address);
	assert_told(0, MPX_LOG_CRITICAL, NULL, NULL);
	mpx_lock_free(records->lock);
	mpx_queue_free(records->queue);
	mpx_value_free(records->value);
	end();
	harness_rebase(); /* what the dead had from mpx_malloc is nobody's */
}

/* ---- a sink that calls the library -------------------------------------- */

static void test_sink_calls_the_library(void **state)
{
	(void)state;
	begin(MPX_LOG_DEBUG);
	records->lock = mpx_lock_new();
	records->queue = mpx_queue_new();
	assert_ok(mpx_log_set(call_everything, records, MPX_LOG_DEBUG));
	run_pool_orders();
	for (int i = 0; i < 5; i++)
		assert_int_equal(ends(start(return_7, NULL)), 7);
	assert_ok(mpx_log_set(NULL, NULL, 0));
	assert_told(0, MPX_LOG_CRITICAL, NULL, NULL);
	assert_true(told(MPX_LOG_INFO, "Process-", "child process began") >= 5);
	mpx_lock_free(records->lock);
	mpx_queue_free(records->queue);
	end();
}

static void start_a_process(int level, const char *process, const char *message, void *user)
{
	struct records *r = user;
	if (mpx_value_add(r->value, 1) == 0)
		assert_int_equal(ends(start(log_name, NULL)), MPX_LOG_WARNING);
	remember(level, process, message, user);
}

/* A process that is made inside a sink logs like any other. */
static void test_sink_starts_a_process(void **state)
{
	(void)state;
	begin(MPX_LOG_WARNING);
	records->value = mpx_value_new('i', 0);
	assert_ok(mpx_log_set(start_a_process, records, MPX_LOG_WARNING));
	mpx_log(MPX_LOG_WARNING, "go");
	assert_told(1, MPX_LOG_WARNING, "Process-", "I am Process-");
	assert_told(1, MPX_LOG_WARNING, "MainProcess", "go");
	mpx_value_free(records->value);
	end();
}

/* ---- threads and forks -------------------------------------------------- */

/* ThreadSanitizer calls threads that a fork has left behind a leak. */
enum { THREADS = 4, LINES = 300, FORKS = THREAD_SANITIZED ? 0 : 20 };

static void *log_many(void *arg)
{
	for (int i = 0; i < LINES; i++)
		mpx_log(MPX_LOG_INFO, "%d.%d %0200d", *(int *)arg, i, 0);
	return NULL;
}

static void *set_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < LINES; i++)
		mpx_log_to_stderr(MPX_LOG_DEBUG + i % 2);
	return NULL;
}

/* Threads that log, and one that changes the settings, while another forks. */
static int log_in_threads(void *arg)
{
	pthread_t thread[THREADS + 1];
	int number[THREADS];
	(void)arg;
	mpx_log_to_stderr(MPX_LOG_DEBUG);
	for (int i = 0; i < THREADS; i++) {
		number[i] = i;
		child_check(pthread_create(&thread[i], NULL, log_many, &number[i]) == 0);
	}
	child_check(pthread_create(&thread[THREADS], NULL, set_many, NULL) == 0);
	for (int i = 0; i < FORKS; i++) {
		int status;
		pid_t pid = fork();
		child_check(pid >= 0);
		if (pid == 0) {
			mpx_log(MPX_LOG_INFO, "fork %d", i);
			_exit(0);
		}
		child_check(waitpid(pid, &status, 0) == pid && status == 0);
	}
	for (int i = 0; i < THREADS + 1; i++)
		child_check(pthread_join(thread[i], NULL) == 0);
	return 0;
}

static void test_threads_and_forks(void **state)
{
	(void)state;
	int code, lines = 0, forks = 0, next[THREADS] = {0};
	char *text = stderr_of(log_in_threads, NULL, &code);
	if (code != 0)
		fail_msg("exit code %d: %.4000s", code, text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		int a, b, end = 0;
		if (sscanf(line, "[INFO/MainProcess] fork %d%n", &a, &end) == 1) {
			assert_int_equal(a, forks++);
		} else {
			if (sscanf(line, "[INFO/MainProcess] %d.%d %n", &a, &b, &end) != 2)
				fail_msg("a line is not whole: %s", line);
			assert_true(a >= 0 && a < THREADS);
			assert_int_equal(b, next[a]++);
			assert_int_equal(strspn(line + end, "0"), 200);
			end += 200;
			lines++;
		}
		assert_int_equal(line[end], '\0');
	}
	assert_int_equal(forks, FORKS);
	assert_int_equal(lines, THREADS * LINES);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_off_and_on),
		mpx_test(test_wrong_arguments),
		mpx_test(test_long_messages),
		mpx_test(test_lines),
		mpx_test(test_long_lines),
		mpx_test(test_names_and_levels_of_children),
		mpx_test(test_nobody_reads),
		mpx_test(test_environment),
		mpx_test(test_events_of_processes),
		mpx_test(test_events_of_pools),
		mpx_test(test_a_pool_that_breaks),
		mpx_test(test_deaths_inside),
		mpx_test(test_sink_calls_the_library),
		mpx_test(test_sink_starts_a_process),
		mpx_test(test_threads_and_forks),
	};
	program = argv[0];
	if (argc > 1)
		return anew(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
