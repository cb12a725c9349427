/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every target program shares: its secret, its counter, and the way it talks to the harness (run-target.c). All talk goes
 * through files by path in the scratch directory given as argv[1]; nothing is held open between two turns, so that the channel
 * is no part of the state under test and outlives any number of restarts.
 *
 * Protocol, one line per write to DIR/state:
 *	ready NONCE PID [OPTION...]	set-up is complete; the nonce is told this once and lives only in memory
 *	turn COUNTER DIGEST		COUNTER is one more than in the line before; DIGEST proves the nonce is still known
 *	done | fail REASON | skip REASON	the verdict
 * DIR/finish existing asks the program for its final checks. Options (target_option) tell the harness what is special:
 *	quiet		no turns are to be expected; it is blocked
 *	stopped		it is in job control stop
 *	off=MS		how long to keep it off between checkpoint and restart
 *	wake=SIG	send it this signal along with the finish request
 *	no-rewind	going back to an image after having run on makes no sense for it
 *	image-max=BYTES	an image larger than this is a failure
 *	refused=WORD	check and checkpoint must say no, with WORD (four may be given) in the message, and leave it running
 *	exit=N, killed=SIG	how it will end after `done` instead of exit status 0 */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#define TARGET_MS 1000000L /* nanoseconds */

/* Reads argv[1] and draws the nonce. First call in main(). */
void target_init(int argc, char **argv);

/* Adds a word for the harness to the ready line. Before target_ready(). */
__attribute__((format(printf, 1, 2))) void target_option(const char *fmt, ...);

/* Set-up is complete: from now on a checkpoint may come at any instant. */
void target_ready(void);

/* One turn: checks that pid and tid are the ones it began with, counts, tells, rests 2 ms. False once the harness asks to
 * finish. One thread only, and always the same. */
bool target_turn(void);

/* Starts a thread, with all signals blocked, that takes the turns, so that the caller may block. When the harness asks to
 * finish it calls `release` (may be NULL), which lets the blocked threads go. */
void target_ticker_start(void (*release)(void));

/* True when the harness runs without stasis, so that nothing at all happens to the program. */
bool target_alone(void);

/* True once the ticker has seen the finish request. */
bool target_finishing(void);

/* The verdict. target_done() writes `done` and exits with status 0. */
_Noreturn void target_done(void);
void target_say_done(void); /* the same without the exit, for the options exit= and killed= */
__attribute__((format(printf, 1, 2))) _Noreturn void target_fail(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) _Noreturn void target_skip(const char *fmt, ...);

#define TARGET_STR_(x) #x
#define TARGET_STR(x) TARGET_STR_(x)
/* Fails, with place, condition and the printf-style reason, unless `cond` holds. */
#define target_check(cond, fmt, ...) \
	((cond) ? (void)0 : target_fail(__FILE_NAME__ ":" TARGET_STR(__LINE__) ": %s: " fmt, #cond, ##__VA_ARGS__))

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

/* NAME inside the scratch directory. A new string each time, never freed. */
const char *target_path(const char *name);

/* A thread running fn(arg), with the caller's signal mask. */
pthread_t target_thread(void *(*fn)(void *), void *arg);

/* Returns once thread `tid` of this process sleeps in the kernel (state S or D in several looks in a row). */
void target_until_asleep(pid_t tid);

int64_t target_now(clockid_t clock); /* nanoseconds */
void target_sleep_ms(int ms);
uint64_t target_random(void);

/* Fills with / compares to a pattern that depends on `seed` and on every byte's place. No two seeds agree. */
void target_fill(void *p, size_t n, uint64_t seed);
bool target_filled(const void *p, size_t n, uint64_t seed);

/* The whole file in a static buffer (NUL-terminated, 256 KiB at most), for /proc files. Fails if it cannot be read. */
const char *target_slurp(const char *path);

/* The value of a "Name:\tvalue" line in /proc/self/status (or another such text), up to the end of the line; static buffer. */
const char *target_field(const char *text, const char *name);

/* The smaps entry of the mapping that `addr` lies in: its header line and all fields, static buffer. */
const char *target_smaps(const void *addr);

#endif
