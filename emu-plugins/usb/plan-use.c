// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether a device that was chosen can be had: this user may open it, nobody else uses it, and no disk of it is mounted. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "usb.h"

#define MOUNTS_MAX (1 << 20)

bool usb_may_use(const struct usb_device *d)
{
	char node[32];

	return !access(usb_node(d->bus, d->address, node, sizeof(node)), R_OK | W_OK);
}

static void say_forbidden(struct stasis_session *s, const struct usb_device *d, int fd, int err)
{
	char node[32], remedy[400];

	usb_node(d->bus, d->address, node, sizeof(node));
	if (err == EACCES || err == EPERM)
		snprintf(remedy, sizeof(remedy),
		         "run as root, or let users have it by a line in /etc/udev/rules.d/70-stasis.rules: "
		         "SUBSYSTEM==\"usb\", ATTR{idVendor}==\"%04x\", "
		         "ATTR{idProduct}==\"%04x\", TAG+=\"uaccess\", MODE=\"0660\", GROUP=\"plugdev\"; then plug it in anew",
		         d->vendor, d->product);
	else
		snprintf(remedy, sizeof(remedy), "let the device node be made (udev, or a /dev of the host in a container)");
	stasis_obstacle(s, fd, NULL, remedy, "%s of the device in port %s cannot be used: %s", node, d->port, strerror(err));
}

/* A process that has the node open; 0: none that we can see. */
static pid_t holder(const char *node, char *ret_name, size_t size)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *e; proc && !found && (e = readdir(proc));) {
		char path[PATH_MAX], link[PATH_MAX];
		pid_t pid = (pid_t)atoi(e->d_name);
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
		DIR *fds = pid > 0 ? opendir(path) : NULL;
		for (struct dirent *f; fds && !found && (f = readdir(fds));) {
			ssize_t n = readlinkat(dirfd(fds), f->d_name, link, sizeof(link) - 1);
			if (n > 0 && (link[n] = '\0', !strcmp(link, node)))
				found = pid;
		}
		if (fds)
			closedir(fds);
	}
	if (proc)
		closedir(proc);
	char comm[64], text[64] = "";
	snprintf(comm, sizeof(comm), "/proc/%d/comm", found);
	FILE *f = found ? fopen(comm, "re") : NULL;
	if (f && fgets(text, sizeof(text), f))
		text[strcspn(text, "\n")] = '\0';
	if (f)
		fclose(f);
	snprintf(ret_name, size, "%s", text);
	return found;
}

static void say_busy(struct stasis_session *s, const struct usb_device *d, int fd, unsigned interface)
{
	char node[32], name[64], who[128] = "another program";
	pid_t pid = holder(usb_node(d->bus, d->address, node, sizeof(node)), name, sizeof(name));

	if (pid)
		snprintf(who, sizeof(who), "%s (pid %d)", name, pid);
	stasis_obstacle(s, fd, NULL, "end that program, or name another device with --map usb:OLD=PORT",
	                "interface %u of the device in port %s is in use by %s", interface, d->port, who);
}

static char *mounts_text(void)
{
	char *text = calloc(1, MOUNTS_MAX);
	FILE *f = text ? fopen("/proc/self/mountinfo", "re") : NULL;

	if (f) {
		text[fread(text, 1, MOUNTS_MAX - 1, f)] = '\0';
		fclose(f);
	}
	return text;
}

void usb_plan_use(struct stasis_session *s, struct usb_state *u, size_t device, int fd)
{
	struct usb_place *p = &u->places[device];
	const struct usb_device *d = p->now;
	bool configure = d->configuration != u->devices[device].configuration; /* then all drivers have to go */
	char node[32], place[512];
	char *mounts = mounts_text();

	p->detach = 0;
	if (access(usb_node(d->bus, d->address, node, sizeof(node)), R_OK | W_OK))
		say_forbidden(s, d, fd, errno);
	for (size_t i = 0; i < d->n_interfaces; i++) {
		const struct usb_interface *f = &d->interfaces[i];
		uint64_t bit = f->number < 64 ? 1ull << f->number : 0;
		if (!*f->driver || !(configure || p->claimed & bit))
			continue;
		if (!strcmp(f->driver, "usbfs"))
			say_busy(s, d, fd, f->number);
		else if (mounts && usb_interface_mounted(USB_SYSFS, f, mounts, place, sizeof(place)))
			stasis_obstacle(s, fd, NULL, "unmount it", "the disk in port %s is mounted at %s", d->port, place);
		else
			p->detach |= bit;
	}
	free(mounts);
}
