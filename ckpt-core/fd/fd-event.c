// SPDX-License-Identifier: LGPL-2.1-or-later
/* eventfd and signalfd. Tests: fd-event.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

struct eventfd_state {
	uint32_t file;
	uint64_t count;
	bool semaphore;
};

static const struct img_field eventfd_fields[] = {
	IMG_FIELD_REQUIRED(1, eventfd_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, eventfd_state, count, IMG_U64, IMG_DEC),
	IMG_FIELD(3, eventfd_state, semaphore, IMG_BOOL, IMG_DEC),
};
const struct img_schema fd_eventfd_schema =
        IMG_SCHEMA("EVFD", 1, IMG_MUST_UNDERSTAND, "eventfd", eventfd_state, eventfd_fields);

static bool eventfd_claim(const struct fd_look *look)
{
	return !strcmp(look->link, "anon_inode:[eventfd]");
}

/* Before 6.7 fdinfo does not tell a semaphore, and reading would take from the count. */
static int eventfd_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct eventfd_state *state = file->state;

	(void)cap;
	state->count = look->info->eventfd_count;
	state->semaphore = look->info->has_eventfd_semaphore && look->info->eventfd_semaphore;
	file->own = look->info->has_eventfd_semaphore;
	return 0;
}

static int eventfd_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct eventfd_state *state = file->state;

	(void)cap;
	fd_verdict_action(v, "count %llu saved and restored%s", (unsigned long long)state->count,
	                  file->own ? "" : " (taken for no semaphore: this kernel does not tell)");
	return 0;
}

static int eventfd_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct eventfd_state *state = file->state;
	uint64_t count = state->count;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (state->semaphore ? EFD_SEMAPHORE : 0)), err = 0;

	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (eventfd): %s", file->slot_fd, strerror(errno));
	/* A count of 2^64-1 (overflow by the kernel's own signalling) cannot be written; the next one below reads the same to a
	 * poll. */
	if (count == UINT64_MAX)
		count--;
	if (count && write(fd, &count, sizeof(count)) != sizeof(count))
		err = report_fail(plan->rep, -errno, "fd %d (eventfd): count %llu cannot be set: %s", file->slot_fd,
		                  (unsigned long long)count, strerror(errno));
	if (!err)
		err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_eventfd = {
	.name = "eventfd",
	.state_schema = &fd_eventfd_schema,
	.claim = eventfd_claim,
	.inspect = eventfd_inspect,
	.check = eventfd_check,
	.prepare = eventfd_prepare,
};

/* ---- signalfd ---- */

struct signalfd_state {
	uint32_t file;
	uint64_t mask; /* bit n-1 = signal n */
};

static const struct img_field signalfd_fields[] = {
	IMG_FIELD_REQUIRED(1, signalfd_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, signalfd_state, mask, IMG_U64, IMG_HEX),
};
const struct img_schema fd_signalfd_schema =
        IMG_SCHEMA("SIFD", 1, IMG_MUST_UNDERSTAND, "signalfd", signalfd_state, signalfd_fields);

static bool signalfd_claim(const struct fd_look *look)
{
	return !strcmp(look->link, "anon_inode:[signalfd]");
}

static int signalfd_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct signalfd_state *state = file->state;

	(void)cap;
	state->mask = look->info->sigmask;
	return 0;
}

static int signalfd_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct signalfd_state *state = file->state;
	/* The kernel's own call: its set of signals is 64 bits, and glibc's wrapper would hide two of them. */
	int fd = (int)syscall(SYS_signalfd4, -1, &state->mask, sizeof(state->mask), SFD_CLOEXEC), err;

	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (signalfd): %s", file->slot_fd, strerror(errno));
	err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_signalfd = {
	.name = "signalfd",
	.action = "signal mask saved and restored",
	.state_schema = &fd_signalfd_schema,
	.claim = signalfd_claim,
	.inspect = signalfd_inspect,
	.prepare = signalfd_prepare,
};
