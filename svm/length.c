/* SPDX-License-Identifier: MIT */
/* The encodings of instructions that exit. AMD APM vol. 3, "Instruction Encoding". */
#include "svm/length.h"

#include "core/emulate/code.h"
#include "lib/errno.h"

/* The first bytes, little-endian, and the mask of the bits that are compared. */
static const struct {
	u32 bytes, mask;
	u8 length;
} unprefixed[] = {
	[VMEXIT_CPUID] = { 0xa20f, 0xffff, 2 },
	[VMEXIT_HLT] = { 0xf4, 0xff, 1 },
	[VMEXIT_MSR] = { 0x300f, 0xfdff, 2 },	/* WRMSR 0F 30, RDMSR 0F 32 */
	[VMEXIT_INVLPGA] = { 0xdf010f, 0xffffff, 3 },
	[VMEXIT_VMRUN] = { 0xd8010f, 0xffffff, 3 },
	[VMEXIT_VMMCALL] = { 0xd9010f, 0xffffff, 3 },
	[VMEXIT_VMLOAD] = { 0xda010f, 0xffffff, 3 },
	[VMEXIT_VMSAVE] = { 0xdb010f, 0xffffff, 3 },
	[VMEXIT_STGI] = { 0xdc010f, 0xffffff, 3 },
	[VMEXIT_CLGI] = { 0xdd010f, 0xffffff, 3 },
	[VMEXIT_WBINVD] = { 0x090f, 0xffff, 2 },
	[VMEXIT_XSETBV] = { 0xd1010f, 0xffffff, 3 },
};

/* MOV to or from a control register, with at most a REX prefix. */
struct mov_cr {
	bool found;
	u8 cr, reg, length;
};

static struct mov_cr parse_mov_cr(const u8 *code, bool code_64)
{
	u8 rex = code_64 && (code[0] & 0xf0) == 0x40 ? code[0] : 0;
	const u8 *at = code + !!rex;

	return (struct mov_cr){
		.found = at[0] == 0x0f && (at[1] == 0x20 || at[1] == 0x22),
		.cr = (at[2] >> 3 & 7) | (rex & 4) << 1,	/* REX.R */
		.reg = (at[2] & 7) | (rex & 1) << 3,		/* REX.B */
		.length = 3 + !!rex,
	};
}

static bool accesses_cr(u64 code)
{
	return code < VMEXIT_DR_READ || code == VMEXIT_CR0_SEL_WRITE;
}

/* Copies the instruction's first bytes: the guest may change them between two reads. */
static bool read_code(const struct vcpu_svm *svm, u8 bytes[4], bool *code_64)
{
	struct code_view view;
	const u8 *code;

	svm_code_view(&svm->vcpu, &view);
	code = code_at(svm->vcpu.vm, &view, svm->vmcb->save.rip);
	if (!code)
		return false;
	__builtin_memcpy(bytes, code, 4);
	*code_64 = view.mode == INSN_MODE_64;
	return true;
}

int svm_unprefixed_mov_cr(const struct vcpu_svm *svm, unsigned cr)
{
	struct mov_cr mov;
	u8 bytes[4];
	bool code_64;

	if (!read_code(svm, bytes, &code_64))
		return -ENOENT;
	mov = parse_mov_cr(bytes, code_64);
	return mov.found && mov.cr == cr ? mov.reg : -ENOENT;
}

u64 svm_unprefixed_next_rip(const struct vcpu_svm *svm)
{
	u64 index = svm->vmcb->control.exit_code, rip = svm->vmcb->save.rip;
	struct mov_cr mov;
	u8 bytes[4];
	bool code_64;
	u32 value;

	if (accesses_cr(index)) {
		if (!read_code(svm, bytes, &code_64))
			return 0;
		mov = parse_mov_cr(bytes, code_64);
		return mov.found ? rip + mov.length : 0;
	}
	if (index >= ARRAY_SIZE(unprefixed) || !unprefixed[index].length || !read_code(svm, bytes, &code_64))
		return 0;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return (value & unprefixed[index].mask) == unprefixed[index].bytes ? rip + unprefixed[index].length : 0;
}
