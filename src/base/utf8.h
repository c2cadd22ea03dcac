/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#ifndef MPX_BASE_UTF8_H
#define MPX_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Would Python decode it? (No surrogates, nothing longer than it need be.) */
bool mpx__utf8(const void *text, size_t size);

#endif
