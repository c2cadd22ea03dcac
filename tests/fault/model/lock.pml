/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * lock.pml - the owner word of src/shm/word.c: three processes acquire and release
 * it twice each, up to KILLS of them are killed, each at any step.
 *
 *   - never two of the living inside;
 *   - acquire says DIED if and only if somebody died inside and nobody has called
 *     consistent since;
 *   - nobody sleeps for ever (no invalid end state). While nobody has died, that is so
 *     without slices: W1 to W5 suffice. Afterwards sleeps end:
 *     when nothing else can happen (the default: then somebody must get the lock
 *     before more than SLICES of them have ended), or at any time (-DANYTIME).
 *
 * -DGIVES_UP: one acquire may end with ETIMEDOUT.
 *
 * What is stored is seen by all at once here: that a store takes its time is what the
 * fences are for (base/fence.h).
 *
 * A step is one change of the word or one system call. A load with the compare-
 * exchange that follows is one step: if the word was another one in between, they
 * are done again. (The word's holder is the same process as long as it is the same
 * number, and who is dead stays dead.)
 *
 * What must fail: -DROBUST, glibc's robust mutex: the system marks the word when
 * the holder dies and wakes one, no sleep ends by itself. Killed is then the one that
 * was woken: nobody wakes the next. And ours without a part of it: -DNO_W1, -DNO_W2,
 * -DNO_W3, -DNO_W4, -DNO_W5, -DNO_LOOK_AGAIN (W1 without the second look), -DNO_KEEP (W2
 * leaves contended as it is), -DNO_MARK (who takes over leaves DIED alone), -DNO_LOOK (nobody takes
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
bit died, sleeps, contended;

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
#define SLICE_ENDS (deaths != 0)
#else
#define SLICE_ENDS (timeout && deaths)
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
#ifdef NO_LOOK_AGAIN
#define STILL_SO true
#else
#define STILL_SO (contended && owner == w_owner && died == w_died && sleeps)
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
	bit w_died, slept, look, gives_up;

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
			:: !owner && !slept -> enter(died); goto holds
			:: !owner && slept -> sleeps = 1; enter(died); goto keep
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
		:: atomic {
			!given_up ->
			given_up = 1;
#ifdef NO_W4
			slept = 0;
			goto fast
#else
			if
			:: slept -> slept = 0; gives_up = 1; contended = 1
			:: else -> goto fast
			fi
#endif
		}
#endif
		:: atomic { contended = 1; HAS_SLEPT }
		fi;
		atomic {
			SET_SLEEPS;
			if
			:: !owner && gives_up -> gives_up = 0; goto passes
			:: !owner && !gives_up -> goto slow
			:: else -> w_owner = owner; w_died = died
			fi
		};
		atomic {
			if
			:: gives_up && STILL_SO -> gives_up = 0; w_owner = 0; w_died = 0; goto fast
			:: gives_up && !STILL_SO -> gives_up = 0; w_owner = 0; w_died = 0; goto passes
			:: !gives_up && STILL_SO
			:: !gives_up && !STILL_SO -> w_owner = 0; w_died = 0; goto slow
			fi
		};
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
keep:
#ifndef NO_KEEP
		contended = 1;
#endif
holds:
		if
		:: atomic { died -> died = 0; left_broken = 0 } /* consistent */
		:: true
		fi;
		if
		:: atomic { contended && sleeps -> goto exchanges }
		:: atomic { contended && !sleeps -> goto clears }
		:: atomic { !contended -> goto stores }
		fi;
passes:
		atomic { contended = 1; goto wakes };
clears:
		contended = 0;
exchanges:
		atomic {
			inside[me] = 0;
			owner = 0;
			sleeps = 0;
#ifdef NO_W3
			goto fast
#else
			goto wakes
#endif
		};
stores:
		atomic {
			inside[me] = 0;
			owner = 0;
			sleeps = 0
		};
		atomic {
			if
#ifndef NO_W5
			:: contended -> skip
			:: !contended -> goto fast
#else
			:: goto fast
#endif
			fi
		};
wakes:
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
