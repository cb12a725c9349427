// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether this is a moment at which every virtual CPU can be described.
 *
 * Theory of operation. What KVM_RUN left unfinished when it went out for I/O (the value read, the rest of a string or of a split
 * access, the instruction pointer) is in the kernel until the next KVM_RUN and cannot be read. A virtual CPU is at rest when its last
 * KVM_RUN returned an error (EINTR mostly: then it has completed whatever there was before it went on, see KVM_RUN in api.rst), or
 * went out for something that needs no completion. Whatever else: the gate. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm.h"

/* Exits after which the instruction is done, or has not begun. */
static bool exit_is_complete(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_UNKNOWN:
	case KVM_EXIT_EXCEPTION:
	case KVM_EXIT_DEBUG:
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_SYSTEM_EVENT:
	case KVM_EXIT_IOAPIC_EOI:
		return true;
	}
	return false;
}

static const char *exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_IO:
		return "port I/O";
	case KVM_EXIT_MMIO:
		return "memory-mapped I/O";
	case KVM_EXIT_HYPERCALL:
		return "a hypercall";
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return "an MSR access";
	}
	return "an exit";
}

/* struct kvm_run can be mapped by anybody who has the descriptor (measured: inventory D). */
static int exit_reason(struct stasis_session *s, int fd, uint32_t *ret)
{
	int copy = stasis_descriptor_copy(s, fd);

	if (copy < 0)
		return copy;
	const struct kvm_run *run = mmap(NULL, 4096, PROT_READ, MAP_SHARED, copy, 0);
	close(copy);
	if (run == MAP_FAILED)
		return -errno;
	*ret = run->exit_reason;
	munmap((void *)run, 4096);
	return 0;
}

/* Some thread stands behind a KVM_RUN on `fd` that our stop has ended. */
static bool was_interrupted(struct stasis_session *s, int fd)
{
	const struct user_regs_struct *regs;

	for (size_t i = 0; (regs = stasis_thread(s, i)); i++)
		if (regs->orig_rax == SYS_ioctl && (int)regs->rdi == fd && (uint32_t)regs->rsi == KVM_RUN && (long)regs->rax == -EINTR)
			return true;
	return false;
}

int kvm_ready(struct stasis_session *s, void *state)
{
	struct kvm_state *k = state;

	if (!k->journal)
		return 0;
	if (stasis_recording(s)) {
		stasis_not_ready(s, "a call to KVM that changes the virtual machine was not over");
		return -EAGAIN;
	}
	int err = kvm_copy_read(s, k->journal, &k->copy);
	if (err)
		return stasis_fail(s, err, "the recorder's journal of KVM cannot be read");
	for (uint32_t i = 0; i < k->copy.head.n_objects; i++) {
		const struct kvm_object *o = &k->copy.objects[i];
		uint32_t reason = 0;
		if (o->kind != KVM_OBJECT_VCPU || o->phase == KVM_VCPU_IDLE)
			continue;
		if (o->phase == KVM_VCPU_RUNNING) {
			if (was_interrupted(s, o->fd))
				continue;
			stasis_not_ready(s, "virtual CPU %u (fd %d) did not come to rest", o->id, o->fd);
			return -EAGAIN;
		}
		if ((err = exit_reason(s, o->fd, &reason)))
			return stasis_fail(s, err, "virtual CPU %u (fd %d): its shared page cannot be mapped", o->id, o->fd);
		if (!exit_is_complete(reason)) {
			stasis_not_ready(s, "virtual CPU %u (fd %d) did not come to rest: its thread has not returned from %s to KVM_RUN", o->id, o->fd,
					 exit_name(reason));
			return -EAGAIN;
		}
	}
	return 0;
}
