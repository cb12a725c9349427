// SPDX-License-Identifier: LGPL-2.1-or-later
/* What tells one file from another: build-id, hash of the contents, birth time, file system. */
#include "fd/back.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <xxhash.h>

#include "base/io.h"

#define NOTE_MAX (64u << 10) /* no compiler writes longer note segments; a hostile file gets no more memory than this */

/* Looks for NT_GNU_BUILD_ID ("GNU", type 3) in the notes of a PT_NOTE segment (elf(5), Elf64_Nhdr). */
static int scan_notes(const char *notes, size_t size, struct img_bytes *ret)
{
	Elf64_Nhdr head;

	while (size >= sizeof(head)) {
		memcpy(&head, notes, sizeof(head));
		size_t name = ((size_t)head.n_namesz + 3) & ~(size_t)3, desc = ((size_t)head.n_descsz + 3) & ~(size_t)3;
		if (name > size - sizeof(head) || desc > size - sizeof(head) - name)
			return 0;
		const char *p = notes + sizeof(head);
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && !memcmp(p, "GNU", 4) && head.n_descsz) {
			if (!(ret->data = malloc(head.n_descsz)))
				return -ENOMEM;
			memcpy(ret->data, p + name, head.n_descsz);
			ret->size = head.n_descsz;
			return 0;
		}
		notes += sizeof(head) + name + desc;
		size -= sizeof(head) + name + desc;
	}
	return 0;
}

static int read_notes(int fd, uint64_t offset, uint64_t size, struct img_bytes *ret)
{
	AUTO_FREE char *notes = NULL;

	if (!size || size > NOTE_MAX)
		return 0;
	if (!(notes = malloc(size)))
		return -ENOMEM;
	int err = io_pread_all(fd, notes, size, offset);
	return err == -ENODATA ? 0 : err ? err : scan_notes(notes, size, ret);
}

static int build_id_64(int fd, struct img_bytes *ret)
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;
	int err = io_pread_all(fd, &elf, sizeof(elf), 0);

	if (err || elf.e_phentsize != sizeof(segment))
		return err == -ENODATA ? 0 : err;
	for (unsigned i = 0; !ret->size && i < elf.e_phnum; i++) {
		err = io_pread_all(fd, &segment, sizeof(segment), elf.e_phoff + (uint64_t)i * sizeof(segment));
		if (!err && segment.p_type == PT_NOTE)
			err = read_notes(fd, segment.p_offset, segment.p_filesz, ret);
		if (err)
			return err == -ENODATA ? 0 : err;
	}
	return 0;
}

static int build_id_32(int fd, struct img_bytes *ret)
{
	Elf32_Ehdr elf;
	Elf32_Phdr segment;
	int err = io_pread_all(fd, &elf, sizeof(elf), 0);

	if (err || elf.e_phentsize != sizeof(segment))
		return err == -ENODATA ? 0 : err;
	for (unsigned i = 0; !ret->size && i < elf.e_phnum; i++) {
		err = io_pread_all(fd, &segment, sizeof(segment), elf.e_phoff + (uint64_t)i * sizeof(segment));
		if (!err && segment.p_type == PT_NOTE)
			err = read_notes(fd, segment.p_offset, segment.p_filesz, ret);
		if (err)
			return err == -ENODATA ? 0 : err;
	}
	return 0;
}

int fd_ident_build_id(int fd, struct img_bytes *ret)
{
	unsigned char ident[EI_NIDENT];
	struct img_bytes id = { 0 };
	int err = io_pread_all(fd, ident, sizeof(ident), 0);

	if (err == -ENODATA || (!err && memcmp(ident, ELFMAG, SELFMAG))) {
		*ret = id;
		return 0;
	}
	if (!err)
		err = ident[EI_CLASS] == ELFCLASS64   ? build_id_64(fd, &id)
		      : ident[EI_CLASS] == ELFCLASS32 ? build_id_32(fd, &id)
		                                      : 0;
	if (!err)
		*ret = id;
	return err;
}

int fd_ident_hash(int fd, uint64_t size, uint64_t *ret)
{
	const size_t room = 1u << 20;
	AUTO_FREE char *buf = malloc(room);
	XXH3_state_t *state = XXH3_createState();
	int err = 0;

	if (!buf || !state || XXH3_64bits_reset(state) == XXH_ERROR)
		err = -ENOMEM;
	for (uint64_t at = 0; !err && at < size; at += room) {
		size_t n = size - at < room ? (size_t)(size - at) : room;
		err = io_pread_all(fd, buf, n, at);
		if (!err && XXH3_64bits_update(state, buf, n) == XXH_ERROR)
			err = -EINVAL;
	}
	if (!err)
		*ret = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return err;
}

int64_t fd_ident_btime(const char *path)
{
	struct statx x;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BTIME, &x) || !(x.stx_mask & STATX_BTIME))
		return 0;
	return x.stx_btime.tv_sec * 1000000000ll + x.stx_btime.tv_nsec;
}

uint64_t fd_ident_fsid(const char *path, uint32_t *ret_type)
{
	struct statfs fs;
	uint64_t id = 0;

	if (statfs(path, &fs)) {
		*ret_type = 0;
		return 0;
	}
	*ret_type = (uint32_t)fs.f_type;
	memcpy(&id, &fs.f_fsid, sizeof(id) < sizeof(fs.f_fsid) ? sizeof(id) : sizeof(fs.f_fsid));
	return id;
}

int64_t fd_ident_mtime(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}
