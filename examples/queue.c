/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * queue.c - messages from one process to another. In Python:
 *
 *     def f(q):
 *         q.put(Reading(sensor=1, celsius=21.5))
 *         q.put(Reading(sensor=2, celsius=19.25))
 *         q.put('that is all')
 *
 *     q = Queue()
 *     p = Process(target=f, args=(q,))
 *     p.start()
 *     for _ in range(3):
 *         print(q.get())
 *     p.join()            # in Python only after the queue is drained: it may hang
 *
 * Here the child may be joined first: a message that was put is in shared memory
 * and needs its producer no more.
 *
 * Run it without arguments: ./queue. It prints:
 *
 *     the child has ended, 3 messages wait
 *     sensor 1: 21.50 degrees
 *     sensor 2: 19.25 degrees
 *     "that is all"
 *     poll: nothing within 0.1 s
 *     poll: "good morning"
 *     closed: no more messages
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	long sensor;
	double celsius;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A message is a run of bytes: a struct, or a string with its '\0'. */
static int f(void *args)
{
	mpx_queue *q = args;
	const struct reading readings[] = {{1, 21.5}, {2, 19.25}};
	const char text[] = "that is all";

	for (int i = 0; i < 2; i++)
		if (mpx_queue_put(q, &readings[i], sizeof readings[i], MPX_FOREVER) != 0)
			return 1;
	return mpx_queue_put(q, text, sizeof text, MPX_FOREVER) != 0;
}

static int greet(void *args)
{
	const char text[] = "good morning";

	return mpx_queue_put(args, text, sizeof text, MPX_FOREVER) != 0;
}

static mpx_process *start(mpx_target *target, mpx_queue *q)
{
	mpx_process *p = mpx_process_new(.target = target, .args = q);

	if (p == NULL || mpx_process_start(p) != 0)
		die("start");
	return p;
}

static void join(mpx_process *p)
{
	int exitcode;

	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_exitcode(p, &exitcode) != 0 ||
	    mpx_process_free(p) != 0)
		die("join");
	if (exitcode != 0) {
		fprintf(stderr, "the child failed: %d\n", exitcode);
		exit(1);
	}
}

int main(void)
{
	struct reading r;
	char text[64];
	int wrong = 0;

	mpx_queue *q = mpx_queue_new();
	if (q == NULL)
		die("mpx_queue_new");

	/* The child puts three messages and ends; we get them afterwards. */
	join(start(f, q));
	printf("the child has ended, %d messages wait\n", (int)mpx_queue_qsize(q));
	for (int i = 0; i < 2; i++) {
		if (mpx_queue_get(q, &r, sizeof r, 1.0) != sizeof r)
			die("mpx_queue_get");
		printf("sensor %ld: %.2f degrees\n", r.sensor, r.celsius);
		wrong |= r.sensor != i + 1;
	}
	if (mpx_queue_get(q, text, sizeof text, 1.0) < 0)
		die("mpx_queue_get");
	printf("\"%s\"\n", text);
	wrong |= strcmp(text, "that is all") != 0;

	/* A queue as a file descriptor, to be polled beside sockets and pipes. */
	struct pollfd fd = {.fd = mpx_queue_fileno(q), .events = POLLIN};
	if (fd.fd < 0)
		die("mpx_queue_fileno");
	int ready = poll(&fd, 1, 100);
	if (ready < 0)
		die("poll");
	if (ready > 0) {
		fprintf(stderr, "poll: readable, but nothing was put\n");
		return 1;
	}
	printf("poll: nothing within 0.1 s\n");

	mpx_process *p = start(greet, q);
	ready = poll(&fd, 1, 10000);
	if (ready < 0)
		die("poll");
	if (ready == 0) {
		fprintf(stderr, "poll: no message within 10 s\n");
		return 1;
	}
	if (mpx_queue_get(q, text, sizeof text, 0) < 0)
		die("mpx_queue_get");
	printf("poll: \"%s\"\n", text);
	wrong |= strcmp(text, "good morning") != 0;
	join(p);

	/* Once it is closed and drained, get no longer waits. */
	if (mpx_queue_close(q) != 0)
		die("mpx_queue_close");
	if (mpx_queue_get(q, text, sizeof text, MPX_FOREVER) >= 0 || errno != EPIPE)
		die("mpx_queue_get");
	printf("closed: no more messages\n");

	mpx_queue_free(q);
	return wrong;
}
