// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis ps`: lists this user's targets, and sweeps away the names of those that are gone. */
#include <time.h>

#include "base/cleanup.h"
#include "process.h"
#include "registry.h"
#include "session.h"
#include "table.h"
#include "words.h"

static const char *target_state(pid_t pid)
{
	struct proc_stat st;

	if (process_stat(pid, &st))
		return "ended";
	return st.state == 'T' ? "stopped" : st.state == 't' ? "traced" : "running";
}

static void format_since(int64_t since, char *buf, size_t room)
{
	time_t t = since;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, room, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, room, "?");
}

static int ps_table(const struct registry_list *list)
{
	static const char *const heads[] = { "NAME", "PID", "SINCE", "STATE", "IMAGE", "COMMAND" };
	struct table t = { .columns = ARRAY_SIZE(heads) };
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(heads); i++)
		err = table_add(&t, heads[i]);
	vec_each(&list->list, it) {
		AUTO_FREE char *command = NULL;
		char pid[16], since[32];

		if (process_command(it->pid, &command))
			command = NULL;
		snprintf(pid, sizeof(pid), "%d", it->pid);
		format_since(it->since, since, sizeof(since));
		const char *cells[] = {
			it->name, pid, since, target_state(it->pid), it->image, command ? command : it->command
		};
		for (size_t i = 0; !err && i < ARRAY_SIZE(cells); i++)
			err = table_add(&t, cells[i]);
	}
	if (!err)
		table_print(&t, stdout);
	table_finish(&t);
	return err;
}

static json_t *ps_json(const struct registry_list *list)
{
	json_t *all = json_array();

	vec_each(&list->list, it) {
		AUTO_FREE char *command = NULL;

		if (process_command(it->pid, &command))
			command = NULL;
		json_t *one = json_pack("{s:s, s:i, s:I, s:s, s:o, s:o, s:o}", "name", it->name, "pid", (int)it->pid, "since",
					(json_int_t)it->since, "state", target_state(it->pid), "image", words_json(it->image),
					"command", words_json(command ? command : it->command), "keeper",
					it->keeper ? json_integer(it->keeper) : json_null());
		if (json_array_append_new(all, one)) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

static int ps_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct args_common common = { 0 };
	struct poptOption table[] = { ARGS_JSON(&common), ARGS_HELP(&common), POPT_TABLEEND };
	struct registry reg = { .dirfd = -1 };
	struct registry_list list = { 0 };
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &common, NULL, NULL, &args);
	if (status < 0 && args.n_words)
		status = args_wrong(cmd, "%s is one too many; usage: stasis ps %s", args.words[0], cmd->usage);
	args_finish(&args);
	if (status >= 0)
		return status;
	if (session_init(&s, cmd, &common, false))
		return CLI_FAILED;
	int err = registry_open(s.rep, false, &reg);
	if (!err)
		err = registry_list(&reg, true, &list);
	if (!err && common.json)
		err = session_print_json(&s, ps_json(&list)) == CLI_OK ? 0 : -ENOMEM;
	else if (!err && list.list.n && (err = ps_table(&list)))
		report_fail(s.rep, err, "out of memory");
	registry_list_finish(&list);
	registry_close(&reg);
	session_finish(&s);
	return err ? CLI_FAILED : CLI_OK;
}

const struct cli_command cmd_ps = {
	.name = "ps",
	.summary = "list the targets that have a name",
	.usage = "[--json]",
	.description = "Lists the living targets that `stasis run` and `stasis restart` gave a name to.\n",
	.main = ps_main,
};
