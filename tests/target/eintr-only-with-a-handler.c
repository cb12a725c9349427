// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads block in read() while signals with and without SA_RESTART rain on them. The first must never see EINTR; the second
 * must see it only when a handler has run, so that an interruption by a checkpoint would be found out. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

static int fds[2];
static volatile pid_t tids[2];
static volatile bool released;
static volatile int handled[2];

static void on_signal(int sig)
{
	handled[sig == SIGUSR2]++;
}

static void *reader(void *arg)
{
	int i = (intptr_t)arg, before;
	ssize_t r;
	char c;

	tids[i] = gettid();
	do {
		before = handled[i];
		errno = 0;
		r = read(fds[0], &c, 1);
		if (r < 0) {
			target_check(errno == EINTR, "reader %d: %m", i);
			target_check(i == 1, "SA_RESTART and yet EINTR");
			/* The handler may have run before read() began; then two are needed. What must not be is none at all.
			 */
			target_check(handled[i] > before, "EINTR and no handler has run");
		}
	} while (r < 0);
	target_check(r == 1 && released, "reader %d: returned %ld with nothing written", i, (long)r);
	return NULL;
}

static void *sender(void *arg)
{
	(void)arg;
	while (!released) {
		syscall(SYS_tgkill, getpid(), tids[0], SIGUSR1);
		syscall(SYS_tgkill, getpid(), tids[1], SIGUSR2);
		target_sleep_ms(1);
	}
	return NULL;
}

static void release(void)
{
	released = true;
	target_check(write(fds[1], "xy", 2) == 2, "%m");
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	pthread_t threads[3];

	target_init(argc, argv);
	target_check(pipe(fds) == 0, "%m");
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = 0;
	sigaction(SIGUSR2, &sa, NULL);
	for (intptr_t i = 0; i < 2; i++) {
		threads[i] = target_thread(reader, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
	}
	threads[2] = target_thread(sender, NULL);
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	target_check(handled[0] > 10 && handled[1] > 10, "handlers ran %d and %d times", handled[0], handled[1]);
	target_done();
}
