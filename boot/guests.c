/* SPDX-License-Identifier: MIT */
/* Switches virtualization on, on each CPU, and hands the CPUs to the scheduler. */
#include "boot/guests.h"

#include "arch/apic/lapic_timer.h"
#include "arch/bootinfo/bootinfo.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/panic.h"
#include "arch/fault/stage.h"
#include "arch/mem/mapping.h"
#include "boot/cpus.h"
#include "boot/placement.h"
#include "boot/vms.h"
#include "core/load/config.h"
#include "core/observe/trace.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/vcpu.h"
#include "lib/log.h"
#include "lib/printf.h"

static const struct vcpu_ops *ops;
static struct config config;

/* --- virtualization --- */

static const struct vcpu_ops *vendor_ops(void)
{
	if (cpu_features.vmx)
		return &vmx_ops;
	return cpu_features.svm ? &svm_ops : NULL;
}

/* The boot CPU always can: it also runs the service thread. */
static int prepare_cpu(struct percpu *cpu)
{
	return sched_create(cpu) || trace_create(cpu) ? -ENOMEM : 0;
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
	if (prepare_cpu(this_cpu()))
		stop("no memory for the boot CPU's scheduler and trace");
	log_info("%s is on", ops->name);
}

/* On each other CPU: what it does from here on. */
static void run_guests(struct percpu *cpu)
{
	cpu_main(cpu);
	ops->cpu_disable(cpu);
}

static int enable_other(struct percpu *cpu)
{
	lapic_timer_init_secondary();
	return ops->cpu_enable(cpu);
}

/* One CPU without memory or virtualization leaves the others as they are. */
static void start_other_cpus(void)
{
	for (u32 i = 1; i < percpu_count(); i++) {
		struct percpu *cpu = percpu_get(i);
		const char *why = placement_leaves_out(cpu);

		if (!cpus_is_parked(cpu))
			continue;
		if (why)
			log_info("CPU %u runs no guests: %s", i, why);
		else if (prepare_cpu(cpu))
			log_warn("CPU %u runs no guests: no memory for its scheduler and trace", i);
		else if (!cpus_run(cpu, enable_other, run_guests))
			cpu->sched = NULL;
	}
}

void guests_disable_virtualization(void)
{
	log_set_buffered(false);
	sched_stop();
	cpus_wait_until_parked();
	ops->cpu_disable(this_cpu());
}

/* --- the VMs --- */

static unsigned count_valid(void)
{
	unsigned valid = 0;

	for (u32 i = 0; i < config.vm_count; i++)
		valid += config.vms[i].valid;
	return valid;
}

static void print_devices(const struct vm_config *c)
{
	for (u32 i = 0; i < c->disk_count; i++) {
		const struct vm_disk_config *disk = c->disks[i];

		if (!disk->image)
			log_line(LOG_INFO, c->name, "disk %u: empty, %llu MiB in RAM", i, (ull)disk->size >> 20);
		else if (disk->read_only)
			log_line(LOG_INFO, c->name, "disk %u: image %s, module %d, %llu KiB, read-only", i, disk->name,
				 disk->image->module, (ull)disk->image->size >> 10);
		else
			log_line(LOG_INFO, c->name, "disk %u: image %s, module %d, %llu KiB, with an overlay of at most %llu MiB",
				 i, disk->name, disk->image->module, (ull)disk->image->size >> 10, (ull)disk->overlay >> 20);
	}
	for (u32 i = 0; i < c->net_count; i++) {
		const u8 *mac = c->nets[i]->mac;

		log_line(LOG_INFO, c->name, "network port %u: switch %s, address %02x:%02x:%02x:%02x:%02x:%02x%s", i,
			 c->nets[i]->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], c->nets[i]->trunk ? ", trunk" : "");
	}
}

static void print_vm(const struct vm_config *c)
{
	u32 others = c->module_count - (c->initrd >= 0);
	char initrd[32] = "no initrd", more[32] = "";

	if (c->initrd >= 0)
		snprintf(initrd, sizeof(initrd), "initrd module %d", c->initrd);
	if (others)
		snprintf(more, sizeof(more), ", %u more module%s", others, others == 1 ? "" : "s");
	log_line(LOG_INFO, c->name, "%llu MiB, %u vCPU%s, kernel module %d, %s%s, command line \"%s\"",
		 (unsigned long long)(c->memory >> 20), c->vcpus, c->vcpus == 1 ? "" : "s", c->kernel.index, initrd, more,
		 c->kernel.string);
	print_devices(c);
}

static void print_vms(void)
{
	for (u32 i = 0; i < config.vm_count; i++) {
		if (config.vms[i].valid)
			print_vm(&config.vms[i]);
	}
}

static const void *look_at_module(unsigned module, u64 size)
{
	return phys_window(PHYS_WINDOW_SCRUB, boot_info.module[module].start, size);
}

static void __noreturn service(void)
{
	vms_run(&config, ops);
}

void guests_run(void)
{
	stage_begins(STAGE_CONFIG);
	config_parse(&boot_info, &config);
	config_check_images(&config, look_at_module);
	phys_window_close(PHYS_WINDOW_SCRUB);
	if (!config.vm_count) {
		log_error("no guest: add a line such as `module2 /vmlinuz -- console=ttyS0` to the boot menu entry");
		stop("no virtual machines to start");
	}
	print_vms();
	if (!count_valid())
		stop("no virtual machine can start, see above");
	start_other_cpus();
	service_create(service);
	cpu_main(this_cpu());
	BUG_ON(true);	/* the service thread ends Lamina, not the scheduler */
}
