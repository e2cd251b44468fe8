/* SPDX-License-Identifier: MIT */
/*
 * Guests that are hypervisors, under SVM: core/nested.h. L0 is Lamina, L1 the hypervisor in its guest, L2 that
 * one's guest. 01 is what L0 runs L1 with, 02 what it runs L2 with, 12 what L1 has written. AMD APM vol. 2, "SVM
 * Instruction Set and Processor Resources".  vcpu_svm's members for the current VMCB are those of the level that
 * runs: nsvm_enter() and nsvm_exit() change them. The state that VMLOAD and VMSAVE move, and that VMRUN leaves
 * alone, goes with the level.
 */
#pragma once

#include "core/mem/nested_walk.h"
#include "core/nested.h"
#include "svm/svm.h"

struct shadow;

enum { LEVEL_L1, LEVEL_L2, LEVELS };

/* What L1 sees of an exit besides L2's state. */
struct nsvm_exit {
	u64 code, info1, info2;
	u64 int_info;		/* EXITINTINFO */
	u64 next_rip;
	bool fetched;		/* by the processor: the instruction's bytes that it has saved are of this exit */
};

/* Exit codes below have a bit in the intercept words. */
#define NSVM_INTERCEPT_BITS 0xc0
/* Of int_control: what L1 sets for L2's virtual interrupt. */
#define VIRTUAL_INTERRUPT (V_TPR | V_IRQ | V_INTR_PRIO(15) | V_IGN_TPR | V_INTR_VECTOR)

struct svm_nested {
	struct svm_level parked[LEVELS];	/* of the level that does not run: its VMCB, ASID, CR0 and CR4 */
	struct vmcb vmcb12;			/* L1's, as it was at VMRUN: what counts until the exit */
	gpa_t vmcb12_gpa;
	u8 *msrpm;				/* of 02: the VM's and L1's */
	u64 vm_cr, hsave_pa;			/* MSRs */
	u64 efer_valid, cr4_valid;		/* bits that L1's processor has, from the first VMRUN on; 0: not known yet */
	bool svme;				/* L1's EFER.SVME */
	bool gif;				/* the global interrupt flag, of L1 and L2 */
	bool init_waits;			/* for GIF */
	bool host_if;				/* L1's RFLAGS.IF at VMRUN */
	bool nmi_of_l1;				/* the NMI that is injected into L2 is one of L1's making */
	bool virq_lent;				/* 02's V_IRQ waits for L0's window; L1's own is in vmcb12 */
	u32 asid12;				/* L1's ASID that 02's translations are of; 0: none */
	bool flush;				/* 02's translations are to go before L2 runs */
	struct nested_tables tables;		/* L1's, if it has nested paging for L2 */
	struct shadow *shadow;			/* of these and the VM's own */
	struct {
		gpa_t address;			/* L2's */
		u64 info;			/* EXITINFO1 */
	} refused;				/* by L1's tables, at the last nsvm_gpa() that failed */
	struct vcpu_ops gif_clear;		/* vcpu->ops of L1 while GIF is 0 */
};

/* Does L1 have this exit code, below 0xc0? Its number is the bit's in the intercept words. */
static inline bool nsvm_intercepts(const struct svm_nested *nested, unsigned code)
{
	return (&nested->vmcb12.control.intercept_cr)[code / 32] & BIT(code % 32);
}

/* L1 has nested paging for L2. */
static inline bool nsvm_paging(const struct svm_nested *nested)
{
	return nested->vmcb12.control.np_enable & 1;
}

/* svm/nested/state.c */
int nsvm_create(struct vm *vm, struct vcpu_svm *svm);
void nsvm_destroy(struct vcpu_svm *svm);
/* L1 runs from here on, whatever L2 did: power-up or INIT. */
void nsvm_reset(struct vcpu *vcpu, bool init);
/* The other level's VMCB becomes the current one, with what VMRUN and #VMEXIT leave alone. */
void nsvm_switch(struct vcpu *vcpu, bool to_l2);
/* The vCPU comes to another CPU: what that one has kept of the VMCB of the level that does not run is stale. */
void nsvm_come_to_cpu(struct vcpu_svm *svm);
void nsvm_set_gif(struct vcpu *vcpu, bool gif);
/* GIF is set now: an INIT that has waited for it is served. */
void nsvm_look_at_init(struct vcpu *vcpu);
void nsvm_efer_written(struct vcpu *vcpu, u64 efer);

/* svm/nested/msr.c */
void nsvm_cpuid(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs);
bool nsvm_control_allowed(struct vcpu *vcpu, enum vcpu_control control, u64 value);
int nsvm_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int nsvm_msr_write(struct vcpu *vcpu, u32 msr, u64 value);

/* svm/nested/instructions.c: the handlers of exits, for svm/exit.c */
void nsvm_handle_vmrun(struct vcpu *vcpu);
void nsvm_handle_vmload(struct vcpu *vcpu);
void nsvm_handle_vmsave(struct vcpu *vcpu);
void nsvm_handle_stgi(struct vcpu *vcpu);
void nsvm_handle_clgi(struct vcpu *vcpu);
void nsvm_handle_invlpga(struct vcpu *vcpu);

/* svm/nested/vmcb12.c */
/* The bits of L1's VMCB that 02 takes. The rest of *to stays. Pure. */
void nsvm_import(const struct vmcb *from, struct vmcb *to);
/* The state that VMLOAD loads and VMSAVE saves. */
void nsvm_copy_vmload(const struct vmcb_save *from, struct vmcb_save *to);

/* svm/nested/check.c. 0, or -EINVAL: the VMRUN of vmcb12 fails. Logs which rule says so, once each. */
int nsvm_check(struct vcpu *vcpu);

/* svm/nested/entry.c */
/* L1 executes VMRUN, its RIP is already behind it, and vmcb12 is read. */
void nsvm_enter(struct vcpu *vcpu);
/* L0's own intercepts may have changed: add L1's again. Before each entry of L2. */
void nsvm_merge_intercepts(struct vcpu_svm *svm);

/* svm/nested/exit.c */
enum exit_fastpath nsvm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit);
void nsvm_handle_exit(struct vcpu *vcpu);
/* #VMEXIT: L1 goes on behind its VMRUN. */
void nsvm_exit(struct vcpu *vcpu, const struct nsvm_exit *exit);
/* The same for an event that L0 delivers: nothing but its code. */
void nsvm_exit_event(struct vcpu *vcpu, u64 code);
/* EXITINTINFO for L1: the event whose delivery the last exit of 02 has cut off. 0: none. */
u64 nsvm_interrupted_event(const struct vcpu_svm *svm);
/* As if the processor had refused vmcb12. */
void nsvm_entry_failed(struct vcpu *vcpu);

/* svm/nested/events.c */
bool nsvm_events(struct vcpu *vcpu);
void nsvm_triple_fault(struct vcpu *vcpu);
bool nsvm_takes_exception(struct vcpu *vcpu, u8 vector, u32 error_code);
void nsvm_inject(struct vcpu *vcpu, const struct event *event);
enum nested_init nsvm_init(struct vcpu *vcpu);
bool nsvm_interrupt_blocked(struct vcpu *vcpu);
bool nsvm_nmi_blocked(struct vcpu *vcpu);
void nsvm_interrupt_window(struct vcpu *vcpu, bool on);
void nsvm_nmi_window(struct vcpu *vcpu, bool on);
/* The event that L1 injects: L0 injects it as one whose delivery an exit has interrupted. */
void nsvm_take_injection(struct vcpu *vcpu, u64 event);
/* After an entry that has injected this: if an exit has cut its delivery off, it is to be injected again. */
void nsvm_keep_injection(struct vcpu *vcpu, u64 event);
void nsvm_handle_vintr(struct vcpu *vcpu);
void nsvm_handle_hlt(struct vcpu *vcpu);
/* The operations of L1 while GIF is 0. */
void nsvm_gif_clear_ops(struct vcpu_ops *ops);

/* svm/nested/maps.c: intercept maps */
void nsvm_merge_msrpm(struct vcpu *vcpu);
bool nsvm_intercepts_msr(struct vcpu *vcpu);
bool nsvm_intercepts_io(struct vcpu *vcpu);

/* svm/nested/control.c. *code: the exit's, and then what L1 sees. */
bool nsvm_intercepts_cr0_write(struct vcpu *vcpu, u64 *code);
/*
 * An access of L2's that L1 does not intercept. Another CPU of L2's may have changed the instruction since the exit: L2
 * executes one that L1 intercepts again, and has its exit then.
 */
void nsvm_handle_cr(struct vcpu *vcpu);

/* svm/nested/ops.c */
extern const struct vcpu_ops nsvm_l2_ops;
/*
 * svm_next_rip() of the current level. 0 where that would have to read L2's code by L1's nested tables: its fast way to
 * the code knows tables in L1's addresses only.
 */
u64 nsvm_next_rip(const struct vcpu *vcpu);

/* svm/nested/paging.c: L1's nested paging */
int nsvm_paging_create(struct vm *vm, struct vcpu_svm *svm);
/* The nested CR3 of 02, at VMRUN. */
void nsvm_paging_enter(struct vcpu *vcpu);
/* Before each entry of L2. */
void nsvm_paging_flush(struct vcpu_svm *svm);
void nsvm_handle_npf(struct vcpu *vcpu);
int nsvm_gpa(struct vcpu *vcpu, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa);
void nsvm_fault(struct vcpu *vcpu);
void nsvm_forget_asid(struct vcpu_svm *svm, u32 asid);	/* 0: all */
