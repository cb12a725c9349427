/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files behind descriptions and mappings: found and judged at the checkpoint (back-find.c), their contents saved (back-save.c),
 * told apart (back-ident.c), compared with what is here at a restart (back-plan.c) and made again (back-make.c). */
#ifndef STASIS_FD_BACK_H
#define STASIS_FD_BACK_H

#include "fd/kind.h"

/* ---- capture ---- */

/* Ties `file` (a regular file or memfd) to the backing file it is open on, which is made when it is new. */
int fd_back_for_file(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look);

/* Once the tree is known: who writes to what, and what of it belongs into the image. */
int fd_back_resolve(struct fd_capture *cap);
int fd_back_check(struct fd_capture *cap, struct findings *findings);

/* Contents: taken now or cloned (frozen) / the rest, and the records. */
int fd_back_save(struct fd_capture *cap, struct img_writer *w);
int fd_back_save_late(struct fd_capture *cap, struct img_writer *w);

/* Whether the contents belong to the image. */
bool fd_back_wants_contents(const struct fd_capture *cap, const struct fd_back *back);

/* A path under /proc that leads to the file of `back` through its process. Writes into buf. */
const char *fd_back_proc_path(const struct fd_back *back, char *buf, size_t size);

/* A description of our own to read the file with. For the backing file of a lease, a copy of the target's, on which only pread
 * is allowed (`*ret_copy`). Returns it or a negative errno, not worded; -EPERM: only the memory of the process shows the
 * contents. */
int fd_back_open_source(const struct fd_back *back, bool *ret_copy);

/* ---- identity ---- */

/* The build-id of an ELF file, allocated; size 0 when it has none (or is no ELF file). Returns 0 or a negative errno. */
int fd_ident_build_id(int fd, struct img_bytes *ret);
/* XXH3 64 of all that can be read from `fd`. */
int fd_ident_hash(int fd, uint64_t size, uint64_t *ret);
#define FD_IDENT_HASH_MAX (64ull << 20) /* bytes: no larger file is hashed */

/* statx(2): birth time in ns, 0 if the file system has none. */
int64_t fd_ident_btime(const char *path);
/* statfs(2) f_fsid and f_type; 0 if unknown. */
uint64_t fd_ident_fsid(const char *path, uint32_t *ret_type);
int64_t fd_ident_mtime(const struct stat *st);

/* ---- restore ---- */
int fd_back_plan(struct fd_plan *plan, struct findings *findings);
int fd_back_prepare(struct fd_plan *plan);
/* Gives every mapped file its place in the backing range. After everything else was prepared. */
int fd_back_arrange(struct fd_plan *plan);
int fd_back_commit(struct fd_plan *plan);
void fd_back_abandon(struct fd_plan *plan);

/* Opens the backing file as the description `file` had it open (flags, not the offset). Returns the descriptor or a negative
 * errno, worded. */
int fd_back_open(struct fd_plan *plan, struct fd_back *back, const struct fd_file *file);

#endif
