// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 2: with all memory in place, machines get their memory slots, their virtual CPUs their state, and everything is
 * connected again.
 *
 * Order, and why (tests in brackets). Memory slots first: MSRs of the paravirtual clock write into guest memory
 * [kvm-linux-two-generations]. Virtual CPUs before interrupt controllers: a pending line of the IOAPIC is delivered to LAPICs
 * as soon as the IOAPIC is set [bare guests, IOAPIC]. Routes, then the levels of lines, before the state of the controllers:
 * raising a line would be a new edge, and the state that is set afterwards wipes that out, but for the level [bare guests,
 * lines]. The PIT after the chips it interrupts. TSC and clock when all virtual CPUs have their state. Event descriptors last:
 * what has come in meanwhile is delivered the moment an irqfd is set (kvm_irqfd_assign) [own VMM, irqfd]. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kvm.h"
#include "requests.h"

static int entry_fail(struct stasis_session *s, const struct kvm_rec_entry *e, int fd, int err)
{
	char name[32];

	return stasis_fail(s, err, "fd %d: %s is refused by this host's KVM: %s", fd, kvm_request_name(e->request, name),
	                   strerror(-err));
}

/* Makes the recorded calls of one kind on one object again. */
static int repeat(struct stasis_session *s, const struct kvm_state *k, uint32_t object, int fd, uint64_t request)
{
	for (size_t i = 0; i < k->n_entries; i++) {
		const struct kvm_rec_entry *e = &k->entries[i];
		struct stasis_calls *c;
		if (e->object != object || e->request != request)
			continue;
		int err = stasis_calls_create(s, 1, &c);
		if (err)
			return err;
		kvm_calls_ioctl(c, 0, fd, request, e->data.data, e->data.size, NULL);
		err = stasis_calls_run(c, NULL);
		stasis_calls_destroy(c);
		if (err)
			return entry_fail(s, e, fd, err);
	}
	return 0;
}

static int raise_lines(struct stasis_session *s, const struct kvm_rec_machine *m)
{
	const uint64_t *lines = m->lines.data;
	struct stasis_calls *c;
	int err = 0;

	for (uint32_t gsi = 0; gsi < m->lines.size * 8 && !err; gsi++) {
		struct kvm_irq_level level = { .irq = gsi, .level = 1 };
		if (!(lines[gsi / 64] & 1ull << gsi % 64))
			continue;
		if ((err = stasis_calls_create(s, 1, &c)))
			return err;
		kvm_calls_ioctl(c, 0, m->fd, KVM_IRQ_LINE, &level, sizeof(level), NULL);
		if ((err = stasis_calls_run(c, NULL)))
			stasis_fail(s, err, "virtual machine (fd %d): interrupt line %u cannot be raised: %s", m->fd, gsi,
			            strerror(-err));
		stasis_calls_destroy(c);
	}
	return err;
}

static int put_chips(struct stasis_session *s, const struct kvm_rec_machine *m)
{
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 3, &c);

	if (err)
		return err;
	for (int i = 0; i < 3; i++)
		if (m->chips[i].size)
			kvm_calls_ioctl(c, 0, m->fd, KVM_SET_IRQCHIP, m->chips[i].data, m->chips[i].size, NULL);
	err = stasis_calls_run(c, NULL);
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "virtual machine (fd %d): its interrupt controllers cannot be set: %s", m->fd,
	                         strerror(-err))
	           : 0;
}

#define PIT_TRIES 4
#define PIT_CLOSE_NS 100000

/* Channels that count once go on where the target's clock has them: the time that KVM then says they were loaded at tells
 * whether that was meant for the right moment, else it is done once more. Those that go round (modes 2 and 3) begin a new
 * period, and channel 0, whose time of loading KVM does not tell, a new count. Tests: kvm-pit, bare guests (pit2-count). */
static int put_pit(struct stasis_session *s, const struct kvm_rec_machine *m)
{
	int64_t here = stasis_clock_offset_ns(s), now, ahead = 0;
	struct kvm_pit_state2 pit;
	struct stasis_calls *c;
	int err = 0;

	if (m->pit.size != sizeof(pit))
		return 0;
	for (int i = 0; i < PIT_TRIES; i++) {
		if ((err = kvm_clock_now(s, &now)) || (err = stasis_calls_create(s, 2, &c)))
			return err;
		memcpy(&pit, m->pit.data, sizeof(pit));
		for (int channel = 1; channel < 3; channel++)
			kvm_pit_advance(&pit.channels[channel],
			                now + ahead - (pit.channels[channel].count_load_time + m->clock_offset_ns));
		kvm_calls_ioctl(c, 0, m->fd, KVM_SET_PIT2, &pit, sizeof(pit), NULL);
		uint64_t is = kvm_calls_ioctl(c, 0, m->fd, KVM_GET_PIT2, NULL, sizeof(pit), NULL);
		if (!(err = stasis_calls_run(c, NULL)))
			memcpy(&pit, stasis_calls_at(c, is), sizeof(pit));
		stasis_calls_destroy(c);
		if (err)
			return stasis_fail(s, err, "virtual machine (fd %d): its PIT cannot be set: %s", m->fd, strerror(-err));
		int64_t late = pit.channels[2].count_load_time + here - (now + ahead);
		if (late < PIT_CLOSE_NS && late > -PIT_CLOSE_NS)
			break;
		ahead += late;
	}
	return 0;
}

static int machine_late(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_machine *m)
{
	static const uint64_t events[] = { KVM_IOEVENTFD, KVM_IRQFD, KVM_HYPERV_EVENTFD };
	int err;

	if ((err = stasis_fault(s, "memory-slots")) || (err = repeat(s, k, m->object, m->fd, KVM_SET_USER_MEMORY_REGION)) ||
	    (err = repeat(s, k, m->object, m->fd, KVM_REGISTER_COALESCED_MMIO)))
		return err;
	for (size_t i = 0; i < k->n_vcpus && !err; i++)
		if (k->vcpus[i].machine == m->object && !(err = stasis_fault(s, "vcpu-state")))
			err = kvm_vcpu_late(s, k, &k->vcpus[i]);
	if (err || (err = repeat(s, k, m->object, m->fd, KVM_SET_GSI_ROUTING)) || (err = raise_lines(s, m)) ||
	    (err = put_chips(s, m)) || (err = put_pit(s, m)) || (err = repeat(s, k, m->object, m->fd, KVM_REINJECT_CONTROL)) ||
	    (err = kvm_clock_late(s, k, m)))
		return err;
	for (size_t i = 0; i < KVM_N_OF(events) && !err; i++)
		err = repeat(s, k, m->object, m->fd, events[i]);
	return err;
}

static int vcpu_settings(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_vcpu *v)
{
	static const uint64_t requests[] = { KVM_TPR_ACCESS_REPORTING, KVM_SET_VAPIC_ADDR, KVM_SET_GUEST_DEBUG,
		                             KVM_SET_SIGNAL_MASK };
	int err = 0;

	for (size_t i = 0; i < KVM_N_OF(requests) && !err; i++)
		err = repeat(s, k, v->object, v->fd, requests[i]);
	return err;
}

/* Which pages were dirty only the old kernel knew: the recorder says "all" when the VMM asks next. */
static int mark_dirty(struct stasis_session *s, const struct kvm_state *k)
{
	struct kvm_journal head;
	int err = k->journal ? stasis_read(s, k->journal, &head, sizeof(head)) : -ENOENT;

	for (size_t i = 0; i < k->n_entries && !err; i++) {
		const struct kvm_rec_entry *e = &k->entries[i];
		const struct kvm_userspace_memory_region *slot = e->data.data;
		uint32_t flags = KVM_ENTRY_ALL_DIRTY;
		if (e->request == KVM_SET_USER_MEMORY_REGION && slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			err = stasis_write(
			        s, head.entries + e->index * sizeof(struct kvm_entry) + offsetof(struct kvm_entry, flags),
			        &flags, sizeof(flags));
	}
	return err ? stasis_fail(s, err, "the recorder's journal of KVM is not in the image's memory: %s; the image is damaged",
	                         strerror(-err))
	           : 0;
}

int kvm_late(struct stasis_session *s, void *state)
{
	struct kvm_state *k = state;
	uint64_t size;
	int err = 0;

	if (!k->n_machines)
		return 0;
	if ((err = stasis_recorded(s, &k->journal, &size)))
		return stasis_fail(s, -EBADMSG, "the recorder is not in the image's memory; the image is damaged");
	for (size_t i = 0; i < k->n_machines && !err; i++)
		err = machine_late(s, k, &k->machines[i]);
	for (size_t i = 0; i < k->n_vcpus && !err; i++)
		err = vcpu_settings(s, k, &k->vcpus[i]);
	return err ? err : mark_dirty(s, k);
}
