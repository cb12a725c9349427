// SPDX-License-Identifier: LGPL-2.1-or-later
/* Running a hook: what it is given, what is made of its output and its end, and that one which hangs is gone with all its
 * kin. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hook.h"

struct fixture {
	char dir[64], path[96];
	struct reporter rep;
	volatile int cancel;
	char said[3][4096]; /* by level */
	json_t *message;
};

static void catch (void *ctx, enum report_level level, const char *text)
{
	struct fixture *f = ctx;
	char *said = f->said[level];
	size_t used = strlen(said);

	snprintf(said + used, sizeof(f->said[0]) - used, "%s\n", text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct report_sink sink = { .message = catch, .ctx = f };

	report_init(&f->rep, &sink, REPORT_INFO);
	f->rep.cancel = &f->cancel;
	strcpy(f->dir, "/tmp/stasis-hook-XXXXXX");
	if (!mkdtemp(f->dir) || chdir(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/hook", f->dir);
	f->message = json_pack("{s:s, s:i}", "event", "plan", "number", 42);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	json_decref(f->message);
	report_finish(&f->rep);
	free(f);
	return chdir("/") || system(command);
}

static void write_hook(const struct fixture *f, const char *script)
{
	int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "#!/bin/sh\n%s\n", script), (int)strlen(script) + 11);
	close(fd);
}

/* Runs the script as a plan hook with the time limit; its output in *ret when not NULL. */
static int run(struct fixture *f, const char *script, unsigned timeout_ms, char **ret)
{
	struct hook_call call = { .program = f->path,
		                  .event = "plan",
		                  .image = "vm.stasis",
		                  .message = f->message,
		                  .timeout_ms = timeout_ms,
		                  .outcome = "nothing was started" };

	if (script)
		write_hook(f, script);
	memset(f->said, 0, sizeof(f->said));
	return hook_run(&f->rep, &call, ret);
}

static double seconds_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static void event_message_and_surroundings_are_given(void **state)
{
	struct fixture *f = *state;
	sigset_t set, old;
	char *out = NULL;

	/* What the caller has blocked, ignored or open is not the hook's concern. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGUSR2, SIG_IGN);
	int leak = open("/dev/null", O_RDONLY);
	assert_int_equal(run(f,
	                     "echo $1 $# $STASIS_EVENT $STASIS_IMAGE $PWD\ncat\nls /proc/self/fd | tr '\\n' ' '\n"
	                     "grep -E 'Sig(Blk|Ign)' /proc/self/status\nawk '{print $1 == $5}' /proc/$$/stat",
	                     0, &out),
	                 0);
	close(leak);
	signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	char expected[512];
	snprintf(expected, sizeof(expected),
	         "plan 1 plan vm.stasis %s\n{\"event\":\"plan\",\"number\":42}\n0 1 2 3 SigBlk:\t0000000000000000\n"
	         "SigIgn:\t0000000000000000\n1\n",
	         f->dir);
	assert_string_equal(out, expected);
	free(out);
	assert_string_equal(f->said[REPORT_ERROR], "");
}

static void one_that_reads_nothing_is_no_trouble(void **state)
{
	struct fixture *f = *state;
	char *big = malloc(3 << 20), *out = NULL;

	memset(big, 'x', (3 << 20) - 1);
	big[(3 << 20) - 1] = '\0';
	json_object_set_new(f->message, "big", json_string(big));
	free(big);
	assert_int_equal(run(f, "exit 0", 0, &out), 0);
	assert_string_equal(out, "");
	free(out);
	assert_int_equal(run(f, "wc -c", 0, &out), 0);
	assert_true(atoi(out) > 3 << 20);
	free(out);
}

static void refusal_is_told_in_its_own_last_words(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "echo trying >&2; echo no tap is left >&2; echo >&2; exit 3", 0, NULL), -EPERM);
	char expected[256];
	snprintf(expected, sizeof(expected), "hook %s (plan): ended with status 3: no tap is left; nothing was started\n",
	         f->path);
	assert_string_equal(f->said[REPORT_ERROR], expected);
	assert_non_null(strstr(f->said[REPORT_INFO], ": trying\n"));
	assert_true(run(f, "exit 1", 0, NULL) < 0);
	assert_non_null(strstr(f->said[REPORT_ERROR], "status 1: it said nothing"));
	assert_true(run(f, "kill -SEGV $$", 0, NULL) < 0);
	assert_non_null(strstr(f->said[REPORT_ERROR], "killed by signal 11"));
	assert_true(run(f, "printf 'no newline' >&2; exit 1", 0, NULL) < 0);
	assert_non_null(strstr(f->said[REPORT_ERROR], "no newline"));
}

static void failure_of_an_optional_one_is_a_warning(void **state)
{
	struct fixture *f = *state;
	struct hook_call call = { .program = f->path,
		                  .event = "after-restart",
		                  .image = "vm.stasis",
		                  .message = f->message,
		                  .optional = true,
		                  .outcome = "the target runs all the same" };

	write_hook(f, "exit 1");
	f->cancel = 1; /* no reason not to run it */
	assert_true(hook_run(&f->rep, &call, NULL) < 0);
	assert_non_null(strstr(f->said[REPORT_WARNING], "(after-restart): ended with status 1"));
	assert_string_equal(f->said[REPORT_ERROR], "");
	assert_int_equal(run(f, "exit 0", 0, NULL), -ECANCELED);
}

static void what_cannot_be_started_is_said_with_a_remedy(void **state)
{
	struct fixture *f = *state;
	struct hook_call bare = { .program = "no-such-hook", .event = "plan", .message = f->message };

	assert_int_equal(run(f, NULL, 0, NULL), -ENOENT);
	assert_non_null(strstr(f->said[REPORT_ERROR], "cannot be started: No such file"));
	write_hook(f, "exit 0");
	chmod(f->path, 0644);
	assert_int_equal(run(f, NULL, 0, NULL), -EACCES);
	assert_non_null(strstr(f->said[REPORT_ERROR], "chmod +x"));
	unlink(f->path);
	int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(write(fd, "#!/no/such/shell\n", 17), 17);
	close(fd);
	assert_int_equal(run(f, NULL, 0, NULL), -ENOENT);
	assert_non_null(strstr(f->said[REPORT_ERROR], "interpreter"));
	memset(f->said, 0, sizeof(f->said));
	assert_int_equal(hook_run(&f->rep, &bare, NULL), -ENOENT);
	assert_non_null(strstr(f->said[REPORT_ERROR], "./no-such-hook"));
}

static bool lives(const char *file)
{
	FILE *in = fopen(file, "r");
	int pid = 0;

	assert_non_null(in);
	assert_int_equal(fscanf(in, "%d", &pid), 1);
	fclose(in);
	for (int i = 0; i < 40 && !kill(pid, 0); i++) {
		char path[64], state = '?';
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		FILE *stat = fopen(path, "r");
		if (stat && fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		if (stat)
			fclose(stat);
		if (state == 'Z')
			return false;
		usleep(50000);
	}
	return !kill(pid, 0);
}

static void one_that_hangs_is_killed_with_its_group(void **state)
{
	struct fixture *f = *state;
	struct timespec begin;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(run(f, "sleep 100 & echo $! >child; echo waiting for a switch >&2; wait", 500, NULL), -ETIMEDOUT);
	assert_true(seconds_since(&begin) < 50);
	assert_non_null(strstr(f->said[REPORT_ERROR],
	                       "did not end within 0.5 s and was killed, its last words: waiting for a switch;"));
	assert_non_null(strstr(f->said[REPORT_ERROR], "--hook-timeout"));
	assert_false(lives("child"));
	/* Nor does it help to be deaf, or to be stopped. */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(run(f, "trap '' TERM; echo $$ >child; while :; do sleep 1; done", 300, NULL), -ETIMEDOUT);
	assert_false(lives("child"));
	assert_int_equal(run(f, "echo $$ >child; kill -STOP $$", 300, NULL), -ETIMEDOUT);
	assert_false(lives("child"));
	assert_true(seconds_since(&begin) < 50);
}

static void what_it_leaves_in_the_background_lives_on(void **state)
{
	struct fixture *f = *state;
	struct timespec begin;
	char *out = NULL;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(run(f, "sleep 100 & echo $! >child; echo done", 5000, &out), 0); /* it holds the pipes */
	assert_string_equal(out, "done\n");
	free(out);
	assert_true(seconds_since(&begin) < 50);
	FILE *in = fopen("child", "r");
	int pid = 0;
	assert_int_equal(fscanf(in, "%d", &pid), 1);
	fclose(in);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void a_flood_is_neither_kept_nor_waited_for(void **state)
{
	struct fixture *f = *state;
	char *out = NULL;

	assert_int_equal(run(f, "head -c 65536 /dev/zero | tr '\\0' x", 0, &out), 0);
	assert_int_equal(strlen(out), HOOK_OUTPUT_MAX);
	free(out);
	assert_int_equal(run(f, "head -c 50000000 /dev/zero | tr '\\0' x", 0, &out), -EFBIG);
	assert_int_equal(run(f,
	                     "head -c 50000000 /dev/zero; head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2",
	                     0, NULL),
	                 0);
	assert_non_null(strstr(f->said[REPORT_INFO], ": end\n"));
	assert_int_equal(run(f, "yes", 500, NULL), -ETIMEDOUT);
}

static void a_cancel_kills_it(void **state)
{
	struct fixture *f = *state;
	struct timespec begin;
	pid_t self = getpid();

	f->cancel = 0;
	write_hook(f, "echo $$ >child; sleep 100");
	pid_t pid = fork();
	if (pid == 0) {
		/* Takes the place of the user: the flag is raised by a handler there, by a shared variable here. */
		usleep(300000);
		kill(self, SIGALRM);
		_exit(0);
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(run(f, NULL, 20000, NULL), -ECANCELED);
	assert_true(seconds_since(&begin) < 15);
	assert_string_equal(f->said[REPORT_ERROR], "");
	assert_false(lives("child"));
	waitpid(pid, NULL, 0);
}

static struct fixture *alarm_fixture;

static void on_alarm(int sig)
{
	(void)sig;
	alarm_fixture->cancel = 1;
}

static int setup_cancel(void **state)
{
	struct sigaction act = { .sa_handler = on_alarm };

	if (setup(state))
		return -1;
	alarm_fixture = *state;
	return sigaction(SIGALRM, &act, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(event_message_and_surroundings_are_given, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_reads_nothing_is_no_trouble, setup, teardown),
		cmocka_unit_test_setup_teardown(refusal_is_told_in_its_own_last_words, setup, teardown),
		cmocka_unit_test_setup_teardown(failure_of_an_optional_one_is_a_warning, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_started_is_said_with_a_remedy, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_hangs_is_killed_with_its_group, setup, teardown),
		cmocka_unit_test_setup_teardown(what_it_leaves_in_the_background_lives_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_neither_kept_nor_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_kills_it, setup_cancel, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
