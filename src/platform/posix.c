/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Plain POSIX: no futex, no pidfd, no /proc, no abstract sockets. Slower, and
 * true to the same promises. Built and tested on Linux too, so that it never rots.
 *
 * - Waiting is looking, at growing intervals from 20 us to 2 ms: every object
 *   between processes that POSIX offers to sleep on (mutex, condition,
 *   semaphore) can strand survivors when one of its users is killed.
 * - Life is a record lock: each process of the family locks the byte of its slot
 *   in a file that has no name; the kernel drops the lock when it ends, also while
 *   it is a zombie. A program that closes all descriptors loses its lock and counts as
 *   dead, unless it has become unable to tell (then nobody is ever declared dead).
 * - A child learns of its parent's death by SIGIO from a socket; one that has been
 *   stopped, when it goes on.
 * - A doorbell is a datagram socket on the loopback interface.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- sleeping on a word -------------------------------------------------- */

void mpx__os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	int64_t pause = 20000;

	while (atomic_load(word) == expected) {
		int64_t left = deadline - mpx__os_now();

		if (left <= 0)
			return;
		mpx__os_sleep(left < pause ? left : pause);
		if (pause < 2000000)
			pause += pause / 2;
	}
}

int mpx__os_wake(_Atomic uint32_t *word, int n)
{
	(void)word;
	(void)n;
	return 0; /* they look by themselves */
}

/* --- memory --------------------------------------------------------------- */

bool mpx__os_discard(void *addr, size_t size)
{
	(void)addr;
	(void)size;
	return false;
}

void mpx__os_populate(void *addr, size_t size)
{
	(void)addr;
	(void)size;
}

size_t mpx__os_memory_available(void)
{
#ifdef _SC_PHYS_PAGES
	/* Not what is left, but what there is: keeps out what can never be. */
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	if (pages > 0 && size > 0)
		return (size_t)pages * (size_t)size;
#endif
	return SIZE_MAX;
}

/* --- life of processes ---------------------------------------------------- */

static int life_fd = -1;
static dev_t life_device;
static ino_t life_inode;

int mpx__os_life_init(void)
{
	const char *dir = mpx__os_getenv("TMPDIR");
	char path[512];
	struct stat st;
	int low;

	if (snprintf(path, sizeof path, "%s/mpx-XXXXXX", dir ? dir : "/tmp") >= (int)sizeof path)
		return errno = ENAMETOOLONG, -1;
	low = mkstemp(path);
	if (low < 0)
		return -1;
	unlink(path);
	/* Out of the way of programs that count on low numbers. */
	life_fd = fcntl(low, F_DUPFD_CLOEXEC, 100);
	if (life_fd < 0)
		life_fd = low;
	else
		close(low);
	fcntl(life_fd, F_SETFD, FD_CLOEXEC);
	if (fstat(life_fd, &st) != 0)
		return -1;
	life_device = st.st_dev;
	life_inode = st.st_ino;
	return 0;
}

/* Is the descriptor still our file, or has the program closed and reused it? */
static bool life_known(void)
{
	struct stat st;

	return fstat(life_fd, &st) == 0 && st.st_dev == life_device && st.st_ino == life_inode;
}

/* Of this process, whose own lock is none to itself. */
static unsigned life_slot;
static pid_t life_pid;

uint64_t mpx__os_life_begin(unsigned slot)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};

	while (fcntl(life_fd, F_SETLK, &lock) != 0 && errno == EINTR)
		;
	life_slot = slot;
	life_pid = getpid();
	return 0;
}

bool mpx__os_life_gone(pid_t pid, unsigned slot, uint64_t birth)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};

	(void)birth;
	if (slot == life_slot && life_pid == getpid())
		return false;
	if (kill(pid, 0) != 0 && errno == ESRCH)
		return true;
	return life_known() && fcntl(life_fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

bool mpx__os_process_gone(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

uint64_t mpx__os_process_birth(pid_t pid)
{
	(void)pid;
	return 0;
}

uint64_t mpx__os_process_world(void)
{
	return 0;
}

/* --- named shared memory ------------------------------------------------------ */

int mpx__os_shm_unnamed(void)
{
	errno = ENOTSUP;
	return -1;
}

int mpx__os_shm_publish(int fd, const char *name)
{
	(void)fd;
	(void)name;
	errno = ENOTSUP;
	return -1;
}

bool mpx__os_shm_unused(const char *name)
{
	char path[NAME_MAX + 2];
	struct stat st;
	bool ours;
	int fd;

	snprintf(path, sizeof path, "/%s", name);
	fd = shm_open(path, O_RDWR, 0);
	if (fd < 0)
		return false;
	ours = fstat(fd, &st) == 0 && st.st_uid == geteuid();
	close(fd);
	return ours;
}

/* --- children --------------------------------------------------------------- */

int mpx__os_watch(pid_t pid)
{
	(void)pid;
	return -1;
}

int mpx__os_reap(pid_t pid, int watch, int *status)
{
	int raw;
	pid_t r;

	(void)watch;
	do
		r = waitpid(pid, &raw, WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -1;
	if (r == 0)
		return 0;
	*status = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
	return 1;
}

int mpx__os_signal(pid_t pid, int watch, int signal)
{
	(void)watch;
	return kill(pid, signal);
}

bool mpx__os_needs_link(void)
{
	return true;
}

static pid_t guarded_by;
static int guard = -1;

/* The parent's end is closed a moment before the parent is gone. If it does not go
 * in a second, it has closed what it should not have, and lives. */
static void parent_may_be_dead(int signal)
{
	int saved = errno;
	char byte;

	(void)signal;
	for (int i = 0; i < 1000; i++) {
		if (getppid() != guarded_by)
			kill(getpid(), SIGKILL);
		if (recv(guard, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
			break;
		poll(NULL, 0, 1);
	}
	errno = saved;
}

void mpx__os_die_with_parent(pid_t parent, int link)
{
	struct sigaction action;
	sigset_t set;

	memset(&action, 0, sizeof action);
	action.sa_handler = parent_may_be_dead;
	action.sa_flags = SA_RESTART;
	guarded_by = parent;
	guard = link;
	sigaction(SIGIO, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	fcntl(link, F_SETOWN, getpid());
	fcntl(link, F_SETFL, O_ASYNC | O_NONBLOCK);
	parent_may_be_dead(0);
}

void mpx__os_at_exit_first(void (*fn)(int status))
{
	(void)fn;
}

bool mpx__os_single_threaded(void)
{
	return false;
}

/* --- doorbells ---------------------------------------------------------------- */

static struct sockaddr_in loopback(uint64_t port)
{
	struct sockaddr_in name;

	memset(&name, 0, sizeof name);
	name.sin_family = AF_INET;
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	name.sin_port = (in_port_t)port;
	return name;
}

static int bell_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd >= 0) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	return fd;
}

int mpx__os_bell_open(uint64_t *address)
{
	struct sockaddr_in name = loopback(0);
	socklen_t size = sizeof name;
	int fd = bell_socket();

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
		close(fd);
		return -1;
	}
	*address = name.sin_port;
	return fd;
}

int mpx__os_bell_ring(uint64_t address, int through)
{
	struct sockaddr_in name = loopback(address);
	int fd = through < 0 ? bell_socket() : through, error = 0;

	if (fd < 0)
		return errno;
	if (sendto(fd, "", 1, 0, (struct sockaddr *)&name, sizeof name) < 0)
		error = errno == EAGAIN ? 0 : errno;
	if (through < 0)
		close(fd);
	return error;
}

/* --- descriptors that are passed ----------------------------------------------- */

/* A descriptor that there is no room for is lost: see first whether there is. */
ssize_t mpx__os_recv_passed(int fd, const struct iovec *iov, int n, int *passed)
{
	ssize_t got;
	int spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	*passed = -1;
	if (spare < 0)
		return -1;
	close(spare);
	got = mpx__os_recv_control(fd, iov, n, false, passed);
	if (got <= 0 || *passed >= 0)
		return got;
	errno = EMFILE;
	return -1;
}

/* --- processors ---------------------------------------------------------------- */

int mpx__os_cpu_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (int)n;
}

void mpx__os_pin(int number)
{
	(void)number;
}

/* --- what a process takes ------------------------------------------------------- */

int64_t mpx__os_private_memory(pid_t pid)
{
	(void)pid;
	return -1;
}

int64_t mpx__os_cpu_time(pid_t pid)
{
	(void)pid;
	return -1;
}

bool mpx__os_function_name(void (*function)(void), char *name, size_t size)
{
	(void)function;
	(void)name;
	(void)size;
	return false;
}
