/* SPDX-License-Identifier: MIT */
/* Read and write guest state in the VMCB. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "core/emulate/code.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

/* The processor saves it before an NMI's handler runs, and that before take_snapshot(). */
u64 svm_saved_rip(const struct vcpu *vcpu)
{
	return READ_ONCE(container_of(vcpu, const struct vcpu_svm, vcpu)->vmcb->save.rip);
}

void svm_reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg)
{
	const struct vmcb_save *save = &to_svm(vcpu)->vmcb->save;

	switch (reg) {
	case REG_RSP:
		vcpu->regs[REG_RSP] = save->rsp;
		break;
	case REG_RIP:
		vcpu->regs[REG_RIP] = save->rip;
		break;
	default:
		vcpu->regs[REG_RFLAGS] = save->rflags;
		break;
	}
	vcpu->regs_available |= BIT(reg);
}

/*
 * Bits whose value in the VMCB is the host's choice. Caches stay on. CR4.MCE stays as the host has it:
 * without it a machine check shuts the processor down before any intercept. The guest reads these bits
 * as it wrote them.
 */
#define CR0_HIDDEN (CR0_CD | CR0_NW)
#define CR4_HIDDEN CR4_MCE

/*
 * Reads of CR0 or CR4 exit while they would return other bits than the guest wrote. All writes to CR0
 * exit then, too.
 */
static void intercept_cr(struct vcpu_svm *svm, u32 accesses, bool on)
{
	u32 *intercepts = &svm->vmcb->control.intercept_cr;

	*intercepts = on ? *intercepts | accesses : *intercepts & ~accesses;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

static void set_cr0(struct vcpu_svm *svm, u64 value)
{
	svm->cr0 = value;
	svm->vmcb->save.cr0 = value & ~CR0_HIDDEN;
	intercept_cr(svm, INTERCEPT_CR_READ(0) | INTERCEPT_CR_WRITE(0), value & CR0_HIDDEN);
}

static void set_cr4(struct vcpu_svm *svm, u64 value)
{
	u64 machine = read_cr4() & CR4_HIDDEN;

	svm->cr4 = value;
	svm->vmcb->save.cr4 = (value & ~CR4_HIDDEN) | machine;
	intercept_cr(svm, INTERCEPT_CR_READ(4), (value & CR4_HIDDEN) != machine);
}

u64 svm_control_get(struct vcpu *vcpu, enum vcpu_control control)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb_save *save = &svm->vmcb->save;

	switch (control) {
	case CTL_CR0:	/* CLTS, and a MOV that changes TS and MP alone, do not exit */
		return save->cr0 | (svm->cr0 & CR0_HIDDEN);
	case CTL_CR2:
		return save->cr2;
	case CTL_CR3:
		return save->cr3;
	case CTL_CR4:
		return svm->cr4;
	case CTL_EFER:
		return (save->efer & svm->efer_shown) | svm->lme;
	case CTL_DR6:
		return save->dr6;
	case CTL_DR7:
		return save->dr7;
	case CTL_XCR0:
		return cpu_features.xsave ? xgetbv0() : 1;
	}
	return 0;
}

/*
 * Long mode becomes active with paging: APM vol. 2, "Activating Long Mode". LME, which does nothing without paging,
 * goes to the processor together with LMA, so that no order in which #VMEXIT loads the host's EFER, CR0 and CR4 matters.
 */
static void update_long_mode(struct vcpu_svm *svm)
{
	struct vmcb_save *save = &svm->vmcb->save;

	save->efer &= ~(EFER_LME | EFER_LMA);
	if ((save->cr0 & CR0_PG) && svm->lme)
		save->efer |= EFER_LME | EFER_LMA;
}

static void store_efer(struct vcpu_svm *svm, u64 value)
{
	svm->lme = value & EFER_LME;
	svm->vmcb->save.efer = value | EFER_SVME;
	update_long_mode(svm);
}

void svm_set_paging_mode(struct vcpu_svm *svm, u64 cr0, u64 cr4, u64 efer)
{
	set_cr0(svm, cr0 | CR0_ET);
	set_cr4(svm, cr4);
	store_efer(svm, efer);
}

static void changed_paging(struct vcpu_svm *svm)
{
	/* VMRUN does not flush the TLB for a changed paging control, as a write by the guest would. */
	svm_flush_tlb(svm);
	svm_dirty(svm, CLEAN_CR);
}

/* Out of line, so that no other register takes longer. */
static __noinline void set_efer(struct vcpu_svm *svm, u64 value)
{
	store_efer(svm, value);
	changed_paging(svm);
	if (unlikely(svm->nested))
		nsvm_efer_written(&svm->vcpu, value);
}

void svm_control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_save *save = &svm->vmcb->save;

	switch (control) {
	case CTL_CR0:
		set_cr0(svm, value | CR0_ET);
		update_long_mode(svm);
		break;
	case CTL_CR2:
		save->cr2 = value;
		write_cr2(value);	/* Bochs 2.7 forgets to load it at VMRUN */
		svm_dirty(svm, CLEAN_CR2);
		return;
	case CTL_CR3:
		save->cr3 = value;
		break;
	case CTL_CR4:
		set_cr4(svm, value);
		break;
	case CTL_EFER:
		set_efer(svm, value);
		return;
	case CTL_DR6:
		save->dr6 = value;
		svm_dirty(svm, CLEAN_DR);
		return;
	case CTL_DR7:
		save->dr7 = value;
		svm_dirty(svm, CLEAN_DR);
		return;
	case CTL_XCR0:
		xsetbv0(value);
		return;
	}
	changed_paging(svm);
}

static struct vmcb_segment *vmcb_segment(struct vcpu *vcpu, enum vcpu_segment index)
{
	struct vmcb_save *save = &to_svm(vcpu)->vmcb->save;
	struct vmcb_segment *const segments[SEG_COUNT] = {
		[SEG_ES] = &save->es, [SEG_CS] = &save->cs, [SEG_SS] = &save->ss, [SEG_DS] = &save->ds,
		[SEG_FS] = &save->fs, [SEG_GS] = &save->gs, [SEG_LDTR] = &save->ldtr, [SEG_TR] = &save->tr,
	};

	return segments[index];
}

void svm_segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment)
{
	const struct vmcb_segment *from = vmcb_segment(vcpu, index);
	u16 attributes = from->attributes;

	*segment = (struct segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = attributes & 15,
		.s = attributes & ATTRIBUTE_S,
		.dpl = attributes >> 5 & 3,
		.present = attributes & ATTRIBUTE_PRESENT,
		.avl = attributes & ATTRIBUTE_AVL,
		.l = attributes & ATTRIBUTE_L,
		.db = attributes & ATTRIBUTE_DB,
		.g = attributes & ATTRIBUTE_G,
		.unusable = !(attributes & ATTRIBUTE_PRESENT),
	};
	/* The CPL has a field of its own in the VMCB: SS.DPL there may be stale. */
	if (index == SEG_SS)
		segment->dpl = to_svm(vcpu)->vmcb->save.cpl;
}

void svm_segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u16 attributes = 0;

	if (!segment->unusable)
		attributes = (u16)((segment->type & 15) | (segment->s ? ATTRIBUTE_S : 0) |
				   (segment->dpl & 3) << 5 | (segment->present ? ATTRIBUTE_PRESENT : 0) |
				   (segment->avl ? ATTRIBUTE_AVL : 0) | (segment->l ? ATTRIBUTE_L : 0) |
				   (segment->db ? ATTRIBUTE_DB : 0) | (segment->g ? ATTRIBUTE_G : 0));
	*vmcb_segment(vcpu, index) = (struct vmcb_segment){
		.selector = segment->selector,
		.attributes = attributes,
		.limit = segment->limit,
		.base = segment->base,
	};
	if (index == SEG_SS)
		svm->vmcb->save.cpl = segment->dpl;
	svm_dirty(svm, CLEAN_SEGMENTS);
}

void svm_code_view(const struct vcpu *vcpu, struct code_view *view)
{
	const struct vmcb_save *save = &((const struct vcpu_svm *)vcpu)->vmcb->save;
	bool long_mode = save->efer & EFER_LMA;

	view->mode = save->cs.attributes & ATTRIBUTE_DB ? INSN_MODE_32 : INSN_MODE_16;
	view->cs_base = save->cs.base;
	view->cr3 = save->cr3;
	view->paging = CODE_OTHER_PAGING;
	if (!(save->cr0 & CR0_PG))
		view->paging = CODE_UNPAGED;
	else if (long_mode && !(save->cr4 & CR4_LA57))
		view->paging = CODE_4_LEVEL;
	if (long_mode && (save->cs.attributes & ATTRIBUTE_L)) {
		view->mode = INSN_MODE_64;
		view->cs_base = 0;
	}
}

void svm_table_get(struct vcpu *vcpu, bool idt, struct descriptor_table *table)
{
	const struct vmcb_save *save = &to_svm(vcpu)->vmcb->save;
	const struct vmcb_segment *from = idt ? &save->idtr : &save->gdtr;

	*table = (struct descriptor_table){ .base = from->base, .limit = (u16)from->limit };
}

void svm_table_set(struct vcpu *vcpu, bool idt, const struct descriptor_table *table)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_segment *to = idt ? &svm->vmcb->save.idtr : &svm->vmcb->save.gdtr;

	to->base = table->base;
	to->limit = table->limit;
	svm_dirty(svm, CLEAN_TABLES);
}

/* The field of an MSR that VMRUN, VMLOAD and VMSAVE switch. NULL: they do not switch it. */
static u64 *msr_field(struct vmcb_save *save, u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_PAT:
		return &save->pat;
	case MSR_DEBUGCTL:
		return &save->debugctl;
	case MSR_SPEC_CTRL:
		return svm_features.spec_ctrl ? &save->spec_ctrl : NULL;
	default:
		return NULL;
	}
}

/* An MSR that no field has: while the vCPU is loaded it is in the processor. */
static bool is_live(u32 msr)
{
	return (msr == MSR_TSC_AUX && cpu_features.rdtscp) ||
	       (msr == MSR_SPEC_CTRL && cpu_features.spec_ctrl && !svm_features.spec_ctrl);
}

int svm_msr_get(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const u64 *field = msr_field(&to_svm(vcpu)->vmcb->save, msr);

	if (is_live(msr)) {
		*value = rdmsr(msr);
		return 0;
	}
	if (!field)
		return -ENOENT;
	*value = *field;
	return 0;
}

int svm_msr_set(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 *field = msr_field(&svm->vmcb->save, msr);

	if (is_live(msr)) {
		wrmsr(msr, value);
		return 0;
	}
	if (!field)
		return -ENOENT;
	*field = value;
	svm_dirty(svm, msr == MSR_PAT ? CLEAN_NESTED_PAGING : CLEAN_LBR);
	return 0;
}

void svm_tsc_offset_changed(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->vmcb->control.tsc_offset = vcpu->tsc_offset;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}
