// SPDX-License-Identifier: LGPL-2.1-or-later
/* timerfd. What is left of the time goes on from the restart; only a point of wall clock time stays what it was.
 *
 * A periodic timer that has expired and was not read stands still in the kernel until somebody asks (fs/timerfd.c,
 * timerfd_gettime counts the missed periods and starts it again): fdinfo shows a remaining time of 0, which would restore
 * as "disarmed". So the kernel is asked through a copy, which does what the target's own read would do. Tests: fd-timer.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/io.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t) /* 3.17, CONFIG_CHECKPOINT_RESTORE */
#endif
#define NS 1000000000ull

struct timerfd_state {
	uint32_t file;
	int32_t clock;
	uint32_t settime_flags; /* TFD_TIMER_* */
	uint64_t ticks;
	uint64_t value_ns; /* time left; 0 = disarmed. With `absolute` the point of time */
	uint64_t interval_ns;
	bool absolute;
};

static const struct img_field timerfd_fields[] = {
	IMG_FIELD_REQUIRED(1, timerfd_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, timerfd_state, clock, IMG_I32, IMG_DEC),
	IMG_FIELD(3, timerfd_state, settime_flags, IMG_U32, IMG_HEX),
	IMG_FIELD(4, timerfd_state, ticks, IMG_U64, IMG_DEC),
	IMG_FIELD(5, timerfd_state, value_ns, IMG_U64, IMG_DEC),
	IMG_FIELD(6, timerfd_state, interval_ns, IMG_U64, IMG_DEC),
	IMG_FIELD(7, timerfd_state, absolute, IMG_BOOL, IMG_DEC),
};
const struct img_schema fd_timerfd_schema =
        IMG_SCHEMA("TMFD", 1, IMG_MUST_UNDERSTAND, "timerfd", timerfd_state, timerfd_fields);

static bool timerfd_claim(const struct fd_look *look)
{
	return !strcmp(look->link, "anon_inode:[timerfd]");
}

static bool is_wall_clock(int32_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

/* fdinfo once more: what timerfd_gettime did to the ticks shows there. */
static int read_again(const struct fd_look *look, struct timerfd_state *state)
{
	AUTO_FREE char *text = NULL;
	struct proc_fdinfo info;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/fdinfo/%d", look->proc->pid, look->fd);

	if (!err)
		err = proc_fdinfo_parse(text, size, &info);
	if (err)
		return err;
	state->ticks = info.timer_ticks;
	state->value_ns = info.timer_value_ns;
	proc_fdinfo_finish(&info);
	return 0;
}

static int timerfd_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct timerfd_state *state = file->state;
	struct itimerspec now;
	struct timespec wall;
	int err = 0;

	state->clock = look->info->timer_clockid;
	state->settime_flags = look->info->timer_settime_flags;
	state->ticks = look->info->timer_ticks;
	state->value_ns = look->info->timer_value_ns;
	state->interval_ns = look->info->timer_interval_ns;
	if (cap->o.frozen && !state->value_ns && state->interval_ns && !timerfd_gettime(look->copy, &now))
		err = read_again(look, state);
	if (err)
		return report_fail(cap->rep, err, "fd %d (timerfd): %s", look->fd, strerror(-err));
	if (state->value_ns && is_wall_clock(state->clock) && (state->settime_flags & TFD_TIMER_ABSTIME)) {
		clock_gettime(CLOCK_REALTIME, &wall);
		state->value_ns += (uint64_t)wall.tv_sec * NS + (uint64_t)wall.tv_nsec;
		state->absolute = true;
	}
	return 0;
}

static int timerfd_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct timerfd_state *state = file->state;

	(void)cap;
	if (!state->value_ns)
		fd_verdict_action(v, "restored, disarmed");
	else
		fd_verdict_action(v, state->absolute ? "armed again for the same wall clock time"
		                                     : "armed again for the time that is left");
	return 0;
}

static int timerfd_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct timerfd_state *state = file->state;
	int fd = timerfd_create(state->clock, TFD_CLOEXEC), err;

	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (timerfd of clock %d): %s", file->slot_fd, state->clock,
		                   strerror(errno));
	err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

/* In stage 1: points of time of the other clocks are of the new time namespace. The flags are set as they were, since the
 * target's next checkpoint (and TFD_TIMER_CANCEL_ON_SET) goes by them. */
static int timerfd_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	const struct timerfd_state *state = file->state;
	uint64_t value = state->value_ns;
	uint32_t flags = state->settime_flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	struct timespec now;

	(void)process;
	/* A period that was just going off when it was looked at: the next one follows. Without it the timer would be disarmed. */
	if (!value && state->ticks)
		value = state->interval_ns;
	if (value && !state->absolute && (flags & TFD_TIMER_ABSTIME)) {
		clock_gettime(state->clock, &now);
		value += (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
	}
	struct itimerspec spec = { .it_value = { (time_t)(value / NS), (long)(value % NS) },
		                   .it_interval = { (time_t)(state->interval_ns / NS), (long)(state->interval_ns % NS) } };
	if ((value || flags) && timerfd_settime(file->fd, (int)flags, &spec, NULL))
		return report_fail(plan->rep, -errno, "fd %d (timerfd): cannot be armed again: %s", file->slot_fd,
		                   strerror(errno));
	if (state->ticks && ioctl(file->fd, TFD_IOC_SET_TICKS, &state->ticks))
		report_warn(plan->rep, "fd %d (timerfd): %llu expirations that were not read yet are lost (%s)", file->slot_fd,
		            (unsigned long long)state->ticks, strerror(errno));
	return 0;
}

const struct fd_kind fd_kind_timerfd = {
	.name = "timerfd",
	.state_schema = &fd_timerfd_schema,
	.claim = timerfd_claim,
	.inspect = timerfd_inspect,
	.check = timerfd_check,
	.prepare = timerfd_prepare,
	.install = timerfd_install,
};
