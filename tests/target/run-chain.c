// SPDX-License-Identifier: LGPL-2.1-or-later
/* Takes a target program through a chain of incremental checkpoints: restarts the last and one in the middle, goes on with the
 * chain after a restart, folds it, takes the parents away and restarts what was folded. What has changed is found by comparison, or (TRACK
 * is "on") by the kernel's notes, and it must be said which. */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINKS_MAX 20

static int links = LINKS_MAX; /* fewer where all is slow: CHAIN_LINKS in the environment, and CHAIN_SECONDS for the whole */
static bool track, precopy;

static const char *link_path(struct driver *d, int i)
{
	char name[32];

	snprintf(name, sizeof(name), "link-%d.stasis", i);
	return driver_path(d, name);
}

static void must(struct driver *d, const char *const *args)
{
	int status = driver_stasis(d, args);

	if (status)
		driver_fail(d, "stasis %s: wait status %x", args[0], status);
}

static void expect(struct driver *d, const char *words)
{
	if (!strstr(driver_output(d), words))
		driver_fail(d, "the checkpoint does not say %s", words);
}

/* `known`: the kernel must have noted what has changed since the parent. */
static void checkpoint(struct driver *d, int i, int parent, bool known, bool stop)
{
	const char *args[15] = { "checkpoint", NULL, "-o", link_path(d, i), "--json", "--track", track ? "on" : "off" };
	char pid[16];
	int n = 7;

	snprintf(pid, sizeof(pid), "%d", d->pid);
	args[1] = pid;
	if (parent >= 0) {
		args[n++] = "--incremental";
		args[n++] = "--parent";
		args[n++] = link_path(d, parent);
	}
	if (stop)
		args[n++] = "--stop";
	else if (precopy)
		args[n++] = "--snapshot=precopy";
	/* One that has a child now and then is refused at such a moment. */
	int tries = 0;
	for (; tries < 50 && driver_stasis(d, args) && strstr(driver_output(d), "child process"); tries++)
		driver_sleep_ms(20);
	if (precopy && strstr(driver_output(d), "Linux 6.7"))
		driver_skip(d, "the kernel does not note what is written to");
	expect(d, "\"ok\": true");
	if (track && parent < 0 && strstr(driver_output(d), "\"tracking\": false"))
		driver_skip(d, "the kernel does not note what is written to");
	expect(d, track && !stop ? "\"tracking\": true" : "\"tracking\": false");
	if (parent < 0)
		expect(d, "\"changes_by\": null");
	else if (!tries) /* one that fails late may lose what is known */
		expect(d, known ? "\"changes_by\": \"tracking\"" : "\"changes_by\": \"comparison\"");
	if (stop)
		driver_gone(d);
	driver_look(d);
}

static void restart(struct driver *d, const char *image)
{
	const char *pidfile = driver_path(d, "pid");

	unlink(pidfile);
	must(d, (const char *[]){ "restart", image, "--detach", "--pidfile", pidfile, d->restart_option, NULL });
	driver_adopt(d, pidfile);
}

static long size_of(struct driver *d, int i)
{
	struct stat st;

	if (stat(link_path(d, i), &st))
		driver_fail(d, "no image %s", link_path(d, i));
	return st.st_size;
}

static void run(struct driver *d)
{
	const char *folded = driver_path(d, "folded.stasis");
	const int middle = links / 2 - 1;
	long sum = 0;

	for (int i = 0; i < links; i++) {
		if (i == middle)
			d->again_lo = d->turns + 1;
		checkpoint(d, i, i - 1, track, i == links - 1);
		if (i == middle)
			d->again_hi = d->turns + 1;
		if (i < links - 1)
			driver_turns(d, 5);
		sum += i ? size_of(d, i) : 0;
	}
	printf("whole: %ld bytes, incremental: %ld on average\n", size_of(d, 0), sum / (links - 1));
	/* In a small image the records, which are whole in each, count for more than the pages; and where all is slow much happens between
	 * two checkpoints. */
	if (links == LINKS_MAX && size_of(d, 0) > 4 << 20 && sum / (links - 1) > size_of(d, 0) / 3)
		driver_fail(d, "incremental images have %ld bytes on average, the whole one %ld", sum / (links - 1),
		            size_of(d, 0));
	must(d, (const char *[]){ "verify", link_path(d, links - 1), NULL });
	restart(d, link_path(d, links - 1));
	driver_turns(d, 40);
	driver_kill(d);

	restart(d, link_path(d, middle));
	driver_turns(d, 20);
	/* The chain goes on from there, with a process that was never checkpointed before. */
	checkpoint(d, links, middle, false, true);
	must(d, (const char *[]){ "fold", link_path(d, links), "-o", folded, NULL });
	for (int i = 0; i <= links; i++)
		unlink(link_path(d, i));
	must(d, (const char *[]){ "verify", folded, NULL });
	restart(d, folded);
	driver_turns(d, 40);
}

int main(int argc, char **argv)
{
	struct driver d = { 0 };
	char *stasis, *program;

	if (argc < 4 || argc > 6 || !(stasis = realpath(argv[1], NULL)) || !(program = realpath(argv[2], NULL))) {
		fprintf(stderr, "usage: run-chain STASIS PROGRAM on|off [RESTART-OPTION [precopy]]\n");
		return 2;
	}
	track = !strcmp(argv[3], "on");
	d.restart_option = argv[4];
	precopy = argc == 6 && !strcmp(argv[5], "precopy");
	if (getenv("CHAIN_LINKS"))
		links = atoi(getenv("CHAIN_LINKS"));
	if (links < 4 || links > LINKS_MAX)
		links = LINKS_MAX;
	driver_init(&d, stasis, getenv("CHAIN_SECONDS") ? atoi(getenv("CHAIN_SECONDS")) : 150);
	driver_start(&d, (char *[]){ program, d.scratch, NULL });
	driver_turns(&d, 5);
	run(&d);
	driver_ask_finish(&d);
	driver_done(&d);
	driver_finish(&d);
	return 0;
}
