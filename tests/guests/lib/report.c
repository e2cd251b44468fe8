/* SPDX-License-Identifier: MIT */
/* Text on COM1, one line per check, and the result line that the test run looks for. */
#include "guest.h"

#define COM1	0x3f8

static u32 passed, failed, skipped;

static void uart_wait(u8 bits)
{
	for (u32 i = 0; i < 1000000 && (inb(COM1 + 5) & bits) != bits; i++)
		pause();
}

void print(const char *text)
{
	for (; *text; text++) {
		if (text[0] == '%' && text[1] == '%')	/* an asm template */
			continue;
		uart_wait(0x20);
		outb(COM1, *text);
	}
}

void print_hex(u64 value)
{
	char text[19], *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	*--p = 'x';
	*--p = '0';
	print(p);
}

void print_dec(u32 value)
{
	char text[11], *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = '0' + value % 10;
		value /= 10;
	} while (value);
	print(p);
}

u32 failures(void)
{
	return failed;
}

static bool count(bool ok, const char *name)
{
	print(ok ? "PASS " : "FAIL ");
	print(name);
	if (ok)
		passed++;
	else
		failed++;
	return ok;
}

bool check_eq(u64 got, u64 expected, const char *name)
{
	if (!count(got == expected, name)) {
		print(": got ");
		print_hex(got);
		print(" expected ");
		print_hex(expected);
	}
	print("\n");
	return got == expected;
}

bool check(bool ok, const char *name)
{
	return check_eq(ok, true, name);
}

bool check_range(u64 got, u64 low, u64 high, const char *name)
{
	bool ok = got >= low && got <= high;

	if (!count(ok, name)) {
		print(": got ");
		print_hex(got);
		print(" expected ");
		print_hex(low);
		print(" to ");
		print_hex(high);
	}
	print("\n");
	return ok;
}

void skip(const char *name, const char *why)
{
	skipped++;
	print("SKIP ");
	print(name);
	print(": ");
	print(why);
	print("\n");
}

/* A machine without the debug-exit device continues: stop at Bochs' break point, then halt forever. */
void debug_exit(u8 status)
{
	uart_wait(0x60);
	outb(0xf4, status);
	for (u32 i = 0; i < 1000; i++)
		inb(COM1 + 5);
	asm volatile("xchg %bx, %bx");
	for (;;)
		asm volatile("cli; hlt");
}

void verdict(void)
{
	interrupts_verdict();
	print("guest ");
	print(guest_name);
	print(": ");
	print_dec(passed);
	print(" passed, ");
	print_dec(failed);
	print(" failed");
	if (skipped) {
		print(", ");
		print_dec(skipped);
		print(" skipped");
	}
	print("\n");
	debug_exit(failed || !passed);
}
