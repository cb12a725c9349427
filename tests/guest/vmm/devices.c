// SPDX-License-Identifier: LGPL-2.1-or-later
/* The devices of test-vmm: a console, string ports, a slow memory-mapped device and zones of coalesced writes. Every byte that
 * comes or goes has a running number on both sides, so an exit that is lost, done twice or out of order shows at once. */
#include "vmm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* KVM_COALESCED_MMIO_MAX of linux/kvm.h, which cannot be used in user space for want of PAGE_SIZE. */
#define RING_SIZE ((4096 - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

void devices_create(struct vm *vm)
{
	vm->has_zone = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO) > 0;
	vm->has_zone_pio = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0;
	for (unsigned i = 0; i < vm->options->cpus; i++) {
		struct kvm_coalesced_mmio_zone zone = { .addr = ABI_ZONE(i), .size = ABI_ZONE_SIZE };
		struct kvm_coalesced_mmio_zone pio = { .addr = ABI_PORTS(i) + ABI_PIO_ZONE, .size = 4, .pio = 1 };

		if (vm->has_zone)
			vmm_ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, "KVM_REGISTER_COALESCED_MMIO", &zone);
		if (vm->has_zone_pio)
			vmm_ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, "KVM_REGISTER_COALESCED_MMIO (port)", &pio);
	}
}

static void zone_write(struct vm *vm, uint64_t address, const uint8_t *data, uint32_t size)
{
	unsigned cpu = (unsigned)((address - ABI_ZONE(0)) / ABI_ZONE_SIZE);
	uint64_t number = vm->vcpus[cpu].zone_mmio++, value = 0, want = abi_word(number, cpu);

	if (size < 8)
		want &= (1ull << size * 8) - 1;
	memcpy(&value, data, size > 8 ? 8 : size);
	if (address != ABI_ZONE(cpu) + abi_zone_place(number) || size != abi_zone_length(number) || value != want)
		vmm_bad(vm, "coalesced-mmio cpu%u number %llu: %#llx at %#llx (%u bytes) instead of %#llx at %#x (%u bytes)",
		        cpu, (unsigned long long)number, (unsigned long long)value, (unsigned long long)address, size,
		        (unsigned long long)want, ABI_ZONE(cpu) + abi_zone_place(number), abi_zone_length(number));
}

static void zone_out(struct vcpu *v, uint32_t value)
{
	if (value != (uint32_t)++v->zone_pio)
		vmm_bad(v->vm, "coalesced-pio cpu%u %u %u", v->id, (uint32_t)v->zone_pio, value);
}

static bool is_zone(const struct vm *vm, uint64_t address)
{
	return address >= ABI_ZONE(0) && address < ABI_ZONE(vm->options->cpus);
}

/* The kernel appends at `last` (virt/kvm/coalesced_mmio.c) and makes an exit of a write when the ring is full; we take at
 * `first`. */
void devices_drain(struct vm *vm)
{
	struct kvm_coalesced_mmio_ring *ring = vm->ring;

	while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
		struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[ring->first];
		uint32_t value;

		if (!entry->pio) {
			if (!is_zone(vm, entry->phys_addr))
				vmm_bad(vm, "coalesced-ring entry at %#llx", (unsigned long long)entry->phys_addr);
			zone_write(vm, entry->phys_addr, entry->data, entry->len);
		} else {
			unsigned cpu = entry->phys_addr >= ABI_PORTS(1);

			memcpy(&value, entry->data, 4);
			if (entry->phys_addr != ABI_PORTS(cpu) + ABI_PIO_ZONE || entry->len != 4)
				vmm_bad(vm, "coalesced-ring port %#llx", (unsigned long long)entry->phys_addr);
			zone_out(&vm->vcpus[cpu], value);
		}
		__atomic_store_n(&ring->first, (ring->first + 1) % (uint32_t)RING_SIZE, __ATOMIC_RELEASE);
	}
}

/* Whole lines by one write each. A line of the guest that begins with BAD ends everything. */
static void console_out(struct vm *vm, uint8_t byte)
{
	char line[sizeof(vm->text) + 16];
	bool bad = vm->text_size >= 4 && !memcmp(vm->text, "BAD ", 4);
	int n;

	vm->text[vm->text_size++] = (char)byte;
	if (byte != '\n' && vm->text_size < sizeof(vm->text))
		return;
	if (!vm->index)
		n = snprintf(line, sizeof(line), "%.*s", (int)vm->text_size, vm->text);
	else /* the word BAD stays in front */
		n = snprintf(line, sizeof(line), "%svm%u %.*s", bad ? "BAD " : "", vm->index, (int)vm->text_size - 4 * bad,
		             vm->text + 4 * bad);
	vm->text_size = 0;
	for (int done = 0; done < n;) {
		ssize_t written = write(STDOUT_FILENO, line + done, (size_t)(n - done));

		if (written <= 0)
			_exit(3);
		done += (int)written;
	}
	if (bad)
		_exit(1);
}

static uint32_t port_read(struct vcpu *v, uint16_t port)
{
	struct vm *vm = v->vm;

	if (port == ABI_PORT_SIGNATURE)
		return ABI_SIGNATURE;
	if (port == ABI_PORT_TSC_KHZ)
		return (uint32_t)ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	if (port == ABI_PORT_FEATURES)
		return (vm->options->irqchip != IRQCHIP_OFF ? ABI_HAS_LAPIC : 0) |
		       (vm->options->irqchip == IRQCHIP_KERNEL ? ABI_HAS_PIC : 0) |
		       (vm->has_zone_pio ? ABI_HAS_COALESCED_PIO : 0) | (vm->has_readonly ? ABI_HAS_READONLY : 0);
	switch (port - ABI_PORTS(v->id)) {
	case ABI_COALESCED_MMIO:
		return (uint32_t)v->zone_mmio;
	case ABI_COALESCED_PIO:
		return (uint32_t)v->zone_pio;
	case ABI_READONLY_COUNT:
		return (uint32_t)v->readonly_writes;
	default:
		return ~0u;
	}
}

static void port_write(struct vcpu *v, uint16_t port, uint32_t value)
{
	struct vm *vm = v->vm;

	if (port == ABI_PORT_END)
		_exit((int)value);
	if (port == ABI_PORT_START_AP && vm->options->cpus > 1)
		vcpu_start_at(&vm->vcpus[1], value);
	switch (port - ABI_PORTS(v->id)) {
	case ABI_DIRTY_PAGE:
		memory_dirty_page(vm, value);
		break;
	case ABI_DOORBELL:
		doorbell_ring(v);
		break;
	case ABI_PIO_ZONE:
		zone_out(v, value);
		break;
	case ABI_VECTOR:
		v->vector = value;
		doorbell_set_routes(vm);
		break;
	}
}

void devices_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint16_t port = run->io.port;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		if (port == ABI_PORT_CONSOLE && out) {
			console_out(v->vm, *data);
		} else if (port == ABI_PORTS(v->id) + ABI_STRING && !out) {
			*data = abi_byte(v->id, 1, v->string_in++);
		} else if (port == ABI_PORTS(v->id) + ABI_STRING) {
			uint64_t number = v->string_out++;

			if (*data != abi_byte(v->id, 0, number))
				vmm_bad(v->vm, "string-out cpu%u byte %llu: %#x instead of %#x", v->id,
				        (unsigned long long)number, *data, abi_byte(v->id, 0, number));
		} else if (out) {
			memcpy(&value, data, run->io.size);
			port_write(v, port, value);
		} else {
			value = port_read(v, port);
			memcpy(data, &value, run->io.size);
		}
	}
}

/* KVM splits an access that crosses a page into an exit each (emulator_read_write() in arch/x86/kvm/x86.c); each has a number.
 */
static void slow_access(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t address = run->mmio.phys_addr, value = 0, want;
	uint32_t size = run->mmio.len;

	if (v->vm->options->slow_ms) { /* the other CPU goes on meanwhile */
		pthread_mutex_unlock(&v->vm->lock);
		vmm_sleep_ms(v->vm->options->slow_ms);
		pthread_mutex_lock(&v->vm->lock);
	}
	if (!run->mmio.is_write) {
		want = abi_word(address, v->slow_reads++);
		memcpy(run->mmio.data, &want, size);
		return;
	}
	want = abi_word(address, v->slow_writes++);
	memcpy(&value, run->mmio.data, size);
	if (memcmp(&value, &want, size))
		vmm_bad(v->vm, "slow-write cpu%u number %llu at %#llx: %#llx instead of %#llx", v->id,
		        (unsigned long long)v->slow_writes - 1, (unsigned long long)address, (unsigned long long)value,
		        (unsigned long long)want);
}

void devices_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t address = run->mmio.phys_addr;

	if (address >= ABI_SLOW(v->id) && address + run->mmio.len <= ABI_SLOW(v->id) + ABI_SLOW_SIZE)
		slow_access(v);
	else if (run->mmio.is_write && is_zone(v->vm, address))
		zone_write(v->vm, address, run->mmio.data, run->mmio.len);
	else if (!memory_access(v, address, run->mmio.is_write, run->mmio.data, run->mmio.len))
		vmm_bad(v->vm, "mmio cpu%u %s %#llx (%u bytes): nothing is there", v->id, run->mmio.is_write ? "write" : "read",
		        (unsigned long long)address, run->mmio.len);
}
