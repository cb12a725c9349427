// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's journal of KVM, with a kernel that is played: what is noted, replaced and forgotten, and what happens at the gate. */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "kvm/record.h"

/* ---- the kernel and the recorder's core, played ---- */

struct recorder_root recorder_root;
static long next_result;
static unsigned n_runs, n_waits, n_calls;
static long run_results[8], wait_result;
static struct kvm_run page;

long recorder_call(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	(void)a0;
	(void)a3;
	(void)a4;
	(void)a5;
	if (nr == SYS_mmap)
		return (long)&page;
	if (nr == SYS_munmap || nr == SYS_getpid)
		return 0;
	if (nr == SYS_kcmp)
		return 1; /* nothing is a copy of anything */
	assert_int_equal(nr, SYS_ioctl);
	n_calls++;
	if ((unsigned long)a1 == KVM_RUN)
		return run_results[n_runs++];
	if ((unsigned long)a1 == KVM_CREATE_DEVICE)
		((struct kvm_create_device *)a2)->fd = (uint32_t)next_result;
	return next_result;
}

void recorder_claim(int fd, const struct recorder_kind *kind)
{
	(void)fd;
	assert_ptr_equal(kind, &kvm_recorder_kind);
}

void recorder_begin(struct recorder_turn *turn)
{
	(void)turn;
	recorder_root.busy++;
}

void recorder_end(struct recorder_turn *turn)
{
	(void)turn;
	recorder_root.busy--;
}

/* Never given back, as the real one's. */
void *recorder_memory(size_t size)
{
	static char arena[8 << 20];
	static size_t used;

	size = (size + 63) & ~63ul;
	assert_true(size <= sizeof(arena) - used);
	used += size;
	return arena + used - size;
}

void recorder_break(void)
{
	recorder_root.broken = 1;
}

int recorder_gate_wait(void)
{
	n_waits++;
	recorder_root.closed = 0;
	return (int)wait_result;
}

/* ---- what the journal says ---- */

static struct kvm_journal *journal(void)
{
	return (struct kvm_journal *)recorder_root.sections[0].addr;
}

static struct kvm_object *object(int fd)
{
	struct kvm_object *all = (struct kvm_object *)journal()->objects;

	for (uint32_t i = 0; i < journal()->n_objects; i++)
		if (all[i].kind && all[i].fd == fd)
			return &all[i];
	return NULL;
}

static unsigned count(uint64_t request, struct kvm_entry **ret_last)
{
	struct kvm_entry *all = (struct kvm_entry *)journal()->entries;
	unsigned n = 0;

	for (uint32_t i = 0; i < journal()->n_entries; i++) {
		if (all[i].live && (uint32_t)all[i].request == (uint32_t)request) {
			n++;
			if (ret_last)
				*ret_last = &all[i];
		}
	}
	return n;
}

static long ask(int fd, unsigned long request, void *arg, long result)
{
	next_result = result;
	return kvm_recorder_kind.ioctl(fd, request, arg);
}

enum { SYSTEM = 9, VM = 10, VCPU0 = 11, VCPU1 = 12 };

static int setup(void **state)
{
	(void)state;
	if (!recorder_root.sections[0].addr)
		kvm_recorder_kind.init(&recorder_root.sections[0]);
	memset((void *)journal()->objects, 0, KVM_OBJECTS * sizeof(struct kvm_object));
	memset((void *)journal()->entries, 0, KVM_ENTRIES * sizeof(struct kvm_entry));
	journal()->n_objects = journal()->n_entries = 0;
	recorder_root.closed = recorder_root.broken = recorder_root.busy = 0;
	n_runs = n_waits = n_calls = 0;
	wait_result = 0;
	ask(SYSTEM, KVM_CREATE_VM, NULL, VM);
	ask(VM, KVM_CREATE_VCPU, (void *)0, VCPU0);
	ask(VM, KVM_CREATE_VCPU, (void *)1, VCPU1);
	return 0;
}

/* ---- tests ---- */

static void machines_and_cpus_are_known_by_their_numbers(void **state)
{
	(void)state;
	assert_int_equal(object(VM)->kind, KVM_OBJECT_VM);
	assert_int_equal(object(VCPU1)->kind, KVM_OBJECT_VCPU);
	assert_int_equal(object(VCPU1)->id, 1);
	assert_true(object(VM)->seq < object(VCPU0)->seq && object(VCPU0)->seq < object(VCPU1)->seq);
	ask(SYSTEM, KVM_CREATE_VM, NULL, VCPU1); /* that descriptor was closed, and its number is another machine's now */
	assert_int_equal(object(VCPU1)->kind, KVM_OBJECT_VM);
}

static void a_call_that_failed_leaves_nothing(void **state)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 4096 };

	(void)state;
	assert_int_equal(ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, -EINVAL), -EINVAL);
	assert_int_equal(count(KVM_SET_USER_MEMORY_REGION, NULL), 0);
	assert_int_equal(recorder_root.busy, 0);
}

static void slots_replace_each_other_and_go_with_size_zero(void **state)
{
	struct kvm_userspace_memory_region slot = { .slot = 3, .memory_size = 8192, .guest_phys_addr = 0x1000 };
	struct kvm_entry *e = NULL;

	(void)state;
	ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, 0);
	slot.guest_phys_addr = 0x5000;
	ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, 0);
	assert_int_equal(count(KVM_SET_USER_MEMORY_REGION, &e), 1);
	assert_int_equal(((struct kvm_userspace_memory_region *)e->data)->guest_phys_addr, 0x5000);
	slot.slot = 4;
	ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, 0);
	assert_int_equal(count(KVM_SET_USER_MEMORY_REGION, NULL), 2);
	slot.slot = 3;
	slot.memory_size = 0;
	ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, 0);
	assert_int_equal(count(KVM_SET_USER_MEMORY_REGION, NULL), 1);
}

static void event_descriptors_come_and_go(void **state)
{
	struct kvm_ioeventfd io = { .addr = 0xfe000000, .len = 4, .fd = 20 };
	struct kvm_irqfd irq = { .fd = 21, .gsi = 24 };

	(void)state;
	ask(VM, KVM_IOEVENTFD, &io, 0);
	io.flags = KVM_IOEVENTFD_FLAG_PIO;
	ask(VM, KVM_IOEVENTFD, &io, 0); /* the same numbers as a port: another one */
	ask(VM, KVM_IRQFD, &irq, 0);
	irq.gsi = 25;
	ask(VM, KVM_IRQFD, &irq, 0);
	assert_int_equal(count(KVM_IOEVENTFD, NULL), 2);
	assert_int_equal(count(KVM_IRQFD, NULL), 2);
	io.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	irq.flags = KVM_IRQFD_FLAG_DEASSIGN;
	ask(VM, KVM_IOEVENTFD, &io, 0);
	ask(VM, KVM_IRQFD, &irq, 0);
	assert_int_equal(count(KVM_IOEVENTFD, NULL), 1);
	assert_int_equal(count(KVM_IRQFD, NULL), 1);
}

static void zones_go_with_the_range_they_cover(void **state)
{
	struct kvm_coalesced_mmio_zone a = { .addr = 0x1000, .size = 0x1000 }, b = { .addr = 0x8000, .size = 0x100 }, part = { .addr = 0x1800, .size = 8 };

	(void)state;
	ask(VM, KVM_REGISTER_COALESCED_MMIO, &a, 0);
	ask(VM, KVM_REGISTER_COALESCED_MMIO, &b, 0);
	ask(VM, KVM_UNREGISTER_COALESCED_MMIO, &part, 0);
	assert_int_equal(count(KVM_REGISTER_COALESCED_MMIO, NULL), 1);
}

static void a_routing_table_is_kept_whole_however_it_grows(void **state)
{
	struct kvm_entry *e = NULL;

	(void)state;
	for (unsigned n = 1; n <= 300; n += 37) {
		struct kvm_irq_routing *r = calloc(1, sizeof(*r) + n * sizeof(struct kvm_irq_routing_entry));
		r->nr = n;
		r->entries[n - 1].gsi = n;
		ask(VM, KVM_SET_GSI_ROUTING, r, 0);
		assert_int_equal(count(KVM_SET_GSI_ROUTING, &e), 1);
		assert_int_equal(e->size, sizeof(*r) + n * sizeof(struct kvm_irq_routing_entry));
		assert_memory_equal((void *)e->data, r, e->size);
		free(r);
	}
}

static void capabilities_are_kept_one_by_one(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { 1 } };

	(void)state;
	ask(VM, KVM_ENABLE_CAP, &cap, 0);
	cap.args[0] = 3;
	ask(VM, KVM_ENABLE_CAP, &cap, 0);
	cap.cap = KVM_CAP_EXCEPTION_PAYLOAD;
	ask(VM, KVM_ENABLE_CAP, &cap, 0);
	ask(VCPU0, KVM_ENABLE_CAP, &cap, 0); /* on another object: not the same */
	assert_int_equal(count(KVM_ENABLE_CAP, NULL), 3);
}

static void a_signal_mask_may_be_taken_back(void **state)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[8];
	} mask = { .head.len = 8, .set = { 1, 2, 3 } };
	struct kvm_entry *e = NULL;

	(void)state;
	ask(VCPU0, KVM_SET_SIGNAL_MASK, &mask, 0);
	assert_int_equal(count(KVM_SET_SIGNAL_MASK, &e), 1);
	assert_memory_equal((void *)e->data, &mask, 12);
	ask(VCPU0, KVM_SET_SIGNAL_MASK, NULL, 0);
	assert_int_equal(count(KVM_SET_SIGNAL_MASK, NULL), 0);
}

static void lines_are_a_bit_each(void **state)
{
	struct kvm_irq_level level = { .irq = 70, .level = 1 };
	const uint64_t *lines = (const uint64_t *)object(VM)->lines;

	(void)state;
	ask(VM, KVM_IRQ_LINE, &level, 0);
	assert_int_equal(lines[1], 1u << 6);
	level.level = 0;
	ask(VM, KVM_IRQ_LINE_STATUS, &level, 1);
	assert_int_equal(lines[1], 0);
	assert_int_equal(recorder_root.busy, 0);
}

static void what_nobody_knows_is_refused_later(void **state)
{
	struct kvm_entry *e = NULL;

	(void)state;
	ask(VM, _IOW(KVMIO, 0xf7, int), NULL, 0);
	assert_int_equal(count(_IOW(KVMIO, 0xf7, int), &e), 1);
	assert_true(e->flags & KVM_ENTRY_REFUSED);
	ask(VM, KVM_XEN_HVM_CONFIG, NULL, 0);
	assert_int_equal(count(KVM_XEN_HVM_CONFIG, &e), 1);
	assert_true(e->flags & KVM_ENTRY_REFUSED);
}

static void after_a_restart_all_pages_are_dirty_once(void **state)
{
	struct kvm_userspace_memory_region slot = { .slot = 1, .flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = 70 * 4096 };
	uint64_t bits[2] = { 0, 0 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_entry *e = NULL;

	(void)state;
	ask(VM, KVM_SET_USER_MEMORY_REGION, &slot, 0);
	ask(VM, KVM_GET_DIRTY_LOG, &log, 0);
	assert_int_equal(bits[0], 0);
	assert_int_equal(count(KVM_SET_USER_MEMORY_REGION, &e), 1);
	e->flags |= KVM_ENTRY_ALL_DIRTY; /* as the restart does */
	ask(VM, KVM_GET_DIRTY_LOG, &log, 0);
	assert_true(bits[0] == ~0ull && bits[1] == 0x3f);
	bits[0] = bits[1] = 0;
	ask(VM, KVM_GET_DIRTY_LOG, &log, 0);
	assert_true(bits[0] == 0 && bits[1] == 0);
}

static void devices_and_statistics_are_objects(void **state)
{
	struct kvm_create_device test = { .type = 4, .flags = KVM_CREATE_DEVICE_TEST }, real = { .type = 4 };

	(void)state;
	ask(VM, KVM_CREATE_DEVICE, &test, 0);
	ask(VM, KVM_CREATE_DEVICE, &real, 30);
	ask(VCPU1, KVM_GET_STATS_FD, NULL, 31);
	assert_int_equal(object(30)->kind, KVM_OBJECT_DEVICE);
	assert_int_equal(object(31)->kind, KVM_OBJECT_STATS);
	assert_ptr_equal((struct kvm_object *)journal()->objects + object(31)->parent, object(VCPU1));
}

static void an_open_gate_is_passed_and_phases_are_told(void **state)
{
	(void)state;
	run_results[0] = 0;
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), 0);
	assert_int_equal(object(VCPU0)->phase, KVM_VCPU_EXITED);
	run_results[1] = -EINTR;
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), -EINTR);
	assert_int_equal(object(VCPU0)->phase, KVM_VCPU_IDLE);
	assert_int_equal(n_waits, 0);
}

static void at_the_gate_an_exit_is_completed_first(void **state)
{
	(void)state;
	run_results[0] = 0;
	kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL);
	recorder_root.closed = 1;
	page.immediate_exit = 0;
	run_results[1] = -EINTR; /* completed */
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), -EINTR);
	assert_int_equal(object(VCPU0)->phase, KVM_VCPU_IDLE);
	assert_int_equal(page.immediate_exit, 0);
	assert_int_equal(n_waits, 0);
	run_results[2] = 0; /* it comes back, waits, and then runs */
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), 0);
	assert_int_equal(n_waits, 1);
	assert_int_equal(n_runs, 3);
}

static void an_exit_in_pieces_goes_back_to_the_program(void **state)
{
	(void)state;
	run_results[0] = 0;
	kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL);
	recorder_root.closed = 1;
	run_results[1] = 0; /* the second half of a split access */
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), 0);
	assert_int_equal(object(VCPU0)->phase, KVM_VCPU_EXITED);
	assert_int_equal(n_waits, 0);
}

static void a_kick_at_the_gate_is_handed_on(void **state)
{
	(void)state;
	recorder_root.closed = 1;
	wait_result = -EINTR;
	assert_int_equal(kvm_recorder_kind.ioctl(VCPU0, KVM_RUN, NULL), -EINTR);
	assert_int_equal(n_runs, 0);
	assert_int_equal(object(VCPU0)->phase, KVM_VCPU_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(machines_and_cpus_are_known_by_their_numbers, setup),
		cmocka_unit_test_setup(a_call_that_failed_leaves_nothing, setup),
		cmocka_unit_test_setup(slots_replace_each_other_and_go_with_size_zero, setup),
		cmocka_unit_test_setup(event_descriptors_come_and_go, setup),
		cmocka_unit_test_setup(zones_go_with_the_range_they_cover, setup),
		cmocka_unit_test_setup(a_routing_table_is_kept_whole_however_it_grows, setup),
		cmocka_unit_test_setup(capabilities_are_kept_one_by_one, setup),
		cmocka_unit_test_setup(a_signal_mask_may_be_taken_back, setup),
		cmocka_unit_test_setup(lines_are_a_bit_each, setup),
		cmocka_unit_test_setup(what_nobody_knows_is_refused_later, setup),
		cmocka_unit_test_setup(after_a_restart_all_pages_are_dirty_once, setup),
		cmocka_unit_test_setup(devices_and_statistics_are_objects, setup),
		cmocka_unit_test_setup(an_open_gate_is_passed_and_phases_are_told, setup),
		cmocka_unit_test_setup(at_the_gate_an_exit_is_completed_first, setup),
		cmocka_unit_test_setup(an_exit_in_pieces_goes_back_to_the_program, setup),
		cmocka_unit_test_setup(a_kick_at_the_gate_is_handed_on, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
