/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A program of somebody else, for outside_all.sh, that uses each function of sync, queue,
 * connection, value, memory, shared_memory and log once, as their headers tell. The
 * plain functions come first: they are good C11 and good C++17. The last part is the
 * macros that only C has.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG 60.0 /* seconds; nothing here takes that long */

#define check(what) ((what) ? (void)0 : wrong(__LINE__, #what))

static void __attribute__((noreturn)) wrong(int line, const char *what)
{
	fprintf(stderr, "outside_all.c:%d: not so: %s (errno: %s)\n", line, what, strerror(errno));
	exit(1);
}

/* --- processes to share with ----------------------------------------------------- */

static mpx_process *start(mpx_target *target, void *args)
{
	mpx_process_options options;
	mpx_process *p;

	memset(&options, 0, sizeof options);
	options.size = sizeof options;
	options.target = target;
	options.args = args;
	p = mpx_process_create(&options);
	check(p && mpx_process_start(p) == 0);
	return p;
}

/* Its exit code. */
static int end(mpx_process *p)
{
	int code;

	check(mpx_process_join(p, LONG) == 0 && mpx_process_exitcode(p, &code) == 0);
	check(mpx_process_free(p) == 0);
	return code;
}

static void killed(mpx_target *target, void *args)
{
	check(end(start(target, args)) == -SIGKILL);
}

/* --- sync.h ---------------------------------------------------------------------- */

static int die_with_lock(void *l)
{
	check(mpx_lock_acquire((mpx_lock *)l, LONG) == 0);
	return raise(SIGKILL);
}

static void lock(void)
{
	mpx_lock *l = mpx_lock_new();

	check(l && !mpx_lock_locked(l));
	check(mpx_lock_acquire(l, MPX_FOREVER) == 0);
	check(mpx_lock_locked(l));
	check(mpx_lock_release(l) == 0);
	killed(die_with_lock, l);
	check(mpx_lock_acquire(l, LONG) == -1 && errno == EOWNERDEAD);
	check(mpx_lock_consistent(l) == 0);
	check(mpx_lock_release(l) == 0);
	check(mpx_lock_acquire(l, 0) == 0 && mpx_lock_release(l) == 0);
	mpx_lock_free(l);
}

static int die_with_rlock(void *l)
{
	check(mpx_rlock_acquire((mpx_rlock *)l, LONG) == 0);
	return raise(SIGKILL);
}

static void rlock(void)
{
	mpx_rlock *l = mpx_rlock_new();

	check(l && mpx_rlock_acquire(l, 0) == 0 && mpx_rlock_acquire(l, 0) == 0);
	check(mpx_rlock_release(l) == 0 && mpx_rlock_locked(l));
	check(mpx_rlock_release(l) == 0 && !mpx_rlock_locked(l));
	killed(die_with_rlock, l);
	check(mpx_rlock_acquire(l, LONG) == -1 && errno == EOWNERDEAD);
	check(mpx_rlock_consistent(l) == 0);
	check(mpx_rlock_release(l) == 0);
	mpx_rlock_free(l);
}

static void semaphore(void)
{
	mpx_semaphore *s = mpx_semaphore_new(1);
	mpx_semaphore *bounded = mpx_bounded_semaphore_new(1);

	check(s && mpx_semaphore_acquire(s, LONG) == 0);
	check(mpx_semaphore_locked(s) && mpx_semaphore_value(s) == 0);
	check(mpx_semaphore_acquire(s, 0) == -1 && errno == ETIMEDOUT);
	check(mpx_semaphore_release(s) == 0 && mpx_semaphore_release(s) == 0);
	check(mpx_semaphore_value(s) == 2);
	check(bounded && mpx_semaphore_release(bounded) == -1 && errno == EOVERFLOW);
	mpx_semaphore_free(bounded);
	mpx_semaphore_free(s);
}

typedef struct {
	mpx_condition *c;
	int rung;
} bell;

static bool has_rung(void *b)
{
	return ((bell *)b)->rung > 1;
}

/* Its first waiter waits for a notice, then for the second ring. */
static int ring(void *arg)
{
	bell *b = (bell *)arg;

	check(mpx_condition_acquire(b->c, LONG) == 0);
	b->rung = 1;
	check(mpx_condition_notify(b->c, 1) == 0 && mpx_condition_release(b->c) == 0);
	check(mpx_condition_acquire(b->c, LONG) == 0);
	b->rung = 2;
	check(mpx_condition_notify_all(b->c) == 0 && mpx_condition_release(b->c) == 0);
	return 0;
}

static int die_with_bell(void *b)
{
	check(mpx_condition_acquire(((bell *)b)->c, LONG) == 0);
	return raise(SIGKILL);
}

static void condition(void)
{
	bell *b = (bell *)mpx_calloc(1, sizeof *b);
	mpx_process *p;

	check(b && (b->c = mpx_condition_new(NULL)));
	check(mpx_condition_acquire(b->c, LONG) == 0);
	p = start(ring, b);
	check(mpx_condition_wait(b->c, LONG) == 0 && b->rung >= 1);
	check(mpx_condition_wait_for(b->c, has_rung, b, LONG) == 0 && b->rung == 2);
	check(mpx_condition_release(b->c) == 0 && end(p) == 0);
	killed(die_with_bell, b);
	check(mpx_condition_acquire(b->c, LONG) == -1 && errno == EOWNERDEAD);
	check(mpx_condition_consistent(b->c) == 0);
	check(mpx_condition_release(b->c) == 0);
	mpx_condition_free(b->c);
	mpx_free(b);
}

static int wait_for_event(void *e)
{
	return mpx_event_wait((mpx_event *)e, LONG) == 0 ? 7 : 1;
}

static void event(void)
{
	mpx_event *e = mpx_event_new();
	mpx_process *p;

	check(e && !mpx_event_is_set(e));
	p = start(wait_for_event, e);
	check(mpx_event_set(e) == 0 && mpx_event_is_set(e));
	check(end(p) == 7);
	check(mpx_event_clear(e) == 0 && !mpx_event_is_set(e));
	mpx_event_free(e);
}

static int count(void *n)
{
	++*(int *)n;
	return 0;
}

static int meet(void *b)
{
	return mpx_barrier_wait((mpx_barrier *)b, LONG);
}

static void barrier(void)
{
	int *met = (int *)mpx_calloc(1, sizeof *met);
	mpx_barrier_options options;
	mpx_barrier *b;
	mpx_process *p;

	memset(&options, 0, sizeof options);
	options.size = sizeof options;
	options.parties = 2;
	options.action = count;
	options.arg = met;
	b = mpx_barrier_create(&options);
	check(b && mpx_barrier_parties(b) == 2);
	p = start(meet, b);
	check(mpx_barrier_wait(b, LONG) + end(p) == 0 + 1 && *met == 1);
	check(mpx_barrier_n_waiting(b) == 0);
	check(mpx_barrier_abort(b) == 0 && mpx_barrier_broken(b));
	check(mpx_barrier_wait(b, LONG) == -1 && errno == ECANCELED);
	check(mpx_barrier_reset(b) == 0 && !mpx_barrier_broken(b));
	mpx_barrier_free(b);
	mpx_free(met);
}

/* --- queue.h --------------------------------------------------------------------- */

static bool polls(int fd)
{
	struct pollfd p;

	p.fd = fd;
	p.events = POLLIN;
	return poll(&p, 1, 0) == 1;
}

static int produce(void *q)
{
	const int xs[] = {2, 3};
	void *room;

	check(mpx_queue_put((mpx_queue *)q, "one", 4, LONG) == 0);
	check(mpx_queue_put_many((mpx_queue *)q, xs, sizeof xs[0], 2, LONG) == 2);
	check((room = mpx_queue_reserve((mpx_queue *)q, 6, LONG)) != NULL);
	memcpy(room, "three", 6);
	check(mpx_queue_commit((mpx_queue *)q, room) == 0);
	return 0;
}

static void queue(void)
{
	mpx_queue_options options;
	mpx_queue *q;
	char text[8];
	int xs[2], n, fd;
	size_t sizes[2], size;
	const void *message;
	void *room;

	memset(&options, 0, sizeof options);
	options.size = sizeof options;
	options.maxsize = 4;
	check((q = mpx_queue_create(&options)) && mpx_queue_empty(q));
	check((fd = mpx_queue_fileno(q)) >= 0 && !polls(fd));
	check(end(start(produce, q)) == 0);
	check(polls(fd) && mpx_queue_full(q) && mpx_queue_qsize(q) == 4);

	check(mpx_queue_next_size(q, LONG) == 4);
	check(mpx_queue_get(q, text, sizeof text, LONG) == 4 && !strcmp(text, "one"));
	for (n = 0; n < 2;) { /* may return fewer than there are */
		ssize_t got =
			mpx_queue_get_many(q, xs + n, sizeof xs[0], (size_t)(2 - n), sizes, LONG);
		check(got >= 1 && sizes[0] == sizeof xs[0]);
		n += (int)got;
	}
	check(xs[0] == 2 && xs[1] == 3);
	message = mpx_queue_take(q, &size, LONG);
	check(message && size == 6 && !strcmp((const char *)message, "three"));
	check(mpx_queue_release(q, message) == 0);
	check((room = mpx_queue_reserve(q, 100, 0)) && mpx_queue_cancel(q, room) == 0);

	check(mpx_queue_join(q, 0) == -1 && errno == ETIMEDOUT);
	for (n = 0; n < 4; n++)
		check(mpx_queue_task_done(q) == 0);
	check(mpx_queue_join(q, LONG) == 0);
	check(mpx_queue_close(q) == 0);
	check(mpx_queue_get(q, text, sizeof text, LONG) == -1 && errno == EPIPE);
	mpx_queue_free(q);
}

/* --- connection.h ---------------------------------------------------------------- */

/* Sends back what comes, and the end of a pipe that says "hi". */
static int answer(void *arg)
{
	mpx_connection **ends = (mpx_connection **)arg;
	char text[8];
	int fds[2];

	check(mpx_connection_close(ends[0]) == 0);
	check(mpx_connection_recv(ends[1], text, sizeof text, LONG) == 6);
	check(mpx_connection_send(ends[1], text, 6, LONG) == 0);
	check(pipe(fds) == 0 && write(fds[1], "hi", 2) == 2);
	check(mpx_connection_send_fd(ends[1], fds[0], LONG) == 0);
	return 0;
}

static void connection(void)
{
	mpx_connection *ends[2];
	mpx_waitable set[3];
	mpx_process *p;
	bool ready[3];
	char text[8];
	int fd;

	check(mpx_pipe(ends, true) == 0);
	check(mpx_connection_readable(ends[0]) && mpx_connection_writable(ends[0]));
	check(mpx_connection_set_max_size(ends[0], 6) == 0);
	check(mpx_connection_send(ends[0], "too long", 9, LONG) == -1 && errno == EMSGSIZE);
	p = start(answer, ends);
	check(mpx_connection_close(ends[1]) == 0);
	check(mpx_connection_send(ends[0], "hello", 6, LONG) == 0);
	check(mpx_connection_poll(ends[0], LONG) == 1 && polls(mpx_connection_fileno(ends[0])));
	check(mpx_connection_next_size(ends[0], LONG) == 6);
	check(mpx_connection_recv(ends[0], text, sizeof text, LONG) == 6 && !strcmp(text, "hello"));
	fd = mpx_connection_recv_fd(ends[0], LONG);
	check(fd >= 0);
	check(mpx_process_join(p, LONG) == 0);

	set[0] = mpx_waitable_of(p);
	set[1] = mpx_waitable_fd(fd);
	set[2] = mpx_waitable_of(ends[0]); /* at its end */
	check(mpx_wait(set, 3, ready, LONG) == 3 && ready[0] && ready[1] && ready[2]);
	check(read(fd, text, sizeof text) == 2 && !memcmp(text, "hi", 2));
	check(close(fd) == 0 && end(p) == 0);
	check(mpx_connection_recv(ends[0], text, sizeof text, LONG) == -1 && errno == EPIPE);
	check(mpx_connection_close(ends[0]) == 0);
}

/* --- value.h --------------------------------------------------------------------- */

static int add_one(void *v)
{
	mpx_number old =
		mpx_value_update((mpx_value *)v, MPX_VALUE_ADD, mpx_number_i(1), mpx_number_i(0));

	return mpx_number_as_i(old) == 5 ? 0 : 1;
}

static void value(void)
{
	mpx_value *v = mpx_value_create('i', mpx_number_i(5));
	mpx_value *raw = mpx_raw_value_create('d', mpx_number_d(0.5));
	mpx_value *copy;
	mpx_number old;
	double d = 0;
	int i = 0;

	check(v && raw && mpx_value_typecode(raw) == 'd');
	check(end(start(add_one, v)) == 0);
	check(mpx_value_get(v, &i) == 0 && i == 6);
	i = 7;
	check(mpx_value_set(v, &i) == 0 && *(int *)mpx_value_pointer(v, 'i') == 7);
	i = 8;
	check(mpx_value_write(v, &i, LONG) == 0);
	check(mpx_value_read(v, &i, LONG) == 0 && i == 8);
	old = mpx_value_update(v, MPX_VALUE_MAX, mpx_number_u(9), mpx_number_u(0));
	check(mpx_number_as_u(old) == 8);
	old = mpx_value_update(raw, MPX_VALUE_EXCHANGE, mpx_number_d(1.5), mpx_number_d(0));
	check(mpx_number_as_d(old) == 0.5);
	check(mpx_rlock_acquire(mpx_value_lock(v), LONG) == 0);
	check(mpx_rlock_release(mpx_value_lock(v)) == 0);
	check(mpx_value_synchronized(raw, mpx_value_lock(v)) == 0);
	check(mpx_value_lock(raw) == mpx_value_lock(v));
	copy = mpx_value_copy(raw);
	check(copy && mpx_value_read(copy, &d, LONG) == 0 && d == 1.5);
	mpx_value_free(copy);
	mpx_value_free(raw);
	mpx_value_free(v);
}

typedef struct {
	double x, y, z;
} point;

static void array(void)
{
	const short some[] = {1, 2, 3};
	const point origin = {0, 0, 0};
	mpx_array *a = mpx_array_create('h', 3, some, 'h');
	mpx_array *text = mpx_raw_array_create('c', 6, NULL, '*');
	mpx_array *points = mpx_array_create_of('\0', sizeof(point), 1, &origin);
	mpx_array *raw = mpx_raw_array_create_of('\0', sizeof(point), 2, NULL);
	mpx_array *copy;
	short x = 0, xs[3];
	char buf[7];
	point p = {1, 2, 3};

	check(a && text && points && raw);
	check(mpx_array_len(a) == 3 && mpx_array_itemsize(a) == sizeof(short));
	check(mpx_array_typecode(a) == 'h' && mpx_array_typecode(raw) == '\0');
	check(mpx_array_get(a, 2, &x) == 0 && x == 3);
	x = 4;
	check(mpx_array_set(a, 2, &x) == 0 && ((short *)mpx_array_pointer(a, 'h'))[2] == 4);
	check(mpx_array_slice(a, 1, 2, xs) == 0 && xs[0] == 2 && xs[1] == 4);
	check(mpx_array_assign(a, 0, 2, xs) == 0);
	check(mpx_array_read(a, 0, 3, xs, LONG) == 0 && xs[0] == 2 && xs[1] == 4 && xs[2] == 4);
	check(mpx_array_write(a, 0, 3, some, LONG) == 0);
	check((copy = mpx_array_copy(a)) && mpx_array_get(copy, 2, &x) == 0 && x == 3);

	check(mpx_array_set(points, 0, &p) == 0);
	check(((point *)mpx_array_pointer_of(points, '\0', sizeof(point)))->z == 3);
	check(mpx_array_lock(raw) == NULL);
	check(mpx_array_synchronized(raw, mpx_array_lock(points)) == 0);
	check(mpx_array_lock(raw) == mpx_array_lock(points));
	check(mpx_array_set_str(text, "howdy") == 0);
	check(mpx_array_str(text, buf, sizeof buf) == 5 && !strcmp(buf, "howdy"));
	mpx_array_free(copy);
	mpx_array_free(raw);
	mpx_array_free(points);
	mpx_array_free(text);
	mpx_array_free(a);
}

/* --- memory.h -------------------------------------------------------------------- */

static void memory(void)
{
	mpx_memory_stats before, with;
	int *x, *zeros;

	check(mpx_memory_get_stats(&before, sizeof before) == 0 && before.reserved > 0);
	check((x = (int *)mpx_malloc(sizeof *x)) && (zeros = (int *)mpx_calloc(2, sizeof *zeros)));
	check(zeros[1] == 0);
	check(mpx_memory_get_stats(&with, sizeof with) == 0 && with.blocks == before.blocks + 2);
	*x = 1;
	check(end(start(count, x)) == 0 && *x == 2);
	mpx_free(zeros);
	mpx_free(x);
	check(mpx_memory_get_stats(&with, sizeof with) == 0 && with.blocks == before.blocks);
}

/* --- shared_memory.h ------------------------------------------------------------- */

static int leave_segment(void *name)
{
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, 1);

	check(m && strlen(mpx_shared_memory_name(m)) < 64);
	strcpy((char *)name, mpx_shared_memory_name(m));
	return raise(SIGKILL);
}

static void shared_memory(void)
{
	mpx_shared_memory *m = mpx_shared_memory_create(NULL, 100), *again;
	char *left = (char *)mpx_calloc(64, 1);
	int swept;

	check(m && left && mpx_shared_memory_size(m) >= 100);
	strcpy((char *)mpx_shared_memory_buf(m), "here");
	check((again = mpx_shared_memory_open(mpx_shared_memory_name(m))) != NULL);
	check(!strcmp((const char *)mpx_shared_memory_buf(again), "here"));
	check(mpx_shared_memory_close(again) == 0);
	check(mpx_shared_memory_unlink(m) == 0);
	mpx_shared_memory_free(again);
	mpx_shared_memory_free(m);

	killed(leave_segment, left);
	swept = mpx_shared_memory_sweep();
	check(swept >= 0 || errno == ENOTSUP);
	if ((again = mpx_shared_memory_open(left))) { /* there is no sweep, or it was in doubt */
		check(mpx_shared_memory_unlink(again) == 0);
		mpx_shared_memory_free(again);
	}
	mpx_free(left);
}

static void shareable_list(void)
{
	const mpx_shareable_item items[] = {
		mpx_shareable_int(100),		mpx_shareable_double(0.5),
		mpx_shareable_bool(true),	mpx_shareable_str("howdy"),
		mpx_shareable_bytes("\1\2", 2), mpx_shareable_none(),
	};
	mpx_shareable_list *made = mpx_shareable_list_create(items, 6, NULL), *l;
	int64_t i = 0;
	double d = 0;
	bool b = false;
	char text[49];

	check(made && (l = mpx_shareable_list_open(mpx_shareable_list_name(made))));
	check(mpx_shareable_list_len(l) == 6);
	check(mpx_shareable_list_type(l, 5) == MPX_SHAREABLE_NONE);
	check(mpx_shareable_list_room(l, 3) == 8);
	check(mpx_shareable_list_get_int(l, 0, &i) == 0 && i == 100);
	check(mpx_shareable_list_get_double(l, 1, &d) == 0 && d == 0.5);
	check(mpx_shareable_list_get_bool(l, 2, &b) == 0 && b);
	check(mpx_shareable_list_get_str(l, 3, text, 9) == 5 && !strcmp(text, "howdy"));
	check(mpx_shareable_list_get_bytes(l, 4, text, 9) == 2 && !memcmp(text, "\1\2", 2));
	check(mpx_shareable_list_format(l, text, sizeof text) > 0 && !strncmp(text, "qd", 2));
	check(mpx_shareable_list_set(made, 5, mpx_shareable_int(100)) == 0);
	check(mpx_shareable_list_count(l, mpx_shareable_int(100)) == 2);
	check(mpx_shareable_list_index(l, mpx_shareable_str("howdy")) == 3);

	check(mpx_shareable_list_set_none(l, 0) == 0 && mpx_shareable_list_set_int(l, 1, 1) == 0);
	check(mpx_shareable_list_set_double(l, 2, 2) == 0);
	check(mpx_shareable_list_set_bool(l, 5, false) == 0);
	check(mpx_shareable_list_set_str(l, 3, "hi") == 0);
	check(mpx_shareable_list_set_bytes(l, 4, "\3", 1) == 0);
	check(mpx_shareable_list_get_int(made, 1, &i) == 0 && i == 1);

	check(mpx_shared_memory_size(mpx_shareable_list_shm(l)) > 0);
	check(mpx_shareable_list_close(l) == 0);
	check(mpx_shareable_list_unlink(made) == 0);
	mpx_shareable_list_free(l);
	mpx_shareable_list_free(made);
}

/* --- log.h ----------------------------------------------------------------------- */

static void keep(int level, const char *process, const char *message, void *user)
{
	snprintf((char *)user, 80, "%d %s %s", level, process, message);
}

static void logging(void)
{
	char last[80] = "";

	check(mpx_log_to_stderr(MPX_LOG_CRITICAL) == 0 && mpx_log_level() == MPX_LOG_CRITICAL);
	check(mpx_log_set(keep, last, MPX_LOG_WARNING) == 0);
	check(mpx_log_enabled(MPX_LOG_ERROR) && !mpx_log_enabled(MPX_LOG_INFO));
	mpx_log_write(MPX_LOG_ERROR, "%d files", 12);
	check(!strcmp(last, "40 MainProcess 12 files"));
	mpx_log(MPX_LOG_WARNING, "%s", "oh");
	check(!strcmp(last, "30 MainProcess oh"));
	mpx_log(MPX_LOG_INFO, "%s", "not this");
	check(!strcmp(last, "30 MainProcess oh"));
	check(mpx_log_set(NULL, NULL, MPX_LOG_WARNING) == 0 && mpx_log_level() == 0);
}

#ifndef __cplusplus
/* --- C only: the macros ---------------------------------------------------------- */

static void queue_macros(void)
{
	mpx_queue *some[] = {mpx_queue_new(.maxsize = 1), mpx_queue_new(),
			     mpx_joinable_queue_new(.maxsize = 2), mpx_simple_queue_new()};

	for (int i = 0; i < 4; i++) {
		int x = i;

		check(some[i] && mpx_queue_put(some[i], &x, sizeof x, 0) == 0);
		check(mpx_queue_full(some[i]) == (i == 0));
		mpx_queue_free(some[i]);
	}
}

static void value_macros(void)
{
	mpx_value *v = mpx_value_new('i', 5), *raw = mpx_raw_value_new('d', 1);

	check(v && mpx_value_add(v, 2) == 5 && *mpx_value_ptr(v, int) == 7);
	check(mpx_value_exchange(v, 10) == 7);
	check(mpx_value_compare_exchange(v, 10, 20) == 10);
	check(mpx_value_min(v, 15) == 20);
	check(mpx_value_max(v, 30u) == 15 && *mpx_value_ptr(v, int) == 30);
	check(raw && mpx_value_add(raw, 0.5) == 1.0 && *mpx_value_ptr(raw, double) == 1.5);
	mpx_value_free(raw);
	mpx_value_free(v);
}

static void array_macros(void)
{
	const point corner = {1, 1, 1};
	mpx_array *some[] = {
		mpx_array_new('i', 2, ((const int[]){1, 2})),
		mpx_raw_array_new('d', 2, NULL),
		mpx_array_of(point, 1, &corner),
		mpx_raw_array_of(long, 1, NULL),
	};

	check(some[0] && mpx_array_ptr(some[0], int)[1] == 2);
	check(some[1] && mpx_array_ptr(some[1], double)[1] == 0);
	check(some[2] && mpx_array_ptr(some[2], point)->z == 1);
	check(some[3] && mpx_array_typecode(some[3]) == 'l');
	for (int i = 0; i < 4; i++)
		mpx_array_free(some[i]);
}

static void macros(void)
{
	mpx_barrier *b = mpx_barrier_new(.parties = 1);
	mpx_memory_stats stats;

	check(b && mpx_barrier_wait(b, LONG) == 0);
	check(mpx_memory_stats_now(&stats) == 0 && stats.blocks > 0);
	mpx_barrier_free(b);
	queue_macros();
	value_macros();
	array_macros();
}
#else
static void macros(void)
{
}
#endif

int main(void)
{
	mpx_memory_stats before, after;

	lock(); /* and whatever the library makes once */
	check(mpx_memory_get_stats(&before, sizeof before) == 0);
	rlock();
	semaphore();
	condition();
	event();
	barrier();
	queue();
	connection();
	value();
	array();
	memory();
	shared_memory();
	shareable_list();
	logging();
	macros();
	check(mpx_memory_get_stats(&after, sizeof after) == 0 && after.blocks == before.blocks);
	return 0;
}
