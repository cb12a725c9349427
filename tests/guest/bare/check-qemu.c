// SPDX-License-Identifier: LGPL-2.1-or-later
/* What QEMU has and test-vmm has not: the directory of fw_cfg, read by a string instruction of which a checkpoint may find half
 * done, and the HPET's counter. Only the first CPU asks. */
#include "bare.h"

#define FW_CFG_SELECT 0x510u
#define FW_CFG_DATA 0x511u
#define FW_CFG_DIRECTORY 0x19u
#define HPET 0xfed00000u

static uint8_t directory[2][1024];
static bool has_directory, has_hpet;
static uint64_t last_hpet;

static void read_directory(uint8_t *to)
{
	size_t left = sizeof(directory[0]);

	__asm__ volatile("outw %0, %1" : : "a"((uint16_t)FW_CFG_DIRECTORY), "Nd"((uint16_t)FW_CFG_SELECT));
	__asm__ volatile("rep insb" : "+D"(to), "+c"(left) : "d"((uint16_t)FW_CFG_DATA) : "memory");
}

void qemu_begin(struct cpu *cpu)
{
	uint32_t signature = 0;

	if (machine.vmm || cpu->id)
		return;
	__asm__ volatile("outw %0, %1" : : "a"((uint16_t)0), "Nd"((uint16_t)FW_CFG_SELECT));
	for (unsigned i = 0; i < 4; i++)
		signature |= (uint32_t)inb(FW_CFG_DATA) << 8 * i;
	has_directory = signature == 0x554d4551; /* QEMU */
	if (has_directory)
		read_directory(directory[0]);
	has_hpet = (read64(HPET) >> 16 & 0xffff) == 0x8086;
	if (has_hpet)
		write32(HPET + 0x10, read32(HPET + 0x10) | 1);
}

void qemu_turn(struct cpu *cpu)
{
	if (machine.vmm || cpu->id)
		return;
	if (has_directory && cpu->turn % 4 == 0) {
		read_directory(directory[1]);
		for (unsigned i = 0; i < sizeof(directory[0]); i += 8)
			expect(cpu, "fw-cfg", *(uint64_t *)(void *)(directory[0] + i), *(uint64_t *)(void *)(directory[1] + i));
	}
	if (has_hpet) {
		uint64_t now = read64(HPET + 0xf0);

		if (now < last_hpet)
			console_bad(0, "hpet-back", last_hpet, now);
		last_hpet = now;
	}
}
