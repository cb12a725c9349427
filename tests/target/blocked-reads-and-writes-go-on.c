// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads block in read() of a pipe, an eventfd and a socket pair, in recvmsg(), and in write() to a full pipe. They see
 * nothing of the checkpoint, and at the end each gets exactly the data that is sent then. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target.h"

#define THREADS 5

static int to_read[2], full[2], pair[2], gram[2], evfd;
static volatile pid_t tids[THREADS];
static volatile bool released;
static char block[8192], back[8192];

static void *blocked(void *arg)
{
	int i = (intptr_t)arg;
	uint64_t count = 0;
	char buf[64] = "";
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r, want = 5;

	tids[i] = gettid();
	switch (i) {
	case 0:
		r = read(to_read[0], buf, sizeof(buf));
		break;
	case 1:
		r = read(evfd, &count, sizeof(count));
		want = 8;
		break;
	case 2:
		r = read(pair[0], buf, sizeof(buf));
		break;
	case 3:
		r = recvmsg(gram[0], &msg, 0);
		break;
	default:
		r = write(full[1], block, sizeof(block));
		want = sizeof(block);
	}
	target_check(r == want, "thread %d: returned %ld, errno %d", i, (long)r, r < 0 ? errno : 0);
	target_check(released, "thread %d: returned with nothing having happened", i);
	target_check(i == 4 || (i == 1 ? count == 3 : strcmp(buf, "hello") == 0), "thread %d: %lu \"%s\"", i, count, buf);
	return NULL;
}

static void release(void)
{
	int left = fcntl(full[1], F_GETPIPE_SZ) + sizeof(block);

	released = true;
	target_check(write(to_read[1], "hello", 5) == 5 && write(pair[1], "hello", 5) == 5 && write(gram[1], "hello", 5) == 5,
	             "%m");
	eventfd_write(evfd, 3);
	for (int n; left > 0; left -= n) {
		n = read(full[0], back, sizeof(back));
		target_check(n > 0, "%m with %d bytes to come", left);
		if (left <= (int)sizeof(block))
			target_check(memcmp(back, block + sizeof(block) - left, n) == 0, "the blocked write's data is wrong");
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int size;

	target_init(argc, argv);
	target_check(pipe(to_read) == 0 && pipe(full) == 0, "%m");
	target_check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, gram) == 0, "%m");
	evfd = eventfd(0, 0);
	target_fill(block, sizeof(block), 5);
	size = fcntl(full[1], F_GETPIPE_SZ);
	for (int n = 0; n < size; n += 4096)
		target_check(write(full[1], block, 4096) == 4096, "%m");
	for (intptr_t i = 0; i < THREADS; i++) {
		threads[i] = target_thread(blocked, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
