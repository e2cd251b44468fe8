/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables: the layout, read without ACPICA, and then ACPICA's verdict: iasl must
 * disassemble the tables and compile them again without a warning, acpiexec must load and evaluate
 * the namespace.
 */
/* link: dev/firmware/acpi.c dev/firmware/acpi_dsdt.c dev/firmware/aml.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "dev/firmware/acpi.h"
#include "fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/acpi_tables.h"
#include "dev/firmware/aml.h"
#include "dev/irq/vioapic.h"
#include "dev/irq/vlapic.h"
#include "dev/platform.h"
#include "dev/isa/vpm.h"
#include "lib/errno.h"

#define PROCESSORS 3

static struct vm *create(void **state)
{
	struct vm *vm = fake_create(MIB(2));

	/* Old contents of the memory must not appear in the tables. */
	memset(fake_of(vm)->ram, 0xa5, MIB(1));
	vm->vcpu_count = PROCESSORS;
	assert_int_equal(acpi_tables_write(vm), 0);
	*state = vm;
	return vm;
}

static int set_up(void **state)
{
	create(state);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static u8 sum(const void *data, size_t size)
{
	const u8 *bytes = data;
	u8 total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

static const struct acpi_rsdp *rsdp_of(const struct vm *vm)
{
	return (const void *)(fake_of(vm)->ram + GUEST_RSDP_ADDRESS);
}

static const void *table_at(const struct vm *vm, u64 address, const char *signature)
{
	const struct acpi_header *header = (const void *)(fake_of(vm)->ram + address);

	assert_in_range(address, GUEST_RSDP_ADDRESS, 0xfffff);
	assert_memory_equal(header->signature, signature, 4);
	assert_in_range(header->length, sizeof(*header), 0x100000 - address);
	if (strcmp(signature, "FACS"))
		assert_int_equal(sum(header, header->length), 0);
	return header;
}

/* Through the XSDT. */
static const void *find_table(const struct vm *vm, const char *signature)
{
	const struct acpi_header *xsdt = table_at(vm, rsdp_of(vm)->xsdt, "XSDT");
	const u8 *entry = (const u8 *)(xsdt + 1);

	for (; entry < (const u8 *)xsdt + xsdt->length; entry += 8) {
		u64 address;

		memcpy(&address, entry, sizeof(address));
		if (memcmp(fake_of(vm)->ram + address, signature, 4) == 0)
			return table_at(vm, address, signature);
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void test_rsdp_is_found_by_scan(void **state)
{
	const struct vm *vm = *state;
	u64 at = 0;

	for (u64 address = 0xe0000; address < 0x100000 && !at; address += 16)
		if (memcmp(fake_of(vm)->ram + address, "RSD PTR ", 8) == 0)
			at = address;
	assert_int_equal(at, GUEST_RSDP_ADDRESS);
	assert_int_equal(sum(fake_of(vm)->ram + at, 20), 0);
	assert_int_equal(sum(fake_of(vm)->ram + at, 36), 0);
	assert_int_equal(rsdp_of(vm)->revision, 2);
	assert_int_equal(rsdp_of(vm)->length, 36);
}

static void test_rsdt_and_xsdt_agree(void **state)
{
	const struct vm *vm = *state;
	const struct acpi_header *rsdt = table_at(vm, rsdp_of(vm)->rsdt, "RSDT");
	const struct acpi_header *xsdt = table_at(vm, rsdp_of(vm)->xsdt, "XSDT");
	unsigned entries = (rsdt->length - 36) / 4;

	assert_int_equal((xsdt->length - 36) / 8, entries);
	for (unsigned i = 0; i < entries; i++) {
		u32 narrow;
		u64 wide;

		memcpy(&narrow, (const u8 *)rsdt + 36 + i * 4, 4);
		memcpy(&wide, (const u8 *)xsdt + 36 + i * 8, 8);
		assert_int_equal(narrow, wide);
	}
}

static void check_block(u32 narrow, const struct acpi_address *wide, u8 length, u16 port)
{
	assert_int_equal(narrow, port);
	assert_int_equal(wide->address, port);
	assert_int_equal(wide->space, 1);
	assert_int_equal(wide->bits, length * 8);
}

static void test_fadt(void **state)
{
	const struct vm *vm = *state;
	const struct acpi_fadt *fadt = find_table(vm, "FACP");
	const struct acpi_header *dsdt = table_at(vm, fadt->dsdt, "DSDT");
	const struct acpi_facs *facs = table_at(vm, fadt->facs, "FACS");

	assert_int_equal(fadt->x_dsdt, fadt->dsdt);
	assert_int_equal(dsdt->revision, 2);
	assert_int_equal(fadt->facs % 64, 0);
	assert_int_equal(facs->length, 64);
	assert_int_equal(facs->version, 2);

	check_block(fadt->pm1a_event, &fadt->x_pm1a_event, fadt->pm1_event_length, PM1A_EVENT_PORT);
	check_block(fadt->pm1a_control, &fadt->x_pm1a_control, fadt->pm1_control_length,
		    PM1A_CONTROL_PORT);
	check_block(fadt->pm_timer, &fadt->x_pm_timer, fadt->pm_timer_length, PM_TIMER_PORT);
	check_block(fadt->gpe0, &fadt->x_gpe0, fadt->gpe0_length, PM_GPE0_PORT);
	check_block(0xcf9, &fadt->reset, 1, 0xcf9);
	assert_int_equal(fadt->sci_irq, 9);
	assert_int_equal(fadt->century, 0x32);

	/* In ACPI mode already: no command port. Not hardware-reduced: these registers exist. */
	assert_int_equal(fadt->smi_command, 0);
	assert_false(fadt->flags & BIT(20));
	assert_true(fadt->flags & BIT(8));	/* 32-bit PM timer */
	assert_true(fadt->flags & BIT(10));	/* reset register */
	assert_false(fadt->flags & BIT(4));	/* the power button is a fixed one */
	assert_false(fadt->boot_flags & BIT(1)); /* no 8042 */
	assert_true(fadt->boot_flags & BIT(2));	/* no VGA */
}

/* Count the structures of a type; the last one goes to *found. */
static unsigned madt_entries(const struct vm *vm, u8 type, const void **found)
{
	const struct acpi_madt *madt = find_table(vm, "APIC");
	const u8 *entry = (const u8 *)(madt + 1);
	const u8 *end = (const u8 *)madt + madt->header.length;
	unsigned count = 0;

	while (entry < end) {
		assert_in_range(entry[1], 2, end - entry);
		if (entry[0] == type) {
			*found = entry;
			count++;
		}
		entry += entry[1];
	}
	return count;
}

static void test_madt(void **state)
{
	const struct vm *vm = *state;
	const struct acpi_madt *madt = find_table(vm, "APIC");
	const struct madt_lapic_nmi *nmi;
	const struct madt_override *override;
	const struct madt_ioapic *vioapic;
	const struct madt_lapic *vlapic;

	assert_int_equal(madt->lapic_address, 0xfee00000);
	assert_int_equal(madt->flags, 1);
	assert_int_equal(madt_entries(vm, 0, (const void **)&vlapic), PROCESSORS);
	assert_int_equal(vlapic->apic_id, PROCESSORS - 1);
	assert_int_equal(vlapic->flags, 1);
	assert_int_equal(madt_entries(vm, 1, (const void **)&vioapic), 1);
	assert_int_equal(vioapic->address, 0xfec00000);
	assert_int_equal(vioapic->gsi_base, 0);
	assert_int_equal(madt_entries(vm, 2, (const void **)&override), 2);
	assert_int_equal(override->source, 9);
	assert_int_equal(override->gsi, 9);
	assert_int_equal(override->flags, 0xd); /* active high, level */
	override--;
	assert_int_equal(override->source, 0);
	assert_int_equal(override->gsi, 2);
	assert_int_equal(override->flags, 0);
	assert_int_equal(madt_entries(vm, 4, (const void **)&nmi), 1);
	assert_int_equal(nmi->processor_uid, 0xff);
	assert_int_equal(nmi->lint, 1);
}

static void test_no_room_is_an_error(void **state)
{
	struct vm *vm = fake_create(GUEST_RSDP_ADDRESS + KIB(64));

	assert_int_equal(acpi_tables_write(vm), -EFAULT);
	fake_destroy(vm);
}

/* Every size that is too small is an error, and nothing is written past the end. */
static void test_aml_stays_in_its_buffer(void **state)
{
	for (size_t size = 0; size < 64; size++) {
		struct aml aml = { .buffer = malloc(size), .size = size };
		size_t device = aml_open_device(&aml, "TEST"), resources;

		aml_name(&aml, "_HID");
		aml_eisa_id(&aml, "PNP0501");
		aml_name(&aml, "_CRS");
		resources = aml_open_resources(&aml);
		aml_io(&aml, 0x3f8, 8);
		aml_irq(&aml, 4);
		aml_close_resources(&aml, resources);
		aml_close(&aml, device);
		assert_int_equal(aml_overflowed(&aml), aml.used > size);
		/* Device 9, _HID 5 + 5, _CRS 5, buffer 7, I/O 8, IRQ 3, end 2 bytes. */
		assert_int_equal(aml.used, 44);
		free(aml.buffer);
	}
}

/* --- ACPICA's verdict --- */

static char folder[] = "/tmp/lamina-acpi-XXXXXX";

static void dump(const void *table, const char *name)
{
	const struct acpi_header *header = table;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, header->length, file), header->length);
	fclose(file);
}

/* Run a command in the folder; its output goes to `output`. */
static void run(const char *command, char *output, size_t size)
{
	char line[512];
	size_t length;
	FILE *pipe;
	int status;

	snprintf(line, sizeof(line), "cd %s && exec timeout 60 %s 2>&1", folder, command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	length = fread(output, 1, size - 1, pipe);
	output[length] = 0;
	status = pclose(pipe);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("%s:\n%s", command, output);
}

static void expect(const char *output, const char *text)
{
	if (!strstr(output, text))
		fail_msg("expected \"%s\" in:\n%s", text, output);
}

static void expect_not(const char *output, const char *text)
{
	if (strstr(output, text))
		fail_msg("unexpected \"%s\" in:\n%s", text, output);
}

static void dump_all(const struct vm *vm)
{
	const struct acpi_fadt *fadt = find_table(vm, "FACP");

	assert_non_null(mkdtemp(folder));
	dump(fadt, "facp");
	dump(find_table(vm, "APIC"), "apic");
	dump(table_at(vm, fadt->dsdt, "DSDT"), "dsdt");
	dump(table_at(vm, fadt->facs, "FACS"), "facs");
	dump(table_at(vm, rsdp_of(vm)->xsdt, "XSDT"), "xsdt");
	dump(table_at(vm, rsdp_of(vm)->rsdt, "RSDT"), "rsdt");
}

static void test_acpica_accepts_the_tables(void **state)
{
	static const char *const tables[] = { "facp", "apic", "dsdt", "facs", "xsdt", "rsdt" };
	static char output[1 << 18];
	char command[256];

	dump_all(*state);
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		snprintf(command, sizeof(command), "iasl -d %s.dat", tables[i]);
		run(command, output, sizeof(output));
		expect(output, ".dsl - ");
		expect_not(output, "Error");
		expect_not(output, "Warning");
		expect_not(output, "checksum");

		snprintf(command, sizeof(command), "iasl -p again-%s %s.dsl", tables[i], tables[i]);
		run(command, output, sizeof(output));
		expect(output, "0 Errors");
		expect_not(output, "Warning ");
		expect_not(output, "Remark ");
	}

	run("acpiexec -b 'execute \\_S5' dsdt.dat facp.dat apic.dat", output, sizeof(output));
	expect(output, "Package] Contains 4 Elements");
	expect_not(output, "Error");
	expect_not(output, "Warning");

	run("acpiexec -b 'resources \\_SB.PCI0' dsdt.dat facp.dat apic.dat", output,
	    sizeof(output));
	expect(output, "Address Minimum : 0D00");
	expect(output, "Address Maximum : FEBFFFFF");
	expect_not(output, "Error");
	expect_not(output, "Warning");

	run("acpiexec -b 'resources \\_SB.PCI0.COM1' dsdt.dat facp.dat apic.dat", output,
	    sizeof(output));
	expect(output, "Address Minimum : 03F8");
	expect_not(output, "Error");

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rsdp_is_found_by_scan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rsdt_and_xsdt_agree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fadt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_madt, set_up, tear_down),
		cmocka_unit_test(test_no_room_is_an_error),
		cmocka_unit_test(test_aml_stays_in_its_buffer),
		cmocka_unit_test_setup_teardown(test_acpica_accepts_the_tables, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
