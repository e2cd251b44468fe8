/* SPDX-License-Identifier: MIT */
/*
 * Exit handlers by basic reason: each decodes the exit information of the VMCS and calls the handler in
 * core/exit.h, which both vendors share. Intel SDM, "Basic VM-Exit Information", "VMX Basic Exit Reasons".
 */
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/emulate/task.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "core/mem/tdp.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define NOTIFY_CONTEXT_INVALID BIT_ULL(0)
#define NOTIFY_EXITS	       100	/* so many without progress end the VM, */
#define NOTIFY_APART_NS	       100000000u	/* none of them longer after the one before */

/*
 * Delivering #DB or #AC can raise the same exception again, endlessly and without executing an
 * instruction: if they did not exit, such a guest would never give the processor back. The exit leaves
 * DR6 and the STI or MOV SS shadow as they were before the exception.
 * Intel SDM, "Exit Qualification for Debug Exceptions".
 */
static void handle_debug(struct vcpu *vcpu, unsigned type)
{
	u64 bits = to_vmx(vcpu)->qualification & (DR6_BREAKPOINTS | DR6_BD | DR6_BS);

	if (type == INTERRUPTION_PRIVILEGED_EXCEPTION)
		vmx_skip_instruction(vcpu);	/* INT1 is a trap: RIP is behind it */
	vmx_end_shadow();
	event_raise_debug(vcpu, bits);
}

/* The processor waits for the interrupt: a shadow of the instruction before must not hold it back for ever. */
static void handle_fpu_error(struct vcpu *vcpu)
{
	vmx_end_shadow();
	exit_fpu_error(vcpu);
}

static void handle_exception_or_nmi(struct vcpu *vcpu)
{
	u32 info = vmcs_read32(EXIT_INTERRUPTION_INFO);
	unsigned vector = info & INTERRUPTION_VECTOR;

	/* Host events: vmx_vcpu_run() has served them. */
	if (INTERRUPTION_TYPE(info) == INTERRUPTION_NMI || vector == X86_MC)
		return;
	if (vector == X86_DB)
		handle_debug(vcpu, INTERRUPTION_TYPE(info));
	else if (vector == X86_AC)
		event_raise_error(vcpu, X86_AC, 0);
	else if (vector == X86_MF)
		handle_fpu_error(vcpu);
	else
		exit_unexpected(vcpu, "exit for exception %u, which is the guest's own", vector);
}

static void handle_window(struct vcpu *vcpu)
{
	/* event_inject() closes the window once no event waits for it; vmx_apic_entry() sets the TPR threshold anew. */
	vcpu_request(vcpu, REQ_EVENT);
}

/*
 * Choose the window anew: in STI's shadow an NMI may not be injectable, and NMI-window exits would come
 * again and again. An interrupt window waits for the end of the shadow.
 */
static void handle_nmi_window(struct vcpu *vcpu)
{
	vmx_nmi_window(vcpu, true);
	handle_window(vcpu);
}

/* In VMX operation INIT is blocked or exits: SDM, "Other Causes of VM Exits". The exit has used it up. */
static void handle_init(struct vcpu *vcpu)
{
	if (vm_once(vcpu->vm, ONCE_OTHER, EXIT_REASON_INIT))
		vm_warn(vcpu->vm, "an INIT signal reached the processor: ignored");
}

static void handle_sipi(struct vcpu *vcpu)
{
	if (vm_once(vcpu->vm, ONCE_OTHER, EXIT_REASON_SIPI))
		vm_warn(vcpu->vm, "a start-up IPI reached a processor that runs already: ignored");
}

/*
 * SDM, "Exit Qualification for Task Switches". An event that a task gate in the IDT delivers is the one whose delivery
 * the exit interrupted. IRET unblocks NMIs, also where it faults.
 */
static void handle_task_switch(struct vcpu *vcpu)
{
	const u64 qualification = to_vmx(vcpu)->qualification;
	const struct event event = vcpu->events.reinject;
	struct task_switch task_switch = {
		.selector = (u16)qualification,
		.source = qualification >> 30 & 3,
	};

	if (task_switch.source == TASK_GATE) {
		task_switch.length = event.length;
		task_switch.external = event.type != EVENT_SOFT_INTERRUPT && event.type != EVENT_SOFT_EXCEPTION;
		task_switch.has_error_code = event.has_error_code;
		task_switch.error_code = event.error_code;
	} else {
		task_switch.length = (u8)vmcs_read32(EXIT_INSTRUCTION_LENGTH);
	}
	if (task_switch.source == TASK_IRET)
		vmx_nmi_in_service(vcpu, false);
	if (!emulate_task_switch(vcpu, &task_switch))
		return;
	vmx_end_shadow();
	if (task_switch.source == TASK_GATE && event.type == EVENT_NMI)
		vmx_nmi_in_service(vcpu, true);
}

static void handle_rdtsc(struct vcpu *vcpu)
{
	exit_rdtsc(vcpu, false);
}

static void handle_rdtscp(struct vcpu *vcpu)
{
	exit_rdtsc(vcpu, true);
}

/* SDM, "Exit Qualification for Control-Register Accesses"; registers as in enum vcpu_reg. */
static void handle_cr_access(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification;
	unsigned cr = qualification & 15, reg = qualification >> 8 & 15;

	switch (qualification >> 4 & 3) {
	case 0:
		exit_mov_to_cr(vcpu, cr, reg);
		break;
	case 1:
		exit_mov_from_cr(vcpu, cr, reg);
		break;
	case 2:
		exit_clts(vcpu);
		break;
	case 3:
		exit_lmsw(vcpu, (u16)(qualification >> 16));
		break;
	}
}

/* Out of line: it has an object on the stack. */
static __noinline void handle_io_string(struct vcpu *vcpu, u32 qualification)
{
	const struct io_exit io = {
		.port = IO_PORT(qualification),
		.size = IO_SIZE(qualification),
		.in = qualification & IO_IN,
		.rep = qualification & IO_REP,
	};

	emulate_string_io(vcpu, &io);
}

static void handle_io(struct vcpu *vcpu)
{
	u32 qualification = (u32)to_vmx(vcpu)->qualification;
	u16 port = IO_PORT(qualification);
	unsigned size = IO_SIZE(qualification);
	bool in = qualification & IO_IN;

	if (unlikely(qualification & IO_STRING))
		handle_io_string(vcpu, qualification);
	else if (unlikely(vmread_sure(GUEST_DR7.encoding) & DR7_ENABLED))
		exit_io_watched(vcpu, port, size, in);
	else
		exit_io(vcpu, port, size, in);
}

static void handle_ept_violation(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification;
	const struct tdp_fault fault = {
		.gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS),
		.access = qualification & EPT_VIOLATION_FETCH ? TDP_FETCH :
			  qualification & EPT_VIOLATION_WRITE ? TDP_WRITE : TDP_READ,
		.walk = (qualification & EPT_VIOLATION_LINEAR_VALID) &&
			!(qualification & EPT_VIOLATION_TRANSLATED),
		.watched = vmread_sure(GUEST_DR7.encoding) & DR7_ENABLED,
		.what = "EPT violation",
	};

	/*
	 * SDM, "Exit Qualification for EPT Violations": no linear address: MOV CR loads the PDPTEs of PAE paging. Where
	 * no RAM is, they read as ones, and reserved bits of a PDPTE raise #GP(0): "PDPTE Registers".
	 */
	if (unlikely(!(qualification & EPT_VIOLATION_LINEAR_VALID)) && !guest_is_ram(vcpu->vm, fault.gpa, 1))
		event_raise_error(vcpu, X86_GP, 0);
	else
		exit_tdp_fault(vcpu, &fault);
}

/*
 * No instruction boundary was reached within the window: something repeats inside one instruction or the delivery
 * of an event. It may be over soon; where the guest is still at the same place after many exits, it is not.
 * SDM, "Notification VM Exits", "Exit Qualification for Notification VM Exits".
 */
static void handle_notify(struct vcpu *vcpu)
{
	const union vmx_exit_reason reason = { .full = (u32)vcpu->exit_reason };
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 rip = vcpu->exit_rip, rsp = vmcs_readn(GUEST_RSP);

	if (vmx->qualification & NOTIFY_CONTEXT_INVALID) {
		exit_unexpected(vcpu, "the guest's state was lost while the processor was busy within one instruction");
		return;
	}
	vmx_nmi_blocking_after_exit(vcpu, reason);
	if (rip != vmx->notified.rip || rsp != vmx->notified.rsp ||
	    vcpu->exit_tsc - vmx->notified.tsc > vtimer_from_ns(NOTIFY_APART_NS))
		vmx->notified.count = 0;
	vmx->notified.tsc = vcpu->exit_tsc;
	vmx->notified.rip = rip;
	vmx->notified.rsp = rsp;
	if (++vmx->notified.count == NOTIFY_EXITS)
		exit_unexpected(vcpu, "the processor is busy without end within one instruction of the guest");
}

/* SDM, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses" */
#define APIC_ACCESS_OFFSET(qualification) ((qualification) & 0xfff)
#define APIC_ACCESS_TYPE(qualification)	  ((qualification) >> 12 & 15)
enum { APIC_READ, APIC_WRITE, APIC_FETCH, APIC_IN_DELIVERY };	/* others: without a linear address */

/* The processor leaves the access to Lamina. The offset is defined for linear accesses. */
static void handle_apic_access(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification;
	unsigned type = APIC_ACCESS_TYPE(qualification);
	const struct tdp_fault fault = {
		.gpa = LAPIC_DEFAULT_BASE + (type <= APIC_IN_DELIVERY ? APIC_ACCESS_OFFSET(qualification) : 0),
		.access = type == APIC_FETCH ? TDP_FETCH : type == APIC_READ ? TDP_READ : TDP_WRITE,
		.walk = type > APIC_IN_DELIVERY,
		.watched = vmread_sure(GUEST_DR7.encoding) & DR7_ENABLED,
		.what = "APIC access",
	};

	if (fault.walk || type == APIC_FETCH)
		exit_code_in_device(vcpu, &fault);
	else
		exit_tdp_fault(vcpu, &fault);
}

/* The processor has written the register. SDM, "APIC-Write Emulation": the exit is behind the instruction. */
static void handle_apic_write(struct vcpu *vcpu)
{
	vcpu->vm->irqchip->register_written(vcpu->vlapic, (u32)APIC_ACCESS_OFFSET(to_vmx(vcpu)->qualification));
}

/* SDM, "EOI Virtualization": likewise. */
static void handle_virtualized_eoi(struct vcpu *vcpu)
{
	vcpu->vm->irqchip->interrupt_ended(vcpu->vlapic, (u8)to_vmx(vcpu)->qualification);
}

static void handle_ept_misconfiguration(struct vcpu *vcpu)
{
	u64 gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS), entry;
	int level;

	entry = tdp_entry(vcpu->vm, gpa, &level);
	exit_unexpected(vcpu,
			"EPT misconfiguration at guest-physical 0x%llx: level %d entry 0x%llx",
			(unsigned long long)gpa, level, (unsigned long long)entry);
}

/*
 * By basic reason. NULL, and so reported as unexpected: exits that no control enables. Also NULL: the
 * preemption timer and external interrupts, which vmx_vcpu_run() finishes.
 * Names are in a table of their own, as in svm/exit.c, so that the exit path reads only handlers.
 */
void (*const vmx_handlers[VMX_HANDLERS])(struct vcpu *vcpu) = {
	[EXIT_REASON_EXTERNAL_INTERRUPT] = vmx_handle_interruption,
	[EXIT_REASON_PREEMPTION_TIMER] = vmx_handle_interruption,
	[EXIT_REASON_EXCEPTION_OR_NMI] = handle_exception_or_nmi,
	[EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
	[EXIT_REASON_INIT] = handle_init,
	[EXIT_REASON_SIPI] = handle_sipi,
	[EXIT_REASON_INTERRUPT_WINDOW] = handle_window,
	[EXIT_REASON_NMI_WINDOW] = handle_nmi_window,
	[EXIT_REASON_TASK_SWITCH] = handle_task_switch,
	[EXIT_REASON_CPUID] = exit_cpuid,
	[EXIT_REASON_GETSEC] = exit_invalid_opcode,
	[EXIT_REASON_HLT] = exit_hlt,
	[EXIT_REASON_INVD] = exit_wbinvd,
	[EXIT_REASON_RDPMC] = exit_rdpmc,
	[EXIT_REASON_RDTSC] = handle_rdtsc,
	[EXIT_REASON_VMCALL] = exit_vmcall,
	[EXIT_REASON_VMCLEAR] = nested_handle_instruction,
	[EXIT_REASON_VMLAUNCH] = nested_handle_instruction,
	[EXIT_REASON_VMPTRLD] = nested_handle_instruction,
	[EXIT_REASON_VMPTRST] = nested_handle_instruction,
	[EXIT_REASON_VMREAD] = nested_handle_instruction,
	[EXIT_REASON_VMRESUME] = nested_handle_instruction,
	[EXIT_REASON_VMWRITE] = nested_handle_instruction,
	[EXIT_REASON_VMXOFF] = nested_handle_instruction,
	[EXIT_REASON_VMXON] = nested_handle_instruction,
	[EXIT_REASON_CR_ACCESS] = handle_cr_access,
	[EXIT_REASON_IO] = handle_io,
	[EXIT_REASON_RDMSR] = exit_rdmsr,
	[EXIT_REASON_WRMSR] = exit_wrmsr,
	[EXIT_REASON_MWAIT] = exit_invalid_opcode,
	[EXIT_REASON_MONITOR] = exit_invalid_opcode,
	[EXIT_REASON_PAUSE] = exit_pause,
	[EXIT_REASON_TPR_THRESHOLD] = handle_window,	/* behind the instruction that has lowered TPR */
	[EXIT_REASON_APIC_ACCESS] = handle_apic_access,
	[EXIT_REASON_VIRTUALIZED_EOI] = handle_virtualized_eoi,
	[EXIT_REASON_EPT_VIOLATION] = handle_ept_violation,
	[EXIT_REASON_EPT_MISCONFIGURATION] = handle_ept_misconfiguration,
	[EXIT_REASON_INVEPT] = nested_handle_instruction,
	[EXIT_REASON_RDTSCP] = handle_rdtscp,
	[EXIT_REASON_APIC_WRITE] = handle_apic_write,
	[EXIT_REASON_INVVPID] = nested_handle_instruction,
	[EXIT_REASON_WBINVD] = exit_wbinvd,
	[EXIT_REASON_XSETBV] = exit_xsetbv,
	[EXIT_REASON_VMFUNC] = exit_invalid_opcode,
	[EXIT_REASON_ENCLS] = exit_invalid_opcode,
	[EXIT_REASON_PCONFIG] = exit_invalid_opcode,
	[EXIT_REASON_UMWAIT] = exit_invalid_opcode,
	[EXIT_REASON_TPAUSE] = exit_invalid_opcode,
	[EXIT_REASON_LOADIWKEY] = exit_invalid_opcode,
	[EXIT_REASON_ENCLV] = exit_invalid_opcode,
	[EXIT_REASON_NOTIFY] = handle_notify,
	[EXIT_REASON_SEAMCALL] = exit_invalid_opcode,
	[EXIT_REASON_TDCALL] = exit_invalid_opcode,
};

static const char *const names[] = {
	[EXIT_REASON_EXCEPTION_OR_NMI] = "exception or NMI",
	[EXIT_REASON_EXTERNAL_INTERRUPT] = "external interrupt",
	[EXIT_REASON_TRIPLE_FAULT] = "triple fault",
	[EXIT_REASON_INIT] = "INIT signal",
	[EXIT_REASON_SIPI] = "start-up IPI",
	[EXIT_REASON_IO_SMI] = "I/O SMI",
	[EXIT_REASON_OTHER_SMI] = "other SMI",
	[EXIT_REASON_INTERRUPT_WINDOW] = "interrupt window",
	[EXIT_REASON_NMI_WINDOW] = "NMI window",
	[EXIT_REASON_TASK_SWITCH] = "task switch",
	[EXIT_REASON_CPUID] = "CPUID",
	[EXIT_REASON_GETSEC] = "GETSEC",
	[EXIT_REASON_HLT] = "HLT",
	[EXIT_REASON_INVD] = "INVD",
	[EXIT_REASON_INVLPG] = "INVLPG",
	[EXIT_REASON_RDPMC] = "RDPMC",
	[EXIT_REASON_RDTSC] = "RDTSC",
	[EXIT_REASON_RSM] = "RSM",
	[EXIT_REASON_VMCALL] = "VMCALL",
	[EXIT_REASON_VMCLEAR] = "VMCLEAR",
	[EXIT_REASON_VMLAUNCH] = "VMLAUNCH",
	[EXIT_REASON_VMPTRLD] = "VMPTRLD",
	[EXIT_REASON_VMPTRST] = "VMPTRST",
	[EXIT_REASON_VMREAD] = "VMREAD",
	[EXIT_REASON_VMRESUME] = "VMRESUME",
	[EXIT_REASON_VMWRITE] = "VMWRITE",
	[EXIT_REASON_VMXOFF] = "VMXOFF",
	[EXIT_REASON_VMXON] = "VMXON",
	[EXIT_REASON_CR_ACCESS] = "control-register access",
	[EXIT_REASON_MOV_DR] = "MOV DR",
	[EXIT_REASON_IO] = "I/O instruction",
	[EXIT_REASON_RDMSR] = "RDMSR",
	[EXIT_REASON_WRMSR] = "WRMSR",
	[EXIT_REASON_INVALID_GUEST_STATE] = "VM-entry failure: invalid guest state",
	[EXIT_REASON_MSR_LOADING] = "VM-entry failure: MSR loading",
	[EXIT_REASON_MWAIT] = "MWAIT",
	[EXIT_REASON_MONITOR_TRAP] = "monitor trap flag",
	[EXIT_REASON_MONITOR] = "MONITOR",
	[EXIT_REASON_PAUSE] = "PAUSE",
	[EXIT_REASON_MACHINE_CHECK] = "VM-entry failure: machine check",
	[EXIT_REASON_TPR_THRESHOLD] = "TPR below threshold",
	[EXIT_REASON_APIC_ACCESS] = "APIC access",
	[EXIT_REASON_VIRTUALIZED_EOI] = "virtualized EOI",
	[EXIT_REASON_GDTR_IDTR] = "GDTR or IDTR access",
	[EXIT_REASON_LDTR_TR] = "LDTR or TR access",
	[EXIT_REASON_EPT_VIOLATION] = "EPT violation",
	[EXIT_REASON_EPT_MISCONFIGURATION] = "EPT misconfiguration",
	[EXIT_REASON_INVEPT] = "INVEPT",
	[EXIT_REASON_RDTSCP] = "RDTSCP",
	[EXIT_REASON_PREEMPTION_TIMER] = "preemption timer",
	[EXIT_REASON_INVVPID] = "INVVPID",
	[EXIT_REASON_WBINVD] = "WBINVD",
	[EXIT_REASON_XSETBV] = "XSETBV",
	[EXIT_REASON_APIC_WRITE] = "APIC write",
	[EXIT_REASON_RDRAND] = "RDRAND",
	[EXIT_REASON_INVPCID] = "INVPCID",
	[EXIT_REASON_VMFUNC] = "VMFUNC",
	[EXIT_REASON_ENCLS] = "ENCLS",
	[EXIT_REASON_RDSEED] = "RDSEED",
	[EXIT_REASON_PML_FULL] = "page-modification log full",
	[EXIT_REASON_XSAVES] = "XSAVES",
	[EXIT_REASON_XRSTORS] = "XRSTORS",
	[EXIT_REASON_PCONFIG] = "PCONFIG",
	[EXIT_REASON_SPP] = "sub-page permissions",
	[EXIT_REASON_UMWAIT] = "UMWAIT",
	[EXIT_REASON_TPAUSE] = "TPAUSE",
	[EXIT_REASON_LOADIWKEY] = "LOADIWKEY",
	[EXIT_REASON_ENCLV] = "ENCLV",
	[EXIT_REASON_ENQCMD] = "ENQCMD PASID translation",
	[EXIT_REASON_ENQCMDS] = "ENQCMDS PASID translation",
	[EXIT_REASON_BUS_LOCK] = "bus lock",
	[EXIT_REASON_NOTIFY] = "notification window",
	[EXIT_REASON_SEAMCALL] = "SEAMCALL",
	[EXIT_REASON_TDCALL] = "TDCALL",
};

const char *vmx_exit_name(u8 exit_index)
{
	return exit_index < ARRAY_SIZE(names) ? names[exit_index] : NULL;
}

/* vmx_vcpu_run() finishes this exit; only while L2 runs has its handler something to do: vmx/nested/l2.c. */
static void slow_timer(struct vcpu *vcpu)
{
	if (vm_once(vcpu->vm, ONCE_OTHER, EXIT_REASON_PREEMPTION_TIMER))
		vm_warn(vcpu->vm, "an exit of the preemption timer was left to its handler, though no guest of the guest runs");
	vtimer_run_expired(vcpu, vcpu->exit_tsc);
}

void vmx_handle_exit(struct vcpu *vcpu)
{
	const union vmx_exit_reason reason = { .full = (u32)vcpu->exit_reason };
	const char *name;

	if (reason.full == EXIT_REASON_PREEMPTION_TIMER) {
		slow_timer(vcpu);
		return;
	}
	if (reason.basic < VMX_HANDLERS && vmx_handlers[reason.basic]) {
		vmx_handlers[reason.basic](vcpu);
		return;
	}
	name = vmx_exit_name(vcpu->exit_index);
	exit_unexpected(vcpu, "unexpected VM exit: %s (reason 0x%x, qualification 0x%llx)",
			name ? name : "unknown", reason.full,
			(unsigned long long)to_vmx(vcpu)->qualification);
}
