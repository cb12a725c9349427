// SPDX-License-Identifier: LGPL-2.1-or-later
/* Saves virtual machines: the old host's KVM, the recorded calls, the state of machines, their virtual CPUs.
 *
 * Interrupts that come by an irqfd may be on their way through a work queue when the target stops (virt/kvm/eventfd.c). Nobody signals
 * the eventfds any more, so they arrive within moments: pending registers are read again until nothing has changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kvm.h"

#define ARCH_GET_XCOMP_GUEST_PERM 0x1024
#define SETTLE_ROUNDS 20

static int save_host(struct stasis_session *s, const struct kvm_state *k)
{
	const struct kvm_host *h = &k->host;
	struct kvm_rec_host rec = {
		.api_version = h->api_version,
		.cpuid = { h->cpuid, h->n_cpuid * sizeof(*h->cpuid) },
		.msrs = { h->msrs, h->n_msrs * sizeof(*h->msrs) },
		.caps = { h->caps, h->n_caps * sizeof(*h->caps) },
		.features = { h->features, h->n_features * sizeof(*h->features) },
		.tsc_khz = h->tsc_khz,
		.tsc_scaling = h->tsc_scaling,
		.xsave_size = h->xsave_size,
		.xcomp_supported = h->xcomp_supported,
	};

	return stasis_record(s, &kvm_host_schema, &rec);
}

/* An event descriptor that the program has closed: nobody but KVM has it any more, so it neither signals nor waits. */
static bool event_is_gone(struct stasis_session *s, const struct kvm_entry *e, const void *data)
{
	int fd = e->request == KVM_IRQFD	     ? (int)((const struct kvm_irqfd *)data)->fd :
		 e->request == KVM_IOEVENTFD	     ? ((const struct kvm_ioeventfd *)data)->fd :
		 e->request == KVM_HYPERV_EVENTFD ? ((const struct kvm_hyperv_eventfd *)data)->fd : -1;
	const char *kind = fd >= 0 ? stasis_descriptor_kind(s, fd) : NULL;

	return fd >= 0 && (!kind || strcmp(kind, "eventfd"));
}

static int save_entries(struct stasis_session *s, const struct kvm_copy *c)
{
	for (uint32_t i = 0; i < c->head.n_entries; i++) {
		const struct kvm_entry *e = &c->entries[i];
		struct kvm_rec_entry rec = { .index = i, .object = e->object, .request = e->request, .seq = e->seq };
		if (!e->live)
			continue;
		int err = kvm_copy_data(s, e, &rec.data.data);
		if (err)
			return stasis_fail(s, err, "the recorder's journal of KVM cannot be read: %s", strerror(-err));
		rec.data.size = e->size;
		if (!event_is_gone(s, e, rec.data.data))
			err = stasis_record(s, &kvm_entry_schema, &rec);
		free(rec.data.data);
		if (err)
			return err;
	}
	return 0;
}

static int save_clock(struct stasis_session *s, int fd, struct kvm_rec_machine *ret)
{
	struct kvm_clock_data clock;
	int err = kvm_clock_read(s, fd, KVM_GET_CLOCK, &clock, sizeof(clock), &ret->clock_ns);

	if (err == -EINVAL || err == -ENOTTY)
		return 0; /* none: an old kernel */
	return err ? stasis_fail(s, err, "virtual machine (fd %d): KVM_GET_CLOCK: %s", fd, strerror(-err)) : kvm_bytes_copy(&clock, sizeof(clock), &ret->clock);
}

/* The TSC of the first virtual CPU, to which the others keep their distance. */
static int save_tsc(struct stasis_session *s, struct kvm_rec_vcpu *v)
{
	struct kvm_one_msr m = { .head.nmsrs = 1, .entry.index = KVM_MSR_IA32_TSC };
	int err = kvm_clock_read(s, v->fd, KVM_GET_MSRS, &m, sizeof(m), &v->tsc_ns);

	v->tsc = m.entry.data;
	return err ? stasis_fail(s, err, "virtual CPU %u (fd %d): its TSC cannot be read: %s", v->id, v->fd, strerror(-err)) : 0;
}

/* Clock, interrupt controllers, PIT: what is there is saved. */
static int save_machine(struct stasis_session *s, const struct kvm_copy *copy, const struct kvm_object *o, struct kvm_rec_machine *ret)
{
	uint64_t lines[KVM_LINES / 64], chips[3], xperm;
	size_t calls[3], pit_call;
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 8, &c);

	*ret = (struct kvm_rec_machine){ .object = (uint32_t)(o - copy->objects), .fd = o->fd, .type = o->id, .seq = o->seq };
	if (err)
		return err;
	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_irqchip chip = { .chip_id = i };
		chips[i] = kvm_calls_ioctl(c, STASIS_MAY_FAIL, o->fd, KVM_GET_IRQCHIP, &chip, sizeof(chip), &calls[i]);
	}
	uint64_t pit = kvm_calls_ioctl(c, STASIS_MAY_FAIL, o->fd, KVM_GET_PIT2, NULL, sizeof(struct kvm_pit_state2), &pit_call);
	xperm = stasis_calls_put(c, NULL, 8);
	stasis_calls_add(c, STASIS_MAY_FAIL, SYS_arch_prctl, ARCH_GET_XCOMP_GUEST_PERM, xperm, 0, 0);
	ret->clock_offset_ns = stasis_clock_offset_ns(s);
	if ((err = stasis_calls_run(c, NULL)) || (err = kvm_copy_lines(s, o, lines))) {
		stasis_calls_destroy(c);
		return stasis_fail(s, err, "virtual machine (fd %d): its state cannot be read: %s", o->fd, strerror(-err));
	}
	memcpy(&ret->guest_xfeatures, stasis_calls_at(c, xperm), 8);
	err = kvm_bytes_copy(lines, sizeof(lines), &ret->lines);
	for (int i = 0; i < 3 && !err; i++)
		if (!stasis_calls_result(c, calls[i]))
			err = kvm_bytes_from(c, chips[i], sizeof(struct kvm_irqchip), &ret->chips[i]);
	if (!err && !stasis_calls_result(c, pit_call))
		err = kvm_bytes_from(c, pit, sizeof(struct kvm_pit_state2), &ret->pit);
	stasis_calls_destroy(c);
	return err ? err : save_clock(s, o->fd, ret);
}

/* Interrupt requests once more. */
static int chips_again(struct stasis_session *s, struct kvm_rec_machine *m, bool *ret_changed)
{
	struct stasis_calls *c;
	uint64_t at[3] = { 0 };
	int err = stasis_calls_create(s, 3, &c);

	for (uint32_t i = 0; i < 3 && !err; i++) {
		struct kvm_irqchip chip = { .chip_id = i };
		if (m->chips[i].size)
			at[i] = kvm_calls_ioctl(c, 0, m->fd, KVM_GET_IRQCHIP, &chip, sizeof(chip), NULL);
	}
	if (!err)
		err = stasis_calls_run(c, NULL);
	for (int i = 0; i < 3 && !err; i++) {
		if (!at[i] || !memcmp(stasis_calls_at(c, at[i]), m->chips[i].data, sizeof(struct kvm_irqchip)))
			continue;
		*ret_changed = true;
		memcpy(m->chips[i].data, stasis_calls_at(c, at[i]), sizeof(struct kvm_irqchip));
	}
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "virtual machine (fd %d): KVM_GET_IRQCHIP: %s", m->fd, strerror(-err)) : 0;
}

static int settle(struct stasis_session *s, struct kvm_rec_machine *m, struct kvm_rec_vcpu *vcpus, size_t n)
{
	bool changed = true;

	for (int round = 0; changed && round < SETTLE_ROUNDS; round++) {
		changed = false;
		int err = chips_again(s, m, &changed);
		for (size_t i = 0; i < n && !err; i++)
			err = kvm_vcpu_save_lapic(s, &vcpus[i], &changed);
		if (err)
			return err;
	}
	return 0;
}

/* Banks of machine-check registers that a virtual CPU was set up with; a new one has all (KVM_MAX_MCE_BANKS). */
static unsigned mce_banks(struct stasis_session *s, const struct kvm_copy *c, uint32_t object)
{
	uint64_t cap;

	for (uint32_t i = 0; i < c->head.n_entries; i++) {
		const struct kvm_entry *e = &c->entries[i];
		if (e->live && e->object == object && e->request == KVM_X86_SETUP_MCE && e->size == sizeof(cap) && !stasis_read(s, e->data, &cap, sizeof(cap)))
			return cap & 0xff;
	}
	return KVM_MCE_BANKS_MAX;
}

static int save_vcpus(struct stasis_session *s, const struct kvm_state *k, struct kvm_rec_machine *m)
{
	const struct kvm_copy *c = &k->copy;
	struct kvm_rec_vcpu *vcpus = calloc(c->head.n_objects + 1, sizeof(*vcpus));
	size_t n = 0;
	int err = vcpus ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < c->head.n_objects && !err; i++) {
		const struct kvm_object *o = &c->objects[i];
		if (o->kind != KVM_OBJECT_VCPU || o->parent != m->object)
			continue;
		struct kvm_rec_vcpu *v = &vcpus[n++];
		*v = (struct kvm_rec_vcpu){ .object = i, .machine = o->parent, .fd = o->fd, .id = o->id, .seq = o->seq };
		if (!(err = kvm_vcpu_save(s, o, k, mce_banks(s, c, i), v)) && n == 1)
			err = save_tsc(s, v);
	}
	if (!err)
		err = settle(s, m, vcpus, n);
	if (!err)
		err = stasis_record(s, &kvm_machine_schema, m);
	for (size_t i = 0; i < n && !err; i++)
		err = stasis_record(s, &kvm_vcpu_schema, &vcpus[i]);
	stasis_records_free(&kvm_vcpu_schema, vcpus, n);
	return err;
}

static int save_stats(struct stasis_session *s, const struct kvm_copy *c)
{
	int err = 0;

	for (uint32_t i = 0; i < c->head.n_objects && !err; i++) {
		const struct kvm_object *o = &c->objects[i];
		struct kvm_rec_stats rec = { .object = i, .parent = o->parent, .fd = o->fd, .seq = o->seq };
		if (o->kind == KVM_OBJECT_STATS)
			err = stasis_record(s, &kvm_stats_schema, &rec);
	}
	return err;
}

int kvm_save(struct stasis_session *s, void *state)
{
	struct kvm_state *k = state;
	int err;

	if (!k->journal)
		return 0;
	if ((err = kvm_copy_read(s, k->journal, &k->copy)))
		return stasis_fail(s, err, "the recorder's journal of KVM cannot be read: %s", strerror(-err));
	if ((err = save_host(s, k)) || (err = save_entries(s, &k->copy)) || (err = save_stats(s, &k->copy)))
		return err;
	for (uint32_t i = 0; i < k->copy.head.n_objects && !err; i++) {
		const struct kvm_object *o = &k->copy.objects[i];
		struct kvm_rec_machine m = { 0 };
		if (o->kind != KVM_OBJECT_VM)
			continue;
		if (!(err = save_machine(s, &k->copy, o, &m)))
			err = save_vcpus(s, k, &m);
		img_schema_clear(&kvm_machine_schema, &m);
	}
	return err;
}
