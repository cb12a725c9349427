// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rings of perf events, read as they come, and a look at the maps of every process. */
#include "track/mapped.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/maps.h"

#define PAGE 4096ul
#define RING_PAGES 64ul /* a power of two; some 1,500 mappings, of whatever file */
#define RING_BYTES (RING_PAGES * PAGE)
#define CPUS_MAX 4096

static int ring_open(int cpu, struct mapped_ring *ret)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY,
					.mmap = 1, .mmap2 = 1, .mmap_data = 1, .task = 1 };
	AUTO_CLOSE int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	void *area = mmap(NULL, PAGE + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	*ret = (struct mapped_ring){ .fd = STEAL_FD(fd), .area = area };
	return 0;
}

int mapped_open(struct mapped *m)
{
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	int err = 0;

	for (int cpu = 0; cpu < CPUS_MAX && (long)m->rings.n < online && !err; cpu++) {
		struct mapped_ring ring;
		err = ring_open(cpu, &ring);
		if (err == -ENODEV) { /* a processor that is off */
			err = 0;
			continue;
		}
		if (!err && vec_push(&m->rings, ring)) {
			munmap(ring.area, PAGE + RING_BYTES);
			close(ring.fd);
			err = -ENOMEM;
		}
	}
	if (!err && (long)m->rings.n < online)
		err = -ENODEV;
	if (err)
		mapped_finish(m);
	return err;
}

struct record {
	struct perf_event_header header;
	union {
		struct {
			uint32_t pid, tid;
			uint64_t addr, len, pgoff;
			uint32_t dev_major, dev_minor;
			uint64_t ino;
		} mmap;
		struct {
			uint32_t pid, ppid;
		} fork;
	};
};

static void record_tell(const struct record *r, void (*event)(void *ctx, const struct mapped_event *e), void *ctx)
{
	struct mapped_event e;

	switch (r->header.type) {
	case PERF_RECORD_MMAP2:
		e = (struct mapped_event){ .what = MAPPED_FILE, .pid = (pid_t)r->mmap.pid, .dev_major = r->mmap.dev_major,
					   .dev_minor = r->mmap.dev_minor, .ino = r->mmap.ino };
		break;
	case PERF_RECORD_FORK:
		if (r->fork.pid == r->fork.ppid)
			return; /* a thread */
		e = (struct mapped_event){ .what = MAPPED_FORK, .pid = (pid_t)r->fork.ppid };
		break;
	case PERF_RECORD_LOST:
		e = (struct mapped_event){ .what = MAPPED_LOST };
		break;
	default:
		return;
	}
	event(ctx, &e);
}

/* What has no room is dropped, and a record says so as soon as there is room again: a ring that is nearly full may have come to that. */
static void ring_read(const struct mapped_ring *ring, void (*event)(void *ctx, const struct mapped_event *e), void *ctx)
{
	struct perf_event_mmap_page *page = ring->area;
	const char *data = (const char *)ring->area + PAGE;
	const uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = page->data_tail;

	if (head - tail > RING_BYTES - 2 * PAGE)
		event(ctx, &(struct mapped_event){ .what = MAPPED_LOST });
	while (tail < head) {
		struct record r = { 0 };
		for (size_t i = 0; i < sizeof(r) && i < head - tail; i++)
			((char *)&r)[i] = data[(tail + i) % RING_BYTES];
		if (!r.header.size)
			break;
		record_tell(&r, event, ctx);
		tail += r.header.size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

void mapped_read(struct mapped *m, void (*event)(void *ctx, const struct mapped_event *e), void *ctx)
{
	if ((long)m->rings.n != sysconf(_SC_NPROCESSORS_ONLN)) /* one has been switched on meanwhile, or none is watched */
		event(ctx, &(struct mapped_event){ .what = MAPPED_LOST });
	vec_each(&m->rings, ring)
		ring_read(ring, event, ctx);
}

void mapped_finish(struct mapped *m)
{
	vec_each(&m->rings, ring) {
		munmap(ring->area, PAGE + RING_BYTES);
		close(ring->fd);
	}
	vec_finish(&m->rings);
}

static int maps_have(pid_t pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas = NULL;
	size_t size, n = 0;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", pid), found = 0;

	if (err == -ENOENT || err == -ESRCH)
		return 0;
	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return err;
	for (size_t i = 0; i < n && !found; i++)
		found = vmas[i].ino == ino && vmas[i].dev_major == dev_major && vmas[i].dev_minor == dev_minor;
	proc_maps_free(vmas, n);
	return found;
}

int mapped_elsewhere(pid_t pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	int found = dir ? 0 : -errno;

	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		const pid_t other = (pid_t)atoi(e->d_name);
		if (other > 1 && other != pid && other != getpid()) /* init may have rights that we lack, and maps nobody's memory */
			found = maps_have(other, dev_major, dev_minor, ino);
	}
	return found;
}
