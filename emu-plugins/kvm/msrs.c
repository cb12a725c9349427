// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which MSRs are saved, and which of them need an order of their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm.h"

#define MSR_IA32_FEAT_CTL 0x3a
#define MSR_MTRR_VAR0 0x200 /* base and mask, pairs */
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_IA32_MC0_CTL 0x400
#define MTRR_VARS 8
#define HV_FIRST 0x40000000
#define HV_LAST 0x400001ff

static const uint32_t mtrr_fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

static int add(struct kvm_msr_numbers *list, uint32_t number)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i] == number)
			return 0;
	uint32_t *more = reallocarray(list->items, list->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->items = more;
	list->items[list->n++] = number;
	return 0;
}

/* KVM's list has neither MTRRs (QEMU names them by itself, too) nor the banks of machine checks. What does not exist fails to be
 * read and is left out. */
static int add_unlisted(struct kvm_msr_numbers *list)
{
	int err = add(list, MSR_MTRR_DEF_TYPE);

	for (size_t i = 0; i < KVM_N_OF(mtrr_fixed) && !err; i++)
		err = add(list, mtrr_fixed[i]);
	for (uint32_t i = 0; i < 2 * MTRR_VARS && !err; i++)
		err = add(list, MSR_MTRR_VAR0 + i);
	for (uint32_t i = 0; i < 4 * KVM_MCE_BANKS_MAX && !err; i++)
		err = add(list, MSR_IA32_MC0_CTL + i);
	return err;
}

int kvm_msrs_list(struct stasis_session *s, int kvm_fd, struct kvm_msr_numbers *ret)
{
	struct kvm_msr_list probe = { 0 };
	struct kvm_msr_numbers list = { 0 };

	ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, &probe); /* E2BIG, and how many */
	struct kvm_msr_list *all = calloc(1, sizeof(*all) + probe.nmsrs * sizeof(uint32_t));
	int err = all ? 0 : -ENOMEM;
	if (!err) {
		all->nmsrs = probe.nmsrs;
		if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, all) < 0)
			err = stasis_fail(s, -errno, "/dev/kvm: the list of MSRs cannot be read: %s", strerror(errno));
	}
	for (uint32_t i = 0; !err && i < all->nmsrs; i++)
		err = add(&list, all->indices[i]);
	if (!err)
		err = add_unlisted(&list);
	free(all);
	if (err)
		free(list.items);
	else
		*ret = list;
	return err;
}

bool kvm_msr_is_no_bank(uint32_t number, unsigned banks)
{
	return number >= MSR_IA32_MC0_CTL + 4 * banks && number < MSR_IA32_MC0_CTL + 4 * KVM_MCE_BANKS_MAX;
}

/* IA32_FEATURE_CONTROL says which others may be written (arch/x86/kvm/vmx/vmx.c, vmx_set_msr). Test: bare guests, MSRs. */
bool kvm_msr_is_first(uint32_t number)
{
	return number == MSR_IA32_FEAT_CTL;
}

bool kvm_msr_is_apart(uint32_t number)
{
	return number == KVM_MSR_IA32_TSC || number == KVM_MSR_IA32_TSC_DEADLINE;
}

/* Hyper-V's do things when they are written; a guest that has never touched them leaves them at zero. */
bool kvm_msr_is_idle(const struct kvm_msr_entry *m)
{
	return !m->data && m->index >= HV_FIRST && m->index <= HV_LAST;
}
