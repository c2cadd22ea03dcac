/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What mpx_wait must know of a kind of object. Those of higher layers make
 * themselves known when the program is loaded: an object may come from another process,
 * and mpx_wait be the first that is called for it in this one.
 */
#ifndef MPX_IPC_WAIT_H
#define MPX_IPC_WAIT_H

#include <stdbool.h>

struct mpx__wait_kind {
	/* Can p be waited for? EINVAL: it is none of these; 0, or why not. */
	int (*check)(const void *p);
	/* Is it ready? Without sleeping. thorough: also by what is too dear to be asked
	 * at each look. */
	bool (*ready)(void *p, bool thorough);
	/* *fd: polls readable when p may be ready; or -1. False: that may miss something, so
	 * p must be looked at now and then. NULL: there is no such descriptor. */
	bool (*watch)(void *p, int *fd);
	/* The descriptor said readable, but p is not ready: that may not go on. NULL: it
	 * ends by itself in a moment. */
	void (*settle)(void *p);
	/* After watch: it is not needed any more. Or NULL. */
	void (*leave)(void *p);
};

/* For ever. */
void mpx__wait_know(const struct mpx__wait_kind *kind);

#endif
