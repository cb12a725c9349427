// SPDX-License-Identifier: LGPL-2.1-or-later
/* Copies of shared memory, made in rounds while the target runs. They lie in memory files of ours, at the same offsets. */
#include "track/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "inject/freeze.h"
#include "track/watch.h"

#define PAGE 4096ul
#define PAGE_UP(n) (((n) + PAGE - 1) & ~(PAGE - 1))
#define PAYS (8ul << 20)      /* bytes of a file; fewer are copied while the target stands still in some ms */
#define ROOM (64ul << 20)     /* of free memory, to be left over */
#define SLICE (4ul << 20)     /* protected or copied in one call to the kernel */
#define ENOUGH (1ul << 20)    /* may be left for the pause */
#define ROUNDS 12

/* ---- which ---- */

static void file_drop(struct shared_file *f)
{
	if (f->room)
		munmap(f->room, PAGE_UP(f->is.size));
	if (f->source >= 0)
		close(f->source);
	if (f->copy >= 0)
		close(f->copy);
	if (f->notes >= 0)
		close(f->notes);
	vec_finish(&f->windows);
	ranges_finish(&f->copied);
	ranges_finish(&f->again);
}

static bool is_of(const struct proc_vma *v, const struct fd_memory *m)
{
	return v->ino == m->ino && v->dev_major == m->dev_major && v->dev_minor == m->dev_minor;
}

/* Those by which it could be written to. -EOPNOTSUPP when there is another use of it that would have to be watched. */
static int file_windows(struct shared_file *f, const struct collect *c)
{
	for (size_t i = 0; i < c->n_vmas; i++) {
		const struct proc_vma *v = &c->vmas[i];
		if (!is_of(v, &f->is) || !v->shared || !(v->vm_flags & PROC_VMA_MW))
			continue;
		if (!v->has_vm_flags || v->vm_flags & PROC_VMA_SL)
			return -EOPNOTSUPP;
		if (vec_push(&f->windows, ((struct shared_window){ v->start, v->end, v->offset })))
			return -ENOMEM;
	}
	return f->windows.n ? 0 : -EOPNOTSUPP;
}

struct choice {
	struct shared *s;
	const struct collect *c;
	bool all;
	uint64_t room; /* bytes that copies may take */
};

/* fd_capture_memory() */
static int choose_file(void *ctx, const struct fd_memory *m, int source)
{
	struct choice *choice = ctx;
	struct shared *s = choice->s;
	struct shared_file f = { .is = *m, .source = source, .copy = -1, .notes = -1 };

	if (m->allocated < (choice->all ? PAGE : PAYS) || m->allocated > choice->room) {
		close(source);
		return 0;
	}
	int err = file_windows(&f, choice->c);
	if (!err && (f.copy = memfd_create("stasis-copy", MFD_CLOEXEC)) < 0)
		err = -errno;
	if (!err && ftruncate(f.copy, (off_t)PAGE_UP(m->size)))
		err = -errno;
	if (!err) {
		f.room = mmap(NULL, PAGE_UP(m->size), PROT_READ | PROT_WRITE, MAP_SHARED, f.copy, 0);
		if (f.room == MAP_FAILED) {
			f.room = NULL;
			err = -errno;
		}
	}
	if (!err)
		err = vec_push(&s->files, f);
	if (err) {
		report_debug(s->rep, "shared memory: inode %lu: %s", m->ino, strerror(-err));
		file_drop(&f);
		return err == -ENOMEM ? report_fail(s->rep, err, "no memory") : 0;
	}
	choice->room -= m->allocated;
	return 0;
}

int shared_choose(struct shared *s, struct fd_capture *files, const struct collect *c, bool all)
{
	const uint64_t available = memory_available();
	struct choice choice = { .s = s, .c = c, .all = all, .room = available > ROOM ? (available - ROOM) / 4 : 0 };

	s->rep = c->rep;
	s->pid = c->proc.pid;
	int err = fd_capture_memory(files, choose_file, &choice);
	return err ? err : s->files.n > 0;
}

/* ---- what speaks against it ---- */

static void doubt(struct shared *s, struct shared_file *f, const char *why)
{
	if (!f->doubt)
		report_debug(s->rep, "shared memory: inode %lu: %s", f->is.ino, why);
	f->doubt = f->doubt ? f->doubt : why;
}

static void seen(void *ctx, const struct mapped_event *e)
{
	struct shared *s = ctx;

	vec_each(&s->files, f) {
		if (e->what == MAPPED_LOST)
			doubt(s, f, "there was too much to see whether it was mapped");
		else if (e->what == MAPPED_FORK && e->pid == s->pid && !s->stopped) /* else it was our doing */
			doubt(s, f, "the target has forked");
		else if (e->what == MAPPED_FILE && e->ino == f->is.ino && e->dev_major == f->is.dev_major && e->dev_minor == f->is.dev_minor)
			doubt(s, f, "it was mapped once more");
	}
}

static int notes_of(int fd)
{
	char path[40];
	AUTO_CLOSE int notes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return notes < 0 || inotify_add_watch(notes, path, IN_MODIFY) < 0 ? -errno : STEAL_FD(notes);
}

static bool notes_are_there(int notes)
{
	char buf[4096] __attribute__((aligned(8)));
	bool any = false;

	for (ssize_t n; (n = read(notes, buf, sizeof(buf))) > 0;)
		any = true;
	return any;
}

/* Whether inotify tells of what is done by the descriptor of a new memory file; that of a path always does (but for one of /proc/PID/fd,
 * which is found by its file). */
static bool notes_of_memfd(void)
{
	AUTO_CLOSE int fd = memfd_create("stasis-try", MFD_CLOEXEC);
	AUTO_CLOSE int notes = fd < 0 ? -1 : notes_of(fd);

	return notes >= 0 && pwrite(fd, "", 1, 0) == 1 && notes_are_there(notes);
}

/* A name that leads to it: then it was not made by memfd_create(2) or for shared anonymous memory. */
static bool has_name(const struct shared_file *f)
{
	struct stat st;

	return !fstat(f->source, &st) && st.st_nlink > 0;
}

/* ---- rounds ---- */

/* What a file has in it, by offset. */
static int file_data(const struct shared_file *f, struct ranges *ret)
{
	const uint64_t size = PAGE_UP(f->is.size);

	for (uint64_t pos = 0; pos < f->is.size;) {
		const off_t data = lseek(f->source, (off_t)pos, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		const off_t hole = data < 0 ? -1 : lseek(f->source, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		uint64_t start = (uint64_t)data & ~(PAGE - 1);
		pos = PAGE_UP((uint64_t)hole);
		if (pos > size)
			pos = size;
		if (start < pos && ranges_add(ret, start, pos))
			return -ENOMEM;
	}
	return 0;
}

/* The parts of a file that a window shows, as addresses. */
static int shown(const struct shared_window *w, const struct ranges *what, struct ranges *ret)
{
	const uint64_t end = w->offset + (w->end - w->start);

	vec_each(what, it) {
		const uint64_t from = it->start > w->offset ? it->start : w->offset, to = it->end < end ? it->end : end;
		if (from < to && ranges_add(ret, w->start + (from - w->offset), w->start + (to - w->offset)))
			return -ENOMEM;
	}
	return 0;
}

/* And back. */
static int shows(const struct shared_window *w, const struct ranges *what, struct ranges *ret)
{
	vec_each(what, it)
		if (ranges_add(ret, w->offset + (it->start - w->start), w->offset + (it->end - w->start)))
			return -ENOMEM;
	return 0;
}

/* Adds what of `part` this window may have changed: all that it shows but what is known to be as it was. */
static int window_changed(const struct shared *s, const struct shared_window *w, const struct ranges *part, struct ranges *changed)
{
	struct ranges all = { 0 }, same = { 0 }, offsets = { 0 };
	int err = shown(w, part, &all);

	if (!err && all.n)
		err = watch_unchanged(s->pagemap, all.items[0].start, all.items[all.n - 1].end, &same);
	if (!err && !(err = ranges_subtract(&all, &same)) && !(err = shows(w, &all, &offsets)))
		err = ranges_unite(changed, &offsets);
	ranges_finish(&all);
	ranges_finish(&same);
	ranges_finish(&offsets);
	return err;
}

static int window_protect(const struct shared *s, const struct shared_window *w, const struct ranges *what)
{
	struct ranges parts = { 0 };
	int err = shown(w, what, &parts);

	vec_each(&parts, it)
		for (uint64_t at = it->start, next; at < it->end && !err; at = next) {
			next = (at + SLICE) & ~(SLICE - 1);
			err = watch_protect(s->uffd, at, next < it->end ? next : it->end);
		}
	ranges_finish(&parts);
	return err;
}

static int windows_changed(const struct shared *s, const struct shared_file *f, const struct ranges *part, struct ranges *changed)
{
	int err = 0;

	vec_each(&f->windows, w)
		if (!err)
			err = window_changed(s, w, part, changed);
	return err;
}

/* What of [start, end) is no hole, page by page: where a stretch of data ends the kernel finds by looking at every page. */
static int data_within(const struct shared_file *f, uint64_t start, uint64_t end, struct ranges *ret)
{
	for (uint64_t at = start; at < end; at += PAGE) {
		const off_t data = lseek(f->source, (off_t)at, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		at = (uint64_t)data & ~(PAGE - 1);
		if (at < end && ranges_add(ret, at, at + PAGE))
			return -ENOMEM;
	}
	return 0;
}

/* What has to be copied once more, and what had been copied and is a hole by now. Pages that no mapping of the target shows are written to
 * by descriptor only. */
static int file_changed(const struct shared *s, const struct shared_file *f, struct ranges *ret, struct ranges *gone)
{
	struct ranges all = { 0 }, changed = { 0 };
	int err = ranges_add(&all, 0, PAGE_UP(f->is.size));

	if (!err)
		err = windows_changed(s, f, &all, &changed);
	vec_each(&changed, it)
		if (!err)
			err = data_within(f, it->start, it->end, ret);
	if (!err && !(err = ranges_unite(gone, &changed)) && !(err = ranges_intersect(gone, &f->copied)))
		err = ranges_subtract(gone, ret);
	ranges_finish(&all);
	ranges_finish(&changed);
	return err;
}

static int copy_range(const struct shared *s, const struct shared_file *f, uint64_t start, uint64_t end)
{
	while (start < end) {
		if (report_cancelled(s->rep))
			return -ECANCELED;
		const ssize_t n = pread(f->source, f->room + start, end - start < SLICE ? end - start : SLICE, (off_t)start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n) { /* the rest of the last page, which is zero */
			memset(f->room + start, 0, end - start);
			return 0;
		}
		start += (uint64_t)n;
	}
	return 0;
}

static int file_copy(const struct shared *s, struct shared_file *f, const struct ranges *what)
{
	int err = 0;

	vec_each(what, it)
		if (!err)
			err = copy_range(s, f, it->start, it->end);
	return err ? err : ranges_unite(&f->copied, what);
}

/* All that it has in it, or what has changed since. Pages are protected in all windows before any of them is copied. */
static int file_protect(const struct shared *s, struct shared_file *f)
{
	struct ranges gone = { 0 }; /* or not, in the end */

	ranges_finish(&f->again);
	int err = f->copied.n ? file_changed(s, f, &f->again, &gone) : file_data(f, &f->again);
	ranges_finish(&gone);
	vec_each(&f->windows, w)
		if (!err)
			err = window_protect(s, w, &f->again);
	return err;
}

/* What goes wrong with a file is no failure: it is copied as a whole. */
static int file_failed(struct shared *s, struct shared_file *f, int err)
{
	if (err == -ECANCELED)
		return err;
	doubt(s, f, strerror(-err));
	return 0;
}

/* What is of no use takes no room any more. */
static void forget_doubtful(struct shared *s)
{
	vec_each(&s->files, f) {
		if (!f->doubt || f->copy < 0)
			continue;
		munmap(f->room, PAGE_UP(f->is.size));
		f->room = NULL;
		close(STEAL_FD(f->copy));
	}
}

int shared_round(struct shared *s, uint64_t *ret_bytes)
{
	int err = s->files.n ? report_fault(s->rep, "shared.round") : 0;

	*ret_bytes = 0;
	mapped_read(&s->mapped, seen, s);
	vec_each(&s->files, f)
		if (!err && !f->doubt && (err = file_protect(s, f)))
			err = file_failed(s, f, err);
	if (!err && s->files.n)
		err = freeze_drain(s->rep, s->pid, s->timeout_ms);
	vec_each(&s->files, f) {
		if (err || f->doubt)
			continue;
		*ret_bytes += ranges_bytes(&f->again);
		if ((err = file_copy(s, f, &f->again)))
			err = file_failed(s, f, err);
	}
	mapped_read(&s->mapped, seen, s);
	forget_doubtful(s);
	return err;
}

static int file_begin(struct shared *s, struct shared_file *f)
{
	int err = mapped_elsewhere(s->pid, f->is.dev_major, f->is.dev_minor, f->is.ino);

	if (err > 0)
		doubt(s, f, "another process has mapped it");
	if (!err && (f->notes = notes_of(f->source)) < 0)
		err = f->notes;
	f->told = has_name(f) || notes_of_memfd();
	vec_each(&f->windows, w)
		if (err >= 0 && !f->doubt && (err = watch_register(s->uffd, w->start, w->end)))
			break;
	return err < 0 ? file_failed(s, f, err) : 0;
}

int shared_run(struct shared *s, int uffd, unsigned timeout_ms)
{
	uint64_t last = UINT64_MAX, bytes = 0;
	char path[40];

	s->uffd = uffd;
	s->timeout_ms = timeout_ms;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", s->pid);
	s->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	int err = s->pagemap < 0 ? -errno : mapped_open(&s->mapped); /* before anybody looks who has mapped it */
	vec_each(&s->files, f)
		if (err)
			doubt(s, f, strerror(-err));
	if (err) {
		forget_doubtful(s);
		return 0;
	}
	vec_each(&s->files, f)
		if (!err)
			err = file_begin(s, f);
	for (unsigned round = 0; !err && round < ROUNDS; round++, last = bytes) {
		err = shared_round(s, &bytes);
		report_debug(s->rep, "shared memory: round %u: %lu KiB", round, bytes >> 10);
		if (round && (bytes <= ENOUGH || (round > 1 && bytes > last / 4 * 3)))
			break;
	}
	return err;
}

/* ---- while the target is stopped ---- */

void shared_stopped(struct shared *s)
{
	mapped_read(&s->mapped, seen, s);
	s->stopped = true;
}

static bool windows_are_the_same(const struct shared *s, const struct shared_file *f)
{
	struct shared_file now = { .is = f->is };
	bool same = !file_windows(&now, s->now) && now.windows.n == f->windows.n &&
		    !memcmp(now.windows.items, f->windows.items, f->windows.n * sizeof(*f->windows.items));

	vec_each(&f->windows, w)
		same = same && !watch_is_ours(s->uffd, w->start, w->end);
	vec_finish(&now.windows);
	return same;
}

static int file_last(struct shared *s, struct shared_file *f)
{
	struct ranges changed = { 0 }, gone = { 0 };
	int err = file_changed(s, f, &changed, &gone);

	if (!err)
		err = file_copy(s, f, &changed);
	vec_each(&gone, it)
		if (!err && fallocate(f->copy, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)it->start, (off_t)(it->end - it->start)))
			err = -errno;
	report_debug(s->rep, "shared memory: inode %lu: last %lu KiB of %lu", f->is.ino, ranges_bytes(&changed) >> 10, ranges_bytes(&f->copied) >> 10);
	ranges_finish(&changed);
	ranges_finish(&gone);
	return err;
}

int shared_copied(void *shared, const struct fd_memory *now)
{
	struct shared *s = shared;
	struct shared_file *f = NULL;

	vec_each(&s->files, it)
		if (it->copy >= 0 && it->is.ino == now->ino && it->is.dev_major == now->dev_major && it->is.dev_minor == now->dev_minor)
			f = it;
	if (!f)
		return -ENOENT;
	int err = report_fault(s->rep, "shared.pause");
	if (err)
		return err;
	mapped_read(&s->mapped, seen, s);
	if (!f->doubt && (f->is.size != now->size || notes_are_there(f->notes)))
		doubt(s, f, "it was written to by descriptor");
	if (!f->doubt && !windows_are_the_same(s, f))
		doubt(s, f, "its mappings are others");
	if (!f->doubt && (err = file_last(s, f)))
		doubt(s, f, strerror(-err));
	f->used = !f->doubt;
	return f->used ? STEAL_FD(f->copy) : -ENOENT;
}

/* ---- when it runs again ---- */

/* The pages in which [start, end) of the file, SLICE at most, is another than its copy. */
static int compare(const struct shared_file *f, uint8_t *buf, uint64_t start, uint64_t end, struct ranges *differ)
{
	ssize_t n;

	while ((n = pread(f->source, buf, end - start, (off_t)start)) < 0)
		if (errno != EINTR)
			return -errno;
	memset(buf + n, 0, end - start - (size_t)n); /* the rest of the last page */
	for (uint64_t at = start; at < end; at += PAGE)
		if (memcmp(buf + (at - start), f->room + at, PAGE) && ranges_add(differ, at, at + PAGE))
			return -ENOMEM;
	return 0;
}

/* What is another may have been written to meanwhile: it counts if it is unchanged still. */
static int compare_piece(const struct shared *s, const struct shared_file *f, uint8_t *buf, uint64_t start, uint64_t end)
{
	struct ranges differ = { 0 }, changed = { 0 };
	int err = report_cancelled(s->rep) ? -ECANCELED : compare(f, buf, start, end, &differ);

	if (!err && differ.n)
		err = windows_changed(s, f, &differ, &changed);
	if (!err && !(err = ranges_subtract(&differ, &changed)) && differ.n)
		err = -ESTALE;
	ranges_finish(&differ);
	ranges_finish(&changed);
	return err;
}

static int file_verify(const struct shared *s, const struct shared_file *f, uint8_t *buf)
{
	struct ranges same = { 0 }, changed = { 0 };
	int err = ranges_unite(&same, &f->copied);

	if (!err)
		err = windows_changed(s, f, &same, &changed);
	if (!err)
		err = ranges_subtract(&same, &changed);
	vec_each(&same, it)
		for (uint64_t at = it->start, next; at < it->end && !err; at = next) {
			next = (at + SLICE) & ~(SLICE - 1);
			if (next > it->end)
				next = it->end;
			err = compare_piece(s, f, buf, at, next);
		}
	ranges_finish(&same);
	ranges_finish(&changed);
	return err;
}

int shared_verify(struct shared *s)
{
	AUTO_FREE uint8_t *buf = NULL;
	int err = 0;

	vec_each(&s->files, f) {
		if (err || !f->used || f->told)
			continue;
		if (!buf && !(buf = malloc(SLICE)))
			return -ENOMEM;
		err = file_verify(s, f, buf);
	}
	return err == -ECANCELED || !err ? err : -ESTALE;
}

void shared_finish(struct shared *s)
{
	vec_each(&s->files, f) {
		vec_each(&f->windows, w)
			if (s->uffd >= 0)
				watch_end(s->uffd, w->start, w->end, 1);
		file_drop(f);
	}
	if (s->uffd >= 0)
		close(STEAL_FD(s->uffd));
	if (s->pagemap >= 0)
		close(STEAL_FD(s->pagemap));
	mapped_finish(&s->mapped);
	vec_finish(&s->files);
}
