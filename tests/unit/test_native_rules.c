/* SPDX-License-Identifier: MIT */
/*
 * Every instruction with a memory operand, in each mode, against Zydis: the processor is given none that does more than
 * compute on one operand; the rewritten instruction is the same one; and the emulator does each, or raises #UD for
 * those that guests' processors do not have.
 */
/* link: core/emulate/watch.c */
/* link: core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c */
/* link: lib/insn_tables.c tests/unit/fake_native.c tests/unit/fake_vcpu.c */
/* libs: -lZydis */
#include "emulate_machine.h"

#include <stdio.h>
#include <Zydis/Zydis.h>

#include "core/emulate/native_rules.h"
#include "fake_native.h"

#define LENGTH 16

static ZydisDecoder decoders[3];
static unsigned problems;

struct decoded {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(enum insn_mode mode, const u8 *bytes, unsigned length, struct decoded *d)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode], bytes, length, &d->insn, d->operands));
}

/* Number of memory operands that are accessed, and the last of them. */
static unsigned memory_operands(const struct decoded *d, const ZydisDecodedOperand **last)
{
	unsigned count = 0;

	for (unsigned i = 0; i < d->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &d->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
		    operand->mem.type != ZYDIS_MEMOP_TYPE_MIB) {
			count++;
			*last = operand;
		}
	}
	return count;
}

static void describe(const char *what, enum insn_mode mode, const u8 *bytes, const struct decoded *d)
{
	static ZydisMnemonic last;
	char text[64] = "";

	for (unsigned i = 0; i < d->insn.length; i++)
		sprintf(text + 3 * i, " %02x", bytes[i]);
	problems++;
	if (d->insn.mnemonic != last)	/* each only once */
		print_message("%s, %u bits:%s: %s\n", ZydisMnemonicGetString(d->insn.mnemonic), 16u << mode, text, what);
	last = d->insn.mnemonic;
}

static bool is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32 || class == ZYDIS_REGCLASS_GPR64;
}

/* --- is it safe? --- */

/* General, x87, MMX, vector and mask registers, flags, MXCSR, the x87's status and control. */
static bool is_harmless(const ZydisDecodedOperand *operand)
{
	switch (ZydisRegisterGetClass(operand->reg.value)) {
	case ZYDIS_REGCLASS_GPR8: case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_X87: case ZYDIS_REGCLASS_MMX: case ZYDIS_REGCLASS_XMM: case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM: case ZYDIS_REGCLASS_MASK: case ZYDIS_REGCLASS_FLAGS: case ZYDIS_REGCLASS_INVALID:
		return true;
	default:
		break;
	}
	switch (operand->reg.value) {
	case ZYDIS_REGISTER_MXCSR: case ZYDIS_REGISTER_X87CONTROL: case ZYDIS_REGISTER_X87STATUS:
	case ZYDIS_REGISTER_X87TAG:
		return true;
	default:	/* XCR0 and the state component bitmaps are read only */
		return !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
	}
}

static void check_safety(enum insn_mode mode, const u8 *bytes, const struct decoded *d, const struct native_kind *kind)
{
	const ZydisDecodedOperand *memory = NULL;

	if (memory_operands(d, &memory) != 1 || memory->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
		describe("other than one memory operand", mode, bytes, d);
	if (d->insn.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || d->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		describe("privileged, or a branch", mode, bytes, d);
	for (unsigned i = 0; i < d->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &d->operands[i];

		if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (!is_harmless(operand))
			describe(ZydisRegisterGetString(operand->reg.value), mode, bytes, d);
		if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG &&
		    is_general(operand->reg.value) != kind->reg_is_general)
			describe("the reg field's kind of register", mode, bytes, d);
		if (operand->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD &&
		    is_general(operand->reg.value) != kind->vvvv_is_general)
			describe("vvvv's kind of register", mode, bytes, d);
	}
	if (kind->class == NATIVE_INTEGER &&
	    (!!(memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != kind->stores ||
	     !!(memory->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != kind->loads))
		describe("what it does with its operand", mode, bytes, d);
	if ((kind->class == NATIVE_X87 || kind->class == NATIVE_STATE) &&
	    !!(memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != kind->stores)
		describe("whether it stores", mode, bytes, d);
}

/* --- is it still the same? --- */

static unsigned number(ZydisRegister reg)
{
	return ZydisRegisterGetId(reg);
}

static void check_same(enum insn_mode mode, const u8 *bytes, const struct decoded *d, const struct native_kind *kind,
		       const struct insn *insn)
{
	struct native_code code;
	struct decoded now;

	native_rewrite(insn, bytes, kind, mode, &code);
	native_aim(&code, insn, kind, 0x1000, 0x3000);
	if (!decode(INSN_MODE_64, code.bytes, code.length, &now) || now.insn.length != code.length)
		describe("cannot be decoded when it is rewritten", mode, bytes, d);
	if (now.insn.mnemonic != d->insn.mnemonic || now.insn.operand_count_visible != d->insn.operand_count_visible)
		describe(ZydisMnemonicGetString(now.insn.mnemonic), mode, bytes, d);
	for (unsigned i = 0; i < d->insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *a = &d->operands[i], *b = &now.operands[i];

		if (a->type != b->type || a->size != b->size || a->element_size != b->element_size)
			describe("another operand", mode, bytes, d);
		if (a->type == ZYDIS_OPERAND_TYPE_REGISTER && a->reg.value != b->reg.value &&
		    (number(a->reg.value) != REG_RSP || number(b->reg.value) != code.stand_in))
			describe("another register", mode, bytes, d);
		if (a->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && a->imm.value.u != b->imm.value.u)
			describe("another immediate", mode, bytes, d);
		if (b->type == ZYDIS_OPERAND_TYPE_MEMORY && !kind->di &&
		    (b->mem.base != ZYDIS_REGISTER_RIP || b->mem.disp.value != 0x2000 - code.length))
			describe("another address", mode, bytes, d);
	}
}

/* --- does the emulator know it? --- */

/* What no guest's processor has, and what moves more than one operand: it gets #UD. */
static bool may_be_refused(const struct decoded *d)
{
	const ZydisDecodedOperand *memory = NULL;

	if (d->insn.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		return true;
	if (memory_operands(d, &memory) != 1 || memory->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
		return true;
	switch (d->insn.meta.category) {
	case ZYDIS_CATEGORY_VTX: case ZYDIS_CATEGORY_SGX: case ZYDIS_CATEGORY_CET: case ZYDIS_CATEGORY_KEYLOCKER:
	case ZYDIS_CATEGORY_KEYLOCKER_WIDE:
	case ZYDIS_CATEGORY_AMX_TILE: case ZYDIS_CATEGORY_ENQCMD: case ZYDIS_CATEGORY_PT: case ZYDIS_CATEGORY_PADLOCK:
	case ZYDIS_CATEGORY_MOVDIR: case ZYDIS_CATEGORY_KNC: case ZYDIS_CATEGORY_KNCMASK: case ZYDIS_CATEGORY_UINTR:
	case ZYDIS_CATEGORY_GATHER: case ZYDIS_CATEGORY_SCATTER: case ZYDIS_CATEGORY_XOP:
		return true;
	default:
		break;
	}
	if (d->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)	/* with the selector in the instruction, or on the stack */
		return true;
	switch (d->insn.meta.isa_set) {
	case ZYDIS_ISA_SET_KNCE: case ZYDIS_ISA_SET_KNCV: case ZYDIS_ISA_SET_KNCSTREAM:
		return true;
	default:
		break;
	}
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_XSAVEC: case ZYDIS_MNEMONIC_XSAVEC64: case ZYDIS_MNEMONIC_XSAVES: case ZYDIS_MNEMONIC_XSAVES64:
	case ZYDIS_MNEMONIC_XRSTORS: case ZYDIS_MNEMONIC_XRSTORS64: case ZYDIS_MNEMONIC_PTWRITE:
	case ZYDIS_MNEMONIC_POPF: case ZYDIS_MNEMONIC_POPFD: case ZYDIS_MNEMONIC_POPFQ: case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_IRET: case ZYDIS_MNEMONIC_IRETD: case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_PUSHA: case ZYDIS_MNEMONIC_PUSHAD: case ZYDIS_MNEMONIC_POPA: case ZYDIS_MNEMONIC_POPAD:
	case ZYDIS_MNEMONIC_UD0: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_LWPINS: case ZYDIS_MNEMONIC_LWPVAL:
		return true;
	case ZYDIS_MNEMONIC_POP:	/* of a segment register */
		return ZydisRegisterGetClass(d->operands[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
	default:
		return false;
	}
}

static void enter(enum insn_mode mode)
{
	if (mode == INSN_MODE_64)
		enter_long_mode();
	else
		fake_protected_mode(mode == INSN_MODE_32);
	for (unsigned i = 0; i < 16; i++)
		set(i, i == REG_RSP ? DATA + 0x800 : mode == INSN_MODE_64 ? DEVICE + 0x800 : FAKE_MMIO + 0x800);
	set(REG_RCX, 1);
	set(REG_RFLAGS, RFLAGS_FIXED);
	memset(fake_vectors, 0, sizeof(fake_vectors));
	fake_vectors[0] = 0x7f;
	fake_vectors[1] = 3;
	fake_vectors[24] = 0x80;
	fake_vectors[25] = 0x1f;
}

/* It is done, or it faults as on a processor; it is refused in words only where that is right. */
static void check_outcome(enum insn_mode mode, const u8 *bytes, const struct decoded *d)
{
	const struct tdp_fault fault = { .gpa = FAKE_MMIO + 0x800, .access = TDP_WRITE, .what = "test" };

	enter(mode);
	place(CODE, bytes, LENGTH);
	emulate_mmio(&fake.vcpu, &fault);
	if (fake.ended && d->insn.meta.category != ZYDIS_CATEGORY_INTERRUPT)	/* its delivery needs the stack */
		describe(fake.words, mode, bytes, d);
	if (strstr(fake.words, "not emulated") && !may_be_refused(d))
		describe("is refused", mode, bytes, d);
	if (!fake.faulted && !fake.instructions_done && d->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM)
		describe("has no outcome", mode, bytes, d);
}

static unsigned tried, native;

static void try(enum insn_mode mode, const u8 *bytes)
{
	const ZydisDecodedOperand *memory;
	struct native_kind kind;
	struct decoded d;
	struct insn insn;

	if (!decode(mode, bytes, LENGTH, &d) || !memory_operands(&d, &memory) ||
	    d.insn.meta.isa_set == ZYDIS_ISA_SET_KNCJKBR)
		return;
	if (insn_decode(bytes, LENGTH, mode, &insn))
		describe("cannot be decoded", mode, bytes, &d);
	tried++;
	kind = native_kind(&insn, bytes);
	if (kind.class != NATIVE_NONE) {
		native++;
		check_safety(mode, bytes, &d, &kind);
		check_same(mode, bytes, &d, &kind, &insn);
	}
	check_outcome(mode, bytes, &d);
}

/* --- all of them --- */

/* The operand is [BX + SI], or [rBX]; the rest of the bytes is the immediate. */
static u8 modrm(enum insn_mode mode, unsigned digit)
{
	return digit << 3 | (mode == INSN_MODE_16 ? 7 : 3);
}

static void every_legacy_opcode(void **state)
{
	problems = 0;
	static const u8 prefixes[] = { 0, 0x66, 0xf3, 0xf2, 0x48, 0xf0 };
	static const u8 maps[][3] = { { 0 }, { 1, 0x0f }, { 2, 0x0f, 0x38 }, { 2, 0x0f, 0x3a } };

	for (unsigned i = 0; i < 3 * 4 * ARRAY_SIZE(prefixes) * 256; i++) {
		enum insn_mode mode = i % 3;
		const u8 *map = maps[i / 3 % 4];
		u8 prefix = prefixes[i / 12 % ARRAY_SIZE(prefixes)];

		if (prefix == 0x48 && mode != INSN_MODE_64)
			continue;
		for (unsigned digit = 0; digit < 8; digit++) {
			u8 bytes[LENGTH] = { 0 }, length = 0;

			if (prefix)
				bytes[length++] = prefix;
			for (unsigned m = 0; m < map[0]; m++)
				bytes[length++] = map[1 + m];
			bytes[length++] = (u8)(i / (12 * ARRAY_SIZE(prefixes)));
			bytes[length++] = modrm(mode, digit);
			bytes[length++] = 1;
			try(mode, bytes);
		}
	}
	assert_true(tried > 10000);
	assert_true(native > 4000);
	assert_int_equal(problems, 0);
}

/* MASKMOVQ and MASKMOVDQU have their operand at rDI. */
static void operands_at_rdi(void **state)
{
	for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++) {
		try(mode, (const u8[LENGTH]){ 0x0f, 0xf7, 0xca });
		try(mode, (const u8[LENGTH]){ 0x66, 0x0f, 0xf7, 0xca });
		try(mode, (const u8[LENGTH]){ 0xc5, 0xf9, 0xf7, 0xca });
	}
	assert_int_equal(problems, 0);
}

static void every_vector_opcode(void **state)
{
	static const u8 registers[] = { 0, 4, 5 };	/* of the reg field; R decides about the rest */
	unsigned before = native;

	problems = 0;

	for (unsigned i = 0; i < 3 * 32 * 256 * 16; i++) {
		enum insn_mode mode = i % 3;
		u8 map = i / 3 % 32, opcode = (u8)(i / 96), pp = i / 96 / 256 % 4, w = i / 96 / 1024 % 2, l = i / 96 / 2048 % 2;
		u8 vvvv = opcode & 1 ? 0x7b & 0x78 : 0x58;	/* none, RSP */
		u8 r = registers[opcode % 3];
		u8 vex[LENGTH] = { map < 8 ? 0xc4 : 0x8f, 0xe0 | map, w << 7 | vvvv | l << 2 | pp, opcode, modrm(mode, r), 1 };
		u8 evex[LENGTH] = { 0x62, 0xf0 | (map & 7), w << 7 | vvvv | 4 | pp, l << 5 | 8, opcode, modrm(mode, r), 1 };

		try(mode, vex);
		vex[2] |= 0x78;
		try(mode, vex);
		vex[4] = modrm(mode, i / 7 % 8);
		try(mode, vex);
		if (map >= 8)
			continue;
		evex[2] |= 0x78;
		try(mode, evex);
		evex[3] |= 0x11;	/* a mask, and broadcasting */
		try(mode, evex);
	}
	assert_true(native - before > 10000);
	assert_int_equal(problems, 0);
}

static int open_decoders(void **state)
{
	ZydisDecoderInit(&decoders[INSN_MODE_16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoders[INSN_MODE_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[INSN_MODE_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_legacy_opcode),
		TEST(operands_at_rdi),
		TEST(every_vector_opcode),
	};

	return cmocka_run_group_tests_name("instructions that the processor executes for a guest", tests, open_decoders,
					   NULL);
}
