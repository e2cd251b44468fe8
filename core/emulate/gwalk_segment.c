/* SPDX-License-Identifier: MIT */
/*
 * Segmentation: translation of a segment and an offset to a linear address.
 * Intel SDM, "Limit Checking", "Type Checking", "Segmentation in IA-32e Mode".
 */
#include "arch/cpu/x86.h"
#include "core/emulate/gwalk.h"
#include "core/vcpu.h"

#define TYPE_READABLE	 BIT(1)	/* code */

static int protection_fault(enum vcpu_segment segment, struct guest_fault *fault)
{
	*fault = (struct guest_fault){ .vector = segment == SEG_SS ? X86_SS : X86_GP };
	return -EFAULT;
}

static bool within_limit(const struct segment *segment, u64 offset, unsigned size)
{
	u64 last = offset + size - 1;

	if ((segment->type & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN)
		return offset > segment->limit && last <= (segment->db ? 0xffffffffull : 0xffffull);
	return last <= segment->limit;
}

static bool type_allows(const struct segment *segment, u32 access)
{
	if (segment->unusable)
		return false;
	/*
	 * The processor checks the type of CS when CS is loaded, not at each fetch: code that has just set
	 * CR0.PE may still run in a segment that real mode left with a data type.
	 */
	if (access & PF_FETCH)
		return true;
	if (access & PF_WRITE)
		return (segment->type & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE;
	return !(segment->type & TYPE_CODE) || (segment->type & TYPE_READABLE);
}

/* Real and virtual-8086 mode check the limit, but not the type. */
static bool protected_types(struct vcpu *vcpu)
{
	return (vcpu->ops->control_get(vcpu, CTL_CR0) & CR0_PE) && !(vcpu_rflags(vcpu) & RFLAGS_VM);
}

static int linear_64(struct vcpu *vcpu, enum vcpu_segment index, u64 offset, unsigned size,
		     gva_t *gva, struct guest_fault *fault)
{
	*gva = offset;
	if (index == SEG_FS || index == SEG_GS) {
		struct segment segment;

		vcpu->ops->segment_get(vcpu, index, &segment);
		*gva += segment.base;
	}
	if (!gwalk_canonical(vcpu, *gva) || !gwalk_canonical(vcpu, *gva + size - 1))
		return protection_fault(index, fault);
	return 0;
}

int gwalk_linear(struct vcpu *vcpu, enum vcpu_segment index, u64 offset, unsigned size, u32 access,
		 gva_t *gva, struct guest_fault *fault)
{
	struct segment segment;

	if (vcpu_code_64(vcpu))
		return linear_64(vcpu, index, offset, size, gva, fault);

	offset = (u32)offset;
	vcpu->ops->segment_get(vcpu, index, &segment);
	if (protected_types(vcpu) && !type_allows(&segment, access))
		return protection_fault(index, fault);
	if (!within_limit(&segment, offset, size))
		return protection_fault(index, fault);
	*gva = (u32)(segment.base + offset);
	return 0;
}

u32 gwalk_privilege(struct vcpu *vcpu)
{
	return vcpu_cpl(vcpu) == 3 ? PF_USER : 0;
}

void guest_fault_raise(struct vcpu *vcpu, const struct guest_fault *fault)
{
	if (fault->vector == X86_PF)
		event_raise_page_fault(vcpu, fault->address, fault->error_code);
	else if (unlikely(fault->vector == GUEST_FAULT_NESTED))
		vcpu->ops->nested_fault(vcpu);
	else
		event_raise_error(vcpu, fault->vector, fault->error_code);
}
