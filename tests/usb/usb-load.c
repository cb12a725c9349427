// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program that uses a USB device by usbfs alone, and notices whatever is lost, comes twice or is damaged.
 *
 *	usb-load disk VENDOR:PRODUCT [LINGER_MS [PAUSE_MS]]	commands to a disk (mass storage, bulk only); see disk.c
 *	usb-load read VENDOR:PRODUCT ...			the same, without writing
 *	usb-load wait VENDOR:PRODUCT ...			the same, waiting within USBDEVFS_REAPURB
 *	usb-load reports VENDOR:PRODUCT				numbers by an interrupt endpoint: "REPORT n" for each
 *	usb-load feed FILE FROM TO INTERVAL_MS			writes such numbers to the gadget's side
 *	usb-load fill FILE					a disk's contents
 *	usb-load sound VENDOR:PRODUCT				isochronous requests; see sound.c
 *	usb-load settings VENDOR:PRODUCT			see settings.c
 *	usb-load serial VENDOR:PRODUCT MS			a serial line, see serial.c
 *	usb-load hub PORT					claims a port of a hub and does nothing
 *	usb-load rob PORT [FILE]				waits until somebody opens the device, and claims it or, with
 *								FILE (which unplugs it), writes an empty line there; then ends
 *	usb-load hold VENDOR:PRODUCT [VENDOR:PRODUCT]		claims them and says "THERE n" or "AWAY n"
 *
 * The port of a device may stand for VENDOR:PRODUCT. */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "usb-load.h"

#define REPORTS 4 /* in flight */
#define REPORT_SIZE 8

void die(const char *what)
{
	printf("BAD %s: %s\n", what, strerror(errno));
	exit(1);
}

void gone(const char *where)
{
	printf("GONE %s\n", where);
	exit(3);
}

/* ---- requests ---- */

void submit(struct device *d, struct usbdevfs_urb *urb)
{
	if (ioctl(d->fd, USBDEVFS_SUBMITURB, urb) >= 0)
		return;
	if (errno == ENODEV || errno == ESHUTDOWN)
		gone("submit");
	die("submit");
}

struct usbdevfs_urb *reap(struct device *d)
{
	struct pollfd p = { .fd = d->fd, .events = POLLOUT };
	struct usbdevfs_urb *urb;

	for (;;) {
		if (ioctl(d->fd, d->blocking ? USBDEVFS_REAPURB : USBDEVFS_REAPURBNDELAY, &urb) >= 0)
			return urb;
		if (errno == ENODEV)
			gone("reap");
		if (errno != EAGAIN)
			die("reap");
		if (poll(&p, 1, -1) < 0)
			die("poll");
	}
}

/* ---- the device ---- */

static int read_hex(const char *dir, const char *name, unsigned *ret)
{
	char path[512];

	snprintf(path, sizeof(path), "/sys/bus/usb/devices/%s/%s", dir, name);
	FILE *f = fopen(path, "r");
	int n = f ? fscanf(f, "%x", ret) : 0;
	if (f)
		fclose(f);
	return n == 1 ? 0 : -1;
}

static void read_node(const char *port, char *ret, size_t size)
{
	unsigned bus, address;
	char path[512];

	snprintf(path, sizeof(path), "/sys/bus/usb/devices/%s/uevent", port);
	FILE *f = fopen(path, "r");
	for (char line[256]; f && fgets(line, sizeof(line), f);)
		if (sscanf(line, "DEVNAME=bus/usb/%u/%u", &bus, &address) == 2)
			snprintf(ret, size, "/dev/bus/usb/%03u/%03u", bus, address);
	if (f)
		fclose(f);
}

/* `id`: VENDOR:PRODUCT, or a port. */
static void find_node(const char *id, char *ret, size_t size)
{
	DIR *dir = opendir("/sys/bus/usb/devices");
	unsigned vendor, product, v, p;
	bool port = sscanf(id, "%x:%x", &vendor, &product) != 2;

	if (!dir)
		die("devices");
	*ret = '\0';
	for (struct dirent *e; (e = readdir(dir));)
		if (port ? !strcmp(e->d_name, id)
		         : !read_hex(e->d_name, "idVendor", &v) && !read_hex(e->d_name, "idProduct", &p) && v == vendor && p == product)
			read_node(e->d_name, ret, size);
	closedir(dir);
	errno = ENODEV;
	if (!*ret)
		die(id);
}

/* The endpoints of the first interface, out of what the descriptor itself says. */
static void find_endpoints(struct device *d)
{
	uint8_t data[1024];
	ssize_t n = read(d->fd, data, sizeof(data));

	for (ssize_t i = 18; i + 6 < n && data[i]; i += data[i]) {
		if (data[i + 1] != 5)
			continue;
		unsigned endpoint = data[i + 2], type = data[i + 3] & 3;
		if (endpoint & 0x80 && type == 2 && !d->bulk_in)
			d->bulk_in = endpoint;
		if (endpoint & 0x80 && !d->in) {
			d->in = endpoint;
			d->interrupt = type == 3;
		} else if (!(endpoint & 0x80) && !d->out) {
			d->out = endpoint;
		}
	}
}

static struct device open_device(const char *id)
{
	struct usbdevfs_disconnect_claim claim = { .interface = 0 };
	struct device d = { .interface = 0 };
	char node[64];
	uint32_t caps;

	find_node(id, node, sizeof(node));
	if ((d.fd = open(node, O_RDWR | O_CLOEXEC)) < 0)
		die(node);
	find_endpoints(&d);
	if (ioctl(d.fd, USBDEVFS_GET_CAPABILITIES, &caps) < 0)
		die("capabilities");
	if (ioctl(d.fd, USBDEVFS_DISCONNECT_CLAIM, &claim) < 0)
		die("claim");
	printf("OPEN %s\n", node);
	return d;
}

/* ---- doing nothing with a device ---- */

/* All but a few of usbfs's calls are refused once a device is unplugged (drivers/usb/core/devio.c, usbdev_do_ioctl). */
static void hold_run(const struct device *devices, unsigned n_devices)
{
	struct timespec nap = { .tv_nsec = 100000000 };

	for (unsigned n = 1;; n++) {
		unsigned there = 0;
		for (unsigned i = 0; i < n_devices; i++) {
			struct usbdevfs_getdriver driver = { .interface = 0 };
			int result = ioctl(devices[i].fd, USBDEVFS_GETDRIVER, &driver);
			if (result < 0 && errno != ENODEV)
				die("hold");
			if (result >= 0 && strcmp(driver.driver, "usbfs"))
				die(driver.driver);
			there += result >= 0;
		}
		printf("%s %u\n", there == n_devices ? "THERE" : "AWAY", n);
		nanosleep(&nap, NULL);
	}
}

static void hub_run(const char *port)
{
	char node[64];

	find_node(port, node, sizeof(node));
	int fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, USBDEVFS_CLAIM_PORT, &(unsigned){ 1 }) < 0)
		die(node);
	printf("OPEN %s\n", node);
	for (;;)
		pause();
}

/* ---- reports ---- */

static void reports_run(struct device *d)
{
	if (!d->in)
		die("endpoints");
	static struct usbdevfs_urb urbs[REPORTS];
	static uint8_t data[REPORTS][REPORT_SIZE];
	uint64_t next = 0;

	for (unsigned i = 0; i < REPORTS; i++) {
		urbs[i] = (struct usbdevfs_urb){ .type = USBDEVFS_URB_TYPE_INTERRUPT,
			                         .endpoint = (uint8_t)d->in,
			                         .buffer = data[i],
			                         .buffer_length = REPORT_SIZE };
		submit(d, &urbs[i]);
	}
	for (;;) {
		struct usbdevfs_urb *urb = reap(d);
		uint64_t number;
		if (urb->status == -ESHUTDOWN || urb->status == -ENODEV)
			gone("report");
		if (!urb->status && !urb->actual_length) { /* this gadget ends each with an empty packet */
			submit(d, urb);
			continue;
		}
		if (urb->status || urb->actual_length != REPORT_SIZE) {
			printf("BAD report: status %d, %d bytes\n", urb->status, urb->actual_length);
			exit(1);
		}
		memcpy(&number, urb->buffer, sizeof(number));
		if (next && number != next)
			printf("BAD report %lu instead of %lu\n", number, next);
		next = number + 1;
		printf("REPORT %lu\n", number);
		memset(urb->buffer, 0xee, REPORT_SIZE);
		submit(d, urb);
	}
}

static void feed(const char *path, uint64_t from, uint64_t to, unsigned ms)
{
	struct timespec nap = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		die(path);
	for (; from <= to; from++) {
		if (write(fd, &from, sizeof(from)) != sizeof(from))
			die("feed");
		nanosleep(&nap, NULL);
	}
	printf("FED up to %lu\n", to);
}

/* Ahead of whoever has opened it, as that one's processor is taken away from it (a host with one processor, that is). */
static void rob(const char *port, const char *file)
{
	struct sched_param first = { .sched_priority = 50 };
	char node[64], event[4096];

	find_node(port, node, sizeof(node));
	int fd = open(node, O_RDWR | O_CLOEXEC), watch = inotify_init1(IN_CLOEXEC), out = file ? open(file, O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0 || watch < 0 || (file && out < 0) || inotify_add_watch(watch, node, IN_OPEN) < 0 ||
	    sched_setscheduler(0, SCHED_FIFO, &first))
		die(node);
	printf("OPEN %s\n", node);
	if (read(watch, event, sizeof(event)) <= 0)
		die("watch");
	int result = file ? (int)write(out, "\n", 1) : ioctl(fd, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 0 });
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	if (result < 0)
		die("rob");
	printf("ROBBED\n");
	sleep(file ? 0 : 10);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	unsigned numbers[4] = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 3; i < argc && i < 7; i++)
		numbers[i - 3] = (unsigned)strtoul(argv[i], NULL, 10);
	if (!strcmp(mode, "fill")) {
		disk_fill(argv[2]);
		return 0;
	}
	if (!strcmp(mode, "feed")) {
		feed(argv[2], numbers[0], numbers[1], numbers[2]);
		return 0;
	}
	if (!strcmp(mode, "settings")) {
		char node[64];
		find_node(argv[2], node, sizeof(node));
		settings_run(node);
	}
	if (!strcmp(mode, "hub"))
		hub_run(argv[2]);
	if (!strcmp(mode, "rob")) {
		rob(argv[2], argc > 3 ? argv[3] : NULL);
		return 0;
	}
	struct device d = open_device(argc > 2 ? argv[2] : "");
	d.blocking = !strcmp(mode, "wait");
	d.read_only = !strcmp(mode, "read");
	if (!strcmp(mode, "disk") || d.blocking || d.read_only)
		disk_run(&d, numbers[0], numbers[1]);
	else if (!strcmp(mode, "reports"))
		reports_run(&d);
	else if (!strcmp(mode, "sound"))
		sound_run(&d);
	else if (!strcmp(mode, "serial"))
		serial_run(&d, numbers[0]);
	struct device both[2] = { d };
	if (argc > 3)
		both[1] = open_device(argv[3]);
	hold_run(both, argc > 3 ? 2 : 1);
}
