// SPDX-License-Identifier: LGPL-2.1-or-later
/* A job: the reporter and what the adapter has plugged in. */
#include "job.h"

#include <errno.h>
#include <stdlib.h>

#include "fd/fd.h"
#include "records.h"

int stasis_job_create(const struct report_sink *sink, enum report_level level, const char *faults, const volatile int *cancel,
		      struct stasis_job **ret)
{
	struct stasis_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	report_init(&job->rep, sink, level);
	job->rep.cancel = cancel;
	int err = report_arm_faults(&job->rep, faults);
	if (err) {
		stasis_job_destroy(job);
		return err;
	}
	*ret = job;
	return 0;
}

void stasis_job_destroy(struct stasis_job *job)
{
	if (!job)
		return;
	report_finish(&job->rep);
	free(job);
}

struct reporter *stasis_job_reporter(struct stasis_job *job)
{
	return &job->rep;
}

void stasis_job_claims(struct stasis_job *job, const struct fd_claim *claims, size_t n)
{
	job->claims = claims;
	job->n_claims = n;
}

void stasis_job_plugins(struct stasis_job *job, const struct stasis_plugin *const *plugins, size_t n)
{
	job->plugins = plugins;
	job->n_plugins = n;
}
