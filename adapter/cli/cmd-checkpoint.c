// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis checkpoint`: freezes a target into an image. */
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bwlimit-option.h"
#include "disk-option.h"
#include "hooks.h"
#include "registry.h"
#include "session.h"
#include "target.h"
#include "tcp-option.h"
#include "words.h"

struct checkpoint_args {
	struct args_common common;
	struct stasis_checkpoint_options options;
	struct hooks hooks;
	char *image, *compress, *disk, *snapshot, *tcp, *bwlimit, *track, *timeout;
	int stop, force, incremental;
};

enum { OPTION_HOOK = 1 };

static const char *const snapshot_words[] = { [STASIS_SNAPSHOT_AUTO] = "auto",
					      [STASIS_SNAPSHOT_FORK] = "fork",
					      [STASIS_SNAPSHOT_STOP] = "stop",
					      [STASIS_SNAPSHOT_PRECOPY] = "precopy",
					      NULL };

static json_t *checkpoint_json(const struct checkpoint_args *a, const struct target *t,
			       const struct stasis_checkpoint_result *r)
{
	return json_pack("{s:b, s:o, s:i, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:b, s:s, s:s?, s:b}",
			 "ok", 1, "image", words_json(a->image), "pid", (int)t->pid, "name", words_json(t->name),
			 "file_bytes", (json_int_t)r->stats.file_bytes, "page_bytes", (json_int_t)r->stats.page_bytes,
			 "zero_bytes", (json_int_t)r->stats.zero_bytes, "parent_bytes", (json_int_t)r->stats.parent_bytes, "pause_us", (json_int_t)r->pause_us,
			 "total_us", (json_int_t)r->total_us, "processes", (int)r->n_processes, "threads", (int)r->n_threads,
			 "mappings", (int)r->n_mappings, "files", (int)r->n_files, "stopped", a->stop,
			 "snapshot", snapshot_words[r->snapshot],
			 "changes_by", !a->incremental ? NULL : r->tracked ? "tracking" : "comparison", "tracking", (int)r->tracks);
}

static int checkpoint_summary(struct session *s, const struct checkpoint_args *a, const struct target *t,
			      const struct stasis_checkpoint_result *r)
{
	char size[WORDS_SIZE_ROOM], pause[WORDS_TIME_ROOM], total[WORDS_TIME_ROOM];

	if (a->common.json)
		return session_print_json(s, checkpoint_json(a, t, r));
	if (a->common.quiet || !(a->common.verbose || isatty(STDOUT_FILENO)))
		return CLI_OK;
	AUTO_FREE char *image = words_clean(a->image);
	printf("%s: %s; %s %s, %s in all\n", image ? image : "image", words_size(r->stats.file_bytes, size),
	       a->stop ? "target ended after" : "target paused for", words_time(r->pause_us, pause),
	       words_time(r->total_us, total));
	return CLI_OK;
}

/* A target that was stopped for good needs no name any more. Nothing is lost when this fails: `ps` sweeps. */
static void forget_name(const struct target *t)
{
	struct registry reg;

	if (!t->name || registry_open(NULL, false, &reg))
		return;
	registry_remove(&reg, t->name, t->pid);
	registry_close(&reg);
}

static int checkpoint_target(struct session *s, struct checkpoint_args *a, const char *word)
{
	struct stasis_checkpoint_result result = { 0 };
	struct hooks_about about = { .image = a->image, .stop = a->stop };
	struct target t = { 0 };
	int status = CLI_FAILED;

	int err = session_start_job(s);
	if (!err && a->compress)
		err = img_parse_codec(s->rep, a->compress, &a->options.codec, &a->options.level);
	if (err == -EINVAL)
		return CLI_USAGE;
	if (!err)
		err = target_find(s->rep, word, &t);
	if (!err) {
		a->options.name = about.name = t.name;
		about.pid = t.pid;
		err = hooks_run(s, &a->hooks, HOOKS_BEFORE_CHECKPOINT, &about);
	}
	if (!err)
		err = stasis_checkpoint(s->job, t.pid, &a->options, &result);
	session_mute(s);
	if (err) {
		session_explain(s, err, "cancelled; the target runs on and no image was made");
		hooks_run(s, &a->hooks, HOOKS_FAILED, &about);
		session_print_failure(s);
		status = session_failed(CLI_FAILED);
	} else {
		if (a->stop)
			forget_name(&t);
		hooks_run(s, &a->hooks, HOOKS_AFTER_CHECKPOINT, &about);
		status = checkpoint_summary(s, a, &t, &result);
	}
	target_finish(&t);
	return status;
}

static int snapshot_option(const struct cli_command *cmd, struct checkpoint_args *a)
{
	int i = STASIS_SNAPSHOT_AUTO, status = args_choice(cmd, "--snapshot", a->snapshot, snapshot_words, &i);

	a->options.snapshot = (enum stasis_snapshot)i;
	return status;
}

static int track_option(const struct cli_command *cmd, struct checkpoint_args *a)
{
	static const char *const words[] = {
		[STASIS_TRACK_AUTO] = "auto", [STASIS_TRACK_ON] = "on", [STASIS_TRACK_OFF] = "off", NULL
	};
	int i = STASIS_TRACK_AUTO, status = args_choice(cmd, "--track", a->track, words, &i);

	a->options.track = (enum stasis_track)i;
	return status;
}

static int checkpoint_words(const struct cli_command *cmd, struct checkpoint_args *a, const struct args *args)
{
	int status = args_need_words(cmd, args, 1, "the TARGET");
	uint64_t timeout_ms = 0;

	if (status < 0 && !(a->image && *a->image))
		status = args_wrong(cmd, "-o IMAGE is missing; usage: stasis checkpoint %s", cmd->usage);
	if (status < 0 && !a->options.parent != !a->incremental)
		status = args_wrong(cmd, "%s: give both --incremental and --parent IMAGE", a->incremental ? "--incremental" : "--parent");
	if (status < 0)
		status = args_time(cmd, "--timeout", a->timeout, 1, ARGS_DAY_MS, &timeout_ms);
	if (status < 0)
		status = hooks_timeout_option(cmd, &a->hooks);
	if (status < 0)
		status = disk_option(cmd, a->disk, &a->options.disk);
	if (status < 0)
		status = snapshot_option(cmd, a);
	if (status < 0)
		status = track_option(cmd, a);
	if (status < 0)
		status = tcp_option(cmd, a->tcp, &a->options.tcp);
	if (status < 0)
		status = bwlimit_option(cmd, a->bwlimit, &a->options.bwlimit);
	if (status < 0 && a->options.tcp == STASIS_TCP_REPAIR && !a->stop)
		status = args_wrong(cmd, "--tcp=repair goes with --stop only: the connections go on with a target that runs on");
	a->options.image = a->image;
	a->options.stop = a->stop;
	a->options.overwrite = a->force;
	a->options.freeze_timeout_ms = (unsigned)timeout_ms;
	return status;
}

static int checkpoint_option(const struct cli_command *cmd, int val, const char *text, void *ctx)
{
	struct checkpoint_args *a = ctx;

	return val == OPTION_HOOK ? hooks_add(cmd, &a->hooks, text) : -1;
}

static int checkpoint_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct checkpoint_args a = { .options = { .codec = IMG_CODEC_ZSTD }, .hooks = HOOKS_INIT };
	struct poptOption table[] = {
		{ "output", 'o', POPT_ARG_STRING, &a.image, 0, "the image file to be made", "IMAGE" },
		{ "stop", '\0', POPT_ARG_NONE, &a.stop, 0, "kill the target once the image is whole", NULL },
		{ "force", 'f', POPT_ARG_NONE, &a.force, 0, "replace an image of that name", NULL },
		{ "compress", '\0', POPT_ARG_STRING, &a.compress, 0,
		  "none, zlib or zstd, with a level: zstd:3 (default zstd:1)", "CODEC[:LEVEL]" },
		{ "disk", '\0', POPT_ARG_STRING, &a.disk, 0,
		  "auto: clone or copy files open for writing; copy: always copy; none: leave them out", "HOW" },
		{ "snapshot", '\0', POPT_ARG_STRING, &a.snapshot, 0,
		  "fork: write from a copy-on-write picture while the target runs on; precopy: the same, with most of its memory copied "
		  "before it is stopped; stop: it stands still; auto: what pauses it least and there is room for", "HOW" },
		{ "incremental", '\0', POPT_ARG_NONE, &a.incremental, 0, "write only what differs from the parent", NULL },
		{ "parent", '\0', POPT_ARG_STRING, &a.options.parent, 0, "the image that an incremental one begins from, and needs", "IMAGE" },
		{ "parent-dir", '\0', POPT_ARG_STRING, &a.options.parent_dir, 0, "look here first for parents of the parent", "DIR" },
		{ "tcp", '\0', POPT_ARG_STRING, &a.tcp, 0,
		  "connections to outside, with --stop. repair: they are kept in the image and go on after a restart; reset: they look reset "
		  "then (default)", "HOW" },
		BWLIMIT_OPTION(&a.bwlimit),
		{ "track", '\0', POPT_ARG_STRING, &a.track, 0,
		  "on: note from now on what the target writes to, so that an incremental image made from this one takes less time; auto: do so "
		  "with --incremental; off: compare", "HOW" },
		{ "timeout", '\0', POPT_ARG_STRING, &a.timeout, 0,
		  "give up when the threads do not stop within this time, for example 500ms (default 10s)", "TIME" },
		HOOKS_OPTIONS(&a.hooks, OPTION_HOOK),
		ARGS_JSON(&a.common),
		ARGS_TALK(&a.common),
		ARGS_HELP(&a.common),
		POPT_TABLEEND,
	};
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &a.common, checkpoint_option, &a, &args);
	if (status < 0)
		status = checkpoint_words(cmd, &a, &args);
	if (status < 0) {
		status = CLI_FAILED;
		if (!session_init(&s, cmd, &a.common, true)) {
			status = checkpoint_target(&s, &a, args.words[0]);
			session_finish(&s);
		}
	}
	args_finish(&args);
	hooks_finish(&a.hooks);
	free(a.image);
	free(a.compress);
	free(a.disk);
	free(a.snapshot);
	free((char *)(uintptr_t)a.options.parent);
	free((char *)(uintptr_t)a.options.parent_dir);
	free(a.tcp);
	free(a.bwlimit);
	free(a.track);
	return status;
}

const struct cli_command cmd_checkpoint = {
	.name = "checkpoint",
	.summary = "freeze a target into an image; it runs on",
	.usage = "TARGET -o IMAGE [OPTION...]",
	.description = "TARGET is a pid or a name (see stasis ps). It stands still for a moment only; the\n"
		       "image is written while it runs on. When anything fails, or Ctrl-C is pressed, the\n"
		       "target runs on unchanged and no image appears.\n",
	.main = checkpoint_main,
};
