/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of this user's targets: one small JSON file per name in a private directory. An entry counts only while the very
 * process it speaks of lives; what is left over from others is ignored and swept away by `stasis ps`. */
#ifndef STASIS_CLI_REGISTRY_H
#define STASIS_CLI_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "base/vec.h"

#define REGISTRY_NAME_MAX 64

/* A process is told from a later one with the same pid by its start time, which counts from boot; from one in another pid
 * namespace by that namespace's inode number. */
struct registry_entry {
	char *name;
	pid_t pid;
	uint64_t starttime; /* field 22 of /proc/PID/stat */
	char *boot_id;      /* /proc/sys/kernel/random/boot_id */
	uint64_t pid_ns;    /* inode of /proc/self/ns/pid */
	int64_t since;      /* seconds of CLOCK_REALTIME */
	char *command;      /* as it was called; may be NULL */
	char *image;        /* the image it was restarted from; NULL if none */
	pid_t keeper;       /* the `stasis restart` it hangs on, 0 if none */
};

struct registry {
	struct reporter *rep;
	char *path;
	int dirfd; /* -1: there is no directory yet, so no entries */
};

struct registry_list {
	VEC(struct registry_entry) list;
};

/* Opens the directory: $STASIS_RUNTIME_DIR, else /run/stasis for root, else $XDG_RUNTIME_DIR/stasis, else /tmp/stasis-UID. It
 * must belong to the caller and be closed to others. `make`: create it when it is not there. Returns 0 or a negative errno,
 * worded. To be given back with registry_close. */
int registry_open(struct reporter *rep, bool make, struct registry *ret);
void registry_close(struct registry *reg);

/* Letters, digits, '.', '_', '-'; not beginning with '.' or '-', not only digits (that would be a pid), not longer than
 * REGISTRY_NAME_MAX. */
bool registry_name_valid(const char *name);
#define REGISTRY_NAME_RULE /* the same in words, a format for REGISTRY_NAME_MAX */                                      \
	"a name has letters, digits, '.', '_' and '-', begins with a letter, a digit or '_', is not a number, and not " \
	"longer than %d characters"

/* A valid name made of any text, cut to leave room for a number. Owned by the caller, NULL when memory is short. */
char *registry_name_from(const char *text);

/* Fills in what tells the living process `pid` from others, and `since`. Returns 0, -ESRCH or -ENOMEM, not worded. */
int registry_identify(pid_t pid, struct registry_entry *entry);

/* Writes the entry. When a living target has its name: with `numbered` the entry gets the first free of NAME-2, NAME-3, ...
 * instead (entry->name is replaced), else -EEXIST, worded. */
int registry_add(struct registry *reg, struct registry_entry *entry, bool numbered);

/* Takes the entry away if it is still of this process. */
void registry_remove(struct registry *reg, const char *name, pid_t pid);

/* The living target with this name or pid. Returns 0, -ENOENT (not worded) or a worded error. The entry is given back with
 * registry_entry_finish. */
int registry_find(struct registry *reg, const char *name, struct registry_entry *ret);
int registry_find_pid(struct registry *reg, pid_t pid, struct registry_entry *ret);

/* All living targets, by name. `sweep`: remove the entries of those that are gone. */
int registry_list(struct registry *reg, bool sweep, struct registry_list *ret);

void registry_list_finish(struct registry_list *list);
void registry_entry_finish(struct registry_entry *entry);

#endif
