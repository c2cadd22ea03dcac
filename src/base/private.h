/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What a process of the family keeps for itself (its peer id, its children, its
 * doorbells) has one mutex, recursive, which every fork() holds as well: so no child
 * of any fork, by whatever thread, gets a half-made list or a locked mutex, and no
 * two locks can be taken in different orders.
 */
#ifndef MPX_BASE_PRIVATE_H
#define MPX_BASE_PRIVATE_H

void mpx__private_lock(void);
void mpx__private_unlock(void);

/* From now on, fn runs in every child right after fork(), without the lock. Once
 * for each of the few that need it; a second time for the same fn does nothing. */
void mpx__private_at_fork(void (*fn)(void));

#endif
