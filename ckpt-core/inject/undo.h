/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The undo list of a living target: what was changed in it and how to change it back. It lies in memory shared with a second
 * process of ours, so that when the controller is killed the other one can still put everything right. */
#ifndef STASIS_INJECT_UNDO_H
#define STASIS_INJECT_UNDO_H

#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "inject/freeze.h"

struct undo_journal;

/* Shared memory, to be made before the fork. NULL when there is no memory. */
struct undo_journal *undo_create(void);
void undo_destroy(struct undo_journal *journal);

/* Each notes, before the change is made, how to undo it. Returns 0 or -ENOSPC. */
int undo_note_bytes(struct undo_journal *journal, pid_t pid, uint64_t addr, const void *bytes, size_t size); /* at most 128 */
int undo_note_madvise(struct undo_journal *journal, pid_t pid, uint64_t addr, uint64_t size, int advice);
int undo_note_child(struct undo_journal *journal, pid_t child); /* kill it (by pid, as we see it) */
int undo_note_reap(struct undo_journal *journal, pid_t pid, pid_t ns_child); /* let the target reap a child of its own */
/* Let the target make an ioctl with a copy of `data`, at most 128 bytes. */
int undo_note_ioctl(struct undo_journal *journal, pid_t pid, int fd, uint64_t request, const void *data, size_t size);
/* The same with an argument that lies in the target's memory: for calls that remember its address. */
int undo_note_ioctl_at(struct undo_journal *journal, pid_t pid, int fd, uint64_t request, uint64_t addr);
/* Let the TCP connection go on that process `pid` has at `fd`, if that is still the socket with this inode (fd/sock-hold.h). */
int undo_note_tcp(struct undo_journal *journal, pid_t pid, int fd, uint64_t ino, int reuse);
/* Let the process go on that we have sent SIGSTOP while it was stopped by ptrace, so that it could not run should we be killed; and when it
 * was taken back. */
int undo_note_stop(struct undo_journal *journal, pid_t pid);
void undo_forget_stop(struct undo_journal *journal);
/* Only the connections. From outside: nobody needs to be stopped. Can be done again. */
int undo_connections(struct undo_journal *journal, struct reporter *rep);

bool undo_is_empty(const struct undo_journal *journal);

struct batch_place;
struct tracee;

/* Undoes everything in a frozen target and empties the journal, but for the (one) snapshot child if it is still needed. What
 * cannot be undone is said; the first error is returned, the rest is done all the same. `worker` makes the calls it takes, from `place`, which
 * has 32 KiB of room; NULL: one is looked for, which takes a while where there are many mappings. */
int undo_run(struct undo_journal *journal, struct reporter *rep, struct frozen *f, struct tracee *worker, const struct batch_place *place,
	     bool keep_children);

/* Puts back what was changed in the target's memory, which is then as it was; all else stays in the journal. For a target whose
 * memory is to be read while it stands still. */
int undo_bytes(struct undo_journal *journal, struct reporter *rep, struct frozen *f);

/* Empties the journal: what it would undo is gone (the target was killed, the child has ended). */
void undo_forget(struct undo_journal *journal);

/* The same after the controller was killed: the target was let go by the kernel; it is stopped once more for the purpose. Waits
 * until no thread is within the stub. */
int undo_recover(struct undo_journal *journal, struct reporter *rep);

#endif
