/* SPDX-License-Identifier: MIT */
/* Types and functions that the files of this folder share. */
#pragma once

#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "core/cpu/tlb_id.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "svm/rules/rules.h"
#include "svm/vmcb.h"

/* What belongs to one VMCB. */
struct svm_level {
	struct vmcb *vmcb;
	hpa_t vmcb_pa;
	struct tlb_id tlb_id;	/* ASID */
	u64 cr0, cr4;		/* as the guest wrote them; the VMCB's may differ: see svm_control_get() */
	u64 lme;		/* EFER_LME as the guest wrote it; the VMCB has it only while paging is on */
};

struct svm_nested;

struct vcpu_svm {
	struct vcpu vcpu;	/* must stay first */
	/* Of the VMCB that is entered next: struct svm_level says what they are. */
	struct vmcb *vmcb;
	hpa_t vmcb_pa;
	hpa_t host_vmcb_pa;	/* of the CPU where the vCPU is loaded: VMLOAD restores the host's state from it */
	struct percpu *bound_to; /* the CPU that may have run the VMCB since svm_vcpu_release(); NULL: none */
	struct tlb_id tlb_id;
	bool pause_exits;	/* svm_pause_exits() switched them on */
	u64 cr0, cr4, lme;
	u8 v_tpr;		/* V_TPR as the local APIC's model knows it: svm/apic.c */
	u64 efer_shown;		/* the bits of the VMCB's EFER that the guest may see: not SVME, unless it has set it */
	struct svm_nested *nested; /* svm/nested/nested.h; NULL: the guest has no SVM */

	/* NMIs are blocked from the injection of one until the IRET of its handler has completed. */
	bool nmi_masked;
	bool iret_pending;	/* that IRET has exited, at iret_rip, and runs with the next entry */
	u64 iret_rip;
	bool stepping;		/* Lamina single-steps one instruction, then injects an NMI: svm/step.c */
	bool step_is_iret;	/* that IRET */
	bool guest_tf;		/* RFLAGS.TF and DR6 as the guest is to have them after the step */
	u64 guest_dr6;

	/* The guest's values while the vCPU is not loaded. */
	u64 dr[4], tsc_aux;
	struct fpu_state fpu;
};

_Static_assert(offsetof(struct vcpu_svm, vcpu) == 0, "to_svm() and the entry stub rely on it");

static inline struct vcpu_svm *to_svm(struct vcpu *vcpu)
{
	return (struct vcpu_svm *)vcpu;
}

/* Until that IRET has completed each exit has to look whether it has: the fast path is closed. */
static inline void svm_set_iret_pending(struct vcpu_svm *svm, bool pending)
{
	svm->iret_pending = pending;
	svm->vcpu.every_exit = pending ? svm->vcpu.every_exit | EVERY_EXIT_VENDOR : svm->vcpu.every_exit & ~EVERY_EXIT_VENDOR;
}

/*
 * #MC is a host event. #DB and #AC are the guest's, but their delivery can raise them again, endlessly and with no
 * instruction in between: only these intercepts get the processor out of that loop. svm/step.c adds others.
 */
#define SVM_EXCEPTIONS (BIT(X86_MC) | BIT(X86_DB) | BIT(X86_AC))

/* A VM's intercept bitmaps: vm->vendor. AMD APM vol. 2, "IOIO Intercepts", "MSR Intercepts". */
#define IOPM_ORDER  2	/* 12 KiB used */
#define MSRPM_ORDER 1	/* 8 KiB */
#define MSRPM_WORDS ((PAGE_SIZE << MSRPM_ORDER) / sizeof(u64))
struct svm_vm {
	u8 *iopm;
	u8 *msrpm;
	u64 msrpm_open[MSRPM_WORDS / 64];	/* a bit for each word of 8 bytes of the MSR map that is not all ones */
};

/* CPUID 80000001h:ECX; 8000000Ah:EDX */
#define CPUID_SVM	   BIT(2)
#define CPUID_SVM_FEATURES 0x8000000a
enum {
	SVM_NESTED_PAGING = BIT(0),
	SVM_LOCK = BIT(2),
	SVM_NRIP_SAVE = BIT(3),
	SVM_CLEAN_BITS = BIT(5),
	SVM_FLUSH_BY_ASID = BIT(6),
	SVM_DECODE_ASSISTS = BIT(7),
	SVM_PAUSE_FILTER = BIT(10),
	SVM_PAUSE_THRESHOLD = BIT(12),
	SVM_SPEC_CTRL = BIT(20),
};

/* MSR_VM_CR; VM_CR_R_INIT is in arch/cpu/x86.h */
#define VM_CR_DPD	    BIT_ULL(0)
#define VM_CR_DIS_A20M	    BIT_ULL(2)
#define VM_CR_LOCK	    BIT_ULL(3)
#define VM_CR_SVM_DISABLE   BIT_ULL(4)

/* Optional features: CPUID 8000000Ah. Filled by svm_probe(). */
struct svm_features {
	u32 asids;
	bool nrip_save, flush_by_asid, decode_assists, clean_bits, pause_filter, pause_threshold, spec_ctrl;
};
extern struct svm_features svm_features;

/* The number of PAUSEs that exit, if less than the threshold, in TSC ticks, lies between two. "Pause Intercept Filtering" */
#define PAUSE_FILTER_COUNT     3000
#define PAUSE_FILTER_THRESHOLD 128

/* The processor reads a VMCB field again only if its clean bit is 0: every setter calls this. */
static inline void svm_dirty(struct vcpu_svm *svm, enum vmcb_clean what)
{
	svm->vmcb->control.clean &= ~(u32)what;
}

/*
 * VMEXIT_INVALID is -1. The manual gives the field 64 bits, yet -1 has been seen stored as 32 bits
 * with zeros above; no other exit code has a lower half of all ones.
 */
static inline bool svm_exit_invalid(u64 exit_code)
{
	return (u32)exit_code == (u32)VMEXIT_INVALID;
}

/* The last entry has injected the event and flushed the TLB: the next one is not to do it again. */
static inline void svm_entered(struct vmcb *vmcb)
{
	struct vmcb_control *control = &vmcb->control;

	control->event_injection = 0;
	control->tlb_control = TLB_KEEP;
	control->clean = CLEAN_ALL;
}

/* vcpu->exit_index of exits whose code is no index: above all exit codes that are one. */
enum { SVM_INDEX_NPF = 0xf0, SVM_INDEX_UNKNOWN = 0xfe, SVM_INDEX_INVALID, SVM_EXITS };

/* An exit code as vcpu->exit_index. */
static inline u8 svm_exit_index(u64 exit_code)
{
	if (likely(exit_code < SVM_INDEX_NPF))
		return (u8)exit_code;
	if (exit_code == VMEXIT_NPF)
		return SVM_INDEX_NPF;
	return svm_exit_invalid(exit_code) ? SVM_INDEX_INVALID : SVM_INDEX_UNKNOWN;
}

/* Flush the guest's translations at the next entry. A flush that is pending already covers them. */
static inline void svm_flush_tlb(struct vcpu_svm *svm)
{
	u8 *control = &svm->vmcb->control.tlb_control;

	if (*control == TLB_KEEP)
		*control = svm_features.flush_by_asid ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
}

/* svm/caps.c */
int svm_probe(void);
/* The same with the result of CPUID 8000000Ah as argument: for the tests. */
int svm_probe_leaf(struct cpuid_regs leaf);
/* svm/enable.c */
int svm_cpu_enable(struct percpu *cpu);
void svm_cpu_disable(struct percpu *cpu);
/* svm/vm.c */
int svm_vm_create(struct vm *vm);
void svm_vm_destroy(struct vm *vm);
void svm_vm_msr_passthrough(struct vm *vm, u32 msr, bool read, bool write);
/* The bit of reads, in three ranges of 8192 MSRs; the bit of writes follows it. -1: the map lacks the MSR. */
int svm_msrpm_bit(u32 msr);
/* svm/npt.c */
void npt_format(const struct vm *vm, struct tdp_format *format);
/* svm/vcpu.c */
struct vcpu *svm_vcpu_create(struct vm *vm);
void svm_vcpu_destroy(struct vcpu *vcpu);
void svm_vcpu_reset(struct vcpu *vcpu, bool init);
void svm_pause_exits(struct vcpu *vcpu, bool on);
/* The control area of the current VMCB, which is zero: what Lamina needs of any guest. */
void svm_set_control(struct vcpu_svm *svm);
/* svm/switch.c. On the CPU itself. */
void svm_vcpu_load(struct vcpu *vcpu);
void svm_vcpu_put(struct vcpu *vcpu);
void svm_vcpu_release(struct vcpu *vcpu);
/* The current VMCB gets an ASID of this CPU, where the vCPU is loaded. Nothing if it has one. */
void svm_choose_tlb_id(struct vcpu_svm *svm, struct percpu *cpu);
void svm_flush_translations(struct vcpu *vcpu);	/* svm_flush_tlb(), for the operations table */
void svm_reset_debug_registers(void);		/* DR0 to DR3 of a loaded vCPU, as after power-up */
/* svm/run.c */
void svm_handle_intr(struct vcpu *vcpu);
enum exit_fastpath svm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit);
/* svm/fastpath.c. Called by the entry stub, with GIF clear and the guest's GS base. */
enum svm_fastpath {
	SVM_FASTPATH_ACCESS = -1,	/* only the time is recorded: svm_access_in_stub() may handle it */
	SVM_FASTPATH_NONE,		/* the same: svm_exit_in_stub() may */
	SVM_FASTPATH_ENTER,		/* handled: enter the guest again */
};
enum svm_fastpath svm_exit_fastpath(struct vcpu *vcpu);
/* svm/exit.c */
void svm_handle_exit(struct vcpu *vcpu);
extern void (*const svm_handlers[SVM_EXITS])(struct vcpu *vcpu);	/* by vcpu->exit_index; NULL: unexpected */
const char *svm_exit_name(u8 exit_index);
int svm_skip_instruction(struct vcpu *vcpu);
void svm_step_over(struct vcpu *vcpu, unsigned length);
void svm_instruction_done(struct vcpu *vcpu);
/* svm/state.c */
u64 svm_saved_rip(const struct vcpu *vcpu);
void svm_reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg);
u64 svm_control_get(struct vcpu *vcpu, enum vcpu_control control);
void svm_control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value);
/* CR0, CR4 and EFER as VMRUN loads them: without a flush. Sets CR intercepts, which VMRUN reads. */
void svm_set_paging_mode(struct vcpu_svm *svm, u64 cr0, u64 cr4, u64 efer);
void svm_segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment);
void svm_segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment);
void svm_code_view(const struct vcpu *vcpu, struct code_view *view);
void svm_table_get(struct vcpu *vcpu, bool idt, struct descriptor_table *table);
void svm_table_set(struct vcpu *vcpu, bool idt, const struct descriptor_table *table);
int svm_msr_get(struct vcpu *vcpu, u32 msr, u64 *value);
int svm_msr_set(struct vcpu *vcpu, u32 msr, u64 value);
void svm_tsc_offset_changed(struct vcpu *vcpu);
/* svm/apic.c */
enum apic_hardware svm_apic_hardware(const struct vm *vm);	/* of a VM that is being created */
void svm_apic_reset(struct vcpu_svm *svm);			/* after svm_set_control() */
void svm_v_tpr_changed(struct vcpu_svm *svm);
void svm_tpr_written(struct vcpu *vcpu, u8 tpr);		/* vcpu_ops.tpr_written */
void svm_apic_entry(struct vcpu *vcpu);				/* vcpu_ops.apic_entry */

/* After an exit, before anything looks at the local APIC: its TPR is what the guest has written to CR8. */
static inline void svm_take_v_tpr(struct vcpu_svm *svm)
{
	if (unlikely((u8)svm->vmcb->control.int_control != svm->v_tpr))
		svm_v_tpr_changed(svm);
}

/* svm/events.c */
void svm_inject(struct vcpu *vcpu, const struct event *event);
bool svm_interrupt_blocked(struct vcpu *vcpu);
bool svm_nmi_blocked(struct vcpu *vcpu);
void svm_interrupt_window(struct vcpu *vcpu, bool on);
void svm_delivery_cut_off(struct vcpu *vcpu);
void svm_iret_done(struct vcpu *vcpu);
/* An NMI is in service from here on, until an IRET. */
void svm_nmi_delivered(struct vcpu_svm *svm);
static inline void svm_events_after_exit(struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);

	vcpu->events.reinject.type = EVENT_NONE;
	if (unlikely(svm->vmcb->control.exit_int_info & EVENT_VALID))
		svm_delivery_cut_off(vcpu);
	/* The IRET that ends an NMI handler has run when RIP has moved on. */
	if (unlikely(svm->iret_pending) && vcpu->exit_rip != svm->iret_rip)
		svm_iret_done(vcpu);
}
void svm_handle_vintr(struct vcpu *vcpu);
void svm_handle_iret(struct vcpu *vcpu);
/* svm/task.c */
void svm_await_task_switch(struct vcpu *vcpu);	/* have the next one exit */
void svm_handle_task_switch(struct vcpu *vcpu);
/* svm/step.c */
void svm_nmi_window(struct vcpu *vcpu, bool on);
void svm_handle_debug(struct vcpu *vcpu);
void svm_handle_fault(struct vcpu *vcpu);	/* exceptions that exit during a step only */
void svm_end_step(struct vcpu *vcpu);
/* svm/entry_state.c. Points to the VMCB itself; reads the rest from this processor. */
void svm_entry_state_read(struct vcpu *vcpu, struct svm_entry_state *state);
/* svm/check.c */
unsigned svm_check_next_entry(struct vcpu *vcpu, violation_sink *sink, void *context);
void svm_explain_failure(struct vcpu *vcpu);
/* svm/dump.c */
void svm_dump(struct vcpu *vcpu);
