/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words and numbers for people and for JSON: names that came from a target or an image are made harmless first. */
#ifndef STASIS_CLI_WORDS_H
#define STASIS_CLI_WORDS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A copy that can go to a terminal: control characters and bytes that are not UTF-8 become \xNN. Owned by the caller; NULL
 * when memory is short. */
char *words_clean(const char *text);

/* "812 B", "39.1 MiB", "1.00 GiB" into `buf`, which is returned. */
#define WORDS_SIZE_ROOM 24
char *words_size(uint64_t bytes, char buf[WORDS_SIZE_ROOM]);

/* "640 us", "31.4 ms", "2.31 s", "3 min 05 s" into `buf`, which is returned. */
#define WORDS_TIME_ROOM 32
char *words_time(uint64_t us, char buf[WORDS_TIME_ROOM]);

/* A JSON string; what is not UTF-8 is escaped as by words_clean. NULL gives JSON's null. */
json_t *words_json(const char *text);

#endif
