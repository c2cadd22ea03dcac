/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step.c - the driver: see step.h. Here is how a victim gets to its instruction: a
 * hardware breakpoint at the last one on its path that does not come too often, and
 * single steps from there (a step takes some 5 to 50 microseconds).
 */
#define _GNU_SOURCE

#include "step.h"

const struct step *step_now;
bool step_near_change;

#if STEP_POSSIBLE

#include <dlfcn.h>
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { MAX_PATH = 20000, MAX_FAILURES = 10, STACK_WORDS = 256 };

static uint64_t long_copy = 8192;

/* What all processes of a scenario see. */
struct shared {
	atomic_bool wrong;
	char text[400];
	atomic_bool begun[STEP_WAITERS];
	_Alignas(64) unsigned char world[];
};

struct victim {
	pid_t pid;
	struct user_regs_struct regs;
	bool ended; /* its operation, or itself */
	int signal; /* to be delivered with the next step */
	int nudges;
	double nudged_at;
	uint64_t stack[STACK_WORDS];
};

static struct shared *shared;
static size_t world_size;
static struct world *world;
static const struct step *all_steps;
static size_t n_steps;

static pid_t waiters[STEP_WAITERS];
static int started;

static uint64_t longest[MAX_PATH],
	path[MAX_PATH]; /* where the victim of the first round has been */
static long path_length;
static long last_change;

static uint64_t seed, point_seed;
static bool long_form;
static double budget = 1.0;
static long only_point = -1;
static long point;
static long total_points, total_failures;
static long elsewhere; /* points whose victim was not where the first one was */

/* --- telling ---------------------------------------------------------------- */

void step_wrong(const char *file, int line, const char *what, int error)
{
	if (atomic_exchange(&shared->wrong, true))
		return;
	const char *name = strrchr(file, '/');
	snprintf(shared->text, sizeof shared->text, "%s:%d: not so: %s (errno %d, %s)",
		 name ? name + 1 : file, line, what, error, strerror(error));
}

uint64_t step_random(void)
{
	return next_random(&point_seed);
}

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
static void print_where(const struct victim *v)
{
	print_address(v->regs.rip);
	for (int i = 0, told = 0; i < STACK_WORDS && told < 6; i++) {
		if (!is_return_address(v->stack[i]))
			continue;
		print_address(v->stack[i] - 1);
		told++;
	}
}

/* The harness's alarm knows the test; this one knows the kill point as well. */
static void on_alarm(int signal)
{
	static char text[200];
	(void)signal;
	int n = snprintf(text, sizeof text, "\n%s: kill point %ld: the driver itself hangs\n",
			 step_now->name, point);
	if (write(2, text, (size_t)n) < 0)
		_exit(98);
	abort();
}

/* --- waiters -------------------------------------------------------------------- */

static void become_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int run_waiter(void *arg)
{
	int i = *(int *)arg;
	become_child();
	atomic_store(&shared->begun[i], true);
	step_now->waiter(world, i);
	return 0;
}

void step_start_waiters(void)
{
	for (; started < step_now->waiters; started++) {
		waiters[started] = fork_child(run_waiter, &started);
		double end = now() + 1;
		while (now() < end && pid_running(waiters[started]) &&
		       !(atomic_load(&shared->begun[started]) && asleep(waiters[started])))
			sched_yield();
	}
}

int step_waiters_started(void)
{
	return started;
}

int step_waiters_running(void)
{
	int n = 0;
	for (int i = 0; i < started; i++)
		n += waiters[i] && pid_running(waiters[i]);
	return n;
}

static void end_waiters(void)
{
	double end = now() + 3 * STEP_HANG;
	for (int i = 0; i < started; i++) {
		int status = 0;
		pid_t r;
		while ((r = waitpid(waiters[i], &status, WNOHANG)) == 0 && now() < end)
			nap();
		if (r == 0) {
			errno = 0;
			step_check(!"a waiter hangs");
			kill(waiters[i], SIGKILL);
			waitpid(waiters[i], NULL, 0);
		} else if (status != 0) {
			errno = 0;
			step_check(!"a waiter died");
		}
		waiters[i] = 0;
	}
}

/* --- stepping --------------------------------------------------------------------- */

/* Breakpoints. */
__attribute__((noinline)) static void begin_here(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void end_here(void)
{
	__asm__ volatile("nop" ::: "memory");
}

static uint64_t address_of(void (*fn)(void))
{
	return (uint64_t)(uintptr_t)fn;
}

struct order {
	void (*before)(struct world *w);
	void (*victim)(struct world *w);
	struct world *w;
};

static int run_victim(void *arg)
{
	struct order *o = arg;
	become_child();
	/* Its place in the family, and what else a process does once. */
	mpx_free(mpx_malloc(1));
	if (o->before)
		o->before(o->w);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 77;
	raise(SIGSTOP);
	begin_here();
	o->victim(o->w);
	end_here();
	return 0;
}

static void look(struct victim *v)
{
	if (ptrace(PTRACE_GETREGS, v->pid, NULL, &v->regs) != 0)
		v->ended = true;
	else if (v->regs.rip == address_of(end_here))
		v->ended = true;
}

static void nudge_sleeper(struct victim *v)
{
	if (now() < v->nudged_at + 0.0005 || !asleep(v->pid))
		return;
	step_now->nudge(world, v->nudges++);
	v->nudged_at = now();
}

/* Until the victim stops, or ends. */
static void wait_for_stop(struct victim *v, bool nudging)
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

static void set_breakpoint(struct victim *v, uint64_t address)
{
	ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[0]), address);
	ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[7]), address ? 1 : 0);
}

static bool has_breakpoints(struct victim *v)
{
	return ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[0]),
		      address_of(begin_here)) == 0 &&
	       ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[7]), 1L) == 0;
}

static void go(struct victim *v, int request, bool nudging)
{
	if (v->ended)
		return;
	ptrace((enum __ptrace_request)request, v->pid, NULL, (long)v->signal);
	wait_for_stop(v, nudging);
}

/* At the beginning of a copy, whose length is its third argument? */
static bool at_long_copy(const struct victim *v)
{
	static uint64_t copies[4];
	if (!copies[0]) {
		static const char *const names[] = {"memcpy", "memmove", "memset", "__memcpy_chk"};
		for (int i = 0; i < 4; i++)
			copies[i] = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
	}
	for (int i = 0; i < 4; i++)
		if (v->regs.rip == copies[i] && v->regs.rdx > long_copy)
			return true;
	return false;
}

static void step_once(struct victim *v)
{
	bool nudging = step_now->nudge != NULL;
	if (!at_long_copy(v)) {
		go(v, PTRACE_SINGLESTEP, nudging);
		return;
	}
	uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, v->pid, v->regs.rsp, NULL);
	uint64_t stack = v->regs.rsp;
	set_breakpoint(v, back);
	do
		go(v, PTRACE_CONT, nudging);
	while (!v->ended && (v->regs.rip != back || v->regs.rsp <= stack));
	set_breakpoint(v, 0);
}

/* Is it about to go to sleep? The text is the same in all of us. */
static bool about_to_sleep(const struct victim *v)
{
	if (memcmp((const void *)(uintptr_t)v->regs.rip, "\x0f\x05", 2) != 0)
		return false;
	return (v->regs.rax == SYS_futex && (v->regs.rsi & 0x7f) == 9 /* WAIT_BITSET */) ||
	       v->regs.rax == SYS_poll;
}

/* A victim that stands at the beginning of its operation. */
static void start_victim(struct victim *v, struct order *o)
{
	memset(v, 0, sizeof *v);
	v->pid = fork_child(run_victim, o);
	wait_for_stop(v, false);
	ptrace(PTRACE_SETOPTIONS, v->pid, NULL, (long)PTRACE_O_EXITKILL);
	if (has_breakpoints(v)) {
		go(v, PTRACE_CONT, false);
		set_breakpoint(v, 0);
	} else {
		while (!v->ended && v->regs.rip != address_of(begin_here))
			go(v, PTRACE_SINGLESTEP, false);
	}
}

static void kill_victim(struct victim *v)
{
	struct iovec here = {v->stack, sizeof v->stack},
		     there = {(void *)(uintptr_t)v->regs.rsp, sizeof v->stack};
	int status;
	if (process_vm_readv(v->pid, &here, 1, &there, 1, 0) < 0)
		memset(v->stack, 0, sizeof v->stack);
	kill(v->pid, SIGKILL);
	do
		while (waitpid(v->pid, &status, __WALL) < 0 && errno == EINTR)
			continue;
	while (WIFSTOPPED(status));
}

/* Steps it through all, at most MAX_PATH instructions, and takes down where it was. */
static void take_path(struct victim *v, bool until_asleep)
{
	long state = step_now->state ? step_now->state(world) : 0;
	path_length = last_change = 0;
	while (!v->ended && path_length < MAX_PATH) {
		path[path_length++] = v->regs.rip;
		step_once(v);
		long changed = step_now->state ? step_now->state(world) : 0;
		if (changed != state)
			last_change = path_length;
		state = changed;
		if (until_asleep && path_length > 5 && about_to_sleep(v))
			break;
	}
}

static void steps(struct victim *v, long n)
{
	while (n-- > 0 && !v->ended)
		step_once(v);
}

/* To instruction n of the path. */
static void step_to(struct victim *v, long n)
{
	/* It has been there so many times before: what would the breakpoint cost? */
	long best = 0, best_cost = n, from = n > 100 ? n - 100 : 0;
	for (long m = n; m > from && m < path_length; m--) {
		long times = 0;
		for (long i = 1; i < m && times < 100; i++)
			times += path[i] == path[m];
		if (times + 2 + n - m < best_cost) {
			best = m;
			best_cost = times + 2 + n - m;
		}
	}
	if (best && has_breakpoints(v)) {
		long times = 1;
		for (long i = 1; i < best; i++)
			times += path[i] == path[best];
		set_breakpoint(v, path[best]);
		/* The end, if its path is another one today. */
		ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[1]),
		       address_of(end_here));
		ptrace(PTRACE_POKEUSER, v->pid, offsetof(struct user, u_debugreg[7]), 5L);
		while (times-- > 0 && !v->ended)
			go(v, PTRACE_CONT, step_now->nudge != NULL);
		set_breakpoint(v, 0);
		n -= best;
	}
	steps(v, n);
}

/* --- deaths on order -------------------------------------------------------------- */

static int perform_and_die(void *arg)
{
	struct order *o = arg;
	become_child();
	o->victim(o->w);
	kill(getpid(), SIGKILL);
	return 1;
}

void step_die(void (*fn)(struct world *w), struct world *w)
{
	struct order o = {NULL, fn, w};
	step_check(wait_child(fork_child(perform_and_die, &o)) == -SIGKILL);
}

long step_die_at(void (*before)(struct world *w), void (*fn)(struct world *w), struct world *w,
		 long n)
{
	struct order o = {before, fn, w};
	struct victim v;
	long done = 0;
	long_copy = 64;
	start_victim(&v, &o);
	for (; done < n && !v.ended; done++)
		step_once(&v);
	kill_victim(&v);
	long_copy = 8192;
	return done;
}

/* --- a kill point ------------------------------------------------------------------- */

static void start_whom(struct victim *v)
{
	memset(v, 0, sizeof *v);
	v->pid = step_now->whom(world);
	if (v->pid <= 0 || ptrace(PTRACE_SEIZE, v->pid, NULL, (long)PTRACE_O_EXITKILL) != 0 ||
	    ptrace(PTRACE_INTERRUPT, v->pid, NULL, NULL) != 0) {
		step_check(!"the victim cannot be traced");
		v->ended = true;
		return;
	}
	wait_for_stop(v, false);
}

/* Makes everything, gets the victim to instruction n (-1: to the end, taking the
 * path), kills it, and looks. */
static void try_point(long n, struct victim *v)
{
	struct order o = {step_now->before, step_now->victim, world};
	size_t blocks = heap_blocks();
	alarm(60);
	started = 0;
	point = n;
	point_seed = seed + (uint64_t)n * 1000003;
	step_near_change = n >= 0 && n <= last_change && n + 20 > last_change;
	atomic_store(&shared->wrong, false);
	memset(shared->begun, 0, sizeof shared->begun);
	memset(shared->world, 0, world_size);
	step_now->make(world);
	if (step_now->whom)
		start_whom(v);
	else
		start_victim(v, &o);
	if (!step_now->late)
		step_start_waiters();
	if (n < 0)
		take_path(v, step_now->whom != NULL);
	else if (step_now->whom || step_now->varies)
		steps(v, n);
	else
		step_to(v, n);
	if (step_now->whom && v->pid <= 0)
		return;
	elsewhere += n >= 0 && !step_now->varies && n < path_length && v->regs.rip != path[n];
	kill_victim(v);
	errno = 0;
	step_now->killed(world);
	end_waiters();
	step_now->after(world);
	size_t left = heap_blocks();
	for (double end = now() + 1;
	     left > blocks + step_now->may_lose && step_now->whom && now() < end; nap())
		left = heap_blocks();
	if (left < blocks || left > blocks + step_now->may_lose) {
		char text[100];
		snprintf(text, sizeof text, "blocks in the heap: %zu before, %zu after", blocks,
			 left);
		step_wrong(__FILE__, __LINE__, text, 0);
	}
}

static int failures;

static void account(const struct victim *v)
{
	if (!atomic_load(&shared->wrong))
		return;
	failures++;
	printf("    FAILED %s, kill point %ld of %ld (seed %llu):\n      %s\n", step_now->name,
	       point, path_length, (unsigned long long)seed, shared->text);
	print_where(v);
	fflush(stdout);
}

/* --- a scenario ----------------------------------------------------------------------- */

static long candidate[MAX_PATH];
static long candidates;

/* The short form has few of the points inside an instruction that repeats. */
static void choose_candidates(void)
{
	candidates = 0;
	for (long i = 0; i < path_length; i++)
		if (long_form || i == 0 || path[i] != path[i - 1] || (uint64_t)i % 97 == seed % 97)
			candidate[candidates++] = i;
}

static double scenario_seconds(void)
{
	return budget * (step_now->seconds > 0 ? step_now->seconds : 1);
}

static long choose_stride(void)
{
	static struct victim v;
	if (long_form)
		return 1;
	/* What do points cost? Two of them tell. */
	double begin = now();
	try_point(path_length / 2, &v);
	account(&v);
	try_point(path_length - 1, &v);
	account(&v);
	double points = 2 * scenario_seconds() / (now() - begin);
	if (points < 10)
		points = 10;
	return (long)((double)candidates / points) + 1;
}

static void find_path(struct victim *v)
{
	long length = 0;
	for (int i = 0; i < (step_now->varies ? 20 : 1); i++) {
		try_point(-1 - i, v);
		account(v);
		if (path_length > length) {
			memcpy(longest, path, (size_t)path_length * sizeof *path);
			length = path_length;
		}
	}
	memcpy(path, longest, (size_t)length * sizeof *path);
	path_length = length;
}

static void run(void **state)
{
	static struct victim v;
	struct sigaction mine = {.sa_handler = on_alarm}, harness;
	long points = 0, stride = 1;
	double begin = now();
	for (size_t i = 0; i < n_steps; i++)
		if (all_steps[i].name == *state)
			step_now = &all_steps[i];
	sigemptyset(&mine.sa_mask);
	sigaction(SIGALRM, &mine, &harness);
	memset(shared->world, 0, world_size);
	failures = 0;
	elsewhere = 0;
	last_change = 0;
	if (step_now->open)
		step_now->open(world);
	find_path(&v);
	if (only_point >= 0) {
		try_point(only_point, &v);
		account(&v);
		points = 1;
	} else {
		choose_candidates();
		stride = choose_stride();
		/* In no order, so that whoever runs out of time has been everywhere. */
		long first = (long)(seed % (uint64_t)stride), prime = 7919;
		long wanted = (candidates - first + stride - 1) / stride;
		double end = long_form ? 1e300 : begin + 2.5 * scenario_seconds();
		for (long i = 0; i < wanted && failures < MAX_FAILURES; i++) {
			long k = wanted % prime ? i * prime % wanted : i;
			if (i >= 20 && now() > end)
				break;
			try_point(candidate[first + k * stride], &v);
			account(&v);
			points++;
		}
	}
	if (step_now->close) {
		atomic_store(&shared->wrong, false);
		step_now->close(world);
		account(&v);
	}
	alarm(0);
	sigaction(SIGALRM, &harness, NULL);
	printf("  %-58s %6ld instructions %6ld kill points %3d failures %6.1f s\n", step_now->name,
	       path_length, points, failures, now() - begin);
	fflush(stdout);
	total_points += points;
	total_failures += failures;
	if (step_now->may_lose || failures)
		harness_rebase();
	if (failures)
		fail_msg("%d of %ld kill points", failures, points);
}

/* --- all ------------------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	become_child();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 77;
	raise(SIGSTOP);
	return 0;
}

/* May we trace at all? (A container may forbid it.) */
static bool may_trace(void)
{
	fflush(NULL);
	pid_t pid = fork();
	int status = 0;
	if (pid == 0)
		_exit(nothing(NULL));
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

/* On one processor the library does not spin before it sleeps: hundreds of
 * instructions that all are the same one. */
static void begin_family_without_spinning(void)
{
	cpu_set_t all, one;
	CPU_ZERO(&one);
	CPU_ZERO(&all);
	bool known = sched_getaffinity(0, sizeof all, &all) == 0;
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (known && CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	if (known)
		sched_setaffinity(0, sizeof one, &one);
	mpx_free(mpx_malloc(1));
	if (known)
		sched_setaffinity(0, sizeof all, &all);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int step_main(const struct step *list, size_t n, size_t size)
{
	struct CMUnitTest tests[64];
	if (n > 64 || !may_trace()) {
		printf("skipped: no ptrace\n");
		return 77;
	}
	long_form = number("MPX_FAULT_LONG", 0) != 0;
	seed = number("MPX_FAULT_SEED", (uint64_t)getpid());
	budget = getenv("MPX_FAULT_SECONDS") ? atof(getenv("MPX_FAULT_SECONDS")) : budget;
	only_point = (long)number("MPX_FAULT_POINT", (uint64_t)-1);
	all_steps = list;
	n_steps = n;
	world_size = size;
	shared = mmap(NULL, sizeof *shared + size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	world = (struct world *)(void *)shared->world;
	begin_family_without_spinning();
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){list[i].name, run, harness_setup, harness_teardown,
					       (void *)(uintptr_t)list[i].name};
	printf("seed %llu\n", (unsigned long long)seed);
	int failed = _cmocka_run_group_tests("step", tests, n, NULL, NULL);
	printf("total: %zu scenarios, %ld kill points, %ld failures (seed %llu)\n", n, total_points,
	       total_failures, (unsigned long long)seed);
	return failed;
}

#else

int step_main(const struct step *list, size_t n, size_t size)
{
	(void)list;
	(void)n;
	(void)size;
	printf("skipped: instructions are counted on Linux x86_64 only\n");
	return 77;
}

void step_start_waiters(void)
{
}

int step_waiters_started(void)
{
	return 0;
}

int step_waiters_running(void)
{
	return 0;
}

void step_die(void (*fn)(struct world *w), struct world *w)
{
	(void)fn;
	(void)w;
}

long step_die_at(void (*before)(struct world *w), void (*fn)(struct world *w), struct world *w,
		 long n)
{
	(void)before;
	(void)fn;
	(void)w;
	return n;
}

uint64_t step_random(void)
{
	return 0;
}

void step_wrong(const char *file, int line, const char *what, int error)
{
	(void)file;
	(void)line;
	(void)what;
	(void)error;
}

#endif
