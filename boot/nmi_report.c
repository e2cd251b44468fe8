/* SPDX-License-Identifier: MIT */
/* What each CPU does: see the header. */
#include "boot/nmi_report.h"

#include "arch/apic/lapic.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/nmi.h"
#include "arch/time/clock.h"
#include "boot/cpus.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"
#include "lib/printf.h"

#define ANSWER_WAIT_US 1000000u	/* as long as STOP_US in boot/cpus.c */

#define ACTIONS_AT_NMI "report|panic|ignore"	/* as enum nmi_action */

static int set_nmi(struct str_view value)
{
	int choice = option_choice(value, ACTIONS_AT_NMI);

	if (choice < 0)
		return choice;
	nmi_set_action(choice);
	return 0;
}
DEFINE_OPTION(nmi, "nmi", ACTIONS_AT_NMI,
	      "what to do when an NMI comes from outside, such as from a BMC's button: report what each CPU does, or stop,"
	      " or only count it (default report)", set_nmi);

void nmi_describe_guest(char *words, size_t size)
{
	const struct vcpu *vcpu = READ_ONCE(this_cpu()->running);

	if (vcpu)
		snprintf(words, size, "VM %s, vcpu %u, guest RIP 0x%llx", vm_name(vcpu->vm), vcpu->id,
			 (ull)vcpu->ops->saved_rip(vcpu));
	else
		snprintf(words, size, "no VM");
}

static bool is_idle(u64 rip)
{
	return rip - (u64)irq_wait_halt <= HLT_LENGTH;
}

/* All at the same time: those that do not answer are waited for together. */
static void ask_all(void)
{
	u64 end = clock_deadline_us(ANSWER_WAIT_US);

	for (u32 i = 0; i < percpu_count(); i++) {
		struct percpu *cpu = percpu_get(i);

		if (cpu == this_cpu() || !cpus_is_running(cpu))
			continue;
		nmi_ask(cpu);
		lapic_send_nmi(cpu->apic_id);
	}
	for (u32 i = 0; i < percpu_count(); i++) {
		while (percpu_get(i) != this_cpu() && cpus_is_running(percpu_get(i)) && !nmi_answer(percpu_get(i)) &&
		       !clock_expired(end))
			cpu_relax();
	}
}

void nmi_report_places(u64 own_rip)
{
	ask_all();
	for (u32 i = 0; i < percpu_count(); i++) {
		const struct percpu *cpu = percpu_get(i);
		u64 rip = cpu == this_cpu() ? own_rip : nmi_answer(cpu);

		if (!cpus_is_running(cpu))
			continue;
		if (cpu == this_cpu())
			nmi_describe_guest(this_cpu()->nmi_guest, sizeof(cpu->nmi_guest));
		if (rip)
			log_warn("CPU %u: %s; Lamina at 0x%llx%s", i, cpu->nmi_guest, (ull)rip,
				 is_idle(rip) ? " (idle)" : "");
		else
			log_warn("CPU %u: it does not answer an NMI; what it runs is not known", i);
	}
}
