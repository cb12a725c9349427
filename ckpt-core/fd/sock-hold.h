/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds a TCP connection still: what the other side sends is thrown away unseen, so that it will be sent again, and the socket
 * is in repair mode, in which its queues and numbers can be read and in which it dies without a word. */
#ifndef STASIS_FD_SOCK_HOLD_H
#define STASIS_FD_SOCK_HOLD_H

#include <stdbool.h>

/* Whether the caller may use repair mode on this socket: CAP_NET_ADMIN over its network namespace. Changes nothing. */
bool sock_hold_allowed(int fd);

/* Also on a socket without a connection, and on one that is held already. Not on one that has a filter of its own. Returns 0 or
 * a negative errno; then it is not in repair mode, but may be deaf: see sock_hold_end. */
int sock_hold_begin(int fd);

/* Leaves repair mode, in which the program could not use it, but lets nothing in yet. `reuse`: SO_REUSEADDR as it was before,
 * which repair mode forgets. */
int sock_hold_pause(int fd, int reuse);

/* Lets the connection go on, also where it was not held or only half. `probe`: makes the other side say where it stands.
 * Returns 0 or a negative errno. */
int sock_hold_end(int fd, int reuse, bool probe);

#endif
