/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <signal.h>
#include <time.h>

#define ROUND_SECONDS 12.0 /* then it kills no more */
#define STALL_SECONDS 1.0

static unsigned kills;
static double round_end, longest_stall, longest_delay;

static uint64_t seed_of_run(void)
{
	const char *given = getenv("MPX_SEED");
	static uint64_t seed;

	if (given)
		return strtoull(given, NULL, 0);
	if (!seed)
		seed = ((uint64_t)(now() * 1e6) ^ (uint64_t)getpid() << 40) % 1000000000;
	return seed;
}

static unsigned rounds(void)
{
	const char *form = getenv("MPX_FAULT_LONG");

	return form && strcmp(form, "1") == 0 ? 100 : 1;
}

void storm_run(const char *what, void (*round)(uint64_t *seed))
{
	unsigned n = rounds();

	kills = 0;
	longest_stall = longest_delay = 0;
	fprintf(stderr, "%s: MPX_SEED=%llu\n", what, (unsigned long long)seed_of_run());
	for (unsigned i = 0; i < n; i++) {
		uint64_t seed = seed_of_run() + i;

		if (n > 1)
			alarm(90); /* the harness's limit, for each round */
		round_end = now() + ROUND_SECONDS;
		round(&seed);
		if (isatty(2))
			fprintf(stderr, "\r%s: round %u of %u, %u kills ", what, i + 1, n, kills);
	}
	fprintf(stderr, "%s%s: %u kills, longest stall %.0f ms (the machine alone: %.0f ms)\n",
		isatty(2) ? "\r" : "", what, kills, longest_stall * 1e3, longest_delay * 1e3);
}

void storm_pause(uint64_t *seed)
{
	struct timespec t = {0, (long)(next_random(seed) % 2000000)};
	double begin = now(), delay;

	nanosleep(&t, NULL);
	delay = now() - begin - (double)t.tv_nsec / 1e9;
	if (delay > longest_delay)
		longest_delay = delay;
}

unsigned storm_victim(uint64_t *seed, const pid_t *pids, unsigned n)
{
	uint64_t r = next_random(seed);
	unsigned first = (unsigned)((r >> 32) % n);

	for (unsigned i = 0; r % 4 && i < n; i++)
		if (!asleep(pids[(first + i) % n]))
			return (first + i) % n;
	return first;
}

bool storm_late(void)
{
	return now() >= round_end;
}

int storm_kill(mpx_process *p)
{
	int code;

	assert_ok(mpx_process_kill(p));
	code = ends(p);
	if (code == -SIGKILL)
		kills++;
	return code;
}

void storm_count_kills(unsigned n)
{
	kills += n;
}

void storm_stall(double seconds)
{
	if (seconds > longest_stall)
		longest_stall = seconds;
	/* A stall may be a chain of a few delays: who is woken wakes the next one. */
	if (seconds > STALL_SECONDS + 8 * longest_delay)
		fail_msg("nothing was done for %g seconds", seconds);
}

void storm_heap_has(size_t blocks)
{
	double end = now() + 5;

	while (heap_blocks() != blocks && now() < end)
		nap();
	assert_int_equal(heap_blocks(), blocks);
}

void storm_tick_took(struct storm_ticks *t, double seconds)
{
	uint64_t took = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
	uint64_t most = atomic_load(&t->longest);

	while (took > most && !atomic_compare_exchange_weak(&t->longest, &most, took))
		;
}

void storm_tick(struct storm_ticks *t)
{
	uint64_t time = (uint64_t)(now() * 1e9), last = atomic_exchange(&t->last, time);

	if (last && time > last)
		storm_tick_took(t, (double)(time - last) / 1e9);
}

void storm_ticks_end(struct storm_ticks *t)
{
	storm_stall((double)atomic_load(&t->longest) / 1e9);
}
