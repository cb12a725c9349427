/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bare-metal guest and test-vmm have agreed on: ports, addresses and the rules by which data follow from their place
 * and number. Both sides compute the same, so that each of them notices what was lost, repeated or changed. */
#ifndef ABI_H
#define ABI_H

#include <stdint.h>

#define ABI_MAX_CPUS 2u

/* Ports. QEMU has nothing at the first ones and reads there as all ones; that is how the guest knows whose guest it is. */
#define ABI_PORT_CONSOLE 0xe9    /* out8: a byte of a line */
#define ABI_PORT_SIGNATURE 0x5e0 /* in32: ABI_SIGNATURE */
#define ABI_PORT_TSC_KHZ 0x5e4   /* in32 */
#define ABI_PORT_FEATURES 0x5e8  /* in32: ABI_HAS_... */
#define ABI_PORT_START_AP 0x5ec  /* out32: page number where the other CPU starts, in real mode; only without a local APIC */
#define ABI_PORT_BENCH 0x5f0     /* out32: counted, nothing else */
#define ABI_PORT_END 0x5f4       /* out32: test-vmm ends with this status */
#define ABI_SIGNATURE 0x53565453u

#define ABI_HAS_LAPIC 1u
#define ABI_HAS_PIC 2u /* PIC, I/O APIC and PIT */
#define ABI_HAS_COALESCED_PIO 4u
#define ABI_HAS_READONLY 8u

/* Ports of each CPU, from ABI_PORTS(cpu). */
#define ABI_PORTS(cpu) (0x600u + 0x20u * (cpu))
#define ABI_STRING 0x00         /* in8, out8, mostly as strings: abi_byte() of the running number */
#define ABI_DIRTY_PAGE 0x04     /* out32: this page of the logged slot was written; test-vmm looks whether the log has it */
#define ABI_COALESCED_MMIO 0x08 /* in32: how many writes to the zone were seen */
#define ABI_COALESCED_PIO 0x0c  /* in32: the same of the port */
#define ABI_DOORBELL 0x10       /* out32: an ioeventfd, most of the time */
#define ABI_PIO_ZONE 0x14       /* out32: coalesced; the running number */
#define ABI_READONLY_COUNT 0x18 /* in32: how many writes to the read-only slot were seen */
#define ABI_VECTOR 0x1c         /* out32: from now on doorbells are answered by this vector, too; 0 = by memory only */

/* Pages of guest memory with a meaning. */
#define ABI_SHARED 0x6000u     /* struct abi_shared */
#define ABI_TRAMPOLINE 0x8000u /* the guest puts the code there in which the other CPU starts */

struct abi_shared {
	uint64_t answered[ABI_MAX_CPUS]; /* doorbells, written by test-vmm's device thread */
	uint64_t doing[ABI_MAX_CPUS]; /* turn * 256 + the number of the check, by the guest: said when a CPU comes to grief */
};

/* Guest-physical addresses without ordinary memory. */
#define ABI_READONLY                                                                                             \
	0xc0000000u /* read-only slot: abi_word(ABI_READONLY, index); a write is an exit with the running number \
	             */
#define ABI_READONLY_SIZE 0x4000u
#define ABI_WINDOW_A 0xc1000000u /* the same memory at two addresses, one a slot and one by exits, changing places */
#define ABI_WINDOW_B 0xc2000000u
#define ABI_WINDOW_SIZE 0x10000u
#define ABI_LOGGED 0xc3000000u /* slot with a dirty log */
#define ABI_LOGGED_SIZE 0x100000u
#define ABI_SLOW(cpu) (0xd0000000u + 0x4000u * (cpu)) /* slow device, two pages; see abi_word() with slow_number */
#define ABI_SLOW_SIZE 0x2000u
#define ABI_ZONE(cpu) (0xd0100000u + 0x1000u * (cpu)) /* coalesced writes of the running number, at abi_zone_place() */
#define ABI_ZONE_SIZE 0x1000u
#define ABI_IRQ_LINE 5u  /* where doorbells of CPU 0 are answered with a PIC: an edge */
#define ABI_IRQ_LEVEL 6u /* and a level, down again when the guest has acknowledged it */

/* splitmix64: a random word that depends on its seed and place alone. */
static inline uint64_t abi_word(uint64_t seed, uint64_t place)
{
	uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Byte `number` that a CPU sends to its string port (direction 0) or gets from it (1). */
static inline uint8_t abi_byte(unsigned cpu, unsigned direction, uint64_t number)
{
	return (uint8_t)(number * 7 + (number >> 8) * 13 + cpu * 101 + direction * 57);
}

/* Offset and size of coalesced write `number`. */
static inline uint32_t abi_zone_place(uint64_t number)
{
	return (uint32_t)(number * 8) % ABI_ZONE_SIZE;
}

static inline uint32_t abi_zone_length(uint64_t number)
{
	return 1u << (number & 3);
}

#endif
