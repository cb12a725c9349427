// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread changes, all the time, whether a fork copies some memory, empties it or leaves it out, and what is locked. A checkpoint may come
 * just then: the memory is in the image all the same. */
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#define SIZE (64ul << 10)

static const int advice[] = { MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP };
static void *area;
static volatile bool stop;

static void *change(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !stop; i++) {
		target_check(madvise(area, SIZE, advice[i % 6]) == 0, "advice %d: %m", advice[i % 6]);
		if (i % 16 == 0)
			(i % 32 ? munlock : mlock)(area, SIZE);
		if (i % 64 == 0)
			target_sleep_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	target_init(argc, argv);
	area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(area != MAP_FAILED, "mmap: %m");
	target_fill(area, SIZE, 1);
	thread = target_thread(change, NULL);
	target_ready();
	while (target_turn())
		target_check(target_filled(area, SIZE, 1), "the memory has lost its contents");
	stop = true;
	pthread_join(thread, NULL);
	target_done();
}
