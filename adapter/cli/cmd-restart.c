// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis restart`: starts an image again and stays as the target's parent, in the foreground or detached. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "detach.h"
#include "findings-view.h"
#include "foreground.h"
#include "pidfile.h"
#include "process.h"
#include "registry.h"
#include "session.h"
#include "words.h"

struct restart_args {
	struct args_common common;
	struct resource_map map;
	char *clock, *pidfile, *disk, *name;
	int detach, host_pids, plan, stopped;
};

enum { OPTION_MAP = 1 };

/* ---- the name ---- */

/* A name that the user asks for must be free before anything is started. */
static int check_name(struct session *s, const char *name)
{
	struct registry_entry holder;
	struct registry reg;

	if (!name)
		return 0;
	int err = registry_open(s->rep, true, &reg);
	if (err)
		return err;
	err = registry_find(&reg, name, &holder);
	if (!err) {
		err = report_fail(s->rep, -EEXIST, "the name %s is taken by pid %d; choose another --name", name, holder.pid);
		registry_entry_finish(&holder);
	} else if (err == -ENOENT) {
		err = 0;
	}
	registry_close(&reg);
	return err;
}

/* Registers the target under the name the user gave, else the one in the image, else its program's. A target without a name can
 * still be reached by its pid, so a fault here is said and no more. */
static void restart_register(struct session *s, const struct restart_args *a, const char *image,
			     const struct stasis_restarted *target, char **ret_name)
{
	struct registry_entry entry = { .keeper = getpid() };
	AUTO_FREE char *program = NULL;
	const char *wanted = a->name ? a->name : target->name;
	struct registry reg;

	if (registry_open(s->rep, true, &reg))
		return;
	if (!process_program(target->pid, &program) && !process_command(target->pid, &entry.command) &&
	    !registry_identify(target->pid, &entry)) {
		entry.name = wanted && registry_name_valid(wanted) ? strdup(wanted) : registry_name_from(program);
		entry.image = realpath(image, NULL);
		if (entry.name && !registry_add(&reg, &entry, true)) {
			if (wanted && strcmp(wanted, entry.name))
				report_warn(s->rep, "the name %s is taken; the target is called %s", wanted, entry.name);
			*ret_name = STEAL_PTR(entry.name);
		}
	}
	registry_entry_finish(&entry);
	registry_close(&reg);
}

static void restart_forget(const char *name, pid_t pid)
{
	struct registry reg;

	if (!name || registry_open(NULL, false, &reg))
		return;
	registry_remove(&reg, name, pid);
	registry_close(&reg);
}

/* ---- the plan ---- */

static int restart_plan(struct session *s, struct stasis_restart_options *options)
{
	struct findings found = { 0 };
	struct stasis_restarted none = { .pidfd = -1, .status_fd = -1 };
	int status = CLI_FAILED;

	options->plan_only = true;
	options->findings = &found;
	int err = stasis_restart(s->job, options, &none);
	/* Obstacles may come as an error as well: they are what was asked for. */
	if (err && !found.obstacles) {
		session_explain(s, err, "cancelled");
		session_print_failure(s);
	} else if (s->json) {
		status = session_print_json(s, json_pack("{s:b, s:o, s:I, s:o}", "ok", !found.obstacles, "image",
							 words_json(options->image), "obstacles",
							 (json_int_t)found.obstacles, "findings", findings_json(&found)));
	} else {
		status = findings_print(&found, options->image, "restarted here", stdout) ? CLI_FAILED : CLI_OK;
	}
	if (found.obstacles)
		status = CLI_FAILED;
	findings_finish(&found);
	return session_failed(status);
}

/* ---- the restart ---- */

static void warn_unused_maps(struct session *s, const struct resource_map *map)
{
	vec_each(&map->list, it)
		if (!it->used)
			report_warn(s->rep, "--map %s:%s=%s was not needed: the image has no such %s", it->kind, it->from,
				    it->to, it->kind);
}

static void restart_say(const struct restart_args *a, const struct stasis_restarted *target, const char *name)
{
	char time[WORDS_TIME_ROOM];
	const char *let_go = a->stopped ? "; it is stopped, kill -CONT lets it go" : "";

	if (a->common.quiet || !(a->common.verbose || (a->detach && isatty(STDOUT_FILENO))))
		return;
	/* Not in the foreground's standard output: that is the target's. */
	fprintf(a->detach ? stdout : stderr, "%s%spid %d%s restarted in %s%s\n", name ? name : "", name ? " (" : "",
		target->pid, name ? ")" : "", words_time(target->total_us, time), let_go);
	fflush(stdout);
}

static void restarted_finish(struct stasis_restarted *target)
{
	if (target->pidfd >= 0)
		close(target->pidfd);
	close(target->status_fd);
	free(target->name);
}

/* What a foreground `restart` would die with is of no use to anybody when it is detached. */
static int restart_attend(struct session *s, struct foreground *fg, const struct restart_args *a, struct detach *d,
			  const struct stasis_restarted *target, const char *name)
{
	int wait_status = 0;

	detach_done(d, CLI_OK);
	int err = foreground_wait(fg, s->rep, target, a->stopped, &wait_status);
	foreground_finish(fg);
	restart_forget(name, target->pid);
	if (err)
		return CLI_NOT_STARTED;
	return a->detach ? CLI_OK : foreground_status(wait_status);
}

struct handing {
	struct session *s;
	struct foreground *fg;
};

/* From here on the terminal is the target's. */
static void restart_before_release(void *ctx, pid_t pid)
{
	struct handing *h = ctx;

	session_mute(h->s);
	foreground_give(h->fg, pid);
}

static int restart_image(struct session *s, struct restart_args *a, struct stasis_restart_options *options, struct detach *d)
{
	struct stasis_restarted target = { .pidfd = -1, .status_fd = -1 };
	AUTO_FREE char *name = NULL;
	struct foreground fg;
	int status = CLI_NOT_STARTED;

	int err = check_name(s, a->name);
	if (!err && a->pidfile)
		err = pidfile_check(s->rep, a->pidfile);
	if (err)
		return status;
	foreground_init(&fg, a->detach);
	struct handing h = { s, &fg };
	options->before_release = restart_before_release;
	options->ctx = &h;
	err = stasis_restart(s->job, options, &target);
	session_mute(s);
	if (err) {
		session_explain(s, err, "cancelled; nothing was started");
		status = session_failed(CLI_NOT_STARTED);
	} else if (a->pidfile && pidfile_write(s->rep, a->pidfile, target.pid)) {
		if (target.pidfd >= 0)
			syscall(SYS_pidfd_send_signal, target.pidfd, SIGKILL, NULL, 0);
		foreground_wait(&fg, s->rep, &target, false, &(int){ 0 });
		restarted_finish(&target);
	} else {
		warn_unused_maps(s, &a->map);
		restart_register(s, a, options->image, &target, &name);
		restart_say(a, &target, name);
		status = restart_attend(s, &fg, a, d, &target, name);
		restarted_finish(&target);
	}
	foreground_finish(&fg);
	return status;
}

/* ---- the command line ---- */

static int restart_option(const struct cli_command *cmd, int val, const char *text, void *ctx)
{
	struct restart_args *a = ctx;
	struct reporter rep;
	int err = -EINVAL;

	if (val != OPTION_MAP || !text)
		return -1;
	report_init(&rep, NULL, REPORT_ERROR);
	err = resource_map_add(&a->map, &rep, text);
	if (err)
		args_wrong(cmd, "%s", rep.first_error ? rep.first_error : "out of memory");
	report_finish(&rep);
	return err ? CLI_USAGE : -1;
}

static int restart_words(const struct cli_command *cmd, const struct restart_args *a, const struct args *args,
			 struct stasis_restart_options *options)
{
	static const char *const disks[] = { [STASIS_DISK_REVERT_AUTO] = "auto", [STASIS_DISK_REVERT_ALWAYS] = "revert",
					     [STASIS_DISK_REVERT_KEEP] = "keep", NULL };
	int status = args_need_words(cmd, args, 1, "the IMAGE");

	if (status < 0 && a->disk) {
		int disk = args_choice(cmd, "--disk", a->disk, disks);
		if (disk < 0)
			return CLI_USAGE;
		options->disk = disk;
	}
	if (status < 0 && a->clock) {
		static const char *const clocks[] = { [STASIS_CLOCK_CONTINUE] = "continue", [STASIS_CLOCK_REALTIME] = "realtime", NULL };
		int clock = args_choice(cmd, "--clock", a->clock, clocks);
		if (clock < 0)
			return CLI_USAGE;
		options->clock = clock;
	}
	if (status < 0 && a->common.json && !a->plan)
		status = args_wrong(cmd, "--json goes with --plan: a restarted target has the standard output for itself");
	if (status < 0 && a->plan && (a->detach || a->pidfile))
		status = args_wrong(cmd, "--plan starts nothing, so it does not go with --detach or --pidfile");
	if (status < 0 && a->name && !registry_name_valid(a->name))
		status = args_wrong(cmd, "--name %s: " REGISTRY_NAME_RULE, a->name, REGISTRY_NAME_MAX);
	return status;
}

static int restart_start(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options)
{
	struct detach d = { .fd = -1 };
	struct session s;
	int status = -1;

	if (session_init(&s, cmd, &a->common, true))
		return CLI_NOT_STARTED;
	if (a->detach)
		status = detach_start(s.rep, &d);
	if (status < 0) {
		if (session_start_job(&s))
			status = CLI_NOT_STARTED;
		else if (a->plan)
			status = restart_plan(&s, options);
		else
			status = restart_image(&s, a, options, &d);
		session_mute(&s);
		detach_done(&d, status);
	}
	session_finish(&s);
	return status;
}

static int restart_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct restart_args a = { 0 };
	struct stasis_restart_options options = { .map = &a.map };
	struct poptOption table[] = {
		{ "detach", 'd', POPT_ARG_NONE, &a.detach, 0,
		  "return once the target runs; stasis stays behind as its parent", NULL },
		{ "pidfile", '\0', POPT_ARG_STRING, &a.pidfile, 0,
		  "write the pid of the target's first process there", "FILE" },
		{ "map", '\0', POPT_ARG_STRING, NULL, OPTION_MAP,
		  "use NEW where the image says OLD: file:/a=/b, socket:tcp:5900=5901; can be repeated", "KIND:OLD=NEW" },
		{ "name", 'n', POPT_ARG_STRING, &a.name, 0, "the target's name (default: the one it had)", "NAME" },
		{ "disk", '\0', POPT_ARG_STRING, &a.disk, 0,
		  "auto: disks get back the contents of the checkpoint; revert: other files at that path, too; "
		  "keep: use them as they are", "HOW" },
		{ "clock", '\0', POPT_ARG_STRING, &a.clock, 0,
		  "continue: the target's clocks, and a guest's, go on from the checkpoint; realtime: they jump by the time since", "HOW" },
		{ "host-pids", '\0', POPT_ARG_NONE, &a.host_pids, 0,
		  "no pid namespace of its own; the old pids must be free", NULL },
		{ "stopped", '\0', POPT_ARG_NONE, &a.stopped, 0, "leave the target stopped, for a debugger", NULL },
		{ "plan", '\0', POPT_ARG_NONE, &a.plan, 0, "only say what is needed here and whether it is there", NULL },
		{ "json", '\0', POPT_ARG_NONE, &a.common.json, 0, "print the plan as JSON", NULL },
		ARGS_TALK(&a.common),
		ARGS_HELP(&a.common),
		POPT_TABLEEND,
	};
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &a.common, restart_option, &a, &args);
	if (status < 0)
		status = restart_words(cmd, &a, &args, &options);
	if (status < 0) {
		options.image = args.words[0];
		options.host_pids = a.host_pids;
		options.stopped = a.stopped;
		status = restart_start(cmd, &a, &options);
	}
	args_finish(&args);
	resource_map_finish(&a.map);
	free(a.pidfile);
	free(a.disk);
	free(a.clock);
	free(a.name);
	return status;
}

const struct cli_command cmd_restart = {
	.name = "restart",
	.summary = "start an image again",
	.usage = "IMAGE [OPTION...]",
	.description = "In the foreground it behaves like the program itself: terminal, signals, exit\n"
		       "status. It is the target's parent and must stay: kill -9 of it ends the target.\n"
		       "Ends with 125 when the restart failed.\n",
	.main = restart_main,
};
