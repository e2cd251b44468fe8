/* SPDX-License-Identifier: MIT */
/*
 * Guest state in the VMCB: where the manual's table has each field, what is hidden from the guest, and
 * what the processor has to read again. AMD APM vol. 2, "Layout of VMCB", "VMCB Clean Field".
 */
/* link: svm/state.c tests/unit/fake_cpu.c */
#include "svm_fixture.h"

#include "arch/cpu/fpu.h"
#include "core/emulate/code.h"

struct cpu_features cpu_features;
struct svm_features svm_features;

static int setup(void **state)
{
	memset(&cpu_features, 0, sizeof(cpu_features));
	memset(&svm_features, 0, sizeof(svm_features));
	return svm_fixture_reset(state);
}

/* Bits of the clean field, as the manual numbers them. */
enum { C_I = 1 << 0, C_NP = 1 << 4, C_CRX = 1 << 5, C_DRX = 1 << 6, C_DT = 1 << 7, C_SEG = 1 << 8, C_CR2 = 1 << 9,
       C_LBR = 1 << 10 };

static void lazy_registers_come_from_their_fields(void **state)
{
	static const struct {
		enum vcpu_reg reg;
		unsigned offset;
	} cases[] = { { REG_RSP, 0x5d8 }, { REG_RIP, 0x578 }, { REG_RFLAGS, 0x570 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 value = 0x1122334455667700 + i;

		setup(state);
		memset(&vmcb.save, 0x5a, sizeof(vmcb.save));
		memcpy((u8 *)&vmcb + cases[i].offset, &value, 8);
		vcpu->regs_available = BIT(REG_RAX);
		svm_reg_fetch(vcpu, cases[i].reg);
		assert_int_equal(vcpu->regs[cases[i].reg], value);
		assert_int_equal(vcpu->regs_available, BIT(REG_RAX) | BIT(cases[i].reg));
		for (unsigned reg = 0; reg < REG_COUNT; reg++)
			assert_true(reg == cases[i].reg || vcpu->regs[reg] == 0);
	}
}

/* --- segments --- */

static const struct {
	enum vcpu_segment index;
	unsigned offset;
} segments[] = {
	{ SEG_ES, 0x400 }, { SEG_CS, 0x410 }, { SEG_SS, 0x420 }, { SEG_DS, 0x430 },
	{ SEG_FS, 0x440 }, { SEG_GS, 0x450 }, { SEG_LDTR, 0x470 }, { SEG_TR, 0x490 },
};

static void each_segment_has_its_place(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
		const struct segment set = { .selector = 0x1234, .limit = 0x89abcdef, .base = 0xffff800012345678,
					     .present = true };
		struct segment got;

		setup(state);
		svm_segment_set(vcpu, segments[i].index, &set);
		assert_int_equal(vmcb_field(segments[i].offset, 2), 0x1234);
		assert_int_equal(vmcb_field(segments[i].offset + 2, 2), 0x80);
		assert_int_equal(vmcb_field(segments[i].offset + 4, 4), 0x89abcdef);
		assert_int_equal(vmcb_field(segments[i].offset + 8, 8), 0xffff800012345678);
		assert_int_equal(dirtied(), C_SEG);
		svm_segment_get(vcpu, segments[i].index, &got);
		assert_memory_equal(&got, &set, sizeof(got));
	}
}

/* "Segment State in the VMCB": descriptor bits 40 to 47, then 52 to 55. */
static const struct {
	struct segment segment;
	u16 attributes;
} attributes[] = {
	{ { .present = true, .type = 1 }, 0x081 }, { { .present = true, .type = 2 }, 0x082 },
	{ { .present = true, .type = 4 }, 0x084 }, { { .present = true, .type = 8 }, 0x088 },
	{ { .present = true, .s = true }, 0x090 },
	{ { .present = true, .dpl = 1 }, 0x0a0 }, { { .present = true, .dpl = 2 }, 0x0c0 },
	{ { .present = true, .avl = true }, 0x180 }, { { .present = true, .l = true }, 0x280 },
	{ { .present = true, .db = true }, 0x480 }, { { .present = true, .g = true }, 0x880 },
	{ { .type = 2, .unusable = false }, 0x002 },
	{ { .present = true, .type = 15, .s = true, .dpl = 3, .avl = true, .l = true, .db = true, .g = true }, 0xfff },
};

static void attributes_are_packed_as_the_manual_says(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
		struct segment got;

		setup(state);
		svm_segment_set(vcpu, SEG_DS, &attributes[i].segment);
		assert_int_equal(vmcb.save.ds.attributes, attributes[i].attributes);
		svm_segment_get(vcpu, SEG_DS, &got);
		got.unusable &= attributes[i].segment.present;	/* the VMCB has no other bit for it */
		assert_memory_equal(&got, &attributes[i].segment, sizeof(got));
	}
}

static void an_unusable_segment_is_not_present(void **state)
{
	const struct segment set = { .unusable = true, .present = true, .type = 3, .s = true, .dpl = 3, .g = true };
	struct segment got;

	svm_segment_set(vcpu, SEG_ES, &set);
	assert_int_equal(vmcb.save.es.attributes, 0);
	svm_segment_get(vcpu, SEG_ES, &got);
	assert_true(got.unusable);
	assert_false(got.present);
	vmcb.save.es.attributes = 0x093;
	svm_segment_get(vcpu, SEG_ES, &got);
	assert_false(got.unusable);
}

/* Type and DPL wider than their fields must not reach other bits. */
static void wide_values_stay_in_their_fields(void **state)
{
	const struct segment set = { .present = true, .type = 0x13, .dpl = 5 };

	svm_segment_set(vcpu, SEG_DS, &set);
	assert_int_equal(vmcb.save.ds.attributes, 0x0a3);
}

/* The processor keeps the CPL at CBh of the save area, and does not look at SS.DPL. */
static void the_privilege_level_goes_with_ss(void **state)
{
	const struct segment ss = { .present = true, .s = true, .type = 3, .dpl = 3 };
	struct segment got;

	svm_segment_set(vcpu, SEG_SS, &ss);
	assert_int_equal(vmcb_field(0x4cb, 1), 3);
	vmcb.save.cpl = 1;
	svm_segment_get(vcpu, SEG_SS, &got);
	assert_int_equal(got.dpl, 1);
	svm_segment_set(vcpu, SEG_DS, &ss);
	assert_int_equal(vmcb.save.cpl, 1);
	svm_segment_get(vcpu, SEG_DS, &got);
	assert_int_equal(got.dpl, 3);
}

/* --- descriptor tables --- */

static void descriptor_tables(void **state)
{
	static const unsigned offsets[] = { 0x460, 0x480 };	/* GDTR, IDTR */

	for (unsigned idt = 0; idt < 2; idt++) {
		const struct descriptor_table set = { .base = 0xffff888000001000, .limit = 0xfedc };
		struct descriptor_table got;

		setup(state);
		svm_table_set(vcpu, idt, &set);
		assert_int_equal(vmcb_field(offsets[idt] + 4, 4), 0xfedc);
		assert_int_equal(vmcb_field(offsets[idt] + 8, 8), 0xffff888000001000);
		assert_int_equal(vmcb_field(offsets[!idt] + 8, 8), 0);
		assert_int_equal(dirtied(), C_DT);
		svm_table_get(vcpu, idt, &got);
		assert_int_equal(got.base, set.base);
		assert_int_equal(got.limit, set.limit);
	}
}

/* --- control registers --- */

static void a_change_of_paging_flushes(void **state)
{
	static const u8 flushing[] = { CTL_CR0, CTL_CR3, CTL_CR4, CTL_EFER };
	static const u8 others[] = { CTL_CR2, CTL_DR6, CTL_DR7, CTL_XCR0 };

	for (unsigned by_asid = 0; by_asid < 2; by_asid++) {
		for (unsigned i = 0; i < ARRAY_SIZE(flushing); i++) {
			setup(state);
			svm_features.flush_by_asid = by_asid;
			svm_control_set(vcpu, flushing[i], 0);
			assert_int_equal(vmcb_field(0x5c, 1), by_asid ? 3 : 1);
			assert_true(dirtied() & C_CRX);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		setup(state);
		svm_control_set(vcpu, others[i], 0x55);
		assert_int_equal(vmcb.control.tlb_control, 0);
		assert_false(dirtied() & C_CRX);
	}
}

static void a_flush_that_is_due_stays_due(void **state)
{
	svm_features.flush_by_asid = true;
	vmcb.control.tlb_control = 1;		/* of all, for another VM's translations */
	svm_control_set(vcpu, CTL_CR3, 0x1000);
	assert_int_equal(vmcb.control.tlb_control, 1);
}

static void cr0_is_shown_as_the_guest_wrote_it(void **state)
{
	const u64 value = CR0_PE | CR0_NE | CR0_WP | CR0_CD | CR0_NW;

	svm_control_set(vcpu, CTL_CR0, value);
	assert_int_equal(vmcb_field(0x558, 8), CR0_PE | CR0_NE | CR0_WP | CR0_ET);	/* caches stay on */
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), value | CR0_ET);
	assert_int_equal(vmcb.control.intercept_cr, BIT(0) | BIT(16));
	assert_int_equal(dirtied(), C_CRX | C_I);

	svm_control_set(vcpu, CTL_CR0, value & ~(CR0_CD | CR0_NW));
	assert_int_equal(vmcb.control.intercept_cr, 0);		/* nothing is hidden: no exits */
	vmcb.save.cr0 |= CR0_TS;				/* as the guest sets it without an exit */
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), CR0_PE | CR0_NE | CR0_WP | CR0_ET | CR0_TS);
}

static void either_cache_bit_is_hidden(void **state)
{
	static const u64 bits[] = { CR0_CD, CR0_NW };

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		setup(state);
		vmcb.control.intercept_cr = BIT(8);
		svm_control_set(vcpu, CTL_CR0, CR0_PE | bits[i]);
		assert_int_equal(vmcb.save.cr0, CR0_PE | CR0_ET);
		assert_int_equal(vmcb.control.intercept_cr, BIT(8) | BIT(0) | BIT(16));
		svm_control_set(vcpu, CTL_CR0, CR0_PE);
		assert_int_equal(vmcb.control.intercept_cr, BIT(8));
	}
}

/* Without CR4.MCE a machine check shuts the processor down: the VMCB has the host's bit. */
static void machine_checks_stay_as_the_host_has_them(void **state)
{
	for (unsigned host = 0; host < 2; host++) {
		for (unsigned guest = 0; guest < 2; guest++) {
			setup(state);
			fake_cpu.cr[4] = CR4_PAE | (host ? CR4_MCE : 0);
			svm_control_set(vcpu, CTL_CR4, CR4_PGE | (guest ? CR4_MCE : 0));
			assert_int_equal(vmcb_field(0x548, 8), CR4_PGE | (host ? CR4_MCE : 0));
			assert_int_equal(svm_control_get(vcpu, CTL_CR4), CR4_PGE | (guest ? CR4_MCE : 0));
			assert_int_equal(vmcb.control.intercept_cr, host == guest ? 0 : BIT(4));
			assert_int_equal(dirtied(), C_CRX | C_I);
		}
	}
}

static void efer_has_svme_and_hides_it(void **state)
{
	svm_control_set(vcpu, CTL_EFER, EFER_NXE | EFER_SCE);
	assert_int_equal(vmcb_field(0x4d0, 8), EFER_NXE | EFER_SCE | BIT(12));
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_NXE | EFER_SCE);
}

/* "Activating Long Mode": LMA is LME and PG, whichever comes last. */
static void long_mode_is_active_with_paging(void **state)
{
	svm_control_set(vcpu, CTL_EFER, EFER_LME);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME);
	svm_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME | EFER_LMA);
	svm_control_set(vcpu, CTL_CR0, CR0_PE);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME);

	setup(state);
	svm_control_set(vcpu, CTL_CR0, CR0_PE | CR0_PG);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
	svm_control_set(vcpu, CTL_EFER, EFER_LME);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), EFER_LME | EFER_LMA);
	svm_control_set(vcpu, CTL_EFER, EFER_LMA);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
}

static void plain_control_fields(void **state)
{
	static const struct {
		enum vcpu_control control;
		unsigned offset;
		u32 dirty;
	} cases[] = {
		{ CTL_CR2, 0x640, C_CR2 }, { CTL_CR3, 0x550, C_CRX }, { CTL_DR6, 0x568, C_DRX },
		{ CTL_DR7, 0x560, C_DRX },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmcb_save before;

		setup(state);
		memset(&vmcb.save, 0x5a, sizeof(vmcb.save));
		before = vmcb.save;
		memset((u8 *)&before + cases[i].offset - 0x400, 0, 8);
		svm_control_set(vcpu, cases[i].control, 0x123456789000 + i);
		assert_int_equal(vmcb_field(cases[i].offset, 8), 0x123456789000 + i);
		assert_int_equal(svm_control_get(vcpu, cases[i].control), 0x123456789000 + i);
		assert_int_equal(dirtied(), cases[i].dirty);
		memset((u8 *)&vmcb + cases[i].offset, 0, 8);
		assert_memory_equal(&vmcb.save, &before, sizeof(before));
	}
}

/* CR4's is not followed by a change of EFER, nor CR0's by one of CR2. */
static void other_controls_stay(void **state)
{
	vmcb.save.efer = EFER_SVME | EFER_NXE;
	vmcb.save.cr2 = 0x2000;
	vmcb.save.cr3 = 0x3000;
	svm_control_set(vcpu, CTL_CR4, CR4_PAE);
	svm_control_set(vcpu, CTL_CR0, CR0_PE);
	assert_int_equal(vmcb.save.efer, EFER_SVME | EFER_NXE);
	assert_int_equal(vmcb.save.cr2, 0x2000);
	assert_int_equal(vmcb.save.cr3, 0x3000);
	svm_control_set(vcpu, CTL_EFER, EFER_SCE);
	assert_int_equal(vmcb.save.dr6, 0);
	assert_int_equal(vmcb.save.cr4, CR4_PAE);
}

static void cr2_goes_to_the_register_too(void **state)
{
	svm_control_set(vcpu, CTL_CR2, 0xdead000);
	assert_int_equal(fake_cpu.cr[2], 0xdead000);
}

static void xcr0_is_the_register(void **state)
{
	svm_control_set(vcpu, CTL_XCR0, 0x100000207);
	assert_int_equal(fake_cpu.xcr0, 0x100000207);
	assert_int_equal(dirtied(), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_XCR0), 1);	/* without XSAVE: x87 alone */
}

/* --- MSRs --- */

static void msrs_that_the_vmcb_holds(void **state)
{
	static const struct {
		u32 msr;
		unsigned offset;
		u32 dirty;
	} cases[] = {
		{ 0xc0000100, 0x448, 0 }, { 0xc0000101, 0x458, 0 }, { 0xc0000102, 0x620, 0 },
		{ 0xc0000081, 0x600, 0 }, { 0xc0000082, 0x608, 0 }, { 0xc0000083, 0x610, 0 },
		{ 0xc0000084, 0x618, 0 }, { 0x174, 0x628, 0 }, { 0x175, 0x630, 0 }, { 0x176, 0x638, 0 },
		{ 0x277, 0x668, C_NP }, { 0x1d9, 0x670, C_LBR },
	};
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		assert_int_equal(svm_msr_set(vcpu, cases[i].msr, 0xabcdef0123456780 + i), 0);
		assert_int_equal(vmcb_field(cases[i].offset, 8), 0xabcdef0123456780 + i);
		assert_int_equal(svm_msr_get(vcpu, cases[i].msr, &value), 0);
		assert_int_equal(value, 0xabcdef0123456780 + i);
		assert_int_equal(dirtied() & cases[i].dirty, cases[i].dirty);
		assert_int_equal(dirtied() & ~(cases[i].dirty | C_LBR), 0);
	}
}

static void other_msrs_are_not_the_vmcbs(void **state)
{
	static const u32 msrs[] = { 0x10, 0x1b, 0xc0000080, 0xc0000103, 0xc0000104, 0x278 };
	const struct vmcb before = vmcb;
	u64 value = 7;

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_int_equal(svm_msr_get(vcpu, msrs[i], &value), -ENOENT);
		assert_int_equal(svm_msr_set(vcpu, msrs[i], 5), -ENOENT);
	}
	assert_int_equal(value, 7);
	assert_memory_equal(&vmcb, &before, sizeof(vmcb));
}

static void tsc_aux_is_the_register_where_it_exists(void **state)
{
	u64 value = 0;

	cpu_features.rdtscp = true;
	*fake_msr(0xc0000103) = 0x11;
	assert_int_equal(svm_msr_get(vcpu, 0xc0000103, &value), 0);
	assert_int_equal(value, 0x11);
	assert_int_equal(svm_msr_set(vcpu, 0xc0000103, 0x22), 0);
	assert_int_equal(*fake_msr(0xc0000103), 0x22);
	assert_int_equal(svm_msr_get(vcpu, 0x175, &value), 0);	/* and no other MSR is taken for it */
	assert_int_equal(value, 0);
	assert_int_equal(svm_msr_set(vcpu, 0x175, 0x33), 0);
	assert_int_equal(*fake_msr(0xc0000103), 0x22);
	assert_int_equal(dirtied(), C_LBR);
}

static void tsc_offset(void **state)
{
	vcpu->tsc_offset = 0xfffffffff0000000;
	svm_tsc_offset_changed(vcpu);
	assert_int_equal(vmcb_field(0x50, 8), 0xfffffffff0000000);
	assert_int_equal(dirtied(), C_I);
}

/* --- the mode that code runs in --- */

static void code_view_follows_the_mode(void **state)
{
	static const struct {
		u64 cr0, cr4, efer;
		u16 cs;			/* attributes */
		u8 mode, paging;
		u64 base;
	} cases[] = {
		{ 0, 0, 0, 0x093, INSN_MODE_16, CODE_UNPAGED, 0x1000 },
		{ CR0_PE, 0, 0, 0x49b, INSN_MODE_32, CODE_UNPAGED, 0x1000 },
		{ CR0_PE | CR0_PG, 0, 0, 0x49b, INSN_MODE_32, CODE_OTHER_PAGING, 0x1000 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0x29b, INSN_MODE_64, CODE_4_LEVEL, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0x49b, INSN_MODE_32, CODE_4_LEVEL, 0x1000 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0x09b, INSN_MODE_16, CODE_4_LEVEL, 0x1000 },
		{ CR0_PE | CR0_PG, CR4_PAE | CR4_LA57, EFER_LME | EFER_LMA, 0x29b, INSN_MODE_64, CODE_OTHER_PAGING, 0 },
		{ CR0_PE | CR0_PG, CR4_PAE, EFER_LME, 0x29b, INSN_MODE_16, CODE_OTHER_PAGING, 0x1000 },
	};
	struct code_view view;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmcb.save.cr0 = cases[i].cr0;
		vmcb.save.cr3 = 0x7000;
		vmcb.save.cr4 = cases[i].cr4;
		vmcb.save.efer = cases[i].efer | EFER_SVME;
		vmcb.save.cs.attributes = cases[i].cs;
		vmcb.save.cs.base = 0x1000;
		svm_code_view(vcpu, &view);
		assert_int_equal(view.mode, cases[i].mode);
		assert_int_equal(view.paging, cases[i].paging);
		assert_int_equal(view.cs_base, cases[i].base);
		assert_int_equal(view.cr3, 0x7000);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lazy_registers_come_from_their_fields),
		TEST(each_segment_has_its_place),
		TEST(attributes_are_packed_as_the_manual_says),
		TEST(an_unusable_segment_is_not_present),
		TEST(wide_values_stay_in_their_fields),
		TEST(the_privilege_level_goes_with_ss),
		TEST(descriptor_tables),
		TEST(a_change_of_paging_flushes),
		TEST(a_flush_that_is_due_stays_due),
		TEST(cr0_is_shown_as_the_guest_wrote_it),
		TEST(either_cache_bit_is_hidden),
		TEST(machine_checks_stay_as_the_host_has_them),
		TEST(efer_has_svme_and_hides_it),
		TEST(long_mode_is_active_with_paging),
		TEST(plain_control_fields),
		TEST(other_controls_stay),
		TEST(cr2_goes_to_the_register_too),
		TEST(xcr0_is_the_register),
		TEST(msrs_that_the_vmcb_holds),
		TEST(other_msrs_are_not_the_vmcbs),
		TEST(tsc_aux_is_the_register_where_it_exists),
		TEST(tsc_offset),
		TEST(code_view_follows_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
