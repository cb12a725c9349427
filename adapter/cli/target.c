// SPDX-License-Identifier: LGPL-2.1-or-later
/* From a word on the command line to a process. */
#include "target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "process.h"
#include "registry.h"
#include "suggest.h"

static int no_such_name(struct registry *reg, const char *name)
{
	struct registry_list list = { 0 };
	const char *best = NULL;
	int err;

	if (registry_list(reg, false, &list))
		return -ENOENT;
	vec_each(&list.list, it)
		suggest_offer(name, it->name, &best);
	if (best)
		err = report_fail(reg->rep, -ENOENT, "no target is called %s; did you mean %s?", name, best);
	else if (list.list.n)
		err = report_fail(reg->rep, -ENOENT, "no target is called %s; stasis ps lists those that are", name);
	else
		err = report_fail(reg->rep, -ENOENT, "no target is called %s, nor anything else now; give its pid", name);
	registry_list_finish(&list);
	return err;
}

static int find_by_name(struct reporter *rep, const char *name, struct registry_entry *ret)
{
	struct registry reg;
	int err = registry_open(rep, false, &reg);

	if (err)
		return err;
	err = registry_find(&reg, name, ret);
	if (err == -ENOENT)
		err = no_such_name(&reg, name);
	registry_close(&reg);
	return err;
}

/* A pid needs no registry: whatever is wrong with that, the target just has no name then. A keeper is pointed out. */
static int find_by_pid(struct reporter *rep, pid_t pid, struct registry_entry *ret)
{
	struct registry_list list = { 0 };
	struct registry reg;
	pid_t leader;
	int err = 0;

	if (process_of_thread(pid, &leader))
		return report_fail(rep, -ESRCH, "there is no process with pid %d", pid);
	if (leader != pid)
		return report_fail(rep, -ESRCH, "%d is a thread; the process it belongs to is %d", pid, leader);
	ret->pid = pid;
	if (registry_open(NULL, false, &reg))
		return 0;
	reg.rep = rep;
	if (!registry_list(&reg, false, &list)) {
		vec_each(&list.list, it) {
			if (it->keeper == pid) {
				err = report_fail(rep, -EINVAL,
						  "pid %d is the stasis restart that %s hangs on; the target itself is pid %d",
						  pid, it->name, it->pid);
			} else if (it->pid == pid) {
				registry_entry_finish(ret);
				*ret = *it;
				*it = (struct registry_entry){ 0 };
			}
		}
		registry_list_finish(&list);
	}
	registry_close(&reg);
	return err;
}

int target_find(struct reporter *rep, const char *text, struct target *ret)
{
	struct registry_entry entry = { 0 };
	struct proc_stat st;
	struct target t = { 0 };
	char *end;
	int err;

	errno = 0;
	long pid = strtol(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end)
		err = pid > 0 && pid <= 0x7fffffff && !errno
			      ? find_by_pid(rep, (pid_t)pid, &entry)
			      : report_fail(rep, -ESRCH, "there is no process with pid %s", text);
	else if (!registry_name_valid(text))
		err = report_fail(rep, -EINVAL, "%s is neither a pid nor a name that a target can have", text);
	else
		err = find_by_name(rep, text, &entry);
	if (!err && process_stat(entry.pid, &st))
		err = report_fail(rep, -ESRCH, "the process with pid %d has ended", entry.pid);
	if (!err) {
		t.pid = entry.pid;
		t.name = STEAL_PTR(entry.name);
		if (process_command(t.pid, &t.command))
			t.command = STEAL_PTR(entry.command);
		*ret = t;
	}
	registry_entry_finish(&entry);
	return err;
}

void target_finish(struct target *t)
{
	free(t->name);
	free(t->command);
	*t = (struct target){ 0 };
}

char *target_title(const struct target *t)
{
	char *title;
	int n = t->name ? asprintf(&title, "%s (pid %d)", t->name, t->pid) : asprintf(&title, "pid %d", t->pid);

	return n < 0 ? NULL : title;
}
