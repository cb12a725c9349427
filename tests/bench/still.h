/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the whole machine stood still. One that is a guest itself stops on all its processors at once when its host has no time for it, or its
 * quota is used up (up to 35 ms of each 100 ms were seen): that is nothing that a program on it has done.
 *
 * A thread of real-time priority on each processor wakes up all the time. Where the threads of all of them were late at the same time the machine
 * stood still; a program can keep one processor to itself, in a long call to the kernel, but not all. */
#ifndef STASIS_TESTS_STILL_H
#define STASIS_TESTS_STILL_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t still_now_us(void);

/* Starts and ends the threads. Returns 0, or -1 when there are not as many as processors. */
int still_begin(void);
void still_end(void);

/* How long the machine stood still between two times; only after still_end(). */
uint64_t still_us(uint64_t from, uint64_t to);

#endif
