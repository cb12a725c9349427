/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A trip of open files through an image. The children report through shared memory. */
#include "sock-trip.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fd/fd.h"
#include "reader.h"
#include "writer.h"

struct trip_notes *trip_notes;
static char directory[64];
static char last_words[2048]; /* of the reporter */

const char *trip_dir(void)
{
	return directory;
}

void trip_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!trip_notes->fault[0])
		vsnprintf(trip_notes->fault, sizeof(trip_notes->fault), fmt, ap);
	va_end(ap);
	_exit(1);
}

pid_t trip_fork_outsider(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		trip_fail("no process can be made");
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(2);
	return pid;
}

static void on_message(void *ctx, enum report_level level, const char *text)
{
	size_t n = strlen(last_words);

	(void)ctx;
	if (level <= REPORT_WARNING)
		snprintf(last_words + n, sizeof(last_words) - n, "[%s] ", text);
}

static const struct report_sink sink = { .message = on_message };

/* The first child owns no descriptor but those under test, so the two talk by a number in shared memory. */
enum stage { STAGE_MAKING, STAGE_READY, STAGE_GO_ON, STAGE_UNCHANGED };

static void nap(void)
{
	usleep(500);
}

static void first_child(const struct trip *trip)
{
	pid_t parent = getppid();
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	null = open("/dev/null", O_RDWR);
	if (null != 0 || dup(0) != 1 || dup(0) != 2)
		_exit(2);
	signal(SIGPIPE, SIG_IGN);
	trip->hold();
	trip_notes->stage = STAGE_READY;
	while (trip_notes->stage != STAGE_GO_ON && getppid() == parent)
		nap();
	if (trip->after)
		trip->after();
	trip_notes->stage = STAGE_UNCHANGED;
	pause();
	_exit(0);
}

/* False when the child has ended instead. */
static bool wait_stage(pid_t pid, enum stage stage)
{
	siginfo_t info = { 0 };

	while (trip_notes->stage != (int)stage) {
		if (!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid)
			return trip_notes->stage == (int)stage;
		nap();
	}
	return true;
}

static void words_of(const struct findings *findings, char *out, size_t room)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < findings->list.n; i++) {
		const struct finding *f = &findings->list.items[i];
		if (f->obstacle && n < room)
			n += (size_t)snprintf(out + n, room - n, "%s (%s): %s; %s\n", f->object, f->kind, f->obstacle,
					      f->remedy);
	}
}

struct run {
	const struct trip *trip;
	struct reporter rep;
	struct findings findings;
	struct fd_capture *cap;
	pid_t first;
	int pidfd;
	char image[128];
};

static void start(struct run *r, const struct trip *trip)
{
	memset(r, 0, sizeof(*r));
	memset(trip_notes, 0, sizeof(*trip_notes));
	last_words[0] = '\0';
	r->trip = trip;
	report_init(&r->rep, &sink, REPORT_WARNING);
	r->first = fork();
	assert_true(r->first >= 0);
	if (r->first == 0)
		first_child(trip);
	bool ready = wait_stage(r->first, STAGE_READY);
	if (trip_notes->skip)
		skip();
	if (!ready)
		fail_msg("the holder: %s", trip_notes->fault);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->first, 0);
	assert_true(r->pidfd >= 0);
	snprintf(r->image, sizeof(r->image), "%s/image", directory);
}

/* As `stasis check` does: the child runs meanwhile, and nothing of it is read or changed. */
static void look_while_running(struct run *r)
{
	struct fd_capture_options options = { .first_space = 10 };
	struct fd_process proc = { 0, r->first, r->pidfd };
	struct findings findings = { 0 };
	struct fd_capture *cap;

	assert_int_equal(fd_capture_create(&r->rep, &options, &cap), 0);
	if (fd_capture_process(cap, &proc) || fd_capture_check(cap, &findings))
		fail_msg("check: %s", last_words);
	assert_true(findings.list.n > 3); /* 0 to 2, and what is under test */
	findings_finish(&findings);
	fd_capture_destroy(cap);
}

static void stop_and_look(struct run *r)
{
	struct fd_capture_options options = { .frozen = true, .first_space = 10, .image_path = r->image };
	struct fd_process proc = { 0, r->first, r->pidfd };
	int status;

	look_while_running(r);
	kill(r->first, SIGSTOP);
	assert_int_equal(waitpid(r->first, &status, WUNTRACED), r->first);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(fd_capture_create(&r->rep, &options, &r->cap), 0);
	if (fd_capture_process(r->cap, &proc) || fd_capture_check(r->cap, &r->findings))
		fail_msg("capture: %s", last_words);
}

static void save(struct run *r)
{
	struct img_writer_options options = { .codec = IMG_CODEC_ZSTD, .overwrite = true };
	struct img_writer *w;

	if (img_writer_create(&r->rep, r->image, &options, &w) || fd_capture_save(r->cap, w) ||
	    fd_capture_save_late(r->cap, w) || img_writer_commit(w))
		fail_msg("save: %s", last_words);
	img_writer_destroy(w);
}

static void go_on(struct run *r)
{
	kill(r->first, SIGCONT);
	trip_notes->stage = STAGE_GO_ON;
	if (!wait_stage(r->first, STAGE_UNCHANGED))
		fail_msg("the holder, after the capture: %s", trip_notes->fault);
}

static void finish(struct run *r)
{
	kill(r->first, SIGKILL);
	while (waitpid(r->first, NULL, 0) < 0 && errno == EINTR)
		;
	fd_capture_destroy(r->cap);
	findings_finish(&r->findings);
	report_finish(&r->rep);
	close(r->pidfd);
	unlink(r->image);
}

struct second {
	struct reporter rep;
	struct resource_map map;
	struct findings findings;
	struct img_reader *reader;
	struct fd_plan *plan;
};

static void make_plan(struct run *r, struct second *s)
{
	struct fd_plan_options options = { .map = &s->map };

	memset(s, 0, sizeof(*s));
	report_init(&s->rep, &sink, REPORT_WARNING);
	for (int i = 0; i < 3 && r->trip->maps[i]; i++)
		CHECK(resource_map_add(&s->map, &s->rep, r->trip->maps[i]) == 0);
	if (img_reader_open(&s->rep, r->image, &s->reader) ||
	    fd_plan_create(&s->rep, s->reader, &options, &s->findings, &s->plan))
		trip_fail("plan: %s", last_words);
}

static void second_child(struct run *r, const char *unmet)
{
	char words[1024];
	struct second s;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (r->trip->before)
		r->trip->before();
	make_plan(r, &s);
	words_of(&s.findings, words, sizeof(words));
	if (unmet) {
		if (!strstr(words, unmet))
			trip_fail("the plan does not speak of \"%s\" but: %s", unmet, words);
		_exit(0);
	}
	if (s.findings.obstacles)
		trip_fail("unmet needs: %s", words);
	if (fd_plan_prepare(s.plan))
		trip_fail("prepare: %s", last_words);
	if (r->trip->abandon) {
		fd_plan_abandon(s.plan);
		fd_plan_destroy(s.plan);
	} else {
		/* Stage 1 runs in the new process; the caller commits. */
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			if (fd_plan_install(s.plan, 0, NULL, 0))
				trip_fail("install: %s", last_words);
			if (r->trip->verify)
				r->trip->verify();
			_exit(0);
		}
		int status;
		CHECK(fd_plan_commit(s.plan) == 0);
		fd_plan_destroy(s.plan);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status))
			trip_fail("the restored process died of signal %d", WTERMSIG(status));
		_exit(WEXITSTATUS(status));
	}
	if (r->trip->verify)
		r->trip->verify();
	_exit(0);
}

static void run_second(struct run *r, const char *unmet)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		second_child(r, unmet);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	if (WIFSIGNALED(status))
		fail_msg("the restorer died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) || trip_notes->fault[0])
		fail_msg("%s", trip_notes->fault);
}

static void refuse_obstacles(struct run *r)
{
	char words[1024];

	words_of(&r->findings, words, sizeof(words));
	if (r->findings.obstacles)
		fail_msg("obstacles: %s", words);
}

static void trip_to_image(struct run *r, const struct trip *trip)
{
	start(r, trip);
	stop_and_look(r);
	refuse_obstacles(r);
	save(r);
	go_on(r);
	if (!trip->keep_original) {
		kill(r->first, SIGKILL);
		siginfo_t info;
		waitid(P_PID, (id_t)r->first, &info, WEXITED | WNOWAIT);
	}
}

void trip_run(const struct trip *trip)
{
	struct run r;

	trip_to_image(&r, trip);
	run_second(&r, NULL);
	finish(&r);
}

void trip_expect_unmet(const struct trip *trip, const char *word)
{
	struct run r;

	trip_to_image(&r, trip);
	run_second(&r, word);
	finish(&r);
}

void trip_expect_obstacle(const struct trip *trip, const char *word)
{
	char words[1024];
	struct run r;

	start(&r, trip);
	stop_and_look(&r);
	words_of(&r.findings, words, sizeof(words));
	if (!strstr(words, word))
		fail_msg("the check does not speak of \"%s\" but: %s", word, words);
	go_on(&r);
	finish(&r);
}

int trip_setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/stasis-sock-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	trip_notes = mmap(NULL, sizeof(*trip_notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return trip_notes == MAP_FAILED ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int trip_teardown(void **state)
{
	(void)state;
	munmap(trip_notes, sizeof(*trip_notes));
	return nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
