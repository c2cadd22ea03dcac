/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "ipc/element.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

void mpx__element_load(const void *at, size_t size, void *out)
{
	switch (size) {
	case 1:
		*(uint8_t *)out = __atomic_load_n((const uint8_t *)at, __ATOMIC_SEQ_CST);
		break;
	case 2: {
		uint16_t x = __atomic_load_n((const uint16_t *)at, __ATOMIC_SEQ_CST);
		memcpy(out, &x, sizeof x);
		break;
	}
	case 4: {
		uint32_t x = __atomic_load_n((const uint32_t *)at, __ATOMIC_SEQ_CST);
		memcpy(out, &x, sizeof x);
		break;
	}
	default: {
		uint64_t x = __atomic_load_n((const uint64_t *)at, __ATOMIC_SEQ_CST);
		memcpy(out, &x, sizeof x);
		break;
	}
	}
}

void mpx__element_store(void *at, size_t size, const void *in)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)at, *(const uint8_t *)in, __ATOMIC_SEQ_CST);
		break;
	case 2: {
		uint16_t x;
		memcpy(&x, in, sizeof x);
		__atomic_store_n((uint16_t *)at, x, __ATOMIC_SEQ_CST);
		break;
	}
	case 4: {
		uint32_t x;
		memcpy(&x, in, sizeof x);
		__atomic_store_n((uint32_t *)at, x, __ATOMIC_SEQ_CST);
		break;
	}
	default: {
		uint64_t x;
		memcpy(&x, in, sizeof x);
		__atomic_store_n((uint64_t *)at, x, __ATOMIC_SEQ_CST);
		break;
	}
	}
}

/* Can copying byte by byte, as memcpy may, tear it? And would atomic words help? */
static bool is_word(size_t size)
{
	return size == 2 || size == 4 || size == 8;
}

/* Whole elements go in words of 8 bytes; those before and after the aligned ones alone. */
static bool goes_alone(const void *at, size_t left)
{
	return (uintptr_t)at % 8 != 0 || left < 8;
}

void mpx__elements_load(const void *at, size_t size, size_t n, void *out)
{
	const char *from = at;
	char *to = out;

	if (n == 1 && (size == 1 || is_word(size))) {
		mpx__element_load(at, size, out);
		return;
	}
	if (!is_word(size)) {
		memcpy(out, at, n * size);
		return;
	}
	for (size_t left = n * size, step; left > 0; left -= step, from += step, to += step) {
		if (goes_alone(from, left)) {
			step = size;
			mpx__element_load(from, size, to);
		} else {
			uint64_t x = __atomic_load_n((const uint64_t *)(const void *)from,
						     __ATOMIC_RELAXED);
			step = sizeof x;
			memcpy(to, &x, sizeof x);
		}
	}
}

void mpx__elements_store(void *at, size_t size, size_t n, const void *in)
{
	const char *from = in;
	char *to = at;

	if (n == 1 && (size == 1 || is_word(size))) {
		mpx__element_store(at, size, in);
		return;
	}
	if (!is_word(size)) {
		memcpy(at, in, n * size);
		return;
	}
	for (size_t left = n * size, step; left > 0; left -= step, from += step, to += step) {
		if (goes_alone(to, left)) {
			step = size;
			mpx__element_store(to, size, from);
		} else {
			uint64_t x;
			step = sizeof x;
			memcpy(&x, from, sizeof x);
			__atomic_store_n((uint64_t *)(void *)to, x, __ATOMIC_RELAXED);
		}
	}
}
