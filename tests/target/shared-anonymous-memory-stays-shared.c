// SPDX-License-Identifier: LGPL-2.1-or-later
/* Anonymous shared memory that is mapped twice (made so by mremap) stays one memory, with its untouched pages, the pages that
 * only one of the two mappings has touched, and a part with another protection. */
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#define SIZE (2 << 20)

int main(int argc, char **argv)
{
	unsigned turns = 0;
	char *a, *b, *zero;

	target_init(argc, argv);
	a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	target_check(a != MAP_FAILED, "%m");
	target_fill(a + 12345, 100000, 1);
	b = mremap(a, 0, SIZE, MREMAP_MAYMOVE);
	target_check(b != MAP_FAILED && b != a, "%m");
	target_fill(b + 1000000, 50000, 2); /* pages that the first mapping has never seen */
	target_check(mprotect(a + 1000000 / 4096 * 4096, 65536, PROT_READ) == 0, "%m");
	zero = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	target_ready();
	while (target_turn()) {
		unsigned *x = (unsigned *)(a + SIZE - 4096), *y = (unsigned *)(b + SIZE - 4096);

		target_check(*y == turns, "%u after %u turns", *y, turns);
		*x = ++turns;
		target_check(*y == turns, "what one mapping writes the other does not see");
	}
	target_check(target_filled(a + 12345, 100000, 1) && target_filled(b + 12345, 100000, 1), "contents of the first part");
	target_check(target_filled(a + 1000000, 50000, 2) && target_filled(b + 1000000, 50000, 2),
	             "contents of the second part");
	for (int i = 0; i < 65536; i++)
		target_check(zero[i] == 0, "the untouched memory is not zero at %d", i);
	zero[0] = 1;
	target_done();
}
