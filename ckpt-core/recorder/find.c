// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finds the recorder's root by the note in its library, whatever the library was loaded from. */
#include "recorder/find.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "inject/batch.h"

#define PHDRS_MAX 32
#define NOTES_MAX 4096

static int root_check(pid_t pid, uint64_t addr, struct recorder_root *ret)
{
	struct recorder_root root;

	if (inject_read(pid, addr, &root, sizeof(root)))
		return -ENOENT;
	if (memcmp(root.magic, RECORDER_MAGIC, sizeof(root.magic)) || root.self != addr)
		return -ENOENT; /* the constructor has not run yet */
	if (root.version != RECORDER_VERSION || root.size < sizeof(root))
		return -EPROTO;
	*ret = root;
	return 0;
}

/* The root's distance from the start of a notes segment at `base` + `vaddr`; 0 when our note is not among them. */
static uint64_t root_by_notes(pid_t pid, uint64_t at, size_t size)
{
	uint8_t notes[NOTES_MAX];
	Elf64_Nhdr head;

	if (size > sizeof(notes) || inject_read(pid, at, notes, size))
		return 0;
	for (size_t pos = 0; pos + sizeof(head) <= size;) {
		memcpy(&head, notes + pos, sizeof(head));
		size_t name = pos + sizeof(head), desc = name + (((size_t)head.n_namesz + 3) & ~3ul);
		size_t end = desc + (((size_t)head.n_descsz + 3) & ~3ul);
		if (desc < name || end < desc || end > size)
			return 0;
		if (head.n_type == RECORDER_NOTE_TYPE && head.n_descsz == 8 && head.n_namesz == sizeof(RECORDER_NOTE_NAME) &&
		    !memcmp(notes + name, RECORDER_NOTE_NAME, sizeof(RECORDER_NOTE_NAME))) {
			uint64_t distance;
			memcpy(&distance, notes + desc, sizeof(distance));
			return at + desc + distance;
		}
		pos = end;
	}
	return 0;
}

static int root_of_library(pid_t pid, uint64_t base, uint64_t *ret_addr, struct recorder_root *ret)
{
	Elf64_Phdr phdrs[PHDRS_MAX];
	Elf64_Ehdr head;

	if (inject_read(pid, base, &head, sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(phdrs[0]) || head.e_phnum > PHDRS_MAX ||
	    inject_read(pid, base + head.e_phoff, phdrs, head.e_phnum * sizeof(phdrs[0])))
		return -ENOENT;
	for (size_t i = 0; i < head.e_phnum; i++) {
		uint64_t addr = phdrs[i].p_type == PT_NOTE ? root_by_notes(pid, base + phdrs[i].p_vaddr, phdrs[i].p_memsz) : 0;
		if (!addr)
			continue;
		int err = root_check(pid, addr, ret);
		if (err != -ENOENT) {
			*ret_addr = addr;
			return err;
		}
	}
	return -ENOENT;
}

int recorder_find(pid_t pid, const struct proc_vma *vmas, size_t n_vmas, uint64_t *ret_addr, struct recorder_root *ret)
{
	for (size_t i = 0; i < n_vmas; i++) {
		const char *slash = strrchr(vmas[i].name, '/');
		if (!slash || vmas[i].offset || strncmp(slash + 1, RECORDER_LIBRARY, strlen(RECORDER_LIBRARY)))
			continue;
		int err = root_of_library(pid, vmas[i].start, ret_addr, ret);
		if (err != -ENOENT)
			return err;
	}
	return -ENOENT;
}

int recorder_gate_close(pid_t pid, uint64_t root, unsigned lease_ms)
{
	uint32_t lease = lease_ms, one = 1;
	int err = inject_write(pid, root + offsetof(struct recorder_root, lease_ms), &lease, sizeof(lease));

	return err ? err : inject_write(pid, root + offsetof(struct recorder_root, closed), &one, sizeof(one));
}

int recorder_gate_open(pid_t pid, uint64_t root)
{
	uint32_t zero = 0;

	return inject_write(pid, root + offsetof(struct recorder_root, closed), &zero, sizeof(zero));
}
