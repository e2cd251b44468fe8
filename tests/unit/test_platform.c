/* SPDX-License-Identifier: MIT */
/*
 * The creation of a VM's devices: in which order, with which ports and lines, and what each failure
 * returns and logs. The devices are fakes that record their creation; each has its own test.
 */
/* link: dev/platform.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -Xlinker --wrap=log_line */
#include "fake_vm.h"

#include <stdio.h>
#include <string.h>

#include "dev/firmware/acpi.h"
#include "dev/firmware/fw_cfg.h"
#include "dev/firmware/mp_table.h"
#include "dev/firmware/smbios.h"
#include "dev/firmware/table_loader.h"
#include "dev/irq/irqchip.h"
#include "dev/irq/vpic.h"
#include "dev/isa/vi8042.h"
#include "dev/isa/vpit.h"
#include "dev/isa/vpm.h"
#include "dev/isa/vrtc.h"
#include "dev/isa/vuart.h"
#include "dev/isa/vvga.h"
#include "dev/pci/vpci.h"
#include "dev/virtio/devices.h"
#include "dev/platform.h"
#include "lib/errno.h"

#define NOW 1751328000ull
#define ALL "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, PCI, fw_cfg, virtio, ACPI, SMBIOS, "

static struct vm *vm;
static char created[128];		/* the devices, in the order of their creation */
static const char *failing;		/* the one that fails; NULL: none */
static int failure;			/* what it returns, if it returns an error */
static char logged[256];
static unsigned lines;

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	assert_int_equal(level, LOG_ERROR);
	va_start(args, format);
	vsnprintf(logged, sizeof(logged), format, args);
	va_end(args);
	lines++;
}

/* --- the devices; the pointers are only compared --- */

static char devices[9];

#define DEVICE(type, index) ((struct type *)(void *)&devices[index])

/* Record the creation. true: it succeeds. */
static bool create(const struct vm *of, const char *name)
{
	assert_ptr_equal(of, vm);
	strcat(created, name);
	strcat(created, ", ");
	return !failing || strcmp(failing, name);
}

struct vpic *vpic_create(struct vm *of)
{
	assert_non_null(vm_platform(of));	/* which the 8259s need */
	return create(of, "8259s") ? DEVICE(vpic, 0) : NULL;
}

struct vpit *vpit_create(struct vm *of)
{
	return create(of, "PIT") ? DEVICE(vpit, 1) : NULL;
}

struct vrtc *vrtc_create(struct vm *of, u64 now)
{
	assert_int_equal(now, NOW);
	return create(of, "RTC") ? DEVICE(vrtc, 2) : NULL;
}

struct vpm *vpm_create(struct vm *of)
{
	return create(of, "PM") ? DEVICE(vpm, 3) : NULL;
}

struct vi8042 *vi8042_create(struct vm *of)
{
	return create(of, "8042") ? DEVICE(vi8042, 4) : NULL;
}

/* The ports and interrupts of a PC. */
struct vuart *vuart_create(struct vm *of, u16 base, unsigned irq, bool has_console)
{
	bool first = base == 0x3f8;

	assert_int_equal(base, first ? 0x3f8 : 0x2f8);
	assert_int_equal(irq, first ? 4 : 3);
	assert_int_equal(has_console, first);
	return create(of, first ? "UART" : "COM2") ? DEVICE(vuart, first ? 5 : 7) : NULL;
}

struct vvga *vvga_create(struct vm *of)
{
	return create(of, "VGA") ? DEVICE(vvga, 6) : NULL;
}

/* --- a keyboard --- */

int vi8042_connect_keyboard(struct vi8042 *vi8042)
{
	assert_ptr_equal(vi8042, &devices[4]);
	return create(vm, "keyboard") ? 0 : -ENOMEM;
}

int apic_create(struct vm *of)
{
	return create(of, "APICs") ? 0 : failure;
}

int vpci_create(struct vm *of)
{
	return create(of, "PCI") ? 0 : failure;
}

struct fw_cfg *fw_cfg_create(struct vm *of)
{
	return create(of, "fw_cfg") ? DEVICE(fw_cfg, 8) : NULL;
}

/* --- files for firmware --- */

int fw_cfg_add(struct fw_cfg *fw_cfg, const char *name, const void *data, u32 size)
{
	assert_ptr_equal(fw_cfg, &devices[8]);
	assert_string_equal(name, "etc/sercon-port");	/* SeaBIOS, "Runtime config": 64 bits, COM1 */
	assert_int_equal(size, 8);
	assert_memory_equal(data, "\xf8\x03\0\0\0\0\0\0", 8);
	return create(vm, "sercon") ? 0 : failure;
}

int table_loader_offer(struct vm *of, struct fw_cfg *fw_cfg)
{
	assert_ptr_equal(fw_cfg, &devices[8]);
	return create(of, "loader") ? 0 : failure;
}

int smbios_offer(struct vm *of, struct fw_cfg *fw_cfg)
{
	assert_ptr_equal(fw_cfg, &devices[8]);
	return create(of, "anchor") ? 0 : failure;
}

int virtio_devices_create(struct vm *of)
{
	return create(of, "virtio") ? 0 : failure;
}

int acpi_tables_write(struct vm *of)
{
	return create(of, "ACPI") ? 0 : failure;
}

int smbios_write(struct vm *of)
{
	return create(of, "SMBIOS") ? 0 : failure;
}

int mp_table_write(struct vm *of)
{
	return create(of, "MP") ? 0 : failure;
}

static int set_up(void **state)
{
	vm = fake_create(0);
	created[0] = logged[0] = 0;
	failing = NULL;
	lines = 0;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

/* --- tests --- */

static void test_without_a_pci_bus(void **state)
{
	fake_of(vm)->no_pci = true;
	assert_int_equal(platform_create(vm, NOW), 0);
	assert_string_equal(created, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, fw_cfg, ACPI, SMBIOS, ");
	assert_null(((const struct platform *)vm_platform(vm))->pci);
}

static void test_all_devices_are_created_in_order(void **state)
{
	const struct platform *platform;

	assert_int_equal(platform_create(vm, NOW), 0);
	assert_string_equal(created, ALL);
	assert_int_equal(lines, 0);
	platform = vm_platform(vm);
	assert_ptr_equal(platform->vpic, &devices[0]);
	assert_ptr_equal(platform->vpit, &devices[1]);
	assert_ptr_equal(platform->vrtc, &devices[2]);
	assert_ptr_equal(platform->vpm, &devices[3]);
	assert_ptr_equal(platform->vi8042, &devices[4]);
	assert_ptr_equal(platform->com1, &devices[5]);
	assert_ptr_equal(platform->com2, &devices[7]);
	assert_ptr_equal(platform->vvga, &devices[6]);
	assert_ptr_equal(platform->fw_cfg, &devices[8]);
}

#define NO_MEMORY "cannot create the VM's devices: the hypervisor's own memory is used up"
#define SEE_ABOVE "cannot create the VM's devices: see above"

/* Of the ISA devices all are tried before the result is looked at. */
static const struct {
	const char *device;
	int failure, error;
	const char *message, *created;
} failures[] = {
	{ "8259s", 0, -ENOMEM, NO_MEMORY, "8259s, " },
	{ "APICs", -ENOSPC, -ENOSPC, SEE_ABOVE, "8259s, APICs, " },
	{ "APICs", -ENOMEM, -ENOMEM, NO_MEMORY, "8259s, APICs, " },
	{ "PIT", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "RTC", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "PM", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "8042", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "UART", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "COM2", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "VGA", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, " },
	{ "PCI", -EEXIST, -EEXIST, SEE_ABOVE, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, PCI, " },
	{ "fw_cfg", 0, -ENOMEM, NO_MEMORY, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, PCI, fw_cfg, " },
	{ "virtio", -ENOSPC, -ENOSPC, SEE_ABOVE, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, PCI, fw_cfg, virtio, " },
	{ "ACPI", -EFAULT, -EFAULT, SEE_ABOVE, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, PCI, fw_cfg, virtio, ACPI, " },
	{ "SMBIOS", -EFAULT, -EFAULT, SEE_ABOVE, ALL },
};

static void test_each_failure_is_returned_and_logged(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		set_up(state);
		failing = failures[i].device;
		failure = failures[i].failure;
		assert_int_equal(platform_create(vm, NOW), failures[i].error);
		assert_string_equal(created, failures[i].created);
		assert_int_equal(lines, 1);
		assert_string_equal(logged, failures[i].message);
		tear_down(state);
	}
}

/* With several processors there is an MP table, too. */
static void test_several_processors_have_an_mp_table(void **state)
{
	vm->vcpu_count = 2;
	assert_int_equal(platform_create(vm, NOW), 0);
	assert_string_equal(created, ALL "MP, ");
	tear_down(state);
	set_up(state);
	vm->vcpu_count = 2;
	failing = "MP";
	failure = -EFAULT;
	assert_int_equal(platform_create(vm, NOW), -EFAULT);
	assert_string_equal(logged, SEE_ABOVE);
}

static void test_what_firmware_is_offered(void **state)
{
	static const char *const names[] = { "loader", "anchor", "sercon" };

	for (size_t i = 0; i <= ARRAY_SIZE(names); i++) {
		set_up(state);
		failing = NULL;
		assert_int_equal(platform_create(vm, NOW), 0);
		created[0] = 0;
		failing = i < ARRAY_SIZE(names) ? names[i] : NULL;
		failure = -ENOSPC;
		assert_int_equal(platform_offer_tables(vm), failing ? -ENOSPC : 0);
		assert_int_equal(lines, failing ? 1 : 0);
		if (failing)
			assert_string_equal(logged, "cannot offer the ACPI and SMBIOS tables to the firmware: the "
					    "hypervisor's own memory is used up");
		else
			assert_string_equal(created, "loader, anchor, sercon, ");
		tear_down(state);
	}
}

static void test_no_memory_for_the_platform_itself(void **state)
{
	fake_of(vm)->alloc_limit = 0;
	assert_int_equal(platform_create(vm, NOW), -ENOMEM);
	assert_string_equal(created, "");
	assert_string_equal(logged, NO_MEMORY);
	assert_null(vm_platform(vm));
}

static void test_a_keyboard_is_connected(void **state)
{
	assert_int_equal(platform_create(vm, NOW), 0);
	created[0] = '\0';
	assert_int_equal(platform_connect_keyboard(vm), 0);
	assert_string_equal(created, "keyboard, ");
	failing = "keyboard";
	assert_int_equal(platform_connect_keyboard(vm), -ENOMEM);
	assert_string_equal(logged, "cannot connect a keyboard: the hypervisor's own memory is used up");
}

/* As on a bus without a POST card. */
static void test_the_post_port_takes_writes_and_reads_as_ones(void **state)
{
	assert_int_equal(platform_create(vm, NOW), 0);
	out8(vm, 0x80, 0x42);
	assert_int_equal(in8(vm, 0x80), 0xff);
}

/* The latch of FERR#: a write to port F0h or F1h, which clears it on a PC, ends IRQ 13. */
static void test_floating_point_errors_end_by_a_write(void **state)
{
	assert_int_equal(platform_create(vm, NOW), 0);
	for (u16 port = 0xf0; port <= 0xf1; port++) {
		irq_line_set(vm, 13, true);
		assert_int_equal(in8(vm, port), 0xff);
		assert_true(fake_of(vm)->lines[13].level);
		out8(vm, port, 0);
		assert_false(fake_of(vm)->lines[13].level);
	}
}

static void test_only_one_post_port_is_claimed(void **state)
{
	const struct io_region neighbours[] = {
		{ .name = "below", .base = 0x7f, .size = 1 },
		{ .name = "above", .base = 0x81, .size = 1 },
		{ .name = "the same", .base = 0x80, .size = 1 },
	};

	assert_int_equal(platform_create(vm, NOW), 0);
	assert_int_equal(pio_register(vm, &neighbours[0]), 0);
	assert_int_equal(pio_register(vm, &neighbours[1]), 0);
	assert_int_equal(pio_register(vm, &neighbours[2]), -EEXIST);
	assert_non_null(strstr(logged, "POST"));
}

static void test_a_taken_post_port_is_an_error(void **state)
{
	const struct io_region taken = { .name = "taken", .base = 0x80, .size = 1 };

	assert_int_equal(pio_register(vm, &taken), 0);
	assert_int_equal(platform_create(vm, NOW), -EEXIST);
	assert_string_equal(created, "8259s, APICs, PIT, RTC, PM, 8042, UART, COM2, VGA, ");
	assert_string_equal(logged, SEE_ABOVE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_devices_are_created_in_order),
		TEST(test_without_a_pci_bus),
		TEST(test_several_processors_have_an_mp_table),
		cmocka_unit_test(test_each_failure_is_returned_and_logged),
		cmocka_unit_test(test_what_firmware_is_offered),
		TEST(test_no_memory_for_the_platform_itself),
		TEST(test_a_keyboard_is_connected),
		TEST(test_the_post_port_takes_writes_and_reads_as_ones),
		TEST(test_floating_point_errors_end_by_a_write),
		TEST(test_only_one_post_port_is_claimed),
		TEST(test_a_taken_post_port_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
