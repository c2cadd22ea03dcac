/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The file of the trace. Whoever of the family makes the first pool begins it; all
 * append to it, each batch by one write(2), and open it for that: so no descriptor is
 * handed down that a worker might close or take for another. The process that began it
 * keeps one, with a lock on it, for as long as it lives: should a program that it runs
 * find the same MPX_TRACE, that adds its events instead of starting over.
 *
 * It is an array of events that is closed when that process exits. If it is killed the
 * closing bracket is missing, which viewers allow for.
 */
#include "base/log.h"
#include "platform/platform.h"
#include "pool/trace.h"
#include "shm/family.h"
#include "shm/word.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of family->trace_state. */
enum { NEW, OFF, OPEN, ENDED };

/* By the process that began it; constant afterwards. */
static int held = -1;
static pid_t holder;
static struct stat held_file;

static bool is_page(const char *path)
{
	size_t n = strlen(path);

	return (n > 5 && strcmp(path + n - 5, ".html") == 0) ||
	       (n > 4 && strcmp(path + n - 4, ".htm") == 0);
}

static bool write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		size -= (size_t)n;
	}
	return true;
}

/* --- beginning ---------------------------------------------------------------------------- */

/* Where it is also after a chdir; 0 or an errno value. */
static int set_path(char *path, size_t size, const char *name)
{
	size_t n = 0;

	if (name[0] != '/') {
		if (!getcwd(path, size - 1))
			return errno;
		n = strlen(path);
		path[n++] = '/';
	}
	if (strlen(name) >= size - n)
		return ENAMETOOLONG;
	memcpy(path + n, name, strlen(name) + 1);
	return 0;
}

static bool write_head(int fd, const char *path)
{
	char first[128];
	int n = snprintf(first, sizeof first,
			 "[\n{\"name\":\"process_labels\",\"ph\":\"M\",\"pid\":%d,"
			 "\"args\":{\"labels\":\"libmpx\"}}",
			 (int)getpid());

	if (is_page(path))
		for (const char *const *line = mpx__trace_page; *line; line++)
			if (!write_all(fd, *line, strlen(*line)))
				return false;
	return write_all(fd, first, (size_t)n);
}

/* False: somebody who is alive has begun it. */
static bool is_free(int fd)
{
	struct flock lock;

	memset(&lock, 0, sizeof lock);
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	return fcntl(fd, F_SETLK, &lock) == 0 || (errno != EACCES && errno != EAGAIN);
}

static int begin_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), error = 0;

	fd = mpx__os_above_stdio(fd);
	if (fd < 0)
		return errno;
	if (!is_free(fd)) {
		close(fd);
		return 0;
	}
	/* What is no file (a terminal, say) cannot be cut. */
	if ((ftruncate(fd, 0) != 0 && errno != EINVAL) || !write_head(fd, path) ||
	    fstat(fd, &held_file) != 0) {
		error = errno;
		close(fd);
		return error;
	}
	held = fd;
	holder = getpid();
	return 0;
}

bool mpx__trace_file_begin(void)
{
	struct mpx__family *f = mpx__family();
	const char *name = mpx__os_getenv("MPX_TRACE");
	int error = 0;

	if (!f)
		return false;
	if (atomic_load(&f->trace_state) == NEW && name && name[0]) {
		int died = mpx__word_acquire(&f->trace_lock, INT64_MAX);

		if (died == EOWNERDEAD)
			mpx__word_consistent(&f->trace_lock);
		else if (died)
			return false;
		if (atomic_load(&f->trace_state) == NEW) {
			error = set_path(f->trace_path, sizeof f->trace_path, name);
			if (!error)
				error = begin_file(f->trace_path);
			atomic_store(&f->trace_state, error ? OFF : OPEN);
		}
		mpx__word_release(&f->trace_lock);
	}
	if (error)
		mpx_log(MPX_LOG_WARNING, "no trace in %s: %s", name, strerror(error));
	return atomic_load(&f->trace_state) == OPEN;
}

/* --- appending and ending ------------------------------------------------------------------- */

/* Has the descriptor been kept as it was? The user may have closed it. */
static bool is_held(void)
{
	struct stat now;

	return held >= 0 && holder == getpid() && fstat(held, &now) == 0 &&
	       now.st_dev == held_file.st_dev && now.st_ino == held_file.st_ino;
}

/* The process that holds it opens no other: closing that would give up its lock. */
static void append(const char *text, size_t size)
{
	if (is_held()) {
		write_all(held, text, size);
	} else {
		int fd = open(mpx__family_base->trace_path, O_WRONLY | O_APPEND | O_CLOEXEC);

		if (fd < 0)
			return;
		write_all(fd, text, size);
		close(fd);
	}
}

void mpx__trace_file_append(const char *text, size_t size)
{
	int saved = errno;

	if (size && atomic_load(&mpx__family_base->trace_state) == OPEN)
		append(text, size);
	errno = saved;
}

/* Behind all exit handlers: children have ended. Nothing is appended any more. */
__attribute__((destructor)) static void end_file(void)
{
	struct mpx__family *f = mpx__family_base;

	if (!f || held < 0 || holder != getpid() || atomic_load(&f->trace_state) != OPEN)
		return;
	atomic_store(&f->trace_state, ENDED);
	append("\n]\n", 3);
	if (is_held())
		close(held);
	held = -1;
}
