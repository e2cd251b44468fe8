/* SPDX-License-Identifier: MIT */
/* From a running machine to running guests. */
#include "boot/guests.h"

#include "arch/bootinfo.h"
#include "arch/cpu.h"
#include "arch/cpufeature.h"
#include "arch/irq.h"
#include "arch/lapic.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "arch/percpu.h"
#include "arch/rtc.h"
#include "arch/uart.h"
#include "boot/monitor.h"
#include "core/config.h"
#include "core/loader.h"
#include "core/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "dev/platform.h"
#include "lib/log.h"
#include "lib/printf.h"

static const struct vcpu_ops *ops;
static struct config config;
static struct vm vm;

/* --- virtualization --- */

static const struct vcpu_ops *vendor_ops(void)
{
	if (cpu_features.vmx)
		return &vmx_ops;
	return cpu_features.svm ? &svm_ops : NULL;
}

void guests_enable_virtualization(void)
{
	ops = vendor_ops();
	if (!ops) {
		log_error("CPUID announces neither Intel VMX nor AMD SVM; expected one of them");
		log_error("on a board: enable \"Intel Virtualization Technology\" or \"SVM Mode\" in the firmware's set-up;"
			  " in an emulator: choose a CPU model that has it");
		stop("this processor has no hardware virtualization");
	}
	if (ops->probe())
		stop("this processor's %s cannot run Lamina's guests, see above", ops->name);
	if (ops->cpu_enable(this_cpu()))
		stop("%s could not be switched on, see above", ops->name);
	log_info("%s is on", ops->name);
}

/* --- interrupts that concern the running VM --- */

static void timer_interrupt(void)
{
	lapic_timer_fired();
	if (this_cpu()->current_vcpu)
		vcpu_request(this_cpu()->current_vcpu, REQ_TIMER);
}

static void report_trace(void)
{
	trace_print(NULL, TRACE_ON_PANIC);
}

/* It did its work by being pending at VM entry. */
static void force_exit_interrupt(void)
{
}

/* --- the console: what the user types goes to the VM that runs --- */

#define CONSOLE_POLL_NS 10000000ull	/* without an interrupt of the serial port */
#define CONSOLE_RETRY_NS 1000000ull	/* the guest's receive buffer was full */

static struct vtimer console_timer;
static bool console_polled;
static int typed = -1;	/* a character that the guest had no room for */

static void print_keys(void)
{
	log_info("console: type Ctrl-_ and then");
	for (const struct monitor_key *key = monitor_keys; key->key; key++)
		log_info("  %s", key->help);
}

/* The next character for the guest, or -1. What is for Lamina is done, or asked of the vCPU. */
static int next_for_guest(struct vm *current)
{
	static bool escaped;
	int c;

	while ((c = uart_read_char()) >= 0) {
		switch (monitor_decide(&escaped, (char)c)) {
		case MONITOR_PASS:
			return c;
		case MONITOR_WAIT:
			break;
		case MONITOR_STATISTICS:
			vcpu_request(vm_bsp(current), REQ_STATISTICS);
			break;
		case MONITOR_TRACE:
			vcpu_request(vm_bsp(current), REQ_TRACE);
			break;
		case MONITOR_STOP:
			vcpu_request(vm_bsp(current), REQ_STOP);
			break;
		case MONITOR_HELP:
			print_keys();
			break;
		}
	}
	return -1;
}

static void pump_console(void)
{
	struct vm *current = vm_current();

	if (!current || current->state != VM_RUNNING)
		return;
	for (;;) {
		if (typed < 0)
			typed = next_for_guest(current);
		if (typed < 0)
			break;
		if (!platform_console_input(current, (char)typed)) {
			vtimer_arm(&console_timer, vtimer_now() + vtimer_from_ns(CONSOLE_RETRY_NS));
			return;
		}
		typed = -1;
	}
	if (console_polled)
		vtimer_arm(&console_timer, vtimer_now() + vtimer_from_ns(CONSOLE_POLL_NS));
}

static void console_interrupt(void)
{
	uart_poll();
	pump_console();
}

static void console_timer_fired(struct vtimer *timer)
{
	if (console_polled)
		uart_poll();
	pump_console();
}

static void console_attach(struct vm *to)
{
	vtimer_init(&console_timer, vm_bsp(to), console_timer_fired);
	vtimer_arm(&console_timer, vtimer_now());
}

static void console_detach(void)
{
	vtimer_cancel(&console_timer);
}

/* --- running --- */

static const void *map_module(const struct vm_module *module, unsigned slot, u64 *size)
{
	if (module->index < 0)
		return NULL;
	*size = boot_info.module[module->index].size;
	return phys_window(slot, boot_info.module[module->index].start, *size);
}

static void free_modules(const struct vm_config *vm_config)
{
	if (vm_config->kernel.index >= 0)
		boot_module_free((unsigned)vm_config->kernel.index);
	if (vm_config->initrd.index >= 0)
		boot_module_free((unsigned)vm_config->initrd.index);
}

/* The image goes into guest memory; then the modules' memory is overwritten and free again. */
static int load(const struct vm_config *vm_config)
{
	struct guest_image image = { .cmdline = vm_config->cmdline };
	int error;

	image.kernel = map_module(&vm_config->kernel, PHYS_WINDOW_KERNEL, &image.kernel_size);
	image.initrd = map_module(&vm_config->initrd, PHYS_WINDOW_INITRD, &image.initrd_size);
	error = loader_load(&vm, vm_bsp(&vm), &image);
	phys_window_close(PHYS_WINDOW_KERNEL);
	phys_window_close(PHYS_WINDOW_INITRD);
	free_modules(vm_config);
	return error;
}

static int prepare(const struct vm_config *vm_config)
{
	int error;

	guest_mem_clear(&vm);
	vm.start_tsc = rdtsc();
	vm.start_time = rtc_now();
	error = platform_create(&vm, vm.start_time);
	if (error)
		return error;
	vcpu_reset(vm_bsp(&vm));
	return load(vm_config);
}

static void print_memory_owned(void)
{
	u64 tables = (vm.nested_pages + vm.space.pages) * PAGE_SIZE;
	struct memory_stats stats;

	memory_stats(&stats);
	log_line(LOG_INFO, vm.name, "Lamina owns %llu KiB for it and itself, and %llu KiB of page tables",
		 (unsigned long long)((stats.pool_used - tables) >> 10), (unsigned long long)(tables >> 10));
}

static bool run(const struct vm_config *vm_config)
{
	bool ran = false;

	if (!vm_create(&vm, vm_config, ops)) {
		vm_enter(&vm);
		if (!prepare(vm_config)) {
			print_memory_owned();
			console_attach(&vm);
			vm_run(&vm);
			console_detach();
			ran = vm.end != VM_END_ERROR && vm.end != VM_END_ENTRY_FAILED;
		}
		vm_leave(&vm);
	}
	vm_destroy(&vm);
	return ran;
}

static unsigned count_valid(void)
{
	unsigned valid = 0;

	for (u32 i = 0; i < config.vm_count; i++)
		valid += config.vms[i].valid;
	return valid;
}

static void print_vm(const struct vm_config *c)
{
	char initrd[32] = "no initrd";

	if (c->initrd.index >= 0)
		snprintf(initrd, sizeof(initrd), "initrd module %d", c->initrd.index);
	log_line(LOG_INFO, c->name, "%llu MiB, %u vCPU, kernel module %d, %s, command line \"%s\"",
		 (unsigned long long)(c->memory >> 20), c->vcpus, c->kernel.index, initrd, c->cmdline);
}

static void print_vms(void)
{
	for (u32 i = 0; i < config.vm_count; i++) {
		if (config.vms[i].valid)
			print_vm(&config.vms[i]);
	}
	if (count_valid() > 1)
		log_info("%u VMs run one after the other: each starts when the one before it has ended", count_valid());
}

void guests_run(void)
{
	unsigned ran = 0;

	irq_set_handler(IRQ_VECTOR_TIMER, timer_interrupt);
	irq_set_handler(IRQ_VECTOR_FORCE_EXIT, force_exit_interrupt);
	panic_report_vm = report_trace;

	config_parse(&boot_info, &config);
	if (!config.vm_count) {
		log_error("no guest: add a line such as `module2 /vmlinuz -- console=ttyS0` to the boot menu entry");
		stop("no virtual machines to start");
	}
	print_vms();
	if (!count_valid())
		stop("no virtual machine can start, see above");

	console_polled = uart_enable_interrupt() != 0;
	if (console_polled)
		log_info("console: serial input is polled every %llu ms", CONSOLE_POLL_NS / 1000000);
	else
		irq_set_handler(IRQ_VECTOR_UART, console_interrupt);
	log_info("console: what is typed goes to the VM; Ctrl-_ ? lists the keys that are Lamina's");

	for (u32 i = 0; i < config.vm_count; i++)
		ran += config.vms[i].valid && run(&config.vms[i]);
	ops->cpu_disable(this_cpu());
	if (ran < config.vm_count)
		stop("%u of %u VMs did not start, or were ended by an error", config.vm_count - ran,
		     config.vm_count);
	finish();
}
