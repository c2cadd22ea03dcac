/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * harness.c - the fixture of every test (snapshot, comparison, watchdog) and the
 * helpers of harness.h. It sees the library through its headers only.
 */
#define _POSIX_C_SOURCE 200809L

#include "harness.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define MAX_FDS 1024
#define MAX_CHILDREN 512
#define MAX_NAMES 256
#define SETTLE_SECONDS 5.0
#define WATCHDOG_SECONDS 90

struct snapshot {
	size_t nfds, nchildren, nnames, blocks;
	bool any_child; /* as waitid says, where there is no /proc */
	int fds[MAX_FDS];
	pid_t children[MAX_CHILDREN];
	char names[MAX_NAMES][64];
};

static struct snapshot before, after;
static const char *volatile running = "?";

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void nap(void)
{
	struct timespec ms = {0, 1000000};
	nanosleep(&ms, NULL);
}

uint64_t next_random(uint64_t *seed)
{
	/* splitmix64 */
	uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- children ---------------------------------------------------------- */

static void default_signals(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGALRM};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		signal(faults[i], SIG_DFL);
}

pid_t fork_child(int (*fn)(void *), void *arg)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		fail_msg("fork: %s", strerror(errno));
	if (pid == 0) {
		default_signals();
		alarm(WATCHDOG_SECONDS);
		_exit(fn(arg));
	}
	return pid;
}

int wait_child(pid_t pid)
{
	int status;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		continue;
	if (got != pid)
		fail_msg("waitpid(%d): %s", (int)pid, strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int run_child(int (*fn)(void *), void *arg)
{
	return wait_child(fork_child(fn, arg));
}

bool pid_exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

/* The state letter and the parent of a process; false where /proc cannot tell. */
static bool proc_stat(const char *pid, char *state, pid_t *parent)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *tail = strrchr(text, ')');
	int ppid;
	if (!tail || sscanf(tail + 1, " %c %d", state, &ppid) != 2)
		return false;
	*parent = ppid;
	return true;
}

bool pid_running(pid_t pid)
{
	char text[24], state;
	pid_t parent;
	snprintf(text, sizeof text, "%d", (int)pid);
	if (proc_stat(text, &state, &parent))
		return state != 'Z' && state != 'X';
	return pid_exists(pid);
}

bool send_byte(int fd)
{
	ssize_t n;
	while ((n = write(fd, "!", 1)) < 0 && errno == EINTR)
		continue;
	return n == 1;
}

bool recv_byte(int fd)
{
	char c;
	ssize_t n;
	while ((n = read(fd, &c, 1)) < 0 && errno == EINTR)
		continue;
	return n == 1;
}

/* ---- bad pointers ------------------------------------------------------ */

void bad_pointers_make(struct bad_pointers *bad, void *good)
{
	static char fixed[512];
	memset(bad, 0, sizeof *bad);
	bad->block = mpx_calloc(1, 512);
	bad->malloced = calloc(1, 512);
	assert_non_null(bad->block);
	assert_non_null(bad->malloced);
	void *all[] = {
		NULL,
		(char *)good + 1,
		(char *)good + 4,
		(char *)good + 16,
		bad->stack,
		fixed,
		bad->malloced,
		bad->block,
		(char *)bad->block + 64,
		(char *)bad->block + 1,
		(char *)bad->block + (1 << 30),
		(void *)(uintptr_t)1,
		(void *)(uintptr_t)64,
		(void *)(uintptr_t)-64,
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		bad->p[bad->n++] = all[i];
}

void bad_pointers_done(struct bad_pointers *bad)
{
	mpx_free(bad->block);
	free(bad->malloced);
}

/* ---- snapshot ---------------------------------------------------------- */

static int by_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}

static size_t list_fds(int *fds, size_t max)
{
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		dir = opendir("/dev/fd");
	if (dir) {
		struct dirent *e;
		while ((e = readdir(dir))) {
			int fd = atoi(e->d_name);
			if (isdigit((unsigned char)e->d_name[0]) && fd != dirfd(dir) && n < max)
				fds[n++] = fd;
		}
		closedir(dir);
	} else {
		for (int fd = 0; fd < 4096; fd++)
			if (fcntl(fd, F_GETFD) >= 0 && n < max)
				fds[n++] = fd;
	}
	qsort(fds, n, sizeof *fds, by_int);
	return n;
}

size_t open_fds(void)
{
	static int fds[MAX_FDS * 8];
	return list_fds(fds, MAX_FDS * 8);
}

static size_t list_children(pid_t *children, size_t max)
{
	size_t n = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return 0;
	struct dirent *e;
	while ((e = readdir(dir))) {
		char state;
		pid_t parent;
		if (isdigit((unsigned char)e->d_name[0]) && proc_stat(e->d_name, &state, &parent) &&
		    parent == getpid() && n < max)
			children[n++] = (pid_t)atoi(e->d_name);
	}
	closedir(dir);
	qsort(children, n, sizeof *children, by_int);
	return n;
}

static bool any_child(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static size_t list_names(char names[][64], size_t max)
{
	size_t n = 0;
	DIR *dir = opendir("/dev/shm");
	if (!dir)
		return 0;
	struct dirent *e;
	while ((e = readdir(dir))) {
		struct stat st;
		if (e->d_name[0] != '.' && n < max &&
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_uid == geteuid())
			snprintf(names[n++], 64, "%.63s", e->d_name);
	}
	closedir(dir);
	qsort(names, n, 64, by_name);
	return n;
}

size_t heap_blocks(void)
{
	mpx_memory_stats stats;
	if (mpx_memory_stats_now(&stats) != 0)
		return 0;
	return stats.blocks;
}

static void take(struct snapshot *s)
{
	s->nfds = list_fds(s->fds, MAX_FDS);
	s->nchildren = list_children(s->children, MAX_CHILDREN);
	s->any_child = any_child();
	s->nnames = list_names(s->names, MAX_NAMES);
	s->blocks = heap_blocks();
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
	if (a->nfds != b->nfds || a->nchildren != b->nchildren || a->nnames != b->nnames ||
	    a->any_child != b->any_child || a->blocks != b->blocks)
		return false;
	for (size_t i = 0; i < a->nnames; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return memcmp(a->fds, b->fds, a->nfds * sizeof *a->fds) == 0 &&
	       memcmp(a->children, b->children, a->nchildren * sizeof *a->children) == 0;
}

/* Appends what one sorted list of numbers has and the other has not. */
static void tell_ints(char *text, size_t size, const char *what, const int *a, size_t na,
		      const int *b, size_t nb)
{
	for (size_t i = 0; i < na; i++) {
		if (bsearch(&a[i], b, nb, sizeof *b, by_int))
			continue;
		char path[64], target[128];
		ssize_t n = -1;
		if (strstr(what, "descriptor")) {
			snprintf(path, sizeof path, "/proc/self/fd/%d", a[i]);
			n = readlink(path, target, sizeof target - 1);
		}
		target[n > 0 ? n : 0] = '\0';
		size_t used = strlen(text);
		snprintf(text + used, size - used, " %s %d %s;", what, a[i], target);
	}
}

static void tell_names(char *text, size_t size, const char *what, const struct snapshot *a,
		       const struct snapshot *b)
{
	for (size_t i = 0; i < a->nnames; i++) {
		bool found = false;
		for (size_t k = 0; k < b->nnames; k++)
			found = found || strcmp(a->names[i], b->names[k]) == 0;
		size_t used = strlen(text);
		if (!found)
			snprintf(text + used, size - used, " %s /dev/shm/%s;", what, a->names[i]);
	}
}

static void tell(char *text, size_t size, const struct snapshot *a, const struct snapshot *b)
{
	text[0] = '\0';
	tell_ints(text, size, "new descriptor", b->fds, b->nfds, a->fds, a->nfds);
	tell_ints(text, size, "lost descriptor", a->fds, a->nfds, b->fds, b->nfds);
	tell_ints(text, size, "new child", b->children, b->nchildren, a->children, a->nchildren);
	tell_ints(text, size, "lost child", a->children, a->nchildren, b->children, b->nchildren);
	tell_names(text, size, "new name", b, a);
	tell_names(text, size, "lost name", a, b);
	size_t used = strlen(text);
	snprintf(text + used, size - used, " children %s, now %s; heap blocks %zu, now %zu",
		 a->any_child ? "some" : "none", b->any_child ? "some" : "none", a->blocks,
		 b->blocks);
}

/* A failed test must not spoil the next one. */
static void kill_new_children(void)
{
	for (size_t i = 0; i < after.nchildren; i++) {
		pid_t pid = after.children[i];
		if (bsearch(&pid, before.children, before.nchildren, sizeof pid, by_int))
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

void harness_rebase(void)
{
	take(&before);
}

/* ---- fixture ----------------------------------------------------------- */

static void watchdog(int sig)
{
	static const char text[] = "\nharness: time is up: ";
	const char *name = running;
	ssize_t n;
	(void)sig;
	n = write(2, text, sizeof text - 1);
	n = write(2, name, strlen(name));
	n = write(2, "\n", 1);
	(void)n;
	abort();
}

static int nothing(void *args)
{
	(void)args;
	return 0;
}

/* The end of a child is no place to look for leaks: it has what its parent had. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_SOUGHT
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(LEAKS_ARE_SOUGHT)
static pid_t first_process;

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return first_process != 0 && getpid() != first_process;
}
#endif

/* The library may keep something for good once it was used; so use it first. */
static void first_use(void)
{
	static bool done;
	if (done)
		return;
	done = true;
#if defined(__SANITIZE_ADDRESS__) || defined(LEAKS_ARE_SOUGHT)
	first_process = getpid();
#endif
	pthread_atfork(NULL, NULL, default_signals);
	assert_non_null(mpx_current_process());
	mpx_parent_process();
	mpx_free(mpx_malloc(100));
	mpx_lock *l = mpx_lock_new();
	assert_non_null(l);
	assert_int_equal(mpx_lock_acquire(l, 0), 0);
	assert_int_equal(mpx_lock_release(l), 0);
	mpx_lock_free(l);
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	mpx_queue_free(q);
	mpx_process *p = mpx_process_new(.target = nothing);
	assert_non_null(p);
	assert_int_equal(mpx_process_start(p), 0);
	assert_int_equal(mpx_process_join(p, MPX_FOREVER), 0);
	assert_int_equal(mpx_process_free(p), 0);
	if (getenv("MPX_TRACE")) /* whose descriptor stays */
		mpx_pool_free(mpx_pool_new(.processes = 1));
}

/* MPX_TEST_FILTER=test_that runs that test alone; * and ? stand for others. */
__attribute__((constructor)) static void choose_tests(void)
{
	const char *filter = getenv("MPX_TEST_FILTER");
	if (filter)
		cmocka_set_test_filter(filter);
}

int harness_setup(void **state)
{
	running = *state;
	struct sigaction sa = {.sa_handler = watchdog};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	const char *seconds = getenv("MPX_TEST_SECONDS");
	int limit = seconds ? atoi(seconds) : 0;
	alarm(limit > 0 ? (unsigned)limit : WATCHDOG_SECONDS);
	first_use();
	take(&before);
	return 0;
}

int harness_teardown(void **state)
{
	(void)state;
	double end = now() + SETTLE_SECONDS;
	for (take(&after); !same(&before, &after) && now() < end; take(&after))
		nap();
	alarm(0);
	if (!same(&before, &after)) {
		static char text[4096];
		tell(text, sizeof text, &before, &after);
		kill_new_children();
		fail_msg("%s left:%s", running, text);
	}
	return 0;
}
