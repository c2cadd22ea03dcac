/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * process.c - a function in a process of its own. In Python:
 *
 *     def info(title):
 *         print(title, current_process().name, os.getpid())
 *
 *     def f(name):
 *         info('child:')
 *         print('hello', name)
 *         sys.exit(len(name))
 *
 *     info('parent:')
 *     p = Process(target=f, name='greeter', args=('bob',))
 *     p.start()
 *     p.join()
 *     print(p.name, p.pid, 'ended with', p.exitcode)
 *
 * Run it without arguments: ./process. It prints (with other pids):
 *
 *     parent: MainProcess, pid 4711
 *     child: greeter, pid 4712, started by MainProcess, pid 4711
 *     hello bob
 *     greeter, pid 4712, ended with exit code 3
 */
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void info(const char *title)
{
	mpx_process *me = mpx_current_process();
	mpx_process *parent = mpx_parent_process();

	printf("%s %s, pid %ld", title, mpx_process_name(me), (long)mpx_process_pid(me));
	if (parent != NULL)
		printf(", started by %s, pid %ld", mpx_process_name(parent),
		       (long)mpx_process_pid(parent));
	printf("\n");
}

/* Runs in the child; what it returns is the exit code. */
static int f(void *args)
{
	const char *name = args;

	info("child:");
	printf("hello %s\n", name);
	return (int)strlen(name);
}

int main(void)
{
	int exitcode;

	info("parent:");

	mpx_process *p = mpx_process_new(.target = f, .name = "greeter", .args = "bob");
	if (p == NULL)
		die("mpx_process_new");
	if (mpx_process_start(p) != 0)
		die("mpx_process_start");
	if (mpx_process_join(p, MPX_FOREVER) != 0)
		die("mpx_process_join");
	if (mpx_process_exitcode(p, &exitcode) != 0)
		die("mpx_process_exitcode");

	printf("%s, pid %ld, ended with exit code %d\n", mpx_process_name(p),
	       (long)mpx_process_pid(p), exitcode);
	if (mpx_process_free(p) != 0)
		die("mpx_process_free");

	return exitcode == 3 ? 0 : 1;
}
