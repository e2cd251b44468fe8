/* SPDX-License-Identifier: MIT */
/*
 * Nested VMX: a guest (L1) that is a hypervisor itself, and its guest (L2). What the files of this folder share.
 * A vCPU without nested=on has no struct nested_vmx: vmx->nested is NULL.
 */
#pragma once

#include "core/mem/shadow.h"
#include "vmx/nested/l2.h"
#include "vmx/nested/vmcs12.h"
#include "vmx/vmx.h"

#define NO_VMCS ~0ull	/* of current_ptr: SDM, "VMPTRST": there is no current VMCS */

#define NESTED_PASSED 32	/* a power of 2 */

/* What VM entries of L1 are checked with: check.c. */
struct nested_checks {
	/* What L1 is offered, constant from power-up on (caps.c), and the state of the entry that is being checked. */
	struct vmx_entry_state l1;
	/* Digests of states that broke no rule: of what the rules about controls and the host look at, and of all; 0: none. */
	u64 passed_others[NESTED_PASSED], passed[NESTED_PASSED];
	/* The fields that L1 is offered, in the state's order: where each is there and in vmcs12.fields, and which bits rules look at. */
	unsigned offered, offered_others;	/* how many; how many of them the rules about controls and the host look at */
	u64 bits[VMX_FIRST_PROCESSOR];
	u8 index[VMX_FIRST_PROCESSOR], place[VMX_FIRST_PROCESSOR];
};
_Static_assert(sizeof(struct nested_checks) <= PAGE_SIZE, "allocated as one page");

/* MSRs of Hyper-V's interface: hyperv.c. */
struct hyperv {
	u64 guest_os_id, hypercall;	/* those of vCPU 0 are the VM's; any CPU */
	u64 assist;			/* VP assist page; */
#define NESTED_ASSIST_ENABLED 1ull	/* bit of it: there is one */
	u64 tsc_invariant;
};

/* VMCS shadowing: shadowing.c. */
struct nested_shadowing {
	void *page;		/* the shadow VMCS; NULL: the VM does without */
	u8 *reads, *writes;	/* bitmaps, a page each */
	bool on;		/* it has fields of the current VMCS, and vmcs01 has the control on */
};

/* One page, allocated with the vCPU. Home CPU. */
struct nested_vmx {
	/* --- L1 in VMX operation: instructions.c, region.c --- */
	bool vmxon;		/* L1 is in VMX operation; in root operation unless vcpu.l2_runs */
	gpa_t vmxon_ptr;
	gpa_t current_ptr;	/* the current VMCS; NO_VMCS */
	bool enlightened;	/* it is an enlightened one, which L1 reads and writes itself: evmcs.c */
	struct vmcs12 *vmcs12;	/* L0's copy of it: a page, never NULL. Valid if current_ptr is not NO_VMCS */
	struct nested_checks *checks;	/* a page, never NULL */
	/* The next entry of L2 has to flush what the processor has cached of L2: L1 has asked for it, or uses VPIDs anew. */
	bool flush_l2;
	struct hyperv hyperv;
	struct nested_shadowing shadowing;

	/* --- L2 --- */
	struct shadow *shadow;	/* what L2 runs on where L1 uses EPT */
	struct nested_l2 l2;
};
_Static_assert(sizeof(struct nested_vmx) <= PAGE_SIZE, "allocated as one page");

static inline struct nested_vmx *to_nested(struct vcpu *vcpu)
{
	return to_vmx(vcpu)->nested;
}

/* SDM, "VM-Instruction Error Numbers" */
enum vmx_error {
	VMX_ERROR_VMCALL = 1,
	VMX_ERROR_VMCLEAR_ADDRESS = 2,
	VMX_ERROR_VMCLEAR_VMXON = 3,
	VMX_ERROR_LAUNCH_NOT_CLEAR = 4,
	VMX_ERROR_RESUME_NOT_LAUNCHED = 5,
	VMX_ERROR_CONTROLS = 7,
	VMX_ERROR_HOST_STATE = 8,
	VMX_ERROR_VMPTRLD_ADDRESS = 9,
	VMX_ERROR_VMPTRLD_VMXON = 10,
	VMX_ERROR_VMPTRLD_REVISION = 11,
	VMX_ERROR_FIELD = 12,
	VMX_ERROR_READ_ONLY_FIELD = 13,
	VMX_ERROR_VMXON_IN_ROOT = 15,
	VMX_ERROR_MOV_SS = 26,
	VMX_ERROR_INVALIDATE = 28,
};

/* state.c */
/* -ENOMEM; nested_vmx_destroy() cleans up after a failure too. */
int nested_vmx_create(struct vcpu_vmx *vmx);
void nested_vmx_destroy(struct vcpu_vmx *vmx);
/* Power-up, or INIT that resets L1: no VMX operation any more. L2 has been left. */
void nested_vmx_reset(struct vcpu_vmx *vmx, bool init);

/*
 * instructions.c: the VMX instructions of L1, as exits of vmcs01: raises #UD where L1 is offered none. L2's exit to L1
 * always: exit.c.
 */
void nested_handle_instruction(struct vcpu *vcpu);
bool nested_control_allowed(struct vcpu *vcpu, enum vcpu_control control, u64 value);	/* vcpu_ops.nested_control_allowed */

/* In VMX root operation it waits for VMXOFF: vcpu_ops.nested_init of L1. */
enum nested_init nested_vmx_init(struct vcpu *vcpu);

/* region.c: the VMCS regions in L1's RAM. */
u32 nested_region_revision(const struct vcpu *vcpu, gpa_t region);
/* Make it current, the one before is written back. False: its revision is not VMCS12_REVISION; the one before stays. */
bool nested_region_load(struct vcpu *vcpu, gpa_t region);
void nested_region_release(struct vcpu *vcpu);	/* write the current one back: there is none then */
void nested_region_clear(struct vcpu *vcpu, gpa_t region);	/* launch state "clear"; if it is current, release it */

/* hyperv.c: nothing without nested=evmcs. What nested_vmx_cpuid() and so on have besides; -ENOENT: no such MSR. */
#define NESTED_HYPERV_LEAF 0x4000000au	/* the last: vcpu_ops.evmcs_leaf */
void nested_hyperv_cpuid(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs);
int nested_hyperv_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int nested_hyperv_msr_write(struct vcpu *vcpu, u32 msr, u64 value);
void nested_hyperv_reset(struct vcpu *vcpu);
void nested_vmx_hypercall(struct vcpu *vcpu);	/* vcpu_ops.nested_hypercall */

/* evmcs.c */
static inline bool nested_evmcs_may_be_on(struct vcpu *vcpu)
{
	return to_nested(vcpu)->hyperv.assist & NESTED_ASSIST_ENABLED;
}
bool nested_evmcs_is_on(struct vcpu *vcpu);	/* shall L1's next entry be an enlightened one? */
/*
 * At VMLAUNCH or VMRESUME, where nested_evmcs_may_be_on(): if L1 asks for an enlightened entry, make its page current and copy
 * from it what L1 has changed, or `all`. Refused, with a line in the log: there is no current VMCS then.
 */
void nested_evmcs_load(struct vcpu *vcpu, bool all);
/* The current VMCS is enlightened: write what an exit has changed, or an instruction's error, to L1's page. */
void nested_evmcs_store(struct vcpu *vcpu);
void nested_evmcs_store_error(struct vcpu *vcpu, u32 error);

/* shadowing.c. While vmcs01 is current; nothing where the VM does without. */
int nested_shadowing_create(struct vcpu_vmx *vmx);	/* -ENOMEM; the other cleans up after a failure too */
void nested_shadowing_destroy(struct vcpu_vmx *vmx);
/* The vCPU leaves the CPU. What the processor has cached of the shadow VMCS is written to its page. vmcs01 need not be current. */
void nested_shadowing_release(struct vcpu_vmx *vmx);
/* vmcs12 has become L1's current VMCS; L1 is about to let go of it. */
void nested_shadowing_begin(struct vcpu *vcpu);
void nested_shadowing_end(struct vcpu *vcpu);
/* Into vmcs12 what L1 has written. After that: to L1 what an exit, or a VMWRITE of exit information, has changed in vmcs12. */
void nested_shadowing_read(struct vcpu *vcpu);
void nested_shadowing_write(struct vcpu *vcpu);

/* result.c: how an instruction of L1 ends. SDM, "Conventions": flags in RFLAGS; RIP is stepped over the instruction. */
void nested_vmsucceed(struct vcpu *vcpu);
void nested_vmfail_invalid(struct vcpu *vcpu);
void nested_vmfail(struct vcpu *vcpu, enum vmx_error error);	/* VMfailInvalid where no VMCS is current */

/*
 * check.c: may L2 be entered from vmcs12? By vmx/rules, with what L1 is offered. SDM, "VM Entries". The first broken rule
 * is reported in the trace and, once per rule, in the log. All but the MSR-load area, whose entries are checked as they are loaded.
 */
struct nested_check {
	enum { NESTED_ENTRY_OK, NESTED_ENTRY_VMFAIL, NESTED_ENTRY_FAILED } outcome;
	enum vmx_error error;	/* VMFAIL: 7 or 8 */
	u32 reason;		/* FAILED: 0x80000021 */
	u64 qualification;	/* FAILED: 0, 2 (PDPTEs), 3 (NMI blocked by STI), 4 (link pointer) */
	const char *rule;	/* the broken one's name, a constant; NULL: none is */
	u64 pdptes[4];		/* OK, and L2 uses PAE paging: its PDPTEs, of vmcs12 with EPT, else from memory */
};
#define NESTED_FAILED_ENTRY BIT(31)	/* of an exit reason */
void nested_checks_init(struct nested_vmx *nested);
void nested_vmx_check(struct vcpu *vcpu, struct nested_check *check);
/* For reports: vmcs12 as the rules see it. */
const struct vmx_entry_state *nested_entry_state(struct vcpu *vcpu);
/*
 * An entry of a VM-entry or VM-exit MSR-load area, which has been read from L1's memory. Is it refused, whatever WRMSR says
 * to the MSR and the value? That is reported in the log, as by nested_msr_entry_tell(): for an entry that WRMSR refuses. Then the
 * entry into L2 fails with reason 0x80000022 and the entry's number, from 1 on, as qualification.
 */
bool nested_msr_entry_refused(struct vcpu *vcpu, const struct vmx_msr_entry *entry, u32 number);
void nested_msr_entry_tell(struct vcpu *vcpu, const struct vmx_msr_entry *entry, u32 number);

/* entry.c */
/*
 * VMLAUNCH or VMRESUME, after the checks of the instruction itself: launch state, MOV-SS blocking, a current VMCS. Checks
 * vmcs12, and either enters L2 (RIP of vmcs01 stays where it is: exits of L2 load the host state of vmcs12), or ends the
 * instruction by nested_vmfail(), or fails the entry as an exit to L1. vmcs12->launched is set when L2 has been entered.
 */
void nested_vmx_enter(struct vcpu *vcpu);
/* Out of L2 without an exit that L1 could see: reset, stop, destroy. Nothing if L2 is not the current level. */
void nested_vmx_leave(struct vcpu *vcpu);

/*
 * caps.c. What a processor with these values offers L1: fills in the processor's fields of *l1, all but those that belong to
 * one entry.
 */
void nested_caps(const struct vcpu *vcpu, const struct vmx_entry_state *host, struct vmx_entry_state *l1);
/* vcpu_ops.nested_msr_read, nested_msr_write: the MSRs that announce VMX. -ENOENT: it is none; -EINVAL: #GP. */
int nested_vmx_msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int nested_vmx_msr_write(struct vcpu *vcpu, u32 msr, u64 value);
void nested_vmx_cpuid(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs);	/* vcpu_ops.nested_cpuid */

/* --- while L2 is the current level: vmx/nested/l2.h --- */

/* vmcs02.c. -ENOMEM; the other cleans up after a failure too. L2 has been left. */
int nested_vmcs02_create(struct vcpu_vmx *vmx);
void nested_vmcs02_destroy(struct vcpu_vmx *vmx);
/* Make vmcs02, resp. vmcs01, current, and L2, resp. L1, what vcpu->ops work on. Which events exit is forgotten. */
void nested_use_vmcs02(struct vcpu *vcpu);
void nested_use_vmcs01(struct vcpu *vcpu);
/* What vmcs02 needs besides vmcs12. */
struct nested_origin {
	u64 dr7, pat, efer;	/* L1's, which L2 inherits where vmcs12 does not load them */
	u64 pdptes[4];			/* of PAE paging, checked */
};
/*
 * Fill vmcs02, which is current, from vmcs12 and what L0 needs itself. DEBUGCTL stays 0: neither L1 nor L2 has what it
 * switches on, and its branch trace store would write to the host's memory.
 */
void nested_fill_vmcs02(struct vcpu *vcpu, const struct nested_origin *from);
/* The virtual-APIC page and the APIC-access page, with their controls: at an entry, and after nested_vmx_forget(). */
void nested_write_apic(struct vcpu *vcpu);
/*
 * L2 begins or ceases to run on this CPU. To L1, and to the VM's other vCPUs, the APIC-access page is RAM, by the same EPT unless
 * L2 has its own. SDM, "Guest-Physical Accesses to the APIC-Access Page".
 */
void nested_forget_apic_access(struct vcpu *vcpu);
/* Guest state that vmcs02 and vmcs12 have alike, from vmcs02 to vmcs12: after an exit of L2. */
void nested_save_guest(struct vcpu *vcpu);

/* L1's controls as they count: 0 where the word that holds them is not activated. */
static inline u32 nested_secondary(const struct vmcs12 *v)
{
	return vmcs12_read32(v, PRIMARY_CONTROLS) & PRIMARY_SECONDARY ? vmcs12_read32(v, SECONDARY_CONTROLS) : 0;
}

/* The APIC-access page, in L1's memory. */
#define NO_APIC_ACCESS ~0ull
static inline gpa_t nested_apic_access(const struct vmcs12 *v)
{
	return nested_secondary(v) & SECONDARY_APIC_ACCESSES ? vmcs12_read64(v, APIC_ACCESS_ADDRESS) : NO_APIC_ACCESS;
}

/* owner.c: does L1 get this exit of L2? Else L0 has caused it for itself, or L1 has left it to the processor. */
bool nested_l1_gets(struct vcpu *vcpu, union vmx_exit_reason reason);
/* The same for an exception that L0 raises in L2, and for accesses that L0 emulates. */
bool nested_l1_gets_exception(const struct vmcs12 *v, u8 vector, u32 error_code);
bool nested_l1_gets_lmsw(const struct vmcs12 *v, u16 value);
bool nested_l1_gets_port(struct vcpu *vcpu, u16 port, unsigned size);
bool nested_l1_gets_msr(struct vcpu *vcpu, u32 msr, bool write);

/* exit.c: all that an exit to L1 reports. */
struct nested_exit {
	union vmx_exit_reason reason;
	u64 qualification;
	u32 interruption_info, interruption_error;
	u32 vectoring_info, vectoring_error;
	u32 instruction_length, instruction_info;
	u64 linear_address, physical_address;
};
/* SDM, "VM Exits": from L2 to L1. */
void nested_vmx_exit(struct vcpu *vcpu, const struct nested_exit *exit);
/* The exit that the processor has just made, as it is. */
void nested_reflect(struct vcpu *vcpu);
/* An exit that L0 makes for L1, with nothing but that. */
void nested_exit_for(struct vcpu *vcpu, enum exit_reason reason, u64 qualification);
/*
 * SDM, "VM-Entry Failures During or After Loading Guest State": L1 goes on at its host state. Either level may be current.
 * `reason`: the full one.
 */
void nested_fail_entry(struct vcpu *vcpu, u32 reason, u64 qualification);


/* msr_list.c */
/* Load a list as the level that is current. 0; else the number of the entry that is refused, from 1 on. */
u32 nested_load_msrs(struct vcpu *vcpu, gpa_t list, u32 count);
/* Store L2's values. -EINVAL: an entry is refused. */
int nested_store_msrs(struct vcpu *vcpu, gpa_t list, u32 count);

/* events.c */
void nested_events_create(struct vcpu *vcpu);
/* L1's preemption timer: from the entry into L2 to the exit. */
void nested_start_timer(struct vcpu *vcpu);
void nested_stop_timer(struct vcpu *vcpu);
bool nested_vmx_events(struct vcpu *vcpu);
bool nested_takes_exception(struct vcpu *vcpu, u8 vector, u32 error_code);
void nested_triple_fault(struct vcpu *vcpu);
/* L1's monitor trap flag is set, and L0 has executed an instruction of L2, or one iteration of it. */
void nested_monitor_trap(struct vcpu *vcpu);
enum nested_init nested_l2_init(struct vcpu *vcpu);
bool nested_interrupt_blocked(struct vcpu *vcpu);
bool nested_nmi_blocked(struct vcpu *vcpu);
void nested_interrupt_window(struct vcpu *vcpu, bool on);
void nested_nmi_window(struct vcpu *vcpu, bool on);
void nested_halt(struct vcpu *vcpu);	/* L2 is halted from now on */

/* ept.c */
int nested_ept_create(struct vcpu *vcpu);	/* -ENOMEM */
void nested_ept_destroy(struct vcpu *vcpu);
/* The EPTP of vmcs02 for what vmcs12 says. */
u64 nested_ept_pointer(struct vcpu *vcpu);
bool nested_ept_is_on(struct vcpu *vcpu);	/* does L1 use EPT for L2? */
void nested_ept_flush(struct vcpu *vcpu);	/* what is due, before an entry of L2 */
void nested_vmx_forget(struct vcpu *vcpu);	/* the VM's own EPT has changed. Either level may be current */
void nested_ept_violation(struct vcpu *vcpu);
int nested_vmx_gpa(struct vcpu *vcpu, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa);
void nested_vmx_fault(struct vcpu *vcpu);

/* l2.c: what vmcs02 holds for a value of L2's CR0, CR4 */
u64 nested_real_cr0(u64 cr0);
u64 nested_real_cr4(u64 cr4);
/* l2.c: the operations while L2 runs. */
extern const struct vcpu_ops vmx_l2_ops;
