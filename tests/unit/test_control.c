/* SPDX-License-Identifier: MIT */
/*
 * Which values of control registers a guest may load, from the manual's lists of general protection
 * faults. SDM, "MOV-Move to/from Control Registers", "XSETBV", "PDPTE Registers",
 * "Enabling Extended Feature Enable Register".
 */
/* link: core/cpu/control.c core/vcpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/mem/guest_mem.h"
#include "core/cpu/msr.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* Of vcpu_reset(), which no test calls here. */
void msr_reset(struct vcpu *vcpu, bool init) { fail(); }
void startup_reset(struct vcpu *vcpu) { fail(); }

#define PHYSICAL_BITS 40
#define XCR0_X87      BIT_ULL(0)
#define XCR0_SSE      BIT_ULL(1)
#define XCR0_AVX      BIT_ULL(2)
#define XCR0_BNDREGS  BIT_ULL(3)
#define XCR0_OPMASK   BIT_ULL(5)
#define XCR0_ZMM      (7ull << 5)
#define XCR0_PKRU     BIT_ULL(9)
#define XCR0_TILE     (3ull << 17)

static u64 controls[CTL_XCR0 + 1], features, pdptes_in_memory[4];
static bool pdptes_readable, code_64;
static gpa_t pdptes_read_at;
static u64 cr8;

static u64 control_get(struct vcpu *v, enum vcpu_control control) { return controls[control]; }
static void control_set(struct vcpu *v, enum vcpu_control control, u64 value) { controls[control] = value; }

static void segment_get(struct vcpu *v, enum vcpu_segment index, struct segment *segment)
{
	*segment = (struct segment){ .s = true, .present = true, .l = code_64 };
}

static void cr8_write(struct vcpu *v, u64 value) { cr8 = value; }

bool cpuid_has(const struct vcpu *v, enum guest_feature feature) { return features & BIT_ULL(feature); }
u8 cpuid_physical_bits(const struct vcpu *v) { return PHYSICAL_BITS; }

int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size)
{
	assert_int_equal(size, sizeof(pdptes_in_memory));
	pdptes_read_at = gpa;
	memcpy(to, pdptes_in_memory, size);
	return pdptes_readable ? 0 : -EFAULT;
}

static struct vcpu_ops ops = { .control_get = control_get, .control_set = control_set, .segment_get = segment_get };
static const struct irqchip_ops irqchip = { .cr8_write = cr8_write };
static struct vm vm = { .irqchip = &irqchip };
static struct vcpu vcpu = { .vm = &vm, .ops = &ops };

/* Protected mode without paging, on a processor that has everything, and keeps PDPTEs. */
static int set_up(void **state)
{
	memset(controls, 0, sizeof(controls));
	memset(pdptes_in_memory, 0, sizeof(pdptes_in_memory));
	controls[CTL_CR0] = CR0_PE | CR0_ET;
	controls[CTL_XCR0] = XCR0_X87;
	features = ~0ull;
	vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
	ops.loads_pdptes = pdptes_readable = true;
	code_64 = false;
	pdptes_read_at = ~0ull;
	return 0;
}

static void long_mode(bool in_code_64)
{
	controls[CTL_CR0] |= CR0_PG;
	controls[CTL_CR4] |= CR4_PAE;
	controls[CTL_EFER] = EFER_LME | EFER_LMA;
	code_64 = in_code_64;
}

/* Whether the value is accepted; a refused one must change nothing. */
#define EXPECT(taken, control, write, value) do {			\
		u64 before_ = controls[control];			\
		int error_ = write(&vcpu, value);			\
									\
		if (taken)						\
			assert_int_equal(error_, 0);			\
		else							\
			assert_int_equal(error_, -EINVAL);		\
		if (!(taken))						\
			assert_int_equal(controls[control], before_);	\
	} while (0)
#define CR0_TAKES(value)     EXPECT(true, CTL_CR0, control_write_cr0, value)
#define CR0_REFUSES(value)   EXPECT(false, CTL_CR0, control_write_cr0, value)
#define CR3_TAKES(value)     EXPECT(true, CTL_CR3, control_write_cr3, value)
#define CR3_REFUSES(value)   EXPECT(false, CTL_CR3, control_write_cr3, value)
#define CR4_TAKES(value)     EXPECT(true, CTL_CR4, control_write_cr4, value)
#define CR4_REFUSES(value)   EXPECT(false, CTL_CR4, control_write_cr4, value)
#define EFER_TAKES(value)    EXPECT(true, CTL_EFER, control_write_efer, value)
#define EFER_REFUSES(value)  EXPECT(false, CTL_EFER, control_write_efer, value)

static void cr0(void **state)
{
	CR0_REFUSES(CR0_PG);			/* paging without protection */
	CR0_REFUSES(CR0_PE | CR0_NW);		/* NW without CD */
	CR0_TAKES(CR0_PE | CR0_NW | CR0_CD);
	for (unsigned bit = 32; bit < 64; bit++)
		CR0_REFUSES(CR0_PE | BIT_ULL(bit));
	/* The other reserved bits are ignored, and ET is fixed. */
	CR0_TAKES(CR0_PE | BIT_ULL(6) | BIT_ULL(15) | BIT_ULL(17) | BIT_ULL(28));
	assert_int_equal(controls[CTL_CR0], CR0_PE | CR0_ET);
}

static void paging_starts_in_long_mode_only_with_pae_and_from_32_bit_code(void **state)
{
	controls[CTL_EFER] = EFER_LME;
	CR0_REFUSES(CR0_PE | CR0_PG);
	controls[CTL_CR4] = CR4_PAE;
	code_64 = true;
	CR0_REFUSES(CR0_PE | CR0_PG);
	code_64 = false;
	CR0_TAKES(CR0_PE | CR0_PG);
	assert_int_equal(pdptes_read_at, ~0ull);	/* four levels: no PDPTE registers */
}

static void paging_does_not_end_in_64_bit_code_nor_with_pcids(void **state)
{
	long_mode(true);
	CR0_REFUSES(CR0_PE);
	code_64 = false;
	controls[CTL_CR4] |= CR4_PCIDE;
	CR0_REFUSES(CR0_PE);
	controls[CTL_CR4] &= ~CR4_PCIDE;
	CR0_TAKES(CR0_PE);
}

static void pae_paging_refuses_reserved_bits_of_its_pointers(void **state)
{
	/* 1, 2 and 5 to 8 are reserved, and all above the physical address; of what is present. */
	const u64 reserved = 0x1e6 | ~0ull << PHYSICAL_BITS;

	controls[CTL_CR4] = CR4_PAE;
	controls[CTL_CR3] = 0x12345678;
	for (unsigned bit = 1; bit < 64; bit++) {
		controls[CTL_CR0] = CR0_PE | CR0_ET;
		pdptes_in_memory[bit % 4] = PTE_PRESENT | BIT_ULL(bit);
		EXPECT(!(reserved & BIT_ULL(bit)), CTL_CR0, control_write_cr0, CR0_PE | CR0_PG);
		assert_int_equal(pdptes_read_at, 0x12345660);	/* CR3[31:5] */

		controls[CTL_CR0] = CR0_PE | CR0_ET;
		pdptes_in_memory[bit % 4] = BIT_ULL(bit);
		CR0_TAKES(CR0_PE | CR0_PG);
	}
	pdptes_readable = false;
	CR3_REFUSES(0x1000);
	ops.loads_pdptes = false;	/* AMD's look at them during the walk */
	CR3_TAKES(0x1000);
}

/* SDM, "PDPTE Registers": by changes of CR0.CD, NW, PG and CR4.PAE, PGE, PSE, SMEP, under PAE paging only. */
static void pae_pointers_are_loaded_by_these_bits_alone(void **state)
{
	const u64 cr4_loads = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;
	const u64 cr0_loads = CR0_PG | CR0_CD | CR0_NW;

	for (unsigned bit = 0; bit < 32; bit++) {
		u64 cr4 = (CR4_PAE | BIT_ULL(bit)) & control_cr4_allowed(&vcpu), old = cr4 & ~BIT_ULL(bit);

		if (!(BIT_ULL(bit) & control_cr4_allowed(&vcpu)) || bit == 17)	/* PCIDE needs long mode */
			continue;
		controls[CTL_CR0] = CR0_PE | CR0_ET | CR0_PG;
		controls[CTL_CR4] = old;
		pdptes_read_at = ~0ull;
		assert_int_equal(control_write_cr4(&vcpu, cr4), 0);
		assert_int_equal(pdptes_read_at != ~0ull, (cr4_loads & BIT_ULL(bit)) != 0);
		/* Not without paging, and not where PAE is off afterwards. */
		controls[CTL_CR0] = CR0_PE | CR0_ET;
		controls[CTL_CR4] = old;
		pdptes_read_at = ~0ull;
		assert_int_equal(control_write_cr4(&vcpu, cr4), 0);
		assert_int_equal(pdptes_read_at, ~0ull);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		u64 cr0 = CR0_PE | CR0_ET | CR0_PG | BIT_ULL(bit);

		if (bit == 29)
			cr0 |= CR0_CD;	/* NW needs CD */
		controls[CTL_CR4] = CR4_PAE;
		controls[CTL_CR0] = (cr0 & ~BIT_ULL(bit)) | CR0_ET;
		pdptes_read_at = ~0ull;
		assert_int_equal(control_write_cr0(&vcpu, cr0), 0);
		assert_int_equal(pdptes_read_at != ~0ull, (cr0_loads & BIT_ULL(bit)) != 0);
	}
}

static void cr3_is_as_wide_as_a_physical_address_in_long_mode(void **state)
{
	long_mode(true);
	CR3_TAKES((1ull << PHYSICAL_BITS) - 1);
	for (unsigned bit = PHYSICAL_BITS; bit < 64; bit++)
		CR3_REFUSES(BIT_ULL(bit));
}

/* SDM, "MOV - Move to/from Control Registers": with CR4.PCIDE bit 63 of the operand is no bit of CR3. */
static void with_pcids_cr3_may_keep_translations(void **state)
{
	long_mode(true);
	CR3_REFUSES(BIT_ULL(63) | 0x5003);
	controls[CTL_CR4] |= CR4_PCIDE;
	assert_int_equal(control_write_cr3(&vcpu, BIT_ULL(63) | 0x5003), 0);
	assert_int_equal(controls[CTL_CR3], 0x5003);
	CR3_TAKES(0x6fff);
	CR3_REFUSES(BIT_ULL(62));
}

static void cr4_has_what_cpuid_announces(void **state)
{
	static const struct {
		u8 bit, feature;
	} announced[] = {
		{ 0, FEATURE_VME }, { 1, FEATURE_VME }, { 3, FEATURE_DE }, { 4, FEATURE_PSE }, { 5, FEATURE_PAE },
		{ 7, FEATURE_PGE }, { 9, FEATURE_FXSR }, { 10, FEATURE_SSE }, { 11, FEATURE_UMIP },
		{ 12, FEATURE_LA57 }, { 16, FEATURE_FSGSBASE }, { 18, FEATURE_XSAVE }, { 20, FEATURE_SMEP },
		{ 21, FEATURE_SMAP }, { 22, FEATURE_PKU },
	};
	const u64 always = CR4_TSD | CR4_MCE | CR4_PCE;

	for (unsigned i = 0; i < ARRAY_SIZE(announced); i++) {
		features = ~0ull;
		vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
		controls[CTL_CR4] = 0;
		CR4_TAKES(BIT_ULL(announced[i].bit));
		features = ~BIT_ULL(announced[i].feature);
		vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
		controls[CTL_CR4] = 0;
		CR4_REFUSES(BIT_ULL(announced[i].bit));
	}
	features = 0;
	vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
	for (unsigned bit = 0; bit < 64; bit++)
		EXPECT((always & BIT_ULL(bit)) != 0, CTL_CR4, control_write_cr4, BIT_ULL(bit));
}

static void nothing_announces_what_lamina_does_not_keep(void **state)
{
	static const u8 refused[] = { 13 /* VMXE */, 14 /* SMXE */, 15, 19 /* KL */, 23 /* CET */, 24 /* PKS */,
				      25 /* UINTR */, 28 /* LAM */, 32 /* FRED */, 63 };

	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		CR4_REFUSES(BIT_ULL(refused[i]));
}

static void long_mode_keeps_pae_and_its_levels(void **state)
{
	CR4_REFUSES(CR4_PCIDE);			/* long mode only */
	long_mode(true);
	CR4_REFUSES(0);
	CR4_REFUSES(CR4_PAE | CR4_LA57);
	controls[CTL_CR3] = 0x5;		/* a PCID that is not 0 */
	CR4_REFUSES(CR4_PAE | CR4_PCIDE);
	controls[CTL_CR3] = 0x1000;
	CR4_TAKES(CR4_PAE | CR4_PCIDE);
}

static void cr8_has_four_bits(void **state)
{
	assert_int_equal(control_write_cr8(&vcpu, 15), 0);
	assert_int_equal(cr8, 15);
	for (unsigned bit = 4; bit < 64; bit++)
		assert_int_equal(control_write_cr8(&vcpu, BIT_ULL(bit)), -EINVAL);
}

static void efer(void **state)
{
	const u64 known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR;

	for (unsigned bit = 0; bit < 64; bit++) {
		controls[CTL_EFER] = 0;
		EXPECT((known & BIT_ULL(bit)) != 0, CTL_EFER, control_write_efer, BIT_ULL(bit));
	}
	features = 0;
	vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
	controls[CTL_EFER] = 0;
	EFER_REFUSES(EFER_SCE);
	EFER_REFUSES(EFER_LME);
	EFER_REFUSES(EFER_NXE);
	EFER_REFUSES(EFER_FFXSR);
}

static void lma_is_the_processors_and_lme_is_fixed_while_paging(void **state)
{
	EFER_TAKES(EFER_LME | EFER_LMA);
	assert_int_equal(controls[CTL_EFER], EFER_LME);
	controls[CTL_CR0] |= CR0_PG;
	EFER_REFUSES(0);
	controls[CTL_EFER] = EFER_LME | EFER_LMA;
	EFER_TAKES(EFER_LME | EFER_NXE);
	assert_int_equal(controls[CTL_EFER], EFER_LME | EFER_LMA | EFER_NXE);
}

static void xcr0(void **state)
{
	static const struct {
		u64 value;
		bool taken;
	} values[] = {
		{ XCR0_X87, true }, { XCR0_X87 | XCR0_SSE, true }, { XCR0_X87 | XCR0_SSE | XCR0_AVX, true },
		{ XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_ZMM, true },
		{ 0, false }, { XCR0_SSE, false }, { XCR0_X87 | XCR0_AVX, false },
		{ XCR0_X87 | XCR0_SSE | XCR0_ZMM, false }, { XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK, false },
		{ XCR0_X87 | XCR0_BNDREGS, false }, { XCR0_X87 | XCR0_PKRU, false },
		{ XCR0_X87 | XCR0_TILE, false }, { XCR0_X87 | BIT_ULL(63), false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		assert_int_equal(control_write_xcr0(&vcpu, 0, values[i].value), values[i].taken ? 0 : -EINVAL);
	assert_int_equal(control_write_xcr0(&vcpu, 1, XCR0_X87), -EINVAL);
	features = 0;
	vcpu.cr4_allowed = control_cr4_allowed(&vcpu);
	assert_int_equal(control_write_xcr0(&vcpu, 0, XCR0_X87 | XCR0_SSE | XCR0_AVX), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cr0, set_up),
		cmocka_unit_test_setup(paging_starts_in_long_mode_only_with_pae_and_from_32_bit_code, set_up),
		cmocka_unit_test_setup(paging_does_not_end_in_64_bit_code_nor_with_pcids, set_up),
		cmocka_unit_test_setup(pae_paging_refuses_reserved_bits_of_its_pointers, set_up),
		cmocka_unit_test_setup(cr3_is_as_wide_as_a_physical_address_in_long_mode, set_up),
		cmocka_unit_test_setup(with_pcids_cr3_may_keep_translations, set_up),
		cmocka_unit_test_setup(pae_pointers_are_loaded_by_these_bits_alone, set_up),
		cmocka_unit_test_setup(cr4_has_what_cpuid_announces, set_up),
		cmocka_unit_test_setup(nothing_announces_what_lamina_does_not_keep, set_up),
		cmocka_unit_test_setup(long_mode_keeps_pae_and_its_levels, set_up),
		cmocka_unit_test_setup(cr8_has_four_bits, set_up),
		cmocka_unit_test_setup(efer, set_up),
		cmocka_unit_test_setup(lma_is_the_processors_and_lme_is_fixed_while_paging, set_up),
		cmocka_unit_test_setup(xcr0, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
