// SPDX-License-Identifier: LGPL-2.1-or-later
/* The hooks of one command: puts their messages together, calls them, reads what plan hooks answer. */
#include "hooks.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "hook.h"
#include "plan-view.h"
#include "words.h"


static const struct {
	const char *name;
	bool optional;
	const char *outcome;
} events[] = {
	[HOOKS_BEFORE_CHECKPOINT] = { "before-checkpoint", false, "the target runs on and no image was made" },
	[HOOKS_AFTER_CHECKPOINT] = { "after-checkpoint", true, "the image was made all the same" },
	[HOOKS_PLAN] = { "plan", false, "nothing was started" },
	[HOOKS_RECONNECT] = { "reconnect", false, "nothing was started" },
	[HOOKS_AFTER_RESTART] = { "after-restart", true, "the target runs all the same" },
	[HOOKS_FAILED] = { "failed", true, NULL },
};

int hooks_add(const struct cli_command *cmd, struct hooks *h, const char *program)
{
	char *copy = program ? strdup(program) : NULL;

	if (program && !*program) {
		free(copy);
		return args_wrong(cmd, "--hook: name the program to be called");
	}
	if (!copy || vec_push(&h->programs, copy)) {
		free(copy);
		return args_wrong(cmd, "out of memory");
	}
	return -1;
}

int hooks_timeout_option(const struct cli_command *cmd, struct hooks *h)
{
	return args_time(cmd, "--hook-timeout", h->timeout, 1000, ARGS_DAY_MS, &h->timeout_ms);
}

void hooks_finish(struct hooks *h)
{
	vec_each(&h->programs, it)
		free(*it);
	vec_finish(&h->programs);
}

/* ---- what they are told ---- */

static json_t *errors_json(const struct session *s)
{
	AUTO_FREE char *all = malloc(s->shared->used + 1);
	char *out = all;

	if (!all)
		return NULL;
	for (const char *p = s->shared->errors; p < s->shared->errors + s->shared->used; p += strlen(p) + 1)
		out += sprintf(out, "%s%s", p == s->shared->errors ? "" : "\n", p);
	*out = '\0';
	return words_json(all);
}

static json_t *hooks_message(const struct session *s, const struct hooks *h, enum hooks_event event, const struct hooks_about *about)
{
	bool restart = !strcmp(s->cmd->name, "restart");
	json_t *m = json_pack("{s:s, s:s, s:s, s:o, s:{s:o, s:o}}", "event", events[event].name, "command", s->cmd->name,
	                      "stasis", STASIS_VERSION, "image", words_json(about->image), "target", "name",
	                      words_json(about->name), "pid", about->pid > 0 ? json_integer(about->pid) : json_null());
	int err = 0;

	if (!m)
		return NULL;
	if (!restart)
		err |= json_object_set_new(m, "stop", json_boolean(about->stop));
	if (h->clone)
		err |= json_object_set_new(m, "clone", json_integer(h->clone));
	if (about->findings)
		err |= json_object_set_new(m, "needs", plan_needs_json(about->findings));
	if (about->map)
		err |= json_object_set_new(m, "map", plan_map_json(about->map)) |
		       json_object_set_new(m, "resources", plan_resources_json(about->map));
	if (event == HOOKS_FAILED)
		err |= json_object_set_new(m, "error", errors_json(s));
	if (err) {
		json_decref(m);
		return NULL;
	}
	return m;
}

/* ---- what a plan hook answers ---- */

/* A mapping that takes the place of the user's own is worth a word. */
static void warn_replaced(struct session *s, const char *program, const struct resource_map *map, const char *text)
{
	size_t size = strcspn(text, "=");

	vec_each(&map->list, it) {
		AUTO_FREE char *mine = NULL;
		if (asprintf(&mine, "%s:%s=%s", it->kind, it->from, it->to) < 0) {
			mine = NULL;
			return;
		}
		if (!strncmp(mine, text, size + 1) && strcmp(mine, text))
			report_warn(s->rep, "hook %s: %s takes the place of %s", program, text, mine);
	}
}

/* `*warned`: of a line that is none, which is done once. */
static int take_line(struct session *s, const char *program, char *line, struct resource_map *map, bool *warned)
{
	line += strspn(line, " \t\r");
	for (size_t n = strlen(line); n && strchr(" \t\r", line[n - 1]); n--)
		line[n - 1] = '\0';
	if (!*line)
		return 0;
	if (strncmp(line, "map ", 4) && strncmp(line, "map\t", 4)) {
		if (!*warned)
			report_warn(s->rep, "hook %s: it printed \"%.200s\", which is ignored: only lines "
				    "\"map KIND:OLD=NEW\" are read", program, line);
		*warned = true;
		return 0;
	}
	line += 4;
	line += strspn(line, " \t");
	warn_replaced(s, program, map, line);
	int err = resource_map_add(map, NULL, line);
	if (!err)
		report_info(s->rep, "hook %s: %s", program, line);
	if (err == -EINVAL)
		report_fail(s->rep, err, "hook %s (plan): it printed \"map %.200s\"; let it print \"map KIND:OLD=NEW\", "
			    "for example map tap:tap0=tap7; nothing was started", program, line);
	return err;
}

static int take_answer(struct session *s, const char *program, char *text, struct resource_map *map)
{
	bool warned = false;
	char *save = NULL;
	int err = 0;

	for (char *line = strtok_r(text, "\n", &save); line && !err; line = strtok_r(NULL, "\n", &save))
		err = take_line(s, program, line, map, &warned);
	return err;
}

/* ---- */

static int run_one(struct session *s, const struct hooks *h, const char *program, enum hooks_event event,
                   const struct hooks_about *about)
{
	struct hook_call call = { .program = program, .event = events[event].name, .image = about->image,
				  .timeout_ms = (unsigned)h->timeout_ms, .optional = events[event].optional,
				  .outcome = events[event].outcome };
	AUTO_FREE char *answer = NULL;
	json_t *message = hooks_message(s, h, event, about); /* each sees the mappings of those before */

	if (!message)
		return report_fail(s->rep, -ENOMEM, "out of memory for the message to hook %s", program);
	call.message = message;
	report_debug(s->rep, "hook %s %s", program, call.event);
	int err = hook_run(s->rep, &call, event == HOOKS_PLAN ? &answer : NULL);
	json_decref(message);
	return err || !answer ? err : take_answer(s, program, answer, about->map);
}

int hooks_run(struct session *s, const struct hooks *h, enum hooks_event event, const struct hooks_about *about)
{
	vec_each(&h->programs, it) {
		int err = run_one(s, h, *it, event, about);
		if (err && !events[event].optional)
			return err;
	}
	return 0;
}
