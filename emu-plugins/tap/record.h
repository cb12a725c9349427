/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder's part for tun/tap devices. */
#ifndef STASIS_TAP_RECORD_H
#define STASIS_TAP_RECORD_H

#include "recorder/recorder.h"

extern const struct recorder_kind tap_recorder_kind;

#endif
