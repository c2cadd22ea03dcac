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
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_shared_memory mpx_shared_memory;

/**
 * SharedMemory(name, create=True, size=size): a new segment of zeros, readable and
 * writable for this user only. The name may begin with a slash or not, and has no
 * other; NULL: one is made up. Where the system can do it (Linux) the name appears
 * when the segment is complete, so a maker that is killed leaves no half-made one.
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

#ifdef __cplusplus
}
#endif

#endif
