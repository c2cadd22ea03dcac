/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.shared_memory.SharedMemory: a segment of shm_open, byte for byte
 * Python's. The name is what others see, so where the system allows it comes last:
 * a maker that is killed leaves nothing, or all.
 */
#include "shm/shared_memory.h"
#include "base/handle.h"
#include "platform/platform.h"
#include "shm/auto_name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mpx_shared_memory {
	struct mpx__handle handle;
	void *_Atomic buf;	 /* NULL once it is closed here */
	size_t size;		 /* constant */
	char path[NAME_MAX + 2]; /* constant: the name behind a slash */
};

static struct mpx__handles handles = {.size = sizeof(mpx_shared_memory)};

static bool is_shared_memory(const mpx_shared_memory *m)
{
	return mpx__handle_is(&handles, m);
}

/* Writes "/name" to path; 0, or an errno value. */
static int take_name(char *path, const char *name)
{
	size_t length;

	if (!name)
		return EINVAL;
	name += *name == '/';
	length = strlen(name);
	if (length == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return EINVAL;
	if (length > NAME_MAX)
		return ENAMETOOLONG;
	path[0] = '/';
	memcpy(path + 1, name, length + 1);
	return 0;
}

static int map(mpx_shared_memory *m, int fd, size_t size)
{
	void *buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (buf == MAP_FAILED)
		return -1;
	m->buf = buf;
	m->size = size;
	return 0;
}

static void unmap(mpx_shared_memory *m)
{
	void *buf = atomic_exchange(&m->buf, NULL);

	if (buf)
		munmap(buf, m->size);
}

/* --- making -------------------------------------------------------------------------- */

struct contents {
	size_t size;
	void (*fill)(void *buf, const void *arg);
	const void *arg;
};

static int complete(mpx_shared_memory *m, int fd, const struct contents *c)
{
	if (mpx__os_shm_fill(fd, c->size) != 0 || map(m, fd, c->size) != 0)
		return -1;
	if (c->fill)
		c->fill(m->buf, c->arg);
	return 0;
}

/* The older way: there is a name first, and then what it stands for. */
static int make_named(mpx_shared_memory *m, const struct contents *c)
{
	int fd = shm_open(m->path, O_RDWR | O_CREAT | O_EXCL, 0600);
	int result, error;

	if (fd < 0)
		return -1;
	result = complete(m, fd, c);
	error = errno;
	if (result != 0)
		shm_unlink(m->path);
	close(fd);
	errno = error;
	return result;
}

/* The contents first. Any refusal but EEXIST is a reason to try the older way, which
 * then says what the matter is; but nobody needs to hear ENOSPC twice. */
static int make(mpx_shared_memory *m, const struct contents *c)
{
	int fd = mpx__os_shm_unnamed(), result, error;

	if (fd < 0)
		return make_named(m, c);
	result = complete(m, fd, c);
	error = errno;
	if (result == 0 && mpx__os_shm_publish(fd, m->path + 1) != 0) {
		result = -1;
		error = errno == EEXIST ? EEXIST : ENOTSUP;
		unmap(m);
	}
	close(fd);
	if (result != 0 && error == ENOTSUP)
		return make_named(m, c);
	errno = error;
	return result;
}

/* Left-overs of earlier processes, or our own segments, may have some of the names. */
static int make_auto(mpx_shared_memory *m, const struct contents *c)
{
	char name[MPX__AUTO_NAME];

	for (int i = 0; i < MPX__AUTO_SERIALS; i++) {
		mpx__auto_name(name);
		take_name(m->path, name);
		if (make(m, c) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return -1;
}

mpx_shared_memory *mpx__shared_memory_make(const char *name, size_t size,
					   void (*fill)(void *buf, const void *arg),
					   const void *arg)
{
	const struct contents c = {size, fill, arg};
	char path[sizeof((mpx_shared_memory *)0)->path] = "";
	int error = size == 0 ? EINVAL : name ? take_name(path, name) : 0;
	mpx_shared_memory *m;

	if (error) {
		errno = error;
		return NULL;
	}
	m = mpx__handle_new(&handles);
	if (!m)
		return NULL;
	memcpy(m->path, path, sizeof path);
	if ((name ? make(m, &c) : make_auto(m, &c)) != 0) {
		error = errno;
		mpx_shared_memory_free(m);
		errno = error;
		return NULL;
	}
	return m;
}

mpx_shared_memory *mpx_shared_memory_create(const char *name_or_null, size_t size)
{
	return mpx__shared_memory_make(name_or_null, size, NULL, NULL);
}

/* --- attaching ------------------------------------------------------------------------ */

static int attach(mpx_shared_memory *m)
{
	int fd, result = -1, error;
	struct stat st;

	do
		fd = shm_open(m->path, O_RDWR, 0);
	while (fd < 0 && errno == EINTR); /* a sweep may look at it just now */
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0)
		error = errno;
	else if (st.st_size <= 0)
		error = EINVAL;
	else if ((uintmax_t)st.st_size > SIZE_MAX)
		error = ENOMEM;
	else
		error = (result = map(m, fd, (size_t)st.st_size)) == 0 ? 0 : errno;
	close(fd);
	if (result != 0)
		errno = error;
	return result;
}

mpx_shared_memory *mpx_shared_memory_open(const char *name)
{
	char path[sizeof((mpx_shared_memory *)0)->path] = "";
	int error = take_name(path, name);
	mpx_shared_memory *m;

	if (error) {
		errno = error;
		return NULL;
	}
	m = mpx__handle_new(&handles);
	if (!m)
		return NULL;
	memcpy(m->path, path, sizeof path);
	if (attach(m) != 0) {
		error = errno;
		mpx_shared_memory_free(m);
		errno = error;
		return NULL;
	}
	return m;
}

/* --- using ----------------------------------------------------------------------------- */

void *mpx_shared_memory_buf(const mpx_shared_memory *m)
{
	void *buf;

	if (!is_shared_memory(m))
		return NULL;
	buf = atomic_load(&m->buf);
	if (!buf)
		errno = EPIPE;
	return buf;
}

size_t mpx_shared_memory_size(const mpx_shared_memory *m)
{
	return is_shared_memory(m) ? m->size : 0;
}

const char *mpx_shared_memory_name(const mpx_shared_memory *m)
{
	return is_shared_memory(m) ? m->path + 1 : NULL;
}

int mpx_shared_memory_close(mpx_shared_memory *m)
{
	if (!is_shared_memory(m))
		return -1;
	unmap(m);
	return 0;
}

int mpx_shared_memory_unlink(mpx_shared_memory *m)
{
	return is_shared_memory(m) ? shm_unlink(m->path) : -1;
}

void mpx_shared_memory_free(mpx_shared_memory *m)
{
	if (m && mpx_shared_memory_close(m) == 0)
		mpx__handle_free(m);
}

/* --- sweeping -------------------------------------------------------------------------- */

static void sweep_one(const char *name, void *arg)
{
	char path[MPX__AUTO_NAME + 1];
	int *swept = arg;

	if (!mpx__auto_name_orphaned(name) || !mpx__os_shm_unused(name))
		return;
	take_name(path, name);
	if (shm_unlink(path) == 0)
		(*swept)++;
}

int mpx_shared_memory_sweep(void)
{
	int swept = 0;

	return mpx__os_shm_list(sweep_one, &swept) == 0 ? swept : -1;
}
