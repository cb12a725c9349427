// SPDX-License-Identifier: LGPL-2.1-or-later
/* Makes checkpoint and restart fail, die or hang at each of their fault points, one after the other with the same target, and
 * sees to it that the target runs on unchanged and nothing is left behind. At the end the same target must still be good for an
 * ordinary checkpoint and restart.
 *
 * The fault points are those that report_fault() names in the sources; one that is never reached is a failure as well. */
#include "driver.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTING (16 << 10)
#define REPEATS 30
#define LIMIT_S 280 /* of the whole test; for more repeats accordingly more */

static const char *const checkpoint_points[] = {
	"checkpoint.check", "checkpoint.freeze", "checkpoint.collect", "checkpoint.snapshot",
	"checkpoint.thaw",  "checkpoint.write",  "checkpoint.commit",  "image.create",
	"image.write",      "image.fsync",       "image.rename",       NULL,
};

static const char *const precopy_points[] = { "checkpoint.precopy", "precopy.round", "precopy.pause", "shared.round", "shared.pause", NULL };

static const char *const track_points[] = { "track.look", "track.armed", NULL }; /* with --track */

static const char *const restart_points[] = {
	"restart.open",   "restart.plan",    "restart.prepare", "restart.processes", "restart.stage1",
	"restart.memory", "restart.threads", "restart.release", "restart.commit",    NULL,
};

/* How a fault point is armed, and what follows. */
enum mode {
	FAIL,      /* the point answers with an error number */
	KILL,      /* the process that comes by is killed */
	HANG_ONE,  /* it hangs, and is killed from outside; the command sees to the rest */
	HANG_BOTH, /* it hangs, and all processes of the command are killed at once */
	REPEAT,    /* no fault: many ordinary checkpoints, one after the other, for what happens once in many times */
};

static const char *const mode_names[] = { "fail", "kill", "hang-one", "hang-both", "repeat" };

struct fault {
	struct driver d;
	const char *image_dir, *image, *good;
	bool stop, still; /* --stop, --snapshot=stop */
	bool incremental; /* with `good` for the parent */
	bool precopy;     /* --snapshot=precopy */
	bool track;       /* memory is watched; the parent was made so, too */
};

/* Names and sizes of what lies in a directory, sorted, without what the driver itself writes. */
static void list(const char *path, char *out)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	size_t used = 0;

	out[0] = 0;
	for (int i = 0; i < n; i++) {
		struct stat st = { 0 };
		char full[PATH_MAX];
		const char *name = names[i]->d_name;

		snprintf(full, sizeof(full), "%s/%s", path, name);
		if (strcmp(name, ".") && strcmp(name, "..") && strncmp(name, "out.", 4) && strcmp(name, "state") &&
		    strcmp(name, "pid") && strcmp(name, "stasis") && lstat(full, &st) == 0)
			used += snprintf(out + used, LISTING - used, "%s (%o, %ld) ", name, st.st_mode,
			                 S_ISREG(st.st_mode) ? (long)st.st_size : 0);
		free(names[i]);
	}
	free(names);
}

static void arm(const char *point, enum mode mode)
{
	char text[100];

	snprintf(text, sizeof(text), "%s%s", point, mode == KILL ? "=kill" : mode == FAIL ? "" : "=hang");
	setenv("STASIS_FAULT", text, 1);
}

static bool is_pausing(pid_t pid)
{
	char path[64];
	int call = -1;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	in = fopen(path, "re");
	if (in && fscanf(in, "%d", &call) != 1)
		call = -1;
	if (in)
		fclose(in);
	return call == SYS_pause;
}

/* The process of the command that hangs at the fault point: it, a child of it, or a child of such. A new process that waits for
 * its controller pauses as well, and is deeper down than that. */
static pid_t hanging(pid_t front)
{
	pid_t level[16] = { front }, next[16];

	for (int n = 1, n_next; n; n = n_next) {
		n_next = 0;
		for (int i = 0; i < n; i++) {
			if (is_pausing(level[i]))
				return level[i];
			n_next += driver_children(level[i], next + n_next, 16 - n_next);
		}
		memcpy(level, next, sizeof(level));
	}
	return 0;
}

/* Runs the command with a fault armed; it must not succeed. */
static void run_armed(struct fault *f, const char *const *args, const char *point, enum mode mode)
{
	pid_t front, hung, children[8];
	char words[100];
	int status, n;

	arm(point, mode);
	if (mode == FAIL || mode == KILL) {
		status = driver_stasis(&f->d, args);
	} else {
		front = driver_stasis_begin(&f->d, args);
		/* On a busy machine the way to the fault point takes its time. */
		hung = 0;
		for (int i = 0; i < 50 && !hung; i++) {
			status = driver_wait(front, 400);
			if (status != -1)
				driver_fail(&f->d, "%s: the fault point is not reached, or does not hang (wait status %x)",
				            point, status);
			hung = hanging(front);
		}
		n = driver_children(front, children, 8);
		if (!hung)
			driver_fail(&f->d, "%s: stasis %s does not end, and nobody hangs at the fault point", point, args[0]);
		if (mode == HANG_BOTH) {
			kill(front, SIGKILL);
			while (n)
				kill(children[--n], SIGKILL);
		} else {
			kill(hung, SIGKILL);
		}
		status = driver_wait(front, 20000);
		if (status == -1)
			driver_fail(&f->d, "%s: pid %d, which hung, was killed, and stasis %s (pid %d) does not end", point,
			            hung, args[0], front);
	}
	unsetenv("STASIS_FAULT");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		driver_fail(&f->d, "%s: stasis %s succeeds although this fault point is armed: is it reached?", point, args[0]);
	snprintf(words, sizeof(words), "fault point %s", point);
	if (mode == FAIL && !strstr(driver_output(&f->d), words))
		driver_fail(&f->d, "stasis %s does not say \"%s\"", args[0], words);
	if (mode == FAIL && !WIFEXITED(status))
		driver_fail(&f->d, "%s: stasis %s died (wait status %x)", point, args[0], status);
}

static void good_checkpoint(struct fault *f, bool stop);

/* Nobody watches the target's memory when there is no keeper, and there is one at most. */
static void check_watch(struct fault *f, const char *point)
{
	int keepers = driver_keepers();
	char path[64], line[1024];
	bool watched = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/smaps", f->d.pid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in))
		watched |= !strncmp(line, "VmFlags:", 8) && strstr(line, " uw");
	if (in)
		fclose(in);
	if (keepers > 1 || watched != keepers)
		driver_fail(&f->d, "%s: %d keepers, and the target's memory is %swatched", point, keepers, watched ? "" : "not ");
}

static void try_checkpoint(struct fault *f, const char *point, enum mode mode)
{
	char pid[16], listing[LISTING];

	if (f->track && f->incremental)
		good_checkpoint(f, false);

	snprintf(pid, sizeof(pid), "%d", f->d.pid);
	const char *args[13] = { "checkpoint", pid, "-o", f->image };
	int n = 4;
	if (f->stop || f->still)
		args[n++] = f->stop ? "--stop" : "--snapshot=stop";
	if (f->precopy)
		args[n++] = "--snapshot=precopy";
	if (f->incremental) {
		args[n++] = "--incremental";
		args[n++] = "--parent";
		args[n++] = f->good;
	}
	if (f->track)
		args[n++] = "--track=on";
	run_armed(f, args, point, mode);
	driver_turns(&f->d, 5);
	driver_alone(&f->d);
	if (f->track)
		check_watch(f, point);
	if (driver_tracer(&f->d))
		driver_fail(&f->d, "%s: the target is still traced by pid %d", point, driver_tracer(&f->d));
	list(f->image_dir, listing);
	if (listing[0])
		driver_fail(&f->d, "%s: something is left where the image was to be: %s", point, listing);
	driver_turns(&f->d, 25);
}

static void good_checkpoint(struct fault *f, bool stop)
{
	char pid[16];
	int status;

	snprintf(pid, sizeof(pid), "%d", f->d.pid);
	status = driver_stasis(&f->d, (const char *[]){ "checkpoint", pid, "-o", f->good, "--force", f->track ? "--track=on" : "--track=off",
	                                                 stop ? "--stop" : f->precopy ? "--snapshot=precopy" : NULL, NULL });
	if (status && f->precopy && strstr(driver_output(&f->d), "Linux 6.7"))
		driver_skip(&f->d, "the kernel does not note what is written to");
	if (status)
		driver_fail(&f->d, "an ordinary checkpoint (command %d): wait status %x", f->d.n_runs, status);
	if (stop)
		driver_gone(&f->d);
	else
		driver_turns(&f->d, 2);
}

/* It is whole after all this, and no longer needed. */
static void check_parent(struct fault *f)
{
	int status = driver_stasis(&f->d, (const char *[]){ "verify", f->good, NULL });

	if (status)
		driver_fail(&f->d, "the parent is damaged: wait status %x", status);
	unlink(f->good);
}

static void good_restart(struct fault *f)
{
	const char *pidfile = driver_path(&f->d, "pid");
	int status;

	unlink(pidfile);
	status = driver_stasis(&f->d, (const char *[]){ "restart", f->good, "--detach", "--pidfile", pidfile, NULL });
	if (status)
		driver_fail(&f->d, "an ordinary restart after all this: wait status %x", status);
	driver_adopt(&f->d, pidfile);
	driver_turns(&f->d, 30);
}

static void try_restart(struct fault *f, const char *point, enum mode mode)
{
	const char *pidfile = driver_path(&f->d, "pid");
	char before[LISTING], after[LISTING];
	uint64_t turns;

	driver_look(&f->d);
	turns = f->d.turns;
	list(f->d.scratch, before);
	unlink(pidfile);
	/* In the foreground where it hangs, so that the processes of the command are below us. */
	run_armed(f,
	          (const char *[]){ "restart", f->good, "--pidfile", pidfile, mode == FAIL || mode == KILL ? "--detach" : NULL,
	                            NULL },
	          point, mode);
	driver_alone(&f->d);
	driver_look(&f->d);
	if (f->d.turns != turns)
		driver_fail(&f->d, "%s: the target ran although its restart failed", point);
	list(f->d.scratch, after);
	if (mode == FAIL && strcmp(before, after))
		driver_fail(&f->d, "%s: files before: %s after: %s", point, before, after);
	if (mode == FAIL && access(pidfile, F_OK) == 0)
		driver_fail(&f->d, "%s: there is a pid file", point);
}

static void finish(struct fault *f)
{
	driver_ask_finish(&f->d);
	driver_done(&f->d);
	if (f->d.child)
		driver_wait(f->d.child, 5000);
	f->d.child = f->d.pid = 0;
	driver_finish(&f->d);
}

static void usage(void)
{
	fprintf(stderr, "usage: run-fault --stasis PATH --mode fail|kill|hang-one|hang-both|repeat [--repeats N] [--stop | --still] [--incremental] [--track] [--precopy] "
	                "checkpoint|restart WITNESS\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stasis", 1, 0, 's' }, { "mode", 1, 0, 'm' }, { "stop", 0, 0, 'k' }, { "still", 0, 0, 'S' }, { "keep", 0, 0, 'K' }, { "incremental", 0, 0, 'i' },
		{ "track", 0, 0, 't' }, { "precopy", 0, 0, 'p' }, { "repeats", 1, 0, 'r' }, {}
	};
	static char start[LISTING], before[LISTING], after[LISTING];
	struct fault f = { 0 };
	const char *stasis = NULL;
	char *witness;
	int c, mode = -1, repeats = REPEATS;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			stasis = realpath(optarg, NULL);
		else if (c == 'k')
			f.stop = true;
		else if (c == 'S')
			f.still = true;
		else if (c == 'K')
			f.d.keep = true;
		else if (c == 'i')
			f.incremental = true;
		else if (c == 't')
			f.track = true;
		else if (c == 'p')
			f.precopy = true;
		else if (c == 'r')
			repeats = atoi(optarg);
		else if (c == 'm')
			for (mode = REPEAT; mode >= 0 && strcmp(optarg, mode_names[mode]); mode--)
				;
		else
			usage();
	}
	if (optind + 2 != argc || !stasis || mode < 0 || repeats < 1 || !(witness = realpath(argv[optind + 1], NULL)))
		usage();
	driver_init(&f.d, stasis, repeats > REPEATS ? LIMIT_S * repeats / REPEATS : LIMIT_S);
	f.image_dir = driver_path(&f.d, "images");
	mkdir(f.image_dir, 0700);
	f.image = driver_path(&f.d, "images/armed.stasis");
	f.good = driver_path(&f.d, "good.stasis");
	if (mode == HANG_BOTH) /* what is left is taken away by the next checkpoint, when that comes */
		setenv("WITNESS_PATIENCE", "20000", 1);
	driver_start(&f.d, (char *[]){ witness, f.d.scratch, NULL });
	driver_turns(&f.d, 5);
	if (mode == REPEAT) {
		for (int i = 0; i < repeats; i++) {
			good_checkpoint(&f, false);
			unlink(f.good);
		}
		good_checkpoint(&f, true);
	} else if (strcmp(argv[optind], "checkpoint") == 0) {
		if (f.incremental || f.precopy)
			good_checkpoint(&f, false);
		for (const char *const *point = checkpoint_points; *point; point++)
			try_checkpoint(&f, *point, mode);
		for (const char *const *point = track_points; f.track && *point; point++)
			try_checkpoint(&f, *point, mode);
		for (const char *const *point = precopy_points; f.precopy && *point; point++)
			try_checkpoint(&f, *point, mode);
		if (f.incremental || f.precopy)
			check_parent(&f);
		good_checkpoint(&f, true);
	} else {
		good_checkpoint(&f, true);
		list(f.d.scratch, start);
		for (const char *const *point = restart_points; *point; point++)
			try_restart(&f, *point, mode);
	}
	list(f.d.scratch, before);
	good_restart(&f);
	list(f.d.scratch, after);
	/* What a killed restart could not clear away, the next one does. */
	if (strcmp(argv[optind], "restart") == 0 && strcmp(start, after))
		driver_fail(&f.d, "files at first: %s, before the good restart: %s, after it: %s", start, before, after);
	finish(&f);
	return 0;
}
