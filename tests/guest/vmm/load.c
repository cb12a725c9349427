// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads the guest, an ELF file with a PVH note or a flat binary, and sets its first virtual CPU to the first instruction. The
 * state there is that of the PVH boot protocol: 32 bits, flat segments, no paging, EBX points to the start information. */
#include "vmm.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_INFO 0x5000u
#define COMMAND_LINE 0x5100u
#define NOTE_PHYS32_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY, Xen's public/elfnote.h */

/* Xen's public/arch-x86/hvm/start_info.h, version 1. */
struct start_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t n_memmap, reserved;
};

static uint64_t load_note(const uint8_t *note, size_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *header = (const void *)note;
		size_t name = (header->n_namesz + 3) & ~3u, desc = (header->n_descsz + 3) & ~3u;
		uint64_t entry = 0;

		if (sizeof(*header) + name + desc > size)
			break;
		if (header->n_type == NOTE_PHYS32_ENTRY && !memcmp(note + sizeof(*header), "Xen", 4)) {
			memcpy(&entry, note + sizeof(*header) + name, header->n_descsz < 8 ? header->n_descsz : 8);
			return entry;
		}
		note += sizeof(*header) + name + desc;
		size -= sizeof(*header) + name + desc;
	}
	return 0;
}

static uint64_t load_elf(struct vm *vm, const uint8_t *file, size_t size)
{
	const Elf64_Ehdr *header = (const void *)file;
	const Elf64_Phdr *segment = (const void *)(file + header->e_phoff);
	uint64_t entry = 0;

	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phoff + header->e_phnum * sizeof(*segment) > size)
		vmm_fail("%s: not a whole 64-bit ELF file", vm->options->guest);
	for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
		uint8_t *to = memory_at(vm, segment->p_paddr, segment->p_memsz);

		if (segment->p_offset > size || segment->p_filesz > size - segment->p_offset)
			vmm_fail("%s: not a whole ELF file", vm->options->guest);
		if (segment->p_type == PT_NOTE && !entry)
			entry = load_note(file + segment->p_offset, segment->p_filesz);
		if (segment->p_type != PT_LOAD)
			continue;
		if (!to || segment->p_filesz > segment->p_memsz)
			vmm_fail("%s: no memory at %#llx", vm->options->guest, (unsigned long long)segment->p_paddr);
		memcpy(to, file + segment->p_offset, segment->p_filesz);
	}
	if (!entry)
		vmm_fail("%s: no PVH note", vm->options->guest);
	return entry;
}

static void load_registers(struct vcpu *v, uint64_t entry)
{
	struct kvm_segment flat = { .limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rip = entry, .rbx = START_INFO, .rflags = 2 };
	struct kvm_sregs sregs;

	vmm_ioctl(v->fd, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	sregs.cs = flat;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 = 0x11; /* PE, ET */
	vmm_ioctl(v->fd, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs);
	vmm_ioctl(v->fd, KVM_SET_REGS, "KVM_SET_REGS", &regs);
}

void load_guest(struct vm *vm)
{
	struct start_info info = { .magic = 0x336ec578, .version = 1, .cmdline = COMMAND_LINE };
	int fd = open(vm->options->guest, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const uint8_t *file;
	uint64_t entry = RAM_HIGH;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		vmm_fail("%s: cannot be read", vm->options->guest);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		vmm_fail("%s: cannot be mapped", vm->options->guest);
	if (!memcmp(file, ELFMAG, SELFMAG))
		entry = load_elf(vm, file, (size_t)st.st_size);
	else if (memory_at(vm, RAM_HIGH, (size_t)st.st_size))
		memcpy(memory_at(vm, RAM_HIGH, (size_t)st.st_size), file, (size_t)st.st_size);
	munmap((void *)(uintptr_t)file, (size_t)st.st_size);
	close(fd);

	memcpy(memory_at(vm, START_INFO, sizeof(info)), &info, sizeof(info));
	snprintf((char *)memory_at(vm, COMMAND_LINE, 512), 512, "%s%s", vm->options->append,
	         vm->options->bench_ms ? " bench" : "");
	load_registers(&vm->vcpus[0], entry);
}
