/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The atomic steps on a value: compute what is to be there, and compare-exchange.
 */
#include "ipc/element.h"
#include "ipc/number.h"
#include "ipc/value.h"

#include <errno.h>

/* Compare-exchange of size bytes; expected and desired in the low ones. */
static bool exchange_if(void *at, size_t size, uint64_t *expected, uint64_t desired)
{
	bool done;

	switch (size) {
#define CASE(bytes, type)                                                                          \
	case bytes: {                                                                              \
		type e = (type)*expected;                                                          \
		done = __atomic_compare_exchange_n((type *)at, &e, (type)desired, false,           \
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);            \
		*expected = e;                                                                     \
		return done;                                                                       \
	}
		CASE(1, uint8_t)
		CASE(2, uint16_t)
		CASE(4, uint32_t)
		CASE(8, uint64_t)
#undef CASE
	default:
		return false;
	}
}

static uint64_t load_bits(void *at, size_t size)
{
	uint64_t bits = 0;
	uint8_t one;
	uint16_t two;
	uint32_t four;

	switch (size) {
	case 1:
		mpx__element_load(at, 1, &one);
		return one;
	case 2:
		mpx__element_load(at, 2, &two);
		return two;
	case 4:
		mpx__element_load(at, 4, &four);
		return four;
	default:
		mpx__element_load(at, 8, &bits);
		return bits;
	}
}

static bool less(mpx_number a, mpx_number b)
{
	return a.kind == 'd' ? a.d < b.d : a.kind == 'u' ? a.u < b.u : a.i < b.i;
}

/* Of two encoded numbers of the same typecode. Reals: 0.0 equals -0.0, a NaN nothing. */
static bool equal(char typecode, uint64_t a, uint64_t b)
{
	if (typecode != 'd' && typecode != 'f')
		return a == b;
	return mpx__number_decode(typecode, a, 'd').d == mpx__number_decode(typecode, b, 'd').d;
}

/* The sum of two encoded numbers of the same typecode, encoded. */
static uint64_t sum(char typecode, uint64_t a, uint64_t b)
{
	uint64_t bits;

	if (typecode != 'd' && typecode != 'f') {
		mpx__number_encode(typecode, mpx_number_u(a + b), &bits);
	} else {
		double x = mpx__number_decode(typecode, a, 'd').d;
		double y = mpx__number_decode(typecode, b, 'd').d;
		mpx__number_encode(typecode, mpx_number_d(x + y), &bits);
	}
	return bits;
}

/* What the operation leaves behind. The typecode's own kind decides what is less. */
static uint64_t outcome(char typecode, mpx_value_op op, uint64_t old, uint64_t x, uint64_t expected)
{
	char kind = mpx__number_decode(typecode, x, 0).kind;
	mpx_number a = mpx__number_decode(typecode, old, kind);
	mpx_number b = mpx__number_decode(typecode, x, kind);

	switch (op) {
	case MPX_VALUE_ADD:
		return sum(typecode, old, x);
	case MPX_VALUE_MIN:
		return less(b, a) ? x : old;
	case MPX_VALUE_MAX:
		return less(a, b) ? x : old;
	case MPX_VALUE_COMPARE_EXCHANGE:
		return equal(typecode, old, expected) ? x : old;
	case MPX_VALUE_EXCHANGE:
	default:
		return x;
	}
}

mpx_number mpx_value_update(mpx_value *v, mpx_value_op op, mpx_number x, mpx_number expected)
{
	uint64_t old, new_bits = 0, expected_bits = 0;
	size_t size;
	int error;

	if (!mpx__is_value(v))
		return mpx_number_i(0);
	error = mpx__number_encode(v->typecode, x, &new_bits);
	if (!error && op == MPX_VALUE_COMPARE_EXCHANGE)
		error = mpx__number_encode(v->typecode, expected, &expected_bits);
	if (!error && (op < MPX_VALUE_ADD || op > MPX_VALUE_MAX))
		error = EINVAL;
	if (error) {
		errno = error;
		return mpx_number_i(0);
	}
	size = mpx__typecode_size(v->typecode);
	old = load_bits(&v->bytes, size);
	while (!exchange_if(&v->bytes, size, &old,
			    outcome(v->typecode, op, old, new_bits, expected_bits)))
		;
	return mpx__number_decode(v->typecode, old, x.kind);
}
