/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/status by a table of its lines. Unknown lines are skipped. */
#include "proc/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "proc/text.h"

enum line_type {
	LINE_I32,
	LINE_U32,
	LINE_OCTAL,
	LINE_MASK,
	LINE_BOOL,
	LINE_CHAR,
	LINE_IDS,
	LINE_NSIDS,
	LINE_GROUPS,
	LINE_SIGQ,
};

struct line_kind {
	const char *key;
	enum line_type type;
	size_t offset;
	size_t has; /* offset of a bool to set, or NO_HAS */
	bool required;
};

#define NO_HAS SIZE_MAX
#define LINE(key, type, member) { key, type, offsetof(struct proc_status, member), NO_HAS, false }
#define LINE_HAS(key, type, member, has) \
	{ key, type, offsetof(struct proc_status, member), offsetof(struct proc_status, has), false }
#define LINE_REQUIRED(key, type, member) { key, type, offsetof(struct proc_status, member), NO_HAS, true }

static const struct line_kind kinds[] = {
	LINE_HAS("Umask:", LINE_OCTAL, umask, has_umask),
	LINE("State:", LINE_CHAR, state),
	LINE_REQUIRED("Tgid:", LINE_I32, tgid),
	LINE("Ngid:", LINE_I32, ngid),
	LINE_REQUIRED("Pid:", LINE_I32, pid),
	LINE_REQUIRED("PPid:", LINE_I32, ppid),
	LINE("TracerPid:", LINE_I32, tracerpid),
	LINE_REQUIRED("Uid:", LINE_IDS, uid),
	LINE_REQUIRED("Gid:", LINE_IDS, gid),
	LINE("FDSize:", LINE_U32, fdsize),
	LINE("Groups:", LINE_GROUPS, groups),
	LINE("NStgid:", LINE_NSIDS, nstgid),
	LINE("NSpid:", LINE_NSIDS, nspid),
	LINE("NSpgid:", LINE_NSIDS, nspgid),
	LINE("NSsid:", LINE_NSIDS, nssid),
	LINE("Kthread:", LINE_BOOL, kthread),
	LINE("Threads:", LINE_U32, threads),
	LINE("SigQ:", LINE_SIGQ, sigq_used),
	LINE("SigPnd:", LINE_MASK, sigpnd),
	LINE("ShdPnd:", LINE_MASK, shdpnd),
	LINE("SigBlk:", LINE_MASK, sigblk),
	LINE("SigIgn:", LINE_MASK, sigign),
	LINE("SigCgt:", LINE_MASK, sigcgt),
	LINE("CapInh:", LINE_MASK, capinh),
	LINE("CapPrm:", LINE_MASK, capprm),
	LINE("CapEff:", LINE_MASK, capeff),
	LINE("CapBnd:", LINE_MASK, capbnd),
	LINE("CapAmb:", LINE_MASK, capamb),
	LINE("NoNewPrivs:", LINE_BOOL, nonewprivs),
	LINE("Seccomp:", LINE_U32, seccomp),
	LINE_HAS("Seccomp_filters:", LINE_U32, seccomp_filters, has_seccomp_filters),
	LINE("THP_enabled:", LINE_BOOL, thp_enabled),
	LINE("CoreDumping:", LINE_BOOL, coredumping),
};

static bool parse_bool(struct text *t, bool *ret)
{
	uint32_t value;

	if (!text_u32(t, 10, &value))
		return false;
	*ret = value != 0;
	return true;
}

static bool parse_nsids(struct text *t, struct proc_nsids *ids)
{
	struct proc_nsids found = { .n = 0 };

	for (text_skip_blanks(t); text_left(t); text_skip_blanks(t)) {
		if (found.n == PROC_NS_LEVELS || !text_i32(t, &found.id[found.n]))
			return false;
		found.n++;
	}
	*ids = found;
	return true;
}

static int parse_groups(struct text *t, struct proc_status *status)
{
	VEC(uint32_t) groups = { 0 };
	int err = 0;

	for (text_skip_blanks(t); text_left(t) && !err; text_skip_blanks(t)) {
		uint32_t gid;

		err = text_u32(t, 10, &gid) ? vec_push(&groups, gid) : -EBADMSG;
	}
	if (err) {
		vec_finish(&groups);
		return err;
	}
	free(status->groups); /* a forged text may have the line twice */
	status->groups = groups.items;
	status->n_groups = groups.n;
	return 0;
}

static bool parse_sigq(struct text *t, struct proc_status *status)
{
	return text_u32(t, 10, &status->sigq_used) && text_take_char(t, '/') && text_u32(t, 10, &status->sigq_limit);
}

static int parse_line(const struct line_kind *kind, struct text *t, struct proc_status *status)
{
	void *field = (char *)status + kind->offset;
	uint32_t *ids = field;
	bool ok = false;

	switch (kind->type) {
	case LINE_I32:
		ok = text_i32(t, field);
		break;
	case LINE_U32:
		ok = text_u32(t, 10, field);
		break;
	case LINE_OCTAL:
		ok = text_u32(t, 8, field);
		break;
	case LINE_MASK:
		ok = text_u64(t, 16, field);
		break;
	case LINE_BOOL:
		ok = parse_bool(t, field);
		break;
	case LINE_CHAR:
		text_skip_blanks(t);
		ok = text_left(t) > 0;
		if (ok)
			*(char *)field = *t->p;
		break;
	case LINE_IDS:
		ok = text_u32(t, 10, &ids[0]) && text_u32(t, 10, &ids[1]) && text_u32(t, 10, &ids[2]) &&
		     text_u32(t, 10, &ids[3]);
		break;
	case LINE_NSIDS:
		ok = parse_nsids(t, field);
		break;
	case LINE_GROUPS:
		return parse_groups(t, status);
	case LINE_SIGQ:
		ok = parse_sigq(t, status);
		break;
	}
	return ok ? 0 : -EBADMSG;
}

int proc_status_parse(const char *text, size_t size, struct proc_status *ret)
{
	struct text t = text_init(text, size), line;
	struct proc_status status = { .thp_enabled = true };
	bool seen[sizeof(kinds) / sizeof(kinds[0])] = { false };
	int err = 0;

	while (!err && text_line(&t, &line))
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!text_take(&line, kinds[i].key))
				continue;
			err = parse_line(&kinds[i], &line, &status);
			seen[i] = true;
			if (kinds[i].has != NO_HAS)
				*(bool *)((char *)&status + kinds[i].has) = true;
			break;
		}
	for (size_t i = 0; !err && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].required && !seen[i])
			err = -EBADMSG;
	if (err) {
		proc_status_finish(&status);
		return err;
	}
	*ret = status;
	return 0;
}

void proc_status_finish(struct proc_status *status)
{
	free(status->groups);
	status->groups = NULL;
	status->n_groups = 0;
}
