/* SPDX-License-Identifier: MIT */
/* Intel VMX: what the files of this folder share. Nobody else includes it. */
#pragma once

#include "arch/cpu/fpu.h"
#include "core/cpu/tlb_id.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "vmx/capability_msrs.h"
#include "vmx/rules/rules.h"
#include "vmx/vmcs.h"

struct nested_vmx;
struct percpu;

/* What the processor offers and Lamina uses: filled by vmx_probe(). */
struct vmx_caps {
	u32 revision;			/* VMCS revision identifier */
	/* Controls of a new VMCS: the required ones, optional ones that the processor has, bits fixed to 1. */
	u32 pin, primary, secondary, exit, entry;
	/* What VMs use of APIC virtualization, whose controls are not among these: vmx/apic.c. */
	enum apic_hardware apic;
	u32 apic_secondary;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	bool shadowing;			/* VMCS shadowing */
	u8 timer_shift;			/* one tick of the preemption timer is 2^shift TSC ticks */
};
extern struct vmx_caps vmx_caps;

static inline bool vmx_has_preemption_timer(void)
{
	return vmx_caps.pin & PIN_PREEMPTION_TIMER;
}

static inline bool vmx_has_virtual_nmis(void)
{
	return vmx_caps.pin & PIN_VIRTUAL_NMI;
}

static inline bool vmx_has_vpid(void)
{
	return vmx_caps.secondary & SECONDARY_VPID;
}

static inline bool vmx_switches_pat(void)
{
	const u32 both = EXIT_SAVE_PAT | EXIT_LOAD_PAT;

	return (vmx_caps.entry & ENTRY_LOAD_PAT) && (vmx_caps.exit & both) == both;
}

static inline bool vmx_switches_efer(void)
{
	return (vmx_caps.entry & ENTRY_LOAD_EFER) && (vmx_caps.exit & EXIT_LOAD_EFER);
}

static inline bool vmx_has_pause_loop_exits(void)
{
	return vmx_caps.secondary & SECONDARY_PAUSE_LOOP;
}

/* PAUSEs at most this far apart are one loop, which exits after the window. TSC ticks. SDM, "PAUSE" exits. */
#define PAUSE_LOOP_GAP	  128
#define PAUSE_LOOP_WINDOW 4096

#define DR6_RESET 0xffff0ff0ull

/* SDM, "INVEPT", "INVVPID" */
enum invept_type { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_ADDRESS = 0, INVVPID_SINGLE = 1, INVVPID_ALL = 2, INVVPID_NON_GLOBAL = 3 };

/* MSRs that Lamina itself never uses: a loaded guest's values stay in the hardware. */
enum vmx_live_msr {
	LIVE_STAR, LIVE_LSTAR, LIVE_CSTAR, LIVE_SYSCALL_MASK, LIVE_KERNEL_GS_BASE, LIVE_TSC_AUX,
	LIVE_MSRS,
};
extern const u32 vmx_live_msrs[LIVE_MSRS];

/* #MC is the host's; delivering #DB or #AC can repeat endlessly (vmx/exit.c). The others are the guest's: cr0_set(). */
#define EXCEPTIONS_THAT_EXIT (BIT(X86_MC) | BIT(X86_DB) | BIT(X86_AC))

/* Bits that the guest changes without an exit: they need nothing from Lamina. */
#define CR0_GUEST_OWNED (CR0_TS | CR0_EM | CR0_MP | CR0_WP | CR0_AM)
/*
 * The others exit: PAE, LA57 and PCIDE change the paging mode, OSXSAVE changes what CPUID says, and
 * MCE is the host's.
 */
#define CR4_GUEST_OWNED (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE | \
			 CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_SMEP |   \
			 CR4_SMAP | CR4_PKE)

/* What belongs to one VMCS. */
struct vmcs {
	void *page;
	bool filled;			/* it has been set up once */
	struct percpu *active_on;	/* the CPU whose VMPTRLD no VMCLEAR has followed; NULL: none */
	bool launched;			/* VMRESUME from here on */
	bool want_irq_window, want_nmi_window;
	struct tlb_id tlb_id;		/* VPID */
	u64 host_rsp;			/* what HOST_RSP holds */
	u32 primary, secondary, entry_controls, tpr_threshold;	/* what it holds */
	u64 cr4_guest_owned;
	u64 efer;
};

struct vcpu_vmx {
	struct vcpu vcpu;		/* must stay first */

	struct vmcs vmcs;		/* the one that runs the guest; while L2 runs vmcs02: vmx/nested/ */
	bool vmfail_valid;		/* of the last VMfail: VMfailValid, with an instruction error */
	u64 pat;			/* the guest's, if the VMCS does not switch PAT */
	u64 qualification;		/* of the last exit */
	u64 timer_for;			/* the deadline that the preemption timer was last set for: host TSC */
	u64 timer_stale_at;		/* host TSC: when it has to be set again for the same */
	u32 vectoring_info;		/* IDT-vectoring information of the last exit; 0: no delivery was interrupted */
	bool nmi_blocked;		/* without virtual NMIs: one was injected, its handler may still run */
	struct vmx_msr_entry *efer_lists;	/* guest's, host's; NULL: the VMCS switches EFER */
	u8 apic_access;			/* enum apic_access. Atomic: other vCPUs of the VM read it */
	struct nested_vmx *nested;	/* vmx/nested/nested.h; NULL: the guest is offered no VMX */
	struct {
		u64 rip, rsp, tsc;
		u32 count;
	} notified;			/* notification exits in a row without progress: vmx/exit.c */

	/* The guest's values while the vCPU is not loaded. */
	u64 live_msrs[LIVE_MSRS];
	u64 cr2, dr[4], dr6;
	struct fpu_state fpu;
};

/* Have the next entry load vmx->vmcs.efer: from the current VMCS, or from the list that it has instead. */
static inline void vmx_write_efer(struct vcpu_vmx *vmx)
{
	if (vmx_switches_efer())
		vmcs_write64(GUEST_EFER, vmx->vmcs.efer);
	else
		vmx->efer_lists[0].value = vmx->vmcs.efer;
}
_Static_assert(offsetof(struct vcpu_vmx, vcpu) == 0, "to_vmx() is a cast");
_Static_assert(sizeof(struct vcpu_vmx) <= PAGE_SIZE, "allocated as one page");

static inline struct vcpu_vmx *to_vmx(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_vmx, vcpu);
}

/* caps.c */
int vmx_probe(void);

/* enable.c. Both on the CPU itself. -ENOMEM; -ENODEV: VMXON is refused. Logged. */
int vmx_cpu_enable(struct percpu *cpu);
void vmx_cpu_disable(struct percpu *cpu);

/*
 * What vm->vendor points to; without APIC_BY_HARDWARE only to the first, which must stay first: vmx/nested merges it with
 * L1's.
 */
struct vmx_vm {
	u8 msr_bitmap[PAGE_SIZE];
	u8 x2apic_bitmap[PAGE_SIZE];	/* the same, for a vCPU in x2APIC mode */
	u8 apic_access[PAGE_SIZE];	/* where accesses to it are accesses to the local APIC: never read or written */
	bool apic_changing;		/* atomic: vmx/apic.c */
};

/* vm.c. -ENOMEM; vmx_vm_destroy() cleans up after a failure too. */
int vmx_vm_create(struct vm *vm);
void vmx_vm_destroy(struct vm *vm);
void vmx_vm_msr_passthrough(struct vm *vm, u32 msr, bool read, bool write);
void vmx_bitmap_pass(u8 *bitmap, u32 msr, bool read, bool write);	/* reads, writes of it exit no more */

/* ept.c */
void ept_format(const struct vm *vm, struct tdp_format *format);
u64 ept_pointer(const struct vm *vm);	/* the value of the VMCS field */
u64 ept_pointer_to(hpa_t root);		/* the same for other tables */
/* Invalidate what this CPU has cached of the VM's EPT: the pages of its tables may have been another VM's. */
void ept_flush(const struct vm *vm);
/* The same of the tables of this EPTP. */
void ept_invalidate(u64 pointer);

/* ept_code.c */
int ept_make_executable(struct vm *vm, gpa_t gpa);	/* vcpu_ops.vm_make_executable */
/* Choose how large pages are mapped, by the processor and the option `mitigations`, and print it as a capability. */
void ept_init(void);
/* Before the VM's RAM is mapped: set memory aside for splitting its large pages, where they are to be split. */
void ept_reserve(struct vm *vm);
void ept_unreserve(struct vm *vm);

/* vcpu.c. Reset: while loaded. NULL: no memory. */
struct vcpu *vmx_vcpu_create(struct vm *vm);
void vmx_vcpu_destroy(struct vcpu *vcpu);
void vmx_vcpu_reset(struct vcpu *vcpu, bool init);
void vmx_write_controls(struct vcpu_vmx *vmx);	/* of a new VMCS, which is current */
void vmx_pause_exits(struct vcpu *vcpu, bool on);

/* switch.c. On the CPU itself. */
/* Make vmx->vmcs the processor's current VMCS, with the host's state of this CPU and a VPID. */
void vmx_use_vmcs(struct vcpu_vmx *vmx);
/* Make an active VMCS of this CPU inactive. Nothing if it is not active. */
void vmx_release_vmcs(struct vmcs *vmcs);
void vmx_vcpu_load(struct vcpu *vcpu);
void vmx_vcpu_put(struct vcpu *vcpu);
void vmx_vcpu_release(struct vcpu *vcpu);
/* Invalidate the vCPU's cached translations. Without VPIDs, entries and exits do that: nothing to do. */
void vmx_flush_tlb(const struct vcpu *vcpu);
/* The same, and what is cached of the VM's EPT. */
void vmx_flush_tdp(struct vcpu *vcpu);
/* Registers that stay in the hardware, of a loaded vCPU: as after power-up; as after power-up and INIT. */
void vmx_reset_live_msrs(struct vcpu_vmx *vmx);
void vmx_reset_debug_registers(void);

/* state.c */
u64 vmx_saved_rip(const struct vcpu *vcpu);
void vmx_reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg);
u64 vmx_control_get(struct vcpu *vcpu, enum vcpu_control control);
void vmx_control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value);
void vmx_segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment);
void vmx_segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment);
void vmx_code_view(const struct vcpu *vcpu, struct code_view *view);
void vmx_table_get(struct vcpu *vcpu, bool idt, struct descriptor_table *table);
void vmx_table_set(struct vcpu *vcpu, bool idt, const struct descriptor_table *table);
int vmx_msr_get(struct vcpu *vcpu, u32 msr, u64 *value);
int vmx_msr_set(struct vcpu *vcpu, u32 msr, u64 value);
void vmx_tsc_offset_changed(struct vcpu *vcpu);
int vmx_skip_instruction(struct vcpu *vcpu);
void vmx_step_over(struct vcpu *vcpu, unsigned length);
/* End STI's or MOV SS's shadow: an instruction has completed, or an exception was raised. */
void vmx_end_shadow(void);
void vmx_instruction_done(struct vcpu *vcpu);

/*
 * The preemption timer counts down each time bit `timer_shift` of the TSC changes, while in the guest:
 * how often that happens from now until the deadline. A count beyond 32 bits is cut to the maximum: that
 * timer fires early, before the deadline. SDM, "VMX-Preemption Timer".
 */
static inline u32 vmx_timer_value(u64 deadline, u64 now)
{
	unsigned shift = vmx_caps.timer_shift;
	u64 ticks = ((deadline - 1) >> shift) + 1 - (now >> shift);

	if (unlikely(deadline <= now))
		return 0;
	return ticks < ~0u ? (u32)ticks : ~0u;
}

/*
 * Exits save the timer where they can, and the next entry goes on with it, which then lacks the time spent in Lamina. The fast
 * path leaves it alone for that long, in TSC ticks: a guest's timer fires late by less than that.
 */
#define TIMER_SLACK 4096

static inline bool vmx_saves_timer(void)
{
	return vmx_caps.exit & EXIT_SAVE_PREEMPTION_TIMER;
}

/* The timer has been set for an entry at `now`. */
static inline void vmx_timer_is_set(struct vcpu_vmx *vmx, u64 now)
{
	vmx->timer_for = vmx->vcpu.timer_deadline;
	vmx->timer_stale_at = vmx_saves_timer() ? MIN(now + TIMER_SLACK, vmx->timer_for) : 0;
}

/* For an entry at `now`, without the checks of vmcs_write32(): every VMCS has the field where the processor has the timer. */
static inline void vmx_set_timer(struct vcpu_vmx *vmx, u64 now)
{
	if (!vmx_has_preemption_timer())
		return;
	vmwrite_sure(PREEMPTION_TIMER_VALUE.encoding, vmx_timer_value(vmx->vcpu.timer_deadline, now));
	vmx_timer_is_set(vmx, now);
}

/* The same, if it is not set for that. */
static __always_inline void vmx_keep_timer(struct vcpu_vmx *vmx, u64 now)
{
	if (unlikely(now >= vmx->timer_stale_at) || unlikely(vmx->vcpu.timer_deadline != vmx->timer_for))
		vmx_set_timer(vmx, now);
}

/* fastpath.c. Called by the entry stub. */
enum exit_fastpath vmx_exit_fastpath(struct vcpu_vmx *vmx);

/* run.c */
void vmx_store_dirty_regs(struct vcpu *vcpu);
enum exit_fastpath vmx_exit_in_stub(struct vcpu_vmx *vmx);	/* called by the entry stub after EXIT_FASTPATH_NONE */
void vmx_handle_interruption(struct vcpu *vcpu);
enum exit_fastpath vmx_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit);
enum exit_fastpath vmx_l2_run(struct vcpu *vcpu, bool force_immediate_exit);	/* the same while L2 runs */

/* vmenter.asm. EXIT_FASTPATH_ENTRY_FAILED: VMfail, with vmx->vmfail_valid; else an exit reason was written. */
enum exit_fastpath vmx_vmenter(struct vcpu_vmx *vmx, bool resume);
extern const u8 vmx_exit_point[];	/* HOST_RIP */
void vmx_host_nmi(void);		/* deliver the NMI that caused the exit */

/* exit.c */
void vmx_handle_exit(struct vcpu *vcpu);
/* By basic reason; NULL: unexpected, or finished by vmx_vcpu_run(). */
#define VMX_HANDLERS (EXIT_REASON_TDCALL + 1)
extern void (*const vmx_handlers[VMX_HANDLERS])(struct vcpu *vcpu);
const char *vmx_exit_name(u8 exit_index);

/* events.c */
void vmx_inject(struct vcpu *vcpu, const struct event *event);
void vmx_delivery_cut_off(struct vcpu *vcpu);
void vmx_nmi_blocking_after_exit(struct vcpu *vcpu, union vmx_exit_reason reason);

/* After a real exit and its snapshot. Only an interrupted delivery or IRET needs more. */
static inline void vmx_events_after_exit(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	const struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool cut_off = vmx->vectoring_info & INTERRUPTION_VALID;

	vcpu->events.reinject.type = EVENT_NONE;
	if (unlikely(cut_off))
		vmx_delivery_cut_off(vcpu);
	if (unlikely(cut_off || !vmx_has_virtual_nmis() ||
		     (reason.basic == EXIT_REASON_EPT_VIOLATION && (vmx->qualification & EPT_VIOLATION_NMI_UNBLOCKED))))
		vmx_nmi_blocking_after_exit(vcpu, reason);
}
bool vmx_interrupt_blocked(struct vcpu *vcpu);
bool vmx_nmi_blocked(struct vcpu *vcpu);
void vmx_interrupt_window(struct vcpu *vcpu, bool on);
void vmx_nmi_window(struct vcpu *vcpu, bool on);
/* Lamina itself has delivered an NMI, or carried out the IRET of its handler. */
void vmx_nmi_in_service(struct vcpu *vcpu, bool on);

/* apic.c: the local APIC by hardware */
enum apic_hardware vmx_apic_hardware(const struct vm *vm);	/* of a VM that is being created */
u32 vmx_apic_primary(const struct vm *vm);	/* the primary controls of its vCPUs */
void vmx_apic_create_bitmap(struct vm *vm);	/* vmx_vm.x2apic_bitmap, before MSRs are passed through */
void vmx_apic_reset(struct vcpu *vcpu);		/* after power-up and INIT, while it is loaded */
void vmx_apic_entry(struct vcpu *vcpu);		/* vcpu_ops.apic_entry, apic_access */
void vmx_apic_access(struct vcpu *vcpu, enum apic_access access);

/* entry_state.c: what the rules of VM entry look at. Fields that the VMCS does not have are 0. */
void vmx_entry_state_read(struct vcpu *vcpu, struct vmx_entry_state *s);
void vmx_entry_state_processor(struct vmx_entry_state *s);	/* only what the processor allows */
/* Which rules does the current VMCS break? Skips the check if nothing has changed since the last passed. */
unsigned vmx_check_next_entry(struct vcpu *vcpu, violation_sink *sink, void *context);

/* check.c */
void vmx_explain_failure(struct vcpu *vcpu);

/* dump.c */
void vmx_dump(struct vcpu *vcpu);
