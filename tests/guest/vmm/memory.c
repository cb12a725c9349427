// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory slots: RAM, a read-only one, one that moves to and fro between two addresses while the guest uses both, one with a
 * dirty log. An access that finds no slot is an exit and gets or changes the same bytes, so that the guest never sees a
 * difference. */
#include "vmm.h"

#include <string.h>
#include <sys/ioctl.h>

static void memory_set_slot(struct vm *vm, enum slot_id slot, uint32_t flags, uint64_t address, uint64_t size, void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	vmm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &region);
}

void memory_create(struct vm *vm)
{
	const struct options *o = vm->options;
	size_t size = (size_t)o->memory_mib << 20;

	vm->ram = vmm_map(size, o->memfd, o->hugepage);
	vm->readonly = vmm_map(ABI_READONLY_SIZE, false, false);
	vm->window = vmm_map(ABI_WINDOW_SIZE, o->memfd, false);
	vm->logged = vmm_map(ABI_LOGGED_SIZE, false, false);
	for (unsigned i = 0; i < ABI_READONLY_SIZE / 8; i++)
		((uint64_t *)(void *)vm->readonly)[i] = abi_word(ABI_READONLY, i);

	memory_set_slot(vm, SLOT_LOW, 0, 0, RAM_LOW, vm->ram);
	memory_set_slot(vm, SLOT_HIGH, 0, RAM_HIGH, size - RAM_HIGH, vm->ram + RAM_HIGH);
	vm->has_readonly = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) > 0;
	if (vm->has_readonly)
		memory_set_slot(vm, SLOT_READONLY, KVM_MEM_READONLY, ABI_READONLY, ABI_READONLY_SIZE, vm->readonly);
	memory_set_slot(vm, SLOT_LOGGED, KVM_MEM_LOG_DIRTY_PAGES, ABI_LOGGED, ABI_LOGGED_SIZE, vm->logged);
	vm->window_at = ABI_WINDOW_A;
	memory_set_slot(vm, SLOT_WINDOW, 0, vm->window_at, ABI_WINDOW_SIZE, vm->window);
}

uint8_t *memory_at(struct vm *vm, uint64_t address, size_t size)
{
	size_t end = (size_t)vm->options->memory_mib << 20;

	return address < end && size <= end - address ? vm->ram + address : NULL;
}

/* Without the lock around the ioctls: other threads must find their way while there is no slot. */
void memory_move_window(struct vm *vm, unsigned turn)
{
	memory_set_slot(vm, SLOT_WINDOW, 0, vm->window_at, 0, NULL);
	if (turn % 4 == 3) /* now and then it is away for longer */
		vmm_sleep_ms(vm->options->churn_ms);
	vm->window_at = vm->window_at == ABI_WINDOW_A ? ABI_WINDOW_B : ABI_WINDOW_A;
	memory_set_slot(vm, SLOT_WINDOW, 0, vm->window_at, ABI_WINDOW_SIZE, vm->window);
}

static uint8_t *memory_window(struct vm *vm, uint64_t address, unsigned size)
{
	if (address >= ABI_WINDOW_A && address + size <= ABI_WINDOW_A + ABI_WINDOW_SIZE)
		return vm->window + (address - ABI_WINDOW_A);
	if (address >= ABI_WINDOW_B && address + size <= ABI_WINDOW_B + ABI_WINDOW_SIZE)
		return vm->window + (address - ABI_WINDOW_B);
	return NULL;
}

bool memory_access(struct vcpu *v, uint64_t address, bool write, uint8_t *data, unsigned size)
{
	uint8_t *window = memory_window(v->vm, address, size);
	uint64_t value = 0;

	if (window) {
		memcpy(write ? window : data, write ? data : window, size);
		return true;
	}
	if (!write || address < ABI_READONLY || address >= ABI_READONLY + ABI_READONLY_SIZE)
		return false;
	memcpy(&value, data, size);
	if (size != 8 || value != ++v->readonly_writes)
		vmm_bad(v->vm, "readonly-write cpu%u %llu %llu (%u bytes)", v->id, (unsigned long long)v->readonly_writes,
		        (unsigned long long)value, size);
	return true;
}

void memory_dirty_page(struct vm *vm, uint32_t page)
{
	uint64_t bitmap[ABI_LOGGED_SIZE / 4096 / 64] = { 0 };
	struct kvm_dirty_log log = { .slot = SLOT_LOGGED, .dirty_bitmap = bitmap };

	if (page >= ABI_LOGGED_SIZE / 4096)
		vmm_bad(vm, "dirty-page %u", page);
	vmm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", &log);
	for (unsigned i = 0; i < sizeof(bitmap) / sizeof(*bitmap); i++)
		vm->dirty[i] |= bitmap[i];
	if (!(vm->dirty[page / 64] >> page % 64 & 1))
		vmm_bad(vm, "dirty-log page %u was written and is not in the log", page);
	vm->dirty[page / 64] &= ~(1ull << page % 64);
}
