// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads USB devices out of sysfs (Documentation/ABI/testing/sysfs-bus-usb): one directory per device, one per interface
 * below it. */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define DESCRIPTORS_MAX 65536
#define HUB_CLASS 9

/* A line without its end; "" when there is none. */
static int read_line(int dir, const char *name, char *buf, size_t size)
{
	AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return n < 0 ? -errno : 0;
}

static unsigned read_number(int dir, const char *name, int base)
{
	char text[32];

	return read_line(dir, name, text, sizeof(text)) ? 0 : (unsigned)strtoul(text, NULL, base);
}

static int read_descriptors(int dir, struct usb_device *d)
{
	AUTO_CLOSE int fd = openat(dir, "descriptors", O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint8_t *data = malloc(DESCRIPTORS_MAX);
	size_t size = 0;
	ssize_t n = 1;

	if (fd < 0 || !data)
		return fd < 0 ? -errno : -ENOMEM;
	while (n > 0 && size < DESCRIPTORS_MAX)
		if ((n = read(fd, data + size, DESCRIPTORS_MAX - size)) > 0)
			size += (size_t)n;
	if (n < 0)
		return -errno;
	d->descriptors = realloc(data, size ? size : 1);
	if (!d->descriptors)
		return -ENOMEM;
	data = NULL;
	d->size = size;
	return 0;
}

static void read_interface(int dir, const char *name, struct usb_device *d)
{
	AUTO_CLOSE int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char link[PATH_MAX];

	if (sub < 0 || d->n_interfaces == USB_INTERFACES_MAX || faccessat(sub, "bInterfaceNumber", F_OK, 0))
		return;
	struct usb_interface *i = &d->interfaces[d->n_interfaces++];
	*i = (struct usb_interface){ .number = read_number(sub, "bInterfaceNumber", 16),
		                     .alternate = read_number(sub, "bAlternateSetting", 10) };
	snprintf(i->path, sizeof(i->path), "%.63s", name);
	ssize_t n = readlinkat(sub, "driver", link, sizeof(link) - 1);
	if (n > 0) {
		link[n] = '\0';
		const char *slash = strrchr(link, '/');
		snprintf(i->driver, sizeof(i->driver), "%.31s", slash ? slash + 1 : link);
	}
}

static void read_name(int dir, struct usb_device *d)
{
	char maker[64], product[64];

	read_line(dir, "manufacturer", maker, sizeof(maker));
	read_line(dir, "product", product, sizeof(product));
	snprintf(d->name, sizeof(d->name), "%s%s%s", maker, *maker && *product ? " " : "", product);
}

int usb_device_read(const char *path, struct usb_device *ret)
{
	AUTO_FREE char *real = realpath(path, NULL);
	AUTO_CLOSE int fd = real ? open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct usb_device d = { .bus = fd < 0 ? 0 : read_number(fd, "busnum", 10) };

	if (fd < 0 || !d.bus)
		return -ENOENT;
	snprintf(d.port, sizeof(d.port), "%s", strrchr(real, '/') + 1);
	d.address = read_number(fd, "devnum", 10);
	d.vendor = read_number(fd, "idVendor", 16);
	d.product = read_number(fd, "idProduct", 16);
	d.release = read_number(fd, "bcdDevice", 16);
	d.device_class = read_number(fd, "bDeviceClass", 16);
	d.configuration = read_number(fd, "bConfigurationValue", 10);
	read_line(fd, "serial", d.serial, sizeof(d.serial));
	read_name(fd, &d);
	DIR *dir = opendir(real);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (strchr(e->d_name, ':'))
			read_interface(fd, e->d_name, &d);
	if (dir)
		closedir(dir);
	int err = read_descriptors(fd, &d);
	if (!err)
		*ret = d;
	return err;
}

void usb_device_finish(struct usb_device *device)
{
	free(device->descriptors);
	*device = (struct usb_device){ 0 };
}

int usb_host_read(const char *root, struct usb_host *ret)
{
	struct usb_host h = { 0 };
	DIR *dir = opendir(root);
	int err = 0;

	if (!dir)
		return -errno;
	for (struct dirent *e; !err && (e = readdir(dir));) {
		char path[PATH_MAX];
		struct usb_device d;
		if (e->d_name[0] == '.' || strchr(e->d_name, ':'))
			continue;
		snprintf(path, sizeof(path), "%s/%s", root, e->d_name);
		if (usb_device_read(path, &d))
			continue;
		struct usb_device *more = d.device_class == HUB_CLASS ? NULL : reallocarray(h.devices, h.n + 1, sizeof(*more));
		if (more) {
			h.devices = more;
			h.devices[h.n++] = d;
			continue;
		}
		err = d.device_class == HUB_CLASS ? 0 : -ENOMEM;
		usb_device_finish(&d);
	}
	closedir(dir);
	if (err)
		usb_host_finish(&h);
	else
		*ret = h;
	return err;
}

void usb_host_finish(struct usb_host *host)
{
	for (size_t i = 0; i < host->n; i++)
		usb_device_finish(&host->devices[i]);
	free(host->devices);
	*host = (struct usb_host){ 0 };
}

const char *usb_device_words(const struct usb_device *d, char *buf, size_t size)
{
	snprintf(buf, size, "%04x:%04x%s%s (port %s%s%s)", d->vendor, d->product, *d->name ? " " : "", d->name, d->port,
	         *d->serial ? ", serial number " : "", d->serial);
	return buf;
}

/* ---- what is mounted ---- */

/* "36 35 98:0 /mnt1 /mnt2 ...": the third is the device, the fifth the place (proc(5)). */
static bool find_mount(const char *mounts, const char *device, char *ret, size_t size)
{
	for (const char *line = mounts; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char number[32], place[512];
		if (sscanf(line, "%*s %*s %31s %*s %511s", number, place) == 2 && !strcmp(number, device)) {
			snprintf(ret, size, "%s", place);
			return true;
		}
	}
	return false;
}

/* A disk, or a directory on the way to one. Partitions are directories of the disk's. */
static bool walk(int parent, const char *name, unsigned depth, const char *mounts, char *ret, size_t size)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;
	char device[32];

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (!faccessat(fd, "dev", F_OK, 0) && !faccessat(fd, "size", F_OK, 0) && !read_line(fd, "dev", device, sizeof(device)))
		found = find_mount(mounts, device, ret, size);
	for (struct dirent *e; !found && depth && (e = readdir(dir));)
		if (e->d_name[0] != '.' && e->d_type == DT_DIR && strcmp(e->d_name, "power"))
			found = walk(fd, e->d_name, depth - 1, mounts, ret, size);
	closedir(dir);
	return found;
}

/* INTERFACE/host2/target2:0:0/2:0:0:0/block/sdb/sdb1 */
bool usb_interface_mounted(const char *root, const struct usb_interface *interface, const char *mounts, char *ret, size_t size)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *real = NULL;

	if (asprintf(&path, "%s/%s", root, interface->path) < 0) {
		path = NULL;
		return false;
	}
	real = realpath(path, NULL);
	return real && walk(AT_FDCWD, real, 6, mounts, ret, size);
}
