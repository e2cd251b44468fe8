/* SPDX-License-Identifier: MIT */
/* A virtual CPU: the state and the operations that both vendors share. */
#pragma once

#include "arch/cpu/percpu.h"
#include "core/cpu/machine_check.h"
#include "core/cpu/paravirt.h"
#include "core/cpu/segment.h"
#include "core/device.h"
#include "core/event.h"
#include "core/irqchip.h"
#include "core/observe/entry_rule.h"
#include "core/observe/statistics.h"
#include "core/posted.h"
#include "core/sched.h"
#include "core/vtimer.h"
#include "lib/errno.h"
#include "lib/types.h"

struct vm;
struct vcpu;
struct code_view;
struct trace_record;
struct mmio_memory;
struct cpuid_regs;
struct tdp_format;

enum vcpu_reg {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	REG_RIP, REG_RFLAGS, REG_COUNT,
};

/* Registers that the hardware keeps and that are fetched and stored on demand. */
#define REGS_LAZY (BIT(REG_RSP) | BIT(REG_RIP) | BIT(REG_RFLAGS))

/* Control state that the vendor holds; read and written through the operations table. */
enum vcpu_control { CTL_CR0, CTL_CR2, CTL_CR3, CTL_CR4, CTL_EFER, CTL_DR6, CTL_DR7, CTL_XCR0 };

/* What vcpu_run() has done about the exit. */
enum exit_fastpath {
	EXIT_FASTPATH_NONE,		/* nothing: call handle_exit() */
	EXIT_FASTPATH_REENTER_GUEST,	/* handled: enter the guest again */
	EXIT_FASTPATH_EXIT_HANDLED,	/* handled: the loop has to go on, see fastpath_ends() */
	EXIT_FASTPATH_ENTRY_FAILED,	/* the guest never ran; the failure record says why */
	EXIT_FASTPATH_OUTCOMES,
};

enum entry_failure {
	ENTRY_OK,
	ENTRY_VMFAIL_INVALID,		/* VMX: no current VMCS */
	ENTRY_VMFAIL_VALID,		/* VMX: instruction error */
	ENTRY_INVALID_STATE,		/* VMX: invalid guest state; SVM: VMEXIT_INVALID */
	ENTRY_MSR_LOADING,		/* VMX: qualification is the entry's index, from 1 */
	ENTRY_MACHINE_CHECK,		/* VMX: machine check during VM entry */
	ENTRY_UNKNOWN,			/* VMX: bit 31 with a basic reason that the manual does not name */
};

struct failure_record {
	enum entry_failure kind;
	u64 reason;			/* full exit reason or exit code; 0 after VMfail */
	u64 qualification;
	u32 instruction_error;
};

/* Requests: bits of vcpu->requests. */
enum vcpu_request {
	REQ_EVENT = BIT(0),	/* pending events, or what blocks them, changed: choose what to inject */
	REQ_TIMER = BIT(1),	/* a timer of this vCPU may have expired */
	REQ_STOP = BIT(2),	/* the VM is to end at the next instruction boundary */
	REQ_STATE = BIT(3),	/* vm->state has changed */
	REQ_RESCHED = BIT(4),	/* let the scheduler of the home CPU choose what runs next */
	REQ_NMI = BIT(5),	/* an NMI was sent to this vCPU */
	REQ_STARTUP = BIT(6),	/* INIT or a start-up IPI was sent to this vCPU: see vcpu->startup */
	REQ_DUMP = BIT(8),	/* log the vCPU's state */
	REQ_FLUSH_TLB = BIT(7),	/* invalidate the vCPU's cached translations before its next entry */
	REQ_NMI_AGAIN = BIT(11), /* another one was, before the first was looked at: vcpu_raise_nmi() */
	REQ_WAIT = BIT(10),	/* by the home CPU: the entry has to wait until vcpu->wait.until: core/advance.h */
	REQ_WORK = BIT(9),	/* do some of what the VM's devices have posted: core/work.h */
};

#define REQ_NMIS (REQ_NMI | REQ_NMI_AGAIN)

/* The vCPU's part in the work of its VM's devices: core/work.c. Home CPU. */
struct vcpu_work {
	struct vtimer timer;	/* armed while work waits until the guest has had its time */
	struct vm_work *last;	/* what it has done last */
	u64 ended, took;	/* its last turn, and how long the guest runs after it: host TSC, ticks */
	u64 not_before;		/* host TSC: its next turn, unless the guest asks for one or is halted */
	bool asked;		/* the guest itself has asked for work */
	bool serving;		/* it is doing work */
};

/* Bits of vcpu->every_exit. The first one is core's. */
#define EVERY_EXIT	  BIT(0)
#define EVERY_EXIT_VENDOR BIT(1)

enum vcpu_activity { VCPU_RUNNING, VCPU_HALTED, VCPU_WAIT_FOR_SIPI };

/*
 * Who may access a member while the VM runs:
 *   home CPU:    only the CPU that the vCPU belongs to, without a lock;
 *   atomic:      any CPU, by atomic operations;
 *   VM lock:     any CPU that holds the VM's lock;
 *   constant:    any CPU. The member does not change after the vCPU's creation.
 */
struct vcpu {
	/* Home CPU. */
	u64 regs[REG_COUNT];		/* must stay first: the entry stubs index it. See vcpu_reg_read() */
	u32 regs_available;		/* lazy registers whose value in regs[] is valid */
	u32 regs_dirty;			/* lazy registers that the next entry must store */

	/* Constant. */
	struct vm *vm;
	const struct vcpu_ops *ops;	/* home CPU: core/nested.h changes it; vm->ops is constant */
	struct percpu *cpu;		/* the home CPU */
	/* vm->signal_lock. */
	u32 startup;			/* INIT and start-up IPIs: core/startup.h */
	bool halted_for_good;		/* it has halted, or waits for a start-up IPI, and no signal was sent to it since */
	/* Atomic. */
	u32 requests __aligned(8);			/* enum vcpu_request */
	/* Constant, but for core/nested.h and the vendor: home CPU. */
	u16 every_exit;			/* not 0: no fast path: L2 runs, or an option or the vendor needs each exit */
	/* Home CPU. */
	u16 activity;			/* enum vcpu_activity */
	/* Constant. */
	u32 id;				/* also the guest's APIC ID */
	u32 trace_head;			/* identifies this vCPU and its level in trace records: core/observe/trace.c */
	/* Home CPU. */
	bool halt_if, halt_nmi;		/* VCPU_HALTED: do interrupts, do NMIs wake it? The state that HLT left */
	bool stopping;			/* REQ_STOP has allowed one entry, for an event in delivery */
	bool l2_runs;			/* the guest's own guest is what the vCPU executes: core/nested.h */
	/* VM lock: written before REQ_STOP is set, read after. */
	const char *stop_reason;	/* of REQ_STOP, in words; NULL: already logged by the requester */
	/* Home CPU: set when the vCPU is loaded. */
	bool deadline_in_hardware;	/* vendor: vcpu_run() itself enforces timer_deadline */

	/* Home CPU. */
	struct vcpu_events events;
	bool (*choose_event)(struct vcpu *vcpu);	/* event_chooser()'s, or what core/nested.c has while L2 runs */
	/* Home CPU. */
	struct vtimer_list timers;	/* of its own devices: the local APIC's; they may fire early */
	u64 timer_deadline;		/* host TSC at which the guest has to exit: the earliest of timers and limit */
	u64 limit;			/* the earlier of slice_end and the first of shared_timers */
	u64 slice_end;			/* when this CPU is needed for something else; VTIMER_NEVER: not so far */
	struct {
		u64 until;		/* host TSC before which the guest must not be entered, as a timer fired early; 0: none */
		struct advance *advance;	/* what timers.advance was learnt by; NULL: nothing */
		struct advance *learner;	/* what is to learn from this wait; NULL: nothing */
	} wait;				/* core/advance.h */
	struct vtimer_list *shared_timers;	/* constant: on the VM's boot processor the VM's list; else NULL */
	struct vcpu_sched sched;
	/* Home CPU. */
	u64 tsc_offset;			/* guest TSC = host TSC + offset */
	u64 tsc_adjust;			/* IA32_TSC_ADJUST as the guest sees it */
	u64 spec_ctrl;			/* IA32_SPEC_CTRL while the vCPU is not loaded: core/cpu/speculation.h */

	/* Home CPU. Snapshot, taken by vcpu_run() right after the exit, before any handler. */
	u64 exit_reason;		/* VMX: full 32-bit reason; SVM: EXITCODE */
	u64 exit_tsc;
	u64 exit_rip;			/* RIP at the exit */
	u8 exit_index;			/* below EXIT_KINDS */
	struct failure_record failure;

	/* Home CPU. */
	u64 pdptes[4];			/* of PAE paging, as last loaded and checked (core/cpu/control.c) */
	/* The pointer is constant; dev/irq says who may access what it points to. */
	void *vlapic;			/* dev's local APIC model */
	bool tpr_watched;		/* the vendor's: the guest's next change of TPR may exit, as TPR holds back an interrupt */
	u64 cr4_allowed;		/* constant: control_cr4_allowed() */
	/* The pointers are constant; only the home CPU accesses what they point to. */
	struct cpuid_table *cpuid;	/* what CPUID shows: core/cpu/cpuid.c */
	struct msr_state *msrs;		/* values of emulated MSRs: core/cpu/msr.c */
	/* Home CPU. */
	struct guest_machine_check machine_check;
	struct steal_time steal_time;	/* core/cpu/paravirt.c */
	/* Atomic. */
	bool unhalted;			/* vcpu_unhalt() was called: core/startup.h */
	struct posted_interrupts posted; /* interrupts from other CPUs: core/posted.h */

	/* Home CPU. */
	u64 entry_tsc;			/* right before the last entry that was not the fast path's without host state */
	struct trace_record *exit_record; /* of the exit being handled, while it is the newest record */
	struct vcpu_statistics statistics;
	u64 outcomes[EXIT_FASTPATH_OUTCOMES];	/* of exits, by enum exit_fastpath */
	u64 forced_exits;		/* entries made with force_immediate_exit */
	u64 timer_exits[4];		/* preemption timer: soft-disabled, forced, expired, spurious */
	struct {
		u64 made, alarms, reported;
		u64 ticks;		/* TSC, that the checks took */
	} entry_checks;			/* core/observe/entry_check.c */
	struct io_region own_region;	/* home CPU: vcpu_own_region() */
	struct mmio_memory *mmio_memory; /* from vm_alloc(): core/emulate/mmio_fast.c. NULL: none so far */
	/* Home CPU: where code has changed under an exit, since when, and how often. emulate_look_again() */
	struct {
		u64 rip, first;
		unsigned count;
	} looked_again;
	/* Home CPU: of the instruction that is being emulated. core/emulate/watch.h */
	struct {
		u64 dr7;	/* 0: no breakpoint is enabled */
		u64 hits;	/* bits of DR6 */
	} watch;
	/* Home CPU. */
	struct vcpu_work work;
};

/* What INIT does to a hypervisor's vCPU. */
enum nested_init {
	NESTED_INIT_RESETS,
	NESTED_INIT_WAITS,	/* until the vendor requests REQ_STARTUP: VMX root operation, GIF is 0 */
	NESTED_INIT_EXITS,	/* it has been used up by an exit of L2 to L1, which has been made */
};

/*
 * The vendor's operations. Called on the CPU where the vCPU is loaded, with interrupts off,
 * unless the comment says otherwise. `core` uses a vendor's code only by this table.
 */
struct vcpu_ops {
	const char *name;		/* "VMX", "SVM" */
	const char *manual;		/* the manual that the rules are from: "SDM", "APM" */
	bool loads_pdptes;		/* PAE paging: CR writes load PDPTEs into registers; false: walks read them */

	/* --- the processor --- */
	/* Print each capability: found, missing, or what replaces it. 0, or -ENODEV with the reason logged. */
	int (*probe)(void);
	int (*cpu_enable)(struct percpu *cpu);	/* -ENODEV, -ENOMEM, with the reason logged */
	void (*cpu_disable)(struct percpu *cpu);

	/* --- VMs and vCPUs; not bound to a CPU --- */
	int (*vm_create)(struct vm *vm);		/* empty EPT or NPT tables, bitmaps that intercept all */
	void (*vm_destroy)(struct vm *vm);
	/* How the entries of its tables map RAM: write-back, rwx, with the largest page sizes possible. Any CPU. */
	void (*tdp_format)(const struct vm *vm, struct tdp_format *format);
	/*
	 * The guest fetches from RAM that tdp_format() has mapped without execute permission: permit it for that page, and
	 * for the VM. -ENOENT: nothing is mapped so; -ENOMEM. NULL: tdp_format() maps nothing so.
	 */
	int (*vm_make_executable)(struct vm *vm, gpa_t gpa);
	/* Let the guest reach an MSR without an exit. */
	void (*vm_msr_passthrough)(struct vm *vm, u32 msr, bool read, bool write);
	struct vcpu *(*vcpu_create)(struct vm *vm);	/* zeroed common part; NULL: no memory */
	void (*vcpu_destroy)(struct vcpu *vcpu);
	/*
	 * Architectural power-up state (SDM, "Processor State After Reset") or, with `init`, the state after
	 * INIT, which keeps FPU state, XCR0 and MSRs. After vcpu_load().
	 */
	void (*vcpu_reset)(struct vcpu *vcpu, bool init);
	/*
	 * Load: make it current on this CPU, with its state in the registers. Put: save that state; the vCPU stays
	 * bound to this CPU, where the next load takes less. Release, after put, on the same CPU: end the
	 * binding. Needed before another CPU loads it, and before vcpu_destroy() elsewhere. Nothing if it is not bound.
	 */
	void (*vcpu_load)(struct vcpu *vcpu);
	void (*vcpu_put)(struct vcpu *vcpu);
	void (*vcpu_release)(struct vcpu *vcpu);
	/* While loaded: forget all cached translations of the guest, EPT's or NPT's among them. On this CPU. */
	void (*flush_tlb)(struct vcpu *vcpu);
	/* While loaded: shall a loop of PAUSEs exit, to exit_pause()? Off at first. No effect where the processor cannot. */
	void (*pause_exits)(struct vcpu *vcpu, bool on);

	/* --- entry and exit --- */
	/*
	 * Enter the guest, and enter it again after each exit that the fast path handles while no request
	 * is pending. Returns after the first other exit. With force_immediate_exit the caller leaves
	 * REQ_EVENT or REQ_STOP pending, so that the fast path handles no exit of that entry.
	 */
	enum exit_fastpath (*vcpu_run)(struct vcpu *vcpu, bool force_immediate_exit);
	void (*handle_exit)(struct vcpu *vcpu);		/* after EXIT_FASTPATH_NONE */
	const char *(*exit_name)(u8 exit_index);	/* NULL: no such exit */

	/* --- state --- */
	void (*reg_fetch)(struct vcpu *vcpu, enum vcpu_reg reg); /* one of REGS_LAZY, into regs[] */
	u64 (*control_get)(struct vcpu *vcpu, enum vcpu_control control);
	/* Stores a value that core/cpu/control.c has validated, with all its side effects (modes, TLB, masks). */
	void (*control_set)(struct vcpu *vcpu, enum vcpu_control control, u64 value);
	void (*segment_get)(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment);
	void (*segment_set)(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment);
	void (*table_get)(struct vcpu *vcpu, bool idt, struct descriptor_table *table);
	void (*table_set)(struct vcpu *vcpu, bool idt, const struct descriptor_table *table);
	void (*code_view)(const struct vcpu *vcpu, struct code_view *view);	/* core/emulate/code.h */
	/* MSRs that the hardware switches: FS/GS base, SYSENTER, STAR, PAT, DEBUGCTL ... -ENOENT for others. */
	int (*msr_get)(struct vcpu *vcpu, u32 msr, u64 *value);
	int (*msr_set)(struct vcpu *vcpu, u32 msr, u64 value);
	void (*tsc_offset_changed)(struct vcpu *vcpu);
	/* Step over the instruction that exited: RIP, and the STI/MOV-SS shadow. -EFAULT: raised a fault instead. */
	int (*skip_instruction)(struct vcpu *vcpu);
	/* The same for an instruction of known length; raises no fault. */
	void (*step_over)(struct vcpu *vcpu, unsigned length);
	/* An instruction was emulated: end the STI/MOV-SS shadow, and raise #DB if RFLAGS.TF is set. */
	void (*instruction_done)(struct vcpu *vcpu);

	/* --- events --- */
	void (*inject)(struct vcpu *vcpu, const struct event *event);	/* for the next entry */
	bool (*interrupt_blocked)(struct vcpu *vcpu);	/* IF=0 or a shadow */
	bool (*nmi_blocked)(struct vcpu *vcpu);
	/* The guest's RIP at the last exit, from memory. Any CPU, any context: for reports. */
	u64 (*saved_rip)(const struct vcpu *vcpu);
	void (*interrupt_window)(struct vcpu *vcpu, bool on);
	/* Clears events.nmi_window where it has to be asked again after the next entry. */
	void (*nmi_window)(struct vcpu *vcpu, bool on);
	/*
	 * With vm->apic_hardware: the events have been chosen. APIC_TPR: have the processor exit once it lets an interrupt
	 * pass that it holds back now. APIC_BY_HARDWARE: hand the APIC over to it.
	 */
	void (*apic_entry)(struct vcpu *vcpu);
	/* The local APIC's model has a new TPR, not by the processor itself. NULL: that reads it from the model's page. */
	void (*tpr_written)(struct vcpu *vcpu, u8 tpr);
	void (*apic_access)(struct vcpu *vcpu, enum apic_access access);	/* vcpu_apic_access_changed() */

	/* --- guests that are hypervisors: core/nested.h. Only for VMs with nested=on --- */
	const struct vcpu_ops *l2;	/* the operations while L2 runs; NULL: this vendor, or processor, has no nested=on */
	u64 nested_cr4, nested_efer;	/* bits that such a guest may set besides others */
	u32 nested_leaf;		/* CPUID: an extended leaf that such a guest has besides others; 0: none */
	u32 evmcs_leaf;			/* CPUID: the last of the leaves from 40000000h on with nested=evmcs; 0: there is no such thing */
	/* Add to a leaf what the guest's processor offers to a hypervisor. At the vCPU's creation. */
	void (*nested_cpuid)(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs);
	/* Do the rules of VMX operation, or of SVM, allow the guest this value of CR0, CR4 or EFER? NULL: there are none. */
	bool (*nested_control_allowed)(struct vcpu *vcpu, enum vcpu_control control, u64 value);
	/* A hypervisor's MSRs. 0; -ENOENT: it is none; -EINVAL: the access must raise #GP(0). */
	int (*nested_msr_read)(struct vcpu *vcpu, u32 msr, u64 *value);
	int (*nested_msr_write)(struct vcpu *vcpu, u32 msr, u64 value);
	/* VMCALL or VMMCALL where the VM has none of KVM's hypercalls. NULL: #UD. */
	void (*nested_hypercall)(struct vcpu *vcpu);
	/* INIT was sent. NULL: it resets the vCPU, as any other. */
	enum nested_init (*nested_init)(struct vcpu *vcpu);

	/* --- only in vcpu_ops.l2 --- */
	/*
	 * REQ_EVENT, before event_inject(): if a pending event (NMI, interrupt, a timer of L1's, vcpu->events.exception) is to
	 * cause an exit to L1, make it. True: that, or any other event, has to wait until L2 has taken what L1 has injected:
	 * the next entry injects nothing else, and is a forced exit.
	 */
	bool (*nested_events)(struct vcpu *vcpu);
	/*
	 * Does L1 intercept this exception of L2? Asked for one that is raised by the delivery of another: nested_events() makes
	 * the exit, before the two become a #DF or a shutdown.
	 */
	bool (*nested_takes_exception)(struct vcpu *vcpu, u8 vector, u32 error_code);
	/* The #DF that L2 could not take. */
	void (*nested_triple_fault)(struct vcpu *vcpu);
	/*
	 * L1's address of what is at an address of L2's physical memory. `access` as for gwalk_translate(); `table`: it is one of
	 * L2's page tables. -EFAULT: L1's tables forbid it; then nested_fault() makes the exit to L1.
	 */
	int (*nested_gpa)(struct vcpu *vcpu, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa);
	void (*nested_fault)(struct vcpu *vcpu);
	/*
	 * LMSW by L2 that L0 carries out, as its operand is in a device's memory: if L1 intercepts it, make the exit. NULL: L1's
	 * intercept has been asked before.
	 */
	bool (*nested_lmsw)(struct vcpu *vcpu, u16 value, unsigned length);

	/* --- reports --- */
	/* Report each rule that the state of the next entry violates to `sink`. Returns their number. */
	unsigned (*check_entry)(struct vcpu *vcpu, violation_sink *sink, void *context);
	void (*explain_failure)(struct vcpu *vcpu);	/* the failure record, in words */
	void (*dump)(struct vcpu *vcpu);		/* guest and control state; takes no lock */
};

extern const struct vcpu_ops vmx_ops, svm_ops;

/* TPR, in the page that the local APIC's model begins with. SDM, "Local APIC Register Address Map" */
static inline u32 *vcpu_tpr(const struct vcpu *vcpu)
{
	return (u32 *)((u8 *)vcpu->vlapic + 0x80);
}

/* The guest's general registers. Writes and reads of a lazy register go through the vendor. */
static inline u64 vcpu_reg_read(struct vcpu *vcpu, enum vcpu_reg reg)
{
	if ((REGS_LAZY & BIT(reg)) && !(vcpu->regs_available & BIT(reg)))
		vcpu->ops->reg_fetch(vcpu, reg);
	return vcpu->regs[reg];
}

static inline void vcpu_reg_write(struct vcpu *vcpu, enum vcpu_reg reg, u64 value)
{
	vcpu->regs[reg] = value;
	vcpu->regs_available |= BIT(reg) & REGS_LAZY;
	vcpu->regs_dirty |= BIT(reg) & REGS_LAZY;
}

static inline u64 vcpu_rflags(struct vcpu *vcpu)
{
	return vcpu_reg_read(vcpu, REG_RFLAGS);
}

/* EDX:EAX as RDMSR, WRMSR, XSETBV pass it. */
static inline u64 vcpu_edx_eax(const struct vcpu *vcpu)
{
	return (u64)(u32)vcpu->regs[REG_RDX] << 32 | (u32)vcpu->regs[REG_RAX];
}

static inline void vcpu_set_edx_eax(struct vcpu *vcpu, u64 value)
{
	vcpu->regs[REG_RAX] = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
}

static inline void vcpu_request(struct vcpu *vcpu, enum vcpu_request request)
{
	__atomic_or_fetch(&vcpu->requests, request, __ATOMIC_SEQ_CST);
}

/*
 * Set a request for a vCPU of any CPU, and have its home CPU look at it: wakes the vCPU if it is halted, and
 * makes it exit if it runs. Any CPU, any context that may be interrupted by no user of it; takes no lock.
 */
void vcpu_kick(struct vcpu *vcpu, enum vcpu_request request);

/* Does the caller run on the vCPU's home CPU? */
static inline bool vcpu_is_home(const struct vcpu *vcpu)
{
	return vcpu->cpu == this_cpu();
}

static inline bool vcpu_requested(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) != 0;
}

_Static_assert(offsetof(struct vcpu, every_exit) == offsetof(struct vcpu, requests) + 4 &&
	       offsetof(struct vcpu, activity) == offsetof(struct vcpu, requests) + 6 &&
	       offsetof(struct vcpu, requests) % 8 == 0 && VCPU_RUNNING == 0, "read as one u64");

/* The pending requests, above them who needs each exit, and at the top that it has halted. */
static inline u64 vcpu_demands(const struct vcpu *vcpu)
{
	return __atomic_load_n((const u64 *)&vcpu->requests, __ATOMIC_ACQUIRE);
}

/* No request is pending, no one needs each exit, and it has not halted: the fast path may handle an exit in the entry stub. */
static inline bool vcpu_nothing_pending(const struct vcpu *vcpu)
{
	bool nothing;

	/* An atomic load with acquire, without a register for the value. */
	__asm__ volatile("cmpq $0, %1" : "=@cce"(nothing) : "m"(*(const u64 *)&vcpu->requests) : "memory");
	return likely(nothing);
}

/* Processor modes of the guest, from its control state. */
bool vcpu_long_mode(struct vcpu *vcpu);		/* EFER.LMA */
bool vcpu_code_64(struct vcpu *vcpu);		/* LMA and CS.L */
unsigned vcpu_cpl(struct vcpu *vcpu);		/* SS.DPL; 3 in virtual-8086 mode, 0 in real mode */

/*
 * Power-up state of the vCPU and of all that belongs to it; or, with `init`, the state after INIT, which keeps
 * the APIC's id, base and mode, TSC and TSC_ADJUST, MTRRs and machine-check MSRs. The vCPU is loaded.
 */
void vcpu_reset(struct vcpu *vcpu, bool init);
