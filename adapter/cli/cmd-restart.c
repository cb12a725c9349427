// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis restart`: starts an image again and stays as the target's parent, in the foreground or detached. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "clones.h"
#include "detach.h"
#include "every.h"
#include "foreground.h"
#include "map-file.h"
#include "pidfile.h"
#include "process.h"
#include "registry.h"
#include "restart-plan.h"
#include "session.h"
#include "tcp-option.h"
#include "words.h"

enum { OPTION_MAP = 1, OPTION_MAP_FILE, OPTION_HOOK };

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

struct handing {
	struct session *s;
	struct restart_args *a;
	struct foreground *fg;
	struct hooks_about about; /* for the reconnect hooks */
	struct findings found;
	char *had_name; /* the target's when it was checkpointed, if hooks had to be told */
};

/* All is in place, and it can still be taken back. */
static int restart_reconnect(void *ctx, pid_t pid)
{
	struct handing *h = ctx;

	h->about.pid = pid;
	int err = hooks_run(h->s, &h->a->hooks, HOOKS_RECONNECT, &h->about);
	return err ? err : clones_gate(h->a, h->s->rep);
}

/* From here on the terminal is the target's. */
static void restart_before_release(void *ctx, pid_t pid)
{
	struct handing *h = ctx;

	session_mute(h->s);
	foreground_give(h->fg, pid);
}

/* In the foreground the target's signals and terminal must not wait for hooks, so a process of its own calls them: its pid, to
 * be waited for. Detached we say that all is done when it is. */
static pid_t announce(struct session *s, const struct restart_args *a, const struct hooks_about *about)
{
	if (!a->hooks.programs.n)
		return 0;
	fflush(NULL);
	pid_t pid = a->detach ? -1 : fork();
	if (pid <= 0)
		hooks_run(s, &a->hooks, HOOKS_AFTER_RESTART, about);
	if (pid == 0) {
		fflush(NULL);
		_exit(0);
	}
	return pid;
}

/* What a foreground `restart` would die with is of no use to anybody when it is detached. */
static int restart_attend(struct handing *h, const struct stasis_restarted *target, struct detach *d, const char *name,
			  pid_t hooks)
{
	int wait_status = 0;

	detach_done(d, CLI_OK);
	int err = foreground_wait(h->fg, h->s->rep, target, h->a->stopped, &wait_status);
	foreground_finish(h->fg);
	if (target->last_words && *target->last_words)
		report_fail(h->s->rep, -EIO, "the target was killed: %s", target->last_words);
	restart_forget(name, target->pid);
	if (hooks > 0)
		while (waitpid(hooks, NULL, 0) < 0 && errno == EINTR)
			;
	if (err)
		return CLI_NOT_STARTED;
	return h->a->detach ? CLI_OK : foreground_status(wait_status);
}

/* The target runs. Returns the exit status, after its end. */
static int restart_done(struct handing *h, struct stasis_restarted *target, struct detach *d)
{
	AUTO_FREE char *name = NULL;
	struct hooks_about about = { .image = h->about.image, .pid = target->pid };

	clones_tell(h->a, target->pid);
	warn_unused_maps(h->s, &h->a->map);
	restart_register(h->s, h->a, about.image, target, &name);
	restart_say(h->a, target, name);
	about.name = name;
	pid_t hooks = announce(h->s, h->a, &about);
	return restart_attend(h, target, d, name, hooks);
}

/* Everything up to the release. On failure nothing is left. */
static int restart_make(struct handing *h, struct stasis_restart_options *options, struct stasis_restarted *ret)
{
	struct restart_args *a = h->a;
	int err = check_name(h->s, a->name);

	if (!err && a->pidfile)
		err = pidfile_check(h->s->rep, a->pidfile);
	if (!err)
		err = restart_plan_ask_hooks(h->s, a, options, &h->had_name);
	h->about.name = a->name ? a->name : h->had_name;
	if (err)
		return err;
	foreground_init(h->fg, a->detach);
	options->findings = &h->found;
	options->reconnect = restart_reconnect;
	options->before_release = restart_before_release;
	options->ctx = h;
	err = stasis_restart(h->s->job, options, ret);
	if (err || !a->pidfile || !(err = pidfile_write(h->s->rep, a->pidfile, ret->pid)))
		return err;
	if (ret->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, ret->pidfd, SIGKILL, NULL, 0);
	foreground_wait(h->fg, h->s->rep, ret, false, &(int){ 0 });
	stasis_restarted_finish(ret);
	return err;
}

static int restart_image(struct session *s, struct restart_args *a, struct stasis_restart_options *options, struct detach *d)
{
	struct stasis_restarted target = { .pidfd = -1, .status_fd = -1 };
	struct foreground fg = { .tty = -1 };
	struct handing h = { .s = s, .a = a, .fg = &fg };
	int status;

	h.about = (struct hooks_about){ .image = options->image, .findings = &h.found, .map = &a->map };
	int err = restart_make(&h, options, &target);
	session_mute(s);
	if (err) {
		session_explain(s, err, "cancelled; nothing was started");
		foreground_finish(&fg);
		hooks_run(s, &a->hooks, HOOKS_FAILED, &(struct hooks_about){ .image = options->image, .name = h.about.name });
		status = session_failed(CLI_NOT_STARTED);
	} else {
		status = restart_done(&h, &target, d);
		stasis_restarted_finish(&target);
	}
	foreground_finish(&fg);
	findings_finish(&h.found);
	free(h.had_name);
	return status;
}

/* ---- the command line ---- */

static void option_message(void *ctx, enum report_level level, const char *text)
{
	(void)level;
	args_wrong(ctx, "%s", text);
}

static int restart_option(const struct cli_command *cmd, int val, const char *text, void *ctx)
{
	struct report_sink sink = { .message = option_message, .ctx = (void *)cmd };
	struct restart_args *a = ctx;
	struct reporter rep;
	int err = 0;

	if (val == OPTION_HOOK)
		return hooks_add(cmd, &a->hooks, text);
	if (!text)
		return -1;
	report_init(&rep, &sink, REPORT_ERROR);
	if (val == OPTION_MAP)
		err = resource_map_add(&a->map, &rep, text);
	else if (val == OPTION_MAP_FILE)
		err = map_file_read(&rep, text, &a->map);
	if (err && !rep.first_error)
		args_wrong(cmd, "out of memory");
	report_finish(&rep);
	return err ? CLI_USAGE : -1;
}

static int restart_clone_words(const struct cli_command *cmd, const struct restart_args *a)
{
	if (!a->clones)
		return -1;
	if (!a->detach || a->host_pids || a->plan)
		return args_wrong(cmd, "--clones goes with --detach, and not with --host-pids or --plan");
	if (a->clones > 1 && a->pidfile && !strstr(a->pidfile, "{n}"))
		return args_wrong(cmd, "--pidfile %s: with --clones its name must have {n} in it, which becomes the clone's number", a->pidfile);
	AUTO_FREE char *last = a->name ? clones_word(a->name, (unsigned)a->clones) : NULL;
	if (last && !registry_name_valid(last))
		return args_wrong(cmd, "--name %s: " REGISTRY_NAME_RULE, last, REGISTRY_NAME_MAX);
	if (last && a->clones > 1 && !strstr(a->name, "{n}"))
		return args_wrong(cmd, "--name %s: with --clones it must have {n} in it, which becomes the clone's number", a->name);
	return -1;
}

static int restart_usb_wait(const struct cli_command *cmd, const char *text, struct stasis_restart_options *options)
{
	uint64_t ms = 0;
	int status = args_time(cmd, "--usb-wait", text, 1, ARGS_DAY_MS, &ms);

	options->wait_ms = (unsigned)ms;
	return status;
}

/* What is said of `options`, by words whose order is that of the enums. */
static int restart_choices(const struct cli_command *cmd, const struct restart_args *a, struct stasis_restart_options *options)
{
	static const char *const disks[] = { [STASIS_DISK_REVERT_AUTO] = "auto", [STASIS_DISK_REVERT_ALWAYS] = "revert",
					     [STASIS_DISK_REVERT_KEEP] = "keep", NULL };
	static const char *const clocks[] = { [STASIS_CLOCK_CONTINUE] = "continue", [STASIS_CLOCK_REALTIME] = "realtime", NULL };
	static const char *const ways[] = { [STASIS_LAZY_AUTO] = "auto", [STASIS_LAZY_ON] = "on", [STASIS_LAZY_OFF] = "off", NULL };
	int disk = (int)options->disk, clock = (int)options->clock, lazy = (int)options->lazy;
	int status = args_choice(cmd, "--disk", a->disk, disks, &disk);

	if (status < 0)
		status = args_choice(cmd, "--clock", a->clock, clocks, &clock);
	if (status < 0)
		status = args_choice(cmd, "--lazy", a->lazy, ways, &lazy);
	options->disk = disk;
	options->clock = clock;
	options->lazy = lazy;
	return status;
}

static int restart_words(const struct cli_command *cmd, struct restart_args *a, const struct args *args,
			 struct stasis_restart_options *options)
{
	int status = args_need_words(cmd, args, 1, "the IMAGE");

	if (status < 0)
		status = restart_choices(cmd, a, options);
	if (status < 0)
		status = restart_usb_wait(cmd, a->usb_wait, options);
	if (status < 0)
		status = tcp_option(cmd, a->tcp, &options->tcp);
	if (status < 0)
		status = hooks_timeout_option(cmd, &a->hooks);
	if (status < 0 && a->common.json && !a->plan)
		status = args_wrong(cmd, "--json goes with --plan: a restarted target has the standard output for itself");
	if (status < 0 && a->plan && (a->detach || a->pidfile))
		status = args_wrong(cmd, "--plan starts nothing, so it does not go with --detach or --pidfile");
	if (status < 0)
		status = restart_clone_words(cmd, a);
	if (status < 0 && a->name && !a->clones && !registry_name_valid(a->name))
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
		status = detach_start(s.rep, a->clone ? &a->clone_gate : NULL, &d);
	if (status < 0) {
		if (session_start_job(&s))
			status = CLI_NOT_STARTED;
		else if (a->plan)
			status = restart_plan_show(&s, a, options);
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
	struct restart_args a = { .hooks = HOOKS_INIT, .clones = INT_MIN };
	struct stasis_restart_options options = { .map = &a.map };
	struct poptOption table[] = {
		{ "detach", 'd', POPT_ARG_NONE, &a.detach, 0,
		  "return once the target runs; stasis stays behind as its parent", NULL },
		{ "pidfile", '\0', POPT_ARG_STRING, &a.pidfile, 0,
		  "write the pid of the target's first process there", "FILE" },
		{ "map", '\0', POPT_ARG_STRING, NULL, OPTION_MAP,
		  "use NEW where the image says OLD: file:/a=/b, socket:tcp:5900=5901; can be repeated", "KIND:OLD=NEW" },
		{ "map-file", '\0', POPT_ARG_STRING, NULL, OPTION_MAP_FILE,
		  "the same, a line KIND:OLD=NEW each, # for comments; can be repeated, later entries override", "FILE" },
		HOOKS_OPTIONS(&a.hooks, OPTION_HOOK),
		{ "name", 'n', POPT_ARG_STRING, &a.name, 0, "the target's name (default: the one it had)", "NAME" },
		{ "disk", '\0', POPT_ARG_STRING, &a.disk, 0,
		  "auto: disks get back the contents of the checkpoint; revert: other files at that path, too; "
		  "keep: use them as they are", "HOW" },
		{ "clock", '\0', POPT_ARG_STRING, &a.clock, 0,
		  "continue: the target's clocks, and a guest's, go on from the checkpoint; realtime: they jump by the time since", "HOW" },
		{ "lazy", '\0', POPT_ARG_STRING, &a.lazy, 0,
		  "on: the target runs while its memory is still being read; off: it waits; auto: on where that pays and is possible", "HOW" },
		{ "clones", '\0', POPT_ARG_INT, &a.clones, 0,
		  "restart it N times at once; {n} in --map, --pidfile and --name becomes the number of the clone, from 1", "N" },
		{ "parent-dir", '\0', POPT_ARG_STRING, &options.parent_dir, 0, "look here first for parents of an incremental image", "DIR" },
		{ "tcp", '\0', POPT_ARG_STRING, &a.tcp, 0,
		  "connections that the image has kept: repair: they go on (default), and all must; reset: they look reset", "HOW" },
		{ "usb-wait", '\0', POPT_ARG_STRING, &a.usb_wait, 0, "wait so long for USB devices that are not there yet, for example 30s or 2m", "TIME" },
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
	if (a.clones == INT_MIN)
		a.clones = 0;
	else if (status < 0 && (a.clones < 1 || a.clones > CLONES_MAX))
		status = args_wrong(cmd, "--clones %d: give a number from 1 to %d", a.clones, CLONES_MAX);
	if (status < 0)
		status = restart_words(cmd, &a, &args, &options);
	if (status < 0) {
		options.image = args.words[0];
		options.host_pids = a.host_pids;
		options.stopped = a.stopped;
		status = a.clones ? clones_start(cmd, &a, &options, restart_start) : restart_start(cmd, &a, &options);
	}
	args_finish(&args);
	resource_map_finish(&a.map);
	hooks_finish(&a.hooks);
	free(a.pidfile);
	free(a.disk);
	free(a.clock);
	free(a.lazy);
	free((char *)(uintptr_t)options.parent_dir);
	free(a.tcp);
	free(a.usb_wait);
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
