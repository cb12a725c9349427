// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whose calls the recorder watches. */
#include "kvm/record.h"
#include "tap/record.h"
#include "usb/record.h"
#include "vhost/record.h"

const struct recorder_kind *const recorder_kinds[] = { &kvm_recorder_kind, &tap_recorder_kind, &vhost_recorder_kind, &usb_recorder_kind, NULL };
