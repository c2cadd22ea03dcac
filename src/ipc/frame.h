/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Messages on a stream socket. On the wire a message is
 *
 *     head, 8 bytes: kind, then the size in 7 bytes, the high one first
 *     part, at most MPX__PART bytes of the message, and a mark    (once or more)
 *
 * The mark says MORE, END, or VOID: the sender gave up, forget this message. So a
 * message is there only when its END is: neither a sender that is killed inside of
 * one nor one whose time is up inside of one can make a receiver take a piece for
 * the whole. The latter leaves a debt: the rest of the part that it is in (any
 * bytes will do) and a VOID, which whoever sends next pays first.
 *
 * Both ends keep in their handle how far they got in a message, and go on there.
 * Functions return 0 or an errno value. One thread at a time in each direction.
 */
#ifndef MPX_IPC_FRAME_H
#define MPX_IPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MPX__PART = 65536,
	MPX__HEAD = 8,
	MPX__MESSAGE = 'm', /* kinds */
	MPX__PASSED = 'd'   /* a descriptor, which goes with the head; no bytes */
};

/* How far one is in a message. */
struct mpx__frame {
	unsigned char head[MPX__HEAD];
	size_t head_done;
	uint64_t size;
	uint64_t base;	/* where the part begins */
	size_t in_part; /* bytes done of the part and its mark */
};

struct mpx__outgoing {
	struct mpx__frame frame;
	bool debt; /* it was given up inside */
};

struct mpx__incoming {
	struct mpx__frame frame;
	bool begun;  /* frame is known, and some of it has been taken from the socket */
	char *stash; /* room for all of it, before a byte of it is taken; or NULL */
	int passed;  /* the descriptor that came with the head; or -1 */
	int error;   /* not 0: nothing will come any more, for that reason */
};

/* data may be NULL if size is 0. pass: a descriptor, of kind MPX__PASSED, or -1.
 * ETIMEDOUT, or whatever is returned: it will never be delivered. EPIPE: the other
 * end is gone. */
int mpx__frame_send(struct mpx__outgoing *out, int fd, int kind, const void *data, size_t size,
		    int pass, int64_t deadline);

/* Waits for a message to begin: then in->frame has its kind (head[0]) and size. EPIPE:
 * the end; ECONNRESET: the end, inside a message; EBADMSG: that is no message. */
int mpx__frame_head(struct mpx__incoming *in, int fd, int64_t deadline);

/* The message itself, to data, which has room for it; after mpx__frame_head said 0.
 * ECANCELED: it was given up by its sender, wait for another. When it fails otherwise
 * (ETIMEDOUT, ENOMEM) what has come is kept for the next call. */
int mpx__frame_body(struct mpx__incoming *in, int fd, char *data, int64_t deadline);

/* Nothing is received any more: in->error, and the other end's sends fail with EPIPE. */
int mpx__frame_refuse(struct mpx__incoming *in, int fd, int error);

void mpx__frame_drop(struct mpx__incoming *in);

#endif
