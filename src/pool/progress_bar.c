/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The ready bar. A line is one write(2) of at most 79 columns; stdio is not used, for a
 * line that is being written there is not ours.
 */
#include <mpx/progress.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 79, LABEL = 24, BAR = 20 };

/* There is a line to wipe away. */
static atomic_bool drawn;

static void show(const char *line)
{
	char text[COLUMNS + 3];
	int saved = errno, n;

	/* Padded, over what was there; once more to the beginning for who prints next. */
	n = snprintf(text, sizeof text, "\r%-*.*s\r", COLUMNS, COLUMNS, line);
	while (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0 && errno == EINTR)
		;
	errno = saved;
}

static void print_time(char *to, size_t size, double seconds)
{
	unsigned long s = seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 1000000000;

	if (s >= 3600)
		snprintf(to, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(to, size, "%lu:%02lu", s / 60, s % 60);
}

static void print_rate(char *to, size_t size, double rate)
{
	if (rate >= 1e6)
		snprintf(to, size, "%.1fM/s", rate / 1e6);
	else if (rate >= 1e4)
		snprintf(to, size, "%.1fk/s", rate / 1e3);
	else
		snprintf(to, size, rate >= 100 ? "%.0f/s" : "%.1f/s", rate);
}

/* "42% [########............]  4212/10000", or the count alone. */
static void print_count(char *to, size_t size, const mpx_progress *p)
{
	char bar[BAR + 1];
	double share = p->total ? (double)p->done / (double)p->total : 0;
	size_t full = (size_t)(share * BAR);

	if (!p->total) {
		snprintf(to, size, "%zu", p->done);
		return;
	}
	memset(bar, '.', BAR);
	memset(bar, '#', full < BAR ? full : BAR);
	bar[BAR] = '\0';
	snprintf(to, size, "%3d%% [%s]  %zu/%zu", (int)(share * 100), bar, p->done, p->total);
}

void mpx_progress_bar(void *label_or_null, const mpx_progress *p)
{
	const char *label = label_or_null ? label_or_null : "";
	char line[256], count[96], rate[32], time[32], failed[40] = "";

	if (!p || !isatty(STDERR_FILENO))
		return;
	if (p->finished) {
		if (atomic_exchange(&drawn, false))
			show("");
		return;
	}
	print_count(count, sizeof count, p);
	print_rate(rate, sizeof rate, p->rate);
	print_time(time, sizeof time, p->left >= 0 ? p->left : p->seconds);
	if (p->failed)
		snprintf(failed, sizeof failed, "  %zu failed", p->failed);
	snprintf(line, sizeof line, "%.*s%s%s  %s  %s%s%s", LABEL, label, label[0] ? "  " : "",
		 count, rate, time, p->left >= 0 ? " left" : "", failed);
	show(line);
	atomic_store(&drawn, true);
}
