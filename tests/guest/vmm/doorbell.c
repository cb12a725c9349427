// SPDX-License-Identifier: LGPL-2.1-or-later
/* Doorbells: a write of the guest becomes an eventfd, a thread counts it in guest memory and answers by irqfds. Routes change
 * and ioeventfds are taken away and put back while that goes on; no ring and no answer may be lost or come twice. */
#include "vmm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int doorbell_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		vmm_fail("eventfd: %s", strerror(errno));
	return fd;
}

static void doorbell_signal(int fd)
{
	if (eventfd_write(fd, 1) < 0)
		vmm_fail("eventfd write: %s", strerror(errno));
}

static void doorbell_assign(struct vcpu *v, bool assign)
{
	struct kvm_ioeventfd doorbell = {
		.addr = ABI_PORTS(v->id) + ABI_DOORBELL,
		.len = 4,
		.fd = v->doorbell,
		.flags = KVM_IOEVENTFD_FLAG_PIO | (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	vmm_ioctl(v->vm->fd, KVM_IOEVENTFD, "KVM_IOEVENTFD", &doorbell);
	v->doorbell_assigned = assign;
}

static void doorbell_irqfd(struct vm *vm, unsigned gsi, int fd, int resample)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = gsi };

	if (resample >= 0) {
		irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = (uint32_t)resample;
	}
	vmm_ioctl(vm->fd, KVM_IRQFD, "KVM_IRQFD", &irqfd);
}

static void add_pin(struct kvm_irq_routing *table, unsigned gsi, unsigned chip, unsigned pin)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static void add_message(struct kvm_irq_routing *table, unsigned gsi, unsigned cpu, unsigned vector)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = 0xfee00000u | cpu << 12, .data = vector },
	};
}

/* Under the lock, except at the beginning. The table replaces the one before, so it has everything: the pins as the kernel
 * makes them (arch/x86/kvm/irq_comm.c), a message to each CPU, and some that nobody uses and that differ every time. */
void doorbell_set_routes(struct vm *vm)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry space[80];
	} all = { 0 };
	struct kvm_irq_routing *table = &all.table;

	if (vm->options->irqchip == IRQCHIP_OFF)
		return;
	for (unsigned pin = 0; vm->options->irqchip == IRQCHIP_KERNEL && pin < 24; pin++) {
		if (pin < 16)
			add_pin(table, pin, pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, pin % 8);
		add_pin(table, pin, KVM_IRQCHIP_IOAPIC, pin ? pin : 2);
	}
	for (unsigned i = 0; i < vm->options->cpus; i++)
		if (vm->vcpus[i].vector)
			add_message(table, GSI_CPU(i), i, vm->vcpus[i].vector);
	for (unsigned i = 0; i < 1 + vm->route_shift % 7; i++)
		add_message(table, GSI_CPU(ABI_MAX_CPUS) + i, i % 2, 0x80 + (vm->route_shift + i) % 64);
	vmm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", table);
}

void doorbell_create(struct vm *vm)
{
	for (unsigned i = 0; i < vm->options->cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		v->vm = vm;
		v->id = i;
		v->doorbell = doorbell_eventfd();
		v->answer = doorbell_eventfd();
		doorbell_assign(v, true);
		if (vm->options->irqchip != IRQCHIP_OFF)
			doorbell_irqfd(vm, GSI_CPU(i), v->answer, -1);
	}
	doorbell_set_routes(vm);
	vm->line = vm->level = vm->level_acked = -1;
	if (vm->options->irqchip != IRQCHIP_KERNEL)
		return;
	vm->line = doorbell_eventfd();
	vm->level = doorbell_eventfd();
	vm->level_acked = doorbell_eventfd();
	doorbell_irqfd(vm, ABI_IRQ_LINE, vm->line, -1);
	doorbell_irqfd(vm, ABI_IRQ_LEVEL, vm->level, vm->level_acked);
}

/* Which doorbells are assigned goes round: both, the second only, both, the first only. */
void doorbell_reassign(struct vm *vm, unsigned turn)
{
	for (unsigned i = 0; i < vm->options->cpus; i++) {
		bool assign = turn % 4 != 1 + 2 * i;

		if (vm->vcpus[i].doorbell_assigned != assign)
			doorbell_assign(&vm->vcpus[i], assign);
	}
}

void doorbell_ring(struct vcpu *v)
{
	doorbell_signal(v->doorbell);
}

static void *device_run(void *argument)
{
	struct vcpu *v = argument;
	struct abi_shared *shared = (void *)memory_at(v->vm, ABI_SHARED, sizeof(*shared));

	for (;;) {
		struct pollfd poll_fd = { .fd = v->doorbell, .events = POLLIN };
		eventfd_t rung;
		uint32_t vector;

		if (poll(&poll_fd, 1, -1) < 0 || eventfd_read(v->doorbell, &rung) < 0)
			vmm_fail("doorbell: %s", strerror(errno));
		vector = __atomic_load_n(&v->vector, __ATOMIC_SEQ_CST); /* before the guest goes on and chooses another */
		__atomic_fetch_add(&shared->answered[v->id], rung, __ATOMIC_SEQ_CST);
		if (vector && v->vm->options->irqchip != IRQCHIP_OFF)
			doorbell_signal(v->answer);
		if (v->id == 0 && v->vm->line >= 0) {
			doorbell_signal(v->vm->line);
			doorbell_signal(v->vm->level);
		}
	}
	return NULL;
}

/* The kernel signals this one when the guest has acknowledged the level, which is low again by then; KVM documentation, 4.75.
 */
static void *level_run(void *argument)
{
	struct vm *vm = argument;
	eventfd_t acked;

	while (!eventfd_read(vm->level_acked, &acked))
		;
	vmm_fail("resamplefd: %s", strerror(errno));
}

void doorbell_start(struct vm *vm)
{
	for (unsigned i = 0; i < vm->options->cpus; i++)
		vm->vcpus[i].device = vmm_thread(device_run, &vm->vcpus[i]);
	if (vm->level_acked >= 0)
		vm->level_thread = vmm_thread(level_run, vm);
}
