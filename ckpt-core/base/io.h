/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole reads and writes of descriptors and small files, with the retries that the bare calls leave to the caller. */
#ifndef STASIS_BASE_IO_H
#define STASIS_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes all `size` bytes (at `offset` for the p variant). Returns 0 or a negative errno. */
int io_write_all(int fd, const void *data, size_t size);
int io_pwrite_all(int fd, const void *data, size_t size, uint64_t offset);

/* Reads exactly `size` bytes. Returns 0, -ENODATA when the file ends early, or a negative errno. */
int io_pread_all(int fd, void *data, size_t size, uint64_t offset);

/* Reads a whole file of unknown size (a /proc file) to its end. `*ret_text` is allocated, terminated by a NUL that
 * `*ret_size` does not count (ret_size may be NULL), and owned by the caller. Returns 0 or a negative errno. */
int io_read_file_at(int dirfd, const char *path, char **ret_text, size_t *ret_size);

/* Like io_read_file_at, with the path put together in printf manner. */
__attribute__((format(printf, 3, 4))) int io_read_filef(char **ret_text, size_t *ret_size, const char *fmt, ...);

/* The target of a symbolic link as an allocated string. Returns 0 or a negative errno. */
__attribute__((format(printf, 2, 3))) int io_readlinkf(char **ret_target, const char *fmt, ...);

/* Writes a short text to an existing (proc, sysfs) file in one call. Returns 0 or a negative errno. */
__attribute__((format(printf, 2, 3))) int io_write_textf(const char *text, const char *fmt, ...);

#endif
