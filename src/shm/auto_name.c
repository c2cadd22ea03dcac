/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/auto_name.h"
#include "platform/platform.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { DIGITS = 9, PID_BITS = 22, BIRTH_BITS = 8, SERIAL_BITS = 14, SUM_BITS = 10 };

static const char prefix[] = "psm_";
static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

_Static_assert(MPX__AUTO_SERIALS == 1 << SERIAL_BITS, "serial numbers");
_Static_assert(sizeof prefix + DIGITS == MPX__AUTO_NAME, "characters");
_Static_assert(PID_BITS + BIRTH_BITS + SERIAL_BITS + SUM_BITS == 6 * DIGITS, "bits");

static uint64_t low(uint64_t x, int bits)
{
	return x & ((UINT64_C(1) << bits) - 1);
}

/* Two processes that had the same pid differ in this, all but one pair in 255. */
static uint64_t short_birth(pid_t pid)
{
	uint64_t birth = mpx__os_process_birth(pid);

	return birth ? 1 + birth % 255 : 0;
}

static uint64_t sum(uint64_t bits)
{
	uint64_t x = bits ^ (mpx__os_process_world() * UINT64_C(0x9e3779b97f4a7c15));

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return low(x ^ (x >> 31), SUM_BITS);
}

static void write_digits(char *name, uint64_t bits)
{
	for (int i = DIGITS - 1; i >= 0; i--) {
		name[i] = alphabet[bits % 64];
		bits /= 64;
	}
	name[DIGITS] = '\0';
}

static bool read_digits(const char *name, uint64_t *bits)
{
	*bits = 0;
	for (int i = 0; i < DIGITS; i++) {
		const char *digit = name[i] ? strchr(alphabet, name[i]) : NULL;

		if (!digit)
			return false;
		*bits = *bits * 64 + (uint64_t)(digit - alphabet);
	}
	return name[DIGITS] == '\0';
}

void mpx__auto_name(char name[MPX__AUTO_NAME])
{
	/* Not from 0: an earlier process of this pid may have left some. */
	static _Atomic uint64_t serial;
	uint64_t fresh = 0, bits = (uint64_t)getpid();

	if (atomic_load(&serial) == 0)
		atomic_compare_exchange_strong(&serial, &fresh, (uint64_t)mpx__os_now() | 1);
	/* A pid that needs more bits becomes 0, which is never taken for dead. */
	bits = bits >> PID_BITS ? 0 : bits;
	bits = bits << BIRTH_BITS | short_birth(getpid());
	bits = bits << SERIAL_BITS | low(atomic_fetch_add(&serial, 1), SERIAL_BITS);
	bits = bits << SUM_BITS | sum(bits);
	strcpy(name, prefix);
	write_digits(name + sizeof prefix - 1, bits);
}

bool mpx__auto_name_orphaned(const char *name)
{
	uint64_t bits, birth, now;
	pid_t pid;

	if (strncmp(name, prefix, sizeof prefix - 1) != 0 ||
	    !read_digits(name + sizeof prefix - 1, &bits) ||
	    low(bits, SUM_BITS) != sum(bits >> SUM_BITS))
		return false;
	birth = low(bits >> (SUM_BITS + SERIAL_BITS), BIRTH_BITS);
	pid = (pid_t)(bits >> (SUM_BITS + SERIAL_BITS + BIRTH_BITS));
	if (pid == 0)
		return false;
	if (mpx__os_process_gone(pid))
		return true;
	now = short_birth(pid);
	return birth && now && birth != now;
}
