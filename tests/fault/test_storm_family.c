/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * All members of a family but one are killed at the same moment, in the middle of
 * puts, gets and locks: that one goes on at once. And the user's own program is
 * killed, at a random moment after its start, with a busy and an idle pool,
 * processes and their children, waiting for queues and holding locks: within two
 * seconds nothing of it is left, no process, no name in /dev/shm, no file in TMPDIR.
 *
 * Seen to fail without mpx__os_die_with_parent in src/process/child.c, and `look` in
 * acquire_slowly, src/shm/word.c. Kills and the long form: storm.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* --- all but one ------------------------------------------------------------------------ */

enum { MEMBERS = 8, MASSACRES = 24, LARGEST = 20000 };

struct world {
	atomic_bool stop;
	mpx_queue *q;
	mpx_lock *l;
	atomic_uint steps[MEMBERS];
};

struct member {
	struct world *w;
	int number;
	mpx_process *process;
};

/* Puts before it gets: so there is a message for everybody who waits for one. */
static int live(void *arg)
{
	const struct member *m = arg;
	struct world *w = m->w;
	uint64_t seed = (uint64_t)m->number;
	static unsigned char msg[LARGEST];

	while (!atomic_load(&w->stop)) {
		size_t n = 1 + next_random(&seed) % (LARGEST - 1);
		ssize_t got;
		int r;

		fill(msg, n, n);
		child_check(mpx_queue_put(w->q, msg, n, SOON) == 0);
		got = mpx_queue_get(w->q, msg, sizeof msg, SOON);
		child_check(got > 0 && filled(msg, (size_t)got, (size_t)got));
		r = mpx_lock_acquire(w->l, SOON);
		child_check(r == 0 || (errno == EOWNERDEAD && mpx_lock_consistent(w->l) == 0));
		child_check(mpx_lock_release(w->l) == 0);
		atomic_fetch_add(&w->steps[m->number], 1);
	}
	return 0;
}

/* Nobody has waited for the dead when the survivor has to go on. */
static void kill_all_but(struct world *w, struct member *m, int survivor)
{
	unsigned steps = atomic_load(&w->steps[survivor]);
	double begin = now();

	for (int i = 0; i < MEMBERS; i++)
		if (i != survivor)
			assert_ok(mpx_process_kill(m[i].process));
	while (atomic_load(&w->steps[survivor]) < steps + 3 && now() < begin + SOON)
		nap();
	storm_stall(now() - begin);
	for (int i = 0; i < MEMBERS; i++)
		if (i != survivor)
			assert_int_equal(storm_kill(m[i].process), -SIGKILL);
}

static void round_massacres(uint64_t *seed)
{
	size_t before = heap_blocks();
	struct world *w = mpx_calloc(1, sizeof *w);
	struct member m[MEMBERS];
	int survivor = -1;

	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	assert_non_null(w->l = mpx_lock_new());
	for (int kills = 0; kills < MASSACRES && !storm_late(); kills++) {
		for (int i = 0; i < MEMBERS; i++) {
			if (i == survivor)
				continue;
			m[i] = (struct member){w, i, NULL};
			m[i].process = start(live, &m[i]);
		}
		for (int i = 0; i < 4; i++)
			storm_pause(seed);
		survivor = (int)(next_random(seed) % MEMBERS);
		kill_all_but(w, m, survivor);
	}
	atomic_store(&w->stop, true);
	ends_well(m[survivor].process);
	mpx_queue_free(w->q);
	mpx_lock_free(w->l);
	mpx_free(w);
	storm_heap_has(before);
}

static void test_all_but_one(void **state)
{
	(void)state;
	storm_run("all but one", round_massacres);
}

/* --- the user's program ----------------------------------------------------------------- */

static const char *program;

static int wait_for_queue(void *q)
{
	char c;
	return mpx_queue_get(q, &c, 1, MPX_FOREVER) >= 0;
}

static int hold_lock(void *l)
{
	if (mpx_lock_acquire(l, MPX_FOREVER) != 0)
		return 1;
	for (;;)
		pause();
}

/* One that waits for its child, which waits for a queue. */
static int have_child(void *q)
{
	mpx_process *p = mpx_process_new(.target = wait_for_queue, .args = q);
	return !p || mpx_process_start(p) != 0 || mpx_process_join(p, MPX_FOREVER) != 0;
}

static int keep_busy(const void *in, void *out)
{
	double end = now() + 2 * SOON;
	(void)out;
	if (*(const int *)in % 2)
		signal(SIGTERM, SIG_IGN);
	while (now() < end)
		continue;
	return 0;
}

static bool begin(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	return p && mpx_process_start(p) == 0;
}

/* In a program of its own: all of the library, in the middle of something. One byte
 * to descriptor 3 when all is there; then it waits to be killed. All that descend
 * from it have the descriptor, too. */
static int be_the_user(void)
{
	mpx_queue *q = mpx_queue_new(.maxsize = 1);
	mpx_lock *l = mpx_lock_new();
	mpx_pool *idle = mpx_pool_new(.processes = 2), *busy = mpx_pool_new(.processes = 2);
	static const int in[4] = {0, 1, 2, 3};

	if (!q || !l || !idle || !busy || mpx_queue_fileno(q) < 0 || !begin(hold_lock, l) ||
	    !begin(hold_lock, l) || !begin(wait_for_queue, q) || !begin(have_child, q) ||
	    !mpx_pool_map_async(busy, keep_busy, in, sizeof *in, 4, 0, MPX_TASK(.timeout = 60)))
		return 1;
	send_byte(3);
	for (;;)
		pause();
}

static int run_user(void *arg)
{
	const int *fds = arg;

	close(fds[0]);
	child_check(fds[1] == 3 || (dup2(fds[1], 3) == 3 && close(fds[1]) == 0));
	alarm(0);
	if (strchr(program, '/'))
		execl(program, program, "user", (char *)NULL);
	execl("/proc/self/exe", program, "user", (char *)NULL);
	return 99;
}

/* Waits until nobody has the other end any more; false if it is not so in time. */
static bool is_closed_within(int fd, double seconds)
{
	double end = now() + seconds;
	struct pollfd p = {fd, POLLIN, 0};
	char c;

	while (now() < end) {
		if (poll(&p, 1, (int)((end - now()) * 1e3) + 1) > 0 && read(fd, &c, 1) == 0)
			return true;
	}
	return false;
}

static void is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fail_msg("%s/%s is left", folder, e->d_name);
	closedir(dir);
}

/* At once, or when all is there. */
static void kill_user(uint64_t *seed, bool ready)
{
	int fds[2];
	pid_t pid;

	assert_ok(pipe(fds));
	pid = fork_child(run_user, fds);
	close(fds[1]);
	if (ready)
		assert_true(recv_byte(fds[0]));
	for (uint64_t n = next_random(seed) % 12; n && !ready; n--)
		storm_pause(seed);
	assert_ok(kill(pid, SIGKILL));
	assert_int_equal(wait_child(pid), -SIGKILL);
	storm_count_kills(1);
	if (!is_closed_within(fds[0], 2))
		fail_msg("something of process %d still runs", (int)pid);
	close(fds[0]);
}

static void round_users(uint64_t *seed)
{
	for (int i = 0; i < 10 && !storm_late(); i++)
		kill_user(seed, i % 3 == 0);
}

static void test_user_killed(void **state)
{
	(void)state;
	const char *saved = getenv("TMPDIR");
	char folder[] = "/tmp/mpx-storm-XXXXXX", *before = saved ? strdup(saved) : NULL;

	assert_non_null(mkdtemp(folder));
	assert_ok(setenv("TMPDIR", folder, 1));
	storm_run("user's program", round_users);
	if (before)
		setenv("TMPDIR", before, 1);
	else
		unsetenv("TMPDIR");
	free(before);
	is_empty(folder);
	assert_ok(rmdir(folder));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_all_but_one),
		mpx_test(test_user_killed),
	};

	program = argv[0];
	if (argc == 2 && strcmp(argv[1], "user") == 0)
		return be_the_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
