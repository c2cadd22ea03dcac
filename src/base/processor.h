/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Hints to the processor. Where one is not known nothing happens.
 */
#ifndef MPX_BASE_PROCESSOR_H
#define MPX_BASE_PROCESSOR_H

/* This is a spin loop. */
static inline void mpx__relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ __volatile__("yield" ::: "memory");
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

/* The cache line at p is going to be written: it may be fetched, and taken from others,
 * while something else is done. (GCC's builtin asks for it as if only to read, unless it is
 * told that the processor knows this instruction; those that do not take it for none.) */
static inline void mpx__will_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

#endif
