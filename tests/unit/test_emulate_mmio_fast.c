/* SPDX-License-Identifier: MIT */
/* The fast path for MMIO does the same as the full emulation, or nothing at all. */
/* link: core/emulate/watch.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: tests/unit/fake_native.c */
/* link: core/emulate/mmio_fast.c core/emulate/code.c core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c */
/* link: core/emulate/alu.c core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c */
/* link: lib/insn.c lib/insn_tables.c tests/unit/fake_vcpu.c */
#include <string.h>

#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "fake_vcpu.h"

#define ROUNDS 200000
#define ALL (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)

/* Above the VGA hole: the fast path looks nowhere else. */
enum { PML4 = 0x101000, PDPT = 0x102000, PD = 0x103000, PT = 0x104000, CODE = 0x110000, DEVICE = 0x120000 };

/* What remembers instructions: of one size in all tests. */
static bool no_memory;
static u8 memory[4096] __aligned(16);

void *vm_alloc(struct vm *vm, size_t size)
{
	assert_true(size <= sizeof(memory));
	memset(memory, 0, size);
	return no_memory ? NULL : memory;
}

static u64 seed = 0x9e3779b97f4a7c15ull;

static u64 *entry(u64 table, unsigned index)
{
	return (u64 *)(fake.ram + table) + index;
}

static void long_mode(void)
{
	fake_long_mode();
	fake.controls[CTL_CR3] = PML4;
	*entry(PML4, 0) = PDPT | ALL;
	*entry(PDPT, 0) = PD | ALL;
	*entry(PD, 0) = PT | ALL;
	for (unsigned i = 0; i < 512; i++)
		*entry(PT, i) = i * PAGE_SIZE | ALL;
	*entry(PT, DEVICE / PAGE_SIZE) = FAKE_MMIO | ALL;
}

static void flat_mode(void)
{
	fake_protected_mode(true);
}

static int setup(void **state)
{
	fake_machine_create();
	long_mode();
	return 0;
}

static int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static void place(u64 rip, const void *bytes, size_t length)
{
	memcpy(fake.ram + rip, bytes, length);
	vcpu_reg_write(&fake.vcpu, REG_RIP, rip);
	fake.vcpu.exit_rip = rip;
	fake_forget();
	fake.vm.state = VM_RUNNING;
}

static bool fast(u64 gpa, enum tdp_access access)
{
	return emulate_mmio_fast(&fake.vcpu, &(struct tdp_fault){ .gpa = gpa, .access = access, .what = "test" });
}

/* The forms that drivers of local APICs and similar devices use. */
static void plain_accesses_are_taken(void **state)
{
	static const struct {
		u8 bytes[12];
		u8 length;
		bool write;
		u64 value;
	} cases[] = {
		{ { 0x8b, 0x03 }, 2, false, 0 },			/* mov eax, [rbx] */
		{ { 0x89, 0x03 }, 2, true, 0x89abcdef },		/* mov [rbx], eax */
		{ { 0xc7, 0x03, 1, 2, 3, 0x84 }, 6, true, 0x84030201 },	/* mov dword [rbx], imm32 */
		{ { 0x48, 0xc7, 0x03, 1, 2, 3, 0x84 }, 7, true, 0xffffffff84030201 },
		{ { 0x48, 0x89, 0x03 }, 3, true, 0x0123456789abcdef },
		{ { 0x44, 0x8b, 0x0c, 0xcb }, 4, false, 0 },		/* mov r9d, [rbx + rcx * 8] */
		{ { 0x8b, 0x83, 0, 0, 0, 0 }, 6, false, 0 },		/* mov eax, [rbx + disp32] */
		{ { 0x8b, 0x43, 0 }, 3, false, 0 },			/* mov eax, [rbx + disp8] */
		{ { 0x8b, 0x04, 0x25, 0x00, 0x00, 0x12, 0x00 }, 7, false, 0 },	/* mov eax, [DEVICE] */
		{ { 0x67, 0x8b, 0x03 }, 3, false, 0 },			/* mov eax, [ebx] */
		{ { 0x67, 0xc7, 0x43, 0, 1, 2, 3, 0x84 }, 8, true, 0x84030201 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 got = 0;

		fake.vcpu.regs[REG_RBX] = DEVICE;
		fake.vcpu.regs[REG_RCX] = 0;
		fake.vcpu.regs[REG_RAX] = 0x0123456789abcdef;
		fake.vcpu.regs[9] = ~0ull;
		memcpy(fake.mmio, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		place(CODE, cases[i].bytes, cases[i].length);
		assert_true(fast(FAKE_MMIO, cases[i].write ? TDP_WRITE : TDP_READ));
		assert_int_equal(fake.instructions_done, 1);
		assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + cases[i].length);
		if (!cases[i].write) {
			assert_int_equal(fake.vcpu.regs[cases[i].bytes[0] == 0x44 ? 9 : REG_RAX], 0x44332211);
			continue;
		}
		memcpy(&got, fake.mmio, fake.last_mmio_size);
		assert_int_equal(fake.last_mmio_size, cases[i].bytes[0] == 0x48 ? 8 : 4);
		assert_int_equal(got, cases[i].value);
	}
}

/* Other sizes, other ways to say it, and loads of a part of the register. */
static void other_forms(void **state)
{
	static const struct {
		u8 bytes[12];
		u8 length;
		u8 size;
		u64 rax;	/* after a load; what a store has stored */
		bool write;
	} cases[] = {
		{ { 0x8a, 0x03 }, 2, 1, 0xfedcba9876543281 },			/* mov al, [rbx] */
		{ { 0x8a, 0x23 }, 2, 1, 0xfedcba9876548110 },			/* mov ah, [rbx] */
		{ { 0x66, 0x8b, 0x03 }, 3, 2, 0xfedcba9876549281 },		/* mov ax, [rbx] */
		{ { 0x66, 0x67, 0x8b, 0x03 }, 4, 2, 0xfedcba9876549281 },	/* mov ax, [ebx] */
		{ { 0x0f, 0xb6, 0x03 }, 3, 1, 0x81 },				/* movzx eax, byte [rbx] */
		{ { 0x0f, 0xb7, 0x03 }, 3, 2, 0x9281 },
		{ { 0x0f, 0xbe, 0x03 }, 3, 1, 0xffffff81 },			/* movsx eax, byte [rbx] */
		{ { 0x48, 0x0f, 0xbf, 0x03 }, 4, 2, 0xffffffffffff9281 },
		{ { 0x66, 0x0f, 0xb6, 0x03 }, 4, 1, 0xfedcba9876540081 },	/* movzx ax, byte [rbx] */
		{ { 0x8b, 0x05, 0xfa, 0xff, 0x00, 0x00 }, 6, 4, 0xb4a39281 },	/* mov eax, [rip + 0xfffa] */
		{ { 0x67, 0xa1, 0x00, 0x00, 0x12, 0x00 }, 6, 4, 0xb4a39281 },	/* mov eax, [abs DEVICE] */
		{ { 0xa0, 0x00, 0x00, 0x12, 0, 0, 0, 0, 0 }, 9, 1, 0xfedcba9876543281 },
		{ { 0x88, 0x03 }, 2, 1, 0x10, true },				/* mov [rbx], al */
		{ { 0x88, 0x23 }, 2, 1, 0x32, true },				/* mov [rbx], ah */
		{ { 0x66, 0x89, 0x03 }, 3, 2, 0x3210, true },
		{ { 0xa3, 0x00, 0x00, 0x12, 0, 0, 0, 0, 0 }, 9, 4, 0x76543210, true },
		{ { 0xc6, 0x03, 0x99 }, 3, 1, 0x99, true },			/* mov byte [rbx], imm8 */
		{ { 0x66, 0xc7, 0x03, 0x99, 0x88 }, 5, 2, 0x8899, true },
		{ { 0xc7, 0x05, 0xf6, 0xff, 0x00, 0x00, 4, 3, 2, 1 }, 10, 4, 0x01020304, true },	/* [rip + 0xfff6] */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 got = 0;

		fake.vcpu.regs[REG_RBX] = DEVICE;
		fake.vcpu.regs[REG_RAX] = 0xfedcba9876543210;
		memcpy(fake.mmio, "\x81\x92\xa3\xb4\xc5\xd6\xe7\xf8", 8);
		place(CODE, cases[i].bytes, cases[i].length);
		assert_true(fast(FAKE_MMIO, cases[i].write ? TDP_WRITE : TDP_READ));
		assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + cases[i].length);
		assert_int_equal(fake.last_mmio_size, cases[i].size);
		memcpy(&got, fake.mmio, cases[i].size);
		assert_int_equal(cases[i].write ? got : fake.vcpu.regs[REG_RAX], cases[i].rax);
	}
}

/* --- every form of the operand, with every register --- */

struct operand {
	unsigned mod, base, reg, index, scale;	/* index 4: none */
	bool sib;
};

/* Write MOV of 64 bits, reg from [operand], to `bytes`. Returns the length. */
static unsigned encode(u8 *bytes, const struct operand *operand, s32 displacement)
{
	unsigned at = 0, size = operand->mod == 0 ? 0 : operand->mod == 1 ? 1 : 4;

	bytes[at++] = (u8)(0x48 | operand->reg >> 3 << 2 | (operand->sib ? operand->index >> 3 << 1 : 0) |
			   operand->base >> 3);
	bytes[at++] = 0x8b;
	bytes[at++] = (u8)(operand->mod << 6 | (operand->reg & 7) << 3 | (operand->sib ? 4 : operand->base & 7));
	if (operand->sib)
		bytes[at++] = (u8)(operand->scale << 6 | (operand->index & 7) << 3 | (operand->base & 7));
	memcpy(bytes + at, &displacement, size);
	return at + size;
}

/* Not on the fast path: RSP in any role; with mod 0, RBP and R13 stand for RIP or a displacement. */
static bool is_fast(const struct operand *operand)
{
	bool special = operand->mod == 0 && (operand->base & 7) == 5;

	return operand->reg != REG_RSP && operand->base != REG_RSP && !special;
}

static void check_operand(const struct operand *operand, s32 displacement)
{
	const u64 value = 0x8877665544332211ull, offset = 0x6c8;
	bool indexed = operand->sib && operand->index != 4;
	u64 rest, bytes_of_index;
	u8 bytes[16] = { 0 };
	unsigned length;

	if (!operand->sib && (operand->base & 7) == 4)
		return;		/* this encoding is that of a SIB byte */
	if (indexed && operand->index == operand->base)
		return;
	if (operand->mod == 0)
		displacement = 0;
	length = encode(bytes, operand, displacement);
	for (unsigned i = 0; i < 16; i++)
		fake.vcpu.regs[i] = 0x1111111111111111ull * i + 0x123;
	bytes_of_index = indexed ? 0x35ull << operand->scale : 0;
	if (indexed)
		fake.vcpu.regs[operand->index] = 0x35;
	rest = DEVICE + offset - (u64)(s64)displacement - bytes_of_index;
	fake.vcpu.regs[operand->base] = rest;
	memcpy(fake.mmio + offset, &value, sizeof(value));
	place(CODE, bytes, sizeof(bytes));
	if (fast(FAKE_MMIO + offset, TDP_READ) != is_fast(operand))
		fail_msg("mod %u, base %u, register %u, index %u", operand->mod, operand->base, operand->reg,
			 operand->index);
	if (!is_fast(operand))
		return;
	assert_int_equal(fake.last_mmio_gpa, FAKE_MMIO + offset);
	assert_int_equal(fake.vcpu.regs[operand->reg], value);
	assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + length);
}

static void every_register_has_its_place_in_the_operand(void **state)
{
	static const s32 displacements[] = { 0x55, -0x55, 0x7f, -0x80 };

	for (unsigned i = 0; i < 16 * 16 * 3; i++) {
		struct operand operand = { .base = i & 15, .reg = i >> 4 & 15, .mod = i >> 8, .index = 4 };

		for (unsigned d = 0; d < ARRAY_SIZE(displacements); d++) {
			operand.sib = false;
			check_operand(&operand, displacements[d]);
			operand.sib = true;
			check_operand(&operand, displacements[d]);
		}
	}
	for (unsigned i = 0; i < 16 * 16 * 4 * 3; i++) {
		struct operand operand = {
			.base = i & 15, .index = i >> 4 & 15, .scale = i >> 8 & 3, .mod = i >> 10, .sib = true,
		};

		check_operand(&operand, 0x55);
		operand.reg = 15;
		check_operand(&operand, operand.mod == 2 ? 0x12345 : 0x21);
	}
}

/* A SIB byte without a base: the displacement of 32 bits takes its place. */
static void an_index_without_a_base(void **state)
{
	for (unsigned scale = 0; scale < 4; scale++) {
		u32 displacement = DEVICE + 0x6c8 - (0x35 << scale);
		u8 bytes[] = { 0x8b, 0x04, (u8)(scale << 6 | REG_RDX << 3 | 5), (u8)displacement,
			       (u8)(displacement >> 8), (u8)(displacement >> 16), (u8)(displacement >> 24) };

		fake.vcpu.regs[REG_RDX] = 0x35;
		fake.vcpu.regs[REG_RBP] = 0x777;
		fake.vcpu.regs[REG_RAX] = ~0ull;
		memcpy(fake.mmio + 0x6c8, "\x44\x33\x22\x11", 4);
		place(CODE, bytes, sizeof(bytes));
		assert_true(fast(FAKE_MMIO + 0x6c8, TDP_READ));
		assert_int_equal(fake.vcpu.regs[REG_RAX], 0x11223344);
		assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + sizeof(bytes));
	}
}

/* Outside of 64-bit mode mod 0, rm 5 is an absolute address, not relative to RIP. */
static void an_address_in_32_bit_code(void **state)
{
	static const u8 mov[] = { 0x8b, 0x05, 0xc8, 0x06, 0x00, 0x50 };	/* mov eax, [FAKE_MMIO + 0x6c8] */

	flat_mode();
	memcpy(fake.mmio + 0x6c8, "\x44\x33\x22\x11", 4);
	place(CODE, mov, sizeof(mov));
	assert_true(fast(FAKE_MMIO + 0x6c8, TDP_READ));
	assert_int_equal(fake.vcpu.regs[REG_RAX], 0x11223344);
	assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + sizeof(mov));
	/* 4x is INC or DEC, not a REX prefix. */
	place(CODE, "\x48\x8b\x03", 3);
	fake.vcpu.regs[REG_RBX] = FAKE_MMIO;
	assert_false(fast(FAKE_MMIO, TDP_READ));
	/* 67 selects 16-bit addresses: this is [BP + DI]. */
	place(CODE, "\x67\x8b\x03", 3);
	assert_false(fast(FAKE_MMIO, TDP_READ));
}

/* Everything else is left to the full emulation, and nothing has changed. */
static void the_rest_is_left_alone(void **state)
{
	static const u8 mov[] = { 0x8b, 0x03 };
	static const struct {
		u8 bytes[8];
		const char *why;
	} cases[] = {
		{ { 0x3e, 0x8b, 0x03 }, "a segment" },
		{ { 0x0a, 0x03 }, "no MOV" },
		{ { 0x0f, 0xaf, 0x03 }, "nor that" },
		{ { 0x66, 0x67, 0x66, 0x67, 0x66, 0x67, 0x8b, 0x03 }, "too many prefixes" },
		{ { 0x8b, 0xc3 }, "no memory" },
		{ { 0x8b, 0x24, 0x03 }, "RSP, which may not be in regs[]" },
		{ { 0x8b, 0x04, 0x24 }, "RSP as base" },
		{ { 0x48, 0x67, 0x8b, 0x03 }, "a REX prefix that does not count" },
		{ { 0xc7, 0x0b, 1, 2, 3, 4 }, "no MOV: C7 /1" },
		{ { 0xc6, 0x3b, 1 }, "no MOV: C6 /7" },
		{ { 0x88, 0x63, 0 }, "a write where a read was reported" },
		{ { 0x8b, 0x43, 4 }, "another address than that of the fault" },
		{ { 0x89, 0x03 }, "a write where a read was reported" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.vcpu.regs[REG_RBX] = DEVICE;
		place(CODE, cases[i].bytes, sizeof(cases[i].bytes));
		if (fast(FAKE_MMIO, cases[i].bytes[0] == 0xc7 ? TDP_WRITE : TDP_READ))
			fail_msg("taken: %s", cases[i].why);
		assert_int_equal(fake.mmio_reads + fake.mmio_writes + fake.instructions_done, 0);
	}

	place(CODE, mov, sizeof(mov));
	fake.vcpu.events.reinject.type = EVENT_INTERRUPT;
	assert_false(fast(FAKE_MMIO, TDP_READ));
	fake.vcpu.events.reinject.type = EVENT_NONE;
	assert_false(fast(0x1000, TDP_READ));		/* RAM */
	assert_false(fast(FAKE_MMIO, TDP_FETCH));
	place(2 * PAGE_SIZE + CODE - 4, mov, sizeof(mov));	/* may continue in another page */
	assert_false(fast(FAKE_MMIO, TDP_READ));
	place(CODE, mov, sizeof(mov));
	*entry(PD, 0) &= ~PTE_PRESENT;
	assert_false(fast(FAKE_MMIO, TDP_READ));
	*entry(PD, 0) = 0x7ffffffff000ull | ALL;		/* a table where no RAM is */
	assert_false(fast(FAKE_MMIO, TDP_READ));
	long_mode();
	fake.controls[CTL_CR4] |= CR4_LA57;
	assert_false(fast(FAKE_MMIO, TDP_READ));
}

/* Accesses between the end of low RAM and 4 GiB, within one page. */
static void addresses_that_are_taken(void **state)
{
	static const struct {
		u8 bytes[3];
		u64 gpa;
		bool taken;
	} cases[] = {
		{ { 0x8b, 0x03 }, FAKE_RAM_SIZE, true },
		{ { 0x8b, 0x03 }, FAKE_RAM_SIZE - PAGE_SIZE, false },
		{ { 0x8b, 0x03 }, GIB(4) - PAGE_SIZE, true },
		{ { 0x8b, 0x03 }, GIB(4), false },
		{ { 0x8b, 0x03 }, FAKE_MMIO + 0xffc, true },
		{ { 0x8b, 0x03 }, FAKE_MMIO + 0xffd, false },
		{ { 0x48, 0x8b, 0x03 }, FAKE_MMIO + 0xff8, true },
		{ { 0x48, 0x8b, 0x03 }, FAKE_MMIO + 0xff9, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.vcpu.regs[REG_RBX] = DEVICE + (cases[i].gpa & 0xfff);
		place(CODE, cases[i].bytes, sizeof(cases[i].bytes));
		assert_int_equal(fast(cases[i].gpa, TDP_READ), cases[i].taken);
		assert_int_equal(fake.mmio_reads, cases[i].taken);
		if (cases[i].taken)
			assert_int_equal(fake.last_mmio_gpa, cases[i].gpa);
	}
}

/* Only reads and writes by the instruction itself. */
static void causes_that_are_taken(void **state)
{
	static const u8 load[] = { 0x8b, 0x03 }, store[] = { 0x89, 0x03 };
	static const struct {
		const u8 *bytes;
		enum tdp_access access;
		bool walk, taken;
	} cases[] = {
		{ load, TDP_READ, false, true }, { load, TDP_READ, true, false },
		{ load, TDP_WRITE, false, false }, { load, TDP_FETCH, false, false },
		{ store, TDP_WRITE, false, true }, { store, TDP_WRITE, true, false },
		{ store, TDP_READ, false, false }, { store, TDP_FETCH, false, false },
		{ store, TDP_FETCH, true, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct tdp_fault fault = {
			.gpa = FAKE_MMIO, .access = cases[i].access, .walk = cases[i].walk, .what = "test",
		};

		fake.vcpu.regs[REG_RBX] = DEVICE;
		place(CODE, cases[i].bytes, 2);
		assert_int_equal(emulate_mmio_fast(&fake.vcpu, &fault), cases[i].taken);
		assert_int_equal(fake.mmio_reads + fake.mmio_writes, cases[i].taken);
	}
}

/* 16-bit code has other operands: it is left to the full emulation. */
static void code_of_16_bits_is_not_taken(void **state)
{
	fake_protected_mode(false);
	place(CODE, "\x8b\x07", 2);		/* mov ax, [bx] */
	fake.vcpu.regs[REG_RBX] = fake.vcpu.regs[REG_RDI] = FAKE_MMIO;
	assert_false(fast(FAKE_MMIO, TDP_READ));
	assert_int_equal(fake.mmio_reads, 0);
}

/* --- what is remembered is compared anew --- */

enum { OTHER_CODE = 0x111000, OTHER_TABLES = 0x130000 };

static bool load_to(unsigned reg, u64 rip)
{
	bool taken;

	fake.vcpu.regs[REG_RAX] = fake.vcpu.regs[REG_RCX] = fake.vcpu.regs[REG_RDX] = 0;
	fake.vcpu.regs[REG_RBX] = DEVICE;
	memcpy(fake.mmio, "\x11\x22\x33\x44", 4);
	vcpu_reg_write(&fake.vcpu, REG_RIP, rip);
	fake.vcpu.exit_rip = rip;
	fake_forget();
	taken = fast(FAKE_MMIO, TDP_READ);
	assert_int_equal(fake.vcpu.regs[reg], taken ? 0x44332211 : 0);
	return taken;
}

/* The guest changes its code, from one register of the destination to another. */
static void changed_code_is_decoded_anew(void **state)
{
	static const u8 mov_to[][3] = { [REG_RAX] = { 0x8b, 0x43, 0 }, [REG_RCX] = { 0x8b, 0x4b, 0 }, [REG_RDX] = { 0x8b, 0x53, 0 } };

	for (unsigned i = 0; i < 100; i++) {
		unsigned reg = (unsigned)(fake_random(&seed) % 3);

		memcpy(fake.ram + CODE, mov_to[reg], 3);
		assert_true(load_to(reg, CODE));
	}
	/* Each of the 15 bytes counts: here the immediate's last one, behind an address of 4 bytes. */
	for (u8 last = 1; last < 100; last += 7) {
		u8 mov[] = { 0x67, 0x48, 0xc7, 0x84, 0x23, 0, 0, 0, 0, 1, 2, 3, last };

		mov[4] = 0x0b;			/* [rbx + rcx + disp32] */
		fake.vcpu.regs[REG_RBX] = DEVICE;
		fake.vcpu.regs[REG_RCX] = 0;
		place(CODE, mov, sizeof(mov));
		assert_true(fast(FAKE_MMIO, TDP_WRITE));
		assert_int_equal(fake.mmio[3], last);
		assert_int_equal(vcpu_reg_read(&fake.vcpu, REG_RIP), CODE + sizeof(mov));
	}
}

/* The same linear address leads to other code, by another entry of each level, by a large page, by another CR3. */
static void changed_tables_are_walked_anew(void **state)
{
	static const u64 tables[] = { PML4, PDPT, PD, PT };

	memcpy(fake.ram + CODE, "\x8b\x43\x00", 3);
	memcpy(fake.ram + OTHER_CODE, "\x8b\x4b\x00", 3);
	for (unsigned level = 0; level < 4; level++) {
		long_mode();
		assert_true(load_to(REG_RAX, CODE));
		/* A copy of the tables below, whose last one maps the other code. */
		for (unsigned i = level + 1; i < 4; i++) {
			memcpy(fake.ram + OTHER_TABLES + i * PAGE_SIZE, fake.ram + tables[i], PAGE_SIZE);
			if (i > level + 1)
				*entry(OTHER_TABLES + (i - 1) * PAGE_SIZE, 0) = (OTHER_TABLES + i * PAGE_SIZE) | ALL;
		}
		if (level < 3) {
			*entry(OTHER_TABLES + 3 * PAGE_SIZE, CODE / PAGE_SIZE) = OTHER_CODE | ALL;
			*entry(tables[level], 0) = (OTHER_TABLES + (level + 1) * PAGE_SIZE) | ALL;
		} else {
			*entry(PT, CODE / PAGE_SIZE) = OTHER_CODE | ALL;
		}
		assert_true(load_to(REG_RCX, CODE));
		/* No code at all: nothing that the slow path is not asked about. */
		*entry(tables[level], level == 3 ? CODE / PAGE_SIZE : 0) &= ~(u64)PTE_PRESENT;
		assert_false(load_to(REG_RCX, CODE));
	}
	long_mode();
	assert_true(load_to(REG_RAX, CODE));
	memcpy(fake.ram + OTHER_TABLES, fake.ram + PML4, PAGE_SIZE);
	*entry(OTHER_TABLES, 0) = 0;
	fake.controls[CTL_CR3] = OTHER_TABLES;
	assert_false(load_to(REG_RAX, CODE));
	*entry(OTHER_TABLES, 0) = PDPT | ALL;			/* another process with the same kernel */
	assert_true(load_to(REG_RAX, CODE));
	fake.controls[CTL_CR3] = FAKE_RAM_SIZE;			/* no tables at all */
	assert_false(load_to(REG_RAX, CODE));
	fake.controls[CTL_CR3] = PML4;
	assert_true(load_to(REG_RAX, CODE));
	*entry(PD, 0) = ALL | PTE_LARGE;
	assert_true(load_to(REG_RAX, CODE));
	*entry(PD, 0) = MIB(2) | ALL | PTE_LARGE;		/* beyond the RAM */
	assert_false(load_to(REG_RAX, CODE));
}

/* In 32-bit code 48h is DEC EAX, and no REX prefix. */
static void another_mode_is_decoded_anew(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		long_mode();
		memcpy(fake.mmio, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		fake.vcpu.regs[REG_RBX] = DEVICE;
		place(CODE, "\x48\x8b\x03", 3);
		assert_true(fast(FAKE_MMIO, TDP_READ));
		assert_int_equal(fake.vcpu.regs[REG_RAX], 0x8877665544332211);
		flat_mode();
		fake.vcpu.regs[REG_RBX] = FAKE_MMIO;
		place(CODE, "\x48\x8b\x03", 3);
		assert_false(fast(FAKE_MMIO, TDP_READ));
	}
}

/* More instructions than are remembered, at addresses that differ in few bits. */
static void many_instructions(void **state)
{
	for (unsigned i = 0; i < 3 * 200; i++) {
		unsigned reg = i / 7 % 3;
		u64 rip = CODE + i % 200 * 16;

		memcpy(fake.ram + rip, reg == REG_RAX ? "\x8b\x43\x00" : reg == REG_RCX ? "\x8b\x4b\x00" : "\x8b\x53\x00", 3);
		assert_true(load_to(reg, rip));
	}
}

/* The last 15 bytes of a page, and 32-bit paging, are the slow path's: again and again. */
static void what_is_not_found_takes_no_place(void **state)
{
	u8 before[sizeof(memory)];

	for (unsigned i = 0; i < 16; i++) {
		memcpy(fake.ram + CODE + i * 16, "\x8b\x43\x00", 3);
		assert_true(load_to(REG_RAX, CODE + i * 16));
	}
	memcpy(before, memory, sizeof(memory));
	memcpy(fake.ram + CODE + PAGE_SIZE - 14, "\x8b\x43\x00", 3);
	assert_false(load_to(REG_RAX, CODE + PAGE_SIZE - 14));
	fake.controls[CTL_EFER] = 0;
	assert_false(load_to(REG_RAX, CODE));
	assert_memory_equal(memory, before, sizeof(memory));
}

static void damaged_memory_is_not_read(void **state)
{
	memcpy(fake.ram + CODE, "\x8b\x43\x00", 3);
	assert_true(load_to(REG_RAX, CODE));
	fake.vm.mem.damaged_count = 1;
	assert_false(load_to(REG_RAX, CODE));
}

static void without_memory_the_slow_path_does_it(void **state)
{
	memcpy(fake.ram + CODE, "\x8b\x43\x00", 3);
	no_memory = true;
	assert_false(load_to(REG_RAX, CODE));
	no_memory = false;
	assert_true(load_to(REG_RAX, CODE));
}

static void large_pages(void **state)
{
	static const u8 mov[] = { 0x8b, 0x03 };
	struct code_view view;

	place(CODE, mov, sizeof(mov));
	*entry(PD, 0) = 0 | ALL | PTE_LARGE;
	fake.vcpu.ops->code_view(&fake.vcpu, &view);
	assert_ptr_equal(code_at(&fake.vm, &view, CODE), fake.ram + CODE);
	*entry(PDPT, 0) = 0 | ALL | PTE_LARGE;
	assert_ptr_equal(code_at(&fake.vm, &view, CODE), fake.ram + CODE);
	*entry(PDPT, 0) = GIB(1) | ALL | PTE_LARGE;
	assert_null(code_at(&fake.vm, &view, CODE));
	view.paging = CODE_UNPAGED;
	view.mode = INSN_MODE_32;
	view.cs_base = 0x1000;
	assert_ptr_equal(code_at(&fake.vm, &view, CODE - 0x1000), fake.ram + CODE);
	assert_ptr_equal(code_at(&fake.vm, &view, 0xfffffffffull * 0x100000000 + CODE - 0x1000), fake.ram + CODE);
}

static const u8 *code_in(u8 mode, u8 paging, u64 rip)
{
	const struct code_view view = { .mode = mode, .paging = paging, .cr3 = PML4 };

	return code_at(&fake.vm, &view, rip);
}

/* All of it must lie in one page, above the VGA hole and below the end of low RAM. */
static void code_that_is_in_plain_ram(void **state)
{
	static const struct {
		u64 rip;
		bool found;
	} cases[] = {
		{ GUEST_VGA_HOLE_END, true }, { GUEST_VGA_HOLE_END - 15, false }, { GUEST_VGA_HOLE_END - 16, false },
		{ 0, false }, { 0x7c00, false }, { 0x110000, true }, { 0x110ff1, true }, { 0x110ff2, false },
		{ 0x110fff, false }, { FAKE_RAM_SIZE - 15, true }, { FAKE_RAM_SIZE - 14, false },
		{ FAKE_RAM_SIZE, false }, { FAKE_RAM_SIZE + PAGE_SIZE, false }, { 2 * FAKE_RAM_SIZE, false },
		{ FAKE_MMIO, false }, { 0xfffffff0, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const u8 *expected = cases[i].found ? fake.ram + cases[i].rip : NULL;

		assert_ptr_equal(code_in(INSN_MODE_32, CODE_UNPAGED, cases[i].rip), expected);
		assert_null(code_in(INSN_MODE_32, CODE_OTHER_PAGING, cases[i].rip));
	}
	fake.vm.mem.damaged_count = 1;
	assert_null(code_in(INSN_MODE_32, CODE_UNPAGED, CODE));
}

/* Each of the four tables, at the lowest and highest address in plain RAM and beside them. */
static void tables_that_are_in_plain_ram(void **state)
{
	static const struct {
		u64 at;
		bool found;
	} cases[] = {
		{ GUEST_VGA_HOLE_END, true }, { GUEST_VGA_HOLE_END - PAGE_SIZE, false }, { 0, false },
		{ FAKE_RAM_SIZE - PAGE_SIZE, true }, { FAKE_RAM_SIZE, false }, { FAKE_RAM_SIZE + PAGE_SIZE, false },
		{ 1ull << 51, false },
	};
	static const u64 tables[] = { PML4, PDPT, PD, PT };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const u8 *expected = cases[i].found ? fake.ram + CODE : NULL;
		struct code_view view = { .mode = INSN_MODE_64, .paging = CODE_4_LEVEL, .cr3 = cases[i].at };

		for (unsigned table = 0; table < 4; table++) {
			memset(fake.ram, 0, FAKE_RAM_SIZE);
			long_mode();
			if (cases[i].found)
				memcpy(fake.ram + cases[i].at, fake.ram + tables[table], PAGE_SIZE);
			view.cr3 = table ? PML4 : cases[i].at;
			if (table)
				*entry(tables[table - 1], 0) = cases[i].at | ALL;
			assert_ptr_equal(code_at(&fake.vm, &view, CODE), expected);
		}
	}
}

/* Each bit of a linear address selects an entry, or is part of the offset. */
static void each_bit_of_an_address_counts(void **state)
{
	for (unsigned level = 4; level >= 1; level--) {
		static const u64 tables[] = { 0, PT, PD, PDPT, PML4 };

		for (unsigned bit = 0; bit < 9; bit++) {
			memset(fake.ram, 0, FAKE_RAM_SIZE);
			for (unsigned i = 4; i >= 1; i--)
				*entry(tables[i], i == level ? 1u << bit : 0) =
					(i == 1 ? CODE : tables[i - 1]) | PTE_PRESENT;
			assert_ptr_equal(code_in(INSN_MODE_64, CODE_4_LEVEL, 1ull << (12 + 9 * (level - 1) + bit)),
					 fake.ram + CODE);
			assert_null(code_in(INSN_MODE_64, CODE_4_LEVEL, 0));
		}
	}
	for (unsigned bit = 0; bit < 11; bit++) {	/* with a large page, offsets */
		memset(fake.ram, 0, FAKE_RAM_SIZE);
		*entry(PML4, 0) = PDPT | PTE_PRESENT;
		*entry(PDPT, 0) = PD | PTE_PRESENT;
		*entry(PD, 0) = 0x1000 | PTE_PRESENT | PTE_LARGE;	/* PAT, which is no address bit */
		assert_ptr_equal(code_in(INSN_MODE_64, CODE_4_LEVEL, CODE + (1ull << bit)),
				 fake.ram + CODE + (1ull << bit));
	}
}

/* Random instructions, mostly of the supported forms, with random registers: both ways agree. */
static void both_ways_agree(void **state)
{
	static const u16 opcodes[] = {
		0x8b, 0x89, 0xc7, 0x8a, 0x88, 0xc6, 0xa0, 0xa1, 0xa2, 0xa3, 0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf,
	};
	unsigned taken = 0, of_each[ARRAY_SIZE(opcodes)] = { 0 };

	for (unsigned round = 0; round < ROUNDS; round++) {
		u64 before[REG_COUNT], after[REG_COUNT], rip = CODE + fake_random(&seed) % 64;
		u64 gpa = FAKE_MMIO + fake_random(&seed) % PAGE_SIZE;
		struct tdp_fault fault = { .gpa = gpa, .access = fake_random(&seed) & 1, .what = "test" };
		u8 bytes[INSN_MAX_LENGTH], window[32];
		unsigned at = 0, which = (unsigned)fake_random(&seed) % ARRAY_SIZE(opcodes);
		bool done;

		if (round % 3)
			long_mode();
		else
			flat_mode();
		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = (u8)fake_random(&seed);
		if (round % 7 == 0)
			bytes[at++] = 0x66;
		if (round % 11 == 0)
			bytes[at++] = 0x67;
		if (round & 1)
			bytes[at++] = 0x40 | (bytes[0] & 15);
		if (opcodes[which] >> 8)
			bytes[at++] = 0x0f;
		bytes[at++] = (u8)opcodes[which];
		if ((opcodes[which] & 0xfc) == 0xa0) {
			u64 address = (round % 3 ? DEVICE : FAKE_MMIO) + (gpa & ~PAGE_MASK);

			memcpy(bytes + at, &address, 8);
		} else if (round % 13 == 0) {
			s32 displacement = (s32)(DEVICE + (gpa & ~PAGE_MASK) - rip - at - 5);

			bytes[at] = 5;
			memcpy(bytes + at + 1, &displacement, 4);
		}
		/* With any register as the base, the operand's offset in its page is right. */
		for (unsigned i = 0; i < 16; i++)
			fake.vcpu.regs[i] = (round % 3 ? DEVICE : FAKE_MMIO) + (gpa & ~PAGE_MASK);
		if (round % 5 && round % 13 && (opcodes[which] & 0xfc) != 0xa0)
			bytes[at] &= 0x3f;	/* no displacement */
		for (unsigned i = 0; i < sizeof(window); i++)
			fake.mmio[(gpa - FAKE_MMIO) + i] = (u8)fake_random(&seed);
		memcpy(window, fake.mmio + (gpa - FAKE_MMIO), sizeof(window));
		place(rip, bytes, sizeof(bytes));
		memcpy(before, fake.vcpu.regs, sizeof(before));

		done = emulate_mmio_fast(&fake.vcpu, &fault);
		if (!done) {
			assert_memory_equal(before, fake.vcpu.regs, sizeof(before));
			assert_int_equal(fake.mmio_reads + fake.mmio_writes + fake.instructions_done, 0);
			continue;
		}
		taken++;
		of_each[which]++;
		assert_int_equal(fake.instructions_done, 1);
		memcpy(after, fake.vcpu.regs, sizeof(after));
		for (unsigned i = 0; i < sizeof(window); i++) {
			u8 fast_byte = fake.mmio[(gpa - FAKE_MMIO) + i];

			fake.mmio[(gpa - FAKE_MMIO) + i] = window[i];
			window[i] = fast_byte;
		}
		memcpy(fake.vcpu.regs, before, sizeof(before));
		fake_forget();
		emulate_mmio(&fake.vcpu, &fault);
		assert_int_equal(fake.instructions_done, 1);
		assert_memory_equal(after, fake.vcpu.regs, sizeof(after));
		assert_memory_equal(window, fake.mmio + (gpa - FAKE_MMIO), sizeof(window));
	}
	assert_true(taken > ROUNDS / 20);
	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++)
		assert_true(of_each[i] > ROUNDS / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_accesses_are_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(other_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(every_register_has_its_place_in_the_operand, setup, teardown),
		cmocka_unit_test_setup_teardown(an_index_without_a_base, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_in_32_bit_code, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_that_are_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(causes_that_are_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(code_of_16_bits_is_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_code_is_decoded_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_tables_are_walked_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(another_mode_is_decoded_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(many_instructions, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_found_takes_no_place, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_memory_is_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_the_slow_path_does_it, setup, teardown),
		cmocka_unit_test_setup_teardown(large_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(code_that_is_in_plain_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_that_are_in_plain_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(each_bit_of_an_address_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(both_ways_agree, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
