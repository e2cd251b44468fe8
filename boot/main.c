/* SPDX-License-Identifier: MIT */
/* The start-up sequence. */
#include "arch/acpi/acpi.h"
#include "arch/apic/ioapic.h"
#include "arch/apic/lapic.h"
#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/option.h"
#include "arch/console/console.h"
#include "arch/cpu/control.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/memory_width.h"
#include "arch/cpu/msr_settings.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/panic.h"
#include "arch/fault/stage.h"
#include "arch/fault/trap.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/mem/ranges.h"
#include "arch/pci/pci.h"
#include "arch/time/clock.h"
#include "boot/bootloop.h"
#include "boot/cpus.h"
#include "boot/guests.h"
#include "boot/keyboard.h"
#include "boot/microcode.h"
#include "core/console.h"
#include "core/load/config.h"
#include "core/service.h"
#include "lib/errno.h"
#include "lib/lock_order.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/printf.h"
#include "version.h"

extern char image_start[], image_end[];
extern u64 boot_unhidden;	/* boot/entry.asm */

void boot_main(u32 loader_magic, hpa_t information);

static u32 keep_bus_masters;	/* 1: busmasters=keep */
DEFINE_CHOICE(busmasters, "busmasters", "off|keep",
	      "at the start switch bus mastering off in all PCI functions that have it on but bridges, displays and IOMMUs, so"
	      " that none writes to memory of Lamina or a guest; or keep it, for what the firmware still works with, such as"
	      " a USB keyboard (default off)", keep_bus_masters);

static u32 log_cpu(void)
{
	return this_cpu()->index;
}

/* While a long report waits for the serial port. */
static void let_others_run(void)
{
	if (service_is_current())
		service_pause();
}

static void locks_taken_in_wrong_order(unsigned held, unsigned taken)
{
	panic("a lock of rank %u was taken while one of rank %u was held", taken, held);
}

/* Where the check is compiled in: lib/spinlock.h. */
static void start_lock_check(void)
{
	static const struct lock_order_hooks hooks = { .cpu = log_cpu, .violated = locks_taken_in_wrong_order };

	lock_order_set_hooks(&hooks);
}

static void start_log(void)
{
	static const struct log_hooks hooks = {
		.now_us = clock_us_since_boot, .cpu = log_cpu,
		.collect = console_collect, .wake = keyboard_wake, .pause = let_others_run,
	};

	log_set_hooks(&hooks);
}

static bool help;

static int set_help(struct str_view value)
{
	help = true;
	return 0;
}
DEFINE_OPTION(help, "help", NULL, "print this list and the keys of modules' command lines, and run no VM", set_help);

/* As the last thing on the screen; from here on onfail=poweroff can be obeyed. */
static void print_help(void)
{
	if (!help)
		return;
	options_print_help();
	config_print_help();
	stop("the option help lists the options and keys, and runs no VM");
}

static void print_machine(void)
{
	const struct cpu_features *f = &cpu_features;

	log_info("loaded by %s (Multiboot%u, %s), options: %s", boot_info.loader_name, boot_info.protocol,
		 boot_info.uefi ? "UEFI" : boot_info.bios ? "BIOS" : "firmware unknown",
		 boot_info.command_line[0] ? boot_info.command_line : "none");
	log_info("image at 0x%llx up to 0x%llx", (ull)image_to_phys(image_start), (ull)image_to_phys(image_end));
	log_info("CPU: %s, family 0x%x model 0x%x stepping %u%s",
		 f->brand[0] ? f->brand : f->vendor_id, f->family, f->model, f->stepping,
		 f->hypervisor ? ", in a virtual machine" : "");
	if (boot_unhidden)
		log_info("IA32_MISC_ENABLE: the firmware hides %s%s%s: switched back",
			 boot_unhidden >> 32 ? "no-execute pages" : "",
			 boot_unhidden >> 32 && (u32)boot_unhidden ? " and " : "",
			 (u32)boot_unhidden ? "CPUID leaves above 3" : "");
}

/* The code uses these features without a further check. Only an emulator can be set up without them. */
static void check_processor(void)
{
	const char *missing = cpu_features_missing();

	if (missing)
		stop("CPUID announces no %s, which every 64-bit processor has; in an emulator: "
		     "choose a CPU model that has it", missing);
}

static void print_memory_map(void)
{
	static const char *const types[] = {
		[MULTIBOOT_MEMORY_AVAILABLE] = "usable", [MULTIBOOT_MEMORY_RESERVED] = "reserved",
		[MULTIBOOT_MEMORY_ACPI] = "ACPI tables", [MULTIBOOT_MEMORY_NVS] = "ACPI NVS",
		[MULTIBOOT_MEMORY_BAD] = "defective",
	};

	log_info("memory map:");
	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *m = &boot_info.memory[i];
		bool known = m->type < ARRAY_SIZE(types) && types[m->type];

		if (m->size)
			log_info("  %012llx - %012llx %s (type %u)", (ull)m->start,
				 (ull)(m->start + m->size - 1), known ? types[m->type] : "unknown", m->type);
		else
			log_info("  %012llx: an empty entry (type %u)", (ull)m->start, m->type);
	}
}

static void print_modules(void)
{
	for (unsigned i = 0; i < boot_info.modules; i++) {
		const struct boot_module *m = &boot_info.module[i];

		log_info("module %u: %llu KiB at 0x%llx: %s", i, (ull)m->size >> 10, (ull)m->start,
			 m->string);
	}
}

/* If the map is wrong about the image or a module, continue, but never give that memory to a guest. */
static void check_places(void)
{
	u64 image_size = (u64)(image_end - image_start);

	if (!memory_usable(image_to_phys(image_start), image_size))
		log_warn("memory: the image lies where the memory map has no usable memory");
	for (unsigned i = 0; i < boot_info.modules; i++) {
		struct boot_module *m = &boot_info.module[i];

		m->keep = m->start < MIB(1);
		if (!memory_usable(m->start, m->size)) {
			m->keep = true;
			log_warn("memory: module %u lies where the memory map has no usable memory: that is given to no VM",
				 i);
		}
	}
}

/* Each piece of the map and each module is a range, or splits one; and so are the first MiB, the image and the pool. */
_Static_assert(RANGES_MAX > 2 * BOOT_MAX_MEMORY + BOOT_MAX_MODULES + 3, "every memory map has room");

/* The first MiB stays out of use: firmware data, and room to start other CPUs in real mode. */
static void find_memory(void)
{
	unsigned width = cpu_memory_width();

	if (width < cpu_features.physical_address_bits)
		log_info("memory: encryption leaves %u of the %u bits of an address", width,
			 cpu_features.physical_address_bits);
	memory_set_width(width);
	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *m = &boot_info.memory[i];

		if (m->type == MULTIBOOT_MEMORY_AVAILABLE)
			memory_add(m->start, m->size);
		else
			memory_reserve(m->start, m->size);
	}
	check_places();
	memory_reserve(0, MIB(1));
	memory_reserve(image_to_phys(image_start), (u64)(image_end - image_start));
	for (unsigned i = 0; i < boot_info.modules; i++)
		memory_reserve(boot_info.module[i].start, boot_info.module[i].size);
	memory_init(config_memory_need(&boot_info));
}

static void offer_microcode(void)
{
	char name[VM_MODULE_NAME];

	for (unsigned i = 0; i < boot_info.modules; i++) {
		const struct boot_module *m = &boot_info.module[i];
		const void *file;

		if (!config_is_microcode(&boot_info, i))
			continue;
		snprintf(name, sizeof(name), "module %u", i);
		if (!m->size) {
			log_warn("microcode: %s is empty", name);
			continue;
		}
		file = phys_window(PHYS_WINDOW_SCRUB, m->start, m->size);
		if (!file)
			continue;
		microcode_offer(file, m->size, name);
		phys_window_close(PHYS_WINDOW_SCRUB);
		boot_module_free(i);
	}
}

/* Before anything that depends on the processor's features: an update may add some, and mend errata. */
static void update_microcode(void)
{
	u32 before = cpu_microcode_read();

	offer_microcode();
	if (!microcode_offered())
		return;
	if (!microcode_load()) {
		log_warn("microcode: this processor refuses revision 0x%x, and stays at 0x%x%s", microcode_offered(), before,
			 cpu_features.hypervisor ? ": it is a virtual one" : "");
		return;
	}
	log_info("CPU 0: microcode revision 0x%x, updated to 0x%x", before, cpu_microcode_read());
	cpu_features_init();
	control_init();
	msr_settings_apply(this_cpu());
	msr_settings_report(this_cpu());
}

/* Runs on the boot CPU's own stack, in the final address space. */
static void __noreturn start_machine(void)
{
	update_microcode();
	stage_begins(STAGE_MACHINE_CHECK);
	machine_check_init();
	stage_begins(STAGE_ACPI);
	acpi_init(boot_info.rsdp, boot_info.rsdp_size);
	console_follow_acpi();
	stage_begins(STAGE_LAPIC);
	if (lapic_init())
		stop("this machine cannot run VMs without a local APIC");
	stage_begins(STAGE_IOAPIC);
	ioapic_init();
	ioapic_route_nmis();
	stage_begins(STAGE_CLOCK);
	clock_init();
	bootloop_check();
	print_help();
	stage_begins(STAGE_CPUS);
	cpus_start();
	stage_begins(STAGE_VIRTUALIZATION);
	guests_enable_virtualization();
	guests_run();
}

static void __noreturn continue_on(void *stack_top, void (*function)(void))
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%1\n\t"
			 "ud2"
			 : : "r"(stack_top), "r"(function) : "memory");
	__builtin_unreachable();
}

/* Called by boot/entry.asm, on the boot stack and page tables. */
void boot_main(u32 loader_magic, hpa_t information)
{
	int err;

	stage_begins(STAGE_TRAPS);
	percpu_init_early();
	trap_init();
	start_log();
	start_lock_check();
	clock_estimate();
	log_info("Lamina %s (%s)", LAMINA_VERSION, LAMINA_COMMIT);
	stage_begins(STAGE_BOOT_INFO);
	err = boot_info_init(loader_magic, information);
	options_apply(boot_info.command_line, boot_info.file_names);
	stage_begins(STAGE_CONSOLE);
	console_init();
	stage_begins(STAGE_FEATURES);
	cpu_features_init();
	print_machine();
	check_processor();
	bootloop_begin();
	if (err)
		stop("the boot loader's information cannot be used");
	stage_begins(STAGE_MEMORY);
	print_memory_map();
	print_modules();
	control_init();
	msr_settings_apply(this_cpu());
	msr_settings_report(this_cpu());
	pci_stop_bus_masters(keep_bus_masters);
	find_memory();
	stage_begins(STAGE_PAGING);
	console_suspend();
	paging_init();
	console_resume();
	stage_begins(STAGE_STACKS);
	percpu_init();
	continue_on(this_cpu()->stack_top, start_machine);
}
