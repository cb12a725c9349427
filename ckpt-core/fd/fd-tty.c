// SPDX-License-Identifier: LGPL-2.1-or-later
/* Terminals and both sides of pseudo terminals.
 *
 * A terminal whose other side is outside of the target and which the target has as 0-2 becomes the terminal of whoever
 * restarts; everything else that was open on it goes with it. A pseudo terminal whose master is in the tree is made anew,
 * with another number. Settings (termios) come back; the size of a window is the window's, so it comes back only where both
 * sides are inside. Settings of a borrowed terminal are set at the very end, so that a failed restart leaves it alone. Tests:
 * fd-tty.c. */
#include "fd/kinds.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "fd/plan.h"

#define PTS_MAJOR_FIRST 136 /* Documentation/admin-guide/devices.txt */
#define PTS_MAJOR_LAST 143
#define TTY_MAJOR 4
#define TTYAUX_MAJOR 5 /* 0 = /dev/tty, 1 = console, 2 = ptmx */
#define RANK_TTY 1     /* masters come first */

struct tty_state {
	uint32_t file;
	uint32_t device_major, device_minor; /* what it really is, also behind /dev/tty */
	uint32_t index;                      /* of a pseudo terminal */
	uint32_t master;                     /* FILE of the other side, when it is in the tree */
	bool has_settings;
	uint32_t iflag, oflag, cflag, lflag, line, ispeed, ospeed;
	struct img_bytes cc;
	uint32_t rows, columns, xpixel, ypixel;
	bool exclusive;
	bool packet, locked; /* masters */
	uint32_t queued;     /* bytes that a read of ours would have returned */
};

static const struct img_field tty_fields[] = {
	IMG_FIELD_REQUIRED(1, tty_state, file, IMG_U32, IMG_DEC), IMG_FIELD(2, tty_state, device_major, IMG_U32, IMG_DEC),
	IMG_FIELD(3, tty_state, device_minor, IMG_U32, IMG_DEC),  IMG_FIELD(4, tty_state, index, IMG_U32, IMG_DEC),
	IMG_FIELD(5, tty_state, master, IMG_U32, IMG_DEC),        IMG_FIELD(6, tty_state, has_settings, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, tty_state, iflag, IMG_U32, IMG_OCT),         IMG_FIELD(8, tty_state, oflag, IMG_U32, IMG_OCT),
	IMG_FIELD(9, tty_state, cflag, IMG_U32, IMG_OCT),         IMG_FIELD(10, tty_state, lflag, IMG_U32, IMG_OCT),
	IMG_FIELD(11, tty_state, line, IMG_U32, IMG_DEC),         IMG_FIELD(12, tty_state, ispeed, IMG_U32, IMG_DEC),
	IMG_FIELD(13, tty_state, ospeed, IMG_U32, IMG_DEC),       IMG_FIELD(14, tty_state, cc, IMG_BYTES, IMG_HEX),
	IMG_FIELD(15, tty_state, rows, IMG_U32, IMG_DEC),         IMG_FIELD(16, tty_state, columns, IMG_U32, IMG_DEC),
	IMG_FIELD(17, tty_state, xpixel, IMG_U32, IMG_DEC),       IMG_FIELD(18, tty_state, ypixel, IMG_U32, IMG_DEC),
	IMG_FIELD(19, tty_state, exclusive, IMG_BOOL, IMG_DEC),   IMG_FIELD(20, tty_state, packet, IMG_BOOL, IMG_DEC),
	IMG_FIELD(21, tty_state, locked, IMG_BOOL, IMG_DEC),      IMG_FIELD(22, tty_state, queued, IMG_U32, IMG_DEC),
};
const struct img_schema fd_tty_schema = IMG_SCHEMA("TTY ", 1, IMG_MUST_UNDERSTAND, "terminal", tty_state, tty_fields);

static bool is_pts(uint32_t major)
{
	return major >= PTS_MAJOR_FIRST && major <= PTS_MAJOR_LAST;
}

/* ---- capture ---- */

static bool master_claim(const struct fd_look *look)
{
	return S_ISCHR(look->st->st_mode) && look->st->st_rdev == makedev(TTYAUX_MAJOR, 2);
}

static bool tty_claim(const struct fd_look *look)
{
	struct termios2 settings;
	unsigned major = major(look->st->st_rdev);

	if (!S_ISCHR(look->st->st_mode))
		return false;
	/* One that was hung up answers EIO to everything; it still is one. */
	return !ioctl(look->copy, TCGETS2, &settings) ||
	       (errno == EIO && (is_pts(major) || major == TTY_MAJOR || major == TTYAUX_MAJOR));
}

static int read_settings(struct tty_state *state, int copy)
{
	struct termios2 settings;

	if (ioctl(copy, TCGETS2, &settings))
		return 0;
	if (!(state->cc.data = malloc(sizeof(settings.c_cc))))
		return -ENOMEM;
	memcpy(state->cc.data, settings.c_cc, sizeof(settings.c_cc));
	state->cc.size = sizeof(settings.c_cc);
	state->has_settings = true;
	state->iflag = settings.c_iflag;
	state->oflag = settings.c_oflag;
	state->cflag = settings.c_cflag;
	state->lflag = settings.c_lflag;
	state->line = settings.c_line;
	state->ispeed = settings.c_ispeed;
	state->ospeed = settings.c_ospeed;
	return 0;
}

static int tty_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct tty_state *state = file->state;
	struct winsize size;
	unsigned device;
	int number;

	(void)cap;
	state->device_major = file->r.rdev_major;
	state->device_minor = file->r.rdev_minor;
	if (!ioctl(look->copy, TIOCGDEV, &device)) {
		state->device_major = (device >> 8) & 0xfff; /* new_encode_dev (linux/kdev_t.h) */
		state->device_minor = (device & 0xff) | ((device >> 12) & 0xfff00);
	}
	state->index = state->device_minor;
	if (!ioctl(look->copy, TIOCGWINSZ, &size)) {
		state->rows = size.ws_row;
		state->columns = size.ws_col;
		state->xpixel = size.ws_xpixel;
		state->ypixel = size.ws_ypixel;
	}
	if (!ioctl(look->copy, TIOCGEXCL, &number))
		state->exclusive = number != 0;
	if (!ioctl(look->copy, FIONREAD, &number) && number > 0)
		state->queued = (uint32_t)number;
	return read_settings(state, look->copy);
}

static int master_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct tty_state *state = file->state;
	unsigned index;
	int number, err = tty_inspect(cap, file, look);

	if (err)
		return err;
	if (ioctl(look->copy, TIOCGPTN, &index))
		return report_fail(cap->rep, -errno, "fd %d: the number of the pseudo terminal cannot be had: %s", look->fd,
		                   strerror(errno));
	state->index = index;
	if (!ioctl(look->copy, TIOCGPKT, &number))
		state->packet = number != 0;
	if (!ioctl(look->copy, TIOCGPTLCK, &number))
		state->locked = number != 0;
	return 0;
}

static int tty_resolve(struct fd_capture *cap, struct fd_file *file)
{
	struct tty_state *state = file->state;

	vec_each(&cap->files, it) {
		const struct tty_state *other = (*it)->state;

		if ((*it)->kind == &fd_kind_pty_master && is_pts(state->device_major) && other->index == state->index)
			state->master = (*it)->r.id;
	}
	file->r.stdio = !state->master;
	return 0;
}

static int tty_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct tty_state *state = file->state;

	if (state->master)
		fd_verdict_action(v, "opened again as the other side of fd %d%s", cap->files.items[state->master - 1]->slot_fd,
		                  state->queued ? "; unread input is lost" : "");
	else if (file->r.stdio)
		fd_verdict_action(v, "becomes the same descriptor of the command that restarts, with the settings it has now");
	else if (is_pts(state->device_major))
		fd_verdict_action(v, "becomes the terminal of the command that restarts, or what --map file:%s=TTY says",
		                  file->r.path);
	else
		fd_verdict_action(v, "%s: opened again, with the settings it has now", file->r.path);
	return 0;
}

static int master_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct tty_state *state = file->state;

	(void)cap;
	fd_verdict_action(
	        v, "made again with its settings; /dev/pts/%u will have another number, and who has it open is cut off%s",
	        state->index, state->queued ? "; unread output is lost" : "");
	return 0;
}

/* ---- restore ---- */

/* A terminal of the caller's own that takes the place of this one. Returns its descriptor or -1. */
static int borrowed(const struct fd_plan *plan, const struct fd_file *file)
{
	const struct tty_state *state = file->state;

	vec_each(&plan->slots, slot) {
		const struct tty_state *other = slot->file->state;

		if (slot->file->foreign_fd && slot->r.fd <= 2 && slot->file->kind == &fd_kind_tty &&
		    other->device_major == state->device_major && other->device_minor == state->device_minor)
			return slot->r.fd;
	}
	return -1;
}

static int tty_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct tty_state *state = file->state;
	AUTO_FREE char *owned = NULL;
	struct stat st;
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	const struct fd_file *master = fd_plan_file(plan, state->master);
	if (state->master && (!master || master->kind != &fd_kind_pty_master))
		return report_fail(plan->rep, -EBADMSG,
		                   "image %s: fd %d names a master that is not there; the image is damaged",
		                   img_reader_path(plan->reader), file->slot_fd);
	if (state->master || (!mapped && borrowed(plan, file) >= 0))
		return 0;
	if (is_pts(state->device_major) && !mapped && file->r.rdev_major != TTYAUX_MAJOR)
		fd_verdict_obstacle(v, "name a terminal with --map file:OLD=NEW", "terminal %s belonged to another program",
		                    path);
	else if (stat(path, &st))
		fd_verdict_obstacle(v, "name a terminal with --map file:OLD=NEW", "terminal %s: %s", path, strerror(errno));
	else if (!S_ISCHR(st.st_mode))
		fd_verdict_obstacle(v, "name a terminal with --map file:OLD=NEW", "%s is no terminal", path);
	return v->err;
}

/* SIGTTOU would stop a caller in the background; blocked, it lets the call through (tty_ioctl(4)). */
static int set_settings(const struct tty_state *state, int fd)
{
	struct termios2 settings = { .c_iflag = state->iflag,
		                     .c_oflag = state->oflag,
		                     .c_cflag = state->cflag,
		                     .c_lflag = state->lflag,
		                     .c_line = (cc_t)state->line,
		                     .c_ispeed = state->ispeed,
		                     .c_ospeed = state->ospeed };
	sigset_t ttou, old;

	if (!state->has_settings)
		return 0;
	if (state->cc.size)
		memcpy(settings.c_cc, state->cc.data,
		       state->cc.size < sizeof(settings.c_cc) ? state->cc.size : sizeof(settings.c_cc));
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	int err = ioctl(fd, TCSETS2, &settings) ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return err;
}

static void set_size(const struct tty_state *state, int fd)
{
	struct winsize size = { .ws_row = (unsigned short)state->rows,
		                .ws_col = (unsigned short)state->columns,
		                .ws_xpixel = (unsigned short)state->xpixel,
		                .ws_ypixel = (unsigned short)state->ypixel };

	ioctl(fd, TIOCSWINSZ, &size);
}

/* The other side of a master, by ioctl (4.13), which works whatever is mounted on /dev/pts. */
static int open_slave(int master, int flags)
{
	unsigned index;
	char path[32];
	int fd = ioctl(master, TIOCGPTPEER, flags & ~O_CLOEXEC); /* it would keep that among the flags of the description */

	if (fd >= 0)
		return fd;
	if (ioctl(master, TIOCGPTN, &index))
		return -errno;
	snprintf(path, sizeof(path), "/dev/pts/%u", index);
	fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

static int master_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct tty_state *state = file->state;
	int unlocked = 0, on = 1, slave, err = 0;
	unsigned index = 0;
	AUTO_CLOSE int fd = open("/dev/ptmx", fd_open_flags(file) | O_NONBLOCK);

	if (fd < 0)
		fd = open("/dev/pts/ptmx", fd_open_flags(file) | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlocked) || ioctl(fd, TIOCGPTN, &index))
		return report_fail(plan->rep, -errno, "fd %d: no pseudo terminal can be had: %s", file->slot_fd,
		                   strerror(errno));
	/* Opened and closed once, so that a master with nobody at the other side sees the hang-up that it saw before. */
	slave = open_slave(fd, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return report_fail(plan->rep, slave, "fd %d: /dev/pts/%u cannot be opened: %s", file->slot_fd, index,
		                   strerror(-slave));
	close(slave);
	err = set_settings(state, fd);
	if (err)
		return report_fail(plan->rep, err, "fd %d: the settings of the terminal cannot be set: %s", file->slot_fd,
		                   strerror(-err));
	set_size(state, fd);
	if ((state->packet && ioctl(fd, TIOCPKT, &on)) || (state->exclusive && ioctl(fd, TIOCEXCL)))
		return report_fail(plan->rep, -errno, "fd %d: the mode of the pseudo terminal cannot be set: %s", file->slot_fd,
		                   strerror(errno));
	if (index != state->index)
		report_warn(plan->rep, "fd %d: the pseudo terminal /dev/pts/%u is /dev/pts/%u now", file->slot_fd, state->index,
		            index);
	err = fd_set_status(plan, file, fd);
	if (err)
		return err;
	file->fd = fd_plan_adopt(plan, STEAL_FD(fd));
	return file->fd < 0 ? file->fd : 0;
}

/* Masters are locked again when every slave is open. */
static int master_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	const struct tty_state *state = file->state;
	int on = 1;

	(void)process;
	if (state->locked && ioctl(file->fd, TIOCSPTLCK, &on))
		return report_fail(plan->rep, -errno, "fd %d: the pseudo terminal cannot be locked: %s", file->slot_fd,
		                   strerror(errno));
	return 0;
}

/* Another description of the borrowed terminal, with its own flags; the borrowed one itself where that cannot be. */
static int open_borrowed(const struct fd_plan *plan, const struct fd_file *file, int n)
{
	char path[32];
	int fd = -1;

	if (isatty(plan->stdio_fd[n])) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", plan->stdio_fd[n]);
		fd = open(path, fd_open_flags(file) | O_NONBLOCK);
	}
	if (fd < 0)
		fd = fcntl(plan->stdio_fd[n], F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int tty_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct tty_state *state = file->state;
	AUTO_FREE char *owned = NULL;
	bool mapped;
	int n, fd, err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	if (state->master) {
		fd = open_slave(fd_plan_file(plan, state->master)->fd, fd_open_flags(file) | O_NONBLOCK);
	} else if (!mapped && (n = borrowed(plan, file)) >= 0) {
		fd = open_borrowed(plan, file, n);
	} else if ((fd = open(path, fd_open_flags(file) | O_NONBLOCK)) < 0) {
		fd = -errno;
	}
	if (fd < 0)
		return report_fail(plan->rep, fd, "fd %d: terminal %s: %s", file->slot_fd, path, strerror(-fd));
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : fd_set_status(plan, file, file->fd);
}

static int tty_commit(struct fd_plan *plan, struct fd_file *file)
{
	const struct tty_state *state = file->state;
	int fd = fd_plan_fd_for(plan, file, -1);

	/* Settings of a pair inside the tree are the master's business. */
	if (state->master || fd < 0 || !isatty(fd))
		return 0;
	int err = set_settings(state, fd);
	if (err)
		report_warn(plan->rep, "fd %d: the settings of the terminal cannot be set: %s", file->slot_fd, strerror(-err));
	if (state->exclusive)
		ioctl(fd, TIOCEXCL);
	return 0;
}

const struct fd_kind fd_kind_pty_master = {
	.name = "pty master",
	.state_schema = &fd_tty_schema,
	.claim = master_claim,
	.inspect = master_inspect,
	.check = master_check,
	.prepare = master_prepare,
	.install = master_install,
};

const struct fd_kind fd_kind_tty = {
	.name = "tty",
	.state_schema = &fd_tty_schema,
	.rank = RANK_TTY,
	.claim = tty_claim,
	.inspect = tty_inspect,
	.resolve = tty_resolve,
	.check = tty_check,
	.plan = tty_plan,
	.prepare = tty_prepare,
	.commit = tty_commit,
};
