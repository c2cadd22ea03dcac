/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_limits.c - exhausted limits: an errno, never a crash, never SIGBUS.
 *
 *   RLIMIT_AS from 64 MiB to 1 GiB, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_FSIZE,
 *   RLIMIT_CORE, each set before the library is first used; a full /dev/shm and
 *   TMPDIR; a full heap.
 *
 * test_limits_descriptors.c: no descriptor to be had later.
 *
 * Seen to fail (each line was taken away in a copy): mpx__object_free(q) where
 * mpx_queue_create gets no ring, mpx__heap_free(block) where mpx_queue_put fails.
 *
 * The arguments "everything", "full-heap" ... are for this executable started anew:
 * families of their own.
 */
#ifdef __linux__
#define _GNU_SOURCE /* unshare */
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "everything.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

static const char *self;

static int nothing(void *args)
{
	(void)args;
	return 0;
}

/* ---- limits before the first use --------------------------------------- */

static int program_as(rlim_t size)
{
	set_limit(RLIMIT_AS, size);
	child_works();
	child_works();
	mpx_memory_stats stats;
	child_check(mpx_memory_stats_now(&stats) == 0);
	child_check(stats.reserved >= (1 << 20) && stats.reserved < size);
	child_check(mpx_malloc(size) == NULL && errno == ENOMEM);
	return 0;
}

#ifdef RLIMIT_NPROC
static int program_nproc(rlim_t n)
{
	if (geteuid() == 0)
		child_check(setgid(65534) == 0 && setuid(65534) == 0);
	rlim_t old = set_limit(RLIMIT_NPROC, n);
	tolerated = (const int[]){EAGAIN, 0};
	mpx_free(mpx_malloc(1));
	struct belongings before = belongings_now();
	for (int i = 0; i < 2; i++) {
		try_process();
		try_running_process();
		try_pool(1);
		try_pool(4);
		child_left_nothing(before);
	}
	child_check(refusals > 0 || n > 1);
	set_limit(RLIMIT_NPROC, old);
	child_works();
	return 0;
}
#endif

static int program_nofile(rlim_t n)
{
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
	rlim_t old = set_limit(RLIMIT_NOFILE, n);
	tolerated = errors_of_limits;
	for (int i = 0; i < 2; i++) {
		try_memory();
		try_locks();
		try_values();
		try_queue();
		try_process();
		try_pool(2);
	}
	child_check(refusals > 0 || n > 3);
	set_limit(RLIMIT_NOFILE, old);
	child_check(open_fds() == 3);
	child_works();
	return 0;
}

static int program_fsize(rlim_t n)
{
	signal(SIGXFSZ, SIG_DFL);
	set_limit(RLIMIT_FSIZE, n);
	child_works();
	static unsigned in[1 << 20], out[1 << 20];
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool && mpx_pool_map(pool, square, in, out, 1 << 20) == 0);
	mpx_pool_free(pool);
	return 0;
}

static int program_limited(const char *what)
{
	const char *number = strchr(what, '=');
	rlim_t n = (rlim_t)strtoull(number + 1, NULL, 10);
	if (strncmp(what, "as=", 3) == 0)
		return program_as(n);
	if (strncmp(what, "fsize=", 6) == 0)
		return program_fsize(n);
	if (strncmp(what, "nofile=", 7) == 0)
		return program_nofile(n);
#ifdef RLIMIT_NPROC
	if (strncmp(what, "nproc=", 6) == 0)
		return program_nproc(n);
#endif
	return 95;
}

/* All of them, so that one report tells of all. */
static void run_limits(const char *name, const unsigned long long *n, size_t count)
{
	int failures = 0;
	for (size_t i = 0; i < count; i++) {
		char what[64];
		snprintf(what, sizeof what, "%s=%llu", name, n[i]);
		double begin = now();
		int code = run_anew(self, what, NULL, 0);
		if (code != 0 || now() - begin > 30)
			print_message("%s: %d, %g s\n", what, code, now() - begin);
		failures += code != 0;
	}
	assert_int_equal(failures, 0);
}
#define RUN_LIMITS(name, n) run_limits(name, n, sizeof(n) / sizeof *(n))

/* There the library keeps a descriptor of a file, made in TMPDIR. */
#ifdef MPX_TEST_PLATFORM_POSIX
#define SKIP_ON_PLAIN_POSIX skip()
#else
#define SKIP_ON_PLAIN_POSIX ((void)0)
#endif

static void test_address_space(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {64ull << 20,  64ull << 20 | 12345, 96ull << 20,
					       128ull << 20, 200ull << 20,	  256ull << 20,
					       512ull << 20, 1ull << 30};
	if (SANITIZED)
		skip();
	RUN_LIMITS("as", n);
}

#ifdef RLIMIT_NPROC
static void test_processes(void **state)
{
	(void)state;
	static const unsigned long long n[] = {0, 1, 2, 3, 4, 5, 6, 8};
	RUN_LIMITS("nproc", n);
}
#endif

static void test_descriptors(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	RUN_LIMITS("nofile", n);
}

static void test_file_size(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	static const unsigned long long n[] = {0, 65536};
	RUN_LIMITS("fsize", n);
}

/* A core must not take the time and the space that 64 GiB of holes would. */
static int abort_with_core(void *touched)
{
	memset(touched, 1, 1 << 20);
	set_limit(RLIMIT_CORE, RLIM_INFINITY);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_core(void **state)
{
	(void)state;
	char dir[] = "/tmp/mpx-core-XXXXXX", old[1024];
	assert_non_null(getcwd(old, sizeof old));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	void *block = mpx_malloc(1 << 20);
	assert_non_null(block);
	double begin = now();
	int code = ends(start(abort_with_core, block));
	double took = now() - begin;
	unsigned long long bytes = 0;
	DIR *d = opendir(".");
	assert_non_null(d);
	struct dirent *e;
	while ((e = readdir(d))) {
		struct stat st;
		if (e->d_name[0] != '.' && stat(e->d_name, &st) == 0) {
			bytes += (unsigned long long)st.st_blocks * 512;
			unlink(e->d_name);
		}
	}
	closedir(d);
	assert_int_equal(chdir(old), 0);
	rmdir(dir);
	mpx_free(block);
	assert_int_equal(code, -SIGABRT);
	if (!SANITIZED && (took > 20 || bytes > 256u << 20))
		fail_msg("a core of %llu bytes in %g s", bytes, took);
}

/* ---- full file systems --------------------------------------------------- */

#ifdef __linux__
static int with_full_disks(void *arg)
{
	static const char zeros[4096];
	struct anew a = {self, "everything", NULL, 0};
	(void)arg;
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("full", "/dev/shm", "tmpfs", 0, "size=64k") != 0)
		return 77;
	int fd = open("/dev/shm/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	child_check(fd >= 0);
	for (int i = 0; i < 1000 && write(fd, zeros, sizeof zeros) > 0; i++)
		continue;
	child_check(write(fd, zeros, sizeof zeros) < 0 && errno == ENOSPC);
	close(fd);
	child_check(setenv("TMPDIR", "/dev/shm", 1) == 0);
	return exec_anew(&a);
}

static void test_full_disks(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	int code = run_child(with_full_disks, NULL);
	if (code == 77)
		skip();
	assert_int_equal(code, 0);
}
#endif

/* ---- a full heap ---------------------------------------------------------- */

static void **chain;

static void fill_heap(size_t least)
{
	void **block;
	for (size_t size = 1 << 20; size >= least; size -= size > 65536 ? size / 2 : 16)
		while ((block = mpx_malloc(size))) {
			*block = chain;
			chain = block;
		}
	while (least <= 32 && (block = mpx_malloc(8))) {
		*block = chain;
		chain = block;
	}
	child_check(errno == ENOMEM);
}

static void empty_heap(void)
{
	while (chain) {
		void **block = chain;
		chain = *block;
		mpx_free(block);
	}
}

#define NO_ROOM(call) child_check((errno = 0, (call) == NULL) && errno == ENOMEM)

static int program_full_heap(void)
{
	static unsigned in[1000], out[1000];
	static char large[100000];
	char buf[16];
	int seven = 7, code = 0;
	child_works();
	struct belongings before = belongings_now();
	for (int i = 0; i < 3; i++) {
		mpx_lock *l = mpx_lock_new();
		mpx_queue *q = mpx_queue_new();
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		mpx_process *p = mpx_process_new(.target = return_args, .args = &seven);
		child_check(l && q && pool && p);
		child_check(mpx_queue_put(q, "first", 5, 0) == 0);
		fill_heap(32);
		NO_ROOM(mpx_malloc(1));
		NO_ROOM(mpx_calloc(1, 1));
		NO_ROOM(mpx_lock_new());
		NO_ROOM(mpx_rlock_new());
		NO_ROOM(mpx_value_new('i', 1));
		NO_ROOM(mpx_array_new('i', 1, NULL));
		NO_ROOM(mpx_array_new('i', 0, NULL));
		NO_ROOM(mpx_queue_new());
		NO_ROOM(mpx_process_new(.target = nothing));
		NO_ROOM(mpx_pool_new(.processes = 1));
		NO_ROOM(mpx_pool_apply_async(pool, square, in, 4, 4, NULL));
		NO_ROOM(mpx_pool_map_async(pool, square, in, 4, 1000, 4, NULL));
		child_fails(mpx_pool_map(pool, square, in, out, 1000), ENOMEM);
		child_fails(mpx_queue_put(q, large, sizeof large, 0), ENOMEM);
		/* What has its memory already goes on. */
		child_check(mpx_lock_acquire(l, 0) == 0 && mpx_lock_release(l) == 0);
		child_check(mpx_queue_put(q, "second", 6, 0) == 0);
		child_check(mpx_queue_get(q, buf, 16, 0) == 5 && memcmp(buf, "first", 5) == 0);
		child_check(mpx_queue_get(q, buf, 16, 0) == 6);
		child_check(mpx_process_start(p) == 0 && mpx_process_join(p, SOON) == 0);
		child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
		child_check(mpx_process_free(p) == 0);
		/* A queue that grows until it cannot: all or nothing. */
		ssize_t n = 0, k = 0;
		empty_heap();
		while (n < 1000000 && mpx_queue_put(q, &n, sizeof n, 0) == 0)
			n++;
		child_check(n < 1000000 && errno == ENOMEM && mpx_queue_qsize(q) == n);
		for (ssize_t got_one; k < n; k++)
			child_check(mpx_queue_get(q, &got_one, sizeof got_one, 0) > 0 &&
				    got_one == k);
		child_check(mpx_queue_empty(q));
		child_check(mpx_pool_apply(pool, square, &(unsigned){7}, out) == 0 && out[0] == 49);
		mpx_pool_free(pool);
		mpx_queue_free(q);
		mpx_lock_free(l);
		child_left_nothing(before);
	}
	/* Nearly full: constructors come some way, and must go back. */
	for (size_t least = 131072; least >= 64; least /= 2) {
		mpx_queue *q = mpx_queue_new(.maxsize = 1);
		child_check(q && mpx_queue_put(q, "x", 1, 0) == 0);
		fill_heap(least);
		struct belongings filled_up = belongings_now();
		tolerated = (const int[]){ENOMEM, 0};
		for (int i = 0; i < 3; i++) {
			errno = 0;
			child_check(mpx_queue_put(q, large, 20000, 0) == -1);
			child_check(errno == ETIMEDOUT || errno == ENOMEM);
			try_memory();
			try_locks();
			try_values();
			try_queue();
			try_process();
			try_pool(2);
			child_left_nothing(filled_up);
		}
		tolerated = NULL;
		empty_heap();
		mpx_queue_free(q);
		child_left_nothing(before);
	}
	child_works();
	return 0;
}

static void test_full_heap(void **state)
{
	(void)state;
	SKIP_ON_PLAIN_POSIX;
	assert_int_equal(run_anew(self, "full-heap", "2M", 0), 0);
}

int main(int argc, char **argv)
{
	struct rlimit core;
	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &core);
	}
	self = argv[0];
	if (argc > 1 && strcmp(argv[1], "full-heap") == 0)
		return program_full_heap();
	if (argc > 1 && strcmp(argv[1], "everything") == 0) {
		child_works();
		return 0;
	}
	if (argc > 1)
		return program_limited(argv[1]);
	const struct CMUnitTest tests[] = {
		mpx_test(test_address_space),
#ifdef RLIMIT_NPROC
		mpx_test(test_processes),
#endif
		mpx_test(test_descriptors),   mpx_test(test_file_size), mpx_test(test_core),
#ifdef __linux__
		mpx_test(test_full_disks),
#endif
		mpx_test(test_full_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
