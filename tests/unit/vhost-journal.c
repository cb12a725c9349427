// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's journal of vhost, with a kernel that is played: what is noted, replaced and forgotten, and whose it is. */
#include <errno.h>
#include <linux/vhost.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vhost/journal.h"
#include "vhost/record.h"
#include "vhost/requests.h"

/* ---- the kernel and the recorder's core, played ---- */

struct recorder_root recorder_root;
static long next_result, base_result;
static unsigned n_turns;

long recorder_next_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	(void)arg;
	return (uint32_t)request == (uint32_t)VHOST_GET_VRING_BASE ? base_result : next_result;
}

void recorder_begin(struct recorder_turn *turn)
{
	(void)turn;
	recorder_root.busy++;
	n_turns++;
}

void recorder_end(struct recorder_turn *turn)
{
	(void)turn;
	recorder_root.busy--;
}

/* Never given back, as the real one's. */
void *recorder_memory(size_t size)
{
	static char arena[8 << 20];
	static size_t used;

	size = (size + 63) & ~63ul;
	assert_true(size <= sizeof(arena) - used);
	used += size;
	return arena + used - size;
}

void recorder_break(void)
{
	recorder_root.broken = 1;
}

/* ---- what the journal says ---- */

enum { NET0 = 20, NET1 = 21 };

static struct vhost_journal *journal(void)
{
	return (struct vhost_journal *)recorder_root.sections[0].addr;
}

static unsigned count(int fd, uint64_t request, struct vhost_entry **ret_last)
{
	struct vhost_entry *all = (struct vhost_entry *)journal()->entries;
	unsigned n = 0;

	for (uint32_t i = 0; i < journal()->n_entries; i++) {
		if (all[i].live && all[i].fd == fd && (!request || all[i].request == (uint32_t)request)) {
			n++;
			if (ret_last)
				*ret_last = &all[i];
		}
	}
	return n;
}

static long ask(int fd, unsigned long request, void *arg, long result)
{
	next_result = result;
	return vhost_recorder_kind.ioctl(fd, request, arg);
}

static int setup(void **state)
{
	(void)state;
	if (!recorder_root.sections[0].addr)
		vhost_recorder_kind.init(&recorder_root.sections[0]);
	memset((void *)journal()->entries, 0, VHOST_ENTRIES * sizeof(struct vhost_entry));
	journal()->n_entries = 0;
	recorder_root.broken = 0;
	n_turns = 0;
	base_result = 0;
	ask(NET0, VHOST_SET_OWNER, NULL, 0);
	return 0;
}

static void the_last_setting_of_a_kind_is_kept(void **state)
{
	struct vhost_entry *e = NULL;
	uint64_t features = 0x100000000;

	(void)state;
	ask(NET0, VHOST_SET_FEATURES, &features, 0);
	features = 0x108000000;
	ask(NET0, VHOST_SET_FEATURES, &features, 0);
	assert_int_equal(count(NET0, VHOST_SET_FEATURES, &e), 1);
	assert_int_equal(e->value[0], 0x108000000);
	assert_int_equal(count(NET0, VHOST_SET_OWNER, NULL), 1);
	assert_int_equal(recorder_root.busy, 0);
}

static void rings_are_kept_one_by_one(void **state)
{
	struct vhost_vring_file kick = { .index = 0, .fd = 30 };
	struct vhost_vring_addr addr = { .index = 1, .desc_user_addr = 1, .avail_user_addr = 2, .used_user_addr = 3, .log_guest_addr = 4 };
	struct vhost_entry *e = NULL;

	(void)state;
	ask(NET0, VHOST_SET_VRING_KICK, &kick, 0);
	kick = (struct vhost_vring_file){ .index = 1, .fd = 31 };
	ask(NET0, VHOST_SET_VRING_KICK, &kick, 0);
	kick.fd = 32;
	ask(NET0, VHOST_SET_VRING_KICK, &kick, 0);
	assert_int_equal(count(NET0, VHOST_SET_VRING_KICK, &e), 2);
	assert_int_equal(e->index, 1);
	assert_memory_equal(e->value, &kick, sizeof(kick));
	ask(NET0, VHOST_SET_VRING_ADDR, &addr, 0);
	assert_int_equal(count(NET0, VHOST_SET_VRING_ADDR, &e), 1);
	assert_int_equal(e->size, sizeof(addr));
	assert_memory_equal(e->value, &addr, sizeof(addr));
}

static void a_call_that_failed_leaves_nothing(void **state)
{
	struct vhost_vring_file backend = { .index = 0, .fd = 40 };

	(void)state;
	assert_int_equal(ask(NET0, VHOST_NET_SET_BACKEND, &backend, -EFAULT), -EFAULT);
	assert_int_equal(count(NET0, VHOST_NET_SET_BACKEND, NULL), 0);
}

static void a_memory_table_is_kept_whole_however_it_grows(void **state)
{
	struct vhost_memory *m = calloc(1, sizeof(*m) + 100 * sizeof(m->regions[0]));
	struct vhost_entry *e = NULL;

	(void)state;
	for (m->nregions = 0; m->nregions <= 100; m->nregions++) {
		if (m->nregions)
			m->regions[m->nregions - 1] = (struct vhost_memory_region){ .guest_phys_addr = m->nregions, .memory_size = 4096 };
		ask(NET0, VHOST_SET_MEM_TABLE, m, 0);
		assert_int_equal(count(NET0, VHOST_SET_MEM_TABLE, &e), 1);
		assert_int_equal(e->size, sizeof(*m) + m->nregions * sizeof(m->regions[0]));
		assert_memory_equal(e->size > sizeof(e->value) ? (void *)e->data : e->value, m, e->size);
	}
	free(m);
}

static void devices_do_not_mix(void **state)
{
	uint64_t features = 7;

	(void)state;
	ask(NET1, VHOST_SET_OWNER, NULL, 0);
	ask(NET1, VHOST_SET_FEATURES, &features, 0);
	assert_int_equal(count(NET0, VHOST_SET_FEATURES, NULL), 0);
	ask(NET0, VHOST_RESET_OWNER, NULL, 0);
	assert_int_equal(count(NET0, 0, NULL), 0);
	assert_int_equal(count(NET1, 0, NULL), 2);
}

static void a_number_may_go_to_another_device(void **state)
{
	struct vhost_vring_file backend = { .index = 0, .fd = 40 };
	uint64_t features = 7;

	(void)state;
	ask(NET0, VHOST_NET_SET_BACKEND, &backend, 0);
	ask(NET0, VHOST_SET_OWNER, NULL, 0);
	assert_int_equal(count(NET0, 0, NULL), 1);
	ask(NET0, VHOST_NET_SET_BACKEND, &backend, 0);
	base_result = -EPERM; /* features before there is an owner */
	ask(NET0, VHOST_SET_FEATURES, &features, 0);
	assert_int_equal(count(NET0, 0, NULL), 1);
	ask(NET0, VHOST_SET_OWNER, NULL, 0);
	assert_int_equal(count(NET0, 0, NULL), 2);
}

static void questions_are_not_recorded(void **state)
{
	struct vhost_vring_state base = { 0 };
	unsigned turns = n_turns;

	(void)state;
	ask(NET0, VHOST_GET_VRING_BASE, &base, 0);
	ask(NET0, VHOST_SET_VRING_BASE, &base, 0);
	assert_int_equal(n_turns, turns);
	assert_int_equal(count(NET0, 0, NULL), 1);
}

static void what_nobody_knows_is_kept_to_be_refused(void **state)
{
	(void)state;
	ask(NET0, _IOW(VHOST_VIRTIO, 0x84, uint8_t), NULL, 0);
	assert_int_equal(count(NET0, _IOW(VHOST_VIRTIO, 0x84, uint8_t), NULL), 1);
	assert_null(vhost_request_find(_IOW(VHOST_VIRTIO, 0x84, uint8_t)));
}

static void a_full_journal_is_broken(void **state)
{
	struct vhost_vring_file kick = { .fd = 30 };

	(void)state;
	for (unsigned i = 1; i < VHOST_ENTRIES; i++) {
		kick.index = i;
		ask(NET0, VHOST_SET_VRING_KICK, &kick, 0);
	}
	assert_int_equal(recorder_root.broken, 0);
	kick.index = VHOST_ENTRIES;
	ask(NET0, VHOST_SET_VRING_KICK, &kick, 0);
	assert_int_equal(recorder_root.broken, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_setting_of_a_kind_is_kept, setup),
		cmocka_unit_test_setup(rings_are_kept_one_by_one, setup),
		cmocka_unit_test_setup(a_call_that_failed_leaves_nothing, setup),
		cmocka_unit_test_setup(a_memory_table_is_kept_whole_however_it_grows, setup),
		cmocka_unit_test_setup(devices_do_not_mix, setup),
		cmocka_unit_test_setup(a_number_may_go_to_another_device, setup),
		cmocka_unit_test_setup(questions_are_not_recorded, setup),
		cmocka_unit_test_setup(what_nobody_knows_is_kept_to_be_refused, setup),
		cmocka_unit_test_setup(a_full_journal_is_broken, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
