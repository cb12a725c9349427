// SPDX-License-Identifier: LGPL-2.1-or-later
/* Many restarts of one image: who starts them, and what each is called.
 *
 * Theory of operation. Each clone is an ordinary detached restart in a process that we fork. They share the pages of the image
 * by memory that is made before (stasis_page_store_create), and nothing else of theirs. As many are on their way at once as
 * there are processors, and some more for those that wait for a disk. */
#include "clones.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cpus.h"
#include "session.h"

#define AT_ONCE_MAX 16

char *clones_word(const char *text, unsigned number)
{
	size_t n = 0;
	char digits[16];

	int width = snprintf(digits, sizeof(digits), "%u", number);
	for (const char *p = text; (p = strstr(p, "{n}")); p += 3)
		n++;
	char *word = malloc(strlen(text) + n * (size_t)width + 1), *to = word;
	for (const char *p; word && (p = strstr(text, "{n}")); text = p + 3) {
		to = mempcpy(to, text, (size_t)(p - text));
		to = mempcpy(to, digits, (size_t)width);
	}
	return word ? strcpy(to, text), word : NULL;
}

static int replace(char **text, unsigned number)
{
	char *word = *text ? clones_word(*text, number) : NULL;

	if (!*text)
		return 0;
	if (!word)
		return -ENOMEM;
	free(*text);
	*text = word;
	return 0;
}

/* In the process that is to become the clone. */
static int clone_words(struct restart_args *a, unsigned number)
{
	int err = 0;

	a->clone = a->hooks.clone = number;
	vec_each(&a->map.list, it)
		if (!err)
			err = replace(&it->to, number);
	if (!err)
		err = replace(&a->pidfile, number);
	return err ? err : replace(&a->name, number);
}

void clones_tell(const struct restart_args *a, pid_t pid)
{
	if (a->clone)
		a->clone_pids[a->clone - 1] = pid;
}

/* Waits for one of ours to end; its status. */
static int reap(void)
{
	int status;

	while (wait(&status) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_NOT_STARTED;
}

static int start_all(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options,
                     int (*start)(const struct cli_command *cmd, struct restart_args *a,
                                  struct stasis_restart_options *options))
{
	unsigned running = 0, limit = (unsigned)cpus_usable(AT_ONCE_MAX - 1) + 1;
	int status = CLI_OK;

	for (unsigned n = 1; n <= (unsigned)a->clones && !status; n++) {
		if (running == limit) {
			status = reap();
			running--;
		}
		if (status)
			break;
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0)
			_exit(clone_words(a, n) ? CLI_NOT_STARTED : start(cmd, a, options));
		if (pid < 0)
			status = CLI_NOT_STARTED;
		else
			running++;
	}
	while (running--) {
		int other = reap();
		status = status ? status : other;
	}
	return status;
}

int clones_start(const struct cli_command *cmd, struct restart_args *a, const struct stasis_restart_options *options,
                 int (*start)(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options))
{
	struct stasis_restart_options each = *options;
	size_t bytes = (size_t)a->clones * sizeof(pid_t);
	struct session s;
	int status = CLI_NOT_STARTED;

	if (session_init(&s, cmd, &a->common, false))
		return status;
	a->clone_pids = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->clone_pids == MAP_FAILED) {
		report_fail(s.rep, -errno, "no memory for %d clones", a->clones);
	} else if (!session_start_job(&s) &&
	           (each.lazy == STASIS_LAZY_OFF || !stasis_page_store_create(s.job, options, &each.store))) {
		each.lazy_on_touch = true;
		status = start_all(cmd, a, &each, start);
		for (int i = 0; status && i < a->clones; i++)
			if (a->clone_pids[i] > 0)
				kill(a->clone_pids[i], SIGKILL);
		if (status)
			report_fail(s.rep, -ECANCELED, "not all clones could be started, so none was left running");
		stasis_page_store_destroy(each.store);
	}
	if (a->clone_pids != MAP_FAILED)
		munmap(a->clone_pids, bytes);
	session_finish(&s);
	return status;
}
