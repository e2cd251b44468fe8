/* SPDX-License-Identifier: MIT */
/* How Lamina ends: when all VMs have ended, or when it cannot continue. */
#include "boot/ending.h"

#include "arch/acpi/power.h"
#include "arch/bootinfo/option.h"
#include "arch/console/console.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/nmi.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "boot/bootloop.h"
#include "boot/cpus.h"
#include "boot/nmi_report.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"

enum end_action { END_POWEROFF, END_REBOOT, END_HALT };

static enum end_action on_end = END_POWEROFF, on_fail = END_HALT;

#define ACTIONS "poweroff|reboot|halt"	/* as enum end_action */

DEFINE_CHOICE(onend, "onend", ACTIONS,
	      "what to do when all VMs have ended well: by power-off, debug exit 0 or a user's stop (default poweroff)", on_end);
DEFINE_CHOICE(onfail, "onfail", ACTIONS,
	      "what to do when a VM did not end well, or Lamina itself has to stop (default halt)", on_fail);

/* Calls nothing: a third crash must end here, even if each access to the serial port crashes. */
static void __noreturn halt(void)
{
	for (;;) {
		irq_disable();
		__asm__ volatile("hlt");
	}
}

static void __noreturn end(enum end_action action)
{
	irq_disable();
	log_set_buffered(false);
	uart_flush(&console_uart);
	if (action == END_POWEROFF) {
		acpi_poweroff();
		log_error("the machine did not power off; halted");
	} else if (action == END_REBOOT) {
		machine_reset();
		log_error("the machine did not reset; halted");
	}
	uart_flush(&console_uart);
	halt();
}

void finish(void)
{
	static const char *const doing[] = {
		[END_POWEROFF] = "powering off", [END_REBOOT] = "rebooting", [END_HALT] = "halted",
	};

	log_last_line("Lamina: all VMs ended, %s", doing[on_end]);
	end(on_end);
}

/* --- the hooks of panic() and stop() --- */

/* Between SVM's exit and its VMLOAD the GS base is a guest's. */
static void begin(bool crash)
{
	if (crash) {
		wrmsr(MSR_GS_BASE, (u64)percpu_by_stack());
		if (cpu_features.svm && (rdmsr(MSR_EFER) & EFER_SVME))
			__asm__ volatile("stgi" : : : "memory");	/* SMIs and NMIs are held while GIF is 0 */
		cpus_stop();
		log_force_unlock();	/* one of them may have taken the lock meanwhile */
	}
	console_init();
	if (crash)
		console_resume();
}

/* Log which VM was running, and the trace of what happened before. */
static void report_vm(void)
{
	cpus_report();
	nmi_log_count();
	for (u32 i = 0; i < percpu_count(); i++) {
		const struct vcpu *vcpu = READ_ONCE(percpu_get(i)->running);

		if (vcpu)
			log_error("CPU %u: VM %s, vcpu %u was running", i, vm_name(vcpu->vm), vcpu->id);
	}
	trace_print(NULL, TRACE_ON_PANIC);
}

/* A failure ends the boot loop: onfail=reboot must not continue it. */
static void __noreturn end_badly(bool in_loop)
{
	end(in_loop && on_fail == END_REBOOT ? END_HALT : on_fail);
}

const struct panic_hooks panic_hooks = {
	.begin = begin,
	.report_caller = trap_report_caller,
	.report_places = nmi_report_places,
	.describe_guest = nmi_describe_guest,
	.report_vm = report_vm,
	.end_loop = bootloop_failed,
	.end = end_badly,
	.halt = halt,
};
