// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the recorder's journal out of the target. It is the target's memory: nothing in it is trusted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm.h"

#define DATA_MAX (1u << 20)

void kvm_copy_finish(struct kvm_copy *c)
{
	free(c->objects);
	free(c->entries);
	*c = (struct kvm_copy){ 0 };
}

static const char *kind_link(uint32_t kind)
{
	static const char *const links[] = {
		[KVM_OBJECT_VM] = "anon_inode:kvm-vm", [KVM_OBJECT_VCPU] = "anon_inode:kvm-vcpu:", [KVM_OBJECT_DEVICE] = "anon_inode:kvm-",
		[KVM_OBJECT_STATS] = "anon_inode:kvm-v",
	};

	return kind < KVM_N_OF(links) ? links[kind] : NULL;
}

/* An object is there when its number still names such a thing. A program may close descriptors without the recorder noticing. */
static void drop_closed(struct stasis_session *s, struct kvm_copy *c)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	for (uint32_t i = 0; i < c->head.n_objects; i++) {
		struct kvm_object *o = &c->objects[i];
		const char *link = kind_link(o->kind);
		bool there = false;
		for (size_t j = 0; j < n && link; j++)
			there = there || (d[j].fd == o->fd && !strncmp(d[j].link, link, strlen(link)));
		if (!there || o->parent >= c->head.n_objects)
			o->kind = KVM_OBJECT_NONE;
	}
}

int kvm_copy_read(struct stasis_session *s, uint64_t journal, struct kvm_copy *ret)
{
	struct kvm_copy c = { 0 };
	int err = stasis_read(s, journal, &c.head, sizeof(c.head));

	if (err)
		return err;
	if (c.head.version != KVM_JOURNAL_VERSION || c.head.n_objects > KVM_OBJECTS || c.head.n_entries > KVM_ENTRIES)
		return -EBADMSG;
	c.objects = calloc(c.head.n_objects + 1, sizeof(*c.objects));
	c.entries = calloc(c.head.n_entries + 1, sizeof(*c.entries));
	if (!c.objects || !c.entries)
		err = -ENOMEM;
	if (!err && c.head.n_objects)
		err = stasis_read(s, c.head.objects, c.objects, c.head.n_objects * sizeof(*c.objects));
	if (!err && c.head.n_entries)
		err = stasis_read(s, c.head.entries, c.entries, c.head.n_entries * sizeof(*c.entries));
	if (err) {
		kvm_copy_finish(&c);
		return err;
	}
	drop_closed(s, &c);
	for (uint32_t i = 0; i < c.head.n_entries; i++) {
		struct kvm_entry *e = &c.entries[i];
		if (e->live && (e->object >= c.head.n_objects || !c.objects[e->object].kind || e->size > DATA_MAX))
			e->live = 0;
	}
	kvm_copy_finish(ret);
	*ret = c;
	return 0;
}

int kvm_copy_data(struct stasis_session *s, const struct kvm_entry *e, void **ret_data)
{
	void *data = malloc(e->size + 1);

	if (!data)
		return -ENOMEM;
	int err = e->size ? stasis_read(s, e->data, data, e->size) : 0;
	if (err)
		free(data);
	else
		*ret_data = data;
	return err;
}

int kvm_copy_lines(struct stasis_session *s, const struct kvm_object *machine, uint64_t lines[KVM_LINES / 64])
{
	memset(lines, 0, KVM_LINES / 8);
	return machine->lines ? stasis_read(s, machine->lines, lines, KVM_LINES / 8) : 0;
}
