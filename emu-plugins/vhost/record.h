/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder's part for vhost devices. */
#ifndef STASIS_VHOST_RECORD_H
#define STASIS_VHOST_RECORD_H

#include "recorder/recorder.h"

extern const struct recorder_kind vhost_recorder_kind;

#endif
