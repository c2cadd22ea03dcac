/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Names that the library gives to segments tell who made them: that is all there
 * can be, since Python takes every byte of a segment for data.
 *
 *     psm_ + 9 digits of 6 bits    14 characters with the slash, as Python's limit
 *
 *     22 bits  pid of the maker
 *      8 bits  when that process began, shortened; 0: unknown
 *     14 bits  serial number
 *     10 bits  check sum of these and of the namespace in which the pid counts
 *
 * Python's own names have 8 digits. A name whose sum is wrong was made by somebody
 * else, or in another container, and none of our business.
 */
#ifndef MPX_SHM_AUTO_NAME_H
#define MPX_SHM_AUTO_NAME_H

#include <stdbool.h>

enum { MPX__AUTO_NAME = sizeof "psm_123456789", MPX__AUTO_SERIALS = 1 << 14 };

/* The next name of the calling process: it has MPX__AUTO_SERIALS of them. */
void mpx__auto_name(char name[MPX__AUTO_NAME]);

/* Was name made so, by a process that is dead? */
bool mpx__auto_name_orphaned(const char *name);

#endif
