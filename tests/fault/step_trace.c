/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step_trace.c - how a victim gets to its instruction: a hardware breakpoint at
 * the last one on its path that does not come too often, and single steps from
 * there (a step takes some 5 to 50 microseconds). There are virtual machines whose
 * breakpoints can be set and never stop anybody: single steps all the way, then.
 */
#define _GNU_SOURCE

#include "step_trace.h"

#if STEP_POSSIBLE

#include <dlfcn.h>
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

uint64_t step_path[STEP_MAX_PATH];
long step_path_length, step_first_change;
uint64_t step_long_copy = 8192;
mpx_lock *step_throw_away;

void step_become_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* --- stepping --------------------------------------------------------------------- */

/* Breakpoints. */
__attribute__((noinline)) static void begin_here(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void step_end_here(void)
{
	__asm__ volatile("nop" ::: "memory");
}

static uint64_t address_of(void (*fn)(void))
{
	return (uint64_t)(uintptr_t)fn;
}

static int run_victim(void *arg)
{
	struct step_order *o = arg;
	step_become_child();
	/* Its place in the family, and what else a process does once. */
	if (!step_now->fresh) {
		mpx_lock_acquire(step_throw_away, STEP_HANG);
		mpx_lock_release(step_throw_away);
	}
	if (o->before)
		o->before(o->w);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 77;
	raise(SIGSTOP);
	begin_here();
	o->victim(o->w);
	step_end_here();
	return 0;
}

static void look(struct step_victim *v)
{
	if (ptrace(PTRACE_GETREGS, v->pid, NULL, &v->regs) != 0)
		v->ended = true;
	else if (v->regs.rip == address_of(step_end_here))
		v->ended = true;
}

static void nudge_sleeper(struct step_victim *v)
{
	if (now() < v->nudged_at + 0.0005 || !asleep(v->pid))
		return;
	step_now->nudge(step_world, v->nudges++);
	v->nudged_at = now();
}

/* The victim has forked, and the child is ours from its first instruction on. */
static void take_child(struct step_victim *v)
{
	unsigned long child = 0;
	int status;
	ptrace(PTRACE_GETEVENTMSG, v->pid, NULL, &child);
	v->forked = true;
	if (v->waiting) { /* one is enough */
		step_check(!"a second child");
		return;
	}
	v->waiting = (pid_t)child;
	while (waitpid(v->waiting, &status, __WALL) < 0 && errno == EINTR)
		continue;
	step_check(WIFSTOPPED(status));
	look(v);
}

/* Until the victim stops, or ends. */
static void wait_for_stop(struct step_victim *v, bool nudging)
{
	int status = 0, tries = 0;
	pid_t r;
	while ((r = waitpid(v->pid, &status, __WALL | (nudging ? WNOHANG : 0))) != v->pid) {
		if (r < 0 && errno != EINTR) {
			v->ended = true;
			return;
		}
		sched_yield();
		if (r == 0 && ++tries > 50)
			nudge_sleeper(v);
	}
	v->signal = 0;
	v->forked = false;
	if (WIFSTOPPED(status) && status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8)) {
		take_child(v);
		return;
	}
	if (!WIFSTOPPED(status)) {
		errno = 0;
		step_check(!"the victim ended");
		v->ended = true;
		return;
	}
	if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
		v->signal = WSTOPSIG(status);
	if (v->signal == SIGSEGV || v->signal == SIGBUS || v->signal == SIGABRT) {
		errno = v->signal;
		step_check(!"the victim crashed");
	}
	look(v);
}

static void end_tracee(pid_t pid)
{
	int status;
	kill(pid, SIGKILL);
	do
		while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
			continue;
	while (WIFSTOPPED(status));
}

static void set_breakpoint(struct step_victim *v, uint64_t address)
{
	ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[0]), address);
	ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[7]), address ? 1 : 0);
}

/* A child that comes by begin_here and ends, if a breakpoint there does not stop it. */
static int come_by(void *arg)
{
	(void)arg;
	step_become_child();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 77;
	raise(SIGSTOP);
	begin_here();
	return 0;
}

static bool try_breakpoint(void)
{
	struct step_victim v = {.pid = fork_child(come_by, NULL)};
	int status;
	while (waitpid(v.pid, &status, __WALL) < 0 && errno == EINTR)
		continue;
	if (!WIFSTOPPED(status))
		return false;
	set_breakpoint(&v, address_of(begin_here));
	ptrace(PTRACE_CONT, v.pid, NULL, NULL);
	while (waitpid(v.pid, &status, __WALL) < 0 && errno == EINTR)
		continue;
	if (!WIFSTOPPED(status))
		return false;
	end_tracee(v.pid);
	return WSTOPSIG(status) == SIGTRAP;
}

static bool has_breakpoints(void)
{
	static int known; /* 1 yes, -1 no */
	if (!known)
		known = try_breakpoint() ? 1 : -1;
	return known > 0;
}

static void go(struct step_victim *v, int request, bool nudging)
{
	if (v->ended)
		return;
	do {
		ptrace((enum __ptrace_request)request, v->pid, NULL, (long)v->signal);
		wait_for_stop(v, nudging);
	} while (v->forked && request == PTRACE_CONT && v->parent == 0);
}

/* At the beginning of a copy, whose length is its third argument? */
static bool at_long_copy(const struct step_victim *v)
{
	static uint64_t copies[4];
	if (!copies[0]) {
		static const char *const names[] = {"memcpy", "memmove", "memset", "__memcpy_chk"};
		for (int i = 0; i < 4; i++)
			copies[i] = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
	}
	for (int i = 0; i < 4; i++)
		if (v->regs.rip == copies[i] && v->regs.rdx > step_long_copy)
			return true;
	return false;
}

/* Until it returns there, from a call that makes no processes: so a trap may take the
 * place of the instruction. */
static void run_to(struct step_victim *v, uint64_t back, uint64_t stack, bool nudging)
{
	uint64_t trap = 0xcc;
	uint64_t code = (uint64_t)ptrace(PTRACE_PEEKTEXT, v->pid, back, NULL);
	ptrace(PTRACE_POKETEXT, v->pid, back, (code & ~UINT64_C(0xff)) | trap);
	do {
		go(v, PTRACE_CONT, nudging);
	} while (!v->ended && (v->regs.rip != back + 1 || v->regs.rsp <= stack));
	ptrace(PTRACE_POKETEXT, v->pid, back, code);
	if (v->ended)
		return;
	v->regs.rip = back;
	ptrace(PTRACE_SETREGS, v->pid, NULL, &v->regs);
}

static void step_once(struct step_victim *v)
{
	bool nudging = step_now->nudge != NULL;
	if (!at_long_copy(v)) {
		go(v, PTRACE_SINGLESTEP, nudging);
		return;
	}
	uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, v->pid, v->regs.rsp, NULL);
	run_to(v, back, v->regs.rsp, nudging);
}

/* Is it about to go to sleep? The text is the same in all of us. */
static bool about_to_sleep(const struct step_victim *v)
{
	if (memcmp((const void *)(uintptr_t)v->regs.rip, "\x0f\x05", 2) != 0)
		return false;
	return (v->regs.rax == SYS_futex && (v->regs.rsi & 0x7f) == 9 /* WAIT_BITSET */) ||
	       v->regs.rax == SYS_poll;
}

/* The victim runs until it has forked; the child is stepped from now on. */
static void step_child_instead(struct step_victim *v)
{
	v->parent = v->pid;
	while (!v->ended && !v->waiting)
		go(v, PTRACE_CONT, false);
	if (!v->waiting) {
		step_check(!"the victim has not forked");
		return;
	}
	v->pid = v->waiting;
	if (step_now->kin == STEP_IN_CHILD) {
		v->waiting = 0;
		ptrace(PTRACE_DETACH, v->parent, NULL, NULL);
	}
	look(v);
}

/* A victim that stands at the beginning of its operation. */
void step_start_victim(struct step_victim *v, struct step_order *o)
{
	long options = PTRACE_O_EXITKILL;
	memset(v, 0, sizeof *v);
	v->pid = fork_child(run_victim, o);
	wait_for_stop(v, false);
	if (step_now->kin != STEP_ALONE)
		options |= PTRACE_O_TRACEFORK;
	ptrace(PTRACE_SETOPTIONS, v->pid, NULL, options);
	if (has_breakpoints()) {
		set_breakpoint(v, address_of(begin_here));
		go(v, PTRACE_CONT, false);
		set_breakpoint(v, 0);
	} else {
		while (!v->ended && v->regs.rip != address_of(begin_here))
			go(v, PTRACE_SINGLESTEP, false);
	}
	if (step_now->kin == STEP_IN_CHILD || step_now->kin == STEP_ORPHANS_CHILD)
		step_child_instead(v);
}

void step_seize(struct step_victim *v, pid_t pid)
{
	memset(v, 0, sizeof *v);
	v->pid = pid;
	if (pid <= 0 || ptrace(PTRACE_SEIZE, pid, NULL, (long)PTRACE_O_EXITKILL) != 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) {
		step_check(!"the victim cannot be traced");
		v->pid = 0;
		v->ended = true;
		return;
	}
	wait_for_stop(v, false);
}

void step_kill_victim(struct step_victim *v)
{
	struct iovec here = {v->stack, sizeof v->stack},
		     there = {(void *)(uintptr_t)v->regs.rsp, sizeof v->stack};
	if (process_vm_readv(v->pid, &here, 1, &there, 1, 0) < 0)
		memset(v->stack, 0, sizeof v->stack);
	end_tracee(step_now->kin == STEP_ORPHANS_CHILD ? v->parent : v->pid);
}

pid_t step_release_child(struct step_victim *v)
{
	pid_t child = v->waiting;
	v->waiting = 0;
	if (child)
		ptrace(PTRACE_DETACH, child, NULL, NULL);
	return child;
}

void step_kill_child(struct step_victim *v)
{
	if (v->waiting)
		end_tracee(v->waiting);
	v->waiting = 0;
}

/* Steps it through all, at most STEP_MAX_PATH instructions, and takes down
 * where it was. */
void step_take_path(struct step_victim *v, bool until_asleep)
{
	long state = step_now->state ? step_now->state(step_world) : 0;
	step_path_length = step_first_change = 0;
	while (!v->ended && step_path_length < STEP_MAX_PATH) {
		step_path[step_path_length++] = v->regs.rip;
		step_once(v);
		long changed = step_now->state ? step_now->state(step_world) : 0;
		if (changed != state && !step_first_change)
			step_first_change = step_path_length;
		state = changed;
		if (until_asleep && step_path_length > 5 && about_to_sleep(v))
			break;
	}
}

long step_many(struct step_victim *v, long n)
{
	long done = 0;
	for (; done < n && !v->ended; done++)
		step_once(v);
	return done;
}

/* To instruction n of the path. */
void step_to(struct step_victim *v, long n)
{
	/* It has been there so many times before: what would the breakpoint cost? */
	long best = 0, best_cost = n, from = n > 100 ? n - 100 : 0;
	for (long m = n; m > from && m < step_path_length; m--) {
		long times = 0;
		for (long i = 1; i < m && times < 100; i++)
			times += step_path[i] == step_path[m];
		if (times + 2 + n - m < best_cost) {
			best = m;
			best_cost = times + 2 + n - m;
		}
	}
	if (best && has_breakpoints()) {
		long times = 1;
		for (long i = 1; i < best; i++)
			times += step_path[i] == step_path[best];
		set_breakpoint(v, step_path[best]);
		/* The end, if its path is another one today. */
		ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[1]),
		       address_of(step_end_here));
		ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[7]), 5L);
		while (times-- > 0 && !v->ended)
			go(v, PTRACE_CONT, step_now->nudge != NULL);
		set_breakpoint(v, 0);
		n -= best;
	}
	step_many(v, n);
}

/* --- before all ------------------------------------------------ */

static int stop_at_once(void *arg)
{
	(void)arg;
	step_become_child();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 77;
	raise(SIGSTOP);
	return 0;
}

bool step_may_trace(void)
{
	fflush(NULL);
	pid_t pid = fork();
	int status = 0;
	if (pid == 0)
		_exit(stop_at_once(NULL));
	if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
		return false;
	if (!WIFSTOPPED(status))
		return false;
	bool may = ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 &&
		   waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) &&
		   WSTOPSIG(status) == SIGTRAP;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		continue;
	return may;
}

/* --- after it ------------------------------------------------ */

extern const char __executable_start[], etext[];

/* An address as addr2line wants it. */
static uint64_t in_file(uint64_t address)
{
	const Elf64_Ehdr *head = (const void *)__executable_start;
	return head->e_type == ET_DYN ? address - (uint64_t)(uintptr_t)head : address;
}

static bool in_program(uint64_t address)
{
	return address >= (uint64_t)(uintptr_t)__executable_start &&
	       address < (uint64_t)(uintptr_t)etext;
}

static void print_address(uint64_t address)
{
	Dl_info info;
	if (in_program(address) || !dladdr((void *)(uintptr_t)address, &info) || !info.dli_fname)
		printf("      program+0x%llx", (unsigned long long)in_file(address));
	else
		printf("      %s+0x%llx %s", info.dli_fname,
		       (unsigned long long)(address - (uint64_t)(uintptr_t)info.dli_fbase),
		       info.dli_sname ? info.dli_sname : "");
	char command[300], self[200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = '\0';
	snprintf(command, sizeof command, "addr2line -psfe '%s' 0x%llx 2>/dev/null", self,
		 (unsigned long long)in_file(address));
	FILE *f = in_program(address) && n > 0 ? popen(command, "re") : NULL;
	char line[256] = "\n";
	printf("  ");
	if (f && fgets(line, sizeof line, f))
		fputs(line, stdout);
	else
		puts("");
	if (f)
		pclose(f);
}

/* Is there a call before it? */
static bool is_return_address(uint64_t address)
{
	const unsigned char *p = (const void *)(uintptr_t)address;
	return in_program(address - 8) && in_program(address) &&
	       (p[-5] == 0xe8 || (p[-2] == 0xff && (p[-1] & 0x38) == 0x10) ||
		(p[-3] == 0xff && (p[-2] & 0x38) == 0x10) ||
		(p[-6] == 0xff && (p[-5] & 0x38) == 0x10));
}

/* Where it was, and what on its stack looks like return addresses. */
void step_print_where(const struct step_victim *v)
{
	print_address(v->regs.rip);
	for (int i = 0, told = 0; i < STEP_STACK_WORDS && told < 6; i++) {
		if (!is_return_address(v->stack[i]))
			continue;
		print_address(v->stack[i] - 1);
		told++;
	}
}

#endif
