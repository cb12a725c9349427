// SPDX-License-Identifier: LGPL-2.1-or-later
/* A target made of a child process, for the tests of ckpt-core/fd. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/maps.h"

struct fd_shared *fd_shared;
static struct fd_fixture *current; /* for fd_mapping_fd in the restored process */
static struct fd_plan *current_plan;

/* ---- in the children ---- */

void fd_expect_failed(const char *file, int line, const char *text)
{
	int err = errno;

	snprintf(fd_shared->text, sizeof(fd_shared->text), "%s:%d: %s (errno: %s)", file, line, text, strerror(err));
	fd_shared->failed = 1;
	_exit(1);
}

void fd_expect_equal_failed(const char *file, int line, const char *text, long long a, long long b)
{
	snprintf(fd_shared->text, sizeof(fd_shared->text), "%s:%d: %s: %lld (%#llx), %lld (%#llx)", file, line, text, a, a, b,
	         b);
	fd_shared->failed = 1;
	_exit(1);
}

int at_fd(int fd, int want)
{
	EXPECT(fd >= 0);
	if (fd != want) {
		EXPECT(dup3(fd, want, fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0) == want);
		close(fd);
	}
	return want;
}

void put_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	EXPECT(fd >= 0);
	EXPECT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

void expect_file(const char *path, const char *text)
{
	AUTO_FREE char *have = NULL;
	int err = io_read_file_at(AT_FDCWD, path, &have, NULL);

	if (err || strcmp(have, text)) {
		snprintf(fd_shared->text, sizeof(fd_shared->text), "%s: \"%.200s\" instead of \"%.200s\" (%s)", path,
		         have ? have : "", text, strerror(-err));
		fd_shared->failed = 1;
		_exit(1);
	}
}

void expect_open(int fd, const char *link, int flags)
{
	AUTO_FREE char *have = NULL;

	EXPECT_EQ(io_readlinkf(&have, "/proc/self/fd/%d", fd), 0);
	if (link && strcmp(link, have)) {
		snprintf(fd_shared->text, sizeof(fd_shared->text), "fd %d is %s instead of %s", fd, have, link);
		fd_shared->failed = 1;
		_exit(1);
	}
	EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, flags & ~0100000);
}

bool same_description(int a, int b)
{
	long r = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (unsigned long)a, (unsigned long)b);

	EXPECT(r >= 0);
	return r == 0;
}

int fd_mapping_fd(unsigned n, bool writable)
{
	EXPECT(n < current->n_backing);
	return fd_plan_backing(current_plan, 0, current->backing[n], writable);
}

/* Ready, then asleep until the end. */
static void stay(void)
{
	fd_shared->ready = 1;
	for (;;)
		pause();
}

/* ---- in the test ---- */

static void message(void *ctx, enum report_level level, const char *text)
{
	struct fd_fixture *f = ctx;
	size_t n = strlen(f->said);

	(void)level;
	snprintf(f->said + n, sizeof(f->said) - n, "%s\n", text);
}

int fd_fixture_setup(void **state)
{
	struct fd_fixture *f = calloc(1, sizeof(*f));
	struct report_sink sink = { .message = message };

	if (!f)
		return -1;
	sink.ctx = f;
	report_init(&f->rep, &sink, REPORT_INFO);
	/* Another file system (one with reflinks) can be tried with this. */
	const char *where = getenv("STASIS_TEST_DIR");
	snprintf(f->dir, sizeof(f->dir), "%.40s/stasis-fd-XXXXXX", where ? where : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->image, sizeof(f->image), "%s/image", f->dir);
	fd_shared = mmap(NULL, sizeof(*fd_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd_shared == MAP_FAILED)
		return -1;
	current = f;
	*state = f;
	return 0;
}

static void remove_tree(const char *dir)
{
	AUTO_CLOSEDIR DIR *d = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];

	while (d && (entry = readdir(d))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (entry->d_type == DT_DIR)
			remove_tree(path);
		else
			unlink(path);
	}
	rmdir(dir);
}

int fd_fixture_teardown(void **state)
{
	struct fd_fixture *f = *state;

	fd_end_target(f);
	remove_tree(f->dir);
	findings_finish(&f->findings);
	resource_map_finish(&f->map);
	report_finish(&f->rep);
	munmap(fd_shared, sizeof(*fd_shared));
	free(f);
	return 0;
}

void fd_end_target(struct fd_fixture *f)
{
	if (f->target > 0) {
		kill(f->target, SIGKILL);
		waitpid(f->target, NULL, 0);
	}
	f->target = 0;
}

/* Waits until the child is ready, failed or dead. */
static void await(struct fd_fixture *f, pid_t child)
{
	int status;

	for (int i = 0; i < 20000 && !fd_shared->ready && !fd_shared->failed; i++) {
		usleep(500);
		if (waitpid(child, &status, WNOHANG) == child) {
			f->target = 0;
			if (!fd_shared->failed)
				fail_msg("the process ended with status %#x", status);
		}
	}
	if (fd_shared->failed)
		fail_msg("%s", fd_shared->text);
	assert_true(fd_shared->ready);
}

static void begin(void)
{
	fd_shared->ready = fd_shared->go = fd_shared->failed = 0;
	fd_shared->text[0] = '\0';
}

void fd_start(struct fd_fixture *f, void (*make)(void))
{
	fd_end_target(f);
	begin();
	f->generation = 0;
	fflush(NULL);
	f->target = fork();
	assert_true(f->target >= 0);
	if (f->target == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		EXPECT(null >= 0);
		for (int fd = 0; fd < 3; fd++)
			EXPECT(dup2(null, fd) == fd);
		EXPECT(!syscall(SYS_close_range, 3u, ~0u, 0));
		make();
		stay();
	}
	await(f, f->target);
}

static int capture_mappings(struct fd_fixture *f, struct fd_capture *cap, const struct fd_process *proc)
{
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas = NULL;
	size_t size, n = 0;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", proc->pid);

	if (!err)
		err = proc_maps_parse(text, size, &vmas, &n);
	f->n_backing = 0;
	for (size_t i = 0; !err && i < n; i++) {
		const struct proc_vma *v = &vmas[i];
		struct fd_mapping map = { v->start,     v->end, v->offset, v->dev_major,
			                  v->dev_minor, v->ino, v->shared, (v->prot & PROT_WRITE) != 0,
			                  v->raw };
		uint32_t id;

		/* The fixture's own memory is no part of the target. */
		if (!v->ino || v->start == (uintptr_t)fd_shared)
			continue;
		err = fd_capture_mapping(cap, proc, &map, &id);
		if (!err && v->shared && f->n_backing < 8)
			f->backing[f->n_backing++] = id;
	}
	proc_maps_free(vmas, n);
	return err;
}

static int capture(struct fd_fixture *f, bool frozen, struct fd_capture **ret)
{
	struct fd_process proc = { .pid = f->target, .pidfd = f->pidfd = (int)syscall(SYS_pidfd_open, f->target, 0) };
	struct fd_capture_options options = { .frozen = frozen,
		                              .disk = f->disk,
		                              .first_space = 16,
		                              .claims = f->claims,
		                              .n_claims = f->n_claims,
		                              .image_path = f->clones ? f->image : NULL };
	struct fd_capture *cap = NULL;

	assert_true(proc.pidfd >= 0);
	findings_finish(&f->findings);
	int err = fd_capture_create(&f->rep, &options, &cap);
	if (!err)
		err = fd_capture_process(cap, &proc);
	if (!err && f->mappings)
		err = capture_mappings(f, cap, &proc);
	if (!err)
		err = fd_capture_check(cap, &f->findings);
	if (err) {
		fd_capture_destroy(cap);
		return err;
	}
	*ret = cap;
	return 0;
}

void fd_look_at(struct fd_fixture *f)
{
	struct fd_capture *cap;

	assert_int_equal(capture(f, false, &cap), 0);
	fd_capture_destroy(cap);
	close(f->pidfd);
}

/* The obstacles go to what was said, for the message of a test that did not expect them. */
static int refused(struct fd_fixture *f)
{
	vec_each(&f->findings.list, it)
		if (it->obstacle)
			report_info(&f->rep, "%s (%s): %s; %s", it->object, it->kind, it->obstacle, it->remedy);
	return f->findings.obstacles ? -EOPNOTSUPP : 0;
}

int fd_checkpoint(struct fd_fixture *f)
{
	struct img_writer_options options = { .codec = IMG_CODEC_ZSTD, .overwrite = true };
	struct img_writer *w = NULL;
	struct fd_capture *cap = NULL;
	int status;

	kill(f->target, SIGSTOP);
	assert_int_equal(waitpid(f->target, &status, WUNTRACED), f->target);
	int err = capture(f, true, &cap);
	if (!err)
		err = refused(f);
	if (!err)
		err = img_writer_create(&f->rep, f->image, &options, &w);
	if (!err)
		err = fd_capture_save(cap, w);
	close(f->pidfd);
	if (f->keep_target) {
		kill(f->target, SIGCONT);
		fd_shared->go = 2; /* tells a target that waits for it that the checkpoint was taken */
		usleep(20000);
	} else if (!err) {
		fd_end_target(f);
	}
	if (!err)
		err = fd_capture_save_late(cap, w);
	if (!err)
		err = img_writer_commit(w);
	img_writer_destroy(w);
	fd_capture_destroy(cap);
	return err;
}

/* A child with the pid that the target had, where that may be chosen and is free. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };

	fflush(NULL);
	long child = pid > 0 ? syscall(SYS_clone3, &args, sizeof(args)) : -1;
	return child >= 0 ? (pid_t)child : fork();
}

static void restored(struct fd_fixture *f, struct fd_plan *plan, void (*check)(void))
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	f->rep.sink.message = NULL;
	int err = fd_plan_install(plan, 0, NULL, 0);
	if (err) {
		snprintf(fd_shared->text, sizeof(fd_shared->text), "install: %s: %s", strerror(-err),
		         f->rep.first_error ? f->rep.first_error : "");
		fd_shared->failed = 1;
		_exit(1);
	}
	fd_shared->ready = 1;
	while (!fd_shared->go)
		usleep(200);
	fd_shared->ready = 0;
	if (!check) {
		int first, last;

		/* As the last injected batch of a restart does. */
		fd_plan_backing_range(plan, &first, &last);
		if (first <= last)
			EXPECT(!syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0));
		stay();
	}
	check();
	stay();
}

int fd_restart(struct fd_fixture *f, void (*check)(void))
{
	struct fd_plan_options options = { .map = &f->map, .disk = f->restart_disk, .stdio_inherit = f->stdio_inherit };
	pid_t old = f->target ? 0 : (pid_t)fd_shared->value[63];
	struct img_reader *reader = NULL;
	struct fd_plan *plan = NULL;

	findings_finish(&f->findings);
	int err = img_reader_open(&f->rep, f->image, &reader);
	if (!err)
		err = fd_plan_create(&f->rep, reader, &options, &f->findings, &plan);
	if (!err)
		err = refused(f);
	if (!err) {
		err = fd_plan_prepare(plan);
		if (err)
			fd_plan_abandon(plan);
	}
	if (!err) {
		begin();
		current_plan = plan;
		pid_t child = fork_as(old);
		assert_true(child >= 0);
		if (child == 0)
			restored(f, plan, check);
		f->target = child;
		await(f, child);
		err = fd_plan_commit(plan);
		fd_plan_destroy(plan);
		plan = NULL;
		fd_shared->ready = 0;
		fd_shared->go = 1;
		if (!err)
			await(f, child);
	}
	fd_plan_destroy(plan);
	img_reader_destroy(reader);
	return err;
}

void fd_round_trip(struct fd_fixture *f, void (*make)(void), void (*check)(void))
{
	for (int generations = 1; generations <= 2; generations++) {
		fd_start(f, make);
		for (f->generation = 1; f->generation <= generations; f->generation++) {
			fd_shared->value[63] = f->target;
			int err = fd_checkpoint(f);
			if (err)
				fail_msg("checkpoint: %s\n%s", strerror(-err), f->said);
			err = fd_restart(f, f->generation == generations ? check : NULL);
			if (err)
				fail_msg("restart: %s\n%s", strerror(-err), f->said);
		}
		fd_end_target(f);
	}
}

const struct finding *fd_finding(const struct fd_fixture *f, const char *object)
{
	vec_each(&f->findings.list, it)
		if (!strcmp(it->object, object))
			return it;
	return NULL;
}
