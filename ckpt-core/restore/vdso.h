/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's code in user memory, when the new kernel's differs from the one the image was made under. */
#ifndef STASIS_RESTORE_VDSO_H
#define STASIS_RESTORE_VDSO_H

#include <stddef.h>
#include <stdint.h>

#include "base/report.h"

/* Turns every function of an old vdso text into a jump to the function of the same name in this kernel's, which lies at `new_base`
 * in the process; a function this kernel's lacks becomes the plain system call, or -ENOSYS. The old text stays where the program's
 * pointers expect it; everything but the first bytes of the functions is left as it was. `old` may come from a damaged image.
 * Returns 0, or -EBADMSG (nothing is said) when it is no vdso. */
int vdso_redirect(uint8_t *old, size_t old_size, const uint8_t *now, size_t now_size, uint64_t new_base);

#endif
