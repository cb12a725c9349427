// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a lazy restart owes: pages follow their memory wherever it is moved, are owed no more once they are loaded, thrown away
 * or unmapped, and an event that is taken into account twice (by a server and by its successor) counts once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lazy/ledger.h"

#define P LEDGER_PAGE
#define A 0x100000ul /* two regions of 64 pages, both owed but for every eighth page */
#define B 0x900000ul
#define SIZE (64 * P)

static struct ledger *make(void)
{
	const struct ledger_region regions[] = { { .start = A, .end = A + SIZE }, { .start = B, .end = B + SIZE } };
	struct ledger *l;

	assert_int_equal(ledger_create(regions, 2, &l), 0);
	for (uint64_t i = 0; i < 64; i++)
		if (i % 8) {
			ledger_owe(l, A + i * P, A + (i + 1) * P);
			ledger_owe(l, B + i * P, B + (i + 1) * P);
		}
	return l;
}

static int event(struct ledger *l, uint32_t space, uint8_t what, uint64_t a, uint64_t b, uint64_t len)
{
	struct ledger_space *s = &l->spaces[space];

	s->number++;
	memset(&s->msg, 0, sizeof(s->msg));
	s->msg.event = what;
	if (what == UFFD_EVENT_REMAP) {
		s->msg.arg.remap.from = a;
		s->msg.arg.remap.to = b;
		s->msg.arg.remap.len = len;
	} else {
		s->msg.arg.remove.start = a;
		s->msg.arg.remove.end = b;
	}
	return ledger_apply(l, space);
}

/* What the address of now is owed: the image address, or 0. */
static uint64_t owed(const struct ledger *l, uint32_t space, uint64_t addr)
{
	uint64_t origin;

	return ledger_origin(l, space, addr, &origin) && ledger_owes(l, space, origin) ? origin : 0;
}

static void runs_are_found_and_settled(void **state)
{
	struct ledger *l = make();
	uint64_t at = A, addr;

	(void)state;
	assert_int_equal(l->total, 112);
	assert_int_equal(ledger_next(l, 0, &at, A + SIZE, &addr), 7 * P);
	assert_int_equal(at, A + P);
	assert_int_equal(addr, A + P);
	ledger_settle(l, 0, A + P, 3 * P);
	at = A;
	assert_int_equal(ledger_next(l, 0, &at, A + SIZE, &addr), 4 * P);
	assert_int_equal(at, A + 4 * P);
	assert_int_equal(owed(l, 0, A + 3 * P), 0);
	assert_int_equal(owed(l, 0, A + 4 * P), A + 4 * P);
	assert_int_equal(l->owed_first, 109);
	ledger_settle(l, 0, A, SIZE);
	at = A;
	assert_int_equal(ledger_next(l, 0, &at, A + SIZE, &addr), 0);
	at = A; /* an end beyond a region is no harm */
	assert_int_equal(ledger_next(l, 0, &at, B + SIZE, &addr), 7 * P);
	assert_int_equal(addr, B + P);
	ledger_destroy(l);
}

static void pages_thrown_away_are_owed_no_more(void **state)
{
	struct ledger *l = make();

	(void)state;
	assert_int_equal(event(l, 0, UFFD_EVENT_REMOVE, A + 2 * P, A + 5 * P, 0), 0);
	assert_int_equal(owed(l, 0, A + P), A + P);
	for (uint64_t i = 2; i < 5; i++)
		assert_int_equal(owed(l, 0, A + i * P), 0);
	assert_int_equal(owed(l, 0, A + 5 * P), A + 5 * P);
	/* Over both regions and what lies between. */
	assert_int_equal(event(l, 0, UFFD_EVENT_REMOVE, A + 60 * P, B + 4 * P, 0), 0);
	assert_int_equal(owed(l, 0, A + 59 * P), A + 59 * P);
	assert_int_equal(owed(l, 0, A + 61 * P), 0);
	assert_int_equal(owed(l, 0, B + 3 * P), 0);
	assert_int_equal(owed(l, 0, B + 4 * P), B + 4 * P);
	ledger_destroy(l);
}

static void pages_follow_their_memory(void **state)
{
	const uint64_t to = 0x5000000;
	struct ledger *l = make();
	uint64_t at = A, addr;

	(void)state;
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, A + 8 * P, to, 16 * P), 0);
	assert_int_equal(owed(l, 0, to + P), A + 9 * P);
	assert_int_equal(owed(l, 0, A + 9 * P), 0);
	assert_int_equal(owed(l, 0, A + 25 * P), A + 25 * P);
	/* mremap() unmaps the old place; what has moved is not there any more. */
	assert_int_equal(event(l, 0, UFFD_EVENT_UNMAP, A + 8 * P, A + 24 * P, 0), 0);
	assert_int_equal(owed(l, 0, to + P), A + 9 * P);
	at = A + 8 * P;
	assert_int_equal(ledger_next(l, 0, &at, A + SIZE, &addr), 7 * P);
	assert_int_equal(addr, to + P);
	/* A part of it again, in front of all else; then back. */
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, to + 2 * P, 0x10000, 2 * P), 0);
	assert_int_equal(owed(l, 0, 0x10000), A + 10 * P);
	assert_int_equal(owed(l, 0, to + 4 * P), A + 12 * P);
	at = A + 8 * P;
	assert_int_equal(ledger_next(l, 0, &at, A + SIZE, &addr), P); /* it lies in three pieces now */
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, 0x10000, to + 2 * P, 2 * P), 0);
	assert_int_equal(owed(l, 0, to + 2 * P), A + 10 * P);
	ledger_destroy(l);
}

static void unmapped_memory_is_forgotten(void **state)
{
	struct ledger *l = make();

	(void)state;
	assert_int_equal(event(l, 0, UFFD_EVENT_UNMAP, A + 4 * P, A + 8 * P, 0), 0);
	assert_int_equal(owed(l, 0, A + 5 * P), 0);
	assert_int_equal(owed(l, 0, A + 3 * P), A + 3 * P);
	/* Other memory comes to that place. */
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, B + 9 * P, A + 4 * P, 4 * P), 0);
	assert_int_equal(owed(l, 0, A + 5 * P), B + 10 * P);
	ledger_destroy(l);
}

static void an_event_counts_once(void **state)
{
	struct ledger *l = make();

	(void)state;
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, A, A + 2 * SIZE, SIZE), 0);
	/* A successor finds it in `msg`, and something else has come to the old place in the meantime? Not before the next
	 * event. */
	assert_int_equal(ledger_apply(l, 0), 0);
	assert_int_equal(owed(l, 0, A + 2 * SIZE + P), A + P);
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, A + 2 * SIZE, A, SIZE), 0);
	assert_int_equal(ledger_apply(l, 0), 0);
	assert_int_equal(owed(l, 0, A + P), A + P);
	ledger_destroy(l);
}

static void children_are_owed_what_the_parent_was(void **state)
{
	struct ledger *l = make();

	(void)state;
	assert_int_equal(event(l, 0, UFFD_EVENT_REMAP, A, A + 2 * SIZE, SIZE), 0);
	ledger_settle(l, 0, A + P, P);
	int child = ledger_fork(l, 0);
	assert_int_equal(child, 1);
	assert_int_equal(owed(l, 1, A + 2 * SIZE + P), 0);
	assert_int_equal(owed(l, 1, A + 2 * SIZE + 2 * P), A + 2 * P);
	assert_int_equal(event(l, 1, UFFD_EVENT_REMOVE, A + 2 * SIZE, A + 3 * SIZE, 0), 0);
	assert_int_equal(owed(l, 1, A + 2 * SIZE + 2 * P), 0);
	assert_int_equal(owed(l, 0, A + 2 * SIZE + 2 * P), A + 2 * P);
	assert_int_equal(l->owed_first, 111);
	for (int i = 2; i < (int)LEDGER_SPACES; i++)
		assert_int_equal(ledger_fork(l, 0), i);
	assert_int_equal(ledger_fork(l, 0), -ENOSPC);
	l->spaces[7].used = false;
	assert_int_equal(ledger_fork(l, 1), 7);
	assert_int_equal(owed(l, 7, A + 2 * SIZE + 2 * P), 0);
	ledger_destroy(l);
}

static void too_many_pieces_are_refused_and_change_nothing(void **state)
{
	const struct ledger_region region = { .start = A, .end = A + 3 * LEDGER_SEGMENTS * P };
	struct ledger *l;
	int err = 0;
	uint64_t i;

	(void)state;
	assert_int_equal(ledger_create(&region, 1, &l), 0);
	ledger_owe(l, region.start, region.end);
	for (i = 0; i < LEDGER_SEGMENTS && !err; i++)
		err = event(l, 0, UFFD_EVENT_UNMAP, A + (2 * i + 1) * P, A + (2 * i + 2) * P, 0);
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(i, LEDGER_SEGMENTS); /* one more piece than holes */
	assert_int_equal(owed(l, 0, A), A);
	assert_int_equal(owed(l, 0, A + 2 * P), A + 2 * P);
	ledger_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_found_and_settled),
		cmocka_unit_test(pages_thrown_away_are_owed_no_more),
		cmocka_unit_test(pages_follow_their_memory),
		cmocka_unit_test(unmapped_memory_is_forgotten),
		cmocka_unit_test(an_event_counts_once),
		cmocka_unit_test(children_are_owed_what_the_parent_was),
		cmocka_unit_test(too_many_pieces_are_refused_and_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
