/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Wakes that must not get lost. Who sleeps on a lock looks again after its slice, which
 * hides a wake that was forgotten; here the sleeps of chosen processes have no end (the
 * futex call is replaced in this program), and one that has been woken can be held
 * before its next step. So a lost wake is a hang.
 *
 * Seen to fail with, in src/shm/word.c: no wake in take_dead; MPX__SLEEPS dropped where
 * a sleeper takes the word; no pass_on; no wake if there was no SLEEPS, or contended left as it
 * is (mpx__word_release_contended). In word.h: no second look at contended (W5).
 */
#define _GNU_SOURCE
#include "family.h"

#include "shm/word.h"

#ifndef MPX_TEST_PLATFORM_LINUX

int main(void)
{
	printf("skipped: nobody is woken on this platform\n");
	return 77;
}

#else

#include <dlfcn.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

/* A process that sleeps. */
struct sleeper {
	mpx_lock *l;
	struct mpx__word *word; /* or this */
	double timeout;
	bool is_held; /* after its first wake, until go */
	atomic_bool sleeps, woken, go;
	pid_t pid;
};

static struct sleeper *me; /* in a sleeper */

static void has_been_woken(void)
{
	if (!me->is_held || atomic_exchange(&me->woken, true))
		return;
	child_soon(atomic_load(&me->go));
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list args;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	bool sleeps = me && number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
	if (sleeps) {
		a[3] = 0; /* no deadline, no slice */
		atomic_store(&me->sleeps, true);
	}
	long r = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (sleeps && r == 0)
		has_been_woken();
	return r;
}

/* 0: it got the lock, and has given it back; or an errno value. */
static int sleep_on(void *arg)
{
	me = arg;
	if (me->word) {
		int error = mpx__word_acquire(me->word, mpx__os_now() + 10 * INT64_C(1000000000));
		if (!error)
			mpx__word_release(me->word);
		return error;
	}
	int r = mpx_lock_acquire(me->l, me->timeout);
	if (r != 0 && errno != EOWNERDEAD)
		return errno;
	return mpx_lock_release(me->l) == 0 ? 0 : 99;
}

static void begin_to_sleep(struct sleeper *s, mpx_lock *l, double timeout, bool is_held)
{
	s->l = l;
	s->timeout = timeout;
	s->is_held = is_held;
	s->pid = fork_child(sleep_on, s);
	assert_soon(atomic_load(&s->sleeps) && asleep(s->pid));
}

static void begin_to_sleep_on_word(struct sleeper *s, struct mpx__word *word)
{
	s->word = word;
	begin_to_sleep(s, NULL, 0, false);
}

static struct mpx__word *held_word(void)
{
	struct mpx__word *word = mpx_calloc(1, sizeof *word);
	assert_non_null(word);
	assert_int_equal(mpx__word_acquire(word, 0), 0);
	return word;
}

/* What it has returned; -1000 if it sleeps for ever. */
static int end_of(struct sleeper *s)
{
	for (double end = now() + 10; pid_running(s->pid) && now() < end;)
		nap();
	if (!pid_running(s->pid))
		return wait_child(s->pid);
	kill(s->pid, SIGKILL);
	wait_child(s->pid);
	return -1000;
}

static mpx_lock *held_lock(void)
{
	mpx_lock *l = mpx_lock_new();
	assert_non_null(l);
	assert_ok(mpx_lock_acquire(l, 0));
	return l;
}

static struct sleeper *new_sleepers(int n)
{
	struct sleeper *s = mpx_calloc((size_t)n, sizeof *s);
	assert_non_null(s);
	return s;
}

/* Each that has slept wakes the next one. */
static void test_chain(void **state)
{
	(void)state;
	mpx_lock *l = held_lock();
	struct sleeper *s = new_sleepers(5);
	for (int i = 0; i < 5; i++)
		begin_to_sleep(&s[i], l, SOON, false);
	assert_ok(mpx_lock_release(l));
	for (int i = 0; i < 5; i++)
		assert_int_equal(end_of(&s[i]), 0);
	mpx_lock_free(l);
	mpx_free(s);
}

static int acquire_and_die(void *l)
{
	child_check(mpx_lock_acquire(l, 0) == 0);
	raise(SIGKILL);
	return 1;
}

/* One that has been woken is killed, and so is who came in between and knew nothing of
 * those who sleep: who takes over from him wakes them all. */
static void test_dead_holder_knew_nothing(void **state)
{
	(void)state;
	mpx_lock *l = held_lock();
	struct sleeper *s = new_sleepers(4);
	begin_to_sleep(&s[0], l, SOON, true);
	for (int i = 1; i < 4; i++)
		begin_to_sleep(&s[i], l, SOON, false);
	assert_ok(mpx_lock_release(l));
	assert_soon(atomic_load(&s[0].woken));
	assert_int_equal(run_child(acquire_and_die, l), -SIGKILL);
	kill(s[0].pid, SIGKILL);
	wait_child(s[0].pid);
	assert_fails(mpx_lock_acquire(l, 0), EOWNERDEAD); /* who sleeps first would know */
	assert_ok(mpx_lock_consistent(l));
	assert_ok(mpx_lock_release(l));
	for (int i = 1; i < 4; i++)
		assert_int_equal(end_of(&s[i]), 0);
	mpx_lock_free(l);
	mpx_free(s);
}

/* One that is woken when its time is over, and finds another at the lock, says that
 * others sleep. */
static void test_woken_too_late(void **state)
{
	(void)state;
	mpx_lock *l = held_lock();
	struct sleeper *s = new_sleepers(2);
	begin_to_sleep(&s[0], l, 0.1, true);
	begin_to_sleep(&s[1], l, SOON, false);
	assert_ok(mpx_lock_release(l));
	assert_soon(atomic_load(&s[0].woken));
	assert_ok(mpx_lock_acquire(l, 0));
	for (double end = now() + 0.2; now() < end;)
		nap();
	atomic_store(&s[0].go, true);
	assert_int_equal(end_of(&s[0]), ETIMEDOUT);
	assert_ok(mpx_lock_release(l));
	assert_int_equal(end_of(&s[1]), 0);
	mpx_lock_free(l);
	mpx_free(s);
}

/* Somebody went to sleep after the holder had looked whether it is contended, and before
 * the holder's store, which undoes what the sleeper has said. */
static void test_store_passes_by(void **state)
{
	(void)state;
	struct sleeper *s = new_sleepers(2);
	struct mpx__word *word = held_word();
	for (int i = 0; i < 2; i++)
		begin_to_sleep_on_word(&s[i], word);
	mpx__word_release_simply(word);
	for (int i = 0; i < 2; i++)
		assert_int_equal(end_of(&s[i]), 0);
	mpx_free(word);
	mpx_free(s);
}

/* And before the first of them has looked again, a third had the word, who saw that it is
 * contended, and not that anybody sleeps. */
static void test_store_passes_by_another(void **state)
{
	(void)state;
	struct sleeper *s = new_sleepers(2);
	struct mpx__word *word = held_word();
	for (int i = 0; i < 2; i++)
		begin_to_sleep_on_word(&s[i], word);
	atomic_fetch_and(&word->owner, ~MPX__SLEEPS);
	assert_true(atomic_load(&word->contended));
	mpx__word_release_contended(word);
	for (int i = 0; i < 2; i++)
		assert_int_equal(end_of(&s[i]), 0);
	mpx_free(word);
	mpx_free(s);
}

/* When nobody is left who sleeps, it takes one release to forget it. */
static void test_forgotten(void **state)
{
	(void)state;
	struct sleeper *s = new_sleepers(1);
	struct mpx__word *word = held_word();
	begin_to_sleep_on_word(s, word);
	mpx__word_release(word);
	assert_int_equal(end_of(s), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mpx__word_acquire(word, 0), 0);
		mpx__word_release(word);
	}
	assert_false(MPX__SEEN_SOON && atomic_load(&word->contended));
	assert_int_equal(atomic_load(&word->owner), 0);
	mpx_free(word);
	mpx_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_chain),
		mpx_test(test_dead_holder_knew_nothing),
		mpx_test(test_woken_too_late),
		mpx_test(test_store_passes_by),
		mpx_test(test_store_passes_by_another),
		mpx_test(test_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
