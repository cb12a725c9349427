// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files of mappings: splits a text into lines and gives each to the resource map. */
#include "map-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define WRONG_LINES_MAX 10 /* said one by one; a file of another kind has nothing but wrong lines */
#define SHOWN 200          /* characters of a wrong line */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Returns 0, -EINVAL (not worded), or -ENOMEM. */
static int parse_line(const char *line, size_t size, struct resource_map *map)
{
	if (memchr(line, '\0', size))
		return -EINVAL;
	AUTO_FREE char *text = strndup(line, size);
	return text ? resource_map_add(map, NULL, text) : -ENOMEM;
}

int map_file_parse(struct reporter *rep, const char *name, const char *text, size_t size, struct resource_map *map)
{
	const char *end = text + size;
	size_t number = 0, wrong = 0;
	int err = 0;

	for (const char *line = text, *next; line < end && !err; line = next) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		number++;
		stop = stop ? stop : end;
		next = stop + 1; /* never looked at when it lies behind the end */
		while (line < stop && is_blank(*line))
			line++;
		while (stop > line && is_blank(stop[-1]))
			stop--;
		if (line == stop || *line == '#')
			continue;
		err = parse_line(line, (size_t)(stop - line), map);
		if (err != -EINVAL)
			continue;
		err = 0;
		if (wrong++ < WRONG_LINES_MAX)
			report_fail(rep, -EINVAL,
			            "%s, line %zu: \"%.*s\" is no mapping; write KIND:OLD=NEW, for example "
			            "file:/a/disk.img=/b/disk.img",
			            name, number, stop - line > SHOWN ? SHOWN : (int)(stop - line), line);
	}
	if (wrong > WRONG_LINES_MAX)
		report_fail(rep, -EINVAL, "%s: %zu more lines are no mappings; is it the right file?", name,
		            wrong - WRONG_LINES_MAX);
	if (err)
		return report_fail(rep, err, "%s: %s", name, strerror(-err));
	return wrong ? -EINVAL : 0;
}

int map_file_read(struct reporter *rep, const char *path, struct resource_map *map)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	AUTO_FREE char *text = malloc(MAP_FILE_MAX + 1);
	size_t size = 0;
	ssize_t n = 1;

	if (fd < 0)
		return report_fail(rep, -errno, "map file %s: %s", path, strerror(errno));
	if (!text)
		return report_fail(rep, -ENOMEM, "map file %s: no memory to read it", path);
	while (n && size <= MAP_FILE_MAX) {
		n = read(fd, text + size, MAP_FILE_MAX + 1 - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return report_fail(rep, -errno, "map file %s: %s", path, strerror(errno));
		size += (size_t)n;
	}
	if (size > MAP_FILE_MAX)
		return report_fail(rep, -EFBIG, "map file %s has more than %u bytes; is it the right file?", path,
		                   MAP_FILE_MAX);
	return map_file_parse(rep, path, text, size, map);
}
