// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads KVM's records of an image and refuses what makes no sense, so that nobody after this has to doubt them. */

#include "kvm.h"
#include "requests.h"

static bool has_size(const struct img_bytes *b, size_t size)
{
	return !b->size || b->size == size;
}

static const struct kvm_rec_machine *machine_of(const struct kvm_state *k, uint32_t object)
{
	for (size_t i = 0; i < k->n_machines; i++)
		if (k->machines[i].object == object)
			return &k->machines[i];
	return NULL;
}

static const struct kvm_rec_vcpu *vcpu_of(const struct kvm_state *k, uint32_t object)
{
	for (size_t i = 0; i < k->n_vcpus; i++)
		if (k->vcpus[i].object == object)
			return &k->vcpus[i];
	return NULL;
}

static bool machine_makes_sense(const struct kvm_rec_machine *m)
{
	for (int i = 0; i < 3; i++)
		if (!has_size(&m->chips[i], sizeof(struct kvm_irqchip)))
			return false;
	return m->object < KVM_OBJECTS && m->lines.size <= KVM_LINES / 8 && m->lines.size % 8 == 0 &&
	       has_size(&m->pit, sizeof(struct kvm_pit_state2)) && has_size(&m->clock, sizeof(struct kvm_clock_data));
}

static bool vcpu_makes_sense(const struct kvm_state *k, const struct kvm_rec_vcpu *v)
{
	return v->object < KVM_OBJECTS && machine_of(k, v->machine) && v->mp_state.size == sizeof(struct kvm_mp_state) &&
	       v->regs.size == sizeof(struct kvm_regs) &&
	       v->sregs.size == sizeof(struct kvm_sregs2) && v->xsave.size >= 4096 &&
	       v->xsave.size <= 65536 && has_size(&v->xcrs, sizeof(struct kvm_xcrs)) && has_size(&v->debugregs, sizeof(struct kvm_debugregs)) &&
	       has_size(&v->lapic, sizeof(struct kvm_lapic_state)) && has_size(&v->events, sizeof(struct kvm_vcpu_events)) &&
	       v->nested.size <= 65536 && v->cpuid.size % sizeof(struct kvm_cpuid_entry2) == 0 && v->cpuid.size <= 65536 &&
	       v->msrs.size % sizeof(struct kvm_msr_entry) == 0 && v->msrs.size <= 65536 && v->run.size <= 65536;
}

/* At least as long as the kernel will read it. */
static bool entry_has_argument(const struct kvm_request *r, const struct img_bytes *d)
{
	const void *p = d->data;

	switch (r->shape) {
	case KVM_ARG_VALUE:
		return d->size == sizeof(uint64_t);
	case KVM_ARG_ROUTING:
		return d->size >= sizeof(struct kvm_irq_routing) &&
		       (d->size - sizeof(struct kvm_irq_routing)) / sizeof(struct kvm_irq_routing_entry) >= ((const struct kvm_irq_routing *)p)->nr;
	case KVM_ARG_MASK:
		return d->size >= sizeof(struct kvm_signal_mask) && d->size - sizeof(struct kvm_signal_mask) >= ((const struct kvm_signal_mask *)p)->len;
	case KVM_ARG_MSR_FILTER:
		return d->size >= sizeof(struct kvm_msr_filter);
	case KVM_ARG_PMU_FILTER:
		return d->size >= sizeof(struct kvm_pmu_event_filter) &&
		       (d->size - sizeof(struct kvm_pmu_event_filter)) / 8 >= ((const struct kvm_pmu_event_filter *)p)->nevents;
	case KVM_ARG_REINJECT:
		return d->size >= sizeof(struct kvm_reinject_control);
	default:
		return d->size >= _IOC_SIZE(r->request);
	}
}

static bool entry_makes_sense(const struct kvm_state *k, const struct kvm_rec_entry *e)
{
	const struct kvm_request *r = kvm_request_find(e->request);

	if (!r || e->index >= KVM_ENTRIES || !(machine_of(k, e->object) || vcpu_of(k, e->object)))
		return false;
	if (r->request == KVM_SET_USER_MEMORY_REGION)
		return e->data.size == sizeof(struct kvm_userspace_memory_region);
	return (r->class == KVM_REQUEST_CONFIG || r->class == KVM_REQUEST_LATE) && entry_has_argument(r, &e->data);
}

int kvm_load(struct stasis_session *s, struct kvm_state *k)
{
	int err;

	if ((err = stasis_records(s, &kvm_host_schema, &k->hosts, &k->n_hosts)) ||
	    (err = stasis_records(s, &kvm_machine_schema, &k->machines, &k->n_machines)) ||
	    (err = stasis_records(s, &kvm_vcpu_schema, &k->vcpus, &k->n_vcpus)) ||
	    (err = stasis_records(s, &kvm_stats_schema, &k->stats, &k->n_stats)) ||
	    (err = stasis_records(s, &kvm_entry_schema, &k->entries, &k->n_entries)))
		return err;
	if (k->n_machines && k->n_hosts != 1)
		return stasis_damaged(s, "its host is missing");
	for (size_t i = 0; i < k->n_machines; i++)
		if (!machine_makes_sense(&k->machines[i]) || machine_of(k, k->machines[i].object) != &k->machines[i])
			return stasis_damaged(s, "a virtual machine makes no sense");
	for (size_t i = 0; i < k->n_vcpus; i++)
		if (!vcpu_makes_sense(k, &k->vcpus[i]) || machine_of(k, k->vcpus[i].object) || vcpu_of(k, k->vcpus[i].object) != &k->vcpus[i])
			return stasis_damaged(s, "a virtual CPU makes no sense");
	for (size_t i = 0; i < k->n_stats; i++)
		if (k->stats[i].object >= KVM_OBJECTS || !(machine_of(k, k->stats[i].parent) || vcpu_of(k, k->stats[i].parent)))
			return stasis_damaged(s, "statistics make no sense");
	for (size_t i = 0; i < k->n_entries; i++)
		if (!entry_makes_sense(k, &k->entries[i]))
			return stasis_damaged(s, "a recorded call makes no sense");
	return 0;
}
