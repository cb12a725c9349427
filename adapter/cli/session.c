// SPDX-License-Identifier: LGPL-2.1-or-later
/* One run of one command. */
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "cancel.h"
#include "plugins.h"
#include "words.h"

static void session_message(void *ctx, enum report_level level, const char *text)
{
	static const struct {
		const char *prefix;
		enum term_colour colour;
	} kinds[] = {
		[REPORT_ERROR] = { "", TERM_RED },
		[REPORT_WARNING] = { "warning: ", TERM_YELLOW },
		[REPORT_INFO] = { "", TERM_PLAIN },
		[REPORT_DEBUG] = { "debug: ", TERM_PLAIN },
	};
	struct session *s = ctx;
	AUTO_FREE char *clean = words_clean(text);
	bool coloured = s->shared->term.colour && kinds[level].colour != TERM_PLAIN;
	char time[32] = "";

	if (level == REPORT_DEBUG)
		snprintf(time, sizeof(time), "[%7.3f ms] ", (double)(timens_stopwatch_us() - s->begin_us) / 1000);
	term_clear(&s->shared->term);
	fprintf(stderr, "%sstasis: %s:%s %s%s%s\n", term_colour_on(coloured, kinds[level].colour), s->cmd->name,
		term_colour_off(coloured), kinds[level].prefix, time, clean ? clean : "out of memory");
	size_t size = strlen(text) + 1;
	if (level == REPORT_ERROR && size <= sizeof(s->shared->errors) - s->shared->used) {
		memcpy(s->shared->errors + s->shared->used, text, size);
		s->shared->used += size;
	}
}

static void session_progress(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
	struct session *s = ctx;

	if (!s->shared->muted)
		term_progress(&s->shared->term, phase, done, total);
}

static enum report_level session_level(const struct args_common *common)
{
	const char *debug = getenv("STASIS_DEBUG");

	if (debug && *debug && strcmp(debug, "0"))
		return REPORT_DEBUG;
	return common->quiet ? REPORT_ERROR : common->verbose ? REPORT_INFO : REPORT_WARNING;
}

int session_init(struct session *s, const struct cli_command *cmd, const struct args_common *common, bool bar)
{
	*s = (struct session){ .cmd = cmd, .rep = &s->own, .json = common->json, .begin_us = timens_stopwatch_us() };
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared == MAP_FAILED) {
		fprintf(stderr, "stasis: %s: out of memory\n", cmd->name);
		return -ENOMEM;
	}
	term_init(&s->shared->term, bar && !common->quiet);
	struct report_sink sink = { .message = session_message, .progress = session_progress, .ctx = s };
	report_init(&s->own, &sink, session_level(common));
	return 0;
}

const struct stasis_plugin *const *session_plugins(struct session *s, size_t *ret_n)
{
	const char *directory = getenv("STASIS_PLUGINS");
	size_t n;

	if (!s->plugins.plugins.n) {
		const struct stasis_plugin *const *built_in = plugins_built_in(&n);
		for (size_t i = 0; i < n; i++)
			if (vec_push(&s->plugins.plugins, built_in[i]))
				break;
		plugin_directory_load(s->rep, directory && *directory ? directory : STASIS_LIBDIR "/plugins", &s->plugins);
	}
	*ret_n = s->plugins.plugins.n;
	return s->plugins.plugins.items;
}

int session_start_job(struct session *s)
{
	struct report_sink sink = s->own.sink;
	const char *faults = getenv("STASIS_FAULT");
	size_t n;

	cancel_install();
	int err = stasis_job_create(&sink, s->own.level, faults && *faults ? faults : NULL, cancel_flag(), &s->job);
	if (err)
		return report_fail(s->rep, err, "out of memory");
	s->rep = stasis_job_reporter(s->job);
	err = plugins_claims(&s->claims, &n);
	if (err)
		return report_fail(s->rep, err, "out of memory");
	stasis_job_claims(s->job, s->claims, n);
	const struct stasis_plugin *const *plugins = session_plugins(s, &n);
	stasis_job_plugins(s->job, plugins, n);
	return 0;
}

void session_finish(struct session *s)
{
	session_mute(s);
	stasis_job_destroy(s->job);
	free(s->claims);
	plugin_list_finish(&s->plugins);
	report_finish(&s->own);
	munmap(s->shared, sizeof(*s->shared));
	*s = (struct session){ 0 };
}

int session_failed(int status)
{
	return cancel_signal() ? 128 + cancel_signal() : status;
}

void session_mute(struct session *s)
{
	term_clear(&s->shared->term);
	s->shared->muted = true;
}

void session_explain(struct session *s, int err, const char *cancelled)
{
	if (!s->shared->used)
		report_fail(s->rep, err, "%s", err == -ECANCELED ? cancelled : strerror(-err));
}

void session_print_failure(struct session *s)
{
	session_mute(s);
	if (!s->json)
		return;
	json_t *errors = json_array();
	for (const char *p = s->shared->errors; p < s->shared->errors + s->shared->used; p += strlen(p) + 1)
		json_array_append_new(errors, words_json(p));
	json_t *value = json_pack("{s:b, s:o}", "ok", 0, "errors", errors);
	if (value)
		json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
}

int session_print_json(struct session *s, json_t *value)
{
	if (!value) {
		report_fail(s->rep, -ENOMEM, "out of memory");
		return CLI_FAILED;
	}
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
	return CLI_OK;
}
