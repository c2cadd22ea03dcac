/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx.h - Python's multiprocessing for C: `#include <mpx.h>` is the
 * `import multiprocessing` of C. One header per module stands behind it, and
 * each of them is its own manual:
 *
 *   mpx/process.h   Process, current_process, active_children, cpu_count
 *   mpx/sync.h      Lock, RLock, Semaphore, Condition, Event, Barrier
 *   mpx/value.h     Value, Array
 *   mpx/memory.h    memory shared by all processes of the family
 *   mpx/shared_memory.h  SharedMemory, ShareableList: memory with a name
 *   mpx/queue.h     Queue, JoinableQueue, SimpleQueue
 *   mpx/connection.h  Pipe, Connection, wait
 *   mpx/pool.h      Pool, AsyncResult
 *   mpx/executor.h  ProcessPoolExecutor, Future, wait, as_completed
 *   mpx/progress.h  progress of maps, a progress bar
 *   mpx/log.h       get_logger, log_to_stderr
 *
 * Six rules hold for every function:
 *
 *  1. A constructor returns a pointer, or NULL with errno. An operation returns
 *     0 (or a count), or -1 with errno. Nothing prints, aborts, or installs a
 *     signal handler in your process.
 *  2. A constructor with options takes keyword arguments:
 *     mpx_pool_new(.processes = 4). A field left out is Python's default.
 *     The function behind it (mpx_pool_create) serves C++ and bindings.
 *  3. Timeouts are seconds, a double, the last argument, on the monotonic
 *     clock: MPX_FOREVER waits, 0 (or less) polls, NaN is EINVAL. Not in time
 *     is always ETIMEDOUT. A signal never stretches a wait nor ends it early.
 *  4. _new/_free make and free (free takes NULL); otherwise Python's own verbs.
 *  5. A shared object (lock, value, array, queue, pool, result) and memory from
 *     mpx_malloc has the same address in every process of the *family*: the
 *     process that first called the library and all that descend from it by
 *     fork, also those that were forked before the object was made. So such a
 *     pointer may be put into a queue or given to a pool's task.
 *  6. Any process of the family may be killed at any instruction. The others
 *     never wait for it: they learn of it within a tenth of a second, as
 *     EOWNERDEAD where something may be half-done.
 *
 * errno, everywhere the same:
 *
 *   ETIMEDOUT   not in time; also empty or full with timeout 0
 *   EPIPE       the queue is closed (and, for get, drained); the connection's
 *               other end is gone (and, for recv, nothing is left); the named
 *               memory is closed
 *   ECONNRESET  the connection's other end is gone, in the middle of a message
 *   EBADMSG     what comes over the connection is too large, or no message;
 *               what stands in the named memory is no list, or no item
 *   ENOMSG      a descriptor comes next, not a message; or the other way round
 *   EMSGSIZE    the buffer is too small (the message is still there), or the
 *               message is larger than the queue or connection may ever hold,
 *               the text larger than its place
 *   EBADF       not an open descriptor; an end that only sends, or only receives
 *   EOWNERDEAD  from acquire: you hold it, but a holder died inside;
 *               from a task: its worker died; from a queue's join: who had
 *               taken a message died
 *   ECANCELED   the task was cancelled, or abandoned by terminate; the barrier is
 *               broken
 *   EPERM       not the holder, or not the parent
 *   EOVERFLOW   released, or said to be done, once too often
 *   EBUSY       wrong state: started twice, freed while running, pool closed,
 *               result ready, a lock given to what has one
 *   ECHILD      not started, or its status was taken by somebody else's wait
 *   EAGAIN      exit code not known yet; or the system has no process to give
 *   ERANGE      index or number outside
 *   ENOENT      no such name; nothing failed, so nothing can be said of it
 *   EEXIST      the name is taken
 *   EILSEQ      not UTF-8
 *   ENOTSUP     the system cannot do it, or not for this object
 *   EINVAL      bad argument: NULL, a pointer that is no such object, unknown
 *               typecode, NaN timeout, a size that overflows
 *   ENOMEM      no memory, in the family's heap or in the process
 *   ENOSPC, EMFILE, EACCES, ENAMETOOLONG ... as the system said
 *
 * Environment: MPX_CPU_COUNT (what mpx_cpu_count returns), MPX_HEAP_SIZE
 * (address space reserved for shared memory: 512M, 64G ...; default 64G, halved
 * until the system agrees; 64M under valgrind, whose leak check reads all of it),
 * MPX_LOG (a level: DEBUG, INFO ...; logs to stderr), MPX_TRACE (a file: the timeline
 * of all pools, see mpx/pool.h). All are ignored in set-user-ID programs.
 */
#ifndef MPX_H
#define MPX_H

#include <mpx/connection.h>
#include <mpx/executor.h>
#include <mpx/log.h>
#include <mpx/memory.h>
#include <mpx/pool.h>
#include <mpx/process.h>
#include <mpx/progress.h>
#include <mpx/queue.h>
#include <mpx/shared_memory.h>
#include <mpx/sync.h>
#include <mpx/value.h>
#include <mpx/version.h>

#endif
