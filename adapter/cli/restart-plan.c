// SPDX-License-Identifier: LGPL-2.1-or-later
/* The plan of `stasis restart`: compares an image with this host, for hooks and for people. */
#include "restart-plan.h"

#include <string.h>

#include "base/cleanup.h"
#include "plan-view.h"
#include "words.h"

/* Compares the image with this host and starts nothing. Returns 0 when it could, even with obstacles. `*ret_name` is the
 * target's name, to be freed. */
static int make_plan(struct session *s, const struct stasis_restart_options *options, struct findings *found, char **ret_name)
{
	struct stasis_restart_options only = *options;
	struct stasis_restarted none = { .pidfd = -1, .status_fd = -1 };

	only.plan_only = true;
	only.findings = found;
	int err = stasis_restart(s->job, &only, &none);
	*ret_name = none.name;
	/* Obstacles may come as an error as well: they are what was asked for. */
	return found->obstacles ? 0 : err;
}

/* What there is to be said is said by the plan that counts, which is made afterwards. */
int restart_plan_ask_hooks(struct session *s, struct restart_args *a, const struct stasis_restart_options *options,
                           char **ret_name)
{
	enum report_level level = s->rep->level;
	struct findings found = { 0 };

	if (!a->hooks.programs.n)
		return 0;
	if (level < REPORT_DEBUG)
		s->rep->level = REPORT_ERROR;
	struct stasis_restart_options now = *options;
	now.wait_ms = 0;
	int err = make_plan(s, &now, &found, ret_name);
	s->rep->level = level;
	if (!err)
		err = hooks_run(s, &a->hooks, HOOKS_PLAN,
		                &(struct hooks_about){ .image = options->image,
		                                       .name = a->name ? a->name : *ret_name,
		                                       .findings = &found,
		                                       .map = &a->map });
	findings_finish(&found);
	return err;
}

static int show_plan(struct session *s, const struct restart_args *a, const struct findings *found, const char *image,
                     const char *name)
{
	if (!s->json)
		return plan_print(found, &a->map, image, stdout) ? CLI_FAILED : CLI_OK;
	return session_print_json(s, json_pack("{s:b, s:o, s:o, s:I, s:o, s:o, s:o}", "ok", !found->obstacles, "image",
	                                       words_json(image), "name", words_json(name), "obstacles",
	                                       (json_int_t)found->obstacles, "findings", plan_needs_json(found), "map",
	                                       plan_map_json(&a->map), "resources", plan_resources_json(&a->map)));
}

int restart_plan_show(struct session *s, struct restart_args *a, const struct stasis_restart_options *options)
{
	AUTO_FREE char *had = NULL, *name = NULL;
	struct findings found = { 0 };
	int status = CLI_FAILED;

	int err = restart_plan_ask_hooks(s, a, options, &had);
	if (!err)
		err = make_plan(s, options, &found, &name);
	if (err) {
		session_explain(s, err, "cancelled");
		session_print_failure(s);
	} else {
		status = show_plan(s, a, &found, options->image, a->name ? a->name : name);
	}
	if (found.obstacles)
		status = CLI_FAILED;
	findings_finish(&found);
	return session_failed(status);
}
