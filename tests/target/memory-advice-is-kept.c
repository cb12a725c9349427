// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each kind of advice given by madvise() shows as a flag of the mapping in smaps; all flags stay what they were, and the two
 * that matter to fork() are tried: a child lacks the one mapping and sees zeros in the other. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

#define SIZE (4 << 20)

static const int advice[] = { MADV_DONTFORK,  MADV_WIPEONFORK, MADV_DONTDUMP,   MADV_HUGEPAGE, MADV_NOHUGEPAGE,
	                      MADV_MERGEABLE, MADV_RANDOM,     MADV_SEQUENTIAL, MADV_NORMAL,   MADV_DONTFORK };
#define ADVICE (int)(sizeof(advice) / sizeof(*advice))

static char *maps[ADVICE], flags[ADVICE][200];

int main(int argc, char **argv)
{
	int status;

	target_init(argc, argv);
	for (int i = 0; i < ADVICE; i++) {
		/* A gap before each, so that equal neighbours do not become one mapping. */
		maps[i] = mmap(NULL, SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		target_check(maps[i] != MAP_FAILED, "%m");
		maps[i] += 4096;
		mprotect(maps[i], SIZE, PROT_READ | PROT_WRITE);
		target_check(madvise(maps[i], SIZE, advice[i]) == 0 || errno == EINVAL, "advice %d: %m", advice[i]);
		strcpy(maps[i] + 1000, "contents");
	}
	/* What QEMU does to its guest's memory. */
	madvise(maps[9], SIZE, MADV_HUGEPAGE);
	madvise(maps[9], SIZE, MADV_MERGEABLE);
	for (int i = 0; i < ADVICE; i++)
		strcpy(flags[i], target_field(target_smaps(maps[i]), "VmFlags"));
	target_check(strstr(flags[0], "dc") && strstr(flags[1], "wf") && strstr(flags[2], "dd"), "%s / %s / %s", flags[0],
	             flags[1], flags[2]);
	target_ready();
	while (target_turn())
		for (int i = 0; i < ADVICE; i++) {
			const char *now = target_field(target_smaps(maps[i]), "VmFlags");

			target_check(strcmp(flags[i], now) == 0, "advice %d: flags were %s, are %s", advice[i], flags[i], now);
			target_check(strcmp(maps[i] + 1000, "contents") == 0, "advice %d: contents", advice[i]);
		}
	if (fork() == 0) {
		if (maps[1][1000])
			_exit(3);
		signal(SIGSEGV, SIG_DFL);
		_exit(maps[0][1000] ? 4 : 5);
	}
	target_check(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "in a child: status %x", status);
	target_done();
}
