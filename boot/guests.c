/* SPDX-License-Identifier: MIT */
/* Switches virtualization on and runs the VMs. */
#include "boot/guests.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic_timer.h"
#include "arch/bootinfo/bootinfo.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/panic.h"
#include "arch/fault/stage.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/time/rtc.h"
#include "boot/bootloop.h"
#include "boot/ending.h"
#include "boot/keyboard.h"
#include "core/load/config.h"
#include "core/load/loader.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "dev/platform.h"
#include "lib/errno.h"
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

/* The interrupt has done its work: being pending, it forced a VM exit. */
static void force_exit_interrupt(void)
{
}

/* --- running --- */

static const void *map_module(const struct vm_module *module, unsigned slot, u64 *size)
{
	if (module->index < 0)
		return NULL;
	*size = boot_info.module[module->index].size;
	return phys_window(slot, boot_info.module[module->index].start, *size);
}

/* Zeroes the modules, too, because the next VM may get their memory. */
static void free_modules(const struct vm_config *vm_config)
{
	if (vm_config->kernel.index >= 0)
		boot_module_free((unsigned)vm_config->kernel.index);
	if (vm_config->initrd.index >= 0)
		boot_module_free((unsigned)vm_config->initrd.index);
}

static int load(const struct vm_config *vm_config)
{
	struct guest_image image = { .cmdline = vm_config->cmdline };
	int error;

	image.kernel = map_module(&vm_config->kernel, PHYS_WINDOW_KERNEL, &image.kernel_size);
	image.initrd = map_module(&vm_config->initrd, PHYS_WINDOW_INITRD, &image.initrd_size);
	if (!image.kernel || (!image.initrd && vm_config->initrd.index >= 0))
		error = -ENOMEM;	/* reported already; without its initrd the kernel would only fail later */
	else
		error = loader_load(&vm, vm_bsp(&vm), &image);
	phys_window_close(PHYS_WINDOW_KERNEL);
	phys_window_close(PHYS_WINDOW_INITRD);
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
	u64 tables = (vm.tdp_pages + vm.space.pages) * PAGE_SIZE;
	struct memory_stats stats;

	memory_stats(&stats);
	log_line(LOG_INFO, vm.name, "Lamina owns %llu KiB for it and itself, and %llu KiB of page tables",
		 (unsigned long long)((stats.pool_used - tables) >> 10), (unsigned long long)(tables >> 10));
}

static bool run(const struct vm_config *vm_config)
{
	bool ran = false;

	stage_begins(STAGE_VM_CREATE);
	if (!vm_create(&vm, vm_config, ops)) {
		vm_enter(&vm);
		stage_begins(STAGE_VM_LOAD);
		if (!prepare(vm_config)) {
			print_memory_owned();
			keyboard_attach(&vm);
			stage_begins(STAGE_VM_RUN);
			vm_run(&vm);
			stage_begins(STAGE_VM_ENDED);
			keyboard_detach();
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

	stage_begins(STAGE_CONFIG);
	config_parse(&boot_info, &config);
	if (!config.vm_count) {
		log_error("no guest: add a line such as `module2 /vmlinuz -- console=ttyS0` to the boot menu entry");
		stop("no virtual machines to start");
	}
	print_vms();
	if (!count_valid())
		stop("no virtual machine can start, see above");

	keyboard_init();

	for (u32 i = 0; i < config.vm_count; i++) {
		ran += config.vms[i].valid && run(&config.vms[i]);
		free_modules(&config.vms[i]);
	}
	stage_begins(STAGE_DONE);
	ops->cpu_disable(this_cpu());
	if (ran < config.vm_count)
		stop("%u of %u VMs did not start, or were ended by an error", config.vm_count - ran,
		     config.vm_count);
	if (config.modules_unused)
		stop("%u modules belong to no VM, see above", config.modules_unused);
	bootloop_next();
	finish();
}
