/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rows of the table of kinds. Each is defined in the fd-*.c of its family. */
#ifndef STASIS_FD_KINDS_H
#define STASIS_FD_KINDS_H

#include "fd/kind.h"

extern const struct fd_kind fd_kind_path, fd_kind_kernel, fd_kind_memfd, fd_kind_regular, fd_kind_directory;
extern const struct fd_kind fd_kind_device, fd_kind_block, fd_kind_foreign;
extern const struct fd_kind fd_kind_pipe, fd_kind_fifo;
extern const struct fd_kind fd_kind_eventfd, fd_kind_signalfd, fd_kind_timerfd, fd_kind_epoll, fd_kind_inotify, fd_kind_pidfd;
extern const struct fd_kind fd_kind_pty_master, fd_kind_tty;
extern const struct fd_kind fd_kind_plugin; /* claims by the plugins' word (fd_plugin_claim), before all others */

struct fd_plugin_state {
	uint32_t file;
	char *plugin, *what; /* its name; what it calls the descriptor */
};

/* The plugin that claims a descriptor, and what it calls it; NULL. */
const struct stasis_plugin *fd_plugin_claim(const struct fd_capture *cap, const char *link, const struct stat *st, const char **ret_what);

/* Records of their own. */
extern const struct img_schema fd_block_schema, fd_pipe_schema, fd_pipe_data_schema, fd_eventfd_schema, fd_signalfd_schema;
extern const struct img_schema fd_timerfd_schema, fd_epoll_schema, fd_inotify_schema, fd_pidfd_schema, fd_tty_schema;
extern const struct img_schema fd_plugin_schema;

#endif
