// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread writes the same rising number into private, shared anonymous and memory-file pages, always in this order, without
 * pause. In an image of one instant the copies never differ by more than the one step that was under way, though the program
 * runs on while the image is written. */
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define WORDS 512 /* one page apart each */

static volatile uint64_t *place[3];
static volatile bool stop;

static uint64_t at(int which, int word)
{
	return place[which][word * 512];
}

static void *writer(void *arg)
{
	uint64_t n = 0;

	(void)arg;
	while (!stop) {
		int word = n / 64 % WORDS;

		n++;
		for (int i = 0; i < 3; i++)
			place[i][word * 512] = n;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int fd = memfd_create("instant", 0);
	pthread_t thread;

	target_init(argc, argv);
	target_check(ftruncate(fd, WORDS * 4096) == 0, "%m");
	place[0] = mmap(NULL, WORDS * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	place[1] = mmap(NULL, WORDS * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	place[2] = mmap(NULL, WORDS * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	thread = target_thread(writer, NULL);
	target_ready();
	while (target_turn())
		for (int word = 0; word < WORDS; word++) {
			/* Read against the order of writing: later places are never ahead of earlier ones. A word that the
			 * writer is far from stands still, and is the same in all three. */
			uint64_t c = at(2, word), b = at(1, word), a = at(0, word);

			target_check(c <= b && b <= a, "word %d: %lu %lu %lu", word, a, b, c);
		}
	stop = true;
	pthread_join(thread, NULL);
	for (int word = 0; word < WORDS; word++)
		target_check(at(0, word) == at(1, word) && at(1, word) == at(2, word), "word %d: %lu %lu %lu", word,
		             at(0, word), at(1, word), at(2, word));
	target_done();
}
