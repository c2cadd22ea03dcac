/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_supervisor.c - mpx/pool.h, the pool's supervisor killed:
 *
 *   while the pool is idle, in a map, and before terminate: every call returns, with
 *   an error or well; free works, and the workers are gone.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

struct shared {
	struct meeting meeting;
	struct gate gate;
};

/* The only child of this process; 0 where /proc cannot tell. */
static pid_t only_child(void)
{
	pid_t found = 0;
	int n = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir));) {
		char path[280], text[512] = "", state;
		int parent;
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		FILE *f = fopen(path, "r");
		if (!f)
			continue;
		size_t got = fread(text, 1, sizeof text - 1, f);
		fclose(f);
		text[got] = '\0';
		const char *tail = strrchr(text, ')');
		if (tail && sscanf(tail + 1, " %c %d", &state, &parent) == 2 &&
		    parent == getpid()) {
			found = (pid_t)atoi(e->d_name);
			n++;
		}
	}
	closedir(dir);
	child_check(n <= 1);
	return found;
}

static bool all_ended(const pid_t *pids, int n)
{
	for (int i = 0; i < n; i++)
		if (pid_running(pids[i]))
			return false;
	return true;
}

static int supervisor_killed_idle(void *arg)
{
	pid_t pids[2];
	unsigned in[500] = {0}, out[500], y;
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	child_check(workers_of(pool, arg, 2, pids));
	pid_t supervisor = only_child();
	if (supervisor == 0) { /* no /proc */
		mpx_pool_free(pool);
		return 0;
	}
	child_check(kill(supervisor, SIGKILL) == 0);
	for (int i = 0; i < 5; i++) {
		double begin = now();
		if (mpx_pool_map(pool, square, in, out, 500) != 0)
			child_check(errno == EOWNERDEAD);
		mpx_result *r = mpx_pool_apply_async(pool, square, in, sizeof *in, sizeof y, NULL);
		if (!r || mpx_result_get(r, &y, 15) != 0)
			child_check(errno == EOWNERDEAD);
		mpx_result_free(r);
		child_check(now() - begin < 15);
	}
	child_check(mpx_pool_close(pool) == 0);
	if (mpx_pool_join(pool, 15) != 0)
		child_check(errno != ETIMEDOUT);
	mpx_pool_free(pool);
	child_soon(all_ended(pids, 2));
	child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

struct long_map {
	mpx_pool *pool;
	struct gate *g;
	atomic_bool done;
};

static void *map_long(void *arg)
{
	struct long_map *l = arg;
	struct gate *in[50];
	for (int i = 0; i < 50; i++)
		in[i] = l->g;
	mpx_pool_map_sized(l->pool, pass_gate, in, sizeof *in, NULL, 0, 50, NULL);
	atomic_store(&l->done, true);
	return NULL;
}

static int supervisor_killed_in_map(void *arg)
{
	struct shared *m = arg;
	pid_t pids[2];
	pthread_t t;
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	struct long_map l = {.pool = pool, .g = &m->gate};
	child_check(pool != NULL);
	child_check(workers_of(pool, &m->meeting, 2, pids));
	child_check(pthread_create(&t, NULL, map_long, &l) == 0);
	child_soon(atomic_load(&m->gate.entered) == 2);
	pid_t supervisor = only_child();
	if (supervisor)
		child_check(kill(supervisor, SIGKILL) == 0);
	/* It fails soon, or it succeeds once its tasks do. */
	double end = now() + 3;
	while (!atomic_load(&l.done) && now() < end)
		nap();
	atomic_store(&m->gate.open, true);
	child_soon(atomic_load(&l.done));
	child_check(pthread_join(t, NULL) == 0);
	mpx_pool_free(pool);
	child_soon(all_ended(pids, 2));
	child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

static int stubborn(const void *in, void *out)
{
	signal(SIGTERM, SIG_IGN);
	return pass_gate(in, out);
}

static int supervisor_killed_terminate(void *arg)
{
	struct shared *m = arg;
	struct gate *g = &m->gate;
	pid_t pids[2];
	mpx_pool *pool = mpx_pool_new(.processes = 2);
	child_check(pool != NULL);
	child_check(workers_of(pool, &m->meeting, 2, pids));
	mpx_result *r = mpx_pool_apply_async(pool, stubborn, &g, sizeof g, 0, NULL);
	child_check(r != NULL);
	child_soon(atomic_load(&g->entered) == 1);
	pid_t supervisor = only_child();
	if (supervisor)
		child_check(kill(supervisor, SIGKILL) == 0);
	child_check(mpx_pool_terminate(pool) == 0);
	double begin = now();
	child_check(mpx_result_get(r, NULL, 15) == -1);
	child_check(errno == ECANCELED || errno == EOWNERDEAD);
	mpx_pool_free(pool);
	child_check(now() - begin < 20);
	mpx_result_free(r);
	child_soon(all_ended(pids, 2));
	child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

static void supervisor_killed(int (*child)(void *))
{
	struct shared *m = mpx_calloc(1, sizeof *m);
	assert_non_null(m);
	for (int i = 0; i < 3; i++) {
		atomic_store(&m->gate.open, false);
		atomic_store(&m->gate.entered, 0);
		assert_int_equal(run_child(child, m), 0);
	}
	mpx_free(m);
}

static void test_supervisor_killed_idle(void **state)
{
	(void)state;
	supervisor_killed(supervisor_killed_idle);
}

static void test_supervisor_killed_in_map(void **state)
{
	(void)state;
	supervisor_killed(supervisor_killed_in_map);
}

static void test_supervisor_killed_terminate(void **state)
{
	(void)state;
	supervisor_killed(supervisor_killed_terminate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_supervisor_killed_idle),
		mpx_test(test_supervisor_killed_in_map),
		mpx_test(test_supervisor_killed_terminate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
