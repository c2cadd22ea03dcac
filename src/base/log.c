/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing's logger. No lock is held while a message is written, only while it
 * is found out where to, and that one fork() holds as well: so a child never inherits
 * one that somebody else has. stdio is not used, for its locks are not ours.
 */
#include "base/log.h"

#include "base/private.h"
#include "platform/platform.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1024, LINE_LENGTH = MESSAGE_MAX + 256, OFF = INT_MAX };

/* 0: the environment has not been asked. Changes under mpx__private_lock. */
int mpx_log_threshold;

/* Under mpx__private_lock. */
static mpx_log_sink *sink;
static void *sink_user;

static _Atomic(const char *) process = "MainProcess";

static _Thread_local bool inside; /* this thread is in the sink */
static _Thread_local const void *noted[MPX__LOG_SUBJECTS];

static const struct {
	int level;
	const char *name;
} levels[] = {
	{MPX_LOG_SUBDEBUG, "SUBDEBUG"},	    {MPX_LOG_DEBUG, "DEBUG"},	  {MPX_LOG_INFO, "INFO"},
	{MPX_LOG_SUBWARNING, "SUBWARNING"}, {MPX_LOG_WARNING, "WARNING"}, {MPX_LOG_ERROR, "ERROR"},
	{MPX_LOG_CRITICAL, "CRITICAL"},
};
enum { LEVELS = sizeof levels / sizeof *levels };

/* --- stderr ------------------------------------------------------------------------- */

static void write_line(const char *line, size_t size)
{
	while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
		;
}

/* A reader that has gone away is no reason to die. */
static void write_without_sigpipe(const char *line, size_t size)
{
	sigset_t pipe, before, pending;
	int unused;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	errno = 0;
	write_line(line, size);
	if (errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
		sigpending(&pending);
		if (sigismember(&pending, SIGPIPE))
			sigwait(&pipe, &unused);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void to_stderr(int level, const char *name, const char *message, void *unused)
{
	char number[32], line[LINE_LENGTH];
	const char *level_name = number;
	int n;

	(void)unused;
	snprintf(number, sizeof number, "Level %d", level);
	for (int i = 0; i < LEVELS; i++)
		if (levels[i].level == level)
			level_name = levels[i].name;
	n = snprintf(line, sizeof line, "[%s/%.128s] %s\n", level_name, name, message);
	if (n > 0)
		write_without_sigpipe(line, (size_t)n);
}

/* --- settings ------------------------------------------------------------------------ */

int mpx_log_set(mpx_log_sink *to, void *user, int level)
{
	if (to && level < 1) {
		errno = EINVAL;
		return -1;
	}
	mpx__private_lock();
	sink = to;
	sink_user = user;
	__atomic_store_n(&mpx_log_threshold, to ? level : OFF, __ATOMIC_RELAXED);
	mpx__private_unlock();
	return 0;
}

int mpx_log_to_stderr(int level)
{
	return mpx_log_set(to_stderr, NULL, level);
}

/* "INFO" or "20"; 0 if it is neither. */
static int parse_level(const char *text)
{
	char *end;
	long n;

	for (int i = 0; i < LEVELS; i++)
		if (strcasecmp(text, levels[i].name) == 0)
			return levels[i].level;
	n = strtol(text, &end, 10);
	return end != text && *end == '\0' && n >= 1 && n < OFF ? (int)n : 0;
}

void mpx__log_begin(void)
{
	int saved = errno;

	if (__atomic_load_n(&mpx_log_threshold, __ATOMIC_RELAXED) != 0)
		return;
	mpx__private_lock();
	if (mpx_log_threshold == 0) {
		const char *wish = mpx__os_getenv("MPX_LOG");
		int level = wish ? parse_level(wish) : 0;

		mpx_log_set(level ? to_stderr : NULL, NULL, level);
	}
	mpx__private_unlock();
	errno = saved;
}

int mpx_log_level(void)
{
	int threshold;

	mpx__log_begin();
	threshold = __atomic_load_n(&mpx_log_threshold, __ATOMIC_RELAXED);
	return threshold == OFF ? 0 : threshold;
}

void mpx__log_process(const char *name)
{
	atomic_store(&process, name);
	inside = false; /* whoever forked may have been */
	memset(noted, 0, sizeof noted);
}

/* --- messages ------------------------------------------------------------------------ */

static void format_message(char *text, const char *format, va_list args)
{
	static const char cut[] = " ... (cut)", wrong[] = "(a message that has no text)";
	int n = vsnprintf(text, MESSAGE_MAX, format, args);

	if (n < 0)
		memcpy(text, wrong, sizeof wrong);
	else if (n >= MESSAGE_MAX)
		memcpy(text + MESSAGE_MAX - sizeof cut, cut, sizeof cut);
}

/* Where a message of this level goes; NULL: nowhere. */
static mpx_log_sink *choose(int level, void **user)
{
	mpx_log_sink *to = NULL;

	mpx__log_begin();
	mpx__private_lock();
	if (level >= mpx_log_threshold) {
		to = sink;
		*user = sink_user;
	}
	mpx__private_unlock();
	return to;
}

void mpx_log_write(int level, const char *format, ...)
{
	int saved = errno;
	void *user = NULL;
	mpx_log_sink *to = inside ? NULL : choose(level, &user);

	if (to) {
		char text[MESSAGE_MAX];
		va_list args;

		va_start(args, format);
		format_message(text, format, args);
		va_end(args);
		inside = true;
		to(level, atomic_load(&process), text, user);
		inside = false;
	}
	errno = saved;
}

void mpx__log_note_slowly(enum mpx__log_subject subject, const void *object)
{
	noted[subject] = object;
}

void mpx__log_tell_slowly(void)
{
	static const char *const text[MPX__LOG_SUBJECTS] = {
		[MPX__LOG_LOCK] = "lock %p had been left by a dead holder",
		[MPX__LOG_HEAP] = "shared memory %p: put in order after a death",
		[MPX__LOG_OBJECT] = "object %p: put in order after a death",
		[MPX__LOG_POOL] = "pool %p: put in order after a death",
	};

	for (int i = 0; i < MPX__LOG_SUBJECTS; i++) {
		const void *object = noted[i];

		noted[i] = NULL;
		if (object)
			mpx_log_write(MPX_LOG_INFO, text[i], object);
	}
}
