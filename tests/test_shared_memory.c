/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_shared_memory.c - mpx/shared_memory.h, SharedMemory. What CPython's
 * _TestSharedMemory checks:
 *
 *   - basics: name, size, buf; attach; a name in use; no such name; size 0; no name to
 *     attach to; unlinked twice; names that are made up meet such as are in use
 *   - across processes: by name, and an inherited handle
 *   - a dead object cannot be attached to; cleaned up after its maker was killed (here
 *     by a sweep); who attaches and ends leaves it alone (track=False)
 *   - not: Windows, pickling, SharedMemoryManager, NUL bytes in names (C has none)
 *
 * And besides:
 *
 *   - Python attaches to what C has made, C to what Python has made; each unlinks
 *   - names with and without slash, no names, long names
 *   - a full file system, limits, memory that is not there: an errno, no signal, no name;
 *     signals without end do not hold it up
 *   - sweep: made by a dead process (killed, a zombie, its pid used anew); not what is
 *     open or mapped anywhere, has a living maker, is somebody else's, has a foreign name
 *   - makers killed at random leave nothing that a sweep does not find
 *   - threads, fork, bad pointers
 *
 * Seen to fail (each taken away in a copy): in src/platform posix_fallocate, the look at
 * RLIMIT_FSIZE, the lease, the owner's uid; in src/shm the unlink of a failed make_named
 * (plain POSIX), the second try at EEXIST, munmap, close, the check of a handle and of its
 * type; in names the maker's death, its birth, the check sum.
 */
#ifdef __linux__
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "dev_shm.h"
#include "family.h"
#include "python.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* Who has it open, and that a zombie is dead, is known on Linux only. */
#ifdef MPX_TEST_PLATFORM_LINUX
#define ON_LINUX true
#else
#define ON_LINUX false
#endif

static const char *program;

/* A name of this test's own. */
static const char *own(const char *what)
{
	static char name[64];
	snprintf(name, sizeof name, "mpx_test_%s_%d", what, (int)getpid());
	return name;
}

static bool exists(const char *name)
{
	mpx_shared_memory *m = mpx_shared_memory_open(name);
	bool is = m || errno != ENOENT;
	mpx_shared_memory_free(m);
	return is;
}

static bool all_zero(const mpx_shared_memory *m)
{
	const char *p = mpx_shared_memory_buf(m);
	size_t n = mpx_shared_memory_size(m);
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static mpx_shared_memory *create(const char *name, size_t size)
{
	mpx_shared_memory *m = mpx_shared_memory_create(name, size);
	if (!m)
		fail_msg("create(%s, %zu): %s", name ? name : "NULL", size, strerror(errno));
	return m;
}

static mpx_shared_memory *attach(const char *name)
{
	mpx_shared_memory *m = mpx_shared_memory_open(name);
	if (!m)
		fail_msg("open(%s): %s", name, strerror(errno));
	return m;
}

static void done(mpx_shared_memory *m)
{
	assert_ok(mpx_shared_memory_unlink(m));
	mpx_shared_memory_free(m);
}

/* ---- in one process ---------------------------------------------------- */

static void test_basics(void **state)
{
	(void)state;
	mpx_shared_memory *m = create(own("basics"), 512);
	assert_string_equal(mpx_shared_memory_name(m), own("basics"));
	assert_true(mpx_shared_memory_size(m) >= 512);
	assert_true(all_zero(m));
	unsigned char *p = mpx_shared_memory_buf(m);
	p[0] = 42;
	p[511] = 43;

	mpx_shared_memory *also = attach(own("basics"));
	unsigned char *q = mpx_shared_memory_buf(also);
	assert_ptr_not_equal(p, q);
	assert_int_equal(mpx_shared_memory_size(also), mpx_shared_memory_size(m));
	assert_int_equal(q[0], 42);
	q[511] = 44;
	assert_int_equal(p[511], 44);
	assert_ok(mpx_shared_memory_close(also));
	assert_nothing(mpx_shared_memory_buf(also), EPIPE);
	assert_ok(mpx_shared_memory_close(also)); /* twice is nothing */
	assert_string_equal(mpx_shared_memory_name(also), own("basics"));
	assert_int_equal(mpx_shared_memory_size(also), mpx_shared_memory_size(m));
	mpx_shared_memory_free(also);
	assert_int_equal(p[0], 42);

	assert_nothing(mpx_shared_memory_create(own("basics"), 512), EEXIST);
	assert_int_equal(p[0], 42);
	assert_nothing(mpx_shared_memory_open(own("notthere")), ENOENT);
	assert_nothing(mpx_shared_memory_create(own("none"), 0), EINVAL);
	assert_nothing(mpx_shared_memory_create(NULL, 0), EINVAL);
	assert_nothing(mpx_shared_memory_open(NULL), EINVAL);
	assert_false(exists(own("none")));

	errno = 4711;
	mpx_shared_memory_free(NULL);
	assert_int_equal(errno, 4711);
	done(m);
}

static void test_unlink_once(void **state)
{
	(void)state;
	mpx_shared_memory *one = create(own("twice"), 5000), *two = attach(own("twice"));
	assert_ok(mpx_shared_memory_unlink(two));
	mpx_shared_memory_free(two);
	assert_false(exists(own("twice")));
	((char *)mpx_shared_memory_buf(one))[4999] = 1; /* it is still here */
	assert_ok(mpx_shared_memory_close(one));
	assert_fails(mpx_shared_memory_unlink(one), ENOENT);

	/* In Python's order: close, then unlink. And the name is free again. */
	mpx_shared_memory *anew = create(own("twice"), 1);
	assert_true(all_zero(anew));
	assert_ok(mpx_shared_memory_close(anew));
	done(anew);
	mpx_shared_memory_free(one);
}

static void test_names(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "/", "//a", "a/b", "/a/b", "a/", ".", "..", "/.."};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_nothing(mpx_shared_memory_create(bad[i], 10), EINVAL);
		assert_nothing(mpx_shared_memory_open(bad[i]), EINVAL);
	}
	char with[80];
	snprintf(with, sizeof with, "/%s", own("slash"));
	mpx_shared_memory *m = create(with, 10), *n = attach(own("slash")), *o = attach(with);
	assert_string_equal(mpx_shared_memory_name(m), own("slash"));
	assert_string_equal(mpx_shared_memory_name(o), own("slash"));
	mpx_shared_memory_free(n);
	mpx_shared_memory_free(o);
	done(m);

	char text[NAME_MAX + 2];
	snprintf(text, sizeof text, "%s", own("long"));
	memset(text + strlen(text), 'x', sizeof text - strlen(text));
	text[NAME_MAX] = '\0';
	m = create(text, 10);
	assert_string_equal(mpx_shared_memory_name(m), text);
	done(m);
	text[NAME_MAX] = 'x';
	text[NAME_MAX + 1] = '\0';
	assert_nothing(mpx_shared_memory_create(text, 10), ENAMETOOLONG);
	assert_nothing(mpx_shared_memory_open(text), ENAMETOOLONG);
}

static void test_names_made_up(void **state)
{
	(void)state;
	enum { N = 300 };
	static mpx_shared_memory *m[N];
	for (int i = 0; i < N; i++) {
		m[i] = create(NULL, 1 + (size_t)i);
		const char *name = mpx_shared_memory_name(m[i]);
		assert_true(strlen(name) <= 13); /* 14 with its slash */
		assert_int_equal(strncmp(name, "psm_", 4), 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(name, mpx_shared_memory_name(m[k]));
		assert_true(mpx_shared_memory_size(m[i]) >= 1 + (size_t)i);
		assert_true(exists(name));
	}
	for (int i = 0; i < N; i++)
		done(m[i]);
}

/* There are 16384 of them for a process. */
static void test_names_in_use(void **state)
{
	(void)state;
	enum { N = 16384 };
	mpx_shared_memory *held = create(NULL, 1);
	char name[32];
	snprintf(name, sizeof name, "%s", mpx_shared_memory_name(held));
	for (int i = 0; i < N; i++) {
		mpx_shared_memory *m = create(NULL, 1);
		assert_string_not_equal(mpx_shared_memory_name(m), name);
		done(m);
	}
	done(held);

	static mpx_shared_memory *m[N];
	int n = 0, error = 0;
	for (; n < N && (m[n] = mpx_shared_memory_create(NULL, 1)); n++)
		assert_ok(mpx_shared_memory_close(m[n]));
	error = errno;
	if (n == N) {
		assert_nothing(mpx_shared_memory_create(NULL, 1), EEXIST);
		assert_ok(mpx_shared_memory_sweep()); /* we live */
		assert_true(exists(mpx_shared_memory_name(m[N / 2])));
	}
	for (int i = 0; i < n; i++)
		done(m[i]);
	if (n < N && error != ENOSPC) /* a small /dev/shm, as in containers */
		fail_msg("%d names: %s", n, strerror(error));
}

static void check_bad_pointer(void *p)
{
	assert_nothing(mpx_shared_memory_buf(p), EINVAL);
	assert_nothing(mpx_shared_memory_size(p), EINVAL);
	assert_nothing(mpx_shared_memory_name(p), EINVAL);
	assert_fails(mpx_shared_memory_close(p), EINVAL);
	assert_fails(mpx_shared_memory_unlink(p), EINVAL);
	errno = 0;
	mpx_shared_memory_free(p);
	assert_int_equal(errno, p ? EINVAL : 0);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_shared_memory *m = create(NULL, 100), *freed = attach(mpx_shared_memory_name(m));
	mpx_shareable_list *l = mpx_shareable_list_create(NULL, 0, NULL);
	assert_non_null(l);
	bad_pointers_make(&bad, m);
	for (size_t i = 0; i < bad.n; i++)
		check_bad_pointer(bad.p[i]);
	bad_pointers_done(&bad);
	check_bad_pointer(l);
	check_bad_pointer(mpx_shared_memory_buf(m));
	mpx_shared_memory_free(freed);
	check_bad_pointer(freed);
	assert_true(all_zero(m));
	assert_ok(mpx_shareable_list_unlink(l));
	mpx_shareable_list_free(l);
	done(m);
}

/* ---- across processes -------------------------------------------------- */

static int attach_and_write(void *arg)
{
	mpx_shared_memory *m = mpx_shared_memory_open(arg);
	child_check(m);
	memcpy(mpx_shared_memory_buf(m), "howdy", 5);
	mpx_shared_memory_free(m);
	return 0;
}

static int write_inherited(void *arg)
{
	mpx_shared_memory *m = arg;
	memcpy(mpx_shared_memory_buf(m), "HELLO", 5);
	child_check(mpx_shared_memory_close(m) == 0);
	child_check(!mpx_shared_memory_buf(m) && errno == EPIPE);
	mpx_shared_memory_free(m);
	child_check(!mpx_shared_memory_buf(m) && errno == EINVAL);
	return 0;
}

static int unlink_inherited(void *arg)
{
	child_check(mpx_shared_memory_unlink(arg) == 0);
	child_fails(mpx_shared_memory_unlink(arg), ENOENT);
	return 0;
}

static void test_across_processes(void **state)
{
	(void)state;
	mpx_shared_memory *m = create(NULL, 512);
	char *p = mpx_shared_memory_buf(m), name[32];
	snprintf(name, sizeof name, "%s", mpx_shared_memory_name(m));

	assert_int_equal(run_child(attach_and_write, name), 0);
	assert_memory_equal(p, "howdy", 5);
	assert_int_equal(run_child(write_inherited, m), 0);
	assert_memory_equal(p, "HELLO", 5); /* and ours is still open */
	ends_well(start(write_inherited, m));

	/* An unrelated program, which ends without a word. */
	struct anew other = {program, name, NULL, 0};
	memset(p, 0, 512);
	assert_int_equal(run_child(exec_anew, &other), 0);
	assert_memory_equal(p, "howdy", 5);
	assert_true(exists(name));

	assert_int_equal(run_child(unlink_inherited, m), 0);
	assert_fails(mpx_shared_memory_unlink(m), ENOENT);
	assert_nothing(mpx_shared_memory_open(name), ENOENT);
	mpx_shared_memory_free(m);
}

#define THREADS 4
static char shared_name[32];
static atomic_bool stop;

static int use_handle(void *arg)
{
	child_check(*(char *)mpx_shared_memory_buf(arg) == 'x');
	mpx_shared_memory_free(arg);
	return 0;
}

static void *open_and_close(void *arg)
{
	uintptr_t wrong = 0;
	(void)arg;
	for (int i = 0; i < 300 || !atomic_load(&stop); i++) {
		mpx_shared_memory *m = mpx_shared_memory_open(shared_name);
		mpx_shared_memory *mine = mpx_shared_memory_create(NULL, 10);
		wrong += !m || !mine || *(char *)mpx_shared_memory_buf(m) != 'x' ||
			 mpx_shared_memory_unlink(mine) != 0;
		mpx_shared_memory_free(m);
		mpx_shared_memory_free(mine);
	}
	return (void *)wrong;
}

static void test_threads_and_forks(void **state)
{
	(void)state;
	pthread_t t[THREADS];
	mpx_shared_memory *m = create(NULL, 10);
	*(char *)mpx_shared_memory_buf(m) = 'x';
	snprintf(shared_name, sizeof shared_name, "%s", mpx_shared_memory_name(m));
	atomic_store(&stop, false);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, open_and_close, NULL), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(run_child(use_handle, m), 0);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
	done(m);
}

/* ---- limits ------------------------------------------------------------ */

static int make_too_large(void *arg)
{
	struct rlimit limit = {100000, 100000};
	struct sigaction sa = {.sa_handler = SIG_DFL};
	(void)arg;
	sigaction(SIGXFSZ, &sa, NULL);
	child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? own("limit") : NULL;
		errno = 0;
		child_check(!mpx_shared_memory_create(name, 100001) && errno == EFBIG);
		mpx_shared_memory *m = mpx_shared_memory_create(name, 100000);
		child_check(m);
		memset(mpx_shared_memory_buf(m), 1, 100000);
		child_check(mpx_shared_memory_unlink(m) == 0);
		mpx_shared_memory_free(m);
	}
	return 0;
}

static void test_file_size_limit(void **state)
{
	(void)state;
	assert_int_equal(run_child(make_too_large, NULL), 0);
}

static void test_too_large(void **state)
{
	(void)state;
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / 4, SIZE_MAX / 4096};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		errno = 0;
		assert_null(mpx_shared_memory_create(own("large"), sizes[i]));
		if (errno != ENOSPC && errno != EFBIG && errno != ENOMEM)
			fail_msg("%zu: %s", sizes[i], strerror(errno));
		assert_false(exists(own("large")));
		assert_null(mpx_shared_memory_create(NULL, sizes[i]));
	}
}

#ifdef __linux__
static void write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(77);
	close(fd);
}

/* Root of a namespace of one's own: everybody may, where it is allowed at all. */
static void enter_user_namespace(void)
{
	char uid[32], gid[32];
	snprintf(uid, sizeof uid, "0 %u 1", (unsigned)geteuid());
	snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		_exit(77);
	write_map("/proc/self/setgroups", "deny");
	write_map("/proc/self/uid_map", uid);
	write_map("/proc/self/gid_map", gid);
}
#endif

/* Its own 64 KiB in /dev/shm. 77: not allowed here. */
static void enter_small_shm(void)
{
#ifdef __linux__
	if (own_dev_shm("size=64k"))
		return;
	enter_user_namespace();
	if (!mount_dev_shm("size=64k"))
		_exit(77);
#else
	_exit(77);
#endif
}

static void child_finds_no_room(const char *name, size_t size)
{
	errno = 0;
	child_check(!mpx_shared_memory_create(name, size) && errno == ENOSPC);
	child_check(!name || !exists(name));
}

static int fill_small_shm(void *arg)
{
	(void)arg;
	enter_small_shm();
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "all" : NULL;
		child_finds_no_room(name, 1 << 20);
		child_finds_no_room(name, (64 << 10) + 1);
		mpx_shared_memory *all = mpx_shared_memory_create(name, 64 << 10);
		child_check(all);
		memset(mpx_shared_memory_buf(all), 1, 64 << 10);
		child_finds_no_room("another", 1);
		child_finds_no_room(NULL, 1);
		child_check(mpx_shared_memory_unlink(all) == 0);
		child_finds_no_room("another", 1); /* it is still mapped */
		mpx_shared_memory_free(all);
	}
	/* Two that fit, one that does not, the two are whole. */
	mpx_shared_memory *a = mpx_shared_memory_create("a", 20000);
	mpx_shared_memory *b = mpx_shared_memory_create("b", 20000);
	child_check(a && b);
	child_finds_no_room("c", 30000);
	memset(mpx_shared_memory_buf(a), 1, 20000);
	memset(mpx_shared_memory_buf(b), 2, 20000);
	child_check(mpx_shared_memory_unlink(a) == 0 && mpx_shared_memory_unlink(b) == 0);
	mpx_shared_memory_free(a);
	mpx_shared_memory_free(b);
	return 0;
}

/* Runs it in a child; skips where that may have no /dev/shm of its own. */
static void in_small_shm(int (*fn)(void *))
{
	int code = run_child(fn, NULL);
	if (code == 77) {
		print_message("no file system of one's own for a test: NOT tried\n");
		skip();
	}
	assert_int_equal(code, 0);
}

static void test_full(void **state)
{
	(void)state;
	in_small_shm(fill_small_shm);
}

static void nothing(int signal)
{
	(void)signal;
}

static int signal_parent(void *arg)
{
	pid_t parent = *(pid_t *)arg;
	struct timespec pause = {0, 20000};
	while (kill(parent, SIGUSR1) == 0 && getppid() == parent)
		nanosleep(&pause, NULL);
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = nothing}, old;
	pid_t self = getpid();
	sigaction(SIGUSR1, &sa, &old);
	pid_t pid = fork_child(signal_parent, &self);
	for (int i = 0; i < 20; i++) {
		mpx_shared_memory *m = create(NULL, (size_t)i << 20 | 1);
		assert_true(all_zero(m));
		mpx_shared_memory *n = attach(mpx_shared_memory_name(m));
		mpx_shared_memory_free(n);
		done(m);
	}
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
	sigaction(SIGUSR1, &old, NULL);
}

/* ---- sweeping ---------------------------------------------------------- */

/* A process that makes a segment, tells its name, and waits for its end. */
struct maker {
	char name[32];
	pid_t pid;
	bool closes;
	uid_t user;
	int go[2];
};

static int make_and_wait(void *arg)
{
	struct maker *k = arg;
	close(k->go[1]);
	if (k->user)
		child_check(setuid(k->user) == 0);
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, 1000);
	child_check(m);
	if (k->closes)
		child_check(mpx_shared_memory_close(m) == 0);
	snprintf(k->name, sizeof k->name, "%s", mpx_shared_memory_name(m));
	k->pid = getpid(); /* it is complete */
	recv_byte(k->go[0]);
	return 0;
}

static struct maker *maker_new(bool closes, uid_t user)
{
	struct maker *k = mpx_calloc(1, sizeof *k);
	assert_non_null(k);
	k->closes = closes;
	k->user = user;
	assert_int_equal(pipe(k->go), 0);
	pid_t pid = fork_child(make_and_wait, k);
	close(k->go[0]);
	assert_soon(*(volatile pid_t *)&k->pid == pid || !pid_running(pid));
	assert_int_equal(k->pid, pid);
	return k;
}

static void maker_kill(struct maker *k)
{
	kill(k->pid, SIGKILL);
	assert_int_equal(wait_child(k->pid), -SIGKILL);
	close(k->go[1]);
}

static bool swept(const char *name)
{
	assert_ok(mpx_shared_memory_sweep());
	return !exists(name);
}

static void assert_stays(const char *name)
{
	for (int i = 0; i < 3; i++)
		if (swept(name))
			fail_msg("%s was swept away", name);
}

/* Others may sweep at the same time: then the name is in use for a moment. */
static void assert_swept(const char *name)
{
	assert_soon(swept(name));
}

static void test_sweep_of_the_dead(void **state)
{
	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		struct maker *k = maker_new(closes, 0);
		assert_stays(k->name); /* while it lives, open or not */
		maker_kill(k);
		assert_true(exists(k->name));
		assert_swept(k->name);
		mpx_free(k);
	}
}

static void test_sweep_of_a_zombie(void **state)
{
	(void)state;
	if (!ON_LINUX)
		skip();
	struct maker *k = maker_new(false, 0);
	kill(k->pid, SIGKILL);
	assert_soon(!pid_running(k->pid));
	assert_swept(k->name);
	assert_int_equal(wait_child(k->pid), -SIGKILL);
	close(k->go[1]);
	mpx_free(k);
}

static int hold_mapping(void *arg)
{
	struct maker *k = arg;
	mpx_shared_memory *m = mpx_shared_memory_open(k->name);
	child_check(m);
	k->user = 1; /* it is mapped */
	recv_byte(k->go[0]);
	return 0;
}

static void test_sweep_of_what_is_open(void **state)
{
	(void)state;
	if (!ON_LINUX) /* the maker's death is all that is known */
		skip();
	struct maker *k = maker_new(false, 0);
	mpx_shared_memory *m = attach(k->name);
	maker_kill(k);
	assert_stays(k->name); /* we have it mapped */
	assert_int_equal(pipe(k->go), 0);
	pid_t pid = fork_child(hold_mapping, k);
	assert_soon(*(volatile uid_t *)&k->user == 1 || !pid_running(pid));
	mpx_shared_memory_free(m);
	assert_stays(k->name); /* another process has */
	char path[64];
	snprintf(path, sizeof path, "/%s", k->name);
	int fd = shm_open(path, O_RDONLY, 0);
	assert_true(fd >= 0);
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
	assert_stays(k->name); /* open, and read-only */
	close(fd);
	assert_swept(k->name);
	close(k->go[0]);
	close(k->go[1]);
	mpx_free(k);
}

static void test_sweep_of_others(void **state)
{
	(void)state;
	static const char *const foreign[] = {
		"psm_deadbeef",	 "psm_000000000", "psm_zzzzzzzzz",    "psm_12345678",
		"psm_123456789", "psm_",	  "psm_123456789abc", "mpx_123456789",
	};
	enum { N = sizeof foreign / sizeof *foreign };
	for (int i = 0; i < N; i++) {
		mpx_shared_memory *m = mpx_shared_memory_create(foreign[i], 10);
		if (!m && errno == EEXIST) /* somebody else's test */
			continue;
		assert_non_null(m);
		assert_ok(mpx_shared_memory_close(m));
		assert_stays(foreign[i]);
		done(m);
	}
	/* One character of a dead one's name is changed, at each place. */
	struct maker *k = maker_new(false, 0);
	maker_kill(k);
	int stay = 0;
	for (int i = 4; i < 13; i++) {
		char name[32];
		snprintf(name, sizeof name, "%s", k->name);
		name[i] = name[i] == 'x' ? 'y' : 'x';
		mpx_shared_memory *m = create(name, 10);
		assert_ok(mpx_shared_memory_close(m));
		assert_ok(mpx_shared_memory_sweep());
		if (exists(name)) {
			stay++;
			assert_ok(mpx_shared_memory_unlink(m));
		}
		mpx_shared_memory_free(m);
	}
	assert_true(stay >= 7); /* the sum has 10 bits */
	assert_ok(mpx_shared_memory_sweep());
	assert_swept(k->name);
	mpx_free(k);
}

static void test_sweep_of_another_user(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("needs root: NOT tried\n");
		skip();
	}
	struct maker *k = maker_new(false, 65534);
	maker_kill(k);
	assert_stays(k->name);
	mpx_shared_memory *m = attach(k->name);
	done(m);
	mpx_free(k);
}

static int sleep_for_ever(void *arg)
{
	recv_byte(*(int *)arg);
	return 0;
}

static bool next_pid_will_be(pid_t pid)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
	bool written = f && fprintf(f, "%d", (int)pid - 1) > 0;
	return (!f || fclose(f) == 0) && written;
}

/* A living process of that pid; 0 where pids cannot be chosen. */
static pid_t use_pid_anew(pid_t wanted, int *fd)
{
	for (int i = 0; i < 50 && next_pid_will_be(wanted); i++) {
		pid_t pid = fork_child(sleep_for_ever, fd);
		if (pid == wanted)
			return pid;
		kill(pid, SIGKILL);
		wait_child(pid);
	}
	return 0;
}

/* The maker's pid is given to a process that lives. One in 255 of them was born so
 * that the name cannot tell it from the maker. */
static void test_sweep_with_its_pid_used_anew(void **state)
{
	(void)state;
	int pipes[2], tried = 0, gone = 0;
	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; ON_LINUX && i < 5 && gone == 0; i++) {
		struct maker *k = maker_new(false, 0);
		double born = now();
		maker_kill(k);
		while (now() < born + 0.05) /* times of birth are told in hundredths */
			nap();
		pid_t pid = use_pid_anew(k->pid, &pipes[0]);
		if (pid != 0) {
			tried++;
			for (int n = 0; n < 5 && exists(k->name); n++)
				gone += swept(k->name);
			kill(pid, SIGKILL);
			wait_child(pid);
		}
		assert_swept(k->name);
		mpx_free(k);
	}
	close(pipes[0]);
	close(pipes[1]);
	if (tried == 0) {
		print_message("no pid could be had again: NOT tried\n");
		skip();
	}
	assert_int_equal(gone, 1);
}

static int sweep_small_shm(void *arg)
{
	(void)arg;
	enter_small_shm();
	child_check(mpx_shared_memory_sweep() == 0);
	enum { N = 5 };
	for (int i = 0; i < N; i++) {
		pid_t pid = fork();
		child_check(pid >= 0);
		if (pid == 0)
			_exit(mpx_shared_memory_create(NULL, 100) ? 0 : 1);
		child_check(waitpid(pid, NULL, 0) == pid);
	}
	mpx_shared_memory *mine = mpx_shared_memory_create(NULL, 100);
	child_check(mine && mpx_shared_memory_close(mine) == 0);
	child_check(mpx_shared_memory_sweep() == N);
	child_check(mpx_shared_memory_sweep() == 0);
	child_check(exists(mpx_shared_memory_name(mine)));
	child_check(mpx_shared_memory_unlink(mine) == 0);
	mpx_shared_memory_free(mine);
	return 0;
}

static void test_sweep_counts(void **state)
{
	(void)state;
	in_small_shm(sweep_small_shm);
}

/* ---- killed at random -------------------------------------------------- */

enum { KILLS = 200 };

static int make_for_ever(void *arg)
{
	atomic_uint *rounds = arg;
	for (;;) {
		mpx_shared_memory *m = mpx_shared_memory_create(NULL, 100000);
		child_check(m);
		atomic_fetch_add(rounds, 1);
		child_check(mpx_shared_memory_unlink(m) == 0);
		mpx_shared_memory_free(m);
	}
	return 0;
}

/* The harness sees what is left. */
static void test_makers_killed(void **state)
{
	(void)state;
	uint64_t seed = 2026;
	atomic_uint *rounds = mpx_calloc(1, sizeof *rounds);
	assert_non_null(rounds);
	for (int i = 0; i < KILLS; i++) {
		unsigned before = atomic_load(rounds);
		pid_t pid = fork_child(make_for_ever, rounds);
		assert_soon(atomic_load(rounds) != before || !pid_running(pid));
		for (uint64_t spin = next_random(&seed) % 20000; spin; spin--)
			atomic_thread_fence(memory_order_seq_cst);
		kill(pid, SIGKILL);
		assert_int_equal(wait_child(pid), -SIGKILL);
	}
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_shared_memory_sweep());
	mpx_free(rounds);
}

/* ---- Python ------------------------------------------------------------ */

static void test_python_attaches(void **state)
{
	(void)state;
	need_python();
	for (int i = 0; i < 2; i++) {
		mpx_shared_memory *m = create(i ? own("python") : NULL, 5000);
		char *p = mpx_shared_memory_buf(m);
		memcpy(p, "from C", 7);
		python("m = keep(SharedMemory(sys.argv[1]))\n"
		       "assert m.name == sys.argv[1]\n"
		       "assert m.size == int(sys.argv[2]), m.size\n"
		       "assert bytes(m.buf[:7]) == b'from C\\0'\n"
		       "m.buf[4990:5000] = b'fromPython'\n"
		       "m.close()\n",
		       mpx_shared_memory_name(m), "5000");
		assert_memory_equal(p + 4990, "fromPython", 10);
		assert_true(exists(mpx_shared_memory_name(m)));
		python("m = SharedMemory(sys.argv[1])\n"
		       "try:\n"
		       "    SharedMemory(sys.argv[1], create=True, size=1)\n"
		       "    sys.exit(3)\n"
		       "except FileExistsError:\n"
		       "    pass\n"
		       "m.close()\n"
		       "m.unlink()\n",
		       mpx_shared_memory_name(m));
		assert_fails(mpx_shared_memory_unlink(m), ENOENT);
		mpx_shared_memory_free(m);
	}
}

static void test_python_makes(void **state)
{
	(void)state;
	need_python();
	python("m = keep(SharedMemory(sys.argv[1], create=True, size=777))\n"
	       "m.buf[:11] = b'from Python'\n"
	       "m.buf[776] = 9\n",
	       own("made"));
	mpx_shared_memory *m = attach(own("made"));
	unsigned char *p = mpx_shared_memory_buf(m);
	assert_true(mpx_shared_memory_size(m) >= 777);
	assert_memory_equal(p, "from Python", 11);
	assert_int_equal(p[776], 9);
	assert_nothing(mpx_shared_memory_create(own("made"), 1), EEXIST);
	assert_stays(own("made"));
	done(m);
	python("try:\n"
	       "    SharedMemory(sys.argv[1])\n"
	       "    sys.exit(3)\n"
	       "except FileNotFoundError:\n"
	       "    pass\n",
	       own("made"));
}

/* A segment that has no size yet. */
static void test_half_made(void **state)
{
	(void)state;
	char path[80];
	snprintf(path, sizeof path, "/%s", own("half"));
	int fd = shm_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_nothing(mpx_shared_memory_open(path), EINVAL);
	assert_int_equal(ftruncate(fd, 10), 0);
	mpx_shared_memory *m = attach(path);
	close(fd);
	done(m);
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc > 1)
		return attach_and_write(argv[1]);
	own_dev_shm("size=50%");
	mpx_shared_memory_sweep(); /* what others have left, may not go during a test */
	const struct CMUnitTest tests[] = {
		mpx_test(test_basics),
		mpx_test(test_unlink_once),
		mpx_test(test_names),
		mpx_test(test_names_made_up),
		mpx_test(test_names_in_use),
		mpx_test(test_bad_pointers),
		mpx_test(test_across_processes),
		mpx_test(test_threads_and_forks),
		mpx_test(test_file_size_limit),
		mpx_test(test_too_large),
		mpx_test(test_full),
		mpx_test(test_signals),
		mpx_test(test_sweep_of_the_dead),
		mpx_test(test_sweep_of_a_zombie),
		mpx_test(test_sweep_of_what_is_open),
		mpx_test(test_sweep_of_others),
		mpx_test(test_sweep_of_another_user),
		mpx_test(test_sweep_with_its_pid_used_anew),
		mpx_test(test_sweep_counts),
		mpx_test(test_makers_killed),
		mpx_test(test_python_attaches),
		mpx_test(test_python_makes),
		mpx_test(test_half_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
