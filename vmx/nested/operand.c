/* SPDX-License-Identifier: MIT */
/*
 * Operands of L1's VMX instructions, as the exit reports them. SDM, "VM-Exit Instruction-Information Field", "Exit
 * Qualification": the latter is the displacement.
 */
#include "vmx/nested/operand.h"

#include "arch/cpu/x86.h"
#include "core/emulate/operand.h"
#include "lib/bits.h"
#include "vmx/vmx.h"

#define INFO_SCALE(info)	((info) & 3)
#define INFO_ADDRESS_SIZE(info)	(2u << ((info) >> 7 & 3))	/* bytes */
#define INFO_SEGMENT(info)	((enum vcpu_segment)((info) >> 15 & 7))
#define INFO_INDEX(info)	((enum vcpu_reg)((info) >> 18 & 15))
#define INFO_NO_INDEX		BIT(22)
#define INFO_BASE(info)		((enum vcpu_reg)((info) >> 23 & 15))
#define INFO_NO_BASE		BIT(27)

static u64 operand_address(struct vcpu *vcpu, u32 info, unsigned behind)
{
	u64 offset = to_vmx(vcpu)->qualification + behind;

	if (!(info & INFO_NO_BASE))
		offset += vcpu_reg_read(vcpu, INFO_BASE(info));
	if (!(info & INFO_NO_INDEX))
		offset += vcpu_reg_read(vcpu, INFO_INDEX(info)) << INFO_SCALE(info);
	return offset & size_mask(INFO_ADDRESS_SIZE(info));
}

static int map(struct vcpu *vcpu, u32 info, unsigned behind, unsigned size, u32 access, struct guest_span *span)
{
	return operand_map(vcpu, INFO_SEGMENT(info), operand_address(vcpu, info, behind), size, access, span);
}

int nested_operand_read(struct vcpu *vcpu, u32 info, unsigned size, u64 *value)
{
	struct guest_span span;

	if (map(vcpu, info, 0, size, 0, &span))
		return -EFAULT;
	*value = operand_read(vcpu, &span);
	return 0;
}

int nested_operand_read_pair(struct vcpu *vcpu, u32 info, u64 pair[2])
{
	struct guest_span low, high;

	if (map(vcpu, info, 0, 8, 0, &low) || map(vcpu, info, 8, 8, 0, &high))
		return -EFAULT;
	pair[0] = operand_read(vcpu, &low);
	pair[1] = operand_read(vcpu, &high);
	return 0;
}

int nested_operand_write(struct vcpu *vcpu, u32 info, unsigned size, u64 value)
{
	struct guest_span span;

	if (map(vcpu, info, 0, size, PF_WRITE, &span))
		return -EFAULT;
	operand_write(vcpu, &span, value);
	return 0;
}
