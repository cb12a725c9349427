// SPDX-License-Identifier: LGPL-2.1-or-later
/* A device in its second configuration, with one interface for each of two descriptors, an alternate setting, a third
 * descriptor that only reads, and a signal for the unplugging. "SET n" while all is as it was set, by the word of the device
 * and of the kernel; "UNPLUGGED" for the signal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "usb-load.h"

#define CONFIGURATION 2u
#define CONTROL 0u /* interfaces */
#define DATA 1u
#define ALTERNATE 1u

static volatile sig_atomic_t unplugged;
static char mark;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	unplugged = info->si_code == SI_ASYNCIO && info->si_addr == &mark ? 1 : 2;
}

static void must(int fd, unsigned long request, void *arg, const char *what)
{
	if (ioctl(fd, request, arg) < 0)
		die(what);
}

static void must_fail(int fd, unsigned long request, unsigned interface, const char *what)
{
	if (ioctl(fd, request, &interface) >= 0 || errno != EINVAL)
		die(what);
}

/* What the device itself says: GET_CONFIGURATION, GET_INTERFACE (Universal Serial Bus 2.0: 9.4.2, 9.4.4). */
static void ask(int fd, uint8_t type, uint8_t request, uint16_t index, uint8_t want, const char *what)
{
	uint8_t answer = 0xee;
	struct usbdevfs_ctrltransfer t = {
		.bRequestType = type, .bRequest = request, .wIndex = index, .wLength = 1, .timeout = 5000, .data = &answer
	};

	must(fd, USBDEVFS_CONTROL, &t, what);
	if (answer == want)
		return;
	printf("BAD %s: %u instead of %u\n", what, answer, want);
	exit(1);
}

static void check(const int fds[2], int reader, const uint8_t *descriptors, size_t size)
{
	struct usbdevfs_getdriver driver = { .interface = CONTROL };
	uint8_t byte = 0;
	off_t at = lseek(reader, 0, SEEK_CUR);

	ask(fds[0], 0x80, 8, 0, CONFIGURATION, "configuration");
	ask(fds[1], 0x81, 10, DATA, ALTERNATE, "alternate setting");
	must(fds[0], USBDEVFS_GETDRIVER, &driver, "driver");
	if (strcmp(driver.driver, "usbfs"))
		die(driver.driver);
	must_fail(fds[0], USBDEVFS_RELEASEINTERFACE, DATA, "the other's interface");
	must_fail(fds[1], USBDEVFS_RELEASEINTERFACE, CONTROL, "the other's interface");
	if (read(reader, &byte, 1) != 1 || byte != descriptors[at])
		die("descriptors");
	if ((size_t)at + 1 == size)
		lseek(reader, 5, SEEK_SET);
}

void settings_run(const char *node)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct usbdevfs_disconnectsignal signal = { .signr = SIGUSR1, .context = &mark };
	struct usbdevfs_setinterface set = { .interface = DATA, .altsetting = ALTERNATE };
	struct timespec nap = { .tv_nsec = 50000000 };
	uint8_t descriptors[1024];
	int fds[2], reader = open(node, O_RDONLY | O_CLOEXEC);
	ssize_t size = pread(reader, descriptors, sizeof(descriptors), 0);

	for (int i = 0; i < 2; i++)
		if ((fds[i] = open(node, O_RDWR | O_CLOEXEC)) < 0)
			die(node);
	if (size < 18 || lseek(reader, 5, SEEK_SET) != 5)
		die("descriptors");
	sigaction(SIGUSR1, &act, NULL);
	must(fds[0], USBDEVFS_SETCONFIGURATION, &(unsigned){ CONFIGURATION }, "set configuration");
	must(fds[0], USBDEVFS_CLAIMINTERFACE, &(unsigned){ CONTROL }, "claim");
	must(fds[1], USBDEVFS_CLAIMINTERFACE, &(unsigned){ DATA }, "claim");
	must(fds[1], USBDEVFS_SETINTERFACE, &set, "set interface");
	must(fds[0], USBDEVFS_DISCSIGNAL, &signal, "signal");
	must(fds[1], USBDEVFS_ALLOW_SUSPEND, NULL, "suspend");
	for (unsigned n = 1;; n++) {
		if (unplugged) {
			printf("%s\n", unplugged == 1 ? "UNPLUGGED" : "BAD signal");
			exit(3);
		}
		check(fds, reader, descriptors, (size_t)size);
		if (n % 5 == 0)
			printf("SET %u\n", n);
		nanosleep(&nap, NULL);
	}
}
