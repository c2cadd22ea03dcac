/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "ipc/number.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <wchar.h>

/* wchar_t is one of the integer types: which one, and is it signed? */
#define WCHAR_CODE                                                                                 \
	_Generic((wchar_t)0, int                                                                   \
		 : 'i', unsigned                                                                   \
		 : 'I', long                                                                       \
		 : 'l', unsigned long                                                              \
		 : 'L', short                                                                      \
		 : 'h', unsigned short                                                             \
		 : 'H', default                                                                    \
		 : 'u')

static const struct {
	char code;
	char kind; /* of mpx_number */
	unsigned char size;
} types[] = {
	{'c', (char)-1 < 0 ? 'i' : 'u', 1},
	{'u', (wchar_t)-1 < 0 ? 'i' : 'u', sizeof(wchar_t)},
	{'b', 'i', 1},
	{'B', 'u', 1},
	{'h', 'i', sizeof(short)},
	{'H', 'u', sizeof(short)},
	{'i', 'i', sizeof(int)},
	{'I', 'u', sizeof(int)},
	{'l', 'i', sizeof(long)},
	{'L', 'u', sizeof(long)},
	{'q', 'i', sizeof(long long)},
	{'Q', 'u', sizeof(long long)},
	{'f', 'd', sizeof(float)},
	{'d', 'd', sizeof(double)},
};

static int find(char typecode)
{
	for (int i = 0; i < (int)(sizeof types / sizeof *types); i++)
		if (types[i].code == typecode)
			return i;
	return -1;
}

size_t mpx__typecode_size(char typecode)
{
	int i = find(typecode);

	return i < 0 ? 0 : types[i].size;
}

bool mpx__typecode_fits(char typecode, char code)
{
	if (typecode == 'u')
		return code == 'u' || code == WCHAR_CODE;
	return code != '\0' && typecode == code;
}

static double as_real(mpx_number n)
{
	return n.kind == 'd' ? n.d : n.kind == 'u' ? (double)n.u : (double)n.i;
}

/* A real becomes an integer of size bytes only if its whole part is one. */
static int real_to_bits(double d, char kind, unsigned size, uint64_t *bits)
{
	double limit = kind == 'u' ? 2.0 : 1.0;
	bool low;

	for (unsigned i = 0; i < size * CHAR_BIT - 1; i++)
		limit *= 2;
	/* -limit itself fits; -limit - 1 is not a double where size is 8. */
	low = kind == 'u' ? d <= -1.0 : size == 8 ? d < -limit : d <= -limit - 1;
	if (!(d < limit) || low)
		return ERANGE;
	*bits = kind == 'u' ? (uint64_t)d : (uint64_t)(int64_t)d;
	return 0;
}

int mpx__number_encode(char typecode, mpx_number n, uint64_t *bits)
{
	int i = find(typecode);

	*bits = 0;
	if (i < 0 || (n.kind != 'i' && n.kind != 'u' && n.kind != 'd'))
		return EINVAL;
	if (typecode == 'd') {
		double d = as_real(n);
		memcpy(bits, &d, sizeof d);
		return 0;
	}
	if (typecode == 'f') {
		float f = (float)as_real(n);
		uint32_t small;
		memcpy(&small, &f, sizeof f);
		*bits = small;
		return 0;
	}
	if (n.kind == 'd') {
		int error = real_to_bits(n.d, types[i].kind, types[i].size, bits);
		if (error)
			return error;
	} else {
		*bits = n.kind == 'u' ? n.u : (uint64_t)n.i;
	}
	if (types[i].size < 8)
		*bits &= (UINT64_C(1) << types[i].size * CHAR_BIT) - 1;
	return 0;
}

mpx_number mpx__number_decode(char typecode, uint64_t bits, char kind)
{
	int i = find(typecode);
	int unused_bits = 64 - types[i].size * CHAR_BIT;
	mpx_number n;

	if (typecode == 'd') {
		double d;
		memcpy(&d, &bits, sizeof d);
		n = mpx_number_d(d);
	} else if (typecode == 'f') {
		uint32_t small = (uint32_t)bits;
		float f;
		memcpy(&f, &small, sizeof f);
		n = mpx_number_d((double)f);
	} else if (types[i].kind == 'u') {
		n = mpx_number_u(bits);
	} else {
		n = mpx_number_i((int64_t)(bits << unused_bits) >> unused_bits);
	}
	if (kind == n.kind || !kind)
		return n;
	if (kind == 'd')
		return mpx_number_d(as_real(n));
	if (n.kind == 'd') {
		/* Asked for as an integer: as near as that goes. */
		double d = n.d != n.d ? 0 : n.d;
		if (kind == 'u')
			return mpx_number_u(d <= 0	  ? 0
					    : d >= 0x1p64 ? ULLONG_MAX
							  : (unsigned long long)d);
		return mpx_number_i(d <= -0x1p63  ? LLONG_MIN
				    : d >= 0x1p63 ? LLONG_MAX
						  : (long long)d);
	}
	return kind == 'u' ? mpx_number_u((unsigned long long)n.i) : mpx_number_i((long long)n.u);
}
