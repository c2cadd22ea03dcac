/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/peers.h"

#include "base/private.h"
#include "platform/platform.h"
#include "shm/family.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { FREE, RESERVED, RUNNING, BEGINNING };

#define SLOT_BITS 12
#define GENERATIONS (UINT32_C(1) << 18)

/* The calling process's id, 0 until it needs one. */
_Atomic uint32_t mpx__peer_self;

static struct mpx__peer *slot_of(uint32_t id)
{
	return &mpx__family_base->peers.slot[id & (MPX__PEER_SLOTS - 1)];
}

static uint32_t generation_of(uint32_t id)
{
	return id >> SLOT_BITS;
}

/* who: the creator's id; the process's own pid while it is BEGINNING. */
static uint64_t make_word(uint32_t who, uint32_t generation, uint32_t state)
{
	return (uint64_t)who << 32 | generation << 2 | state;
}

static uint32_t word_state(uint64_t word)
{
	return (uint32_t)word & 3;
}

static uint32_t word_generation(uint64_t word)
{
	return (uint32_t)word >> 2;
}

static uint32_t word_who(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* 0 where nobody will bury the process when it has died. */
static uint32_t word_creator(uint64_t word)
{
	return word_state(word) == BEGINNING ? 0 : word_who(word);
}

static uint32_t make_id(uint32_t slot, uint32_t generation)
{
	return generation << SLOT_BITS | slot;
}

static uint64_t make_pid(uint32_t id, pid_t pid)
{
	return (uint64_t)generation_of(id) << 32 | (uint32_t)pid;
}

/* Generations run from 1, so that no id is small and no word in use is 0. */
static uint32_t next_generation(uint32_t generation)
{
	return generation + 1 == GENERATIONS ? 1 : generation + 1;
}

/* Is the process that is RUNNING under this id gone? */
static bool is_gone(uint32_t id)
{
	struct mpx__peer *peer = slot_of(id);

	return mpx__os_life_gone(mpx__peer_pid(id), id & (MPX__PEER_SLOTS - 1),
				 atomic_load(&peer->birth));
}

/* Nothing but its pid is known of it so far. A zombie is reaped some time. */
static bool has_ended(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

/* Not yet running, it is alive as long as its creator; and then, if that told its pid. */
static bool will_not_begin(uint32_t id, uint32_t creator)
{
	pid_t pid;

	if (word_generation(atomic_load(&slot_of(creator)->word)) == generation_of(creator) &&
	    !is_gone(creator))
		return false;
	pid = mpx__peer_pid(id); /* after the creator's last word */
	return pid == 0 || has_ended(pid);
}

bool mpx__peer_dead(uint32_t id)
{
	struct mpx__peer *peer = slot_of(id);
	uint64_t word = atomic_load(&peer->word);
	uint32_t creator = word_creator(word);
	bool gone = false;

	if (word_generation(word) != generation_of(id) || word_state(word) == FREE)
		return true;
	if (word_state(word) == RUNNING)
		gone = is_gone(id);
	else if (word_state(word) == BEGINNING)
		gone = has_ended((pid_t)word_who(word));
	else if (creator)
		gone = will_not_begin(id, creator);
	/* What was looked up must have been about this process all the time. */
	return gone || word_generation(atomic_load(&peer->word)) != generation_of(id);
}

/* If the word is still this one: who was RESERVED may have begun. */
static void bury(uint32_t id, uint64_t word)
{
	struct mpx__peer *peer = slot_of(id);

	if (word_state(word) == RUNNING && atomic_load(&peer->claims))
		mpx__heap_sweep(id);
	atomic_compare_exchange_strong(&peer->word, &word,
				       make_word(0, next_generation(generation_of(id)), FREE));
}

void mpx__peer_bury(uint32_t id)
{
	uint64_t word = atomic_load(&slot_of(id)->word);

	if (word_generation(word) == generation_of(id) && word_state(word) != FREE)
		bury(id, word);
}

/* Nobody will come to bury a process whose creator is dead, or who had none. */
static bool is_abandoned(uint32_t slot, uint64_t word)
{
	uint32_t creator = word_creator(word);

	return word_state(word) != FREE && (!creator || mpx__peer_dead(creator)) &&
	       mpx__peer_dead(make_id(slot, word_generation(word)));
}

static void bury_if_abandoned(uint32_t slot)
{
	uint64_t word = atomic_load(&mpx__family_base->peers.slot[slot].word);

	if (is_abandoned(slot, word))
		bury(make_id(slot, word_generation(word)), word);
}

static bool take_free(uint32_t slot, uint64_t from, uint64_t to)
{
	struct mpx__peers *peers = &mpx__family_base->peers;
	uint32_t used = atomic_load(&peers->used);

	while (used <= slot && !atomic_compare_exchange_weak(&peers->used, &used, slot + 1))
		;
	return atomic_compare_exchange_strong(&peers->slot[slot].word, &from, to);
}

/* A free slot becomes RESERVED by its creator, or that of a process BEGINNING: which cannot bury
 * anybody yet, since it is nobody. */
static uint32_t take_slot(uint32_t who, uint32_t state)
{
	struct mpx__peers *peers = &mpx__family_base->peers;

	for (uint32_t tried = 0; tried < 2 * MPX__PEER_SLOTS; tried++) {
		uint32_t slot = atomic_fetch_add(&peers->cursor, 1) % MPX__PEER_SLOTS;
		uint64_t word = atomic_load(&peers->slot[slot].word);
		uint32_t generation = word_generation(word) ? word_generation(word) : 1;

		if (slot == 0)
			continue;
		if (word_state(word) != FREE && state == RESERVED)
			bury_if_abandoned(slot);
		else if (word_state(word) != FREE)
			continue;
		else if (take_free(slot, word, make_word(who, generation, state)))
			return make_id(slot, generation);
	}
	errno = EAGAIN;
	return 0;
}

/* The same where none is free: that of an abandoned process, who may have left blocks. */
static uint32_t take_dead(uint32_t who, uint32_t *dead)
{
	struct mpx__peers *peers = &mpx__family_base->peers;

	for (uint32_t slot = 1; slot < MPX__PEER_SLOTS; slot++) {
		uint64_t word = atomic_load(&peers->slot[slot].word);
		uint32_t generation = next_generation(word_generation(word));

		if (is_abandoned(slot, word) &&
		    atomic_compare_exchange_strong(&peers->slot[slot].word, &word,
						   make_word(who, generation, BEGINNING))) {
			*dead = make_id(slot, word_generation(word));
			return make_id(slot, generation);
		}
	}
	errno = EAGAIN;
	return 0;
}

void mpx__peers_tidy(void)
{
	uint32_t used = atomic_load(&mpx__family_base->peers.used);

	for (uint32_t slot = 1; slot < used; slot++)
		bury_if_abandoned(slot);
}

/* BEGINNING to RUNNING: the calling process is id. */
static bool begin(uint32_t id, uint32_t creator)
{
	struct mpx__peer *peer = slot_of(id);
	uint32_t pid = (uint32_t)getpid();
	uint64_t word = make_word(pid, generation_of(id), BEGINNING);

	atomic_store(&peer->pid, make_pid(id, (pid_t)pid));
	atomic_store(&peer->birth, mpx__os_life_begin(id & (MPX__PEER_SLOTS - 1)));
	atomic_store(&peer->claims, 0);
	return atomic_compare_exchange_strong(&peer->word, &word,
					      make_word(creator, generation_of(id), RUNNING));
}

uint32_t mpx__peer_reserve(void)
{
	uint32_t me = mpx__self();

	return me ? take_slot(me, RESERVED) : 0;
}

void mpx__peer_cancel(uint32_t id)
{
	mpx__peer_bury(id);
}

void mpx__peer_set_pid(uint32_t id, pid_t pid)
{
	struct mpx__peer *peer = slot_of(id);
	uint64_t seen = atomic_load(&peer->pid);

	/* The slot may have been buried, and be another one's by now. */
	if (word_generation(atomic_load(&peer->word)) == generation_of(id))
		atomic_compare_exchange_strong(&peer->pid, &seen, make_pid(id, pid));
}

pid_t mpx__peer_pid(uint32_t id)
{
	uint64_t pid = atomic_load(&slot_of(id)->pid);

	return pid >> 32 == generation_of(id) ? (pid_t)(uint32_t)pid : 0;
}

bool mpx__peer_begin(uint32_t id)
{
	_Atomic uint64_t *place = &slot_of(id)->word;
	uint32_t creator = word_creator(atomic_load(place));
	uint64_t word = make_word(creator, generation_of(id), RESERVED);

	/* Nothing may be written before: the slot may be another one's by now. */
	if (!atomic_compare_exchange_strong(
		    place, &word, make_word((uint32_t)getpid(), generation_of(id), BEGINNING)))
		return false;
	if (!begin(id, creator))
		return false;
	atomic_store(&mpx__peer_self, id);
	return true;
}

void mpx__peer_exit(int code)
{
	uint32_t id = atomic_load(&mpx__peer_self);

	atomic_store(&slot_of(id)->exited,
		     generation_of(id) << 9 | 0x100 | (uint32_t)(code & 0xff));
}

bool mpx__peer_exited(uint32_t id, int *code)
{
	uint32_t exited = atomic_load(&slot_of(id)->exited);

	if (exited >> 9 != generation_of(id) || !(exited & 0x100))
		return false;
	*code = (int)(exited & 0xff);
	return true;
}

void mpx__peer_count_claim(int change)
{
	atomic_fetch_add_explicit(&slot_of(mpx__self())->claims, (uint32_t)change,
				  memory_order_relaxed);
}

/* --- this process ------------------------------------------------------------ */

/* After any fork the child is nobody yet. */
static void forget_self(void)
{
	atomic_store(&mpx__peer_self, 0);
}

uint32_t mpx__peer_join(void)
{
	uint32_t id, dead = 0;

	if (!mpx__family())
		return 0;
	mpx__private_at_fork(forget_self);
	mpx__private_lock();
	id = atomic_load(&mpx__peer_self);
	if (!id) {
		id = take_slot((uint32_t)getpid(), BEGINNING);
		if (!id)
			id = take_dead((uint32_t)getpid(), &dead);
		if (id && !begin(id, 0)) {
			id = 0;
			errno = EAGAIN;
		}
		atomic_store(&mpx__peer_self, id);
		if (id && dead) {
			mpx__heap_sweep(dead);
			mpx__peers_tidy();
		}
	}
	mpx__private_unlock();
	return id;
}
