// SPDX-License-Identifier: LGPL-2.1-or-later
/* Dirty tracking as one checkpoint sees it: what the last one has left, what has changed, what the next one will find. */
#include "track/track.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TRACK_MIN_BYTES 65536 /* of a mapping */

void track_begin(struct track *t, struct reporter *rep, pid_t pid, int pidfd, bool arm)
{
	*t = (struct track)TRACK_INIT;
	t->rep = rep;
	t->pid = pid;
	t->pidfd = pidfd;
	int err = arm ? keeper_prepare(&t->sock) : 0;
	if (err)
		report_debug(rep, "tracking: no process to keep it: %s", strerror(-err));
	t->arm = arm && !err;
	keeper_find(pid, &t->keeper);
	t->had_keeper = t->keeper.pidfd >= 0;
}

static bool is_tracked(const struct collect *c, size_t i)
{
	const struct rec_vma *v = &c->mappings.items[i];

	return v->kind == VMA_ANON && !v->shared && !c->whole.items[i] && v->end - v->start >= TRACK_MIN_BYTES;
}

/* What of the mapping was written to; nothing is known of one that nobody watches. */
static int track_look(struct track *t, int pagemap, const struct rec_vma *v)
{
	size_t n = t->changed.n;
	int err = watch_changed(pagemap, v->start, v->end, &t->changed);

	if (err == -EPERM) {
		t->changed.n = n;
		return 0;
	}
	if (!err)
		err = watch_is_ours(t->keeper.uffd, v->start, v->end);
	return err ? err : vec_push(&t->watched, ((struct watch_range){ v->start, v->end }));
}

static void track_forget(struct track *t)
{
	vec_finish(&t->watched);
	vec_finish(&t->changed);
	t->known = false;
}

static int track_look_all(struct track *t, const struct collect *c, int pagemap)
{
	int err = 0;

	for (size_t i = 0; i < c->mappings.n && !err; i++)
		if (is_tracked(c, i))
			err = track_look(t, pagemap, &c->mappings.items[i]);
	return err;
}

static int track_arm_all(struct track *t, const struct collect *c, int pagemap, int uffd)
{
	int err = 0;

	for (size_t i = 0; i < c->mappings.n && !err; i++) {
		const struct rec_vma *v = &c->mappings.items[i];
		if (!is_tracked(c, i))
			continue;
		err = watch_arm(uffd, pagemap, v->start, v->end);
		if (err == -EINVAL) { /* of a kind that cannot be watched: the next checkpoint compares it */
			report_debug(t->rep, "tracking: mapping %lx-%lx cannot be watched", v->start, v->end);
			err = 0;
		}
	}
	return err;
}

/* Begins anew, with the userfaultfd of the last time if there is one that is of this memory. */
static int track_arm(struct track *t, const struct collect *c, int pagemap, struct undo_journal *journal)
{
	AUTO_CLOSE int uffd = STEAL_FD(t->keeper.uffd);
	bool old = uffd >= 0;
	int err = old ? keeper_end(&t->keeper) : 0;

	if (!err && !old)
		err = uffd = watch_open(c->worker, &c->place, journal);
	if (err >= 0)
		err = track_arm_all(t, c, pagemap, uffd);
	if (err == -ESRCH && old) { /* another program than then */
		close(STEAL_FD(uffd));
		err = uffd = watch_open(c->worker, &c->place, journal);
		if (err >= 0)
			err = track_arm_all(t, c, pagemap, uffd);
	}
	if (err < 0)
		return err;
	t->uffd = STEAL_FD(uffd);
	return 0;
}

/* The order matters: what is known must have been read before anything is marked anew. */
static int track_try(struct track *t, const struct collect *c, const uint8_t *parent_id, struct undo_journal *journal)
{
	char path[40];

	if (t->had_keeper && !keeper_is_alive(&t->keeper))
		return -EBUSY; /* it has died, or another checkpoint was faster */
	snprintf(path, sizeof(path), "/proc/%d/pagemap", t->pid);
	AUTO_CLOSE int pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return -errno;
	int err = 0;
	if (parent_id && t->had_keeper && !memcmp(parent_id, t->keeper.state.content_id, sizeof(t->keeper.state.content_id))) {
		if ((err = track_look_all(t, c, pagemap)))
			return err;
		t->known = true;
	}
	return t->arm ? track_arm(t, c, pagemap, journal) : 0;
}

int track_pause(struct track *t, const struct collect *c, const uint8_t *parent_id, struct undo_journal *journal)
{
	if (!t->arm && !(parent_id && t->had_keeper))
		return 0;
	int err = report_fault(t->rep, "track.look");
	if (err)
		return err;
	err = track_try(t, c, parent_id, journal);
	if (err == -ESRCH || err == -ECANCELED)
		return report_fail(t->rep, err, "process %d: it has ended", t->pid);
	if (err) {
		report_debug(t->rep, "tracking: not to be had: %s", strerror(-err));
		track_forget(t);
	}
	report_debug(t->rep, "tracking: %s the parent, %s this image", t->known ? "known since" : "nothing known since",
		     t->uffd >= 0 ? "armed for" : "not armed for");
	return report_fault(t->rep, "track.armed");
}

/* The range that `at` lies in or that comes next; `*i` only grows. */
static const struct watch_range *track_range(const struct watch_ranges *r, size_t *i, uint64_t at)
{
	while (*i < r->n && r->items[*i].end <= at)
		++*i;
	return *i < r->n ? &r->items[*i] : NULL;
}

enum track_says track_next(struct track *t, uint64_t start, uint64_t end, uint64_t *ret_end)
{
	const struct watch_range *w = t->known ? track_range(&t->watched, &t->at_watched, start) : NULL;
	bool watched = w && w->start <= start;

	if (w && (watched ? w->end : w->start) < end)
		end = watched ? w->end : w->start;
	if (!watched) {
		*ret_end = end;
		return TRACK_UNKNOWN;
	}
	const struct watch_range *c = track_range(&t->changed, &t->at_changed, start);
	bool changed = c && c->start <= start;
	if (c && (changed ? c->end : c->start) < end)
		end = changed ? c->end : c->start;
	*ret_end = end;
	return changed ? TRACK_CHANGED : TRACK_SAME;
}

bool track_keep(struct track *t, const uint8_t content_id[16])
{
	if (t->uffd < 0 || t->sock < 0)
		return false;
	int err = report_fault(t->rep, "track.keep");
	if (!err)
		err = keeper_begin(STEAL_FD(t->sock), t->pidfd, t->uffd, content_id);
	if (err)
		report_debug(t->rep, "tracking: its keeper has died");
	close(STEAL_FD(t->uffd));
	return !err;
}

void track_finish(struct track *t)
{
	keeper_close(&t->keeper);
	if (t->uffd >= 0)
		close(t->uffd);
	if (t->sock >= 0)
		close(t->sock);
	t->uffd = t->sock = -1;
	track_forget(t);
}
