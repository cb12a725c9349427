// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a guest under KVM writes to its memory is noted as what a program writes is: KVM has mappings of its own of these pages, and must take the
 * right to write to them away when the host's mapping loses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel.h"
#include "roll.h"
#include "track/watch.h"

#define PAGE 4096ul
#define PAGES 256u /* what real mode can address */
#define CODE 1u    /* the page with the program, which is only read */
#define ASK 0x10
#define DONE 0x11

/* Asks for a segment, counts in its first word, says so; for ever. */
static const uint8_t program[] = { 0xe5, ASK,               /* in    ax, ASK */
				   0x8e, 0xd8,              /* mov   ds, ax */
				   0xff, 0x06, 0x00, 0x00,  /* inc   word [0] */
				   0xe6, DONE,              /* out   DONE, al */
				   0xeb, 0xf4 };            /* jmp   to the first */

struct machine {
	int vcpu, uffd, pagemap;
	struct kvm_run *run;
	uint8_t *memory;
	uint16_t counts[PAGES]; /* what is in the pages */
};

/* False where there is no KVM, or no such watch. */
static bool machine_make(struct machine *m)
{
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = CODE * PAGE, .rflags = 2 };

	if (vm < 0 || watch_try())
		return false;
	m->memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m->memory, MAP_FAILED);
	madvise(m->memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(m->memory, 0, PAGES * PAGE);
	memcpy(m->memory + CODE * PAGE, program, sizeof(program));
	const struct kvm_userspace_memory_region slot = { .memory_size = PAGES * PAGE, .userspace_addr = (uintptr_t)m->memory };
	assert_int_equal(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	m->vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	m->run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	assert_ptr_not_equal(m->run, MAP_FAILED);
	assert_int_equal(ioctl(m->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	assert_int_equal(ioctl(m->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl(m->vcpu, KVM_SET_REGS, &regs), 0);
	m->uffd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC | O_NONBLOCK);
	assert_int_equal(ioctl(m->uffd, UFFDIO_API, &api), 0);
	m->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_true(m->pagemap >= 0);
	return true;
}

static void machine_step(struct machine *m, uint16_t port, uint16_t value)
{
	assert_int_equal(ioctl(m->vcpu, KVM_RUN, 0), 0);
	assert_int_equal(m->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(m->run->io.port, port);
	if (m->run->io.direction == KVM_EXIT_IO_IN)
		memcpy((uint8_t *)m->run + m->run->io.data_offset, &value, sizeof(value));
}

static void machine_count(struct machine *m, unsigned page)
{
	machine_step(m, ASK, (uint16_t)(page * (PAGE / 16)));
	machine_step(m, DONE, 0);
	m->counts[page]++;
}

/* Has the guest write to some pages; `written` says to which. */
static void machine_work(struct machine *m, bool *written)
{
	memset(written, 0, PAGES * sizeof(*written));
	for (unsigned i = 0, n = roll(100); i < n; i++) {
		unsigned page = roll(PAGES);
		page = page == CODE ? 0 : page;
		machine_count(m, page);
		written[page] = true;
	}
}

static void assert_written(const struct machine *m, const struct ranges *changed, const bool *written)
{
	uint64_t end;
	size_t i = 0;

	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(ranges_have(changed, &i, (uintptr_t)m->memory + page * PAGE, UINT64_MAX, &end), written[page]);
}

static void what_a_guest_writes_is_noted(void **state)
{
	struct machine m = { 0 };
	bool written[PAGES];

	(void)state;
	if (!machine_make(&m)) {
		print_message("there is no KVM here, or the kernel does not note what is written to: not tested\n");
		skip();
	}
	const uint64_t start = (uintptr_t)m.memory, end = start + PAGES * PAGE;
	machine_work(&m, written);
	assert_int_equal(watch_arm(m.uffd, m.pagemap, start, end), 0);
	for (unsigned round = 0; round < 200; round++) {
		struct ranges changed = { 0 }, last = { 0 };
		machine_work(&m, written);
		assert_int_equal(watch_last(m.pagemap, start, end, &last, NULL, NULL), 0);
		assert_written(&m, &last, written);
		assert_int_equal(watch_again(m.pagemap, start, end, &changed), 0);
		assert_written(&m, &changed, written);
		ranges_finish(&last);
		ranges_finish(&changed);
	}
	watch_end(m.uffd, start, end, 0);
	close(m.uffd);
	machine_work(&m, written);
	for (unsigned page = 0; page < PAGES; page++) {
		uint16_t count;
		memcpy(&count, m.memory + page * PAGE, sizeof(count));
		if (page != CODE)
			assert_int_equal(count, m.counts[page]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_guest_writes_is_noted),
	};
	return cmocka_run_group_tests_name("track-kvm", tests, NULL, NULL);
}
