/* SPDX-License-Identifier: MIT */
/*
 * As "delivery", for real mode: events whose delivery finds the stack, the interrupt table or both
 * missing until their next use. real.asm runs there and leaves its records in low memory.
 */
#include "guest.h"

#define PLACES 3

void real_mode(void);
extern u8 low_image[], low_start[], low_end[];
extern volatile struct {
	u32 arrived, vector, ip, expected, faults, sp;
} records[];

static const struct {
	const char *name;
	u32 vector, faults;	/* besides those of the delivery */
} events[] = {		/* in the order of real.asm */
	{ "INT n", 0x60, 0 }, { "INT3", BP, 0 }, { "#DE", DE, 0 }, { "#UD", UD, 0 },
	{ "interrupt", 0x25, 1 }, { "NMI", NMI, 1 },
};

static const char *const where[PLACES] = { "stack", "table", "stack and table" };
static const char *event, *place;

static void check_that(u32 got, u32 expected, const char *what)
{
	char name[100], *to = name;
	const char *parts[] = { "real mode: ", event, " without its ", place, ": ", what };

	for (u32 i = 0; i < ARRAY_SIZE(parts); i++)
		for (const char *p = parts[i]; *p; p++)
			*to++ = *p;
	*to = 0;
	check_eq(got, expected, name);
}

int main(void)
{
	for (u32 i = 0; i < (u32)(low_end - low_start); i++)
		((volatile u8 *)low_start)[i] = low_image[i];
	gdt[SPARE / 8] = 0x00009b000000ffff;		/* 16-bit code and data, base 0 */
	gdt[SPARE / 8 + 1] = 0x000093000000ffff;
	pic_init((u16)~BIT(5));
	real_mode();

	for (u32 i = 0; i < ARRAY_SIZE(events) * PLACES; i++) {
		u32 places = i % PLACES + 1;

		event = events[i / PLACES].name;
		place = where[i % PLACES];
		check_that(records[i].arrived, 1, "arrives once");
		check_that(records[i].vector, events[i / PLACES].vector, "its vector");
		check_that(records[i].ip, records[i].expected, "its return address");
		check_that(records[i].faults, (places & 1) + (places >> 1) + events[i / PLACES].faults,
			   "one fault for each page");
		check_that(records[i].sp, 0xb000, "IRET takes off what it pushed");
	}
	return 0;
}
