/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_syscalls.c - failing system calls: the n-th call of every system call and
 * allocation that the library makes fails (by interposition, syscalls.h), for every
 * n until the scenario passes untouched: an errno comes back, nothing leaks.
 *
 *   Once, and from the n-th on for good; in the calling process, and in all that it
 *   forks. Scenarios: the first use of the library, processes, a queue in poll, a
 *   connection, a wait, a pool, named memory, a host that ignores SIGCHLD. After each run
 *   everything works.
 *
 *   A system without pidfds (ENOSYS, EPERM: an old kernel, a container), also by a
 *   real seccomp filter; a system without /proc: everything works, killed holders
 *   and killed workers are noticed.
 *
 * Seen to fail (each line was taken away in a copy): mpx__peer_cancel in prepare and
 * in undo (process/child.c), close_if_open(&b->link[0]) in undo, the object's free
 * where choose_names fails (process/process.c).
 *
 * Not made to fail, because no kernel does: pthread_sigmask, sigaction, fcntl with
 * what the library asks of it, kill of a child of one's own.
 */
#define _GNU_SOURCE
#include "syscalls.h"

#include <poll.h>
#include <unistd.h>

/* What this test itself calls is not to fail. */
int __real_poll(struct pollfd *fds, nfds_t n, int milliseconds);
#define poll __real_poll

#include "everything.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#ifdef __has_include
#if __has_include(<linux/seccomp.h>) && __has_include(<linux/filter.h>)
#define HAVE_SECCOMP 1
#include <linux/filter.h>
#include <linux/seccomp.h>
#endif
#endif

static const char *self;

/* What each call may fail with; 0 ends. The first also for good. */
static const int errors_of[CALLS][5] = {
	[CALL_fork] = {EAGAIN, ENOMEM},
	[CALL_socketpair] = {EMFILE, ENFILE, ENOMEM},
	[CALL_socket] = {EMFILE, ENFILE, ENOBUFS},
	[CALL_bind] = {ENOMEM, ENOBUFS},
	[CALL_getsockname] = {ENOBUFS},
	[CALL_sendto] = {ENOBUFS, ENOMEM},
	[CALL_recv] = {ENOMEM, EINTR},
	[CALL_sendmsg] = {ENOBUFS, ENOMEM, EINTR}, /* EAGAIN: poll would know nothing of it */
	[CALL_recvmsg] = {ENOMEM, EINTR, EAGAIN},
	[CALL_poll] = {ENOMEM, EINTR, SPURIOUS},
	[CALL_open] = {EMFILE, ENFILE, ENOENT, EACCES},
	[CALL_read] = {EIO, EINTR, SPURIOUS},
	[CALL_dup2] = {EBUSY},
	[CALL_prctl] = {EPERM},
	[CALL_mmap] = {ENOMEM, EAGAIN},
	[CALL_madvise] = {EINVAL, ENOMEM},
	[CALL_malloc] = {ENOMEM},
	[CALL_calloc] = {ENOMEM},
	[CALL_strdup] = {ENOMEM},
	[CALL_waitid_pidfd] = {EINVAL, ENOSYS, EPERM},
	[CALL_pidfd_open] = {EMFILE, ENFILE, ENOMEM, EPERM},
	[CALL_pidfd_send_signal] = {ENOSYS, EPERM},
	[CALL_futex_wait] = {EAGAIN, EINTR, ETIMEDOUT, SPURIOUS, ENOSYS},
	[CALL_futex_wake] = {ENOSYS, SPURIOUS},
	[CALL_sched_getaffinity] = {EINVAL, ENOSYS},
	[CALL_shm_open] = {EMFILE, ENFILE, ENOSPC},
	[CALL_ftruncate] = {ENOSPC, EINTR},
	[CALL_posix_fallocate] = {ENOSPC, EINTR, EOPNOTSUPP, ENOMEM},
	[CALL_linkat] = {ENOENT, EPERM, ENOSPC},
};

/* What the library may say then: resources, and nothing of its inner life. */
static const int errors_of_resources[] = {EAGAIN, ENOMEM, EMFILE, ENFILE, ENOBUFS, ENOSPC, 0};

/* ---- scenarios --------------------------------------------------------- */

static void do_process(void)
{
	try_process();
	try_running_process();
}

static void do_queue(void)
{
	for (int i = 0; i < 2; i++)
		try_queue();
}

/* Sends a message, and receives it: also if that failed at first. */
static void try_message(mpx_connection *const c[2], size_t size)
{
	static unsigned char m[100000], back[100000];
	ssize_t n = -1;
	fill(m, size, size);
	if (!went_well(mpx_connection_send(c[0], m, size, SOON)))
		return;
	for (int i = 0; i < 2 && n < 0; i++)
		if (went_well(n = mpx_connection_recv(c[1], back, sizeof back, SOON)))
			child_check(n == (ssize_t)size && filled(back, size, size));
}

static void try_descriptor(mpx_connection *const c[2])
{
	int fd = -1;
	if (!went_well(mpx_connection_send_fd(c[0], 2, SOON)))
		return;
	for (int i = 0; i < 2 && fd < 0; i++)
		if (went_well(fd = mpx_connection_recv_fd(c[1], SOON)))
			child_check(close(fd) == 0);
}

/* A queue that cannot be given a descriptor is waited for nevertheless. */
static void try_wait(mpx_connection *c)
{
	mpx_queue *q;
	mpx_waitable set[20];
	if (!got(q, mpx_queue_new()))
		return;
	for (int i = 0; i < 20; i++)
		set[i] = i % 2 ? mpx_waitable_of(c) : mpx_waitable_of(q);
	errno = 0;
	child_check(mpx_wait(set, 20, NULL, 0.003) == -1);
	child_check(errno == ETIMEDOUT || refused("a wait"));
	if (went_well(mpx_queue_put(q, "x", 1, SOON)))
		went_well(mpx_wait(set, 20, NULL, SOON));
	mpx_queue_free(q);
}

static void do_connection(void)
{
	mpx_connection *c[2];
	for (int i = 0; i < 2; i++) { /* with a message left behind, the next may be another */
		if (!went_well(mpx_pipe(c, true)))
			continue;
		if (i == 0) {
			try_wait(c[1]);
			try_message(c, 100000);
		} else {
			try_descriptor(c);
		}
		child_check(mpx_connection_close(c[0]) == 0);
		child_check(mpx_connection_close(c[1]) == 0);
	}
}

static void do_pool(void)
{
	try_pool(2);
}

static void do_first_use(void)
{
	try_memory();
	try_locks();
	try_queue();
	try_process();
}

static void do_deaths(void)
{
	try_deaths();
}

/* A child of another thread than the main one is told of its parent's death by a
 * socket. */
static void *in_thread(void *arg)
{
	(void)arg;
	try_process();
	try_running_process();
	try_pool(1);
	return NULL;
}

static void do_thread(void)
{
	pthread_t t;
	child_check(pthread_create(&t, NULL, in_thread, NULL) == 0);
	child_check(pthread_join(t, NULL) == 0);
}

/* That nothing is left in /dev/shm, the harness says. */
static void do_shared_memory(void)
{
	const mpx_shareable_item items[] = {mpx_shareable_str("text"), mpx_shareable_int(1)};
	mpx_shared_memory *m, *n;
	mpx_shareable_list *l;
	char name[64];
	snprintf(name, sizeof name, "mpx_test_calls_%d", (int)getpid());
	if (got(m, mpx_shared_memory_create(NULL, 100000))) {
		memset(mpx_shared_memory_buf(m), 1, 100000);
		if (got(n, mpx_shared_memory_open(mpx_shared_memory_name(m))))
			child_check(((char *)mpx_shared_memory_buf(n))[99999] == 1);
		mpx_shared_memory_free(n);
		child_check(mpx_shared_memory_unlink(m) == 0);
		mpx_shared_memory_free(m);
	}
	if (got(l, mpx_shareable_list_create(items, 2, name))) {
		mpx_shareable_list *also;
		child_check(mpx_shareable_list_set_str(l, 1, "8 bytes.") == 0);
		if (got(also, mpx_shareable_list_open(name)))
			child_check(mpx_shareable_list_index(also, items[0]) == 0);
		mpx_shareable_list_free(also);
		child_check(mpx_shareable_list_unlink(l) == 0);
		mpx_shareable_list_free(l);
	}
	went_well(mpx_shared_memory_sweep());
}

struct scenario {
	const char *name;
	void (*run)(void);
	bool first_use, ignored;
};

static const struct scenario scenarios[] = {
	{"process", do_process, false, false},
	{"queue", do_queue, false, false},
	{"shared-memory", do_shared_memory, false, false},
	{"connection", do_connection, false, false},
	{"pool", do_pool, false, false},
	{"deaths", do_deaths, false, false},
	{"process-ignored", do_process, false, true},
	{"pool-ignored", do_pool, false, true},
	{"thread", do_thread, false, false},
	{"first-use", do_first_use, true, false},
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

/* ---- one run ----------------------------------------------------------- */

struct run {
	const struct scenario *scenario;
	enum syscall_name name;
	int error;
	unsigned n;
	bool persistent;
	int where;
};

static int one_run(void *arg)
{
	const struct run *r = arg;
	struct belongings before = {0, 0};
	bool reached;
	alarm(20); /* hangs are found sooner than by the watchdog */
	if (r->scenario->ignored)
		signal(SIGCHLD, SIG_IGN);
	if (r->scenario->first_use)
		before.fds = open_fds();
	else
		before = belongings_now();
	tolerated = errors_of_resources;
	syscalls_fail(r->name, r->error, r->n, r->persistent, r->where);
	r->scenario->run();
	syscalls_work();
	reached = syscalls_counted() >= r->n;
	tolerated = NULL;
	child_left_nothing(before);
	if (reached) {
		r->scenario->run(); /* everything works again */
		child_left_nothing(before);
	}
	return reached ? 0 : 1;
}

static int failures;

/* Every n until it passes untouched; how many. */
static unsigned all_runs(const struct scenario *scenario, enum syscall_name name, int which,
			 bool persistent, int where)
{
	/* What happens hundreds of times, does so in a loop. */
	enum { ONE_BY_ONE = 30, MOST = 400 };
	unsigned runs = 0;
	int code = 0;
	for (unsigned n = 1; n <= MOST && code != 1; n += n < ONE_BY_ONE ? 1 : n / 4) {
		struct run r = {scenario, name, errors_of[name][which], n, persistent, where};
		code = run_child(one_run, &r);
		if (code == 0)
			runs++;
		if (code == 0 || code == 1)
			continue;
		if (failures < 60)
			dprintf(2, "%s: %s %u%s%s: %s: exit code %d\n", scenario->name,
				syscall_names[name], n, persistent ? " and later" : "",
				where == IN_PARENT ? "" : " in children",
				r.error == SPURIOUS ? "spurious 0" : strerror(r.error), code);
		failures++;
		break; /* the next ones most likely fail alike */
	}
	return runs;
}

static int run_scenario(const struct scenario *scenario)
{
	unsigned runs = 0;
	failures = 0;
	for (int name = 0; name < CALLS; name++) {
		for (int where = IN_PARENT; where <= IN_CHILDREN; where++) {
			for (int k = 0; k < 5 && errors_of[name][k]; k++)
				runs += all_runs(scenario, (enum syscall_name)name, k, false,
						 where);
			if (errors_of[name][0])
				runs += all_runs(scenario, (enum syscall_name)name, 0, true, where);
		}
	}
	dprintf(1, "%s: %u runs with a failing call, %d failed\n", scenario->name, runs, failures);
	/* Has anything been wrapped at all? */
	return failures || runs < 10;
}

static void scenario_in_family(const char *name)
{
	for (int i = 0; i < SCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			assert_int_equal(run_scenario(&scenarios[i]), 0);
}

static void test_process(void **state)
{
	(void)state;
	scenario_in_family("process");
}

static void test_queue(void **state)
{
	(void)state;
	scenario_in_family("queue");
}

static void test_connection(void **state)
{
	(void)state;
	scenario_in_family("connection");
}

static void test_pool(void **state)
{
	(void)state;
	scenario_in_family("pool");
}

static void test_deaths(void **state)
{
	(void)state;
	scenario_in_family("deaths");
}

static void test_thread(void **state)
{
	(void)state;
	scenario_in_family("thread");
}

static void test_shared_memory(void **state)
{
	(void)state;
	scenario_in_family("shared-memory");
}

/* More starts that fail than the family has places for processes (4095). */
static void *start_in_vain(void *arg)
{
	const struct run *r = arg;
	mpx_process *p = mpx_process_new(.target = return_args, .args = &(int){3});
	int code = -1;
	child_check(p != NULL);
	syscalls_fail(r->name, r->error, 1, true, IN_PARENT);
	for (int i = 0; i < 5000; i++)
		child_fails(mpx_process_start(p), r->error);
	syscalls_work();
	child_check(mpx_process_start(p) == 0 && mpx_process_join(p, SOON) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 3);
	child_check(mpx_process_free(p) == 0);
	return NULL;
}

static int start_in_vain_by_thread(void *arg)
{
	struct belongings before = belongings_now();
	pthread_t t;
	child_check(pthread_create(&t, NULL, start_in_vain, arg) == 0);
	child_check(pthread_join(t, NULL) == 0);
	child_left_nothing(before);
	return 0;
}

static void test_nothing_used_up(void **state)
{
	(void)state;
	struct run no_process = {.name = CALL_fork, .error = EAGAIN};
	struct run no_socket = {.name = CALL_socketpair, .error = EMFILE};
	assert_int_equal(run_child(start_in_vain_by_thread, &no_process), 0);
	assert_int_equal(run_child(start_in_vain_by_thread, &no_socket), 0);
}

static void test_children_ignored(void **state)
{
	(void)state;
	scenario_in_family("process-ignored");
	scenario_in_family("pool-ignored");
}

static void test_first_use(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "first-use", NULL, 0), 0);
}

/* ---- systems that lack something ---------------------------------------- */

enum { NO_PIDFD = 1, NO_SEND = 2, NO_WAITID = 4, NO_PROC = 8, FILTER = 16, REFUSED = 32 };

static const struct {
	const char *name;
	int what;
} systems[] = {
	{"lack-pidfd_open", NO_PIDFD},
	{"refuse-pidfd_open", NO_PIDFD | REFUSED},
	{"lack-pidfd_send_signal", NO_SEND},
	{"refuse-pidfd_send_signal", NO_SEND | REFUSED},
	{"lack-waitid-of-pidfd", NO_WAITID},
	{"refuse-waitid-of-pidfd", NO_WAITID | REFUSED},
	{"lack-pidfds", NO_PIDFD | NO_SEND | NO_WAITID},
	{"refuse-pidfds", NO_PIDFD | NO_SEND | NO_WAITID | REFUSED},
	{"lack-proc", NO_PROC},
	{"lack-all", NO_PIDFD | NO_SEND | NO_WAITID | NO_PROC},
	{"refuse-all", NO_PIDFD | NO_SEND | NO_WAITID | NO_PROC | REFUSED},
	{"filter-lack-pidfds", NO_PIDFD | NO_SEND | FILTER},
	{"filter-refuse-pidfds", NO_PIDFD | NO_SEND | FILTER | REFUSED},
};
enum { SYSTEMS = sizeof systems / sizeof *systems };

#if defined HAVE_SECCOMP && defined SYS_pidfd_open && defined SYS_pidfd_send_signal
static bool filter_pidfds(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the system call's number */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
	       prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &program, 0UL, 0UL) == 0;
}
#else
static bool filter_pidfds(int error)
{
	(void)error;
	return false;
}
#endif

/* Before the library is first used, since it remembers what the system has. */
static int program_system(int what)
{
	int error = what & REFUSED ? EPERM : ENOSYS;
	if (what & FILTER) {
		if (!filter_pidfds(error))
			return 77;
	} else {
		syscalls_lack(CALL_pidfd_open, what & NO_PIDFD ? error : 0);
		syscalls_lack(CALL_pidfd_send_signal, what & NO_SEND ? error : 0);
		syscalls_lack(CALL_waitid_pidfd, what & NO_WAITID ? error : 0);
		syscalls_lack(CALL_open_proc, what & NO_PROC ? ENOENT : 0);
	}
	child_works();
	child_works();
	signal(SIGCHLD, SIG_IGN);
	child_works();
	return 0;
}

static void systems_without(int first, int last)
{
	int bad = 0;
	for (int i = first; i <= last; i++) {
		int code = run_anew(self, systems[i].name, NULL, 0);
		if (code != 0)
			print_message("%s: %d\n", systems[i].name, code);
		bad += code != 0 && code != 77;
	}
	assert_int_equal(bad, 0);
}

static void test_without_pidfds(void **state)
{
	(void)state;
	systems_without(0, 7);
}

static void test_without_proc(void **state)
{
	(void)state;
	systems_without(8, 10);
}

static void test_seccomp(void **state)
{
	(void)state;
	systems_without(11, SYSTEMS - 1);
}

int main(int argc, char **argv)
{
#ifndef MPX_STATIC
	(void)argc, (void)argv;
	return 77; /* --wrap does not reach into a shared library */
#endif
	self = argv[0];
	if (argc > 1) {
		for (int i = 0; i < SCENARIOS; i++)
			if (strcmp(scenarios[i].name, argv[1]) == 0)
				return run_scenario(&scenarios[i]);
		for (int i = 0; i < SYSTEMS; i++)
			if (strcmp(systems[i].name, argv[1]) == 0)
				return program_system(systems[i].what);
		return 95;
	}
	const struct CMUnitTest tests[] = {
		mpx_test(test_first_use),
		mpx_test(test_process),
		mpx_test(test_queue),
		mpx_test(test_connection),
		mpx_test(test_pool),
		mpx_test(test_deaths),
		mpx_test(test_thread),
		mpx_test(test_nothing_used_up),
		mpx_test(test_children_ignored),
		mpx_test(test_without_pidfds),
		mpx_test(test_without_proc),
		mpx_test(test_seccomp),
		mpx_test(test_shared_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
