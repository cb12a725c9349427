/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What capture offers to the other parts of the frame. */
#ifndef STASIS_FD_CAPTURE_H
#define STASIS_FD_CAPTURE_H

#include "fd/kind.h"

/* What somebody above the core says about a link or the name of a mapping; NULL if nobody knows it. */
const struct fd_claim *fd_capture_claim(const struct fd_capture *cap, const char *text);

#endif
