/* SPDX-License-Identifier: MIT */
/*
 * Which bytes x87 stores and saved states write, and which registers saved states load, where the emulator has the
 * processor execute the instruction. SDM, "x87 FPU Exception Conditions", "FXSAVE", "Standard Format of the Extended
 * Region", "Operation of XSAVE", "Operation of XRSTOR"; AMD APM, "Fast FXSAVE/FXRSTOR".
 */
/* link: core/emulate/watch.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c */
/* link: lib/insn_tables.c tests/unit/fake_native.c tests/unit/fake_vcpu.c */
#include "emulate_machine.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "core/emulate/saved_state.h"
#include "fake_native.h"

/* Where things are in FXSAVE's and XSAVE's areas. */
enum {
	FCW = 0, FSW = 2, FTW = 4, MXCSR = 24, ST0 = 32, XMM0 = 160, XMM8 = 288, SPARE = 416, LEGACY_END = 512,
	XSTATE_BV = 512, HEADER_REST = 520, HEADER_END = 576, YMM0 = 576, YMM8 = 704, AVX_END = 832,
};
enum { IE = BIT(0), OE = BIT(3), PE = BIT(5), STACK_FAULT = BIT(6), ES = BIT(7) };
#define ALL_MASKED 0x37f
#define SAVED	   0x5000ull	/* in RAM */
#define OLD	   0xc3		/* what is in memory before */
#define FLAT_CODE  0x10000ull

static u8 *saved(void)
{
	return fake.ram + SAVED;
}

/* Every register different, nothing in its initial configuration; ST0 is the value, the others are empty. */
static void fill_registers(u16 control, const u8 *st0)
{
	u32 mxcsr = 0x1fa0;

	memset(fake_vectors, 0, sizeof(fake_vectors));
	memcpy(fake_vectors + FCW, &control, 2);
	if (st0) {
		fake_vectors[FSW + 1] = 7 << 3;		/* TOP 7 */
		fake_vectors[FTW] = 0x80;
		memcpy(fake_vectors + ST0, st0, 10);
	}
	memcpy(fake_vectors + MXCSR, &mxcsr, 4);
	for (unsigned i = XMM0; i < SPARE; i++)
		fake_vectors[i] = (u8)(i * 7 + 1) | 1;
	fake_vectors[XSTATE_BV] = 7;
	for (unsigned i = YMM0; i < AVX_END; i++)
		fake_vectors[i] = (u8)(i * 5 + 3) | 1;
}

static u16 status(void)
{
	return (u16)(fake_vectors[FSW] | fake_vectors[FSW + 1] << 8);
}

static unsigned top(void)
{
	return status() >> 11 & 7;
}

/* --- x87 stores to a device --- */

static const u8 huge[10] = { [7] = 0x80, [8] = 0xff, [9] = 0x7f - 1 };	/* 2^16128 */
static const u8 third[10] = { 0xab, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xfd, 0x3f };

static void store(const u8 *bytes, u16 control, const u8 *st0)
{
	place(CODE, bytes, 2);
	set(REG_RBX, DEVICE + 0x100);
	memset(fake.mmio, OLD, 0x1000);
	fill_registers(control, st0);
	access_device(FAKE_MMIO + 0x100, TDP_WRITE);
	expect_done(CODE + 2);
}

static void expect_nothing_stored(unsigned old_top, u16 flags)
{
	assert_int_equal(fake.mmio_writes, 0);
	for (unsigned i = 0; i < 0x1000; i++)
		assert_int_equal(fake.mmio[i], OLD);
	assert_int_equal(fake.mmio_reads, 0);
	assert_int_equal(status() & (flags | ES), flags | ES);
	assert_int_equal(top(), old_top);
}

static const u8 fstp_m32[] = { 0xd9, 0x1b }, fstp_m64[] = { 0xdd, 0x1b }, fistp_m32[] = { 0xdb, 0x1b },
		fistp_m64[] = { 0xdf, 0x3b }, fbstp[] = { 0xdf, 0x33 }, fstp_m80[] = { 0xdb, 0x3b }, fst_m64[] = { 0xdd, 0x13 };

/* "Stack Overflow or Underflow Exception (#IS)": unmasked, it leaves the stack and the operands alone. */
static void an_empty_register_is_not_stored(void **state)
{
	static const u8 *const stores[] = { fstp_m32, fstp_m64, fistp_m32, fistp_m64, fbstp, fstp_m80, fst_m64 };

	for (unsigned i = 0; i < ARRAY_SIZE(stores); i++) {
		store(stores[i], ALL_MASKED & ~IE, NULL);
		expect_nothing_stored(0, IE | STACK_FAULT);
	}
	/* Masked, the indefinite value is stored and popped: 0xffc00000. */
	store(fstp_m32, ALL_MASKED, NULL);
	assert_int_equal(*(u32 *)(fake.mmio + 0x100), 0xffc00000);
	assert_int_equal(top(), 1);
}

/* "Invalid Arithmetic Operand Exception (#IA)", "Numeric Overflow Exception (#O)" */
static void what_does_not_fit_is_not_stored(void **state)
{
	store(fistp_m32, ALL_MASKED & ~IE, huge);
	expect_nothing_stored(7, IE);
	store(fstp_m64, ALL_MASKED & ~OE, huge);
	expect_nothing_stored(7, OE);
	store(fstp_m32, ALL_MASKED, huge);
	assert_int_equal(*(u32 *)(fake.mmio + 0x100), 0x7f800000);
}

/* "Inexact-Result (Precision) Exception (#P)": the rounded result is stored, masked or not. */
static void an_inexact_result_is_stored(void **state)
{
	store(fstp_m32, ALL_MASKED & ~PE, third);
	assert_int_equal(*(u32 *)(fake.mmio + 0x100), 0x3eaaaaab);
	assert_int_equal(fake.mmio_writes, 1);
	assert_int_equal(status() & (PE | ES), PE | ES);
	assert_int_equal(top(), 0);
}

/* --- saved states, in RAM as far as their bytes can be seen --- */

/* These bytes of the area are the registers', or as before. */
static void expect_saved(unsigned from, unsigned to, bool written)
{
	for (unsigned i = from; i < to; i++) {
		u8 wanted = written ? fake_vectors[i] : OLD;

		if (saved()[i] != wanted)
			fail_msg("byte %u of the area is %02x, expected %02x", i, saved()[i], wanted);
	}
}

static void run_state(const u8 *bytes, unsigned length, u32 components)
{
	place(FLAT_CODE, bytes, length);
	set(REG_RBX, SAVED);
	set(REG_RAX, components);
	set(REG_RDX, 0);
	access_device(FAKE_MMIO, TDP_WRITE);
}

static void prepare(void)
{
	cpu_features.xsave = true;
	cpu_features.xstate = 7;
	memset(saved(), OLD, 0x1000);
	fill_registers(0x27f, NULL);
}

static void flat(void)
{
	fake_protected_mode(true);
	prepare();
}

static const u8 fxsave[] = { 0x0f, 0xae, 0x03 }, fxrstor[] = { 0x0f, 0xae, 0x0b }, xsave[] = { 0x0f, 0xae, 0x23 },
		xrstor[] = { 0x0f, 0xae, 0x2b };

static void fxsave_of_32_bits_has_8_registers(void **state)
{
	flat();
	run_state(fxsave, 3, 0);
	expect_done(FLAT_CODE + 3);
	expect_saved(FCW, FTW + 1, true);
	expect_saved(MXCSR, MXCSR + 4, true);
	expect_saved(XMM0, XMM8, true);
	expect_saved(XMM8, SPARE, false);
	expect_saved(464, 0x1000, false);	/* what is software's, and what lies behind */
}

static void fxsave_of_64_bits_has_16(void **state)
{
	prepare();
	run_state(fxsave, 3, 0);
	expect_done(FLAT_CODE + 3);
	expect_saved(XMM0, SPARE, true);
	/* AMD: not with EFER.FFXSR in ring 0. MXCSR is saved all the same. */
	prepare();
	fake.controls[CTL_EFER] |= EFER_FFXSR;
	run_state(fxsave, 3, 0);
	expect_saved(MXCSR, MXCSR + 4, true);
	expect_saved(XMM0, SPARE, false);
}

static void xsave_writes_what_it_is_asked_for(void **state)
{
	prepare();
	run_state(xsave, 3, 2);		/* SSE */
	expect_done(FLAT_CODE + 3);
	expect_saved(FCW, MXCSR, false);
	expect_saved(MXCSR, MXCSR + 4, true);
	expect_saved(ST0, XMM0, false);
	expect_saved(XMM0, SPARE, true);
	expect_saved(464, LEGACY_END, false);
	assert_int_equal(saved()[XSTATE_BV], (OLD & ~2) | 2);
	expect_saved(XSTATE_BV + 1, 0x1000, false);

	prepare();
	run_state(xsave, 3, 4);		/* AVX: MXCSR, too */
	expect_saved(MXCSR, MXCSR + 4, true);
	expect_saved(XMM0, XSTATE_BV, false);
	assert_int_equal(saved()[XSTATE_BV], OLD | 4);
	expect_saved(HEADER_REST, HEADER_END, false);
	expect_saved(YMM0, AVX_END, true);
	expect_saved(AVX_END, 0x1000, false);

	prepare();
	run_state(xsave, 3, 0);		/* nothing */
	expect_done(FLAT_CODE + 3);
	expect_saved(0, 0x1000, false);
}

static void xsave_of_32_bits_has_8_registers(void **state)
{
	flat();
	run_state(xsave, 3, 7);
	expect_done(FLAT_CODE + 3);
	expect_saved(XMM0, XMM8, true);
	expect_saved(XMM8, SPARE, false);
	assert_int_equal(saved()[XSTATE_BV], (OLD & ~7) | 7);
	expect_saved(HEADER_REST, HEADER_END, false);
	expect_saved(YMM0, YMM8, true);
	expect_saved(YMM8, 0x1000, false);
}

/* "Processor Tracking of XSAVE-Managed State": outside of 64-bit mode ZMM16 to ZMM31 are not in use, bit 7. */
static void the_bitmap_in_memory(void **state)
{
	const u64 asked_for = 0xe7, in_use = 0xc3, others = ~asked_for, old = 0x8000000000000a24;

	assert_int_equal(saved_state_bitmap(STATE_KEEPS_NONE, in_use, in_use | others, old), in_use | (old & others));
	assert_int_equal(saved_state_bitmap(STATE_KEEPS_HIGH, in_use, in_use | others, old), 0x43 | (old & others));
}

/* Leaf 0Dh: AVX at 576, opmasks at 1088, the upper halves of ZMM0 to ZMM15 at 1152, ZMM16 to ZMM31 at 1664. */
struct cpuid_regs test_cpuid(u32 leaf, u32 component)
{
	static const u32 at[] = { [2] = 576, [5] = 1088, [6] = 1152, [7] = 1664 };

	assert_int_equal(leaf, 0xd);
	assert_in_range(component, 2, 7);
	return (struct cpuid_regs){ .eax = 64, .ebx = at[component] };
}

/* "SSE State", "AVX State", "AVX-512 State": what outside of 64-bit mode is neither written nor loaded. */
static const struct {
	unsigned from, to;
} high_bytes[] = { { 288, 416 }, { 704, 832 }, { 1408, 1664 }, { 1664, 2688 } };

static bool is_high(unsigned byte)
{
	for (unsigned i = 0; i < ARRAY_SIZE(high_bytes); i++) {
		if (byte >= high_bytes[i].from && byte < high_bytes[i].to)
			return true;
	}
	return false;
}

static void the_places_of_high_registers(void **state)
{
	static u8 mask[2688], image[4096], registers[STATE_KEPT_BYTES];
	u64 bitmap;

	cpu_features.xstate = 0xe7;
	memset(mask, 1, sizeof(mask));
	saved_state_spare(STATE_KEEPS_HIGH, mask, sizeof(mask));
	for (unsigned i = 0; i < sizeof(mask); i++)
		assert_int_equal(mask[i], !is_high(i));
	/* Out of one image and into another; a component that is not zero is in use. */
	for (unsigned i = 0; i < 2688; i++)
		image[i] = is_high(i) && i < 1664 ? 0x11 * (i / 128 % 8 + 1) : 0x99;
	memset(image + 1664, 0, 1024);
	saved_state_take(STATE_KEEPS_HIGH, image, registers);
	memset(image, 0, sizeof(image));
	image[XSTATE_BV] = 0x81;
	saved_state_put(STATE_KEEPS_HIGH, image, registers);
	for (unsigned i = 0; i < 2688; i++) {
		if (i < XSTATE_BV || i >= HEADER_REST)
			assert_int_equal(image[i], is_high(i) && i < 1664 ? 0x11 * (i / 128 % 8 + 1) : 0);
	}
	memcpy(&bitmap, image + XSTATE_BV, 8);
	assert_int_equal(bitmap, 0x81 | 2 | 4 | 0x40);
	/* Without XSAVE there are the XMM registers, and no header. */
	cpu_features.xstate = 0;
	cpu_features.xsave = false;
	memset(image, 0, sizeof(image));
	saved_state_put(STATE_KEEPS_HIGH, image, registers);
	for (unsigned i = 0; i < sizeof(image); i++)
		assert_int_equal(image[i], i >= 288 && i < 416 ? 0x11 * (i / 128 % 8 + 1) : 0);
}

/* An area to load: new registers, then a header with these components. */
static void make_area(u8 components)
{
	memset(saved(), 0, 0x1000);
	memcpy(saved(), fake_vectors, MXCSR + 4);
	for (unsigned i = XMM0; i < SPARE; i++)
		saved()[i] = (u8)(i * 3);
	for (unsigned i = YMM0; i < AVX_END; i++)
		saved()[i] = (u8)(i * 9);
	saved()[XSTATE_BV] = components;
}

static void loads_of_32_bits_keep_the_high_registers(void **state)
{
	u8 before[sizeof(fake_vectors)];
	static const u8 zeros[128];

	flat();
	make_area(0);
	memcpy(before, fake_vectors, sizeof(before));
	run_state(fxrstor, 3, 0);
	expect_done(FLAT_CODE + 3);
	assert_memory_equal(fake_vectors + XMM0, saved() + XMM0, XMM8 - XMM0);
	assert_memory_equal(fake_vectors + XMM8, before + XMM8, SPARE - XMM8);

	flat();
	make_area(2);			/* SSE from memory, AVX to its initial configuration */
	run_state(xrstor, 3, 6);
	expect_done(FLAT_CODE + 3);
	assert_memory_equal(fake_vectors + XMM0, saved() + XMM0, XMM8 - XMM0);
	assert_memory_equal(fake_vectors + XMM8, before + XMM8, SPARE - XMM8);
	assert_memory_equal(fake_vectors + YMM0, zeros, YMM8 - YMM0);
	assert_memory_equal(fake_vectors + YMM8, before + YMM8, AVX_END - YMM8);
	assert_int_equal(fake_vectors[XSTATE_BV] & 4, 4);	/* what is kept is not the initial configuration */

	flat();
	memset(fake_vectors + YMM8, 0, AVX_END - YMM8);
	make_area(2);			/* here it is */
	run_state(xrstor, 3, 6);
	assert_int_equal(fake_vectors[XSTATE_BV] & 4, 0);

	prepare();			/* in 64-bit mode they are loaded */
	enter_long_mode();
	make_area(4);
	run_state(xrstor, 3, 6);
	expect_done(FLAT_CODE + 3);
	assert_memory_equal(fake_vectors + XMM8, zeros, SPARE - XMM8);
	assert_memory_equal(fake_vectors + YMM0, saved() + YMM0, AVX_END - YMM0);
}

/* What of an area is no RAM reads as ones; the header in RAM is what counts. */
static void xrstor_from_ram_into_a_device(void **state)
{
	u8 ones[AVX_END - YMM0];

	prepare();
	memset(ones, 0xff, sizeof(ones));
	make_area(7);
	memcpy(fake.ram + DEVICE - HEADER_END, saved(), HEADER_END);
	PLACE(CODE, 0x0f, 0xae, 0x2b);
	set(REG_RBX, DEVICE - HEADER_END);
	set(REG_RAX, 7);
	set(REG_RDX, 0);
	access_device(FAKE_MMIO, TDP_READ);
	expect_done(CODE + 3);
	assert_memory_equal(fake_vectors + XMM0, saved() + XMM0, SPARE - XMM0);
	assert_memory_equal(fake_vectors + YMM0, ones, sizeof(ones));
	assert_int_equal(fake.mmio_reads, 0);
}

static void a_bad_header_faults(void **state)
{
	prepare();
	make_area(7);
	saved()[XSTATE_BV + 7] = 0x40;	/* a component that no processor has */
	run_state(xrstor, 3, 7);
	expect_raised(X86_GP, 0, 0, FLAT_CODE);
	prepare();
	make_area(0);
	saved()[MXCSR + 3] = 0x80;	/* reserved */
	run_state(fxrstor, 3, 0);
	expect_raised(X86_GP, 0, 0, FLAT_CODE);
}

/*
 * Code that has changed since the exit: with CR0.TS or EM the processor is to look, which raises #NM or #UD.
 * "Instruction Set Reference": what EM says does not count for AVX, and for XSAVE and XRSTOR.
 */
static void disabled_registers_are_not_touched(void **state)
{
	static const struct {
		u8 bytes[4], length;
		bool ignores_em;
	} cases[] = {
		{ { 0x0f, 0xae, 0x03 }, 3, false },		/* fxsave [rbx] */
		{ { 0x0f, 0xae, 0x23 }, 3, true },		/* xsave [rbx] */
		{ { 0x0f, 0xae, 0x1b }, 3, false },		/* stmxcsr [rbx] */
		{ { 0x0f, 0x11, 0x03 }, 3, false },		/* movups [rbx], xmm0 */
		{ { 0x0f, 0x7f, 0x03 }, 3, false },		/* movq [rbx], mm0 */
		{ { 0xc5, 0xfc, 0x11, 0x03 }, 4, true },	/* vmovups [rbx], ymm0 */
		{ { 0xdd, 0x13 }, 2, false },			/* fst qword [rbx] */
	};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const u64 bit = i % 2 ? CR0_TS : CR0_EM, cr0 = fake.controls[CTL_CR0];
		bool enabled = bit == CR0_EM && cases[i / 2].ignores_em;
		u8 before[sizeof(fake_vectors)];

		prepare();
		memcpy(before, fake_vectors, sizeof(before));
		fake.controls[CTL_CR0] |= bit;
		run_state(cases[i / 2].bytes, cases[i / 2].length, 7);
		fake.controls[CTL_CR0] = cr0;
		assert_false(fake.faulted);
		assert_int_equal(fake.instructions_done, enabled);
		assert_int_equal(get(REG_RIP), FLAT_CODE + (enabled ? cases[i / 2].length : 0));
		if (enabled)
			continue;
		assert_memory_equal(fake_vectors, before, sizeof(before));
		expect_saved(0, 0x1000, false);
	}
	/* General registers are always there. */
	fake.controls[CTL_CR0] |= CR0_TS | CR0_EM;
	run_state((const u8[]){ 0x0f, 0x94, 0x03 }, 3, 0);	/* sete [rbx] */
	expect_done(FLAT_CODE + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_register_is_not_stored),
		TEST(what_does_not_fit_is_not_stored),
		TEST(an_inexact_result_is_stored),
		TEST(fxsave_of_32_bits_has_8_registers),
		TEST(fxsave_of_64_bits_has_16),
		TEST(xsave_writes_what_it_is_asked_for),
		TEST(xsave_of_32_bits_has_8_registers),
		TEST(the_bitmap_in_memory),
		TEST(the_places_of_high_registers),
		TEST(loads_of_32_bits_keep_the_high_registers),
		TEST(xrstor_from_ram_into_a_device),
		TEST(a_bad_header_faults),
		TEST(disabled_registers_are_not_touched),
	};

	return cmocka_run_group_tests_name("saved states and x87 stores", tests, NULL, NULL);
}
