/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * retry_timeout.c - tasks that fail now and then, that hang, that crash: with a time limit
 * and retries no other task notices. Python's Pool has neither.
 *
 * Run it without arguments: ./retry_timeout. It prints:
 *
 *     steady: done at attempt 1
 *     flaky: done at attempt 3
 *     crashing once: done at attempt 2
 *     stuck once: done at attempt 2
 *     stuck for ever: ran longer than its timeout (3 attempts)
 *     hopeless: no route (3 attempts)
 *     steady: done at attempt 1
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum kind { STEADY, FLAKY, CRASHES_ONCE, STUCK_ONCE, STUCK, HOPELESS };

static const char *const name[] = {"steady",	 "flaky",	   "crashing once",
				   "stuck once", "stuck for ever", "hopeless"};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* mpx_task_attempt says how often it has failed before. */
static int work(const void *in, void *out)
{
	enum kind kind = *(const enum kind *)in;
	unsigned attempt = mpx_task_attempt();

	if (kind == FLAKY && attempt < 2)
		return mpx_fail(EAGAIN, "try again");
	if (kind == CRASHES_ONCE && attempt == 0)
		raise(SIGKILL);
	while (kind == STUCK || (kind == STUCK_ONCE && attempt == 0))
		pause();
	if (kind == HOPELESS)
		return mpx_fail(ENETUNREACH, "no route");
	*(unsigned *)out = attempt + 1;
	return 0;
}

int main(void)
{
	const enum kind kinds[] = {STEADY, FLAKY,    CRASHES_ONCE, STUCK_ONCE,
				   STUCK,  HOPELESS, STEADY};
	const int n = sizeof kinds / sizeof *kinds, right = 5;
	int done = 0;

	mpx_pool *pool = mpx_pool_new(.processes = 4);
	if (pool == NULL)
		die("mpx_pool_new");
	mpx_imap *it = mpx_pool_imap(pool, work, kinds, sizeof *kinds, (size_t)n, sizeof(unsigned),
				     MPX_TASK(.timeout = 0.3, .retries = 2, .backoff = 0.01));
	if (it == NULL)
		die("mpx_pool_imap");
	for (int i = 0; i < n; i++) {
		unsigned attempts;
		mpx_failure why;

		if (mpx_imap_next(it, &attempts, 60) == 1) {
			printf("%s: done at attempt %u\n", name[kinds[i]], attempts);
			done++;
		} else if (mpx_imap_failure(it, &why) == 0) {
			printf("%s: %s (3 attempts)\n", name[kinds[i]], why.message);
		} else {
			die("mpx_imap_next");
		}
	}
	mpx_imap_free(it);
	mpx_pool_free(pool);
	return done == right ? 0 : 1;
}
