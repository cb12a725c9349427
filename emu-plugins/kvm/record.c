// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's part for KVM: keeps in the journal what the kernel will not tell afterwards, and gates KVM_RUN.
 *
 * Theory of operation. KVM_RUN is the way of all exits: a load for the descriptor, a branch for the gate, and two stores by which the
 * plugin tells whether an exit still has to be completed. A call that changes what can only be recorded is made with the journal's
 * turn held, so that a stop either sees call and entry, or sees that it has come in between (recorder_root.busy). Everything else
 * goes straight to the kernel. Tests: kvm-journal (unit), kvm-checkpoints-at-random-moments. */
#include "record.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "requests.h"

#define DESCRIPTORS 65536

static struct kvm_journal journal = { .version = KVM_JOURNAL_VERSION, .size = sizeof(journal) };
static uint16_t object_of[DESCRIPTORS]; /* index + 1; 0 = none known */

static long call(int fd, unsigned long request, void *arg)
{
	return recorder_call(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

static struct kvm_object *objects(void)
{
	return (struct kvm_object *)journal.objects;
}

static struct kvm_entry *entries(void)
{
	return (struct kvm_entry *)journal.entries;
}

static void journal_init(struct recorder_section *section)
{
	void *o = recorder_memory(sizeof(struct kvm_object) * KVM_OBJECTS), *e = recorder_memory(sizeof(struct kvm_entry) * KVM_ENTRIES);

	if (!o || !e)
		return;
	journal.objects = (uint64_t)o;
	journal.entries = (uint64_t)e;
	*section = (struct recorder_section){ .name = "kvm", .addr = (uint64_t)&journal, .size = sizeof(journal) };
}

/* ---- objects ---- */

static uint32_t object_index(const struct kvm_object *o)
{
	return (uint32_t)(o - objects());
}

/* The number was used before: whatever had it is closed, or known by another number that has not been seen. */
static void object_forget(int fd)
{
	for (uint32_t i = 0; i < journal.n_objects; i++)
		if (objects()[i].kind && objects()[i].fd == fd)
			objects()[i].kind = KVM_OBJECT_NONE;
}

static void entries_forget(uint32_t object)
{
	for (uint32_t i = 0; i < journal.n_entries; i++)
		if (entries()[i].live && entries()[i].object == object)
			entries()[i].live = 0;
}

static struct kvm_object *object_add(int fd, enum kvm_object_kind kind, const struct kvm_object *parent, uint32_t id)
{
	uint32_t i = 0;

	object_forget(fd);
	while (i < journal.n_objects && objects()[i].kind)
		i++;
	if (i == KVM_OBJECTS) {
		recorder_break();
		return NULL;
	}
	if (i == journal.n_objects)
		journal.n_objects++;
	entries_forget(i);
	struct kvm_object *o = &objects()[i];
	uint64_t lines = o->lines;
	*o = (struct kvm_object){ .kind = kind, .fd = fd, .parent = parent ? object_index(parent) : i, .id = id, .seq = ++journal.seq };
	if (kind == KVM_OBJECT_VM) {
		o->lines = lines ? lines : (uint64_t)recorder_memory(KVM_LINES / 8);
		if (o->lines)
			memset((void *)o->lines, 0, KVM_LINES / 8);
	}
	if (fd < DESCRIPTORS)
		object_of[fd] = (uint16_t)(i + 1);
	recorder_claim(fd, &kvm_recorder_kind);
	return o;
}

static struct kvm_object *object_by_fd(int fd)
{
	if ((unsigned)fd < DESCRIPTORS && object_of[fd]) {
		struct kvm_object *o = &objects()[object_of[fd] - 1];
		if (o->kind)
			return o;
	}
	return NULL;
}

/* A copy of a known descriptor (dup, or handed over a socket), recognised by what it has open. */
static struct kvm_object *object_resolve(int fd)
{
	struct kvm_object *o = object_by_fd(fd);
	long pid = recorder_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	for (uint32_t i = 0; !o && i < journal.n_objects; i++)
		if (objects()[i].kind && !recorder_call(SYS_kcmp, pid, pid, KCMP_FILE, fd, objects()[i].fd, 0))
			o = &objects()[i];
	if (o && (unsigned)fd < DESCRIPTORS) {
		object_of[fd] = (uint16_t)(object_index(o) + 1);
		recorder_claim(fd, &kvm_recorder_kind);
	}
	return o;
}

static long create_object(int fd, unsigned long request, void *arg)
{
	struct recorder_turn turn;
	const struct kvm_object *on = request == KVM_CREATE_VM ? NULL : object_resolve(fd);

	recorder_begin(&turn);
	long result = call(fd, request, arg);
	if (result >= 0 && request == KVM_CREATE_VM) {
		object_add((int)result, KVM_OBJECT_VM, NULL, (uint32_t)(uint64_t)arg);
	} else if (result >= 0 && !on) {
		recorder_break();
	} else if (result >= 0 && request == KVM_CREATE_VCPU) {
		object_add((int)result, KVM_OBJECT_VCPU, on, (uint32_t)(uint64_t)arg);
	} else if (result >= 0 && request == KVM_GET_STATS_FD) {
		object_add((int)result, KVM_OBJECT_STATS, on, 0);
	} else if (result >= 0) {
		const struct kvm_create_device *device = arg;
		if (!(device->flags & KVM_CREATE_DEVICE_TEST))
			object_add((int)device->fd, KVM_OBJECT_DEVICE, on, device->type);
	}
	recorder_end(&turn);
	return result;
}

/* ---- entries ---- */

static struct kvm_entry *entry_find(uint32_t object, uint64_t request, uint64_t key)
{
	for (uint32_t i = 0; i < journal.n_entries; i++) {
		struct kvm_entry *e = &entries()[i];
		if (e->live && e->object == object && e->request == request && e->key == key)
			return e;
	}
	return NULL;
}

/* A free one, rather one that has room already. */
static struct kvm_entry *entry_new(size_t size)
{
	struct kvm_entry *found = NULL;

	for (uint32_t i = 0; i < journal.n_entries && (!found || found->room < size); i++)
		if (!entries()[i].live && (!found || entries()[i].room >= size))
			found = &entries()[i];
	if (found)
		return found;
	if (journal.n_entries == KVM_ENTRIES) {
		recorder_break();
		return NULL;
	}
	return &entries()[journal.n_entries++];
}

static void entry_set(uint32_t object, uint64_t request, uint64_t key, const void *data, size_t size, uint32_t flags)
{
	struct kvm_entry *e = entry_find(object, request, key);

	if (!e && !(e = entry_new(size)))
		return;
	e->live = 0;
	if (size > e->room) {
		/* Tables grow little by little: leave room for that. */
		size_t room = size < 64 ? 64 : size * 2;
		void *p = recorder_memory(room);
		if (!p)
			return;
		e->data = (uint64_t)p;
		e->room = (uint32_t)room;
	}
	if (size)
		memcpy((void *)e->data, data, size);
	e->object = object;
	e->request = request;
	e->key = key;
	e->seq = ++journal.seq;
	e->size = (uint32_t)size;
	e->flags = flags;
	e->live = 1;
}

static void entry_drop(uint32_t object, uint64_t request, uint64_t key)
{
	struct kvm_entry *e = entry_find(object, request, key);

	if (e)
		e->live = 0;
}

static uint64_t key_of(const void *data, size_t size, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t key = 0xcbf29ce484222325ull ^ seed;

	for (size_t i = 0; i < size; i++)
		key = (key ^ p[i]) * 0x100000001b3ull;
	return key;
}

/* ---- the argument of a recorded call, flat ---- */

/* The bitmaps follow the struct in the order of its ranges. */
static void note_msr_filter(uint32_t object, const struct kvm_msr_filter *f)
{
	uint8_t flat[sizeof(*f) + 16 * 0x600];
	size_t size = sizeof(*f);

	memcpy(flat, f, sizeof(*f));
	for (size_t i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		size_t bytes = (f->ranges[i].nmsrs + 7) / 8;
		if (!bytes)
			continue;
		if (bytes > 0x600 || size + bytes > sizeof(flat)) {
			recorder_break();
			return;
		}
		memcpy(flat + size, f->ranges[i].bitmap, bytes);
		size += bytes;
	}
	entry_set(object, KVM_X86_SET_MSR_FILTER, 0, flat, size, 0);
}

static size_t arg_size(const struct kvm_request *r, const void *arg)
{
	switch (r->shape) {
	case KVM_ARG_ROUTING:
		return sizeof(struct kvm_irq_routing) + ((const struct kvm_irq_routing *)arg)->nr * sizeof(struct kvm_irq_routing_entry);
	case KVM_ARG_MASK:
		return sizeof(struct kvm_signal_mask) + ((const struct kvm_signal_mask *)arg)->len;
	case KVM_ARG_PMU_FILTER:
		return sizeof(struct kvm_pmu_event_filter) + ((const struct kvm_pmu_event_filter *)arg)->nevents * sizeof(uint64_t);
	case KVM_ARG_REINJECT:
		return sizeof(struct kvm_reinject_control);
	default:
		return _IOC_SIZE(r->request);
	}
}

/* Whether this call takes back what an earlier one with the same key did. */
static bool takes_back(uint64_t request, const void *arg)
{
	switch (request) {
	case KVM_IRQFD:
		return ((const struct kvm_irqfd *)arg)->flags & KVM_IRQFD_FLAG_DEASSIGN;
	case KVM_IOEVENTFD:
		return ((const struct kvm_ioeventfd *)arg)->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	case KVM_HYPERV_EVENTFD:
		return ((const struct kvm_hyperv_eventfd *)arg)->flags & KVM_HYPERV_EVENTFD_DEASSIGN;
	case KVM_SET_SIGNAL_MASK:
		return !arg;
	}
	return false;
}

static void note(struct kvm_object *o, const struct kvm_request *r, void *arg)
{
	uint32_t object = object_index(o);
	uint64_t value = (uint64_t)arg, seed = 0, key = 0;

	if (r->request == KVM_SET_TSC_KHZ && o->kind == KVM_OBJECT_VCPU)
		return; /* can be read */
	if (r->shape == KVM_ARG_VALUE) {
		entry_set(object, r->request, 0, &value, sizeof(value), 0);
		return;
	}
	if (r->request == KVM_IOEVENTFD)
		seed = ((const struct kvm_ioeventfd *)arg)->flags & KVM_IOEVENTFD_FLAG_PIO;
	if (r->key_size)
		key = key_of((const char *)arg + r->key_offset, r->key_size, seed);
	if (takes_back(r->request, arg))
		entry_drop(object, r->request, key);
	else if (r->shape == KVM_ARG_MSR_FILTER)
		note_msr_filter(object, arg);
	else
		entry_set(object, r->request, key, arg, arg_size(r, arg), 0);
}

/* KVM_SET_USER_MEMORY_REGION and its younger sister, which begins in the same way. A slot of no size is none. */
static void note_slot(struct kvm_object *o, const struct kvm_userspace_memory_region *slot)
{
	uint32_t object = object_index(o);

	if (!slot->memory_size)
		entry_drop(object, KVM_SET_USER_MEMORY_REGION, slot->slot);
	else
		entry_set(object, KVM_SET_USER_MEMORY_REGION, slot->slot, slot, sizeof(*slot), slot->flags & 4u /* KVM_MEM_GUEST_MEMFD */ ? KVM_ENTRY_REFUSED : 0);
}

/* The kernel takes out every zone that the given range lies in (virt/kvm/coalesced_mmio.c). */
static void note_uncoalesced(struct kvm_object *o, const struct kvm_coalesced_mmio_zone *z)
{
	for (uint32_t i = 0; i < journal.n_entries; i++) {
		struct kvm_entry *e = &entries()[i];
		if (!e->live || e->object != object_index(o) || e->request != KVM_REGISTER_COALESCED_MMIO)
			continue;
		const struct kvm_coalesced_mmio_zone *was = (const struct kvm_coalesced_mmio_zone *)e->data;
		if (was->pio == z->pio && z->addr >= was->addr && z->addr + z->size <= was->addr + was->size)
			e->live = 0;
	}
}

/* After a restart the kernel has forgotten which pages were dirty: then all of them are, once. */
static void add_dirty(struct kvm_object *o, const struct kvm_dirty_log *log)
{
	struct kvm_entry *e = entry_find(object_index(o), KVM_SET_USER_MEMORY_REGION, log->slot);

	if (!e || !(e->flags & KVM_ENTRY_ALL_DIRTY))
		return;
	uint64_t pages = ((const struct kvm_userspace_memory_region *)e->data)->memory_size / 4096;
	uint8_t *bits = log->dirty_bitmap;
	memset(bits, 0xff, pages / 8);
	if (pages % 8)
		bits[pages / 8] = (uint8_t)((1u << pages % 8) - 1);
	e->flags &= ~KVM_ENTRY_ALL_DIRTY;
}

/* Lines go up and down all the time: no turn, only a mark that the bit is behind. */
static long irq_line(struct kvm_object *o, int fd, unsigned long request, void *arg)
{
	const struct kvm_irq_level *level = arg;
	uint32_t gsi = level->irq, up = level->level; /* KVM_IRQ_LINE_STATUS overwrites the first with its answer */

	__atomic_add_fetch(&recorder_root.busy, 1, __ATOMIC_SEQ_CST);
	long result = call(fd, request, arg);
	if (result >= 0 && gsi < KVM_LINES && o->lines) {
		uint64_t *word = (uint64_t *)o->lines + gsi / 64, bit = 1ull << gsi % 64;
		if (up)
			__atomic_or_fetch(word, bit, __ATOMIC_RELAXED);
		else
			__atomic_and_fetch(word, ~bit, __ATOMIC_RELAXED);
	}
	__atomic_sub_fetch(&recorder_root.busy, 1, __ATOMIC_SEQ_CST);
	return result;
}

static long recorded(struct kvm_object *o, const struct kvm_request *r, int fd, unsigned long request, void *arg)
{
	struct recorder_turn turn;

	recorder_begin(&turn);
	long result = call(fd, request, arg);
	if (result >= 0 && !r)
		entry_set(object_index(o), (uint32_t)request, 0, NULL, 0, KVM_ENTRY_REFUSED);
	else if (result >= 0 && r->class == KVM_REQUEST_REFUSE)
		entry_set(object_index(o), r->request, 0, NULL, 0, KVM_ENTRY_REFUSED);
	else if (result >= 0 && r->request == KVM_UNREGISTER_COALESCED_MMIO)
		note_uncoalesced(o, arg);
	else if (result >= 0 && r->request == KVM_GET_DIRTY_LOG)
		add_dirty(o, arg);
	else if (result >= 0 && r->class == KVM_REQUEST_SPECIAL)
		note_slot(o, arg);
	else if (result >= 0)
		note(o, r, arg);
	recorder_end(&turn);
	return result;
}

/* ---- KVM_RUN ---- */

/* Has KVM bring to an end what the last exit left behind, and come back without running the guest (immediate_exit, see KVM_RUN in
 * api.rst). The page is mapped for the moment only. */
static long complete_exit(struct kvm_object *vcpu, int fd)
{
	long p = recorder_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p < 0 && p >= -4095)
		return -EINTR;
	volatile struct kvm_run *run = (struct kvm_run *)p;
	uint8_t was = run->immediate_exit;
	run->immediate_exit = 1;
	vcpu->phase = KVM_VCPU_RUNNING;
	long result = call(fd, KVM_RUN, NULL);
	vcpu->phase = result == 0 ? KVM_VCPU_EXITED : KVM_VCPU_IDLE;
	run->immediate_exit = was;
	recorder_call(SYS_munmap, p, 4096, 0, 0, 0, 0);
	return result;
}

/* At the closed gate. True: `*ret` is what the VMM's KVM_RUN returns. EINTR is always a possible answer, and it is given whenever a
 * kick of the VMM's (a signal, its immediate_exit) might have been lost on us. */
static bool gate(struct kvm_object *vcpu, int fd, long *ret)
{
	if (vcpu->phase == KVM_VCPU_EXITED) {
		*ret = complete_exit(vcpu, fd);
		return true;
	}
	*ret = recorder_gate_wait();
	return *ret < 0;
}

static long run(struct kvm_object *vcpu, int fd, void *arg)
{
	long result;

	if (recorder_gate_is_closed() && gate(vcpu, fd, &result))
		return result;
	__atomic_store_n(&vcpu->phase, KVM_VCPU_RUNNING, __ATOMIC_RELAXED);
	result = call(fd, KVM_RUN, arg);
	__atomic_store_n(&vcpu->phase, result == 0 ? KVM_VCPU_EXITED : KVM_VCPU_IDLE, __ATOMIC_RELAXED);
	return result;
}

static long kvm_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_object *o = object_by_fd(fd);

	if (o && request == KVM_RUN)
		return run(o, fd, arg);
	if (_IOC_TYPE(request) != KVMIO || !journal.objects)
		return call(fd, request, arg);
	const struct kvm_request *r = kvm_request_find(request);
	if (r && r->class == KVM_REQUEST_PLAIN)
		return call(fd, request, arg);
	if (r && r->class == KVM_REQUEST_OBJECT)
		return create_object(fd, r->request, arg);
	if (!o && !(o = object_resolve(fd)))
		return call(fd, request, arg);
	if (r && r->request == KVM_RUN)
		return run(o, fd, arg);
	if (r && (r->request == KVM_IRQ_LINE || r->request == KVM_IRQ_LINE_STATUS))
		return irq_line(o, fd, request, arg);
	return recorded(o, r, fd, request, arg);
}

const struct recorder_kind kvm_recorder_kind = { .name = "kvm", .ioctl_type = KVMIO, .ioctl = kvm_ioctl, .init = journal_init };
