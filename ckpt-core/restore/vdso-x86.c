// SPDX-License-Identifier: LGPL-2.1-or-later
/* Trampolines from an old vdso into a new one. Libraries look the functions up once, at their start, and keep the addresses; the
 * old code itself would read the new kernel's data pages by the old layout. */
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#include "restore/vdso.h"

#define TRAMPOLINE 13 /* movabs $addr,%r11; jmp *%r11 */

/* The dynamic symbols, by way of the section headers, which a vdso has. */
struct vdso_symbols {
	const Elf64_Sym *sym;
	size_t n;
	const char *names;
	size_t names_size;
};

static bool within(size_t size, uint64_t offset, uint64_t len)
{
	return offset <= size && len <= size - offset;
}

static int vdso_parse(const uint8_t *elf, size_t size, struct vdso_symbols *ret)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)elf;

	if (size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    eh->e_shentsize != sizeof(Elf64_Shdr) || eh->e_shoff % 8 || !within(size, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr)))
		return -EBADMSG;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)(elf + eh->e_shoff);
	for (size_t i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_DYNSYM || sh[i].sh_link >= eh->e_shnum)
			continue;
		const Elf64_Shdr *str = &sh[sh[i].sh_link];
		if (sh[i].sh_offset % 8 || !within(size, sh[i].sh_offset, sh[i].sh_size) || !within(size, str->sh_offset, str->sh_size) ||
		    !str->sh_size || elf[str->sh_offset + str->sh_size - 1])
			return -EBADMSG;
		*ret = (struct vdso_symbols){ (const Elf64_Sym *)(elf + sh[i].sh_offset), sh[i].sh_size / sizeof(Elf64_Sym),
					      (const char *)elf + str->sh_offset, str->sh_size };
		return 0;
	}
	return -EBADMSG;
}

static const char *symbol_name(const struct vdso_symbols *s, size_t i)
{
	bool function = ELF64_ST_TYPE(s->sym[i].st_info) == STT_FUNC && s->sym[i].st_shndx != SHN_UNDEF;

	return function && s->sym[i].st_name < s->names_size ? s->names + s->sym[i].st_name : NULL;
}

static uint64_t symbol_find(const struct vdso_symbols *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *n = symbol_name(s, i);
		if (n && !strcmp(n, name))
			return s->sym[i].st_value;
	}
	return 0;
}

/* The system call that does what a function does; -1 if there is none. */
static long plain_call(const char *name)
{
	static const struct {
		const char *name;
		long nr;
	} calls[] = {
		{ "clock_gettime", SYS_clock_gettime }, { "clock_getres", SYS_clock_getres }, { "gettimeofday", SYS_gettimeofday },
		{ "time", SYS_time },			{ "getcpu", SYS_getcpu },
	};
	if (!strncmp(name, "__vdso_", 7))
		name += 7;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].nr;
	return -1;
}

static void write_jump(uint8_t *at, uint64_t to)
{
	at[0] = 0x49; /* movabs $to,%r11 */
	at[1] = 0xbb;
	memcpy(at + 2, &to, sizeof(to));
	at[10] = 0x41; /* jmp *%r11 */
	at[11] = 0xff;
	at[12] = 0xe3;
}

static void write_call(uint8_t *at, long nr)
{
	if (nr >= 0) {
		uint32_t imm = (uint32_t)nr;
		at[0] = 0xb8; /* mov $nr,%eax; syscall; ret */
		memcpy(at + 1, &imm, sizeof(imm));
		at[5] = 0x0f;
		at[6] = 0x05;
		at[7] = 0xc3;
	} else {
		int32_t imm = -ENOSYS;
		at[0] = 0x48; /* mov $-ENOSYS,%rax; ret */
		at[1] = 0xc7;
		at[2] = 0xc0;
		memcpy(at + 3, &imm, sizeof(imm));
		at[7] = 0xc3;
	}
}

int vdso_redirect(uint8_t *old, size_t old_size, const uint8_t *now, size_t now_size, uint64_t new_base)
{
	struct vdso_symbols was, is;
	int err;

	if ((err = vdso_parse(old, old_size, &was)) || (err = vdso_parse(now, now_size, &is)))
		return err;
	for (size_t i = 0; i < was.n; i++) {
		const char *name = symbol_name(&was, i);
		uint64_t at = was.sym[i].st_value;
		if (!name || !within(old_size, at, TRAMPOLINE))
			continue;
		uint64_t to = symbol_find(&is, name);
		/* The tables that are being read must survive: hostile values could point into them. */
		if (old + at < (const uint8_t *)(was.sym + was.n) && old + at + TRAMPOLINE > (const uint8_t *)was.sym)
			return -EBADMSG;
		if ((const char *)old + at < was.names + was.names_size && (const char *)old + at + TRAMPOLINE > was.names)
			return -EBADMSG;
		if (to)
			write_jump(old + at, new_base + to);
		else
			write_call(old + at, plain_call(name));
	}
	return 0;
}
