/* SPDX-License-Identifier: MIT */
/* The instruction emulator: fetching, stepping over, memory operands, refusals. */
/* link: core/emulate/watch.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: tests/unit/fake_native.c */
/* link: core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c */
/* link: lib/insn_tables.c tests/unit/fake_vcpu.c */
#include "emulate_machine.h"

/* --- fetch --- */

static void test_fetch_across_pages(void **state)
{
	static const u8 mov[] = { 0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct insn insn;

	/* Second page elsewhere in memory. */
	*pte(CODE + PAGE_SIZE) = 0x50000 | ALL;
	memcpy(fake.ram + CODE + 0xffa, mov, 6);
	memcpy(fake.ram + 0x50000, mov + 6, 4);
	set(REG_RIP, CODE + 0xffa);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 10);
	assert_int_equal(insn.immediate, 0x08070605);
}

static void test_second_page_matters_only_if_needed(void **state)
{
	struct insn insn;

	*pte(CODE + PAGE_SIZE) = 0;
	fake.ram[CODE + 0xffe] = 0x0f;
	fake.ram[CODE + 0xfff] = 0xa2;		/* CPUID ends with the page */
	set(REG_RIP, CODE + 0xffe);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 2);
	assert_false(fake.faulted);

	set(REG_RIP, CODE + 0xfff);
	fake.ram[CODE + 0xfff] = 0x0f;
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_PF, 0, CODE + PAGE_SIZE, CODE + 0xfff);
}

static void test_fetch_with_the_rights_of_the_guest(void **state)
{
	struct insn insn;

	PLACE(CODE, 0x90);
	*pte(CODE) &= ~PTE_USER;
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	fake_set_cpl(3);
	fake.controls[CTL_EFER] |= EFER_NXE;
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_PF, PF_PRESENT | PF_USER | PF_FETCH, CODE, CODE);
	*pte(CODE) |= PTE_USER | PTE_NX;
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_PF, PF_PRESENT | PF_USER | PF_FETCH, CODE, CODE);
}

static void test_fetch_outside_of_ram(void **state)
{
	struct insn insn;

	set(REG_RIP, DEVICE);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_words("0x30000, where there is no RAM");
}

static void test_fetch_up_to_the_limit(void **state)
{
	struct insn insn;

	fake_protected_mode(true);
	fake.segments[SEG_CS].limit = CODE + 1;
	PLACE(CODE, 0x0f, 0xa2);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	PLACE(CODE + 1, 0x90);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	PLACE(CODE, 0x66, 0x0f, 0xa2);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_GP, 0, 0, CODE);
}

static void test_modes_of_code(void **state)
{
	static const u8 mov[] = { 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct insn insn;

	place(CODE, mov, sizeof(mov));
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 5);
	fake_protected_mode(false);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 3);
	/* Real mode at F000:FFF0, as after a reset. */
	fake_real_mode();
	fake.segments[SEG_CS].base = 0xf0000;
	memcpy(fake.ram + 0xffff0, mov, sizeof(mov));
	set(REG_RIP, 0xfff0);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 3);
	/* Compatibility mode: long mode's tables, 32-bit code. */
	enter_long_mode();
	fake.segments[SEG_CS].l = false;
	fake.segments[SEG_CS].db = true;
	PLACE(CODE, 0x48);			/* DEC EAX, no REX */
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.rex, 0);
}

/* Right after CR0.PE is set, CS still has the type of real mode: fetches must not check it. */
static void test_fetch_from_the_cs_of_real_mode(void **state)
{
	struct insn insn;

	fake_protected_mode(false);
	fake.segments[SEG_CS].type = 3;
	PLACE(CODE, 0x0f, 0x20, 0xc0);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.length, 3);
}

/* What the processor raises for code that another CPU has written since. SDM, "Interrupt 6", "Interrupt 13". */
static void test_undecodable_code(void **state)
{
	struct insn insn;

	PLACE(CODE, 0x0f, 0x0a, 0xcc);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_UD, 0, 0, CODE);
	place(CODE, (const u8[]){ [0 ... 14] = 0x66, [15] = 0x90 }, 16);
	assert_int_equal(emulate_fetch(&fake.vcpu, &insn), -EFAULT);
	expect_raised(X86_GP, 0, 0, CODE);
	assert_true(fake.has_code);
}

/* --- stepping over --- */

static void test_advance(void **state)
{
	set(REG_RIP, 0xfffffffffffffff0ull);
	set(REG_RFLAGS, RFLAGS_FIXED | RFLAGS_RF | RFLAGS_ZF);
	emulate_advance(&fake.vcpu, 15);
	assert_int_equal(get(REG_RIP), ~0ull);
	assert_int_equal(get(REG_RFLAGS), RFLAGS_FIXED | RFLAGS_ZF);
	assert_int_equal(fake.instructions_done, 1);

	set(REG_RIP, 0xfffffffe);
	fake.vcpu.regs_dirty = 0;
	emulate_advance(&fake.vcpu, 3);
	assert_int_equal(get(REG_RIP), 0x100000001ull);
	assert_int_equal(fake.vcpu.regs_dirty, BIT(REG_RIP));	/* the flags are not written */

	fake.segments[SEG_CS].l = false;
	set(REG_RIP, 0xfffffffe);
	emulate_advance(&fake.vcpu, 3);
	assert_int_equal(get(REG_RIP), 1);
}

static unsigned mode_reads;
static u64 (*control_get_before)(struct vcpu *vcpu, enum vcpu_control control);

static u64 count_mode_reads(struct vcpu *vcpu, enum vcpu_control control)
{
	mode_reads += control == CTL_EFER;
	return control_get_before(vcpu, control);
}

/* Reading the mode accesses the VMCS: only where RIP carries into its upper half. */
static void test_advance_rarely_reads_the_mode(void **state)
{
	struct vcpu_ops ops = *fake.vcpu.ops;

	control_get_before = ops.control_get;
	ops.control_get = count_mode_reads;
	fake.vcpu.ops = &ops;
	mode_reads = 0;
	set(REG_RIP, CODE);
	emulate_advance(&fake.vcpu, 3);
	set(REG_RIP, 0xfffffffc);
	emulate_advance(&fake.vcpu, 3);
	set(REG_RIP, 0x7fffffff);
	emulate_advance(&fake.vcpu, 3);
	assert_int_equal(mode_reads, 0);
	set(REG_RIP, 0xffffffff);
	emulate_advance(&fake.vcpu, 1);
	assert_int_equal(mode_reads, 1);
	assert_int_equal(get(REG_RIP), 0x100000000ull);
}

/* --- memory --- */

static void test_access_crosses_from_ram_to_device(void **state)
{
	gva_t gva = DEVICE - 3;

	memcpy(fake.ram + DEVICE - 3, "abc", 3);
	memcpy(fake.mmio, "defgh", 5);
	PLACE(CODE, 0x48, 0x8b, 0x03);			/* MOV RAX, [RBX] */
	set(REG_RBX, gva);
	access_device(FAKE_MMIO, TDP_READ);
	expect_done(CODE + 3);
	assert_int_equal(get(REG_RAX), 0x6867666564636261ull);

	PLACE(CODE, 0x48, 0x89, 0x0b);			/* MOV [RBX], RCX */
	set(REG_RCX, 0x3837363534333231ull);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_done(CODE + 3);
	assert_memory_equal(fake.ram + DEVICE - 3, "123", 3);
	assert_memory_equal(fake.mmio, "45678", 5);
}

static struct {
	unsigned count;
	struct {
		gpa_t gpa;
		unsigned size;
	} list[8];
} pieces;

static void note_piece(void)
{
	assert_true(pieces.count < ARRAY_SIZE(pieces.list));
	pieces.list[pieces.count].gpa = fake.last_mmio_gpa;
	pieces.list[pieces.count++].size = fake.last_mmio_size;
}

/* Devices see sizes that are powers of two, from the lowest address up. */
static void test_pieces_come_in_order(void **state)
{
	static const struct {
		u64 offset;
		unsigned sizes[5];
	} cases[] = {
		{ 0xff8, { 8 } },
		{ 0xff9, { 4, 2, 1, 1 } },	/* 7 bytes in the first page, 1 in the second */
		{ 0xffa, { 4, 2, 2 } },
		{ 0xffb, { 4, 1, 2, 1 } },
		{ 0xffc, { 4, 4 } },
		{ 0xffd, { 2, 1, 4, 1 } },
		{ 0xffe, { 2, 4, 2 } },
		{ 0xfff, { 1, 4, 2, 1 } },
	};

	fake.on_access = note_piece;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const unsigned *sizes = cases[i / 2].sizes;
		gpa_t gpa = FAKE_MMIO + cases[i / 2].offset;
		bool write = i & 1;

		PLACE(CODE, 0x48, write ? 0x89 : 0x8b, 0x03);	/* MOV of 8 bytes */
		set(REG_RBX, DEVICE + cases[i / 2].offset);
		set(REG_RAX, 0x8877665544332211ull);
		memcpy(fake.mmio + cases[i / 2].offset, "\x18\x27\x36\x45\x54\x63\x72\x81", 8);
		pieces.count = 0;
		access_device(gpa, write ? TDP_WRITE : TDP_READ);
		expect_done(CODE + 3);
		for (unsigned n = 0; n < pieces.count; gpa += sizes[n++]) {
			assert_int_equal(pieces.list[n].gpa, gpa);
			assert_int_equal(pieces.list[n].size, sizes[n]);
		}
		assert_int_equal(gpa, FAKE_MMIO + cases[i / 2].offset + 8);
		if (write)
			assert_memory_equal(fake.mmio + cases[i / 2].offset, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		else
			assert_int_equal(get(REG_RAX), 0x8172635445362718ull);
	}
}

/* Two device pages that are not adjacent in guest-physical memory. */
static void test_access_crosses_device_pages(void **state)
{
	*pte(DEVICE + PAGE_SIZE) = (FAKE_MMIO + 0x8000) | ALL;
	memcpy(fake.mmio + 0xffe, "ab", 2);
	memcpy(fake.mmio + 0x8000, "cd", 2);
	PLACE(CODE, 0x8b, 0x03);			/* MOV EAX, [RBX] */
	set(REG_RBX, DEVICE + 0xffe);
	access_device(FAKE_MMIO + 0xffe, TDP_READ);
	expect_done(CODE + 2);
	assert_int_equal(get(REG_RAX), 0x64636261);
}

static void test_fault_in_the_second_page_writes_nothing(void **state)
{
	*pte(DEVICE + PAGE_SIZE) = 0;
	PLACE(CODE, 0x01, 0x0b);			/* ADD [RBX], ECX */
	set(REG_RBX, DEVICE + 0xffe);
	set(REG_RCX, 0x1111);
	access_device(FAKE_MMIO + 0xffe, TDP_READ);
	expect_raised(X86_PF, PF_WRITE, DEVICE + PAGE_SIZE, CODE);
	assert_int_equal(fake.mmio_reads + fake.mmio_writes, 0);
}

/* Reads must not write: a device would take the write for a command. */
static void test_accesses_that_reach_the_device(void **state)
{
	static const struct {
		u8 bytes[4], length;
		unsigned reads, writes;
	} cases[] = {
		{ { 0x8b, 0x03 }, 2, 1, 0 },			/* MOV EAX, [RBX] */
		{ { 0x89, 0x03 }, 2, 0, 1 },
		{ { 0xc6, 0x03, 0x05 }, 3, 0, 1 },
		{ { 0x85, 0x03 }, 2, 1, 0 },			/* TEST */
		{ { 0xf6, 0x03, 0x80 }, 3, 1, 0 },
		{ { 0x39, 0x03 }, 2, 1, 0 },			/* CMP */
		{ { 0x80, 0x3b, 0x01 }, 3, 1, 0 },
		{ { 0x0f, 0xba, 0x23, 0x01 }, 4, 1, 0 },	/* BT */
		{ { 0x0f, 0xba, 0x2b, 0x01 }, 4, 1, 1 },	/* BTS */
		{ { 0x09, 0x03 }, 2, 1, 1 },			/* OR [RBX], EAX */
		{ { 0x0b, 0x03 }, 2, 1, 0 },			/* OR EAX, [RBX] */
		{ { 0x87, 0x03 }, 2, 1, 1 },			/* XCHG */
		{ { 0x0f, 0xb1, 0x0b }, 3, 1, 1 },		/* CMPXCHG */
		{ { 0x0f, 0xc1, 0x0b }, 3, 1, 1 },		/* XADD */
		{ { 0xf7, 0x13 }, 2, 1, 1 },			/* NOT */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		place(CODE, cases[i].bytes, cases[i].length);
		set(REG_RBX, DEVICE + 0x10);
		access_device(FAKE_MMIO + 0x10, TDP_READ);
		expect_done(CODE + cases[i].length);
		assert_int_equal(fake.mmio_reads, cases[i].reads);
		assert_int_equal(fake.mmio_writes, cases[i].writes);
	}
}

/* SDM, "CMPXCHG": the destination gets a write cycle in any case, and RAX the value that differs. */
static void test_cmpxchg_always_writes(void **state)
{
	for (unsigned equal = 0; equal < 2; equal++) {
		memcpy(fake.mmio + 0x10, "\x78\x56\x34\x12", 4);
		PLACE(CODE, 0x0f, 0xb1, 0x0b);			/* CMPXCHG [RBX], ECX */
		set(REG_RBX, DEVICE + 0x10);
		set(REG_RCX, 0x99);
		set(REG_RAX, equal ? 0x12345678 : 0x12345679);
		access_device(FAKE_MMIO + 0x10, TDP_WRITE);
		expect_done(CODE + 3);
		assert_int_equal(fake.mmio_reads, 1);
		assert_int_equal(fake.mmio_writes, 1);
		assert_int_equal(get(REG_RAX), 0x12345678);
		assert_memory_equal(fake.mmio + 0x10, equal ? "\x99\0\0" : "\x78\x56\x34\x12", 4);
		assert_int_equal(!!(get(REG_RFLAGS) & RFLAGS_ZF), equal);
	}
}

static void test_access_with_the_rights_of_the_guest(void **state)
{
	PLACE(CODE, 0x89, 0x03);			/* MOV [RBX], EAX */
	set(REG_RBX, DEVICE + 0x10);
	fake_set_cpl(3);
	*pte(DEVICE) &= ~PTE_USER;
	/* The fault was for a read: it says nothing about the rights of this write. */
	access_device(FAKE_MMIO + 0x10, TDP_READ);
	expect_raised(X86_PF, PF_PRESENT | PF_USER | PF_WRITE, DEVICE + 0x10, CODE);
	fake_set_cpl(0);
	fake_forget();
	*pte(DEVICE) &= ~PTE_WRITE;
	fake.controls[CTL_CR0] |= CR0_WP;
	access_device(FAKE_MMIO + 0x10, TDP_READ);
	expect_raised(X86_PF, PF_PRESENT | PF_WRITE, DEVICE + 0x10, CODE);
}

/* The processor has translated the faulted page, but only for this kind of access at this offset. */
static void test_the_faulted_page_is_not_walked_again(void **state)
{
	static const struct {
		u64 offset, faulted;
		enum tdp_access access;
		bool trusted;
	} cases[] = {
		{ 0x10, 0x10, TDP_WRITE, true },
		{ 0, 0, TDP_WRITE, true },
		{ 0xffc, 0xffc, TDP_WRITE, true },	/* up to the page's end */
		{ 0xffd, 0xffd, TDP_WRITE, false },
		{ 0x10, 0x11, TDP_WRITE, false },
		{ 0x10, 0x10, TDP_READ, false },
	};

	PLACE(CODE, 0x89, 0x03);			/* MOV [RBX], EAX */
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		*pte(DEVICE) = 0;
		set(REG_RIP, CODE);
		set(REG_RBX, DEVICE + cases[i].offset);
		fake_forget();
		access_device(FAKE_MMIO + 0x1000 + cases[i].faulted, cases[i].access);
		if (!cases[i].trusted) {
			expect_raised(X86_PF, PF_WRITE, DEVICE + cases[i].offset, CODE);
			continue;
		}
		expect_done(CODE + 2);
		assert_int_equal(fake.mmio_writes, 1);
	}

	PLACE(CODE, 0x8b, 0x03);			/* MOV EAX, [RBX] */
	*pte(DEVICE) = 0;
	set(REG_RBX, DEVICE);
	access_device(FAKE_MMIO, TDP_READ);
	expect_done(CODE + 2);
	set(REG_RIP, CODE);
	fake_forget();
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_raised(X86_PF, 0, DEVICE, CODE);
}

static void test_segment_faults(void **state)
{
	fake_protected_mode(true);
	fake.segments[SEG_DS].limit = 0xfff;
	PLACE(CODE, 0xa3, 0x00, 0x00, 0x00, 0x50);	/* MOV [0x50000000], EAX */
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_raised(X86_GP, 0, 0, CODE);

	fake.segments[SEG_SS].limit = 0xfff;
	PLACE(CODE, 0x89, 0x45, 0x00);			/* MOV [EBP], EAX */
	set(REG_RBP, FAKE_MMIO);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_raised(X86_SS, 0, 0, CODE);

	PLACE(CODE, 0x3e, 0x89, 0x45, 0x00);		/* the same with DS */
	fake.segments[SEG_DS].limit = 0xffffffff;
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_done(CODE + 4);
}

static void test_real_mode_addressing(void **state)
{
	fake_real_mode();
	fake.segments[SEG_ES] = fake.segments[SEG_DS];
	fake.segments[SEG_ES].base = FAKE_MMIO;
	set(REG_RBX, 0xdead0000fff0ull);
	set(REG_RSI, 0xbeef00000020ull);
	set(REG_RAX, 0x55);
	PLACE(0x8000, 0x26, 0x88, 0x40, 0x02);		/* MOV ES:[BX + SI + 2], AL */
	access_device(FAKE_MMIO + 0x12, TDP_WRITE);
	expect_done(0x8004);
	assert_int_equal(fake.mmio[0x12], 0x55);
}

static void test_gs_base_in_64_bit_code(void **state)
{
	fake.segments[SEG_GS].base = DEVICE;
	fake.segments[SEG_DS].base = 0x1000;		/* ignored */
	fake.mmio[0x20] = 0x77;
	PLACE(CODE, 0x65, 0x0f, 0xb6, 0x04, 0x25, 0x20, 0, 0, 0);
	access_device(FAKE_MMIO + 0x20, TDP_READ);
	expect_done(CODE + 9);
	assert_int_equal(get(REG_RAX), 0x77);
}

/* --- what is not emulated --- */

static void test_refusals_name_the_bytes(void **state)
{
	static const struct {
		u8 bytes[6];
		const char *words;
	} cases[] = {
		{ { 0xc4, 0xe2, 0x79, 0x90, 0x04, 0x0b }, "c4 e2 79 90 04 0b" },	/* VPGATHERDD */
		{ { 0x66, 0x0f, 0x38, 0xf8, 0x03 }, "66 0f 38 f8 03" },		/* MOVDIR64B */
		{ { 0x66, 0x0f, 0x38, 0x82, 0x03 }, "66 0f 38 82 03" },		/* INVPCID */
		{ { 0x0f, 0xc7, 0x33 }, "0f c7 33" },				/* VMPTRLD */
		{ { 0x0f, 0x78, 0x03 }, "0f 78 03" },				/* VMREAD */
		{ { 0x0f, 0xc7, 0x2b }, "0f c7 2b" },				/* XSAVES */
		{ { 0xcf, 0xcc }, "cf cc" },					/* IRET */
		{ { 0x9d, 0xcc }, "9d cc" },					/* POPF */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		place(CODE, cases[i].bytes, sizeof(cases[i].bytes));
		set(REG_RBX, DEVICE);
		access_device(FAKE_MMIO, TDP_WRITE);
		expect_refused("write to 0x50000000, device memory");
		expect_refused(cases[i].words);
		assert_int_equal(fake.mmio_reads + fake.mmio_writes, 0);
	}
}

/* Some of the opcodes that ModR/M.reg extends. SDM, "Opcode Extensions for One- and Two-byte Opcodes" */
static void test_opcode_extensions(void **state)
{
	static const struct {
		u8 opcode, defined;	/* bit n: /n */
	} cases[] = {
		{ 0x80, 0xff }, { 0x81, 0xff }, { 0x83, 0xff }, { 0xc0, 0xff }, { 0xd3, 0xff },
		{ 0xc6, BIT(0) }, { 0xc7, BIT(0) }, { 0xf6, 0xff }, { 0xf7, 0xff }, { 0xfe, BIT(0) | BIT(1) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned digit = 0; digit < 8; digit++) {
			bool defined = cases[i].defined >> digit & 1;

			PLACE(CODE, cases[i].opcode, (u8)(digit << 3 | 3), 1, 0, 0, 0);
			set(REG_RBX, DEVICE);
			set(REG_RAX, 1);
			set(REG_RDX, 0);
			memset(fake.mmio, 1, 8);
			access_device(FAKE_MMIO, TDP_WRITE);
			assert_int_equal(fake.instructions_done, defined);
			assert_int_equal(fake.faulted, !defined);
			assert_false(fake.ended);
			assert_int_equal(fake.mmio_reads + fake.mmio_writes != 0, defined);
		}
	}
}

/* In another opcode map the same opcode is another instruction, here one without memory: it is looked at again. */
static void test_opcodes_of_other_maps_and_modes(void **state)
{
	static const u8 others[][5] = {
		{ 0x0f, 0x88, 0, 0, 0 },	/* JS, which is MOV in map 1 */
		{ 0xa8, 0x03 },			/* TEST AL, 3, between the string instructions */
		{ 0x0f, 0xa2 },			/* CPUID; MOV moffs */
		{ 0x0f, 0x31 },			/* RDTSC; XOR */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		place(CODE, others[i], sizeof(others[i]));
		set(REG_RSI, DEVICE);
		set(REG_RDI, DEVICE);
		access_device(FAKE_MMIO, TDP_READ);
		assert_false(fake.ended || fake.faulted);
		assert_int_equal(fake.mmio_reads + fake.mmio_writes + fake.instructions_done, 0);
	}
}

static void test_refusals_name_no_byte_beyond_the_limit(void **state)
{
	fake_protected_mode(true);
	fake.segments[SEG_CS].limit = CODE + 2;
	PLACE(CODE, 0x0f, 0xc7, 0x33, 0xcc);		/* VMPTRLD [EBX] */
	set(REG_RBX, FAKE_MMIO);
	access_device(FAKE_MMIO, TDP_READ);
	expect_refused("the bytes at RIP are 0f c7 33:");
	fake.segments[SEG_CS].limit = CODE + 14;
	PLACE(CODE, 0x0f, 0xc7, 0x33, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	access_device(FAKE_MMIO, TDP_READ);
	expect_refused("are 0f c7 33 03 04 05 06 07 08 09 0a 0b 0c 0d 0e");
	assert_null(strstr(fake.words, "0e 0f"));
}

static void test_refusals_read_no_byte_that_they_do_not_name(void **state)
{
	static const u8 refused[INSN_MAX_LENGTH] = { 0x0f, 0xc7, 0x33 };

	place(CODE + PAGE_SIZE - INSN_MAX_LENGTH, refused, sizeof(refused));
	set(REG_RBX, DEVICE);
	access_device(FAKE_MMIO, TDP_READ);
	expect_refused("the bytes at RIP are 0f c7 33 00");
	assert_int_equal(*pte(CODE) & PTE_ACCESSED, PTE_ACCESSED);
	assert_int_equal(*pte(CODE + PAGE_SIZE) & PTE_ACCESSED, 0);
}

/* Reads no byte beyond the instruction, and raises nothing where it cannot read. */
static void test_a_peek_at_the_next_instruction(void **state)
{
	static const u8 pushf = 0x9c, undefined = 0x06;	/* PUSH ES, elsewhere */
	struct insn insn;

	place(CODE + PAGE_SIZE - 1, &pushf, 1);
	assert_int_equal(emulate_peek(&fake.vcpu, &insn), 0);
	assert_int_equal(insn.opcode, 0x9c);
	assert_int_equal(insn.length, 1);
	assert_int_equal(*pte(CODE + PAGE_SIZE) & PTE_ACCESSED, 0);

	place(CODE, &undefined, 1);
	assert_int_equal(emulate_peek(&fake.vcpu, &insn), -EINVAL);
	*pte(CODE) = 0;
	assert_int_equal(emulate_peek(&fake.vcpu, &insn), -EFAULT);
	assert_false(fake.faulted || fake.ended);
}

/* If the code has changed since the exit, nothing is emulated and RIP stays: the guest runs the new code. */
static void test_code_that_changed_since(void **state)
{
	const struct io_exit io = { .port = 0x60, .size = 1, .in = true };

	PLACE(CODE, 0x89, 0xd8);			/* MOV EAX, EBX */
	access_device(FAKE_MMIO, TDP_WRITE);
	assert_false(fake.ended || fake.faulted);
	assert_int_equal(fake.instructions_done, 0);
	assert_int_equal(get(REG_RIP), CODE);

	PLACE(CODE, 0x6e);				/* OUTSB where it was INSB */
	emulate_string_io(&fake.vcpu, &io);
	assert_false(fake.ended || fake.faulted);
	assert_int_equal(fake.instructions_done, 0);

	PLACE(CODE, 0x0f, 0x6c, 0xc0);			/* PUNPCKLQDQ, the same opcode in another map */
	emulate_string_io(&fake.vcpu, &io);
	assert_false(fake.ended || fake.faulted);
	assert_int_equal(fake.instructions_done + fake.port_size, 0);
}

/* Event delivery pushed to a stack in device memory: the instruction at RIP did not make the access. */
static void test_event_delivery_to_device_memory(void **state)
{
	PLACE(CODE, 0x89, 0x03);
	set(REG_RBX, DEVICE);
	fake.vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x31 };
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_words("vector 49");
	assert_int_equal(fake.mmio_writes, 0);
	fake.vcpu.events.reinject.type = EVENT_NONE;

	/* SVM runs INT n again, and does not report its delivery. */
	PLACE(CODE, 0xcd, 0xb1);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_words("delivery of vector 177 uses 0x50000000, where there is no RAM");
	PLACE(CODE, 0xcc);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_words("delivery of vector 3 uses");
	PLACE(CODE, 0xf1);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_words("delivery of vector 1 uses");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fetch_across_pages),
		TEST(test_second_page_matters_only_if_needed),
		TEST(test_fetch_with_the_rights_of_the_guest),
		TEST(test_fetch_outside_of_ram),
		TEST(test_fetch_up_to_the_limit),
		TEST(test_modes_of_code),
		TEST(test_fetch_from_the_cs_of_real_mode),
		TEST(test_undecodable_code),
		TEST(test_advance),
		TEST(test_advance_rarely_reads_the_mode),
		TEST(test_access_crosses_from_ram_to_device),
		TEST(test_pieces_come_in_order),
		TEST(test_access_crosses_device_pages),
		TEST(test_fault_in_the_second_page_writes_nothing),
		TEST(test_accesses_that_reach_the_device),
		TEST(test_cmpxchg_always_writes),
		TEST(test_access_with_the_rights_of_the_guest),
		TEST(test_the_faulted_page_is_not_walked_again),
		TEST(test_segment_faults),
		TEST(test_real_mode_addressing),
		TEST(test_gs_base_in_64_bit_code),
		TEST(test_refusals_name_the_bytes),
		TEST(test_opcode_extensions),
		TEST(test_opcodes_of_other_maps_and_modes),
		TEST(test_refusals_name_no_byte_beyond_the_limit),
		TEST(test_a_peek_at_the_next_instruction),
		TEST(test_refusals_read_no_byte_that_they_do_not_name),
		TEST(test_code_that_changed_since),
		TEST(test_event_delivery_to_device_memory),
	};

	return cmocka_run_group_tests_name("emulate", tests, NULL, NULL);
}
