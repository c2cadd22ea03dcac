/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mandelbrot.c - a picture in shared memory, drawn row by row in a pool. In
 * Python:
 *
 *     def draw_row(y):
 *         for x in range(WIDTH):
 *             pixels[y * WIDTH + x] = colour(x, y)
 *         with rows_done.get_lock():
 *             rows_done.value += 1
 *
 *     with Pool() as pool:
 *         result = pool.map_async(draw_row, range(HEIGHT))
 *         while not result.ready():
 *             result.wait(0.1)
 *             print(rows_done.value, 'of', HEIGHT, 'rows', end='\r')
 *
 * Run it: ./mandelbrot [OUTPUT.ppm [WIDTH HEIGHT]]
 *
 * It writes the picture to mandelbrot.ppm, 1200 by 800 pixels, if you do not say
 * otherwise. While it works it shows on a terminal how far it is:
 *
 *     mandelbrot: 312 of 800 rows
 *
 * and at the end:
 *
 *     1200 by 800 pixels in mandelbrot.ppm
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_STEPS = 2000, MAX_SIDE = 30000, SAMPLES = 3 };

/* Made before the pool, so the workers know them too. */
static size_t width = 1200, height = 800;
static unsigned char (*pixels)[3]; /* red, green, blue; in the family's heap */
static mpx_value *rows_done;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The logarithm to base 2, x >= 1: exact enough for colours, and needs no -lm. */
static double log_2(double x)
{
	double result = 0;

	for (; x >= 2; x /= 2)
		result += 1;
	for (double bit = 0.5; bit > 1e-4; bit /= 2) {
		x *= x;
		if (x >= 2) {
			x /= 2;
			result += bit;
		}
	}
	return result;
}

/* After how many steps z = z * z + c leaves; not a whole number, so that colours flow. */
static double steps(double cx, double cy)
{
	const double q = (cx - 0.25) * (cx - 0.25) + cy * cy;
	double x = 0, y = 0;

	if (q * (q + cx - 0.25) <= cy * cy / 4 || (cx + 1) * (cx + 1) + cy * cy <= 1.0 / 16)
		return MAX_STEPS; /* the two big black bodies: known, so need not be tried */
	for (int n = 0; n < MAX_STEPS; n++) {
		double xx = x * x, yy = y * y;

		if (xx + yy > 65536)
			return n + 4 - log_2(log_2(xx + yy));
		y = 2 * x * y + cy;
		x = xx - yy + cx;
	}
	return MAX_STEPS;
}

/* Adds the colour of a point to rgb. */
static void add_colour(double cx, double cy, double rgb[3])
{
	static const double palette[][3] = {
		{0, 7, 100}, {32, 107, 203}, {237, 255, 255}, {255, 170, 0}, {90, 20, 10}};
	const size_t colours = sizeof palette / sizeof *palette;
	const double n = steps(cx, cy);

	if (n >= MAX_STEPS)
		return; /* inside: black */

	/* Where in the palette: between colour i and the next; far outside: at the first. */
	const double where = log_2(n > 3 ? n - 2 : 1) * 0.6;
	const size_t i = (size_t)where;
	const double part = where - (double)i;
	for (int k = 0; k < 3; k++)
		rgb[k] +=
			(1 - part) * palette[i % colours][k] + part * palette[(i + 1) % colours][k];
}

/* The task: row *in of the picture, each pixel the mean of some points in it. */
static int draw_row(const void *in, void *out)
{
	const size_t row = *(const size_t *)in;
	const double w = (double)width, h = (double)height;
	const double scale = 2.5 / h > 3.2 / w ? 2.5 / h : 3.2 / w; /* of a pixel */

	(void)out; /* the result goes straight into the picture */
	for (size_t column = 0; column < width; column++) {
		double rgb[3] = {0, 0, 0};

		for (int s = 0; s < SAMPLES * SAMPLES; s++) {
			double x = (double)column + (s % SAMPLES + 0.5) / SAMPLES;
			double y = (double)row + (s / SAMPLES + 0.5) / SAMPLES;

			add_colour((x - w / 2) * scale - 0.75, (h / 2 - y) * scale, rgb);
		}
		for (int k = 0; k < 3; k++)
			pixels[row * width + column][k] =
				(unsigned char)(rgb[k] / (SAMPLES * SAMPLES) + 0.5);
	}
	mpx_value_add(rows_done, 1);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: mandelbrot [OUTPUT.ppm [WIDTH HEIGHT]], at most %d by %d\n",
		MAX_SIDE, MAX_SIDE);
	return 2;
}

static bool parse_side(const char *s, size_t *side)
{
	char *rest;
	unsigned long n = strtoul(s, &rest, 10);

	*side = n;
	return *s >= '0' && *s <= '9' && *rest == '\0' && n >= 1 && n <= MAX_SIDE;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "mandelbrot.ppm";
	int done;

	if ((argc != 1 && argc != 2 && argc != 4) ||
	    (argc == 4 && (!parse_side(argv[2], &width) || !parse_side(argv[3], &height))))
		return usage();
	FILE *file = fopen(path, "wb");
	if (file == NULL)
		die(path);

	pixels = mpx_calloc(width * height, sizeof *pixels);
	rows_done = mpx_value_new('i', 0);
	size_t *rows = calloc(height, sizeof *rows);
	if (pixels == NULL || rows_done == NULL || rows == NULL)
		die("no memory");
	for (size_t i = 0; i < height; i++)
		rows[i] = i;

	mpx_pool *pool = mpx_pool_new();
	if (pool == NULL)
		die("mpx_pool_new");
	mpx_result *result =
		mpx_pool_map_async(pool, draw_row, rows, sizeof *rows, height, 0, NULL);
	if (result == NULL)
		die("mpx_pool_map_async");

	/* Without a terminal it just waits. */
	const bool show = isatty(STDERR_FILENO);
	while (mpx_result_wait(result, show ? 0.1 : MPX_FOREVER) != 0) {
		if (errno != ETIMEDOUT || mpx_value_get(rows_done, &done) != 0)
			die("mpx_result_wait");
		fprintf(stderr, "\rmandelbrot: %d of %zu rows", done, height);
	}
	if (show)
		fprintf(stderr, "\rmandelbrot: %zu of %zu rows\n", height, height);
	if (mpx_result_get(result, NULL, 0) != 0)
		die("mpx_result_get");
	mpx_result_free(result);
	mpx_pool_free(pool);

	if (fprintf(file, "P6\n%zu %zu\n255\n", width, height) < 0 ||
	    fwrite(pixels, sizeof *pixels, width * height, file) != width * height ||
	    fclose(file) != 0)
		die(path);
	printf("%zu by %zu pixels in %s\n", width, height, path);

	if (mpx_value_get(rows_done, &done) != 0)
		die("mpx_value_get");
	free(rows);
	mpx_value_free(rows_done);
	mpx_free(pixels);
	return done == (int)height ? 0 : 1;
}
