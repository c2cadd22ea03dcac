/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What mpx_wait needs to know of a connection.
 */
#ifndef MPX_IPC_CONNECTION_H
#define MPX_IPC_CONNECTION_H

#include <mpx/connection.h>
#include <stdbool.h>

bool mpx__is_connection(const void *p);

/* Readable exactly when something can be received; -1 with EBADF: nothing can. */
int mpx__connection_receiver(const mpx_connection *c);

#endif
