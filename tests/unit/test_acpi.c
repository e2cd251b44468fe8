/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables as an operating system uses them: found by a scan of memory, and ACPICA's verdict:
 * iasl takes the tables apart and compiles them again without a complaint, acpiexec loads the namespace
 * and evaluates it. Each field is tested by test_acpi_tables.c, test_acpi_dsdt.c and test_aml.c.
 */
/* link: dev/firmware/acpi.c dev/firmware/acpi_dsdt.c dev/firmware/aml.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "dev/firmware/acpi.h"
#include "fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/acpi_tables.h"

#define PROCESSORS 288

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

/* "_PRT (PCI Routing Table)": pin A of slot 3 goes to this interrupt. */
static void expect_route(const char *output, unsigned interrupt)
{
	char route[256];

	snprintf(route, sizeof(route), "[Integer] = 000000000003FFFF\n      [Integer] = 0000000000000000\n"
		 "      [Integer] = 0000000000000000\n      [Integer] = %016X\n", interrupt);
	expect(output, route);
	expect_not(output, "Error");
}

static void dump_all(const struct vm *vm)
{
	const struct acpi_fadt *fadt = find_table(vm, "FACP");

	assert_non_null(mkdtemp(folder));
	dump(fadt, "facp");
	dump(find_table(vm, "APIC"), "apic");
	dump(find_table(vm, "MCFG"), "mcfg");
	dump(table_at(vm, fadt->dsdt, "DSDT"), "dsdt");
	dump(table_at(vm, fadt->facs, "FACS"), "facs");
	dump(table_at(vm, rsdp_of(vm)->xsdt, "XSDT"), "xsdt");
	dump(table_at(vm, rsdp_of(vm)->rsdt, "RSDT"), "rsdt");
}

static void test_acpica_accepts_the_tables(void **state)
{
	static const char *const tables[] = { "facp", "apic", "mcfg", "dsdt", "facs", "xsdt", "rsdt" };
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

	run("acpiexec -b 'resources \\_SB.ECAM' dsdt.dat facp.dat apic.dat", output, sizeof(output));
	expect(output, "Address : C0000000");
	expect(output, "Address Length : 00100000");
	expect_not(output, "Error");

	run("acpiexec -b 'resources \\_SB.PCI0.COM1' dsdt.dat facp.dat apic.dat", output,
	    sizeof(output));
	expect(output, "Address Minimum : 03F8");
	expect_not(output, "Error");

	/* In the model that _PIC names: at first that of the 8259s. */
	run("acpiexec -b 'execute \\_SB.PCI0._PRT' dsdt.dat facp.dat apic.dat", output, sizeof(output));
	expect_route(output, 11);
	run("acpiexec -b 'execute \\_PIC 1;execute \\_SB.PCI0._PRT' dsdt.dat facp.dat apic.dat", output, sizeof(output));
	expect_route(output, 19);
	run("acpiexec -b 'execute \\_PIC 1;execute \\_PIC 0;execute \\_SB.PCI0._PRT' dsdt.dat facp.dat apic.dat", output,
	    sizeof(output));
	expect_route(output, 11);

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rsdp_is_found_by_scan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_acpica_accepts_the_tables, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
