/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Linux: futexes, pidfds, /proc, parent-death signals, abstract sockets,
 * control groups. Every call that is younger than the rest, or that a seccomp
 * filter may refuse, has its fallback beside it.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h> /* glibc 2.32 */
#define HAS_SINGLE_THREADED 1
#endif
#endif

/* 32-bit systems whose time_t has 64 bits have a futex call of their own. */
#if defined(SYS_futex_time64) && (!defined(SYS_futex) || __SIZEOF_LONG__ == 4)
#define FUTEX_CALL (sizeof(time_t) > 4 ? SYS_futex_time64 : SYS_futex)
#else
#define FUTEX_CALL SYS_futex
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* --- sleeping on a word -------------------------------------------------- */

void mpx__os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct timespec t = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};

	/* FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock, so a signal
	 * cannot stretch it. Not PRIVATE: the word is shared between processes. */
	syscall(FUTEX_CALL, word, FUTEX_WAIT_BITSET, expected, deadline == INT64_MAX ? NULL : &t,
		NULL, FUTEX_BITSET_MATCH_ANY);
}

int mpx__os_wake(_Atomic uint32_t *word, int n)
{
	long woken = syscall(FUTEX_CALL, word, FUTEX_WAKE, n, NULL, NULL, 0);

	return woken > 0 ? (int)woken : 0;
}

/* --- memory --------------------------------------------------------------- */

bool mpx__os_discard(void *addr, size_t size)
{
	return madvise(addr, size, MADV_REMOVE) == 0;
}

/* Linux 5.14. Errno stays as it is. */
void mpx__os_populate(void *addr, size_t size)
{
	enum { POPULATE_WRITE = 23 };
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)addr / page * page;
	int saved = errno;

	madvise((void *)begin, (uintptr_t)addr + size - begin, POPULATE_WRITE);
	errno = saved;
}

/* Reads a small file into buf, NUL-terminated; its length or -1. */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = read(fd, buf, size - 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* The number of KiB behind "Name:" in /proc/meminfo's text. */
static size_t meminfo(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? (size_t)strtoull(p + strlen(name), NULL, 10) : 0;
}

size_t mpx__os_memory_available(void)
{
	char text[2048];

	if (read_file("/proc/meminfo", text, sizeof text) <= 0)
		return SIZE_MAX;
	return (meminfo(text, "MemAvailable:") + meminfo(text, "SwapFree:")) * 1024;
}

/* --- life of processes ---------------------------------------------------- */

/* The beginning of the n-th field from here on; NULL: there are not so many. */
static const char *skip_fields(const char *p, int n)
{
	while (p && n-- > 0) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p;
}

/* A pid is a process only together with the time it was started: /proc/PID/stat
 * gives that in field 22, the state in field 3 and the number of threads in field 20, all
 * counted behind the last ')' since the name in field 2 may contain anything. The state is
 * that of the first thread: a zombie lives on in its others. */
static bool read_stat(pid_t pid, bool *gone, uint64_t *birth)
{
	char path[32], text[1024], state;
	unsigned long threads = 0;
	const char *p;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	if (read_file(path, text, sizeof text) <= 0 || !(p = strrchr(text, ')')) || p[1] != ' ')
		return false;
	state = p[2];
	p = skip_fields(p, 18);
	if (p)
		threads = strtoul(p, NULL, 10);
	p = skip_fields(p, 2);
	if (!p)
		return false;
	*birth = strtoull(p, NULL, 10);
	*gone = state == 'X' || (state == 'Z' && threads <= 1);
	return true;
}

/* The time of /proc/PID/stat, in its ticks. */
static uint64_t ticks_now(void)
{
	static uint64_t ticks; /* in a second */
	struct timespec now;

	if (!ticks)
		ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000;
}

/* A process that notes what time it is spares itself a look at /proc: whoever has its pid
 * after it died was started later. That must be the same clock, though (a sandbox may have
 * another one): so the first process looks whether it was started before now. */
static bool births_are_times;

int mpx__os_life_init(void)
{
	uint64_t birth;
	bool gone;

	births_are_times = read_stat(getpid(), &gone, &birth) && birth && birth <= ticks_now();
	return 0;
}

uint64_t mpx__os_life_begin(unsigned slot)
{
	uint64_t birth = 0;
	bool gone;

	(void)slot;
	if (births_are_times)
		return ticks_now();
	return read_stat(getpid(), &gone, &birth) ? birth : 0;
}

static bool is_another(uint64_t began, uint64_t birth)
{
	return birth && (births_are_times ? began > birth : began != birth);
}

/* What needs no descriptor: a zombie has no program any more, and of its threads, each of
 * which has a folder, only the first is left. False in doubt. */
static bool has_no_memory(pid_t pid)
{
	char path[32], target[8];
	struct stat tasks;

	snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
	if (readlink(path, target, sizeof target) >= 0 || errno != ENOENT ||
	    readlink("/proc/self/exe", target, sizeof target) <= 0)
		return false;
	snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
	return stat(path, &tasks) == 0 && tasks.st_nlink <= 3;
}

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool mpx__os_life_gone(pid_t pid, unsigned slot, uint64_t birth)
{
	uint64_t now;
	bool gone;
	int fd;

	(void)slot;
	if (read_stat(pid, &gone, &now))
		return gone || is_another(now, birth);
	/* Not there, or hidden (hidepid), or no /proc at all, or no descriptor left. */
	if (kill(pid, 0) != 0 && errno == ESRCH)
		return true;
	fd = pidfd_open(pid);
	if (fd < 0)
		return errno == ESRCH || has_no_memory(pid);
	now = (uint64_t)mpx__os_poll_readable(fd, 0);
	close(fd);
	return now == 1;
}

bool mpx__os_process_gone(pid_t pid)
{
	return mpx__os_life_gone(pid, 0, 0);
}

uint64_t mpx__os_process_birth(pid_t pid)
{
	uint64_t birth;
	bool gone;

	return read_stat(pid, &gone, &birth) ? birth : 0;
}

uint64_t mpx__os_process_world(void)
{
	static const char *const spaces[] = {"/proc/self/ns/pid", "/proc/self/ns/time"};
	uint64_t world = 0;

	for (int i = 0; i < 2; i++) {
		char name[64];
		ssize_t n = readlink(spaces[i], name, sizeof name);

		for (ssize_t k = 0; k < n; k++)
			world = world * 31 + (unsigned char)name[k];
	}
	return world;
}

/* --- named shared memory ------------------------------------------------------
 * shm_open's names are files in /dev/shm, with glibc and musl alike. */

enum { SHM_PATH = sizeof "/dev/shm/" + NAME_MAX };

int mpx__os_shm_unnamed(void)
{
	return open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int mpx__os_shm_publish(int fd, const char *name)
{
	char from[32], to[SHM_PATH];

	snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
	snprintf(to, sizeof to, "/dev/shm/%s", name);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

/* A write lease is granted only if there is no other open file, nor a mapping, in
 * any process. Who opens it meanwhile waits until the lease is given back, and its
 * holder gets a signal: not SIGIO, which would kill, but one that is ignored. */
static bool nobody_else_has(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) != 0)
		return false;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool mpx__os_shm_unused(const char *name)
{
	char path[SHM_PATH];
	struct stat st;
	bool unused;
	int fd;

	snprintf(path, sizeof path, "/dev/shm/%s", name);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	unused = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		 nobody_else_has(fd);
	close(fd);
	return unused;
}

/* --- children --------------------------------------------------------------- */

int mpx__os_watch(pid_t pid)
{
	return pidfd_open(pid); /* close-on-exec by itself */
}

/* The first version of struct pidfd_info, which young headers only have; 1 << 3 asks
 * for exit_code (Linux 6.15), which stays after somebody else's wait. */
struct exit_info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
#define EXIT_INFO UINT64_C(8)
#define GET_EXIT_INFO _IOWR(0xff, 11, struct exit_info)

static bool ask_watch(int watch, int *status)
{
	struct exit_info info = {.mask = EXIT_INFO};

	if (watch < 0 || ioctl(watch, GET_EXIT_INFO, &info) != 0 || !(info.mask & EXIT_INFO))
		return false;
	*status =
		WIFEXITED(info.exit_code) ? WEXITSTATUS(info.exit_code) : -WTERMSIG(info.exit_code);
	return true;
}

int mpx__os_reap(pid_t pid, int watch, int *status)
{
	siginfo_t info;
	int r = -1;

	info.si_pid = 0;
	if (watch >= 0)
		r = waitid((idtype_t)P_PIDFD, (id_t)watch, &info, WEXITED | WNOHANG);
	if (watch < 0 || (r != 0 && errno != ECHILD))
		r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
	if (r != 0)
		return ask_watch(watch, status) ? 1 : -1;
	if (info.si_pid == 0)
		return 0;
	*status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	return 1;
}

int mpx__os_signal(pid_t pid, int watch, int signal)
{
	if (watch >= 0) {
		if (syscall(SYS_pidfd_send_signal, watch, signal, NULL, 0) == 0)
			return 0;
		if (errno != ENOSYS && errno != EPERM)
			return -1;
	}
	return kill(pid, signal);
}

/* PR_SET_PDEATHSIG goes by the parent's *thread*: only a main thread lasts as
 * long as its process (child.c sees to that). */
bool mpx__os_needs_link(void)
{
	return syscall(SYS_gettid) != getpid();
}

void mpx__os_die_with_parent(pid_t parent, int link)
{
	if (link < 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) /* it died before */
			kill(getpid(), SIGKILL);
		return;
	}
	/* The kernel sends the signal named here when the other end, which is the
	 * parent's alone, is closed. */
	fcntl(link, F_SETSIG, SIGKILL);
	fcntl(link, F_SETOWN, getpid());
	fcntl(link, F_SETFL, O_ASYNC | O_NONBLOCK);
	if (getppid() != parent)
		kill(getpid(), SIGKILL);
}

#ifdef __GLIBC__
static void (*exit_first)(int);

static void call_exit_first(int status, void *unused)
{
	(void)unused;
	exit_first(status);
}

void mpx__os_at_exit_first(void (*fn)(int status))
{
	exit_first = fn;
	on_exit(call_exit_first, NULL);
}
#else
void mpx__os_at_exit_first(void (*fn)(int status))
{
	(void)fn; /* atexit handlers do not learn the status */
}
#endif

bool mpx__os_single_threaded(void)
{
	char text[1024];
	const char *p;

#if HAS_SINGLE_THREADED
	if (__libc_single_threaded)
		return true; /* and false once there were others */
#endif
	if (read_file("/proc/self/stat", text, sizeof text) <= 0 || !(p = strrchr(text, ')')))
		return false;
	p = skip_fields(p, 18);
	return p && atoi(p) == 1;
}

/* --- doorbells ---------------------------------------------------------------
 * A datagram socket that the kernel gives a free abstract name ("\0" and five
 * hexadecimal digits): reachable by everybody in the network namespace, gone with
 * its process, no file. What arrives carries no meaning. */

static socklen_t bell_name(uint64_t address, struct sockaddr_un *name)
{
	memset(name, 0, sizeof *name);
	name->sun_family = AF_UNIX;
	memcpy(name->sun_path + 1, &address, sizeof address);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   strnlen(name->sun_path + 1, sizeof address));
}

int mpx__os_bell_open(uint64_t *address)
{
	struct sockaddr_un name;
	socklen_t size = sizeof name;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	memset(&name, 0, sizeof name);
	name.sun_family = AF_UNIX;
	if (bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
		close(fd);
		return -1;
	}
	*address = 0;
	memcpy(address, name.sun_path + 1, sizeof *address);
	return fd;
}

int mpx__os_bell_ring(uint64_t address, int through)
{
	struct sockaddr_un name;
	socklen_t size = bell_name(address, &name);
	int fd = through, error = 0;

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	if (sendto(fd, "", 1, MSG_NOSIGNAL, (struct sockaddr *)&name, size) < 0)
		error = errno == EAGAIN ? 0 : errno; /* full: it is readable */
	if (through < 0)
		close(fd);
	return error;
}

/* --- descriptors that are passed ---------------------------------------------
 * A look at the bytes makes a copy of the descriptor already; if that fails, they
 * are still there. */

ssize_t mpx__os_recv_passed(int fd, const struct iovec *iov, int n, int *passed)
{
	ssize_t got = mpx__os_recv_control(fd, iov, n, true, passed);

	if (got <= 0)
		return got;
	if (*passed < 0) {
		errno = EMFILE;
		return -1;
	}
	got = mpx__os_recv(fd, iov, n, false);
	if (got <= 0) {
		int saved = errno;

		close(*passed);
		*passed = -1;
		errno = saved;
	}
	return got;
}

/* --- processors ---------------------------------------------------------------
 * A quota may stand at any level of the control group's path, and the tightest one
 * counts (libuv does it so; Go 1.25 looks at the leaf only, golang/go#81180). */

static int affinity_count(void)
{
	/* The kernel refuses sets smaller than its own: try larger ones. */
	for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		size_t size = CPU_ALLOC_SIZE((size_t)cpus);
		int n = 0;

		if (!set)
			break;
		if (sched_getaffinity(0, size, set) == 0)
			n = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (n > 0)
			return n;
	}
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static int round_up(long long quota, long long period, int limit)
{
	long long n;

	if (quota <= 0 || period <= 0)
		return limit;
	n = (quota + period - 1) / period;
	return n < limit ? (int)n : limit;
}

/* cpu.max holds "max 100000" or "150000 100000". */
static int quota_v2(const char *dir, int limit)
{
	char path[PATH_MAX + 32], text[64];
	long long quota, period;

	snprintf(path, sizeof path, "%s/cpu.max", dir);
	if (read_file(path, text, sizeof text) > 0 &&
	    sscanf(text, "%lld %lld", &quota, &period) == 2)
		return round_up(quota, period, limit);
	return limit;
}

static int quota_v1(const char *dir, int limit)
{
	char path[PATH_MAX + 32], text[64];
	long long quota;

	snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
	if (read_file(path, text, sizeof text) <= 0)
		return limit;
	quota = atoll(text);
	snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
	if (read_file(path, text, sizeof text) <= 0)
		return limit;
	return round_up(quota, atoll(text), limit);
}

/* Walks from root + path up to root itself. */
static int quota_upwards(const char *root, const char *path,
			 int (*quota)(const char *dir, int limit), int limit)
{
	char dir[PATH_MAX];
	size_t root_length = strlen(root);

	if ((size_t)snprintf(dir, sizeof dir, "%s%s", root, path) >= sizeof dir)
		return limit;
	for (;;) {
		char *slash;

		limit = quota(dir, limit);
		slash = strrchr(dir, '/');
		if (!slash || (size_t)(slash - dir) < root_length)
			return limit;
		*slash = '\0';
	}
}

/* /proc/self/cgroup has lines "ID:controllers:path"; v2 is "0::path". */
static int cgroup_count(int limit)
{
	char text[8192], *save = NULL;

	if (read_file("/proc/self/cgroup", text, sizeof text) <= 0)
		return limit;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		if (*controllers == '\0') {
			limit = quota_upwards("/sys/fs/cgroup", path, quota_v2, limit);
			limit = quota_upwards("/sys/fs/cgroup/unified", path, quota_v2, limit);
		} else if (strcmp(controllers, "cpu") == 0 || strstr(controllers, "cpu,cpuacct") ||
			   strstr(controllers, "cpuacct,cpu")) {
			limit = quota_upwards("/sys/fs/cgroup/cpu", path, quota_v1, limit);
		}
	}
	return limit;
}

int mpx__os_cpu_count(void)
{
	int n = cgroup_count(affinity_count());

	return n < 1 ? 1 : n;
}

/* The kernel refuses sets smaller than its own; 8192 is the most it is built for. */
void mpx__os_pin(int number)
{
	enum { CPUS = 8192 };
	size_t size = CPU_ALLOC_SIZE(CPUS), cpu = 0;
	cpu_set_t *set = CPU_ALLOC(CPUS);
	int n, before;

	if (!set)
		return;
	if (sched_getaffinity(0, size, set) == 0 && (n = CPU_COUNT_S(size, set)) > 0) {
		for (before = number % n; before || !CPU_ISSET_S(cpu, size, set); cpu++)
			before -= CPU_ISSET_S(cpu, size, set) != 0;
		CPU_ZERO_S(size, set);
		CPU_SET_S(cpu, size, set);
		sched_setaffinity(0, size, set);
	}
	CPU_FREE(set);
}

/* --- what a process takes ------------------------------------------------------- */

int64_t mpx__os_private_memory(pid_t pid)
{
	char path[32] = "/proc/self/statm", text[128];
	long long resident, shared;
	ssize_t n;
	int fd;

	if (pid)
		snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	if (sscanf(text, "%*s %lld %lld", &resident, &shared) != 2 || resident < shared)
		return -1;
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

int64_t mpx__os_cpu_time(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return -1;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- names of functions --------------------------------------------------- */

/* dladdr knows what is exported; most tasks are static, so the symbols are read from
 * the file that the code was mapped from, unless it was stripped. */

struct code {
	ElfW(Addr) address; /* where it is; from find_code on, in its file */
	char path[PATH_MAX];
};

static int find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct code *code = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		ElfW(Addr) at = code->address - info->dlpi_addr;

		if (p->p_type != PT_LOAD || at < p->p_vaddr || at - p->p_vaddr >= p->p_memsz)
			continue;
		snprintf(code->path, sizeof code->path, "%s",
			 info->dlpi_name && info->dlpi_name[0] ? info->dlpi_name
							       : "/proc/self/exe");
		code->address = at;
		return 1;
	}
	return 0;
}

/* n elements of that size at offset; NULL if the file does not have them. */
static const void *in_file(const char *file, size_t length, uint64_t offset, uint64_t n,
			   size_t size)
{
	if (offset > length || n > (length - offset) / size || offset % 4 != 0)
		return NULL;
	return file + offset;
}

static bool find_symbol(const char *file, size_t length, ElfW(Addr) address, char *name,
			size_t size)
{
	const ElfW(Ehdr) *head = in_file(file, length, 0, 1, sizeof *head);
	const ElfW(Shdr) * section;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_shentsize != sizeof *section)
		return false;
	section = in_file(file, length, head->e_shoff, head->e_shnum, sizeof *section);
	for (unsigned i = 0; section && i < head->e_shnum; i++) {
		const ElfW(Shdr) *s = &section[i], *strings;
		const ElfW(Sym) * symbol;
		uint64_t n = s->sh_size / sizeof *symbol;

		if ((s->sh_type != SHT_SYMTAB && s->sh_type != SHT_DYNSYM) ||
		    s->sh_link >= head->e_shnum)
			continue;
		strings = &section[s->sh_link];
		symbol = in_file(file, length, s->sh_offset, n, sizeof *symbol);
		if (!symbol || strings->sh_offset > length ||
		    strings->sh_size > length - strings->sh_offset)
			continue;
		for (uint64_t k = 0; k < n; k++) {
			if ((symbol[k].st_info & 0xf) != STT_FUNC ||
			    symbol[k].st_value != address || symbol[k].st_name >= strings->sh_size)
				continue;
			snprintf(name, size, "%.*s",
				 (int)(strings->sh_size - symbol[k].st_name < size
					       ? strings->sh_size - symbol[k].st_name
					       : size),
				 file + strings->sh_offset + symbol[k].st_name);
			return name[0] != '\0';
		}
	}
	return false;
}

bool mpx__os_function_name(void (*function)(void), char *name, size_t size)
{
	struct code code = {.address = (ElfW(Addr))function};
	struct stat about;
	bool found = false;
	int fd;

	if (!dl_iterate_phdr(find_code, &code))
		return false;
	fd = open(code.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &about) == 0 && about.st_size > 0) {
		size_t length = (size_t)about.st_size;
		char *file = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);

		if (file != MAP_FAILED) {
			found = find_symbol(file, length, code.address, name, size);
			munmap(file, length);
		}
	}
	close(fd);
	return found;
}
