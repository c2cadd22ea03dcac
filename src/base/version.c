/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include <mpx/version.h>

#define TEXT(x) #x
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

int mpx_version(void)
{
	return MPX_VERSION_NUM;
}

const char *mpx_version_string(void)
{
	return DOTTED(MPX_VERSION_MAJOR, MPX_VERSION_MINOR, MPX_VERSION_PATCH);
}
