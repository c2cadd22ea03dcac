/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * python.h - on top of harness.h: what Python itself makes of it. A script runs in
 * python3 (3.9 or later; or $MPX_PYTHON) with a deadline; where there is none, the test is skipped.
 */
#ifndef PYTHON_H
#define PYTHON_H

#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* For each script. keep(): the resource tracker shall not unlink it at the end. */
#define PYTHON_BEGIN                                                                               \
	"import sys\n"                                                                             \
	"from multiprocessing import resource_tracker\n"                                           \
	"from multiprocessing.shared_memory import SharedMemory, ShareableList\n"                  \
	"def keep(m):\n"                                                                           \
	"    shm = getattr(m, 'shm', m)\n"                                                         \
	"    resource_tracker.unregister(shm._name, 'shared_memory')\n"                            \
	"    return m\n"

struct script {
	const char *text;
	const char *args[4]; /* sys.argv from 1 on */
};

static inline int exec_python(void *arg)
{
	const struct script *s = arg;
	const char *python = getenv("MPX_PYTHON");
	static char text[8192];
	if (!python)
		python = "python3";
	snprintf(text, sizeof text, "%s%s", PYTHON_BEGIN, s->text);
	execlp(python, python, "-E", "-c", text, s->args[0], s->args[1], s->args[2], s->args[3],
	       (char *)NULL);
	_exit(127);
}

static inline int run_python(const struct script *s)
{
	pid_t pid = fork_child(exec_python, (void *)s);
	double end = now() + 60;
	int status;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now() > end) {
			kill(pid, SIGKILL);
			wait_child(pid);
			fail_msg("python has not ended within a minute:\n%s", s->text);
		}
		nap();
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Is there one that can do it? Otherwise the test ends here. */
static inline void need_python(void)
{
	static int code = -1;
	if (code < 0)
		code = run_python(&(struct script){"assert sys.version_info >= (3, 9)\n", {NULL}});
	if (code != 0) {
		print_message("no python3, 3.9 or later, with shared memory: NOT tried\n");
		skip();
	}
}

/* python(text, argument...): it must end well. */
#define python(text, ...) assert_int_equal(run_python(&(struct script){text, {__VA_ARGS__}}), 0)

#endif
