/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * dev_shm.h - a /dev/shm of one's own, for tests that make names: other tests count
 * what is there. Linux, and define _GNU_SOURCE first; elsewhere there is none to be had.
 */
#ifndef DEV_SHM_H
#define DEV_SHM_H

#include <stdbool.h>

#ifdef __linux__
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>

/* In a mount namespace of our own already: an empty one. */
static inline bool mount_dev_shm(const char *options)
{
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return mount("tmpfs", "/dev/shm", "tmpfs", 0, options) == 0;
}

/* For this process and its children from now on, if we are root. */
static inline bool own_dev_shm(const char *options)
{
	return unshare(CLONE_NEWNS) == 0 && mount_dev_shm(options);
}
#else
static inline bool own_dev_shm(const char *options)
{
	(void)options;
	return false;
}
#endif

#endif
