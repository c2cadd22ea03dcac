/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/version.h - the version, what every header needs, and nothing else.
 */
#ifndef MPX_VERSION_H
#define MPX_VERSION_H

#define MPX_VERSION_MAJOR 0
#define MPX_VERSION_MINOR 1
#define MPX_VERSION_PATCH 0

/** One number that grows with each version, for comparisons. */
#define MPX_VERSION_NUM \
	(MPX_VERSION_MAJOR * 1000000 + MPX_VERSION_MINOR * 1000 + MPX_VERSION_PATCH)
#define MPX_VERSION_AT_LEAST(major, minor, patch) \
	(MPX_VERSION_NUM >= (major) * 1000000 + (minor) * 1000 + (patch))

#if defined(__GNUC__) && !defined(MPX_STATIC)
#define MPX_API __attribute__((visibility("default")))
#else
#define MPX_API
#endif

/** Wait as long as it takes. */
#define MPX_FOREVER (__builtin_inf())

#ifdef __cplusplus
extern "C" {
#endif

/**
 * MPX_VERSION_NUM of the library that is running (the macro tells of the header
 * that was compiled).
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_version(void);

/**
 * The same as text, "0.1.0". Not to be freed.
 *
 * Threads: safe.
 * Fork: safe.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API const char *mpx_version_string(void);

#ifdef __cplusplus
}
#endif

#endif
