// SPDX-License-Identifier: LGPL-2.1-or-later
/* Many restarts of one image: who starts them, and what each is called.
 *
 * Theory of operation. Each clone is an ordinary detached restart in a process that we fork. They share the pages of the image
 * by memory that is made before (stasis_template_create; with --lazy=on stasis_page_store_create), and nothing else of theirs. As many are
 * on their way at once as there are processors, and one more. None runs before all of them are ready: so that those that run do not
 * take the processors from those that are still to come, and so that it is all or none. */
#include "clones.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cpus.h"
#include "session.h"

#define AT_ONCE_MAX 16
#define LOOK_MS 10 /* for who ends without a word */

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

int clones_gate(struct restart_args *a, const struct reporter *rep)
{
	char byte = 'r';
	ssize_t n = -1;

	if (!a->clone)
		return 0;
	if (write(a->clone_gate, &byte, 1) == 1)
		while ((n = read(a->clone_gate, &byte, 1)) < 0 && errno == EINTR && !report_cancelled(rep))
			;
	close(a->clone_gate);
	return n == 1 ? 0 : -ECANCELED;
}

/* The clones that are on their way. */
struct party {
	int gate;            /* the other end of the clones' */
	unsigned on_the_way; /* started, and not at the gate yet */
	unsigned waiting;    /* there */
	unsigned processes;  /* that we have to wait for */
	struct reporter *rep;
	int status;          /* of the first that failed */
};

/* Takes note of who has come to the gate, and who has ended (which nobody may before the gate is opened). */
static void look(struct party *p, int timeout_ms)
{
	struct pollfd pfd = { .fd = p->gate, .events = POLLIN };
	char bytes[64];
	int status;

	ssize_t n = poll(&pfd, 1, timeout_ms) == 1 ? read(p->gate, bytes, sizeof(bytes)) : 0;
	if (n > 0) {
		p->on_the_way -= (unsigned)n;
		p->waiting += (unsigned)n;
	}
	while (p->processes && waitpid(-1, &status, WNOHANG) > 0) {
		p->processes--;
		if (!p->status && !(WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK))
			p->status = WIFEXITED(status) ? WEXITSTATUS(status) : CLI_NOT_STARTED;
	}
}

/* Starts them, some at a time; when all are at the gate it is opened, and else they go away. */
static int start_all(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options, struct party *p,
                     int (*start)(const struct cli_command *cmd, struct restart_args *a,
                                  struct stasis_restart_options *options))
{
	const unsigned limit = (unsigned)cpus_usable(AT_ONCE_MAX - 1) + 1, all = (unsigned)a->clones;

	for (unsigned n = 1; n <= all && !p->status; n++) {
		while (p->on_the_way == limit && !p->status)
			look(p, LOOK_MS);
		if (p->status)
			break;
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			close(p->gate);
			_exit(clone_words(a, n) ? CLI_NOT_STARTED : start(cmd, a, options));
		}
		if (pid < 0) {
			p->status = CLI_NOT_STARTED;
			break;
		}
		p->on_the_way++;
		p->processes++;
	}
	while (p->waiting < all && !p->status)
		look(p, LOOK_MS);
	report_debug(p->rep, "clones: %u of %u are ready", p->waiting, all);
	for (unsigned n = 0; n < all && !p->status; n++)
		if (send(p->gate, "", 1, MSG_NOSIGNAL) != 1)
			p->status = CLI_NOT_STARTED;
	shutdown(p->gate, SHUT_WR);
	while (p->processes)
		look(p, LOOK_MS);
	report_debug(p->rep, "clones: all %s", p->status ? "have gone" : "run");
	return p->status;
}

static int start_party(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options, struct reporter *rep,
                       int (*start)(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options))
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return CLI_NOT_STARTED;
	struct party p = { .gate = ends[0], .rep = rep };
	a->clone_gate = ends[1];
	int status = start_all(cmd, a, options, &p, start);
	close(ends[0]);
	close(ends[1]);
	return status;
}

/* Memory that they all begin with; where there is no room for that, or it is not to be read before, what they read. */
static int share_memory(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_restart_options *each)
{
	int err = -ENOSPC;

	if (options->lazy != STASIS_LAZY_ON)
		err = stasis_template_create(job, options, &each->template);
	if (err != -ENOSPC)
		return err;
	return options->lazy == STASIS_LAZY_OFF ? 0 : stasis_page_store_create(job, options, &each->store);
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
	} else if (!session_start_job(&s) && !share_memory(s.job, options, &each)) {
		each.lazy_on_touch = true;
		status = start_party(cmd, a, &each, s.rep, start);
		for (int i = 0; status && i < a->clones; i++)
			if (a->clone_pids[i] > 0)
				kill(a->clone_pids[i], SIGKILL);
		if (status)
			report_fail(s.rep, -ECANCELED, "not all clones could be started, so none was left running");
		stasis_page_store_destroy(each.store);
		stasis_template_destroy(each.template);
	}
	if (a->clone_pids != MAP_FAILED)
		munmap(a->clone_pids, bytes);
	session_finish(&s);
	return status;
}
