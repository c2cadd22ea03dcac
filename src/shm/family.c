/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Makes the family's mapping. Its size is a wish: 64 GiB of address space, of which
 * only what is touched costs memory, or half of that, and so on, where the system
 * (ulimit -v, valgrind, strict overcommit) refuses. After a refusal one more half is
 * given up, so that the program keeps room for itself.
 */
#include "shm/family.h"

#include "base/log.h"
#include "base/private.h"
#include "platform/platform.h"

#include <errno.h>
#include <stdlib.h>

_Atomic(struct mpx__family *) mpx__family_base;
int mpx__spins;

/* "512M" and the like; 0 if it is no size. */
static size_t parse_size(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	int shift = 0;

	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (end == text || *text == '-' || n > (SIZE_MAX >> shift))
		return 0;
	return (size_t)n << shift;
}

static size_t wished_size(void)
{
	const char *wish = mpx__os_getenv("MPX_HEAP_SIZE");
	size_t size = wish ? parse_size(wish) : 0;

	if (size == 0)
		size = mpx__os_default_reserve();
	return size < MPX__HEAP_LEAST ? MPX__HEAP_LEAST : size / MPX__PAGE * MPX__PAGE;
}

static void *map_what_is_possible(size_t *size)
{
	bool refused = false;

	for (; *size >= MPX__HEAP_LEAST; *size = *size / 2 / MPX__PAGE * MPX__PAGE) {
		void *p = mpx__os_map(*size);

		if (p && refused && *size / 2 >= MPX__HEAP_LEAST) {
			mpx__os_unmap(p, *size);
			refused = false;
		} else if (p) {
			return p;
		} else {
			refused = true;
		}
	}
	return NULL;
}

static void make_family(void)
{
	size_t size = wished_size();
	struct mpx__family *f = map_what_is_possible(&size);

	if (!f)
		return;
	if (mpx__os_life_init() != 0) {
		mpx__os_unmap(f, size);
		return;
	}
	f->size = size;
	mpx__heap_init(&f->heap, (char *)f + (sizeof *f + MPX__PAGE - 1) / MPX__PAGE * MPX__PAGE,
		       (char *)f + size);
	mpx__log_begin();
	mpx__spins = mpx__os_cpu_count() > 1 ? 200 : 0;
	mpx__family_base = f;
	mpx__self();
}

struct mpx__family *mpx__family(void)
{
	struct mpx__family *f = mpx__family_base;

	if (f)
		return f;
	mpx__private_lock();
	if (!mpx__family_base)
		make_family();
	f = mpx__family_base;
	mpx__private_unlock();
	if (!f)
		errno = ENOMEM;
	return f;
}
