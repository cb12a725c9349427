/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-vmm: a virtual machine monitor straight on the KVM API, to show that Stasis takes any VMM and not QEMU alone. It uses
 * many facilities of KVM at once, and notices by itself when an exit, an interrupt or a write was lost, repeated or changed. */
#ifndef VMM_H
#define VMM_H

#include "../abi.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_VMS 2u
#define RAM_LOW 0xa0000u /* guest RAM is two slots with the usual hole between them */
#define RAM_HIGH 0x100000u
#define GSI_CPU(cpu) (24 + (cpu)) /* after the 24 pins of the I/O APIC: a message to each CPU */

enum slot_id { SLOT_LOW, SLOT_HIGH, SLOT_READONLY, SLOT_WINDOW, SLOT_LOGGED };
enum irqchip { IRQCHIP_KERNEL, IRQCHIP_SPLIT, IRQCHIP_OFF };

struct options {
	const char *guest, *append;
	unsigned cpus, vms, memory_mib, slow_ms, churn_ms, bench_ms;
	enum irqchip irqchip;
	bool memfd, hugepage;
};

struct vm;

struct vcpu {
	struct vm *vm;
	unsigned id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool kicked; /* by a pause; immediate_exit is ours to take back */
	bool held;   /* waits to be started (without a local APIC only) */
	uint64_t exits;

	/* what the guest has done, by the running numbers of abi.h */
	uint64_t string_out, string_in, slow_reads, slow_writes, zone_mmio, zone_pio, readonly_writes;

	int doorbell, answer; /* eventfds: ioeventfd and irqfd */
	bool doorbell_assigned;
	uint32_t vector; /* of the answer; 0 = none */
	pthread_t device;
};

struct vm {
	const struct options *options;
	unsigned index;
	int kvm, fd;
	bool paused;
	pthread_mutex_t lock; /* devices, slots, routes, pause */
	pthread_cond_t resumed;

	uint8_t *ram, *readonly, *window, *logged;
	uint32_t window_at; /* where the window is a slot at this moment; 0 = nowhere */
	uint64_t dirty[ABI_LOGGED_SIZE / 4096 / 64];
	bool has_readonly, has_zone, has_zone_pio;
	struct kvm_coalesced_mmio_ring *ring;

	struct vcpu vcpus[ABI_MAX_CPUS];
	unsigned route_shift;         /* changes with every change of the routes */
	int line, level, level_acked; /* irqfds of the two lines and the resamplefd; -1 = none */
	pthread_t janitor, level_thread;
	char text[512];
	size_t text_size;
};

/* main.c: a line beginning with BAD, and the end. */
__attribute__((format(printf, 2, 3))) _Noreturn void vmm_bad(struct vm *vm, const char *fmt, ...);
__attribute__((format(printf, 1, 2))) _Noreturn void vmm_fail(const char *fmt, ...);
int vmm_ioctl(int fd, unsigned long request, const char *name, void *argument); /* fails loudly */
void *vmm_map(size_t size, bool memfd, bool hugepage);
pthread_t vmm_thread(void *(*run)(void *), void *argument);
void vmm_sleep_ms(unsigned ms);

/* memory.c: slots. */
void memory_create(struct vm *vm);
uint8_t *memory_at(struct vm *vm, uint64_t address, size_t size); /* guest RAM; NULL = there is none */
bool memory_access(struct vcpu *v, uint64_t address, bool write, uint8_t *data, unsigned size);
void memory_dirty_page(struct vm *vm, uint32_t page);
void memory_move_window(struct vm *vm, unsigned turn);

/* doorbell.c: ioeventfds, irqfds and the routes between them. */
void doorbell_create(struct vm *vm);
void doorbell_ring(struct vcpu *v); /* by an exit, while the ioeventfd is not assigned */
void doorbell_set_routes(struct vm *vm);
void doorbell_reassign(struct vm *vm, unsigned turn);
void doorbell_start(struct vm *vm);

/* devices.c: ports and memory-mapped devices, called at every exit. */
void devices_create(struct vm *vm);
void devices_drain(struct vm *vm); /* the coalesced writes; under the lock */
void devices_io(struct vcpu *v);
void devices_mmio(struct vcpu *v);

/* load.c: the guest and the state in which its first instruction runs. */
void load_guest(struct vm *vm);

/* vcpu.c */
void vcpu_create(struct vm *vm, unsigned id);
void vcpu_start(struct vcpu *v);
void vcpu_pause_all(struct vm *vm);
void vcpu_resume_all(struct vm *vm);
void vcpu_start_at(struct vcpu *v, unsigned page);

#endif
