/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/handle.h"

#include "base/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 16 };

static size_t chunk_size(const struct mpx__handles *handles, int i)
{
	return handles->size * ((size_t)FIRST << i);
}

/* A free one in the chunk, or NULL. */
static struct mpx__handle *find_free(const struct mpx__handles *handles, char *chunk, int i)
{
	for (size_t at = 0; at < chunk_size(handles, i); at += handles->size) {
		struct mpx__handle *h = (void *)(chunk + at);

		if (!atomic_load(&h->used))
			return h;
	}
	return NULL;
}

void *mpx__handle_new(struct mpx__handles *handles)
{
	struct mpx__handle *h = NULL;

	mpx__private_lock(); /* which a fork holds as well */
	for (int i = 0; i < MPX__HANDLE_CHUNKS && !h; i++) {
		char *chunk = atomic_load(&handles->chunk[i]);

		if (!chunk) {
			chunk = calloc(1, chunk_size(handles, i));
			if (!chunk)
				break;
			atomic_store(&handles->chunk[i], chunk);
		}
		h = find_free(handles, chunk, i);
	}
	if (h) {
		memset(h, 0, handles->size);
		atomic_store(&h->used, 1);
	}
	mpx__private_unlock();
	if (!h)
		errno = ENOMEM;
	return h;
}

bool mpx__handle_is(struct mpx__handles *handles, const void *p)
{
	for (int i = 0; i < MPX__HANDLE_CHUNKS; i++) {
		uintptr_t chunk = (uintptr_t)atomic_load(&handles->chunk[i]);
		size_t at = (uintptr_t)p - chunk;

		if (!chunk)
			break;
		if ((uintptr_t)p >= chunk && at < chunk_size(handles, i)) {
			const struct mpx__handle *h = p;

			if (at % handles->size == 0 && atomic_load(&h->used))
				return true;
			break;
		}
	}
	errno = EINVAL;
	return false;
}

void mpx__handle_free(void *p)
{
	atomic_store(&((struct mpx__handle *)p)->used, 0);
}
