/* SPDX-License-Identifier: MIT */
/* Takes the samples of a figure and prints it as one line; also where Xen owns the serial port. */
#include "bench.h"

/* Xen prints what a guest writes to this port, with "(dN) " before each line. */
#define XEN_DEBUG_PORT	0xe9

static bool on_xen(void)
{
	struct cpuid r = cpuid(0x40000000, 0);

	return r.b == 0x566e6558 && r.c == 0x65584d4d && r.d == 0x4d4d566e;
}

void say(const char *text)
{
	static int xen = -1;

	if (xen < 0)
		xen = hypervisor_present() && on_xen();
	if (!xen) {
		print(text);
		return;
	}
	for (; *text; text++)
		outb(XEN_DEBUG_PORT, *text);
}

void say_dec(u32 value)
{
	char text[11], *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = '0' + value % 10;
		value /= 10;
	} while (value);
	say(p);
}

static void say_name(const char *name)
{
	for (; *name; name++)
		say((char[2]){ *name == '_' ? '-' : *name });
}

static void sort(u32 *v, u32 n)
{
	for (u32 i = 1; i < n; i++) {
		u32 x = v[i], j = i;

		for (; j && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

static void say_value(const char *name, u32 value)
{
	say(name);
	say_dec(value);
}

static u32 minimum(const struct bench *b, u32 (*op)(ulong arg), u32 count)
{
	u32 min = ~0u;

	for (u32 i = 0; op && i < count; i++) {
		u32 ticks = op(b->arg ? b->arg(i) : 0);

		if (ticks < min)
			min = ticks;
	}
	return op ? min : 0;
}

static void measure(const struct bench *b)
{
	static u32 samples[MAX_COUNT];
	u32 count = b->count ? b->count : DEFAULT_COUNT;
	u32 empty;

	if (b->present && !b->present())
		return;
	trap.vector = NO_TRAP;
	for (u32 i = 0; i < count; i++)
		samples[i] = b->op(b->arg ? b->arg(i) : 0);
	empty = minimum(b, b->empty, 16);
	sort(samples, count);
	/* Print only now, so that the hypervisor's messages about the operation come before the line. */
	say("bench " MODE ".");
	say_name(b->name);
	say_value(": min ", samples[0]);
	say_value(" median ", samples[count / 2]);
	say_value(" max ", samples[count - 1]);
	say_value(" net ", samples[0] - empty);
	say_value(" n ", count);
	if (trap.vector == UD)
		say(" #UD");
	else if (trap.vector == GP)
		say(" #GP");
	else if (trap.vector != NO_TRAP)
		say_value(" trap ", trap.vector);
	say("\n");
}

void bench_run(const struct bench *benches, u32 count)
{
	for (u32 i = 0; i < count; i++)
		measure(&benches[i]);
}
