/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Somebody sets the clock while we wait. Here the time of day leaps by an hour to and fro
 * each time that anybody asks for it (clock_gettime, gettimeofday, time and the calls
 * that sleep until a time of day are replaced in this program): every wait with a
 * timeout ends when it should, not early and not an hour late; and nobody in the
 * library has asked.
 *
 * Seen to fail with CLOCK_REALTIME in src/platform/common.c, and FUTEX_CLOCK_REALTIME in
 * src/platform/linux.c.
 */
#define _GNU_SOURCE
#include "family.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* While watching, in all processes of this program. */
static struct watch {
	atomic_bool on;
	atomic_int asked, waited;
	atomic_long hours;
} * watch;

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static long leap(void)
{
	if (!watch || !atomic_load(&watch->on))
		return 0;
	atomic_fetch_add(&watch->asked, 1);
	return atomic_fetch_add(&watch->hours, 1) % 2 ? 3600 : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		*(void **)&real = next("clock_gettime");
	int r = real(clock, t);
	if (r == 0 && clock != CLOCK_MONOTONIC && clock != CLOCK_PROCESS_CPUTIME_ID &&
	    clock != CLOCK_BOOTTIME) /* which nobody can set, either */
		t->tv_sec += leap();
	return r;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec spec;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &spec);
	*t = (struct timeval){spec.tv_sec, spec.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *t)
{
	struct timespec spec;
	clock_gettime(CLOCK_REALTIME, &spec);
	if (t)
		*t = spec.tv_sec;
	return spec.tv_sec;
}

#ifdef __linux__
/* A futex's deadline is of the one clock or the other. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list args;
	if (!real)
		*(void **)&real = next("syscall");
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_futex && watch && atomic_load(&watch->on)) {
		if ((a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)
			atomic_fetch_add(&watch->waited, 1);
		if (a[1] & FUTEX_CLOCK_REALTIME)
			atomic_fetch_add(&watch->asked, 1);
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
#endif

/* --- all that waits --------------------------------------------------------------------- */

#define WAIT 0.15

static void begin(void)
{
	atomic_store(&watch->asked, 0);
	atomic_store(&watch->on, true);
}

static void end(void)
{
	atomic_store(&watch->on, false);
	assert_int_equal(atomic_load(&watch->asked), 0);
}

#define assert_waits(call)                                                                         \
	do {                                                                                       \
		begin();                                                                           \
		double begin_ = now();                                                             \
		errno = 0;                                                                         \
		long long r_ = (long long)(call);                                                  \
		int error_ = errno;                                                                \
		double took_ = now() - begin_;                                                     \
		end();                                                                             \
		assert_true(r_ == -1 && error_ == ETIMEDOUT);                                      \
		if (took_ < WAIT - 1e-6 || took_ > WAIT + 30)                                      \
			fail_msg("%s took %g seconds", #call, took_);                              \
	} while (0)

struct held {
	mpx_lock *l;
	mpx_rlock *r;
	atomic_bool held, enough;
};

static int hold(void *arg)
{
	struct held *h = arg;
	child_check(mpx_lock_acquire(h->l, 0) == 0 && mpx_rlock_acquire(h->r, 0) == 0);
	atomic_store(&h->held, true);
	child_soon(atomic_load(&h->enough));
	child_check(mpx_lock_release(h->l) == 0 && mpx_rlock_release(h->r) == 0);
	return 0;
}

static void test_locks(void **state)
{
	(void)state;
	struct held *h = mpx_calloc(1, sizeof *h);
	assert_non_null(h);
	assert_non_null(h->l = mpx_lock_new());
	assert_non_null(h->r = mpx_rlock_new());
	mpx_process *p = start(hold, h);
	assert_soon(atomic_load(&h->held));
	assert_waits(mpx_lock_acquire(h->l, WAIT));
	assert_waits(mpx_rlock_acquire(h->r, WAIT));
	assert_waits(mpx_process_join(p, WAIT));
	atomic_store(&h->enough, true);
	ends_well(p);
	mpx_lock_free(h->l);
	mpx_rlock_free(h->r);
	mpx_free(h);
}

static void test_queue(void **state)
{
	(void)state;
	char c = 0;
	mpx_queue *q = mpx_queue_new(.maxsize = 1);
	assert_non_null(q);
	assert_waits(mpx_queue_get(q, &c, 1, WAIT));
	assert_waits(mpx_queue_next_size(q, WAIT));
	assert_ok(mpx_queue_put(q, &c, 1, 0));
	assert_waits(mpx_queue_put(q, &c, 1, WAIT));
	mpx_queue_free(q);
}

/* Also the workers and the supervisor are watched. */
static void test_pool(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(r);
	assert_waits(mpx_result_wait(r, WAIT));
	assert_waits(mpx_result_get(r, NULL, WAIT));
	assert_ok(mpx_pool_close(pool));
	assert_waits(mpx_pool_join(pool, WAIT));
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int pause_for_ever(const void *in, void *out)
{
	(void)in;
	(void)out;
	for (;;)
		pause();
	return 0;
}

/* A task's time is up when it is. */
static void test_task_timeout(void **state)
{
	(void)state;
	int in = 0, out = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .task_timeout = WAIT);
	assert_non_null(pool);
	begin();
	double from = now();
	assert_fails(mpx_pool_apply(pool, pause_for_ever, &in, &out), ETIMEDOUT);
	double took = now() - from;
	end();
	assert_true(took >= WAIT - 1e-6 && took < WAIT + 30);
	mpx_pool_free(pool);
}

/* We would have noticed. */
static void test_watch(void **state)
{
	(void)state;
	struct timespec t;
	struct timeval v;
	begin();
	clock_gettime(CLOCK_REALTIME, &t);
	long first = (long)time(NULL);
	gettimeofday(&v, NULL);
	assert_true(first - t.tv_sec > 7000);
	assert_true(first - v.tv_sec > 7000);
	assert_int_equal(atomic_load(&watch->asked), 3);
	atomic_store(&watch->on, false);
#ifdef MPX_TEST_PLATFORM_LINUX
	assert_true(atomic_load(&watch->waited) > 0);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_locks),	     mpx_test(test_queue), mpx_test(test_pool),
		mpx_test(test_task_timeout), mpx_test(test_watch),
	};
	watch = mmap(NULL, sizeof *watch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return watch == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
