// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reporter: wording of faults on their way to the owner, and fault points. */
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void report_init(struct reporter *rep, const struct report_sink *sink, enum report_level level)
{
	*rep = (struct reporter){ .level = level, .lock = PTHREAD_MUTEX_INITIALIZER };
	if (sink)
		rep->sink = *sink;
}

void report_finish(struct reporter *rep)
{
	free(rep->faults);
	free(rep->first_error);
	rep->faults = NULL;
	rep->first_error = NULL;
}

static void report_say(struct reporter *rep, enum report_level level, const char *fmt, va_list ap)
{
	char *text;

	if (!rep || (level > rep->level && level != REPORT_ERROR))
		return;
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	pthread_mutex_lock(&rep->lock);
	if (rep->sink.message)
		rep->sink.message(rep->sink.ctx, level, text);
	if (level == REPORT_ERROR && !rep->first_error) {
		rep->first_error = text;
		text = NULL;
	}
	pthread_mutex_unlock(&rep->lock);
	free(text);
}

int report_fail(struct reporter *rep, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_say(rep, REPORT_ERROR, fmt, ap);
	va_end(ap);
	return err < 0 ? err : -EIO;
}

#define REPORT_DEFINE(name, level)                                 \
	void name(struct reporter *rep, const char *fmt, ...)      \
	{                                                          \
		va_list ap;                                        \
		va_start(ap, fmt);                                 \
		report_say(rep, level, fmt, ap);                   \
		va_end(ap);                                        \
	}
REPORT_DEFINE(report_warn, REPORT_WARNING)
REPORT_DEFINE(report_info, REPORT_INFO)
REPORT_DEFINE(report_debug, REPORT_DEBUG)

void report_progress(struct reporter *rep, const char *phase, uint64_t done, uint64_t total)
{
	if (!rep || !rep->sink.progress)
		return;
	pthread_mutex_lock(&rep->lock);
	rep->sink.progress(rep->sink.ctx, phase, done, total);
	pthread_mutex_unlock(&rep->lock);
}

bool report_cancelled(const struct reporter *rep)
{
	return rep && rep->cancel && *rep->cancel;
}

int report_arm_faults(struct reporter *rep, const char *list)
{
	char *copy = NULL;

	if (list && !(copy = strdup(list)))
		return -ENOMEM;
	free(rep->faults);
	rep->faults = copy;
	return 0;
}

/* Where the name stands in the armed list, NULL if it does not. */
static const char *find_fault(const struct reporter *rep, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = rep ? rep->faults : NULL; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, n) && (!p[n] || p[n] == ',' || p[n] == '='))
			return p + n;
	return NULL;
}

bool report_is_armed(const struct reporter *rep, const char *name)
{
	return find_fault(rep, name) != NULL;
}

int report_fault(struct reporter *rep, const char *name)
{
	const char *how = find_fault(rep, name);

	if (!how)
		return 0;
	if (!strncmp(how, "=kill", 5))
		kill(getpid(), SIGKILL);
	if (!strncmp(how, "=hang", 5))
		for (;;)
			pause();
	int err = *how == '=' ? atoi(how + 1) : EIO;
	return report_fail(rep, -err, "fault point %s: %s", name, strerror(err));
}
