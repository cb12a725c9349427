/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `check` and `restart --plan` find: one entry per object, with what will happen to it and, where something stands in
 * the way, why and what to do about it. All of them are gathered before anybody is told no. */
#ifndef STASIS_BASE_FINDINGS_H
#define STASIS_BASE_FINDINGS_H

#include "report.h"
#include "vec.h"

struct finding {
	char *object;   /* "fd 12", "thread 4711", "mapping 7f..-7f..", "file /a/disk.qcow2" */
	char *kind;     /* "eventfd", "kvm-vm", "regular file" */
	char *action;   /* what will happen: "count saved and restored" */
	char *obstacle; /* why it cannot be done; NULL = no obstacle */
	char *remedy;   /* what the user can do; set whenever obstacle is */
	/* In a restart's plan, where known (else NULL): what the image asks for, what of it this host has, what will be used. */
	char *needs, *offers, *uses;
};

struct findings {
	VEC(struct finding) list;
	size_t obstacles;
};

/* Copies its arguments; `obstacle` and `remedy` may be NULL. Returns 0 or -ENOMEM. */
int findings_add(struct findings *f, const char *object, const char *kind, const char *action, const char *obstacle, const char *remedy);

/* The same with the object, and then the obstacle, put together by printf: for the common case of an obstacle. */
__attribute__((format(printf, 5, 6))) int findings_obstacle(struct findings *f, const char *object, const char *kind,
							    const char *remedy, const char *obstacle_fmt, ...);

/* Adds what is known of needs, offers and uses to the newest entry. Copies; each may be NULL. Returns 0 or -ENOMEM. */
int findings_compare(struct findings *f, const char *needs, const char *offers, const char *uses);

/* Says every obstacle as an error through rep ("OBJECT (KIND): OBSTACLE; REMEDY"), and returns `err` if there was one, else 0. */
int findings_refuse(const struct findings *f, struct reporter *rep, int err);

void findings_finish(struct findings *f);

#endif
