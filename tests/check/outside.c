/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A program of somebody else, for package.sh.
 */
#include <mpx.h>
#include <stdio.h>

static int square(const void *in, void *out)
{
	int x = *(const int *)in;

	*(int *)out = x * x;
	return 0;
}

int main(void)
{
	int xs[] = {1, 2, 3, 4}, squares[4];
	mpx_value *total = mpx_value_new('i', 0);
	mpx_pool *pool = mpx_pool_new(.processes = 2);

	if (!total || !pool || mpx_pool_map(pool, square, xs, squares, 4) != 0) {
		perror("outside");
		return 1;
	}
	for (int i = 0; i < 4; i++)
		mpx_value_add(total, squares[i]);
	printf("libmpx %s: 1 + 4 + 9 + 16 = %d\n", mpx_version_string(),
	       *mpx_value_ptr(total, int));
	int right = *mpx_value_ptr(total, int) == 30 && mpx_version() == MPX_VERSION_NUM;

	mpx_pool_free(pool);
	mpx_value_free(total);
	return right ? 0 : 1;
}
