/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A target made of a child process: set up, captured into an image and ended, then restored into another child that looks at
 * what it got. No ptrace and no engine: only ckpt-core/fd. */
#ifndef TESTS_FD_FIXTURE_H
#define TESTS_FD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd/fd.h"

/* Memory that test, target and restored process share. */
struct fd_shared {
	volatile int ready, go, failed;
	char text[1024];
	int64_t value[64]; /* for the test's own use */
	char name[4][256];
};
extern struct fd_shared *fd_shared;

struct fd_fixture {
	char dir[64], image[96];
	struct reporter rep;
	char said[16384];         /* everything that was reported, a line each */
	struct findings findings; /* of the last check or plan */
	struct resource_map map;
	int restart_disk;      /* fd_plan_options.disk */
	enum stasis_disk disk; /* of the checkpoint */
	bool stdio_inherit, keep_target, mappings, clones;
	const struct fd_claim *claims;
	size_t n_claims;
	int generation;
	int pidfd;
	pid_t target;        /* alive and stopped after a checkpoint with keep_target */
	uint32_t backing[8]; /* ids of the target's shared mappings of files, by address */
	size_t n_backing;
};

int fd_fixture_setup(void **state);
int fd_fixture_teardown(void **state);

/* Starts a target: closes all it has but /dev/null as 0-2, then runs `make`, which asserts with EXPECT. */
void fd_start(struct fd_fixture *f, void (*make)(void));
/* Stops the target, captures it into f->image; ends it unless keep_target. Returns what capture returned; -EOPNOTSUPP when
 * there were obstacles (see f->findings). */
int fd_checkpoint(struct fd_fixture *f);
/* What a check of the running target finds. */
void fd_look_at(struct fd_fixture *f);
void fd_end_target(struct fd_fixture *f);
/* Restores the image into a new process with the old pid if it is free, and runs `check` there. The process stays as the target
 * when `check` is NULL. Returns what plan, prepare, install or commit returned; -EOPNOTSUPP when there were obstacles. */
int fd_restart(struct fd_fixture *f, void (*check)(void));

/* All of it, over one generation and then over two. */
void fd_round_trip(struct fd_fixture *f, void (*make)(void), void (*check)(void));

/* The finding about an object ("fd 5"), NULL if there is none. */
const struct finding *fd_finding(const struct fd_fixture *f, const char *object);

/* The descriptor of the n-th shared file mapping of the target, in the restored process. */
int fd_mapping_fd(unsigned n, bool writable);

/* In target and restored process: fails the test with place and errno. */
#define EXPECT(cond) ((cond) ? (void)0 : fd_expect_failed(__FILE__, __LINE__, #cond))
#define EXPECT_EQ(a, b)                                                                   \
	do {                                                                              \
		long long a_ = (long long)(a), b_ = (long long)(b);                       \
		if (a_ != b_)                                                             \
			fd_expect_equal_failed(__FILE__, __LINE__, #a " == " #b, a_, b_); \
	} while (0)
void fd_expect_failed(const char *file, int line, const char *text);
void fd_expect_equal_failed(const char *file, int line, const char *text, long long a, long long b);

/* Small things most tests need, with EXPECT inside. */
int at_fd(int fd, int want);                       /* moves a descriptor to a number */
void put_file(const char *path, const char *text); /* makes a file with this content */
void expect_file(const char *path, const char *text);
void expect_open(int fd, const char *link, int flags); /* the link's text (NULL: any) and F_GETFL without O_LARGEFILE */
bool same_description(int a, int b);

#endif
