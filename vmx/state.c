/* SPDX-License-Identifier: MIT */
/* Reads and writes guest state: in the VMCS, and in registers that hold it while the guest is loaded. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "vmx/vmx.h"

/* --- registers --- */

/* The VMCS may be another CPU's; an NMI's handler runs after take_snapshot(). */
u64 vmx_saved_rip(const struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->exit_rip);
}

void vmx_reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg)
{
	switch (reg) {
	case REG_RSP:
		vcpu->regs[REG_RSP] = vmcs_readn(GUEST_RSP);
		break;
	case REG_RIP:
		vcpu->regs[REG_RIP] = vmcs_readn(GUEST_RIP);
		break;
	default:
		vcpu->regs[REG_RFLAGS] = vmcs_readn(GUEST_RFLAGS);
		break;
	}
	vcpu->regs_available |= BIT(reg);
}

void vmx_end_shadow(void)
{
	u32 interruptibility = vmcs_read32(GUEST_INTERRUPTIBILITY);

	if (unlikely(interruptibility & INTERRUPTIBILITY_SHADOWS))
		vmcs_write32(GUEST_INTERRUPTIBILITY, interruptibility & ~(u32)INTERRUPTIBILITY_SHADOWS);
}

/* Slow path: single-stepping, or RIP crosses 4 GiB and the mode may wrap it. */
void vmx_step_over(struct vcpu *vcpu, unsigned length)
{
	u64 rip = vcpu->exit_rip, rflags;
	u32 low;

	if (unlikely(vcpu->regs_dirty || __builtin_add_overflow((u32)rip, length, &low))) {
		emulate_advance(vcpu, length);
		return;
	}
	rflags = vmcs_readn(GUEST_RFLAGS);
	if (unlikely(rflags & RFLAGS_TF)) {
		emulate_advance(vcpu, length);
		return;
	}
	/* Fault-like exits, such as EPT violations, save RF as 1; an instruction that is over has cleared it. */
	if (rflags & RFLAGS_RF) {
		vmcs_writen(GUEST_RFLAGS, rflags & ~RFLAGS_RF);
		vcpu->regs_available &= ~(u32)BIT(REG_RFLAGS);
	}
	vcpu->regs[REG_RIP] = rip + length;
	vmcs_writen(GUEST_RIP, rip + length);
	vmx_end_shadow();
}

/* For exits that an instruction causes. After an EPT violation the length is undefined. */
int vmx_skip_instruction(struct vcpu *vcpu)
{
	vmx_step_over(vcpu, vmcs_read32(EXIT_INSTRUCTION_LENGTH));
	return 0;
}

/*
 * Lamina has executed this instruction, not the processor, so Lamina must report the single step. As
 * an exception, not as a pending debug exception in the VMCS, which an entry that injects an
 * interrupt loses. SDM, "Delivery of Pending Debug Exceptions after VM Entry".
 */
void vmx_instruction_done(struct vcpu *vcpu)
{
	vmx_end_shadow();
	if (vcpu_rflags(vcpu) & RFLAGS_TF)
		event_raise_debug(vcpu, DR6_BS | (vmcs_readn(GUEST_PENDING_DEBUG) & DR6_BREAKPOINTS));
}

/* --- control registers --- */

static u64 cr0_get(void)
{
	return (vmcs_readn(GUEST_CR0) & CR0_GUEST_OWNED) |
	       (vmcs_readn(CR0_READ_SHADOW) & ~CR0_GUEST_OWNED);
}

static u64 cr4_get(const struct vcpu_vmx *vmx)
{
	u64 owned = vmx->vmcs.cr4_guest_owned;

	return (vmcs_readn(GUEST_CR4) & owned) | (vmcs_readn(CR4_READ_SHADOW) & ~owned);
}

/*
 * With PAE paging the processor takes the PDPTEs from the VMCS. Where Lamina emulates the MOV that
 * loads them, core/cpu/control.c has read and checked them. SDM, "PDPTE Registers".
 */
static void load_pdptes(const struct vcpu_vmx *vmx)
{
	if (!(cr0_get() & CR0_PG) || !(cr4_get(vmx) & CR4_PAE) || (vmx->vmcs.efer & EFER_LMA))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(vmx->vcpu.pdptes); i++)
		vmcs_write64(guest_pdpte(i), vmx->vcpu.pdptes[i]);
}

/* VM entry to IA-32e mode requires a busy 64-bit TSS; without VMX, TR is not checked until it is used. */
static void widen_tss(void)
{
	u32 rights = vmcs_read32(guest_access_rights(SEG_TR));

	if ((rights & 15) == 3)
		vmcs_write32(guest_access_rights(SEG_TR), (rights & ~15u) | 11);
}

static void efer_set(struct vcpu_vmx *vmx, u64 value)
{
	bool active = (value & EFER_LME) && (cr0_get() & CR0_PG);

	vmx->vmcs.efer = active ? value | EFER_LMA : value & ~EFER_LMA;
	vmx_write_efer(vmx);
	if (active)
		widen_tss();

	vmx->vmcs.entry_controls &= ~(u32)ENTRY_IA32E_GUEST;
	vmx->vmcs.entry_controls |= active ? ENTRY_IA32E_GUEST : 0;
	vmcs_write32(ENTRY_CONTROLS, vmx->vmcs.entry_controls);
}

/*
 * The guest cannot switch off caches (CD, NW), and VMX operation needs CR0.NE: where the guest has it off, #MF is not
 * for the guest. SDM, "Restrictions on VMX Operation".
 */
static void cr0_set(struct vcpu_vmx *vmx, u64 value)
{
	u64 fixed = vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG), changed = value ^ cr0_get();

	vmcs_writen(CR0_GUEST_HOST_MASK, ~CR0_GUEST_OWNED);
	vmcs_writen(CR0_READ_SHADOW, value | CR0_ET);
	vmcs_write32(EXCEPTION_BITMAP, EXCEPTIONS_THAT_EXIT | (value & CR0_NE ? 0 : BIT(X86_MF)));
	vmcs_writen(GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | CR0_ET | fixed);
	efer_set(vmx, vmx->vmcs.efer);
	if (changed & (CR0_PG | CR0_CD | CR0_NW))
		load_pdptes(vmx);
}

static void cr4_set(struct vcpu_vmx *vmx, u64 value)
{
	u64 machine = (vmcs_readn(HOST_CR4) & CR4_MCE) | vmx_caps.cr4_fixed0;
	u64 changed = value ^ cr4_get(vmx);

	vmx->vmcs.cr4_guest_owned =
		CR4_GUEST_OWNED & control_cr4_allowed(&vmx->vcpu) & vmx_caps.cr4_fixed1;
	vmcs_writen(CR4_GUEST_HOST_MASK, ~vmx->vmcs.cr4_guest_owned);
	vmcs_writen(CR4_READ_SHADOW, value);
	vmcs_writen(GUEST_CR4, (value & ~CR4_MCE) | machine);
	if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
		load_pdptes(vmx);
}

u64 vmx_control_get(struct vcpu *vcpu, enum vcpu_control control)
{
	u64 dr6;

	switch (control) {
	case CTL_CR0:
		return cr0_get();
	case CTL_CR2:
		return read_cr2();
	case CTL_CR3:
		return vmcs_readn(GUEST_CR3);
	case CTL_CR4:
		return cr4_get(to_vmx(vcpu));
	case CTL_EFER:
		return to_vmx(vcpu)->vmcs.efer;
	case CTL_DR6:
		__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
		return dr6;
	case CTL_DR7:
		return vmcs_readn(GUEST_DR7);
	case CTL_XCR0:
		return cpu_features.xsave ? xgetbv0() : 1;
	}
	return 0;
}

void vmx_control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (control) {
	case CTL_CR0:
		cr0_set(vmx, value);
		break;
	case CTL_CR2:
		write_cr2(value);
		return;
	case CTL_CR3:
		vmcs_writen(GUEST_CR3, value);
		load_pdptes(vmx);
		break;
	case CTL_CR4:
		cr4_set(vmx, value);
		break;
	case CTL_EFER:
		efer_set(vmx, value);
		break;
	case CTL_DR6:
		__asm__ volatile("mov %0, %%db6" : : "r"(value));
		return;
	case CTL_DR7:
		vmcs_writen(GUEST_DR7, value);
		return;
	case CTL_XCR0:
		xsetbv0(value);
		return;
	}
	vmx_flush_tlb(vcpu);	/* as the guest's own MOV would have done */
}

/* --- segments and tables --- */

void vmx_segment_get(struct vcpu *vcpu __maybe_unused, enum vcpu_segment index,
		     struct segment *segment)
{
	u32 rights = vmcs_read32(guest_access_rights(index));

	*segment = (struct segment){
		.base = vmcs_readn(guest_base(index)),
		.limit = vmcs_read32(guest_limit(index)),
		.selector = vmcs_read16(guest_selector(index)),
		.type = rights & ACCESS_RIGHTS_TYPE,
		.s = rights & ACCESS_RIGHTS_S,
		.dpl = ACCESS_RIGHTS_DPL(rights),
		.present = rights & ACCESS_RIGHTS_PRESENT,
		.avl = rights & ACCESS_RIGHTS_AVL,
		.l = rights & ACCESS_RIGHTS_L,
		.db = rights & ACCESS_RIGHTS_DB,
		.g = rights & ACCESS_RIGHTS_G,
		.unusable = rights & ACCESS_RIGHTS_UNUSABLE,
	};
}

void vmx_segment_set(struct vcpu *vcpu __maybe_unused, enum vcpu_segment index,
		     const struct segment *segment)
{
	u32 rights = (segment->type & ACCESS_RIGHTS_TYPE) | (segment->dpl & 3u) << 5 |
		     (segment->s ? ACCESS_RIGHTS_S : 0) | (segment->present ? ACCESS_RIGHTS_PRESENT : 0) |
		     (segment->avl ? ACCESS_RIGHTS_AVL : 0) | (segment->l ? ACCESS_RIGHTS_L : 0) |
		     (segment->db ? ACCESS_RIGHTS_DB : 0) | (segment->g ? ACCESS_RIGHTS_G : 0);

	/* Loading a segment register sets the accessed bit, and VM entry requires it. */
	if (segment->s)
		rights |= BIT(0);
	if (segment->unusable)	/* SS.DPL is the CPL even then */
		rights = ACCESS_RIGHTS_UNUSABLE | (segment->dpl & 3u) << 5;
	vmcs_write16(guest_selector(index), segment->selector);
	vmcs_writen(guest_base(index), segment->base);
	vmcs_write32(guest_limit(index), segment->limit);
	vmcs_write32(guest_access_rights(index), rights);
}

void vmx_code_view(const struct vcpu *vcpu, struct code_view *view)
{
	bool long_mode = ((const struct vcpu_vmx *)vcpu)->vmcs.efer & EFER_LMA;
	u32 rights = vmcs_read32(guest_access_rights(SEG_CS));

	view->cs_base = view->cr3 = 0;
	view->paging = CODE_OTHER_PAGING;
	if (!(vmcs_readn(GUEST_CR0) & CR0_PG)) {
		view->paging = CODE_UNPAGED;
	} else if (long_mode && !(vmcs_readn(GUEST_CR4) & CR4_LA57)) {
		view->paging = CODE_4_LEVEL;
		view->cr3 = vmcs_readn(GUEST_CR3);
	}
	if (long_mode && (rights & ACCESS_RIGHTS_L)) {
		view->mode = INSN_MODE_64;
		return;
	}
	view->mode = rights & ACCESS_RIGHTS_DB ? INSN_MODE_32 : INSN_MODE_16;
	view->cs_base = vmcs_readn(guest_base(SEG_CS));
}

void vmx_table_get(struct vcpu *vcpu __maybe_unused, bool idt, struct descriptor_table *table)
{
	*table = (struct descriptor_table){
		.base = vmcs_readn(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE),
		.limit = (u16)vmcs_read32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT),
	};
}

void vmx_table_set(struct vcpu *vcpu __maybe_unused, bool idt, const struct descriptor_table *table)
{
	vmcs_writen(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE, table->base);
	vmcs_write32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT, table->limit);
}

/* --- MSRs --- */

static bool is_live(u32 msr)
{
	if (msr == MSR_TSC_AUX)
		return cpu_features.rdtscp;
	if (msr == MSR_SPEC_CTRL)
		return cpu_features.spec_ctrl;
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		if (vmx_live_msrs[i] == msr)
			return true;
	return false;
}

int vmx_msr_get(struct vcpu *vcpu, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_FS_BASE:
		*value = vmcs_readn(guest_base(SEG_FS));
		return 0;
	case MSR_GS_BASE:
		*value = vmcs_readn(guest_base(SEG_GS));
		return 0;
	case MSR_SYSENTER_CS:
		*value = vmcs_read32(GUEST_SYSENTER_CS);
		return 0;
	case MSR_SYSENTER_ESP:
		*value = vmcs_readn(GUEST_SYSENTER_ESP);
		return 0;
	case MSR_SYSENTER_EIP:
		*value = vmcs_readn(GUEST_SYSENTER_EIP);
		return 0;
	case MSR_DEBUGCTL:
		*value = vmcs_read64(GUEST_DEBUGCTL);
		return 0;
	case MSR_PAT:
		*value = vmx_switches_pat() ? vmcs_read64(GUEST_PAT) : to_vmx(vcpu)->pat;
		return 0;
	default:
		return is_live(msr) ? rdmsr_safe(msr, value) : -ENOENT;
	}
}

int vmx_msr_set(struct vcpu *vcpu, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_FS_BASE:
		vmcs_writen(guest_base(SEG_FS), value);
		return 0;
	case MSR_GS_BASE:
		vmcs_writen(guest_base(SEG_GS), value);
		return 0;
	case MSR_SYSENTER_CS:
		vmcs_write32(GUEST_SYSENTER_CS, (u32)value);
		return 0;
	case MSR_SYSENTER_ESP:
		vmcs_writen(GUEST_SYSENTER_ESP, value);
		return 0;
	case MSR_SYSENTER_EIP:
		vmcs_writen(GUEST_SYSENTER_EIP, value);
		return 0;
	case MSR_DEBUGCTL:
		vmcs_write64(GUEST_DEBUGCTL, value);
		return 0;
	case MSR_PAT:
		if (vmx_switches_pat())
			vmcs_write64(GUEST_PAT, value);
		else
			to_vmx(vcpu)->pat = value;
		return 0;
	default:
		return is_live(msr) ? wrmsr_safe(msr, value) : -ENOENT;
	}
}

void vmx_tsc_offset_changed(struct vcpu *vcpu)
{
	vmcs_write64(TSC_OFFSET, vcpu->tsc_offset);
}
