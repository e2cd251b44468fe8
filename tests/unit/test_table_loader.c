/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables as files for firmware: the test is a firmware that places them, carries out the commands as QEMU's
 * hw/acpi/bios-linker-loader.c describes them, and then follows the addresses as a guest does.
 */
/* link: dev/firmware/table_loader.c dev/firmware/acpi.c dev/firmware/acpi_dsdt.c dev/firmware/aml.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c lib/string.c */
#include "fake_vm.h"

#include <string.h>

#include "dev/firmware/acpi.h"
#include "dev/firmware/fw_cfg.h"
#include "dev/firmware/table_loader.h"
#include "lib/errno.h"

#define BASE 0x3400000ull	/* of what the firmware has placed */

/* --- the device, and the firmware's memory --- */

static struct file {
	const char *name;
	const u8 *data;
	u32 size;
	u8 *placed;		/* NULL: not yet */
} files[3];
static unsigned file_count, most_files;
static u8 memory[MIB(1)];
static u32 used;

int fw_cfg_add(struct fw_cfg *fw_cfg, const char *name, const void *data, u32 size)
{
	assert_null(fw_cfg);
	if (file_count == most_files)
		return -ENOSPC;
	files[file_count++] = (struct file){ name, data, size, NULL };
	return 0;
}

static struct file *find(const char *name)
{
	for (unsigned i = 0; i < file_count; i++)
		if (!strcmp(files[i].name, name))
			return &files[i];
	fail_msg("no file %s", name);
	return NULL;
}

static u64 field(const u8 *at, unsigned size)
{
	u64 value = 0;

	memcpy(&value, at, size);
	return value;
}

static u8 sum(const u8 *at, u64 size)
{
	u8 value = 0;

	while (size--)
		value = (u8)(value + *at++);
	return value;
}

static u64 address(const u8 *at) { return BASE + (u64)(at - memory); }

/* --- the commands --- */

static void do_allocate(const u8 *command, u8 zone)
{
	struct file *file = find((const char *)command + 4);
	u32 alignment = (u32)field(command + 60, 4);

	assert_null(file->placed);
	assert_int_equal(command[64], zone);
	assert_true(alignment && !(alignment & (alignment - 1)));
	used = ALIGN_UP(used + 1, alignment);
	file->placed = memory + used;
	memcpy(file->placed, file->data, file->size);
	used += file->size;
}

static void add_pointer(const u8 *command)
{
	struct file *file = find((const char *)command + 4), *pointee = find((const char *)command + 60);
	u32 offset = (u32)field(command + 116, 4);
	u8 size = command[120];
	u64 value;

	assert_true(size == 4 || size == 8);
	assert_true(file->placed && pointee->placed && offset + size <= file->size);
	value = field(file->placed + offset, size);
	assert_true(value < pointee->size);
	value += address(pointee->placed);
	memcpy(file->placed + offset, &value, size);
}

static void add_checksum(const u8 *command)
{
	struct file *file = find((const char *)command + 4);
	u32 offset = (u32)field(command + 60, 4), start = (u32)field(command + 64, 4), length = (u32)field(command + 68, 4);

	assert_non_null(file->placed);
	assert_true(offset < file->size && start + length <= file->size);
	file->placed[offset] = (u8)(file->placed[offset] - sum(file->placed + start, length));
}

static void be_firmware(void)
{
	const struct file *script = find("etc/table-loader");

	memset(memory, 0, sizeof(memory));
	used = 0;
	assert_int_equal(script->size % 128, 0);
	for (const u8 *command = script->data; command < script->data + script->size; command += 128) {
		switch (field(command, 4)) {
		case 1:
			do_allocate(command, strcmp((const char *)command + 4, "etc/acpi/rsdp") ? 1 : 2);
			break;
		case 2:
			add_pointer(command);
			break;
		case 3:
			add_checksum(command);
			break;
		default:
			fail_msg("command %u", (unsigned)field(command, 4));
		}
	}
}

/* --- the guest --- */

static const u8 *at(u64 where, const char *signature)
{
	const u8 *table = memory + (where - BASE);

	assert_in_range(where, BASE, BASE + sizeof(memory) - 64);
	assert_memory_equal(table, signature, 4);
	if (strcmp(signature, "FACS"))
		assert_int_equal(sum(table, field(table + 4, 4)), 0);
	return table;
}

static void check_root(const u8 *root, unsigned width, unsigned count, const char *const *signatures)
{
	assert_int_equal(field(root + 4, 4), 36 + count * width);
	for (unsigned i = 0; i < count; i++)
		at(field(root + 36 + i * width, width), signatures[i]);
}

static void check_machine(u32 vcpus, bool pci)
{
	static const char *const signatures[] = { "FACP", "APIC", "MCFG" };
	struct vm *vm = fake_create(MIB(2));
	const u8 *rsdp, *xsdt, *fadt;

	vm->vcpu_count = vcpus;
	fake_of(vm)->no_pci = !pci;
	file_count = 0;
	most_files = 3;
	assert_int_equal(acpi_tables_write(vm), 0);
	assert_int_equal(table_loader_offer(vm, NULL), 0);
	be_firmware();
	assert_int_equal(find("etc/acpi/rsdp")->size, 36);
	rsdp = find("etc/acpi/rsdp")->placed;
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	check_root(at(field(rsdp + 16, 4), "RSDT"), 4, pci ? 3 : 2, signatures);
	xsdt = at(field(rsdp + 24, 8), "XSDT");
	check_root(xsdt, 8, pci ? 3 : 2, signatures);
	fadt = at(field(xsdt + 36, 8), "FACP");
	at(field(fadt + 40, 4), "DSDT");
	assert_int_equal(field(fadt + 140, 8), field(fadt + 40, 4));
	assert_int_equal((address(at(field(fadt + 36, 4), "FACS")) & 63), 0);
	assert_int_equal(field(at(field(xsdt + 44, 8), "APIC") + 36, 4), 0xfee00000);
	fake_destroy(vm);
}

static void test_a_guest_finds_the_tables(void **state)
{
	check_machine(1, true);
	check_machine(288, true);
	check_machine(2, false);
}

static void test_what_fails(void **state)
{
	struct vm *vm = fake_create(MIB(2));

	assert_int_equal(acpi_tables_write(vm), 0);
	for (unsigned allocs = 0; allocs < 2; allocs++) {
		fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count + allocs;
		assert_int_equal(table_loader_offer(vm, NULL), -ENOMEM);
		assert_int_equal(acpi_tables_write(vm), 0);
	}
	fake_of(vm)->alloc_limit = FAKE_ALLOCS;
	for (most_files = 0; most_files < 3; most_files++) {
		file_count = 0;
		assert_int_equal(table_loader_offer(vm, NULL), -ENOSPC);
		assert_int_equal(acpi_tables_write(vm), 0);
	}
	fake_destroy(vm);
	vm = fake_create(0x9000);
	assert_int_equal(table_loader_offer(vm, NULL), -ENOMEM);
	fake_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_guest_finds_the_tables),
		cmocka_unit_test(test_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
