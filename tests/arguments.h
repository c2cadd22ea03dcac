/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * arguments.h - on top of family.h: bad arguments for every public function. Each
 * header of <mpx.h> has a part, test_arguments_<header>.c, with rows such as
 *
 *     FAILS(mpx_queue_get, (x, text, 1, 0));           returns -1 with EINVAL
 *     NOTHING(mpx_queue_qsize, (x));                   0 or false with EINVAL
 *     NO_POINTER(mpx_queue_take, (x, &n, 0), ENOMEM);  NULL with this errno
 *     ROW(mpx_queue_get, (q, text, 1, 0), -1, EPIPE);  this result with this errno
 *     ROW_VOID(mpx_queue_free, (x), EINVAL);           errno only
 *
 * What is missing in a part fails its test_bad_arguments, which reads the header.
 * So, to add
 *
 *     a function: rows in the part of its header, in the function rows_of_<type>(x),
 *         where x is anything but such an object, or in without_objects, or, for what
 *         is wrong beside a good object, in with_objects (look there as well that
 *         nothing has changed);
 *     a timeout (`double timeout`): a line of the part's timed[];
 *     a type: how to make and free one, in arguments_objects.h, so that it is
 *         tried wherever it does not belong; and a line of the part's kinds[];
 *     a header: a part (that of version.h is the shortest). CMake finds it.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "family.h"

#include <math.h>

/* Rows for x, which is no object of this type, nor (after a space) of these. Called
 * with NULL, foreign and freed pointers, and good objects of all other types. */
struct arguments_kind {
	const char *types;
	void (*rows)(void *x);
};

/* A call that can wait. On ready objects it goes well with any timeout, again and
 * again (so it undoes what it did); on others it returns -1 with ETIMEDOUT. */
struct arguments_timed {
	const char *function;
	int (*call)(bool ready, double timeout);
	bool never_ready;
};

struct arguments {
	const char *header; /* "queue" for mpx/queue.h */
	const struct arguments_kind *kinds;
	/* NULL, and what is out of range, in functions that take no object. */
	void (*without_objects)(void);
	/* A good object, and nothing good beside it. */
	void (*with_objects)(void);
	const struct arguments_timed *timed;
	void (*timed_begin)(void), (*timed_end)(void);
};

/* The whole program: lists end with {0}, what a part does not have is NULL. */
int arguments_main(const struct arguments *part, int argc, char **argv);

/* Is it this row's turn? It has this name, which covers the function of that name. */
bool arguments_row(const char *name);
void arguments_check(const char *call, long long result, long long expected, int error, int wanted);

#define ROW(function, arguments, result, wanted)                                                   \
	do {                                                                                       \
		if (arguments_row(#function)) {                                                    \
			errno = 0;                                                                 \
			long long result_ = (long long)function arguments;                         \
			arguments_check(#function #arguments, result_, result, errno, wanted);     \
		}                                                                                  \
	} while (0)
#define ROW_VOID(function, arguments, wanted)                                                      \
	do {                                                                                       \
		if (arguments_row(#function)) {                                                    \
			errno = 0;                                                                 \
			function arguments;                                                        \
			arguments_check(#function #arguments, 0, 0, errno, wanted);                \
		}                                                                                  \
	} while (0)
#define FAILS(function, arguments) ROW(function, arguments, -1, EINVAL)
#define NOTHING(function, arguments) ROW(function, arguments, 0, EINVAL)
#define NO_POINTER(function, arguments, wanted)                                                    \
	do {                                                                                       \
		if (arguments_row(#function)) {                                                    \
			errno = 0;                                                                 \
			const void *result_ = function arguments;                                  \
			arguments_check(#function #arguments, (intptr_t)result_, 0, errno,         \
					wanted);                                                   \
		}                                                                                  \
	} while (0)
/* That it can be called first, and goes well: a constructor and what frees it. */
#define MAKES(function, arguments, free_it)                                                        \
	do {                                                                                       \
		if (arguments_row(#function))                                                      \
			free_it(function arguments);                                               \
	} while (0)

static inline int no_task(const void *in, void *out)
{
	(void)in;
	(void)out;
	return 0;
}

static inline int no_target(void *args)
{
	(void)args;
	return 0;
}

#endif
