// SPDX-License-Identifier: LGPL-2.1-or-later
/* An inotify instance keeps its watches: their numbers (with a gap), paths and masks. Events after the restart carry the right
 * number. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

static int ifd, wd[4];

static void expect(int want_wd, uint32_t mask, const char *name)
{
	char buf[1024] __attribute__((aligned(8)));
	struct inotify_event *ev = (struct inotify_event *)buf;
	ssize_t n = read(ifd, buf, sizeof(buf));

	if (!want_wd) {
		target_check(n == -1 && errno == EAGAIN, "an event for watch %d, mask %x", ev->wd, ev->mask);
		return;
	}
	target_check(n > 0, "watch %d: no event: %m", want_wd);
	target_check(ev->wd == want_wd && ev->mask == mask && strcmp(ev->len ? ev->name : "", name) == 0,
	             "watch %d mask %x name %s, expected %d %x %s", ev->wd, ev->mask, ev->len ? ev->name : "", want_wd, mask,
	             name);
	target_check((size_t)n == sizeof(*ev) + ev->len, "more than one event");
}

int main(int argc, char **argv)
{
	char path[4096];
	static const char *const names[] = { "watched0", "watched1", "watched2", "watched3" };

	target_init(argc, argv);
	/* An ordinary user's checkpoint has to look for the paths; it begins here. */
	target_check(chdir(target_path(".")) == 0, "%m");
	ifd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	for (int i = 0; i < 4; i++) {
		mkdir(target_path(names[i]), 0777);
		wd[i] = inotify_add_watch(ifd, target_path(names[i]), i == 3 ? IN_DELETE : IN_CREATE);
		target_check(wd[i] > 0, "%m");
	}
	inotify_rm_watch(ifd, wd[1]);
	target_check(read(ifd, path, sizeof(path)) > 0, "IN_IGNORED: %m");
	target_ready();
	while (target_turn())
		;
	expect(0, 0, "");
	for (int i = 0; i < 4; i++) {
		int fd;

		strcpy(path, target_path(names[i]));
		strcat(path, "/new");
		fd = open(path, O_CREAT | O_WRONLY, 0600);
		target_check(fd >= 0, "%m");
		close(fd);
		expect(i == 0 || i == 2 ? wd[i] : 0, IN_CREATE, "new");
		unlink(path);
		expect(i == 3 ? wd[3] : 0, IN_DELETE, "new");
	}
	target_check(inotify_add_watch(ifd, target_path("watched2"), IN_CREATE) == wd[2], "the watch is not the same any more");
	target_done();
}
