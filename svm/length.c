/* SPDX-License-Identifier: MIT */
/* The encodings of instructions that exit. AMD APM vol. 3, "Instruction Encoding". */
#include "svm/length.h"

#include "core/code.h"

/* The first bytes, in the order of memory, and which of their bits count. */
static const struct {
	u32 bytes, mask;
	u8 length;
} plain[] = {
	[VMEXIT_CPUID] = { 0xa20f, 0xffff, 2 },
	[VMEXIT_HLT] = { 0xf4, 0xff, 1 },
	[VMEXIT_MSR] = { 0x300f, 0xfdff, 2 },	/* WRMSR 0F 30, RDMSR 0F 32 */
	[VMEXIT_VMMCALL] = { 0xd9010f, 0xffffff, 3 },
	[VMEXIT_WBINVD] = { 0x090f, 0xffff, 2 },
	[VMEXIT_XSETBV] = { 0xd1010f, 0xffffff, 3 },
};

u64 svm_plain_next_rip(const struct vcpu_svm *svm)
{
	u64 index = svm->vmcb->control.exit_code, rip = svm->vmcb->save.rip;
	struct code_view view;
	const u32 *code;

	if (index >= ARRAY_SIZE(plain) || !plain[index].length)
		return 0;
	svm_code_view(&svm->vcpu, &view);
	code = (const u32 *)code_at(svm->vcpu.vm, &view, rip);
	if (!code || (__atomic_load_n(code, __ATOMIC_RELAXED) & plain[index].mask) != plain[index].bytes)
		return 0;
	return rip + plain[index].length;
}
