// SPDX-License-Identifier: LGPL-2.1-or-later
/* KVM: takes a virtual machine off /dev/kvm and makes it anew at a restart. README.md in this folder lists all of its state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kvm.h"

/* /dev/kvm has the fixed misc number 10:232 (include/linux/miscdevice.h). Link texts: virt/kvm/kvm_main.c. */
static const char *kvm_claim(const char *link, const struct stat *st)
{
	if (!strcmp(link, "/dev/kvm") || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(10, 232)))
		return "KVM";
	if (!strcmp(link, "anon_inode:kvm-vm"))
		return "KVM virtual machine";
	if (!strncmp(link, "anon_inode:kvm-vcpu:", 20))
		return "KVM virtual CPU";
	if (!strcmp(link, "anon_inode:kvm-vm-stats") || !strncmp(link, "anon_inode:kvm-vcpu-stats", 25))
		return "KVM statistics";
	if (!strncmp(link, "anon_inode:kvm-", 15) || !strncmp(link, "anon_inode:[kvm-", 16))
		return "KVM device";
	return NULL;
}

static int kvm_open(struct stasis_session *s, void **ret_state)
{
	struct kvm_state *k = calloc(1, sizeof(*k));

	(void)s;
	*ret_state = k;
	return k ? 0 : -ENOMEM;
}

static void kvm_close(struct stasis_session *s, void *state)
{
	struct kvm_state *k = state;

	(void)s;
	if (!k)
		return;
	kvm_copy_finish(&k->copy);
	if (k->has_host)
		kvm_host_finish(&k->host);
	free(k->msrs.items);
	stasis_records_free(&kvm_host_schema, k->hosts, k->n_hosts);
	stasis_records_free(&kvm_machine_schema, k->machines, k->n_machines);
	stasis_records_free(&kvm_vcpu_schema, k->vcpus, k->n_vcpus);
	stasis_records_free(&kvm_stats_schema, k->stats, k->n_stats);
	stasis_records_free(&kvm_entry_schema, k->entries, k->n_entries);
	free(k);
}

const struct stasis_plugin kvm_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "kvm",
	.schemas = kvm_schemas,
	.claim = kvm_claim,
	.open = kvm_open,
	.close = kvm_close,
	.check = kvm_check,
	.mapping = kvm_mapping,
	.ready = kvm_ready,
	.save = kvm_save,
	.plan = kvm_plan,
	.restore = kvm_restore,
	.late = kvm_late,
};
