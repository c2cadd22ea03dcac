/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_shared_memory.c - bad arguments for mpx/shared_memory.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

static void rows_of_segment(void *x)
{
	NO_POINTER(mpx_shared_memory_buf, (x), EINVAL);
	NOTHING(mpx_shared_memory_size, (x));
	NO_POINTER(mpx_shared_memory_name, (x), EINVAL);
	FAILS(mpx_shared_memory_close, (x));
	FAILS(mpx_shared_memory_unlink, (x));
	ROW_VOID(mpx_shared_memory_free, (x), x ? EINVAL : 0);
}

static void rows_of_list(void *x)
{
	const mpx_shareable_item one = mpx_shareable_int(1);
	char text[64];
	int64_t i;
	double d;
	bool b;

	NOTHING(mpx_shareable_list_len, (x));
	FAILS(mpx_shareable_list_type, (x, 0));
	FAILS(mpx_shareable_list_room, (x, 0));
	FAILS(mpx_shareable_list_get_int, (x, 0, &i));
	FAILS(mpx_shareable_list_get_double, (x, 0, &d));
	FAILS(mpx_shareable_list_get_bool, (x, 0, &b));
	FAILS(mpx_shareable_list_get_str, (x, 0, text, sizeof text));
	FAILS(mpx_shareable_list_get_bytes, (x, 0, text, sizeof text));
	FAILS(mpx_shareable_list_set, (x, 0, one));
	FAILS(mpx_shareable_list_count, (x, one));
	FAILS(mpx_shareable_list_index, (x, one));
	FAILS(mpx_shareable_list_format, (x, text, sizeof text));
	NO_POINTER(mpx_shareable_list_shm, (x), EINVAL);
	NO_POINTER(mpx_shareable_list_name, (x), EINVAL);
	FAILS(mpx_shareable_list_close, (x));
	FAILS(mpx_shareable_list_unlink, (x));
	ROW_VOID(mpx_shareable_list_free, (x), x ? EINVAL : 0);
}

static const struct arguments_kind kinds[] = {
	{"mpx_shared_memory", rows_of_segment},
	{"mpx_shareable_list", rows_of_list},
	{0},
};

static void rows_of_names(const char *longest)
{
	NO_POINTER(mpx_shared_memory_create, (NULL, 0), EINVAL);
	NO_POINTER(mpx_shared_memory_create, ("", 8), EINVAL);
	NO_POINTER(mpx_shared_memory_create, ("/", 8), EINVAL);
	NO_POINTER(mpx_shared_memory_create, ("a/b", 8), EINVAL);
	NO_POINTER(mpx_shared_memory_create, ("..", 8), EINVAL);
	NO_POINTER(mpx_shared_memory_create, (longest, 8), ENAMETOOLONG);
	NO_POINTER(mpx_shared_memory_open, (NULL), EINVAL);
	NO_POINTER(mpx_shared_memory_open, (""), EINVAL);
	NO_POINTER(mpx_shared_memory_open, ("//a"), EINVAL);
	NO_POINTER(mpx_shared_memory_open, (longest), ENAMETOOLONG);
	NO_POINTER(mpx_shared_memory_open, ("mpx-arguments-no-such-name"), ENOENT);
	NO_POINTER(mpx_shareable_list_open, (NULL), EINVAL);
	NO_POINTER(mpx_shareable_list_open, ("a/b"), EINVAL);
	NO_POINTER(mpx_shareable_list_open, ("mpx-arguments-no-such-name"), ENOENT);
}

static void without_objects(void)
{
	const mpx_shareable_item unknown = {.type = (mpx_shareable_type)99};
	const mpx_shareable_item no_text = mpx_shareable_str(NULL);
	const mpx_shareable_item no_bytes = mpx_shareable_bytes(NULL, 3);
	const mpx_shareable_item no_utf8 = mpx_shareable_str("\xff");
	const mpx_shareable_item endless = mpx_shareable_bytes("x", 10000000);
	char longest[5000];

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	rows_of_names(longest);
	NO_POINTER(mpx_shareable_list_create, (NULL, 1, NULL), EINVAL);
	NO_POINTER(mpx_shareable_list_create, (&unknown, 1, NULL), EINVAL);
	NO_POINTER(mpx_shareable_list_create, (&no_text, 1, NULL), EINVAL);
	NO_POINTER(mpx_shareable_list_create, (&no_bytes, 1, NULL), EINVAL);
	NO_POINTER(mpx_shareable_list_create, (&no_utf8, 1, NULL), EILSEQ);
	NO_POINTER(mpx_shareable_list_create, (&endless, 1, NULL), EMSGSIZE);
	NO_POINTER(mpx_shareable_list_create, (NULL, 0, "a/b"), EINVAL);
	/* What there is to be swept is somebody else's test. */
	if (arguments_row("mpx_shared_memory_sweep"))
		child_check(mpx_shared_memory_sweep() >= 0 || errno == ENOTSUP);
}

static void rows_of_a_segment(void)
{
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, 100);
	child_check(m != NULL);

	NO_POINTER(mpx_shared_memory_create, (mpx_shared_memory_name(m), 100), EEXIST);
	ROW(mpx_shared_memory_close, (m), 0, 0);
	ROW(mpx_shared_memory_close, (m), 0, 0);
	NO_POINTER(mpx_shared_memory_buf, (m), EPIPE);
	ROW(mpx_shared_memory_unlink, (m), 0, 0);
	ROW(mpx_shared_memory_unlink, (m), -1, ENOENT);
	mpx_shared_memory_free(m);
}

static void rows_of_items(mpx_shareable_list *l)
{
	const mpx_shareable_item unknown = {.type = (mpx_shareable_type)99};
	char text[8] = "before";
	int64_t i = 77;
	double d = 77;
	bool b = true;

	ROW(mpx_shareable_list_type, (l, 2), -1, ERANGE);
	ROW(mpx_shareable_list_type, (l, SIZE_MAX), -1, ERANGE);
	ROW(mpx_shareable_list_room, (l, SIZE_MAX), -1, ERANGE);
	ROW(mpx_shareable_list_get_int, (l, 2, &i), -1, ERANGE);
	FAILS(mpx_shareable_list_get_int, (l, 0, NULL));
	FAILS(mpx_shareable_list_get_int, (l, 1, &i));
	FAILS(mpx_shareable_list_get_double, (l, 0, &d));
	FAILS(mpx_shareable_list_get_double, (l, 0, NULL));
	FAILS(mpx_shareable_list_get_bool, (l, 0, &b));
	FAILS(mpx_shareable_list_get_bool, (l, 0, NULL));
	FAILS(mpx_shareable_list_get_str, (l, 0, text, sizeof text));
	FAILS(mpx_shareable_list_get_str, (l, 1, NULL, 8));
	ROW(mpx_shareable_list_get_str, (l, 1, text, 3), -1, EMSGSIZE);
	ROW(mpx_shareable_list_get_str, (l, 1, text, 0), -1, EMSGSIZE);
	FAILS(mpx_shareable_list_get_bytes, (l, 1, text, sizeof text));
	ROW(mpx_shareable_list_set, (l, 2, mpx_shareable_int(1)), -1, ERANGE);
	FAILS(mpx_shareable_list_set, (l, 0, unknown));
	FAILS(mpx_shareable_list_set, (l, 0, mpx_shareable_str(NULL)));
	ROW(mpx_shareable_list_set, (l, 1, mpx_shareable_str("\xff")), -1, EILSEQ);
	ROW(mpx_shareable_list_set, (l, 1, mpx_shareable_bytes("123456789", 9)), -1, EMSGSIZE);
	FAILS(mpx_shareable_list_count, (l, unknown));
	FAILS(mpx_shareable_list_index, (l, unknown));
	ROW(mpx_shareable_list_index, (l, mpx_shareable_int(2)), -1, ENOENT);
	child_check(i == 77 && d == 77 && b && strcmp(text, "before") == 0);
	FAILS(mpx_shareable_list_format, (l, NULL, 8));
	ROW(mpx_shareable_list_format, (l, text, 0), -1, EMSGSIZE);
	ROW(mpx_shareable_list_format, (l, text, 2), -1, EMSGSIZE);
	ROW(mpx_shareable_list_count, (l, mpx_shareable_int(1)), 1, 0);
	ROW(mpx_shareable_list_index, (l, mpx_shareable_str("abc")), 1, 0);
}

static void rows_of_a_list(void)
{
	const mpx_shareable_item items[] = {mpx_shareable_int(1), mpx_shareable_str("abc")};
	mpx_shareable_list *l = mpx_shareable_list_create(items, 2, NULL);
	int64_t i;
	child_check(l != NULL);

	rows_of_items(l);
	ROW(mpx_shareable_list_unlink, (l), 0, 0);
	ROW(mpx_shareable_list_unlink, (l), -1, ENOENT);
	ROW(mpx_shareable_list_close, (l), 0, 0);
	ROW(mpx_shareable_list_get_int, (l, 0, &i), -1, EPIPE);
	ROW(mpx_shareable_list_set, (l, 0, items[0]), -1, EPIPE);
	mpx_shareable_list_free(l);
}

static void with_objects(void)
{
	rows_of_a_segment();
	rows_of_a_list();
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "shared_memory",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
	};
	return arguments_main(&part, argc, argv);
}
