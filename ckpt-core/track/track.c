// SPDX-License-Identifier: LGPL-2.1-or-later
/* Dirty tracking as one checkpoint sees it: what the last one has left, what has changed, what the next one will find. */
#include "track/track.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "track/soft.h"
#include "track/watch.h"

#define TRACK_MIN_BYTES 65536 /* of a mapping */

static void track_prepare(struct track *t)
{
	int err = keeper_prepare(&t->sock);

	if (err)
		report_debug(t->rep, "tracking: no process to keep it: %s", strerror(-err));
	t->arm = !err;
}

void track_begin(struct track *t, struct reporter *rep, pid_t pid, int pidfd, bool arm)
{
	t->pidfd = pidfd;
	if (t->rep)
		return;
	t->rep = rep;
	t->pid = pid;
	if (arm)
		track_prepare(t);
	keeper_find(pid, &t->keeper);
	t->had_keeper = t->keeper.pidfd >= 0;
}

/* A keeper that is to end the watch may have done so. */
static bool track_is_ours(const struct track *t)
{
	return t->keeper.state.n_ends || keeper_is_alive(&t->keeper);
}

int track_take(struct track *t)
{
	int uffd = -1;

	if (t->had_keeper && track_is_ours(t) && !keeper_end(&t->keeper))
		uffd = STEAL_FD(t->keeper.uffd);
	keeper_close(&t->keeper);
	t->had_keeper = false;
	return uffd;
}

void track_adopt(struct track *t, int uffd, struct ranges *marked)
{
	t->uffd = uffd;
	t->marked = *marked;
	*marked = (struct ranges){ 0 };
}

static bool is_tracked(const struct collect *c, size_t i)
{
	const struct rec_vma *v = &c->mappings.items[i];

	return v->kind == VMA_ANON && !v->shared && !c->whole.items[i] && v->end - v->start >= TRACK_MIN_BYTES;
}

static void track_forget(struct track *t)
{
	ranges_finish(&t->watched);
	ranges_finish(&t->changed);
	t->known = false;
}

/* What of the mapping was written to; nothing is known of one that nobody watches. */
static int track_look(struct track *t, int pagemap, const struct rec_vma *v, struct ranges *watched, struct ranges *changed)
{
	int err = watch_changed(pagemap, v->start, v->end, changed);

	if (err == -EPERM)
		return 0;
	if (!err)
		err = watch_is_ours(t->uffd, v->start, v->end);
	return err ? err : ranges_add(watched, v->start, v->end);
}

static int track_list(const struct collect *c, struct ranges *ret)
{
	int err = 0;

	for (size_t i = 0; i < c->mappings.n && !err; i++)
		if (is_tracked(c, i))
			err = ranges_add(ret, c->mappings.items[i].start, c->mappings.items[i].end);
	return err;
}

static int track_look_all(struct track *t, const struct collect *c, int pagemap, struct ranges *watched, struct ranges *changed)
{
	struct ranges tracked = { 0 };
	int err = 0;

	if (t->uffd < 0) {
		if (!(err = track_list(c, &tracked)))
			err = soft_changed(t->notes, pagemap, &tracked, watched, changed);
		ranges_finish(&tracked);
	}
	for (size_t i = 0; i < c->mappings.n && t->uffd >= 0 && !err; i++)
		if (is_tracked(c, i))
			err = track_look(t, pagemap, &c->mappings.items[i], watched, changed);
	return err;
}

/* Adds what has happened since the marks were made to what is known since the parent; which is nothing more if they were made
 * for it. */
static int track_learn(struct track *t, const struct collect *c, int pagemap)
{
	struct ranges watched = { 0 }, changed = { 0 };
	int err = track_look_all(t, c, pagemap, &watched, &changed);

	if (!err && t->known && !(err = ranges_intersect(&t->watched, &watched)))
		err = ranges_unite(&t->changed, &changed);
	if (!err && !t->known) {
		t->watched = watched;
		t->changed = changed;
		t->known = true;
		return 0;
	}
	ranges_finish(&watched);
	ranges_finish(&changed);
	return err;
}

static int track_mark(struct track *t, const struct collect *c, int pagemap)
{
	size_t at_marked = 0;
	uint64_t end;
	int err = 0;

	for (size_t i = 0; i < c->mappings.n && !err; i++) {
		const struct rec_vma *v = &c->mappings.items[i];
		if (!is_tracked(c, i) || ranges_have(&t->marked, &at_marked, v->start, v->end, &end))
			continue;
		err = watch_arm(t->uffd, pagemap, v->start, v->end);
		if (err == -EINVAL) { /* of a kind that cannot be watched: the next checkpoint compares it */
			report_debug(t->rep, "tracking: mapping %lx-%lx cannot be watched", v->start, v->end);
			err = 0;
		}
	}
	return err;
}

static void track_close(struct track *t)
{
	if (t->uffd >= 0)
		close(t->uffd);
	if (t->notes >= 0)
		close(t->notes);
	t->uffd = t->notes = -1;
	ranges_finish(&t->marked);
	t->armed = false;
}

static int track_watch(struct track *t, const struct collect *c, int pagemap, struct undo_journal *journal)
{
	bool old = t->uffd >= 0;
	int err = 0;

	if (!old)
		err = t->uffd = watch_open(c->worker, &c->place, journal);
	if (err >= 0 && t->notes < 0)
		err = t->notes = memfd_create(KEEPER_NAME, MFD_CLOEXEC);
	err = err < 0 ? err : track_mark(t, c, pagemap);
	if (err == -ESRCH && old) { /* another program than then */
		track_close(t);
		return track_watch(t, c, pagemap, journal);
	}
	return err;
}

/* The first page of the program text that the stub is at the end of; 0 if that is one page only. */
static uint64_t track_canary(const struct collect *c)
{
	for (size_t i = 0; i < c->n_vmas; i++)
		if (c->place.stub >= c->vmas[i].start && c->place.stub < c->vmas[i].end &&
		    c->vmas[i].end - c->vmas[i].start > 4096)
			return c->vmas[i].start;
	return 0;
}

static int track_soft(struct track *t, const struct collect *c, int pagemap)
{
	struct ranges tracked = { 0 };
	uint64_t canary = track_canary(c);
	int err = canary ? track_list(c, &tracked) : -EINVAL;

	if (!err)
		err = t->notes = soft_arm(t->pid, pagemap, &tracked, canary);
	ranges_finish(&tracked);
	return err < 0 ? err : 0;
}

/* Begins anew, with the userfaultfd of the last time if there is one that is of this memory. */
static int track_arm(struct track *t, const struct collect *c, int pagemap, struct undo_journal *journal)
{
	int err = t->keeper.pidfd >= 0 ? keeper_end(&t->keeper) : 0;

	if (err)
		return err;
	if (t->uffd < 0 && t->notes >= 0) {
		close(t->notes);
		t->notes = -1;
	}
	err = report_is_armed(t->rep, "track.soft") ? -EINVAL : track_watch(t, c, pagemap, journal);
	if (err == -EINVAL || err == -ENOSYS || err == -EPERM) {
		report_debug(t->rep, "tracking: no userfaultfd for it: %s", strerror(-err));
		track_close(t);
		err = track_soft(t, c, pagemap);
	}
	t->armed = !err;
	return err;
}

/* The order matters: what is known must have been read before anything is marked anew. */
static int track_try(struct track *t, const struct collect *c, const uint8_t *parent_id, struct undo_journal *journal)
{
	char path[40];
	int err = 0;
	bool since_parent = t->known;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", t->pid);
	AUTO_CLOSE int pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return -errno;
	if (!t->armed) { /* not for the second time */
		if (t->had_keeper && !track_is_ours(t))
			return -EBUSY; /* it has died, or another checkpoint was faster */
		if (t->uffd < 0)
			t->uffd = STEAL_FD(t->keeper.uffd);
		t->notes = STEAL_FD(t->keeper.notes);
		since_parent = parent_id && t->had_keeper &&
		               !memcmp(parent_id, t->keeper.state.content_id, sizeof(t->keeper.state.content_id));
	}
	if (since_parent)
		err = track_learn(t, c, pagemap);
	if (err == -ESTALE) { /* the marks are not ours */
		track_forget(t);
		err = 0;
	}
	return !err && t->arm ? track_arm(t, c, pagemap, journal) : err;
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
		track_close(t);
	}
	const char *how = !t->armed ? "not armed for" : t->uffd < 0 ? "armed (soft-dirty) for" : "armed (userfaultfd) for";
	report_debug(t->rep, "tracking: %s the parent, %s this image", t->known ? "known since" : "nothing known since", how);
	return report_fault(t->rep, "track.armed");
}

enum track_says track_next(struct track *t, uint64_t start, uint64_t end, uint64_t *ret_end)
{
	*ret_end = end;
	if (!t->known || !ranges_have(&t->watched, &t->at_watched, start, end, ret_end))
		return TRACK_UNKNOWN;
	return ranges_have(&t->changed, &t->at_changed, start, *ret_end, ret_end) ? TRACK_CHANGED : TRACK_SAME;
}

bool track_keep(struct track *t, const uint8_t content_id[16])
{
	if (!t->armed || t->sock < 0)
		return false;
	int err = report_fault(t->rep, "track.keep");
	if (!err)
		err = keeper_begin(STEAL_FD(t->sock), t->pidfd, t->notes, t->uffd, content_id, NULL);
	if (err)
		report_debug(t->rep, "tracking: its keeper has died");
	track_close(t);
	return !err;
}

void track_finish(struct track *t)
{
	keeper_close(&t->keeper);
	track_close(t);
	if (t->sock >= 0)
		close(t->sock);
	t->sock = -1;
	track_forget(t);
}
