/* SPDX-License-Identifier: MIT */
/* The host's PCI functions: which of them lose bus mastering. */
/* link: arch/pci/pci.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/pci/pci.h"
#include "lib/log.h"

static struct function {
	u8 bus, device, function;
	u32 class, header;
	u16 command;
	u32 written;		/* the last value that was written to command and status */
} functions[] = {
	{ 0, 0, 0, 0x06000000, 0, 0x107, 0 },		/* host bridge */
	{ 0, 1, 0, 0x03000000, 0, 0x107, 0 },		/* display */
	{ 0, 2, 0, 0x02000000, 0, 0x507, 0 },		/* network */
	{ 0, 3, 0, 0x01060100, 0x800000, 0x006, 0 },	/* disks, with a second function */
	{ 0, 3, 5, 0x0c033000, 0x800000, 0x007, 0 },	/* USB */
	{ 0, 4, 0, 0x06040000, 0x010000, 0x007, 0 },	/* PCI bridge */
	{ 0, 5, 0, 0x08060000, 0, 0x006, 0 },		/* IOMMU */
	{ 7, 31, 0, 0x01080200, 0, 0x005, 0 },		/* NVMe */
	{ 7, 30, 0, 0x01080200, 0, 0x003, 0 },		/* is no master anyway */
};
static u32 address;
static unsigned said, warned;	/* how many functions that line says */

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (level == LOG_INFO)
		said = va_arg(args, unsigned);
	if (level == LOG_WARN)
		warned = va_arg(args, unsigned);
	va_end(args);
}

void outb(u16 port, u8 value)
{
	fail();
}

static struct function *selected(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++)
		if ((address & 0x7fffff00) == ((u32)functions[i].bus << 16 | (u32)functions[i].device << 11 |
					       (u32)functions[i].function << 8))
			return &functions[i];
	return NULL;
}

void outl(u16 port, u32 value)
{
	if (port == 0xcf8) {
		address = value;
		return;
	}
	assert_int_equal(port, 0xcfc);
	assert_int_equal(address & 0xff, 4);
	selected()->command = (u16)value;
	selected()->written = value;
}

u32 inl(u16 port)
{
	const struct function *f = selected();

	assert_int_equal(port, 0xcfc);
	if (!f)
		return ~0u;
	switch (address & 0xff) {
	case 0:
		return 0x12348086;
	case 4:
		return 0xf9000000 | f->command;	/* all of the status' bits that a 1 clears */
	case 8:
		return f->class;
	default:
		return f->header;
	}
}

static void test_bus_masters(void **state)
{
	static const u16 expected[] = { 0x107, 0x107, 0x503, 0x002, 0x003, 0x007, 0x006, 0x001, 0x003 };

	pci_stop_bus_masters(true);
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++)
		assert_int_equal(functions[i].written, 0);
	assert_int_equal(said, 0);
	assert_int_equal(warned, 4);
	warned = 0;
	pci_stop_bus_masters(false);
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		assert_int_equal(functions[i].command, expected[i]);
		assert_int_equal(functions[i].written >> 16, 0);
	}
	assert_int_equal(said, 4);
	assert_int_equal(warned, 0);
	said = 0;
	pci_stop_bus_masters(false);
	assert_int_equal(said + warned, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bus_masters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
