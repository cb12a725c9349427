// SPDX-License-Identifier: LGPL-2.1-or-later
/* The list of what was found in a target or is needed by an image. */
#include "findings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

static void finding_clear(struct finding *it)
{
	free(it->object);
	free(it->kind);
	free(it->action);
	free(it->obstacle);
	free(it->remedy);
	free(it->needs);
	free(it->offers);
	free(it->uses);
}

static int copy_text(const char *text, char **ret)
{
	if (text && !(*ret = strdup(text)))
		return -ENOMEM;
	return 0;
}

int findings_add(struct findings *f, const char *object, const char *kind, const char *action, const char *obstacle, const char *remedy)
{
	struct finding it = { 0 };

	if (copy_text(object, &it.object) || copy_text(kind, &it.kind) || copy_text(action, &it.action) ||
	    copy_text(obstacle, &it.obstacle) || copy_text(remedy, &it.remedy) || vec_push(&f->list, it)) {
		finding_clear(&it);
		return -ENOMEM;
	}
	f->obstacles += obstacle != NULL;
	return 0;
}

int findings_obstacle(struct findings *f, const char *object, const char *kind, const char *remedy, const char *obstacle_fmt, ...)
{
	AUTO_FREE char *obstacle = NULL;
	va_list ap;

	va_start(ap, obstacle_fmt);
	int n = vasprintf(&obstacle, obstacle_fmt, ap);
	va_end(ap);
	if (n < 0) {
		obstacle = NULL;
		return -ENOMEM;
	}
	return findings_add(f, object, kind, NULL, obstacle, remedy);
}

int findings_compare(struct findings *f, const char *needs, const char *offers, const char *uses)
{
	struct finding *it = f->list.n ? &f->list.items[f->list.n - 1] : NULL;

	if (!it || it->needs || it->offers || it->uses)
		return 0;
	return copy_text(needs, &it->needs) || copy_text(offers, &it->offers) || copy_text(uses, &it->uses) ? -ENOMEM : 0;
}

int findings_refuse(const struct findings *f, struct reporter *rep, int err)
{
	if (!f->obstacles)
		return 0;
	vec_each(&f->list, it)
		if (it->obstacle)
			report_fail(rep, err, "%s%s%s%s: %s%s%s", it->object, it->kind ? " (" : "", it->kind ? it->kind : "",
				    it->kind ? ")" : "", it->obstacle, it->remedy ? "; " : "", it->remedy ? it->remedy : "");
	return err;
}

void findings_finish(struct findings *f)
{
	vec_each(&f->list, it)
		finding_clear(it);
	vec_finish(&f->list);
	f->obstacles = 0;
}
