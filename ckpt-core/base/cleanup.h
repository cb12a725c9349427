/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Own resources that go away at the end of their scope. The target's are undone by the undo list instead. */
#ifndef STASIS_BASE_CLEANUP_H
#define STASIS_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define AUTO_FREE    __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE   __attribute__((cleanup(cleanup_close)))
#define AUTO_FCLOSE  __attribute__((cleanup(cleanup_fclose)))
#define AUTO_CLOSEDIR __attribute__((cleanup(cleanup_closedir)))

/* Hands a pointer or descriptor on, so that the cleanup leaves it alone. */
#define STEAL_PTR(p) ({ __typeof__(p) stolen_ = (p); (p) = NULL; stolen_; })
#define STEAL_FD(fd) ({ int stolen_ = (fd); (fd) = -1; stolen_; })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
