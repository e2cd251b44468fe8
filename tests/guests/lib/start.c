/* SPDX-License-Identifier: MIT */
/* From the entry stub to main(), and the command line of whichever protocol booted us. */
#include "guest.h"

u32 boot_magic, boot_info;
void guest_start(void);

void guest_start(void)
{
	outb(0x3f9, 0);
	outb(0x3fb, 0x80);	/* 115200 8n1, FIFOs on */
	outb(0x3f8, 1);
	outb(0x3f9, 0);
	outb(0x3fb, 3);
	outb(0x3fa, 7);
	outb(0x3fc, 0x0b);
	trap_init();
	pic_init(0xffff);
	main();
	verdict();
}

static const char *mb2_cmdline(const u32 *info)
{
	const u32 *tag = info + 2;

	while (tag[0] && tag[0] != 1)
		tag += (tag[1] + 7) / 8 * 2;
	return tag[0] ? (const char *)&tag[2] : "";
}

/* Multiboot "Boot information format"; PVH's struct hvm_start_info. */
const char *boot_cmdline(void)
{
	const u32 *info = (const u32 *)(ulong)boot_info;

	if (boot_magic == BOOT_MB2)
		return mb2_cmdline(info);
	if (boot_magic == BOOT_MB1)
		return info[0] & BIT(2) ? (const char *)(ulong)info[4] : "";
	return info[0] == 0x336ec578 && info[6] ? (const char *)(ulong)info[6] : "";
}

static u32 parse_number(const char *s)
{
	u32 base = s[0] == '0' && s[1] == 'x' ? 16 : 10, value = 0;

	for (s += base == 16 ? 2 : 0;; s++) {
		if (*s >= '0' && *s <= '9')
			value = value * base + *s - '0';
		else if (base == 16 && *s >= 'a' && *s <= 'f')
			value = value * base + *s - 'a' + 10;
		else
			return value;
	}
}

bool cmdline_number(const char *key, u32 *value)
{
	const char *line = boot_cmdline();

	for (const char *word = line; *word; word++) {
		size_t n = 0;

		if (word != line && word[-1] != ' ')
			continue;
		while (key[n] && key[n] == word[n])
			n++;
		if (!key[n] && word[n] == '=') {
			*value = parse_number(word + n + 1);
			return true;
		}
	}
	return false;
}
