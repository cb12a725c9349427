// SPDX-License-Identifier: LGPL-2.1-or-later
/* The terminal on standard error. Nothing here may block: the target may be standing still while a bar is drawn. */
#include "term.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "words.h"

#define REDRAW_NS 100000000ull
#define FIRST_DRAW_NS 300000000ull /* what is over sooner needs no bar */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static bool is_smart_terminal(FILE *f)
{
	const char *kind = getenv("TERM");

	return isatty(fileno(f)) && kind && strcmp(kind, "dumb");
}

bool term_has_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR");

	return is_smart_terminal(f) && !(no && *no);
}

void term_init(struct term *term, bool bar)
{
	*term = (struct term){ .bar = bar && is_smart_terminal(stderr),
			       .colour = term_has_colour(stderr),
			       .begin_ns = now_ns() };
}

const char *term_colour_on(bool has_colour, enum term_colour colour)
{
	static const char *const codes[] = { "", "\033[31m", "\033[33m", "\033[1m" };

	return has_colour ? codes[colour] : "";
}

const char *term_colour_off(bool has_colour)
{
	return has_colour ? "\033[0m" : "";
}

unsigned term_width(FILE *f)
{
	struct winsize size;

	if (!isatty(fileno(f)) || ioctl(fileno(f), TIOCGWINSZ, &size))
		return 0;
	return size.ws_col ? size.ws_col : 80;
}

/* Appends unless it would not fit. */
static void bar_add(char *buf, size_t room, unsigned width, const char *text)
{
	size_t at = strlen(buf), n = strlen(text);

	if (at + n <= width && at + n < room)
		memcpy(buf + at, text, n + 1);
}

static void bar_add_gauge(char *buf, size_t room, unsigned width, uint64_t done, uint64_t total)
{
	char gauge[48];
	unsigned cells = width >= 100 ? 30 : width >= 70 ? 20 : 10;
	double part = total ? (double)done / (double)total : 0;

	if (part > 1)
		part = 1;
	unsigned full = (unsigned)(part * cells);
	gauge[0] = ' ';
	gauge[1] = '[';
	for (unsigned i = 0; i < cells; i++)
		gauge[2 + i] = i < full ? '=' : i == full ? '>' : ' ';
	snprintf(gauge + 2 + cells, sizeof(gauge) - 2 - cells, "] %3u%%", (unsigned)(part * 100));
	bar_add(buf, room, width, gauge);
}

void term_bar(char *buf, size_t room, unsigned width, const char *phase, uint64_t done, uint64_t total, uint64_t elapsed_ns)
{
	char part[96], a[WORDS_SIZE_ROOM], b[WORDS_SIZE_ROOM];

	buf[0] = '\0';
	snprintf(part, sizeof(part), "%-9s", phase);
	bar_add(buf, room, width, part);
	if (total)
		bar_add_gauge(buf, room, width, done, total);
	if (total)
		snprintf(part, sizeof(part), "  %s of %s", words_size(done, a), words_size(total, b));
	else if (done)
		snprintf(part, sizeof(part), "  %s", words_size(done, a));
	else
		return;
	bar_add(buf, room, width, part);
	double seconds = (double)elapsed_ns / 1e9;
	if (!done || seconds < 0.2)
		return;
	double rate = (double)done / seconds;
	snprintf(part, sizeof(part), "  %s/s", words_size((uint64_t)rate, a));
	bar_add(buf, room, width, part);
	if (!total || done > total || seconds < 1)
		return;
	unsigned long left = (unsigned long)((double)(total - done) / rate + 0.5);
	snprintf(part, sizeof(part), "  %lu:%02lu left", left / 60, left % 60);
	bar_add(buf, room, width, part);
}

static bool would_wait(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT);
}

void term_progress(struct term *term, const char *phase, uint64_t done, uint64_t total)
{
	char buf[256];
	uint64_t now;

	if (!term->bar)
		return;
	now = now_ns();
	bool entered = strncmp(term->phase, phase, sizeof(term->phase) - 1) != 0;
	if (entered) {
		snprintf(term->phase, sizeof(term->phase), "%s", phase);
		term->phase_ns = now;
	}
	if (now - term->begin_ns < FIRST_DRAW_NS || (!entered && now - term->draw_ns < REDRAW_NS) || would_wait())
		return;
	unsigned width = term_width(stderr);
	if (width < 2)
		return;
	term_bar(buf, sizeof(buf), width - 1, phase, done, total, now - term->phase_ns);
	fprintf(stderr, "\r%s\033[K", buf);
	fflush(stderr);
	term->draw_ns = now;
	term->drawn = true;
}

void term_clear(struct term *term)
{
	if (!term->drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	term->drawn = false;
}
