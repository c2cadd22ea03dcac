/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * shared_memory_python.c - C and Python work on the same memory. The Python side:
 *
 *     m = SharedMemory(name)                  # what C has made
 *     x = m.buf.cast('d')
 *     for i in range(len(x)):
 *         x[i] = math.sqrt(x[i])
 *
 *     l = ShareableList(name=list_name)       # likewise
 *     l[0] = 'done by Python ' + platform.python_version()
 *     l[1] += 1
 *     l[2] = True
 *
 * Run it without arguments: ./shared_memory_python. Where there is python3, it prints:
 *
 *     8 square roots by Python: 0.000 1.000 1.414 1.732 2.000 2.236 2.449 2.646
 *     ['done by Python 3.11.2', 42, True]
 *
 * and elsewhere that there is none.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 8, NO_PYTHON = 127 };

/* Python up to 3.12 would unlink at its end what it has only attached to: unregister
 * prevents that. (From 3.13 on: track=False.) */
static const char script[] =
	"import math, platform, sys\n"
	"from multiprocessing import resource_tracker\n"
	"from multiprocessing.shared_memory import SharedMemory, ShareableList\n"
	"\n"
	"if sys.version_info < (3, 9):\n"
	"    sys.exit(127)\n"
	"m = SharedMemory(sys.argv[1])\n"
	"l = ShareableList(name=sys.argv[2])\n"
	"for shm in m, l.shm:\n"
	"    resource_tracker.unregister(shm._name, 'shared_memory')\n"
	"\n"
	"x = m.buf[:int(sys.argv[3]) * 8].cast('d')\n"
	"for i in range(len(x)):\n"
	"    x[i] = math.sqrt(x[i])\n"
	"x.release()\n"
	"\n"
	"l[0] = 'done by Python ' + platform.python_version()\n"
	"l[1] += 1\n"
	"l[2] = True\n";

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Runs the script: its exit status. */
static int run_python(const char *memory, const char *list, const char *count)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execlp("python3", "python3", "-c", script, memory, list, count, (char *)NULL);
		_exit(NO_PYTHON);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* What Python has made of them; 0 if it is right. */
static int show(const double *x, const mpx_shareable_list *l)
{
	char text[64];
	int64_t number = 0;
	bool flag = false;
	int wrong = 0;

	printf("%d square roots by Python:", N);
	for (int i = 0; i < N; i++) {
		printf(" %.3f", x[i]);
		wrong += fabs(x[i] * x[i] - i) > 1e-9;
	}
	if (mpx_shareable_list_get_str(l, 0, text, sizeof text) < 0 ||
	    mpx_shareable_list_get_int(l, 1, &number) != 0 ||
	    mpx_shareable_list_get_bool(l, 2, &flag) != 0)
		die("\nmpx_shareable_list_get");
	printf("\n['%s', %lld, %s]\n", text, (long long)number, flag ? "True" : "False");
	return wrong || number != 42 || !flag;
}

int main(void)
{
	const mpx_shareable_item items[] = {
		mpx_shareable_str("room for a text of some length"),
		mpx_shareable_int(41),
		mpx_shareable_bool(false),
	};
	int status;

	/* Should a run before this one have been killed, here its left-overs go. */
	mpx_shared_memory_sweep();

	mpx_shared_memory *m = mpx_shared_memory_create(NULL, N * sizeof(double));
	if (m == NULL)
		die("mpx_shared_memory_create");
	mpx_shareable_list *l = mpx_shareable_list_create(items, 3, NULL);
	if (l == NULL) {
		mpx_shared_memory_unlink(m);
		die("mpx_shareable_list_create");
	}

	double *x = mpx_shared_memory_buf(m);
	for (int i = 0; i < N; i++)
		x[i] = i;
	status = run_python(mpx_shared_memory_name(m), mpx_shareable_list_name(l), "8");
	if (status == 0) {
		status = show(x, l);
	} else if (status == NO_PYTHON) {
		printf("There is no python3 (3.9 or later) here: nothing to talk to.\n");
		status = 0;
	} else {
		fprintf(stderr, "The Python side failed with exit status %d\n", status);
	}

	mpx_shareable_list_unlink(l);
	mpx_shareable_list_free(l);
	mpx_shared_memory_unlink(m);
	mpx_shared_memory_free(m);
	return status;
}
