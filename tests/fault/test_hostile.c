/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Hosts that are no friends: a holder of a lock that ends in any way there is, or seems to; a thief
 * of exit statuses; Ctrl-C on a terminal; a kernel short of memory (a control group's limit) that
 * kills a holder and a worker; a program of nobody's in an empty root without /proc, /dev and /tmp.
 *
 * The control group needs a directory in which groups with a memory.max may be made: the
 * own group, if it may, or MPX_FAULT_CGROUP. Skipped otherwise.
 *
 * Seen to fail with, in src/shm/word.c: take_dead that finds nobody dead. In
 * src/platform/linux.c: a readable pidfd not believed (the empty root); any zombie taken for dead,
 * by its state or for want of memory. In src/process/child.c: no stay().
 */
#define _GNU_SOURCE
#include "family.h"

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- ways to end, with a lock ----------------------------------------------------------- */

enum way { RETURN, EXIT, UNDERSCORE_EXIT, THREAD_EXIT, EXEC, SIGNALS };

struct end {
	mpx_lock *l;
	mpx_rlock *r;
	int way; /* or SIGNALS + signal */
};

static int end_that_way(void *arg)
{
	struct end *e = arg;
	child_check(mpx_lock_acquire(e->l, SOON) == 0 && mpx_rlock_acquire(e->r, SOON) == 0);
	switch (e->way) {
	case RETURN:
		return 3;
	case EXIT:
		exit(3);
	case UNDERSCORE_EXIT:
		_exit(3);
	case THREAD_EXIT:
		pthread_exit(NULL);
	case EXEC:
		execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
		return 98;
	default:
		signal(e->way - SIGNALS, SIG_DFL);
		raise(e->way - SIGNALS);
		return 99;
	}
}

static void ends_that_way(int way, int code)
{
	struct end *e = mpx_calloc(1, sizeof *e);
	assert_non_null(e);
	assert_non_null(e->l = mpx_lock_new());
	assert_non_null(e->r = mpx_rlock_new());
	e->way = way;
	assert_int_equal(ends(start(end_that_way, e)), code);
	assert_fails(mpx_lock_acquire(e->l, SOON), EOWNERDEAD);
	assert_fails(mpx_rlock_acquire(e->r, SOON), EOWNERDEAD);
	assert_ok(mpx_lock_consistent(e->l));
	assert_ok(mpx_rlock_consistent(e->r));
	assert_ok(mpx_lock_release(e->l));
	assert_ok(mpx_rlock_release(e->r));
	mpx_lock_free(e->l);
	mpx_rlock_free(e->r);
	mpx_free(e);
}

static void test_ways_to_end(void **state)
{
	(void)state;
	static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGBUS, SIGHUP, SIGPIPE};
	ends_that_way(RETURN, 3);
	ends_that_way(EXIT, 3);
	ends_that_way(UNDERSCORE_EXIT, 3);
	ends_that_way(EXEC, 3);
#if !SANITIZED
	ends_that_way(THREAD_EXIT, 0);
#endif
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		ends_that_way(SIGNALS + signals[i], -signals[i]);
}

/* --- a process whose first thread has ended ----------------------------------------------- */

struct lingering {
	mpx_lock *l;
	atomic_bool held, go;
	atomic_int released; /* 1: well */
};

static void *hold(void *arg)
{
	struct lingering *l = arg;
	double end = now() + 2 * SOON;
	if (mpx_lock_acquire(l->l, SOON) == 0) {
		atomic_store(&l->held, true);
		while (!atomic_load(&l->go) && now() < end)
			nap();
		atomic_store(&l->released, mpx_lock_release(l->l) == 0 ? 1 : -1);
	}
	return NULL;
}

static int leave_it_to_a_thread(void *arg)
{
	struct lingering *l = arg;
	pthread_t t;
	child_check(pthread_create(&t, NULL, hold, l) == 0);
	child_soon(atomic_load(&l->held));
	pthread_exit(NULL);
}

/* The system shows a zombie, which holds the lock all the same. */
static void test_first_thread_ends(void **state)
{
	(void)state;
#if SANITIZED
	skip();
#endif
	struct rlimit old, none;
	struct lingering *l = mpx_calloc(1, sizeof *l);
	assert_non_null(l);
	assert_non_null(l->l = mpx_lock_new());
	mpx_process *p = start(leave_it_to_a_thread, l);
	assert_soon(atomic_load(&l->held) && !pid_running(mpx_process_pid(p)));
	assert_times_out(mpx_lock_acquire(l->l, 0.3), 0.3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int r = mpx_lock_acquire(l->l, 0.3), error = errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, -1);
	assert_int_equal(error, ETIMEDOUT);
	atomic_store(&l->go, true);
	assert_ok(mpx_lock_acquire(l->l, SOON));
	assert_int_equal(atomic_load(&l->released), 1);
	assert_ok(mpx_lock_release(l->l));
	assert_int_equal(ends(p), 0);
	mpx_lock_free(l->l);
	mpx_free(l);
}

/* Its children do not go with it. */
struct first {
	mpx_process *p;
	mpx_pool *pool;
	atomic_bool leaves, went_well;
};

static int wait_for_ever(void *unused)
{
	(void)unused;
	alarm(80);
	for (;;)
		pause();
	return 0;
}

static void *go_on(void *arg)
{
	struct first *f = arg;
	unsigned x = 5, y = 0;
	child_soon(atomic_load(&f->leaves) && (asleep(getpid()) || !pid_running(getpid())));
	child_check(mpx_pool_apply(f->pool, square, &x, &y) == 0 && y == 25);
	child_check(mpx_process_is_alive(f->p));
	mpx_pool_free(f->pool);
	child_check(mpx_process_kill(f->p) == 0 && mpx_process_join(f->p, SOON) == 0);
	mpx_process_free(f->p);
	atomic_store(&f->went_well, true);
	return NULL;
}

static int have_children_and_leave(void *arg)
{
	struct first *f = arg;
	pthread_t t;
	f->p = mpx_process_new(.target = wait_for_ever);
	f->pool = mpx_pool_new(.processes = 2);
	child_check(f->p && mpx_process_start(f->p) == 0 && f->pool);
	child_check(pthread_create(&t, NULL, go_on, f) == 0 && pthread_detach(t) == 0);
	atomic_store(&f->leaves, true);
	pthread_exit(NULL);
}

static void test_children_of_the_first_thread(void **state)
{
	(void)state;
#if SANITIZED
	skip();
#endif
	struct first *f = mpx_calloc(1, sizeof *f);
	assert_non_null(f);
	assert_int_equal(run_child(have_children_and_leave, f), 0);
	assert_true(atomic_load(&f->went_well));
	mpx_free(f);
}

/* --- a thief of statuses ---------------------------------------------------------------------- */

static int pause_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

/* Does the kernel (since 6.15) remember how somebody ended who has been waited for? */
static bool kernel_remembers(void)
{
	bool remembers = false;
#if defined(__linux__) && !defined(MPX_TEST_PLATFORM_POSIX)
	struct {
		uint64_t mask, cgroup;
		uint32_t ids[11];
		int32_t exit_code;
	} info = {.mask = 8};
	pid_t pid = fork_child(pause_for_ever, NULL);
	int fd = (int)syscall(434 /* pidfd_open */, pid, 0);
	kill(pid, SIGKILL);
	wait_child(pid);
	remembers = fd >= 0 && ioctl(fd, _IOWR(0xff, 11, info), &info) == 0 && info.mask & 8;
	if (fd >= 0)
		close(fd);
#endif
	return remembers;
}

static void test_stolen_signal(void **state)
{
	(void)state;
	static const int signals[] = {SIGKILL, SIGTERM, SIGABRT};
	bool remembers = kernel_remembers();
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		mpx_process *p = start(pause_for_ever, NULL);
		pid_t pid = mpx_process_pid(p);
		int code = 1000;
		assert_ok(kill(pid, signals[i]));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_ok(mpx_process_join(p, SOON));
		if (remembers)
			assert_ok(mpx_process_exitcode(p, &code));
		else
			assert_fails(mpx_process_exitcode(p, &code), ECHILD);
		assert_int_equal(code, remembers ? -signals[i] : 1000);
		assert_ok(mpx_process_free(p));
	}
}

/* --- Ctrl-C -------------------------------------------------------------------------------- */

struct program {
	struct end end; /* its locks */
	struct gate gate;
	struct meeting meeting;
	pid_t workers[2], holder;
	char terminal[64];
	atomic_bool held, ready;
};

static int hold_for_ever(void *arg)
{
	struct program *p = arg;
	child_check(mpx_lock_acquire(p->end.l, SOON) == 0);
	atomic_store(&p->held, true);
	for (;;)
		pause();
	return 0;
}

/* In the foreground of a terminal of its own: one worker busy, one idle, a child that
 * holds a lock. */
static int program_on_a_terminal(void *arg)
{
	struct program *p = arg;
	struct gate *g = &p->gate;
	child_check(setsid() == getpid());
	int fd = open(p->terminal, O_RDWR);
	child_check(fd >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0);
	signal(SIGINT, SIG_DFL);
	mpx_process *holder = mpx_process_new(.target = hold_for_ever, .args = p);
	child_check(holder && mpx_process_start(holder) == 0);
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool && workers_of(pool, &p->meeting, 2, p->workers));
	child_check(mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL) != NULL);
	child_soon(atomic_load(&p->held) && atomic_load(&g->entered) == 1);
	p->holder = mpx_process_pid(holder);
	atomic_store(&p->ready, true);
	for (;;)
		pause();
	return 0;
}

static void test_interrupt_on_a_terminal(void **state)
{
	(void)state;
	struct program *p = mpx_calloc(1, sizeof *p);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_non_null(p);
	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 ||
	    ptsname_r(master, p->terminal, sizeof p->terminal) != 0) {
		if (master >= 0)
			close(master);
		mpx_free(p);
		skip();
	}
	assert_non_null(p->end.l = mpx_lock_new());
	pid_t pid = fork_child(program_on_a_terminal, p);
	assert_soon(atomic_load(&p->ready));
	assert_int_equal(write(master, "\003", 1), 1);
	assert_int_equal(wait_child(pid), -SIGINT);
	assert_soon(!pid_running(p->holder));
	assert_soon(!pid_running(p->workers[0]) && !pid_running(p->workers[1]));
	assert_fails(mpx_lock_acquire(p->end.l, SOON), EOWNERDEAD);
	assert_ok(mpx_lock_consistent(p->end.l));
	assert_ok(mpx_lock_release(p->end.l));
	mpx_lock_free(p->end.l);
	close(master);
	mpx_free(p);
	/* What the pool of the dead had in the heap stays: one pool, one job. */
	harness_rebase();
}

/* --- out of memory --------------------------------------------------------------------------- */

static char group[200]; /* with a limit of memory */

static bool write_to(const char *name, const char *text)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", group, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

static bool make_group(void)
{
	const char *wish = getenv("MPX_FAULT_CGROUP");
	char line[300] = "", parent[150] = "";
	FILE *file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "0::", 3) == 0)
			snprintf(parent, sizeof parent, "/sys/fs/cgroup%.100s",
				 strtok(line + 3, "\n"));
	if (file)
		fclose(file);
	snprintf(group, sizeof group, "%s/mpx-test-%d", wish ? wish : parent, (int)getpid());
	if ((!wish && !parent[0]) || mkdir(group, 0755) != 0)
		return false;
	write_to("memory.swap.max", "0");
	if (write_to("memory.max", "33554432"))
		return true;
	rmdir(group);
	return false;
}

/* Until the kernel has had enough. */
static void take_all_memory(void)
{
	char pid[20];
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	child_check(write_to("cgroup.procs", pid));
	for (int i = 0; i < 256; i++) {
		volatile char *p = malloc(1 << 20);
		child_check(p != NULL);
		for (int k = 0; k < 1 << 20; k += 4096)
			p[k] = 1;
	}
}

static int hold_and_take_all(void *arg)
{
	struct end *e = arg;
	child_check(mpx_lock_acquire(e->l, SOON) == 0);
	take_all_memory();
	return 97;
}

static int square_or_take_all(const void *in, void *out)
{
	if (*(const unsigned *)in == 13)
		take_all_memory();
	return square(in, out);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	if (!make_group()) {
		print_message("no control group with memory.max may be made here\n");
		skip();
	}
	struct end *e = mpx_calloc(1, sizeof *e);
	mpx_pool *pool = pool_of(2);
	unsigned in[40], out[40] = {0};
	mpx_failure f;
	assert_non_null(e);
	assert_non_null(e->l = mpx_lock_new());
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ends(start(hold_and_take_all, e)), -SIGKILL);
		assert_fails(mpx_lock_acquire(e->l, SOON), EOWNERDEAD);
		assert_ok(mpx_lock_consistent(e->l));
		assert_ok(mpx_lock_release(e->l));
	}
	for (unsigned i = 0; i < 40; i++)
		in[i] = i;
	for (int i = 0; i < 5; i++) {
		assert_fails(mpx_pool_map(pool, square_or_take_all, in, out, 40), EOWNERDEAD);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_true(f.index == 13 && f.signal == SIGKILL);
		for (unsigned k = 0; k < 40; k++)
			assert_true(k == 13 || out[k] == k * k);
	}
	mpx_pool_free(pool);
	mpx_lock_free(e->l);
	mpx_free(e);
	assert_soon(rmdir(group) == 0);
}

/* --- a poor host -------------------------------------------------------------------------------
 */

static int poor; /* what became of it: in main, before this program uses the library */

#ifdef MPX_TEST_PLATFORM_LINUX /* elsewhere, a family needs a file for a moment */

static int take_and_die(void *arg)
{
	struct end *e = arg;
	child_check(mpx_lock_acquire(e->l, SOON) == 0);
	raise(SIGKILL);
	return 0;
}

static int send_one(void *q)
{
	return mpx_queue_put(q, "x", 1, SOON) == 0 ? 0 : 1;
}

static int die_or_square(const void *in, void *out)
{
	if (*(const unsigned *)in == 7)
		raise(SIGKILL);
	return square(in, out);
}

static int use_all(void *unused)
{
	unsigned in[20], out[20] = {0};
	int code = -1;
	char c;
	(void)unused;
	struct end *e = mpx_calloc(1, sizeof *e);
	child_check(e && (e->l = mpx_lock_new()));
	mpx_queue *q = mpx_queue_new(.maxsize = 0);
	mpx_process *p = mpx_process_new(.target = send_one, .args = q);
	child_check(q && p && mpx_process_start(p) == 0);
	child_check(mpx_queue_get(q, &c, 1, SOON) == 1 && c == 'x');
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 0);
	child_check(mpx_process_free(p) == 0);
	child_check(mpx_queue_fileno(q) >= 0);
	p = mpx_process_new(.target = take_and_die, .args = e);
	child_check(p && mpx_process_start(p) == 0);
	child_soon(mpx_lock_locked(e->l));
	child_fails(mpx_lock_acquire(e->l, SOON), EOWNERDEAD);
	child_check(mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == -SIGKILL);
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	for (unsigned i = 0; i < 20; i++)
		in[i] = i;
	child_fails(mpx_pool_map(pool, die_or_square, in, out, 20), EOWNERDEAD);
	for (unsigned i = 0; i < 20; i++)
		child_check(i == 7 || out[i] == i * i);
	mpx_pool_free(pool);
	return 0;
}

/* Nobody, in an empty root that is not his. */
static void become_poor(const char *root)
{
	struct rlimit no_core = {0, 0};
	if (chroot(root) != 0)
		_exit(77);
	child_check(chdir("/") == 0);
	child_check(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(80);
	_exit(use_all(NULL));
}

#endif

static void test_poor_host(void **state)
{
	(void)state;
	if (poor == 77)
		skip();
	assert_int_equal(poor, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_ways_to_end),
		mpx_test(test_first_thread_ends),
		mpx_test(test_children_of_the_first_thread),
		mpx_test(test_stolen_signal),
		mpx_test(test_interrupt_on_a_terminal),
		mpx_test(test_out_of_memory),
		mpx_test(test_poor_host),
	};
	struct rlimit no_core = {0, 0};
	poor = 77;
#ifdef MPX_TEST_PLATFORM_LINUX
	char root[] = "/tmp/mpx-empty-XXXXXX";
	int status = 0;
	pid_t pid = mkdtemp(root) ? fork() : -1;
	if (pid == 0)
		become_poor(root);
	if (pid > 0 && waitpid(pid, &status, 0) == pid)
		poor = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	rmdir(root);
#endif
	setrlimit(RLIMIT_CORE, &no_core);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
