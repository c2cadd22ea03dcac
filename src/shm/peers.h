/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The table of peers: a slot for each live process of the family, and the one
 * place that answers "is this process dead?".
 *
 * A peer is named by an id of 30 bits: slot (12 bits, never 0) and generation of
 * the slot (18 bits). Owner words hold ids, not pids: a slot that was given to
 * another process has another generation, so whoever it named before is dead.
 *
 * A slot's life: FREE(g) -> RESERVED(g) -> BEGINNING(g) -> RUNNING(g) -> FREE(g+1), each
 * by one compare-exchange. The parent reserves before it forks; the child's first act is
 * to begin, and if that fails (the parent died and somebody buried the slot) it must end
 * at once. A parent that has told the child's pid may die: the slot lasts as long as the child. A
 * process that nobody reserved for goes from FREE to BEGINNING (where none is free, from a dead
 * one's RUNNING(g - 1)). While it is that, its pid stands in the word, and it alone writes the rest
 * of the slot. Whoever has evidence of a death may bury.
 */
#ifndef MPX_SHM_PEERS_H
#define MPX_SHM_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MPX__PEER_SLOTS = 4096 };

struct mpx__peer {
	/* creator's id << 32 | generation << 2 | state, so that all change at once.
	 * The creator is 0 where nobody will reap: first process, plain fork().
	 * BEGINNING: the process's own pid instead. */
	_Alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t birth;	 /* by the child; with pid, one process for good */
	_Atomic uint64_t pid;	 /* by parent and child, the same: generation << 32 | pid */
	_Atomic uint32_t exited; /* by the child before _exit: generation << 9 | 0x100 | code */
	_Atomic uint32_t claims; /* blocks tagged with its id; may be too large */
};

struct mpx__peers {
	_Atomic uint32_t cursor; /* where to look for a free slot next; a hint */
	_Atomic uint32_t used;	 /* slots from here on were never taken */
	struct mpx__peer slot[MPX__PEER_SLOTS];
};

/* The calling process's id, 0 until it needs one. */
extern _Atomic uint32_t mpx__peer_self;
/* Takes a slot for the caller, which has none. */
uint32_t mpx__peer_join(void);
/* The caller's id; takes a slot if it has none. 0 with EAGAIN: table full. */
static inline uint32_t mpx__self(void)
{
	uint32_t id = atomic_load_explicit(&mpx__peer_self, memory_order_relaxed);

	return id ? id : mpx__peer_join();
}

/* For the parent: a slot for a child; 0 with EAGAIN. cancel: fork failed. */
uint32_t mpx__peer_reserve(void);
void mpx__peer_cancel(uint32_t id);

/* For the child: it is id now. False: end at once. */
bool mpx__peer_begin(uint32_t id);

/* For the parent, as soon as it knows the pid. */
void mpx__peer_set_pid(uint32_t id, pid_t pid);
/* 0: not known. */
pid_t mpx__peer_pid(uint32_t id);

/* For the child: leaves its exit code where no other wait can take it. */
void mpx__peer_exit(int code);
/* True and *code, if it did. Only before bury. */
bool mpx__peer_exited(uint32_t id, int *code);

/* True only on evidence; cheap if the slot has been buried, else a look at the
 * system (some microseconds). */
bool mpx__peer_dead(uint32_t id);

/* After its death: its blocks in flight go back to the heap, its slot is free. */
void mpx__peer_bury(uint32_t id);

/* Buries all that nobody else will: so that what they held comes back. */
void mpx__peers_tidy(void);

/* A block was tagged with the caller's id (+1), or is no more (-1). */
void mpx__peer_count_claim(int change);

#endif
