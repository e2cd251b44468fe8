/* SPDX-License-Identifier: MIT */
/* The parts of a PC that most guests need: 8259, 8254, the TSC's speed, PCI configuration. */
#include "guest.h"

void pic_init(u16 mask)
{
	static const u8 words[][2] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 },
		{ 0x21, 4 }, { 0xa1, 2 }, { 0x21, 1 }, { 0xa1, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		outb(words[i][0], words[i][1]);
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

void pic_eoi(u8 irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void pit_periodic(u16 divisor)
{
	outb(0x43, 0x34);
	outb(0x40, divisor);
	outb(0x40, divisor >> 8);
}

void pit_oneshot(u16 count)
{
	outb(0x43, 0x30);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

/* Channel 2 counts down `count` while its gate, port 61h bit 0, is open; bit 5 shows its output. */
static u64 pit_wait(u16 count)
{
	u64 start;

	outb(0x61, (inb(0x61) & ~3) | 1);
	outb(0x43, 0xb0);
	outb(0x42, count);
	outb(0x42, count >> 8);
	start = rdtsc();
	for (u32 i = 0; i < 100000000 && !(inb(0x61) & 0x20); i++)
		pause();
	return rdtsc() - start;
}

/* The shortest of three runs of 10 ms: preemption on the build machine can only lengthen a run. */
u64 tsc_per_ms(void)
{
	static u32 per_ms;

	if (!per_ms) {
		per_ms = ~0u;
		for (u32 i = 0; i < 3; i++) {
			u32 ticks = (u32)pit_wait(PIT_HZ / 100) / 10;

			if (ticks < per_ms)
				per_ms = ticks;
		}
	}
	return per_ms;
}

void delay_us(u32 us)
{
	u64 end = rdtsc() + (u64)((u32)tsc_per_ms() / 1000 + 1) * us;

	while (rdtsc() < end)
		pause();
}

u32 pci_read(u32 bdf, u32 reg)
{
	outl(0xcf8, 0x80000000u | bdf << 8 | (reg & 0xfc));
	return inl(0xcfc);
}
