/* SPDX-License-Identifier: MIT */
/* Control registers of the guest: which values are valid, and what a write changes. */
#include "core/cpu/control.h"

#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/nested.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* SDM, "XSAVE-Supported Features and State-Component Bitmaps" */
#define XCR0_X87	BIT_ULL(0)
#define XCR0_SSE	BIT_ULL(1)
#define XCR0_AVX	BIT_ULL(2)
#define XCR0_AVX512	(7ull << 5)

static u64 get(struct vcpu *vcpu, enum vcpu_control control)
{
	return vcpu->ops->control_get(vcpu, control);
}

static void set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	vcpu->ops->control_set(vcpu, control, value);
}

/*
 * SDM, "PDPTE Registers": the processor loads the four pointers of PAE paging when paging is
 * enabled or changed, and raises #GP for reserved bits. Read them here; VMX loads them from
 * vcpu->pdptes. AMD's processors read them during each walk: APM vol. 2, "Nested Paging".
 */
static int load_pdptes(struct vcpu *vcpu, u64 cr3)
{
	u64 reserved = 0x1e6ull | ~0ull << cpuid_physical_bits(vcpu);
	gpa_t table = cr3 & 0xffffffe0;
	u64 pdptes[4];

	if (!vcpu->ops->loads_pdptes)
		return 0;
	if (unlikely(vcpu->l2_runs) && vcpu->ops->nested_gpa(vcpu, table, 0, 0, true, &table))
		return -EINVAL;
	if (guest_read(vcpu->vm, table, pdptes, sizeof(pdptes)))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(pdptes); i++) {
		if ((pdptes[i] & PTE_PRESENT) && (pdptes[i] & reserved))
			return -EINVAL;
		vcpu->pdptes[i] = pdptes[i];
	}
	return 0;
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LME);
}

/* SDM, "Restrictions on VMX Operation"; APM vol. 2, "Enabling SVM" */
static bool nested_forbids(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	return nested_is_on(vcpu) && vcpu->ops->nested_control_allowed && !vcpu->ops->nested_control_allowed(vcpu, control, value);
}

int control_write_cr0(struct vcpu *vcpu, u64 value)
{
	u64 old = get(vcpu, CTL_CR0), cr4 = get(vcpu, CTL_CR4), efer = get(vcpu, CTL_EFER);
	bool paging_on = (value & CR0_PG) && !(old & CR0_PG);

	if (value >> 32)
		return -EINVAL;
	value = (value & CR0_DEFINED) | CR0_ET;
	if (unlikely(nested_forbids(vcpu, CTL_CR0, value)))
		return -EINVAL;
	if ((value & CR0_PG) && !(value & CR0_PE))
		return -EINVAL;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return -EINVAL;
	if (paging_on && (efer & EFER_LME)) {
		struct segment cs;

		vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
		if (!(cr4 & CR4_PAE) || cs.l)
			return -EINVAL;
	}
	if (!(value & CR0_PG) && (cr4 & CR4_PCIDE))
		return -EINVAL;
	if (!(value & CR0_PG) && (old & CR0_PG) && vcpu_code_64(vcpu))
		return -EINVAL;
	if (pae_paging(value, cr4, efer) && ((value ^ old) & (CR0_PG | CR0_CD | CR0_NW)) &&
	    load_pdptes(vcpu, get(vcpu, CTL_CR3)))
		return -EINVAL;
	set(vcpu, CTL_CR0, value);
	return 0;
}

/*
 * SDM, "Operations that Invalidate TLBs and Paging-Structure Caches": with PCIDs bit 63 of the operand allows to keep
 * the translations of the new one. It is no bit of CR3. Setting CR3 flushes all of this vCPU's, which is always right.
 */
int control_write_cr3(struct vcpu *vcpu, u64 value)
{
	u64 efer = get(vcpu, CTL_EFER);

	if (get(vcpu, CTL_CR4) & CR4_PCIDE)
		value &= ~CR3_NO_FLUSH;
	if ((efer & EFER_LMA) && value >> cpuid_physical_bits(vcpu))
		return -EINVAL;
	if (pae_paging(get(vcpu, CTL_CR0), get(vcpu, CTL_CR4), efer) && load_pdptes(vcpu, value))
		return -EINVAL;
	set(vcpu, CTL_CR3, value);
	return 0;
}

u64 control_cr4_allowed(const struct vcpu *vcpu)
{
	static const struct {
		enum guest_feature feature;
		u64 bits;
	} grants[] = {
		{ FEATURE_VME, CR4_VME | CR4_PVI },
		{ FEATURE_DE, CR4_DE },
		{ FEATURE_PSE, CR4_PSE },
		{ FEATURE_PAE, CR4_PAE },
		{ FEATURE_PGE, CR4_PGE },
		{ FEATURE_FXSR, CR4_OSFXSR },
		{ FEATURE_SSE, CR4_OSXMMEXCPT },
		{ FEATURE_UMIP, CR4_UMIP },
		{ FEATURE_FSGSBASE, CR4_FSGSBASE },
		{ FEATURE_PCID, CR4_PCIDE },
		{ FEATURE_XSAVE, CR4_OSXSAVE },
		{ FEATURE_SMEP, CR4_SMEP },
		{ FEATURE_SMAP, CR4_SMAP },
		{ FEATURE_PKU, CR4_PKE },
		{ FEATURE_LA57, CR4_LA57 },
	};
	u64 allowed = CR4_TSD | CR4_MCE | CR4_PCE;

	for (unsigned i = 0; i < ARRAY_SIZE(grants); i++) {
		if (cpuid_has(vcpu, grants[i].feature))
			allowed |= grants[i].bits;
	}
	if (nested_is_on(vcpu))
		allowed |= vcpu->ops->nested_cr4;
	return allowed;
}

int control_write_cr4(struct vcpu *vcpu, u64 value)
{
	const u64 reloads = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;
	u64 old = get(vcpu, CTL_CR4), efer = get(vcpu, CTL_EFER);

	if ((value & ~vcpu->cr4_allowed) || nested_forbids(vcpu, CTL_CR4, value))
		return -EINVAL;
	if ((efer & EFER_LMA) && (!(value & CR4_PAE) || ((value ^ old) & CR4_LA57)))
		return -EINVAL;
	if ((value & CR4_PCIDE) && !(old & CR4_PCIDE) &&
	    (!(efer & EFER_LMA) || (get(vcpu, CTL_CR3) & 0xfff)))
		return -EINVAL;
	if (pae_paging(get(vcpu, CTL_CR0), value, efer) && ((value ^ old) & reloads) &&
	    load_pdptes(vcpu, get(vcpu, CTL_CR3)))
		return -EINVAL;
	set(vcpu, CTL_CR4, value);
	return 0;
}

int control_write_cr8(struct vcpu *vcpu, u64 value)
{
	if (value > 15)
		return -EINVAL;
	vcpu->vm->irqchip->cr8_write(vcpu, value);
	return 0;
}

u64 control_efer_allowed(const struct vcpu *vcpu)
{
	u64 allowed = EFER_LMA;

	if (cpuid_has(vcpu, FEATURE_SYSCALL))
		allowed |= EFER_SCE;
	if (cpuid_has(vcpu, FEATURE_LONG_MODE))
		allowed |= EFER_LME;
	if (cpuid_has(vcpu, FEATURE_NX))
		allowed |= EFER_NXE;
	if (cpuid_has(vcpu, FEATURE_FFXSR))
		allowed |= EFER_FFXSR;
	if (nested_is_on(vcpu))
		allowed |= vcpu->ops->nested_efer;
	return allowed;
}

int control_write_efer(struct vcpu *vcpu, u64 value)
{
	u64 old = get(vcpu, CTL_EFER);

	if ((value & ~control_efer_allowed(vcpu)) || nested_forbids(vcpu, CTL_EFER, value))
		return -EINVAL;
	if (((value ^ old) & EFER_LME) && (get(vcpu, CTL_CR0) & CR0_PG))
		return -EINVAL;
	/* The processor sets LMA: a write does not change it. */
	set(vcpu, CTL_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return 0;
}

u64 control_xcr0_allowed(const struct vcpu *vcpu)
{
	u64 allowed = XCR0_X87 | XCR0_SSE;

	if (cpuid_has(vcpu, FEATURE_AVX))
		allowed |= XCR0_AVX;
	if (cpuid_has(vcpu, FEATURE_AVX512))
		allowed |= XCR0_AVX512;
	return allowed;
}

int control_write_xcr0(struct vcpu *vcpu, u32 index, u64 value)
{
	if (index != 0 || !(value & XCR0_X87) || (value & ~control_xcr0_allowed(vcpu)))
		return -EINVAL;
	if ((value & XCR0_AVX) && !(value & XCR0_SSE))
		return -EINVAL;
	if ((value & XCR0_AVX512) && ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX)))
		return -EINVAL;
	set(vcpu, CTL_XCR0, value);
	return 0;
}
