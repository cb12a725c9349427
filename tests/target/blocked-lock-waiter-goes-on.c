// SPDX-License-Identifier: LGPL-2.1-or-later
/* One thread waits for a lock that another open file of the same process holds. After the restart it waits still, and gets the
 * lock when it is given up at the end. */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "target.h"

static int holder[2], waiter[2];
static volatile pid_t tids[2];
static volatile bool released;

static void *wait_for(void *arg)
{
	struct flock fl = { .l_type = F_WRLCK, .l_len = 10 };
	int i = (intptr_t)arg, r;

	tids[i] = gettid();
	r = i == 0 ? flock(waiter[0], LOCK_EX) : fcntl(waiter[1], F_OFD_SETLKW, &fl);
	target_check(r == 0, "waiter %d: %m", i);
	target_check(released, "waiter %d: two owners of one lock", i);
	return NULL;
}

static void release(void)
{
	released = true;
	close(holder[0]);
	close(holder[1]);
}

int main(int argc, char **argv)
{
	struct flock fl = { .l_type = F_WRLCK };
	pthread_t threads[2];

	target_init(argc, argv);
	for (int i = 0; i < 2; i++) {
		const char *path = target_path(i ? "ofd" : "flock");

		holder[i] = open(path, O_CREAT | O_RDWR, 0600);
		waiter[i] = open(path, O_RDWR);
		target_check(holder[i] >= 0 && waiter[i] >= 0, "%m");
	}
	target_check(flock(holder[0], LOCK_EX) == 0 && fcntl(holder[1], F_OFD_SETLK, &fl) == 0, "%m");
	for (intptr_t i = 0; i < 2; i++) {
		threads[i] = target_thread(wait_for, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
