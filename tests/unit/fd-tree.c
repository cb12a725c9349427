// SPDX-License-Identifier: LGPL-2.1-or-later
/* Two processes that share descriptions: each is in the image once, and shared again afterwards. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define CHILD fd_shared->value[0]
#define STEP fd_shared->value[1]

/* 10 shared eventfd; 20/21 a pipe with one end in each; 30 an epoll of both that watches 10; 40 only in the child. */
static void make_tree(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	int ends[2];

	at_fd(eventfd(5, EFD_NONBLOCK), 10);
	EXPECT_EQ(pipe(ends), 0);
	at_fd(ends[0], 20);
	at_fd(ends[1], 21);
	at_fd(epoll_create1(0), 30);
	EXPECT_EQ(epoll_ctl(30, EPOLL_CTL_ADD, 10, &event), 0);
	pid_t child = fork();
	EXPECT(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(20);
		EXPECT_EQ(write(21, "data", 4), 4);
		at_fd(timerfd_create(CLOCK_MONOTONIC, 0), 40);
		EXPECT_EQ(dup2(10, 11), 11);
		close(10);
		STEP = 1;
		for (;;)
			pause();
	}
	close(21);
	CHILD = child;
	while (!STEP)
		usleep(200);
}

static struct fd_process process_of(uint32_t index, pid_t pid)
{
	struct fd_process proc = { index, pid, (int)syscall(SYS_pidfd_open, pid, 0) };

	assert_true(proc.pidfd >= 0);
	return proc;
}

static void capture_tree(struct fd_fixture *f)
{
	struct fd_process procs[2] = { process_of(0, f->target), process_of(1, (pid_t)CHILD) };
	struct fd_capture_options options = { .frozen = true, .first_space = 16 };
	struct img_writer_options wo = { .overwrite = true };
	struct fd_capture *cap;
	struct img_writer *w;
	int status;

	kill((pid_t)CHILD, SIGSTOP);
	kill(f->target, SIGSTOP);
	assert_int_equal(waitpid(f->target, &status, WUNTRACED), f->target);
	assert_int_equal(fd_capture_create(&f->rep, &options, &cap), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fd_capture_process(cap, &procs[i]), 0);
	assert_int_equal(fd_capture_check(cap, &f->findings), 0);
	assert_int_equal(f->findings.obstacles, 0);
	/* 0-2 of both are one, then 10, 20, 21, 30 and 40. */
	assert_int_equal(fd_capture_count(cap), 6);
	assert_int_equal(img_writer_create(&f->rep, f->image, &wo, &w), 0);
	assert_int_equal(fd_capture_save(cap, w), 0);
	assert_int_equal(fd_capture_save_late(cap, w), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
	fd_capture_destroy(cap);
	for (int i = 0; i < 2; i++)
		close(procs[i].pidfd);
	fd_end_target(f);
}

static void wait_for(int64_t step)
{
	while (STEP != step)
		usleep(200);
}

static void be_first(void)
{
	struct epoll_event event;
	uint64_t count;
	char buf[8];

	EXPECT_EQ(fcntl(21, F_GETFD), -1);
	EXPECT_EQ(fcntl(40, F_GETFD), -1);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 4);
	EXPECT_EQ(epoll_wait(30, &event, 1, 0), 1);
	EXPECT_EQ(event.data.u64, 77);
	EXPECT_EQ(read(10, &count, 8), 8);
	EXPECT_EQ(count, 5);
	STEP = 10;
	wait_for(11);
	EXPECT_EQ(read(10, &count, 8), 8);
	EXPECT_EQ(count, 9);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 3);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 0);
	_exit(0);
}

static void be_second(void)
{
	uint64_t count = 9;

	wait_for(10);
	EXPECT_EQ(fcntl(20, F_GETFD), -1);
	EXPECT_EQ(fcntl(10, F_GETFD), -1);
	EXPECT_EQ(fcntl(40, F_GETFD), 0);
	EXPECT_EQ(read(11, &count, 8), -1);
	count = 9;
	EXPECT_EQ(write(11, &count, 8), 8);
	EXPECT_EQ(write(21, "end", 3), 3);
	close(21);
	STEP = 11;
	_exit(0);
}

static pid_t install(struct fd_plan *plan, uint32_t index, void (*be)(void))
{
	fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		EXPECT_EQ(fd_plan_install(plan, index, NULL, 0), 0);
		be();
	}
	return pid;
}

static void shared_descriptions_are_shared_again(void **state)
{
	struct fd_plan_options options = { 0 };
	struct fd_fixture *f = *state;
	struct img_reader *reader;
	struct fd_plan *plan;
	int status;

	STEP = 0;
	fd_start(f, make_tree);
	capture_tree(f);
	findings_finish(&f->findings);
	assert_int_equal(img_reader_open(&f->rep, f->image, &reader), 0);
	assert_int_equal(fd_plan_create(&f->rep, reader, &options, &f->findings, &plan), 0);
	assert_int_equal(f->findings.obstacles, 0);
	assert_int_equal(fd_plan_max_fd(plan), 40);
	assert_int_equal(fd_plan_prepare(plan), 0);
	STEP = 0;
	fd_shared->failed = 0;
	pid_t first = install(plan, 0, be_first), second = install(plan, 1, be_second);
	assert_int_equal(fd_plan_commit(plan), 0);
	fd_plan_destroy(plan);
	img_reader_destroy(reader);
	assert_int_equal(waitpid(first, &status, 0), first);
	if (fd_shared->failed || status) {
		kill(second, SIGKILL);
		waitpid(second, NULL, 0);
		fail_msg("%s", fd_shared->text);
	}
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shared_descriptions_are_shared_again, fd_fixture_setup, fd_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
