/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terminal on standard error: messages, colours and the progress bar, which is there only where somebody looks on. */
#ifndef STASIS_CLI_TERM_H
#define STASIS_CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum term_colour { TERM_PLAIN, TERM_RED, TERM_YELLOW, TERM_BOLD };

struct term {
	bool bar;    /* a progress bar may be drawn */
	bool colour; /* on standard error */
	bool drawn;  /* a bar stands on the last line now */
	char phase[24];
	uint64_t begin_ns, phase_ns, draw_ns; /* of the whole, of the phase, of the last drawing; CLOCK_MONOTONIC */
};

/* `bar`: a progress bar is wanted; it is drawn on a terminal only (and not on TERM=dumb). */
void term_init(struct term *term, bool bar);

/* The escape sequences around coloured text, "" where `f` is no terminal or NO_COLOR is set. */
bool term_has_colour(FILE *f);
const char *term_colour_on(bool has_colour, enum term_colour colour);
const char *term_colour_off(bool has_colour);

/* Columns of the terminal behind `f`, 0 if there is none. */
unsigned term_width(FILE *f);

/* Draws or redraws the bar, at most ten times a second and never when the terminal would make us wait. `total` 0: not known. */
void term_progress(struct term *term, const char *phase, uint64_t done, uint64_t total);

/* The text of a bar for `width` columns into `buf`; parts that do not fit are left out. `elapsed_ns` is the phase's. */
void term_bar(char *buf, size_t room, unsigned width, const char *phase, uint64_t done, uint64_t total, uint64_t elapsed_ns);

/* Takes the bar away; the next term_progress draws it again. */
void term_clear(struct term *term);

#endif
