/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder's part for KVM. */
#ifndef STASIS_KVM_RECORD_H
#define STASIS_KVM_RECORD_H

#include "journal.h"
#include "recorder/recorder.h"

extern const struct recorder_kind kvm_recorder_kind;

#endif
