/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alters an image in memory the way disks, networks and ill will do. The same random state gives the same alteration. */
#ifndef STASIS_TESTS_MUTATE_H
#define STASIS_TESTS_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next number of a sequence (splitmix64). */
uint64_t mutate_random(uint64_t *state);

/* Alters the image of `size` bytes once; it may grow up to `room`. Returns the new size and in `*ret_what` (a literal) what
 * was done. */
size_t mutate_image(uint8_t *image, size_t size, size_t room, uint64_t *state, const char **ret_what);

#endif
