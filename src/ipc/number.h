/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Typecodes, and numbers moved between them and plain bytes.
 */
#ifndef MPX_IPC_NUMBER_H
#define MPX_IPC_NUMBER_H

#include <mpx/value.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of one element; 0 for an unknown typecode. */
size_t mpx__typecode_size(char typecode);

/* Does a pointer to the type of code fit an object of this typecode? */
bool mpx__typecode_fits(char typecode, char code);

/* The bits of n converted to the typecode; ERANGE for a real that does not fit. */
int mpx__number_encode(char typecode, mpx_number n, uint64_t *bits);

/* The other way: a number of the given kind; 0: of the typecode's own. */
mpx_number mpx__number_decode(char typecode, uint64_t bits, char kind);

#endif
