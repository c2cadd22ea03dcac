/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sync_death.c - holders of a lock that die:
 *
 *   - fresh acquires, sleepers, polls; zombies; depth; sticky until consistent; the
 *     one that repairs; the child of a dead holder
 *   - the dead holder's place in the family, or its pid, given to a living process
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"
#include "locks.h"

#include <signal.h>
#include <stdatomic.h>

static int hold_for_ever(void *arg)
{
	struct shared *s = arg;
	int depth = s->kind == &rlock_kind ? 5 : 1;
	for (int i = 0; i < depth; i++)
		child_check(acquire(s, MPX_FOREVER) == 0);
	s->ready++;
	for (;;)
		pause();
}

static int hold_and_return(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, MPX_FOREVER) == 0);
	return 0;
}

static pid_t start_holder(struct shared *s)
{
	int ready = s->ready;
	pid_t pid = fork_child(hold_for_ever, s);
	assert_soon(s->ready > ready);
	return pid;
}

static int sees_it_held(void *arg)
{
	struct shared *s = arg;
	child_fails(acquire(s, 0), ETIMEDOUT);
	child_fails(release(s), EPERM);
	child_fails(s->kind->consistent(s->lock), EPERM);
	return 0;
}

/* We were told EOWNERDEAD: we hold it, once; sticky until consistent. */
static void check_owner_dead(struct shared *s)
{
	assert_true(s->kind->locked(s->lock));
	assert_int_equal(run_child(sees_it_held, s), 0);
	assert_ok(release(s));
	assert_false(s->kind->locked(s->lock));
	assert_fails(release(s), EOVERFLOW);
	double timeouts[] = {0, 0.1, MPX_FOREVER};
	for (size_t i = 0; i < 3; i++) {
		assert_fails(acquire(s, timeouts[i]), EOWNERDEAD);
		assert_true(s->kind->locked(s->lock));
		assert_ok(release(s));
	}
	assert_fails(s->kind->consistent(s->lock), EPERM);
	assert_fails(acquire(s, 0), EOWNERDEAD);
	assert_ok(s->kind->consistent(s->lock));
	assert_true(s->kind->locked(s->lock));
	assert_ok(release(s));
	assert_fails(release(s), EOVERFLOW);
	assert_ok(acquire(s, 0));
	assert_ok(release(s));
}

static void check_dead_holder(const struct kind *kind)
{
	/* killed and reaped */
	struct shared *s = share(kind);
	kill_child(start_holder(s));
	assert_true(kind->locked(s->lock)); /* a dead holder counts */
	assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	check_owner_dead(s);

	/* killed, a zombie */
	pid_t pid = start_holder(s);
	kill(pid, SIGKILL);
	await_zombie(pid);
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);
	assert_int_equal(wait_child(pid), -SIGKILL);

	/* left without releasing it */
	assert_int_equal(run_child(hold_and_return, s), 0);
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);

	/* likewise as a mpx_process */
	mpx_process *p = mpx_process_new(.target = hold_and_return, .args = s);
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);
	assert_ok(mpx_process_free(p));
	done_with(s);
}

static void test_dead_holder(void **state)
{
	(void)state;
	check_dead_holder(&lock_kind);
	check_dead_holder(&rlock_kind);
}

/* Polls too learn of it, within a tenth of a second or so. */
static void test_dead_holder_and_polls(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		for (int reap = 0; reap < 2; reap++) {
			struct shared *s = share(kinds[k]);
			pid_t pid = start_holder(s);
			assert_fails(acquire(s, 0), ETIMEDOUT);
			kill(pid, SIGKILL);
			if (reap)
				assert_int_equal(wait_child(pid), -SIGKILL);
			else
				await_zombie(pid);
			double end = now() + 10;
			int error;
			do {
				errno = 0;
				assert_int_equal(acquire(s, reap ? 0 : -1), -1);
				error = errno;
				nap();
			} while (error == ETIMEDOUT && now() < end);
			assert_int_equal(error, EOWNERDEAD);
			check_owner_dead(s);
			if (!reap)
				assert_int_equal(wait_child(pid), -SIGKILL);
			done_with(s);
		}
	}
}

static int sleeper(void *arg)
{
	struct shared *s = arg;
	s->ready++;
	int rc = acquire(s, s->timeout);
	if (rc != 0) {
		child_check(errno == EOWNERDEAD);
		s->dead++;
		if (s->go == 2)
			child_check(s->kind->consistent(s->lock) == 0);
	}
	s->served++;
	child_check(release(s) == 0);
	return 0;
}

static void check_sleepers(const struct kind *kind, double timeout, bool repair)
{
	struct shared *s = share(kind);
	s->timeout = timeout;
	s->go = repair ? 2 : 1;
	pid_t holder = start_holder(s);
	pid_t pids[WORKERS];
	s->ready = 0;
	for (int i = 0; i < WORKERS; i++)
		pids[i] = fork_child(sleeper, s);
	assert_soon(s->ready == WORKERS);
	linger();
	assert_int_equal(s->served, 0);
	kill(holder, SIGKILL);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	assert_int_equal(wait_child(holder), -SIGKILL);
	assert_int_equal(s->served, WORKERS);
	assert_int_equal(s->dead, repair ? 1 : WORKERS);
	if (repair)
		assert_ok(acquire(s, 0));
	else
		assert_fails(acquire(s, 0), EOWNERDEAD);
	assert_ok(release(s));
	done_with(s);
}

static void test_dead_holder_and_sleepers(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		check_sleepers(kinds[k], MPX_FOREVER, false);
		check_sleepers(kinds[k], MPX_FOREVER, true);
		check_sleepers(kinds[k], 60, false);
		check_sleepers(kinds[k], 60, true);
	}
}

/* The one who repairs may die as well, before or after consistent. */
static int repair_and_die(void *arg)
{
	struct shared *s = arg;
	child_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	if (s->go)
		child_check(s->kind->consistent(s->lock) == 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static void test_dead_repairer(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		kill_child(start_holder(s));
		assert_int_equal(run_child(repair_and_die, s), -SIGKILL);
		s->go = 1;
		assert_int_equal(run_child(repair_and_die, s), -SIGKILL);
		assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
		check_owner_dead(s);
		done_with(s);
	}
}

/* A dead holder's depth is gone; ours starts at one and grows. */
static void test_dead_holder_depth(void **state)
{
	(void)state;
	struct shared *s = share(&rlock_kind);
	kill_child(start_holder(s));
	assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	errno = 0;
	int rc = acquire(s, 0);
	assert_true(rc == 0 || errno == EOWNERDEAD);
	assert_ok(mpx_rlock_consistent(s->lock));
	assert_ok(acquire(s, 0));
	for (int i = 0; i < 3; i++) {
		assert_true(mpx_rlock_locked(s->lock));
		assert_ok(release(s));
	}
	assert_fails(release(s), EOVERFLOW);
	assert_false(mpx_rlock_locked(s->lock));
	done_with(s);
}

struct family_of_holder {
	struct shared *s;
	int stay[2]; /* the grandchild lives until this is closed */
};

static int outlive(void *arg)
{
	struct family_of_holder *f = arg;
	close(f->stay[1]);
	recv_byte(f->stay[0]);
	return 0;
}

static int hold_with_child(void *arg)
{
	struct family_of_holder *f = arg;
	child_check(acquire(f->s, 0) == 0);
	pid_t pid = fork();
	child_check(pid >= 0);
	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(60);
		_exit(outlive(f));
	}
	kill(getpid(), SIGKILL);
	return 1;
}

/* The child of a dead holder is no holder, though it lives. */
static void test_dead_holder_with_child(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct family_of_holder f = {.s = share(kinds[k])};
		assert_int_equal(pipe(f.stay), 0);
		assert_int_equal(run_child(hold_with_child, &f), -SIGKILL);
		assert_fails(acquire(f.s, MPX_FOREVER), EOWNERDEAD);
		check_owner_dead(f.s);
		close(f.stay[0]);
		close(f.stay[1]);
		done_with(f.s);
	}
}

/* The dead holder's place in the family is given to a living process: the table has
 * 4095, handed out in turn. Its lock is no less a dead one's. */
static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int wait_for_go(void *arg)
{
	atomic_int *go = arg;
	while (!atomic_load(go))
		nap();
	return 0;
}

static int die_with_it(void *arg)
{
	if (mpx_lock_acquire(arg, 10) == 0)
		raise(SIGKILL);
	return 1;
}

static void run_through(mpx_target *target, void *arg)
{
	mpx_process *p = mpx_process_new(.target = target, .args = arg);
	assert_non_null(p);
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_join(p, 60));
	assert_ok(mpx_process_free(p));
}

static void test_place_of_the_dead_taken(void **state)
{
	(void)state;
	skip_thousands_of_processes();
	enum { PLACES = 4095, LIVING = 12 };
	mpx_lock *l = mpx_lock_new();
	atomic_int *go = mpx_calloc(1, sizeof *go);
	mpx_process *p[LIVING];
	assert_true(l && go);
	run_through(die_with_it, l);
	double begin = now();
	for (int i = 0; i < PLACES - LIVING / 2; i++) {
		run_through(return_at_once, NULL);
		if (now() < begin + 30)
			continue;
		mpx_lock_free(l); /* too slow for that, under valgrind for example */
		mpx_free((void *)go);
		skip();
	}
	for (int i = 0; i < LIVING; i++) {
		p[i] = mpx_process_new(.target = wait_for_go, .args = (void *)go);
		assert_non_null(p[i]);
		assert_ok(mpx_process_start(p[i]));
	}
	assert_fails(mpx_lock_acquire(l, 5), EOWNERDEAD);
	assert_ok(mpx_lock_release(l));
	atomic_store(go, 1);
	for (int i = 0; i < LIVING; i++) {
		assert_ok(mpx_process_join(p[i], 60));
		assert_ok(mpx_process_free(p[i]));
	}
	mpx_lock_free(l);
	mpx_free((void *)go);
}

/* A plain fork() that dies with the lock, and a living process that gets its pid
 * (where we may choose pids: as root, on Linux). The pid alone would say it lives. */
static int hold_and_die(void *arg)
{
	if (mpx_lock_acquire(arg, 10) == 0 || errno == EOWNERDEAD)
		raise(SIGKILL);
	return 1;
}

static int pause_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static bool next_pid_will_be(pid_t pid)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
	bool done = f && fprintf(f, "%d", (int)pid - 1) > 0;
	return (!f || fclose(f) == 0) && done;
}

static void test_pid_reused(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	pid_t dead = fork_child(hold_and_die, l), stranger = 0;
	double born = now();
	assert_int_equal(wait_child(dead), -SIGKILL);
	while (now() < born + 0.05) /* times of birth are told in hundredths */
		nap();
	for (int i = 0; i < 50 && stranger != dead && next_pid_will_be(dead); i++) {
		stranger = fork_child(pause_for_ever, NULL);
		if (stranger != dead) {
			kill(stranger, SIGKILL);
			wait_child(stranger);
		}
	}
	int rc = mpx_lock_acquire(l, 5), error = errno;
	mpx_lock_release(l);
	mpx_lock_free(l);
	if (stranger == dead) {
		kill(stranger, SIGKILL);
		wait_child(stranger);
	}
	assert_true(rc == -1 && error == EOWNERDEAD);
	if (stranger != dead)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_dead_holder),
		mpx_test(test_dead_holder_and_polls),
		mpx_test(test_dead_holder_and_sleepers),
		mpx_test(test_dead_repairer),
		mpx_test(test_dead_holder_depth),
		mpx_test(test_dead_holder_with_child),
		mpx_test(test_pid_reused),
		mpx_test(test_place_of_the_dead_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
