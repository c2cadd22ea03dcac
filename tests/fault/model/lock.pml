/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * lock.pml - the owner word of src/shm/word.c: three processes acquire and release
 * it twice each, up to KILLS of them are killed, each at any step.
 *
 *   - never two of the living inside;
 *   - acquire says DIED if and only if somebody died inside and nobody has called
 *     consistent since;
 *   - nobody sleeps for ever (no invalid end state). While nobody has died or given
 *     up, that is so without slices: W1, W2 and W3 suffice. Afterwards sleeps end:
 *     when nothing else can happen (the default: then somebody must get the lock
 *     before more than SLICES of them have ended), or at any time (-DANYTIME).
 *
 * -DGIVES_UP: one acquire may end with ETIMEDOUT.
 *
 * A step is one change of the word or one system call. A load with the compare-
 * exchange that follows is one step: if the word was another one in between, they
 * are done again. (The word's holder is the same process as long as it is the same
 * number, and who is dead stays dead.)
 *
 * What must fail: -DROBUST, glibc's robust mutex: the system marks the word when
 * the holder dies and wakes one, no sleep ends by itself. Killed is then the one that
 * was woken: nobody wakes the next. And ours without a part of it: -DNO_W1, -DNO_W2,
 * -DNO_W3, -DNO_MARK (who takes over leaves DIED alone), -DNO_LOOK (nobody takes
 * over), -DNO_EVIDENCE (takes over from the living), -DNO_SLICE.
 *
 *     spin -a lock.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 */
#ifndef KILLS
#define KILLS 2
#endif
#define SLICES 3

/* The word: holder (0: none), DIED, SLEEPS. Processes are 1, 2 and 3. */
byte owner;
bit died, sleeps;

bit dead[4], asleep[4];
byte deaths;
bit given_up;

/* What only the proof knows. */
bit inside[4];
bit left_broken; /* a holder died inside, and nobody has been consistent since */
byte slices;	 /* ended since somebody last got the lock */

#if defined(ROBUST) || defined(NO_SLICE)
#define SLICE_ENDS false
#elif defined(ANYTIME)
#define SLICE_ENDS (deaths || given_up)
#else
#define SLICE_ENDS (timeout && (deaths || given_up))
#endif
#ifdef ANYTIME
#define COUNT_SLICE skip
#else
#define COUNT_SLICE slices++; assert(slices <= SLICES)
#endif
#ifdef NO_EVIDENCE
#define MAY_TAKE_OVER (owner != 0)
#else
#define MAY_TAKE_OVER dead[owner]
#endif
#ifdef NO_W1
#define SET_SLEEPS skip
#else
#define SET_SLEEPS sleeps = 1
#endif
#ifdef NO_W2
#define HAS_SLEPT skip
#else
#define HAS_SLEPT slept = 1
#endif
#ifdef NO_MARK
#define MARK skip
#else
#define MARK died = 1
#endif
#ifdef NO_LOOK
#define LOOK skip
#else
#define LOOK look = 1
#endif

inline wake_one()
{
	if
	:: asleep[1] -> asleep[1] = 0
	:: asleep[2] -> asleep[2] = 0
	:: asleep[3] -> asleep[3] = 0
	:: !asleep[1] && !asleep[2] && !asleep[3]
	fi
}

/* The word has become me's. */
inline enter(told)
{
	assert(!inside[1] && !inside[2] && !inside[3]); /* the dead are outside */
	assert(told == left_broken);
	inside[me] = 1;
	owner = me;
	slices = 0;
	slept = 0;
	look = 0;
	w_owner = 0;
	w_died = 0
}

proctype process(byte me)
{
	byte turns, w_owner;
	bit w_died, slept, look;

	{
		turns = 2;
fast:
		atomic {
			if
			:: !turns -> goto over
			:: turns && !owner && !died && !sleeps -> turns--; enter(0); goto holds
			:: else -> turns--
			fi
		}
slow:
		atomic { /* take_free */
			if
			:: !owner -> sleeps = sleeps | slept; enter(died); goto holds
			:: else
			fi
		};
		if
		:: look ->
			atomic { /* take_dead */
				look = 0;
				if
				:: MAY_TAKE_OVER -> enter(1); MARK
				:: else -> goto wants
				fi
			};
			atomic { asleep[1] = 0; asleep[2] = 0; asleep[3] = 0; goto holds }
		:: !look
		fi;
wants:
		if
#ifdef GIVES_UP
		:: atomic { !given_up -> given_up = 1; slept = 0; goto fast }
#endif
		:: atomic {
			SET_SLEEPS;
			HAS_SLEPT;
			if
			:: !owner -> goto slow
			:: else -> w_owner = owner; w_died = died
			fi
		}
		fi;
		atomic { /* FUTEX_WAIT */
#ifdef NO_W1
			if
			:: owner == w_owner && died == w_died -> asleep[me] = 1
#else
			if
			:: owner == w_owner && died == w_died && sleeps -> asleep[me] = 1
#endif
			:: else
			fi;
			w_owner = 0;
			w_died = 0
		};
		if
		:: atomic { !asleep[me] -> goto slow }
		:: atomic { SLICE_ENDS -> asleep[me] = 0; LOOK; COUNT_SLICE; goto slow }
		fi;
holds:
		if
		:: atomic { died -> died = 0; left_broken = 0 } /* consistent */
		:: true
		fi;
		atomic { /* release */
			w_died = sleeps; /* kept for the next step */
			inside[me] = 0;
			owner = 0;
			sleeps = 0;
#ifdef NO_W3
			w_died = 0;
#endif
			if
			:: !w_died -> goto fast
			:: else -> w_died = 0
			fi
		};
		atomic { wake_one(); goto fast }
	} unless {
		dead[me]
	}
over:
	skip
}

inline kill(victim)
{
	dead[victim] = 1;
	asleep[victim] = 0;
	inside[victim] = 0;
	deaths++;
	if
	:: owner == victim ->
		left_broken = 1;
#ifdef ROBUST
		owner = 0;
		died = 1;
		if
		:: sleeps -> wake_one()
		:: !sleeps
		fi
#endif
	:: owner != victim
	fi
}

active proctype killer()
{
	do
	:: atomic { deaths < KILLS && !dead[1] -> kill(1) }
	:: atomic { deaths < KILLS && !dead[2] -> kill(2) }
	:: atomic { deaths < KILLS && !dead[3] -> kill(3) }
	:: true -> break
	od
}

init
{
	atomic {
		run process(1);
		run process(2);
		run process(3)
	}
}
