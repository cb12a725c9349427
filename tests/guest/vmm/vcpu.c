// SPDX-License-Identifier: LGPL-2.1-or-later
/* Virtual CPUs: what they are told of the processor, the loop around KVM_RUN, and the pause. A pause sets immediate_exit and
 * sends a signal that is blocked outside of KVM_RUN (KVM_SET_SIGNAL_MASK), so that no moment is left in which it could be
 * missed. */
#include "vmm.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define KICK SIGRTMIN

static void vcpu_set_cpuid(struct vcpu *v)
{
	struct {
		struct kvm_cpuid2 table;
		struct kvm_cpuid_entry2 space[256];
	} all = { .table = { .nent = 256 } };
	bool lapic = v->vm->options->irqchip != IRQCHIP_OFF;

	vmm_ioctl(v->vm->kvm, KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", &all);
	for (unsigned i = 0; i < all.table.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &all.table.entries[i];

		if (entry->function == 1) {
			entry->ebx = (entry->ebx & 0xffff) | v->id << 24 | v->vm->options->cpus << 16;
			entry->ecx |= 1u << 31; /* hypervisor */
			if (lapic && ioctl(v->vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
				entry->ecx |= 1u << 24;
			if (!lapic)
				entry->edx &= ~(1u << 9);
		} else if (entry->function == 0xb || entry->function == 0x1f) {
			entry->edx = v->id;
		}
	}
	vmm_ioctl(v->fd, KVM_SET_CPUID2, "KVM_SET_CPUID2", &all);
}

/* Machine check banks, with MCG_CTL (bit 8) if there is one: their number decides which MSRs the guest has. */
static void vcpu_set_mce(struct vcpu *v)
{
	uint64_t supported, wanted;

	if (ioctl(v->vm->kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported) < 0)
		return;
	wanted = (supported & 1u << 8) | 6;
	vmm_ioctl(v->fd, KVM_X86_SETUP_MCE, "KVM_X86_SETUP_MCE", &wanted);
}

void vcpu_create(struct vm *vm, unsigned id)
{
	struct vcpu *v = &vm->vcpus[id];
	int size = vmm_ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", NULL);

	v->vm = vm;
	v->id = id;
	v->fd = vmm_ioctl(vm->fd, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", (void *)(uintptr_t)id);
	v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		vmm_fail("mmap of a vCPU: %s", strerror(errno));
	v->held = id && vm->options->irqchip == IRQCHIP_OFF;
	vcpu_set_cpuid(v);
	vcpu_set_mce(v);
}

static void vcpu_set_signal_mask(struct vcpu *v)
{
	struct {
		struct kvm_signal_mask header;
		uint64_t mask;
	} __attribute__((packed)) all = { .header = { .len = 8 } };
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	sigdelset(&set, KICK);
	memcpy(&all.mask, &set, 8); /* the kernel's set is the first 8 bytes */
	vmm_ioctl(v->fd, KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK", &all);
}

/* Waits while there is a pause, or until it is started. Who sets `paused` sets immediate_exit under the same lock, after we
 * have looked or before: in the first case KVM_RUN comes back at once. */
static void vcpu_wait(struct vcpu *v)
{
	pthread_mutex_lock(&v->vm->lock);
	while (v->vm->paused || v->held)
		pthread_cond_wait(&v->vm->resumed, &v->vm->lock);
	if (v->kicked)
		v->run->immediate_exit = 0;
	v->kicked = false;
	pthread_mutex_unlock(&v->vm->lock);
}

/* AMD's KVM resets the CPU before it tells of a triple fault (shutdown_interception() in arch/x86/kvm/svm/svm.c); then only
 * `doing` says where it was. */
static _Noreturn void vcpu_dump(struct vcpu *v, const char *why)
{
	const struct abi_shared *shared = (void *)memory_at(v->vm, ABI_SHARED, sizeof(*shared));
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };

	ioctl(v->fd, KVM_GET_REGS, &regs);
	ioctl(v->fd, KVM_GET_SREGS, &sregs);
	vmm_bad(v->vm,
	        "exit cpu%u %s: reason %u, turn %llu check %llu, rip %#llx rsp %#llx flags %#llx cr0 %#llx cr2 %#llx cr3 %#llx",
	        v->id, why, v->run->exit_reason, (unsigned long long)shared->doing[v->id] >> 8,
	        (unsigned long long)shared->doing[v->id] & 0xff, (unsigned long long)regs.rip, (unsigned long long)regs.rsp,
	        (unsigned long long)regs.rflags, (unsigned long long)sregs.cr0, (unsigned long long)sregs.cr2,
	        (unsigned long long)sregs.cr3);
}

static void vcpu_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	__atomic_store_n(&v->exits, v->exits + 1, __ATOMIC_RELAXED);
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == ABI_PORT_BENCH)
		return;
	pthread_mutex_lock(&v->vm->lock);
	devices_drain(v->vm); /* first: what a CPU has written before this exit comes before it */
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		devices_io(v);
		break;
	case KVM_EXIT_MMIO:
		devices_mmio(v);
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_IOAPIC_EOI:
		break;
	case KVM_EXIT_HLT:
		vcpu_dump(v, "halts");
	case KVM_EXIT_SHUTDOWN:
		vcpu_dump(v, "triple fault");
	default:
		vcpu_dump(v, "unexpected");
	}
	pthread_mutex_unlock(&v->vm->lock);
}

static void *vcpu_run(void *argument)
{
	struct vcpu *v = argument;
	struct timespec now = { 0 };
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK);
	vcpu_set_signal_mask(v);
	for (;;) {
		vcpu_wait(v);
		if (!ioctl(v->fd, KVM_RUN, 0)) {
			vcpu_exit(v);
			continue;
		}
		if (errno != EINTR && errno != EAGAIN)
			vmm_bad(v->vm, "KVM_RUN cpu%u: %s", v->id, strerror(errno));
		while (sigtimedwait(&kick, NULL, &now) > 0) /* it is pending, as it is blocked here */
			;
	}
	return NULL;
}

static void kick_handler(int signal)
{
	(void)signal; /* never runs: the signal is blocked but in KVM_RUN, and taken after it */
}

void vcpu_start(struct vcpu *v)
{
	struct sigaction action = { .sa_handler = kick_handler };

	sigaction(KICK, &action, NULL);
	v->thread = vmm_thread(vcpu_run, v);
}

void vcpu_pause_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->paused = true;
	for (unsigned i = 0; i < vm->options->cpus; i++) {
		vm->vcpus[i].kicked = true;
		vm->vcpus[i].run->immediate_exit = 1;
		pthread_kill(vm->vcpus[i].thread, KICK);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vcpu_resume_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->paused = false;
	pthread_cond_broadcast(&vm->resumed);
	pthread_mutex_unlock(&vm->lock);
}

/* As a start-up IPI does it: real mode, at the beginning of the page. Called by the thread of the other CPU, under the lock. */
void vcpu_start_at(struct vcpu *v, unsigned page)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };

	if (!v->held || page > 0xff)
		vmm_bad(v->vm, "start-ap page %u", page);
	vmm_ioctl(v->fd, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs);
	sregs.cs.selector = (uint16_t)(page << 8);
	sregs.cs.base = page << 12;
	vmm_ioctl(v->fd, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs);
	vmm_ioctl(v->fd, KVM_SET_REGS, "KVM_SET_REGS", &regs);
	v->held = false;
	pthread_cond_broadcast(&v->vm->resumed);
}
