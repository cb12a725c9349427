/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder's part for USB devices. */
#ifndef STASIS_USB_RECORD_H
#define STASIS_USB_RECORD_H

#include "recorder/recorder.h"

extern const struct recorder_kind usb_recorder_kind;

#endif
