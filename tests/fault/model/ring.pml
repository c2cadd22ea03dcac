/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * ring.pml - put and get of src/ipc/queue.c, recovery of queue_recover.c: two
 * producers with PUTS messages each, CONSUMERS consumers, a ring of ROOM records, every
 * message in a block of its own; up to KILLS of them are killed, each at any step. A
 * block's tag says whose it is: its producer's, then the queue's, then its consumer's;
 * 0 is free.
 *
 *   - what was put is got once, unless a killed consumer had it; what was got had
 *     been put, or its put was under way when its producer was killed, or ran on;
 *   - nobody gets a block that is not his, or another message in it;
 *   - no block is freed that is somebody else's, and in the end all are free;
 *   - nobody waits for ever (no invalid end state).
 *
 * Behind the last record stands a 0; a record is committed when it takes the place of
 * that, and the tail, which only producers look at, follows.
 *
 * The guards are lock.pml's, here one step; a sleep of eventcount.h is a condition
 * that is true at the latest when a slice is over. Blocks of the dead are swept at
 * any moment after the death, and used again at once.
 *
 * What must fail: -DNO_NOTE (nobody knows of the block of who died in between),
 * -DNO_SERIAL (notes that name a block, not an allocation), -DLATE_TAG (the block
 * is the queue's only after the commit), -DNO_UNDO (the next producer does not look at
 * the tail), -DNO_TAIL (nor does it move it behind what was committed), -DNO_END (no 0
 * behind the record), -DNO_RECOVERY (nobody recovers).
 *
 *     spin -a ring.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 */
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef PUTS
#define PUTS 1
#endif
#ifndef ROOM
#define ROOM 1 /* maxsize, and records in the ring */
#endif
#define BLOCKS 4 /* 1 to ROOM + 1; 0 is NULL */
#define MESSAGES (2 * PUTS)
#define QUEUE 7
#define PEERS 5 /* producers 1, 2; consumers 3, 4 */
#define USER 6	/* who closes and frees */

byte tag[BLOCKS], content[BLOCKS], serial[BLOCKS];
#define PLACES (ROOM + 1)
byte ring[PLACES]; /* the truth, with */
byte head, tail;   /* counts */
#define RECORD(at) (ring[(at) % PLACES] != 0)

/* What each side has under its guard. */
byte p_guard, p_count, p_before, p_note, p_serial;
byte c_guard, c_count, c_before, c_note, c_serial;
bit p_broken, c_broken; /* DIED */
bit closed;

bit dead[PEERS + 3], ended[PEERS], swept[PEERS];
byte deaths, consumers_killed;

/* What only the proof knows. */
bit done[MESSAGES], got[MESSAGES];

#ifdef NO_SERIAL
#define SAME(now, noted) true
#else
#define SAME(now, noted) (now == noted)
#endif

/* --- guards and recovery --------------------------------------------------------- */

/* free_noted: only if it is the queue's, and still the same allocation. */
inline free_noted(note, noted)
{
	if
	:: note && tag[note] == QUEUE && SAME(serial[note], noted) -> tag[note] = 0
	:: else
	fi
}

inline recover_producers()
{
#ifndef NO_RECOVERY
#ifndef NO_TAIL
	if
	:: p_before == tail && RECORD(tail) -> tail = p_before + 1
	:: else
	fi;
#endif
	if
#ifdef NO_UNDO
	:: false
#else
	:: p_before == tail -> atomic { free_noted(p_note, p_serial) }
#endif
	:: else
	fi;
	atomic { p_note = 0; p_serial = 0 };
	p_count = tail;
#endif
	p_broken = 0
}

inline recover_consumers()
{
#ifndef NO_RECOVERY
	if
	:: c_before != head -> atomic { free_noted(c_note, c_serial) }
	:: else
	fi;
	atomic { c_note = 0; c_serial = 0 };
	c_count = head;
#endif
	c_broken = 0
}

inline take_p_guard()
{
	atomic {
		(!p_guard || dead[p_guard]);
		p_broken = p_broken | (p_guard != 0);
		p_guard = me
	};
	if
	:: p_broken -> recover_producers()
	:: else
	fi
}

inline take_c_guard()
{
	atomic {
		(!c_guard || dead[c_guard]);
		c_broken = c_broken | (c_guard != 0);
		c_guard = me
	};
	if
	:: c_broken -> recover_consumers()
	:: else
	fi
}

/* --- put ------------------------------------------------------------------------- */

#define FULL (p_count - c_count >= ROOM)

proctype producer(byte me)
{
	byte n, b;

	{
		n = 0;
again:
		if
		:: n == PUTS -> goto over
		:: else
		fi;
		atomic { /* mpx__heap_alloc; ours has always room in the end */
			if
			:: !tag[1] -> b = 1
			:: !tag[2] -> b = 2
#if ROOM > 1
			:: !tag[3] -> b = 3
#endif
			:: closed -> goto over
			fi;
			tag[b] = me;
			content[b] = (me - 1) * PUTS + n;
			serial[b]++
		};
try:
		take_p_guard();
		if
		:: closed -> /* EPIPE */
			p_guard = 0;
			atomic { assert(tag[b] == me); tag[b] = 0; goto over }
		:: !closed && FULL ->
			p_guard = 0;
			if /* bring_up_to_date */
			:: c_guard && dead[c_guard] -> take_c_guard(); c_guard = 0
			:: else
			fi;
			atomic {
				(!FULL || closed || (c_guard && dead[c_guard]) ||
				 (p_guard && dead[p_guard]));
				goto try
			}
		:: else
		fi;
		p_before = tail;
#ifndef NO_NOTE
		atomic { p_serial = serial[b]; p_note = b };
#endif
#ifndef LATE_TAG
		atomic { assert(tag[b] == me); tag[b] = QUEUE };
#endif
#ifndef NO_END
		ring[(tail + 1) % PLACES] = 0;
#endif
		ring[tail % PLACES] = b; /* commits */
		tail = p_before + 1;
#ifdef LATE_TAG
		tag[b] = QUEUE;
#endif
		p_count = p_before + 1;
		atomic { p_note = 0; p_serial = 0 };
		p_guard = 0;
		atomic {
			done[(me - 1) * PUTS + n] = 1;
			b = 0;
			n++;
			goto again
		}
	} unless {
		dead[me]
	}
over:
	atomic { b = 0; n = 0; ended[me] = 1 }
}

/* --- get ------------------------------------------------------------------------- */

/* With the guard: the oldest message, taken. */
inline take()
{
	atomic { b = ring[head % PLACES]; c_before = head };
#ifndef NO_NOTE
	atomic { c_serial = serial[b]; c_note = b };
#endif
	head++; /* commits */
	c_count = c_before + 1;
	atomic { assert(tag[b] == QUEUE); tag[b] = me };
	atomic { c_note = 0; c_serial = 0 }
}

/* Without the guard. */
inline use()
{
	atomic {
		assert(tag[b] == me);
		assert(!got[content[b]]);
		got[content[b]] = 1
	};
	atomic { assert(tag[b] == me); tag[b] = 0; b = 0 }
}

proctype consumer(byte me)
{
	byte b;
	bit was_closed;

	{
		b = 0;
again:
		was_closed = closed;
		take_c_guard();
		if
		:: RECORD(head) ->
			take();
			c_guard = 0;
			use();
			goto again
		:: else ->
			c_guard = 0
		fi;
		if
		:: was_closed -> goto over
		:: else
		fi;
		was_closed = 0;
		atomic { (p_count != c_count || RECORD(head) || closed); goto again }
	} unless {
		dead[me]
	}
over:
	atomic { b = 0; was_closed = 0; ended[me] = 1 }
}

/* --- everybody else --------------------------------------------------------------- */

inline kill(victim)
{
	dead[victim] = 1;
	deaths++;
	consumers_killed = consumers_killed + (victim >= 3)
}

active proctype killer()
{
	do
	:: atomic { deaths < KILLS && !ended[1] && !dead[1] -> kill(1) }
	:: atomic { deaths < KILLS && !ended[2] && !dead[2] -> kill(2) }
	:: atomic { deaths < KILLS && !ended[3] && !dead[3] -> kill(3) }
#if CONSUMERS > 1
	:: atomic { deaths < KILLS && !ended[4] && !dead[4] -> kill(4) }
#endif
	:: true -> break
	od
}

/* Whoever buries the dead, at any moment. */
inline sweep(id)
{
	swept[id] = 1;
	if :: tag[1] == id -> tag[1] = 0 :: else fi;
	if :: tag[2] == id -> tag[2] = 0 :: else fi;
	if :: tag[3] == id -> tag[3] = 0 :: else fi
}

active proctype sweeper()
{
end:
	do
	:: atomic { dead[1] && !swept[1] -> sweep(1) }
	:: atomic { dead[2] && !swept[2] -> sweep(2) }
	:: atomic { dead[3] && !swept[3] -> sweep(3) }
	:: atomic { dead[4] && !swept[4] -> sweep(4) }
	od
}

#if CONSUMERS > 1
#define NO_CONSUMER (ended[3] && ended[4])
#else
#define NO_CONSUMER ended[3]
#endif

/* Closes the queue when the producers have ended or no consumer is left, frees it
 * when all have ended, and settles accounts. */
active proctype user()
{
	byte me = USER, b, m, lost;

	((ended[1] && ended[2]) || NO_CONSUMER);
	take_p_guard();
	closed = 1;
	p_guard = 0;
	(ended[1] && ended[2] && NO_CONSUMER);
	(dead[1] == swept[1] && dead[2] == swept[2] && dead[3] == swept[3] && dead[4] == swept[4]);
	take_p_guard();
	take_c_guard();
	do
	:: RECORD(head) -> take(); use()
	:: else -> break
	od;
	atomic {
		assert(!tag[1] && !tag[2] && !tag[3]);
		m = 0;
		do
		:: m < MESSAGES ->
			lost = lost + (done[m] && !got[m]);
			assert(!got[m] || done[m] || dead[m / PUTS + 1]);
			m++
		:: else -> break
		od;
		assert(lost <= consumers_killed)
	}
}

init
{
	atomic {
		run producer(1);
		run producer(2);
		run consumer(3);
#if CONSUMERS > 1
		run consumer(4)
#endif
	}
}
