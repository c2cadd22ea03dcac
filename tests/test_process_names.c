/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_process_names.c - who is who: names, the daemon flag, current_process and
 * parent_process on both sides; active_children and what it reaps.
 */
#define _POSIX_C_SOURCE 200809L

#include "children.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>

/* ---- names, daemon flag, current and parent ---------------------------- */

/* "Process-1:2" is 2 for the prefix "Process-1:"; -1 if it begins otherwise. */
static long number_after(const char *name, const char *prefix)
{
	char *end;
	size_t n = strlen(prefix);
	if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
		return -1;
	long number = strtol(name + n, &end, 10);
	return *end ? -1 : number;
}

/* A child counts from 1, whatever its own name is. */
static int names_in_child(void *args)
{
	struct shared *s = args;
	char prefix[300], text[300];
	snprintf(prefix, sizeof prefix, "%s:", s->text);
	for (int i = 1; i <= 3; i++) {
		mpx_process *p = mpx_process_new(.target = nothing);
		child_check(p && number_after(mpx_process_name(p), prefix) == i);
		if (i == 2) {
			child_check(mpx_process_start(p) == 0 && mpx_process_join(p, 60) == 0);
			child_check(number_after(mpx_process_name(p), prefix) == 2);
		}
		child_check(mpx_process_free(p) == 0);
	}
	/* and one deeper */
	if (s->count++ == 0) {
		snprintf(text, sizeof text, "%s:%d", s->text, 4);
		memcpy(s->text, text, sizeof s->text - 1);
		child_check(child_run(names_in_child, s) == 0);
	}
	return 0;
}

static void test_names(void **state)
{
	(void)state;
	struct shared *s = share();
	mpx_process *p[4];
	long first = 0;
	for (int i = 0; i < 4; i++) {
		/* a name of its own counts as well, as in Python */
		p[i] = i == 2 ? mpx_process_new(.target = nothing, .name = "bob")
			      : mpx_process_new(.target = nothing);
		assert_non_null(p[i]);
		if (i == 0)
			first = number_after(mpx_process_name(p[0]), "Process-");
		else if (i == 2)
			assert_string_equal(mpx_process_name(p[i]), "bob");
		else
			assert_int_equal(number_after(mpx_process_name(p[i]), "Process-"),
					 first + i);
	}
	assert_true(first >= 1);
	for (int i = 0; i < 4; i++)
		assert_ok(mpx_process_free(p[i]));

	/* the name is copied, and may be long */
	char name[301];
	memset(name, 'n', 300);
	name[300] = '\0';
	mpx_process *q = mpx_process_new(.target = nothing, .name = name);
	memset(name, 'x', 300);
	const char *copy = mpx_process_name(q);
	assert_int_equal(strlen(copy), 300);
	assert_int_equal(copy[0], 'n');
	assert_int_equal(copy[299], 'n');
	assert_ok(mpx_process_free(q));

	snprintf(s->text, sizeof s->text, "Process-%ld", first + 5);
	q = mpx_process_new(.target = names_in_child, .args = s);
	assert_string_equal(mpx_process_name(q), s->text);
	assert_ok(mpx_process_start(q));
	assert_int_equal(ended(q), 0);

	snprintf(s->text, sizeof s->text, "Process-%ld", first + 6);
	s->count = 1;
	q = mpx_process_new(.target = names_in_child, .args = s, .name = "other");
	assert_ok(mpx_process_start(q));
	assert_int_equal(ended(q), 0);
	assert_nothing(mpx_process_name(NULL), EINVAL);
	mpx_free(s);
}

static int has_flag(void *args)
{
	return mpx_process_daemon(mpx_current_process()) == (args != NULL) ? 0 : 1;
}

static void test_daemon_flag(void **state)
{
	(void)state;
	mpx_process *p = mpx_process_new(.target = has_flag, .args = &state, .daemon = true);
	mpx_process *q = mpx_process_new(.target = has_flag);
	assert_true(mpx_process_daemon(p));
	assert_false(mpx_process_daemon(q));
	assert_false(mpx_process_daemon(mpx_current_process()));
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_start(q));
	assert_true(mpx_process_daemon(p));
	assert_int_equal(ended(p), 0);
	assert_int_equal(ended(q), 0);
}

static void test_current_process(void **state)
{
	(void)state;
	mpx_process *me = mpx_current_process();
	assert_non_null(me);
	assert_ptr_equal(mpx_current_process(), me);
	assert_string_equal(mpx_process_name(me), "MainProcess");
	assert_int_equal(mpx_process_pid(me), getpid());
	assert_true(mpx_process_is_alive(me));
	assert_false(mpx_process_daemon(me));
	assert_fails(mpx_process_sentinel(me), ENOTSUP);
	assert_fails(mpx_process_free(me), EINVAL);
	int code;
	assert_int_equal(mpx_process_join(me, 0), -1);
	assert_int_equal(mpx_process_exitcode(me, &code), -1);
	assert_int_equal(mpx_process_start(me), -1);
	errno = 4711;
	assert_null(mpx_parent_process());
	assert_int_equal(errno, 4711);
	assert_ptr_equal(mpx_current_process(), me);
	assert_true(mpx_process_is_alive(me));
}

static int see_itself(void *args)
{
	struct shared *s = args;
	int code;
	mpx_process *me = mpx_current_process(), *parent = mpx_parent_process();
	child_check(me && mpx_process_pid(me) == getpid());
	child_check(mpx_current_process() == me);
	child_check(strcmp(mpx_process_name(me), "the child") == 0);
	child_check(mpx_process_daemon(me));
	child_check(mpx_process_is_alive(me));
	child_fails(mpx_process_sentinel(me), ENOTSUP);
	child_fails(mpx_process_free(me), EINVAL);
	child_check(mpx_process_join(me, 0) == -1);
	s->pids[1] = getpid();

	child_check(parent && parent != me && mpx_parent_process() == parent);
	child_check(mpx_process_pid(parent) == s->pids[0]);
	child_check(strcmp(mpx_process_name(parent), "MainProcess") == 0);
	child_check(mpx_process_is_alive(parent));
	child_fails(mpx_process_join(parent, 0), ETIMEDOUT);
	child_fails(mpx_process_join(parent, -1), ETIMEDOUT);
	child_fails(mpx_process_join(parent, NAN), EINVAL);
	double start = now();
	child_fails(mpx_process_join(parent, 0.1), ETIMEDOUT);
	child_check(now() - start >= 0.1 - 1e-6);
	child_fails(mpx_process_exitcode(parent, &code), EPERM);
	child_fails(mpx_process_sentinel(parent), EPERM);
	child_fails(mpx_process_start(parent), EPERM);
	child_fails(mpx_process_terminate(parent), EPERM);
	child_fails(mpx_process_kill(parent), EPERM);
	child_fails(mpx_process_interrupt(parent), EPERM);
	child_fails(mpx_process_free(parent), EINVAL);
	child_check(mpx_active_children(NULL, 0) == 0);
	return 0;
}

static void test_current_and_parent_in_a_child(void **state)
{
	(void)state;
	struct shared *s = share();
	s->pids[0] = getpid();
	mpx_process *p = mpx_process_new(.target = see_itself, .args = s, .name = "the child",
					 .daemon = true);
	assert_ok(mpx_process_start(p));
	pid_t pid = mpx_process_pid(p);
	assert_true(pid > 0);
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_int_equal(mpx_process_pid(p), pid);
	assert_int_equal(s->pids[1], pid);
	assert_int_equal(ended(p), 0);
	mpx_free(s);
}

/* ---- active children --------------------------------------------------- */

static int has_no_children(void *args)
{
	(void)args;
	mpx_process *list[4];
	child_check(mpx_active_children(list, 4) == 0);
	mpx_process *p = mpx_process_new(.target = sleep_for_ever);
	child_check(p && mpx_process_start(p) == 0);
	child_check(mpx_active_children(list, 4) == 1 && list[0] == p);
	child_check(mpx_process_kill(p) == 0 && mpx_process_join(p, 60) == 0);
	child_check(mpx_active_children(list, 4) == 0);
	child_check(mpx_process_free(p) == 0);
	return 0;
}

static void test_active_children(void **state)
{
	(void)state;
	enum { N = 6 };
	mpx_process *p[N], *list[N + 2];
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	assert_int_equal(mpx_active_children(list, N), 0);
	mpx_process *unstarted = mpx_process_new(.target = nothing);
	for (int i = 0; i < N; i++) {
		p[i] = started(sleep_for_ever, NULL);
		assert_int_equal(mpx_active_children(NULL, 0), i + 1);
	}
	memset(list, 0, sizeof list);
	assert_int_equal(mpx_active_children(list, N + 2), N);
	assert_null(list[N]);
	for (int i = 0; i < N; i++) {
		int seen = 0;
		for (int k = 0; k < N; k++)
			seen += list[k] == p[i];
		assert_int_equal(seen, 1);
	}
	memset(list, 0, sizeof list);
	assert_int_equal(mpx_active_children(list, 2), N);
	assert_non_null(list[1]);
	assert_null(list[2]);
	assert_int_equal(ended(started(has_no_children, NULL)), 0);
	assert_int_equal(mpx_active_children(NULL, 0), N);

	/* those that ended are reaped on the way */
	pid_t pids[N];
	for (int i = 0; i < N; i++)
		pids[i] = mpx_process_pid(p[i]);
	for (int i = 0; i < N / 2; i++)
		kill(pids[i], SIGKILL);
	assert_soon(mpx_active_children(list, N) == N / 2);
	for (int i = 0; i < N / 2; i++) {
		assert_false(pid_exists(pids[i]));
		for (int k = 0; k < N / 2; k++)
			assert_ptr_not_equal(list[k], p[i]);
		int code;
		assert_ok(mpx_process_exitcode(p[i], &code));
		assert_int_equal(code, -SIGKILL);
	}
	for (int i = 0; i < N; i++) {
		assert_ok(mpx_process_kill(p[i]));
		assert_int_equal(ended(p[i]), -SIGKILL);
	}
	assert_int_equal(mpx_active_children(NULL, 0), 0);
	assert_ok(mpx_process_free(unstarted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_names),		mpx_test(test_daemon_flag),
		mpx_test(test_current_process), mpx_test(test_current_and_parent_in_a_child),
		mpx_test(test_active_children),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
