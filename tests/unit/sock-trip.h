/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A trip of open files through an image, without the engine: a child makes them, is stopped, captured and saved; another child
 * plans, prepares and installs them and looks whether they are what they were. */
#ifndef TEST_SOCK_TRIP_H
#define TEST_SOCK_TRIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

struct trip {
	void (*hold)(void);   /* in the first child: makes things at fixed descriptors */
	void (*after)(
		void); /* in the first child, once it goes on after the capture: must find everything unchanged; or NULL */
	void (*before)(void); /* in the second child, before the plan (the first is gone); or NULL */
	void (*verify)(void); /* in the second child, after install */
	const char *maps[3];  /* "socket:tcp:1=2" */
	bool keep_original;   /* the first child lives on until the end */
	bool abandon;         /* nothing is installed: prepare, then abandon, then verify */
};

/* Runs it; fails the test with the words of whatever failed. Skips when a child said so. */
void trip_run(const struct trip *trip);

/* Runs it up to the check, which must find an obstacle that holds `word`; resp. up to the plan. */
void trip_expect_obstacle(const struct trip *trip, const char *word);
void trip_expect_unmet(const struct trip *trip, const char *word);

/* Memory that all children and the test share, zeroed at each trip: for port numbers and the like. */
struct trip_notes {
	char fault[1024];
	volatile int stage; /* enum in sock-trip.c */
	bool skip;
	long number[16];
	char text[4][64];
};
extern struct trip_notes *trip_notes;

/* For use in children: ends the child, and the test, with the words. */
__attribute__((format(printf, 1, 2), noreturn)) void trip_fail(const char *fmt, ...);
#define CHECK(condition)                                                                                              \
	do {                                                                                                          \
		if (!(condition))                                                                                     \
			trip_fail("%s:%d: %s (errno %d: %s)", __func__, __LINE__, #condition, errno, strerror(errno)); \
	} while (0)
#define CHECK_INT(a, b)                                                                                               \
	do {                                                                                                          \
		long long a_ = (long long)(a), b_ = (long long)(b);                                                   \
		if (a_ != b_)                                                                                         \
			trip_fail("%s:%d: %s is %lld, not %lld", __func__, __LINE__, #a, a_, b_);                      \
	} while (0)

/* fork, in a child: for somebody outside of the tree, who goes when the child does. */
pid_t trip_fork_outsider(void);

/* Puts fd at a number and closes the old one. */
static inline void at(int fd, int number)
{
	if (fd < 0 || (fd != number && (dup2(fd, number) < 0 || close(fd) < 0)))
		trip_fail("descriptor %d could not be made", number);
}

/* A directory of this test run; removed at the end. */
const char *trip_dir(void);

int trip_setup(void **state);
int trip_teardown(void **state);

#endif
