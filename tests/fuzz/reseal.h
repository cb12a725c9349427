/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes the checksums of an altered image right again, as far as its parts can still be found, so that the checks behind
 * the checksums are what a test meets. */
#ifndef STASIS_TESTS_RESEAL_H
#define STASIS_TESTS_RESEAL_H

#include <stddef.h>
#include <stdint.h>

void reseal_image(uint8_t *image, size_t size);

#endif
