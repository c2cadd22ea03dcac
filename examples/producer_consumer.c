/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * producer_consumer.c - several producers and consumers of one queue. In Python:
 *
 *     def producer(q, begin, end):
 *         for n in range(begin, end):
 *             q.put(n)
 *
 *     def consumer(q, primes):
 *         while True:
 *             n = q.get()
 *             if is_prime(n):
 *                 with primes.get_lock():
 *                     primes.value += 1
 *             q.task_done()
 *
 *     q = JoinableQueue(1000)
 *     primes = Value('q', 0)
 *     consumers = [Process(target=consumer, args=(q, primes), daemon=True) ...]
 *     producers = [Process(target=producer, args=(q, begin, end)) ...]
 *     for p in producers: p.join()
 *     q.join()                     # everything that was put has been dealt with
 *     print(primes.value)
 *
 * Here many numbers are put and got at once, and the consumers end when the queue is
 * closed. If one is killed with numbers in its hands, join says so; Python's would
 * wait for ever.
 *
 * Run it without arguments: ./producer_consumer. It prints:
 *
 *     a consumer was killed: Owner died
 *     2 producers, 3 consumers: 17984 primes below 200000
 *     2 producers, 3 consumers: 17984 primes below 200000
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PRODUCERS = 2, CONSUMERS = 3, BATCH = 100, END = 200000, PRIMES = 17984 };

/* What they all use: in the family's heap. */
struct job {
	mpx_queue *numbers, *taken;
	atomic_long primes;
};

struct part {
	struct job *job;
	int begin, end;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int producer(void *args)
{
	const struct part *part = args;
	int numbers[BATCH], n;

	for (int next = part->begin; next < part->end; next += n) {
		for (n = 0; n < BATCH && next + n < part->end; n++)
			numbers[n] = next + n;
		if (mpx_queue_put_many(part->job->numbers, numbers, sizeof *numbers, (size_t)n,
				       MPX_FOREVER) != n)
			return 1;
	}
	return 0;
}

static int is_prime(int n)
{
	for (int i = 2; i <= n / i; i++)
		if (n % i == 0)
			return 0;
	return n >= 2;
}

static int consumer(void *args)
{
	struct job *job = args;
	int numbers[BATCH];
	ssize_t n;

	while ((n = mpx_queue_get_many(job->numbers, numbers, sizeof *numbers, BATCH, NULL,
				       MPX_FOREVER)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			atomic_fetch_add(&job->primes, is_prime(numbers[i]));
			if (mpx_queue_task_done(job->numbers) != 0)
				return 1;
		}
	return errno != EPIPE; /* EPIPE: closed, and nothing is left */
}

/* Takes a number, says so, and never comes to an end with it. */
static int stuck(void *args)
{
	struct job *job = args;
	int number;

	if (mpx_queue_get(job->numbers, &number, sizeof number, MPX_FOREVER) < 0 ||
	    mpx_queue_put(job->taken, &number, sizeof number, MPX_FOREVER) != 0)
		return 1;
	for (;;)
		pause();
}

static mpx_process *start(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);

	if (p == NULL || mpx_process_start(p) != 0)
		die("start");
	return p;
}

static int join(mpx_process *p)
{
	int exitcode;

	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_exitcode(p, &exitcode) != 0 ||
	    mpx_process_free(p) != 0)
		die("join");
	return exitcode;
}

/* Has all numbers looked at. True if the primes among them are as many as there are. */
static int count_primes(struct job *job)
{
	mpx_process *p[PRODUCERS];
	struct part part[PRODUCERS];
	int failed = 0;

	atomic_store(&job->primes, 0);
	for (int i = 0; i < PRODUCERS; i++) {
		part[i] = (struct part){job, END / PRODUCERS * i, END / PRODUCERS * (i + 1)};
		p[i] = start(producer, &part[i]);
	}
	for (int i = 0; i < PRODUCERS; i++)
		failed |= join(p[i]);
	if (mpx_queue_join(job->numbers, MPX_FOREVER) != 0)
		die("mpx_queue_join");
	printf("%d producers, %d consumers: %ld primes below %d\n", PRODUCERS, CONSUMERS,
	       atomic_load(&job->primes), END);
	return !failed && atomic_load(&job->primes) == PRIMES;
}

int main(void)
{
	mpx_process *consumers[CONSUMERS], *victim;
	struct job *job = mpx_calloc(1, sizeof *job);
	int number = 4, wrong;

	if (job == NULL || (job->taken = mpx_queue_new()) == NULL ||
	    (job->numbers = mpx_joinable_queue_new(.maxsize = 1000)) == NULL)
		die("mpx_joinable_queue_new");

	/* One that is killed in the middle of its work: that number is gone, and join says it. */
	victim = start(stuck, job);
	if (mpx_queue_put(job->numbers, &number, sizeof number, MPX_FOREVER) != 0 ||
	    mpx_queue_get(job->taken, &number, sizeof number, MPX_FOREVER) < 0)
		die("stuck");
	if (mpx_process_kill(victim) != 0)
		die("mpx_process_kill");
	wrong = mpx_queue_join(job->numbers, MPX_FOREVER) == 0 || errno != EOWNERDEAD;
	printf("a consumer was killed: %s\n", strerror(errno));
	join(victim);

	for (int i = 0; i < CONSUMERS; i++)
		consumers[i] = start(consumer, job);
	for (int i = 0; i < 2; i++)
		wrong |= !count_primes(job);

	/* Who waits for more is told that there is no more. */
	if (mpx_queue_close(job->numbers) != 0)
		die("mpx_queue_close");
	for (int i = 0; i < CONSUMERS; i++)
		wrong |= join(consumers[i]) != 0;
	mpx_queue_free(job->numbers);
	mpx_queue_free(job->taken);
	mpx_free(job);
	return wrong;
}
