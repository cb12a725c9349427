// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 1 of a restart: namespaces, an init, and the first process with its old pid and its descriptors, in ordinary C.
 *
 * Theory of operation. The controller unshares (user namespace when unprivileged, then time, pid), writes the clock offsets,
 * and makes init (pid 1 of the new namespace, a child of the caller's). Init makes the first process with its old pid, reaps
 * whatever ends, and reports the first process's wait status. The first process opens its files, maps the region with the stub,
 * says so over a socket (which also tells the controller its pid, translated by SCM_CREDENTIALS) and sleeps until it is seized.
 * Time offsets are written before the first task enters (inventory I, trap 5). Every process here dies with its parent until
 * the release. Test: restart-fails-nothing-is-left, restart-killed-nothing-is-left. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/timens.h"
#include "inject/batch.h"
#include "lazy/uffd.h"
#include "restore/restore.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* ---- namespaces ---- */

static int user_namespace(struct restore *r)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char line[64];
	int err;

	if (unshare(CLONE_NEWUSER) < 0)
		return report_fail(r->rep, -errno,
				   "a user namespace cannot be made: %s; allow them (sysctl user.max_user_namespaces, "
				   "kernel.unprivileged_userns_clone) or run as root", strerror(errno));
	snprintf(line, sizeof(line), "%u %u 1\n", uid, uid);
	if ((err = io_write_textf(line, "/proc/self/uid_map")) || (err = io_write_textf("deny", "/proc/self/setgroups")))
		return report_fail(r->rep, err, "the user namespace's uid cannot be mapped: %s", strerror(-err));
	snprintf(line, sizeof(line), "%u %u 1\n", gid, gid);
	if ((err = io_write_textf(line, "/proc/self/gid_map")))
		return report_fail(r->rep, err, "the user namespace's gid cannot be mapped: %s", strerror(-err));
	return 0;
}

/* How long the target was away by the wall clocks of both hosts; never less than nothing. */
static int64_t time_away(const struct restore *r)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	int64_t away = now.tv_sec * 1000000000ll + now.tv_nsec - r->host.items[0].realtime_ns;
	return away > 0 ? away : 0;
}

static int time_namespace(struct restore *r, const struct rec_process *p)
{
	struct timens_clocks host = timens_host_now();
	int64_t away = r->opt->clock == STASIS_CLOCK_REALTIME ? time_away(r) : 0;
	int64_t monotonic = p->monotonic_ns + away - host.monotonic_ns, boottime = p->boottime_ns + away - host.boottime_ns;
	char text[128];
	int err;

	if (unshare(CLONE_NEWTIME) < 0)
		return report_fail(r->rep, -errno, "a time namespace cannot be made: %s; the kernel needs CONFIG_TIME_NS", strerror(errno));
	/* Nanoseconds must be 0..999999999: round the seconds down. */
	int64_t ms = monotonic >= 0 ? monotonic / 1000000000 : -((999999999 - monotonic) / 1000000000);
	int64_t bs = boottime >= 0 ? boottime / 1000000000 : -((999999999 - boottime) / 1000000000);
	snprintf(text, sizeof(text), "monotonic %ld %ld\nboottime %ld %ld\n", ms, monotonic - ms * 1000000000, bs, boottime - bs * 1000000000);
	if ((err = io_write_textf(text, "/proc/self/timens_offsets")))
		return report_fail(r->rep, err, "the clocks of the image (monotonic %ld s) cannot be set here: %s", p->monotonic_ns / 1000000000,
				   strerror(-err));
	return 0;
}

static int namespaces(struct restore *r)
{
	int err = r->user_ns ? user_namespace(r) : 0;

	if (err || (err = time_namespace(r, &r->processes.items[0])) || r->opt->host_pids)
		return err;
	return unshare(CLONE_NEWPID) < 0 ? report_fail(r->rep, -errno, "a pid namespace cannot be made: %s", strerror(errno)) : 0;
}

/* In init: a /proc that shows the new pid namespace, in a mount namespace that otherwise follows the host's. Not in the
 * controller's, which needs the host's /proc. Where it is forbidden (some containers) the host's /proc must do. */
static void own_proc(struct restore *r)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		report_debug(r->rep, "no /proc of its own: %s", strerror(errno));
}

/* ---- the first process ---- */

/* In new processes words go to the controller, not to a terminal that may be the target's by then. */
static void shared_message(void *ctx, enum report_level level, const char *text)
{
	struct restore_shared *shared = ctx;

	if (level == REPORT_ERROR && !shared->text[0])
		snprintf(shared->text, sizeof(shared->text), "%s", text);
}

static int map_region(struct restore *r)
{
	size_t size;
	const void *code = inject_stub_code(&size);
	char *region = mmap((void *)r->region, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (region == MAP_FAILED)
		return report_fail(r->rep, -errno, "restart: no memory to work from at %#lx: %s", r->region, strerror(errno));
	memcpy(region, code, size);
	if (mprotect(region, REGION_STUB_SIZE, PROT_READ | PROT_EXEC) < 0)
		return report_fail(r->rep, -errno, "restart: this kernel forbids executable memory: %s", strerror(errno));
	return 0;
}

static int enter_directories(struct restore *r, const struct rec_process *p)
{
	const char *cwd = resource_map_find(r->opt->map, "file", p->cwd);

	if (strcmp(p->root, "/") && chroot(p->root) < 0)
		return report_fail(r->rep, -errno, "its root directory %s cannot be entered: %s", p->root, strerror(errno));
	if (chdir(cwd ? cwd : p->cwd) < 0)
		return report_fail(r->rep, -errno, "its working directory %s cannot be entered: %s; make it, or map it (--map file:OLD=NEW)",
				   cwd ? cwd : p->cwd, strerror(errno));
	umask(p->umask);
	return 0;
}

static int install_files(struct restore *r, const struct rec_process *p, int sock)
{
	int keep[3] = { sock }, n = 1;

	if (r->exe_fd >= 0)
		keep[n++] = r->exe_fd;
	if (r->uffd_device >= 0)
		keep[n++] = r->uffd_device;
	return fd_plan_install(r->files, p->index, keep, (size_t)n);
}

union one_fd {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

enum hello { HELLO_UFFD = 1, HELLO_READY };

/* Gives the controller a userfaultfd of our memory if that is to be had, and keeps nothing of it. */
static void give_uffd(struct restore *r, int sock)
{
	int uffd = r->lazy ? uffd_open(r->uffd_device) : -1;
	union one_fd control = { 0 };
	char byte = HELLO_UFFD;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };

	if (uffd >= 0) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(uffd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &uffd, sizeof(uffd));
		/* What did not arrive leaves the restart eager, or is said there. */
		if (sendmsg(sock, &msg, 0) < 0)
			report_debug(r->rep, "lazy: the userfaultfd cannot be handed over: %s", strerror(errno));
		close(uffd);
	}
	if (r->uffd_device >= 0)
		close(r->uffd_device);
}

static int first_process(struct restore *r, const struct rec_process *p, int sock)
{
	int err = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (p->session_leader && setsid() < 0)
		err = report_fail(r->rep, -errno, "a session of its own cannot be made: %s", strerror(errno));
	else if (!p->session_leader && p->group_leader && setpgid(0, 0) < 0)
		err = report_fail(r->rep, -errno, "a process group of its own cannot be made: %s", strerror(errno));
	if (!err)
		err = map_region(r);
	if (!err)
		err = report_fault(r->rep, "restart.stage1");
	if (!err)
		err = install_files(r, p, sock);
	if (!err)
		err = enter_directories(r, p);
	if (err)
		r->shared->error = err;
	if (!err)
		give_uffd(r, sock);
	char byte = HELLO_READY;
	if (write(sock, &byte, 1) < 0 || err)
		_exit(1);
	for (;;)
		pause();
}

/* A deleted executable lives on in a memfd, which /proc/PID/exe will lead to. Made before the processes that inherit it. */
static int copy_exe(struct restore *r, const struct rec_process *p)
{
	const char *slash = strrchr(p->exe, '/');
	char name[128];

	r->exe_fd = -1;
	if (!p->exe_space)
		return 0;
	snprintf(name, sizeof(name), "%.100s", slash ? slash + 1 : p->exe);
	AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC);
	AUTO_FREE uint8_t *block = malloc(1 << 20);
	if (fd < 0 || !block)
		return report_fail(r->rep, fd < 0 ? -errno : -ENOMEM, "%s: no memory for its deleted executable", p->exe);
	for (uint64_t at = 0; at < p->exe_size; at += 1 << 20) {
		size_t size = p->exe_size - at < 1 << 20 ? p->exe_size - at : 1 << 20, padded = (size + 4095) & ~4095ul;
		int err = img_reader_read(r->reader, p->exe_space, at, block, padded);
		if (!err && (err = io_pwrite_all(fd, block, size, at)))
			report_fail(r->rep, err, "%s: its deleted executable cannot be copied: %s", p->exe, strerror(-err));
		if (err)
			return err;
	}
	fchmod(fd, 0755);
	r->exe_fd = fcntl(fd, F_DUPFD_CLOEXEC, fd_plan_max_fd(r->files) + 1);
	return r->exe_fd < 0 ? report_fail(r->rep, -errno, "%s: no descriptor for its executable", p->exe) : 0;
}

/* ---- init ---- */

static void init_reap(pid_t first, int status_fd)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WUNTRACED);
		if (pid < 0 && errno == ECHILD)
			_exit(0);
		if (pid == first) {
			if (write(status_fd, &status, sizeof(status)) < 0)
				_exit(1);
			if (!WIFSTOPPED(status))
				close(status_fd);
		}
	}
}

static int init_main(struct restore *r, const struct rec_process *p, int sock, int status_fd)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "stasis-init");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (r->opt->host_pids)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	else
		own_proc(r);
	args.set_tid = (uint64_t)&(pid_t){ p->pid };
	args.set_tid_size = 1;
	fflush(NULL);
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(-first_process(r, p, sock));
	if (pid < 0) {
		r->shared->error = report_fail(r->rep, -errno, "process id %d cannot be had: %s%s", p->pid, strerror(errno),
					       errno == EEXIST ? "; it is in use on this host" : "");
		_exit(1);
	}
	/* Hold nothing that belongs to the target: only what reports its end. */
	template_leave(r->opt->template);
	int keep = dup2(status_fd, 3) == 3 ? 3 : -1;
	close_range(0, 2, 0);
	close_range(4, ~0u, 0);
	init_reap((pid_t)pid, keep);
	return 0;
}

/* ---- the controller's side ---- */

union hello_control {
	char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* One message of the new process: what it says (0: nothing any more), its pid, and a userfaultfd if one came along. */
static enum hello receive_hello(int sock, pid_t *ret_pid, int *uffd)
{
	union hello_control control;
	struct ucred cred = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	ssize_t n;

	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	for (struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		else if (c->cmsg_type == SCM_RIGHTS)
			memcpy(uffd, CMSG_DATA(c), sizeof(*uffd));
	}
	*ret_pid = cred.pid;
	return cred.pid ? byte : 0;
}

static int receive_pid(struct restore *r, int sock, pid_t *ret_pid, int *ret_uffd)
{
	enum hello hello;
	int uffd = -1;

	while ((hello = receive_hello(sock, ret_pid, &uffd)) == HELLO_UFFD)
		;
	*ret_uffd = uffd;
	if (r->shared->error)
		return report_fail(r->rep, r->shared->error, "%s", r->shared->text[0] ? r->shared->text : strerror(-r->shared->error));
	return hello ? 0 : report_fail(r->rep, -ECHILD, "the new process ended before it was ready");
}

static int newborn_take(struct restore *r, pid_t pid, const struct rec_process *p, struct newborn *ret)
{
	struct newborn nb = { .pid = pid, .rec = p };
	struct tracee t;
	int err = tracee_seize(&t, pid, PTRACE_O_EXITKILL); /* what is not whole yet must never run */

	if (!err && !(err = tracee_interrupt(&t)) && !(err = tracee_wait_stop(&t, 10000)) && !(err = tracee_load(&t))) {
		t.ns_tid = t.ns_tgid = p->pid;
		t.regs.orig_rax = (unsigned long)-1;
		err = vec_push(&nb.threads, t);
	}
	if (err)
		return report_fail(r->rep, err, "the new process %d cannot be traced: %s", pid, strerror(-err));
	nb.place = (struct batch_place){ .stub = r->region, .area = r->region + REGION_STUB_SIZE, .size = REGION_AREA_SIZE,
					 .home = BATCH_HOME_EXIT, .tell = SIGURG };
	*ret = nb;
	return 0;
}

int processes_create(struct restore *r, int status_fd, struct newborn *ret)
{
	const struct rec_process *p = &r->processes.items[0];
	struct clone_args args = { .flags = CLONE_PARENT };
	int socks[2], one = 1;
	int err = copy_exe(r, p);

	r->uffd_device = -1;
	if (!err && r->lazy) {
		AUTO_CLOSE int device = uffd_device();
		if (device >= 0)
			r->uffd_device = fcntl(device, F_DUPFD_CLOEXEC, fd_plan_max_fd(r->files) + 1);
	}
	if (err || (err = namespaces(r)))
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0 ||
	    setsockopt(socks[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0)
		return report_fail(r->rep, -errno, "restart: no socket to the new process: %s", strerror(errno));
	/* Above every descriptor of the target, where installing those leaves it alone. */
	int high = fcntl(socks[1], F_DUPFD_CLOEXEC, fd_plan_max_fd(r->files) + 1);
	close(socks[1]);
	fflush(NULL);
	long init = high < 0 ? -1 : syscall(SYS_clone3, &args, sizeof(args));
	if (init == 0) {
		struct report_sink sink = { .message = shared_message, .ctx = r->shared };
		r->rep->sink = sink;
		close(socks[0]);
		_exit(init_main(r, p, high, status_fd));
	}
	err = init < 0 ? report_fail(r->rep, -errno, "restart: no init could be started: %s", strerror(errno)) : 0;
	if (high >= 0)
		close(high);
	pid_t pid = 0;
	int uffd = -1;
	if (!err) {
		r->shared->init = (pid_t)init;
		if (!(err = receive_pid(r, socks[0], &pid, &uffd)))
			err = newborn_take(r, pid, p, ret);
		if (!err) {
			ret->uffd = uffd;
			ret->starter = -1;
			ret->sock = high;
			r->shared->first = pid;
		}
	}
	close(socks[0]);
	return err;
}
