/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of making, attaching to, and unlinking named memory, and of a set
 * in a ShareableList: a killed maker leaves at most a name that a sweep removes, under a
 * name that the user gave nothing or a complete segment, and in a list the item that was
 * set is as before, None, or as it should be.
 *
 * Seen to fail: with the name before the contents (src/shm/shared_memory.c), and with a
 * new type stored before its code is None (src/shm/list_layout.c).
 *
 * The names are in a /dev/shm of the test's own, where that can be had.
 */
#ifdef __linux__
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "dev_shm.h"
#include "step.h"

#include <dirent.h>
#include <sys/mman.h>

/* Elsewhere the name comes first. */
#ifdef MPX_TEST_PLATFORM_LINUX
#define ON_LINUX true
#else
#define ON_LINUX false
#endif

struct world {
	mpx_shared_memory *m; /* the driver's, in its private memory */
	mpx_shareable_list *l;
	char name[64];
};

enum { SIZE = 3 * 4096 + 1 };

/* Names in /dev/shm that begin so. */
static int names(const char *prefix)
{
	DIR *dir = opendir("/dev/shm");
	struct dirent *e;
	int n = 0;
	while (dir && (e = readdir(dir)))
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	if (dir)
		closedir(dir);
	return n;
}

static bool private_names;

static void make(struct world *w)
{
	snprintf(w->name, sizeof w->name, "mpx_step_%d", (int)getpid());
}

static void make_segment(struct world *w)
{
	make(w);
	w->m = mpx_shared_memory_create(w->name, SIZE);
	step_check(w->m);
}

/* --- victims ---------------------------------------------------------------------- */

static void create_auto(struct world *w)
{
	(void)w;
	mpx_shared_memory_create(NULL, SIZE);
}

static void create_and_unlink(struct world *w)
{
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, SIZE);
	(void)w;
	mpx_shared_memory_unlink(m);
	mpx_shared_memory_free(m);
}

static void create_named(struct world *w)
{
	mpx_shared_memory_create(w->name, SIZE);
}

static void create_list(struct world *w)
{
	const mpx_shareable_item items[] = {mpx_shareable_str("howdy"), mpx_shareable_int(5)};
	mpx_shareable_list_create(items, 2, w->name);
}

static void attach_and_end(struct world *w)
{
	mpx_shared_memory *m = mpx_shared_memory_open(w->name);
	mpx_shared_memory_free(m);
}

static void sweep(struct world *w)
{
	(void)w;
	mpx_shared_memory_sweep();
}

static void set_items(struct world *w)
{
	mpx_shareable_list_set_str(w->l, 0, "the new one");
	mpx_shareable_list_set_double(w->l, 1, 0.5);
	mpx_shareable_list_set_int(w->l, 2, INT64_C(0x0102030405060708));
}

/* --- survivors ------------------------------------------------------------------------- */

static void killed_auto(struct world *w)
{
	(void)w;
	int swept = mpx_shared_memory_sweep();
	step_check(swept >= 0);
	if (private_names) {
		step_check(swept <= 1);
		step_check(names("psm_") == 0);
		step_check(mpx_shared_memory_sweep() == 0);
	}
}

/* Nothing, or all of it; only plain POSIX has a name before the rest is there. */
static void killed_named(struct world *w)
{
	mpx_shared_memory *m = mpx_shared_memory_open(w->name);
	bool found = m != NULL;
	step_check(m || errno == ENOENT || (errno == EINVAL && !ON_LINUX));
	if (m)
		step_check(mpx_shared_memory_size(m) == SIZE);
	killed_auto(w);
	mpx_shared_memory_free(m);
	m = mpx_shared_memory_create(w->name, SIZE);
	step_check(m ? !found : errno == EEXIST && (found || !ON_LINUX));
	mpx_shared_memory_free(m);
	m = mpx_shared_memory_open(w->name);
	step_check(mpx_shared_memory_unlink(m) == 0 || !ON_LINUX);
	mpx_shared_memory_free(m);
}

static void killed_list(struct world *w)
{
	mpx_shareable_list *l = mpx_shareable_list_open(w->name);
	int64_t x = 0;
	step_check(l || errno == ENOENT || !ON_LINUX);
	if (l && ON_LINUX) {
		step_check(mpx_shareable_list_len(l) == 2);
		step_check(mpx_shareable_list_index(l, mpx_shareable_str("howdy")) == 0);
		step_check(mpx_shareable_list_get_int(l, 1, &x) == 0 && x == 5);
	}
	killed_auto(w);
	if (l)
		step_check(mpx_shareable_list_unlink(l) == 0);
	mpx_shareable_list_free(l);
}

/* Whoever attaches has no part in its life. */
static void killed_attached(struct world *w)
{
	killed_auto(w);
	mpx_shared_memory *m = mpx_shared_memory_open(w->name);
	step_check(m && mpx_shared_memory_size(m) == SIZE);
	mpx_shared_memory_free(m);
}

static void nothing_left(struct world *w)
{
	/* Plain POSIX: a segment without a size, which cannot be opened. */
	char path[80];
	snprintf(path, sizeof path, "/%s", w->name);
	step_check(shm_unlink(path) != 0 || !ON_LINUX);
	step_check(!private_names || names(w->name) == 0);
}

static void give_segment(struct world *w)
{
	step_check(mpx_shared_memory_unlink(w->m) == 0);
	mpx_shared_memory_free(w->m);
}

static void make_orphan(struct world *w)
{
	make_segment(w);
	step_die(create_auto, w);
}

static void make_list(struct world *w)
{
	const mpx_shareable_item items[] = {mpx_shareable_str("the old one"),
					    mpx_shareable_str("old"), mpx_shareable_int(-1)};
	make(w);
	w->l = mpx_shareable_list_create(items, 3, w->name);
	step_check(w->l);
}

static bool is_one_of(struct world *w, size_t i, mpx_shareable_item a, mpx_shareable_item b)
{
	mpx_shareable_item one[] = {a, b, mpx_shareable_none()};
	for (int k = 0; k < 3; k++)
		if (mpx_shareable_list_index(w->l, one[k]) == (ssize_t)i)
			return true;
	return false;
}

static void killed_setting(struct world *w)
{
	/* Each is looked for alone: two may be None. */
	for (size_t i = 0; i < 3; i++) {
		int type = mpx_shareable_list_type(w->l, i);
		step_check(type >= 0);
		if (type == MPX_SHAREABLE_NONE)
			continue;
		step_check(i != 0 || is_one_of(w, 0, mpx_shareable_str("the old one"),
					       mpx_shareable_str("the new one")));
		step_check(i != 1 ||
			   is_one_of(w, 1, mpx_shareable_str("old"), mpx_shareable_double(0.5)));
		step_check(i != 2 || is_one_of(w, 2, mpx_shareable_int(-1),
					       mpx_shareable_int(INT64_C(0x0102030405060708))));
	}
	/* A number that keeps its type is never None in between. */
	step_check(mpx_shareable_list_type(w->l, 2) == MPX_SHAREABLE_INT);
	set_items(w);
	step_check(mpx_shareable_list_index(w->l, mpx_shareable_str("the new one")) == 0);
	step_check(mpx_shareable_list_index(w->l, mpx_shareable_double(0.5)) == 1);
}

static void give_list(struct world *w)
{
	step_check(mpx_shareable_list_unlink(w->l) == 0);
	mpx_shareable_list_free(w->l);
}

static const struct step steps[] = {
	{"create, without a name", make, NULL, create_auto, .killed = killed_auto,
	 .after = nothing_left},
	{"create, unlink, free", make, NULL, create_and_unlink, .killed = killed_auto,
	 .after = nothing_left},
	{"create, with a name", make, NULL, create_named, .killed = killed_named,
	 .after = nothing_left},
	{"create a list", make, NULL, create_list, .killed = killed_list, .after = nothing_left},
	{"open and free", make_segment, NULL, attach_and_end, .killed = killed_attached,
	 .after = give_segment},
	{"sweep", make_orphan, NULL, sweep, .killed = killed_attached, .after = give_segment,
	 .seconds = 3},
	{"set items of a list", make_list, NULL, set_items, .killed = killed_setting,
	 .after = give_list},
};

int main(void)
{
	private_names = own_dev_shm("size=50%");
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
