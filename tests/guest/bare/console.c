// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines on port 0xE9, whole ones: a lock keeps the CPUs apart, and a line goes out by one string instruction. A CPU that may be
 * reset at any moment never takes the lock; the other one speaks for it. */
#include "bare.h"

#define MAX_BAD 50u

static uint32_t lock, n_bad;
static struct {
	const char *what;
	uint64_t expected, got;
} unsaid;

static char *add(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	return to;
}

static char *add_hex(char *to, uint64_t n, unsigned digits)
{
	*to++ = ' ';
	while (digits--)
		*to++ = "0123456789abcdef"[n >> digits * 4 & 15];
	return to;
}

static char *add_decimal(char *to, uint64_t n)
{
	char text[20], *p = text + sizeof(text);

	*to++ = ' ';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (p < text + sizeof(text))
		*to++ = *p++;
	return to;
}

/* An interrupt handler that has something to say may have interrupted the owner of the lock: so there is an end to waiting. */
static void put(const char *line, const char *end, bool patient)
{
	const void *from = line;
	uint64_t size = (uint64_t)(end - line);
	bool mine;

	for (uint32_t i = 0; !(mine = !__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) && (patient || i < 10000000); i++)
		relax();
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(size) : "d"((uint16_t)ABI_PORT_CONSOLE) : "memory");
	if (mine)
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

void console_tick(unsigned cpu, uint64_t n, uint64_t ms)
{
	char line[96], *p = add(line, "TICK");

	p = add_hex(p, machine.nonce, 16);
	p = add_decimal(p, cpu);
	p = add_decimal(p, n);
	p = add_decimal(p, ms);
	*p++ = '\n';
	put(line, p, true);
}

void console_bad(unsigned cpu, const char *what, uint64_t expected, uint64_t got)
{
	char line[160], *p = add(line, "BAD ");

	if (machine.ap == AP_INIT && cpu == 1) {
		unsaid.expected = expected;
		unsaid.got = got;
		__atomic_store_n(&unsaid.what, what, __ATOMIC_RELEASE);
		return;
	}
	if (__atomic_fetch_add(&n_bad, 1, __ATOMIC_RELAXED) >= MAX_BAD)
		return;
	p = add(p, what);
	p = add_decimal(p, cpu);
	p = add_hex(p, expected, 16);
	p = add_hex(p, got, 16);
	*p++ = '\n';
	put(line, p, false);
}

void console_flush(void)
{
	const char *what = __atomic_exchange_n(&unsaid.what, NULL, __ATOMIC_ACQUIRE);

	if (!what)
		return;
	machine.ap = AP_NONE;
	console_bad(1, what, unsaid.expected, unsaid.got);
}
