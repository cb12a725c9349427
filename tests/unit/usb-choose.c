// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which USB device a program gets at a restart: of a sysfs that is played, as files in a directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "usb/choose.h"

static char root[] = "/tmp/stasis-usb.XXXXXX";

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", root, dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_number(const char *dir, const char *name, const char *format, unsigned number)
{
	char text[32];

	snprintf(text, sizeof(text), format, number);
	put(dir, name, text);
}

/* A stick with one interface; `packet`: the packet size of its endpoint, which depends on the speed of the port. */
static void plug(const char *port, unsigned address, unsigned product, const char *serial, unsigned packet)
{
	uint8_t d[18 + 9 + 9 + 7] = { 18,
		                      1,
		                      0,
		                      2,
		                      0,
		                      0,
		                      0,
		                      64,
		                      0x34,
		                      0x12,
		                      (uint8_t)product,
		                      (uint8_t)(product >> 8),
		                      0,
		                      1,
		                      1,
		                      2,
		                      3,
		                      1,
		                      9,
		                      2,
		                      25,
		                      0,
		                      1,
		                      1,
		                      0,
		                      0x80,
		                      50,
		                      9,
		                      4,
		                      0,
		                      0,
		                      1,
		                      8,
		                      6,
		                      80,
		                      0,
		                      7,
		                      5,
		                      0x81,
		                      2,
		                      (uint8_t)packet,
		                      (uint8_t)(packet >> 8),
		                      0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, port);
	assert_int_equal(mkdir(path, 0755), 0);
	put(port, "busnum", "3\n");
	put_number(port, "devnum", "%u\n", address);
	put(port, "idVendor", "1234\n");
	put_number(port, "idProduct", "%04x\n", product);
	put(port, "bcdDevice", "0100\n");
	put(port, "bDeviceClass", "00\n");
	put(port, "bConfigurationValue", "1\n");
	put(port, "manufacturer", "Acme\n");
	put(port, "product", "Stick\n");
	if (*serial)
		put(port, "serial", serial);
	snprintf(path, sizeof(path), "%s/%s/descriptors", root, port);
	FILE *f = fopen(path, "w");
	assert_int_equal(fwrite(d, 1, sizeof(d), f), sizeof(d));
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s/%s:1.0", root, port, port);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s:1.0", port, port);
	put(path, "bInterfaceNumber", "00\n");
	put(path, "bAlternateSetting", " 0\n");
	snprintf(path, sizeof(path), "%s/%s/%s:1.0/driver", root, port, port);
	assert_int_equal(symlink("../../../drivers/usb-storage", path), 0);
}

static void unplug_all(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s/*", root);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	(void)state;
	unplug_all();
	return 0;
}

/* What was in port 3-1, and is nowhere now. */
static struct usb_device remember(const char *serial)
{
	struct usb_host host = { 0 };
	struct usb_device d;

	plug("3-1", 2, 0x5678, serial, 512);
	assert_int_equal(usb_host_read(root, &host), 0);
	assert_int_equal(host.n, 1);
	d = host.devices[0];
	free(host.devices);
	unplug_all();
	return d;
}

static enum usb_choice choose(struct usb_device *old, const char *text, char port[48])
{
	struct usb_host host = { 0 };
	size_t index = 9999;

	assert_int_equal(usb_host_read(root, &host), 0);
	enum usb_choice choice = usb_choose(&host, old, text, &index);
	snprintf(port, 48, "%s", index < host.n ? host.devices[index].port : "");
	usb_host_finish(&host);
	return choice;
}

static void a_device_is_read_whole(void **state)
{
	struct usb_device d = remember("A1\n");
	char words[200];

	(void)state;
	assert_string_equal(usb_device_words(&d, words, sizeof(words)), "1234:5678 Acme Stick (port 3-1, serial number A1)");
	assert_int_equal(d.bus, 3);
	assert_int_equal(d.address, 2);
	assert_int_equal(d.release, 0x100);
	assert_int_equal(d.configuration, 1);
	assert_int_equal(d.size, 43);
	assert_int_equal(d.n_interfaces, 1);
	assert_string_equal(d.interfaces[0].driver, "usb-storage");
	usb_device_finish(&d);
}

static void the_same_serial_number_is_found_in_any_port(void **state)
{
	struct usb_device old = remember("A1");
	char port[48];

	(void)state;
	plug("3-1", 7, 0x5678, "B2", 512); /* another one in its old port */
	plug("3-2.4", 8, 0x5678, "A1", 512);
	assert_int_equal(choose(&old, NULL, port), USB_CHOSEN);
	assert_string_equal(port, "3-2.4");
	usb_device_finish(&old);
}

static void another_serial_number_is_not_taken_by_itself(void **state)
{
	struct usb_device old = remember("A1");
	char port[48];

	(void)state;
	plug("3-1", 7, 0x5678, "B2", 512);
	assert_int_equal(choose(&old, NULL, port), USB_OTHER_SERIAL);
	assert_string_equal(port, "3-1");
	assert_int_equal(choose(&old, "3-1", port), USB_CHOSEN);
	assert_int_equal(choose(&old, "1234:5678:B2", port), USB_CHOSEN);
	assert_int_equal(choose(&old, "1234:5678:A1", port), USB_MISSING);
	usb_device_finish(&old);
}

static void without_serial_numbers_the_port_counts(void **state)
{
	struct usb_device old = remember("");
	char port[48];

	(void)state;
	plug("3-3", 7, 0x5678, "", 512);
	assert_int_equal(choose(&old, NULL, port), USB_CHOSEN);
	assert_string_equal(port, "3-3");
	plug("3-4", 8, 0x5678, "", 512);
	assert_int_equal(choose(&old, NULL, port), USB_SEVERAL);
	plug("3-1", 9, 0x5678, "", 512);
	assert_int_equal(choose(&old, NULL, port), USB_CHOSEN);
	assert_string_equal(port, "3-1");
	assert_int_equal(choose(&old, "1234:5678", port), USB_SEVERAL);
	assert_int_equal(choose(&old, "3-4", port), USB_CHOSEN);
	assert_string_equal(port, "3-4");
	usb_device_finish(&old);
}

static void another_product_is_refused_whoever_asks(void **state)
{
	struct usb_device old = remember("A1"), now;
	char port[48], dir[64];

	(void)state;
	plug("3-1", 7, 0x5679, "A1", 512);
	assert_int_equal(choose(&old, NULL, port), USB_MISSING);
	assert_int_equal(choose(&old, "3-1", port), USB_DIFFERS);
	snprintf(dir, sizeof(dir), "%s/3-1", root);
	assert_int_equal(usb_device_read(dir, &now), 0);
	assert_string_equal(usb_differs(&old, &now), "it is another product");
	usb_device_finish(&now);
	usb_device_finish(&old);
}

static void another_speed_is_refused(void **state)
{
	struct usb_device old = remember("A1"), now;
	char port[48], dir[64];

	(void)state;
	plug("3-1", 7, 0x5678, "A1", 64);
	assert_int_equal(choose(&old, NULL, port), USB_DIFFERS);
	snprintf(dir, sizeof(dir), "%s/3-1", root);
	assert_int_equal(usb_device_read(dir, &now), 0);
	assert_non_null(strstr(usb_differs(&old, &now), "another speed"));
	now.descriptors[18 + 9 + 9 + 4] = 0;
	now.descriptors[18 + 9 + 9 + 5] = 2;
	now.descriptors[16] = 9; /* the number of its serial number's string does not count */
	assert_null(usb_differs(&old, &now));
	usb_device_finish(&now);
	usb_device_finish(&old);
}

static void none_and_nonsense(void **state)
{
	static const char *const nonsense[] = { "3",          "-1",         "3-1-2",     "12345678", "1234:567",
		                                "1234:56789", "1234:5678:", "1234:zzzz", "3-1x",     "" };
	struct usb_device old = remember("A1");
	char port[48];

	(void)state;
	assert_int_equal(choose(&old, "none", port), USB_NONE);
	assert_int_equal(choose(&old, "3-1", port), USB_MISSING);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(choose(&old, nonsense[i], port), USB_NO_WORDS);
	usb_device_finish(&old);
}

static void hubs_are_left_out(void **state)
{
	struct usb_host host = { 0 };

	(void)state;
	plug("3-1", 7, 0x5678, "A1", 512);
	put("3-1", "bDeviceClass", "09\n");
	assert_int_equal(usb_host_read(root, &host), 0);
	assert_int_equal(host.n, 0);
	usb_host_finish(&host);
}

static void a_mounted_disk_is_noticed(void **state)
{
	static const char mounts[] =
	        "22 1 8:16 / /mnt rw - ext4 /dev/sdb rw\n23 1 8:17 / /media/stick rw - vfat /dev/sdb1 rw\n";
	struct usb_interface interface = { .path = "3-1/3-1:1.0" };
	char command[512], place[64];

	(void)state;
	plug("3-1", 7, 0x5678, "A1", 512);
	assert_false(usb_interface_mounted(root, &interface, mounts, place, sizeof(place)));
	snprintf(command, sizeof(command),
	         "d=%s/3-1/3-1:1.0/host2/target2:0:0/2:0:0:0/block/sdb && mkdir -p $d/sdb1 && for f in $d $d/sdb1; do echo 1 "
	         ">$f/size; echo 8:32 >$f/dev; done && "
	         "echo 8:33 >$d/sdb1/dev",
	         root);
	assert_int_equal(system(command), 0);
	assert_false(usb_interface_mounted(root, &interface, mounts, place, sizeof(place)));
	put("3-1/3-1:1.0/host2/target2:0:0/2:0:0:0/block/sdb/sdb1", "dev", "8:17\n");
	assert_true(usb_interface_mounted(root, &interface, mounts, place, sizeof(place)));
	assert_string_equal(place, "/media/stick");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_device_is_read_whole, setup),
		cmocka_unit_test_setup(the_same_serial_number_is_found_in_any_port, setup),
		cmocka_unit_test_setup(another_serial_number_is_not_taken_by_itself, setup),
		cmocka_unit_test_setup(without_serial_numbers_the_port_counts, setup),
		cmocka_unit_test_setup(another_product_is_refused_whoever_asks, setup),
		cmocka_unit_test_setup(another_speed_is_refused, setup),
		cmocka_unit_test_setup(none_and_nonsense, setup),
		cmocka_unit_test_setup(hubs_are_left_out, setup),
		cmocka_unit_test_setup(a_mounted_disk_is_noticed, setup),
	};

	if (!mkdtemp(root))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unplug_all();
	rmdir(root);
	return failed;
}
