/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_shareable_list.c - mpx/shared_memory.h, ShareableList. What CPython's
 * _TestSharedMemory checks of it:
 *
 *   - all types; index out of range, get and set; len, count, index; format, and that a
 *     set of the same type keeps it; values in their order; modifying, also the type;
 *     text that is too long, text that just fits, and no spillage
 *   - a duplicate under another name; a second handle; an empty list
 *   - a list whose memory is gone cannot be attached to
 *   - not: repr, pickling, negative indexes
 *
 * And besides:
 *
 *   - byte for byte what Python makes of the same items, and reads; Python's sets are
 *     seen here, and those made here by Python
 *   - numbers compare as in Python; NUL bytes at the end are lost; UTF-8 only
 *   - segments that are no lists, of every kind, and lists with any byte damaged, also
 *     while they are in use: an errno, nothing outside is touched
 *   - killed while it sets: old, None, or new
 *   - fork, closed lists, bad pointers
 *
 * Seen to fail (each taken away in a copy): the contents before the name, None before a
 * text, each bound in src/shm/list_layout.c, the room of a text, surrogates and long forms
 * in UTF-8, exact comparison; a slot without the spare byte, bool at another place.
 */
#ifdef __linux__
#define _GNU_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif
#include "dev_shm.h"
#include "family.h"
#include "python.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const char *own(const char *what)
{
	static char name[64];
	snprintf(name, sizeof name, "mpx_test_%s_%d", what, (int)getpid());
	return name;
}

static mpx_shareable_list *create(const mpx_shareable_item *items, size_t n, const char *name)
{
	mpx_shareable_list *l = mpx_shareable_list_create(items, n, name);
	if (!l)
		fail_msg("create of %zu items: %s", n, strerror(errno));
	return l;
}

static mpx_shareable_list *attach(const char *name)
{
	mpx_shareable_list *l = mpx_shareable_list_open(name);
	if (!l)
		fail_msg("open(%s): %s", name, strerror(errno));
	return l;
}

static void done(mpx_shareable_list *l)
{
	assert_ok(mpx_shareable_list_unlink(l));
	mpx_shareable_list_free(l);
}

/* ['howdy', b'HoWdY', -273.154, 100, None, True, 42] */
enum { HOWDY = 7 };
static mpx_shareable_list *howdy(const char *name)
{
	const mpx_shareable_item items[HOWDY] = {
		mpx_shareable_str("howdy"),	mpx_shareable_bytes("HoWdY", 5),
		mpx_shareable_double(-273.154), mpx_shareable_int(100),
		mpx_shareable_none(),		mpx_shareable_bool(true),
		mpx_shareable_int(42),
	};
	return create(items, HOWDY, name);
}

static void assert_int(const mpx_shareable_list *l, size_t i, int64_t expected)
{
	int64_t x = 0;
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_INT);
	assert_ok(mpx_shareable_list_get_int(l, i, &x));
	assert_true(x == expected);
}

static void assert_double(const mpx_shareable_list *l, size_t i, double expected)
{
	double x = 0;
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_DOUBLE);
	assert_ok(mpx_shareable_list_get_double(l, i, &x));
	assert_memory_equal(&x, &expected, sizeof x);
}

static void assert_bool(const mpx_shareable_list *l, size_t i, bool expected)
{
	bool x = !expected;
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_BOOL);
	assert_ok(mpx_shareable_list_get_bool(l, i, &x));
	assert_int_equal(x, expected);
}

static void assert_none(const mpx_shareable_list *l, size_t i)
{
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_NONE);
}

static void assert_str(const mpx_shareable_list *l, size_t i, const char *expected)
{
	char text[256];
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_STR);
	assert_int_equal(mpx_shareable_list_get_str(l, i, text, sizeof text), strlen(expected));
	assert_string_equal(text, expected);
	assert_int_equal(mpx_shareable_list_get_str(l, i, text, strlen(expected) + 1),
			 strlen(expected));
	assert_fails(mpx_shareable_list_get_str(l, i, text, strlen(expected)), EMSGSIZE);
}

static void assert_bytes(const mpx_shareable_list *l, size_t i, const void *expected, size_t size)
{
	char bytes[256];
	assert_int_equal(mpx_shareable_list_type(l, i), MPX_SHAREABLE_BYTES);
	assert_int_equal(mpx_shareable_list_get_bytes(l, i, bytes, size), size);
	assert_memory_equal(bytes, expected, size);
	if (size)
		assert_fails(mpx_shareable_list_get_bytes(l, i, bytes, size - 1), EMSGSIZE);
}

static void assert_format(const mpx_shareable_list *l, const char *expected)
{
	char text[256];
	assert_int_equal(mpx_shareable_list_format(l, text, sizeof text), strlen(expected));
	assert_string_equal(text, expected);
	assert_ok(mpx_shareable_list_format(l, text, strlen(expected) + 1));
	assert_fails(mpx_shareable_list_format(l, text, strlen(expected)), EMSGSIZE);
}

/* ---- what Python's own tests check --------------------------------------- */

static void test_basics(void **state)
{
	(void)state;
	mpx_shareable_list *l = howdy(NULL);
	assert_fails(mpx_shareable_list_type(l, 7), ERANGE);
	assert_fails(mpx_shareable_list_room(l, 7), ERANGE);
	assert_fails(mpx_shareable_list_get_int(l, 7, &(int64_t){0}), ERANGE);
	assert_fails(mpx_shareable_list_set_int(l, 7, 2), ERANGE);
	assert_fails(mpx_shareable_list_set_int(l, SIZE_MAX, 2), ERANGE);
	assert_format(l, "8s8sdqxxxxxx?xxxxxxxx?q");
	assert_ok(mpx_shareable_list_set_str(l, 0, "howdy"));
	assert_format(l, "8s8sdqxxxxxx?xxxxxxxx?q");
	assert_int_equal(mpx_shareable_list_len(l), 7);
	assert_fails(mpx_shareable_list_index(l, mpx_shareable_str("100")), ENOENT);
	assert_int_equal(mpx_shareable_list_index(l, mpx_shareable_int(100)), 3);

	assert_str(l, 0, "howdy");
	assert_bytes(l, 1, "HoWdY", 5);
	assert_double(l, 2, -273.154);
	assert_int(l, 3, 100);
	assert_none(l, 4);
	assert_bool(l, 5, true);
	assert_int(l, 6, 42);

	assert_ok(mpx_shareable_list_set_int(l, 3, 42));
	assert_int(l, 3, 42);
	assert_ok(mpx_shareable_list_set_str(l, 4, "some"));
	assert_str(l, 4, "some");
	assert_format(l, "8s8sdq8sxxxxxxx?q");
	assert_fails(mpx_shareable_list_set_str(l, 4, "far too many"), EMSGSIZE);
	assert_str(l, 4, "some");
	assert_ok(mpx_shareable_list_set_str(l, 0, "encod\xc3\xa9s")); /* just 8 bytes */
	assert_str(l, 0, "encod\xc3\xa9s");
	assert_bytes(l, 1, "HoWdY", 5);
	assert_fails(mpx_shareable_list_set_str(l, 0,
						"encod\xc3\xa9"
						"es"),
		     EMSGSIZE);
	assert_bytes(l, 1, "HoWdY", 5);
	assert_fails(mpx_shareable_list_set_bytes(l, 1, "123456789", 9), EMSGSIZE);
	assert_bytes(l, 1, "HoWdY", 5);

	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_int(42)), 2);
	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_bytes("HoWdY", 5)), 1);
	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_bytes("adios", 5)), 0);
	done(l);
}

static void test_second_handle(void **state)
{
	(void)state;
	mpx_shareable_list *l = howdy(NULL), *copy = howdy(own("duplicate"));
	assert_string_not_equal(mpx_shareable_list_name(l), mpx_shareable_list_name(copy));
	assert_string_equal(mpx_shareable_list_name(copy), own("duplicate"));
	assert_ok(mpx_shareable_list_set_int(copy, 6, 77));
	assert_int(copy, 6, 77);
	assert_int(l, 6, 42);
	assert_nothing(mpx_shareable_list_create(NULL, 0, own("duplicate")), EEXIST);
	done(copy);

	mpx_shareable_list *tethered = attach(mpx_shareable_list_name(l));
	assert_string_equal(mpx_shareable_list_name(l), mpx_shareable_list_name(tethered));
	assert_string_equal(mpx_shared_memory_name(mpx_shareable_list_shm(l)),
			    mpx_shareable_list_name(l));
	assert_ok(mpx_shareable_list_set_int(tethered, 6, 880));
	assert_int(l, 6, 880);
	mpx_shareable_list_free(tethered);
	assert_int(l, 6, 880);
	char name[32];
	snprintf(name, sizeof name, "%s", mpx_shareable_list_name(l));
	assert_ok(mpx_shareable_list_unlink(l));
	assert_nothing(mpx_shareable_list_open(name), ENOENT);
	assert_fails(mpx_shareable_list_unlink(l), ENOENT);
	mpx_shareable_list_free(l);
	assert_nothing(mpx_shareable_list_open(NULL), EINVAL);
}

static void test_empty(void **state)
{
	(void)state;
	mpx_shareable_list *l = create(NULL, 0, NULL), *m = attach(mpx_shareable_list_name(l));
	assert_int_equal(mpx_shareable_list_len(l), 0);
	assert_int_equal(mpx_shareable_list_len(m), 0);
	assert_format(m, "");
	assert_fails(mpx_shareable_list_format(m, (char[1]){0}, 0), EMSGSIZE);
	assert_int_equal(mpx_shareable_list_count(m, mpx_shareable_str("any")), 0);
	assert_fails(mpx_shareable_list_index(m, mpx_shareable_none()), ENOENT);
	assert_fails(mpx_shareable_list_type(m, 0), ERANGE);
	mpx_shareable_list_free(m);
	done(l);
}

/* ---- values ------------------------------------------------------------ */

static void test_numbers(void **state)
{
	(void)state;
	static const int64_t ints[] = {0, 1, -1, INT64_MIN, INT64_MAX, 1 << 30};
	static const double reals[] = {0.0, -0.0, 1e308, 5e-324, INFINITY, -INFINITY, NAN};
	mpx_shareable_item none = mpx_shareable_none();
	mpx_shareable_list *l = create(&none, 1, NULL);
	for (size_t i = 0; i < LENGTH(ints); i++) {
		assert_ok(mpx_shareable_list_set_int(l, 0, ints[i]));
		assert_int(l, 0, ints[i]);
	}
	for (size_t i = 0; i < LENGTH(reals); i++) {
		assert_ok(mpx_shareable_list_set_double(l, 0, reals[i]));
		assert_double(l, 0, reals[i]);
	}
	for (int i = 0; i < 2; i++) {
		assert_ok(mpx_shareable_list_set_bool(l, 0, i));
		assert_bool(l, 0, i);
	}
	assert_ok(mpx_shareable_list_set_none(l, 0));
	assert_none(l, 0);
	done(l);
}

/* From each type to each, in slots of 8 and of 24 bytes. */
static void test_every_change_of_type(void **state)
{
	(void)state;
	const mpx_shareable_item items[] = {
		mpx_shareable_none(),	     mpx_shareable_int(-5),  mpx_shareable_double(0.5),
		mpx_shareable_bool(true),    mpx_shareable_str("s"), mpx_shareable_bytes("b", 1),
		mpx_shareable_bytes(NULL, 0)};
	const mpx_shareable_item two[] = {mpx_shareable_int(0),
					  mpx_shareable_bytes("0123456789012345", 16)};
	mpx_shareable_list *l = create(two, 2, NULL), *m = attach(mpx_shareable_list_name(l));
	assert_int_equal(mpx_shareable_list_room(m, 0), 8);
	assert_int_equal(mpx_shareable_list_room(m, 1), 24);
	for (size_t slot = 0; slot < 2; slot++) {
		for (size_t i = 0; i < LENGTH(items); i++) {
			for (size_t k = 0; k < LENGTH(items); k++) {
				assert_ok(mpx_shareable_list_set(l, slot, items[i]));
				assert_ok(mpx_shareable_list_set(l, slot, items[k]));
				assert_int_equal(mpx_shareable_list_type(m, slot), items[k].type);
				assert_int_equal(mpx_shareable_list_count(m, items[k]),
						 mpx_shareable_list_index(m, items[k]) == 0 &&
								 slot == 1
							 ? 2
							 : 1);
			}
		}
		/* and then, all others are refused */
		assert_ok(mpx_shareable_list_set_none(l, slot));
		assert_fails(mpx_shareable_list_get_int(m, slot, &(int64_t){0}), EINVAL);
		assert_fails(mpx_shareable_list_get_double(m, slot, &(double){0}), EINVAL);
		assert_fails(mpx_shareable_list_get_bool(m, slot, &(bool){0}), EINVAL);
		assert_fails(mpx_shareable_list_get_str(m, slot, (char[9]){0}, 9), EINVAL);
		assert_fails(mpx_shareable_list_get_bytes(m, slot, (char[9]){0}, 9), EINVAL);
		assert_ok(mpx_shareable_list_set_bool(l, slot, true));
		assert_fails(mpx_shareable_list_get_int(m, slot, &(int64_t){0}), EINVAL);
	}
	mpx_shareable_list_free(m);
	done(l);
}

static void test_text(void **state)
{
	(void)state;
	char text[40];
	for (size_t size = 0; size <= 33; size++) {
		memset(text, 'a', sizeof text);
		mpx_shareable_item items[] = {mpx_shareable_bytes(text, size), {0}};
		text[size] = '\0';
		items[1] = mpx_shareable_str(text);
		mpx_shareable_list *l = create(items, 2, NULL);
		size_t room = (size / 8 + 1) * 8; /* as Python has it */
		assert_int_equal(mpx_shareable_list_room(l, 0), room);
		assert_int_equal(mpx_shareable_list_room(l, 1), room);
		assert_bytes(l, 0, text, size);
		assert_str(l, 1, text);
		memset(text, 'z', sizeof text);
		assert_ok(mpx_shareable_list_set_bytes(l, 0, text, room));
		assert_bytes(l, 0, text, room);
		assert_fails(mpx_shareable_list_set_bytes(l, 0, text, room + 1), EMSGSIZE);
		assert_ok(mpx_shareable_list_set_bytes(l, 0, "x\0y\0\0", 5)); /* as in Python */
		assert_bytes(l, 0, "x\0y", 3);
		assert_ok(mpx_shareable_list_set_bytes(l, 0, NULL, 0));
		assert_bytes(l, 0, "", 0);
		done(l);
	}
	/* A format has 8 characters. */
	char *large = calloc(1, 10000000);
	assert_non_null(large);
	mpx_shareable_item item = mpx_shareable_bytes(large, 9999992);
	assert_nothing(mpx_shareable_list_create(&item, 1, own("large")), EMSGSIZE);
	item.size--;
	memset(large, 'l', 9999991);
	mpx_shareable_list *l = create(&item, 1, own("large"));
	assert_format(l, "9999992s");
	assert_int_equal(mpx_shareable_list_index(l, item), 0);
	free(large);
	done(l);
}

static void test_utf8(void **state)
{
	(void)state;
	static const char *const good[] = {"",
					   "\x7f",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf",
					   "a\xe2\x82\xac."};
	static const char *const bad[] = {"\x80",
					  "\xbf",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xc2",
					  "\xc2\x41",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xed\xbf\xbf",
					  "\xe2\x82",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5",
					  "\xf8\x88\x80",
					  "\xff",
					  "ab\xf0\x9f\x98"};
	mpx_shareable_item item = mpx_shareable_str("12345678");
	mpx_shareable_list *l = create(&item, 1, NULL);
	for (size_t i = 0; i < LENGTH(good); i++) {
		assert_ok(mpx_shareable_list_set_str(l, 0, good[i]));
		assert_str(l, 0, good[i]);
	}
	unsigned char *p = mpx_shared_memory_buf(mpx_shareable_list_shm(l));
	for (size_t i = 0; i < LENGTH(bad); i++) {
		char buf[17];
		assert_fails(mpx_shareable_list_set_str(l, 0, bad[i]), EILSEQ);
		item = mpx_shareable_str(bad[i]);
		assert_nothing(mpx_shareable_list_create(&item, 1, own("bad")), EILSEQ);
		assert_fails(mpx_shareable_list_count(l, item), EILSEQ);
		assert_ok(mpx_shareable_list_set_bytes(l, 0, bad[i], strlen(bad[i])));
		p[mpx_shared_memory_size(mpx_shareable_list_shm(l)) - 1] = 1; /* a str! */
		assert_int_equal(mpx_shareable_list_type(l, 0), MPX_SHAREABLE_STR);
		assert_fails(mpx_shareable_list_get_str(l, 0, buf, sizeof buf), EILSEQ);
	}
	done(l);
}

static void test_equality(void **state)
{
	(void)state;
	const mpx_shareable_item items[] = {
		mpx_shareable_int(1),
		mpx_shareable_double(1.0),
		mpx_shareable_bool(true),
		mpx_shareable_str("1"),
		mpx_shareable_bytes("1", 1),
		mpx_shareable_none(),
		mpx_shareable_int((INT64_C(1) << 53) + 1),
		mpx_shareable_double(0x1p53),
		mpx_shareable_double(NAN),
		mpx_shareable_double(INFINITY),
		mpx_shareable_int(INT64_MAX),
		mpx_shareable_int(INT64_MIN),
		mpx_shareable_double(-0.0),
		mpx_shareable_bool(false),
	};
	/* the first that is equal, and how many are; as Python says */
	static const int expected[][2] = {{0, 3},  {0, 3},  {0, 3},  {3, 1}, {4, 1},
					  {5, 1},  {6, 1},  {7, 1},  {0, 0}, {9, 1},
					  {10, 1}, {11, 1}, {12, 2}, {12, 2}};
	mpx_shareable_list *l = create(items, LENGTH(items), NULL);
	for (size_t i = 0; i < LENGTH(items); i++) {
		assert_int_equal(mpx_shareable_list_count(l, items[i]), expected[i][1]);
		if (expected[i][1])
			assert_int_equal(mpx_shareable_list_index(l, items[i]), expected[i][0]);
		else
			assert_fails(mpx_shareable_list_index(l, items[i]), ENOENT);
	}
	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_double(0x1p63)), 0);
	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_double(-0x1p63)), 1);
	assert_int_equal(mpx_shareable_list_count(l, mpx_shareable_double(1.5)), 0);
	done(l);
}

/* ---- wrong arguments --------------------------------------------------- */

static void test_wrong_items(void **state)
{
	(void)state;
	mpx_shareable_item bad[] = {mpx_shareable_none(), mpx_shareable_none(),
				    mpx_shareable_str(NULL), mpx_shareable_bytes(NULL, 1)};
	bad[0].type = (mpx_shareable_type)6;
	bad[1].type = (mpx_shareable_type)-1;
	mpx_shareable_list *l = howdy(NULL);
	for (size_t i = 0; i < LENGTH(bad); i++) {
		assert_nothing(mpx_shareable_list_create(&bad[i], 1, own("wrong")), EINVAL);
		assert_fails(mpx_shareable_list_set(l, 0, bad[i]), EINVAL);
		assert_fails(mpx_shareable_list_count(l, bad[i]), EINVAL);
		assert_fails(mpx_shareable_list_index(l, bad[i]), EINVAL);
	}
	assert_nothing(mpx_shareable_list_create(NULL, 1, own("wrong")), EINVAL);
	mpx_shareable_item one = mpx_shareable_int(1);
	assert_nothing(mpx_shareable_list_create(&one, 1, "a/b"), EINVAL);
	assert_fails(mpx_shareable_list_get_int(l, 3, NULL), EINVAL);
	assert_fails(mpx_shareable_list_get_double(l, 2, NULL), EINVAL);
	assert_fails(mpx_shareable_list_get_bool(l, 5, NULL), EINVAL);
	assert_fails(mpx_shareable_list_get_str(l, 0, NULL, 100), EINVAL);
	assert_fails(mpx_shareable_list_get_bytes(l, 1, NULL, 100), EINVAL);
	assert_fails(mpx_shareable_list_format(l, NULL, 100), EINVAL);
	assert_str(l, 0, "howdy");
	done(l);
}

static void check_unusable(mpx_shareable_list *l, int error)
{
	assert_fails(mpx_shareable_list_type(l, 0), error);
	assert_fails(mpx_shareable_list_room(l, 0), error);
	assert_fails(mpx_shareable_list_get_int(l, 0, &(int64_t){0}), error);
	assert_fails(mpx_shareable_list_get_double(l, 0, &(double){0}), error);
	assert_fails(mpx_shareable_list_get_bool(l, 0, &(bool){0}), error);
	assert_fails(mpx_shareable_list_get_str(l, 0, (char[9]){0}, 9), error);
	assert_fails(mpx_shareable_list_get_bytes(l, 0, (char[9]){0}, 9), error);
	assert_fails(mpx_shareable_list_set_int(l, 0, 1), error);
	assert_fails(mpx_shareable_list_count(l, mpx_shareable_int(1)), error);
	assert_fails(mpx_shareable_list_index(l, mpx_shareable_int(1)), error);
	assert_fails(mpx_shareable_list_format(l, (char[99]){0}, 99), error);
}

static void check_bad_pointer(void *p)
{
	check_unusable(p, EINVAL);
	assert_nothing(mpx_shareable_list_len(p), EINVAL);
	assert_nothing(mpx_shareable_list_shm(p), EINVAL);
	assert_nothing(mpx_shareable_list_name(p), EINVAL);
	assert_fails(mpx_shareable_list_close(p), EINVAL);
	assert_fails(mpx_shareable_list_unlink(p), EINVAL);
	errno = 0;
	mpx_shareable_list_free(p);
	assert_int_equal(errno, p ? EINVAL : 0);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_shareable_list *l = howdy(NULL), *freed = attach(mpx_shareable_list_name(l));
	bad_pointers_make(&bad, l);
	for (size_t i = 0; i < bad.n; i++)
		check_bad_pointer(bad.p[i]);
	bad_pointers_done(&bad);
	check_bad_pointer(mpx_shareable_list_shm(l));
	mpx_shareable_list_free(freed);
	check_bad_pointer(freed);
	done(l);
}

static void test_closed(void **state)
{
	(void)state;
	mpx_shareable_list *l = howdy(NULL);
	assert_ok(mpx_shareable_list_close(l));
	assert_ok(mpx_shareable_list_close(l));
	check_unusable(l, EPIPE);
	assert_int_equal(mpx_shareable_list_len(l), 7);
	done(l);
	/* By way of its segment, as in Python; and its segment's handle, freed by mistake. */
	l = howdy(NULL);
	assert_ok(mpx_shared_memory_close(mpx_shareable_list_shm(l)));
	check_unusable(l, EPIPE);
	assert_ok(mpx_shared_memory_unlink(mpx_shareable_list_shm(l)));
	mpx_shared_memory_free(mpx_shareable_list_shm(l));
	check_unusable(l, EINVAL);
	mpx_shareable_list_free(l);
}

/* ---- across processes -------------------------------------------------- */

static int change_in_child(void *arg)
{
	mpx_shareable_list *l = mpx_shareable_list_open(arg);
	child_check(l && mpx_shareable_list_set_str(l, 4, "changed") == 0);
	mpx_shareable_list_free(l);
	return 0;
}

static int change_inherited(void *arg)
{
	child_check(mpx_shareable_list_set_str(arg, 3, "newvalue") == 0);
	mpx_shareable_list_free(arg);
	return 0;
}

static void test_across_processes(void **state)
{
	(void)state;
	mpx_shareable_list *l = howdy(NULL);
	char name[32];
	snprintf(name, sizeof name, "%s", mpx_shareable_list_name(l));
	assert_int_equal(run_child(change_in_child, name), 0);
	assert_str(l, 4, "changed");
	ends_well(start(change_inherited, l));
	assert_str(l, 3, "newvalue");
	done(l);
}

enum { KILLS = 100, TEXT = 20000 };

static int set_for_ever(void *arg)
{
	static char a[TEXT], b[TEXT];
	memset(a, 'a', TEXT);
	memset(b, 'b', TEXT);
	for (;;) {
		child_check(mpx_shareable_list_set_bytes(arg, 0, a, TEXT) == 0);
		child_check(mpx_shareable_list_set_bool(arg, 1, true) == 0);
		child_check(mpx_shareable_list_set_bytes(arg, 0, b, TEXT) == 0);
		child_check(mpx_shareable_list_set_int(arg, 1, INT64_C(0x0101010101010101)) == 0);
		child_check(mpx_shareable_list_set_bytes(arg, 0, a, TEXT) == 0);
		child_check(mpx_shareable_list_set_double(arg, 1, 0.125) == 0);
	}
	return 0;
}

/* What stands there is one of the values, or None. Is it? */
static bool whole(const mpx_shareable_list *l)
{
	static char text[TEXT + 1];
	int64_t i = 0;
	double d = 0;
	bool b = false;
	switch (mpx_shareable_list_type(l, 1)) {
	case MPX_SHAREABLE_NONE:
		break;
	case MPX_SHAREABLE_INT:
		assert_ok(mpx_shareable_list_get_int(l, 1, &i));
		assert_true(i == INT64_C(0x0101010101010101));
		break;
	case MPX_SHAREABLE_DOUBLE:
		assert_ok(mpx_shareable_list_get_double(l, 1, &d));
		assert_true(d == 0.125);
		break;
	case MPX_SHAREABLE_BOOL:
		assert_ok(mpx_shareable_list_get_bool(l, 1, &b));
		assert_true(b);
		break;
	default:
		fail_msg("%s", strerror(errno));
	}
	if (mpx_shareable_list_type(l, 0) == MPX_SHAREABLE_NONE)
		return false;
	assert_int_equal(mpx_shareable_list_get_bytes(l, 0, text, TEXT), TEXT);
	assert_true(text[0] == 'a' || text[0] == 'b');
	assert_memory_equal(text, text + 1, TEXT - 1);
	return true;
}

static void test_killed_while_setting(void **state)
{
	(void)state;
	static char text[TEXT];
	uint64_t seed = 2026;
	int torn = 0;
	memset(text, 'a', TEXT);
	mpx_shareable_item items[] = {mpx_shareable_bytes(text, TEXT), mpx_shareable_none()};
	mpx_shareable_list *l = create(items, 2, NULL);
	for (int k = 0; k < KILLS; k++) {
		assert_ok(mpx_shareable_list_set_none(l, 1));
		pid_t pid = fork_child(set_for_ever, l);
		assert_soon(mpx_shareable_list_type(l, 1) > MPX_SHAREABLE_NONE);
		for (uint64_t spin = next_random(&seed) % 20000; spin; spin--)
			atomic_thread_fence(memory_order_seq_cst);
		kill(pid, SIGKILL);
		assert_int_equal(wait_child(pid), -SIGKILL);
		torn += !whole(l);
	}
	print_message("%d of %d left None\n", torn, KILLS);
	done(l);
}

/* ---- what is no list ------------------------------------------------------ */

static mpx_shared_memory *segment(const char *name, const void *contents, size_t size)
{
	mpx_shared_memory *m = mpx_shared_memory_create(name, size);
	assert_non_null(m);
	memcpy(mpx_shared_memory_buf(m), contents, size);
	return m;
}

static void assert_no_list(const void *contents, size_t size)
{
	mpx_shared_memory *m = segment(NULL, contents, size);
	assert_nothing(mpx_shareable_list_open(mpx_shared_memory_name(m)), EBADMSG);
	assert_ok(mpx_shared_memory_unlink(m));
	mpx_shared_memory_free(m);
}

static void test_foreign_segments(void **state)
{
	(void)state;
	static const uint64_t words[][8] = {
		{1},				   /* offsets that do not grow */
		{1, 8, 'q'},			   /* the layout of Python 3.8 */
		{0, 8},				   /* empty, but not from 0 on */
		{1, 0, 4, 0, 'q'},		   /* not whole words */
		{1, 0, 1000, 0, 'q'},		   /* beyond the end */
		{1, 0, UINT64_MAX - 7, 0, 'q'},	   /* far beyond */
		{2, 0, 16, 8, 0, 0, 'q', 'q'},	   /* backwards */
		{UINT64_MAX, 0, 8, 0, 'q'},	   /* -1 items */
		{UINT64_C(1) << 60, 0, 8, 0, 'q'}, /* whose size overflows */
		{1, 0, 8, 0, 'x'},		   /* no format */
		{1, 0, 8, 0, 's'},
		{1, 0, 8, 0, '9' | 's' << 8}, /* text longer than its slot */
		{1, 0, 8, 0, '0' | 's' << 8},
		{1, 0, 8, 0, 'q', 4}, /* no code */
		{1, 0, 8, 0, 'q', 255},
	};
	static const char text[] = "This is no list, but a text that somebody has left here.";
	for (size_t i = 0; i < LENGTH(words); i++)
		assert_no_list(words[i], sizeof words[i]);
	for (size_t size = 1; size < 16; size++)
		assert_no_list(words[0], size);
	assert_no_list(text, sizeof text);
	/* A list of one, cut at each byte. */
	static const uint64_t one[] = {1, 0, 8, 4711, 'q', 0};
	for (size_t size = 1; size < 41; size++)
		assert_no_list(one, size);
	mpx_shared_memory *m = segment(NULL, one, 41);
	mpx_shareable_list *l = attach(mpx_shared_memory_name(m));
	assert_int(l, 0, 4711);
	mpx_shared_memory_free(m);
	done(l);
}

/* Uses all that there is; what comes of it, does not matter. */
static void use(mpx_shareable_list *l, uint64_t *seed)
{
	static char text[5000];
	for (size_t i = 0; i < mpx_shareable_list_len(l) && i < 20; i++) {
		mpx_shareable_list_type(l, i);
		mpx_shareable_list_get_int(l, i, &(int64_t){0});
		mpx_shareable_list_get_str(l, i, text, sizeof text);
		mpx_shareable_list_get_bytes(l, i, text, sizeof text);
	}
	mpx_shareable_list_count(l, mpx_shareable_str("z"));
	mpx_shareable_list_index(l, mpx_shareable_bool(false));
	mpx_shareable_list_format(l, text, sizeof text);
	mpx_shareable_list_set_bytes(l, next_random(seed) % 8, text, next_random(seed) % 5000);
	mpx_shareable_list_set_int(l, next_random(seed) % 8, 1);
}

/* One that fills its page: what is behind it, is not there. */
static mpx_shareable_list *page_full(void)
{
	static char text[3887];
	memset(text, 't', sizeof text);
	mpx_shareable_item items[8];
	for (int i = 0; i < 7; i++)
		items[i] = mpx_shareable_int(i);
	items[7] = mpx_shareable_bytes(text, sizeof text);
	mpx_shareable_list *l = create(items, 8, NULL);
	assert_int_equal(mpx_shared_memory_size(mpx_shareable_list_shm(l)), 4096);
	return l;
}

static void test_damaged_lists(void **state)
{
	(void)state;
	uint64_t seed = 2026;
	mpx_shareable_list *l = page_full();
	unsigned char *p = mpx_shared_memory_buf(mpx_shareable_list_shm(l)), good[4096];
	size_t opened = 0, refused = 0;
	memcpy(good, p, 4096);
	for (int i = 0; i < 20000; i++) {
		memcpy(p, good, 4096);
		for (uint64_t n = 1 + next_random(&seed) % 3; n; n--) {
			/* mostly where it hurts: at the beginning, and at the end */
			size_t at = next_random(&seed) % 160;
			at = at < 80 ? at : at + 3936;
			p[at] = (unsigned char)(next_random(&seed) >> next_random(&seed) % 60);
		}
		errno = 0;
		mpx_shareable_list *m = mpx_shareable_list_open(mpx_shareable_list_name(l));
		if (!m)
			assert_int_equal(errno, EBADMSG);
		*(m ? &opened : &refused) += 1;
		if (m)
			use(m, &seed);
		mpx_shareable_list_free(m);
		use(l, &seed); /* which was opened when it was good */
	}
	assert_true(opened > 100 && refused > 100);
	done(l);
}

static int scribble(void *arg)
{
	unsigned char *p = mpx_shared_memory_buf(mpx_shareable_list_shm(arg));
	uint64_t seed = 1;
	child_check(p);
	for (;;)
		p[next_random(&seed) % 4096] = (unsigned char)next_random(&seed);
	return 0;
}

static void test_damaged_while_in_use(void **state)
{
	(void)state;
	uint64_t seed = 2026;
	mpx_shareable_list *l = page_full();
	pid_t pid = fork_child(scribble, l);
	for (int i = 0; i < 20000; i++)
		use(l, &seed);
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
	for (size_t i = 0; i < 8; i++) { /* a set mends an item */
		assert_ok(mpx_shareable_list_set_int(l, i, (int64_t)i));
		assert_int(l, i, (int64_t)i);
	}
	done(l);
}

/* ---- Python ------------------------------------------------------------ */

/* The same items, made by both: the same bytes, and each reads the other's. */
static void test_python_makes_the_same(void **state)
{
	(void)state;
	need_python();
	mpx_shareable_list *ours = howdy(NULL);
	python("l = ShareableList(['howdy', b'HoWdY', -273.154, 100, None, True, 42],"
	       "                  name=sys.argv[1])\n"
	       "keep(l)\n"
	       "m = keep(ShareableList(name=sys.argv[2]))\n"
	       "assert list(m) == list(l), m\n"
	       "assert [type(x) for x in m] == [type(x) for x in l], m\n"
	       "assert m.format == l.format\n"
	       "assert bytes(m.shm.buf) == bytes(l.shm.buf)\n",
	       own("theirs"), mpx_shareable_list_name(ours));
	mpx_shareable_list *theirs = attach(own("theirs"));
	size_t size = mpx_shared_memory_size(mpx_shareable_list_shm(ours));
	assert_int_equal(mpx_shared_memory_size(mpx_shareable_list_shm(theirs)), size);
	assert_memory_equal(mpx_shared_memory_buf(mpx_shareable_list_shm(theirs)),
			    mpx_shared_memory_buf(mpx_shareable_list_shm(ours)), size);
	assert_format(theirs, "8s8sdqxxxxxx?xxxxxxxx?q");
	assert_str(theirs, 0, "howdy");
	assert_bytes(theirs, 1, "HoWdY", 5);
	assert_double(theirs, 2, -273.154);
	assert_int(theirs, 3, 100);
	assert_none(theirs, 4);
	assert_bool(theirs, 5, true);
	assert_int(theirs, 6, 42);
	done(theirs);
	done(ours);
}

static void test_python_changes(void **state)
{
	(void)state;
	need_python();
	mpx_shareable_list *l = howdy(NULL);
	/* each type becomes another one, there */
	python("l = keep(ShareableList(name=sys.argv[1]))\n"
	       "l[0] = None\n"
	       "l[1] = 'encod\\u00e9s'\n"
	       "l[2] = -2**63\n"
	       "l[3] = 2.5\n"
	       "l[4] = False\n"
	       "l[5] = b'12345678'\n"
	       "l[6] = b'a\\0b\\0'\n",
	       mpx_shareable_list_name(l));
	assert_none(l, 0);
	assert_str(l, 1, "encod\xc3\xa9s");
	assert_int(l, 2, INT64_MIN);
	assert_double(l, 3, 2.5);
	assert_bool(l, 4, false);
	assert_bytes(l, 5, "12345678", 8);
	assert_bytes(l, 6, "a\0b", 3);
	/* and here */
	assert_ok(mpx_shareable_list_set_bool(l, 0, true));
	assert_ok(mpx_shareable_list_set_double(l, 1, -0.5));
	assert_ok(mpx_shareable_list_set_str(l, 2, "\xe2\x82\xac"));
	assert_ok(mpx_shareable_list_set_int(l, 3, INT64_MAX));
	assert_ok(mpx_shareable_list_set_bytes(l, 4, "\xff", 1));
	assert_ok(mpx_shareable_list_set_none(l, 5));
	assert_ok(mpx_shareable_list_set_str(l, 6, ""));
	python("l = keep(ShareableList(name=sys.argv[1]))\n"
	       "assert list(l) == [True, -0.5, '\\u20ac', 2**63-1, b'\\xff', None, ''], l\n"
	       "assert type(l[0]) is bool\n"
	       "assert l.format == 'xxxxxxx?d8sq8sxxxxxx?x8s', l.format\n"
	       "assert l.count('\\u20ac') == 1 and l.index(None) == 5\n",
	       mpx_shareable_list_name(l));
	done(l);
}

/* Lists of every length, with text of every length. */
static void test_python_many(void **state)
{
	(void)state;
	need_python();
	static char text[40][48];
	mpx_shareable_item items[40];
	for (int i = 0; i < 40; i++) {
		memset(text[i], 'a' + i % 26, (size_t)i);
		items[i] = i % 3 ? mpx_shareable_str(text[i])
				 : mpx_shareable_bytes(text[i], (size_t)i);
	}
	mpx_shareable_list *l = create(items, 40, NULL), *empty = create(NULL, 0, own("empty"));
	python("l = keep(ShareableList(name=sys.argv[1]))\n"
	       "x = [chr(97 + i % 26) * i for i in range(40)]\n"
	       "x = [s if i % 3 else s.encode() for i, s in enumerate(x)]\n"
	       "assert list(l) == x\n"
	       "m = keep(ShareableList(x, name=sys.argv[2]))\n"
	       "assert bytes(m.shm.buf) == bytes(l.shm.buf)\n"
	       "e = keep(ShareableList(name=sys.argv[3]))\n"
	       "assert len(e) == 0 and list(e) == []\n",
	       mpx_shareable_list_name(l), own("many"), mpx_shareable_list_name(empty));
	mpx_shareable_list *m = attach(own("many"));
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(mpx_shareable_list_index(m, items[i]), i);
	done(m);
	done(l);
	done(empty);
}

int main(void)
{
	own_dev_shm("size=50%");
	mpx_shared_memory_sweep(); /* what others have left, may not go during a test */
	const struct CMUnitTest tests[] = {
		mpx_test(test_basics),
		mpx_test(test_second_handle),
		mpx_test(test_empty),
		mpx_test(test_numbers),
		mpx_test(test_every_change_of_type),
		mpx_test(test_text),
		mpx_test(test_utf8),
		mpx_test(test_equality),
		mpx_test(test_wrong_items),
		mpx_test(test_bad_pointers),
		mpx_test(test_closed),
		mpx_test(test_across_processes),
		mpx_test(test_killed_while_setting),
		mpx_test(test_foreign_segments),
		mpx_test(test_damaged_lists),
		mpx_test(test_damaged_while_in_use),
		mpx_test(test_python_makes_the_same),
		mpx_test(test_python_changes),
		mpx_test(test_python_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
