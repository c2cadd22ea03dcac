/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/shared_memory.h - multiprocessing.shared_memory: memory with a name, for
 * programs that are no relatives, also such as are written in Python.
 *
 *     mpx_shared_memory *m = mpx_shared_memory_create(NULL, 4096);
 *     puts(mpx_shared_memory_name(m));             psm_... : tell it to the others
 *     memcpy(mpx_shared_memory_buf(m), data, size);
 *     ...
 *     mpx_shared_memory_unlink(m);                 once, by one of them
 *     mpx_shared_memory_free(m);                   by each of them
 *
 *     m = mpx_shared_memory_open("psm_...");       another program, or in Python:
 *                                                  SharedMemory("psm_...")
 *
 * Processes of one family need none of this: mpx_malloc (mpx/memory.h) has no names
 * and leaves nothing behind. A named segment stays until it is unlinked or the machine
 * is started anew, whoever dies. mpx_shared_memory_sweep removes what the dead left.
 *
 * A handle belongs to the process that has it; a child made by fork has a copy of
 * its own that works the same. Ending does nothing to the name, and nor does closing.
 *
 * Python up to 3.12 unlinks, when it ends, also what it has only attached to (its
 * resource tracker). There, say after attaching:
 *     resource_tracker.unregister(m._name, "shared_memory")
 * and from 3.13 on SharedMemory(name, track=False).
 *
 * All memory of a segment is taken when it is made, so a full /dev/shm is ENOSPC, and
 * never SIGBUS later. (A segment of Python's is not: touching that can still be
 * SIGBUS, and so is any segment that somebody makes shorter.)
 *
 * https://docs.python.org/3/library/multiprocessing.shared_memory.html
 */
#ifndef MPX_SHARED_MEMORY_H
#define MPX_SHARED_MEMORY_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- SharedMemory ---------------------------------------------------------- */

typedef struct mpx_shared_memory mpx_shared_memory;

/**
 * SharedMemory(name, create=True, size=size): a new segment of zeros, readable and
 * writable for this user only. The name may begin with a slash or not, and has no
 * other; NULL: one is made up. Where the system can do it (Linux) the name appears
 * when the segment is complete, so a maker that is killed leaves no half-made one;
 * elsewhere one under a name of yours may be left, until shm_unlink.
 *
 * Fails with EEXIST; EINVAL (size 0, not a name), ENAMETOOLONG, ENOSPC (/dev/shm, or
 * the machine, has not so much left), EFBIG (RLIMIT_FSIZE), ENOMEM, EMFILE, EACCES.
 * Nothing is left then. EEXIST without a name: 16384 segments of this process have
 * one already.
 *
 * Threads: safe.
 * Fork: the handle is the caller's; children forked later have copies.
 * Signals: not async-signal-safe; one that arrives does not end it.
 * Blocks: while the system clears the memory: about a second for 4 GiB.
 */
MPX_API mpx_shared_memory *mpx_shared_memory_create(const char *name_or_null, size_t size);

/**
 * SharedMemory(name): attaches to a segment that any program has made. Its size is
 * what the system says. Fails with ENOENT, EACCES, EINVAL (not a name; or it has no
 * size yet: its maker is about to give it one), ENAMETOOLONG, ENOMEM, EMFILE.
 *
 * Threads: safe.
 * Fork: the handle is the caller's; children forked later have copies.
 * Signals: not async-signal-safe.
 * Blocks: never, but for a moment while a sweep looks at the segment.
 */
MPX_API mpx_shared_memory *mpx_shared_memory_open(const char *name);

/**
 * SharedMemory.buf: where the segment lies in this process and in its later children
 * (elsewhere it lies elsewhere: keep offsets in it, not pointers). NULL with EPIPE
 * once it is closed, with EINVAL for what is no handle.
 *
 * Threads: safe; what you do through the pointer is yours to synchronise.
 * Fork: the pointer is good in children.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API void *mpx_shared_memory_buf(const mpx_shared_memory *m);

/**
 * SharedMemory.size: in bytes; at least what was asked for, and on some systems
 * rounded up to pages. 0 with EINVAL.
 *
 * Threads: safe.
 * Fork: the same in children.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_shared_memory_size(const mpx_shared_memory *m);

/**
 * SharedMemory.name: without a slash; what all programs may open. It lasts as long
 * as the handle. NULL with EINVAL.
 *
 * Threads: safe.
 * Fork: the same in children.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API const char *mpx_shared_memory_name(const mpx_shared_memory *m);

/**
 * SharedMemory.close(): this process (not its children) gives up the memory; the
 * segment and its name stay. name, size and unlink go on working; closing twice
 * does nothing. Fails with EINVAL.
 *
 * Threads: nobody may use the memory any more.
 * Fork: each process closes for itself.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shared_memory_close(mpx_shared_memory *m);

/**
 * SharedMemory.unlink(): the name is gone and can be used anew; who has the segment
 * open keeps it, and its memory goes with the last of them. Before or after closing,
 * but once: the second time is ENOENT, whoever did the first. Fails with EINVAL.
 *
 * Threads: safe.
 * Fork: one process does it for all.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shared_memory_unlink(mpx_shared_memory *m);

/**
 * Closes, and forgets the handle; never unlinks. NULL is fine; what is no handle is
 * left alone, with errno EINVAL.
 *
 * Threads: nobody may use the handle any more.
 * Fork: each process frees its own.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API void mpx_shared_memory_free(mpx_shared_memory *m);

/**
 * Removes the names of segments that nobody needs any more: those that
 *
 *   - the library has named (by create with NULL; the name tells the maker),
 *   - for this user, in this PID and time namespace,
 *   - whose maker is dead, on the kernel's evidence (its pid, used anew by another
 *     process, does not count as alive where the system tells when that one began),
 *   - and that no process has open or mapped, be it of this library or not.
 *
 * In doubt a name stays. So segments with names of your own, and Python's, always stay.
 * Call it when a program begins, for instance. How many were removed; -1 with ENOTSUP
 * where the system does not list names (it does on Linux).
 *
 * Plain POSIX cannot tell who has a segment open: there the maker's death is all that
 * counts, and who has it open keeps it. A name that was told by a maker that has
 * closed it and is dead, to somebody who has not opened it yet, is gone: unlink it last.
 *
 * Threads: safe.
 * Fork: any process may call it.
 * Signals: not async-signal-safe. Should a program open a segment in the very moment in
 *          which it is looked at, the caller gets a SIGURG, which does nothing unless it
 *          is handled.
 * Blocks: never.
 */
MPX_API int mpx_shared_memory_sweep(void);

/* --- ShareableList ---------------------------------------------------------
 *
 *     const mpx_shareable_item items[] = {
 *             mpx_shareable_str("howdy"), mpx_shareable_double(-273.154),
 *             mpx_shareable_int(100),     mpx_shareable_none(),
 *     };
 *     mpx_shareable_list *l = mpx_shareable_list_create(items, 4, NULL);
 *     mpx_shareable_list_set_int(l, 2, 42);
 *
 * A list in a named segment, in the layout of Python 3.9 and later (3.8 had another):
 * ShareableList(name="psm_...") is the same list. Its length is fixed, and so is the
 * room for each item: 8 bytes, for text (str and bytes) the next multiple of 8 above
 * what it was made with. Any item may change its type.
 *
 * What that layout cannot tell: NUL bytes at the end of text. They are lost, as in
 * Python. Python gives a str room by its characters, and cuts what is longer in UTF-8.
 *
 * There is no lock, as in Python: have one of your own where one writes what another
 * reads. Numbers that keep their type are stored at once. Any other set makes the
 * item None first, and last what it becomes: who is killed inside leaves the others'
 * items as they were, and this one as None, if not as it was or should be.
 */

typedef struct mpx_shareable_list mpx_shareable_list;

typedef enum mpx_shareable_type {
	MPX_SHAREABLE_NONE,
	MPX_SHAREABLE_INT,    /**< 64 bits, signed */
	MPX_SHAREABLE_DOUBLE, /**< Python's float */
	MPX_SHAREABLE_BOOL,
	MPX_SHAREABLE_STR, /**< UTF-8 */
	MPX_SHAREABLE_BYTES
} mpx_shareable_type;

/** An item, as create, count and index take it. */
typedef struct mpx_shareable_item {
	mpx_shareable_type type;
	union {
		int64_t i;
		double d;
		bool b;
		const void *text; /**< of size bytes; not copied before the call */
	};
	size_t size;
} mpx_shareable_item;

/* The ways to make one. */
static inline mpx_shareable_item mpx_shareable_none(void)
{
	mpx_shareable_item item;
	item.type = MPX_SHAREABLE_NONE;
	item.i = 0;
	item.size = 0;
	return item;
}

static inline mpx_shareable_item mpx_shareable_int(int64_t x)
{
	mpx_shareable_item item = mpx_shareable_none();
	item.type = MPX_SHAREABLE_INT;
	item.i = x;
	return item;
}

static inline mpx_shareable_item mpx_shareable_double(double x)
{
	mpx_shareable_item item = mpx_shareable_none();
	item.type = MPX_SHAREABLE_DOUBLE;
	item.d = x;
	return item;
}

static inline mpx_shareable_item mpx_shareable_bool(bool x)
{
	mpx_shareable_item item = mpx_shareable_none();
	item.type = MPX_SHAREABLE_BOOL;
	item.b = x;
	return item;
}

static inline mpx_shareable_item mpx_shareable_str(const char *text)
{
	mpx_shareable_item item = mpx_shareable_none();
	item.type = MPX_SHAREABLE_STR;
	item.text = text;
	item.size = text ? strlen(text) : 0;
	return item;
}

static inline mpx_shareable_item mpx_shareable_bytes(const void *bytes, size_t size)
{
	mpx_shareable_item item = mpx_shareable_none();
	item.type = MPX_SHAREABLE_BYTES;
	item.text = bytes;
	item.size = size;
	return item;
}

/**
 * ShareableList(items, name=name): a new list of n items (which may be 0) in a new
 * segment. Fails as mpx_shared_memory_create does; and with EINVAL (items or a text
 * is NULL, unknown type), EILSEQ (a str that is not UTF-8), EMSGSIZE (a text of ten
 * million bytes or more, which the layout cannot tell).
 *
 * Threads: safe.
 * Fork: the handle is the caller's; children forked later have copies.
 * Signals: not async-signal-safe.
 * Blocks: as mpx_shared_memory_create.
 */
MPX_API mpx_shareable_list *mpx_shareable_list_create(const mpx_shareable_item *items, size_t n,
						      const char *name_or_null);

/**
 * ShareableList(name=name): attaches to a list that C or Python has made. Fails as
 * mpx_shared_memory_open does; EBADMSG: what stands there is no such list. Everything
 * is checked, and whatever others write there later, nothing outside of the segment
 * is read or written. (A segment of zeros is a list of no items.)
 *
 * Threads: safe.
 * Fork: the handle is the caller's; children forked later have copies.
 * Signals: not async-signal-safe.
 * Blocks: as mpx_shared_memory_open.
 */
MPX_API mpx_shareable_list *mpx_shareable_list_open(const char *name);

/**
 * len(l). 0 with EINVAL for what is no list.
 *
 * Threads: safe.
 * Fork: the same in children.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API size_t mpx_shareable_list_len(const mpx_shareable_list *l);

/**
 * What item i is: a mpx_shareable_type. -1 with ERANGE (i is not below the length),
 * EPIPE (closed), EINVAL, EBADMSG: somebody has written what is no item; a set mends it.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_type(const mpx_shareable_list *l, size_t i);

/**
 * How many bytes of text item i has room for. -1 as for type.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_room(const mpx_shareable_list *l, size_t i);

/**
 * l[i], for an item of that type: EINVAL for one of another (nothing is converted),
 * ERANGE, EPIPE, EBADMSG.
 *
 * Threads: safe; a text while it is set may be torn.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_get_int(const mpx_shareable_list *l, size_t i, int64_t *out);
/** Likewise.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_get_double(const mpx_shareable_list *l, size_t i, double *out);
/** Likewise.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_get_bool(const mpx_shareable_list *l, size_t i, bool *out);

/**
 * l[i] for a str: copied to buf with a NUL behind it. Its length without that; room + 1
 * bytes are always enough. -1 with EMSGSIZE if cap is not, EILSEQ if it is not UTF-8
 * (Python: UnicodeDecodeError), or as above.
 *
 * Threads: safe; while it is set it may be torn.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_get_str(const mpx_shareable_list *l, size_t i, char *buf,
					   size_t cap);
/** l[i] for bytes: copied to buf; how many. -1 with EMSGSIZE, or as above.
 *
 * Threads: safe; while they are set they may be torn.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_get_bytes(const mpx_shareable_list *l, size_t i, void *buf,
					     size_t cap);

/**
 * l[i] = item, whatever type it had. Fails with EMSGSIZE (a text is longer than its
 * room: nothing is changed), ERANGE, EPIPE, EILSEQ, EINVAL.
 *
 * Threads: safe on different items.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_set(mpx_shareable_list *l, size_t i, mpx_shareable_item item);
#define mpx_shareable_list_set_none(l, i) mpx_shareable_list_set((l), (i), mpx_shareable_none())
#define mpx_shareable_list_set_int(l, i, x) mpx_shareable_list_set((l), (i), mpx_shareable_int(x))
#define mpx_shareable_list_set_double(l, i, x)                                                     \
	mpx_shareable_list_set((l), (i), mpx_shareable_double(x))
#define mpx_shareable_list_set_bool(l, i, x) mpx_shareable_list_set((l), (i), mpx_shareable_bool(x))
#define mpx_shareable_list_set_str(l, i, text)                                                     \
	mpx_shareable_list_set((l), (i), mpx_shareable_str(text))
#define mpx_shareable_list_set_bytes(l, i, bytes, size)                                            \
	mpx_shareable_list_set((l), (i), mpx_shareable_bytes((bytes), (size)))

/**
 * l.count(item): how many items are equal. As in Python, numbers are compared by value
 * (1 is 1.0 and true), str and bytes are never equal. -1 as for set and get.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_count(const mpx_shareable_list *l, mpx_shareable_item item);

/**
 * l.index(item): the first item that is equal. -1 with ENOENT: there is none
 * (Python: ValueError).
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_index(const mpx_shareable_list *l, mpx_shareable_item item);

/**
 * l.format: the codes of Python's struct module of all items, one after the other, with
 * a NUL behind them. Its length; 8 bytes an item and one are always enough. -1 with
 * EMSGSIZE, EPIPE, EINVAL, EBADMSG.
 *
 * Threads: safe.
 * Fork: usable in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API ssize_t mpx_shareable_list_format(const mpx_shareable_list *l, char *buf, size_t cap);

/**
 * l.shm: the segment that the list stands in, for its name and size. The handle is
 * the list's, and freed with it. NULL with EINVAL.
 *
 * Threads: safe.
 * Fork: the same in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API mpx_shared_memory *mpx_shareable_list_shm(const mpx_shareable_list *l);

/**
 * l.shm.name. NULL with EINVAL.
 *
 * Threads: safe.
 * Fork: the same in children.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API const char *mpx_shareable_list_name(const mpx_shareable_list *l);

/**
 * l.shm.close(): as mpx_shared_memory_close. The items are EPIPE from now on.
 *
 * Threads: nobody may use the list any more.
 * Fork: each process closes for itself.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_close(mpx_shareable_list *l);

/**
 * l.shm.unlink(): as mpx_shared_memory_unlink.
 *
 * Threads: safe.
 * Fork: one process does it for all.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_shareable_list_unlink(mpx_shareable_list *l);

/**
 * Closes, and forgets the handle and that of its segment; never unlinks. NULL is fine;
 * what is no list is left alone, with errno EINVAL.
 *
 * Threads: nobody may use the list any more.
 * Fork: each process frees its own.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API void mpx_shareable_list_free(mpx_shareable_list *l);

#ifdef __cplusplus
}
#endif

#endif
